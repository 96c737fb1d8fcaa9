"""Cost of each algorithm of a concentrator: ``python -m benchmarks.concentrator_cost``.

Energy of a crossing at pile-up 200 with each algorithm selected in turn, on the netlist that ``liquidcal synth
ECON_T_PRODUCTION`` left below ``report/``, every frame compared with the golden model; and the area of each block,
synthesised alone (``--blocks``). Writes ``concentrator_energy.json`` and ``concentrator_area.json``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows, kept
from flows.common.metrics import write_metrics
from flows.designs.concentrator import ConcentratorDesign
from flows.library.catalogue import cell_library
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.view import prepare
from flows.physical.mapped import Mapped, clocks_of
from flows.power.concentrator import LINKS, algorithm_activity, showers
from flows.power.run import PowerOptions
from flows.power.summary import summarise
from flows.synthesis.synthesise import synthesise
from flows.tools.yosys import yosys_version
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, AlgorithmNumber, ConcentratorSpec

COMMAND = "python -m benchmarks.concentrator_cost"
SPEC = ECON_T_PRODUCTION


@contextmanager
def said(name: str, _total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Print a step as it begins."""
    print(name, flush=True)
    yield lambda _done: None


def energies(out: Path, streams: int, crossings: int, glitch_clocks: int) -> None:
    """Energy of a crossing with each algorithm selected, by kind."""
    design = ConcentratorDesign(spec=SPEC, library="nangate45")
    mapped = Mapped(folder=out / design.name)
    options = PowerOptions(streams=streams, crossings=crossings, glitch_clocks=glitch_clocks)
    stimulus, weights = showers(SPEC, options, said)
    simulator = GateSimulator(
        mapped.netlist, mapped.library, words=len(stimulus.words) // 64, clock=clocks_of(mapped, 1)
    )
    wires = mapped.wires()
    view = prepare(
        mapped.netlist, mapped.library, simulator.level, wires, trees=("clk", "rst"), port_load_ff=mapped.cells.load_ff
    )
    usable = [name for name in mapped.cells.cells if name not in mapped.cells.dont_use]
    rows = Rows(COMMAND, version=LIQUIDCAL)
    for number in reversed(SPEC.numbers):
        activity, compared = algorithm_activity(simulator, design, number, stimulus, weights)
        summary = summarise(simulator, activity, view, usable=usable, glitch_clocks=glitch_clocks)
        per_pj = summary.period_ns / 1000
        where = (
            f"{number.label} on {LINKS[number]} links, the others at rest; {stimulus.source}, {activity.clocks} "
            f"crossings each, {compared:,} words equal to the golden model; netlist on {mapped.cells.name}, "
            f"wires: {wires.source}"
        )
        rows.add(f"energy__total__case:{number.label}", round(summary.total_uw * per_pj, 1), "pJ", where)
        for kind in ("leakage", "internal", "clock_pins", "switching", "glitches"):
            rows.add(f"energy__{kind}__case:{number.label}", round(summary.kind(kind) * per_pj, 1), "pJ", where)
        rows.add(f"energy__clock_tree__case:{number.label}", round(summary.clock_tree_uw * per_pj, 1), "pJ", where)
        write_metrics(RESULTS / "concentrator_energy.json", rows)


def blocks(spec: ConcentratorSpec) -> dict[str, tuple[Callable[[], Any], str]]:
    """Constructor and users of each block that one algorithm has of its own, or several share."""
    from hw.hgcal_encoder.autoencoder import Autoencoder
    from hw.hgcal_encoder.best_choice import BestChoice
    from hw.hgcal_encoder.calibrate import Calibrate
    from hw.hgcal_encoder.cell_codes import CellCodes
    from hw.hgcal_encoder.cell_packer import CellPacker
    from hw.hgcal_encoder.decode import Decode
    from hw.hgcal_encoder.etx_words import EtxWords
    from hw.hgcal_encoder.formatter import Formatter
    from hw.hgcal_encoder.frame import Frame
    from hw.hgcal_encoder.multiplex import Multiplex
    from hw.hgcal_encoder.output_buffer import OutputBuffer
    from hw.hgcal_encoder.super_trigger_cell import SuperTriggerCells
    from hw.hgcal_encoder.threshold_sum import ThresholdSum

    own = {number: number.label for number in AlgorithmNumber}
    return {
        "threshold_sum": (ThresholdSum, own[AlgorithmNumber.THRESHOLD_SUM]),
        "super_trigger_cells": (SuperTriggerCells, own[AlgorithmNumber.SUPER_TRIGGER_CELL]),
        "best_choice": (BestChoice, own[AlgorithmNumber.BEST_CHOICE]),
        "autoencoder": (partial(Autoencoder, spec=spec.encoder), own[AlgorithmNumber.AUTOENCODER]),
        "frame": (partial(Frame, spec=spec.encoder), own[AlgorithmNumber.AUTOENCODER]),
        "cell_codes": (CellCodes, "threshold sum, best choice, repeater"),
        "cell_packer": (CellPacker, "threshold sum, best choice"),
        "multiplex": (Multiplex, "all"),
        "decode": (Decode, "all"),
        "calibrate": (Calibrate, "all"),
        "formatter": (partial(Formatter, spec=spec), "all, with its cell packer"),
        "output_buffer": (partial(OutputBuffer, rows=spec.buffer_rows), "all"),
        "etx_words": (partial(EtxWords, links=spec.etx_links), "all"),
    }


def areas(chosen: list[str]) -> None:
    """Area of each block, synthesised alone."""
    from hw.common.export import to_rtlil

    library = cell_library("nangate45")
    path = RESULTS / "concentrator_area.json"
    rows = Rows(COMMAND + " --blocks", tool="yosys")
    found = blocks(SPEC)
    names = chosen or list(found)
    rows.extend(kept(path, lambda metric: metric.name.partition("__case:")[2] in names))
    for name in names:
        component, users = found[name]
        with tempfile.TemporaryDirectory(prefix="liquidcal-block-") as folder:
            result = synthesise(
                to_rtlil(component(), name), top=name, library=library, out_dir=Path(folder) / "synthesis"
            )
            area = result.values["design__instance__area"]
            flops = result.values["design__instance__count__class:flip_flop"]
        how = f"synthesised alone on {library.name}; used by {users}"
        rows.add(f"area__case:{name}", round(float(area)), "um2", how, version=yosys_version())
        rows.add(f"flip_flops__case:{name}", int(flops), "", how, version=yosys_version())
        write_metrics(path, rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--streams", type=int, default=128)
    parser.add_argument("--crossings", type=int, default=24)
    parser.add_argument("--glitch-clocks", type=int, default=8)
    parser.add_argument("--blocks", nargs="*", help="areas instead of energies: of these blocks, or of all")
    options = parser.parse_args()
    if options.blocks is not None:
        areas(options.blocks)
    else:
        energies(options.out, options.streams, options.crossings, options.glitch_clocks)


if __name__ == "__main__":
    main()
