"""The encoder's network in Keras, in floating point: what runs fastest without the chip's arithmetic."""

from __future__ import annotations

from typing import Any

from sim.hgcal_encoder.files.keras_files import keras_padding
from sim.hgcal_encoder.weights import Weights


def keras_model(weights: Weights) -> Any:
    """The network as a Keras model in float32, loaded with the values of the weight codes.

    Raises
    ------
    ValueError
        If the padding is neither none nor what Keras calls ``same``.
    """
    from flows.learning.legacy_keras import import_tensorflow

    tf = import_tensorflow()
    spec = weights.spec
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.InputLayer(spec.grid, name="pixel"),
            layers.Conv2D(spec.filters, spec.kernel, spec.stride, keras_padding(spec), name="conv"),
            layers.Activation("relu", name="activation"),
            layers.Flatten(name="flat"),
            layers.Dense(spec.latents, name="dense"),
            layers.Activation("relu", name="latent"),
        ]
    )
    values = weights.to_float()
    model.get_layer("conv").set_weights([values["kernel"], values["kernel_bias"]])
    model.get_layer("dense").set_weights([values["dense"], values["dense_bias"]])
    return model
