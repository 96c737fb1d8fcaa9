"""Images to train on: recipes, simulated modules, training sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.hgcal_encoder.detector.detector import Detector
from sim.hgcal_encoder.detector.digitisation import Digitisation
from sim.hgcal_encoder.detector.generator import Generator
from sim.hgcal_encoder.detector.geometry import N_TRIGGER_CELLS, econ_t_inputs
from sim.hgcal_encoder.detector.particles import (
    ELECTROMAGNETIC,
    HADRON,
    BunchCrossings,
    MultiParticles,
    ParticleSource,
    PileUp,
    SingleParticles,
    TopPairs,
)
from sim.hgcal_encoder.learning.decoder import sum_features
from sim.hgcal_encoder.normalise import normalise, sum_code
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["Recipe", "SimulatedImages", "TrainingSet", "physics_multiplexer", "recipes", "simulate_images"]


Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

#: Share of a training batch by occupancy: hit trigger cells (inclusive) and share.
BATCH_MIX: tuple[tuple[int, int, float], ...] = (
    (1, 1, 0.12),
    (2, 3, 0.18),
    (4, 7, 0.25),
    (8, 15, 0.23),
    (16, 48, 0.22),
)


# ------------------------------------------------------------------------------------------------------ data
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One source of training images.

    Attributes
    ----------
    name : str
    source : ParticleSource
    leakage : float
        Charge of the previous crossing; 0 where crossings stand for isolated events.
    crossings : int
        Bunch crossings at scale 1.
    images_per_crossing : int
        Images taken at most from each crossing, at random.
    """

    name: str
    source: ParticleSource
    leakage: float
    crossings: int
    images_per_crossing: int


def recipes() -> tuple[Recipe, ...]:
    """Sources of the training images: isolated events, particles and jets, and all degrees of pile-up."""
    few: tuple[tuple[str, ParticleSource, int], ...] = (
        ("top pairs", TopPairs(), 2400),
        ("electrons", SingleParticles(kind=ELECTROMAGNETIC, pt_gev=(2.0, 100.0), multiplicity=12), 1200),
        ("pions", SingleParticles(kind=HADRON, pt_gev=(2.0, 100.0), multiplicity=12), 400),
        ("jets", MultiParticles(pt_gev=(10.0, 200.0), bundles=4), 800),
    )
    isolated = [
        Recipe(name=name, source=source, leakage=0.0, crossings=crossings, images_per_crossing=3000)
        for name, source, crossings in few
    ]
    overlaid = [
        Recipe(
            name=f"top pairs in pile-up {mu:g}",
            source=BunchCrossings(sources=(TopPairs(), PileUp(mean=mu))),
            leakage=0.163,
            crossings=crossings,
            images_per_crossing=500,
        )
        for mu, crossings in ((5.0, 120), (20.0, 120), (60.0, 120), (140.0, 120), (200.0, 240))
    ]
    return (*isolated, *overlaid)


@dataclass(frozen=True, kw_only=True)
class SimulatedImages:
    """Module images of all `recipes`.

    Attributes
    ----------
    charges : ndarray of int64, shape (n, 48)
        Trigger cell order; no empty image.
    etas : ndarray of float64, shape (n,)
        Pseudorapidity of the module.
    origin : dict
        Images by recipe.
    """

    charges: Int64
    etas: Float64
    origin: dict[str, int]


def simulate_images(
    *, seed: int, scale: float = 1.0, pedestal: float = 0.5, progress: Callable[[str], None] | None = None
) -> SimulatedImages:
    """Simulated module images from all `recipes`.

    Some of the images keep the pedestal that the chip's decoding gives to code 0; the others read 0 there, as public
    charge files do.

    Parameters
    ----------
    seed : int
    scale : float, optional
        On the number of crossings of every recipe; 1 gives about 2.7 million images.
    pedestal : float, optional
        Share of images with pedestal.
    progress : callable, optional
        Told a line of text per recipe.

    Returns
    -------
    SimulatedImages
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    if not 0.0 <= pedestal <= 1.0:
        raise ValueError(f"pedestal must be a share between 0 and 1, got {pedestal}")
    detector = Detector()
    parts: list[tuple[NDArray[np.int32], Float64]] = []
    origin: dict[str, int] = {}
    for number, recipe in enumerate(recipes()):
        rng = np.random.default_rng([seed, number])
        generator = Generator(
            source=recipe.source,
            seed=int(rng.integers(1 << 31)),
            detector=detector,
            digitisation=Digitisation(leakage=recipe.leakage),
        )
        count = 0
        for images in generator.stream(max(round(recipe.crossings * scale), 1)):
            rows = np.flatnonzero((images.codes > 0).any(axis=1))
            if len(rows) > recipe.images_per_crossing:
                rows = rng.choice(rows, recipe.images_per_crossing, replace=False)
            charges = images.charges[rows]
            bare = rng.random(len(rows)) >= pedestal
            charges = np.where(bare[:, None] & (images.codes[rows] == 0), 0, charges)
            kept = charges.any(axis=1)
            parts.append((charges[kept].astype(np.int32), images.eta[rows][kept]))
            count += int(kept.sum())
        origin[recipe.name] = count
        if progress is not None:
            progress(f"{recipe.name}: {count} images")
    return SimulatedImages(
        charges=np.concatenate([charges for charges, _ in parts]).astype(np.int64),
        etas=np.concatenate([etas for _, etas in parts]),
        origin=origin,
    )


class TrainingSet:
    """Charges prepared for training: network inputs, sum codes, and the shares to be reproduced.

    Parameters
    ----------
    charges : ndarray of int64, shape (n, 48)
        Trigger cell order, no empty image.
    spec : EncoderSpec
    validation : float, optional
        Share set aside for validation.
    seed : int, optional
        Of the split and of the batches.
    """

    def __init__(self, charges: Int64, spec: EncoderSpec, *, validation: float = 0.05, seed: int = 0) -> None:
        if not 0.0 < validation < 1.0:
            raise ValueError(f"validation must be between 0 and 1, got {validation}")
        self._seed = seed
        charges = charges[np.random.default_rng(seed).permutation(len(charges))]
        sums, pixels = normalise(charges[:, physics_multiplexer(spec)], spec.pixel)
        if (sums == 0).any():
            raise ValueError(f"charges[{int(np.argmin(sums))}]: an empty image has no shares")
        self._pixels = pixels.astype(np.uint16)
        self._codes = sum_code(sums).astype(np.uint16)
        self._shares = (charges / sums[:, None]).astype(np.float32)
        # a pedestal of single counts is no hit: the class is what stands out above it
        hits = (charges > charges.min(axis=1, keepdims=True)).sum(axis=1)
        split = round(len(charges) * (1.0 - validation))
        if not 0 < split < len(charges):
            raise ValueError(f"{len(charges)} images are too few to set a share of {validation} aside for validation")
        self._validation = np.arange(split, len(charges))
        self._classes = [
            (np.flatnonzero((hits[:split] >= low) & (hits[:split] <= high)), share) for low, high, share in BATCH_MIX
        ]
        self._classes = [(rows, share) for rows, share in self._classes if len(rows)]
        if not self._classes:
            raise ValueError("no image with a hit trigger cell")

    def _rows(self, rows: Int64) -> tuple[Float32, Float32, Float32]:
        return (
            self._pixels[rows].astype(np.float32),
            sum_features(self._codes[rows].astype(np.int64)),
            self._shares[rows],
        )

    def batches(self, size: int, steps: int, first: int = 1) -> Iterator[tuple[Float32, Float32, Float32]]:
        """Random batches in the occupancy mix of `BATCH_MIX`.

        A batch depends on seed and step alone, so that a resumed training sees what an uninterrupted one sees.

        Parameters
        ----------
        size : int
            Images of a batch.
        steps : int
            Number of the last step.
        first : int, optional
            Number of the first step.

        Yields
        ------
        pixels : ndarray of float32, shape (size, 48)
            Integer codes of ``spec.pixel`` on the network's inputs.
        sums : ndarray of float32, shape (size, 2)
            `decoder.sum_features`.
        shares : ndarray of float32, shape (size, 48)
            Trigger cell order.
        """
        total = sum(share for _, share in self._classes)
        for step in range(first, steps + 1):
            rng = np.random.default_rng([self._seed, step])
            counts = [round(size * share / total) for _, share in self._classes]
            counts[-1] = size - sum(counts[:-1])
            rows = np.concatenate(
                [
                    pool[rng.integers(0, len(pool), count)]
                    for (pool, _), count in zip(self._classes, counts, strict=True)
                ]
            )
            yield self._rows(rows)

    def validation(self, limit: int = 20000) -> tuple[Float32, Float32, Float32]:
        """The images set aside, in their natural mix, as `batches` yields them."""
        return self._rows(self._validation[:limit])


def physics_multiplexer(spec: EncoderSpec) -> Int64:
    """Trigger cell on each input of the network so that its grid shows the module: the multiplexer setting.

    Parameters
    ----------
    spec : EncoderSpec

    Returns
    -------
    ndarray of int64, shape (48,)
        For an 8 x 8 grid the arrangement of the chip; otherwise input i takes trigger cell i.
    """
    if spec.grid == (8, 8, 1):
        return econ_t_inputs()
    return np.arange(N_TRIGGER_CELLS, dtype=np.int64)
