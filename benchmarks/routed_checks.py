"""Routed blocks under design rules and against their netlist: ``python -m benchmarks.routed_checks``.

Synthesises blocks onto osu018 (of ECON_T one of its 48 calibrations, a neuron of the convolution and the whole stage
`decode`; of the crossbar of N_MNIST the router of its 200 spikes and the control of its ADCs; of a small crossbar the
whole digital part), and

* places each, fills the gaps of its rows, and has it routed by qrouter, as `benchmarks.routed` does;
* has magic check its layout by the rules of the process and extract it (MOSIS SCMOS submicron, six metals, as Debian's
  qflow-tech-osu018 has them). qrouter leaves the pads of vias that stand on each other as small as a via, which the
  least area of metals forbids: those are made longer, to a side where that breaks no other rule, and all is checked
  again;
* has netgen compare the extracted netlist with the one that was placed, cells as black boxes; the supply rails of rows
  are joined by name, since there are no straps;
* compares lengths, delays and energies as the placement estimates them with those of the routed lengths and of the
  extracted capacitance of each net.

Writes ``benchmarks/results/routed_checks.json``. All three tools are outside programs that nothing else here needs:
``apt install qrouter magic netgen-lvs qflow-tech-osu018``.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from amaranth.lib.wiring import Component

from benchmarks.measured import RESULTS, kept
from benchmarks.routed import QROUTER, compared, for_qrouter, netlist_here, reported, route
from flows.common.metrics import Metric, write_metrics
from flows.common.process import run_process
from flows.library.catalogue import cell_library
from flows.library.lef import Lef, read_lef
from flows.library.wires import wire_unit
from flows.netlist.netlist import Netlist
from flows.physical.def_file import write_def
from flows.physical.place import Placement, place
from flows.physical.timing import net_spelling, port_bits
from hw.hgcal_encoder.calibrate import CalibrateCell
from hw.hgcal_encoder.convolution import conv_format
from hw.hgcal_encoder.decode import Decode
from hw.hgcal_encoder.neuron import Neuron
from hw.lsm_crossbar.adc import Adc
from hw.lsm_crossbar.crossbar import Crossbar
from hw.lsm_crossbar.router import Router
from sim.hgcal_encoder.spec import ECON_T
from sim.lsm_crossbar.spec import N_MNIST, CrossbarSpec

SMALL_CROSSBAR = CrossbarSpec(
    name="CROSSBAR_8_NEURONS", inputs=8, neurons=8, steps=50, outputs=2, threshold=40, leak=(-4, -5), windows=1
)
"""A crossbar whose digital part is as large as qrouter finishes in minutes."""
BLOCKS: Mapping[str, Callable[[], Component]] = {
    "calibrate_cell": CalibrateCell,
    "neuron_4_taps": partial(
        Neuron, dot_format=conv_format(ECON_T, 4), fraction=ECON_T.conv_product_fraction, output=ECON_T.activation
    ),
    "decode": Decode,
    "spike_router": partial(Router, spec=N_MNIST),
    "adc_control": partial(Adc, spec=N_MNIST),
    "crossbar_8_neurons": partial(Crossbar, spec=SMALL_CROSSBAR),
}
UTILISATION = 0.5
TECHNOLOGY = Path("/usr/share/qflow/tech/osu018")
FILL = "FILL"
TIMEOUT_S = 1800.0
MAGIC = """tech load {technology}/SCN6M_SUBM.10
drc euclidean on
lef read {lef}
def read routed.def
load flat
select top cell
proc violations {{}} {{
  drc check
  drc catchup
  drc listall why
}}
proc show {{when why}} {{
  foreach {{rule boxes}} $why {{ puts "$when: [llength $boxes] of $rule" }}
}}
set why [violations]
show before $why
# ways to make a pad longer, as what is added left, below, right and above of it where its metal runs along x
set ways {{{{1 0 1 0}} {{0 1 0 1}} {{0 0 2 0}} {{2 0 0 0}} {{0 0 0 2}} {{0 2 0 0}}}}
# does that to a pad, or takes it back
proc ends {{act metal pad way}} {{
  lassign $pad l b r t
  lassign [lindex $::ways $way] left below right above
  if {{$metal % 2 == 0}} {{ lassign [list $below $left $above $right] left below right above }}
  foreach strip [list [list [expr $l - $left] $b $l $t] [list $r $b [expr $r + $right] $t] \\
                      [list $l [expr $b - $below] $r $b] [list $l $t $r [expr $t + $above]]] {{
    lassign $strip x y u v
    if {{$x < $u && $y < $v}} {{ box values $x $y $u $v; $act m$metal }}
  }}
}}
set pads {{}}
foreach {{rule boxes}} $why {{
  if {{[regexp {{^Metal(\\d) area}} $rule all metal]}} {{
    foreach pad $boxes {{ lappend pads [list $metal $pad]; ends paint $metal $pad 0 }}
  }}
}}
set way [lrepeat [llength $pads] 0]
for {{set round 0}} {{$round < 8}} {{incr round}} {{
  select top cell
  set moved {{}}
  foreach {{rule boxes}} [violations] {{
    if {{![regexp {{^Metal(\\d) spacing}} $rule all metal]}} {{ continue }}
    foreach wrong $boxes {{
      lassign $wrong left bottom right top
      # of the pads beside it the one that moved least, so that they do not move together
      set least 99
      for {{set k 0}} {{$k < [llength $pads]}} {{incr k}} {{
        lassign [lindex $pads $k 1] l b r t
        if {{[lindex $pads $k 0] == $metal && $l <= $right + 3 && $r >= $left - 3 && $b <= $top + 3 && $t >= $bottom - 3
            && [lindex $way $k] < $least}} {{ set least [lindex $way $k]; set pick $k }}
      }}
      if {{$least < [llength $ways] - 1 && $pick ni $moved}} {{
        lappend moved $pick
        ends erase $metal [lindex $pads $pick 1] $least
        lset way $pick [expr $least + 1]
        ends paint $metal [lindex $pads $pick 1] [expr $least + 1]
      }}
    }}
  }}
  if {{[llength $moved] == 0}} {{ break }}
}}
select top cell
show after [violations]
extract all
ext2spice lvs
ext2spice -o layout.spice
ext2spice cthresh 0
ext2spice -o wires.spice
puts "end of magic"
quit -noprompt
"""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What magic and netgen found: violations by rule before and after pads were made longer, whether the netlists
    match, the extracted capacitance of all wires in fF, and that of each net."""

    before: dict[str, int]
    after: dict[str, int]
    matches: bool
    devices: int
    wire_ff: float
    net_ff: npt.NDArray[np.float64]
    magic: str
    netgen: str


def filled(text: str, netlist: Netlist, placement: Placement, lef: Lef) -> str:
    """A DEF with a fill cell at every site of a row that no cell takes: the rails of its supply are whole."""
    site, row = lef.site_um
    columns, rows = (round(length / step) for length, step in zip(placement.core_um, (site, row), strict=True))
    taken = np.zeros((rows, columns), np.bool_)
    for x, y, width in zip(placement.x_um, placement.y_um, placement.width_um, strict=True):
        first = round(x / site)
        taken[round(y / row), first : first + round(width / site)] = True
    unit = lef.units_per_um
    lines = [
        f"- fill_{r}_{c} {FILL} + PLACED ( {round(c * site * unit)} {round(r * row * unit)} ) "
        f"{'FS' if r % 2 else 'N'} ;"
        for r, c in np.argwhere(~taken).tolist()
    ]
    text = text.replace(f"COMPONENTS {netlist.cells} ;", f"COMPONENTS {netlist.cells + len(lines)} ;")
    return text.replace("END COMPONENTS", "\n".join([*lines, "END COMPONENTS"]))


def schematic(netlist: Netlist, pins: Mapping[str, Sequence[str]]) -> str:
    """The netlist in SPICE, cells as black boxes with a supply, their pins in the order given."""
    wires = net_spelling(netlist)
    ports = list(port_bits(netlist))
    for name, direction, net in ports:
        if direction != "input":
            wires[net] = name
    boxes = [line for type_ in sorted(netlist.groups) for line in (f".subckt {type_} {' '.join(pins[type_])}", ".ends")]
    cells = []
    for group in netlist.groups.values():
        for cell, row in zip(group.cells.tolist(), group.nets.tolist(), strict=True):
            at = {pin: wires[net] for pin, net in zip(group.pins, row, strict=True) if net >= 0}
            at |= {"gnd": "gnd", "vdd": "vdd"}
            nets = (at.get(pin, f"open_{cell}_{pin}") for pin in pins[group.type])
            cells.append(f"Xc{cell} {' '.join(nets)} {group.type}")
    return "\n".join([*boxes, f".subckt flat {' '.join(name for name, *_ in ports)}", *cells, ".ends", ""])


def extracted(spice: str, netlist: Netlist) -> tuple[float, npt.NDArray[np.float64]]:
    """Capacitance of all wires, and of each net, in fF; between two nets it counts for both.

    Nodes are named after ports, or after a pin of a cell on the net (``c12/Y``); all others are supplies, wells, and
    metal in cells.
    """
    net_of = {name: net for name, _, net in port_bits(netlist)}
    for group in netlist.groups.values():
        for column, pin in enumerate(group.pins):
            net_of |= {
                f"c{cell}/{pin}": net
                for cell, net in zip(group.cells.tolist(), group.nets[:, column].tolist(), strict=True) if net >= 0
            }  # fmt: skip
    supply = re.compile(r"\S*(gnd|vdd|#)$", re.IGNORECASE)
    total, each = 0.0, np.zeros(netlist.nets)
    for first, second, value, unit in re.findall(r"^C\d+ (\S+) (\S+) ([\d.]+)([fa])F", spice, re.MULTILINE):
        ff = float(value) / (1 if unit == "f" else 1000)
        # what rails and wells have among themselves is no wire's
        total += 0.0 if supply.match(first) and supply.match(second) else ff
        for node in (first, second):
            if (net := net_of.get(node)) is not None:
                each[net] += ff
    return total, each


def check(folder: Path, netlist: Netlist, technology: Path, lef_files: tuple[Path, ...]) -> Checked:
    """Check ``routed.def`` in a folder by the rules, and against the netlist."""
    (lef,) = lef_files
    (folder / "check.tcl").write_text(MAGIC.format(technology=technology, lef=lef))
    magic = run_process(
        ["magic", "-dnull", "-noconsole", "check.tcl"], tool="magic", directory=folder, timeout_s=TIMEOUT_S
    )
    if "end of magic" not in magic.log:
        raise SystemExit(f"magic ended early: {magic.log[-300:].strip()}")
    found: dict[str, dict[str, int]] = {"before": {}, "after": {}}
    for when, count, rule in re.findall(r"^(before|after): (\d+) of (.+)$", magic.log, re.MULTILINE):
        found[when][rule] = int(count)
    layout = folder / "layout.spice"
    text = re.sub(r"\S+/(gnd|vdd)\b", r"\1", layout.read_text().replace("\n+", ""))
    layout.write_text(text)
    pins = {name: order.split() for name, order in re.findall(r"^\.subckt (\S+) (.*)$", text, re.MULTILINE)}
    (folder / "schematic.spice").write_text(schematic(netlist, pins))
    setup = technology / "osu018_setup.tcl"
    netgen = run_process(
        ["netgen-lvs", "-batch", "lvs", "layout.spice flat", "schematic.spice flat", setup, "compared.txt"],
        tool="netgen", directory=folder, timeout_s=TIMEOUT_S,
    )  # fmt: skip
    devices = re.search(r"Circuit 1 contains (\d+) devices, Circuit 2 contains \1 devices", netgen.log)
    wire_ff, net_ff = extracted((folder / "wires.spice").read_text(), netlist)
    magic_version, netgen_version = (
        re.search(pattern, log)
        for pattern, log in ((r"Magic (\S+ revision \d+)", magic.log), (r"Netgen (\S+)", netgen.log))
    )
    return Checked(
        before=found["before"], after=found["after"], devices=int(devices[1]) if devices else 0,
        matches="Circuits match uniquely." in netgen.log and "Netlists do not match" not in netgen.log,
        wire_ff=wire_ff, net_ff=net_ff,
        magic=magic_version[1].replace(" revision ", ".") if magic_version else "unknown",
        netgen=netgen_version[1] if netgen_version else "unknown",
    )  # fmt: skip


def measure(block: str, qrouter: Path, technology: Path) -> list[Metric]:
    """Rows of one block."""
    cells = cell_library("osu018")
    lef = read_lef(cells.lef)
    with tempfile.TemporaryDirectory(prefix="liquidcal-route-") as temporary:
        folder = Path(temporary)
        netlist = netlist_here(BLOCKS[block](), block, cells, folder / "synthesis")
        placement = place(netlist, lef, utilisation=UTILISATION, spread=True)
        write_def(folder / "placed.def", netlist, placement, lef)
        text = for_qrouter((folder / "placed.def").read_text(), lef)
        (folder / "placed.def").write_text(filled(text, netlist, placement, lef))
        routed = route(folder, qrouter, cells.lef)
        checked = check(folder, netlist, technology, cells.lef)
    for when, rules in (("before", checked.before), ("after", checked.after)):
        for rule, count in rules.items():
            print(f"{block:>28} {when:>6}: {count:5} {rule}", flush=True)
    least_area = sum(count for rule, count in checked.before.items() if " area " in rule)
    how = (
        f"{netlist.cells:,} cells of osu018 at {100 * UTILISATION:g} % and fill, qrouter {routed.version}, magic "
        f"{checked.magic}, netgen {checked.netgen}"
    )
    found = (
        ("cells", netlist.cells, "", f"cells; {how}"),
        ("nets", routed.nets, "", f"nets; {how}"),
        ("nets_failed", routed.failed, "", f"nets that qrouter left open; {how}"),
        ("least_area", least_area, "", "pads of vias smaller than the least area, as qrouter left them"),
        ("violations", sum(checked.before.values()) - least_area, "", "all other violations of design rules"),
        ("violations_after", sum(checked.after.values()), "", "violations of any rule once these pads are longer"),
        ("devices_compared", checked.devices, "", "cells in the extracted netlist, as many as were placed"),
        ("netlists_match", int(checked.matches), "", "1: netgen says that both netlists match uniquely"),
        ("capacitance_estimated", float(placement.wire_ff(wire_unit(cells.liberty, lef).ff_per_um).sum()) / 1000, "pF",
         "of wires, by the placement"),
        ("capacitance_extracted", checked.wire_ff / 1000, "pF", "what magic extracts, between wires and to ground"),
        *compared(netlist, placement, routed, cells, lef, {"extracted": checked.net_ff}),
    )  # fmt: skip
    return reported(
        block, found, command="python -m benchmarks.routed_checks", tool="magic", version=checked.magic, library=cells
    )


def main() -> None:
    """Place, route, check, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blocks", nargs="*", help=f"some of {', '.join(BLOCKS)}; all where left out")
    parser.add_argument("--qrouter", type=Path, default=QROUTER, help="folder of qrouternullg and qrouter.tcl")
    parser.add_argument("--technology", type=Path, default=TECHNOLOGY, help="folder of SCN6M_SUBM.10.tech")
    options = parser.parse_args()
    if not (options.technology / "SCN6M_SUBM.10.tech").is_file():
        parser.error(f"no SCN6M_SUBM.10.tech in {options.technology}: install Debian's package qflow-tech-osu018")
    if unknown := sorted(set(options.blocks) - set(BLOCKS)):
        parser.error(f"no block {unknown[0]}: expected {', '.join(BLOCKS)}")
    rows = [
        row
        for block in options.blocks or BLOCKS
        for row in measure(block, options.qrouter.resolve(), options.technology.resolve())
    ]
    path, names = RESULTS / "routed_checks.json", {row.name for row in rows}
    write_metrics(path, [*rows, *kept(path, lambda metric: metric.name in names)])


if __name__ == "__main__":
    main()
