"""What stands at the other end of the links: words to bits for receivers, bits of transmitters to words."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import Registered
from hw.hgcal_encoder.concentrator_chip import ConcentratorChip
from hw.hgcal_encoder.links.deserialiser import DeserialiserLogic
from hw.hgcal_encoder.links.serialiser import ShiftOutLogic
from sim.hgcal_encoder.link_spec import ERX_LINKS, ETX_LINKS, TAPS, WORD_BITS

__all__ = ["ChipWithPartner"]

_SERIAL = "serial"


class ChipWithPartner(Component):
    """A concentrator behind links whose other end works in words: for native simulation and FPGA boards.

    What `raw` holds in a crossing travels as 32 bits, first one from bit 31; skew is made by cutting words elsewhere.
    All taps of a receiver see the same. Of a transmitter the newest 32 bits are shown, wherever its words begin.

    Parameters
    ----------
    **parameters
        Of `ConcentratorChip`.

    Members
    -------
    serial_clk : In(1)
        Bit clock.
    raw : In(32) x 12, command_samples : In(32)
        Bits for receivers and fast-command line.
    received : Out(32) x 13
        Bits of transmitters, oldest in bit 31.
    scl, sda : In(1), sda_low, error : Out(1)
        Those of the chip.
    """

    clocked = True

    def __init__(self, **parameters: Any):
        self._parameters = parameters
        super().__init__({
            "serial_clk": In(1), "raw": In(ArrayLayout(WORD_BITS, ERX_LINKS)), "command_samples": In(WORD_BITS),
            "received": Out(ArrayLayout(WORD_BITS, ETX_LINKS)), "scl": In(1), "sda": In(1), "sda_low": Out(1),
            "error": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains += ClockDomain(_SERIAL, async_reset=True)
        m.d.comb += [ClockSignal(_SERIAL).eq(self.serial_clk), ResetSignal(_SERIAL).eq(ResetSignal())]
        chip = place(m, platform, "chip", ConcentratorChip, **self._parameters)
        toggle = place(m, platform, "toggle", PipelineRegister, width=1)

        def serial(name: str, logic: Callable[..., Component]) -> Any:
            part = place(m, platform, name, Registered, logic=logic, domain=_SERIAL)
            m.d.comb += part.toggle.eq(toggle.o)
            return part

        m.d.comb += [
            toggle.i.eq(~toggle.o), chip.serial_clk.eq(self.serial_clk), chip.scl.eq(self.scl), chip.sda.eq(self.sda),
            self.sda_low.eq(chip.sda_low), self.error.eq(chip.error),
        ]  # fmt: skip
        for link in range(ERX_LINKS):
            line = serial(f"line_{link}", ShiftOutLogic)
            m.d.comb += [line.bits.eq(self.raw[link]), chip.erx[link].eq(line.pin.replicate(TAPS))]
        commands = serial("command_line", ShiftOutLogic)
        m.d.comb += [commands.bits.eq(self.command_samples), chip.command.eq(commands.pin)]
        for link in range(ETX_LINKS):
            seen = serial(f"seen_{link}", DeserialiserLogic)
            m.d.comb += [
                seen.samples.eq(chip.etx[link].replicate(TAPS)), seen.tap.eq(Value.cast(0)), seen.enable.eq(1),
                self.received[link].eq(seen.word),
            ]  # fmt: skip
        return m
