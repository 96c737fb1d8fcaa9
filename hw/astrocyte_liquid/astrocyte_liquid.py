"""The whole chip: events in; spikes, counts, scores and the class of a sample out; weights tuned on the way."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.astrocyte import Astrocyte
from hw.astrocyte_liquid.input import Input, event_layout
from hw.astrocyte_liquid.lane import Lane
from hw.astrocyte_liquid.memory import Memory, MemoryBox
from hw.astrocyte_liquid.readout import Readout
from hw.astrocyte_liquid.sequencer import Sequencer
from hw.astrocyte_liquid.walker import weight_layout
from hw.common.hierarchy import place
from hw.common.one_hot import one_of
from sim.astrocyte_liquid.registers import (
    MODE_ADDRESS,
    STEPS_ADDRESS,
    Region,
    address_width,
    index_bits,
    steps_bits,
)
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["STAGES", "AstrocyteLiquid", "shared_memories"]

STAGES = ("input", "scan", "walker", "synapse", "neuron", "astrocyte", "readout")
"""Stages in the order of the data path."""


def shared_memories(spec: AstrocyteSpec) -> Mapping[str, tuple[int, int]]:
    """Memories that no lane has: bits of a word and words, by name."""
    return {
        "events": (spec.lanes, spec.input_groups),
        "readout_weights": (spec.readout_weight_bits, spec.outputs * spec.neurons),
    }


class AstrocyteLiquid(Component):
    """Neuron-astrocyte liquid: `spec.lanes` synapses at once, silent neurons cost no synapse a clock.

    Events of a step enter, one per clock, up to an event with `end`; then the step runs, and the next one opens. After
    the last step of a sample its counts are read out and the class is known. All arithmetic is exact and equal to
    the golden model of the same spec, network and weights, bit for bit.

    Settings, and the memories behind the host's port, are static while a sample runs.

    Reset is asynchronous and reaches every flip-flop but those that are loaded before they count; memories are loaded
    through the host's port. After a reset the marks of input events are cleared first, a group a clock.

    Parameters
    ----------
    spec : AstrocyteSpec
    boxes : bool
        Memories are black boxes, for an ASIC.

    Members
    -------
    i_events : In(stream of `hw.astrocyte_liquid.input.event_layout`)
    write_address : In(bits of `sim.astrocyte_liquid.registers.address_width`)
        Word address in `sim.astrocyte_liquid.registers`.
    write_data : In(32)
    write_enable : In(1)
        Write at the next clock edge.
    read_address : In(bits of address_width)
    read_enable : In(1)
        Read a weight, only while the chip does not run; `read_data` shows it two clocks later.
    read_data : Out(32)
    spike : Out(spec.source_bits)
        Source that fires.
    spike_valid : Out(1)
        In ascending order within a step, as lane 0 walks its synapses.
    step_valid : Out(1)
        For one clock when a step has ended.
    count : Out(spec.count_width)
    count_valid : Out(1)
        After the last step of a sample: its counts, neuron by neuron, one per clock.
    score : Out(signed(spec.score_width))
    score_valid : Out(1)
        From the end of the counts on: scores, output 0 first, one in spec.neurons clocks.
    class_index : Out(bits of spec.outputs)
        Largest score, lowest output of equals. Stays until the scores of the next sample leave.
    class_valid : Out(1)
        For one clock when a sample has ended.
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec, boxes: bool = True):
        self._spec, self._boxes = spec, boxes
        super().__init__(
            {
                "i_events": In(stream.Signature(event_layout(spec))),
                "write_address": In(address_width(spec)),
                "write_data": In(32),
                "write_enable": In(1),
                "read_address": In(address_width(spec)),
                "read_enable": In(1),
                "read_data": Out(32),
                "spike": Out(spec.source_bits),
                "spike_valid": Out(1),
                "step_valid": Out(1),
                "count": Out(spec.count_width),
                "count_valid": Out(1),
                "score": Out(signed(spec.score_width)),
                "score_valid": Out(1),
                "class_index": Out(spec.class_bits),
                "class_valid": Out(1),
            }
        )

    @property
    def spec(self) -> AstrocyteSpec:
        """What was generated."""
        return self._spec

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        lane_bits, index = (spec.lanes - 1).bit_length(), index_bits(spec)
        events = place(m, platform, "input", Input, spec=spec)
        sequencer = place(m, platform, "sequencer", Sequencer, spec=spec)
        astrocyte = place(m, platform, "astrocyte", Astrocyte, spec=spec)
        readout = place(m, platform, "readout", Readout, spec=spec)
        lanes = [
            place(m, platform, f"lane_{number}", Lane, spec=spec, lane=number, boxes=self._boxes)
            for number in range(spec.lanes)
        ]
        kind = MemoryBox if self._boxes else Memory
        marks, weights = (
            place(m, platform, f"{name}_memory", kind, label="" if self._boxes else name, width=width, depth=depth)
            for name, (width, depth) in shared_memories(spec).items()
        )

        # --- settings and the host's port -------------------------------------------------------------------------
        # samples are plastic: in their working weights, or in the stored ones, which then keep what they learn
        works = Signal()
        keep = Signal()
        plastic = works | keep
        # traces of the first sample after a write of the mode start at 0: their memory has no reset
        forget = Signal()
        steps = Signal(steps_bits(spec), init=spec.steps)
        region, lane = self.write_address[index + lane_bits :], self.write_address[index : index + lane_bits]
        place_ = self.write_address[:index]
        with m.If(sequencer.done):
            m.d.sync += forget.eq(0)
        with m.If(self.write_enable & (region == Region.SETTINGS)):
            with m.If(place_ == MODE_ADDRESS):
                kept = self.write_data[0] & self.write_data[1]
                m.d.sync += [works.eq(self.write_data[0] & ~self.write_data[1]), keep.eq(kept), forget.eq(1)]
            with m.If(place_ == STEPS_ADDRESS):
                m.d.sync += steps.eq(self.write_data)
        read_region, read_lane = self.read_address[index + lane_bits :], self.read_address[index : index + lane_bits]
        of_weight = Signal()
        # the words of weights that are read: the memories show them, then the port
        shows = Signal()
        told = Signal()
        status = Signal(1 + spec.class_bits)
        as_read = Signal(32)
        shown_lane = Signal(max(lane_bits, 1), reset_less=True)
        shown = Signal(weight_layout(spec), reset_less=True)
        m.d.comb += of_weight.eq(self.read_enable & (read_region == Region.WEIGHTS))
        m.d.sync += shows.eq(of_weight)
        with m.If(of_weight):
            m.d.sync += shown_lane.eq(read_lane)
        m.d.sync += told.eq(shows)
        with m.If(shows):
            words = [one.host_word.as_value() for one in lanes]
            m.d.sync += shown.eq(one_of(words, [shown_lane == number for number in range(spec.lanes)]))
        m.d.comb += [
            status.eq(Cat(sequencer.running, readout.class_index)),
            as_read[:16].as_signed().eq(shown.stored),
            as_read[16:].as_signed().eq(shown.working),
            self.read_data.eq(Mux(told, as_read, status)),
            weights.write_address.eq(place_),
            weights.write_data.eq(self.write_data),
            weights.write_enable.eq(self.write_enable & (region == Region.READOUT)),
        ]

        # --- steps ------------------------------------------------------------------------------------------------
        busy = Signal()
        taken = Signal()
        source = Signal(spec.source_bits)
        of_inputs = Signal()
        m.d.comb += [
            # every lane walks all sources: one speaks for all
            taken.eq(lanes[0].taken),
            source.eq(Mux(taken, lanes[0].source, 0)),
            events.i_events.payload.eq(self.i_events.payload),
            events.i_events.valid.eq(self.i_events.valid),
            self.i_events.ready.eq(events.i_events.ready),
            events.take.eq(sequencer.done),
            of_inputs.eq(sequencer.group < spec.input_groups),
            events.sweep.eq(sequencer.sweep & of_inputs),
            events.group.eq(sequencer.group),
            marks.write_address.eq(events.write_address),
            marks.write_data.eq(events.write_data),
            marks.write_enable.eq(events.write_enable),
            marks.read_address.eq(events.read_address),
            marks.read_enable.eq(events.read_enable),
            events.read_data.eq(marks.read_data),
            sequencer.steps.eq(steps),
            sequencer.restores.eq(works),
            sequencer.closed.eq(events.closed),
            sequencer.busy.eq(busy),
            sequencer.read_out.eq(readout.class_valid),
            busy.eq(Cat(one.busy for one in lanes).any()),
            astrocyte.start.eq(sequencer.begin),
            astrocyte.input_spike.eq(taken & (source < spec.first_neuron)),
            astrocyte.liquid_spike.eq(taken & (source >= spec.first_neuron)),
            astrocyte.update.eq(sequencer.update),
            astrocyte.fades.eq(~keep),
        ]
        counted = Signal(max(lane_bits, 1), reset_less=True)
        with m.If(readout.read):
            m.d.sync += counted.eq(readout.neuron[:lane_bits])
        for number, one in enumerate(lanes):
            m.d.comb += [
                one.walk.eq(sequencer.walk),
                one.clear.eq(sequencer.begin | sequencer.update),
                one.restore.eq(sequencer.restore),
                one.plastic.eq(plastic),
                one.keep.eq(keep),
                one.keep_trace.eq(keep & ~forget),
                one.sweep.eq(sequencer.sweep),
                one.group.eq(sequencer.group),
                one.sweep_liquid.eq(sequencer.sweep & ~of_inputs),
                one.local.eq(Mux(readout.read, readout.neuron >> lane_bits, sequencer.group - spec.input_groups)),
                one.swept.eq(sequencer.swept),
                one.is_input.eq(sequencer.swept_group < spec.input_groups),
                one.fresh.eq(sequencer.fresh),
                one.kicked.eq(events.kicked[number]),
                one.potentiation_rate.eq(astrocyte.potentiation),
                one.depression_rate.eq(astrocyte.depression),
                one.write.eq(sequencer.write),
                one.write_group.eq(sequencer.write_group),
                one.write_local.eq(sequencer.write_group - spec.input_groups),
                one.write_liquid.eq(sequencer.write & (sequencer.write_group >= spec.input_groups)),
                one.count_enable.eq(readout.read & (readout.neuron[:lane_bits] == number if lane_bits else 1)),
                one.host_enable.eq(self.write_enable & (lane == number)),
                one.host_region.eq(region),
                one.host_index.eq(Mux(self.read_enable, self.read_address[:index], place_)),
                one.host_data.eq(self.write_data),
                one.host_read.eq(of_weight),
            ]
            m.d.comb += [one.potentiations[other].eq(lanes[other].potentiation) for other in range(spec.lanes)]
        counts = [one.count for one in lanes]
        m.d.comb += [
            readout.start.eq(sequencer.read),
            readout.read_count.eq(one_of(counts, [counted == number for number in range(spec.lanes)])),
            readout.weight.eq(weights.read_data),
            weights.read_address.eq(readout.address),
            weights.read_enable.eq(readout.read),
            self.spike.eq(source),
            self.spike_valid.eq(taken),
            self.step_valid.eq(sequencer.done),
            self.count.eq(Mux(readout.count_valid, readout.read_count, 0)),
            self.count_valid.eq(readout.count_valid),
            self.score.eq(readout.score),
            self.score_valid.eq(readout.score_valid),
            self.class_index.eq(readout.class_index),
            self.class_valid.eq(readout.class_valid),
        ]
        return m
