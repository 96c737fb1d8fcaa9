"""A lane: the synapses that enter its neurons, the walker that updates them, and the sweep of its neurons."""

from collections.abc import Mapping

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.input import group_bits
from hw.astrocyte_liquid.memory import Memory, MemoryBox
from hw.astrocyte_liquid.neuron import Neuron, effect_layout, local_bits, potentiation_layout, state_layout
from hw.astrocyte_liquid.queue import Queue
from hw.astrocyte_liquid.walker import Walker, incoming_layout, range_layout, slot_layout, weight_layout
from hw.common.hierarchy import place
from sim.astrocyte_liquid.registers import REGIONS, Region, index_bits
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["QUEUE_DEPTH", "Lane", "memories"]

QUEUE_DEPTH = 8
"""Sources that may wait for a lane: 54 spike in a step, and lists differ in length by half."""

_PORTS = {"targets": "target", "slots": "slot", "lists": "list", "back": "back", "incoming": "incoming"}
"""What the walker calls the memories that tell it numbers."""


def memories(spec: AstrocyteSpec) -> Mapping[str, tuple[int, int]]:
    """Memories of a lane: bits of a word and words, by name."""
    current = signed(spec.current_bits)
    lists = {
        "targets": (local_bits(spec), spec.lane_synapses),
        "lists": (range_layout(spec).size, spec.groups * spec.lanes),
        "back": (range_layout(spec).size, spec.neuron_groups),
        "incoming": (incoming_layout(spec).size, spec.lane_synapses),
    }
    slots = {
        "slots": (slot_layout(spec).size, spec.slots),
        "lists": (range_layout(spec).size, spec.input_blocks + spec.lanes),
    }
    return {
        "weights": (weight_layout(spec).size, spec.lane_synapses),
        **(slots if spec.seeded else lists),
        "states": (state_layout(spec).size, spec.groups),
        "currents": (current.width, spec.neuron_groups),
        "effects": (effect_layout(spec).size, spec.neuron_groups),
        "potentiations": (spec.lanes * potentiation_layout(spec).size, spec.groups),
    }


class Lane(Component):
    """Memories, queue, walker and neurons of one lane.

    Walks and sweeps never overlap; the host's port and the counts are for a chip that does neither.

    Reset: idle, asynchronous. Memories have no reset: states are those of rest in the first step of a sample, the
    others are loaded.

    Parameters
    ----------
    spec : AstrocyteSpec
    lane : int
        Its number.
    boxes : bool
        Memories are black boxes.

    Members
    -------
    push : In(1)
        The lane is to walk the lists of `source`; only while not `full`.
    source : In(spec.source_bits)
    full : Out(1)
    restore : In(1)
        Working weights become the stored ones; only while not `busy`.
    busy : Out(1)
    plastic, keep : In(1)
        As of `hw.astrocyte_liquid.walker.Walker`.
    keep_trace : In(1)
        Traces go on from one sample to the next.
    sweep : In(1)
        Read the neuron of `group`; two clocks later its new state is written.
    group : In(bits of spec.groups)
    fresh : In(1)
        First step of a sample.
    kicked : In(1)
        Of the input neuron, a clock after `sweep`.
    potentiation_rate : In(spec.rate_bits - 1)
    depression_rate : In(signed(spec.rate_bits))
    swept : Out(1)
        The next three are there.
    swept_group : Out(bits of spec.groups)
    fires : Out(1)
    potentiation : Out(potentiation_layout)
    potentiations : In(potentiation_layout) x spec.lanes
        Those of all lanes, in the same clock.
    count_enable : In(1)
        Read the spike count of the neuron of `group`.
    count : Out(spec.count_width)
        A clock later.
    host_enable : In(1)
        Write a word into a memory.
    host_region : In(3)
        Of `sim.astrocyte_liquid.registers.Region`.
    host_index : In(index bits)
    host_data : In(32)
    host_read : In(1)
        Read the weight of `host_index`.
    host_word : Out(32)
        A clock later: stored and working weight.
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec, lane: int, boxes: bool):
        self._spec, self._lane, self._boxes = spec, lane, boxes
        super().__init__(
            {
                "push": In(1),
                "source": In(spec.source_bits),
                "full": Out(1),
                "restore": In(1),
                "busy": Out(1),
                "plastic": In(1),
                "keep": In(1),
                "keep_trace": In(1),
                "sweep": In(1),
                "group": In(group_bits(spec)),
                "fresh": In(1),
                "kicked": In(1),
                "potentiation_rate": In(spec.rate_bits - 1),
                "depression_rate": In(signed(spec.rate_bits)),
                "swept": Out(1),
                "swept_group": Out(group_bits(spec)),
                "fires": Out(1),
                "potentiation": Out(potentiation_layout(spec)),
                "potentiations": In(ArrayLayout(potentiation_layout(spec), spec.lanes)),
                "count_enable": In(1),
                "count": Out(spec.count_width),
                "host_enable": In(1),
                "host_region": In(3),
                "host_index": In(index_bits(spec)),
                "host_data": In(32),
                "host_read": In(1),
                "host_word": Out(32),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        kind = MemoryBox if self._boxes else Memory

        def label(name: str) -> str:
            # equal black boxes are one cell of the memory compiler, whatever they hold
            return "" if self._boxes else name

        stores = {
            # not by the name alone: the lane has a port of one of these names
            name: place(m, platform, f"{name}_memory", kind, label=label(name), width=width, depth=depth)
            for name, (width, depth) in memories(spec).items()
        }
        queue = place(m, platform, "queue", Queue, width=spec.source_bits, depth=QUEUE_DEPTH)
        walker = place(m, platform, "walker", Walker, spec=spec, lane=self._lane)
        neuron = place(m, platform, "neuron", Neuron, spec=spec)
        m.d.comb += [
            queue.push.eq(self.push),
            queue.i.eq(self.source),
            self.full.eq(queue.full),
            queue.pop.eq(walker.pop),
            walker.source.eq(queue.o),
            walker.valid.eq(queue.valid),
            walker.restore.eq(self.restore),
            self.busy.eq(walker.busy),
            walker.plastic.eq(self.plastic),
            walker.keep.eq(self.keep),
        ]
        # --- what the host loads ----------------------------------------------------------------------------------
        numbers = [name for name in REGIONS if name in stores]
        for name in numbers:
            m.d.comb += [
                stores[name].write_address.eq(self.host_index),
                stores[name].write_data.eq(self.host_data),
                stores[name].write_enable.eq(self.host_enable & (self.host_region == REGIONS[name])),
            ]
        for name in numbers:
            port = _PORTS[name]
            m.d.comb += [
                stores[name].read_address.eq(getattr(walker, f"{port}_address")),
                stores[name].read_enable.eq(getattr(walker, f"{port}_enable")),
                getattr(walker, f"{port}_data").eq(stores[name].read_data),
            ]
        weights = stores["weights"]
        loads = Signal()
        loaded = Signal(weight_layout(spec))
        word = Signal(weight_layout(spec))
        m.d.comb += [
            loads.eq(self.host_enable & (self.host_region == Region.WEIGHTS)),
            loaded.stored.eq(self.host_data),
            loaded.working.eq(self.host_data),
            weights.write_address.eq(Mux(loads, self.host_index, walker.weight_write_address)),
            weights.write_data.eq(Mux(loads, loaded.as_value(), walker.weight_write_data.as_value())),
            weights.write_enable.eq(loads | walker.weight_write),
            weights.read_address.eq(Mux(self.host_read, self.host_index, walker.weight_address)),
            weights.read_enable.eq(self.host_read | walker.weight_enable),
            walker.weight_data.eq(weights.read_data),
            word.eq(weights.read_data),
            self.host_word[:16].as_signed().eq(word.stored),
            self.host_word[16:].as_signed().eq(word.working),
        ]
        # --- neurons ----------------------------------------------------------------------------------------------
        m.d.sync += neuron.valid.eq(self.sweep)
        with m.If(self.sweep):
            m.d.sync += neuron.group.eq(self.group)
        local = Signal(local_bits(spec))
        new_local = Signal(local_bits(spec))
        liquid = Signal()
        m.d.comb += [
            local.eq(self.group - spec.input_groups),
            new_local.eq(neuron.write_group - spec.input_groups),
            liquid.eq(neuron.write & ~neuron.is_input),
            neuron.fresh.eq(self.fresh),
            neuron.keep_trace.eq(self.keep_trace),
            neuron.kicked.eq(self.kicked),
            neuron.potentiation_rate.eq(self.potentiation_rate),
            neuron.depression_rate.eq(self.depression_rate),
            stores["states"].read_address.eq(self.group),
            stores["states"].read_enable.eq(self.sweep | self.count_enable),
            neuron.old_state.eq(stores["states"].read_data),
            self.count.eq(neuron.old_state.count),
            stores["states"].write_address.eq(neuron.write_group),
            stores["states"].write_data.eq(neuron.new_state),
            stores["states"].write_enable.eq(neuron.write),
            stores["currents"].read_address.eq(Mux(self.sweep, local, walker.neuron_address)),
            stores["currents"].read_enable.eq(self.sweep | walker.neuron_enable),
            neuron.current.eq(stores["currents"].read_data),
            walker.current_data.eq(stores["currents"].read_data),
            stores["currents"].write_address.eq(Mux(liquid, new_local, walker.current_write_address)),
            stores["currents"].write_data.eq(Mux(liquid, neuron.new_current, walker.current_write_data)),
            stores["currents"].write_enable.eq(liquid | walker.current_write),
            stores["effects"].read_address.eq(walker.neuron_address),
            stores["effects"].read_enable.eq(walker.neuron_enable),
            walker.effect_data.eq(stores["effects"].read_data),
            stores["effects"].write_address.eq(new_local),
            stores["effects"].write_data.eq(neuron.effect),
            stores["effects"].write_enable.eq(liquid),
            stores["potentiations"].read_address.eq(walker.group_address),
            stores["potentiations"].read_enable.eq(walker.group_enable),
            walker.group_data.eq(stores["potentiations"].read_data),
            stores["potentiations"].write_address.eq(neuron.write_group),
            stores["potentiations"].write_data.eq(self.potentiations),
            stores["potentiations"].write_enable.eq(neuron.write),
            self.swept.eq(neuron.write),
            self.swept_group.eq(neuron.write_group),
            self.fires.eq(neuron.fires),
            self.potentiation.eq(neuron.potentiation),
        ]
        return m
