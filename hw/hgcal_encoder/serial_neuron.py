"""A neuron of the dense layer that takes its products a few at a time."""

from functools import cache

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.requantise import rectify
from hw.hgcal_encoder.dot_product import DotProduct, DotProductFormat, WeightRecoder
from hw.hgcal_encoder.schedule import Schedule
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["SerialNeuron", "serial_format"]


@cache
def serial_format(spec: EncoderSpec) -> DotProductFormat:
    """Dot product of a dense neuron over the activations of one slot."""
    return DotProductFormat(
        taps=Schedule(spec=spec).parallel,
        activation_width=spec.activation.width,
        weight_width=spec.weight.width,
        shift=spec.activation.fraction + spec.weight.fraction - spec.dense_product_fraction,
        bias_width=spec.weight.width,
        bias_shift=spec.dense_product_fraction - spec.weight.fraction,
        rounding=spec.dense_product_rounding,
        accumulated=max(spec.activations, Schedule(spec=spec).parallel),
    )


class SerialNeuron(Component):
    """The weights of a slot times its activations, added to what earlier slots gave; ReLU of the sum so far.

    A weight reaches its multiplier through one AND-OR over the slots; where a slot has no activation, the weight is 0.
    The sum is kept inverted (see `hw.hgcal_encoder.dot_product`): -1 less the sum. Combinational.

    Parameters
    ----------
    spec : EncoderSpec

    Members
    -------
    x, triple, pair, offset : In
        The activations of the slot and what neurons share of them, as in `Neuron`.
    slot : In(spec.reuse)
        One-hot.
    weight : In(spec.weight.width) x activations
        Two's complement, by number of the activation.
    bias : In(spec.weight.width)
        Two's complement.
    partial : In(sum_width)
        Inverted sum of the slots before; without effect in slot 0.
    next_partial : Out(sum_width)
        Inverted sum with this slot's products.
    y : Out(spec.latent.width)
        ReLU of the sum in `partial`, stored in the format of the latents.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec):
        self._spec = spec
        self._format = f = serial_format(spec)
        pairs = {"pair": In(ArrayLayout(f.activation_width + 1, f.pairs))} if f.pairs else {}
        super().__init__(
            {
                "x": In(ArrayLayout(f.activation_width, f.taps)),
                "triple": In(ArrayLayout(f.activation_width + 2, f.taps)),
                **pairs,
                "offset": In(f.sum_width),
                "slot": In(spec.reuse),
                "weight": In(ArrayLayout(f.weight_width, spec.activations)),
                "bias": In(f.bias_width),
                "partial": In(f.sum_width),
                "next_partial": Out(f.sum_width),
                "y": Out(spec.latent.width),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        spec, f = self._spec, self._format
        schedule = Schedule(spec=spec)
        m = Module()
        m.submodules.dot_product = dot = DotProduct(dot_format=f)
        m.submodules.recoder = recoder = WeightRecoder(dot_format=f)
        for tap in range(f.taps):
            weight: Value = Const(0, f.weight_width)
            for slot in range(spec.reuse):
                activation = schedule.activation(slot, tap)
                if activation is not None:
                    weight = weight | (self.weight[activation] & self.slot[slot].replicate(f.weight_width))
            m.d.comb += recoder.weight[tap].eq(weight)
        for name in ("x", "triple", *(["pair"] if f.pairs else [])):
            m.d.comb += [port.eq(getattr(self, name)[i]) for i, port in enumerate(getattr(dot, name))]
        bias = Cat(Const(0, f.bias_shift), self.bias)
        start = ~Cat(bias, self.bias[-1].replicate(f.sum_width - len(bias)))
        m.d.comb += [
            *(port.eq(select) for port, select in zip(dot.select, recoder.select, strict=True)),
            dot.offset.eq(self.offset),
            dot.partial.eq(Mux(self.slot[0], start, self.partial)),
            self.next_partial.eq(~dot.sum),
            self.y.eq(rectify(m, (~self.partial).as_signed(), spec.dense_product_fraction, spec.latent)),
        ]
        return m
