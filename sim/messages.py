"""Values in messages: whole where they are short, cut where a file could make them fill the screen."""

from __future__ import annotations

__all__ = ["MOST_SHOWN", "shown"]

MOST_SHOWN = 200
"""Characters of a value that a message shows at most."""


def shown(value: object, *, quoted: bool = True) -> str:
    """A value for a message of one line, at most `MOST_SHOWN` characters long.

    Parameters
    ----------
    value : object
    quoted : bool, optional
        As Python writes it (text in quotes); without, as it prints.
    """
    if isinstance(value, list | tuple | dict | set):
        return f"a {type(value).__name__} of {len(value)}" if _size(value) > 20 else _cut(repr(value))
    if isinstance(value, int) and value.bit_length() > 4 * MOST_SHOWN:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str):
        value = value[: MOST_SHOWN + 1]
    return _cut(repr(value) if quoted else " ".join(str(value).split()))


def _size(value: object) -> int:
    """Values in nested containers, counted to 21."""
    if not isinstance(value, list | tuple | dict | set):
        return 1
    total, waiting = 0, [value]
    while waiting and total <= 20:
        container = waiting.pop()
        inner = [*container, *container.values()] if isinstance(container, dict) else list(container)
        total += len(inner)
        waiting += [item for item in inner[:21] if isinstance(item, list | tuple | dict | set)]
    return total


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + "..."
