"""Comparison of decoders: changes as calculated by hand, the committed figures judged, another network refused."""

import sys

import numpy as np
import pytest

from benchmarks import decoder_seeds
from benchmarks.measured import RESULTS
from flows.common.metrics import read_metrics
from sim.hgcal_encoder.learning.decoder import shipped_models


def test_changes_are_those_by_hand():
    """1, 2, 6 against 2, 3, 10: medians 2 and 3, means 3 and 5; one change per row of a batch."""
    first, second = np.array([6.0, 1.0, 2.0]), np.array([2.0, 10.0, 3.0])
    assert decoder_seeds.change_of_median(first, second) == pytest.approx(50)
    assert decoder_seeds.change_of_mean(first, second) == pytest.approx(200 / 3)
    both = np.stack([first, second]), np.stack([second, first])
    assert decoder_seeds.change_of_median(*both, axis=-1) == pytest.approx([50, -100 / 3])


def test_no_change_is_beyond_three_percent_by_more_than_its_error():
    """Of all intervals of the median's change none lies above 3 %, nor any change beside its interval."""
    rows = {metric.name: float(metric.value) for metric in read_metrics(RESULTS / "decoder_seeds.json")}
    cases = [name.partition("__")[2] for name in rows if name.startswith("change__")]
    assert len(cases) == 6
    for case in cases:
        change = rows[f"change__{case}"]
        low, high = (rows.get(f"{end}__{case}", change) for end in ("from", "to"))
        assert low <= change <= high
        assert low <= 3, case


def test_a_decoder_of_other_weights_is_refused(monkeypatch):
    other = shipped_models()["econ_t_4elinks_words"]
    monkeypatch.setattr(sys, "argv", ["decoder_seeds", "--model", str(other)])
    with pytest.raises(SystemExit, match="expected the weight image of econ_t_5elinks, got another one"):
        decoder_seeds.main()
