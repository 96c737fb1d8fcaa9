"""The whole concentrator: serial receivers to serial transmitters, configured over I2C."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.storage_cell import StorageCell
from hw.hgcal_encoder.concentrator_control import ConcentratorControl
from hw.hgcal_encoder.links.links import LINK_REGISTERS, Links
from hw.hgcal_encoder.register_view import CORE_SETTINGS, registers_of, status_of
from sim.hgcal_encoder.configuration.chip_registers import DEVICE_ADDRESS
from sim.hgcal_encoder.configuration.register_maps import Chip
from sim.hgcal_encoder.link_spec import ERX_LINKS, ETX_LINKS, TAPS, LinkSpec

__all__ = ["ConcentratorChip"]


class ConcentratorChip(Component):
    """Links, core and registers of one chip.

    The chip sends zeros, and its output buffer takes nothing in, until its run bit (``pusm_run``, on first silicon
    ``run``) is set. ChipSync starts the links anew and leaves registers and the pipeline of the core alone (choice).

    Reset: asynchronous, every flip-flop; registers take the reset values of their map.

    Parameters
    ----------
    chip : Chip
        Register map.
    weights : bool
        As for `ConcentratorControl`.
    links : LinkSpec
    core : class of Component
        Words in, words out: `words`, `bx`, `link_reset_econt`, `run`, `frames`, `overflow` and settings among
        `CORE_SETTINGS`.
    register, cell : class of Component
        As for `Links` and `ConcentratorControl`.
    device_address : int
        7-bit I2C address.
    **parameters
        Constructor arguments of the core; it gets `register` as well.

    Members
    -------
    serial_clk : In(1)
        1.28 GHz, as for `Links`.
    erx : In(15) x 12, command : In(1)
        Receivers.
    etx : Out(13)
        Transmitters.
    scl, sda : In(1), sda_low : Out(1)
        I2C lines.
    error : Out(1)
        Any error that is not masked.
    """

    clocked = True

    def __init__(
        self,
        *,
        chip: Chip,
        weights: bool = True,
        links: LinkSpec,
        core: Callable[..., Component],
        register: Callable[..., Component] = PipelineRegister,
        cell: Callable[..., Component] = StorageCell,
        device_address: int = DEVICE_ADDRESS,
        **parameters: Any,
    ):
        self._chip, self._links, self._core, self._parameters = chip, links, core, parameters
        self._weights = weights
        self._register, self._cell, self._device_address = register, cell, device_address
        super().__init__({
            "serial_clk": In(1), "erx": In(ArrayLayout(TAPS, ERX_LINKS)), "command": In(1), "etx": Out(ETX_LINKS),
            "scl": In(1), "sda": In(1), "sda_low": Out(1), "error": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = place(
            m, platform, "control", ConcentratorControl, chip=self._chip, weights=self._weights,
            device_address=self._device_address, register=self._register, cell=self._cell,
        )  # fmt: skip
        links = place(m, platform, "links", Links, spec=self._links, register=self._register)
        core = place(m, platform, "core", self._core, register=self._register, **self._parameters)
        registers = registers_of(self._chip, control)
        overflow = place(m, platform, "overflow", self._register, width=1)
        run = Signal()
        m.d.comb += [
            run.eq(registers["run"]),
            links.serial_clk.eq(self.serial_clk), links.erx.eq(self.erx), links.command.eq(self.command),
            self.etx.eq(links.etx), self.error.eq(links.error), links.errtop_read.eq(control.top_errors_read),
            *(getattr(links, name).eq(registers[name]) for name in LINK_REGISTERS),
            control.scl.eq(self.scl), control.sda.eq(self.sda), self.sda_low.eq(control.sda_low),
            core.words.eq(links.words), core.bx.eq(links.crossing), core.link_reset_econt.eq(links.reset_packet),
            core.run.eq(run),
            *(getattr(core, name).eq(registers[source]) for name, source in CORE_SETTINGS.items()
              if hasattr(core, name)),
            *(sent.eq(Mux(run, word, 0)) for sent, word in zip(links.frames, core.frames, strict=True)),
            overflow.i.eq(~registers["misc_rw_err_clr"] & (overflow.o | core.overflow)),
        ]  # fmt: skip
        status = status_of(self._chip, links, running=run, overflow=overflow.o)
        m.d.comb += [getattr(control, name).eq(value) for name, value in status.items()]
        return m
