"""``liquidcal place``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import (
    AsJson,
    ClockGating,
    LoadingOption,
    Out,
    Preset,
    Repair,
    Reuse,
    SchemeOption,
    finish,
)
from flows.journal import Check, Journal

if TYPE_CHECKING:  # the placer and its readers are slow to import
    from flows.designs import Design
    from flows.metrics import Metric
    from flows.physical import Mapped


def place(
    preset: Preset,
    out: Out = Path("report"),
    utilisation: Annotated[float, typer.Option(help="Cell area over core area.")] = 0.7,
    aspect: Annotated[float, typer.Option(help="Height of the core over its width.")] = 1.0,
    effort: Annotated[int, typer.Option(min=1, max=9, help="Effort of the placer.")] = 1,
    spread: Annotated[bool, typer.Option(help="Even density over the core instead of shortest wires.")] = False,
    repair: Repair = False,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    clock_gating: ClockGating = False,
    as_json: AsJson = False,
) -> None:
    """Place a synthesised design: core area, wire length, congestion, picture. Nothing is routed."""
    from flows.designs import design
    from flows.physical import Mapped

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading, clock_gating=clock_gating)
    journal = Journal()
    mapped = Mapped(folder=out / chosen.name)
    metrics = run_placement(
        journal, chosen, mapped, preset=preset, utilisation=utilisation, aspect=aspect, effort=effort, spread=spread,
        repair=repair,
    )  # fmt: skip
    picture = mapped.folder / "placement" / "placement.png"
    if not as_json:
        journal.console.print(f"picture: {picture}")
    finish(journal, {"metrics": [metric.to_dict() for metric in metrics], "picture": str(picture)}, as_json)


def run_placement(
    journal: Journal,
    chosen: Design,
    mapped: Mapped,
    *,
    preset: str,
    utilisation: float = 0.7,
    aspect: float = 1.0,
    effort: int = 1,
    spread: bool = False,
    repair: bool = False,
) -> tuple[Metric, ...]:
    """Place a synthesised design and judge that every cell stands legally."""
    from flows.physical import measure_placement

    with journal.step(f"placement of {mapped.synthesised.cells:,} cells"):
        command = f"liquidcal place {preset} --utilisation {utilisation:g} --aspect {aspect:g} --effort {effort}"
        command += (" --spread" if spread else "") + (" --repair" if repair else "") + chosen.options
        placed, busy, metrics = measure_placement(
            mapped, utilisation=utilisation, aspect=aspect, effort=effort, spread=spread, repair=repair, command=command
        )
    journal.check(
        Check(
            name="every cell stands in the core, none on another",
            passed=placed.overlaps == 0,
            compared=mapped.netlist.cells,
            unit="cells",
            detail=f"{placed.area_um2 / 1e6:.3f} mm2, {placed.wire_um.sum() / 1e6:.2f} m of wire, "
            f"worst bin wants {100 * busy.worst:.0f} % of its tracks",
        )
    )
    return metrics
