"""``liquidcal sensitivity`` and what the report makes of it and of campaigns."""

import json
import math
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from markupsafe import escape
from typer.testing import CliRunner

from flows.campaign.beam import Beam
from flows.campaign.conclusions import beam_table
from flows.campaign.physics import Sensitivity
from flows.cli import app
from flows.common.metrics import read_metrics
from flows.designs.catalogue import design
from flows.designs.storage_bits import Stratum, chip_bits
from flows.report.campaign import campaign_sections
from flows.report.write import write_report
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import ECON_T
from tests.flows.report.chips import chip, leave_chip

COSTS = Path(__file__).parents[3] / "benchmarks" / "results" / "protection.json"
SUMMARY = {
    "scheme": "tmr_module", "loading": "direct", "engine": "netlist", "faults": 12, "confidence": 0.95,
    "uncorrected_single": 0, "origin": "liquidcal 0; liquidcal campaign ECON_T; today",
    "rows": [
        {
            "kind": "flip", "stratum": "weight", "population": 38592, "targets": 12, "faults": 12, "masked": 1,
            "corrected": 11, "corrupted": 0, "hang": 0, "persistent": 0, "wrong_crossings_mean": 0.0, "shown": 0.0,
            "shown_low": 0.0, "shown_high": 0.2646,
        }
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result folder that the command left, with a campaign's summary in it."""
    out = tmp_path_factory.mktemp("report")
    result = CliRunner().invoke(
        app, ["sensitivity", "ECON_T", "--modules", "4", "--costs", str(COSTS), "--out", str(out), "--json"]
    )
    assert result.exit_code == 0, result.output
    folder = out / ECON_T.name
    assert json.loads((folder / "sensitivity.json").read_text())["bits"] == 12864
    (folder / "campaign-netlist-tmr_module-direct.json").write_text(json.dumps(SUMMARY))
    return folder


def test_report_shows_map_outcomes_and_costs(results: Path) -> None:
    page = write_report(results, design(ECON_T)).read_text()
    assert page.count("data:image/png;base64,") >= 12
    for text in ("What a flipped weight bit does", "Cost of protection", "Weights in beam", "FKeras"):
        assert text in page
    assert "0 (0 to 26.5)" in page
    costs = {metric.name: metric for metric in read_metrics(COSTS)}
    area = float(costs["design__instance__area__case:tmr_module_direct"].value)
    ratio = area / float(costs["design__instance__area__case:none_direct"].value)
    assert f"{area:,.0f} ({ratio:.2f})" in page
    assert costs["design__instance__area__case:tmr_module_direct"].command in page
    assert page.count("liquidcal 0; liquidcal campaign ECON_T; today") == 1
    # under map, rankings and rates
    assert page.count(str(escape(json.loads((results / "sensitivity.json").read_text())["origin"]))) == 3
    assert (results / "sensitivity.svg").read_text().startswith("<svg")
    assert (results / "selective.svg").read_text().count("<polyline") == 4


def test_rankings_say_what_they_cover(results: Path) -> None:
    result = json.loads((results / "sensitivity.json").read_text())
    measured, *others = result["rankings"]
    assert measured["spearman"] == pytest.approx(1)
    # no order holds more in its first bits than that by the measured change itself
    for row in others:
        assert all(a <= b + 1e-12 for a, b in zip(row["covered"], measured["covered"], strict=True))
        assert row["bits_for_90"] >= measured["bits_for_90"]
    assert sum(1 for points in result["pareto"].values() if points["left"][0] == 1 and points["left"][-1] < 1e-9) == 4


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


def test_code_words_in_beam_are_those_of_the_chip(results: Path) -> None:
    """Flip-flops as the chip lists them; two in a word before its turn leave it wrong for half a fill on average."""
    found = Sensitivity.load(results / "sensitivity.npz")
    rows = {row["scheme"]: row for row in beam_table(found, Beam())}
    bits = chip_bits(replace(found.spec, reuse=4), Scheme.SECDED_WORDS, Loading.DIRECT)
    sizes = Counter(bit.path.partition("word_")[2] for bit in bits if bit.stratum is Stratum.WEIGHT)
    assert rows["secded_words"]["upsets_per_day"] == pytest.approx(sum(sizes.values()) * 4.6e-7 * 86400)
    pairs = sum(math.comb(size, 2) for size in sizes.values())
    turn_s = 149 * 25e-9
    if_all_do_harm = pairs * 4.6e-7**2 * turn_s * 36000 / 2 * 86400 / 25e-9
    corrupted = rows["secded_words"]["corrupted_per_day"][0]
    assert rows["secded"]["corrupted_per_day"][0] < corrupted <= 1.001 * if_all_do_harm
    assert corrupted > 0.3 * if_all_do_harm


def test_a_chip_has_a_page_with_campaigns_map_and_the_cost_of_what_lies_beside_it(results: Path) -> None:
    """The page of a variant; chips that were synthesised below the same folder take the place of the given costs."""
    out = results.parent
    left = {False: 100.0, True: 80.0}
    for gated, area in left.items():
        leave_chip(out, chip("none", clock_gating=gated), area=area, energy=40.0)
        leave_chip(out, chip("tmr_module", clock_gating=gated), area=2.5 * area, energy=None)
    variant = ("--scheme", "tmr_module", "--clock-gating")
    result = CliRunner().invoke(app, ["report", "ECON_T", *variant, "--out", str(out)])
    assert result.exit_code == 0, result.output
    folder = out / "ECON_T_tmr_module_direct_gated"
    content = json.loads((folder / "report.json").read_text())
    assert content["name"] == folder.name
    titles = [section["title"] for section in content["sections"]]
    assert {"Faults in the running chip", "What a flipped weight bit does", "Cost of protection"} <= set(titles)
    page = (folder / "index.html").read_text()
    assert page.count("data:image/png;base64,") >= 12
    (cost,) = (section for section in content["sections"] if section["title"] == "Cost of protection")
    gated, plain = cost["tables"]
    assert [column["name"] for column in gated["columns"]][:2] == ["scheme and loading, clock gated", "area µm²"]
    assert gated["rows"][0][:2] == ["none direct", "80 (1.00)"]
    assert gated["rows"][0][5:] == ["40 (1.00)", "30 (1.00)", "10 (1.00)", "9 (1.00)"]
    assert gated["rows"][1][:2] == ["tmr module direct", "200 (2.50)"]
    assert gated["rows"][1][5:] == ["", "", "", ""]
    assert plain["rows"][1][1] == "250 (2.50)"
    assert any("liquidcal synth" in origin for origin in cost["origins"])


def test_nothing_is_shown_of_steps_that_did_not_run(tmp_path: Path) -> None:
    folder = tmp_path / ECON_T.name
    folder.mkdir()
    assert campaign_sections(folder, design(ECON_T)) == []
    (folder / "campaign-rtl-none-direct.json").write_text("{}")
    assert campaign_sections(folder, design(ECON_T)) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("campaign-rtl-none-direct.json", '{"rows": [{"kind": "flip"}]}', "expected an entry 'scheme'"),
        (
            "campaign-rtl-none-direct.json",
            '{"rows": ',
            "direct.json: not a JSON file: Expecting value",
        ),
        ("sensitivity.json", '{"bits": 3}', "sensitivity.json: expected an entry 'places'"),
    ],
)
def test_a_damaged_result_is_named(name: str, text: str, message: str, results: Path, tmp_path: Path) -> None:
    folder = tmp_path / ECON_T.name
    folder.mkdir()
    shutil.copy(results / "sensitivity.npz", folder)
    (folder / name).write_text(text)
    result = CliRunner().invoke(app, ["report", "ECON_T", "--out", str(tmp_path)])
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert not (folder / "index.html").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("garbage", "costs.json holds no list of metrics: Expecting value"),
        ('{"a": 1}', "expected a list of metrics"),
        ('[{"name": "x"}]', "are unknown or missing"),
        ("[1]", "expected a metric with its fields, got 1"),
        ("[]", "metric design__instance__area__case:none_direct is missing"),
    ],
)
def test_costs_are_read_before_anything_is_computed(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    path.write_text(text)
    result = CliRunner().invoke(app, ["sensitivity", "ECON_T", "--costs", str(path), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_a_model_that_does_not_exist_is_told_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["sensitivity", "ECON_T_EXACT", "--out", str(tmp_path)])
    assert isinstance(result.exception, FileNotFoundError)
    assert "no model is shipped for ECON_T_EXACT" in str(result.exception)
    assert not list(tmp_path.iterdir())
