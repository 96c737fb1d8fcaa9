"""Linear readout of a liquid: a multiplier for each output, the counts one after another, and the largest score."""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.one_hot import one_of
from sim.readout_spec import ReadoutSpec

__all__ = ["Readout", "ReadoutLane"]


class ReadoutLane(Component):
    """Multiplier and accumulator of one output; with weights of 1 bit an adder that subtracts where the bit is 1.

    Throughput one count per clock; `score` shows it one clock later. Reset: score 0, asynchronous.

    Parameters
    ----------
    spec : ReadoutSpec

    Members
    -------
    load : In(1)
        The score becomes the bias.
    add : In(1)
        The score grows by count * weight.
    bias : In(signed(spec.bias_width))
    count : In(spec.count_width)
    weight : In(signed(spec.readout_weight_bits))
    score : Out(signed(spec.score_width))
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: ReadoutSpec):
        self._spec = spec
        super().__init__(
            {
                "load": In(1),
                "add": In(1),
                "bias": In(signed(spec.bias_width)),
                "count": In(spec.count_width),
                "weight": In(signed(spec.readout_weight_bits)),
                "score": Out(signed(spec.score_width)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        if self._spec.readout_weight_bits == 1:
            # -count is ~count + 1: the turned bits and the carry into the one adder
            negative = self.weight[0]
            turned = Cat(self.count, C(0, 1)).as_signed() ^ negative.replicate(len(self.count) + 1).as_signed()
            grown = self.score + turned + negative
        else:
            grown = self.score + self.count * self.weight
        with m.If(self.load):
            m.d.sync += self.score.eq(self.bias)
        with m.Elif(self.add):
            m.d.sync += self.score.eq(grown)
        return m


class Readout(Component):
    """Reads the counts at the end of each window, weighs them, and finds the class at the end of the sample.

    From the clock after `start` it reads one count and one word of weights per clock; one clock later the count leaves
    at `count` and enters the sums. Scores begin with the bias in the first window and go on in the others, so that
    counters serve one window after another. After the last window the scores leave one per clock, output 0 first, and
    in the clock after the last one `class_index` is the output with the largest score, the lowest of equals.

    Throughput one window in ``spec.neurons + 2`` clocks; the last one takes `latency`. Reset: idle, class 0;
    asynchronous.

    Parameters
    ----------
    spec : ReadoutSpec

    Members
    -------
    start : In(1)
        Only while idle.
    first : In(1)
        First window of a sample; with `start`.
    last : In(1)
        Last window of a sample; until `done`.
    bias : In(signed(spec.bias_width)) x spec.outputs
    read : Out(1)
        `read_neuron` and `read_address` hold.
    read_neuron : Out(bits of spec.neurons)
    read_count : In(spec.count_width)
        Its count, in the same clock.
    read_address : Out(bits of spec.features)
        Word of weights: window * neurons + neuron.
    weights : In(spec.outputs * spec.readout_weight_bits)
        The word, one clock after its address.
    count_valid : Out(1)
    count : Out(spec.count_width)
        Counts in the order of the features.
    score_valid : Out(1)
    score : Out(signed(spec.score_width))
        Scores in the order of the outputs; 0 without `score_valid`.
    class_valid : Out(1)
        For one clock, when the class is known.
    class_index : Out(bits of spec.outputs)
        Stays until the next sample's scores leave.
    done : Out(1)
        For one clock, when the readout is idle again.
    """

    clocked = True

    def __init__(self, *, spec: ReadoutSpec):
        self._spec = spec
        super().__init__(
            {
                "start": In(1),
                "first": In(1),
                "last": In(1),
                "bias": In(ArrayLayout(signed(spec.bias_width), spec.outputs)),
                "read": Out(1),
                "read_neuron": Out(max((spec.neurons - 1).bit_length(), 1)),
                "read_count": In(spec.count_width),
                "read_address": Out(max((spec.features - 1).bit_length(), 1)),
                "weights": In(spec.outputs * spec.readout_weight_bits),
                "count_valid": Out(1),
                "count": Out(spec.count_width),
                "score_valid": Out(1),
                "score": Out(signed(spec.score_width)),
                "class_valid": Out(1),
                "class_index": Out(spec.class_bits),
                "done": Out(1),
            }
        )

    @property
    def latency(self) -> int:
        """Clocks from `start` to `class_valid`."""
        return self._spec.neurons + self._spec.outputs + 2

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        output = Signal(spec.class_bits)
        telling = Signal()
        scores = []
        for number in range(spec.outputs):
            lane = place(m, platform, f"lane_{number}", ReadoutLane, spec=spec)
            m.d.comb += [
                lane.load.eq(self.start & self.first),
                lane.add.eq(self.count_valid),
                lane.bias.eq(self.bias[number]),
                lane.count.eq(self.count),
                lane.weight.eq(self.weights.word_select(number, spec.readout_weight_bits)),
            ]
            scores.append(lane.score)
        end = self.read_neuron == spec.neurons - 1
        draining = Signal()
        with m.If(self.start):
            m.d.sync += [self.read.eq(1), self.read_neuron.eq(0)]
            with m.If(self.first):
                m.d.sync += self.read_address.eq(0)
        with m.Elif(self.read):
            # the address goes on over the windows of a sample
            m.d.sync += [self.read_neuron.eq(self.read_neuron + 1), self.read_address.eq(self.read_address + 1)]
            with m.If(end):
                m.d.sync += self.read.eq(0)
        m.d.sync += [self.count_valid.eq(self.read), draining.eq(self.read & end)]
        with m.If(self.read):
            m.d.sync += self.count.eq(self.read_count)

        best = Signal(signed(spec.score_width))
        hits = Signal(spec.outputs)
        m.d.comb += [
            hits.eq(telling << output),
            self.score_valid.eq(telling),
            self.score.eq(one_of(scores, hits)),
        ]
        result = telling & (output == spec.outputs - 1)
        with m.If(draining & self.last):
            m.d.sync += [telling.eq(1), output.eq(0)]
        with m.Elif(telling):
            m.d.sync += output.eq(Mux(output == spec.outputs - 1, 0, output + 1))
            with m.If(output == spec.outputs - 1):
                m.d.sync += telling.eq(0)
            with m.If((output == 0) | (self.score > best)):
                m.d.sync += [best.eq(self.score), self.class_index.eq(output)]
        m.d.sync += [self.class_valid.eq(result), self.done.eq(result | (draining & ~self.last))]
        return m
