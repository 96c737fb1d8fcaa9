"""Area of networks with constant weights beside da4ml's and alkaid's: ``python -m benchmarks.frozen_networks``.

The public networks of `benchmarks.networks`, types inferred as there, without registers, onto NanGate 45 by one recipe
in one run. da4ml, and alkaid, which its author made of it, round by truncation or half up only: where a network rounds
otherwise, all three truncate. Their products are exact: where a network rounds single products, all keep all their
bits. Every mapped netlist, theirs too, is simulated gate by gate and has to give the golden model's codes. Both are
LGPL and run in an environment of their own (`scripts/bench.sh` makes it). Networks that are not asked for stay in the
results.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from benchmarks.measured import RESULTS, Baseline, Rows, baseline_python, kept
from benchmarks.networks import CASES, converted
from flows.common.metrics import write_metrics
from flows.designs.frozen import KEEP
from flows.library.catalogue import cell_library
from flows.library.power_library import read_power_library
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.netlist.netlist import read_netlist
from flows.synthesis.synthesise import synthesise
from hw.common.export import to_rtlil
from hw.network.frozen import frozen_weights
from hw.network.network import Network
from sim.fixed_point import FixedPoint, IntArray, Overflow, Rounding
from sim.network.model import Network as GoldenNetwork
from sim.network.nodes import Node, Store, WeightedSum, Wire
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights

RESULT = RESULTS / "frozen_networks.json"
COMMAND = "python -m benchmarks.frozen_networks --models"
SAMPLES = 4096
ROUNDINGS = (Rounding.TRN, Rounding.RND)
"""Those of da4ml and alkaid."""
BASELINES = ("da4ml", "alkaid")
MODELS = [name for name, case in CASES.items() if case.hardware or name == "mnist_dense"]


class Through(Component):  # type: ignore[misc]
    """In the place of a pipeline register: a wire."""

    def __init__(self, *, width: int, reset: int = 0) -> None:  # noqa: ARG002
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += self.o.eq(self.i)
        return m


class Combinational(Network):  # type: ignore[misc]
    """A network without registers."""

    clocked = False
    latency = 0


def comparable(weights: NetworkWeights) -> NetworkWeights:
    """The network in modes that the baselines have.

    Raises
    ------
    ValueError
        If it has a node that the comparison has not.
    """
    spec = weights.spec
    nodes: dict[str, Node] = {}
    for name, node in spec.nodes.items():
        if not isinstance(node, WeightedSum | Store | Wire):
            raise ValueError(f"{name}: no counterpart in the comparison for {node.kind}")
        changed = {
            field.name: replace(form, rounding=Rounding.TRN)
            for field in fields(node)
            if isinstance(form := getattr(node, field.name), FixedPoint) and form.rounding not in ROUNDINGS
        }
        if isinstance(node, WeightedSum) and (lost := node.shift(spec.tensors[node.inputs[0]].form)) > 0:
            kept_all = changed.get("accumulator", node.accumulator)
            changed["accumulator"] = replace(
                kept_all, width=kept_all.width + lost, fraction=kept_all.fraction + lost, rounding=Rounding.TRN
            )
        nodes[name] = replace(node, **changed)
    if len(spec.outputs) > 1 or spec.input.overflow is Overflow.SAT_ZERO:
        raise ValueError(f"{spec.name}: expected one output")
    return NetworkWeights(spec=replace(spec, nodes=nodes), weights=weights.weights, biases=weights.biases)


def described(weights: NetworkWeights) -> dict[str, Any]:
    """The network as `baselines/adder_graph_network.py` reads it."""
    spec = weights.spec
    nodes: dict[str, Any] = {}
    for name, node in spec.nodes.items():
        entry: dict[str, Any] = {"inputs": node.inputs}
        if isinstance(node, WeightedSum):
            entry |= {"kind": "sum", "outputs": spec.tensors[name].size, "accumulator": _form(node.accumulator)}
            entry["result"] = _form(node.result)
            alike: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
            for output, taps in enumerate(node.taps(spec.size_into(name))):
                alike.setdefault(tuple(x for x, _ in taps), []).append((output, tuple(w for _, w in taps)))
            codes, biases = weights.weights[name], weights.biases[name]
            entry["blocks"] = [
                {
                    "inputs": inputs, "outputs": [output for output, _ in of],
                    "weights": (codes[np.array([w for _, w in of])].T * node.weight.lsb).tolist(),
                    "biases": [float(biases[node.bias_of(output)] * node.bias.lsb) for output, _ in of],
                }
                for inputs, of in alike.items()
            ]  # fmt: skip
        elif isinstance(node, Store):
            entry |= {"kind": "store", "relu": node.relu, "most": node.most, "result": _form(node.result)}
        elif isinstance(node, Wire):
            entry |= {"kind": "wire", "sources": node.sources}
        nodes[name] = entry
    return {
        "input": _form(spec.input), "size": spec.tensors[INPUT].size, "nodes": nodes, "output": spec.outputs[0],
    }  # fmt: skip


def _form(form: FixedPoint) -> list[Any]:
    return [int(form.signed), form.integer - form.signed, form.fraction, str(form.overflow), str(form.rounding)]


def wrong_codes(
    netlist_file: Path, liberty: Path, spec: NetworkSpec, codes: IntArray, expected: IntArray, widths: npt.NDArray[Any],
    ports: tuple[str, str],
) -> int:  # fmt: skip
    """Values of a mapped netlist that are not the golden model's; `widths`: sign, integer, fraction of each output."""
    netlist = read_netlist(netlist_file, liberty=liberty)
    simulator = GateSimulator(netlist, read_power_library(liberty), words=len(codes) // 64)
    bits = (codes[:, :, None] >> np.arange(spec.input.width) & 1).reshape(len(codes), -1).T
    simulator.set_port(ports[0], from_lanes(bits.astype(bool)))
    simulator.settle()
    lanes = to_lanes(simulator.values[netlist.ports[ports[1]].nets]).astype(np.int64)
    form, wrong, at = spec.tensors[spec.outputs[0]].form, 0, 0
    for place, (signed, integer, fraction) in enumerate(widths.T.tolist()):
        width = int(signed + integer + fraction)
        value = (lanes[at : at + width] << np.arange(width)[:, None]).sum(0)
        value -= signed * ((value >> max(width - 1, 0)) << width)
        wrong += int((np.ldexp(value, -fraction) != np.ldexp(expected[:, place], -form.fraction)).sum())
        at += width
    return wrong


def measure(name: str, python: Path, rows: Rows, folder: Path) -> None:
    """All areas of a network, and ours over each of the others.

    Raises
    ------
    SystemExit
        If a code differs.
    """
    weights = comparable(converted(name, folder))
    spec = weights.spec
    (folder / "network.json").write_text(json.dumps(described(weights)))
    rng = np.random.default_rng(20261129)
    codes = rng.integers(spec.input.min_code, spec.input.max_code + 1, (SAMPLES, spec.tensors[INPUT].size))
    expected = GoldenNetwork(weights).codes(codes)
    if len(np.unique(expected)) < 20:
        raise SystemExit(f"{name}: expected at least 20 different results, got {len(np.unique(expected))}")
    output = spec.tensors[spec.outputs[0]]
    own = np.tile(np.array(_form(output.form)[:3])[:, None], output.size)
    ours = to_rtlil(Combinational(spec=spec, frozen=frozen_weights(weights), register=Through), "network")
    areas = {
        "liquidcal": area(
            name, "liquidcal", "", (ours, "network", ("x", "y"), own), spec, codes, expected, rows, folder
        )
    }
    for tool in BASELINES:
        place = folder / f"{tool}_source"
        with Baseline(python, "adder_graph_network.py", tool, folder / "network.json", place) as process:
            about = process.about
        source = (
            (place / "network.v").read_text(),
            f"{tool}_network",
            ("model_inp", "model_out"),
            np.array(about["kif"]),
        )
        areas[tool] = area(name, tool, about["version"], source, spec, codes, expected, rows, folder)
        rows.add(
            f"frozen__area_over_{tool}__case:{name}", round(areas["liquidcal"] / areas[tool], 3), "",
            f"{CASES[name].about}: ours over {tool}'s, one run",
        )  # fmt: skip


def area(
    name: str, tool: str, version: str, source: tuple[str, str, tuple[str, str], npt.NDArray[Any]], spec: NetworkSpec,
    codes: IntArray, expected: IntArray, rows: Rows, folder: Path,
) -> float:  # fmt: skip
    """Gate equivalents of one tool's network; `source`: text, top module, ports, and widths as `wrong_codes` has them.

    Raises
    ------
    SystemExit
        If a code differs.
    """
    text, top, ports, widths = source
    library = cell_library("nangate45")
    result = synthesise(
        text, top=top, library=library, out_dir=folder / tool, command=f"{COMMAND} {name}",
        # adders of the baselines are modules: flattened, or nothing would be shared over their borders
        flatten=() if tool == "liquidcal" else ("*",), keep=KEEP,
    )  # fmt: skip
    wrong = wrong_codes(result.netlist_verilog, library.liberty, spec, codes, expected, widths, ports)
    if wrong:
        raise SystemExit(f"{name}: {wrong} of {expected.size} codes of {tool}'s netlist differ")
    rows.add(
        f"frozen__area_{tool}__case:{name}", round(result.gate_equivalents / 1000, 1), "kGE",
        f"{CASES[name].about}: combinational, nangate45, recipe area; {expected.size} codes equal",
        *((tool, version) if version else ()),
    )  # fmt: skip
    return result.gate_equivalents


def main() -> None:
    """Measure and write; networks that are not asked for stay in the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--python", type=Path, default=None, help="of the baselines; .venv-baselines if left out")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    python = options.python or baseline_python("baselines")
    for name in options.models:
        rows = Rows(f"{COMMAND} {name}")
        with tempfile.TemporaryDirectory(prefix="liquidcal-frozen-") as scratch:
            try:
                measure(name, python, rows, Path(scratch))
            except ValueError as error:
                print(f"{name}: not compared: {error}", flush=True)
                continue
        mine = {metric.name for metric in rows}
        write_metrics(options.out, [*kept(options.out, lambda metric, mine=mine: metric.name in mine), *rows])


if __name__ == "__main__":
    main()
