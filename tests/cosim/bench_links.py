"""cocotb tests of the links at their pins; `tests/cosim/test_links.py` builds and runs them."""

import os
import random
from pathlib import Path

import cocotb
from cocotb.handle import SimHandleBase
from cocotb_coverage.coverage import CoverPoint, coverage_db

from sim.hgcal_encoder.link_spec import ERX_LINKS, ETX_LINKS, Command
from tests.cosim.link_agents import (
    FIRST,
    ORBIT,
    REGISTERS,
    LinkScoreboard,
    Pins,
    code_of,
    feed_alignment,
    random_words,
)  # fmt: skip

SEED = int(os.environ["LIQUIDCAL_SEED"])
FOLDER = Path(os.environ["LIQUIDCAL_FOLDER"])


@CoverPoint("links.offset", xf=lambda delay, phase: delay % 32 // 4, bins=list(range(8)))
@CoverPoint("links.skew", xf=lambda delay, phase: delay // 32, bins=list(range(4)))
@CoverPoint("links.phase", xf=lambda delay, phase: phase, bins=list(range(15)))
def aligned(delay: int, phase: int) -> None:
    """A link that was aligned with this delay and whose bits begin behind this tap."""


@CoverPoint("links.event", xf=lambda name: name, bins=["slip", "bit error", "wrong header", "link reset", "prbs7",
                                                       "serializer", "inverted"])  # fmt: skip
def seen(name: str) -> None:
    """Something that went wrong, or was asked for, and was answered as it should be."""


async def align(dut: SimHandleBase, rng: random.Random, delays: list[int], phases: list[int]) -> tuple[Pins, int]:
    """Train the phases, align, and send data for a while; the pins and the number of the next row."""
    pins = Pins(dut, phases)
    await pins.start(REGISTERS | {"eprxgrptop_track_mode": 1, "erx_enable": (1 << ERX_LINKS) - 1})
    rows = feed_alignment(pins, rng, delays)
    await pins.crossings(4)
    dut.cheprxgrp_train_channel.value = (1 << ERX_LINKS) - 1
    # some words stay to be sent: a line that runs dry slips
    await pins.crossings(rows - 10)
    return pins, rows


@cocotb.test()
@cocotb.parametrize(round_=[0, 1])
async def links_are_trained_aligned_and_sent_on(dut: SimHandleBase, round_: int) -> None:
    """Random phases, offsets and skews of up to three words: every word comes out whole, on all links at once."""
    rng = random.Random(SEED * 10 + round_)
    phases = [(link + ERX_LINKS * round_) % 15 for link in range(ERX_LINKS)]
    offsets, skews = (list(range(8)) * 3)[ERX_LINKS * round_ :], [(link + round_) % 4 for link in range(ERX_LINKS)]
    rng.shuffle(skews)
    # a line that begins its bits late in a bit is late by one more, and 128 is the most
    delays = [
        127 - 32 * skew - 4 * offset - rng.randrange(4) for offset, skew in zip(offsets[:ERX_LINKS], skews, strict=True)
    ]
    pins, rows = await align(dut, rng, delays, phases)
    assert int(dut.fctrl_locked.value)
    assert int(dut.cheprxgrp_channel_locked.value) == (1 << ERX_LINKS) - 1
    assert int(dut.chaligner_pattern_match.value) == (1 << ERX_LINKS) - 1
    assert int(dut.aligner_done.value)
    board = LinkScoreboard(pins)
    start = rows - 60
    places = {board.locate(link, pins.words[link][start : start + 40]) for link in range(ERX_LINKS)}
    assert len(places) == 1, "all links send the words of a crossing together"
    # the last transmitter tells the number of the crossing, in step
    numbers = [(row - FIRST) % ORBIT for row in range(start, start + 40)]
    board.expect(ETX_LINKS - 1, numbers, places.pop())
    assert board.compared == 40 * ETX_LINKS
    for delay, phase in zip(delays, phases, strict=True):
        aligned(delay, phase)


@cocotb.test()
async def what_goes_wrong_is_seen_and_what_is_asked_for_is_done(dut: SimHandleBase) -> None:
    """A bit error, a wrong header, a slip, a link reset; transmitters late, inverted, with PRBS7."""
    rng = random.Random(SEED)
    pins, rows = await align(dut, rng, [rng.randrange(2, 127) for _ in range(ERX_LINKS)], [3] * ERX_LINKS)
    board = LinkScoreboard(pins)

    def headers() -> list[int]:
        value = int(dut.chaligner_hdr_mm_cntr.value)
        return [value >> 16 * link & 0xFFFF for link in range(ERX_LINKS)]

    async def send(count: int, code: int = Command.IDLE, wrong: dict[int, int] | None = None, slip: int = -1) -> None:
        nonlocal rows
        for turn in range(count):
            words = random_words(rng, rows - FIRST)
            for link, mask in (wrong or {}).items() if turn == 0 else ():
                words[link] ^= mask
            pins.send(words)
            if slip >= 0 and turn == 0:
                pins.links[slip].append(0)
            pins.command(code if turn == 0 else code_of(rows - FIRST))
            rows += 1
        await pins.crossings(count)

    await send(12)
    before = headers()
    await send(30, wrong={2: 1 << 5})
    assert headers() == before, "a bit error in the data is no wrong header"
    board.locate(2, pins.words[2][rows - 32 : rows - 20])
    seen("bit error")
    await send(30, wrong={7: 0x5 << 28})
    assert [after - now for after, now in zip(headers(), before, strict=True)] == [int(k == 7) for k in range(12)]
    board.locate(7, pins.words[7][rows - 32 : rows - 20])
    seen("wrong header")
    before = headers()
    await send(40, slip=4)
    assert headers()[4] - before[4] > 10
    assert headers()[5] == before[5]
    seen("slip")
    # the reset packet is told by bit 12 of the last transmitter, for 256 crossings
    await send(300, code=Command.LINK_RESET_ECON_T)
    text = pins.sent(ETX_LINKS - 1)
    assert sum(f"{1 << 12 | number:032b}" in text for number in range(ORBIT)) >= 250
    seen("link reset")
    dut.formatterbuffer_align_serializer.value = 13
    dut.etx_invert_data.value = 1 << 3
    await send(30)
    start = rows - 24
    first = board.locate(1, pins.words[1][start : start + 6])
    assert board.locate(0, pins.words[0][start : start + 6]) == first + 13
    seen("serializer")
    assert board.locate(3, [word ^ 0xFFFFFFFF for word in pins.words[3][start : start + 6]]) == first
    seen("inverted")
    dut.formatterbuffer_etx_pattern.value = 1
    await send(20)
    bits = [int(bit) for bit in pins.sent(9)[-400:]]
    assert all(a ^ b == c for a, b, c in zip(bits, bits[1:], bits[7:], strict=False))
    assert len(set(bits)) == 2
    seen("prbs7")


@cocotb.test()
async def coverage_is_closed(dut: SimHandleBase) -> None:
    """Every offset, skew and phase of a link, and every event was there; the counts go into a file."""
    coverage_db.export_to_yaml(str(FOLDER / "coverage.yaml"))
    for point in ("links.offset", "links.skew", "links.phase", "links.event"):
        assert coverage_db[point].coverage == coverage_db[point].size, point
