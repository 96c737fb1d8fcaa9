"""Spike counts of a liquid side by side, interrupted, and refused."""

from pathlib import Path

import distributed
import numpy as np
import pytest

from flows.learning import astrocyte
from flows.learning.astrocyte import spike_counts
from sim.astrocyte_liquid.learning.images import probabilities
from sim.astrocyte_liquid.learning.stimuli import Images
from sim.astrocyte_liquid.liquid import Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import NALSM_216
from sim.digits import mnist_digits


@pytest.fixture(scope="module")
def liquid() -> Liquid:
    return Liquid(draw(NALSM_216, 1))


@pytest.fixture(scope="module")
def digits() -> Images:
    return Images(probabilities(mnist_digits().images[::250], NALSM_216)[0])


def test_counts_are_those_of_the_liquid_wherever_they_are_made(
    liquid: Liquid, digits: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here in one piece, and on the workers of a scheduler in pieces; each sample is told once."""
    monkeypatch.setattr(astrocyte, "PIECE", 15)
    whole = liquid.run(digits.samples(np.arange(len(digits)), NALSM_216.steps, 3), plastic=False).counts
    told: list[int] = []
    assert (spike_counts(liquid, digits, 3, plastic=False, advance=told.append) == whole).all()
    assert told == [15, 15, 10]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None,
        silence_logs=40,
    ) as local:  # fmt: skip
        spread = spike_counts(liquid, digits, 3, plastic=False, scheduler=local.scheduler_address)
        assert min(worker.state.executed_count for worker in local.workers.values()) > 0
    assert (spread == whole).all()


def test_an_interrupted_count_goes_on(
    liquid: Liquid, digits: Images, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(astrocyte, "PIECE", 10)
    monkeypatch.setattr(astrocyte, "CHECKPOINT", 20)
    whole = spike_counts(liquid, digits, 3, plastic=False)
    file = tmp_path / "counts.npz"
    told: list[int] = []

    def stop(count: int) -> None:
        told.append(count)
        if sum(told) == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spike_counts(liquid, digits, 3, plastic=False, checkpoint=file, advance=stop)
    told.clear()
    assert (spike_counts(liquid, digits, 3, plastic=False, checkpoint=file, advance=told.append) == whole).all()
    assert told == [20, 10, 10]
    with pytest.raises(ValueError, match=r"counts.npz: a checkpoint of another run"):
        spike_counts(liquid, digits, 4, plastic=False, checkpoint=file)
