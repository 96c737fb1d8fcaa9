"""A lane: the synapses that enter its neurons, the walker that updates them, and the sweep of its neurons."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.astrocyte import potentiation_rate_bits
from hw.astrocyte_liquid.input import group_bits
from hw.astrocyte_liquid.memory import Memory, MemoryBox
from hw.astrocyte_liquid.neuron import (
    Neuron,
    effect_layout,
    local_bits,
    membrane_layout,
    potentiation_layout,
    state_layout,
)
from hw.astrocyte_liquid.scan import Scan, spikes_layout
from hw.astrocyte_liquid.walker import Walker, incoming_layout, range_layout, slot_layout, weight_layout
from hw.common.hierarchy import place
from sim.astrocyte_liquid.registers import REGIONS, Region, index_bits
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Lane", "memories"]

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
        "stored": (spec.weight_bits, spec.lane_synapses),
        "working": (spec.weight_bits, spec.lane_synapses),
        **(slots if spec.seeded else lists),
        "states": (state_layout(spec).size, spec.groups),
        "membranes": (membrane_layout(spec).size, spec.neuron_groups),
        "currents": (current.width, spec.neuron_groups),
        "effects": (effect_layout(spec).size, spec.neuron_groups),
        "potentiations": (spec.lanes * potentiation_layout(spec).size, spec.groups),
        "spikes": (spikes_layout(spec).size, spec.groups),
    }


class Lane(Component):
    """Memories, scan, walker and neurons of one lane.

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
    walk : In(1)
        The lane is to walk the lists of all sources that fire.
    clear : In(1)
        None fires any more.
    taken : Out(1)
        Its walk begins with `source`.
    source : Out(spec.source_bits)
    restore : In(1)
        Working weights become the stored ones; only while not `busy`.
    busy : Out(1)
    plastic, keep : In(1)
        As of `hw.astrocyte_liquid.walker.Walker`.
    keep_trace : In(1)
        Traces go on from one sample to the next.
    sweep : In(1)
        Read the neuron of `group`.
    group : In(bits of spec.groups)
    sweep_liquid : In(1)
        With `sweep`: the neuron is one of the liquid, `local`.
    local : In(`local_bits`)
    swept : In(1)
        A clock later: what was read is there.
    is_input : In(1)
        With `swept`: the neuron is one of the inputs.
    fresh : In(1)
        First step of a sample.
    kicked : In(1)
        Of the input neuron, with `swept`.
    potentiation_rate : In(potentiation_rate_bits)
    depression_rate : In(signed(spec.rate_bits))
    write : In(1)
        Two clocks after `sweep`: `potentiation` is there, and the new state is written.
    write_group : In(bits of spec.groups)
    write_local : In(`local_bits`)
    write_liquid : In(1)
        With `write`: the neuron is one of the liquid.
    potentiation : Out(potentiation_layout)
    potentiations : In(potentiation_layout) x spec.lanes
        Those of all lanes, in the same clock; with them who fires.
    count_enable : In(1)
        Read the spike count of neuron `local`.
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
    host_word : Out(weight_layout)
        A clock later: stored and working weight.
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec, lane: int, boxes: bool):
        self._spec, self._lane, self._boxes = spec, lane, boxes
        super().__init__(
            {
                "walk": In(1),
                "clear": In(1),
                "taken": Out(1),
                "source": Out(spec.source_bits),
                "restore": In(1),
                "busy": Out(1),
                "plastic": In(1),
                "keep": In(1),
                "keep_trace": In(1),
                "sweep": In(1),
                "group": In(group_bits(spec)),
                "sweep_liquid": In(1),
                "local": In(local_bits(spec)),
                "swept": In(1),
                "is_input": In(1),
                "fresh": In(1),
                "kicked": In(1),
                "potentiation_rate": In(potentiation_rate_bits(spec)),
                "depression_rate": In(signed(spec.rate_bits)),
                "write": In(1),
                "write_group": In(group_bits(spec)),
                "write_local": In(local_bits(spec)),
                "write_liquid": In(1),
                "potentiation": Out(potentiation_layout(spec)),
                "potentiations": In(ArrayLayout(potentiation_layout(spec), spec.lanes)),
                "count_enable": In(1),
                "count": Out(spec.count_width),
                "host_enable": In(1),
                "host_region": In(3),
                "host_index": In(index_bits(spec)),
                "host_data": In(32),
                "host_read": In(1),
                "host_word": Out(weight_layout(spec)),
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
        scan = place(m, platform, "scan", Scan, spec=spec)
        walker = place(m, platform, "walker", Walker, spec=spec, lane=self._lane)
        neuron = place(m, platform, "neuron", Neuron, spec=spec)
        spikes = stores["spikes"]
        m.d.comb += [
            scan.load.eq(self.write),
            scan.group.eq(self.write_group),
            scan.fires.eq(Cat(one.fired for one in self.potentiations)),
            scan.clear.eq(self.clear),
            scan.take.eq(walker.pop),
            spikes.write_address.eq(scan.write_address),
            spikes.write_data.eq(scan.write_data),
            spikes.write_enable.eq(scan.write_enable),
            spikes.read_address.eq(scan.read_address),
            spikes.read_enable.eq(scan.read_enable),
            scan.read_data.eq(spikes.read_data),
            walker.source.eq(scan.source),
            walker.valid.eq(self.walk & scan.valid),
            walker.walk.eq(self.walk),
            walker.restore.eq(self.restore),
            walker.plastic.eq(self.plastic),
            walker.keep.eq(self.keep),
            self.taken.eq(walker.pop),
            self.source.eq(scan.source),
            self.busy.eq(walker.busy | scan.waiting),
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
        stored, working = stores["stored"], stores["working"]
        loads = Signal()
        m.d.comb += loads.eq(self.host_enable & (self.host_region == Region.WEIGHTS))
        for kind, store in (("stored", stored), ("working", working)):
            m.d.comb += [
                store.write_address.eq(Mux(loads, self.host_index, walker.weight_write_address)),
                store.write_data.eq(Mux(loads, self.host_data, getattr(walker, f"{kind}_write_data"))),
                store.write_enable.eq(loads | getattr(walker, f"{kind}_write")),
                store.read_address.eq(Mux(self.host_read, self.host_index, walker.weight_address)),
                store.read_enable.eq(self.host_read | getattr(walker, f"{kind}_enable")),
                getattr(walker, f"{kind}_data").eq(store.read_data),
            ]
        m.d.comb += [
            self.host_word.stored.eq(stored.read_data),
            self.host_word.working.eq(working.read_data),
        ]
        # --- neurons ----------------------------------------------------------------------------------------------
        liquid = self.write_liquid
        m.d.comb += [
            neuron.valid.eq(self.swept),
            neuron.is_input.eq(self.is_input),
            neuron.fresh.eq(self.fresh),
            neuron.keep_trace.eq(self.keep_trace),
            neuron.kicked.eq(self.kicked),
            neuron.potentiation_rate.eq(self.potentiation_rate),
            neuron.depression_rate.eq(self.depression_rate),
            stores["states"].read_address.eq(self.group),
            stores["states"].read_enable.eq(self.sweep),
            neuron.old_state.eq(stores["states"].read_data),
            stores["states"].write_address.eq(self.write_group),
            stores["states"].write_data.eq(neuron.new_state),
            stores["states"].write_enable.eq(self.write),
            stores["membranes"].read_address.eq(self.local),
            stores["membranes"].read_enable.eq(self.sweep_liquid | self.count_enable),
            neuron.old_membrane.eq(stores["membranes"].read_data),
            self.count.eq(neuron.old_membrane.count),
            stores["membranes"].write_address.eq(self.write_local),
            stores["membranes"].write_data.eq(neuron.new_membrane),
            stores["membranes"].write_enable.eq(liquid),
            stores["currents"].read_address.eq(Mux(self.sweep_liquid, self.local, walker.neuron_address)),
            stores["currents"].read_enable.eq(self.sweep_liquid | walker.neuron_enable),
            neuron.current.eq(stores["currents"].read_data),
            walker.current_data.eq(stores["currents"].read_data),
            stores["currents"].write_address.eq(Mux(liquid, self.write_local, walker.current_write_address)),
            stores["currents"].write_data.eq(Mux(liquid, neuron.new_current, walker.current_write_data)),
            stores["currents"].write_enable.eq(liquid | walker.current_write),
            stores["effects"].read_address.eq(walker.neuron_address),
            stores["effects"].read_enable.eq(walker.neuron_enable),
            walker.effect_data.eq(stores["effects"].read_data),
            stores["effects"].write_address.eq(self.write_local),
            stores["effects"].write_data.eq(neuron.effect),
            stores["effects"].write_enable.eq(liquid),
            stores["potentiations"].read_address.eq(walker.group_address),
            stores["potentiations"].read_enable.eq(walker.group_enable),
            walker.group_data.eq(stores["potentiations"].read_data),
            stores["potentiations"].write_address.eq(self.write_group),
            stores["potentiations"].write_data.eq(self.potentiations),
            stores["potentiations"].write_enable.eq(self.write),
            self.potentiation.eq(neuron.potentiation),
        ]
        return m
