"""The placer: legality looked at cell by cell, optima by trying everything, bounds, refusals."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.common.errors import ToolTimeout
from flows.physical.placer import placer
from flows.physical.placer.circuit import Circuit, half_perimeters
from flows.physical.placer.detailed import improve
from flows.physical.placer.legalise import legalise
from flows.physical.placer.placer import Routing, place
from flows.physical.placer.spreading import routing_use

ROW, SITE = 10.0, 2.0
Problem = dict[str, Any]


def problem(
    *, cells: int, rows: int, sites: int, nets: list[list[int]], widths: list[int] | None = None,
    ports: list[tuple[float, float]] = (), obstacles: list[tuple[float, float, float, float]] = (), corner: float = 0.0,
) -> Problem:  # fmt: skip
    """Cells, then ports, then obstacles (x, y, width, height); pins in the middle of cells, a bit above it."""
    wide = np.array((widths or [3] * cells), float) * SITE
    at = np.array([*ports], float).reshape(len(ports), 2)
    solid = np.array([*obstacles], float).reshape(len(obstacles), 4)
    width = np.concatenate([wide, np.zeros(len(ports)), solid[:, 2]])
    height = np.concatenate([np.full(cells, ROW), np.zeros(len(ports)), solid[:, 3]])
    members = np.array([cell for net in nets for cell in net], int)
    return {
        "width": width, "height": height, "fixed": np.arange(len(width)) >= cells,
        "x": np.concatenate([np.zeros(cells), at[:, 0], solid[:, 0]]) + corner,
        "y": np.concatenate([np.zeros(cells), at[:, 1], solid[:, 1]]) + corner,
        "net_start": np.cumsum([0, *map(len, nets)]), "pin_cell": members,
        "pin_x": width[members] / 2, "pin_y": 0.6 * height[members],
        "region": (corner, corner, corner + sites * SITE, corner + rows * ROW), "row_height": ROW, "site": SITE,
    }  # fmt: skip


def mesh(side: int, *, utilisation: float = 0.7, **other: Any) -> Problem:
    """Cells that each know their right and upper neighbour, numbered at random; ports at two corners."""
    count = side * side
    number = np.random.default_rng(3).permutation(count).reshape(side, side)
    nets = [[int(a), int(b)] for line in (*number, *number.T) for a, b in pairwise(line)]
    area = 3 * SITE * ROW * count / utilisation
    rows = max(1, round(np.sqrt(area) / ROW))
    sites = int(np.ceil(area / (rows * ROW) / SITE))
    nets += [[int(number[0, 0]), count], [int(number[-1, -1]), count + 1]]
    ports = [(0.0, 0.0), (sites * SITE, rows * ROW)]
    return problem(cells=count, rows=rows, sites=sites, nets=nets, ports=ports, **other)


def circuit(given: Problem) -> Circuit:
    return Circuit(**{k: np.asarray(v) if isinstance(v, np.ndarray) else v for k, v in given.items()})


def check_legal(given: Problem, x: np.ndarray, y: np.ndarray) -> None:
    """Rows, sites, borders, overlaps with cells and obstacles, one by one."""
    left, bottom, right, top = given["region"]
    boxes = []
    for cell in np.flatnonzero(~given["fixed"]):
        column, row = (x[cell] - left) / SITE, (y[cell] - bottom) / ROW
        assert abs(column - round(column)) < 1e-6
        assert abs(row - round(row)) < 1e-6
        assert left - 1e-6 <= x[cell]
        assert x[cell] + given["width"][cell] <= right + 1e-6
        assert bottom - 1e-6 <= y[cell] <= top - ROW + 1e-6
        boxes.append((x[cell], y[cell], x[cell] + given["width"][cell], y[cell] + ROW))
    for cell in np.flatnonzero(given["fixed"]):
        assert x[cell] == given["x"][cell]
        assert y[cell] == given["y"][cell]
        if given["width"][cell] > 0:
            boxes.append((x[cell], y[cell], x[cell] + given["width"][cell], y[cell] + given["height"][cell]))
    for k, (x_0, y_0, x_1, y_1) in enumerate(boxes):
        for u_0, v_0, u_1, v_1 in boxes[:k]:
            assert min(x_1, u_1) <= max(x_0, u_0) + 1e-6 or min(y_1, v_1) <= max(y_0, v_0) + 1e-6


def length(given: Problem, x: np.ndarray, y: np.ndarray) -> float:
    """Sum of half-perimeters, by a plain loop; every second row stands on its head."""
    total = 0.0
    for first, last in pairwise(given["net_start"]):
        xs, ys = [], []
        for pin in range(first, last):
            cell = given["pin_cell"][pin]
            dy = given["pin_y"][pin]
            row = round((y[cell] - given["region"][1]) / ROW)
            if not given["fixed"][cell] and row % 2:
                dy = given["height"][cell] - dy
            xs.append(x[cell] + given["pin_x"][pin])
            ys.append(y[cell] + dy)
        if len(xs) > 1:
            total += max(xs) - min(xs) + max(ys) - min(ys)
    return total


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Any small circuit that fits: cells of mixed widths, nets of one to six pins, ports, an obstacle or none."""
    rows, sites = draw(st.integers(2, 6)), draw(st.integers(24, 40))
    obstacles = [(10.0, 10.0, 16.0, 10.0)] if draw(st.booleans()) else []
    free = rows * sites - (8 if obstacles else 0)
    widths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=int(0.6 * free / 4)))
    everyone = len(widths) + 2
    nets = draw(st.lists(st.lists(st.integers(0, everyone - 1), min_size=1, max_size=6), max_size=30))
    return problem(
        cells=len(widths), rows=rows, sites=sites, nets=nets, widths=widths, obstacles=obstacles,
        ports=[(0.0, 0.0), (sites * SITE, rows * ROW)], corner=draw(st.sampled_from([0.0, -14.0])),
    )  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(given_problem=problems(), density=st.sampled_from([0.7, 1.0]))
def test_any_circuit_is_placed_legally(given_problem: Problem, density: float) -> None:
    found = place(**given_problem, density=density)
    check_legal(given_problem, found.x, found.y)
    c = circuit(given_problem)
    assert half_perimeters(c, found.x, found.y).sum() == pytest.approx(length(given_problem, found.x, found.y))
    rows = np.rint((found.y - given_problem["region"][1]) / ROW)
    np.testing.assert_array_equal(found.mirrored, ~given_problem["fixed"] & (rows % 2 == 1))


@pytest.fixture(scope="module")
def placed() -> tuple[Problem, placer.Placed]:
    given = mesh(22)
    return given, place(**given)


def test_same_seed_same_place_on_any_number_of_threads(
    placed: tuple[Problem, placer.Placed], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, found = placed
    again = place(**given)
    monkeypatch.setattr(placer, "ThreadPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    alone = place(**given)
    for other in (again, alone):
        np.testing.assert_array_equal(other.x, found.x)
        np.testing.assert_array_equal(other.y, found.y)
    changed = place(**given, seed=1)
    assert np.any(changed.x != found.x)
    check_legal(given, changed.x, changed.y)


def test_wires_are_between_a_bound_and_chance(placed: tuple[Problem, placer.Placed]) -> None:
    given, found = placed
    check_legal(given, found.x, found.y)
    got = length(given, found.x, found.y)
    rng = np.random.default_rng(0)
    left, _, right, top = given["region"]
    free = ~given["fixed"]
    x = np.where(free, rng.uniform(left, right - 3 * SITE, len(free)), given["x"])
    y = np.where(free, rng.uniform(0, top - ROW, len(free)), given["y"])
    x, y = legalise(circuit(given), x, y)
    check_legal(given, x, y)
    # a mesh of side 22 at random: 7 cells of distance a wire, laid out flat: 1
    assert got < 0.25 * length(given, x, y)
    # middles of two cells are a cell's width or nearly a row apart: pins stand at 0.6 of the height
    nearest = min(3 * SITE, 0.8 * ROW)
    inner = len(given["net_start"]) - 3
    assert inner * nearest <= got < 2.2 * inner * nearest


def test_a_chain_between_two_ports_lies_in_a_line() -> None:
    order = [4, 1, 6, 0, 3, 7, 2, 5]
    nets = [[8, order[0]], *([a, b] for a, b in pairwise(order)), [order[-1], 9]]
    given = problem(cells=8, rows=1, sites=40, nets=nets, ports=[(0.0, 6.0), (80.0, 6.0)])
    found = place(**given)
    check_legal(given, found.x, found.y)
    # no detour: as long as the way from port to port
    assert length(given, found.x, found.y) == pytest.approx(80.0)
    assert np.argsort(found.x[:8]).tolist() == order


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_small_rows_against_every_order(seed: int) -> None:
    """Six cells that fill a row: never below the optimum, and at most a few per cent above; three: the optimum."""
    rng = np.random.default_rng(seed)
    for count, slack in ((3, 1.0 + 1e-9), (6, 1.35)):
        widths = rng.integers(1, 5, count).tolist()
        nets = [rng.choice(count + 2, rng.integers(2, 4), replace=False).tolist() for _ in range(count + 2)]
        sites = sum(widths)
        given = problem(
            cells=count, rows=1, sites=sites, nets=nets, widths=widths, ports=[(0.0, 0.0), (sites * SITE, 0.0)]
        )
        best = np.inf
        for order in permutations(range(count)):
            x = given["x"].copy()
            x[list(order)] = SITE * np.cumsum([0, *(widths[k] for k in order[:-1])])
            best = min(best, length(given, x, given["y"]))
        found = place(**given)
        check_legal(given, found.x, found.y)
        got = length(given, found.x, found.y)
        assert best - 1e-6 <= got <= best * slack + 1e-6


def test_order_kept_cells_go_to_their_best_sites() -> None:
    """One cell in an empty row, held by three ports: the median."""
    given = problem(cells=1, rows=1, sites=60, nets=[[0, 1], [0, 2], [0, 3]], widths=[2],
                    ports=[(20.0, 6.0), (50.0, 6.0), (110.0, 6.0)])  # fmt: skip
    x, y = improve(circuit(given), given["x"], given["y"])
    assert x[0] + SITE == 50.0
    assert y[0] == 0.0


def test_improvement_only_shortens_and_keeps_legal() -> None:
    given = mesh(12, utilisation=0.8)
    c, rng = circuit(given), np.random.default_rng(5)
    left, _, right, top = given["region"]
    free = ~given["fixed"]
    x = np.where(free, rng.uniform(left, right, len(free)), given["x"])
    y = np.where(free, rng.uniform(0, top, len(free)), given["y"])
    before = legalise(c, x, y)
    after = improve(c, *before)
    check_legal(given, *after)
    assert length(given, *after) < 0.8 * length(given, *before)


def test_what_is_legal_stays() -> None:
    given = mesh(10)
    found = place(**given)
    again = legalise(circuit(given), found.x, found.y)
    np.testing.assert_allclose(again[0], found.x)
    np.testing.assert_allclose(again[1], found.y)
    only = place(**{**given, "x": found.x, "y": found.y}, globally=False, detailed=False)
    np.testing.assert_allclose(only.x, found.x)


def test_density_is_kept_to() -> None:
    given = mesh(24, utilisation=0.4)
    fullest = {}
    for density in (0.5, 1.0):
        found = place(**given, density=density)
        check_legal(given, found.x, found.y)
        bins = np.zeros((3, 3))
        for cell in np.flatnonzero(~given["fixed"]):
            column, row = (
                min(int((at + size / 2) / edge * 3), 2)
                for at, size, edge in (
                    (found.x[cell], 3 * SITE, given["region"][2]), (found.y[cell], ROW, given["region"][3])
                )
            )  # fmt: skip
            bins[row, column] += 3 * SITE * ROW
        fullest[density] = bins.max() / (given["region"][2] * given["region"][3] / 9)
    assert fullest[0.5] < 0.6
    assert fullest[1.0] > fullest[0.5] + 0.1


def test_macros_are_avoided() -> None:
    """Half of the core is taken, and cells must be on both sides of it."""
    given = mesh(14, utilisation=0.35, obstacles=[(40.0, 20.0, 60.0, 110.0), (-30.0, -30.0, 45.0, 42.0)])
    found = place(**given)
    check_legal(given, found.x, found.y)


def test_wide_nets_make_room() -> None:
    """Groups of cells that all know each other: with few tracks they stand further apart."""
    rng = np.random.default_rng(2)
    nets = [(40 * (k % 40) + rng.choice(40, 3, replace=False)).tolist() for k in range(40 * 100)]
    given = problem(cells=40 * 40, rows=44, sites=218, nets=nets)
    factor = np.ones(len(nets))
    free = place(**given)
    c = circuit(given)
    one = Routing(tracks=(1.0, 1.0), bin=60.0, factor=factor)
    peak = routing_use(c, free.x, free.y, one).max()
    tight = Routing(tracks=(peak / 1.4, peak / 1.4), bin=60.0, factor=factor)
    roomy = place(**given, routing=tight)
    check_legal(given, roomy.x, roomy.y)
    assert routing_use(c, roomy.x, roomy.y, tight).max() < 1.3


def test_use_of_tracks_against_a_plain_loop(placed: tuple[Problem, placer.Placed]) -> None:
    given, found = placed
    routing = Routing(tracks=(0.5, 0.25), bin=37.0, factor=np.linspace(1, 2, len(given["net_start"]) - 1))
    use = routing_use(circuit(given), found.x, found.y, routing)
    expected = np.zeros_like(use)
    for net, (first, last) in enumerate(pairwise(given["net_start"])):
        cells = given["pin_cell"][first:last]
        xs = found.x[cells] + given["pin_x"][first:last]
        dy = np.where(
            found.mirrored[cells], given["height"][cells] - given["pin_y"][first:last], given["pin_y"][first:last]
        )
        ys = found.y[cells] + dy
        spans = [
            np.arange(min(int(v.min() / 37), n - 1), min(int(v.max() / 37), n - 1) + 1)
            for v, n in ((ys, use.shape[1]), (xs, use.shape[2]))
        ]
        for axis, (v, tracks) in enumerate(((xs, 0.5), (ys, 0.25))):
            amount = (v.max() - v.min()) * routing.factor[net] / (len(spans[0]) * len(spans[1]))
            expected[axis][np.ix_(*spans)] += amount / (tracks * 37**2)
    np.testing.assert_allclose(use, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": 0.0}, "density: expected above 0"),
        ({"effort": 10}, "effort: expected 1 to 9"),
        ({"height": np.zeros(3)}, "height: expected 18 values"),
        ({"pin_x": np.zeros(3)}, "pin_x: expected"),
        ({"net_start": np.array([0, 2])}, "net_start: expected to go from 0"),
        ({"pin_cell": np.full(52, 40)}, "pin_cell: expected 0 to 17"),
        ({"region": (0.0, 0.0, 50.0, 47.0)}, "region: expected whole rows"),
        ({"region": (0.0, 0.0, 0.0, 40.0)}, "region: expected at least a site"),
        ({"region": (0.0, 0.0, 10.0, 10.0)}, "cells take"),
        ({"site": 0.0}, "row_height, site: expected above 0"),
        ({"height": np.full(18, 2 * ROW)}, "height: movable cells are at most a row"),
        ({"width": np.zeros(18)}, "width: expected above 0"),
        ({"x": np.full(18, np.nan)}, "x: expected finite"),
    ],
)
def test_bad_input(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        place(**{**mesh(4), **change})


def test_a_limit_of_time() -> None:
    with pytest.raises(ToolTimeout, match="limit of 0 s"):
        place(**mesh(4), timeout_s=0.0)


def test_nothing_to_place() -> None:
    given = problem(cells=0, rows=1, sites=10, nets=[[0, 1]], ports=[(0.0, 0.0), (20.0, 0.0)])
    found = place(**given)
    np.testing.assert_array_equal(found.x, given["x"])
