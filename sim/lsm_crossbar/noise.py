"""Read noise from shift registers, so that hardware repeats it bit for bit.

Every ADC has a generator of its own: the 31-bit Fibonacci shift register of x^31 + x^28 + 1 (PRBS31 of ITU-T O.150,
period 2**31 - 1), advanced by 16 places for each conversion, all ADCs together. With state ``s`` (newest bit in bit 0)
16 places at once are one row of XOR gates, because both taps are older than the 16 new bits::

    fresh = ((s >> 15) ^ (s >> 12)) & 0xffff
    s     = ((s << 16) | fresh) & 0x7fffffff

The four nibbles of ``fresh`` are four uniform numbers; their sum less its mean is a bell-shaped integer ``z`` of -30
to 30 with the standard deviation sqrt(4 * 255 / 12) = 9.22. The noise in conductance codes, added to the column sum::

    noise = (z * noise_scale + 32) >> 6

that is, 0.144 codes of standard deviation per unit of `noise_scale`. The sequence of a conversion: advance, then use
``fresh``. ADCs advance only when they convert: no active row, no read, no advance. One read makes `columns_per_adc`
conversions, `select` ascending, and every ADC converts on each, also those whose column no neuron listens to.

At the start of sample ``n`` (counted since the seed was set, modulo 2**31) ADC ``a`` starts from::

    base  = (seed + n * NOISE_SAMPLE_STEP) mod 2**31
    state = (base ^ ((a + 1) * NOISE_ADC_STEP mod 2**31)) | 1

so samples can be computed in any order. Bit 0 is set so that no register is ever all zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.lsm_crossbar.spec import (
    NOISE_ADC_STEP,
    NOISE_FRACTION,
    NOISE_SAMPLE_STEP,
    NOISE_STATE_WIDTH,
    NOISE_UNIT,
)

STATE_MASK = (1 << NOISE_STATE_WIDTH) - 1
NOISE_SIGMA = (4 * 255 / 12) ** 0.5
"""Standard deviation of the unscaled noise: four uniform numbers of 0 to 15."""


def start_states(seed: int, sample: npt.ArrayLike, adcs: int) -> IntArray:
    """States at the start of samples.

    Parameters
    ----------
    seed : int
        0 to 2**31 - 1.
    sample : int or array_like of int, shape (...)
        Samples since the seed was set.
    adcs : int
        Generators.

    Returns
    -------
    ndarray of int64, shape (..., adcs)
        States, bit 0 set.

    Raises
    ------
    ValueError
        If the seed does not fit the register.
    """
    if not 0 <= seed <= STATE_MASK:
        raise ValueError(f"noise seed: expected 0 to {STATE_MASK}, got {seed}")
    base = (seed + np.asarray(sample, np.int64) * NOISE_SAMPLE_STEP) & STATE_MASK
    own = (np.arange(1, adcs + 1, dtype=np.int64) * NOISE_ADC_STEP) & STATE_MASK
    states: IntArray = (base[..., None] ^ own) | 1
    return states


def advance(states: IntArray) -> IntArray:
    """States after one conversion; same shape."""
    fresh = ((states >> 15) ^ (states >> 12)) & 0xFFFF
    return ((states << 16) | fresh) & STATE_MASK


def draw(states: IntArray, noise_scale: int) -> IntArray:
    """Noise, in conductance codes, of conversions after which the generators are in `states`; same shape."""
    nibbles = (states & 15) + ((states >> 4) & 15) + ((states >> 8) & 15) + ((states >> 12) & 15)
    noise: IntArray = ((nibbles - NOISE_UNIT) * noise_scale + (1 << (NOISE_FRACTION - 1))) >> NOISE_FRACTION
    return noise
