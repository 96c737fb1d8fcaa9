"""Particle pools: the helix against a numerical equation of motion, Pythia's pools against the shipped ones."""

import sys

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from sim.hgcal_encoder.detector import pools
from sim.hgcal_encoder.detector.particles import FRONT_FACE_MM, PileUp, TopPairs, _pool
from tests.conftest import need_module


def test_helix_against_the_equation_of_motion():
    """dp/dt = 0.3 q v x B, integrated by scipy in the length along the track (GeV, T, m)."""
    rng = np.random.default_rng(0)
    n = 12
    momentum = np.stack([*rng.normal(0, 1, (2, n)), rng.uniform(0.5, 30, n)], axis=1)
    origin = np.stack([*rng.normal(0, 20, (2, n)), rng.normal(0, 50, n)], axis=1)
    charge = np.array([1, -1, 0] * 4)
    xy, slope = pools.at_front_face(origin, momentum, charge)
    for i in range(n):
        size = np.linalg.norm(momentum[i])

        def force(_, state, q=charge[i], size=size):
            direction = state[3:] / size
            return [*direction, *(0.299792458 * q * np.cross(direction, [0, 0, pools.FIELD_T]))]

        def face(_, state):
            return state[2] - FRONT_FACE_MM / 1000

        face.terminal = True
        start = [*origin[i] / 1000, *momentum[i]]
        end = scipy.integrate.solve_ivp(force, (0, 200), start, events=face, rtol=1e-10, atol=1e-12).y_events[0][0]
        assert xy[i] == pytest.approx(1000 * end[:2], abs=1e-3)
        assert slope[i] == pytest.approx(end[3:5] / end[5], abs=1e-7)


def test_no_field_is_a_straight_line():
    xy, slope = pools.at_front_face([[1.0, 2.0, 10.0]], [[0.3, -0.2, 2.0]], [1], field_t=0.0)
    assert xy[0] == pytest.approx([1 + 0.15 * 3200.5, 2 - 0.1 * 3200.5])
    assert slope[0] == pytest.approx([0.15, -0.1])
    with pytest.raises(ValueError, match=r"momentum_gev\[1\]: expected a positive z component, got -1"):
        pools.at_front_face(np.zeros((2, 3)), [[0, 0, 1.0], [0, 0, -1.0]], [0, 0])


def test_wrong_arguments(monkeypatch):
    with pytest.raises(ValueError, match="process: expected one of minbias, ttbar, got 'higgs'"):
        pools.generate_pool("higgs", 1, 1)
    with pytest.raises(ValueError, match="at least 1 event"):
        pools.generate_pool("ttbar", 0, 1)
    monkeypatch.setitem(sys.modules, "pythia8mc", None)
    with pytest.raises(ModuleNotFoundError, match="library pythia8mc, which is not installed"):
        pools.generate_pool("ttbar", 1, 1)


def test_sources_draw_from_a_given_file(tmp_path):
    """A pool of one known particle: every draw is that particle, turned about the beam."""
    arrays = {
        "kind": np.array([0, 1], np.uint8), "E": np.array([5, 7], np.float16), "off": np.array([0, 2], np.int32),
        "xy": np.array([[600, 0], [0, 800]], np.int16), "t": np.array([[6000, 0], [0, 8000]], np.int16),
    }  # fmt: skip
    path = tmp_path / "pool.npz"
    pools.save_pool(path, arrays)
    rng = np.random.default_rng(1)
    for source, most in ((TopPairs(pool=path), 1), (PileUp(mean=30, pool=path), 100)):
        drawn = source.draw(rng)
        assert 2 <= len(drawn) <= 2 * most
        assert set(drawn.energy_gev.tolist()) == {5.0, 7.0}
        assert np.allclose(np.hypot(*drawn.xy_mm.T), np.where(drawn.kind == 0, 600, 800))
    with pytest.raises(FileNotFoundError, match="no pool at"):
        TopPairs(pool=tmp_path / "absent.npz").draw(rng)
    np.savez(tmp_path / "part.npz", kind=arrays["kind"])
    with pytest.raises(ValueError, match="missing E, xy, t, off"):
        PileUp(mean=10, pool=tmp_path / "part.npz").draw(rng)


@pytest.mark.parametrize(
    ("process", "shipped", "events"), [("minbias", "pool_minbias3k", 300), ("ttbar", "pool_ttbar500", 60)]
)
def test_pythia_reproduces_the_shipped_pools(process, shipped, events):
    """Multiplicity, kinds, energies and radii within statistics. The library is optional even in CI (GPL)."""
    need_module("pythia8mc", optional=True)
    new = pools.generate_pool(process, events, 7)
    kind, energy, xy, slope, offsets = _pool(f"{shipped}.npz")
    assert len(new["off"]) == 2 * events + 1
    # one event gives both endcaps: count per event
    many, few = (np.add.reduceat(np.diff(o), np.arange(0, len(o) - 1, 2)) for o in (offsets, new["off"]))
    assert scipy.stats.ks_2samp(many, few).pvalue > 1e-3
    assert np.mean(new["kind"] == 0) == pytest.approx(np.mean(kind == 0), abs=0.03)
    for old, fresh in (
        (energy, new["E"].astype(float)),
        (np.hypot(*xy.T), np.hypot(*new["xy"].astype(float).T)),
        (np.hypot(*slope.T), np.hypot(*(new["t"] / 32767).T)),
    ):
        # particles of one event are correlated: a distance instead of a p-value
        assert scipy.stats.ks_2samp(old, fresh).statistic < 0.04
