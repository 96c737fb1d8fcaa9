"""What an engine of the fault campaign offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flows.campaign.faults import Fault
from flows.campaign.outcome import Outcome
from flows.common.errors import FlowError

__all__ = ["Engine", "EngineError"]


class EngineError(FlowError):
    """The chip without any fault does not do what the golden model says: no outcome would mean anything."""


class Engine(Protocol):
    """Finds out what becomes of faults.

    An engine compares frames with the golden model (`sim.hgcal_encoder.encoder.Encoder`), never with a run of its own,
    and has seen a run without any fault agree with it in every crossing before it judges a fault.

    Attributes
    ----------
    name : str
        ``"rtl"`` or ``"netlist"``.
    """

    name: str

    def run(self, faults: Sequence[Fault]) -> Sequence[Outcome]:
        """One outcome for each fault, in order; each fault strikes a chip without any other one.

        Raises
        ------
        EngineError
            If the run without faults is not clean.
        ValueError
            If a target does not exist or strikes outside the workload; the message names the fault.
        """
        ...
