"""Placement: legality checked here, wires and congestion against plain loops, LEF against its text, refusals."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from flows.common.errors import ToolTimeout
from flows.library.lef import LefError, read_lef
from flows.netlist.netlist import Netlist, netlist_from_json
from flows.physical.place import Placement, PlacementError, congestion, draw, place, wire_factor
from tests.flows.conftest import library_or_skip


def grid(side: int) -> Netlist:
    """A chain of NAND2_X1 through a square, each also reading the one `side` before: a mesh that wants to lie flat."""
    cells, count = {}, side * side
    for k in range(count):
        above = 2 + k + 1 - side if k >= side else 2
        cells[f"u{k}"] = {"type": "NAND2_X1", "connections": {"A1": [2 + k], "A2": [above], "ZN": [3 + k]}}
    ports = {"x": {"direction": "input", "bits": [2]}, "y": {"direction": "output", "bits": [2 + count]}}
    module = {"ports": ports, "cells": cells, "netnames": {}, "attributes": {"top": "1"}}
    return netlist_from_json({"modules": {"mesh": module}})


@pytest.fixture(scope="module")
def placed() -> tuple[Netlist, Placement]:
    netlist = grid(20)
    return netlist, place(netlist, read_lef(library_or_skip("nangate45").lef), utilisation=0.6, aspect=2.0)


def test_placement_is_legal(placed: tuple[Netlist, Placement]) -> None:
    """Rows, sites, borders and overlaps looked at cell by cell."""
    _, found = placed
    site, row = 0.19, 1.4
    rows: dict[int, list[tuple[float, float]]] = {}
    for x, y, width in zip(found.x_um, found.y_um, found.width_um, strict=True):
        assert abs(y / row - round(y / row)) < 1e-6
        assert abs(x / site - round(x / site)) < 1e-3
        assert x >= -1e-9
        assert x + width <= found.core_um[0] + 1e-6
        rows.setdefault(round(y / row), []).append((x, x + width))
    assert max(rows) * row + row <= found.core_um[1] + 1e-6
    for cells in rows.values():
        cells.sort()
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(cells))
    assert found.overlaps == 0
    assert found.utilisation == pytest.approx(0.6, abs=0.02)
    assert found.core_um[1] / found.core_um[0] == pytest.approx(2.0, rel=0.15)


def test_wires_are_half_perimeters(placed: tuple[Netlist, Placement]) -> None:
    netlist, found = placed
    lef = read_lef(library_or_skip("nangate45").lef)
    macro = lef.macros["NAND2_X1"]
    points: dict[int, list[tuple[float, float]]] = {}
    group = netlist.groups["NAND2_X1"]
    for index, cell in enumerate(group.cells):
        for pin in ("A1", "A2", "ZN"):
            px, py = macro.pins[pin]
            points.setdefault(int(group.pin(pin)[index]), []).append((found.x_um[cell] + px, found.y_um[cell] + py))
    inner = [net for net in points if net not in (netlist.ports["x"].nets[0], netlist.ports["y"].nets[0])]
    assert len(inner) > 390
    for net in inner:
        xs, ys = zip(*points[net], strict=True)
        # pins of a row that stands on its head are mirrored in it: a row's height at most
        assert found.hpwl_um[net] == pytest.approx(max(xs) - min(xs) + max(ys) - min(ys), abs=1.4)
    # far better than at random: two thirds of the core's half-perimeter for three pins
    assert found.hpwl_um[inner].mean() < 0.2 * sum(found.core_um) / 2
    assert found.wire_ff(2.0)[inner[5]] == pytest.approx(2 * found.hpwl_um[inner[5]] * wire_factor(np.array([3]))[0])


def test_spreading_evens_the_density() -> None:
    lef = read_lef(library_or_skip("nangate45").lef)
    netlist = grid(24)
    packed, spread = (place(netlist, lef, utilisation=0.5, spread=even) for even in (False, True))
    assert spread.overlaps == packed.overlaps == 0

    def fullest(found: Placement) -> float:
        """Cell area over bin area in the fullest of 3 x 3 bins."""
        bins = np.zeros((3, 3))
        column, row = (
            (v / size * 3).astype(int).clip(0, 2)
            for v, size in zip((found.x_um, found.y_um), found.core_um, strict=True)
        )
        np.add.at(bins, (row, column), found.width_um * found.height_um)
        return float(bins.max() / (found.area_um2 / 9))

    assert fullest(spread) < 0.65
    assert fullest(packed) > fullest(spread) + 0.1
    assert spread.hpwl_um.sum() > packed.hpwl_um.sum()


def test_wire_factor() -> None:
    np.testing.assert_allclose(wire_factor(np.array([2, 3, 4, 10, 50])), [1, 1, 1.0828, 1.4493, 2.7933])
    # random points: the rectilinear tree is 0.82 sqrt(n A) long, the half-perimeter nearly 2 sqrt(A)
    assert wire_factor(np.array([800]))[0] == pytest.approx(0.41 * np.sqrt(800), rel=0.06)


def test_congestion_equals_a_plain_loop(placed: tuple[Netlist, Placement]) -> None:
    _, found = placed
    lef = read_lef(library_or_skip("nangate45").lef)
    side = 7.0
    busy = congestion(found, lef, bin_um=side)
    rows, columns = busy.use.shape[1:]
    expected = np.zeros_like(busy.use)
    for net in np.flatnonzero(found.hpwl_um > 0):
        left, right, low, high = found.boxes_um[net]
        xs = range(min(int(left / side), columns - 1), min(int(right / side), columns - 1) + 1)
        ys = range(min(int(low / side), rows - 1), min(int(high / side), rows - 1) + 1)
        factor = wire_factor(found.pins[[net]])[0]
        for direction, length in enumerate((right - left, high - low)):
            for y in ys:
                for x in xs:
                    expected[direction, y, x] += length * factor / (len(xs) * len(ys))
    for direction, names in enumerate((("metal3", "metal5", "metal7", "metal9"),
                                       ("metal2", "metal4", "metal6", "metal8", "metal10"))):  # fmt: skip
        pitches = [layer.pitch_um for layer in lef.layers if layer.name in names]
        expected[direction] /= sum(side / pitch for pitch in pitches) * side
    np.testing.assert_allclose(busy.use, expected, rtol=1e-9, atol=1e-12)
    assert busy.worst == pytest.approx(expected.max())
    assert busy.mean == pytest.approx((expected[0].mean(), expected[1].mean()))


def test_picture_and_file(placed: tuple[Netlist, Placement], tmp_path: Path) -> None:
    netlist, found = placed
    for name in ("p.png", "p.svg"):
        draw(found, netlist, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 2000
    # however long the names of stages are, nothing is cut off at the border
    draw(found, replace(netlist, top="a_long_name_" * 6), tmp_path / "long.png")
    image = imread(tmp_path / "long.png")[..., :3]
    assert image.min() < 0.5
    assert all((edge == 1).all() for edge in (image[:3], image[-3:], image[:, :3], image[:, -3:]))
    assert image.shape[1] > imread(tmp_path / "p.png").shape[1]
    found.save(tmp_path / "p.npz")
    again = Placement.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(again.x_um, found.x_um)
    np.testing.assert_array_equal(again.wire_um, found.wire_um)
    assert (again.core_um, again.utilisation) == (found.core_um, found.utilisation)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"utilisation": 1.0}, "utilisation"), ({"aspect": 0}, "aspect"), ({"effort": 10}, "effort")],
)
def test_parameters_out_of_range(options: dict[str, float], message: str) -> None:
    lef = read_lef(library_or_skip("nangate45").lef)
    with pytest.raises(ValueError, match=message):
        place(grid(2), lef, **options)  # type: ignore[arg-type]


def test_what_cannot_be_placed() -> None:
    lef = read_lef(library_or_skip("nangate45").lef)
    empty = {"modules": {"m": {"ports": {}, "cells": {}, "netnames": {}, "attributes": {}}}}
    with pytest.raises(PlacementError, match="no cells"):
        place(netlist_from_json(empty), lef)
    cells = {"u": {"type": "MYSTERY", "connections": {"A": [2]}}}
    other = {"modules": {"m": {"ports": {}, "cells": cells, "netnames": {}, "attributes": {}}}}
    with pytest.raises(PlacementError, match="MYSTERY has no macro"):
        place(netlist_from_json(other), lef)


def test_a_time_limit_ends_the_placer() -> None:
    with pytest.raises(ToolTimeout, match="limit of 0.001 s"):
        place(grid(40), read_lef(library_or_skip("nangate45").lef), timeout_s=0.001)


@pytest.mark.parametrize("name", ["nangate45", "osu018"])
def test_lef_against_its_text_and_liberty(name: str) -> None:
    library = library_or_skip(name)
    lef = read_lef(library.lef)
    text = library.lef[-1].read_text()
    macro = lef.macros[library.nand2]
    body = text.partition(f"MACRO {library.nand2}\n")[2].partition(f"END {library.nand2}")[0]
    size = re.search(r"SIZE ([\d.]+) BY ([\d.]+)", body)
    assert size is not None
    assert (macro.width_um, macro.height_um) == (float(size[1]), float(size[2]))
    assert set(library.cells[library.nand2].inputs) <= set(macro.pins)
    # size in LEF is area in Liberty, but for a few cells of osu018
    same = [
        cell for cell in library.cells
        if lef.macros[cell].width_um * lef.macros[cell].height_um == pytest.approx(library.cells[cell].area_um2)
    ]  # fmt: skip
    assert len(same) >= len(library.cells) - 3
    assert macro.height_um == lef.site_um[1]
    assert [layer.name for layer in lef.layers][:2] == ["metal1", "metal2"]
    assert [layer.horizontal for layer in lef.layers][:2] == [True, False]
    # metal2 of NanGate: 4.0896e-05 pF/um2 * 0.07 um + 2 * 2.5157e-05 pF/um
    if name == "nangate45":
        assert lef.layers[1].ff_per_um == pytest.approx(1000 * (4.0896e-05 * 0.07 + 2 * 2.5157e-05))


def test_bad_lef(tmp_path: Path) -> None:
    path = tmp_path / "a.lef"
    with pytest.raises(FileNotFoundError):
        read_lef([path])
    path.write_text("VERSION 5.8 ;\n")
    with pytest.raises(LefError, match="no macro"):
        read_lef([path])
    path.write_text("MACRO A\n  CLASS CORE ;\nEND A\n")
    with pytest.raises(LefError, match="A has no SIZE"):
        read_lef([path])
    path.write_text("MACRO A\n  SIZE 1 BY 2 ;\nEND A\n")
    with pytest.raises(LefError, match="no SITE"):
        read_lef([path])
    # thirty thousand macros that never end, an end without a macro, and a pin of one that is inside of another: a
    # reader that looks for each end through all of the file would take minutes
    path.write_text("END B\n" + "".join(f"MACRO M{k % 9}\n  PIN A\n" for k in range(30_000)) + "END A\n")
    with pytest.raises(LefError, match="no macro"):
        read_lef([path])
