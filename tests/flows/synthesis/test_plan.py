"""What synthesis decides by looking at the netlist, on netlists written by hand."""

from typing import Any

import pytest

from flows.synthesis.plan import half_used_adders, kept_modules, single_inverters


def _cell(kind: str, bits: int = 8) -> dict[str, Any]:
    return {"type": kind, "connections": {"A": list(range(bits))}}


MODULES: dict[str, Any] = {
    "top": {"cells": {"s": _cell("stage"), "u": _cell("stage")}},
    "stage": {"cells": {"n0": _cell("neuron"), "n1": _cell("neuron"), "t": _cell("tiny"), "a": _cell("asked")}},
    "neuron": {"cells": {"m": _cell("$mul"), "v": _cell("voter"), "w": _cell("voter")}},
    "voter": {"cells": {"x": _cell("$and", 1)}},
    "tiny": {"cells": {"x": _cell("$and", 1)}},
    "asked": {"cells": {}, "attributes": {"keep_hierarchy": "1"}},
    "box": {"cells": {}, "attributes": {"blackbox": "1"}},
}


@pytest.mark.parametrize(
    ("choices", "kept"),
    [
        # children of the top; repeated modules of some size (an 8-bit multiplication counts 64); what asks for it
        ({"min_keep_cells": 64}, {"stage", "neuron", "asked"}),
        ({"min_keep_cells": 67}, {"stage", "asked"}),
        ({"min_keep_cells": 1}, {"stage", "neuron", "voter", "tiny", "asked"}),
        ({"min_keep_cells": 67, "keep": ["v*"]}, {"stage", "asked", "voter"}),
        ({"min_keep_cells": 1, "flatten": ["*"]}, set()),
        ({"min_keep_cells": 1, "flatten": ["*"], "keep": ["neuron"]}, {"neuron"}),
    ],
)
def test_boundaries_that_stay(choices: dict[str, Any], kept: set[str]) -> None:
    found = kept_modules(MODULES, "top", **({"keep": (), "flatten": ()} | choices))
    assert set(found) == kept
    assert len(found) == len(kept)


def test_adders_of_which_one_output_is_used() -> None:
    def box(carry: int, total: int) -> dict[str, Any]:
        return {
            "type": "_liquidcal_fa_",
            "port_directions": {"A": "input", "B": "input", "CI": "input", "CO": "output", "S": "output"},
            "connections": {"A": [2], "B": [3], "CI": [4], "CO": [carry], "S": [total]},
        }

    gate = {"type": "$_NOT_", "port_directions": {"A": "input", "Y": "output"}, "connections": {"A": [11], "Y": [20]}}
    ports = {"a": {"direction": "input", "bits": [2, 3, 4]}, "y": {"direction": "output", "bits": [14, 16, 17]}}
    cells = {"carry": box(11, 12), "sum": box(13, 14), "neither": box(15, 15), "both": box(16, 17), "inverter": gate}
    found = half_used_adders({"m": {"ports": ports, "cells": cells}})
    assert found == {"sum": ["m/sum"], "carry": ["m/carry"]}


def _inverter(a: int, y: int) -> dict[str, Any]:
    return {"type": "$_NOT_", "connections": {"A": [a], "Y": [y]}}


@pytest.mark.parametrize(
    ("cells", "single"),
    [
        ([_inverter(2, 3), _inverter(4, 5), _cell("$_DFF_PN0_", 1), _cell("DFFR_X1"), _cell("part")], True),
        ([], True),
        # two of one net, and one after another, could be one and none
        ([_inverter(2, 3), _inverter(2, 5)], False),
        ([_inverter(2, 3), _inverter(3, 4)], False),
        ([_inverter(2, 3), _cell("$_AND_", 1)], False),
        # an enable becomes a multiplexer; boxes of adders become gates
        ([_cell("$_DFFE_PP_", 1)], False),
        ([_cell("$_SDFF_PP0_", 1)], False),
        ([_cell("_liquidcal_fa_", 1)], False),
    ],
)
def test_modules_of_single_inverters(cells: list[dict[str, Any]], single: bool) -> None:
    modules = {"m": {"cells": dict(enumerate(cells))}, "part": {"cells": {"x": _cell("$_XOR_", 1)}}}
    assert single_inverters(modules, {"DFFR_X1"}) == ({"m"} if single else set())
