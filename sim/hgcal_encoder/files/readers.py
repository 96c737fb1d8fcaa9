"""Calibrated charges from the files that users have: CSV, Parquet and ROOT, chosen by the ending of the name.

=====================  ======================================================================================
ending                 layout
=====================  ======================================================================================
``.csv``, ``.csv.gz``  header CALQ_0 ... CALQ_47 in any order, further columns allowed (public ECON-T studies)
``.parquet``, ``.pq``  columns CALQ_0 ... CALQ_47, or one column CALQ of lists of 48
``.root``              a TTree or RNTuple with CALQ_0 ... CALQ_47, or one field CALQ of 48 per entry
=====================  ======================================================================================

Columns may have a prefix, and the underscore may be missing: ``wafer_CALQ0`` of the trigger ntuples of CMSSW,
``L1THGCAL_wafer_CALQ_0`` of NanoAOD. In ROOT each of them may hold the modules of one event in every entry; the modules
of all events follow each other. ``FILE.root:folder/tree`` names the tree where a file holds several,
``FILE.root:folder/tree:wafer_`` also the prefix.

64 columns, CALQ_0 ... CALQ_63, are the 8 x 8 image of CMS in reading order (`_cell_of_pixel`); its lower right
quarter holds no trigger cell. Charge there is refused in tables of plain ``CALQ`` names, which are then something else;
ntuples of events may have it, which is left out with a warning.

All layouts may carry a column ``eta`` (with the same prefix), the pseudorapidity of the module. Charges are integers
from 0 to 2**22 - 1; numbers with a fraction are refused, not rounded. Parquet needs pyarrow and ROOT needs uproot, both
optional.
"""

from __future__ import annotations

import csv
import gzip
import re
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray
from sim.hgcal_encoder.spec import CELLS, CHARGE_WIDTH
from sim.messages import shown

__all__ = ["CHUNK_ROWS", "ChargeTable", "charge_tables", "read_charge_table", "read_charges"]

CHUNK_ROWS = 1 << 14
"""Modules that are in memory at a time where a file is read in pieces."""

NAMES = tuple(f"CALQ_{cell}" for cell in range(CELLS))
"""Columns of the plain wide layout."""
_PIXELS = 64
_SIDE = 4
"""Trigger cells along one edge of each of the three rhombi."""
_COLUMN = re.compile(r"(.*?)CALQ(_?)([0-9]{1,2})")
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
    """Charges of a file, and pseudorapidities if it has them; parameters and errors as of `charge_tables`."""
    tables = list(charge_tables(path))
    etas = [table.etas for table in tables if table.etas is not None]
    return ChargeTable(
        charges=np.concatenate([table.charges for table in tables]), etas=np.concatenate(etas) if etas else None
    )


def charge_tables(path: Path | str, rows: int = CHUNK_ROWS) -> Iterator[ChargeTable]:
    """The modules of a file in pieces, so that its size does not matter.

    Parameters
    ----------
    path : Path or str
        See the module's text for endings and layouts.
    rows : int, optional
        Modules of a piece at most.

    Yields
    ------
    ChargeTable
        In the order of the file; one without rows if it has none.

    Raises
    ------
    FileNotFoundError
        If there is no such file; at the call, as all that can be known then.
    ValueError
        If the ending is unknown, the file is not what its ending says, a column is missing, or a value is no integer
        in range. The message names file, row and column: rows of CSV are lines (1 is the header), rows of Parquet and
        ROOT are entries from 0.
    ModuleNotFoundError
        If the library for this format is not installed.
    """
    name, _, tree = str(path).partition(".root:")
    tree, _, prefix = tree.partition(":")
    file = Path(f"{name}.root" if tree or prefix else str(path))
    ending = file.suffix.lower()
    readers: dict[str, _Reader] = {".csv": _csv, ".gz": _csv, ".parquet": _parquet, ".pq": _parquet}
    reader = partial(_root, tree=tree, prefix=prefix) if ending == ".root" else readers.get(ending)
    if reader is None or (ending == ".gz" and not file.name.lower().endswith(".csv.gz")):
        raise ValueError(f"{file}: expected a name ending in .csv, .csv.gz, .parquet, .pq or .root")
    if not file.is_file():
        raise FileNotFoundError(f"no file at {file}")
    return _named(file, reader, rows)


def _named(file: Path, reader: _Reader, rows: int) -> Iterator[ChargeTable]:
    """What a reader gives, its errors with the name of the file in front."""
    outside, empty = _Outside(), True
    try:
        for table in reader(file, rows, outside):
            for start in range(0, max(len(table.charges), int(empty)), rows):
                here, empty = slice(start, start + rows), False
                yield ChargeTable(
                    charges=table.charges[here], etas=None if table.etas is None else table.etas[here]
                )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    outside.warn()


# ---- columns -------------------------------------------------------------------------------------------------------


def _cell_of_pixel(row: int, column: int) -> int:
    """Trigger cell at a pixel of the 8 x 8 image: the rhombi B, A and C fill three quarters; -1 in the lower right."""
    if row < _SIDE:
        return 28 - _SIDE * row + column if column < _SIDE else _SIDE * (column - _SIDE) + row
    return 47 - (row - _SIDE) - _SIDE * column if column < _SIDE else -1


@dataclass
class _Outside:
    """Charge of ntuples where the 8 x 8 image has no trigger cell, counted over the pieces of a file."""

    first: str = ""
    left_out: int = 0
    total: int = 0

    def warn(self) -> None:
        """Say once per file what was left out."""
        if self.first:
            share = self.left_out / self.total
            warnings.warn(f"{self.first}; {100 * share:.1f} % of all charge lies there and is left out", stacklevel=2)


_Reader = Callable[[Path, int, _Outside], Iterator[ChargeTable]]


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Columns of a table: one for each of 48 trigger cells, or for each pixel of an 8 x 8 image."""

    prefix: str
    names: tuple[str, ...]

    @property
    def eta(self) -> str:
        return f"{self.prefix}{ETA_NAME}"

    def cells(self, values: npt.NDArray[Any], first_row: int, outside: _Outside) -> IntArray:
        """Checked charges of shape (n, 48) in trigger cell order."""
        charges = _check(values, self.names, first_row)
        if len(self.names) == CELLS:
            return charges
        image = np.array([_cell_of_pixel(*divmod(pixel, 2 * _SIDE)) for pixel in range(_PIXELS)])
        beside = charges[:, image < 0]
        outside.total += int(charges.sum())
        if beside.any():
            row, column = np.argwhere(beside)[0].tolist()
            place = int(np.flatnonzero(image < 0)[column])
            what = f"row {first_row + row}, column {self.names[place]}: the 8 x 8 image has no trigger cell there"
            if not self.prefix:
                raise ValueError(f"{what}, got {beside[row, column]}")
            outside.first = outside.first or what
            outside.left_out += int(beside.sum())
        cells: IntArray = np.empty((len(charges), CELLS), np.int64)
        cells[:, image[image >= 0]] = charges[:, image >= 0]
        return cells


def _layout(names: Sequence[str], prefix: str | None = None) -> _Layout:
    """The columns of charges among the names of a table.

    Raises
    ------
    ValueError
        If there are none, several sets of them, or a set is not complete.
    """
    families: dict[tuple[str, str], set[int]] = {}
    known = set(names)
    for name in names:
        # ROOT writes the number of modules of an event beside them
        if name.startswith("n") and name[1:] in known:
            continue
        if (found := _COLUMN.fullmatch(name)) and prefix in (None, found[1]):
            numbers = families.setdefault((found[1], found[2]), set())
            if int(found[3]) in numbers:
                raise ValueError(f"header: column {name} occurs twice")
            numbers.add(int(found[3]))
    if not families:
        expected = f"{prefix or ''}CALQ_0 to {prefix or ''}CALQ_{CELLS - 1}"
        raise ValueError(f"header: expected {expected}, got {shown(', '.join(map(str, names)), quoted=False)}")
    if len(families) > 1 and ("", "_") in families:
        families = {("", "_"): families["", "_"]}
    if len(families) > 1:
        sets = ", ".join(f"{before}CALQ{line}" for before, line in sorted(families))
        raise ValueError(f"header: expected one set of columns of charges, got {shown(sets, quoted=False)}")
    (((before, line), numbers),) = families.items()
    count = _PIXELS if max(numbers) >= CELLS else CELLS
    wanted = [f"{before}CALQ{line}{number}" for number in range(count)]
    if missing := [name for number, name in enumerate(wanted) if number not in numbers]:
        raise ValueError(f"header: expected {wanted[0]} to {wanted[-1]}, missing {', '.join(missing[:4])}")
    if beyond := [number for number in numbers if number >= count]:
        raise ValueError(f"header: expected {CELLS} or {_PIXELS} columns of charges, got number {max(beyond)}")
    return _Layout(prefix=before, names=tuple(wanted))


# ---- CSV -----------------------------------------------------------------------------------------------------------


def _csv(path: Path, rows: int, outside: _Outside) -> Iterator[ChargeTable]:
    zipped = path.suffix.lower() == ".gz"
    try:
        with (gzip.open if zipped else open)(path, "rt", newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(file)
            header = [name.strip() for name in next(lines, [])]
            layout = _layout(header)
            order = [header.index(name) for name in layout.names]
            eta = header.index(layout.eta) if layout.eta in header else None
            while part := list(islice(((lines.line_num, row) for row in lines if row), rows)):
                yield _csv_table(part, header, layout, order, eta, outside)
            yield _csv_table([], header, layout, order, eta, outside)
    except (csv.Error, EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise ValueError(f"not a CSV table: {error}") from None


def _csv_table(
    part: list[tuple[int, list[str]]], header: list[str], layout: _Layout, order: list[int], eta: int | None,
    outside: _Outside,
) -> ChargeTable:  # fmt: skip
    """Charges of some rows, each with its line."""
    charges: list[list[int]] = []
    etas: list[float] = []
    take = itemgetter(*order)
    for line, row in part:
        if len(row) != len(header):
            raise ValueError(f"row {line}: expected {len(header)} fields, got {len(row)}")
        try:
            values = list(map(int, take(row)))
        except ValueError:
            # slower, but only here: integers written as 12.0 are fine, anything else is named
            values = [_integer(row[i], line, header[i]) for i in order]
        if eta is not None:
            etas.append(_real(row[eta], line, header[eta]))
        if not 0 <= min(values) <= max(values) <= _TOP:
            _check(np.array([values], object), layout.names, line)
        charges.append(values)
    table = np.array(charges, np.int64).reshape(-1, len(layout.names))
    return ChargeTable(
        charges=layout.cells(table, part[0][0] if part else 2, outside), etas=None if eta is None else np.array(etas)
    )


def _integer(text: str, row: int, column: str) -> int:
    value = _number(text)
    if value is None or not value.is_integer():
        raise ValueError(f"row {row}, column {column}: expected an integer, got {shown(text.strip())}")
    return int(value)


def _real(text: str, row: int, column: str) -> float:
    value = _number(text)
    if value is None:
        raise ValueError(f"row {row}, column {column}: expected a finite number, got {shown(text.strip())}")
    return value


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


# ---- arrays --------------------------------------------------------------------------------------------------------


def _check(values: npt.NDArray[Any], names: Sequence[str], first_row: int = 0) -> IntArray:
    """Charges of shape (n, columns) as integers, or an error that names row and column."""
    if values.dtype.kind not in "iufbO":
        raise ValueError(f"column {names[0]}: expected numbers, got {values.dtype}")
    whole = np.isfinite(values) & (values == np.floor(values)) if values.dtype.kind == "f" else np.True_
    bad = np.argwhere(~((values >= 0) & (values <= _TOP) & whole))
    if bad.size:
        row, column = bad[0].tolist()
        raise ValueError(
            f"row {first_row + row}, column {names[column]}: expected an integer from 0 to {_TOP:#x},"
            f" got {shown(values[row, column], quoted=False)}"
        )
    return values.astype(np.int64)


def _check_etas(values: npt.NDArray[Any], name: str, first_row: int = 0) -> npt.NDArray[np.float64]:
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise ValueError(f"column {name}: expected one number per row, got {values.dtype} of shape {values.shape}")
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise ValueError(f"row {first_row + bad[0]}, column {name}: expected a finite number, got {values[bad[0]]}")
    return values.astype(np.float64)


def _lists(values: Any, first_row: int) -> npt.NDArray[Any]:
    """One array (n, 48) from a sequence of rows, which may be ragged."""
    rows = [np.asarray(row) for row in values]
    for number, row in enumerate(rows):
        if row.shape != (CELLS,):
            raise ValueError(
                f"row {first_row + number}, column {LIST_NAME}: expected {CELLS} values, got shape {row.shape}"
            )
    return np.stack(rows) if rows else np.zeros((0, CELLS), np.int64)


def _flat(
    values: npt.NDArray[Any], name: str, modules: list[int] | None, first_row: int
) -> tuple[npt.NDArray[Any], list[int] | None]:
    """A column with the modules of all events one after the other, and how many each event has (None: one row each)."""
    if values.ndim == 1 and values.dtype.kind != "O":
        return values, None
    rows = [np.asarray(row) for row in values]
    if bad := [number for number, row in enumerate(rows) if row.ndim != 1 or row.dtype.kind not in "iufb"]:
        raise ValueError(
            f"row {first_row + bad[0]}, column {name}: expected one number per row, or one for each module of an event"
        )
    counts = [len(row) for row in rows]
    if modules is not None and counts != modules:
        event = next(number for number, pair in enumerate(zip(counts, modules, strict=True)) if pair[0] != pair[1])
        raise ValueError(
            f"row {first_row + event}, column {name}: expected {modules[event]} modules, got {counts[event]}"
        )
    return np.concatenate(rows) if rows else np.zeros(0, np.int64), counts


def _table(
    names: list[str], column: Any, outside: _Outside, prefix: str | None = None, first_row: int = 0
) -> ChargeTable:  # fmt: skip
    """Table of some rows of a columnar file, `first_row` the first: `column` gives the array of a name."""
    if LIST_NAME in names and NAMES[0] not in names:
        charges = _check(_lists(column(LIST_NAME), first_row), NAMES, first_row)
        etas = _check_etas(column(ETA_NAME), ETA_NAME, first_row) if ETA_NAME in names else None
        return ChargeTable(charges=charges, etas=etas)
    layout = _layout(names, prefix)
    columns: list[npt.NDArray[Any]] = []
    modules: list[int] | None = None
    for name in layout.names:
        one, modules = _flat(column(name), name, modules, first_row)
        if one.ndim != 1 or one.dtype.kind not in "iufb":
            raise ValueError(f"column {name}: expected one number per row, got {one.dtype} of shape {one.shape}")
        if columns and len(one) != len(columns[0]):
            raise ValueError(f"column {name}: expected {len(columns[0])} rows, got {len(one)}")
        columns.append(one)
    etas = None
    # rows of modules and not of the file, where an entry is an event
    row = 0 if modules is not None else first_row
    if layout.eta in names:
        etas = _check_etas(_flat(column(layout.eta), layout.eta, modules, first_row)[0], layout.eta, row)
        if len(etas) != len(columns[0]):
            raise ValueError(f"column {layout.eta}: expected {len(columns[0])} rows, got {len(etas)}")
    return ChargeTable(charges=layout.cells(np.stack(columns, axis=1), row, outside), etas=etas)


# ---- Parquet -------------------------------------------------------------------------------------------------------


@contextmanager
def _library(kind: str) -> Iterator[None]:
    """What a library raises over a damaged file, of whatever class, as one line."""
    try:
        yield
    except _DamagedError:
        raise
    except Exception as error:
        what = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _DamagedError(f"not a {kind} that can be read: {shown(what, quoted=False)}") from None


class _DamagedError(ValueError):
    """A file is not what its ending says."""


def _parquet(path: Path, rows: int, outside: _Outside) -> Iterator[ChargeTable]:
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
    except ModuleNotFoundError:
        raise ModuleNotFoundError(f"{path}: Parquet is read by the library pyarrow, which is not installed") from None
    with _library("Parquet table"):
        file = pq.ParquetFile(path, memory_map=True)
        names = list(file.schema_arrow.names)
        wanted = [name for name in names if _COLUMN.fullmatch(name) or name == LIST_NAME or name.endswith(ETA_NAME)]
        batches = file.iter_batches(batch_size=rows, columns=wanted)
        batch = next(batches, None) or file.schema_arrow.empty_table()
    first_row = 0

    def column(name: str) -> Any:
        with _library("Parquet table"):
            values = batch[name]
            missing = np.flatnonzero(np.asarray(values.is_null())) if values.null_count else np.zeros(0, int)
        if missing.size:
            raise ValueError(f"row {first_row + missing[0]}, column {name}: expected a number, got nothing")
        with _library("Parquet table"):
            return values.to_pylist() if name == LIST_NAME else np.asarray(values)

    while batch is not None:
        yield _table(names, column, outside, first_row=first_row)
        first_row += batch.num_rows
        with _library("Parquet table"):
            batch = next(batches, None)


# ---- ROOT ----------------------------------------------------------------------------------------------------------

_TREES = ("TTree", "ROOT::RNTuple")
_MEMORY = "16 MB"
"""Branches of a tree that are in memory at a time."""


def _holds_charges(names: Sequence[str], prefix: str) -> bool:
    found = (_COLUMN.fullmatch(name) for name in names)
    return LIST_NAME in names or any(match and prefix in ("", match[1]) for match in found)


def _root(path: Path, rows: int, outside: _Outside, *, tree: str, prefix: str) -> Iterator[ChargeTable]:
    try:
        import uproot  # type: ignore[import-untyped,unused-ignore]
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"{path}: ROOT files are read by the library uproot, which is not installed"
        ) from None
    with ExitStack() as stack:
        with _library("ROOT file"):
            file = stack.enter_context(uproot.open(path))
            # a tree may stand there in several cycles under one name
            trees = list(dict.fromkeys(n for n, kind in file.classnames(cycle=False).items() if kind in _TREES))
        if tree and tree not in trees:
            raise ValueError(f"no tree {tree}; it holds {shown(', '.join(trees) or 'no tree', quoted=False)}")
        with _library("ROOT file"):
            chosen = [tree] if tree else [name for name in trees if _holds_charges(file[name].keys(), prefix)]
        if len(chosen) != 1:
            listed = shown(f"{', '.join(chosen) or 'none'} of {', '.join(trees) or 'no trees'}", quoted=False)
            raise ValueError(
                f"expected one tree with {prefix}{NAMES[0]} or {LIST_NAME}, got {listed}; name one as FILE.root:tree"
            )
        with _library("ROOT file"):
            branches = file[chosen[0]]
            names = list(branches.keys())

            entries, step = int(branches.num_entries), rows
            if not isinstance(branches, uproot.behaviors.RNTuple.HasFields):
                # an entry may be an event of thousands of modules
                wanted = [name for name in names if _COLUMN.fullmatch(name) or name == LIST_NAME]
                step = max(1, min(rows, int(branches.num_entries_for(_MEMORY, wanted or None))))

        for first in range(0, max(entries, 1), step):

            def column(name: str, first: int = first) -> Any:
                with _library("ROOT file"):
                    return branches[name].array(library="np", entry_start=first, entry_stop=first + step)

            yield _table(names, column, outside, prefix or None, first)
