"""From one seed to macros, projections, retrieval in the RTL, and energy: the association chip in `demo` and `flow`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flows.common.journal import Check, Journal
from flows.designs.association import MODEL, AssociationDesign
from flows.estimates.association_energy import query_document, with_digital_part
from flows.learning.association import AssociationTraining, TrainedChip, train_association
from flows.learning.recorded_parts import SYNTHESISED
from flows.simulation.association import AssociationBench, chip_words, load_writes
from flows.verification.association import Segment, difference
from sim.files import replacing
from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.anchors import anchor_curve
from sim.lsm_crossbar.association.match import as_entries
from sim.lsm_crossbar.association.model import Association
from sim.lsm_crossbar.association.spec import MODALITIES, AssociationSpec
from sim.lsm_crossbar.association.training import TrainingOptions
from sim.lsm_crossbar.energy import inference_energy
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances

if TYPE_CHECKING:
    from flows.steps.demo import DemoOptions

__all__ = [
    "ENERGY", "MACRO_ENERGY", "QUERIES", "RETRIEVAL", "Size", "Sources", "add_energy", "chain_summary",
    "run_association", "show", "summary_line",
]  # fmt: skip

QUERIES, RETRIEVAL = "queries.npz", "retrieval.json"
"""What the report shows: spikes and places in the common space; retrieval, anchors."""
MACRO_ENERGY, ENERGY = "macro_energy.json", "energy.json"
"""Energy of a query in arrays, ADCs and memories; of the whole chip."""
POWER = {"audio": "power", "vision": "power_vision"}
"""Folder of the power of queries, by modality."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Data to learn from, instead of what ships: folders as `flows.learning.association.AssociationTraining` has them.

    Attributes
    ----------
    clips, events, labels : Path or None
    """

    clips: Path | None = None
    events: Path | None = None
    labels: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is done.

    Attributes
    ----------
    recordings : int
        Event recordings that are synthesised where none are given.
    epochs : int
    simulated : int
        Queries of either modality that the RTL answers; 0: the RTL is not built.
    """

    recordings: int = SYNTHESISED
    epochs: int = TrainingOptions().epochs
    simulated: int = 4


def run_association(
    journal: Journal,
    out_dir: Path,
    spec: AssociationSpec,
    *,
    seed: int = 1,
    sources: Sources | None = None,
    size: Size | None = None,
) -> None:
    """Draw both macros, learn, retrieve, simulate, add up energy; everything follows from seed and data.

    Leaves in `out_dir` both conductance files and the files `MODEL`, `QUERIES`, `RETRIEVAL`, `MACRO_ENERGY` and
    `ENERGY`.

    Parameters
    ----------
    journal : Journal
        Receives steps and checks.
    out_dir : Path
        Existing folder of results of this design.
    spec : AssociationSpec
    seed : int
        Of both macros, projections, synthesised recordings, and the parting of the data.
    sources : Sources, optional
    size : Size, optional

    Raises
    ------
    FileNotFoundError, ValueError
        Data that cannot be read, or that do not fit the spec.
    """
    sources, size = sources or Sources(), size or Size()
    trained = train_association(
        AssociationTraining(
            spec=spec, seed=seed, clips=sources.clips, events=sources.events, labels=sources.labels,
            epochs=size.epochs, recordings=size.recordings,
        ),
        journal,
    )  # fmt: skip
    trained.model.save(out_dir / MODEL)
    _write_images(journal, out_dir, trained)
    chip, shown = trained.model.chip(), _shown(spec, trained, seed)
    with journal.step("retrieval among test recordings"):
        labels = trained.samples[2].labels
        matrices = []
        for modality, other in ((1, 0), (0, 1)):
            chip.store(other, shown.entries[other])
            found = chip.look_up(modality, shown.embeddings[modality]).entries
            named = labels[other][shown.rows[other]][found]
            matrix = np.zeros((max(trained.classes) + 1,) * 2, np.int64)
            np.add.at(matrix, (labels[modality][shown.rows[modality]], named), 1)
            matrices.append(matrix)
    if size.simulated:
        _simulate(journal, spec, trained, chip, shown, size.simulated)
    with journal.step("words from a few examples"):
        curve = anchor_curve(spec, trained.samples[0], trained.samples[2], trained.classes)
    _write_json(out_dir / RETRIEVAL, {
        "seed": seed, "classes": list(trained.classes), "test": list(trained.test),
        "audio_to_image": matrices[0].tolist(), "image_to_audio": matrices[1].tolist(), "anchors": curve,
        "conductances": [image.file_name for image in trained.model.conductances],
    })  # fmt: skip
    documents = {}
    with journal.step("both liquids: activity of the queries"):
        arrays: dict[str, Any] = {}
        for modality, name in enumerate(MODALITIES):
            crossbar, image = spec.crossbars[modality], trained.model.conductances[modality]
            spikes = trained.spikes[modality][shown.rows[modality]]
            activity = Liquid(crossbar, image).run(spikes)
            entries = max(1, len(shown.rows[1 - modality]))
            documents[name] = query_document(spec, modality, inference_energy(crossbar, image, activity), entries)
            arrays |= {
                f"{name}_inputs": spikes[0], f"{name}_spikes": activity.spikes[0],
                f"{name}_labels": labels[modality][shown.rows[modality]],
            }  # fmt: skip
        arrays["vision_places"], arrays["audio_places"] = _places(shown.embeddings)
    with replacing(out_dir / QUERIES, "wb") as file:
        np.savez_compressed(file, **arrays)
    _write_json(out_dir / MACRO_ENERGY, {
        "queries": documents, "conductances": [image.file_name for image in trained.model.conductances],
    })  # fmt: skip
    add_energy(out_dir)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shown:
    """Test recordings that are queries and entries: rows of the test part, embeddings, and both as stored."""

    rows: tuple[IntArray, IntArray]
    embeddings: tuple[IntArray, IntArray]
    entries: tuple[IntArray, IntArray]


def _shown(spec: AssociationSpec, trained: TrainedChip, seed: int) -> _Shown:
    """As many test recordings of either modality as the memory holds."""
    rng = np.random.default_rng([seed, 6])
    rows, embeddings = [], []
    for projection, counts in zip(trained.model.projections, trained.samples[2].counts, strict=True):
        rows.append(np.sort(rng.permutation(len(counts))[: spec.entries]))
        embeddings.append(projection.embed(counts[rows[-1]]))
    entries = [as_entries(own, spec) for own in embeddings]
    return _Shown(rows=(rows[0], rows[1]), embeddings=(embeddings[0], embeddings[1]), entries=(entries[0], entries[1]))


def _write_images(journal: Journal, out_dir: Path, trained: TrainedChip) -> None:
    """Both conductance files as the only ones of the folder, and read again."""
    for old in out_dir.glob("*.mem"):
        old.unlink()
    for image in trained.model.conductances:
        again = read_conductances(image.write(out_dir))
        same = bool(np.array_equal(again.codes, image.codes)) and again.sha256 == image.sha256
        journal.check(Check(
            name=f"conductance file holds the draw: {image.spec}", passed=same, compared=image.codes.size,
            unit="cells", detail=image.file_name,
        ))  # fmt: skip


def _simulate(
    journal: Journal, spec: AssociationSpec, trained: TrainedChip, chip: Association, shown: _Shown, count: int
) -> None:
    """RTL against the golden model on trained projections and stored test recordings, both ways."""
    with journal.step("RTL: Amaranth to Verilog, Verilator build"):
        bench = AssociationBench(spec, trained.model.conductances)
    spikes = [own[rows][:count] for own, rows in zip(trained.spikes, shown.rows, strict=True)]
    for modality in range(len(MODALITIES)):
        chip.store(modality, shown.entries[modality])
    want = [chip.match(modality, spikes[modality]) for modality in range(len(MODALITIES))]
    queries = [(modality, query) for pair in zip(*spikes, strict=False) for modality, query in enumerate(pair)]
    kept = len(queries) // 2
    segment = Segment(
        name="test recordings", writes=load_writes(spec, trained.model.projections, shown.entries),
        words=chip_words(spec, queries), used=(len(shown.rows[0]), len(shown.rows[1])),
        want=(want[0].first(kept), want[1].first(kept)),
    )  # fmt: skip
    with journal.step(f"RTL: {len(queries)} queries, event by event"):
        got = bench.run(segment.writes, segment.words, segment.samples, segment.used)
    wrong, text = difference(got, segment, spec)
    compared = sum(part.size for own in segment.want for part in (own.embeddings, own.similarities, own.entries))
    journal.check(Check(
        name="RTL equals golden model: components, similarities, entries, clocks of matches",
        passed=not wrong and compared > 0, compared=compared, unit="values", detail=text,
    ))  # fmt: skip


def _places(embeddings: tuple[IntArray, IntArray]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Embeddings of both modalities on the two directions in which all of them, at one length, spread most."""
    unit = [own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-9) for own in embeddings]
    together = np.concatenate(unit)
    middle = together.mean(axis=0)
    _, _, directions = np.linalg.svd(together - middle, full_matrices=False)
    one, two = ((own - middle) @ directions[:2].T for own in unit)
    return one, two


def add_energy(folder: Path) -> None:
    """Write `ENERGY`: `MACRO_ENERGY` and the digital part, where it was measured on the same macros."""
    macro = json.loads((folder / MACRO_ENERGY).read_text())
    for modality, document in macro["queries"].items():
        path = folder / POWER[modality] / "power.json"
        if not path.is_file():
            continue
        result = json.loads(path.read_text())
        if result.get("conductances") == macro["conductances"] and result.get("modality") == modality:
            macro["queries"][modality] = with_digital_part(document, result)
    _write_json(folder / ENERGY, macro)


def chain_summary(folder: Path) -> dict[str, Any]:
    """What came of a seed: conductance files, retrieval, energy of a query of either modality."""
    found = json.loads((folder / RETRIEVAL).read_text())
    energy = json.loads((folder / ENERGY).read_text())["queries"]
    return {
        "seed": found["seed"],
        "conductances": found["conductances"],
        "images_by_clips": found["test"][0],
        "clips_by_images": found["test"][1],
        "energy_per_query_nj": {
            modality: {
                end: sum(term[f"{end}_pj"] for term in document["terms"]) * 1e-3 for end in ("low", "nominal", "high")
            }
            for modality, document in energy.items()
        },
        "digital_part_measured": all("digital_native_pj" in document for document in energy.values()),
    }


def summary_line(found: dict[str, Any]) -> str:
    """`chain_summary` in words."""
    whole = "whole chip" if found["digital_part_measured"] else "without the digital part"
    energy = "; ".join(
        f"a query of {modality} {ends['nominal']:,.0f} nJ ({ends['low']:,.0f} to {ends['high']:,.0f})"
        for modality, ends in found["energy_per_query_nj"].items()
    )
    return (
        f"images by clips {100 * found['images_by_clips']:.1f} %, clips by images "
        f"{100 * found['clips_by_images']:.1f} %; {energy}, {whole}, 40 nm"
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    with replacing(path) as out:
        json.dump(content, out, indent=1)
        out.write("\n")


def show(design: AssociationDesign, folder: Path, journal: Journal, options: DemoOptions) -> None:
    """The demo: a small training on what ships, without the RTL, which `liquidcal flow` and `verify` run."""
    size = Size(recordings=max(options.recordings, 300), epochs=15, simulated=0)
    run_association(journal, folder, design.spec, seed=options.seed, size=size)
