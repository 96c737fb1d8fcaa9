"""Module geometry against the published extremes, the public mapping files and brute force."""

import csv
import math

import numpy as np
import pytest

from sim.hgcal_encoder.detector import geometry as g
from sim.hgcal_encoder.spec import ECON_T, TNS_2021


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_ground_distance_matches_the_published_extremes():
    distance = g.ground_distance()
    off_diagonal = distance[~np.eye(48, dtype=bool)]
    assert round(off_diagonal.min(), 2) == 1.80
    assert round(off_diagonal.max(), 2) == 13.76
    assert np.array_equal(distance, distance.T)
    assert not distance.diagonal().any()


def test_trigger_cells_match_the_public_mapping(shared_data):
    remap = _rows(shared_data / "hgcal" / "tcRemap.csv")
    uv = [[int(r["tc_cellu"]), int(r["tc_cellv"])] for r in remap]
    assert g.trigger_cell_uv().tolist() == uv
    # position in the network's input: the first 32 fill four rows of 8, the last 16 the left half of four more
    grid = g.image_8x8()
    inputs = np.concatenate([grid[:4].ravel(), grid[4:, :4].ravel()])
    block = [int(r["tc_cell_AEblock"]) for r in remap]
    assert [inputs[b] for b in block] == list(range(48))
    mapping = _rows(shared_data / "hgcal" / "LDM_TC_Mapping.csv")
    assert [int(r["TC_Number"]) for r in mapping] == list(range(48))
    assert g.trigger_cell_uv().tolist() == [[int(r["TC_U"]), int(r["TC_V"])] for r in mapping]


def test_images_agree_with_the_presets():
    order = np.concatenate([g.image_8x8()[:4].ravel(), g.image_8x8()[4:, :4].ravel()])
    assert np.array_equal(g.econ_t_inputs(), order)
    shown = np.array(ECON_T.cell_map).reshape(8, 8)
    assert np.array_equal(np.where(shown >= 0, order[shown], -1), g.image_8x8())
    assert np.array_equal(np.array(TNS_2021.cell_map).reshape(4, 4, 3), g.image_4x4x3())


def test_neighbours_in_the_image_are_neighbours_in_the_module():
    """Inside each rhombus adjacent pixels of the 8 x 8 image touch."""
    grid = g.image_8x8()
    neighbours = g.module_geometry("low").neighbours
    for rows, columns in ((slice(0, 4), slice(0, 4)), (slice(0, 4), slice(4, 8)), (slice(4, 8), slice(0, 4))):
        block = grid[rows, columns]
        for a, b in zip(block[:, :-1].ravel(), block[:, 1:].ravel(), strict=True):
            assert b in neighbours[a]
        for a, b in zip(block[:-1].ravel(), block[1:].ravel(), strict=True):
            assert b in neighbours[a]
    for cell, near in enumerate(neighbours):
        assert cell not in near
        assert all(cell in neighbours[other] for other in near)


@pytest.mark.parametrize(("density", "cells"), [("low", 192), ("high", 432)])
def test_cells_tile_the_module(density, cells):
    module = g.ModuleGeometry(density=density)
    assert module.n_cells == cells == len({tuple(uv) for uv in module.cell_uv.tolist()})
    assert np.bincount(module.cell_trigger_cell).tolist() == [cells // 48] * 48
    assert np.array_equal(module.trigger_cell_at(module.cell_centers_mm), module.cell_trigger_cell)
    # area of the hexagon of 167.44 mm flat to flat = cells times the area of one
    cell_area = math.sqrt(3) / 2 * module.cell_pitch_mm**2
    assert math.isclose(cells * cell_area, math.sqrt(3) / 2 * g.MODULE_PITCH_MM**2, rel_tol=1e-12)
    for tc, outline in enumerate(module.outlines_mm):
        x, y = outline.T
        area = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
        assert math.isclose(area, cells // 48 * cell_area, rel_tol=1e-9), tc
    # three-fold symmetry: the centres turned by 120 degrees are the centres again
    c, s = math.cos(2 * math.pi / 3), math.sin(2 * math.pi / 3)
    turned = module.centers_mm @ np.array([[c, s], [-s, c]])
    gap = np.linalg.norm(turned[:, None] - module.centers_mm[None], axis=-1).min(axis=1)
    assert gap.max() < 1e-9


def test_rhombi_fill_the_hexagon_next_to_their_cells():
    module = g.module_geometry("low")
    rhombi = module.rhombi_mm
    edges = np.linalg.norm(np.roll(rhombi, -1, axis=1) - rhombi, axis=-1)
    assert np.allclose(edges, 2 * module.cell_pitch_mm)
    area = np.abs(np.linalg.det(np.stack([rhombi[:, 1] - rhombi[:, 0], rhombi[:, 3] - rhombi[:, 0]], axis=1)))
    assert math.isclose(area.sum(), math.sqrt(3) / 2 * g.MODULE_PITCH_MM**2, rel_tol=1e-9)
    assert np.linalg.norm(rhombi, axis=-1).max() <= g.MODULE_PITCH_MM / math.sqrt(3) + 1e-9
    # each idealised cell is nearest to its own trigger cell
    distance = np.linalg.norm(rhombi.mean(axis=1)[:, None] - module.centers_mm[None], axis=-1)
    assert distance.argmin(axis=1).tolist() == list(range(48))


@pytest.mark.parametrize("density", ["low", "high"])
def test_nearest_lattice_point_equals_brute_force(density):
    module = g.ModuleGeometry(density=density)
    rng = np.random.default_rng(3)
    xy = rng.uniform(-90, 90, (400, 2))
    u, v = g.nearest_lattice_point(*module.lattice_coordinates(xy).T)
    n = module.cells_per_edge
    grid = np.array([(i, j) for i in range(-3 * n, 5 * n) for j in range(-3 * n, 5 * n)])
    axes = np.array([[0.0, 1.0], [math.sqrt(3) / 2, -0.5]])
    points = grid @ axes * module.cell_pitch_mm + module.origin_mm
    nearest = np.linalg.norm(xy[:, None] - points[None], axis=-1).argmin(axis=1)
    assert np.array_equal(grid[nearest], np.stack([u, v], axis=1))


def test_outside_and_wrong_density():
    assert g.module_geometry("high").trigger_cell_at(np.array([[500.0, 0.0], [0.0, 0.0]])).tolist()[0] == -1
    with pytest.raises(ValueError, match="density must be"):
        g.ModuleGeometry(density="medium")
