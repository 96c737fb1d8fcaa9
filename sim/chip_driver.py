"""Driver of a chip over I2C: registers by name, images loaded and read back.

It needs a bus that can write bytes to a device, and write then read with a repeated START: any I2C adapter does (with
`smbus2`: two messages of one ``i2c_rdwr``), and so does a simulated chip (`flows.simulation.i2c_bus`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from sim.chip_registers import (
    DEVICE_ADDRESS,
    LOAD_BEGIN,
    LOAD_COMMIT,
    LOAD_STATUS,
    Access,
    ChipField,
    image_checksum,
    masks_of,
)
from sim.register_map import Field

__all__ = ["I2cBus", "LoadError", "RegisterBytes", "RegisterDriver"]

_CHECKING, _APPLIED = 0x02, 0x03
_POLLS = 1000
"""Times that the status is read at most: a load is judged within the time of a few bytes on the bus."""


class LoadError(RuntimeError):
    """The chip refused an image, or holds another than was written. `status` is its code, None without one."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class I2cBus(Protocol):
    """What the driver needs of an I2C adapter. A device that does not answer is an `OSError`."""

    def write(self, device: int, data: bytes) -> None:
        """START, device address with W, `data`, STOP."""

    def write_read(self, device: int, data: bytes, count: int) -> bytes:
        """START, device address with W, `data`, repeated START, device address with R, `count` bytes, STOP."""


class RegisterBytes:
    """Bytes of one chip's registers, and the fields in them.

    Parameters
    ----------
    bus : I2cBus
    device_address : int
        7 bits.
    burst : int
        Bytes of one transfer at most.

    Raises
    ------
    ValueError
        If `burst` is below 1.
    """

    def __init__(self, bus: I2cBus, *, device_address: int = DEVICE_ADDRESS, burst: int = 32) -> None:
        if burst < 1:
            raise ValueError(f"burst: expected at least 1 byte, got {burst}")
        self.bus = bus
        self._device, self._burst = device_address, burst

    def write_bytes(self, values: Mapping[int, int]) -> None:
        """Write bytes by address, neighbours in one transfer."""
        for address, data in self._runs(values):
            self.bus.write(self._device, address.to_bytes(2, "big") + data)

    def read_bytes(self, address: int, count: int) -> bytes:
        """Read bytes from an address upwards."""
        found = b""
        for first in range(address, address + count, self._burst):
            size = min(self._burst, address + count - first)
            found += self.bus.write_read(self._device, first.to_bytes(2, "big"), size)
        return found

    def _read_field(self, field: Field) -> int:
        """Value of a field."""
        data = self.read_bytes(field.address, field.size)
        return int.from_bytes(data, "little") >> field.lsb & ((1 << field.width) - 1)

    def _write_field(self, field: Field, value: int, *, keep: bool) -> None:
        """Set a field; with `keep`, other fields in its bytes are read before, and keep their values."""
        old = 0
        mask = ((1 << field.width) - 1) << field.lsb
        if keep and mask != (1 << 8 * field.size) - 1:
            old = int.from_bytes(self.read_bytes(field.address, field.size), "little") & ~mask
        data = (old | value << field.lsb).to_bytes(field.size, "little")
        self.write_bytes({field.address + i: byte for i, byte in enumerate(data)})

    def _runs(self, values: Mapping[int, int]) -> Iterator[tuple[int, bytes]]:
        """Neighbouring bytes, `burst` at most."""
        address, data = 0, b""
        for here in sorted(values):
            if data and (here != address + len(data) or len(data) == self._burst):
                yield address, data
                data = b""
            if not data:
                address = here
            data += bytes([values[here]])
        if data:
            yield address, data


class RegisterDriver(RegisterBytes):
    """Registers of one chip by name.

    Parameters
    ----------
    bus : I2cBus
    fields : tuple of ChipField
        Register map; loading is guarded if it has ``load_command``.
    device_address : int
        7 bits.
    burst : int
        Bytes of one transfer at most.

    Raises
    ------
    ValueError
        If `burst` is below 1.
    """

    def __init__(
        self,
        bus: I2cBus,
        fields: tuple[ChipField, ...],
        *,
        device_address: int = DEVICE_ADDRESS,
        burst: int = 32,
    ) -> None:
        super().__init__(bus, device_address=device_address, burst=burst)
        self._fields = {(field.name, field.index): field for field in fields}
        self._image = masks_of(field for field in fields if field.image)

    def field(self, name: str, index: int = 0) -> ChipField:
        """A field by name.

        Raises
        ------
        ValueError
            If there is none.
        """
        if (name, index) not in self._fields:
            raise ValueError(
                f"no register {name}[{index}]; there are {', '.join(sorted({n for n, _ in self._fields}))}"
            )
        return self._fields[name, index]

    def read(self, name: str, index: int = 0) -> int:
        """Value of a field.

        Raises
        ------
        ValueError
            If there is no such field, or it cannot be read.
        """
        field = self.field(name, index)
        if field.access is Access.COMMAND:
            raise ValueError(f"{name} is a command and cannot be read")
        return self._read_field(field)

    def write(self, name: str, value: int, index: int = 0) -> None:
        """Set a field; other fields in its bytes keep their values.

        Raises
        ------
        ValueError
            If there is no such field, it cannot be written, or the value does not fit. Nothing is written then.
        """
        field = self.field(name, index)
        if field.access is Access.READ_ONLY:
            raise ValueError(f"{name} cannot be written")
        if not 0 <= value < 1 << field.width:
            raise ValueError(f"{name}: expected 0 to {(1 << field.width) - 1:#x}, got {value:#x}")
        self._write_field(field, value, keep=field.access is Access.READ_WRITE)

    def load_image(self, image: Mapping[int, int]) -> None:
        """Load every byte of an image, have it applied where loading is guarded, and read it back.

        Raises
        ------
        LoadError
            If the chip refuses the image, or holds another one afterwards. Guarded loading has not applied anything
            then, unless the message says so.
        """
        if ("load_command", 0) in self._fields:
            self.write("load_command", LOAD_BEGIN)
            self.write_bytes(image)
            self.commit(image_checksum(image))
        else:
            self.write_bytes(image)
        held = self.read_image()
        if wrong := [address for address, byte in image.items() if held[address] != byte]:
            raise LoadError(
                f"{len(wrong)} bytes read back wrong, the first at {wrong[0]:#06x}: "
                f"expected {image[wrong[0]]:#04x}, got {held[wrong[0]]:#04x}"
            )

    def commit(self, checksum: int) -> None:
        """Have the image in the shadow bank checked and swapped in.

        Raises
        ------
        LoadError
            If the chip refuses it.
        """
        self.write("load_checksum", checksum)
        self.write("load_command", LOAD_COMMIT)
        for _ in range(_POLLS):
            status = self.read("load_status")
            if status != _CHECKING:
                break
        if status != _APPLIED:
            raise LoadError(f"load status {status:#04x}: {LOAD_STATUS.get(status, 'unknown')}", status)

    def read_image(self, *, shadow: bool = False) -> dict[int, int]:
        """Every byte of the image that is in use, or of the shadow bank."""
        if shadow:
            self.write("read_shadow", 1)
        found: dict[int, int] = {}
        for address, data in self._runs(self._image):
            found |= {address + i: byte for i, byte in enumerate(self.read_bytes(address, len(data)))}
        if shadow:
            self.write("read_shadow", 0)
        return found

    def clear_errors(self) -> None:
        """Set all error counters to 0."""
        self.write("clear_errors", 1)
        self.write("clear_errors", 0)
