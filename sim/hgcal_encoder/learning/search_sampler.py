"""Sampling which cells hold charge, and how much, by the linear model of the network.

In the linear model (`sim.hgcal_encoder.learning.search_network.Linear`) latents and module sum are a sum over occupied
cells. Each cell is empty or in one octave of charge (an exponent of 4E3M; that of the smallest codes is halved). Within
an octave charges are taken for normally distributed, so that with all octaves given the charges can be integrated out:
what is left is to draw the octaves, one cell after the other, each with its odds given all others (Gibbs sampling,
where every other charge adapts to the draw at once). The inverse of the covariance of the latents changes by one rank
for each draw. What latents may lie beside the model starts wide and narrows to two steps, then charges are averaged.

The linear model is set right after every sweep: the state's charges are rounded to codes, the network answers to them
exactly, and only the difference between that answer and what arrived is left to the linear model.

Sources: E. I. George, R. E. McCulloch, "Variable Selection Via Gibbs Sampling", J. Am. Stat. Assoc. 88 (1993) 881;
J. Sherman, W. J. Morrison, "Adjustment of an Inverse Matrix Corresponding to a Change in One Element of a Given
Matrix", Ann. Math. Stat. 21 (1950) 124.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.learning.search_network import change, first_sums, nearest, residual, seed, uniform
from sim.hgcal_encoder.learning.search_prior import CODES
from sim.hgcal_encoder.spec import CELLS

__all__ = ["octaves", "prices_of_octaves", "sample", "spans"]

_FIRST_SIGMA, _SIGMA = 30.0, 2.0
"""Steps of a latent, one standard deviation, by which latents may lie beside the model at first and at the end."""
_COOLING = 0.4
"""Share of the sweeps in which it narrows."""
_HELD = 4
"""Sweeps between which it narrows, and after which the inverse is computed anew."""
_LEAST_ODDS = 14.0
"""Minus the logarithm of the odds from which an octave is not considered."""
_WIDER = 1.3
"""On the variance of an octave, so that neighbouring ones overlap."""


def octaves() -> IntArray:
    """Octave of each 4E3M code, shape (128,): 0 for no charge."""
    codes = np.arange(CODES)
    out: IntArray = np.where(codes >= 8, (codes >> 3) + 2, np.where(codes >= 4, 2, 1))
    out[0] = 0
    return out


def spans() -> IntArray:
    """First and last code of each octave, shape (octaves, 2)."""
    found = octaves()
    return np.array([np.flatnonzero(found == octave)[[0, -1]] for octave in range(found.max() + 1)])


def prices_of_octaves(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Minus the logarithm of the odds of each octave from those of the codes, shape (kinds, octaves)."""
    found = octaves()
    parts = [np.exp(-prices[:, found == octave]).sum(axis=1) for octave in range(found.max() + 1)]
    out: npt.NDArray[np.float64] = -np.log(np.stack(parts, axis=1))
    return out


@numba.njit(cache=True)
def _rank_one(inverse, vector, factor):  # type: ignore[no-untyped-def]
    for k in range(vector.size):
        scaled = factor * vector[k]
        for m in range(vector.size):
            inverse[k, m] += scaled * vector[m]


@numba.njit(cache=True)
def _times(inverse, vector, out):  # type: ignore[no-untyped-def]
    """Product of a symmetric matrix with a vector; returns the quadratic form."""
    # row by row into all outputs: sums that wait for nothing
    out[:] = 0.0
    for m in range(vector.size):
        factor = vector[m]
        for k in range(out.size):
            out[k] += factor * inverse[m, k]
    square = 0.0
    for k in range(vector.size):
        square += out[k] * vector[k]
    return square


@numba.njit(cache=True)
def _settle(cell, sign, cover, places, losses, covers, out):  # type: ignore[no-untyped-def]
    """What a cell adds whatever its charge, with the positions it alone covers; occupy it (sign 1), empty it (-1)."""
    ends, positions, _ = places
    if sign < 0:
        for place in range(ends[cell], ends[cell + 1]):
            cover[positions[place]] -= 1
    for k in range(out.size):
        out[k] = losses[cell, k]
    for place in range(ends[cell], ends[cell + 1]):
        if cover[positions[place]] == 0:
            for k in range(out.size):
                out[k] += covers[positions[place], k]
    if sign > 0:
        for place in range(ends[cell], ends[cell + 1]):
            cover[positions[place]] += 1


@numba.njit(cache=True)
def _draw(word, logs, scales):  # type: ignore[no-untyped-def]
    """An index by odds, scales times what has the given logarithms; these are overwritten."""
    top = logs.max()
    total = 0.0
    for k in range(logs.size):
        logs[k] = scales[k] * math.exp(logs[k] - top) if logs[k] > top - 25.0 else 0.0
        total += logs[k]
    pick, drawn = uniform(word) * total, 0
    for k in range(logs.size):
        if logs[k] > 0.0:
            drawn = k
            pick -= logs[k]
            if pick < 0.0:
                break
    return drawn


@numba.njit(cache=True)
def _rest(octave, centres, slopes, places, losses, covers, cover, own, rest):  # type: ignore[no-untyped-def]
    """Take what the model makes of the octaves' centres off; `cover` is counted anew."""
    cover[:] = 0
    for cell in range(CELLS):
        if octave[cell]:
            _settle(cell, 1, cover, places, losses, covers, own)
            for k in range(rest.size):
                rest[k] -= own[k] + centres[cell, octave[cell]] * slopes[cell, k]


@numba.njit(cache=True)
def _sweep(word, octave, model, terms, price, kinds, inverse, rest, cover, work):  # type: ignore[no-untyped-def]
    """Draw the octave of as many cells, at random, as there are."""
    slopes, places, losses, covers = model
    centres, variances = terms
    product, own, fixed_part, logs, scales = work
    for _ in range(CELLS):
        cell = int(uniform(word) * CELLS)
        slope, was = slopes[cell], octave[cell]
        square = _times(inverse, slope, product)
        if was:
            variance = variances[cell, was]
            left = 1.0 - variance * square
            _rank_one(inverse, product, variance / left)
            _settle(cell, -1, cover, places, losses, covers, own)
            for k in range(rest.size):
                product[k] /= left
                rest[k] += own[k] + centres[cell, was] * slope[k]
            square /= left
        else:
            _settle(cell, 0, cover, places, losses, covers, own)
        _times(inverse, own, fixed_part)
        along, fixed = 0.0, 0.0
        for k in range(rest.size):
            along += (rest[k] - own[k]) * product[k]
            fixed += (rest[k] - 0.5 * own[k]) * fixed_part[k]
        for k in range(logs.size):
            if price[kinds[cell], k] > _LEAST_ODDS:
                logs[k] = -1e30
                continue
            logs[k], scales[k] = -price[kinds[cell], k], 1.0
            if k:
                centre, variance = centres[cell, k], variances[cell, k]
                free = 1.0 + variance * square
                logs[k] += fixed + centre * along - 0.5 * centre * centre * square
                logs[k] += 0.5 * variance * (along - centre * square) ** 2 / free
                scales[k] = 1.0 / math.sqrt(free)
        now = _draw(word, logs, scales)
        octave[cell] = now
        if now:
            _rank_one(inverse, product, -variances[cell, now] / (1.0 + variances[cell, now] * square))
            _settle(cell, 1, cover, places, losses, covers, own)
            for k in range(rest.size):
                rest[k] -= own[k] + centres[cell, now] * slope[k]


@numba.njit(cache=True, nogil=True)
def sample(  # type: ignore[no-untyped-def]
    starts, targets, shifts, chips, tables, model, bounds, price, all_kinds, sweeps, mean, best,
):  # fmt: skip
    """Charges averaged over the last sweeps, and those of the state that fitted best.

    Arrays in the order of the network's inputs; `mean` (n, 48) and `best` (n, 48) are filled.
    """
    lows, highs, sum_lows, sum_highs, steps = targets
    places, conv_layer, dense_layer, outputs, last_code = tables
    pixel_slopes, losses, covers = model
    latents, size, count = lows.shape[1], lows.shape[1] + 1, bounds.shape[0]
    lack, rest, own, product, sigmas = np.empty(size), np.empty(size), np.empty(size), np.empty(size), np.empty(size)
    fixed_part, scales = np.empty(size), np.empty(count)
    slopes, inverse, logs = pixel_slopes.copy(), np.empty((size, size)), np.empty(count)
    centres, variances, charges = np.empty((CELLS, count)), np.empty((CELLS, count)), np.empty(CELLS)
    cover, octave_of = np.zeros(outputs, np.int64), np.empty(chips.shape[2], np.int64)
    for k in range(count):
        octave_of[bounds[k, 0] : bounds[k, 1] + 1] = k
    cooling = max(int(_COOLING * sweeps), 1)
    word = np.empty(1, np.uint64)
    for row in range(len(starts)):
        shift, levels, kinds = shifts[row], chips[row % len(chips)], all_kinds[row]
        unit = 2.0**shift
        target = (lows[row], highs[row], sum_lows[row], sum_highs[row], steps[row])
        for cell in range(CELLS):
            slopes[cell, latents] = unit / steps[row]
            for k in range(count):
                first, last = levels[cell, bounds[k, 0]], levels[cell, bounds[k, 1]]
                width = (last - first) * (1.0 + 1.0 / max(bounds[k, 1] - bounds[k, 0], 1)) / unit
                centres[cell, k] = (0.5 * (first + last) - levels[cell, 0]) / unit
                variances[cell, k] = max(width * width, 1e-12) / 12.0 * _WIDER
        seed(word, lows[row])
        sums, totals = first_sums(conv_layer, dense_layer, outputs)
        codes, pixels, octave = np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64)
        network, state = (shift, levels, places, conv_layer, dense_layer), (codes, pixels, sums, totals)
        for cell in range(CELLS):
            change(cell, nearest(starts[row, cell], levels[cell]), network, state)
            octave[cell] = octave_of[codes[cell]]
        least, sigma = 1e30, _FIRST_SIGMA
        for sweep in range(sweeps):
            anew = sweep % _HELD == 0
            if anew:
                sigma = _FIRST_SIGMA * (_SIGMA / _FIRST_SIGMA) ** min(sweep / cooling, 1.0)
            charge = 0
            for cell in range(CELLS):
                charge += levels[cell, codes[cell]]
            misfit = residual(totals, charge, target, dense_layer, lack)
            if misfit < least:
                least = misfit
                for cell in range(CELLS):
                    best[row, cell] = levels[cell, codes[cell]] if codes[cell] else 0
            for k in range(size):
                if k == latents:
                    width = (sum_highs[row] - sum_lows[row]) / steps[row]
                    lack[k] = (0.5 * (sum_lows[row] + sum_highs[row]) - charge) / steps[row]
                else:
                    width = highs[row, k] - lows[row, k] + 1.0
                    code = dense_layer[3][totals[k] - dense_layer[2]]
                    # a latent at the end of its range may lie beyond: only what it lacks is known
                    if 0 < code < last_code:
                        lack[k] = 0.5 * (lows[row, k] + highs[row, k]) - code
                sigmas[k] = sigma * sigma + width * width / 12.0
                rest[k] = lack[k]
            # what is to be explained: the state's own linear answer, and what it lacks
            cover[:] = 0
            for cell in range(CELLS):
                if codes[cell]:
                    _settle(cell, 1, cover, places, losses, covers, own)
                    for k in range(size):
                        rest[k] += own[k] + (levels[cell, codes[cell]] - levels[cell, 0]) / unit * slopes[cell, k]
            if anew:
                inverse[:] = 0.0
                for k in range(size):
                    inverse[k, k] = sigmas[k]
                for cell in range(CELLS):
                    if octave[cell]:
                        _rank_one(inverse, slopes[cell], variances[cell, octave[cell]])
                inverse[:] = np.linalg.inv(inverse)
            _rest(octave, centres, slopes, places, losses, covers, cover, own, rest)
            _sweep(
                word, octave, (slopes, places, losses, covers), (centres, variances), price, kinds, inverse, rest,
                cover, (product, own, fixed_part, logs, scales),
            )  # fmt: skip
            # mean charges of these octaves, and the state for the next sweep
            _times(inverse, rest, product)
            for cell in range(CELLS):
                charges[cell] = 0.0
                k = octave[cell]
                if k:
                    pull = 0.0
                    for m in range(size):
                        pull += slopes[cell, m] * product[m]
                    charge_of = levels[cell, 0] + (centres[cell, k] + variances[cell, k] * pull) * unit
                    first, last = levels[cell, bounds[k, 0]], levels[cell, bounds[k, 1]]
                    charges[cell] = min(max(charge_of, float(first)), float(last))
                code = nearest(charges[cell], levels[cell]) if k else 0
                if code != codes[cell]:
                    change(cell, code, network, state)
                if sweep >= cooling:
                    mean[row, cell] += charges[cell]
        taken = max(sweeps - cooling, 1)
        for cell in range(CELLS):
            mean[row, cell] /= taken
