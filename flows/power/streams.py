"""What a gate-level simulation of a chip needs around it, in every stream: ports, events, memories, a host's writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from flows.netlist.gate_simulation import GateSimulator, from_lanes, to_lanes
from sim.fixed_point import IntArray

__all__ = ["Bits", "EventSource", "MemoryBehaviour", "Streams", "reset_and_write", "words_of_codes"]

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


def words_of_codes(codes: IntArray, width: int) -> Bits:
    """Words of a memory from unsigned codes of shape (depth, codes of a word), code 0 in the lowest bits."""
    bits: Bits = (codes[:, :, None] >> np.arange(width) & 1).astype(bool)
    return bits.reshape(len(codes), -1)


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
