"""Sequencer: what a step and a sample consist of."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.enum import Enum
from amaranth.lib.wiring import Component, In, Out

from hw.astrocyte_liquid.input import group_bits
from sim.astrocyte_liquid.registers import steps_bits
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Sequencer"]


class _State(Enum, shape=3):
    WAIT = 0
    WALK = 1
    RATES = 2
    SWEEP = 3
    DRAIN = 4
    READ = 5


class Sequencer(Component):
    """A step: its events are complete, all spikes are walked, the astrocyte moves its rates, all neurons are swept.

    In the first step of a plastic sample that does not keep its weights, they are restored: no source fires then, and
    the lanes are busy until it is done. After the last step the readout runs.

    Reset: waiting for the first step of a sample, asynchronous.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    steps : In(bits of spec.steps)
        Steps of a sample.
    restores : In(1)
        Samples begin with stored weights.
    closed : In(1)
        Events of the next step are complete.
    busy : In(1)
        A lane walks, or has sources that it will walk.
    read_out : In(1)
        The readout is idle again.
    begin : Out(1)
        A sample begins: no source fires, rates are those of its start.
    restore : Out(1)
    walk : Out(1)
        Sources are handed to the lanes.
    update : Out(1)
        The astrocyte moves its rates.
    sweep : Out(1)
        Sweep the neurons of `group`.
    group : Out(bits of spec.groups)
    swept, swept_group : Out(1), Out(bits of spec.groups)
        A clock later: what was read of them is there.
    write, write_group : Out(1), Out(bits of spec.groups)
        Another clock later: what they are to keep is written.
    fresh : Out(1)
        First step of a sample.
    done : Out(1)
        A step has ended.
    read : Out(1)
        The readout starts.
    running : Out(1)
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        super().__init__(
            {
                "steps": In(steps_bits(spec)),
                "restores": In(1),
                "closed": In(1),
                "busy": In(1),
                "read_out": In(1),
                "begin": Out(1),
                "restore": Out(1),
                "walk": Out(1),
                "update": Out(1),
                "sweep": Out(1),
                "group": Out(group_bits(spec)),
                "swept": Out(1),
                "swept_group": Out(group_bits(spec)),
                "write": Out(1),
                "write_group": Out(group_bits(spec)),
                "fresh": Out(1),
                "done": Out(1),
                "read": Out(1),
                "running": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        state = Signal(_State)
        step = Signal(len(self.steps))
        pause = Signal()
        swept_group = Signal(group_bits(spec), reset_less=True)
        write_group = Signal(group_bits(spec), reset_less=True)
        last = Signal()
        m.d.comb += [
            # a sample has a step at least
            last.eq(step == (self.steps - 1)[: len(step)]),
            self.fresh.eq(step == 0),
            self.begin.eq((state == _State.WAIT) & self.closed & self.fresh),
            # lanes are busy from the next clock on
            self.restore.eq(self.begin & self.restores),
            self.walk.eq(state == _State.WALK),
            self.update.eq(state == _State.RATES),
            self.sweep.eq(state == _State.SWEEP),
            self.done.eq((state == _State.DRAIN) & pause),
            self.swept_group.eq(swept_group),
            self.write_group.eq(write_group),
            self.read.eq(self.done & last),
            self.running.eq(state != _State.WAIT),
        ]
        m.d.sync += [self.swept.eq(self.sweep), self.write.eq(self.swept)]
        with m.If(self.sweep):
            m.d.sync += swept_group.eq(self.group)
        with m.If(self.swept):
            m.d.sync += write_group.eq(swept_group)
        m.d.sync += pause.eq(0)
        with m.Switch(state):
            with m.Case(_State.WAIT), m.If(self.closed):
                m.d.sync += state.eq(_State.WALK)
            with m.Case(_State.WALK), m.If(~self.busy):
                m.d.sync += state.eq(_State.RATES)
            with m.Case(_State.RATES):
                # the rates are there when the first neuron reaches the multipliers
                m.d.sync += state.eq(_State.SWEEP)
            with m.Case(_State.SWEEP):
                last_group = self.group == spec.groups - 1
                m.d.sync += self.group.eq(Mux(last_group, 0, self.group + 1))
                with m.If(last_group):
                    m.d.sync += state.eq(_State.DRAIN)
            with m.Case(_State.DRAIN):
                m.d.sync += pause.eq(1)
                with m.If(self.done):
                    m.d.sync += [
                        step.eq(Mux(last, 0, step + 1)),
                        state.eq(Mux(last, _State.READ, _State.WAIT)),
                    ]
            with m.Case(_State.READ), m.If(self.read_out):
                m.d.sync += state.eq(_State.WAIT)
        return m
