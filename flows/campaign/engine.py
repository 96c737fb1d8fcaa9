"""What an engine of the fault campaign offers, and what both engines hold a chip to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flows.campaign.faults import Fault, Kind, Schedule, Target
from flows.campaign.outcome import Outcome
from flows.campaign.workload import Workload
from flows.common.errors import FlowError
from flows.designs.storage_bits import StorageBit, Stratum, chip_bits
from hw.common.registered import described
from hw.common.scheme import Scheme
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.coded_words import WordMap
from hw.hgcal_encoder.control import ControlLogic
from sim.hgcal_encoder.configuration.chip_registers import image_masks

__all__ = [
    "RESET",
    "WATCHED",
    "ChipEngine",
    "Engine",
    "EngineError",
    "check_bus",
    "check_crossing",
    "schedule_of",
    "watched",
]

RESET: Target = ("rst", 0)
"""Target of a transient on the reset of the chip."""
WATCHED = 17
"""Frames after the pipeline that are compared for a flip that stays: a module's crossings and one more."""


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
        """One outcome for each fault, in order; each is injected into a chip without any other one.

        Raises
        ------
        EngineError
            If the run without faults is not clean.
        ValueError
            If a target does not exist or a crossing is outside the workload; the message names the fault.
        """
        ...


class ChipEngine(ABC):
    """Engine on one form of a whole chip, with what is known of the chip in any form.

    Parameters
    ----------
    workload : Workload
    scheme : Scheme
    bits : sequence of StorageBit, optional
        Flip-flops, if they are at hand.

    Attributes
    ----------
    name : str
        See `Engine`.
    shell : Chip
        The chip described, not elaborated.
    latency : int
        Clocks from words to frames.
    schedule : Schedule
        When faults may be injected.
    run_bit : int
        Bit of the state of control that lets the chip run.
    """

    name: str

    def __init__(self, workload: Workload, scheme: Scheme, bits: Sequence[StorageBit] | None = None) -> None:
        spec, loading = workload.spec, workload.loading
        self.workload, self.scheme = workload, scheme
        self.bits = tuple(bits) if bits is not None else chip_bits(spec, scheme, loading)
        self.shell = described(Chip, spec=spec, scheme=scheme, loading=loading)
        self.latency = int(self.shell.latency)
        self.schedule = schedule_of(workload, scheme, self.latency)
        self.run_bit: int = described(ControlLogic, **self.shell.control_parameters()).state_fields["direct"][0]

    @abstractmethod
    def run(self, faults: Sequence[Fault]) -> Sequence[Outcome]:
        """As `Engine.run`."""


def watched(fault: Fault, schedule: Schedule, latency: int, *, longest: int) -> int:
    """Crossings that a fault is watched at most.

    Control and what a transient may have reached are watched for `longest`; a byte that is scrubbed until the scrubber
    was there; all else as long as `WATCHED` frames that it may touch take. A chip that has answered wrong over the
    bus, or put out `WATCHED` empty frames one after the other, is watched no further: there is nothing worse.
    """
    if fault.stratum in (Stratum.CONTROL, Stratum.COUNTER, Stratum.SHADOW) or fault.kind is Kind.TRANSIENT:
        return longest
    last = fault.delays[-1] + fault.width
    if fault.kind is Kind.BEAM:
        return schedule.rows + latency + WATCHED + last
    if schedule.rows and any(schedule.scrubbed(path) is not None for path, _ in fault.targets):
        return schedule.rows + last + 1
    return latency + WATCHED + last


def schedule_of(workload: Workload, scheme: Scheme, latency: int) -> Schedule:
    """When faults may be injected: from the first frame on, and so that all that follows can be watched."""
    rows = sorted({address >> 4 for address in image_masks(workload.spec)})
    words: tuple[str, ...] = ()
    walk = rows[-1] - rows[0] + 1 if scheme in (Scheme.TMR_MODULE, Scheme.SECDED) else 0
    if scheme is Scheme.SECDED_WORDS:
        words = tuple(word.name for word in WordMap(spec=workload.spec).words)
        walk = len(words)
    return Schedule(
        first=latency + 1,
        last=workload.crossings - latency - WATCHED - walk - 2,
        rows=walk,
        first_row=rows[0],
        words=words,
    )


def check_crossing(number: int, fault: Fault, workload: Workload, latency: int) -> None:
    """Refuse a fault that is injected outside the workload, or too late in it to be watched."""
    if not 1 <= fault.clock < workload.crossings - 1 - latency:
        raise ValueError(f"fault {number}: injected at crossing {fault.clock}, the workload has {workload.crossings}")


def check_bus(top: str, workload: Workload, levels: npt.NDArray[np.int64]) -> None:
    """Compare the answers over I2C of a run without fault with the register map.

    Parameters
    ----------
    top : str
        Name of the chip, for messages.
    workload : Workload
    levels : ndarray of int64, shape (crossings,)
        Level of SDA in each crossing, what the chip pulls low included.

    Raises
    ------
    EngineError
        A byte is not acknowledged, or another one is read than the register map has.
    """
    if (silent := np.flatnonzero(levels[workload.acknowledged])).size:
        raise EngineError(f"{top} without fault does not acknowledge at crossing {workload.acknowledged[silent[0]]}")
    for read in workload.reads:
        got = bytes(np.packbits(levels[read.looks].astype(np.uint8)))
        if got != read.expected:
            raise EngineError(f"{top} without fault: expected {read.expected.hex()} over I2C, got {got.hex()}")
