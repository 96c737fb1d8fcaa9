"""Pictures of an association chip, and its report from the files that a draw leaves."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from flows.designs.catalogue import design
from flows.estimates.association_energy import query_group, query_split
from flows.report.association_drawing import curve_svg, space_svg
from flows.report.write import write_report
from sim.lsm_crossbar.association.spec import DIGITS_8BIT


def test_space_has_a_mark_for_every_recording_in_the_colour_of_its_class() -> None:
    seen = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.2]]), np.array([0, 1, 1])
    heard = np.array([[0.9, 1.0], [0.0, 0.1]]), np.array([1, 0])
    root = ElementTree.fromstring(space_svg([seen, heard]))
    discs = root.findall("circle")
    assert [disc.findtext("title") for disc in discs] == ["seen 0", "seen 1", "seen 1"]
    squares = [rect for rect in root.findall("rect") if rect.find("title") is not None]
    assert [square.findtext("title") for square in squares] == ["heard 1", "heard 0"]
    assert discs[1].get("fill") == discs[2].get("fill") == squares[0].get("fill") != discs[0].get("fill")
    # the first coordinate to the right, the second upwards
    assert float(discs[0].get("cx", "")) < float(discs[2].get("cx", "")) < float(discs[1].get("cx", ""))
    assert float(discs[0].get("cy", "")) > float(discs[2].get("cy", "")) > float(discs[1].get("cy", ""))
    assert ElementTree.fromstring(space_svg([(np.zeros((0, 2)), []), (np.zeros((0, 2)), [])])) is not None


def test_curve_rises_from_chance() -> None:
    curve = [{"k": k, "audio_to_image": a, "image_to_audio": b} for k, a, b in ((1, 0.8, 0.7), (5, 0.95, 0.9))]
    circles = ElementTree.fromstring(curve_svg(curve)).findall("circle")
    assert len(circles) == 4
    heights = [float(circle.get("cy", "")) for circle in circles]
    assert heights[1] < heights[0] < heights[2]  # a larger share stands higher
    assert heights[1] < heights[3] < heights[2]


def test_every_stage_of_a_query_has_its_part() -> None:
    assert query_group("audio.neuron", "audio") == "neurons"
    assert query_group("vision.neuron", "audio") == query_group("vision_projection", "audio") == "idle liquid"
    assert query_group("vision.adc", "vision") == "ADC control and subtraction"
    assert (query_group("audio_projection", "audio"), query_group("match", "audio")) == ("projection", "match")
    assert query_group("registers", "audio") == query_group("DIGITS_8BIT", "vision") == "control"
    terms = [
        {"name": name, "low_pj": 1.0, "nominal_pj": 2.0, "high_pj": 4.0}
        for name in ("cells", "word lines", "ADCs", "match", "embedding memory", "idle liquid", "leakage")
    ]
    parts = query_split(terms)
    assert {name: part["nominal_pj"] for name, part in parts.items()} == {
        "array": 4.0, "ADCs": 2.0, "match": 4.0, "rest": 4.0,
    }  # fmt: skip
    assert sum(part["high_pj"] for part in parts.values()) == 28.0


def test_report_of_a_draw(tmp_path: Path) -> None:
    rng, spec = np.random.default_rng(1), DIGITS_8BIT
    matrix = np.diag([3] * 10)
    matrix[2, 3] = 1
    (tmp_path / "retrieval.json").write_text(json.dumps({
        "seed": 1, "classes": list(range(10)), "test": [0.9, 0.8], "audio_to_image": matrix.tolist(),
        "image_to_audio": np.diag([2] * 10).tolist(), "conductances": ["a", "b"],
        "anchors": [{"k": 1, "audio_to_image": 0.8, "image_to_audio": 0.75}],
    }))  # fmt: skip
    arrays = {}
    for name, crossbar in (("vision", spec.vision), ("audio", spec.audio)):
        arrays |= {
            f"{name}_inputs": rng.random((crossbar.steps, crossbar.inputs)) < 0.1,
            f"{name}_spikes": rng.random((crossbar.steps, crossbar.all_neurons)) < 0.1,
            f"{name}_labels": np.arange(10), f"{name}_places": rng.normal(size=(10, 2)),
        }  # fmt: skip
    np.savez(tmp_path / "queries.npz", **arrays)
    term = {"name": "cells", "low_pj": 1e3, "nominal_pj": 2e5, "high_pj": 3e5}
    whole = {
        "terms": [term], "entries": 128, "digital_native_pj": 5e5, "library": "nangate45", "clocks": 9000.0,
        "activity": "32 queries",
    }  # fmt: skip
    (tmp_path / "energy.json").write_text(
        json.dumps({"queries": {"audio": whole, "vision": {"terms": [term], "entries": 60}}})
    )
    page = write_report(tmp_path, design("DIGITS_8BIT")).read_text()
    assert "96.8 %" in page  # 30 of 31
    assert "a spoken query: whole chip at 40 nm; digital part alone 500 nJ on nangate45" in page
    assert "a seen query: arrays, ADCs and memories at 40 nm; the digital part is not measured" in page
    assert "Chance is 10 %." in page
    assert "seen query among 60 entries, 40 nm" in page
