"""Handwritten digits: the 10,000 that ship with the package, and the whole of MNIST where a user has it."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.foreign_files import read_npz
from sim.messages import shown

__all__ = ["Digits", "mnist_digits", "read_digits"]

DEPENDS_ON = ("data/mnist_10k.npz",)


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """Handwritten digits with their labels.

    Attributes
    ----------
    images : ndarray of uint8, shape (n, 28, 28)
        Ink from 0 to 255.
    labels : ndarray of uint8, shape (n,)
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Digits:
        """The digits of these rows."""
        return Digits(images=self.images[rows], labels=self.labels[rows])


_FIRST_THOUSAND = (97, 116, 99, 93, 105, 92, 94, 117, 87, 100)
"""Digits of each class among the first 1,000 of MNIST's training set."""


@lru_cache(maxsize=1)
def _shipped_digits() -> Digits:
    with (
        resources.files("sim").joinpath("data", "mnist_10k.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as data,
    ):
        return Digits(images=data["x"], labels=data["y"])


def mnist_digits(part: str = "all") -> Digits:
    """The first 10,000 training digits of MNIST, which ship with the package, sorted by class.

    Within a class they keep MNIST's order. The k-th recording of N-MNIST's training set shows the k-th digit of
    MNIST's, so whoever tests on the first 1,000 recordings must not train on their digits.

    Parameters
    ----------
    part : {"all", "first_thousand", "rest"}
        All 10,000; the first 1,000 of MNIST's training set; or the 9,000 others.

    Raises
    ------
    ValueError
        Another `part`.
    """
    digits = _shipped_digits()
    if part == "all":
        return digits
    if part not in ("first_thousand", "rest"):
        raise ValueError(f"part: expected all, first_thousand or rest, got {part!r}")
    within = np.arange(len(digits)) - np.searchsorted(digits.labels, digits.labels)
    early = within < np.array(_FIRST_THOUSAND)[digits.labels]
    return digits.take(np.flatnonzero(early if part == "first_thousand" else ~early))


_IDX = {
    "training": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
"""Files of the original distribution, with or without ``.gz``; Fashion-MNIST has the same names."""
_MOST_BYTES = 1 << 29


def read_digits(path: Path) -> tuple[Digits, Digits]:
    """Training and test images of MNIST or Fashion-MNIST.

    Parameters
    ----------
    path : Path
        A folder with the four IDX files of the original distribution, packed by gzip or not; or an archive as Keras has
        it, ``.npz`` with ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is damaged, or images and labels do not belong together; the message names the file.
    """
    path = Path(path)
    if not path.is_dir():
        arrays = read_npz(path)
        if missing := sorted({"x_train", "y_train", "x_test", "y_test"} - set(arrays)):
            raise ValueError(f"{path}: expected the arrays x_train, y_train, x_test and y_test, got no {missing[0]}")
        return (
            _digits(arrays["x_train"], arrays["y_train"], str(path)),
            _digits(arrays["x_test"], arrays["y_test"], str(path)),
        )
    training, test = (
        _digits(_idx(_found(path, images), 3), _idx(_found(path, labels), 1), str(path))
        for images, labels in _IDX.values()
    )
    return training, test


def _found(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{folder}: no {name} and no {name}.gz")


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """The array of an IDX file of bytes: two zeros, 8 for bytes, the number of axes; their lengths; the values."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: {shown(error, quoted=False)}") from None
    if len(content) < 4 + 4 * axes or content[:4] != bytes((0, 0, 8, axes)):
        raise ValueError(
            f"{path}: expected an IDX file of bytes with {axes} axes, got it to begin with {content[:4]!r}"
        )
    shape = tuple(np.frombuffer(content, ">u4", axes, 4).tolist())
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if len(values) != int(np.prod(shape, dtype=object)):
        raise ValueError(f"{path}: expected {shape} bytes, got {len(values):,}")
    return values.reshape(shape)


def _digits(images: NDArray[np.generic], labels: NDArray[np.generic], where: str) -> Digits:
    if images.ndim != 3 or images.shape[1:] != (28, 28) or images.dtype != np.uint8:
        raise ValueError(f"{where}: expected images (n, 28, 28) of bytes, got {images.shape} of {images.dtype}")
    if labels.shape != (len(images),) or (len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) <= 9):
        raise ValueError(f"{where}: expected a label 0 to 9 for each of {len(images)} images, got {labels.shape}")
    return Digits(images=images.astype(np.uint8), labels=labels.astype(np.uint8))
