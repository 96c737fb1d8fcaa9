"""Figures of other chips as their authors publish them, with their citations: ``flows/estimates/published.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["System", "systems"]

DEPENDS_ON = ("published.toml",)


@dataclass(frozen=True, kw_only=True)
class System:
    """A chip or program that others published.

    Attributes
    ----------
    name : str
    node : str
        Technology; ``none`` for software and for devices without one.
    kind : str
        ``silicon`` (measured), ``simulated``, or ``as published`` where the source does not say which.
    citation : str
    figures : mapping of str to float
        By quantity; units are in the names.
    """

    name: str
    node: str
    kind: str
    citation: str
    figures: Mapping[str, float]


@cache
def systems() -> Mapping[str, System]:
    """All of them by key."""
    text = resources.files("flows.estimates").joinpath("published.toml").read_text()
    return {
        key: System(
            name=row["system"], node=row["node"], kind=row["kind"], citation=row["citation"], figures=row["figures"]
        )
        for key, row in tomllib.loads(text).items()
    }
