"""Step: power of a synthesised design from real stimulus."""

from __future__ import annotations

import shlex
from pathlib import Path

from flows.common.journal import Check, Journal
from flows.common.metrics import Metric
from flows.designs.design import Design
from flows.physical.mapped import Mapped
from flows.power.measure import measure_power
from flows.power.run import PowerOptions
from flows.steps.step import Step

__all__ = ["POWER", "PowerOptions", "measure_design"]


def measure_design(
    design: Design, folder: Path, journal: Journal, options: PowerOptions | None = None
) -> tuple[Metric, ...]:
    """Power of a synthesised design; its gates are compared with the golden model on the way.

    What was measured is in ``power/power.json``.
    """
    options = options or PowerOptions()
    _, result, metrics = measure_power(
        Mapped(folder=folder), design, options, command=design.command("power", _spelt(design, options)),
        step=journal.step,
    )  # fmt: skip
    compared = int(result["words_compared"])
    journal.check(
        Check(
            name="netlist equals golden model on the stimulus of the power", passed=compared > 0,
            compared=compared, unit="words", detail=result["activity"],
        )
    )  # fmt: skip
    return metrics


def _spelt(design: Design, options: PowerOptions) -> str:
    """Options as the command line takes them: those that are for this kind of chip."""
    words = [
        f"--{name} {shlex.quote(str(value))}"
        for name in design.stimulus
        if (value := getattr(options, name)) is not None
    ]
    if options.glitch_clocks != PowerOptions().glitch_clocks:
        words.append(f"--glitch-clocks {options.glitch_clocks}")
    if options.supply_v is not None:
        words.append(f"--supply {options.supply_v:g}")
    return " ".join([*words, f"--seed {options.seed}"])


def _no_stimulus(design: Design) -> str:
    return "" if "power" in design.rooms else f"{design.name}: no power, there is no stimulus for this kind of chip"


POWER = Step(
    name="power",
    work=measure_design,
    options=PowerOptions,
    reads=("synthesis/netlist.json", "placement/placement.npz", "placement/repair.json"),
    writes=("power/power.json", "power/metrics.json"),
    tools=("numba", "numpy", "scipy"),
    rooms=("power",),
    skipped=_no_stimulus,
)
