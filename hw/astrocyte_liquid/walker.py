"""Synapse walker of a lane: all synapses of a source that fires, and all that enter a neuron of the lane that fires."""

from typing import Any

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib.data import ArrayLayout, StructLayout
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.input import group_bits
from hw.astrocyte_liquid.neuron import effect_layout, local_bits, potentiation_layout
from hw.astrocyte_liquid.synapse import Synapse
from hw.common.hierarchy import place
from sim.astrocyte_liquid.lanes import slot_high_bits
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Walker", "address_bits", "incoming_layout", "range_layout", "slot_layout", "weight_layout"]


def address_bits(spec: AstrocyteSpec) -> int:
    """Bits of the number of a synapse within its lane."""
    return max(1, (spec.lane_synapses - 1).bit_length())


def range_layout(spec: AstrocyteSpec) -> StructLayout:
    """A list of synapses, or of slots: its first, and how many."""
    if spec.seeded:
        return StructLayout({"first": slot_bits(spec), "count": spec.slots.bit_length()})
    return StructLayout({"first": address_bits(spec), "count": max(spec.fan_in_max, spec.neuron_groups).bit_length()})


def slot_bits(spec: AstrocyteSpec) -> int:
    """Bits of the number of a slot."""
    return max(1, (spec.slots - 1).bit_length())


def slot_layout(spec: AstrocyteSpec) -> StructLayout:
    """What a slot leads to, see `sim.astrocyte_liquid.slots`.

    Of inputs the offset and the block; of neurons the step, in groups of lanes and what is left below a group.
    """
    return StructLayout({"offset": spec.ring_bits, "high": slot_high_bits(spec), "liquid": 1})


def weight_layout(spec: AstrocyteSpec) -> StructLayout:
    """A weight as samples start from it, and as it is now."""
    return StructLayout({"stored": signed(spec.weight_bits), "working": signed(spec.weight_bits)})


def incoming_layout(spec: AstrocyteSpec) -> StructLayout:
    """A synapse in the list of the neuron that it enters: its number within the lane, and its source."""
    return StructLayout({"synapse": address_bits(spec), "source": spec.source_bits})


class _State(Enum, shape=2):
    IDLE = 0
    FORWARD = 1
    BACKWARD = 2
    RESTORE = 3


class Walker(Component):
    """Takes sources from the scan, one after another.

    *Forward*, for each synapse of the source in this lane: its weight is added to the current of the neuron that it
    enters; where plasticity is on, the weight then loses the neuron's depression, and gains the source's potentiation
    if the neuron fires, too. *Backward*, if the source is a neuron of this lane and plasticity is on: each synapse that
    enters it gains the potentiation of its source, unless that fires as well: its own list is, or was, walked forward.

    One synapse per clock, in three stages: numbers, operands, results. What a source has to walk is read while the list
    before is walked; between two lists a clock passes, so that a current is written before it is read again.
    `restore` walks all weights of the lane and makes the working one the stored one.

    In a seeded chip a list is one of slots, from which the neuron or the source of each synapse is computed; backward
    all slots are walked. A slot without synapse costs its clock and changes nothing.

    Reset: idle, asynchronous; addresses and numbers have none, they are loaded before they are used.

    Parameters
    ----------
    spec : AstrocyteSpec
    lane : int
        Number of the lane.

    Members
    -------
    source : In(spec.source_bits)
    valid : In(1)
        A source waits; it stays until `pop`.
    pop : Out(1)
        It is taken.
    walk : In(1)
        While sources come, and until none is left to walk.
    restore : In(1)
        For one clock, while not `busy`.
    busy : Out(1)
    plastic, keep : In(1)
        Weights change; changes stay in the stored weights. Without `plastic`, or with `keep`, stored weights are used.
    list_address, list_enable, list_data
        Memory of `range_layout` by source; of a seeded chip by block of inputs, then by the lane of a neuron.
    slot_address, slot_enable, slot_data
        Memory of `slot_layout`, of a seeded chip alone; the next three are of the other one alone.
    back_address, back_enable, back_data
        Memory of `range_layout` by neuron of the lane.
    target_address, target_enable, target_data
        Memory of neurons that synapses enter.
    incoming_address, incoming_enable, incoming_data
        Memory of `incoming_layout`.
    weight_address, weight_write_address : Out
        Of the next two memories: weights as samples start from them, and as they are now.
    stored_enable, stored_data, stored_write, stored_write_data
    working_enable, working_data, working_write, working_write_data
        Only the one that counts is read.
    neuron_address, neuron_enable : Out
        Reads the next two.
    current_data : In(signed(spec.current_bits))
    effect_data : In(effect_layout)
    current_write, current_write_address, current_write_data : Out
    group_address, group_enable, group_data
        Memory of `potentiation_layout` of all sources of a group.
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec, lane: int):
        self._spec, self._lane = spec, lane
        address, local, weight = address_bits(spec), local_bits(spec), signed(spec.weight_bits)
        numbers: dict[str, Any] = {
            "list_address": Out(spec.source_bits),
            "list_enable": Out(1),
            "list_data": In(range_layout(spec)),
            "back_address": Out(local),
            "back_enable": Out(1),
            "back_data": In(range_layout(spec)),
            "target_address": Out(address),
            "target_enable": Out(1),
            "target_data": In(local),
            "incoming_address": Out(address),
            "incoming_enable": Out(1),
            "incoming_data": In(incoming_layout(spec)),
        }
        if spec.seeded:
            numbers = {
                "list_address": Out(max(1, (spec.input_blocks + spec.lanes - 1).bit_length())),
                "list_enable": Out(1),
                "list_data": In(range_layout(spec)),
                "slot_address": Out(slot_bits(spec)),
                "slot_enable": Out(1),
                "slot_data": In(slot_layout(spec)),
            }
        super().__init__(
            {
                "source": In(spec.source_bits),
                "valid": In(1),
                "pop": Out(1),
                "walk": In(1),
                "restore": In(1),
                "busy": Out(1),
                "plastic": In(1),
                "keep": In(1),
                **numbers,
                "weight_address": Out(address),
                "weight_write_address": Out(address),
                **{
                    f"{kind}_{pin}": shape
                    for kind in ("stored", "working")
                    for pin, shape in (
                        ("enable", Out(1)),
                        ("data", In(weight)),
                        ("write", Out(1)),
                        ("write_data", Out(weight)),
                    )
                },
                "neuron_address": Out(local),
                "neuron_enable": Out(1),
                "current_data": In(signed(spec.current_bits)),
                "effect_data": In(effect_layout(spec)),
                "current_write": Out(1),
                "current_write_address": Out(local),
                "current_write_data": Out(signed(spec.current_bits)),
                "group_address": Out(group_bits(spec)),
                "group_enable": Out(1),
                "group_data": In(ArrayLayout(potentiation_layout(spec), spec.lanes)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        lane_bits = (spec.lanes - 1).bit_length()
        state = Signal(_State)
        place_ = Signal(address_bits(spec), name="place", reset_less=True)
        left = Signal(len(self.list_data.count), reset_less=True)
        source = Signal(spec.source_bits, name="walked_source", reset_less=True)
        group = Signal(group_bits(spec))
        own = Signal()

        # --- which list ------------------------------------------------------------------------------------------
        # what the next source has to walk was read; it begins; the neuron of the list is to be walked back, too
        fetched = Signal()
        begins = Signal()
        due = Signal()
        fetches = Signal()
        m.d.comb += [
            fetches.eq(self.valid & ~fetched & ~begins & ~due),
            self.pop.eq(begins),
            own.eq((self.source >= spec.first_neuron) & (self.source[:lane_bits] == self._lane if lane_bits else 1)),
            group.eq(source >> lane_bits),
        ]
        first, stride, back_first, back_count = self._lists(m, fetches)
        m.d.sync += begins.eq((state == _State.IDLE) & self.walk & fetched)
        with m.If(fetches):
            m.d.sync += fetched.eq(1)
        with m.If(begins):
            m.d.sync += source.eq(self.source)
        with m.Switch(state):
            with m.Case(_State.IDLE):
                with m.If(self.restore):
                    m.d.sync += [state.eq(_State.RESTORE), place_.eq(0)]
                with m.Elif(self.walk & due):
                    m.d.sync += [
                        place_.eq(back_first),
                        left.eq(back_count),
                        due.eq(0),
                        state.eq(_State.BACKWARD),
                    ]
                with m.Elif(self.walk & fetched):
                    m.d.sync += [
                        place_.eq(first),
                        left.eq(self.list_data.count),
                        due.eq(own & self.plastic),
                        fetched.eq(0),
                        state.eq(_State.FORWARD),
                    ]
            with m.Case(_State.FORWARD, _State.BACKWARD):
                m.d.sync += [place_.eq(place_ + stride), left.eq(left - 1)]
                # a list may be empty
                with m.If(~left[1:].any()):
                    m.d.sync += state.eq(_State.IDLE)
            with m.Case(_State.RESTORE):
                m.d.sync += place_.eq(place_ + 1)
                with m.If(place_ == spec.lane_synapses - 1):
                    m.d.sync += state.eq(_State.IDLE)
        # stage 1 holds a synapse whose numbers are known, stage 2 one whose operands are known
        issue = Signal()
        one = Signal()
        two = Signal()
        back_one = Signal(reset_less=True)
        back_two = Signal(reset_less=True)
        fill_one = Signal(reset_less=True)
        fill_two = Signal(reset_less=True)
        first_one = Signal()
        backward = state == _State.BACKWARD
        m.d.comb += [
            issue.eq((state == _State.RESTORE) | ((state != _State.IDLE) & left.any())),
            self.busy.eq((state != _State.IDLE) | begins | due | one | two),
        ]
        m.d.sync += [one.eq(issue), two.eq(one), first_one.eq(begins)]
        with m.If(issue):
            m.d.sync += [back_one.eq(backward), fill_one.eq(state == _State.RESTORE)]
        with m.If(one):
            m.d.sync += [back_two.eq(back_one), fill_two.eq(fill_one)]

        # --- stage 0 to 1: numbers --------------------------------------------------------------------------------
        at_two = Signal(address_bits(spec), reset_less=True)
        known = Signal(address_bits(spec))
        reads = Signal()
        works = Signal()
        inside: Value = C(1)
        if spec.seeded:
            slot = Signal(slot_bits(spec), reset_less=True)
            local = Signal(local_bits(spec))
            m.d.comb += [
                local.eq(group - spec.input_groups),
                self.slot_address.eq(slot),
                self.slot_enable.eq((state == _State.FORWARD) | backward),
            ]
            with m.Switch(state):
                with m.Case(_State.IDLE), m.If(due | fetched):
                    m.d.sync += slot.eq(Mux(due, 0, self.list_data.first))
                with m.Case(_State.FORWARD, _State.BACKWARD):
                    m.d.sync += slot.eq(slot + 1)
            target, origin = self._slot_ends(source, local)
            inside = target < spec.neuron_groups
            m.d.comb += [
                # where the slot begins, and the neuron in it; restoring goes from word to word. The place has gone on
                known.eq(place_ + Mux(fill_one, -1, Mux(back_one, local, target) - stride)),
                reads.eq(one & (back_one | fill_one | inside)),
            ]
        else:
            target, origin = self.target_data, self.incoming_data.source
            m.d.comb += [
                self.target_address.eq(place_),
                self.target_enable.eq(state == _State.FORWARD),
                self.incoming_address.eq(place_),
                self.incoming_enable.eq(backward),
                # the place has gone on
                known.eq(Mux(back_one, self.incoming_data.synapse, place_ - 1)),
                reads.eq(one),
            ]
        # --- stage 1 to 2: operands -------------------------------------------------------------------------------
        target_two = Signal(local_bits(spec), reset_less=True)
        member_two = Signal(max(1, lane_bits), reset_less=True)
        excitatory_two = Signal(reset_less=True)
        inhibitory_two = Signal(reset_less=True)
        inside_two = Signal(reset_less=True)
        walked = Signal(spec.source_bits)
        inhibitory = Signal()
        m.d.comb += [
            # the neuron that is walked back is no source of its own synapses
            walked.eq(Mux(back_one, origin, source)),
            inhibitory.eq(walked >= spec.first_neuron + spec.excitatory),
            works.eq(self.plastic & ~self.keep),
            self.weight_address.eq(known),
            self.stored_enable.eq(reads & (fill_one | ~works)),
            self.working_enable.eq(reads & ~fill_one & works),
            self.neuron_address.eq(target),
            self.neuron_enable.eq(one & ~back_one & ~fill_one),
            # the group of the source whose list is walked, once; backward that of each synapse
            self.group_address.eq(walked >> lane_bits),
            self.group_enable.eq(one & ~fill_one & (back_one | first_one)),
        ]
        with m.If(one):
            m.d.sync += [
                at_two.eq(known),
                inhibitory_two.eq(inhibitory),
                excitatory_two.eq((walked >= spec.first_neuron) & ~inhibitory),
                member_two.eq(walked[:lane_bits]),
            ]
            if spec.seeded:
                m.d.sync += inside_two.eq(back_one | inside)
        with m.If(self.neuron_enable):
            m.d.sync += target_two.eq(target)

        # --- stage 2: results -------------------------------------------------------------------------------------
        rule = place(m, platform, "synapse", Synapse, spec=spec)
        used = Signal(signed(spec.weight_bits))
        here = self.group_data[member_two if lane_bits else 0]
        changes = self.plastic & ~(back_two & here.fired)
        adds = two & ~back_two & ~fill_two
        if spec.seeded:
            # a slot may have no synapse of this neuron, and lead to a neuron that there is not
            present = inside_two & (used != spec.absent_code)
            changes, adds = changes & present, adds & present
        m.d.comb += [
            used.eq(Mux(works, self.working_data, self.stored_data)),
            rule.weight.eq(used),
            rule.excitatory.eq(excitatory_two),
            rule.inhibitory.eq(inhibitory_two),
            rule.potentiation.eq(Mux(back_two | self.effect_data.fired, here.potentiation, 0)),
            rule.depression.eq(Mux(back_two, 0, self.effect_data.depression)),
            self.weight_write_address.eq(at_two),
            self.stored_write.eq(two & ~fill_two & changes & self.keep),
            self.stored_write_data.eq(rule.changed),
            self.working_write.eq(two & (fill_two | changes)),
            self.working_write_data.eq(Mux(fill_two, self.stored_data, rule.changed)),
            self.current_write.eq(adds),
            self.current_write_address.eq(target_two),
            # no current moves backward, nor in a sweep, which reads the same memory
            rule.rests.eq(back_two | ~self.walk),
            rule.current.eq(self.current_data),
            self.current_write_data.eq(rule.moved),
        ]
        return m

    def _lists(self, m: Module, fetches: Value) -> tuple[Value, int, Value, Value]:
        """Reads what there is to walk of a source. A clock later: where its list begins, the distance of two synapses,
        where the list of the neuron begins, and how long that is."""
        spec = self._spec
        lane_bits = (spec.lanes - 1).bit_length()
        if spec.seeded:
            number = Mux(
                self.source < spec.first_neuron, self.source >> spec.ring_bits,
                spec.input_blocks + self.source[:lane_bits],
            )  # fmt: skip
            m.d.comb += [self.list_address.eq(number), self.list_enable.eq(fetches)]
            return self.list_data.first * spec.neuron_groups, spec.neuron_groups, C(0), C(spec.slots)
        m.d.comb += [
            self.list_address.eq(self.source),
            self.list_enable.eq(fetches),
            self.back_address.eq((self.source >> lane_bits) - spec.input_groups),
            self.back_enable.eq(fetches),
        ]
        return self.list_data.first, 1, self.back_data.first, self.back_data.count

    def _slot_ends(self, source: Value, local: Value) -> tuple[Value, Value]:
        """What the slot that was read leads to: the neuron of the lane that a source projects to, and the source that
        projects to neuron `local` of the lane."""
        spec, slot = self._spec, self.slot_data
        lane_bits, groups = (spec.lanes - 1).bit_length(), spec.neuron_groups
        to_input = (source[: spec.ring_bits][::-1] + slot.offset)[: spec.ring_bits]
        up = local + slot.offset + (self._lane < source[:lane_bits])
        to_liquid = Mux(up >= groups, up - groups, up)[: len(local)]
        from_input = Cat((local - slot.offset)[: spec.ring_bits][::-1], slot.high)
        rest = slot.high[:lane_bits]
        down = local - slot.offset - (self._lane < rest)
        from_liquid = Cat((self._lane - rest)[:lane_bits], (Mux(down < 0, down + groups, down) + spec.input_groups))
        return (
            Mux(slot.liquid, to_liquid, to_input),
            Mux(slot.liquid, from_liquid, from_input)[: spec.source_bits],
        )
