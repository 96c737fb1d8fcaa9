"""Step: synthesis of a design onto a cell library, and the gates on its netlist."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from flows.common.journal import Check, Journal
from flows.common.metrics import GateError, Metric
from flows.designs.design import Design, Flops
from flows.designs.mapping import map_design
from flows.designs.storage_bits import gate_replicas
from flows.steps.step import NoOptions, Step
from flows.synthesis.result import SynthesisResult, gate_synthesis

__all__ = ["SYNTHESIS", "judge_netlist", "synthesise_design"]


def synthesise_design(
    design: Design,
    folder: Path,
    journal: Journal,
    options: NoOptions | None = None,  # noqa: ARG001
) -> tuple[Metric, ...]:
    """Synthesise below a folder and judge the netlist; the result is read with `flows.synthesis.result.load_result`."""
    with journal.step("cell library"):
        cells = design.cells
    with journal.step(f"synthesis of {design.name} onto {cells.name}"):
        command = design.command("synth", f"--library {design.library_argument}")
        result = map_design(design, cells, folder / "synthesis", command=command)
    judge_netlist(journal, result, cells.name)
    if asked := _flip_flops(design, journal):
        judge_copies(journal, result.metrics, asked)
    return result.metrics


def _flip_flops(design: Design, journal: Journal) -> Flops | None:
    if not design.protected:
        return None
    with journal.step("flip-flops of the design"):
        return design.flip_flops()


def judge_netlist(journal: Journal, result: SynthesisResult, library: str) -> None:
    """Gate on any netlist: complete, and without what no netlist of a synchronous design has."""
    detail, passed = "", True
    try:
        gate_synthesis(result.metrics)
    except GateError as error:
        detail, passed = str(error), False
    name = f"netlist on {library}: all cells mapped, no latch by accident, no loop, nothing undriven"
    count = int(result.values["design__instance__count"])
    journal.check(Check(name=name, passed=passed, compared=count, unit="cells", detail=detail))


def judge_copies(journal: Journal, metrics: tuple[Metric, ...], asked: Flops) -> None:
    """Gate on a protected design: none of the flip-flops that its scheme asks for was merged or lost."""
    copies = Counter(bit.copy for bit in asked.bits)
    detail, passed = f"{copies[1]:,} bits in three copies, {copies[0] - copies[1]:,} flip-flops in one", True
    try:
        gate_replicas(metrics, asked.bits)
    except GateError as error:
        detail, passed = str(error), False
    name = f"{asked.what}: every copy of every bit is a flip-flop of the netlist"
    journal.check(Check(name=name, passed=passed, compared=len(asked.bits), unit="flip-flops", detail=detail))


SYNTHESIS = Step(
    name="synth",
    work=synthesise_design,
    writes=("synthesis/netlist.json", "synthesis/modules.json", "synthesis/metrics.json"),
    tools=("amaranth", "lln-libparse", "pyosys"),
)
