"""Step: an encoder with constant weights, from model to netlist."""

from __future__ import annotations

from pathlib import Path

from flows.common.journal import Check, Journal
from flows.designs.design import load_design


def synthesise_frozen(journal: Journal, preset: str, model: str, library: str, folder: Path) -> list[dict[str, object]]:
    """Synthesise and judge the netlist; its metrics."""
    from flows.common.metrics import GateError
    from flows.designs.frozen import KEEP, frozen_name, frozen_weights, hardware
    from flows.library.catalogue import cell_library
    from flows.synthesis.result import gate_synthesis
    from flows.synthesis.synthesise import synthesise
    from hw.common.export import to_rtlil

    weights = frozen_weights(model, load_design(preset))
    name = frozen_name(weights.spec)
    with journal.step("cell library"):
        cells = cell_library(library)
    with journal.step(f"synthesis of {name} onto {cells.name}"):
        result = synthesise(
            to_rtlil(hardware(weights), name), top=name, library=cells, out_dir=folder.parent / f"{name}_synthesis",
            keep=KEEP, command=f"liquidcal freeze {preset} {model} --synth --library {cells.name}",
        )  # fmt: skip
    try:
        gate_synthesis(result.metrics)
        detail, passed = "", True
    except GateError as error:
        detail, passed = str(error), False
    check = f"netlist on {cells.name}: all cells mapped, no latch, no loop, nothing undriven"
    count = int(result.values["design__instance__count"])
    journal.check(Check(name=check, passed=passed, compared=count, unit="cells", detail=detail))
    journal.console.print(f"{result.area_um2:,.0f} um2, {result.gate_equivalents / 1000:,.1f} kGE")
    return [metric.to_dict() for metric in result.metrics]
