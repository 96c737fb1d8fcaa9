"""Second shower engine: analytic parametrisations instead of frozen Geant4 showers.

`parametrised_library` makes a `ShowerLibrary` of the same form from formulas, so the generator takes either.  It is the
engine for other materials, thicknesses or energies than the frozen showers cover, and an independent check on them.

Electromagnetic showers follow Grindhammer and Peters for sampling calorimeters: a gamma distribution in depth whose
maximum and shape fluctuate together from shower to shower, and two lateral components, core and tail, that widen with
depth.  A photon first converts, 9/7 radiation lengths deep on average.  Hadrons are minimum-ionising until they
interact, then follow Bock et al.: an electromagnetic and a hadronic gamma distribution in depth.  Bock et al. give no
lateral profile; the widths here follow the frozen pions, within 0.16 in the share of the deposit inside any radius from
3 to 100 GeV, so lateral agreement of hadrons is no check.

Sources: G. Grindhammer, S. Peters, "The Parameterized Simulation of Electromagnetic Showers in Homogeneous and
Sampling Calorimeters", hep-ex/0001020, appendix; R. K. Bock, T. Hansl-Kozanecka, T. P. Shah, "Parametrization of the
longitudinal development of hadronic showers in sampling calorimeters", Nucl. Instrum. Methods 186 (1981) 533.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma as gamma_distribution

from sim.hgcal_encoder.detector.frozen_showers import ShowerLibrary

__all__ = ["Calorimeter", "parametrised_library"]

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Calorimeter:
    """What the parametrisations need to know of the sampling structure.

    Attributes
    ----------
    critical_energy_gev : float
        Effective critical energy.
    moliere_radius_mm : float
        Effective Moliere radius.
    atomic_number : float
        Effective Z of the absorber.
    sampling_frequency : float
        F_S, radiation length over the thickness of one sampling layer, both effective.
    e_over_mip : float
        Response to electrons over response to minimum-ionising particles.
    interaction_length_x0 : float
        Nuclear interaction length in radiation lengths.
    mip_per_gev : float
        Deposit of a fully contained electromagnetic shower.
    stochastic : float
        Stochastic term of the energy resolution, sqrt(GeV).
    hadron_response : float
        Deposit of the hadronic component per energy, relative to the electromagnetic one.
    """

    critical_energy_gev: float = 0.0107
    moliere_radius_mm: float = 28.0
    atomic_number: float = 68.0
    sampling_frequency: float = 1.0
    e_over_mip: float = 0.7
    interaction_length_x0: float = 20.8
    mip_per_gev: float = 86.3
    stochastic: float = 0.23
    hadron_response: float = 0.6

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


#: Shape of the gamma distribution of the deposit of one "spot": its relative variance is one over this.
_SPOT_SHAPE = 2.0


def _longitudinal(energy: float, c: Calorimeter, rng: np.random.Generator) -> tuple[float, float]:
    """Depth of the maximum (radiation lengths) and shape of one electromagnetic shower, hep-ex/0001020 section 3."""
    log_y = max(math.log(energy / c.critical_energy_gev), 2.2)
    homogeneous_t = log_y - 0.812
    homogeneous_alpha = 0.81 + (0.458 + 2.26 / c.atomic_number) * log_y
    mean_t = max(homogeneous_t - 0.59 / c.sampling_frequency - 0.53 * (1.0 - c.e_over_mip), 0.5)
    mean_alpha = max(homogeneous_alpha - 0.444 / c.sampling_frequency, 1.15)
    sigma_t = 1.0 / max(-2.5 + 1.25 * log_y, 2.0)
    sigma_alpha = 1.0 / max(-0.82 + 0.79 * log_y, 2.0)
    rho = min(max(0.784 - 0.023 * log_y, 0.0), 1.0)
    plus, minus = math.sqrt((1.0 + rho) / 2.0), math.sqrt((1.0 - rho) / 2.0)
    z1, z2 = rng.standard_normal(2)
    t = mean_t * math.exp(sigma_t * (plus * z1 + minus * z2))
    alpha = mean_alpha * math.exp(sigma_alpha * (plus * z1 - minus * z2))
    return t, max(alpha, 1.05)


def _radii(tau: Float64, energy: float, c: Calorimeter) -> tuple[Float64, Float64, Float64]:
    """Core and tail radius (Moliere radii) and core probability at depth tau of the maximum, section 4."""
    z, log_e = c.atomic_number, math.log(max(energy, 0.3))
    core = 0.0251 + 0.00319 * log_e + (0.1162 - 0.000381 * z) * tau
    k1, k2, k3, k4 = 0.659 - 0.00309 * z, 0.645, -2.59, 0.3585 + 0.0421 * log_e
    tail = k1 * (np.exp(k3 * (tau - k2)) + np.exp(k4 * (tau - k2)))
    p1, p2, p3 = 2.632 - 0.00094 * z, 0.401 + 0.00187 * z, 1.313 - 0.0686 * log_e
    weight = p1 * np.exp((p2 - tau) / p3 - np.exp((p2 - tau) / p3))
    thin = 1.0 / c.sampling_frequency
    one_minus_e = 1.0 - c.e_over_mip
    core = core - 0.0203 * one_minus_e + 0.0397 * thin * np.exp(-tau)
    tail = tail - 0.14 * one_minus_e - 0.495 * thin * np.exp(-tau)
    weight = weight + one_minus_e * (0.348 - 0.642 * thin * np.exp(-((tau - 1.0) ** 2)))
    return np.maximum(core, 0.02), np.maximum(tail, 0.05), np.clip(weight, 0.0, 1.0)


def _spots(mean_mip: Float64, c: Calorimeter, rng: np.random.Generator) -> tuple[NDArray[np.int64], Float64]:
    """Layers and deposits of the spots of a shower: Poisson counts, gamma sizes, giving the stochastic resolution."""
    size = c.mip_per_gev * c.stochastic**2 / (1.0 + 1.0 / _SPOT_SHAPE)
    counts = rng.poisson(mean_mip / size)
    layers = np.repeat(np.arange(len(mean_mip)), counts)
    return layers, rng.gamma(_SPOT_SHAPE, size / _SPOT_SHAPE, len(layers))


def _radius(scale: Float64, rng: np.random.Generator) -> Float64:
    """Draws of f(r) = 2 r R^2 / (r^2 + R^2)^2."""
    u = rng.random(len(scale))
    out: Float64 = scale * np.sqrt(u / (1.0 - u))
    return out


def _electromagnetic(
    energy: float, start: float, edges: Float64, depth: Float64, c: Calorimeter, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Float64, Float64]:
    """Layer, radius (mm) and deposit (MIP) of every spot of a shower that starts `start` radiation lengths deep."""
    t_max, alpha = _longitudinal(energy, c, rng)
    beta = (alpha - 1.0) / t_max
    share = np.diff(gamma_distribution.cdf(np.maximum(edges - start, 0.0), alpha, scale=1.0 / beta))
    layers, deposit = _spots(energy * c.mip_per_gev * share, c, rng)
    core, tail, weight = _radii(np.maximum(depth - start, 0.0) / t_max, energy, c)
    in_core = rng.random(len(layers)) < weight[layers]
    radius = _radius(np.where(in_core, core[layers], tail[layers]) * c.moliere_radius_mm, rng)
    return layers, radius, deposit


def _hadronic(
    energy: float, edges: Float64, c: Calorimeter, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Float64, Float64]:
    """As `_electromagnetic`, for a charged pion (Bock et al., equation 1)."""
    start = rng.exponential(c.interaction_length_x0)
    track = np.flatnonzero(edges[1:] <= start)
    mip = 0.9 - 0.08 * np.log(rng.standard_normal(len(track)) ** 2 + 1e-12)
    if start >= edges[-1]:
        return track, np.zeros(len(track)), mip
    log_e = math.log(max(energy, 1.0))
    alpha = 0.6165 + 0.3183 * log_e
    behind = np.maximum(edges - start, 0.0)
    electromagnetic = np.diff(gamma_distribution.cdf(behind, alpha, scale=1.0 / 0.2198))
    hadronic = np.diff(
        gamma_distribution.cdf(behind / c.interaction_length_x0, alpha, scale=1.0 / (0.9099 - 0.0237 * log_e))
    )
    fraction = rng.beta(0.4634 * 4.0, 0.5366 * 4.0)  # mean of the paper, spread of neutral pion production
    total = energy * c.mip_per_gev
    one_layers, one = _spots(total * fraction * electromagnetic, c, rng)
    two_layers, two = _spots(total * (1.0 - fraction) * c.hadron_response * hadronic, c, rng)
    radius = np.concatenate(
        [
            np.zeros(len(track)),
            _radius(np.full(len(one), 0.5 * c.moliere_radius_mm), rng),
            _radius(np.full(len(two), 2.0 * c.moliere_radius_mm), rng),
        ]
    )
    return np.concatenate([track, one_layers, two_layers]), radius, np.concatenate([mip, one, two])


def parametrised_library(
    kind: Literal["gamma", "pi"],
    *,
    n: int = 1500,
    seed: int = 0,
    energy_gev: tuple[float, float] = (0.3, 150.0),
    calorimeter: Calorimeter | None = None,
) -> ShowerLibrary:
    """Showers from the parametrisations, in the form of the frozen library.

    Parameters
    ----------
    kind : {"gamma", "pi"}
    n : int, optional
        Number of showers, energies uniform in the logarithm.
    seed : int, optional
    energy_gev : tuple of float, optional
        Lowest and highest energy.
    calorimeter : Calorimeter, optional
        Defaults to the electromagnetic section whose layers the frozen library has.

    Returns
    -------
    ShowerLibrary

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    if kind not in ("gamma", "pi"):
        raise ValueError(f"kind: expected 'gamma' or 'pi', got {kind!r}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    if not 0.0 < energy_gev[0] <= energy_gev[1]:
        raise ValueError(f"energy_gev: expected 0 < lowest <= highest, got {energy_gev}")
    c = calorimeter if calorimeter is not None else Calorimeter()
    frozen = ShowerLibrary.load("gamma")
    depth = frozen.layer_depth_x0
    # a silicon layer stands for the depth half way to its neighbours
    middle = (depth[1:] + depth[:-1]) / 2.0
    edges = np.concatenate([[0.0], middle, [depth[-1] + (depth[-1] - middle[-1])]])
    rng = np.random.default_rng(seed)
    energies = np.sort(np.exp(rng.uniform(math.log(energy_gev[0]), math.log(energy_gev[1]), n)))
    parts = []
    for energy in energies.tolist():
        if kind == "gamma":
            parts.append(_electromagnetic(energy, rng.exponential(9.0 / 7.0), edges, depth, c, rng))
        else:
            parts.append(_hadronic(energy, edges, c, rng))
    layers = np.concatenate([part[0] for part in parts])
    radius = np.concatenate([part[1] for part in parts])
    phi = rng.uniform(0.0, 2.0 * math.pi, len(radius))
    return ShowerLibrary(
        energy_gev=energies.astype(np.float32),
        offsets=np.concatenate([[0], np.cumsum([len(part[0]) for part in parts])]).astype(np.int64),
        layer=layers.astype(np.uint8),
        x_mm=(radius * np.cos(phi)).astype(np.float32),
        y_mm=(radius * np.sin(phi)).astype(np.float32),
        mip=np.concatenate([part[2] for part in parts]).astype(np.float32),
        layer_z_mm=frozen.layer_z_mm,
        layer_depth_x0=depth,
    )
