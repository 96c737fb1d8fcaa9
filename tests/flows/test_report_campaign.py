"""``liquidcal sensitivity`` and what the report makes of it and of campaigns."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.campaign.beam import Beam
from flows.campaign.conclusions import beam_table
from flows.campaign.physics import Sensitivity
from flows.cli import app
from flows.report import write_report
from flows.report_campaign import campaign_sections
from sim.hgcal_encoder.spec import ECON_T

PRICES = Path(__file__).parents[2] / "benchmarks" / "results" / "protection.json"
SUMMARY = {
    "scheme": "tmr_module", "loading": "direct", "engine": "netlist", "faults": 12, "confidence": 0.95,
    "uncorrected_single": 0,
    "rows": [
        {
            "kind": "flip", "stratum": "weight", "population": 38592, "struck": 12, "faults": 12, "masked": 1,
            "corrected": 11, "corrupted": 0, "hang": 0, "persistent": 0, "wrong_crossings_mean": 0.0, "shown": 0.0,
            "shown_low": 0.0, "shown_high": 0.2646,
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder that the command left, with a campaign's summary in it."""
    out = tmp_path_factory.mktemp("report")
    told = CliRunner().invoke(
        app, ["sensitivity", "ECON_T", "--modules", "4", "--prices", str(PRICES), "--out", str(out), "--json"]
    )
    assert told.exit_code == 0, told.output
    folder = out / ECON_T.name
    assert json.loads((folder / "sensitivity.json").read_text())["bits"] == 12864
    (folder / "campaign-netlist-tmr_module-direct.json").write_text(json.dumps(SUMMARY))
    return folder


def test_report_shows_map_outcomes_and_prices(results: Path) -> None:
    page = write_report(results, ECON_T).read_text()
    assert page.count("data:image/png;base64,") >= 12
    for text in ("What a flipped weight bit does", "Price of protection", "Weights in beam", "FKeras"):
        assert text in page
    assert "0 (0 to 26.5)" in page
    assert "1,230,993" in page
    assert (results / "sensitivity.svg").read_text().startswith("<svg")
    assert (results / "selective.svg").read_text().count("<polyline") == 4


def test_rankings_say_what_they_cover(results: Path) -> None:
    told = json.loads((results / "sensitivity.json").read_text())
    measured, *others = told["rankings"]
    assert measured["spearman"] == pytest.approx(1)
    # no order holds more in its first bits than that by the measured change itself
    for row in others:
        assert all(a <= b + 1e-12 for a, b in zip(row["covered"], measured["covered"], strict=True))
        assert row["bits_for_90"] >= measured["bits_for_90"]
    assert sum(1 for points in told["pareto"].values() if points["left"][0] == 1 and points["left"][-1] < 1e-9) == 4


def test_protection_lowers_the_rate_and_the_range_is_that_of_the_cross_section(results: Path) -> None:
    found = Sensitivity.load(results / "sensitivity.npz")
    rows = {row["scheme"]: row for row in beam_table(found, Beam())}
    assert rows["none"]["corrupted_per_day"][0] > 1e6 * rows["tmr_module"]["corrupted_per_day"][0]
    assert rows["tmr_registers"]["corrupted_per_day"][0] < rows["tmr_module"]["corrupted_per_day"][0]
    value, low, high = rows["tmr_module"]["corrupted_per_day"]
    # pairs: the square of the cross-section
    assert low / value == pytest.approx((2.0 / 2.3) ** 2, rel=1e-3)
    assert high / value == pytest.approx((2.6 / 2.3) ** 2, rel=1e-3)
    # 12,864 bits three times at 4.6e-7 upsets a second
    assert rows["tmr_module"]["upsets_per_day"] == pytest.approx(3 * 12864 * 4.6e-7 * 86400)


def test_nothing_is_shown_of_steps_that_did_not_run(tmp_path: Path) -> None:
    assert campaign_sections(tmp_path) == []
    (tmp_path / "campaign-rtl-none-direct.json").write_text("{}")
    assert campaign_sections(tmp_path) == []


def test_a_model_that_does_not_exist_is_told_in_one_line(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["sensitivity", "ECON_T_EXACT", "--out", str(tmp_path)])
    assert isinstance(told.exception, FileNotFoundError)
    assert "no model is shipped for ECON_T_EXACT" in str(told.exception)
    assert not list(tmp_path.iterdir())
