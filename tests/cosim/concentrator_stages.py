"""Stages of a concentrator one by one: stimulus, golden function, and the wrapper that holds all stages.

Formats are written here a second time, as text of zeros and ones, from the tables of the data sheet.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import FallingEdge, Timer

from flows.tools.verilog import Port, read_ports, split_modules
from sim.hgcal_encoder.algorithms.best_choice import CELLS_SENT, BestChoice
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.float_code import CELL, SUM
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ETX_WORDS
from tests.cosim.agents import Row, Scoreboard, to_int
from tests.cosim.concentrator_coverage import stage_coverage

WRAPPER = "concentrator_stages"
STAGES = (
    "cell_codes", "threshold_sum", "best_choice", "super_trigger_cells", "formatter", "output_buffer", "etx_words",
)  # fmt: skip
Inputs = dict[str, Any]
"""By port: an integer, or elements of the width in `Stage.widths`."""


def _modules(verilog: str, name: str) -> dict[str, str]:
    """Module of each stage; numbers of its parameters stand behind its name."""
    names = list(split_modules(verilog))
    return {stage: next(m for m in names if re.fullmatch(rf"{name}_{stage}(_\d+)*", m)) for stage in STAGES}


def wrap_stages(verilog: str, name: str) -> str:
    """The Verilog of a concentrator with a module `WRAPPER` whose ports are those of all its stages, as
    ``stage_port``; clock and reset are common."""
    declarations, instances = ["  input clk", "  input rst"], []
    for stage, module in _modules(verilog, name).items():
        ports = read_ports(verilog, module)
        for port in ports:
            if port.name not in ("clk", "rst"):
                side = "output" if port.output else "input"
                declarations.append(f"  {side} [{port.width - 1}:0] {stage}_{port.name}")
        pins = ", ".join(f".{p.name}({p.name if p.name in ('clk', 'rst') else f'{stage}_{p.name}'})" for p in ports)
        instances.append(f"  {module} u_{stage} ({pins});\n")
    head = f"module {WRAPPER} (\n" + ",\n".join(declarations) + "\n);\n"
    return verilog + head + "".join(instances) + "endmodule\n"


def wrapper_ports(verilog: str, name: str) -> list[Port]:
    """Ports of the wrapper of `wrap_stages`."""
    ports = [Port(name="clk", width=1, output=False), Port(name="rst", width=1, output=False)]
    for stage, module in _modules(verilog, name).items():
        ports += [
            Port(name=f"{stage}_{port.name}", width=port.width, output=port.output)
            for port in read_ports(verilog, module)
            if port.name not in ("clk", "rst")
        ]
    return ports


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a bench has to know about a stage.

    Attributes
    ----------
    widths : dict of str to int
        Bits of an element of each input that is an array.
    outputs : dict of str to (width, count)
    rows : callable
        Generator and number of rows to inputs with what must come out of them, by output; more than outputs is for
        the coverage.
    latency : int
        Clocks from a row to its outputs.
    """

    widths: dict[str, int]
    outputs: dict[str, tuple[int, int]]
    rows: Callable[[np.random.Generator, int], Iterator[tuple[Inputs, dict[str, Any]]]]
    latency: int = 0


def _charges(rng: np.random.Generator, number: int) -> np.ndarray:
    """Charges of all sizes, sparse and dense, equal ones among them, corners first."""
    largest = (1 << CHARGE_WIDTH) - 1
    if number < 2:
        return np.full(CELLS, largest * number)
    charges = rng.integers(0, 1 << CHARGE_WIDTH, CELLS) >> rng.integers(0, CHARGE_WIDTH + 1)
    charges[rng.random(CELLS) < rng.choice([0.0, 0.5, 0.95])] = 0
    if number % 3 == 0:
        charges = rng.choice([*charges[:3], largest, 1 << int(rng.integers(CHARGE_WIDTH))], CELLS)
    if number % 5 == 0:
        # around the powers of two, where codes move on
        charges = (1 << rng.integers(0, CHARGE_WIDTH, CELLS)) + rng.integers(-1, 2, CELLS)
    return np.minimum(charges, largest)


def _dropped(charges: np.ndarray, drop: int) -> np.ndarray:
    return np.minimum(charges >> (drop if drop <= 4 else 0), (1 << 18) - 1)


def _cell_codes() -> Stage:
    def rows(rng: np.random.Generator, count: int) -> Iterator[tuple[Inputs, dict[str, Any]]]:
        for number in range(count):
            charges, drop = _charges(rng, number), int(rng.integers(8))
            left = _dropped(charges, drop)
            yield {"charges": charges, "drop": drop}, {"dropped": left, "codes": CELL.encode(left)}

    return Stage(widths={"charges": CHARGE_WIDTH}, outputs={"dropped": (18, CELLS), "codes": (7, CELLS)}, rows=rows)


def _threshold_sum() -> Stage:
    def rows(rng: np.random.Generator, count: int) -> Iterator[tuple[Inputs, dict[str, Any]]]:
        for number in range(count):
            charges, use_sum = _charges(rng, number), int(rng.integers(2))
            threshold = np.where(rng.random(CELLS) < 0.3, charges + rng.integers(0, 2, CELLS), _charges(rng, 7))
            if number % 50 == 2:
                # just above every cell
                threshold = charges + 1
            threshold = np.minimum(threshold, (1 << CHARGE_WIDTH) - 1)
            above = charges >= threshold
            total = int(charges.sum())
            yield {"charges": charges, "threshold": threshold, "use_sum": use_sum}, {
                "above": [to_int(above, 1)], "total_code": [int(SUM.encode(total))],
                "sum_code": [int(SUM.encode(total if use_sum else int(charges[~above].sum())))],
            }  # fmt: skip

    return Stage(
        widths={"charges": CHARGE_WIDTH, "threshold": CHARGE_WIDTH},
        outputs={"above": (CELLS, 1), "sum_code": (8, 1), "total_code": (8, 1)}, rows=rows,
    )  # fmt: skip


def _best_choice() -> Stage:
    def rows(rng: np.random.Generator, count: int) -> Iterator[tuple[Inputs, dict[str, Any]]]:
        for number in range(count):
            # settings stay for some crossings: they are static
            if number % 8 == 0:
                links, use_sum = 1 + number // 8 % ETX_WORDS, int(rng.integers(2))
            dropped = _dropped(_charges(rng, number), 0)
            model = BestChoice(etx_count=links, drop=0, full_sum=bool(use_sum))
            sent = model.sent(dropped[None])[0]
            rest = dropped.sum() if use_sum else dropped[~sent].sum()
            yield {
                "dropped": dropped, "wanted": (1 << CELLS_SENT[links - 1]) - 1, "use_sum": use_sum, "enable": 1,
            }, {"chosen": [to_int(sent, 1)], "sum_code": [int(SUM.encode(int(rest)))]}  # fmt: skip

    return Stage(widths={"dropped": 18}, outputs={"chosen": (CELLS, 1), "sum_code": (8, 1)}, rows=rows, latency=1)


def _super_trigger_cells() -> Stage:
    def rows(rng: np.random.Generator, count: int) -> Iterator[tuple[Inputs, dict[str, Any]]]:
        for number in range(count):
            charges, drop = _charges(rng, number), int(rng.integers(8))
            kind, links = number % 8, 1 + number // 8 % ETX_WORDS
            bits = ""
            if kind <= SuperTriggerCellType.CTC4_5E4M:
                model = SuperTriggerCells(kind=SuperTriggerCellType(kind), etx_count=links, drop=drop)
                bits = "".join(f"{word:032b}" for word in model.frames(charges[None], [1])[0])[4 : model.bits]
            yield {"charges": charges, "drop": drop, "kind": kind, "links": links}, {
                "body": [int(bits.ljust(132, "0"), 2)], "some": [int(bool(bits))],
            }  # fmt: skip

    return Stage(widths={"charges": CHARGE_WIDTH}, outputs={"body": (132, 1), "some": (1, 1)}, rows=rows)


def _text(*fields: tuple[int, int]) -> str:
    """Numbers of so many bits, one after the other."""
    return "".join(f"{value:0{width}b}" for value, width in fields)


def _packet(chosen: AlgorithmNumber | None, links: int, given: Inputs) -> str:
    """Bits of a packet without its padding."""
    cells = [cell for cell in range(CELLS) if given["sent"] >> cell & 1]
    counter, sums = (given["counter"], 5), (given["sum_code"], 8)
    short = (15 if given["counter"] == 31 else given["counter"] % 8, 4)
    codes = [(int(given["codes"][cell]), 7) for cell in cells]
    numbers = [(cell, 6) for cell in cells]
    cell_map = [(int(cell in cells), 1) for cell in range(CELLS)]
    match chosen:
        case AlgorithmNumber.THRESHOLD_SUM if not cells:
            return _text(counter, (0b000, 3), sums)
        case AlgorithmNumber.THRESHOLD_SUM if len(cells) < 8:
            return _text(counter, (0b010, 3), sums, (len(cells), 3), *numbers, *codes)
        case AlgorithmNumber.THRESHOLD_SUM:
            return _text(counter, (0b100, 3), sums, *cell_map, *codes)
        case AlgorithmNumber.BEST_CHOICE:
            return _text(short, sums, *(numbers if len(cells) < 8 else cell_map), *codes)
        case AlgorithmNumber.REPEATER:
            return _text(counter, *((int(code), 7) for code in given["codes"]))
        case AlgorithmNumber.SUPER_TRIGGER_CELL if given["some"]:
            return _text(short, (given["body"], 132))
        case AlgorithmNumber.AUTOENCODER:
            return _text(*((int(word), 32) for word in given["frames"]))
    return ""


def _formatter(spec: ConcentratorSpec) -> Stage:
    def rows(rng: np.random.Generator, count: int) -> Iterator[tuple[Inputs, dict[str, Any]]]:
        for number in range(count):
            chosen = [*spec.numbers, None][number % (len(spec.numbers) + 1)]
            links = int(rng.integers(1, ETX_WORDS + 1))
            cells = CELLS_SENT[links - 1]
            if chosen is AlgorithmNumber.THRESHOLD_SUM:
                cells = int(rng.choice([0, rng.integers(0, 10), rng.integers(0, CELLS + 1)]))
            given: Inputs = {
                "counter": int(rng.choice([31, *range(16)])), "link_reset": int(rng.random() < 0.1), "links": links,
                "selected": 0 if chosen is None else 1 << chosen, "link_reset_pattern": int(rng.integers(1 << 11)),
                "sent": to_int(rng.permutation(np.arange(CELLS) < cells), 1), "codes": rng.integers(0, 128, CELLS),
                "sum_code": int(rng.integers(256)), "total_code": int(rng.integers(256)),
                "body": int.from_bytes(rng.bytes(16), "little") << 4, "some": int(rng.random() < 0.8),
                "frames": rng.integers(0, 1 << 32, 5),
            }  # fmt: skip
            bits = _packet(chosen, links, given)
            variable = chosen is AlgorithmNumber.THRESHOLD_SUM and not given["link_reset"]
            words = [int(bits[at : at + 16].ljust(16, "0"), 2) for at in range(0, len(bits), 16)]
            length = len(words) if variable else 2 * links
            if given["link_reset"]:
                words = [given["counter"] << 11 | given["link_reset_pattern"]] * length
            # what a packet of fixed length cannot carry is not sent; words behind its length do not count
            words = (words + [0] * length)[:length]
            truncated = int(_text((given["counter"], 5), (0b110, 3), (given["total_code"], 8)), 2)
            inputs = {name: value for name, value in given.items() if name in _formatter_inputs(spec)}
            yield inputs, {
                "packet": words, "length": [length], "truncated": [truncated * variable], "early": [int(variable)],
            }  # fmt: skip

    return Stage(
        widths={"codes": 7, "frames": 32},
        outputs={"packet": (16, 26), "length": (5, 1), "truncated": (16, 1), "early": (1, 1)}, rows=rows,
    )  # fmt: skip


def _formatter_inputs(spec: ConcentratorSpec) -> set[str]:
    found = {"counter", "link_reset", "links", "selected", "link_reset_pattern", "sent", "codes", "sum_code",
             "total_code", "body", "some"}  # fmt: skip
    return found | ({"frames"} if spec.has(AlgorithmNumber.AUTOENCODER) else set())


def _output_buffer(depth: int) -> Stage:
    """A first-in first-out queue, with the rules in words: no room, early, else full."""

    def rows(rng: np.random.Generator, count: int) -> Iterator[tuple[Inputs, dict[str, Any]]]:
        queue: deque[int] = deque()
        for number in range(count):
            if number % 300 == 0:
                # at the limits: T1 of one packet, of the depth and beyond it, of 12 crossings; both rules of T2 and T3
                links = (1, 2, 5, 7, 12, 13)[number // 300 % 6]
                t1 = int(rng.choice([0, 26, depth - 1, depth, 511, 24 * links]))
                t2, t3 = int(rng.choice([0, 40, t1 // 2, 511])), int(rng.integers(0, 32))
                pattern, density = int(rng.integers(1 << 11)), float(rng.choice([0.1, 0.5, 1.0]))
            length = int(rng.integers(1, 27)) if rng.random() < density else 1
            run = int(rng.random() > 0.02)
            packet, truncated = rng.integers(0, 1 << 16, 26), int(rng.integers(1 << 16)) & ~(1 << 8)
            counter, mark = int(rng.choice([31, *range(16)])), int(rng.integers(2))
            words, kept = packet[:length].tolist(), "whole" if run else "not running"
            if len(queue) + length > min(t1, depth):
                words, kept = [truncated], "no room"
            elif len(queue) > t2 and length <= t3:
                words, kept = [truncated | mark << 8], "early"
            if run:
                queue.extend(words)
            assert len(queue) <= depth
            most = 2 * links
            carried = ("idle words", "all words", "as many as they can")[(len(queue) >= most) + (len(queue) > most)]
            sent = [queue.popleft() if queue else counter << 11 | pattern for _ in range(most)]
            yield {
                "packet": packet, "length": length, "truncated": truncated, "early_mark": mark, "counter": counter,
                "run": run, "links": links, "t1": t1, "t2": t2, "t3": t3, "idle_pattern": pattern,
            }, {"words": sent + [0] * (26 - most), "kept": kept, "carried": carried}  # fmt: skip

    return Stage(widths={"packet": 16}, outputs={"words": (16, 26)}, rows=rows, latency=1)


def _etx_words(links: int) -> Stage:
    def rows(rng: np.random.Generator, count: int) -> Iterator[tuple[Inputs, dict[str, Any]]]:
        for number in range(count):
            active = to_int(rng.permutation(ETX_WORDS) < number % (ETX_WORDS + 1), 1)
            words = rng.integers(0, 1 << 16, 26)
            pairs = iter((int(words[2 * k]) << 16) + int(words[2 * k + 1]) for k in range(ETX_WORDS))
            on = [link < links and bool(active >> link & 1) for link in range(ETX_WORDS)]
            frames = [next(pairs) if up else 0 for up in on]
            yield {"words": words, "active": active}, {"frames": frames, "count": [sum(on)]}

    return Stage(widths={"words": 16}, outputs={"frames": (32, ETX_WORDS), "count": (4, 1)}, rows=rows)


def stage_of(name: str, spec: ConcentratorSpec) -> Stage:
    """The stage `name` of a spec."""
    match name:
        case "cell_codes":
            return _cell_codes()
        case "threshold_sum":
            return _threshold_sum()
        case "best_choice":
            return _best_choice()
        case "super_trigger_cells":
            return _super_trigger_cells()
        case "formatter":
            return _formatter(spec)
        case "output_buffer":
            return _output_buffer(spec.buffer_words)
        case "etx_words":
            return _etx_words(spec.etx_links)
    raise ValueError(f"no stage {name}")


class StageBench:
    """One stage with driver, monitor and scoreboard, one row per clock."""

    def __init__(self, dut: SimHandleBase, name: str, spec: ConcentratorSpec) -> None:
        self.dut: Any = dut
        self.name, self.stage = name, stage_of(name, spec)
        self.scoreboard = Scoreboard()
        self.coverage = stage_coverage(name, spec)

    async def run(self, rng: np.random.Generator, rows: int) -> None:
        """Reset, apply `rows` rows, compare every one, close the books; no cover bin is left empty."""
        cocotb.start_soon(Clock(self.dut.clk, 10, unit="ns").start())
        # an asynchronous reset is seen at its edge
        self.dut.rst.value = 0
        await Timer(1, "ns")
        self.dut.rst.value = 1
        await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        waiting: deque[dict[str, Any]] = deque()
        for inputs, expected in self.stage.rows(rng, rows):
            self.coverage.sample(inputs, expected)
            await FallingEdge(self.dut.clk)
            # the outputs of an earlier row, whose settings still stand
            self._compare(waiting, self.stage.latency)
            for port, value in inputs.items():
                width = self.stage.widths.get(port)
                pin = getattr(self.dut, f"{self.name}_{port}")
                pin.value = value if width is None else to_int(value, width)
            waiting.append(expected)
            await Timer(1, "ns")
            if not self.stage.latency:
                self._compare(waiting, 0)
        if self.stage.latency:
            await FallingEdge(self.dut.clk)
            self._compare(waiting, self.stage.latency)
        self.scoreboard.finish(rows)
        self.coverage.close()

    def _compare(self, waiting: deque[dict[str, Any]], latency: int) -> None:
        if not waiting or len(waiting) < latency:
            return
        expected, got = waiting.popleft(), {}
        for port, (width, count) in self.stage.outputs.items():
            value = int(getattr(self.dut, f"{self.name}_{port}").value)
            # of a packet only the words count that it has
            places = min(count, len(expected[port]))
            got[port] = [value >> (width * i) & ((1 << width) - 1) for i in range(places)]
        self.scoreboard.expect(self.name, _row({port: expected[port] for port in self.stage.outputs}))
        self.scoreboard.observe(_row(got))


def _row(values: dict[str, Any]) -> Row:
    return tuple(int(value) for name in sorted(values) for value in values[name])
