"""Homeostat of neurons: it compares spikes of each neuron with spikes of the input, and moves its threshold."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.lsm_crossbar.counter import neuron_bits
from hw.lsm_crossbar.threshold_memory import offset_bytes, threshold_word_bytes
from hw.lsm_crossbar.threshold_step import ThresholdStep, excess_width
from sim.lsm_crossbar.registers import RATIO_BYTES
from sim.lsm_crossbar.spec import (
    OFFSET_FRACTION,
    OWN_RATIO_FRACTION,
    RATE_MAX,
    RATIO_FRACTION,
    CrossbarSpec,
)

__all__ = ["NeuronHomeostat"]


class NeuronHomeostat(Component):
    """It follows the readout, which reads the count of one neuron per clock at the end of each counting window.

    In the clock in which a count leaves the readout, the neuron's word leaves the memory: its ratio, times the spikes
    of the input in this window, is taken from the count. One clock later the new offset is written (`ThresholdStep`),
    and, in the last window of a sample, loaded into the lane of the neuron: thresholds change between samples. One
    multiplier, whatever the number of neurons. Nothing in the memory has to be cleared: in the first window after
    `restart` old offsets read as a half, and lanes count theirs as 0 until they have been loaded.

    Reset: no offset counts, asynchronous.

    Parameters
    ----------
    spec : CrossbarSpec
        One with a threshold of each neuron.

    Members
    -------
    restart : In(1)
        All thresholds are that of the register. Low for whole samples.
    threshold : In(spec.threshold_width)
        Of the register. It changes with or after `restart` only.
    rate : In(4)
        Register.
    driven : In(1), row : In(spec.row_bits)
        A row is driven; rows below `spec.inputs` are spikes of the input.
    read : In(1), read_neuron : In(bits of spec.neurons)
        The readout reads a count; the memory reads the word of the same neuron, unless `restart` holds.
    count : In(spec.count_width)
        The count, one clock later.
    last : In(1)
        Last window of a sample.
    word : In(bytes of a word)
        Of `hw.lsm_crossbar.threshold_memory`, one clock after `read`.
    write : Out(1), write_neuron : Out(bits of spec.neurons), write_word : Out(bytes of an offset)
        New offset, two clocks after `read`.
    own : Out(1)
        Offsets count.
    load : Out(1)
        The lane of `write_neuron` takes the offset's whole part.
    moved : Out(signed(24))
        Sum of the offsets that count, whole parts.
    """

    clocked = True

    def __init__(self, *, spec: CrossbarSpec):
        if not spec.own_thresholds:
            raise ValueError(f"{spec.name} has no homeostat with a threshold for each neuron")
        self._spec = spec
        super().__init__(
            {
                "restart": In(1),
                "threshold": In(spec.threshold_width),
                "rate": In(RATE_MAX.bit_length()),
                "driven": In(1),
                "row": In(spec.row_bits),
                "read": In(1),
                "read_neuron": In(neuron_bits(spec)),
                "count": In(spec.count_width),
                "last": In(1),
                "word": In(8 * threshold_word_bytes(spec)),
                "write": Out(1),
                "write_neuron": Out(neuron_bits(spec)),
                "write_word": Out(8 * offset_bytes(spec)),
                "own": Out(1),
                "load": Out(1),
                "moved": Out(signed(24)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        width = spec.offset_width + OFFSET_FRACTION
        step = place(m, platform, "step", ThresholdStep, spec=spec)
        came = Signal(spec.input_count_width)
        known = Signal()
        counted = Signal()
        neuron = Signal(neuron_bits(spec))
        offset, excess = Signal(signed(width)), Signal(signed(excess_width(spec)), name="excess")
        whole = Signal(signed(spec.offset_width))
        end = Signal()

        # with the count: what the neuron was to fire
        stored = self.word[:width].as_signed()
        ratio = self.word[8 * offset_bytes(spec) :][: 8 * RATIO_BYTES]
        wanted = (ratio * came) >> (OWN_RATIO_FRACTION - RATIO_FRACTION)
        m.d.sync += [counted.eq(self.read), self.write.eq(counted & ~self.restart)]
        with m.If(self.read):
            m.d.sync += neuron.eq(self.read_neuron)
        with m.If(counted):
            m.d.sync += [
                self.write_neuron.eq(neuron),
                # in the middle of a step: the whole part is rounded to nearest
                offset.eq(Mux(known, stored, 1 << (OFFSET_FRACTION - 1))),
                excess.eq((self.count << RATIO_FRACTION) - wanted),
            ]

        m.d.comb += [
            step.threshold.eq(self.threshold),
            step.rate.eq(self.rate),
            step.excess.eq(excess),
            step.before.eq(offset),
            self.write_word.eq(step.after),
            whole.eq(step.after >> OFFSET_FRACTION),
            self.load.eq(self.write & self.last),
            end.eq(self.write & (self.write_neuron == spec.neurons - 1)),
        ]
        with m.If(self.restart):
            m.d.sync += [came.eq(0), known.eq(0), self.own.eq(0), self.moved.eq(0)]
        with m.Else():
            with m.If(end):
                m.d.sync += [came.eq(0), known.eq(1), self.own.eq(self.own | self.last)]
            with m.Elif(self.driven & (self.row < spec.inputs)):
                m.d.sync += came.eq(came + 1)
            with m.If(self.load):
                m.d.sync += self.moved.eq(Mux(self.write_neuron == 0, 0, self.moved) + whole)
        return m
