"""Proofs of constant weights: they close on right hardware, and only there."""

from dataclasses import replace

import numpy as np
import pytest

from flows.designs.frozen import frozen_weights
from flows.formal.frozen import prove_frozen, prove_frozen_layer
from flows.formal.solver import Status
from hw.hgcal_encoder.frozen_network import FrozenWeights, convolution_layer, dense_layer
from sim.fixed_point import Rounding
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
