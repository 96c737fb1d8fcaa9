"""Encoders whose weights are folded into the logic: from a model or weight image to hardware, and its check.

`hw.hgcal_encoder.frozen_layer` has the structure, docs/frozen_weights.md what it costs.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from flows.designs import Spec
from flows.journal import Check, Journal
from flows.simulation import EncoderBench, EncoderDesign
from hw.common.export import to_verilog
from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.frozen_network import FrozenWeights
from sim.hgcal_encoder.decoder import shipped_models
from sim.hgcal_encoder.encoder import Encoder as GoldenEncoder
from sim.hgcal_encoder.encoder import Engine
from sim.hgcal_encoder.registers import reset_settings
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = ["KEEP", "frozen_name", "frozen_weights", "hardware", "verify_frozen"]

KEEP = ("*_tables_*",)
"""Modules that synthesis keeps apart: small enough for the mapper that finds most."""


def frozen_name(spec: EncoderSpec) -> str:
    """Name of the design: of its folder, its files and its top module."""
    return f"{spec.name}_FROZEN"


def frozen_weights(model: str, spec: Spec) -> Weights:
    """Weights to fold in.

    Parameters
    ----------
    model : str
        A weight image or an ``.npz`` of a trained model, or the name of a shipped model.
    spec : EncoderSpec

    Raises
    ------
    ValueError
        If it is no encoder's spec, or the weights do not fit it.
    FileNotFoundError
        If there is neither such a file nor such a shipped model.
    """
    if not isinstance(spec, EncoderSpec):
        raise ValueError(f"weights are frozen into an encoder; {spec.name} is none")
    shipped = shipped_models()
    if not Path(model).is_file() and model not in shipped:
        raise FileNotFoundError(f"no weights at {model}; shipped models: {', '.join(shipped)}")
    return Weights.load(Path(model) if Path(model).is_file() else shipped[model], spec)


def hardware(weights: Weights) -> Encoder:
    """The whole encoder with these weights as constants."""
    return Encoder(spec=weights.spec, frozen=FrozenWeights.of(weights))


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
            EncoderDesign(spec=spec, verilog=to_verilog(component, name), top=name, latency=component.latency)
        )
    settings = replace(reset_settings(spec), etx_count=13)
    words = rng.integers(0, 1 << 28, (crossings, 12)) | 0xA << 28
    expected = GoldenEncoder(spec, weights, settings, engine=Engine.NUMBA).frames(words)
    for what, written in (
        ("frames of random words", weights),
        ("other weights written to it change nothing", Weights.random(spec, rng)),
    ):
        with journal.step(f"{name}: {what}"):
            found = bench.frames(words, settings, written, seed=seed)
        different = int((np.asarray(found, np.int64) != np.asarray(expected, np.int64)).any(axis=1).sum())
        journal.check(
            Check(
                name=f"{name}: {what}, against the golden model", passed=different == 0, compared=crossings,
                unit="frames", detail=f"{different} frames differ" if different else "",
            )
        )  # fmt: skip
