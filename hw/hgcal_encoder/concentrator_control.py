"""Control of the concentrator: I2C target, registers, commands and status at the addresses of either chip."""

from collections.abc import Callable

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out

from hw.common.hierarchy import place
from hw.common.i2c_target import I2cTargetLogic
from hw.common.pipeline_register import PipelineRegister
from hw.common.register_file import RegisterFile
from hw.common.registered import Registered
from hw.common.status_reader import StatusReader
from hw.common.storage_cell import StorageCell
from sim.hgcal_encoder.configuration.chip_registers import DEVICE_ADDRESS, Access
from sim.hgcal_encoder.configuration.register_maps import Built, Chip, MapField, groups, register_fields

__all__ = ["ConcentratorControl"]

_BAD_ADDRESSES = "misc_wbmaster_err_wb_adr_cnt"
_ADDRESS_BITS = 16


class ConcentratorControl(Component):
    """Registers of a concentrator behind I2C; all fields of `register_fields`.

    Writing a command field (access ``wo``) shows at its port for one clock. Fields with `Built.NO` read their reset
    values. Accesses to addresses without a field are counted where the chip has a counter for them.

    Reset: the reset value of every field, asynchronous. ChipSync does not reach them.

    Parameters
    ----------
    chip : Chip
        Register map.
    weights : bool
        With the registers of the autoencoder's weights; a chip without autoencoder needs none.
    device_address : int
        7-bit I2C address.
    register : class of Component
        `PipelineRegister` or a component with the same ports and constructor, for the I2C target and the counter.
    cell : class of Component
        Storage of a byte, as for `RegisterFile`.

    Members
    -------
    scl, sda : In(1), sda_low : Out(1)
        I2C lines.
    <group> : Out
        Fields that can be written; the field with the lowest index in the lowest bits.
    <group> : In
        Read-only fields that work.
    top_errors_read : Out(1)
        The bus read the last byte of the error flags of the chip.
    """

    clocked = True

    def __init__(
        self,
        *,
        chip: Chip,
        weights: bool = True,
        device_address: int = DEVICE_ADDRESS,
        register: Callable[..., Component] = PipelineRegister,
        cell: Callable[..., Component] = StorageCell,
    ):
        self._device_address, self._register, self._cell = device_address, register, cell
        fields = [field for field in register_fields(chip) if weights or field.block != "Encoder"]
        self._stored = [field for field in fields if field.access is Access.READ_WRITE]
        self._shown = [field for field in fields if field.access is Access.READ_ONLY]
        self._commands = [field for field in fields if field.access is Access.COMMAND and field.built is Built.YES]
        self._constant = tuple(sorted({field.name for field in self._shown if field.built is Built.NO}))
        self._counted = _BAD_ADDRESSES in {field.name for field in self._shown}
        outputs, commands = _widths(self._stored), _widths(self._commands)
        status = {
            name: width
            for name, width in _widths(self._shown).items()
            if name not in self._constant and name != _BAD_ADDRESSES
        }
        if twice := sorted(outputs.keys() & status.keys()):
            raise ValueError(f"fields that are read-only and not: {', '.join(twice)}")
        self.registers, self.commands, self.status = outputs, commands, status
        super().__init__({
            "scl": In(1), "sda": In(1), "sda_low": Out(1),
            **{name: Out(width) for name, width in (outputs | commands).items()},
            **{name: In(width) for name, width in status.items()},
            "top_errors_read": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        target = place(
            m, platform, "i2c", Registered, logic=I2cTargetLogic, register=self._register,
            device_address=self._device_address,
        )  # fmt: skip
        store = place(
            m, platform, "registers", RegisterFile, fields=tuple(self._stored), address_width=_ADDRESS_BITS,
            cell=self._cell, readable=True,
        )  # fmt: skip
        status = place(
            m, platform, "status", StatusReader, fields=tuple(self._shown), constant=self._constant,
            address_width=_ADDRESS_BITS,
        )  # fmt: skip
        m.d.comb += [
            target.scl.eq(self.scl), target.sda.eq(self.sda), self.sda_low.eq(target.sda_low),
            store.write_address.eq(target.address), store.write_data.eq(target.write_data),
            store.write_enable.eq(target.write_enable), status.address.eq(target.address),
            target.read_data.eq(store.read_data | status.read_data),
            *(getattr(self, name).eq(getattr(store, name)) for name in self.registers),
            *(getattr(status, name).eq(getattr(self, name)) for name in self.status),
        ]  # fmt: skip
        for name, fields in groups(self._commands).items():
            hits = [
                target.write_enable & (target.address == field.address) & target.write_data[field.lsb]
                for field in fields
            ]
            m.d.comb += getattr(self, name).eq(Cat(hits))
        last = max(
            field.address + field.size - 1
            for field in self._shown
            if field.name in ("errtop_err_dat_top", "errtop_err_out_top")
        )
        m.d.comb += self.top_errors_read.eq(target.read_enable & (target.address == last))
        if self._counted:
            written = Cat(target.address == address for address in sorted({f.address for f in self._commands})).any()
            access = target.read_enable | target.write_enable
            bad = access & ~store.mapped & ~status.mapped & ~written
            count = place(m, platform, "bad_addresses", self._register, width=8)
            cleared = Signal()
            m.d.comb += [
                cleared.eq(self.misc_rw_err_clr_0),
                count.i.eq(Mux(cleared, 0, count.o + (bad & ~count.o.all()))),
                getattr(status, _BAD_ADDRESSES).eq(count.o),
            ]
        return m


def _widths(fields: list[MapField]) -> dict[str, int]:
    """Bits of each group."""
    return {name: sum(field.width for field in group) for name, group in groups(fields).items()}
