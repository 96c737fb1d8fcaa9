"""DEF and GDSII of a placed netlist, read back by readers that know nothing of ours: geometry and nets."""

import re
import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from flows.library.lef import Lef, read_lef
from flows.library.liberty_file import LibraryError
from flows.library.power_library import PowerLibrary, read_power_library
from flows.netlist.netlist import Netlist, read_netlist
from flows.netlist.view import Wires
from flows.physical.def_file import routed_um, write_def, write_exchange
from flows.physical.gds_file import layout_of, records, write_gds
from flows.physical.place import Placement, place
from tests.flows.conftest import library_or_skip


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Netlist, PowerLibrary, Placement, Lef, str]:
    """A chain of NANDs and registers with a bus, placed, and its DEF."""
    library = library_or_skip("nangate45")
    folder = tmp_path_factory.mktemp("def")
    cells = "".join(
        f"NAND2_X1 g{k} (.A1(w[{k}]), .A2(x[{k % 8}]), .ZN(w[{k + 1}]));"
        f"DFF_X1 f{k} (.CK(clk), .D(w[{k + 1}]), .Q(q[{k}]));" for k in range(60))  # fmt: skip
    (folder / "d.v").write_text(
        "module d (input clk, a, input [7:0] x, output [59:0] q, output z); wire [60:0] w; assign w[0] = a; "
        f"{cells} assign z = w[60]; endmodule"
    )
    netlist = read_netlist(folder / "d.v", liberty=library.liberty)
    lef = read_lef(library.lef)
    placement = place(netlist, lef, utilisation=0.6)
    write_def(folder / "d.def", netlist, placement, lef)
    return netlist, read_power_library(library.liberty), placement, lef, (folder / "d.def").read_text()


def section(text: str, name: str) -> list[list[str]]:
    """Statements of a section, each as its words; their number is what the section says."""
    count, body = re.search(rf"^{name} (\d+) ;\n(.*?)^END {name}$", text, re.MULTILINE | re.DOTALL).groups()  # type: ignore[union-attr]
    found = [part.split() for part in body.split(";")[:-1]]
    assert len(found) == int(count)
    return found


def test_cells_stand_in_rows_of_their_orientation(placed: tuple[Netlist, PowerLibrary, Placement, Lef, str]) -> None:
    netlist, _, placement, lef, text = placed
    unit = int(re.search(r"^UNITS DISTANCE MICRONS (\d+) ;$", text, re.MULTILINE)[1])  # type: ignore[index]
    rows = re.findall(r"^ROW \S+ (\S+) (\d+) (\d+) (\S+) DO (\d+) BY 1 STEP (\d+) 0 ;$", text, re.MULTILINE)
    turned = {int(y): orientation for _, _, y, orientation, _, _ in rows}
    assert [row[3] for row in rows] == ["FS" if k % 2 else "N" for k in range(len(rows))]
    assert {row[0] for row in rows} == {lef.site_name}
    site = int(rows[0][5])
    spans: dict[int, list[tuple[int, int]]] = {}
    types = {f"c{cell}": kind for kind, group in netlist.groups.items() for cell in group.cells.tolist()}
    for words in section(text, "COMPONENTS"):
        name, kind, x, y = words[1], words[2], int(words[6]), int(words[7])
        assert words[:1] + words[3:6] + words[8:9] == ["-", "+", "PLACED", "(", ")"]
        assert types.pop(name) == kind
        assert words[9] == turned[y]
        assert x % site == 0
        spans.setdefault(y, []).append((x, x + round(lef.macros[kind].width_um * unit)))
        cell = int(name[1:])
        assert (x / unit, y / unit) == pytest.approx((placement.x_um[cell], placement.y_um[cell]))
    assert not types
    for row in spans.values():
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(row)))


def test_nets_are_those_of_the_netlist(placed: tuple[Netlist, PowerLibrary, Placement, Lef, str]) -> None:
    netlist, _, placement, lef, text = placed
    pins: dict[str, set[tuple[str, str]]] = {}
    for words in section(text, "NETS"):
        joined = " ".join(words)
        pins[words[1]] = set(re.findall(r"\( (\S+) (\S+) \)", joined))
    expected: dict[int, set[tuple[str, str]]] = {}
    for group in netlist.groups.values():
        for row, cell in enumerate(group.cells.tolist()):
            for column, pin in enumerate(group.pins):
                if (net := int(group.nets[row, column])) >= 0:
                    expected.setdefault(net, set()).add((f"c{cell}", pin))
    for name, port in netlist.ports.items():
        for bit, net in enumerate(port.nets.tolist()):
            expected.setdefault(net, set()).add(("PIN", f"p_{name}_{bit}"))
    assert sorted(map(sorted, pins.values())) == sorted(map(sorted, expected.values()))
    # each port is a pin on its net, on the border, on a layer of the library
    width, height = (round(length * lef.units_per_um) for length in placement.core_um)
    for words in section(text, "PINS"):
        joined = " ".join(words)
        name, net = words[1], words[4]
        assert ("PIN", name) in pins[net]
        x, y = map(int, re.search(r"PLACED \( (-?\d+) (-?\d+) \) N", joined).groups())  # type: ignore[union-attr]
        assert x in (0, width) or y in (0, height)
        assert re.search(r"LAYER (\S+) ", joined)[1] in {layer.name for layer in lef.layers[1:]}  # type: ignore[index]


def test_length_of_routed_wires() -> None:
    """Three nets by hand: 2000 units are a micrometre, a star repeats a coordinate, a via has no length."""
    text = """VERSION 5.8 ;
UNITS DISTANCE MICRONS 2000 ;
NETS 3 ;
- n2 ( c1 A ) ( c2 ZN ) + USE SIGNAL
+ ROUTED metal1 ( 1000 500 ) via1_4
  NEW metal2 ( 1000 500 ) ( * 4500 ) via2_8
  NEW metal3 ( 1000 4500 ) ( 7000 * ) ( * 4400 ) via2_8 ;
- n3 ( c1 B ) ( PIN p_a_0 ) + USE SIGNAL ;
- p_b_1 ( c4 A ) ( PIN p_b_1 )
+ ROUTED metal2 ( 0 0 70 ) ( 0 600 0 ) ;
END NETS
"""
    assert routed_um(text) == {"n2": pytest.approx((4000 + 6000 + 100) / 2000), "p_b_1": pytest.approx(0.3)}
    with pytest.raises(ValueError, match="expected a DEF file"):
        routed_um(text.replace("UNITS", "UNIT"))


def test_three_files_of_one_spelling(placed: tuple[Netlist, PowerLibrary, Placement, Lef, str], tmp_path: Path) -> None:
    netlist, library, placement, lef, text = placed
    wires = Wires(ff=placement.wire_ff(0.1), ohm=placement.wire_ohm(2.5), ff_per_um=0.1, core_um2=1.0, source="")
    write_exchange(tmp_path, netlist, library, placement, lef, wires)
    assert (tmp_path / "flat.def").read_text() == text
    verilog, spef = (tmp_path / "flat.v").read_text(), (tmp_path / "flat.spef").read_text()
    nets = {words[1] for words in section(text, "NETS")}
    assert set(re.findall(r"^\*D_NET (\S+) ", spef, re.MULTILINE)) <= nets
    assert {f"c{cell}" for cell in range(netlist.cells)} == set(re.findall(r"^  \w+ (c\d+) \(", verilog, re.MULTILINE))
    total = sum(map(float, re.findall(r"^\*D_NET \S+ (\S+)$", spef, re.MULTILINE)))
    assert total == pytest.approx(0.1 * placement.wire_um.sum(), rel=1e-4)
    with pytest.raises(ValueError, match="expected a placement of 120 cells, got one of 119"):
        write_def(tmp_path / "x.def", netlist, _shorter(placement), lef)
    assert not (tmp_path / "x.def").exists()


def _shorter(placement: Placement) -> Placement:
    values = {name: value for name, value in vars(placement).items() if name not in ("wire_um", "overlaps")}
    return Placement(**{**values, "x_um": np.delete(placement.x_um, 0)})


def test_cells_of_the_library_stand_in_the_gds_as_in_the_def(
    placed: tuple[Netlist, PowerLibrary, Placement, Lef, str], tmp_path: Path
) -> None:
    """References by the manual's rule: mirrored about the axis of x first, then moved; a unit of NanGate is 0.1 nm."""
    netlist, _, placement, lef, text = placed
    drawn = layout_of(library_or_skip("nangate45"))
    assert drawn is not None
    write_gds(tmp_path / "d.gds", netlist, placement, drawn, row_um=lef.site_um[1])
    data = (tmp_path / "d.gds").read_bytes()
    top = data.rindex(struct.pack(">HH", 28, 0x0502))
    assert data[:top] + struct.pack(">HH", 4, 0x0400) == drawn.read_bytes()[: top + 4]
    found, element = [], {}
    for kind, content, at in records(data):
        if at < top:
            continue
        element[kind] = content
        if kind == 0x1100 and 0x0A00 in element:
            x, y = struct.unpack(">2i", element[0x1003])
            found.append((element[0x1206].rstrip(b"\0").decode(), x, y, element.get(0x1A01) == b"\x80\0"))
        element = {} if kind == 0x1100 else element
    unit = int(re.search(r"^UNITS DISTANCE MICRONS (\d+) ;$", text, re.MULTILINE)[1])  # type: ignore[index]
    scale, row = 10_000 // unit, round(lef.site_um[1] * 10_000)
    expected = [
        (words[2], scale * int(words[6]), scale * int(words[7]) + (row if words[9] == "FS" else 0), words[9] == "FS")
        for words in section(text, "COMPONENTS")
    ]
    assert sorted(found) == sorted(expected)
    (tmp_path / "none.gds").write_bytes(data[:200])
    with pytest.raises(LibraryError, match=r"none.gds: expected GDSII with units and an end"):
        write_gds(tmp_path / "x.gds", netlist, placement, tmp_path / "none.gds", row_um=lef.site_um[1])
    assert not (tmp_path / "x.gds").exists()
