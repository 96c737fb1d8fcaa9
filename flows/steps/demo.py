"""Step: what a chip does, shown from end to end on what ships with the project, and its area."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.common.journal import Journal
from flows.common.metrics import Metric
from flows.designs.design import Design
from flows.steps.synthesis import SYNTHESIS

__all__ = ["DemoOptions", "show_design"]


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """How much is shown.

    Attributes
    ----------
    crossings : int
        Encoder: bunch crossings that the module sees.
    recordings : int
        Crossbar: recordings of digits that are classified. Association: recordings to learn and to find.
    seed : int
        Of particles, or of conductances, digits and camera.
    """

    crossings: int = 400
    recordings: int = 500
    seed: int = 1


def show_design(
    design: Design, folder: Path, journal: Journal, options: DemoOptions | None = None
) -> tuple[Metric, ...]:
    """Run the demo of a kind of chip (`Design.room`), then synthesise (`Design.area_in_demo`); metrics of the netlist.

    Raises
    ------
    ValueError
        This kind of chip has no demo, or the design is not one that it shows.
    """
    options = options or DemoOptions()
    with design.results(folder) as known:
        known.room("demo").show(known, folder, journal, options)
        metrics = SYNTHESIS(known, folder, journal) if known.area_in_demo else ()
    journal.save(folder / "journal.json")
    return metrics
