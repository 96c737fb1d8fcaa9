"""Proofs of a concentrator by group, for `liquidcal prove`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from flows.designs.concentrator import ConcentratorDesign
from flows.formal.concentrator import prove_concentrator
from flows.formal.protection import prove_cell, prove_gates, prove_register
from flows.formal.solver import Proof
from hw.common.voted_cell import VotedCell

__all__ = ["GROUPS"]


def _data_path(design: ConcentratorDesign, model: str) -> Iterator[Proof]:  # noqa: ARG001
    """Codes, sorting network, packer, buffer and reset, as `liquidcal verify` proves them."""
    return prove_concentrator(design.spec)


def _protection(_design: ConcentratorDesign, _model: str) -> Iterator[Proof]:
    """Single flips in what a protected concentrator is stored in: bytes of settings, registers of the pipeline."""
    for width in range(1, 9):
        yield prove_cell(f"voted_cell_{width}", VotedCell, whole_copies=True, width=width)
    yield prove_gates("voted_cell_gates", VotedCell, whole_copies=True)
    yield prove_register("voted_register", width=64)


GROUPS: dict[str, Callable[[ConcentratorDesign, str], Iterator[Proof]]] = {
    "data_path": _data_path,
    "protection": _protection,
}
"""Proofs by what they are about."""
