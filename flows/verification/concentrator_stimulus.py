"""Stimulus of a concentrator's verification: random specs, settings at their limits, words, link resets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from flows.verification.encoder_stimulus import random_settings, random_weights, random_words
from sim.fixed_point import IntArray
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel, ConcentratorSettings
from sim.hgcal_encoder.algorithms.output_buffer import BufferThresholds
from sim.hgcal_encoder.concentrator_spec import BUFFER_ROW, AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.spec import CELLS, ETX_WORDS, WordOrder
from sim.hgcal_encoder.words import ORBIT_LENGTH

__all__ = [
    "CAMPAIGN",
    "ConcentratorSegment",
    "campaign_segments",
    "concentrator_segments",
    "random_concentrator_settings",
    "random_spec",
]

_WEIGHTS = ("uniform", "small", "sparse", "few")

CAMPAIGN = ConcentratorSpec(
    name="CAMPAIGN_concentrator",
    algorithms=tuple(number.label for number in AlgorithmNumber if number is not AlgorithmNumber.AUTOENCODER),
    buffer_words=10 * BUFFER_ROW,
)
"""What mutants are made of: all but the network, whose stages have a campaign of their own (that of the encoder). A T1
of 9 bits can outgrow this buffer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ConcentratorSegment:
    """Consecutive crossings under one set of settings, and the eTx words that the golden model expects.

    Attributes
    ----------
    name : str
    settings : ConcentratorSettings
    words : ndarray of int64, shape (n, 12)
    bx : ndarray of int64, shape (n,)
    link_reset : ndarray of bool, shape (n,)
    frames : ndarray of uint32, shape (n, 13)
    """

    name: str
    settings: ConcentratorSettings
    words: IntArray
    bx: IntArray
    link_reset: npt.NDArray[np.bool_]
    frames: npt.NDArray[np.uint32]


def random_spec(rng: np.random.Generator, name: str) -> ConcentratorSpec:
    """A chip with some of the algorithms, without the network, on some links."""
    labels = [number.label for number in AlgorithmNumber if number is not AlgorithmNumber.AUTOENCODER]
    links = int(rng.integers(1, ETX_WORDS + 1))
    least = max(-(-24 * links // BUFFER_ROW), 2)
    return ConcentratorSpec(
        name=name,
        algorithms=tuple(rng.choice(labels, int(rng.integers(1, len(labels) + 1)), replace=False).tolist()),
        word_order=list(WordOrder)[int(rng.integers(2))],
        etx_links=links,
        buffer_words=BUFFER_ROW * int(rng.integers(least, 17)),
    )


def random_concentrator_settings(
    spec: ConcentratorSpec, rng: np.random.Generator, number: int, links: int
) -> ConcentratorSettings:
    """Random settings that select an algorithm; thresholds of the buffer at their limits."""
    front = random_settings(spec.encoder, rng, links)
    mask = np.arange(spec.etx_links) < links
    if rng.random() < 0.3:
        mask = rng.permutation(mask)
    depth = spec.buffer_words
    t1 = int(rng.choice([24 * links, 24 * links, 24 * links, 26, 2 * links, depth - 1, depth, 511, 338]))
    t1 = min(t1, 511)
    # few cells, all cells, some cells above threshold; now and then exactly at it
    top = int(rng.choice([2, 64, 1 << 12, 1 << 20, 1 << 22]))
    threshold = rng.integers(0, top, CELLS) >> rng.integers(0, 4, CELLS)
    return ConcentratorSettings(
        settings=front, alg_type=number, drop_lsb=int(rng.integers(8)), threshold=threshold,
        use_sum=bool(rng.integers(2)), stc_type=int(rng.integers(8) if rng.random() < 0.2 else rng.integers(5)),
        buffer=BufferThresholds(
            t1=t1, t2=int(rng.choice([511, 511, t1 // 2, 0])), t3=int(rng.choice([0, 4, 31]))
        ),
        active_etxs=sum(1 << link for link, on in enumerate(mask.tolist()) if on),
        idle_pattern=int(rng.integers(1 << 11)), link_reset_pattern=int(rng.integers(1 << 11)),
        weights=random_weights(spec.encoder, rng, str(rng.choice(_WEIGHTS)))
        if spec.has(AlgorithmNumber.AUTOENCODER) else None,
    )  # fmt: skip


def _segment(
    spec: ConcentratorSpec, rng: np.random.Generator, settings: ConcentratorSettings, rows: int
) -> ConcentratorSegment:
    # phases of full and of nearly empty modules: the buffer fills and drains
    words = random_words(rng, rows, settings.settings)
    for start in range(0, rows, 32):
        if rng.random() < 0.5:
            words[start : start + 32] &= int(rng.choice([0xF000_0000, 0xF001_0180, 0xF01F_FFFF]))
    # the orbit starts within the rows
    bx = (ORBIT_LENGTH - rows // 3 + np.arange(rows)) % ORBIT_LENGTH
    link_reset = np.zeros(rows, np.bool_)
    if rng.random() < 0.5:
        start = int(rng.integers(rows))
        link_reset[start : start + int(rng.integers(1, 40))] = True
    frames = ConcentratorModel(spec, settings).frames(words, bx=bx, link_reset=link_reset)
    name = f"alg_type {settings.alg_type}, links {settings.active_etxs:#x}, {settings.buffer}"
    return ConcentratorSegment(name=name, settings=settings, words=words, bx=bx, link_reset=link_reset, frames=frames)


def concentrator_segments(
    spec: ConcentratorSpec, rng: np.random.Generator, count: int, rows: int
) -> Iterator[ConcentratorSegment]:
    """Segments with every number in `alg_type` and every number of links in turn."""
    for turn in range(count):
        # the algorithms that the chip has twice as often as what it lacks
        numbers = [*spec.numbers, *spec.numbers, *range(8)]
        number = int(numbers[turn % len(numbers)])
        links = 1 + (turn * 5) % spec.etx_links
        if number == AlgorithmNumber.SUPER_TRIGGER_CELL and rng.random() < 0.8:
            links = min(links, 1 + turn % 5)
        yield _segment(spec, rng, random_concentrator_settings(spec, rng, number, links), rows)


def campaign_segments(spec: ConcentratorSpec, rng: np.random.Generator, rows: int) -> list[ConcentratorSegment]:
    """Segments that cover every layout of every algorithm: types on every number of links that they have."""
    found = []
    for links in range(1, spec.etx_links + 1):
        for number in spec.numbers:
            found.append(_segment(spec, rng, random_concentrator_settings(spec, rng, int(number), links), rows))
    if spec.has(AlgorithmNumber.SUPER_TRIGGER_CELL):
        for kind in range(5):
            for links in range(1, min(6, spec.etx_links + 1)):
                chosen = random_concentrator_settings(spec, rng, AlgorithmNumber.SUPER_TRIGGER_CELL, links)
                found.append(_segment(spec, rng, replace(chosen, stc_type=kind), rows // 2))
    found += [_segment(spec, rng, random_concentrator_settings(spec, rng, number, 3), rows // 2) for number in range(8)]
    return found
