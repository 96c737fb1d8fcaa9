"""I2C bus of a simulated chip: every transfer becomes levels of SCL and SDA, one pair per clock.

They have the shortest times of Fast-mode Plus; what else the chip does goes on in every clock meanwhile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from flows.simulation.native import NativeModel
from flows.stimulus.i2c import waveform

__all__ = ["SimulatedBus"]


class SimulatedBus(ABC):
    """A `sim.chip_driver.I2cBus` over a simulation that runs clock by clock; a context that closes it.

    Parameters
    ----------
    model : NativeModel
        It is reset.
    """

    def __init__(self, model: NativeModel) -> None:
        self.model = model
        model.run({"rst": [1, 1, 1], "scl": 1, "sda": 1})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.model.close()

    @abstractmethod
    def run(self, scl: npt.ArrayLike, sda: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Run clocks with these levels of the lines; SDA as the target pulls it (1: low)."""

    def idle(self, clocks: int) -> None:
        """Leave the bus alone."""
        self.run(np.ones(clocks, np.int64), np.ones(clocks, np.int64))

    def transfer(self, *messages: tuple[bytes, int]) -> list[int]:
        """Run a transfer; what the controller saw on SDA at each bit."""
        wave = waveform(*messages)
        pulled = self.run(wave.scl, wave.sda)
        return [int(bit) for bit in wave.sda[wave.looks] & (1 - pulled[wave.looks])]

    def write(self, device: int, data: bytes) -> None:
        """As `sim.chip_driver.I2cBus.write`."""
        seen = self.transfer((bytes([device << 1]) + data, 0))
        self._acknowledged(seen[8::9], device)

    def write_read(self, device: int, data: bytes, count: int) -> bytes:
        """As `sim.chip_driver.I2cBus.write_read`."""
        seen = self.transfer((bytes([device << 1]) + data, 0), (bytes([device << 1 | 1]), count))
        start = 9 * (len(data) + 2)
        self._acknowledged(seen[8:start:9], device)
        return bytes(
            sum(bit << (7 - place) for place, bit in enumerate(seen[first : first + 8]))
            for first in range(start, len(seen), 9)
        )

    def _acknowledged(self, answers: list[int], device: int) -> None:
        if any(answers):
            raise OSError(f"I2C device {device:#04x} does not acknowledge byte {answers.index(1)}")
