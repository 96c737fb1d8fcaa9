"""Step: placement of a synthesised design."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.common.journal import Check, Journal

if TYPE_CHECKING:
    from flows.common.metrics import Metric
    from flows.designs.design import Design
    from flows.physical.mapped import Mapped

__all__ = ["run_placement"]


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
    from flows.physical.measure import measure_placement

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
            compared=len(placed.x_um),
            unit="cells",
            detail=f"{placed.area_um2 / 1e6:.3f} mm2, {placed.wire_um.sum() / 1e6:.2f} m of wire, "
            f"worst bin wants {100 * busy.worst:.0f} % of its tracks",
        )
    )
    return metrics
