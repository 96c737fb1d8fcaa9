"""How a network becomes layers of hardware: which stores join which layer, and behind how many registers a value is."""

from dataclasses import dataclass, replace

from sim.network.nodes import Node, Store, WeightedSum, Wire
from sim.network.spec import INPUT, NetworkSpec

__all__ = ["MOST_REUSE", "Layer", "Plan", "plan"]

MOST_REUSE = 64
"""Most multiplications of a sample that a multiplier serves."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A node with the stores that follow it and nothing else.

    Attributes
    ----------
    name : str
        Of the node.
    node : Node
    stores : tuple of Store
        Result of the node, then the stores, without the names of their inputs.
    result : str
        Name of the last store: what other nodes read.
    reads : int
        Clock in which its inputs are there, counted from the one in which the sample is at the pins.
    stage : int
        Clock in which its result is there, in a register.
    """

    name: str
    node: Node
    stores: tuple[Store, ...]
    result: str
    reads: int
    stage: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Layers in their order.

    Attributes
    ----------
    layers : tuple of Layer
        Those that compute; wires are none.
    stages : dict of str to int
        Clock in which a value is there, by name of its node; the input is in a register after one.
    zeros : dict of str to frozenset of int
        Elements that are constant zero, by name of the node.
    latency : int
        Clocks from the pins to the pins.
    """

    layers: tuple[Layer, ...]
    stages: dict[str, int]
    zeros: dict[str, frozenset[int]]
    latency: int


def plan(spec: NetworkSpec, reuse: int = 1) -> Plan:
    """Layers of a network: a register behind each, and behind the inputs.

    Parameters
    ----------
    spec : NetworkSpec
    reuse : int
        Clocks in which a sum is formed. Above 1 two registers more are on the way of a layer with weights: behind the
        selection of its inputs, and of the sum that grows.
    """
    stages, zeros = {INPUT: 1}, {INPUT: frozenset[int]()}
    layers: list[Layer] = []
    joined: set[str] = set()
    for name, node in spec.nodes.items():
        if name in joined:
            continue
        stage = max(stages[x] for x in node.inputs)
        if isinstance(node, Wire):
            stages[name], zeros[name] = stage, _zeros(spec, node, zeros)
            continue
        stores = [_alone(node) if isinstance(node, Store) else Store(inputs=(), result=spec.tensors[name].form)]
        followers = spec.stores_behind(name)
        for follower in followers:
            store = spec.nodes[follower]
            assert isinstance(store, Store)
            stores.append(_alone(store))
        joined.update(followers)
        last = (name, *followers)[-1]
        done = stage + (reuse + 2 if reuse > 1 and isinstance(node, WeightedSum) else 1)
        stages[last], zeros[last] = done, frozenset()
        layers.append(Layer(name=name, node=node, stores=tuple(stores), result=last, reads=stage, stage=done))
    return Plan(layers=tuple(layers), stages=stages, zeros=zeros, latency=max(stages[name] for name in spec.outputs))


def _alone(store: Store) -> Store:
    """A store without the names of its inputs: equal hardware, equal module."""
    return replace(store, inputs=())


def _zeros(spec: NetworkSpec, node: Wire, zeros: dict[str, frozenset[int]]) -> frozenset[int]:
    known: list[bool] = []
    for x in node.inputs:
        known += [i in zeros[x] for i in range(spec.tensors[x].size)]
    return frozenset(place for place, source in enumerate(node.sources) if source < 0 or known[source])
