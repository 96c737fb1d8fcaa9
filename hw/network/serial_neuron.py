"""One output of a layer whose multipliers are reused: its products a few at a time, added to what came before."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.storage_cell import StorageCell
from hw.network.neuron import SumFormat, neuron_ports, wired_dot_product
from hw.network.stores import code_shape, stored
from sim.network.nodes import Store

__all__ = ["SerialSumNeuron", "selected"]


def selected(values: list[Value], slot: Value, step: int, width: int) -> list[Value]:
    """Values of a slot: in slot s value ``s * step + i`` at place i, zero where there is none.

    One AND-OR over the slots for each place.

    Parameters
    ----------
    values : list of Value
        Of all slots.
    slot : Value
        One-hot.
    step : int
        Values of a slot.
    width : int
        Bits of a value.
    """
    found = []
    for place_ in range(step):
        value: Value = Const(0, width)
        for number in range(len(slot)):
            if number * step + place_ < len(values):
                value = value | (values[number * step + place_] & slot[number].replicate(width))
        found.append(value)
    return found


class SerialSumNeuron(Component):
    """``store(wrap(sum(round(x * w)) + bias))`` and further stores, over some slots of `SumFormat.dot.taps` products.

    The sum is kept inverted (see `hw.common.dot_product`): -1 less the sum; the first slot starts from the bias, and
    without a slot it stays. The complete sum is there in the clock after its last slot, in which the first slot of the
    next sum may come; `y` is its store, combinational.

    Parameters
    ----------
    form : SumFormat
        Of one slot, accumulated over all.
    stores : tuple of Store
    slots : int
    taps : int
        Products of the whole sum.
    own : bool
        The neuron has a row of weights for itself: stores, selects and recodes them.
    cell, register : class of Component
        Storage of one byte; pipeline register.

    Members
    -------
    x, triple, pair : In
        Activations of the slot and their multiples, as `SumNeuron` takes them.
    offset : In(sum_width)
    next_slot : In(slots)
        One-hot, one clock ahead of the activations: the neuron has a register of its own for what so much hangs on.
    row : In(1), columns : In(bytes), data : In(8)
        With `own`: write port of `WeightRow`.
    select : In(3) x rows, bias : In(bias.width)
        Without `own`: recoded weights of the slot, and the bias.
    y : Out
        Result, in the format of the last store.
    """

    clocked = True

    def __init__(
        self, *, form: SumFormat, stores: tuple[Store, ...], slots: int, taps: int, own: bool,
        cell: Callable[..., Component] = StorageCell, register: Callable[..., Component] = PipelineRegister,
    ):  # fmt: skip
        dot = form.dot
        self._form, self._stores, self._slots, self._taps, self._own = form, stores, slots, taps, own
        self._cell, self._register = cell, register
        self._bits = taps * dot.weight_width + form.bias.width
        super().__init__(
            {
                **neuron_ports(form, own=own, bits=self._bits),
                "next_slot": In(slots),
                "y": Out(code_shape(stores[-1].result)),
            }
        )

    @property
    def state_bits(self) -> int:
        """Bits of its registers, those of weights aside."""
        return self._slots + self._form.dot.sum_width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        f = self._form.dot
        slots = place(m, platform, "slot_register", self._register, width=self._slots)
        partial = place(m, platform, "sum_register", self._register, width=f.sum_width)
        m.d.comb += slots.i.eq(self.next_slot)
        dot, bias = wired_dot_product(
            m, platform, self, self._form, own=self._own, bits=self._bits, taps=self._taps, cell=self._cell,
            choose=lambda weights: selected(weights, slots.o, f.taps, f.weight_width),
        )  # fmt: skip
        high = Cat(Const(0, f.bias_shift), self._form.high_bias(bias))
        start = ~Cat(high, high[-1].replicate(f.sum_width - len(high)))
        total = self._form.total((~partial.o).as_signed(), bias)
        m.d.comb += [
            dot.partial.eq(Mux(slots.o[0], start, partial.o)),
            dot.offset.eq(self.offset),
            partial.i.eq(~dot.sum),
            self.y.eq(stored(m, total, self._form.fraction, self._stores, "stored")),
        ]
        return m
