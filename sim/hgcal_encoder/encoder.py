"""The whole encoder: eRx words in, eTx words out, on one of two engines that agree bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.engine import Engine
from sim.fixed_point import IntArray
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.frame import counter, frame
from sim.hgcal_encoder.front_end import front_end
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.normalise import check_charges, normalise, sum_code
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import bunch_crossings, check_words


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """Every intermediate result of the data path; n rows each.

    Attributes
    ----------
    bx : ndarray, shape (n,)
        Bunch crossing in the orbit.
    codes : ndarray, shape (n, 48)
        4E3M codes per trigger cell.
    charges : ndarray, shape (n, 48)
        Calibrated charges (CALQ).
    sums : ndarray, shape (n,)
        Module sums.
    sum_codes : ndarray, shape (n,)
        5E4M codes of the sums.
    pixels : ndarray, shape (n, 48)
        Normalised charges.
    activations : ndarray, shape (n, activations)
        Convolution outputs.
    latents : ndarray, shape (n, latents)
    frames : ndarray of uint32, shape (n, 13)
    """

    bx: IntArray
    codes: IntArray
    charges: IntArray
    sums: IntArray
    sum_codes: IntArray
    pixels: IntArray
    activations: IntArray
    latents: IntArray
    frames: npt.NDArray[np.uint32]


class Encoder:
    """Golden model of one encoder with loaded weights and settings.

    Parameters
    ----------
    spec : EncoderSpec
    weights : Weights
        Weights of the same spec.
    settings : Settings, optional
        Reset values if left out, all latent bits kept.
    engine : Engine
        ``numpy`` or ``numba``.

    Raises
    ------
    ValueError
        If the weights belong to another spec, or a setting is out of its range.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        weights: Weights,
        settings: Settings | None = None,
        engine: Engine | str = Engine.NUMPY,
    ) -> None:
        if weights.spec != spec:
            raise ValueError(f"weights of {weights.spec.name}, but the encoder is {spec.name}")
        self.spec = spec
        self.weights = weights
        self.settings = Settings(spec=spec) if settings is None else settings.of(spec)
        self.engine = Engine(engine)

    def trace(self, words: npt.ArrayLike, first_bx: int = 0) -> Trace:
        """Run words through every stage, keeping all results (always the NumPy engine).

        Parameters
        ----------
        words : array_like of int, shape (n, 12)
            eRx words of consecutive bunch crossings.
        first_bx : int
            Bunch crossing of the first row if it does not carry the orbit header.

        Raises
        ------
        ValueError
            If a word is out of range; the message names its index.
        """
        settings = self.settings
        seen = front_end(words, settings, first_bx)
        bx, codes, charges = seen.bx, seen.codes, seen.charges
        sums, pixels, activations, latents = self._network(charges)
        codes_of_sums = sum_code(sums)
        return Trace(
            bx=bx,
            codes=codes,
            charges=charges,
            sums=sums,
            sum_codes=codes_of_sums,
            pixels=pixels,
            activations=activations,
            latents=latents,
            frames=frame(bx, codes_of_sums, latents, settings.keep_mask, settings.etx_count, self.spec),
        )

    def frames(self, words: npt.ArrayLike, first_bx: int = 0) -> npt.NDArray[np.uint32]:
        """eTx words of shape (n, 13) for eRx words of shape (n, 12); parameters and errors as `trace`."""
        if self.engine is Engine.NUMPY:
            return self.trace(words, first_bx).frames
        # compiled on first use; importing numba costs a second that the NumPy engine does not need
        from sim.hgcal_encoder import kernel

        checked = check_words(words)
        charges = kernel.charges_of_words(checked, self.settings)
        return kernel.frames_of_latents(
            counter(bunch_crossings(checked[:, 0] >> 28, first_bx)),
            sum_code(charges.sum(axis=1)),
            kernel.encode(charges, self.weights),
            self.settings,
            self.spec,
        )

    def latents(self, charges: npt.ArrayLike) -> IntArray:
        """Latent codes of calibrated charges.

        Parameters
        ----------
        charges : array_like of int, shape (n, 48)
            Calibrated charges (CALQ), 22 bits.

        Returns
        -------
        ndarray of int64, shape (n, latents)

        Raises
        ------
        ValueError
            If a charge is out of range; the message names its index.
        """
        if self.engine is Engine.NUMPY:
            return self._network(charges)[3]
        from sim.hgcal_encoder import kernel

        return kernel.encode(check_charges(charges), self.weights)

    def _network(self, charges: npt.ArrayLike) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        spec, weights = self.spec, self.weights
        sums, pixels = normalise(charges, spec.pixel)
        image = to_grid(pixels, spec)
        activations = convolve(image, weights.kernel, weights.kernel_bias, spec).reshape(len(image), -1)
        return sums, pixels, activations, dense(activations, weights.dense, weights.dense_bias, spec)
