"""Reading files that come from elsewhere: whatever they hold, an error is one short line that names file and place.

YAML and JSON are refused if they nest deeper than `MOST_NESTED` or name a key twice (both formats would silently keep
the last), NPZ archives if they are cut, are no archives, or unpack to more than `MOST_BYTES`.
"""

from __future__ import annotations

import json
import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Hashable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from sim.messages import shown

__all__ = ["MOST_BYTES", "MOST_NESTED", "parse_json", "read_npy", "read_npz", "read_yaml"]

MOST_NESTED = 50
"""Levels of lists and tables."""
MOST_BYTES = 1 << 29
"""Bytes that the arrays of an archive take together."""


class _Loader(yaml.SafeLoader):
    """Plain types only; depth and duplicate keys as the module's text says."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._depth += 1
        if self._depth > MOST_NESTED:
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise ValueError(f"line {line}: nested deeper than {MOST_NESTED} levels")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            where = f"line {key_node.start_mark.line + 1}"
            if not isinstance(key, Hashable):
                raise ValueError(f"{where}: expected a name or a number as key, got {shown(key)}")
            if key in seen:
                raise ValueError(f"{where}: {shown(key)} occurs twice in one table")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        try:
            return super().construct_yaml_int(node)
        except ValueError:
            text = shown(str(node.value))
            raise ValueError(f"line {node.start_mark.line + 1}: expected an integer that fits, got {text}") from None


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_yaml(path: Path) -> Any:
    """Content of a YAML file, as plain types.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no YAML, nests too deep, or names a key twice; the message names file and line.
    """
    path = Path(path)
    try:
        return yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        what = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ValueError(f"{path}: not a YAML file{where}: {shown(what, quoted=False)}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a YAML file: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_json(text: str | bytes, name: str) -> Any:
    """Content of a JSON text, called `name` in messages.

    Raises
    ------
    ValueError
        If it is no JSON, nests too deep, or names a key twice.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        if _json_depth(text) > MOST_NESTED:
            raise ValueError(f"{name}: nested deeper than {MOST_NESTED} levels")
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=lambda pairs: _unique(pairs, name))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: not a JSON text: {shown(error, quoted=False)}") from None
    except ValueError as error:
        text = str(error)
        raise ValueError(text if text.startswith(f"{name}: ") else f"{name}: {shown(text, quoted=False)}") from None


def _unique(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{name}: {shown(twice)} occurs twice in one table")
    return table


def _json_depth(text: str) -> int:
    """Deepest nesting, brackets in texts left out."""
    depth = deepest = 0
    quoted = escaped = False
    for letter in text:
        if quoted:
            quoted = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def read_npz(path: Path) -> Mapping[str, NDArray[Any]]:
    """All arrays of an ``.npz`` archive by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such archive, is cut or damaged, holds Python objects, or unpacks to more than `MOST_BYTES`; the
        message names file and array.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    name = ""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > MOST_BYTES:
                raise ValueError(f"its arrays take {size:,} bytes; at most {MOST_BYTES:,} are read")
            arrays = {}
            for name in archive.namelist():
                with archive.open(name) as file:
                    # a header may promise more than the entry holds: the bytes are counted before they are an array
                    content = file.read(MOST_BYTES + 1)
                arrays[name.removesuffix(".npy")] = _array(content)
            return arrays
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: not a complete .npz archive: {shown(error, quoted=False)}") from None
    except (ValueError, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error, struct.error) as error:
        place = f" array {shown(name.removesuffix('.npy'), quoted=False)}:" if name else ""
        raise ValueError(f"{path}:{place} {shown(error, quoted=False)}") from None


def read_npy(path: Path) -> NDArray[Any]:
    """The array of an ``.npy`` file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such file, is cut, holds Python objects, or takes more than `MOST_BYTES`; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file at {path}")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it takes {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read")
        return _array(path.read_bytes())
    except (ValueError, EOFError, struct.error) as error:
        raise ValueError(f"{path}: not an .npy array: {shown(error, quoted=False)}") from None


def _array(content: bytes) -> NDArray[Any]:
    """An array of an archive; a header that promises more than there is would take memory first."""
    file = BytesIO(content)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in readers:
        raise ValueError(f"expected version 1.0 or 2.0 of the array format, got {version[0]}.{version[1]}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            shape, _, kind = readers[version](file)
    except (SyntaxError, tokenize.TokenError, RecursionError, MemoryError, TypeError) as error:
        raise ValueError(f"its header is damaged: {type(error).__name__}") from None
    count = math.prod(shape)
    if kind.hasobject:
        raise ValueError("expected numbers or text, got Python objects")
    there = len(content) - file.tell()
    if count * kind.itemsize != there:
        raise ValueError(f"expected {count * kind.itemsize:,} bytes of shape {shape}, got {there:,}")
    if kind.kind == "U" and there:
        letters = np.frombuffer(content, np.dtype("u4").newbyteorder(kind.byteorder), offset=file.tell())
        if letters.max() > 0x10FFFF:
            raise ValueError("expected text, got numbers that are no letters")
    file.seek(0)
    array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array
