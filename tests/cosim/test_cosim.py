"""cocotb benches on Verilator: every stage and the whole encoder, on the small spec and on random legal specs.

``LIQUIDCAL_SEED`` repeats a run; the seed is printed. The preset ECON_T with the published vectors builds for minutes:
it runs in CI (``CI=true``) and with ``LIQUIDCAL_LONG=1``. Elsewhere the same vectors go through the native harness
(tests/flows/simulation/test_encoder.py).
"""

import os
from pathlib import Path

import cocotb_tools.config
import numpy as np
import pytest

from flows.simulation.encoder import encoder_verilog
from flows.tools.verilog import read_ports
from hw.hgcal_encoder.encoder import STAGES
from sim.hgcal_encoder.example_specs import random_spec
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec
from tests.conftest import long
from tests.cosim.coverage import Coverage
from tests.cosim.encoder_coverage import formats_coverage
from tests.cosim.runner import Results, build_bench, demand, run_bench
from tests.cosim.stages import WRAPPER, wrap_stages, wrapper_ports
from tests.specs import SMALL

SEED = int(os.environ.get("LIQUIDCAL_SEED", "2105"))
ENCODER_TESTS = 11
"""Tests of bench_encoder: one per kind of weights, and the others."""
SPECS = [SMALL, *(random_spec(np.random.default_rng((SEED, i)), f"RANDOM_{i}") for i in range(4))]


def environment(spec: EncoderSpec, folder: Path, crossings: int, latency: int, vectors: Path | None) -> dict[str, str]:
    """What a bench reads of its environment."""
    print(f"{spec.name}: LIQUIDCAL_SEED={SEED}")
    (folder / "spec.toml").write_text(spec.to_toml())
    return {
        "LIQUIDCAL_SPEC": str(folder / "spec.toml"), "LIQUIDCAL_LATENCY": str(latency),
        "LIQUIDCAL_SEED": str(SEED), "LIQUIDCAL_CROSSINGS": str(crossings),
        "LIQUIDCAL_VECTORS": str(vectors) if vectors else "",
    }  # fmt: skip


def run_encoder(
    spec: EncoderSpec, folder: Path, crossings: int, vectors: Path | None = None, optimise: str = "-O0"
) -> Results:
    """Run all encoder tests on the hardware of a spec."""
    design = encoder_verilog(spec)
    variables = environment(spec, folder, crossings, design.latency, vectors)
    ports = read_ports(design.verilog, design.top)
    return run_bench(design.verilog, design.top, ports, "tests.cosim.bench_encoder", variables, folder, optimise)


def run_stages(spec: EncoderSpec, folder: Path, rows: int) -> Results:
    """Run the bench of every stage on the modules of the encoder of a spec."""
    design = encoder_verilog(spec)
    verilog, ports = wrap_stages(design.verilog, spec.name), wrapper_ports(design.verilog, spec.name)
    variables = environment(spec, folder, rows, design.latency, None)
    return run_bench(verilog, WRAPPER, ports, "tests.cosim.bench_stages", variables, folder)


@pytest.mark.parametrize("spec", [SPECS[0], SPECS[1]], ids=lambda spec: spec.name)
@pytest.mark.timeout(600)
def test_stages(spec: EncoderSpec, tmp_path: Path) -> None:
    demand(run_stages(spec, tmp_path, 300), len(STAGES), skipped=0)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.timeout(600)
def test_encoder(spec: EncoderSpec, tmp_path: Path) -> None:
    demand(run_encoder(spec, tmp_path, 60), ENCODER_TESTS, skipped=1)


@long
@pytest.mark.timeout(3600)
def test_preset(tmp_path: Path, econt_vectors: Path) -> None:
    results = run_encoder(ECON_T, tmp_path, 100, econt_vectors, optimise="-O1")
    demand(results, ENCODER_TESTS, skipped=0)


def test_the_specs_cover_the_formats() -> None:
    """Benches are built for every rounding, overflow, word order and shape that a spec can ask for."""
    coverage = formats_coverage(SPECS)
    coverage.close()
    assert coverage.bins == 19


def test_an_empty_bin_fails() -> None:
    coverage = Coverage("test", {"number": (lambda value: [value], (1, 2))})
    coverage.sample(2)
    assert coverage.empty == ["test.number: 1"]
    with pytest.raises(AssertionError, match="test: 1 of 2 bins are empty: test.number: 1"):
        coverage.close()
    coverage.sample(1)
    coverage.close()


def test_a_cached_program_serves_any_checkout() -> None:
    """Checkouts share the cache, and the one whose environment built a program may be gone."""
    verilog = "module inverter(a, b);\n  input a;\n  output b;\n  assign b = ~a;\nendmodule\n"
    folder = build_bench(verilog, "inverter", read_ports(verilog, "inverter"), "-O0")
    assert str(cocotb_tools.config.libs_dir).encode() not in (folder / "inverter").read_bytes()
