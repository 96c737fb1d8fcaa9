"""Latches against glitches: what they are, and where they are refused."""

import numpy as np
import pytest

from hw.common.export import to_verilog
from hw.common.isolation_latch import IsolationLatch
from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.frozen_network import FrozenWeights
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL


def test_open_while_the_clock_is_low() -> None:
    text = to_verilog(IsolationLatch(width=3), "latch")
    assert "always @*\n    if (!clk) o = i;" in text


def test_a_latch_has_a_width() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        IsolationLatch(width=0)


def test_refused_where_no_weights_are_loaded() -> None:
    frozen = FrozenWeights.of(Weights.random(SMALL, np.random.default_rng(1)))
    with pytest.raises(ValueError, match="expected weights that are loaded"):
        Encoder(spec=SMALL, frozen=frozen, isolation=True)
