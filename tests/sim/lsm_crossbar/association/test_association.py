"""Projection, match and registers of the association chip against brute force; training against its formulas."""

from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest

from sim.lsm_crossbar.association.example_specs import small_binary, small_chip
from sim.lsm_crossbar.association.match import anchored_entries, as_entries, best, similarities
from sim.lsm_crossbar.association.model import Association, TrainedAssociation
from sim.lsm_crossbar.association.projection import Projection, embed, quantise_projection
from sim.lsm_crossbar.association.registers import address_width, entry_words, entry_writes, projection_writes
from sim.lsm_crossbar.association.spec import DIGITS_8BIT, PRESETS, Activation, AssociationSpec
from sim.lsm_crossbar.association.training import (
    Samples,
    Scatter,
    TrainingOptions,
    balanced_batch,
    both_ways,
    contrastive_loss,
    fit,
    fit_words,
)
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.audio import Cochlea
from sim.lsm_crossbar.recordings.events import ENCODINGS

SMALL = small_chip()


@pytest.mark.parametrize("activation", list(Activation))
def test_embedding_is_the_formula_in_rationals(activation: Activation) -> None:
    spec = replace(SMALL, activation=activation)
    scores = np.array([-1000, -129, -65, -64, -9, -8, -1, 0, 1, 7, 8, 63, 64, 127, 500])
    for shift in (0, 1, 4, 31):
        expected = []
        for score in scores.tolist():
            value = Fraction(score)
            if value < 0 and activation is Activation.RELU:
                value = Fraction(0)
            if value < 0 and activation is Activation.LEAKY:
                value = Fraction(floor(value / 8))
            expected.append(min(max(floor(value / 2**shift), -16), 15))
        assert embed(scores, shift, spec).tolist() == expected
    with pytest.raises(ValueError, match="shift: expected 0 to 31, got 32"):
        embed(scores, 32, spec)


def test_binary_embedding_is_the_sign_and_similarity_counts_equal_ones() -> None:
    spec = small_binary()
    assert embed(np.array([-7, -1, 0, 1, 9]), 0, spec).tolist() == [-1, -1, 0, 0, 0]
    rng = np.random.default_rng(1)
    queries, entries = (rng.integers(-1, 1, (n, spec.dimensions)) for n in (7, 5))
    by_hand = [[sum(1 if a == b else -1 for a, b in zip(q, e, strict=True)) for e in entries] for q in queries]
    assert similarities(queries, entries, spec).tolist() == by_hand


def test_similarity_is_the_dot_product_and_the_lowest_of_equals_wins() -> None:
    rng = np.random.default_rng(2)
    queries, entries = (rng.integers(-16, 16, (n, SMALL.dimensions)) for n in (6, 9))
    entries[4] = entries[1]
    found = similarities(queries, entries, SMALL)
    assert found.tolist() == [
        [sum(int(a) * int(b) for a, b in zip(q, e, strict=True)) for e in entries] for q in queries
    ]
    assert best(found).tolist() == [row.index(max(row)) for row in found.tolist()]
    # the largest similarity that there is, just fits
    widest = similarities(np.full((1, 5), -16), np.full((1, 5), -16), SMALL)[0, 0]
    assert widest == 5 * 256 < 1 << SMALL.similarity_width - 1
    with pytest.raises(ValueError, match="query"):
        similarities(np.full((1, 5), 16), entries, SMALL)
    with pytest.raises(ValueError, match=r"entries: expected the shape \(n, 5\)"):
        similarities(queries, entries[:, :4], SMALL)


def test_entries_have_one_length_so_that_the_dot_product_orders_as_the_cosine() -> None:
    rng = np.random.default_rng(3)
    vectors = np.abs(rng.normal(size=(50, 64))) * np.geomspace(0.01, 100, 50)[:, None]
    stored = as_entries(vectors, DIGITS_8BIT).astype(float)
    assert np.linalg.norm(stored, axis=1) == pytest.approx(254, rel=0.02)
    cosine = (stored * vectors).sum(1) / np.linalg.norm(stored, axis=1) / np.linalg.norm(vectors, axis=1)
    assert cosine.min() > 0.9995
    assert not as_entries(np.zeros((1, 64)), DIGITS_8BIT).any()


def test_anchors_compare_similarities_of_both_sides() -> None:
    """By hand: a query's entry score is the inner product of both sides' centred similarities to their own anchors."""
    rng = np.random.default_rng(4)
    own, other = rng.normal(size=(2, 3, 64))
    candidates, query = rng.normal(size=(5, 64)), rng.normal(size=64)
    stored = anchored_entries(candidates * 100, own, other, DIGITS_8BIT).astype(float)

    def unit(v: np.ndarray) -> np.ndarray:
        return v / np.linalg.norm(v, axis=-1, keepdims=True)

    for candidate, entry in zip(candidates, stored, strict=True):
        known = np.array([unit(candidate) @ unit(a) for a in own])
        heard = np.array([query @ unit(a) for a in other])
        exact = (known - known.mean()) @ (heard - heard.mean())
        direction = sum((k - known.mean()) * (unit(a) - unit(other).mean(0)) for k, a in zip(known, other, strict=True))
        assert query @ entry / np.linalg.norm(entry) == pytest.approx(exact / np.linalg.norm(direction), abs=0.05)
    with pytest.raises(ValueError, match="two or more words"):
        anchored_entries(candidates, own[:1], other[:1], DIGITS_8BIT)


def test_memory_words_and_writes() -> None:
    """Each component is found again at the place that the register map says, bit by bit."""
    rng = np.random.default_rng(5)
    entries = rng.integers(-16, 16, (8, 5))
    words = entry_words(SMALL, entries)
    assert len(words) == 3 * 5  # three passes of three entries
    for entry in range(9):
        for component in range(5):
            raw = words[entry // 3 * 5 + component] >> entry % 3 * 5 & 31
            expected = int(entries[entry, component]) if entry < 8 else 0
            assert (raw - 32 if raw & 16 else raw) == expected
    binary = small_binary()
    signs = rng.integers(-1, 1, (4, 5))
    assert entry_words(binary, signs) == [sum(-int(s) << d for d, s in enumerate(row)) for row in signs]
    memory: dict[int, int] = {}
    writes = entry_writes(SMALL, 1, entries)
    for address, data in writes:
        assert 0 <= address < 1 << address_width(SMALL)
        assert 0 <= data < 256
        memory[address] = data
    assert len(memory) == len(writes)  # no byte is written twice
    first = 3 << address_width(SMALL) - 2
    # audio comes after the 15 words of vision; a word of 15 bits is two bytes
    for number, word in enumerate(words):
        at = first + (15 + number) * 2
        assert memory[at] | memory[at + 1] << 8 == word
    with pytest.raises(ValueError, match="up to 9"):
        entry_words(SMALL, np.zeros((10, 5), np.int64))


def test_specs_are_written_and_read_and_refused() -> None:
    for spec in (*PRESETS.values(), SMALL, small_binary()):
        assert AssociationSpec.from_toml(spec.to_toml()) == spec
    for change, message in (
        ({"embedding_bits": 0}, "embedding_bits: expected 1 to 12"),
        ({"embedding_bits": True}, "embedding_bits: expected an integer"),
        ({"match_lanes": 2}, "does not divide the 9 entries"),
        ({"activation": "gelu"}, "activation: expected linear, relu, leaky"),
        ({"embedding_bits": 1}, "match_lanes: expected 1"),
        ({"audio": replace(SMALL.audio, outputs=4)}, "5 dimensions of images and 4 of speech"),
        ({"audio": replace(SMALL.audio, clock_period_ns=8.0)}, "expected one clock"),
        ({"vision": replace(SMALL.vision, noise_scale=3)}, "vision.noise_scale"),
        ({"vision": replace(SMALL.vision, steps=1, windows=1)}, "vision.steps: expected at least 2"),
        ({"vision": 3}, "vision: expected the spec of a crossbar"),
        ({"name": "module"}, "word of Verilog"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(SMALL, **change)
    for text, message in (
        ("name = 3\nentries = nan", "vision: expected a table"),
        (SMALL.to_toml().replace("inputs = 20", "inputs = 2.5"), "vision: inputs: expected an integer"),
        (SMALL.to_toml().replace("entries", "anchors"), "unknown fields anchors"),
        ("[", "not a TOML file"),
    ):
        with pytest.raises(ValueError, match=message):
            AssociationSpec.from_toml(text)


def test_quantised_projection_uses_the_range_and_saturates_rarely() -> None:
    rng = np.random.default_rng(6)
    crossbar = DIGITS_8BIT.vision
    counts = rng.integers(0, 4, (200, crossbar.windows, crossbar.all_neurons))
    weights = rng.normal(size=(64, crossbar.features)) / 30
    bias = -weights @ counts.reshape(200, -1).mean(0)
    made = quantise_projection(weights, bias, counts, 0, DIGITS_8BIT)
    assert np.abs(made.readout.weights).max() in (127, 128)
    exact = np.maximum(counts.reshape(200, -1) @ weights.T + bias, 0)
    found = made.embed(counts)
    assert 40 < found.max() <= 127
    assert np.corrcoef(exact.ravel(), found.ravel())[0, 1] > 0.995
    with pytest.raises(ValueError, match="expected weights of shape"):
        quantise_projection(weights[:, :5], bias, counts, 0, DIGITS_8BIT)


def test_loss_is_the_textbook_formula_and_its_gradient() -> None:
    rng = np.random.default_rng(7)
    u, w = rng.normal(size=(2, 6, 4))
    seen, heard = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 0, 2])
    loss, by_u, by_w = contrastive_loss(u, w, seen, heard, 0.3)
    norm_u, norm_w = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (u, w))
    logits = norm_w @ norm_u.T / 0.3
    expected = 0.0
    for table, rows, columns in ((logits, heard, seen), (logits.T, seen, heard)):
        for i in range(6):
            log_p = table[i] - np.log(np.exp(table[i]).sum())
            mates = columns == rows[i]
            expected -= log_p[mates].mean() / 6 / 2
    assert loss == pytest.approx(expected, rel=1e-6)
    for array, gradient in ((u, by_u), (w, by_w)):
        for place in ((0, 0), (3, 2), (5, 3)):
            values = []
            for step in (1e-5, -1e-5):
                array[place] += step
                values.append(contrastive_loss(u, w, seen, heard, 0.3)[0])
                array[place] -= step
            assert gradient[place] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-6)


def toy(n: int, seed: int) -> Samples:
    """Counts of both modalities for three classes that lines can tell apart."""
    rng = np.random.default_rng(seed)
    centres = [
        np.random.default_rng(8 + m).uniform(0, 2.5, (3, c.windows, c.all_neurons))
        for m, c in enumerate(SMALL.crossbars)
    ]
    labels = [rng.integers(0, 3, n), rng.integers(0, 3, n)]
    counts = [
        np.clip(np.rint(rng.normal(centre[label], 0.5)), 0, crossbar.count_max).astype(np.int64)
        for centre, label, crossbar in zip(centres, labels, SMALL.crossbars, strict=True)
    ]
    return Samples(counts=(counts[0], counts[1]), labels=(labels[0], labels[1]))


def test_training_brings_classes_together_and_is_repeatable() -> None:
    training, validation, test = toy(200, 1), toy(60, 2), toy(60, 3)
    options = TrainingOptions(batch=32, epochs=15)
    spec = replace(SMALL, activation=Activation.LINEAR)
    made = fit(spec, training, validation, options)
    assert min(both_ways(spec, made.projections, test)) > 0.85
    again = fit(spec, training, validation, options)
    assert all(
        np.array_equal(a.readout.weights, b.readout.weights) and a.shift == b.shift
        for a, b in zip(made.projections, again.projections, strict=True)
    )
    # with labels of one modality shuffled there is nothing to learn
    wrong = Samples(
        counts=training.counts, labels=(training.labels[0], np.random.default_rng(9).permutation(training.labels[1]))
    )
    assert max(both_ways(spec, fit(spec, wrong, wrong, options).projections, test)) < 0.7


def test_batches_pair_equal_classes() -> None:
    seen, heard = np.array([0, 1, 1, 2, 5]), np.array([1, 2, 2, 0, 7])
    images, clips = balanced_batch(np.random.default_rng(1), seen, heard, 300)
    assert (seen[images] == heard[clips]).all()
    assert np.bincount(seen[images]).min() > 60  # classes 0, 1 and 2 alike; 5 and 7 have no partner


def test_model_file_is_read_as_written_and_refused_when_damaged(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    projections = [
        Projection(
            SMALL,
            Readout(c, rng.integers(-8, 8, (5, c.windows, c.all_neurons)), rng.integers(-50, 50, 5)), 3 + m,
        )
        for m, c in enumerate(SMALL.crossbars)
    ]  # fmt: skip
    hashes = [draw(c, 4).sha256 for c in SMALL.crossbars]
    model = TrainedAssociation(
        spec=SMALL, seeds=(4, 4), conductances_sha256=(hashes[0], hashes[1]),
        encoding=replace(ENCODINGS["centre_crop"], columns=4, rows=4), step_us=100, cochlea=Cochlea(channels=7),
        projections=(projections[0], projections[1]),
    )  # fmt: skip
    model.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        stored = dict(file)
    # the encoding is stored by name, and this name stands for one with more word lines than the chip has
    with pytest.raises(ValueError, match="centre_crop drives 256 word lines"):
        TrainedAssociation.load(tmp_path / "m.npz")
    for name, value, message in (
        ("seeds", np.array([1.5, 2]), "seeds: expected integers"),
        ("seeds", np.array([1, -2]), "seeds: expected two numbers"),
        ("audio_shift", np.array(40), "shift: expected 0 to 31, got 40"),
        ("vision_weights", stored["vision_weights"] + 100, "readout weight"),
        ("cochlea", np.array('{"channels": 3}'), "cochlea: expected the fields"),
        ("encoding", np.array("none"), "encoding: expected"),
    ):
        np.savez(tmp_path / "bad.npz", **(stored | {name: value}))
        with pytest.raises(ValueError, match=message):
            TrainedAssociation.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", association=stored["association"])
    with pytest.raises(ValueError, match="seeds, encoding, step_us, cochlea"):
        TrainedAssociation.load(tmp_path / "bad.npz")
    with pytest.raises(FileNotFoundError, match="no such model file"):
        TrainedAssociation.load("nothing")
    chip = model.chip("numpy")
    matched = chip.match(0, np.zeros((2, 6, 20), bool))
    assert matched.entries.tolist() == [-1, -1]  # nothing stored, nothing found
    with pytest.raises(ValueError, match="stores up to 9, got 10"):
        chip.store(0, np.zeros((10, 5), np.int64))
    with pytest.raises(ValueError, match="of another spec"):
        Association(replace(SMALL, name="OTHER"), model.conductances, projections)
    writes = projection_writes(SMALL, 1, projections[1])
    assert (2 << address_width(SMALL) - 2 | 4, 4) in writes  # shift of audio


def test_the_candidate_that_anchors_are_sure_of_is_found() -> None:
    """Two words, candidates between them: all entries point the same two ways, and the clearest one has the longest."""
    own, other = np.eye(64)[:2] * 50, np.eye(64)[2:4] * 50
    shares = np.array([0.6, 0.9, 0.55, 0.2])
    candidates = np.outer(shares, own[0]) + np.outer(1 - shares, own[1])
    stored = anchored_entries(candidates, own, other, DIGITS_8BIT)
    queries = np.stack([other[0] + other[1] / 2, other[1]]).astype(int)
    assert best(similarities(queries, stored, DIGITS_8BIT)).tolist() == [1, 3]


def test_words_are_told_apart_by_what_takes_do_not_vary_in() -> None:
    """Counts vary most where takes do; the projection turns to where classes differ, new ones too."""
    rng = np.random.default_rng(8)
    spec = replace(small_chip(), name="WORDS", activation=Activation.LINEAR, embedding_bits=8)
    sizes = [(c.windows, c.all_neurons, c.count_max) for c in spec.crossbars]
    labels = np.repeat(np.arange(6), 60)
    counts = []
    for windows, neurons, most in sizes:
        level = rng.integers(0, 2, (6, windows * neurons)) * (np.arange(windows * neurons) % 2)
        loud = rng.integers(0, 2, (len(labels), 1)) * (np.arange(windows * neurons) % 2 == 0)
        flat = np.clip(level[labels] + loud * 2 + (rng.random((len(labels), windows * neurons)) < 0.1), 0, most)
        counts.append(flat.reshape(-1, windows, neurons))
    samples = Samples(counts=(counts[0], counts[1]), labels=(labels, labels))
    new = labels >= 4

    def one_shot(vectors: np.ndarray) -> float:
        """Share of the two words that were not learnt from that are nearest to the one example of theirs."""
        unit = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9)
        shares = [(unit @ unit[[i, 60 + i]].T).argmax(1) == labels[new] - 4 for i in range(60)]
        return float(np.mean(shares))

    for projection, part in zip(fit_words(spec, samples, range(4)), counts, strict=True):
        flat = part.reshape(len(part), -1).astype(float)
        found = one_shot(projection.embed(part[new]).astype(float))
        assert found > one_shot((flat - flat[~new].mean(0))[new]) + 0.05
        assert found > 0.75
    with pytest.raises(ValueError, match="activation: expected linear, got leaky"):
        fit_words(small_chip(), samples, range(4))
    with pytest.raises(ValueError, match="classes: expected two or more"):
        fit_words(spec, samples, [1])


def test_scatter_of_a_choice_of_classes_is_that_of_its_samples() -> None:
    rng = np.random.default_rng(9)
    counts, labels = rng.integers(0, 5, (50, 2, 3)), rng.integers(0, 4, 50)
    mean, scatter, within = Scatter(counts, labels).of([0, 2])
    flat = counts.reshape(50, 6)[np.isin(labels, [0, 2])]
    chosen = labels[np.isin(labels, [0, 2])]
    assert np.allclose(mean, flat.mean(0))
    assert np.allclose(scatter, np.cov(flat.T, bias=True))
    parts = [np.cov(flat[chosen == c].T, bias=True) * np.mean(chosen == c) for c in (0, 2)]
    assert np.allclose(within, sum(parts))
