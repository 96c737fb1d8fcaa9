"""Agents of the whole concentrator: I2C controller with a mirror of the registers, and golden models behind the pins.

Those of receivers, fast commands and transmitters are in `tests/cosim/link_agents.py`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from cocotb.handle import SimHandleBase
from cocotbext.i2c import I2cMaster

from flows.verification.serial import expected_frames, front_registers
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorModel, ConcentratorSettings
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.configuration.chip_registers import DEVICE_ADDRESS, Access
from sim.hgcal_encoder.configuration.register_maps import Chip, MapField, RegisterValues, register_bytes
from sim.hgcal_encoder.link_spec import ERX_LINKS, ETX_LINKS, LINKS_PRODUCTION, TAPS
from sim.hgcal_encoder.links.front import Front, FrontOutput
from tests.cosim.concentrator_coverage import chip_coverage, chip_fields
from tests.cosim.link_agents import REGISTERS, Pins

_SCL_HZ = 2_000_000
"""What the library calls speed: its bits are twice as long, so this is Fast-mode Plus."""


TOP = "chip_on_bus"
_BUS = f"""module {TOP}(clk, rst, serial_clk, erx, command, etx, error, scl_1, sda_1, scl, sda);
  input clk;
  input rst;
  input serial_clk;
  input [{TAPS * ERX_LINKS - 1}:0] erx;
  input command;
  output [{ETX_LINKS - 1}:0] etx;
  output error;
  input scl_1;
  input sda_1;
  output scl;
  output sda;
  wire sda_low;
  assign scl = scl_1;
  assign sda = sda_1 & ~sda_low;
  CHIP chip(
    .clk(clk), .rst(rst), .serial_clk(serial_clk), .erx(erx), .command(command), .etx(etx), .error(error), .scl(scl),
    .sda(sda), .sda_low(sda_low)
  );
endmodule
"""


def on_bus(verilog: str, chip: str) -> str:
    """The Verilog of a whole chip and, as `TOP`, its I2C lines as a bus: a line is low if anyone pulls it low.

    A controller drives ``scl_1`` and ``sda_1`` (1 is released), and sees ``scl`` and ``sda``.
    """
    return verilog + _BUS.replace("CHIP chip", f"{chip} chip")


class RegisterAgent:
    """The controller of cocotbext-i2c, with a mirror: what is read has to be what the map and the writes before say.

    Parameters
    ----------
    dut : SimHandleBase
        Of a chip without registers of weights.
    """

    def __init__(self, dut: SimHandleBase) -> None:
        bench: Any = dut
        self.bus = I2cMaster(sda=bench.sda, sda_o=bench.sda_1, scl=bench.scl, scl_o=bench.scl_1, speed=_SCL_HZ)
        self.fields, self.coverage = chip_fields(), chip_coverage()["register"]
        stored = {key: field.reset for key, field in self.fields.items() if field.access is Access.READ_WRITE}
        self._mirror = register_bytes(Chip.PRODUCTION, stored)

    async def write(self, values: RegisterValues) -> None:
        """Write fields with the bytes that they lie in, neighbours in one burst; fields that have their value stay."""
        wanted: dict[int, int] = {}
        for key, value in values.items():
            field = self.fields[key]
            own = {}
            for number in range(field.size):
                address = field.address + number
                byte = wanted.get(address, self._mirror.get(address, 0))
                mask = ((1 << field.width) - 1) << field.lsb >> 8 * number & 0xFF
                own[address] = byte & ~mask | (value << field.lsb >> 8 * number & mask)
            if any(self._mirror.get(address) != byte for address, byte in own.items()):
                self._seen(field, "write")
                wanted |= own
        changed = sorted(wanted)
        while changed:
            length = next((n for n, a in enumerate(changed) if a != changed[0] + n), len(changed))
            run, changed = changed[:length], changed[length:]
            await self._transfer(run[0], bytes(wanted[address] for address in run))
        self._mirror |= {address: byte for address, byte in wanted.items() if address in self._mirror}

    async def read(self, name: str, index: int = 0) -> int:
        """Value of a field.

        Raises
        ------
        AssertionError
            If a field that is stored does not hold what was written, or one that is not built its reset value.
        """
        field = self.fields[name, index]
        self._seen(field, "read")
        data = await self.read_bytes(field.address, field.size)
        value = data >> field.lsb & ((1 << field.width) - 1)
        if field.access is Access.READ_WRITE:
            expected = sum(self._mirror[field.address + n] << 8 * n for n in range(field.size)) >> field.lsb
            assert value == expected & ((1 << field.width) - 1), f"{field.label}: got {value:#x}"
        elif field.built == "no":
            assert value == field.reset, f"{field.label}: got {value:#x}"
        return value

    async def read_bytes(self, address: int, count: int) -> int:
        """Bytes from an address on, the first one lowest."""
        await self._transfer(address, b"", stop=False)
        data = await self.bus.read(DEVICE_ADDRESS, count)
        await self.bus.send_stop()
        self.coverage.sample("read", count, None)
        return int.from_bytes(data, "little")

    async def _transfer(self, address: int, data: bytes, stop: bool = True) -> None:
        await self.bus.write(DEVICE_ADDRESS, address.to_bytes(2, "big") + data)
        if stop:
            await self.bus.send_stop()
            self.coverage.sample("write", len(data), None)

    def _seen(self, field: MapField, way: str) -> None:
        self.coverage.sample(way, 0, field)


def golden(
    pins: Pins, spec: ConcentratorSpec, settings: ConcentratorSettings, first: int, capture: int = 0
) -> tuple[np.ndarray, list[FrontOutput], Front]:
    """eTx words, and what the front shows, for everything that the pins got from a row on, and the front behind it.

    `capture` is the register ``fctrl_capture_fcmd_ctrl``.
    """
    registers = replace(front_registers(Chip.PRODUCTION, REGISTERS), track_mode=0, capture_fcmd_ctrl=capture)
    front = Front(LINKS_PRODUCTION)
    raw, commands = np.array(pins.raw[first:], np.int64), np.array(pins.commands[first:], np.int64)
    frames, steps = expected_frames(raw, commands, front, registers, ConcentratorModel(spec, settings))
    return frames, steps, front


def values_of(registers: Mapping[str, int]) -> RegisterValues:
    """Registers that there is one of."""
    return {(name, 0): value for name, value in registers.items()}
