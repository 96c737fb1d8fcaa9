"""Weights of a slot from the code words of a neuron."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import any_of
from hw.common.word_corrector import WordCorrector
from hw.hgcal_encoder.coded_words import DenseWords
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["WordSelector"]


class WordSelector(Component):
    """Code words of a neuron selected by slot as they are stored, and corrected behind that: one corrector serves all
    slots. Combinational.

    A word with one wrong bit gives the weights that were stored. Where a slot has no word, its weights are 0.

    Parameters
    ----------
    spec : EncoderSpec

    Members
    -------
    words : In(DenseWords.raw_bits)
        Words in the order of `DenseWords.layout`.
    slot : In(spec.reuse)
        At most one bit set.
    weight : Out(spec.weight.width) x parallel
        Weights of the slot by tap.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec):
        self._spec = spec
        self._layout = layout = DenseWords(spec=spec)
        super().__init__({
            "words": In(layout.raw_bits), "slot": In(spec.reuse),
            "weight": Out(ArrayLayout(spec.weight.width, layout.schedule.parallel)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        layout, width = self._layout, self._spec.weight.width
        checks = layout.code.check_bits - 1
        found: list[Value] = []
        for group, units in enumerate(layout.groups):
            bits = layout.all_used(group)
            members: list[list[Value]] = [[] for _ in range(len(bits) + checks)]
            for number, its_group, start, _ in layout.layout:
                if its_group == group:
                    used = layout.used(group, number)
                    places = [bits.index(bit) for bit in used] + list(range(len(bits), len(members)))
                    for i, place_ in enumerate(places):
                        members[place_].append(self.words[start + i] & self.slot[number])
            raw = Signal(len(members), name=f"raw_{group}")
            corrector = place(
                m, platform, f"corrector_{group}", WordCorrector, label=f"{len(bits)}_bits", width=layout.code.width,
                used=bits,
            )  # fmt: skip
            m.d.comb += [raw.eq(Cat(any_of(values) for values in members)), corrector.raw.eq(raw)]
            place_of = {bit: corrector.data[i] for i, bit in enumerate(bits)}
            for piece, _ in enumerate(units):
                for filter_ in range(self._spec.filters):
                    first = piece * layout.piece_bits + filter_ * width
                    found.append(Cat(place_of.get(bit, Const(0, 1)) for bit in range(first, first + width)))
        m.d.comb += Cat(self.weight).eq(Cat(found))
        return m
