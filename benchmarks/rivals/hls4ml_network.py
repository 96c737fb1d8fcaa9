"""The encoder's network in hls4ml: another team's C++ integer arithmetic of one convolution and one dense layer.

hls4ml stores every product in the accumulator's type before it adds, so an accumulator with fewer fraction bits than
a product rounds each product on its own: with the types below its C simulation is defined to do exactly what an
`EncoderSpec` says, the chip's rules included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray
from sim.hgcal_encoder.weights import Weights

ACCUMULATOR_INTEGER = 14
"""Integer bits of an accumulator, sign included: more than any sum of a layer needs."""


def precision(form: FixedPoint) -> str:
    """A number format as hls4ml writes it."""
    return f"{'' if form.signed else 'u'}fixed<{form.width},{form.integer},{form.rounding},{form.overflow}>"


def keras_model(weights: Weights) -> Any:
    """The network as a Keras model in float32, loaded with the values of the weight codes.

    Raises
    ------
    ValueError
        If the padding is neither none nor what Keras calls ``same``.
    """
    import tensorflow as tf

    spec = weights.spec
    layers = tf.keras.layers
    rows, columns, _ = spec.grid
    if not any(spec.padding):
        padding = "valid"
    elif spec.padding == _same(rows, spec.kernel[0], spec.stride) + _same(columns, spec.kernel[1], spec.stride):
        padding = "same"
    else:
        raise ValueError(f"padding {spec.padding} of {spec.name} is neither none nor Keras' same")
    model = tf.keras.Sequential(
        [
            layers.InputLayer(spec.grid, name="pixel"),
            layers.Conv2D(spec.filters, spec.kernel, spec.stride, padding, name="conv"),
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


class Hls4mlNetwork:
    """The network compiled from hls4ml's C++ (Vitis back end, io_parallel).

    Parameters
    ----------
    weights : Weights
        Weights and, in them, the spec: geometry and every number format.
    directory : Path
        Folder for the generated project.

    Raises
    ------
    ValueError
        See `keras_model`.
    """

    def __init__(self, weights: Weights, directory: Path) -> None:
        import hls4ml

        self.spec = spec = weights.spec
        conv = _accumulator(spec.conv_product_fraction, spec.conv_product_rounding)
        dense = _accumulator(spec.dense_product_fraction, spec.dense_product_rounding)
        weight = precision(spec.weight)
        pixel, activation = precision(spec.pixel), precision(spec.activation)
        config = {
            "Model": {"Precision": conv, "ReuseFactor": 1, "Strategy": "Latency"},
            "LayerName": {
                "pixel": {"Precision": {"result": pixel}},
                "conv": {"Precision": {"weight": weight, "bias": weight, "accum": conv, "result": conv}},
                # inserted by hls4ml between a layer and its ReLU, with the model's precision unless named
                "conv_linear": {"Precision": {"result": conv}},
                "activation": {"Precision": {"result": activation}},
                "flat": {"Precision": {"result": activation}},
                "dense": {"Precision": {"weight": weight, "bias": weight, "accum": dense, "result": dense}},
                "dense_linear": {"Precision": {"result": dense}},
                "latent": {"Precision": {"result": precision(spec.latent)}},
            },
        }
        self.model = hls4ml.converters.convert_from_keras_model(
            keras_model(weights),
            hls_config=config,
            output_dir=str(directory),
            project_name=spec.name.lower(),
            backend="Vitis",
            io_type="io_parallel",
        )
        self.model.compile()

    def pixels(self, image: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Codes of ``spec.pixel`` as the real numbers that hls4ml takes."""
        return np.ascontiguousarray(self.spec.pixel.decode(image), dtype=np.float32)

    def predict(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """hls4ml's own ``predict``: values of latents, shape (n, latents)."""
        result: npt.NDArray[np.float32] = self.model.predict(pixels).reshape(len(pixels), self.spec.latents)
        return result

    def latents(self, image: npt.ArrayLike) -> IntArray:
        """Latent codes of images of pixel codes, shape (n, rows, columns, channels).

        Raises
        ------
        ValueError
            If a result lies off the latents' grid.
        """
        scaled = np.ldexp(self.predict(self.pixels(image)).astype(np.float64), self.spec.latent.fraction)
        codes = scaled.astype(np.int64)
        if not np.array_equal(codes, scaled):
            raise ValueError("hls4ml returned a value off the grid of the latents: its result type was not taken over")
        return codes


def _accumulator(fraction: int, rounding: str) -> str:
    form = FixedPoint(width=ACCUMULATOR_INTEGER + fraction, fraction=fraction, signed=True, rounding=rounding)
    return precision(form)


def _same(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros that Keras' ``same`` puts in front and behind."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
