"""Sequencer: steps, windows and samples."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Sequencer"]


class Sequencer(Component):
    """Starts a step as soon as its events are complete and the step before has ended; after each window the readout.

    Reset: waiting for the first step of a sample, asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    full : In(1)
        Events of the next step are complete.
    done : In(1)
        All neurons have decided.
    read_out : In(1)
        The readout is idle again.
    start : Out(1)
        The row driver loads the rows of a step.
    read : Out(1)
        The readout of a window starts.
    step : Out(bits of spec.steps)
        Running, or next, step of the sample.
    first_step : Out(1)
        It is the first one.
    fresh : Out(1)
        It is the first one of its window.
    first_window : Out(1)
    last_window : Out(1)
    running : Out(1)
        A step or the readout runs.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(
            {
                "full": In(1),
                "done": In(1),
                "read_out": In(1),
                "start": Out(1),
                "read": Out(1),
                "step": Out(max((spec.steps - 1).bit_length(), 1)),
                "first_step": Out(1),
                "fresh": Out(1),
                "first_window": Out(1),
                "last_window": Out(1),
                "running": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        place = Signal(max((spec.window_length - 1).bit_length(), 1))
        window = Signal(max((spec.windows - 1).bit_length(), 1))
        last = place == spec.window_length - 1
        m.d.comb += [
            self.start.eq(self.full & ~self.running),
            self.first_step.eq(self.step == 0),
            self.fresh.eq(place == 0),
            self.first_window.eq(window == 0),
            self.last_window.eq(window == spec.windows - 1),
            self.read.eq(self.done & last),
        ]
        with m.If(self.start):
            m.d.sync += self.running.eq(1)
        with m.Elif((self.done & ~last) | self.read_out):
            m.d.sync += [
                self.running.eq(0),
                self.step.eq(Mux(last & self.last_window, 0, self.step + 1)),
                place.eq(Mux(last, 0, place + 1)),
            ]
            with m.If(last):
                m.d.sync += window.eq(Mux(self.last_window, 0, window + 1))
        return m
