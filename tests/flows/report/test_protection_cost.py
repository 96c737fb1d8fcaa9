"""The cost table: what synthesis and power left of whole chips, collected by scheme and loading."""

import sys
from pathlib import Path

import pytest

from flows.common.metrics import Metric, read_metrics, write_metrics
from flows.report.protection_cost import costs, costs_below, main
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import ECON_T
from tests.flows.report.chips import leave_chip, metric


def values(metrics: list[Metric], case: str) -> dict[str, float]:
    return {m.name.partition("__case:")[0]: m.value for m in metrics if m.name.endswith(f"__case:{case}")}


def test_whole_chips_by_scheme_and_loading(tmp_path: Path) -> None:
    leave_chip(tmp_path / "ECON_T_secded_words_direct_gated", area=9.0, energy=None)  # reuse 1: no such chip, but a row
    leave_chip(tmp_path / "ECON_T_reuse4_secded_words_direct_gated", area=50.0, energy=20.0)
    leave_chip(tmp_path / "ECON_T_none_guarded", area=200.0, energy=40.0)
    leave_chip(tmp_path / "ECON_T_none_direct_gated", area=100.0, energy=40.0)
    leave_chip(tmp_path / "ECON_T_SOMETHING_none_direct", area=1.0, energy=None)
    (tmp_path / "ECON_T_tmr_module_direct").mkdir()
    rows = costs_below(tmp_path, ECON_T)
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
    leave_chip(tmp_path / "ECON_T_none_direct", area=100.0, energy=40.0, power_date="2025-12-31T00:00:00Z")
    assert "energy" not in values(costs(costs_below(tmp_path, ECON_T)), "none_direct")


def test_one_case_is_one_chip(tmp_path: Path) -> None:
    for gated in ("", "_gated"):
        leave_chip(tmp_path / f"ECON_T_none_direct{gated}", area=100.0, energy=None)
    with pytest.raises(ValueError, match="none_direct: with and without clock gates"):
        costs(costs_below(tmp_path, ECON_T))


def test_the_command_replaces_rows_of_what_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["cost", "ECON_T", "--out", str(tmp_path), *arguments])
        main()
        return capsys.readouterr().out

    with pytest.raises(SystemExit, match="holds no synthesised chip of ECON_T"):
        run()
    leave_chip(tmp_path / "ECON_T_none_direct_gated", area=100.0, energy=40.0)
    leave_chip(tmp_path / "ECON_T_none_direct", area=300.0, energy=None)
    path = tmp_path / "table.json"
    write_metrics(
        path,
        [metric(f"design__instance__area__case:{case}", 5.0, "um2", "before", "2025-01-01T00:00:00Z")
         for case in ("none_direct", "none_direct_reuse_4")],
    )  # fmt: skip
    assert "none_direct\n" in run("--clock-gating", "--result", str(path))
    table = list(read_metrics(path))
    assert values(table, "none_direct")["design__instance__area"] == 100
    assert values(table, "none_direct_reuse_4") == {"design__instance__area": 5}
    assert "no energy of this netlist" in run("--result", str(path))
    monkeypatch.setattr(sys, "argv", ["cost", "N_MNIST"])
    with pytest.raises(SystemExit, match="N_MNIST is no encoder"):
        main()
    path.write_text("[1")
    with pytest.raises(SystemExit, match="flows.report.protection_cost"):
        run("--result", str(path))
    assert path.read_text() == "[1"
