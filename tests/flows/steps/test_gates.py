"""Every gate refuses a result just below it and accepts the next one: thresholds are written out here, not read."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flows.campaign.campaign import Job
from flows.common.journal import Check, Journal
from flows.common.metrics import GateError, Metric, require, require_equal
from flows.designs.catalogue import design
from flows.formal.solver import Proof, Status
from flows.physical.fpga import DEVICES
from flows.power import any_netlist
from flows.steps import campaign, fpga, placement, power, synthesis, timing
from flows.synthesis.result import gate_synthesis
from flows.verification.bench import Tally
from flows.verification.mutation import CampaignResult, Kind, Mutant, Outcome
from flows.verification.result import VerificationReport, mutation_check, proof_check
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from tests.flows.command_line import program
from tests.flows.conftest import quiet
from tests.specs import SMALL


def metric(name: str, value: float, unit: str = "") -> Metric:
    return Metric(
        name=name, value=value, unit=unit, tool="test", tool_version="1", library="", library_sha256="",
        method="by hand", command="none", date="2026-01-01T00:00:00Z",
    )  # fmt: skip


def mutants(killed: int, survived: int, equivalent: int) -> CampaignResult:
    fates = [Outcome.KILLED] * killed + [Outcome.SURVIVED] * survived + [Outcome.EQUIVALENT] * equivalent
    made = tuple(
        Mutant(number=n, kind=Kind.STUCK, stage="s", module="m", cell="c", cell_type="$add") for n in range(len(fates))
    )
    return CampaignResult(outcomes=dict(enumerate(fates)), mutants=made)


@pytest.mark.parametrize(
    ("killed", "survived", "equivalent", "asked", "passes"),
    [
        (95, 5, 0, 100, True),
        (94, 6, 0, 100, False),
        (19, 1, 80, 100, True),  # equivalents do not count
        (18, 1, 81, 100, False),
        (0, 0, 100, 100, False),  # nothing was decided
        (100, 0, 0, 101, False),  # fewer than asked for
        (6, 94, 0, 100, False),
    ],
)
def test_mutants_killed(killed: int, survived: int, equivalent: int, asked: int, passes: bool) -> None:
    """docs/method/verification.md: 95 % of the mutants that are not proved equivalent."""
    check = mutation_check("X", 1, asked, mutants(killed, survived, equivalent))
    assert check.passed is passes
    assert f"{killed} of {killed + survived} mutants killed" in check.detail
    assert check.detail.count("#") == survived


def proof(status: Status) -> Proof:
    return Proof(name="p", statement="s", status=status, input_bits=1, wall_s=1.0, counterexample={})


def test_proofs() -> None:
    assert proof_check("X", [proof(Status.PROVED)] * 3).passed
    for status in set(Status) - {Status.PROVED}:
        assert not proof_check("X", [proof(Status.PROVED), proof(status)]).passed
    assert not proof_check("X", []).passed


def test_reports_and_journals_need_a_check() -> None:
    good, bad = (Check(name="c", passed=passed, compared=1, unit="") for passed in (True, False))
    for checks, passes in (((), False), ((good,), True), ((good, bad), False)):
        report = VerificationReport(spec=SMALL, seed=1, checks=checks, campaign=None, proofs=())
        assert report.passed is passes
        assert Journal(checks=list(checks)).passed is passes
    with pytest.raises(ValueError, match="compared nothing"):
        Check(name="c", passed=True, compared=0, unit="")
    assert not Check(name="c", passed=False, compared=0, unit="").passed


def test_benches_must_compare_enough_and_find_nothing() -> None:
    for compared, failed, text, at_least, passes in (
        (10, 0, "", 10, True), (9, 0, "", 10, False), (10, 1, "", 10, False), (10, 0, "a difference", 10, False),
        (0, 0, "", 1, False),
    ):  # fmt: skip
        tally = Tally()
        tally.add(compared, failed, text)
        assert tally.check("n", "k", "things", at_least).passed is passes


def test_limits_of_metrics() -> None:
    rows = [metric("timing__setup__ws", 2.0, "ns"), metric("a__text", "x")]
    assert require(rows, "timing__setup__ws", 2.0)
    assert require_equal(rows, "timing__setup__ws", 2.0)
    for limit in (np.nextafter(2.0, 0), float("nan")):
        with pytest.raises(GateError, match="limit"):
            require(rows, "timing__setup__ws", limit)
    for expected in (1.0, np.nextafter(2.0, 3)):
        with pytest.raises(GateError, match="expected"):
            require_equal(rows, "timing__setup__ws", expected)
    for gate in (require, require_equal):
        with pytest.raises(GateError, match="is missing"):
            gate(rows, "none", 1.0)
        with pytest.raises(GateError, match="is text, not a number"):
            gate(rows, "a__text", 1.0)


NETLIST = {
    "design__instance_unmapped__count": 0, "design__combinational_loop__count": 0, "design__check_problem__count": 0,
    "design__stray_latch__count": 0, "design__instance__count__class:flip_flop": 7,
    "design__instance__count": 20,
}  # fmt: skip


def test_netlists() -> None:
    def judged(**changed: float) -> bool:
        rows = tuple(metric(name, value) for name, value in (NETLIST | changed).items())
        journal = quiet()
        synthesis.judge_netlist(journal, SimpleNamespace(metrics=rows, values=NETLIST), "cells")  # type: ignore[arg-type]
        return journal.passed

    assert judged()
    for name in list(NETLIST)[:4]:
        assert not judged(**{name: 1}), name
    rows = [metric(name, value) for name, value in NETLIST.items()]
    gate_synthesis(rows, flip_flops=7)
    for flip_flops in (6, 8):
        with pytest.raises(GateError, match="expected"):
            gate_synthesis(rows, flip_flops=flip_flops)
    # a latch that was asked for is no fault
    gate_synthesis([*rows, metric("design__instance__count__class:latch", 1)])


def found(journal: Journal) -> bool:
    (check,) = journal.checks
    return check.passed


@pytest.mark.parametrize(("slack_ns", "passes"), [(0.0, True), (-1e-9, False), (-3.0, False)])
def test_setup_slack(slack_ns: float, passes: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = SimpleNamespace(
        setup_slack_ns=slack_ns, endpoint_slacks_ns=[1.0], fmax_mhz=40.0, plan=SimpleNamespace(uncertainty_ns=0.1)
    )
    monkeypatch.setattr(timing, "measure_timing", lambda *_, **__: (report, ()))
    monkeypatch.setattr(timing, "Mapped", lambda folder: SimpleNamespace(netlist=SimpleNamespace(cells=1)))
    journal = quiet()
    timing.time_design(design(SMALL, library="nangate45"), tmp_path, journal)
    assert found(journal) is passes


@pytest.mark.parametrize(("overlaps", "passes"), [(0, True), (1, False)])
def test_cells_on_each_other(overlaps: int, passes: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    placed = SimpleNamespace(overlaps=overlaps, x_um=np.zeros(2), area_um2=1.0, wire_um=np.zeros(1))
    monkeypatch.setattr(placement, "measure_placement", lambda *_, **__: (placed, SimpleNamespace(worst=0.1), ()))
    monkeypatch.setattr(placement, "Mapped", lambda folder: SimpleNamespace(synthesised=SimpleNamespace(cells=1)))
    journal = quiet()
    placement.place_design(design(SMALL, library="nangate45"), tmp_path, journal)
    assert found(journal) is passes


@pytest.mark.parametrize(("fmax_mhz", "passes"), [(25.0, True), (24.999, False)])
def test_clock_of_an_fpga(fmax_mhz: float, passes: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = SimpleNamespace(fmax_mhz=fmax_mhz, used={"lut": 3}, metrics=())
    monkeypatch.setattr(fpga, "place_and_route", lambda *_, **__: result)
    journal = quiet()
    options = fpga.FpgaOptions(device=next(iter(DEVICES)), clock_mhz=25.0)
    fpga.place_on_fpga(design(SMALL), tmp_path, journal, options)
    assert found(journal) is passes


@pytest.mark.parametrize(("words", "passes"), [(1, True), (0, False)])
def test_power_of_a_netlist_that_was_compared(
    words: int, passes: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = {"words_compared": words, "activity": "test"}
    monkeypatch.setattr(power, "measure_power", lambda *_, **__: (None, result, ()))
    monkeypatch.setattr(power, "Mapped", lambda folder: None)
    journal = quiet()
    power.measure_design(design(SMALL, library="nangate45"), tmp_path, journal)
    assert found(journal) is passes


@pytest.mark.parametrize(("percent", "code"), [(90.0, 0), (89.999, 1), (0.0, 1), (100.0, 0)])
def test_annotated_nets(
    percent: float, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """docs/method/power.md: below 90 % of nets that the recording names, the command ends with 1."""
    monkeypatch.setattr(any_netlist, "netlist_power", lambda *_, **__: {"annotated_nets_percent": percent})
    for name in ("n.v", "l.lib", "a.vcd"):
        (tmp_path / name).write_text("")
    files = ["--netlist", tmp_path / "n.v", "--liberty", tmp_path / "l.lib", "--vcd", tmp_path / "a.vcd"]
    done, printed, _ = program(capsys, "power", *files, "--json")
    assert done == code
    assert json.loads(printed)["passed"] is (code == 0)


def summary(singles: int, uncorrected: int, apart: int = 5, uncorrected_apart: int = 0) -> dict[str, Any]:
    return {
        "rows": [
            {"kind": "flip", "stratum": "weights", "faults": singles},
            {"kind": "flip", "stratum": "shadow", "faults": 9},
            {"kind": "transient", "stratum": "weights", "faults": 9},
        ],
        "uncorrected_single": uncorrected,
        "beam": {"uncorrected_apart": uncorrected_apart, "apart": apart, "flips": 1, "stretches": 7},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("scheme", "found", "verdicts"),
    [
        (Scheme.SECDED, summary(4, 0), [True, True]),
        (Scheme.SECDED, summary(4, 1), [False, True]),
        (Scheme.SECDED, summary(0, 0), [False, True]),
        (Scheme.SECDED, summary(4, 0, 5, 1), [True, False]),
        (Scheme.NONE, summary(4, 4), [True]),
        (Scheme.NONE, summary(0, 0), [False]),
    ],
)
def test_upsets_that_are_not_corrected(scheme: Scheme, found: dict[str, Any], verdicts: list[bool]) -> None:
    journal = quiet()
    campaign._judge(Job(spec=SMALL, scheme=scheme, loading=Loading.DIRECT), found, journal)
    assert [check.passed for check in journal.checks] == verdicts
    assert journal.checks[0].compared == found["rows"][0]["faults"]
