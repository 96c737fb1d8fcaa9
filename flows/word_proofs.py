"""Proofs about the code words of a chip at their real width: 96 data and 8 check bits, every word of the image.

The code is linear. If the flip-flops hold the code word of any data but for given inverted bits, the syndrome is
constant, and everything behind it is an affine form of the data (`flows.affine`). So one evaluation of the generated
hardware for each word, byte and place of a flip decides a statement for all 2**96 words at once, exactly, where a
solver would have to search through parities. What the code word of data is comes from the columns of `WordCode` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.lib.wiring import Component

from flows.affine import UNKNOWNS, AffineNetlist, Forms, atom, form, known
from flows.proofs import Proof, Status
from flows.protection_proofs import inside_out
from hw.common.export import to_rtlil
from hw.common.word_code import WordCode
from hw.common.word_store import StoredWord, WordStore
from hw.hgcal_encoder.coded_words import DenseWords, WordMap
from hw.hgcal_encoder.word_selector import WordSelector
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["StoreProof", "one_of_each", "prove_every_selector", "prove_every_word"]

Rows = npt.NDArray[np.int64]


def code_word(code: WordCode, used: Sequence[int], data: Sequence[Forms]) -> list[Forms]:
    """Code word of data bits at places `used` of the code: data, then the sums that the columns ask for."""
    checks = [form() for _ in range(code.check_bits)]
    for bit, value in zip(used, data, strict=True):
        for row in range(code.check_bits):
            if code.columns[bit] >> row & 1:
                checks[row] = checks[row] ^ value
    return [*data, *checks]


def _constants(value: int, width: int) -> Forms:
    return np.stack([form(constant=value >> bit & 1) for bit in range(width)])


def _single(size: int) -> npt.NDArray[np.bool_]:
    """No flip, then one at each place."""
    return np.concatenate([np.zeros((1, size), np.bool_), np.eye(size, dtype=np.bool_)])


_LANES = 512
"""Pairs of flips that are evaluated together: they fit the cache of a processor."""


def _pairs(size: int) -> list[npt.NDArray[np.bool_]]:
    """All pairs of places, in parts."""
    pairs = list(combinations(range(size), 2))
    flips = np.zeros((len(pairs), size), np.bool_)
    for place in range(2):
        flips[np.arange(len(pairs)), [pair[place] for pair in pairs]] = True
    return [flips[first : first + _LANES] for first in range(0, len(pairs), _LANES)]


class _Verdict:
    """Collects comparisons until one fails."""

    def __init__(self) -> None:
        self.status = Status.PROVED
        self.counterexample: dict[str, int] = {}
        self.compared = 0

    def equal(self, actual: Forms, expected: Forms, where: dict[str, int]) -> bool:
        """Compare forms of shape (bits, lanes, 2): another form is another value somewhere; a bit that is not known, or
        an atom in place of a form, decides nothing."""
        expected = np.broadcast_to(expected, actual.shape)
        self.compared += actual[..., 0].size
        wrong = (actual != expected).any(axis=-1)
        if not wrong.any():
            return True
        exact = known(actual) & ((actual[..., 1] >> np.uint64(42)) == (expected[..., 1] >> np.uint64(42)))
        refuted = wrong & exact
        self.status = Status.REFUTED if refuted.any() else Status.UNDECIDED
        bit, lane = (int(i) for i in np.argwhere(refuted if refuted.any() else wrong)[0])
        self.counterexample = {**where, "bit": bit, "lane": lane}
        return False


class StoreProof:
    """A `WordStore` of a chip without its flip-flops, as affine netlist.

    Parameters
    ----------
    words : WordMap
        Of the chip.
    store : class of Component
        `WordStore` or a variant of it.
    """

    def __init__(self, words: WordMap, store: Callable[..., Component] = WordStore) -> None:
        self.words: tuple[StoredWord, ...] = words.words
        self.addresses = words.addresses
        self.blocks = 1 + max(word.block for word in self.words)
        part: Any = store(words=self.words, addresses=self.addresses, blocks=self.blocks)
        self.code: WordCode = WordCode(width=self.words[0].piece_bits * len(self.words[0].pieces))
        if self.code.width + 8 > UNKNOWNS:
            raise ValueError(f"code words of {self.code.width} bits and a byte: expected {UNKNOWNS} unknowns at most")
        design = inside_out(part, "store")
        self.netlist = AffineNetlist(design.rtlil, "store")
        self.state, self.after = self.netlist.port("state"), self.netlist.port("next_state")
        places = {bit: place for place, bit in enumerate(design.bits)}
        self.places = [
            np.array([places[f"{word.name}.value[{i}]"] for i in range(len(word.used) + self.code.check_bits)])
            for word in self.words
        ]
        self.static: dict[int, Rows] = {}
        self.raw: dict[int, Rows] = {}
        ends = {"static": 0, "raw": 0}
        for number, word in enumerate(self.words):
            name, found = ("static", self.static) if word.static else ("raw", self.raw)
            size = len(word.used) + (0 if word.static else self.code.check_bits - 1)
            found[number] = self.netlist.port(name)[ends[name] : ends[name] + size]
            ends[name] += size

    def data(self, number: int) -> list[Forms]:
        """Unknowns of a word."""
        return [form(i) for i in range(len(self.words[number].used))]

    def value(self) -> Forms:
        """Unknowns of the byte on the bus."""
        return np.stack([form(self.code.width + bit) for bit in range(8)])

    def holding(self, number: int) -> Forms:
        """State of all flip-flops: the code word of unknown data in one word, anything in all others."""
        state = np.stack([atom(place) for place in range(len(self.state))])
        state[self.places[number]] = code_word(self.code, self.words[number].used, self.data(number))
        return state

    def bytes_of(self, number: int) -> list[int]:
        """Addresses of the bytes that a word has bits of."""
        return sorted({self.addresses[bit // 8] for bit in self.words[number].image_bits})

    def check(self, number: int, addresses: Sequence[int], verdict: _Verdict) -> bool:
        """Everything that is stated of one word; whether it holds."""
        word, own = self.words[number], self.places[number]
        state = self.holding(number)
        flips = _single(len(own))
        mask = flips.T[:, :, None] * form(constant=1)
        stored = state[own][:, None, :] ^ mask
        here = {"word": number}
        if word.static:
            # whatever is reached, looked for and merged meanwhile
            free = self.netlist.evaluate({"state": state})
            lanes = self.netlist.variants(free, self.state[own], flips)
            if not verdict.equal(lanes[self.static[number]], np.stack(self.data(number))[:, None], here):
                return False
        others = np.ones(len(self.state), np.bool_)
        others[own] = False
        blocks = _constants(1 << word.block, self.blocks)[:, None]
        none = np.zeros_like(blocks)
        struck = np.asarray(flips.any(axis=1))[None, :, None]
        for address in addresses:
            base = 8 * self.addresses.index(address) if address in self.addresses else None
            bits = {bit - base: i for i, bit in enumerate(word.image_bits) if base is not None and 0 <= bit - base < 8}
            data = self.data(number)
            found = np.stack([form(constant=int(bit in bits)) for bit in range(8)])
            read = np.stack([data[bits[bit]] if bit in bits else form() for bit in range(8)])
            new = list(data)
            for bit, i in bits.items():
                new[i] = self.value()[bit]
            for merge in (0, 1):
                where = {**here, "address": address, "merge": merge}
                values = self.netlist.evaluate({
                    "state": state, "word": _constants(number, len(self.netlist.port("word"))),
                    "address": _constants(address, len(self.netlist.port("address"))),
                    "merge": _constants(merge, 1), "value": self.value(),
                })  # fmt: skip
                # the other words keep whatever they hold; without a flip the change may be none
                expected = np.stack(code_word(self.code, word.used, new if merge else data))
                if not (
                    verdict.equal(values[self.after[others]], state[others][:, None], where)
                    and verdict.equal(self.netlist.settled(self.after[own], values)[:, None], expected[:, None], where)
                ):
                    return False
                lanes = self.netlist.variants(values, self.state[own], flips)
                if not (
                    verdict.equal(lanes[self.after[own]][:, 1:], expected[:, None], where)
                    and verdict.equal(lanes[self.netlist.port("found")], found[:, None], where)
                    and verdict.equal(lanes[self.netlist.port("read")], read[:, None], where)
                    and verdict.equal(lanes[self.netlist.port("errors")], np.where(struck, blocks, none), where)
                    and verdict.equal(lanes[self.netlist.port("doubles")], none, where)
                ):
                    return False
                if not word.static and not verdict.equal(lanes[self.raw[number]], stored[:-1], where):
                    return False
                if address == addresses[0] and not merge:  # two flips do not depend on the byte
                    for pairs in _pairs(len(own)):
                        two = self.netlist.variants(values, self.state[own], pairs)
                        kept = state[own][:, None, :] ^ pairs.T[:, :, None] * form(constant=1)
                        if not (
                            verdict.equal(two[self.after[own]], kept, where)
                            and verdict.equal(two[self.netlist.port("errors")], none, where)
                            and verdict.equal(two[self.netlist.port("doubles")], blocks, where)
                        ):
                            return False
        return True


def one_of_each(words: WordMap) -> list[int]:
    """Numbers of words that stand for all: the first of those that have the same bits and are read the same way."""
    first: dict[object, int] = {}
    for number, word in enumerate(words.words):
        first.setdefault((word.used, word.static), number)
    return list(first.values())


def prove_every_word(
    spec: EncoderSpec,
    *,
    store: Callable[..., Component] = WordStore,
    words: Sequence[int] | None = None,
) -> Proof:
    """The store of a chip, word by word, with no or any one flip-flop of the word inverted, or any two.

    In a clock in which the word is reached, with any byte of its own looked for, or one beside them: a flip is gone,
    the block's counter is told; the byte is what the image has of it in this word; where `merge` asks for it the next
    state is the code word with the new byte; all other words keep what they hold. Words that are needed at every clock
    leave corrected whatever is reached, the others as stored. Two flips are told and nothing is changed.

    Parameters
    ----------
    spec : EncoderSpec
        With a `reuse` above 1.
    store : class of Component
        `WordStore` or a variant of it.
    words : sequence of int, optional
        Numbers of the words; all if left out. `one_of_each` gives one of each shape.
    """
    start = time.monotonic()
    proof = StoreProof(WordMap(spec=spec), store)
    verdict = _Verdict()
    chosen = range(len(proof.words)) if words is None else words
    for number in chosen:
        mine = proof.bytes_of(number)
        if not proof.check(number, [*mine, mine[0] - 1, mine[-1] + 1], verdict):
            break
    code = proof.code
    return Proof(
        name=f"words_{spec.name}_{code.width}_{code.check_bits}", status=verdict.status, input_bits=code.width + 8,
        statement=f"{len(chosen)} words of up to {code.width} + {code.check_bits} bits: one flip never shown or stored,"
        " two told and kept, bytes merge into code words",
        wall_s=time.monotonic() - start, counterexample=verdict.counterexample,
    )  # fmt: skip


def prove_every_selector(spec: EncoderSpec, *, selector: Callable[..., Component] = WordSelector) -> Proof:
    """Weights of every slot from the code words of a neuron, any one bit of the slot's word of a group inverted.

    All other words of the neuron hold anything meanwhile, so words of several groups may each have a flip.

    Parameters
    ----------
    spec : EncoderSpec
        With a `reuse` above 1.
    selector : class of Component
        `WordSelector` or a variant of it.
    """
    start = time.monotonic()
    layout = DenseWords(spec=spec)
    code, width, schedule = layout.code, spec.weight.width, layout.schedule
    netlist = AffineNetlist(to_rtlil(selector(spec=spec), "selector"), "selector")
    outputs, inputs = netlist.port("weight"), netlist.port("words")
    verdict = _Verdict()
    for slot, group, first, length in layout.layout:
        used = layout.used(group, slot)
        data = [form(i) for i in range(len(used))]
        state = np.stack([atom(place) for place in range(layout.raw_bits)])
        own = np.arange(first, first + length)
        state[own] = code_word(code, used, data)[:-1]
        held: dict[int, Forms] = {}
        place = 0
        for position in layout.positions(group, slot):
            if position is not None:
                weights = position * layout.weights_bits
                held |= {weights + i: data[place + i] for i in range(layout.weights_bits)}
                place += layout.weights_bits
        rows, expected = [], []
        for tap in range(schedule.parallel):
            activation = schedule.activation(slot, tap)
            for bit in range(width):
                if activation is None or activation * width + bit in held:
                    rows.append(int(outputs[tap * width + bit]))
                    expected.append(form() if activation is None else held[activation * width + bit])
        values = netlist.evaluate({"words": state, "slot": _constants(1 << slot, spec.reuse)})
        lanes = netlist.variants(values, inputs[own], _single(length))
        where = {"slot": slot, "group": group}
        if not verdict.equal(lanes[np.array(rows)], np.stack(expected)[:, None], where):
            break
    return Proof(
        name=f"selector_{spec.name}_{code.width}_{code.check_bits}", status=verdict.status, input_bits=code.width,
        statement=f"weights of {spec.reuse} slots from words of {code.width} data bits, any one bit of each inverted",
        wall_s=time.monotonic() - start, counterexample=verdict.counterexample,
    )  # fmt: skip
