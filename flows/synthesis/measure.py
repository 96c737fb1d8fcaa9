"""The figures of a synthesis: counted in the netlist itself, compared with what yosys says, with their origin."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flows.common.metrics import Metric, now
from flows.common.process import Finished
from flows.library.library import CellLibrary
from flows.synthesis.result import ModuleArea, Stage, SynthesisError, count_cells
from flows.tools.yosys import yosys_version

__all__ = ["Counts", "count", "synthesis_metrics"]

_WALKED = "sum of Liberty cell areas over the hierarchical netlist; equals yosys stat's design area"
_COUNTED = "counted in the hierarchical netlist"

_Measure = Callable[[str, "int | float", str, str], Metric]
"""A metric from name, value, unit and method."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What stands in a netlist.

    Attributes
    ----------
    modules, stages : tuple
        As of `SynthesisResult`.
    mapped, unmapped : Counter of str
        Cells of the library, and cells that are neither of the library nor modules, by type.
    loops, problems : int
        Combinational loops and other problems that yosys' ``check`` finds in the flat source and in the netlist.
    """

    modules: tuple[ModuleArea, ...]
    stages: tuple[Stage, ...]
    mapped: Counter[str]
    unmapped: Counter[str]
    loops: int
    problems: int


def count(work: Path, top: str, library: CellLibrary, black_boxes: Collection[str]) -> Counts:
    """Count the netlist that a synthesis left in a folder.

    Raises
    ------
    SynthesisError
        Its area differs from that of yosys' ``stat``, or yosys' ``check`` wrote no result.
    """
    netlist = json.loads((work / "netlist.json").read_text())
    modules, stages, mapped, unmapped = count_cells(netlist, top, library, black_boxes)
    stat = json.loads((work / "stat.json").read_text())
    area, yosys_area = modules[0].area_um2, float(stat["design"].get("area", 0.0))
    if not math.isclose(area, yosys_area, rel_tol=1e-6, abs_tol=1e-3):
        raise SynthesisError(f"netlist area {area} um2 differs from yosys stat's design area {yosys_area} um2")
    found = [_problems((work / f"check_{what}.txt").read_text()) for what in ("source", "netlist")]
    return Counts(
        modules=modules, stages=stages, mapped=mapped, unmapped=unmapped,
        loops=sum(loops for loops, _ in found), problems=sum(other for _, other in found),
    )  # fmt: skip


def _problems(report: str) -> tuple[int, int]:
    """Number of combinational loops and of other problems in what yosys' ``check`` wrote."""
    loops = len(re.findall(r"^Warning: found logic loop in module", report, re.MULTILINE))
    found = re.search(r"Found and reported (\d+) problems", report)
    if found is None:
        raise SynthesisError("yosys check wrote no result")
    return loops, int(found.group(1)) - loops


def synthesis_metrics(
    counts: Counts, library: CellLibrary, *, black_boxes: Collection[str], merged: int, stray_latches: int,
    runs: Mapping[str, Finished], command: str,
) -> list[Metric]:  # fmt: skip
    """All figures of a synthesis with their origin.

    Parameters
    ----------
    counts : Counts
    library : CellLibrary
    black_boxes : collection of str
        Modules of which only the ports are known.
    merged : int
        Modules of the source that equal another one.
    stray_latches : int
        Latches that the source did not ask for.
    runs : mapping of str to Finished
        The yosys run of each phase.
    command : str
        What gives the figures again.
    """
    version, date = yosys_version(), now()

    def measure(name: str, value: int | float, unit: str, method: str) -> Metric:
        return Metric(
            name=name, value=value, unit=unit, tool="yosys", tool_version=version, library=library.name,
            library_sha256=library.sha256, method=method, command=command, date=date,
        )  # fmt: skip

    return [
        *_design_metrics(measure, counts, library, black_boxes, merged),
        measure(
            "design__stray_latch__count",
            stray_latches,
            "",
            "latches of the elaborated source outside modules named isolation_latch",
        ),
        *(metric for stage in counts.stages for metric in _stage_metrics(measure, stage)),
        *_run_metrics(measure, runs),
    ]


def _design_metrics(
    measure: _Measure, counts: Counts, library: CellLibrary, black_boxes: Collection[str], merged: int
) -> Iterator[Metric]:
    area = counts.modules[0].area_um2
    yield measure("design__instance__area", area, "um2", _WALKED)
    yield measure(
        "design__instance__area__gate_equivalent", library.gate_equivalents(area), "GE",
        f"area over {library.nand2_area_um2} um2 of {library.nand2}",
    )  # fmt: skip
    yield measure("design__instance__count", sum(counts.mapped.values()), "", _COUNTED)
    unmapped = sum(counts.unmapped.values())
    yield measure("design__instance_unmapped__count", unmapped, "", "neither library cells nor modules")
    boxes = f"modules of which only the ports are known, without area: {', '.join(black_boxes) or 'none'}"
    yield measure("design__black_box__count", len(black_boxes), "", boxes)
    by_kind = Counter(dict.fromkeys(("flip_flop", "latch", "clock_gate", "combinational", "tie"), 0))
    for cell, number in counts.mapped.items():
        by_kind[library.cells[cell].kind] += number
    for kind, number in sorted(by_kind.items()):
        yield measure(f"design__instance__count__class:{kind}", number, "", f"{_COUNTED}; class by Liberty groups")
    adders = counts.mapped[library.full_adder.cell] if library.full_adder else 0
    yield measure("design__instance__count__class:full_adder", adders, "", _COUNTED)
    yield measure("design__module__count", len(counts.modules), "", "distinct modules of the netlist")
    yield measure("design__module_merged__count", merged, "", "modules of the source that equal another one")
    yield measure(
        "design__combinational_loop__count", counts.loops, "",
        "yosys check on the flattened source and on each module of the netlist",
    )  # fmt: skip
    yield measure(
        "design__check_problem__count", counts.problems, "",
        "yosys check: undriven or multiply driven wires, unknown cells",
    )  # fmt: skip


def _stage_metrics(measure: _Measure, stage: Stage) -> Iterator[Metric]:
    tag = re.sub(r"[^A-Za-z0-9_.]", "_", stage.module)
    scope = f"all {len(stage.instances)} instance(s), with submodules" if stage.instances else "the top's own cells"
    for name, amount, unit in (
        ("design__instance__area", stage.area_um2, "um2"),
        ("design__instance__area__gate_equivalent", stage.gate_equivalents, "GE"),
        ("design__instance__count", stage.cells, ""),
        ("design__flip_flop__count", stage.flip_flops, ""),
    ):
        yield measure(f"{name}__module:{tag}", amount, unit, f"{_WALKED if unit == 'um2' else _COUNTED}; {scope}")


def _run_metrics(measure: _Measure, runs: Mapping[str, Finished]) -> Iterator[Metric]:
    for name, done in runs.items():
        yield measure(
            f"flow__runtime__total__step:{name}", round(done.wall_s, 3), "s", "wall-clock time of the yosys process"
        )
        yield measure(
            f"flow__memory__peak__step:{name}", done.peak_memory_bytes, "B",
            "resident memory of yosys and its children, sampled",
        )  # fmt: skip
    total_s = sum(done.wall_s for done in runs.values())
    yield measure("flow__runtime__total", round(total_s, 3), "s", "sum over the steps")
    peak_bytes = max(done.peak_memory_bytes for done in runs.values())
    yield measure("flow__memory__peak", peak_bytes, "B", "largest of the steps")
