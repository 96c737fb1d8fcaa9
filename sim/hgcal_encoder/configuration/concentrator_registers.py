"""Registers of a concentrator without the links around it: its settings, at the addresses of the production chip.

What the core reads is named in `sim.hgcal_encoder.concentrator_spec`; the rest of a chip's map (aligners, fast
commands, serialisers) stands around it. A chip with the word order of first silicon has these addresses, too: there
they serve to load it, not to be compared with that chip's map.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.configuration.production_registers import production_map
from sim.hgcal_encoder.configuration.register_maps import Chip
from sim.hgcal_encoder.spec import WordOrder
from sim.hgcal_encoder.weights import BLOCKS
from sim.register_map import Field

__all__ = ["chip_of", "concentrator_fields", "concentrator_writes", "reset_registers"]


def chip_of(spec: ConcentratorSpec) -> Chip:
    """The version of the chip that has the word order of a spec: its register map is that of the whole chip."""
    return Chip.P1 if spec.word_order is WordOrder.P1 else Chip.PRODUCTION


def concentrator_fields(spec: ConcentratorSpec) -> tuple[Field, ...]:
    """Fields of the settings that this chip has, ascending by address. Groups have the names of the core's ports."""
    encoder = spec.encoder
    # bytes of a block: the image in equal parts
    block = (encoder.weight_bits + 8 * BLOCKS - 1) // (8 * BLOCKS)
    kept = [field for field in production_map() if field.name in spec.settings]
    first = min((field.address for field in kept if field.name == "weights"), default=0)
    found = []
    for field in kept:
        if field.name == "keep_auto_encoder_bits":
            found.append(replace(field, width=encoder.keep_bits, reset=(1 << encoder.keep_bits) - 1))
        elif field.name == "weights":
            left = encoder.weight_bits - 8 * block * field.index
            if left > 0:
                found.append(replace(field, address=first + block * field.index, width=min(8 * block, left)))
        else:
            found.append(field)
    return tuple(found)


def reset_registers(spec: ConcentratorSpec) -> dict[str, int]:
    """What the settings hold after reset, each as one number, element 0 in the lowest bits."""
    values: dict[str, int] = dict.fromkeys(spec.settings, 0)
    place = dict.fromkeys(spec.settings, 0)
    for field in sorted(concentrator_fields(spec), key=lambda field: field.index):
        values[field.name] |= field.reset << place[field.name]
        place[field.name] += field.width
    return values


def concentrator_writes(spec: ConcentratorSpec, values: Mapping[str, int]) -> list[tuple[int, int]]:
    """Byte writes that load settings, ascending by address; those not named stay at their reset values.

    Parameters
    ----------
    spec : ConcentratorSpec
    values : mapping of str to int
        By name, as `reset_registers` has them.

    Raises
    ------
    ValueError
        A name that this chip has no setting of, or a value that does not fit.
    """
    if unknown := sorted(set(values) - set(spec.settings)):
        raise ValueError(f"{spec.name} has no setting {', '.join(unknown)}; it has {', '.join(spec.settings)}")
    for name, value in values.items():
        if not 0 <= value < 1 << spec.settings[name]:
            raise ValueError(f"{name}: expected {spec.settings[name]} bits, got {value:#x}"[:200])
    left = reset_registers(spec) | dict(values)
    memory: dict[int, int] = {}
    for field in sorted(concentrator_fields(spec), key=lambda field: field.index):
        value = left[field.name] & ((1 << field.width) - 1)
        left[field.name] >>= field.width
        for byte, data in enumerate((value << field.lsb).to_bytes(field.size, "little")):
            memory[field.address + byte] = memory.get(field.address + byte, 0) | data
    return sorted(memory.items())
