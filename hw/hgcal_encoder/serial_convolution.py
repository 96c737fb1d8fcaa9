"""Stage 7, slot by slot: the convolution of a few positions at a time."""

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import ActivationOffset, WeightRecoder
from hw.common.hierarchy import place
from hw.common.isolation_latch import isolated
from hw.common.requantise import rectify
from hw.hgcal_encoder.neuron import Neuron
from hw.hgcal_encoder.schedule import Schedule
from hw.hgcal_encoder.serial_window import unit_format, wide, window_widths, wires
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["SerialConvolution"]


class SerialConvolution(Component):
    """All filters of the positions of one slot (`Schedule`), each unit with its own window of pixels.

    Weights stay where they are, pixels move past them: no multiplexer stands in front of a weight. Units with equal
    taps share the recoding of weights. Combinational.

    Parameters
    ----------
    spec : EncoderSpec
    latched : bool
        Latches stand in front of the neurons, as in `hw.hgcal_encoder.convolution.Convolution`.
    folded : bool
        As of `Schedule`.

    Members
    -------
    x, triple, pair : In
        From `SerialWindow`.
    kernel : In(spec.weight.width) x filters x taps
        Kernel[tap][filter], two's complement.
    bias : In(spec.weight.width) x filters
        Two's complement.
    activations : Out(spec.activation.width) x parallel
        Index = unit * filters + filter; what a unit without a position shows must not be used.
    """

    latency = 0

    def __init__(self, *, spec: EncoderSpec, latched: bool = False, folded: bool = False):
        self._spec = spec
        self._latched = self.clocked = latched
        self._schedule = Schedule(spec=spec, folded=folded)
        widths = [window_widths(spec, unit) for unit in range(len(self._schedule.units))]
        weight = spec.weight.width
        super().__init__(
            {
                **wide(
                    In, x=sum(w[0] for w in widths), triple=sum(w[1] for w in widths), pair=sum(w[2] for w in widths)
                ),
                "kernel": In(ArrayLayout(ArrayLayout(weight, spec.filters), spec.kernel_taps)),
                "bias": In(ArrayLayout(weight, spec.filters)),
                "activations": Out(ArrayLayout(spec.activation.width, self._schedule.parallel)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec = self._spec
        m = Module()

        def still(name: str, value: Value) -> Value:
            return isolated(m, platform, name, value) if self._latched and len(value) else value

        recoded = {}
        starts = [0, 0, 0]
        for unit, taps in enumerate(self._schedule.unit_taps):
            outputs = [self.activations[unit * spec.filters + filter_] for filter_ in range(spec.filters)]
            dot_format = unit_format(spec, unit)
            if dot_format is None:
                for output, bias in zip(outputs, self.bias, strict=True):
                    aligned = Cat(Const(0, spec.conv_product_fraction - spec.weight.fraction), bias).as_signed()
                    m.d.comb += output.eq(rectify(m, aligned, spec.conv_product_fraction, spec.activation))
                continue
            x, triple, pair = (
                port[start : start + width]
                for port, start, width in zip(
                    (wires(self, name) for name in ("x", "triple", "pair")),
                    starts,
                    window_widths(spec, unit),
                    strict=True,
                )
            )
            starts = [start + width for start, width in zip(starts, window_widths(spec, unit), strict=True)]
            offset = place(
                m, platform, f"offset_{unit}", ActivationOffset, label=f"{len(taps)}_taps", dot_format=dot_format
            )
            m.d.comb += [Cat(offset.x).eq(x), Cat(offset.pair).eq(pair)]
            shared_offset = still(f"offset_{unit}", offset.offset)
            x, triple, pair = (
                still(f"{name}_{unit}", value) for name, value in (("x", x), ("triple", triple), ("pair", pair))
            )
            for filter_, output in enumerate(outputs):
                if (taps, filter_) not in recoded:
                    recoder = place(
                        m, platform, f"recoder_{unit}_{filter_}", WeightRecoder, label=f"{len(taps)}_taps",
                        dot_format=dot_format,
                    )  # fmt: skip
                    m.d.comb += [recoder.weight[i].eq(self.kernel[tap][filter_]) for i, tap in enumerate(taps)]
                    recoded[taps, filter_] = Cat(recoder.select)
                neuron = place(
                    m, platform, f"neuron_{unit}_{filter_}", Neuron, label=f"{len(taps)}_taps", dot_format=dot_format,
                    fraction=spec.conv_product_fraction, output=spec.activation,
                )  # fmt: skip
                if dot_format.pairs:
                    m.d.comb += neuron.pair.eq(pair)
                m.d.comb += [
                    neuron.x.eq(x),
                    neuron.triple.eq(triple),
                    neuron.select.eq(recoded[taps, filter_]),
                    neuron.bias.eq(self.bias[filter_]),
                    neuron.offset.eq(shared_offset),
                    output.eq(neuron.y),
                ]
        return m
