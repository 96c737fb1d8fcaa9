"""Recipes: the scripts that abc runs on the logic."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["AREA", "BUFFERED", "Recipe"]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to map: choices that trade area, delay and run time, the function being the same.

    Attributes
    ----------
    name : str
        For reports.
    booth : bool
        Radix-4 Booth recoding of multipliers (A. D. Booth, A signed binary multiplication technique, 1951) instead of
        an array of partial products.
    adder_cells : bool
        Map adders to the library's full adder where it has one; otherwise leave them to abc as gates.
    ripple : bool
        Ripple-carry for word additions and comparisons; otherwise yosys' parallel prefix (Brent-Kung).
    trees : bool
        Sums of several words by trees that take their bits in the order in which they come
        (`flows.synthesis.adder_trees`), in place of yosys' ``maccmap``.
    extract : bool
        Find full adders that the source writes as gates (``a ^ b ^ c`` and majority) with yosys' ``extract_fa``.
    complement : bool
        Full adders work on complemented operands: sum and carry of three complements are the complements of sum and
        carry, so partial products become NAND instead of AND, and only the ends of an adder tree pay an inverter.
    abc : tuple of str
        Commands of yosys-abc, run on each module after reading library and constraints.
    abc_small, small_cells : tuple of str, int
        Commands for modules of at most `small_cells` generic gates, for mappers whose run time grows faster than the
        module; none where empty.
    abc_inverters : tuple of str
        Commands for those of the small modules whose logic is inverters, one of each net: what `abc_small` makes of
        them, without the preparations of its mapper, which would take most of the time. None where empty.
    """

    name: str
    booth: bool = False
    adder_cells: bool = True
    ripple: bool = True
    trees: bool = False
    extract: bool = False
    complement: bool = False
    abc: tuple[str, ...]
    abc_small: tuple[str, ...] = ()
    abc_inverters: tuple[str, ...] = ()
    small_cells: int = 0


_INVERTERS = ("strash", "&get -n", "&nf", "&put")
_REWRITE = ("strash", "dc2", "rewrite", "refactor", "balance", "rewrite -z", "dc2", "dch", "dch")

AREA = Recipe(
    name="area",
    # the adder trees are the library's full adders already; what is left for abc is the selection of partial products
    abc=("strash", "&get -n", "&nf -R 100", "&put", "topo", "buffer -c", "dnsize", "stime -p"),
    # emap (A. Tempia Calvino, G. De Micheli, Technology mapping using multi-output library cells, ICCAD 2023) maps
    # smaller, but its time grows with more than the square of the module's size
    abc_small=(*_REWRITE, "emap -a", "topo", "dnsize", "stime -p"),
    abc_inverters=(*_INVERTERS, "topo", "dnsize", "stime -p"),
    small_cells=3000,
)
"""Smallest area of the recipes that were measured; mapped without regard to delay beyond abc's down-sizing."""

BUFFERED = replace(
    AREA,
    name="buffered",
    # -p: what a module gets through its ports and from its flip-flops is buffered, too
    abc=("strash", "&get -n", "&nf -R 100", "&put", "topo", "buffer -c -p", "upsize", "dnsize", "stime -p"),
    abc_small=(*_REWRITE, "emap -a", "topo", "buffer -c -p", "upsize", "dnsize", "stime -p"),
    abc_inverters=(*_INVERTERS, "topo", "buffer -c -p", "upsize", "dnsize", "stime -p"),
)
"""`AREA`, then buffers on nets of more than ten loads and cells of the size that their loads ask for.

For a clock that a signal with hundreds of loads would miss."""
