"""What the verification of every chip does alike."""

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from flows.common.journal import Check, Journal
from flows.verification.bench import Tally, VerificationRun, decoy_writes, load_registers
from sim.hgcal_encoder.example_specs import campaign_spec


class _Recorder:
    """A model that keeps what it is given."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, int]] = []

    def run(self, stimulus: dict[str, Any]) -> dict[str, Any]:
        assert stimulus["write_enable"] == 1
        self.writes = list(zip(stimulus["write_address"].tolist(), stimulus["write_data"].tolist(), strict=True))
        return {}


def test_tally() -> None:
    counted: list[int] = []
    tally = Tally(counted.append)
    assert not tally.check("n", "k", "steps").passed, "nothing compared is not passed"
    tally.add(5)
    assert tally.check("n", "k", "steps", at_least=5).passed
    assert not tally.check("n", "k", "steps", at_least=6).passed
    tally.add(3, 2, "step 1")
    tally.add(2, 1, "step 4")
    check = tally.check("n", "k", "steps")
    assert (check.passed, check.compared, check.detail) == (False, 10, "3 differ; first: step 1")
    assert counted == [5, 3, 2]


def test_tally_of_a_first_difference_alone() -> None:
    """A bench that stops at its first difference does not count those after it."""
    tally = Tally()
    tally.add(4)
    tally.first = "reset values: spikes"
    check = tally.check("n", "k", "steps")
    assert (check.passed, check.detail) == (False, "reset values: spikes")


@pytest.mark.parametrize("number", range(6))
def test_orders_of_a_load(number: int) -> None:
    writes = [(address, 7 * address % 256) for address in range(40)]
    model = _Recorder()
    load_registers(model, writes, number)  # type: ignore[arg-type]
    assert sorted(model.writes) == writes
    assert (model.writes == writes) == (number % 3 == 0)
    assert (model.writes == writes[::-1]) == (number % 3 == 1)


def test_decoys() -> None:
    decoys = decoy_writes([0, 1, 5], 3, seed=1)
    address, enable = decoys["write_address"], decoys["write_enable"]
    assert address[enable == 1].tolist() == [2, 3, 4, 7], "one bit away from the map, never inside"
    assert address[enable == 0].tolist() == [0, 1, 5]
    assert (decoys["write_data"] == decoy_writes([0, 1, 5], 3, seed=1)["write_data"]).all()
    assert np.ptp(decoys["write_data"]) > 0


def test_run_reports_what_was_noted() -> None:
    run = VerificationRun(campaign_spec(), 3, Journal(console=Console(file=io.StringIO())))
    run.note(Check(name="a", key="a", passed=True, compared=1, unit="steps"))
    run.prove(
        2, lambda advance: (advance(2), (Check(name="p", key="p", passed=True, compared=2, unit="proofs"), ()))[1]
    )
    run.mutate("X", 0, lambda advance: pytest.fail("0 mutants leave the campaign out"))
    report = run.report()
    assert (report.seed, report.campaign, [check.name for check in report.checks]) == (3, None, ["a", "p"])
    assert report.passed
    run.note(Check(name="b", key="b", passed=False, compared=1, unit="steps"))
    assert not run.report().passed
    assert report.passed, "a report is not changed by later checks"
