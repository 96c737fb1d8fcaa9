"""Readers of charges: what other libraries wrote comes back, and every wrong file is named by row and column."""

import gzip
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from sim.hgcal_encoder.detector.geometry import image_8x8
from sim.hgcal_encoder.files import vectors
from sim.hgcal_encoder.files.readers import NAMES, charge_tables, read_charge_table, read_charges
from tests.conftest import need_module

pa = need_module("pyarrow", "files")
pq = need_module("pyarrow.parquet", "files")
uproot = need_module("uproot", "files")

ENDINGS = ("csv", "csv.gz", "parquet", "list.parquet", "root", "list.root")


def _write(path, charges, etas=None, rename=None):
    """One file of each layout, by libraries that the readers do not share."""
    columns = {(rename or {}).get(name, name): charges[:, i] for i, name in enumerate(NAMES)}
    extra = {} if etas is None else {"eta": etas}
    if path.name.endswith((".csv", ".csv.gz")):
        table = {"entry": np.arange(len(charges)), **extra, **dict(reversed(columns.items()))}
        lines = [",".join(table)] + [",".join(str(v) for v in row) for row in zip(*table.values(), strict=True)]
        text = "\n".join(lines) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if path.name.endswith(".gz") else text.encode())
    elif path.name.endswith("list.parquet"):
        pq.write_table(pa.table({"CALQ": list(charges), **extra}), path)
    elif path.name.endswith(".parquet"):
        pq.write_table(pa.table({**extra, **columns}), path, row_group_size=7)
    else:
        with uproot.recreate(path) as file:
            file["other"] = {"x": np.arange(3)}
            if "list" in path.name:  # uproot writes the new RNTuple
                file["tuple"] = {"CALQ": charges, **extra}
            else:
                file.mktree("folder/tree", {name: values.dtype for name, values in {**columns, **extra}.items()})
                file["folder/tree"].extend({**columns, **extra})
    return path


@pytest.fixture(scope="module")
def charges():
    rng = np.random.default_rng(0)
    return rng.integers(0, 1 << 22, (23, 48)) * (rng.random((23, 48)) < 0.4)


@pytest.mark.parametrize("ending", ENDINGS)
def test_pieces_of_a_file(tmp_path, charges, ending):
    """A file in pieces is the file: no piece is larger than asked for, and an error names the row of the whole."""
    etas = np.linspace(1.6, 2.9, len(charges))
    pieces = list(charge_tables(_write(tmp_path / f"a.{ending}", charges, etas), 5))
    assert max(len(piece.charges) for piece in pieces) <= 5
    assert len(pieces) >= len(charges) / 5
    assert_array_equal(np.concatenate([piece.charges for piece in pieces]), charges)
    assert_array_equal(np.concatenate([piece.etas for piece in pieces]), etas)
    wrong = charges.copy()
    wrong[17, 3] = 1 << 22
    row = 19 if "csv" in ending else 17
    path = _write(tmp_path / f"b.{ending}", wrong)
    read = charge_tables(path, 5)
    assert_array_equal(next(read).charges, charges[:5])
    with pytest.raises(ValueError, match=f"row {row}, column CALQ_3: expected an integer from 0"):
        list(read)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_round_trip(tmp_path, charges, ending, dtype):
    etas = np.linspace(1.6, 2.9, len(charges))
    path = _write(tmp_path / f"a.{ending}", charges.astype(dtype), etas)
    table = read_charge_table(path)
    assert table.charges.dtype == np.int64
    assert_array_equal(table.charges, charges)
    assert np.allclose(table.etas, etas)
    assert read_charge_table(_write(tmp_path / f"b.{ending}", charges)).etas is None


@pytest.mark.parametrize("ending", ENDINGS)
def test_empty_table(tmp_path, ending):
    assert read_charges(_write(tmp_path / f"a.{ending}", np.zeros((0, 48), np.int64))).shape == (0, 48)


def test_same_as_the_published_layout(shared_data, tmp_path):
    path = shared_data / "hgcal" / "electron_pt20_eta15-30_0PU.csv"
    part = tmp_path / "part.csv"
    part.write_text("".join(path.open().readlines()[:500]))
    assert_array_equal(read_charges(part), vectors.read_charges(part))
    assert len(read_charges(part)) == 499


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    ending=st.sampled_from(ENDINGS),
    row=st.integers(0, 22),
    cell=st.integers(0, 47),
    value=st.sampled_from([-1.0, 0.5, float("nan"), float("inf"), float(1 << 22), -(2.0**40)]),
)
def test_a_wrong_value_is_named(tmp_path, charges, ending, row, cell, value):
    wrong = charges.astype(np.float64)
    wrong[row, cell] = value
    path = _write(tmp_path / f"w.{ending}", wrong)
    line = row + 2 if ending.startswith("csv") else row
    with pytest.raises(ValueError, match=rf"w\.{ending}: row {line}, column CALQ_{cell}: expected an integer"):
        read_charges(path)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ending=st.sampled_from([e for e in ENDINGS if "list" not in e]), cell=st.integers(0, 47))
def test_a_missing_column_is_named(tmp_path, charges, ending, cell):
    path = _write(tmp_path / f"m.{ending}", charges, rename={f"CALQ_{cell}": "other"})
    with pytest.raises(ValueError, match=rf"CALQ_{cell}\b|expected one tree with CALQ_0"):
        read_charges(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ending=st.sampled_from(["csv", "csv.gz", "parquet", "root"]), content=st.binary(max_size=200))
def test_any_bytes_end_in_one_line(tmp_path, ending, content):
    path = tmp_path / f"bytes.{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^[^\n]*bytes\.{ending}: [^\n]*$"):
        read_charges(path)


@pytest.mark.parametrize("ending", ["parquet", "root", "csv.gz"])
def test_a_cut_file_is_refused(tmp_path, charges, ending):
    whole = _write(tmp_path / f"a.{ending}", charges).read_bytes()
    cut = tmp_path / f"cut.{ending}"
    for part in (0.2, 0.6, 0.95):
        cut.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ValueError, match=rf"cut\.{ending}"):
            read_charges(cut)


def test_layout_errors(tmp_path, charges):
    csv = tmp_path / "a.csv"
    _write(csv, charges)
    lines = csv.read_text().splitlines()
    lines[4] += ",7"
    csv.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="row 5: expected 49 fields, got 50"):
        read_charges(csv)
    lines[4] = lines[4][:-2].replace(lines[4].split(",")[1], "many", 1)
    csv.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="row 5, column CALQ_47: expected an integer, got 'many'"):
        read_charges(csv)
    csv.write_text(lines[0] + ",CALQ_3\n")
    with pytest.raises(ValueError, match="column CALQ_3 occurs twice"):
        read_charges(csv)
    csv.write_text(lines[0] + ",eta\n" + lines[1] + ",steep\n")
    with pytest.raises(ValueError, match="row 2, column eta: expected a finite number, got 'steep'"):
        read_charge_table(csv)

    parquet = tmp_path / "a.parquet"
    rows = [row.tolist() for row in charges]
    rows[6] = rows[6][:-1]
    pq.write_table(pa.table({"CALQ": rows}), parquet)
    with pytest.raises(ValueError, match=r"row 6, column CALQ: expected 48 values, got shape \(47,\)"):
        read_charges(parquet)
    columns = {name: charges[:, i].tolist() for i, name in enumerate(NAMES)}
    columns["CALQ_9"][11] = None
    pq.write_table(pa.table(columns), parquet)
    with pytest.raises(ValueError, match="row 11, column CALQ_9: expected a number, got nothing"):
        read_charges(parquet)
    columns["CALQ_9"] = ["x"] * 23
    pq.write_table(pa.table(columns), parquet)
    with pytest.raises(ValueError, match="column CALQ_9: expected one number per row"):
        read_charges(parquet)

    root = tmp_path / "a.root"
    with uproot.recreate(root) as file:
        file["one"] = {"CALQ": charges}
        file.mktree("two", {"CALQ": ("i8", (48,))}).extend({"CALQ": charges[::-1]})
    with pytest.raises(ValueError, match="expected one tree with CALQ_0 or CALQ, got one, two"):
        read_charges(root)
    assert_array_equal(read_charges(f"{root}:two"), charges[::-1])
    with pytest.raises(ValueError, match="no tree three; it holds one, two"):
        read_charges(f"{root}:three")


def test_unknown_ending_and_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"expected a name ending in \.csv"):
        read_charges(tmp_path / "a.txt")
    with pytest.raises(ValueError, match=r"expected a name ending in \.csv"):
        read_charges(tmp_path / "a.tar.gz")
    for ending in ("csv", "parquet", "root"):
        with pytest.raises(FileNotFoundError, match=f"no file at .*a.{ending}"):
            read_charges(tmp_path / f"a.{ending}")


@pytest.mark.parametrize(("ending", "library"), [("parquet", "pyarrow"), ("root", "uproot")])
def test_missing_library_is_named(tmp_path, charges, monkeypatch, ending, library):
    path = _write(tmp_path / f"a.{ending}", charges)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ModuleNotFoundError, match=f"a.{ending}: .*library {library}"):
        read_charges(path)


# ---- layouts of CMS ------------------------------------------------------------------------------------------------

PIXELS = [  # trigger cell at each pixel, as the public training code lists it; the lower right quarter is empty
    *(28, 29, 30, 31, 0, 4, 8, 12), *(24, 25, 26, 27, 1, 5, 9, 13), *(20, 21, 22, 23, 2, 6, 10, 14),
    *(16, 17, 18, 19, 3, 7, 11, 15), *(47, 43, 39, 35, -1, -1, -1, -1), *(46, 42, 38, 34, -1, -1, -1, -1),
    *(45, 41, 37, 33, -1, -1, -1, -1), *(44, 40, 36, 32, -1, -1, -1, -1),
]  # fmt: skip


def _image(charges):
    """The 64 columns of an 8 x 8 image."""
    return np.stack([charges[:, cell] if cell >= 0 else 0 * charges[:, 0] for cell in PIXELS], axis=1)


def _charges(rows=23, seed=3):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 5000, (rows, 48))


def test_64_columns_are_an_image_of_8_by_8(tmp_path):
    """Never the first 48 of them: trigger cells come out in their own order, in every format."""
    charges = _charges()
    assert image_8x8().ravel().tolist() == PIXELS
    columns = {f"CALQ_{i}": column for i, column in enumerate(_image(charges).T)}
    pq.write_table(pa.table(columns), tmp_path / "image.parquet")
    with uproot.recreate(tmp_path / "image.root") as file:
        file["tree"] = columns
    rows = [",".join(columns), *(",".join(map(str, row)) for row in np.stack(list(columns.values()), axis=1).tolist())]
    (tmp_path / "image.csv").write_text("\n".join(rows))
    for ending in ("parquet", "root", "csv"):
        assert_array_equal(read_charges(tmp_path / f"image.{ending}"), charges)
    # 48 trigger cells and 16 columns of zeros are no image
    columns = {f"CALQ_{i}": charges[:, i] if i < 48 else 0 * charges[:, 0] for i in range(64)}
    pq.write_table(pa.table(columns), tmp_path / "padded.parquet")
    with pytest.raises(ValueError, match="row 0, column CALQ_36: the 8 x 8 image has no trigger cell there, got"):
        read_charges(tmp_path / "padded.parquet")
    for count in (47, 50, 63):
        pq.write_table(pa.table({f"CALQ_{i}": np.zeros(2, int) for i in range(count)}), tmp_path / "few.parquet")
        with pytest.raises(ValueError, match=f"missing CALQ_{count}"):
            read_charges(tmp_path / "few.parquet")


@pytest.mark.parametrize("name", ["wafer_CALQ{}", "L1THGCAL_wafer_CALQ_{}"])
@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("image", [False, True])
def test_ntuples_with_the_modules_of_an_event_in_each_entry(name, equal, image, tmp_path):
    """Branches of CMSSW and NanoAOD, modules of all events one after the other, pseudorapidities beside them."""
    charges = _charges(12)
    etas = np.linspace(1.6, 2.9, 12)
    counts = [3, 3, 3, 3] if equal else [5, 0, 4, 3]
    table = _image(charges) if image else charges
    ak = need_module("awkward", "files")
    branches = {
        name.format(i): ak.unflatten(column.astype(np.float32 if "L1" not in name else np.int32), counts)
        for i, column in enumerate(table.T)
    }
    branches[name.partition("CALQ")[0] + "eta"] = ak.unflatten(etas, counts)
    with uproot.recreate(tmp_path / "n.root") as file:
        file.mktree("folder/tree", {key: value.type for key, value in branches.items()})
        file["folder/tree"].extend({**branches})
    prefix = name.partition("CALQ")[0]
    for path in ("n.root", "n.root:folder/tree", f"n.root:folder/tree:{prefix}"):
        found = read_charge_table(f"{tmp_path}/{path}")
        assert_array_equal(found.charges, charges)
        assert_array_equal(found.etas, etas)
    with pytest.raises(ValueError, match="expected other_CALQ_0 to other_CALQ_47, got"):
        read_charges(f"{tmp_path}/n.root:folder/tree:other_")


def test_charge_outside_the_image_of_an_ntuple_is_left_out_with_a_warning(tmp_path):
    charges = _charges(4)
    table = _image(charges)
    table[2, 63] = 77
    with uproot.recreate(tmp_path / "n.root") as file:
        file["tree"] = {f"wafer_CALQ{i}": column for i, column in enumerate(table.T)}
    with pytest.warns(UserWarning, match=r"row 2, column wafer_CALQ63: .* 0\.0 % of all charge .* left out"):
        assert_array_equal(read_charges(tmp_path / "n.root"), charges)


def test_columns_must_agree(tmp_path):
    columns = {f"{before}CALQ{i}": np.zeros(2, int) for i in range(48) for before in ("a_", "b_")}
    pq.write_table(pa.table(columns), tmp_path / "two.parquet")
    with pytest.raises(ValueError, match="one set of columns of charges, got a_CALQ, b_CALQ"):
        read_charges(tmp_path / "two.parquet")
    ak = need_module("awkward", "files")
    with uproot.recreate(tmp_path / "n.root") as file:
        file["tree"] = {f"wafer_CALQ{i}": ak.Array([[1, 2], [3] if i == 9 else [3, 4]]) for i in range(48)}
    with pytest.raises(ValueError, match="row 1, column wafer_CALQ9: expected 2 modules, got 1"):
        read_charges(tmp_path / "n.root")


# ---- hostile files -------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    """As spreadsheets write UTF-8."""
    charges = _charges(3)
    rows = [",".join(NAMES), *(",".join(map(str, row)) for row in charges.tolist())]
    for name, opened in (("a.csv", open), ("a.csv.gz", gzip.open)):
        with opened(tmp_path / name, "wt", encoding="utf-8-sig") as file:
            file.write("\n".join(rows))
        assert_array_equal(read_charges(tmp_path / name), charges)


@pytest.mark.parametrize("value", ["9" * 5000, "9" * 300, "-1", "1e400", "x" * 100_000])
def test_a_long_value_is_cut_in_the_message(value, tmp_path):
    (tmp_path / "a.csv").write_text(",".join(NAMES) + "\n" + ",".join([value, *["0"] * 47]))
    with pytest.raises(ValueError, match=r"a\.csv: row 2, column CALQ_0: expected an integer") as caught:
        read_charges(tmp_path / "a.csv")
    assert len(str(caught.value)) < 320 + len(str(tmp_path))


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "root"])
def test_damaged_files_are_one_line(ending, tmp_path):
    """Bytes of a real file changed or cut at random: charges, or one line of error; never anything else."""
    charges = _charges(6)
    path = tmp_path / f"a.{ending}"
    _write(path, charges)
    content = path.read_bytes()
    rng = np.random.default_rng(5)
    messages = []
    for _ in range(50):
        damaged = bytearray(content[: rng.integers(1, len(content) + 1)] if rng.random() < 0.4 else content)
        for _ in range(rng.integers(0, 8)):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read = read_charges(path)
        except ValueError as error:
            messages.append(str(error))
        else:
            assert read.shape[1] == 48
            assert read.min(initial=0) >= 0
    assert len(messages) > 10
    assert all("\n" not in message and len(message) < 600 + len(str(path)) for message in messages)
