"""Any network in da4ml or alkaid, as Verilog: a program for the environment of the baselines.

``python adder_graph_network.py da4ml|alkaid NETWORK.json FOLDER`` reads what `benchmarks.frozen_networks` wrote and
writes ``network.v``: the library's own modules and a combinational top module. It answers with one line of JSON.
The library's default search, no limit on depth. alkaid is what its author made of da4ml.
"""

import importlib
import json
import sys
import time
from pathlib import Path

import numpy as np

LIBRARY = sys.argv[1]
codegen, tracing = (importlib.import_module(f"{LIBRARY}.{name}") for name in ("codegen", "trace"))
VERSION = importlib.import_module(LIBRARY).__version__
HARDWARE = tracing.HWConfig(1, -1, -1)
if LIBRARY == "alkaid":
    Array, trace_logic = tracing.FVArray, lambda x, y: tracing.trace(x, y, keep_dead_inputs=True)
else:
    Array, trace_logic = tracing.FixedVariableArray, tracing.comb_trace


def stored(values, form):  # type: ignore[no-untyped-def]
    """Values in a format, which is ``[signed, integer bits without sign, fraction bits, overflow, rounding]``."""
    return values.quantize(*form)


def weighted(values, node):  # type: ignore[no-untyped-def]
    """Sums over taps, wrapped in the accumulator, stored; outputs that read the same inputs are one product."""
    sums = [None] * node["outputs"]
    for block in node["blocks"]:
        result = values[block["inputs"]] @ np.array(block["weights"], float) + np.array(block["biases"], float)
        for place, output in enumerate(block["outputs"]):
            sums[output] = result[place]
    return stored(stored(Array(np.array(sums, object)), node["accumulator"]), node["result"])


def zero():  # type: ignore[no-untyped-def]
    """The constant 0."""
    if LIBRARY == "alkaid":
        return tracing.FVariable.from_const(0.0, HARDWARE)
    return tracing.FixedVariable.from_const(0.0, HARDWARE, 1)


def trace(network):  # type: ignore[no-untyped-def]
    """Combinational logic from the input to the only output."""
    signed, integer, fraction = network["input"][:3]
    size = network["size"]
    source = Array.from_kif(np.full(size, signed), np.full(size, integer), np.full(size, fraction), HARDWARE)
    found = {"input": source}
    for name, node in network["nodes"].items():
        inputs = [found[x] for x in node["inputs"]]
        match node["kind"]:
            case "sum":
                found[name] = weighted(inputs[0], node)
            case "store":
                value = inputs[0].relu() if node["relu"] else inputs[0]
                value = value if node["most"] is None else np.minimum(value, float(node["most"]))
                found[name] = stored(value, node["result"])
            case "wire":
                every = [value for values in inputs for value in values] + [zero()]
                found[name] = Array(np.array([every[i] for i in node["sources"]], object))
    return trace_logic(source, found[network["output"]])


def write(logic, folder):  # type: ignore[no-untyped-def]
    """The project of the library, and the files of its logic."""
    if LIBRARY == "alkaid":
        codegen.RTLModel(logic, folder / "project", "alkaid_network").write()
        return [path for path in (folder / "project/src").glob("*.v") if not path.stem.endswith("_wrapper")]
    codegen.RTLModel(logic, "da4ml_network", folder / "project").write()
    return [folder / "project/src/da4ml_network.v"]


def main() -> None:
    """Trace, write."""
    network, folder = json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
    folder.mkdir(exist_ok=True)
    start = time.perf_counter()
    logic = trace(network)
    seconds = time.perf_counter() - start
    sources = [*write(logic, folder), *sorted((folder / "project/src/static").glob("*.v"))]
    # the module for tables reads a file that only designs with tables have
    texts = [path.read_text() for path in sources if path.name != "lookup_table.v"]
    (folder / "network.v").write_text("\n".join(texts))
    # bits of each output in the port, low first: those that never change are dropped
    print(json.dumps({"version": VERSION, "trace_s": seconds, "kif": np.array(logic.out_kifs).tolist()}))


if __name__ == "__main__":
    main()
