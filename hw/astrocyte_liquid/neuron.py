"""Neuron sweep of a lane: at the end of a step all its neurons, input neurons first, one group per clock."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.data import StructLayout
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.arithmetic import decayed, part, rounded, saturated
from hw.astrocyte_liquid.astrocyte import potentiation_rate_bits
from sim.astrocyte_liquid.spec import CURRENT_DECAY, TRACE_DECAY, AstrocyteSpec

__all__ = ["Neuron", "effect_layout", "local_bits", "membrane_layout", "potentiation_layout", "state_layout"]


def local_bits(spec: AstrocyteSpec) -> int:
    """Bits of the number of a liquid neuron within its lane."""
    return max(1, (spec.neuron_groups - 1).bit_length())


def state_layout(spec: AstrocyteSpec) -> StructLayout:
    """What a lane keeps of every neuron from step to step; an input that is to fire `waits`."""
    return StructLayout(
        {"trace": spec.trace_bits, "refractory": spec.refractory_steps.bit_length(), "fired": 1, "waits": 1}
    )


def membrane_layout(spec: AstrocyteSpec) -> StructLayout:
    """What it keeps of a liquid neuron, too."""
    return StructLayout({"membrane": signed(spec.membrane_bits), "count": spec.count_width})


def effect_layout(spec: AstrocyteSpec) -> StructLayout:
    """What a synapse needs of the neuron that it enters."""
    return StructLayout({"depression": signed(spec.depression_bits), "fired": 1})


def potentiation_layout(spec: AstrocyteSpec) -> StructLayout:
    """What a synapse needs of the source that it leaves."""
    return StructLayout({"potentiation": spec.potentiation_bits, "fired": 1})


class Neuron(Component):
    """Potential, current, trace, refractory counter and spike counter of one neuron per clock.

    `valid` says that old state and current are there; they are registered once between the sums and the multipliers, so
    what is written comes one clock later. The registers have no reset: they are loaded before they are written.

    Throughput one neuron per clock.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    valid : In(1)
    is_input : In(1)
        The neuron is one of the inputs.
    fresh : In(1)
        First step of a sample: the state counts as that of rest.
    keep_trace : In(1)
        Also in the first step the trace goes on.
    old_state : In(state_layout)
    old_membrane, current : In(membrane_layout), In(signed(spec.current_bits))
        Of a liquid neuron.
    kicked : In(1)
        Of an input neuron: it received an event.
    potentiation_rate : In(potentiation_rate_bits)
    depression_rate : In(signed(spec.rate_bits))
        Those of the next step.
    new_state : Out(state_layout)
    new_membrane, new_current : Out(membrane_layout), Out(signed(spec.current_bits))
        Of a liquid neuron.
    effect : Out(effect_layout)
        Of a liquid neuron.
    potentiation : Out(potentiation_layout)
        And whether the neuron fires in the next step.
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        super().__init__(
            {
                "valid": In(1),
                "is_input": In(1),
                "fresh": In(1),
                "keep_trace": In(1),
                "old_state": In(state_layout(spec)),
                "old_membrane": In(membrane_layout(spec)),
                "current": In(signed(spec.current_bits)),
                "kicked": In(1),
                "potentiation_rate": In(potentiation_rate_bits(spec)),
                "depression_rate": In(signed(spec.rate_bits)),
                "new_state": Out(state_layout(spec)),
                "new_membrane": Out(membrane_layout(spec)),
                "new_current": Out(signed(spec.current_bits)),
                "effect": Out(effect_layout(spec)),
                "potentiation": Out(potentiation_layout(spec)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        old, is_input = self.old_state, self.is_input
        new = Signal(state_layout(spec), name="state", reset_less=True)
        body = Signal(membrane_layout(spec), name="body", reset_less=True)
        left = Signal(signed(spec.current_bits), reset_less=True)
        of_input = Signal(reset_less=True)
        rest = Signal(signed(spec.membrane_bits))
        current = Signal(signed(spec.current_bits))
        trace = Signal(spec.trace_bits)
        total = Signal(spec.trace_bits + 1)
        fired = Signal()
        waits = Signal()
        blocked = Signal(len(old.refractory))
        before = Signal(len(old.refractory))
        fires = Signal()
        potential = Signal(signed(max(spec.membrane_bits, spec.current_bits) + 2))
        held = Signal(signed(spec.membrane_bits))
        count = Signal(spec.count_width)
        m.d.comb += [
            fired.eq(old.fired & ~self.fresh),
            rest.eq(Mux(self.fresh | old.fired, 0, self.old_membrane.membrane)),
            # the memory of currents is read while lists are walked, too: nothing is to move then
            current.eq(Mux(self.fresh | ~self.valid, 0, self.current)),
            trace.eq(Mux(self.fresh & ~self.keep_trace, 0, old.trace)),
            before.eq(Mux(self.fresh, 0, old.refractory)),
            count.eq(Mux(self.fresh, 0, self.old_membrane.count)),
            potential.eq(decayed(rest, (1, spec.leak_shift)) + current),
            held.eq(saturated(potential, -spec.membrane_max - 1, spec.membrane_max)),
            waits.eq(is_input & ((~self.fresh & ~old.fired & old.waits) | self.kicked)),
            blocked.eq(Mux(fired, spec.refractory_steps, Mux(before == 0, 0, before - 1))),
            fires.eq((blocked == 0) & Mux(is_input, waits, held >= spec.threshold_code)),
            total.eq(trace + Mux(fired, spec.trace_step_code, 0)),
        ]
        with m.If(self.valid):
            m.d.sync += [
                of_input.eq(is_input),
                new.trace.eq(decayed(total, TRACE_DECAY)),
                new.refractory.eq(blocked),
                new.fired.eq(fires),
                new.waits.eq(waits),
            ]
        with m.If(self.valid & ~is_input):
            m.d.sync += [
                body.membrane.eq(held), body.count.eq(count + fired), left.eq(part(current, CURRENT_DECAY)),
            ]  # fmt: skip
        # no synapse enters an input: its multiplier rests
        depressed = Mux(of_input, 0, new.trace)
        m.d.comb += [
            self.new_state.eq(new),
            self.new_membrane.eq(body),
            self.new_current.eq(left),
            self.effect.fired.eq(new.fired),
            self.effect.depression.eq(
                rounded((self.depression_rate >> spec.rate_guard) * depressed, spec.change_shift)
            ),
            self.potentiation.fired.eq(new.fired),
            self.potentiation.potentiation.eq(
                rounded((self.potentiation_rate >> spec.rate_guard) * new.trace, spec.change_shift)
            ),
        ]
        return m
