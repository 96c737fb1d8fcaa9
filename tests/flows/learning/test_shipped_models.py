"""Shipped models do what their cards say, and meet the targets of the project."""

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest

from flows.learning import encoder
from flows.learning.encoder import evaluate_model, evaluation_sample, find_model, seen_by_chip
from flows.learning.training import Training
from sim.hgcal_encoder.files.readers import ChargeTable
from sim.hgcal_encoder.learning.decoder import TrainedModel, model_name, shipped_models, shipped_name
from sim.hgcal_encoder.learning.metric import BINS, earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.search import Search
from sim.hgcal_encoder.learning.training_images import PLAIN
from sim.hgcal_encoder.spec import ECON_T, TNS_2021, EncoderSpec

EVERY = [str(shipped_name(spec, n)) for spec in (ECON_T, TNS_2021) for n in (2, 3, 4, 5)]


def table(card: str, data: str) -> dict[tuple[int, int], tuple[int, float, float]]:
    """Images, median and mean by occupancy bin."""
    rows = re.findall(rf"^\| {data} \| (\d+)-(\d+) \| (\d+) \| ([\d.]+) \| [\d.]+ \| ([\d.]+) \|", card, re.MULTILINE)
    return {(int(r[0]), int(r[1])): (int(r[2]), float(r[3]), float(r[4])) for r in rows}


def test_all_models_are_shipped() -> None:
    assert set(EVERY) <= set(shipped_models())
    for name, path in shipped_models().items():
        model = TrainedModel.load(name)
        assert name.removesuffix("_words") == model_name(model.spec, model.elinks)
        card = path.with_suffix(".md").read_text()
        assert hashlib.sha256(model.weights.to_image()).hexdigest() in card
        assert f"liquidcal train --preset {model.spec.name} --elinks {model.elinks}" in card
        assert "4E3M words" in card
        assert path.stat().st_size < 700_000
        for what in ("Seed|seed", "Date: 20", "tensorflow", "Training images", "simulated", "ttbar", "electron"):
            assert re.search(what, card), (name, what)


@pytest.fixture(scope="module")
def sample() -> ChargeTable:
    return evaluation_sample()


def test_simulated_sample_is_fixed(sample: ChargeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough of every occupancy, and charge by charge what the cards were made with."""
    assert sample.etas is not None
    assert len(sample.etas) == len(sample.charges) == 12892
    hits = occupancy(sample.charges)
    counts = [int(((hits >= low) & (hits <= high)).sum()) for low, high in BINS]
    assert counts == [9106, 1977, 1809]
    monkeypatch.setattr(encoder, "SAMPLE_SCALE", 0.0002)
    one, two = encoder.evaluation_sample(), encoder.evaluation_sample()
    assert np.array_equal(one.charges, two.charges)


@pytest.mark.parametrize("name", EVERY)
def test_shipped_model_keeps_its_card_on_simulated_showers(name: str, sample: ChargeTable) -> None:
    """Every sixth image of the sample: counts by the same rule, median and mean within the sample's errors."""
    card = table(shipped_models()[name].with_suffix(".md").read_text(), "simulated")
    model = TrainedModel.load(name)
    hits = occupancy(sample.charges)
    every = np.arange(len(hits)) % 6 == 0
    seen = seen_by_chip(sample.charges[every], PLAIN)
    emd = earth_movers_distance(sample.charges[every], model.reconstruct(*seen))
    assert {(1, 3), (4, 7), (8, 48)} <= set(card)
    for (low, high), (count, median, mean) in card.items():
        inside = (hits >= low) & (hits <= high)
        assert count == inside.sum()
        found = emd[inside[every]]
        error = 1.25 * found.std() / np.sqrt(len(found))
        assert np.median(found) == pytest.approx(median, abs=5 * error + 0.001)
        assert found.mean() == pytest.approx(mean, abs=5 * error + 0.001)


def test_of_two_models_the_one_from_words_is_taken() -> None:
    """Beside the weights with which figures of hardware were measured."""
    assert shipped_name(ECON_T, 5) == "econ_t_5elinks_words"
    found = find_model(preset="ECON_T", elinks=5)
    assert found.weights == TrainedModel.load("econ_t_5elinks_words").weights
    assert found.weights != TrainedModel.load("econ_t_5elinks").weights
    assert shipped_name(TNS_2021, 5) == "tns_2021_5elinks"
    assert shipped_name(ECON_T, 9) is None
    assert shipped_name(replace(ECON_T, filters=7), 5) is None
    assert shipped_name(replace(ECON_T, reuse=4), 5) == "econ_t_5elinks_words"


@pytest.mark.parametrize("name", [shipped_name(ECON_T, 5), shipped_name(ECON_T, 3)])
def test_search_finds_what_the_network_does_not(name: str, sample: ChargeTable) -> None:
    hits = occupancy(sample.charges)
    rows = np.flatnonzero((hits >= 4) & (hits <= 7))[:60]
    few = ChargeTable(charges=sample.charges[rows], etas=None)
    result = evaluate_model(TrainedModel.load(name), {"few": few}, search=Search(moves=4000))
    (data,) = result["data"]
    assert data["search"]["moves"] == 4000
    network, search = (found["bins"][1]["emd"]["median"] for found in (data, data["search"]))
    assert search < 0.55 * network
    with pytest.raises(ValueError, match="decoding by search needs words"):
        evaluate_model(TrainedModel.load(name), {"few": few}, settings=None, search=Search(moves=8))


#: Medians from words on rows of CMS simulation that no model was trained on: data, occupancy bin, largest.
TARGETS = {
    shipped_name(ECON_T, 5): (
        ("ttbar", (1, 3), 0.30), ("ttbar", (4, 7), 0.45), ("ttbar", (8, 48), 0.52), ("electron", (8, 48), 0.22),
    ),
    shipped_name(ECON_T, 3): (
        ("ttbar", (1, 3), 0.35), ("ttbar", (4, 7), 0.50), ("ttbar", (8, 48), 0.56),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
def test_cards_meet_the_targets(name: str) -> None:
    """Cards that `test_decoder` holds to the models' behaviour."""
    card = shipped_models()[name].with_suffix(".md").read_text()
    for data, occupancy_bin, largest in TARGETS[name]:
        assert table(card, data)[occupancy_bin][1] <= largest


def test_a_decoder_alone_is_trained_at_least_as_long_as_the_shipped_one() -> None:
    """The documented command is that of the card but for its steps, so that it ends where the shipped decoder is."""
    card = shipped_models()["econ_t_5elinks"].with_suffix(".md").read_text()
    documented = Training(elinks=5, fine_tune="econ_t_5elinks.hex", freeze_encoder=True)
    assert f"- Command: `{replace(documented, steps=8000).command}`" in card
    assert "; 8000 steps" in card
    assert documented.plan(1).steps >= 8000
    assert "stopped at the end of its schedule" in card


@pytest.mark.parametrize("spec", [ECON_T, TNS_2021], ids=lambda spec: spec.name)
def test_more_links_decode_better(spec: EncoderSpec) -> None:
    """From 2 to 4 links; 9 bits of a latent carry no more than 7, and the networks for 4 links were trained longer."""
    cards = [shipped_models()[str(shipped_name(spec, n))].with_suffix(".md").read_text() for n in (2, 3, 4, 5)]
    for occupancy_bin in ((4, 7), (8, 48)):
        two, three, four, five = (table(card, "ttbar")[occupancy_bin][2] for card in cards)
        assert two > 1.1 * three
        assert three > 1.01 * four
        assert abs(five / four - 1) < 0.03
