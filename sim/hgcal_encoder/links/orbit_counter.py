"""Orbit counter: numbers crossings, says when all channels take their snapshot, and watches the BCR."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from sim.hgcal_encoder.link_spec import Action, LinkSpec

__all__ = ["OrbitCounter", "OrbitEvents", "OrbitRegisters"]

_COUNTER_MASK = 0xFFF
_TOP = 255


@dataclass(frozen=True, kw_only=True)
class OrbitRegisters:
    """Registers of the block Aligner that the counter reads, at their reset values of production."""

    orbsyn_cnt_load_val: int = 3513
    orbsyn_cnt_max_val: int = 3563
    orbsyn_cnt_snapshot: int = 2
    snapshot_en: int = 1
    i2c_snapshot_en: int = 0
    snapshot_arm: int = 0
    dbg_fc_cnt_clr: int = 0


@dataclass(frozen=True, kw_only=True)
class OrbitEvents:
    """What the counter tells the channels in a crossing.

    Attributes
    ----------
    take : bool
        Take the snapshot.
    restart : bool
        LinkReset ROC-T came: header counters are cleared.
    begins : bool
        It armed a snapshot: outputs may freeze.
    reset : bool
        ChipSync came: the channels start anew.
    missing, extra : bool
        The BCR did not come when it was due, or came when it was not.
    """

    take: bool
    restart: bool
    begins: bool
    reset: bool
    missing: bool
    extra: bool


@dataclass(kw_only=True)
class OrbitCounter:
    """State after each crossing.

    BCR (OCR counts as one) and ChipSync load the counter; it wraps after `orbsyn_cnt_max_val`. A snapshot is armed by
    LinkReset ROC-T, or with ``i2c_snapshot_en`` by a rising edge of ``snapshot_arm``, and taken when the counter shows
    ``orbsyn_cnt_snapshot``. A BCR is due, once one has come, whenever the counter reaches the value that it loads.

    Attributes
    ----------
    spec : LinkSpec
    counter : int
        Orbit counter, 12 bits.
    crossing : int
        Number of the crossing whose words the aligners show: `spec.newest_crossing` one crossing after the counter
        showed ``orbsyn_cnt_snapshot``, counting up from there.
    armed, synchronised, arm_before : bool
    commands : int
        BCR and LinkReset ROC-T received, 5 bits, wrapping.
    bcr_seen, reset_seen : bool
    missing_count, extra_count : int
        Crossings with `OrbitEvents.missing` and `OrbitEvents.extra`; stop at 255 (choice).
    """

    spec: LinkSpec
    counter: int = 0
    crossing: int = 0
    armed: bool = False
    synchronised: bool = False
    arm_before: bool = False
    commands: int = 0
    bcr_seen: bool = False
    reset_seen: bool = False
    missing_count: int = 0
    extra_count: int = 0

    def step(self, actions: Set[Action], registers: OrbitRegisters, *, clear: bool = False) -> OrbitEvents:
        """One crossing, with the commands that came in it. ChipSync resets the rest of the state as well.

        With `clear` the counts of errors stay 0.
        """
        bcr = Action.BCR in actions
        reset = Action.LINK_RESET_ROC_T in actions
        at_snapshot = self.counter == registers.orbsyn_cnt_snapshot
        wraps = self.counter == registers.orbsyn_cnt_max_val
        following = 0 if wraps else self.counter + 1 & _COUNTER_MASK
        due = self.synchronised and following == registers.orbsyn_cnt_load_val
        events = OrbitEvents(
            take=self.armed and at_snapshot and bool(registers.snapshot_en),
            restart=reset,
            begins=reset and bool(registers.snapshot_en) and not registers.i2c_snapshot_en,
            reset=Action.CHIP_SYNC in actions,
            missing=due and not bcr,
            extra=self.synchronised and bcr and not due,
        )
        if at_snapshot:
            self.crossing = self.spec.newest_crossing
        elif self.crossing == registers.orbsyn_cnt_max_val:
            self.crossing = 0
        else:
            self.crossing = self.crossing + 1 & _COUNTER_MASK
        edge = bool(registers.snapshot_arm) and not self.arm_before
        arms = bool(registers.snapshot_en) and (edge if registers.i2c_snapshot_en else reset)
        self.armed = arms or (self.armed and not events.take)
        self.arm_before = bool(registers.snapshot_arm)
        self.counter = registers.orbsyn_cnt_load_val if bcr else following
        self.synchronised = self.synchronised or bcr
        if registers.dbg_fc_cnt_clr:
            self.commands, self.bcr_seen, self.reset_seen = 0, False, False
        else:
            self.commands = self.commands + (bcr or reset) & 31
            self.bcr_seen, self.reset_seen = self.bcr_seen or bcr, self.reset_seen or reset
        self.missing_count = 0 if clear else min(self.missing_count + events.missing, _TOP)
        self.extra_count = 0 if clear else min(self.extra_count + events.extra, _TOP)
        if events.reset:
            vars(self).update(vars(OrbitCounter(spec=self.spec, counter=registers.orbsyn_cnt_load_val)))
        return events
