"""Stages 1 to 4 together: eRx words to calibrated charges, as every algorithm of the chip gets them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.calibrate import calibrate
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.multiplex import multiplex
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import CELLS
from sim.hgcal_encoder.words import bunch_crossings, unpack

__all__ = ["FrontEnd", "front_end", "pedestals"]


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


def pedestals(settings: Settings) -> IntArray:
    """Calibrated charge (CALQ) that each trigger cell has when it is empty, shape (48,).

    A sender that sees no charge sends code 0, which decodes to half of the step that it dropped: 1 count at low, 4 at
    high density, before calibration. A receiver that wants exact zeros takes it off; no eRx word gives less.
    """
    empty = decode(np.zeros((1, CELLS), np.int64), settings.high_density)
    return calibrate(empty, settings.factors).reshape(CELLS)
