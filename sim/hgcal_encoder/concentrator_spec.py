"""The specification of a concentrator: which algorithms a chip has, how many links, how deep its buffer is.

The concentrator is everything between the word aligners and the serialisers of ECON-T. What stands around it talks to
it in whole bunch crossings (BX), one per 40 MHz clock, without flow control:

==================  =========  ========================================================================================
port of the core    bits       meaning
==================  =========  ========================================================================================
words               12 x 32    aligned eRx words of one crossing: header in bits 31:28, four 7-bit codes below. The
                               header is not read: `bx` numbers the crossing
bx                  12         number of this crossing in the orbit: from the orbit counter, in step with `words`
link_reset_econt    1          this crossing belongs to a link reset: its packet is replaced by 2 n words of link reset
run                 1          packets of this crossing enter the buffer; at 0 it empties and idle words are sent
settings            below      static while data flows; named as the registers of the production chip
frames              13 x 32    eTx words, `latency` clocks after the words of the crossing that they are sent in
overflow            1          a packet that T1 would admit did not fit the buffer and was truncated
==================  =========  ========================================================================================

`SETTINGS` holds the settings ports with their widths; a chip has those that its algorithms read
(`ConcentratorSpec.settings`). Arrays are flat, element 0 in the lowest bits. First silicon has one ``tx_sync_word``
(drives `idle_pattern` and `link_reset_pattern`), a number of links n (drives `active_etxs` with n ones) and
``mask_ae``, ``mask_ae2`` (the low 128 and the high 16 bits of `keep_auto_encoder_bits`).

Where no public source decides, the rule is a field of the spec with a value for each rule (`MaskGaps`,
`TruncatedFixed`, `SpareAlgTypes`, `EqualLargest`, `latent_overflow`); reasons, and choices to which there is no second
sensible rule, in docs/chips/concentrator.md. These hold in every chip:

* A link that is not active sends zeros.
* Selected algorithms that the chip lacks send 2 n zero words for every crossing.
* Super trigger cells of types 5 to 7 send zeros, as types on more links than they have.
* Fixed formats are 2 n words long on n links, zero-padded.
* A packet that does not fit the buffer is truncated, and `overflow` tells it: no word is ever lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import IntEnum, StrEnum
from functools import cached_property, partial
from typing import Any

from sim.fixed_point import Overflow
from sim.hgcal_encoder.link_spec import LINKS_P1, LINKS_PRODUCTION, LinkSpec
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ETX_WORDS, OVERFLOWS, EncoderSpec, WordOrder
from sim.hgcal_encoder.spec import PRESETS as NETWORKS
from sim.messages import shown
from sim.spec_file import check_fields, check_integer, check_name, load_preset, parse_toml, toml_value

__all__ = [
    "BUFFER_ROW",
    "ECON_T_P1",
    "ECON_T_PRODUCTION",
    "PRESETS",
    "SETTINGS",
    "AlgorithmNumber",
    "ConcentratorSpec",
    "EqualLargest",
    "MaskGaps",
    "Setting",
    "SpareAlgTypes",
    "TruncatedFixed",
    "load_spec",
]

BUFFER_ROW = 32
"""Words of a row of the buffer: a packet, of at most 26 words, reaches into two rows."""
MOST_ROWS = 16
"""Rows of a buffer that holds what the largest T1 of 9 bits admits."""


class AlgorithmNumber(IntEnum):
    """Register alg_type."""

    THRESHOLD_SUM = 0
    SUPER_TRIGGER_CELL = 1
    BEST_CHOICE = 2
    REPEATER = 3
    AUTOENCODER = 4

    @property
    def label(self) -> str:
        """Name in spec files."""
        return self.name.lower()


class MaskGaps(StrEnum):
    """Words of a crossing where the mask `active_etxs` has gaps."""

    CLOSED = "closed"
    """The k-th active link carries words 2 k and 2 k + 1, and n is the number of active links: nothing is lost."""
    KEPT = "kept"
    """Link k carries words 2 k and 2 k + 1, and n counts from link 0 to the last active one: words of a link in a gap
    are lost, and no word changes its link."""


class TruncatedFixed(StrEnum):
    """The word that stands for a crossing of a fixed format that the buffer truncates."""

    ZERO = "zero"
    """All bits 0."""
    MARKED = "marked"
    """That of threshold sum with a sum of 0: 5 bits counter, type 110 or 111, 8 zeros."""


class SpareAlgTypes(StrEnum):
    """What `alg_type` 5 to 7 do."""

    REPEATER = "repeater"
    ZEROS = "zeros"
    """As an algorithm that the chip lacks."""


class EqualLargest(StrEnum):
    """Which of equal largest charges gives the position of a super trigger cell."""

    HIGHEST = "highest"
    LOWEST = "lowest"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A settings port of the core.

    Attributes
    ----------
    width : int
        Bits of an element.
    count : int
        Elements.
    readers : tuple of AlgorithmNumber
        Algorithms that read it; empty: any chip has it.
    """

    width: int
    count: int = 1
    readers: tuple[AlgorithmNumber, ...] = ()


_A = AlgorithmNumber
SETTINGS = {
    "mux": Setting(width=6, count=CELLS),
    "cal": Setting(width=12, count=CELLS),
    "alg_high_density": Setting(width=1),
    "alg_type": Setting(width=3),
    "drop_lsb": Setting(width=3, readers=(_A.THRESHOLD_SUM, _A.SUPER_TRIGGER_CELL, _A.BEST_CHOICE, _A.REPEATER)),
    "threshold": Setting(width=CHARGE_WIDTH, count=CELLS, readers=(_A.THRESHOLD_SUM,)),
    "use_sum": Setting(width=1, readers=(_A.THRESHOLD_SUM, _A.BEST_CHOICE)),
    "stc_type": Setting(width=3, readers=(_A.SUPER_TRIGGER_CELL,)),
    "buff_t1": Setting(width=9),
    "buff_t2": Setting(width=9),
    "buff_t3": Setting(width=5),
    "active_etxs": Setting(width=ETX_WORDS),
    "idle_pattern": Setting(width=11),
    "link_reset_pattern": Setting(width=11),
    "keep_auto_encoder_bits": Setting(width=1, readers=(_A.AUTOENCODER,)),
    "weights": Setting(width=1, readers=(_A.AUTOENCODER,)),
}
"""Settings by the names of their registers on the production chip. The last two have as many bits as the network asks
for (`EncoderSpec.keep_bits`, `EncoderSpec.weight_bits`)."""


_RULES: dict[str, Iterable[StrEnum]] = {
    "word_order": WordOrder, "mask_gaps": MaskGaps, "truncated_fixed": TruncatedFixed,
    "spare_alg_types": SpareAlgTypes, "equal_largest": EqualLargest, "latent_overflow": OVERFLOWS,
}  # fmt: skip
"""Fields that name one of several rules."""


@dataclass(frozen=True, kw_only=True)
class ConcentratorSpec:
    """A concentrator with some or all of the five algorithms.

    Attributes
    ----------
    name : str
        Name of the design; also the stem of generated file names.
    algorithms : tuple of str
        What the chip has, of ``threshold_sum``, ``super_trigger_cell``, ``best_choice``, ``repeater``,
        ``autoencoder``; kept in the order of their numbers.
    network : str
        Autoencoder, by the name of a preset of `sim.hgcal_encoder.spec`; its multipliers are not reused.
    word_order : WordOrder
        Order of trigger cells in an eRx word.
    etx_links : int
        Links that the chip has, 1 to 13. The others send zeros, whatever `active_etxs` says.
    buffer_words : int
        16-bit words of the output buffer, in rows of 32: at least 2 rows, and for 24 words of T1 per link. The depth of
        ECON-T is not public (400 in its emulator); 512 holds whatever a T1 of 9 bits admits.
    mask_gaps : MaskGaps
    truncated_fixed : TruncatedFixed
    spare_alg_types : SpareAlgTypes
    equal_largest : EqualLargest
    latent_overflow : Overflow
        Latents of the autoencoder beyond their bits: ``SAT`` or ``WRAP``.
    links : LinkSpec, optional
        What stands around the core in the whole chip, see `link_spec`. In TOML a table ``[links]`` with the fields that
        differ from those of the version.

    Raises
    ------
    ValueError
        If the fields do not describe a concentrator; the message says which and why.
    """

    name: str
    algorithms: tuple[str, ...] = tuple(number.label for number in AlgorithmNumber)
    network: str = "ECON_T"
    word_order: WordOrder = WordOrder.PRODUCTION
    etx_links: int = ETX_WORDS
    buffer_words: int = BUFFER_ROW * MOST_ROWS
    mask_gaps: MaskGaps = MaskGaps.CLOSED
    truncated_fixed: TruncatedFixed = TruncatedFixed.ZERO
    spare_alg_types: SpareAlgTypes = SpareAlgTypes.REPEATER
    equal_largest: EqualLargest = EqualLargest.HIGHEST
    latent_overflow: Overflow = Overflow.SAT
    links: LinkSpec | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        labels = {number.label: number for number in AlgorithmNumber}
        given = self.algorithms
        if not isinstance(given, tuple | list) or not given or len(set(map(str, given))) != len(given):
            raise ValueError(f"algorithms: expected a list of different names, at least one, got {shown(given)}")
        if unknown := [name for name in given if name not in labels]:
            raise ValueError(f"algorithms: expected names of {', '.join(labels)}, got {shown(unknown[0])}")
        object.__setattr__(self, "algorithms", tuple(name for name in labels if name in given))
        if self.network not in NETWORKS:
            raise ValueError(f"network: expected one of {', '.join(NETWORKS)}, got {shown(self.network)}")
        for name, rules in _RULES.items():
            value = getattr(self, name)
            chosen = [rule for rule in rules if rule == value]
            if not chosen:
                raise ValueError(f"{name}: expected {' or '.join(rules)}, got {shown(value)}")
            object.__setattr__(self, name, chosen[0])
        check_integer("etx_links", self.etx_links, 1, ETX_WORDS)
        check_integer("buffer_words", self.buffer_words, 2 * BUFFER_ROW, BUFFER_ROW * MOST_ROWS)
        if self.buffer_words % BUFFER_ROW or self.buffer_words < 24 * self.etx_links:
            raise ValueError(
                f"buffer_words: expected a multiple of {BUFFER_ROW}, at least 24 for each of {self.etx_links} links, "
                f"got {self.buffer_words}"
            )
        if self.links is not None and not isinstance(self.links, LinkSpec):
            raise ValueError(f"links: expected a table, got {shown(self.links)}")
        for name in ("seed_bits", "serializer_bits"):
            own, given = getattr(_links_of(self.word_order), name), getattr(self.link_spec, name)
            if own != given:
                raise ValueError(
                    f"links.{name}: expected {own} as in the registers of {self.word_order.value}, got {given}"
                )

    @property
    def link_spec(self) -> LinkSpec:
        """Links of the whole chip: those of the version with these words, if the spec does not say others."""
        return self.links or _links_of(self.word_order)

    @property
    def numbers(self) -> tuple[AlgorithmNumber, ...]:
        """Algorithms by number."""
        return tuple(number for number in AlgorithmNumber if number.label in self.algorithms)

    def has(self, *numbers: AlgorithmNumber) -> bool:
        """Whether the chip has one of these."""
        return any(number in self.numbers for number in numbers)

    @property
    def encoder(self) -> EncoderSpec:
        """Network of the autoencoder, with the order of cells in a word and the overflow of latents of this chip."""
        network = NETWORKS[self.network]
        latent = replace(network.latent, overflow=self.latent_overflow)
        return replace(network, word_order=self.word_order, latent=latent)

    def active_links(self, mask: int) -> tuple[int, ...]:
        """Links that a mask (`active_etxs`) activates and the chip has, ascending."""
        return tuple(link for link in range(self.etx_links) if mask >> link & 1)

    def word_pairs(self, mask: int) -> int:
        """n of a mask: pairs of words that leave the buffer in a crossing."""
        active = self.active_links(mask)
        return active[-1] + 1 if active and self.mask_gaps is MaskGaps.KEPT else len(active)

    @property
    def buffer_rows(self) -> int:
        """Rows of the buffer."""
        return self.buffer_words // BUFFER_ROW

    @cached_property
    def settings(self) -> dict[str, int]:
        """Settings ports of this chip with their bits, all elements together."""
        bits = {"keep_auto_encoder_bits": self.encoder.keep_bits, "weights": self.encoder.weight_bits}
        return {
            name: bits.get(name, setting.width * setting.count)
            for name, setting in SETTINGS.items()
            if not setting.readers or self.has(*setting.readers)
        }

    def to_toml(self) -> str:
        """The spec as TOML text that `from_toml` reads back to an equal spec."""
        text = "".join(f"{f.name} = {toml_value(getattr(self, f.name))}\n" for f in fields(self) if f.name != "links")
        return text if self.links is None else f"{text}\n[links]\n{self.links.to_toml()}"

    @classmethod
    def from_toml(cls, text: str) -> ConcentratorSpec:
        """Read a spec.

        Raises
        ------
        ValueError
            If the text is not TOML, or a field is missing, unknown or illegal.
        """
        table = parse_toml(text)
        check_fields(table, cls)
        values: dict[str, Any] = {key: tuple(item) if isinstance(item, list) else item for key, item in table.items()}
        try:
            if isinstance(links := values.get("links"), dict):
                values["links"] = _links_of(values.get("word_order")).changed(links)
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"not a concentrator spec: {error}") from None


def _links_of(order: object) -> LinkSpec:
    return LINKS_P1 if order == WordOrder.P1 else LINKS_PRODUCTION


ECON_T_PRODUCTION = ConcentratorSpec(name="ECON_T_PRODUCTION")
"""All five algorithms, as on the production chip."""

ECON_T_P1 = ConcentratorSpec(name="ECON_T_P1", word_order=WordOrder.P1)
"""First silicon: the same algorithms, trigger cells in the other order within an eRx word."""

PRESETS = {spec.name: spec for spec in (ECON_T_PRODUCTION, ECON_T_P1)}

load_spec = partial(load_preset, presets=PRESETS, from_toml=ConcentratorSpec.from_toml)
"""A preset by name, or a spec from a TOML file; see `sim.spec_file.load_preset`."""
