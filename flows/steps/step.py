"""What a step is: a function of a design and a folder, with what it reads, writes and runs, and its options.

A step is called as ``STEP(design, folder, journal, options)`` and returns the metrics that it measured; the chain of a
design (`flows.steps.chain`) is a tuple of them. From the declaration follows the key under which its result is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from flows.common.content_cache import code_hash, content_key, module_file, tool_versions
from flows.common.journal import Journal
from flows.common.metrics import Metric
from flows.common.step_cache import StepCache, file_hash
from flows.designs.design import Design

__all__ = ["NoOptions", "Step"]

Work = Callable[[Design, Path, Journal, Any], tuple[Metric, ...]]


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """Of a step that leaves nothing to choose but the design."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the flow.

    Attributes
    ----------
    name : str
        Word of the step on the command line and in the folder ``.steps``.
    work : callable
        Does it: ``work(design, folder, journal, options)`` to metrics.
    options : type
        Frozen dataclass; every field of it is in the key.
    reads : tuple of str
        Files below the design's folder that earlier steps left, ``*`` allowed; one that is not there counts as empty.
    writes : tuple of str
        Files below the folder that are its result; ``*`` allowed.
    tools : tuple of str
        Programs and libraries whose version matters: distributions of Python, or ``OpenSTA``.
    rooms : tuple of str
        Rooms whose file on this kind of chip runs (`Design.room`).
    mapped : bool
        Whether library and recipe matter; else the hardware alone.
    skipped : callable
        Why a design has no such step; empty if it has.
    """

    name: str
    work: Work
    options: type = NoOptions
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...]
    tools: tuple[str, ...]
    rooms: tuple[str, ...] = ()
    mapped: bool = True
    skipped: Callable[[Design], str] = lambda _: ""

    def __call__(self, design: Design, folder: Path, journal: Journal, options: Any = None) -> tuple[Metric, ...]:
        """Do the step below a folder, which then says in ``design.toml`` what is in it; the metrics."""
        options = self._checked(options)
        with design.results(folder) as known:
            return self.work(known, folder, journal, options)

    def keep(self, design: Design, folder: Path, journal: Journal, options: Any = None) -> bool:
        """Do the step unless its result is there and everything that it was made from is the same; whether it ran."""
        options = self._checked(options)
        return StepCache(folder, journal).run(
            self.name, key=self.key(design, folder, options), outputs=self.writes,
            work=lambda: self(design, folder, journal, options),
        )  # fmt: skip

    def key(self, design: Design, folder: Path, options: Any = None) -> str:
        """Hash of everything that the result depends on."""
        return content_key(
            step=self.name,
            design=design.identity() | (design.mapping() | {"named": design.library_argument} if self.mapped else {}),
            argument=design.argument,  # is in the command that metrics record
            options=dict(options_content(self._checked(options))),
            reads={name: _of_files(folder, name) for name in self.reads},
            code=code_hash(module_file(self.work.__module__), *design.code(*self.rooms)),
            tools=versions(self.tools),
        )

    def _checked(self, options: Any) -> Any:
        options = self.options() if options is None else options
        if not isinstance(options, self.options):
            raise TypeError(f"{self.name}: expected {self.options.__name__}, got {type(options).__name__}")
        return options


def options_content(options: Any) -> Iterator[tuple[str, Any]]:
    """Every field of options by name, files and folders by their content."""
    for field in fields(options):
        yield field.name, _content(getattr(options, field.name))


def _content(value: Any) -> Any:
    if isinstance(value, Path):
        if value.is_dir():
            return {
                str(path.relative_to(value)): file_hash(path) for path in sorted(value.rglob("*")) if path.is_file()
            }
        return [value.name, file_hash(value)]
    return [_content(part) for part in value] if isinstance(value, tuple) else value


def _of_files(folder: Path, pattern: str) -> dict[str, str]:
    return {path.name: file_hash(path) for path in sorted(folder.glob(pattern))}


def versions(tools: tuple[str, ...]) -> dict[str, str]:
    """Versions of tools by name."""
    found = tool_versions(*(tool for tool in tools if tool != "OpenSTA"))
    if "OpenSTA" in tools:
        from flows.tools.opensta import sta_version

        found["OpenSTA"] = sta_version()
    return found
