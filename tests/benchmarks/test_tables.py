"""Figures in README and docs are what the committed results give, and nothing malformed becomes a table."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.tables import View, main, render, render_file, rewrite, update
from flows.common.metrics import Metric, read_metrics, write_metrics
from tests.conftest import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results"
METRIC = Metric(
    name="model__throughput__engine:a",
    value=1_234_567,
    unit="inferences/s",
    tool="tool",
    tool_version="1.0",
    library="",
    library_sha256="",
    method="engine a | one thread",
    command="make bench",
    date="2026-01-02T03:04:05Z",
)


def area(name: str, value: float, unit: str = "") -> Metric:
    return replace(
        METRIC, name=name, value=value, unit=unit, method="counted", library="lib", library_sha256="abcdef0123"
    )


def place(folder: Path, text: str, **results: list[Metric]) -> Path:
    """A repository with a README and results."""
    (folder / "docs").mkdir()
    (folder / "benchmarks" / "results").mkdir(parents=True)
    (folder / "README.md").write_text(text)
    for name, metrics in results.items():
        write_metrics(folder / "benchmarks" / "results" / f"{name}.json", metrics)
    return folder


def test_committed_tables_are_what_the_results_give() -> None:
    assert update(REPOSITORY, check=True) == []
    assert "<!-- figures:verification -->\n| figure" in (REPOSITORY / "docs" / "method" / "verification.md").read_text()


@pytest.mark.parametrize(
    "path",
    # three hold tables as text
    sorted(set(RESULTS.glob("*.json")) - {RESULTS / f"{name}.json" for name in ("comparison", "fpga", "summary")}),
    ids=lambda path: path.stem,
)
def test_committed_results_render(path: Path) -> None:
    text = render_file(path, where="docs/results/page.md")
    # results of several groups have a table under the name of each
    assert re.match(r"(\*\*[^*]+\*\*\n\n)?\| ", text)
    assert f"\n[Origin](../../benchmarks/results/{path.name}): " in text


def test_the_benchmark_of_the_models_compared_codes() -> None:
    """A speed counts only beside baselines that computed the same codes in the same run."""
    metrics = {metric.name: metric for metric in read_metrics(RESULTS / "models.json")}
    assert metrics["model__codes_compared"].value >= 100_000
    assert {"liquidcal", "hls4ml", "da4ml"} <= {metric.tool for metric in metrics.values()}


def test_a_list_of_metrics() -> None:
    second = replace(METRIC, name="model__runtime", value=0.012345, unit="s", method="engine b", tool="other")
    assert render([METRIC, second]).splitlines() == [
        "| figure | value | how | tool |",
        "| --- | ---: | --- | --- |",
        r"| throughput of the model: engine a | 1,230,000 inferences/s | engine a \| one thread | tool 1.0 |",
        "| model runtime | 0.0123 s | engine b | other 1.0 |",
        "",
        "Origin: 2026-01-02.",
    ]


def test_modules_become_rows_with_a_total() -> None:
    metrics = [
        area("design__instance__area", 1234.56, "um2"),
        area("design__instance__count__class:flip_flop", 7),
        area("design__instance__area__module:conv", 1200.4, "um2"),
        area("design__flip_flop__count__module:conv", 7),
        area("design__instance__area__module:words", 34.16, "um2"),
        area("flow__memory__peak", 2_345_678_900, "B"),
    ]
    assert render(metrics).splitlines() == [
        "| module | area, µm² | flip-flops |",
        "| --- | ---: | ---: |",
        "| conv | 1,200 | 7 |",
        "| words | 34.2 |  |",
        "| **total** | **1,235** | **7** |",
        "",
        "Peak memory 2,350 MB.",
        "",
        "Origin: tool 1.0, lib, 2026-01-02.",
    ]


def test_cases_become_rows_without_a_total() -> None:
    metrics = [
        replace(METRIC, name="energy__response__case:3_links_cells_13-19", value=0.756, unit=""),
        replace(METRIC, name="position__shift__case:3_links_cells_13-19", value=1.5, unit="mm"),
        replace(METRIC, name="position__shift__case:5_links", value=12, unit="mm"),
    ]
    assert render(metrics).splitlines()[:4] == [
        "| case | energy response | position shift, mm |",
        "| --- | ---: | ---: |",
        "| 3 links cells 13-19 | 0.756 | 1.50 |",
        "| 5 links |  | 12 |",
    ]


def test_large_values_are_short_and_units_are_written_out() -> None:
    rows = [
        replace(METRIC, name=f"{name}__case:a", value=value, unit=unit)
        for name, value, unit in (("rate", 3.4185e12, ""), ("core", 0.8907, "mm2"), ("most", 999_400_000.0, "um2"))
    ]
    assert render(rows).splitlines()[:3] == [
        "| case | rate | core, mm² | most, µm² |",
        "| --- | ---: | ---: | ---: |",
        "| a | 3.42e12 | 0.891 | 999,400,000 |",
    ]


CASES = [
    replace(METRIC, name=f"{quantity}__case:{case}", value=value, unit="nJ")
    for case, value in (("reuse_all", 30), ("reuse_16", 16), ("reuse_2", 2), ("other_1", 1))
    for quantity in ("energy", "energy__bound:low")
]


def test_a_view_chooses_and_sorts() -> None:
    view = View.parse(" rows=reuse_* columns=energy__bound:low sort")
    assert render(CASES, view, "here.json").splitlines() == [
        "| case | energy of an inference: bound low, nJ |",
        "| --- | ---: |",
        "| reuse 2 | 2 |",
        "| reuse 16 | 16 |",
        "| reuse all | 30 |",
        "",
        "[Origin](here.json): tool 1.0, 2026-01-02.",
    ]
    assert [line.split()[1] for line in render(CASES, View(columns=("energy",))).splitlines()[2:6]] == [
        "reuse", "reuse", "reuse", "other",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no column area; there are energy, energy__bound:low"):
        render(CASES, View(columns=("area",)))
    with pytest.raises(ValueError, match="nothing to show"):
        render(CASES, View(rows=("none*",)))
    with pytest.raises(ValueError, match=r"expected rows=..., columns=... or sort, got 'row=a'"):
        View.parse("row=a")


def test_figures_in_sentences(tmp_path: Path) -> None:
    mark = "<!-- {0}:a:model__throughput__engine:a -->{1}<!-- /{0} -->"
    text = f"It makes {mark.format('figure', 'x')}, that is {mark.format('number', '')}.\n"
    new, missing = rewrite(text, place(tmp_path, "", a=[METRIC]) / "benchmarks" / "results", "page")
    assert missing == []
    whole, bare = mark.format("figure", "1,230,000 inferences/s"), mark.format("number", "1,230,000")
    assert new == f"It makes {whole}, that is {bare}.\n"
    results = tmp_path / "benchmarks" / "results"
    assert rewrite(new, results, "page") == (new, [])
    with pytest.raises(ValueError, match=r"page, line 1: .*a.json has no metric other"):
        rewrite("<!-- figure:a:other -->1<!-- /figure -->", results, "page")
    published = "<!-- number:published:econ_t.area_mm2 -->{}<!-- /number -->"
    assert rewrite(published.format(""), results, "page") == (published.format("3.6"), [])
    with pytest.raises(ValueError, match=r"page, line 1: published.toml has no number econ_t.area"):
        rewrite(published.format("").replace("_mm2", ""), results, "page")
    with pytest.raises(ValueError, match="page: 1 of 1 figures in sentences are malformed or do not end"):
        rewrite("<!-- figure:a:model__throughput__engine:a -->1<!-- /number -->", results, "page")
    assert rewrite(mark.format("figure", "1").replace(":a:", ":b:", 1), results, "page")[1] == [
        f"page, line 1: no results at {results / 'b.json'}"
    ]


def test_update_writes_and_check_notices_an_edited_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    repository = place(tmp_path, "before\n<!-- figures:a -->\n<!-- /figures -->\nafter\n", a=[METRIC])
    option = ["--repository", str(repository)]
    assert main([*option, "--check"]) == 1
    assert main(option) == 0
    assert main([*option, "--check"]) == 0
    readme = repository / "README.md"
    text = readme.read_text()
    assert text.startswith("before\n<!-- figures:a -->\n| figure")
    assert text.endswith("2026-01-02.\n<!-- /figures -->\nafter\n")
    readme.write_text(text.replace("1,230,000", "1,240,000"))
    assert main([*option, "--check"]) == 1
    assert "README.md: figures are not what the results give" in capsys.readouterr().err
    assert main(option) == 0
    assert readme.read_text() == text


def test_a_block_without_results_is_named_and_left_alone(tmp_path: Path) -> None:
    text = "<!-- figures:none -->\nold\n<!-- /figures -->\n"
    repository = place(tmp_path, text)
    (problem,) = update(repository, check=False)
    assert problem.startswith("README.md, line 1: no results at ")
    assert (repository / "README.md").read_text() == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "holds no list of metrics"),
        ("[]", "at least one metric, got none"),
        ("[1]", "expected a metric with its fields, got 1"),
        ('[{"name": "a"}]', "unknown or missing"),
        ("[", "Expecting value"),
        (json.dumps([METRIC.to_dict() | {"value": None}]), "value must be int, float or str"),
        (json.dumps([METRIC.to_dict() | {"value": float("nan")}]), "value must be finite"),
        (json.dumps([METRIC.to_dict() | {"tool_version": ""}]), "tool and tool_version must be given"),
    ],
)
def test_malformed_results_are_refused_by_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    text = "<!-- figures:a -->\nold\n<!-- /figures -->\n"
    repository = place(tmp_path, text)
    (repository / "benchmarks" / "results" / "a.json").write_text(content)
    assert main(["--repository", str(repository)]) == 2
    error = capsys.readouterr().err
    assert "a.json: " in error
    assert message in error
    assert (repository / "README.md").read_text() == text


def test_malformed_blocks_are_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="FILE, line 2: figures:a has no <!-- /figures -->"):
        rewrite("x\n<!-- figures:a -->\n", tmp_path, "FILE")
    write_metrics(tmp_path / "a.json", [METRIC])
    with pytest.raises(ValueError, match="FILE, line 2: figures:a begins inside another block"):
        rewrite("<!-- figures:a -->\n<!-- figures:a -->\n<!-- /figures -->\n", tmp_path, "FILE")


def test_tables_as_text(tmp_path: Path) -> None:
    content = {"tables": [{"title": "T", "columns": ["a", "b"], "rows": [["1", "2"]]}], "notes": ["n"]}
    (tmp_path / "x.json").write_text(json.dumps(content))
    assert render_file(tmp_path / "x.json") == "**T**\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nn\n"
    content["tables"][0]["rows"].append(["only"])  # type: ignore[attr-defined,index]
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="T: expected 2 cells, got 1: only"):
        render_file(tmp_path / "x.json")


def test_one_block_can_be_rewritten_alone(tmp_path: Path) -> None:
    write_metrics(tmp_path / "a.json", [METRIC])
    write_metrics(tmp_path / "b.json", [METRIC])
    text = "<!-- figures:a -->\nold\n<!-- /figures -->\n<!-- figures:b -->\nold\n<!-- /figures -->\n"
    new, missing = rewrite(text, tmp_path, "x", only="b")
    assert missing == []
    assert new.startswith("<!-- figures:a -->\nold\n<!-- /figures -->\n")
    assert new.count("1,230,000") == 1
