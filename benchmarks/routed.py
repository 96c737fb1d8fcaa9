"""Placed estimates of wires against routed ones: ``python -m benchmarks.routed``.

Blocks of ECON_T as synthesis left them are placed by our placer and routed by qrouter (R. T. Edwards, GPL; Debian's
package, an outside program that nothing else here needs), on the layers of NanGate 45 up to the sixth. Of nets that are
routed the length is compared with the estimate; delay and energy of the block are those with either, at random inputs.

What qrouter cannot route is counted and keeps its estimate. Its wires are not checked by design rules.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.measured import RESULTS, kept, record
from benchmarks.placement import netlist_of
from flows.common.metrics import Metric, write_metrics
from flows.common.process import run_process
from flows.library.lef import Lef
from flows.library.library import CellLibrary
from flows.netlist.delays import arrivals
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.view import Wires, prepare
from flows.physical.def_file import routed_um, write_def
from flows.physical.mapped import Mapped
from flows.physical.place import place
from flows.physical.timing import net_spelling
from flows.power.activity import record as record_activity
from flows.power.cell_power import cell_power

BLOCKS = ("calibrate_cell", "neuron_9_taps_7_dot_product")
LAYERS = 6
UTILISATION = 0.6
TIMEOUT_S = 600.0
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
    one; ports where tracks of the second and third layer cross, since it crashes on those outside of its grid; and nets
    of output ports named after them, since it leaves the port unconnected otherwise, and says nothing."""
    along = {layer.name: "Y" if layer.horizontal else "X" for layer in lef.layers}
    pitch = {layer.horizontal: round(layer.pitch_um * lef.units_per_um) for layer in lef.layers[2:0:-1]}
    size = re.search(r"DIEAREA \( 0 0 \) \( (\d+) (\d+) \)", text)
    assert size is not None

    def on_track(place: str, step: int, most: str) -> int:
        return step // 2 + step * min(max(0, int(place) // step), int(most) // step - 1)

    def moved(line: str) -> str:
        x, y = re.search(r"PLACED \( (\d+) (\d+) \) N", line).groups()  # type: ignore[union-attr]
        place = f"{on_track(x, pitch[False], size[1])} {on_track(y, pitch[True], size[2])}"  # type: ignore[index]
        return re.sub(r"PLACED \( \d+ \d+ \) N", f"PLACED ( {place} ) N", line)

    port_of = {net: port for port, net in re.findall(r"^- (p_\w+) \+ NET (n\d+) ", text, re.MULTILINE)}

    def named(match: re.Match[str]) -> str:
        return match[1] + port_of.get(match[2], match[2])

    text = re.sub(r"^(- (?:p_\w+ \+ NET )?)(n\d+)(?=\s)", named, text, flags=re.MULTILINE)
    lines = []
    for line in text.split("\n"):
        track = re.match(r"TRACKS (\w) .* LAYER (\w+) ;", line)
        if track is None or along[track[2]] == track[1]:
            lines.append(moved(line) if line.startswith("- p_") and "PLACED" in line else line)
    return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Routed:
    """What qrouter made of a block: length in um of each net that is whole, how many are not, all nets."""

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
    failing = set(re.findall(r"^ (n\d+|p_\w+)\s*$", done.log, re.MULTILINE))
    lengths = routed_um((folder / "routed.def").read_text())
    version = re.search(r"router version ([\d.]+\d)", done.log)
    return Routed(
        lengths={name: um for name, um in lengths.items() if name not in failing}, failed=int(said[1]),
        nets=int(said[2]), seconds=done.wall_s, version=version[1] if version else "unknown",
    )  # fmt: skip


def measure(mapped: Mapped, block: str, qrouter: Path) -> list[Metric]:
    """Rows of one block."""
    netlist, lef, unit = netlist_of(mapped, f"{mapped.folder.name}_{block}"), mapped.lef, mapped.wire_unit
    placement = place(netlist, lef, utilisation=UTILISATION, spread=True)
    with tempfile.TemporaryDirectory(prefix="liquidcal-route-") as temporary:
        folder = Path(temporary)
        write_def(folder / "placed.def", netlist, placement, lef)
        text = (folder / "placed.def").read_text()
        (folder / "placed.def").write_text(for_qrouter(text, lef))
        result = route(folder, qrouter, mapped.cells.lef)
    spelling = net_spelling(netlist)
    routed = placement.wire_um.copy()
    known = np.zeros(netlist.nets, np.bool_)
    for net, name in enumerate(spelling):
        if name in result.lengths:
            routed[net], known[net] = result.lengths[name], True
    estimate, length = placement.wire_um[known], routed[known]
    long = estimate > np.median(estimate)
    simulator = GateSimulator(netlist, mapped.library, words=4)
    rng = np.random.default_rng(1)

    def drive(sim: GateSimulator, _clock: int) -> None:
        for name, port in netlist.ports.items():
            if port.direction == "input":
                sim.set_port(name, rng.integers(0, 1 << 64, (len(port.nets), sim.words), np.uint64))

    activity = record_activity(
        simulator, drive, clocks=8, warm_up=1, lanes=256, period_ns=25.0, source="random inputs", snapshots=2
    )
    before = Wires(
        ff=placement.wire_ff(unit.ff_per_um), ohm=placement.wire_ohm(unit.ohm_per_um), ff_per_um=unit.ff_per_um,
        core_um2=placement.area_um2, source="placement",
    )  # fmt: skip
    scale = routed / np.maximum(placement.wire_um, 1e-9)
    after = replace(before, ff=before.ff * scale, ohm=before.ohm * scale, source="qrouter")
    delay, energy = [], []
    for wires in (before, after):
        view = prepare(netlist, mapped.library, simulator.level, wires, port_load_ff=mapped.cells.load_ff)
        delay.append(float(arrivals(simulator, view.timing, 0.0).max()))
        power = cell_power(simulator, activity, view.timing)
        energy.append(25e-3 * float(power.internal_uw.sum() + power.switching_uw[power.driver >= 0].sum()))
    how = (
        f"{netlist.cells:,} cells at {100 * UTILISATION:g} %, {len(estimate):,} of {result.nets:,} nets with routed "
        f"wires, qrouter {result.version}, {LAYERS} layers, {result.seconds:.0f} s"
    )
    found = (
        ("nets", result.nets, "", f"nets; {how}"),
        ("nets_failed", result.failed, "", f"nets that qrouter left open; {how}"),
        ("wire_estimated", float(estimate.sum()) / 1000, "mm", f"estimate of the nets that are routed; {how}"),
        ("wire_routed", float(length.sum()) / 1000, "mm", f"routed, vias without length; {how}"),
        ("wire_error", 100 * float(length.sum() / estimate.sum() - 1), "%", "routed over estimated, less one"),
        ("net_error_median", 100 * float(np.median(length[long] / estimate[long]) - 1), "%",
         "the same for a net: median of the longer half"),
        ("net_error_spread", 100 * float(np.std(length[long] / estimate[long])), "%", "its standard deviation"),
        ("delay_estimated", delay[0], "ns", "longest way through the block, placed wires"),
        ("delay_routed", delay[1], "ns", "the same, capacitance and resistance scaled to the routed length"),
        ("energy_estimated", energy[0], "pJ", "dynamic energy of a clock of random inputs, no glitches, placed wires"),
        ("energy_routed", energy[1], "pJ", "the same, routed wires"),
    )  # fmt: skip
    return reported(
        block, found, command="python -m benchmarks.routed", tool="qrouter", version=result.version,
        library=mapped.cells,
    )  # fmt: skip


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
