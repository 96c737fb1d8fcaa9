"""The homeostat: an astrocyte beside a fixed liquid that moves the neurons' threshold.

The astrocyte of V. A. Ivanov and K. P. Michmizos, "Increasing liquid state machine performance with edge-of-chaos
dynamics organized by astrocyte-modulated plasticity", NeurIPS 2021 (arXiv 2111.01760), compares spikes of the liquid
with spikes of its input and sets how strongly synapses are depressed. The synapses of this liquid are cells that nobody
writes again; what can follow is the threshold. Cells that drift, a read voltage or a temperature that is another one
than at the time of training scale all currents, and with the threshold scaled alike the liquid does what it did.

`Homeostat`, one threshold for all neurons. A window is a number of samples. Over a window the balance is
``liquid spikes - ratio * input spikes``. If it is above the band at the end of the window, the threshold of the next
one is one higher, if it is below minus the band, one lower, within half and twice the value of the register. One step
at a time makes it stable for every liquid that spikes no less at a lower threshold: the distance to the balanced
threshold never grows above one (proved in `flows.formal.crossbar`).

`NeuronHomeostat`, one for each neuron: cells that drift, each by another factor, change the share of every neuron in
the liquid, and no common threshold gives it back. After each counting window the offset of a neuron's threshold grows
by ``(its spikes - its ratio * input spikes) / 2**rate``, by at most one; the sum is what a window remembers in the
other. Thresholds change between samples. The same theorem holds, for each neuron.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.lsm_crossbar.spec import (
    BAND_MAX,
    OFFSET_FRACTION,
    OWN_RATIO_FRACTION,
    OWN_RATIO_MAX,
    RATE_MAX,
    RATIO_FRACTION,
    RATIO_MAX,
    CrossbarSpec,
)

__all__ = ["Homeostat", "NeuronHomeostat", "balanced_ratio", "balanced_ratios"]


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
        if spec.homeostat is None or spec.own_thresholds:
            raise ValueError(f"{spec.name} has no homeostat{' of one threshold' if spec.homeostat else ''}")
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

    def observe(self, counts: IntArray, inputs: IntArray) -> None:
        """Go on by some samples, at most those that are `left`.

        Parameters
        ----------
        counts : ndarray, shape (n, windows, neurons)
            Spikes of the liquid.
        inputs : ndarray, shape (n, windows)
            Spikes of the input.
        """
        self.after(int(counts.sum()), int(inputs.sum()), len(counts))

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


class NeuronHomeostat:
    """Golden model of a homeostat with a threshold for each neuron: told of every sample, it knows those of the next.

    Parameters
    ----------
    spec : CrossbarSpec
        One with such a homeostat.
    ratios : array_like of int, shape (neurons,)
        Spikes of each neuron for one input spike, in units of ``2**-OWN_RATIO_FRACTION``.
    threshold, rate : int, optional
        Values of the registers; those after reset where left out.

    Attributes
    ----------
    offsets : ndarray of int64, shape (neurons,)
        Thresholds less that of the register, in units of ``2**-OFFSET_FRACTION``; they begin with a half.

    Raises
    ------
    ValueError
        If the chip has no such homeostat, or a value does not fit its register.
    """

    left = 1
    """Samples until a threshold may move."""

    def __init__(
        self, spec: CrossbarSpec, ratios: npt.ArrayLike, *, threshold: int | None = None, rate: int | None = None
    ) -> None:
        if spec.homeostat is None or not spec.own_thresholds:
            raise ValueError(f"{spec.name} has no homeostat with a threshold for each neuron")
        self.spec = spec
        self.ratios = check_range(ratios, 0, OWN_RATIO_MAX, "homeostat ratio")
        if self.ratios.shape != (spec.neurons,):
            raise ValueError(f"homeostat ratios: expected {spec.neurons}, got the shape {self.ratios.shape}")
        start = spec.threshold if threshold is None else threshold
        self._register = int(check_range(start, 0, spec.threshold_max, "threshold"))
        self.rate = int(check_range(spec.homeostat.rate if rate is None else rate, 0, RATE_MAX, "homeostat rate"))
        low, high = spec.homeostat_range(self._register)
        self._range = (low - self._register) << OFFSET_FRACTION, (high - self._register) << OFFSET_FRACTION
        self.offsets = np.full(spec.neurons, 1 << (OFFSET_FRACTION - 1))

    @property
    def threshold(self) -> IntArray:
        """Thresholds of the neurons, rounded down; shape (neurons,)."""
        return self._register + (self.offsets >> OFFSET_FRACTION)

    @property
    def moved(self) -> int:
        """Sum of the thresholds less those of the register: what the status bytes say."""
        return int((self.offsets >> OFFSET_FRACTION).sum())

    def observe(self, counts: IntArray, inputs: IntArray) -> None:
        """Go on by one sample; parameters as of `Homeostat.observe`."""
        if len(counts) != self.left:
            raise ValueError(f"samples: expected one, got {len(counts)}")
        one = 1 << OFFSET_FRACTION
        for spikes, came in zip(counts[0], inputs[0], strict=True):
            expected = (self.ratios * int(came)) >> (OWN_RATIO_FRACTION - RATIO_FRACTION)
            excess = (spikes << RATIO_FRACTION) - expected
            step = np.clip(excess << (OFFSET_FRACTION - RATIO_FRACTION - self.rate), -one, one)
            self.offsets = np.clip(self.offsets + step, *self._range)


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


def balanced_ratios(counts: IntArray, input_spikes: int) -> IntArray:
    """Ratio of each neuron at which these spikes are in balance; one beyond the register's largest is that.

    Parameters
    ----------
    counts : ndarray of int, shape (..., neurons)
        Spikes of the neurons.
    input_spikes : int
        Spikes of the input meanwhile.
    """
    each = counts.reshape(-1, counts.shape[-1]).sum(axis=0, dtype=np.int64)
    ratios = np.rint((each << OWN_RATIO_FRACTION) / max(input_spikes, 1)).astype(np.int64)
    return np.minimum(ratios, OWN_RATIO_MAX)
