"""The homeostat: an astrocyte beside a fixed liquid that moves the neurons' threshold.

The astrocyte of V. A. Ivanov and K. P. Michmizos, "Increasing liquid state machine performance with edge-of-chaos
dynamics organized by astrocyte-modulated plasticity", NeurIPS 2021 (arXiv 2111.01760), compares spikes of the liquid
with spikes of its input and sets how strongly synapses are depressed. The synapses of this liquid are cells that nobody
writes again; what can follow is the threshold. Cells that drift, a read voltage or a temperature that is another one
than at the time of training scale all currents, and with the threshold scaled alike the liquid does what it did.

A window is a number of samples. Over a window the balance is ``liquid spikes - ratio * input spikes``. If it is above
the band at the end of the window, the threshold of the next one is one higher, if it is below minus the band, one
lower, within half and twice the value of the register. One step at a time makes it stable for every liquid that spikes
no less at a lower threshold: the distance to the balanced threshold never grows above one (proved in
`flows.formal.crossbar`).
"""

from __future__ import annotations

from sim.fixed_point import check_range
from sim.lsm_crossbar.spec import BAND_MAX, RATIO_FRACTION, RATIO_MAX, CrossbarSpec

__all__ = ["Homeostat", "balanced_ratio"]


class Homeostat:
    """Golden model of the homeostat: told of every sample, it knows the threshold of the next one.

    Parameters
    ----------
    spec : CrossbarSpec
        One with a homeostat.
    threshold, ratio, band : int, optional
        Values of the registers; those after reset where left out.

    Raises
    ------
    ValueError
        If the chip has no homeostat, or a value does not fit its register.
    """

    def __init__(
        self, spec: CrossbarSpec, *, threshold: int | None = None, ratio: int | None = None, band: int | None = None
    ) -> None:
        if spec.homeostat is None:
            raise ValueError(f"{spec.name} has no homeostat")
        self.spec = spec
        self.samples = spec.homeostat.samples
        values = (
            ("threshold", spec.threshold if threshold is None else threshold, spec.threshold_max),
            ("homeostat ratio", spec.homeostat.ratio if ratio is None else ratio, RATIO_MAX),
            ("homeostat band", spec.homeostat.band if band is None else band, BAND_MAX),
        )
        start, self.ratio, self.band = (int(check_range(value, 0, top, name)) for name, value, top in values)
        self.low, self.high = spec.homeostat_range(start)
        self.threshold = start
        self._seen = self._balance = 0

    @property
    def left(self) -> int:
        """Samples until the threshold may move."""
        return self.samples - self._seen

    def after(self, liquid_spikes: int, input_spikes: int, samples: int = 1) -> None:
        """Go on by some samples with so many spikes in all, at most those that are `left`."""
        if not 1 <= samples <= self.left:
            raise ValueError(f"samples: expected 1 to the {self.left} of the window, got {samples}")
        self._balance += (liquid_spikes << RATIO_FRACTION) - self.ratio * input_spikes
        self._seen += samples
        if self.left:
            return
        band = self.band << RATIO_FRACTION
        if self._balance > band:
            self.threshold = min(self.threshold + 1, self.high)
        elif self._balance < -band:
            self.threshold = max(self.threshold - 1, self.low)
        self._seen = self._balance = 0


def balanced_ratio(liquid_spikes: int, input_spikes: int) -> int:
    """The ratio at which these spikes are in balance, to the register's step.

    Raises
    ------
    ValueError
        If no ratio of the register is.
    """
    ratio = round((liquid_spikes << RATIO_FRACTION) / max(input_spikes, 1))
    if not 0 < ratio <= RATIO_MAX:
        raise ValueError(
            f"homeostat: {liquid_spikes:,} liquid spikes for {input_spikes:,} input spikes are out of balance; "
            f"expected at most {RATIO_MAX >> RATIO_FRACTION} for one, and some"
        )
    return ratio
