"""Images as spikes: each pixel is an input neuron with a probability of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.astrocyte_liquid.kernel import poisson_events
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["probabilities", "image_events"]


def probabilities(
    images: npt.NDArray[np.uint8], spec: AstrocyteSpec, scale: float | None = None
) -> tuple[npt.NDArray[np.float64], float]:
    """Probability of an event per step of every pixel: the image over its sum, over the largest such value of all.

    Parameters
    ----------
    images : ndarray of uint8, shape (n, 28, 28)
        Pooled in squares of 2 x 2 pixels for a liquid of 196 inputs.
    spec : AstrocyteSpec
    scale : float, optional
        The largest value of the images that the liquid learned from; left out, that of `images`. (The published code
        takes that of each set.)

    Returns
    -------
    ndarray of float64, shape (n, inputs)
    float
        The scale.

    Raises
    ------
    ValueError
        If the spec has another number of inputs, or an image is empty.
    """
    pixels = images.astype(np.float64)
    if spec.inputs == 196:
        pixels = pixels.reshape(-1, 14, 2, 14, 2).sum(axis=(2, 4))
    flat = pixels.reshape(len(images), -1)
    if flat.shape[1] != spec.inputs:
        raise ValueError(f"{spec.name} has {spec.inputs} inputs: expected 784, or 196 of pooled images")
    total = flat.sum(axis=1, keepdims=True)
    if not total.all():
        raise ValueError(f"image {int(np.argmin(total))}: expected ink, got none")
    flat /= total
    found = float(flat.max()) if scale is None else scale
    return np.minimum(flat / found, 1.0), found


def image_events(probability: npt.NDArray[np.float64], steps: int, seeds: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Events of images; shape (n, steps, inputs). Image and seed alone decide what is drawn.

    Parameters
    ----------
    probability : ndarray of float64, shape (n, inputs)
    steps : int
    seeds : array_like of int, shape (n,)
    """
    events = np.empty((len(probability), steps, probability.shape[1]), np.uint8)
    for row, seed in enumerate(np.asarray(seeds, np.int64)):
        events[row] = poisson_events(probability[row], steps, seed)
    return events
