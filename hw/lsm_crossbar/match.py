"""Match: an embedding against stored ones, and the entry with the largest similarity."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import one_of
from hw.lsm_crossbar.projection import dimension_bits
from sim.lsm_crossbar.association.spec import AssociationSpec

__all__ = ["HammingMatch", "Match", "MatchLane", "match_pins"]


def match_pins(spec: AssociationSpec) -> dict[str, Any]:
    """Ports that both kinds of match have; documented in `Match`."""
    return {
        "start": In(1),
        "bank": In(1),
        "used": In(spec.used_bits),
        "read": Out(1),
        "read_address": Out(max((spec.memory_depth - 1).bit_length(), 1)),
        "word": In(spec.word_bits),
        "similarity": Out(signed(spec.similarity_width)),
        "similarity_valid": Out(1),
        "match_valid": Out(1),
        "match_found": Out(1),
        "match_index": Out(spec.index_bits),
        "match_similarity": Out(signed(spec.similarity_width)),
    }


class MatchLane(Component):
    """Multiplier and accumulator of one entry.

    Throughput one component per clock; `similarity` shows it one clock later. Reset: 0, asynchronous.

    Parameters
    ----------
    spec : AssociationSpec

    Members
    -------
    add : In(1)
        The similarity grows by component * entry,
    first : In(1)
        or, with `add`, begins with it.
    component, entry : In(signed(spec.embedding_bits))
    similarity : Out(signed(spec.similarity_width))
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: AssociationSpec):
        super().__init__(
            {
                "add": In(1),
                "first": In(1),
                "component": In(signed(spec.embedding_bits)),
                "entry": In(signed(spec.embedding_bits)),
                "similarity": Out(signed(spec.similarity_width)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        with m.If(self.add):
            m.d.sync += self.similarity.eq(Mux(self.first, 0, self.similarity) + self.component * self.entry)
        return m


class Match(Component):
    """Dot products of a query with the entries in use, `spec.match_lanes` at a time, and the largest of them.

    From the clock after `start` it reads one component and one word per clock. After the last component of a pass the
    similarities of its entries leave one per clock, entry 0 first, then the next pass begins. `match_valid` follows the
    last pass; how many clocks that takes says `sim.lsm_crossbar.association.timing.match_clocks`.

    Reset: idle, no match; asynchronous.

    Parameters
    ----------
    spec : AssociationSpec

    Members
    -------
    start : In(1)
        Only while idle.
    bank : In(1)
        Entries of which modality are compared; with `start`.
    used : In(bits of spec.entries + 1)
        How many of them are; steady until `match_valid`.
    read_index : Out(bits of spec.dimensions)
        Component of the query that is read.
    component : In(signed(spec.embedding_bits))
        It, in the same clock.
    read : Out(1)
        `read_address` and `read_index` hold.
    read_address : Out(bits of spec.memory_depth)
    word : In(spec.word_bits)
        Of the memory, one clock after its address.
    similarity : Out(signed(spec.similarity_width))
        0 without `similarity_valid`.
    similarity_valid : Out(1)
        Once for every entry in use, ascending.
    match_valid : Out(1)
        For one clock, when all entries are compared.
    match_found : Out(1)
        There was an entry. Stays until the next match ends, as the two that follow.
    match_index : Out(bits of spec.entries)
        Largest similarity, lowest entry of equals.
    match_similarity : Out(signed(spec.similarity_width))
    """

    clocked = True

    def __init__(self, *, spec: AssociationSpec):
        self._spec = spec
        super().__init__(
            match_pins(spec) | {"read_index": Out(dimension_bits(spec)), "component": In(signed(spec.embedding_bits))}
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        add, first, draining, telling = (Signal(name=name) for name in ("add", "first", "draining", "telling"))
        held = Signal(signed(spec.embedding_bits))
        place_ = Signal(max((spec.match_lanes - 1).bit_length(), 1))
        entry = Signal(spec.used_bits)
        sums = []
        for number in range(spec.match_lanes):
            lane = place(m, platform, f"lane_{number}", MatchLane, spec=spec)
            m.d.comb += [
                lane.add.eq(add),
                lane.first.eq(first),
                lane.component.eq(held),
                lane.entry.eq(self.word.word_select(number, spec.embedding_bits)),
            ]
            sums.append(lane.similarity)
        end = self.read_index == spec.dimensions - 1
        pass_over = telling & (place_ == spec.match_lanes - 1)
        over = pass_over & (entry + 1 >= self.used)
        empty = self.start & (self.used == 0)
        with m.If(self.start & ~empty):
            m.d.sync += [
                self.read.eq(1),
                self.read_address.eq(Mux(self.bank, spec.memory_depth // 2, 0)),
                entry.eq(0),
            ]
        with m.Elif(self.read):
            # the address goes on over the passes
            m.d.sync += [
                self.read_index.eq(Mux(end, 0, self.read_index + 1)),
                self.read_address.eq(self.read_address + 1),
                held.eq(self.component),
                self.read.eq(~end),
            ]
        with m.Elif(pass_over & ~over):
            m.d.sync += self.read.eq(1)
        m.d.sync += [add.eq(self.read), first.eq(self.read_index == 0), draining.eq(self.read & end)]
        m.d.comb += [
            self.similarity_valid.eq(telling & (entry < self.used)),
            self.similarity.eq(
                one_of(sums, [self.similarity_valid & (place_ == number) for number in range(spec.match_lanes)])
            ),
        ]
        with m.If(draining):
            m.d.sync += [telling.eq(1), place_.eq(0)]
        with m.Elif(telling):
            m.d.sync += [place_.eq(place_ + 1), entry.eq(entry + 1)]
            with m.If(pass_over):
                m.d.sync += telling.eq(0)
        _keep_best(m, self, entry)
        m.d.sync += self.match_valid.eq(over | empty)
        with m.If(over | empty):
            m.d.sync += self.match_found.eq(over)
        return m


class HammingMatch(Component):
    """The same for embeddings of signs: one entry a clock, its similarity equal signs less different ones.

    Parameters
    ----------
    spec : AssociationSpec
        With ``embedding_bits = 1``.

    Members
    -------
    query : In(spec.dimensions)
        Signs of the query, 1 for a negative component; steady until `match_valid`.
    start, bank, used, read, read_address, word, similarity, similarity_valid, match_valid, match_found, match_index, \
match_similarity
        As `Match`; a word is an entry.
    """

    clocked = True

    def __init__(self, *, spec: AssociationSpec):
        self._spec = spec
        super().__init__(match_pins(spec) | {"query": In(spec.dimensions)})

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        left, entry = Signal(spec.used_bits), Signal(spec.used_bits, name="entry")
        arrived, counted = Signal(), Signal(name="counted")
        different = Signal(spec.dimensions)
        similar = Signal(signed(spec.similarity_width))
        last = self.read & (left == 1)
        ends = [last, Signal(name="end_1"), Signal(name="end_2")]
        empty = self.start & (self.used == 0)
        m.d.comb += different.eq(self.word ^ self.query)
        with m.If(self.start & ~empty):
            m.d.sync += [
                self.read.eq(1),
                left.eq(self.used),
                entry.eq(0),
                self.read_address.eq(Mux(self.bank, spec.memory_depth // 2, 0)),
            ]
        with m.Elif(self.read):
            m.d.sync += [left.eq(left - 1), self.read_address.eq(self.read_address + 1), self.read.eq(~last)]
        m.d.sync += [arrived.eq(self.read), counted.eq(arrived), ends[1].eq(ends[0]), ends[2].eq(ends[1])]
        with m.If(arrived):
            m.d.sync += similar.eq(spec.dimensions - (_population(different) << 1))
        with m.If(counted):
            m.d.sync += entry.eq(entry + 1)
        m.d.comb += [self.similarity_valid.eq(counted), self.similarity.eq(Mux(counted, similar, 0))]
        _keep_best(m, self, entry)
        m.d.sync += self.match_valid.eq(ends[2] | empty)
        with m.If(ends[2] | empty):
            m.d.sync += self.match_found.eq(ends[2])
        return m


def _keep_best(m: Module, pins: Any, entry: Signal) -> None:
    """Keep the largest similarity that passes, and the number of its entry."""
    with m.If(pins.similarity_valid & ((entry == 0) | (pins.similarity > pins.match_similarity))):
        m.d.sync += [pins.match_similarity.eq(pins.similarity), pins.match_index.eq(entry)]


def _population(bits: Any) -> Any:
    """Number of ones, added in a balanced tree."""
    level = [bits[i] for i in range(len(bits))]
    while len(level) > 1:
        level = [level[i] + level[i + 1] if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]
