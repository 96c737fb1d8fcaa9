"""Register maps of the whole concentrator, first silicon and production: every field, what it does, whether it works.

The maps are data (``sim/hgcal_encoder/data/registers_production.csv`` and ``registers_p1.csv``). Hardware
(`hw.hgcal_encoder.concentrator_control`), driver (`ConcentratorDriver`), documents and exports
(`flows.designs.register_exports`) read them. Addresses, widths, reset values and names are facts of the register
maps of ECON-T-P1 (cmantill/econt_sw @e403a79) and of production (LDMX-Software/pflib @bc37b50). Two faults of the first
one are mended: ``err_raw_dat`` of the error channels, published beyond the byte that it lies in, is left out, since its
flags are fields of their own; ``pre_emphasis_strength`` of a transmitter, published over the last bit of
``pre_emphasis_width``, starts a bit higher, as on production and as its reset value says.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from sim.chip_driver import I2cBus, RegisterBytes
from sim.foreign_files import read_yaml
from sim.hgcal_encoder.configuration.chip_registers import DEVICE_ADDRESS, Access
from sim.messages import shown
from sim.register_map import Field

__all__ = [
    "Built", "Chip", "ConcentratorDriver", "MapField", "RegisterValues", "groups", "not_built", "read_registers",
    "register_bytes", "register_fields",
]  # fmt: skip

DEPENDS_ON = ("../data/registers_p1.csv", "../data/registers_production.csv")
_DATA = Path(__file__).parent.parent / "data"
RegisterValues = dict[tuple[str, int], int]
"""Values of fields by group and index."""


class Chip(StrEnum):
    """A version of ECON-T."""

    P1 = "p1"
    """First silicon."""
    PRODUCTION = "production"


class Built(StrEnum):
    """What stands behind a field."""

    YES = "yes"
    """It works."""
    STORED = "stored"
    """Written and read back; what it sets is analogue, or not built."""
    NO = "no"
    """Reads its reset value, or has no effect: what it reports or does is not built."""


@dataclass(frozen=True, kw_only=True)
class MapField(Field):
    """A field of a concentrator. Its `name` is that of its group, ``block_field``; `index` counts block by block.

    Attributes
    ----------
    block : str
        Block of the chip, as settings files of production spell it.
    number : int
        Number of the block; 0 where there is one.
    field : str
        Name in the block, ``#`` for the number of an item.
    item : int
        Number of the item; 0 where there is one.
    access : Access
    built : Built
    spelling : str
        Place in layered files of first silicon, ``BLOCK/register`` or ``BLOCK/register/parameter``.
    about : str
        One sentence.
    """

    block: str
    number: int
    field: str
    item: int
    access: Access
    built: Built
    spelling: str
    about: str

    @property
    def label(self) -> str:
        """Full name, as in documents: ``ChAligner.3.user_word_1``."""
        return self._label

    _label: str = ""


@cache
def register_fields(chip: Chip) -> tuple[MapField, ...]:
    """All fields of a chip, ascending by address and bit."""
    found = []
    with (_DATA / f"registers_{chip}.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            blocks, items = int(row["blocks"]), int(row["items"])
            stem = row["field"].removesuffix("#").removesuffix("_")
            name = "_".join(filter(None, (row["block"], stem))).lower()
            first = int(row["address"], 16)
            for number in range(blocks):
                for item in range(items):
                    index = number * items + item
                    parts = [row["block"], str(number)] if blocks > 1 else [row["block"]]
                    found.append(MapField(
                        name=name, index=index,
                        address=first + number * int(row["block_step"]) + item * int(row["item_step"]),
                        lsb=int(row["lsb"]), width=int(row["width"]),
                        reset=index if row["reset"] == "index" else int(row["reset"], 16), block=row["block"],
                        number=number, field=row["field"], item=item, access=Access(row["access"]),
                        built=Built(row["built"]), spelling=row["spelling"], about=row["about"],
                        _label=".".join([*parts, row["field"].replace("#", str(item))]),
                    ))  # fmt: skip
    return tuple(sorted(found, key=lambda field: (field.address, field.lsb)))


def groups(fields: Iterable[MapField]) -> dict[str, list[MapField]]:
    """Fields by group, in the order of their indices."""
    found: dict[str, list[MapField]] = {}
    for field in sorted(fields, key=lambda field: field.index):
        found.setdefault(field.name, []).append(field)
    return found


def not_built(chip: Chip) -> dict[Built, tuple[str, ...]]:
    """Names of fields that do not work as on the chip: block and field, numbers left out."""
    found: dict[Built, tuple[str, ...]] = {}
    for built in (Built.STORED, Built.NO):
        names = (f"{field.block}.{field.field}" for field in register_fields(chip) if field.built is built)
        found[built] = tuple(dict.fromkeys(names))
    return found


def register_bytes(chip: Chip, values: Mapping[tuple[str, int], int]) -> dict[int, int]:
    """Bytes that hold the fields `values` names, ascending by address; other fields in them at their reset values.

    Raises
    ------
    ValueError
        If there is no such field, it cannot be written, or a value does not fit.
    """
    by_place = {(field.name, field.index): field for field in register_fields(chip)}
    for place, value in values.items():
        _check(by_place, place, value)
    touched = {
        address
        for place in values
        for address in range(by_place[place].address, by_place[place].address + by_place[place].size)
    }
    memory = dict.fromkeys(sorted(touched), 0)
    for place, field in by_place.items():
        if field.access is Access.READ_WRITE or place in values:
            bits = values.get(place, field.reset) << field.lsb
            for byte in range(field.size):
                if field.address + byte in memory:
                    memory[field.address + byte] |= bits >> 8 * byte & 0xFF
    return memory


def _check(by_place: Mapping[tuple[str, int], MapField], place: tuple[str, int], value: int) -> MapField:
    name, index = place
    if place not in by_place:
        raise ValueError(f"no register {shown(name, quoted=False)}[{index}]")
    field = by_place[place]
    if field.access is Access.READ_ONLY:
        raise ValueError(f"{field.label} cannot be written")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << field.width:
        got = shown(value) if not isinstance(value, int) or value.bit_length() > 256 else hex(value)
        raise ValueError(f"{field.label}: expected 0 to {(1 << field.width) - 1:#x}, got {got}")
    return field


def read_registers(path: Path) -> tuple[Chip, RegisterValues]:
    """Values of a settings file, every block of the chip, in either spelling.

    Parameters
    ----------
    path : Path
        ``Block: {number or Global: {field: value}}`` as for production, with ``ConfigAlgo``, or as for first silicon,
        with ``Algorithm``; or layered, ``ECON-T: RW: BLOCK: registers: name: value or params``.

    Returns
    -------
    chip : Chip
        As the spelling says.
    values : dict
        By group and index; fields that cannot be written are left out, since dumps of a chip hold them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a name is unknown or a value does not fit; the message names file and place.
    """
    content = read_yaml(path)
    try:
        if not isinstance(content, Mapping):
            raise ValueError("expected a table of settings sections")
        if isinstance(content.get("ECON-T"), Mapping):
            return Chip.P1, _checked(Chip.P1, _layered(content["ECON-T"]))
        if "ConfigAlgo" in content and "Algorithm" in content:
            raise ValueError("has sections ConfigAlgo (production) and Algorithm (first silicon)")
        chip = Chip.P1 if "Algorithm" in content or "PLL" in content else Chip.PRODUCTION
        return chip, _checked(chip, _flat(content, chip))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


Named = Iterator[tuple[str, str, Any]]
"""Where a value stands in the file, its full name in the map or an empty text, the value."""
_ALIASES = {"FmtBuf": "FormatterBuffer", "active_etxs": "eporttx_numen", "link_reset_pattern": "tx_sync_word"}
"""Other names of a block, and, in published files of first silicon, of a field."""


def _checked(chip: Chip, named: Named) -> RegisterValues:
    labels = {field.label: field for field in register_fields(chip)}
    by_place = {(field.name, field.index): field for field in register_fields(chip)}
    values: RegisterValues = {}
    for where, label, value in named:
        if label not in labels:
            raise ValueError(f"no register {shown(where, quoted=False)} on the {chip} chip")
        field = labels[label]
        if field.access is Access.READ_ONLY:
            continue
        _check(by_place, (field.name, field.index), value)
        values[field.name, field.index] = value
    return values


def _flat(content: Mapping[Any, Any], chip: Chip) -> Named:
    """Names of ``Block: {Global or number: {field: value}}``."""
    for given, section in content.items():
        block = _ALIASES.get(given, given) if isinstance(given, str) else given
        if block == "AlgoDroplsb":
            # published files write the number itself
            bare = section.get("Global", section) if isinstance(section, Mapping) else section
            section = bare if isinstance(bare, Mapping) else {"drop_lsb": bare}
        if section is None:
            continue
        if not isinstance(section, Mapping):
            raise ValueError(f"{shown(given, quoted=False)}: expected a table, got {shown(section)}")
        levels = section["Global"] if isinstance(section.get("Global"), Mapping) else section
        if levels is not section:
            yield from _fields(str(block), "", levels, chip)
        for key, value in section.items():
            if key == "Global" and levels is not section:
                continue
            if isinstance(value, Mapping):
                mux = str(key).startswith("Mux")
                number = str(key).removeprefix("Mux")
                yield from _fields(
                    f"{block}Mux" if mux else str(block),
                    str(int(number)) if number.isdecimal() else number,
                    value,
                    chip,
                )
            else:
                yield from _fields(str(block), "", {key: value}, chip)


def _fields(block: str, number: str, values: Mapping[Any, Any], chip: Chip) -> Named:
    for name, value in values.items():
        known = _ALIASES.get(name, name) if chip is Chip.P1 and isinstance(name, str) else name
        entries = {"": value} if not isinstance(value, Mapping) else {f"_{item}": v for item, v in value.items()}
        for suffix, entry in entries.items():
            label = ".".join(filter(None, (block, number, f"{known}{suffix}")))
            yield label, label, entry


def _layered(chip: Mapping[Any, Any]) -> Named:
    """Names of ``RW: BLOCK: registers: name: {value, params}``."""
    by_spelling: dict[str, list[MapField]] = {}
    for field in register_fields(Chip.P1):
        by_spelling.setdefault(field.spelling, []).append(field)
    for kind in ("RW", "WO"):
        blocks = chip.get(kind)
        for block, body in blocks.items() if isinstance(blocks, Mapping) else ():
            registers = body.get("registers") if isinstance(body, Mapping) else None
            where = f"ECON-T.{kind}.{shown(block, quoted=False)}"
            if not isinstance(registers, Mapping):
                raise ValueError(f"{where}: expected a table with registers")
            stem, number = _numbered(str(block), by_spelling)
            for register, entry in registers.items():
                yield from _register(f"{where}.{register}", f"{stem}/{register}", number, entry, by_spelling)


def _numbered(block: str, by_spelling: Mapping[str, list[MapField]]) -> tuple[str, int | None]:
    """The spelling of a block with ``*``, and its number, None for all of them."""
    known = {spelling.partition("/")[0] for spelling in by_spelling}
    if block in known:
        return block, None
    for stem in known:
        before, star, after = stem.partition("*")
        middle = block.removeprefix(before).removesuffix(after)
        if star and block.startswith(before) and block.endswith(after) and middle.isdecimal():
            return stem, int(middle)
    return block, None


def _register(
    where: str, spelling: str, number: int | None, entry: Any, by_spelling: Mapping[str, list[MapField]]
) -> Named:
    """Values of one register of a layered file: of the whole one, of its parameters, or of each of its items."""
    value = entry.get("value") if isinstance(entry, Mapping) else entry
    params = entry.get("params") if isinstance(entry, Mapping) else None
    parameters = _parameters(spelling, by_spelling)
    base, _, tail = spelling.rpartition("_")
    item = None
    if spelling not in by_spelling and not parameters and tail.isdecimal():
        item = int(tail)
        known = (f"{base}_{sign}" for sign in "*#")
        spelling = next((s for s in known if s in by_spelling or _parameters(s, by_spelling)), spelling)
        parameters = _parameters(spelling, by_spelling)
    fields = by_spelling.get(spelling, [])
    if not fields and not parameters:
        yield where, "", value
    chosen = [f for f in fields if number in (None, f.number) and item in (None, f.item)]
    for field in chosen if value is not None else ():
        yield where, field.label, value[field.item] if isinstance(value, list) and field.item < len(value) else value
    for name, own in parameters.items():
        for field in (f for f in own if number in (None, f.number) and item in (None, f.number)):
            whole = value[field.number] if isinstance(value, list) and field.number < len(value) else value
            given = params.get(name) if isinstance(params, Mapping) else None
            if isinstance(given, Mapping) and "param_value" in given:
                yield f"{where}.{name}", field.label, given["param_value"]
            elif isinstance(whole, int) and not isinstance(whole, bool):
                first = min(f.address for fs in parameters.values() for f in fs if f.number == field.number)
                shift = 8 * (field.address - first) + field.lsb
                yield f"{where}.{name}", field.label, whole >> shift & ((1 << field.width) - 1)


def _parameters(spelling: str, by_spelling: Mapping[str, list[MapField]]) -> dict[str, list[MapField]]:
    """Fields of a register of several parameters, by parameter."""
    return {s.rpartition("/")[2]: fields for s, fields in by_spelling.items() if s.startswith(f"{spelling}/")}


class ConcentratorDriver(RegisterBytes):
    """Registers of a concentrator by name, over any I2C adapter (`sim.chip_driver.I2cBus`).

    Parameters
    ----------
    bus : I2cBus
    chip : Chip
    device_address : int
        7 bits: 0x20 and the four address pins.
    burst : int
        Bytes of one transfer at most.

    Raises
    ------
    ValueError
        If `burst` is below 1.
    """

    def __init__(self, bus: I2cBus, chip: Chip, *, device_address: int = DEVICE_ADDRESS, burst: int = 32) -> None:
        super().__init__(bus, device_address=device_address, burst=burst)
        self.chip = chip
        self._fields = {(field.name, field.index): field for field in register_fields(chip)}

    def read(self, name: str, index: int = 0) -> int:
        """Value of a field.

        Raises
        ------
        ValueError
            If there is no such field, or it is a command.
        """
        if (name, index) not in self._fields:
            raise ValueError(f"no register {shown(name, quoted=False)}[{index}]")
        field = self._fields[name, index]
        if field.access is Access.COMMAND:
            raise ValueError(f"{field.label} is a command and cannot be read")
        return self._read_field(field)

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Set a field; other fields in its bytes keep their values.

        Raises
        ------
        ValueError
            If there is no such field, it cannot be written, or the value does not fit. Nothing is written then.
        """
        field = _check(self._fields, (name, index), value)
        self._write_field(field, value, keep=field.access is Access.READ_WRITE)

    def load(self, values: Mapping[tuple[str, int], int]) -> None:
        """Set many fields; bytes that they share with others get the reset values of those; errors as `write`."""
        self.write_bytes(register_bytes(self.chip, values))
