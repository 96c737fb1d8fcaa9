"""I2C waveforms: the levels that a controller drives on SCL and SDA, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Waveform", "waveform"]


# clocks of 25 ns: the minima of Fast-mode Plus in UM10204, rounded up
_LOW, _HIGH, _FREE = 20, 11, 20
_SETUP = 2


@dataclass(frozen=True)
class Waveform:
    """Levels of the controller on the two lines, one a clock, and where it looks at SDA.

    Attributes
    ----------
    scl, sda : ndarray of int, shape (clocks,)
    looks : ndarray of int
        Clocks in which the controller samples SDA: one for each bit and acknowledge of the transfer.
    """

    scl: npt.NDArray[np.int64]
    sda: npt.NDArray[np.int64]
    looks: npt.NDArray[np.int64]


def waveform(*messages: tuple[bytes, int]) -> Waveform:
    """One transfer: messages, joined by repeated STARTs, and a STOP.

    Parameters
    ----------
    *messages : (data, count)
        Bytes that the controller sends, device address first, and how many it then receives.
    """
    scl: list[int] = []
    sda: list[int] = []
    looks: list[int] = []

    def hold(clocks: int, c: int, d: int) -> None:
        scl.extend([c] * clocks)
        sda.extend([d] * clocks)

    def bit(level: int) -> None:
        # data follows the falling edge by one clock
        hold(1, 0, sda[-1])
        hold(_LOW - 1, 0, level)
        hold(_HIGH, 1, level)
        looks.append(len(scl) - 1)

    hold(_FREE, 1, 1)
    for number, (data, count) in enumerate(messages):
        if number:
            hold(1, 0, sda[-1])
            hold(_LOW - 1, 0, 1)
            hold(_HIGH, 1, 1)
        hold(_HIGH, 1, 0)
        for byte in data:
            for place in range(7, -1, -1):
                bit(byte >> place & 1)
            bit(1)
        for index in range(count):
            for _ in range(8):
                bit(1)
            bit(int(index == count - 1))
    hold(1, 0, sda[-1])
    hold(_LOW - 1, 0, 0)
    hold(_HIGH, 1, 0)
    hold(_FREE, 1, 1)
    return Waveform(np.array(scl), np.array(sda), np.array(looks))
