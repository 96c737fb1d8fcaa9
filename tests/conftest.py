"""Fixtures that every test may use: shared data, and skips that cannot hide.

A test that needs something says so with `need` or `need_module`: what is missing is a skip here and a failure in CI.
Skips are counted by reason at the end of a run. In CI any other skip is a failure too, so that nothing vanishes in
silence.
"""

import importlib
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# before any test imports TensorFlow, which then chooses its Keras: QKeras needs Keras 2 (legacy_keras.py)
os.environ["TF_USE_LEGACY_KERAS"] = "1"
IN_CI = os.environ.get("CI", "").lower() == "true"
LONG = IN_CI or os.environ.get("LIQUIDCAL_LONG", "") == "1"
long = pytest.mark.skipif(not LONG, reason="builds for a minute or more: runs with CI=true or LIQUIDCAL_LONG=1")
"""Mark of the tests that only CI and ``LIQUIDCAL_LONG=1`` run."""
OPTIONAL = "optional, also in CI: "
"""How the reason of a skip begins that CI accepts."""


PUBLISHED = ("shared data at", "ECON-T vectors at", "cases at", "LIQUIDCAL_DATA")
"""What the reasons of skips hold that are for want of data of others."""


def need(condition: bool, what: str, *, optional: bool = False) -> None:
    """Skip without `what`, visibly; in CI its absence is a failure, unless CI may lack it, too."""
    if condition:
        return
    if optional:
        pytest.skip(f"{OPTIONAL}{what} is missing", allow_module_level=True)
    if IN_CI:
        pytest.fail(f"{what} is missing, and CI must not skip", pytrace=False)
    pytest.skip(f"{what} is missing", allow_module_level=True)


def need_module(name: str, extra: str = "", *, optional: bool = False) -> ModuleType:
    """An imported module; where it is not installed, as `need`. A module that is installed but broken is an error.

    Parameters
    ----------
    name : str
        As in ``import name``; a submodule is imported with its package.
    extra : str, optional
        Extra of this project that installs it.
    optional : bool, optional
        Also CI may lack it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != name.partition(".")[0]:
            raise
    what = f"library {name}" + (f" (extra `{extra}`)" if extra else "")
    need(False, what, optional=optional)
    raise AssertionError("need() does not return")


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


def _fail_skips(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A skip that CI does not accept becomes a failure that says so."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = _skip_reason(report)
        if not reason.startswith(OPTIONAL):
            report.outcome = "failed"
            report.longrepr = f"skipped in CI: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """No test is skipped in CI."""
    report = yield
    _fail_skips(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    """No file is skipped in CI."""
    report = yield
    _fail_skips(report)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests were skipped for what reason; without the published data, how many claims that leaves open."""
    reasons = Counter(map(_skip_reason, terminalreporter.stats.get("skipped", [])))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}", yellow=True)
    if unchecked := sum(count for reason, count in reasons.items() if any(mark in reason for mark in PUBLISHED)):
        terminalreporter.write_line(
            f"{unchecked} claims about published data were NOT checked; `python scripts/fetch_data.py --to DIR` fetches"
            " what is public, LIQUIDCAL_DATA=DIR names it",
            red=True,
            bold=True,
        )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of development data (``$LIQUIDCAL_DATA``, else ``../shared/data`` beside the checkout)."""
    folder = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data"))
    need(folder.is_dir(), f"shared data at {folder}")
    return folder


@pytest.fixture(scope="session")
def econt_vectors(shared_data: Path) -> Path:
    """Folder of the published ECON-T test vectors."""
    folder = shared_data / "hgcal" / "econt_vectors"
    need(folder.is_dir(), f"ECON-T vectors at {folder}")
    return folder
