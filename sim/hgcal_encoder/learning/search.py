"""Decoding by search: charges to which the encoder answers with the very latents that were sent.

A decoder network gives one answer to every frame and checks it against nothing. But the encoder is known to the last
bit, and so are the charges that a word can carry (`sim.hgcal_encoder.front_end.levels`), few enough to be told apart by
144 bits of latents where a module has few cells. The search walks through 4E3M codes of the 48 cells as simulated
annealing does, in exact chip arithmetic, and returns the mean over its last states. It takes a state for as probable as

    exp(-misfit_weight / 2 * r**2 - sum over occupied cells of (penalty - doubt * log(share)))

where r**2 sums the squared distances of the latents from the intervals that the sent bits leave, and of the module sum
from that of its code, and share is what the decoder network sees in the cell. (Moves are not weighed by how often they
are proposed in either direction, so the mean is not exactly that of this distribution.) `Search.trust` mixes the mean
with the network's answer: the network knows what modules look like, the search knows what was sent.

A move changes one or two cells, and only the activations and latents that depend on them are computed again, from
tables of rounded products: a million moves a second on one core.

Sources: S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, "Optimization by Simulated Annealing", Science 220 (1983) 671;
N. Metropolis et al., J. Chem. Phys. 21 (1953) 1087; G. Marsaglia, "Xorshift RNGs", J. Stat. Softw. 8 (2003) 14.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, round_shift, wrap
from sim.hgcal_encoder.detector.geometry import ground_distance
from sim.hgcal_encoder.float_code import CELL, WIDE_SUM
from sim.hgcal_encoder.normalise import leading_one
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH
from sim.hgcal_encoder.weights import Weights

__all__ = ["Search", "search"]

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]

FEW_CELLS = 16
"""Cells of a network's answer up to which latents tell modules apart; chosen on simulated showers."""
_NEIGHBOURS = 6
"""Nearest trigger cells to which most moves of charge go."""
_SUM_TOLERANCE = 0.004
"""Share of the module sum that counts as one step of a latent."""
_LEAST_SHARE = 1e-3
"""Share of a module's charge that the network may see in any cell."""
_WIDEST = 10
"""Bits of pixels and activations of which products are tabled."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a search runs; the defaults were chosen on simulated showers.

    Attributes
    ----------
    moves : int
        Moves of each module; time grows with them.
    penalty : float
        Of each occupied cell: minus the logarithm of its odds and of the probability of its code.
    doubt : float
        Of an occupied cell, times minus the logarithm of the share of the module's charge that the network sees there.
    misfit_weight : float
        Of the squared misfit, in steps of a latent, at the end.
    first_weight : float
        The same at the start, from which it grows by equal factors.
    annealed : float
        Share of the moves after which the weight stays and states are averaged.
    tolerance : float
        Misfit, in steps of a latent, at which search and decoder network share the answer in a module of few cells.

    Raises
    ------
    ValueError
        If a value is out of range; the message names it.
    """

    moves: int = 12_000
    penalty: float = 1.0
    doubt: float = 1.0
    misfit_weight: float = 1.0
    first_weight: float = 0.02
    annealed: float = 0.6
    tolerance: float = 8.0

    def trust(self, misfits: Float64, cells: IntArray) -> Float64:
        """Share of what the search found in the answer, the rest being the network's.

        All where it fits, less the worse; and less beyond `FEW_CELLS` cells that the network takes for occupied, of
        which 16 latents tell little: there states may fit and yet be far from what was sent.
        """
        out: Float64 = np.minimum(FEW_CELLS / np.maximum(cells, 1), 1.0) ** 2 / (1.0 + misfits / self.tolerance)
        return out

    def __post_init__(self) -> None:
        if self.moves < 1:
            raise ValueError(f"moves: expected at least 1, got {self.moves}")
        if not 0.0 < self.first_weight <= self.misfit_weight:
            raise ValueError(f"first_weight: expected more than 0 to {self.misfit_weight}, got {self.first_weight}")
        if not self.tolerance > 0.0:
            raise ValueError(f"tolerance: expected more than 0, got {self.tolerance}")
        if not 0.0 <= self.annealed < 1.0:
            raise ValueError(f"annealed: expected a share from 0 to below 1, got {self.annealed}")
        if not (self.penalty >= 0.0 and self.doubt >= 0.0):
            raise ValueError(f"penalty, doubt: expected at least 0, got {self.penalty}, {self.doubt}")


def search(
    latents: IntArray,
    sum_codes: IntArray,
    starts: IntArray,
    levels: IntArray,
    *,
    weights: Weights,
    kept_bits: int,
    multiplexer: IntArray,
    how: Search,
) -> tuple[Float64, Float64, Float64]:
    """Charges that may have been sent, given what arrived.

    Parameters
    ----------
    latents : ndarray of int64, shape (n, latents)
        As they arrive, the bits that were not sent 0.
    sum_codes : ndarray of int64, shape (n,)
    starts : ndarray of int64, shape (n, 48)
        Charges to start from, in trigger cell order, such as those of a decoder network.
    levels : ndarray of int64, shape (48, 128) or (n, 48, 128)
        Calibrated charge of each trigger cell for each 4E3M code, rising; see `sim.hgcal_encoder.front_end.levels`.
    weights : Weights
    kept_bits : int
        Bits of every latent that were sent.
    multiplexer : ndarray of int64, shape (48,)
        Trigger cell on each input of the network.
    how : Search

    Returns
    -------
    charges : ndarray of float64, shape (n, 48)
        Mean over the last states, in trigger cell order, 0 for code 0. The same for the same frame and start, in any
        company of other frames.
    misfits : ndarray of float64, shape (n,)
        Root of the mean squared misfit of these states, in steps of a latent.
    cells : ndarray of float64, shape (n,)
        Mean number of their occupied cells.

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
    conv_layer, dense_layer = _layers(weights)
    chips = np.ascontiguousarray(levels.reshape(-1, CELLS, CELL.max_code + 1)[:, multiplexer])
    low, high = _sums(sum_codes)
    distance = ground_distance()[np.ix_(multiplexer, multiplexer)]
    total = np.maximum(starts.sum(axis=1, keepdims=True), 1)
    penalties = how.penalty - how.doubt * np.log(np.maximum(starts / total, _LEAST_SHARE))
    mean, misfit, cells = np.zeros((len(latents), CELLS)), np.zeros(len(latents)), np.zeros(len(latents))
    _search(
        np.ascontiguousarray(starts[:, multiplexer]),
        latents,
        latents + (1 << (spec.latent.width - kept_bits)) - 1,
        low,
        high,
        np.minimum(leading_one(low.astype(np.int64)), CHARGE_WIDTH - 1) - spec.pixel.fraction,
        chips,
        np.argsort(distance, axis=1, kind="stable")[:, 1 : 1 + _NEIGHBOURS],
        _places(weights),
        conv_layer,
        dense_layer,
        spec.positions,
        np.ascontiguousarray(penalties[:, multiplexer]),
        (how.moves, how.first_weight, how.misfit_weight, how.annealed),
        mean,
        misfit,
        cells,
    )
    charges = np.empty_like(mean)
    charges[:, multiplexer] = mean
    return charges, np.sqrt(misfit), cells


_Layer = tuple[Int32, Int32, int, Int32]
"""Rounded products by (tap or input, code, output), biases, the least sum, and the output code of each sum from it."""


def _layers(weights: Weights) -> tuple[_Layer, _Layer]:
    """Both layers of the network in the arithmetic of its spec, as tables."""
    spec = weights.spec
    conv_drop = spec.pixel.fraction + spec.weight.fraction - spec.conv_product_fraction
    kernel = weights.kernel.reshape(spec.kernel_taps, 1, spec.filters)
    conv = round_shift(np.arange(1 << spec.pixel.width)[:, None] * kernel, conv_drop, spec.conv_product_rounding)
    conv_bias = weights.kernel_bias << (spec.conv_product_fraction - spec.weight.fraction)
    conv_low, conv_sums = _range(conv, conv_bias)
    activations = spec.activation.requantise(
        np.maximum(wrap(conv_sums, spec.conv_sum_width), 0), spec.conv_product_fraction
    )
    dense_drop = spec.activation.fraction + spec.weight.fraction - spec.dense_product_fraction
    codes = np.arange(1 << spec.activation.width)[:, None]
    dense = round_shift(codes * weights.dense[:, None], dense_drop, spec.dense_product_rounding)
    dense_bias = weights.dense_bias << (spec.dense_product_fraction - spec.weight.fraction)
    dense_low, dense_sums = _range(dense, dense_bias)
    kept = spec.latent.requantise(np.maximum(wrap(dense_sums, spec.dense_sum_width), 0), spec.dense_product_fraction)
    return (
        (conv.astype(np.int32), conv_bias.astype(np.int32), conv_low, activations.astype(np.int32)),
        (dense.astype(np.int32), dense_bias.astype(np.int32), dense_low, kept.astype(np.int32)),
    )


def _range(products: IntArray, bias: IntArray) -> tuple[int, IntArray]:
    """Least sum of a layer, and all sums from it to the largest."""
    low = int((bias + products.min(axis=1).sum(axis=0)).min())
    high = int((bias + products.max(axis=1).sum(axis=0)).max())
    return low, np.arange(low, high + 1)


def _places(weights: Weights) -> tuple[IntArray, IntArray, IntArray]:
    """Output positions and taps that each input of the network meets, one input after the other."""
    met: list[list[tuple[int, int]]] = [[] for _ in range(CELLS)]
    for position, taps in enumerate(weights.spec.taps):
        for cell, tap in taps:
            met[cell].append((position, tap))
    flat = np.array([pair for pairs in met for pair in pairs], np.int64).reshape(-1, 2)
    ends = np.cumsum([0, *map(len, met)])
    return ends, np.ascontiguousarray(flat[:, 0]), np.ascontiguousarray(flat[:, 1])


def _sums(codes: IntArray) -> tuple[Float64, Float64]:
    """Least and largest module sum of each 5E4M code."""
    least = WIDE_SUM.lowest[codes]
    return least.astype(np.float64), (least + WIDE_SUM.integers(codes) - 1).astype(np.float64)


@numba.njit(cache=True, inline="always")
def _nearest(charge, levels):  # type: ignore[no-untyped-def]
    """Code whose charge is nearest, the lower of two."""
    above = min(np.searchsorted(levels, charge), levels.size - 1)
    below = max(above - 1, 0)
    return below if charge - levels[below] <= levels[above] - charge else above


@numba.njit(cache=True, inline="always")
def _random(word):  # type: ignore[no-untyped-def]
    """Uniform in [0, 1): Marsaglia's xorshift."""
    value = word[0]
    value ^= value << np.uint64(13)
    value ^= value >> np.uint64(7)
    value ^= value << np.uint64(17)
    word[0] = value
    return (value >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@numba.njit(cache=True)
def _change(cell, code, network, state, log, logged):  # type: ignore[no-untyped-def]
    """Give a cell another code; sums of the convolution that change are logged as they were."""
    shift, levels, places, conv_layer, dense_layer = network
    codes, pixels, sums, totals = state
    ends, positions, taps = places
    products, _, conv_low, activations = conv_layer
    dense = dense_layer[0]
    filters = products.shape[2]
    codes[cell] = code
    charge = levels[cell, code]
    pixel = min(charge >> shift if shift >= 0 else charge << -shift, products.shape[1] - 1)
    before = pixels[cell]
    pixels[cell] = pixel
    if pixel == before:
        return logged
    for place in range(ends[cell], ends[cell + 1]):
        first = positions[place] * filters
        new, old = products[taps[place], pixel], products[taps[place], before]
        for f in range(filters):
            step = new[f] - old[f]
            if step:
                index = first + f
                was = sums[index]
                log[logged, 0], log[logged, 1] = index, was
                logged += 1
                sums[index] = was + step
                now, then = activations[was + step - conv_low], activations[was - conv_low]
                if now != then:
                    gain, loss = dense[index, now], dense[index, then]
                    for latent in range(totals.size):
                        totals[latent] += gain[latent] - loss[latent]
    return logged


@numba.njit(cache=True, inline="always")
def _misfit(totals, low, high, dense_layer, charge, sum_low, sum_high):  # type: ignore[no-untyped-def]
    """Squared distance of latents and module sum from what arrived."""
    kept, dense_low = dense_layer[3], dense_layer[2]
    span = max(1.0, _SUM_TOLERANCE * sum_low)
    beside = (max(sum_low - charge, 0.0) + max(charge - sum_high, 0.0)) / span
    out = beside * beside
    for latent in range(totals.size):
        code = kept[totals[latent] - dense_low]
        distance = float(max(low[latent] - code, 0) + max(code - high[latent], 0))
        out += distance * distance
    return out


@numba.njit(cache=True)
def _propose(word, codes, levels, near):  # type: ignore[no-untyped-def]
    """A move: cell and its new code, and the same of a second cell or -1; first cell -1 for none."""
    top = levels.shape[1] - 1
    kind = _random(word)
    a = int(_random(word) * CELLS)
    if kind < 0.8:
        # the next occupied cell
        for _ in range(CELLS):
            if codes[a]:
                break
            a = (a + 1) % CELLS
        if codes[a] == 0:
            return a, 1 + int(_random(word) * 30), -1, 0
    if kind < 0.45:
        # charge, all or some, to another cell, mostly a neighbour
        b = near[a, int(_random(word) * near.shape[1])] if _random(word) < 0.6 else int(_random(word) * CELLS)
        if a == b:
            return -1, 0, -1, 0
        part = _random(word)
        if part < 0.35:
            return a, codes[b], b, codes[a]
        code = max(codes[a] - 1 - int(_random(word) * _random(word) * 12), 0) if part < 0.8 else 0
        return a, code, b, _nearest(levels[a, codes[a]] - levels[a, code] + levels[b, codes[b]], levels[b])
    if kind < 0.8:
        step = 1 + int(_random(word) * _random(word) * 6)
        code = codes[a] + step if _random(word) < 0.5 else codes[a] - step
        return a, min(max(code, 0), top), -1, 0
    return a, 0 if codes[a] else 1 + int(_random(word) * 30), -1, 0


@numba.njit(cache=True, nogil=True)
def _search(  # type: ignore[no-untyped-def]
    starts, lows, highs, sum_lows, sum_highs, shifts, chips, near, places, conv_layer, dense_layer, outputs,
    penalties, how, mean, misfits, occupied,
):  # fmt: skip
    products, conv_bias, conv_low, activations = conv_layer
    dense, dense_bias, _, _ = dense_layer
    moves, first_weight, last_weight, annealed = how
    filters, latents = conv_bias.size, dense_bias.size
    cooling = max(int(annealed * moves), 1)
    for row in range(len(starts)):
        low, high, shift, levels = lows[row], highs[row], shifts[row], chips[row % len(chips)]
        # one seed per frame, so that a frame decodes alike wherever it stands
        word = np.empty(1, np.uint64)
        word[0] = np.uint64(0x9E3779B97F4A7C15)
        for latent in range(latents):
            word[0] = (word[0] ^ np.uint64(low[latent] + 1)) * np.uint64(0x100000001B3)
        word[0] |= np.uint64(1)
        codes, pixels = np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64)
        sums, totals = np.empty(outputs * filters, np.int64), dense_bias.astype(np.int64)
        network, state = (shift, levels, places, conv_layer, dense_layer), (codes, pixels, sums, totals)
        log = np.empty((2 * outputs * filters * products.shape[0], 2), np.int64)
        for index in range(sums.size):
            sums[index] = conv_bias[index % filters]
            totals += dense[index, activations[sums[index] - conv_low]]
        charge, price, penalty = 0, 0.0, penalties[row]
        for cell in range(CELLS):
            _change(cell, _nearest(starts[row, cell], levels[cell]), network, state, log, 0)
            charge += levels[cell, codes[cell]]
            price += penalty[cell] * (codes[cell] > 0)
        saved = totals.copy()
        misfit = _misfit(totals, low, high, dense_layer, charge, sum_lows[row], sum_highs[row])
        weight, growth = first_weight, (last_weight / first_weight) ** (1.0 / cooling)
        for move in range(moves):
            weight = weight * growth if move < cooling else last_weight
            a, code_a, b, code_b = _propose(word, codes, levels, near)
            if a >= 0 and (code_a != codes[a] or b >= 0):
                old_a, old_b = codes[a], codes[b] if b >= 0 else 0
                pixel_a, pixel_b = pixels[a], pixels[b] if b >= 0 else 0
                for latent in range(latents):
                    saved[latent] = totals[latent]
                logged = _change(a, code_a, network, state, log, 0)
                new_charge = charge + levels[a, code_a] - levels[a, old_a]
                new_price = price + penalty[a] * ((code_a > 0) - (old_a > 0))
                if b >= 0:
                    logged = _change(b, code_b, network, state, log, logged)
                    new_charge += levels[b, code_b] - levels[b, old_b]
                    new_price += penalty[b] * ((code_b > 0) - (old_b > 0))
                new = _misfit(totals, low, high, dense_layer, new_charge, sum_lows[row], sum_highs[row])
                rise = 0.5 * weight * (new - misfit) + new_price - price
                if rise <= 0 or _random(word) < math.exp(-rise):
                    misfit, charge, price = new, new_charge, new_price
                else:
                    if b >= 0:
                        codes[b], pixels[b] = old_b, pixel_b
                    codes[a], pixels[a] = old_a, pixel_a
                    for entry in range(logged - 1, -1, -1):
                        sums[log[entry, 0]] = log[entry, 1]
                    for latent in range(latents):
                        totals[latent] = saved[latent]
            if move >= cooling:
                misfits[row] += misfit
                for cell in range(CELLS):
                    if codes[cell]:
                        mean[row, cell] += levels[cell, codes[cell]]
                        occupied[row] += 1
        count = max(moves - cooling, 1)
        misfits[row] /= count
        occupied[row] /= count
        for cell in range(CELLS):
            mean[row, cell] /= count
