"""Synthesis: areas against an independent count, function against arithmetic, gates against designs that must fail.

The netlist is read here a second time, with an own reader of its JSON and the cells' Liberty functions: neither the
flow's counting nor yosys' idea of a cell takes part in the expected values.
"""

import json
import random
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from flows.common.errors import ToolTimeout
from flows.common.metrics import GateError
from flows.library.functions import truth_table
from flows.library.library import CellLibrary
from flows.synthesis import synthesise as synthesis
from flows.synthesis.equivalence import equivalence, write_simulation_model
from flows.synthesis.merge import merge_identical_modules
from flows.synthesis.recipe import AREA, BUFFERED, Recipe
from flows.synthesis.result import SynthesisResult, gate_synthesis, load_result
from flows.synthesis.synthesise import synthesise
from flows.tools.yosys import YosysError, run_yosys
from tests.flows.conftest import library_or_skip

SEED = 20261123

COUNTER = """
module counter (input clk, input rst, input en, output reg [7:0] q);
  always @(posedge clk or posedge rst) if (rst) q <= 8'h5a; else if (en) q <= q + 3;
endmodule
"""

ADDER = """
module adder (input [7:0] a, input [7:0] b, output [8:0] y, output lt);
  assign y = a + b;
  assign lt = a < b;
endmodule
"""

# three taps, each product floored on its own, as the encoder's arithmetic does it
MACC = """
module macc (input [7:0] x0, x1, x2, input signed [5:0] w0, w1, w2, output signed [12:0] y);
  wire signed [14:0] m0 = $signed({1'b0, x0}) * w0;
  wire signed [14:0] m1 = $signed({1'b0, x1}) * w1;
  wire signed [14:0] m2 = $signed({1'b0, x2}) * w2;
  wire signed [10:0] p0 = m0 >>> 4, p1 = m1 >>> 4, p2 = m2 >>> 4;
  assign y = p0 + p1 + p2;
endmodule
"""

TWO_LEVELS = """
module leaf (input clk, input [7:0] a, input [7:0] b, output reg [7:0] y);
  always @(posedge clk) y <= a * b;
endmodule
module stage (input clk, input [7:0] a, input [7:0] b, output [7:0] y, output [7:0] z);
  leaf u0 (.clk(clk), .a(a), .b(b), .y(y));
  leaf u1 (.clk(clk), .a(y), .b(b), .y(z));
endmodule
module chip (input clk, input [7:0] a, input [7:0] b, output [7:0] y, output reg [7:0] z);
  wire [7:0] s, t, u;
  stage first (.clk(clk), .a(a), .b(b), .y(s), .z(t));
  stage second (.clk(clk), .a(s), .b(t), .y(u), .z(y));
  always @(posedge clk) z <= u ^ s;
endmodule
"""

RECIPES = {
    "large": replace(AREA, name="large", small_cells=0),
    "cells": Recipe(name="cells", adder_cells=True, abc=("strash", "dch", "amap -m", "topo")),
    "complement": Recipe(
        name="complement", adder_cells=True, complement=True, abc=("strash", "dch", "amap -m", "topo")
    ),
    "prefix": Recipe(
        name="prefix", adder_cells=True, ripple=False, extract=True, abc=("strash", "dch", "amap -m", "topo")
    ),
    "booth": Recipe(name="booth", booth=True, adder_cells=False, abc=("strash", "dch", "map -a", "topo")),
}


# most tests ask for structure, not for the last per cent of area
_fast = partial(synthesise, recipe=RECIPES["cells"])


@pytest.fixture(scope="module")
def nangate45() -> CellLibrary:
    return library_or_skip("nangate45")


@pytest.fixture(scope="module")
def osu018() -> CellLibrary:
    return library_or_skip("osu018")


@pytest.fixture(scope="module")
def macc(nangate45: CellLibrary, tmp_path_factory: pytest.TempPathFactory) -> SynthesisResult:
    return synthesise(MACC, top="macc", library=nangate45, out_dir=tmp_path_factory.mktemp("macc") / "result")


def _liberty_areas(library: CellLibrary) -> dict[str, float]:
    """Areas searched in the Liberty text, without libparse."""
    text = library.liberty[0].read_text()
    found = re.findall(
        r"^\s*cell\s*\(\s*\"?(\w+)\"?\s*\)\s*\{.*?\barea\s*:\s*([0-9.]+)\s*;", text, re.MULTILINE | re.DOTALL
    )
    return {name: float(area) for name, area in found}


def _verilog_cells(netlist: Path) -> dict[str, Counter[str]]:
    """Instances by type in each module of a netlist, from its Verilog text."""
    modules: dict[str, Counter[str]] = {}
    current: Counter[str] = Counter()
    for line in netlist.read_text().splitlines():
        if started := re.match(r"module (\S+?)\s*\(", line):
            current = modules.setdefault(started.group(1).removeprefix("\\"), Counter())
        elif instance := re.match(r"  (\\\S+|\w+) (?:\\\S+|\w+) \($", line):
            current[instance.group(1).removeprefix("\\")] += 1
    return modules


def _total(modules: dict[str, Counter[str]], name: str, value: dict[str, float]) -> float:
    return sum(
        number * (_total(modules, kind, value) if kind in modules else value[kind])
        for kind, number in modules[name].items()
    )


def _evaluate(result: SynthesisResult, library: CellLibrary, inputs: dict[str, list[int]]) -> dict[str, list[int]]:
    """Outputs of a flat combinational netlist: one value per vector, all vectors at once in Python integers."""
    body = json.loads(result.netlist_json.read_text())["modules"][result.top]
    vectors = len(next(iter(inputs.values())))
    ones = (1 << vectors) - 1
    nets: dict[object, int] = {"0": 0, "1": ones}
    for name, values in inputs.items():
        for index, bit in enumerate(body["ports"][name]["bits"]):
            nets[bit] = sum((value >> index & 1) << row for row, value in enumerate(values))
    waiting = list(body["cells"].values())
    while waiting:
        later = []
        for cell in waiting:
            kind = library.cells[cell["type"]]
            assert kind.kind in ("combinational", "tie")
            pins = [cell["connections"][pin][0] for pin in kind.inputs]
            if any(pin not in nets for pin in pins):
                later.append(cell)
                continue
            for pin, function in kind.functions.items():
                table, value = truth_table(function, kind.inputs), 0
                for row in range(1 << len(pins)):
                    if table >> row & 1:
                        term = ones
                        for index, net in enumerate(pins):
                            term &= nets[net] if row >> index & 1 else ones ^ nets[net]
                        value |= term
                if cell["connections"].get(pin):
                    nets[cell["connections"][pin][0]] = value
        assert len(later) < len(waiting), "the netlist has a loop or an undriven net"
        waiting = later
    return {
        name: [sum((nets[bit] >> row & 1) << index for index, bit in enumerate(port["bits"])) for row in range(vectors)]
        for name, port in body["ports"].items()
        if port["direction"] == "output"
    }


def _macc_vectors(count: int) -> tuple[dict[str, list[int]], list[int]]:
    """Random and extreme inputs of MACC, and the outputs by Python's integers (>> floors)."""
    generator = random.Random(SEED)
    rows = [[(255 * (k & 1), -32 if k & 2 else 31)] * 3 for k in range(4)] + [[(255, -32), (255, 31), (0, -1)]]
    rows += [[(generator.randrange(256), generator.randrange(-32, 32)) for _ in range(3)] for _ in range(count)]
    inputs = {f"x{k}": [row[k][0] for row in rows] for k in range(3)}
    inputs |= {f"w{k}": [row[k][1] & 63 for row in rows] for k in range(3)}
    return inputs, [sum((x * w) >> 4 for x, w in row) & 0x1FFF for row in rows]


# --- area and counts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nangate45", "osu018"])
def test_area_and_flip_flops_equal_an_independent_count(name: str, tmp_path: Path) -> None:
    library = library_or_skip(name)
    result = _fast(TWO_LEVELS, top="chip", library=library, out_dir=tmp_path / "r")
    modules = _verilog_cells(result.netlist_verilog)
    assert set(modules) == {"chip", "stage", "leaf"}
    area = _total(modules, "chip", _liberty_areas(library))
    assert result.area_um2 == pytest.approx(area, rel=1e-9)
    assert result.gate_equivalents == pytest.approx(area / _liberty_areas(library)[library.nand2], rel=1e-9)
    flip_flops = {cell: float("DFF" in cell) for cell in library.cells}
    assert result.flip_flops == _total(modules, "chip", flip_flops) == 4 * 8 + 8
    gate_synthesis(result.metrics, flip_flops=40)
    # the stage table adds up to the design
    assert sum(stage.area_um2 for stage in result.stages) == pytest.approx(area)
    assert [(stage.module, stage.instances, stage.flip_flops) for stage in result.stages] == [
        ("stage", ("first", "second"), 32),
        ("chip", (), 8),
    ]
    assert {row.module: row.instances for row in result.modules} == {"chip": 1, "stage": 2, "leaf": 4}


def test_asynchronous_reset_uses_the_cells_of_the_library(nangate45: CellLibrary, tmp_path: Path) -> None:
    result = _fast(COUNTER, top="counter", library=nangate45, out_dir=tmp_path / "r")
    cells = _verilog_cells(result.netlist_verilog)["counter"]
    # 8'h5a has four ones: set, and four zeros: reset
    assert (cells["DFFS_X1"], cells["DFFR_X1"]) == (4, 4)
    gate_synthesis(result.metrics, flip_flops=8)
    with pytest.raises(GateError, match="expected 9"):
        gate_synthesis(result.metrics, flip_flops=9)


def test_clock_gating_saves_the_enable_multiplexers(nangate45: CellLibrary, tmp_path: Path) -> None:
    source = """module store (input clk, input en, input [15:0] d, output reg [15:0] q);
      always @(posedge clk) if (en) q <= d; endmodule"""
    plain = _fast(source, top="store", library=nangate45, out_dir=tmp_path / "plain")
    gated = _fast(source, top="store", library=nangate45, out_dir=tmp_path / "gated", clock_gating=True)
    assert plain.values["design__instance__count__class:clock_gate"] == 0
    assert gated.values["design__instance__count__class:clock_gate"] == 1
    assert plain.flip_flops == gated.flip_flops == 16
    assert gated.area_um2 < plain.area_um2


def test_full_adders_are_used(macc: SynthesisResult, nangate45: CellLibrary, tmp_path: Path) -> None:
    assert _verilog_cells(macc.netlist_verilog)["macc"]["FA_X1"] >= 60
    assert (
        macc.values["design__instance__count__class:full_adder"]
        == _verilog_cells(macc.netlist_verilog)["macc"]["FA_X1"]
    )
    plain = Recipe(name="plain", adder_cells=False, ripple=False, abc=("strash", "&get -n", "&nf", "&put"))
    without = synthesise(MACC, top="macc", library=nangate45, out_dir=tmp_path / "r", recipe=plain)
    assert "FA_X1" not in _verilog_cells(without.netlist_verilog)["macc"]
    assert macc.area_um2 < without.area_um2
    boxes = synthesise(MACC, top="macc", library=nangate45, out_dir=tmp_path / "b", recipe=RECIPES["cells"])
    # 3 x 48 partial products in 13 columns: more than half of the additions must be compound cells
    assert _verilog_cells(boxes.netlist_verilog)["macc"]["FA_X1"] >= 72
    assert boxes.area_um2 < without.area_um2


def test_metrics_name_their_origin(macc: SynthesisResult, nangate45: CellLibrary) -> None:
    for metric in macc.metrics:
        assert metric.library_sha256 == nangate45.sha256
        assert metric.tool == "yosys"
        assert re.match(r"0\.\d+", metric.tool_version)
    assert macc.values["flow__memory__peak"] > 10_000_000
    assert load_result(macc.directory) == macc


# --- function -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_netlist_computes_what_integers_say(recipe: str, nangate45: CellLibrary, tmp_path: Path) -> None:
    result = synthesise(MACC, top="macc", library=nangate45, out_dir=tmp_path / "r", recipe=RECIPES[recipe])
    gate_synthesis(result.metrics, flip_flops=0)
    inputs, expected = _macc_vectors(500)
    assert _evaluate(result, nangate45, inputs)["y"] == expected


def test_default_netlist_computes_what_integers_say(macc: SynthesisResult, nangate45: CellLibrary) -> None:
    gate_synthesis(macc.metrics, flip_flops=0)
    inputs, expected = _macc_vectors(2000)
    assert _evaluate(macc, nangate45, inputs)["y"] == expected


def test_netlist_on_the_fallback_library(osu018: CellLibrary, tmp_path: Path) -> None:
    result = synthesise(MACC, top="macc", library=osu018, out_dir=tmp_path / "r", recipe=RECIPES["cells"])
    gate_synthesis(result.metrics, flip_flops=0)
    inputs, expected = _macc_vectors(500)
    assert _evaluate(result, osu018, inputs)["y"] == expected


def test_equivalence_is_proved_and_refuted(nangate45: CellLibrary, tmp_path: Path) -> None:
    adder = _fast(ADDER, top="adder", library=nangate45, out_dir=tmp_path / "adder")
    counter = _fast(COUNTER, top="counter", library=nangate45, out_dir=tmp_path / "counter")
    wrong_adder = ADDER.replace("a < b", "a <= b")
    wrong_counter = COUNTER.replace("q + 3", "q + 2")

    def check(gold: str, result: SynthesisResult, method: str) -> bool:
        return equivalence(
            gold=gold,
            gate=result.netlist_rtlil,
            module=result.top,
            library=nangate45,
            directory=tmp_path / "proof",
            method=method,  # type: ignore[arg-type]
        ).proved

    assert check(ADDER, adder, "miter")
    assert not check(wrong_adder, adder, "miter")
    assert check(ADDER, adder, "induction")
    assert check(COUNTER, counter, "induction")
    assert not check(wrong_counter, counter, "induction")
    assert not check(COUNTER.replace("5a", "5b"), counter, "induction")


def test_an_unfinished_proof_is_no_answer(macc: SynthesisResult, nangate45: CellLibrary, tmp_path: Path) -> None:
    with pytest.raises(ToolTimeout, match="limit"):
        equivalence(
            gold=MACC,
            gate=macc.netlist_rtlil,
            module="macc",
            library=nangate45,
            directory=tmp_path,
            method="miter",
            timeout_s=2,
        )


def test_simulation_model_equals_the_source(macc: SynthesisResult, nangate45: CellLibrary, tmp_path: Path) -> None:
    """The model, simulated by yosys, gives the integers; cells are functions, none is a black box."""
    model = tmp_path / "model.v"
    write_simulation_model(macc, nangate45, model)
    inputs, expected = _macc_vectors(20)
    checks = []
    for row, value in enumerate(expected):
        sets = " ".join(f"-set {name} {values[row]}" for name, values in inputs.items())
        checks.append(f"sat -verify {sets} -prove y {value}")
    text = ["read_verilog model.v", "hierarchy -check -top macc", "proc", "flatten", "opt_clean", *checks]
    log = run_yosys("\n".join(text) + "\n", directory=tmp_path, timeout_s=120).log
    assert log.count("SAT proof finished - no model found: SUCCESS!") == len(expected)
    wrong = checks[0].rsplit(" ", 1)[0] + f" {expected[0] ^ 1}"
    with pytest.raises(YosysError, match="proof did fail"):
        run_yosys("\n".join([*text[:5], wrong]) + "\n", directory=tmp_path, timeout_s=120)


def test_simulation_model_wants_the_same_library(macc: SynthesisResult, osu018: CellLibrary, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not mapped to this version"):
        write_simulation_model(macc, osu018, tmp_path / "model.v")


# --- designs that must be refused -----------------------------------------------------------------------------------


def test_latch_is_refused_where_nobody_asked_for_it(nangate45: CellLibrary, tmp_path: Path) -> None:
    latch = "(input g, input d, output reg q); always @* if (g) q = d; endmodule"
    asked = f"module isolation_latch_1 {latch} module t (input g, input d, output q);"
    asked += " isolation_latch_1 u (.g(g), .d(d), .q(q)); endmodule"
    for source, stray in ((f"module t {latch}", 1), (asked, 0)):
        result = _fast(source, top="t", library=nangate45, out_dir=tmp_path / str(stray))
        assert result.values["design__instance__count__class:latch"] == 1
        if stray:
            with pytest.raises(GateError, match="stray_latch"):
                gate_synthesis(result.metrics)
        else:
            assert gate_synthesis(result.metrics)


def test_unmapped_cell_is_refused(nangate45: CellLibrary, tmp_path: Path) -> None:
    source = "module t (input a, output y); (* anyseq *) wire free; assign y = a ^ free; endmodule"
    result = _fast(source, top="t", library=nangate45, out_dir=tmp_path / "r")
    assert result.values["design__instance_unmapped__count"] == 1
    with pytest.raises(GateError, match="unmapped"):
        gate_synthesis(result.metrics)


def test_unknown_module_is_refused(nangate45: CellLibrary, tmp_path: Path) -> None:
    source = "module t (input a, output y); mystery u (.a(a), .y(y)); endmodule"
    with pytest.raises(YosysError, match="mystery"):
        synthesise(source, top="t", library=nangate45, out_dir=tmp_path / "r")
    assert not list(tmp_path.iterdir())


def test_combinational_loop_over_modules_is_refused(nangate45: CellLibrary, tmp_path: Path) -> None:
    source = """module half (input a, input b, output y); assign y = ~(a & b); endmodule
    module t (input s, input r, output q); wire p;
      half u0 (.a(s), .b(p), .y(q)); half u1 (.a(r), .b(q), .y(p)); endmodule"""
    result = _fast(source, top="t", library=nangate45, out_dir=tmp_path / "r")
    with pytest.raises(GateError, match="combinational_loop"):
        gate_synthesis(result.metrics)


def test_undriven_net_is_refused(nangate45: CellLibrary, tmp_path: Path) -> None:
    source = "module t (input a, output y); wire nothing; assign y = a & nothing; endmodule"
    result = _fast(source, top="t", library=nangate45, out_dir=tmp_path / "r")
    with pytest.raises(GateError, match="check_problem"):
        gate_synthesis(result.metrics)


def test_missing_metric_fails_the_gate(macc: SynthesisResult) -> None:
    for missing in ("design__instance_unmapped__count", "design__stray_latch__count"):
        rest = [metric for metric in macc.metrics if metric.name != missing]
        with pytest.raises(GateError, match="missing"):
            gate_synthesis(rest)


# --- hierarchy ------------------------------------------------------------------------------------------------------


class _Neuron(wiring.Component):
    def __init__(self, *, constant: int) -> None:
        self._constant = constant
        super().__init__({"x": In(8), "w": In(8), "y": Out(16)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += self.y.eq(self.x * self.w + self._constant)
        return m


class _Layer(wiring.Component):
    def __init__(self) -> None:
        super().__init__({"x": In(8), "w": In(32), "y": Out(64)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for index in range(4):
            neuron = _Neuron(constant=5 if index == 3 else 1)
            m.submodules[f"neuron_{index}"] = neuron
            m.d.comb += [
                neuron.x.eq(self.x),
                neuron.w.eq(self.w.word_select(index, 8)),
                self.y.word_select(index, 16).eq(neuron.y),
            ]
        return m


def test_equal_amaranth_components_are_synthesised_once(nangate45: CellLibrary, tmp_path: Path) -> None:
    text = rtlil.convert(_Layer(), name="layer")
    merged, representative = merge_identical_modules(text)
    assert representative == {f"\\layer.neuron_{k}": "\\layer.neuron_0" for k in (1, 2)}
    assert merged.count("\nmodule ") == text.count("\nmodule ") - 2
    result = _fast(text, top="layer", library=nangate45, out_dir=tmp_path / "r")
    assert {row.module: row.instances for row in result.modules} == {
        "layer": 1,
        "layer.neuron_0": 3,
        "layer.neuron_3": 1,
    }
    gate_synthesis(result.metrics, flip_flops=64)


def test_replicas_survive_where_kept(nangate45: CellLibrary, tmp_path: Path) -> None:
    """Three equal registers under a voter: flattened they would merge into one set."""
    source = """module replica (input clk, input [3:0] d, output reg [3:0] q); always @(posedge clk) q <= d; endmodule
    module triple (input clk, input [3:0] d, output [3:0] q); wire [3:0] a, b, c;
      replica r0 (.clk(clk), .d(d), .q(a)); replica r1 (.clk(clk), .d(d), .q(b)); replica r2 (.clk(clk), .d(d), .q(c));
      assign q = (a & b) | (a & c) | (b & c); endmodule
    module t (input clk, input [3:0] d, output [3:0] q); triple u (.clk(clk), .d(d), .q(q)); endmodule"""
    merged = _fast(source, top="t", library=nangate45, out_dir=tmp_path / "merged")
    kept = _fast(source, top="t", library=nangate45, out_dir=tmp_path / "kept", keep=["replica"])
    assert (merged.flip_flops, kept.flip_flops) == (4, 12)
    with pytest.raises(GateError, match="expected 12"):
        gate_synthesis(merged.metrics, flip_flops=12)


def test_flatten_overrules(nangate45: CellLibrary, tmp_path: Path) -> None:
    result = _fast(TWO_LEVELS, top="chip", library=nangate45, out_dir=tmp_path / "r", flatten=["leaf", "stage"])
    assert [row.module for row in result.modules] == ["chip"]
    assert result.flip_flops == 40


# --- processes and files --------------------------------------------------------------------------------------------


def test_interrupted_run_leaves_nothing(
    nangate45: CellLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = synthesis.run_yosys

    def interrupted(script: str, **arguments: object) -> object:
        if arguments["name"] == "netlist":
            raise KeyboardInterrupt
        return real(script, **arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(synthesis, "run_yosys", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthesise(ADDER, top="adder", library=nangate45, out_dir=tmp_path / "r")
    assert not list(tmp_path.iterdir())


def test_result_is_replaced_whole_and_nothing_else_is(nangate45: CellLibrary, tmp_path: Path) -> None:
    first = _fast(ADDER, top="adder", library=nangate45, out_dir=tmp_path / "r")
    (first.directory / "stale.txt").write_text("from the run before")
    second = _fast(COUNTER, top="counter", library=nangate45, out_dir=tmp_path / "r")
    assert second.top == "counter"
    assert not (second.directory / "stale.txt").exists()
    assert [entry.name for entry in tmp_path.iterdir()] == ["r"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="no earlier result"):
        _fast(ADDER, top="adder", library=nangate45, out_dir=tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("source", "error"),
    [("int main() {}", ValueError), (Path("no_such.v"), FileNotFoundError), ([], ValueError)],
)
def test_bad_sources(source: object, error: type[Exception], nangate45: CellLibrary, tmp_path: Path) -> None:
    with pytest.raises(error):
        synthesise(source, top="t", library=nangate45, out_dir=tmp_path / "r")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


FAN_OUT = """
module m (input clk, d, input [199:0] x, output reg [199:0] y);
  reg s;
  always @(posedge clk) s <= d;
  always @(posedge clk) y <= x & {200{s}};
endmodule
"""


def test_buffers_where_one_signal_drives_hundreds(tmp_path: Path) -> None:
    """The select that a flip-flop drives has 200 loads by default; buffered, no net but the clock has more than 12."""
    library = library_or_skip("nangate45")
    most = {}
    for recipe in (AREA, BUFFERED):
        result = synthesise(FAN_OUT, top="m", library=library, out_dir=tmp_path / recipe.name, recipe=recipe)
        module = json.loads(result.netlist_json.read_text())["modules"]["m"]
        loads: Counter[int] = Counter()
        for cell in module["cells"].values():
            for pin, bits in cell["connections"].items():
                if pin in library.cells[cell["type"]].inputs and pin != "CK":
                    loads.update(bits)
        most[recipe.name] = max(loads.values())
        assert result.flip_flops == 201
    assert most["area"] >= 200
    assert most["buffered"] <= 12


INVERTERS = """
module m (input clk, rst, input [39:0] d, output reg [19:0] y, output [19:0] z);
  always @(posedge clk or posedge rst) if (rst) y <= 20'haaaaa; else y <= d[19:0];
  assign z = ~d[39:20];
endmodule
"""


@pytest.mark.parametrize("recipe", [AREA, BUFFERED], ids=lambda recipe: recipe.name)
def test_inverters_are_mapped_as_all_small_modules_are(recipe: Recipe, tmp_path: Path) -> None:
    """Without the mapper's preparations the netlist is the same."""
    library = library_or_skip("nangate45")
    texts = []
    for name, chosen in (("own", recipe), ("small", replace(recipe, abc_inverters=()))):
        result = synthesise(INVERTERS, top="m", library=library, out_dir=tmp_path / name, recipe=chosen)
        assert ("-script inverters.abc" in (result.directory / "netlist.ys").read_text()) == (name == "own")
        texts.append((result.directory / "netlist.v").read_text().partition("\n")[2])
    assert texts[0] == texts[1]
    assert texts[0].count("INV_X") == 21
