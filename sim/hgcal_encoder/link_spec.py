"""The links of a concentrator: fast commands, and every choice about links that no public source decides.

Sources: register maps of ECON-T-P1 (cmantill/econt_sw @e403a79) and of production (LDMX-Software/pflib @bc37b50), the
emulator (cmantill/ECONT_Emulator @357cfef), and for the codes ``FastControlLpgbtWord.cc``, which quotes
hgc-daq-codebook v1. What is a choice says so in the text of its field; reasons:
docs/decisions/0007-links-of-the-concentrator.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from enum import IntEnum
from typing import Any

from sim.messages import shown
from sim.spec_file import check_integer, parse_toml, toml_value

__all__ = [
    "ALIGNED_SELECT", "BITS_PER_COMMAND", "CODES", "COUNTED", "ERX_LINKS", "ETX_LINKS", "IDLE", "LINKS_P1",
    "LINKS_PRODUCTION", "PHASE_BAD", "SAMPLES_PER_COMMAND_BIT", "SNAPSHOT_BITS", "SPARES", "TAPS", "WORD_BITS",
    "Action", "Command", "LinkSpec", "actions_of",
]  # fmt: skip

ERX_LINKS, ETX_LINKS = 12, 13
WORD_BITS = 32
"""Bits of a link in a bunch crossing: 1.28 Gb/s at 40 MHz."""
BITS_PER_COMMAND = 8
"""Bits of the fast-command line in a bunch crossing: 320 Mb/s."""
SAMPLES_PER_COMMAND_BIT = WORD_BITS // BITS_PER_COMMAND
SNAPSHOT_BITS = 6 * WORD_BITS
ALIGNED_SELECT = 32
"""Value of `select` at which the newest word is taken as it came."""
TAPS = 15
"""Points in a bit at which a receiver samples it."""
PHASE_BAD = 15
"""Read back where training found no phase."""
SPARES = 8
"""Counters of spare commands."""


class Action(IntEnum):
    """What a command asks for, in the order of the counters and of the bits of ``capture_fcmd_ctrl``."""

    BCR = 0
    OCR = 1
    L1A = 2
    NZS = 3
    CAL_INT = 4
    CAL_EXT = 5
    EBR = 6
    ECR = 7
    LINK_RESET_ROC_T = 8
    LINK_RESET_ROC_D = 9
    LINK_RESET_ECON_T = 10
    LINK_RESET_ECON_D = 11
    SPARE_0 = 12
    SPARE_1 = 13
    SPARE_2 = 14
    SPARE_3 = 15
    SPARE_4 = 16
    SPARE_5 = 17
    SPARE_6 = 18
    SPARE_7 = 19
    UNASSIGNED = 20
    ERROR = 21
    CHIP_SYNC = 22
    """Acts, and has no counter."""


COUNTED = Action.CHIP_SYNC
"""Actions below this one have a counter."""


class Command(IntEnum):
    """Codes of the fast commands, first bit sent in bit 7; every one has four ones."""

    IDLE = 0x36
    OCR = 0x95
    BCR = 0x1D
    BCR_L1A = 0x71
    BCR_PRE = 0xA3
    BCR_L1A_PRE = 0xA5
    L1A = 0x4B
    PRE = 0xCC
    L1A_PRE = 0xE1
    NZS_L1A = 0x0F
    NZS_L1A_PRE = 0x2B
    CAL_INT = 0x2D
    CAL_INT_L1A = 0x39
    CAL_INT_PRE = 0x55
    CAL_INT_L1A_PRE = 0xE2
    CAL_EXT = 0x78
    CAL_EXT_L1A = 0x87
    CAL_EXT_PRE = 0x93
    CAL_EXT_L1A_PRE = 0xF0
    ECR = 0xA9
    EBR = 0xD1
    LINK_RESET_ROC_T = 0x99
    LINK_RESET_ROC_D = 0x9A
    LINK_RESET_ECON_T = 0xAA
    LINK_RESET_ECON_D = 0xB8
    CHIP_SYNC = 0xD2


IDLE = int(Command.IDLE)
CODES: dict[int, tuple[Action, ...]] = {
    Command.IDLE: (),
    Command.OCR: (Action.BCR, Action.OCR),
    Command.BCR: (Action.BCR,),
    Command.BCR_L1A: (Action.BCR, Action.L1A),
    Command.BCR_PRE: (Action.BCR,),
    Command.BCR_L1A_PRE: (Action.BCR, Action.L1A),
    Command.L1A: (Action.L1A,),
    Command.PRE: (),
    Command.L1A_PRE: (Action.L1A,),
    Command.NZS_L1A: (Action.NZS, Action.L1A),
    Command.NZS_L1A_PRE: (Action.NZS, Action.L1A),
    Command.CAL_INT: (Action.CAL_INT,),
    Command.CAL_INT_L1A: (Action.CAL_INT, Action.L1A),
    Command.CAL_INT_PRE: (Action.CAL_INT,),
    Command.CAL_INT_L1A_PRE: (Action.CAL_INT, Action.L1A),
    Command.CAL_EXT: (Action.CAL_EXT,),
    Command.CAL_EXT_L1A: (Action.CAL_EXT, Action.L1A),
    Command.CAL_EXT_PRE: (Action.CAL_EXT,),
    Command.CAL_EXT_L1A_PRE: (Action.CAL_EXT, Action.L1A),
    Command.ECR: (Action.ECR,),
    Command.EBR: (Action.EBR,),
    Command.LINK_RESET_ROC_T: (Action.LINK_RESET_ROC_T,),
    Command.LINK_RESET_ROC_D: (Action.LINK_RESET_ROC_D,),
    Command.LINK_RESET_ECON_T: (Action.LINK_RESET_ECON_T,),
    Command.LINK_RESET_ECON_D: (Action.LINK_RESET_ECON_D,),
    Command.CHIP_SYNC: (Action.CHIP_SYNC,),
}
"""What each published command but the spare ones asks for. The pre-L1A has no counter."""


@dataclass(frozen=True, kw_only=True)
class LinkSpec:
    """Links of a concentrator.

    Attributes
    ----------
    spare_codes : tuple of int
        Codes of the spare commands, spare 0 first. Six are published and the chip counts eight, so spare 6 and 7 stay
        at 0 until someone finds their codes (choice: order as published).
    select_max : int
        Highest value of `select` at which the aligner finds a pattern: 63 bits within a word, 160 with a skew of up to
        four words (choice; verification of the chip skews links by three words). Higher values act like it.
    newest_crossing : int
        Crossing that the newest word of the match pattern belongs to: 0 for ``...9ccccccc``, 1 for the older
        ``9ccccccc accccccc``. It numbers crossings, and the orbit header is expected in crossing 0.
    link_reset_delay : int
        Crossings from LinkReset ECON-T to the first crossing of the reset packet.
    link_reset_crossings : int
        Length of the packet.
    freeze_data : bool
        While `freeze_output_enable` holds a channel, its 28 data bits are 0 and its header passes, as the emulator has
        it; False: words pass unchanged (choice: True).
    training_crossings : int
        Window in which a receiver looks for edges (choice).
    command_loss : int
        IDLEs in a row at another phase that lose the lock; as many at one phase lock.
    etx_first_bit : int
        Bit of a word that a transmitter sends first: 31 or 0 (choice: 31, as received).
    seed_bits : int
        Width of the seed of the pattern generator: 14, on first silicon 16.
    serializer_bits : int
        Width of the alignment of transmitters: 6, one for each link; on first silicon 5, one for all.

    Raises
    ------
    ValueError
        If a value is out of range; the message names it.
    """

    spare_codes: tuple[int, ...] = (0x47, 0x53, 0x59, 0x5A, 0x5C, 0x8B)
    select_max: int = 160
    newest_crossing: int = 0
    link_reset_delay: int = 8
    link_reset_crossings: int = 256
    freeze_data: bool = True
    training_crossings: int = 32
    command_loss: int = 3
    etx_first_bit: int = 31
    seed_bits: int = 14
    serializer_bits: int = 6

    def __post_init__(self) -> None:
        for name, low, high in (
            ("select_max", 63, ALIGNED_SELECT + SNAPSHOT_BITS - 64), ("newest_crossing", 0, 1),
            ("link_reset_delay", 1, 63), ("link_reset_crossings", 1, 1023), ("training_crossings", 4, 255),
            ("command_loss", 2, 3), ("seed_bits", 14, 16), ("serializer_bits", 5, 6),
        ):  # fmt: skip
            check_integer(name, getattr(self, name), low, high)
        if self.etx_first_bit not in (0, WORD_BITS - 1) or isinstance(self.etx_first_bit, bool):
            raise ValueError(f"etx_first_bit: expected 31 or 0, got {shown(self.etx_first_bit)}")
        if not isinstance(self.freeze_data, bool):
            raise ValueError(f"freeze_data: expected true or false, got {shown(self.freeze_data)}")
        codes = self.spare_codes
        if not isinstance(codes, tuple) or len(codes) > SPARES:
            raise ValueError(f"spare_codes: expected at most {SPARES} codes, got {shown(codes)}")
        for number, code in enumerate(codes):
            check_integer(f"spare_codes[{number}]", code, 0, 255)
            if code.bit_count() != 4 or code in CODES or codes.index(code) != number:
                raise ValueError(f"spare_codes[{number}]: expected a free code with four ones, got {code:#04x}")

    def changed(self, table: dict[str, Any]) -> LinkSpec:
        """With what a table of TOML says; what it leaves out stays.

        Raises
        ------
        ValueError
            If a name is unknown or a value is out of range.
        """
        known = {field.name for field in fields(self)}
        if unknown := sorted(set(table) - known):
            raise ValueError(f"links: unknown {shown(unknown[0])}; expected {', '.join(sorted(known))}")
        values: dict[str, Any] = {n: tuple(value) if isinstance(value, list) else value for n, value in table.items()}
        return replace(self, **values)

    @classmethod
    def from_toml(cls, text: str) -> LinkSpec:
        """From the text of a file, what it leaves out as on production; errors as `changed` and `parse_toml`."""
        return cls().changed(parse_toml(text))

    def to_toml(self) -> str:
        """All fields as TOML."""
        return "".join(f"{name} = {toml_value(value)}\n" for name, value in asdict(self).items())


def actions_of(code: int, spec: LinkSpec) -> tuple[Action, ...]:
    """What a code with four ones asks for; codes without a meaning are unassigned."""
    if code in CODES:
        return CODES[code]
    if code in spec.spare_codes:
        return (Action(Action.SPARE_0 + spec.spare_codes.index(code)),)
    return (Action.UNASSIGNED,)


LINKS_PRODUCTION = LinkSpec()
LINKS_P1 = LinkSpec(seed_bits=16, serializer_bits=5)
