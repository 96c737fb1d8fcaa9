"""Proofs of a concentrator by group, for `liquidcal prove`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flows.designs.concentrator import ConcentratorDesign
from flows.formal.concentrator import prove_concentrator
from flows.formal.solver import Proof

__all__ = ["GROUPS"]


def _data_path(design: ConcentratorDesign, model: str) -> Iterator[Proof]:  # noqa: ARG001
    """Codes, sorting network, packer, buffer and reset, as `liquidcal verify` proves them."""
    return prove_concentrator(design.spec)


GROUPS: dict[str, Callable[[ConcentratorDesign, str], Iterator[Proof]]] = {"data_path": _data_path}
"""Proofs by what they are about."""
