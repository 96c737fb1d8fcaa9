"""Macros and memories of a crossbar that a netlist has as black boxes: their golden behaviour, in every stream.

What word lines the netlist sets decides which codes it gets back. Rules of the macro's contract
(`hw.lsm_crossbar.macro.MacroBox`) are checked on the way. Each box has ``drive``, which sets what the netlist reads in
a clock, and ``watch``, which takes what the settled netlist puts out in it.
"""

from __future__ import annotations

import numpy as np

from flows.netlist.gate_simulation import GateSimulator
from flows.power.streams import Bits, EventSource, MemoryBehaviour, Streams, words_of_codes
from sim.fixed_point import IntArray
from sim.lsm_crossbar.adc import adc_of_column, convert, select_of_column
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Boxes", "MacroBehaviour", "ThresholdMemoryBehaviour", "macros_of", "weight_words"]


class MacroBehaviour:
    """A macro and its converters.

    Parameters
    ----------
    streams : Streams
    spec : CrossbarSpec
    conductances : Conductances
        Of this macro alone, or of the tile that it is in.
    name : str
        Of the box: its pins are the ports ``name.pin``.
    first_row, first_column : int
        Of a macro in a tile.
    """

    def __init__(
        self, streams: Streams, spec: CrossbarSpec, conductances: Conductances, name: str = "macro",
        first_row: int = 0, first_column: int = 0,
    ) -> None:  # fmt: skip
        self.spec, self._streams, self._name = spec, streams, name
        rows, columns = spec.macro_shape
        own = slice(first_column, first_column + columns)
        self._matrix = conductances.codes[first_row : first_row + rows, own].astype(np.float64)
        adc, select = adc_of_column(spec)[own], select_of_column(spec)[own]
        self._gain, self._offset = conductances.adc_gain[adc], conductances.adc_offset[adc]
        # columns in the order of the ADCs, for each select
        self._columns = np.array([np.flatnonzero(select == k) for k in range(spec.columns_per_adc)])
        count, adcs = streams.count, columns // spec.columns_per_adc
        self._lines = np.zeros((count, rows), bool)
        self._held = np.zeros((count, columns), np.int64)
        self._sampled = np.full(count, -(1 << 30))
        self._due = np.full(count, -1)
        self._pending = np.zeros((count, adcs), np.int64)
        self._codes = np.zeros((count, adcs), np.int64)
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


def macros_of(
    streams: Streams, spec: CrossbarSpec, conductances: Conductances, prefix: str = ""
) -> list[MacroBehaviour]:
    """All macros of a crossbar, whose boxes have the names of `hw.lsm_crossbar.crossbar.Crossbar` after a prefix."""
    if spec.tiled:
        rows, columns = spec.macro_shape
        return [
            MacroBehaviour(
                streams, spec, conductances, f"{prefix}macro.macro_{row}_{column}", row * rows, column * columns
            )
            for row in range(spec.rows // rows)
            for column in range(spec.columns // columns)
        ]
    names = ["macro"] if spec.macros == 1 else [f"macro_{number}" for number in range(spec.macros)]
    return [
        MacroBehaviour(streams, spec.one_macro, conductances.macro(number), prefix + name)
        for number, name in enumerate(names)
    ]


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
        # the homeostat writes all bytes of an offset at once; nobody loads ratios meanwhile
        writing = np.flatnonzero(self._streams.get(f"{self._name}.write_bytes")[:, 0])
        if len(writing):
            address = self._streams.value(f"{self._name}.write_address")[writing]
            offset = self._streams.get(f"{self._name}.write_offset")[writing]
            self.words[writing, address, : offset.shape[1]] = offset

    def _read(self, lanes: IntArray, address: IntArray) -> Bits:
        return self.words[lanes, address]


class Boxes:
    """All that stands around a netlist of crossbars: events, macros, memories.

    Parameters
    ----------
    events : EventSource
    macros : list of MacroBehaviour
    memories : list of MemoryBehaviour
    """

    def __init__(self, events: EventSource, macros: list[MacroBehaviour], memories: list[MemoryBehaviour]) -> None:
        self._events, self._macros, self._memories = events, macros, memories

    def drive(self, _simulator: GateSimulator, clock: int) -> None:
        """Set what the netlist reads in a clock."""
        self._events.drive()
        for macro in self._macros:
            macro.drive(clock)
        for memory in self._memories:
            memory.drive()

    def watch(self, _simulator: GateSimulator, clock: int) -> None:
        """Take what the settled netlist puts out in it. Raises ValueError where a macro's contract is broken."""
        self._events.watch()
        for macro in self._macros:
            macro.watch(clock)
        for memory in self._memories:
            memory.watch()


def weight_words(readout: Readout) -> Bits:
    """Contents of the memory of readout weights."""
    spec = readout.spec
    codes = spec.readout_weight_codes(readout.weights)
    return words_of_codes(codes.reshape(spec.outputs, spec.features).T, spec.readout_weight_bits)
