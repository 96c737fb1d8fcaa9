"""OpenSTA: an error of the tool is an error of its own class, with the log; a limit is a timeout."""

from pathlib import Path

import pytest

from flows.common.errors import ToolTimeout
from flows.tools import opensta
from flows.tools.opensta import OpenStaError, run_sta, sta_version
from tests.conftest import need

pytestmark = pytest.mark.usefixtures("installed")


@pytest.fixture
def installed() -> None:
    need(opensta.shutil.which("sta") is not None, "OpenSTA (Debian package opensta)")


def test_reports_come_back_by_name(tmp_path: Path) -> None:
    reports = {"sum": ["puts [expr 40 + 2]"], "nothing": []}
    assert run_sta(["set x 1"], reports=reports, directory=tmp_path) == {"sum": "\n42\n", "nothing": "\n"}
    assert sta_version().count(".") == 2


def test_errors_hold_the_log(tmp_path: Path) -> None:
    with pytest.raises(OpenStaError, match=r"OpenSTA \(timing\): .*no_such_command") as caught:
        run_sta(["puts begun", "no_such_command"], reports={"sum": []}, directory=tmp_path)
    assert caught.value.tool == "OpenSTA"
    assert caught.value.log.startswith("begun\n")
    with pytest.raises(OpenStaError, match="ended before its report last"):
        run_sta([], reports={"first": ["rename puts loud", "proc puts args {}"], "last": []}, directory=tmp_path)


def test_a_limit_is_a_timeout(tmp_path: Path) -> None:
    with pytest.raises(ToolTimeout, match=r"OpenSTA \(timing\) was ended after its limit of 1 s"):
        run_sta(["while 1 {}"], reports={}, directory=tmp_path, timeout_s=1)
