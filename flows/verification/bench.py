"""What the verification of every chip does alike: count comparisons, load in any order, decoys, collect the checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from flows.common.journal import Check, Journal
from flows.formal.solver import Proof
from flows.simulation.native import NativeModel
from flows.verification.mutation import CampaignResult
from flows.verification.result import Advance, VerificationReport
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.fixed_point import IntArray
from sim.hgcal_encoder.spec import EncoderSpec
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Tally", "VerificationRun", "decoy_writes", "load_registers"]


class Tally:
    """How much a bench has compared, how much of it differed, and the first difference.

    Parameters
    ----------
    advance : callable, optional
        Gets the number of comparisons whenever some were made.

    Attributes
    ----------
    compared, failed : int
    first : str
        The first difference in words; empty if there is none.
    """

    def __init__(self, advance: Advance | None = None) -> None:
        self.compared = self.failed = 0
        self.first = ""
        self._advance = advance

    def add(self, compared: int, failed: int = 0, text: str = "") -> None:
        """Count comparisons, and those of them that differ, with the first difference in words."""
        self.compared, self.failed, self.first = self.compared + compared, self.failed + failed, self.first or text
        if self._advance is not None:
            self._advance(compared)

    def check(self, name: str, key: str, unit: str, at_least: int = 1) -> Check:
        """Whether nothing differs and at least so much was compared."""
        return Check(
            name=name, key=key, passed=not self.failed and not self.first and self.compared >= at_least,
            compared=self.compared, unit=unit,
            detail=f"{self.failed:,} differ; first: {self.first}" if self.failed else self.first,
        )  # fmt: skip


class VerificationRun:
    """A verification as it goes on: every check is shown as soon as it is known.

    Parameters
    ----------
    spec : EncoderSpec, CrossbarSpec or AstrocyteSpec
    seed : int
        Seed of all random choices, for the report.
    journal : Journal
        Shows the steps as they run, and receives the checks.
    """

    def __init__(self, spec: EncoderSpec | CrossbarSpec | AstrocyteSpec, seed: int, journal: Journal) -> None:
        self.spec, self.seed, self.journal = spec, seed, journal
        self._checks: list[Check] = []
        self._proofs: tuple[Proof, ...] = ()
        self._campaign: CampaignResult | None = None

    def note(self, check: Check) -> None:
        """Take a check into the report and show it."""
        self._checks.append(check)
        self.journal.check(check)

    def prove(self, total: int, prove: Callable[[Advance], tuple[Check, tuple[Proof, ...]]]) -> None:
        """Run the `total` proofs of the spec."""
        with self.journal.step(f"{self.spec.name}: proofs", total=total) as advance:
            check, self._proofs = prove(advance)
        self.note(check)

    def mutate(self, name: str, total: int, mutate: Callable[[Advance], tuple[Check, CampaignResult]]) -> None:
        """Try `total` mutants of the design `name`; 0 leaves the campaign out."""
        if total:
            with self.journal.step(f"{name}: mutants", total=total) as advance:
                check, self._campaign = mutate(advance)
            self.note(check)

    def report(self) -> VerificationReport:
        """All checks so far."""
        return VerificationReport(
            spec=self.spec, seed=self.seed, checks=tuple(self._checks), campaign=self._campaign, proofs=self._proofs
        )


def load_registers(model: NativeModel, writes: Sequence[tuple[int, int]], number: int) -> None:
    """Write registers, address and byte, in an order that depends on the number of the load.

    Ascending, descending and shuffled orders take turns, so that a byte that listens to the address of another shows
    whichever is written last.
    """
    pairs = np.array(writes)
    if number % 3 == 1:
        pairs = pairs[::-1]
    elif number % 3 == 2:
        pairs = pairs[np.random.default_rng(number).permutation(len(pairs))]
    address, data = pairs.T
    model.run({"write_address": address, "write_data": data, "write_enable": 1})


def decoy_writes(mapped: Iterable[int], bits: int, seed: int) -> dict[str, IntArray]:
    """Clocks that must not change a register: writes to addresses one bit away from the map, and without enable.

    Parameters
    ----------
    mapped : iterable of int
        Addresses of the register map.
    bits : int
        Bits of an address that are inverted in turn.
    seed : int
        Of the bytes written.
    """
    known = set(mapped)
    near = sorted({address ^ (1 << bit) for address in known for bit in range(bits)} - known)
    address = np.array([*near, *sorted(known)])
    enable = np.arange(len(address)) < len(near)
    data = np.random.default_rng(seed).integers(0, 256, len(address))
    return {"write_address": address, "write_data": data, "write_enable": enable.astype(np.int64)}
