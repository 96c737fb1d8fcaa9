"""Frozen showers: Geant4 showers that ship with the project, drawn by energy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from sim.hgcal_encoder.detector.particles import Float32, Float64, Int64, UInt8, shower_data

__all__ = ["ShowerLibrary"]


#: Silicon layers of the electromagnetic section and the 13 of them that send trigger data (0-based indices).
SILICON_LAYERS = 26
TRIGGER_LAYERS = tuple(range(0, SILICON_LAYERS, 2))


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
    def load(cls, kind: Literal["gamma", "pi"]) -> ShowerLibrary:
        """Read a shipped library.

        Parameters
        ----------
        kind : {"gamma", "pi"}
        """
        if kind not in ("gamma", "pi"):
            raise ValueError(f"kind: expected 'gamma' or 'pi', got {kind!r}")
        return _load_library(kind)

    def select_layers(self, layers: tuple[int, ...]) -> ShowerLibrary:
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
    raw = shower_data(f"lib_{kind}.npz")
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
