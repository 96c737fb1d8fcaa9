"""Files of result folders read back: what was written comes back, a damaged one is named in a line."""

from pathlib import Path

import numpy as np
import pytest

from flows.common.stored import read_json, read_stored, read_stored_arrays
from flows.physical.mapped import Mapped
from flows.physical.place import Placement
from flows.physical.repair import load_repairs
from flows.report.document import collect
from flows.synthesis.result import load_result


def test_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": {"b": [1, {"c": 2}]}, "d": "\\u00e9"}')
    assert read_json(path) == read_stored(path) == {"a": {"b": [1, {"c": 2}]}, "d": "\u00e9"}
    assert read_stored(path).get("none") is None
    path.write_text("[1, 2]")
    assert read_json(path) == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON file: Expecting value"), ('{"a": 1', "not a JSON file"),
        ("[1]", r"expected a JSON object, got \[1\]"),
        ("[" * 100_000, "not a JSON file: nested too deep"), (b"\xff\xfe", "not a JSON file"),
    ],
)  # fmt: skip
def test_a_damaged_table_is_named(text: str | bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "modules.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=f"^{path}: {message}") as refused:
        read_stored(path)
    assert len(str(refused.value)) < 400


def test_an_entry_that_is_missing_is_named_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [{"b": 1}]}')
    for ask in (lambda table: table["b"], lambda table: table["a"][0]["c"]):
        with pytest.raises(ValueError, match=f"^{path}: expected an entry '[bc]'; run the step again$"):
            ask(read_stored(path))


def test_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([1.0, np.nan]), n=3)
    assert {name: array.shape for name, array in read_stored_arrays(path, ("x", "n")).items()} == {"x": (2,), "n": ()}
    for names, message in ((("x", "n", "y"), "lacks the array 'y'"), (("x",), "has the array 'n'")):
        with pytest.raises(ValueError, match=f"^{path}: {message}; run the step again$"):
            read_stored_arrays(path, names)
    for array, message in ((np.array(["a"]), "<U1"), (np.array([np.inf]), "float64")):
        np.savez(path, x=array)
        with pytest.raises(ValueError, match=rf"^{path}: x: expected finite numbers, got {message} of shape \(1,\)$"):
            read_stored_arrays(path, ("x",))


def test_a_folder_with_damaged_files_is_refused_in_a_line(tmp_path: Path) -> None:
    """Each file of a result folder that `time`, `power` and `report` read, cut in the middle or without its entries."""
    folder = tmp_path / "synthesis"
    folder.mkdir()
    (folder / "metrics.json").write_text("[]")
    for text, message in (('{"top": "x", "lib', "not a JSON file"), ("{}", "expected an entry '(top|library)'")):
        (folder / "modules.json").write_text(text)
        with pytest.raises(ValueError, match=f"^{folder / 'modules.json'}: {message}"):
            load_result(folder)
        with pytest.raises(ValueError, match=f"^{folder / 'modules.json'}: {message}"):
            _ = Mapped(folder=tmp_path).cells
    (tmp_path / "placement").mkdir()
    placed, repaired = tmp_path / "placement" / "placement.npz", tmp_path / "placement" / "repair.json"
    placed.write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=f"^{placed}: not a complete .npz archive"):
        Placement.load(placed)
    (folder / "netlist.json").write_text("{}")
    (tmp_path / "placement" / "placement.json").write_text("{}")
    with pytest.raises(ValueError, match="placement.json: expected an entry 'netlist_sha256'"):
        Mapped(folder=tmp_path)
    for text in (
        "[{}]",
        "[1]",
        "3",
        '[{"cells": 1, "nets": 2, "left": 0, "resized": [1]}]',
        '[{"cells": 1, "nets": 2, "left": 0, "resized": [[1e999, "x"]]}]',
    ):
        repaired.write_text(text)
        with pytest.raises(ValueError, match=f"^{repaired}: expected rounds of repair: "):
            load_repairs(repaired)
    (tmp_path / "journal.json").write_text('{"checks": [')
    with pytest.raises(ValueError, match=f"^{tmp_path / 'journal.json'}: not a JSON file"):
        collect(tmp_path, "name", "lead", [])


def test_a_placement_whose_arrays_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    arrays = {name: np.zeros(3) for name in ("x_um", "y_um", "width_um", "height_um")}
    arrays |= {
        "core_um": np.ones(2),
        "hpwl_um": np.zeros(2),
        "pins": np.zeros(2, np.int64),
        "boxes_um": np.zeros((2, 4)),
    }
    arrays |= {name: np.float64(1) for name in ("utilisation", "seconds", "peak_memory_bytes")}
    np.savez(path, **arrays)  # type: ignore[arg-type]
    assert Placement.load(path).core_um == (1.0, 1.0)
    np.savez(path, **arrays | {"y_um": np.zeros(4)})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=rf"^{path}: y_um: expected shape \(3,\), got \(4,\)$"):
        Placement.load(path)
