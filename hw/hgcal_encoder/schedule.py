"""Which position of the convolution is computed when, if multipliers are reused."""

from dataclasses import dataclass
from functools import cached_property

from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["CLOCK_HIGH", "Schedule"]

CLOCK_HIGH = 0.25
"""Share of its period that the fastest clock is high where latches stand in front of the layers. They open when it
falls: the neurons have three quarters of the period for what came by then, and what comes later passes through."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Positions of the convolution over `spec.reuse` slots of a bunch crossing.

    In each slot, an internal clock, every unit computes all filters of one position. A unit has the taps that any of
    its positions has, so positions of equal size share a unit: the largest come first.

    Attributes
    ----------
    spec : EncoderSpec
    folded : bool
        Positions that see nothing but padding are left out: what they add to the latents is summed up elsewhere
        (`hw.hgcal_encoder.folded_sums.FoldedSums`).
    """

    spec: EncoderSpec
    folded: bool = False

    @cached_property
    def left_out(self) -> tuple[int, ...]:
        """Positions without a slot."""
        taps = self.spec.taps
        return tuple(position for position, seen in enumerate(taps) if not seen) if self.folded and any(taps) else ()

    @cached_property
    def units(self) -> tuple[tuple[int | None, ...], ...]:
        """For each unit its position in each slot, None where it has none."""
        slots = self.spec.reuse
        slotted = [position for position in range(self.spec.positions) if position not in self.left_out]
        order = sorted(slotted, key=lambda position: -len(self.spec.taps[position]))
        parts = [order[first : first + slots] for first in range(0, len(order), slots)]
        return tuple((*part, *[None] * (slots - len(part))) for part in parts)

    @cached_property
    def unit_taps(self) -> tuple[tuple[int, ...], ...]:
        """For each unit the kernel taps that it multiplies, ascending; empty if its positions see padding only."""
        return tuple(
            tuple(sorted({tap for position in unit if position is not None for _, tap in self.spec.taps[position]}))
            for unit in self.units
        )

    def cell(self, unit: int, slot: int, tap: int) -> int | None:
        """Trigger cell that a tap of a unit sees in a slot; None for a constant zero."""
        position = self.units[unit][slot]
        return None if position is None else {t: cell for cell, t in self.spec.taps[position]}.get(tap)

    @property
    def parallel(self) -> int:
        """Activations per slot; index = unit * filters + filter."""
        return len(self.units) * self.spec.filters

    def activation(self, slot: int, index: int) -> int | None:
        """Number of the activation that stands at `index` in a slot; None if nothing does."""
        unit, filter_ = divmod(index, self.spec.filters)
        position = self.units[unit][slot]
        return None if position is None else position * self.spec.filters + filter_

    @cached_property
    def slots(self) -> dict[int, int]:
        """Slot of each activation."""
        indices = [(slot, index) for slot in range(self.spec.reuse) for index in range(self.parallel)]
        found = {self.activation(slot, index): slot for slot, index in indices}
        return {activation: slot for activation, slot in found.items() if activation is not None}

    @property
    def multipliers(self) -> int:
        """Multipliers of both layers."""
        return self.spec.filters * sum(map(len, self.unit_taps)) + self.parallel * self.spec.latents
