"""Static timing with OpenSTA: loads of wires annotated, worst paths in the designer's terms.

The netlist is handed over flat with numbers for names, so that no spelling can be
misread; what comes back is translated: a path runs from a register through stages to a register.

A latch that is open while the clock is high, as words behind one flip-flop are (`flows.synthesis.shared_storage`), only
passes on what moved with the edge that opens it: such a path is judged where it ends, unless it comes too late for the
latch itself.

The clock is ideal; `ClockPlan.uncertainty_ns` stands for its tree. Settings and weights are quasi-static: they are
written long before data flows, so paths from their registers may take `ClockPlan.static_clocks` clocks.
"""

from __future__ import annotations

import math
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.library.liberty_file import unpacked
from flows.library.power_library import PowerLibrary
from flows.netlist.gate_simulation import plain_latch
from flows.netlist.netlist import Netlist
from flows.tools.opensta import OpenStaError, run_sta

__all__ = ["ClockPlan", "PathStep", "TimingPath", "TimingReport", "analyse", "constrained", "derated", "flat_verilog",
           "net_spelling", "port_bits", "read_design", "write_spef"]  # fmt: skip

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ClockPlan:
    """How a design is clocked.

    Attributes
    ----------
    clock : str
        Clock port.
    internal_clock : str or None
        Port of a second clock, `multiple` times as fast and in phase: each edge of the clock is one of it, too.
    multiple : int
    period_ns : float
    uncertainty_ns : float
        Skew and jitter, taken off the period; off that of the internal clock the same share of it.
    hold_uncertainty_ns : float
        Skew alone, added to hold times; likewise.
    one_source : bool
        Both clocks leave one source together: between them, and at outputs, the uncertainty is the internal clock's.
    resets : tuple of str
        Input ports whose paths do not count (asynchronous reset).
    static_stages : tuple of str
        Instances, levels separated by a dot, whose registers are quasi-static.
    static_clocks : int
        Clocks that paths from there may take.
    clock_high : float
        Share of its period that the fastest clock is high; the other is high for half of its own.
    io_share : float
        Share of the period that inputs and outputs spend outside.
    """

    clock: str
    period_ns: float
    internal_clock: str | None = None
    multiple: int = 1
    uncertainty_ns: float = 0.0
    hold_uncertainty_ns: float = 0.0
    one_source: bool = False
    resets: tuple[str, ...] = ()
    static_stages: tuple[str, ...] = ()
    static_clocks: int = 8
    clock_high: float = 0.5
    io_share: float = 0.0

    def __post_init__(self) -> None:
        if self.period_ns <= 0:
            raise ValueError(f"period_ns: expected above 0, got {self.period_ns}")
        if not 0 <= self.uncertainty_ns < self.period_ns:
            raise ValueError(f"uncertainty_ns: expected 0 to the period, got {self.uncertainty_ns}")
        if not 0 <= self.io_share < 1:
            raise ValueError(f"io_share: expected 0 to below 1, got {self.io_share}")
        if not 0 < self.clock_high < 1:
            raise ValueError(f"clock_high: expected above 0 and below 1, got {self.clock_high}")
        if self.static_clocks < 1:
            raise ValueError(f"static_clocks: expected at least 1, got {self.static_clocks}")
        if self.multiple < 1 or (self.internal_clock is None and self.multiple != 1):
            raise ValueError(f"multiple: expected at least 1, and 1 without an internal clock, got {self.multiple}")

    @property
    def clocks(self) -> dict[str, float]:
        """Period of each clock port in ns. That of the internal clock is a whole number of picoseconds, rounded down,
        and the other one a multiple of it: the tool looks for edges that coincide."""
        if self.internal_clock is None:
            return {self.clock: self.period_ns}
        fast = math.floor(1000 * self.period_ns / self.multiple + 1e-9) / 1000
        return {self.clock: round(fast * self.multiple, 3), self.internal_clock: fast}

    def waveform(self, clock: str, period_ns: float) -> str:
        """Option of SDC's ``create_clock`` for a clock that is not high for half of its period; empty otherwise."""
        if self.clock_high == 0.5 or clock != (self.internal_clock or self.clock):
            return ""
        return f" -waveform {{0 {round(self.clock_high * period_ns, 3):g}}}"


@dataclass(frozen=True, kw_only=True)
class PathStep:
    """The part of a path inside one stage: number of cells and delay in ns."""

    stage: str
    cells: int
    delay_ns: float


@dataclass(frozen=True, kw_only=True)
class TimingPath:
    """One path.

    Attributes
    ----------
    start, end : str
        Register (named after its output net) or port.
    apart_ns : float
        From the clock edge that launches to the one that captures.
    start_stage, end_stage : str
    steps : tuple of PathStep
        Stages in the order of the path.
    delay_ns : float
        From the clock edge at the start to the data at the end.
    slack_ns : float
    """

    start: str
    start_stage: str
    end: str
    end_stage: str
    steps: tuple[PathStep, ...]
    delay_ns: float
    slack_ns: float
    apart_ns: float

    @property
    def cells(self) -> int:
        """Cells on the path, the launching flip-flop included."""
        return sum(step.cells for step in self.steps)

    def __str__(self) -> str:
        through = ", ".join(f"{step.stage} {step.delay_ns:.2f} ns ({step.cells} cells)" for step in self.steps)
        return f"{self.start} -> {self.end}: {self.delay_ns:.2f} ns through {through}; slack {self.slack_ns:.2f} ns"


@dataclass(frozen=True, kw_only=True, eq=False)
class TimingReport:
    """Setup and hold of a design.

    Attributes
    ----------
    plan : ClockPlan
    setup_slack_ns, hold_slack_ns : float
        Worst of all paths.
    fmax_mhz : float
        Clock (the first of two) at which the worst path of the data, quasi-static ones left out, just fits, with the
        same shares of the period for uncertainty; with latches that open within the period it is searched for.
    paths : tuple of TimingPath
        Worst setup paths of distinct end registers.
    hold_paths : tuple of TimingPath
    static_paths : tuple of TimingPath
        Worst paths from quasi-static registers.
    endpoint_slacks_ns : ndarray
        Setup slack of every end point.
    setup_library, hold_library : str
        Corner of each.
    seconds : float
    """

    plan: ClockPlan
    setup_slack_ns: float
    hold_slack_ns: float
    fmax_mhz: float
    paths: tuple[TimingPath, ...]
    hold_paths: tuple[TimingPath, ...]
    static_paths: tuple[TimingPath, ...]
    endpoint_slacks_ns: Floats
    setup_library: str
    hold_library: str
    seconds: float


def flat_verilog(netlist: Netlist) -> str:
    """The netlist as flat Verilog with cells ``c<number>``, nets ``n<number>``, one port per bit ``p_<name>_<bit>``."""
    wires = net_spelling(netlist)
    wires[0], wires[1] = "1'b0", "1'b1"
    ports, declarations, assigns = [], [], []
    for name, direction, net in port_bits(netlist):
        ports.append(name)
        declarations.append(f"  {direction} {name};")
        if direction != "input":
            assigns.append((name, net))
    lines = [f"module flat ({', '.join(ports)});", *declarations]
    lines += [f"  wire {wires[net]};" for net in np.flatnonzero(netlist.used_nets) if wires[net].startswith("n")]
    lines += [f"  assign {name} = {wires[net]};" for name, net in assigns]
    for group in netlist.groups.values():
        for cell, row in zip(group.cells.tolist(), group.nets.tolist(), strict=True):
            pins = ", ".join(f".{pin}({wires[net]})" for pin, net in zip(group.pins, row, strict=True) if net >= 0)
            lines.append(f"  {group.type} c{cell} ({pins});")
    return "\n".join([*lines, "endmodule", ""])


def port_bits(netlist: Netlist) -> Iterator[tuple[str, str, int]]:
    """Name in the flat netlist, direction and net of every bit of every port, in the order of `port_places`."""
    for _, port in sorted(netlist.ports.items()):
        for bit, net in enumerate(port.nets.tolist()):
            yield f"p_{_plain(port.name)}_{bit}", port.direction, net


def net_spelling(netlist: Netlist) -> list[str]:
    """Name of each net in the flat netlist: that of the input port that drives it, else by its number."""
    names = ["zero", "one", *(f"n{net}" for net in range(2, netlist.nets))]
    for name, direction, net in port_bits(netlist):
        if direction == "input":
            names[net] = name
    return names


def _plain(name: str) -> str:
    return re.sub(r"\W", "_", name)


def analyse(
    netlist: Netlist,
    library: PowerLibrary,
    plan: ClockPlan,
    *,
    wire_ff: npt.ArrayLike | None = None,
    wire_ohm: npt.ArrayLike = 0.0,
    setup_liberty: Sequence[Path] | None = None,
    hold_liberty: Sequence[Path] | None = None,
    early: float = 1.0,
    driving_cell: str | None = None,
    port_load_ff: float = 0.0,
    paths: int = 10,
    timeout_s: float = 900.0,
) -> TimingReport:
    """Setup, hold and maximum clock of a netlist.

    Parameters
    ----------
    netlist : Netlist
    library : PowerLibrary
        For the kinds of cells; its files are the default corner of both checks.
    plan : ClockPlan
    wire_ff : array_like, shape (nets,), optional
        Wire capacitance of each net.
    wire_ohm : array_like, shape (nets,) or ()
        Its resistance from the driver to the farthest pin.
    setup_liberty, hold_liberty : sequence of Path, optional
        Slow and fast corner.
    early : float
        Factor of all delays at hold: below 1 for a fast corner that is assumed.
    driving_cell : str, optional
        Cell that drives the input ports.
    port_load_ff : float
        Load at output ports.
    paths : int
        Paths to report of each kind.
    timeout_s : float
        Limit of each OpenSTA run.

    Raises
    ------
    OpenStaError
        OpenSTA is missing, or refuses a library.
    ToolTimeout
        OpenSTA ran past its limit.
    ValueError
        No such clock port, or no path between registers.
    """
    for clock in plan.clocks:
        if clock not in netlist.ports:
            raise ValueError(f"no clock port {clock!r}; ports: {', '.join(list(netlist.ports)[:8])}")
    if unknown := sorted(set(plan.static_stages) - {".".join(part.path) for part in netlist.instances}):
        raise ValueError(f"no stage {unknown[0]!r}; stages: {', '.join(netlist.stages)}")
    if unknown := sorted(set(plan.resets) - set(netlist.ports)):
        raise ValueError(f"no reset port {unknown[0]!r}; ports: {', '.join(list(netlist.ports)[:8])}")
    start = time.monotonic()
    slow = tuple(setup_liberty or library.files)
    fast = tuple(hold_liberty or slow)
    hold = [*derated(early), *_checks("min", min(paths, 5))]
    names = _Names(netlist, library)
    static = names.flops_of(plan.static_stages)
    passing = names.passing
    to = "-to $ends " if passing else ""
    with tempfile.TemporaryDirectory(prefix="liquidcal-sta-") as folder:
        work = Path(folder)
        lines = constrained(
            work, netlist, library, plan, wire_ff=wire_ff, wire_ohm=wire_ohm, driving_cell=driving_cell,
            port_load_ff=port_load_ff,
        )  # fmt: skip
        if passing:
            lines += [
                f"set passing {_cells(sorted(passing))}",
                f"set ends [concat {_cells(sorted(names.flops.keys() - passing))} [all_outputs]]",
            ]
        reports = {"setup": _checks("max", paths, to) + _SLACKS}
        if passing:
            reports["passing"] = _checks("max", paths, "-to $passing ")
        if static:
            reports["static"] = _checks("max", min(paths, 3), "-from $static ")
            # behind a setting that is slower the path of the data does not show
            reports["data"] = _checks("max", paths, f"-from $moving {to}")
        if fast == slow:
            reports["hold"] = hold
        # last, since it changes the clock
        if names.closing:
            reports["least"] = _least_period(plan, bool(static))
        result = run_sta(
            [*read_design(slow), *lines], reports=reports, directory=work, name="setup", timeout_s=timeout_s
        )
        if fast != slow:
            result |= run_sta(
                [*read_design(fast), *lines], reports={"hold": hold}, directory=work, name="hold", timeout_s=timeout_s
            )  # fmt: skip
    setup = result["setup"]
    late = [path for path in map(names.translate, _parse(result.get("passing", ""))) if path.slack_ns < 0]
    found = sorted([*map(names.translate, _parse(setup)), *late], key=lambda path: path.slack_ns)
    if not found:
        raise ValueError("OpenSTA found no constrained path: is the clock port right?")
    held = [names.translate(path) for path in _parse(result["hold"])]
    quasi = [names.translate(path) for path in _parse(result.get("static", ""))]
    data = [*map(names.translate, _parse(result.get("data", ""))), *late] or found
    # every distance of edges goes with the period; a path may take less than the last of the tool's four digits
    faster = min(path.apart_ns / max(path.apart_ns - path.slack_ns, 1e-4) for path in data)
    if least := re.search(r"^least_period (\S+)$", result.get("least", ""), re.MULTILINE):
        faster = plan.period_ns / float(least[1])
    slacks = [
        float(value)
        for cell, value in re.findall(r"^slack_of c?(\w+)\S* (-?[\d.eE+-]+)$", setup, re.MULTILINE)
        if not (cell.isdecimal() and int(cell) in passing and float(value) >= 0)
    ]
    return TimingReport(
        plan=plan, setup_slack_ns=min(path.slack_ns for path in found),
        hold_slack_ns=min((path.slack_ns for path in held), default=float("inf")),
        fmax_mhz=1000 / plan.period_ns * faster, paths=tuple(found), hold_paths=tuple(held),
        static_paths=tuple(quasi), endpoint_slacks_ns=np.array(slacks), setup_library=slow[0].name,
        hold_library=fast[0].name, seconds=time.monotonic() - start,
    )  # fmt: skip


class _Names:
    """From numbers back to registers and stages."""

    def __init__(self, netlist: Netlist, library: PowerLibrary) -> None:
        self.netlist = netlist
        self.flops: dict[int, int] = {}
        self.passing: set[int] = set()
        """Latches that are open while their clock pin is high."""
        self.closing: set[int] = set()
        """Those that are closed meanwhile."""
        for group in netlist.groups.values():
            cell = library[group.type]
            if cell.storage is None:
                continue
            if plain_latch(cell):
                kind = self.passing if isinstance(cell.storage.clock, str) else self.closing
                kind.update(group.cells.tolist())
            outputs = np.stack([group.pin(pin) for pin in cell.outputs], 1)
            for number, row in zip(group.cells.tolist(), outputs.tolist(), strict=True):
                self.flops[number] = next((net for net in row if net >= 0), -1)

    def flops_of(self, stages: Iterable[str]) -> list[int]:
        below = tuple(tuple(stage.split(".")) for stage in stages)
        inside = [any(part.path[: len(path)] == path for path in below) for part in self.netlist.instances]
        return [cell for cell in self.flops if inside[self.netlist.cell_instance[cell]]]

    def stage(self, cell: int) -> str:
        return str(self.netlist.stages[self.netlist.cell_stage[cell]])

    def point(self, name: str) -> tuple[str, str]:
        """Designer's name and stage of an instance or port of the flat netlist."""
        if found := re.fullmatch(r"c(\d+)", name):
            cell = int(found[1])
            net = self.flops.get(cell, -1)
            return (self.netlist.net_names[net] if net >= 0 else self.netlist.cell_name(cell)), self.stage(cell)
        if found := re.fullmatch(r"p_(\w+)_(\d+)", name):
            port = next((p for p in self.netlist.ports.values() if _plain(p.name) == found[1]), None)
            text = found[1] if port is None else port.name
            return (f"{text}[{found[2]}]" if port is not None and len(port.nets) > 1 else text), "port"
        return name, ""

    def translate(self, path: Mapping[str, object]) -> TimingPath:
        start, start_stage = self.point(str(path["start"]))
        end, end_stage = self.point(str(path["end"]))
        steps: list[PathStep] = []
        for cell, delay in path["cells"]:  # type: ignore[attr-defined]
            stage = self.stage(cell)
            if steps and steps[-1].stage == stage:
                last = steps.pop()
                steps.append(PathStep(stage=stage, cells=last.cells + 1, delay_ns=round(last.delay_ns + delay, 4)))
            else:
                steps.append(PathStep(stage=stage, cells=1, delay_ns=round(delay, 4)))
        return TimingPath(
            start=start, start_stage=start_stage, end=end, end_stage=end_stage, steps=tuple(steps),
            delay_ns=float(path["arrival"]), slack_ns=float(path["slack"]),  # type: ignore[arg-type]
            apart_ns=float(path["apart"]),  # type: ignore[arg-type]
        )  # fmt: skip


def constrained(
    folder: Path,
    netlist: Netlist,
    library: PowerLibrary,
    plan: ClockPlan,
    *,
    wire_ff: npt.ArrayLike | None,
    wire_ohm: npt.ArrayLike = 0.0,
    driving_cell: str | None = None,
    port_load_ff: float = 0.0,
) -> list[str]:
    """Commands that constrain a netlist and give it its wires, after those of `read_design`; the files that both name
    are left in `folder`."""
    names = _Names(netlist, library)
    static = names.flops_of(plan.static_stages)
    moving = sorted(names.flops.keys() - set(static))
    (folder / "flat.v").write_text(flat_verilog(netlist))
    lines = [*_constraints(netlist, plan, driving_cell, port_load_ff), *_static(static, moving, plan)]
    if wire_ff is not None:
        write_spef(folder / "wires.spef", netlist, library, wire_ff=wire_ff, wire_ohm=wire_ohm)
        lines.append("read_spef wires.spef")
    return lines


def derated(early: float) -> list[str]:
    """Commands after which all early delays are so much of what the library says."""
    return [f"set_timing_derate -early {early:g}"] if early != 1 else []


def read_design(liberty: Sequence[Path]) -> list[str]:
    """Commands that read the library and the flat netlist."""
    return [
        *(f"read_liberty {{{unpacked(path).resolve()}}}" for path in liberty),
        "read_verilog flat.v",
        "link_design flat",
        "set_cmd_units -capacitance fF -time ns",
    ]


def _constraints(netlist: Netlist, plan: ClockPlan, driving_cell: str | None, port_load_ff: float) -> list[str]:
    lines = []
    for clock, period_ns in plan.clocks.items():
        share = period_ns / plan.period_ns
        wave = plan.waveform(clock, period_ns)
        lines.append(f"create_clock -name {_plain(clock)} -period {period_ns}{wave} [get_ports p_{_plain(clock)}_0]")
        for kind, value in (("setup", plan.uncertainty_ns), ("hold", plan.hold_uncertainty_ns)):
            if value:
                lines.append(f"set_clock_uncertainty -{kind} {share * value:.6g} [get_clocks {_plain(clock)}]")
    if plan.one_source and plan.internal_clock is not None:
        first, fast = (_plain(clock) for clock in plan.clocks)
        for start, end in ((first, fast), (fast, first)):
            for kind, value in (("setup", plan.uncertainty_ns), ("hold", plan.hold_uncertainty_ns)):
                between = f"-from [get_clocks {start}] -to [get_clocks {end}]"
                lines.append(f"set_clock_uncertainty -{kind} {between} {value / plan.multiple:.6g}")
    outside = plan.period_ns * plan.io_share
    crossing = _plain(plan.clock)
    for port in netlist.ports.values():
        if port.name in plan.clocks:
            continue
        for bit in range(len(port.nets)):
            pin = f"[get_ports p_{_plain(port.name)}_{bit}]"
            if port.name in plan.resets:
                lines.append(f"set_false_path -from {pin}")
            elif port.direction == "input":
                lines.append(f"set_input_delay {outside:g} -clock {crossing} {pin}")
                # how long an input holds is for the surroundings to say
                lines.append(f"set_false_path -hold -from {pin}")
                if driving_cell is not None:
                    lines.append(f"set_driving_cell -lib_cell {driving_cell} {pin}")
            else:
                lines.append(f"set_output_delay {outside:g} -clock {crossing} {pin}")
                if port_load_ff:
                    lines.append(f"set_load {port_load_ff} {pin}")
    return lines


def _cells(numbers: Sequence[int]) -> str:
    """Instances of `flat_verilog`, as a command gives them."""
    return f"[get_cells {{{' '.join(f'c{number}' for number in numbers)}}}]"


def _static(static: Sequence[int], moving: Sequence[int], plan: ClockPlan) -> list[str]:
    """Constraints of quasi-static flip-flops; the variables ``static`` and ``moving`` are where paths start."""
    if not static:
        return []

    return [
        f"set static {_cells(static)}",
        f"set moving [concat {_cells(moving) if moving else ''} [all_inputs]]",
        f"set_multicycle_path {plan.static_clocks} -setup -from $static",
        f"set_multicycle_path {plan.static_clocks - 1} -hold -from $static",
    ]


def write_spef(
    path: Path, netlist: Netlist, library: PowerLibrary, *, wire_ff: npt.ArrayLike, wire_ohm: npt.ArrayLike = 0.0
) -> None:
    """Wires of `flat_verilog` as SPEF (IEEE 1481), nets without a wire left out.

    Half of a net's capacitance stands at its driver, half behind its whole resistance, where all pins hang.
    """
    ff, ohm = (np.broadcast_to(np.asarray(value, float), (netlist.nets,)) for value in (wire_ff, wire_ohm))
    names = net_spelling(netlist)
    driver = {net: name for name, direction, net in port_bits(netlist) if direction == "input"}
    readers: dict[int, list[str]] = {}
    for group in netlist.groups.values():
        cell = library[group.type]
        for pins, found in ((cell.inputs, readers), (cell.outputs, None)):
            for pin in pins:
                nets = group.pin(pin)
                for number, net in zip(group.cells.tolist(), nets.tolist(), strict=True):
                    if net < 0:
                        continue
                    if found is None:
                        driver[net] = f"c{number}:{pin}"
                    else:
                        found.setdefault(net, []).append(f"c{number}:{pin}")
    with path.open("w") as file:
        file.write(
            '*SPEF "IEEE 1481-1998"\n*DESIGN "flat"\n*DATE ""\n*VENDOR ""\n*PROGRAM "liquidcal"\n*VERSION ""\n'
            '*DESIGN_FLOW "PIN_CAP NONE"\n*DIVIDER /\n*DELIMITER :\n*BUS_DELIMITER [ ]\n'
            "*T_UNIT 1 NS\n*C_UNIT 1 FF\n*R_UNIT 1 OHM\n*L_UNIT 1 HENRY\n\n"
        )
        for net in np.flatnonzero(netlist.used_nets & (ff > 0)).tolist():
            if net not in driver:
                continue
            spelled, start, sinks = names[net], driver[net], readers.get(net, [])
            outside = start == spelled  # a port drives it
            kind = "*P" if outside else "*I"
            half, far = f"{ff[net] / 2:.6g}", f"{spelled}:1"
            file.write(f"*D_NET {spelled} {ff[net]:.6g}\n*CONN\n{kind} {start} {'I' if outside else 'O'}\n")
            file.write("".join(f"*I {pin} I\n" for pin in sinks))
            file.write(f"*CAP\n1 {start} {half}\n2 {far} {half}\n*RES\n1 {start} {far} {max(ohm[net], 1e-3):.6g}\n")
            file.write("".join(f"{k} {far} {pin} 0.001\n" for k, pin in enumerate(sinks, 2)))
            file.write("*END\n\n")


_SLACKS = [
    "foreach end [find_timing_paths -path_delay max -group_count 1000000] {",
    '  puts "slack_of [get_property [get_property $end endpoint] full_name] [get_property $end slack]"',
    "}",
]


def _least_period(plan: ClockPlan, static: bool) -> list[str]:
    """Commands that find the shortest period at which no path of the data is too long, to 0.2 % of the plan's.

    What borrows from a latch has less to borrow at a shorter period: slack does not go with the period there. Periods
    are whole picoseconds, as in `ClockPlan.clocks`.
    """
    setup = plan.uncertainty_ns / plan.period_ns
    clocks = []
    for clock in plan.clocks:
        name = _plain(clock)
        fastest = clock == (plan.internal_clock or plan.clock)
        high, period = (plan.clock_high, "$fast") if fastest else (0.5, "$period")
        clocks += [
            f"  set falls [expr {{{high} * {period}}}]; set skew [expr {{{setup} * {period}}}]",
            f'  create_clock -name {name} -period {period} -waveform "0 $falls" [get_ports p_{name}_0]',
            f"  set_clock_uncertainty -setup $skew [get_clocks {name}]",
        ]
    if plan.one_source and plan.internal_clock is not None:
        first, fast = (_plain(clock) for clock in plan.clocks)
        clocks += [
            f"  set_clock_uncertainty -setup -from [get_clocks {start}] -to [get_clocks {end}] $skew"
            for start, end in ((first, fast), (fast, first))
        ]
    return [
        *(["set_false_path -from $static"] if static else []),
        f"set fits 0; set long {plan.period_ns}; set short {plan.period_ns / 8}",
        "for {set step 0} {$step < 9} {incr step} {",
        f"  set fast [expr {{floor(500.0 * ($long + $short) / {plan.multiple}) / 1000}}]",
        f"  set period [expr {{round(1000 * $fast * {plan.multiple}) / 1000.0}}]",
        *clocks,
        # the worst of each clock
        "  set late 0",
        "  foreach path [find_timing_paths -path_delay max -group_count 1] {",
        "    if {[get_property $path slack] < -1e-4} {set late 1}",
        "  }",
        "  if {$late} {set short $period} else {set long $period; set fits 1}",
        "}",
        'if {$fits} {puts "least_period $long"}',
    ]


def _checks(kind: str, paths: int, ends: str = "") -> list[str]:
    return [f"report_checks {ends}-path_delay {kind} -format full -digits 4 -group_count {paths}"]


def _parse(text: str) -> list[dict[str, object]]:
    """Paths of ``report_checks -format full``: start, end, cells with their delays, arrival, slack."""
    found = []
    for part in re.split(r"^(?=Startpoint: )", text, flags=re.MULTILINE)[1:]:
        start = re.match(r"Startpoint: (\S+)", part)
        end = re.search(r"^Endpoint: (\S+)", part, re.MULTILINE)
        slack = re.search(r"^\s*(-?[\d.]+)\s+slack", part, re.MULTILINE)
        arrival = re.search(r"^\s*(-?[\d.]+)\s+data arrival time", part, re.MULTILINE)
        if not (start and end and slack and arrival):
            continue
        cells: list[tuple[int, float]] = []
        body = part[: part.index("data arrival time")]
        for delay, name in re.findall(r"^\s*(-?[\d.]+)\s+-?[\d.]+\s+[\^v]\s+(\S+)/\S+ \(", body, re.MULTILINE):
            number = int(name[1:])
            if cells and cells[-1][0] == number:
                cells[-1] = (number, cells[-1][1] + float(delay))
            else:
                cells.append((number, float(delay)))
        if len(cells) > 1 and end[1] == f"c{cells[-1][0]}":
            cells.pop()  # the register that the path ends at
        edges = [float(time) for time in re.findall(r"^\s*-?[\d.]+\s+(-?[\d.]+)\s+clock \S+ \(", part, re.MULTILINE)]
        if len(edges) != 2:
            raise OpenStaError(f"OpenSTA reported {len(edges)} clock edges of the path from {start[1]} to {end[1]}")
        found.append({
            "start": start[1], "end": end[1], "cells": cells, "slack": float(slack[1]),
            "arrival": round(float(arrival[1]) - edges[0], 4), "apart": round(edges[1] - edges[0], 4),
        })  # fmt: skip
    return found
