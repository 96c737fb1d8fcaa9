"""Clocks of the crossbar chip, counted by hand from the timing of the data sheet."""

import numpy as np
import pytest

from sim.lsm_crossbar.example_specs import campaign_spec, stacked_spec
from sim.lsm_crossbar.timing import driven_rows, readout_clocks, sample_timing, step_clocks

SPEC = campaign_spec()
"""4 rows a read, 4 pairs an ADC, settling 2 clocks, a conversion 2: a read lasts 2 + 4 * 2 = 10 clocks."""


@pytest.mark.parametrize(
    ("rows", "clocks"),
    [
        # row driver sees "nothing" after 1, four selects, difference, spikes
        (0, 7),
        # one row set in clock 1, sampled in 2, read in 10, difference and spike registers
        (1, 2 + 10 + 2),
        (4, 5 + 10 + 2),
        # the fifth row is set while the first four are converted
        (5, 5 + 10 + 10 + 2),
        (12, 5 + 3 * 10 + 2),
    ],
)
def test_clocks_of_a_step(rows: int, clocks: int) -> None:
    assert step_clocks(SPEC, rows) == clocks


def test_a_tile_reads_its_macros_one_after_another() -> None:
    """Five rows of one macro and one of the next but one: batches of 4, 1 and 1."""
    tile = stacked_spec()
    assert step_clocks(tile, [5, 0, 1, 0]) == 5 + 3 * 10 + 2
    assert step_clocks(tile, [0, 0, 0, 0]) == step_clocks(SPEC, 0)
    inputs, spikes = np.zeros((1, 6, 20), bool), np.zeros((1, 6, 10), bool)
    inputs[0, 1, [0, 7, 8, 19]] = True
    spikes[0, 0, [0, 3, 9]] = True  # rows 20, 23 and 29
    assert driven_rows(tile, inputs, spikes)[0, :3].tolist() == [[0, 0, 0, 0], [2, 1, 3, 1], [0, 0, 0, 0]]


def test_rows_can_take_longer_than_a_conversion() -> None:
    from dataclasses import replace

    fast = replace(SPEC, columns_per_adc=1, columns=20, settle_clocks=1, convert_clocks=1)
    # a read lasts 2 clocks, setting 4 rows 1 + 4
    assert step_clocks(fast, 8) == 5 + 5 + 2 + 2


def test_clocks_of_samples() -> None:
    # ten counts, one per clock, behind two registers; then three scores
    assert readout_clocks(SPEC, last=False) == 10 + 2
    assert readout_clocks(SPEC) == 10 + 2 + 3
    events = [[2, 0, 0, 0, 0, 30]] * 2
    rows = [[2, 0, 1, 0, 0, 4]] * 2
    timing = sample_timing(SPEC, events, rows)
    # two events and the end: the step starts in clock 3
    assert timing.spikes[0, 0] == 3 + step_clocks(SPEC, 2)
    # no event waits; the next step starts in the clock after the spikes
    assert timing.spikes[0, 1] == timing.spikes[0, 0] + 1 + 7
    # 30 events and the end are offered from the start of the step before on, and last longer than that step
    started = timing.spikes[0, 4] - 7
    assert timing.spikes[0, 5] == started + 1 + 31 + step_clocks(SPEC, 4)
    # the first window ends with the third step, and is read out before the fourth starts
    assert timing.spikes[0, 3] == timing.spikes[0, 2] + 12 + 1 + 7
    assert timing.classes[0] == timing.spikes[0, 5] + 15
    assert timing.spikes[1, 0] == timing.classes[0] + 1 + step_clocks(SPEC, 2)


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        sample_timing(SPEC, [[1, 2]], [[1, 2]])
