"""Settings and weights as long code words: reached one at a time, read all at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from hw.common.coded_word import CodedWord
from hw.common.hierarchy import place
from hw.common.one_hot import any_of
from hw.common.word_code import WordCode
from hw.common.word_corrector import WordCorrector

__all__ = ["Reader", "StoredWord", "WordPiece", "WordStore"]


class Reader(Enum):
    """How a code word leaves the store."""

    CORRECTED = auto()
    """Needed at every clock: behind a corrector of its own."""
    STORED = auto()
    """As it is stored: whoever reads it selects first and corrects then."""
    WALK = auto()
    """In the clock in which it is reached, behind the corrector of the store."""


@dataclass(frozen=True, kw_only=True)
class WordPiece:
    """Bits of a code word that lie side by side in the image.

    Attributes
    ----------
    start : int
        Number of the bit of the image at bit 0 of the piece; bits count upwards through the bytes of the image.
    bits : tuple of int
        Bits of the piece that the word has, ascending.
    """

    start: int
    bits: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class StoredWord:
    """One code word.

    Attributes
    ----------
    name : str
        Of its instance: ``word_`` and what it holds.
    pieces : tuple of WordPiece or None
        Data bits, `piece_bits` of the store apart; None for a piece that the word does not have.
    piece_bits : int
        Distance of pieces.
    block : int
        Counter of its errors.
    reader : Reader
        Who needs it, when.
    reset : int
        Data bits after reset, by their place in the code.
    """

    name: str
    pieces: tuple[WordPiece | None, ...]
    piece_bits: int
    block: int
    reader: Reader
    reset: int = 0

    @cached_property
    def used(self) -> tuple[int, ...]:
        """Data bits that the word has, by their place in the code, ascending."""
        return tuple(
            number * self.piece_bits + bit
            for number, piece in enumerate(self.pieces)
            if piece is not None
            for bit in piece.bits
        )

    @cached_property
    def image_bits(self) -> tuple[int, ...]:
        """Numbers in the image of the used bits, in their order."""
        return tuple(piece.start + bit for piece in self.pieces if piece is not None for bit in piece.bits)


class WordStore(Component):
    """Code words of flip-flops; one word a clock is read, corrected, and if need be written.

    In each clock the word with number `word` goes through the one corrector of the store. It is written back if a
    single error was found in it, and, while `merge` is high, if it has bits of the byte at `address`: these become
    `value`. Both are changes to the stored code word, never a new one: what is written is the stored word with the
    wrong bit inverted, and the code word of the changes added. The code is linear, so a code word stays one; a double
    error is never hidden behind fresh check bits.

    Words that are needed at every clock have a corrector each. Others leave as they are stored, to be selected
    first and corrected then, by whoever reads them, or only as the word that is reached (`Reader`).

    Reset: the code word of the reset value of each word, asynchronous.

    Not protected: correctors, selection and enables against transients; clock, reset.

    Parameters
    ----------
    words : tuple of StoredWord
        All with the same number of pieces and distance of pieces.
    addresses : tuple of int
        Addresses of the bytes of the image, ascending: byte n has bits 8 n to 8 n + 7 of the image.
    address_width : int
    blocks : int
        Counters of errors.

    Members
    -------
    word : In
        Number of the word that is reached.
    address : In(address_width), merge : In(1), value : In(8)
        Byte to look for, and to change.
    found, read : Out(8)
        Bits of the byte that the word has, and their values (0 elsewhere).
    static : Out
        Used data bits of the words that are needed at every clock, corrected, in their order.
    raw : Out
        Used data bits and check bits without the parity bit of words that leave as stored, in their order.
    data : Out
        Data bits of the word that is reached, corrected, by their place in the code; 0 where it has none.
    errors, doubles : Out(blocks)
        A single error is being corrected, two errors are there, in the word that is reached.

    Raises
    ------
    ValueError
        If there is no word, or words differ in their pieces.
    """

    clocked = True

    def __init__(
        self, *, words: tuple[StoredWord, ...], addresses: tuple[int, ...], address_width: int = 16, blocks: int = 1
    ):
        if len({(len(word.pieces), word.piece_bits) for word in words}) != 1:
            raise ValueError("a store needs words, all with the same number and distance of pieces")
        self._words, self._addresses, self._blocks = words, addresses, blocks
        self._piece_bits = words[0].piece_bits
        self._pieces = len(words[0].pieces)
        self._code = WordCode(width=self._piece_bits * self._pieces)
        static = sum(len(word.used) for word in words if word.reader is Reader.CORRECTED)
        raw = sum(len(word.used) + self._code.check_bits - 1 for word in words if word.reader is Reader.STORED)
        super().__init__({
            "word": In(len(words).bit_length()), "address": In(address_width), "merge": In(1), "value": In(8),
            "found": Out(8), "read": Out(8), "static": Out(static), "raw": Out(raw), "data": Out(self._code.width),
            "errors": Out(blocks), "doubles": Out(blocks),
        })  # fmt: skip

    @property
    def code(self) -> WordCode:
        """Code of all words."""
        return self._code

    def elaborate(self, platform: object) -> Module:
        m = Module()
        code, checks = self._code, self._code.check_bits
        reached = Signal(len(self._words))
        m.d.comb += reached.eq(Cat(self.word == number for number in range(len(self._words))))
        written = Signal(code.width + checks)
        write = Signal(8)
        change = Signal()
        cells, static, raw = [], [], []
        for number, word in enumerate(self._words):
            reset = code.checks_of(word.reset) << len(word.used)
            reset |= sum((word.reset >> bit & 1) << i for i, bit in enumerate(word.used))
            cell = place(m, platform, word.name, CodedWord, width=len(word.used) + checks, reset=reset)
            m.d.comb += [
                cell.data.eq(Cat(*(written[bit] for bit in word.used), written[code.width :])),
                cell.enable.eq(change & reached[number]),
            ]
            if word.reader is Reader.CORRECTED:
                corrector = place(
                    m, platform, f"corrector_{word.name}", WordCorrector, label=f"{len(word.used)}_bits",
                    width=code.width, used=word.used,
                )  # fmt: skip
                m.d.comb += corrector.raw.eq(cell.value[:-1])
                static.append(corrector.data)
            elif word.reader is Reader.STORED:
                raw.append(cell.value[:-1])
            cells.append(cell.value)
        m.d.comb += [self.static.eq(Cat(static)), self.raw.eq(Cat(raw))]

        # the word that is reached
        seen = Signal(code.width + checks)
        members: list[list[Value]] = [[] for _ in seen]
        for number, (word, value) in enumerate(zip(self._words, cells, strict=True)):
            for i, bit in enumerate((*word.used, *range(code.width, code.width + checks))):
                members[bit].append(value[i] & reached[number])
        m.d.comb += seen.eq(Cat(any_of(values) if values else Const(0, 1) for values in members))
        data = {bit: seen[bit] for bit in range(code.width) if members[bit]}
        syndrome = Signal(checks)
        m.d.comb += syndrome.eq(code.syndrome(m, "seen", data, code.cut(seen[code.width :])).bits)
        odd = Signal()
        m.d.comb += odd.eq(syndrome.xor())
        pointed = code.wrong(m, "seen", code.cut(syndrome), data)
        wrong = Signal(code.width + checks)
        m.d.comb += wrong.eq(
            Cat(
                *(pointed[bit] & odd if bit in pointed else Const(0, 1) for bit in range(code.width)),
                *(syndrome == 1 << row for row in range(checks)),
            )
        )
        m.d.comb += self.data.eq((seen ^ wrong)[: code.width])
        single, double = Signal(), Signal(name="double")
        m.d.comb += [single.eq(wrong.any()), double.eq(syndrome.any() & ~single)]
        for block in range(self._blocks):
            mine = Cat(reached[n] for n, word in enumerate(self._words) if word.block == block).any()
            m.d.comb += [self.errors[block].eq(single & mine), self.doubles[block].eq(double & mine)]

        # the byte: what the word has of it, and its change
        hits = self._hits(m, reached)
        bits: list[list[Value]] = [[] for _ in range(8)]
        values: list[list[Value]] = [[] for _ in range(8)]
        targets: dict[int, list[tuple[Value, int]]] = {}
        for piece, shift, hit in hits:
            for position in range(8):
                local = shift + position
                bit = piece * self._piece_bits + local
                if not 0 <= local < self._piece_bits or bit not in data:
                    continue
                lacking = [
                    reached[n]
                    for n, word in enumerate(self._words)
                    if (own := word.pieces[piece]) is not None and local not in own.bits
                ]
                here = hit & ~any_of(lacking) if lacking else hit
                bits[position].append(here)
                values[position].append(here & (seen[bit] ^ wrong[bit]))
                targets.setdefault(bit, []).append((here, position))
        m.d.comb += [
            self.found.eq(Cat(any_of(found) if found else Const(0, 1) for found in bits)),
            self.read.eq(Cat(any_of(found) if found else Const(0, 1) for found in values)),
            write.eq((self.value ^ self.read) & self.found & self.merge.replicate(8)),
        ]
        changed = Signal(code.width)
        m.d.comb += changed.eq(
            Cat(
                any_of([here & write[position] for here, position in targets[bit]]) if bit in targets else Const(0, 1)
                for bit in range(code.width)
            )
        )
        added = code.syndrome(m, "changed", {bit: changed[bit] for bit in data}, None)
        # the wires to all flip-flops of the store move only in clocks in which a word may take them
        moving = Signal()
        m.d.comb += [
            moving.eq(single | (self.merge & self.found.any())),
            written.eq((seen ^ wrong ^ Cat(changed, added.bits)) & moving.replicate(len(written))),
            change.eq(single | write.any()),
        ]
        return m

    def _hits(self, m: Module, reached: Value) -> list[tuple[int, int, Value]]:
        """For each piece, and each place in it where bit 0 of a byte may lie: whether the byte at the address lies
        there in the word that is reached."""
        number = self._number(m)
        found = []
        for piece in range(self._pieces):
            starts = {
                n: word.pieces[piece].start for n, word in enumerate(self._words) if word.pieces[piece] is not None
            }
            for rest in sorted({start % 8 for start in starts.values()}):
                mine = [n for n, start in starts.items() if start % 8 == rest]
                first = Signal(len(number) + 1, name=f"piece_{piece}_{rest}_first")
                # words without a piece here start beyond the last byte, so that none lies in them
                beyond = (1 << len(number)) - 1
                base = [starts[n] // 8 if n in mine else beyond for n in range(len(self._words))]
                m.d.comb += first.eq(_constant(base, reached, len(number)))
                distance = Signal(len(number) + 1, name=f"piece_{piece}_{rest}_distance")
                m.d.comb += distance.eq(number - first)
                for byte in range(-(-(self._piece_bits + rest) // 8)):
                    hit = Signal(name=f"piece_{piece}_{rest}_byte_{byte}")
                    m.d.comb += hit.eq(distance == byte)
                    found.append((piece, 8 * byte - rest, hit))
        return found

    def _number(self, m: Module) -> Signal:
        """Number of the byte at the address; one that no word has if there is none."""
        runs: list[list[int]] = []
        for address in self._addresses:
            if runs and address == runs[-1][-1] + 1:
                runs[-1].append(address)
            else:
                runs.append([address])
        width = (len(self._addresses) + 2 * self._piece_bits).bit_length()
        number = Signal(width)
        offset, mapped = [], []
        count = 0
        for run in runs:
            within = Signal(name=f"within_{run[0]:04x}")
            m.d.comb += within.eq((self.address >= run[0]) & (self.address <= run[-1]))
            offset.append(Const((count - run[0]) % (1 << width), width) & within.replicate(width))
            mapped.append(within)
            count += len(run)
        # unmapped: just below the number that stands for words without a piece
        missing = (~Cat(mapped).any()).replicate(width) & Const((1 << width) - 2, width)
        found = (self.address + any_of(offset))[:width] & Cat(mapped).any().replicate(width)
        m.d.comb += number.eq(found | missing)
        return number


def _constant(values: Sequence[int], hits: Value, width: int) -> Value:
    """The value whose hit is set."""
    return Cat(
        any_of([hits[n] for n, value in enumerate(values) if value >> row & 1] or [Const(0, 1)]) for row in range(width)
    )
