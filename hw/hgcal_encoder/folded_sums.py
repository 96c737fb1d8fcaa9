"""What positions that see nothing but padding add to the latents: formed once in a walk of the store, not in slots."""

from collections.abc import Callable
from functools import partial

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import ActivationMultiples, ActivationOffset, DotProduct, DotProductFormat, WeightRecoder
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import stored, watched
from hw.common.requantise import rectify
from hw.hgcal_encoder.coded_words import WordMap
from hw.hgcal_encoder.serial_neuron import serial_format
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["FoldedSums"]


class FoldedSums(Component):
    """Bias and products of positions that see nothing but padding, for each latent: the same in every crossing.

    Their activations are ReLU of the convolution's bias. Their weights lie in code words of their own, which the walk
    of the store reaches one after the other, corrected. Each is multiplied in the clock in which it is reached, and the
    sum of a latent is kept when its last word has been: with other weights or biases every sum is right after the next
    whole walk. So multipliers, selection and correction of a quarter of ECON-T's dense layer are there once, for 16
    products in a clock of the crossing, and rest in clocks that reach other words.

    Reset: sums 0, those of weights and biases after reset.

    Parameters
    ----------
    spec : EncoderSpec
        With a `reuse` above 1.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.

    Members
    -------
    word : In
        Number of the word that is reached.
    data : In(WordMap.dense.code.width)
        Its data bits.
    kernel_bias : In(spec.weight.width) x filters
        Two's complement.
    bias : In(spec.weight.width) x latents
        Two's complement.
    sums : Out(signed) x latents
        What the sums of `SerialNeuron` begin with.
    error : Out(1)
        If `register` has one.
    """

    clocked = True

    def __init__(self, *, spec: EncoderSpec, register: Callable[..., Component] = PipelineRegister):
        self._spec, self._register = spec, register
        self._words = words = WordMap(spec=spec)
        self._watched = watched(register)
        weight = spec.weight.width
        super().__init__({
            "word": In(len(words.words).bit_length()), "data": In(words.dense.code.width),
            "kernel_bias": In(ArrayLayout(weight, spec.filters)), "bias": In(ArrayLayout(weight, spec.latents)),
            "sums": Out(ArrayLayout(signed(serial_format(spec, coded=True).sum_width), spec.latents)),
            **({"error": Out(1)} if self._watched else {}),
        })  # fmt: skip

    @property
    def dot_format(self) -> DotProductFormat:
        """Dot product over the weights of a word."""
        spec, dense = self._spec, self._words.dense
        taps = dense.pieces * spec.filters
        return DotProductFormat.of_layer(
            taps=taps, activation=spec.activation, weight=spec.weight, product_fraction=spec.dense_product_fraction,
            rounding=spec.dense_product_rounding, width=spec.dense_sum_width,
            accumulated=max(taps, len(dense.folded) * taps),
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        spec, dense, f = self._spec, self._words.dense, self.dot_format
        m = Module()
        aligned = [Cat(Const(0, f.bias_shift), bias).as_signed() for bias in self.bias]
        if not dense.folded:
            m.d.comb += [total.eq(bias) for total, bias in zip(self.sums, aligned, strict=True)]
            return m
        each = len(dense.folded)
        hit = [
            Cat(self.word == self._words.first_folded + latent * each + number for number in range(each))
            for latent in range(spec.latents)
        ]
        first = Signal()
        last = Signal()
        reached = Signal(spec.latents)
        m.d.comb += [
            reached.eq(Cat(bits.any() for bits in hit)),
            first.eq(Cat(bits[0] for bits in hit).any()),
            last.eq(Cat(bits[-1] for bits in hit).any()),
        ]

        activations = Signal(ArrayLayout(spec.activation.width, spec.filters))
        for activation, bias in zip(activations, self.kernel_bias, strict=True):
            exact = Cat(Const(0, spec.conv_product_fraction - spec.weight.fraction), bias).as_signed()
            m.d.comb += activation.eq(rectify(m, exact, spec.conv_product_fraction, spec.activation))
        multiples = place(
            m, platform, "multiples", ActivationMultiples, count=f.taps, width=f.activation_width, pairs=f.pairs
        )
        offset = place(m, platform, "offset", ActivationOffset, label="folded", dot_format=f)
        recoder = place(m, platform, "recoder", WeightRecoder, label="folded", dot_format=f)
        dot = place(m, platform, "dot_product", DotProduct, label="folded", dot_format=f)
        x = [activations[tap % spec.filters] for tap in range(f.taps)]
        for tap, activation in enumerate(x):
            piece, filter_ = divmod(tap, spec.filters)
            start = piece * dense.piece_bits + filter_ * spec.weight.width
            weight = self.data[start : start + spec.weight.width] & reached.any().replicate(spec.weight.width)
            m.d.comb += [
                multiples.x[tap].eq(activation),
                offset.x[tap].eq(activation),
                dot.x[tap].eq(activation),
                recoder.weight[tap].eq(weight),
            ]
        errors: list[Value] = []
        keep = partial(stored, m, platform, register=self._register, errors=errors)
        total = Signal(f.sum_width)
        running = keep("running", total, reached.any())
        begin = Signal(signed(f.sum_width))
        bias = Cat((Cat(value[bit] for value in aligned) & reached).any() for bit in range(len(aligned[0])))
        m.d.comb += [
            Cat(dot.triple).eq(Cat(multiples.triple)),
            Cat(dot.pair).eq(Cat(multiples.pair)),
            Cat(offset.pair).eq(Cat(multiples.pair)),
            Cat(dot.select).eq(Cat(recoder.select)),
            dot.offset.eq(offset.offset),
            begin.eq(bias.as_signed()),
            dot.partial.eq(~Mux(first, begin, running)),
            total.eq(dot.sum),
        ]
        for latent, here in enumerate(reached):
            m.d.comb += self.sums[latent].eq(keep(f"sum_{latent}", total, last & here).as_signed())
        if self._watched:
            m.d.comb += self.error.eq(Cat(errors).any())
        return m
