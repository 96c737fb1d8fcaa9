"""A layer with loadable weights whose multipliers serve several multiplications of a sample, one in each slot."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Value
from amaranth.lib.wiring import Component, In

from hw.common.dot_product import ActivationMultiples, ActivationOffset, WeightRecoder
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.storage_cell import StorageCell
from hw.network.neuron import SumFormat
from hw.network.serial_neuron import SerialSumNeuron, selected
from hw.network.weighted_layer import LayerRows
from sim.fixed_point import FixedPoint
from sim.network.nodes import Store, WeightedSum

__all__ = ["SerialWeightedLayer", "serial_format"]


def serial_format(node: WeightedSum, x: FixedPoint, taps: int, slots: int) -> SumFormat:
    """Arithmetic of one slot of an output with that many taps; of all of them with one slot."""
    at_once = -(-taps // slots)
    return SumFormat.of(node, x, at_once, at_once * slots if slots > 1 else 0)


class SerialWeightedLayer(LayerRows):
    """All outputs of a layer, one `SerialSumNeuron` each; the products of a sum are spread over the slots of a sample.

    In slot s every output forms its products s p to (s + 1) p - 1, where p is its number of taps over that of slots,
    rounded up. What outputs share of their inputs (selection, multiples, offset) is formed once for all that read the
    same inputs, and kept in one register. The results are there, combinational, in clock ``slots + 1`` after that of
    the first slot, and only there.

    Parameters
    ----------
    node, size, form, stores, zeros, cell, outside
        As `hw.network.weighted_layer.WeightedLayer`.
    slots : int
        At least 2.
    register : class of Component
        Pipeline register.

    Members
    -------
    x : In(form.width) x size
        Stays for all slots.
    slot : In(slots)
        One-hot; all 0 without a sample.
    weights : In, or rows, columns, data : In
        As of `hw.network.weighted_layer.WeightedLayer`.
    y : Out x outputs
    """

    clocked = True

    def __init__(
        self, *, node: WeightedSum, size: int, form: FixedPoint, stores: tuple[Store, ...], slots: int,
        zeros: frozenset[int] = frozenset(), cell: Callable[..., Component] = StorageCell,
        outside: bool = False, register: Callable[..., Component] = PipelineRegister,
    ):  # fmt: skip
        self._slots, self._register = slots, register
        super().__init__(
            node=node, size=size, form=form, stores=stores, zeros=zeros, cell=cell, outside=outside,
            more={"slot": In(slots)},
        )  # fmt: skip

    def _format(self, taps: int) -> SumFormat:
        return serial_format(self._node, self._form, taps, self._slots)

    @property
    def state_bits(self) -> int:
        """Bits of its registers, those of weights aside."""
        own = self.own_rows()
        inputs, shared, total = set(), set(), 0
        for output, taps in enumerate(self._taps):
            if not taps:
                continue
            dot = self._format(len(taps)).dot
            total += self._slots + dot.sum_width
            inputs.add(tuple(x for x, _ in taps))
            if self._node.bias_of(output) not in own:
                shared.add(tuple(w for _, w in taps))
        return total + sum(self._kept_bits(self._format(len(taps))) for taps in inputs) + self._slots * len(shared)

    @staticmethod
    def _kept_bits(form: SumFormat) -> int:
        """Bits of what outputs share of the inputs of a slot."""
        dot = form.dot
        triples = len(_tripled(form))
        return (
            dot.taps * dot.activation_width + triples * (dot.activation_width + 2)
            + dot.pairs * (dot.activation_width + 1) + dot.sum_width
        )  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        own = self.own_rows()
        weights, biases = self._place_rows(m, platform, [row for row in self.used_rows() if row not in own])
        recoded: dict[tuple[int, ...], Value] = {}
        shared: dict[tuple[int, ...], dict[str, Value]] = {}
        for output, taps in enumerate(self._taps):
            row = self._node.bias_of(output)
            if not taps:
                m.d.comb += self.y[output].eq(self._of_bias(m, biases[row], output))
                continue
            form = self._format(len(taps))
            inputs, used = tuple(x for x, _ in taps), tuple(w for _, w in taps)
            if inputs not in shared:
                shared[inputs] = self._place_inputs(m, platform, f"inputs_{len(shared)}", form, inputs)
            neuron = place(
                m, platform, f"neuron_{output}", SerialSumNeuron, label=f"{len(taps)}_taps", form=form,
                stores=self._stores, slots=self._slots, taps=len(taps), own=row in own, cell=self._cell,
                register=self._register,
            )  # fmt: skip
            m.d.comb += [Value.cast(getattr(neuron, name)).eq(value) for name, value in shared[inputs].items()]
            m.d.comb += [neuron.next_slot.eq(self.slot), self.y[output].eq(neuron.y)]
            if row in own:
                m.d.comb += [
                    neuron.row.eq(self.rows[row]), neuron.columns.eq(self.columns), neuron.data.eq(self.data)
                ]  # fmt: skip
                continue
            if used not in recoded:
                recoded[used] = self._place_recoder(m, platform, len(recoded), form, [weights[w] for w in used])
            m.d.comb += [neuron.select.eq(recoded[used]), neuron.bias.eq(biases[row])]
        return m

    def _place_recoder(self, m: Module, platform: object, number: int, form: SumFormat, weights: list[Value]) -> Value:
        """Recoded weights of the slot, of a row that several outputs use."""
        slots = place(m, platform, f"slot_register_{number}", self._register, width=self._slots)
        part = place(
            m, platform, f"recoder_{number}", WeightRecoder, label=f"{form.dot.taps}_taps", dot_format=form.dot
        )
        chosen = selected(weights, slots.o, form.dot.taps, form.dot.weight_width)
        m.d.comb += slots.i.eq(self.slot)
        m.d.comb += [port.eq(weight) for port, weight in zip(part.weight, chosen, strict=True)]
        return Cat(part.select)

    def _place_inputs(
        self, m: Module, platform: object, name: str, form: SumFormat, inputs: tuple[int, ...]
    ) -> dict[str, Value]:
        """Inputs of the slot, their multiples and offset, from one register; by port of the neurons."""
        dot = form.dot
        multiples = place(
            m, platform, f"{name}_multiples", ActivationMultiples, count=dot.taps, width=dot.activation_width,
            pairs=dot.pairs, **({"twos_complement": True} if dot.signed else {}),
        )  # fmt: skip
        offset = place(m, platform, f"{name}_offset", ActivationOffset, label=f"{dot.taps}_taps", dot_format=dot)
        extended = [self._extended(self.x[x], dot.activation_width) for x in inputs]
        chosen = selected(extended, self.slot, dot.taps, dot.activation_width)
        m.d.comb += [port.eq(value) for port, value in zip(multiples.x, chosen, strict=True)]
        m.d.comb += [port.eq(value) for port, value in zip(offset.x, multiples.x, strict=True)]
        m.d.comb += [port.eq(value) for port, value in zip(offset.pair, multiples.pair, strict=True)]
        tripled = _tripled(form)
        parts = [*multiples.x, *(multiples.triple[tap] for tap in tripled), *multiples.pair, offset.offset]
        kept = place(m, platform, f"{name}_register", self._register, width=self._kept_bits(form))
        m.d.comb += kept.i.eq(Cat(parts))
        taken, first = [], 0
        for part in parts:
            taken.append(kept.o[first : first + len(part)])
            first += len(part)
        triples = dict(zip(tripled, taken[dot.taps :], strict=False))
        pairs = taken[dot.taps + len(tripled) : -1]
        return {
            "x": Cat(taken[: dot.taps]),
            "triple": Cat(triples.get(tap, Const(0, dot.activation_width + 2)) for tap in range(dot.taps)),
            **({"pair": Cat(pairs)} if pairs else {}),
            "offset": taken[-1],
        }  # fmt: skip

    def _extended(self, value: Value, width: int) -> Value:
        """An input in the bits that products need."""
        value = Value.cast(value)
        sign = value[-1] if self._form.signed else Const(0, 1)
        return Cat(value, sign.replicate(width - len(value)))


def _tripled(form: SumFormat) -> list[int]:
    """Taps of which three times the input is used."""
    return sorted({row.taps[0] for row in form.dot.rows if len(row.taps) == 1 and row.digit == 2})
