"""Shorter wires at legal positions: swaps towards where a cell's nets want it, reordering, best positions in a row.

A cell's best place is the median of the boxes of its nets without it; it goes into a gap there or changes places with a
cell there (M. Pan, N. Viswanathan, C. Chu, An efficient and effective detailed placement algorithm, ICCAD 2005). Runs
of cells in a row are tried in every order. With the order of a row kept, the cells go where the sum of half-perimeters
is least, by clusters at the median of their bounds (A. B. Kahng, P. Tucker, A. Zelikovsky, Optimization of linear
placements for wirelength minimization with free sites, ASP-DAC 1999). Every change is taken only if half-perimeters get
shorter, cell orientation included; the placement is legal after each.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import numpy.typing as npt
from numba import njit

from flows.physical.placer.circuit import Circuit
from flows.physical.placer.legalise import segments

__all__ = ["improve"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_REACH = 2
"""Cells to either side, and rows up and down, that a swap looks at around the best place."""
_BIN_SITES = 8
"""Sites of the bins by which the cell at a place is found."""

# Positions are whole sites and rows; half-perimeters are in sites. The state is three tuples of arrays:
# `wires`: pins of nets and cells, offsets of pins (by the parity of the row in y), sites a row, places of pins, boxes;
# `lines`: ends of the segments of rows, places of cells, and the cells of each segment, linked in order;
# `scratch`: marks of the nets and pins that a move touches, and where it takes the pins.


@njit(cache=True, nogil=True)
def _box(net, net_start, px, py, box):  # type: ignore[no-untyped-def]
    """Box of a net's pins."""
    left, right, low, high = np.inf, -np.inf, np.inf, -np.inf
    for pin in range(net_start[net], net_start[net + 1]):
        left, right = min(left, px[pin]), max(right, px[pin])
        low, high = min(low, py[pin]), max(high, py[pin])
    box[net, 0], box[net, 1], box[net, 2], box[net, 3] = left, right, low, high


@njit(cache=True, nogil=True)
def _boxes(net_start, px, py, box):  # type: ignore[no-untyped-def]
    total = 0.0
    for net in range(len(net_start) - 1):
        _box(net, net_start, px, py, box)
        if net_start[net + 1] - net_start[net] > 1:
            total += box[net, 1] - box[net, 0] + box[net, 3] - box[net, 2]
    return total


@njit(cache=True, nogil=True)
def _move_pins(cell, x, row, wires):  # type: ignore[no-untyped-def]
    """Write the pins of a cell that stands at `x` in `row`."""
    _, _, _, cell_start, cell_pins, offset_x, offset_y, vertical, px, py, _ = wires
    odd = row & 1
    for k in range(cell_start[cell], cell_start[cell + 1]):
        pin = cell_pins[k]
        px[pin] = x + offset_x[pin]
        py[pin] = row * vertical + offset_y[odd, pin]


@njit(cache=True, nogil=True)
def _gain(count, cells, xs, rows, mark, wires, scratch):  # type: ignore[no-untyped-def]
    """How much shorter all nets get when `count` cells go to `xs`, `rows`; nothing is changed.

    `stamp` and `pin_stamp` mark nets and pins with the number `mark`, new for every call.
    """
    net_start, _pin_node, pin_net, cell_start, cell_pins, offset_x, offset_y, vertical, px, py, box = wires
    stamp, moved_px, moved_py, pin_stamp = scratch
    for i in range(count):
        cell, odd = cells[i], rows[i] & 1
        for k in range(cell_start[cell], cell_start[cell + 1]):
            pin = cell_pins[k]
            moved_px[pin] = xs[i] + offset_x[pin]
            moved_py[pin] = rows[i] * vertical + offset_y[odd, pin]
            pin_stamp[pin] = mark
    gain = 0.0
    for i in range(count):
        cell = cells[i]
        for k in range(cell_start[cell], cell_start[cell + 1]):
            net = pin_net[cell_pins[k]]
            if stamp[net] == mark:
                continue
            stamp[net] = mark
            first, end = net_start[net], net_start[net + 1]
            if end - first < 2:
                continue
            left, right, low, high = box[net, 0], box[net, 1], box[net, 2], box[net, 3]
            whole = end - first <= 6
            if not whole:
                # only pins that leave an edge of the box make it necessary to look at all others
                new_left, new_right, new_low, new_high = left, right, low, high
                for j in range(count):
                    other = cells[j]
                    for m in range(cell_start[other], cell_start[other + 1]):
                        pin = cell_pins[m]
                        if pin_net[pin] != net:
                            continue
                        ax, ay, bx, by = px[pin], py[pin], moved_px[pin], moved_py[pin]
                        if (
                            (ax <= left and bx > left) or (ax >= right and bx < right)
                            or (ay <= low and by > low) or (ay >= high and by < high)
                        ):  # fmt: skip
                            whole = True
                        new_left, new_right = min(new_left, bx), max(new_right, bx)
                        new_low, new_high = min(new_low, by), max(new_high, by)
            if whole:
                new_left, new_right, new_low, new_high = np.inf, -np.inf, np.inf, -np.inf
                for pin in range(first, end):
                    if pin_stamp[pin] == mark:
                        bx, by = moved_px[pin], moved_py[pin]
                    else:
                        bx, by = px[pin], py[pin]
                    new_left, new_right = min(new_left, bx), max(new_right, bx)
                    new_low, new_high = min(new_low, by), max(new_high, by)
            gain += (right - left + high - low) - (new_right - new_left + new_high - new_low)
    return gain


@njit(cache=True, nogil=True)
def _commit(count, cells, xs, rows, x, row_of, wires):  # type: ignore[no-untyped-def]
    """Do it: positions, pins, boxes."""
    net_start, _pin_node, pin_net, cell_start, cell_pins, _offset_x, _offset_y, _vertical, px, py, box = wires
    for i in range(count):
        x[cells[i]], row_of[cells[i]] = xs[i], rows[i]
        _move_pins(cells[i], xs[i], rows[i], wires)
    for i in range(count):
        cell = cells[i]
        for k in range(cell_start[cell], cell_start[cell + 1]):
            _box(pin_net[cell_pins[k]], net_start, px, py, box)


@njit(cache=True, nogil=True)
def _median(values, count):  # type: ignore[no-untyped-def]
    """Middle interval of an even number of values, sorted in place."""
    for i in range(1, count):
        v = values[i]
        j = i - 1
        while j >= 0 and values[j] > v:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = v
    return values[count // 2 - 1], values[count // 2]


@njit(cache=True, nogil=True)
def _target(cell, wires, xs, ys):  # type: ignore[no-untyped-def]
    """Where the nets of a cell want it: intervals of its corner in x and of its pins in y."""
    net_start, pin_node, pin_net, cell_start, cell_pins, _offset_x, _offset_y, _vertical, px, py, box = wires
    count = 0
    for k in range(cell_start[cell], cell_start[cell + 1]):
        if count + 2 > len(xs):
            break
        pin = cell_pins[k]
        net = pin_net[pin]
        first, end = net_start[net], net_start[net + 1]
        if end - first < 2:
            continue
        left, right, low, high = box[net, 0], box[net, 1], box[net, 2], box[net, 3]
        ax, ay = px[pin], py[pin]
        if ax <= left or ax >= right or ay <= low or ay >= high:
            left, right, low, high = np.inf, -np.inf, np.inf, -np.inf
            for other in range(first, end):
                if pin_node[other] != cell:
                    left, right = min(left, px[other]), max(right, px[other])
                    low, high = min(low, py[other]), max(high, py[other])
            if right < left:
                continue
        xs[count], xs[count + 1], ys[count], ys[count + 1] = left, right, low, high
        count += 2
    return count


@njit(cache=True, nogil=True)
def _swaps(cells, reach, first, bins, bin_sites, lines, wires, scratch, mark):  # type: ignore[no-untyped-def]
    """One round over `cells`: into a gap or against a cell near its best place. Returns gain and the next mark."""
    vertical = wires[7]
    left, right, x, row_of, segment_of, width, before, after, head, tail = lines
    rows = len(first) - 1
    xs_want, ys_want = np.empty(64), np.empty(64)
    who, at, where = np.empty(2, np.int64), np.empty(2, np.int64), np.empty(2, np.int64)
    best_who, best_at, best_where = np.empty(2, np.int64), np.empty(2, np.int64), np.empty(2, np.int64)
    total = 0.0
    for cell in cells:
        if width[cell] <= 0:
            continue
        count = _target(cell, wires, xs_want, ys_want)
        if count == 0:
            continue
        w = width[cell]
        x_0, x_1 = _median(xs_want, count)
        y_0, y_1 = _median(ys_want, count)
        own = segment_of[cell]
        # pins are spread over the cell: its middle goes to the middle of what is wanted
        here_x, here_y = x[cell] + 0.5 * w, (row_of[cell] + 0.5) * vertical
        goal_x, goal_y = min(max(here_x, x_0), x_1), min(max(here_y, y_0), y_1)
        if abs(goal_x - here_x) < 1.0 and abs(goal_y - here_y) < 0.5 * vertical:
            continue
        goal_row = int(min(max(goal_y / vertical, 0.0), rows - 1.0))
        best, best_kind, best_next, best_segment = 1e-6, 0, -1, -1
        for way in range(2 * reach + 1):
            row = goal_row + (way + 1) // 2 if way % 2 else goal_row - way // 2
            if row < 0 or row >= rows:
                continue
            for s in range(first[row], first[row + 1]):
                if goal_x + 40 * reach < left[s] or goal_x - 40 * reach > right[s]:
                    continue
                # the cell nearest to the goal, by the bins of the row
                spot = int(min(max(goal_x, left[s]), right[s] - 1))
                b = spot // bin_sites
                other = bins[row, b]
                back = b
                while other < 0 and back > 0:
                    back -= 1
                    other = bins[row, back]
                if other >= 0 and segment_of[other] != s:
                    other = -1
                if other < 0:
                    other = head[s]
                while other >= 0 and after[other] >= 0 and x[after[other]] <= spot:
                    other = after[other]
                while other >= 0 and before[other] >= 0 and x[other] > spot:
                    other = before[other]
                # some cells to either side
                for _ in range(reach):
                    if other >= 0 and before[other] >= 0:
                        other = before[other]
                for _ in range(2 * reach + 3):
                    for kind in (1, 2):
                        if kind == 1:
                            # the gap before `other` (-1: after the last cell), `cell` itself taken out
                            following = other
                            p, n = (before[other] if other >= 0 else tail[s]), other
                            if n == cell:
                                following = n = after[cell]
                            if p == cell:
                                p = before[cell]
                            low = left[s] if p < 0 else x[p] + width[p]
                            high = right[s] if n < 0 else x[n]
                            if high - low < w:
                                continue
                            at[0] = int(np.rint(min(max(goal_x - 0.5 * w, low), high - w)))
                            if at[0] == x[cell] and row == row_of[cell]:
                                continue
                        else:
                            # changing places
                            following = other
                            if other < 0 or other == cell or before[other] == cell or after[other] == cell:
                                continue
                            v = width[other]
                            p, n, q, m = before[other], after[other], before[cell], after[cell]
                            low = left[s] if p < 0 else x[p] + width[p]
                            high = right[s] if n < 0 else x[n]
                            low_c = left[own] if q < 0 else x[q] + width[q]
                            high_c = right[own] if m < 0 else x[m]
                            if high - low < w or high_c - low_c < v:
                                continue
                            at[0] = int(np.rint(min(max(x[other] + 0.5 * (v - w), low), high - w)))
                            at[1] = int(np.rint(min(max(x[cell] + 0.5 * (w - v), low_c), high_c - v)))
                            who[1], where[1] = other, row_of[cell]
                        who[0], where[0] = cell, row
                        mark += 1
                        gain = _gain(kind, who, at, where, mark, wires, scratch)
                        if gain > best:
                            best, best_kind, best_next, best_segment = gain, kind, following, s
                            best_who[:], best_at[:], best_where[:] = who, at, where
                    if other < 0:
                        break
                    other = after[other]
        if best_kind == 0:
            continue
        total += best
        for i in range(best_kind):
            if bins[row_of[best_who[i]], x[best_who[i]] // bin_sites] == best_who[i]:
                bins[row_of[best_who[i]], x[best_who[i]] // bin_sites] = -1
        if best_kind == 1:
            # out of its list, into the other before `best_next`
            p, n = before[cell], after[cell]
            if p >= 0:
                after[p] = n
            else:
                head[own] = n
            if n >= 0:
                before[n] = p
            else:
                tail[own] = p
            s, n = best_segment, best_next
            p = tail[s] if n < 0 else before[n]
            before[cell], after[cell] = p, n
            if p >= 0:
                after[p] = cell
            else:
                head[s] = cell
            if n >= 0:
                before[n] = cell
            else:
                tail[s] = cell
            segment_of[cell] = s
        else:
            other, s = best_next, best_segment
            p, n, q, m = before[cell], after[cell], before[other], after[other]
            before[other], after[other], before[cell], after[cell] = p, n, q, m
            if p >= 0:
                after[p] = other
            else:
                head[own] = other
            if n >= 0:
                before[n] = other
            else:
                tail[own] = other
            if q >= 0:
                after[q] = cell
            else:
                head[s] = cell
            if m >= 0:
                before[m] = cell
            else:
                tail[s] = cell
            segment_of[cell], segment_of[other] = s, own
        _commit(best_kind, best_who, best_at, best_where, x, row_of, wires)
        for i in range(best_kind):
            bins[row_of[best_who[i]], x[best_who[i]] // bin_sites] = best_who[i]
    return total, mark


@njit(cache=True, nogil=True)
def _reorder(orders, lines, wires, scratch, mark):  # type: ignore[no-untyped-def]
    """Every order of neighbouring cells, along all rows. Returns gain and the next mark."""
    left, right, x, row_of, _segment_of, width, before, after, head, tail = lines
    size = orders.shape[1]
    run = np.empty(size, np.int64)
    at, where, who = np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)
    best_at = np.empty(size, np.int64)
    total = 0.0
    for s in range(len(head)):
        start = head[s]
        while start >= 0:
            count = 0
            cell = start
            while cell >= 0 and count < size:
                run[count] = cell
                count += 1
                cell = after[cell]
            if count < size:
                break
            behind = cell
            p = before[start]
            low = left[s] if p < 0 else x[p] + width[p]
            high = right[s] if behind < 0 else x[behind]
            wide = 0
            for i in range(size):
                wide += width[run[i]]
            slack = high - low - wide
            best, best_order = 1e-6, -1
            for order in range(len(orders)):
                # packed to the left, to the right, or gaps as they were
                for kind in range(3 if slack > 0 else 1):
                    if order == 0 and kind == 2:
                        continue
                    spot = low + slack if kind == 1 else low
                    for i in range(size):
                        cell = run[orders[order, i]]
                        if kind == 2:
                            q = run[i - 1] if i > 0 else p
                            end = left[s] if q < 0 else x[q] + width[q]
                            spot += x[run[i]] - end
                        who[i], at[i], where[i] = cell, spot, row_of[cell]
                        spot += width[cell]
                    mark += 1
                    gain = _gain(size, who, at, where, mark, wires, scratch)
                    if gain > best:
                        best, best_order = gain, order
                        best_at[:] = at
            if best_order >= 0:
                total += best
                for i in range(size):
                    who[i], where[i] = run[orders[best_order, i]], row_of[run[i]]
                _commit(size, who, best_at, where, x, row_of, wires)
                for i in range(size):
                    before[who[i]] = p if i == 0 else who[i - 1]
                    after[who[i]] = behind if i == size - 1 else who[i + 1]
                if p >= 0:
                    after[p] = who[0]
                else:
                    head[s] = who[0]
                if behind >= 0:
                    before[behind] = who[size - 1]
                else:
                    tail[s] = who[size - 1]
                start = who[0]
            start = after[start]
    return total, mark


@njit(cache=True, nogil=True)
def _shift(lines, wires):  # type: ignore[no-untyped-def]
    """Best positions of each row with its order kept; what stands in the same row counts as it is. Returns the gain."""
    net_start, pin_node, pin_net, cell_start, cell_pins, offset_x, _offset_y, _vertical, px, py, box = wires
    left, right, x, row_of, _segment_of, width, _before, after, head, _tail = lines
    total = 0.0
    start = np.empty(len(x) + 1, np.int64)
    end = np.empty(len(x) + 1, np.int64)
    members = np.empty(len(x), np.int64)
    old = np.empty(len(x), np.int64)
    bounds = np.empty(2 * len(pin_net) + 2)
    spare = np.empty(2 * len(pin_net) + 2)
    wide = np.empty(len(x) + 1, np.int64)
    first_cell = np.empty(len(x) + 1, np.int64)
    place = np.empty(len(x) + 1, np.int64)
    for s in range(len(head)):
        count = 0
        cell = head[s]
        while cell >= 0:
            members[count] = cell
            old[count] = x[cell]
            count += 1
            cell = after[cell]
        if count == 0:
            continue
        clusters, top = 0, 0
        for i in range(count):
            cell = members[i]
            # bounds of the cell's corner: ends of each net without it
            base = top
            for k in range(cell_start[cell], cell_start[cell + 1]):
                pin = cell_pins[k]
                net = pin_net[pin]
                a, b = net_start[net], net_start[net + 1]
                if b - a < 2:
                    continue
                lo, hi = box[net, 0], box[net, 1]
                if px[pin] <= lo or px[pin] >= hi:
                    lo, hi = np.inf, -np.inf
                    for other in range(a, b):
                        if pin_node[other] != cell:
                            lo, hi = min(lo, px[other]), max(hi, px[other])
                    if hi < lo:
                        continue
                for v in (lo - offset_x[pin], hi - offset_x[pin]):
                    j = top - 1
                    while j >= base and bounds[j] > v:
                        bounds[j + 1] = bounds[j]
                        j -= 1
                    bounds[j + 1] = v
                    top += 1
            c = clusters
            start[c], end[c], wide[c], first_cell[c] = base, top, width[cell], i
            clusters += 1
            while True:
                n = end[c] - start[c]
                if n == 0:
                    want_0, want_1 = -np.inf, np.inf
                else:
                    want_0, want_1 = bounds[start[c] + n // 2 - 1], bounds[start[c] + n // 2]
                now = float(old[first_cell[c]])
                at = np.rint(min(max(now, want_0), want_1))
                at = min(max(at, float(left[s])), float(right[s] - wide[c]))
                place[c] = int(at)
                if c == 0 or place[c - 1] + wide[c - 1] <= place[c]:
                    break
                # join with the cluster before: its bounds and these, less its width
                p = c - 1
                i_0, i_1, j_0, j_1 = start[p], end[p], start[c], end[c]
                m = 0
                shift = float(wide[p])
                while i_0 < i_1 or j_0 < j_1:
                    if j_0 >= j_1 or (i_0 < i_1 and bounds[i_0] <= bounds[j_0] - shift):
                        spare[m] = bounds[i_0]
                        i_0 += 1
                    else:
                        spare[m] = bounds[j_0] - shift
                        j_0 += 1
                    m += 1
                for t in range(m):
                    bounds[start[p] + t] = spare[t]
                end[p] = start[p] + m
                top = end[p]
                wide[p] += wide[c]
                clusters -= 1
                c = p
        # the row's own nets before and after
        gain = 0.0
        changed = False
        for c in range(clusters):
            at = place[c]
            stop = first_cell[c + 1] if c + 1 < clusters else count
            for i in range(first_cell[c], stop):
                cell = members[i]
                if at != x[cell]:
                    changed = True
                x[cell] = at
                at += width[cell]
        if not changed:
            continue
        for i in range(count):
            cell = members[i]
            _move_pins(cell, x[cell], row_of[cell], wires)
        # nets seen once: those whose box is not yet what the pins say
        for i in range(count):
            cell = members[i]
            if x[cell] == old[i]:
                continue
            for k in range(cell_start[cell], cell_start[cell + 1]):
                net = pin_net[cell_pins[k]]
                if net_start[net + 1] - net_start[net] < 2:
                    continue
                length = box[net, 1] - box[net, 0]
                _box(net, net_start, px, py, box)
                gain += length - (box[net, 1] - box[net, 0])
        if gain < -1e-9:
            for i in range(count):
                x[members[i]] = old[i]
            for i in range(count):
                cell = members[i]
                _move_pins(cell, x[cell], row_of[cell], wires)
            for i in range(count):
                cell = members[i]
                for k in range(cell_start[cell], cell_start[cell + 1]):
                    _box(pin_net[cell_pins[k]], net_start, px, py, box)
        else:
            total += gain
    return total


@njit(cache=True, nogil=True)
def _fill_bins(x, row_of, cells, bin_sites, bins):  # type: ignore[no-untyped-def]
    bins[:] = -1
    for cell in cells:
        bins[row_of[cell], x[cell] // bin_sites] = cell


def improve(
    circuit: Circuit,
    x: Floats,
    y: Floats,
    *,
    rounds: int = 4,
    seed: int = 0,
    check: Callable[[], None] = lambda: None,
) -> tuple[Floats, Floats]:
    """Shorten wires of a legal placement.

    Parameters
    ----------
    circuit : Circuit
    x, y : ndarray, shape (cells,)
        Lower left corners on rows and sites, as `legalise` leaves them.
    rounds : int
        Most rounds; it ends sooner when a round gains less than 0.1 %.
    seed : int
        Of the order in which cells are looked at.
    check : callable
        Called between passes; what it raises ends the run.

    Returns
    -------
    x, y : ndarray, shape (cells,)
    """
    site, row_height = circuit.site, circuit.row_height
    left_edge, bottom = circuit.region[:2]
    vertical = row_height / site
    first, left, right = segments(circuit)
    movable = circuit.movable
    cells = len(circuit.width)
    width = np.zeros(cells, np.int64)
    width[movable] = np.ceil(circuit.width[movable] / site - 1e-6).astype(np.int64)
    at, row_of = np.zeros(cells, np.int64), np.zeros(cells, np.int64)
    at[movable] = np.rint((x[movable] - left_edge) / site).astype(np.int64)
    row_of[movable] = np.rint((y[movable] - bottom) / row_height).astype(np.int64)
    offset_x = circuit.pin_x / site
    owner_height = circuit.height[circuit.pin_cell]
    offset_y = np.stack([circuit.pin_y / site, (owner_height - circuit.pin_y) / site])
    px = offset_x + np.where(circuit.fixed, (x - left_edge) / site, at)[circuit.pin_cell]
    odd = (row_of & 1)[circuit.pin_cell]
    py = (
        offset_y[odd, np.arange(len(odd))]
        + np.where(circuit.fixed, (y - bottom) / site, row_of * vertical)[circuit.pin_cell]
    )
    # cells of each segment, in order
    order = movable[np.lexsort((at[movable], row_of[movable]))]
    segment_of = np.full(cells, -1, np.int64)
    count = len(left)
    keys = _segment_keys(first, left)
    stride = int(right.max() + 2) if count else 1
    segment_of[order] = (
        np.searchsorted(keys[0] * stride + keys[1], row_of[order] * stride + at[order], side="right") - 1
    )
    before, after = np.full(cells, -1, np.int64), np.full(cells, -1, np.int64)
    head, tail = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    same = segment_of[order][1:] == segment_of[order][:-1]
    after[order[:-1][same]] = order[1:][same]
    before[order[1:][same]] = order[:-1][same]
    starts = np.concatenate([[True], ~same]) if len(order) else np.zeros(0, bool)
    ends = np.concatenate([~same, [True]]) if len(order) else np.zeros(0, bool)
    head[segment_of[order[starts]]] = order[starts]
    tail[segment_of[order[ends]]] = order[ends]
    bins = np.full((circuit.rows, int(right.max()) // _BIN_SITES + 1 if count else 1), -1, np.int64)
    box = np.zeros((circuit.nets, 4))
    net_start, pin_node, pin_net = circuit.net_start, circuit.pin_cell, circuit.pin_net
    cell_start, cell_pins = circuit.cell_pins
    stamp, pin_stamp = np.zeros(circuit.nets, np.int64), np.zeros(len(px), np.int64)
    moved_px, moved_py = np.zeros(len(px)), np.zeros(len(px))
    total = _boxes(net_start, px, py, box)
    mark = 1
    wires = (net_start, pin_node, pin_net, cell_start, cell_pins, offset_x, offset_y, vertical, px, py, box)
    scratch = (stamp, moved_px, moved_py, pin_stamp)
    lines = (left, right, at, row_of, segment_of, width, before, after, head, tail)
    orders = np.array(list(permutations(range(3))), np.int64)
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        check()
        _fill_bins(at, row_of, movable, _BIN_SITES, bins)
        gain, mark = _swaps(rng.permutation(order), _REACH, first, bins, _BIN_SITES, lines, wires, scratch, mark)
        gains = [gain, _shift(lines, wires)]
        check()
        gain, mark = _reorder(orders, lines, wires, scratch, mark)
        gains += [gain, _shift(lines, wires)]
        total -= sum(gains)
        if sum(gains) < 1e-3 * total:
            break
    x, y = x.copy(), y.copy()
    x[movable] = left_edge + at[movable] * site
    y[movable] = bottom + row_of[movable] * row_height
    return x, y


def _segment_keys(first: Ints, left: Ints) -> tuple[Ints, Ints]:
    """Row and left end of each segment."""
    return np.repeat(np.arange(len(first) - 1, dtype=np.int64), np.diff(first)), left
