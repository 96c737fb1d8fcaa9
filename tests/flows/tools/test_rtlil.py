"""RTLIL text: modules taken apart, cells left out, and what makes two modules equal."""

import re

import pytest

from flows.tools.rtlil import parse_rtlil, split_rtlil

DESIGN = """# written by hand
autoidx 7
attribute \\src "a.py:1"
attribute \\top 1
module \\top
  wire width 2 input 1 \\a
  attribute \\src "a.py:2"
  wire $7
  cell \\inner \\one
    connect \\x \\a [0]
    connect \\y $7
  end
  cell $_DFF_P_ $flop
    connect \\D $7
    connect \\Q \\q
  end
  wire output 2 \\q
end
module \\inner
  wire input 1 \\x
  wire output 2 \\y
  process $p
    assign \\y \\x
    sync always
  end
end
"""


def test_texts_of_modules_make_the_design_again() -> None:
    preamble, modules = split_rtlil(DESIGN)
    assert preamble == ["autoidx 7"]
    assert [module.name for module in modules] == ["\\top", "\\inner"]
    lines = [*preamble, *(line for module in modules for line in module.lines)]
    assert lines == DESIGN.splitlines()[1:]
    with pytest.raises(ValueError, match=r"ends inside module \\inner"):
        split_rtlil(DESIGN.removesuffix("end\n"))


def test_types_of_cells_can_be_exchanged() -> None:
    top = split_rtlil(DESIGN)[1][0]
    assert [kind for _, kind in top.cell_types()] == ["\\inner", "$_DFF_P_"]
    index, _ = next(top.cell_types())
    top.set_cell_type(index, "\\other\\1")
    assert top.body[index] == "  cell \\other\\1 \\one"


@pytest.mark.parametrize(
    ("edit", "same"),
    [
        (("$7", "$99"), True),  # numbering of private names
        (('attribute \\src "a.py:2"', 'attribute \\src "b.py:3"'), True),
        (("\\top 1\nmodule \\top", "\\top 1\nmodule \\other"), True),  # its own name
        (("wire width 2 input 1 \\a", "wire width 2 input 1 \\b"), False),  # names of ports count
        (("connect \\x \\a [0]", "connect \\x \\a [1]"), False),
        (("$_DFF_P_", "$_DFF_N_"), False),
        (("attribute \\top 1", "attribute \\keep 1"), False),
    ],
)
def test_what_makes_modules_equal(edit: tuple[str, str], same: bool) -> None:
    assert edit[0] in DESIGN
    first, other = (split_rtlil(text)[1][0].content() for text in (DESIGN, DESIGN.replace(*edit)))
    assert (first == other) is same


def test_only_some_cells_are_read() -> None:
    text = DESIGN[: DESIGN.index("module \\inner")]
    assert [cell.name for cell in parse_rtlil(text)["top"].cells] == ["\\one", "$flop"]
    some = parse_rtlil(text, re.compile(r"\$_DFF_"))["top"]
    assert [cell.name for cell in some.cells] == ["$flop"]
    assert some.wires == parse_rtlil(text)["top"].wires
    assert some.wire_attributes == parse_rtlil(text)["top"].wire_attributes
    assert some.bits(some.cells[0].connections["Q"]) == ["\\q [0]"]


def test_names_of_nets_are_read_from_rtlil_as_yosys_writes_it() -> None:
    """Private nets with a width, constants without one, concatenations."""
    text = """module \\m
  wire width 32 \\zero
  wire $1
  wire width 3 $whole
  wire width 3 \\c
  wire width 4 \\d
  connect \\zero 0
  connect \\c $whole
  connect \\d { 1'0 \\c [2:1] $1 }
end
"""
    assert parse_rtlil(text)["m"].aliases() == {
        "$whole [0]": ["\\c [0]"], "$whole [1]": ["\\c [1]"], "$whole [2]": ["\\c [2]"], "$1 [0]": ["\\d [0]"],
        "\\c [1]": ["\\d [1]"], "\\c [2]": ["\\d [2]"],
    }  # fmt: skip


def test_constants_shorter_than_their_width() -> None:
    """As yosys writes them: zeros in front, or the first digit where that is undefined."""
    module = parse_rtlil("module \\m\n  wire width 6 \\y\n  connect \\y { 3'x 3'1 }\nend\n")["m"]
    assert module.bits("{ 3'x 3'1 }") == ["1", "0", "0", "x", "x", "x"]
    assert module.bits("4'z0") == ["0", "z", "z", "z"]
    assert module.bits("2'10") == ["0", "1"]
