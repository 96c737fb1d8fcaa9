"""Architecture exploration: every combination of spec fields, measured in parallel, resumed, drawn as Pareto plots.

A point is a design whose spec has some fields replaced, with choices and options that are no fields (`AXES`). A measure
is a function of a point that gives named figures; it runs in a worker process of Dask (M. Rocklin, "Dask: Parallel
Computation with Blocked algorithms and Task Scheduling", SciPy 2015), on this machine or on a cluster. Finished points
are kept by content: a sweep that was interrupted, or that shares points with another, computes only what is missing.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.common.cluster import dask_client
from flows.common.content_cache import ContentCache, cache_directory
from flows.common.journal import Journal
from flows.common.metrics import find, now, package_version
from flows.designs.catalogue import design
from flows.designs.design import Design
from flows.library.catalogue import cell_library
from flows.physical.mapped import Mapped
from flows.power.measure import measure_power
from flows.power.run import PowerOptions
from flows.steps.measure import Figure, Measure, Point
from flows.steps.power import POWER
from flows.steps.synthesis import SYNTHESIS, synthesise_design
from flows.synthesis.result import load_result
from sim.files import replacing

__all__ = [
    "AXES",
    "Axis",
    "Measure",
    "Point",
    "Row",
    "figures",
    "measures",
    "parse_axis",
    "points",
    "sweep",
    "write_rows",
]

CHOICES: dict[str, tuple[type, Any]] = {
    "library": (str, "nangate45"),
    "scheme": (str, ""),
    "loading": (str, ""),
    "clock_gating": (bool, False),
}
"""Axes that are choices of a design: type and default. `scheme`, `loading`: protection and loading of the whole encoder
chip with I2C; the data path alone where both are left out. `clock_gating`: registers with an enable behind clock gates.
`library`: cells of area and energy."""
OPTIONS: dict[str, tuple[type, Any]] = {"elinks": (int, 5), "seed": (int, 1)}
"""Axes that are options of a measure. `elinks`: eTx links of the shipped weights; `seed`: draw of the conductances."""
AXES = CHOICES | OPTIONS


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A field or option and the values that it takes.

    Attributes
    ----------
    name : str
        Field of the spec, with a dot for a field of a field (``latent.width``), or one of `AXES`.
    values : tuple
    """

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measured point.

    Attributes
    ----------
    chosen : dict
        Value on every axis.
    figures : dict of str to float
    errors : tuple of str
        Measurements that failed, with the reason.
    """

    chosen: dict[str, Any]
    figures: dict[str, float]
    errors: tuple[str, ...] = ()


def parse_axis(text: str, around: Design) -> Axis:
    """``NAME=VALUE,VALUE,...`` as an axis of a sweep around a design.

    Raises
    ------
    ValueError
        If the name is no field or option, there is no value, or one is not of the field's type.
    """
    name, found, listed = text.partition("=")
    if not found or not listed:
        raise ValueError(f"axis: expected NAME=VALUE,VALUE,..., got {text!r}")
    example = AXES[name][1] if name in AXES else _field(around.spec, name)
    values = []
    for value in listed.split(","):
        try:
            values.append(_value(value, example))
        except ValueError:
            raise ValueError(f"axis {name}: expected a value like {example!r}, got {value!r}") from None
    if len(set(values)) != len(values):
        raise ValueError(f"axis {name}: a value occurs twice in {listed}")
    return Axis(name=name, values=tuple(values))


def _value(text: str, example: Any) -> Any:
    if isinstance(example, bool):
        if text not in ("true", "false"):
            raise ValueError
        return text == "true"
    if example is None:
        return None if text == "none" else float(text) if "." in text else int(text)
    if isinstance(example, int | float | str):
        return type(example)(text)
    raise ValueError


def _field(spec: Any, name: str) -> Any:
    first, dot, rest = name.partition(".")
    known = [field.name for field in fields(spec)]
    if first not in known:
        raise ValueError(f"axis {name}: no field {first}; there are {', '.join(known + list(AXES))}")
    value = getattr(spec, first)
    if dot:
        if not is_dataclass(value):
            raise ValueError(f"axis {name}: {first} has no fields of its own")
        return _field(value, rest)
    return value


def _with(spec: Any, name: str, value: Any) -> Any:
    first, dot, rest = name.partition(".")
    return replace(spec, **{first: _with(getattr(spec, first), rest, value) if dot else value})


def points(around: Design, axes: Sequence[Axis]) -> list[Point]:
    """Every combination of values, the last axis fastest.

    Raises
    ------
    ValueError
        If an axis occurs twice or a combination is no legal design; the message names it.
    """
    names = [axis.name for axis in axes]
    if len(set(names)) != len(names):
        raise ValueError(f"an axis occurs twice: {', '.join(names)}")
    found = []
    for values in itertools.product(*(axis.values for axis in axes)):
        chosen = dict(zip(names, values, strict=True))
        try:
            built = _built(around, chosen)
        except ValueError as error:
            raise ValueError(f"{', '.join(f'{k}={v}' for k, v in chosen.items())}: {error}") from None
        options = {name: chosen.get(name, default) for name, (_, default) in OPTIONS.items()}
        found.append(Point(design=built, options=options, chosen=chosen))
    return found


def _built(around: Design, chosen: Mapping[str, Any]) -> Design:
    """The design of a point: fields of the spec replaced, then choices made."""
    spec: Any = around.spec
    for name, value in chosen.items():
        if name not in AXES:
            spec = _with(spec, name, value)
    made = {name: chosen.get(name, default) for name, (_, default) in CHOICES.items()}
    return design(spec, **{name: value for name, value in made.items() if value != ""})


def _netlist(part: Design, folder: Path) -> dict[str, float]:
    """Synthesise a design below ``folder`` as `liquidcal synth` does; its area, without placement.

    Raises
    ------
    ValueError
        The netlist does not pass its gate.
    """
    journal = Journal(console=Console(file=io.StringIO()))
    synthesise_design(part, folder, journal)
    result = load_result(folder / "synthesis")
    for check in journal.checks:
        if not check.passed:
            raise ValueError(f"{part.name}: {check.detail}")
    return {
        "area_um2": result.area_um2,
        "area_kge": result.gate_equivalents / 1000,
        "flip_flops": float(result.flip_flops),
    }


def _area(point: Point) -> dict[str, float]:
    """Cell area, gate equivalents and flip-flops after synthesis, without placement."""
    with tempfile.TemporaryDirectory(prefix="liquidcal-sweep-") as folder:
        return _netlist(point.design, Path(folder))


def _energy(point: Point) -> dict[str, float]:
    """Energy of an inference on a small stimulus, wires by the library's wire load; the area of the same netlist.

    An encoder: 64 modules at pile-up 200 over 12 crossings. A crossbar: its digital part on four recordings.
    """
    with tempfile.TemporaryDirectory(prefix="liquidcal-sweep-") as name:
        folder = Path(name)
        area = _netlist(point.design, folder)
        options = PowerOptions(crossings=12, streams=64, recordings=4, glitch_clocks=8)
        _, result, metrics = measure_power(Mapped(folder=folder), point.design, options)
    bounds = {
        f"energy_{end}_pj": float(find(metrics, f"energy__per_inference__bound:{end}").value) for end in ("low", "high")
    }
    return {"energy_pj": float(result["energy_per_inference_pj"]), **bounds, **area}


_AREA = {
    "area_um2": Figure(label="area, mm²", scale=1e-6),
    "area_kge": Figure(label="area, kGE"),
    "flip_flops": Figure(label="flip-flops"),
}
_ENERGY = {
    "energy_pj": Figure(label="energy, nJ", scale=1e-3),
    "energy_low_pj": Figure(label="energy at the low end, nJ", scale=1e-3),
    "energy_high_pj": Figure(label="energy at the high end, nJ", scale=1e-3),
}

COMMON = {
    "area": Measure(run=_area, figures=_AREA, tools=SYNTHESIS.tools),
    "energy": Measure(run=_energy, figures=_ENERGY | _AREA, tools=(*SYNTHESIS.tools, *POWER.tools), rooms=POWER.rooms),
}
"""Measures of every kind of chip."""


def measures(design: Design) -> dict[str, Measure]:
    """Measures by name: those of every kind of chip, and those of the design's own."""
    own: dict[str, Measure] = design.room("measures").MEASURES if "measures" in design.rooms else {}
    return COMMON | own


def figures(design: Design) -> dict[str, Figure]:
    """Every figure that can be measured of a design, by name."""
    return {name: figure for measure in measures(design).values() for name, figure in measure.figures.items()}


def _run(name: str, point: Point) -> dict[str, float]:
    return measures(point.design)[name].figures_of(point)


def sweep(
    around: Design,
    axes: Sequence[Axis],
    asked: Sequence[str],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    cache: ContentCache | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Measure every point.

    Parameters
    ----------
    around : Design
        What is varied.
    axes : sequence of Axis
    asked : sequence of str
        Names in `measures`.
    scheduler : str, optional
        Address of a Dask scheduler; by default processes on this machine.
    workers : int, optional
        Processes on this machine; by default one per core.
    cache : ContentCache, optional
        Where finished points are kept; by default in the cache folder of liquidcal.
    advance : callable
        Called with 1 for every finished measurement.

    Returns
    -------
    list of Row
        One per point, in order.

    Raises
    ------
    ValueError
        If a measure is unknown or not for this chip, or a point is illegal.
    OSError
        If the scheduler does not answer.
    """
    known = measures(around)
    for name in asked:
        if name not in known:
            raise ValueError(f"no measure {name!r} for the kind {around.kind}; there are {', '.join(known)}")
    if not asked:
        raise ValueError(f"expected at least one measure among {', '.join(known)}")
    cache = cache or ContentCache(cache_directory() / "sweep")
    todo: dict[str, tuple[str, Point]] = {}
    found: dict[str, dict[str, Any]] = {}
    rows = []
    for point in points(around, axes):
        keys = []
        for name in asked:
            key = known[name].key(name, point)
            keys.append(key)
            if (kept := cache.get(key)) is not None:
                found[key] = kept
                advance(1)
            else:
                todo[key] = (name, point)
        rows.append((point, keys))
    failed = {}
    if todo:
        failed = _measure(todo, found, cache, scheduler, workers or os.cpu_count() or 1, advance)
    return [
        Row(
            chosen=dict(point.chosen),
            figures={name: value for key in keys if key in found for name, value in found[key].items()},
            errors=tuple(failed[key] for key in keys if key in failed),
        )
        for point, keys in rows
    ]


def _measure(
    todo: dict[str, tuple[str, Point]],
    found: dict[str, dict[str, Any]],
    cache: ContentCache,
    scheduler: str | None,
    workers: int,
    advance: Callable[[int], None],
) -> dict[str, str]:
    """Fill `found` and the cache; what failed is returned by key and is tried again next time."""
    import distributed

    failed = {}
    with dask_client(scheduler, min(workers, len(todo))) as client:
        futures = {client.submit(_run, name, point, key=key, retries=0): key for key, (name, point) in todo.items()}
        for future in distributed.as_completed(list(futures)):
            key = futures[future]
            if future.status == "finished":
                found[key] = future.result()
                cache.put(key, found[key])
            else:
                failed[key] = f"{todo[key][0]}: {future.exception()}"
            advance(1)
    return failed


def write_rows(rows: Sequence[Row], path: Path, command: str, *, libraries: Sequence[str] = ()) -> None:
    """All points as JSON with command, tools and date.

    Parameters
    ----------
    rows : sequence of Row
    path : Path
    command : str
    libraries : sequence of str
        Cell libraries of areas and energies, as `flows.library.catalogue.cell_library` takes them: named with their
        hashes.
    """
    tools = [f"liquidcal {package_version('liquidcal')}"]
    if libraries:
        tools.append(f"pyosys {package_version('pyosys')}")
        found = [cell_library(name) for name in libraries]
        tools += [f"library {cells.name}, SHA-256 {cells.sha256}" for cells in found]
    content = {"command": command, "tools": tools, "date": now(), "points": [vars(row) for row in rows]}
    with replacing(path) as file:
        json.dump(content, file, indent=1)
        file.write("\n")
