"""Decoding by search, against the golden model and modules whose words are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from sim.engine import Engine
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.detector.geometry import ground_distance
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.frame import counter, frame
from sim.hgcal_encoder.front_end import by_trigger_cell, levels, pedestals, seen_charges
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.learning import search_network, search_prior, search_sampler
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_name
from sim.hgcal_encoder.learning.search import Search, search
from sim.hgcal_encoder.learning.training_images import PLAIN
from sim.hgcal_encoder.normalise import leading_one, normalise
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, ECON_T, ECON_T_EXACT, TNS_2021
from sim.hgcal_encoder.weights import Weights

LEVELS = by_trigger_cell(levels(PLAIN), PLAIN).T


def modules(count, cells, seed=0):
    """Charges that words carry exactly, in `cells` trigger cells of each module."""
    rng = np.random.default_rng(seed)
    charges = np.zeros((count, CELLS), np.int64)
    for row in charges:
        row[rng.permutation(CELLS)[:cells]] = LEVELS[0, rng.integers(8, 60, cells)]
    return charges


@pytest.mark.parametrize(
    "spec", [ECON_T, TNS_2021, ECON_T_EXACT, replace(ECON_T, conv_sum_width=9, dense_sum_width=10)]
)
def test_changed_cells_give_the_latents_of_the_golden_model(spec):
    rng = np.random.default_rng(1)
    shapes = {"kernel": (spec.kernel_taps, spec.filters), "dense": (spec.activations, spec.latents)}
    low, high = spec.weight.min_code, spec.weight.max_code
    codes = {name: rng.integers(low, high + 1, shape) for name, shape in shapes.items()}
    codes["kernel"] = codes["kernel"].reshape(*spec.kernel, spec.grid[2], spec.filters)
    biases = {
        "kernel_bias": rng.integers(low, high + 1, spec.filters),
        "dense_bias": rng.integers(low, high + 1, spec.latents),
    }
    weights = Weights(spec=spec, **codes, **biases)
    conv_layer, dense_layer = search_network.layers(weights)
    places = search_network.places(weights)
    table = np.ascontiguousarray(LEVELS)
    # a sum that stays: the last cell takes what the others leave
    shift = int(leading_one(np.array([60_000]))[0]) - spec.pixel.fraction
    chosen, pixels = np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64)
    sums, totals = search_network.first_sums(conv_layer, dense_layer, spec.positions)
    network, state = (shift, table, places, conv_layer, dense_layer), (chosen, pixels, sums, totals)
    for _ in range(400):
        search_network.change(int(rng.integers(CELLS)), int(rng.integers(0, 60)), network, state)
    charges = table[np.arange(CELLS), chosen]
    image = charges >> shift
    found = dense_layer[3][totals - dense_layer[2]]
    # the golden model's stages behind normalisation
    grid = to_grid(np.minimum(image, spec.pixel.max_code)[None], spec)
    activations = convolve(grid, weights.kernel, weights.kernel_bias, spec).reshape(1, -1)
    np.testing.assert_array_equal(found, dense(activations, weights.dense, weights.dense_bias, spec)[0])


@pytest.fixture(scope="module")
def five_links():
    return TrainedModel.load("econ_t_5elinks")


def found_by(model, seen, moves):
    latents, codes = model._sent(seen)
    known = model.reconstruct(seen, LEVELS[:, 0])
    found = search(
        latents, codes, known, LEVELS, weights=model.weights, kept_bits=model.kept_bits, odds=model.search_odds,
        multiplexer=model.multiplexer, how=Search(moves=moves),
    )  # fmt: skip
    return latents, found


def test_words_of_few_cells_are_found_again(five_links):
    charges = modules(60, 3)
    seen = seen_charges(charges, PLAIN)
    np.testing.assert_array_equal(np.where(charges > 0, charges, 1), seen)
    latents, found = found_by(five_links, seen, 4000)
    fits = found.misfits < 0.01
    assert fits.mean() > 0.8
    assert np.abs(found.cells[fits] - 3).mean() < 0.5
    # where every state fits, the golden model answers with the latents that arrived
    annealed = found.annealed
    again = np.where(annealed > 0, np.rint(annealed), LEVELS[:, 0]).astype(np.int64)[:, five_links.multiplexer]
    single = fits & (annealed == np.rint(annealed)).all(axis=1)
    assert single.sum() > 20
    answers = Encoder(five_links.spec, five_links.weights, engine=Engine.NUMPY).latents(again[single])
    np.testing.assert_array_equal(answers, latents[single])
    # cells at random are unlike any shower: what fits is not always what was sent
    assert (np.rint(annealed) == charges).all(axis=1).mean() > 0.5


def test_linear_model_is_the_golden_model_on_average(five_links):
    # of modules with many cells
    spec, charges = five_links.spec, modules(200, 14, seed=5)
    rng = np.random.default_rng(6)
    charges = np.where(charges > 0, LEVELS[0, rng.integers(30, 50, charges.shape)], 0)
    seen = seen_charges(charges, PLAIN)[:, five_links.multiplexer]
    pixels = normalise(seen, spec.pixel)[1]
    latents = Encoder(spec, five_links.weights, engine=Engine.NUMPY).latents(seen)
    model, occupied = search_network.linear(five_links.weights), pixels > 0
    covered = np.zeros((len(pixels), spec.positions), bool)
    for position, taps in enumerate(spec.taps):
        covered[:, position] = occupied[:, [cell for cell, _ in taps]].any(axis=1)
    bias = five_links.weights.dense_bias * 2.0 ** (spec.latent.fraction - spec.weight.fraction)
    within = (latents > 0) & (latents < spec.latent.max_code)
    errors = [
        (linear[:, :-1] + bias - latents)[within]
        for linear in (
            pixels @ model.slopes + occupied @ model.losses + covered @ model.covers,
            pixels @ model.slopes,
        )
    ]
    # as much is lost in cutting off products as the model says, within a half
    assert abs(errors[0].mean()) < errors[1].mean() / 2
    assert errors[0].std() < errors[1].std()
    assert errors[0].std() < 8


def test_one_cell_is_drawn_with_its_odds():
    # one cell of 48 may hold charge: odds by the sampler against those of the normal distribution, written out
    bounds = search_sampler.spans()
    count, size = len(bounds), 3
    rng = np.random.default_rng(8)
    slope, own = rng.normal(0, 0.2, size), rng.normal(0, 0.5, size)
    price = np.full((2, count), 50.0)
    price[1, 0] = 0.0
    price[0, 0], price[0, 4], price[0, 5] = np.log([2.0, 4.0, 4.0])
    centres, variances = np.zeros((CELLS, count)), np.ones((CELLS, count))
    centres[7, 4], centres[7, 5], variances[7, 4], variances[7, 5] = 3.0, 6.0, 1.5, 4.0
    slopes, losses = np.zeros((CELLS, size)), np.zeros((CELLS, size))
    slopes[7], losses[7] = slope, own
    kinds = np.ones(CELLS, np.int64)
    kinds[7] = 0
    sigmas, target = np.array([1.0, 0.5, 2.0]), np.array([0.7, 0.2, -0.4])
    ends = np.zeros(CELLS + 1, np.int64)
    places = (ends, np.zeros(0, np.int64), np.zeros(0, np.int64))
    word = np.array([12345], np.uint64)
    drawn = np.zeros(count)
    octave = np.zeros(CELLS, np.int64)
    inverse, rest = np.diag(1.0 / sigmas), target.copy()
    work = (np.empty(size), np.empty(size), np.empty(size), np.empty(count), np.empty(count))
    model = (slopes, places, losses, np.zeros((1, size)))
    for _ in range(3000):
        search_sampler._sweep(
            word, octave, model, (centres, variances), price, kinds, inverse, rest, np.zeros(1, np.int64), work
        )
        drawn[octave[7]] += 1
    # what the sampler carries along is what it would be anew
    k = octave[7]
    covariance = np.diag(sigmas) + (variances[7, k] * np.outer(slope, slope) if k else 0.0)
    np.testing.assert_allclose(inverse, np.linalg.inv(covariance), atol=1e-8)
    np.testing.assert_allclose(rest, target - (own + centres[7, k] * slope if k else 0.0), atol=1e-8)
    weights = [0.5 * multivariate_normal(np.zeros(size), np.diag(sigmas)).pdf(target)]
    for k in (4, 5):
        spread = np.diag(sigmas) + variances[7, k] * np.outer(slope, slope)
        weights.append(0.25 * multivariate_normal(own + centres[7, k] * slope, spread).pdf(target))
    # correlated draws: the cell is drawn about once in a sweep
    np.testing.assert_allclose(drawn[[0, 4, 5]] / 3000, np.array(weights) / sum(weights), atol=0.05)


def test_nearest_code_is_found_from_any_code():
    table = LEVELS[0]
    charges = np.concatenate([table, (table[1:] + table[:-1]) / 2, [-5.0, 0.0, 1e9]])
    for charge in charges[::3]:
        distances = np.abs(table - charge)
        expected = int(distances.argmin())  # the lower of two
        assert search_network.nearest(charge, table) == expected
        assert {search_network.nearest_from(charge, table, code) for code in (0, 5, 60, 127)} == {expected}


def test_octaves_are_the_exponents_of_the_codes():
    found = search_sampler.octaves()
    assert found[[0, 1, 3, 4, 7, 8, 15, 16, 127]].tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 17]
    assert search_sampler.spans()[[0, 1, 2, 3, 17]].tolist() == [[0, 0], [1, 3], [4, 7], [8, 15], [120, 127]]


def test_odds_are_counted():
    # one cell that the network sees right three times of four, and once holds nothing: all others are empty
    rows = 4000
    known, charges = np.zeros((rows, CELLS)), np.zeros((rows, CELLS))
    known[:, 20] = LEVELS[0, 44]
    charges[:, 20] = np.where(np.arange(rows) % 4, LEVELS[0, 44], 0)
    prices = search_prior.odds(known, charges, LEVELS[None])
    np.testing.assert_allclose(np.exp(-prices).sum(axis=1), 1.0, atol=1e-4)
    kind = search_prior.kinds(known[:1], LEVELS[None])[0]
    own = np.exp(-prices[kind[20]])
    np.testing.assert_allclose([own[0], own[41:48].sum()], [0.25, 0.75], atol=0.03)
    # a far cell, and a neighbour, which is of another kind
    far = int(ground_distance()[20].argmax())
    assert kind[far] != kind[search_prior.neighbours()[20][0]]
    assert np.exp(-prices[kind[far], 0]) > 0.99


def test_a_frame_decodes_alike_in_any_company():
    model = TrainedModel.load(str(shipped_name(ECON_T, 3)))
    seen = seen_charges(modules(9, 6, seed=3), PLAIN)
    how = Search(moves=500)
    whole = model.reconstruct_by_search(seen, LEVELS, how)
    # but for rounding of the network's sums, which depend on the number of rows
    np.testing.assert_allclose(model.reconstruct_by_search(seen[4:5], LEVELS, how)[0], whole[4], rtol=1e-4)
    levels_of_each = np.repeat(LEVELS[None], 9, axis=0)
    np.testing.assert_array_equal(model.reconstruct_by_search(seen, levels_of_each, how), whole)
    with pytest.raises(ValueError, match=r"levels: expected shape \(48, 128\) or \(9, 48, 128\), got \(48, 127\)"):
        model.reconstruct_by_search(seen, LEVELS[:, 1:], how)
    settings = Settings(
        spec=model.spec, high_density=False, select=model.multiplexer, keep_mask=model.keep_mask, etx_count=3
    )
    latents, codes = model._sent(seen)
    frames = frame(counter(np.arange(9)), codes, latents, settings.keep_mask, 3, model.spec)
    np.testing.assert_array_equal(model.decode_frames_by_search(frames, LEVELS, how), whole)


def test_levels_are_the_charges_of_every_word():
    factors = np.random.default_rng(2).integers(0, 4096, CELLS)
    settings = replace(PLAIN, high_density=True, factors=factors)
    table = levels(settings)
    np.testing.assert_array_equal(table[0], pedestals(settings))
    # by the published 4E3M rule: 8 + mantissa, doubled for each exponent above 1, in steps of 8 counts, and half a step
    for code in (0, 5, 8, 44, 127):
        exponent, mantissa = divmod(code, 8)
        steps = mantissa if exponent == 0 else (8 + mantissa) << (exponent - 1)
        middle = (steps << 3) + (4 << max(exponent - 1, 0))
        np.testing.assert_array_equal(table[code], middle * factors >> 11)


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"moves": 0}, "moves"), ({"tolerance": 0.0}, "tolerance"),
    ],
)  # fmt: skip
def test_illegal_searches_are_refused(wrong, what):
    with pytest.raises(ValueError, match=what):
        Search(**wrong)


def test_many_cells_are_trusted_less():
    trust = Search(tolerance=3.0).trust(np.array([0.0, 3.0, 3.0]), np.array([2.0, 8.0, 16.0]), 112)
    np.testing.assert_allclose(trust, [1.0, 1 / 2, 1 / 8])
