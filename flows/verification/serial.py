"""The whole chip of a concentrator from serial bits to serial bits: published vectors, and traffic that goes wrong.

Expected words are published ones, or those of the golden models of the links and of the core one behind the other, fed
with the very bits that the chip got.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check
from flows.designs.concentrator_files import setting_values
from flows.simulation.serial_chip import ALIGNER, SerialBench, SerialChip, reset_mark
from flows.verification.bench import Tally
from flows.verification.concentrator_stimulus import random_concentrator_settings
from flows.verification.result import Advance
from sim.hgcal_encoder.algorithms.concentrator_model import (
    ConcentratorModel,
    ConcentratorSettings,
    load_concentrator_settings,
)
from sim.hgcal_encoder.configuration.register_maps import Chip
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.front_end import pedestals
from sim.hgcal_encoder.link_spec import CODES, ERX_LINKS, ETX_LINKS, LinkSpec
from sim.hgcal_encoder.links.front import Front, FrontOutput, FrontRegisters

__all__ = ["check_serial_traffic", "check_serial_vectors", "expected_frames", "front_registers", "random_delays"]

_LATEST, _SKEW = 128, 96
_PHASE = 64
"""Rows of full, and of nearly empty, modules in turn."""


def random_delays(rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Bits by which the links are late: within three words of each other, four at most."""
    delays: npt.NDArray[np.int64] = rng.integers(_LATEST - _SKEW, _LATEST + 1, ERX_LINKS)
    return delays


def check_serial_vectors(bench: SerialBench, words: Path, settings: Path, frames: Path, *, seed: int = 1) -> Check:
    """A fresh chip, loaded over I2C and aligned behind links of random length, sends published frames.

    Raises
    ------
    ValueError
        If the files have different numbers of crossings.
    """
    given, expected = read_words(words), read_frames(frames).astype(np.uint32)
    if len(given) != len(expected):
        raise ValueError(f"{words} holds {len(given)} crossings, {frames} {len(expected)}")
    chosen = load_concentrator_settings(settings, bench.spec)
    got = bench.frames(given, chosen, delays=random_delays(np.random.default_rng(seed)).tolist(), seed=seed)
    tally = Tally()
    tally.add(int(got.size), *_difference(got, expected, frames.name))
    return tally.check(
        f"published vectors, serial to serial: {frames.parent.name}/{frames.name}",
        f"serial_vectors__file:{frames.parent.name}_{frames.stem}", "eTx words",
    )  # fmt: skip


def front_registers(version: Chip, values: Mapping[str, int]) -> FrontRegisters:
    """Registers of the golden front: reset values of a chip, and of the block Aligner what was written."""
    changed = {name.removeprefix("aligner_"): value for name, value in values.items()}
    orbit = {name: value for name, value in changed.items() if name.startswith("orbsyn_cnt")}
    rest = {name: value for name, value in changed.items() if name not in orbit}
    if version is Chip.P1:
        rest |= {"freeze_output_enable": 0, "freeze_output_enable_all_channels_locked": 0}
    registers = FrontRegisters()
    return replace(registers, orbit=replace(registers.orbit, **orbit), aligner=replace(registers.aligner, **rest))


def expected_frames(
    raw: npt.NDArray[np.int64],
    commands: npt.NDArray[np.int64],
    front: Front,
    registers: FrontRegisters,
    model: ConcentratorModel,
) -> tuple[npt.NDArray[np.uint32], list[FrontOutput]]:
    """eTx words by the golden models of front and core for bits that pins got, and what the front showed."""
    steps = [front.step(row, int(code), registers) for row, code in zip(raw.tolist(), commands.tolist(), strict=True)]
    frames: npt.NDArray[np.uint32] = model.frames(
        np.array([step.words for step in steps], np.int64), bx=[step.crossing for step in steps],
        link_reset=[step.reset_packet for step in steps],
    )  # fmt: skip
    return frames, steps


def check_serial_traffic(bench: SerialBench, seed: int, crossings: int, *, advance: Advance | None = None) -> Check:
    """Random settings, data, commands, bit errors, wrong headers and slips, for every algorithm in turn.

    Every number in `alg_type` gets its share of the crossings, on a fresh chip that was aligned. All links' words are
    compared from the link reset after the alignment on.
    """
    rng = np.random.default_rng(seed)
    tally = Tally(advance)
    numbers = [int(number) for number in bench.spec.numbers]
    rows = -(-crossings // len(numbers))
    for turn, number in enumerate(numbers):
        settings = random_concentrator_settings(bench.spec, rng, number, 1 + int(rng.integers(bench.spec.etx_links)))
        if bench.version is Chip.P1:
            settings = _on_first_silicon(settings)
        # an empty module has to be an empty packet: the link reset is looked for in a buffer that nothing waits in
        settings = replace(settings, threshold=np.maximum(settings.threshold, 1 + pedestals(settings.settings)))
        got, expected = traffic(bench, rng, settings, rows, seed=1 + turn)
        tally.add(len(got), *_difference(got, expected, f"alg_type {number}, links {settings.active_etxs:#x}"))
    return tally.check(
        f"{bench.spec.name}_CHIP: serial traffic with commands and errors against the golden models (seed {seed})",
        f"serial_traffic__spec:{bench.spec.name}", "bunch crossings", at_least=crossings,
    )  # fmt: skip


def _on_first_silicon(settings: ConcentratorSettings) -> ConcentratorSettings:
    """The nearest settings that first silicon has registers for."""
    return replace(
        settings, active_etxs=(1 << settings.active_etxs.bit_count()) - 1, idle_pattern=settings.link_reset_pattern,
        stc_type=settings.stc_type % 4,
    )  # fmt: skip


def traffic(
    bench: SerialBench, rng: np.random.Generator, settings: ConcentratorSettings, rows: int, *, seed: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Words that a chip sent, and those expected, over a link reset and `rows` crossings of traffic."""
    align = {("formatterbuffer_align_serializer", k): int(rng.integers(64)) for k in range(ETX_LINKS)}
    if bench.version is Chip.P1:
        align = {("pll_phase_of_enable_1g28", 0): int(rng.integers(32))}
    with bench.chip(random_delays(rng).tolist(), seed) as chip:
        chip.load(setting_values(settings, bench.spec) | align)
        first = chip.line.row
        chip.align(ask=False)
        bits, late = chip.find_words(settings.active_etxs, settings.link_reset_pattern)
        start = chip.line.row
        send_traffic(chip, rng, rows, bench.spec.link_spec)
        chip.send(None, 64)
        raw, commands = (np.concatenate(part)[first:] for part in (chip.raw, chip.commands))
        registers = front_registers(bench.version, {name: value for (name, _), value in ALIGNER.items()})
        model = ConcentratorModel(bench.spec, settings)
        expected, _ = expected_frames(raw, commands, Front(bench.spec.link_spec), registers, model)
        # the models' rows are those of the pins; their words of the link reset say how many rows later words are sent
        link = next(k for k in range(ETX_LINKS) if settings.active_etxs >> k & 1)
        reset = chip.reset_row - first
        behind = int(np.argmax(expected[reset:, link] == reset_mark(settings.link_reset_pattern)))
        begin = start - first + behind
        return chip.words_at(bits, late, start, rows), expected[begin : begin + rows]


def send_traffic(chip: SerialChip, rng: np.random.Generator, rows: int, links: LinkSpec) -> None:
    """Random words in phases, a command in twelve crossings, errors of bits and headers, and slips of links."""
    codes = [*CODES, *links.spare_codes, *(code for code in range(256) if code.bit_count() == 4)]
    for start in range(0, rows, _PHASE):
        count = min(_PHASE, rows - start)
        words = rng.integers(0, 1 << 28, (count, ERX_LINKS)) & int(rng.choice([0xFFF_FFFF, 0x001_0180, 0]))
        words |= np.where(rng.random((count, ERX_LINKS)) < 0.02, rng.integers(16, size=(count, ERX_LINKS)), 0xA) << 28
        flips = {
            (int(rng.integers(count)), int(rng.integers(ERX_LINKS))): int(rng.integers(1, 1 << 32))
            for _ in range(count // 32)
        }
        for row in np.flatnonzero(rng.random(count) < 1 / 12).tolist():
            code = int(rng.choice(codes)) if rng.random() < 0.9 else int(rng.integers(256))
            chip.line.commands[chip.line.row + row] = code
        chip.send(words, flips=flips)
        if rng.random() < 0.2:
            link = int(rng.integers(ERX_LINKS))
            chip.line.delays[link] = int(np.clip(chip.line.delays[link] + rng.integers(-31, 32), 0, 191))


def _difference(got: npt.NDArray[np.uint32], expected: npt.NDArray[np.uint32], where: str) -> tuple[int, str]:
    wrong = np.argwhere(got != expected)
    if not len(wrong):
        return 0, ""
    row, link = (int(i) for i in wrong[0])
    return len(wrong), (
        f"{where}: crossing {row}, eTx {link}: expected {int(expected[row, link]):08x}, got {int(got[row, link]):08x}"
    )
