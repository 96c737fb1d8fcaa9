"""Hardware of networks: latency, refusals, what is shared. Its arithmetic: tests/flows/verification/test_network.py."""

import re
from dataclasses import replace

import pytest

from hw.common.export import ports, to_rtlil
from hw.network.network import Network
from hw.network.plan import plan
from sim.fixed_point import FixedPoint, Rounding
from sim.network.example_specs import campaign_spec, every_kind
from sim.network.nodes import Dense
from sim.network.spec import NetworkSpec


def test_a_register_stands_behind_each_layer() -> None:
    """By hand: input, conv with its store, depthwise, scale, sum, difference, dense, argmax."""
    found = plan(every_kind())
    assert [(layer.name, layer.result, layer.stage) for layer in found.layers] == [
        ("conv", "act", 2), ("dw", "dw", 3), ("bn", "bn", 4), ("pool", "pool", 3), ("mean", "mean", 3),
        ("sum", "sum", 5), ("difference", "difference", 6), ("fc", "fc", 7), ("classes", "classes", 8),
    ]  # fmt: skip
    assert found.latency == Network(spec=every_kind()).latency == 8
    assert found.zeros["cat"] == {24}


def test_ports_are_words_of_codes() -> None:
    """Address: two bits for four rows, two for the three bytes of the longest, 4 x 4 + 5 bits."""
    assert ports(Network(spec=campaign_spec())) == [
        ("clk", "input", 1), ("rst", "input", 1), ("x", "input", 30), ("write_address", "input", 4),
        ("write_data", "input", 8), ("write_enable", "input", 1), ("y", "output", 14),
    ]  # fmt: skip


def test_equal_neurons_are_one_module() -> None:
    text = to_rtlil(Network(spec=campaign_spec()), "CAMPAIGN")
    assert len(re.findall(r"^module \\CAMPAIGN_sum_neuron_4_taps(?:_v\d)?$", text, re.M)) == 2
    assert to_rtlil(Network(spec=campaign_spec()), "CAMPAIGN") == text


def test_what_the_hardware_has_not_is_refused_by_layer() -> None:
    form = FixedPoint(width=6, fraction=4, signed=True)
    rounded = replace(form, width=10, fraction=5, rounding=Rounding.RND_INF)
    node = Dense(inputs=("input",), units=2, weight=form, bias=form, accumulator=rounded, result=form)
    spec = NetworkSpec(name="NET", input_shape=(3,), input=form, nodes={"fc": node}, outputs=("fc",))
    with pytest.raises(ValueError, match="fc: rounding of a product: expected TRN or RND or RND_CONV, got RND_INF"):
        Network(spec=spec)
