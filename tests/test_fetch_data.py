"""The script that fetches public data: right files are kept, others named; the hashes are those of the data here."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.conftest import REPOSITORY

_spec = importlib.util.spec_from_file_location("fetch_data", REPOSITORY / "scripts" / "fetch_data.py")
assert _spec is not None
assert _spec.loader is not None
fetch_data: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fetch_data)


def test_hashes_are_those_of_the_data(shared_data: Path) -> None:
    sources = fetch_data.tomllib.loads(fetch_data.SOURCES.read_text())["source"]
    files = [file for source in sources for file in source["files"]]
    assert len(files) > 45
    for file in files:
        content = (shared_data / file["to"]).read_bytes()
        assert fetch_data.wanted(content, file) == content


def test_sets_to_be_had_by_hand_are_those_of_the_data(shared_data: Path, tmp_path: Path) -> None:
    elsewhere = fetch_data.tomllib.loads(fetch_data.SOURCES.read_text())["elsewhere"]
    assert fetch_data.by_hand(shared_data, elsewhere) == []
    missing = fetch_data.by_hand(tmp_path, elsewhere)
    assert [line.partition(":")[0] for line in missing] == [found["to"] for found in elsewhere]
    assert all(
        found["licence"] in line and found["where"] in line for line, found in zip(missing, elsewhere, strict=True)
    )
    (tmp_path / "hgcal").mkdir()
    (tmp_path / "hgcal" / "tcRemap.csv").write_text("another")
    assert "expected SHA-256" in next(line for line in fetch_data.by_hand(tmp_path, elsewhere) if "tcRemap" not in line
                                      and line.startswith("hgcal"))  # fmt: skip


def test_the_hash_of_a_set_is_that_of_sha256sum(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
    lines = subprocess.run(["sha256sum", "a", "b"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert fetch_data.digest(tmp_path, ["b", "a"]) == hashlib.sha256(lines).hexdigest()


ROWS = [f"row {i}\n".encode() for i in range(5)]
DIGEST = hashlib.sha256(b"".join(ROWS[:3])).hexdigest()
"""Of the header and two rows, as a file of `rows = 2` is cut."""


class _Host(BaseHTTPRequestHandler):
    """A host of files, with whatever can go wrong on the way to one."""

    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, code: int, content: bytes, promised: int | None = None, **headers: str) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(promised or len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        with contextlib.suppress(ConnectionError):  # who asked has left
            self._serve()

    def _serve(self) -> None:
        name = self.path.removeprefix("/someone/vectors/abc/")
        match name:
            case "right.csv":
                self._answer(200, b"".join(ROWS))
            case "wrong.csv":
                self._answer(200, b"another")
            case "short.csv":
                self._answer(200, b"".join(ROWS[:2]), promised=35)
            case "moved.csv":
                self._answer(302, b"", Location="right.csv")
            case "round.csv":
                self._answer(302, b"", Location="round.csv")
            case "local.csv":
                self._answer(302, b"", Location="file:///etc/hostname")
            case "busy.csv":
                self._answer(503, b"later")
            case "silent.csv":
                time.sleep(1)
            case "slow.csv" | "endless.csv":
                self.send_response(200)
                self.end_headers()
                for _ in range(30):
                    self.wfile.write(b"x" * (1 if name == "slow.csv" else 1 << 12))
                    self.wfile.flush()
                    time.sleep(0.02)
            case "cut.csv":
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"40\r\nrow 0")
            case "noise.csv":
                self.wfile.write(b"no answer that HTTP knows\r\n\r\n")
            case _:
                self.send_error(404)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of such a host on this machine, which no proxy is asked for."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    _Host.asked.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


def _sources(*names: str, **more: str) -> list[dict[str, Any]]:
    files = [{"to": f"a/{name}.csv", "path": f"{name}.csv", "rows": 2, "sha256": DIGEST} for name in names]
    files += [{"to": to, "path": f"{path}.csv", "rows": 2, "sha256": DIGEST} for path, to in more.items()]
    return [{"repository": "someone/vectors", "commit": "abc", "licence": "none", "files": files}]


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_fetches_cuts_and_checks(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right files are cut and kept, also from where they have moved; all others get one line, and no half file."""
    monkeypatch.setattr(fetch_data, "MOST_BYTES", 1 << 15)
    expected = {
        "wrong": f"expected SHA-256 {DIGEST}, got {hashlib.sha256(b'another').hexdigest()}",
        "short": "broke off: expected 35 bytes, got 12",
        "round": "infinite loop", "local": "not allowed", "gone": "404", "busy": "503", "silent": "timed out",
        "slow": "not complete after 0.3 s, ", "endless": "expected at most 32,768 bytes", "cut": "IncompleteRead",
        "noise": "no answer that HTTP knows",
    }  # fmt: skip
    missing = fetch_data.fetch(tmp_path, _sources("right", "moved", *expected), host, silent_s=0.2, longest_s=0.3)
    assert _files(tmp_path) == ["a/moved.csv", "a/right.csv"]
    assert (tmp_path / "a" / "right.csv").read_bytes() == (tmp_path / "a" / "moved.csv").read_bytes()
    assert (tmp_path / "a" / "right.csv").read_bytes() == b"".join(ROWS[:3])
    assert len(missing) == len(expected)
    for line, (name, text) in zip(missing, expected.items(), strict=True):
        assert line.startswith(f"a/{name}.csv: {host}/someone/vectors/abc/{name}.csv: "), line
        assert text in line
        assert "\n" not in line


def test_a_second_run_fetches_what_is_lacking(host: str, tmp_path: Path) -> None:
    """A file that is there is not asked for, even where it is another one: that is said, and it stays."""
    (tmp_path / "mine.csv").write_text("kept")
    sources = _sources("right", "gone", moved="mine.csv")
    for turn in range(2):
        missing = fetch_data.fetch(tmp_path, sources, host)
        assert [line.partition(":")[0] for line in missing] == ["a/gone.csv", "mine.csv"]
        assert f"is there, with SHA-256 {hashlib.sha256(b'kept').hexdigest()}" in missing[1]
        assert [path.rpartition("/")[2] for path in _Host.asked] == ["right.csv", "gone.csv", "gone.csv"][: 2 + turn]
    assert (tmp_path / "mine.csv").read_text() == "kept"


def test_a_folder_that_cannot_be_written_ends_it_at_once(host: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        fetch_data.fetch(tmp_path / "file", _sources("right", "moved"), host)
    assert len(_Host.asked) == 1


def test_the_script_says_in_lines_what_it_could_not_get(host: str, tmp_path: Path) -> None:
    """As a user runs it, against a host that has none of the files, and into a folder that cannot be one."""
    script = [sys.executable, str(REPOSITORY / "scripts" / "fetch_data.py"), "--host", host, "--to"]
    done = subprocess.run([*script, tmp_path / "data"], capture_output=True, text=True, check=False)
    sources = fetch_data.tomllib.loads(fetch_data.SOURCES.read_text())["source"]
    count = sum(len(source["files"]) for source in sources)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == count
    assert all(line.startswith("fetch_data: ") and line.endswith("404: Not Found") for line in lines)
    assert done.stdout.startswith(f"0 of {count} files are in {tmp_path / 'data'}\nby hand: ")
    assert not (tmp_path / "data").exists()


def test_disk_full_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No part of a file stays."""

    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(fetch_data, "download", lambda *_: b"x")
    monkeypatch.setattr(fetch_data, "wanted", lambda content, _: content)
    monkeypatch.setattr(sys, "argv", ["fetch_data", "--to", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"^fetch_data: .*\.part: No space left on device$"):
        fetch_data.main()
    assert _files(tmp_path) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("chosen", "open_claims"), [("test_", 2), ("test_c", 0)])
def test_open_claims_are_counted(chosen: str, open_claims: int, tmp_path: Path) -> None:
    """A green run without the data says how many tests that leaves open, and how to get them."""
    shutil.copy(REPOSITORY / "tests" / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "test_three.py").write_text(
        "def test_a(shared_data): pass\ndef test_b(econt_vectors): pass\ndef test_c(): pass\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "LIQUIDCAL_LONG")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-q", "--rootdir", tmp_path, "-k", chosen,
         tmp_path],
        cwd=REPOSITORY, env=environment | {"PYTHONPATH": str(REPOSITORY), "LIQUIDCAL_DATA": str(tmp_path / "none")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    line = f"{open_claims} claims about published data were NOT checked; `python scripts/fetch_data.py"
    assert (line in done.stdout) is (open_claims > 0)
    assert ("NOT checked" in done.stdout) is (open_claims > 0)
