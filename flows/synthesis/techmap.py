"""Technology maps of arithmetic: from yosys' wide cells over full-adder boxes to the cells of a library.

The maps are Verilog files in ``techmaps/``, for yosys' ``techmap`` command.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from flows.library.library import AdderCell
from flows.synthesis.recipe import Recipe

__all__ = ["cell_map", "techmap", "write_techmaps"]

DEPENDS_ON = ("techmaps",)


def techmap(name: str) -> str:
    """Verilog text of the map ``techmaps/<name>.v``."""
    return (resources.files("flows.synthesis") / "techmaps" / f"{name}.v").read_text()


def cell_map(adder: AdderCell, complement: bool) -> str:
    """Technology map from the full-adder box to the library's cell.

    Parameters
    ----------
    adder : AdderCell
        Full adder of the library.
    complement : bool
        The cell works on complemented operands; see `Recipe`.
    """
    nets = ("~A", "~B", "~CI") if complement else ("A", "B", "CI")
    pins = ", ".join(f".{pin}({net})" for pin, net in zip(adder.inputs, nets, strict=True))
    body = f"\\{adder.cell} _TECHMAP_REPLACE_ ({pins}, .{adder.sum}(s), .{adder.carry}(co));"
    out = "~" if complement else ""
    body = f"wire s, co; {body} assign S = {out}s; assign CO = {out}co;"
    return (
        '(* techmap_celltype = "_liquidcal_fa_" *)\n'
        "module liquidcal_fa_cell (input A, input B, input CI, output CO, output S);\n"
        f"  {body}\nendmodule\n"
    )


def write_techmaps(folder: Path, recipe: Recipe, adder: AdderCell | None) -> None:
    """Write the maps that the scripts of `flows.synthesis.synthesise` read.

    Parameters
    ----------
    folder : Path
    recipe : Recipe
    adder : AdderCell or None
        Full adder of the library; boxes become gates where it has none or the recipe does not want it.
    """
    (folder / "full_adder_box.v").write_text(techmap("full_adder_box"))
    (folder / "simplify_map.v").write_text(techmap("simplify"))
    (folder / "partial_map.v").write_text(techmap("partial"))
    arithmetic = [techmap("carry_save"), *([techmap("ripple")] if recipe.ripple else [])]
    (folder / "arithmetic_map.v").write_text("".join(arithmetic))
    cells = techmap("gates") if adder is None or not recipe.adder_cells else cell_map(adder, recipe.complement)
    (folder / "cell_map.v").write_text(cells)
