"""A trained liquid: spec, seed of the network, tuned weights, scale of the images and the readout, as one file."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sim.astrocyte_liquid.learning.protocol import count_spikes
from sim.astrocyte_liquid.learning.stimuli import Stimuli
from sim.astrocyte_liquid.liquid import Arithmetic, Liquid
from sim.astrocyte_liquid.network import Network, draw
from sim.astrocyte_liquid.readout import Readout
from sim.astrocyte_liquid.spec import AstrocyteSpec
from sim.files import replacing
from sim.fixed_point import IntArray
from sim.foreign_files import read_npz

__all__ = ["TrainedLiquid"]

_FIELDS = ("spec", "seed", "scale", "plastic", "weights", "readout")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedLiquid:
    """A liquid in the chip's integers. The network is not stored: it is drawn again from the seed.

    Attributes
    ----------
    spec : AstrocyteSpec
    seed : int
        Of the network, and of the spikes that images are shown with.
    scale : float
        Of `sim.astrocyte_liquid.learning.images.probabilities`; 1 of a liquid of recordings.
    plastic : bool
        Whether weights change within a sample, as they did when the readout was trained.
    weights : ndarray of int64, shape (synapses,)
        Tuned weights, codes of the chip.
    readout : Readout

    Raises
    ------
    ValueError
        If the weights are not those of the network.
    """

    spec: AstrocyteSpec
    seed: int
    scale: float
    plastic: bool
    weights: IntArray
    readout: Readout

    def __post_init__(self) -> None:
        self.liquid()

    @cached_property
    def network(self) -> Network:
        """The network, drawn from the seed."""
        return draw(self.spec, self.seed)

    def liquid(self) -> Liquid:
        """The liquid with its tuned weights."""
        return Liquid(self.network, Arithmetic.CHIP, weights=self.weights)

    def classify(self, stimuli: Stimuli) -> IntArray:
        """Class of each sample, shape (n,), in exact chip arithmetic."""
        counts = count_spikes(self.liquid(), stimuli, self.seed, plastic=self.plastic)
        return self.readout.classify(counts)

    def save(self, path: Path) -> None:
        """Write a ``.npz``, complete or not at all; the same model gives the same bytes."""
        arrays = {
            "spec": np.array(self.spec.to_toml()),
            "seed": np.array(self.seed),
            "scale": np.array(self.scale),
            "plastic": np.array(int(self.plastic)),
            "weights": self.weights.astype(np.int16),
            "readout": self.readout.weights.astype(np.int16),
        }
        with replacing(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                buffer = io.BytesIO()
                np.save(buffer, array, allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), buffer.getvalue())

    @classmethod
    def load(cls, path: Path | str) -> TrainedLiquid:
        """Read a model.

        Raises
        ------
        FileNotFoundError
            No such file.
        ValueError
            The file is not a model; the message says why.
        """
        stored = read_npz(Path(path))
        if missing := [name for name in _FIELDS if name not in stored]:
            raise ValueError(f"{path}: not a model of an astrocyte liquid: {', '.join(missing)} missing")
        kinds = {"spec": "U", "seed": "iu", "scale": "f", "plastic": "iu", "weights": "i", "readout": "i"}
        for name, kind in kinds.items():
            shaped = stored[name].ndim == (0 if name in ("spec", "seed", "scale", "plastic") else stored[name].ndim)
            if stored[name].dtype.kind not in kind or not shaped:
                raise ValueError(f"{path}: {name}: got an array {stored[name].shape} of {stored[name].dtype}")
        try:
            spec = AstrocyteSpec.from_toml(str(stored["spec"]))
            scale = float(stored["scale"])
            if not 0 < scale <= 1:
                raise ValueError(f"scale: expected a number above 0, at most 1, got {scale}")
            return cls(
                spec=spec, seed=int(stored["seed"]), scale=scale, plastic=bool(stored["plastic"]),
                weights=stored["weights"].astype(np.int64), readout=Readout(spec, stored["readout"].astype(np.int64)),
            )  # fmt: skip
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}: {error}") from None
