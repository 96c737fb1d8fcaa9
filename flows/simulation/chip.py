"""The whole chip in native simulation: bunch crossings stream while the I2C bus works.

Crossings go in and frames come out in every clock, whatever the bus does (`flows.simulation.i2c_bus`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.simulation.i2c_bus import SimulatedBus
from flows.simulation.native import FastClock, NativeModel, Words, build_native
from flows.tools.verilog import Port
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import ERX_WORDS, EncoderSpec

__all__ = ["ChipBench", "ChipModel"]


class ChipModel(SimulatedBus):
    """A simulated chip with its bus.

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
        super().__init__(model)
        self.latency, self.feed = latency, feed
        self.sent: list[Words] = []
        self.frames: list[Words] = []

    def run(self, scl: npt.ArrayLike, sda: npt.ArrayLike, words: Words | None = None) -> npt.NDArray[np.int64]:
        """Run clocks with these levels of the lines; SDA as the target pulls it (1: low)."""
        scl, sda = np.asarray(scl), np.asarray(sda)
        if words is None:
            words = self.feed(len(scl)) if self.feed is not None else np.zeros((len(scl), ERX_WORDS), np.uint32)
        seen = self.model.run({"words": words, "scl": scl, "sda": sda})
        self.sent.append(words)
        self.frames.append(seen["frames"].astype(np.uint32))
        return seen["sda_low"]

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
        """A fresh chip after its reset."""
        return ChipModel(NativeModel(self.library, self.ports, "clk", seed), self.latency, feed)
