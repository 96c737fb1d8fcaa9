"""Architecture exploration: every combination of spec fields, measured in parallel, resumed, drawn as Pareto plots.

A point is a spec with some fields replaced, and options that are no fields (`OPTIONS`). A measure is a function of a
point that gives named figures; it runs in a worker process of Dask (M. Rocklin, "Dask: Parallel Computation with
Blocked algorithms and Task Scheduling", SciPy 2015), on this machine or on a cluster. Finished points are kept by
content: a sweep that was interrupted, or that shares points with another, computes only what is missing.
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
from typing import Any, Literal

from rich.console import Console

from flows.common.cluster import dask_client
from flows.common.content_cache import ContentCache, cache_directory, content_key, imported, source_hash
from flows.common.journal import Journal
from flows.common.metrics import find, now, package_version
from flows.designs.design import Design, Spec
from flows.library.catalogue import cell_library
from sim.files import replacing
from sim.hgcal_encoder.spec import EncoderSpec
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "MEASURES",
    "OPTIONS",
    "Axis",
    "Measure",
    "Point",
    "Row",
    "draw_pareto",
    "parse_axis",
    "pareto_front",
    "points",
    "sweep",
    "write_rows",
]

OPTIONS: dict[str, tuple[type, Any]] = {
    "elinks": (int, 5),
    "seed": (int, 1),
    "library": (str, "nangate45"),
    "scheme": (str, ""),
    "loading": (str, ""),
    "clock_gating": (bool, False),
}
"""Axes that are no field of a spec: type and default. `scheme`, `loading`: protection and loading of the whole encoder
chip with I2C; the data path alone where both are left out. `clock_gating`: registers with an enable behind clock gates.
`elinks`: eTx links of the shipped weights; `seed`: draw of the conductances; `library`: cells of the area."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A field or option and the values that it takes.

    Attributes
    ----------
    name : str
        Field of the spec, with a dot for a field of a field (``latent.width``), or one of `OPTIONS`.
    values : tuple
    """

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One design of a sweep.

    Attributes
    ----------
    spec : EncoderSpec or CrossbarSpec
    options : dict
        Value of every option.
    chosen : dict
        Value on every axis of the sweep.
    """

    spec: Spec
    options: Mapping[str, Any]
    chosen: Mapping[str, Any]


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


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What can be asked of a point.

    Attributes
    ----------
    run : callable
        Point to figures by name; units are in the names.
    kinds : tuple of type
        Specs that it is for.
    sources : tuple of str
        Modules that make the figures, with everything that they import, programs that they run, and folders of data.
    reads : tuple of str
        Options that it looks at.
    """

    run: Callable[[Point], dict[str, float]]
    kinds: tuple[type, ...]
    sources: tuple[str, ...]
    reads: tuple[str, ...]

    @property
    def code(self) -> str:
        """Hash of our own code that the figures depend on."""
        modules = [name for name in self.sources if name.endswith(".py")]
        return source_hash(*sorted({*imported(*modules), *self.sources, "flows/steps/sweep.py"}))


def parse_axis(text: str, spec: Spec) -> Axis:
    """``NAME=VALUE,VALUE,...`` as an axis of a sweep around `spec`.

    Raises
    ------
    ValueError
        If the name is no field or option, there is no value, or one is not of the field's type.
    """
    name, found, listed = text.partition("=")
    if not found or not listed:
        raise ValueError(f"axis: expected NAME=VALUE,VALUE,..., got {text!r}")
    example = OPTIONS[name][1] if name in OPTIONS else _field(spec, name)
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
        raise ValueError(f"axis {name}: no field {first}; there are {', '.join(known + list(OPTIONS))}")
    value = getattr(spec, first)
    if dot:
        if not is_dataclass(value):
            raise ValueError(f"axis {name}: {first} has no fields of its own")
        return _field(value, rest)
    return value


def _with(spec: Any, name: str, value: Any) -> Any:
    first, dot, rest = name.partition(".")
    return replace(spec, **{first: _with(getattr(spec, first), rest, value) if dot else value})


def points(spec: Spec, axes: Sequence[Axis]) -> list[Point]:
    """Every combination of values, the last axis fastest.

    Raises
    ------
    ValueError
        If an axis occurs twice or a combination is no legal spec; the message names it.
    """
    names = [axis.name for axis in axes]
    if len(set(names)) != len(names):
        raise ValueError(f"an axis occurs twice: {', '.join(names)}")
    found = []
    for values in itertools.product(*(axis.values for axis in axes)):
        chosen = dict(zip(names, values, strict=True))
        built: Any = spec
        try:
            for name, value in chosen.items():
                if name not in OPTIONS:
                    built = _with(built, name, value)
        except ValueError as error:
            raise ValueError(f"{', '.join(f'{k}={v}' for k, v in chosen.items())}: {error}") from None
        options = {name: chosen.get(name, default) for name, (_, default) in OPTIONS.items()}
        found.append(Point(spec=built, options=options, chosen=chosen))
    return found


def _design(point: Point) -> Design:
    """The variant of a point.

    Raises
    ------
    ValueError
        An unknown scheme or loading.
    """
    from hw.common.scheme import Scheme
    from sim.hgcal_encoder.configuration.chip_registers import Loading

    scheme, loading, gated = (point.options[name] for name in ("scheme", "loading", "clock_gating"))
    if not scheme and not loading:
        return Design(spec=point.spec, clock_gating=gated)
    try:
        return Design(
            spec=point.spec, scheme=Scheme(scheme or "none"), loading=Loading(loading) if loading else Loading.DIRECT,
            clock_gating=gated,
        )  # fmt: skip
    except ValueError as error:
        known = f"schemes {', '.join(Scheme)}; loadings {', '.join(Loading)}"
        raise ValueError(f"{error}; {known}") from None


def _netlist(part: Design, library: str, folder: Path) -> dict[str, float]:
    """Synthesise a design below ``folder`` as `liquidcal synth` does; its area, without placement.

    Raises
    ------
    ValueError
        The netlist does not pass its gate.
    """
    from flows.steps.synthesis import run_synthesis

    journal = Journal(console=Console(file=io.StringIO()))
    result = run_synthesis(journal, part, folder, library)
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
        return _netlist(_design(point), point.options["library"], Path(folder))


def _energy(point: Point) -> dict[str, float]:
    """Energy of an inference on a small stimulus, wires by the library's wire load; the area of the same netlist.

    An encoder: 64 modules at pile-up 200 over 12 crossings. A crossbar: its digital part on four recordings.
    """
    from flows.physical.mapped import Mapped
    from flows.power.measure import measure_power

    with tempfile.TemporaryDirectory(prefix="liquidcal-sweep-") as name:
        folder = Path(name)
        part = _design(point)
        area = _netlist(part, point.options["library"], folder)
        _, result, metrics = measure_power(
            Mapped(folder=folder), part.spec, crossings=12, words=1, recordings=4, glitch_clocks=8, latency=part.latency
        )
    bounds = {
        f"energy_{end}_pj": float(find(metrics, f"energy__per_inference__bound:{end}").value) for end in ("low", "high")
    }
    return {"energy_pj": float(result["energy_per_inference_pj"]), **bounds, **area}


def _latency(point: Point) -> dict[str, float]:
    """Clocks of 25 ns from words at the pins to their frame, decoding, calibration and the frame included."""
    clocks = float(_design(point).latency)
    return {"latency_clocks": clocks, "latency_ns": 25.0 * clocks}


def _emd(point: Point) -> dict[str, float]:
    """Median EMD of shipped weights in the arithmetic of the point's spec, on simulated images, by occupancy.

    Another weight format takes the nearest values; nothing is trained again.
    """
    import numpy as np

    from flows.learning.encoder import evaluation_sample, find_model
    from sim.hgcal_encoder.learning.metric import BINS, earth_movers_distance, occupancy
    from sim.hgcal_encoder.spec import PRESETS

    spec = point.spec
    assert isinstance(spec, EncoderSpec)
    preset = next((name for name, known in PRESETS.items() if known.grid == spec.grid), None)
    if preset is None:
        raise ValueError(f"{spec.name}: no shipped weights for the grid {spec.grid}")
    model = find_model(preset=preset, elinks=point.options["elinks"])
    weights = model.weights.stored_as(spec)
    charges = evaluation_sample().charges
    charges = charges[charges.sum(axis=1) > 0]
    decoded = replace(model, weights=weights).reconstruct(charges)
    distance, count = earth_movers_distance(charges, decoded), occupancy(charges)
    figures = {}
    for low, high in BINS:
        inside = (count >= low) & (count <= high)
        figures[f"emd_median_{low}_{high}"] = float(np.median(distance[inside]))
    return figures


_RECORDING_SOURCES = (
    "sim/lsm_crossbar/recordings/event_camera.py",
    "sim/lsm_crossbar/recordings/events.py",
    "flows/steps/crossbar_demo.py",
)
RECORDINGS = (1000, 300, 500)
"""Recordings of the measure `accuracy`: to train on, to choose the penalty by, to test on."""


def _accuracy(point: Point) -> dict[str, float]:
    """Share of test recordings that the macro of the point's seed classifies, in %; reads of a recording.

    Exact macro arithmetic. A readout is trained on N-MNIST-like recordings, its penalty chosen on others, and scored on
    recordings of further digits; these are the same for all points, their error is that of 500 recordings. A threshold
    counts ADC codes: with another range of the ADC it has to follow.
    """
    import numpy as np

    from flows.steps.crossbar_demo import ENCODING, synthesised_parts
    from sim.lsm_crossbar.learning.readout_training import accuracy, train
    from sim.lsm_crossbar.liquid import Liquid
    from sim.lsm_crossbar.macro_model.device import draw

    spec = point.spec
    assert isinstance(spec, CrossbarSpec)
    if spec.inputs < ENCODING.inputs or spec.outputs != 10:
        raise ValueError(
            f"accuracy is that on digits: expected at least {ENCODING.inputs} inputs and 10 outputs, "
            f"{spec.name} has {spec.inputs} inputs and {spec.outputs} outputs"
        )
    key = content_key(
        recordings=RECORDINGS, steps=spec.steps, inputs=spec.inputs, sources=source_hash(*_RECORDING_SOURCES)
    )
    kept = cache_directory() / "recordings" / f"{key}.npz"
    if not kept.is_file():
        made = synthesised_parts(Journal(), spec, RECORDINGS, 1)
        kept.parent.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {
            f"spikes_{number}": np.packbits(part.spikes, axis=2) for number, part in enumerate(made)
        }
        arrays |= {f"labels_{number}": part.labels for number, part in enumerate(made)}
        with replacing(kept, "wb") as file:
            np.savez(file, **arrays)
    with np.load(kept) as data:
        parts = [
            (np.unpackbits(data[f"spikes_{k}"], axis=2, count=spec.inputs).view(np.bool_), data[f"labels_{k}"])
            for k in range(3)
        ]
    liquid = Liquid(spec, draw(spec, int(point.options["seed"])))
    (seen, labels), (chosen_by, chosen_labels) = ((liquid.counts(spikes), labels) for spikes, labels in parts[:2])
    tested = liquid.run(parts[2][0])
    readout = train(spec, seen, labels, chosen_by, chosen_labels, methods=("ridge",)).readout
    return {
        "accuracy_percent": 100 * accuracy(readout, tested.counts, parts[2][1]),
        "reads_per_recording": float(tested.reads.mean()),
    }


_SYNTHESIS = ("flows/steps/synthesis.py", "flows/tools/_yosys_child.py", "hw")
_VARIANT = ("library", "scheme", "loading", "clock_gating")

MEASURES: dict[str, Measure] = {
    "area": Measure(run=_area, kinds=(EncoderSpec, CrossbarSpec), sources=_SYNTHESIS, reads=_VARIANT),
    "latency": Measure(
        run=_latency, kinds=(EncoderSpec,), sources=("flows/designs/design.py", "hw"), reads=("scheme", "loading")
    ),
    "energy": Measure(
        run=_energy, kinds=(EncoderSpec, CrossbarSpec), sources=(*_SYNTHESIS, "flows/physical/mapped.py", "sim"),
        reads=_VARIANT,
    ),
    "emd": Measure(
        run=_emd, kinds=(EncoderSpec,), sources=("flows/learning/encoder.py", "sim/hgcal_encoder"), reads=("elinks",)
    ),
    "accuracy": Measure(
        run=_accuracy, kinds=(CrossbarSpec,), sources=("flows/steps/crossbar_demo.py", "sim/lsm_crossbar"),
        reads=("seed",)
    ),
}  # fmt: skip
"""Measures by name."""


def _run(name: str, point: Point) -> dict[str, float]:
    return MEASURES[name].run(point)


def sweep(
    spec: Spec,
    axes: Sequence[Axis],
    measures: Sequence[str],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    cache: ContentCache | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Row]:
    """Measure every point.

    Parameters
    ----------
    spec : EncoderSpec or CrossbarSpec
        What is varied.
    axes : sequence of Axis
    measures : sequence of str
        Names in `MEASURES`.
    scheduler : str, optional
        Address of a Dask scheduler; by default processes on this machine.
    workers : int, optional
        Processes on this machine; by default one per core.
    cache : ContentCache, optional
        Where finished points are kept; by default in the cache folder of liquidcal.
    advance : callable
        Told of every finished measurement.

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
    for name in measures:
        if name not in MEASURES:
            raise ValueError(f"no measure {name!r}; there are {', '.join(MEASURES)}")
        if not isinstance(spec, MEASURES[name].kinds):
            raise ValueError(f"the measure {name} is not for {type(spec).__name__}")
    if not measures:
        raise ValueError(f"expected at least one measure among {', '.join(MEASURES)}")
    cache = cache or ContentCache(cache_directory() / "sweep")
    todo: dict[str, tuple[str, Point]] = {}
    found: dict[str, dict[str, Any]] = {}
    rows = []
    for point in points(spec, axes):
        keys = []
        for name in measures:
            measure = MEASURES[name]
            key = content_key(
                measure=name,
                spec=point.spec.to_toml(),
                options={option: point.options[option] for option in measure.reads},
                sources=measure.code,
            )
            keys.append(key)
            if (known := cache.get(key)) is not None:
                found[key] = known
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


def pareto_front(rows: Sequence[Row], minimise: Sequence[str]) -> list[int]:
    """Rows that no other row beats: no worse in every figure of `minimise` and better in one.

    A name with a minus in front is maximised. Rows without one of the figures are never on the front.
    """
    named = [(name.removeprefix("-"), -1.0 if name.startswith("-") else 1.0) for name in minimise]
    usable = [i for i, row in enumerate(rows) if all(name in row.figures for name, _ in named)]
    values = {i: tuple(sign * rows[i].figures[name] for name, sign in named) for i in usable}
    return [
        i
        for i in usable
        if not any(
            values[j] != values[i] and all(a <= b for a, b in zip(values[j], values[i], strict=True)) for j in usable
        )
    ]


_UNITS = {"um2": ("mm²", 1e-6), "kge": ("kGE", 1.0), "pj": ("nJ", 1e-3), "ns": ("ns", 1.0), "percent": ("%", 1.0)}
"""Unit at the end of a figure's name: as shown, and the factor to it."""
_COLOURS = ("#2459a9", "#b3541e", "#1d7a46", "#7a3e9d", "#a0860f", "#2d8f9e", "#b3261e", "#5c6670")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def _shown(name: str) -> tuple[str, float]:
    """Title of an axis for a figure, and the factor to its unit."""
    what, _, unit = name.rpartition("_")
    if unit in _UNITS:
        return f"{what.replace('_', ' ')}, {_UNITS[unit][0]}", _UNITS[unit][1]
    if name.startswith("emd_median_"):
        low, high = name.removeprefix("emd_median_").split("_")
        return f"median EMD, {low} to {high} cells", 1.0
    return name.replace("_", " "), 1.0


def draw_pareto(rows: Sequence[Row], x: str, y: str, path: Path, title: str) -> None:
    """Scatter of two figures with the Pareto front as steps.

    The first axis of the sweep gives the colour of a point, the second its marker; further ones are written beside it.

    Parameters
    ----------
    rows : sequence of Row
    x, y : str
        Figures, with a minus in front where more is better.
    path : Path
        SVG file.
    title : str

    Raises
    ------
    ValueError
        If no point has both figures.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.lines import Line2D

    names = (x.removeprefix("-"), y.removeprefix("-"))
    scales = [_shown(name) for name in names]
    shown = {
        i: (row.figures[names[0]] * scales[0][1], row.figures[names[1]] * scales[1][1])
        for i, row in enumerate(rows)
        if set(names) <= set(row.figures)
    }
    if not shown:
        raise ValueError(f"no point has both {names[0]} and {names[1]}")
    front = sorted(pareto_front(rows, (x, y)), key=lambda i: shown[i])
    varied = [a for a in rows[0].chosen if len({str(row.chosen[a]) for row in rows}) > 1]
    looks = [list(dict.fromkeys(str(rows[i].chosen[a]) for i in shown)) for a in varied[:2]]
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    # between two points of the front there is the one that is no worse in x
    where: Literal["pre", "post"] = "pre" if x.startswith("-") else "post"
    if len(front) > 1:
        axes.step(*zip(*(shown[i] for i in front), strict=True), where=where, color="#9aa5b1", linewidth=1.2, zorder=1)
    for i, position in shown.items():
        result = [str(rows[i].chosen[a]) for a in varied]
        colour = _COLOURS[looks[0].index(result[0]) % len(_COLOURS)] if result else _COLOURS[0]
        marker = _MARKERS[looks[1].index(result[1]) % len(_MARKERS)] if len(result) > 1 else "o"
        face = colour if i in front else "white"
        axes.scatter(*position, s=46, marker=marker, facecolor=face, edgecolor=colour, linewidth=1.5, zorder=3)
        if rest := ", ".join(f"{a} {v}" for a, v in zip(varied[2:], result[2:], strict=True)):
            axes.annotate(rest, position, (6, 4), textcoords="offset points", fontsize=7, color="#5c6670")
    keys = [
        Line2D([], [], linestyle="", marker="o", markersize=7, color=_COLOURS[k % len(_COLOURS)],
               label=f"{varied[0].replace('_', ' ')} {value or 'none'}")
        for k, value in enumerate(looks[0] if looks else ())
    ]  # fmt: skip
    keys += [
        Line2D([], [], linestyle="", marker=_MARKERS[k % len(_MARKERS)], markersize=7, color="#5c6670",
               label=f"{varied[1].replace('_', ' ')} {value or 'none'}")
        for k, value in enumerate(looks[1] if len(looks) > 1 else ())
    ]  # fmt: skip
    keys += [
        Line2D([], [], color="#9aa5b1", marker="o", markersize=7, markerfacecolor="#5c6670", markeredgecolor="#5c6670",
               label="on the Pareto front"),
        Line2D([], [], linestyle="", marker="o", markersize=7, markerfacecolor="white", markeredgecolor="#5c6670",
               label="not on it"),
    ]  # fmt: skip
    axes.set(xlabel=scales[0][0], ylabel=scales[1][0], title=title)
    axes.margins(0.12)
    axes.ticklabel_format(useOffset=False)
    axes.grid(color="#e8ebef", linewidth=0.8, zorder=0)
    axes.legend(handles=keys, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path, "wb") as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def write_rows(rows: Sequence[Row], path: Path, command: str, *, libraries: Sequence[str] = ()) -> None:
    """All points as JSON with command, tools and date.

    Parameters
    ----------
    rows : sequence of Row
    path : Path
    command : str
    libraries : sequence of str
        Cell libraries of areas and energies, as `flows.library.catalogue.cell_library` takes them: told with their
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
