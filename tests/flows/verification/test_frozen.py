"""A frozen encoder, compiled, against the golden model."""

import numpy as np

from flows.common.journal import Journal
from flows.verification.frozen import verify_frozen
from hw.common.export import to_rtlil
from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.frozen_network import (
    FrozenWeights,
)
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL


def test_a_frozen_encoder_sends_the_golden_frames_whatever_is_written_to_it():
    rng = np.random.default_rng(5)
    weights = Weights.random(SMALL, rng)
    journal = Journal()
    verify_frozen(weights, journal, crossings=400)
    assert [check.compared for check in journal.checks] == [400, 400]
    assert journal.passed
    stored = Encoder(spec=SMALL, frozen=FrozenWeights.of(weights))
    assert stored.latency == Encoder(spec=SMALL).latency
    text = to_rtlil(stored, "frozen")
    assert "weights" not in text, "no weight is stored"
