"""What a specification has to say for the linear readout that the liquids share (`hw.common.readout`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["ReadoutSizes", "ReadoutSpec"]


class ReadoutSpec(Protocol):
    """Sizes and widths of a readout; the specs of the chips have them as fields or properties."""

    @property
    def neurons(self) -> int:
        """Neurons, whose counts come one after another."""
        ...

    @property
    def outputs(self) -> int:
        """Classes."""
        ...

    @property
    def features(self) -> int:
        """Counts of a sample, and words of weights: windows times neurons."""
        ...

    @property
    def count_width(self) -> int:
        """Bits of a count (unsigned)."""
        ...

    @property
    def readout_weight_bits(self) -> int:
        """Bits of a weight (two's complement; 1: a sign, 0 for +1 and 1 for -1)."""
        ...

    @property
    def bias_width(self) -> int:
        """Bits of a bias (two's complement)."""
        ...

    @property
    def score_width(self) -> int:
        """Bits of a score (two's complement)."""
        ...

    @property
    def class_bits(self) -> int:
        """Bits of the class index."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReadoutSizes:
    """A `ReadoutSpec` of its own: where one readout serves several liquids."""

    neurons: int
    outputs: int
    features: int
    count_width: int
    readout_weight_bits: int
    bias_width: int
    score_width: int
    class_bits: int
