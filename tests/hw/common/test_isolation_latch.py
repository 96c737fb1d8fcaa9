"""Latches against glitches: what they are, and where they are refused."""

from dataclasses import replace

import pytest

from hw.common.export import to_verilog
from hw.common.isolation_latch import IsolationLatch
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.encoder import Encoder
from tests.specs import SMALL


def test_open_while_the_clock_is_low() -> None:
    text = to_verilog(IsolationLatch(width=3), "latch")
    assert "always @*\n    if (!clk) o = i;" in text


def test_a_latch_has_a_width() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        IsolationLatch(width=0)


@pytest.mark.parametrize("part", [Encoder, Chip])
def test_refused_where_multipliers_are_reused(part: type) -> None:
    with pytest.raises(ValueError, match="reuses multipliers 2 times"):
        part(spec=replace(SMALL, reuse=2), isolation=True)
