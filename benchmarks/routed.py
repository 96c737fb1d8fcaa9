"""Placed estimates of wires against routed ones: ``python -m benchmarks.routed``.

Blocks of ECON_T as synthesis left them are placed by our placer and routed by qrouter (R. T. Edwards, GPL; Debian's
package, an outside program that nothing else here needs), on the layers of NanGate 45 up to the sixth. Of nets that are
routed the length is compared with the estimate; delay and energy of the block are those with either, at random inputs.

What qrouter cannot route is counted and keeps its estimate. Its wires are not checked by design rules.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from amaranth.lib.wiring import Component

from benchmarks.measured import RESULTS, kept, record
from benchmarks.placement import netlist_of
from flows.common.metrics import Metric, write_metrics
from flows.common.process import run_process
from flows.library.lef import Lef
from flows.library.library import CellLibrary
from flows.library.power_library import PowerLibrary, read_power_library
from flows.library.wires import wire_unit
from flows.netlist.delays import arrivals
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import Netlist, netlist_from_json
from flows.netlist.view import Wires, prepare
from flows.physical.def_file import routed_um, wire_points, write_def
from flows.physical.mapped import Mapped
from flows.physical.place import Placement, place
from flows.physical.timing import net_spelling
from flows.power.activity import record as record_activity
from flows.power.cell_power import cell_power
from flows.synthesis.synthesise import synthesise
from hw.common.export import to_rtlil

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

BLOCKS = ("calibrate_cell", "neuron_9_taps_7_dot_product")
UTILISATION = 0.6
LAYERS = 6
TIMEOUT_S = 1200.0
QROUTER = Path("/usr/lib/qrouter")
SCRIPT = """source {folder}/qrouter.tcl
verbose 1
{lef}
layers {layers}
read_def placed.def
stage1
stage2 mask none effort 40
write_def routed.def
puts "failing [failing summary]"
exit
"""


def for_qrouter(text: str, lef: Lef) -> str:
    """A DEF as qrouter reads it: tracks along each layer alone, since it takes the last line of a layer for its only
    one; each port on a crossing of tracks of its own (`port_crossings`); and the net of a port named after the port
    where ports are listed, since qrouter takes that for the port's name, and leaves ports that nets name otherwise
    unconnected, and says nothing."""
    along = {layer.name: "Y" if layer.horizontal else "X" for layer in lef.layers}
    at = port_crossings(text, lef)

    def moved(line: str) -> str:
        name = line.split()[1]
        layer, x, y = at[name]
        line = re.sub(r"\+ NET \w+", f"+ NET {name}", line)
        line = re.sub(r"LAYER \w+", f"LAYER {layer}", line)
        return re.sub(r"PLACED \( \d+ \d+ \) N", f"PLACED ( {x} {y} ) N", line)

    lines = []
    for line in text.split("\n"):
        track = re.match(r"TRACKS (\w) .* LAYER (\w+) ;", line)
        if track is None or along[track[2]] == track[1]:
            lines.append(moved(line) if line.startswith("- p_") and "PLACED" in line else line)
    return "\n".join(lines)


def port_crossings(text: str, lef: Lef) -> dict[str, tuple[str, int, int]]:
    """Layer and place of each port of a DEF: crossings of tracks of the second and third layer, since qrouter crashes
    on ports outside of its grid, and no two ports on one, since it leaves the nets of one of them open. Ports stay on
    their side and in their order; where a side has fewer tracks than ports, some go to its next layers
    that have those tracks."""
    pitch = {layer.horizontal: round(layer.pitch_um * lef.units_per_um) for layer in lef.layers[2:0:-1]}
    size = re.search(r"DIEAREA \( 0 0 \) \( (\d+) (\d+) \)", text)
    assert size is not None
    width, height = int(size[1]), int(size[2])
    columns, rows = width // pitch[False], height // pitch[True]
    found = re.findall(r"^- (p_\w+) \+ NET .* PLACED \( (\d+) (\d+) \) N ;$", text, re.MULTILINE)
    sides: dict[tuple[bool, bool], list[tuple[int, str]]] = {}
    for name, left, low in found:
        x, y = int(left), int(low)
        horizontal = x in (0, width)
        sides.setdefault((horizontal, bool(x if horizontal else y)), []).append((y if horizontal else x, name))
    places = {}
    for (horizontal, far), ports in sides.items():
        step, tracks = pitch[horizontal], rows if horizontal else columns
        lowest = lef.layers[2 if horizontal else 1]
        # where tracks are as near as NanGate 45's, the via of a port closes the tracks beside it
        apart = 2 if lowest.pitch_um < 2.5 * lowest.width_um else 1
        layers = [
            layer.name
            for layer in lef.layers[1:LAYERS]
            if layer.horizontal is horizontal and round(layer.pitch_um * lef.units_per_um) in (step, apart * step)
        ]
        # a corner is of two sides
        room = (tracks - 2) // apart
        deep = -(-len(ports) // room)
        if deep > len(layers):
            raise SystemExit(f"{len(ports)} ports do not fit {room} tracks of {len(layers)} layers at a side")
        slots, last = -(-len(ports) // deep), -1
        edge = (columns if horizontal else rows) - 1 if far else 0
        across = pitch[not horizontal] // 2 + pitch[not horizontal] * edge
        ports.sort()
        for slot in range(slots):
            group = ports[slot * deep : (slot + 1) * deep]
            last = min(max((group[0][0] // step - 1) // apart, last + 1), room - (slots - slot))
            place = step // 2 + step * (1 + apart * last)
            for layer, (_, name) in zip(layers, group, strict=False):
                places[name] = (layer, *((across, place) if horizontal else (place, across)))
    return places


def joined(text: str) -> str:
    """A routed DEF whose patches between a pin and the via beside it reach that via: of some qrouter writes one point
    only, and what stays between pin and via is a notch that is too narrow."""
    stub = re.compile(r"(?:\+ ROUTED|  NEW) metal1 \( (\d+) (\d+) \) \( (\d+|\*) (\d+|\*) \) \w+")
    patch = re.compile(r"(?:\+ ROUTED|  NEW) metal1 \d+ \( (\d+) (\d+) \)")
    vias: dict[str, list[tuple[int, int]]] = {}
    lines, net, special = [], "", False
    for line in text.split("\n"):
        special |= line.startswith("SPECIALNETS")
        if line.startswith("- "):
            net = line.split()[1]
        elif special and (alone := patch.fullmatch(line.rstrip(" ;"))):
            x, y = int(alone[1]), int(alone[2])
            if near := [(u, v) for u, v in vias.get(net, []) if (u == x) != (v == y)]:
                u, v = min(near, key=lambda at: abs(at[0] - x) + abs(at[1] - y))
                line = f"{alone[0]} ( {u} {v} ){line[len(alone[0]) :]}"
        elif not special and (found := stub.match(line)):
            vias.setdefault(net, []).append(wire_points(found[0])[1])
        lines.append(line)
    return "\n".join(lines)


def reached(text: str) -> dict[str, bool]:
    """Whether the wires of each net of a routed DEF touch all its ports, and are there if it has more than one pin:
    what qrouter leaves out, it does not count."""
    port = re.compile(r"^- (p_\w+) \+ NET .*LAYER \w+ \( -(\d+) .* PLACED \( (\d+) (\d+) \) N\s*;", re.MULTILINE)
    # a port is as wide as a wire
    at = {name: (int(x), int(y), 2 * int(half)) for name, half, x, y in port.findall(text)}
    nets = re.search(r"^NETS \d+ ;(.*?)^END NETS", text, re.MULTILINE | re.DOTALL)
    assert nets is not None
    found = {}
    for net in re.split(r"^- ", nets[1], flags=re.MULTILINE)[1:]:
        pins, _, wires = net.partition("+ ROUTED")
        ends = [
            end for piece in re.split(r"\bNEW\b", wires) if (points := wire_points(piece))
            for end in pairwise([points[0], *points])
        ]  # fmt: skip
        ports = [at[name] for name in re.findall(r"\( PIN (\w+) \)", pins)]
        whole = all(
            any(
                min(u, x) - near <= px <= max(u, x) + near and min(v, y) - near <= py <= max(v, y) + near
                for (u, v), (x, y) in ends
            )
            for px, py, near in ports
        )
        found[net.split()[0]] = pins.count("(") < 2 or (bool(ends) and whole)
    return found


@dataclass(frozen=True, kw_only=True)
class Routed:
    """What qrouter made of a block: length in um of each net that is whole, how many are not by its own count or by
    `reached`, all nets."""

    lengths: dict[str, float]
    failed: int
    nets: int
    seconds: float
    version: str


def route(folder: Path, qrouter: Path, lef_files: tuple[Path, ...]) -> Routed:
    """Route ``placed.def`` in a folder."""
    lef = "\n".join(f"read_lef {path}" for path in lef_files)
    (folder / "route.tcl").write_text(SCRIPT.format(folder=qrouter, lef=lef, layers=LAYERS))
    done = run_process(
        [qrouter / "qrouternullg", "route.tcl"], tool="qrouter", directory=folder, timeout_s=TIMEOUT_S,
        environment=os.environ | {"QROUTER_LIB_DIR": str(qrouter)},
    )  # fmt: skip
    if not (said := re.search(r"^failing (\d+) (\d+)$", done.log, re.MULTILINE)):
        raise SystemExit(f"qrouter ended with status {done.status}: {done.log[-200:].strip()}")
    failing = set(re.findall(r"^ (n\d+|p_\w+|zero|one)\s*$", done.log, re.MULTILINE))
    text = joined((folder / "routed.def").read_text())
    (folder / "routed.def").write_text(text)
    lengths = routed_um(text)
    failing |= {name for name, whole in reached(text).items() if not whole}
    version = re.search(r"router version ([\d.]+\d)", done.log)
    return Routed(
        lengths={name: um for name, um in lengths.items() if name not in failing},
        failed=max(int(said[1]), len(failing)), nets=int(said[2]), seconds=done.wall_s,
        version=version[1] if version else "unknown",
    )  # fmt: skip


def netlist_here(component: Component, name: str, cells: CellLibrary, folder: Path) -> Netlist:
    """A component, mapped; pins of its black boxes are ports."""
    synthesise(to_rtlil(component, name), top=name, library=cells, out_dir=folder)
    return netlist_from_json(json.loads((folder / "netlist.json").read_text()), top=name)


def lengths(netlist: Netlist, placement: Placement, result: Routed) -> tuple[Floats, Bools]:
    """Length of each net in um, as routed where it is, else as estimated; and which are routed."""
    um, known = placement.wire_um.copy(), np.zeros(netlist.nets, np.bool_)
    for net, name in enumerate(net_spelling(netlist)):
        if name in result.lengths:
            um[net], known[net] = result.lengths[name], True
    return um, known


def worked(
    netlist: Netlist, library: PowerLibrary, wires: Sequence[Wires], load_ff: float
) -> list[tuple[float, float]]:
    """With each set of wires the delay of the longest way in ns, and the dynamic energy of a clock in pJ at random
    inputs, without glitches; the reset is never active."""
    simulator = GateSimulator(netlist, library, words=4)
    rng = np.random.default_rng(1)
    inputs = [
        port for port in netlist.ports.values() if port.direction == "input" and port.name not in simulator.clocks
    ]

    def drive(sim: GateSimulator, _clock: int) -> None:
        for port in inputs:
            most = 1 if port.name == "rst" else 1 << 64
            sim.set_port(port.name, rng.integers(0, most, (len(port.nets), sim.words), np.uint64))

    activity = record_activity(
        simulator, drive, clocks=8, warm_up=1, lanes=256, period_ns=25.0, source="random inputs", snapshots=2
    )
    found = []
    for one in wires:
        view = prepare(netlist, library, simulator.level, one, port_load_ff=load_ff)
        power = cell_power(simulator, activity, view.timing)
        energy = 25e-3 * float(power.internal_uw.sum() + power.switching_uw[power.driver >= 0].sum())
        found.append((float(arrivals(simulator, view.timing, 0.0).max()), energy))
    return found


def compared(
    netlist: Netlist, placement: Placement, result: Routed, cells: CellLibrary, lef: Lef, more: Mapping[str, Floats]
) -> list[tuple[str, float, str, str]]:
    """Lengths, delays and energies as estimated and as routed, and with each further capacitance of the nets in fF."""
    routed, known = lengths(netlist, placement, result)
    estimate, length = placement.wire_um[known], routed[known]
    long = estimate > np.median(estimate)
    unit = wire_unit(cells.liberty, lef)
    before = Wires(
        ff=placement.wire_ff(unit.ff_per_um), ohm=placement.wire_ohm(unit.ohm_per_um), ff_per_um=unit.ff_per_um,
        core_um2=placement.area_um2, source="placement",
    )  # fmt: skip
    scale = routed / np.maximum(placement.wire_um, 1e-9)
    after = replace(before, ff=before.ff * scale, ohm=before.ohm * scale, source="qrouter")
    wires = {"estimated": before, "routed": after} | {
        name: replace(after, ff=ff, source=name) for name, ff in more.items()
    }
    how = {
        "estimated": "placed wires", "routed": "the same, capacitance and resistance scaled to the routed length",
        "extracted": "the same, extracted capacitance",
    }  # fmt: skip
    work = worked(netlist, read_power_library(cells.liberty), list(wires.values()), cells.load_ff)
    total, last = float(length.sum() / estimate.sum()), list(wires)[-1]
    return [
        ("wire_estimated", float(estimate.sum()) / 1000, "mm", f"estimate of the {len(estimate):,} nets with wires"),
        ("wire_routed", float(length.sum()) / 1000, "mm", "routed, vias without length"),
        ("wire_error", 100 * (total - 1), "%", "routed over estimated, less one"),
        ("net_error_median", 100 * float(np.median(length[long] / estimate[long]) - 1), "%",
         "the same for a net: median of the longer half"),
        ("net_error_spread", 100 * float(np.std(length[long] / estimate[long])), "%", "its standard deviation"),
        *((f"delay_{name}", delay, "ns", f"longest way through the block, {how[name]}")
          for name, (delay, _) in zip(wires, work, strict=True)),
        *((f"energy_{name}", energy, "pJ", f"dynamic energy of a clock of random inputs, no glitches, {how[name]}")
          for name, (_, energy) in zip(wires, work, strict=True)),
        *((f"{name}_error", 100 * (work[-1][at] / work[0][at] - 1), "%", f"{name}, {last} over estimated, less one")
          for at, name in enumerate(("delay", "energy"))),
    ]  # fmt: skip


def measure(mapped: Mapped, block: str, qrouter: Path) -> list[Metric]:
    """Rows of one block."""
    cells, lef = mapped.cells, mapped.lef
    with tempfile.TemporaryDirectory(prefix="liquidcal-route-") as temporary:
        folder = Path(temporary)
        netlist = netlist_of(mapped, f"{mapped.folder.name}_{block}")
        placement = place(netlist, lef, utilisation=UTILISATION, spread=True)
        write_def(folder / "placed.def", netlist, placement, lef)
        text = (folder / "placed.def").read_text()
        (folder / "placed.def").write_text(for_qrouter(text, lef))
        result = route(folder, qrouter, cells.lef)
    how = (
        f"{netlist.cells:,} cells at {100 * UTILISATION:g} %, qrouter {result.version}, {LAYERS} layers, "
        f"{result.seconds:.0f} s"
    )
    found = [
        ("cells", netlist.cells, "", f"cells; {how}"),
        ("nets", result.nets, "", f"nets; {how}"),
        ("nets_failed", result.failed, "", f"nets that qrouter left open; {how}"),
        *compared(netlist, placement, result, cells, lef, {}),
    ]
    return reported(
        block, found, command="python -m benchmarks.routed", tool="qrouter", version=result.version, library=cells
    )


def reported(
    block: str, found: Sequence[tuple[str, float, str, str]], *, command: str, tool: str, version: str,
    library: CellLibrary,
) -> list[Metric]:  # fmt: skip
    """Print name, value, unit and method of each figure of a block, and return them as rows."""
    for name, value, unit, method in found:
        print(f"{block:>28} {name:>18} {value:10.3f} {unit:3} {method}", flush=True)
    return [
        record(f"{name}__case:{block}", value, unit, method, command=command, tool=tool, version=version,
               library=library)
        for name, value, unit, method in found
    ]  # fmt: skip


def main() -> None:
    """Place, route, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("blocks", nargs="*", help=f"modules of the netlist; {', '.join(BLOCKS)} where left out")
    parser.add_argument("--design", type=Path, default=Path("report/ECON_T"), help="folder with a synthesis")
    parser.add_argument("--qrouter", type=Path, default=QROUTER, help="folder of qrouternullg and qrouter.tcl")
    options = parser.parse_args()
    if not (options.qrouter / "qrouternullg").is_file():
        parser.error(f"no qrouternullg in {options.qrouter}: install Debian's package qrouter")
    mapped = Mapped(folder=options.design)
    rows = [row for block in options.blocks or BLOCKS for row in measure(mapped, block, options.qrouter.resolve())]
    path, names = RESULTS / "routed.json", {row.name for row in rows}
    write_metrics(path, [*rows, *kept(path, lambda metric: metric.name in names)])


if __name__ == "__main__":
    main()
