"""Affine forms, and the proofs on code words at the width of the chip; each fails when what it is about is broken."""

from dataclasses import replace

import numpy as np
import pytest

from flows.formal.affine import UNKNOWNS, AffineNetlist, atom, form, in_span, known
from flows.formal.code_words import one_of_each, prove_every_selector, prove_every_word
from flows.formal.solver import Status
from hw.common.word_code import WordCode
from hw.common.word_store import WordStore
from hw.hgcal_encoder import word_selector
from hw.hgcal_encoder.coded_words import WordMap
from sim.hgcal_encoder.spec import ECON_T
from tests.broken_chips import Blind, Careless, Passing, Swapped, Unchecked
from tests.specs import SMALL

REUSED = replace(ECON_T, reuse=3)
SMALL_REUSED = replace(SMALL, reuse=2)


def netlist(seed: int, inputs: int = 6, gates: int = 60) -> tuple[str, list[tuple[str, int, int, int]]]:
    """RTLIL of random gates on a few inputs, and the same gates as a list; the last ones are outputs."""
    rng = np.random.default_rng(seed)
    pins = {"$_AND_": "AB", "$_OR_": "AB", "$_XOR_": "AB", "$_NOT_": "A", "$_MUX_": "ABS"}
    listed = []
    lines = [f"module \\top\n  wire width {inputs} input 1 \\x\n  wire width {gates} output 2 \\y"]
    for number in range(gates):
        # half of them exclusive ors: what an affine form follows
        kind = str(rng.choice(list(pins), p=[0.15, 0.15, 0.5, 0.1, 0.1]))
        a, b, s = (int(i) for i in rng.integers(0, inputs + number, 3))
        listed.append((kind, a, b, s))
        lines.append(f"  cell {kind} $g{number}")
        for pin in pins[kind]:
            n = {"A": a, "B": b, "S": s}[pin]
            lines.append(f"    connect \\{pin} " + (f"\\x [{n}]" if n < inputs else f"\\y [{n - inputs}]"))
        lines.append(f"    connect \\Y \\y [{number}]\n  end")
    return "\n".join([*lines, "end", ""]), listed


def truth(listed: list[tuple[str, int, int, int]], columns: list[np.ndarray]) -> list[np.ndarray]:
    """Values of all gates by definition, for every row of the inputs."""
    nets = list(columns)
    for kind, a, b, s in listed:
        nets.append({
            "$_AND_": nets[a] & nets[b], "$_OR_": nets[a] | nets[b], "$_XOR_": nets[a] ^ nets[b], "$_NOT_": ~nets[a],
            "$_MUX_": np.where(nets[s], nets[b], nets[a]),
        }[kind])  # fmt: skip
    return nets[len(columns) :]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_known_is_true_of_every_input(seed: int) -> None:
    """Forms of a random netlist against its truth table; inputs are unknowns, sums of unknowns, constants, an atom."""
    text, listed = netlist(seed)
    forms = np.stack([form(0), form(1), form(0, 1, constant=1), form(2), form(constant=1), atom(7)])
    rows = np.arange(16)
    bits = [rows >> i & 1 == 1 for i in range(4)]
    columns = [bits[0], bits[1], ~(bits[0] ^ bits[1]), bits[2], np.ones(16, np.bool_), bits[3]]
    part = AffineNetlist(text, "top")
    values = part.evaluate({"x": forms})[part.port("y"), 0]
    expected = truth(listed, columns)
    result = 0
    for value, column in zip(values, expected, strict=True):
        if known(value):
            result += 1
            low, high = int(value[0]), int(value[1])
            found = np.full(16, bool(low & 1))
            for unknown in range(3):
                found = found ^ (bits[unknown] if low >> 1 + unknown & 1 else False)
            assert high in (0, 8 << 42)
            np.testing.assert_array_equal(found ^ (bits[3] if high else False), column)
    assert result > 5
    # the lanes of inverted inputs are evaluations of their own
    flips = np.array([[0, 0], [1, 0], [1, 1]], np.bool_)
    nets = part.port("x")[[0, 3]]
    lanes = part.variants(part.evaluate({"x": forms}), nets, flips)[part.port("y")]
    for lane, (first, second) in enumerate(flips):
        other = forms.copy()
        other[0, 0] ^= np.uint64(first)
        other[3, 0] ^= np.uint64(second)
        np.testing.assert_array_equal(lanes[:, lane], part.evaluate({"x": other})[part.port("y"), 0])


def test_spans_and_bounds() -> None:
    assert in_span(form(3, 5), [form(3, 4), form(4, 5)])
    assert not in_span(form(3), [form(3, 4), form(4, 5)])
    assert not in_span(form(constant=1), [form(3)])
    assert in_span(form(), [])
    assert form(UNKNOWNS - 1)[1] < 1 << 42
    with pytest.raises(ValueError, match="expected unknowns 0 to 103, got 104"):
        form(UNKNOWNS)


def test_a_select_that_is_an_or_of_forms_settles_where_nothing_else_could_be_meant() -> None:
    """y = (a | b) ? x ^ a : x is x ^ a only; with x ^ c it depends."""
    cells = (
        "cell $_OR_ $o\n connect \\A \\x [0]\n connect \\B \\x [1]\n connect \\Y \\s\n end\n"
        "cell $_MUX_ $m\n connect \\A \\x [2]\n connect \\B \\x [3]\n connect \\S \\s\n connect \\Y \\y\n end\n"
    )
    text = f"module \\top\nwire width 4 input 1 \\x\nwire output 2 \\y\nwire \\s\n{cells}end\n"
    part = AffineNetlist(text, "top")
    for other, settles in (
        (form(2, 0), True),
        (form(2, 0, 1), True),
        (form(2, 3), False),
        (form(2, constant=1), False),
    ):
        values = part.evaluate({"x": np.stack([form(0), form(1), form(2), other])})
        assert not known(values[part.port("y"), 0]).any()
        (found,) = part.settled(part.port("y"), values)
        assert bool(known(found)) is settles
        if settles:
            np.testing.assert_array_equal(found, other)


@pytest.mark.timeout(600)
def test_words_of_the_chip_are_proved_at_their_width() -> None:
    """A word of each shape of ECON_T with every byte of its own; `make proofs` takes all words."""
    words = WordMap(spec=REUSED)
    chosen = one_of_each(words)
    assert {len(words.words[n].used) for n in chosen} == {len(word.used) for word in words.words}
    proof = prove_every_word(REUSED, words=chosen)
    assert (proof.status, proof.counterexample) == (Status.PROVED, {})
    assert proof.input_bits == 96 + 8
    proof = prove_every_selector(REUSED)
    assert (proof.status, proof.counterexample) == (Status.PROVED, {})


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Blind, Status.REFUTED), (Unchecked, Status.REFUTED), (Swapped, Status.REFUTED),
        # whether the wires to its flip-flops move depends on the data: no affine form, so nothing is decided
        (Careless, Status.UNDECIDED),
    ],
)  # fmt: skip
def test_a_store_with_a_broken_code_is_not_proved(code: type[WordCode], status: Status) -> None:
    class Broken(WordStore):
        def __init__(self, **parameters: object) -> None:
            super().__init__(**parameters)
            self._code = code(width=self._code.width)

    words = WordMap(spec=SMALL_REUSED)
    last = len(words.words) - 1
    proof = prove_every_word(SMALL_REUSED, store=Broken, words=[last])
    assert proof.status is status
    assert proof.counterexample["word"] == last


def test_words_without_corrector_are_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prove_every_selector(SMALL_REUSED).status is Status.PROVED
    assert prove_every_word(SMALL_REUSED).status is Status.PROVED
    monkeypatch.setattr(word_selector, "WordCorrector", Passing)
    assert prove_every_selector(SMALL_REUSED).status is Status.REFUTED
