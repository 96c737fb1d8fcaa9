"""Simulated annealing over the 4E3M codes of a module, in exact chip arithmetic.

A move changes one or two cells at random. Most moves then change up to three more cells, each the one that by the
linear model brings the latents nearest to what arrived, by chance with these odds: a cell can seldom change alone when
16 latents are to stay. The weight of the misfit grows, and at the end charges are averaged over the states. Moves are
not weighed by how often they are proposed in either direction, so the mean is not exactly that of a distribution.

Sources: S. Kirkpatrick, C. D. Gelatt, M. P. Vecchi, "Optimization by Simulated Annealing", Science 220 (1983) 671;
N. Metropolis et al., J. Chem. Phys. 21 (1953) 1087; G. Marsaglia, "Xorshift RNGs", J. Stat. Softw. 8 (2003) 14.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from sim.hgcal_encoder.learning.search_network import (
    change,
    first_sums,
    nearest,
    nearest_from,
    residual,
    seed,
    uniform,
)
from sim.hgcal_encoder.spec import CELLS

__all__ = ["anneal"]

_FIRST_WEIGHT, _WEIGHT = 1.0, 8.0
"""Weights of half the squared misfit, in steps of a latent, at first and at the end."""
_COOLING = 0.7
"""Share of the moves in which the weight grows."""
_REPAIRED, _REPAIRED_LAST = 0.7, 0.3
"""Share of the moves that change more cells, while the weight grows and then."""
_REPAIRS = 3


@numba.njit(cache=True)
def _propose(word, codes, levels, near):  # type: ignore[no-untyped-def]
    """A move: cell and its new code, and the same of a second cell or -1; first cell -1 for none."""
    top = levels.shape[1] - 1
    kind = uniform(word)
    a = int(uniform(word) * CELLS)
    if kind < 0.8:
        # the next occupied cell
        for _ in range(CELLS):
            if codes[a]:
                break
            a = (a + 1) % CELLS
        if codes[a] == 0:
            return a, 1 + int(uniform(word) * 30), -1, 0
    if kind < 0.45:
        # charge, all or some, to another cell, mostly a neighbour
        b = near[a, int(uniform(word) * near.shape[1])] if uniform(word) < 0.6 else int(uniform(word) * CELLS)
        if a == b:
            return -1, 0, -1, 0
        part = uniform(word)
        if part < 0.35:
            return a, codes[b], b, codes[a]
        code = max(codes[a] - 1 - int(uniform(word) * uniform(word) * 12), 0) if part < 0.8 else 0
        return a, code, b, nearest(levels[a, codes[a]] - levels[a, code] + levels[b, codes[b]], levels[b])
    if kind < 0.8:
        step = 1 + int(uniform(word) * uniform(word) * 6)
        code = codes[a] + step if uniform(word) < 0.5 else codes[a] - step
        return a, min(max(code, 0), top), -1, 0
    return a, 0 if codes[a] else 1 + int(uniform(word) * 30), -1, 0


@numba.njit(cache=True)
def _repair(word, first, second, lack, slopes, norms, unit, codes, levels, prices, kinds, weight, work):  # type: ignore[no-untyped-def]
    """A cell, and its new code, that brings latents nearer to what arrived, or -1; not the two that moved first."""
    logs, new_codes, alongs = work
    alongs[:] = 0.0
    for k in range(lack.size):
        if lack[k] != 0.0:
            for cell in range(CELLS):
                alongs[cell] += slopes[k, cell] * lack[k]
    top = -1e30
    for cell in range(CELLS):
        logs[cell] = -1e30
        if cell in (first, second):
            continue
        along = alongs[cell]
        steps = round(along / norms[cell])
        code = codes[cell]
        if steps == 0.0 or (steps < 0.0 and code == 0):
            continue
        new = nearest_from(levels[cell, code] + steps * unit, levels[cell], code)
        if new == code:
            new += 1 if steps > 0 else -1
        if new < 0 or new >= levels.shape[1]:
            continue
        pixels = (levels[cell, new] - levels[cell, code]) / unit
        gain = pixels * (2.0 * along - pixels * norms[cell])
        logs[cell] = 0.5 * weight * gain - prices[kinds[cell], new] + prices[kinds[cell], code]
        new_codes[cell] = new
        top = max(top, logs[cell])
    if top < -1e29:
        return -1, 0
    total = 0.0
    for cell in range(CELLS):
        logs[cell] = math.exp(logs[cell] - top) if logs[cell] > top - 20.0 else 0.0
        total += logs[cell]
    pick, chosen = uniform(word) * total, -1
    for cell in range(CELLS):
        if logs[cell] > 0.0:
            chosen = cell
            pick -= logs[cell]
            if pick < 0.0:
                break
    return chosen, new_codes[chosen]


@numba.njit(cache=True)
def _copy(state, kept):  # type: ignore[no-untyped-def]
    """A state into another one; loops, as assignments to slices cost more than the moves."""
    codes, pixels, sums, totals = state
    to_codes, to_pixels, to_sums, to_totals = kept
    for cell in range(codes.size):
        to_codes[cell], to_pixels[cell] = codes[cell], pixels[cell]
    for k in range(sums.size):
        to_sums[k] = sums[k]
    for k in range(totals.size):
        to_totals[k] = totals[k]


@numba.njit(cache=True, nogil=True)
def anneal(  # type: ignore[no-untyped-def]
    starts, targets, shifts, chips, near, tables, pixel_slopes, prices, all_kinds, moves, mean, misfits, occupied,
):  # fmt: skip
    """Charges averaged over the last moves, mean squared misfit and mean number of occupied cells of these states.

    Arrays in the order of the network's inputs; `mean` (n, 48), `misfits` (n,) and `occupied` (n,) are filled.
    """
    lows, highs, sum_lows, sum_highs, steps = targets
    places, conv_layer, dense_layer, outputs, _ = tables
    latents = lows.shape[1]
    cooling = max(int(_COOLING * moves), 1)
    slopes, norms = pixel_slopes.T.copy(), np.empty(CELLS)
    work = np.empty(CELLS), np.empty(CELLS, np.int64), np.empty(CELLS)
    lack, word = np.empty(latents + 1), np.empty(1, np.uint64)
    growth = (_WEIGHT / _FIRST_WEIGHT) ** (1.0 / cooling)
    for row in range(len(starts)):
        shift, levels, kinds = shifts[row], chips[row % len(chips)], all_kinds[row]
        unit = 2.0**shift
        target = (lows[row], highs[row], sum_lows[row], sum_highs[row], steps[row])
        for cell in range(CELLS):
            slopes[latents, cell] = unit / steps[row]
            norms[cell] = (slopes[:, cell] ** 2).sum()
        seed(word, lows[row])
        sums, totals = first_sums(conv_layer, dense_layer, outputs)
        codes, pixels = np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64)
        network, state = (shift, levels, places, conv_layer, dense_layer), (codes, pixels, sums, totals)
        charge, price = 0, 0.0
        for cell in range(CELLS):
            change(cell, nearest(starts[row, cell], levels[cell]), network, state)
            charge += levels[cell, codes[cell]]
            price += prices[kinds[cell], codes[cell]]
        kept = (codes.copy(), pixels.copy(), sums.copy(), totals.copy())
        misfit, weight = residual(totals, charge, target, dense_layer, lack), _FIRST_WEIGHT
        for move in range(moves):
            weight = weight * growth if move < cooling else _WEIGHT
            a, code_a, b, code_b = _propose(word, codes, levels, near)
            if a >= 0 and (code_a != codes[a] or b >= 0):
                _copy(state, kept)
                new_charge = charge + levels[a, code_a] - levels[a, codes[a]]
                new_price = price + prices[kinds[a], code_a] - prices[kinds[a], codes[a]]
                change(a, code_a, network, state)
                if b >= 0:
                    new_charge += levels[b, code_b] - levels[b, codes[b]]
                    new_price += prices[kinds[b], code_b] - prices[kinds[b], codes[b]]
                    change(b, code_b, network, state)
                new = residual(totals, new_charge, target, dense_layer, lack)
                if uniform(word) < (_REPAIRED if move < cooling else _REPAIRED_LAST):
                    for _ in range(1 + int(uniform(word) * _REPAIRS)):
                        if new == 0.0:
                            break
                        c, code_c = _repair(
                            word, a, b, lack, slopes, norms, unit, codes, levels, prices, kinds, weight, work
                        )
                        if c < 0:
                            break
                        new_charge += levels[c, code_c] - levels[c, codes[c]]
                        new_price += prices[kinds[c], code_c] - prices[kinds[c], codes[c]]
                        change(c, code_c, network, state)
                        new = residual(totals, new_charge, target, dense_layer, lack)
                rise = 0.5 * weight * (new - misfit) + new_price - price
                if rise <= 0 or uniform(word) < math.exp(-rise):
                    misfit, charge, price = new, new_charge, new_price
                else:
                    _copy(kept, state)
            if move >= cooling:
                misfits[row] += misfit
                for cell in range(CELLS):
                    if codes[cell]:
                        mean[row, cell] += levels[cell, codes[cell]]
                        occupied[row] += 1
        taken = max(moves - cooling, 1)
        misfits[row] /= taken
        occupied[row] /= taken
        for cell in range(CELLS):
            mean[row, cell] /= taken
