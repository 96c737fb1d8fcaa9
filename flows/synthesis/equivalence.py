"""Equivalence of a mapped netlist with its RTL, and its cells as a simulation model."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flows.library.library import CellLibrary
from flows.synthesis.result import SynthesisResult, public_name
from flows.tools.yosys import YosysError, quote, run_yosys, sat_answers

__all__ = ["Equivalence", "equivalence", "write_simulation_model"]


# --- the step -------------------------------------------------------------------------------------------------------


def read_command(source: str | Path | Sequence[Path], directory: Path) -> tuple[str, str | None]:
    """The yosys command that reads the source, and its text where it is RTLIL."""
    if isinstance(source, str):
        if re.search(r"\bendmodule\b", source):
            (directory / "source.v").write_text(source)
            return "read_verilog -sv source.v", None
        if re.search(r"^module \\", source, re.MULTILINE):
            return "read_rtlil source.il", source
        raise ValueError("source text is neither Verilog (no endmodule) nor RTLIL (no module)")
    paths = [source] if isinstance(source, Path) else list(source)
    if not paths:
        raise ValueError("no source files given")
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"no source file {path}")
    if all(path.suffix in (".il", ".rtlil") for path in paths):
        if len(paths) != 1:
            raise ValueError(f"one RTLIL file expected, got {len(paths)}")
        return "read_rtlil source.il", paths[0].read_text()
    if any(path.suffix in (".il", ".rtlil") for path in paths):
        raise ValueError("RTLIL and Verilog files cannot be mixed")
    return "\n".join(f"read_verilog -sv {quote(path.resolve())}" for path in paths), None


def read_library(library: CellLibrary, *, functions: bool = False) -> str:
    flags = "-overwrite -ignore_miss_func" if functions else "-lib -overwrite -ignore_miss_func"
    return "\n".join(f"read_liberty {flags} {quote(path)}" for path in library.liberty)


# --- is the netlist right? ------------------------------------------------------------------------------------------


def write_simulation_model(
    result: SynthesisResult, library: CellLibrary, path: Path, *, timeout_s: float = 600.0
) -> None:
    """Write the netlist with its cells as zero-delay functions: Verilog that any simulator reads, Verilator included.

    Parameters
    ----------
    result : SynthesisResult
        A netlist.
    library : CellLibrary
        The library that it was mapped to; a library of another hash raises ValueError.
    path : Path
        Output Verilog file, written completely or not at all.
    """
    if result.library_sha256 != library.sha256:
        raise ValueError(f"{result.directory} was not mapped to this version of library {library.name}")
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.absolute().parent) as scratch:
        run_yosys(
            "\n".join(
                [
                    read_library(library, functions=True),
                    f"read_rtlil {quote(result.netlist_rtlil.resolve())}",
                    f"hierarchy -check -top \\{result.top}",
                    "proc",
                    "opt_clean",
                    "write_verilog -noattr model.v",
                ]
            ),
            directory=Path(scratch),
            name="simulation_model",
            timeout_s=timeout_s,
        )
        (Path(scratch) / "model.v").replace(path)


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Outcome of `equivalence`: `proved`, or a counterexample or an unproved rest, as the end of the log says."""

    module: str
    proved: bool
    method: Literal["induction", "miter"]
    log: str


def equivalence(
    *,
    gold: str | Path,
    gate: str | Path,
    module: str,
    library: CellLibrary,
    directory: Path,
    gate_module: str | None = None,
    method: Literal["induction", "miter"] = "induction",
    timeout_s: float = 300.0,
) -> Equivalence:
    """Prove that a module of a netlist does what its source does, for every input and state.

    Parameters
    ----------
    gold, gate : str or Path
        Source and netlist: RTLIL text, or a file. The netlist may use cells of `library`.
    module : str
        Module to compare, with everything below it; `gate_module` where the netlist calls it otherwise.
    library : CellLibrary
        Gives the functions of the netlist's cells.
    directory : Path
        Working directory, created.
    method : {"induction", "miter"}
        ``induction``: ``equiv_make``, ``equiv_simple``, ``equiv_induct``, for modules with registers, matched by name.
        ``miter``: one SAT problem for modules without registers.
    timeout_s : float
        Limit in seconds; running into it raises `ToolTimeout`.
    """
    directory.mkdir(parents=True, exist_ok=True)

    def prepare(source: str | Path, name: str, found: str, cells: bool) -> list[str]:
        read, rtlil = read_command(source, directory)
        file = f"{name}.il"
        if rtlil is not None:
            (directory / file).write_text(rtlil)
            read = f"read_rtlil {file}"
        elif isinstance(source, str):
            (directory / "source.v").rename(directory / f"{name}.v")
            read = f"read_verilog -sv {name}.v"
        return [
            *([read_library(library, functions=True)] if cells else []),
            read,
            "setattr -mod -unset keep_hierarchy",
            f"hierarchy -check -top \\{public_name(found)}",
            "proc",
            "flatten",
            "memory",
            "opt_clean",
            "async2sync",
            f"rename -top {name}",
            f"design -stash {name}",
        ]

    lines = [
        *prepare(gold, "gold", module, False),
        *prepare(gate, "gate", gate_module or module, True),
        "design -copy-from gold -as gold gold",
        "design -copy-from gate -as gate gate",
    ]
    if method == "miter":
        lines += [
            "miter -equiv -flatten -make_outputs gold gate miter",
            "hierarchy -top miter",
            "opt -fast",
            "sat -verify -prove trigger 0 -show-inputs -show-outputs miter",
        ]
    else:
        lines += [
            "equiv_make gold gate equiv",
            "hierarchy -top equiv",
            "opt_clean",
            "equiv_simple -undef",
            "equiv_induct",
            "equiv_status -assert",
        ]
    try:
        done = run_yosys("\n".join(lines) + "\n", directory=directory, name="equivalence", timeout_s=timeout_s)
    except YosysError as error:
        # only these two ends are answers; a time limit or a refused design is none
        refuted = sat_answers(error.log).refuted
        open_rest = re.search(
            r"^ERROR: Found \d+ unproven \$equiv cells in 'equiv_status -assert'", error.log, re.MULTILINE
        )
        if refuted or open_rest:
            return Equivalence(module=module, proved=False, method=method, log=error.log)
        raise
    return Equivalence(module=module, proved=True, method=method, log=done.log)
