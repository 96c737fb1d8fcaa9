"""Compiled kernels of the encoder, on all cores: words to charges, charges to latents, latents to frames.

Same results as the NumPy engine on every code. In the network, images stand side by side in blocks of `LANES`, so
every inner loop is one weight times a row of images: long vector code without branches. Codes are held in floating
point, in which these integers are exact: float32 while every sum stays below 2**24, float64 (2**53) for wider formats.
Weights are scaled by the power of two that a product drops, so truncation is one floor.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from sim.fixed_point import FixedPoint, IntArray, Overflow, Rounding
from sim.hgcal_encoder.calibrate import CALIBRATION
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.frame import SUM_CODE_WIDTH, kept_positions
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ETX_WORDS, HEADER_WIDTH, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import shifts

LANES = 64
"""Images computed side by side."""

_FACTOR_FRACTION = CALIBRATION.fraction
_ROUNDINGS = {Rounding.TRN: 0, Rounding.RND: 1, Rounding.RND_CONV: 2}


def charges_of_words(words: IntArray, settings: Settings) -> IntArray:
    """Calibrated charges of checked eRx words: unpacking, multiplexer, decoding, calibration.

    Parameters
    ----------
    words : ndarray of int64, shape (n, 12)
    settings : Settings

    Returns
    -------
    ndarray of int64, shape (n, 48)
    """
    charges = np.empty((len(words), CELLS), np.int64)
    # a 7-bit code has only 128 charges
    table = decode(np.arange(128), settings.high_density)
    _charges(
        words, settings.select // 4, shifts(settings.word_order)[settings.select % 4], table, settings.factors, charges
    )
    return charges


def frames_of_latents(
    counters: IntArray, sum_codes: IntArray, latents: IntArray, settings: Settings, spec: EncoderSpec
) -> npt.NDArray[np.uint32]:
    """Frames, as `sim.hgcal_encoder.frame.frame` lays them out.

    Parameters
    ----------
    counters, sum_codes : ndarray of int64, shape (n,)
    latents : ndarray of int64, shape (n, latents)
    settings : Settings
    spec : EncoderSpec

    Returns
    -------
    ndarray of uint32, shape (n, 13)
    """
    capacity = spec.capacity(settings.etx_count)
    positions = kept_positions(settings.keep_mask, spec)[:capacity]
    frames = np.zeros((len(latents), ETX_WORDS), np.uint32)
    _frames(counters, sum_codes, latents, positions, spec.latent.width, capacity, frames)
    return frames


def encode(charges: IntArray, weights: Weights) -> IntArray:
    """Latents of calibrated charges.

    Parameters
    ----------
    charges : ndarray of int64, shape (n, 48)
        Checked charges, 22 bits.
    weights : Weights

    Returns
    -------
    ndarray of int64, shape (n, latents)
        Codes of ``spec.latent``.

    Raises
    ------
    ValueError
        If sums of this spec need more than 53 bits.
    """
    spec = weights.spec
    bits = _sum_bits(spec)
    if bits > 53:
        raise ValueError(f"{spec.name}: sums of {bits} bits exceed the 53 that this engine computes exactly; use numpy")
    real: type[np.floating[Any]] = np.float32 if bits <= 24 else np.float64
    conv_drop = spec.pixel.fraction + spec.weight.fraction - spec.conv_product_fraction
    dense_drop = spec.activation.fraction + spec.weight.fraction - spec.dense_product_fraction
    latents = np.empty((len(charges), spec.latents), np.int64)
    _encode(
        charges,
        np.array([tap for position in spec.taps for tap in position], np.int64).reshape(-1, 2),
        np.cumsum([len(position) for position in spec.taps]),
        np.ldexp(weights.kernel.reshape(spec.kernel_taps, spec.filters), -conv_drop).astype(real),
        (weights.kernel_bias << (spec.conv_product_fraction - spec.weight.fraction)).astype(real),
        np.ldexp(weights.dense, -dense_drop).astype(real),
        (weights.dense_bias << (spec.dense_product_fraction - spec.weight.fraction)).astype(real),
        spec.pixel.fraction,
        _ROUNDINGS[spec.conv_product_rounding],
        _store(spec.activation, spec.conv_product_fraction, spec.conv_sum_width, real),
        _ROUNDINGS[spec.dense_product_rounding],
        _store(spec.latent, spec.dense_product_fraction, spec.dense_sum_width, real),
        latents,
    )
    return latents


def _sum_bits(spec: EncoderSpec) -> int:
    """Bits that hold any product and any sum of either layer, sign, bias and dropped bits included."""
    conv = spec.pixel.width + spec.weight.width + (spec.kernel_taps + 1).bit_length()
    dense = spec.activation.width + spec.weight.width + (spec.activations + 1).bit_length()
    gained = (spec.activation.fraction - spec.conv_product_fraction, spec.latent.fraction - spec.dense_product_fraction)
    return max(conv, dense) + max(*gained, 0) + 1


def _store(
    form: FixedPoint, fraction: int, width: int | None, real: type[np.floating[Any]]
) -> tuple[Any, Any, int, Any, int]:
    """How `_keep` stores a sum in an unsigned format: modulus or 0, scale, rounding, number of codes, saturate."""
    return (
        real(0 if width is None else 1 << width),
        real(2.0 ** (form.fraction - fraction)),
        _ROUNDINGS[form.rounding],
        real(form.max_code + 1),
        int(form.overflow is Overflow.SAT),
    )


@numba.njit(cache=True, inline="always")
def _accumulate(total, value, weight, rounding):  # type: ignore[no-untyped-def]
    if rounding == 0:
        for lane in range(LANES):
            total[lane] += np.floor(value[lane] * weight)
    elif rounding == 1:
        for lane in range(LANES):
            product = value[lane] * weight
            below = np.floor(product)
            # a product has bits to spare below one half, so the doubled rest is exact
            total[lane] += below + np.floor(2 * (product - below))
    else:
        for lane in range(LANES):
            total[lane] += np.rint(value[lane] * weight)


@numba.njit(cache=True, inline="always")
def _keep(value, store):  # type: ignore[no-untyped-def]
    modulus, scale, rounding, codes, saturate = store
    if modulus:
        for lane in range(LANES):
            value[lane] -= modulus * np.floor(value[lane] / modulus + 0.5)
    for lane in range(LANES):
        scaled = max(value[lane], 0) * scale
        below = np.floor(scaled)
        if rounding == 1:
            below += np.floor(2 * (scaled - below))
        elif rounding == 2:
            below = np.rint(scaled)
        value[lane] = min(below, codes - 1) if saturate else below - codes * np.floor(below / codes)


@numba.njit(cache=True, parallel=True, nogil=True)
def _encode(  # type: ignore[no-untyped-def]
    charges,
    taps,
    tap_ends,
    kernel,
    kernel_bias,
    dense,
    dense_bias,
    pixel_fraction,
    conv_rounding,
    conv_store,
    dense_rounding,
    dense_store,
    latents,
):
    filters = kernel_bias.size
    for block in numba.prange((len(charges) + LANES - 1) // LANES):
        pixels = np.zeros((CELLS, LANES), kernel.dtype)
        activations = np.empty((tap_ends.size * filters, LANES), kernel.dtype)
        total = np.empty(LANES, kernel.dtype)
        start = block * LANES
        count = min(LANES, len(charges) - start)
        for lane in range(count):
            module_sum = np.int64(0)
            for cell in range(CELLS):
                module_sum += charges[start + lane, cell]
            exponent = 0
            while exponent < CHARGE_WIDTH - 1 and module_sum >> (exponent + 1):
                exponent += 1
            shift = exponent - pixel_fraction
            for cell in range(CELLS):
                charge = charges[start + lane, cell]
                pixels[cell, lane] = charge >> shift if shift >= 0 else charge << -shift
        for position in range(tap_ends.size):
            for f in range(filters):
                activation = activations[position * filters + f]
                activation[:] = kernel_bias[f]
                for tap in range(tap_ends[position - 1] if position else 0, tap_ends[position]):
                    _accumulate(activation, pixels[taps[tap, 0]], kernel[taps[tap, 1], f], conv_rounding)
                _keep(activation, conv_store)
        for latent in range(dense_bias.size):
            total[:] = dense_bias[latent]
            for index in range(len(activations)):
                _accumulate(total, activations[index], dense[index, latent], dense_rounding)
            _keep(total, dense_store)
            for lane in range(count):
                latents[start + lane, latent] = np.int64(total[lane])


@numba.njit(cache=True, parallel=True, nogil=True)
def _charges(words, word, shift, table, factors, charges):  # type: ignore[no-untyped-def]
    for row in numba.prange(len(words)):
        for cell in range(CELLS):
            code = (words[row, word[cell]] >> shift[cell]) & 127
            charges[row, cell] = (table[code] * factors[cell]) >> _FACTOR_FRACTION


@numba.njit(cache=True, parallel=True, nogil=True)
def _frames(counters, sum_codes, latents, positions, width, capacity, frames):  # type: ignore[no-untyped-def]
    for row in numba.prange(len(frames)):
        header = (counters[row] << SUM_CODE_WIDTH) | sum_codes[row]
        frames[row, 0] = header << (32 - HEADER_WIDTH)
        # the lowest kept bit ends the frame
        place = HEADER_WIDTH + capacity
        for position in positions:
            place -= 1
            bit = (latents[row, position // width] >> (position % width)) & 1
            frames[row, place // 32] |= np.uint32(bit << (31 - place % 32))
