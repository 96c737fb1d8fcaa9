"""All links of the concentrator between its pins and whole words: receivers, front, transmitters."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import Registered
from hw.hgcal_encoder.links.deserialiser import DeserialiserLogic
from hw.hgcal_encoder.links.front import FRONT_REGISTERS, FRONT_STATUS, Front
from hw.hgcal_encoder.links.serialiser import SerialiserLogic, ShiftOutLogic
from sim.hgcal_encoder.link_spec import ERX_LINKS, ETX_LINKS, TAPS, WORD_BITS, LinkSpec

__all__ = ["LINK_REGISTERS", "Links"]

_SERIAL = "serial"
LINK_REGISTERS: dict[str, int] = FRONT_REGISTERS | {
    "erx_invert_data": ERX_LINKS, "etx_invert_data": ETX_LINKS, "formatterbuffer_etx_pattern": 3,
    "formatterbuffer_align_serializer": 6 * ETX_LINKS,
}  # fmt: skip
"""Registers that the links read, under the names of production, and their bits."""


class Links(Component):
    """Receivers, front and transmitters.

    Two clocks: one for crossings, 40 MHz, and one for bits, 1.28 GHz, with a rising edge at each of its edges and 31
    between. Everything but shift registers works with the first one. What the second one's 32 shift registers hold is
    taken at its edges as it is; a transmitter sees that a word is over by a flip-flop that changes with every crossing.

    Latency: that of `Front` from the edge of the crossing clock after a word's last bit; a transmitter has the first
    bit of a word at its pin one bit clock after the edge that takes the word.

    Parameters
    ----------
    spec : LinkSpec
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor, for all state of the crossing clock; the
        shift registers, whose upsets last a bit, are plain.

    Members
    -------
    serial_clk : In(1)
        Bit clock.
    erx : In(15) x 12
        Receivers: the pin as sampled by the taps of the delay line in the last bit.
    command : In(1)
        Fast-command line.
    etx : Out(1) x 13
        Transmitters.
    <register> : In, <status> : Out
        As `LINK_REGISTERS` and `FRONT_STATUS`.
    errtop_read : In(1)
    words, crossing, reset_packet, chip_sync, error
        Of `Front`.
    frames : In(32) x 13
        Words to send.
    """

    clocked = True

    def __init__(self, *, spec: LinkSpec, register: Callable[..., Component] = PipelineRegister):
        self._spec, self._register = spec, register
        super().__init__({
            "serial_clk": In(1), "erx": In(ArrayLayout(TAPS, ERX_LINKS)), "command": In(1), "etx": Out(ETX_LINKS),
            "errtop_read": In(1), **{name: In(width) for name, width in LINK_REGISTERS.items()},
            **{name: Out(width) for name, width in FRONT_STATUS.items()},
            "words": Out(ArrayLayout(WORD_BITS, ERX_LINKS)), "crossing": Out(12), "reset_packet": Out(1),
            "chip_sync": Out(1), "error": Out(1), "frames": In(ArrayLayout(WORD_BITS, ETX_LINKS)),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.domains += ClockDomain(_SERIAL, async_reset=True)
        m.d.comb += [ClockSignal(_SERIAL).eq(self.serial_clk), ResetSignal(_SERIAL).eq(ResetSignal())]
        toggle = place(m, platform, "toggle", self._register, width=1)
        m.d.comb += toggle.i.eq(~toggle.o)

        front = place(m, platform, "front", Front, spec=self._spec, register=self._register)
        shared = (*FRONT_STATUS, "words", "crossing", "reset_packet", "chip_sync", "error")
        m.d.comb += [getattr(front, name).eq(getattr(self, name)) for name in (*FRONT_REGISTERS, "errtop_read")]
        m.d.comb += [getattr(self, name).eq(getattr(front, name)) for name in shared]

        def receiver(name: str, samples: Value, tap: Value, enable: Value, invert: Value) -> Any:
            found = place(m, platform, name, Registered, logic=DeserialiserLogic, domain=_SERIAL)
            m.d.comb += [
                found.samples.eq(samples), found.tap.eq(tap), found.enable.eq(enable), found.invert.eq(invert),
                found.toggle.eq(toggle.o),
            ]  # fmt: skip
            return found

        for link in range(ERX_LINKS):
            bits = receiver(
                f"receiver_{link}", self.erx[link], front.taps[link], self.erx_enable[link], self.erx_invert_data[link]
            )
            m.d.comb += [front.raw[link].eq(bits.word), front.edges[link].eq(bits.edges)]
        commands = receiver("commands", self.command.replicate(TAPS), Value.cast(0), Value.cast(1), Value.cast(0))
        m.d.comb += front.command_samples.eq(commands.word)

        for link in range(ETX_LINKS):
            words = place(
                m, platform, f"serialiser_{link}", Registered, logic=SerialiserLogic, register=self._register,
                spec=self._spec,
            )  # fmt: skip
            pin = place(m, platform, f"transmitter_{link}", Registered, logic=ShiftOutLogic, domain=_SERIAL)
            m.d.comb += [
                words.word.eq(self.frames[link]),
                words.align.eq(self.formatterbuffer_align_serializer.word_select(link, 6)),
                words.pattern.eq(self.formatterbuffer_etx_pattern),
                words.invert.eq(self.etx_invert_data[link]),
                pin.bits.eq(words.bits),
                pin.toggle.eq(toggle.o),
                self.etx[link].eq(pin.pin),
            ]
        return m
