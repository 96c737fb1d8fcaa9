"""All links of the concentrator between its pins and whole words: receivers, front, transmitters."""

from collections.abc import Callable
from typing import Any

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Const, Module, ResetSignal, Value
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.common.registered import Registered, delayed
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
    between. Everything but shift registers works with the first one. Between the two lies no logic: what a receiver
    holds is taken by flip-flops of the first clock as it is, a transmitter loads what such flip-flops hold, and the tap
    of a receiver comes from flip-flops. That a word is over a shift register sees in a flip-flop of its own that
    changes with every crossing.

    Latency: one more than that of `Front` from the edge of the crossing clock after a word's last bit; a transmitter
    has the first bit of a word at its pin one bit clock after the edge that takes the word.

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

        def later(name: str, value: Value) -> Value:
            return delayed(m, platform, name, value, register=self._register, errors=[])

        def toggle(name: str) -> Value:
            found = place(m, platform, f"{name}_toggle", self._register, width=1)
            m.d.comb += found.i.eq(~found.o)
            bit: Value = found.o
            return bit

        front = place(m, platform, "front", Front, spec=self._spec, register=self._register)
        shared = (*FRONT_STATUS, "words", "crossing", "reset_packet", "chip_sync", "error")
        m.d.comb += [getattr(front, name).eq(getattr(self, name)) for name in (*FRONT_REGISTERS, "errtop_read")]
        m.d.comb += [getattr(self, name).eq(getattr(front, name)) for name in shared]

        def receiver(name: str, samples: Value, tap: Value, enable: Value, invert: Value) -> Any:
            found = place(m, platform, name, Registered, logic=DeserialiserLogic, domain=_SERIAL)
            m.d.comb += [
                found.samples.eq(samples), Cat(found.tap, found.enable, found.invert).eq(Cat(tap, enable, invert)),
                found.toggle.eq(toggle(name)),
            ]  # fmt: skip
            return found

        for link in range(ERX_LINKS):
            name = f"receiver_{link}"
            tap = later(f"{name}_tap", front.taps[link])
            bits = receiver(name, self.erx[link], tap, self.erx_enable[link], self.erx_invert_data[link])
            m.d.comb += [
                front.raw[link].eq(later(f"{name}_word", bits.word)),
                front.edges[link].eq(later(f"{name}_edges", bits.edges)),
            ]
        bits = receiver("commands", self.command.replicate(TAPS), Const(0, 4), Const(1, 1), Const(0, 1))
        m.d.comb += front.command_samples.eq(later("commands_word", bits.word))

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
                pin.toggle.eq(toggle(f"transmitter_{link}")),
                self.etx[link].eq(pin.pin),
            ]
        return m
