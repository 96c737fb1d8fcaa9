"""``liquidcal synth``."""

from __future__ import annotations

from pathlib import Path

from flows.commands.options import (
    AsJson,
    ClockGating,
    Isolation,
    Library,
    LoadingOption,
    Out,
    Preset,
    Reuse,
    SchemeOption,
    finish,
)
from flows.commands.tables import print_table


def synth(
    preset: Preset,
    out: Out = Path("report"),
    library: Library = "auto",
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    isolation: Isolation = None,
    as_json: AsJson = False,
) -> None:
    """Synthesise a design onto a cell library: area per stage, flip-flops, gates on the netlist.

    Of a whole chip the flip-flops are counted as well: exit code 1 if a copy that its scheme asks for is not there.

    Of a crossbar the digital part: macro and weight memory are black boxes, without area. Variants of an encoder have
    folders of their own, named after what makes them; give the same options to place, time and power.
    """
    from rich.table import Table

    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.synthesis import SYNTHESIS
    from flows.synthesis.result import load_result

    chosen = design(
        preset, library=library, clock_gating=clock_gating, reuse=reuse, scheme=scheme, loading=loading,
        isolation=isolation,
    )  # fmt: skip
    journal = Journal()
    folder = out / chosen.name
    metrics = SYNTHESIS(chosen, folder, journal)
    if not as_json:
        result = load_result(folder / "synthesis")
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
        print_table(table)
    finish(journal, {"metrics": [metric.to_dict() for metric in metrics]}, as_json, folder / "synthesis")
