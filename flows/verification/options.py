"""Options of a verification, for every kind of chip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["VerificationOptions"]


@dataclass(frozen=True, kw_only=True)
class VerificationOptions:
    """What is checked; a chip refuses what is not for it.

    Attributes
    ----------
    crossings : int or None
        Random bunch crossings of an encoder, or steps of a crossbar, against the golden model; None: as many as its
        kind of chip asks for (`Design.crossings`).
    mutants : int
        Mutants of the RTL that the bench must kill; 0: none.
    random_specs : int
        Random legal specs to verify beside this one.
    proofs : bool
        Prove stages equal to their formulas.
    seed : int
        Of all random choices.
    vectors : tuple of (words, settings, frames)
        Encoder: published vectors to compare with, as paths.
    serial : bool
        Concentrator: the whole chip from serial bits to serial bits, too.
    recordings : Path or None
        Crossbar, or astrocyte liquid of an event camera: folder of recordings to run.
    weights : Path or None
        Encoder: weights, or a model of its network, that showers run through, too. Crossbar: trained model that sees
        the recordings; None: the shipped one.
    count : int
        Recordings to run at most.
    """

    crossings: int | None = None
    mutants: int = 100
    random_specs: int = 2
    proofs: bool = True
    seed: int = 1
    vectors: tuple[tuple[Path, Path, Path], ...] = ()
    serial: bool = False
    recordings: Path | None = None
    weights: Path | None = None
    count: int = 10
