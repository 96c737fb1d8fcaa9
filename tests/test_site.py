"""The documentation as a site: it builds without a warning and without a network, and a broken page fails it."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY, need_module


def test_the_site_builds_and_a_broken_docstring_or_link_fails_it(tmp_path: Path) -> None:
    """Built once, with one broken page added: the only complaint is about that page."""
    need_module("sphinx", "docs")
    need_module("myst_parser", "docs")
    program = tmp_path / "build.py"
    program.write_text(
        f"""
import importlib.util, socket, sys
from pathlib import Path

def refused(*_):
    raise OSError("the build asked for a network")

socket.socket.connect = refused
found = importlib.util.spec_from_file_location("docs", {str(REPOSITORY / "scripts" / "docs.py")!r})
docs = importlib.util.module_from_spec(found)
found.loader.exec_module(docs)
contents = docs.contents

def with_broken_page(staged):
    Path({str(tmp_path / "site-source" / "broken.md")!r}).write_text("# Broken\\n\\n[nowhere](docs/no_such_page.md)\\n")
    made = contents(staged)
    return made | {{"index.rst": made["index.rst"] + "   broken\\n"}}

docs.contents = with_broken_page
sys.exit(docs.build(Path({str(tmp_path / "site")!r}), "dummy"))
"""
    )
    done = subprocess.run([sys.executable, str(program)], cwd=REPOSITORY, capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "WARNING" in line or "ERROR" in line]
    assert done.returncode == 1, done.stderr
    assert len(complaints) == 1, done.stderr
    assert "no_such_page" in complaints[0]
