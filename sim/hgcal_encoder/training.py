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

import hashlib
import itertools
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

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
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights

__all__ = [
    "LOSSES",
    "History",
    "Recipe",
    "SimulatedImages",
    "TrainingPlan",
    "TrainingSet",
    "fingerprint",
    "multiscale_matrices",
    "physics_multiplexer",
    "recipes",
    "simulate_images",
    "train",
    "training_device",
    "validation_score",
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


@dataclass(frozen=True, kw_only=True)
class SimulatedImages:
    """Module images of all `recipes`.

    Attributes
    ----------
    charges : ndarray of int64, shape (n, 48)
        Trigger cell order; no empty image.
    etas : ndarray of float64, shape (n,)
        Pseudorapidity of the module.
    origin : dict
        Images by recipe.
    """

    charges: Int64
    etas: Float64
    origin: dict[str, int]


def simulate_images(
    *, seed: int, scale: float = 1.0, pedestal: float = 0.5, progress: Callable[[str], None] | None = None
) -> SimulatedImages:
    """Simulated module images from all `recipes`.

    Some of the images keep the pedestal that the chip's decoding gives to code 0; the others read 0 there, as public
    charge files do.

    Parameters
    ----------
    seed : int
    scale : float, optional
        On the number of crossings of every recipe; 1 gives about 2.7 million images.
    pedestal : float, optional
        Share of images with pedestal.
    progress : callable, optional
        Told a line of text per recipe.

    Returns
    -------
    SimulatedImages
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    if not 0.0 <= pedestal <= 1.0:
        raise ValueError(f"pedestal must be a share between 0 and 1, got {pedestal}")
    detector = Detector()
    parts: list[tuple[NDArray[np.int32], Float64]] = []
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
            bare = rng.random(len(rows)) >= pedestal
            charges = np.where(bare[:, None] & (images.codes[rows] == 0), 0, charges)
            kept = charges.any(axis=1)
            parts.append((charges[kept].astype(np.int32), images.eta[rows][kept]))
            count += int(kept.sum())
        origin[recipe.name] = count
        if progress is not None:
            progress(f"{recipe.name}: {count} images")
    return SimulatedImages(
        charges=np.concatenate([charges for charges, _ in parts]).astype(np.int64),
        etas=np.concatenate([etas for _, etas in parts]),
        origin=origin,
    )


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
        self._seed = seed
        charges = charges[np.random.default_rng(seed).permutation(len(charges))]
        sums, pixels = normalise(charges[:, physics_multiplexer(spec)], spec.pixel)
        if (sums == 0).any():
            raise ValueError(f"charges[{int(np.argmin(sums))}]: an empty image has no shares")
        self._pixels = pixels.astype(np.uint16)
        self._codes = sum_code(sums).astype(np.uint16)
        self._shares = (charges / sums[:, None]).astype(np.float32)
        # a pedestal of single counts is no hit: the class is what stands out above it
        hits = (charges > charges.min(axis=1, keepdims=True)).sum(axis=1)
        split = round(len(charges) * (1.0 - validation))
        if not 0 < split < len(charges):
            raise ValueError(f"{len(charges)} images are too few to set a share of {validation} aside for validation")
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

    def batches(self, size: int, steps: int, first: int = 1) -> Iterator[tuple[Float32, Float32, Float32]]:
        """Random batches in the occupancy mix of `BATCH_MIX`.

        A batch depends on seed and step alone, so that a resumed training sees what an uninterrupted one sees.

        Parameters
        ----------
        size : int
            Images of a batch.
        steps : int
            Number of the last step.
        first : int, optional
            Number of the first step.

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
        for step in range(first, steps + 1):
            rng = np.random.default_rng([self._seed, step])
            counts = [round(size * share / total) for _, share in self._classes]
            counts[-1] = size - sum(counts[:-1])
            rows = np.concatenate(
                [
                    pool[rng.integers(0, len(pool), count)]
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
        tf = _tensorflow()
        self.tf, self.spec, self.kept_bits, self.decoder = tf, spec, kept_bits, decoder
        for rounding in (spec.conv_product_rounding, spec.dense_product_rounding):
            if rounding is Rounding.RND_CONV:
                raise ValueError("training supports the product roundings TRN and RND, got RND_CONV")
        if (spec.conv_sum_width, spec.dense_sum_width) != (None, None):
            raise ValueError("training supports exact sums: conv_sum_width and dense_sum_width must be None")
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
        # images innermost, which is how the products are fastest; the scale is a power of two: exact on the weights
        columns = tf.transpose(tf.reshape(tf.stop_gradient(inputs), [-1, inputs.shape[-1]]))
        products = columns[:, None, :] * (tf.stop_gradient(weight) * scale)[:, :, None]
        if rounding is Rounding.RND:
            products += 0.5
        exact = tf.reshape(tf.transpose(tf.reduce_sum(tf.floor(products), axis=0)), tf.shape(linear))
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
    """Course of a training, at every validation.

    Attributes
    ----------
    step : tuple of float
        Steps done.
    seconds : tuple of float
        Time since the start, interruptions not counted.
    loss : tuple of float
        Mean loss since the last validation.
    validation : tuple of float
        `validation_score` of the images set aside.
    best : int
        Step whose weights were kept.
    stopped : bool
        Whether training ended early because the validation score no longer fell.
    """

    step: tuple[float, ...]
    seconds: tuple[float, ...]
    loss: tuple[float, ...]
    validation: tuple[float, ...]
    best: int
    stopped: bool


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """How a network is trained: all that decides the result, beside the images and the model it starts from.

    Attributes
    ----------
    spec : EncoderSpec
    elinks : int
        Output links; decides the bits kept of each latent (`settings.bits_per_latent`).
    steps : int
        Optimiser steps at most (Adam, cosine decay to zero).
    seed : int
        Of initial values, split and batches.
    loss : {"emd", "telescoping"}
    decoder : {"mlp", "published"}
    units : tuple of int
        Hidden layers of the ``mlp`` decoder.
    batch : int
        Images of a step.
    learning_rate : float
    phases : tuple of float
        Shares of the training at which loss ``emd`` goes from cross-entropy to multiscale and to the exact distance.
    freeze_encoder : bool
        Train the decoder only: the chip's weights stay what they are.
    max_seconds : float or None
        The decay is shortened so that training ends in about this time; the result then depends on the machine.
    validations : int
        Number of validations, evenly spread.
    patience : int or None
        Training stops after this many validations in a row that do not lower the score by 0.1 %; None: never.

    Raises
    ------
    ValueError
        If a value is out of range; the message names it.
    """

    spec: EncoderSpec
    elinks: int
    steps: int
    seed: int
    loss: str = "emd"
    decoder: str = "mlp"
    units: tuple[int, ...] = (512, 512)
    batch: int = 512
    learning_rate: float = 2e-3
    phases: tuple[float, float] = (0.1, 0.85)
    freeze_encoder: bool = False
    max_seconds: float | None = None
    validations: int = 40
    patience: int | None = 8

    def __post_init__(self) -> None:
        if self.kept_bits < 1:
            raise ValueError(f"elinks: {self.elinks} links cannot carry a bit of each of {self.spec.latents} latents")
        if self.loss not in LOSSES:
            raise ValueError(f"loss: expected one of {', '.join(LOSSES)}, got {self.loss!r}")
        if self.decoder not in DECODER_KINDS:
            raise ValueError(f"decoder: expected one of {', '.join(DECODER_KINDS)}, got {self.decoder!r}")
        if self.decoder == "published" and self.spec.grid != (8, 8, 1):
            raise ValueError(f"the published decoder makes 8 x 8 images, {self.spec.name} has grid {self.spec.grid}")
        if self.seed < 0:
            raise ValueError(f"seed: expected at least 0, got {self.seed}")
        for name, lowest in (("steps", 1), ("batch", len(BATCH_MIX)), ("validations", 1)):
            if getattr(self, name) < lowest:
                raise ValueError(f"{name}: expected at least {lowest}, got {getattr(self, name)}")
        if any(unit < 1 for unit in self.units):
            raise ValueError(f"units: expected positive layer sizes, got {self.units}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience: expected at least 1, got {self.patience}")
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate: expected a positive value, got {self.learning_rate}")
        if self.max_seconds is not None and not self.max_seconds > 0.0:
            raise ValueError(f"max_seconds: expected a positive time, got {self.max_seconds}")
        if not 0.0 <= self.phases[0] <= self.phases[1] <= 1.0:
            raise ValueError(f"phases: expected 0 <= first <= second <= 1, got {self.phases}")

    @property
    def kept_bits(self) -> int:
        """Bits of each latent that are sent."""
        return bits_per_latent(self.spec, self.elinks)

    def kind(self, done: float) -> str:
        """Loss at the share `done` of the training."""
        if self.loss != "emd" or done >= self.phases[1]:
            return self.loss
        return "cross-entropy" if done < self.phases[0] else "multiscale"

    def rate(self, step: int, done: float) -> float:
        """Learning rate: a hundred steps of warm-up, then half a cosine."""
        return self.learning_rate * min(1.0, step / 100) * 0.5 * (1.0 + math.cos(math.pi * done))


def validation_score(shares: Float32, decoded: Float32) -> tuple[float, tuple[BinSummary, ...]]:
    """Mean over the occupancy bins `metric.BINS` of the mean EMD in each; also the bins themselves."""
    bins = summarise(earth_movers_distance(shares, decoded), occupancy(shares), BINS)
    return float(np.mean([b.mean for b in bins if b.count])), bins


def fingerprint(plan: TrainingPlan, charges: Int64, start: TrainedModel | Weights | None) -> dict[str, str]:
    """What a checkpoint must have in common with the training that resumes it, as text by name."""
    out = {field.name: str(getattr(plan, field.name)) for field in fields(plan) if field.name != "max_seconds"}
    out["spec"] = plan.spec.to_toml()
    out["images"] = hashlib.sha256(charges.tobytes()).hexdigest()
    weights = start.weights if isinstance(start, TrainedModel) else start
    out["start"] = hashlib.sha256(weights.to_image()).hexdigest() if weights is not None else "random"
    return out


def train(
    charges: Int64,
    plan: TrainingPlan,
    *,
    start: TrainedModel | Weights | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    tensorboard: Path | None = None,
    progress: Callable[[str], None] | None = None,
    advance: Callable[[int], None] | None = None,
) -> tuple[TrainedModel, History]:
    """Train encoder and decoder together; the weights with the best validation score are returned.

    Parameters
    ----------
    charges : ndarray of int64, shape (n, 48)
        Calibrated charges in trigger cell order, as from `simulate_images`.
    plan : TrainingPlan
    start : TrainedModel or Weights, optional
        What to continue from (fine-tuning).  Where the decoder is missing or of another shape, the encoder stays
        frozen for the first tenth of the training, while the new decoder learns to read it.
    checkpoint : Path, optional
        File that holds the state of the training; written at every validation and every 250 steps.
    resume : bool, optional
        Continue from `checkpoint`.  On the same machine an interrupted and resumed training ends as an uninterrupted
        one does, unless the plan sets ``max_seconds``.
    tensorboard : Path, optional
        Folder for TensorBoard's event files: loss, learning rate, validation score, EMD by occupancy.
    progress : callable, optional
        Told a line of text at every validation.
    advance : callable, optional
        Told the number of steps done since its last call.

    Returns
    -------
    TrainedModel, History

    Raises
    ------
    ValueError
        If an argument is out of range, the start has another spec, or the checkpoint is of another training.
    FileNotFoundError
        If there is no checkpoint to resume from.
    ModuleNotFoundError
        If TensorFlow is not installed (install the extra ``train``).
    """
    if start is not None and start.spec != plan.spec:
        raise ValueError(f"start: expected weights of {plan.spec.name}, got weights of {start.spec.name}")
    if resume and checkpoint is None:
        raise ValueError("resume: expected the checkpoint to resume from")
    _tensorflow()
    run = _Run(charges, plan, start)
    if resume and checkpoint is not None:
        run.restore(checkpoint)
        if advance is not None:
            advance(run.number)
    begin = time.monotonic() - run.elapsed
    with _event_writer(tensorboard) as write:
        for pixels, sums, shares in run.data.batches(plan.batch, plan.steps, run.number + 1) if not run.ended else ():
            run.step(pixels, sums, shares, write)
            run.elapsed = time.monotonic() - begin
            run.done = max(run.number / plan.steps, run.elapsed / plan.max_seconds if plan.max_seconds else 0.0)
            due = run.done * plan.validations >= len(run.records) + 1 or run.done >= 1.0
            if due:
                line = run.validate(write)
                if progress is not None:
                    progress(line)
            if checkpoint is not None and (due or run.number % 250 == 0):
                run.save(checkpoint)
            if advance is not None:
                advance(1)
            if run.ended:
                break
    return run.result(charges)


def _tensorflow() -> Any:
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


def training_device() -> str:
    """What TensorFlow computes on: the GPU if it sees one."""
    found = _tensorflow().config.list_physical_devices("GPU")
    return f"GPU ({len(found)})" if found else "CPU"


@contextmanager
def _event_writer(folder: Path | None) -> Iterator[Callable[[str, float, int], None]]:
    """A function that writes a named value at a step for TensorBoard, or does nothing."""
    if folder is None:
        yield lambda *_: None
        return
    summary = _tensorflow().summary
    writer = summary.create_file_writer(str(folder))

    def write(name: str, value: float, step: int) -> None:
        with writer.as_default():
            summary.scalar(name, value, step=step)

    try:
        yield write
    finally:
        writer.close()


class _Run:
    """State of a training: variables, moments of Adam, position in the schedule, best weights so far."""

    #: Decay of Adam's moments, and what keeps its quotient finite.
    BETAS = (0.9, 0.99)
    EPSILON = 1e-7

    def __init__(self, charges: Int64, plan: TrainingPlan, start: TrainedModel | Weights | None) -> None:
        self.tf, self.plan = _tensorflow(), plan
        tf = self.tf
        self.network = _Network(
            plan.spec, kept_bits=plan.kept_bits, decoder=plan.decoder, units=plan.units, seed=plan.seed
        )
        self.thaw = 0.0
        if start is not None and not self.network.load(start):
            self.thaw = 0.1
        self.fingerprint = fingerprint(plan, charges, start)
        self.data = TrainingSet(charges, plan.spec, seed=plan.seed)
        self.held = self.data.validation(3000)
        self.variables = self.network.encoder_variables | {
            f"decoder_{name}": value for name, value in self.network.decoder_variables.items()
        }
        self.moments = {
            f"{order}_{name}": tf.Variable(tf.zeros_like(value))
            for order in ("first", "second")
            for name, value in self.variables.items()
        }
        self.best = {name: value.numpy() for name, value in self.variables.items()}
        self.best_score, self.best_step, self.stale = math.inf, 0, 0
        self.number, self.elapsed, self.done = 0, 0.0, 0.0
        self.stopped = False
        self.records: list[tuple[float, float, float, float]] = []
        self.recent: list[float] = []
        self._losses = _Losses(self.network)
        self._compiled: dict[tuple[str, bool], Any] = {}
        self._decode = tf.function(
            lambda pixels, sums: self.network.shares(self.network.outputs(self.network.latents(pixels), sums)),
            autograph=False,
        )

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""
        return self.stopped or self.done >= 1.0

    def step(self, pixels: Float32, sums: Float32, shares: Float32, write: Callable[[str, float, int], None]) -> None:
        """One step of the optimiser."""
        self.number += 1
        rate = self.plan.rate(self.number, self.done)
        frozen = self.plan.freeze_encoder or self.done < self.thaw
        update = self._update(self.plan.kind(self.done), frozen)
        loss = float(update(pixels, sums, shares, np.float32(rate), np.float32(self.number)))
        if not math.isfinite(loss):
            raise RuntimeError(f"the loss is no longer finite at step {self.number}: lower the learning rate")
        self.recent.append(loss)
        if self.number % 50 == 0:
            write("loss", loss, self.number)
            write("learning rate", rate, self.number)

    def _update(self, kind: str, frozen: bool) -> Any:
        """The compiled step for a loss, with the encoder frozen or not."""
        if (kind, frozen) in self._compiled:
            return self._compiled[kind, frozen]
        tf, network = self.tf, self.network
        names = [name for name in self.variables if not frozen or name not in network.encoder_variables]
        limit = 5.0 if kind == "cross-entropy" else 1.0

        @tf.function(autograph=False)
        def update(pixels: Any, sums: Any, shares: Any, rate: Any, number: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = self._losses(kind, network.outputs(network.latents(pixels), sums), shares, sums)
            gradients = tape.gradient(loss, [self.variables[name] for name in names])
            gradients, _ = tf.clip_by_global_norm(gradients, limit)
            first, second = self.BETAS
            for name, gradient in zip(names, gradients, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    var=self.variables[name].handle,
                    m=self.moments[f"first_{name}"].handle,
                    v=self.moments[f"second_{name}"].handle,
                    beta1_power=first**number,
                    beta2_power=second**number,
                    lr=rate,
                    beta1=first,
                    beta2=second,
                    epsilon=self.EPSILON,
                    grad=gradient,
                )
            network.clip()
            return loss

        self._compiled[kind, frozen] = update
        return update

    def validate(self, write: Callable[[str, float, int], None]) -> str:
        """Score the images set aside, remember the best weights, decide whether to go on."""
        pixels, sums, shares = self.held
        score, bins = validation_score(shares, self._decode(pixels, sums).numpy())
        loss = float(np.mean(self.recent))
        self.recent = []
        self.records.append((self.number, self.elapsed, loss, score))
        self.stale = 0 if score < 0.999 * self.best_score else self.stale + 1
        if score < self.best_score:
            self.best_score, self.best_step = score, self.number
            self.best = {name: value.numpy() for name, value in self.variables.items()}
        self.stopped = self.plan.patience is not None and self.stale >= self.plan.patience
        write("validation score", score, self.number)
        for b in bins:
            write(f"median EMD, occupancy {b.lowest}-{b.highest}", b.median, self.number)
        medians = " ".join(f"{b.median:.3f}" for b in bins)
        kind = self.plan.kind(self.done)
        return f"step {self.number} {self.elapsed:.0f} s {kind} {loss:.4f} score {score:.4f} median EMD {medians}"

    def save(self, path: Path) -> None:
        """Write the state so that `restore` continues bit for bit."""
        arrays = {f"variable_{name}": value.numpy() for name, value in self.variables.items()}
        arrays |= {name: value.numpy() for name, value in self.moments.items()}
        arrays |= {f"best_{name}": value for name, value in self.best.items()}
        arrays["records"] = np.array(self.records, dtype=np.float64).reshape(-1, 4)
        arrays["recent"] = np.array(self.recent, dtype=np.float64)
        state = {name: getattr(self, name) for name in self._SCALARS}
        arrays["state"] = np.array(json.dumps({"fingerprint": self.fingerprint, **state}))
        with replacing(path, "wb") as file:
            np.savez(file, **arrays)

    _SCALARS = ("best_score", "best_step", "stale", "number", "elapsed", "done", "stopped")

    def restore(self, path: Path) -> None:
        """Take over the state of `save`.

        Raises
        ------
        FileNotFoundError, ValueError
        """
        if not path.is_file():
            raise FileNotFoundError(f"no checkpoint to resume from at {path}")
        try:
            with np.load(path, allow_pickle=False) as raw:
                arrays = {name: raw[name] for name in raw.files}
            state = json.loads(str(arrays["state"]))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise ValueError(f"{path}: not a checkpoint of a training ({error})") from None
        then, now = state["fingerprint"], self.fingerprint
        if changed := [name for name in now if then.get(name) != now[name]]:
            details = ", ".join(f"{name} was {_short(then.get(name))} and is {_short(now[name])}" for name in changed)
            raise ValueError(f"{path}: checkpoint of another training: {details}")
        for name, value in self.variables.items():
            value.assign(arrays[f"variable_{name}"])
        for name, value in self.moments.items():
            value.assign(arrays[name])
        self.best = {name: arrays[f"best_{name}"] for name in self.best}
        self.records = [(float(a), float(b), float(c), float(d)) for a, b, c, d in arrays["records"]]
        self.recent = arrays["recent"].tolist()
        for name in self._SCALARS:
            setattr(self, name, state[name])

    def result(self, charges: Int64) -> tuple[TrainedModel, History]:
        """The best weights as a model, verified against the golden model on the first images."""
        for name, value in self.variables.items():
            value.assign(self.best[name])
        model = self.network.model(self.plan.elinks)
        verify_latents(model, self.network.latents, charges[:2000])
        step, seconds, loss, validation = (tuple(column) for column in zip(*self.records, strict=True))
        history = History(
            step=step,
            seconds=seconds,
            loss=loss,
            validation=validation,
            best=self.best_step,
            stopped=self.stopped,
        )
        return model, history


def _short(text: str | None) -> str:
    return "absent" if text is None else text if len(text) <= 24 else f"{text[:12]}..."


class _Losses:
    """The losses of the module's text, by kind, as TensorFlow scalars."""

    def __init__(self, network: _Network) -> None:
        self.tf, self.network = network.tf, network
        constant = self.tf.constant
        self._blur, self._positions = (constant(m, self.tf.float32) for m in multiscale_matrices())
        self._windows, self._weights, self._blocks = (constant(m, self.tf.float32) for m in telescoping_matrices())

    def __call__(self, kind: str, outputs: Any, shares: Any, sums: Any) -> Any:
        tf = self.tf
        decoded = self.network.shares(outputs)
        if kind == "emd":
            emd, potential = tf.numpy_function(self._potentials, [shares, decoded], [tf.float32, tf.float32])
            surrogate = tf.reduce_sum(tf.stop_gradient(tf.reshape(potential, tf.shape(shares))) * decoded, axis=1)
            return tf.reduce_mean(surrogate + tf.stop_gradient(tf.reshape(emd, [-1]) - surrogate))
        if kind == "multiscale":
            difference = decoded - shares
            shift = tf.sqrt(tf.reduce_sum((difference @ self._positions) ** 2, axis=1) + 1e-6)
            return tf.reduce_mean(tf.reduce_sum(tf.abs(difference @ self._blur), axis=1) + shift)
        if kind == "telescoping":
            # charges over the power of two below their sum, as the published training has them
            scale = 1.0 + sums[:, :1]
            return self._telescoping(shares * scale, decoded * scale)
        if self.network.decoder == "mlp":
            return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(shares, outputs))
        return -tf.reduce_mean(tf.reduce_sum(shares * tf.math.log(decoded + 1e-7), axis=1))

    def _telescoping(self, truth: Any, decoded: Any) -> Any:
        tf = self.tf
        out = 0.0
        for factor, weight, matrix in (
            (4.0, 1.0, None), (2.0, self._weights, self._windows), (1.0, 1.0, self._blocks)
        ):  # fmt: skip
            x, y = (truth, decoded) if matrix is None else (truth @ matrix, decoded @ matrix)
            out += factor * tf.reduce_mean(weight * (x - y) ** 2 * tf.maximum(x, y), axis=1)
        return tf.reduce_mean(out)

    @staticmethod
    def _potentials(truth: Float32, decoded: Float32) -> tuple[Float32, Float32]:
        emd, potential = earth_movers_potentials(truth, decoded)
        return emd.astype(np.float32), (potential - potential.mean(axis=1, keepdims=True)).astype(np.float32)


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
