"""Thresholds of the neurons where each has its own: that of the register plus an offset."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import one_of
from hw.lsm_crossbar.counter import lane_and_select, neuron_bits
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Threshold", "ThresholdLane"]


class ThresholdLane(Component):
    """The offsets of one lane, and one adder for all.

    Reset: offsets 0, asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec
    neurons : int
        Neurons of this lane, 1 to `spec.columns_per_adc`.

    Members
    -------
    base : In(spec.threshold_width)
        Of the register.
    own : In(1)
        Without it every offset counts as 0.
    index : In(bits of spec.columns_per_adc)
    load : In(1)
        Neuron `index` takes `offset` at the next clock edge.
    offset : In(signed(spec.offset_width))
    threshold : Out(spec.threshold_width)
        Of neuron `index`; combinational.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec, neurons: int):
        if not 1 <= neurons <= spec.columns_per_adc:
            raise ValueError(f"a lane has 1 to {spec.columns_per_adc} neurons, got {neurons}")
        self._spec, self._neurons = spec, neurons
        super().__init__(
            {
                "base": In(spec.threshold_width),
                "own": In(1),
                "index": In(spec.select_bits),
                "load": In(1),
                "offset": In(signed(spec.offset_width)),
                "threshold": Out(spec.threshold_width),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        offsets, hits = [], []
        for neuron in range(self._neurons):
            offset = Signal(signed(spec.offset_width), name=f"offset_{neuron}")
            hit = Signal(name=f"hit_{neuron}")
            m.d.comb += hit.eq(self.index == neuron)
            with m.If(self.load & hit):
                m.d.sync += offset.eq(self.offset)
            offsets.append(offset)
            hits.append(hit)
        chosen = Signal(signed(spec.offset_width))
        m.d.comb += [
            chosen.eq(one_of(offsets, [hit & self.own for hit in hits])),
            self.threshold.eq(self.base + chosen),
        ]
        return m


class Threshold(Component):
    """All offsets, a lane beside each lane of neurons, and the port through which the homeostat loads them one by one.

    Neurons decide and the homeostat loads at different times: while `load` is high the lanes listen to `load_neuron`.

    Throughput one select, or one load, per clock. Reset: all offsets 0, asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec
        One with a threshold of each neuron.

    Members
    -------
    base : In(spec.threshold_width)
    own : In(1)
    index : In(bits of spec.columns_per_adc)
        As `ThresholdLane`, for all lanes.
    load : In(1)
    load_neuron : In(bits of spec.neurons)
    load_offset : In(signed(spec.offset_width))
    thresholds : Out(spec.threshold_width) x spec.active_lanes
        Lane l: neuron l * columns_per_adc + `index`.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(
            {
                "base": In(spec.threshold_width),
                "own": In(1),
                "index": In(spec.select_bits),
                "load": In(1),
                "load_neuron": In(neuron_bits(spec)),
                "load_offset": In(signed(spec.offset_width)),
                "thresholds": Out(ArrayLayout(spec.threshold_width, spec.active_lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        index = Signal(spec.select_bits)
        load_lane = Signal(max((spec.active_lanes - 1).bit_length(), 1))
        lane_of, select_of = lane_and_select(spec, self.load_neuron)
        m.d.comb += [
            load_lane.eq(lane_of),
            index.eq(Mux(self.load, select_of, self.index)),
        ]
        for number in range(spec.active_lanes):
            neurons = min(spec.columns_per_adc, spec.neurons - number * spec.columns_per_adc)
            lane = place(m, platform, f"lane_{number}", ThresholdLane, spec=spec, neurons=neurons)
            m.d.comb += [
                lane.base.eq(self.base),
                lane.own.eq(self.own),
                lane.index.eq(index),
                lane.load.eq(self.load & (load_lane == number)),
                lane.offset.eq(self.load_offset),
                self.thresholds[number].eq(lane.threshold),
            ]
        return m
