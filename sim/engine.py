"""How a golden model computes: the readable definition, or the compiled kernel that agrees with it bit for bit."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Engine"]


class Engine(StrEnum):
    """How a model computes."""

    NUMPY = "numpy"
    """Stage by stage; the readable definition."""
    NUMBA = "numba"
    """One compiled kernel, bunch crossings or samples on all cores."""
