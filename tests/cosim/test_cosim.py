"""cocotb benches of the encoder on Verilator: small and random specs always, presets with LIQUIDCAL_LONG=1.

``LIQUIDCAL_SEED`` repeats a run; the seed is printed.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from flows.simulation import encoder_design
from flows.verification import random_spec
from sim.hgcal_encoder.spec import ECON_T, PRESETS, EncoderSpec
from tests.cosim.runner import Results, run_bench
from tests.specs import SMALL

SEED = int(os.environ.get("LIQUIDCAL_SEED", "2105"))
LONG = os.environ.get("LIQUIDCAL_LONG", "") == "1"
ENCODER_TESTS = 9
"""Tests of bench_encoder: one per kind of weights, and the others."""


def run_encoder(spec: EncoderSpec, folder: Path, crossings: int, vectors: Path | None = None) -> Results:
    """Run all encoder tests on the hardware of a spec."""
    print(f"{spec.name}: LIQUIDCAL_SEED={SEED}")
    design = encoder_design(spec)
    (folder / "spec.toml").write_text(spec.to_toml())
    environment = {
        "LIQUIDCAL_SPEC": str(folder / "spec.toml"), "LIQUIDCAL_LATENCY": str(design.latency),
        "LIQUIDCAL_SEED": str(SEED), "LIQUIDCAL_CROSSINGS": str(crossings),
        "LIQUIDCAL_VECTORS": str(vectors) if vectors else "",
    }  # fmt: skip
    return run_bench(design.verilog, design.top, "tests.cosim.bench_encoder", environment, folder)


def demand(results: Results, skipped: int) -> None:
    """All tests ran and passed: `test` of cocotb's runner does not tell."""
    assert results.tests == ENCODER_TESTS
    assert results.skipped == skipped
    assert results.failures == 0, results.messages


SPECS = [SMALL, *(random_spec(np.random.default_rng((SEED, i)), f"RANDOM_{i}") for i in range(4))]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_encoder(spec: EncoderSpec, tmp_path: Path) -> None:
    demand(run_encoder(spec, tmp_path, 60), skipped=1)


@pytest.mark.skipif(not LONG, reason="the presets build for minutes: LIQUIDCAL_LONG=1 runs them")
@pytest.mark.parametrize("spec", PRESETS.values(), ids=list(PRESETS))
@pytest.mark.timeout(3600)
def test_preset(spec: EncoderSpec, tmp_path: Path, econt_vectors: Path) -> None:
    vectors = econt_vectors if spec is ECON_T else None
    demand(run_encoder(spec, tmp_path, 100, vectors), skipped=0 if vectors else 1)
