"""Proofs of a concentrator, and that they would notice."""

from functools import partial

import pytest

from flows.formal.concentrator import (
    prove_buffer,
    prove_cell_code,
    prove_code,
    prove_comparator,
    prove_largest,
    prove_packer,
    prove_sorter,
    sorts_by_passes,
)
from flows.formal.solver import Status
from hw.hgcal_encoder.merge_exchange import layers
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, EqualLargest


@pytest.mark.parametrize(
    "proof", [prove_cell_code, prove_comparator, prove_largest, partial(prove_largest, equal=EqualLargest.LOWEST)]
)
def test_cells(proof) -> None:
    found = proof(120.0)
    assert found.status is Status.PROVED, found.counterexample


@pytest.mark.parametrize(("width", "exponent", "mantissa"), [(28, 5, 3), (26, 5, 4), (24, 4, 3)])
def test_codes(width: int, exponent: int, mantissa: int) -> None:
    found = prove_code(width, exponent, mantissa, 120.0)
    assert found.status is Status.PROVED, found.counterexample


def test_the_buffer_conserves_words() -> None:
    found = prove_buffer(ECON_T_PRODUCTION, 120.0)
    assert found.status is Status.PROVED, found.counterexample


def test_the_packer_loses_nothing() -> None:
    found = prove_packer(120.0, width=10)
    assert found.status is Status.PROVED, found.counterexample


def test_the_network_in_the_hardware_sorts() -> None:
    found = prove_sorter()
    assert found.status is Status.PROVED, found.counterexample
    assert found.statement.startswith("367 comparators sort 48 values")


@pytest.mark.parametrize("size", [2, 3, 7, 10])
def test_passes_decide_as_all_sequences_do(size: int) -> None:
    """The network without any one comparator: the argument by passes agrees with trying all zeros and ones."""
    network = [pair for layer in layers(size) for pair in layer]
    for left_out in range(-1, len(network)):
        some = [pair for number, pair in enumerate(network) if number != left_out]
        sorts = True
        for ones in range(1 << size):
            values = [ones >> place & 1 for place in range(size)]
            for low, high in some:
                values[low], values[high] = max(values[low], values[high]), min(values[low], values[high])
            sorts &= values == sorted(values, reverse=True)
        assert (sorts_by_passes(some, size) == "") == sorts == (left_out < 0)
