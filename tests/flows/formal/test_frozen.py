"""Proofs of constant weights: they close on right hardware, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from flows.designs.frozen import frozen_weights
from flows.formal.frozen import prove_frozen, prove_frozen_layer
from flows.formal.solver import Status
from hw.common.constant_matrix import smallest_graph
from hw.common.frozen_layer import FrozenFormat
from hw.hgcal_encoder.frozen_network import FrozenWeights, convolution_layer, dense_layer
from sim.fixed_point import FixedPoint, Overflow, Rounding
from sim.hgcal_encoder.spec import ECON_T
from sim.hgcal_encoder.weights import Weights
from tests.hw.driving import PADDED
from tests.specs import SMALL


@pytest.mark.parametrize(
    "spec", [SMALL, replace(PADDED, name="ROOMY", dense_product_rounding=Rounding.TRN)], ids=lambda spec: spec.name
)
def test_every_output_of_a_frozen_encoder_is_proved(spec):
    proofs = list(prove_frozen(Weights.random(spec, np.random.default_rng(7))))
    assert len(proofs) == spec.activations + spec.latents
    assert {proof.status for proof in proofs} == {Status.PROVED}


def test_one_wrong_weight_or_bias_is_refuted_where_it_is():
    layer = dense_layer(SMALL, FrozenWeights.of(Weights.random(SMALL, np.random.default_rng(8))))
    source, weight = layer.rows[1][2]
    row = (*layer.rows[1][:2], (source, weight + (1 if weight < 31 else -1)), *layer.rows[1][3:])
    wrong = replace(layer, rows=(layer.rows[0], row, layer.rows[2]))
    proofs = list(prove_frozen_layer("dense", layer, hardware=wrong))
    assert [proof.status for proof in proofs] == [Status.PROVED, Status.REFUTED, Status.PROVED]
    assert set(proofs[1].counterexample) == {f"x_{source}"}
    wrong = replace(layer, bias=(layer.bias[0] + 1, *layer.bias[1:]))
    proofs = list(prove_frozen_layer("dense", layer, hardware=wrong))
    assert [proof.status for proof in proofs] == [Status.REFUTED, Status.PROVED, Status.PROVED]


@pytest.mark.parametrize("rounding", [Rounding.TRN, Rounding.RND, Rounding.RND_MIN_INF])
@pytest.mark.parametrize("shift", [3, 5, 6, 8, 11])
def test_products_that_lose_many_bits_are_proved(shift, rounding):
    rng = np.random.default_rng([shift, len(rounding)])
    ranges = ((0, 511), (3, 300), (0, 63), (7, 7))
    rows = tuple(
        tuple((source, int(weight)) for source, weight in enumerate(rng.integers(low, 700, len(ranges))))
        for low in (1, -700, -700)  # an output of negative weights alone would be the constant 0
    )
    layer = FrozenFormat(
        width=9, ranges=ranges, rows=rows, bias=tuple(int(b) for b in rng.integers(-50, 50, 3)), shift=shift,
        rounding=rounding, fraction=2, output=FixedPoint(width=6, fraction=0, signed=False, overflow=Overflow.SAT),
    )  # fmt: skip
    assert {proof.status for proof in prove_frozen_layer("lossy", layer)} == {Status.PROVED}
    wrong = replace(layer, rows=(((0, rows[0][0][1] ^ 1), *rows[0][1:]), *rows[1:]))
    if shift <= 8:  # one code of a weight is then at least one of a product
        assert next(prove_frozen_layer("lossy", layer, hardware=wrong)).status is Status.REFUTED


@pytest.mark.parametrize("bias", [0, 4000, -20000])
def test_outputs_that_are_formed_from_others_are_proved(bias):
    """Weights of 1 and -1 have near outputs; with the last bias no output is ever positive, and none is formed."""
    rng = np.random.default_rng(6)
    rows = tuple(tuple((source, int(w)) for source, w in enumerate(rng.choice((-1, 1), 12))) for _ in range(16))
    layer = FrozenFormat(
        width=8, ranges=((0, 255),) * 12, rows=rows, bias=(bias,) * 8 + (17,) * 8, shift=0, rounding=Rounding.TRN,
        fraction=0, output=FixedPoint(width=12, fraction=0, signed=False, overflow=Overflow.SAT),
    )  # fmt: skip
    columns = [list(row) for row in rows]
    assert sum(map(bool, smallest_graph([255] * 12, columns, [12] * 16).parents)) > 8
    assert {proof.status for proof in prove_frozen_layer("near", layer)} == {Status.PROVED}
    wrong = replace(layer, rows=(*rows[:9], ((0, -rows[9][0][1]), *rows[9][1:]), *rows[10:]))
    statuses = [proof.status for proof in prove_frozen_layer("near", layer, hardware=wrong)]
    assert statuses[9] is not Status.PROVED
    assert Status.REFUTED in statuses


def test_outputs_that_are_constant_are_proved_too():
    layer = convolution_layer(SMALL, FrozenWeights.of(Weights.random(SMALL, np.random.default_rng(10))))
    constant = replace(layer, rows=((), ((0, -3),), (), *layer.rows[3:]), bias=(8, -1, 8, *layer.bias[3:]))
    assert {proof.status for proof in prove_frozen_layer("conv", constant)} == {Status.PROVED}
    wrong = replace(constant, bias=(4, *constant.bias[1:]))
    assert next(prove_frozen_layer("conv", constant, hardware=wrong)).status is Status.REFUTED


def test_another_rule_of_the_output_is_refuted():
    layer = convolution_layer(SMALL, FrozenWeights.of(Weights.random(SMALL, np.random.default_rng(9))))
    other = replace(layer, output=replace(layer.output, rounding=Rounding.TRN, overflow="WRAP"))
    statuses = {proof.status for proof in prove_frozen_layer("conv", layer, hardware=other)}
    assert Status.REFUTED in statuses


def test_weights_by_name_file_and_for_what():
    with pytest.raises(FileNotFoundError, match="shipped models: econ_t_"):
        frozen_weights("no_such_model", ECON_T)
    with pytest.raises(ValueError, match="weights of ECON_T"):
        frozen_weights("econ_t_5elinks", SMALL)
