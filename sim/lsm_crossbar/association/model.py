"""Golden model of the association chip, and a trained one as a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.engine import Engine
from sim.files import write_arrays
from sim.fixed_point import IntArray
from sim.foreign_files import read_npz
from sim.lsm_crossbar.association.match import best, similarities
from sim.lsm_crossbar.association.projection import Projection
from sim.lsm_crossbar.association.spec import MODALITIES, AssociationSpec
from sim.lsm_crossbar.learning.model import (
    agreed,
    conductance_arrays,
    stored_conductances,
    stored_integer,
    stored_integers,
    stored_text,
)
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.audio import Cochlea
from sim.lsm_crossbar.recordings.events import Encoding, find_encoding
from sim.messages import shown

__all__ = ["Association", "Matched", "TrainedAssociation", "shipped_associations", "trained_association"]

DEPENDS_ON = ("../data/weights",)


@dataclass(frozen=True, kw_only=True, eq=False)
class Matched:
    """What the chip says to n queries.

    Attributes
    ----------
    embeddings : ndarray of int64, shape (n, dimensions)
    similarities : ndarray of int64, shape (n, entries in use)
    entries : ndarray of int64, shape (n,)
        The entry with the largest similarity; -1 where there is no entry at all.
    """

    embeddings: IntArray
    similarities: IntArray
    entries: IntArray

    def first(self, count: int) -> Matched:
        """Of the first queries alone."""
        return Matched(
            embeddings=self.embeddings[:count], similarities=self.similarities[:count], entries=self.entries[:count]
        )


class Association:
    """The chip: two liquids, their projections, and the entries that its memory holds.

    Parameters
    ----------
    spec : AssociationSpec
    conductances : sequence of Conductances
        Of both macros, in the order of `MODALITIES`.
    projections : sequence of Projection
    engine : Engine

    Raises
    ------
    ValueError
        Conductances or projections that are not for `spec`.
    """

    def __init__(
        self,
        spec: AssociationSpec,
        conductances: Sequence[Conductances],
        projections: Sequence[Projection],
        engine: Engine | str = Engine.NUMBA,
    ) -> None:
        if len(conductances) != len(MODALITIES) or len(projections) != len(MODALITIES):
            raise ValueError(f"expected conductances and projections of {' and '.join(MODALITIES)}")
        for modality, crossbar, projection in zip(MODALITIES, spec.crossbars, projections, strict=True):
            if projection.spec != spec or projection.readout.spec != crossbar:
                raise ValueError(f"the projection of {modality} is one of another spec than {spec.name}")
        self.spec = spec
        self.projections = tuple(projections)
        self.liquids = tuple(Liquid(c, g, engine) for c, g in zip(spec.crossbars, conductances, strict=True))
        self.entries = [np.zeros((0, spec.dimensions), np.int64) for _ in MODALITIES]

    def store(self, modality: int, entries: npt.ArrayLike) -> None:
        """Fill the memory of a modality; errors as of `similarities`, or more entries than it has."""
        values = np.asarray(entries, np.int64)
        similarities(np.zeros((0, self.spec.dimensions), np.int64), values, self.spec)
        if len(values) > self.spec.entries:
            raise ValueError(f"entries: {self.spec.name} stores up to {self.spec.entries}, got {len(values)}")
        self.entries[modality] = values

    def embed(self, modality: int, spikes: npt.ArrayLike) -> IntArray:
        """Embeddings of input spikes of shape (n, steps, inputs)."""
        return self.projections[modality].embed(self.liquids[modality].counts(spikes))

    def match(self, modality: int, spikes: npt.ArrayLike) -> Matched:
        """Look up input spikes of one modality among the entries of the other."""
        return self.look_up(modality, self.embed(modality, spikes))

    def look_up(self, modality: int, embeddings: IntArray) -> Matched:
        """The same for embeddings."""
        found = similarities(embeddings, self.entries[1 - modality], self.spec)
        none = np.full(len(embeddings), -1, np.int64)
        return Matched(embeddings=embeddings, similarities=found, entries=best(found) if found.shape[1] else none)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedAssociation:
    """A chip with its projections.

    Macros that were drawn are drawn again from their seeds, and their hashes must agree; measured ones are stored.

    Attributes
    ----------
    spec : AssociationSpec
    seeds : tuple of int or None
        Of both macros, in the order of `MODALITIES`; None: measured.
    conductances_sha256 : tuple of str
    encoding : Encoding
        Of events, as `find_encoding` knows it.
    step_us : int
        Length of a time step of events.
    cochlea : Cochlea
        Front end of clips.
    projections : tuple of Projection
    measured : tuple of Conductances or None
        The macros that have no seed.

    Raises
    ------
    ValueError
        An encoding or a front end with more word lines than its crossbar has; a macro with both or neither of a seed
        and measured conductances.
    """

    spec: AssociationSpec
    seeds: tuple[int | None, int | None]
    conductances_sha256: tuple[str, str]
    encoding: Encoding
    step_us: int
    cochlea: Cochlea
    projections: tuple[Projection, Projection]
    measured: tuple[Conductances | None, Conductances | None] = (None, None)

    def __post_init__(self) -> None:
        for modality, seed, image in zip(MODALITIES, self.seeds, self.measured, strict=True):
            if (seed is None) == (image is None):
                raise ValueError(f"{modality}: expected either a seed of the macro or its measured conductances")
        for what, lines, crossbar in (
            (f"encoding {self.encoding.name}", self.encoding.inputs, self.spec.vision),
            ("the cochlea", self.cochlea.channels, self.spec.audio),
        ):
            if lines > crossbar.inputs:
                raise ValueError(f"{what} drives {lines} word lines, {crossbar.name} has {crossbar.inputs}")

    @cached_property
    def conductances(self) -> tuple[Conductances, Conductances]:
        """The macros, drawn from their seeds or as measured.

        Raises
        ------
        ValueError
            If a hash is not the one that the projections were trained on.
        """
        vision, audio = (
            agreed(*macro, f"projection of {modality}")
            for modality, macro in zip(
                MODALITIES,
                zip(self.spec.crossbars, self.seeds, self.measured, self.conductances_sha256, strict=True),
                strict=True,
            )
        )
        return vision, audio

    def chip(self, engine: Engine | str = Engine.NUMBA) -> Association:
        """The golden model, without entries."""
        return Association(self.spec, self.conductances, self.projections, engine)

    def save(self, path: Path) -> None:
        """Write a ``.npz``, complete or not at all; the same model gives the same bytes."""
        arrays = {
            "association": np.array(self.spec.to_toml()),
            "seeds": np.array([-1 if seed is None else seed for seed in self.seeds]),
            "encoding": np.array(self.encoding.name),
            "step_us": np.array(self.step_us),
            "cochlea": np.array(self.cochlea.to_json()),
        }
        for modality, image in zip(MODALITIES, self.measured, strict=True):
            arrays |= conductance_arrays(image, f"{modality}_")
        for modality, sha256, projection in zip(MODALITIES, self.conductances_sha256, self.projections, strict=True):
            arrays |= {
                f"{modality}_conductances_sha256": np.array(sha256),
                f"{modality}_weights": projection.readout.weights.astype(np.int16),
                f"{modality}_bias": projection.readout.bias.astype(np.int64),
                f"{modality}_shift": np.array(projection.shift),
            }
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path | str) -> TrainedAssociation:
        """Read a model: a ``.npz`` of `save`, or a shipped one by name.

        Raises
        ------
        FileNotFoundError
            No such file and no such shipped model.
        ValueError
            The file is not a model; the message says why.
        """
        file = shipped_associations().get(str(path), Path(path))
        if not file.is_file():
            raise FileNotFoundError(f"{path}: no such model file; shipped models: {', '.join(shipped_associations())}")
        stored = read_npz(file)
        own = [f"{m}_{name}" for m in MODALITIES for name in ("conductances_sha256", "weights", "bias", "shift")]
        missing = [n for n in ("association", "seeds", "encoding", "step_us", "cochlea", *own) if n not in stored]
        if missing:
            raise ValueError(f"{file}: not a model of an association chip: {', '.join(missing)} missing")
        try:
            spec = AssociationSpec.from_toml(stored_text(stored, "association"))
            encoding = find_encoding(stored_text(stored, "encoding"))
            macros = [
                stored_conductances(stored, crossbar, f"{modality}_")
                for modality, crossbar in zip(MODALITIES, spec.crossbars, strict=True)
            ]
            seeds = stored_integers(stored, "seeds")
            if seeds.shape != (2,) or (seeds < [0 if image is None else -1 for image in macros]).any():
                raise ValueError(f"seeds: expected two numbers of at least 0, got {shown(str(seeds.tolist()))}")
            first, second = (None if seed < 0 else int(seed) for seed in seeds.tolist())
            projections = [
                Projection(
                    spec,
                    Readout(crossbar, stored_integers(stored, f"{m}_weights"), stored_integers(stored, f"{m}_bias")),
                    stored_integer(stored, f"{m}_shift", 0),
                )
                for m, crossbar in zip(MODALITIES, spec.crossbars, strict=True)
            ]
            vision, audio = (stored_text(stored, f"{m}_conductances_sha256") for m in MODALITIES)
            return cls(
                spec=spec, seeds=(first, second), measured=(macros[0], macros[1]), conductances_sha256=(vision, audio),
                encoding=encoding, step_us=stored_integer(stored, "step_us", 1),
                cochlea=Cochlea.from_json(stored_text(stored, "cochlea")),
                projections=(projections[0], projections[1]),
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise ValueError(f"{file}: {error}") from None

    @cached_property
    def sha256(self) -> str:
        """Hash of the projections' integers: weights as int16, biases and shift as int64, little-endian."""
        digest = hashlib.sha256()
        for projection in self.projections:
            digest.update(projection.readout.weights.astype("<i2").tobytes())
            digest.update(projection.readout.bias.astype("<i8").tobytes())
            digest.update(np.array(projection.shift, "<i8").tobytes())
        return digest.hexdigest()


def shipped_associations() -> dict[str, Path]:
    """Association models that ship with the package, by name."""
    folder = Path(str(resources.files("sim.lsm_crossbar"))) / "data" / "weights" / "association"
    return {path.stem: path for path in sorted(folder.glob("*.npz"))}


def trained_association(spec: AssociationSpec, weights: Path | None = None) -> TrainedAssociation | None:
    """The model of a file, or a shipped one of this spec; None without.

    Raises
    ------
    ValueError
        A model of another spec.
    """
    if weights is not None:
        model = TrainedAssociation.load(weights)
        if model.spec != spec:
            raise ValueError(f"{weights} was trained for another spec than {spec.name}")
        return model
    models = (TrainedAssociation.load(path) for path in shipped_associations().values())
    return next((model for model in models if model.spec == spec), None)
