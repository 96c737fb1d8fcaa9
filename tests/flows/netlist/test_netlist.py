"""Netlists as arrays: flattening, names, wires that join ports, constants, refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.netlist.netlist import Netlist, NetlistError, netlist_from_json, read_netlist
from flows.tools.yosys import YosysError
from tests.flows.toy_library import TOY

DESIGN = """
module pass (input a, output y, output zero);
  assign y = a;
  assign zero = 1'b0;
endmodule
module pair (input [1:0] d, input ck, output [1:0] q);
  INV \\odd.name (.A(d[0]), .Y(q[0]));
  DFF flop (.D(d[1]), .CK(ck), .RN(1'b1), .Q(q[1]));
endmodule
module design (input [3:0] x, input ck, output [4:0] y, output through, output zero);
  wire w;
  pair low (.d(x[1:0]), .ck(ck), .q(y[1:0]));
  pair high (.d({w, x[2]}), .ck(ck), .q(y[3:2]));
  pass wire_only (.a(x[3]), .y(w), .zero(zero));
  assign through = w;
  NAND gate (.A(w), .B(1'b1), .Y(y[4]));
endmodule
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.lib"
    path.write_text(TOY)
    return path


@pytest.fixture
def netlist(toy: Path, tmp_path: Path) -> Netlist:
    path = tmp_path / "design.v"
    path.write_text(DESIGN)
    return read_netlist(path, liberty=[toy])


def test_cells_and_names(netlist: Netlist) -> None:
    assert netlist.top == "design"
    assert netlist.cells == 5
    assert {netlist.cell_name(cell) for cell in range(5)} == {
        "gate", "low.odd.name", "low.flop", "high.odd.name", "high.flop",
    }  # fmt: skip
    assert {kind: len(group.cells) for kind, group in netlist.groups.items()} == {"INV": 2, "DFF": 2, "NAND": 1}
    assert set(netlist.stages) == {"low", "high", "wire_only", "design"}
    stages = {netlist.cell_name(cell): netlist.stages[netlist.cell_stage[cell]] for cell in range(5)}
    assert stages["gate"] == "design"
    assert stages["high.flop"] == "high"


def test_wires_through_modules_join_nets(netlist: Netlist) -> None:
    x = netlist.ports["x"].nets
    gate = netlist.groups["NAND"]
    assert gate.pin("A")[0] == x[3]
    assert gate.pin("B")[0] == 1
    assert netlist.ports["through"].nets[0] == x[3]
    assert netlist.ports["zero"].nets[0] == 0
    flops = netlist.groups["DFF"]
    names = [netlist.cell_name(int(cell)) for cell in flops.cells]
    assert flops.pin("D")[names.index("high.flop")] == x[3]
    assert flops.pin("D")[names.index("low.flop")] == x[1]
    assert set(flops.pin("CK")) == {netlist.ports["ck"].nets[0]}
    assert list(flops.pin("QN")) == [-1, -1]


def test_net_names_are_the_highest_ones(netlist: Netlist) -> None:
    names = netlist.net_names
    assert names[netlist.ports["x"].nets[1]] == "x[1]"
    assert names[netlist.ports["x"].nets[3]] in ("w", "x[3]")
    assert names[netlist.ports["y"].nets[2]] == "y[2]"
    assert netlist.used_nets.sum() == 4 + 1 + 5


def test_every_format_gives_the_same_netlist(toy: Path, tmp_path: Path, netlist: Netlist) -> None:
    from flows.tools.yosys import run_yosys

    script = f"read_liberty -lib {toy}\nread_verilog design.v\nhierarchy -top design\nproc\nwrite_rtlil d.il\n"
    run_yosys(script + "write_json d.json\n", directory=tmp_path)
    for name in ("d.il", "d.json"):
        other = read_netlist(tmp_path / name, liberty=[toy])
        assert other.cells == netlist.cells
        assert sorted(map(other.cell_name, range(5))) == sorted(map(netlist.cell_name, range(5)))
        assert (other.groups["NAND"].pin("A") == other.ports["x"].nets[3]).all()


def test_open_pins_and_cells_of_one_type_with_different_pins(toy: Path, tmp_path: Path) -> None:
    path = tmp_path / "open.v"
    path.write_text(
        "module open (input a, ck, output q, r, s);\n DFF one (.D(a), .CK(ck), .RN(1'b1), .Q(q));\n"
        " NDFF two (.CK(ck), .D(a), .QN(r));\n NDFF three (.D(q), .CK(ck), .Q(s));\nendmodule\n"
    )
    found = read_netlist(path, liberty=[toy])
    assert found.groups["NDFF"].nets.shape[0] == 2
    assert sorted(found.groups["NDFF"].pin("Q")) == sorted([-1, found.ports["s"].nets[0]])
    assert sorted(found.groups["NDFF"].pin("QN")) == sorted([-1, found.ports["r"].nets[0]])
    assert set(found.groups["NDFF"].pin("D")) == {*found.ports["a"].nets, *found.ports["q"].nets}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("module m (input a, b, output y); assign y = a & b; endmodule", NetlistError, "generic"),
        (
            "module m (input a, output y); NOWHERE u (.A(a), .Y(y)); endmodule",
            NetlistError,
            "cell u of module m, pin A: no cell NOWHERE",
        ),
        ("module m (input a, output y); INV u (.A(a), .Y(y)); ", YosysError, "status"),
        ("module m (output y); p i (.y(y)); endmodule module p (output y); assign y = 1'b0; endmodule", None, ""),
    ],
)
def test_what_is_no_mapped_netlist(
    text: str, error: type[Exception] | None, message: str, toy: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.v"
    path.write_text(text)
    if error is None:
        assert read_netlist(path, liberty=[toy]).cells == 0
        return
    with pytest.raises(error, match=message):
        read_netlist(path, liberty=[toy])


def test_taps_and_fillers_are_left_out_and_counted(toy: Path, tmp_path: Path) -> None:
    """Cells that no library describes, and no signal reaches."""
    path = tmp_path / "m.v"
    path.write_text(
        "module m (input a, output y, inout VPWR); INV u (.A(a), .Y(y)); FILL_4 f0 (); FILL_4 f1 (); "
        "TAP t (.VPWR(VPWR), .VGND(1'b0)); endmodule"
    )
    found = read_netlist(path, liberty=[toy])
    assert found.cells == 1
    assert found.left_out == {"FILL_4": 2, "TAP": 1}


def test_bad_files(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no netlist"):
        read_netlist(tmp_path / "none.v", liberty=[toy])
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(NetlistError, match="not a JSON text"):
        read_netlist(tmp_path / "a.json", liberty=[toy])
    (tmp_path / "b.json").write_text(json.dumps({"creator": "somebody"}))
    with pytest.raises(NetlistError, match="no modules"):
        read_netlist(tmp_path / "b.json", liberty=[toy])


def _module(**cells: dict[str, object]) -> dict[str, object]:
    port = {"direction": "output", "bits": [2, 2]}
    return {"ports": {"y": port}, "cells": cells, "netnames": {"y": {"bits": [2, 2]}}, "attributes": {}}


def test_top_has_to_be_evident() -> None:
    data = {"modules": {"a": _module(), "b": _module()}}
    with pytest.raises(NetlistError, match="one top module, found a, b"):
        netlist_from_json(data)
    assert netlist_from_json(data, top="b").top == "b"
    with pytest.raises(NetlistError, match="no module 'c'"):
        netlist_from_json(data, top="c")


def test_two_constants_on_one_net_are_refused() -> None:
    one = {"ports": {"y": {"direction": "output", "bits": ["1"]}}, "cells": {}, "netnames": {}, "attributes": {}}
    zero = {"ports": {"y": {"direction": "output", "bits": ["0"]}}, "cells": {}, "netnames": {}, "attributes": {}}
    cells = {
        "i": {"type": "one", "connections": {"y": [2]}},
        "j": {"type": "zero", "connections": {"y": [2]}},
    }
    top = {"ports": {}, "cells": cells, "netnames": {}, "attributes": {"top": "1"}}
    with pytest.raises(NetlistError, match="constant 0 and to constant 1"):
        netlist_from_json({"modules": {"top": top, "one": one, "zero": zero}})


def test_net_numbers_leave_no_gap(netlist: Netlist) -> None:
    touched = {0, 1, *np.flatnonzero(netlist.used_nets)}
    assert netlist.nets >= len(touched)
    assert max(max(group.nets.max() for group in netlist.groups.values()), 1) < netlist.nets
