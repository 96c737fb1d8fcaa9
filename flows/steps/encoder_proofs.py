"""Proofs of an encoder beyond those of its verification: protection, loading, code words, constant weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flows.designs.encoder import EncoderDesign
from flows.designs.frozen import frozen_weights
from flows.formal.all import protection_proofs, word_proofs
from flows.formal.dot_product import dot_products, prove_dot_product
from flows.formal.frozen import prove_folded_neurons, prove_frozen
from flows.formal.solver import Proof

__all__ = ["GROUPS"]


def _protection(design: EncoderDesign, model: str) -> Iterator[Proof]:  # noqa: ARG001
    """Voted and coded cells, I2C, scrubber, counters, loader and swap, at the addresses of this spec."""
    return protection_proofs(design.spec)


def _code_words(design: EncoderDesign, model: str) -> Iterator[Proof]:  # noqa: ARG001
    """Long code words at their real width: of the design with multipliers reused four times, unless it reuses them."""
    return word_proofs(design.spec)


def _loadable(design: EncoderDesign, model: str) -> Iterator[Proof]:  # noqa: ARG001
    """Dot products with loadable weights, all of their inputs together."""
    for name, dot_format in dot_products(design.spec).items():
        yield prove_dot_product(name, dot_format)


def _frozen(design: EncoderDesign, model: str) -> Iterator[Proof]:
    """Every output of both layers with constant weights is the formula, for every input."""
    return prove_frozen(frozen_weights(model, design.spec))


def _folded(design: EncoderDesign, model: str) -> Iterator[Proof]:
    """Every neuron with constant weights equals the loadable one with these weights."""
    return prove_folded_neurons(design.spec, frozen_weights(model, design.spec))


GROUPS: dict[str, Callable[[EncoderDesign, str], Iterator[Proof]]] = {
    "protection": _protection,
    "code_words": _code_words,
    "frozen": _frozen,
    "loadable": _loadable,
    "folded": _folded,
}
"""Proofs by what they are about, the long ones last."""
