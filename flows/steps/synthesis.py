"""Step: synthesis of a design onto a cell library, and the gates on its netlist."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.common.journal import Journal
from flows.designs.design import Design, Spec
from sim.hgcal_encoder.spec import EncoderSpec

if TYPE_CHECKING:
    from flows.synthesis.result import SynthesisResult

__all__ = ["run_synthesis"]


def run_synthesis(journal: Journal, chosen: Design | Spec, folder: Path, library: str) -> SynthesisResult:
    """Synthesise a design, or a spec as it is, below a folder, and judge the netlist."""
    from flows.common.journal import Check
    from flows.common.metrics import GateError
    from flows.designs.mapping import map_design
    from flows.library.catalogue import cell_library
    from flows.synthesis.result import gate_synthesis

    part = chosen if isinstance(chosen, Design) else Design(spec=chosen)
    with journal.step("cell library"):
        cells = cell_library(library)
    with journal.step(f"synthesis of {part.name} onto {cells.name}"):
        command = f"liquidcal synth {part.spec.name} --library {cells.name}{part.options}"
        result = map_design(part, cells, folder / "synthesis", command=command)
    name = f"netlist on {cells.name}: all cells mapped, no latch, no loop, nothing undriven"
    try:
        gate_synthesis(result.metrics)
        detail, passed = "", True
    except GateError as error:
        detail, passed = str(error), False
    count = int(result.values["design__instance__count"])
    journal.check(Check(name=name, passed=passed, compared=count, unit="cells", detail=detail))
    if part.scheme is not None:
        _check_copies(journal, part, result)
    return result


def _check_copies(journal: Journal, part: Design, result: SynthesisResult) -> None:
    """Gate on a whole chip: none of the flip-flops that its scheme asks for was merged or lost."""
    from collections import Counter

    from flows.common.journal import Check
    from flows.common.metrics import GateError
    from flows.designs.storage_bits import chip_bits, gate_replicas

    assert part.scheme is not None
    assert part.loading is not None
    assert isinstance(part.spec, EncoderSpec)
    with journal.step("flip-flops of the design"):
        bits = chip_bits(part.spec, part.scheme, part.loading)
    copies = Counter(bit.copy for bit in bits)
    detail, passed = f"{copies[1]:,} bits in three copies, {copies[0] - copies[1]:,} flip-flops in one", True
    try:
        gate_replicas(result.metrics, bits)
    except GateError as error:
        detail, passed = str(error), False
    name = f"{part.scheme}, {part.loading} loading: every copy of every bit is a flip-flop of the netlist"
    journal.check(Check(name=name, passed=passed, compared=len(bits), unit="flip-flops", detail=detail))
