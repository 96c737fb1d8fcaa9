"""Power of a network: its samples on the gates, under its weights, every result compared with the golden model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.designs.network import NetworkDesign
from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from flows.physical.mapped import Mapped
from flows.power.activity import record
from flows.power.run import PowerOptions, Run
from flows.power.write_port import banks_of, evaluate_only, free_ports, same_bits, swap_all, write_into_banks
from hw.network.network import output_port
from sim.fixed_point import FixedPoint, IntArray
from sim.network.model import Network
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import NetworkWeights

__all__ = ["load_weights", "simulate"]


def _bits(codes: IntArray, form: FixedPoint) -> npt.NDArray[np.bool_]:
    """Codes (lanes, elements) as bits (elements x width, lanes)."""
    bits = (codes[:, :, None] >> np.arange(form.width) & 1).astype(bool)
    return np.ascontiguousarray(bits.reshape(len(codes), -1).T)


def load_weights(simulator: GateSimulator, weights: NetworkWeights) -> None:
    """Reset the netlist, write all weights, the same in all streams: through its port, or into the banks of a chip."""
    lanes = 64 * simulator.words

    def put(port: str, value: int) -> None:
        width = len(simulator.netlist.ports[port].nets)
        bits = np.array([[value >> bit & 1] * lanes for bit in range(width)], bool)
        simulator.set_port(port, from_lanes(bits))

    for name, port in simulator.netlist.ports.items():
        if port.direction == "input" and name not in simulator.clocks:
            put(name, 0)
    chip = "scl" in simulator.netlist.ports
    for line in ("scl", "sda") if chip else ():
        put(line, 1)
    put("rst", 1)
    for _ in range(3):
        simulator.step()
    put("rst", 0)
    simulator.settle()
    if chip:
        _write_into_chip(simulator, weights)
        return
    if "write_enable" not in simulator.netlist.ports:
        return
    stages = simulator.netlist.cell_stage[simulator.storage_cells]
    # registers between layers hold zeros meanwhile: only what the weights need is evaluated
    simulator.restrict([i for i in range(len(stages)) if not simulator.netlist.stages[stages[i]].startswith("delay_")])
    put("write_enable", 1)
    for address, data in weights.writes():
        put("write_address", address)
        put("write_data", data)
        simulator.step()
    simulator.restrict(None)
    put("write_enable", 0)
    simulator.settle()


def _write_into_chip(simulator: GateSimulator, weights: NetworkWeights) -> None:
    """Every byte into the bank that the bus writes; a shadow bank is then swapped in."""
    bank = "shadow" if banks_of(simulator.netlist, "shadow") else "registers"
    write = write_into_banks(simulator, banks_of(simulator.netlist, bank))
    evaluate_only(simulator, bank)
    for address, data in weights.writes():
        write(address, same_bits(data, 8, simulator.words))
    if bank == "shadow":
        swap_all(simulator)
    simulator.restrict(None)
    free_ports(simulator)
    simulator.settle()


def simulate(mapped: Mapped, design: NetworkDesign, options: PowerOptions, stage: Callable[..., Any]) -> Run:
    """Random samples on the gates and in the golden model.

    Weights are those folded in, or of a file (`PowerOptions.weights`), or random.

    Raises
    ------
    ValueError
        A code of the netlist differs.
    """
    spec, clocks = design.spec, options.crossings
    words = -(-options.streams // 64)
    lanes = 64 * words
    rng = np.random.default_rng(options.seed)
    weights, origin = _weights(design, options.weights, rng)
    codes = rng.integers(spec.input.min_code, spec.input.max_code + 1, (clocks, lanes, spec.tensors[INPUT].size))
    seen: dict[str, IntArray] = {
        name: np.zeros((clocks, lanes, spec.tensors[name].size), np.int64) for name in spec.outputs
    }

    step = design.factor

    def drive(sim: GateSimulator, clock: int) -> None:
        sim.set_port("x", from_lanes(_bits(codes[clock // step], spec.input)))
        if step > 1:
            sim.set_port("start", from_lanes(np.full((1, lanes), clock % step == 0)))

    def watch(sim: GateSimulator, clock: int) -> None:
        clock, slot = divmod(clock - design.latency, step)
        if clock < 0 or slot:
            return
        for name in spec.outputs:
            form = spec.tensors[name].form
            bits = to_lanes(sim.values[sim.netlist.ports[output_port(spec, name)].nets])[:, :lanes]
            fields = bits.reshape(-1, form.width, lanes).astype(np.int64)
            scale = 1 << np.arange(form.width, dtype=np.int64)
            scale[-1] = -scale[-1] if form.signed else scale[-1]
            seen[name][clock] = (fields * scale[None, :, None]).sum(1).T

    with stage(f"gate-level simulation: {mapped.netlist.cells:,} cells, {lanes} streams"):
        simulator = GateSimulator(mapped.netlist, mapped.library, words=words, clock=("clk",))
        load_weights(simulator, weights)
        warm_up = -(-(design.latency + 1) // step) * step
        activity = record(
            simulator, drive, clocks=clocks * step - warm_up, warm_up=warm_up, lanes=lanes, period_ns=design.period_ns,
            source=f"random samples, every code equally likely; weights: {origin}", watch=watch,
        )  # fmt: skip
    compared = _compare(spec, weights, codes, seen, -(-design.latency // step))
    result = {"codes_compared": compared, "weights": origin}
    return Run(
        simulator=simulator, activity=activity, result=result, compared=compared, clocks_per_inference=step
    )  # fmt: skip


def _weights(design: NetworkDesign, file: Path | None, rng: np.random.Generator) -> tuple[NetworkWeights, str]:
    """Weights that run, and where they are from."""
    if (frozen := design.weights()) is not None:
        return frozen, "folded in"
    if file is not None:
        return NetworkWeights.load(file, design.spec), file.name
    return NetworkWeights.random(design.spec, rng), "random, every code equally likely"


def _compare(spec: NetworkSpec, weights: NetworkWeights, codes: IntArray, seen: dict[str, IntArray], late: int) -> int:
    """Codes compared, but for the last samples, which are still inside; a difference is an error."""
    count, lanes, size = codes.shape
    count -= late
    expected = Network(weights).codes(codes[:count].reshape(-1, size)).reshape(count, lanes, -1)
    found = np.concatenate([seen[name][:count] for name in spec.outputs], axis=2)
    if not np.array_equal(found, expected):
        clock, lane, place = (int(i) for i in np.argwhere(found != expected)[0])
        raise ValueError(
            f"sample {clock} of stream {lane}, output {place}: the netlist gives code {found[clock, lane, place]}, "
            f"the golden model {expected[clock, lane, place]}"
        )
    return int(found.size)
