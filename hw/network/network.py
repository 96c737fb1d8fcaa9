"""A whole network: one sample enters at every clock, its results leave a fixed number of clocks later."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.scheme import Scheme
from hw.common.storage_cell import StorageCell
from hw.common.voted_cell import VotedCell
from hw.common.voted_register import VotedRegister
from hw.network.frozen import FrozenLayerWeights, FrozenWeightedLayer
from hw.network.neuron import SumFormat
from hw.network.plain_layers import PlainLayer
from hw.network.plan import Layer, plan
from hw.network.stores import code_shape
from hw.network.weighted_layer import WeightedLayer
from sim.network.nodes import WeightedSum, Wire
from sim.network.spec import INPUT, NetworkSpec
from sim.network.weights import address_bits, weight_rows

__all__ = ["PROTECTION", "Network", "output_port"]

PROTECTION: dict[Scheme, dict[str, Callable[..., Component]]] = {
    Scheme.NONE: {},
    Scheme.TMR_REGISTERS: {"register": VotedRegister, "cell": VotedCell},
}
"""Parameters of a `Network` by scheme. Code words need a walk that corrects what is stored, which a network has not."""


def output_port(spec: NetworkSpec, name: str) -> str:
    """Port of an output: ``y``, or ``y_`` and the name of the node where there are several."""
    return "y" if len(spec.outputs) == 1 else f"y_{name}"


class Network(Component):
    """Every layer at once, with a register behind each and behind the inputs.

    One sample per clock, no flow control. Bit for bit what `sim.network.model.Network` computes. Weights are static
    while data flows: a write shows at the data path one clock later, and samples in flight meanwhile mix old and new.

    Reset is asynchronous and reaches every flip-flop: all weights and values are 0.

    Parameters
    ----------
    spec : NetworkSpec
    frozen : mapping of str to FrozenLayerWeights, optional
        Weights that are folded into the logic: none are stored, there is no write port.
    register : class of Component
        Pipeline register: `PipelineRegister` or a component with the same ports and constructor.
    cell : class of Component
        Storage of one byte of weights: `StorageCell` or a component with its ports and its constructor.

    Members
    -------
    x : In(input.width) x elements
        Codes of a sample.
    write_address : In, write_data : In(8), write_enable : In(1)
        Byte of the weight image (`sim.network.weights`), written at the next clock edge. Addresses beyond it are
        ignored. Only where weights are loaded.
    y : Out(width) x elements
        Codes of the output; of several outputs ``y_<node>`` each.

    Raises
    ------
    ValueError
        If a layer has arithmetic that the hardware has not; the message names it.
    """

    clocked = True

    def __init__(
        self, *, spec: NetworkSpec, frozen: dict[str, FrozenLayerWeights] | None = None,
        register: Callable[..., Component] = PipelineRegister, cell: Callable[..., Component] = StorageCell,
    ):  # fmt: skip
        self._spec, self._frozen, self._register, self._cell = spec, frozen, register, cell
        self._plan = plan(spec)
        for name, node in spec.layers.items():
            try:
                SumFormat.of(node, spec.tensors[node.inputs[0]].form, 1)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        self._loaded = bool(spec.layers) and frozen is None
        writes = (
            {"write_address": In(sum(address_bits(spec))), "write_data": In(8), "write_enable": In(1)}
            if self._loaded
            else {}
        )
        outputs = {
            output_port(spec, name): Out(ArrayLayout(code_shape(spec.tensors[name].form), spec.tensors[name].size))
            for name in spec.outputs
        }
        inputs = {"x": In(ArrayLayout(code_shape(spec.input), spec.tensors[INPUT].size))}
        super().__init__({**inputs, **writes, **outputs})

    @property
    def latency(self) -> int:
        """Clocks from a sample at the pins to its results at the pins."""
        return self._plan.latency

    @property
    def state_bits(self) -> int:
        """Bits that are stored: of values on their way, and of weights. Each is three flip-flops where it is voted."""
        begin = {INPUT: 0, **{layer.result: layer.stage - 1 for layer in self._plan.layers}}
        begin |= {name: self._plan.stages[name] for name, node in self._spec.nodes.items() if isinstance(node, Wire)}
        end = dict(begin)
        reads = [(x, layer.stage - 1) for layer in self._plan.layers for x in layer.node.inputs]
        reads += [(x, self._plan.stages[name]) for name, node in self._spec.nodes.items()
                  if isinstance(node, Wire) for x in node.inputs]  # fmt: skip
        for name, stage in [*reads, *((name, self.latency) for name in self._spec.outputs)]:
            end[name] = max(end[name], stage)
        tensors = self._spec.tensors
        stored = sum((end[x] - first) * tensors[x].size * tensors[x].form.width for x, first in begin.items())
        return stored + (self._spec.weight_bits if self._loaded else 0)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec = self._spec
        rows, columns = self._decoded(m)
        values: dict[tuple[str, int], Value] = {}

        def registered(name: str, stage: int) -> Value:
            """A value behind as many registers as a stage is."""
            if (name, stage) not in values:
                before = registered(name, stage - 1)
                part = place(m, platform, f"delay_{name}_{stage}", self._register, width=len(before))
                m.d.comb += part.i.eq(before)
                values[name, stage] = part.o
            return values[name, stage]

        values[INPUT, 0] = Value.cast(self.x)
        for name, node in spec.nodes.items():
            if isinstance(node, Wire):
                stage = self._plan.stages[name]
                values[name, stage] = self._wired(node, [registered(x, stage) for x in node.inputs])
            if layer := next((layer for layer in self._plan.layers if layer.name == name), None):
                inputs = [registered(x, layer.stage - 1) for x in layer.node.inputs]
                output = self._place_layer(m, platform, layer, inputs, rows.get(name), columns)
                values[layer.result, layer.stage - 1] = output
        for name in spec.outputs:
            m.d.comb += Value.cast(getattr(self, output_port(spec, name))).eq(registered(name, self.latency))
        return m

    def _place_layer(
        self, m: Module, platform: object, layer: Layer, inputs: list[Value], rows: Value | None, columns: Value
    ) -> Value:
        spec = self._spec
        name = f"layer_{layer.name}"
        tensors = tuple(spec.tensors[x] for x in layer.node.inputs)
        if not isinstance(layer.node, WeightedSum):
            part = place(
                m, platform, name, PlainLayer, label=layer.name, node=layer.node, tensors=tensors, stores=layer.stores
            )
            m.d.comb += [Value.cast(getattr(part, f"x{i}")).eq(value) for i, value in enumerate(inputs)]
            return Value.cast(part.y)
        zeros = self._plan.zeros[layer.node.inputs[0]]
        if self._frozen is not None:
            part = place(
                m, platform, name, FrozenWeightedLayer, label=layer.name, node=layer.node, size=tensors[0].size,
                form=tensors[0].form, stores=layer.stores, zeros=zeros, weights=self._frozen[layer.name],
            )  # fmt: skip
        else:
            part = place(
                m, platform, name, WeightedLayer, label=layer.name, node=layer.node, size=tensors[0].size,
                form=tensors[0].form, stores=layer.stores, zeros=zeros, cell=self._cell,
            )  # fmt: skip
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
