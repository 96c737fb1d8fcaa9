"""Training of an encoder inside the chip's number format, with its decoder.

The forward pass of the encoder is the chip's integer arithmetic, exactly: 6-bit weight codes, every product rounded on
its own, saturating unsigned activations and latents, the unsent low bits of each latent cleared.  The backward pass is
that of the same network in floating point (straight-through estimator), so a network never meets at run time
anything that it was not trained with.  `verify_latents` proves it against the golden model.

Losses:

* ``telescoping``: the published one, 4 L48 + 2 L36 + L3 on charges divided by the power of two below their sum;
* ``emd``: three phases.  Cross-entropy brings mass near its place; a sum of absolute differences on several scales,
  `MULTISCALE`, follows the Earth Mover's Distance at the cost of a few matrix products (after Shirdhonkar and Jacobs);
  the exact distance finishes, its gradient being the dual potential of the transport problem
  (`metric.earth_movers_potentials`).

TensorFlow is imported by the functions that need it, never by this module's import.

Sources: S. Shirdhonkar, D. W. Jacobs, "Approximate earth mover's distance in linear time", CVPR 2008; Y. Bengio,
N. Leonard, A. Courville, "Estimating or Propagating Gradients Through Stochastic Neurons", arXiv 1308.3432
(straight-through); C. N. Coelho et al., "Automatic heterogeneous quantization of deep neural networks for low-latency
inference on the edge", Nat. Mach. Intell. 3 (2021) 675 (QKeras); G. Di Guglielmo et al., arXiv 2105.01683; D. P.
Kingma, J. Ba, "Adam", arXiv 1412.6980.
"""

import argparse
import hashlib
import itertools
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.files import replacing
from sim.fixed_point import Overflow, Rounding
from sim.hgcal_encoder.decoder import (
    DECODER_KINDS,
    Decoder,
    TrainedModel,
    sum_features,
    truncate_latents,
)
from sim.hgcal_encoder.encoder import Encoder, Engine
from sim.hgcal_encoder.geometry import (
    N_TRIGGER_CELLS,
    econ_t_inputs,
    ground_distance,
    image_8x8,
    module_geometry,
)
from sim.hgcal_encoder.metric import (
    BINS,
    FINE_BINS,
    BinSummary,
    earth_movers_distance,
    earth_movers_potentials,
    occupancy,
    summarise,
    telescoping_matrices,
)
from sim.hgcal_encoder.normalise import normalise, sum_code
from sim.hgcal_encoder.settings import bits_per_latent
from sim.hgcal_encoder.showers import (
    ELECTROMAGNETIC,
    HADRON,
    BunchCrossings,
    Detector,
    Digitisation,
    Generator,
    MultiParticles,
    ParticleSource,
    PileUp,
    SingleParticles,
    TopPairs,
)
from sim.hgcal_encoder.spec import ETX_WORDS, PRESETS, EncoderSpec
from sim.hgcal_encoder.vectors import read_charges
from sim.hgcal_encoder.weights import Weights

__all__ = [
    "LOSSES",
    "History",
    "Recipe",
    "TrainingSet",
    "evaluate",
    "model_card",
    "multiscale_matrices",
    "physics_multiplexer",
    "recipes",
    "simulate_training_charges",
    "train",
    "verify_latents",
]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

LOSSES = ("emd", "telescoping")

#: Multiscale substitute of the EMD of two share images, d their difference: sum over scales of
#: weight * |G d|_1, G a Gaussian blur of that width (units of the ground distance, 0 for none), plus SHIFT_WEIGHT times
#: the displacement of the mean position.  Non-negative least squares to exact EMDs of blurred, thinned and noisy copies
#: of simulated images; correlation with the exact distance 0.97, median deviation 8 %.
MULTISCALE: tuple[tuple[float, float], ...] = ((0.0, 0.485), (1.5, 0.472), (2.0, 1.417), (3.0, 0.795))
SHIFT_WEIGHT = 0.251

#: Share of a training batch by occupancy: hit trigger cells (inclusive) and share.
BATCH_MIX: tuple[tuple[int, int, float], ...] = (
    (1, 1, 0.12),
    (2, 3, 0.18),
    (4, 7, 0.25),
    (8, 15, 0.23),
    (16, 48, 0.22),
)


# ------------------------------------------------------------------------------------------------------ data
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One source of training images.

    Attributes
    ----------
    name : str
    source : ParticleSource
    leakage : float
        Charge of the previous crossing; 0 where crossings stand for isolated events.
    crossings : int
        Bunch crossings at scale 1.
    images_per_crossing : int
        Images taken at most from each crossing, at random.
    """

    name: str
    source: ParticleSource
    leakage: float
    crossings: int
    images_per_crossing: int


def recipes() -> tuple[Recipe, ...]:
    """Sources of the training images: isolated events, particles and jets, and all degrees of pile-up."""
    few: tuple[tuple[str, ParticleSource, int], ...] = (
        ("top pairs", TopPairs(), 2400),
        ("electrons", SingleParticles(kind=ELECTROMAGNETIC, pt_gev=(2.0, 100.0), multiplicity=12), 1200),
        ("pions", SingleParticles(kind=HADRON, pt_gev=(2.0, 100.0), multiplicity=12), 400),
        ("jets", MultiParticles(pt_gev=(10.0, 200.0), bundles=4), 800),
    )
    isolated = [
        Recipe(name=name, source=source, leakage=0.0, crossings=crossings, images_per_crossing=3000)
        for name, source, crossings in few
    ]
    overlaid = [
        Recipe(
            name=f"top pairs in pile-up {mu:g}",
            source=BunchCrossings(sources=(TopPairs(), PileUp(mean=mu))),
            leakage=0.163,
            crossings=crossings,
            images_per_crossing=500,
        )
        for mu, crossings in ((5.0, 120), (20.0, 120), (60.0, 120), (140.0, 120), (200.0, 240))
    ]
    return (*isolated, *overlaid)


def simulate_training_charges(
    *, seed: int, scale: float = 1.0, progress: Callable[[str], None] | None = None
) -> tuple[Int64, dict[str, int]]:
    """Charges of simulated module images from all `recipes`.

    Half of the images keep the pedestal that the chip's decoding gives to code 0; the other half reads 0 there,
    as public charge files do.

    Parameters
    ----------
    seed : int
    scale : float, optional
        On the number of crossings of every recipe; 1 gives about 2.7 million images.
    progress : callable, optional
        Told a line of text per recipe.

    Returns
    -------
    charges : ndarray of int64, shape (n, 48)
        Trigger cell order; no empty image.
    origin : dict
        Images by recipe.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    detector = Detector()
    parts: list[Int64] = []
    origin: dict[str, int] = {}
    for number, recipe in enumerate(recipes()):
        rng = np.random.default_rng([seed, number])
        generator = Generator(
            source=recipe.source,
            seed=int(rng.integers(1 << 31)),
            detector=detector,
            digitisation=Digitisation(leakage=recipe.leakage),
        )
        count = 0
        for images in generator.stream(max(round(recipe.crossings * scale), 1)):
            rows = np.flatnonzero((images.codes > 0).any(axis=1))
            if len(rows) > recipe.images_per_crossing:
                rows = rng.choice(rows, recipe.images_per_crossing, replace=False)
            charges = images.charges[rows]
            bare = rng.random(len(rows)) < 0.5
            charges = np.where(bare[:, None] & (images.codes[rows] == 0), 0, charges)
            charges = charges[charges.any(axis=1)]
            parts.append(charges.astype(np.int32))
            count += len(charges)
        origin[recipe.name] = count
        if progress is not None:
            progress(f"{recipe.name}: {count} images")
    return np.concatenate(parts).astype(np.int64), origin


class TrainingSet:
    """Charges prepared for training: network inputs, sum codes, and the shares to be reproduced.

    Parameters
    ----------
    charges : ndarray of int64, shape (n, 48)
        Trigger cell order, no empty image.
    spec : EncoderSpec
    validation : float, optional
        Share set aside for validation.
    seed : int, optional
        Of the split and of the batches.
    """

    def __init__(self, charges: Int64, spec: EncoderSpec, *, validation: float = 0.05, seed: int = 0) -> None:
        if not 0.0 < validation < 1.0:
            raise ValueError(f"validation must be between 0 and 1, got {validation}")
        self._rng = np.random.default_rng(seed)
        charges = charges[self._rng.permutation(len(charges))]
        sums, pixels = normalise(charges[:, physics_multiplexer(spec)], spec.pixel)
        if (sums == 0).any():
            raise ValueError(f"charges[{int(np.argmin(sums))}]: an empty image has no shares")
        self._pixels = pixels.astype(np.uint16)
        self._codes = sum_code(sums).astype(np.uint16)
        self._shares = (charges / sums[:, None]).astype(np.float32)
        # a pedestal of single counts is no hit: the class is what stands out above it
        hits = (charges > charges.min(axis=1, keepdims=True)).sum(axis=1)
        split = round(len(charges) * (1.0 - validation))
        self._validation = np.arange(split, len(charges))
        self._classes = [
            (np.flatnonzero((hits[:split] >= low) & (hits[:split] <= high)), share) for low, high, share in BATCH_MIX
        ]
        self._classes = [(rows, share) for rows, share in self._classes if len(rows)]
        if not self._classes:
            raise ValueError("no image with a hit trigger cell")

    def _rows(self, rows: Int64) -> tuple[Float32, Float32, Float32]:
        return (
            self._pixels[rows].astype(np.float32),
            sum_features(self._codes[rows].astype(np.int64)),
            self._shares[rows],
        )

    def batches(self, size: int, steps: int) -> Iterator[tuple[Float32, Float32, Float32]]:
        """Random batches in the occupancy mix of `BATCH_MIX`.

        Yields
        ------
        pixels : ndarray of float32, shape (size, 48)
            Integer codes of ``spec.pixel`` on the network's inputs.
        sums : ndarray of float32, shape (size, 2)
            `decoder.sum_features`.
        shares : ndarray of float32, shape (size, 48)
            Trigger cell order.
        """
        total = sum(share for _, share in self._classes)
        for _ in range(steps):
            counts = [round(size * share / total) for _, share in self._classes]
            counts[-1] = size - sum(counts[:-1])
            rows = np.concatenate(
                [
                    pool[self._rng.integers(0, len(pool), count)]
                    for (pool, _), count in zip(self._classes, counts, strict=True)
                ]
            )
            yield self._rows(rows)

    def validation(self, limit: int = 20000) -> tuple[Float32, Float32, Float32]:
        """The images set aside, in their natural mix, as `batches` yields them."""
        return self._rows(self._validation[:limit])


def physics_multiplexer(spec: EncoderSpec) -> Int64:
    """Trigger cell on each input of the network so that its grid shows the module: the multiplexer setting.

    Parameters
    ----------
    spec : EncoderSpec

    Returns
    -------
    ndarray of int64, shape (48,)
        For an 8 x 8 grid the arrangement of the chip; otherwise input i takes trigger cell i.
    """
    if spec.grid == (8, 8, 1):
        return econ_t_inputs()
    return np.arange(N_TRIGGER_CELLS, dtype=np.int64)


# ----------------------------------------------------------------------------------------------------- network
def _patches(spec: EncoderSpec) -> Int64:
    """Input of every tap of every output position, (positions, taps); 48 where the tap sees a constant zero."""
    index = np.full((spec.positions, spec.kernel_taps), N_TRIGGER_CELLS, dtype=np.int64)
    for position, taps in enumerate(spec.taps):
        for cell, tap in taps:
            index[position, tap] = cell
    return index


class _Network:
    """Variables and forward passes of encoder and decoder in TensorFlow."""

    def __init__(self, spec: EncoderSpec, *, kept_bits: int, decoder: str, units: tuple[int, ...], seed: int) -> None:
        import tensorflow as tf

        self.tf, self.spec, self.kept_bits, self.decoder = tf, spec, kept_bits, decoder
        for rounding in (spec.conv_product_rounding, spec.dense_product_rounding):
            if rounding is Rounding.RND_CONV:
                raise ValueError("training supports the product roundings TRN and RND, got RND_CONV")
        for fmt in (spec.activation, spec.latent):
            if fmt.overflow is not Overflow.SAT or fmt.rounding is not Rounding.TRN:
                raise ValueError(f"training supports activations and latents that truncate and saturate, got {fmt}")
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
        sizes = (spec.latents + 2, *units, N_TRIGGER_CELLS)
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

    def _layer(self, inputs: Any, weight: Any, bias: Any, drop: int, rounding: Rounding, bias_shift: int) -> Any:
        """Sum over rounded products, (..., in) x (in, out), exact forward, linear backward."""
        tf = self.tf
        scale = 2.0**-drop
        linear = tf.linalg.matmul(inputs, weight) * scale
        products = tf.stop_gradient(inputs)[..., :, None] * tf.stop_gradient(weight)
        offset = 0.5 if rounding is Rounding.RND else 0.0
        exact = tf.reduce_sum(tf.floor(products * scale + offset), axis=-2)
        return self._straight_through(linear, exact) + bias * float(1 << bias_shift)

    def _activate(self, total: Any, fraction: int, fmt: Any) -> Any:
        """ReLU and the output format; saturated or cut values pass a small gradient so that they can come back."""
        tf = self.tf
        scaled = total * 2.0 ** (fmt.fraction - fraction)
        clipped = tf.clip_by_value(tf.floor(scaled), 0.0, float(fmt.max_code))
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
                x = x @ d[f"weight{i}"] + d[f"bias{i}"]
                if i < layers - 1:
                    x = tf.nn.relu(x)
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
                arrays={name: value.numpy() for name, value in self.decoder_variables.items()},
                latent_fraction=spec.latent.fraction,
            ),
            elinks=elinks,
            kept_bits=self.kept_bits,
            multiplexer=physics_multiplexer(spec),
        )

    def load(self, model: TrainedModel) -> None:
        """Start from a model of the same shape."""
        for name, value in self.encoder_variables.items():
            value.assign((getattr(model.weights, name) * self._step).reshape(value.shape).astype(np.float32))
        if model.decoder.kind == self.decoder and all(
            name in model.decoder.arrays and model.decoder.arrays[name].shape == tuple(value.shape)
            for name, value in self.decoder_variables.items()
        ):
            for name, value in self.decoder_variables.items():
                value.assign(model.decoder.arrays[name])


def multiscale_matrices() -> tuple[Float64, Float64]:
    """What `MULTISCALE` sums over.

    Returns
    -------
    blur : ndarray of float64, shape (48, 48 * scales)
        Column blocks are the weighted blurs: the substitute is ``abs(d @ blur).sum()`` plus the shift term.
    positions : ndarray of float64, shape (48, 2)
        Weighted trigger cell positions: the shift term is the Euclidean norm of ``d @ positions``.
    """
    distance = ground_distance()
    columns = []
    for width, weight in MULTISCALE:
        kernel = np.exp(-0.5 * (distance / width) ** 2) if width else np.eye(N_TRIGGER_CELLS)
        columns.append(weight * (kernel / kernel.sum(axis=1, keepdims=True)).T)
    geometry = module_geometry("low")
    return np.concatenate(columns, axis=1), SHIFT_WEIGHT * geometry.centers_mm / geometry.cell_pitch_mm


# ---------------------------------------------------------------------------------------------------- training
@dataclass(frozen=True, kw_only=True)
class History:
    """Course of a training.

    Attributes
    ----------
    step, seconds, loss, validation : tuple of float
        At every validation: steps done, time since the start, mean loss since the last one, median EMD of the
        validation images.
    """

    step: tuple[float, ...]
    seconds: tuple[float, ...]
    loss: tuple[float, ...]
    validation: tuple[float, ...]


def train(
    charges: Int64,
    spec: EncoderSpec,
    *,
    elinks: int,
    steps: int,
    seed: int,
    loss: str = "emd",
    decoder: str = "mlp",
    units: tuple[int, ...] = (384, 384),
    batch: int = 512,
    learning_rate: float = 2e-3,
    phases: tuple[float, float] = (0.1, 0.85),
    start: TrainedModel | None = None,
    freeze_encoder: bool = False,
    max_seconds: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[TrainedModel, History]:
    """Train encoder and decoder together.

    Parameters
    ----------
    charges : ndarray of int64, shape (n, 48)
        Calibrated charges in trigger cell order, as from `simulate_training_charges`.
    spec : EncoderSpec
    elinks : int
        Output links; decides the bits kept of each latent (`settings.bits_per_latent`).
    steps : int
        Optimiser steps (Adam, cosine decay to zero).
    seed : int
        Of initial values, split and batches.
    loss : {"emd", "telescoping"}, optional
    decoder : {"mlp", "published"}, optional
    units : tuple of int, optional
        Hidden layers of the ``mlp`` decoder.
    batch : int, optional
    learning_rate : float, optional
    phases : tuple of float, optional
        Shares of the training at which loss ``emd`` goes from cross-entropy to multiscale and to the exact distance.
    start : TrainedModel, optional
        Model to continue from (fine-tuning).
    freeze_encoder : bool, optional
        Train the decoder only: the chip's weights stay what they are.
    max_seconds : float, optional
        The decay is shortened so that training ends in about this time.
    progress : callable, optional
        Told a line of text at every validation.

    Returns
    -------
    TrainedModel, History

    Raises
    ------
    ValueError
        If an argument is out of range.
    ModuleNotFoundError
        If TensorFlow is not installed (install the extra ``train``).
    """
    kept = bits_per_latent(spec, elinks)
    if kept < 1:
        raise ValueError(f"elinks: {elinks} links cannot carry a bit of each of {spec.latents} latents")
    if loss not in LOSSES:
        raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}")
    if decoder not in DECODER_KINDS:
        raise ValueError(f"decoder: expected one of {', '.join(DECODER_KINDS)}, got {decoder!r}")
    if decoder == "published" and spec.grid != (8, 8, 1):
        raise ValueError(f"the published decoder makes 8 x 8 images, {spec.name} has grid {spec.grid}")
    if steps < 1 or batch < len(BATCH_MIX):
        raise ValueError(f"steps must be at least 1 and batch at least {len(BATCH_MIX)}, got {steps} and {batch}")
    try:
        import tensorflow as tf
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("training needs TensorFlow: install liquidcal with its extra 'train'") from error

    network = _Network(spec, kept_bits=kept, decoder=decoder, units=units, seed=seed)
    if start is not None:
        network.load(start)
    data = TrainingSet(charges, spec, seed=seed)
    rate = tf.Variable(0.0, dtype=tf.float32)
    optimiser = tf.keras.optimizers.legacy.Adam(rate, beta_2=0.99)
    encoder_variables = [] if freeze_encoder else list(network.encoder_variables.values())
    variables = encoder_variables + list(network.decoder_variables.values())
    blur, positions = (tf.constant(m, tf.float32) for m in multiscale_matrices())
    windows, weights, blocks = (tf.constant(m, tf.float32) for m in telescoping_matrices())

    def telescoping(truth: Any, decoded: Any) -> Any:
        out = 0.0
        for factor, weight, matrix in ((4.0, 1.0, None), (2.0, weights, windows), (1.0, 1.0, blocks)):
            x, y = (truth, decoded) if matrix is None else (truth @ matrix, decoded @ matrix)
            out += factor * tf.reduce_mean(weight * (x - y) ** 2 * tf.maximum(x, y), axis=1)
        return tf.reduce_mean(out)

    def potentials(truth: Any, decoded: Any) -> tuple[Float32, Float32]:
        emd, potential = earth_movers_potentials(truth, decoded)
        return emd.astype(np.float32), (potential - potential.mean(axis=1, keepdims=True)).astype(np.float32)

    def loss_of(kind: str, outputs: Any, shares: Any, sums: Any) -> Any:
        decoded = network.shares(outputs)
        if kind == "emd":
            emd, potential = tf.numpy_function(potentials, [shares, decoded], [tf.float32, tf.float32])
            surrogate = tf.reduce_sum(tf.stop_gradient(tf.reshape(potential, tf.shape(shares))) * decoded, axis=1)
            return tf.reduce_mean(surrogate + tf.stop_gradient(tf.reshape(emd, [-1]) - surrogate))
        if kind == "multiscale":
            difference = decoded - shares
            shift = tf.sqrt(tf.reduce_sum((difference @ positions) ** 2, axis=1) + 1e-6)
            return tf.reduce_mean(tf.reduce_sum(tf.abs(difference @ blur), axis=1) + shift)
        if kind == "telescoping":
            # charges over the power of two below their sum, as the published training has them
            scale = 1.0 + sums[:, :1]
            return telescoping(shares * scale, decoded * scale)
        if decoder == "mlp":
            return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(shares, outputs))
        return -tf.reduce_mean(tf.reduce_sum(shares * tf.math.log(decoded + 1e-7), axis=1))

    def make_step(kind: str) -> Any:
        @tf.function(autograph=False)
        def step(pixels: Any, sums: Any, shares: Any) -> Any:
            with tf.GradientTape() as tape:
                value = loss_of(kind, network.outputs(network.latents(pixels), sums), shares, sums)
            gradients = tape.gradient(value, variables)
            gradients, _ = tf.clip_by_global_norm(gradients, 5.0 if kind == "cross-entropy" else 1.0)
            optimiser.apply_gradients(zip(gradients, variables, strict=True))
            network.clip()
            return value

        return step

    @tf.function(autograph=False)
    def decode(pixels: Any, sums: Any) -> Any:
        return network.shares(network.outputs(network.latents(pixels), sums))

    steps_of = {kind: make_step(kind) for kind in ("cross-entropy", "multiscale", loss)}
    held_pixels, held_sums, held_shares = data.validation(3000)
    begin = time.monotonic()
    records: list[tuple[float, float, float, float]] = []
    recent: list[float] = []
    done = 0.0
    reports = 0
    for number, (pixels, sums, shares) in enumerate(data.batches(batch, steps), 1):
        kind = loss
        if loss == "emd" and done < phases[1]:
            kind = "cross-entropy" if done < phases[0] else "multiscale"
        rate.assign(learning_rate * min(1.0, number / 100) * 0.5 * (1.0 + math.cos(math.pi * done)))
        recent.append(float(steps_of[kind](pixels, sums, shares)))
        elapsed = time.monotonic() - begin
        done = max(number / steps, elapsed / max_seconds if max_seconds else 0.0)
        last = done >= 1.0 or number == steps
        if done * 10 >= reports + 1 or last:
            reports = int(done * 10)
            emd = earth_movers_distance(held_shares, decode(held_pixels, held_sums).numpy())
            records.append((number, elapsed, float(np.mean(recent)), float(np.median(emd))))
            if progress is not None:
                bins = summarise(emd, occupancy(held_shares), BINS)
                text = " ".join(f"{b.median:.3f}" for b in bins)
                progress(f"step {number} {elapsed:.0f} s {kind} {records[-1][2]:.4f} median EMD by occupancy {text}")
            recent = []
        if last:
            break
    step_, seconds, losses, validation = (tuple(column) for column in zip(*records, strict=True))
    history = History(step=step_, seconds=seconds, loss=losses, validation=validation)
    model = network.model(elinks)
    verify_latents(model, network.latents, charges[:2000])
    return model, history


def verify_latents(model: TrainedModel, latents: Callable[[Any], Any], charges: Int64) -> None:
    """Prove that the training's forward pass is the chip's arithmetic.

    Parameters
    ----------
    model : TrainedModel
    latents : callable
        Training-time latent codes of pixel codes.
    charges : ndarray of int64, shape (n, 48)

    Raises
    ------
    RuntimeError
        If a latent differs from the golden model's.
    """
    inputs = np.ascontiguousarray(charges[:, model.multiplexer])
    expected = truncate_latents(
        Encoder(model.spec, model.weights, engine=Engine.NUMPY).latents(inputs),
        model.kept_bits,
        model.spec.latent.width,
    )
    _, pixels = normalise(inputs, model.spec.pixel)
    found = np.rint(np.asarray(latents(pixels.astype(np.float32)))).astype(np.int64)
    wrong = np.argwhere(found != expected)
    if wrong.size:
        row, latent = wrong[0]
        raise RuntimeError(
            f"training and golden model differ in {len(wrong)} latents, first at image {row}, latent {latent}: "
            f"{found[row, latent]} and {expected[row, latent]}"
        )


def evaluate(
    model: TrainedModel, charges: Int64, bins: tuple[tuple[int, int], ...] = BINS
) -> tuple[tuple[BinSummary, ...], Float64]:
    """EMD of a model in exact chip arithmetic, by occupancy.

    Parameters
    ----------
    model : TrainedModel
    charges : ndarray of int64, shape (n, 48)
        Calibrated charges in trigger cell order.
    bins : tuple of (int, int), optional

    Returns
    -------
    tuple of BinSummary
    ndarray of float64, shape (n,)
        EMD of every image, NaN for empty ones.
    """
    emd = earth_movers_distance(charges, model.reconstruct(charges))
    return summarise(emd, occupancy(charges), bins), emd


def model_card(
    model: TrainedModel,
    *,
    command: str,
    seed: int,
    origin: dict[str, int],
    history: History,
    evaluations: dict[str, tuple[BinSummary, ...]],
) -> str:
    """The text that is shipped beside a model.

    Parameters
    ----------
    model : TrainedModel
    command : str
        Command that made it.
    seed : int
    origin : dict
        Training images by recipe.
    history : History
    evaluations : dict
        `evaluate`'s summary by name of the data.

    Returns
    -------
    str
        Markdown; the table has one row per data and occupancy bin.
    """
    spec = model.spec
    versions = {name: metadata.version(name) for name in ("numpy", "POT", "tensorflow-cpu") if _installed(name)}
    units = [model.decoder.arrays[f"bias{i}"].size for i in range(model.decoder.layers)]
    decoder = f"mlp, units {units} over latents and module sum" if model.decoder.kind == "mlp" else "as published"
    lines = [
        f"# {spec.name}, {model.elinks} eLinks",
        "",
        (
            f"Encoder weights for the preset `{spec.name}` ({spec.parameters} parameters, {spec.weight_bits} bits)"
            f" with the decoder trained beside them ({decoder})."
        ),
        f"The highest {model.kept_bits} of {spec.latent.width} bits of each latent are sent.",
        "",
        f"- SHA-256 of the weight image: `{hashlib.sha256(model.weights.to_image()).hexdigest()}`",
        f"- Command: `{command}`",
        f"- Seed {seed}, {history.step[-1]:.0f} steps, {history.seconds[-1]:.0f} s on the machine it was trained on",
        "- Tools: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        "- Training images (simulated by `sim.hgcal_encoder.showers`, Geant4 with synthetic low-energy tables): "
        + ", ".join(f"{name} {count}" for name, count in origin.items()),
        "- Verified after training: the latents of the training's forward pass equal those of the golden model.",
        "",
        (
            "Earth Mover's Distance in low-density cells by occupancy (trigger cells above zero), encoder in exact chip"
            " arithmetic. None of these rows were trained on."
        ),
        "",
        "| data | occupancy | images | median | error of median | mean |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {b.lowest}-{b.highest} | {b.count} | {b.median:.3f} | {b.median_error:.3f} | {b.mean:.3f} |"
        for name, summary in evaluations.items()
        for b in summary
        if b.count
    ]
    return "\n".join(lines) + "\n"


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def main(arguments: list[str] | None = None) -> int:
    """Simulate, train, save, and write the model card.

    ``python -m sim.hgcal_encoder.training --preset ECON_T --elinks 5 --out MODEL.npz --evaluate ttbar=FILE.csv``
    """
    parser = argparse.ArgumentParser(
        prog="python -m sim.hgcal_encoder.training", description="Train an encoder inside the chip's number format."
    )
    parser.add_argument("--preset", choices=sorted(PRESETS), default="ECON_T")
    parser.add_argument("--elinks", type=int, choices=range(1, ETX_WORDS + 1), default=5, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--units", type=int, nargs="+", default=[512, 512], help="hidden layers of the mlp decoder")
    parser.add_argument("--loss", choices=LOSSES, default="emd")
    parser.add_argument("--decoder", choices=DECODER_KINDS, default="mlp")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the simulated training set, 1: 2.7 million")
    parser.add_argument("--minutes", type=float, help="shorten the schedule to this time")
    parser.add_argument("--start", help="model file or shipped model to continue from")
    parser.add_argument("--freeze-encoder", action="store_true", help="train the decoder only")
    parser.add_argument("--out", type=Path, required=True, help="model to write; the card gets the suffix .md")
    parser.add_argument(
        "--evaluate", action="append", default=[], metavar="NAME=CALQ.csv", help="charges for the card's table"
    )
    words = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(words)
    tables = {}
    for item in options.evaluate:
        name, separator, path = item.partition("=")
        if not separator:
            parser.error(f"--evaluate: expected NAME=FILE, got {item!r}")
        tables[name] = read_charges(Path(path))
    if not options.out.parent.is_dir():
        parser.error(f"--out: no folder {options.out.parent}")

    def say(text: str) -> None:
        print(text, flush=True)

    charges, origin = simulate_training_charges(seed=options.seed, scale=options.scale, progress=say)
    model, history = train(
        charges,
        PRESETS[options.preset],
        elinks=options.elinks,
        steps=options.steps,
        seed=options.seed,
        batch=options.batch,
        units=tuple(options.units),
        loss=options.loss,
        decoder=options.decoder,
        learning_rate=options.learning_rate,
        start=TrainedModel.load(options.start) if options.start else None,
        freeze_encoder=options.freeze_encoder,
        max_seconds=options.minutes * 60 if options.minutes else None,
        progress=say,
    )
    # paths differ from machine to machine: the card names the files only
    command = shlex.join(["python", "-m", "sim.hgcal_encoder.training", *(_file_name(word) for word in words)])
    card = model_card(
        model,
        command=command,
        seed=options.seed,
        origin=origin,
        history=history,
        evaluations={
            name: evaluate(model, table, (*BINS, *(b for b in FINE_BINS if b not in BINS)))[0]
            for name, table in tables.items()
        },
    )
    model.save(options.out)
    with replacing(options.out.with_suffix(".md")) as file:
        file.write(card)
    say(card)
    return 0


def _file_name(word: str) -> str:
    name, separator, path = word.rpartition("=")
    return f"{name}{separator}{Path(path).name}" if "/" in path else word


if __name__ == "__main__":
    raise SystemExit(main())
