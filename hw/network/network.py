"""A whole network: a sample enters at every clock, or every few clocks, its results leave a fixed number later."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.dot_product import DotProductFormat
from hw.common.frozen_layer import FrozenFormat
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import described
from hw.common.scheme import Scheme
from hw.common.storage_cell import StorageCell
from hw.common.voted_cell import VotedCell
from hw.common.voted_register import VotedRegister
from hw.network.frozen import FrozenLayerWeights, FrozenWeightedLayer
from hw.network.neuron import SumFormat
from hw.network.plain_layers import PlainLayer
from hw.network.plan import MOST_REUSE, Layer, plan
from hw.network.serial_layer import SerialWeightedLayer, serial_format
from hw.network.stores import code_shape
from hw.network.weighted_layer import WeightedLayer
from sim.network.nodes import WeightedSum, Wire
from sim.network.ranges import code_ranges
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import address_bits, weight_rows
from sim.spec_file import check_integer

__all__ = ["PROTECTION", "Network", "output_port"]

PROTECTION: dict[Scheme, dict[str, Any]] = {
    Scheme.NONE: {},
    Scheme.TMR_REGISTERS: {"register": VotedRegister, "cell": VotedCell},
}
"""Parameters of a `Network` by scheme. Code words need a walk that corrects what is stored: `NetworkChip` has one."""


def output_port(spec: NetworkSpec, name: str) -> str:
    """Port of an output: ``y``, or ``y_`` and the name of the node where there are several."""
    return "y" if len(spec.outputs) == 1 else f"y_{name}"


class Network(Component):
    """Every layer at once, with a register behind each and behind the inputs.

    One sample per clock, no flow control. Bit for bit what `sim.network.model.Network` computes. Weights are static
    while data flows: a write shows at the data path one clock later, and samples in flight meanwhile mix old and new.

    With `reuse` above 1 a multiplier serves that many multiplications of a sample, in as many clocks: `clk` is the
    internal clock, and samples enter at least `reuse` clocks apart, each announced by `start`. Values of layers without
    weights and of results change once for a sample.

    Reset is asynchronous and reaches every flip-flop: all weights and values are 0.

    Parameters
    ----------
    spec : NetworkSpec
    frozen : mapping of str to FrozenLayerWeights, optional
        Weights that are folded into the logic: none are stored, there is no write port.
    reuse : int
        Multiplications of a sample that a multiplier serves, and clocks from one sample to the next.
    register : class of Component
        Pipeline register: `PipelineRegister` or a component with the same ports and constructor.
    cell : class of Component
        Storage of one byte of weights: `StorageCell` or a component with its ports and its constructor.
    outside : bool
        Weights are stored elsewhere (`hw.network.network_chip.NetworkChip`), and come through the port `weights`.

    Members
    -------
    x : In(input.width) x elements
        Codes of a sample.
    start : In(1)
        With `reuse`: a sample is at `x`; not again in the next ``reuse - 1`` clocks.
    write_address : In, write_data : In(8), write_enable : In(1)
        Byte of the weight image (`sim.network.weights`), written at the next clock edge. Addresses beyond it are
        ignored. Only where weights are loaded.
    weights : In(spec.weight_bits)
        With `outside`, in place of the three: rows of the weight image side by side, without the bits that fill bytes.
    y : Out(width) x elements
        Codes of the output; of several outputs ``y_<node>`` each.
    valid : Out(1)
        With `reuse`: results of a sample are new; they stay until those of the next.

    Raises
    ------
    ValueError
        If a layer has arithmetic that the hardware has not; the message names it. If constant weights are to be reused:
        they have no multipliers.
    """

    clocked = True

    def __init__(
        self, *, spec: NetworkSpec, frozen: dict[str, FrozenLayerWeights] | None = None, reuse: int = 1,
        register: Callable[..., Component] = PipelineRegister, cell: Callable[..., Component] = StorageCell,
        outside: bool = False,
    ):  # fmt: skip
        check_integer("reuse", reuse, 1, MOST_REUSE)
        if reuse > 1 and frozen is not None:
            raise ValueError(f"reuse: expected 1 with constant weights, which have no multipliers, got {reuse}")
        self._spec, self._frozen, self._register, self._cell = spec, frozen, register, cell
        self._reuse, self._outside = reuse, outside
        self._plan = plan(spec, reuse)
        self._ranges = {} if frozen is None else code_ranges(spec, frozen)
        for name, node in spec.layers.items():
            try:
                SumFormat.of(node, spec.tensors[node.inputs[0]].form, 1)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        self._loaded = bool(spec.layers) and frozen is None and not outside
        writes: dict[str, Any] = {"weights": In(spec.weight_bits)} if outside else {}
        if self._loaded:
            writes = {"write_address": In(sum(address_bits(spec))), "write_data": In(8), "write_enable": In(1)}
        outputs = {
            output_port(spec, name): Out(ArrayLayout(code_shape(spec.tensors[name].form), spec.tensors[name].size))
            for name in spec.outputs
        }
        inputs = {"x": In(ArrayLayout(code_shape(spec.input), spec.tensors[INPUT].size))}
        timed = ({"start": In(1)}, {"valid": Out(1)}) if reuse > 1 else ({}, {})
        super().__init__({**inputs, **timed[0], **writes, **outputs, **timed[1]})

    @property
    def dot_formats(self) -> dict[str, DotProductFormat]:
        """Every kind of dot product that it has, by layer and taps; none with constant weights."""
        found: dict[str, DotProductFormat] = {}
        for layer in self._plan.layers if self._frozen is None else ():
            if isinstance(layer.node, WeightedSum):
                x = layer.node.inputs[0]
                tensor, zeros = self._spec.tensors[x], self._plan.zeros[x]
                for taps in layer.node.taps(tensor.size):
                    count = sum(tap[0] not in zeros for tap in taps)
                    dot = serial_format(layer.node, tensor.form, count, self._reuse).dot if count else None
                    if dot is not None and dot not in found.values():
                        found[f"{layer.name}_{count}"] = dot
        return found

    @property
    def frozen_sums(self) -> dict[str, FrozenFormat]:
        """Formulas of its layers with constant weights, by name."""
        found = {}
        for layer in self._plan.layers if self._frozen is not None else ():
            if isinstance(layer.node, WeightedSum):
                found[layer.name] = described(FrozenWeightedLayer, **self._constant(layer)).sums
        return found

    @property
    def latency(self) -> int:
        """Clocks from a sample at the pins to its results at the pins."""
        return self._plan.latency

    @property
    def stored_bits(self) -> dict[str, int]:
        """Bits that are stored, in ``registers`` (values on their way) and of ``weights``.

        Each is three flip-flops where it is voted.
        """
        spec, tensors = self._spec, self._spec.tensors
        wires = {name: node for name, node in spec.nodes.items() if isinstance(node, Wire)}
        reads = [(x, layer.reads) for layer in self._plan.layers for x in layer.node.inputs]
        reads += [(x, self._plan.stages[name]) for name, node in wires.items() for x in node.inputs]
        reads += [(name, self.latency) for name in spec.outputs]
        kept: set[tuple[str, int]] = set()
        for name, clock in [*reads, *((x, self._plan.stages[x]) for x in (INPUT, *self._results))]:
            while clock > self._plan.stages[name] or (clock == self._plan.stages[name] and name not in wires):
                kept.add((name, clock))
                clock = self._before(name, clock)
        total = sum(tensors[name].size * tensors[name].form.width for name, _ in kept)
        if self._reuse > 1:
            total += self.latency
            for layer in self._plan.layers:
                if isinstance(layer.node, WeightedSum):
                    total += described(SerialWeightedLayer, **self._serial(layer)).state_bits
        return {"registers": total, "weights": spec.weight_bits if self._loaded else 0}

    @property
    def _results(self) -> list[str]:
        """Names of what the layers give."""
        return [layer.result for layer in self._plan.layers]

    def _before(self, name: str, clock: int) -> int:
        """Clock in which a value is in the register before the one in which it is at a clock.

        A value stays for as many clocks as there are between samples, so that one register may delay it by as many.
        """
        late = clock - self._plan.stages[name]
        return clock - ((late % self._reuse or self._reuse) if late else 1)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self._spec
        rows, columns = self._decoded(m)
        values: dict[tuple[str, int], Value] = {}
        times = self._times(m, platform)

        def registered(name: str, clock: int) -> Value:
            """A value as it is at a clock, counted from the one in which its sample is at the pins."""
            if (name, clock) not in values:
                before = registered(name, self._before(name, clock))
                part = place(m, platform, f"delay_{name}_{clock}", self._register, width=len(before))
                m.d.comb += part.i.eq(before if times is None else Mux(times[clock - 1], before, part.o))
                values[name, clock] = part.o
            return values[name, clock]

        values[INPUT, 0] = Value.cast(self.x)
        for name, node in spec.nodes.items():
            if isinstance(node, Wire):
                clock = self._plan.stages[name]
                values[name, clock] = self._wired(node, [registered(x, clock) for x in node.inputs])
            if layer := next((layer for layer in self._plan.layers if layer.name == name), None):
                inputs = [registered(x, layer.reads) for x in layer.node.inputs]
                output = self._place_layer(m, platform, layer, inputs, rows.get(name), columns, times)
                values[layer.result, layer.stage - 1] = output
        for name in spec.outputs:
            m.d.comb += Value.cast(getattr(self, output_port(spec, name))).eq(registered(name, self._plan.latency))
        if times is not None:
            m.d.comb += self.valid.eq(times[self.latency])
        return m

    def _times(self, m: Module, platform: object) -> Value | None:
        """Bit t: a sample was at the pins t clocks ago. None where a sample comes with every clock."""
        if self._reuse == 1:
            return None
        part = place(m, platform, "times", self._register, width=self.latency)
        times = Cat(self.start, part.o)
        m.d.comb += part.i.eq(times[:-1])
        return times

    def _constant(self, layer: Layer) -> dict[str, Any]:
        """Parameters of a layer with constant weights."""
        (x,) = layer.node.inputs
        ranges = tuple((int(low), int(high)) for low, high in self._ranges[x])
        return {
            "node": layer.node, "form": self._spec.tensors[x].form, "stores": layer.stores, "ranges": ranges,
            "weights": self._frozen[layer.name] if self._frozen else None,
        }  # fmt: skip

    def _serial(self, layer: Layer) -> dict[str, Any]:
        """Parameters of a layer that reuses its multipliers."""
        return self._stored(layer) | {"slots": self._reuse, "register": self._register}

    def _stored(self, layer: Layer) -> dict[str, Any]:
        """Parameters of every layer with weights that are no constants."""
        (x,) = layer.node.inputs
        tensor = self._spec.tensors[x]
        return {
            "node": layer.node, "size": tensor.size, "form": tensor.form, "stores": layer.stores,
            "zeros": self._plan.zeros[x], "cell": self._cell, **({"outside": True} if self._outside else {}),
        }  # fmt: skip

    def _place_layer(
        self, m: Module, platform: object, layer: Layer, inputs: list[Value], rows: Value | None, columns: Value,
        times: Value | None,
    ) -> Value:  # fmt: skip
        spec = self._spec
        name = f"layer_{layer.name}"
        tensors = tuple(spec.tensors[x] for x in layer.node.inputs)
        if not isinstance(layer.node, WeightedSum):
            part = place(
                m, platform, name, PlainLayer, label=layer.name, node=layer.node, tensors=tensors, stores=layer.stores
            )
            m.d.comb += [Value.cast(getattr(part, f"x{i}")).eq(value) for i, value in enumerate(inputs)]
            return Value.cast(part.y)
        if self._frozen is not None:
            part = place(m, platform, name, FrozenWeightedLayer, label=layer.name, **self._constant(layer))
        else:
            if times is None:
                part = place(m, platform, name, WeightedLayer, label=layer.name, **self._stored(layer))
            else:
                part = place(m, platform, name, SerialWeightedLayer, label=layer.name, **self._serial(layer))
                m.d.comb += part.slot.eq(times[layer.reads : layer.reads + self._reuse])
            if self._outside:
                rows_of = [row for row in weight_rows(spec) if row.layer == layer.name]
                first = sum(row.bits for row in weight_rows(spec)[: weight_rows(spec).index(rows_of[0])])
                m.d.comb += part.weights.eq(self.weights[first : first + sum(row.bits for row in rows_of)])
            else:
                m.d.comb += [part.rows.eq(rows), part.columns.eq(columns), part.data.eq(self.write_data)]
        m.d.comb += Value.cast(part.x).eq(inputs[0])
        return Value.cast(part.y)

    def _wired(self, node: Wire, inputs: list[Value]) -> Value:
        tensors = [self._spec.tensors[x] for x in node.inputs]
        width = tensors[0].form.width
        flat = Cat(inputs)
        return Cat(Const(0, width) if i < 0 else flat[i * width : (i + 1) * width] for i in node.sources)

    def _decoded(self, m: Module) -> tuple[dict[str, Signal], Value]:
        """Written row, one-hot for each layer, and written byte in the row, one-hot."""
        if not self._loaded:
            return {}, Const(0, 1)
        low = address_bits(self._spec)[1]
        rows = weight_rows(self._spec)
        number = self.write_address[low:]
        columns = Signal(max(row.size for row in rows))
        m.d.comb += columns.eq(Cat(self.write_address[:low] == i for i in range(len(columns))))
        selected: dict[str, list[Value]] = {}
        for place_, row in enumerate(rows):
            selected.setdefault(row.layer, []).append(self.write_enable & (number == Const(place_, len(number))))
        signals = {name: Signal(len(several), name=f"rows_{name}") for name, several in selected.items()}
        m.d.comb += [signals[name].eq(Cat(several)) for name, several in selected.items()]
        return signals, columns
