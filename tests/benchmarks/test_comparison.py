"""Comparison and summary: every figure is in the file it names; native and translated ones never share a row."""

import json
import os
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.comparison import COLLECTED, Figure, Files, build, commands, stale, whole_chips
from benchmarks.tables import render_file
from flows.common.metrics import read_metrics, write_metrics
from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results"
CONTENT = json.loads((RESULTS / "comparison.json").read_text())
FIGURES = CONTENT["figures"]
SUMMARY = json.loads((RESULTS / "summary.json").read_text())
NUMBER = re.compile(r"(?<![\d.])-?\d[\d,]*(?:\.\d+)?")


def read(shown: str) -> float:
    found = NUMBER.match(shown)
    assert found is not None, shown
    return float(found[0].replace(",", ""))


def scale(shown: str, unit: str) -> float:
    """What a shown figure is multiplied with to be in the unit of the file."""
    return {("um2", "mm²"): 1e6, ("pJ", "nJ"): 1e3}.get((unit, shown.split(" ")[1] if " " in shown else ""), 1.0)


def name_of(figure: dict[str, str]) -> str:
    return f"{figure['row']}-{figure['column']}-{figure['name']}".replace(" ", "_")


@pytest.mark.parametrize("figure", [*FIGURES, *SUMMARY["figures"]], ids=name_of)
def test_every_figure_is_in_the_file_it_names(figure: dict) -> None:  # type: ignore[type-arg]
    path = REPOSITORY / figure["path"]
    if path.suffix == ".toml":
        system, key = figure["name"].split(".")
        about = tomllib.loads(path.read_text())[system]
        value = about["figures"][key]
        assert figure["method"] == about["citation"]
        assert about["system"] in figure["shown"]
        assert figure["column"] != "ours"
    else:
        (metric,) = (m for m in json.loads(path.read_text()) if m["name"] == figure["name"])
        value = metric["value"]
        for key in ("command", "date", "unit"):
            assert figure[key] == metric[key]
    assert value == figure["value"]
    assert read(figure["shown"]) * scale(figure["shown"], figure["unit"]) == pytest.approx(value, rel=6e-3)


def test_the_block_of_the_page_holds_these_figures_and_no_others() -> None:
    text = (REPOSITORY / "docs" / "results" / "comparison.md").read_text()
    block = text.partition("<!-- figures:comparison -->\n")[2].partition("<!-- /figures -->")[0]
    assert block == render_file(RESULTS / "comparison.json", where="docs/results/comparison.md")
    rows = {(table["title"], row[0]): row for table in CONTENT["tables"] for row in table["rows"]}
    for column, name in ((1, "published"), (2, "baselines"), (3, "ours")):
        for (chip, what), row in rows.items():
            mine = [f for f in FIGURES if (f["chip"], f["row"], f["column"]) == (chip, what, name)]
            # what stands in brackets is text, but for the ends of our own estimates
            cell = row[column] if name == "ours" else re.sub(r"\([^)]*\)", "", row[column])
            cell = re.sub(r"of 25 ns|of \d draws|\(\d threads?\)", "", cell)
            assert [float(n.replace(",", "")) for n in NUMBER.findall(cell)] == [read(f["shown"]) for f in mine]
    assert len(rows) >= 20


def test_native_and_translated_figures_never_share_a_row() -> None:
    for table in CONTENT["tables"]:
        for row in table["rows"]:
            mine = [f for f in FIGURES if (f["row"], f["column"]) == (row[0], "ours")]
            physical = re.match("area|energy", row[0]) is not None
            pattern = "node:|bound:(low|high)__case:(together|array)"
            translated = [bool(re.search(pattern, f["name"])) or "results/target.json" in f["path"] for f in mine]
            assert len(set(translated)) == 1, row[0]
            if physical:
                assert row[4].startswith("translated" if translated[0] else "45 nm"), row[0]
                # a published figure is of another node and stands only beside translated ones
                others = [f for f in FIGURES if (f["row"], f["chip"]) == (row[0], table["title"]) and not f["command"]]
                assert translated[0] or not others, row[0]


def test_every_command_of_the_figures_can_be_run_again() -> None:
    listed = commands(build(Files()))
    for figure in FIGURES:
        if figure["command"]:
            assert figure["command"] in listed
    assert [c.split()[1] for c in listed if c.startswith("liquidcal")][:2] == ["synth", "synth"]
    assert listed.index("python -m benchmarks.physical ECON_T") > listed.index("liquidcal time ECON_T --period 25")


def test_measuring_again_covers_every_file_and_notices_one_that_was_not_written(tmp_path: Path) -> None:
    parts = build(Files())
    listed = commands(parts)
    # the program that writes a file has its path in its text, or the file is collected
    writers = {
        **{f"benchmarks/results/{name}.json": "" for name in COLLECTED},
        "benchmarks/results/target.json": "python -m benchmarks.target",
        "benchmarks/results/protection.json": "python -m flows.report.protection_cost ECON_T",
        "benchmarks/results/placement_ECON_T.json": "python -m benchmarks.physical ECON_T",
        "benchmarks/results/power_ECON_T.json": "python -m benchmarks.physical ECON_T",
        "benchmarks/results/timing_ECON_T.json": "python -m benchmarks.physical ECON_T",
        "benchmarks/results/emd_versus_bits.json": "python -m benchmarks.baselines_bits",
        "benchmarks/results/models.json": "make bench",
    }
    for path in {figure["path"] for figure in FIGURES if figure["command"]}:
        name = Path(path).stem
        wanted = writers.get(path)
        assert wanted == "" or any(
            c.startswith(wanted or "python -m") and (wanted or name.partition("_")[0] in c) for c in listed
        ), path
    assert listed.index("python -m benchmarks.target") > max(
        i for i, c in enumerate(listed) if c.startswith("liquidcal power")
    )
    begun = 1_000.0
    for path in {figure["path"] for figure in FIGURES if figure["command"]}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("[]")
    assert stale(parts, begun, tmp_path) == []
    os.utime(tmp_path / "benchmarks/results/target.json", (1, 1))
    assert stale(parts, begun, tmp_path) == ["benchmarks/results/target.json"]


def test_results_of_the_target_become_rows_when_they_are_there(tmp_path: Path) -> None:
    (metric, *_) = read_metrics(RESULTS / "placement_ECON_T.json")
    rows = [
        replace(metric, name="area__case:ours_smallest", value=1.25, unit="mm2"),
        replace(metric, name="energy__case:ours_smallest", value=2.5, unit="nJ"),
        replace(metric, name="area__case:published_chip", value=3.6, unit="mm2"),
    ]
    write_metrics(tmp_path / "target.json", rows)
    found = list(whole_chips(Files(tmp_path)))
    assert [(row.what, row.ours[0].shown) for row in found] == [
        ("area, whole protected chip, ours smallest", "1.25 mm²"),
        ("energy, whole protected chip, ours smallest", "2.50 nJ"),
    ]
    assert [row.published[0].value for row in found] == [3.6, 2.4]


def test_the_summary_is_what_the_files_give_and_fits_a_screen() -> None:
    from benchmarks.summary import MOST_ROWS, build, document

    assert json.loads(json.dumps(document(build(Files())))) == SUMMARY
    (table,) = SUMMARY["tables"]
    assert 5 <= len(table["rows"]) <= MOST_ROWS
    assert len(table["columns"]) <= 6
    assert render_file(RESULTS / "summary.json") in (REPOSITORY / "README.md").read_text()


def test_the_verdict_of_the_summary_follows_from_the_figures() -> None:
    from benchmarks.summary import Row, build

    def figure(value: float) -> Figure:
        return Figure(shown=f"{value} nJ", value=value, unit="nJ", path="", name="", method="")

    ours, target = (figure(1), figure(3)), figure(2.5)
    row = Row(what="energy", ours=ours, published=figure(4), alternative=figure(2), target=target)
    # of a range the worse end counts
    assert row.verdict() == "better than the published chip; **not better than the alternative**; **misses 2.5 nJ**"
    assert replace(row, more=True).verdict() == (
        "**not better than the published chip**; **not better than the alternative**; **misses 2.5 nJ**"
    )
    assert replace(row, ours=(figure(2.5),), alternative=None).verdict() == (
        "better than the published chip; meets the target, 2.5 nJ"
    )
    # what differs by less than ours is uncertain by is neither better nor worse
    near = replace(row, ours=(figure(2.2),), uncertainty=0.1)
    assert near.verdict() == (
        "better than the published chip; **as the alternative**, within the 10 % of its statistics; meets the target, "
        "2.5 nJ"
    )
    assert "**not better than the alternative**" in replace(near, uncertainty=0.05).verdict()
    verdicts = [found.verdict() for found in build(Files())]
    assert any("misses" in verdict for verdict in verdicts)
