"""``liquidcal synth``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from flows.commands.options import (
    AsJson,
    ClockGating,
    Library,
    LoadingOption,
    Out,
    Preset,
    Reuse,
    SchemeOption,
    finish,
    result_folder,
)
from flows.designs import Design, Spec, design
from flows.journal import Journal
from sim.hgcal_encoder.spec import EncoderSpec

if TYPE_CHECKING:  # slow to import
    from flows.synthesis import SynthesisResult


def synth(
    preset: Preset,
    out: Out = Path("report"),
    library: Library = "auto",
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    as_json: AsJson = False,
) -> None:
    """Synthesise a design onto a cell library: area per stage, flip-flops, gates on the netlist.

    Of a whole chip the flip-flops are counted as well: exit code 1 if a copy that its scheme asks for is not there.

    Of a crossbar the digital part: macro and weight memory are black boxes, without area. Variants of an encoder have
    folders of their own, named after what makes them; give the same options to place, time and power.
    """
    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, clock_gating=clock_gating)
    journal = Journal()
    folder = result_folder(out, chosen.name)
    result = run_synthesis(journal, chosen, folder, library)
    if not as_json:
        table = Table("module", "instances", "area um2", "kGE", "flip-flops")
        for stage in result.stages:
            table.add_row(
                stage.module.removeprefix(f"{chosen.name}_") if stage.instances else "top level",
                str(len(stage.instances) or 1),
                f"{stage.area_um2:,.0f}",
                f"{stage.gate_equivalents / 1000:,.1f}",
                f"{stage.flip_flops:,}",
            )
        table.add_row(
            "total", "", f"{result.area_um2:,.0f}", f"{result.gate_equivalents / 1000:,.1f}", f"{result.flip_flops:,}"
        )
        Console().print(table)
    finish(journal, {"metrics": [metric.to_dict() for metric in result.metrics]}, as_json)


def run_synthesis(journal: Journal, chosen: Design | Spec, folder: Path, library: str) -> SynthesisResult:
    """Synthesise a design, or a spec as it is, below a folder, and judge the netlist."""
    from flows.cells import cell_library
    from flows.journal import Check
    from flows.metrics import GateError
    from flows.synthesis import AREA, BUFFERED, gate_synthesis, synthesise
    from hw.common.export import to_rtlil
    from hw.common.replica import KEPT

    part = chosen if isinstance(chosen, Design) else Design(spec=chosen)
    with journal.step("cell library"):
        cells = cell_library(library)
    with journal.step(f"synthesis of {part.name} onto {cells.name}"):
        rtlil = to_rtlil(part.component(), part.name)
        result = synthesise(
            rtlil, top=part.name, library=cells, out_dir=folder / "synthesis", clock_gating=part.clock_gating,
            keep=(KEPT,), clock_period_ns=25.0 / part.reuse, recipe=AREA if part.reuse == 1 else BUFFERED,
            command=f"liquidcal synth {part.spec.name} --library {cells.name}{part.options}",
        )  # fmt: skip
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

    from flows.journal import Check
    from flows.metrics import GateError
    from flows.protection import chip_bits, gate_replicas

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
