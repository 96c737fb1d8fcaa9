"""Spike counters: how often each neuron fired in the running window of a sample."""

from amaranth.hdl import Array, Module, Mux, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import one_of
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Counter", "CounterLane", "lane_and_select", "neuron_bits"]


class CounterLane(Component):
    """The counters of one lane: one for each neuron, one adder for all.

    With `valid`, the counter of neuron `index` becomes its value plus `spike`; with `fresh`, the first step of a
    window, it starts from 0, so that nothing has to be cleared between windows.

    Throughput one neuron per clock. Reset: none; a counter is loaded in the first step of a window, before it is read.

    Parameters
    ----------
    spec : CrossbarSpec
    neurons : int
        Neurons of this lane, 1 to `spec.columns_per_adc`.

    Members
    -------
    valid, fresh, spike : In(1)
    index : In(bits of spec.columns_per_adc)
    count : Out(spec.count_width)
        Value of the counter `index`; combinational.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec, neurons: int):
        if not 1 <= neurons <= spec.columns_per_adc:
            raise ValueError(f"a lane has 1 to {spec.columns_per_adc} neurons, got {neurons}")
        self._spec, self._neurons = spec, neurons
        super().__init__(
            {
                "valid": In(1),
                "fresh": In(1),
                "spike": In(1),
                "index": In(spec.select_bits),
                "count": Out(spec.count_width),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        after = Signal(spec.count_width)
        m.d.comb += after.eq(Mux(self.fresh, 0, self.count) + self.spike)
        counters, hits = [], []
        for neuron in range(self._neurons):
            counter = Signal(spec.count_width, name=f"counter_{neuron}", reset_less=True)
            hit = Signal(name=f"hit_{neuron}")
            m.d.comb += hit.eq(self.index == neuron)
            # what stays is not clocked again
            with m.If(self.valid & hit & (self.fresh | self.spike)):
                m.d.sync += counter.eq(after)
            counters.append(counter)
            hits.append(hit)
        m.d.comb += self.count.eq(one_of(counters, hits))
        return m


class Counter(Component):
    """All counters, a lane beside each lane of neurons, and the port through which the readout reads them one by one.

    Neurons decide and the readout reads at different times: while `read` is high the counters listen to `read_neuron`,
    and `valid` must be low.

    Throughput one select, or one read, per clock. Reset: none, as `CounterLane`.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    valid : In(1)
        Neurons `index` of all lanes have decided.
    fresh : In(1)
        First step of a window.
    index : In(bits of spec.columns_per_adc)
    lanes : In(spec.active_lanes)
        Spikes, as of the neurons.
    read : In(1)
    read_neuron : In(bits of spec.neurons)
    count : Out(spec.count_width)
        Count of `read_neuron`, in the same clock.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(
            {
                "valid": In(1),
                "fresh": In(1),
                "index": In(spec.select_bits),
                "lanes": In(spec.active_lanes),
                "read": In(1),
                "read_neuron": In(neuron_bits(spec)),
                "count": Out(spec.count_width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        each = spec.columns_per_adc
        index = Signal(spec.select_bits)
        read_lane = Signal(max((spec.active_lanes - 1).bit_length(), 1))
        lane_of, select_of = lane_and_select(spec, self.read_neuron)
        m.d.comb += [
            read_lane.eq(lane_of),
            index.eq(Mux(self.read, select_of, self.index)),
        ]
        counts = []
        for number in range(spec.active_lanes):
            neurons = min(each, spec.neurons - number * each)
            lane = place(m, platform, f"lane_{number}", CounterLane, spec=spec, neurons=neurons)
            m.d.comb += [
                lane.valid.eq(self.valid),
                lane.fresh.eq(self.fresh),
                lane.spike.eq(self.lanes[number]),
                lane.index.eq(index),
            ]
            counts.append(lane.count)
        m.d.comb += self.count.eq(one_of(counts, [read_lane == number for number in range(spec.active_lanes)]))
        return m


def neuron_bits(spec: CrossbarSpec) -> int:
    """Bits of the number of a neuron."""
    return max((spec.neurons - 1).bit_length(), 1)


def lane_and_select(spec: CrossbarSpec, neuron: Value) -> tuple[Value, Value]:
    """Lane that serves a neuron, and the select at which it does."""
    each = spec.columns_per_adc
    if each & (each - 1):
        # no power of two: a table of quotients and remainders
        return (
            Array([number // each for number in range(spec.neurons)])[neuron],
            Array([number % each for number in range(spec.neurons)])[neuron],
        )
    shift = each.bit_length() - 1
    return neuron >> shift, neuron[:shift]
