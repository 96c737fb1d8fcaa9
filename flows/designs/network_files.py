"""Generation step: everything a chip integrator needs of one network, in one folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from flows.common.folder import fresh_folder
from flows.designs.generated import Generated
from flows.designs.register_documents import c_header, register_table
from flows.designs.tables import write_ports, write_writes
from hw.common.export import ports, to_verilog
from hw.common.scheme import Scheme
from hw.network.frozen import frozen_weights
from hw.network.network import PROTECTION, Network, output_port
from hw.network.network_chip import NetworkChip, error_counters
from sim.chip_registers import Loading
from sim.fixed_point import FixedPoint, IntArray
from sim.network.model import Network as GoldenNetwork
from sim.network.registers import chip_fields
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights, address_bits, weight_rows

__all__ = ["BENCH", "VECTORS", "generate"]

BENCH = "network_bench.py"
"""A cocotb bench of its own: it goes into the folder as it is, and needs nothing of liquidcal there."""
DEPENDS_ON = ("network_bench.py",)
VECTORS = 256
"""Samples with their results."""


def generate(
    spec: NetworkSpec, out_dir: Path, weights: NetworkWeights | None = None, *, frozen: bool = False,
    scheme: Scheme = Scheme.NONE, reuse: int = 1, loading: Loading | None = None, seed: int = 1,
) -> Generated:  # fmt: skip
    """Write Verilog and ports and, with weights, the weights, the writes that load them, vectors, and a bench.

    Parameters
    ----------
    spec : NetworkSpec
    out_dir : Path
        Appears when everything is complete; an earlier result of this step is replaced.
    weights : NetworkWeights, optional
    frozen : bool
        Fold the weights into the logic.
    scheme : Scheme
        Protection of registers and weights.
    reuse : int
        Multiplications of a sample that a multiplier serves.
    loading : Loading, optional
        The chip with I2C: its register map as well, and no bench, which drives a write port.
    seed : int
        Of the samples of the vectors, after one of each extreme.

    Raises
    ------
    FileExistsError
        If `out_dir` holds something else.
    ValueError
        If the hardware has not the arithmetic of a layer, or there are no weights to fold in.
    """
    if frozen and weights is None:
        raise ValueError(f"{spec.name}: expected weights to fold in, got none")
    frozen_codes = frozen_weights(weights) if frozen else None
    component: Any = (
        NetworkChip(spec=spec, scheme=scheme, loading=loading)
        if loading is not None
        else Network(spec=spec, frozen=frozen_codes, reuse=reuse, **PROTECTION[scheme])
    )
    pins = ports(component)
    verilog = to_verilog(component, spec.name)
    low = address_bits(spec)[1] if spec.layers else 0
    design: dict[str, Any] = {
        "name": spec.name,
        "latency_clocks": component.latency,
        "throughput": "one sample per clock" if reuse == 1 else f"one sample per {reuse} clocks",
        "clocks_per_sample": reuse,
        "clock_period_ns": spec.clock_period_ns / reuse,
        "protection": scheme,
        "multiplies": spec.multiplies,
        "weight_bits": spec.weight_bits,
        "weights": _origin(spec, frozen=frozen, loading=loading),
        "input": {"port": "x", **_of_port(spec, INPUT)},
        "outputs": [{"port": output_port(spec, name), **_of_port(spec, name)} for name in spec.outputs],
        "weight_rows": [
            {"layer": row.layer, "output": row.number, "address": place << low, "bytes": row.size}
            for place, row in enumerate(weight_rows(spec))
        ],
    }
    with fresh_folder(out_dir, marker="design.json") as work:
        (work / f"{spec.name}.v").write_text(verilog)
        (work / "spec.toml").write_text(spec.to_toml())
        write_ports(work, pins)
        if weights is not None:
            weights.save(work / "weights.npz")
            write_writes(work, [] if frozen else weights.writes(), digits=4)
            _write_vectors(work, weights, seed)
            if loading is None:
                shutil.copy(Path(__file__).with_name(BENCH), work / f"test_{spec.name.lower()}.py")
        if loading is not None:
            fields = chip_fields(spec, loading, error_counters(scheme))
            (work / "registers.md").write_text(register_table(fields))
            (work / "registers.h").write_text(c_header(spec.name, fields, loading))
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    return Generated(
        directory=out_dir, files=tuple(sorted(out_dir.iterdir())), latency=component.latency,
        lines=verilog.count("\n"),
    )  # fmt: skip


def _origin(spec: NetworkSpec, *, frozen: bool, loading: Loading | None) -> str:
    """Where weights come from, in words."""
    if frozen:
        return "folded into the logic"
    if loading is not None:
        return f"over I2C, {loading}"
    return "loaded" if spec.layers else "none"


def _of_port(spec: NetworkSpec, name: str) -> dict[str, Any]:
    tensor = spec.tensors[name]
    form = {"width": tensor.form.width, "fraction": tensor.form.fraction, "signed": tensor.form.signed}
    return {"elements": tensor.size, **form}


def _write_vectors(work: Path, weights: NetworkWeights, seed: int) -> None:
    """``vectors.csv``: for each sample its input word and the word of each output, hexadecimal."""
    spec = weights.spec
    rng = np.random.default_rng(seed)
    size = spec.tensors[INPUT].size
    samples = rng.integers(spec.input.min_code, spec.input.max_code + 1, (VECTORS, size))
    samples[:3] = [[spec.input.min_code] * size, [spec.input.max_code] * size, [0] * size]
    found = GoldenNetwork(weights).trace(samples)
    columns = [_hexadecimal(samples, spec.input)]
    columns += [_hexadecimal(found[name], spec.tensors[name].form) for name in spec.outputs]
    names = ["x", *(output_port(spec, name) for name in spec.outputs)]
    lines = [",".join(names), *(",".join(row) for row in zip(*columns, strict=True))]
    (work / "vectors.csv").write_text("\n".join(lines) + "\n")


def _hexadecimal(codes: IntArray, form: FixedPoint) -> list[str]:
    """Codes of each sample side by side as one number, the first code in the lowest bits."""
    mask = (1 << form.width) - 1
    return [f"{sum((int(code) & mask) << (i * form.width) for i, code in enumerate(row)):x}" for row in codes]
