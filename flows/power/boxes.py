"""Macros and memories beside a netlist that has them as black boxes: their golden behaviour, in every stream.

What word lines the netlist sets decides which codes it gets back. Rules of the macro's contract
(`hw.lsm_crossbar.macro.MacroBox`) are checked on the way. Each box has ``drive``, which sets what the netlist reads in
a clock, and ``watch``, which takes what the settled netlist puts out in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from sim.fixed_point import IntArray
from sim.lsm_crossbar.adc import adc_of_column, convert, select_of_column
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.registers import RATIO_BYTES
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "Bits", "EventSource", "MacroBehaviour", "MemoryBehaviour", "Streams", "ThresholdMemoryBehaviour",
    "reset_and_write", "weight_words", "words_of_codes",
]  # fmt: skip

Bits = npt.NDArray[np.bool_]
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class Streams:
    """Ports of a gate-level simulation by stream.

    Parameters
    ----------
    simulator : GateSimulator
    count : int
        Streams in use.

    Raises
    ------
    ValueError
        More streams than the simulator has.
    """

    def __init__(self, simulator: GateSimulator, count: int) -> None:
        self.simulator, self.count = simulator, count
        self._width = 64 * simulator.words
        if count > self._width:
            raise ValueError(f"expected at most {self._width} streams, got {count}")

    def put(self, port: str, bits: npt.NDArray[np.generic]) -> None:
        """Set a port, if the netlist has it; shape (streams, width)."""
        if port in self.simulator.netlist.ports:
            full = np.zeros((bits.shape[1], self._width), bool)
            full[:, : self.count] = bits.T
            self.simulator.set_port(port, from_lanes(full))

    def get(self, port: str) -> Bits:
        """Bits of a port, shape (streams, width)."""
        bits = to_lanes(self.simulator.values[self.simulator.netlist.ports[port].nets])
        return np.ascontiguousarray(bits.T[: self.count]).astype(bool)

    def flag(self, port: str) -> Bits:
        """A port of one bit, shape (streams,)."""
        return self.get(port)[:, 0]

    def value(self, port: str, *, signed: bool = False) -> IntArray:
        """Value of a port, shape (streams,)."""
        bits = self.get(port)
        values: IntArray = bits @ (1 << np.arange(bits.shape[1], dtype=np.int64))
        return values - (values >> (bits.shape[1] - 1) << bits.shape[1]) if signed else values


class EventSource:
    """Events of every stream, offered without pause.

    Parameters
    ----------
    streams : Streams
    words : list of ndarray of int64
        Of the event stream, one array for each stream; nothing is offered after the last word.
    """

    def __init__(self, streams: Streams, words: list[IntArray]) -> None:
        self._streams = streams
        self._events = np.full((streams.count, max(map(len, words)) + 1), -1, np.int64)
        for lane, row in enumerate(words):
            self._events[lane, : len(row)] = row
        self._next = np.zeros(streams.count, np.int64)
        self._width = len(streams.simulator.netlist.ports["i_events__payload"].nets)

    def _offered(self) -> IntArray:
        offered: IntArray = self._events[np.arange(self._streams.count), self._next]
        return offered

    def drive(self) -> None:
        """Offer the next event of every stream."""
        event = self._offered()
        self._streams.put("i_events__valid", (event >= 0)[:, None])
        self._streams.put("i_events__payload", np.maximum(event, 0)[:, None] >> np.arange(self._width) & 1)

    def watch(self) -> None:
        """Go on where the netlist takes the event."""
        self._next += (self._offered() >= 0) & self._streams.flag("i_events__ready")


class MacroBehaviour:
    """A macro and its converters.

    Parameters
    ----------
    streams : Streams
    spec : CrossbarSpec
    conductances : Conductances
        Of this macro alone.
    name : str
        Of the box: its pins are the ports ``name.pin``.
    """

    def __init__(self, streams: Streams, spec: CrossbarSpec, conductances: Conductances, name: str = "macro") -> None:
        self.spec, self._streams, self._name = spec, streams, name
        self._matrix = conductances.codes.astype(np.float64)
        adc, select = adc_of_column(spec), select_of_column(spec)
        self._gain, self._offset = conductances.adc_gain[adc], conductances.adc_offset[adc]
        # columns in the order of the ADCs, for each select
        self._columns = np.array([np.flatnonzero(select == k) for k in range(spec.columns_per_adc)])
        count = streams.count
        self._lines = np.zeros((count, spec.rows), bool)
        self._held = np.zeros((count, spec.columns), np.int64)
        self._sampled = np.full(count, -(1 << 30))
        self._due = np.full(count, -1)
        self._pending = np.zeros((count, spec.adcs), np.int64)
        self._codes = np.zeros((count, spec.adcs), np.int64)
        self._fresh = True

    def drive(self, clock: int) -> None:
        """Put out codes that are due."""
        valid = self._due == clock
        if valid.any() or self._fresh:
            self._codes[valid] = self._pending[valid]
            bits = self._codes[:, :, None] >> np.arange(self.spec.adc_bits) & 1
            self._streams.put(f"{self._name}.codes", bits.reshape(len(bits), -1))
        self._streams.put(f"{self._name}.codes_valid", valid[:, None])
        self._fresh = False

    def watch(self, clock: int) -> None:
        """Take word lines, samples and conversions. Raises ValueError where the contract is broken."""
        spec, name = self.spec, self._name
        on, clear, sample, convert_ = (
            self._streams.flag(f"{name}.{pin}") for pin in ("row_set", "row_clear", "sample", "convert")
        )
        moved = on | clear
        if moved.any() or sample.any():
            moving = moved & (clock - self._sampled < spec.settle_clocks)
            self._rule(~moving | sample, clock, "word lines change while columns settle")
            self._rule(~(sample & moved), clock, "word lines change at sample")
        if len(lanes := np.flatnonzero(sample)):
            self._held[lanes] = (self._lines[lanes] @ self._matrix).astype(np.int64)
            self._sampled[lanes] = clock
            few = self._lines.sum(axis=1) <= spec.rows_per_read
            self._rule(few, clock, f"more than {spec.rows_per_read} word lines are on")
        if len(lanes := np.flatnonzero(convert_)):
            self._rule(~convert_ | (clock - self._sampled >= spec.settle_clocks), clock, "convert is too early")
            self._rule(~convert_ | (self._due <= clock), clock, "a conversion is under way")
            select = self._streams.value(f"{name}.select") if spec.columns_per_adc > 1 else np.zeros_like(self._due)
            codes = convert(self._held[lanes], np.zeros(1, np.int64), self._gain, self._offset, spec)
            self._pending[lanes] = np.take_along_axis(codes, self._columns[select[lanes]], axis=1)
            self._due[lanes] = clock + spec.convert_clocks
        self._lines[clear] = False
        if len(lanes := np.flatnonzero(on)):
            self._lines[lanes, self._streams.value(f"{name}.row")[lanes]] = True

    @staticmethod
    def _rule(kept: Bits, clock: int, what: str) -> None:
        if not kept.all():
            raise ValueError(f"stream {int(np.flatnonzero(~kept)[0])}, clock {clock}: macro contract: {what}")


class MemoryBehaviour:
    """A memory whose contents are the same in all streams and do not change.

    Parameters
    ----------
    streams : Streams
    words : ndarray of bool, shape (depth, width)
        Bit 0 first.
    name : str
        Of the box.
    """

    def __init__(self, streams: Streams, words: Bits, name: str) -> None:
        self._streams, self._words, self._name = streams, words, name
        self._word = np.zeros((streams.count, words.shape[1]), bool)
        self._changed = True

    def drive(self) -> None:
        """Put out the words that were read last."""
        if self._changed:
            self._streams.put(f"{self._name}.read_data", self._word)
        self._changed = False

    def watch(self) -> None:
        """Read."""
        reading = np.flatnonzero(self._streams.flag(f"{self._name}.read_enable"))
        if len(reading):
            address = self._streams.value(f"{self._name}.read_address")[reading]
            self._word[reading] = self._read(reading, np.minimum(address, len(self._words) - 1))
            self._changed = True

    def _read(self, _lanes: IntArray, address: IntArray) -> Bits:
        return self._words[address]


class ThresholdMemoryBehaviour(MemoryBehaviour):
    """The memory of a homeostat of neurons (`hw.lsm_crossbar.threshold_memory`), which the netlist also writes.

    A read in the clock of a write gives the old word.

    Parameters
    ----------
    streams, words, name
        As `MemoryBehaviour`; the words are those at the start.

    Attributes
    ----------
    words : ndarray of bool, shape (streams, depth, width)
        What each stream holds now.
    """

    def __init__(self, streams: Streams, words: Bits, name: str) -> None:
        super().__init__(streams, words, name)
        self.words = np.tile(words, (streams.count, 1, 1))

    def watch(self) -> None:
        """Read, then write."""
        super().watch()
        enables = self._streams.get(f"{self._name}.write_bytes")
        writing = np.flatnonzero(enables.any(axis=1))
        if len(writing):
            address = self._streams.value(f"{self._name}.write_address")[writing]
            offset, byte = (self._streams.get(f"{self._name}.{pin}")[writing] for pin in ("write_offset", "write_data"))
            data = np.concatenate([offset, np.tile(byte, RATIO_BYTES)], axis=1)
            chosen = np.repeat(enables[writing], 8, axis=1)
            self.words[writing, address] = np.where(chosen, data, self.words[writing, address])

    def _read(self, lanes: IntArray, address: IntArray) -> Bits:
        return self.words[lanes, address]


def words_of_codes(codes: IntArray, width: int) -> Bits:
    """Words of a memory from unsigned codes of shape (depth, codes of a word), code 0 in the lowest bits."""
    bits: Bits = (codes[:, :, None] >> np.arange(width) & 1).astype(bool)
    return bits.reshape(len(codes), -1)


def weight_words(readout: Readout) -> Bits:
    """Contents of the memory of readout weights."""
    spec = readout.spec
    codes = spec.readout_weight_codes(readout.weights)
    return words_of_codes(codes.reshape(spec.outputs, spec.features).T, spec.readout_weight_bits)


def reset_and_write(simulator: GateSimulator, writes: Sequence[tuple[int, int]]) -> None:
    """Reset, then one write of a byte per clock, the same in all streams."""
    ports = simulator.netlist.ports
    for port in ports.values():
        if port.direction == "input" and port.name != simulator.clock:
            simulator.set_port(port.name, np.zeros((len(port.nets), simulator.words), np.uint64))
    ones = np.full((1, simulator.words), _ALL, np.uint64)
    simulator.set_port("rst", ones)
    for _ in range(3):
        simulator.step()
    simulator.set_port("rst", ~ones)
    simulator.settle()
    simulator.set_port("write_enable", ones)
    for address, byte in writes:
        for name, value in (("write_address", address), ("write_data", byte)):
            bits = (value >> np.arange(len(ports[name].nets)) & 1).astype(bool)
            simulator.set_port(name, np.where(bits[:, None], ones, ~ones))
        simulator.step()
    simulator.set_port("write_enable", ~ones)
    simulator.settle()
