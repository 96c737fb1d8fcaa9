"""Resistive-memory cells: how a random array comes out of electroforming, and what happens to it afterwards.

Every effect is a function of physical quantities and a `numpy.random.Generator`; a parameter that is None switches it
off. `draw` applies them all, from one seed to the image that the chip loads.

Sources. Measurements and method: S. Wang et al., "Echo state graph neural networks with analogue random resistive
memory arrays", Nat. Mach. Intell. 5 (2023) 104, TaN/TaOx/Ta/TiN cells in a 40 nm 1T1R array; conductances of 2,900
cells and breakdown voltages of 400 (`data/`). Cells form where the programming voltage exceeds their breakdown voltage;
the word line's transistor sets the compliance. Conductance grows in proportion to the compliance, as the resistance of
a formed filament is a constant voltage over the compliance current: D. Ielmini, "Modeling the universal set/reset
characteristics of bipolar RRAM by field- and temperature-driven filament growth", IEEE Trans. Electron Devices 58
(2011) 4309, whose abstract says that compliance controls filament resistance; that the voltage is 0.4 V could not be
confirmed in the paper itself. It only says which compliance the measured conductances belong to; draws at the default
compliance do not depend on it. Drift as a power law of time with cell-to-cell exponents: M. Le Gallo et al.,
"Collective structural relaxation in phase-change memory devices", Adv. Electron. Mater. 4 (2018) 1700627, for
phase-change cells, with normal exponents as AIHWKit has them; no drift of these cells has been published, so it is off
unless set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.stats

from sim.fixed_point import IntArray
from sim.lsm_crossbar.macro_model.array import FloatArray, ir_drop_factors
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.noise import NOISE_SIGMA
from sim.lsm_crossbar.spec import NOISE_FRACTION, CrossbarSpec, DeviceParameters

DATA = Path(__file__).parents[1] / "data"
DEPENDS_ON = ("../data/*.csv",)
REFERENCE_COMPLIANCE_UA = 5.0
"""Compliance, uA, to which the measured conductances are assigned: mean conductance times 0.4 V (Ielmini 2011,
the voltage unconfirmed)."""

_STREAMS = ("breakdown", "conductance", "error", "stuck", "drift", "gain", "offset")


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Measurements of real arrays.

    Attributes
    ----------
    conductances_us : ndarray, shape (cells,)
        Conductances, uS; 0 where a cell did not form.
    breakdown_v : ndarray, shape (breakdowns,)
        Breakdown voltages, V, read to 0.02 V.
    """

    conductances_us: FloatArray
    breakdown_v: FloatArray

    @property
    def formed_us(self) -> FloatArray:
        """Conductances of the formed cells, uS."""
        return self.conductances_us[self.conductances_us > 0]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Distributions fitted to measurements, by maximum likelihood, and how well they fit.

    Attributes
    ----------
    formed_fraction : float
        Fraction of cells that formed.
    log_mean, log_sigma : float
        Of ln(conductance / uS).
    breakdown_mean_v, breakdown_sigma_v : float
        V.
    lognormal_p, normal_p : float
        p-value of a Kolmogorov-Smirnov test of formed conductances against the fitted lognormal and normal
        distributions. The distribution of the statistic is simulated with parameters fitted anew each time
        (Lilliefors), since the textbook one holds for parameters that were known beforehand.
    breakdown_p : float
        p-value of the same test of breakdown voltages against the fitted normal distribution, simulated voltages
        rounded to 0.02 V as the measured ones.
    """

    formed_fraction: float
    log_mean: float
    log_sigma: float
    breakdown_mean_v: float
    breakdown_sigma_v: float
    lognormal_p: float
    normal_p: float
    breakdown_p: float


def measured() -> Measured:
    """The measurements that ship with the model."""
    weights = [np.loadtxt(DATA / name, delimiter=",") for name in ("hidden_weight_uS.csv", "input_weight_uS.csv")]
    return Measured(
        conductances_us=np.concatenate([array.ravel() for array in weights]),
        breakdown_v=np.loadtxt(DATA / "breakdown_voltage_V.csv").ravel(),
    )


def fit(data: Measured, rng: np.random.Generator, simulations: int = 1000) -> Fit:
    """Fit the device model.

    Parameters
    ----------
    data : Measured
    rng : numpy.random.Generator
        For the simulated distribution of the test statistic.
    simulations : int
        Simulated samples per test.
    """
    formed, breakdown = data.formed_us, data.breakdown_v
    logs = np.log(formed)
    return Fit(
        formed_fraction=len(formed) / len(data.conductances_us),
        log_mean=float(logs.mean()),
        log_sigma=float(logs.std()),
        breakdown_mean_v=float(breakdown.mean()),
        breakdown_sigma_v=float(breakdown.std()),
        lognormal_p=_normality(logs, rng, simulations, None),
        normal_p=_normality(formed, rng, simulations, None),
        breakdown_p=_normality(breakdown, rng, simulations, 0.02),
    )


def _normality(sample: FloatArray, rng: np.random.Generator, simulations: int, step: float | None) -> float:
    def statistic(values: FloatArray) -> float:
        return float(scipy.stats.kstest((values - values.mean()) / values.std(), "norm").statistic)

    found = statistic(sample)
    larger = 0
    for _ in range(simulations):
        values = rng.normal(sample.mean(), sample.std(), len(sample))
        larger += statistic(values if step is None else np.round(values / step) * step) >= found
    return (larger + 1) / (simulations + 1)


def cell_voltage_v(device: DeviceParameters) -> float:
    """Voltage over a pristine cell while forming: the programming voltage, unless the compliance is below its leakage.

    The transistor is a current source of `compliance_ua`; a pristine cell of resistance R never sees more than I R.
    """
    if device.pristine_resistance_mohm is None:
        return device.programming_voltage_v
    return min(device.programming_voltage_v, device.compliance_ua * device.pristine_resistance_mohm)


def formed_fraction(device: DeviceParameters) -> float:
    """Expected fraction of cells that form: those whose breakdown voltage is below the cell voltage."""
    if device.breakdown_sigma_v is None:
        return float(device.breakdown_mean_v < cell_voltage_v(device))
    return float(scipy.stats.norm.cdf(cell_voltage_v(device), device.breakdown_mean_v, device.breakdown_sigma_v))


def programming_voltage_v(fraction: float, device: DeviceParameters) -> float:
    """Programming voltage, V, that forms this fraction of cells.

    Raises
    ------
    ValueError
        If the fraction is not between 0 and 1, both excluded, or breakdown voltages have no spread.
    """
    if device.breakdown_sigma_v is None:
        raise ValueError("device.breakdown_sigma_v is None: without a spread all cells form or none")
    if not 0 < fraction < 1:
        raise ValueError(f"formed fraction: expected above 0 and below 1, got {fraction}")
    return float(scipy.stats.norm.ppf(fraction, device.breakdown_mean_v, device.breakdown_sigma_v))


def form(
    shape: tuple[int, ...], device: DeviceParameters, breakdown: np.random.Generator, conductance: np.random.Generator
) -> FloatArray:
    """Conductances after electroforming, uS.

    Breakdown voltages and filament conductances come from two generators, so that another programming voltage with the
    same seed forms more or fewer cells of the same array.

    Parameters
    ----------
    shape : tuple of int
    device : DeviceParameters
    breakdown, conductance : numpy.random.Generator
    """
    weakest = breakdown.normal(device.breakdown_mean_v, device.breakdown_sigma_v or 0.0, shape)
    filament = conductance.lognormal(device.log_mean, device.log_sigma or 0.0, shape)
    filament *= device.compliance_ua / REFERENCE_COMPLIANCE_UA
    pristine = 0.0 if device.pristine_resistance_mohm is None else 1.0 / device.pristine_resistance_mohm
    return np.where(weakest < cell_voltage_v(device), filament, pristine)


def misprogram(conductances_us: FloatArray, error: float | None, rng: np.random.Generator) -> FloatArray:
    """Programming error: each conductance times 1 + normal of relative standard deviation `error`, not below 0."""
    if error is None:
        return conductances_us
    return np.maximum(conductances_us * (1 + rng.normal(0, error, conductances_us.shape)), 0)


def drift(
    conductances_us: FloatArray, device: DeviceParameters, rng: np.random.Generator, time_s: float | None = None
) -> FloatArray:
    """Conductances after a time: G (t / t0)^-nu, nu normal over the cells, not below 0.

    Parameters
    ----------
    conductances_us : ndarray
    device : DeviceParameters
    rng : numpy.random.Generator
    time_s : float, optional
        Instead of `device.drift_time_s`.
    """
    if device.drift_exponent is None:
        return conductances_us
    exponent = np.maximum(rng.normal(device.drift_exponent, device.drift_exponent_sigma or 0, conductances_us.shape), 0)
    return conductances_us * ((time_s or device.drift_time_s) / device.drift_reference_s) ** -exponent


def stick(
    conductances_us: FloatArray, on: float | None, off: float | None, on_us: float, rng: np.random.Generator
) -> FloatArray:
    """Stuck cells: the fractions `on` and `off` of cells have `on_us` and no conductance, at random places."""
    if on is None and off is None:
        return conductances_us
    place = rng.random(conductances_us.shape)
    stuck = np.where(place < (on or 0), on_us, conductances_us)
    return np.where(place >= 1 - (off or 0), 0.0, stuck)


def read_noise(conductances_us: FloatArray, sigma: float | None, rng: np.random.Generator) -> FloatArray:
    """Conductances as one read sees them: each times 1 + normal of relative standard deviation `sigma`.

    2 % is what Wang et al. use for these arrays. The chip's integer noise is scaled to it by `noise_scale`.
    """
    if sigma is None:
        return conductances_us
    return conductances_us * (1 + rng.normal(0, sigma, conductances_us.shape))


def noise_scale(spec: CrossbarSpec, sigma: float | None) -> int | None:
    """`CrossbarSpec.noise_scale` that stands for a relative read noise of each cell in a full read; None: no noise.

    A column of `rows_per_read` cells, a fraction f of them formed with the mean square E[G^2], has a noise of
    ``sigma * sqrt(rows_per_read * f * E[G^2])``; it is rounded to the steps of the generator, at least one step.
    """
    if sigma is None or sigma == 0:
        return None
    device = spec.device
    square_us = (
        np.exp(2 * device.log_mean + 2 * (device.log_sigma or 0.0) ** 2)
        * (device.compliance_ua / REFERENCE_COMPLIANCE_UA) ** 2
    )
    codes = sigma * np.sqrt(spec.rows_per_read * formed_fraction(device) * square_us) / spec.g_lsb_us
    return int(np.clip(np.rint(codes / NOISE_SIGMA * (1 << NOISE_FRACTION)), 1, 255))


def quantise(conductances_us: npt.ArrayLike, spec: CrossbarSpec) -> IntArray:
    """Conductance codes: rounded to steps of `spec.g_lsb_us`, cut at the largest code."""
    steps = np.rint(np.asarray(conductances_us) / spec.g_lsb_us)
    codes: IntArray = np.clip(steps, 0, spec.code_max).astype(np.int64)
    return codes


def draw_conductances_us(spec: CrossbarSpec, seed: int) -> FloatArray:
    """Effective conductances of a macro, uS: formed, misprogrammed, drifted, stuck, with the mean IR drop.

    Parameters
    ----------
    spec : CrossbarSpec
    seed : int
        Each effect has its own stream of it; switching one on leaves the others' draws as they are.

    Returns
    -------
    ndarray, shape (rows, columns)
    """
    stream = _streams(seed)
    return _used(form((spec.rows, spec.columns), spec.device, stream["breakdown"], stream["conductance"]), spec, stream)


def written_conductances_us(targets_us: npt.ArrayLike, spec: CrossbarSpec, seed: int) -> FloatArray:
    """Effective conductances of a macro whose cells were programmed, uS, with the same effects as a draw.

    Parameters
    ----------
    targets_us : array_like of float, shape (rows, columns)
        What the cells are programmed to; a cell with 0 stays pristine, with the conductance that the device says.
    spec : CrossbarSpec
    seed : int
        Of programming error, drift and stuck cells.

    Raises
    ------
    ValueError
        If the targets are no conductances, or of another shape.
    """
    targets = np.asarray(targets_us, np.float64)
    if targets.shape != (spec.rows, spec.columns):
        raise ValueError(f"target conductances: expected the shape {(spec.rows, spec.columns)}, got {targets.shape}")
    bad = ~((targets >= 0) & (targets <= spec.g_max_us))
    if bad.any():
        index = tuple(int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"target conductances{list(index)}: expected 0 to {spec.g_max_us:g} uS, got {targets[index]:g}"
        )
    resistance = spec.device.pristine_resistance_mohm
    pristine = 0.0 if resistance is None else 1.0 / resistance
    return _used(np.where(targets > 0, targets, pristine), spec, _streams(seed))


def _used(g: FloatArray, spec: CrossbarSpec, stream: dict[str, np.random.Generator]) -> FloatArray:
    """Conductances after misprogramming, drift, stuck cells and IR drop."""
    device = spec.device
    g = misprogram(g, device.programming_error, stream["error"])
    g = drift(g, device, stream["drift"])
    g = stick(g, device.stuck_on, device.stuck_off, spec.g_max_us, stream["stuck"])
    if device.source_line_ohm is not None or device.bit_line_ohm is not None:
        g = g * ir_drop_factors(g, min(spec.rows_per_read, spec.rows), device.source_line_ohm, device.bit_line_ohm)
    return g


def draw(spec: CrossbarSpec, seed: int) -> Conductances:
    """The macro of one seed, or all macros of a chip: conductance codes and the ADCs' gains and offsets.

    Macro m of a chip with several is the macro of the seed `CrossbarSpec.macro_seed` says.

    Parameters
    ----------
    spec : CrossbarSpec
    seed : int
        0 or more.

    Raises
    ------
    ValueError
        If the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed: expected a number of at least 0, got {seed}")
    if spec.macros > 1:
        each = [draw(spec.one_macro, spec.macro_seed(seed, macro)) for macro in range(spec.macros)]
        return Conductances.of(
            spec, np.concatenate([image.codes for image in each]), seed=seed, device=each[0].device,
            adc_gain=np.concatenate([image.adc_gain for image in each]),
            adc_offset=np.concatenate([image.adc_offset for image in each]),
        )  # fmt: skip
    stream, ideal = _streams(seed), 1 << spec.gain_fraction
    gain = np.full(spec.adcs, ideal, np.int64)
    offset = np.zeros(spec.adcs, np.int64)
    if spec.gain_spread is not None:
        gain = np.rint(ideal * (1 + stream["gain"].normal(0, spec.gain_spread, spec.adcs))).astype(np.int64)
    if spec.offset_spread is not None:
        step = 1 << spec.conversion_shift
        offset = np.rint(stream["offset"].normal(0, spec.offset_spread, spec.adcs) * step).astype(np.int64)
    return Conductances.of(
        spec,
        quantise(draw_conductances_us(spec, seed), spec),
        seed=seed,
        adc_gain=np.clip(gain, 1, spec.gain_max),
        adc_offset=np.clip(offset, -spec.offset_max - 1, spec.offset_max),
        device={
            **asdict(spec.device),
            "g_max_us": spec.g_max_us,
            "gain_spread": spec.gain_spread,
            "offset_spread": spec.offset_spread,
        },
    )


def _streams(seed: int) -> dict[str, np.random.Generator]:
    children = np.random.SeedSequence(seed).spawn(len(_STREAMS))
    return {name: np.random.default_rng(child) for name, child in zip(_STREAMS, children, strict=True)}
