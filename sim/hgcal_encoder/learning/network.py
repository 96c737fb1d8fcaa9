"""The encoder and decoder as a differentiable network in the chip's number format."""

from __future__ import annotations

import itertools
import math
import os
from contextlib import suppress
from typing import Any

import numpy as np

from sim.fixed_point import Overflow, Rounding
from sim.hgcal_encoder.detector.geometry import N_TRIGGER_CELLS, image_8x8
from sim.hgcal_encoder.learning.decoder import Decoder, TrainedModel
from sim.hgcal_encoder.learning.features import SUM_FEATURES
from sim.hgcal_encoder.learning.training_images import Float64, Int64, physics_multiplexer
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights


def _patches(spec: EncoderSpec) -> Int64:
    """Input of every tap of every output position, (positions, taps); 48 where the tap sees a constant zero."""
    index = np.full((spec.positions, spec.kernel_taps), N_TRIGGER_CELLS, dtype=np.int64)
    for position, taps in enumerate(spec.taps):
        for cell, tap in taps:
            index[position, tap] = cell
    return index


def import_tensorflow() -> Any:
    """TensorFlow, with memory of a GPU taken as needed; ModuleNotFoundError names the extra that brings it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # training uses no Keras, but the same process may convert for QKeras later, and TensorFlow chooses on its import
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "training needs TensorFlow, which is not installed: pip install 'liquidcal[train]'"
        ) from error
    for device in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):  # set already, and in use
            tf.config.experimental.set_memory_growth(device, True)
    return tf


class Network:
    """Variables and forward passes of encoder and decoder in TensorFlow."""

    def __init__(self, spec: EncoderSpec, *, kept_bits: int, decoder: str, units: tuple[int, ...], seed: int) -> None:
        tf = import_tensorflow()
        self.tf, self.spec, self.kept_bits, self.decoder = tf, spec, kept_bits, decoder
        self._index = _patches(spec)
        rng = np.random.default_rng(seed)
        step = 2.0**-spec.weight.fraction
        self._step = step
        self._low, self._high = spec.weight.min_code * step, spec.weight.max_code * step

        def variable(name: str, value: Float64) -> Any:
            return tf.Variable(value.astype(np.float32), name=name)

        taps = spec.kernel_taps
        self.encoder_variables = {
            # positive on average: charges are, and a filter that never fires learns nothing
            "kernel": variable("kernel", np.clip(rng.normal(0.15, 0.45, (taps, spec.filters)), -0.95, 0.95)),
            "kernel_bias": variable("kernel_bias", np.full(spec.filters, 0.03)),
            "dense": variable("dense", np.clip(rng.normal(0.0, 0.3, (spec.activations, spec.latents)), -0.95, 0.95)),
            # truncation costs each latent half a step per active product
            "dense_bias": variable("dense_bias", np.full(spec.latents, 0.4)),
        }
        sizes = (spec.latents + SUM_FEATURES, *units, N_TRIGGER_CELLS)
        self.decoder_variables: dict[str, Any] = {}
        if decoder == "mlp":
            for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
                scale = math.sqrt(2.0 / fan_in)
                self.decoder_variables[f"weight{i}"] = variable(f"weight{i}", rng.normal(0, scale, (fan_in, fan_out)))
                self.decoder_variables[f"bias{i}"] = variable(f"bias{i}", np.zeros(fan_out))
        else:
            shapes: dict[str, tuple[int, ...]] = {
                "dense": (spec.latents, 128), "deconv0": (3, 3, 8, 8), "deconv1": (3, 3, 1, 8)
            }  # fmt: skip
            for name, shape in shapes.items():
                inputs = float(shape[0]) if name == "dense" else 18.0
                value = rng.normal(0, math.sqrt(2.0 / inputs), shape)
                self.decoder_variables[name] = variable(name, value)
                units_out = shape[1] if name == "dense" else shape[2]
                self.decoder_variables[f"{name}_bias"] = variable(f"{name}_bias", np.zeros(units_out))
            grid = image_8x8().ravel()
            order = np.empty(N_TRIGGER_CELLS, dtype=np.int64)
            order[grid[grid >= 0]] = np.flatnonzero(grid >= 0)
            self._order = order

    def _straight_through(self, soft: Any, hard: Any) -> Any:
        """The value of `hard`, to the last bit, with the gradient of `soft`."""
        return (soft - self.tf.stop_gradient(soft)) + self.tf.stop_gradient(hard)

    def _quantised(self, name: str) -> Any:
        """Weight codes with straight-through gradient."""
        tf = self.tf
        value = tf.clip_by_value(self.encoder_variables[name], self._low, self._high) / self._step
        return self._straight_through(value, tf.round(value))

    def _layer(
        self, inputs: Any, weight: Any, bias: Any, drop: int, rounding: Rounding, bias_shift: int, width: int | None
    ) -> Any:
        """Sum over rounded products, (..., in) x (in, out), exact forward, linear backward."""
        tf = self.tf
        scale = 2.0**-drop
        linear = tf.linalg.matmul(inputs, weight) * scale
        # images innermost, which is how the products are fastest; the scale is a power of two: exact on the weights
        columns = tf.transpose(tf.reshape(tf.stop_gradient(inputs), [-1, inputs.shape[-1]]))
        products = columns[:, None, :] * (tf.stop_gradient(weight) * scale)[:, :, None]
        exact = tf.reshape(tf.transpose(tf.reduce_sum(self._round(products, rounding), axis=0)), tf.shape(linear))
        total = self._straight_through(linear, exact) + bias * float(1 << bias_shift)
        if width is None:
            return total
        # two's complement; the gradient is that of the sum, as if there were no end
        half = 2.0 ** (width - 1)
        return self._straight_through(total, tf.math.floormod(total + half, 2.0 * half) - half)

    def _round(self, values: Any, rounding: Rounding) -> Any:
        tf = self.tf
        if rounding is Rounding.RND_CONV:
            return tf.round(values)  # ties to even, as the rule has it
        return tf.floor(values + 0.5 if rounding is Rounding.RND else values)

    def _activate(self, total: Any, fraction: int, fmt: Any) -> Any:
        """ReLU and the output format; values beyond its ends pass a small gradient so that they can come back."""
        tf = self.tf
        scaled = total * 2.0 ** (fmt.fraction - fraction)
        rounded = tf.maximum(self._round(scaled, fmt.rounding), 0.0)
        if fmt.overflow is Overflow.WRAP:
            clipped = tf.math.floormod(rounded, float(fmt.max_code + 1))
        else:
            clipped = tf.minimum(rounded, float(fmt.max_code))
        soft = tf.clip_by_value(scaled, 0.0, float(fmt.max_code))
        soft = soft + 0.02 * (scaled - soft)
        return self._straight_through(soft, clipped)

    def latents(self, pixels: Any) -> Any:
        """Latent codes as they arrive at the decoder: integers held in float32."""
        tf, spec = self.tf, self.spec
        padded = tf.pad(pixels, [[0, 0], [0, 1]])
        patches = tf.gather(padded, self._index, axis=1)
        weight = spec.weight.fraction
        conv = self._layer(
            patches,
            self._quantised("kernel"),
            self._quantised("kernel_bias"),
            spec.pixel.fraction + weight - spec.conv_product_fraction,
            spec.conv_product_rounding,
            spec.conv_product_fraction - weight,
            spec.conv_sum_width,
        )
        conv = self._activate(conv, spec.conv_product_fraction, spec.activation)
        flat = tf.reshape(conv, [-1, spec.activations])
        dense = self._layer(
            flat,
            self._quantised("dense"),
            self._quantised("dense_bias"),
            spec.activation.fraction + weight - spec.dense_product_fraction,
            spec.dense_product_rounding,
            spec.dense_product_fraction - weight,
            spec.dense_sum_width,
        )
        latent = self._activate(dense, spec.dense_product_fraction, spec.latent)
        step = float(1 << (spec.latent.width - self.kept_bits))
        return self._straight_through(latent, tf.floor(latent / step) * step)

    def outputs(self, latents: Any, sums: Any) -> Any:
        """Logits (``mlp``) or sigmoids (``published``), (n, 48) in trigger cell order."""
        tf = self.tf
        x = latents / 2.0**self.spec.latent.fraction
        d = self.decoder_variables
        if self.decoder == "mlp":
            x = tf.concat([x, sums], axis=1)
            layers = len(d) // 2
            for i in range(layers):
                y = x @ d[f"weight{i}"] + d[f"bias{i}"]
                if i < layers - 1:
                    y = tf.nn.relu(y)
                    if y.shape[1] == x.shape[1]:
                        y += x
                x = y
            return x
        x = tf.reshape(tf.nn.relu(x @ d["dense"] + d["dense_bias"]), [-1, 4, 4, 8])
        n = tf.shape(x)[0]
        x = tf.nn.conv2d_transpose(x, d["deconv0"], [n, 8, 8, 8], 2, "SAME") + d["deconv0_bias"]
        x = tf.nn.conv2d_transpose(tf.nn.relu(x), d["deconv1"], [n, 8, 8, 1], 1, "SAME") + d["deconv1_bias"]
        return tf.gather(tf.sigmoid(tf.reshape(x, [-1, 64])), self._order, axis=1)

    def shares(self, outputs: Any) -> Any:
        """Decoded shares of the module sum, rows sum to 1."""
        tf = self.tf
        if self.decoder == "mlp":
            return tf.nn.softmax(outputs)
        return outputs / tf.reduce_sum(outputs, axis=1, keepdims=True)

    def clip(self) -> None:
        """Bring the weights back into the range of the format."""
        for value in self.encoder_variables.values():
            value.assign(self.tf.clip_by_value(value, self._low, self._high))

    def model(self, elinks: int) -> TrainedModel:
        """What was trained, in the types of the golden model."""
        spec = self.spec
        codes = {name: np.rint(self._quantised(name).numpy()).astype(np.int64) for name in self.encoder_variables}
        codes["kernel"] = codes["kernel"].reshape(*spec.kernel, spec.grid[2], spec.filters)
        return TrainedModel(
            weights=Weights(spec=spec, **codes),
            decoder=Decoder(
                kind=self.decoder,
                # what a file of it holds
                arrays={
                    name: value.numpy().astype(np.float16).astype(np.float32)
                    for name, value in self.decoder_variables.items()
                },
                latent_fraction=spec.latent.fraction,
            ),
            elinks=elinks,
            kept_bits=self.kept_bits,
            multiplexer=physics_multiplexer(spec),
        )

    def load(self, start: TrainedModel | Weights) -> bool:
        """Start from a model or from weights of the same spec; whether its decoder could be taken over, too."""
        weights = start.weights if isinstance(start, TrainedModel) else start
        for name, value in self.encoder_variables.items():
            value.assign((getattr(weights, name) * self._step).reshape(value.shape).astype(np.float32))
        if not (
            isinstance(start, TrainedModel)
            and start.decoder.kind == self.decoder
            and all(
                name in start.decoder.arrays and start.decoder.arrays[name].shape == tuple(value.shape)
                for name, value in self.decoder_variables.items()
            )
        ):
            return False
        for name, value in self.decoder_variables.items():
            value.assign(start.decoder.arrays[name])
        return True
