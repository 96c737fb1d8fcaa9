"""Typed metrics with their origin, what the names of figures mean, and the gates that judge them.

Names follow METRICS2.1 (`design__instance__area`, `power__total`; modifiers as ``__key:value``), so that figures of
different tools compare. A metric is not a bare number: it says which tool and version produced it, on which library,
how, by which command and when. `QUANTITIES` says of every name that the flow writes what it is called in a table, in
which units it may stand, and whether less or more of it is better.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Self

from sim.files import replacing
from sim.messages import shown

__all__ = [
    "QUANTITIES",
    "GateError",
    "Metric",
    "Quantity",
    "find",
    "label",
    "now",
    "package_version",
    "quantity",
    "read_metrics",
    "require",
    "require_equal",
    "write_metrics",
]

_NAME = re.compile(r"[a-z0-9]+(?:_{1,2}[a-z0-9]+)*(?:__[a-z_]+:[A-Za-z0-9_.\[\]$\\-]+)*")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


_MODIFIER = re.compile(r"__(?=[a-z]+(?:_[a-z]+)*:)")
"""Where a modifier of a name begins."""


@dataclass(frozen=True)
class Quantity:
    """What a name stands for.

    Attributes
    ----------
    label : str
        Name in a table.
    units : tuple of str
        Units in which it may stand; ``""`` is a count or a ratio.
    better : "lower", "higher" or None
        Which way it improves; None where neither is better.
    """

    label: str
    units: tuple[str, ...]
    better: Literal["lower", "higher"] | None = None


_AREA, _GATES, _ENERGY, _TIME = ("um2", "mm2", "kGE"), ("GE", "kGE"), ("pJ", "nJ"), ("s",)

QUANTITIES: dict[str, Quantity] = {
    # synthesis
    "design__instance__area": Quantity("area", _AREA, "lower"),
    "design__instance__area__gate_equivalent": Quantity("gate equivalents", _GATES, "lower"),
    "design__instance__count": Quantity("cells", ("",), "lower"),
    "design__instance__count__class:flip_flop": Quantity("flip-flops", ("",), "lower"),
    "design__instance_unmapped__count": Quantity("unmapped cells", ("",), "lower"),
    "design__flip_flop__count": Quantity("flip-flops", ("", "flip-flops"), "lower"),
    "design__module__count": Quantity("distinct modules", ("",)),
    "design__module_merged__count": Quantity("equal modules merged", ("",)),
    "design__black_box__count": Quantity("black boxes", ("",)),
    "design__stray_latch__count": Quantity("latches nobody asked for", ("",), "lower"),
    "design__combinational_loop__count": Quantity("combinational loops", ("",), "lower"),
    "design__check_problem__count": Quantity("undriven or multiply driven wires", ("",), "lower"),
    "design__multiplier__count": Quantity("multipliers", ("multipliers",), "lower"),
    "design__latency": Quantity("latency", ("bunch crossings",), "lower"),
    "clock__frequency": Quantity("clock needed", ("MHz",), "lower"),
    "clock__frequency__max": Quantity("clock reached", ("MHz",), "higher"),
    "store__area": Quantity("area of the store", _AREA, "lower"),
    "control__area": Quantity("area of the control", _AREA, "lower"),
    "pipeline_registers__area": Quantity("area of pipeline registers", _AREA, "lower"),
    # placement
    "design__core__area": Quantity("core area", _AREA, "lower"),
    "design__instance__utilization": Quantity("utilisation", ("",), "higher"),
    "design__instance__count__class:repair_buffer": Quantity("buffers of the repair", ("",), "lower"),
    "design__instance__count__resized": Quantity("cells made larger by the repair", ("",), "lower"),
    "design__overloaded_net__count": Quantity("overloaded nets", ("",), "lower"),
    "route__wirelength__estimated": Quantity("wire length, estimated", ("m",), "lower"),
    "route__hpwl": Quantity("half-perimeter wire length", ("m",), "lower"),
    "route__congestion__worst": Quantity("worst congestion", ("",), "lower"),
    "route__congestion__overfull": Quantity("overfull bins", ("%",), "lower"),
    "route__congestion__mean": Quantity("mean congestion", ("",), "lower"),
    # timing
    "timing__setup__ws": Quantity("worst setup slack", ("ns",), "higher"),
    "timing__hold__ws": Quantity("worst hold slack", ("ns",), "higher"),
    "timing__hold_vio__count": Quantity("hold violations", ("",), "lower"),
    "timing__fmax": Quantity("largest clock frequency", ("MHz",), "higher"),
    "timing__endpoint__count": Quantity("timing endpoints", ("",)),
    # power
    "power__total": Quantity("power", ("mW",), "lower"),
    "power__annotated_nets": Quantity("nets with activity of their own", ("%",), "higher"),
    "power__glitch_factor": Quantity("glitch factor", ("",), "lower"),
    "energy": Quantity("energy of an inference", _ENERGY, "lower"),
    "energy__per_inference": Quantity("energy of an inference", _ENERGY, "lower"),
    "energy__per_inference__dynamic": Quantity("dynamic energy of an inference", _ENERGY, "lower"),
    "energy__per_synaptic_operation": Quantity("energy of a synaptic operation", ("pJ",), "lower"),
    **{
        f"energy__{kind}": Quantity(f"energy, {kind.replace('_', ' ')}", _ENERGY, "lower")
        for kind in ("clock_pins", "clock_tree", "clocks", "dynamic", "glitches", "internal", "leakage", "switching")
    },
    # FPGA
    "fpga__logic__utilization": Quantity("share of the logic cells", ("",), "lower"),
    "fpga__resource__count": Quantity("logic resources", ("",), "lower"),
    # the flow itself
    "flow__runtime__cpu": Quantity("time of the processors", ("s",), "lower"),
    "flow__runtime__total": Quantity("run time", _TIME, "lower"),
    "flow__memory__peak": Quantity("peak memory", ("B",), "lower"),
    "flow__memory": Quantity("peak memory", ("MB",), "lower"),
    "verification__compared": Quantity(
        "compared",
        (
            "bunch crossings", "cells", "codes", "flip-flops", "frames", "mutants", "proofs", "queries", "samples",
            "steps", "",
        ),
        "higher",
    ),
    # models
    "accuracy__mean": Quantity("accuracy, mean", ("%",), "higher"),
    "accuracy__std": Quantity("accuracy, standard deviation", ("%",), "lower"),
    "accuracy__lowest": Quantity("accuracy, lowest", ("%",), "higher"),
    "conversion__codes_different": Quantity("codes that differ", ("%",), "lower"),
    "model__throughput": Quantity("throughput of the model", ("inferences/s",), "higher"),
    "model__speedup": Quantity("speed-up of the model", ("x",), "higher"),
    "model__codes_compared": Quantity("codes compared", ("codes",), "higher"),
    "model__product_rule__codes_changed": Quantity("codes that another product rule changes", ("%",)),
    "network__codes_off_vitis": Quantity("codes off hls4ml's C++", ("codes",), "lower"),
    "network__codes_compared_with_vitis": Quantity("codes compared with it", ("codes",), "higher"),
    "network__codes_off_qkeras": Quantity("codes off QKeras", ("codes",), "lower"),
    "network__layers": Quantity("layers with weights", ("",)),
    "network__multiplies": Quantity("multiplications", ("",)),
    "network__area_loaded": Quantity("area, weights loaded", ("kGE",), "lower"),
    "network__area_per_multiply_loaded": Quantity("of it for a multiplication", ("GE",), "lower"),
    "network__slack_loaded": Quantity("slack", ("ns",), "higher"),
    "network__area_frozen": Quantity("area, weights frozen", ("kGE",), "lower"),
    "network__area_per_multiply_frozen": Quantity("of it for a multiplication, frozen", ("GE",), "lower"),
    "network__slack_frozen": Quantity("slack, frozen", ("ns",), "higher"),
    "network__rtl_samples_frozen": Quantity("samples on the RTL, weights frozen", ("samples",), "higher"),
    "network__rtl_samples_loaded": Quantity("samples on the RTL, weights loaded", ("samples",), "higher"),
    "network__energy": Quantity("energy of a sample", ("pJ",), "lower"),
    "front_end__codes_compared": Quantity("codes compared", ("codes",), "higher"),
    "front_end__codes_off": Quantity("codes that differ", ("codes",), "lower"),
    "network__area_placed": Quantity("area, placed and repaired", ("kGE",), "lower"),
    "network__area_per_multiply_placed": Quantity("of it for a multiplication, placed", ("GE",), "lower"),
    "network__slack_placed": Quantity("slack, placed and repaired", ("ns",), "higher"),
    "network__synthesis_time_loaded": Quantity("time of synthesis", ("s",), "lower"),
    "network__latency": Quantity("latency", ("ns",), "lower"),
    "network__synthesis_memory": Quantity("peak memory of synthesis", ("GB",), "lower"),
    "frozen__area_da4ml": Quantity("area, da4ml", ("kGE",), "lower"),
    "frozen__area_alkaid": Quantity("area, alkaid", ("kGE",), "lower"),
    "frozen__area_liquidcal": Quantity("area, liquidcal", ("kGE",), "lower"),
    "frozen__area_over_da4ml": Quantity("area over da4ml's", ("",), "lower"),
    "frozen__area_over_alkaid": Quantity("area over alkaid's", ("",), "lower"),
    "liquid__throughput": Quantity("throughput of the liquid", ("samples/s",), "higher"),
    "liquid__speedup": Quantity("speed-up of the liquid", ("x",), "higher"),
    "liquid__spikes_differing": Quantity("spikes that differ", ("%",), "lower"),
    "simulation__throughput": Quantity("throughput of the simulation", ("BX/min",), "higher"),
    "simulation__throughput__cpu": Quantity("throughput by processor time", ("BX/min",), "higher"),
    # fault campaigns and what a flipped weight bit does
    "faults": Quantity("faults", ("",)),
    "masked": Quantity("masked", ("",)),
    "corrected": Quantity("corrected", ("",)),
    "corrupted": Quantity("corrupted", ("",), "lower"),
    "hang": Quantity("hangs", ("",), "lower"),
    "persistent": Quantity("persistent", ("",), "lower"),
    "weight__bits": Quantity("weight bits", ("",), "lower"),
    "weight__bits_idle": Quantity("weight bits that change no frame", ("",)),
    "emd__median": Quantity("median EMD without upset", ("",), "lower"),
}  # fmt: skip
"""Quantities by METRICS2.1 name, with a modifier only where it makes another quantity. Metrics of modules, cases,
bounds and kinds are looked up without their modifiers."""


def quantity(name: str) -> Quantity | None:
    """What a metric's name stands for, its modifiers aside; None if the name is not registered."""
    return QUANTITIES.get(name) or QUANTITIES.get(_MODIFIER.split(name)[0])


def label(name: str) -> str:
    """A metric's name in words: that of its quantity, or the name with its underscores opened; modifiers last."""
    if name in QUANTITIES:
        return QUANTITIES[name].label
    base, *modifiers = _MODIFIER.split(name)
    found = QUANTITIES.get(base)
    text = found.label if found else base.replace("__", " ").replace("_", " ")
    return ": ".join([text, ", ".join(map(_in_words, modifiers))]) if modifiers else text


def _in_words(modifier: str) -> str:
    key, _, value = modifier.partition(":")
    # ECON_T and 65nm_LP are names
    return f"{key.replace('_', ' ')} {value.replace('_', ' ') if value.islower() else value}"


class GateError(RuntimeError):
    """A gate failed: a metric is missing, not finite, or beyond its limit."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure and where it comes from.

    Attributes
    ----------
    name : str
        METRICS2.1 name, e.g. ``design__instance__area`` or ``design__instance__area__module:conv``.
    value : int, float or str
        The figure; finite.
    unit : str
        Unit as written: ``um2``, ``GE``, ``s``, ``B``; empty for a count.
    tool, tool_version : str
        Program that produced the figure, its version as the program reports it.
    library, library_sha256 : str
        Cell library and its hash; both empty where none is involved.
    method : str
        How the figure arises, in one sentence.
    command : str
        What to run to obtain it again.
    date : str
        UTC, ``YYYY-MM-DDThh:mm:ssZ``.

    Raises
    ------
    ValueError
        A malformed name, a value that is not finite, a unit that the quantity does not stand in, an empty tool, or a
        malformed date.
    """

    name: str
    value: int | float | str
    unit: str
    tool: str
    tool_version: str
    library: str
    library_sha256: str
    method: str
    command: str
    date: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"not a METRICS2.1 name: {self.name!r}")
        if isinstance(self.value, bool) or not isinstance(self.value, int | float | str):
            raise TypeError(f"metric {self.name}: value must be int, float or str, got {self.value!r}")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise ValueError(f"metric {self.name}: value must be finite, got {self.value}")
        for field in fields(self):
            if field.name != "value" and not isinstance(getattr(self, field.name), str):
                raise TypeError(f"metric {self.name}: {field.name} must be text, got {getattr(self, field.name)!r}")
        known = quantity(self.name)
        if known is not None and self.unit not in known.units:
            raise ValueError(f"metric {self.name}: expected a unit of {known.units}, got {self.unit!r}")
        if not self.tool or not self.tool_version:
            raise ValueError(f"metric {self.name}: tool and tool_version must be given")
        if bool(self.library) != bool(self.library_sha256):
            raise ValueError(f"metric {self.name}: library and library_sha256 come together")
        if not _DATE.fullmatch(self.date):
            raise ValueError(f"metric {self.name}: date must be YYYY-MM-DDThh:mm:ssZ, got {self.date!r}")

    @property
    def label(self) -> str:
        """Name of the figure in a table."""
        return label(self.name)

    def to_dict(self) -> dict[str, Any]:
        """The fields and the label as plain types."""
        return {"name": self.name, "label": self.label, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; unknown and missing fields raise ValueError.

        The label follows from the name, so files without it, or with one of an earlier registry, are read as well.
        """
        known = {field.name for field in fields(cls)}
        if not isinstance(data, Mapping):
            raise ValueError(f"expected a metric with its fields, got {data!r:.40}")
        given = {name: value for name, value in data.items() if name != "label"}
        if given.keys() != known:
            wrong = shown(", ".join(sorted(given.keys() ^ known)), quoted=False)
            raise ValueError(f"metric fields {wrong} are unknown or missing")
        return cls(**given)


def now() -> str:
    """The time as a metric's date."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def package_version(distribution: str) -> str:
    """Installed version of a Python distribution, from its metadata."""
    return metadata.version(distribution)


def write_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Write metrics as a JSON list, complete or not at all. Two metrics of one name raise ValueError."""
    rows = [metric.to_dict() for metric in metrics]
    names = [row["name"] for row in rows]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"metric {twice} occurs twice")
    with replacing(path) as file:
        json.dump(rows, file, indent=1)
        file.write("\n")


def read_metrics(path: Path) -> tuple[Metric, ...]:
    """Read what `write_metrics` wrote; anything else raises ValueError, which names the file."""
    try:
        rows = json.loads(path.read_text())
        if not isinstance(rows, list):
            raise ValueError("expected a list of metrics")
        return tuple(Metric.from_dict(row) for row in rows)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds no list of metrics: {shown(error, quoted=False)}") from None


def find(metrics: Sequence[Metric], name: str) -> Metric:
    """The metric of that name; a missing one raises `GateError`."""
    for metric in metrics:
        if metric.name == name:
            return metric
    raise GateError(f"metric {name} is missing ({len(metrics)} metrics at hand)")


def _number(metric: Metric) -> float:
    if isinstance(metric.value, str):
        raise GateError(f"metric {metric.name} is text, not a number: {metric.value!r}")
    return metric.value


def require(metrics: Sequence[Metric], name: str, limit: float) -> Metric:
    """Gate: the metric exists and is at most `limit`, which has the metric's own unit.

    Raises
    ------
    GateError
        The metric is missing, is text, or is above the limit.
    """
    metric = find(metrics, name)
    if not _number(metric) <= limit:
        raise GateError(f"metric {name} is {metric.value} {metric.unit}".rstrip() + f", limit {limit}")
    return metric


def require_equal(metrics: Sequence[Metric], name: str, expected: float) -> Metric:
    """Gate: the metric exists and equals `expected` exactly, as a count must."""
    metric = find(metrics, name)
    if _number(metric) != expected:
        raise GateError(f"metric {name} is {metric.value} {metric.unit}".rstrip() + f", expected {expected}")
    return metric
