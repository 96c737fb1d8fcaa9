"""Typed metrics with their origin, and the gates that judge them.

Names follow METRICS2.1 (`design__instance__area`, `power__total`; modifiers as ``__key:value``), so that figures of
different tools compare. A metric is not a bare number: it says which tool and version produced it, on which library,
how, by which command and when.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from sim.files import replacing

__all__ = [
    "GateError",
    "Metric",
    "find",
    "now",
    "package_version",
    "read_metrics",
    "require",
    "require_equal",
    "write_metrics",
]

_NAME = re.compile(r"[a-z0-9]+(?:_{1,2}[a-z0-9]+)*(?:__[a-z_]+:[A-Za-z0-9_.\[\]$\\-]+)*")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


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
        Program that produced the figure, its version as the program tells it.
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
        A malformed name, a value that is not finite, an empty tool, or a malformed date.
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
        if not self.tool or not self.tool_version:
            raise ValueError(f"metric {self.name}: tool and tool_version must be given")
        if bool(self.library) != bool(self.library_sha256):
            raise ValueError(f"metric {self.name}: library and library_sha256 come together")
        if not _DATE.fullmatch(self.date):
            raise ValueError(f"metric {self.name}: date must be YYYY-MM-DDThh:mm:ssZ, got {self.date!r}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; unknown and missing fields raise ValueError."""
        known = {field.name for field in fields(cls)}
        if not isinstance(data, Mapping):
            raise ValueError(f"expected a metric with its fields, got {data!r:.40}")
        if data.keys() != known:
            raise ValueError(f"metric fields {sorted(data.keys() ^ known)} are unknown or missing")
        return cls(**data)


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
        raise ValueError(f"{path} holds no list of metrics: {error}") from None


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
