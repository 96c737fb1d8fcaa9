"""Liquids from and to NIR graphs, with a contract that says what was rounded.

A graph of NIR that a crossbar can be: one input, one layer of LIF neurons, a Linear or Affine layer from the input to
it, a Linear or Affine layer from its spikes to itself or none, one output. Nested graphs are unfolded. In discrete
time, with the step dt, NIR's LIF is

    v <- v + dt / tau (v_leak - v + R I),   spike and v <- v_reset where v >= v_threshold,

and the crossbar's neuron ``v <- v + I`` with a spike and ``v <- 0`` where ``v > threshold``, else ``v <- decay v``.
They agree with ``decay = 1 - dt / tau``, weights times ``R dt / tau``, no bias, and ``v_leak = v_reset = 0``; anything
else is refused. Weights become pairs of conductance codes, the largest magnitude the largest code; thresholds that
differ go into the weights of their neurons.

Source: J. E. Pedersen et al., "Neuromorphic intermediate representation: A unified instruction set for interoperable
brain-inspired computing", Nat. Commun. 15 (2024) 8122; files are read and written by the authors' library `nir`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.files import replacing
from sim.fixed_point import IntArray
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.spec import CrossbarSpec
from sim.messages import shown

__all__ = [
    "ImportedLiquid",
    "export_liquid",
    "import_liquid",
    "nearest_leak",
    "read_graph",
    "read_liquid",
    "write_graph",
]

Float64 = NDArray[np.float64]
MOST_TERMS = 3
"""Shifts that a leak is made of."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImportedLiquid:
    """A graph as a crossbar.

    Attributes
    ----------
    spec : CrossbarSpec
    conductances : Conductances
        Without a seed.
    contract : dict of str to str
        What of the graph was kept, rounded or left out, by a word for it.
    """

    spec: CrossbarSpec
    conductances: Conductances
    contract: dict[str, str]


def read_graph(path: Path) -> Any:
    """A graph of a NIR file.

    Raises
    ------
    FileNotFoundError
        No such file.
    ModuleNotFoundError
        Without the library `nir`.
    ValueError
        Not such a file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no NIR file at {path}")
    try:
        return _library(path).read(path)
    except (OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError, RuntimeError) as error:
        raise ValueError(f"{path}: not a NIR graph: {shown(error, quoted=False)}") from None


def read_liquid(path: Path, base: CrossbarSpec, *, step_s: float, name: str) -> ImportedLiquid:
    """A NIR file as a crossbar: `read_graph` and `import_liquid`, with the file's name before whatever is wrong."""
    graph = read_graph(path)
    try:
        return import_liquid(graph, base, step_s=step_s, name=name)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def write_graph(path: Path, graph: Any) -> None:
    """Write a graph, complete or not at all. Raises ModuleNotFoundError without the library `nir`."""
    content = BytesIO()
    _library(path).write(content, graph)
    with replacing(path, "wb") as file:
        file.write(content.getvalue())


def _library(path: Path) -> Any:
    try:
        return importlib.import_module("nir")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{path}: NIR graphs are read and written by the library nir (extra files)") from None


def nearest_leak(decay: float) -> tuple[int, ...]:
    """Shifts of a leak, at most `MOST_TERMS`, whose factor is nearest to a decay; the fewest of equals.

    Raises
    ------
    ValueError
        A decay outside 0 to below 1.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay: expected 0 to below 1, got {decay:g}")
    candidates: list[tuple[float, int, tuple[int, ...]]] = []
    shifts = [sign * shift for shift in range(1, 11) for sign in (-1, 1)]
    for terms in range(1, MOST_TERMS + 1):
        for chosen in combinations(shifts, terms):
            factor = 1 + sum(np.sign(s) * 2.0 ** -abs(s) for s in chosen)
            if 0 <= factor < 1:
                candidates.append((round(abs(factor - decay), 12), terms, chosen))
    return min(candidates)[2]


def import_liquid(graph: Any, base: CrossbarSpec, *, step_s: float, name: str) -> ImportedLiquid:
    """A NIR graph as a crossbar.

    Parameters
    ----------
    graph : nir.NIRGraph
        As `read_graph` gives it.
    base : CrossbarSpec
        Says what the graph does not: steps, windows, outputs, macro, ADCs. Its inputs, neurons, leak and threshold are
        those of the graph afterwards; `adc_shift` becomes 0 where the ADCs hold the largest sum of a read.
    step_s : float
        dt, in the unit of the graph's time constants.
    name : str
        Of the spec.

    Raises
    ------
    ValueError
        A graph that no crossbar can be; the message names the node.
    """
    nodes, edges = _unfolded(graph)
    kinds = {key: type(node).__name__ for key, node in nodes.items()}
    for key, kind in kinds.items():
        if kind not in ("Input", "Output", "Linear", "Affine", "LIF"):
            raise ValueError(f"node {shown(key)}: expected Input, Output, Linear, Affine or LIF, got {kind}")
    lif = _one(kinds, "LIF")
    enters = [a for a, b in edges if b == lif]
    forward = [a for a in enters if any(kinds[c] == "Input" for c, d in edges if d == a)]
    back = [a for a in enters if any(c == lif for c, d in edges if d == a)]
    if len(forward) != 1 or len(back) > 1 or len(enters) != len(forward) + len(back):
        raise ValueError(
            f"node {shown(lif)}: expected one layer from the input and at most one from its own spikes, got "
            f"{len(forward)} and {len(back)} of {len(enters)}"
        )
    neuron = nodes[lif]
    from_input = _weights(forward[0], nodes[forward[0]])
    neurons, inputs = from_input.shape
    recurrent = _weights(back[0], nodes[back[0]]) if back else np.zeros((neurons, neurons))
    if recurrent.shape != (neurons, neurons):
        raise ValueError(
            f"node {shown(back[0])}: expected weights of shape {(neurons, neurons)}, got {recurrent.shape}"
        )
    tau, resistance, threshold = (
        _vector(lif, key, getattr(neuron, key), neurons) for key in ("tau", "r", "v_threshold")
    )
    for key in ("v_leak", "v_reset"):
        if np.any(_vector(lif, key, getattr(neuron, key), neurons) != 0):
            raise ValueError(f"node {shown(lif)}: {key}: expected 0, the crossbar has no other")
    if not np.allclose(tau, tau[0], rtol=1e-6):
        raise ValueError(f"node {shown(lif)}: tau: expected one for all neurons, got {tau.min():g} to {tau.max():g}")
    if (threshold <= 0).any() or (tau <= 0).any() or not step_s > 0 or step_s > tau[0]:
        raise ValueError(f"node {shown(lif)}: expected positive thresholds, and a step from 0 to tau = {tau[0]:g}")
    decay = 1 - step_s / float(tau[0])
    leak = nearest_leak(decay)
    # one threshold for all: what a neuron's own is higher by, its weights are lower
    gain = resistance * step_s / tau * threshold.max() / threshold
    table = np.concatenate([from_input, recurrent], axis=1) * gain[:, None]
    largest = float(np.abs(table).max())
    if largest == 0:
        raise ValueError("expected at least one weight that is not 0")
    unit = largest / base.code_max
    codes = np.rint(table / unit).astype(np.int64)
    wide = replace(
        base, name=name, inputs=inputs, neurons=neurons, leak=leak, threshold=0, column_current_limit_ua=None
    )
    fits = min(wide.rows_per_read, wide.used_rows) * wide.code_max < 1 << wide.adc_bits
    wide = replace(wide, adc_shift=0) if fits else wide
    exact = threshold.max() / unit / (1 << wide.adc_shift)
    # spike where v >= v_threshold is spike where v > the largest whole number below it
    level = int(np.ceil(exact)) - 1
    if not 0 <= level <= wide.threshold_max:
        raise ValueError(f"threshold: expected up to {wide.threshold_max} codes of the ADC, got {level}")
    spec = replace(wide, threshold=level)
    image = Conductances.of(spec, _cells(codes, spec), seed=None, device={"measured": f"NIR graph {name}"})
    error = np.abs(codes * unit - table)
    contract = {
        "neurons": f"{neurons} LIF neurons, {inputs} inputs, {'with' if back else 'without'} recurrent weights",
        "decay": f"1 - dt/tau = {decay:.6f} became {float(spec.decay):.6f}, shifts {list(leak)}; each term is rounded "
        "towards minus infinity",
        "weights": f"steps of {unit:.6g}, largest error {error.max():.3g}, {np.mean((codes == 0) & (table != 0)):.1%} "
        "of all became 0",
        "threshold": f"{exact:.3f} codes became {level} (spike above)"
        + ("" if np.allclose(threshold, threshold[0]) else "; differences are in the weights"),
        "conversion": "sums of a read are exact"
        if fits
        else f"sums of a read lose {spec.adc_shift} bits, rounded down",
        "readout": "not part of the graph: train it (liquidcal train lsm_crossbar --conductances)",
    }
    return ImportedLiquid(spec=spec, conductances=image, contract=contract)


def export_liquid(spec: CrossbarSpec, conductances: Conductances, step_s: float) -> tuple[Any, dict[str, str]]:
    """A liquid as a NIR graph, and what of it the graph cannot say.

    Weights are in codes of the ADC, so that the threshold is the chip's plus one half: ``v > threshold`` of whole
    numbers.

    Parameters
    ----------
    spec : CrossbarSpec
    conductances : Conductances
    step_s : float
        Length of a step.

    Raises
    ------
    ModuleNotFoundError
        Without the library `nir`.
    ValueError
        Refractory steps, which LIF has not; conductances of another spec; a step that is not positive.
    """
    if spec.macros > 1:
        raise ValueError(f"{spec.name}: macros: expected one liquid to export, got {spec.macros}")
    if spec.refractory_steps:
        raise ValueError(f"{spec.name}: refractory_steps: NIR's LIF has none, got {spec.refractory_steps}")
    if not step_s > 0:
        raise ValueError(f"step: expected a positive time, got {step_s:g}")
    nir = _library(Path(spec.name))
    codes = conductances.check(spec).codes.astype(np.float64)
    pairs = (codes[: spec.used_rows, 0::2] - codes[: spec.used_rows, 1::2])[:, : spec.neurons].T
    weights = pairs / (1 << spec.adc_shift)
    tau = step_s / (1 - float(spec.decay))
    ones = np.ones(spec.neurons)
    nodes = {
        "input": nir.Input(input_type={"input": np.array([spec.inputs])}),
        "from_input": nir.Linear(weight=weights[:, : spec.inputs]),
        "liquid": nir.LIF(
            tau=tau * ones, r=tau / step_s * ones, v_leak=0 * ones, v_threshold=(spec.threshold + 0.5) * ones,
            v_reset=0 * ones,
        ),
        "recurrent": nir.Linear(weight=weights[:, spec.inputs :]),
        "output": nir.Output(output_type={"output": np.array([spec.neurons])}),
    }  # fmt: skip
    edges = [
        ("input", "from_input"), ("from_input", "liquid"), ("liquid", "recurrent"), ("recurrent", "liquid"),
        ("liquid", "output"),
    ]  # fmt: skip
    spread = spec.gain_spread is not None or spec.offset_spread is not None
    contract = {
        "weights": f"differences of two codes over 2^{spec.adc_shift}, exact",
        "decay": f"{float(spec.decay)} exact; the chip rounds each of {len(spec.leak)} terms towards minus infinity",
        "threshold": f"{spec.threshold} + 0.5, exact for whole potentials",
        "conversion": f"reads of {spec.rows_per_read} rows, rounded down by {spec.adc_shift} bits and cut at "
        f"{spec.adc_max}, are not in the graph",
        "not in the graph": ", ".join(
            [*(["gains and offsets of the ADCs"] if spread else []),
             *(["limit of the column current"] if spec.column_limit is not None else []),
             *(["read noise"] if spec.noise_scale is not None else []), "counting windows, readout"]
        ),
    }  # fmt: skip
    return nir.NIRGraph(nodes=nodes, edges=edges), contract


def _cells(codes: IntArray, spec: CrossbarSpec) -> IntArray:
    """Cells of the macro for signed codes of shape (neurons, used rows): plus columns even, minus columns odd."""
    cells = np.zeros((spec.rows, spec.columns), np.int64)
    cells[: spec.used_rows, 0 : 2 * spec.neurons : 2] = np.maximum(codes, 0).T
    cells[: spec.used_rows, 1 : 2 * spec.neurons : 2] = np.maximum(-codes, 0).T
    return cells


def _weights(key: str, node: Any) -> Float64:
    weight = np.asarray(node.weight, np.float64)
    if weight.ndim != 2 or not np.isfinite(weight).all():
        raise ValueError(f"node {shown(key)}: expected finite weights of shape (out, in), got shape {weight.shape}")
    if np.any(np.asarray(getattr(node, "bias", 0.0)) != 0):
        raise ValueError(f"node {shown(key)}: expected no bias, the crossbar has none")
    return weight


def _vector(key: str, field: str, value: Any, neurons: int) -> Float64:
    found = np.asarray(value, np.float64)
    if found.shape not in ((), (1,), (neurons,)) or not np.isfinite(found).all():
        raise ValueError(f"node {shown(key)}: {field}: expected finite numbers, one or {neurons}, got {found.shape}")
    return np.broadcast_to(found, (neurons,)).astype(np.float64)


def _one(kinds: Mapping[str, str], kind: str) -> str:
    found = [key for key, value in kinds.items() if value == kind]
    if len(found) != 1:
        raise ValueError(f"expected one node {kind}, got {len(found)}")
    return found[0]


def _unfolded(graph: Any, prefix: str = "", depth: int = 0) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges with nested graphs in their places; inputs and outputs of nested ones are passed through."""
    if depth > 20:
        raise ValueError("graphs are nested deeper than 20 levels")
    if not hasattr(graph, "nodes") or not hasattr(graph, "edges"):
        raise ValueError(f"expected a NIR graph, got {type(graph).__name__}")
    nodes: dict[str, Any] = {}
    edges = [(prefix + a, prefix + b) for a, b in graph.edges]
    for name, node in graph.nodes.items():
        key = prefix + name
        if type(node).__name__ != "NIRGraph":
            nodes[key] = node
            continue
        inner, inside = _unfolded(node, f"{key}.", depth + 1)
        ends = {kind: [k for k, n in inner.items() if type(n).__name__ == kind] for kind in ("Input", "Output")}
        if any(len(found) != 1 for found in ends.values()):
            raise ValueError(f"node {shown(key)}: expected one Input and one Output inside")
        (begin,), (end,) = ends["Input"], ends["Output"]
        outer = [(end if a == key else a, begin if b == key else b) for a, b in edges] + inside
        for through in (begin, end):
            before = [a for a, b in outer if b == through]
            after = [b for a, b in outer if a == through]
            outer = [edge for edge in outer if through not in edge] + [(a, b) for a in before for b in after]
        edges = outer
        nodes |= {k: n for k, n in inner.items() if k not in (begin, end)}
    return nodes, list(dict.fromkeys(edges))
