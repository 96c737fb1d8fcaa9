"""Stage 8, slot by slot: the dense layer over the activations of a few positions at a time."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import watched
from hw.hgcal_encoder.coded_words import DenseWords
from hw.hgcal_encoder.serial_neuron import SerialNeuron, serial_format
from hw.hgcal_encoder.serial_window import wide
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["SerialDense"]


class SerialDense(Component):
    """All latents at once, one `SerialNeuron` each.

    Parameters
    ----------
    spec : EncoderSpec
    ahead, register, coded, group
        As `SerialNeuron` takes them.

    Members
    -------
    x, triple, pair, offset : In
        Activations of the slot and what neurons share of them.
    slot : In(spec.reuse)
        One-hot, one clock `ahead` of the activations or with them.
    first : In(1)
        With the first slot of a crossing, whichever that is.
    weights : In(spec.weight.width) x activations x latents
        Weights[latent][activation], the order of the weight image; two's complement. (Not if `coded`.)
    words : In
        Only if `coded`: code words of the first latent, then of the next.
    bias : In(spec.weight.width) x latents
        Two's complement. (Not if `coded`.)
    begin : In(signed) x latents
        Only if `coded`: what each sum begins with, as `SerialNeuron` takes it.
    latents : Out(spec.latent.width) x latents
    error : Out(1)
        If `register` has one.
    """

    clocked = True

    def __init__(
        self,
        *,
        spec: EncoderSpec,
        ahead: bool,
        register: Callable[..., Component] = PipelineRegister,
        coded: bool = False,
        group: int = 0,
    ):
        self._spec = spec
        self._coded = coded
        self._ahead = ahead
        self._group = group
        self._register = register
        self._watched = watched(register)
        self._format = f = serial_format(spec, coded=coded)
        weight = spec.weight.width
        super().__init__(
            {
                "x": In(f.taps * f.activation_width),
                "triple": In(f.taps * (f.activation_width + 2)),
                **wide(In, pair=f.pairs * (f.activation_width + 1)),
                "offset": In(f.sum_width),
                "slot": In(spec.reuse),
                "first": In(1),
                **(
                    {"words": In(DenseWords(spec=spec).raw_bits * spec.latents)}
                    if coded
                    else {"weights": In(ArrayLayout(ArrayLayout(weight, spec.activations), spec.latents))}
                ),
                **(
                    {"begin": In(ArrayLayout(signed(f.sum_width), spec.latents))}
                    if coded
                    else {"bias": In(ArrayLayout(weight, spec.latents))}
                ),
                "latents": Out(ArrayLayout(spec.latent.width, spec.latents)),
                **({"error": Out(1)} if self._watched else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        errors = []
        for latent in range(self._spec.latents):
            neuron = place(
                m, platform, f"neuron_{latent}", SerialNeuron, spec=self._spec, ahead=self._ahead,
                register=self._register, coded=self._coded, group=self._group,
            )  # fmt: skip
            if self._watched:
                errors.append(neuron.error)
            if self._format.pairs:
                m.d.comb += Cat(neuron.pair).eq(self.pair)
            m.d.comb += [
                Cat(neuron.x).eq(self.x),
                Cat(neuron.triple).eq(self.triple),
                neuron.offset.eq(self.offset),
                neuron.slot.eq(self.slot),
                neuron.first.eq(self.first),
                neuron.words.eq(self.words.word_select(latent, len(neuron.words)))
                if self._coded
                else neuron.weight.eq(self.weights[latent]),
                neuron.begin.eq(self.begin[latent]) if self._coded else neuron.bias.eq(self.bias[latent]),
                self.latents[latent].eq(neuron.y),
            ]
        if self._watched:
            m.d.comb += self.error.eq(Cat(errors).any())
        return m
