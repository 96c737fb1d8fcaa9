"""Leaky integrate-and-fire neurons: lanes that serve the neurons of one pair of converters in turns."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.carry_save import balanced_sum
from hw.common.hierarchy import place
from hw.common.one_hot import one_of
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Neuron", "NeuronLane"]


class NeuronLane(Component):
    """The neurons of one lane: one adder, comparator and leak; a membrane potential of its own for each.

    `fetch` puts the potential of neuron `fetch_index` into a register in front of the adder, so that the lane evaluates
    once for a difference and not again when the sum is stored. `valid` for that neuron follows in the next clock.

    With `valid`, the membrane potential of neuron `index` becomes u + difference. With `fire` as well, the neuron
    spikes if the sum is above the threshold and it is not refractory; what is stored is then 0, else the sum after its
    leak: u plus or minus floor(u / 2**|s|) for each term s of `spec.leak`. No sum can exceed
    `spec.membrane_width` bits, whatever the conductances are.

    Nothing is cleared between samples: with `first_batch` and `first_step` the stored potential reads as 0, with
    `first_step` the refractory counter.

    Throughput one neuron per clock; `spike` belongs to the inputs of the same clock. Reset: none; all registers are
    loaded before they are read, so that behind clock gates they may be latches (`flows.synthesis.shared_storage`).

    Parameters
    ----------
    spec : CrossbarSpec
    neurons : int
        Neurons of this lane, 1 to `spec.columns_per_adc`.

    Members
    -------
    fetch : In(1)
    fetch_index : In(bits of spec.columns_per_adc)
        Not `index` in a clock with `valid`, unless the lane has one select.
    valid : In(1)
    index : In(bits of spec.columns_per_adc)
    first_step : In(1)
        First step of a sample.
    first_batch : In(1)
        First batch of a step.
    fire : In(1)
        Last batch of a step.
    difference : In(signed(spec.differential_width))
    threshold : In(spec.threshold_width)
    spike : Out(1)
        0 without `valid` and `fire`.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec, neurons: int):
        if not 1 <= neurons <= spec.columns_per_adc:
            raise ValueError(f"a lane has 1 to {spec.columns_per_adc} neurons, got {neurons}")
        self._spec, self._neurons = spec, neurons
        super().__init__(
            {
                "fetch": In(1),
                "fetch_index": In(spec.select_bits),
                "valid": In(1),
                "index": In(spec.select_bits),
                "first_step": In(1),
                "first_batch": In(1),
                "fire": In(1),
                "difference": In(signed(spec.differential_width)),
                "threshold": In(spec.threshold_width),
                "spike": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        width = spec.membrane_width
        m = Module()
        potentials = [Signal(signed(width), name=f"potential_{i}", reset_less=True) for i in range(self._neurons)]
        hit = Signal(self._neurons)
        m.d.comb += hit.eq(Cat(self.index == i for i in range(self._neurons)))
        potential = Signal(signed(width), name="potential", reset_less=True)
        before, total, due, stored = (Signal(signed(width), name=name) for name in ("before", "total", "due", "stored"))
        able, start = Signal(), Signal(name="start")
        m.d.comb += [
            start.eq(self.first_step & self.first_batch),
            before.eq(Mux(start, 0, potential)),
            total.eq(before + self.difference),
            # comparator and leak stand still until the last batch
            due.eq(Mux(self.fire, total, 0)),
            self.spike.eq(self.valid & self.fire & able & (due > self.threshold)),
        ]
        leaked = balanced_sum([due, *((due >> s) if s > 0 else -(due >> -s) for s in spec.leak)])
        m.d.comb += stored.eq(Mux(self.fire, Mux(self.spike, 0, leaked), total))
        for i, own in enumerate(potentials):
            with m.If(self.valid & hit[i]):
                m.d.sync += own.eq(stored)
        self._fetched(m, potential, potentials)
        if not spec.refractory_steps:
            m.d.comb += able.eq(1)
            return m
        each = spec.refractory_width
        counters = [Signal(each, name=f"refractory_{i}", reset_less=True) for i in range(self._neurons)]
        refractory = Signal(each, name="refractory", reset_less=True)
        left, after = (Signal(each, name=name) for name in ("left", "after"))
        m.d.comb += [
            left.eq(Mux(self.first_step, 0, refractory)),
            able.eq(left == 0),
            after.eq(Mux(self.spike, spec.refractory_steps, Mux(able, 0, left - 1))),
        ]
        for i, counter in enumerate(counters):
            with m.If(self.valid & self.fire & hit[i]):
                m.d.sync += counter.eq(after)
        self._fetched(m, refractory, counters)
        return m

    def _fetched(self, m: Module, register: Signal, values: Sequence[Signal]) -> None:
        """What `register` holds of one of the values, from a fetch until the next."""
        if self._spec.columns_per_adc == 1:
            # the neuron may follow itself: its value may be stored in the clock of the fetch
            m.d.comb += register.eq(values[0])
            return
        with m.If(self.fetch):
            m.d.sync += register.eq(one_of(values, [self.fetch_index == i for i in range(self._neurons)]))


class Neuron(Component):
    """All neurons: `spec.active_lanes` lanes side by side. Neuron j is served by lane j // columns_per_adc at select
    j % columns_per_adc: adjacent pairs of columns share converters.

    Timing, throughput and reset as `NeuronLane`.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    fetch, valid, first_step, first_batch, fire : In(1)
    fetch_index, index : In(bits of spec.columns_per_adc)
        As `NeuronLane`, for all lanes.
    differences : In(signed(spec.differential_width)) x spec.active_lanes
    threshold : In(spec.threshold_width)
        With `spec.own_thresholds` one for each lane.
    spikes : Out(spec.active_lanes)
        Lane l in bit l: neuron l * columns_per_adc + `index`.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        width = spec.threshold_width
        super().__init__(
            {
                "fetch": In(1),
                "fetch_index": In(spec.select_bits),
                "valid": In(1),
                "index": In(spec.select_bits),
                "first_step": In(1),
                "first_batch": In(1),
                "fire": In(1),
                "differences": In(ArrayLayout(signed(spec.differential_width), spec.active_lanes)),
                "threshold": In(ArrayLayout(width, spec.active_lanes) if spec.own_thresholds else width),
                "spikes": Out(spec.active_lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        for number in range(spec.active_lanes):
            neurons = min(spec.columns_per_adc, spec.neurons - number * spec.columns_per_adc)
            lane = place(m, platform, f"lane_{number}", NeuronLane, spec=spec, neurons=neurons)
            m.d.comb += [
                lane.fetch.eq(self.fetch),
                lane.fetch_index.eq(self.fetch_index),
                lane.valid.eq(self.valid),
                lane.index.eq(self.index),
                lane.first_step.eq(self.first_step),
                lane.first_batch.eq(self.first_batch),
                lane.fire.eq(self.fire),
                lane.difference.eq(self.differences[number]),
                lane.threshold.eq(self.threshold[number] if spec.own_thresholds else self.threshold),
                self.spikes[number].eq(lane.spike),
            ]
        return m
