"""A layer whose weights are constants, inputs unsigned or signed: no weight is stored, no multiplier is left."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.frozen_layer import FrozenFormat, FrozenLayer
from hw.common.hierarchy import place
from hw.network.neuron import SumFormat
from hw.network.stores import code_shape, stored
from sim.fixed_point import FixedPoint
from sim.network.nodes import Store, WeightedSum

__all__ = ["FrozenLayerWeights", "FrozenWeightedLayer", "frozen_weights"]


@dataclass(frozen=True, kw_only=True)
class FrozenLayerWeights:
    """Codes of a layer as constants.

    Attributes
    ----------
    weights, biases : tuple of int
        In the order of the node.
    """

    weights: tuple[int, ...]
    biases: tuple[int, ...]


def frozen_weights(weights: Any) -> dict[str, FrozenLayerWeights]:
    """Of arrays by layer, such as `sim.network.weights.NetworkWeights`."""
    return {
        name: FrozenLayerWeights(
            weights=tuple(int(code) for code in codes), biases=tuple(int(code) for code in weights.biases[name])
        )
        for name, codes in weights.weights.items()
    }


class FrozenWeightedLayer(Component):
    """All outputs of a layer with constant weights. Combinational.

    An input that may be negative enters `FrozenLayer` in offset binary, ``u = x + 2**(n - 1)``, n as small as its range
    allows: one inverter. The excess of a product, ``w * 2**(n - 1)``, is a multiple of ``2**shift``, passes through the
    floor unchanged and joins the constant of the output.

    Parameters
    ----------
    node, form, stores
        As `hw.network.weighted_layer.WeightedLayer`.
    ranges : tuple of (int, int)
        Smallest and largest code of each input: narrower than the format where what comes before allows no more.
    weights : FrozenLayerWeights

    Members
    -------
    x : In(form.width) x size
    y : Out x outputs

    Raises
    ------
    ValueError
        If single products are rounded to nearest even.
    """

    latency = 0

    def __init__(
        self, *, node: WeightedSum, form: FixedPoint, stores: tuple[Store, ...], ranges: tuple[tuple[int, int], ...],
        weights: FrozenLayerWeights,
    ):  # fmt: skip
        self._node, self._form, self._stores = node, form, stores
        self._sum = SumFormat.of(node, form, 1)
        dot = self._sum.dot
        self._width = dot.activation_width
        # what is added to each input
        self._halves = tuple(
            0 if low >= 0 else 1 << max(dot.shift, (-low - 1).bit_length(), high.bit_length()) for low, high in ranges
        )
        rows, biases = [], []
        for output, taps in enumerate(node.taps(len(ranges))):
            row = tuple((x, weights.weights[w]) for x, w in taps if any(ranges[x]) and weights.weights[w])
            excess = sum(w * self._halves[x] >> dot.shift for x, w in row)
            bias = weights.biases[node.bias_of(output)]
            rows.append(row)
            biases.append(((bias >> self._sum.low_bias) << dot.bias_shift) - excess)
        self._low = tuple(weights.biases[node.bias_of(o)] & ((1 << self._sum.low_bias) - 1) for o in range(len(rows)))
        shifted = tuple((low + half, high + half) for (low, high), half in zip(ranges, self._halves, strict=True))
        self._layer = FrozenFormat(
            width=self._width, ranges=shifted, rows=tuple(rows), bias=tuple(biases), shift=dot.shift,
            rounding=dot.rounding, fraction=self._sum.fraction - self._sum.low_bias,
        )  # fmt: skip
        super().__init__(
            {
                "x": In(ArrayLayout(code_shape(form), len(ranges))),
                "y": Out(ArrayLayout(code_shape(stores[-1].result), len(rows))),
            }
        )

    @property
    def sums(self) -> FrozenFormat:
        """Formula of its sums."""
        return self._layer

    def elaborate(self, platform: object) -> Module:
        m = Module()
        sums = place(m, platform, "sums", FrozenLayer, label="frozen", layer=self._layer)
        for i, half in enumerate(self._halves):
            value = Signal(code_shape(self._form), name=f"x_{i}")
            m.d.comb += value.eq(self.x[i])
            if half:
                extended = Cat(value, value[-1].replicate(self._width - len(value)))
                sign = half.bit_length() - 1
                m.d.comb += sums.x[i].eq(Cat(extended[:sign], ~extended[sign]))
            else:
                m.d.comb += sums.x[i].eq(value)
        for output in range(len(self._layer.rows)):
            total = self._total(sums.y[output], self._low[output])
            m.d.comb += self.y[output].eq(stored(m, total, self._sum.fraction, self._stores, f"stored_{output}"))
        return m

    def _total(self, sum_: Value, low: int) -> Value:
        """The sum with the bits of its bias that lie below the products."""
        return self._sum.wrapped(Cat(Const(low, self._sum.low_bias), Value.cast(sum_)).as_signed())
