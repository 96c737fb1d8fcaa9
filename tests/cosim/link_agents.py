"""Agents of the links: drivers for receivers and fast commands, monitor of the transmitters, model and scoreboard."""

import random
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

import cocotb
from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out
from cocotb.handle import SimHandleBase
from cocotb.task import Task
from cocotb.triggers import FallingEdge, Timer

from hw.common.hierarchy import place
from hw.hgcal_encoder.links.links import LINK_REGISTERS, Links
from sim.hgcal_encoder.link_spec import ERX_LINKS, ETX_LINKS, IDLE, SAMPLES_PER_COMMAND_BIT, TAPS, WORD_BITS, LinkSpec
from tests.cosim.words_through import WordsThrough

BIT_PS = 780
"""1.28 GHz, rounded to whole ps: a crossing of 32 bits is 24.96 ns."""
CROSSING_PS = WORD_BITS * BIT_PS


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
    """

    def __init__(self, dut: SimHandleBase, phases: Sequence[int]) -> None:
        self.dut: Any = dut
        self.links: list[deque[int]] = [deque() for _ in range(ERX_LINKS)]
        self.commands: deque[int] = deque()
        self.sent: list[list[int]] = [[] for _ in range(ETX_LINKS)]
        """Monitor of the transmitters: every bit since the start."""
        self.words: list[list[int]] = [[] for _ in range(ERX_LINKS)]
        self._low = [(1 << phase) - 1 for phase in phases]
        self._last = [0] * ERX_LINKS
        self._task: Task[None] | None = None

    async def start(self, registers: dict[str, int]) -> None:
        """Reset with registers in place, then clocks."""
        for name in LinkLoop.DRIVEN:
            getattr(self.dut, name).value = registers.get(name, 0)
        self.dut.serial_clk.value = 0
        self.dut.clk.value = 0
        self.dut.erx.value = 0
        self.dut.command.value = 0
        self.dut.rst.value = 1
        await Timer(CROSSING_PS, "ps")
        self.dut.rst.value = 0
        await Timer(CROSSING_PS, "ps")
        self._task = cocotb.start_soon(self._run())

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
            self.commands.extend([code >> number & 1] * SAMPLES_PER_COMMAND_BIT)

    async def crossings(self, count: int) -> None:
        """Let crossings pass."""
        for _ in range(count):
            await FallingEdge(self.dut.clk)

    async def _run(self) -> None:
        full = (1 << TAPS) - 1
        tick = 0
        while True:
            value = 0
            for link, line in enumerate(self.links):
                bit = full if line and line.popleft() else 0
                low = self._low[link]
                value |= ((self._last[link] & low) | (bit & ~low)) << TAPS * link
                self._last[link] = bit
            self.dut.erx.value = value
            self.dut.command.value = self.commands.popleft() if self.commands else 0
            await Timer(BIT_PS // 2, "ps")
            pins = int(self.dut.etx.value)
            for link, log in enumerate(self.sent):
                log.append(pins >> link & 1)
            self.dut.serial_clk.value = 1
            if tick % WORD_BITS == 0:
                self.dut.clk.value = 1
            elif tick % WORD_BITS == WORD_BITS // 2:
                self.dut.clk.value = 0
            await Timer(BIT_PS - BIT_PS // 2, "ps")
            self.dut.serial_clk.value = 0
            tick += 1


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
        text = "".join(map(str, self.pins.sent[link]))
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
        wanted = [word >> bit & 1 for word in words for bit in range(WORD_BITS - 1, -1, -1)]
        assert self.pins.sent[link][first : first + len(wanted)] == wanted, f"transmitter {link}, bit {first}"
        self.compared += len(words)


def random_words(rng: random.Random, number: int, orbit: int) -> list[int]:
    """Words of a crossing."""
    header = 0x9 if number % orbit == 0 else 0xA
    return [header << 28 | rng.getrandbits(28) for _ in range(ERX_LINKS)]


__all__ = ["CROSSING_PS", "LinkLoop", "LinkScoreboard", "Pins", "random_words"]
