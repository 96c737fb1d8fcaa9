"""How settings and weights of the encoder are cut into code words."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hw.common.register_file import stored_bits
from hw.common.word_code import WordCode
from hw.common.word_store import Reader, StoredWord, WordPiece
from hw.hgcal_encoder.schedule import Schedule
from sim.hgcal_encoder.configuration.chip_registers import BLOCKS_OF_ERRORS, image_fields
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["DenseWords", "WordMap"]

_WORD_BITS = 96
"""Data bits of a word: 16 weights of 6 bits."""
_MOST_WORDS = 160
"""Words that are all reached between two bytes on the bus: docs/decisions/0005-coded-words.md."""


@dataclass(frozen=True, kw_only=True)
class DenseWords:
    """Code words of the dense weights of one neuron, the same for each: what a slot needs lies in one word per group.

    A group is a few units of the convolution, whose activations come in the same slot. In each slot the word of the
    group has the weights of the positions that the units compute, at the same place for the same unit and filter.
    Weights of positions that see nothing but padding are in words of their own, which no slot selects (`folded`).

    Attributes
    ----------
    spec : EncoderSpec
        With a `reuse` above 1.
    """

    spec: EncoderSpec

    @cached_property
    def schedule(self) -> Schedule:
        """Which position is when. Positions that see nothing but padding have slots only where words of their own would
        be too many."""
        folded = Schedule(spec=self.spec, folded=True)
        return folded if self._count(folded, self._narrow) <= _MOST_WORDS else Schedule(spec=self.spec)

    @property
    def _narrow(self) -> int:
        """Positions that make 96 bits."""
        return max(1, _WORD_BITS // self.piece_bits)

    @property
    def weights_bits(self) -> int:
        """Bits of the weights of one position and neuron."""
        return self.spec.filters * self.spec.weight.width

    @property
    def piece_bits(self) -> int:
        """Distance of positions in a word; a byte at least, for the settings' sake."""
        return max(self.weights_bits, 8)

    @cached_property
    def pieces(self) -> int:
        """Positions of a word: as many as make 96 bits, more where there would be too many words."""
        pieces = self._narrow
        while self._count(self.schedule, pieces) > _MOST_WORDS and pieces < len(self.schedule.units):
            pieces += 1
        return pieces

    def _count(self, schedule: Schedule, pieces: int) -> int:
        """About how many words there are, and not fewer: each block of settings may end with a short one."""
        settings = sum(field.size for field in image_fields(self.spec)) - self.spec.weight_bits // 8
        slotted = -(-len(schedule.units) // pieces) * self.spec.reuse
        dense = (slotted + -(-len(schedule.left_out) // pieces)) * self.spec.latents
        return dense + -(-settings // (pieces * (self.piece_bits // 8))) + len(BLOCKS_OF_ERRORS)

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Units of each group."""
        units = range(len(self.schedule.units))
        return tuple(tuple(units[first : first + self.pieces]) for first in range(0, len(units), self.pieces))

    @property
    def code(self) -> WordCode:
        """Code of all words of the chip."""
        return WordCode(width=self.pieces * self.piece_bits)

    def positions(self, group: int, slot: int) -> tuple[int | None, ...]:
        """Position of each unit of a group in a slot."""
        return tuple(self.schedule.units[unit][slot] for unit in self.groups[group])

    @property
    def folded(self) -> tuple[tuple[int, ...], ...]:
        """Positions of each word that no slot selects."""
        rest = self.schedule.left_out
        return tuple(rest[first : first + self.pieces] for first in range(0, len(rest), self.pieces))

    def used(self, group: int, slot: int) -> tuple[int, ...]:
        """Data bits of the word of a group in a slot."""
        return tuple(
            piece * self.piece_bits + bit
            for piece, position in enumerate(self.positions(group, slot))
            if position is not None
            for bit in range(self.weights_bits)
        )

    def all_used(self, group: int) -> tuple[int, ...]:
        """Data bits that the words of a group have in any slot."""
        return tuple(sorted({bit for slot in range(self.spec.reuse) for bit in self.used(group, slot)}))

    @cached_property
    def layout(self) -> tuple[tuple[int, int, int, int], ...]:
        """Slot, group, first raw bit and number of raw bits of each word of a neuron, in order: used data bits, then
        check bits without parity."""
        found = []
        start = 0
        for slot in range(self.spec.reuse):
            for group in range(len(self.groups)):
                if used := self.used(group, slot):
                    length = len(used) + self.code.check_bits - 1
                    found.append((slot, group, start, length))
                    start += length
        return tuple(found)

    @property
    def raw_bits(self) -> int:
        """Raw bits of a neuron."""
        return sum(length for *_, length in self.layout)


@dataclass(frozen=True, kw_only=True)
class WordMap:
    """All code words of a chip.

    Dense weights are in words by neuron, slot and group (`DenseWords`); everything else, which is needed at every
    clock, in words of its own, by bytes.

    Attributes
    ----------
    spec : EncoderSpec
        With a `reuse` above 1.

    Raises
    ------
    ValueError
        If there are more words than the bus leaves time to reach between two bytes, or `spec` does not reuse
        multipliers.
    """

    spec: EncoderSpec

    def __post_init__(self) -> None:
        if self.spec.reuse < 2:
            raise ValueError(
                f"{self.spec.name}: code words of weights are selected by slot, which takes a reuse factor of at least "
                f"2, got {self.spec.reuse}"
            )
        if len(self.words) > _MOST_WORDS:
            raise ValueError(
                f"{self.spec.name}: {len(self.words)} code words, but the I2C bus leaves time for {_MOST_WORDS} "
                "between two bytes"
            )

    @cached_property
    def dense(self) -> DenseWords:
        """Words of the dense weights."""
        return DenseWords(spec=self.spec)

    @cached_property
    def addresses(self) -> tuple[int, ...]:
        """Addresses of the bytes of the image."""
        return tuple(sorted({address for address, _ in stored_bits(image_fields(self.spec))}))

    @cached_property
    def field_bits(self) -> dict[str, tuple[int, ...]]:
        """Bits of each group of fields, as numbers of bits of the image (byte n has 8 n to 8 n + 7)."""
        number = {address: n for n, address in enumerate(self.addresses)}
        found: dict[str, list[int]] = {}
        for field in sorted(image_fields(self.spec), key=lambda field: field.index):
            found.setdefault(field.name, []).extend(
                8 * number[field.address + (field.lsb + bit) // 8] + (field.lsb + bit) % 8 for bit in range(field.width)
            )
        return {name: tuple(bits) for name, bits in found.items()}

    @property
    def first_dense(self) -> int:
        """Bits of the weight image in front of the dense weights."""
        spec = self.spec
        return (spec.kernel_taps + 1) * spec.filters * spec.weight.width

    @cached_property
    def words(self) -> tuple[StoredWord, ...]:
        """All words: those of settings, kernel and biases first, then those of the dense weights by neuron as
        `DenseWords.layout` has them, then those that no slot selects, by neuron as `DenseWords.folded` has them."""
        return (*self._static(), *self._moving(), *self._folded())

    @property
    def first_folded(self) -> int:
        """Number of the first word that no slot selects."""
        return len(self.words) - len(self.dense.folded) * self.spec.latents

    def _moving(self) -> list[StoredWord]:
        return [
            self._weights(f"{latent}_{slot}_{group}", latent, self.dense.positions(group, slot), Reader.STORED)
            for latent in range(self.spec.latents)
            for slot, group, _, _ in self.dense.layout
        ]

    def _folded(self) -> list[StoredWord]:
        return [
            self._weights(f"{latent}_folded_{number}", latent, positions, Reader.WALK)
            for latent in range(self.spec.latents)
            for number, positions in enumerate(self.dense.folded)
        ]

    def _weights(self, name: str, latent: int, positions: Sequence[int | None], reader: Reader) -> StoredWord:
        """Word of the weights of a latent at some positions."""
        spec, dense, weights = self.spec, self.dense, self.field_bits["weights"]
        pieces: list[WordPiece | None] = []
        for position in positions:
            if position is None:
                pieces.append(None)
                continue
            first = self.first_dense + (latent * spec.activations + position * spec.filters) * spec.weight.width
            start = weights[first]
            if weights[first + dense.weights_bits - 1] != start + dense.weights_bits - 1:
                raise ValueError(f"{spec.name}: weights of a position are not side by side in the image")
            pieces.append(WordPiece(start=start, bits=tuple(range(dense.weights_bits))))
        pieces += [None] * (dense.pieces - len(pieces))
        return StoredWord(
            name=f"word_weights_{name}", pieces=tuple(pieces), piece_bits=dense.piece_bits,
            block=list(BLOCKS_OF_ERRORS).index("weights"), reader=reader,
        )  # fmt: skip

    def _static(self) -> list[StoredWord]:
        dense = self.dense
        weights = self.field_bits["weights"]
        bits = self.spec.activations * self.spec.latents * self.spec.weight.width
        moving = set(weights[self.first_dense : self.first_dense + bits])
        resets = {}
        for name, numbers in self.field_bits.items():
            of_group = [f for f in sorted(image_fields(self.spec), key=lambda f: f.index) if f.name == name]
            values = [f.reset >> bit & 1 for f in of_group for bit in range(f.width)]
            resets |= dict(zip(numbers, values, strict=True))
        found: list[StoredWord] = []
        lanes = dense.piece_bits // 8
        for block, (label, names) in enumerate(BLOCKS_OF_ERRORS.items()):
            mine = sorted({bit for name in names for bit in self.field_bits.get(name, ())} - moving)
            by_byte: dict[int, list[int]] = {}
            for bit in mine:
                by_byte.setdefault(bit // 8, []).append(bit % 8)
            runs: list[list[int]] = []
            for byte in by_byte:
                if runs and byte == runs[-1][-1] + 1 and len(runs[-1]) < lanes:
                    runs[-1].append(byte)
                else:
                    runs.append([byte])
            pieces = [
                WordPiece(
                    start=8 * run[0], bits=tuple(8 * i + bit for i, byte in enumerate(run) for bit in by_byte[byte])
                )
                for run in runs
            ]
            for number, first in enumerate(range(0, len(pieces), dense.pieces)):
                own: list[WordPiece | None] = list(pieces[first : first + dense.pieces])
                own += [None] * (dense.pieces - len(own))
                word = StoredWord(
                    name=f"word_{'weights' if label == 'weights' else 'settings_' + label}_{number}", pieces=tuple(own),
                    piece_bits=dense.piece_bits, block=block, reader=Reader.CORRECTED,
                )  # fmt: skip
                reset = sum(resets[image] << bit for bit, image in zip(word.used, word.image_bits, strict=True))
                found.append(
                    StoredWord(
                        name=word.name, pieces=word.pieces, piece_bits=word.piece_bits, block=block,
                        reader=Reader.CORRECTED, reset=reset,
                    )
                )  # fmt: skip
        return found

    @cached_property
    def static_place(self) -> dict[int, int]:
        """Where each bit of the image that is needed at every clock stands at the output `static` of the store."""
        numbers = [bit for word in self.words if word.reader is Reader.CORRECTED for bit in word.image_bits]
        return {bit: place for place, bit in enumerate(numbers)}
