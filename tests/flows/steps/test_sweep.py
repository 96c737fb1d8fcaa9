"""Sweeps: axes, points, Pareto fronts, resumption, failures."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.common.content_cache import ContentCache
from flows.designs.catalogue import KINDS, design
from flows.learning.encoder import evaluate_model, evaluation_sample, find_model
from flows.library.catalogue import cell_library
from flows.steps import crossbar_measures, encoder_measures
from flows.steps import measure as keys
from flows.steps import sweep as module
from flows.steps.pareto import draw_pareto, pareto_front
from flows.steps.sweep import COMMON, Axis, Row, figures, measures, parse_axis, points, sweep
from sim.hgcal_encoder.spec import ECON_T
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.spec import N_MNIST, N_TIDIGITS
from tests.flows.conftest import library_or_skip
from tests.flows.steps.adder import AdderDesign
from tests.hw.driving import ODD
from tests.specs import SMALL


def test_axes_take_fields_fields_of_fields_and_options() -> None:
    assert parse_axis("filters=4,8", design(ECON_T)).values == (4, 8)
    assert parse_axis("latent.width=7,9", design(ECON_T)).values == (7, 9)
    assert parse_axis("elinks=3", design(ECON_T)).values == (3,)
    assert parse_axis("noise_scale=none,4", design(N_MNIST)).values == (None, 4)
    found = [point.design.spec for point in points(design(ECON_T), [parse_axis("latent.width=7,9", design(ECON_T))])]
    assert [spec.latent.width for spec in found] == [7, 9]  # type: ignore[union-attr]
    assert found[1] == ECON_T


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters", "expected NAME=VALUE"),
        ("filters=", "expected NAME=VALUE"),
        ("filter=3", "no field filter; there are name, grid"),
        ("filters.width=3", "has no fields"),
        ("filters=x", "expected a value like 8, got 'x'"),
        ("grid=3", "expected a value like (8, 8, 1)"),
        ("filters=3,3", "occurs twice"),
    ],
)
def test_a_wrong_axis_says_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_axis(text, design(ECON_T))


def test_an_illegal_combination_is_named_before_anything_runs() -> None:
    with pytest.raises(ValueError, match="stride=0"):
        points(design(ECON_T), [parse_axis("stride=2,0", design(ECON_T))])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12))
def test_the_front_is_what_no_point_dominates(pairs: list[tuple[int, int]]) -> None:
    rows = [Row(chosen={}, figures={"a": float(a), "b": float(b)}) for a, b in pairs]
    front = pareto_front(rows, ("a", "-b"))
    for i, (a, b) in enumerate(pairs):
        beaten = any((c < a and d >= b) or (c <= a and d > b) for c, d in pairs)
        assert (i in front) is not beaten


def test_a_point_without_the_figure_is_not_on_the_front_nor_drawn(tmp_path: Path) -> None:
    rows = [Row(chosen={"x": 1}, figures={"a": 1.0, "b": 2.0}), Row(chosen={"x": 2}, figures={"a": 0.0}, errors=("e",))]
    assert pareto_front(rows, ("a", "b")) == [0]
    draw_pareto(rows, "a", "b", tmp_path / "p.svg", "T")
    text = (tmp_path / "p.svg").read_text()
    assert ("<!-- x 1 -->" in text, "<!-- x 2 -->" in text) == (True, False)
    with pytest.raises(ValueError, match="no point has both"):
        draw_pareto(rows, "a", "c", tmp_path / "q.svg", "T")


def test_a_sweep_measures_what_evaluation_does_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = [parse_axis("dense_product_fraction=8,5", design(ECON_T))]
    done: list[int] = []
    rows = sweep(design(ECON_T), axes, ["emd"], workers=2, cache=ContentCache(tmp_path / "c"), advance=done.append)
    assert done == [1, 1]
    assert [row.errors for row in rows] == [(), ()]
    table = evaluate_model(find_model(preset="ECON_T", elinks=5), {"simulated": evaluation_sample()})
    medians = [row["emd"]["median"] for row in table["data"][0]["bins"]]
    assert list(rows[0].figures.values()) == pytest.approx(medians, abs=1e-6)
    assert rows[1].figures["emd_median_8_48"] > rows[0].figures["emd_median_8_48"]

    @contextmanager
    def none(*_: Any) -> Iterator[None]:
        raise AssertionError("a finished point was computed again")
        yield

    monkeypatch.setattr(module, "dask_client", none)
    assert sweep(design(ECON_T), axes, ["emd"], cache=ContentCache(tmp_path / "c")) == rows


def test_a_measurement_that_fails_leaves_the_others_and_is_not_kept(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "c")
    rows = sweep(design(ODD), [parse_axis("filters=3", design(ODD))], ["emd"], workers=1, cache=cache)
    assert rows[0].figures == {}
    assert "no shipped weights for the grid (6, 6, 1)" in rows[0].errors[0]
    assert not (tmp_path / "c").exists()


def test_unknown_measures_and_chips_are_refused() -> None:
    with pytest.raises(ValueError, match="no measure 'size' for the kind encoder"):
        sweep(design(ODD), [], ["size"])
    with pytest.raises(ValueError, match="no measure 'emd' for the kind crossbar"):
        sweep(design(N_MNIST), [], ["emd"])
    with pytest.raises(ValueError, match="at least one measure"):
        sweep(design(N_MNIST), [], [])


def test_accuracy_of_a_crossbar_and_the_reads_that_it_takes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crossbar_measures, "RECORDINGS", (200, 60, 60))
    monkeypatch.setattr(crossbar_measures, "cache_directory", lambda: tmp_path)
    axes = [parse_axis("rows_per_read=8,16", design(N_MNIST)), parse_axis("seed=0,1", design(N_MNIST))]
    found = {
        (point.chosen["rows_per_read"], point.chosen["seed"]): crossbar_measures.MEASURES["accuracy"].run(point)
        for point in points(design(N_MNIST), axes)
    }
    # ten classes; 60 recordings of this camera cannot be told by chance in more than a third
    assert all(figures["accuracy_percent"] > 40 for figures in found.values())
    assert found[16, 0] != found[16, 1]
    (file,) = (tmp_path / "recordings").iterdir()
    with np.load(file) as data:
        spikes = np.unpackbits(data["spikes_2"], axis=2, count=N_MNIST.inputs)
    activity = Liquid(N_MNIST, draw(N_MNIST, 0)).run(spikes)
    active = spikes.sum(axis=2, dtype=int)
    active[:, 1:] += activity.spikes[:, :-1].sum(axis=2)
    assert found[16, 0]["reads_per_recording"] == pytest.approx((-(-active // 16)).sum(axis=1).mean())
    assert found[8, 0]["reads_per_recording"] > 1.5 * found[16, 0]["reads_per_recording"]


def test_accuracy_is_not_for_an_encoder_nor_for_other_classes() -> None:
    with pytest.raises(ValueError, match="no measure 'accuracy' for the kind encoder"):
        sweep(design(ECON_T), [parse_axis("filters=4", design(ECON_T))], ["accuracy"])
    (point,) = points(design(N_TIDIGITS), [parse_axis("seed=0", design(N_TIDIGITS))])
    with pytest.raises(ValueError, match="N_TIDIGITS has 64 inputs and 11 outputs"):
        crossbar_measures.MEASURES["accuracy"].run(point)


def test_latency_is_that_of_the_published_stages() -> None:
    """Words, pixels, activations, latents and frame are registered: five clocks, whatever protects the registers."""
    axes = [parse_axis("reuse=1,8", design(ECON_T)), parse_axis("scheme=,tmr_registers", design(ECON_T))]
    for point in points(design(ECON_T), axes):
        assert encoder_measures.MEASURES["latency"].run(point) == {"latency_clocks": 5.0, "latency_ns": 125.0}
    with pytest.raises(ValueError, match="scheme=armour: 'armour' is not a valid Scheme; schemes none"):
        points(design(ECON_T), [parse_axis("scheme=armour", design(ECON_T))])
    with pytest.raises(ValueError, match="N_MNIST is of the kind crossbar, which has no choice of scheme"):
        points(design(N_MNIST), [parse_axis("scheme=secded", design(N_MNIST))])


def test_plots_name_axes_with_units_and_tell_the_front_from_the_rest(tmp_path: Path) -> None:
    rows = [
        Row(
            chosen={"reuse": n, "scheme": s}, figures={"area_um2": a * 1e6, "energy_pj": 1e3 * e, "accuracy_percent": e}
        )
        for n, s, a, e in ((1, "", 4.0, 1.0), (8, "", 1.0, 3.0), (1, "secded", 4.0, 2.0), (8, "secded", 2.0, 4.0))
    ]
    assert pareto_front(rows, ("area_um2", "energy_pj")) == [0, 1]
    draw_pareto(rows, "area_um2", "energy_pj", tmp_path / "p.svg", "T", figures(design(N_MNIST)))
    text = (tmp_path / "p.svg").read_text()
    for label in ("area, mm²", "energy, nJ", "reuse 8", "scheme none", "scheme secded", "on the Pareto front"):
        assert f"<!-- {label} -->" in text, label
    draw_pareto(rows, "area_um2", "-accuracy_percent", tmp_path / "q.svg", "T", figures(design(N_MNIST)))
    assert "<!-- accuracy, % -->" in (tmp_path / "q.svg").read_text()


def test_energy_of_a_small_encoder_has_its_parts_in_order() -> None:
    library_or_skip("nangate45")
    (point,) = points(design(SMALL), [parse_axis("library=nangate45", design(SMALL))])
    figures = COMMON["energy"].run(point)
    assert figures["energy_low_pj"] < figures["energy_pj"] < figures["energy_high_pj"]
    # a gate equivalent of NanGate 45 is 0.798 um2, and an idle one leaks more than a nanowatt: a floor of the energy
    assert figures["area_um2"] / figures["area_kge"] == pytest.approx(798, rel=1e-9)
    assert figures["energy_pj"] > 1e-3 * figures["area_kge"] * 1e3 * 25e-3


def scaled_library(folder: Path, factor: float) -> str:
    """NanGate 45 with every cell's area multiplied, in files that always have the same names."""
    cells = cell_library("nangate45")
    liberty = folder / "cells.lib"
    text = cells.liberty[0].read_text()
    liberty.write_text(re.sub(r"(\n\s*area\s*:\s*)([\d.]+)", lambda m: f"{m[1]}{factor * float(m[2]):.6f}", text))
    return ",".join(map(str, [liberty, *cells.lef, *cells.verilog]))


def test_twice_the_area_of_every_cell_is_twice_the_area_of_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A library counts by its content: an edit under the same name is no other run's figure."""
    library_or_skip("nangate45")
    monkeypatch.setitem(KINDS, AdderDesign.kind, AdderDesign)
    cache = ContentCache(tmp_path / "c")

    def area(factor: float) -> float:
        name = scaled_library(tmp_path, factor)
        axis = Axis(name="library", values=(name,))
        (row,) = sweep(design("ADDER"), [axis], ["area"], workers=1, cache=cache)
        assert not row.errors, row.errors
        return row.figures["area_um2"]

    assert area(2.0) == pytest.approx(2 * area(1.0), rel=1e-6)


@pytest.mark.parametrize("name", ["area", "energy", "latency", "emd"])
def test_keys_of_measures_hold_options_tools_and_variant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library_or_skip("nangate45")
    monkeypatch.setattr(keys, "versions", lambda tools: dict.fromkeys(tools, "1"))
    (point,) = points(design(SMALL), [parse_axis("library=nangate45", design(SMALL))])
    measure = measures(point.design)[name]
    known = {"as it is": measure.key(name, point)}
    for option in measure.reads:
        known[option] = measure.key(name, replace(point, options={**point.options, option: 9}))
    for other in ({"reuse": 2}, {"scheme": "secded"}, {"clock_gating": True}):
        known[str(other)] = measure.key(name, replace(point, design=design(SMALL, library="nangate45", **other)))
    for tool in measure.tools:
        monkeypatch.setattr(keys, "versions", lambda tools, new=tool: dict.fromkeys(tools, "1") | {new: "2"})
        known[tool] = measure.key(name, point)
    assert len(set(known.values())) == len(known)


READS = {
    "area": set(), "energy": set(), "latency": set(), "emd": {"elinks"}, "accuracy": {"seed"},
}  # fmt: skip
"""Options that a measure depends on, by what it measures: areas and energies know no links and no draw."""


@pytest.mark.parametrize("around", [ECON_T, N_MNIST], ids=["ECON_T", "N_MNIST"])
def test_a_measure_depends_on_the_options_in_its_key(around: Any) -> None:
    """An option that a measure reads and its key lacks gives the figures of another point: it is not even shown."""
    (point,) = points(design(around, library="nangate45"), [])
    assert set(point.options) == set(module.OPTIONS) == {"elinks", "seed"}
    for name, measure in measures(point.design).items():
        assert set(measure.reads) == READS[name], name
        seen: list[Any] = []
        spy = replace(measure, run=lambda given, seen=seen: seen.append(given) or {})
        spy.figures_of(point)
        assert seen[0].options == {option: point.options[option] for option in READS[name]}
        assert seen[0].design is point.design


def test_a_sweep_runs_measures_with_what_their_keys_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    (point,) = points(design(ECON_T), [])
    careless = replace(COMMON["area"], run=lambda point: {"area_um2": float(point.options["seed"])})
    monkeypatch.setitem(COMMON, "area", careless)
    with pytest.raises(KeyError, match="seed"):
        module._run("area", point)


@pytest.mark.parametrize("name", ["area", "energy", "latency", "emd"])
def test_every_field_of_a_spec_is_in_the_keys(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "versions", lambda tools: dict.fromkeys(tools, "1"))
    changes: dict[str, Any] = {
        "filters": 3, "stride": 1, "padding": (1, 0, 0, 0), "latents": 4, "conv_product_fraction": 6,
        "dense_product_fraction": 7, "cell_map": tuple(range(1, 17)), "kernel": (1, 2),
        "weight": replace(SMALL.weight, width=5, fraction=4), "latent": replace(SMALL.latent, width=8),
        "activation": replace(SMALL.activation, width=7, fraction=6), "reuse": 2,
    }  # fmt: skip
    (point,) = points(design(SMALL, library="nangate45"), [])
    measure = measures(point.design)[name]
    known = {"as it is": measure.key(name, point)}
    for field, value in changes.items():
        other = design(replace(SMALL, **{field: value}), library="nangate45")
        known[field] = measure.key(name, replace(point, design=other))
    assert len(set(known.values())) == len(known)
