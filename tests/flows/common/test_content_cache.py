"""One rule for every cache: content of inputs, code that matters, options, versions of tools."""

import hashlib
from pathlib import Path

import pytest

from flows.common import content_cache
from flows.common.content_cache import (
    ContentCache,
    cache_directory,
    code_hash,
    content_key,
    file_sha256,
    imported,
    module_file,
    source_hash,
    tool_versions,
)

ROOT = Path(content_cache.__file__).resolve().parents[2]


def test_keys_follow_content_not_order(tmp_path: Path) -> None:
    assert content_key(a=1, b="x") == content_key(b="x", a=1) != content_key(a=2, b="x")
    assert source_hash("sim/files.py") != source_hash("sim/fixed_point.py")
    with pytest.raises(FileNotFoundError, match="no source"):
        source_hash("sim/none.py")
    cache = ContentCache(tmp_path)
    cache.put("k", {"v": 1})
    assert cache.get("k") == {"v": 1}
    (tmp_path / "k.json").write_text("{")
    assert cache.get("k") is None


def tree(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_an_edit_of_any_file_that_is_imported_or_declared_changes_the_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(
        tmp_path,
        {
            "flows/step.py": "def work():\n    from sim.model import run\n    return run()\n",
            "sim/model.py": "import sim.formats, numpy\nfrom hw import parts\n",
            "sim/formats.py": 'DEPENDS_ON = ("data/*.csv", "programs")\n',
            "sim/data/a.csv": "1", "sim/data/b.txt": "1",
            "sim/programs/c.cpp": "1", "sim/programs/run.py": "import hw.late",
            "hw/__init__.py": "", "hw/parts.py": "", "hw/late.py": "", "flows/other.py": "",
        },
    )  # fmt: skip
    monkeypatch.setattr(content_cache, "ROOT", tmp_path)
    find = imported.__wrapped__
    found = find("flows/step.py")
    assert set(found) == {
        "flows/step.py", "sim/model.py", "sim/formats.py", "hw/__init__.py", "hw/parts.py",
        "sim/data/a.csv", "sim/programs/c.cpp", "sim/programs/run.py", "hw/late.py",
    }  # fmt: skip
    digest = source_hash.__wrapped__
    before = digest(*found)
    for name in ("flows/other.py", "sim/data/b.txt"):
        (tmp_path / name).write_text("x = 1\n")
        assert digest(*found) == before, name
    for name in ("hw/parts.py", "sim/data/a.csv", "hw/late.py"):
        (tmp_path / name).write_text("x = 1\n")
        assert digest(*found) != before, name
        before = digest(*found)
    with pytest.raises(FileNotFoundError, match="no source"):
        find("flows/none.py")
    (tmp_path / "sim/data/a.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"sim/formats\.py depends on data/\*\.csv, which is not there"):
        imported.__wrapped__("sim/formats.py")


def test_every_program_and_every_data_file_is_declared_by_a_module() -> None:
    """A file that nobody declares is in no key: a result would outlive its edit."""
    modules = [path for top in ("flows", "hw", "sim") for path in (ROOT / top).rglob("*.py")]
    named = [str(path.relative_to(ROOT)) for path in modules]
    declared = {name for name in imported(*named) if not name.endswith(".py")}
    there = {
        str(path.relative_to(ROOT))
        for top in ("flows", "hw", "sim")
        for path in (ROOT / top).rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".md", ".typed")
        and "LICENSE" not in path.name
        and "__pycache__" not in path.parts
    }
    assert there <= declared, sorted(there - declared)
    children = {str(path.relative_to(ROOT)) for path in modules if path.name.endswith("_child.py")}
    others = [name for name in named if name not in children]
    assert children <= set(imported(*others))


def test_code_of_a_step_is_more_than_its_own_file() -> None:
    found = set(imported(module_file("flows.synthesis.synthesise")))
    assert {"flows/tools/yosys.py", "flows/tools/_yosys_child.py", "flows/library/library.py"} <= found
    assert code_hash("flows/synthesis/synthesise.py") != code_hash("flows/tools/yosys.py")
    for module in ("numpy", "sys", "no_module_of_this_name"):
        with pytest.raises(FileNotFoundError, match=f"{module} is not below"):
            module_file(module)


def test_what_lies_in_a_hidden_folder_is_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_cache, "ROOT", tmp_path.resolve())
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / ".venv")
    tree(tmp_path, {"ours_of_test/part.py": "", "ours_of_test/__init__.py": "", ".venv/theirs_of_test.py": ""})
    assert module_file("ours_of_test.part") == "ours_of_test/part.py"
    with pytest.raises(FileNotFoundError, match="theirs_of_test is not below"):
        module_file("theirs_of_test")


def test_versions_are_those_of_the_installed_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    before = tool_versions("pyosys", "numpy")
    assert set(before) == {"pyosys", "numpy"}
    monkeypatch.setattr(content_cache.metadata, "version", lambda name: "99" if name == "pyosys" else before[name])
    assert tool_versions("pyosys", "numpy") == before | {"pyosys": "99"}


def test_hashes_are_those_of_the_standard(tmp_path: Path) -> None:
    """FIPS 180-4: SHA-256 of "abc"; of a key, that of its JSON with sorted names."""
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert content_key(b=[1], a="x") == hashlib.sha256(b'{"a": "x", "b": [1]}').hexdigest()


def test_a_folder_counts_by_every_file_in_it_but_compiled_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content_cache, "ROOT", tmp_path)
    tree(tmp_path, {"flows/a/x.py": "1", "flows/a/deep/y.txt": "2", "flows/a/__pycache__/x.pyc": "3"})
    digest = source_hash.__wrapped__
    before = digest("flows/a")
    (tmp_path / "flows/a/empty").mkdir()
    (tmp_path / "flows/a/__pycache__/x.pyc").write_text("4")
    assert digest("flows/a") == before
    expected = hashlib.sha256(b"flows/a/deep/y.txt\x002\x00flows/a/x.py\x001\x00").hexdigest()
    assert before == expected
    # a name that moves is another source, and so is text that moves from one file to the next
    (tmp_path / "flows/a/x.py").rename(tmp_path / "flows/a/z.py")
    assert digest("flows/a") != before


def test_results_are_kept_in_folders_that_are_made(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path / "a" / "b")
    assert cache.get("k") is None
    cache.put("k", {"v": [1, 2]})
    cache.put("k", {"v": [3]})
    assert cache.get("k") == {"v": [3]}
    assert (tmp_path / "a" / "b" / "k.json").read_text() == '{\n "v": [\n  3\n ]\n}\n'
    (tmp_path / "a" / "b" / "k.json").write_text("[1]")
    assert cache.get("k") is None


def test_where_caches_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIQUIDCAL_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
    monkeypatch.delenv("LIQUIDCAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory() == tmp_path / "liquidcal"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_directory() == Path.home() / ".cache" / "liquidcal"


def test_modules_and_relative_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a package come before its folder; relative imports and names of others are not followed."""
    tree(
        tmp_path,
        {
            "flows/a.py": "import flows.b.c\nfrom . import x\nimport os.path\nfrom tests import y\n",
            "flows/b/__init__.py": "", "flows/b/c.py": "", "flows/x.py": "", "tests/y.py": "",
        },
    )  # fmt: skip
    monkeypatch.setattr(content_cache, "ROOT", tmp_path)
    assert imported.__wrapped__("flows/a.py") == ("flows/a.py", "flows/b/c.py")
