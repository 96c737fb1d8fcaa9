"""The proofs about a whole chip, as lists that one can go through; `liquidcal prove` runs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flows.formal.code_words import (
    SELECTED,
    prove_every_selector,
    prove_every_word,
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
from hw.common.registered import described
from hw.common.voted_cell import VotedCell
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.coded_words import WordMap
from sim.hgcal_encoder.configuration.chip_registers import image_masks
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["protection_proofs", "word_proofs"]


def protection_proofs(spec: EncoderSpec) -> Iterator[Proof]:
    """Storage cells of every scheme, loading, scrubbing, counters and I2C: what protects an encoder of this spec.

    They take about 20 s on two quiet cores. Those on code words are proved on short ones, see `word_proofs`.

    Parameters
    ----------
    spec : EncoderSpec
        Gives addresses and parts of the register image. Words that are reached one by one are those of the same
        encoder with multipliers reused four times, unless it reuses them itself.

    Yields
    ------
    Proof
    """
    addresses = list(image_masks(spec))
    first, last = addresses[0], addresses[-1]
    parts = 1 + max(described(Chip, spec=spec).parts)
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
    yield prove_word_access(len(WordMap(spec=_reused(spec)).words))
    yield prove_counters()
    yield prove_loader(first, last, parts)
    yield prove_swap(first, last, parts)
    yield prove_i2c_writes()


def word_proofs(spec: EncoderSpec) -> Iterator[Proof]:
    """Every code word and every word selector of the `secded_words` chip at its real width; minutes."""
    yield prove_every_selector(_reused(spec))
    yield prove_every_word(_reused(spec))


def _reused(spec: EncoderSpec) -> EncoderSpec:
    """The spec, with multipliers reused four times where it does not reuse them: code words belong to reuse."""
    return spec if spec.reuse > 1 else replace(spec, reuse=4)
