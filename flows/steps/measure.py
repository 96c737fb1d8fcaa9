"""What a sweep asks of a point: a function to named figures, with what their key is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flows.common.content_cache import code_hash, content_key, module_file
from flows.designs.design import Design
from flows.steps.step import versions

__all__ = ["Figure", "Measure", "Point"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One design of a sweep.

    Attributes
    ----------
    design : Design
    options : dict
        Value of every option that is no choice of the design.
    chosen : dict
        Value on every axis of the sweep.
    """

    design: Design
    options: Mapping[str, Any]
    chosen: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """How a figure of a measure is shown.

    Attributes
    ----------
    label : str
        With the unit, as an axis of a plot has it.
    scale : float
        Factor from the figure to that unit.
    """

    label: str
    scale: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What can be asked of a point.

    Attributes
    ----------
    run : callable
        Point to figures by name; units are in the names.
    figures : dict of str to Figure
        By the name that they have in ``run``.
    tools : tuple of str
        As `flows.steps.step.Step` has them.
    reads : tuple of str
        Options that it looks at.
    rooms : tuple of str
        Rooms whose file on this kind of chip runs.
    mapped : bool
        Whether library and recipe matter; else the hardware alone.
    """

    run: Callable[[Point], dict[str, float]]
    figures: Mapping[str, Figure]
    tools: tuple[str, ...]
    reads: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    mapped: bool = True

    def figures_of(self, point: Point) -> dict[str, float]:
        """Figures of a point. The measure is shown the options alone that its key holds, so that none is forgotten."""
        return self.run(replace(point, options={option: point.options[option] for option in self.reads}))

    def key(self, name: str, point: Point) -> str:
        """Hash of everything that the figures of a point depend on."""
        design = point.design
        return content_key(
            measure=name,
            design=design.identity() | (design.mapping() if self.mapped else {}),
            options={option: point.options[option] for option in self.reads},
            code=code_hash(module_file(self.run.__module__), *design.code(*self.rooms)),
            tools=versions(self.tools),
        )
