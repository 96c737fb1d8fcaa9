"""Mutation testing of generated hardware: would the checks fail if the design were wrong?

A mutant is the design with one small fault in one cell. All mutants of a campaign go into *one* build: every mutated
signal gets a multiplexer that a number from outside switches (mutant schemata: R. H. Untch, A. J. Offutt and
M. J. Harrold, "Mutation analysis using mutant schemata", ISSTA 1993). The number is read as ``harness.mutant``, so no
port of the design changes. A mutant that no stimulus tells from the design is *equivalent* if yosys proves that its
module computes the same, and a survivor otherwise.

Mutants sit in modules: where several instances share a module, the fault is in all of them.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any, cast

import numpy as np

from flows.common.errors import ToolTimeout
from flows.formal.solver import Proof, Status
from flows.simulation.native import NativeModel, build_native
from flows.tools.rtlil import Cell, RtlilModule, Wire, constant, parse_rtlil, sigspec
from flows.tools.verilog import append_to_modules
from flows.tools.yosys import YosysError, run_yosys

__all__ = [
    "CampaignResult", "Kind", "Loaded", "Meant", "Mutant", "Outcome", "elaborate", "find_mutants", "module_equivalent",
    "module_equivalent_from_reset", "mutate", "run_campaign", "schemata", "stages", "without_unread",
]  # fmt: skip


class Kind(StrEnum):
    """What is wrong with the cell."""

    OPERATOR = "operator"
    """Another operator of the same shape (add for subtract, less for less-or-equal, swapped multiplexer inputs)."""
    CONSTANT = "constant"
    """One bit of a constant operand or reset value flipped."""
    WIDTH = "width"
    """The highest variable bit of an operand dropped."""
    STUCK = "stuck"
    """One bit of the result stuck at 0 or 1."""
    INVERTED = "inverted"
    """One bit of the result inverted."""


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    EQUIVALENT = "equivalent"
    SURVIVED = "survived"


_OPERATORS = {
    "$add": "$sub", "$sub": "$add", "$mul": "$add", "$and": "$or", "$or": "$and", "$xor": "$or", "$xnor": "$and",
    "$not": "$pos", "$neg": "$pos", "$pos": "$not", "$lt": "$le", "$le": "$lt", "$gt": "$ge", "$ge": "$gt",
    "$eq": "$ne", "$ne": "$eq", "$shl": "$shr", "$shr": "$shl", "$sshl": "$shr", "$sshr": "$shr",
    "$reduce_or": "$reduce_and", "$reduce_and": "$reduce_or", "$reduce_bool": "$reduce_and",
    "$reduce_xor": "$reduce_or", "$logic_not": "$reduce_bool", "$logic_and": "$logic_or", "$logic_or": "$logic_and",
}  # fmt: skip
_STATE = {"$dff": "Q", "$adff": "Q", "$dffe": "Q", "$adffe": "Q", "$sdff": "Q", "$aldff": "Q"}
_RESULT = dict.fromkeys((*_OPERATORS, "$mux", "$pmux", "$shift", "$shiftx"), "Y") | _STATE
_OPERANDS = ("A", "B", "D")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One fault.

    Attributes
    ----------
    number : int
        1 and up; 0 is the design itself.
    kind : Kind
    stage, module, cell, cell_type : str
        Where: stage of the data path, module, cell in it and its type.
    net : str
        First named signal that the cell drives or feeds, to find the place in the generator.
    source : str
        Source attribute of the cell, empty where the generator leaves it out.
    port : str
        Operand or parameter concerned.
    bit : int
        Bit concerned.
    value : int
        Value of a stuck bit.
    """

    number: int
    kind: Kind
    stage: str
    module: str
    cell: str
    cell_type: str
    net: str = ""
    source: str = ""
    port: str = ""
    bit: int = 0
    value: int = 0

    def __str__(self) -> str:
        what = {
            Kind.OPERATOR: "operator exchanged",
            Kind.CONSTANT: f"bit {self.bit} of constant {self.port} flipped",
            Kind.WIDTH: f"bit {self.bit} of {self.port} dropped",
            Kind.STUCK: f"result bit {self.bit} stuck at {self.value}",
            Kind.INVERTED: f"result bit {self.bit} inverted",
        }[self.kind]
        place = ", ".join(part for part in (f"net {self.net}" if self.net else "", self.source) if part)
        return f"#{self.number} {self.module}: {self.cell_type} {self.cell} ({place}): {what}"


@dataclass(kw_only=True)
class CampaignResult:
    """Outcome of a campaign; `kill_rate` leaves proved equivalents out."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    mutants: tuple[Mutant, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """Mutants with this outcome."""
        return sum(found is outcome for found in self.outcomes.values())

    @property
    def kill_rate(self) -> float:
        """Killed over killed and survived; 0 if there is none."""
        killed = self.count(Outcome.KILLED)
        decided = killed + self.count(Outcome.SURVIVED)
        return killed / decided if decided else 0.0

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """Mutants that the checks did not kill and that are not proved equivalent."""
        return tuple(mutant for mutant in self.mutants if self.outcomes[mutant.number] is Outcome.SURVIVED)

    def table(self, by: Callable[[Mutant], str]) -> dict[str, dict[Outcome, int]]:
        """Counts of outcomes, grouped: ``result.table(lambda mutant: mutant.kind)``."""
        counts: dict[str, Counter[Outcome]] = {}
        for mutant in self.mutants:
            counts.setdefault(str(by(mutant)), Counter())[self.outcomes[mutant.number]] += 1
        return {group: {outcome: found[outcome] for outcome in Outcome} for group, found in sorted(counts.items())}


def elaborate(rtlil: str, timeout_s: float = 600.0) -> dict[str, RtlilModule]:
    """Modules of a design with processes turned into cells and dead cells gone."""
    with tempfile.TemporaryDirectory(prefix="liquidcal-mutation-") as folder:
        work = Path(folder)
        (work / "design.il").write_text(rtlil)
        script = "read_rtlil design.il\nproc -norom\nopt_expr\nopt_clean\nwrite_rtlil elaborated.il\n"
        run_yosys(script, directory=work, timeout_s=timeout_s)
        return parse_rtlil((work / "elaborated.il").read_text())


def stages(modules: Mapping[str, RtlilModule], top: str) -> dict[str, str]:
    """Stage of each module: the name, without prefix, of the child of `top` that holds it; that of `top` is "top"."""
    found = {top: "top"}

    def visit(name: str, stage: str) -> None:
        if name in modules and name not in found:
            found[name] = stage
            for cell in modules[name].cells:
                visit(cell.type.removeprefix("\\"), stage)

    for cell in modules[top].cells:
        child = cell.type.removeprefix("\\")
        visit(child, child.removeprefix(f"{top}_"))
    return found


def _used(module: RtlilModule) -> set[str]:
    """Bits that something reads: cell inputs, connections, output ports."""
    used = {f"{w.name} [{bit}]" for w in module.wires.values() if w.output for bit in range(w.width)}
    for cell in module.cells:
        result = _RESULT.get(cell.type)
        for port, spec in cell.connections.items():
            if port != result:
                used.update(module.bits(spec))
    for _, right in module.connections:
        used.update(module.bits(right))
    return used


def _kinds(module: RtlilModule, cell: Cell, used: set[str]) -> list[Kind]:
    """Kinds of mutants that a cell allows."""
    if cell.type not in _RESULT or not used & set(module.bits(cell.connections[_RESULT[cell.type]])):
        return []
    kinds = [Kind.STUCK, Kind.INVERTED]
    if cell.type in _OPERATORS or cell.type == "$mux":
        kinds.append(Kind.OPERATOR)
    operands = [module.bits(cell.connections[port]) for port in _OPERANDS if port in cell.connections]
    if "ARST_VALUE" in cell.parameters or any(constant(bit) for bits in operands for bit in bits):
        kinds.append(Kind.CONSTANT)
    if any(sum(not constant(bit) for bit in bits) > 1 for bits in operands):
        kinds.append(Kind.WIDTH)
    return kinds


def find_mutants(
    modules: Mapping[str, RtlilModule], top: str, count: int, rng: np.random.Generator, skip: Collection[str] = ()
) -> tuple[Mutant, ...]:
    """Choose mutants at random, evenly over stages and, within a stage, over kinds.

    Parameters
    ----------
    modules : mapping
        Of `elaborate`.
    top : str
        Top module.
    count : int
        Mutants to choose; fewer if the design does not have as many.
    rng : Generator
        Source of all choices: the same state gives the same mutants.
    skip : collection of str
        Stages without mutants.
    """
    stage_of = {name: stage for name, stage in stages(modules, top).items() if stage not in skip}
    pools: dict[str, dict[Kind, list[tuple[str, Cell]]]] = {}
    uses = {name: _used(modules[name]) for name in stage_of}
    for name, stage in stage_of.items():
        for cell in modules[name].cells:
            for kind in _kinds(modules[name], cell, uses[name]):
                pools.setdefault(stage, {}).setdefault(kind, []).append((name, cell))
    for pool in pools.values():
        for places in pool.values():
            rng.shuffle(cast(Any, places))  # numpy's types know arrays and numbers alone
    chosen: list[Mutant] = []
    turn = 0
    while len(chosen) < count and any(places for pool in pools.values() for places in pool.values()):
        for stage, pool in pools.items():
            kinds = [kind for kind in Kind if pool.get(kind)]
            if kinds and len(chosen) < count:
                kind = kinds[turn % len(kinds)]
                name, cell = pool[kind].pop()
                chosen.append(_details(modules[name], cell, kind, stage, len(chosen) + 1, uses[name], rng))
        turn += 1
    return tuple(chosen)


def _inputs(module: RtlilModule) -> set[str]:
    """Names of the input ports."""
    return {wire.name.removeprefix("\\") for wire in module.wires.values() if wire.input}


def without_unread(modules: Mapping[str, RtlilModule], top: str) -> dict[str, RtlilModule]:
    """The same design without outputs that no module above reads: what only they show is no difference.

    Stages that several chips share have such outputs.
    """
    read: dict[str, set[str]] = {name: set() for name in modules}
    inputs = {name: _inputs(module) for name, module in modules.items()}
    for module in modules.values():
        used = {f"{w.name} [{bit}]" for w in module.wires.values() if w.output for bit in range(w.width)}
        for _, right in module.connections:
            used.update(module.bits(right))
        instances = []
        for cell in module.cells:
            child = modules.get(cell.type.removeprefix("\\"))
            for port, spec in cell.connections.items():
                if port in inputs[child.name] if child is not None else port != _RESULT.get(cell.type):
                    used.update(module.bits(spec))
            if child is not None:
                instances.append((child.name, cell))
        for name, cell in instances:
            read[name] |= {port for port, spec in cell.connections.items() if used.intersection(module.bits(spec))}
    found = {}
    for name, module in modules.items():
        wires = {
            wire.name: replace(wire, output=wire.output and (name == top or wire.name.removeprefix("\\") in read[name]))
            for wire in module.wires.values()
        }
        cells = []
        for cell in module.cells:
            child = modules.get(cell.type.removeprefix("\\"))
            if child is not None:
                known = inputs[child.name] | read[child.name]
                kept = {port: spec for port, spec in cell.connections.items() if port in known}
                cell = replace(cell, connections=kept)
            cells.append(cell)
        found[name] = replace(module, wires=wires, cells=cells, connections=list(module.connections))
    return found


def _details(
    module: RtlilModule, cell: Cell, kind: Kind, stage: str, number: int, used: set[str], rng: np.random.Generator
) -> Mutant:
    result = module.bits(cell.connections[_RESULT[cell.type]])
    named = [bit for bit in result if bit.startswith("\\")]
    named += [bit for spec in cell.connections.values() for bit in module.bits(spec) if bit.startswith("\\")]
    mutant = Mutant(
        number=number, kind=kind, stage=stage, module=module.name, cell=cell.name, cell_type=cell.type,
        net=named[0].split()[0].removeprefix("\\") if named else "", source=cell.source,
    )  # fmt: skip
    operands = {port: module.bits(cell.connections[port]) for port in _OPERANDS if port in cell.connections}
    match kind:
        case Kind.STUCK | Kind.INVERTED:
            bits = [bit for bit, name in enumerate(result) if name in used]
            return replace(mutant, bit=int(rng.choice(bits)), value=int(rng.integers(2)))
        case Kind.CONSTANT:
            places = [(port, i) for port, bits in operands.items() for i, bit in enumerate(bits) if constant(bit)]
            if "ARST_VALUE" in cell.parameters:
                places += [("ARST_VALUE", bit) for bit, name in enumerate(result) if name in used]
            port, bit = places[int(rng.integers(len(places)))]
            return replace(mutant, port=port, bit=bit)
        case Kind.WIDTH:
            ports = [port for port, bits in operands.items() if sum(not constant(bit) for bit in bits) > 1]
            port = ports[int(rng.integers(len(ports)))]
            return replace(mutant, port=port, bit=max(i for i, bit in enumerate(operands[port]) if not constant(bit)))
        case Kind.OPERATOR:
            return mutant


def _faulty(module: RtlilModule, cell: Cell, mutant: Mutant, right: str) -> tuple[list[Cell], str, int]:
    """Cells that compute the wrong result; its sigspec; width. `right` is the wire of the right result."""
    port = _RESULT[cell.type]
    width = len(module.bits(cell.connections[port]))
    wrong = f"\\mutant_{mutant.number}_wrong"
    name = f"$mutant_{mutant.number}"
    operands = {p: module.bits(cell.connections[p]) for p in _OPERANDS if p in cell.connections}
    match mutant.kind:
        case Kind.STUCK:
            bits = [f"{right} [{bit}]" for bit in range(width)]
            bits[mutant.bit] = str(mutant.value)
            return [], sigspec(bits), width
        case Kind.INVERTED:
            bits = [f"{right} [{bit}]" for bit in range(width)]
            inverter = _cell("$not", name, A=bits[mutant.bit], Y=f"{wrong} [0]", A_WIDTH=1, Y_WIDTH=1)
            bits[mutant.bit] = f"{wrong} [0]"
            return [inverter], sigspec(bits), width
        case Kind.OPERATOR if cell.type == "$mux":
            swapped = {"A": cell.connections["B"], "B": cell.connections["A"]}
            return [cell.with_connections(name, **swapped, Y=wrong)], wrong, width
        case Kind.OPERATOR:
            twin = replace(cell.with_connections(name, **{port: wrong}), type=_OPERATORS[cell.type])
            return [twin], wrong, width
        case Kind.CONSTANT if mutant.port == "ARST_VALUE":
            value = cell.parameters["ARST_VALUE"]
            digits = value.partition("'")[2]
            if not digits:
                digits = format(int(value), f"0{width}b")[-width:]
            place = len(digits) - 1 - mutant.bit
            flipped = digits[:place] + ("0" if digits[place] == "1" else "1") + digits[place + 1 :]
            twin = cell.with_connections(name, **{port: wrong})
            return [replace(twin, parameters=cell.parameters | {"ARST_VALUE": f"{width}'{flipped}"})], wrong, width
        case Kind.CONSTANT:
            bits = operands[mutant.port]
            bits[mutant.bit] = "0" if bits[mutant.bit] == "1" else "1"
        case Kind.WIDTH:
            bits = operands[mutant.port]
            bits[mutant.bit] = "0"
    return [cell.with_connections(name, **{mutant.port: sigspec(bits), port: wrong})], wrong, width


def _cell(kind: str, name: str, *, A: str, Y: str, A_WIDTH: int, Y_WIDTH: int) -> Cell:
    parameters = {"A_SIGNED": "0", "A_WIDTH": str(A_WIDTH), "Y_WIDTH": str(Y_WIDTH)}
    return Cell(name=name, type=kind, attributes={}, parameters=parameters, connections={"A": A, "Y": Y})


def mutate(module: RtlilModule, mutants: Iterable[Mutant], switched: bool) -> RtlilModule:
    """A copy with mutants behind switches, or (for one mutant) simply in force."""
    result = replace(module, wires=dict(module.wires), cells=list(module.cells), connections=list(module.connections))
    for mutant in mutants:
        index = next(i for i, cell in enumerate(result.cells) if cell.name == mutant.cell)
        cell = result.cells[index]
        original = next(old for old in module.cells if old.name == mutant.cell)
        port = _RESULT[cell.type]
        target = cell.connections[port]
        right = f"\\mutant_{mutant.number}_right"
        cells, wrong, width = _faulty(module, original, mutant, right)
        new = [Wire(name=f"\\mutant_{mutant.number}_{part}", width=width, input=False, output=False)
               for part in ("right", "wrong")]  # fmt: skip
        # an earlier mutant of the same cell stays in the chain: this one sits between the cell and it
        result.cells[index] = cell.with_connections(cell.name, **{port: right})
        result.cells += cells
        if switched:
            on = f"\\mutant_{mutant.number}_on"
            new.append(Wire(name=on, width=1, input=False, output=False))
            result.cells.append(
                Cell(
                    name=f"$mutant_{mutant.number}_switch",
                    type="$mux",
                    attributes={},
                    parameters={"WIDTH": str(width)},
                    connections={"A": right, "B": wrong, "S": on, "Y": target},
                )
            )
        else:
            result.connections.append((target, wrong))
        result.wires |= {wire.name: wire for wire in new}
    return result


def schemata(modules: Mapping[str, RtlilModule], top: str, mutants: Sequence[Mutant], timeout_s: float = 600.0) -> str:
    """Verilog of the design with all mutants in it; ``harness.mutant`` chooses, 0 none."""
    by_module: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        by_module.setdefault(mutant.module, []).append(mutant)
    text = "autoidx 1000000\n" + "".join(
        mutate(module, by_module.get(name, ()), True).text() for name, module in modules.items()
    )
    with tempfile.TemporaryDirectory(prefix="liquidcal-mutation-") as folder:
        work = Path(folder)
        (work / "mutants.il").write_text(text)
        script = f"read_rtlil mutants.il\nhierarchy -check -top {top}\nwrite_verilog -norename -noattr mutants.v\n"
        run_yosys(script, directory=work, timeout_s=timeout_s)
        verilog = (work / "mutants.v").read_text().partition("\n")[2]

    switches = {
        name: "".join(f"  assign mutant_{m.number}_on = harness.mutant == 32'd{m.number};\n" for m in mutants)
        for name, mutants in by_module.items()
    }
    return append_to_modules(verilog, switches)


def module_equivalent(
    modules: Mapping[str, RtlilModule],
    mutant: Mutant,
    timeout_s: float = 20.0,
    root: str | None = None,
    *,
    at_reset: bool = False,
    counts: Mapping[str, str] | None = None,
    meant: Mapping[str, tuple[str, ...]] | None = None,
) -> bool:
    """Whether yosys proves that the mutated module computes the same as the right one, for every input and state.

    Parameters
    ----------
    modules : mapping
        Of `elaborate`.
    mutant : Mutant
    timeout_s : float
        Limit of the solver in seconds.
    root : str, optional
        A module above that of the mutant to compare instead: what cannot be seen there is equivalent too.
    at_reset : bool
        Compare only from the state that reset leaves, in which right and wrong module may differ: for every input,
        equal outputs and, one clock later, equal states. From then on they are the same machine.
    counts : mapping of str to str, optional
        Registers that are proved to count only while another one, of one bit, is 1: what they load is compared only
        where that loads a 1. Names as of `Mutant.net`.
    meant : mapping of str to tuple of str, optional
        Outputs that are proved to mean something only while all these other ports are 1: they are compared only then.

    Returns
    -------
    bool
        False means "not proved".

    Notes
    -----
    Flip-flops are cut: what they hold becomes an input (or the reset value), what they load an output, and so do reset
    and enable with the reset value. Memories, which no mutant changes, are cut, too: what is read becomes an input;
    what is written, all addresses and enables become outputs.
    """
    root = root or mutant.module
    with tempfile.TemporaryDirectory(prefix="liquidcal-mutation-") as folder:
        work = Path(folder)
        try:
            for side, flat in _flat(modules, mutant, root, work, timeout_s).items():
                cut = _cut(replace(flat, name=side, attributes=[]), mutant, at_reset, counts or {})
                _mask(cut, meant or {})
                (work / f"{side}_cut.il").write_text("autoidx 2000000\n" + cut.text())
            script = (
                "read_rtlil gold_cut.il\nread_rtlil gate_cut.il\n"
                "miter -equiv -flatten -make_assert gold gate miter\nhierarchy -top miter\nopt -full -share_all\n"
                f"sat -verify -prove-asserts -timeout {max(1, int(timeout_s))} miter\n"
            )
            run_yosys(script, directory=work, name="prove", timeout_s=timeout_s + 60)
        except (YosysError, ToolTimeout):
            return False
    return True


def module_equivalent_from_reset(
    modules: Mapping[str, RtlilModule],
    mutant: Mutant,
    timeout_s: float = 20.0,
    root: str | None = None,
    *,
    steps: int = 40,
    reset: str = "rst",
    register: str = "",
) -> bool:
    """Whether yosys proves that the mutated module tells the same in every clock after a reset, for every input.

    By temporal induction over paths without repeated states, so states may differ (another code for the same count),
    and states that no path from a reset reaches do not matter.

    With `register` that one alone may differ: all other flip-flops, and memories, are cut as in `module_equivalent`.
    They may hold anything in any clock, the same on both sides, and must load the same in every clock.

    Parameters
    ----------
    modules, mutant, timeout_s, root
        As of `module_equivalent`.
    steps : int
        Longest path of the induction.
    reset : str
        Port of the reset.
    register : str
        Name of a register as of `Mutant.net`; empty: every state may differ.

    Returns
    -------
    bool
        False means "not proved"; always where the module has no reset or no such register, or has memories and no
        register is named.
    """
    root = root or mutant.module
    if reset not in _inputs(modules[root]):
        return False
    with tempfile.TemporaryDirectory(prefix="liquidcal-mutation-") as folder:
        work = Path(folder)
        try:
            for side, flat in _flat(modules, mutant, root, work, timeout_s).items():
                module = replace(flat, name=side, attributes=[])
                if register:
                    if not any(_register(cell) == register for cell in flat.cells):
                        return False
                    module = _cut(module, mutant, False, {}, register)
                elif any(cell.type.startswith("$mem") for cell in flat.cells):
                    return False
                (work / f"{side}_whole.il").write_text("autoidx 2000000\n" + module.text())
            script = (
                "read_rtlil gold_whole.il\nread_rtlil gate_whole.il\n"
                "miter -equiv -flatten -make_assert gold gate miter\nhierarchy -top miter\nasync2sync\nopt -full\n"
                f"sat -verify -tempinduct -prove-asserts -seq 1 -set-at 1 in_{reset} 1 -maxsteps {steps} "
                f"-timeout {max(1, int(timeout_s))} miter\n"
            )
            run_yosys(script, directory=work, name="induct", timeout_s=timeout_s + 60)
        except (YosysError, ToolTimeout):
            return False
    return True


def _flat(
    modules: Mapping[str, RtlilModule], mutant: Mutant, root: str, work: Path, timeout_s: float
) -> dict[str, RtlilModule]:
    """The right (``gold``) and the mutated (``gate``) module, each in one piece.

    Raises
    ------
    YosysError
        Yosys failed.
    """
    parts = {name: modules[name] for name in _below(modules, root)}
    script = ""
    for side in ("gold", "gate"):
        text = "".join(
            (mutate(module, [mutant], False) if side == "gate" and name == mutant.module else module).text()
            for name, module in parts.items()
        )
        (work / f"{side}.il").write_text("autoidx 1000000\n" + text)
        script += f"read_rtlil {side}.il\nhierarchy -top {root}\nflatten\nopt_clean\n"
        script += f"write_rtlil {side}_flat.il\ndesign -reset\n"
    run_yosys(script, directory=work, timeout_s=timeout_s + 60)
    return {side: parse_rtlil((work / f"{side}_flat.il").read_text())[root] for side in ("gold", "gate")}


def _below(modules: Mapping[str, RtlilModule], root: str) -> list[str]:
    """A module and every module below it."""
    found = [root]
    for name in found:
        children = dict.fromkeys(cell.type.removeprefix("\\") for cell in modules[name].cells)
        found += [child for child in children if child in modules and child not in found]
    return found


def _register(cell: Cell) -> str:
    """Name of a flip-flop; empty for other cells."""
    return cell.connections["Q"].strip().removeprefix("\\") if cell.type in _STATE else ""


def _cut(module: RtlilModule, mutant: Mutant, at_reset: bool, counts: Mapping[str, str], kept: str = "") -> RtlilModule:
    """A copy without flip-flops but one: ports take their place, named after the flip-flop of the right design."""
    result = replace(module, wires=dict(module.wires), cells=[], connections=list(module.connections))
    loads = {
        _register(cell): cell.connections["D"]
        for cell in module.cells if cell.type in ("$dff", "$adff")
    }  # fmt: skip

    def port(name: str, width: int, output: bool) -> str:
        result.wires[name] = Wire(name=name, width=width, input=not output, output=output)
        return name

    for cell in module.cells:
        if cell.type.startswith("$mem"):
            place = "\\memory" + re.sub(r"\W", lambda found: f"_{ord(found.group(0)):x}_", cell.name)
            for pin, spec in cell.connections.items():
                read = pin in ("RD_DATA", "DATA") and not cell.type.startswith("$memwr")
                wire = port(f"{place}_{pin}", len(module.bits(spec)), not read)
                result.connections.append((spec, wire) if read else (wire, spec))
            continue
        if cell.type not in _STATE or _register(cell) == kept:
            result.cells.append(cell)
            continue
        name = cell.name.replace(f"$mutant_{mutant.number}", mutant.cell)
        name = "\\state" + re.sub(r"\W", lambda found: f"_{ord(found.group(0)):x}_", name)
        width = len(module.bits(cell.connections["Q"]))
        value = cell.parameters.get("ARST_VALUE")
        if at_reset and value is not None:
            result.connections.append((cell.connections["Q"], value))
        else:
            result.connections.append((cell.connections["Q"], port(f"{name}_q", width, False)))
            if value is not None:
                result.connections.append((port(f"{name}_value", width, True), value))
        when = loads.get(counts.get(_register(cell), ""))
        for pin, spec in cell.connections.items():
            if pin in ("Q", "CLK"):
                continue
            shown = port(f"{name}_{pin}", len(module.bits(spec)), True)
            if pin == "D" and when is not None and cell.type in ("$dff", "$adff"):
                zeros = f"{width}'{'0' * width}"
                masked = Cell(
                    name=f"$counts{name}", type="$mux", attributes={}, parameters={"WIDTH": str(width)},
                    connections={"A": zeros, "B": spec, "S": when, "Y": shown},
                )  # fmt: skip
                result.cells.append(masked)
            else:
                result.connections.append((shown, spec))
    return result


def _mask(module: RtlilModule, meant: Mapping[str, tuple[str, ...]]) -> None:
    """Let outputs be 0 unless all ports are 1 with which they mean something."""
    for name, ports in meant.items():
        wire = module.wires[f"\\{name}"]
        shown, when = f"\\meant_{name}", f"\\when_{name}"
        module.wires |= {
            wire.name: replace(wire, output=False),
            shown: Wire(name=shown, width=wire.width, input=False, output=True),
            when: Wire(name=when, width=1, input=False, output=False),
        }
        all_ = _cell("$reduce_and", f"$when_{name}", A=sigspec([f"\\{port}" for port in ports]), Y=when,
                     A_WIDTH=len(ports), Y_WIDTH=1)  # fmt: skip
        masked = Cell(
            name=f"$meant_{name}", type="$mux", attributes={}, parameters={"WIDTH": str(wire.width)},
            connections={"A": f"{wire.width}'{'0' * wire.width}", "B": wire.name, "S": when, "Y": shown},
        )  # fmt: skip
        module.cells += [all_, masked]


class _Proved:
    """What is proved of a stage, once, when it is first asked for."""

    def __init__(self, stage: str, prove: Callable[[], Proof]) -> None:
        self._stage, self._prove, self._lock = stage, prove, Lock()
        self._proved: bool | None = None

    def _of_stage(self, mutant: Mutant, top: str) -> bool:
        return mutant.module.startswith(f"{top}_{self._stage}")

    def _is_proved(self) -> bool:
        with self._lock:
            if self._proved is None:
                self._proved = self._prove().status is Status.PROVED
        return self._proved


class Meant(_Proved):
    """Outputs of a stage that mean something only while other ports of it are 1: else they may show anything.

    Parameters
    ----------
    stage : str
        The modules whose names begin so after that of the top module.
    outputs : mapping of str to tuple of str
        With those ports, of one bit each.
    prove : callable
        Proves that nothing reads them otherwise; called once, for the first mutant of the stage that survives.
    """

    def __init__(self, stage: str, outputs: Mapping[str, tuple[str, ...]], prove: Callable[[], Proof]) -> None:
        super().__init__(stage, prove)
        self._outputs = outputs

    def outputs(self, mutant: Mutant, top: str) -> Mapping[str, tuple[str, ...]]:
        """Outputs of the mutant's module with what they go by; empty where that is not proved."""
        return self._outputs if self._of_stage(mutant, top) and self._is_proved() else {}


class Loaded(_Proved):
    """Registers of a stage that are loaded before they count: flipping a bit of their reset value changes nothing.

    Parameters
    ----------
    stage : str
        Of the modules whose names begin so after that of the top module.
    registers : mapping of str to str, or None
        With the conditions under which they count, as of `flows.formal.loaded.Loaded`; None: all of them. Those of
        `hw.common.readout.ReadoutLane` as of ``lane_0``.
    prove : callable
        Proves that of all of them; called once, for the first mutant of theirs that survives.
    """

    def __init__(self, stage: str, registers: Mapping[str, str] | None, prove: Callable[[], Proof]) -> None:
        super().__init__(stage, prove)
        self._registers = None if registers is None else frozenset(registers)
        self._counts = {
            name: found.group(1)
            for name, condition in (registers or {}).items()
            if (found := re.fullmatch(r"\{(\w+)\}", condition))
        }

    def covers(self, mutant: Mutant, top: str) -> bool:
        """Whether the proof says that a mutant is equivalent."""
        lane = "lane_0." if mutant.module == f"{top}_readout_lane" else ""
        named = self._registers is None or lane + mutant.net in self._registers
        return mutant.port == "ARST_VALUE" and self._of_stage(mutant, top) and named and self._is_proved()

    def counting(self, mutant: Mutant, top: str) -> Mapping[str, str]:
        """Registers of the mutant's stage that count only while another one is 1; empty where that is not proved."""
        return self._counts if self._counts and self._of_stage(mutant, top) and self._is_proved() else {}


def run_campaign(
    rtlil: str,
    top: str,
    check: Callable[[NativeModel], bool],
    *,
    count: int,
    rng: np.random.Generator,
    clock: str | None = None,
    threads: int = 2,
    advance: Callable[[int], None] | None = None,
    timeout_s: float = 900.0,
    prepare: Callable[[str], str] = str,
    plusarg: str = "",
    skip: Collection[str] = (),
    loaded: Collection[Loaded] = (),
    meant: Collection[Meant] = (),
    prove_whole: bool = True,
) -> CampaignResult:
    """Build all mutants at once and run the check on each.

    Parameters
    ----------
    rtlil : str
        The design as the generator writes it.
    top : str
        Top module.
    check : callable
        Drives a fresh model and tells whether every output is right. Called from several threads.
    count : int
        Mutants.
    rng : Generator
        Source of the choice of mutants.
    clock : str, optional
        Clock of the top module.
    threads : int
        Mutants that run side by side.
    advance : callable, optional
        Called with 1 for every mutant that is decided, from any thread.
    timeout_s : float
        Limit of each build step in seconds.
    prepare : callable
        Last touch to the Verilog text before it is built, where memories are loaded from files.
    plusarg : str
        Argument of the simulation, as of `NativeModel`.
    skip : collection of str
        Stages without mutants: those that have a campaign of their own.
    loaded : collection of Loaded
        What is proved of reset values; asked before anything else is tried on a mutant that the check does not kill.
    meant : collection of Meant
        What is proved of outputs that mean something only now and then.
    prove_whole : bool
        Look for a proof of equivalence in the whole design, too, where none was found in module and stage: minutes
        for each survivor of a large design. Without it, more survivors count that are none.

    Raises
    ------
    ValueError
        If the check fails without any mutant: then it would kill everything, and prove nothing.
    """
    modules = elaborate(rtlil, timeout_s)
    mutants = find_mutants(modules, top, count, rng, skip)
    verilog = prepare(schemata(modules, top, mutants, timeout_s))
    library, ports = build_native(verilog, top, clock=clock, mutants=True, timeout_s=timeout_s)

    def stage_root(mutant: Mutant) -> str:
        name = f"{top}_{mutant.stage}"
        return name if name in modules else mutant.module

    shown = without_unread(modules, top)

    def equivalent(mutant: Mutant) -> bool:
        if any(one.covers(mutant, top) for one in loaded):
            return True
        if module_equivalent(shown, mutant):
            return True
        if any(counts and module_equivalent(shown, mutant, counts=counts)
               for counts in (one.counting(mutant, top) for one in loaded)):  # fmt: skip
            return True
        if any(outputs and module_equivalent(shown, mutant, meant=outputs)
               for outputs in (one.outputs(mutant, top) for one in meant)):  # fmt: skip
            return True
        if stage_root(mutant) != mutant.module and module_equivalent(shown, mutant, root=stage_root(mutant)):
            return True
        if module_equivalent_from_reset(shown, mutant, root=stage_root(mutant)):
            return True
        if mutant.net and module_equivalent_from_reset(shown, mutant, register=mutant.net):
            return True
        if not prove_whole:
            return False
        if module_equivalent(modules, mutant, root=top):
            return True
        return mutant.port == "ARST_VALUE" and module_equivalent(modules, mutant, root=top, at_reset=True)

    def passes(number: int) -> bool:
        with NativeModel(library, ports, clock, plusarg=plusarg) as model:
            model.select_mutant(number)
            return check(model)

    if not passes(0):
        raise ValueError("the check fails on the design without mutants: no kill would mean anything")

    def decide(mutant: Mutant) -> Outcome:
        outcome = Outcome.SURVIVED if passes(mutant.number) else Outcome.KILLED
        if outcome is Outcome.SURVIVED and equivalent(mutant):
            outcome = Outcome.EQUIVALENT
        if advance is not None:
            advance(1)
        return outcome

    with ThreadPoolExecutor(max(1, threads)) as pool:
        outcomes = list(pool.map(decide, mutants))
    return CampaignResult(
        mutants=mutants, outcomes={mutant.number: outcome for mutant, outcome in zip(mutants, outcomes, strict=True)}
    )
