"""Stages 1 to 4 together: eRx words to calibrated charges, as every algorithm of the chip gets them.

`seen_charges` is the same for charges of a file: what the chip sees of them once a sender has encoded them. No word
gives a charge of 0 (`pedestals`), so figures from charges as they are and from words differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.calibrate import CALIBRATION, calibrate
from sim.hgcal_encoder.decode import decode, dropped_bits
from sim.hgcal_encoder.float_code import CELL
from sim.hgcal_encoder.multiplex import multiplex
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS
from sim.hgcal_encoder.words import bunch_crossings, unpack

__all__ = ["FrontEnd", "by_trigger_cell", "front_end", "levels", "pedestals", "seen_charges", "sent_codes"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrontEnd:
    """What the algorithms see of n bunch crossings.

    Attributes
    ----------
    headers : ndarray, shape (n, 12)
        4-bit headers of the words.
    bx : ndarray, shape (n,)
        Bunch crossing in the orbit.
    codes : ndarray, shape (n, 48)
        4E3M codes per trigger cell.
    charges : ndarray, shape (n, 48)
        Calibrated charges (CALQ).
    """

    headers: IntArray
    bx: IntArray
    codes: IntArray
    charges: IntArray


def front_end(words: npt.ArrayLike, settings: Settings, first_bx: int = 0) -> FrontEnd:
    """Unpacking, multiplexer, decoding, calibration.

    Parameters
    ----------
    words : array_like of int, shape (n, 12)
        eRx words of consecutive bunch crossings.
    settings : Settings
    first_bx : int
        Bunch crossing of the first row if it does not carry the orbit header.

    Raises
    ------
    ValueError
        If a word is out of range; the message names its index.
    """
    headers, inputs = unpack(words, settings.word_order)
    codes = multiplex(inputs, settings.select)
    return FrontEnd(
        headers=headers,
        bx=bunch_crossings(headers, first_bx),
        codes=codes,
        charges=calibrate(decode(codes, settings.high_density), settings.factors),
    )


def levels(settings: Settings) -> IntArray:
    """Calibrated charge (CALQ) that each trigger cell has for each 4E3M code, shape (128, 48)."""
    codes = np.repeat(np.arange(CELL.max_code + 1)[:, None], CELLS, axis=1)
    return calibrate(decode(codes, settings.high_density), settings.factors)


def pedestals(settings: Settings) -> IntArray:
    """Calibrated charge (CALQ) that each trigger cell has when it is empty, shape (48,).

    A sender that sees no charge sends code 0, which decodes to half of the step that it dropped: 1 count at low, 4 at
    high density, before calibration. A receiver that wants exact zeros takes it off; no eRx word gives less.
    """
    empty: IntArray = levels(settings)[0]
    return empty


def by_trigger_cell(values: IntArray, settings: Settings) -> IntArray:
    """Values on the 48 inputs of the network, brought into the order of the trigger cells that the words carry.

    Parameters
    ----------
    values : ndarray of int64, shape (..., 48)
        In the order behind the multiplexer: charges of `front_end`, `levels`, `pedestals`, calibration factors.
    settings : Settings

    Raises
    ------
    ValueError
        If the multiplexer takes a trigger cell twice, so that another one is lost.
    """
    taken = np.bincount(settings.select, minlength=CELLS)
    if (taken != 1).any():
        raise ValueError(f"multiplexer: expected each trigger cell once, got {taken.argmax()} {taken.max()} times")
    out = np.empty_like(values)
    out[..., settings.select] = values
    return out


def sent_codes(charges: npt.ArrayLike, settings: Settings) -> IntArray:
    """4E3M codes that a sender gives for charges: counts before calibration, low bits dropped, encoded.

    Parameters
    ----------
    charges : array_like of int, shape (n, 48)
        Calibrated charges before encoding, in trigger cell order, as files have them.
    settings : Settings
        The sender divides by the calibration factor of the cell; with a factor of 0 nothing comes of its charge.

    Returns
    -------
    ndarray of int64, shape (n, 48)
        In trigger cell order.
    """
    factors = by_trigger_cell(settings.factors, settings)
    counts = np.asarray(charges, dtype=np.int64) << CALIBRATION.fraction
    # to the nearest count
    counts = np.where(factors > 0, (counts + factors // 2) // np.maximum(factors, 1), 0)
    return CELL.encode(counts, dropped_bits(settings.high_density))


def seen_charges(charges: npt.ArrayLike, settings: Settings) -> IntArray:
    """Calibrated charges that the chip has after charges of a file were sent to it in 4E3M.

    Parameters
    ----------
    charges : array_like of int, shape (n, 48)
        Calibrated charges before encoding, in trigger cell order.
    settings : Settings
        Density and calibration.

    Returns
    -------
    ndarray of int64, shape (n, 48)
        In trigger cell order; empty cells have their pedestal.
    """
    factors = by_trigger_cell(settings.factors, settings)
    return calibrate(decode(sent_codes(charges, settings), settings.high_density), factors)
