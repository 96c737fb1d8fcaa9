"""Stimulus of an encoder's verification: random specs, weights, settings and words, and directed corners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flows.simulation.encoder import EncoderVerilog
from sim.fixed_point import IntArray
from sim.hgcal_encoder.configuration.registers import register_map, reset_settings
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.frame import frame
from sim.hgcal_encoder.normalise import sum_code
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, ETX_WORDS, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import HEADER, ORBIT_HEADER, pack

__all__ = [
    "Segment",
    "Stimulus",
    "Sweep",
    "directed_segments",
    "keep_masks",
    "make_stimulus",
    "mask_sweep",
    "random_settings",
    "random_weights",
    "random_words",
    "segments",
    "start_frames",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Words under one set of settings and weights, and the frames that the golden model expects.

    Attributes
    ----------
    name : str
    settings : Settings
    weights : Weights
    words : ndarray of int64, shape (n, 12)
        The first row carries the orbit header.
    frames : ndarray of uint32, shape (n, 13)
    """

    name: str
    settings: Settings
    weights: Weights
    words: IntArray
    frames: npt.NDArray[np.uint32]


def random_weights(spec: EncoderSpec, rng: np.random.Generator, kind: str) -> Weights:
    """Weights by kind: ``uniform``, ``small``, ``sparse``, ``few``, ``threes``, ``top``, ``lowest``,
    ``highest``, ``alternating``, ``zero``.
    """
    low, high, count = spec.weight.min_code, spec.weight.max_code, spec.parameters
    match kind:
        case "uniform":
            codes = rng.integers(low, high + 1, count)
        case "small":
            # sums over all taps stay inside the latent format, so that no saturation hides a wrong bit
            codes = np.clip(np.rint(rng.normal(0.3, 0.06 * (high + 1), count)), low, high).astype(np.int64)
        case "sparse":
            codes = np.where(rng.random(count) < 0.1, rng.integers(low, high + 1, count), 0)
        case "lowest":
            codes = np.full(count, low)
        case "highest":
            codes = np.full(count, high)
        case "alternating":
            codes = np.where(np.arange(count) % 2 == 0, low, high)
        case "few":
            # strong activations into a latent that adds few of them: neither saturation nor a sum hides a wrong bit
            outputs = spec.latents * (spec.activations + 1)
            kernel = rng.integers(0, high + 1, count - outputs)
            dense = np.where(rng.random(outputs) < 2.5 / spec.activations, rng.integers(low, high + 1, outputs), 0)
            codes = np.concatenate([kernel, dense])
        case "top":
            # convolution at its largest sums, seen through few products of the dense layer
            outputs = spec.latents * (spec.activations + 1)
            dense = np.where(rng.random(outputs) < 2.5 / spec.activations, rng.integers(low, high + 1, outputs), 0)
            codes = np.concatenate([np.full(count - outputs, high), dense])
        case "threes":
            # strong activations again; pairs of equal bits take the multiplier's 3x
            outputs = spec.latents * (spec.activations + 1)
            pairs = rng.integers(0, 2, (outputs, -(-spec.weight.width // 2))) * 3
            offset_binary = (pairs << 2 * np.arange(pairs.shape[1])).sum(axis=1) & (high - low)
            codes = np.concatenate([rng.integers(high // 2, high + 1, count - outputs), offset_binary + low])
        case "zero":
            codes = np.zeros(count, np.int64)
        case _:
            raise ValueError(f"kind of weights: got {kind!r}")
    return Weights.from_codes(codes, spec)


def random_settings(spec: EncoderSpec, rng: np.random.Generator, etx_count: int | None = None) -> Settings:
    """Settings with random multiplexer, factors, density, links and keep mask."""
    # runs of kept and dropped bits: bits move by small and by large distances
    density, run = float(rng.choice([0.1, 0.5, 0.9])), int(rng.choice([1, 1, 5, 40]))
    kept = np.repeat(rng.random(spec.keep_bits) < density, rng.integers(1, run + 1, spec.keep_bits))
    mask = sum(1 << bit for bit in range(spec.keep_bits) if kept[bit])
    factors = [
        rng.integers(0, 4096, CELLS), rng.integers(1700, 2400, CELLS), rng.integers(1700, 2400, CELLS),
        np.full(CELLS, 4095),  # only these reach the largest module sums
    ][int(rng.integers(4))]  # fmt: skip
    return Settings(
        spec=spec,
        select=rng.permutation(CELLS) if rng.random() < 0.5 else rng.integers(0, CELLS, CELLS),
        factors=factors,
        high_density=bool(rng.integers(2)),
        etx_count=int(rng.integers(1, ETX_WORDS + 1)) if etx_count is None else etx_count,
        keep_mask=mask,
    )


def random_words(rng: np.random.Generator, rows: int, settings: Settings) -> IntArray:
    """Words that reach every part of the data path; the first row carries the orbit header.

    A mixture of: uniform codes, sparse modules, one cell, equal cells, extremes, charges that fill the module sum up to
    just below or above a power of two (where the leading one moves), orbit headers now and then, other headers.
    """
    codes = np.zeros((rows, CELLS), np.int64)
    values = decode(np.arange(128), settings.high_density)
    inputs = settings.select
    for row in range(rows):
        match int(rng.integers(8)):
            case 0 | 1:
                codes[row] = rng.integers(0, 128, CELLS)
            case 2:
                codes[row] = np.where(rng.random(CELLS) < 0.1, rng.integers(0, 128, CELLS), 0)
            case 3:
                codes[row, rng.integers(CELLS)] = rng.integers(128)
            case 4:
                codes[row] = rng.integers(128)
            case 5:
                codes[row] = rng.choice([0, 127], CELLS)
            case 6:
                codes[row] = rng.integers(0, int(rng.integers(2, 64)), CELLS)
            case 7:
                left = (1 << int(rng.integers(8, 28))) + int(rng.integers(-3, 4 << int(rng.integers(8))))
                codes[row, inputs] = _fill(left, settings.factors, values, rng.permutation(CELLS))
    return _words(codes, settings, rng)


def _fill(total: int, factors: IntArray, values: IntArray, order: IntArray) -> IntArray:
    """Codes of trigger cells whose calibrated charges come close to a module sum; cells filled in the given order."""
    codes = np.zeros(CELLS, np.int64)
    left = total - int(((values[0] * factors) >> 11).sum())
    for cell in order.tolist():
        charges = (values * int(factors[cell])) >> 11
        codes[cell] = max(int(np.searchsorted(charges, left + charges[0], side="right")) - 1, 0)
        left -= int(charges[codes[cell]] - charges[0])
    return codes


def _words(codes: IntArray, settings: Settings, rng: np.random.Generator) -> IntArray:
    """Words of input codes, shape (rows, 48); some rows carry orbit headers or headers that mean nothing."""
    rows = len(codes)
    words = pack(codes, settings.word_order).astype(np.int64)
    headers = np.full(rows, HEADER)
    headers[rng.random(rows) < 0.02] = ORBIT_HEADER
    odd = rng.random(rows) < 0.02
    headers[odd] = rng.integers(0, 16, int(odd.sum()))
    headers[:1] = ORBIT_HEADER
    return (words & 0x0FFF_FFFF) | (headers[:, None] << 28)


_KINDS = ("small", "uniform", "sparse", "alternating", "highest", "lowest", "zero")


def segments(spec: EncoderSpec, rng: np.random.Generator, count: int, rows: int) -> list[Segment]:
    """Stimulus: `count` segments of `rows` crossings, cycling through kinds of weights and numbers of links."""
    result = []
    for number in range(count):
        # the mask hides latents, the kind of weights decides which sums occur: both change all the time
        kind = _KINDS[number % len(_KINDS)] if number % 2 == 0 else _KINDS[(number // 2) % 3]
        # every other segment sends all latents, so that no mask hides a wrong bit
        if number % 2 == 0:
            base = random_settings(spec, rng, etx_count=ETX_WORDS)
            settings = replace(base, keep_mask=(1 << spec.keep_bits) - 1)
        else:
            settings = random_settings(spec, rng, etx_count=1 + (number // 2) % ETX_WORDS)
        weights = random_weights(spec, rng, kind)
        words = random_words(rng, rows, settings)
        frames = Encoder(spec, weights, settings).frames(words)
        result.append(Segment(name=kind, settings=settings, weights=weights, words=words, frames=frames))
    return result


def directed_segments(spec: EncoderSpec, rng: np.random.Generator, rounds: int) -> list[Segment]:
    """Stimulus for what random words rarely meet.

    Module sums of 0 to 31 and at, just below and just above every power of two and half-way between, as exactly as the
    factors allow; every trigger cell alone above quiet ones, and with another, so that single activations are large;
    many cells at full scale, so that all are.
    """
    result = []
    sums = [*range(32), *((1 << m) + d for m in range(5, 28) for d in (-1, 0, 1, 1 << (m - 1), (1 << (m - 4)) - 1))]
    sums += [(1 << m) - (1 << (m - 6)) - 1 for m in range(6, 29)]
    for number in range(rounds):
        # small factors give charges in steps of 1; only large ones at high density reach the largest sums
        for high_density, factors in (
            (False, rng.choice([2047, 1024, 600, 100, 30], CELLS)),
            (True, rng.permutation(np.repeat([4095, 2048, 300, 40], [36, 4, 4, 4]))),
        ):
            settings = Settings(spec=spec, factors=factors, high_density=high_density, etx_count=ETX_WORDS)
            values = decode(np.arange(128), high_density)
            order = np.argsort(-factors, kind="stable")
            codes = np.stack([_fill(total, factors, values, order) for total in sums])
            result.append(_segment("sums", spec, settings, random_weights(spec, rng, "small"), codes, rng))
        settings = Settings(
            spec=spec, select=rng.permutation(CELLS), factors=rng.integers(1700, 2400, CELLS),
            high_density=bool(number % 2), etx_count=ETX_WORDS,
        )  # fmt: skip
        codes = rng.integers(0, 8, (2 * CELLS, CELLS))
        codes[np.arange(2 * CELLS), np.arange(2 * CELLS) % CELLS] = rng.integers(64, 128, 2 * CELLS)
        codes[np.arange(CELLS), rng.integers(0, CELLS, CELLS)] = rng.integers(64, 128, CELLS)
        for _ in range(3):
            result.append(_segment("hot cells", spec, settings, random_weights(spec, rng, "few"), codes, rng))
        # pixels can all be large only where the module sum is beyond the range of the shift
        settings = Settings(spec=spec, factors=np.full(CELLS, 4095), high_density=True, etx_count=ETX_WORDS)
        codes = np.where(rng.random((60, CELLS)) < rng.random((60, 1)), rng.integers(120, 128, (60, CELLS)), 0)
        codes[:2] = 127
        for kind in ("highest", "threes", "threes", "few", "top", "top", "top", "alternating"):
            result.append(_segment("full cells", spec, settings, random_weights(spec, rng, kind), codes, rng))
    return result


def _segment(
    name: str, spec: EncoderSpec, settings: Settings, weights: Weights, codes: IntArray, rng: np.random.Generator
) -> Segment:
    words = _words(codes, settings, rng)
    frames = Encoder(spec, weights, settings).frames(words)
    return Segment(name=name, settings=settings, weights=weights, words=words, frames=frames)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sweep:
    """Keep masks and numbers of links rewritten while crossings flow, under the other settings of a segment.

    Attributes
    ----------
    base : Segment
        What is loaded before.
    stimulus : dict of str to ndarray
        Ports by name, one row a clock: words and write port.
    rows : ndarray of int64, shape (n,)
        Rows whose crossings meet one mask only.
    frames : ndarray of uint32, shape (n, 13)
        Their frames.
    """

    base: Segment
    stimulus: dict[str, IntArray]
    rows: IntArray
    frames: npt.NDArray[np.uint32]


def keep_masks(spec: EncoderSpec, rng: np.random.Generator) -> list[int]:
    """Masks: every bit alone and alone missing, every low and high part, runs, periods, random of five densities."""
    width = spec.keep_bits
    full = (1 << width) - 1
    masks = [0, full]
    for bit in range(width):
        masks += [1 << bit, full ^ (1 << bit), (1 << bit) - 1, full ^ ((1 << bit) - 1)]
    for period in range(1, width):
        run = sum(((1 << period) - 1) << low for low in range(0, width, 2 * period)) & full
        masks += [run, full ^ run]
    for density in (0.1, 0.3, 0.5, 0.7, 0.9):
        masks += [sum(1 << bit for bit in range(width) if rng.random() < density) for _ in range(24)]
    return [masks[i] for i in rng.permutation(len(masks))]


def mask_sweep(spec: EncoderSpec, rng: np.random.Generator, kind: str, latency: int) -> Sweep:
    """All masks of `keep_masks`, each with a number of links 0 to 15, over random crossings."""
    settings = random_settings(spec, rng, etx_count=ETX_WORDS)
    fields = {field.name: field for field in register_map(spec)}
    mask_field, links_field = fields["keep_mask"], fields["etx_count"]
    address: list[int] = []
    data: list[int] = []
    enable: list[int] = []
    spans = []
    for number, mask in enumerate(keep_masks(spec, rng)):
        etx_count = number % 16
        writes = [(links_field.address, etx_count << links_field.lsb)]
        writes += [(mask_field.address + byte, mask >> (8 * byte) & 0xFF) for byte in range(mask_field.size)]
        for place, value in writes:
            address.append(place)
            data.append(value)
            enable.append(1)
        hold = latency + 4
        # 0, 14 and 15 name no number of links and act as all
        spans.append((len(address), hold - latency, mask, etx_count if 1 <= etx_count <= ETX_WORDS else ETX_WORDS))
        address += [mask_field.address] * hold
        data += [0x5A] * hold
        enable += [0] * hold
    words = random_words(rng, len(address), settings)
    weights = random_weights(spec, rng, kind)
    trace = Encoder(spec, weights, settings).trace(words)
    rows, frames = [], []
    for first, count, mask, links in spans:
        part = slice(first, first + count)
        rows.append(np.arange(first, first + count))
        frames.append(frame(trace.bx[part], trace.sum_codes[part], trace.latents[part], mask, links, spec))
    base = Segment(name=f"masks, {kind}", settings=settings, weights=weights, words=words, frames=trace.frames)
    stimulus = {
        "words": words, "write_address": np.array(address), "write_data": np.array(data),
        "write_enable": np.array(enable),
    }  # fmt: skip
    return Sweep(base=base, stimulus=stimulus, rows=np.concatenate(rows), frames=np.concatenate(frames))


def reset_segment(spec: EncoderSpec, rng: np.random.Generator, rows: int) -> Segment:
    """What the encoder does after reset with nothing written: reset settings, weights 0."""
    settings, weights = reset_settings(spec), random_weights(spec, rng, "zero")
    words = random_words(rng, rows, settings)
    frames = Encoder(spec, weights, settings).frames(words)
    return Segment(name="reset values", settings=settings, weights=weights, words=words, frames=frames)


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """Everything that a mutant, and the design itself, is tried on: see `play`."""

    reset: Segment
    segments: Sequence[Segment]
    sweeps: Sequence[Sweep]


def make_stimulus(spec: EncoderSpec, rng: np.random.Generator, latency: int, rows: int, count: int) -> Stimulus:
    """Stimulus for a design: `count` random segments of `rows` crossings beside what is directed."""
    return Stimulus(
        reset=reset_segment(spec, rng, rows),
        segments=[*segments(spec, rng, count, rows), *directed_segments(spec, rng, 3)],
        sweeps=[mask_sweep(spec, rng, kind, latency) for kind in ("small", "highest")],
    )


def start_frames(design: EncoderVerilog) -> npt.NDArray[np.uint32]:
    """What leaves the encoder between reset and the frame of the first crossing, shape (latency, 13).

    An empty pipeline: the output register holds zero, then come frames with sum code 0 and latents 0, numbered from 0,
    and last that of words of 0 in the input register. This holds for the pipeline registers of the presets.
    """
    spec = design.spec
    empty = decode(np.zeros((1, CELLS), np.int64), False)
    count = design.latency - 1
    codes = np.zeros(count, np.int64)
    codes[-1:] = sum_code(empty.sum(axis=1))
    settings = reset_settings(spec)
    latents = np.zeros((count, spec.latents), np.int64)
    # number 16 counts as 0 without being the start of an orbit
    numbers = 16 + np.arange(count)
    frames = frame(numbers, codes, latents, settings.keep_mask, settings.etx_count, spec)
    return np.concatenate([np.zeros((1, ETX_WORDS), np.uint32), frames])
