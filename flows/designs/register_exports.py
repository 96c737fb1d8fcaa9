"""Documents and exports of a concentrator's register map: Markdown, C header, SystemRDL, IP-XACT.

SystemRDL 2.0 (Accellera, 2018) and IP-XACT (IEEE 1685-2014) describe the map byte by byte, as the bus sees it: a
register of 8 bits for each address, and in it the parts of fields. A part is named as its field, with ``_from_N`` if it
does not hold the field's lowest bit, where N is the number of its first bit.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from itertools import groupby

from sim.hgcal_encoder.configuration.chip_registers import Access
from sim.hgcal_encoder.configuration.register_maps import (
    Built,
    Chip,
    MapField,
    groups,
    not_built,
    register_fields,
)

__all__ = ["FieldPart", "c_header", "ip_xact", "parts", "register_page", "system_rdl"]

_SPIRIT = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
_SOURCES = {
    Chip.P1: "first silicon (cmantill/econt_sw @e403a79)", Chip.PRODUCTION: "production (LDMX-Software/pflib @bc37b50)",
}  # fmt: skip
_TITLES = {Chip.P1: "ECON-T first silicon", Chip.PRODUCTION: "ECON-T production"}


@dataclass(frozen=True, kw_only=True)
class FieldPart:
    """Bits of a field in one byte.

    Attributes
    ----------
    field : MapField
    address : int
    low, high : int
        First and last bit in the byte.
    first : int
        Number of the lowest of them in the field.
    """

    field: MapField
    address: int
    low: int
    high: int
    first: int

    @property
    def name(self) -> str:
        """Identifier: label of the field, and the first bit where that is not 0."""
        stem = self.field.label.replace(".", "_")
        return stem if self.first == 0 else f"{stem}_from_{self.first}"

    @property
    def reset(self) -> int:
        """Reset value of these bits."""
        return self.field.reset >> self.first & ((1 << self.high - self.low + 1) - 1)


def parts(chip: Chip) -> list[FieldPart]:
    """All fields cut into bytes, ascending by address and bit."""
    found = []
    for field in register_fields(chip):
        first, place = 0, field.lsb
        while first < field.width:
            low = place % 8
            count = min(8 - low, field.width - first)
            found.append(FieldPart(
                field=field, address=field.address + place // 8, low=low, high=low + count - 1, first=first,
            ))  # fmt: skip
            first, place = first + count, place + count
    return sorted(found, key=lambda part: (part.address, part.low))


def _by_address(chip: Chip) -> list[tuple[int, list[FieldPart]]]:
    return [(address, list(group)) for address, group in groupby(parts(chip), key=lambda part: part.address)]


def register_page(chip: Chip) -> str:
    """The map as Markdown: one row for each kind of field, and by name what does not work as on the chip."""
    lines = [
        "| address | bits | field | access, built | reset | meaning |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    rows = sorted(groups(register_fields(chip)).values(), key=lambda fields: (fields[0].address, fields[0].lsb))
    for fields in rows:
        field = fields[0]
        blocks, items = 1 + max(f.number for f in fields), 1 + max(f.item for f in fields)
        address = f"0x{field.address:04x}"
        for count, sign, step in (
            (blocks, "k", next((f.address - field.address for f in fields if f.number == 1), 0)),
            (items, "i", next((f.address - field.address for f in fields if f.item == 1), 0)),
        ):
            if count > 1:
                address += f" + {step} {sign}"
        high = field.lsb + field.width - 1
        bits = f"{high}:{field.lsb}" if field.width > 1 else f"{field.lsb}"
        label = f"{field.block}.{'k.' if blocks > 1 else ''}{field.field.replace('#', 'i')}"
        reset = "" if field.access is Access.COMMAND else f"{field.reset:#x}"
        if field.width > 64 and field.reset == (1 << field.width) - 1:
            reset = "all ones"
        if len({f.reset for f in fields}) > 1:
            reset = "i"
        how = f"{field.access}, {field.built}"
        lines.append(f"| {address} | {bits} | `{label}` | {how} | {reset} | {field.about} |")
    missing = not_built(chip)
    fields_ = register_fields(chip)
    text = f"{len(fields_):,} fields; those that can be written hold {_bits(fields_):,} bits.\n\n" + "\n".join(lines)
    for built, title in ((Built.STORED, "Stored, without effect"), (Built.NO, "Not built")):
        names = ", ".join(f"`{name}`" for name in missing[built])
        text += f"\n\n**{title}** ({len(missing[built])}): {names}."
    return text + "\n"


def _bits(fields: tuple[MapField, ...]) -> int:
    return sum(field.width for field in fields if field.access is Access.READ_WRITE)


def c_header(chip: Chip) -> str:
    """The map as a C header: address, lowest bit and width of every kind of field."""
    prefix = f"ECON_T_{chip.upper()}"
    lines = [
        f"/* Registers of {_SOURCES[chip]}.",
        "   Addresses count bytes; a field goes upwards from bit *_LSB of the byte at *_ADDRESS, lowest byte",
        "   first. Generated by liquidcal. */", f"#ifndef {prefix}_REGISTERS_H", f"#define {prefix}_REGISTERS_H", "",
        f"#define {prefix}_DEVICE_ADDRESS 0x20u",
    ]  # fmt: skip
    rows = sorted(groups(register_fields(chip)).values(), key=lambda fields: (fields[0].address, fields[0].lsb))
    for fields in rows:
        field, name = fields[0], f"{prefix}_{fields[0].name.upper()}"
        lines += ["", f"/* {field.about} ({field.access}, {_MEANING[field.built]}) */"]
        step = next((f.address - field.address for f in fields if f.number == 1), 0)
        item = next((f.address - field.address for f in fields if f.item == 1 and f.number == 0), 0)
        terms = [f"0x{field.address:04x}u"]
        arguments = []
        for size, argument in ((step, "block"), (item, "item")):
            if size:
                arguments.append(argument)
                terms.append(f"{size}u * ({argument})")
        call = f"({', '.join(arguments)})" if arguments else ""
        lines.append(f"#define {name}_ADDRESS{call} ({' + '.join(terms)})")
        lines += [f"#define {name}_LSB {field.lsb}u", f"#define {name}_WIDTH {field.width}u"]
        if len(fields) > 1:
            lines.append(f"#define {name}_COUNT {len(fields)}u")
    return "\n".join([*lines, "", f"#endif /* {prefix}_REGISTERS_H */", ""])


_MEANING = {Built.YES: "works", Built.STORED: "stored, without effect", Built.NO: "not built"}


def system_rdl(chip: Chip) -> str:
    """The map in SystemRDL 2.0."""
    access = {
        Access.READ_WRITE: "sw = rw; hw = r;", Access.READ_ONLY: "sw = r; hw = w;",
        Access.COMMAND: "sw = w; hw = r; singlepulse;",
    }  # fmt: skip
    lines = [
        f"// Registers of {_SOURCES[chip]}; generated by liquidcal.",
        f"addrmap econ_t_{chip} {{", f'  name = "{_TITLES[chip]}";', "  default regwidth = 8;",
        "  default accesswidth = 8;",
    ]  # fmt: skip
    for address, fields in _by_address(chip):
        lines.append("  reg {")
        for part in fields:
            about = part.field.about.replace('"', "'")
            # a command reads as 0; what hardware drives has its reset value until it is driven
            reset = 0 if part.field.access is Access.COMMAND else part.reset
            lines.append(
                f'    field {{ desc = "{about}"; {access[part.field.access]} }} '
                f"{part.name}[{part.high}:{part.low}] = {part.high - part.low + 1}'h{reset:x};"
            )
        lines.append(f"  }} byte_{address:04x} @ 0x{address:04x};")
    return "\n".join([*lines, "};", ""])


def ip_xact(chip: Chip) -> str:
    """The map as an IP-XACT component (IEEE 1685-2014)."""
    ElementTree.register_namespace("ipxact", _SPIRIT)

    def add(parent: ElementTree.Element, tag: str, text: str | None = None) -> ElementTree.Element:
        child = ElementTree.SubElement(parent, f"{{{_SPIRIT}}}{tag}")
        child.text = text
        return child

    root = ElementTree.Element(f"{{{_SPIRIT}}}component")
    for tag, text in (("vendor", "liquidcal"), ("library", "hgcal"), ("name", f"econ_t_{chip}"), ("version", "1.0")):
        add(root, tag, text)
    memory = add(add(root, "memoryMaps"), "memoryMap")
    add(memory, "name", "registers")
    block = add(memory, "addressBlock")
    by_address = _by_address(chip)
    for tag, text in (
        ("name", "i2c"), ("baseAddress", "0"), ("range", f"{by_address[-1][0] + 1}"), ("width", "8"),
        ("usage", "register"),
    ):  # fmt: skip
        add(block, tag, text)
    access = {Access.READ_WRITE: "read-write", Access.READ_ONLY: "read-only", Access.COMMAND: "write-only"}
    for address, fields in by_address:
        register = add(block, "register")
        for tag, text in (
            ("name", f"byte_{address:04x}"), ("addressOffset", f"'h{address:x}"), ("size", "8"),
        ):  # fmt: skip
            add(register, tag, text)
        for part in fields:
            field = add(register, "field")
            add(field, "name", part.name)
            add(field, "description", part.field.about)
            add(field, "bitOffset", f"{part.low}")
            if part.field.access is not Access.COMMAND:
                add(add(add(field, "resets"), "reset"), "value", f"'h{part.reset:x}")
            add(field, "bitWidth", f"{part.high - part.low + 1}")
            add(field, "access", access[part.field.access])
    add(memory, "addressUnitBits", "8")
    add(root, "description", f"Registers of {_SOURCES[chip]}")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
