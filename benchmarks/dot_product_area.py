"""Cell area of the truncated dot product in several structures: ``python -m benchmarks.dot_product_area``.

Regenerates the table of docs/decisions/0002-dot-product.md. Every structure computes the same function and is
synthesised by `flows.synthesis.synthesise` onto NanGate 45; what is shared between neurons (multiples of activations,
recoded weights, offsets) is measured on its own and charged in proportion. With ``--taps 9`` etc. only some sizes are
run.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib.wiring import Component, In, Out

from flows.library.catalogue import cell_library
from flows.library.library import CellLibrary
from flows.synthesis.recipe import AREA, Recipe
from flows.synthesis.synthesise import synthesise
from hw.common.carry_save import balanced_sum, column_carries
from hw.common.dot_product import (
    ActivationMultiples,
    ActivationOffset,
    DotProduct,
    DotProductFormat,
    WeightRecoder,
)

PLAIN = Recipe(name="plain", adder_cells=False, ripple=False, abc=AREA.abc)
"""yosys' own mapping of adders."""


def named(m: Module, value: Value) -> Signal:
    """A signal for a value that is used often: Amaranth writes an expression again at every use."""
    signal = Signal(len(value))
    m.d.comb += signal.eq(value)
    return signal


class Baseline(Component):
    """A dot product straight from activations and weights; subclasses say how."""

    def __init__(self, *, dot_format: DotProductFormat):
        self.f = dot_format
        super().__init__(
            {
                "x": In(dot_format.activation_width).array(dot_format.taps),
                "weight": In(signed(dot_format.weight_width)).array(dot_format.taps),
                "bias": In(signed(dot_format.bias_width)),
                "sum": Out(signed(dot_format.sum_width)),
            }
        )

    def inverted_tree(self, rows: list[tuple[Value, int]], constant: int) -> Value:
        """``sum(row << column) + constant + (bias << bias_shift)`` by one tree of the inverted rows."""
        f = self.f
        # As an unsigned row; its excess goes into the constant.
        rows = [*rows, (Cat(self.bias[:-1], ~self.bias[-1]), f.bias_shift)]
        constant -= 1 << (f.bias_width - 1 + f.bias_shift)
        constant += sum(((1 << len(row)) - 1) << column for row, column in rows)
        terms = [Cat(Const(0, column), ~row) for row, column in rows]
        terms.append(Const((-1 - constant) % (1 << f.sum_width), f.sum_width))
        return ~balanced_sum(terms)[: f.sum_width]

    def truncated_rows(self, rows: list[tuple[Value, int]]) -> list[tuple[Value, int]]:
        """The rows of one product cut at column `shift`, and the carries from below."""
        low: list[list[Value]] = [[] for _ in range(self.f.shift)]
        kept: list[tuple[Value, int]] = []
        for row, column in rows:
            first = max(0, self.f.shift - column)
            for position in range(min(first, len(row))):
                low[column + position].append(row[position])
            if len(row) > first:
                kept.append((row[first:], max(0, column - self.f.shift)))
        return kept + [(carry, 0) for carry in column_carries(low)]


class Multipliers(Baseline):
    """``(x * w) >> shift`` and additions, as one would write it."""

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        total: Value = self.bias << self.f.bias_shift
        for x, w in zip(self.x, self.weight, strict=True):
            total = total + ((x * w) >> self.f.shift)
        m.d.comb += self.sum.eq(total)
        return m


class AndArray(Baseline):
    """One row per weight bit (C. R. Baugh and B. A. Wooley, 1973: the sign row inverted), one tree for all taps."""

    def elaborate(self, _platform: object) -> Module:
        f, m = self.f, Module()
        rows: list[tuple[Value, int]] = []
        for x, w in zip(self.x, self.weight, strict=True):
            product = [x & bit.replicate(len(x)) for bit in w]
            product[-1] = ~product[-1]
            rows += self.truncated_rows([(named(m, row), bit) for bit, row in enumerate(product)])
        excess = ((1 << f.activation_width) - 1) << (f.weight_width - 1 - f.shift)
        m.d.comb += self.sum.eq(self.inverted_tree(rows, -f.taps * excess))
        return m


class Booth(Baseline):
    """Radix-4 Booth recoding of the weight (O. L. MacSorley, 1961), one tree for all taps."""

    def elaborate(self, _platform: object) -> Module:
        f, m = self.f, Module()
        rows: list[tuple[Value, int]] = []
        constant, n = 0, f.activation_width + 1
        for x, w in zip(self.x, self.weight, strict=True):
            bits = Cat(Const(0, 1), w)
            product: list[tuple[Value, int]] = []
            for bit in range(0, f.weight_width, 2):
                below, low, high = bits[bit], bits[bit + 1], bits[bit + 2]
                one, negative = named(m, low ^ below), named(m, high & ~(low & below))
                two = named(m, (high & ~low & ~below) | (~high & low & below))
                row = (x & one.replicate(len(x))) | (Cat(Const(0, 1), x) & two.replicate(n))
                product += [(named(m, row ^ negative.replicate(n)), bit), (negative, bit)]
                # -negative << n as a positive bit and a constant; column n + bit is never below shift here.
                rows.append((~negative, n + bit - f.shift))
                constant -= 1 << (n + bit - f.shift)
            rows += self.truncated_rows(product)
        m.d.comb += self.sum.eq(self.inverted_tree(rows, constant))
        return m


def area_um2(component: Component, recipe: Recipe, library: CellLibrary) -> float:
    """Mapped cell area."""
    with tempfile.TemporaryDirectory() as folder:
        text = rtlil.convert(component, name="dut")
        result = synthesise(text, top="dut", library=library, out_dir=Path(folder, "out"), recipe=recipe)
        return result.area_um2


def main() -> None:
    """Print the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--taps", type=int, nargs="*", default=[9, 128])
    parser.add_argument("--only", default="", help="run only structures whose name contains this")
    arguments = parser.parse_args()
    library = cell_library("nangate45")
    structures: list[tuple[str, Callable[..., Component], Recipe]] = [
        ("`(x * w) >> shift`, yosys' adders", Multipliers, PLAIN),
        ("`(x * w) >> shift`, FA cells", Multipliers, AREA),
        ("the same, yosys' Booth multipliers", Multipliers, replace(AREA, name="booth", booth=True)),
        ("NAND array, one tree", AndArray, AREA),
        ("radix-4 Booth, one tree", Booth, AREA),
        ("**this: shared multiples, one inverted tree**", DotProduct, AREA),
    ]
    print("| structure | taps | shift | own um2 | own GE per multiply | with its share GE per multiply |")
    print("|---|---|---|---|---|---|", flush=True)
    for taps in arguments.taps:
        dense = taps > 9
        f = DotProductFormat(taps=taps, shift=4 if dense else 5, bias_shift=3 if dense else 2)
        for name, structure, recipe in structures:
            if arguments.only not in name:
                continue
            own = area_um2(structure(dot_format=f), recipe, library)
            share = 0.0
            if structure is DotProduct:
                # A dense layer: 16 neurons read each activation, each weight is used once. A convolution: 8 filters
                # at 2.25 positions on average read each pixel, 16 positions each weight, 8 filters each offset.
                multiples = ActivationMultiples(count=taps, width=f.activation_width, pairs=f.pairs)
                share += area_um2(multiples, AREA, library) / (16 if dense else 18)
                share += area_um2(WeightRecoder(dot_format=f), AREA, library) / (1 if dense else 16)
                share += area_um2(ActivationOffset(dot_format=f), AREA, library) / (16 if dense else 8)
            per_multiply = [library.gate_equivalents(area) / taps for area in (own, own + share)]
            print(
                f"| {name} | {taps} | {f.shift} | {own:.0f} | {per_multiply[0]:.0f} | {per_multiply[1]:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
