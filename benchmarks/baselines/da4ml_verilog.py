"""The encoder's network as da4ml's Verilog: a program for the environment of the baselines.

``python da4ml_verilog.py NETWORK.npz FOLDER`` writes ``chip.v`` (each product floored) and ``exact.v`` (whole
products), each with da4ml's own modules and the top module ``da4ml_network``, and answers with one line of JSON. No
pipeline registers; da4ml's default search without a limit on depth.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from da4ml import __version__
from da4ml.codegen import RTLModel
from da4ml_network import trace

ADDITIONS = (0, 1)
"""Codes of addition and subtraction in da4ml's programs."""


def main() -> None:
    """Trace, write."""
    network, folder = np.load(sys.argv[1]), Path(sys.argv[2])
    report: dict[str, object] = {"version": __version__}
    for name in ("chip", "exact"):
        start = time.perf_counter()
        logic = trace(network, name == "exact")
        seconds = time.perf_counter() - start
        project = folder / f"project_{name}"
        RTLModel(logic, "da4ml_network", project).write()
        sources = [project / "src" / "da4ml_network.v", *sorted((project / "src" / "static").glob("*.v"))]
        # the module for tables reads a file that only designs with tables have
        texts = [path.read_text() for path in sources if path.name != "lookup_table.v"]
        (folder / f"{name}.v").write_text("\n".join(texts))
        additions = sum(op.opcode in ADDITIONS for op in logic.ops)
        report[name] = {"additions": additions, "cost": float(logic.cost), "trace_s": seconds}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
