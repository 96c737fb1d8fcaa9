"""Row driver: finds the active rows of a step in ascending order, one per clock, in batches of word lines."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from hw.common.one_hot import encode, lowest, one_of
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["RowDriver"]

_GROUP = 16
"""Rows of a group: the search takes the first group with an active row, then the first row in it."""


class RowDriver(Component):
    """Drives the word lines: silent rows cost no clock.

    At `start` the rows of a step are loaded: input rows, and above them the spikes of the step before. From the next
    clock on, every clock names the lowest active row that is left (`row_set`) and forgets it, until the batch holds
    `spec.rows_per_read` rows or none is left. Then the batch is `ready`; it stays so until `take`. Its word lines stay
    on until the columns have settled, and the next batch starts `spec.settle_clocks` after `take`: the search overlaps
    with the conversion of the batch before.

    In a tile of macros (`spec.macro_rows`) a batch also ends before the first row of another macro.

    A step without active row is one batch that is `empty`.

    Throughput one row per clock. Reset: idle; asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    inputs : In(spec.inputs)
        Active input rows; row i of the macro.
    spikes : In(spec.neurons)
        Neurons that fired in the step before; row `spec.inputs` + j of the macro.
    start : In(1)
        Load both. Only while idle: after `take` of a batch that was `last`.
    take : In(1)
        The macro samples this batch. Only while `ready`.
    row : Out(9)
        Word line to add to the batch, of 512; 0 without `row_set`.
    row_set : Out(1)
    row_clear : Out(1)
        With the first row of a batch: all other word lines go off.
    ready : Out(1)
        The batch is complete.
    last : Out(1)
        No active row is left after this batch. Valid with `ready`.
    empty : Out(1)
        The batch has no row. Valid with `ready`.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(
            {
                "inputs": In(spec.inputs),
                "spikes": In(spec.neurons),
                "start": In(1),
                "take": In(1),
                "row": Out(spec.row_bits),
                "row_set": Out(1),
                "row_clear": Out(1),
                "ready": Out(1),
                "last": Out(1),
                "empty": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        size = spec.inputs + spec.neurons
        rows = Cat(self.inputs, self.spikes)
        pending = [Signal(min(_GROUP, size - first), name=f"pending_{first}") for first in range(0, size, _GROUP)]
        busy = Signal()
        count = Signal(range(spec.rows_per_read + 1))
        settle = Signal(max((spec.settle_clocks - 1).bit_length(), 1))

        groups = [Cat(part, Const(0, _GROUP))[:_GROUP] for part in pending]
        some = Signal(len(groups))
        m.d.comb += some.eq(Cat(group.any() for group in groups))
        group = lowest(m, some, "group")
        chosen = Signal(_GROUP)
        m.d.comb += chosen.eq(one_of(groups, group))
        member = lowest(m, chosen, "member")

        filling = Signal()
        fits: Value = count != spec.rows_per_read
        if spec.macro_rows is not None:
            row = Cat(encode(member), encode(group))
            macro = Signal(range(len(spec.tile_rows)))
            next_macro = Signal.like(macro, name="next_macro")
            starts = range(spec.macro_rows, spec.used_rows, spec.macro_rows)
            m.d.comb += next_macro.eq(sum((row >= start for start in starts), Const(0, 1)))
            with m.If(filling):
                m.d.sync += macro.eq(next_macro)
            fits = fits & ((count == 0) | (next_macro == macro))
        m.d.comb += [
            filling.eq(busy & (settle == 0) & some.any() & fits),
            self.row_set.eq(filling),
            self.row_clear.eq(filling & (count == 0)),
            self.row.eq(Mux(filling, Cat(encode(member), encode(group)), 0)),
            self.ready.eq(busy & (settle == 0) & ~filling),
            self.last.eq(~some.any()),
            self.empty.eq(count == 0),
        ]
        # a group holds unless it is loaded or loses a row, so that a clock gate stands before it
        for number, (part, bit) in enumerate(zip(pending, group, strict=True)):
            loaded = rows[number * _GROUP : number * _GROUP + len(part)]
            with m.If(self.start | (filling & bit)):
                m.d.sync += part.eq(Mux(self.start, loaded, part & ~member[: len(part)]))
        with m.If(self.start):
            m.d.sync += busy.eq(1)
        with m.Elif(self.take & self.last):
            m.d.sync += busy.eq(0)
        with m.If(self.take):
            m.d.sync += count.eq(0)
        with m.Elif(filling):
            m.d.sync += count.eq(count + 1)
        with m.If(self.take):
            m.d.sync += settle.eq(spec.settle_clocks - 1)
        with m.Elif(settle != 0):
            m.d.sync += settle.eq(settle - 1)
        return m
