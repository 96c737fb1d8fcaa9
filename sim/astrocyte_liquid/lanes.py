"""The network as the lanes of the chip hold it: each the synapses that enter its neurons, in lists that it walks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.astrocyte_liquid.network import Network
from sim.fixed_point import IntArray

__all__ = ["LaneTables", "lane_tables"]


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
