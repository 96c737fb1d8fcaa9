"""The endcap: modules, thicknesses, gain of every cell."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.hgcal_encoder.detector.digitisation import ADC_LSB_FC
from sim.hgcal_encoder.detector.frozen_showers import TRIGGER_LAYERS, ShowerLibrary
from sim.hgcal_encoder.detector.geometry import (
    MODULE_PITCH_MM,
    N_TRIGGER_CELLS,
    Density,
    module_geometry,
    nearest_lattice_point,
)
from sim.hgcal_encoder.detector.particles import FRONT_FACE_MM, Float32, Float64, Int32, Int64

__all__ = ["Detector"]


#: Deposit of a particle at minimum ionisation per thickness in micrometres (fC), noise of one cell (electrons).
MIP_FC = {120: 2.06, 200: 3.43, 300: 5.15}
#: Radii (mm) where the sensor thickness changes: 120 um (high density) inside the first, 300 um outside the second.
THICKNESS_RADII_MM = (700.0, 1000.0)


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
