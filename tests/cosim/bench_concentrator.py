"""cocotb tests of the whole concentrator at its pins; `tests/cosim/test_concentrator.py` builds and runs them.

Settings come over I2C, words and commands bit by bit; what leaves the transmitters is compared with the golden models
of links and core, one behind the other, for the bits that a monitor saw at the pins. While the bus is busy the bit
clock rests.
"""

import os
import random
from pathlib import Path

import cocotb
import numpy as np
from cocotb.handle import SimHandleBase

from flows.designs.concentrator_files import setting_values
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel, ConcentratorSettings
from sim.hgcal_encoder.algorithms.output_buffer import BufferThresholds, admit
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.register_maps import RegisterValues
from sim.hgcal_encoder.front_end import front_end
from sim.hgcal_encoder.link_spec import CODES, ERX_LINKS, ETX_LINKS, LINKS_PRODUCTION, Action, Command
from sim.hgcal_encoder.links.front import Front
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS
from tests.cosim.chip_agents import RegisterAgent, golden, values_of
from tests.cosim.concentrator_coverage import chip_coverage
from tests.cosim.link_agents import ALIGNED, FIRST, ORBIT, REGISTERS, LinkScoreboard, Pins, code_of, feed_alignment

SPEC = ConcentratorSpec.from_toml(Path(os.environ["LIQUIDCAL_SPEC"]).read_text())
SEED = int(os.environ["LIQUIDCAL_SEED"])
THRESHOLD, LINKS, TAP, TAPPED = 2000, 5, 7, 3
"""Threshold of all cells of threshold sum; links in use; tap of the first receivers, and how many take it: the others
stay at tap 0."""
LAST = (Command.LINK_RESET_ECON_T, Command.CHIP_SYNC, Command.LINK_RESET_ROC_T)
"""Commands after which the chip does something else."""


def chip_settings(number: AlgorithmNumber) -> ConcentratorSettings:
    """Settings with one algorithm selected; calibration and multiplexer stay at their reset values."""
    return ConcentratorSettings(
        settings=Settings(spec=SPEC.encoder, high_density=False, etx_count=LINKS), alg_type=int(number), drop_lsb=1,
        threshold=np.full(CELLS, THRESHOLD if number is AlgorithmNumber.THRESHOLD_SUM else 0), use_sum=True, stc_type=1,
        buffer=BufferThresholds(t1=24 * LINKS, t2=40, t3=8), active_etxs=(1 << LINKS) - 1, idle_pattern=0x155,
        link_reset_pattern=0x122,
    )  # fmt: skip


COVERAGE = chip_coverage()


async def begin(
    dut: SimHandleBase, rng: random.Random, number: AlgorithmNumber, more: RegisterValues
) -> tuple[Pins, RegisterAgent]:
    """Reset, load over I2C, and feed the alignment of links that are late by any offset and up to three words."""
    pins = Pins(dut, [rng.randrange(1, TAP + 1) if link < TAPPED else 0 for link in range(ERX_LINKS)])
    await pins.reset()
    pins.run()
    agent = RegisterAgent(dut)
    await pins.rest()
    phases = {("cheprxgrp_phase_select_channelinput", link): TAP for link in range(TAPPED)}
    single = values_of(REGISTERS | {"eprxgrptop_track_mode": 0})
    await agent.write(setting_values(chip_settings(number), SPEC) | phases | single | more)
    # last of all: packets of a fixed length would stay as far apart from the links' words as the change left them
    await agent.write({("clocksandresets_pusm_run", 0): 1})
    pins.resume()
    delays = [127 - 32 * (link % 4) - 4 * (link % 8) - rng.randrange(4) for link in range(ERX_LINKS)]
    feed_alignment(pins, rng, delays)
    for delay in delays:
        COVERAGE["link"].sample(delay)
    return pins, agent


def send(pins: Pins, rng: random.Random, count: int, code: int | None = None) -> None:
    """Crossings with full, busy, sparse and empty modules in turn, the first one with a command."""
    for turn in range(count):
        row = len(pins.words[0])
        kind = row // 12 % 4
        words = []
        for link in range(ERX_LINKS):
            few = (0x7F, 0x3FFF, 0)[row % 3] if link == row % ERX_LINKS else 0
            data = (0xFFF_FFFF, rng.getrandbits(28), few, 0)[kind]
            header = rng.randrange(16) if rng.random() < 0.01 else 0x9 if (row - FIRST) % ORBIT == 0 else 0xA
            words.append(header << 28 | data)
        pins.send(words)
        sent = code if turn == 0 and code is not None else code_of(row - FIRST)
        pins.command(sent)
        COVERAGE["command"].sample(sent)


def compare(pins: Pins, settings: ConcentratorSettings, rows: int, capture: int = 0) -> Front:
    """Every bit of all transmitters from the end of the alignment on; the golden front behind the last row."""
    frames, steps, front = golden(pins, SPEC, settings, 0, capture)
    board, start = LinkScoreboard(pins), ALIGNED - 20
    first = board.locate(0, frames[start : start + 60, 0].tolist())
    for link in range(ETX_LINKS):
        board.expect(link, frames[start : rows - 20, link].tolist(), first)
    assert board.compared == 60 + ETX_LINKS * (rows - 20 - start)
    words = np.array([step.words for step in steps[start:]])
    charges = front_end(words, settings.settings, 0).charges
    reset = np.array([step.reset_packet for step in steps[start:]])
    lengths = np.where(reset, 2 * LINKS, ConcentratorModel(SPEC, settings).lengths(charges))
    taken, _ = admit(lengths, settings.buffer, LINKS)
    for row, charge, admission, packet in zip(words, charges, taken, reset, strict=True):
        cells = int((charge >= THRESHOLD).sum())
        COVERAGE["crossing"].sample(cells, int(admission), packet, {int(word) >> 28 for word in row})
    return front


@cocotb.test()
async def every_block_of_registers_is_written_and_read(dut: SimHandleBase) -> None:
    """A field of each block and access: written, read back, and its reset value again after a reset."""
    pins = Pins(dut, [0] * ERX_LINKS)
    await pins.reset()
    pins.run()
    agent = RegisterAgent(dut)
    await pins.rest()
    # of each block and access the smallest field, and of equal ones the last: the bus takes 360 crossings for a byte
    chosen = {
        (field.block, field.access.value): field
        for field in sorted(agent.fields.values(), key=lambda field: (-field.size, field.address))
    }
    for field in chosen.values():
        if field.access.value != "ro":
            await agent.write({(field.name, field.index): field.reset ^ 1})
        if field.access.value != "wo":
            await agent.read(field.name, field.index)
    await agent.write({("misc_rw_err_clr_0", 0): 0})
    assert await agent.read("misc_wbmaster_err_wb_adr_cnt") == 0
    assert await agent.read_bytes(0x3F00, 1) == 0, "no field is there"
    assert await agent.read("misc_wbmaster_err_wb_adr_cnt") > 0


@cocotb.test()
async def threshold_sum_with_every_command(dut: SimHandleBase) -> None:
    """Packets of every length, a buffer at its thresholds, all commands, wrong headers, a link reset; then status."""
    rng, settings = random.Random(SEED), chip_settings(AlgorithmNumber.THRESHOLD_SUM)
    capture = 1 << Action.SPARE_0
    pins, agent = await begin(
        dut, rng, AlgorithmNumber.THRESHOLD_SUM, values_of({"fctrl_capture_fcmd_ctrl": capture})
    )  # fmt: skip
    codes = [code for code in (*CODES, *LINKS_PRODUCTION.spare_codes, 0x17, 0x01) if code not in LAST]
    rng.shuffle(codes)
    held = LINKS_PRODUCTION.spare_codes[0]
    codes.remove(held)
    send(pins, rng, 48)
    for code in (*codes, held):
        send(pins, rng, 4, code)
    send(pins, rng, 40, Command.LINK_RESET_ECON_T)
    for _ in range(16):
        pins.send([0xA << 28] * ERX_LINKS)
        pins.command()
    rows = len(pins.words[0])
    await pins.crossings(rows)
    await pins.rest()
    front = compare(pins, settings, rows, capture)
    locked, _, lock_count, *counts = front.command_status
    assert locked
    text = await agent.read_bytes(agent.fields["fctrl_lock_count", 0].address, 1 + len(counts))
    assert list(text.to_bytes(1 + len(counts), "little")) == [lock_count, *counts]
    for link in (0, 5, 11):
        assert await agent.read("chaligner_select", link) == front.aligners[link].select
    assert await agent.read("chaligner_hdr_mm_cntr", 2) == front.aligners[2].header_count > 0
    cells = await agent.read_bytes(agent.fields["algothreshold", 0].address, 33)
    assert cells == sum(THRESHOLD << 24 * cell for cell in range(11))
    assert await agent.read("aligner_done") == 1
    agent.coverage.close()


@cocotb.test()
async def repeater_with_a_slip_and_links_that_start_anew(dut: SimHandleBase) -> None:
    """A link that slips, ChipSync, LinkReset ROC-T; then transmitters that are late, inverted, and send PRBS7."""
    rng, settings = random.Random(SEED + 1), chip_settings(AlgorithmNumber.REPEATER)
    pins, agent = await begin(dut, rng, AlgorithmNumber.REPEATER, {})
    send(pins, rng, 40)
    pins.links[4].append(0)
    send(pins, rng, 24)
    for code in (Command.CHIP_SYNC, Command.LINK_RESET_ROC_T):
        send(pins, rng, 24, code)
    rows = len(pins.words[0])
    await pins.crossings(rows)
    await pins.rest()
    compare(pins, settings, rows)
    late = {("formatterbuffer_align_serializer", 0): 13, ("etx_invert_data", 3): 1}
    await agent.write(late | values_of({"formatterbuffer_etx_pattern": 1}))
    pins.resume()
    send(pins, rng, 16)
    await pins.crossings(16)
    bits = [[int(bit) for bit in pins.sent(link)[-320:]] for link in range(ETX_LINKS)]
    for link in range(ETX_LINKS):
        inverted = int(link == 3)
        own = [bit ^ inverted for bit in bits[link]]
        assert all(a ^ b == c for a, b, c in zip(own, own[1:], own[7:], strict=False)), link
    assert bits[0][13:] == bits[1][:-13]
    assert bits[3] == [1 - bit for bit in bits[1]]
    assert len(set(bits[1])) == 2


@cocotb.test()
async def coverage_is_closed(dut: SimHandleBase) -> None:
    """Last of all: the tests before it have left no bin empty."""
    for name in ("link", "command", "crossing"):
        COVERAGE[name].close()
