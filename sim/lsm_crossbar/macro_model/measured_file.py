"""Conductances that were measured, or tuned elsewhere, instead of drawn from a seed: files in, codes out.

Three kinds of file, told apart by their ending; cell ``(r, c)`` is the one of word line ``r`` and column ``c``, plus
columns even, minus columns odd (neuron ``n`` has the columns ``2 n`` and ``2 n + 1``), both from 0:

- ``.csv``: a line per word line, a number per column, apart by commas, in uS. Empty lines and lines that begin with
  ``#`` are skipped.
- ``.npz``: an array ``conductances_us`` of shape (rows, columns), in uS; and if the converters were measured, too,
  ``adc_gain`` of shape (ADCs,), over the ideal gain, and ``adc_offset_codes`` of the same shape, in codes. ADC
  ``2 * lane`` converts the plus columns of a lane, ``2 * lane + 1`` the minus columns.
  Several macros: the rows and ADCs of macro 0, then those of macro 1, and so on, in every file.
- ``.mem``: a conductance image of codes as `Conductances.write` leaves it.

Every conductance becomes a code of `CrossbarSpec.g_lsb_us`; what is above the range of the codes has the largest one.
The image says so in its record: the name of the file, how many cells were cut, and the largest rounding error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.files import replacing, write_arrays
from sim.fixed_point import IntArray
from sim.foreign_files import read_npz
from sim.lsm_crossbar.macro_model.array import FloatArray
from sim.lsm_crossbar.macro_model.conductance_file import Conductances, read_conductances
from sim.lsm_crossbar.macro_model.device import draw, quantise
from sim.lsm_crossbar.spec import CrossbarSpec
from sim.messages import shown

__all__ = ["LARGEST_US", "image_of", "macro_of", "read_measured", "write_measured"]

LARGEST_US = 1e6
"""Conductances above 1 S are taken for a mistake."""
_ARRAYS = ("conductances_us", "adc_gain", "adc_offset_codes")


def read_measured(path: Path, spec: CrossbarSpec) -> Conductances:
    """Read a file of conductances for a chip.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.npz`` or ``.mem``.
    spec : CrossbarSpec
        Says the shape of the macro and the range of its codes.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        Another ending, a shape that is not the macro's, or a number that is no conductance; the message names the file
        and the place.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".npz": _read_arrays}
    if path.suffix == ".mem":
        image = read_conductances(path)
        try:
            return image.check(spec)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    if path.suffix not in readers:
        raise ValueError(f"{path}: expected a file .csv, .npz or .mem of conductances, got {shown(path.suffix)}")
    if not path.is_file():
        raise FileNotFoundError(f"no file of conductances at {path}")
    arrays = readers[path.suffix](path)
    try:
        return image_of(spec, name=path.name, **arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def macro_of(spec: CrossbarSpec, *, seed: int, conductances: Path | None = None) -> Conductances:
    """The macro of a file of conductances, or without one the draw of a seed; errors as of either."""
    return draw(spec, seed) if conductances is None else read_measured(conductances, spec)


def image_of(
    spec: CrossbarSpec,
    conductances_us: npt.ArrayLike,
    adc_gain: npt.ArrayLike | None = None,
    adc_offset_codes: npt.ArrayLike | None = None,
    *,
    name: str,
) -> Conductances:
    """The conductance image of measured numbers; it has no seed.

    Parameters
    ----------
    spec : CrossbarSpec
    conductances_us : array_like of float, shape (rows, columns)
        uS, 0 to `LARGEST_US`.
    adc_gain : array_like of float, shape (ADCs,), optional
        Over the ideal gain; None: ideal.
    adc_offset_codes : array_like of float, shape (ADCs,), optional
        In codes of the ADC; None: 0.
    name : str
        Where the numbers are from, for the record.

    Raises
    ------
    ValueError
        Another shape, a number that is not finite or out of range, or conductances that are all below half a code;
        the message names the index.
    """
    measured = _numbers("conductances_us", conductances_us, (spec.image_rows, spec.columns), 0, LARGEST_US)
    codes = quantise(measured, spec)
    if measured.any() and not codes.any():
        raise ValueError(
            f"conductances_us: the largest is {measured.max():g} uS, less than half of one code of {spec.name}, "
            f"{spec.g_lsb_us:.3g} uS; the unit is uS"
        )
    shape = (spec.image_adcs,)
    ideal, step = 1 << spec.gain_fraction, 1 << spec.conversion_shift
    gain, offset = np.full(shape, ideal), np.zeros(shape, np.int64)
    if adc_gain is not None:
        gain = _whole(_numbers("adc_gain", adc_gain, shape, 1 / ideal, spec.gain_max / ideal) * ideal)
    if adc_offset_codes is not None:
        low, high = -(spec.offset_max + 1) / step, spec.offset_max / step
        offset = _whole(_numbers("adc_offset_codes", adc_offset_codes, shape, low, high) * step)
    within = measured <= spec.g_max_us
    error = np.abs(codes * spec.g_lsb_us - measured)[within]
    return Conductances.of(
        spec, codes, seed=None, adc_gain=gain, adc_offset=offset,
        device={
            "measured": name, "g_max_us": spec.g_max_us, "cells_above_range": int((~within).sum()),
            "largest_rounding_error_us": round(float(error.max()), 9) if error.size else 0.0,
        },
    )  # fmt: skip


def write_measured(
    path: Path,
    conductances_us: npt.ArrayLike,
    adc_gain: npt.ArrayLike | None = None,
    adc_offset_codes: npt.ArrayLike | None = None,
) -> None:
    """Write conductances as ``.npz`` or, without ADCs, as ``.csv``; complete or not at all.

    Parameters as of `image_of`; a ``.csv`` holds the shortest decimals that read back to the same numbers.

    Raises
    ------
    ValueError
        Another ending, ADCs for a ``.csv``, or an array of another dimension.
    """
    path, measured = Path(path), np.asarray(conductances_us, np.float64)
    if measured.ndim != 2:
        raise ValueError(f"conductances_us: expected the shape (rows, columns), got {measured.shape}")
    if path.suffix == ".npz":
        given = zip(_ARRAYS, (measured, adc_gain, adc_offset_codes), strict=True)
        write_arrays(path, {name: np.asarray(array, np.float64) for name, array in given if array is not None})
    elif path.suffix == ".csv" and adc_gain is None and adc_offset_codes is None:
        with replacing(path) as file:
            file.write("# conductances in uS: a line per word line, a number per column\n")
            file.writelines(",".join(map(repr, row)) + "\n" for row in measured.tolist())
    else:
        raise ValueError(f"{path}: expected a name .npz, or .csv without ADCs")


def _read_csv(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: byte {error.start} is not text") from None
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split(",")
        if rows and len(words) != len(rows[0]):
            raise ValueError(f"{path}: line {number}: expected {len(rows[0])} numbers as above, got {len(words)}")
        rows.append([_decimal(path, number, place, word) for place, word in enumerate(words, start=1)])
    if not rows:
        raise ValueError(f"{path}: expected lines of conductances, found none")
    return {"conductances_us": np.array(rows)}


def _decimal(path: Path, line: int, place: int, word: str) -> float:
    try:
        if "_" in word:
            raise ValueError
        return float(word)
    except ValueError:
        raise ValueError(f"{path}: line {line}, number {place}: expected a decimal, got {shown(word)}") from None


def _read_arrays(path: Path) -> dict[str, Any]:
    stored = read_npz(path)
    if "conductances_us" not in stored:
        raise ValueError(f"{path}: expected an array conductances_us, found {shown(', '.join(stored), quoted=False)}")
    if unknown := [name for name in stored if name not in _ARRAYS]:
        raise ValueError(f"{path}: expected the arrays {', '.join(_ARRAYS)}, found {shown(unknown[0])}")
    return dict(stored)


def _numbers(name: str, values: npt.ArrayLike, shape: tuple[int, ...], low: float, high: float) -> FloatArray:
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name}: expected numbers, got {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name}: expected the shape {shape}, got {array.shape}")
    numbers = array.astype(np.float64)
    good = (numbers >= low) & (numbers <= high)
    if not good.all():
        index = tuple(int(i) for i in np.argwhere(~good)[0])
        raise ValueError(f"{name}{list(index)}: expected {low:g} to {high:g}, got {numbers[index]:g}")
    return numbers


def _whole(values: FloatArray) -> IntArray:
    return np.rint(values).astype(np.int64)
