"""Particles at the front face of the endcap: pile-up, top pairs, single particles."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.foreign_files import read_npz

__all__ = ["BunchCrossings", "MultiParticles", "ParticleSource", "Particles", "PileUp", "SingleParticles", "TopPairs"]

DEPENDS_ON = ("../data/pool_*.npz", "../data/lib_*.npz")


Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

#: Front face of the calorimeter (mm from the interaction point).
FRONT_FACE_MM = 3210.5
#: Particle kinds of the pools.
ELECTROMAGNETIC, HADRON, MUON = 0, 1, 2


# ------------------------------------------------------------------------------------------------ particles
@dataclass(frozen=True, kw_only=True)
class Particles:
    """Particles of one bunch crossing at the front face of the calorimeter.

    Attributes
    ----------
    kind : ndarray of uint8, shape (n,)
        0 electron or photon, 1 hadron, 2 muon.
    energy_gev : ndarray of float32, shape (n,)
    xy_mm : ndarray of float32, shape (n, 2)
        Position at `FRONT_FACE_MM`.
    slope : ndarray of float32, shape (n, 2)
        dx/dz and dy/dz.
    """

    kind: UInt8
    energy_gev: Float32
    xy_mm: Float32
    slope: Float32

    def __post_init__(self) -> None:
        n = len(self.kind)
        for name, shape in (("energy_gev", (n,)), ("xy_mm", (n, 2)), ("slope", (n, 2))):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got {getattr(self, name).shape}")
        bad = np.flatnonzero(self.kind > MUON)
        if bad.size:
            raise ValueError(f"kind[{bad[0]}]: expected 0, 1 or 2, got {self.kind[bad[0]]}")
        bad = np.flatnonzero(~(self.energy_gev > 0))
        if bad.size:
            raise ValueError(f"energy_gev[{bad[0]}]: expected a positive energy, got {self.energy_gev[bad[0]]}")

    def __len__(self) -> int:
        return len(self.kind)

    @classmethod
    def join(cls, parts: list[Particles]) -> Particles:
        """One list out of several."""
        return cls(
            kind=np.concatenate([p.kind for p in parts]),
            energy_gev=np.concatenate([p.energy_gev for p in parts]),
            xy_mm=np.concatenate([p.xy_mm for p in parts]),
            slope=np.concatenate([p.slope for p in parts]),
        )

    @classmethod
    def empty(cls) -> Particles:
        """No particle."""
        return cls(
            kind=np.empty(0, np.uint8),
            energy_gev=np.empty(0, np.float32),
            xy_mm=np.empty((0, 2), np.float32),
            slope=np.empty((0, 2), np.float32),
        )


class ParticleSource(ABC):
    """Draws the particles of one bunch crossing in one endcap."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Particles:
        """Particles of the next crossing.

        Parameters
        ----------
        rng : numpy.random.Generator
        """


def shower_data(name: str) -> dict[str, NDArray[np.generic]]:
    with resources.as_file(resources.files("sim.hgcal_encoder") / "data" / name) as path, np.load(path) as file:
        return {key: file[key] for key in file.files}


@lru_cache(maxsize=4)
def _pool(name: str | Path) -> tuple[UInt8, Float32, Float32, Float32, Int64]:
    """Arrays of a shipped pool, or of a file of `sim.hgcal_encoder.detector.pools`."""
    if isinstance(name, Path):
        try:
            raw: Mapping[str, NDArray[Any]] = read_npz(name)
        except FileNotFoundError:
            raise FileNotFoundError(f"no pool at {name}") from None
        if missing := [key for key in ("kind", "E", "xy", "t", "off") if key not in raw]:
            raise ValueError(f"{name}: missing {', '.join(missing)}")
        try:
            _check_pool(raw)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    else:
        raw = shower_data(name)
    return (
        raw["kind"].astype(np.uint8),
        raw["E"].astype(np.float32),
        raw["xy"].astype(np.float32),
        raw["t"].astype(np.float32) / np.float32(32767),
        raw["off"].astype(np.int64),
    )


def _check_pool(raw: Mapping[str, NDArray[Any]]) -> None:
    """Arrays of a pool fit each other, and hold what a calorimeter can see."""
    particles = len(raw["kind"]) if raw["kind"].ndim else 0
    for key, tail in (("kind", ()), ("E", ()), ("xy", (2,)), ("t", (2,))):
        array = raw[key]
        if array.dtype.kind not in "iuf" or array.shape != (particles, *tail):
            raise ValueError(f"{key}: expected numbers of shape {(particles, *tail)}, got {array.dtype}, {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{key}: expected finite numbers")
    if (bad := np.flatnonzero(~np.isin(raw["kind"], (ELECTROMAGNETIC, HADRON, MUON)))).size:
        raise ValueError(f"kind[{bad[0]}]: expected 0, 1 or 2, got {raw['kind'][bad[0]]}")
    if (bad := np.flatnonzero(raw["E"] <= 0)).size:
        raise ValueError(f"E[{bad[0]}]: expected a positive energy, got {raw['E'][bad[0]]}")
    off = raw["off"]
    if off.ndim != 1 or off.dtype.kind not in "iu" or len(off) < 2:
        raise ValueError(f"off: expected at least two integers, got {off.dtype} of shape {off.shape}")
    if off[0] != 0 or off[-1] != particles or (np.diff(off.astype(np.int64)) < 0).any():
        raise ValueError(f"off: expected offsets that ascend from 0 to {particles}")


def _draw_from_pool(name: str | Path, picks: Int64, rng: np.random.Generator) -> Particles:
    """Event-endcaps `picks` of a pool, each turned by its own random angle about the beam."""
    kind, energy, xy, slope, offsets = _pool(name)
    counts = offsets[picks + 1] - offsets[picks]
    total = int(counts.sum())
    starts = np.repeat(offsets[picks] - (np.cumsum(counts) - counts), counts)
    index = starts + np.arange(total)
    phi = np.repeat(rng.uniform(0.0, 2.0 * math.pi, len(picks)).astype(np.float32), counts)
    c, s = np.cos(phi), np.sin(phi)

    def turn(vector: Float32) -> Float32:
        x, y = vector[index, 0], vector[index, 1]
        return np.stack([c * x - s * y, s * x + c * y], axis=1)

    return Particles(kind=kind[index], energy_gev=energy[index], xy_mm=turn(xy), slope=turn(slope))


class PileUp(ParticleSource):
    """Minimum-bias interactions, their number Poisson distributed.

    Parameters
    ----------
    mean : float
        Mean interactions per crossing, 0 ... 1000 (200 at the High-Luminosity LHC).
    pool : Path, optional
        Collisions made by `sim.hgcal_encoder.detector.pools`; the shipped ones if left out.
    """

    def __init__(self, *, mean: float, pool: Path | None = None) -> None:
        if not 0.0 <= mean <= 1000.0:
            raise ValueError(f"mean pile-up must be 0 ... 1000, got {mean}")
        self._mean = float(mean)
        self._pool = "pool_minbias3k.npz" if pool is None else Path(pool)

    @property
    def mean(self) -> float:
        """Mean interactions per crossing."""
        return self._mean

    def draw(self, rng: np.random.Generator) -> Particles:
        n_pool = len(_pool(self._pool)[4]) - 1
        picks = rng.integers(0, n_pool, rng.poisson(self._mean))
        return _draw_from_pool(self._pool, picks, rng)


class TopPairs(ParticleSource):
    """One top-antitop event per crossing, without pile-up.

    Parameters
    ----------
    pool : Path, optional
        Collisions made by `sim.hgcal_encoder.detector.pools`; the shipped ones if left out.
    """

    def __init__(self, *, pool: Path | None = None) -> None:
        self._pool = "pool_ttbar500.npz" if pool is None else Path(pool)

    def draw(self, rng: np.random.Generator) -> Particles:
        n_pool = len(_pool(self._pool)[4]) - 1
        return _draw_from_pool(self._pool, rng.integers(0, n_pool, 1), rng)


def _at_angle(kind: UInt8, energy: Float64, eta: Float64, phi: Float64, offset_mm: Float64 | None = None) -> Particles:
    """Straight tracks from the interaction point."""
    tangent = 1.0 / np.sinh(eta)
    slope = np.stack([tangent * np.cos(phi), tangent * np.sin(phi)], axis=1)
    xy = slope * FRONT_FACE_MM
    if offset_mm is not None:
        xy = xy + offset_mm
    return Particles(
        kind=kind,
        energy_gev=energy.astype(np.float32),
        xy_mm=xy.astype(np.float32),
        slope=slope.astype(np.float32),
    )


class SingleParticles(ParticleSource):
    """`multiplicity` independent particles per crossing from the interaction point, straight tracks.

    Parameters
    ----------
    kind : {0, 1, 2}
        Electron or photon, hadron, muon.
    pt_gev : tuple of float
        Lower and upper transverse momentum, drawn uniform in its logarithm.
    eta : tuple of float, optional
        Lower and upper pseudorapidity, drawn uniformly.
    multiplicity : int, optional
    """

    def __init__(
        self,
        *,
        kind: int,
        pt_gev: tuple[float, float],
        eta: tuple[float, float] = (1.5, 3.0),
        multiplicity: int = 1,
    ) -> None:
        if kind not in (ELECTROMAGNETIC, HADRON, MUON):
            raise ValueError(f"kind: expected 0, 1 or 2, got {kind}")
        if not 0.0 < pt_gev[0] <= pt_gev[1]:
            raise ValueError(f"pt_gev: expected 0 < lower <= upper, got {pt_gev}")
        if not 0.0 < eta[0] <= eta[1]:
            raise ValueError(f"eta: expected 0 < lower <= upper, got {eta}")
        if multiplicity < 1:
            raise ValueError(f"multiplicity must be at least 1, got {multiplicity}")
        self._kind, self._pt, self._eta, self._n = kind, pt_gev, eta, multiplicity

    def draw(self, rng: np.random.Generator) -> Particles:
        pt = np.exp(rng.uniform(math.log(self._pt[0]), math.log(self._pt[1]), self._n))
        eta = rng.uniform(self._eta[0], self._eta[1], self._n)
        phi = rng.uniform(0.0, 2.0 * math.pi, self._n)
        return _at_angle(np.full(self._n, self._kind, np.uint8), pt * np.cosh(eta), eta, phi)


class MultiParticles(ParticleSource):
    """Jet-like bundles: several particles share a transverse momentum around a common axis.

    Parameters
    ----------
    pt_gev : tuple of float
        Lower and upper transverse momentum of the bundle, uniform in its logarithm.
    mean_particles : float, optional
        Poisson mean of the particles beyond the first.
    width : float, optional
        Standard deviation in eta and phi around the axis.
    electromagnetic_fraction : float, optional
        Probability that a particle is a photon; the rest are hadrons.
    eta : tuple of float, optional
    bundles : int, optional
        Bundles per crossing.
    """

    def __init__(
        self,
        *,
        pt_gev: tuple[float, float],
        mean_particles: float = 8.0,
        width: float = 0.08,
        electromagnetic_fraction: float = 0.35,
        eta: tuple[float, float] = (1.6, 2.9),
        bundles: int = 1,
    ) -> None:
        if not 0.0 < pt_gev[0] <= pt_gev[1]:
            raise ValueError(f"pt_gev: expected 0 < lower <= upper, got {pt_gev}")
        if not 0.0 <= electromagnetic_fraction <= 1.0:
            raise ValueError(f"electromagnetic_fraction must be 0 ... 1, got {electromagnetic_fraction}")
        if mean_particles < 0 or width < 0 or bundles < 1:
            raise ValueError("mean_particles and width must not be negative, bundles at least 1")
        self._pt, self._mean, self._width = pt_gev, mean_particles, width
        self._em, self._eta, self._bundles = electromagnetic_fraction, eta, bundles

    def draw(self, rng: np.random.Generator) -> Particles:
        parts = []
        for _ in range(self._bundles):
            n = 1 + int(rng.poisson(self._mean))
            pt = math.exp(rng.uniform(math.log(self._pt[0]), math.log(self._pt[1])))
            share = rng.dirichlet(np.full(n, 0.7))
            eta0, phi0 = rng.uniform(*self._eta), rng.uniform(0.0, 2.0 * math.pi)
            eta = np.clip(rng.normal(eta0, self._width, n), 1.4, 3.1)
            phi = rng.normal(phi0, self._width, n)
            kind = np.where(rng.random(n) < self._em, ELECTROMAGNETIC, HADRON).astype(np.uint8)
            energy = np.maximum(share * pt * np.cosh(eta), 0.05)
            parts.append(_at_angle(kind, energy, eta, phi))
        return Particles.join(parts)


@dataclass(frozen=True, kw_only=True)
class BunchCrossings(ParticleSource):
    """Overlay: all particles of several sources in the same crossing.

    Attributes
    ----------
    sources : tuple of ParticleSource
    """

    sources: tuple[ParticleSource, ...]

    def draw(self, rng: np.random.Generator) -> Particles:
        return Particles.join([source.draw(rng) for source in self.sources])
