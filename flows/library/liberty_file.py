"""Reading Liberty files: groups, attributes and units, whatever parser stands behind.

Everything else of this room reads a file through `read_liberty_file`: the cells (`flows.library.cells`) and the tables
of power and delay (`flows.library.power_library`). The parser is libparse, which is yosys' own; nothing but
`read_liberty_file` and `Group` knows it, so another one could take its place. Format: Liberty User Guides and Reference
Manual Suite, version 2017.06.
"""

from __future__ import annotations

import gzip
import math
import re
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from flows.common.content_cache import cache_directory, file_sha256
from flows.common.errors import FlowError
from flows.common.units import scaled
from sim.files import replacing
from sim.messages import shown

__all__ = [
    "Group",
    "LibertyFile",
    "LibraryError",
    "LibraryMissingError",
    "Units",
    "read_liberty_file",
    "unpacked",
]


class LibraryError(FlowError):
    """A cell library could not be fetched, is corrupt, or lacks a needed cell. The message says what to do."""


class LibraryMissingError(LibraryError):
    """A cell library is not on this machine and could not be fetched."""


class Group:
    """A Liberty group, ``kind(names) { attributes and groups }``, or a complex attribute, ``kind(values);``."""

    def __init__(self, node: Any, path: Path) -> None:
        self._node = node
        self._path = path

    @property
    def kind(self) -> str:
        """``cell``, ``pin``, ``timing``, ..."""
        return str(self._node.id)

    @property
    def names(self) -> tuple[str, ...]:
        """What stands in the parentheses, without quotes."""
        return tuple(_unquoted(argument) for argument in self._node.args)

    @property
    def name(self) -> str:
        """The first of `names`.

        Raises
        ------
        LibraryError
            There is none.
        """
        if not (names := self.names):
            raise LibraryError(f"{self._path}: a group {shown(self.kind, quoted=False)} without a name")
        return names[0]

    def text(self, attribute: str) -> str | None:
        """Value of a simple attribute without quotes; None if it is absent or empty."""
        for child in self._node.children:
            if child.id == attribute and child.value:
                return _unquoted(child.value)
        return None

    def number(self, attribute: str) -> float | None:
        """Value of a simple attribute as a number; None if it is absent.

        Raises
        ------
        LibraryError
            It is no finite number.
        """
        found = self.text(attribute)
        return None if found is None else self._number(attribute, found.replace('"', "").replace(" ", ""))

    def numbers(self, attribute: str) -> list[float] | None:
        """All numbers of a complex attribute such as ``values`` or ``index_1``; None if it is absent.

        Raises
        ------
        LibraryError
            One is no finite number.
        """
        for child in self._node.children:
            if child.id == attribute:
                parts = [part for argument in child.args for part in re.split(r"[\s,\\\"]+", str(argument)) if part]
                return [self._number(attribute, part) for part in parts]
        return None

    def _number(self, attribute: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            where = shown(f"{self.kind} {' '.join(self.names)}".strip(), quoted=False)
            raise LibraryError(f"{self._path}: {where}: {attribute}: expected a number, got {shown(text)}")
        return value

    def groups(self, *kinds: str) -> Iterator[Group]:
        """Groups and complex attributes of these kinds inside this one, in the order of the file."""
        return (Group(child, self._path) for child in self._node.children if child.id in kinds)

    @property
    def kinds(self) -> frozenset[str]:
        """Names of all attributes and kinds of all groups inside this one."""
        return frozenset(str(child.id) for child in self._node.children)


def _unquoted(value: Any) -> str:
    return str(value).strip().strip('"').strip()


@dataclass(frozen=True, kw_only=True)
class Units:
    """What the numbers of a Liberty file count: factors from the file's units.

    Attributes
    ----------
    time_ns, capacitance_ff, voltage_v, leakage_nw : float
    """

    time_ns: float
    capacitance_ff: float
    voltage_v: float
    leakage_nw: float

    @property
    def energy_fj(self) -> float:
        """Of ``internal_power``: voltage unit squared times capacitance unit."""
        return self.voltage_v * self.voltage_v * self.capacitance_ff

    @classmethod
    def of(cls, library: Group, path: Path) -> Units:
        """Units of a library group; where one is not stated, ns, pF, V and nW.

        Raises
        ------
        LibraryError
            A unit is none of its quantity.
        """
        load = next((group.names for group in library.groups("capacitive_load_unit")), ("1", "pf"))
        if len(load) != 2:
            raise LibraryError(f"{path}: capacitive_load_unit has {len(load)} values, expected a number and a unit")
        return cls(
            time_ns=_factor(library.text("time_unit") or "1ns", "s", -9, path),
            capacitance_ff=_factor("".join(load), "F", -15, path),
            voltage_v=_factor(library.text("voltage_unit") or "1V", "V", 0, path),
            leakage_nw=_factor(library.text("leakage_power_unit") or "1nW", "W", -9, path),
        )


def _factor(text: str, base: str, exponent: int, path: Path) -> float:
    """A unit such as ``1ns`` or ``100ps`` in powers of ten of its SI base unit."""
    found = re.fullmatch(r"([0-9.eE+-]*)\s*([A-Za-z]*)", text)
    try:
        return scaled(found[1] or "1", found[2], base, exponent) if found else scaled("1", text, base, exponent)
    except ValueError as error:
        raise LibraryError(f"{path}: unit {shown(text)}: {error}") from None


@dataclass(frozen=True, kw_only=True, eq=False)
class LibertyFile:
    """A Liberty file, parsed once.

    Attributes
    ----------
    path : Path
    library : Group
    units : Units
    """

    path: Path
    library: Group
    units: Units

    @cached_property
    def cells(self) -> Mapping[str, Group]:
        """Cell groups by name, in the order of the file.

        Raises
        ------
        LibraryError
            Two cells have one name.
        """
        found: dict[str, Group] = {}
        for group in self.library.groups("cell"):
            if group.name in found:
                raise LibraryError(f"{self.path} describes cell {shown(group.name, quoted=False)} a second time")
            found[group.name] = group
        return found


def read_liberty_file(path: Path) -> LibertyFile:
    """Parse a Liberty file, plain or ``.gz``; a file of the same content is parsed once.

    Raises
    ------
    LibraryError
        The file is no Liberty file, or names an unknown unit.
    FileNotFoundError
    """
    return _parsed(path, file_sha256(path))


@lru_cache(maxsize=8)
def _parsed(path: Path, sha256: str) -> LibertyFile:  # noqa: ARG001
    # the hash is part of the key alone: another content is another file
    from libparse import LibertyParser

    _check_text(path)
    try:
        with unpacked(path).open() as file:
            ast = LibertyParser(file).ast
    except OSError:
        raise
    except Exception as error:
        raise LibraryError(f"{path} is no Liberty file that libparse can read: {shown(error, quoted=False)}") from error
    if ast is None or ast.id != "library":
        raise LibraryError(f"{path} is no Liberty file: it holds no library group")
    library = Group(ast, path)
    return LibertyFile(path=path, library=library, units=Units.of(library, path))


_PART = re.compile(rb'/\*.*?\*/|//[^\n]*|"[^"]*"|/\*|["{}]', re.DOTALL)
"""What decides where groups end: comments, texts (libparse knows no escapes), braces, or the start of what does not."""
_MOST_NESTED = 50
"""Groups in groups; libraries have five."""


def _check_text(path: Path) -> None:
    """Refuse what libparse never returns from, or that ends the process: open texts, open groups, deep nesting."""
    content = unpacked(path).read_bytes()

    def line(place: int) -> str:
        number = content.count(b"\n", 0, place) + 1
        return f"{path}, line {number}"

    groups: list[int] = []
    for part in _PART.finditer(content):
        if part[0] == b"{":
            groups.append(part.start())
            if len(groups) > _MOST_NESTED:
                raise LibraryError(f"{line(part.start())}: groups nest deeper than {_MOST_NESTED} levels")
        elif part[0] == b"}":
            if not groups:
                raise LibraryError(f"{line(part.start())}: a brace closes a group that is not open")
            groups.pop()
        elif part[0] in (b'"', b"/*"):
            raise LibraryError(f"{line(part.start())}: a text or comment begins that does not end: the file was cut")
        elif part[0][:1] == b'"':
            try:
                part[0].decode()
            except UnicodeDecodeError:
                raise LibraryError(f"{line(part.start())}: a text that is not UTF-8") from None
    if groups:
        raise LibraryError(f"{line(groups[-1])}: a group begins that does not end: the file was cut")


def unpacked(path: Path) -> Path:
    """The file itself, or what a ``.gz`` file holds, unpacked once into `cache_directory` under the hash of its bytes.

    Raises
    ------
    LibraryError
        The file is no gzip file.
    """
    if path.suffix != ".gz":
        return path
    folder = cache_directory() / "unpacked" / file_sha256(path)[:24]
    target = folder / path.stem
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with gzip.open(path, "rb") as packed, replacing(target, "wb") as plain:
                shutil.copyfileobj(packed, plain)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise LibraryError(f"{path} is no gzip file: {error}") from error
    return target
