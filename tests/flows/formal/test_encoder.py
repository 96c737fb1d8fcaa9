"""Proofs hold for the generated hardware, and fail for hardware or formulas that are wrong."""

from dataclasses import replace

import numpy as np
import pytest

from flows.formal import dot_product as dot_product_proofs
from flows.formal import encoder as proofs
from flows.formal.solver import Status, prove_equal, prove_reset
from flows.verification.mutation import Kind, elaborate, find_mutants, mutate
from hw.common import dot_product
from hw.common.dot_product import DotProduct, DotProductFormat
from hw.common.export import to_rtlil
from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.normalise import SumCode
from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.spec import ECON_T, OVERFLOWS, ROUNDINGS, WordOrder
from tests.specs import SMALL

ADD = "module gold(input [7:0] a, input [7:0] b, output [8:0] y);\n  assign y = a + b;\nendmodule\n"


@pytest.mark.parametrize("order", list(WordOrder))
def test_words(order: WordOrder) -> None:
    assert proofs.prove_words(replace(ECON_T, word_order=order), 60).status is Status.PROVED


@pytest.mark.parametrize("proof", [proofs.prove_multiplex, proofs.prove_decode, proofs.prove_sum_code])
def test_cells(proof) -> None:  # type: ignore[no-untyped-def]
    found = proof(60)
    assert found.status is Status.PROVED, found
    assert found.input_bits > 7


def test_calibration_in_cases() -> None:
    assert proofs.prove_calibrate(60).status is Status.PROVED


@pytest.mark.parametrize("fraction", [3, 7, 8])
def test_normalise(fraction: int) -> None:
    assert proofs.prove_normalise(fraction, 60).status is Status.PROVED


def test_frame_of_a_small_latent_vector() -> None:
    assert proofs.prove_frame(replace(ECON_T, latents=1), 60).status is Status.PROVED


def test_wrong_formula_is_refuted_with_an_input_that_shows_it() -> None:
    gate = ADD.replace("gold", "gate").replace("a + b", "(a == 8'd200 && b == 8'd3) ? 9'd0 : a + b")
    found = prove_equal("add", "sum", ADD, gate)
    assert found.status is Status.REFUTED
    assert found.counterexample == {"a": 200, "b": 3}
    assert prove_equal("add", "sum", ADD, ADD.replace("gold", "gate")).status is Status.PROVED


def test_wrong_formula_of_a_stage_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "_LEADING_ONE", proofs._LEADING_ONE.replace("i < 28", "i < 27"))
    found = proofs.prove_sum_code(60)
    assert found.status is Status.REFUTED
    assert found.counterexample["module_sum"] >> 27 == 1


def test_wrong_decode_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert proofs._DECODE.count(": 5'd1;") == 1
    monkeypatch.setattr(proofs, "_DECODE", proofs._DECODE.replace(": 5'd1;", ": 5'd2;"))
    found = proofs.prove_decode(60)
    assert found.status is Status.REFUTED
    assert found.counterexample["high_density"] == 0


def test_broken_hardware_is_refuted() -> None:
    modules = elaborate(to_rtlil(SumCode(), "hardware"))
    mutants = find_mutants(modules, "hardware", 60, np.random.default_rng(5))
    broken = next(mutant for mutant in mutants if mutant.kind is Kind.OPERATOR)
    ports = "input [27:0] module_sum, output [8:0] sum_code, output [4:0] shift"
    call = "hardware h(.module_sum(module_sum), .sum_code(sum_code), .shift(shift));\nendmodule\n"
    module = modules["hardware"]
    texts = ["autoidx 1000000\n" + m.text() for m in (module, mutate(module, [broken], False))]
    right = texts[0].replace("\\hardware", "\\right")
    gold = f"module gold({ports});\n  {call.replace('hardware', 'right')}"
    gate = f"module gate({ports});\n  {call}"
    assert prove_equal("same", "", gold, gate, [right, texts[0]]).status is Status.PROVED
    assert prove_equal("broken", "", gold, gate, [right, texts[1]]).status is Status.REFUTED


NINE_TAPS = DotProductFormat(taps=9, shift=5, bias_shift=2)
PAIRS = DotProductFormat(taps=4, shift=4, bias_shift=3)
TINY = DotProductFormat(taps=3, activation_width=3, weight_width=3, bias_width=2, shift=1, rounding=Rounding.RND_CONV)


@pytest.mark.parametrize(("f", "bits"), [(NINE_TAPS, 132), (PAIRS, 62), (TINY, 20)], ids=["conv", "pairs", "to_even"])
def test_whole_dot_product(f: DotProductFormat, bits: int) -> None:
    found = dot_product_proofs.prove_dot_product("dot", f)
    assert found.status is Status.PROVED, found
    assert found.input_bits == bits


def test_formats_of_the_encoder_are_those_that_are_proved() -> None:
    found = dot_product_proofs.dot_products(ECON_T)
    assert found["conv_9_taps"] == NINE_TAPS
    assert replace(found["dense_128_taps"], taps=4) == PAIRS


def test_wrong_constant_of_a_dot_product_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    right = dot_product._inversion_constant
    monkeypatch.setattr(dot_product, "_inversion_constant", lambda f: right(f) + 1)
    found = dot_product_proofs.prove_dot_product("dot", TINY)
    assert found.status is Status.REFUTED
    assert abs(found.counterexample["got"] - found.counterexample["expected"]) in (1, (1 << TINY.sum_width) - 1)


def test_disturbance_between_taps_does_not_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that needs several taps at once is invisible while the others are 0: the structure must tell."""
    right = DotProduct._row

    def disturbed(self, m, index, row):  # type: ignore[no-untyped-def]
        bits = right(self, m, index, row)
        return bits & ~(self.x[0][0] & self.x[2][2]).replicate(len(bits)) if index == 0 else bits

    monkeypatch.setattr(DotProduct, "_row", disturbed)
    found = dot_product_proofs.prove_dot_product("dot", TINY)
    assert found.status is Status.REFUTED
    assert {"x_0", "x_2"} <= {name for name, value in found.counterexample.items() if value}


def test_nothing_is_claimed_where_too_many_inputs_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dot_product_proofs, "_MOST_BITS", 5)
    assert dot_product_proofs.prove_dot_product("dot", TINY).status is Status.UNDECIDED


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_rectify(rounding: Rounding, overflow: Overflow) -> None:
    target = FixedPoint(width=6, fraction=4, signed=False, rounding=rounding, overflow=overflow)
    assert proofs.prove_rectify("end", 12, 7, target, 60).status is Status.PROVED


def test_wrong_rectify_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    target = FixedPoint(width=6, fraction=4, signed=False, overflow=Overflow.SAT)
    monkeypatch.setattr(proofs._Rectifier, "__init__", _forget_saturation(proofs._Rectifier.__init__))
    found = proofs.prove_rectify("end", 12, 7, target, 60)
    assert found.status is Status.REFUTED
    assert found.counterexample["sum"] >> 3 >= 64


def _forget_saturation(right):  # type: ignore[no-untyped-def]
    def init(self, width, fraction, target):  # type: ignore[no-untyped-def]
        right(self, width, fraction, replace(target, overflow=Overflow.WRAP))

    return init


def test_every_flip_flop_has_a_reset() -> None:
    rtlil = to_rtlil(Encoder(spec=SMALL), SMALL.name)
    assert prove_reset(rtlil).status is Status.PROVED
    without = """module \\m
  wire input 1 \\clk
  wire input 2 \\d
  wire output 3 \\q
  cell $dff $f
    parameter \\CLK_POLARITY 1
    parameter \\WIDTH 1
    connect \\CLK \\clk
    connect \\D \\d
    connect \\Q \\q
  end
end
"""
    assert prove_reset(without).status is Status.REFUTED
    assert prove_reset(without, loaded=["d"]).status is Status.REFUTED
    assert prove_reset(without, loaded=["q"]).status is Status.PROVED
    latch = without.replace("$dff", "$dlatch").replace("CLK", "EN")
    assert prove_reset(latch, loaded=["q"]).status is Status.REFUTED
