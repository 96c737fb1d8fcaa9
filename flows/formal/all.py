"""All proofs about protection, loading and code words, by command: ``python -m flows.formal.all``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from flows.formal.code_words import (
    SELECTED,
    prove_word_access,
    prove_word_corrector,
    prove_word_double_errors,
    prove_word_selector,
    prove_word_store,
)
from flows.formal.frozen import prove_folded_neurons
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
from flows.formal.solver import Proof, Status
from hw.common.i2c_target import I2cTargetLogic
from hw.common.registered import described
from hw.common.voted_cell import VotedCell
from hw.hgcal_encoder.chip import Chip
from sim.hgcal_encoder.configuration.chip_registers import image_masks
from sim.hgcal_encoder.spec import load_spec
from sim.hgcal_encoder.weights import Weights

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


def main() -> int:
    """Run all proofs; with weights also those of their constant neurons. The exit code is 1 if one does not close.

    Those on code words at their real width are of the design with multipliers reused four times, unless it reuses them.
    """
    from flows.formal.code_words import prove_every_selector, prove_every_word

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--spec", default="ECON_T", help="preset or TOML file")
    parser.add_argument("--weights", type=Path, help="weights whose neurons are proved, constant against loaded")
    arguments = parser.parse_args()
    spec = load_spec(arguments.spec)
    reused = spec if spec.reuse > 1 else replace(spec, reuse=4)
    addresses = list(image_masks(spec))
    chip = described(Chip, spec=spec)
    proofs = chain(
        prove_protection(first=addresses[0], last=addresses[-1], steps=1 + max(chip.parts)),
        (prove(reused) for prove in (prove_every_selector, prove_every_word)),
    )
    if arguments.weights is not None:
        weights = Weights.load(arguments.weights, spec)
        proofs = chain(proofs, prove_folded_neurons(spec, weights))
    failed = 0
    for proof in proofs:
        failed += proof.status is not Status.PROVED
        print(f"{proof.name:24} {proof.status:10} {proof.wall_s:6.1f} s  {proof.statement}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
