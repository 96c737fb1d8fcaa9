"""Report, pictures, journal: what they show is what was measured."""

import base64
import io
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from flows.common.folder import fresh_folder
from flows.common.journal import Check
from flows.common.metrics import Metric, quantity, write_metrics
from flows.designs.catalogue import design
from flows.estimates.carbon import die_carbon
from flows.report import crossbar_drawing, drawing
from flows.report.document import table
from flows.report.write import write_report
from flows.steps.pareto import draw_pareto
from flows.steps.sweep import Row, write_rows
from sim.hgcal_encoder.detector.geometry import module_geometry
from sim.hgcal_encoder.spec import ECON_T, PRESETS
from sim.lsm_crossbar.spec import N_MNIST
from tests.flows.conftest import quiet


def shapes(svg: str, kind: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(svg).findall(f".//{kind}")


def test_module_picture_has_each_trigger_cell_with_its_value() -> None:
    values = np.arange(48.0)
    polygons = shapes(drawing.module_svg(values, 47), "polygon")
    assert len(polygons) == 49
    titles = [polygon.findtext("title") for polygon in polygons[:-1]]
    assert titles == [f"trigger cell {cell}: {cell}" for cell in range(48)]
    # a full cell is brighter than an empty one
    brightness = [sum(bytes.fromhex(polygon.attrib["fill"][1:])) for polygon in polygons[:-1]]
    assert brightness[0] < 60
    assert brightness[47] > 450
    # drawn where the cell is: the corner positions follow the geometry, y upwards
    first = polygons[5].attrib["points"].split()[0].split(",")
    corner = module_geometry("low").rhombi_mm[5][0]
    assert float(first[0]) == pytest.approx(corner[0], abs=0.06)
    assert float(first[1]) == pytest.approx(-corner[1], abs=0.06)


@pytest.mark.parametrize("spec", PRESETS.values(), ids=PRESETS)
def test_data_path_picture_names_every_stage(spec) -> None:  # type: ignore[no-untyped-def]
    text = " ".join(t.text or "" for t in shapes(drawing.data_path_svg(spec), "text"))
    for stage in ("multiplexer", "decode", "calibrate", "normalise", "convolution", "dense", "frame"):
        assert stage in text
    assert "16 x 9 b" in text
    ElementTree.fromstring(drawing.standalone(drawing.data_path_svg(spec)))


def test_frame_picture_shows_the_bits_by_field() -> None:
    frame = [0xFAA850BF, 0x474666B3]
    svg = drawing.frame_svg(frame, ECON_T, 2, 48)
    bits = "".join(t.text or "" for t in shapes(svg, "text") if len(t.text or "") == 1)
    assert bits == "".join(f"{word:032b}" for word in frame)
    fields = [r.attrib["class"] for r in shapes(svg, "rect")]
    assert [fields.count(name) for name in ("counter", "sum", "pad", "latent")] == [5, 9, 2, 48]


def test_journal_does_not_pass_on_nothing() -> None:
    journal = quiet()
    assert not journal.passed
    with pytest.raises(ValueError, match="compared nothing"):
        Check(name="empty", passed=True, compared=0, unit="words")
    journal.check(Check(name="a", passed=True, compared=3, unit="words"))
    assert journal.passed
    journal.check(Check(name="b", passed=False, compared=3, unit="words"))
    assert not journal.passed


def test_report_tells_pass_from_fail_and_embeds_everything(tmp_path: Path) -> None:
    journal = quiet()
    with journal.step("work"):
        pass
    journal.check(Check(name="RTL equals golden model", passed=True, compared=5200, unit="eTx words"))
    journal.save(tmp_path / "journal.json")
    rng = np.random.default_rng(0)
    n = 30
    charges = rng.integers(0, 500, (n, 48)) * (rng.random((n, 48)) < np.linspace(0.05, 0.9, n)[:, None])
    np.savez(
        tmp_path / "events.npz",
        words=np.zeros((n, 12), np.uint32),
        frames=rng.integers(0, 1 << 32, (n, 13)).astype(np.uint32),
        charges=charges,
        decoded=charges * 1.1,
        sums=charges.sum(axis=1),
        sum_codes=np.zeros(n, int),
        latents=np.zeros((n, 16), int),
        occupancy=(charges > 0).sum(axis=1),
        emd=rng.random(n),
        layer=11,
        eta=2.2,
        etx_count=5,
        kept_bits=9,
        pile_up=200,
    )
    page = write_report(tmp_path, design(ECON_T)).read_text()
    assert "PASS: 1 checks: 5,200 eTx words" in page
    assert page.count('class="module"') == 15
    assert not re.search(r'src="|href="[^#]', page), "the page must be self-contained"
    contents = re.findall(r'<a href="#(\w+)">', page)
    assert len(contents) > 3
    assert all(page.count(f'<h2 id="{name}">') == 1 for name in contents)
    assert "{{" not in page
    assert "&lt;svg" not in page
    content = json.loads((tmp_path / "journal.json").read_text())
    content["checks"][0] |= {"passed": False, "detail": "row 3, eTx 0: expected 1, got <2>"}
    (tmp_path / "journal.json").write_text(json.dumps(content))
    page = write_report(tmp_path, design(ECON_T)).read_text()
    assert "FAIL: RTL equals golden model" in page
    assert "got &lt;2&gt;" in page


def test_report_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no results"):
        write_report(tmp_path, design(ECON_T))


def test_a_variant_is_reported_from_its_own_folder(tmp_path: Path) -> None:
    journal = quiet()
    journal.check(Check(name="RTL equals golden model", passed=True, compared=7, unit="eTx words"))
    (tmp_path / "ECON_T_reuse4_tmr_module_direct").mkdir()
    journal.save(tmp_path / "ECON_T_reuse4_tmr_module_direct" / "journal.json")
    variant = ["--reuse", "4", "--scheme", "tmr_module"]
    code = "from flows.cli import main; main()"
    for options, status in ((variant, 0), ([], 2)):
        command = [sys.executable, "-c", code, "report", "ECON_T", *options, "--out", str(tmp_path)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == status
    page = json.loads((tmp_path / "ECON_T_reuse4_tmr_module_direct" / "report.json").read_text())
    assert page["name"] == "ECON_T_reuse4_tmr_module_direct"
    assert page["verdict"].startswith("PASS: 1 checks: 7 eTx words")


def metric(name: str, value: float) -> Metric:
    origin = {"tool": "yosys", "tool_version": "0.70", "library": "", "library_sha256": "", "method": "counted"}
    known = quantity(name)
    return Metric(
        name=name,
        value=value,
        unit=known.units[0] if known else "um2",
        command="liquidcal synth",
        date="2026-01-01T00:00:00Z",
        **origin,
    )


def crossbar_results(folder: Path) -> np.ndarray:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 10, 200)
    classes = np.where(rng.random(200) < 0.9, labels, rng.integers(0, 10, 200))
    codes = rng.integers(0, 64, (512, 512)).astype(np.uint8) * (rng.random((512, 512)) < 0.5)
    np.savez(
        folder / "liquid.npz",
        codes=codes,
        seed=7,
        memory_file="N_MNIST-seed7-0123456789abcdef.mem",
        inputs=rng.random((50, 256)) < 0.1,
        spikes=rng.random((50, 200)) < 0.2,
        shown_label=3,
        shown_class=5,
        labels=labels,
        classes=classes,
    )
    terms = [
        {"name": "cells", "low_pj": 1.0, "nominal_pj": 2.0, "high_pj": 3.0},
        {"name": "ADCs", "low_pj": 10.0, "nominal_pj": 20.0, "high_pj": 30.0},
    ]
    energy = {"terms": terms, "synaptic_operations": 11.0, "reads": 4.0, "notes": ["Models, not measurements."]}
    (folder / "energy.json").write_text(json.dumps(energy))
    return np.asarray(labels == classes)


def test_crossbar_report_shows_array_raster_classes_and_energy(tmp_path: Path) -> None:
    right = crossbar_results(tmp_path)
    page = write_report(tmp_path, design(N_MNIST)).read_text()
    assert f"{100 * right.mean():.1f} % right" in page
    assert "N_MNIST-seed7-0123456789abcdef.mem" in page
    assert "2.00 pJ each (1.00 to 3.00)" in page
    assert "Ours is without the digital part" in page
    assert "energy of an inference, nominal, without the digital part" in page
    assert re.findall(r'(?:src|href)="([^#:][^:]*:[^;]*);', page) == ["data:image/png"], (
        "the page must be self-contained"
    )
    assert "NOT CHECKED" in page
    image = base64.b64decode(re.findall(r"base64,([^\"]*)", page)[0])
    assert matplotlib.image.imread(io.BytesIO(image)).shape[:2] == (512, 512)


def test_raster_has_a_dot_for_every_spike_and_histogram_every_formed_cell() -> None:
    rng = np.random.default_rng(2)
    inputs, spikes = rng.random((20, 7)) < 0.3, rng.random((20, 9)) < 0.3
    paths = shapes(crossbar_drawing.raster_svg(inputs, spikes), "path")
    assert [path.attrib["d"].count("M") for path in paths] == [spikes.sum(), inputs.sum()]
    codes = rng.integers(0, 8, 500)
    titles = [rect.findtext("title") for rect in shapes(crossbar_drawing.histogram_svg(codes, 0.5, 7), "rect")]
    assert titles == [f"code {code}: {np.sum(codes == code)} cells" for code in range(1, 8)]
    matrix = np.arange(9).reshape(3, 3)
    texts = [t.text for t in shapes(crossbar_drawing.confusion_svg(matrix), "text")]
    assert {"1", "8"} <= set(texts)


def test_implementation_steps_become_sections(tmp_path: Path) -> None:
    (tmp_path / "timing").mkdir()
    path = {"start_stage": "words", "end_stage": "dense", "cells": 3, "delay_ns": 2.5, "slack_ns": 1.25}
    timing = {
        "period_ns": 25.0, "uncertainty_ns": 0.5, "setup_slack_ns": 1.25, "hold_slack_ns": 0.01, "fmax_mhz": 42.1,
        "setup_library": "s.lib", "hold_library": "h.lib",
        "setup_paths": [path | {"through": [{"stage": "conv", "cells": 3, "delay_ns": 2.5}]}],
        "slack_histogram": {"edges_ns": [0.0, 1.0, 2.0], "endpoints": [3, 40]},
    }  # fmt: skip
    (tmp_path / "timing" / "timing.json").write_text(json.dumps(timing))
    (tmp_path / "power").mkdir()
    power = {
        "activity": "showers", "annotated_nets_percent": 99.0, "wires": "placement", "energy_per_clock_pj": 1500.0,
        "period_ns": 25.0, "voltage_v": 1.1, "library": "toy", "notes": ["a note"],
        "power_uw": {"total": 60000.0, "leakage": 10000.0, "clock_tree": 2000.0},
        "stages_uw": {"dense": {"leakage": 10000.0, "switching": 48000.0}},
        "uncertainty": [{"step": "wires", "low_uw": 59000.0, "high_uw": 61000.0, "how": "guess"}],
    }  # fmt: skip
    (tmp_path / "power" / "power.json").write_text(json.dumps(power))
    page = write_report(tmp_path, design(ECON_T)).read_text()
    for text in ("words to dense", "conv 2.50 ns", "42.1 MHz", "1.50 nJ", "58.00 mW", "a note", "2.87 zJ"):
        assert text in page, text
    # a library without scaling data is not translated; the published chip stands beside
    assert "Not translated: library &#39;toy&#39;" in page
    assert "2.40 nJ" in page
    # 1.5 nJ over kT ln 2 at 300 K, by hand
    assert "5.2e+11 bits" in page
    bars = shapes(drawing.histogram_svg([0, 1, 2], [3, 40], "ns"), "rect")
    assert [bar.findtext("title") for bar in bars] == ["0.00 to 1.00: 3", "1.00 to 2.00: 40"]


def test_report_is_written_as_markdown_and_json_with_the_same_tables(tmp_path: Path) -> None:
    crossbar_results(tmp_path)
    (tmp_path / "power").mkdir()
    write_metrics(tmp_path / "power" / "metrics.json", [metric("power__total", 3.5)])
    write_report(tmp_path, design(N_MNIST))
    text = (tmp_path / "report.md").read_text()
    assert "| cells | 1 | 2 | 3 |" in text
    # the split: nJ per inference, pJ per synaptic operation, of which there are 11
    assert "| array | 0.001 | 0.002 | 0.003 | 0.0909 | 0.182 | 0.273 |" in text
    assert "| ADCs | 0.01 | 0.02 | 0.03 | 0.909 | 1.82 | 2.73 |" in text
    assert "| power | 3.5 | mW | yosys 0.70 | counted | liquidcal synth | 2026-01-01T00:00:00Z |" in text
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["metrics"][0]["value"] == 3.5
    assert [section["title"] for section in content["sections"]][-1] == "Where the figures come from"


def test_every_table_of_a_step_tells_where_it_is_from(tmp_path: Path) -> None:
    (tmp_path / "placement").mkdir()
    own = replace(metric("design__core__area", 2e6), library="toy", library_sha256="ab12", command="liquidcal place X")
    write_metrics(tmp_path / "placement" / "metrics.json", [own, replace(own, name="design__core__utilization")])
    (tmp_path / "placement" / "placement.png").write_bytes(b"png")
    journal = quiet()
    with journal.step("work"):
        pass
    journal.check(Check(name="equal", passed=True, compared=1, unit="words"))
    journal.save(tmp_path / "journal.json")
    page = write_report(tmp_path, design(ECON_T)).read_text()
    line = "yosys 0.70; library toy, SHA-256 ab12; liquidcal place X; 2026-01-01T00:00:00Z"
    text = (tmp_path / "report.md").read_text()
    # two metrics of one run are one line: under the placement and under the context
    assert text.count(f"Measured: {line}.") == 2
    assert f"Measured: {line}." in page
    for section in json.loads((tmp_path / "report.json").read_text())["sections"]:
        if section["tables"] and section["title"] != "Where the figures come from":
            assert section["origins"], section["title"]
    ran = json.loads((tmp_path / "journal.json").read_text())["origin"]
    assert ran.startswith(f"liquidcal {metadata.version('liquidcal')}; ")
    assert text.count(f"Measured: {ran}.") == 2


def test_reports_are_compared_figure_by_figure(tmp_path: Path) -> None:
    for name, area in (("a", 3.0), ("b", 2.0)):
        (tmp_path / name / "synthesis2").mkdir(parents=True)
        crossbar_results(tmp_path / name)
        figures = [
            metric("design__instance__area", area), metric(f"only__{name}", 1.0), metric("flow__runtime__total", area),
        ]  # fmt: skip
        write_metrics(tmp_path / name / "synthesis2" / "metrics.json", figures)
    page = write_report(tmp_path / "a", design(N_MNIST), against=tmp_path / "b").read_text()
    assert "only__b" not in page
    sections = json.loads((tmp_path / "a" / "report.json").read_text())["sections"]
    # what is asked for comes first, in words; what the machine took comes last
    assert [row[0] for row in sections[0]["tables"][0]["rows"]] == ["area"]
    assert sections[0]["title"] == f"Against {tmp_path / 'b'}"
    assert sections[0]["tables"][0]["rows"][0][1:] == ["3", "2", "µm²", "1.500"]
    assert sections[-1]["title"].startswith("Run times against")
    assert [row[0] for row in sections[-1]["tables"][0]["rows"]] == ["run time"]
    (tmp_path / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no metrics"):
        write_report(tmp_path / "a", design(N_MNIST), against=tmp_path / "c")


def test_a_table_whose_row_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 cells, got 1"):
        table(["a", "b"], [["x"]])


def test_fresh_folder_is_all_or_nothing(tmp_path: Path) -> None:
    out = tmp_path / "result"

    def run(text: str, fail: bool = False) -> None:
        with fresh_folder(out, marker="done") as work:
            (work / "done").write_text(text)
            if fail:
                raise KeyboardInterrupt

    run("first")
    with pytest.raises(KeyboardInterrupt):
        run("second", fail=True)
    assert (out / "done").read_text() == "first"
    run("third")
    assert (out / "done").read_text() == "third"
    assert [path.name for path in tmp_path.iterdir()] == ["result"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="no earlier result"), fresh_folder(tmp_path / "other", marker="done"):
        pass


def test_energy_beside_others_is_native_or_translated_by_name(tmp_path: Path) -> None:
    (tmp_path / "power").mkdir()
    power = {
        "activity": "showers", "annotated_nets_percent": 99.0, "wires": "placement", "energy_per_clock_pj": 1000.0,
        "period_ns": 25.0, "voltage_v": 1.1, "library": "nangate45", "notes": [], "uncertainty": [],
        "power_uw": {"total": 40000.0, "leakage": 8000.0, "clock_tree": 0.0},
        "stages_uw": {"dense": {"leakage": 8000.0}},
    }  # fmt: skip
    (tmp_path / "power" / "power.json").write_text(json.dumps(power))
    write_report(tmp_path, design(ECON_T))
    sections = {s["title"]: s for s in json.loads((tmp_path / "report.json").read_text())["sections"]}
    rows = {r[0]: r for r in sections["Energy per inference beside others"]["tables"][0]["rows"]}
    assert rows["ECON_T, as measured"][1:] == ["1.00", "native, nangate45 at 1.1 V"]
    # 0.8 nJ without leakage; Dennard 65/45 x (1.2/1.1)^2, and the polynomials of Stillmaker and Baas from 45 nm HP
    assert float(rows["ECON_T, 65nm LP, low"][1]) == pytest.approx(0.8 * 65 / 45 * (1.2 / 1.1) ** 2, abs=0.006)
    ratio = (3.755 * 1.44 - 4.398 * 1.2 + 1.975) / (1.018 * 1.21 - 0.3107 * 1.1 + 0.1539)
    assert float(rows["ECON_T, 65nm LP, high"][1]) == pytest.approx(0.8 * ratio, abs=0.006)
    assert rows["ECON-T encoder"][1] == "2.40"


def test_context_tells_carbon_of_the_placed_die_by_the_published_formula(tmp_path: Path) -> None:
    (tmp_path / "placement").mkdir()
    write_metrics(tmp_path / "placement" / "metrics.json", [metric("design__core__area", 2e6)])
    (tmp_path / "placement" / "placement.png").write_bytes(b"png")
    write_report(tmp_path, design(ECON_T))
    text = (tmp_path / "report.md").read_text()
    # 2 mm2; grams per cm2 at 28 nm: (583 g/kWh x 0.9 kWh + 137.5 + 500) / 0.875
    nominal = (583 * 0.9 + 137.5 + 500) / 0.875 * 0.02
    assert f"| nominal | grid of Taiwan, mean of both abatements | {nominal:.2f} |" in text
    low, high = ((ci * 0.9 + gas + 500) / 0.875 * 0.02 for ci, gas in ((41, 100), (820, 175)))
    assert f"({low:.2g} to {high:.2g} g)" in text
    assert "Context, no claim" in text
    with pytest.raises(ValueError, match="above 0"):
        die_carbon(0)


def test_a_sweep_becomes_a_section_with_its_plots(tmp_path: Path) -> None:
    rows = [Row(chosen={"reuse": n}, figures={"area_um2": 5.0 / n, "latency_ns": 10.0 * n}) for n in (1, 2)]
    write_rows(
        [*rows, Row(chosen={"reuse": 4}, figures={}, errors=("e",))], tmp_path / "sweep.json", "liquidcal sweep X"
    )
    draw_pareto(rows, "area_um2", "latency_ns", tmp_path / "pareto.svg", "T")
    page = write_report(tmp_path, design(ECON_T)).read_text()
    assert page.count("data:image/svg+xml;base64,") == 1
    text = (tmp_path / "report.md").read_text()
    assert "| 2 | 2.5 | 20 |" in text
    assert "| 4 | failed | failed |" in text
    assert f"Measured: liquidcal {metadata.version('liquidcal')}; liquidcal sweep X; 2" in text


def test_steps_tell_time_and_memory_of_the_program_and_its_children(tmp_path: Path) -> None:
    journal = quiet()
    program = (
        "import time; block = bytearray(300_000_000); block[::4096] = b'x' * len(block[::4096]); time.sleep(1)\n"
        "while time.process_time() < 0.5: pass"
    )
    with journal.step("child takes 300 MB"):
        subprocess.run([sys.executable, "-c", program], check=True)
    with journal.step("nothing"):
        pass
    child, nothing = journal.steps
    assert child.seconds >= 1
    # asleep it takes none, and the child's counts
    assert child.cpu_s is not None
    assert nothing.cpu_s is not None
    assert 0.5 <= child.cpu_s < child.seconds - 0.5
    assert nothing.cpu_s < 0.3
    assert child.peak_mb is not None
    assert nothing.peak_mb is not None
    assert 280 < child.peak_mb - nothing.peak_mb < 450
    journal.save(tmp_path / "journal.json")
    write_report(tmp_path, design(ECON_T))
    text = (tmp_path / "report.md").read_text()
    assert f"| child takes 300 MB | {child.seconds:.1f} | {child.cpu_s:.1f} | {child.peak_mb:,.0f} |" in text
