"""The whole chip in native simulation: bunch crossings stream while the I2C bus works.

Every I2C transfer becomes levels of SCL and SDA, one pair per clock, at the shortest times of Fast-mode Plus; crossings
go in and frames come out in every clock meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from flows.simulation import FastClock, NativeModel, Port, Words, build_native
from hw.common.scheme import Scheme
from sim.hgcal_encoder.chip_registers import Loading
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS, EncoderSpec

__all__ = ["ChipBench", "ChipModel", "Waveform", "waveform"]

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


class ChipModel:
    """A simulated chip with its bus: an `sim.hgcal_encoder.driver.I2cBus`.

    Parameters
    ----------
    model : NativeModel
    latency : int
        Clocks from words to frames.
    feed : callable, optional
        Told a number of clocks, returns as many rows of words; zeros if left out.

    Attributes
    ----------
    sent, frames : list of ndarray
        Words that went in, and what the frame pins showed in the same clocks.
    """

    def __init__(self, model: NativeModel, latency: int, feed: Callable[[int], Words] | None = None) -> None:
        self.model, self.latency, self.feed = model, latency, feed
        self.sent: list[Words] = []
        self.frames: list[Words] = []
        model.run({"rst": [1, 1, 1], "scl": 1, "sda": 1})

    def __enter__(self) -> ChipModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.model.close()

    def run(self, scl: npt.ArrayLike, sda: npt.ArrayLike, words: Words | None = None) -> npt.NDArray[np.int64]:
        """Run clocks with these levels of the lines; SDA as the target pulls it (1: low)."""
        scl, sda = np.asarray(scl), np.asarray(sda)
        if words is None:
            words = self.feed(len(scl)) if self.feed is not None else np.zeros((len(scl), ERX_WORDS), np.uint32)
        seen = self.model.run({"words": words, "scl": scl, "sda": sda})
        self.sent.append(words)
        self.frames.append(seen["frames"].astype(np.uint32))
        return seen["sda_low"]

    def idle(self, clocks: int) -> None:
        """Leave the bus alone."""
        self.run(np.ones(clocks, np.int64), np.ones(clocks, np.int64))

    def transfer(self, *messages: tuple[bytes, int]) -> list[int]:
        """Run a transfer; what the controller saw on SDA at each bit."""
        wave = waveform(*messages)
        pulled = self.run(wave.scl, wave.sda)
        return [int(bit) for bit in wave.sda[wave.looks] & (1 - pulled[wave.looks])]

    def write(self, device: int, data: bytes) -> None:
        """As `I2cBus.write`."""
        seen = self.transfer((bytes([device << 1]) + data, 0))
        self._acknowledged(seen[8::9], device)

    def write_read(self, device: int, data: bytes, count: int) -> bytes:
        """As `I2cBus.write_read`."""
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

    def streamed(self) -> tuple[Words, Words]:
        """Words so far and their frames, the latency taken out; the last words, whose frames are to come, left out."""
        words, frames = np.concatenate(self.sent), np.concatenate(self.frames)
        return words[: len(words) - self.latency], frames[self.latency :]


class ChipBench:
    """A chip, compiled once.

    Parameters
    ----------
    spec : EncoderSpec
    scheme : Scheme
    loading : Loading
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, spec: EncoderSpec, scheme: Scheme, loading: Loading, timeout_s: float = 900.0) -> None:
        from hw.common.export import to_verilog
        from hw.hgcal_encoder.chip import Chip

        chip = Chip(spec=spec, scheme=scheme, loading=loading)
        self.spec, self.scheme, self.loading, self.latency = spec, scheme, loading, int(chip.latency)
        self.top = f"{spec.name}_CHIP"
        self.library: Path
        self.ports: tuple[Port, ...]
        fast = FastClock(port="fast_clk", ratio=spec.reuse) if spec.reuse > 1 else None
        self.library, self.ports = build_native(
            to_verilog(chip, self.top), self.top, clock="clk", fast=fast, timeout_s=timeout_s
        )

    def model(self, feed: Callable[[int], Words] | None = None, seed: int = 1) -> ChipModel:
        """A fresh chip behind its reset."""
        return ChipModel(NativeModel(self.library, self.ports, "clk", seed), self.latency, feed)


def empty_frames(rows: int) -> Words:
    """Frames of a chip that does not run."""
    return np.zeros((rows, ETX_WORDS), np.uint32)
