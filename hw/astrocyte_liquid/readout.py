"""Linear readout of a liquid with one multiplier: the score of one output after another, and the largest."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib.wiring import Component, In, Out

from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["Readout", "readout_address_bits"]


def readout_address_bits(spec: AstrocyteSpec) -> int:
    """Bits of the number of a readout weight: output * neurons + neuron."""
    return max(1, (spec.outputs * spec.neurons - 1).bit_length())


class Readout(Component):
    """Weighs the counts of a sample for each output in turn, and finds the class.

    A sample is read once in thousands of clocks: a multiplier for each output would leak meanwhile.

    From the clock after `start` it reads a count and a weight per clock, those of output 0 first; a clock later they
    enter its sum. Two clocks after the last of an output its score leaves, and a clock after the last score
    `class_index` is the output with the largest, the lowest of equals.

    Throughput one sample in ``spec.outputs * spec.neurons + 3`` clocks. Reset: idle, class 0; asynchronous.

    Parameters
    ----------
    spec : AstrocyteSpec

    Members
    -------
    start : In(1)
        Only while idle.
    read : Out(1)
        `neuron` and `address` hold.
    neuron : Out(bits of spec.neurons)
    address : Out(bits of spec.outputs * spec.neurons)
        Readout weight: output * neurons + neuron.
    read_count : In(spec.count_width)
        Of `neuron`, a clock later.
    weight : In(signed(spec.readout_weight_bits))
        Of `address`, a clock later.
    count_valid : Out(1)
        `read_count` comes for the first time: for output 0.
    score_valid : Out(1)
    score : Out(signed(spec.score_width))
        Scores in the order of the outputs; 0 without `score_valid`.
    class_valid : Out(1)
        For one clock, when the class is known and the readout idle again.
    class_index : Out(bits of spec.outputs)
        Stays until the next sample's scores leave.
    """

    clocked = True

    def __init__(self, *, spec: AstrocyteSpec):
        self._spec = spec
        super().__init__(
            {
                "start": In(1),
                "read": Out(1),
                "neuron": Out(max((spec.neurons - 1).bit_length(), 1)),
                "address": Out(readout_address_bits(spec)),
                "read_count": In(spec.count_width),
                "weight": In(signed(spec.readout_weight_bits)),
                "count_valid": Out(1),
                "score_valid": Out(1),
                "score": Out(signed(spec.score_width)),
                "class_valid": Out(1),
                "class_index": Out(spec.class_bits),
            }
        )

    @property
    def latency(self) -> int:
        """Clocks from `start` to `class_valid`."""
        return self._spec.outputs * self._spec.neurons + 3

    def elaborate(self, _platform: object) -> Module:
        spec = self._spec
        m = Module()
        output = Signal(spec.class_bits)
        first = Signal()
        last = Signal()
        reading = Signal()
        sum_ = Signal(signed(spec.score_width), name="sum", reset_less=True)
        best = Signal(signed(spec.score_width), reset_less=True)
        end = self.neuron == spec.neurons - 1
        with m.If(self.start):
            m.d.sync += [self.read.eq(1), self.neuron.eq(0), self.address.eq(0)]
        with m.Elif(self.read):
            m.d.sync += [self.neuron.eq(Mux(end, 0, self.neuron + 1)), self.address.eq(self.address + 1)]
            with m.If(self.address == spec.outputs * spec.neurons - 1):
                m.d.sync += self.read.eq(0)
        m.d.sync += [
            reading.eq(self.read), first.eq(self.read & (self.neuron == 0)), last.eq(self.read & end),
            self.score_valid.eq(last),
        ]  # fmt: skip
        with m.If(reading):
            m.d.sync += sum_.eq(Mux(first, 0, sum_) + self.read_count * self.weight)
        result = self.score_valid & (output == spec.outputs - 1)
        with m.If(self.start):
            m.d.sync += output.eq(0)
        with m.Elif(self.score_valid):
            m.d.sync += output.eq(output + 1)
        with m.If(self.score_valid & ((output == 0) | (sum_ > best))):
            m.d.sync += [best.eq(sum_), self.class_index.eq(output)]
        m.d.sync += self.class_valid.eq(result)
        m.d.comb += [
            self.count_valid.eq(reading & (output == 0) & ~self.score_valid),
            self.score.eq(Mux(self.score_valid, sum_, 0)),
        ]
        return m
