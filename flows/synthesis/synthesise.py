"""Logic synthesis onto a cell library: hierarchical, measured, checked.

`synthesise` takes RTLIL or Verilog of any hierarchical design and leaves a mapped netlist with its reports in a fresh
directory. Four decisions make it scale and keep area small:

* Modules of equal content are merged first (`merge_identical_modules`): generators such as Amaranth emit one module per
  instance, so a layer of 16 equal neurons would otherwise be synthesised 16 times.
* Boundaries are kept around the direct children of the top module (the stages of the report), around modules that occur
  more than once, and where asked; everything else is flattened.
* Additions can use the library's full adders, which yosys' own mapping of ``$fa`` and ``$alu`` leaves unused: see
  `Recipe`.
* yosys-abc gets an own script with driving cell and load: its default one does not finish on multiplier arrays.

Gates are separate: `gate_synthesis` judges the metrics and fails on a missing one.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from flows.common.folder import fresh_folder
from flows.common.metrics import Metric, now, write_metrics
from flows.common.process import Finished
from flows.library.library import CellLibrary
from flows.synthesis.equivalence import read_command, read_library
from flows.synthesis.merge import merge_identical_modules
from flows.synthesis.recipe import AREA, Recipe
from flows.synthesis.result import SynthesisError, SynthesisResult, count_cells, is_design, load_result, public_name
from flows.synthesis.techmap import (
    CARRY_SAVE_MAP,
    FULL_ADDER_BOX,
    GATES_MAP,
    PARTIAL_MAP,
    RIPPLE_MAP,
    SIMPLIFY_MAP,
    cell_map,
)
from flows.tools.yosys import quote, run_yosys, yosys_version

__all__ = ["synthesise"]


def _half_used_adders(netlist: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Full-adder boxes of which only the sum, or only the carry, is read: as ``module/cell`` selections of yosys."""
    sum_only, carry_only = [], []
    for name, body in netlist["modules"].items():
        if not is_design(body):
            continue
        used: set[Any] = set()
        for port in body["ports"].values():
            if port["direction"] != "input":
                used.update(port["bits"])
        boxes = {}
        for cell_name, cell in body["cells"].items():
            if cell["type"] == "_liquidcal_fa_":
                boxes[cell_name] = cell["connections"]
            directions = cell.get("port_directions", {})
            for pin, bits in cell["connections"].items():
                if directions.get(pin) != "output":
                    used.update(bits)
        for cell_name, pins in boxes.items():
            carry, total = pins["CO"][0] in used, pins["S"][0] in used
            if total and not carry:
                sum_only.append(f"{name}/{cell_name}")
            elif carry and not total:
                carry_only.append(f"{name}/{cell_name}")
    return sum_only, carry_only


def _problems(report: str) -> tuple[int, int]:
    """Number of combinational loops and of other problems in what yosys' ``check`` wrote."""
    loops = len(re.findall(r"^Warning: found logic loop in module", report, re.MULTILINE))
    found = re.search(r"Found and reported (\d+) problems", report)
    if found is None:
        raise SynthesisError("yosys check wrote no result")
    return loops, int(found.group(1)) - loops


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _plan(
    netlist: Mapping[str, Any], top: str, keep: Sequence[str], flatten: Sequence[str], min_keep_cells: int
) -> list[str]:
    """Names of the modules whose boundaries stay."""
    modules = {name: body for name, body in netlist["modules"].items() if is_design(body)}
    children = {
        name: Counter(cell["type"] for cell in body["cells"].values() if cell["type"] in modules)
        for name, body in modules.items()
    }
    instances: Counter[str] = Counter()

    def walk(name: str, times: int) -> None:
        instances[name] += times
        for child, number in children[name].items():
            walk(child, times * number)

    walk(top, 1)

    def size(name: str) -> int:
        own = 0
        for cell in modules[name]["cells"].values():
            if cell["type"] not in modules:
                own += max((len(bits) for bits in cell["connections"].values()), default=1) * (
                    8 if cell["type"] in ("$mul", "$macc", "$macc_v2", "$shiftx", "$pmux", "$mem_v2") else 1
                )
        return own + sum(number * size(child) for child, number in children[name].items())

    kept = []
    for name in instances:
        attributes = modules[name].get("attributes", {})
        asked = bool(int(str(attributes.get("keep_hierarchy", "0")), 2))
        if name == top:
            continue
        if _matches(name, keep) or (
            not _matches(name, flatten)
            and (asked or name in children[top] or (instances[name] > 1 and size(name) >= min_keep_cells))
        ):
            kept.append(name)
    return kept


def _liberty_flags(library: CellLibrary) -> str:
    return " ".join(f"-liberty {quote(path)}" for path in library.liberty)


def _dont_use_flags(cells: Iterable[str]) -> str:
    return " ".join(f"-dont_use {cell}" for cell in cells)


def _selection(names: Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in names)


def synthesise(
    source: str | Path | Sequence[Path],
    *,
    top: str,
    library: CellLibrary,
    out_dir: Path,
    clock_period_ns: float = 25.0,
    recipe: Recipe = AREA,
    keep: Sequence[str] = (),
    flatten: Sequence[str] = (),
    min_keep_cells: int = 64,
    clock_gating: bool = False,
    timeout_s: float = 1200.0,
    command: str = "",
) -> SynthesisResult:
    """Synthesise a design onto a cell library.

    The step works in a temporary directory beside `out_dir` and moves it there when everything is complete: an
    interrupted run leaves nothing, an earlier result of `out_dir` is replaced.

    Parameters
    ----------
    source : str, Path or sequence of Path
        RTLIL or Verilog text (SystemVerilog as yosys reads it); one RTLIL file (``.il``, ``.rtlil``); or Verilog files.
    top : str
        Name of the top module.
    library : CellLibrary
        Target library.
    out_dir : Path
        Result directory: absent, empty, or an earlier result of this step.
    clock_period_ns : float
        Delay target of abc for each piece of logic between registers and adder cells.
    recipe : Recipe
        Mapping choices.
    keep, flatten : sequence of str
        Shell patterns of module names whose boundary stays, or goes; `keep` wins. Replicated registers under a voter
        must be kept: flattened, they are equal and merge into one.
    min_keep_cells : int
        Repeated modules below this rough size (in word-level cell bits, a multiplier bit counts 8) are flattened.
    clock_gating : bool
        Turn groups of at least 4 flip-flops with a common enable into a clock gate of the library and plain flip-flops.
    timeout_s : float
        Limit of each of the yosys runs in seconds.
    command : str
        What to run to obtain the figures again, for their provenance; the call of this function if left out.

    Returns
    -------
    SynthesisResult
        Outputs and figures. Judge them with `gate_synthesis`.

    Raises
    ------
    YosysError
        yosys refused the design.
    ToolTimeout
        yosys ran into the time limit.
    SynthesisError
        Independent area counts disagree.
    FileExistsError
        `out_dir` holds something else.
    ValueError, FileNotFoundError
        A bad argument.
    """
    if clock_period_ns <= 0:
        raise ValueError(f"clock_period_ns must be positive, got {clock_period_ns}")
    if clock_gating and not library.of_kind("clock_gate"):
        raise ValueError(f"library {library.name} has no clock gate")
    with fresh_folder(out_dir, marker="metrics.json") as work:
        _synthesise(
            source=source,
            top=top,
            library=library,
            work=work,
            clock_period_ns=clock_period_ns,
            recipe=recipe,
            keep=keep,
            flatten=flatten,
            min_keep_cells=min_keep_cells,
            clock_gating=clock_gating,
            timeout_s=timeout_s,
            command=command,
        )
    return load_result(out_dir)


def _synthesise(
    *,
    source: str | Path | Sequence[Path],
    top: str,
    library: CellLibrary,
    work: Path,
    clock_period_ns: float,
    recipe: Recipe,
    keep: Sequence[str],
    flatten: Sequence[str],
    min_keep_cells: int,
    clock_gating: bool,
    timeout_s: float,
    command: str,
) -> None:
    runs: dict[str, Finished] = {}

    def run(name: str, lines: Sequence[str]) -> None:
        runs[name] = run_yosys("\n".join(lines) + "\n", directory=work, name=name, timeout_s=timeout_s)

    top_id = top if top.startswith("\\") else f"\\{top}"
    top = public_name(top_id)
    read, rtlil = read_command(source, work)
    if rtlil is None:
        run("read", [read, f"hierarchy -check -top {top_id}", "write_rtlil read.il"])
        rtlil = (work / "read.il").read_text()
    merged, representative = merge_identical_modules(rtlil)
    if top_id in representative:
        raise SynthesisError(f"top module {top} equals {representative[top_id]}, which stands elsewhere in the design")
    (work / "source.il").write_text(merged)

    run(
        "elaborate",
        [
            "read_rtlil source.il",
            f"hierarchy -check -top {top_id}",
            "proc",
            "chformal -remove",
            "delete t:$print t:$scopeinfo",
            "opt_expr",
            "opt_clean",
            "write_rtlil elaborated.il",
            "write_json elaborated.json",
            # loops may close over module boundaries: look at the flat design
            "setattr -mod -unset keep_hierarchy",
            "flatten",
            "tee -o check_source.txt check",
        ],
    )
    elaborated = json.loads((work / "elaborated.json").read_text())
    black_boxes = sorted(name for name, body in elaborated["modules"].items() if not is_design(body))
    kept = _plan(elaborated, top, keep, flatten, min_keep_cells)
    (work / "kept.txt").write_text(_selection(kept))

    boxes = recipe.adder_cells or recipe.ripple
    (work / "full_adder_box.v").write_text(FULL_ADDER_BOX)
    (work / "arithmetic_map.v").write_text(CARRY_SAVE_MAP + (RIPPLE_MAP if recipe.ripple else ""))
    (work / "simplify_map.v").write_text(SIMPLIFY_MAP)
    (work / "partial_map.v").write_text(PARTIAL_MAP)
    adder = library.full_adder if recipe.adder_cells else None
    gates_map = GATES_MAP if adder is None else cell_map(adder, recipe.complement)
    (work / "cell_map.v").write_text(gates_map)
    simplify = ["techmap -map simplify_map.v", "opt_expr", "opt_merge", "opt_clean"]
    enables = "" if clock_gating else "-nodffe"
    arithmetic = ["maccmap", "techmap -map arithmetic_map.v", "opt_expr", "opt_clean", *simplify * 3] if boxes else []
    run(
        "map",
        [
            "read_rtlil elaborated.il",
            f"hierarchy -check -top {top_id}",
            "read_verilog -lib full_adder_box.v",
            "setattr -mod -unset keep_hierarchy",
            *([f"setattr -mod -set keep_hierarchy 1 {' '.join(kept)}"] if kept else []),
            "flatten",
            f"hierarchy -check -top {top_id}",
            "opt_expr",
            "opt_clean",
            f"opt {enables} -nosdff",
            "wreduce",
            "peepopt",
            "opt_clean",
            *(["booth"] if recipe.booth else []),
            "alumacc",
            "share",
            f"opt {enables} -nosdff",
            "memory -nomap",
            "opt_clean",
            f"opt -fast -full {enables} -nosdff",
            "memory_map",
            f"opt -undriven -fine {enables} -nosdff",
            *arithmetic,
            "techmap",
            "opt_expr",
            "opt_merge",
            "opt_clean",
            *(simplify * 3 if boxes else []),
            *(["techmap", "extract_fa -fa", "techmap -map arithmetic_map.v", *simplify] if recipe.extract else []),
            "techmap",
            f"opt -fast {enables} -nosdff",
            "write_rtlil mapped.il",
            "write_json mapped.json",
        ],
    )
    mapped_json = json.loads((work / "mapped.json").read_text())
    sum_only, carry_only = _half_used_adders(mapped_json)
    sizes = {name: len(body["cells"]) for name, body in mapped_json["modules"].items() if is_design(body)}
    small = [name for name, size in sizes.items() if recipe.abc_small and size <= recipe.small_cells]
    large = [name for name in sizes if name not in small]
    partial = []
    for kind, names in (("sum", sum_only), ("carry", carry_only)):
        if names:
            (work / f"{kind}_only.txt").write_text(_selection(names))
            partial += [
                f"select -read {kind}_only.txt",
                f"chtype -set _liquidcal_fa_{kind}_",
                "select -clear",
            ]
    (work / "constraints.txt").write_text(f"set_driving_cell {library.driving_cell}\nset_load {library.load_ff}\n")
    (work / "recipe.abc").write_text("\n".join(recipe.abc) + "\n")
    (work / "small.abc").write_text("\n".join(recipe.abc_small) + "\n")
    liberty = _liberty_flags(library)
    unused = _dont_use_flags(library.dont_use)
    tie = []
    if library.tie_low is not None and library.tie_high is not None:
        tie = [f"hilomap -singleton -locell {' '.join(library.tie_low)} -hicell {' '.join(library.tie_high)}"]
    run(
        "netlist",
        [
            "read_verilog -lib full_adder_box.v",
            "read_rtlil mapped.il",
            *partial,
            "techmap -map partial_map.v",
            "techmap -map cell_map.v",
            *([f"clockgate {liberty} {unused} -min_net_size 4"] if clock_gating else []),
            f"dfflibmap {unused} {liberty}",
            "techmap",
            "opt_expr",
            "opt_merge",
            "opt_clean",
            *(
                f"abc {liberty} {unused} -constr constraints.txt -D {1000 * clock_period_ns:.0f} "
                f"-script {script} {' '.join(names)}"
                for script, names in (("recipe.abc", large), ("small.abc", small))
                if names
            ),
            "opt_clean -purge",
            # a netlist for placement and timing knows neither 'x nor initial values
            "setundef -zero",
            "setattr -unset init",
            *tie,
            "splitnets",
            "opt_clean -purge",
            read_library(library),
            f"hierarchy -check -top {top_id}",
            "tee -o check_netlist.txt check -mapped",
            f"tee -q -o stat.json stat -json {liberty} -top {top_id}",
            "write_rtlil netlist.il",
            "write_json netlist.json",
            "write_verilog -noattr -noexpr -nohex -nodec netlist.v",
        ],
    )

    netlist = json.loads((work / "netlist.json").read_text())
    modules, stages, mapped, unmapped = count_cells(netlist, top, library, black_boxes)
    stat = json.loads((work / "stat.json").read_text())
    area = modules[0].area_um2
    yosys_area = float(stat["design"].get("area", 0.0))
    if not math.isclose(area, yosys_area, rel_tol=1e-6, abs_tol=1e-3):
        raise SynthesisError(f"netlist area {area} um2 differs from yosys stat's design area {yosys_area} um2")
    loops_source, other_source = _problems((work / "check_source.txt").read_text())
    loops_netlist, other_netlist = _problems((work / "check_netlist.txt").read_text())
    version, date = yosys_version(), now()
    command = command or (
        f"flows.synthesis.synthesise.synthesise(top={top!r}, library={library.name!r}, recipe={recipe.name!r}, "
        f"clock_period_ns={clock_period_ns})"
    )

    def metric(name: str, value: int | float, unit: str, method: str) -> Metric:
        return Metric(
            name=name,
            value=value,
            unit=unit,
            tool="yosys",
            tool_version=version,
            library=library.name,
            library_sha256=library.sha256,
            method=method,
            command=command,
            date=date,
        )

    by_kind = Counter(dict.fromkeys(("flip_flop", "latch", "clock_gate", "combinational", "tie"), 0))
    for cell, number in mapped.items():
        by_kind[library.cells[cell].kind] += number
    walked = "sum of Liberty cell areas over the hierarchical netlist; equals yosys stat's design area"
    counted = "counted in the hierarchical netlist"
    metrics = [
        metric("design__instance__area", area, "um2", walked),
        metric(
            "design__instance__area__gate_equivalent",
            library.gate_equivalents(area),
            "GE",
            f"area over {library.nand2_area_um2} um2 of {library.nand2}",
        ),
        metric("design__instance__count", sum(mapped.values()), "", counted),
        metric("design__instance_unmapped__count", sum(unmapped.values()), "", "neither library cells nor modules"),
        metric(
            "design__black_box__count",
            len(black_boxes),
            "",
            f"modules of which only the ports are known, without area: {', '.join(black_boxes) or 'none'}",
        ),
        *(
            metric(f"design__instance__count__class:{kind}", number, "", f"{counted}; class by Liberty groups")
            for kind, number in sorted(by_kind.items())
        ),
        metric(
            "design__instance__count__class:full_adder",
            mapped[library.full_adder.cell] if library.full_adder else 0,
            "",
            counted,
        ),
        metric("design__module__count", len(modules), "", "distinct modules of the netlist"),
        metric("design__module_merged__count", len(representative), "", "modules of the source that equal another one"),
        metric(
            "design__combinational_loop__count",
            loops_source + loops_netlist,
            "",
            "yosys check on the flattened source and on each module of the netlist",
        ),
        metric(
            "design__check_problem__count",
            other_source + other_netlist,
            "",
            "yosys check: undriven or multiply driven wires, unknown cells",
        ),
    ]
    for stage in stages:
        tag = re.sub(r"[^A-Za-z0-9_.]", "_", stage.module)
        for name, amount, unit in (
            ("design__instance__area", stage.area_um2, "um2"),
            ("design__instance__area__gate_equivalent", stage.gate_equivalents, "GE"),
            ("design__instance__count", stage.cells, ""),
            ("design__flip_flop__count", stage.flip_flops, ""),
        ):
            scope = (
                f"all {len(stage.instances)} instance(s), with submodules" if stage.instances else "the top's own cells"
            )
            method = walked if unit == "um2" else counted
            metrics.append(metric(f"{name}__module:{tag}", amount, unit, f"{method}; {scope}"))
    wall, memory = "wall-clock time of the yosys process", "resident memory of the process group, sampled"
    for name, done in runs.items():
        metrics.append(metric(f"flow__runtime__total__step:{name}", round(done.wall_s, 3), "s", wall))
        metrics.append(metric(f"flow__memory__peak__step:{name}", done.peak_memory_bytes, "B", memory))
    total_s = sum(done.wall_s for done in runs.values())
    metrics.append(metric("flow__runtime__total", round(total_s, 3), "s", "sum over the steps"))
    peak_bytes = max(done.peak_memory_bytes for done in runs.values())
    metrics.append(metric("flow__memory__peak", peak_bytes, "B", "largest of the steps"))
    unmapped_text = {"unmapped": dict(sorted(unmapped.items())), "cells": dict(sorted(mapped.items()))}
    tables = {
        "top": top,
        "library": library.name,
        "library_sha256": library.sha256,
        "recipe": asdict(recipe),
        "modules": [asdict(row) for row in modules],
        "stages": [asdict(row) for row in stages],
        **unmapped_text,
    }
    (work / "modules.json").write_text(json.dumps(tables, indent=1) + "\n")
    for scratch in ("elaborated.json", "mapped.json", "read.il"):
        (work / scratch).unlink(missing_ok=True)
    write_metrics(work / "metrics.json", metrics)
