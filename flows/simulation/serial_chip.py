"""The whole concentrator in native simulation, pin to pin: receivers, I2C and fast commands in, transmitters out.

What stands around the chip is written here in words: ROCs that send an orbit of words on links of different length,
a controller of fast commands, an I2C controller, and a receiver of the transmitters' bits, which finds where words
begin in the words of a link reset. The wires themselves are C++ (``serial.cpp``), no part of the design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.common.errors import ToolError
from flows.designs.concentrator import ConcentratorDesign
from flows.designs.concentrator_files import setting_values
from flows.simulation.chip import ChipModel
from flows.simulation.native import FastClock, NativeModel, Words, build_native, divided_read_port
from flows.stimulus.link_traffic import command_bits, raw_words
from flows.tools.verilog import Port, read_ports
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel, ConcentratorSettings
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import chip_of
from sim.hgcal_encoder.configuration.register_maps import (
    Chip,
    ConcentratorDriver,
    RegisterValues,
    register_bytes,
    register_fields,
)
from sim.hgcal_encoder.front_end import pedestals
from sim.hgcal_encoder.link_spec import (
    ERX_LINKS,
    ETX_LINKS,
    TAPS,
    WORD_BITS,
    Command,
)
from sim.hgcal_encoder.words import ORBIT_LENGTH, bunch_crossings, check_words

__all__ = [
    "ALIGNER",
    "LinkError",
    "SerialBench",
    "SerialChip",
    "build_serial",
    "reset_mark",
]

DEPENDS_ON = ("serial.cpp",)
_HARNESS = Path(__file__).with_name("serial.cpp")
_CLOCK, _BIT_CLOCK = "clk", "serial_clk"
_LOAD, _RUN_UP, _LATEST = 41, 20, 4 * WORD_BITS
"""Value that BCR loads, crossings from a BCR to the next crossing 0 of the ROCs, most bits by which a link is late."""
_SNAPSHOT = _LOAD + _RUN_UP + _LATEST // WORD_BITS
_PATTERN, _IDLE_DATA = 0xACCCCCCC9CCCCCCC, 0xCCCCCCC
_TRAINING, _IDLE_CROSSINGS, _SEARCH = 50, 256, 300
"""Crossings from the first idle word to the crossing 0 that is looked for; idle words; until the search is over."""
_RESET_LEAD = 60
"""Crossings from LinkReset ECON-T to the crossing 0 that its words show."""
_SETTLED = 40
"""Crossings after the last word until its frames are at the receiver's end, 12 of them in the buffer."""
_FUNCTION_SIZE = 2000
"""Statements of a function of the simulation."""
_HISTORY = 8
"""Words of the past that a late link still sends."""
ALIGNER: RegisterValues = {
    ("aligner_orbsyn_cnt_load_val", 0): _LOAD, ("aligner_orbsyn_cnt_snapshot", 0): _SNAPSHOT,
    ("aligner_match_pattern_val", 0): _PATTERN, ("aligner_match_mask_val", 0): 0,
}  # fmt: skip
"""Registers of the orbit-synchronous alignment; all others of the links stay at their reset values, but those that
enable the channels of first silicon."""
_RUN = {Chip.PRODUCTION: "clocksandresets_pusm_run", Chip.P1: "misc_run"}
"""Register that sets a chip running."""


class LinkError(ToolError):
    """The links of a simulated chip do not come up, or break."""

    def __init__(self, message: str) -> None:
        super().__init__("links", message)


@dataclass(kw_only=True)
class _Line:
    """What the links carry from row to row.

    Attributes
    ----------
    delays : ndarray of int, shape (12,)
        Bits by which each link is late now.
    row : int
        Crossings so far; crossing 0 of the ROCs is every row that `origin` and whole orbits reach.
    origin : int
    past : ndarray of int64, shape (8, 12)
        The last words.
    commands : dict of int to int
        Commands of rows to come, besides BCR.
    training : int
        First row in which the ROCs send idle words; -1: none.
    """

    delays: npt.NDArray[np.int64]
    row: int = 0
    origin: int = 64
    past: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((_HISTORY, ERX_LINKS), np.int64))
    commands: dict[int, int] = field(default_factory=dict)
    training: int = -1

    def carry(
        self, count: int, words: npt.ArrayLike | None, flips: Mapping[tuple[int, int], int]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Bits of receivers and command line of the next `count` crossings.

        With `words`, BCR comes where `commands` has it, else a while before each crossing 0.
        """
        number = (self.row + np.arange(count) - self.origin) % ORBIT_LENGTH
        codes: dict[int, int] = {}
        if words is None:
            age = self.row + np.arange(count) - self.training
            idle = (self.training >= 0) & (age >= 0) & (age < _IDLE_CROSSINGS)
            sent = np.where(number == 0, 0x9, 0xA) << 28 | np.where(idle, _IDLE_DATA, 0)
            sent = np.broadcast_to(sent[:, None], (count, ERX_LINKS))
            codes = {int(row): int(Command.BCR) for row in np.flatnonzero(number == ORBIT_LENGTH - _RUN_UP)}
        else:
            sent = np.asarray(words, np.int64)
        sent = np.concatenate([self.past, sent])
        raw = raw_words(sent, np.broadcast_to(self.delays, sent.shape))[_HISTORY:]
        for (row, link), mask in flips.items():
            raw[row, link] ^= mask
        codes |= {row - self.row: code for row, code in self.commands.items()}
        commands = command_bits(codes, count, 0)
        self.row += count
        self.past = sent[-_HISTORY:]
        return raw, commands

    def until(self, crossing: int, at_least: int = 0) -> int:
        """Rows until the ROCs send this crossing, no fewer than `at_least`."""
        first = self.row + at_least
        return at_least + (self.origin + crossing - first) % ORBIT_LENGTH


class SerialChip(ChipModel):
    """A simulated chip between its links; also an `sim.hgcal_encoder.configuration.driver.I2cBus`.

    Parameters
    ----------
    model : NativeModel
        Of `SerialBench`.
    delays : sequence of int
        Bits by which each of the 12 links is late, 0 to 128 and within 96 of each other.
    version : Chip
        Its register map.

    Attributes
    ----------
    line : _Line
        What the links carry.
    driver : ConcentratorDriver
    raw, commands : list of ndarray of int64, shape (n, 12) and (n,)
        Bits that the pins got in each crossing, 32 in a row, oldest in bit 31.
    reset_row : int
        Row of the crossing 0 whose words the last link reset showed.
    received : list of ndarray of uint32, shape (n, 13)
        Bits seen at the transmitters, 32 in a crossing, oldest in bit 31.
    """

    def __init__(self, model: NativeModel, delays: Sequence[int], version: Chip = Chip.PRODUCTION) -> None:
        self.line = _Line(delays=np.asarray(delays, np.int64))
        self.received: list[Words] = []
        self.raw: list[npt.NDArray[np.int64]] = []
        self.commands: list[npt.NDArray[np.int64]] = []
        self.reset_row = 0
        self.driver = ConcentratorDriver(self, version)
        super().__init__(model, 0)

    def run(
        self,
        scl: npt.ArrayLike,
        sda: npt.ArrayLike,
        words: npt.ArrayLike | None = None,
        flips: Mapping[tuple[int, int], int] | None = None,
    ) -> npt.NDArray[np.int64]:
        """Run crossings with these levels of the I2C lines; SDA as the target pulls it (1: low).

        `words` are what the ROCs send, idle words if left out; `flips` are bits that arrive inverted, by row and link.
        """
        scl = np.asarray(scl)
        raw, commands = self.line.carry(len(scl), words, flips or {})
        seen = self.model.run({"raw": raw, "command_samples": commands, "scl": scl, "sda": np.asarray(sda)})
        self.raw.append(raw)
        self.commands.append(commands)
        self.received.append(seen["received"].astype(np.uint32))
        return seen["sda_low"]

    def idle(self, clocks: int) -> None:
        """Leave the bus alone."""
        self.send(None, clocks)

    def send(
        self,
        words: npt.ArrayLike | None,
        count: int | None = None,
        flips: Mapping[tuple[int, int], int] | None = None,
    ) -> None:
        """Words of consecutive crossings, or `count` crossings of idle words."""
        rows = len(np.asarray(words)) if words is not None else count or 0
        if rows:
            self.run(np.ones(rows, np.int64), np.ones(rows, np.int64), words, flips)

    def load(self, values: RegisterValues) -> None:
        """Write the bytes in which registers differ from their reset values, and set the chip running."""
        chip = self.driver.chip
        enabled = {("chaligner_per_ch_align_en", link): 1 for link in range(ERX_LINKS)}
        values = values | ALIGNER | enabled
        wanted = register_bytes(chip, values)
        resets = {(f.name, f.index): f.reset for f in register_fields(chip) if (f.name, f.index) in values}
        held = register_bytes(chip, resets)
        self.driver.write_bytes({address: byte for address, byte in wanted.items() if held[address] != byte})
        self.driver.write(_RUN[chip], 1)

    def align(self, *, ask: bool = True) -> None:
        """The orbit-synchronous procedure on all receivers.

        Parameters
        ----------
        ask : bool
            Read over the bus whether it succeeded, which takes 20,000 crossings.

        Raises
        ------
        LinkError
            If the chip does not say that every channel took a snapshot and found its pattern.
        """
        self.send(None, self.line.until(ORBIT_LENGTH - _TRAINING - 2, 64))
        self.line.commands[self.line.row] = int(Command.LINK_RESET_ROC_T)
        self.line.training = self.line.row + 2
        self.send(None, _TRAINING + 2 + _SEARCH)
        if not ask:
            return
        if not self.driver.read("aligner_done"):
            raise LinkError("no snapshot on all links, or the search goes on")
        if lost := [link for link in range(ERX_LINKS) if not self.driver.read("chaligner_pattern_match", link)]:
            raise LinkError(f"no pattern on links {', '.join(map(str, lost))}")

    def find_words(self, active: int, pattern: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Reset the transmitters' links, and find where words begin: bit, and rows behind the ROCs' words, by link.

        Parameters
        ----------
        active : int
            Mask of active links; others have bit and delay of the first of these.
        pattern : int
            Register ``link_reset_pattern``.

        Raises
        ------
        LinkError
            If an active link does not send the words of a link reset.
        """
        self.send(None, self.line.until(ORBIT_LENGTH - _RESET_LEAD, 1))
        self.line.commands[self.line.row] = int(Command.LINK_RESET_ECON_T)
        first, mark = self.line.row, reset_mark(pattern)
        self.reset_row = first + _RESET_LEAD
        self.send(None, _RESET_LEAD + 256 + _SETTLED)
        seen = np.concatenate(self.received)[first:].astype(np.uint64)
        bits, rows = np.zeros(ETX_LINKS, np.int64), np.zeros(ETX_LINKS, np.int64)
        pair = seen[:-1] << np.uint64(32) | seen[1:]
        links = [link for link in range(ETX_LINKS) if active >> link & 1]
        for link in links:
            shifts = np.arange(WORD_BITS, dtype=np.uint64)
            words = pair[:, link, None] >> (np.uint64(WORD_BITS) - shifts) & np.uint64(0xFFFF_FFFF)
            found = np.argwhere(words == mark)
            if len(found) != 1:
                raise LinkError(f"eTx {link}: {mark:08x} of a link reset seen {len(found)} times, expected once")
            rows[link], bits[link] = found[0]
        idle = [link for link in range(ETX_LINKS) if link not in links]
        if links:
            bits[idle], rows[idle] = bits[links[0]], rows[links[0]]
        return bits, rows - _RESET_LEAD

    def encode(
        self, words: npt.ArrayLike, settings: ConcentratorSettings, first_bx: int = 0, waves: Path | None = None
    ) -> Words:
        """eTx words of consecutive crossings, on a chip that was loaded and aligned.

        Parameters
        ----------
        words : array_like of int, shape (n, 12)
        settings : ConcentratorSettings
            What was loaded.
        first_bx : int
            Crossing of the first row if it does not carry the orbit header.
        waves : Path, optional
            VCD of every signal from the first word on; of a bench with `trace`.

        Returns
        -------
        ndarray of uint32, shape (n, 13)
        """
        rows = check_words(words)
        number = bunch_crossings(rows >> 28, first_bx)
        bits, late = self.find_words(settings.active_etxs, settings.link_reset_pattern)
        self.send(None, self.line.until(int(number[0])))
        start = self.line.row
        for row in np.flatnonzero(number == 0):
            self.line.commands[start + int(row) - _RUN_UP] = int(Command.BCR)
        if waves is not None:
            self.model.waves(waves)
        self.send(rows)
        self.line.origin = self.line.row - int(number[-1]) - 1
        self.send(None, _SETTLED)
        return self.words_at(bits, late, start, len(rows))

    def words_at(self, bits: npt.NDArray[np.int64], late: npt.NDArray[np.int64], start: int, count: int) -> Words:
        """Words for what the ROCs sent in `count` rows from `start` on, where `find_words` found words to begin."""
        seen = np.concatenate(self.received)
        return np.stack([
            _cut(seen[:, link], int(bits[link]), start + int(late[link]), count) for link in range(ETX_LINKS)
        ], axis=1)  # fmt: skip


def reset_mark(pattern: int) -> int:
    """Word of a link reset in crossing 0: counter 31 and the pattern, in both halves."""
    return (31 << 11 | pattern) * 0x1_0001


def _cut(seen: Words, bit: int, row: int, count: int) -> Words:
    """Words of a link from bit `bit` of row `row` on."""
    own = seen[row : row + count + 1].astype(np.uint64)
    pair = own[:-1] << np.uint64(32) | own[1:]
    cut: Words = (pair >> np.uint64(WORD_BITS - bit) & np.uint64(0xFFFF_FFFF)).astype(np.uint32)
    return cut


class SerialBench:
    """A whole chip, compiled once.

    Parameters
    ----------
    spec : ConcentratorSpec
        Its word order says whose registers and links the chip has.
    trace : bool
        With code that records waves.
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, spec: ConcentratorSpec, trace: bool = False, timeout_s: float = 3600.0) -> None:
        self.spec, self.version = spec, chip_of(spec)
        top = f"{spec.name}_CHIP"
        self.library, self.ports = build_serial(
            ConcentratorDesign.of(spec).chip_verilog(), top, trace=trace, timeout_s=timeout_s,
        )  # fmt: skip

    def chip(self, delays: Sequence[int] = (0,) * ERX_LINKS, seed: int = 1) -> SerialChip:
        """A fresh chip after its reset."""
        return SerialChip(NativeModel(self.library, self.ports, _CLOCK, seed), delays, self.version)

    def frames(
        self,
        words: npt.ArrayLike,
        settings: ConcentratorSettings,
        *,
        delays: Sequence[int] = (0,) * ERX_LINKS,
        first_bx: int = 0,
        seed: int = 1,
        waves: Path | None = None,
    ) -> Words:
        """Reset, load over I2C, align, reset the links, and run words; see `SerialChip.encode`.

        Raises
        ------
        LinkError
            If packets of a module without charge are longer than what leaves in a crossing: they wait in the buffer,
            and no receiver can tell where words of a link reset begin behind them.
        """
        empty = int(ConcentratorModel(self.spec, settings).lengths(pedestals(settings.settings)[None])[0])
        leaving = 2 * self.spec.word_pairs(settings.active_etxs)
        if empty > leaving:
            raise LinkError(
                f"packet of an empty module: expected at most {leaving} words, which leave in a crossing, got {empty}; "
                "raise thresholds above the pedestals of the cells"
            )
        with self.chip(delays, seed) as chip:
            chip.load(setting_values(settings, self.spec))
            chip.align()
            return chip.encode(words, settings, first_bx, waves)


def build_serial(
    verilog: str, top: str, *, trace: bool = False, timeout_s: float = 3600.0
) -> tuple[Path, tuple[Port, ...]]:
    """Compile a design with the pins of `hw.hgcal_encoder.concentrator_chip.ConcentratorChip` behind wires in words.

    Parameters
    ----------
    verilog, top, trace, timeout_s
        As for `build_native`.

    Returns
    -------
    library : Path
    ports : tuple of Port
        Those of the design, and the words: `raw` and `command_samples` in, `received` out.
    """
    place, bit = {True: 0, False: 0}, {}
    for port in read_ports(verilog, top):
        if port.name not in (_CLOCK, _BIT_CLOCK):
            bit[port.name] = 32 * place[port.output]
            place[port.output] += port.words
    defines = (
        f"-DLINKS={ERX_LINKS}", f"-DOUT_LINKS={ETX_LINKS}", f"-DTAPS={TAPS}", f"-DLINKS_BIT={bit['erx']}",
        f"-DCOMMAND_BIT={bit['command']}", f"-DOUT_BIT={bit['etx']}",
    )  # fmt: skip
    library, ports = build_native(
        divided_read_port(verilog), top, clock=_CLOCK, fast=FastClock(port=_BIT_CLOCK, ratio=WORD_BITS),
        harness=_HARNESS, defines=defines, function_size=_FUNCTION_SIZE, trace=trace, timeout_s=timeout_s,
    )  # fmt: skip
    words = (
        Port(name="raw", width=WORD_BITS * ERX_LINKS, output=False),
        Port(name="command_samples", width=WORD_BITS, output=False),
        Port(name="received", width=WORD_BITS * ETX_LINKS, output=True),
    )
    return library, (*ports, *words)
