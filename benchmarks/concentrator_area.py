"""Area of each block of a concentrator, synthesised alone: ``python -m benchmarks.concentrator_area``.

Writes ``concentrator_area.json``; with names of blocks, these alone, and the others stay. With ``--protected`` those
that have registers of their own, in three copies.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS, Rows, kept
from flows.common.metrics import write_metrics
from flows.library.catalogue import cell_library
from flows.synthesis.synthesise import synthesise
from flows.tools.yosys import yosys_version
from hw.common.scheme import Scheme
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, AlgorithmNumber, ConcentratorSpec

COMMAND = "python -m benchmarks.concentrator_area"
SPEC = ECON_T_PRODUCTION


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
        "super_trigger_cells": (
            partial(SuperTriggerCells, equal=spec.equal_largest),
            own[AlgorithmNumber.SUPER_TRIGGER_CELL],
        ),
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
        "etx_words": (partial(EtxWords, links=spec.etx_links, gaps=spec.mask_gaps), "all"),
    }


REGISTERED = ("best_choice", "autoencoder")
"""Blocks of one algorithm with registers inside."""


def areas(chosen: list[str], protected: bool) -> None:
    """Area of each block, synthesised alone."""
    from hw.common.export import to_rtlil
    from hw.common.replica import KEPT
    from hw.common.voted_register import VotedRegister

    library = cell_library("nangate45")
    path = RESULTS / "concentrator_area.json"
    rows = Rows(COMMAND, tool="yosys")
    found = blocks(SPEC)
    names = chosen or list(REGISTERED if protected else found)
    cases = {name: f"{name}_{Scheme.TMR_REGISTERS}" if protected else name for name in names}
    rows.extend(kept(path, lambda metric: metric.name.partition("__case:")[2] in cases.values()))
    for name, case in cases.items():
        component, users = found[name]
        if protected:
            component = partial(component, register=VotedRegister)
        with tempfile.TemporaryDirectory(prefix="liquidcal-block-") as folder:
            result = synthesise(
                to_rtlil(component(), name),
                top=name,
                library=library,
                out_dir=Path(folder) / "synthesis",
                keep=(KEPT,) if protected else (),
            )
            area = result.values["design__instance__area"]
            flops = result.values["design__instance__count__class:flip_flop"]
        how = f"synthesised alone on {library.name}; used by {users}"
        how += "; registers in three copies with voters" * protected
        rows.add(f"area__case:{case}", round(float(area)), "um2", how, version=yosys_version())
        rows.add(f"flip_flops__case:{case}", int(flops), "", how, version=yosys_version())
        write_metrics(path, rows)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("blocks", nargs="*", help="blocks to synthesise; all if left out")
    parser.add_argument("--protected", action="store_true", help="registers in three copies")
    options = parser.parse_args()
    areas(options.blocks, options.protected)


if __name__ == "__main__":
    main()
