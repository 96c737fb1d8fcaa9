"""Readers of foreign files on damaged ones: a short part of the campaign, and a campaign that finds what is planted."""

import os
import resource
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz
from benchmarks.fuzz import KINDS, READERS, Reader, mutated, tried
from tests.conftest import REPOSITORY, need_module

NEEDS = {
    "charges_parquet": "pyarrow", "charges_root": "uproot", "keras_hdf5": "h5py", "recording_aedat4": "aedat",
    "graph_nir": "nir",
}  # fmt: skip
"""Optional libraries of readers."""


@pytest.mark.parametrize("name", list(READERS))
def test_a_short_part_of_the_campaign(name: str) -> None:
    """A hundredth of ``python -m benchmarks.fuzz``, with another seed: read or refused, nothing else."""
    if name in NEEDS:
        need_module(NEEDS[name], "files", optional=name == "graph_nir")
    reader = READERS[name]
    count = max(3, reader.tries // 100)
    found = tried(reader, count, seed=101)
    assert found.faults == []
    assert found.counts["read"] + found.counts["refused"] == count


def test_the_committed_campaign_found_nothing() -> None:
    values = {metric.name: metric.value for metric in fuzz.read_metrics(fuzz.RESULT)}
    for name, reader in READERS.items():
        inputs = values[f"inputs__case:{name}"]
        assert inputs >= reader.tries // 10
        assert values[f"read__case:{name}"] + values[f"refused__case:{name}"] == inputs
        for what in ("crash", "traceback", "hang", "memory", "wrong"):
            assert values[f"{what}__case:{name}"] == 0, (name, what)


PLAIN = Reader(
    title="plain", samples=(lambda folder: Path(folder, "a.txt"),), read=lambda path: None, check=lambda *_: None
)


def sample(folder: Path) -> Path:
    path = folder / "a.txt"
    path.write_text("1 2 3\n4 5 6\n")
    return path


def damaged_only(what: object) -> object:
    """Something that a reader does with damaged files alone."""

    def read(path: Path) -> object:
        return None if path.read_text(errors="replace") == "1 2 3\n4 5 6\n" else what(path)  # type: ignore[operator]

    return read


@pytest.mark.parametrize(
    ("what", "outcome"),
    [
        (lambda path: os.kill(os.getpid(), signal.SIGKILL), "crash"),
        (lambda path: os._exit(0), "crash"),
        (lambda path: {}["x"], "traceback"),
        (lambda path: (_ for _ in ()).throw(ValueError("names no file")), "traceback"),
        (lambda path: (_ for _ in ()).throw(ValueError(f"{path}: {'x' * 999}")), "traceback"),
        (lambda path: (_ for _ in ()).throw(ValueError(f"{path}:\ntwo lines")), "traceback"),
        (lambda path: (_ for _ in ()).throw(ValueError(f"{path}: line 1: expected a number")), "refused"),
        (lambda path: np.ones(1 << 29), "memory"),
        (lambda path: time.sleep(60), "hang"),
        (lambda path: "wrong", "wrong"),
        (lambda path: None, "read"),
    ],
)
def test_a_campaign_tells_what_is_planted(what: object, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if outcome == "hang":
        monkeypatch.setattr(fuzz, "SECONDS", 0.5)

    def check(_: Path, found: object) -> None:
        assert found is None

    reader = replace(PLAIN, samples=(sample,), read=damaged_only(what), check=check)  # type: ignore[arg-type]
    found = tried(reader, 2, seed=1)
    assert dict(found.counts) == {outcome: 2}
    assert len(found.faults) == (0 if outcome in ("read", "refused") else 2)


def test_a_good_file_that_is_refused_stops_the_campaign() -> None:
    def read(path: Path) -> None:
        raise ValueError(f"{path}: no")

    with pytest.raises(ValueError, match="plain: a good file is refused"):
        tried(replace(PLAIN, samples=(sample,), read=read), 1, seed=1)


def test_a_reader_that_needs_more_than_the_limits_is_no_reader_that_refuses() -> None:
    def read(path: Path) -> None:
        if resource.getrlimit(resource.RLIMIT_AS)[1] != resource.RLIM_INFINITY:
            raise ValueError(f"{path}: no")

    found = tried(replace(PLAIN, samples=(sample,), read=read), 2, seed=1)
    assert dict(found.counts) == {"crash": 2}
    assert "exit code 72" in found.faults[0][2]


def test_damage() -> None:
    text = b"area : 12.5;\nname : x;\n"
    assert mutated(text, [("set", 0, 65)]) == b"Area : 12.5;\nname : x;\n"
    assert mutated(text, [("number", 0, 4)]) == b"area : nan;\nname : x;\n"
    assert mutated(text, [("line", 3, 0)]) == b"name : x;\n"
    assert mutated(text, [("twice", 14, 0)]) == text + b"name : x;\n"
    assert mutated(text, [("long", 0, 2)]) == b"a" * 200 + text
    assert mutated(text, [("deep", 0, 0)]) == b"[" * 2000 + text
    assert mutated(text, [("cut", 20, 3)]) == text[:20]
    assert mutated(text, [("repeat", 4, 2)]) == b"area : : 12.5;\nname : x;\n"
    for kind in KINDS:
        assert mutated(b"", [(kind, 7, 9)]) is not None


def test_samples_are_of_the_repository_and_the_docs_name_every_reader() -> None:
    text = (REPOSITORY / "docs" / "method" / "trust.md").read_text()
    for reader in READERS.values():
        assert reader.title.split(",")[-1].strip().split()[0] in text, reader.title
