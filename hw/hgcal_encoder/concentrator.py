"""A concentrator with its settings in registers: what stands between word aligners and serialisers of ECON-T."""

from collections.abc import Callable

from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.register_file import RegisterFile
from hw.common.storage_cell import StorageCell
from hw.hgcal_encoder.concentrator_core import ConcentratorCore, algorithm_latency
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_fields
from sim.hgcal_encoder.configuration.registers import ADDRESS_WIDTH
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS

__all__ = ["Concentrator"]


class Concentrator(Component):
    """`ConcentratorCore` behind a byte-wide write port.

    Settings are static while data flows: a write shows at the data path one clock later. Reset is asynchronous and
    reaches every flip-flop: settings take their reset values, the buffer is empty.

    Parameters
    ----------
    spec : ConcentratorSpec
    register : class of Component
        As for `ConcentratorCore`.
    cell : class of Component
        Storage of one byte of settings: `StorageCell` or a component with the same ports and constructor.

    Members
    -------
    words : In(32) x 12
    bx : In(12)
    link_reset_econt, run : In(1)
        As for `ConcentratorCore`.
    write_address : In(16)
        Byte address in `sim.hgcal_encoder.configuration.concentrator_registers`.
    write_data : In(8)
    write_enable : In(1)
        Write at the next clock edge.
    frames : Out(32) x 13
    overflow : Out(1)
        As for `ConcentratorCore`.
    """

    clocked = True

    def __init__(
        self,
        *,
        spec: ConcentratorSpec,
        register: Callable[..., Component] = PipelineRegister,
        cell: Callable[..., Component] = StorageCell,
    ) -> None:
        self._spec, self._register, self._cell = spec, register, cell
        super().__init__({
            "words": In(ArrayLayout(32, ERX_WORDS)), "bx": In(12), "link_reset_econt": In(1), "run": In(1),
            "write_address": In(ADDRESS_WIDTH), "write_data": In(8), "write_enable": In(1),
            "frames": Out(ArrayLayout(32, ETX_WORDS)), "overflow": Out(1),
        })  # fmt: skip

    @property
    def spec(self) -> ConcentratorSpec:
        """What was generated."""
        return self._spec

    @property
    def latency(self) -> int:
        """Clocks from words to the eTx words sent in their crossing, with the slowest algorithm of the chip."""
        return max(self.latency_of(number) for number in self._spec.numbers)

    def latency_of(self, number: AlgorithmNumber) -> int:
        """The same with one algorithm selected."""
        return algorithm_latency(number)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        registers = place(
            m, platform, "registers", RegisterFile, fields=concentrator_fields(self._spec),
            address_width=ADDRESS_WIDTH, cell=self._cell,
        )  # fmt: skip
        core = place(m, platform, "core", ConcentratorCore, spec=self._spec, register=self._register)
        m.d.comb += [
            registers.write_address.eq(self.write_address),
            registers.write_data.eq(self.write_data),
            registers.write_enable.eq(self.write_enable),
        ]
        m.d.comb += [getattr(core, name).eq(getattr(registers, name)) for name in self._spec.settings]
        for name in ("words", "bx", "link_reset_econt", "run"):
            m.d.comb += getattr(core, name).eq(getattr(self, name))
        m.d.comb += [self.frames.eq(core.frames), self.overflow.eq(core.overflow)]
        return m
