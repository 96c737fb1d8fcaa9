"""Stage 8: dense layer to the latents. Every product is rounded on its own, then summed, biased, rectified."""

from amaranth.hdl import Cat, Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import ActivationMultiples, ActivationOffset, DotProductFormat
from hw.common.hierarchy import place
from hw.common.isolation_latch import isolated
from hw.hgcal_encoder.convolution import static_activations
from hw.hgcal_encoder.neuron import Neuron
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["TOGETHER", "Dense", "dense_format"]


TOGETHER = 8
"""Taps whose products are added up in one place where activations are held back: the wires to all neurons, which are
what moves there, stay short."""


def dense_format(spec: EncoderSpec) -> DotProductFormat:
    """Dot product of a dense neuron."""
    return DotProductFormat.of_layer(
        taps=spec.activations, activation=spec.activation, weight=spec.weight,
        product_fraction=spec.dense_product_fraction, rounding=spec.dense_product_rounding, width=spec.dense_sum_width,
    )  # fmt: skip


class Dense(Component):
    """All latents at once, one neuron each.

    Multiples of the activations, their pair sums and the offset are formed once for all neurons. The sum has
    ``spec.dense_product_fraction`` fraction bits and is exact, or wraps to ``spec.dense_sum_width`` bits; ReLU and
    ``spec.latent`` follow.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Parameters
    ----------
    spec : EncoderSpec
    isolated : bool
        Latches stand in front of the neurons, as in `hw.hgcal_encoder.convolution.Convolution`.

    Members
    -------
    activations : In(spec.activation.width) x activations
        Outputs of the convolution.
    weights : In(spec.weight.width) x activations x latents
        Weights[latent][activation], the order of the weight image; two's complement.
    bias : In(spec.weight.width) x latents
        Two's complement.
    latents : Out(spec.latent.width) x latents
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec, isolated: bool = False):
        self._spec = spec
        self._isolated = self.clocked = isolated
        weight = spec.weight.width
        super().__init__(
            {
                "activations": In(ArrayLayout(spec.activation.width, spec.activations)),
                "weights": In(ArrayLayout(ArrayLayout(weight, spec.activations), spec.latents)),
                "bias": In(ArrayLayout(weight, spec.latents)),
                "latents": Out(ArrayLayout(spec.latent.width, spec.latents)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()
        dot_format = dense_format(spec)
        multiples = place(
            m,
            platform,
            "multiples",
            ActivationMultiples,
            count=spec.activations,
            width=spec.activation.width,
            pairs=dot_format.pairs,
        )
        offset = place(m, platform, "offset", ActivationOffset, label="dense", dot_format=dot_format)
        m.d.comb += [
            Cat(multiples.x).eq(self.activations),
            Cat(offset.x).eq(self.activations),
            Cat(offset.pair).eq(Cat(multiples.pair)),
        ]

        def still(name: str, value: Value) -> Value:
            return isolated(m, platform, name, value) if self._isolated else value

        # static activations never move
        moving = [index for index in range(spec.activations) if index not in static_activations(spec)]
        x, triple = ([port[i] for i in range(spec.activations)] for port in (self.activations, multiples.triple))
        for index in moving:
            x[index] = still(f"activation_{index}", x[index])
            triple[index] = still(f"triple_{index}", triple[index])
        pair = [still(f"pair_{i}", value) for i, value in enumerate(multiples.pair)]
        shared_offset = still("offset", offset.offset)
        together = {"group": TOGETHER} if self._isolated else {}
        for latent in range(spec.latents):
            neuron = place(
                m,
                platform,
                f"neuron_{latent}",
                Neuron,
                label="dense",
                dot_format=dot_format,
                fraction=spec.dense_product_fraction,
                output=spec.latent,
                own_weights=True,
                **together,
            )
            if dot_format.pairs:
                m.d.comb += neuron.pair.eq(Cat(pair))
            m.d.comb += [
                neuron.weight.eq(self.weights[latent]),
                neuron.x.eq(Cat(x)),
                neuron.triple.eq(Cat(triple)),
                neuron.bias.eq(self.bias[latent]),
                neuron.offset.eq(shared_offset),
                self.latents[latent].eq(neuron.y),
            ]
        return m
