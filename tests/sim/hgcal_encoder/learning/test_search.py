"""Decoding by search, against the golden model and modules whose words are known."""

from dataclasses import replace

import numpy as np
import pytest

from sim.engine import Engine
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.frame import counter, frame
from sim.hgcal_encoder.front_end import by_trigger_cell, levels, pedestals, seen_charges
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.learning import search as searching
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.search import Search, search
from sim.hgcal_encoder.learning.training_images import PLAIN
from sim.hgcal_encoder.normalise import leading_one
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
    conv_layer, dense_layer = searching._layers(weights)
    places = searching._places(weights)
    table = np.ascontiguousarray(LEVELS)
    # a sum that stays: the last cell takes what the others leave
    shift = int(leading_one(np.array([60_000]))[0]) - spec.pixel.fraction
    chosen, pixels = np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64)
    sums = np.tile(conv_layer[1], spec.positions).astype(np.int64)
    totals = dense_layer[1].astype(np.int64)
    for index, value in enumerate(sums):
        totals += dense_layer[0][index, conv_layer[3][value - conv_layer[2]]]
    log = np.empty((4096, 2), np.int64)
    network, state = (shift, table, places, conv_layer, dense_layer), (chosen, pixels, sums, totals)
    for _ in range(400):
        searching._change(int(rng.integers(CELLS)), int(rng.integers(0, 60)), network, state, log, 0)
    charges = table[np.arange(CELLS), chosen]
    image = charges >> shift
    found = dense_layer[3][totals - dense_layer[2]]
    # the golden model's stages behind normalisation
    grid = to_grid(np.minimum(image, spec.pixel.max_code)[None], spec)
    activations = convolve(grid, weights.kernel, weights.kernel_bias, spec).reshape(1, -1)
    np.testing.assert_array_equal(found, dense(activations, weights.dense, weights.dense_bias, spec)[0])


def test_words_of_few_cells_are_found_again():
    model = TrainedModel.load("econ_t_5elinks")
    charges = modules(60, 3)
    seen = seen_charges(charges, PLAIN)
    np.testing.assert_array_equal(np.where(charges > 0, charges, 1), seen)
    known = model.reconstruct(seen, LEVELS[:, 0])
    latents, codes = model._sent(seen)
    found, misfits, cells = search(
        latents, codes, np.rint(known).astype(np.int64), LEVELS, weights=model.weights, kept_bits=model.kept_bits,
        multiplexer=model.multiplexer, how=Search(moves=20_000),
    )  # fmt: skip
    fits = misfits < 0.01
    assert fits.mean() > 0.7
    assert np.abs(cells[fits] - 3).mean() < 0.5
    # where every state fits, the golden model answers with the latents that arrived
    again = np.where(found > 0, np.rint(found), LEVELS[:, 0]).astype(np.int64)[:, model.multiplexer]
    single = fits & (found == np.rint(found)).all(axis=1)
    assert single.sum() > 20
    answers = Encoder(model.spec, model.weights, engine=Engine.NUMPY).latents(again[single])
    np.testing.assert_array_equal(answers, latents[single])
    assert (np.rint(found) == charges).all(axis=1).mean() > 0.6


def test_a_frame_decodes_alike_in_any_company():
    model = TrainedModel.load("econ_t_3elinks")
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
        ({"moves": 0}, "moves"), ({"penalty": -1.0}, "penalty"), ({"first_weight": 0.0}, "first_weight"),
        ({"annealed": 1.0}, "annealed"), ({"tolerance": 0.0}, "tolerance"),
    ],
)  # fmt: skip
def test_illegal_searches_are_refused(wrong, what):
    with pytest.raises(ValueError, match=what):
        Search(**wrong)


def test_many_cells_are_trusted_less():
    how = Search(tolerance=6.0)
    np.testing.assert_allclose(how.trust(np.array([0.0, 6.0, 6.0]), np.array([48, 12, 24])), [1 / 9, 0.5, 2 / 9])
