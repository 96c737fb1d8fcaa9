"""The whole chip: events in; spikes, counts, scores and the class of a sample out; weights tuned on the way."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.astrocyte import Astrocyte
from hw.astrocyte_liquid.input import Input, event_layout
from hw.astrocyte_liquid.lane import Lane
from hw.astrocyte_liquid.memory import Memory, MemoryBox
from hw.astrocyte_liquid.scan import Scan
from hw.astrocyte_liquid.sequencer import Sequencer
from hw.common.hierarchy import place
from hw.common.one_hot import one_of
from hw.common.readout import Readout
from sim.astrocyte_liquid.registers import (
    MODE_ADDRESS,
    STEPS_ADDRESS,
    Region,
    address_width,
    index_bits,
    readout_parts,
    steps_bits,
)
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["STAGES", "AstrocyteLiquid"]

STAGES = ("input", "scan", "walker", "synapse", "neuron", "astrocyte", "readout")
"""Stages in the order of the data path."""


class AstrocyteLiquid(Component):
    """Neuron-astrocyte liquid: `spec.lanes` synapses at once, silent neurons cost no synapse a clock.

    Events of a step enter, one per clock, up to an event with `end`; then the step runs, and the next one opens. After
    the last step of a sample its counts are read out and the class is known. All arithmetic is exact and equal to
    the golden model of the same spec, network and weights, bit for bit.

    Settings, and the memories behind the host's port, are static while a sample runs.

    Reset is asynchronous and reaches every flip-flop; memories are loaded through the host's port.

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
        In ascending order within a step.
    step_valid : Out(1)
        For one clock when a step has ended.
    count : Out(spec.count_width)
    count_valid : Out(1)
        After the last step of a sample: its counts, neuron by neuron, one per clock.
    score : Out(signed(spec.score_width))
    score_valid : Out(1)
        Behind the counts: scores, output 0 first, one per clock.
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
        scan = place(m, platform, "scan", Scan, spec=spec)
        sequencer = place(m, platform, "sequencer", Sequencer, spec=spec)
        astrocyte = place(m, platform, "astrocyte", Astrocyte, spec=spec)
        readout = place(m, platform, "readout", Readout, spec=spec)
        lanes = [
            place(m, platform, f"lane_{number}", Lane, spec=spec, lane=number, boxes=self._boxes)
            for number in range(spec.lanes)
        ]
        part_bits = (readout_parts(spec) - 1).bit_length()
        width = 32 * readout_parts(spec)
        kind = MemoryBox if self._boxes else Memory
        memory = place(
            m, platform, "readout_weights", kind, label="" if self._boxes else "readout_weights",
            width=spec.outputs * spec.readout_weight_bits, depth=spec.neurons,
        )  # fmt: skip

        # --- settings and the host's port -------------------------------------------------------------------------
        plastic = Signal()
        keep = Signal()
        # traces of the first sample after a write of the mode start at 0: their memory has no reset
        forget = Signal()
        steps = Signal(steps_bits(spec), init=spec.steps)
        region, lane = self.write_address[index + lane_bits :], self.write_address[index : index + lane_bits]
        place_ = self.write_address[:index]
        with m.If(sequencer.done):
            m.d.sync += forget.eq(0)
        with m.If(self.write_enable & (region == Region.SETTINGS)):
            with m.If(place_ == MODE_ADDRESS):
                m.d.sync += [Cat(plastic, keep).eq(self.write_data), forget.eq(1)]
            with m.If(place_ == STEPS_ADDRESS):
                m.d.sync += steps.eq(self.write_data)
        to_readout = Signal()
        m.d.comb += to_readout.eq(self.write_enable & (region == Region.READOUT))
        held = Signal(max(width - 32, 1))
        stores = to_readout
        if part_bits:
            part = place_[:part_bits]
            stores = to_readout & (part == readout_parts(spec) - 1)
            for number in range(readout_parts(spec) - 1):
                with m.If(to_readout & (part == number)):
                    m.d.sync += held[32 * number : 32 * number + 32].eq(self.write_data)
        word = Cat(held, self.write_data) if part_bits else self.write_data
        read_region, read_lane = self.read_address[index + lane_bits :], self.read_address[index : index + lane_bits]
        of_weight = Signal()
        shown_lane = Signal(max(lane_bits, 1))
        m.d.sync += [of_weight.eq(self.read_enable & (read_region == Region.WEIGHTS)), shown_lane.eq(read_lane)]
        status = Cat(sequencer.running, readout.class_index)
        m.d.sync += self.read_data.eq(
            Mux(
                of_weight,
                one_of([one.host_word for one in lanes], [shown_lane == n for n in range(spec.lanes)]),
                status,
            )
        )

        # --- steps ------------------------------------------------------------------------------------------------
        full = Signal()
        busy = Signal()
        take = Signal()
        m.d.comb += [
            events.i_events.payload.eq(self.i_events.payload),
            events.i_events.valid.eq(self.i_events.valid),
            self.i_events.ready.eq(events.i_events.ready),
            events.take.eq(sequencer.done),
            sequencer.steps.eq(steps),
            sequencer.restores.eq(plastic & ~keep),
            sequencer.closed.eq(events.closed),
            sequencer.spike.eq(scan.valid),
            sequencer.busy.eq(busy),
            sequencer.read_out.eq(readout.done),
            full.eq(Cat(one.full for one in lanes).any()),
            busy.eq(Cat(one.busy for one in lanes).any()),
            take.eq(sequencer.walk & scan.valid & ~full),
            scan.take.eq(take),
            scan.clear.eq(sequencer.begin),
            scan.load.eq(lanes[0].swept),
            scan.group.eq(lanes[0].swept_group),
            scan.fires.eq(Cat(one.fires for one in lanes)),
            astrocyte.start.eq(sequencer.begin),
            astrocyte.input_spike.eq(take & (scan.source < spec.first_neuron)),
            astrocyte.liquid_spike.eq(take & (scan.source >= spec.first_neuron)),
            astrocyte.update.eq(sequencer.update),
            astrocyte.fades.eq(~keep),
        ]
        # a clock after the sweep of a group, beside its state
        m.d.sync += events.group.eq(sequencer.group)
        counting = Signal()
        asked = Signal(readout.read_neuron.shape())
        m.d.comb += [
            # a clock before the readout asks: counts come from memories
            asked.eq(Mux(readout.read, readout.read_neuron + 1, 0)),
            counting.eq(readout.start | readout.read),
        ]
        shown = Signal(max(lane_bits, 1))
        with m.If(counting):
            m.d.sync += shown.eq(asked[:lane_bits])
        for number, one in enumerate(lanes):
            m.d.comb += [
                one.push.eq(take),
                one.source.eq(scan.source),
                one.restore.eq(sequencer.restore),
                one.plastic.eq(plastic),
                one.keep.eq(keep),
                one.keep_trace.eq(keep & ~forget),
                one.sweep.eq(sequencer.sweep),
                one.group.eq(Mux(counting, (asked >> lane_bits) + spec.input_groups, sequencer.group)),
                one.fresh.eq(sequencer.fresh),
                one.kicked.eq(events.kicked[number]),
                one.potentiation_rate.eq(astrocyte.potentiation),
                one.depression_rate.eq(astrocyte.depression),
                one.count_enable.eq(counting),
                one.host_enable.eq(self.write_enable & (lane == number)),
                one.host_region.eq(region),
                one.host_index.eq(Mux(self.read_enable, self.read_address[:index], place_)),
                one.host_data.eq(self.write_data),
                one.host_read.eq(self.read_enable & (read_region == Region.WEIGHTS)),
            ]
            m.d.comb += [one.potentiations[other].eq(lanes[other].potentiation) for other in range(spec.lanes)]
        m.d.comb += [
            readout.start.eq(sequencer.read),
            readout.first.eq(1),
            readout.last.eq(1),
            readout.bias.eq(0),
            readout.read_count.eq(one_of([one.count for one in lanes], [shown == n for n in range(spec.lanes)])),
            readout.weights.eq(memory.read_data),
            memory.read_address.eq(readout.read_address),
            memory.read_enable.eq(readout.read),
            memory.write_address.eq(place_[part_bits:]),
            memory.write_data.eq(word),
            memory.write_enable.eq(stores),
            self.spike.eq(scan.source),
            self.spike_valid.eq(take),
            self.step_valid.eq(sequencer.done),
            self.count.eq(readout.count),
            self.count_valid.eq(readout.count_valid),
            self.score.eq(readout.score),
            self.score_valid.eq(readout.score_valid),
            self.class_index.eq(readout.class_index),
            self.class_valid.eq(readout.class_valid),
        ]
        return m
