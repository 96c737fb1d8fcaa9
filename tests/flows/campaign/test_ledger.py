"""Finished parts of a campaign on disk: they come back as they were, and never as those of another campaign."""

import json
from pathlib import Path

import numpy as np
import pytest

from flows.campaign.ledger import Ledger, LedgerError
from flows.campaign.outcome import Effect, Outcome

OUTCOMES = [
    Outcome(
        number=n, effect=effect, wrong_crossings=3 * n, first_wrong=n - 1, last_wrong=5 * n, persistent=n % 2 == 1,
        watched=100 + n,
    )
    for n, effect in enumerate(Effect)
]  # fmt: skip


def rows(outcomes: list[Outcome]) -> list[tuple[object, ...]]:
    names = ("number", "effect", "wrong_crossings", "first_wrong", "last_wrong", "persistent", "watched")
    return [tuple(getattr(outcome, name) for name in names) for outcome in outcomes]


def test_outcomes_come_back_as_they_were(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "key", [4, 4, 4])
    assert ledger.missing() == [0, 1, 2]
    ledger.put(1, OUTCOMES)
    again = Ledger(tmp_path / "l", "key", [4, 4, 4])
    assert again.missing() == [0, 2]
    assert rows(again.get(1)) == rows(OUTCOMES)
    assert json.loads((tmp_path / "l" / "ledger.json").read_text()) == {"key": "key", "chunks": [4, 4, 4]}
    assert sorted(path.name for path in (tmp_path / "l").iterdir()) == ["chunk_00001.npz", "ledger.json"]


def test_a_chunk_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "k", [2])
    for outcomes in ([OUTCOMES[0]], OUTCOMES[:3], [OUTCOMES[1], OUTCOMES[0]]):
        with pytest.raises(ValueError, match="chunk 0: expected outcomes 0 to 1 in order"):
            ledger.put(0, outcomes)
    assert ledger.missing() == [0]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    Ledger(tmp_path / "empty", "k", [1])
    Ledger(tmp_path / "c" / "d", "k", [1])
    with pytest.raises(LedgerError, match="is no ledger of a campaign; name another folder"):
        Ledger(tmp_path / "a", "k", [1])
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    for key, sizes in (("other", [1]), ("k", [2]), ("k", [1, 1])):
        with pytest.raises(LedgerError, match=f"holds another campaign: expected the hash {key}, got k "):
            Ledger(tmp_path / "empty", key, sizes)
    for text in ("{", "[]", "{}", '{"key": "k"}', '{"key": "k", "chunks": 3}'):
        (tmp_path / "empty" / "ledger.json").write_text(text)
        with pytest.raises(LedgerError, match="damaged; delete"):
            Ledger(tmp_path / "empty", "k", [1])


def test_a_chunk_of_another_place_or_hash_is_refused(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l", "key", [4, 4])
    ledger.put(0, OUTCOMES)
    path, other = tmp_path / "l" / "chunk_00000.npz", tmp_path / "l" / "chunk_00001.npz"
    other.write_bytes(path.read_bytes())
    with pytest.raises(LedgerError, match="belongs to chunk 0 of campaign key; delete it to have its 4 faults run"):
        ledger.get(1)
    with np.load(path) as stored:
        columns = dict(stored)
    for name in ("effect", "wrong_crossings", "first_wrong", "last_wrong", "persistent", "watched"):
        np.savez(path, **columns | {name: columns[name][::-1]})
        with pytest.raises(LedgerError, match="do not have its own hash"):
            ledger.get(0)
    np.savez(path, **columns | {"key": "other"})
    with pytest.raises(LedgerError, match="belongs to chunk 0 of campaign other"):
        ledger.get(0)
    shorter = Ledger(tmp_path / "m", "key", [3])
    np.savez(tmp_path / "m" / "chunk_00000.npz", **columns)
    with pytest.raises(LedgerError, match="do not have its own hash"):
        shorter.get(0)
    path.write_bytes(b"PK")
    with pytest.raises(LedgerError, match="damaged; delete it to have its 4 faults run again"):
        ledger.get(0)
