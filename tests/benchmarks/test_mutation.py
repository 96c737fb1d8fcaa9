"""Mutants of Python modules: where they are, that each differs, that a campaign kills what a test reaches."""

import ast
import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks import mutation
from benchmarks.measured import REPOSITORY
from benchmarks.mutation import GROUPS, equivalents, find_mutants
from flows.common.metrics import read_metrics
from tests.conftest import need

SOURCE = b'''"""Text 1."""
LIMIT = 0.5


def f(x: int = 2, *, late: bool = False) -> int | None:
    """Text 2."""
    if x > 3 and not late:
        raise ValueError(f"expected at most {3 + 0}")
    x += 1
    return [y for y in range(x) if y] if late else -x
'''


def test_places() -> None:
    found = {(m.line, m.kind, m.was, m.now) for m in find_mutants("m.py", SOURCE)}
    assert found == {
        (2, "constant", "0.5", "0.55"),
        (5, "constant", "2", "3"), (5, "constant", "False", "True"),
        (7, "branch", "x > 3 and not late", "(not (x > 3 and (not late)))"),
        (7, "boolean", "x > 3 and not late", "(x > 3 or not late)"),
        (7, "comparison", "x > 3", "(x >= 3)"), (7, "constant", "3", "4"), (7, "boolean", "not late", "(late)"),
        (9, "arithmetic", "x += ", "x -= "), (9, "constant", "1", "2"),
        (10, "return", "[y for y in range(x) if y] if late else -x", "None"),
        (10, "branch", "late", "(not late)"), (10, "branch", "y", "(not y)"), (10, "arithmetic", "-x", "(x)"),
    }  # fmt: skip


@pytest.mark.parametrize("name", list(GROUPS))
def test_mutants_of_our_modules_parse_and_differ(name: str) -> None:
    for module in GROUPS[name].modules:
        source = (REPOSITORY / module).read_bytes()
        mutants = find_mutants(module, source)
        assert len(mutants) >= 20, module
        plain = ast.dump(ast.parse(source))
        for mutant in mutants[::29]:
            changed = mutant.apply(source)
            assert ast.dump(ast.parse(changed)) != plain
            assert changed.count(b"\\n") <= source.count(b"\\n")
    for test in GROUPS[name].tests:
        assert (REPOSITORY / test).is_file(), test


def test_what_is_called_equivalent_is_still_there() -> None:
    """A reason belongs to a mutant that exists: it goes when its line goes."""
    known = equivalents()
    there = {
        mutant.name
        for group in GROUPS.values()
        for module in group.modules
        for mutant in find_mutants(module, (REPOSITORY / module).read_bytes())
    }
    assert set(known) <= there, set(known) - there


def test_compiled_lines_are_reached_by_who_calls_them() -> None:
    """A kernel of numba is run by no interpreter: it is reached where the functions are that call it."""
    source = b"""from numba import njit

@njit(cache=True)
def inner(x):
    return x + 1

@njit
def outer(x):
    return inner(x)

def plain(x):
    \"\"\"Text.\"\"\"
    y = outer(x)
    return y
"""
    assert mutation._seen_by(source, 5, 5) == mutation._seen_by(source, 9, 9) == {12, 13, 14}
    assert mutation._seen_by(source, 13, 13) == {13}


def test_a_test_that_runs_on_for_ever_is_ended_and_one_that_waits_is_not() -> None:
    for run, code in ((lambda: time.sleep(0.6), 7), (lambda: [None for _ in iter(int, 1)], -1)):
        child = os.fork()
        if not child:
            try:
                os.setpgid(0, 0)
                run()
            finally:
                os._exit(7)
        assert mutation._waited(child, 0.3) == code


def test_what_survived_is_found_again(tmp_path: Path) -> None:
    mutants = find_mutants("m.py", SOURCE)
    (tmp_path / "log").write_text(
        "\n".join([mutation._printed(mutants[0]), "group: 3 s", mutation._printed(mutants[4])])
    )
    assert mutation._survived(tmp_path / "log", mutants) == [mutants[0], mutants[4]]
    (tmp_path / "log").write_text("m.py:2: constant: 0.75  ->  0.8")
    with pytest.raises(ValueError, match=r"no such mutant in m\.py as it is now"):
        mutation._survived(tmp_path / "log", mutants)


def test_an_equivalent_needs_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text('[[equivalent]]\nmodule = "m"\nline = "x"\nwas = "1"\nnow = "2"\nreason = "same"\n')
    with pytest.raises(ValueError, match="expected a reason, got 'same'"):
        equivalents(path)


def test_committed_scores_reach_the_target() -> None:
    """85 % of the mutants that are not equivalent; groups that were not run have no row, and the docs say so."""
    values = {metric.name: float(metric.value) for metric in read_metrics(mutation.RESULT)}
    measured = [name for name in GROUPS if f"score__case:{name}" in values]
    assert measured
    for name in measured:
        killed, survived, equivalent, sample = (
            values[f"{what}__case:{name}"] for what in ("killed", "survived", "equivalent", "sample")
        )
        assert killed + survived + equivalent == sample
        score = 100 * killed / (killed + survived)
        assert values[f"score__case:{name}"] == pytest.approx(score, abs=0.051)
        assert score >= 85, name


def test_a_campaign_kills_what_a_test_reaches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One module, one test that checks half of it: the other half survives, and nothing outside the copy changes."""
    need(hasattr(sys, "monitoring"), "Python 3.12 (sys.monitoring)", optional=True)
    for name in ("benchmarks", "flows", "sim"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    (tmp_path / "own.py").write_text("def f(x):\n    return x + 1\n\n\ndef g(x):\n    return x * 2\n")
    (tmp_path / "test_own.py").write_text(
        "import own\n\n\ndef test_f():\n    assert own.f(1) == 2\n\n\ndef test_g():\n    own.g(1)\n"
    )
    group = mutation.Group(title="own", modules=("own.py",), tests=("test_own.py",))
    monkeypatch.setitem(GROUPS, "own", group)
    rows = mutation._campaign("own", tmp_path, 50, 1)
    values = {row.name: row.value for row in rows}
    # killed: +, 1 and the value of f; survived: *, 2 and the value of g, which nothing looks at
    assert values["killed__case:own"] == 3
    assert values["survived__case:own"] == 3
    assert values["score__case:own"] == 50.0
    assert (tmp_path / "own.py").read_text().startswith("def f(x):\n    return x + 1\n")
