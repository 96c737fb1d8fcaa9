"""Stage 8, slot by slot: the dense layer over the activations of a few positions at a time."""

from amaranth.hdl import Cat, Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.hgcal_encoder.serial_neuron import SerialNeuron, serial_format
from hw.hgcal_encoder.serial_window import wide
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["SerialDense"]


class SerialDense(Component):
    """All latents at once, one `SerialNeuron` each.

    Combinational: the sums so far are kept outside.

    Parameters
    ----------
    spec : EncoderSpec

    Members
    -------
    x, triple, pair, offset : In
        Activations of the slot and what neurons share of them.
    slot : In(spec.reuse)
        One-hot.
    weights : In(spec.weight.width) x activations x latents
        Weights[latent][activation], the order of the weight image; two's complement.
    bias : In(spec.weight.width) x latents
        Two's complement.
    partial, next_partial : In, Out(sum_width) x latents
        Inverted sums before and after the slot.
    latents : Out(spec.latent.width) x latents
        Of the sums in `partial`.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec):
        self._spec = spec
        self._format = f = serial_format(spec)
        weight = spec.weight.width
        super().__init__(
            {
                "x": In(f.taps * f.activation_width),
                "triple": In(f.taps * (f.activation_width + 2)),
                **wide(In, pair=f.pairs * (f.activation_width + 1)),
                "offset": In(f.sum_width),
                "slot": In(spec.reuse),
                "weights": In(ArrayLayout(ArrayLayout(weight, spec.activations), spec.latents)),
                "bias": In(ArrayLayout(weight, spec.latents)),
                "partial": In(ArrayLayout(f.sum_width, spec.latents)),
                "next_partial": Out(ArrayLayout(f.sum_width, spec.latents)),
                "latents": Out(ArrayLayout(spec.latent.width, spec.latents)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for latent in range(self._spec.latents):
            neuron = place(m, platform, f"neuron_{latent}", SerialNeuron, spec=self._spec)
            if self._format.pairs:
                m.d.comb += Cat(neuron.pair).eq(self.pair)
            m.d.comb += [
                Cat(neuron.x).eq(self.x),
                Cat(neuron.triple).eq(self.triple),
                neuron.offset.eq(self.offset),
                neuron.slot.eq(self.slot),
                neuron.weight.eq(self.weights[latent]),
                neuron.bias.eq(self.bias[latent]),
                neuron.partial.eq(self.partial[latent]),
                self.next_partial[latent].eq(neuron.next_partial),
                self.latents[latent].eq(neuron.y),
            ]
        return m
