"""Encoders whose weights are folded into the logic: from a model or weight image to hardware, and its check.

`hw.common.frozen_layer` has the structure, docs/guide/frozen_weights.md what it costs.
"""

from __future__ import annotations

from pathlib import Path

from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.frozen_network import FrozenWeights
from sim.hgcal_encoder.learning.decoder import shipped_models
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = ["KEEP", "frozen_name", "frozen_weights", "hardware"]

KEEP = ("*_tables_*",)
"""Modules that synthesis keeps apart: small enough for the mapper that finds most."""


def frozen_name(spec: EncoderSpec) -> str:
    """Name of the design: of its folder, its files and its top module."""
    return f"{spec.name}_FROZEN"


def frozen_weights(model: str, spec: EncoderSpec) -> Weights:
    """Weights to fold in.

    Parameters
    ----------
    model : str
        A weight image or an ``.npz`` of a trained model, or the name of a shipped model.
    spec : EncoderSpec

    Raises
    ------
    ValueError
        If the weights do not fit the spec.
    FileNotFoundError
        If there is neither such a file nor such a shipped model.
    """
    shipped = shipped_models()
    if not Path(model).is_file() and model not in shipped:
        raise FileNotFoundError(f"no weights at {model}; shipped models: {', '.join(shipped)}")
    return Weights.load(Path(model) if Path(model).is_file() else shipped[model], spec)


def hardware(weights: Weights) -> Encoder:
    """The whole encoder with these weights as constants."""
    return Encoder(spec=weights.spec, frozen=FrozenWeights.of(weights))
