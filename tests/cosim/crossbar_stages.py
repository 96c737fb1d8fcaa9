"""Every stage of a crossbar chip on its own: stimulus, golden function, and the wrapper that holds all stages."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge, Timer

from flows.tools.verilog import Port, read_ports
from flows.verification.crossbar_stimulus import random_readout
from hw.lsm_crossbar.crossbar import STAGES
from sim.lsm_crossbar.macro import Macro
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.neuron import fire
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.row_driver import active_rows, batches
from sim.lsm_crossbar.spec import CrossbarSpec
from tests.cosim.agents import Scoreboard, to_int
from tests.cosim.crossbar_coverage import stage_coverage

WRAPPER = "crossbar_stages"


def wrap_stages(verilog: str, name: str) -> str:
    """The chip's Verilog with a module `WRAPPER` whose ports are those of all its stages, as ``stage_port``.

    The stages are the very modules that the chip instantiates; clock and reset are common.
    """
    declarations, instances = ["  input clk", "  input rst"], []
    for stage in STAGES:
        ports = read_ports(verilog, f"{name}_{stage}")
        for port in ports:
            if port.name not in ("clk", "rst"):
                side = "output" if port.output else "input"
                declarations.append(f"  {side} [{port.width - 1}:0] {stage}_{port.name}")
        pins = ", ".join(f".{p.name}({p.name if p.name in ('clk', 'rst') else f'{stage}_{p.name}'})" for p in ports)
        instances.append(f"  {name}_{stage} u_{stage} ({pins});\n")
    head = f"module {WRAPPER} (\n" + ",\n".join(declarations) + "\n);\n"
    return verilog + head + "".join(instances) + "endmodule\n"


def wrapper_ports(verilog: str, name: str) -> list[Port]:
    """Ports of the wrapper of `wrap_stages`."""
    ports = [Port(name="clk", width=1, output=False), Port(name="rst", width=1, output=False)]
    for stage in STAGES:
        for port in read_ports(verilog, f"{name}_{stage}"):
            if port.name not in ("clk", "rst"):
                ports.append(Port(name=f"{stage}_{port.name}", width=port.width, output=port.output))
    return ports


class StageBench:
    """One stage behind its ports, clock by clock.

    Parameters
    ----------
    dut : SimHandleBase
        The wrapper.
    stage : str
    spec : CrossbarSpec
    conductances : Conductances
        What the macro holds.
    inputs : sequence of str
        Input ports of the stage.
    """

    def __init__(
        self, dut: SimHandleBase, stage: str, spec: CrossbarSpec, conductances: Conductances, inputs: Sequence[str]
    ) -> None:
        self.dut: Any = dut
        self.inputs = tuple(inputs)
        self.stage, self.spec, self.conductances = stage, spec, conductances
        self.scoreboard = Scoreboard()
        self.coverage = stage_coverage(stage, spec)
        self.clocks = 0

    async def start(self, **inputs: int) -> None:
        """Clock of 10 ns; reset, all inputs of the stage 0 but those given."""
        cocotb.start_soon(Clock(self.dut.clk, 10, unit="ns").start())
        for name in self.inputs:
            getattr(self.dut, f"{self.stage}_{name}").value = inputs.get(name, 0)
        self.dut.rst.value = 0
        await Timer(1, "ns")
        self.dut.rst.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0

    async def clock(self, **inputs: int) -> None:
        """Apply inputs after a falling edge and let them settle; outputs then are those of this clock."""
        await FallingEdge(self.dut.clk)
        for name, value in inputs.items():
            getattr(self.dut, f"{self.stage}_{name}").value = int(value)
        await Timer(1, "ns")
        self.clocks += 1

    def get(self, name: str) -> int:
        """An output, unsigned."""
        return int(getattr(self.dut, f"{self.stage}_{name}").value)

    def elements(self, name: str, width: int, count: int, *, signed: bool = False) -> np.ndarray:
        """Elements of an output, element 0 in the lowest bits."""
        value = self.get(name)
        found = np.array([value >> (width * i) & ((1 << width) - 1) for i in range(count)], np.int64)
        return found - ((found >> (width - 1)) << width) if signed else found


async def _input(bench: StageBench, rng: np.random.Generator, rounds: int) -> None:
    spec, end = bench.spec, 1 << bench.spec.row_bits
    await bench.start()
    for number in range(rounds):
        rows = rng.integers(0, spec.inputs, int(rng.integers(0, 2 * spec.inputs)))
        if number < 2:
            rows = np.arange(number * spec.inputs)
        wrong = rng.random() < 0.3 and spec.inputs < end
        words = [*rows.tolist(), *([int(rng.integers(spec.inputs, end))] if wrong else [])]
        for word in rng.permutation(words).astype(int):
            while rng.random() < 0.2:
                # without `valid` nothing counts
                await bench.clock(i_events__payload=int(rng.integers(2 * end)), i_events__valid=0, take=0, forget=0)
            await bench.clock(i_events__payload=int(word), i_events__valid=1, take=rng.integers(2), forget=0)
            assert bench.get("i_events__ready") == 1
        await bench.clock(i_events__payload=end, i_events__valid=1, take=0)
        collected = tuple(int(row in set(rows.tolist())) for row in range(spec.inputs))
        bench.scoreboard.expect("rows", (1, int(wrong), *collected))
        for _ in range(int(rng.integers(1, 4))):
            # a closed step takes nothing in
            await bench.clock(i_events__payload=int(rng.integers(spec.inputs)), i_events__valid=1, take=0)
            assert bench.get("i_events__ready") == 0
        bench.coverage.sample(rows.tolist(), wrong)
        seen = bench.elements("rows", 1, spec.inputs)
        bench.scoreboard.observe((bench.get("full"), bench.get("dropped"), *seen.tolist()))
        await bench.clock(i_events__valid=0, take=1, forget=1)
        await bench.clock(take=0, forget=0)
        bench.scoreboard.expect("after take", (0, 0, 0))
        bench.scoreboard.observe((bench.get("full"), bench.get("dropped"), bench.get("rows")))


def _drawn(rng: np.random.Generator, count: int, density: float) -> np.ndarray:
    """So many bits; at a density between 0 and 1 neither none nor all, where there are two."""
    bits = rng.random(count) < density
    if 0 < density < 1 and count > 1:
        bits[rng.permutation(count)[:2]] = False, True
    return bits


async def _row_driver(bench: StageBench, rng: np.random.Generator, rounds: int) -> None:
    spec = bench.spec
    await bench.start()
    densities = (0.0, 0.05, 0.5, 1.0)
    for number in range(rounds):
        inputs = _drawn(rng, spec.inputs, densities[number % 4])
        spikes = _drawn(rng, spec.neurons, densities[number // 4 % 4])
        rows = active_rows(inputs, spikes, spec)
        parts = batches(rows, spec)
        for part in parts:
            bench.scoreboard.expect(f"step {number}", (int(part is parts[-1]), 0, *part.tolist()))
        if not parts:
            bench.scoreboard.expect(f"step {number}", (1, 1))
        await bench.clock(inputs=to_int(inputs, 1), spikes=to_int(spikes, 1), start=1, take=0)
        first = bench.clocks
        last, waits = False, set()
        while not last:
            await bench.clock(start=0, take=0, inputs=int(rng.integers(1 << min(30, spec.inputs))))
            row: list[int] = []
            while not bench.get("ready"):
                if bench.get("row_set"):
                    assert bench.get("row_clear") == (not row), "row_clear comes with the first row of a batch"
                    row.append(bench.get("row"))
                await bench.clock()
            # one row per clock from the clock after `start`, or `settle_clocks` after `take`, on
            assert bench.clocks - first == max(len(row), 0) + 1
            wait = int(rng.integers(0, 3))
            waits.add(wait)
            for _ in range(wait):
                await bench.clock()
                assert bench.get("ready"), "a batch waits until it is taken"
                assert not bench.get("row_set")
            last = bool(bench.get("last"))
            bench.scoreboard.observe((int(last), bench.get("empty"), *row))
            await bench.clock(take=1)
            first = bench.clocks + spec.settle_clocks - 1
        bench.coverage.sample(inputs, spikes, parts, waits)
        await bench.clock(take=0)
        assert not bench.get("ready")
        assert not bench.get("row_set")


async def _macro(bench: StageBench, rng: np.random.Generator, rounds: int) -> None:
    spec = bench.spec
    noisy = spec.noise_scale is not None
    seed = int(rng.integers(1 << 31))
    model = Macro(spec, bench.conductances, seed if noisy else None)
    await bench.start()
    if noisy:
        await bench.clock(noise_seed=seed, noise_restart=1, noise_enable=1)
    for sample in range(3):
        model.start(sample)
        if noisy:
            await bench.clock(noise_restart=0, noise_start=1)
            await bench.clock(noise_start=0)
        for number in range(rounds):
            rows = rng.permutation(spec.rows)[: rng.integers(1, min(spec.rows_per_read, spec.used_rows) + 1)]
            bench.coverage.sample(rows.tolist(), number)
            codes = model.read(np.sort(rows)).codes.reshape(spec.lanes, spec.columns_per_adc, 2)
            for place, row in enumerate(rows.tolist()):
                await bench.clock(row=row, row_set=1, row_clear=place == 0, sample=0)
            await bench.clock(row=int(rng.integers(spec.rows)), row_set=0, row_clear=0, sample=1)
            for _ in range(spec.settle_clocks - 1):
                await bench.clock(sample=0)
            for select in range(spec.columns_per_adc):
                bench.scoreboard.expect(f"select {select}", tuple(codes[:, select].ravel().tolist()))
                # the word lines of the next read go on and off meanwhile
                await bench.clock(
                    sample=0, convert=1, select=select, row_set=1, row=int(rng.integers(spec.rows)), row_clear=1
                )
                for _ in range(spec.convert_clocks - 1):
                    await bench.clock(convert=0, row_set=0, row_clear=0)
                    assert not bench.get("codes_valid")
                await bench.clock(convert=0, row_set=0, row_clear=0)
                assert bench.get("codes_valid")
                bench.scoreboard.observe(tuple(bench.elements("codes", spec.adc_bits, spec.adcs).tolist()))


async def _adc(bench: StageBench, rng: np.random.Generator, rounds: int) -> None:
    spec = bench.spec
    lanes, top = spec.active_lanes, 1 << spec.adc_bits
    await bench.start()
    fresh = True
    for number in range(rounds):
        last, empty = bool(rng.integers(2)), fresh and (number == 0 or rng.random() < 0.2)
        last = last or empty
        await bench.clock(ready=1, last=last, empty=empty, codes_valid=0)
        assert bench.get("take") == 1
        assert bench.get("sample") == (not empty)
        due: dict[int, np.ndarray] = {}
        converted = observed = 0
        taken = bench.clocks
        while observed < spec.columns_per_adc:
            arrives = due.pop(bench.clocks + 1, None)
            codes = rng.integers(0, top, 2 * lanes) if arrives is None else arrives
            await bench.clock(ready=0, codes=to_int(codes, spec.adc_bits), codes_valid=arrives is not None)
            assert not bench.get("take")
            if bench.get("convert"):
                assert not empty
                assert bench.get("select") == converted
                assert bench.clocks == taken + spec.settle_clocks + converted * spec.convert_clocks
                new = rng.choice([0, top - 1], 2 * lanes) if rng.random() < 0.3 else rng.integers(0, top, 2 * lanes)
                due[bench.clocks + spec.convert_clocks] = new
                bench.coverage.sample(fresh, last, empty, new)
                wanted = new[0::2] - new[1::2]
                bench.scoreboard.expect("differences", (converted, int(fresh), int(last), *wanted.tolist()))
                converted += 1
            if bench.get("valid"):
                if empty:
                    bench.coverage.sample(fresh, last, empty, np.zeros(0, np.int64))
                    bench.scoreboard.expect("empty batch", (observed, int(fresh), 1, *[0] * lanes))
                got = bench.elements("differences", spec.differential_width, lanes, signed=True)
                flags = (bench.get("index"), bench.get("first_batch"), bench.get("fire"))
                bench.scoreboard.observe((*flags, *got.tolist()))
                observed += 1
        fresh = last


async def _neuron(bench: StageBench, rng: np.random.Generator, rounds: int) -> None:
    spec = bench.spec
    lanes, each, most = spec.active_lanes, spec.columns_per_adc, spec.adc_max
    # the reads of one step can exceed it
    threshold = min(2 * most, most * (spec.batches_per_step - 1) or most // 2)
    await bench.start(threshold=threshold)
    membrane, refractory = np.zeros(spec.neurons, np.int64), np.zeros(spec.neurons, np.int64)
    for step in range(rounds):
        # all fire, none that fired may fire again, all are pushed far below 0; then at random
        extreme = {0: most, 1: most, 2: -most}.get(step % 8)
        first = step % 8 == 0 or (extreme is None and rng.random() < 0.15)
        if first:
            membrane, refractory = np.zeros_like(membrane), np.zeros_like(refractory)
        bias = int(rng.integers(-most, most + 1))
        count = int(rng.integers(1, spec.batches_per_step + 1)) if extreme is None else spec.batches_per_step
        if step % 8 == 3:
            count = 1
        for batch in range(count):
            noise = rng.integers(-most, most + 1, lanes * each)
            given = np.clip(bias + noise, -most, most) if rng.random() < 0.7 else np.full(lanes * each, bias)
            final = batch == count - 1
            if extreme is not None:
                given = np.full(lanes * each, extreme)
            elif final and rng.random() < 0.5:
                # at the threshold, or one above, who can get there
                missing = threshold + rng.integers(0, 2, spec.neurons) - membrane
                given[: spec.neurons] = np.where(np.abs(missing) <= most, missing, given[: spec.neurons])
            membrane = membrane + given[: spec.neurons]
            if final:
                fired = fire(membrane, refractory, threshold, spec)
            for select in range(each):
                pauses = 1 if batch == select == 0 else int(rng.geometric(0.8)) - 1
                if not pauses:
                    # in the clock of the neuron before
                    bench.dut.neuron_fetch.value = 1
                    bench.dut.neuron_fetch_index.value = select
                for pause in range(pauses):
                    # without `valid` nothing counts, and the last fetch
                    last = pause == pauses - 1
                    await bench.clock(
                        valid=0, fire=rng.integers(2), first_batch=rng.integers(2), index=select,
                        fetch=last or rng.integers(2), fetch_index=select if last else rng.integers(each),
                    )  # fmt: skip
                    assert not bench.get("spikes")
                chosen = given.reshape(lanes, each)[:, select]
                await bench.clock(
                    valid=1, index=select, first_step=first, first_batch=batch == 0, fire=final, fetch=0,
                    differences=to_int(chosen, spec.differential_width),
                )  # fmt: skip
                spikes = np.zeros(lanes * each, np.int64)
                if final:
                    spikes[: spec.neurons] = fired.spikes
                bench.scoreboard.expect(f"step {step}", tuple(spikes.reshape(lanes, each)[:, select].tolist()))
                bench.scoreboard.observe(tuple(bench.elements("spikes", 1, lanes).tolist()))
        bench.coverage.sample(first, count, membrane, refractory, threshold, fired.spikes)
        membrane, refractory = fired.membrane, fired.refractory


async def _router(bench: StageBench, rng: np.random.Generator, rounds: int) -> None:
    spec = bench.spec
    lanes, each = spec.active_lanes, spec.columns_per_adc
    await bench.start()
    for step in range(rounds):
        spikes = np.zeros((lanes, each), np.int64)
        spikes.ravel()[: spec.neurons] = _drawn(rng, spec.neurons, (0.0, 0.05, 0.5, 1.0)[step % 4])
        pauses = 0
        for select in range(each):
            while rng.random() < 0.3:
                pauses += 1
                await bench.clock(valid=0, index=int(rng.integers(each)), lanes=int(rng.integers(1 << lanes)))
                assert not bench.get("done")
            await bench.clock(valid=1, index=select, lanes=to_int(spikes[:, select], 1))
        await bench.clock(valid=0)
        bench.scoreboard.expect(f"step {step}", (1, *spikes.ravel()[: spec.neurons].tolist()))
        bench.scoreboard.observe((bench.get("done"), *bench.elements("spikes", 1, spec.neurons).tolist()))
        bench.coverage.sample(spikes, pauses)


async def _counter(bench: StageBench, rng: np.random.Generator, rounds: int) -> None:
    spec = bench.spec
    lanes, each = spec.active_lanes, spec.columns_per_adc
    await bench.start()
    for window in range(max(2, rounds // 4)):
        counts = np.zeros(lanes * each, np.int64)
        density = {0: 0.0, 1: 1.0}.get(window, float(rng.choice([0.3, 0.9])))
        refractory = np.zeros(lanes * each, np.int64)
        for step in range(spec.window_length):
            spikes = (rng.random(lanes * each) < density) & (refractory == 0)
            refractory = np.where(spikes, spec.refractory_steps, np.maximum(refractory - 1, 0))
            counts += spikes
            for select in range(each):
                column = spikes.reshape(lanes, each)[:, select]
                await bench.clock(valid=1, fresh=step == 0, index=select, lanes=to_int(column, 1), read=0)
                if rng.random() < 0.2:
                    await bench.clock(valid=0, index=int(rng.integers(each)), lanes=(1 << lanes) - 1)
        bench.coverage.sample(counts[: spec.neurons])
        for neuron in rng.permutation(spec.neurons):
            await bench.clock(valid=0, read=1, read_neuron=int(neuron), index=0)
            bench.scoreboard.expect(f"window {window}", (int(counts[neuron]),))
            bench.scoreboard.observe((bench.get("count"),))


async def _readout(bench: StageBench, rng: np.random.Generator, rounds: int) -> None:
    spec = bench.spec
    await bench.start()
    kinds = ("uniform", "equal", "lowest", "highest")
    for number in range(max(4 * spec.outputs, rounds // 8)):
        readout = random_readout(spec, rng, kinds[number % 4])
        counts = rng.integers(0, spec.count_max + 1, (1, spec.windows, spec.neurons))
        if number % 4 > 1:
            counts[:] = spec.count_max
        if number % 4 == 0:
            # every output in turn has the best score
            scores, wanted = readout.scores(counts)[0], number // 4 % spec.outputs
            bias = readout.bias.copy()
            bias[wanted] = min(bias[wanted] + scores.max() - scores[wanted] + 1, spec.bias_max)
            readout = Readout(spec, readout.weights, bias)
        flat, weights = counts.ravel(), readout.weights.reshape(spec.outputs, spec.features)
        scores, winner = readout.scores(counts)[0], int(readout.classify(counts)[0])
        bench.coverage.sample(kinds[number % 4], counts, scores, winner)
        waiting = [int(score) for score in scores]
        for window in range(spec.windows):
            part = flat[window * spec.neurons : (window + 1) * spec.neurons]
            for value in part:
                bench.scoreboard.expect("count", (int(value),))
            first, last = window == 0, window == spec.windows - 1
            await bench.clock(start=1, first=first, last=last, bias=to_int(readout.bias, spec.bias_width))
            started, word = bench.clocks, 0
            # with `start` alone the bias counts
            garbage = int(rng.integers(1 << 30)) if spec.bias_width * spec.outputs > 30 else 0
            while not bench.get("done"):
                await bench.clock(start=0, first=0, bias=garbage, weights=word)
                if bench.get("read"):
                    address, neuron = bench.get("read_address"), bench.get("read_neuron")
                    assert address == window * spec.neurons + neuron
                    bench.dut.readout_read_count.value = int(part[neuron])
                    await Timer(1, "ns")
                    word = to_int(weights[:, address], spec.readout_weight_bits)
                if bench.get("count_valid"):
                    bench.scoreboard.observe((bench.get("count"),))
                if bench.get("score_valid"):
                    bench.scoreboard.expect("score", (waiting.pop(0),))
                    bench.scoreboard.observe((int(bench.elements("score", spec.score_width, 1, signed=True)[0]),))
            assert bench.get("class_valid") == last
            assert bench.clocks - started == spec.neurons + 2 + (spec.outputs if last else 0)
        assert not waiting
        bench.scoreboard.expect("class", (winner,))
        bench.scoreboard.observe((bench.get("class_index"),))


RUNS: Mapping[str, Callable[[StageBench, np.random.Generator, int], Awaitable[None]]] = {
    "input": _input, "row_driver": _row_driver, "macro": _macro, "adc": _adc, "neuron": _neuron, "router": _router,
    "counter": _counter, "readout": _readout,
}  # fmt: skip
"""Stimulus and checking of each stage; the number says how many rounds."""
