"""Decoding by search: charges to which the encoder answers with the very latents that were sent.

A decoder network gives one answer to every frame and checks it against nothing. But the encoder is known to the last
bit, so are the charges that a word can carry (`sim.hgcal_encoder.front_end.levels`), and so are the odds of these
charges where the network gave that answer (`sim.hgcal_encoder.learning.search_prior`). The search takes these for the
prior distribution of what was sent and looks for what the latents leave of it, in two ways:

* sampling of the occupied cells in a linear model of the encoder (`search_sampler`), which finds its way among very
  many of them, and whose mean is a good answer where latents leave much open;
* annealing in exact chip arithmetic (`search_annealing`) from the sample that fits best, which gives the very charges
  where latents leave little open.

`Search.trust` mixes both by how well the latents fit and how many cells they may tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.detector.geometry import ground_distance
from sim.hgcal_encoder.float_code import CELL, WIDE_SUM
from sim.hgcal_encoder.learning import search_network, search_prior
from sim.hgcal_encoder.learning.search_annealing import anneal
from sim.hgcal_encoder.learning.search_sampler import prices_of_octaves, sample, spans
from sim.hgcal_encoder.normalise import leading_one
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH
from sim.hgcal_encoder.weights import Weights

__all__ = ["Found", "Search", "search"]

Float64 = npt.NDArray[np.float64]

BITS_OF_CELL = 14
"""Bits of latents that an occupied cell takes, its place and its charge; chosen on simulated showers."""
_SUM_TOLERANCE = 0.004
"""Share of the module sum that counts as one step of a latent."""
_WIDEST = 10
"""Bits of pixels and activations of which products are tabled."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How much a search tries; the defaults were chosen on simulated showers.

    Attributes
    ----------
    moves : int
        Moves of annealing for each module; time grows with them.
    tolerance : float
        Misfit, in steps of a latent, at which annealing and sampling share the answer in a module of few cells.

    Raises
    ------
    ValueError
        If a value is out of range; the message names it.
    """

    moves: int = 4_000
    tolerance: float = 2.0

    def __post_init__(self) -> None:
        if self.moves < 1:
            raise ValueError(f"moves: expected at least 1, got {self.moves}")
        if not self.tolerance > 0.0:
            raise ValueError(f"tolerance: expected more than 0, got {self.tolerance}")

    @property
    def sweeps(self) -> int:
        """Sweeps of sampling for each module: about as much time as the moves take."""
        return max(3 * self.moves // 40, 4)

    def trust(self, misfits: Float64, cells: Float64, bits: int) -> Float64:
        """Share of annealing in the answer, the rest being sampling's.

        Less the worse the latents fit, and less beyond as many cells as this number of bits of latents tells apart:
        there states may fit and yet be far from what was sent.
        """
        known = np.minimum(bits / BITS_OF_CELL / np.maximum(cells, 1.0), 1.0) ** 2
        out: Float64 = known / (1.0 + (misfits / self.tolerance) ** 2)
        return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a search found, in trigger cell order, 0 where a cell is empty.

    Attributes
    ----------
    sampled : ndarray of float64, shape (n, 48)
        Mean charges of sampling.
    annealed : ndarray of float64, shape (n, 48)
        Mean charges of annealing.
    misfits : ndarray of float64, shape (n,)
        Of annealing: root of the mean squared distance of latents and module sum from what arrived, in steps of a
        latent.
    cells : ndarray of float64, shape (n,)
        Mean number of occupied cells of annealing's states.
    """

    sampled: Float64
    annealed: Float64
    misfits: Float64
    cells: Float64

    def shares(self, known: Float64, trust: Float64) -> Float64:
        """Shares of the module's charge in each cell: annealing's by `trust` (n,), sampling's for the rest.

        Where either found no charge, `known` (n, 48) stands for it.
        """
        annealed, sampled = (
            np.where(charges.any(axis=1, keepdims=True), charges, known) for charges in (self.annealed, self.sampled)
        )
        part = trust[:, None]
        out: Float64 = part * annealed / annealed.sum(axis=1, keepdims=True)
        out += (1.0 - part) * sampled / sampled.sum(axis=1, keepdims=True)
        return out


def search(
    latents: IntArray,
    sum_codes: IntArray,
    known: Float64,
    levels: IntArray,
    *,
    weights: Weights,
    kept_bits: int,
    multiplexer: IntArray,
    odds: Float64,
    how: Search,
) -> Found:
    """Charges that may have been sent, given what arrived.

    Parameters
    ----------
    latents : ndarray of int64, shape (n, latents)
        As they arrive, the bits that were not sent 0.
    sum_codes : ndarray of int64, shape (n,)
    known : ndarray of float64, shape (n, 48)
        Charges that the decoder network gives, in trigger cell order.
    levels : ndarray of int64, shape (48, 128) or (n, 48, 128)
        Calibrated charge of each trigger cell for each 4E3M code, rising; see `sim.hgcal_encoder.front_end.levels`.
    weights : Weights
    kept_bits : int
        Bits of every latent that were sent.
    multiplexer : ndarray of int64, shape (48,)
        Trigger cell on each input of the network.
    odds : ndarray of float64, shape (KINDS, 128)
        See `sim.hgcal_encoder.learning.search_prior.odds`.
    how : Search

    Returns
    -------
    Found
        The same for the same frame, in any company of other frames.

    Raises
    ------
    ValueError
        If pixels or activations of the network are too wide for tables, or the shape of the levels does not fit.
    """
    spec = weights.spec
    if levels.shape not in ((CELLS, CELL.max_code + 1), (len(latents), CELLS, CELL.max_code + 1)):
        raise ValueError(f"levels: expected shape (48, 128) or ({len(latents)}, 48, 128), got {levels.shape}")
    if max(spec.pixel.width, spec.activation.width) > _WIDEST:
        raise ValueError(
            f"{spec.name}: decoding by search takes pixels and activations of up to {_WIDEST} bits,"
            f" got {spec.pixel.width} and {spec.activation.width}"
        )
    per_chip = levels.reshape(-1, CELLS, CELL.max_code + 1)
    chips = np.ascontiguousarray(per_chip[:, multiplexer])
    low, high = _sums(sum_codes)
    lowest, highest = latents, latents + (1 << (spec.latent.width - kept_bits)) - 1
    targets = (lowest, highest, low, high, np.maximum(1.0, _SUM_TOLERANCE * low))
    shifts = np.minimum(leading_one(low.astype(np.int64)), CHARGE_WIDTH - 1) - spec.pixel.fraction
    tables = (
        search_network.places(weights),
        *search_network.layers(weights),
        spec.positions,
        spec.latent.max_code,
    )
    model = search_network.linear(weights)
    kinds = np.ascontiguousarray(search_prior.kinds(known, per_chip)[:, multiplexer])
    shape = (len(latents), CELLS)
    sampled, best, annealed = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    cells, misfits = np.zeros(len(latents)), np.zeros(len(latents))
    sample(
        np.ascontiguousarray(known[:, multiplexer]), targets, shifts, chips, tables,
        (model.slopes, model.losses, model.covers), spans(), prices_of_octaves(odds), kinds, how.sweeps,
        sampled, best,
    )  # fmt: skip
    near = np.argsort(ground_distance()[np.ix_(multiplexer, multiplexer)], axis=1, kind="stable")
    anneal(
        best, targets, shifts, chips, near[:, 1 : 1 + search_prior.NEIGHBOURS], tables, model.slopes, odds, kinds,
        how.moves, annealed, misfits, cells,
    )  # fmt: skip
    order = np.argsort(multiplexer)
    return Found(sampled=sampled[:, order], annealed=annealed[:, order], misfits=np.sqrt(misfits), cells=cells)


def _sums(codes: IntArray) -> tuple[Float64, Float64]:
    """Least and largest module sum of each 5E4M code."""
    least = WIDE_SUM.lowest[codes]
    return least.astype(np.float64), (least + WIDE_SUM.integers(codes) - 1).astype(np.float64)
