"""Byte mutations of real files, for readers of foreign formats: each is read, or refused with its name."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st

from benchmarks.fuzz import KINDS, mutated

Result = TypeVar("Result")

__all__ = ["MUTATIONS", "mutated", "read_or_refused"]

MUTATIONS = st.lists(
    st.tuples(st.sampled_from(KINDS[:4]), st.integers(0, 2**20), st.integers(0, 255)),
    min_size=1, max_size=6,
)  # fmt: skip


def read_or_refused(path: Path, read: Callable[[], Result], error: type[Exception]) -> Result | None:
    """What a reader makes of a file; None if it refuses it, in one line that names the file and is short."""
    try:
        return read()
    except error as refused:
        text = str(refused)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < len(str(path)) + 200
    return None
