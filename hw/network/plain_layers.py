"""Layers without weights: stores, pooling, sums of two vectors, the largest element. All combinational."""

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.carry_save import balanced_sum
from hw.network.stores import code_shape, stored
from sim.network.nodes import Add, ArgMax, Node, Pool, Store, Tensor

__all__ = ["PlainLayer"]


class PlainLayer(Component):
    """All outputs of a node without weights, and the stores behind it.

    Parameters
    ----------
    node : Store, Pool, Add or ArgMax
    tensors : tuple of Tensor
        Sizes and formats of its inputs.
    stores : tuple of Store
        What follows: the result of the node, and stores behind it. Of a `Store` node that is the first of them.

    Members
    -------
    x0, x1 : In x size
        Inputs of the node.
    y : Out x outputs
    """

    latency = 0

    def __init__(self, *, node: Node, tensors: tuple[Tensor, ...], stores: tuple[Store, ...]):
        self._node, self._tensors, self._stores = node, tensors, stores
        super().__init__(
            {
                **{
                    f"x{number}": In(ArrayLayout(code_shape(tensor.form), tensor.size))
                    for number, tensor in enumerate(tensors)
                },
                "y": Out(ArrayLayout(code_shape(stores[-1].result), node.output(tensors).size)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        values, fraction = self._values()
        for number, value in enumerate(values):
            m.d.comb += self.y[number].eq(stored(m, value, fraction, self._stores, f"stored_{number}"))
        return m

    def _values(self) -> tuple[list[Value], int]:
        """Exact results, and their fraction bits."""
        node, x = self._node, self.x0
        fraction = self._tensors[0].form.fraction
        match node:
            case Store():
                return [x[i] for i in range(self._tensors[0].size)], fraction
            case Pool(mean=True):
                # windows of several sizes: the largest decides the step
                steps = max(len(window).bit_length() - 1 for window in node.windows)
                sums = [
                    balanced_sum([x[i] for i in window]) << (steps - len(window).bit_length() + 1)
                    for window in node.windows
                ]
                return sums, fraction + steps
            case Pool():
                return [_largest([x[i] for i in window]) for window in node.windows], fraction
            case Add():
                common = max(tensor.form.fraction for tensor in self._tensors)
                a, b = (
                    [_raised(port[i], common - tensor.form.fraction) for i in range(tensor.size)]
                    for port, tensor in zip((self.x0, self.x1), self._tensors, strict=True)
                )
                pairs = zip(a, b, strict=True)
                return [one - other if node.subtract else one + other for one, other in pairs], common
            case ArgMax():
                return _first_largest([x[i] for i in range(self._tensors[0].size)]), 0
        raise TypeError(f"expected a node without weights, got {type(node).__name__}")


def _raised(value: Value, shift: int) -> Value:
    raised = Cat(Const(0, shift), value)
    return raised.as_signed() if value.shape().signed else raised


def _largest(values: list[Value]) -> Value:
    """The largest, by a tree of comparisons."""
    while len(values) > 1:
        pairs = [values[i : i + 2] for i in range(0, len(values), 2)]
        values = [Mux(pair[1] > pair[0], pair[1], pair[0]) if len(pair) > 1 else pair[0] for pair in pairs]
    return values[0]


def _first_largest(values: list[Value]) -> list[Value]:
    """One bit for each: whether it is the first of the largest."""
    above = {(i, j): values[j] > values[i] for j in range(len(values)) for i in range(j)}
    return [
        Cat(above[j, i] if j < i else ~above[i, j] for j in range(len(values)) if j != i).all()
        for i in range(len(values))
    ]
