"""Images to train on: recipes, simulated modules, training sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.hgcal_encoder.detector.detector import Detector
from sim.hgcal_encoder.detector.digitisation import Digitisation
from sim.hgcal_encoder.detector.generator import Generator, ModuleImages
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
from sim.hgcal_encoder.front_end import pedestals, seen_charges, sent_codes
from sim.hgcal_encoder.learning.features import sum_features
from sim.hgcal_encoder.normalise import normalise, sum_code
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = [
    "PLAIN",
    "Images",
    "Recipe",
    "SimulatedImages",
    "TrainingSet",
    "physics_multiplexer",
    "recipes",
    "simulate_images",
]


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
#: Settings that charges of a file are sent with if nothing else is known: low density, calibration 1.
PLAIN = Settings(high_density=False)


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Modules to train on.

    Attributes
    ----------
    charges : ndarray of float32, shape (n, 48)
        Charges before they are encoded for the chip, in trigger cell order: what the decoder is to give back.
    seen : ndarray of int64, shape (n, 48)
        Calibrated charges (CALQ) that the chip has of them.
    pedestals : ndarray of int64, shape (n,)
        Sum of the pedestals of a module's 48 cells, each what `seen` has where nothing was sent.
    """

    charges: Float32
    seen: Int64
    pedestals: Int64

    def __post_init__(self) -> None:
        shapes = (self.charges.shape, self.seen.shape, (*self.pedestals.shape, N_TRIGGER_CELLS))
        if len(set(shapes)) > 1 or self.charges.ndim != 2:
            raise ValueError(f"images: expected charges and seen (n, 48) and pedestals (n,), got {shapes}")

    def __len__(self) -> int:
        return len(self.seen)

    def __getitem__(self, rows: NDArray[np.bool_]) -> Images:
        return Images(charges=self.charges[rows], seen=self.seen[rows], pedestals=self.pedestals[rows])

    @classmethod
    def of_charges(cls, charges: Int64, settings: Settings | None = None) -> Images:
        """Charges of a file as a chip with these settings has them; without settings they need no encoding.

        Parameters
        ----------
        charges : ndarray of int64, shape (n, 48)
            Trigger cell order.
        settings : Settings, optional
        """
        seen, empty = charges, np.zeros(N_TRIGGER_CELLS, np.int64)
        if settings is not None:
            seen, empty = seen_charges(charges, settings), pedestals(settings)
        return cls(charges=charges.astype(np.float32), seen=seen, pedestals=np.full(len(charges), empty.sum()))


def _as_calibrated(modules: ModuleImages) -> Images:
    """Modules as chips with their own density and calibration see them."""
    return Images(
        charges=modules.unencoded, seen=modules.charges, pedestals=modules.pedestals.sum(axis=1, dtype=np.int64)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedImages:
    """Module images of all `recipes`.

    Attributes
    ----------
    images : Images
        None empty.
    etas : ndarray of float64, shape (n,)
        Pseudorapidity of the module.
    origin : dict
        Images by recipe.
    """

    images: Images
    etas: Float64
    origin: dict[str, int]


def simulate_images(
    *,
    seed: int,
    scale: float = 1.0,
    plain: float = 0.6,
    busy: float = 1.0,
    progress: Callable[[str], None] | None = None,
) -> SimulatedImages:
    """Simulated module images from all `recipes`, each as a chip sees it.

    Some modules reach the chip as the charges of a file do (`PLAIN`), with a pedestal of one count in every cell; the
    others with density and calibration of their own, which leave a pedestal of at most a few counts in dense modules.

    Parameters
    ----------
    seed : int
    scale : float, optional
        On the number of crossings of every recipe; 1 gives about 2.7 million images.
    plain : float, optional
        Share of modules with settings `PLAIN`.
    busy : float, optional
        On the images that are taken of each crossing with pile-up: more of them for a network that is to decode busy
        modules well.
    progress : callable, optional
        Told a line of text per recipe.

    Returns
    -------
    SimulatedImages
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    if not busy > 0:
        raise ValueError(f"busy must be positive, got {busy}")
    if not 0.0 <= plain <= 1.0:
        raise ValueError(f"plain must be a share between 0 and 1, got {plain}")
    detector = Detector()
    parts: list[tuple[Images, Float64]] = []
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
        most = round(recipe.images_per_crossing * (busy if recipe.leakage else 1.0))
        for modules in generator.stream(max(round(recipe.crossings * scale), 1)):
            rows = np.flatnonzero((modules.codes > 0).any(axis=1))
            if len(rows) > most:
                rows = rng.choice(rows, most, replace=False)
            chosen = modules[rows]
            filed = rng.random(len(rows)) < plain
            counts = chosen.unencoded.astype(np.int64)
            # what the sender drops in whole is nothing to learn from
            filed_rows = filed & (sent_codes(counts, PLAIN) > 0).any(axis=1)
            parts += [
                (Images.of_charges(counts[filed_rows], PLAIN), chosen.eta[filed_rows]),
                (_as_calibrated(chosen[~filed]), chosen.eta[~filed]),
            ]
            count += int(filed_rows.sum() + (~filed).sum())
        origin[recipe.name] = count
        if progress is not None:
            progress(f"{recipe.name}: {count} images")
    images = [part for part, _ in parts]
    return SimulatedImages(
        images=Images(
            charges=np.concatenate([part.charges for part in images]),
            seen=np.concatenate([part.seen for part in images]),
            pedestals=np.concatenate([part.pedestals for part in images]),
        ),
        etas=np.concatenate([etas for _, etas in parts]),
        origin=origin,
    )


class TrainingSet:
    """Images prepared for training: network inputs, what the decoder knows of the sum, and the shares to reproduce.

    Parameters
    ----------
    images : Images
    spec : EncoderSpec
    validation : float, optional
        Share set aside for validation.
    seed : int, optional
        Of the split and of the batches.
    encode : callable, optional
        Makes of charges that the chip sees, (n, 48), what is to be yielded instead of pixels: the latents of an encoder
        that does not change.
    """

    def __init__(
        self,
        images: Images,
        spec: EncoderSpec,
        *,
        validation: float = 0.05,
        seed: int = 0,
        encode: Callable[[Int64], Int64] | None = None,
    ) -> None:
        if not 0.0 < validation < 1.0:
            raise ValueError(f"validation must be between 0 and 1, got {validation}")
        self._seed = seed
        order = np.random.default_rng(seed).permutation(len(images))
        seen, charges = images.seen[order], images.charges[order]
        sums, pixels = normalise(seen[:, physics_multiplexer(spec)], spec.pixel)
        totals = charges.sum(axis=1, keepdims=True)
        if (empty := np.flatnonzero((totals[:, 0] <= 0) | (sums == 0))).size:
            raise ValueError(f"images[{order[empty[0]]}]: an empty image has no shares")
        self._inputs = (pixels if encode is None else encode(seen)).astype(np.uint16)
        self._sums = sum_features(sum_code(sums), images.pedestals[order])
        self._shares = (charges / totals).astype(np.float32)
        hits = (charges > 0).sum(axis=1)
        split = round(len(images) * (1.0 - validation))
        if not 0 < split < len(images):
            raise ValueError(f"{len(images)} images are too few to set a share of {validation} aside for validation")
        self._validation = np.arange(split, len(images))
        self._classes = [
            (np.flatnonzero((hits[:split] >= low) & (hits[:split] <= high)), share) for low, high, share in BATCH_MIX
        ]
        self._classes = [(rows, share) for rows, share in self._classes if len(rows)]
        if not self._classes:
            raise ValueError("no image with a hit trigger cell")

    def _rows(self, rows: Int64) -> tuple[Float32, Float32, Float32]:
        return (
            self._inputs[rows].astype(np.float32),
            self._sums[rows],
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
        inputs : ndarray of float32, shape (size, 48) or (size, latents)
            Integer codes of ``spec.pixel`` on the network's inputs, or what `encode` made of the charges.
        sums : ndarray of float32, shape (size, 4)
            `sim.hgcal_encoder.learning.features.sum_features`.
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
