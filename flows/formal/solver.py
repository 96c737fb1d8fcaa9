"""Proofs with yosys' SAT solver: two modules equal, a statement that always holds, a reset that reaches every bit."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flows.common.errors import ToolTimeout
from flows.tools.rtlil import parse_rtlil
from flows.tools.yosys import SAT_TIMEOUT, YosysError, run_yosys

__all__ = ["Proof", "Status", "prove_equal", "prove_reset"]


def prove_always(
    name: str, statement: str, claim: str, hardware: list[str], timeout_s: float
) -> Proof:  # fmt: skip
    """Prove that the output `ok` of the Verilog module `claim` is 1 for every input.

    Parameters
    ----------
    name, statement : str
        For the result.
    claim : str
        Verilog with a module `claim` that may instantiate the hardware.
    hardware : list of str
        RTLIL texts.
    timeout_s : float
        Limit of the solver in seconds.

    Raises
    ------
    YosysError
        If the proof cannot be set up.
    """
    start = time.monotonic()
    status, example = Status.PROVED, {}
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        lines = []
        for number, text in enumerate(hardware):
            (work / f"part{number}.il").write_text(text)
            lines.append(f"read_rtlil part{number}.il")
        (work / "claim.v").write_text(claim)
        lines += [
            "read_verilog -sv claim.v", "hierarchy -check -top claim", "proc", "flatten", "opt -full", "opt_clean",
            f"sat -verify -prove ok 1 -show-inputs -timeout {max(1, int(timeout_s))} claim",
        ]  # fmt: skip
        try:
            log = run_yosys("\n".join(lines) + "\n", directory=work, name=name, timeout_s=timeout_s + 60).log
            if "SAT proof finished - no model found: SUCCESS!" not in log:
                raise YosysError(f"proof {name!r} ended without a verdict", log)
        except ToolTimeout:
            status = Status.UNDECIDED
        except YosysError as error:
            if "model found: FAIL" in error.log:
                status = Status.REFUTED
                found = re.findall(r"^\s+\\(\w+)\s+\S+\s+\S+\s+([01]+)\s*$", error.log, re.MULTILINE)
                example = {signal: int(binary, 2) for signal, binary in found}
            elif SAT_TIMEOUT in error.log:
                status = Status.UNDECIDED
            else:
                raise
    bits = sum(int(high or 0) + 1 for high in re.findall(r"\binput\s+(?:signed\s+)?(?:\[(\d+):0\]\s+)?\w+", claim))
    return Proof(
        name=name, statement=statement, status=status, input_bits=bits, wall_s=time.monotonic() - start,
        counterexample=example,
    )  # fmt: skip


class Status(StrEnum):
    """Outcome of a proof."""

    PROVED = "proved"
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    """The solver ran into its time limit."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A statement and what became of it.

    Attributes
    ----------
    name : str
        Short name of the proof.
    statement : str
        What is shown, for every input.
    status : Status
    input_bits : int
        Bits over which the statement quantifies.
    wall_s : float
        Time in seconds.
    counterexample : dict of str to int
        Inputs that make formula and hardware differ, if refuted.
    """

    name: str
    statement: str
    status: Status
    input_bits: int
    wall_s: float
    counterexample: dict[str, int]


def prove_equal(
    name: str,
    statement: str,
    gold: str,
    gate: str,
    rtlil: Sequence[str] = (),
    *,
    cases: Sequence[Mapping[str, int]] = ({},),
    timeout_s: float = 120.0,
) -> Proof:
    """Prove that two combinational modules are equal.

    Parameters
    ----------
    name, statement : str
        For the result.
    gold : str
        Verilog with a module `gold`: the formula.
    gate : str
        Verilog with a module `gate` that has the same ports and instantiates the hardware.
    rtlil : sequence of str
        RTLIL texts of the hardware.
    cases : sequence of mappings
        Values of inputs by name; the statement is proved case by case, and the caller sees to it that they cover all.
    timeout_s : float
        Limit of the solver in seconds.

    Raises
    ------
    YosysError
        If the proof cannot be set up (ports that differ, Verilog that is not understood).
    """
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        lines = []
        for number, text in enumerate(rtlil):
            (work / f"part{number}.il").write_text(text.replace("attribute \\top 1\n", ""))
            lines.append(f"read_rtlil -overwrite part{number}.il")
        (work / "gold.v").write_text(gold)
        (work / "gate.v").write_text(gate)
        lines += [
            "read_verilog -sv gold.v gate.v", "hierarchy -check", "proc", "flatten gold gate", "opt_clean",
            "miter -equiv -flatten -make_outputs -make_assert gold gate miter", "hierarchy -top miter",
            "opt_expr", "opt_merge", "opt_clean",
        ]  # fmt: skip
        for case in cases:
            given = " ".join(f"-set in_{port} {value}" for port, value in case.items())
            lines.append(f"sat -verify -prove-asserts -show-inputs -timeout {max(1, int(timeout_s))} {given} miter")
        status = Status.PROVED
        counterexample: dict[str, int] = {}
        start = time.monotonic()
        try:
            run = run_yosys("\n".join(lines) + "\n", directory=work, name=name, timeout_s=timeout_s + 60)
            log = run.log
            if log.count("SAT proof finished - no model found: SUCCESS!") != len(cases):
                raise YosysError(f"proof {name!r} ended without a verdict", log)
        except ToolTimeout:
            status = Status.UNDECIDED
        except YosysError as error:
            log = error.log
            if "model found: FAIL" in log:
                status, counterexample = Status.REFUTED, _model(log)
            elif SAT_TIMEOUT in log:
                status = Status.UNDECIDED
            else:
                raise
    wall_s = time.monotonic() - start
    bits = sum(int(high or 0) + 1 for high in re.findall(r"\binput\s+(?:\[(\d+):0\]\s+)?\w+", gold))
    return Proof(
        name=name, statement=statement, status=status, input_bits=bits, wall_s=wall_s, counterexample=counterexample
    )


def _model(log: str) -> dict[str, int]:
    """Inputs of the counterexample that yosys prints."""
    return {
        name: int(binary, 2)
        for name, binary in re.findall(r"^\s+\\in_(\w+)\s+\S+\s+\S+\s+([01]+)\s*$", log, re.MULTILINE)
    }


def prove_reset(rtlil: str, timeout_s: float = 300.0) -> Proof:
    """Every flip-flop has an asynchronous reset, and there is no latch: nothing relies on power-up values."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(rtlil)
        run_yosys("read_rtlil design.il\nproc\nopt_clean\nwrite_rtlil cells.il\n", directory=work, timeout_s=timeout_s)
        modules = parse_rtlil((work / "cells.il").read_text())
    bad: dict[str, int] = {}
    bits = 0
    for module in modules.values():
        for cell in module.cells:
            if re.match(r"\$.*(dff|latch|_sr|mem)", cell.type):
                width = int(cell.parameters.get("WIDTH", "0"))
                bits += width
                if "ARST_VALUE" not in cell.parameters or "latch" in cell.type:
                    bad[f"{module.name}.{cell.name} {cell.type}"] = width
    status = Status.PROVED if bits and not bad else Status.REFUTED
    return Proof(
        name="reset", statement="every flip-flop has an asynchronous reset; no latch, no memory", status=status,
        input_bits=0, wall_s=time.monotonic() - start, counterexample=bad,
    )  # fmt: skip


def _header(module: str, declared: Sequence[tuple[str, str, int]]) -> str:
    inner = ", ".join(f"{direction} [{width - 1}:0] {name}" for name, direction, width in declared)
    return f"module {module}({inner});\n"


def instance(module: str, name: str, **nets: str) -> str:
    return f"  {module} {name}({', '.join(f'.{port}({net})' for port, net in nets.items())});\n"


def prove_module(
    name: str,
    statement: str,
    declared: Sequence[tuple[str, str, int]],
    gold: str,
    gate: str,
    rtlil: Sequence[str],
    timeout_s: float,
    cases: Sequence[dict[str, int]] = ({},),
) -> Proof:
    gold = _header("gold", declared) + gold + "endmodule\n"
    gate = _header("gate", declared) + gate + "endmodule\n"
    return prove_equal(name, statement, gold, gate, list(rtlil), cases=cases, timeout_s=timeout_s)
