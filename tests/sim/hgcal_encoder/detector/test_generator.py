"""Shower generator against the facts, the frozen library and textbook probabilities."""

import math

import numpy as np
import pytest

from sim.hgcal_encoder import words
from sim.hgcal_encoder.calibrate import calibrate
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.detector import generator as s
from sim.hgcal_encoder.detector.detector import MIP_FC, Detector
from sim.hgcal_encoder.detector.digitisation import NOISE_ELECTRONS, Digitisation
from sim.hgcal_encoder.detector.frozen_showers import TRIGGER_LAYERS, ShowerLibrary
from sim.hgcal_encoder.detector.particles import (
    ELECTROMAGNETIC,
    HADRON,
    MUON,
    BunchCrossings,
    MultiParticles,
    Particles,
    ParticleSource,
    PileUp,
    SingleParticles,
    TopPairs,
    _pool,
)
from sim.hgcal_encoder.spec import WordOrder

QUIET = Digitisation(threshold_mip=0.0, leakage=0.0, noise=0.0)


@pytest.fixture(scope="module")
def detector():
    return Detector()


@pytest.fixture(scope="module")
def busy(detector):
    """15 crossings at pile-up 200."""
    generator = s.Generator(source=PileUp(mean=200), seed=1, detector=detector)
    return s.ModuleImages.join(list(generator.stream(15)))


class _Fixed(ParticleSource):
    """Plays given particle lists, one per crossing."""

    def __init__(self, *crossings):
        self._crossings = list(crossings)

    def draw(self, rng):
        return self._crossings.pop(0)


def _beam(kind, energies, xy, slope=(0.0, 0.0)):
    n = len(energies)
    return Particles(
        kind=np.full(n, kind, np.uint8),
        energy_gev=np.asarray(energies, np.float32),
        xy_mm=np.tile(np.asarray(xy, np.float32), (n, 1)),
        slope=np.tile(np.asarray(slope, np.float32), (n, 1)),
    )


@pytest.mark.parametrize(("eta", "expected"), [(1.6, 0.04), (2.1, 0.13), (2.6, 0.40)])
def test_occupancy_at_pile_up_200(busy, eta, expected):
    """Trigger cells above 1.35 mipT in layer 5: the reference study found 4, 13 and 40 %."""
    rows = (busy.layer == 5) & (np.abs(busy.eta - eta) < 0.1)
    assert rows.sum() > 100
    assert (busy.mipt[rows] > 1.35).mean() == pytest.approx(expected, rel=0.25)


def test_occupancy_falls_with_radius_in_every_layer(busy):
    for layer in np.unique(busy.layer):
        here = busy.layer == layer
        inner = (busy.mipt[here & (busy.eta > 2.4)] > 1.35).mean()
        outer = (busy.mipt[here & (busy.eta < 1.9)] > 1.35).mean()
        assert inner > 2 * outer


def test_digitised_charge_follows_the_deposit(busy):
    """35.1 counts of CALQ per transverse MIP for all sensor thicknesses, leakage adding 16 %."""
    for high in (False, True):
        rows = busy.high_density == high
        ratio = busy.charges[rows].sum() / busy.mipt[rows].sum() / (3.43 * 1024 / 100)
        assert 1.0 < ratio < 1.25


@pytest.mark.parametrize("kind", ["gamma", "pi"])
def test_longitudinal_profile_equals_the_library(detector, kind):
    """Mean deposit per layer of 40 GeV particles against a direct sum over the library's nearest showers."""
    library = ShowerLibrary.load(kind)
    code = {"gamma": ELECTROMAGNETIC, "pi": HADRON}[kind]
    middle = int(np.argmin(np.abs(library.energy_gev - 40.0)))
    expected = np.zeros(26)
    for i in range(middle - s.NEIGHBOURS, middle + s.NEIGHBOURS + 1):
        hits = slice(library.offsets[i], library.offsets[i + 1])
        expected += np.bincount(library.layer[hits], library.mip[hits] * 40 / library.energy_gev[i], 26)
    expected = expected[::2] / (2 * s.NEIGHBOURS + 1)
    n = 6000
    generator = s.Generator(source=_Fixed(), seed=5, detector=detector, digitisation=QUIET)
    particles = _beam(code, np.full(n, 40.0), detector.module_centers_mm[100])
    profile = generator.deposits(particles).sum(axis=1) / n
    assert np.allclose(profile, expected, rtol=0.08, atol=0.01 * expected.max())


def test_electromagnetic_maximum_follows_the_logarithm(detector):
    """Depth of the shower maximum rises by ln(E2/E1) radiation lengths (Particle Data Group, "Passage of
    particles through matter", eq. 34.36)."""
    depth = ShowerLibrary.load("gamma").layer_depth_x0[list(TRIGGER_LAYERS)]
    generator = s.Generator(source=_Fixed(), seed=6, detector=detector, digitisation=QUIET)
    mean_depth = []
    for energy in (5.0, 50.0):
        layers = generator.deposits(_beam(0, np.full(1500, energy), detector.module_centers_mm[100])).sum(axis=1)
        mean_depth.append((layers * depth).sum() / layers.sum())
    assert mean_depth[1] - mean_depth[0] == pytest.approx(math.log(10.0), rel=0.2)


def test_radial_profile_equals_the_library(detector):
    """Share of the deposit within one, two, ... cells of the axis, cell by cell against a direct sum of hits."""
    library = ShowerLibrary.load("gamma").select_layers((8,))
    # off the corner of three cells that the module centre is, where rounding would decide
    center = detector.module_centers_mm[100] + np.array([3.3, 1.7])
    generator = s.Generator(source=_Fixed(), seed=7, detector=detector, digitisation=QUIET)
    deposits = generator.deposits(_beam(0, np.full(4000, 40.0), center))[4]
    rng = np.random.default_rng(8)
    expected = np.zeros(detector.n_cells)
    middle = int(np.searchsorted(library.energy_gev, 40.0))
    for _ in range(4000):
        i = middle + rng.integers(-s.NEIGHBOURS, s.NEIGHBOURS + 1)
        hits = slice(library.offsets[i], library.offsets[i + 1])
        angle = rng.uniform(0, 2 * math.pi)
        x = center[0] + math.cos(angle) * library.x_mm[hits] - math.sin(angle) * library.y_mm[hits]
        y = center[1] + math.sin(angle) * library.x_mm[hits] + math.cos(angle) * library.y_mm[hits]
        cells = detector.cell_at(np.stack([x, y], axis=-1))
        weight = library.mip[hits] * 40 / library.energy_gev[i]
        expected += np.bincount(cells[cells >= 0], weight[cells >= 0], detector.n_cells)
    assert deposits.sum() == pytest.approx(expected.sum(), rel=0.02)
    core = expected > 0.01 * expected.max()
    assert core.sum() >= 6
    assert np.allclose(deposits[core] / deposits.sum(), expected[core] / expected.sum(), rtol=0.1, atol=0.003)


def test_every_point_between_the_radii_has_one_cell(detector):
    rng = np.random.default_rng(9)
    radius, phi = rng.uniform(480, 1380, 20000), rng.uniform(0, 2 * math.pi, 20000)
    xy = np.stack([radius * np.cos(phi), radius * np.sin(phi)], axis=-1)
    cell = detector.cell_at(xy)
    assert cell.min() >= 0
    # the cell belongs to the nearest module, up to the ragged edge of half a cell
    module = np.searchsorted(detector._cell_offset, cell, side="right") - 1
    distance = np.linalg.norm(xy[:, None] - detector.module_centers_mm[None], axis=-1)
    own = distance[np.arange(len(xy)), module]
    assert (own - distance.min(axis=1)).max() < 20.0
    assert (module == distance.argmin(axis=1)).mean() > 0.9


def test_muon_leaves_about_one_mip_per_layer(detector):
    generator = s.Generator(source=_Fixed(), seed=10, detector=detector, digitisation=QUIET)
    n = 3000
    layers = generator.deposits(_beam(MUON, np.full(n, 10.0), detector.module_centers_mm[60])).sum(axis=1) / n
    assert np.allclose(layers, 1.0, atol=0.06)


def test_leakage_reaches_exactly_the_next_crossing(detector):
    first = _beam(0, [80.0], detector.module_centers_mm[100])
    none = Particles.empty()
    digitisation = Digitisation(threshold_mip=0.0, leakage=0.163, noise=0.0)
    source = _Fixed(none, first, none, none)
    images = list(s.Generator(source=source, seed=11, detector=detector, digitisation=digitisation).stream(3))
    # the module of the shower only: at high density even code 0 decodes to a charge
    sums = [image.charges[detector.site_module[image.site] == 100].sum() for image in images]
    assert sums[0] > 1000
    assert sums[1] / sums[0] == pytest.approx(0.163, rel=0.05)
    assert images[2].codes.max() == 0
    assert images[1].mipt.max() == 0.0


@pytest.mark.parametrize("threshold", [0.4, 0.5])
def test_noise_above_threshold_has_the_gaussian_rate(detector, threshold):
    """Without particles a trigger cell of k cells fires with 1 - (1 - p)**k, p the normal tail."""
    digitisation = Digitisation(threshold_mip=threshold, leakage=0.0, noise=1.5)
    source = _Fixed(*[Particles.empty()] * 5)
    images = s.ModuleImages.join(
        list(s.Generator(source=source, seed=12, detector=detector, digitisation=digitisation).stream(5))
    )
    thickness = detector.module_thickness_um[detector.site_module[images.site]]
    for um, cells in ((120, 9), (200, 4), (300, 4)):
        sigma = 1.5 * NOISE_ELECTRONS[um] * 1.602176634e-4 / MIP_FC[um]
        p = 0.5 * math.erfc(threshold / sigma / math.sqrt(2))
        expected = 1 - (1 - p) ** cells
        rows = thickness == um
        n = rows.sum() * 48
        fired = (images.codes[rows] > 0).sum()
        assert abs(fired - n * expected) < 5 * math.sqrt(n * expected * (1 - expected)) + 3


def test_gain_spread_scales_single_cells():
    detector = Detector(inner_radius_mm=800, outer_radius_mm=1100, gain_spread=0.1, seed=4)
    assert detector.cell_gain.std() == pytest.approx(0.1, rel=0.02)
    beam = _beam(0, [100.0], detector.module_centers_mm[20])
    plain = Detector(inner_radius_mm=800, outer_radius_mm=1100)
    one, other = (
        s.Generator(source=_Fixed(beam), seed=3, detector=d, digitisation=QUIET).crossing() for d in (detector, plain)
    )
    assert np.array_equal(one.mipt, other.mipt)
    hit = other.charges > 500
    ratio = one.charges[hit] / other.charges[hit]
    assert 0.03 < ratio.std() < 0.15
    assert ratio.mean() == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("high", [False, True])
def test_code_is_the_truncation_that_decode_undoes(high):
    """Every code stands for an interval; its decoded value is the middle of it."""
    drop = 3 if high else 1
    charge = np.arange(1 << 17)
    codes = s.encode_4e3m(charge, high)
    assert (np.diff(codes.astype(int)) >= 0).all()
    assert set(np.diff(codes.astype(int))) <= {0, 1}
    decoded = decode(codes.astype(np.int64), high)
    for code in np.unique(codes):
        interval = charge[codes == code]
        if interval[-1] != charge[-1]:
            assert decoded[interval[0]] == (interval[0] + interval[-1] + 1) / 2
    assert s.encode_4e3m(np.array([1 << 30]), high).tolist() == [127]
    # the leading one and the three bits below it, from the digits of the number
    for q in charge[:: 1 << 7].tolist():
        digits = f"{q >> drop:b}"
        expected = q >> drop if q >> drop < 8 else ((len(digits) - 3) << 3) + int(digits[1:4], 2)
        assert s.encode_4e3m(np.array([q]), high).tolist() == [expected]
    with pytest.raises(ValueError, match=r"charge: expected 0 to .*, got -3 at index \(1,\)"):
        s.encode_4e3m(np.array([4, -3]), high)


def test_words_carry_the_codes_and_charges_follow_the_chip(detector, busy):
    rows = busy[np.arange(0, len(busy), 97)]
    for order in WordOrder:
        packed = rows.words(order)
        headers, codes = words.unpack(packed, order)
        assert np.array_equal(codes, rows.codes)
        assert set(headers[0]) == {9}
        assert set(headers[1:].ravel()) == {10}
    for i in range(0, len(rows), 25):
        charge = decode(rows.codes[i : i + 1].astype(np.int64), bool(rows.high_density[i]))
        assert np.array_equal(calibrate(charge, detector.calibration[rows.site[i]])[0], rows.charges[i])


def test_equal_seeds_equal_streams(detector):
    source = BunchCrossings(
        sources=(
            TopPairs(),
            PileUp(mean=20),
            MultiParticles(pt_gev=(20, 100)),
            SingleParticles(kind=2, pt_gev=(5, 9)),
        )
    )
    a, b, c = (s.Generator(source=source, seed=seed, detector=detector).crossing() for seed in (1, 1, 2))
    assert np.array_equal(a.codes, b.codes)
    assert not np.array_equal(a.codes, c.codes)


def test_pool_draws_keep_the_particles():
    """Turning about the beam keeps radius and slope; mean particles per interaction is the pool's."""
    particles = PileUp(mean=200).draw(np.random.default_rng(1))
    kind, energy, xy, _slope, offsets = _pool("pool_minbias3k.npz")
    assert len(particles) == pytest.approx(200 * len(kind) / (len(offsets) - 1), rel=0.25)
    assert set(np.unique(particles.energy_gev)) <= set(np.unique(energy))
    radius = np.linalg.norm(xy, axis=1)
    assert np.linalg.norm(particles.xy_mm, axis=1).max() <= radius.max() + 1e-2
    # tracks point away from the beam line (soft ones curl in the field)
    assert (np.sum(particles.xy_mm * particles.slope, axis=1) > 0).mean() > 0.85


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PileUp(mean=-1), "mean pile-up"),
        (lambda: SingleParticles(kind=3, pt_gev=(1, 2)), "kind"),
        (lambda: SingleParticles(kind=0, pt_gev=(2, 1)), "pt_gev"),
        (lambda: MultiParticles(pt_gev=(1, 2), electromagnetic_fraction=2.0), "electromagnetic_fraction"),
        (lambda: Digitisation(leakage=1.0), "leakage"),
        (lambda: Detector(inner_radius_mm=9.0, outer_radius_mm=1.0), "inner_radius_mm"),
        (lambda: _beam(5, [1.0], (0, 0)), r"kind\[0\]"),
        (lambda: _beam(0, [1.0, -1.0], (0, 0)), r"energy_gev\[1\]"),
        (lambda: ShowerLibrary.load("mu"), "kind"),
        (lambda: next(s.Generator(source=TopPairs(), seed=1).stream(0)), "crossings"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
