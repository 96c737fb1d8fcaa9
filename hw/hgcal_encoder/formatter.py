"""Formatter: what the selected algorithm found becomes a packet of 16-bit words, with its length."""

from collections.abc import Sequence
from functools import cached_property

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import any_of
from hw.hgcal_encoder.cell_codes import CODE_WIDTH
from hw.hgcal_encoder.cell_packer import NUMBERED, CellPacker
from hw.hgcal_encoder.frame import frame_words
from hw.hgcal_encoder.held_register import isolated
from hw.hgcal_encoder.super_trigger_cell import BODY_WIDTH
from hw.hgcal_encoder.threshold_sum import SUM_CODE_WIDTH
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec, TruncatedFixed
from sim.hgcal_encoder.spec import CELLS, ETX_WORDS

__all__ = ["COUNT_WIDTH", "LENGTH_WIDTH", "PACKET_WORDS", "WORD_WIDTH", "Formatter", "best_choice_cells"]

WORD_WIDTH = 16
PACKET_WORDS = 2 * ETX_WORDS
LENGTH_WIDTH = 5
COUNT_WIDTH = 5
"""Bunch-crossing counter: 31 at crossing 0, else the crossing modulo 16."""
_EMPTY, _NUMBERED, _MAPPED, _NO_ROOM = 0b000, 0b010, 0b100, 0b110
_A = AlgorithmNumber


def best_choice_cells(links: int) -> int:
    """Trigger cells that best choice sends: as many as fit, with numbers of 6 bits below 8 cells, else with a map."""
    mapped = min((32 * links - 12 - CELLS) // CODE_WIDTH, CELLS)
    return mapped if mapped > NUMBERED else (32 * links - 12) // (6 + CODE_WIDTH)


class Formatter(Component):
    """Packet of a crossing in the format of the selected algorithm.

    Formats: `sim.hgcal_encoder.algorithms`, one file each. A packet of threshold sum has as many words as it needs, all
    others 2 n on n links, with zeros behind what they carry; `TruncatedFixed` is the word for those that are truncated.
    In a link reset every packet is 2 n words of counter and `link_reset_pattern`, whatever the algorithm.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Parameters
    ----------
    spec : ConcentratorSpec
        Inputs of algorithms that it lacks do not exist.

    Members
    -------
    counter : In(5)
    link_reset : In(1)
    selected : In(5)
        Bit k: algorithm number k, at most one; none: zeros. Static.
    links : In(4)
        n. Static.
    link_reset_pattern : In(11)
        Static.
    sent : In(48), codes : In(7) x 48, sum_code : In(8)
        Of threshold sum and best choice; `codes` of the repeater as well.
    total_code : In(8)
        Of threshold sum.
    body : In(132), some : In(1)
        Of super trigger cells.
    frames : In(32) x words of a frame
        Of the autoencoder.
    packet : Out(16) x 26
        Words in order of transmission.
    length : Out(5)
        Words that count, 0 to 26.
    truncated : Out(16)
        Word that is sent instead if there is no room.
    early : Out(1)
        Bit 8 of that word if the buffer truncates early.
    """

    latency = 0

    def __init__(self, *, spec: ConcentratorSpec):
        self._spec = spec
        ports = {
            "counter": In(COUNT_WIDTH), "link_reset": In(1), "selected": In(len(_A)), "links": In(4),
            "link_reset_pattern": In(11),
        }  # fmt: skip
        if self._with_cells:
            ports["codes"] = In(ArrayLayout(CODE_WIDTH, CELLS))
        if self._with_map:
            ports |= {"sent": In(CELLS), "sum_code": In(SUM_CODE_WIDTH)}
        if spec.has(_A.THRESHOLD_SUM):
            ports["total_code"] = In(SUM_CODE_WIDTH)
        if spec.has(_A.SUPER_TRIGGER_CELL):
            ports |= {"body": In(BODY_WIDTH), "some": In(1)}
        if spec.has(_A.AUTOENCODER):
            ports["frames"] = In(ArrayLayout(32, frame_words(spec.encoder)))
        super().__init__({
            **ports, "packet": Out(ArrayLayout(WORD_WIDTH, PACKET_WORDS)), "length": Out(LENGTH_WIDTH),
            "truncated": Out(WORD_WIDTH), "early": Out(1),
        })  # fmt: skip

    @cached_property
    def _with_map(self) -> bool:
        return self._spec.has(_A.THRESHOLD_SUM, _A.BEST_CHOICE)

    @cached_property
    def _with_cells(self) -> bool:
        return self._with_map or self._spec.has(_A.REPEATER)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self._spec
        short = Signal(4)
        m.d.comb += short.eq(Mux(self.counter.all(), 15, self.counter[:3]))
        # every layout by the signal that selects it: fields in order of transmission
        layouts: list[tuple[Value, Sequence[Value]]] = []
        fixed = Signal(LENGTH_WIDTH, name="fixed_length")
        m.d.comb += fixed.eq(self.links << 1)
        length: Value = fixed
        truncated: Value = Const(0, WORD_WIDTH)
        early: Value = Const(0, 1)
        if self._with_map:
            packer = place(m, platform, "cell_packer", CellPacker)
            mapped = self.selected[_A.THRESHOLD_SUM] | self.selected[_A.BEST_CHOICE]
            # the repeater sends all codes at their places: the packer sees none of them
            m.d.comb += [
                packer.sent.eq(isolated(self.sent, mapped)),
                packer.codes.eq(isolated(self.codes, mapped)),
            ]
            packed = [packer.joined[i] for i in range(CELLS)]
            numbers = [packer.numbers[i] for i in range(NUMBERED)]
            cell_map = list(self.sent)
        if spec.has(_A.THRESHOLD_SUM):
            chosen = self.selected[_A.THRESHOLD_SUM]
            count = Signal(range(CELLS + 1))
            m.d.comb += count.eq(_ones(self.sent))
            few = [Signal(name=f"cells_{n}") for n in range(NUMBERED + 1)]
            m.d.comb += [hit.eq(chosen & (count == n)) for n, hit in enumerate(few)]
            many = Signal()
            m.d.comb += many.eq(chosen & (count > NUMBERED))
            head = [self.counter, Const(0, 3), self.sum_code]
            layouts.append((few[0], head))
            head = [self.counter, Const(_NUMBERED, 3), self.sum_code]
            layouts += [(few[n], [*head, Const(n, 3), *numbers[:n], *packed[:n]]) for n in range(1, NUMBERED + 1)]
            head = [self.counter, Const(_MAPPED, 3), self.sum_code]
            layouts.append((many, [*head, *cell_map, *packed]))
            # ceil(bits / 16) of 16 bits, 16 + 3 + 13 n bits, and 16 + 48 + 7 n bits
            words = Signal(LENGTH_WIDTH)
            numbered = Signal(LENGTH_WIDTH, name="numbered_length")
            m.d.comb += [
                numbered.eq((count[:3] * 13 + 16 + 3 + 15) >> 4),
                words.eq(Mux(many, (count * CODE_WIDTH + 15 + 64) >> 4, Mux(few[0], 1, numbered))),
            ]
            length = Mux(chosen, words, fixed)
            truncated = isolated(Cat(self.total_code, Const(_NO_ROOM, 3), self.counter), chosen)
            early = chosen
        if spec.truncated_fixed is TruncatedFixed.MARKED:
            total: Value = Const(0, SUM_CODE_WIDTH)
            if spec.has(_A.THRESHOLD_SUM):
                total = isolated(self.total_code, self.selected[_A.THRESHOLD_SUM])
            truncated = Cat(total, Const(_NO_ROOM, 3), self.counter)
            early = Const(1, 1)
        if spec.has(_A.BEST_CHOICE):
            head = [short, self.sum_code]
            few_links = [n for n in range(1, ETX_WORDS + 1) if best_choice_cells(n) <= NUMBERED]
            chosen = self.selected[_A.BEST_CHOICE]
            for n in few_links:
                cells = best_choice_cells(n)
                layouts.append((chosen & (self.links == n), [*head, *numbers[:cells], *packed[:cells]]))
            more = chosen & (self.links > few_links[-1])
            layouts.append((more, [*head, *cell_map, *packed]))
        if spec.has(_A.REPEATER):
            codes = [self.codes[i] for i in range(CELLS)]
            layouts.append((self.selected[_A.REPEATER], [self.counter, *codes]))
        if spec.has(_A.SUPER_TRIGGER_CELL):
            layouts.append((self.selected[_A.SUPER_TRIGGER_CELL] & self.some, [short, self.body]))
        if spec.has(_A.AUTOENCODER):
            words_of_frame = [self.frames[i] for i in range(frame_words(spec.encoder))]
            layouts.append((self.selected[_A.AUTOENCODER], words_of_frame))

        bits = WORD_WIDTH * PACKET_WORDS
        content = Signal(bits)
        m.d.comb += content.eq(any_of([_first_on_top(parts, bits) & hit.replicate(bits) for hit, parts in layouts]))
        reset_word = Cat(self.link_reset_pattern, self.counter)
        for word in range(PACKET_WORDS):
            own = content.word_select(PACKET_WORDS - 1 - word, WORD_WIDTH)
            m.d.comb += self.packet[word].eq(Mux(self.link_reset, reset_word, own))
        data = ~self.link_reset
        m.d.comb += [
            self.length.eq(Mux(self.link_reset, fixed, length)),
            self.truncated.eq(isolated(truncated, data)),
            self.early.eq(early & data),
        ]
        return m


def _ones(bits: Value) -> Value:
    """Number of ones, added in a balanced tree."""
    level: list[Value] = list(bits)
    while len(level) > 1:
        level = [level[i] + level[i + 1] if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
    return level[0]


def _first_on_top(parts: Sequence[Value], width: int) -> Value:
    """Fields in order of transmission, the first bit in the highest of `width` bits, zeros below the last."""
    fields = Cat(*reversed(parts))
    return Cat(Const(0, width - len(fields)), fields)
