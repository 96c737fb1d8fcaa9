"""Step: placement of a synthesised design."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.common.journal import Check, Journal
from flows.common.metrics import Metric
from flows.designs.design import Design
from flows.physical.hold import HoldCorner
from flows.physical.mapped import Mapped
from flows.physical.measure import clock_plan, corner_of, measure_placement
from flows.steps.step import Step

__all__ = ["PLACEMENT", "PlacementOptions", "place_design"]


@dataclass(frozen=True, kw_only=True)
class PlacementOptions:
    """How to place.

    Attributes
    ----------
    utilisation : float
        Cell area over core area.
    aspect : float
        Height of the core over its width.
    effort : int
        Of the placer, 1 to 9.
    spread : bool
        Even density over the core instead of shortest wires.
    repair : bool
        Give cells the size that their loads ask for, and buffers, in the core as placed.
    hold : float or None
        Buffers in front of registers whose data come too soon where all delays take this share of what the fast corner
        says, or of what the library says if it has none; None: no such buffers.
    fast : tuple of Path
        Liberty files for hold; the kit's own fast corner where left out.
    exchange : bool
        Leave netlist, placement and wires for other tools, too: Verilog, DEF, SPEF.
    """

    utilisation: float = 0.7
    aspect: float = 1.0
    effort: int = 1
    spread: bool = False
    repair: bool = False
    hold: float | None = None
    fast: tuple[Path, ...] = ()
    exchange: bool = False

    @property
    def command(self) -> str:
        """As the command line takes them."""
        text = f"--utilisation {self.utilisation:g} --aspect {self.aspect:g} --effort {self.effort}"
        text += "".join(f" --{name}" for name in ("spread", "repair", "exchange") if getattr(self, name))
        text += "" if self.hold is None else f" --hold {self.hold:g}"
        return text + "".join(f" --fast {path}" for path in self.fast)


def place_design(
    design: Design, folder: Path, journal: Journal, options: PlacementOptions | None = None
) -> tuple[Metric, ...]:
    """Place a synthesised design and judge that every cell stands legally."""
    options, mapped = options or PlacementOptions(), Mapped(folder=folder)
    hold = None
    if options.hold is not None:
        clocks = clock_plan(
            mapped, period_ns=design.period_ns, internal=design.internal_clocks, one_source=design.one_source,
            clock_high=design.clock_high,
        )  # fmt: skip
        files = corner_of(mapped, "fast", options.fast) or mapped.cells.liberty
        hold = clocks, HoldCorner(liberty=tuple(files), early=options.hold)
    with journal.step(f"placement of {mapped.synthesised.cells:,} cells"):
        placed, busy, metrics = measure_placement(
            mapped, utilisation=options.utilisation, aspect=options.aspect, effort=options.effort,
            spread=options.spread, repair=options.repair, hold=hold, exchange=options.exchange,
            command=design.command("place", options.command),
        )  # fmt: skip
    journal.check(
        Check(
            name="every cell stands in the core, none on another", passed=placed.overlaps == 0,
            compared=len(placed.x_um), unit="cells",
            detail=f"{placed.area_um2 / 1e6:.3f} mm2, {placed.wire_um.sum() / 1e6:.2f} m of wire, "
            f"worst bin wants {100 * busy.worst:.0f} % of its tracks",
        )
    )  # fmt: skip
    return metrics


def _no_outlines(design: Design) -> str:
    """A library without LEF files says nothing of the size of its cells."""
    return "" if design.cells.lef else f"{design.cells.name} has no LEF files: not placed, wires from its wire load"


PLACEMENT = Step(
    name="place",
    work=place_design,
    options=PlacementOptions,
    reads=("synthesis/netlist.json",),
    writes=("placement/placement.npz", "placement/placement.png", "placement/metrics.json"),
    tools=("matplotlib", "numba", "numpy", "scipy"),
    skipped=_no_outlines,
)
