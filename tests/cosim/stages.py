"""Driver, monitor and golden models of the stage benches, and the wrapper that holds all stages of a spec."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase
from cocotb.triggers import Event, Timer

from flows.tools.verilog import Port, read_ports
from flows.verification.encoder_stimulus import random_settings, random_weights
from hw.hgcal_encoder.encoder import STAGES
from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.calibrate import calibrate
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.frame import frame
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.multiplex import multiplex
from sim.hgcal_encoder.normalise import normalise, sum_code
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ERX_WORDS, ETX_WORDS, EncoderSpec
from sim.hgcal_encoder.words import unpack
from tests.cosim.agents import Row, Scoreboard, to_int

Inputs = dict[str, np.ndarray]
Outputs = Mapping[str, np.ndarray]
"""By port: elements, element 0 in the lowest bits."""

WRAPPER = "stages"


def wrap_stages(verilog: str, name: str) -> str:
    """The encoder's Verilog with a module `WRAPPER` whose ports are those of all its stages, as ``stage_port``.

    The stages are the very modules that the encoder instantiates, and one build serves the benches of all of them.
    """
    declarations, instances = [], []
    for stage in STAGES:
        ports = read_ports(verilog, f"{name}_{stage}")
        for port in ports:
            side = "output" if port.output else "input"
            declarations.append(f"  {side} [{port.width - 1}:0] {stage}_{port.name}")
        connections = ", ".join(f".{port.name}({stage}_{port.name})" for port in ports)
        instances.append(f"  {name}_{stage} u_{stage} ({connections});\n")
    head = f"module {WRAPPER} (\n" + ",\n".join(declarations) + "\n);\n"
    return verilog + head + "".join(instances) + "endmodule\n"


def wrapper_ports(verilog: str, name: str) -> list[Port]:
    """Ports of the wrapper of `wrap_stages`."""
    return [
        Port(name=f"{stage}_{port.name}", width=port.width, output=port.output)
        for stage in STAGES
        for port in read_ports(verilog, f"{name}_{stage}")
    ]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a bench has to know about a stage.

    Attributes
    ----------
    widths : mapping of str to int
        Bits of an element of each port, inputs and outputs.
    outputs : mapping of str to int
        Elements of each output.
    stimulus : callable
        Generator and number of rows to inputs, row by row.
    model : callable
        Golden model: inputs of one row to what `seen` makes of the outputs.
    seen : callable
        Outputs of the hardware to what is compared.
    """

    widths: Mapping[str, int]
    outputs: Mapping[str, int]
    stimulus: Callable[[np.random.Generator, int], Iterator[Inputs]]
    model: Callable[[Inputs], Row]
    seen: Callable[[Outputs], Row]


def _row(*parts: Any) -> Row:
    return tuple(int(value) for part in parts for value in np.ravel(part))


def _codes(rng: np.random.Generator, form: FixedPoint, count: int) -> np.ndarray:
    """Codes of a format: dense or mostly zero, with extremes."""
    codes = rng.integers(form.min_code, form.max_code + 1, count)
    codes = np.where(rng.random(count) < 0.2, rng.choice([form.min_code, form.max_code], count), codes)
    return np.where(rng.random(count) < rng.choice([0.0, 0.3, 0.95]), 0, codes)


_KINDS = ("uniform", "small", "sparse", "lowest", "highest", "alternating", "zero")


def _words(spec: EncoderSpec) -> Stage:
    def stimulus(rng: np.random.Generator, rows: int) -> Iterator[Inputs]:
        for _ in range(rows):
            words = rng.integers(0, 1 << 32, ERX_WORDS)
            # every header, and the orbit header in any word: only that of word 0 counts
            words[rng.integers(ERX_WORDS)] |= 9 << 28
            words[0] = (words[0] & 0x0FFF_FFFF) | int(rng.choice([*range(16), 9, 9, 9])) << 28
            yield {"words": words}

    def model(inputs: Inputs) -> Row:
        headers, codes = unpack(inputs["words"][None], spec.word_order)
        return _row(headers[0, 0] == 9, codes[0])

    return Stage(
        widths={"words": 32, "orbit_start": 1, "codes": 7}, outputs={"orbit_start": 1, "codes": CELLS},
        stimulus=stimulus, model=model, seen=lambda out: _row(out["orbit_start"], out["codes"]),
    )  # fmt: skip


def _multiplex(_spec: EncoderSpec) -> Stage:
    def stimulus(rng: np.random.Generator, rows: int) -> Iterator[Inputs]:
        for _ in range(rows):
            select = rng.permutation(CELLS) if rng.random() < 0.5 else rng.integers(0, 64, CELLS)
            yield {"codes": rng.integers(0, 128, CELLS), "select": select}

    def model(inputs: Inputs) -> Row:
        # selections 48 to 63, which the settings refuse, name no input: code 0
        padded = np.concatenate([inputs["codes"], np.zeros(64 - CELLS, np.int64)])
        return _row(multiplex(padded[None], inputs["select"]))

    return Stage(
        widths={"codes": 7, "select": 6, "cells": 7}, outputs={"cells": CELLS},
        stimulus=stimulus, model=model, seen=lambda out: _row(out["cells"]),
    )  # fmt: skip


def _decode(_spec: EncoderSpec) -> Stage:
    def stimulus(rng: np.random.Generator, rows: int) -> Iterator[Inputs]:
        for number in range(rows):
            # all codes at every place within the first rows, then at random
            codes = (np.arange(CELLS) + number // 2) % 128 if number < 256 else rng.integers(0, 128, CELLS)
            yield {"codes": codes, "high_density": np.array([number % 2])}

    def seen(out: Outputs) -> Row:
        # mantissa and shift are a form of the charge; only the charge is specified
        return _row((2 * out["mantissas"] + 1) << (16 - out["shifts"]))

    return Stage(
        widths={"codes": 7, "high_density": 1, "mantissas": 4, "shifts": 5},
        outputs={"mantissas": CELLS, "shifts": CELLS}, stimulus=stimulus,
        model=lambda inputs: _row(decode(inputs["codes"], bool(inputs["high_density"][0]))), seen=seen,
    )  # fmt: skip


def _calibrate(_spec: EncoderSpec) -> Stage:
    def stimulus(rng: np.random.Generator, rows: int) -> Iterator[Inputs]:
        for _ in range(rows):
            factors = rng.integers(0, 4096, CELLS) if rng.random() < 0.5 else rng.choice([0, 1, 2048, 4095], CELLS)
            yield {
                "mantissas": rng.integers(0, 16, CELLS), "shifts": rng.integers(0, 17, CELLS), "factors": factors,
            }  # fmt: skip

    def model(inputs: Inputs) -> Row:
        charges = (2 * inputs["mantissas"] + 1) << (16 - inputs["shifts"])
        return _row(calibrate(charges[None], inputs["factors"]))

    return Stage(
        widths={"mantissas": 4, "shifts": 5, "factors": 12, "charges": CHARGE_WIDTH}, outputs={"charges": CELLS},
        stimulus=stimulus, model=model, seen=lambda out: _row(out["charges"]),
    )  # fmt: skip


def _normalise(spec: EncoderSpec) -> Stage:
    def stimulus(rng: np.random.Generator, rows: int) -> Iterator[Inputs]:
        largest = (1 << CHARGE_WIDTH) - 1
        yield {"charges": np.zeros(CELLS, np.int64)}
        yield {"charges": np.full(CELLS, largest)}
        for number in range(rows - 2):
            charges = rng.integers(0, 1 << CHARGE_WIDTH, CELLS) >> rng.integers(0, CHARGE_WIDTH + 1)
            charges[rng.random(CELLS) < rng.choice([0.0, 0.5, 0.95])] = 0
            if number % 2:
                # the module sum lies within 2 of a power of two, where the leading one moves
                left = max((1 << int(rng.integers(28))) + int(rng.integers(-2, 3)), 0)
                for cell in rng.permutation(CELLS):
                    charges[cell] = min(left, largest if rng.random() < 0.7 else int(rng.integers(largest + 1)))
                    left -= int(charges[cell])
            yield {"charges": charges}

    def model(inputs: Inputs) -> Row:
        sums, pixels = normalise(inputs["charges"][None], spec.pixel)
        return _row(sums, sum_code(sums), pixels)

    return Stage(
        widths={"charges": CHARGE_WIDTH, "module_sum": 28, "sum_code": 9, "pixels": spec.pixel.width},
        outputs={"module_sum": 1, "sum_code": 1, "pixels": CELLS}, stimulus=stimulus, model=model,
        seen=lambda out: _row(out["module_sum"], out["sum_code"], out["pixels"]),
    )  # fmt: skip


def _convolution(spec: EncoderSpec) -> Stage:
    def stimulus(rng: np.random.Generator, rows: int) -> Iterator[Inputs]:
        for number in range(rows):
            weights = random_weights(spec, rng, _KINDS[number % len(_KINDS)])
            pixels = _codes(rng, spec.pixel, CELLS)
            yield {"pixels": pixels, "kernel": weights.kernel.ravel(), "bias": weights.kernel_bias}

    def model(inputs: Inputs) -> Row:
        kernel = inputs["kernel"].reshape(*spec.kernel, spec.grid[2], spec.filters)
        return _row(convolve(to_grid(inputs["pixels"][None], spec), kernel, inputs["bias"], spec))

    weight = spec.weight.width
    return Stage(
        widths={"pixels": spec.pixel.width, "kernel": weight, "bias": weight, "activations": spec.activation.width},
        outputs={"activations": spec.activations}, stimulus=stimulus, model=model,
        seen=lambda out: _row(out["activations"]),
    )  # fmt: skip


def _dense(spec: EncoderSpec) -> Stage:
    def stimulus(rng: np.random.Generator, rows: int) -> Iterator[Inputs]:
        for number in range(rows):
            weights = random_weights(spec, rng, _KINDS[number % len(_KINDS)])
            activations = _codes(rng, spec.activation, spec.activations)
            # the port has the order of the weight image: all weights of latent 0 first
            yield {"activations": activations, "weights": weights.dense.T.ravel(), "bias": weights.dense_bias}

    def model(inputs: Inputs) -> Row:
        weights = inputs["weights"].reshape(spec.latents, spec.activations).T
        return _row(dense(inputs["activations"][None], weights, inputs["bias"], spec))

    weight = spec.weight.width
    return Stage(
        widths={"activations": spec.activation.width, "weights": weight, "bias": weight, "latents": spec.latent.width},
        outputs={"latents": spec.latents}, stimulus=stimulus, model=model, seen=lambda out: _row(out["latents"]),
    )  # fmt: skip


def _frame(spec: EncoderSpec) -> Stage:
    def stimulus(rng: np.random.Generator, rows: int) -> Iterator[Inputs]:
        for number in range(rows):
            mask = random_settings(spec, rng).keep_mask
            mask = {0: (1 << spec.keep_bits) - 1, 1: 0}.get(number % 8, mask)
            yield {
                "counter": rng.choice([31, *range(16)], 1), "sum_code": rng.integers(0, 512, 1),
                "latents": _codes(rng, spec.latent, spec.latents),
                "keep_mask": np.array([mask >> bit & 1 for bit in range(spec.keep_bits)]),
                "etx_count": rng.integers(0, 16, 1),
            }  # fmt: skip

    def model(inputs: Inputs) -> Row:
        # crossing 0 has number 31; 16 + n is a crossing of number n. 0, 14 and 15 name no number of links: all
        bx = np.where(inputs["counter"] == 31, 0, 16 + inputs["counter"])
        links = int(inputs["etx_count"][0])
        links = links if 1 <= links <= ETX_WORDS else ETX_WORDS
        return _row(frame(bx, inputs["sum_code"], inputs["latents"][None], to_int(inputs["keep_mask"], 1), links, spec))

    return Stage(
        widths={
            "counter": 5, "sum_code": 9, "latents": spec.latent.width, "keep_mask": 1, "etx_count": 4, "frames": 32,
        },
        outputs={"frames": ETX_WORDS}, stimulus=stimulus, model=model, seen=lambda out: _row(out["frames"]),
    )  # fmt: skip


_STAGES = {
    "words": _words, "multiplex": _multiplex, "decode": _decode, "calibrate": _calibrate, "normalise": _normalise,
    "convolution": _convolution, "dense": _dense, "frame": _frame,
}  # fmt: skip


def stage_of(name: str, spec: EncoderSpec) -> Stage:
    """The stage `name` of a spec."""
    return _STAGES[name](spec)


class StageDriver:
    """Applies inputs of one stage, lets them settle, and tells whoever listens."""

    def __init__(self, dut: SimHandleBase, name: str, widths: Mapping[str, int]) -> None:
        self.dut: Any = dut
        self.name, self.widths = name, widths
        self.listeners: list[Callable[[Inputs], None]] = []
        self.settled = Event()

    async def apply(self, inputs: Inputs) -> None:
        """Drive one row and wait until the stage has settled."""
        for port, values in inputs.items():
            getattr(self.dut, f"{self.name}_{port}").value = to_int(values, self.widths[port])
        await Timer(1, "ns")
        for listener in self.listeners:
            listener(inputs)
        self.settled.set()
        await Timer(1, "ns")


class StageMonitor:
    """Samples the outputs of one stage when they have settled, and hands them on."""

    def __init__(self, dut: SimHandleBase, name: str, stage: Stage, settled: Event) -> None:
        self.dut: Any = dut
        self.name, self.stage, self.settled = name, stage, settled
        self.listeners: list[Callable[[Row], None]] = []

    async def run(self) -> None:
        """Run for ever."""
        while True:
            await self.settled.wait()
            self.settled.clear()
            outputs = {}
            for port, count in self.stage.outputs.items():
                width, value = self.stage.widths[port], int(getattr(self.dut, f"{self.name}_{port}").value)
                outputs[port] = np.array([value >> (width * i) & ((1 << width) - 1) for i in range(count)], np.int64)
            for listener in self.listeners:
                listener(self.stage.seen(outputs))


class StageBench:
    """One stage with driver, model, monitor and scoreboard."""

    def __init__(self, dut: SimHandleBase, name: str, spec: EncoderSpec) -> None:
        self.stage = stage_of(name, spec)
        self.scoreboard = Scoreboard()
        self.driver = StageDriver(dut, name, self.stage.widths)
        self.monitor = StageMonitor(dut, name, self.stage, self.driver.settled)
        self.driver.listeners.append(lambda inputs: self.scoreboard.expect(name, self.stage.model(inputs)))
        self.monitor.listeners.append(self.scoreboard.observe)

    async def run(self, rng: np.random.Generator, rows: int) -> None:
        """Apply `rows` rows, compare every one, close the books."""
        task = cocotb.start_soon(self.monitor.run())
        for inputs in self.stage.stimulus(rng, rows):
            await self.driver.apply(inputs)
        task.cancel()
        self.scoreboard.finish(rows)


__all__ = ["WRAPPER", "StageBench", "stage_of", "wrap_stages", "wrapper_ports"]
