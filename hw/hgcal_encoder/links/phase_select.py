"""Phase of a receiver: at which of fifteen points in a bit the link is sampled."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from sim.hgcal_encoder.link_spec import PHASE_BAD, TAPS, LinkSpec

__all__ = ["PhaseSelectLogic"]


class PhaseSelectLogic(Component):
    """Next state and outputs of the training of a receiver, once in a crossing; for `Registered`.

    Rules: `sim.hgcal_encoder.links.phase_select.PhaseSelect`.

    Parameters
    ----------
    spec : LinkSpec

    Attributes
    ----------
    reset : int
        Tap 0, never trained.

    Members
    -------
    edges : In(15)
        Of the last crossing.
    track_mode : In(2), train : In(1), restart : In(1)
        Registers ``track_mode``, ``train_channel``, ``reset_channels``.
    phase_select : In(4)
        Register ``phase_select_channelinput``.
    tap : Out(4)
        In use.
    shown : Out(4), locked : Out(1)
        Read back.
    state : In, next_state : Out
    """

    STATE: ClassVar[data.StructLayout] = data.StructLayout({
        "phase": 4, "result": 4, "locked": 1, "seen": TAPS, "good": TAPS, "left": 8, "narrowing": 1, "train_before": 1,
    })  # fmt: skip

    def __init__(self, *, spec: LinkSpec):
        self._spec = spec
        super().__init__({
            "edges": In(TAPS), "track_mode": In(2), "train": In(1), "restart": In(1), "phase_select": In(4),
            "tap": Out(4), "shown": Out(4), "locked": Out(1), "state": In(self.STATE), "next_state": Out(self.STATE),
        })  # fmt: skip

    @property
    def reset(self) -> int:
        """State after reset."""
        return int(self.STATE.const({"result": PHASE_BAD}).as_value().value)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        fixed = self.track_mode == 0
        starts = self.track_mode[1] | ((self.track_mode == 1) & self.train & ~s.train_before)
        narrower, lowest, result = Signal(TAPS), Signal(4), Signal(4, name="result")
        m.d.comb += [
            n.as_value().eq(s.as_value()),
            n.train_before.eq(self.train),
            narrower.eq(s.good & s.good.rotate_left(1) & s.good.rotate_right(1)),
            lowest.eq(_lowest(s.good)),
            result.eq(Mux((s.good == 0) | (s.seen == 0), PHASE_BAD, lowest)),
        ]
        with m.If(s.narrowing):
            with m.If(narrower != 0):
                m.d.comb += n.good.eq(narrower)
            with m.Else():
                m.d.comb += [n.narrowing.eq(0), n.result.eq(result), n.locked.eq(result != PHASE_BAD)]
                with m.If(result != PHASE_BAD):
                    with m.If(self.track_mode == 1):
                        m.d.comb += n.phase.eq(result)
                    with m.Elif(result > s.phase):
                        m.d.comb += n.phase.eq(s.phase + 1)
                    with m.Elif(result < s.phase):
                        m.d.comb += n.phase.eq(s.phase - 1)
        with m.Elif(s.left != 0):
            seen = s.seen | self.edges
            m.d.comb += [n.seen.eq(seen), n.left.eq(s.left - 1)]
            with m.If(s.left == 1):
                m.d.comb += [n.narrowing.eq(1), n.good.eq(~(seen | Cat(seen[-1], seen[:-1])))]
        with m.Elif(starts):
            m.d.comb += [n.left.eq(self._spec.training_crossings), n.seen.eq(0)]
        with m.If(self.restart):
            m.d.comb += n.as_value().eq(self.reset)
        m.d.comb += [
            self.tap.eq(Mux(fixed, self.phase_select, s.phase)),
            self.shown.eq(Mux(fixed, self.phase_select, s.result)),
            self.locked.eq(s.locked),
        ]
        return m


def _lowest(mask: Value) -> Value:
    """Number of the lowest bit that is set."""
    number: Value = Mux(mask[TAPS - 1], TAPS - 1, 0)
    for tap in reversed(range(TAPS - 1)):
        number = Mux(mask[tap], tap, number)
    return number
