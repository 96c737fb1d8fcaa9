"""Cells onto rows and sites with little movement: Abacus.

Cells are taken from left to right; each tries the rows near it and goes where it and those it pushes move least. Within
a row, cells that touch form clusters at the place where their squared movement is least (P. Spindler, U. Schlichtmann,
F. M. Johannes, Abacus: fast legalization of standard cell circuits with minimal movement, ISPD 2008). Obstacles cut
rows into segments.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from flows.physical.placer.circuit import Circuit

__all__ = ["Segments", "legalise", "segments"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Segments = tuple[Ints, Ints, Ints]
"""First segment of each row (and after the last the number of segments); left and right end of each in sites."""


def segments(circuit: Circuit) -> Segments:
    """Stretches of rows that no obstacle touches.

    Parameters
    ----------
    circuit : Circuit
        Obstacles are its fixed cells with an area.

    Returns
    -------
    first : ndarray of int64, shape (rows + 1,)
    left, right : ndarray of int64, shape (segments,)
        In sites from the region's left edge.
    """
    sites = int((circuit.region[2] - circuit.region[0]) / circuit.site + 1e-6)
    free = [[(0, sites)] for _ in range(circuit.rows)]
    left, bottom = circuit.region[:2]
    x, y = circuit.x, circuit.y
    for cell in circuit.obstacles:
        low = max(0, int(np.floor((y[cell] - bottom) / circuit.row_height + 1e-6)))
        high = min(circuit.rows, int(np.ceil((y[cell] + circuit.height[cell] - bottom) / circuit.row_height - 1e-6)))
        start = int(np.floor((x[cell] - left) / circuit.site + 1e-6))
        end = int(np.ceil((x[cell] + circuit.width[cell] - left) / circuit.site - 1e-6))
        for row in range(low, high):
            free[row] = [
                part
                for a, b in free[row]
                for part in ((a, min(b, start)), (max(a, end), b))
                if part[1] > part[0]
            ]  # fmt: skip
    first = np.zeros(circuit.rows + 1, np.int64)
    np.cumsum([len(row) for row in free], out=first[1:])
    flat = [part for row in free for part in row]
    ends = np.array(flat, np.int64).reshape(len(flat), 2)
    return first, ends[:, 0].copy(), ends[:, 1].copy()


@njit(cache=True, nogil=True)
def _abacus(  # type: ignore[no-untyped-def]
    order, x, row_of, width, weight, first, left, right, vertical, used, last, where, total, pull, room, previous, head,
    tail, segment_of, following,
):  # fmt: skip
    """Places cells in `order`; clusters are numbered by their first cell. Returns how many found no room.

    `x` in sites, `row_of` in rows (both real), `vertical` sites per row.
    """
    rows = len(first) - 1
    lost = 0
    for cell in order:
        best, best_segment = np.inf, -1
        near = int(min(max(np.rint(row_of[cell]), 0), rows - 1))
        w, e = width[cell], weight[cell]
        # rows in growing distance: up and down by turns
        for way in range(2 * rows):
            row = near + (way + 1) // 2 if way % 2 else near - way // 2
            rise = (row - row_of[cell]) * vertical
            if way > 1 and (abs(way // 2) - 1) * vertical * (abs(way // 2) - 1) * vertical * e > best:
                break
            if row < 0 or row >= rows:
                continue
            if rise * rise * e >= best:
                continue
            for s in range(first[row], first[row + 1]):
                if used[s] + w > right[s] - left[s]:
                    continue
                wish = min(max(x[cell], left[s]), right[s] - w)
                # a segment that is too far to the side
                if (wish - x[cell]) ** 2 * e + rise * rise * e >= best:
                    continue
                # the cell as a cluster at the end of the row, joined with those that it pushes
                c = last[s]
                at, q, weights, wide = wish, e * x[cell], e, float(w)
                while c >= 0 and where[c] + room[c] > at:
                    # the cluster c before it: its cells keep their order
                    q = pull[c] + q - weights * room[c]
                    weights += total[c]
                    wide += room[c]
                    at = min(max(q / weights, left[s]), right[s] - wide)
                    c = previous[c]
                move = at + wide - w - x[cell]
                cost = (move * move + rise * rise) * e
                if cost < best:
                    best, best_segment = cost, s
        if best_segment < 0:
            lost += 1
            segment_of[cell] = -1
            continue
        s = best_segment
        segment_of[cell] = s
        used[s] += w
        following[cell] = -1
        # a new cluster of one cell
        wish = min(max(x[cell], left[s]), right[s] - w)
        where[cell], total[cell], pull[cell], room[cell] = wish, e, e * x[cell], float(w)
        previous[cell], head[cell], tail[cell] = last[s], cell, cell
        c = cell
        while previous[c] >= 0 and where[previous[c]] + room[previous[c]] > where[c]:
            p = previous[c]
            pull[p] += pull[c] - total[c] * room[p]
            total[p] += total[c]
            room[p] += room[c]
            following[tail[p]] = head[c]
            tail[p] = tail[c]
            where[p] = min(max(pull[p] / total[p], left[s]), right[s] - room[p])
            c = p
        last[s] = c
    return lost


@njit(cache=True, nogil=True)
def _settle(last, previous, head, following, where, room, width, left, right, site_of):  # type: ignore[no-untyped-def]
    """Whole sites: clusters from right to left, rounded, none over the one after it."""
    for s in range(len(last)):
        limit = right[s]
        c = last[s]
        # sites needed by all clusters to the left
        need = 0
        k = c
        while k >= 0:
            need += int(room[k])
            k = previous[k]
        while c >= 0:
            wide = int(room[c])
            need -= wide
            at = int(min(max(np.rint(where[c]), left[s] + need), limit - wide))
            limit = at
            cell = head[c]
            while cell >= 0:
                site_of[cell] = at
                at += width[cell]
                cell = following[cell]
            c = previous[c]


def legalise(circuit: Circuit, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Put every movable cell onto rows and sites, none onto another.

    Parameters
    ----------
    circuit : Circuit
    x, y : ndarray, shape (cells,)
        Lower left corners; cells may overlap.

    Returns
    -------
    x, y : ndarray, shape (cells,)
        Lower left corners, on rows and sites.

    Raises
    ------
    ValueError
        Cells that found no room.
    """
    movable = circuit.movable
    n = len(movable)
    first, left, right = segments(circuit)
    site, row = circuit.site, circuit.row_height
    width = np.ceil(circuit.width[movable] / site - 1e-6).astype(np.int64)
    if width.sum() > (right - left).sum():
        raise ValueError(f"cells take {width.sum()} sites, and there are {(right - left).sum()}")
    at_x = (x[movable] - circuit.region[0]) / site
    at_row = (y[movable] - circuit.region[1]) / row
    weight = np.sqrt(width.astype(float))
    site_of = np.zeros(n, np.int64)
    order = np.argsort(at_x + 0.5 * width, kind="stable").astype(np.int64)
    count = len(left)
    last = np.full(count, -1, np.int64)
    where, total, pull, room = (np.zeros(n) for _ in range(4))
    previous, head, tail, segment_of, following = (np.full(n, -1, np.int64) for _ in range(5))
    lost = _abacus(
        order, at_x, at_row, width, weight, first, left, right, row / site, np.zeros(count, np.int64), last, where,
        total, pull, room, previous, head, tail, segment_of, following,
    )  # fmt: skip
    if lost:
        raise ValueError(f"{lost} cells found no room in the rows: place at a lower utilisation")
    _settle(last, previous, head, following, where, room, width, left, right, site_of)
    row_of = np.searchsorted(first, segment_of, side="right") - 1
    x, y = x.copy(), y.copy()
    x[movable] = circuit.region[0] + site_of * site
    y[movable] = circuit.region[1] + row_of * row
    return x, y
