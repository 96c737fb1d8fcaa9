"""One neuron of either layer: truncated dot product, ReLU, requantisation."""

from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import DotProduct, DotProductFormat, WeightRecoder
from hw.common.requantise import rectify
from sim.fixed_point import FixedPoint

__all__ = ["Neuron"]


class Neuron(Component):
    """``max(sum(round(x[i] * w[i] / 2**shift)) + (bias << bias_shift), 0)``, stored in the format of the output.

    What neurons share of their inputs (multiples, offset) comes from outside, and so does the recoding of weights that
    neurons share; see `hw.common.dot_product`. Combinational.

    Parameters
    ----------
    dot_format : DotProductFormat
        Dot product.
    fraction : int
        Fraction bits of its sum.
    output : FixedPoint
        Unsigned format of the result.
    own_weights : bool
        The weights belong to this neuron alone: it recodes them itself.
    group : int
        Taps that are added up in a module of their own, as of `hw.common.dot_product.DotProduct`.

    Members
    -------
    x : In(activation_width) x taps
        Activations.
    triple : In(activation_width + 2) x taps
        Three times the activations.
    pair : In(activation_width + 1) x pairs
        Sums of neighbouring activations; only where rows use them (``pairs > 0``).
    weight : In(weight_width) x taps
        Two's complement; with `own_weights` only.
    select : In(3) x rows
        Recoded weights; without `own_weights` only.
    bias : In(bias_width)
        Two's complement.
    offset : In(sum_width)
        From `ActivationOffset`.
    y : Out(output.width)
        Result.
    """

    latency = 0

    def __init__(
        self,
        *,
        dot_format: DotProductFormat,
        fraction: int,
        output: FixedPoint,
        own_weights: bool = False,
        group: int = 0,
    ):
        self._format = dot_format
        self._fraction = fraction
        self._output = output
        self._own_weights = own_weights
        self._group = group
        # a port of width 0 is no legal Verilog
        pairs = {"pair": In(ArrayLayout(dot_format.activation_width + 1, dot_format.pairs))} if dot_format.pairs else {}
        weights = (
            {"weight": In(ArrayLayout(dot_format.weight_width, dot_format.taps))}
            if own_weights
            else {"select": In(ArrayLayout(3, len(dot_format.rows)))}
        )
        super().__init__(
            {
                "x": In(ArrayLayout(dot_format.activation_width, dot_format.taps)),
                "triple": In(ArrayLayout(dot_format.activation_width + 2, dot_format.taps)),
                **pairs,
                **weights,
                "bias": In(dot_format.bias_width),
                "offset": In(dot_format.sum_width),
                "y": Out(output.width),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.dot_product = dot = DotProduct(dot_format=self._format, group=self._group)
        for name in ("x", "triple", *(["pair"] if self._format.pairs else [])):
            m.d.comb += [port.eq(getattr(self, name)[i]) for i, port in enumerate(getattr(dot, name))]
        if self._own_weights:
            m.submodules.recoder = recoder = WeightRecoder(dot_format=self._format)
            m.d.comb += [port.eq(self.weight[i]) for i, port in enumerate(recoder.weight)]
            m.d.comb += [port.eq(select) for port, select in zip(dot.select, recoder.select, strict=True)]
        else:
            m.d.comb += [port.eq(self.select[i]) for i, port in enumerate(dot.select)]
        m.d.comb += [
            dot.bias.eq(self.bias),
            dot.offset.eq(self.offset),
            self.y.eq(rectify(m, dot.sum, self._fraction, self._output)),
        ]
        return m
