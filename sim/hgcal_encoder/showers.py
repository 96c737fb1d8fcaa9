"""Shower generator: particles, frozen showers, digitisation, eRx words.

A bunch crossing of one endcap is a list of particles at the front face of the calorimeter (`Particles`), drawn
from the shipped Pythia pools (`PileUp`, `TopPairs`) or made on the spot (`SingleParticles`, `MultiParticles`).
Each particle becomes one shower of the frozen library: a shower of nearly the same energy, turned by a random
angle and scaled to the particle's energy, is laid along its flight direction over the trigger layers.  The
deposits are summed per sensor cell, 0.163 of the previous crossing's charge leaks in, electronics noise, zero
suppression and the ADC follow, and the sums of 4 or 9 cells leave as 4E3M codes, i.e. as the eRx words that
`sim.hgcal_encoder.words` packs.

What the model leaves out: the longer path of inclined tracks in the absorber, truncated cells at the module edge
(every cell is a full hexagon), dead channels, and time of flight.  The showers come from Geant4 with synthetic
low-energy tables; this is not validated Geant4.

Sources: CERN-LHCC-2017-023 (layer structure, thicknesses, noise); S. Agostinelli et al., "Geant4 - a simulation
toolkit", Nucl. Instrum. Methods A 506 (2003) 250; C. Bierlich et al., "A comprehensive guide to the physics and
usage of PYTHIA 8.3", SciPost Phys. Codebases 8 (2022); E. Barberio et al., "Fast shower simulation in the ATLAS
calorimeter", J. Phys. Conf. Ser. 119 (2008) 032008 (frozen showers).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from sim.hgcal_encoder import words
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.geometry import (
    MODULE_PITCH_MM,
    N_TRIGGER_CELLS,
    Density,
    module_geometry,
    nearest_lattice_point,
)
from sim.hgcal_encoder.spec import WordOrder

__all__ = [
    "BunchCrossings",
    "Detector",
    "Digitisation",
    "Generator",
    "ModuleImages",
    "MultiParticles",
    "ParticleSource",
    "Particles",
    "PileUp",
    "ShowerLibrary",
    "SingleParticles",
    "TopPairs",
    "encode_4e3m",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

#: Front face of the calorimeter (mm from the interaction point).
FRONT_FACE_MM = 3210.5
#: Silicon layers of the electromagnetic section and the 13 of them that send trigger data (0-based indices).
SILICON_LAYERS = 26
TRIGGER_LAYERS = tuple(range(0, SILICON_LAYERS, 2))
#: Particle kinds of the pools.
ELECTROMAGNETIC, HADRON, MUON = 0, 1, 2
#: Deposit of a particle at minimum ionisation per thickness in micrometres (fC), noise of one cell (electrons).
MIP_FC = {120: 2.06, 200: 3.43, 300: 5.15}
NOISE_ELECTRONS = {120: 2000.0, 200: 2400.0, 300: 2000.0}
ELECTRON_FC = 1.602176634e-4
#: One ADC count (fC) and the counts per step of the time-over-threshold range.
ADC_LSB_FC = 100.0 / 1024.0
ADC_FULL_SCALE = 1023
TOT_STEP = 25
TOT_FULL_SCALE = 4095
#: Radii (mm) where the sensor thickness changes: 120 um (high density) inside the first, 300 um outside the second.
THICKNESS_RADII_MM = (700.0, 1000.0)
#: A particle takes one of the 2 x NEIGHBOURS + 1 library showers nearest in energy.
NEIGHBOURS = 20


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
    def join(cls, parts: "list[Particles]") -> "Particles":
        """One list out of several."""
        return cls(
            kind=np.concatenate([p.kind for p in parts]),
            energy_gev=np.concatenate([p.energy_gev for p in parts]),
            xy_mm=np.concatenate([p.xy_mm for p in parts]),
            slope=np.concatenate([p.slope for p in parts]),
        )

    @classmethod
    def empty(cls) -> "Particles":
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


def _data(name: str) -> dict[str, NDArray[np.generic]]:
    with resources.as_file(resources.files("sim.hgcal_encoder") / "data" / name) as path, np.load(path) as file:
        return {key: file[key] for key in file.files}


@lru_cache(maxsize=4)
def _pool(name: str | Path) -> tuple[UInt8, Float32, Float32, Float32, Int64]:
    """Arrays of a shipped pool, or of a file of `sim.hgcal_encoder.pools`."""
    if isinstance(name, Path):
        try:
            with np.load(name, allow_pickle=False) as file:
                raw = {key: file[key] for key in file.files}
        except FileNotFoundError:
            raise FileNotFoundError(f"no pool at {name}") from None
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"{name}: not a .npz of arrays ({error})") from None
        if missing := [key for key in ("kind", "E", "xy", "t", "off") if key not in raw]:
            raise ValueError(f"{name}: missing {', '.join(missing)}")
    else:
        raw = _data(name)
    return (
        raw["kind"].astype(np.uint8),
        raw["E"].astype(np.float32),
        raw["xy"].astype(np.float32),
        raw["t"].astype(np.float32) / np.float32(32767),
        raw["off"].astype(np.int64),
    )


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
        Collisions made by `sim.hgcal_encoder.pools`; the shipped ones if left out.
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
        Collisions made by `sim.hgcal_encoder.pools`; the shipped ones if left out.
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


# -------------------------------------------------------------------------------------------------- showers
@dataclass(frozen=True, kw_only=True)
class ShowerLibrary:
    """Frozen showers of one particle kind, sorted by energy.

    Attributes
    ----------
    energy_gev : ndarray of float32, shape (n,)
        Ascending.
    offsets : ndarray of int64, shape (n + 1,)
        Hits of shower i are ``offsets[i] : offsets[i + 1]``.
    layer : ndarray of uint8, shape (hits,)
        Silicon layer 0 ... 25.
    x_mm, y_mm : ndarray of float32, shape (hits,)
        Position across the shower axis (centre of a 4 mm bin).
    mip : ndarray of float32, shape (hits,)
        Deposit in units of a minimum-ionising particle.
    layer_z_mm : ndarray of float64, shape (26,)
        Depth of the layers behind the front face.
    layer_depth_x0 : ndarray of float64, shape (26,)
        Depth of the layers in radiation lengths.
    """

    energy_gev: Float32
    offsets: Int64
    layer: UInt8
    x_mm: Float32
    y_mm: Float32
    mip: Float32
    layer_z_mm: Float64
    layer_depth_x0: Float64

    @classmethod
    def load(cls, kind: Literal["gamma", "pi"]) -> "ShowerLibrary":
        """Read a shipped library.

        Parameters
        ----------
        kind : {"gamma", "pi"}
        """
        if kind not in ("gamma", "pi"):
            raise ValueError(f"kind: expected 'gamma' or 'pi', got {kind!r}")
        return _load_library(kind)

    def select_layers(self, layers: tuple[int, ...]) -> "ShowerLibrary":
        """The same showers with only the hits of some layers.

        Parameters
        ----------
        layers : tuple of int
        """
        keep = np.isin(self.layer, np.array(layers, dtype=np.uint8))
        counts = np.add.reduceat(np.append(keep, False).astype(np.int64), self.offsets[:-1])
        counts[self.offsets[:-1] == self.offsets[1:]] = 0
        return ShowerLibrary(
            energy_gev=self.energy_gev,
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            layer=self.layer[keep],
            x_mm=self.x_mm[keep],
            y_mm=self.y_mm[keep],
            mip=self.mip[keep],
            layer_z_mm=self.layer_z_mm,
            layer_depth_x0=self.layer_depth_x0,
        )


@lru_cache(maxsize=2)
def _load_library(kind: str) -> ShowerLibrary:
    raw = _data(f"lib_{kind}.npz")
    energy = raw["E"].astype(np.float32)
    offsets = raw["off"].astype(np.int64)
    order = np.argsort(energy, kind="stable")
    counts = np.diff(offsets)[order]
    new_offsets = np.concatenate([[0], np.cumsum(counts)])
    index = np.repeat(offsets[:-1][order] - new_offsets[:-1], counts) + np.arange(counts.sum())
    key = raw["key"].astype(np.int64)[index]
    return ShowerLibrary(
        energy_gev=energy[order],
        offsets=new_offsets,
        layer=(key >> 14).astype(np.uint8),
        x_mm=(4.0 * (((key >> 7) & 127) - 64)).astype(np.float32),
        y_mm=(4.0 * ((key & 127) - 64)).astype(np.float32),
        mip=raw["mip"].astype(np.float32)[index],
        layer_z_mm=raw["z"].astype(np.float64),
        layer_depth_x0=raw["X"].astype(np.float64),
    )


# ------------------------------------------------------------------------------------------------- detector
@dataclass(frozen=True, kw_only=True)
class Detector:
    """Modules of the trigger layers of one endcap: where they are and how their cells are numbered.

    A *site* is one module position in one trigger layer; sites are ordered by layer, then by module.

    Attributes
    ----------
    inner_radius_mm, outer_radius_mm : float
        Modules whose centre lies between these radii exist, in every layer.
    gain_spread : float
        Relative spread of the cells' gain, fixed per detector; not corrected by the calibration.
    seed : int
        Seed of the gain spread.
    """

    inner_radius_mm: float = 380.0
    outer_radius_mm: float = 1480.0
    gain_spread: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.inner_radius_mm < self.outer_radius_mm:
            raise ValueError(
                f"expected 0 <= inner_radius_mm < outer_radius_mm, got {self.inner_radius_mm}, {self.outer_radius_mm}"
            )
        if not 0.0 <= self.gain_spread < 0.5:
            raise ValueError(f"gain_spread must be 0 ... 0.5, got {self.gain_spread}")

    @cached_property
    def _module_uv(self) -> Int64:
        reach = int(self.outer_radius_mm / MODULE_PITCH_MM) + 2
        grid = np.array([(p, q) for p in range(-2 * reach, 2 * reach + 1) for q in range(-2 * reach, 2 * reach + 1)])
        radius = np.linalg.norm(self._module_position(grid), axis=1)
        out: Int64 = grid[(radius >= self.inner_radius_mm) & (radius <= self.outer_radius_mm)].astype(np.int64)
        return out

    @staticmethod
    def _module_position(pq: Int64) -> Float64:
        """Modules sit at p (2 N, N) + q (N, 2 N) in cell lattice coordinates, two vectors of 167 mm at 60 degrees."""
        geometry = module_geometry("low")
        n = geometry.cells_per_edge
        uv = pq @ np.array([[2 * n, n], [n, 2 * n]])
        axes = np.array([[0.0, 1.0], [math.sqrt(3.0) / 2.0, -0.5]])
        out: Float64 = uv @ axes * geometry.cell_pitch_mm
        return out

    @cached_property
    def module_centers_mm(self) -> Float64:
        """(modules, 2) centres of the modules of one layer."""
        return self._module_position(self._module_uv)

    @property
    def n_modules(self) -> int:
        """Modules in one layer."""
        return len(self._module_uv)

    @property
    def n_sites(self) -> int:
        """Modules in all 13 trigger layers: images per bunch crossing."""
        return self.n_modules * len(TRIGGER_LAYERS)

    @cached_property
    def module_thickness_um(self) -> Int64:
        """(modules,) sensor thickness: 120, 200 or 300; 120 um sensors are high density."""
        radius = np.linalg.norm(self.module_centers_mm, axis=1)
        return np.select([radius < r for r in THICKNESS_RADII_MM], [120, 200], 300).astype(np.int64)

    @cached_property
    def site_layer(self) -> Int64:
        """(sites,) silicon layer, 1-based and odd as in the detector's numbering."""
        return np.repeat(np.array(TRIGGER_LAYERS) + 1, self.n_modules).astype(np.int64)

    @cached_property
    def site_module(self) -> Int64:
        """(sites,) module within the layer."""
        return np.tile(np.arange(self.n_modules), len(TRIGGER_LAYERS)).astype(np.int64)

    @cached_property
    def site_high_density(self) -> NDArray[np.bool_]:
        """(sites,) True for 432-cell modules."""
        out: NDArray[np.bool_] = self.module_thickness_um[self.site_module] == 120
        return out

    @cached_property
    def site_z_mm(self) -> Float64:
        """(sites,) distance of the layer from the interaction point."""
        z = ShowerLibrary.load("gamma").layer_z_mm
        out: Float64 = FRONT_FACE_MM + z[self.site_layer - 1]
        return out

    @cached_property
    def site_eta(self) -> Float64:
        """(sites,) pseudorapidity of the module centre."""
        radius = np.linalg.norm(self.module_centers_mm, axis=1)[self.site_module]
        out: Float64 = np.arcsinh(self.site_z_mm / radius)
        return out

    @cached_property
    def trigger_cell_eta(self) -> Float64:
        """(sites, 48) pseudorapidity of the trigger cell centres."""
        out = np.empty((self.n_sites, N_TRIGGER_CELLS))
        densities: tuple[Density, ...] = ("low", "high")
        for high, density in enumerate(densities):
            rows = np.flatnonzero(self.site_high_density == bool(high))
            xy = self.module_centers_mm[self.site_module[rows], None] + module_geometry(density).centers_mm
            out[rows] = np.arcsinh(self.site_z_mm[rows, None] / np.linalg.norm(xy, axis=-1))
        return out

    @cached_property
    def transverse(self) -> Float32:
        """(sites, 48) factor from MIP to transverse MIP, 1 / cosh(eta)."""
        return (1.0 / np.cosh(self.trigger_cell_eta)).astype(np.float32)

    @cached_property
    def calibration(self) -> Int64:
        """(sites, 48) calibration codes, 1.11: CALQ = (charge * code) >> 11.

        One transverse MIP (deposit in MIP over cosh(eta)) is 35.1 counts of CALQ for every thickness, the charge
        of a MIP in a 200 um sensor in ADC counts.
        """
        counts_per_mip = np.array([MIP_FC[t] for t in self.module_thickness_um.tolist()]) / ADC_LSB_FC
        factor = (MIP_FC[200] / ADC_LSB_FC) / counts_per_mip[self.site_module, None] / np.cosh(self.trigger_cell_eta)
        out: Int64 = np.clip(np.rint(2048.0 * factor), 0, 4095).astype(np.int64)
        return out

    @cached_property
    def _cell_offset(self) -> Int64:
        """(modules + 1,) first cell of each module in a layer."""
        counts = np.where(self.module_thickness_um == 120, 432, 192)
        out: Int64 = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return out

    @property
    def n_cells(self) -> int:
        """Sensor cells of one layer."""
        return int(self._cell_offset[-1])

    @cached_property
    def cell_gain(self) -> Float32:
        """(13, n_cells) relative gain of every cell."""
        rng = np.random.default_rng(self.seed)
        spread = rng.standard_normal((len(TRIGGER_LAYERS), self.n_cells)) * self.gain_spread
        return np.maximum(1.0 + spread, 0.1).astype(np.float32)

    @cached_property
    def _lookup(self) -> tuple[Int32, Int32, int, int]:
        """Cell of a layer at every point of the two global lattices.

        Returns the low-density table, the high-density table and their half widths.  In the low-density table
        a value below -1 says: high-density region, ``-3 - value`` is the low-density cell to fall back to where the
        ragged borders of the two lattices leave a gap (-1 if none is near).
        """
        tables = []
        halves = []
        for high in (False, True):
            geometry = module_geometry("high" if high else "low")
            n = geometry.cells_per_edge
            base = self._module_uv @ np.array([[2 * n, n], [n, 2 * n]])
            half = int(np.abs(base).max()) + 4 * n
            table = np.full((2 * half + 1, 2 * half + 1), -1, dtype=np.int32)
            for module in np.flatnonzero((self.module_thickness_um == 120) == high):
                uv = base[module] + geometry.cell_uv + half
                table[uv[:, 0], uv[:, 1]] = self._cell_offset[module] + np.arange(geometry.n_cells)
            if not high:
                low_only = table.copy()
                for module in np.flatnonzero(self.module_thickness_um == 120):
                    for u, v in base[module] + geometry.cell_uv + half:
                        near = [(1, 0), (0, 1), (1, 1), (-1, 0), (0, -1), (-1, -1)]
                        found = [low_only[u + i, v + j] for i, j in near if low_only[u + i, v + j] >= 0]
                        table[u, v] = -3 - (found[0] if found else -1)
            tables.append(table)
            halves.append(half)
        return tables[0], tables[1], halves[0], halves[1]

    def cell_at(self, xy_mm: Float64) -> Int64:
        """Cell of a layer under global positions, -1 where no module is.

        Parameters
        ----------
        xy_mm : ndarray of float, shape (..., 2)

        Returns
        -------
        ndarray of int64, shape (...)
        """
        low, high, low_half, high_half = self._lookup
        hits = []
        for density, table, half in (("low", low, low_half), ("high", high, high_half)):
            geometry = module_geometry("low" if density == "low" else "high")
            ab = geometry.lattice_coordinates(xy_mm)
            u, v = nearest_lattice_point(ab[..., 0], ab[..., 1])
            inside = (np.abs(u) <= half) & (np.abs(v) <= half)
            hits.append(np.where(inside, table[np.clip(u + half, 0, 2 * half), np.clip(v + half, 0, 2 * half)], -1))
        return np.where(hits[0] >= -1, hits[0], np.where(hits[1] >= 0, hits[1], -3 - hits[0])).astype(np.int64)


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


def encode_4e3m(charge: Int64, high_density: "bool | NDArray[np.bool_]") -> UInt8:
    """7-bit floating-point code of trigger cell sums, as the front end sends it: truncated, saturating.

    The front end drops 1 (low density) or 3 (high density) bits, then keeps the leading one and 3 bits below it;
    `sim.hgcal_encoder.decode` is the inverse.

    Parameters
    ----------
    charge : ndarray of int64
        Sums of ADC counts, not negative.
    high_density : bool or ndarray of bool
        Broadcast against `charge`.

    Returns
    -------
    ndarray of uint8
        Exponent in bits 6:3, mantissa in bits 2:0.

    Raises
    ------
    ValueError
        If a charge is negative.
    """
    array = np.asarray(charge, dtype=np.int64)
    if array.size and array.min() < 0:
        raise ValueError(f"charge must not be negative, got {array.min()} at flat index {int(array.argmin())}")
    value = np.minimum(array >> np.where(high_density, 3, 1), (1 << 18) - 1)
    exponent = np.maximum(np.frexp(value.astype(np.float64))[1] - 3, 0)
    mantissa = (value >> np.maximum(exponent - 1, 0)) & 7
    codes: UInt8 = ((exponent << 3) | mantissa).astype(np.uint8)
    return codes


@numba.njit(cache=True, nogil=True)
def _deposit(
    rng: np.random.Generator,
    kind: UInt8,
    energy: Float32,
    xy: Float32,
    slope: Float32,
    shower: Int64,
    lib_energy: tuple[Float32, Float32],
    lib_offsets: tuple[Int64, Int64],
    lib_layer: tuple[UInt8, UInt8],
    lib_x: tuple[Float32, Float32],
    lib_y: tuple[Float32, Float32],
    lib_mip: tuple[Float32, Float32],
    layer_z: Float32,
    low: Int32,
    high: Int32,
    low_half: int,
    high_half: int,
    low_scale: Float32,
    high_scale: Float32,
    charge: Float32,
) -> None:
    """Add the deposits of all particles to ``charge`` (13, cells) in MIP.

    ``low_scale``, ``high_scale``: 1 / pitch, origin x, origin y of the two lattices.  Hexagonal rounding as in
    `nearest_lattice_point`, in single precision.
    """
    inverse_sqrt = np.float32(2.0 / math.sqrt(3.0))
    half_f = np.float32(0.5)
    for i in range(len(kind)):
        x0, y0 = xy[i, 0], xy[i, 1]
        tx, ty = slope[i, 0], slope[i, 1]
        if kind[i] == 2:
            first, last = 0, layer_z.size
            path = np.float32(math.sqrt(1.0 + tx * tx + ty * ty))
            cosine, sine, scale = np.float32(1), np.float32(0), path
            lib = 0
        else:
            lib = int(kind[i])
            s = shower[i]
            first, last = lib_offsets[lib][s], lib_offsets[lib][s + 1]
            scale = energy[i] / lib_energy[lib][s]
            angle = rng.random() * 2.0 * math.pi
            cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        layers, hit_x, hit_y, hit_mip = lib_layer[lib], lib_x[lib], lib_y[lib], lib_mip[lib]
        for h in range(first, last):
            if kind[i] == 2:
                layer = h
                dx = dy = np.float32(0)
                # Moyal's approximation of Landau's distribution: -ln(g^2) with g normal
                g = rng.standard_normal()
                mip = scale * np.float32(0.9 - 0.08 * math.log(g * g + 1e-12))
            else:
                layer = int(layers[h])
                hx, hy = hit_x[h], hit_y[h]
                dx = cosine * hx - sine * hy
                dy = sine * hx + cosine * hy
                mip = scale * hit_mip[h]
            x = x0 + tx * layer_z[layer] + dx
            y = y0 + ty * layer_z[layer] + dy
            cell = -1
            for density in range(2):
                parameters = low_scale if density == 0 else high_scale
                half = low_half if density == 0 else high_half
                b = (x - parameters[1]) * parameters[0] * inverse_sqrt
                a = (y - parameters[2]) * parameters[0] + half_f * b
                fu = np.float32(np.rint(a))
                fv = np.float32(np.rint(b))
                fs = np.float32(np.rint(b - a))
                if fu - fv + fs != np.float32(0):
                    du, dv, ds = abs(fu - a), abs(fv - b), abs(fs - (b - a))
                    if du > dv and du > ds:
                        fu = fv - fs
                    elif dv > ds:
                        fv = fu + fs
                u, v = int(fu) + half, int(fv) + half
                if density == 0:
                    if u < 0 or v < 0 or u >= low.shape[0] or v >= low.shape[1]:
                        break
                    cell = low[u, v]
                    if cell >= -1:
                        break
                else:
                    fine = high[u, v]
                    cell = fine if fine >= 0 else -3 - cell
            if cell >= 0:
                charge[layer, cell] += mip


@numba.njit(cache=True, nogil=True)
def _code(charge: int, drop: int) -> int:
    """One 4E3M code, see `encode_4e3m`."""
    value = min(charge >> drop, (1 << 18) - 1)
    exponent = 0
    while value >= 16 or (exponent == 0 and value >= 8):
        # the first step past 7 only makes the leading one implicit, every further one drops a bit
        if exponent > 0:
            value >>= 1
        exponent += 1
    return (exponent << 3) | (value & 7)


@numba.njit(cache=True, nogil=True)
def _digitise(
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
    decoded: Int64,
    calibration: Int64,
    transverse: Float32,
    codes: UInt8,
    charges: Int64,
    mipt: Float32,
) -> None:
    """Cells to trigger cell codes, calibrated charges and true transverse MIP, each (13 * modules, 48).

    ``decoded`` is (2, 128), the charge of every code at low and high density; ``transverse`` is 1 / cosh(eta).

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
                code = _code(total, 3 if high == 1 else 1)
                codes[site, tc] = code
                charges[site, tc] = (decoded[high, code] * calibration[site, tc]) >> 11
                mipt[site, tc] = deposited * transverse[site, tc]


@dataclass(frozen=True, kw_only=True)
class ModuleImages:
    """Module images of one or more bunch crossings: what the chip receives and what it stands for.

    Attributes
    ----------
    bx : ndarray of int64, shape (n,)
        Bunch crossing of each image, counted from the first one generated.
    site : ndarray of int64, shape (n,)
        Index into the detector's sites.
    layer : ndarray of int64, shape (n,)
        Silicon layer, 1-based.
    eta : ndarray of float64, shape (n,)
        Pseudorapidity of the module centre.
    high_density : ndarray of bool, shape (n,)
    codes : ndarray of uint8, shape (n, 48)
        4E3M codes in trigger cell order.
    charges : ndarray of int64, shape (n, 48)
        Calibrated charges (CALQ): the codes decoded and calibrated as the chip does, 35.1 counts per transverse MIP.
    mipt : ndarray of float32, shape (n, 48)
        True deposit of this crossing in transverse MIP, before leakage, noise and thresholds.
    """

    bx: Int64
    site: Int64
    layer: Int64
    eta: Float64
    high_density: NDArray[np.bool_]
    codes: UInt8
    charges: Int64
    mipt: Float32

    def __len__(self) -> int:
        return len(self.bx)

    def __getitem__(self, rows: "slice | NDArray[np.generic]") -> "ModuleImages":
        return ModuleImages(**{name: getattr(self, name)[rows] for name in self.__dataclass_fields__})

    def words(self, order: WordOrder = WordOrder.PRODUCTION, *, first_bx: int = 0) -> NDArray[np.uint32]:
        """eRx words, the images taken as consecutive crossings of one chip.

        Parameters
        ----------
        order : WordOrder, optional
        first_bx : int, optional
            Bunch crossing of the first row; header 0x9 marks crossing 0 of the orbit.

        Returns
        -------
        ndarray of uint32, shape (n, 12)
            Input i carries trigger cell i: the multiplexer settings place it on the network's grid.
        """
        return words.pack(self.codes.astype(np.int64), order, first_bx)

    @classmethod
    def join(cls, parts: "list[ModuleImages]") -> "ModuleImages":
        """One array of images out of several."""
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in cls.__dataclass_fields__})


class Generator:
    """Streams module images: particles, showers, digitisation.

    Parameters
    ----------
    source : ParticleSource
        Particles of each crossing.
    seed : int
        Equal seeds give equal streams.
    detector : Detector, optional
    digitisation : Digitisation, optional
    background : ParticleSource, optional
        Particles of the crossing before the first, whose leakage the first crossing sees; `source` if not given.
    libraries : tuple of ShowerLibrary, optional
        Showers of electromagnetic particles and of hadrons; the frozen ones if not given.
        `parametrised_showers.parametrised_library` makes others.
    """

    def __init__(
        self,
        *,
        source: ParticleSource,
        seed: int,
        detector: Detector | None = None,
        digitisation: Digitisation | None = None,
        background: ParticleSource | None = None,
        libraries: tuple[ShowerLibrary, ShowerLibrary] | None = None,
    ) -> None:
        self._source = source
        self._rng = np.random.default_rng(seed)
        self._detector = detector if detector is not None else Detector()
        self._digitisation = digitisation if digitisation is not None else Digitisation()
        if libraries is None:
            libraries = (ShowerLibrary.load("gamma"), ShowerLibrary.load("pi"))
        self._libraries = tuple(library.select_layers(TRIGGER_LAYERS) for library in libraries)
        self._setup()
        self._bx = 0
        self._previous = np.zeros_like(self._charge)
        if self._digitisation.leakage > 0.0:
            self._fill((background if background is not None else source).draw(self._rng))

    @property
    def detector(self) -> Detector:
        """Where the modules are."""
        return self._detector

    def _setup(self) -> None:
        d, g = self._detector, self._digitisation
        self._charge = np.zeros((len(TRIGGER_LAYERS), d.n_cells), np.float32)
        thickness = d.module_thickness_um.tolist()
        noise = np.array([NOISE_ELECTRONS[t] * ELECTRON_FC / MIP_FC[t] for t in thickness]) * g.noise
        with np.errstate(divide="ignore"):
            tail = [0.5 * math.erfc(g.threshold_mip / s / math.sqrt(2.0)) if s > 0 else 0.0 for s in noise]
        self._noise = noise.astype(np.float32)
        self._noise_above = np.array(tail, dtype=np.float32)
        self._counts = np.array([MIP_FC[t] / ADC_LSB_FC for t in thickness], dtype=np.float32)
        self._cells_per_tc = np.where(d.module_thickness_um == 120, 9, 4).astype(np.int64)
        low, high, low_half, high_half = d._lookup
        scales = []
        for density in ("low", "high"):
            geometry = module_geometry("low" if density == "low" else "high")
            scales.append(np.array([1.0 / geometry.cell_pitch_mm, *geometry.origin_mm], dtype=np.float32))
        self._tables = (low, high, low_half, high_half, scales[0], scales[1])
        z = self._libraries[0].layer_z_mm[list(TRIGGER_LAYERS)]
        self._layer_z = z.astype(np.float32)
        self._lib = (
            tuple(lib.energy_gev for lib in self._libraries),
            tuple(lib.offsets for lib in self._libraries),
            tuple(lib.layer // 2 for lib in self._libraries),
            tuple(lib.x_mm for lib in self._libraries),
            tuple(lib.y_mm for lib in self._libraries),
            tuple(lib.mip for lib in self._libraries),
        )

    def _pick_showers(self, particles: Particles) -> Int64:
        """A library shower within `NEIGHBOURS` places of the particle's energy, so within about 10 % of it."""
        picked = np.zeros(len(particles), dtype=np.int64)
        jitter = self._rng.integers(-NEIGHBOURS, NEIGHBOURS + 1, len(particles))
        for kind, lib in enumerate(self._libraries):
            nearest = np.searchsorted(lib.energy_gev, particles.energy_gev)
            index = np.clip(nearest + jitter, 0, len(lib.energy_gev) - 1)
            picked = np.where(particles.kind == kind, index, picked)
        return picked

    def _fill(self, particles: Particles) -> None:
        self._charge, self._previous = self._previous, self._charge
        self._charge[:] = 0.0
        _deposit(
            self._rng,
            particles.kind,
            particles.energy_gev,
            particles.xy_mm,
            particles.slope,
            self._pick_showers(particles),
            *self._lib,
            self._layer_z,
            *self._tables,
            self._charge,
        )

    def deposits(self, particles: Particles) -> Float32:
        """Deposits of given particles in MIP, without digitisation, as the next crossing.

        Returns
        -------
        ndarray of float32, shape (13, cells per layer)
            See `Detector.cell_at` for the numbering of cells.
        """
        self._fill(particles)
        return self._charge.copy()

    def crossing(self) -> ModuleImages:
        """All module images of the next bunch crossing."""
        d, g = self._detector, self._digitisation
        self._fill(self._source.draw(self._rng))
        shape = (d.n_sites, N_TRIGGER_CELLS)
        images = ModuleImages(
            bx=np.full(d.n_sites, self._bx, np.int64),
            site=np.arange(d.n_sites, dtype=np.int64),
            layer=d.site_layer,
            eta=d.site_eta,
            high_density=d.site_high_density,
            codes=np.empty(shape, np.uint8),
            charges=np.empty(shape, np.int64),
            mipt=np.empty(shape, np.float32),
        )
        _digitise(
            self._rng,
            self._charge,
            self._previous,
            g.leakage,
            d.cell_gain,
            d.gain_spread > 0.0,
            d._cell_offset,
            self._cells_per_tc,
            self._noise,
            self._noise_above,
            g.threshold_mip,
            self._counts,
            _DECODED,
            d.calibration,
            d.transverse,
            images.codes,
            images.charges,
            images.mipt,
        )
        self._bx += 1
        return images

    def stream(self, crossings: int) -> Iterator[ModuleImages]:
        """One chunk of images per bunch crossing.

        Parameters
        ----------
        crossings : int
            Number of crossings, at least 1.
        """
        if crossings < 1:
            raise ValueError(f"crossings must be at least 1, got {crossings}")
        for _ in range(crossings):
            yield self.crossing()


#: Charge of every code at low and high density, (2, 128).
_DECODED = np.stack([decode(np.arange(128), high) for high in (False, True)])
