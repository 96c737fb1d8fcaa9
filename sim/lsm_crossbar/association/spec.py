"""The specification of an association chip: two crossbars, one for images and one for speech, and a common space.

Each crossbar's readout has as many outputs as the space has dimensions: its scores are the projection of the liquid's
counts. The stages that follow are this chip's own:

- *projection*: activation, then ``>> shift``, then saturation to `embedding_bits` bits; component 0 first;
- *match*: the embedding against the stored embeddings (*entries*) of the other modality: dot products, or with
  ``embedding_bits = 1`` the number of equal signs; the largest wins, the lowest entry of equals.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.lsm_crossbar.spec import N_MNIST, SPOKEN_DIGITS, CrossbarSpec
from sim.messages import shown
from sim.spec_file import check_fields, check_integer, check_name, load_preset, parse_toml, toml_value

__all__ = ["DIGITS_8BIT", "DIGITS_BINARY", "MODALITIES", "PRESETS", "Activation", "AssociationSpec", "load_association"]

MODALITIES = ("vision", "audio")
"""The two crossbars, in the order of every array of both."""
SHIFT_BITS = 5
"""Bits of the register that holds the shift of a projection."""
LEAK_SHIFT = 3
"""What `Activation.LEAKY` shifts negative scores by."""


class Activation(StrEnum):
    """What becomes of a score before it is shifted: each is exact in hardware."""

    LINEAR = "linear"
    """Nothing."""
    RELU = "relu"
    """Negative scores become 0: an AND with the sign."""
    LEAKY = "leaky"
    """Negative scores are shifted right by `LEAK_SHIFT`, towards minus infinity: a multiplexer."""

    def integers(self, scores: NDArray[np.int64]) -> NDArray[np.int64]:
        """The activation of integer scores."""
        match self:
            case Activation.RELU:
                return np.maximum(scores, 0)
            case Activation.LEAKY:
                return np.where(scores < 0, scores >> LEAK_SHIFT, scores).astype(np.int64)
            case _:
                return scores

    def exact(self, scores: NDArray[Any]) -> NDArray[Any]:
        """The activation of real scores, for training."""
        below = {Activation.LINEAR: 1.0, Activation.RELU: 0.0, Activation.LEAKY: 2.0**-LEAK_SHIFT}[self]
        found: NDArray[Any] = np.where(scores < 0, scores * scores.dtype.type(below), scores)
        return found

    def slope(self, scores: NDArray[Any]) -> NDArray[Any]:
        """Derivative of `exact`."""
        below = {Activation.LINEAR: 1.0, Activation.RELU: 0.0, Activation.LEAKY: 2.0**-LEAK_SHIFT}[self]
        slope: NDArray[Any] = np.where(scores < 0, scores.dtype.type(below), scores.dtype.type(1))
        return slope


@dataclass(frozen=True, kw_only=True)
class AssociationSpec:
    """Two crossbars on one chip, their projections, and the memory that they are matched in.

    Attributes
    ----------
    name : str
        Name of the design; also the stem of generated file names.
    vision, audio : CrossbarSpec
        The liquids. `outputs` is the number of dimensions, the same in both; `readout_weight_bits` is the width of a
        projection's weights. Each may have several macros. They run on one clock.
    activation : Activation
    embedding_bits : int
        Bits of a component of an embedding, two's complement; 1: the sign alone.
    entries : int
        Stored embeddings of each modality.
    match_lanes : int
        Entries that are compared at a time; divides `entries`. With ``embedding_bits = 1`` a whole entry is compared
        in a clock, and there is one lane.

    Raises
    ------
    ValueError
        If the fields do not describe a chip; the message says which and why.
    """

    name: str
    vision: CrossbarSpec
    audio: CrossbarSpec
    activation: Activation = Activation.RELU
    embedding_bits: int = 8
    entries: int = 128
    match_lanes: int = 16

    def __post_init__(self) -> None:
        check_name(self.name)
        for modality, spec in zip(MODALITIES, (self.vision, self.audio), strict=True):
            if not isinstance(spec, CrossbarSpec):
                raise ValueError(f"{modality}: expected the spec of a crossbar, got {shown(spec)}")
            if spec.noise_scale is not None:
                raise ValueError(f"{modality}.noise_scale: the association chip has no registers for read noise")
            if spec.steps < 2:
                # the events of the next sample wait at its second step while an embedding is matched
                raise ValueError(f"{modality}.steps: expected at least 2, got {spec.steps}")
        if self.activation not in tuple(Activation):
            raise ValueError(f"activation: expected {', '.join(Activation)}, got {shown(self.activation)}")
        object.__setattr__(self, "activation", Activation(self.activation))
        check_integer("embedding_bits", self.embedding_bits, 1, 12)
        check_integer("entries", self.entries, 1, 1 << 12)
        check_integer("match_lanes", self.match_lanes, 1, 1 << 8)
        if self.vision.outputs != self.audio.outputs:
            raise ValueError(
                f"outputs: both projections lead into one space, got {self.vision.outputs} dimensions of images and "
                f"{self.audio.outputs} of speech"
            )
        if self.vision.clock_period_ns != self.audio.clock_period_ns:
            raise ValueError(
                f"clock_period_ns: expected one clock, got {self.vision.clock_period_ns} and "
                f"{self.audio.clock_period_ns} ns"
            )
        if self.entries % self.match_lanes:
            raise ValueError(f"match_lanes: {self.match_lanes} does not divide the {self.entries} entries")
        if self.binary and self.match_lanes != 1:
            raise ValueError(f"match_lanes: expected 1 with embedding_bits = 1, got {self.match_lanes}")
        if self.binary and self.activation is not Activation.LINEAR:
            raise ValueError(f"activation: a sign alone has none, expected linear, got {self.activation}")

    @property
    def crossbars(self) -> tuple[CrossbarSpec, CrossbarSpec]:
        """The liquids in the order of `MODALITIES`."""
        return self.vision, self.audio

    @property
    def dimensions(self) -> int:
        """Dimensions of the common space."""
        return self.vision.outputs

    @property
    def binary(self) -> bool:
        """Whether embeddings are signs, matched by XOR and popcount."""
        return self.embedding_bits == 1

    @property
    def embedding_max(self) -> int:
        """Largest component; the smallest is ``-embedding_max - 1``. Binary: 0, components are 0 and -1."""
        return (1 << (self.embedding_bits - 1)) - 1

    @property
    def similarity_width(self) -> int:
        """Bits of a similarity, two's complement: `dimensions` products of ``(embedding_max + 1)**2`` at most."""
        largest = self.dimensions * (1 if self.binary else (self.embedding_max + 1) ** 2)
        return largest.bit_length() + 1

    @property
    def passes(self) -> int:
        """Times that a query runs over the memory when all entries are in use."""
        return self.entries // self.match_lanes

    @property
    def index_bits(self) -> int:
        """Bits of the number of an entry."""
        return max(1, (self.entries - 1).bit_length())

    @property
    def used_bits(self) -> int:
        """Bits of the number of entries in use."""
        return self.entries.bit_length()

    @property
    def word_bits(self) -> int:
        """Bits of a word of the embedding memory: one component of `match_lanes` entries; binary: one entry."""
        return self.dimensions if self.binary else self.match_lanes * self.embedding_bits

    @property
    def memory_depth(self) -> int:
        """Words of the embedding memory: those of vision, then those of audio."""
        return 2 * (self.entries if self.binary else self.passes * self.dimensions)

    @property
    def clock_period_ns(self) -> float:
        """Clock of the digital part, ns."""
        return self.vision.clock_period_ns

    def to_toml(self) -> str:
        """The spec as TOML text that `from_toml` reads back to an equal spec."""
        own = [
            f"{f.name} = {toml_value(_plain(getattr(self, f.name)))}" for f in fields(self) if f.name not in MODALITIES
        ]
        parts = ["\n".join(own)]
        for modality, spec in zip(MODALITIES, self.crossbars, strict=True):
            parts.append(f"[{modality}]\n" + spec.to_toml().replace("[device]", f"[{modality}.device]"))
        return "\n\n".join(parts)

    @classmethod
    def from_toml(cls, text: str) -> AssociationSpec:
        """Read a spec: fields of this class, and a table ``[vision]`` and ``[audio]`` with those of a crossbar.

        Raises
        ------
        ValueError
            If the text is not TOML, or a field is missing, unknown or illegal.
        """
        table = parse_toml(text)
        check_fields(table, cls)
        for modality in MODALITIES:
            if not isinstance(table.get(modality), dict):
                raise ValueError(f"{modality}: expected a table [{modality}], got {shown(table.get(modality))}")
            try:
                table[modality] = CrossbarSpec.from_table(table[modality])
            except ValueError as error:
                raise ValueError(f"{modality}: {error}") from None
        try:
            return cls(**table)
        except TypeError as error:
            raise ValueError(f"not an association spec: {error}") from None


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Activation) else value


DIMENSIONS = 64
"""Of the common space in arXiv 2307.00771; more bring nothing (docs/results/association.md)."""

DIGITS_8BIT = AssociationSpec(
    name="DIGITS_8BIT",
    vision=replace(N_MNIST, name="VISION", outputs=DIMENSIONS),
    audio=replace(SPOKEN_DIGITS, name="AUDIO", outputs=DIMENSIONS),
)
"""Seen and spoken digits of arXiv 2307.00771: the liquids of `N_MNIST` and `SPOKEN_DIGITS`, 64 dimensions."""

DIGITS_4BIT = replace(
    DIGITS_8BIT, name="DIGITS_4BIT",
    vision=replace(DIGITS_8BIT.vision, readout_weight_bits=4), audio=replace(DIGITS_8BIT.audio, readout_weight_bits=4),
)  # fmt: skip
"""The same with projection weights of 4 bits: half the memory."""

DIGITS_BINARY = replace(
    DIGITS_8BIT, name="DIGITS_BINARY", activation=Activation.LINEAR, embedding_bits=1, match_lanes=1
)
"""The same with one bit per component: XOR and popcount instead of multipliers."""

PRESETS = {spec.name: spec for spec in (DIGITS_8BIT, DIGITS_4BIT, DIGITS_BINARY)}

load_association = partial(load_preset, presets=PRESETS, from_toml=AssociationSpec.from_toml)
"""A preset by name, or a spec from a TOML file; see `sim.spec_file.load_preset`."""
