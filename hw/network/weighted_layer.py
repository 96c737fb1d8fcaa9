"""A layer with loadable weights: dense, convolution or scale, all outputs at once."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Member, Out

from hw.common.dot_product import ActivationMultiples, ActivationOffset, WeightRecoder
from hw.common.hierarchy import place
from hw.common.storage_cell import StorageCell
from hw.network.neuron import SumFormat, SumNeuron
from hw.network.stores import code_shape, stored
from hw.network.weight_row import WeightRow
from sim.fixed_point import FixedPoint
from sim.network.nodes import Store, WeightedSum

__all__ = ["LayerRows", "WeightedLayer"]


class LayerRows(Component):
    """What layers with loadable weights have in common: ports, rows of weights, outputs that see only padding.

    Parameters
    ----------
    node, size, form, stores, zeros, cell, outside
        As `WeightedLayer`.
    more : dict of str to Member
        Further ports.
    """

    def __init__(
        self, *, node: WeightedSum, size: int, form: FixedPoint, stores: tuple[Store, ...], zeros: frozenset[int],
        cell: Callable[..., Component], outside: bool, more: dict[str, Member],
    ):  # fmt: skip
        self._node, self._size, self._form, self._stores = node, size, form, stores
        self._cell, self._outside = cell, outside
        self._rows = node.rows(size)
        self._taps = tuple(tuple(tap for tap in taps if tap[0] not in zeros) for taps in node.taps(size))
        super().__init__(
            {
                "x": In(ArrayLayout(code_shape(form), size)),
                **more,
                **self._weight_ports(),
                "y": Out(ArrayLayout(code_shape(stores[-1].result), len(self._taps))),
            }
        )

    def _weight_ports(self) -> dict[str, Member]:
        rows = range(len(self._rows))
        if self._outside:
            return {"weights": In(sum(map(self.row_bits, rows)))}
        return {"rows": In(len(rows)), "columns": In(max(map(self.row_bytes, rows))), "data": In(8)}

    def row_bits(self, row: int) -> int:
        """Bits of a row of weights."""
        return len(self._rows[row]) * self._node.weight.width + self._node.bias.width

    def row_bytes(self, row: int) -> int:
        """Bytes of a row of weights."""
        return -(-self.row_bits(row) // 8)

    def used_rows(self) -> dict[int, list[int]]:
        """Rows of weights, each with the outputs that use it."""
        users: dict[int, list[int]] = {}
        for output in range(len(self._taps)):
            users.setdefault(self._node.bias_of(output), []).append(output)
        return users

    def own_rows(self) -> set[int]:
        """Rows that are one output's alone, all of it: they go into its neuron."""
        if self._outside:
            return set()
        return {
            row for row, outputs in self.used_rows().items()
            if len(outputs) == 1 and self._rows[row] and tuple(w for _, w in self._taps[outputs[0]]) == self._rows[row]
        }  # fmt: skip

    def _place_rows(self, m: Module, platform: object, rows: list[int]) -> tuple[dict[int, Value], dict[int, Value]]:
        """Rows that several outputs use: every weight and every bias."""
        weights: dict[int, Value] = {}
        biases: dict[int, Value] = {}
        width = self._node.weight.width
        for row in rows:
            value = self._row_value(m, platform, row)
            for at, weight in enumerate(self._rows[row]):
                weights[weight] = value[at * width : (at + 1) * width]
            biases[row] = value[len(self._rows[row]) * width :]
        return weights, biases

    def _row_value(self, m: Module, platform: object, row: int) -> Value:
        """Weights and bias of a row, from where they are stored."""
        bits = self.row_bits(row)
        if self._outside:
            first = sum(map(self.row_bits, range(row)))
            return self.weights[first : first + bits]
        part = place(m, platform, f"row_{row}", WeightRow, bits=bits, cell=self._cell)
        m.d.comb += [part.select.eq(self.rows[row]), part.columns.eq(self.columns), part.data.eq(self.data)]
        return Value.cast(part.value)

    def _of_bias(self, m: Module, bias: Value, output: int) -> Value:
        """An output that sees nothing but padding."""
        form = SumFormat.of(self._node, self._form, 1)
        aligned = form.high_bias(bias).as_signed() << form.dot.bias_shift
        return stored(m, form.total(aligned, bias), form.fraction, self._stores, f"constant_{output}")


class WeightedLayer(LayerRows):
    """All outputs of a layer, one neuron each, with the rows of weights that they use.

    Taps on inputs that are constant zero (padding) cost nothing. Three times an input is formed once, pair sums and
    offset once for all outputs that read the same inputs, the recoding of a weight once for all outputs that use it.
    Combinational from `x` to `y`; a write shows one clock later.

    Parameters
    ----------
    node : WeightedSum
    size : int
        Inputs.
    form : FixedPoint
        Their format.
    stores : tuple of Store
        What follows the sum: the result of the node, and stores behind it.
    zeros : frozenset of int
        Inputs that are constant zero.
    cell : class of Component
        Storage of one byte.
    outside : bool
        Weights are stored elsewhere, and come through the port `weights`.

    Members
    -------
    x : In(form.width) x size
    weights : In(bits of all rows)
        With `outside`, in place of the next three: rows side by side, each its weights and its bias.
    rows : In(rows)
        Row that is written, one-hot; none: no write.
    columns : In(bytes of the longest row)
        Byte in the row, one-hot.
    data : In(8)
    y : Out x outputs
    """

    def __init__(
        self, *, node: WeightedSum, size: int, form: FixedPoint, stores: tuple[Store, ...],
        zeros: frozenset[int] = frozenset(), cell: Callable[..., Component] = StorageCell, outside: bool = False,
    ):  # fmt: skip
        super().__init__(
            node=node, size=size, form=form, stores=stores, zeros=zeros, cell=cell, outside=outside, more={}
        )  # fmt: skip

    @property
    def latency(self) -> int:
        """Of a write, where the layer has its weights; its data path is combinational."""
        return int(not self._outside)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        own = self.own_rows()
        weights, biases = self._place_rows(m, platform, [row for row in self.used_rows() if row not in own])
        shared = self._place_multiples(m, platform)
        recoded: dict[tuple[int, ...], Value] = {}
        offsets: dict[tuple[int, ...], tuple[Value, list[Value]]] = {}
        for output, taps in enumerate(self._taps):
            row = self._node.bias_of(output)
            if not taps:
                m.d.comb += self.y[output].eq(self._of_bias(m, biases[row], output))
                continue
            form = SumFormat.of(self._node, self._form, len(taps))
            inputs, used = tuple(x for x, _ in taps), tuple(w for _, w in taps)
            if inputs not in offsets:
                offsets[inputs] = self._place_offset(m, platform, f"offset_{len(offsets)}", form, inputs, shared)
            offset, pairs = offsets[inputs]
            neuron = place(
                m, platform, f"neuron_{output}", SumNeuron, label=f"{len(taps)}_taps", form=form, stores=self._stores,
                own=row in own, cell=self._cell,
            )  # fmt: skip
            m.d.comb += [
                neuron.x.eq(Cat(shared[x][0] for x in inputs)),
                neuron.triple.eq(Cat(shared[x][1] for x in inputs)),
                neuron.offset.eq(offset),
                self.y[output].eq(neuron.y),
            ]
            if pairs:
                m.d.comb += neuron.pair.eq(Cat(pairs))
            if row in own:
                m.d.comb += [
                    neuron.row.eq(self.rows[row]), neuron.columns.eq(self.columns), neuron.data.eq(self.data)
                ]  # fmt: skip
                continue
            if used not in recoded:
                recoder = place(
                    m,
                    platform,
                    f"recoder_{len(recoded)}",
                    WeightRecoder,
                    label=f"{len(used)}_taps",
                    dot_format=form.dot,
                )
                m.d.comb += [port.eq(weights[w]) for port, w in zip(recoder.weight, used, strict=True)]
                recoded[used] = Cat(recoder.select)
            m.d.comb += [neuron.select.eq(recoded[used]), neuron.bias.eq(biases[row])]
        return m

    def _place_multiples(self, m: Module, platform: object) -> dict[int, tuple[Value, Value]]:
        """Every input that is used, extended as the dot products need it, and three times it."""
        used = sorted({x for taps in self._taps for x, _ in taps})
        if not used:
            return {}
        dot = SumFormat.of(self._node, self._form, 1).dot
        multiples = place(
            m, platform, "multiples", ActivationMultiples, count=len(used), width=dot.activation_width,
            **({"twos_complement": True} if dot.signed else {}),
        )  # fmt: skip
        found = {}
        for number, x in enumerate(used):
            m.d.comb += multiples.x[number].eq(self.x[x])
            found[x] = (multiples.x[number], multiples.triple[number])
        return found

    def _place_offset(
        self, m: Module, platform: object, name: str, form: SumFormat, inputs: tuple[int, ...],
        shared: dict[int, tuple[Value, Value]],
    ) -> tuple[Value, list[Value]]:  # fmt: skip
        """Offset and pair sums of some inputs."""
        pairs = [shared[inputs[2 * i]][0] + shared[inputs[2 * i + 1]][0] for i in range(form.dot.pairs)]
        part = place(m, platform, name, ActivationOffset, label=f"{len(inputs)}_taps", dot_format=form.dot)
        m.d.comb += [port.eq(shared[x][0]) for port, x in zip(part.x, inputs, strict=True)]
        m.d.comb += [port.eq(pair) for port, pair in zip(part.pair, pairs, strict=True)]
        return part.offset, pairs
