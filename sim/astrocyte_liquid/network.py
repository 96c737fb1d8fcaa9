"""The network of a seed: who projects to whom, with what sign, and the lists that models and chip walk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.slots import SlotTable, draw_slots
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Network", "draw", "slotted_pairs"]

Index = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """Synapses, ordered by source and then by neuron.

    Attributes
    ----------
    spec : AstrocyteSpec
    seed : int
        What it was drawn from.
    source, target : ndarray of int32, shape (synapses,)
        Source of each synapse (numbered as in `sim.astrocyte_liquid.spec`), and the neuron that it projects to.
    sign : ndarray of int8, shape (synapses,)
        Sign of its first weight.
    position : ndarray of int32, shape (neurons, 3)
        Place of each neuron on the grid.
    table : SlotTable, optional
        Of a seeded spec: what the chip regenerates the synapses from.
    """

    spec: AstrocyteSpec
    seed: int
    source: Index
    target: Index
    sign: npt.NDArray[np.int8]
    position: Index
    table: SlotTable | None = None

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def start(self) -> Index:
        """First synapse of each source, and the number of synapses; shape (sources + 1,)."""
        return np.searchsorted(self.source, np.arange(self.spec.sources + 1)).astype(np.int32)

    @cached_property
    def incoming(self) -> Index:
        """Synapses ordered by neuron and then by source; shape (synapses,)."""
        return np.argsort(self.target, kind="stable").astype(np.int32)

    @cached_property
    def incoming_source(self) -> Index:
        """Sources of the synapses in the order of `incoming`."""
        return self.source[self.incoming]

    @cached_property
    def incoming_start(self) -> Index:
        """First of each neuron in `incoming`, and the number of synapses; shape (neurons + 1,)."""
        ordered = self.target[self.incoming]
        return np.searchsorted(ordered, np.arange(self.spec.neurons + 1)).astype(np.int32)

    @cached_property
    def limits(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Smallest and largest weight of each synapse in units of the largest magnitude: -1, 0 or 1."""
        inhibitory = self.source >= self.spec.first_neuron + self.spec.excitatory
        excitatory = (self.source >= self.spec.first_neuron) & ~inhibitory
        return np.where(excitatory, 0, -1).astype(np.int64), np.where(inhibitory, 0, 1).astype(np.int64)

    def matrix(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of the synapses as a matrix of shape (sources, neurons), 0 where there is no synapse."""
        matrix = np.zeros((self.spec.sources, self.spec.neurons), values.dtype)
        matrix[self.source, self.target] = values
        return matrix


def draw(spec: AstrocyteSpec, seed: int) -> Network:
    """The network of a seed.

    Raises
    ------
    ValueError
        If a neuron has more than `spec.fan_in_max` synapses, or a lane more than `spec.lane_synapses`.
    """
    rng = np.random.default_rng([seed, 0xA57])
    table = draw_slots(spec, rng) if spec.seeded else None
    source, target, position = _pairs(spec, rng) if table is None else slotted_pairs(table, rng)
    sign = np.where(source >= spec.first_neuron + spec.excitatory, -1, 1)
    count = int((source < spec.first_neuron).sum())
    sign[:count] = rng.integers(0, 2, count) * 2 - 1
    network = Network(
        spec=spec, seed=seed, source=source, target=target, sign=sign.astype(np.int8), position=position, table=table
    )
    fan_in = int(np.bincount(target, minlength=spec.neurons).max())
    if fan_in > spec.fan_in_max:
        raise ValueError(f"seed {seed} of {spec.name}: a neuron has {fan_in} synapses; fan_in_max is {spec.fan_in_max}")
    load = int(np.bincount(target % spec.lanes, minlength=spec.lanes).max())
    if load > spec.lane_synapses:
        raise ValueError(
            f"seed {seed} of {spec.name}: a lane has {load} synapses; lane_synapses is {spec.lane_synapses}"
        )
    return network


def _pairs(spec: AstrocyteSpec, rng: np.random.Generator) -> tuple[Index, Index, Index]:
    """Source, neuron and places where every pair is drawn by itself."""
    neurons = spec.neurons
    places = np.stack(np.meshgrid(*map(np.arange, spec.grid), indexing="ij"), axis=-1).reshape(-1, 3)
    position = places[rng.permutation(neurons)].astype(np.int32)
    from_inputs = np.nonzero(rng.random((spec.inputs, neurons)) < spec.input_density)
    scale, kind = _classes(spec)
    sources, targets = [from_inputs[0]], [from_inputs[1]]
    for first in range(0, neurons, 500):  # a block at a time: 8,000 x 8,000 distances are 1.5 GB
        block = slice(first, min(first + 500, neurons))
        distance = ((position[block, None] - position[None]) ** 2).sum(axis=2)
        probability = scale[kind[block, None], kind[None]] * np.exp(-distance / spec.reach**2)
        probability[np.arange(block.stop - first), np.arange(first, block.stop)] = 0
        row, column = np.nonzero(rng.random(probability.shape) < probability)
        sources.append(row + first + spec.first_neuron)
        targets.append(column)
    return np.concatenate(sources).astype(np.int32), np.concatenate(targets).astype(np.int32), position


def slotted_pairs(table: SlotTable, rng: np.random.Generator) -> tuple[Index, Index, Index]:
    """Source, neuron and places of the synapses in slots.

    A slot of inputs has one wherever an input leads to a neuron. A recurrent one has one where the step on the grid was
    drawn, with the share of its classes: the probability of a pair is the published one.
    """
    spec = table.spec
    source, target = np.nonzero(table.slot(np.arange(spec.inputs)[:, None], np.arange(spec.neurons)) >= 0)
    scale, kind = _classes(spec)
    begin = (np.arange(spec.neurons) - table.steps[:, None]) % spec.neurons
    end = np.broadcast_to(np.arange(spec.neurons), begin.shape)
    move = table.position[end] - table.position[begin] + np.array(spec.grid) - 1
    drawn = table.chosen[move[..., 0], move[..., 1], move[..., 2]]
    share = scale[kind[begin], kind[end]] / max(scale.max(), 1e-9)
    there = drawn & (rng.random(begin.shape) < share)
    sources = np.concatenate([source, begin[there] + spec.first_neuron])
    targets = np.concatenate([target, end[there]])
    order = np.lexsort((targets, sources))
    return sources[order].astype(np.int32), targets[order].astype(np.int32), table.position


def _classes(spec: AstrocyteSpec) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """C by class of source and of neuron, and the class of each neuron: 0 excitatory, 1 inhibitory."""
    scale = np.array([[spec.connect_ee, spec.connect_ei], [spec.connect_ie, spec.connect_ii]])
    return scale, (np.arange(spec.neurons) >= spec.excitatory).astype(np.int64)
