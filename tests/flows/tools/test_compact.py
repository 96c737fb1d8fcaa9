"""Rewritten Verilog does what the text says: simulated, and compared with the same worked out in Python."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flows.simulation.native import NativeModel, build_native, divided_read_port
from flows.tools.compact import divide_reductions, share_logic, whole_columns
from flows.tools.verilog import split_modules

CELLS = 100
CELL = """
module cell_(clk, enable, data, mask, value, odd, hit);
  input clk;
  input enable;
  input [7:0] data;
  input mask;
  output [7:0] value;
  output odd;
  output hit;
  wire [7:0] value;
  wire odd;
  wire hit;
  wire [7:0] held__value;
  wire [7:0] spread;
  wire _0_;
  wire _1_;
  assign hit = mask & _1_;
  assign spread = { held__value[3:0], held__value[7:4] } ^ held__value;
  assign _0_ = ^ spread[6:0];
  assign _1_ = spread == 8'hff;
  assign odd = _0_ | held__value[7];
  assign value = held__value;
  held_ held (
    .clk(clk),
    .data(data),
    .enable(enable),
    .value(held__value)
  );
endmodule
module held_(clk, enable, data, value);
  input clk;
  input enable;
  input [7:0] data;
  output [7:0] value;
  reg [7:0] value;
  always @(posedge clk)
    if (enable) value <= data;
endmodule
"""


def many_cells(count: int) -> str:
    """A module with many cells, written in turn, and reductions over all of them."""
    lines = [
        f"  wire [7:0] value{i};\n  wire odd{i};\n  wire hit{i};\n"
        f"  cell_ byte{i} (\n    .clk(clk),\n    .enable(enable[{i}]),\n    .data(data),\n    .mask(mask),\n"
        f"    .value(value{i}),\n    .odd(odd{i}),\n    .hit(hit{i})\n  );\n"
        for i in range(count)
    ]  # fmt: skip
    every = {name: ", ".join(f"{name}{i}" for i in range(count)) for name in ("value", "odd", "hit")}
    return (
        f"module many(clk, enable, data, mask, odd, hit, both, last);\n  input clk;\n  input [{count - 1}:0] enable;\n"
        "  input [7:0] data;\n  input mask;\n  output odd;\n  output hit;\n  output both;\n  output [7:0] last;\n"
        "  wire odd;\n  wire hit;\n  wire both;\n  wire [7:0] last;\n"
        + "".join(lines)
        + f"  assign odd = ^ {{ {every['odd']} }};\n  assign hit = | {{ {every['hit']} }};\n"
        f"  assign both = & {{ {every['odd']}, mask }};\n  assign last = value{count - 1};\nendmodule\n" + CELL
    )


def longest(text: str) -> int:
    """Signals of the longest reduction."""
    return max(found.count(",") + 1 for found in re.findall(r"= [|&^] \{([^{}]*)\};", text))


def test_logic_of_cells_is_one_function_and_comes_to_the_same() -> None:
    text = many_cells(CELLS)
    modules = share_logic(split_modules(text))
    function = re.search(r"^function .*?^endfunction", modules["cell_"], re.MULTILINE | re.DOTALL)
    assert function is not None
    # what the input takes part in is evaluated when it changes, and the decoder is not
    assert "mask" not in function[0]
    assert "spread" not in modules["cell_"][function.end() :]
    assert modules["held_"] == split_modules(text)["held_"]
    divided = divide_reductions(modules["many"])
    assert longest(divided) <= 32 < CELLS < longest(modules["many"]) + 1

    rng = np.random.default_rng(3)
    rows = 400
    written = np.concatenate([np.arange(CELLS), rng.integers(0, CELLS, rows - CELLS)])
    written[CELLS::9] = CELLS - 1
    # some words are their own complement when the nibbles are exchanged
    data = np.where(rng.random(rows) < 0.2, 0x0F, rng.integers(0, 256, rows))
    mask = rng.integers(0, 2, rows)
    enable = np.zeros((rows, -(-CELLS // 32)), np.int64)
    enable[np.arange(rows), written // 32] = 1 << written % 32
    outputs = []
    for share in (False, True):
        library, ports = build_native(text, "many", clock="clk", optimise="-O0", share=share)
        with NativeModel(library, ports, "clk") as model:
            outputs.append(model.run({"enable": enable, "data": data, "mask": mask}))
    values, known = np.zeros(CELLS, np.int64), np.zeros(CELLS, bool)
    compared = hits = 0
    for row in range(rows):
        if known.all():
            spread = (values << 4 & 0xF0 | values >> 4) ^ values
            odd = np.array([bin(word & 0x7F).count("1") % 2 for word in spread]) | values >> 7
            expected: dict[str, Any] = {
                "odd": odd.sum() % 2, "hit": mask[row] & (spread == 0xFF).any(), "both": odd.all() & mask[row],
                "last": values[-1],
            }  # fmt: skip
            for found in outputs:
                assert {name: found[name][row] for name in expected} == expected
            compared += 1
            hits += expected["hit"]
        values[written[row]], known[written[row]] = data[row], True
    assert compared
    assert hits


def test_logic_of_signed_values_stays_where_it_is() -> None:
    """A declaration that is not understood is no argument of a function, and what depends on it is not in one."""
    ports = "".join(f"    .{port}({net}),\n" for port, net in (("clk", "clk"), ("data", "data"), ("enable", "enable")))
    other = f"  held_ other (\n{ports}    .value(more)\n  );\nendmodule\nmodule held_"
    text = many_cells(CELLS).replace("  wire _0_;\n", "  wire signed [7:0] more;\n  wire _0_;\n")
    text = text.replace("_0_ | held__value[7]", "_0_ | more[7]").replace("endmodule\nmodule held_", other)
    function, _, rest = share_logic(split_modules(text))["cell_"].partition("endfunction\n")
    assert "spread" in function
    assert "more" not in function
    assert "assign odd = _0_ | more[7];" in rest


@pytest.mark.parametrize(
    ("count", "change"),
    [
        (2, lambda text: text),  # saves nothing
        (CELLS, lambda text: text.replace("held__value", "data").replace(".value(data)", ".value()")),  # only inputs
        (CELLS, lambda text: text.replace("= { held__value[3:0], held__value[7:4] }", "= odd")),  # depends on itself
    ],
)
def test_modules_stay_as_they_are_where_a_function_does_not_fit(count: int, change: Callable[[str], str]) -> None:
    text = many_cells(count).split("\nmodule cell_")[0] + "\n" + change(CELL)
    modules = split_modules(text)
    assert share_logic(modules) == modules


STORE = """module store(row, bytes_, half, out);
  input [3:0] row;
  input [23:0] bytes_;
  input [3:0] half;
  output [15:0] out;
  wire [15:0] out;
"""


def store(left: bool) -> str:
    """A read port of two columns as yosys writes it; bits of the second one may be in no order."""
    terms: list[tuple[int, str, str]] = []
    columns: dict[tuple[int, int], list[int]] = {}
    number = 0
    for column, (bytes_, partial) in enumerate((((0, 1), 2), ((2,), 3))):
        for bit in range(8):
            found = []
            for byte in bytes_:
                terms.append((number, f"row[{byte}]", f"byte{byte}[{bit}]"))
                found.append(number)
                number += 1
            if 2 <= bit < 6:
                part = 5 - bit if left and column else bit - 2
                terms.append((number, f"row[{partial}]", f"part{partial}[{part}]"))
                found.append(number)
                number += 1
            columns[column, bit] = found
    lines = [STORE]
    lines += [f"  wire row{i}__;\n  assign row{i}__ = row[{i}];\n" for i in range(4)]
    lines += [f"  wire [7:0] byte{i};\n  assign byte{i} = bytes_[{8 * i + 7}:{8 * i}];\n" for i in range(3)]
    lines += [f"  wire [3:0] part{i};\n  assign part{i} = half;\n" for i in (2, 3)]
    lines += [f"  wire _{i}_;\n" for i in range(number)]
    lines += [f"  wire column_{column:x}_{bit};\n" for column, bit in columns]
    lines += [f"  assign _{i}_ = {row.replace('[', '').replace(']', '__')} & {bit};\n" for i, row, bit in terms]
    lines += [
        f"  assign column_{column:x}_{bit} = | {{ {', '.join(f'_{i}_' for i in found)} }};\n"
        for (column, bit), found in columns.items()
    ]
    every = ", ".join(f"column_{column:x}_{bit}" for column, bit in reversed(columns))
    return "".join([*lines, f"  assign out = {{ {every} }};\nendmodule\n"])


@pytest.mark.parametrize("left", [False, True])
def test_a_read_port_by_bytes_reads_the_same(left: bool) -> None:
    text = store(left)
    whole = whole_columns(text)
    assert set(re.findall(r"column_(.)__byte;|column_(.)__byte /", whole)) == {("", "0")} | (
        set() if left else {("", "1")}
    )
    library, ports = build_native(divided_read_port(text), "store", optimise="-O0")
    rng = np.random.default_rng(1)
    rows = 300
    row, words, half = rng.integers(0, 16, rows), rng.integers(0, 1 << 24, rows), rng.integers(0, 16, rows)
    with NativeModel(library, ports, None) as model:
        out = model.run({"row": row, "bytes_": words, "half": half})["out"]
    backwards = np.array([int(f"{word:04b}"[::-1], 2) for word in range(16)])
    by_bit = np.stack([np.where(row >> i & 1, words >> 8 * i & 0xFF, 0) for i in range(3)])
    first = by_bit[0] | by_bit[1] | np.where(row >> 2 & 1, half << 2, 0)
    second = by_bit[2] | np.where(row >> 3 & 1, (backwards[half] if left else half) << 2, 0)
    np.testing.assert_array_equal(out, first | second << 8)


def test_a_term_that_something_else_takes_too_stays() -> None:
    text = store(False).replace("  assign out = {", "  wire more;\n  assign more = ~ _0_;\n  assign out = {")
    whole = whole_columns(text)
    assert "assign _0_ = " in whole
    assert "assign _1_ = " not in whole
