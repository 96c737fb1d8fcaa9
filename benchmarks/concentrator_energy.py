"""Energy of each algorithm of a placed concentrator: ``python -m benchmarks.concentrator_energy``.

Selects one algorithm after the other in the registers of the netlist below ``report/`` (``liquidcal synth`` and
``liquidcal place`` first), runs showers at pile-up 200 on its gates, compares every word with the golden model, and
writes ``concentrator_energy.json``: energy of a crossing by kind, and how often nets inside each block toggled. What
``liquidcal power DESIGN --algorithm NAME`` says of one algorithm it says of all, from one simulator. Rows of other
designs stay.
"""

from __future__ import annotations

import argparse
import re
import resource
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows, kept
from flows.common.metrics import write_metrics
from flows.designs.catalogue import design
from flows.designs.concentrator import ConcentratorDesign
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.netlist import Netlist
from flows.netlist.view import prepare
from flows.physical.mapped import Mapped, clocks_of
from flows.power.concentrator import algorithm_activity
from flows.power.run import PowerOptions
from flows.power.summary import KINDS, summarise
from flows.stimulus.concentrator import LINKS, module_showers

BLOCKS = ("threshold_sum", "super_trigger_cells", "best_choice", "cell_codes", "autoencoder", "frame")
"""Parts of the core that belong to algorithms, by their instance."""


def nets_of_blocks(netlist: Netlist) -> dict[str, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Nets whose name says that they are inside a block."""
    inside = re.compile(rf"^core\.({'|'.join(BLOCKS)})\.")
    found = {name: np.zeros(netlist.nets, np.bool_) for name in BLOCKS}
    for net, name in enumerate(netlist.net_names):
        if match := inside.match(name):
            found[match[1]][net] = True
    return {name: nets for name, nets in found.items() if nets.any()}


def measure(folder: Path, chosen: ConcentratorDesign, options: PowerOptions, rows: Rows) -> None:
    """All algorithms of a design."""
    mapped = Mapped(folder=folder)
    if mapped.placement is None:
        raise SystemExit(f"{folder} holds no placement of its netlist: run {chosen.command('place')} first")
    stimulus, weights = module_showers(
        chosen.spec, streams=64 * -(-options.streams // 64), crossings=options.crossings, seed=options.seed
    )
    netlist, wires = mapped.netlist, mapped.wires()
    simulator = GateSimulator(
        netlist, mapped.library, words=len(stimulus.words) // 64, clock=clocks_of(mapped, chosen.internal_clocks)
    )
    view = prepare(
        netlist, mapped.library, simulator.level, wires, trees=("clk", "rst"), port_load_ff=mapped.cells.load_ff
    )
    usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
    blocks = nets_of_blocks(netlist)
    for number in chosen.spec.numbers:
        started = resource.getrusage(resource.RUSAGE_SELF)
        activity, compared = algorithm_activity(simulator, chosen, number, stimulus, weights)
        found = summarise(simulator, activity, view, usable=usable, glitch_clocks=options.glitch_clocks)
        links = min(LINKS[number], chosen.spec.etx_links)
        case = "_".join(filter(None, (number.label, chosen.case, "gated" if chosen.clock_gating else "")))
        how = (
            f"{netlist.top} with {number.label} selected, {links} links; {activity.source}; "
            f"wires: {wires.source}; {compared:,} words equal the golden model"
        )
        per_pj = found.period_ns / 1000
        rows.add(f"per_crossing__case:{case}", round(found.energy_pj, 1), "pJ", how)
        for kind in KINDS:
            rows.add(f"{kind}__case:{case}", round(found.kind(kind) * per_pj, 1), "pJ", how)
        rows.add(f"clock_tree__case:{case}", round(found.clock_tree_uw * per_pj, 1), "pJ", how)
        for block, nets in blocks.items():
            toggles = float(activity.toggles_per_ns[: netlist.nets][nets].sum() * found.period_ns)
            rows.add(f"toggles_{block}__case:{case}", round(toggles, 2), "", f"of {int(nets.sum()):,} nets; {how}")
        ended = resource.getrusage(resource.RUSAGE_SELF)
        cpu = ended.ru_utime + ended.ru_stime - started.ru_utime - started.ru_stime
        rows.add(f"cpu__case:{case}", round(cpu, 1), "s", "processor time of this row")
        rows.add(f"memory__case:{case}", round(ended.ru_maxrss / 1024), "MB", "largest memory of the process so far")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("design", nargs="?", default="ECON_T_PRODUCTION")
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--clock-gating", action="store_true")
    parser.add_argument("--scheme", default=None)
    parser.add_argument("--streams", type=int, default=512)
    parser.add_argument("--crossings", type=int, default=24)
    parser.add_argument("--glitch-clocks", type=int, default=16)
    arguments = parser.parse_args()
    chosen = design(arguments.design, clock_gating=arguments.clock_gating, scheme=arguments.scheme)
    if not isinstance(chosen, ConcentratorDesign):
        raise SystemExit(f"{arguments.design} is of the kind {chosen.kind}; expected a concentrator")
    options = PowerOptions(
        streams=arguments.streams, crossings=arguments.crossings, glitch_clocks=arguments.glitch_clocks
    )
    rows = Rows("python -m benchmarks.concentrator_energy" + chosen.options, version=LIQUIDCAL)
    measure(arguments.out / chosen.name, chosen, options, rows)
    path = RESULTS / "concentrator_energy.json"
    names = {metric.name for metric in rows}
    write_metrics(path, [*kept(path, lambda metric: metric.name in names), *rows])


if __name__ == "__main__":
    main()
