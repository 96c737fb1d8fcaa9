"""Liquids from and to NIR: against LIF as the format's authors write it, through files, and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.nir_graph import export_liquid, import_liquid, nearest_leak, read_graph, write_graph
from sim.lsm_crossbar.spec import CrossbarSpec
from tests.conftest import need_module

nir: Any = need_module("nir", "files", optional=True)

INPUTS, NEURONS, STEPS = 6, 8, 40
BASE = CrossbarSpec(
    name="BASE", inputs=INPUTS, neurons=NEURONS, steps=STEPS, outputs=2, threshold=1, leak=(-2,), rows=16, columns=16,
    columns_per_adc=2, rows_per_read=4, conductance_bits=6, adc_bits=9, adc_shift=2, column_current_limit_ua=None,
)  # fmt: skip
DT, TAU = 1e-3, 4e-3
"""A decay of 3/4."""


def weights(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers of which the largest is the largest code, so that nothing is rounded."""
    rng = np.random.default_rng(seed)
    table = rng.integers(-63, 64, (NEURONS, INPUTS + NEURONS))
    table[0, 0] = 63
    table[:, INPUTS:] //= 3
    return table[:, :INPUTS], table[:, INPUTS:]


def graph(*, nested: bool = False, **fields: Any) -> Any:
    """A recurrent layer of LIF neurons; weights in tenths, the threshold between two whole numbers of codes."""
    forward, back = (table / 10 * TAU / DT for table in weights())
    ones = np.ones(NEURONS)
    chosen = {
        "tau": TAU * ones, "r": ones, "v_leak": 0 * ones, "v_threshold": 15.05 * ones, "v_reset": 0 * ones,
    } | fields  # fmt: skip
    layer = {"lif": nir.LIF(**chosen), "back": nir.Linear(weight=back)}
    loop = [("lif", "back"), ("back", "lif")]
    outer = {
        "input": nir.Input(input_type={"input": np.array([INPUTS])}), "forward": nir.Linear(weight=forward),
        "output": nir.Output(output_type={"output": np.array([NEURONS])}),
    }  # fmt: skip
    if not nested:
        edges = [("input", "forward"), ("forward", "lif"), *loop, ("lif", "output")]
        return nir.NIRGraph(nodes=outer | layer, edges=edges)
    inner = nir.NIRGraph(
        nodes=layer | {
            "input": nir.Input(input_type={"input": np.array([NEURONS])}),
            "output": nir.Output(output_type={"output": np.array([NEURONS])}),
        },
        edges=[("input", "lif"), *loop, ("lif", "output")],
    )  # fmt: skip
    edges = [("input", "forward"), ("forward", "layer"), ("layer", "output")]
    return nir.NIRGraph(nodes=outer | {"layer": inner}, edges=edges)


def spikes_of(graph: Any, inputs: np.ndarray) -> np.ndarray:
    """Forward Euler of NIR's LIF in floating point, spikes of one step going back in the next; shape as the input's."""
    lif = graph.nodes["lif"]
    forward, back = graph.nodes["forward"].weight, graph.nodes["back"].weight
    found = np.zeros((len(inputs), STEPS, NEURONS), bool)
    for sample, rows in enumerate(inputs):
        v, fired = np.zeros(NEURONS), np.zeros(NEURONS)
        for step, row in enumerate(rows):
            current = forward @ row + back @ fired
            v = v + DT / lif.tau * (lif.v_leak - v + lif.r * current)
            fired = (v >= lif.v_threshold).astype(float)
            v = np.where(fired > 0, lif.v_reset, v)
            found[sample, step] = fired > 0
    return found


def exact_spikes(inputs: np.ndarray) -> np.ndarray:
    """The same in whole numbers, with the one rounding that the contract names: a quarter, rounded down, is lost."""
    forward, back = weights()
    found = np.zeros((len(inputs), STEPS, NEURONS), bool)
    for sample, rows in enumerate(inputs):
        v, fired = np.zeros(NEURONS, int), np.zeros(NEURONS, int)
        for step, row in enumerate(rows):
            v = v - v // 4 + forward @ row + back @ fired
            fired = (v > 150).astype(int)
            v = v * (1 - fired)
            found[sample, step] = fired > 0
    return found


@pytest.mark.parametrize("nested", [False, True])
def test_a_graph_becomes_a_liquid(nested: bool) -> None:
    made = import_liquid(graph(nested=nested), BASE, step_s=DT, name="MINE")
    spec = made.spec
    assert (spec.inputs, spec.neurons, spec.leak, spec.adc_shift, spec.threshold) == (INPUTS, NEURONS, (-2,), 0, 150)
    codes = made.conductances.codes.astype(int)
    table = (codes[: INPUTS + NEURONS, 0::2] - codes[: INPUTS + NEURONS, 1::2]).T
    assert np.array_equal(table, np.concatenate(weights(), axis=1))
    inputs = np.random.default_rng(2).random((20, STEPS, INPUTS)) < 0.7
    found = Liquid(spec, made.conductances, "numpy").run(inputs).spikes
    assert 0.02 < found.mean() < 0.6
    assert np.array_equal(found, exact_spikes(inputs))
    # rounding of the leak moves a spike here and there, and what follows from it
    assert np.mean(found == spikes_of(graph(), inputs)) > 0.9
    assert "0.750000 became 0.750000" in made.contract["decay"]
    assert made.contract["conversion"] == "sums of a read are exact"


def test_own_thresholds_go_into_the_weights() -> None:
    """Half the threshold is twice the weights."""
    threshold = np.where(np.arange(NEURONS) % 2, 15.05, 15.05 / 2)
    made = import_liquid(graph(v_threshold=threshold), BASE, step_s=DT, name="MINE")
    codes = made.conductances.codes.astype(int)
    table = (codes[: INPUTS + NEURONS, 0::2] - codes[: INPUTS + NEURONS, 1::2]).T
    expected = np.concatenate(weights(), axis=1) * np.where(np.arange(NEURONS) % 2, 1, 2)[:, None]
    assert np.abs(table - expected / 2).max() <= 0.5
    assert "differences are in the weights" in made.contract["threshold"]


def test_a_liquid_goes_out_and_comes_back(tmp_path: Path) -> None:
    """Through a file; spikes are equal, since sums are whole and nothing is cut."""
    spec = replace(BASE, adc_shift=0, threshold=150)
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 64, (16, 16))
    codes[0, :2] = 63, 0
    image = Conductances.of(spec, codes)
    made, contract = export_liquid(spec, image, DT)
    write_graph(tmp_path / "liquid.nir", made)
    again = import_liquid(read_graph(tmp_path / "liquid.nir"), spec, step_s=DT, name="AGAIN")
    assert (again.spec.threshold, again.spec.leak) == (spec.threshold, spec.leak)
    inputs = rng.random((10, STEPS, INPUTS)) < 0.3
    before, after = (
        Liquid(s, g, "numpy").run(inputs).spikes for s, g in ((spec, image), (again.spec, again.conductances))
    )
    assert before.any()
    assert np.array_equal(before, after)
    assert contract["not in the graph"] == "counting windows, readout"
    with pytest.raises(ValueError, match="refractory_steps"):
        export_liquid(replace(spec, refractory_steps=1), image, DT)


def test_leaks() -> None:
    assert nearest_leak(0.5) == (-1,)
    assert nearest_leak(0.96875) == (-5,)
    # three terms, each of its own: 1 - 1/2 - 1/4 - 1/8
    assert nearest_leak(0.0) == (-1, -2, -3)
    with pytest.raises(ValueError, match="decay: expected 0 to below 1"):
        nearest_leak(1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v_reset": np.ones(NEURONS)}, "v_reset: expected 0"),
        ({"v_leak": np.ones(NEURONS)}, "v_leak: expected 0"),
        ({"tau": TAU * np.linspace(1, 2, NEURONS)}, "tau: expected one for all neurons"),
        ({"v_threshold": np.zeros(NEURONS)}, "expected positive thresholds"),
        ({"tau": 1e-4 * np.ones(NEURONS)}, "a step from 0 to tau"),
        ({"r": np.full(NEURONS, np.nan)}, "r: expected finite numbers"),
    ],
)
def test_what_no_crossbar_can_be_is_refused(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_liquid(graph(**change), BASE, step_s=DT, name="MINE")


def test_other_graphs_are_refused(tmp_path: Path) -> None:
    made = graph()
    made.nodes["forward"] = nir.Affine(weight=made.nodes["forward"].weight, bias=np.ones(NEURONS))
    with pytest.raises(ValueError, match="node 'forward': expected no bias"):
        import_liquid(made, BASE, step_s=DT, name="MINE")
    made = graph()
    made.nodes["lif"] = nir.IF(r=np.ones(NEURONS), v_threshold=np.ones(NEURONS))
    with pytest.raises(ValueError, match="expected Input, Output, Linear, Affine or LIF, got IF"):
        import_liquid(made, BASE, step_s=DT, name="MINE")
    (tmp_path / "x.nir").write_bytes(b"no graph")
    with pytest.raises(ValueError, match=r"x\.nir: not a NIR graph"):
        read_graph(tmp_path / "x.nir")
    with pytest.raises(FileNotFoundError, match="no NIR file"):
        read_graph(tmp_path / "y.nir")
