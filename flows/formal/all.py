"""The fast proofs about protection, loading and code words, one after the other; `liquidcal prove` runs them."""

from __future__ import annotations

from collections.abc import Iterator

from flows.formal.code_words import (
    SELECTED,
    prove_word_access,
    prove_word_corrector,
    prove_word_double_errors,
    prove_word_selector,
    prove_word_store,
)
from flows.formal.loading import prove_counters, prove_i2c_writes, prove_loader, prove_scrubber, prove_swap
from flows.formal.protection import (
    StoredByte,
    TripleCell,
    prove_cell,
    prove_double_errors,
    prove_gates,
    prove_machine,
    prove_register,
)
from flows.formal.solver import Proof
from hw.common.i2c_target import I2cTargetLogic
from hw.common.voted_cell import VotedCell

__all__ = ["prove_protection"]


def prove_protection(*, first: int = 0x03B0, last: int = 0x0BE2, steps: int = 4, words: int = 149) -> Iterator[Proof]:
    """All fast proofs, one after the other.

    Parameters
    ----------
    first, last : int
        Lowest and highest address of the image; those of ECON_T.
    steps : int
        Parts of a swap; those of the default pipeline.
    words : int
        Code words of a store that is reached word by word; those of ECON_T with reused multipliers.
    """
    for width in range(1, 9):
        yield prove_cell(f"voted_cell_{width}", VotedCell, whole_copies=True, width=width)
        yield prove_cell(f"triplicated_cell_{width}", TripleCell, whole_copies=True, width=width)
        yield prove_cell(f"secded_cell_{width}", StoredByte, whole_copies=False, width=width)
    yield prove_gates("voted_cell_gates", VotedCell, whole_copies=True)
    yield prove_gates("triplicated_cell_gates", TripleCell, whole_copies=True)
    yield prove_gates("secded_cell_gates", StoredByte, whole_copies=False)
    yield prove_double_errors()
    yield prove_register("voted_register", width=64)
    yield prove_machine("i2c_in_triplicate", I2cTargetLogic, whole_copies=False)
    yield prove_scrubber(first >> 4, last >> 4)
    yield prove_word_corrector(10)
    yield prove_word_selector(SELECTED)
    yield prove_word_store()
    yield prove_word_double_errors()
    yield prove_word_access(words)
    yield prove_counters()
    yield prove_loader(first, last, steps)
    yield prove_swap(first, last, steps)
    yield prove_i2c_writes()
