"""Agents of the links: drivers for receivers and fast commands, monitor of the transmitters, model and scoreboard."""

import random
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

import cocotb
from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import Event, FallingEdge, Timer

from hw.common.hierarchy import place
from hw.hgcal_encoder.links.links import LINK_REGISTERS, Links
from sim.hgcal_encoder.link_spec import (
    ERX_LINKS,
    ETX_LINKS,
    IDLE,
    SAMPLES_PER_COMMAND_BIT,
    SNAPSHOT_BITS,
    TAPS,
    WORD_BITS,
    Command,
    LinkSpec,
)
from tests.cosim.words_through import WordsThrough

BIT_PS = 780
"""1.28 GHz, rounded to whole ps: a crossing of 32 bits is 24.96 ns."""
CROSSING_PS = WORD_BITS * BIT_PS
ORBIT = 290
FIRST = 70
"""Row of the first crossing 0: by then the phases are trained."""
_LOAD, _RUN_UP, _IDLE_WORD, _IDLE_WORDS, _TRAINING = 41, 20, 0xCCCCCCC, 64, FIRST - 16
_SNAPSHOT = _LOAD + _RUN_UP + 128 // WORD_BITS
ALIGNED = FIRST + _SNAPSHOT - _LOAD - _RUN_UP + SNAPSHOT_BITS + 90
"""Rows until the search is over, and data has passed for a while."""
REGISTERS = {
    "aligner_orbsyn_cnt_max_val": ORBIT - 1, "aligner_orbsyn_cnt_load_val": _LOAD,
    "aligner_orbsyn_cnt_snapshot": _SNAPSHOT, "aligner_match_pattern_val": 0xACCCCCCC9CCCCCCC,
    "aligner_match_mask_val": 0,
}  # fmt: skip
"""Of the orbit-synchronous alignment."""


class LinkLoop(Component):
    """Links whose aligned words go back to the transmitters, and on the last one the number of the crossing.

    Members
    -------
    serial_clk, erx, command, etx, error
        Those of `Links`.
    <register> : In
        Those that the bench sets; all others stand at their reset values of production.
    aligner_done, fctrl_locked, chaligner_pattern_match, chaligner_select, chaligner_hdr_mm_cntr
        Status of `Links`.
    """

    clocked = True
    DRIVEN = (
        "aligner_orbsyn_cnt_max_val", "aligner_orbsyn_cnt_load_val", "aligner_orbsyn_cnt_snapshot",
        "aligner_match_pattern_val", "aligner_match_mask_val", "eprxgrptop_track_mode", "cheprxgrp_train_channel",
        "cheprxgrp_phase_select_channelinput", "formatterbuffer_align_serializer", "formatterbuffer_etx_pattern",
        "etx_invert_data", "erx_invert_data", "erx_enable",
    )  # fmt: skip
    FIXED: ClassVar[dict[str, int]] = {
        "chaligner_per_ch_align_en": (1 << ERX_LINKS) - 1, "aligner_orbsyn_hdr_val": 0x9, "aligner_idle_hdr_val": 0xA,
        "aligner_snapshot_en": 1, "aligner_freeze_output_enable": 1,
        "aligner_freeze_output_enable_all_channels_locked": 1, "fctrl_edge_sel_t1": 1, "fctrl_reset_b_fc_counters": 1,
    }  # fmt: skip
    SHOWN: ClassVar[dict[str, int]] = {
        "aligner_done": 1, "fctrl_locked": 1, "chaligner_pattern_match": ERX_LINKS, "chaligner_select": 8 * ERX_LINKS,
        "chaligner_hdr_mm_cntr": 16 * ERX_LINKS, "cheprxgrp_channel_locked": ERX_LINKS,
        "cheprxgrp_phase_select_channeloutput": 4 * ERX_LINKS, "fctrl_fc_error_fcmd_count": 8,
    }  # fmt: skip

    def __init__(self, *, spec: LinkSpec) -> None:
        self._spec = spec
        super().__init__({
            "serial_clk": In(1), "erx": In(ArrayLayout(TAPS, ERX_LINKS)), "command": In(1), "etx": Out(ETX_LINKS),
            "error": Out(1), **{name: In(LINK_REGISTERS[name]) for name in self.DRIVEN},
            **{name: Out(width) for name, width in self.SHOWN.items()},
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        links = place(m, platform, "links", Links, spec=self._spec)
        core = place(m, platform, "core", WordsThrough)
        m.d.comb += [
            links.serial_clk.eq(self.serial_clk),
            links.erx.eq(self.erx),
            links.command.eq(self.command),
            self.etx.eq(links.etx),
            self.error.eq(links.error),
            core.words.eq(links.words),
            core.bx.eq(links.crossing),
            core.link_reset_econt.eq(links.reset_packet),
            links.frames.eq(core.frames),
            *(getattr(links, name).eq(getattr(self, name)) for name in self.DRIVEN),
            *(getattr(links, name).eq(value) for name, value in self.FIXED.items()),
            *(getattr(self, name).eq(getattr(links, name)) for name in self.SHOWN),
        ]
        return m


class Pins:
    """Both clocks, and what is driven in each bit; one task for all lines, since they share the bit clock.

    A receiver's line begins its bits behind one of the taps (`phases`): taps before it still see the bit before.

    Attributes
    ----------
    words : list of list of int
        Words sent to each receiver.
    raw, commands : list
        Monitor of the inputs: bits of each receiver, and samples of the command line, by crossing, oldest highest.
    """

    def __init__(self, dut: SimHandleBase, phases: Sequence[int]) -> None:
        self.dut: Any = dut
        self.links: list[deque[int]] = [deque() for _ in range(ERX_LINKS)]
        self.samples: deque[int] = deque()
        self.words: list[list[int]] = [[] for _ in range(ERX_LINKS)]
        self.raw: list[list[int]] = []
        self.commands: list[int] = []
        self._sent: list[int] = []
        full = (1 << TAPS) - 1
        self._shapes = [
            [(last * full & low | bit * full & ~low) << TAPS * link for last in (0, 1) for bit in (0, 1)]
            for link, low in enumerate((1 << phase) - 1 for phase in phases)
        ]
        self._last = [0] * ERX_LINKS
        self._resume: Event | None = None
        self._rests = Event()

    async def reset(self) -> None:
        """Lines low, asynchronous reset, no clock yet."""
        self.dut.serial_clk.value = 0
        self.dut.clk.value = 0
        self.dut.erx.value = 0
        self.dut.command.value = 0
        self.dut.rst.value = 1
        await Timer(CROSSING_PS, "ps")
        self.dut.rst.value = 0
        await Timer(CROSSING_PS, "ps")

    async def start(self, registers: dict[str, int]) -> None:
        """Reset with registers of `LinkLoop` in place, then clocks."""
        for name in LinkLoop.DRIVEN:
            getattr(self.dut, name).value = registers.get(name, 0)
        await self.reset()
        self.run()

    def run(self) -> None:
        """Both clocks from now on."""
        cocotb.start_soon(self._run())

    async def rest(self) -> None:
        """Stop the bit clock after this crossing; the crossing clock goes on, of which a bus needs thousands."""
        self._rests.clear()
        self._resume = Event()
        await self._rests.wait()

    def resume(self) -> None:
        """Start the bit clock again with the next crossing."""
        assert self._resume is not None
        self._resume.set()

    def delay(self, bits: Sequence[int]) -> None:
        """Lines are late by so many bits: zeros until they begin."""
        for line, count in zip(self.links, bits, strict=True):
            line.extend([0] * count)

    def send(self, words: Sequence[int]) -> None:
        """A word on each receiver, first bit highest."""
        for line, log, word in zip(self.links, self.words, words, strict=True):
            line.extend(word >> number & 1 for number in range(WORD_BITS - 1, -1, -1))
            log.append(word)

    def command(self, code: int = IDLE) -> None:
        """A fast command."""
        for number in range(7, -1, -1):
            self.samples.extend([code >> number & 1] * SAMPLES_PER_COMMAND_BIT)

    async def crossings(self, count: int) -> None:
        """Let crossings pass."""
        for _ in range(count):
            await FallingEdge(self.dut.clk)

    def sent(self, link: int) -> str:
        """Monitor of the transmitters: every bit of one since the start, as text."""
        return "".join("1" if pins >> link & 1 else "0" for pins in self._sent)

    async def _run(self) -> None:
        dut, first, second = self.dut, Timer(BIT_PS // 2, "ps"), Timer(BIT_PS - BIT_PS // 2, "ps")
        serial, clock, erx, command = dut.serial_clk, dut.clk, dut.erx, dut.command
        while True:
            if self._resume is not None:
                await self._resting(self._resume)
                self._resume = None
            for tick, (taps, sample) in enumerate(zip(*self._crossing(), strict=True)):
                erx.value = taps
                command.value = sample
                await first
                self._sent.append(int(dut.etx.value))
                serial.value = 1
                if tick == 0:
                    clock.value = 1
                elif tick == WORD_BITS // 2:
                    clock.value = 0
                await second
                serial.value = 0

    async def _resting(self, resume: Event) -> None:
        """The crossing clock alone."""
        own = Clock(self.dut.clk, CROSSING_PS, "ps", impl="gpi")
        own.start(start_high=False)
        self._rests.set()
        await resume.wait()
        await FallingEdge(self.dut.clk)
        own.stop()

    def _crossing(self) -> tuple[list[int], list[int]]:
        """What the pins show in each bit of the next crossing."""
        taps, rows = [0] * WORD_BITS, []
        for link, (line, shapes) in enumerate(zip(self.links, self._shapes, strict=True)):
            word, last = 0, self._last[link]
            for tick in range(WORD_BITS):
                bit = line.popleft() if line else 0
                taps[tick] |= shapes[2 * last + bit]
                word, last = word << 1 | bit, bit
            self._last[link] = last
            rows.append(word)
        samples = [self.samples.popleft() if self.samples else 0 for _ in range(WORD_BITS)]
        self.raw.append(rows)
        self.commands.append(int("".join(map(str, samples)), 2))
        return taps, samples


class LinkScoreboard:
    """Finds what was sent in what came out of the pins: whole words in order, none missing, all links together."""

    def __init__(self, pins: Pins) -> None:
        self.pins = pins
        self.compared = 0

    def locate(self, link: int, words: Sequence[int]) -> int:
        """Bit of a transmitter at which these words begin.

        Raises
        ------
        AssertionError
            If they were not sent, or twice.
        """
        text = self.pins.sent(link)
        wanted = "".join(f"{word:032b}" for word in words)
        first = text.find(wanted)
        assert first >= 0, f"transmitter {link} never sent {words[0]:08x} and what follows"
        assert text.find(wanted, first + 1) < 0, f"transmitter {link} sent {words[0]:08x} and what follows twice"
        self.compared += len(words)
        return first

    def expect(self, link: int, words: Sequence[int], first: int) -> None:
        """These words begin at this bit of a transmitter.

        Raises
        ------
        AssertionError
            If not.
        """
        text = self.pins.sent(link)
        for number, word in enumerate(words):
            at = first + WORD_BITS * number
            got = text[at : at + WORD_BITS]
            assert got == f"{word:032b}", (
                f"transmitter {link}, word {number}: expected {word:08x}, got {int(got, 2):08x}"
            )
        self.compared += len(words)


def random_words(rng: random.Random, number: int) -> list[int]:
    """Words of a crossing."""
    return [_header(number) | rng.getrandbits(28) for _ in range(ERX_LINKS)]


def _header(number: int) -> int:
    return (0x9 if number % ORBIT == 0 else 0xA) << 28


def code_of(number: int) -> int:
    """The command that goes with a crossing when nothing else is asked for: BCR once in an orbit."""
    return int(Command.BCR if (number + _RUN_UP) % ORBIT == 0 else Command.IDLE)


def feed_alignment(pins: Pins, rng: random.Random, delays: Sequence[int]) -> int:
    """Everything that ROCs and command line send until all links are aligned; rows that this takes.

    Row `FIRST` is the first crossing 0, among the idle words that LinkReset ROC-T asks for; data follows. That command
    comes after a BCR: until then the orbit counter stands anywhere, and may take a snapshot too early.
    """
    pins.delay(delays)
    for row in range(ALIGNED):
        number = row - FIRST
        idle = _TRAINING <= row < _TRAINING + _IDLE_WORDS
        pins.send([_header(number) | _IDLE_WORD] * ERX_LINKS if idle else random_words(rng, number))
        pins.command(Command.LINK_RESET_ROC_T if row == _TRAINING - 2 else code_of(number))
    return ALIGNED


__all__ = [
    "ALIGNED", "CROSSING_PS", "FIRST", "ORBIT", "REGISTERS", "LinkLoop", "LinkScoreboard", "Pins", "code_of",
    "feed_alignment", "random_words",
]  # fmt: skip
