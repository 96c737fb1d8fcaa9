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
from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from sim.fixed_point import check_range
from sim.hgcal_encoder import words
from sim.hgcal_encoder.calibrate import CALIBRATION
from sim.hgcal_encoder.decode import DROP_HIGH_DENSITY, DROP_LOW_DENSITY, decode
from sim.hgcal_encoder.detector.detector import MIP_FC, Detector
from sim.hgcal_encoder.detector.digitisation import ADC_LSB_FC, ELECTRON_FC, NOISE_ELECTRONS, Digitisation, digitise
from sim.hgcal_encoder.detector.frozen_showers import TRIGGER_LAYERS, ShowerLibrary
from sim.hgcal_encoder.detector.geometry import (
    N_TRIGGER_CELLS,
    module_geometry,
)
from sim.hgcal_encoder.detector.particles import Float32, Float64, Int32, Int64, Particles, ParticleSource, UInt8
from sim.hgcal_encoder.float_code import CELL
from sim.hgcal_encoder.spec import WordOrder

__all__ = ["Generator", "ModuleImages", "encode_4e3m"]
#: A particle takes one of the 2 x NEIGHBOURS + 1 library showers nearest in energy.
NEIGHBOURS = 20


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
        If a charge is negative; the message names its index.
    """
    array = check_range(charge, 0, 1 << 52, "charge")
    dropped = np.where(high_density, DROP_HIGH_DENSITY, DROP_LOW_DENSITY)
    return CELL.encode(array >> dropped).astype(np.uint8)


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
    unencoded : ndarray of float32, shape (n, 48)
        The same before encoding: ADC counts times calibration, what a decoder is to give back.
    pedestals : ndarray of uint8, shape (n, 48)
        Calibrated charge of each trigger cell when it is empty: that of code 0.
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
    unencoded: Float32
    pedestals: UInt8
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
        empty = _DECODED[d.site_high_density.astype(np.int64), 0]
        self._pedestals = ((empty[:, None] * d.calibration) >> CALIBRATION.fraction).astype(np.uint8)
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
            unencoded=np.empty(shape, np.float32),
            pedestals=self._pedestals,
            mipt=np.empty(shape, np.float32),
        )
        digitise(
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
            CELL.lowest,
            _DECODED,
            d.calibration,
            d.transverse,
            images.codes,
            images.charges,
            images.unencoded,
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
