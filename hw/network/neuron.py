"""One output of a layer with weights: dot product, bias, stores."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import DotProduct, DotProductFormat, WeightRecoder
from hw.common.hierarchy import place
from hw.common.storage_cell import StorageCell
from hw.network.stores import code_shape, stored
from hw.network.weight_row import WeightRow
from sim.fixed_point import FixedPoint, Overflow
from sim.network.nodes import Store, WeightedSum

__all__ = ["SumFormat", "SumNeuron", "neuron_ports", "wired_dot_product"]


@dataclass(frozen=True, kw_only=True)
class SumFormat:
    """Arithmetic of the outputs of a layer that have the same number of taps.

    Attributes
    ----------
    dot : DotProductFormat
    bias : FixedPoint
        Format of the bias as it is stored.
    low_bias : int
        Bits of the bias below the step of the products: they are appended to the dot product.
    fraction : int
        Fraction bits of the sum.
    accumulator : FixedPoint
        What the sum wraps to.
    """

    dot: DotProductFormat
    bias: FixedPoint
    low_bias: int
    fraction: int
    accumulator: FixedPoint

    @classmethod
    def of(cls, node: WeightedSum, x: FixedPoint, taps: int, accumulated: int = 0) -> "SumFormat":
        """Of a node whose inputs have a format.

        Parameters
        ----------
        node : WeightedSum
        x : FixedPoint
            Format of the inputs.
        taps : int
            Products that are formed at once.
        accumulated : int
            Products of the whole sum, where it grows by `taps` products at a time; 0: it is formed at once.

        Raises
        ------
        ValueError
            If single products are rounded in a way that depends on their sign.
        """
        shift = max(0, node.shift(x))
        products = x.fraction + node.weight.fraction - shift
        low = max(0, node.bias.fraction - products)
        return cls(
            dot=DotProductFormat(
                taps=taps, activation_width=max(x.width, shift + 1) if x.signed else x.width,
                weight_width=node.weight.width, shift=shift, bias_width=max(1, node.bias.width - low),
                bias_shift=max(0, products - node.bias.fraction), rounding=node.accumulator.rounding, signed=x.signed,
                accumulated=accumulated,
            ),
            bias=node.bias, low_bias=low, fraction=products + low, accumulator=node.accumulator,
        )  # fmt: skip

    def total(self, sum_: Value, bias: Value) -> Value:
        """The sum with the low bits of the bias, wrapped as the accumulator wraps."""
        bias = bias.as_signed()
        if self.low_bias > len(bias):
            bias = Cat(bias, bias[-1].replicate(self.low_bias - len(bias)))
        return self.wrapped(Cat(bias[: self.low_bias], sum_).as_signed())

    def wrapped(self, total: Value) -> Value:
        """A whole sum as the accumulator wraps it."""
        form = self.accumulator
        width = form.width - (form.fraction - self.fraction)
        if width < 1:
            raise ValueError(f"accumulator {form}: expected bits at or above the step of the sums")
        if form.overflow is not Overflow.WRAP:  # the specification has shown that it holds every sum
            return total
        if not form.signed:
            return Cat(total, total[-1].replicate(max(0, width - len(total))))[:width]
        return total[:width].as_signed()

    def high_bias(self, bias: Value) -> Value:
        """What of the bias enters the dot product."""
        return bias[self.low_bias :] if self.low_bias < len(bias) else bias[-1]


def neuron_ports(form: SumFormat, *, own: bool, bits: int) -> dict[str, Any]:
    """Inputs that every kind of neuron has; `bits` are those of its weights and bias."""
    dot = form.dot
    # a port of width 0 is no legal Verilog
    pairs = {"pair": In(ArrayLayout(dot.shape(dot.activation_width + 1), dot.pairs))} if dot.pairs else {}
    weights: dict[str, object] = (
        {"row": In(1), "columns": In(-(-bits // 8)), "data": In(8)}
        if own
        else {"select": In(ArrayLayout(3, len(dot.rows))), "bias": In(form.bias.width)}
    )
    return {
        "x": In(ArrayLayout(dot.activation_shape, dot.taps)),
        "triple": In(ArrayLayout(dot.shape(dot.activation_width + 2), dot.taps)),
        **pairs,
        **weights,
        "offset": In(dot.sum_width),
    }


def wired_dot_product(
    m: Module, platform: object, pins: Any, form: SumFormat, *, own: bool, bits: int, taps: int,
    cell: Callable[..., Component], choose: Callable[[list[Value]], list[Value]] | None = None,
) -> tuple[DotProduct, Value]:  # fmt: skip
    """A dot product with activations and weights of the ports of `neuron_ports`, and the bias.

    Of the `taps` weights of an own row, `choose` takes those of the dot product; all are taken where it is left out.
    """
    f = form.dot
    m.submodules.dot_product = dot = DotProduct(dot_format=f)
    for name in ("x", "triple", *(["pair"] if f.pairs else [])):
        m.d.comb += [port.eq(getattr(pins, name)[i]) for i, port in enumerate(getattr(dot, name))]
    if not own:
        m.d.comb += [port.eq(pins.select[i]) for i, port in enumerate(dot.select)]
        return dot, pins.bias
    row = place(m, platform, "weights", WeightRow, bits=bits, cell=cell)
    m.submodules.recoder = recoder = WeightRecoder(dot_format=f)
    m.d.comb += [row.select.eq(pins.row), row.columns.eq(pins.columns), row.data.eq(pins.data)]
    weights: list[Value] = [row.value[i * f.weight_width : (i + 1) * f.weight_width] for i in range(taps)]
    chosen = weights if choose is None else choose(weights)
    m.d.comb += [port.eq(weight) for port, weight in zip(recoder.weight, chosen, strict=True)]
    m.d.comb += [port.eq(select) for port, select in zip(dot.select, recoder.select, strict=True)]
    return dot, row.value[taps * f.weight_width :]


class SumNeuron(Component):
    """``store(wrap(sum(round(x * w)) + bias))`` and further stores. Combinational, but for its own weights.

    What outputs share of their inputs (multiples, offset) comes from outside; see `hw.common.dot_product`.

    Parameters
    ----------
    form : SumFormat
    stores : tuple of Store
    own : bool
        The neuron has a row of weights for itself: stores and recodes them.
    cell : class of Component
        Storage of one byte.

    Members
    -------
    x, triple, pair : In
        Activations and their multiples; `pair` only where rows use it.
    offset : In(sum_width)
    row : In(1), columns : In(bytes), data : In(8)
        With `own`: write port of `WeightRow`.
    select : In(3) x rows, bias : In(bias.width)
        Without `own`: recoded weights, and the bias.
    y : Out
        Result, in the format of the last store.
    """

    def __init__(
        self, *, form: SumFormat, stores: tuple[Store, ...], own: bool, cell: Callable[..., Component] = StorageCell
    ):
        dot = form.dot
        self._form, self._stores, self._own, self._cell = form, stores, own, cell
        self._bits = dot.taps * dot.weight_width + form.bias.width
        super().__init__(
            {
                **neuron_ports(form, own=own, bits=self._bits),
                "y": Out(code_shape(stores[-1].result)),
            }
        )

    @property
    def latency(self) -> int:
        """Of a write, where the neuron has weights; its data path is combinational."""
        return int(self._own)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        dot, bias = wired_dot_product(
            m, platform, self, self._form, own=self._own, bits=self._bits, taps=self._form.dot.taps, cell=self._cell
        )
        total = self._form.total(dot.sum, bias)
        m.d.comb += [
            dot.bias.eq(self._form.high_bias(bias)),
            dot.offset.eq(self.offset),
            self.y.eq(stored(m, total, self._form.fraction, self._stores, "stored")),
        ]
        return m
