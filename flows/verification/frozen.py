"""Verification of an encoder with constant weights: its RTL against the golden model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flows.common.journal import Check, Journal
from flows.designs.frozen import frozen_name, hardware
from flows.simulation.encoder import EncoderBench, EncoderVerilog
from hw.common.export import to_verilog
from sim.engine import Engine
from sim.hgcal_encoder.configuration.registers import reset_settings
from sim.hgcal_encoder.encoder import Encoder as GoldenEncoder
from sim.hgcal_encoder.weights import Weights

__all__ = ["verify_frozen"]


def verify_frozen(weights: Weights, journal: Journal, *, crossings: int, seed: int = 1) -> None:
    """Compare frames of the encoder with the golden model's; then again with other weights written to it.

    Raises
    ------
    SimulatorError
        If the simulator cannot be built.
    """
    spec = weights.spec
    name = frozen_name(spec)
    rng = np.random.default_rng(seed)
    with journal.step(f"{name}: Verilog and native simulation"):
        component = hardware(weights)
        bench = EncoderBench(
            EncoderVerilog(spec=spec, verilog=to_verilog(component, name), top=name, latency=component.latency)
        )
    settings = replace(reset_settings(spec), etx_count=13)
    words = rng.integers(0, 1 << 28, (crossings, 12)) | 0xA << 28
    expected = GoldenEncoder(spec, weights, settings, engine=Engine.NUMBA).frames(words)
    for key, what, written in (
        ("random_words", "frames of random words", weights),
        ("other_weights", "other weights written to it change nothing", Weights.random(spec, rng)),
    ):
        with journal.step(f"{name}: {what}"):
            found = bench.frames(words, settings, written, seed=seed)
        different = int((np.asarray(found, np.int64) != np.asarray(expected, np.int64)).any(axis=1).sum())
        journal.check(
            Check(
                name=f"{name}: {what}, against the golden model", key=f"{key}__spec:{name}",
                passed=different == 0, compared=crossings, unit="frames",
                detail=f"{different} frames differ" if different else "",
            )
        )  # fmt: skip
