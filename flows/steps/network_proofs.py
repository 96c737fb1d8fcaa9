"""Proofs of a network by group, for `liquidcal prove` and ``build(prove=True)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from flows.designs.network import NetworkDesign
from flows.formal.dot_product import prove_dot_product
from flows.formal.frozen import prove_frozen_layer
from flows.formal.loading import prove_counters, prove_i2c_writes, prove_loader, prove_scrubber, prove_swap
from flows.formal.protection import StoredByte, prove_cell, prove_double_errors, prove_gates, prove_register
from flows.formal.solver import Proof
from hw.common.registered import described
from hw.common.scheme import Scheme
from hw.common.voted_cell import VotedCell
from hw.network.frozen import frozen_weights
from hw.network.network import Network
from hw.network.network_chip import NetworkChip, error_counters
from sim.chip_registers import Loading, masks_of
from sim.network.registers import weight_fields
from sim.network.weights import NetworkWeights

__all__ = ["GROUPS"]


def _loadable(design: NetworkDesign, model: str) -> Iterator[Proof]:  # noqa: ARG001
    """Every kind of dot product that the network has, for all activations, weights and biases."""
    network = described(Network, spec=design.spec, reuse=design.factor)
    for name, dot_format in network.dot_formats.items():
        yield prove_dot_product(name, dot_format)


def _frozen(design: NetworkDesign, model: str) -> Iterator[Proof]:
    """Every output of every layer with constant weights is the formula, for every input of the layer."""
    spec = design.spec
    weights = design.weights()
    if weights is None:
        if not Path(model).is_file():
            raise ValueError(f"frozen: expected a file of weights of {spec.name} (--model), got {model!r}")
        weights = NetworkWeights.load(Path(model), spec)
    network = described(Network, spec=spec, frozen=frozen_weights(weights))
    for layer, sums in network.frozen_sums.items():
        yield from prove_frozen_layer(f"frozen_{layer}", sums)


def _protection(design: NetworkDesign, model: str) -> Iterator[Proof]:  # noqa: ARG001
    """Single flips in what a protected network is stored in: bytes of weights, registers of the widths it has.

    Of a network behind I2C also code words, bus, loader and swap, scrubber and counters, at the addresses that it has.
    """
    for width in range(1, 9):
        yield prove_cell(f"voted_cell_{width}", VotedCell, whole_copies=True, width=width)
    yield prove_gates("voted_cell_gates", VotedCell, whole_copies=True)
    yield prove_register("voted_register", width=64)
    if design.loading is None:
        return
    addresses = list(masks_of(weight_fields(design.spec)))
    first, last = addresses[0], addresses[-1]
    if design.scheme is Scheme.SECDED:
        for width in range(1, 9):
            yield prove_cell(f"secded_cell_{width}", StoredByte, whole_copies=False, width=width)
        yield prove_gates("secded_cell_gates", StoredByte, whole_copies=False)
        yield prove_double_errors()
        yield prove_scrubber(first >> 4, last >> 4)
    if design.scheme is not None:
        yield prove_counters(error_counters(design.scheme))
    if design.loading is Loading.GUARDED:
        parts = 1 + max(described(NetworkChip, spec=design.spec).parts)
        yield prove_loader(first, last, parts)
        yield prove_swap(first, last, parts)
    yield prove_i2c_writes()


GROUPS: dict[str, Callable[[NetworkDesign, str], Iterator[Proof]]] = {
    "loadable": _loadable,
    "frozen": _frozen,
    "protection": _protection,
}
"""Proofs by what they are about."""
