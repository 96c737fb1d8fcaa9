"""Stage 9: the output frame. Counter, sum code and the kept latent bits on 1 to 13 eTx links."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.spec import ETX_WORDS, HEADER_WIDTH, EncoderSpec

COUNTER_WIDTH = 5
SUM_CODE_WIDTH = 9
ORBIT_COUNTER = 31
"""Counter value of bunch crossing 0; every other crossing sends its number modulo 16."""


def counter(bx: IntArray) -> IntArray:
    """5-bit bunch-crossing counter of a frame."""
    return np.where(bx == 0, ORBIT_COUNTER, bx & 15)


def kept_positions(keep_mask: int, spec: EncoderSpec) -> IntArray:
    """Bit positions of the latent vector that the mask keeps, least significant first.

    The latent vector has latent 0 in its lowest bits and the last latent in its highest.

    Raises
    ------
    ValueError
        If the mask has bits beyond the latent vector.
    """
    if not 0 <= keep_mask < 1 << spec.keep_bits:
        raise ValueError(f"keep mask: expected at most {spec.keep_bits} bits, got {keep_mask:#x}")
    return np.array([bit for bit in range(spec.keep_bits) if keep_mask >> bit & 1], np.int64)


def frame(
    bx: IntArray, sum_codes: IntArray, latents: IntArray, keep_mask: int, etx_count: int, spec: EncoderSpec
) -> npt.NDArray[np.uint32]:
    """Output words of each bunch crossing.

    Bits in order of transmission, most significant bit of eTx 0 first: 5-bit counter, 9-bit sum code, then the kept
    latent bits, right-justified in ``spec.capacity(etx_count)`` bits; when more are kept, the lowest stay.

    Parameters
    ----------
    bx : ndarray of int64, shape (n,)
        Bunch crossing in the orbit.
    sum_codes : ndarray of int64, shape (n,)
        9-bit 5E4M codes.
    latents : ndarray of int64, shape (n, latents)
        Codes of ``spec.latent``.
    keep_mask : int
        One bit per latent bit; the highest bit is the most significant bit of the last latent.
    etx_count : int
        Active links, 1 to 13.

    Returns
    -------
    ndarray of uint32, shape (n, 13)
        Words of inactive links are 0.

    Raises
    ------
    ValueError
        If the mask or the number of links is out of range.
    """
    capacity = spec.capacity(etx_count)
    positions = kept_positions(keep_mask, spec)[:capacity]
    bits = np.zeros((len(bx), 32 * ETX_WORDS), np.uint8)
    bits[:, :COUNTER_WIDTH] = _bits(counter(bx), COUNTER_WIDTH)
    bits[:, COUNTER_WIDTH:HEADER_WIDTH] = _bits(sum_codes, SUM_CODE_WIDTH)
    if len(positions):
        latent, bit = np.divmod(positions[::-1], spec.latent.width)
        end = HEADER_WIDTH + capacity
        bits[:, end - len(positions) : end] = (latents[:, latent] >> bit) & 1
    return np.packbits(bits, axis=1).view(">u4").astype(np.uint32)


def _bits(values: IntArray, width: int) -> IntArray:
    return (values[:, None] >> np.arange(width - 1, -1, -1)) & 1
