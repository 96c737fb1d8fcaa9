"""Output buffer: packets of any length in, 2 n words per crossing out, with the rules that truncate."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import Registered
from hw.hgcal_encoder.formatter import COUNT_WIDTH, LENGTH_WIDTH, PACKET_WORDS, WORD_WIDTH
from hw.hgcal_encoder.held_register import isolated
from sim.hgcal_encoder.concentrator_spec import BUFFER_ROW

__all__ = ["BufferControl", "BufferRow", "OutputBuffer"]

_LANE_WIDTH = (BUFFER_ROW - 1).bit_length()
_LEVEL_WIDTH = 10


class BufferRow(Component):
    """32 words that are written one by one: each keeps what it has while its enable is 0.

    Reset: zeros, asynchronous; nothing reads a word before it is written.

    Members
    -------
    words : In(16) x 32
    enable : In(32)
    stored : Out(16) x 32
    """

    latency = 1

    def __init__(self) -> None:
        layout = ArrayLayout(WORD_WIDTH, BUFFER_ROW)
        super().__init__({"words": In(layout), "enable": In(BUFFER_ROW), "stored": Out(layout)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        for lane in range(BUFFER_ROW):
            with m.If(self.enable[lane]):
                m.d.sync += self.stored[lane].eq(self.words[lane])
        return m


class BufferControl(Component):
    """What is let in, what leaves, and where: the rules of the buffer, without the words. Combinational.

    With `waiting` words in the buffer and `length` to come, the packet becomes one word if ``waiting + length`` is
    beyond T1, or beyond the depth (`overflow`); or early, if `waiting` is beyond T2 and `length` not beyond T3. Up to
    2 n words leave in the same crossing. Nothing is let in on no link, and while `run` is 0.

    Parameters
    ----------
    rows : int
        Rows of 32 words.

    Members
    -------
    length : In(5)
    run : In(1)
    links : In(4)
        n. Static.
    t1, t2 : In(9), t3 : In(5)
        Thresholds in words. Static.
    state : In, next_state : Out
        Words waiting, place of the next word to write and of the next to read, words that leave.
    no_room, early : Out(1)
        The packet becomes one word, and why.
    overflow : Out(1)
        It does so because of the depth alone.
    accepted : Out(5)
        Words let in, 0 to 26.
    write_row, write_lane, read_row, read_lane : Out
        Places of the first word to write, and of the first to read.
    leaving : Out(5)
        Words that leave, read from `read_row` on.
    """

    latency = 0

    def __init__(self, *, rows: int):
        self._rows = rows
        self._row_width = max((rows - 1).bit_length(), 1)
        self._state_width = _LEVEL_WIDTH + 2 * (self._row_width + _LANE_WIDTH) + LENGTH_WIDTH
        row, lane = Out(self._row_width), Out(_LANE_WIDTH)
        super().__init__({
            "length": In(LENGTH_WIDTH), "run": In(1), "links": In(4), "t1": In(9), "t2": In(9), "t3": In(5),
            "state": In(self._state_width), "next_state": Out(self._state_width),
            "no_room": Out(1), "early": Out(1), "overflow": Out(1), "accepted": Out(LENGTH_WIDTH),
            "write_row": row, "write_lane": lane, "read_row": row, "read_lane": lane, "leaving": Out(LENGTH_WIDTH),
        })  # fmt: skip

    @property
    def reset(self) -> int:
        """State after reset: empty."""
        return 0

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        place_width = self._row_width + _LANE_WIDTH
        waiting = self.state[:_LEVEL_WIDTH]
        write, read = (self.state[_LEVEL_WIDTH + i * place_width :][:place_width] for i in range(2))
        leaving = self.state[-LENGTH_WIDTH:]
        depth = BUFFER_ROW * self._rows

        filled = Signal(_LEVEL_WIDTH + 1)
        beyond, deep = Signal(), Signal(name="deep")
        m.d.comb += [
            filled.eq(waiting + self.length),
            beyond.eq(filled > self.t1),
            deep.eq(filled > depth),
            self.no_room.eq(beyond | deep),
            self.overflow.eq(self.run & deep & ~beyond),
            self.early.eq(~self.no_room & (waiting > self.t2) & (self.length <= self.t3)),
            self.accepted.eq(Mux(self.run & self.links.any(), Mux(self.no_room | self.early, 1, self.length), 0)),
        ]
        full = Signal(_LEVEL_WIDTH)
        room = Signal(LENGTH_WIDTH)
        next_leaving = Signal(LENGTH_WIDTH)
        m.d.comb += [
            full.eq(waiting + self.accepted),
            room.eq(self.links << 1),
            next_leaving.eq(Mux(full > room, room, full)),
            self.write_row.eq(write[_LANE_WIDTH:]),
            self.write_lane.eq(write[:_LANE_WIDTH]),
            self.read_row.eq(read[_LANE_WIDTH:]),
            self.read_lane.eq(read[:_LANE_WIDTH]),
            self.leaving.eq(leaving),
            self.next_state.eq(
                Cat(
                    (full - next_leaving)[:_LEVEL_WIDTH],
                    self._moved(m, "write", write, self.accepted),
                    self._moved(m, "read", read, leaving),
                    next_leaving,
                )
            ),
        ]
        return m

    def _moved(self, m: Module, name: str, place_: Value, by: Value) -> Value:
        """A place so many words on, fewer than a row; after the last row comes the first."""
        lane = Signal(_LANE_WIDTH + 1, name=f"{name}_lane_moved")
        row = Signal(self._row_width, name=f"{name}_row_moved")
        m.d.comb += [
            lane.eq(place_[:_LANE_WIDTH] + by),
            row.eq(Mux(lane[-1], _next_row(place_[_LANE_WIDTH:], self._rows), place_[_LANE_WIDTH:])),
        ]
        return Cat(lane[:_LANE_WIDTH], row)


def _next_row(row: Value, rows: int) -> Value:
    return Mux(row == rows - 1, 0, row + 1)[: len(row)]


class OutputBuffer(Component):
    """Ring of rows of 32 words behind the rules of `BufferControl`.

    A packet is turned to its lanes and written in one clock, and what leaves is read in the next; idle words, counter
    and `idle_pattern` of the crossing in which they are sent, stand in for words that are not there. The order of the
    words is that of the packets: none is lost, none comes twice.

    Throughput one packet per clock, latency 1: what leaves in a crossing is at `words` one clock after its packet.
    Reset: empty, asynchronous.

    Parameters
    ----------
    rows : int
        Rows of 32 words, at least 2.
    register : class of Component
        Of control and counter: `PipelineRegister` or a component with the same ports and constructor. The words
        themselves are plain flip-flops.

    Members
    -------
    packet : In(16) x 26
    length : In(5)
        Words of the packet, at most 26.
    truncated : In(16), early_mark : In(1)
        The word in place of a packet that is not let in; bit 8 of it if that is early.
    counter : In(5)
    run, links, t1, t2, t3 : In
        As for `BufferControl`.
    idle_pattern : In(11)
        Static.
    words : Out(16) x 26
        Words that leave, 2 n of them, then zeros.
    overflow : Out(1)
        Of the packet that stands at the input.
    """

    latency = 1

    def __init__(self, *, rows: int, register: Callable[..., Component] = PipelineRegister) -> None:
        if rows < 2:
            raise ValueError(f"rows: expected at least 2, a packet reaches into two, got {rows}")
        self._rows, self._register = rows, register
        layout = ArrayLayout(WORD_WIDTH, PACKET_WORDS)
        super().__init__({
            "packet": In(layout), "length": In(LENGTH_WIDTH), "truncated": In(WORD_WIDTH), "early_mark": In(1),
            "counter": In(COUNT_WIDTH), "run": In(1), "links": In(4), "t1": In(9), "t2": In(9), "t3": In(5),
            "idle_pattern": In(11), "words": Out(layout), "overflow": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = place(
            m, platform, "control", Registered, logic=BufferControl, register=self._register, rows=self._rows
        )
        rules = ("length", "run", "links", "t1", "t2", "t3")
        m.d.comb += [getattr(control, name).eq(getattr(self, name)) for name in rules]
        m.d.comb += self.overflow.eq(control.overflow)

        short = control.no_room | control.early
        mark = Const(1 << 8, WORD_WIDTH) & (control.early & self.early_mark).replicate(WORD_WIDTH)
        first = Mux(short, self.truncated | mark, self.packet[0])
        padding = Const(0, WORD_WIDTH * (BUFFER_ROW - PACKET_WORDS))
        given = Cat(first, *(self.packet[i] for i in range(1, PACKET_WORDS)), padding)
        row_in = Signal(len(given))
        m.d.comb += row_in.eq(given)
        written = _turned(m, "written", row_in, control.write_lane, WORD_WIDTH, up=True)
        # lane by lane: whether a word comes to it, and whether that is in the next row
        rows = self._rows
        comes, wraps, ahead = (Signal(BUFFER_ROW, name=name) for name in ("comes", "wraps", "ahead"))
        following, after = (Signal.like(control.write_row, name=name) for name in ("following", "after"))
        counted = Cat(control.accepted > i for i in range(BUFFER_ROW))
        turned = _turned(m, "comes", counted, control.write_lane, 1, up=True)
        m.d.comb += [
            comes.eq(turned),
            wraps.eq(Cat(control.write_lane > i for i in range(BUFFER_ROW))),
            ahead.eq(Cat(control.read_lane > i for i in range(BUFFER_ROW))),
            following.eq(_next_row(control.write_row, rows)),
            after.eq(_next_row(control.read_row, rows)),
        ]
        lanes: Value = Const(0, 1)
        for row in range(rows):
            part = place(m, platform, f"row_{row}", BufferRow)
            first_of, second_of = (Signal(name=f"{name}_{row}") for name in ("read_first", "read_second"))
            here = Signal(BUFFER_ROW, name=f"here_{row}")
            m.d.comb += [
                here.eq(isolated(comes & ~wraps, control.write_row == row) | isolated(comes & wraps, following == row)),
                part.words.eq(written),
                part.enable.eq(here),
                first_of.eq(control.read_row == row),
                second_of.eq(after == row),
            ]
            shown = Signal(WORD_WIDTH * BUFFER_ROW, name=f"shown_{row}")
            mask = Signal(BUFFER_ROW, name=f"read_{row}")
            m.d.comb += [
                mask.eq(isolated(~ahead, first_of) | isolated(ahead, second_of)),
                shown.eq(part.stored.as_value() & Cat(mask[i].replicate(WORD_WIDTH) for i in range(BUFFER_ROW))),
            ]
            lanes = lanes | shown
        together = Signal(WORD_WIDTH * BUFFER_ROW)
        m.d.comb += together.eq(lanes)
        read = _turned(m, "read", together, control.read_lane, WORD_WIDTH, up=False)
        counter = place(m, platform, "counter_register", self._register, width=COUNT_WIDTH)
        m.d.comb += counter.i.eq(self.counter)
        idle = Cat(self.idle_pattern, counter.o)
        for word in range(PACKET_WORDS):
            sent, used = control.leaving > word, (self.links << 1) > word
            m.d.comb += self.words[word].eq(
                (read.word_select(word, WORD_WIDTH) & sent.replicate(WORD_WIDTH))
                | (idle & (used & ~sent).replicate(WORD_WIDTH))
            )
        return m


def _turned(m: Module, name: str, value: Value, by: Value, width: int, *, up: bool) -> Value:
    """A row of lanes, each of so many bits, turned by a number of lanes."""
    for step in range(len(by)):
        distance = width << step
        turned = Signal(len(value), name=f"{name}_{1 << step}")
        m.d.comb += turned.eq(Mux(by[step], value.rotate_left(distance) if up else value.rotate_right(distance), value))
        value = turned
    return value
