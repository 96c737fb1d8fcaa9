"""Native simulation of a whole association chip: events of both modalities in; embeddings and matches out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.designs.macro_image import macro_image
from flows.simulation.native import NativeModel, Values, build_native
from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.projection import Projection
from sim.lsm_crossbar.association.registers import entry_writes, projection_writes
from sim.lsm_crossbar.association.spec import MODALITIES, AssociationSpec
from sim.lsm_crossbar.association.timing import match_clocks
from sim.lsm_crossbar.macro_model.conductance_file import Conductances

__all__ = ["AssociationBench", "Looked", "association_verilog", "chip_words", "load_writes"]

PLUSARG = "conductances"
"""Macros of a modality are loaded from the file that ``+conductances=FILE`` names, with a dot and the modality."""

STROBES = ("vision_component_valid", "audio_component_valid", "similarity_valid", "match_valid")
"""Outputs that say that another one is to be read."""


def association_verilog(spec: AssociationSpec, conductances: Sequence[Conductances]) -> str:
    """Verilog of the chip with the ADCs of its macros; what these hold is loaded from `PLUSARG`."""
    from hw.common.export import load_memory, to_verilog
    from hw.lsm_crossbar.association import Association, macro_modules

    vision, audio = (
        macro_image(image.check(crossbar)) for image, crossbar in zip(conductances, spec.crossbars, strict=True)
    )
    text = to_verilog(Association(spec=spec, images=(vision, audio)), spec.name)
    for modality, modules in zip(MODALITIES, macro_modules(spec, spec.name), strict=True):
        for module in modules:
            text = load_memory(text, module, f"{modality}.mem", plusarg=PLUSARG, suffix=f".{modality}")
    return text


def chip_words(spec: AssociationSpec, queries: Sequence[tuple[int, npt.ArrayLike]]) -> IntArray:
    """Words of the event stream: the steps of queries of both modalities, in the order in which they are given.

    Parameters
    ----------
    spec : AssociationSpec
    queries : sequence of (modality, input spikes)
        Spikes of any number of steps, shape (steps, inputs).
    """
    row_bits = max(crossbar.row_bits for crossbar in spec.crossbars)
    parts: list[npt.ArrayLike] = []
    for modality, spikes in queries:
        crossbar = spec.crossbars[modality]
        rows = np.asarray(spikes, bool)
        for step in rows:
            parts += [np.flatnonzero(step) | modality << row_bits, [modality << row_bits | 1 << row_bits + 1]]
        if rows.ndim != 2 or rows.shape[1] != crossbar.inputs:
            raise ValueError(f"spikes: expected the shape (steps, {crossbar.inputs}), got {rows.shape}")
    return np.concatenate([np.asarray(part, np.int64) for part in parts]) if parts else np.zeros(0, np.int64)


def load_writes(
    spec: AssociationSpec, projections: Sequence[Projection], entries: Sequence[npt.ArrayLike]
) -> list[tuple[int, int]]:
    """Register writes of both projections and of the entries of both modalities."""
    writes = []
    for modality in range(len(MODALITIES)):
        writes += projection_writes(spec, modality, projections[modality])
        writes += entry_writes(spec, modality, entries[modality])
    return writes


@dataclass(frozen=True, kw_only=True, eq=False)
class Looked:
    """What the chip put out, each in its order, with the clocks of strobes counted from the first event.

    Attributes
    ----------
    embeddings : tuple of ndarray of int64, shape (components,)
        Of vision, of audio.
    embedding_clocks : tuple of ndarray of int64
    similarities : ndarray of int64, shape (similarities of all matches,)
    modalities, found, entries, best : ndarray of int64, shape (matches,)
        `match_modality`, `match_found`, `match_index`, `match_similarity`.
    match_clocks : ndarray of int64, shape (matches,)
    clocks : int
        Clocks that were run.
    """

    embeddings: tuple[IntArray, IntArray]
    embedding_clocks: tuple[IntArray, IntArray]
    similarities: IntArray
    modalities: IntArray
    found: IntArray
    entries: IntArray
    best: IntArray
    match_clocks: IntArray
    clocks: int


class AssociationBench:
    """Native simulation of a chip: registers loaded through the write port, events in, matches out.

    Parameters
    ----------
    spec : AssociationSpec
    conductances : sequence of Conductances
        Of vision, of audio. Chips whose ADCs are equal share a build.
    timeout_s : float
        Limit of the build in seconds.
    """

    def __init__(self, spec: AssociationSpec, conductances: Sequence[Conductances], timeout_s: float = 900.0) -> None:
        self.spec = spec
        verilog = association_verilog(spec, conductances)
        self.library, self.ports = build_native(verilog, spec.name, clock="clk", timeout_s=timeout_s)
        # gone with the bench
        self._folder = tempfile.TemporaryDirectory(prefix="liquidcal-")
        self._stem = Path(self._folder.name) / "macro"
        for modality, image in zip(MODALITIES, conductances, strict=True):
            image.write(Path(self._folder.name)).rename(f"{self._stem}.{modality}")

    def model(self, seed: int = 1) -> NativeModel:
        """A fresh model, before reset."""
        return NativeModel(self.library, self.ports, "clk", seed, f"+{PLUSARG}={self._stem}")

    def run(
        self, writes: Sequence[tuple[int, int]], words: IntArray, samples: Sequence[int], used: Sequence[int]
    ) -> Looked:
        """Reset, write, and offer events without pause until all queries are matched.

        Parameters
        ----------
        writes : sequence of (address, byte)
        words : ndarray of int64
            Of `chip_words`.
        samples : sequence of int
            Whole samples of vision and of audio among them.
        used : sequence of int
            Entries of vision and of audio that are in use.
        """
        with self.model() as model:
            model.run({"rst": [0, 1, 1, 0]})
            if len(writes):
                address, data = np.array(writes, np.int64).T
                model.run({"write_address": address, "write_data": data, "write_enable": 1})
            return play(model, self.spec, words, samples, used)


def play(
    model: NativeModel, spec: AssociationSpec, words: IntArray, samples: Sequence[int], used: Sequence[int]
) -> Looked:
    """Offer events without pause until all queries are matched, or the clocks that this can take are over."""
    kept_rows = sum(n * (spec.dimensions + used[1 - m] + 1) for m, n in enumerate(samples))
    most = len(words) + 64
    for modality, crossbar in enumerate(spec.crossbars):
        step = (crossbar.batches_per_step + 1) * (crossbar.read_clocks + crossbar.rows_per_read) + 16
        sample = crossbar.steps * (step + crossbar.columns_per_adc) + crossbar.features + crossbar.outputs + 64
        most += samples[modality] * (sample + match_clocks(spec, used[1 - modality]))
    offered = np.append(words, 0)
    valid = np.append(np.ones(len(words), np.int64), 0)
    kept, times, clocks = model.run_stream(
        {"i_events__payload": offered, "i_events__valid": valid}, valid="i_events__valid", ready="i_events__ready",
        strobes=STROBES, count=max(kept_rows, 1), clocks=most,
    )  # fmt: skip

    def at(strobe: str, name: str, width: int = 0) -> Values:
        """Values with a strobe; `width` of a signed port."""
        chosen: Values = kept[name][kept[strobe] == 1]
        return chosen - (chosen >> (width - 1) << width) if width else chosen

    vision, audio = (at(f"{m}_component_valid", f"{m}_component", spec.embedding_bits) for m in MODALITIES)
    one, two = (times[kept[f"{m}_component_valid"] == 1] for m in MODALITIES)
    return Looked(
        embeddings=(vision, audio), embedding_clocks=(one, two),
        similarities=at("similarity_valid", "similarity", spec.similarity_width),
        modalities=at("match_valid", "match_modality"), found=at("match_valid", "match_found"),
        entries=at("match_valid", "match_index"), best=at("match_valid", "match_similarity", spec.similarity_width),
        match_clocks=times[kept["match_valid"] == 1], clocks=clocks,
    )  # fmt: skip
