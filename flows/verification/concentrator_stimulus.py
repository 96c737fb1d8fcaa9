"""Stimulus of a concentrator's verification: random specs, settings at their limits, words, link resets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from flows.verification.encoder_stimulus import random_settings, random_weights, random_words
from sim.fixed_point import IntArray
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel, ConcentratorSettings
from sim.hgcal_encoder.algorithms.output_buffer import Admission, BufferThresholds, admit
from sim.hgcal_encoder.algorithms.super_trigger_cell import MOST_LINKS, SuperTriggerCellType
from sim.hgcal_encoder.concentrator_spec import (
    BUFFER_ROW,
    AlgorithmNumber,
    ConcentratorSpec,
    EqualLargest,
    MaskGaps,
    SpareAlgTypes,
    TruncatedFixed,
)
from sim.hgcal_encoder.front_end import front_end
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ETX_WORDS, WordOrder
from sim.hgcal_encoder.words import ORBIT_LENGTH, pack

__all__ = [
    "CAMPAIGN",
    "ConcentratorSegment",
    "campaign_segments",
    "concentrator_segments",
    "random_concentrator_settings",
    "random_spec",
]

Rule = TypeVar("Rule", bound=StrEnum)
_A = AlgorithmNumber
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
    overflow : ndarray of bool, shape (n,)
        Crossings that the depth of the buffer alone truncates.
    """

    name: str
    settings: ConcentratorSettings
    words: IntArray
    bx: IntArray
    link_reset: npt.NDArray[np.bool_]
    frames: npt.NDArray[np.uint32]
    overflow: npt.NDArray[np.bool_]


def random_spec(rng: np.random.Generator, name: str) -> ConcentratorSpec:
    """A chip with some of the algorithms, without the network, on some links, by any of the rules that are fields."""
    labels = [number.label for number in AlgorithmNumber if number is not AlgorithmNumber.AUTOENCODER]
    links = int(rng.integers(1, ETX_WORDS + 1))
    least = max(-(-24 * links // BUFFER_ROW), 2)
    return ConcentratorSpec(
        name=name,
        algorithms=tuple(rng.choice(labels, int(rng.integers(1, len(labels) + 1)), replace=False).tolist()),
        word_order=_one_of(rng, WordOrder),
        etx_links=links,
        buffer_words=BUFFER_ROW * int(rng.integers(least, 17)),
        mask_gaps=_one_of(rng, MaskGaps),
        truncated_fixed=_one_of(rng, TruncatedFixed),
        spare_alg_types=_one_of(rng, SpareAlgTypes),
        equal_largest=_one_of(rng, EqualLargest),
    )


def _one_of(rng: np.random.Generator, rules: type[Rule]) -> Rule:
    return list(rules)[int(rng.integers(len(rules)))]


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
    return _of_words(spec, rng, settings, words)


def _of_words(
    spec: ConcentratorSpec, rng: np.random.Generator, settings: ConcentratorSettings, words: IntArray
) -> ConcentratorSegment:
    rows = len(words)
    # the orbit starts within the rows
    bx = (ORBIT_LENGTH - rows // 3 + np.arange(rows)) % ORBIT_LENGTH
    link_reset = np.zeros(rows, np.bool_)
    if rng.random() < 0.5:
        start = int(rng.integers(rows))
        link_reset[start : start + int(rng.integers(1, 40))] = True
    model = ConcentratorModel(spec, settings)
    frames = model.frames(words, bx=bx, link_reset=link_reset)
    overflow = np.zeros(rows, np.bool_)
    if links := spec.word_pairs(settings.active_etxs):
        lengths = np.where(link_reset, 2 * links, model.lengths(front_end(words, settings.settings, 0).charges))
        thresholds = replace(settings.buffer, t1=min(settings.buffer.t1, spec.buffer_words))
        taken, waiting = admit(lengths, thresholds, links)
        overflow = (taken == Admission.NO_ROOM) & (waiting + lengths <= settings.buffer.t1)
    name = f"alg_type {settings.alg_type}, links {settings.active_etxs:#x}, {settings.buffer}"
    return ConcentratorSegment(name=name, settings=settings, words=words, bx=bx, link_reset=link_reset, frames=frames,
                               overflow=overflow)  # fmt: skip


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
    return [*found, *_directed_segments(spec, rng, rows)]


def _directed_segments(spec: ConcentratorSpec, rng: np.random.Generator, rows: int) -> Iterator[ConcentratorSegment]:
    """Where random settings rarely are: charges at their thresholds and of all their bits, every `drop_lsb`, masks with
    gaps, sums to which every rank counts."""

    def words(count: int, lowest: int, highest: int = 127) -> IntArray:
        codes = rng.integers(lowest, highest + 1, (count, CELLS))
        found: IntArray = pack(codes, spec.word_order).astype(np.int64)
        return found

    def settings(number: AlgorithmNumber, links: int, **changes: Any) -> ConcentratorSettings:
        front = Settings(
            spec=spec.encoder, factors=np.full(CELLS, 4095), high_density=bool(rng.integers(2)), etx_count=links
        )  # fmt: skip
        plain = ConcentratorSettings(
            settings=front, alg_type=int(number), buffer=BufferThresholds(t1=24 * links, t2=511, t3=0),
            active_etxs=(1 << links) - 1, idle_pattern=int(rng.integers(1 << 11)), link_reset_pattern=0x122,
        )  # fmt: skip
        return replace(plain, **changes)

    if spec.has(_A.THRESHOLD_SUM):
        for turn in range(6):
            given, chosen = words(rows // 2, 100 if turn % 2 else 0), settings(_A.THRESHOLD_SUM, spec.etx_links)
            charges = front_end(given, chosen.settings, 0).charges
            at = charges[rng.integers(0, len(charges), CELLS), np.arange(CELLS)] + rng.integers(0, 2, CELLS)
            anywhere = rng.integers(0, 1 + charges.max(), CELLS)
            chosen = replace(chosen, threshold=np.minimum(at if turn < 4 else anywhere, (1 << CHARGE_WIDTH) - 1))
            yield _of_words(spec, rng, chosen, given)
    for number in (_A.THRESHOLD_SUM, _A.SUPER_TRIGGER_CELL, _A.BEST_CHOICE):
        for drop in range(8) if spec.has(number) else ():
            kind = int(rng.integers(4))
            links = 1 + (drop % min(MOST_LINKS[SuperTriggerCellType(kind)], spec.etx_links))
            chosen = settings(number, links, drop_lsb=drop, stc_type=kind, threshold=np.full(CELLS, 1 << 16))
            yield _of_words(spec, rng, chosen, words(rows // 8, 0))
    if spec.has(_A.REPEATER):
        for _ in range(40):
            mask = int(rng.integers(1, 1 << spec.etx_links)) & int(rng.integers(1, 1 << 13) | 1 << rng.integers(13))
            chosen = settings(_A.REPEATER, spec.etx_links, active_etxs=mask or 1, drop_lsb=int(rng.integers(8)))
            yield _of_words(spec, rng, chosen, words(6, 1))
    if spec.has(_A.BEST_CHOICE):
        for turn in range(8):
            chosen = settings(
                _A.BEST_CHOICE, 1 + turn % min(5, spec.etx_links), use_sum=turn % 2 == 0, drop_lsb=turn % 4
            )
            low = (0, 60, 90, 110)[turn // 2]
            yield _of_words(spec, rng, chosen, words(rows // 2, low, min(127, low + 40)))
