"""What routers and checkers get: ports and nets of the DEF, fill cells, the netlist in SPICE."""

import re
from pathlib import Path

from benchmarks.routed import for_qrouter
from benchmarks.routed_checks import filled, schematic
from flows.library.lef import read_lef
from flows.netlist.netlist import read_netlist
from flows.physical.def_file import write_def
from flows.physical.place import place
from tests.flows.conftest import library_or_skip

TEXT = """module top (input [1:0] a, output y, z); wire m;
  NAND2_X1 f (.A1(a[0]), .A2(a[1]), .ZN(m)); INV_X1 g (.A(m), .ZN(y)); DFF_X1 h (.D(m), .CK(a[0]), .Q(z)); endmodule"""
PINS = {"NAND2_X1": "ZN A1 A2 gnd vdd", "INV_X1": "gnd vdd A ZN", "DFF_X1": "CK D Q QN vdd gnd"}


def test_what_outside_tools_get(tmp_path: Path) -> None:
    cells = library_or_skip("nangate45")
    (tmp_path / "top.v").write_text(TEXT)
    netlist, lef = read_netlist(tmp_path / "top.v", liberty=cells.liberty), read_lef(cells.lef)
    placed = place(netlist, lef, utilisation=0.4, spread=True)
    write_def(tmp_path / "placed.def", netlist, placed, lef)
    text = for_qrouter((tmp_path / "placed.def").read_text(), lef)
    # an output port and its net share a name, at the port and in the list of nets
    for port in ("p_y_0", "p_z_0"):
        assert re.search(rf"^- {port} \+ NET {port} ", text, re.MULTILINE)
        assert len(re.findall(rf"^- {port}$", text, re.MULTILINE)) == 1

    whole = filled(text, netlist, placed, lef)
    listed = re.findall(r"^- \S+ (\S+) \+ PLACED \( (\d+) (\d+) \) (N|FS) ;", whole, re.MULTILINE)
    assert f"COMPONENTS {len(listed)} ;" in whole
    site, row = (round(length * lef.units_per_um) for length in lef.site_um)
    taken: set[tuple[int, int]] = set()
    for kind, x, y, turned in listed:
        width = site if kind == "FILL" else round(lef.macros[kind].width_um * lef.units_per_um)
        mine = {(int(x) // site + k, int(y) // row) for k in range(width // site)}
        assert not taken & mine
        assert turned == ("FS" if int(y) // row % 2 else "N")
        taken |= mine
    assert len(taken) == round(placed.core_um[0] / lef.site_um[0]) * round(placed.core_um[1] / lef.site_um[1])

    spice = schematic(netlist, {kind: pins.split() for kind, pins in PINS.items()})
    found = {line.split()[-1]: line.split()[1:-1] for line in spice.splitlines() if line.startswith("X")}
    inner = found["NAND2_X1"][0]
    assert found["NAND2_X1"] == [inner, "p_a_0", "p_a_1", "gnd", "vdd"]
    assert found["INV_X1"] == ["gnd", "vdd", inner, "p_y_0"]
    assert found["DFF_X1"][:3] == ["p_a_0", inner, "p_z_0"]
    assert ".subckt flat p_a_0 p_a_1 p_y_0 p_z_0" in spice
