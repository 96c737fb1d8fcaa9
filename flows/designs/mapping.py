"""The one mapped netlist of a design: area, timing, power and fault campaign all start from it."""

from __future__ import annotations

from pathlib import Path

from flows.designs.design import Design
from flows.library.library import CellLibrary
from flows.synthesis.recipe import Recipe
from flows.synthesis.result import SynthesisResult
from flows.synthesis.synthesise import synthesise

__all__ = ["map_design"]


def map_design(
    part: Design,
    library: CellLibrary,
    out_dir: Path,
    *,
    recipe: Recipe | None = None,
    timeout_s: float = 1200.0,
    command: str = "",
) -> SynthesisResult:
    """Synthesise a design with its own recipe, at its own clock.

    Parameters
    ----------
    part : Design
    library : CellLibrary
    out_dir : Path
        As `flows.synthesis.synthesise.synthesise` takes it.
    recipe : Recipe, optional
        In place of the design's: a quicker one, where any netlist of the design will do.
    timeout_s : float
        Limit of each yosys run in seconds.
    command : str
        What made it, for the metrics.
    """
    from hw.common.export import to_rtlil

    return synthesise(
        to_rtlil(part.component(), part.name), top=part.name, library=library, out_dir=out_dir, keep=part.boundaries,
        recipe=recipe or part.recipe, clock_period_ns=part.clock_period_ns, clock_gating=part.clock_gating,
        timeout_s=timeout_s, command=command,
    )  # fmt: skip
