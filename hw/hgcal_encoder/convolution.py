"""Stage 7: convolution. Every product is rounded on its own, then summed, biased, rectified."""

from functools import cache

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import ActivationMultiples, ActivationOffset, DotProductFormat, WeightRecoder
from hw.common.hierarchy import place
from hw.common.isolation_latch import isolated
from hw.common.requantise import rectify
from hw.hgcal_encoder.neuron import Neuron
from sim.hgcal_encoder.spec import CELLS, EncoderSpec

__all__ = ["Convolution", "conv_format", "static_activations"]


@cache
def conv_format(spec: EncoderSpec, taps: int) -> DotProductFormat:
    """Dot product of a convolution neuron with that many taps."""
    return DotProductFormat.of_layer(
        taps=taps, activation=spec.pixel, weight=spec.weight,
        product_fraction=spec.conv_product_fraction, rounding=spec.conv_product_rounding, width=spec.conv_sum_width,
    )  # fmt: skip


def static_activations(spec: EncoderSpec) -> frozenset[int]:
    """Indices of activations that depend on no pixel: positions that see nothing but padding."""
    return frozenset(
        position * spec.filters + filter_
        for position, taps in enumerate(spec.taps)
        if not taps
        for filter_ in range(spec.filters)
    )


class Convolution(Component):
    """All positions and filters at once, one neuron each.

    A neuron has only the taps that can be non-zero (`EncoderSpec.taps`): padding costs nothing, and a position that
    sees nothing but padding is ReLU of the bias. Three times a pixel is formed once per trigger cell, the recoding of a
    weight once for all positions that use the same taps, offset and pair sums once per position for all filters.

    The sum has ``spec.conv_product_fraction`` fraction bits and is exact, or wraps to ``spec.conv_sum_width`` bits;
    ReLU and ``spec.activation`` follow.

    Combinational, one crossing per clock; no flow control: fixed rate.

    Parameters
    ----------
    spec : EncoderSpec
    isolated : bool
        Latches stand in front of the neurons: pixels, their multiples, pair sums and offsets reach them together, when
        the clock falls (`hw.common.isolation_latch.IsolationLatch`).

    Members
    -------
    pixels : In(spec.pixel.width) x 48
        Normalised charges by trigger cell; the grid is wiring.
    kernel : In(spec.weight.width) x filters x taps
        Kernel[tap][filter], two's complement; tap = (row * kernel columns + column) * channels + channel.
    bias : In(spec.weight.width) x filters
        Two's complement.
    activations : Out(spec.activation.width) x activations
        Index = (row * columns + column) * filters + filter.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec, isolated: bool = False):
        self._spec = spec
        self._isolated = self.clocked = isolated
        weight = spec.weight.width
        super().__init__(
            {
                "pixels": In(ArrayLayout(spec.pixel.width, CELLS)),
                "kernel": In(ArrayLayout(ArrayLayout(weight, spec.filters), spec.kernel_taps)),
                "bias": In(ArrayLayout(weight, spec.filters)),
                "activations": Out(ArrayLayout(spec.activation.width, spec.activations)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()

        def still(name: str, value: Value) -> Value:
            return isolated(m, platform, name, value) if self._isolated else value

        seen = sorted({cell for taps in spec.taps for cell, _ in taps})
        pixels, triples = {}, {}
        if seen:
            triple = place(m, platform, "triples", ActivationMultiples, count=len(seen), width=spec.pixel.width)
            for i, cell in enumerate(seen):
                m.d.comb += triple.x[i].eq(self.pixels[cell])
                pixels[cell] = still(f"pixel_{cell}", self.pixels[cell])
                triples[cell] = still(f"triple_{cell}", triple.triple[i])

        recoded = {}
        for index, taps in enumerate(dict.fromkeys(tuple(tap for _, tap in taps) for taps in spec.taps if taps)):
            for filter_ in range(spec.filters):
                recoder = place(
                    m,
                    platform,
                    f"recoder_{index}_{filter_}",
                    WeightRecoder,
                    label=f"{len(taps)}_taps",
                    dot_format=conv_format(spec, len(taps)),
                )
                m.d.comb += [recoder.weight[i].eq(self.kernel[tap][filter_]) for i, tap in enumerate(taps)]
                recoded[taps, filter_] = Cat(recoder.select)

        for position, taps in enumerate(spec.taps):
            outputs = [self.activations[position * spec.filters + filter_] for filter_ in range(spec.filters)]
            if not taps:
                # equal at all such positions, and merged by synthesis. One signal for all would be written as an alias
                # within the output vector, which simulators take for a combinational loop.
                for output, bias in zip(outputs, self.bias, strict=True):
                    aligned = Cat(Const(0, spec.conv_product_fraction - spec.weight.fraction), bias).as_signed()
                    m.d.comb += output.eq(rectify(m, aligned, spec.conv_product_fraction, spec.activation))
                continue
            cells = [cell for cell, _ in taps]
            dot_format = conv_format(spec, len(taps))
            pairs = [self.pixels[cells[2 * i]] + self.pixels[cells[2 * i + 1]] for i in range(dot_format.pairs)]
            offset = place(
                m, platform, f"offset_{position}", ActivationOffset, label=f"{len(taps)}_taps", dot_format=dot_format
            )
            m.d.comb += [port.eq(self.pixels[cell]) for port, cell in zip(offset.x, cells, strict=True)]
            m.d.comb += [port.eq(pair) for port, pair in zip(offset.pair, pairs, strict=True)]
            still_pairs = [still(f"pair_{position}_{i}", pair) for i, pair in enumerate(pairs)]
            still_offset = still(f"offset_{position}", offset.offset)
            for filter_ in range(spec.filters):
                neuron = place(
                    m,
                    platform,
                    f"neuron_{position}_{filter_}",
                    Neuron,
                    label=f"{len(taps)}_taps",
                    dot_format=dot_format,
                    fraction=spec.conv_product_fraction,
                    output=spec.activation,
                )
                if pairs:
                    m.d.comb += neuron.pair.eq(Cat(still_pairs))
                m.d.comb += [
                    neuron.x.eq(Cat(pixels[cell] for cell in cells)),
                    neuron.triple.eq(Cat(triples[cell] for cell in cells)),
                    neuron.select.eq(recoded[tuple(tap for _, tap in taps), filter_]),
                    neuron.bias.eq(self.bias[filter_]),
                    neuron.offset.eq(still_offset),
                    outputs[filter_].eq(neuron.y),
                ]
        return m
