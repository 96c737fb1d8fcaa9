"""Spike router: what the neurons fired in a step becomes the recurrent rows of the next one."""

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["Router"]


class Router(Component):
    """Collects the spikes of a step, lane by lane and select by select.

    Throughput one select per clock. Reset: no spikes, asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    valid : In(1)
        Neurons `index` of all lanes have decided.
    index : In(bits of spec.columns_per_adc)
        Ascending from 0 within a step.
    lanes : In(spec.active_lanes)
        Lane l in bit l: neuron l * columns_per_adc + `index` spikes.
    spikes : Out(spec.neurons)
        Neuron j in bit j. Complete from `done` until the next step decides.
    done : Out(1)
        The last neurons of a step have decided.
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(
            {
                "valid": In(1),
                "index": In(spec.select_bits),
                "lanes": In(spec.active_lanes),
                "spikes": Out(spec.neurons),
                "done": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        hit = Signal(spec.columns_per_adc)
        m.d.comb += hit.eq(self.valid << self.index)
        # one enable for what is written together, so that a clock gate stands before it
        for index, written in enumerate(hit):
            neurons = range(index, spec.neurons, spec.columns_per_adc)
            held = Signal(len(neurons), name=f"spikes_{index}")
            with m.If(written):
                m.d.sync += held.eq(self.lanes)
            m.d.comb += [self.spikes[neuron].eq(bit) for neuron, bit in zip(neurons, held, strict=True)]
        m.d.sync += self.done.eq(hit[-1])
        return m
