"""Decoder of the fast commands: finds the phase of the codes on the 320 Mb/s line, checks them, counts them."""

from typing import ClassVar

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from sim.hgcal_encoder.link_spec import (
    BITS_PER_COMMAND,
    CODES,
    COUNTED,
    IDLE,
    SAMPLES_PER_COMMAND_BIT,
    WORD_BITS,
    Action,
    LinkSpec,
)

__all__ = ["FastCommandLogic"]

_ACTIONS = len(Action)


class FastCommandLogic(Component):
    """Next state and outputs of the decoder, once in a crossing; for `Registered`.

    Rules: `sim.hgcal_encoder.links.fast_commands.FastCommandDecoder`. The 40 MHz clock has any phase against the codes:
    the line is sampled by the bit clock of the links, four samples for each of its bits, and all eight phases of a code
    are decoded side by side.

    Latency: `actions` belong to the samples at the input in the same clock.

    Parameters
    ----------
    spec : LinkSpec

    Attributes
    ----------
    reset : int
        Not locked, all counters 0.

    Members
    -------
    samples : In(32)
        Of one crossing, oldest in bit 31.
    rising, invert, force_error : In(1)
        Registers.
    clear : In(1)
        Counters and `inverted` are 0 afterwards.
    actions : Out(23)
        What the code asks for, by `Action`.
    locked, inverted : Out(1)
    lock_count : Out(8)
    counts : Out(8) x 22
        By `Action`.
    state : In, next_state : Out
    """

    reset: ClassVar[int] = 0
    STATE: ClassVar[data.StructLayout] = data.StructLayout({
        "previous": BITS_PER_COMMAND - 1, "in_row": data.ArrayLayout(2, BITS_PER_COMMAND), "locked": 1, "inverted": 1,
        "phase": 3, "counts": data.ArrayLayout(8, COUNTED), "lock_count": 8,
    })  # fmt: skip

    def __init__(self, *, spec: LinkSpec):
        self._spec = spec
        super().__init__({
            "samples": In(WORD_BITS), "rising": In(1), "invert": In(1), "force_error": In(1), "clear": In(1),
            "actions": Out(_ACTIONS), "locked": Out(1), "inverted": Out(1), "lock_count": Out(8),
            "counts": Out(data.ArrayLayout(8, COUNTED)), "state": In(self.STATE), "next_state": Out(self.STATE),
        })  # fmt: skip

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        s, n = self.state, self.next_state
        bits = Signal(BITS_PER_COMMAND)
        for place in range(BITS_PER_COMMAND):
            first = place * SAMPLES_PER_COMMAND_BIT
            # of four samples the second one or the last one
            m.d.comb += bits[place].eq(Mux(self.rising, self.samples[first + 2], self.samples[first]) ^ self.invert)
        window = Cat(bits, s.previous)
        codes = [window[7 - phase : 15 - phase] for phase in range(BITS_PER_COMMAND)]
        idle = Signal(BITS_PER_COMMAND)
        m.d.comb += idle.eq(Cat(code == IDLE for code in codes))

        limit = self._spec.command_loss
        in_row = [Signal(2, name=f"in_row_{phase}") for phase in range(BITS_PER_COMMAND)]
        full = Signal(BITS_PER_COMMAND)
        for phase, count in enumerate(in_row):
            more = Mux(s.in_row[phase] == limit, limit, s.in_row[phase] + 1)
            m.d.comb += [count.eq(Mux(idle[phase], more, 0)), full[phase].eq(count == limit)]

        own = Signal(BITS_PER_COMMAND)
        m.d.comb += own.eq(1 << s.phase)
        code = Signal(8)
        m.d.comb += code.eq(Array(codes)[s.phase])
        balanced = Signal()
        m.d.comb += balanced.eq(sum(code[1:], code[0]) == 4)
        lost, locks = Signal(), Signal(name="locks")
        m.d.comb += [
            lost.eq(s.locked & (full & ~own).any()),
            locks.eq(~s.locked & full.any()),
            n.previous.eq(bits[: BITS_PER_COMMAND - 1]),
            n.locked.eq((s.locked & ~lost) | locks),
            n.phase.eq(s.phase),
            *(n.in_row[phase].eq(Mux(lost, 0, count)) for phase, count in enumerate(in_row)),
        ]
        for phase in reversed(range(BITS_PER_COMMAND)):
            with m.If(locks & full[phase]):
                m.d.comb += n.phase.eq(phase)

        error = ((idle & ~own) != 0) | ~balanced | self.force_error
        for action, value in self._decoded(code).items():
            m.d.comb += self.actions[action].eq(s.locked & balanced & value)
        m.d.comb += self.actions[Action.ERROR].eq(s.locked & error)

        events = [*self.actions[:COUNTED], locks]
        counters = [*(s.counts[i] for i in range(COUNTED)), s.lock_count]
        after = [*(n.counts[i] for i in range(COUNTED)), n.lock_count]
        for event, now, then in zip(events, counters, after, strict=True):
            m.d.comb += then.eq(Mux(self.clear, 0, now + (event & ~now.all())))
        inverted = Cat(seen == (IDLE ^ 0xFF) for seen in codes).any()
        m.d.comb += [
            n.inverted.eq(~self.clear & (s.inverted | inverted)),
            self.locked.eq(s.locked), self.inverted.eq(s.inverted), self.lock_count.eq(s.lock_count),
            self.counts.eq(s.counts),
        ]  # fmt: skip
        return m

    def _decoded(self, code: Value) -> dict[Action, Value]:
        """For each action but the error whether a code with four ones asks for it."""
        asked: dict[Action, list[int]] = {action: [] for action in Action if action is not Action.ERROR}
        for number, actions in CODES.items():
            for action in actions:
                asked[action].append(number)
        for place, number in enumerate(self._spec.spare_codes):
            asked[Action(Action.SPARE_0 + place)].append(number)
        known = [*CODES, *self._spec.spare_codes]
        found = {action: _one_of(code, numbers) for action, numbers in asked.items()}
        return found | {Action.UNASSIGNED: ~_one_of(code, known)}


def _one_of(code: Value, numbers: list[int]) -> Value:
    return Cat(code == number for number in numbers).any() if numbers else Const(0, 1)
