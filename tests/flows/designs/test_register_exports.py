"""Exports of the concentrator's register maps, read back by other tools: a SystemRDL compiler, an XML parser, C."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from flows.designs.register_exports import c_header, ip_xact, register_page, system_rdl
from sim.hgcal_encoder.configuration.chip_registers import Access
from sim.hgcal_encoder.configuration.register_maps import Built, Chip, MapField, not_built, register_fields
from tests.conftest import REPOSITORY, need_module

_NAMESPACE = {"x": "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"}
Bits = dict[tuple[int, int], tuple[str, int, int, str]]
"""By address and bit: name of the field, number of the bit in it, reset value, access."""


def expected(chip: Chip) -> Bits:
    """Bits of a map, from the fields."""
    found: Bits = {}
    for field in register_fields(chip):
        for bit in range(field.width):
            place = field.lsb + bit
            reset = 0 if field.access is Access.COMMAND else field.reset >> bit & 1
            name = field.label.replace(".", "_")
            found[field.address + place // 8, place % 8] = (name, bit, reset, str(field.access))
    return found


def split(name: str) -> tuple[str, int]:
    """Field of a part, and the number of its first bit."""
    stem, _, first = name.partition("_from_")
    return (stem, int(first)) if first.isdecimal() else (name, 0)


@pytest.mark.parametrize("chip", list(Chip))
def test_system_rdl_is_read_back_bit_by_bit(chip: Chip, tmp_path: Path) -> None:
    need_module("systemrdl", "test")
    from systemrdl import RDLCompiler
    from systemrdl.node import FieldNode, RegNode

    (tmp_path / "map.rdl").write_text(system_rdl(chip))
    compiler = RDLCompiler()
    compiler.compile_file(str(tmp_path / "map.rdl"))
    found: Bits = {}
    for register in compiler.elaborate(f"econ_t_{chip}").top.descendants():
        if isinstance(register, RegNode):
            for field in register.fields():
                assert isinstance(field, FieldNode)
                name, first = split(field.inst_name)
                access = {"rw": "rw", "r": "ro", "w": "wo"}[field.get_property("sw").name]
                for bit in range(field.low, field.high + 1):
                    number = bit - field.low
                    reset = field.get_property("reset") >> number & 1
                    found[register.absolute_address, bit] = (name, first + number, reset, access)
    assert found == expected(chip)


@pytest.mark.parametrize("chip", list(Chip))
def test_ip_xact_is_read_back_bit_by_bit(chip: Chip) -> None:
    root = ElementTree.fromstring(ip_xact(chip))
    assert root.tag == f"{{{_NAMESPACE['x']}}}component"
    # the order of elements that the standard demands of a register field
    order = ["name", "description", "bitOffset", "resets", "bitWidth", "access"]
    found: Bits = {}

    def text(element: ElementTree.Element, name: str) -> str:
        child = element.find(f"x:{name}", _NAMESPACE)
        assert child is not None
        assert child.text
        return child.text

    for register in root.iterfind(".//x:register", _NAMESPACE):
        address = int(text(register, "addressOffset").removeprefix("'h"), 16)
        for field in register.iterfind("x:field", _NAMESPACE):
            tags = [child.tag.partition("}")[2] for child in field]
            assert tags == [tag for tag in order if tag in tags]
            name, first = split(text(field, "name"))
            value = field.find("x:resets/x:reset/x:value", _NAMESPACE)
            reset = int(str(value.text).removeprefix("'h"), 16) if value is not None else 0
            access = {"read-write": "rw", "read-only": "ro", "write-only": "wo"}[text(field, "access")]
            low = int(text(field, "bitOffset"))
            for number in range(int(text(field, "bitWidth"))):
                found[address, low + number] = (name, first + number, reset >> number & 1, access)
    assert found == expected(chip)


@pytest.mark.parametrize("chip", list(Chip))
def test_c_header_compiles_and_gives_addresses(chip: Chip, tmp_path: Path) -> None:
    """Addresses, places and widths of all kinds of fields, printed by a C program."""
    prefix = f"ECON_T_{chip.upper()}"
    kinds: dict[str, MapField] = {}
    for field in register_fields(chip):
        if field.index == 0 or field.name not in kinds:
            kinds[field.name] = field
    last = {field.name: field for field in register_fields(chip)}
    lines = []
    for name, field in kinds.items():
        end = last[name]
        numbers = [f.number for f in register_fields(chip) if f.name == name]
        items = [f.item for f in register_fields(chip) if f.name == name]
        end = next(f for f in register_fields(chip) if f.name == name and f.number == max(numbers) and
                   f.item == max(items))  # fmt: skip
        arguments = ", ".join([str(end.number)] * (max(numbers) > 0) + [str(end.item)] * (max(items) > 0))
        call = f"({arguments})" if arguments else ""
        macro = f"{prefix}_{name.upper()}"
        lines.append(f'printf("%u %u %u\\n", {macro}_ADDRESS{call}, {macro}_LSB, {macro}_WIDTH);')
        kinds[name] = end
        assert field.about
    (tmp_path / "registers.h").write_text(c_header(chip))
    program = '#include <stdio.h>\n#include "registers.h"\nint main(void) {\n' + "\n".join(lines) + "\nreturn 0; }\n"
    (tmp_path / "main.c").write_text(program)
    subprocess.run(["gcc", "-Wall", "-Werror", "-o", "main", "main.c"], cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True).stdout.split("\n")
    assert out[:-1] == [f"{field.address} {field.lsb} {field.width}" for field in kinds.values()]


@pytest.mark.parametrize("chip", list(Chip))
def test_the_page_of_the_docs_is_the_generated_one(chip: Chip) -> None:
    """The page lists every kind of field, and by name what is stored only or not built."""
    page = (REPOSITORY / "docs" / "chips" / f"concentrator_registers_{chip}.md").read_text()
    assert register_page(chip) in page
    for built, names in not_built(chip).items():
        assert names
        rows = re.findall(rf"^\| 0x.*\| `([^`]*)` \| \w+, {built} \|", page, re.M)
        plain = {re.sub(r"^(\w+)\.k\.", r"\1.", row) for row in rows}
        assert plain == {re.sub(r"#$", "i", name) for name in names}, built
    assert str(Built.YES) in page
