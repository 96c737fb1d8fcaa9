"""Finished parts of a campaign on disk: what is there is never run again, and nothing is there by half."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.campaign.outcome import Effect, Outcome
from flows.common.errors import FlowError
from sim.files import replacing

__all__ = ["Ledger", "LedgerError"]

_EFFECTS = tuple(Effect)
_COLUMNS = ("effect", "wrong_crossings", "first_wrong", "last_wrong", "persistent", "watched")


class LedgerError(FlowError):
    """The folder holds another campaign, or a file of it is damaged."""


class Ledger:
    """Outcomes by chunk, one file each, in a folder of their own.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    key : str
        Hash of everything that the outcomes depend on.
    sizes : sequence of int
        Faults of each chunk.

    Raises
    ------
    LedgerError
        If the folder holds something else, or a campaign with another key.
    """

    def __init__(self, folder: Path, key: str, sizes: Sequence[int]) -> None:
        self.folder, self.key, self.sizes = Path(folder), key, tuple(sizes)
        head = self.folder / "ledger.json"
        if head.is_file():
            try:
                found = json.loads(head.read_text())
                other, chunks = str(found["key"]), list(found["chunks"])
            except (ValueError, KeyError, TypeError):
                raise LedgerError(f"{head}: damaged; delete {self.folder} to start anew") from None
            if other != key or chunks != list(self.sizes):
                raise LedgerError(
                    f"{self.folder} holds another campaign: expected the hash {key[:12]}, got {other[:12]} "
                    "(chip, workload, faults or code differ); name another folder or delete it"
                )
            return
        if self.folder.exists() and any(self.folder.iterdir()):
            raise LedgerError(f"{self.folder} exists and is no ledger of a campaign; name another folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(head) as file:
            json.dump({"key": key, "chunks": list(self.sizes)}, file)
            file.write("\n")

    def _path(self, chunk: int) -> Path:
        return self.folder / f"chunk_{chunk:05d}.npz"

    def missing(self) -> list[int]:
        """Chunks that are not finished."""
        return [chunk for chunk in range(len(self.sizes)) if not self._path(chunk).is_file()]

    def put(self, chunk: int, outcomes: Sequence[Outcome]) -> None:
        """Keep a finished chunk.

        Raises
        ------
        ValueError
            If there are not as many outcomes as faults, or they are not numbered from 0.
        """
        if [o.number for o in outcomes] != list(range(self.sizes[chunk])):
            raise ValueError(f"chunk {chunk}: expected outcomes 0 to {self.sizes[chunk] - 1} in order")
        columns = {
            "effect": np.array([_EFFECTS.index(o.effect) for o in outcomes], np.int8),
            **{name: np.array([getattr(o, name) for o in outcomes], np.int64) for name in _COLUMNS[1:]},
        }
        with replacing(self._path(chunk), "wb") as file:
            np.savez_compressed(file, key=self.key, chunk=chunk, digest=_digest(columns), **columns)  # type: ignore[arg-type]

    def get(self, chunk: int) -> list[Outcome]:
        """Outcomes of a finished chunk.

        Raises
        ------
        LedgerError
            If the file is damaged or belongs elsewhere.
        """
        path = self._path(chunk)
        again = f"delete it to have its {self.sizes[chunk]} faults run again"
        try:
            with np.load(path, allow_pickle=False) as stored:
                head = (str(stored["key"]), int(stored["chunk"]), str(stored["digest"]))
                columns = {name: stored[name] for name in _COLUMNS}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            raise LedgerError(f"{path}: damaged; {again}") from None
        if head[:2] != (self.key, chunk):
            raise LedgerError(f"{path}: belongs to chunk {head[1]} of campaign {head[0][:12]}; {again}")
        if head[2] != _digest(columns) or any(len(c) != self.sizes[chunk] for c in columns.values()):
            raise LedgerError(f"{path}: its contents do not have its own hash; {again}")
        return [
            Outcome(
                number=number,
                effect=_EFFECTS[int(columns["effect"][number])],
                wrong_crossings=int(columns["wrong_crossings"][number]),
                first_wrong=int(columns["first_wrong"][number]),
                last_wrong=int(columns["last_wrong"][number]),
                persistent=bool(columns["persistent"][number]),
                watched=int(columns["watched"][number]),
            )
            for number in range(self.sizes[chunk])
        ]


def _digest(columns: dict[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in _COLUMNS:
        digest.update(np.ascontiguousarray(columns[name]).tobytes())
    return digest.hexdigest()
