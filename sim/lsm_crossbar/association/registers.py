"""Register map of the association chip: both crossbars, its own settings, and the embedding memory on one write port.

The two highest address bits choose the part (`Part`); the others are the address within it. Settings of a crossbar and
its projection weights are at the addresses of `sim.lsm_crossbar.registers`. The embedding memory is written byte by
byte, a word at multiples of `entry_stride`: vision first, then audio; see `entry_words`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.lsm_crossbar import registers as crossbar_registers
from sim.lsm_crossbar.association.projection import Projection
from sim.lsm_crossbar.association.spec import MODALITIES, SHIFT_BITS, AssociationSpec
from sim.register_map import Field

__all__ = [
    "Part", "address_width", "association_registers", "entry_bytes", "entry_stride", "entry_words", "entry_writes",
    "part_width", "projection_writes", "setting_writes",
]  # fmt: skip


class Part(IntEnum):
    """What the two highest address bits choose."""

    VISION = 0
    AUDIO = 1
    SETTINGS = 2
    ENTRIES = 3


_SHIFT_ADDRESS, _USED_ADDRESS, _STRIDE = 0x0, 0x8, 4


def association_registers(spec: AssociationSpec) -> tuple[Field, ...]:
    """Settings of projection and match, ascending by address within `Part.SETTINGS`.

    ``shift`` of both projections (a sign has none), and ``used``: the entries of each modality that a query is compared
    with, at most `AssociationSpec.entries`.
    """
    shifts = [Field(name="shift", index=i, address=_SHIFT_ADDRESS + _STRIDE * i, width=SHIFT_BITS) for i in (0, 1)]
    return tuple(
        ([] if spec.binary else shifts)
        + [Field(name="used", index=i, address=_USED_ADDRESS + _STRIDE * i, width=spec.used_bits) for i in (0, 1)]
    )


def entry_bytes(spec: AssociationSpec) -> int:
    """Bytes of a word of the embedding memory."""
    return -(-spec.word_bits // 8)


def entry_stride(spec: AssociationSpec) -> int:
    """Addresses from one word of the embedding memory to the next: a power of two."""
    return 1 << (entry_bytes(spec) - 1).bit_length()


def part_width(spec: AssociationSpec) -> int:
    """Address bits within a part."""
    entries = (spec.memory_depth * entry_stride(spec) - 1).bit_length()
    return max(4, entries, *map(crossbar_registers.address_width, spec.crossbars))


def address_width(spec: AssociationSpec) -> int:
    """Bits of a byte address."""
    return 2 + part_width(spec)


def _in_part(spec: AssociationSpec, part: int, writes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [((part << part_width(spec)) + address, data) for address, data in writes]


def projection_writes(spec: AssociationSpec, modality: int, projection: Projection) -> list[tuple[int, int]]:
    """Byte writes that load a projection's weights, biases and shift."""
    readout = projection.readout
    writes = crossbar_registers.register_writes(spec.crossbars[modality], weights=readout.weights, bias=readout.bias)
    shift = [] if spec.binary else [(_SHIFT_ADDRESS + _STRIDE * modality, projection.shift)]
    return [*_in_part(spec, modality, writes), *_in_part(spec, Part.SETTINGS, shift)]


def setting_writes(spec: AssociationSpec, modality: int, threshold: int) -> list[tuple[int, int]]:
    """Byte writes that set the firing threshold of a liquid."""
    return _in_part(spec, modality, crossbar_registers.register_writes(spec.crossbars[modality], threshold=threshold))


def entry_words(spec: AssociationSpec, entries: npt.ArrayLike) -> list[int]:
    """Words of the memory of one modality that hold entries, word 0 first.

    Word ``p * dimensions + d`` holds component d of the entries of pass p, entry ``p * match_lanes + l`` in bits
    ``l * embedding_bits`` and up. Binary: word e holds entry e, component d in bit d, 1 for a negative one. Places
    beyond the last entry hold 0.

    Raises
    ------
    ValueError
        More entries than the memory has, another number of dimensions, or a component out of range.
    """
    values = check_range(entries, -spec.embedding_max - 1, spec.embedding_max, "entry")
    if values.ndim != 2 or values.shape[1] != spec.dimensions or len(values) > spec.entries:
        raise ValueError(f"entries: expected the shape (up to {spec.entries}, {spec.dimensions}), got {values.shape}")
    if spec.binary:
        return [_word(row, 1) for row in values]
    lanes = spec.match_lanes
    passes = -(-len(values) // lanes)
    padded = np.zeros((passes * lanes, spec.dimensions), np.int64)
    padded[: len(values)] = values
    by_component = padded.reshape(passes, lanes, spec.dimensions).transpose(0, 2, 1)
    return [_word(row, spec.embedding_bits) for row in by_component.reshape(-1, lanes)]


def _word(values: IntArray, bits: int) -> int:
    return sum((int(value) & ((1 << bits) - 1)) << bits * place for place, value in enumerate(values))


def entry_writes(spec: AssociationSpec, modality: int, entries: npt.ArrayLike) -> list[tuple[int, int]]:
    """Byte writes that store the entries of a modality, and say how many there are; errors as `entry_words`."""
    words = entry_words(spec, entries)
    first = modality * spec.memory_depth // 2
    size, stride = entry_bytes(spec), entry_stride(spec)
    writes = [
        ((first + number) * stride + byte, word >> 8 * byte & 0xFF)
        for number, word in enumerate(words)
        for byte in range(size)
    ]
    used = len(np.asarray(entries))
    field = next(f for f in association_registers(spec) if (f.name, f.index) == ("used", modality))
    return [
        *_in_part(spec, Part.ENTRIES, writes),
        *_in_part(spec, Part.SETTINGS, [(field.address + byte, used >> 8 * byte & 0xFF) for byte in range(field.size)]),
    ]


assert len(MODALITIES) == Part.SETTINGS, "the parts of the crossbars come first"
