"""Proofs with yosys' SAT solver: two modules equal, a statement that always holds, a reset that reaches every bit."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from flows.common.errors import ToolTimeout
from flows.tools.rtlil import parse_rtlil
from flows.tools.yosys import YosysError, run_yosys, sat_answers

__all__ = [
    "Port",
    "Proof",
    "Status",
    "header",
    "instance",
    "one_hot",
    "prove_always",
    "prove_claims",
    "prove_equal",
    "prove_module",
    "prove_reset",
    "run_proofs",
]

Port = tuple[str, str, int]
"""Name, ``input`` or ``output``, width."""


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
    commands = [
        "hierarchy -check", "proc", "flatten gold gate", "opt_clean",
        "miter -equiv -flatten -make_outputs -make_assert gold gate miter", "hierarchy -top miter",
        "opt_expr", "opt_merge", "opt_clean",
    ]  # fmt: skip
    goals = [
        " ".join(["-prove-asserts", *(f"-set in_{port} {value}" for port, value in case.items()), "miter"])
        for case in cases
    ]
    return _prove(name, statement, [gold, gate], rtlil, commands, goals, timeout_s, prefix="in_")


def prove_always(name: str, statement: str, claim: str, rtlil: Sequence[str], timeout_s: float) -> Proof:
    """Prove that the output `ok` of the Verilog module `claim` is 1 for every input.

    Parameters
    ----------
    name, statement : str
        For the result.
    claim : str
        Verilog with a module `claim` that may instantiate the hardware.
    rtlil : sequence of str
        RTLIL texts of the hardware.
    timeout_s : float
        Limit of the solver in seconds.

    Raises
    ------
    YosysError
        If the proof cannot be set up.
    """
    commands = ["hierarchy -check -top claim", "proc", "flatten", "opt -full", "opt_clean"]
    return _prove(name, statement, [claim], rtlil, commands, ["-prove ok 1 claim"], timeout_s)


def _prove(
    name: str,
    statement: str,
    verilog: Sequence[str],
    rtlil: Sequence[str],
    commands: Sequence[str],
    goals: Sequence[str],
    timeout_s: float,
    prefix: str = "",
) -> Proof:
    """Read hardware and Verilog, run `commands`, and let the solver decide goal after goal.

    The inputs of the statement are those of the first Verilog text; `prefix` stands before their names in a
    counterexample.
    """
    sat = f"sat -verify -show-inputs -timeout {max(1, int(timeout_s))}"
    status, example = Status.PROVED, {}
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liquidcal-proof-") as folder:
        work = Path(folder)
        lines = []
        for number, text in enumerate(rtlil):
            (work / f"part{number}.il").write_text(text.replace("attribute \\top 1\n", ""))
            lines.append(f"read_rtlil -overwrite part{number}.il")
        for number, text in enumerate(verilog):
            (work / f"part{number}.v").write_text(text)
            lines.append(f"read_verilog -sv part{number}.v")
        script = "\n".join([*lines, *commands, *(f"{sat} {goal}" for goal in goals), ""])
        try:
            log = run_yosys(script, directory=work, name=name, timeout_s=timeout_s + 60).log
            if sat_answers(log).proved != len(goals):
                raise YosysError(f"proof {name!r} ended without a verdict", log)
        except ToolTimeout:
            status = Status.UNDECIDED
        except YosysError as error:
            answers = sat_answers(error.log)
            if answers.refuted:
                status = Status.REFUTED
                example = {
                    signal.removeprefix(prefix): value
                    for signal, value in answers.model.items()
                    if signal.startswith(prefix)
                }
            elif answers.undecided:
                status = Status.UNDECIDED
            else:
                raise
    inputs = re.findall(r"\binput\s+(?:signed\s+)?(?:\[(\d+):0\]\s+)?\w+", verilog[0])
    return Proof(
        name=name, statement=statement, status=status, input_bits=sum(int(high or 0) + 1 for high in inputs),
        wall_s=time.monotonic() - start, counterexample=example,
    )  # fmt: skip


def run_proofs(steps: Iterable[Callable[[], Proof]], advance: Callable[[int], None] | None = None) -> Iterator[Proof]:
    """Run proofs one after the other; `advance` is called with 1 after each."""
    for step in steps:
        proof = step()
        if advance is not None:
            advance(1)
        yield proof


def prove_reset(rtlil: str, timeout_s: float = 300.0, *, loaded: Collection[str] = ()) -> Proof:
    """Every flip-flop has an asynchronous reset, and there is no latch: nothing relies on power-up values.

    Parameters
    ----------
    rtlil : str
    timeout_s : float
        Of yosys.
    loaded : collection of str
        Registers, by name, that have none: of them another proof shows that they are loaded before they are read.
    """
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
                register = cell.connections.get("Q", "").removeprefix("\\")
                reset = "ARST_VALUE" in cell.parameters or (cell.type == "$dff" and register in loaded)
                if not reset or "latch" in cell.type:
                    bad[f"{module.name}.{cell.name} {cell.type}"] = width
    status = Status.PROVED if bits and not bad else Status.REFUTED
    but = " but those that are loaded before they are read" if loaded else ""
    return Proof(
        name="reset", statement=f"every flip-flop{but} has an asynchronous reset; no latch, no memory", status=status,
        input_bits=0, wall_s=time.monotonic() - start, counterexample=bad,
    )  # fmt: skip


def header(module: str, ports: Sequence[Port]) -> str:
    """First line of a Verilog module."""
    inner = ", ".join(f"{direction} [{width - 1}:0] {name}" for name, direction, width in ports)
    return f"module {module}({inner});\n"


def instance(module: str, name: str, /, **nets: str) -> str:
    """Verilog of an instance; nets by port."""
    return f"  {module} {name}({', '.join(f'.{port}({net})' for port, net in nets.items())});\n"


def one_hot(wire: str, size: int, number: str) -> str:
    """Verilog of a wire of `size` bits, one of which is set: that of the given number; none if it is too large."""
    return f"  wire [{size - 1}:0] {wire} = ({number} < {size}) ? ({size}'d1 << {number}) : {size}'d0;\n"


def prove_module(
    name: str,
    statement: str,
    ports: Sequence[Port],
    gold: str,
    gate: str,
    rtlil: Sequence[str],
    *,
    cases: Sequence[Mapping[str, int]] = ({},),
    timeout_s: float = 120.0,
) -> Proof:
    """`prove_equal` for the bodies of the two modules, with ports that are declared once."""
    gold, gate = (header(side, ports) + body + "endmodule\n" for side, body in (("gold", gold), ("gate", gate)))
    return prove_equal(name, statement, gold, gate, rtlil, cases=cases, timeout_s=timeout_s)


def prove_claims(
    name: str,
    statement: str,
    inputs: Mapping[str, int],
    claims: Sequence[str],
    gate: str,
    rtlil: Sequence[str],
    *,
    cases: Sequence[Mapping[str, int]] = ({},),
    timeout_s: float = 120.0,
) -> Proof:
    """Prove that one-bit nets around the hardware are 1 for every input.

    Parameters
    ----------
    name, statement : str
        For the result.
    inputs : mapping of str to int
        Widths of the inputs by name.
    claims : sequence of str
        Nets that `gate` assigns.
    gate : str
        Body of the Verilog module that instantiates the hardware.
    rtlil, cases, timeout_s
        See `prove_equal`.
    """
    ports = [*((port, "input", width) for port, width in inputs.items()), *((claim, "output", 1) for claim in claims)]
    gold = "".join(f"  assign {claim} = 1'b1;\n" for claim in claims)
    return prove_module(name, statement, ports, gold, gate, rtlil, cases=cases, timeout_s=timeout_s)
