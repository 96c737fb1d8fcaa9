"""Specifications as TOML text, and by name: what the specs of both chips share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

__all__ = ["load_preset", "toml_value"]

Spec = TypeVar("Spec")


def toml_value(value: object) -> str:
    """A number, a truth value, a text or a tuple of them as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case tuple():
            return "[" + ", ".join(map(toml_value, value)) + "]"
        case _:
            return str(value)


def load_preset(name: str, presets: Mapping[str, Spec], from_toml: Callable[[str], Spec]) -> Spec:
    """A preset by name, or a spec from a TOML file.

    Parameters
    ----------
    name : str
        Name of a preset, or path of a file.
    presets : mapping of str to spec
    from_toml : callable
        Spec from the text of a file; raises ValueError.

    Raises
    ------
    ValueError
        If there is neither such a preset nor such a file, or the file is not a spec; the message names the file.
    """
    if name in presets:
        return presets[name]
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"no preset and no TOML file named {name!r}; presets: {', '.join(presets)}")
    try:
        return from_toml(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a TOML file: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
