"""Step: power of a placed design from real stimulus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.common.journal import Check, Journal
from flows.designs.design import Design
from sim.hgcal_encoder.spec import EncoderSpec

if TYPE_CHECKING:
    from flows.common.metrics import Metric
    from flows.physical.mapped import Mapped

__all__ = ["GLITCH_CLOCKS", "run_power"]


GLITCH_CLOCKS = 16


def run_power(
    journal: Journal,
    chosen: Design,
    mapped: Mapped,
    *,
    preset: str,
    crossings: int = 24,
    streams: int = 512,
    recordings: int = 32,
    clocks: int | None = None,
    weights: Path | None = None,
    seed: int = 1,
    glitch_clocks: int = 16,
) -> tuple[dict[str, Any], tuple[Metric, ...]]:
    """Power of a synthesised design from real stimulus; its gates are compared with the golden model on the way."""
    from flows.power.measure import measure_power

    spec = chosen.spec
    if isinstance(spec, EncoderSpec):
        size = f"--crossings {crossings} --streams {streams}"
    else:
        size = f"--recordings {recordings}" + ("" if clocks is None else f" --clocks {clocks}")
        size += "" if weights is None else f" --weights {weights}"
    size += "" if glitch_clocks == GLITCH_CLOCKS else f" --glitch-clocks {glitch_clocks}"
    _, result, metrics = measure_power(
        mapped, spec, crossings=crossings, words=-(-streams // 64), recordings=recordings,
        clocks=clocks, weights=weights, seed=seed, glitch_clocks=glitch_clocks, latency=chosen.latency,
        command=f"liquidcal power {preset} {size} --seed {seed}{chosen.options}", step=journal.step,
    )  # fmt: skip
    compared = result.get("frames_compared") or sum(result.get("compared", {}).values())
    journal.check(
        Check(
            name="netlist equals golden model on the stimulus of the power", passed=compared > 0,
            compared=int(compared), unit="words", detail=result["activity"],
        )
    )  # fmt: skip
    return result, metrics
