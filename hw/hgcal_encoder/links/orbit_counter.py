"""Orbit counter: numbers crossings, says when all channels take their snapshot, and watches the BCR."""

from typing import ClassVar

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from sim.hgcal_encoder.link_spec import Action, LinkSpec

__all__ = ["OrbitCounterLogic"]

_BITS = 12


class OrbitCounterLogic(Component):
    """Next state and outputs of the orbit counter; for `Registered`.

    Rules: `sim.hgcal_encoder.links.orbit_counter.OrbitCounter`.

    Parameters
    ----------
    spec : LinkSpec

    Attributes
    ----------
    reset : int
        0.

    Members
    -------
    actions : In(23)
        Commands of this crossing.
    load_value, last_value, snapshot_value : In(12)
        Registers ``orbsyn_cnt_load_val``, ``orbsyn_cnt_max_val``, ``orbsyn_cnt_snapshot``.
    snapshot_en, i2c_snapshot_en, snapshot_arm, debug_clear : In(1)
        Registers.
    clear : In(1)
        The counts of errors stay 0.
    crossing : Out(12)
        Number of the crossing whose words the aligners show.
    take, restart, begins, chip_sync, missing, extra : Out(1)
        As `sim.hgcal_encoder.links.orbit_counter.OrbitEvents`.
    missing_count, extra_count : Out(8)
    armed : Out(1)
        A snapshot is due.
    commands : Out(5), bcr_seen, reset_seen : Out(1)
        Status for debugging.
    state : In, next_state : Out
    """

    reset: ClassVar[int] = 0
    STATE: ClassVar[data.StructLayout] = data.StructLayout({
        "counter": _BITS, "crossing": _BITS, "armed": 1, "synchronised": 1, "arm_before": 1, "commands": 5,
        "bcr_seen": 1, "reset_seen": 1, "missing_count": 8, "extra_count": 8,
    })  # fmt: skip

    def __init__(self, *, spec: LinkSpec):
        self._spec = spec
        values = dict.fromkeys(("load_value", "last_value", "snapshot_value"), In(_BITS))
        bits = dict.fromkeys(("snapshot_en", "i2c_snapshot_en", "snapshot_arm", "debug_clear", "clear"), In(1))
        events = ("take", "restart", "begins", "chip_sync", "missing", "extra", "armed", "bcr_seen", "reset_seen")
        super().__init__({
            "actions": In(len(Action)), **values, **bits, "crossing": Out(_BITS), **dict.fromkeys(events, Out(1)),
            "commands": Out(5), "missing_count": Out(8), "extra_count": Out(8), "state": In(self.STATE),
            "next_state": Out(self.STATE),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        bcr, reset = self.actions[Action.BCR], self.actions[Action.LINK_RESET_ROC_T]
        at_snapshot, due, edge, arms = Signal(), Signal(), Signal(), Signal(name="arms")
        following = Signal(_BITS)
        m.d.comb += [
            at_snapshot.eq(s.counter == self.snapshot_value),
            following.eq(Mux(s.counter == self.last_value, 0, s.counter + 1)),
            due.eq(s.synchronised & (following == self.load_value)),
            edge.eq(self.snapshot_arm & ~s.arm_before),
            arms.eq(self.snapshot_en & Mux(self.i2c_snapshot_en, edge, reset)),
            self.take.eq(s.armed & at_snapshot & self.snapshot_en),
            self.restart.eq(reset),
            self.begins.eq(reset & self.snapshot_en & ~self.i2c_snapshot_en),
            self.chip_sync.eq(self.actions[Action.CHIP_SYNC]),
            self.missing.eq(due & ~bcr),
            self.extra.eq(s.synchronised & bcr & ~due),
        ]
        m.d.comb += [
            n.crossing.eq(
                Mux(at_snapshot, self._spec.newest_crossing, Mux(s.crossing == self.last_value, 0, s.crossing + 1))
            ),
            n.armed.eq(arms | (s.armed & ~self.take)),
            n.arm_before.eq(self.snapshot_arm),
            n.counter.eq(Mux(bcr, self.load_value, following)),
            n.synchronised.eq(s.synchronised | bcr),
            n.commands.eq(Mux(self.debug_clear, 0, s.commands + (bcr | reset))),
            n.bcr_seen.eq(~self.debug_clear & (s.bcr_seen | bcr)),
            n.reset_seen.eq(~self.debug_clear & (s.reset_seen | reset)),
        ]
        for count, event in (("missing_count", self.missing), ("extra_count", self.extra)):
            now = getattr(s, count)
            m.d.comb += getattr(n, count).eq(Mux(self.clear, 0, now + (event & ~now.all())))
        with m.If(self.chip_sync):
            m.d.comb += [n.as_value().eq(0), n.counter.eq(self.load_value)]
        kept = ("crossing", "armed", "commands", "bcr_seen", "reset_seen", "missing_count", "extra_count")
        m.d.comb += [getattr(self, name).eq(getattr(s, name)) for name in kept]
        return m
