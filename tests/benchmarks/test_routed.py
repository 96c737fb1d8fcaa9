"""What routers and checkers get and leave: ports and nets of the DEF, fill cells, patches, SPICE, capacitances."""

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.routed import Routed, for_qrouter, joined, lengths, reached
from benchmarks.routed_checks import extracted, filled, schematic
from flows.library.lef import Layer, Lef, read_lef
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
    # where ports are listed, their net is called after them, whatever it is called in the list of nets
    for port in ("p_a_0", "p_y_0", "p_z_0"):
        assert re.search(rf"^- {port} \+ NET {port} ", text, re.MULTILINE)
        assert len(re.findall(rf"\( PIN {port} \)", text)) == 1
    assert not re.search(r"^- p_y_0$", text, re.MULTILINE)

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


def technology(width_um: float) -> Lef:
    """Five layers; those that run along y differ in pitch."""
    pitches = ((1, 0.14), (2, 0.19), (3, 0.14), (4, 0.28), (5, 0.14))
    layers = tuple(
        Layer(name=f"metal{k}", horizontal=bool(k % 2), pitch_um=pitch, width_um=width_um, ff_per_um=None)
        for k, pitch in pitches
    )
    return Lef(macros={}, layers=layers, site_um=(0.19, 1.4), site_name="s", units_per_um=2000)


def test_tracks_and_ports_for_a_router() -> None:
    """Tracks along each layer alone; a port on the border moves to a crossing inside that is on both, no corner."""
    text = """DIEAREA ( 0 0 ) ( 3800 2800 ) ;
TRACKS X 140 DO 13 STEP 280 LAYER metal1 ;
TRACKS Y 140 DO 10 STEP 280 LAYER metal1 ;
TRACKS X 190 DO 10 STEP 380 LAYER metal2 ;
TRACKS Y 190 DO 7 STEP 380 LAYER metal2 ;
- p_a_0 + NET p_a_0 + DIRECTION INPUT + LAYER metal3 ( -70 -70 ) ( 70 70 ) + PLACED ( 0 700 ) N ;
- p_b_0 + NET n3 + DIRECTION OUTPUT + LAYER metal3 ( -70 -70 ) ( 70 70 ) + PLACED ( 3800 2800 ) N ;
"""
    lines = for_qrouter(text, technology(0.05)).splitlines()
    assert [line.split()[1:3] + line.split()[-2:-1] for line in lines if line.startswith("TRACKS")] == [
        ["Y", "140", "metal1"], ["X", "190", "metal2"],
    ]  # fmt: skip
    assert "PLACED ( 190 700 ) N" in lines[3]
    assert "PLACED ( 3610 2380 ) N" in lines[4]


@pytest.mark.parametrize(
    ("count", "width_um", "apart", "layers"),
    [(7, 0.05, 1, ["metal3"]), (13, 0.05, 1, ["metal3", "metal5"]), (7, 0.07, 2, ["metal3", "metal5"])],
)
def test_ports_have_crossings_of_their_own(count: int, width_um: float, apart: int, layers: list[str]) -> None:
    """Many ports on two sides: each has a crossing and a layer to itself, in order, and wide wires keep a track free
    between them."""

    def side(name: str, x: int) -> list[str]:
        return [
            f"- p_{name}_{k} + NET p_{name}_{k} + DIRECTION INPUT + LAYER metal3 ( -70 -70 ) ( 70 70 ) "
            f"+ PLACED ( {x} {1400 + 20 * k} ) N ;"
            for k in range(count)
        ]

    text = "\n".join(["DIEAREA ( 0 0 ) ( 3800 2800 ) ;", *side("left", 0), *side("right", 3800)])
    port = re.compile(r"^- p_([a-z]+)_(\d+) .* LAYER (\w+) .* \( (\d+) (\d+) \) N ;", re.MULTILINE)
    found = port.findall(for_qrouter(text, technology(width_um)))
    assert len(found) == len({tuple(place) for _, _, *place in found}) == 2 * count
    for name, column in (("left", 190), ("right", 3610)):
        mine = sorted((int(k), layer, int(x), int(y)) for which, k, layer, x, y in found if which == name)
        assert {x for _, _, x, _ in mine} == {column}
        assert all((y - 140) % 280 == 0 and 0 < y // 280 < 9 for *_, y in mine)
        heights = [y for *_, y in mine]
        assert heights == sorted(heights)
        assert np.diff(sorted(set(heights))).min() >= 280 * apart
        assert sorted({layer for _, layer, _, _ in mine}) == layers


def test_more_ports_than_tracks() -> None:
    """They are refused, and not put onto each other."""
    ports = [f"- p_x_{k} + NET p_x_{k} + LAYER metal3 ( 0 0 ) ( 1 1 ) + PLACED ( 0 {k} ) N ;" for k in range(17)]
    with pytest.raises(SystemExit, match="17 ports do not fit 8 tracks of 2 layers"):
        for_qrouter("\n".join(["DIEAREA ( 0 0 ) ( 3800 2800 ) ;", *ports]), technology(0.05))


def test_patches_reach_their_via() -> None:
    """A patch of one point is led to the net's via on its track; whole patches and those of other nets stay."""
    text = """NETS 2 ;
- n1
  ( c1 Y )
+ ROUTED metal1 ( 50950 106500 ) ( 50800 * ) M2_M1
  NEW metal1 ( 45200 104500 ) ( * 104300 ) M2_M1 ;
- n2
+ ROUTED metal1 ( 900 106500 ) ( 800 * ) M2_M1 ;
END NETS
SPECIALNETS 2 ;
- n1
+ ROUTED metal1 400 ( 51100 106500 )
  NEW metal1 400 ( 45200 104650 ) ( * 104300 ) ;
- n3
+ ROUTED metal1 400 ( 700 106500 ) ;
END SPECIALNETS
"""
    assert joined(text).splitlines() == [
        line + " ( 50800 106500 )" if line == "+ ROUTED metal1 400 ( 51100 106500 )" else line
        for line in text.splitlines()
    ]


def test_open_nets_that_a_router_does_not_count() -> None:
    """A net without wires is open if it has two pins, and one with wires if they do not touch one of its ports."""
    text = """PINS 4 ;
- p_a_0 + NET p_a_0 + DIRECTION INPUT + LAYER metal3 ( -1 -1 ) ( 1 1 ) + PLACED ( 10 50 ) N ;
- p_b_0 + NET p_b_0 + DIRECTION OUTPUT + LAYER metal3 ( -1 -1 ) ( 1 1 ) + PLACED ( 90 50 ) N ;
- p_c_0 + NET p_c_0 + DIRECTION OUTPUT + LAYER metal3 ( -1 -1 ) ( 1 1 ) + PLACED ( 90 70 ) N ;
END PINS
NETS 5 ;
- through
  ( PIN p_a_0 )
  ( PIN p_b_0 )
+ ROUTED metal3 ( 10 52 ) ( 95 * ) ;
- short
  ( c1 Y )
  ( PIN p_c_0 )
+ ROUTED metal3 ( 10 70 ) ( 87 * ) M3_M2
  NEW metal2 ( 87 70 ) ( * 90 ) ;
- none
  ( PIN p_a_0 )
  ( PIN p_c_0 )
  + USE SIGNAL ;
- alone
  ( PIN p_a_0 )
  + USE SIGNAL ;
- inside
  ( c1 A )
  ( c2 Y )
+ ROUTED metal2 ( 1 2 ) M2_M1 ;
END NETS
"""
    assert reached(text) == {"through": True, "short": False, "none": False, "alone": True, "inside": True}


def test_lengths_and_capacitances_by_net(tmp_path: Path) -> None:
    """Lengths go to nets by their name, capacitances by that of a port or of a pin; unknown nodes are ground."""
    cells = library_or_skip("nangate45")
    (tmp_path / "top.v").write_text(TEXT)
    netlist, lef = read_netlist(tmp_path / "top.v", liberty=cells.liberty), read_lef(cells.lef)
    placed = place(netlist, lef, utilisation=0.4, spread=True)
    inner, out = (int(netlist.groups["INV_X1"].pin(pin)[0]) for pin in ("A", "ZN"))
    result = Routed(lengths={f"n{inner}": 5.0, f"n{out}": 7.0}, failed=0, nets=5, seconds=0.0, version="")
    um, known = lengths(netlist, placed, result)
    assert (um[inner], um[out], set(np.flatnonzero(known).tolist())) == (5.0, 7.0, {inner, out})
    other = int(netlist.ports["a"].nets[0])
    assert um[other] == placed.wire_um[other]

    cell = int(netlist.groups["INV_X1"].cells[0])
    spice = f"""C0 c{cell}/A p_y_0 2fF
C1 p_a_0 c{cell}/m1_2_3# 500aF
C2 c{cell}/vdd gnd 9fF
C3 p_a_0 gnd 1fF
"""
    total, each = extracted(spice, netlist)
    assert total == pytest.approx(3.5)
    assert {net: ff for net, ff in enumerate(each.tolist()) if ff} == {inner: 2.0, out: 2.0, other: 1.5}
