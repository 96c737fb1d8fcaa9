"""Proofs about the code words of a chip at their real width: 96 data and 8 check bits, every word of the image.

The code is linear. If the flip-flops hold the code word of any data but for given inverted bits, the syndrome is
constant, and everything that follows from it is an affine form of the data (`flows.formal.affine`). So one evaluation
of the generated hardware for each word, byte and place of a flip decides a statement for all 2**96 words at once,
exactly, where a solver would have to search through parities. What the code word of data is comes from the columns of
`WordCode` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from amaranth.lib.wiring import Component

from flows.formal.affine import UNKNOWNS, AffineNetlist, Forms, atom, form, known
from flows.formal.solver import Proof, Status, instance, one_hot, prove_claims, prove_module
from flows.formal.state import cut_state
from hw.common.export import to_rtlil
from hw.common.word_access import WordAccessLogic
from hw.common.word_code import WordCode
from hw.common.word_corrector import WordCorrector
from hw.common.word_store import Reader, StoredWord, WordPiece, WordStore
from hw.hgcal_encoder.coded_words import DenseWords, WordMap
from hw.hgcal_encoder.word_selector import WordSelector
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec

__all__ = ["StoreProof", "one_of_each", "prove_every_selector", "prove_every_word"]

Rows = npt.NDArray[np.int64]
Flips = npt.NDArray[np.bool_]


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


def _single(size: int) -> Flips:
    """No flip, then one at each place."""
    return np.concatenate([np.zeros((1, size), np.bool_), np.eye(size, dtype=np.bool_)])


_LANES = 512
"""Pairs of flips that are evaluated together: they fit the cache of a processor."""


def _pairs(size: int) -> list[Flips]:
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
        design = cut_state(part, "store")
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
            if word.reader is Reader.WALK:
                continue
            corrected = word.reader is Reader.CORRECTED
            name, found = ("static", self.static) if corrected else ("raw", self.raw)
            size = len(word.used) + (0 if corrected else self.code.check_bits - 1)
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
        state, flips = self.holding(number), _single(len(self.places[number]))
        if number in self.static and not self._shown(number, state, flips, verdict):
            return False
        for address in addresses:
            for merge in (0, 1):
                where = {"word": number, "address": address, "merge": merge}
                values = self.netlist.evaluate({
                    "state": state, "word": _constants(number, len(self.netlist.port("word"))),
                    "address": _constants(address, len(self.netlist.port("address"))),
                    "merge": _constants(merge, 1), "value": self.value(),
                })  # fmt: skip
                if not self._reached(number, state, flips, values, where, verdict):
                    return False
                # what two flips do depends on no byte
                if address == addresses[0] and not merge and not self._double(number, state, values, where, verdict):
                    return False
        return True

    def _shown(self, number: int, state: Forms, flips: Flips, verdict: _Verdict) -> bool:
        """A word that is needed at every clock leaves corrected, whatever is reached, looked for and merged."""
        free = self.netlist.evaluate({"state": state})
        lanes = self.netlist.variants(free, self.state[self.places[number]], flips)
        return verdict.equal(lanes[self.static[number]], np.stack(self.data(number))[:, None], {"word": number})

    def _reached(
        self, number: int, state: Forms, flips: Flips, values: Forms, where: dict[str, int], verdict: _Verdict
    ) -> bool:
        """In the clock in which a word is reached: next state, byte that is read, error counters."""
        word, own, port = self.words[number], self.places[number], self.netlist.port
        found, read, merged = self._byte(number, where["address"])
        others = np.ones(len(self.state), np.bool_)
        others[own] = False
        # the other words keep whatever they hold; without a flip the change may be none
        after = np.stack(code_word(self.code, word.used, merged if where["merge"] else self.data(number)))
        if not (
            verdict.equal(values[self.after[others]], state[others][:, None], where)
            and verdict.equal(self.netlist.settled(self.after[own], values)[:, None], after[:, None], where)
        ):
            return False
        lanes = self.netlist.variants(values, self.state[own], flips)
        block, none = self._block(word)
        counted = np.where(np.asarray(flips.any(axis=1))[None, :, None], block, none)
        stored = state[own][:, None, :] ^ flips.T[:, :, None] * form(constant=1)
        return (
            verdict.equal(lanes[self.after[own]][:, 1:], after[:, None], where)
            and verdict.equal(lanes[port("found")], found[:, None], where)
            and verdict.equal(lanes[port("read")], read[:, None], where)
            and verdict.equal(lanes[port("errors")], counted, where)
            and verdict.equal(lanes[port("doubles")], none, where)
            and verdict.equal(lanes[port("data")[list(word.used)]], np.stack(self.data(number))[:, None], where)
            and (number not in self.raw or verdict.equal(lanes[self.raw[number]], stored[:-1], where))
        )

    def _double(self, number: int, state: Forms, values: Forms, where: dict[str, int], verdict: _Verdict) -> bool:
        """Any two flips in the word that is reached: reported, and left as they are."""
        own, port = self.places[number], self.netlist.port
        block, none = self._block(self.words[number])
        for pairs in _pairs(len(own)):
            lanes = self.netlist.variants(values, self.state[own], pairs)
            kept = state[own][:, None, :] ^ pairs.T[:, :, None] * form(constant=1)
            if not (
                verdict.equal(lanes[self.after[own]], kept, where)
                and verdict.equal(lanes[port("errors")], none, where)
                and verdict.equal(lanes[port("doubles")], block, where)
            ):
                return False
        return True

    def _block(self, word: StoredWord) -> tuple[Forms, Forms]:
        """Error counters if that of the word's block counts, and if none does."""
        block = _constants(1 << word.block, self.blocks)[:, None]
        return block, np.zeros_like(block)

    def _byte(self, number: int, address: int) -> tuple[Forms, Forms, list[Forms]]:
        """Bits of a byte that a word has, their values, and the data of the word with a new byte merged into it."""
        base = 8 * self.addresses.index(address) if address in self.addresses else None
        used = self.words[number].image_bits
        bits = {bit - base: i for i, bit in enumerate(used) if base is not None and 0 <= bit - base < 8}
        data = self.data(number)
        found = np.stack([form(constant=int(bit in bits)) for bit in range(8)])
        read = np.stack([data[bits[bit]] if bit in bits else form() for bit in range(8)])
        for bit, i in bits.items():
            data[i] = self.value()[bit]
        return found, read, data


def one_of_each(words: WordMap) -> list[int]:
    """Numbers of words that stand for all: the first of those that have the same bits and are read the same way."""
    first: dict[object, int] = {}
    for number, word in enumerate(words.words):
        first.setdefault((word.used, word.reader), number)
    return list(first.values())


def prove_every_word(
    spec: EncoderSpec,
    *,
    store: Callable[..., Component] = WordStore,
    words: Sequence[int] | None = None,
) -> Proof:
    """The store of a chip, word by word, with no or any one flip-flop of the word inverted, or any two.

    In a clock in which the word is reached, with any byte of its own looked for, or one beside them: a flip is gone and
    the block's error counter sees it; its data leave corrected; the byte is what the image has of it in this word;
    where `merge` asks for it the next state is the code word with the new byte; all other words keep what they hold.
    Words that are needed at every clock leave corrected whatever is reached, those that slots select as stored. Two
    flips are reported and nothing is changed.

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
        " two reported and kept, bytes merge into code words",
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


def _columns(code: WordCode, bits: Sequence[tuple[int, str]]) -> list[str]:
    """Check bits of data bits (place in the code, net) in Verilog: a row of the parity-check matrix each."""
    return [
        "^{" + ", ".join(["1'b0", *(net for bit, net in bits if code.columns[bit] >> row & 1)]) + "}"
        for row in range(code.check_bits)
    ]


def prove_word_corrector(
    width: int,
    used: Sequence[int] | None = None,
    *,
    corrector: Callable[..., Component] = WordCorrector,
    timeout_s: float = 120.0,
) -> Proof:
    """A code word with any one wrong bit leaves its corrector as it was stored.

    Parameters
    ----------
    width : int
        Data bits of the code.
    used : sequence of int, optional
        Those that the word has; all if left out.
    corrector : class of Component
        `WordCorrector` or a variant of it.
    timeout_s : float
        Limit of the solver in seconds.
    """
    code = WordCode(width=width)
    bits = tuple(range(width)) if used is None else tuple(used)
    size = len(bits) + code.check_bits - 1
    index = size.bit_length()
    checks = _columns(code, [(bit, f"stored[{i}]") for i, bit in enumerate(bits)])[:-1]
    gate = f"  wire [{code.check_bits - 2}:0] checks = {{{', '.join(reversed(checks))}}};\n"
    gate += one_hot("mask", size, "place")
    gate += instance("corrector", "dut", raw="{checks, stored} ^ mask", data="data")
    declared = [("stored", "input", len(bits)), ("place", "input", index), ("data", "output", len(bits))]
    return prove_module(
        f"word_corrector_{len(bits)}", f"word of {len(bits)} bits, any one of {size} inverted: corrected", declared,
        "  assign data = stored;\n", gate, [to_rtlil(corrector(width=width, used=bits), "corrector")],
        timeout_s=timeout_s,
    )  # fmt: skip


def prove_word_selector(
    spec: EncoderSpec, *, selector: Callable[..., Component] = WordSelector, timeout_s: float = 300.0
) -> Proof:
    """Weights of every slot from the code words of a neuron, any one bit of which is wrong."""
    layout = DenseWords(spec=spec)
    code, width = layout.code, spec.weight.width
    total = spec.activations * width
    declared = [("stored", "input", total), ("number", "input", max(1, (spec.reuse - 1).bit_length()))]
    declared += [
        ("place", "input", layout.raw_bits.bit_length()),
        ("weight", "output", width * layout.schedule.parallel),
    ]
    words = []
    for slot, group, _, _ in layout.layout:
        nets = []
        for piece, position in enumerate(layout.positions(group, slot)):
            if position is not None:
                first = position * layout.weights_bits
                nets += [(piece * layout.piece_bits + i, f"stored[{first + i}]") for i in range(layout.weights_bits)]
        words += [net for _, net in nets] + _columns(code, nets)[:-1]
    size = layout.raw_bits
    gate = one_hot("mask", size, "place")
    gate += f"  wire [{size - 1}:0] word = {{{', '.join(reversed(words))}}};\n"
    gate += one_hot("slot", spec.reuse, "number")
    gate += instance("selector", "dut", words="word ^ mask", slot="slot", weight="weight")
    chosen = []
    for tap in range(layout.schedule.parallel):
        for bit in range(width):
            terms = [
                f"(number == {slot} & stored[{activation * width + bit}])"
                for slot in range(spec.reuse)
                if (activation := layout.schedule.activation(slot, tap)) is not None
            ]
            chosen.append(" | ".join(terms) or "1'b0")
    gold = f"  assign weight = {{{', '.join(reversed(chosen))}}};\n"
    rtlil = to_rtlil(selector(spec=spec), "selector")
    return prove_module(
        "word_selector", f"weights of {spec.reuse} slots, any one of {size} flip-flops of a neuron inverted", declared,
        gold, gate, [rtlil], timeout_s=timeout_s,
    )  # fmt: skip


STORE_OF_PROOF: dict[str, Any] = {
    "words": (
        StoredWord(
            name="word_a", piece_bits=5, block=0, reader=Reader.CORRECTED, reset=0x0F,
            pieces=(WordPiece(start=0, bits=tuple(range(5))), WordPiece(start=13, bits=(0, 1, 2, 4))),
        ),
        StoredWord(
            name="word_b", piece_bits=5, block=1, reader=Reader.CORRECTED,
            pieces=(WordPiece(start=5, bits=(0, 1, 2)), None),
        ),
        StoredWord(
            name="word_c", piece_bits=5, block=1, reader=Reader.STORED,
            pieces=(WordPiece(start=18, bits=tuple(range(5))), WordPiece(start=23, bits=tuple(range(5)))),
        ),
    ),
    "addresses": (0x10, 0x11, 0x20, 0x21),
    "address_width": 8,
    "blocks": 2,
}  # fmt: skip
"""Parameters of a `WordStore` of three words: with holes, in one piece and in two, at any place in a byte and across
bytes, static and not. Words of ten bits: a SAT solver cannot do parities of many bits; those of the chip have the same
logic with longer sums."""


class _Store:
    """Verilog around a `WordStore` without flip-flops: what it holds as a function of an image."""

    def __init__(self, store: Callable[..., Component], parameters: dict[str, Any]) -> None:
        self.design = cut_state(store(**parameters), "store")
        self.words: tuple[StoredWord, ...] = parameters["words"]
        self.addresses: tuple[int, ...] = parameters["addresses"]
        self.blocks: int = parameters["blocks"]
        self.code = WordCode(width=self.words[0].piece_bits * len(self.words[0].pieces))
        self.size = len(self.design.bits)
        self.image_bits = 8 * len(self.addresses)
        self.number_bits = len(self.words).bit_length()
        self.places = {bit: place for place, bit in enumerate(self.design.bits)}

    def state(self, image: str) -> str:
        """Concatenation of all flip-flops if they hold an image."""
        nets = [""] * self.size
        for word in self.words:
            held = [(bit, f"{image}[{number}]") for bit, number in zip(word.used, word.image_bits, strict=True)]
            for i, net in enumerate([net for _, net in held] + _columns(self.code, held)):
                nets[self.places[f"{word.name}.value[{i}]"]] = net
        return "{" + ", ".join(reversed(nets)) + "}"

    def mine(self, word: StoredWord) -> str:
        """Mask of the flip-flops of a word."""
        bits = ["1" if bit.startswith(f"{word.name}.") else "0" for bit in reversed(self.design.bits)]
        return f"{self.size}'b{''.join(bits)}"

    @property
    def inputs(self) -> dict[str, int]:
        """Inputs and their widths."""
        place = self.size.bit_length()
        return {
            "image": self.image_bits, "word": self.number_bits, "address": 8, "merge": 1, "value": 8, "first": place,
            "second": place,
        }  # fmt: skip

    def instance(self, state: str, merge: str) -> str:
        """The store with the inputs, its outputs in wires of their names, its next state in `after`."""
        static = sum(len(word.used) for word in self.words if word.reader is Reader.CORRECTED)
        text = f"  wire [{self.size - 1}:0] after;\n  wire [7:0] found_, read_;\n  wire [{static - 1}:0] static_;\n"
        text += f"  wire [{self.blocks - 1}:0] errors_, doubles_;\n"
        return text + instance(
            "store", "dut", state=state, next_state="after", word="word", address="address", merge=merge, value="value",
            found="found_", read="read_", static="static_", errors="errors_", doubles="doubles_",
        )  # fmt: skip


def prove_word_store(
    *, store: Callable[..., Component] = WordStore, parameters: dict[str, Any] | None = None, timeout_s: float = 300.0
) -> Proof:
    """Words of a store, any one flip-flop of which is inverted: what is read, written back and merged is right.

    The flip-flops hold the code words of any image, but for one flip. In a clock in which any word is reached, with any
    byte looked for: static values are those of the image; the byte is what the image has of it in this word; the next
    image has the new byte in place of the old where `merge` asks for it, in code words; the flip is gone if it was in
    the word that was reached, and otherwise stays where it is; the error counter of the word's block, and no other,
    sees it.
    """
    s = _Store(store, STORE_OF_PROOF if parameters is None else parameters)
    gate = one_hot("mask", s.size, "first") + f"  wire [{s.image_bits - 1}:0] own, there, next;\n"
    masks, flips, blocks = [], [], []
    for number, word in enumerate(s.words):
        held = sum(1 << bit for bit in word.image_bits)
        masks.append(f"(word == {number}) ? {s.image_bits}'d{held} : ")
        flips.append(f"(word == {number}) ? {s.mine(word)} : ")
        blocks.append(f"(word == {number}) ? {s.blocks}'d{1 << word.block} : ")
    at = "".join(f"(address == {a}) ? {s.image_bits}'d{0xFF << 8 * n} : " for n, a in enumerate(s.addresses))
    gate += f"  assign own = {''.join(masks)}{s.image_bits}'d0;\n  assign there = own & ({at}{s.image_bits}'d0);\n"
    spread = "{" + ", ".join(["value"] * len(s.addresses)) + "}"
    gate += f"  assign next = merge ? (image & ~there) | ({spread} & there) : image;\n"
    gate += f"  wire [{s.size - 1}:0] in_word = {''.join(flips)}{s.size}'d0;\n"
    gate += s.instance(f"{s.state('image')} ^ mask", "merge")
    bytes_there = " | ".join(f"there[{8 * n + 7}:{8 * n}]" for n in range(len(s.addresses)))
    bytes_read = " | ".join(
        f"(there[{8 * n + 7}:{8 * n}] & image[{8 * n + 7}:{8 * n}])" for n in range(len(s.addresses))
    )
    values = [f"image[{bit}]" for word in s.words if word.reader is Reader.CORRECTED for bit in word.image_bits]
    gate += f"""
  wire legal = word < {len(s.words)};
  assign kept = after == ({s.state("next")} ^ (mask & ~in_word));
  assign byte_found = !legal || found_ == ({bytes_there}) && read_ == ({bytes_read});
  assign shown = static_ == {{{", ".join(reversed(values))}}};
  wire [{s.blocks - 1}:0] block = {"".join(blocks)}{s.blocks}'d0;
  assign reported = errors_ == ((mask & in_word) != 0 ? block : {s.blocks}'d0) && doubles_ == 0;
"""
    return prove_claims(
        "word_store", f"any one of {s.size} flip-flops inverted: never shown or stored, bytes merge into code words",
        s.inputs, ("kept", "byte_found", "shown", "reported"), gate, [s.design.rtlil], timeout_s=timeout_s,
        cases=[{"word": word, "merge": merge} for word in range(1 << s.number_bits) for merge in range(2)],
    )  # fmt: skip


def prove_word_double_errors(*, timeout_s: float = 300.0) -> Proof:
    """Two flips in a word are reported, and the word is left as it is."""
    s = _Store(WordStore, STORE_OF_PROOF)
    pair = []
    for number, word in enumerate(s.words):
        both = f"(one & {s.mine(word)}) != 0 && (two & {s.mine(word)}) != 0"
        pair.append(f"(word == {number} && {both})")
    gate = one_hot("one", s.size, "first") + one_hot("two", s.size, "second")
    gate += f"  wire double = one != two && ({' || '.join(pair)});\n"
    gate += s.instance(f"{s.state('image')} ^ one ^ two", "1'b0")
    gate += "  assign reported = !double || (doubles_ != 0 && errors_ == 0);\n"
    gate += f"  assign kept = !double || after == ({s.state('image')} ^ one ^ two);\n"
    return prove_claims(
        "word_double", "any two flip-flops of a word inverted: reported, and nothing is changed", s.inputs,
        ("reported", "kept"), gate, [s.design.rtlil], timeout_s=timeout_s,
    )  # fmt: skip


def prove_word_access(
    words: int, *, access: Callable[..., Component] = WordAccessLogic, timeout_s: float = 120.0
) -> Proof:
    """Every word is reached once in as many clocks; a byte is merged in these clocks after a write, and only then.

    The distance from the word that is reached to any other falls by one in every clock. `merge` is high while a count
    is above 0, which a write sets to the number of words and every other clock lowers by one.
    """
    n = words.bit_length()
    size = 2 * n + 16
    inputs = {"write": 1, "write_data": 8, "moved": 1, "found": 8, "read": 8, "state": size, "other": n}
    gate = f"""
  wire [{size - 1}:0] after;
  wire [{n - 1}:0] word;
  wire [7:0] value, seen;
  wire merge;
  wire [{n - 1}:0] place = state[{n - 1}:0], place_after = after[{n - 1}:0];
  wire [{n - 1}:0] left = state[{2 * n - 1}:{n}], left_after = after[{2 * n - 1}:{n}];
  wire [7:0] held = state[{2 * n + 7}:{2 * n}], held_after = after[{2 * n + 7}:{2 * n}];
  wire [7:0] got = state[{2 * n + 15}:{2 * n + 8}], got_after = after[{2 * n + 15}:{2 * n + 8}];
  wire legal = place < {words} && other < {words} && left <= {words};
  wire [{n}:0] now = (other >= place) ? other - place : other + {words} - place;
  wire [{n}:0] then = (other >= place_after) ? other - place_after : other + {words} - place_after;
  assign closer = !legal || other == word || then + 1 == now;
  assign inside = !legal || (word == place && place_after < {words} && left_after <= {words});
  assign counts = left_after == (write ? {words} : (left == 0) ? 0 : left - 1);
  assign merges = merge == (left != 0) && value == held && held_after == (write ? write_data : held);
  assign reads = seen == got && got_after == (moved ? 0 : merge ? got : ((got & ~found) | (read & found)));
"""
    gate += instance(
        "access", "dut", state="state", next_state="after", word="word", merge="merge", value="value", write="write",
        write_data="write_data", moved="moved", found="found", read="read", **{"\\byte ": "seen"},
    )  # fmt: skip
    return prove_claims(
        "word_access", f"each of {words} words within {words} clocks; bytes merge in these after a write only", inputs,
        ("closer", "inside", "counts", "merges", "reads"), gate, [to_rtlil(access(words=words), "access")],
        timeout_s=timeout_s,
    )  # fmt: skip


SELECTED = replace(ECON_T, name="SELECTED", filters=1, reuse=8)
"""Two groups of taps in words of two weights: short parities."""
