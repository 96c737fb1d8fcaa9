"""Readers and writers for the CSV layouts of the public ECON-T studies.

``testInput``: a header row RX_DATA_0..11, then one row per bunch crossing with 12 words in hexadecimal.
``testOutput``: TX_DATA_0..12, 13 words. ``CALQ``: CALQ_0..47, calibrated charges in decimal.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.files import replacing
from sim.fixed_point import IntArray
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH, ERX_WORDS, ETX_WORDS
from sim.messages import shown


def read_words(path: Path) -> IntArray:
    """eRx words of a ``testInput`` file, shape (n, 12); see `_read` for errors."""
    return _read(path, "RX_DATA_", ERX_WORDS, 16, 0xFFFF_FFFF)


def read_frames(path: Path) -> IntArray:
    """eTx words of a ``testOutput`` file, shape (n, 13); see `_read` for errors."""
    return _read(path, "TX_DATA_", ETX_WORDS, 16, 0xFFFF_FFFF)


def read_charges(path: Path) -> IntArray:
    """Calibrated charges of a ``CALQ`` file, shape (n, 48); see `_read` for errors."""
    return _read(path, "CALQ_", CELLS, 10, (1 << CHARGE_WIDTH) - 1)


def write_words(path: Path, words: npt.ArrayLike) -> None:
    """Write eRx words of shape (n, 12) in the ``testInput`` layout."""
    _write(path, "RX_DATA_", words, "08x")


def write_frames(path: Path, frames: npt.ArrayLike) -> None:
    """Write eTx words of shape (n, 13) in the ``testOutput`` layout."""
    _write(path, "TX_DATA_", frames, "08x")


def write_latents(path: Path, latents: npt.ArrayLike) -> None:
    """Write latent codes of shape (n, latents) in decimal, with a header AE_0.. ."""
    _write(path, "AE_", latents, "d")


def write_latents_in_parts(path: Path, parts: Iterable[IntArray]) -> int:
    """As `write_latents`, of arrays that follow each other, one in memory at a time; how many rows there were."""
    return _write_parts(path, "AE_", parts, "d")


def _read(path: Path, prefix: str, columns: int, base: int, top: int) -> IntArray:
    """Read a table whose header names ``prefix`` 0 to ``columns - 1``, in any order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the header, the number of fields or a value is wrong; the message names row (1 is the header) and column.
    """
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            header = [name.strip() for name in next(rows, [])]
            expected = [f"{prefix}{i}" for i in range(columns)]
            if missing := [name for name in expected if name not in header]:
                raise ValueError(f"header: expected {expected[0]} to {expected[-1]}, missing {', '.join(missing[:4])}")
            order = [header.index(name) for name in expected]
            values = []
            for number, row in enumerate(rows, 2):
                if not row:
                    continue
                if len(row) != len(header):
                    raise ValueError(f"row {number}: expected {len(header)} fields, got {len(row)}")
                values.append([_value(row[i], base, top, number, header[i]) for i in order])
    except FileNotFoundError:
        raise FileNotFoundError(f"no file at {path}") from None
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}") from None
    return np.array(values, np.int64).reshape(-1, columns)


def _value(text: str, base: int, top: int, row: int, column: str) -> int:
    kind = "a hexadecimal word" if base == 16 else "an integer"
    try:
        value = int(text, base)
    except ValueError:
        raise ValueError(f"row {row}, column {column}: expected {kind}, got {shown(text.strip())}") from None
    if not 0 <= value <= top:
        raise ValueError(f"row {row}, column {column}: expected 0 to {top:#x}, got {shown(text.strip(), quoted=False)}")
    return value


def _write(path: Path, prefix: str, values: npt.ArrayLike, form: str) -> None:
    _write_parts(path, prefix, [np.asarray(values)], form)


def _write_parts(path: Path, prefix: str, parts: Iterable[IntArray], form: str) -> int:
    rows = 0
    with replacing(path) as file:
        for number, array in enumerate(parts):
            if number == 0:
                file.write(",".join(f"{prefix}{i}" for i in range(array.shape[1])) + "\n")
            for row in array.tolist():
                file.write(",".join(format(value, form) for value in row) + "\n")
            rows += len(array)
    return rows
