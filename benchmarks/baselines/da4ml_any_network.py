"""Any network in da4ml, as Verilog: a program for the environment of the baselines.

``python da4ml_any_network.py NETWORK.json FOLDER`` reads what `benchmarks.frozen_networks` wrote and writes
``network.v``: da4ml's own modules and the combinational top module ``da4ml_network``. It answers with one line of JSON.
da4ml's default search, no limit on depth.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from da4ml import __version__
from da4ml.codegen import RTLModel
from da4ml.trace import FixedVariable, FixedVariableArray, HWConfig, comb_trace

HARDWARE = HWConfig(1, -1, -1)


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
    return stored(stored(FixedVariableArray(np.array(sums, object)), node["accumulator"]), node["result"])


def trace(network):  # type: ignore[no-untyped-def]
    """Combinational logic from the input to the only output."""
    signed, integer, fraction = network["input"][:3]
    size = network["size"]
    source = FixedVariableArray.from_kif(
        np.full(size, signed), np.full(size, integer), np.full(size, fraction), HARDWARE
    )  # fmt: skip
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
                zero = FixedVariable.from_const(0.0, HARDWARE, 1)
                every = [value for values in inputs for value in values] + [zero]
                found[name] = FixedVariableArray(np.array([every[i] for i in node["sources"]], object))
    return comb_trace(source, found[network["output"]])


def main() -> None:
    """Trace, write."""
    network, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    start = time.perf_counter()
    logic = trace(network)
    seconds = time.perf_counter() - start
    RTLModel(logic, "da4ml_network", folder / "project").write()
    sources = [folder / "project" / "src" / "da4ml_network.v", *sorted((folder / "project/src/static").glob("*.v"))]
    # the module for tables reads a file that only designs with tables have
    texts = [path.read_text() for path in sources if path.name != "lookup_table.v"]
    (folder / "network.v").write_text("\n".join(texts))
    # bits of each output in the port, low first: da4ml drops those that never change
    print(json.dumps({"version": __version__, "trace_s": seconds, "kif": np.array(logic.out_kifs).tolist()}))


if __name__ == "__main__":
    main()
