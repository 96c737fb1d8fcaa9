"""From deposits to charges: noise, leakage, ADC and time over threshold of the front-end chip."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np

from sim.hgcal_encoder.decode import DROP_HIGH_DENSITY, DROP_LOW_DENSITY
from sim.hgcal_encoder.detector.particles import Float32, Int64, UInt8

__all__ = ["Digitisation"]


NOISE_ELECTRONS = {120: 2000.0, 200: 2400.0, 300: 2000.0}
ELECTRON_FC = 1.602176634e-4
#: One ADC count (fC) and the counts per step of the time-over-threshold range.
ADC_LSB_FC = 100.0 / 1024.0
ADC_FULL_SCALE = 1023
TOT_STEP = 25
TOT_FULL_SCALE = 4095


# ---------------------------------------------------------------------------------------------- digitisation
@dataclass(frozen=True, kw_only=True)
class Digitisation:
    """From deposits to 4E3M codes.

    Attributes
    ----------
    threshold_mip : float
        A sensor cell below this contributes nothing to its trigger cell.
    leakage : float
        Fraction of a cell's charge that appears in the next bunch crossing.
    noise : float
        Scale on the nominal noise of the cells, 0 for none.
    """

    threshold_mip: float = 0.5
    leakage: float = 0.163
    noise: float = 1.0

    def __post_init__(self) -> None:
        if self.threshold_mip < 0:
            raise ValueError(f"threshold_mip must not be negative, got {self.threshold_mip}")
        if not 0.0 <= self.leakage < 1.0:
            raise ValueError(f"leakage must be 0 ... 1, got {self.leakage}")
        if self.noise < 0:
            raise ValueError(f"noise must not be negative, got {self.noise}")


@numba.njit(cache=True, nogil=True)
def digitise(
    rng: np.random.Generator,
    charge: Float32,
    previous: Float32,
    leakage: float,
    gain: Float32,
    use_gain: bool,
    offsets: Int64,
    cells_per_tc: Int64,
    noise_mip: Float32,
    noise_above: Float32,
    threshold: float,
    counts_per_mip: Float32,
    lowest: Int64,
    decoded: Int64,
    calibration: Int64,
    transverse: Float32,
    codes: UInt8,
    charges: Int64,
    unencoded: Float32,
    mipt: Float32,
) -> None:
    """Cells to trigger cell codes, calibrated charges, these without the code's rounding, and true transverse MIP.

    Each is of shape (13 * modules, 48).

    ``lowest`` is `FloatCode.lowest` of 4E3M, ``decoded`` is (2, 128), the charge of every code at low and high
    density; ``transverse`` is 1 / cosh(eta).

    ``noise_above`` is the probability that noise alone passes the threshold; cells without charge are drawn through
    it (one Bernoulli gap per such cell) rather than by a normal number each.
    """
    n_modules = len(offsets) - 1
    for layer in range(charge.shape[0]):
        for module in range(n_modules):
            site = layer * n_modules + module
            group = cells_per_tc[module]
            sigma = noise_mip[module]
            probability = noise_above[module]
            high = 1 if group == 9 else 0
            drop = DROP_HIGH_DENSITY if high == 1 else DROP_LOW_DENSITY
            gap = np.int64(1 << 40)
            if probability > 0.0:
                gap = np.int64(math.log(1.0 - rng.random()) / math.log1p(-probability))
            cell = offsets[module]
            for tc in range(48):
                total = np.int64(0)
                deposited = np.float32(0)
                for _ in range(group):
                    q = charge[layer, cell]
                    deposited += q
                    q += np.float32(leakage) * previous[layer, cell]
                    if use_gain:
                        q *= gain[layer, cell]
                    keep = False
                    if q > 0.0:
                        if sigma > 0.0:
                            q += sigma * np.float32(rng.standard_normal())
                        keep = q > 0.0 and q >= threshold
                    elif gap == 0:
                        # a noise-only cell above threshold: tail of the normal distribution by rejection
                        # (exponential proposal, C. P. Robert, Stat. Comput. 5 (1995) 121)
                        t = threshold / sigma
                        while True:
                            z = t - math.log(1.0 - rng.random()) / max(t, 0.5)
                            if rng.random() <= math.exp(-0.5 * (z - max(t, 0.5)) ** 2):
                                break
                        q = np.float32(sigma * z)
                        keep = True
                        gap = np.int64(math.log(1.0 - rng.random()) / math.log1p(-probability))
                    else:
                        gap -= 1
                    if keep:
                        adc = np.int64(q * counts_per_mip[module] + 0.5)
                        if adc > ADC_FULL_SCALE:  # time over threshold: coarser steps
                            adc = TOT_STEP * min((adc + TOT_STEP // 2) // TOT_STEP, np.int64(TOT_FULL_SCALE))
                        total += adc
                    cell += 1
                code = np.searchsorted(lowest, total >> drop, side="right") - 1
                codes[site, tc] = code
                unencoded[site, tc] = total * calibration[site, tc] / 2048.0
                charges[site, tc] = (decoded[high, code] * calibration[site, tc]) >> 11
                mipt[site, tc] = deposited * transverse[site, tc]
