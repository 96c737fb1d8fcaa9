"""The encoder in native simulation: compiled once, fed with words, compared bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.simulation.native import ROWS_PER_CALL, FastClock, NativeModel, Words, WritePort, build_native
from sim.hgcal_encoder.configuration.registers import register_writes
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import HEADER, ORBIT_HEADER, check_words

__all__ = ["EncoderBench", "EncoderVerilog", "REGISTER_PORT", "encoder_verilog", "simulate_encoder"]


REGISTER_PORT = WritePort(
    instance="registers", enable="write_enable", ports=("write_address", "write_data", "write_enable")
)
"""Write port of the encoder's settings and weights."""


@dataclass(frozen=True, kw_only=True)
class EncoderVerilog:
    """Generated Verilog of an encoder with what a bench has to know about it.

    Attributes
    ----------
    spec : EncoderSpec
    verilog : str
        Text with module `top` and everything below it.
    top : str
    latency : int
        Clocks from words to frames.
    """

    spec: EncoderSpec
    verilog: str
    top: str
    latency: int


def encoder_verilog(spec: EncoderSpec, *, isolation: bool = False) -> EncoderVerilog:
    """Generate the Verilog of the encoder of `spec`, on request with latches in front of its layers."""
    from hw.common.export import to_verilog
    from hw.hgcal_encoder.encoder import Encoder

    component = Encoder(spec=spec, isolation=isolation)
    return EncoderVerilog(spec=spec, verilog=to_verilog(component, spec.name), top=spec.name, latency=component.latency)


class EncoderBench:
    """Native simulation of a whole encoder: registers loaded through the write port, frames out.

    Parameters
    ----------
    design : EncoderVerilog
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, design: EncoderVerilog, timeout_s: float = 900.0) -> None:
        self.design = design
        reuse = design.spec.reuse
        self.library, self.ports = build_native(
            design.verilog, design.top, clock="clk", write=REGISTER_PORT,
            fast=FastClock(port="fast_clk", ratio=reuse) if reuse > 1 else None, timeout_s=timeout_s,
        )  # fmt: skip

    def model(self, seed: int = 1) -> NativeModel:
        """A fresh model, before reset."""
        return NativeModel(self.library, self.ports, "clk", seed)

    def frames(
        self,
        words: npt.ArrayLike,
        settings: Settings,
        weights: Weights,
        *,
        first_bx: int = 0,
        threads: int = 1,
        seed: int = 1,
        advance: Callable[[int], None] | None = None,
    ) -> Words:
        """Reset, load, and run words of consecutive bunch crossings.

        Parameters
        ----------
        words : array_like of int, shape (n, 12)
        settings : Settings
        weights : Weights
        first_bx : int
            Bunch crossing of the first row, if that row does not carry the orbit header.
        threads : int
            Models that run side by side, each on a part of the rows.
        seed : int
            Seed of uninitialised state.
        advance : callable, optional
            Called with the number of rows done since the last call (for a progress bar), from any thread.

        Returns
        -------
        ndarray of uint32, shape (n, 13)
            Row i is the frame of words i: the latency is taken out.
        """
        rows = check_words(words).astype(np.uint32)
        bounds = np.linspace(0, len(rows), max(1, threads) + 1).astype(int)
        headers = np.flatnonzero(rows[:, 0] >> 28 == ORBIT_HEADER)

        def part(number: int) -> Words:
            first, last = int(bounds[number]), int(bounds[number + 1])
            before = headers[headers <= first]
            bx = first - int(before[-1]) if len(before) else first_bx + first
            with self.model(seed) as model:
                self.load(model, settings, weights)
                return self.stream(model, rows[first:last], bx, advance)

        with ThreadPoolExecutor(max(1, threads)) as pool:
            return np.concatenate(list(pool.map(part, range(max(1, threads)))))

    def load(self, model: NativeModel, settings: Settings | None, weights: Weights | None) -> None:
        """Three clocks of reset, then one write a clock; None leaves the reset values."""
        model.run({"rst": [1, 1, 1]})
        if loads := register_writes(self.design.spec, settings, weights):
            address, data = np.array(loads).T
            model.run({"write_address": address, "write_data": data, "write_enable": 1})

    def stream(self, model: NativeModel, words: Words, bx: int, advance: Callable[[int], None] | None = None) -> Words:
        """Frames of words, the first of which is bunch crossing `bx`."""
        # the counter counts modulo 16 from an orbit header: up to 16 crossings in front bring it to any number
        lead = np.zeros(((bx - 1) % 16 + 1 if bx else 0, ERX_WORDS), np.uint32)
        lead[:, 0] = HEADER << 28
        tail = np.zeros((self.design.latency, ERX_WORDS), np.uint32)
        stream = np.concatenate([lead, words, tail])
        # crossing 0 is the one with the orbit header, also where the caller only says that it is crossing 0
        stream[0, 0] = (stream[0, 0] & np.uint32(0x0FFF_FFFF)) | np.uint32(ORBIT_HEADER << 28)
        frames = np.empty((len(stream), ETX_WORDS), np.uint32)
        for first in range(0, len(stream), ROWS_PER_CALL):
            chunk = stream[first : first + ROWS_PER_CALL]
            response = model.run({"words": chunk})["frames"]
            frames[first : first + len(chunk)] = response
            if advance is not None:
                advance(len(chunk))
        skip = len(lead) + self.design.latency
        return frames[skip : skip + len(words)]


def simulate_encoder(
    spec: EncoderSpec,
    words: npt.ArrayLike,
    settings: Settings,
    weights: Weights,
    *,
    first_bx: int = 0,
    threads: int = 1,
    advance: Callable[[int], None] | None = None,
) -> Words:
    """Frames of the generated hardware of `spec`, by native simulation; see `EncoderBench.frames`."""
    bench = EncoderBench(encoder_verilog(spec))
    return bench.frames(words, settings, weights, first_bx=first_bx, threads=threads, advance=advance)
