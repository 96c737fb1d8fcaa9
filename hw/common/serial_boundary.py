"""A component with hundreds of pins behind five: for FPGA boards, and for timing between registers."""

from collections.abc import Collection

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import flat_ports

__all__ = ["SerialBoundary"]


class SerialBoundary(Component):
    """Registers on every input and output of a component, loaded and read through shift chains.

    The inputs' chain moves while `shift` is high; `load` copies it to the inputs, all at one clock edge. `capture`
    copies the outputs to their chain, which moves with `shift`, too. So the component itself runs at full clock rate
    between registers, whatever the number of pins of the package.

    Reset: all chains 0, asynchronous.

    Parameters
    ----------
    component : Component
        What stands behind the boundary; fresh, as it becomes part of this one.
    clocks : collection of str
        Inputs of the component that are clocks, such as ``fast_clk``: they become ports under their own names.

    Members
    -------
    shift, load, capture : In(1)
    serial_in : In(1)
        Enters at the most significant bit: the first bit shifted becomes bit 0 of the first input of the signature.
    serial_out : Out(1)
        Bit 0 of the outputs' chain: the first output of the signature, least significant bit first.
    (one for each of `clocks`) : In(1)

    Raises
    ------
    ValueError
        If the component has no inputs or no outputs beside clocks, or an input of `clocks` is not there.
    """

    clocked = True

    def __init__(self, *, component: Component, clocks: Collection[str] = ()):
        self._component = component
        flat = flat_ports(component)
        self._clocks = {name: value for name, way, value in flat if way == "input" and name in clocks}
        if missing := sorted(set(clocks) - set(self._clocks)):
            raise ValueError(f"clocks: the component has no input {', '.join(missing)}")
        self._inputs = [value for name, way, value in flat if way == "input" and name not in self._clocks]
        self._outputs = [value for _, way, value in flat if way == "output"]
        if not (self._inputs and self._outputs):
            raise ValueError(
                f"expected a component with inputs and outputs, got {len(self._inputs)} and {len(self._outputs)}"
            )
        super().__init__(
            {
                "shift": In(1),
                "load": In(1),
                "capture": In(1),
                "serial_in": In(1),
                "serial_out": Out(1),
                **dict.fromkeys(self._clocks, In(1)),
            }
        )

    @property
    def input_bits(self) -> int:
        """Length of the inputs' chain."""
        return sum(map(len, self._inputs))

    @property
    def output_bits(self) -> int:
        """Length of the outputs' chain."""
        return sum(map(len, self._outputs))

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.part = self._component
        chain_in, held = Signal(self.input_bits), Signal(self.input_bits, name="held")
        chain_out = Signal(self.output_bits)
        with m.If(self.shift):
            m.d.sync += [
                chain_in.eq(Cat(chain_in[1:], self.serial_in)),
                chain_out.eq(Cat(chain_out[1:], 0)),
            ]
        with m.Elif(self.capture):
            m.d.sync += chain_out.eq(Cat(self._outputs))
        with m.If(self.load):
            m.d.sync += held.eq(chain_in)
        m.d.comb += [Cat(self._inputs).eq(held), self.serial_out.eq(chain_out[0])]
        m.d.comb += [value.eq(getattr(self, name)) for name, value in self._clocks.items()]
        return m
