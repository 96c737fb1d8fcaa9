"""Connectivity that a chip regenerates: synapses lie in slots, and a small table says what a slot leads to.

A lane has `AstrocyteSpec.slots` slots; each holds at most one synapse of each neuron of the lane, so that slot and
neuron are the place of a synapse. Who projects there follows from the neuron, and which neuron a source projects to
follows from the source, by one addition in either direction:

- *Inputs* lie in blocks of a power of two, the ring, at least as large as the neurons of a lane. Number r of block b
  projects, in each of the ``input_slots`` slots of its block, to the neuron ``(reversed r + offset) mod ring`` of the
  lane, if there is one; `reversed` turns the order of the bits round, so that neighbours of an image part. The offsets
  of a block in a lane are drawn without repetition: no pair has two synapses.
- *Neurons* lie on the grid at ``first + stride * number`` mod the neurons, counted along the grid, so that a step on
  the grid is a step of their numbers. In a recurrent slot, neuron j projects to neuron ``j + step`` mod the neurons.

A slot need not have a synapse for every neuron: the host writes `AstrocyteSpec.absent_code` where there is none, at the
edge of the grid, say. The table is drawn from the seed: the offsets of inputs evenly, the steps on the grid with the
published probability of the distance, as many in every draw (W. G. Madow, "On the theory of systematic sampling, II",
Ann. Math. Stat. 20 (1949) 333, whose inclusion probabilities are exact).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.spec import AstrocyteSpec, grid_steps
from sim.fixed_point import IntArray

__all__ = ["SlotTable", "draw_slots", "reversed_bits"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SlotTable:
    """What slots lead to, and where neurons lie.

    Attributes
    ----------
    spec : AstrocyteSpec
    offsets : ndarray of int64, shape (lanes, input blocks, input slots)
        Of slots of inputs, within the ring.
    steps : ndarray of int64, shape (n,), at most the recurrent slots
        From source to neuron, 1 to neurons - 1, each once, ordered by their rest by the lanes: a source projects into
        a lane by neighbouring slots.
    chosen : ndarray of bool, shape (2 * grid[0] - 1, 2 * grid[1] - 1, 2 * grid[2] - 1)
        Steps on the grid that were drawn; no step is the middle one.
    position : ndarray of int32, shape (neurons, 3)
        Place of each neuron on the grid.
    """

    spec: AstrocyteSpec
    offsets: IntArray
    steps: IntArray
    chosen: npt.NDArray[np.bool_]
    position: npt.NDArray[np.int32]

    @cached_property
    def _slot_of_offset(self) -> IntArray:
        """Slot by lane, block and offset; -1 where there is none."""
        spec = self.spec
        found = np.full((spec.lanes, spec.input_blocks, 1 << spec.ring_bits), -1, np.int64)
        slots = np.arange(spec.input_blocks * spec.input_slots).reshape(spec.input_blocks, spec.input_slots)
        np.put_along_axis(found, self.offsets, np.broadcast_to(slots, self.offsets.shape), axis=2)
        return found

    @cached_property
    def _slot_of_step(self) -> IntArray:
        """Slot by step; -1 where there is none."""
        found = np.full(self.spec.neurons, -1, np.int64)
        found[self.steps] = self.spec.input_blocks * self.spec.input_slots + np.arange(len(self.steps))
        return found

    def slot(self, source: npt.ArrayLike, neuron: npt.ArrayLike) -> IntArray:
        """Slot of a synapse, -1 if no slot leads from that source to that neuron.

        Parameters
        ----------
        source, neuron : array_like of int
            Of one shape, or broadcast to one.
        """
        spec = self.spec
        source, neuron = np.broadcast_arrays(np.asarray(source, np.int64), np.asarray(neuron, np.int64))
        ring = (1 << spec.ring_bits) - 1
        block = np.minimum(source >> spec.ring_bits, spec.input_blocks - 1)
        turned = reversed_bits(source & ring, spec.ring_bits)
        by_offset = self._slot_of_offset[neuron % spec.lanes, block, neuron // spec.lanes - turned & ring]
        by_step = self._slot_of_step[(neuron - (source - spec.first_neuron)) % spec.neurons]
        found: IntArray = np.where(source < spec.first_neuron, by_offset, by_step)
        return found

    def lists(self, lane: int) -> tuple[IntArray, IntArray]:
        """First slot and number of slots: for each block of inputs, then for sources whose lane is 0, 1, ... below."""
        spec = self.spec
        inputs = np.arange(spec.input_blocks) * spec.input_slots
        rest = self.steps % spec.lanes
        first = np.searchsorted(rest, np.arange(spec.lanes + 1))
        below = (lane - np.arange(spec.lanes)) % spec.lanes
        firsts = np.concatenate([inputs, spec.input_blocks * spec.input_slots + first[below]])
        return firsts, np.concatenate([np.full(spec.input_blocks, spec.input_slots), np.diff(first)[below]])


def reversed_bits(values: npt.ArrayLike, bits: int) -> IntArray:
    """Numbers with the order of their bits turned round."""
    values = np.asarray(values, np.int64)
    found = np.zeros_like(values)
    for bit in range(bits):
        found |= (values >> bit & 1) << bits - 1 - bit
    return found


def draw_slots(spec: AstrocyteSpec, rng: np.random.Generator) -> SlotTable:
    """The table of a seeded chip."""
    ring = 1 << spec.ring_bits
    offsets = np.argsort(rng.random((spec.lanes, spec.input_blocks, ring)), axis=2)[:, :, : spec.input_slots]
    strides = [n for n in range(1, spec.neurons + 1) if math.gcd(n, spec.neurons) == 1]
    stride, first = int(rng.choice(strides)), int(rng.integers(spec.neurons))
    along = (first + stride * np.arange(spec.neurons)) % spec.neurons
    position = np.stack(np.unravel_index(along, spec.grid), axis=1).astype(np.int32)
    moves, chance = grid_steps(spec)
    order = rng.permutation(len(moves))
    ends = np.cumsum(chance[order])
    picked = order[np.searchsorted(ends, np.arange(rng.random(), ends[-1]), side="right")]
    chosen = np.zeros([2 * axis - 1 for axis in spec.grid], bool)
    chosen[tuple((moves[picked] + np.array(spec.grid) - 1).T)] = True
    _, high, deep = spec.grid
    back = pow(stride, -1, spec.neurons) if spec.neurons > 1 else 0
    steps = np.unique((moves[picked] @ np.array([high * deep, deep, 1])) * back % spec.neurons)
    # two moves may be one step of the numbers; a move as long as the grid is none
    steps = steps[steps != 0]
    steps = steps[np.argsort(steps % spec.lanes, kind="stable")]
    return SlotTable(spec=spec, offsets=offsets, steps=steps, chosen=chosen, position=position)
