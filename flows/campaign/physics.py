"""What an upset of a stored bit does to physics: Earth Mover's Distance and energy, in exact chip arithmetic.

A flip in one weight changes little, so little is computed again: a dense weight changes one latent by the difference of
two rounded products, a kernel weight one filter map. Every flip of a sample is found that way from the sums of the
golden model's layers, with its rounding and overflow rules; images whose sent bits stay the same need no decoder, and
equal changes of an image are decoded once. What the decoder makes of the rest is compared with the true image.

Three figures per bit, means over the images of a sample: the change of the EMD (`Sensitivity.emd_change`, and without
its sign, `emd_shift`), the change of the decoded module sum, and the part of the energy that is decoded into another
trigger cell than without the flip. A weight cannot change the module sum, which every frame carries beside the latents;
settings can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.files import replacing
from sim.fixed_point import IntArray, round_shift, wrap
from sim.foreign_files import read_npz
from sim.hgcal_encoder.detector.generator import Generator, ModuleImages
from sim.hgcal_encoder.detector.particles import BunchCrossings, PileUp, TopPairs
from sim.hgcal_encoder.learning.decoder import TrainedModel, truncate_latents
from sim.hgcal_encoder.learning.metric import earth_movers_distance
from sim.hgcal_encoder.normalise import normalise, sum_code
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.messages import shown

__all__ = ["Sample", "Sensitivity", "flipped_latents", "physics_sample", "weight_place", "weight_sensitivity"]

Float64 = npt.NDArray[np.float64]

PILE_UP = 200.0
MODULES_PER_CROSSING = 8
_ROWS = 32768
"""Images decoded at once; bounds the memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Module images that sensitivities are averaged over.

    Attributes
    ----------
    images : ModuleImages
        Each with a hit.
    source : str
        What it is, in one line.
    """

    images: ModuleImages
    source: str

    @property
    def charges(self) -> IntArray:
        """Calibrated charges as the chip sees them, trigger cell order, (n, 48)."""
        return self.images.charges

    @property
    def truth(self) -> Float64:
        """Charges before encoding, (n, 48)."""
        return self.images.unencoded.astype(np.float64)

    @property
    def pedestals(self) -> IntArray:
        """What `charges` have in cells without charge, (n, 48)."""
        return self.images.pedestals.astype(np.int64)


def physics_sample(modules: int = 512, seed: int = 20261) -> Sample:
    """Modules of ttbar events at pile-up 200, drawn at random over the endcap among those with a hit.

    Parameters
    ----------
    modules : int
        At most eight are taken of each crossing.
    seed : int
        Of particles, digitisation and choice.
    """
    if modules < 1:
        raise ValueError(f"modules: expected at least 1, got {modules}")
    generator = Generator(source=BunchCrossings(sources=(TopPairs(), PileUp(mean=PILE_UP))), seed=seed)
    rng = np.random.default_rng(seed)
    parts, missing = [], modules
    while missing:
        crossing = generator.crossing()
        hit = np.flatnonzero((crossing.codes > 0).any(axis=1))
        parts.append(crossing[rng.choice(hit, min(missing, MODULES_PER_CROSSING), replace=False)])
        missing -= len(parts[-1])
    images = ModuleImages.join(parts)
    return Sample(
        images=images,
        source=f"{modules} modules with a hit, over the endcap, ttbar events at pile-up {PILE_UP:g}, seed {seed}",
    )


# ------------------------------------------------------------------------------------------------- flips of weights
def weight_place(spec: EncoderSpec, bit: int) -> tuple[str, tuple[int, ...], int]:
    """Array, index and bit of a weight that a bit of the image belongs to.

    Parameters
    ----------
    spec : EncoderSpec
    bit : int
        Place in the weight image, least significant bit first.

    Returns
    -------
    name : str
        ``kernel`` (tap, filter), ``kernel_bias`` (filter), ``dense`` (activation, latent) or ``dense_bias`` (latent).
    index : tuple of int
    place : int
        0: least significant; the highest is the sign.

    Raises
    ------
    ValueError
        If the image has no such bit.
    """
    if not 0 <= bit < spec.weight_bits:
        raise ValueError(f"weight bit: {spec.name} has 0 to {spec.weight_bits - 1}, got {bit}")
    number, place = divmod(bit, spec.weight.width)
    taps, filters, inputs = spec.kernel_taps, spec.filters, spec.activations
    if number < taps * filters:
        return "kernel", divmod(number, filters), place
    number -= taps * filters
    if number < filters:
        return "kernel_bias", (number,), place
    number -= filters
    if number < inputs * spec.latents:
        latent, activation = divmod(number, inputs)
        return "dense", (activation, latent), place
    return "dense_bias", (number - inputs * spec.latents,), place


class _Layers:
    """The network on a sample with the sums before ReLU, from which single flips are computed."""

    def __init__(self, weights: Weights, inputs: IntArray) -> None:
        spec = self.spec = weights.spec
        self.weights = weights
        self.kernel = weights.kernel.reshape(spec.kernel_taps, spec.filters)
        _, pixels = normalise(inputs, spec.pixel)
        index = np.full((spec.positions, spec.kernel_taps), inputs.shape[1])
        for position, taps in enumerate(spec.taps):
            for cell, tap in taps:
                index[position, tap] = cell
        # (n, positions, taps); what a tap sees outside the module is 0
        self.patches = np.pad(pixels, ((0, 0), (0, 1)))[:, index]
        self.conv_sums = np.zeros((len(inputs), spec.positions, spec.filters), np.int64)
        self.conv_sums += self.conv_bias(weights.kernel_bias)
        for tap in range(spec.kernel_taps):
            self.conv_sums += self.conv_product(self.patches[:, :, tap, None], self.kernel[tap])
        self.activations = self.activate(self.conv_sums)
        self.dense_sums = np.zeros((len(inputs), spec.latents), np.int64) + self.dense_bias(weights.dense_bias)
        flat = self.activations.reshape(len(inputs), -1)
        for i in range(spec.activations):
            self.dense_sums += self.dense_product(flat[:, i, None], weights.dense[i])
        self.latents = self.finish(self.dense_sums)

    def conv_product(self, pixels: IntArray, weight: npt.ArrayLike) -> IntArray:
        spec = self.spec
        drop = spec.pixel.fraction + spec.weight.fraction - spec.conv_product_fraction
        return round_shift(pixels * np.asarray(weight), drop, spec.conv_product_rounding)

    def conv_bias(self, bias: npt.ArrayLike) -> IntArray:
        return np.asarray(bias, np.int64) << (self.spec.conv_product_fraction - self.spec.weight.fraction)

    def activate(self, sums: IntArray) -> IntArray:
        sums = wrap(sums, self.spec.conv_sum_width)
        return self.spec.activation.requantise(np.maximum(sums, 0), self.spec.conv_product_fraction)

    def dense_product(self, activations: IntArray, weight: npt.ArrayLike) -> IntArray:
        spec = self.spec
        drop = spec.activation.fraction + spec.weight.fraction - spec.dense_product_fraction
        return round_shift(activations * np.asarray(weight), drop, spec.dense_product_rounding)

    def dense_bias(self, bias: npt.ArrayLike) -> IntArray:
        return np.asarray(bias, np.int64) << (self.spec.dense_product_fraction - self.spec.weight.fraction)

    def finish(self, sums: IntArray) -> IntArray:
        sums = wrap(sums, self.spec.dense_sum_width)
        return self.spec.latent.requantise(np.maximum(sums, 0), self.spec.dense_product_fraction)

    def flipped(self, code: int, place: int) -> int:
        """A weight with one bit inverted."""
        return int(self.spec.weight.fit(code ^ (1 << place)))

    def flip(self, bit: int) -> IntArray:
        """Latents, shape (n, latents), with one bit of the weight image inverted."""
        name, index, place = weight_place(self.spec, bit)
        if name in ("dense", "dense_bias"):
            out = self.latents.copy()
            out[:, index[-1]] = self.flip_latent(name, index, place)
            return out
        if name == "kernel":
            tap, filter_ = index
            old = int(self.kernel[tap, filter_])
            seen = self.patches[:, :, tap]
            change = self.conv_product(seen, self.flipped(old, place)) - self.conv_product(seen, old)
        else:
            (filter_,) = index
            old = int(self.weights.kernel_bias[filter_])
            change = self.conv_bias(self.flipped(old, place)) - self.conv_bias(old)
        before = self.activations[:, :, filter_]
        after = self.activate(self.conv_sums[:, :, filter_] + change)
        sums = self.dense_sums.copy()
        # positions where no image changes need no product
        for position in np.flatnonzero((after != before).any(axis=0)):
            row = self.weights.dense[position * self.spec.filters + filter_]
            sums += self.dense_product(after[:, position, None], row)
            sums -= self.dense_product(before[:, position, None], row)
        return self.finish(sums)

    def flip_latent(self, name: str, index: tuple[int, ...], place: int) -> IntArray:
        """The one latent, shape (n,), that a flip in the dense layer changes."""
        if name == "dense":
            old = int(self.weights.dense[index])
            seen = self.activations.reshape(len(self.latents), -1)[:, index[0]]
            change = self.dense_product(seen, self.flipped(old, place)) - self.dense_product(seen, old)
        else:
            old = int(self.weights.dense_bias[index])
            change = self.dense_bias(self.flipped(old, place)) - self.dense_bias(old)
        return self.finish(self.dense_sums[:, index[-1]] + change)


def flipped_latents(weights: Weights, inputs: IntArray, bit: int) -> IntArray:
    """Latent codes with one bit of the weight image inverted, by difference from those without.

    Parameters
    ----------
    weights : Weights
    inputs : ndarray of int64, shape (n, 48)
        Calibrated charges on the inputs of the network.
    bit : int
        Place in the weight image.

    Returns
    -------
    ndarray of int64, shape (n, latents)
    """
    return _Layers(weights, inputs).flip(bit)


# ------------------------------------------------------------------------------------------------------ sensitivity
@dataclass(frozen=True, kw_only=True, eq=False)
class Sensitivity:
    """What each bit does to a sample; arrays have one entry per bit of the weight image.

    Attributes
    ----------
    spec : EncoderSpec
    elinks : int
    source : str
        The sample.
    emd : ndarray of float64, shape (images,)
        EMD to the true image without upset, in low-density cells.
    emd_change : ndarray of float64, shape (bits,)
        Mean over images of the EMD with the bit flipped minus that without.
    emd_shift : ndarray of float64, shape (bits,)
        The same of the absolute difference: what a flip changes, for better or worse.
    median_change : ndarray of float64, shape (bits,)
        Median EMD with the bit flipped minus median EMD without.
    changed : ndarray of float64, shape (bits,)
        Part of the images whose frame changes.
    displaced : ndarray of float64, shape (bits,)
        Mean part of the decoded energy that lies in another trigger cell than without the flip.
    energy_change : ndarray of float64, shape (bits,)
        Mean relative change of the decoded module sum, without its sign.
    """

    spec: EncoderSpec
    elinks: int
    source: str
    emd: Float64
    emd_change: Float64
    emd_shift: Float64
    median_change: Float64
    changed: Float64
    displaced: Float64
    energy_change: Float64

    def save(self, path: Path) -> None:
        """Write as ``.npz``."""
        arrays = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "spec"}
        with replacing(path, "wb") as file:
            np.savez_compressed(file, spec=np.array(self.spec.to_toml()), **arrays)

    @classmethod
    def load(cls, path: Path) -> Sensitivity:
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is something else.
        """
        try:
            fields: dict[str, Any] = dict(read_npz(path))
        except FileNotFoundError:
            raise FileNotFoundError(f"no sensitivities at {path}") from None
        if fields.keys() != set(cls.__dataclass_fields__):
            got = shown(", ".join(fields), quoted=False)
            raise ValueError(f"{path}: expected arrays {', '.join(cls.__dataclass_fields__)}, got {got}")
        for name, kind in {"spec": "U", "elinks": "iu", "source": "U"}.items():
            if fields[name].dtype.kind not in kind or fields[name].ndim:
                raise ValueError(f"{path}: {name}: got an array {fields[name].shape} of {fields[name].dtype}")
        try:
            spec = EncoderSpec.from_toml(str(fields["spec"]))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        fields |= {"spec": spec, "elinks": int(fields["elinks"]), "source": str(fields["source"])}
        return cls(**fields)


class _Decoding:
    """Decoded images of changed latents, against the images without change."""

    def __init__(self, model: TrainedModel, sample: Sample) -> None:
        self.model, self.truth, self.pedestals = model, sample.truth, sample.pedestals
        self.codes = sum_code(sample.charges.sum(axis=1))
        self.layers = _Layers(model.weights, np.ascontiguousarray(sample.charges[:, model.multiplexer]))
        self.sent = self.send(self.layers.latents)
        self.decoded = model.decoder.charges(self.sent, self.codes, self.pedestals)
        self.emd = earth_movers_distance(self.truth, self.decoded)

    @cached_property
    def energy(self) -> Float64:
        total: Float64 = self.decoded.sum(axis=1)
        return total

    def send(self, latents: IntArray) -> IntArray:
        return truncate_latents(latents, self.model.kept_bits, self.model.spec.latent.width)

    def judge(self, images: IntArray, sent: IntArray) -> Float64:
        """EMD to the true image, displaced part, relative change of the sum: shape (rows, 3).

        Parameters
        ----------
        images : ndarray of int64, shape (rows,)
            Image of each row.
        sent : ndarray of int64, shape (rows, latents)
        """
        out = np.empty((len(images), 3))
        for start in range(0, len(images), _ROWS):
            rows = slice(start, start + _ROWS)
            image = images[rows]
            decoded = self.model.decoder.charges(sent[rows], self.codes[image], self.pedestals[image])
            out[rows, 0] = earth_movers_distance(self.truth[image], decoded)
            out[rows, 1] = np.abs(decoded - self.decoded[image]).sum(axis=1) / (2 * self.energy[image])
            out[rows, 2] = np.abs(decoded.sum(axis=1) / self.energy[image] - 1)
        return out


def weight_sensitivity(
    model: TrainedModel, sample: Sample, *, advance: Callable[[int], None] | None = None
) -> Sensitivity:
    """Sensitivity of every bit of the weight image.

    Parameters
    ----------
    model : TrainedModel
        Weights, the decoder trained with them, and how many bits of a latent are sent.
    sample : Sample
    advance : callable, optional
        Called with the number of bits that are done.
    """
    spec, decoding = model.spec, _Decoding(model, sample)
    layers, count = decoding.layers, len(sample.charges)
    quiet = np.stack([decoding.emd, np.zeros(count), np.zeros(count)], axis=1)
    figures = np.zeros((6, spec.weight_bits))

    def keep(bit: int, values: Float64, changed: npt.NDArray[np.bool_]) -> None:
        difference = values[:, 0] - decoding.emd
        figures[:, bit] = (
            difference.mean(), np.abs(difference).mean(), np.median(values[:, 0]) - np.median(decoding.emd),
            changed.mean(), values[:, 1].mean(), values[:, 2].mean(),
        )  # fmt: skip

    by_latent: dict[int, list[int]] = {}
    for bit in range(spec.weight_bits):
        name, index, _ = weight_place(spec, bit)
        if name in ("dense", "dense_bias"):
            by_latent.setdefault(index[-1], []).append(bit)
            continue
        sent = decoding.send(layers.flip(bit))
        changed = (sent != decoding.sent).any(axis=1)
        values = quiet.copy()
        rows = np.flatnonzero(changed)
        values[rows] = decoding.judge(rows, sent[rows])
        keep(bit, values, changed)
        if advance is not None:
            advance(1)
    codes = 1 << spec.latent.width
    for latent, bits in by_latent.items():
        # many bits bring a latent of an image to the same code: each code is decoded once
        found = np.stack([layers.flip_latent(*weight_place(spec, bit)) for bit in bits])
        sent = decoding.send(found)
        pairs, back = np.unique(np.arange(count) * codes + sent, return_inverse=True)
        image, code = np.divmod(pairs, codes)
        rows = decoding.sent[image]
        old = rows[:, latent].copy()
        rows[:, latent] = code
        table = quiet[image]
        other = np.flatnonzero(code != old)
        table[other] = decoding.judge(image[other], rows[other])
        values = table[back.reshape(sent.shape)]
        for number, bit in enumerate(bits):
            keep(bit, values[number], sent[number] != decoding.sent[:, latent])
        if advance is not None:
            advance(len(bits))
    return Sensitivity(
        spec=spec, elinks=model.elinks, source=sample.source, emd=decoding.emd, emd_change=figures[0],
        emd_shift=figures[1], median_change=figures[2], changed=figures[3], displaced=figures[4],
        energy_change=figures[5],
    )  # fmt: skip
