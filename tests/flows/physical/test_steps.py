"""A small encoder through synthesis, placement, timing and power, as the commands run them."""

import io
import json
import shutil
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from flows.cli import main
from flows.common.journal import Check, Journal
from flows.common.metrics import find, read_metrics
from flows.designs.catalogue import design
from flows.designs.design import Design
from flows.library.wires import WireUnit
from flows.netlist.delays import arrivals
from flows.netlist.gate_simulation import GateSimulator
from flows.netlist.view import prepare
from flows.physical.mapped import Mapped, cell_area_um2, clocks_of
from flows.physical.measure import measure_timing
from flows.power.cell_power import cell_power
from flows.power.encoder import encoder_activity, load_registers
from flows.power.measure import measure_power
from flows.steps.synthesis import judge_copies
from flows.stimulus.showers import shower_stimulus
from flows.synthesis.result import SynthesisResult, load_result
from hw.common.export import to_rtlil
from hw.common.scheme import Scheme
from hw.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.weights import Weights
from tests.conftest import need
from tests.flows.conftest import library_or_skip
from tests.flows.power import by_hand
from tests.flows.shared_netlists import folder_of_the_run, synthesise_once
from tests.specs import MINI, SMALL


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of results with the synthesis of the small encoder, and its spec as a file."""
    library = library_or_skip("nangate45")
    out = tmp_path_factory.mktemp("report")
    (out / "small.toml").write_text(SMALL.to_toml())
    (out / SMALL.name).mkdir()
    rtlil = to_rtlil(Encoder(spec=SMALL), SMALL.name)
    synthesise_once(
        folder_of_the_run(tmp_path_factory), rtlil, top=SMALL.name, library=library,
        out_dir=out / SMALL.name / "synthesis",
    )  # fmt: skip
    return out


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["liquidcal", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    result = capsys.readouterr()
    return int(left.value.code or 0), result.out if left.value.code in (0, 1, None) else result.err


def test_netlist_equals_the_golden_model_in_every_stream(report: Path) -> None:
    mapped = Mapped(folder=report / SMALL.name)
    weights = Weights.random(SMALL, np.random.default_rng(1))
    stimulus = shower_stimulus(SMALL, streams=70, crossings=14, seed=3)
    assert len({settings.high_density for settings in stimulus.settings}) == 2
    simulator = GateSimulator(mapped.netlist, mapped.library, words=2)
    load_registers(simulator, SMALL, stimulus, weights)
    latency = Encoder(spec=SMALL).latency
    activity, actual, expected = encoder_activity(
        simulator, SMALL, stimulus, weights, latency=latency, period_ns=25.0, snapshots=2
    )
    np.testing.assert_array_equal(actual, expected)
    assert len(np.unique(actual)) > 100
    assert activity.clocks == 70 * (14 - latency - 1)
    assert activity.pairs == 140
    # settings and weights stand still
    stage = mapped.netlist.stages.index("registers")
    still = simulator.state_rows[mapped.netlist.cell_stage[simulator.storage_cells] == stage]
    before, after = (states[still] for states in (activity.before, activity.after))
    np.testing.assert_array_equal(before & activity.mask, after & activity.mask)


def test_commands_in_a_row(report: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    spec, folder = report / "small.toml", report / SMALL.name
    # without a placement the library's wire load stands in, and says so
    before = Mapped(folder=folder)
    estimated = before.wires()
    assert estimated.source.startswith("lengths of wire load 5K_hvratio_1_1, 0.104 fF/um")
    code, out = run(monkeypatch, capsys, "place", spec, "--out", report, "--json")
    assert code == 0
    assert json.loads(out)["passed"] is True
    assert (folder / "placement" / "placement.png").stat().st_size > 5000
    placed = read_metrics(folder / "placement" / "metrics.json")
    area, share = (find(placed, f"design__{name}").value for name in ("core__area", "instance__utilization"))
    assert area * share == pytest.approx(Mapped(folder=folder).cell_area_um2, rel=1e-3)
    code, out = run(monkeypatch, capsys, "time", spec, "--out", report, "--json")
    assert code == 0
    timing = json.loads(out)
    assert timing["setup_slack_ns"] > 0
    assert timing["fmax_mhz"] > 40
    assert timing["static_paths"][0]["start_stage"] == "registers"
    assert {path["start_stage"] for path in timing["setup_paths"]} <= set(Mapped(folder=folder).netlist.stages) | {
        "port"
    }
    assert sum(timing["slack_histogram"]["endpoints"]) == find(timing_metrics(folder), "timing__endpoint__count").value
    # an impossible clock fails the gate
    assert run(monkeypatch, capsys, "time", spec, "--out", report, "--period", "0.5")[0] == 1
    code, out = run(monkeypatch, capsys, "power", spec, "--out", report, "--streams", "64", "--crossings", "10",
                    "--glitch-clocks", "4", "--supply", "0.8", "--json")  # fmt: skip
    assert code == 0
    result = json.loads(out)
    assert result["wires"].startswith("placement, 0.104 fF/um")
    # what was read before the placement is as it was; read again, it has it
    assert before.placement is None
    np.testing.assert_array_equal(before.wires().ff, estimated.ff)
    after = before.with_placement()
    assert after.placement is not None
    assert after.synthesised is before.synthesised
    assert after.wires().ff.sum() != estimated.ff.sum() > 0
    with pytest.raises(FrozenInstanceError):
        before.placement = after.placement  # type: ignore[misc]
    assert result["frames_compared"] == 64 * 5 * 13
    assert result["power_uw"]["total"] == pytest.approx(sum(v for k, v in result["power_uw"].items() if k != "total"))
    assert result["glitch_factor"] >= 1
    by_stage = sum(sum(row.values()) for row in result["stages_uw"].values())
    assert by_stage + result["power_uw"]["clock_tree"] == pytest.approx(result["power_uw"]["total"])
    energy = find(read_metrics(folder / "power" / "metrics.json"), "energy__per_inference")
    assert energy.value == pytest.approx(result["energy_per_clock_pj"])
    assert energy.command.endswith("--supply 0.8 --seed 1")
    # at 0.8 in place of 1.1 V, by the published polynomials: 45 nm HP 0.5569 / 1.0439, LP 0.6930 / 1.2131 of the
    # energy, 16.96 / 13.64 and 109.5 / 43.22 of the delay; leakage with the supply
    rows = {row["node"]: row for row in result["supply"]}
    assert rows.keys() == {"45nm HP", "45nm LP"}
    leakage = result["power_uw"]["leakage"] * 25e-3
    fastest = find(timing_metrics(folder), "timing__fmax").value
    for node, ratio, slower in (("45nm HP", 0.5334, 16.96 / 13.64), ("45nm LP", 0.5713, 109.5 / 43.22)):
        row = rows[node]
        assert row["leakage_pj"] == pytest.approx(leakage * 0.8 / 1.1)
        assert row["dynamic_pj"] == pytest.approx((result["energy_per_clock_pj"] - leakage) * ratio, rel=1e-3)
        assert row["energy_per_inference_pj"] == pytest.approx(row["dynamic_pj"] + row["leakage_pj"])
        assert row["fmax_mhz"] == pytest.approx(fastest / slower, rel=0.01)
    stated = find(read_metrics(folder / "power" / "metrics.json"), "energy__per_inference__node:45nm_LP__supply:0.8V")
    assert stated.value == rows["45nm LP"]["energy_per_inference_pj"]
    # refused before anything is simulated
    code, out = run(monkeypatch, capsys, "power", spec, "--out", report, "--supply", "0.2")
    assert code == 2
    assert "supply of 45nm HP: expected 0.5 to 1.1 V, got 0.2" in out


def timing_metrics(folder: Path) -> tuple[object, ...]:
    return read_metrics(folder / "timing" / "metrics.json")


def test_a_placement_of_another_netlist_does_not_count(report: Path, tmp_path: Path) -> None:
    folder = tmp_path / SMALL.name
    shutil.copytree(report / SMALL.name / "synthesis", folder / "synthesis")
    (folder / "placement").mkdir()
    (folder / "placement" / "placement.npz").write_bytes(b"")
    (folder / "placement" / "placement.json").write_text(json.dumps({"netlist_sha256": "other"}))
    assert Mapped(folder=folder).placement is None
    tables = json.loads((folder / "synthesis" / "modules.json").read_text())
    (folder / "synthesis" / "modules.json").write_text(json.dumps(tables | {"library_sha256": "other"}))
    with pytest.raises(ValueError, match="another version of nangate45"):
        _ = Mapped(folder=folder).cells
    with pytest.raises(FileNotFoundError, match="liquidcal synth"):
        _ = Mapped(folder=tmp_path / "nothing").netlist


def test_repair_leaves_the_function_and_fewer_overloaded_nets(
    report: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Small cores have short wires: the wire is made five times as heavy, so that there is much to mend."""
    shutil.copytree(report / SMALL.name / "synthesis", tmp_path / SMALL.name / "synthesis")
    spec, folder = report / "small.toml", tmp_path / SMALL.name
    heavy = WireUnit(ff_per_um=0.531, ohm_per_um=0.0, source="five times the process's")
    monkeypatch.setattr("flows.physical.mapped.wire_unit", lambda *_: heavy)
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    place = ("place", spec, "--out", tmp_path, "--spread", "--repair", "--hold", "0.67")
    assert run(monkeypatch, capsys, *place)[0] == 0
    mended = {metric.name: float(metric.value) for metric in read_metrics(folder / "placement" / "metrics.json")}
    buffers = mended["design__instance__count__class:repair_buffer"]
    assert buffers > 0
    assert mended["design__overloaded_net__count"] < 0.02 * mended["design__overloaded_net__count__step:placed"]
    # at an assumed fast corner data come too soon to some registers, and to none any more
    held = mended["design__instance__count__class:hold_buffer"]
    assert held >= mended["timing__hold_vio__count__step:placed"] > 0
    assert mended["timing__hold_vio__count"] == 0
    mapped = Mapped(folder=folder)
    assert mapped.netlist.cells == mapped.synthesised.cells + buffers + held
    assert mapped.cell_area_um2 == pytest.approx(mended["design__instance__area"])
    assert mapped.cell_area_um2 > cell_area_um2(mapped.synthesised, mapped.cells)
    # its frames are compared with the golden model's on the way
    code, out = run(monkeypatch, capsys, "power", spec, "--out", tmp_path, "--streams", "64", "--crossings", "10",
                    "--glitch-clocks", "2", "--json")  # fmt: skip
    assert code == 0
    assert json.loads(out)["frames_compared"] == 64 * 5 * 13


def test_energy_of_5000_cells_summed_by_hand(report: Path) -> None:
    """Every seventh cell of the small encoder, state by state (tests/flows/power/by_hand.py), against the arrays.

    Three pairs of real states, each in two lanes, since every second lane sees the clock high. Transition times and
    arrivals are the netlist walk's own, which OpenSTA judges elsewhere.
    """
    mapped = Mapped(folder=report / SMALL.name)
    netlist, library = mapped.netlist, mapped.library
    simulator = GateSimulator(netlist, library, words=1)
    stimulus = shower_stimulus(SMALL, streams=64, crossings=12, seed=3)
    weights = Weights.random(SMALL, np.random.default_rng(1))
    load_registers(simulator, SMALL, stimulus, weights)
    latency = design(str(report / "small.toml")).latency
    activity, *_ = encoder_activity(simulator, SMALL, stimulus, weights, latency=latency, period_ns=25.0, snapshots=1)
    lanes = np.repeat([3, 20, 41], 2).astype(np.uint64)
    doubled = [
        np.bitwise_or.reduce((states[:, :1] >> lanes & np.uint64(1)) << np.arange(6, dtype=np.uint64), axis=1)[:, None]
        for states in (activity.before, activity.after)
    ]
    rates = np.random.default_rng(2).uniform(0, 0.1, simulator.rows)
    rates[simulator.clock_rows] = 0.08
    activity = replace(activity, before=doubled[0], after=doubled[1], mask=np.full(1, 63, np.uint64),
                       toggles_per_ns=rates)  # fmt: skip
    view = prepare(netlist, library, simulator.level, mapped.wires(), trees=("clk",), port_load_ff=5.0)
    power = cell_power(simulator, activity, view.timing)
    arrival = arrivals(simulator, view.timing, activity.opens_ns)
    load = dict.fromkeys(range(netlist.nets), 0.0) | dict(enumerate(view.wires.ff.tolist()))
    for group in netlist.groups.values():
        for pin in library[group.type].inputs:
            for net in group.pin(pin).tolist():
                if net >= 0:
                    load[net] += library[group.type].pins[pin].capacitance_ff
    for port in netlist.ports.values():
        for net in port.nets.tolist() if port.direction == "output" else ():
            load[net] += 5.0
    slew = dict(enumerate(view.timing.slew_ns.tolist()))
    done, wrong = 0, []
    for kind, group in netlist.groups.items():
        cell, rows = library[kind], simulator.pin_rows[kind]
        for place, number in enumerate(group.cells.tolist()):
            if number % 7:
                continue
            row = {pin: int(found[place]) for pin, found in rows.items()}
            pairs = [
                tuple({pin: int(words[at, 0]) >> lane & 1 for pin, at in row.items()} for words in doubled)
                for lane in (0, 2, 4)
            ]
            total = by_hand.cell_sum(
                cell, pairs, {pin: rates[at] for pin, at in row.items()},
                {pin: slew.get(at, 0.0) for pin, at in row.items()},
                {pin: load.get(at, 0.0) for pin, at in row.items()},
                [pin for pin in cell.inputs if arrival[row[pin]] > 12.5],
            )  # fmt: skip
            expected = total.leakage_nw, total.internal_uw, total.clock_uw
            found = power.leakage_nw[number], power.internal_uw[number], power.clock_pin_uw[number]
            if not np.allclose(found, expected, rtol=1e-9, atol=1e-9):
                wrong.append((netlist.cell_name(number), kind, found, expected))
            done += 1
    assert done > 5000
    assert not wrong, wrong[:3]
    for net in range(2, netlist.nets, 7):
        if power.driver[net] >= 0:
            assert power.switching_uw[net] == pytest.approx(0.5 * load[net] * 1.1**2 * rates[net])


def copies_counted(chosen: Design, result: SynthesisResult, more: int) -> list[Check]:
    """Checks of `synth` on a result whose netlist has some flip-flops more."""
    name = "design__instance__count__class:flip_flop"
    metrics = tuple(replace(m, value=int(m.value) + more) if m.name == name else m for m in result.metrics)
    journal = Journal(console=Console(file=io.StringIO()))
    asked = chosen.flip_flops()
    assert asked is not None
    judge_copies(journal, metrics, asked)
    return journal.checks


def test_a_whole_chip_with_two_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Protected, guarded loading, multipliers reused, store behind clock gates: four commands with the same options."""
    library_or_skip("nangate45")
    need(shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")
    spec = tmp_path / "mini.toml"
    spec.write_text(MINI.to_toml())
    variant = ("--reuse", "2", "--scheme", "tmr_registers", "--loading", "guarded", "--clock-gating", "--out", tmp_path)
    code, out = run(monkeypatch, capsys, "synth", spec, *variant, "--json")
    assert code == 0
    result = json.loads(out)
    (copies,) = (check for check in result["checks"] if "every copy of every bit" in check["name"])
    folder = tmp_path / "MINI_reuse2_tmr_registers_guarded_gated"
    mapped = Mapped(folder=folder)
    assert copies["passed"]
    assert copies["compared"] == load_result(folder / "synthesis").flip_flops
    chosen = design(str(spec), reuse=2, scheme=Scheme.TMR_REGISTERS, loading=Loading.GUARDED, clock_gating=True)
    assert [check.passed for check in copies_counted(chosen, load_result(folder / "synthesis"), 0)] == [True]
    (fewer,) = copies_counted(chosen, load_result(folder / "synthesis"), -1)
    assert not fewer.passed
    assert fewer.detail.endswith(f"expected {copies['compared']}, got {copies['compared'] - 1}")
    assert clocks_of(mapped, {"fast_clk": 2}) == ("clk", "fast_clk")
    code, out = run(monkeypatch, capsys, "place", spec, *variant, "--json")
    assert code == 0
    code, out = run(monkeypatch, capsys, "time", spec, *variant, "--json")
    assert code == 0
    timing = json.loads(out)
    # paths from or to the internal clock have half the period, others all of it; the worst are among the former
    assert 12.5 in (apart := {path["apart_ns"] for path in timing["setup_paths"]})
    assert apart <= {12.5, 25.0}
    assert timing["period_ns"] == 25
    code, out = run(monkeypatch, capsys, "power", spec, *variant, "--streams", "64", "--crossings", "10",
                    "--glitch-clocks", "4", "--json")  # fmt: skip
    assert code == 0
    result = json.loads(out)
    assert result["design"] == folder.name
    # every frame is that of the golden model: settings and weights are in, the chip runs
    assert result["frames_compared"] == 64 * 5 * 13
    assert set(result["clock_trees"]) == {"clk", "fast_clk"}
    assert result["glitch_factor"] >= 1
    assert "--reuse 2 --scheme tmr_registers --loading guarded --clock-gating" in result["metrics"][0]["command"]
    # without its factor the folder is another design's
    assert run(monkeypatch, capsys, "time", spec, *variant[2:])[0] == 2


def test_a_chip_with_long_code_words_runs_on_its_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    library_or_skip("nangate45")
    spec = tmp_path / "mini.toml"
    spec.write_text(MINI.to_toml())
    variant = ("--reuse", "2", "--scheme", "secded_words", "--clock-gating", "--out", tmp_path)
    assert run(monkeypatch, capsys, "synth", spec, *variant, "--json")[0] == 0
    code, out = run(monkeypatch, capsys, "power", spec, *variant, "--streams", "64", "--crossings", "10",
                    "--glitch-clocks", "1", "--json")  # fmt: skip
    assert code == 0
    result = json.loads(out)
    chosen = design(str(spec), reuse=2, scheme=Scheme.SECDED_WORDS)
    assert result["frames_compared"] == 64 * (10 - chosen.latency) * 13


def test_a_wrong_reuse_factor_is_refused() -> None:
    mapped: Any = SimpleNamespace(
        folder="report/SERIAL", netlist=SimpleNamespace(ports={"clk": None, "fast_clk": None})
    )
    with pytest.raises(ValueError, match=r"report/SERIAL has an internal clock \(fast_clk\).*reuse of 1"):
        measure_timing(mapped)
    with pytest.raises(ValueError, match="does not go with a reuse of 1"):
        measure_power(mapped, design(SMALL))
    plain: Any = SimpleNamespace(folder="report/PLAIN", netlist=SimpleNamespace(ports={"clk": None}))
    with pytest.raises(ValueError, match="no internal clock"):
        clocks_of(plain, {"fast_clk": 4})
