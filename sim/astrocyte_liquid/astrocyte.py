"""The astrocyte of the chip: it sets the rate of depression by what the liquid does with its input."""

from __future__ import annotations

from dataclasses import dataclass

from sim.astrocyte_liquid.spec import RATE_DECAY, AstrocyteSpec

__all__ = ["Rates"]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Rates of plasticity, in steps of ``2**-spec.rate_fraction``.

    Attributes
    ----------
    potentiation, depression : int
        A+ and A-.
    weight, bias : int
        w_a and b_a.
    """

    potentiation: int
    depression: int
    weight: int
    bias: int

    @classmethod
    def first(cls, spec: AstrocyteSpec) -> Rates:
        """At the start of a sample."""
        return cls(
            potentiation=spec.potentiation_code, depression=spec.bias_code, weight=spec.astrocyte_code,
            bias=spec.bias_code,
        )  # fmt: skip

    def after(self, liquid: int, inputs: int, fades: bool, spec: AstrocyteSpec) -> Rates:
        """After a step with so many spikes of the liquid and of the inputs.

        ``A- <- A- + (w_a (liquid - inputs) + b_a - A-) / 100``, saturated; where the sample fades, all four then lose
        a hundredth.
        """
        target = self.weight * (liquid - inputs) + self.bias
        depression = self.depression + _hundredth(target - self.depression)
        depression = min(max(depression, -spec.rate_max - 1), spec.rate_max)
        if not fades:
            return Rates(potentiation=self.potentiation, depression=depression, weight=self.weight, bias=self.bias)
        return Rates(
            potentiation=self.potentiation - _hundredth(self.potentiation),
            depression=depression - _hundredth(depression),
            weight=self.weight - _hundredth(self.weight),
            bias=self.bias - _hundredth(self.bias),
        )


def _hundredth(value: int) -> int:
    numerator, shift = RATE_DECAY
    return (numerator * value + (1 << (shift - 1))) >> shift
