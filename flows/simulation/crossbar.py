"""Native simulation of a whole crossbar chip: events in; spikes, counts, scores, classes and their clocks out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.designs.macro_image import load_macros, macro_image
from flows.simulation.native import NativeModel, Values, build_native
from flows.stimulus.recordings import event_words
from sim.fixed_point import IntArray
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.registers import register_writes
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = [
    "PLUSARG",
    "CrossbarBench",
    "CrossbarVerilog",
    "Played",
    "STROBES",
    "crossbar_verilog",
    "play_events",
    "reset_and_write",
    "scratch",
]

PLUSARG = "conductances"
"""Simulations load the macro from the file that ``+conductances=FILE`` names."""
DEFAULT_FILE = "conductances.mem"
"""What they load without: the same name for every image, so that images with equal ADCs share a build."""
STROBES = ("spikes_valid", "count_valid", "score_valid", "class_valid")
"""Outputs that say that another one is to be read."""


@dataclass(frozen=True, kw_only=True)
class CrossbarVerilog:
    """Verilog of a chip with what a bench has to know about it.

    Attributes
    ----------
    spec : CrossbarSpec
    verilog : str
        Text with module `top` and everything below it; the macro is its behaviour and loads `PLUSARG`.
    top : str
    gains, offsets : tuple of int
        Of the ADCs that are in the text: conductance images must have the same.
    """

    spec: CrossbarSpec
    verilog: str
    top: str
    gains: tuple[int, ...]
    offsets: tuple[int, ...]


def crossbar_verilog(spec: CrossbarSpec, conductances: Conductances) -> CrossbarVerilog:
    """Generate the Verilog of the chip of `spec` with the ADCs of an image."""
    from hw.common.export import to_verilog
    from hw.lsm_crossbar.crossbar import Crossbar

    image = macro_image(conductances.check(spec))
    text = to_verilog(Crossbar(spec=spec, image=image), spec.name)
    return CrossbarVerilog(
        spec=spec, verilog=load_macros(text, spec, DEFAULT_FILE, plusarg=PLUSARG), top=spec.name,
        gains=image.gains, offsets=image.offsets,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Played:
    """What the chip put out, each in its order, with clocks counted from the first event.

    Attributes
    ----------
    spikes : ndarray of bool, shape (steps of all samples, neurons)
    spike_clocks : ndarray of int64
    counts : ndarray of int64, shape (features of all samples,)
    scores : ndarray of int64, shape (outputs of all samples,)
    classes, class_clocks : ndarray of int64, shape (n,)
    clocks : int
        Clocks that were run.
    """

    spikes: npt.NDArray[np.bool_]
    spike_clocks: IntArray
    counts: IntArray
    scores: IntArray
    classes: IntArray
    class_clocks: IntArray
    clocks: int


class CrossbarBench:
    """Native simulation of a chip: registers loaded through the write port, events in, results out.

    Parameters
    ----------
    design : CrossbarVerilog
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, design: CrossbarVerilog, timeout_s: float = 900.0) -> None:
        self.design = design
        self.library, self.ports = build_native(design.verilog, design.top, clock="clk", timeout_s=timeout_s)

    def model(self, conductances: Conductances, folder: Path, seed: int = 1) -> NativeModel:
        """A fresh model, before reset, whose macro holds an image; the file is written into `folder`.

        Raises
        ------
        ValueError
            If the image is not one for the spec, or has other ADCs than the design.
        """
        conductances.check(self.design.spec)
        adcs = (tuple(map(int, conductances.adc_gain)), tuple(map(int, conductances.adc_offset)))
        if adcs != (self.design.gains, self.design.offsets):
            raise ValueError(f"{conductances.file_name}: its ADCs are not those of the design; generate it again")
        path = folder / conductances.file_name
        if not path.is_file():
            conductances.write(folder)
        return NativeModel(self.library, self.ports, "clk", seed, f"+{PLUSARG}={path}")

    def run(
        self,
        conductances: Conductances,
        readout: Readout,
        spikes: npt.ArrayLike,
        *,
        threshold: int | None = None,
        noise_seed: int | None = None,
        seed: int = 1,
    ) -> Played:
        """Reset, load, and run samples back to back; parameters as of the golden model.

        Parameters
        ----------
        conductances : Conductances
        readout : Readout
        spikes : array_like of bool, shape (n, steps, inputs)
        threshold : int, optional
        noise_seed : int, optional
            Written if given.
        seed : int
            Seed of uninitialised state.
        """
        spec = self.design.spec
        words, counts = event_words(spec, spikes)
        writes = register_writes(
            spec, threshold=threshold, noise_seed=noise_seed, weights=readout.weights, bias=readout.bias
        )
        with scratch() as folder, self.model(conductances, folder, seed) as model:
            reset_and_write(model, writes)
            return play_events(model, spec, words, len(counts))


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for conductance files of a run, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="liquidcal-") as folder:
        yield Path(folder)


def reset_and_write(model: NativeModel, writes: Sequence[tuple[int, int]]) -> None:
    """Reset, then one write per clock."""
    model.run({"rst": [0, 1, 1, 0]})
    if len(writes):
        address, data = np.array(writes, np.int64).T
        model.run({"write_address": address, "write_data": data, "write_enable": 1})


def play_events(model: NativeModel, spec: CrossbarSpec, words: IntArray, samples: int, *, slack: int = 64) -> Played:
    """Offer events without pause until all samples have been read out, or the clocks that this can take are over."""
    expected = samples * (spec.steps + spec.features + spec.outputs + 1)
    most = samples * (
        spec.steps * ((spec.batches_per_step + 1) * (spec.read_clocks + spec.rows_per_read) + 16 + spec.columns_per_adc)
        + spec.features + spec.outputs + slack
    )  # fmt: skip
    # after the events nothing is valid
    offered = np.append(words, 0)
    valid = np.append(np.ones(len(words), np.int64), 0)
    kept, times, clocks = model.run_stream(
        {"i_events__payload": offered, "i_events__valid": valid}, valid="i_events__valid", ready="i_events__ready",
        strobes=STROBES, count=expected, clocks=most + len(offered),
    )  # fmt: skip

    def at(strobe: str, name: str) -> Values:
        chosen: Values = kept[name][kept[strobe] == 1]
        return chosen

    spikes = _bits_of(at("spikes_valid", "spikes"), spec.all_neurons)
    scores = at("score_valid", "score")
    return Played(
        spikes=spikes, spike_clocks=times[kept["spikes_valid"] == 1], counts=at("count_valid", "count"),
        scores=scores - ((scores >> (spec.score_width - 1)) << spec.score_width),
        classes=at("class_valid", "class_index"), class_clocks=times[kept["class_valid"] == 1], clocks=clocks,
    )  # fmt: skip


def _bits_of(values: Values, width: int) -> npt.NDArray[np.bool_]:
    """Bits of a port, shape (rows, width)."""
    if not len(values):
        return np.zeros((0, width), bool)
    words = values.reshape(len(values), -1)
    size = 32 if values.ndim == 2 else 62
    bits = (words[:, :, None] >> np.arange(size)) & 1
    found: npt.NDArray[np.bool_] = bits.reshape(len(values), -1)[:, :width].astype(bool)
    return found
