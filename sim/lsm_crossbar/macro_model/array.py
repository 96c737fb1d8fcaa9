"""The array as a circuit: currents of its columns with resistive lines and limited drivers.

Lines: row ``r`` is driven with its read voltage beside column 0; column ``c`` is held at 0 V below the last row, where
its current is read. A line that has a resistance has one segment between neighbouring cells, one between the driver and
the first cell of a row, and one between the last cell of a column and its read-out. Cells are linear conductances; in a
1T1R array a silent row's cells are cut off, so only driven rows take part in a read.

- `column_currents` is exact: Kirchhoff's current law at every node, one sparse linear system (the network of Joksas and
  Mehonic, "badcrossbar: A Python tool for computing and plotting currents and voltages in passive crossbar arrays",
  SoftwareX 12 (2020) 100617).
- `relaxed_column_currents` solves the same network line after line, a few sweeps instead of a system of 2*R*C unknowns.
- `ir_drop_factors` is what a draw uses: one factor per cell, averaged over which other rows are active.

All functions take conductances in uS, voltages in V, resistances in ohm (None: an ideal line), and return uA.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.linalg

FloatArray = npt.NDArray[np.float64]


def column_currents(
    conductances_us: npt.ArrayLike,
    voltages_v: npt.ArrayLike,
    source_line_ohm: float | None,
    bit_line_ohm: float | None,
) -> FloatArray:
    """Exact column currents by nodal analysis.

    Parameters
    ----------
    conductances_us : array_like of float, shape (rows, columns)
        Cells; silent rows are rows of zeros, so that the bit lines keep their length.
    voltages_v : array_like of float, shape (rows,)
    source_line_ohm, bit_line_ohm : float or None
        Resistance of a segment.

    Returns
    -------
    ndarray, shape (columns,)
        uA.
    """
    g, v = _checked(conductances_us, voltages_v)
    rows, columns = g.shape
    # rows without any conducting cell carry no current: their lines are no unknowns
    driven = np.flatnonzero((g > 0).any(axis=1))
    cells = len(driven) * columns
    index = np.arange(rows * columns).reshape(rows, columns)
    row_segment = None if source_line_ohm is None else 1e6 / source_line_ohm
    bit_segment = None if bit_line_ohm is None else 1e6 / bit_line_ohm
    # an ideal line is at a known potential: it has no unknowns
    row_node = index[: len(driven)] if row_segment is not None else None
    bit_node = None if bit_segment is None else index + (cells if row_segment is not None else 0)
    unknowns = (cells if row_segment is not None else 0) + (rows * columns if bit_segment is not None else 0)
    if unknowns == 0:
        ideal: FloatArray = v @ g
        return ideal
    g, v = g[driven], v[driven]
    first: list[npt.NDArray[np.int64]] = []
    second: list[npt.NDArray[np.int64]] = []
    value: list[FloatArray] = []
    current = np.zeros(unknowns)

    def between(a: npt.NDArray[np.int64], b: npt.NDArray[np.int64], siemens: FloatArray) -> None:
        for i, j, sign in ((a, a, 1), (b, b, 1), (a, b, -1), (b, a, -1)):
            first.append(i.ravel())
            second.append(j.ravel())
            value.append(sign * siemens.ravel())

    def to_potential(a: npt.NDArray[np.int64], siemens: FloatArray, potential: FloatArray) -> None:
        first.append(a.ravel())
        second.append(a.ravel())
        value.append(siemens.ravel())
        np.add.at(current, a.ravel(), (siemens * potential).ravel())

    drive = np.broadcast_to(v[:, None], g.shape)
    if row_node is not None and row_segment is not None:
        between(row_node[:, :-1], row_node[:, 1:], np.full((len(driven), columns - 1), row_segment))
        to_potential(row_node[:, 0], np.full(len(driven), row_segment), v)
    if bit_node is not None and bit_segment is not None:
        between(bit_node[:-1], bit_node[1:], np.full((rows - 1, columns), bit_segment))
        to_potential(bit_node[-1], np.full(columns, bit_segment), np.zeros(columns))
    if row_node is not None and bit_node is not None:
        between(row_node, bit_node[driven], g)
    elif row_node is not None:
        to_potential(row_node, g, np.zeros_like(g))
    elif bit_node is not None:
        to_potential(bit_node[driven], g, drive)
    matrix = scipy.sparse.csc_matrix(
        (np.concatenate(value), (np.concatenate(first), np.concatenate(second))), shape=(unknowns, unknowns)
    )
    potential = scipy.sparse.linalg.spsolve(matrix, current)
    high = drive if row_node is None else potential[row_node]
    low = np.zeros_like(g) if bit_node is None else potential[bit_node[driven]]
    result: FloatArray = (g * (high - low)).sum(axis=0)
    return result


def relaxed_column_currents(
    conductances_us: npt.ArrayLike,
    voltages_v: npt.ArrayLike,
    source_line_ohm: float | None,
    bit_line_ohm: float | None,
    sweeps: int = 8,
) -> FloatArray:
    """Column currents by line relaxation: all rows as ladders, then all columns as ladders, `sweeps` times.

    Block Gauss-Seidel on the system of `column_currents`, so it converges to it; each ladder is solved exactly.
    Parameters and result as there.
    """
    g, v = _checked(conductances_us, voltages_v)
    high = np.repeat(v[:, None], g.shape[1], axis=1)
    low = np.zeros_like(g)
    for _ in range(sweeps):
        if source_line_ohm is not None:
            high = _ladder(g.T, low.T, v, 1e6 / source_line_ohm).T
        if bit_line_ohm is not None:
            low = _ladder(g[::-1], high[::-1], np.zeros(g.shape[1]), 1e6 / bit_line_ohm)[::-1]
    result: FloatArray = (g * (high - low)).sum(axis=0)
    return result


def ir_drop_factors(
    conductances_us: npt.ArrayLike,
    active_rows: int,
    source_line_ohm: float | None,
    bit_line_ohm: float | None,
    sweeps: int = 4,
) -> FloatArray:
    """Current of each cell over its ideal current, when its row is active with ``active_rows - 1`` others.

    A row's line carries the current of its own cells, whatever the other rows do. A column's line carries those of the
    other active rows too; each is active with probability ``(active_rows - 1) / (rows - 1)``, so their mean current is
    taken. The factor depends on the draw, not on the input, and can be stored in the conductance codes.

    Parameters
    ----------
    conductances_us : array_like of float, shape (rows, columns)
    active_rows : int
        Rows of a read.
    source_line_ohm, bit_line_ohm : float or None
        Resistance of a segment.
    sweeps : int
        Sweeps of the relaxation.

    Returns
    -------
    ndarray, shape (rows, columns)
        Above 0, at most 1.

    Raises
    ------
    ValueError
        If `active_rows` is not between 1 and the number of rows.
    """
    g, _ = _checked(conductances_us, np.ones(len(np.asarray(conductances_us))))
    rows, columns = g.shape
    if not 1 <= active_rows <= rows:
        raise ValueError(f"active rows of a read: expected 1 to {rows}, got {active_rows}")
    others = (active_rows - 1) / (rows - 1) if rows > 1 else 0.0
    high, low = np.ones_like(g), np.zeros_like(g)
    for _ in range(sweeps):
        if source_line_ohm is not None:
            high = _ladder(g.T, low.T, np.ones(rows), 1e6 / source_line_ohm).T
        if bit_line_ohm is not None:
            # the cell's own current sees the whole way down; the mean of the others' is a ladder with thinned currents
            own = (1 - others) * g * 1e-6 * bit_line_ohm * np.arange(rows, 0, -1)[:, None]
            background = _ladder((others * g / (1 + own))[::-1], high[::-1], np.zeros(columns), 1e6 / bit_line_ohm)[
                ::-1
            ]
            low = (background + own * high) / (1 + own)
    return high - low


def limited(currents_ua: npt.ArrayLike, limit_ua: float | None) -> FloatArray:
    """Column currents cut at what the column's driver can deliver; None: no limit."""
    currents = np.asarray(currents_ua, np.float64)
    return currents if limit_ua is None else np.minimum(currents, limit_ua)


def _ladder(g: FloatArray, across: FloatArray, end: FloatArray, segment: float) -> FloatArray:
    """Node potentials of lines whose nodes 0, 1, ... hang on conductances `g` to potentials `across`.

    Shapes (nodes, lines); node 0 is one segment away from the potential `end`, shape (lines,). Thomas' algorithm on the
    tridiagonal system, over all lines at once.
    """
    nodes = len(g)
    diagonal = g + 2 * segment
    diagonal[-1] -= segment
    right = g * across
    right[0] += segment * end
    upper = np.empty_like(g)
    for i in range(nodes):
        pivot = diagonal[i] - (segment * upper[i - 1] if i else 0.0)
        upper[i] = segment / pivot
        right[i] = (right[i] + (segment * right[i - 1] if i else 0.0)) / pivot
    for i in range(nodes - 2, -1, -1):
        right[i] += upper[i] * right[i + 1]
    return right


def _checked(conductances_us: npt.ArrayLike, voltages_v: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    g, v = np.asarray(conductances_us, np.float64), np.asarray(voltages_v, np.float64)
    if g.ndim != 2 or v.shape != g.shape[:1]:
        raise ValueError(f"expected conductances (rows, columns) and one voltage per row, got {g.shape} and {v.shape}")
    if (g < 0).any() or not np.isfinite(g).all():
        index = tuple(int(i) for i in np.argwhere(~(np.isfinite(g) & (g >= 0)))[0])
        raise ValueError(f"conductances: expected finite numbers of at least 0, got {g[index]} at index {index}")
    return g, v
