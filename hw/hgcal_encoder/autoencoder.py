"""The autoencoder as one of the algorithms of a concentrator: calibrated charges in, sum code and latents out."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.hgcal_encoder.convolution import Convolution, static_activations
from hw.hgcal_encoder.dense import Dense
from hw.hgcal_encoder.held_register import place_held
from hw.hgcal_encoder.normalise import Normalise
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, EncoderSpec

__all__ = ["Autoencoder"]


class Autoencoder(Component):
    """Normalisation, convolution and dense layer, with a register after each.

    Throughput one crossing per clock, latency 3; no flow control: fixed rate. Reset: zeros, asynchronous.

    Parameters
    ----------
    spec : EncoderSpec
        Network; its multipliers are not reused.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.

    Members
    -------
    charges : In(22) x 48
        Calibrated charges.
    enable : In(1)
        Registers take what comes; else they keep what they have.
    weights : In(spec.weight_bits)
        Weight image. Static.
    sum_code : Out(9)
        5E4M code of the module sum.
    latents : Out(spec.latent.width) x latents
    """

    latency = 3

    def __init__(self, *, spec: EncoderSpec, register: Callable[..., Component] = PipelineRegister) -> None:
        self._spec, self._register = spec, register
        super().__init__({
            "charges": In(ArrayLayout(CHARGE_WIDTH, CELLS)), "enable": In(1), "weights": In(spec.weight_bits),
            "sum_code": Out(9), "latents": Out(ArrayLayout(spec.latent.width, spec.latents)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, weight = self._spec, self._spec.weight.width
        cuts = [spec.kernel_taps * spec.filters * weight]
        cuts += [cuts[0] + spec.filters * weight]
        cuts += [cuts[1] + spec.activations * spec.latents * weight]

        def kept(name: str, *values: object) -> object:
            return place_held(m, platform, name, Cat(*values), self.enable, register=self._register)

        normalise = place(m, platform, "normalise", Normalise, spec=spec)
        m.d.comb += normalise.charges.eq(self.charges)
        pixels = kept("normalise", normalise.pixels, normalise.sum_code)

        convolution = place(m, platform, "convolution", Convolution, spec=spec)
        m.d.comb += [
            convolution.pixels.eq(pixels[:-9]),
            convolution.kernel.eq(self.weights[: cuts[0]]),
            convolution.bias.eq(self.weights[cuts[0] : cuts[1]]),
        ]
        # activations that depend on no pixel are static: they need no register
        static = static_activations(spec)
        moving = [index for index in range(spec.activations) if index not in static]
        moved = kept("convolution", *(convolution.activations[index] for index in moving), pixels[-9:])
        passed = {index: convolution.activations[index] for index in static}
        passed |= {index: moved.word_select(i, spec.activation.width) for i, index in enumerate(moving)}

        dense = place(m, platform, "dense", Dense, spec=spec)
        m.d.comb += [
            dense.activations.eq(Cat(passed[index] for index in range(spec.activations))),
            dense.weights.eq(self.weights[cuts[1] : cuts[2]]),
            dense.bias.eq(self.weights[cuts[2] :]),
        ]
        m.d.comb += Cat(self.latents, self.sum_code).eq(kept("dense", dense.latents, moved[-9:]))
        return m
