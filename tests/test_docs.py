"""Documentation that runs: Python blocks are executed, commands exist, links lead somewhere."""

import re
from pathlib import Path

import pytest
import typer.main

from flows.cli import app
from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def ids(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_python_blocks_run(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    if page.name == "README.md" and page.parent == REPOSITORY:
        assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, ids(page), "exec"), {"__name__": "example"})


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_and_options_exist(page: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for line in page.read_text().splitlines():
        for name, rest in re.findall(r"(?:`|bin/)liquidcal ([a-z]+)\b([^`#]*)", line):
            assert name in commands, line
            command = commands[name]
            if nested := getattr(command, "commands", None):
                command = nested[rest.split()[0]]
            options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
            assert set(re.findall(r"--[a-z-]+", rest)) <= options | {"--help"}, line


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make ([a-z-]+)`|^make ([a-z]+)", page.read_text(), flags=re.M):
            assert re.search(rf"^{''.join(target)}:", makefile, flags=re.M), (page, target)
