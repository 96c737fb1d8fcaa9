"""Calibrated charges from the files that users have: CSV, Parquet and ROOT, chosen by the ending of the name.

=====================  ======================================================================================
ending                 layout
=====================  ======================================================================================
``.csv``, ``.csv.gz``  header CALQ_0 ... CALQ_47 in any order, further columns allowed (public ECON-T studies)
``.parquet``, ``.pq``  columns CALQ_0 ... CALQ_47, or one column CALQ of lists of 48
``.root``              a TTree or RNTuple with CALQ_0 ... CALQ_47, or one field CALQ of 48 per entry
=====================  ======================================================================================

All of them may carry a column ``eta``, the pseudorapidity of the module. Charges are integers from 0 to 2**22 - 1;
numbers with a fraction are refused, not rounded. ``FILE.root:folder/tree`` names the tree where a file holds several.
Parquet needs pyarrow and ROOT needs uproot, both optional.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH

__all__ = ["ChargeTable", "read_charge_table", "read_charges"]

NAMES = tuple(f"CALQ_{cell}" for cell in range(CELLS))
"""Columns of the wide layouts."""
LIST_NAME = "CALQ"
"""Column of the layouts with one list per row."""
ETA_NAME = "eta"
_TOP = (1 << CHARGE_WIDTH) - 1


@dataclass(frozen=True, kw_only=True, eq=False)
class ChargeTable:
    """Charges of a file.

    Attributes
    ----------
    charges : ndarray of int64, shape (n, 48)
        Calibrated charges (CALQ) in trigger cell order.
    etas : ndarray of float64, shape (n,), or None
        Pseudorapidity of each module, if the file has a column ``eta``.
    """

    charges: IntArray
    etas: npt.NDArray[np.float64] | None


def read_charges(path: Path | str) -> IntArray:
    """Charges of a file, shape (n, 48); see `read_charge_table`."""
    return read_charge_table(path).charges


def read_charge_table(path: Path | str) -> ChargeTable:
    """Charges of a file, and pseudorapidities if it has them.

    Parameters
    ----------
    path : Path or str
        See the module's text for endings and layouts.

    Returns
    -------
    ChargeTable

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the ending is unknown, the file is not what its ending says, a column is missing, or a value is no integer
        in range. The message names file, row and column: rows of CSV are lines (1 is the header), rows of Parquet and
        ROOT are entries from 0.
    ModuleNotFoundError
        If the library for this format is not installed.
    """
    name, _, tree = str(path).partition(".root:")
    file = Path(f"{name}.root" if tree else str(path))
    ending = file.suffix.lower()
    readers: dict[str, Callable[..., ChargeTable]] = {".csv": _csv, ".gz": _csv, ".parquet": _parquet, ".pq": _parquet}
    reader = partial(_root, tree=tree) if ending == ".root" else readers.get(ending)
    if reader is None or (ending == ".gz" and not file.name.lower().endswith(".csv.gz")):
        raise ValueError(f"{file}: expected a name ending in .csv, .csv.gz, .parquet, .pq or .root")
    if not file.is_file():
        raise FileNotFoundError(f"no file at {file}")
    try:
        return reader(file)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


# ---- CSV -----------------------------------------------------------------------------------------------------------


def _csv(path: Path) -> ChargeTable:
    try:
        with gzip.open(path, "rt", newline="") if path.suffix.lower() == ".gz" else path.open(newline="") as file:
            rows = csv.reader(file)
            header = [name.strip() for name in next(rows, [])]
            order = _columns(header)
            eta = header.index(ETA_NAME) if ETA_NAME in header else None
            charges: list[list[int]] = []
            etas: list[float] = []
            for row in rows:
                if not row:
                    continue
                line = rows.line_num
                if len(row) != len(header):
                    raise ValueError(f"row {line}: expected {len(header)} fields, got {len(row)}")
                try:
                    charges.append([int(row[i]) for i in order])
                except ValueError:
                    # slower, but only here: integers written as 12.0 are fine, anything else is named
                    charges.append([_integer(row[i], line, header[i]) for i in order])
                if eta is not None:
                    etas.append(_real(row[eta], line))
                if not 0 <= min(charges[-1]) <= max(charges[-1]) <= _TOP:
                    _check(np.array(charges[-1:]), line)
    except (csv.Error, EOFError, gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise ValueError(f"not a CSV table: {error}") from None
    return ChargeTable(
        charges=np.array(charges, np.int64).reshape(-1, CELLS), etas=None if eta is None else np.array(etas)
    )


def _columns(header: list[str]) -> list[int]:
    if missing := [name for name in NAMES if name not in header]:
        raise ValueError(f"header: expected {NAMES[0]} to {NAMES[-1]}, missing {', '.join(missing[:4])}")
    if twice := [name for name in NAMES if header.count(name) > 1]:
        raise ValueError(f"header: column {twice[0]} occurs twice")
    return [header.index(name) for name in NAMES]


def _integer(text: str, row: int, column: str) -> int:
    value = _number(text)
    if value is None or not value.is_integer():
        raise ValueError(f"row {row}, column {column}: expected an integer, got {text.strip()!r}")
    return int(value)


def _real(text: str, row: int) -> float:
    value = _number(text)
    if value is None:
        raise ValueError(f"row {row}, column {ETA_NAME}: expected a finite number, got {text.strip()!r}")
    return value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


# ---- arrays --------------------------------------------------------------------------------------------------------


def _check(values: npt.NDArray[Any], first_row: int = 0) -> IntArray:
    """Charges of shape (n, 48) as integers, or an error that names row and column."""
    if values.dtype.kind not in "iufb":
        raise ValueError(f"column {LIST_NAME}: expected numbers, got {values.dtype}")
    whole = np.isfinite(values) & (values == np.floor(values)) if values.dtype.kind == "f" else np.True_
    bad = np.argwhere(~((values >= 0) & (values <= _TOP) & whole))
    if bad.size:
        row, column = bad[0].tolist()
        raise ValueError(
            f"row {first_row + row}, column {NAMES[column]}: expected an integer from 0 to {_TOP:#x},"
            f" got {values[row, column]}"
        )
    return values.astype(np.int64)


def _check_etas(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise ValueError(f"column {ETA_NAME}: expected one number per row, got {values.dtype} of shape {values.shape}")
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise ValueError(f"row {bad[0]}, column {ETA_NAME}: expected a finite number, got {values[bad[0]]}")
    return values.astype(np.float64)


def _lists(values: Any) -> npt.NDArray[Any]:
    """One array (n, 48) from a sequence of rows, which may be ragged."""
    rows = [np.asarray(row) for row in values]
    for number, row in enumerate(rows):
        if row.shape != (CELLS,):
            raise ValueError(f"row {number}, column {LIST_NAME}: expected {CELLS} values, got shape {row.shape}")
    return np.stack(rows) if rows else np.zeros((0, CELLS), np.int64)


def _table(names: list[str], column: Any) -> ChargeTable:
    """Table of a columnar file: `column` gives the array of a name."""
    if LIST_NAME in names and NAMES[0] not in names:
        values = _lists(column(LIST_NAME))
    else:
        _columns(names)
        columns = [column(name) for name in NAMES]
        for name, one in zip(NAMES, columns, strict=True):
            if one.ndim != 1 or one.dtype.kind not in "iufb":
                raise ValueError(f"column {name}: expected one number per row, got {one.dtype} of shape {one.shape}")
        values = np.stack(columns, axis=1)
    etas = _check_etas(column(ETA_NAME)) if ETA_NAME in names else None
    return ChargeTable(charges=_check(values), etas=etas)


# ---- Parquet -------------------------------------------------------------------------------------------------------


def _parquet(path: Path) -> ChargeTable:
    try:
        import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
        import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{path}: Parquet is read by the library pyarrow, which is not installed") from None
    try:
        file = pq.ParquetFile(path)
        names = list(file.schema_arrow.names)
        wanted = [name for name in (*NAMES, LIST_NAME, ETA_NAME) if name in names]
        table = file.read(columns=wanted)
    except pa.ArrowException as error:
        raise ValueError(f"not a Parquet table: {str(error).splitlines()[0]}") from None

    def column(name: str) -> Any:
        values = table[name]
        if values.null_count:
            row = int(np.flatnonzero(values.is_null().to_numpy())[0])
            raise ValueError(f"row {row}, column {name}: expected a number, got nothing")
        return values.to_pylist() if name == LIST_NAME else values.to_numpy()

    return _table(names, column)


# ---- ROOT ----------------------------------------------------------------------------------------------------------

_TREES = ("TTree", "ROOT::RNTuple")


def _root(path: Path, tree: str) -> ChargeTable:
    try:
        import uproot  # type: ignore[import-untyped,unused-ignore]
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{path}: ROOT files are read by the library uproot, which is not installed"
        ) from None
    try:
        with uproot.open(path) as file:
            trees = [name for name, kind in file.classnames(cycle=False).items() if kind in _TREES]
            if tree and tree not in trees:
                raise ValueError(f"no tree {tree}; it holds {', '.join(trees) or 'no tree'}")
            chosen = [tree] if tree else [name for name in trees if {NAMES[0], LIST_NAME} & set(file[name].keys())]
            if len(chosen) != 1:
                raise ValueError(
                    f"expected one tree with {NAMES[0]} or {LIST_NAME}, got {', '.join(chosen) or 'none'} of"
                    f" {', '.join(trees) or 'no trees'}; name one as FILE.root:tree"
                )
            branches = file[chosen[0]]
            return _table(list(branches.keys()), lambda name: branches[name].array(library="np"))
    except (uproot.exceptions.KeyInFileError, uproot.deserialization.DeserializationError, OSError) as error:
        raise ValueError(f"not a ROOT file: {str(error).strip().splitlines()[0]}") from None
