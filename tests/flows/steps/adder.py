"""A chip of two files' size: an adder with registers, as a kind of design with all its rooms in this one module.

What a new chip has to bring: a spec, a component, a design, and one module for each room that knows something of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from flows.common.journal import Check, Journal
from flows.designs.design import Design
from flows.designs.generated import FileOptions, Generated
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.physical.mapped import Mapped
from flows.power.activity import record
from flows.power.run import PowerOptions, Run
from flows.report.document import Report, collect
from flows.report.sections import implementation_sections
from flows.verification.options import VerificationOptions
from tests.flows.steps.adder_component import Adder


@dataclass(frozen=True, kw_only=True)
class AdderSpec:
    """Width of both operands in bits."""

    name: str = "ADDER"
    addend_bits: int = 8

    def to_toml(self) -> str:
        return f'name = "{self.name}"\naddend_bits = {self.addend_bits}\n'


@dataclass(frozen=True, kw_only=True)
class AdderDesign(Design):
    """The adder; its only variant has clock gates."""

    spec: AdderSpec

    kind: ClassVar = "adder"
    presets: ClassVar = {"ADDER": AdderSpec()}
    mark: ClassVar = "addend_bits"
    rooms: ClassVar = dict.fromkeys(("power", "verification", "report"), "tests.flows.steps.adder")
    crossings: ClassVar = 50
    crossings_in_flow: ClassVar = 20
    stimulus: ClassVar = ("crossings",)

    @classmethod
    def read_spec(cls, text: str) -> AdderSpec:
        return AdderSpec(**tomllib.loads(text))

    @property
    def period_ns(self) -> float:
        return 5.0

    @property
    def latency(self) -> int:
        return 2

    def component(self) -> Adder:
        return Adder(width=self.spec.addend_bits)

    def generate(self, folder: Path, journal: Journal, options: FileOptions) -> Generated:
        raise ValueError("the adder of the tests writes no files")


def operands(spec: AdderSpec, clocks: int, lanes: int, seed: int) -> np.ndarray:
    """Random addends, shape (2, clocks, lanes)."""
    return np.random.default_rng(seed).integers(0, 1 << spec.addend_bits, (2, clocks, lanes))


def simulate(mapped: Mapped, design: AdderDesign, options: PowerOptions, stage: Callable[..., Any]) -> Run:
    """Random sums on the gates, 64 streams, against integer addition."""
    spec, clocks = design.spec, options.crossings
    added = operands(spec, clocks, 64, options.seed)
    seen = np.zeros((clocks, 64), np.int64)

    def bits(values: np.ndarray) -> np.ndarray:
        return (values[None] >> np.arange(spec.addend_bits)[:, None]) & 1

    def drive(sim: GateSimulator, clock: int) -> None:
        for port, values in zip("ab", added[:, clock], strict=True):
            sim.set_port(port, from_lanes(np.ascontiguousarray(bits(values).astype(bool))))

    def watch(sim: GateSimulator, clock: int) -> None:
        found = to_lanes(sim.values[sim.netlist.ports["total"].nets])[:, :64].astype(np.int64)
        seen[clock] = (found << np.arange(spec.addend_bits + 1)[:, None]).sum(0)

    with stage("random sums on the gates"):
        simulator = GateSimulator(mapped.netlist, mapped.library, words=1, clock=("clk",))
        for name, port in simulator.netlist.ports.items():
            if port.direction == "input" and name not in simulator.clocks:
                simulator.set_port(name, np.zeros((len(port.nets), 1), np.uint64))
        warm_up = design.latency + 1
        activity = record(
            simulator, drive, clocks=clocks - warm_up, warm_up=warm_up, lanes=64, period_ns=design.period_ns,
            source="random sums", watch=watch,
        )  # fmt: skip
    expected, actual = added.sum(0)[: -design.latency], seen[design.latency :]
    if not np.array_equal(expected, actual):
        raise ValueError("a sum of the netlist is wrong")
    return Run(simulator=simulator, activity=activity, result={"sums_compared": actual.size}, compared=actual.size)


def verify_design(design: AdderDesign, journal: Journal, options: VerificationOptions) -> None:
    """Random sums in Amaranth's own simulator."""
    from amaranth.sim import Simulator

    part, added = design.component(), operands(design.spec, options.crossings or design.crossings, 1, options.seed)
    seen = []

    async def bench(context: Any) -> None:
        for a, b in added[:, :, 0].T:
            context.set(part.a, int(a))
            context.set(part.b, int(b))
            await context.tick()
            seen.append(context.get(part.total))

    simulator = Simulator(part)
    simulator.add_clock(5e-9)
    simulator.add_testbench(bench)
    simulator.run()
    expected = added[:, :, 0].sum(0)[: 1 - design.latency]
    actual = np.array(seen[design.latency - 1 :])
    same = bool(np.array_equal(expected, actual))
    journal.check(Check(name="sums of the RTL", passed=same, compared=len(actual), unit="sums"))


def chip_report(folder: Path, design: AdderDesign) -> Report:
    """The sections that every chip has."""
    return collect(
        folder, design.name, f"Adds two numbers of {design.spec.addend_bits} bits.", implementation_sections(folder)
    )
