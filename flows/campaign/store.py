"""Which value every flip-flop of the store has while the chip holds an image, in every scheme and way of loading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from flows.campaign.faults import Target
from flows.designs.storage_bits import StorageBit, Stratum
from hw.common.registered import described
from hw.common.scheme import Scheme
from hw.common.secded_cell import check_bits, check_columns
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.coded_words import WordMap
from sim.hgcal_encoder.configuration.chip_registers import Loading, image_fields, image_masks
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["reset_image", "stored_values"]

_BYTE = re.compile(r"(?:^|\.)(byte_[0-9a-f]{4}(?:_part_\d+)?)\.")
_WORD = re.compile(r"(?:^|\.)(word_\w+)\.")


def reset_image(spec: EncoderSpec) -> dict[int, int]:
    """Every byte of the image as it is after reset, ascending by address."""
    image = dict.fromkeys(image_masks(spec), 0)
    for field in image_fields(spec):
        for byte in range(field.size):
            image[field.address + byte] |= (field.reset << field.lsb) >> (8 * byte) & 0xFF
    return image


def stored_values(
    spec: EncoderSpec, scheme: Scheme, loading: Loading, image: Mapping[int, int], bits: Iterable[StorageBit]
) -> dict[Target, bool]:
    """Value of every flip-flop of weights, settings and shadow bank, check bits included.

    Parameters
    ----------
    spec, scheme, loading : EncoderSpec, Scheme, Loading
    image : mapping of int to int
        Every byte, by address.
    bits : iterable of StorageBit
        Flip-flops of the chip; those of other strata are left out of the result.

    Raises
    ------
    ValueError
        If a flip-flop of the store is no bit of a byte or word that the image has.
    """
    whole: dict[str, list[tuple[int, int]]] = {}
    for address, position in _places(spec):
        whole.setdefault(f"byte_{address:04x}", []).append((address, position))
    cells = _cells(spec, scheme, loading, whole)
    found: dict[Target, bool] = {}
    words: dict[str, list[bool]] = {}
    for bit in bits:
        if bit.stratum not in (Stratum.WEIGHT, Stratum.SETTING, Stratum.SHADOW):
            continue
        matched = _BYTE.search(bit.path) or _WORD.search(bit.path)
        places = (whole if bit.stratum is Stratum.SHADOW else cells).get(matched[1]) if matched else None
        if matched is None or places is None:
            raise ValueError(f"{scheme}: {bit.path} is no part of the store, its value is not known")
        name = f"shadow.{matched[1]}" if bit.stratum is Stratum.SHADOW else matched[1]
        if name not in words:
            data = [bool(image[address] >> position & 1) for address, position in places]
            words[name] = [*data, *_checks(spec, scheme, bit.stratum, matched[1], data)]
        # the parity of a byte in the shadow bank is a flip-flop of its own
        place = len(places) if bit.path.endswith(".parity") else bit.bit
        found[bit.path, bit.bit] = words[name][place]
    return found


def _places(spec: EncoderSpec) -> list[tuple[int, int]]:
    """Address and position of every bit of the image, ascending."""
    return [
        (address, position)
        for address, mask in image_masks(spec).items()
        for position in range(8)
        if mask >> position & 1
    ]


@cache
def _word_map(spec: EncoderSpec) -> WordMap:
    return WordMap(spec=spec)


@cache
def _used(spec: EncoderSpec) -> dict[str, tuple[int, ...]]:
    """Data bits that each code word has, by its name."""
    return {word.name: word.used for word in _word_map(spec).words}


def _cells(
    spec: EncoderSpec, scheme: Scheme, loading: Loading, whole: Mapping[str, list[tuple[int, int]]]
) -> Mapping[str, list[tuple[int, int]]]:
    """Address and position of each data bit of every byte or word of the active store, by the name of its instance.

    `whole` are those of a bank whose bytes are one cell each. With guarded loading a byte of several parts is several.
    """
    if scheme is Scheme.SECDED_WORDS:
        words = _word_map(spec)
        return {
            word.name: [(words.addresses[number // 8], number % 8) for number in word.image_bits]
            for word in words.words
        }
    if loading is Loading.DIRECT:
        return whole
    parts = iter(described(Chip, spec=spec, scheme=scheme, loading=loading).parts)
    found: dict[str, list[tuple[int, int]]] = {}
    for name, places in whole.items():
        first = None
        for place, part in zip(places, parts, strict=False):
            first = part if first is None else first
            found.setdefault(name if part == first else f"{name}_part_{part}", []).append(place)
    return found


def _checks(spec: EncoderSpec, scheme: Scheme, stratum: Stratum, name: str, data: list[bool]) -> list[bool]:
    """Check bits after the data bits of a byte or word."""
    if stratum is Stratum.SHADOW:
        return [sum(data) % 2 == 0]
    if scheme is Scheme.SECDED:
        columns = check_columns(len(data))
        return [
            sum(bit for bit, column in zip(data, columns, strict=True) if column >> row & 1) % 2 == 1
            for row in range(check_bits(len(data)))
        ]
    if scheme is Scheme.SECDED_WORDS:
        code = _word_map(spec).dense.code
        checks = code.checks_of(sum(bit << place for place, bit in zip(_used(spec)[name], data, strict=True)))
        return [bool(checks >> row & 1) for row in range(code.check_bits)]
    return []
