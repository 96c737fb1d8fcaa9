"""What verification of either chip returns: reports, the mutation gate, metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flows.common.journal import Check, Journal
from flows.common.metrics import Metric, now
from flows.formal.solver import Proof, Status
from flows.tools.verilator import verilator_version
from flows.verification import mutation
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.hgcal_encoder.spec import EncoderSpec
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["KILL_RATE_GATE", "VerificationReport", "mutation_check", "proof_check", "verification_metrics"]


KILL_RATE_GATE = 0.95
"""Share of mutants, proved equivalents aside, that the bench must kill."""

Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class VerificationReport:
    """All checks of one spec, with the seed that repeats them."""

    spec: EncoderSpec | CrossbarSpec | AstrocyteSpec
    seed: int
    checks: tuple[Check, ...]
    campaign: mutation.CampaignResult | None
    proofs: tuple[Proof, ...]

    @property
    def passed(self) -> bool:
        """Whether there are checks and all of them passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)


def mutation_check(name: str, seed: int, count: int, result: mutation.CampaignResult) -> Check:
    """Whether the bench of design `name` killed enough of `count` mutants, and which survived."""
    killed = result.count(mutation.Outcome.KILLED)
    equivalent = result.count(mutation.Outcome.EQUIVALENT)
    detail = (
        f"{killed} of {len(result.mutants) - equivalent} mutants killed ({100 * result.kill_rate:.1f} %), "
        f"{equivalent} proved equivalent"
    )
    if result.survivors:
        detail += "; survived: " + "; ".join(map(str, result.survivors))
    return Check(
        name=f"{name}: mutants killed by the bench (seed {seed})", key=f"mutants__spec:{name}",
        passed=len(result.mutants) >= count and result.kill_rate >= KILL_RATE_GATE,
        compared=len(result.mutants), unit="mutants", detail=detail,
    )  # fmt: skip


def proof_check(name: str, proofs: Sequence[Proof]) -> Check:
    """Whether all proofs of design `name` closed, and which did not."""
    open_ = [proof for proof in proofs if proof.status is not Status.PROVED]
    listed = "; ".join(f"{proof.name} {proof.status} {proof.counterexample or ''}".strip() for proof in open_)
    return Check(
        name=f"{name}: proofs", key=f"proofs__spec:{name}", passed=bool(proofs) and not open_,
        compared=len(proofs), unit="proofs", detail=f"{len(open_)} open: {listed}" if open_ else "",
    )  # fmt: skip


def verification_metrics(journal: Journal, command: str) -> list[Metric]:
    """The checks of a run as metrics: how much each compared, and whether it passed, for reports and tables.

    Parameters
    ----------
    journal : Journal
        After `verify`.
    command : str
        What to run to obtain them again.
    """
    return [
        Metric(
            name=f"verification__compared__check:{check.key}",
            value=check.compared,
            unit=check.unit,
            tool="Verilator",
            tool_version=verilator_version(),
            library="",
            library_sha256="",
            method="; ".join(filter(None, ("pass" if check.passed else "FAIL", check.name, check.detail))),
            command=command,
            date=now(),
        )
        for check in journal.checks
        if check.key
    ]
