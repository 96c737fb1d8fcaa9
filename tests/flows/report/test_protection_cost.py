"""The cost table: what synthesis and power left of whole chips, collected by scheme and loading."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.cli import app
from flows.common.metrics import Metric, read_metrics, write_metrics
from flows.designs.catalogue import design
from flows.report.protection_cost import costs, costs_below
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import ECON_T
from tests.flows.report.chips import chip, leave_chip, metric


def values(metrics: list[Metric], case: str) -> dict[str, float]:
    return {m.name.partition("__case:")[0]: m.value for m in metrics if m.name.endswith(f"__case:{case}")}


def test_whole_chips_by_scheme_and_loading(tmp_path: Path) -> None:
    # reuse 1: no such chip, but a row
    leave_chip(tmp_path, chip("secded_words", "direct", clock_gating=True), area=9.0, energy=None)
    leave_chip(tmp_path, chip("secded_words", "direct", reuse=4, clock_gating=True), area=50.0, energy=20.0)
    leave_chip(tmp_path, chip("none", "guarded"), area=200.0, energy=40.0)
    leave_chip(tmp_path, chip("none", "direct", clock_gating=True), area=100.0, energy=40.0)
    leave_chip(tmp_path, chip("none", "direct", spec=replace(ECON_T, name="ECON_T_SOMETHING")), area=1.0, energy=None)
    (tmp_path / "ECON_T_tmr_module_direct").mkdir()
    rows = costs_below(tmp_path, design(ECON_T))
    assert [row.case for row in rows] == [
        "none_direct", "none_guarded", "secded_words_direct", "secded_words_direct_reuse_4",
    ]  # fmt: skip
    assert [row.design.clock_gating for row in rows] == [True, False, True, True]
    assert (rows[3].design.scheme, rows[3].design.loading) == (Scheme.SECDED_WORDS, Loading.DIRECT)
    found = costs(rows)
    assert values(found, "none_guarded") == pytest.approx({
        "design__instance__area": 200, "design__instance__area__gate_equivalent": 250, "store__area": 100,
        "control__area": 20, "pipeline_registers__area": 10, "design__flip_flop__count": 7, "energy": 40,
        "energy__leakage": 10, "energy__dynamic": 30, "energy__clocks": 9, "energy__glitches": 7,
    })  # fmt: skip
    reused = values(found, "secded_words_direct_reuse_4")
    assert reused["energy"] == reused["energy__leakage"] + reused["energy__dynamic"] == 20
    assert "energy" not in values(found, "secded_words_direct")
    assert {m.command for m in found} == {"liquidcal synth", "liquidcal power"}


def test_power_of_an_older_netlist_is_left_out(tmp_path: Path) -> None:
    leave_chip(tmp_path, chip("none", "direct"), area=100.0, energy=40.0, power_date="2025-12-31T00:00:00Z")
    assert "energy" not in values(costs(costs_below(tmp_path, design(ECON_T))), "none_direct")


def test_one_case_is_one_chip(tmp_path: Path) -> None:
    for gated in (False, True):
        leave_chip(tmp_path, chip("none", clock_gating=gated), area=100.0, energy=None)
    with pytest.raises(ValueError, match="none_direct: with and without clock gates"):
        costs(costs_below(tmp_path, design(ECON_T)))


def test_the_command_replaces_rows_of_what_it_finds(tmp_path: Path) -> None:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["cost", "ECON_T", "--out", str(tmp_path), *arguments])

    assert "holds no synthesised chip of ECON_T" in str(run().exception)
    leave_chip(tmp_path, chip("none", clock_gating=True), area=100.0, energy=40.0)
    leave_chip(tmp_path, chip("none"), area=300.0, energy=None)
    path = tmp_path / "table.json"
    write_metrics(
        path,
        [metric(f"design__instance__area__case:{case}", 5.0, "um2", "before", "2025-01-01T00:00:00Z")
         for case in ("none_direct", "none_direct_reuse_4")],
    )  # fmt: skip
    assert "none_direct\n" in run("--clock-gating", "--table", str(path)).stdout
    table = list(read_metrics(path))
    assert values(table, "none_direct")["design__instance__area"] == 100
    assert values(table, "none_direct_reuse_4") == {"design__instance__area": 5}
    assert "no energy of this netlist" in run("--table", str(path)).stdout
    other = CliRunner().invoke(app, ["cost", "N_MNIST"])
    assert isinstance(other.exception, ValueError)
    assert "which has no costs" in str(other.exception)
    path.write_text("[1")
    assert "holds no list of metrics" in str(run("--table", str(path)).exception)
    assert path.read_text() == "[1"
