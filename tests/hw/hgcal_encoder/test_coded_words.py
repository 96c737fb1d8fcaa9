"""Long code words: the code by its definition, the cut of an image into words, the store and the chip over I2C."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.common.hierarchy import flat_ports
from hw.common.register_file import stored_bits
from hw.common.scheme import Scheme
from hw.common.word_access import WordAccessLogic
from hw.common.word_code import WordCode
from hw.common.word_corrector import WordCorrector
from hw.common.word_store import Reader, StoredWord, WordPiece, WordStore
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.coded_words import WordMap
from sim.hgcal_encoder.configuration.chip_registers import Loading, image_fields, image_masks
from sim.hgcal_encoder.spec import ECON_T, TNS_2021
from tests.hw.driving import ODD, PADDED, evaluate
from tests.specs import SMALL


@pytest.mark.parametrize("width", [1, 2, 9, 10, 21, 22, 48, 72, 96, 105, 106, 192, 240])
def test_columns_correct_one_error_and_detect_two(width: int) -> None:
    """Hsiao's conditions: columns not 0, different, of odd weight. So no two sum to 0 or to a third."""
    code = WordCode(width=width)
    columns = [*code.columns, *(1 << row for row in range(code.check_bits))]
    assert all(0 < column < 1 << code.check_bits for column in columns)
    assert len(set(columns)) == len(columns)
    assert all(column.bit_count() % 2 for column in columns)
    pairs = {a ^ b for a, b in combinations(columns, 2)}
    assert 0 not in pairs
    assert not pairs & set(columns)
    assert width <= 4 or code.check_bits <= width.bit_length() + 2


def test_check_bits_of_the_chip() -> None:
    assert [WordCode(width=width).check_bits for width in (48, 49, 50, 96, 105, 225)] == [7, 7, 8, 8, 8, 9]
    with pytest.raises(ValueError, match="at least 1 data bit, got 0"):
        WordCode(width=0)


@pytest.mark.parametrize(
    ("width", "used"), [(96, range(96)), (96, [b for b in range(96) if b % 8 < 6]), (24, range(3))]
)
def test_every_single_flip_is_corrected(width: int, used: list[int]) -> None:
    code, used = WordCode(width=width), tuple(used)
    rng = np.random.default_rng(width)
    words, expected = [], []
    for place in range(len(used) + code.check_bits):
        data = int.from_bytes(rng.bytes(width // 8), "little") & sum(1 << bit for bit in used)
        held = sum((data >> bit & 1) << i for i, bit in enumerate(used))
        parity = (code.checks_of(data) & (1 << code.check_bits - 1) - 1) << len(used)
        # the last place is beyond the word: no flip
        words.append((held | parity) ^ (1 << place if place < len(used) + code.check_bits - 1 else 0))
        expected.append(held)
    assert evaluate(WordCorrector(width=width, used=used), raw=words)["data"] == expected


SPECS = [
    *(replace(SMALL, reuse=reuse) for reuse in (2, 3, 4, 16)),
    *(replace(ECON_T, reuse=reuse) for reuse in range(2, 9)),
    replace(TNS_2021, reuse=4), replace(ODD, reuse=9), replace(PADDED, reuse=5),
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS, ids=[f"{spec.name}-{spec.reuse}" for spec in SPECS])
def test_every_bit_of_the_image_is_in_one_word(spec) -> None:
    words = WordMap(spec=spec)
    places = [bit for word in words.words for bit in word.image_bits]
    expected = {
        8 * number + bit
        for number, (address, mask) in enumerate(image_masks(spec).items())
        for bit in range(8)
        if mask >> bit & 1
    }
    assert len(places) == len(set(places)) == len(expected) == len(stored_bits(image_fields(spec)))
    assert set(places) == expected
    assert len({word.name for word in words.words}) == len(words.words) <= 160
    # bits within a word follow the bits of the image, so that a byte is side by side
    for word in words.words:
        assert all(0 <= bit < words.dense.code.width for bit in word.used)
        assert list(word.used) == sorted(word.used)


def test_words_of_the_chip() -> None:
    """Where words of their own would be too many, positions that see nothing have slots like others."""
    for reuse, groups, folded in ((3, ((0, 1), (2, 3)), ((10, 11), (14, 15))), (4, ((0, 1), (2, 3)), ())):
        words = WordMap(spec=replace(ECON_T, reuse=reuse))
        readers = [word.reader for word in words.words]
        assert (len(readers), readers.count(Reader.CORRECTED)) == (149, 21)
        assert words.dense.code.width == 96
        assert (words.dense.groups, words.dense.folded) == (groups, folded)
        assert readers[words.first_folded :] == [Reader.WALK] * (32 if folded else 0)
        assert Reader.WALK not in readers[: words.first_folded]


WORDS = (
    StoredWord(
        name="word_a", piece_bits=12, block=0, reader=Reader.CORRECTED, reset=0x0FF,
        pieces=(WordPiece(start=0, bits=tuple(range(8))), WordPiece(start=16, bits=(0, 1, 2, 5))),
    ),
    StoredWord(
        name="word_b", piece_bits=12, block=1, reader=Reader.CORRECTED,
        pieces=(WordPiece(start=8, bits=tuple(range(1, 8))), None),
    ),
    StoredWord(
        name="word_c", piece_bits=12, block=1, reader=Reader.STORED,
        pieces=(WordPiece(start=28, bits=tuple(range(12))), WordPiece(start=40, bits=tuple(range(8)))),
    ),
)  # fmt: skip
MASKS = {0x10: 0xFF, 0x11: 0xFE, 0x12: 0x27, 0x20: 0xF0, 0x21: 0xFF, 0x22: 0xFF}


def test_bytes_reach_their_words_and_come_back() -> None:
    """A byte across two pieces and words with holes; unused bits and unmapped addresses read 0 and change nothing."""
    rng = np.random.default_rng(5)
    store = WordStore(words=WORDS, addresses=tuple(MASKS), address_width=8, blocks=2)
    held = dict.fromkeys(MASKS, 0) | {0x10: 0xFF}

    async def bench(ctx) -> None:
        async def sweep(address: int, value: int | None) -> int:
            seen = 0
            ctx.set(store.address, address)
            ctx.set(store.merge, value is not None)
            ctx.set(store.value, value or 0)
            for word in range(3):
                ctx.set(store.word, word)
                await ctx.delay(1e-9)
                assert (ctx.get(store.errors), ctx.get(store.doubles)) == (0, 0)
                assert not seen & ctx.get(store.found)
                assert ctx.get(store.read) & ~ctx.get(store.found) == 0
                seen |= ctx.get(store.read)
                await ctx.tick()
            return seen

        for _ in range(60):
            address = int(rng.choice([*MASKS, 0x0F, 0x13, 0x1F, 0x23, 0xFF]))
            before = held.get(address, 0)
            assert await sweep(address, None) == before
            if address in held:
                held[address] = int(rng.integers(256)) & MASKS[address]
            assert await sweep(address, held.get(address, 0) | ~MASKS.get(address, 0) & 0xFF) == before
            for each, value in held.items():
                assert await sweep(each, None) == value

    simulator = Simulator(store)
    simulator.add_clock(25e-9)
    simulator.add_testbench(bench)
    simulator.run()


def test_illegal_stores_are_refused() -> None:
    with pytest.raises(ValueError, match="same number and distance of pieces"):
        WordStore(words=(), addresses=(0,))
    with pytest.raises(ValueError, match="at least one code word, got 0"):
        WordAccessLogic(words=0)
    with pytest.raises(ValueError, match="takes a reuse factor of at least 2, got 1"):
        WordMap(spec=SMALL)
    with pytest.raises(ValueError, match="code words, but the I2C bus leaves time for 160"):
        WordMap(spec=replace(ECON_T, reuse=9))


def test_ports_and_latency() -> None:
    """A crossing less than with other schemes: no register behind the dense layer unless asked for."""
    spec = replace(ECON_T, reuse=4)

    def chip(**options: object) -> Chip:
        part = Chip(spec=spec, loading=Loading.DIRECT, **options)
        part._MustUse__silence = True
        return part

    assert chip(scheme=Scheme.SECDED_WORDS).latency == 4
    assert chip(scheme=Scheme.SECDED).latency == 5
    behind = ("words", "normalise", "dense", "frame")
    assert chip(scheme=Scheme.SECDED_WORDS, registers_after=behind).latency == 5
    same = [[(name, way, len(value)) for name, way, value in flat_ports(chip(scheme=scheme))] for scheme in Scheme]
    assert all(ports == same[0] for ports in same)
