"""The network as the lanes of the chip hold it: each the synapses that enter its neurons, in lists or in slots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.network import Network
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.fixed_point import IntArray

__all__ = ["LaneTables", "lane_contents", "lane_places", "lane_tables", "lane_weights", "slot_high_bits"]


@dataclass(frozen=True, kw_only=True, eq=False)
class LaneTables:
    """Tables of one lane.

    Attributes
    ----------
    synapses : ndarray of int64, shape (n,)
        Number in the network of each synapse of the lane; ordered by source and then by neuron.
    target : ndarray of int64, shape (n,)
        Neuron that each enters, by its number within the lane.
    first, count : ndarray of int64, shape (sources rounded up to whole groups,)
        Synapses of each source: the first one of the lane, and how many.
    incoming : ndarray of int64, shape (n,)
        Synapses by their number within the lane, ordered by neuron and then by source.
    incoming_source : ndarray of int64, shape (n,)
        Their sources.
    incoming_first, incoming_count : ndarray of int64, shape (neuron groups,)
        Of each neuron of the lane: its first one in `incoming`, and how many.
    """

    synapses: IntArray
    target: IntArray
    first: IntArray
    count: IntArray
    incoming: IntArray
    incoming_source: IntArray
    incoming_first: IntArray
    incoming_count: IntArray


def lane_tables(network: Network, lane: int) -> LaneTables:
    """The tables of a lane.

    Raises
    ------
    ValueError
        If there is no such lane.
    """
    spec = network.spec
    if not 0 <= lane < spec.lanes:
        raise ValueError(f"lane: expected 0 to {spec.lanes - 1}, got {lane}")
    synapses = np.flatnonzero(network.target % spec.lanes == lane)
    source, target = network.source[synapses].astype(np.int64), network.target[synapses].astype(np.int64) // spec.lanes
    incoming = np.argsort(target, kind="stable")
    count = np.bincount(source, minlength=spec.groups * spec.lanes)
    incoming_count = np.bincount(target, minlength=spec.neuron_groups)
    return LaneTables(
        synapses=synapses, target=target, first=np.cumsum(count) - count, count=count, incoming=incoming,
        incoming_source=source[incoming], incoming_first=np.cumsum(incoming_count) - incoming_count,
        incoming_count=incoming_count,
    )  # fmt: skip


def slot_high_bits(spec: AstrocyteSpec) -> int:
    """Bits of the block of an input slot, or of the rest of a step by the lanes."""
    return max(1, (spec.input_blocks - 1).bit_length(), (spec.lanes - 1).bit_length())


def lane_places(network: Network, lane: int) -> tuple[IntArray, IntArray]:
    """Synapses of a lane by their number in the network, and where the lane keeps the weight of each.

    In lists their order, by source and then by neuron; in slots ``slot * neuron groups + number of the neuron``.
    """
    spec = network.spec
    synapses = np.flatnonzero(network.target % spec.lanes == lane)
    if network.table is None:
        return synapses, np.arange(len(synapses))
    source, target = network.source[synapses], network.target[synapses]
    return synapses, network.table.slot(source, target) * spec.neuron_groups + target // spec.lanes


def lane_weights(network: Network, weights: npt.NDArray[np.integer], lane: int) -> IntArray:
    """What the host writes for the weights of a lane, from address 0 on; codes, with those of slots without synapse."""
    synapses, places = lane_places(network, lane)
    spec = network.spec
    words = np.full(len(synapses) if network.table is None else spec.lane_synapses, spec.absent_code, np.int64)
    words[places] = weights[synapses]
    return words


def lane_contents(network: Network, lane: int) -> dict[str, IntArray]:
    """What the host writes into the other memories of a lane, from address 0 on, by name of the memory.

    Of lists: ``targets``, ``lists``, ``back``, ``incoming``; of slots ``slots`` and ``lists``. Layouts are those of
    `hw.astrocyte_liquid.walker`.
    """
    spec = network.spec
    if network.table is not None:
        first, count = network.table.lists(lane)
        return {
            "slots": _slot_words(network, lane),
            "lists": first + (count << max(1, (spec.slots - 1).bit_length())),
        }
    tables = lane_tables(network, lane)
    bits = max(1, (spec.lane_synapses - 1).bit_length())
    return {
        "targets": tables.target,
        "lists": tables.first + (tables.count << bits),
        "back": tables.incoming_first + (tables.incoming_count << bits),
        "incoming": tables.incoming + (tables.incoming_source << bits),
    }


def _slot_words(network: Network, lane: int) -> IntArray:
    """Of each slot: from bit 0 the offset, or the step in groups of lanes; above it the block, or the rest by lanes.

    The highest bit is 1 in recurrent slots.
    """
    spec, table = network.spec, network.table
    assert table is not None
    inputs = spec.input_blocks * spec.input_slots
    low, high = np.zeros(spec.slots, np.int64), np.zeros(spec.slots, np.int64)
    low[:inputs], high[:inputs] = table.offsets[lane].ravel(), np.arange(inputs) // spec.input_slots
    steps = slice(inputs, inputs + len(table.steps))
    low[steps], high[steps] = np.divmod(table.steps, spec.lanes)
    liquid = (np.arange(spec.slots) >= inputs).astype(np.int64)
    words: IntArray = low + (high << spec.ring_bits) + (liquid << spec.ring_bits + slot_high_bits(spec))
    return words
