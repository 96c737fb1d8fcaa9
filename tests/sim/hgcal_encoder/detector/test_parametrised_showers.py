"""The analytic engine against the frozen showers: two independent descriptions of the same calorimeter."""

import numpy as np
import pytest

from sim.hgcal_encoder.detector import generator as s
from sim.hgcal_encoder.detector import parametrised_showers as p
from sim.hgcal_encoder.detector.frozen_showers import ShowerLibrary
from sim.hgcal_encoder.detector.particles import PileUp

BANDS = ((1, 3), (3, 10), (10, 30), (30, 80), (80, 150))


def _moments(library):
    """Shower number of each hit, deposit and mean depth of each shower."""
    n = np.diff(library.offsets)
    shower = np.repeat(np.arange(len(n)), n)
    total = np.bincount(shower, library.mip, len(n))
    depth = np.bincount(shower, library.mip * library.layer_depth_x0[library.layer], len(n))
    return shower, total, depth / np.maximum(total, 1e-9)


@pytest.fixture(scope="module", params=["gamma", "pi"])
def engines(request):
    return (
        request.param,
        ShowerLibrary.load(request.param),
        p.parametrised_library(request.param, seed=1),
    )


def test_response_and_depth_agree(engines):
    kind, *libraries = engines
    for low, high in BANDS:
        figures = []
        for library in libraries:
            _, total, depth = _moments(library)
            rows = (library.energy_gev >= low) & (library.energy_gev < high)
            response = total[rows] / library.energy_gev[rows]
            figures.append((response.mean(), response.std(), depth[rows].mean(), depth[rows].std()))
        (frozen, frozen_spread, depth, depth_spread), (response, spread, mean_depth, mean_spread) = figures
        if kind == "gamma":
            assert response == pytest.approx(frozen, rel=0.03)
            assert spread == pytest.approx(frozen_spread, rel=0.2)
            assert mean_depth == pytest.approx(depth, abs=0.7)
        else:
            assert response == pytest.approx(frozen, rel=0.25)
            assert mean_depth == pytest.approx(depth, abs=1.6)
        assert mean_spread == pytest.approx(depth_spread, rel=0.45)


def test_profiles_agree(engines):
    kind, *libraries = engines
    cumulative, medians = [], []
    for library in libraries:
        shower, _, _ = _moments(library)
        energy = library.energy_gev[shower]
        rows = (energy > 30) & (energy < 60)
        profile = np.bincount(library.layer[rows], library.mip[rows], 26)
        cumulative.append(np.cumsum(profile) / profile.sum())
        radius = np.hypot(library.x_mm, library.y_mm)
        median = []
        for layer in (6, 10, 14, 20):
            here = rows & (library.layer == layer)
            order = np.argsort(radius[here])
            weight = np.cumsum(library.mip[here][order])
            median.append(radius[here][order][np.searchsorted(weight, weight[-1] / 2)])
        medians.append(median)
    assert np.abs(cumulative[0] - cumulative[1]).max() < (0.04 if kind == "gamma" else 0.1)
    # 4 mm bins and the silicon's own depth limit how well the frozen core is known
    assert np.allclose(medians[1], medians[0], rtol=0.45)


def test_both_engines_fill_the_detector_alike():
    """Trigger cells above 1.35 mipT at pile-up 200."""
    libraries = (p.parametrised_library("gamma", seed=2), p.parametrised_library("pi", seed=3))
    occupied = []
    for choice in (None, libraries):
        generator = s.Generator(source=PileUp(mean=200), seed=4, libraries=choice)
        images = s.ModuleImages.join(list(generator.stream(6)))
        rows = np.abs(images.eta - 2.1) < 0.2
        occupied.append([(images.mipt[rows & (images.layer == layer)] > 1.35).mean() for layer in (5, 11, 19)])
    assert min(occupied[0]) > 0.01
    assert np.allclose(occupied[1], occupied[0], rtol=0.3)


def test_mean_deposit_is_the_energy_times_the_response():
    """All of a photon's energy appears, whatever the layers: only leakage behind the last one is lost."""
    library = p.parametrised_library("gamma", n=800, seed=5, energy_gev=(5.0, 5.0))
    assert library.mip.sum() / 800 / 5.0 == pytest.approx(86.3, rel=0.02)
    assert (library.energy_gev == 5.0).all()
    thin = p.parametrised_library(
        "gamma", n=800, seed=5, energy_gev=(5.0, 5.0), calorimeter=p.Calorimeter(stochastic=0.05)
    )
    spread = [np.std(_moments(one)[1]) for one in (library, thin)]
    assert spread[1] < 0.5 * spread[0]


def test_pions_interact_with_the_interaction_length():
    """Fraction without a shower in the last layer: exp(-depth / interaction length)."""
    library = p.parametrised_library("pi", n=4000, seed=6, energy_gev=(50.0, 50.0))
    hits = np.diff(library.offsets)
    expected = np.exp(-(library.layer_depth_x0[-1] + 0.5) / 20.8)
    assert (hits == 26).mean() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: p.parametrised_library("mu"), "kind"),
        (lambda: p.parametrised_library("pi", n=0), "n must"),
        (lambda: p.parametrised_library("pi", energy_gev=(3.0, 1.0)), "energy_gev"),
        (lambda: p.Calorimeter(e_over_mip=0.0), "e_over_mip"),
    ],
)
def test_wrong_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
