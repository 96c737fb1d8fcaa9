"""One neuron with all that neurons share: for simulation and proofs of a dot product on its own."""

from amaranth.hdl import Cat, Const, Module, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import (
    ActivationMultiples,
    ActivationOffset,
    DotProduct,
    DotProductFormat,
    WeightRecoder,
)


class WholeDotProduct(Component):
    """A dot product with everything that neurons share, from activations, weights and bias to the sum."""

    def __init__(self, *, dot_format: DotProductFormat, group: int = 0):
        self._format = dot_format
        self._group = group
        super().__init__({
            "x": In(ArrayLayout(dot_format.activation_shape, dot_format.taps)),
            "weight": In(ArrayLayout(dot_format.weight_width, dot_format.taps)),
            "bias": In(dot_format.bias_width),
            "sum": Out(signed(dot_format.sum_width)),
        })  # fmt: skip

    def elaborate(self, _platform):
        f = self._format
        m = Module()
        m.submodules.multiples = multiples = ActivationMultiples(
            count=f.taps, width=f.activation_width, pairs=f.pairs, twos_complement=f.signed
        )
        m.submodules.offset = offset = ActivationOffset(dot_format=f)
        m.submodules.recoder = recoder = WeightRecoder(dot_format=f)
        m.submodules.dot = dot = DotProduct(dot_format=f, group=self._group)
        for i in range(f.taps):
            m.d.comb += [part.x[i].eq(self.x[i]) for part in (multiples, offset, dot)]
            m.d.comb += [dot.triple[i].eq(multiples.triple[i]), recoder.weight[i].eq(self.weight[i])]
        for i in range(f.pairs):
            m.d.comb += [part.pair[i].eq(multiples.pair[i]) for part in (offset, dot)]
        m.d.comb += [port.eq(select) for port, select in zip(dot.select, recoder.select, strict=True)]
        if f.accumulated:
            # the first of several partial sums: it starts from the bias, inverted
            aligned = Cat(Const(0, f.bias_shift), self.bias)
            m.d.comb += dot.partial.eq(~Cat(aligned, self.bias[-1].replicate(f.sum_width - len(aligned))))
        else:
            m.d.comb += dot.bias.eq(self.bias)
        m.d.comb += [dot.offset.eq(offset.offset), self.sum.eq(dot.sum)]
        return m
