"""A neuron of the dense layer that takes its products a few at a time."""

from collections.abc import Callable
from functools import cache

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import DotProduct, DotProductFormat, WeightRecoder
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import stored, watched
from hw.common.requantise import rectify
from hw.hgcal_encoder.coded_words import DenseWords
from hw.hgcal_encoder.schedule import Schedule
from hw.hgcal_encoder.word_selector import WordSelector
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["SerialNeuron", "serial_format"]


@cache
def serial_format(spec: EncoderSpec, coded: bool = False) -> DotProductFormat:
    """Dot product of a dense neuron over the activations of one slot; `coded` as `SerialNeuron` takes it."""
    taps = (DenseWords(spec=spec).schedule if coded else Schedule(spec=spec)).parallel
    return DotProductFormat.of_layer(
        taps=taps, activation=spec.activation, weight=spec.weight, product_fraction=spec.dense_product_fraction,
        rounding=spec.dense_product_rounding, width=spec.dense_sum_width, accumulated=max(spec.activations, taps),
    )  # fmt: skip


class SerialNeuron(Component):
    """The weights of a slot times its activations, added to what earlier slots gave; ReLU of the complete sum.

    A weight reaches its multiplier through one AND-OR over the slots; where a slot has no activation, the weight is 0.
    The selects of all weights of a slot hang on one signal, so each neuron has its own register for them. The sum is
    kept inverted (see `hw.common.dot_product`): -1 less the sum; the first slot starts from the bias. The slots
    of a crossing come in ascending or descending order.

    Throughput one sum per ``spec.reuse`` clocks. The latent shows two clocks behind the last slot, and stays until that
    of the next sum.

    Parameters
    ----------
    spec : EncoderSpec
    ahead : bool
        `slot` and `first` come one clock ahead of the activations; otherwise with them.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor.
    coded : bool
        Weights come as code words (`DenseWords`): selected by slot as they are stored, and corrected behind that, so
        that one corrector serves all slots. `begin` has what positions without a slot add.
    group : int
        Taps that are added up in a module of their own, as of `hw.common.dot_product.DotProduct`.

    Members
    -------
    x, triple, pair, offset : In
        The activations of the slot and what neurons share of them, as in `Neuron`.
    slot : In(spec.reuse)
        One-hot; all 0 without a crossing.
    first : In(1)
        With the first slot of a crossing.
    weight : In(spec.weight.width) x activations
        Two's complement, by number of the activation. (Not if `coded`.)
    words : In(DenseWords.raw_bits)
        Only if `coded`: code words as `DenseWords.layout` has them.
    bias : In(spec.weight.width)
        Two's complement. (Not if `coded`.)
    begin : In(signed(sum_width))
        Only if `coded`: what the sum begins with, the bias and what positions without a slot add to it.
    y : Out(spec.latent.width)
        ReLU of the sum, stored in the format of the latents.
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
        self._coded = DenseWords(spec=spec) if coded else None
        self._ahead = ahead
        self._group = group
        self._register = register
        self._format = f = serial_format(spec, coded=coded)
        self._watched = watched(register)
        pairs = {"pair": In(ArrayLayout(f.activation_width + 1, f.pairs))} if f.pairs else {}
        super().__init__(
            {
                "x": In(ArrayLayout(f.activation_width, f.taps)),
                "triple": In(ArrayLayout(f.activation_width + 2, f.taps)),
                **pairs,
                "offset": In(f.sum_width),
                "slot": In(spec.reuse),
                "first": In(1),
                **(
                    {"words": In(self._coded.raw_bits)}
                    if self._coded
                    else {"weight": In(ArrayLayout(f.weight_width, spec.activations))}
                ),
                **({"begin": In(signed(f.sum_width))} if coded else {"bias": In(f.bias_width)}),
                "y": Out(spec.latent.width),
                **({"error": Out(1)} if self._watched else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        spec, f = self._spec, self._format
        schedule = Schedule(spec=spec)  # not of code words, which `selector` knows
        m = Module()
        registers = {}
        widths = {"slot": spec.reuse + 1, "complete": 1, "sum": f.sum_width}
        for name, width in widths.items():
            if name != "slot" or self._ahead:
                registers[name] = place(m, platform, f"{name}_register", self._register, width=width)
        slot, first = self.slot, self.first
        if self._ahead:
            m.d.comb += registers["slot"].i.eq(Cat(slot, first))
            slot, first = registers["slot"].o[:-1], registers["slot"].o[-1]

        m.submodules.dot_product = dot = DotProduct(dot_format=f, group=self._group)
        m.submodules.recoder = recoder = WeightRecoder(dot_format=f)
        if self._coded:
            selector = place(m, platform, "selector", WordSelector, spec=spec)
            m.d.comb += [selector.words.eq(self.words), selector.slot.eq(slot)]
            m.d.comb += [port.eq(selector.weight[tap]) for tap, port in enumerate(recoder.weight)]
        else:
            for tap in range(f.taps):
                weight: Value = Const(0, f.weight_width)
                for number in range(spec.reuse):
                    activation = schedule.activation(number, tap)
                    if activation is not None:
                        weight = weight | (self.weight[activation] & slot[number].replicate(f.weight_width))
                m.d.comb += recoder.weight[tap].eq(weight)
        for name in ("x", "triple", *(["pair"] if f.pairs else [])):
            m.d.comb += [port.eq(getattr(self, name)[i]) for i, port in enumerate(getattr(dot, name))]
        begin = self.begin if self._coded else Cat(Const(0, f.bias_shift), self.bias).as_signed()
        start = Signal(f.sum_width)
        partial = registers["sum"].o
        rectified = rectify(m, (~partial).as_signed(), spec.dense_product_fraction, spec.latent)
        errors = [register.error for register in registers.values()] if self._watched else []
        latent = stored(
            m, platform, "latent", rectified, registers["complete"].o, register=self._register, errors=errors
        )
        m.d.comb += [
            *(port.eq(select) for port, select in zip(dot.select, recoder.select, strict=True)),
            dot.offset.eq(self.offset),
            start.eq(~begin),
            dot.partial.eq(Mux(first, start, partial)),
            registers["sum"].i.eq(~dot.sum),
            # the sum of the last slot is there one clock, while the first slot of the next crossing may begin
            registers["complete"].i.eq((slot[0] | slot[-1]) & ~first),
            self.y.eq(latent),
        ]
        if self._watched:
            m.d.comb += self.error.eq(Cat(errors).any())
        return m
