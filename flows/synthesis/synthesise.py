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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

from flows.common.folder import fresh_folder
from flows.common.metrics import write_metrics
from flows.common.process import Finished
from flows.library.library import CellLibrary
from flows.synthesis.adder_trees import grow_trees
from flows.synthesis.clock_gates import nest_clock_gates
from flows.synthesis.equivalence import read_command, read_library
from flows.synthesis.measure import Counts, count, synthesis_metrics
from flows.synthesis.merge import merge_identical_modules
from flows.synthesis.plan import asked_for, half_used_adders, kept_modules, single_inverters, stray_latches
from flows.synthesis.recipe import AREA, Recipe
from flows.synthesis.result import SynthesisError, SynthesisResult, is_design, load_result, public_name
from flows.synthesis.shared_storage import share_storage
from flows.synthesis.techmap import write_techmaps
from flows.tools.yosys import quote, run_yosys

__all__ = ["synthesise"]

DEPENDS_ON = ("scripts",)


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
        Turn groups of at least 4 flip-flops with a common enable into a clock gate of the library and plain flip-flops,
        put gates in front of such gates (`flows.synthesis.clock_gates`), and turn flip-flops without reset that share
        their data under such gates into latches (`flows.synthesis.shared_storage`).
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
    top_name = public_name(top)
    command = command or (
        f"flows.synthesis.synthesise.synthesise(top={top_name!r}, library={library.name!r}, recipe={recipe.name!r}, "
        f"clock_period_ns={clock_period_ns})"
    )
    with fresh_folder(out_dir, marker="metrics.json") as work:
        task = _Task(
            top=top_name, library=library, recipe=recipe, clock_period_ns=clock_period_ns, clock_gating=clock_gating,
            timeout_s=timeout_s, keep=tuple(keep), work=work,
        )  # fmt: skip
        write_techmaps(work, recipe, library.full_adder)
        merged = _read(task, source)
        black_boxes, kept, stray_latches = _elaborate(task, flatten, min_keep_cells)
        _map(task, kept)
        _choose_cells(task)
        counts = count(work, top_name, library, black_boxes)
        metrics = synthesis_metrics(
            counts,
            library,
            black_boxes=black_boxes,
            merged=merged,
            stray_latches=stray_latches,
            runs=task.runs,
            command=command,
        )
        _write_tables(task, counts)
        for scratch in ("elaborated.json", "words.json", "mapped.json", "gated.json", "read.il"):
            (work / scratch).unlink(missing_ok=True)
        write_metrics(work / "metrics.json", metrics)
    return load_result(out_dir)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What the phases share: the user's choices, the working directory, and the yosys run of each phase so far."""

    top: str
    library: CellLibrary
    recipe: Recipe
    clock_period_ns: float
    clock_gating: bool
    timeout_s: float
    keep: tuple[str, ...]
    work: Path
    runs: dict[str, Finished] = field(default_factory=dict)

    def run(self, phase: str, script: str) -> None:
        """Run a script as the yosys run of a phase."""
        self.runs[phase] = run_yosys(script, directory=self.work, name=phase, timeout_s=self.timeout_s)

    def netlist(self, name: str) -> dict[str, dict[str, Any]]:
        """Modules of a JSON netlist in the working directory."""
        modules: dict[str, dict[str, Any]] = json.loads((self.work / name).read_text())["modules"]
        return modules


def _script(name: str, **parts: str) -> str:
    """Text of ``scripts/<name>.ys`` with its ``{parts}`` filled in; a line whose part is empty goes."""
    text = (resources.files("flows.synthesis") / "scripts" / f"{name}.ys").read_text().format(**parts)
    return "".join(f"{line}\n" for line in text.splitlines() if line.strip())


def _read(task: _Task, source: str | Path | Sequence[Path]) -> int:
    """Phase 1: the source as RTLIL, equal modules merged; number of modules that went."""
    top = f"\\{task.top}"
    read, rtlil = read_command(source, task.work)
    if rtlil is None:
        task.run("read", f"{read}\nhierarchy -check -top {top}\nwrite_rtlil read.il\n")
        rtlil = (task.work / "read.il").read_text()
    merged, representative = merge_identical_modules(rtlil)
    if top in representative:
        raise SynthesisError(
            f"top module {task.top} equals {representative[top]}, which stands elsewhere in the design"
        )
    (task.work / "source.il").write_text(merged)
    return len(representative)


def _elaborate(task: _Task, flatten: Sequence[str], min_keep_cells: int) -> tuple[list[str], list[str], int]:
    """Phase 2: processes become cells, the flat design is checked.

    Returns
    -------
    black_boxes, kept : list of str
        Modules without contents, and those whose boundary stays.
    stray_latches : int
        Latches that the source did not ask for.
    """
    task.run("elaborate", _script("elaborate", top=f"\\{task.top}"))
    modules = task.netlist("elaborated.json")
    black_boxes = sorted(name for name, body in modules.items() if not is_design(body))
    kept = kept_modules(modules, task.top, keep=task.keep, flatten=flatten, min_keep_cells=min_keep_cells)
    (task.work / "kept.txt").write_text(_lines(kept))
    return black_boxes, kept, stray_latches(modules)


def _map(task: _Task, kept: Sequence[str]) -> None:
    """Phase 3: word-level cells become full-adder boxes and single-bit gates."""
    recipe = task.recipe
    boxes = recipe.adder_cells or recipe.ripple
    words = _script(
        "words",
        top=f"\\{task.top}",
        keep=f"setattr -mod -set keep_hierarchy 1 {' '.join(kept)}" if kept else "",
        enables="" if task.clock_gating else "-nodffe",
        booth="booth" if recipe.booth else "",
    )
    if recipe.trees:
        task.run("words", f"{words}write_json words.json\n")
        netlist = json.loads((task.work / "words.json").read_text())
        grow_trees(netlist["modules"])
        (task.work / "words.json").write_text(json.dumps(netlist))
        words = "read_json words.json"
    task.run(
        "map",
        _script(
            "map",
            words=words,
            enables="" if task.clock_gating else "-nodffe",
            arithmetic=_script("arithmetic") + _script("simplify") if boxes else "",
            simplify=_script("simplify") if boxes else "",
            extract=_script("extract") if recipe.extract else "",
        ),
    )


def _choose_cells(task: _Task) -> None:
    """Phase 4: boxes, flip-flops and gates become cells of the library."""
    library, work = task.library, task.work
    (work / "constraints.txt").write_text(f"set_driving_cell {library.driving_cell}\nset_load {library.load_ff}\n")
    (work / "recipe.abc").write_text(_lines(task.recipe.abc))
    (work / "small.abc").write_text(_lines(task.recipe.abc_small) or "\n")
    (work / "inverters.abc").write_text(_lines(task.recipe.abc_inverters) or "\n")
    modules = task.netlist("mapped.json")
    liberty = " ".join(f"-liberty {quote(path)}" for path in library.liberty)
    unused = " ".join(f"-dont_use {cell}" for cell in library.dont_use)
    tie = ""
    if library.tie_low is not None and library.tie_high is not None:
        tie = f"hilomap -singleton -locell {' '.join(library.tie_low)} -hicell {' '.join(library.tie_high)}"
    cells = _script("cells", partial=_half_used(task, modules))
    task.run(
        "netlist",
        _script(
            "netlist",
            top=f"\\{task.top}",
            source=_gated(task, cells, liberty, unused) if task.clock_gating else cells,
            liberty=liberty,
            unused=unused,
            abc=_abc(task, modules, f"{liberty} {unused}"),
            tie=tie,
            read_library=read_library(library),
        ),
    )


def _gated(task: _Task, cells: str, liberty: str, unused: str) -> str:
    """Clock gates in front of registers with an enable, and of those; what registers share stands once. The commands
    that read the result."""
    task.run("gates", f"{cells}clockgate {liberty} {unused} -min_net_size 4\nwrite_json gated.json\n")
    netlist = json.loads((task.work / "gated.json").read_text())
    share_storage(netlist["modules"], task.library.cells)
    nest_clock_gates(
        netlist["modules"], task.library.cells, apart=asked_for(task.netlist("elaborated.json"), task.keep)
    )
    (task.work / "gated.json").write_text(json.dumps(netlist))
    return "read_json gated.json"


def _half_used(task: _Task, modules: Mapping[str, Any]) -> str:
    """Commands that give the boxes of which one output is used a type of their own."""
    commands = []
    for kind, names in half_used_adders(modules).items():
        if names:
            (task.work / f"{kind}_only.txt").write_text(_lines(names))
            commands += [f"select -read {kind}_only.txt", f"chtype -set _liquidcal_fa_{kind}_", "select -clear"]
    return "\n".join(commands)


def _abc(task: _Task, modules: Mapping[str, Any], cells: str) -> str:
    """Commands that run abc, on small modules with the recipe's script for these."""
    recipe = task.recipe
    sizes = {name: len(body["cells"]) for name, body in modules.items() if is_design(body)}
    small = [name for name, size in sizes.items() if recipe.abc_small and size <= recipe.small_cells]
    chosen = {name: "recipe.abc" for name in sizes if name not in small} | dict.fromkeys(small, "small.abc")
    if recipe.abc_inverters:
        read = task.netlist("gated.json") if task.clock_gating else modules
        trivial = single_inverters(read, task.library.cells)
        chosen |= {name: "inverters.abc" for name in small if name in trivial}
    target_ps = f"{1000 * task.clock_period_ns:.0f}"
    return "\n".join(
        f"abc {cells} -constr constraints.txt -D {target_ps} -script {script} {' '.join(names)}"
        for script, names in groupby(chosen, key=chosen.__getitem__)
    )


def _write_tables(task: _Task, counts: Counts) -> None:
    """``modules.json``: what `load_result` reads back beside the metrics."""
    tables = {
        "top": task.top,
        "library": task.library.name,
        "library_sha256": task.library.sha256,
        "recipe": asdict(task.recipe),
        "modules": [asdict(row) for row in counts.modules],
        "stages": [asdict(row) for row in counts.stages],
        "unmapped": dict(sorted(counts.unmapped.items())),
        "cells": dict(sorted(counts.mapped.items())),
    }
    (task.work / "modules.json").write_text(json.dumps(tables, indent=1) + "\n")


def _lines(names: Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in names)
