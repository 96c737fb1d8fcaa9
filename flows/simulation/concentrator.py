"""The concentrator in native simulation: settings loaded, words of consecutive crossings in, eTx words out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.simulation.encoder import REGISTER_PORT
from flows.simulation.native import ROWS_PER_CALL, NativeModel, Words, build_native
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_writes
from sim.hgcal_encoder.spec import ERX_WORDS, ETX_WORDS
from sim.hgcal_encoder.words import bunch_crossings, check_words

__all__ = [
    "ConcentratorBench", "ConcentratorVerilog", "concentrator_latencies", "concentrator_verilog",
    "simulate_concentrator", "stream",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ConcentratorVerilog:
    """Generated Verilog of a concentrator with what a bench has to know about it.

    Attributes
    ----------
    spec : ConcentratorSpec
    verilog : str
        Text with module `top` and everything below it.
    top : str
    latencies : tuple of int
        Clocks from words to frames by `alg_type`, 0 to 7.
    """

    spec: ConcentratorSpec
    verilog: str
    top: str
    latencies: tuple[int, ...]


def concentrator_latencies(spec: ConcentratorSpec) -> tuple[int, ...]:
    """Clocks from words to frames by `alg_type`; what the chip lacks takes as long as threshold sum."""
    from hw.hgcal_encoder.concentrator_core import algorithm_latency

    present = {number: algorithm_latency(number) for number in spec.numbers}
    short = algorithm_latency(AlgorithmNumber.THRESHOLD_SUM)
    found = [present.get(number, short) for number in AlgorithmNumber]
    return (*found, *[present.get(AlgorithmNumber.REPEATER, short)] * 3)


def concentrator_verilog(spec: ConcentratorSpec) -> ConcentratorVerilog:
    """Generate the Verilog of a concentrator."""
    from hw.common.export import to_verilog
    from hw.hgcal_encoder.concentrator import Concentrator

    text = to_verilog(Concentrator(spec=spec), spec.name)
    return ConcentratorVerilog(spec=spec, verilog=text, top=spec.name, latencies=concentrator_latencies(spec))


class ConcentratorBench:
    """Native simulation of a concentrator.

    Parameters
    ----------
    design : ConcentratorVerilog
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, design: ConcentratorVerilog, timeout_s: float = 1800.0) -> None:
        self.design = design
        self.library, self.ports = build_native(
            design.verilog, design.top, clock="clk", write=REGISTER_PORT, timeout_s=timeout_s
        )

    def model(self, seed: int = 1) -> NativeModel:
        """A fresh model, before reset."""
        return NativeModel(self.library, self.ports, "clk", seed)

    def load(self, model: NativeModel, registers: dict[str, int]) -> None:
        """Three clocks of reset, then one write a clock; `run` is 0 meanwhile, so that the buffer stays empty."""
        model.run({"rst": [1, 1, 1]})
        address, data = np.array(concentrator_writes(self.design.spec, registers)).T
        model.run({"write_address": address, "write_data": data, "write_enable": 1})

    def frames(
        self,
        words: npt.ArrayLike,
        registers: dict[str, int],
        *,
        first_bx: int = 0,
        link_reset: npt.ArrayLike | None = None,
        seed: int = 1,
        advance: Callable[[int], None] | None = None,
    ) -> Words:
        """Reset, load, and run words of consecutive bunch crossings.

        Parameters
        ----------
        words : array_like of int, shape (n, 12)
        registers : dict of str to int
            Settings by name (`ConcentratorSettings.registers`); those left out have their reset values.
        first_bx : int
            Number of the first row if it does not carry the orbit header.
        link_reset : array_like of bool, shape (n,), optional
            Crossings of a link reset.
        seed : int
            Seed of uninitialised state.
        advance : callable, optional
            Called with the number of rows done since the last call.

        Returns
        -------
        ndarray of uint32, shape (n, 13)
        """
        rows = check_words(words)
        with self.model(seed) as model:
            self.load(model, registers)
            return stream(
                model, self.design.latencies[registers.get("alg_type", 0)], rows,
                bunch_crossings(rows >> 28, first_bx), link_reset=link_reset, advance=advance,
            )  # fmt: skip


def stream(
    model: NativeModel,
    latency: int,
    words: npt.ArrayLike,
    bx: npt.ArrayLike,
    *,
    link_reset: npt.ArrayLike | None = None,
    run: npt.ArrayLike | None = None,
    static: Mapping[str, npt.ArrayLike] | None = None,
    advance: Callable[[int], None] | None = None,
    overflow: npt.NDArray[np.bool_] | None = None,
) -> Words:
    """eTx words of consecutive crossings of a loaded model; row i is sent in crossing i: the latency is taken out.

    Parameters
    ----------
    model : NativeModel
        Of a concentrator, or of its core.
    latency : int
        Clocks from words to frames with the algorithm that is selected.
    words : array_like of int, shape (n, 12)
    bx : array_like of int, shape (n,)
        Number of each crossing; 12 bits count.
    link_reset, run : array_like of bool, shape (n,), optional
        No crossing and every crossing if left out.
    static : mapping, optional
        Further inputs with one row for each clock, n + `latency` of them: the settings of a core.
    advance : callable, optional
        Called with the number of rows done since the last call.
    overflow : ndarray of bool, shape (n,), optional
        Takes what the port of this name shows with the words of each crossing.
    """
    array = np.asarray(words, dtype=np.int64)
    rows = len(array)
    given = {
        "words": np.concatenate([array, np.zeros((latency, ERX_WORDS), np.int64)]),
        "bx": np.pad(np.asarray(bx, dtype=np.int64), (0, latency)),
        "link_reset_econt": np.pad(_flags(link_reset, rows, 0), (0, latency)),
        "run": np.pad(_flags(run, rows, 1), (0, latency)),
    } | {name: np.asarray(values) for name, values in (static or {}).items()}
    frames = np.empty((rows + latency, ETX_WORDS), np.uint32)
    for first in range(0, rows + latency, ROWS_PER_CALL):
        chunk = slice(first, first + ROWS_PER_CALL)
        seen = model.run({name: values[chunk] for name, values in given.items()})
        part = seen["frames"]
        frames[chunk] = part
        if overflow is not None:
            at = np.arange(rows + latency)[chunk] - latency
            overflow[at[at >= 0]] = np.asarray(seen["overflow"]).reshape(-1)[at >= 0] != 0
        if advance is not None:
            advance(len(part))
    return frames[latency:]


def _flags(given: npt.ArrayLike | None, rows: int, rest: int) -> npt.NDArray[np.int64]:
    return np.full(rows, rest) if given is None else np.broadcast_to(np.asarray(given, dtype=np.int64), (rows,))


def simulate_concentrator(
    spec: ConcentratorSpec,
    words: npt.ArrayLike,
    registers: dict[str, int],
    *,
    first_bx: int = 0,
    advance: Callable[[int], None] | None = None,
) -> Words:
    """eTx words of the generated hardware, by native simulation; see `ConcentratorBench.frames`."""
    bench = ConcentratorBench(concentrator_verilog(spec))
    return bench.frames(words, registers, first_bx=first_bx, advance=advance)
