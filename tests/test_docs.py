"""Documentation that runs: Python blocks are executed, commands exist, links lead somewhere."""

import importlib
import re
from pathlib import Path

import pytest

from flows.commands.lazy import COMMANDS, load
from tests.conftest import REPOSITORY

PAGES = [
    *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((REPOSITORY / "docs").rglob("*.md")),
]
READMES = sorted(path for top in ("flows", "hw", "sim") for path in (REPOSITORY / top).rglob("*.md"))
MOST_COLUMNS = 6


def ids(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    if page.name == "README.md" and page.parent == REPOSITORY:
        assert len(blocks) >= 2
    for block in blocks:
        exec(compile(block, ids(page), "exec"), {"__name__": "example"})


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", prose, flags=re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "") for title in titles]
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text)
    for target, anchor in [*links, *((source, "") for source in re.findall(r'src="([^"]*)"', text))]:
        if not target.startswith(("http://", "https://")):
            place = page.parent / target if target else page
            assert place.exists(), target
            assert not anchor or anchor in anchors(place), (target, anchor)


def test_every_page_can_be_reached_from_the_index() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+)", (REPOSITORY / "docs" / "index.md").read_text()))
    reached = {(REPOSITORY / "docs" / target).resolve() for target in linked}
    records = REPOSITORY / "docs" / "decisions"
    reached |= {records / name for name in re.findall(r"\]\(([^)#\s]+)", (records / "README.md").read_text())}
    assert set((REPOSITORY / "docs").rglob("*.md")) - reached == {REPOSITORY / "docs" / "index.md"}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_tables_are_narrow(page: Path) -> None:
    """A table that one has to scroll sideways is not read."""
    for line in page.read_text().splitlines():
        if re.fullmatch(r"\|(?: *:?-+:? *\|)+", line):
            assert line.count("|") - 1 <= MOST_COLUMNS, line


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_and_options_exist(page: Path) -> None:
    commands = {name: load(name) for name in COMMANDS}
    for line in page.read_text().splitlines():
        for name, rest in re.findall(r"(?:`|bin/|^ *|&& )liquidcal ([a-z]+)\b([^`#&]*)", line):
            assert name in commands, line
            command = commands[name]
            if nested := getattr(command, "commands", None):
                # a group that also does something by itself (train) may have an option first
                first = [*rest.split(), "--help"][0]
                command = command if first.startswith("-") and command.invoke_without_command else nested[first]
            options = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
            assert set(re.findall(r"--[a-z-]+", rest)) <= options | {"--help"}, line


def test_the_readme_names_the_pythons_that_were_tested() -> None:
    versions = sorted(int(path.stem.partition(".")[2]) for path in (REPOSITORY / "constraints").glob("3.*.txt"))
    assert f"Python 3.{versions[0]} to 3.{versions[-1]}" in (REPOSITORY / "README.md").read_text()


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make ([a-z-]+)`|^make ([a-z]+)", page.read_text(), flags=re.M):
            assert re.search(rf"^{''.join(target)}:", makefile, flags=re.M), (page, target)


PRIVATE = r"told|struck|strikes?|striking|rivals?|notice[sd]?|unnoticed|prices?|bare image"
"""Words that a reader from the field would have to guess at; docs/glossary.md has the words in use."""


@pytest.mark.parametrize("page", [page for page in [*PAGES, *READMES] if page.name != "CHANGELOG.md"], ids=ids)
def test_words_are_those_of_the_field(page: Path) -> None:
    others = r"^```.*?^```|<!-- files -->.*?<!-- /files -->|`[^`]*`"
    prose = re.sub(others, "", page.read_text(), flags=re.M | re.S)
    assert re.search(rf"\b(?:{PRIVATE})\b", prose, flags=re.I) is None


@pytest.mark.parametrize("page", PAGES[:2] + PAGES[3:], ids=ids)
def test_files_and_modules_that_pages_name_exist(page: Path) -> None:
    """Paths from the repository, file names that some folder has, and dotted names of our modules."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    names = {
        path.name
        for top in ("benchmarks", "flows", "hw", "scripts", "sim", "tests")
        for path in (REPOSITORY / top).rglob("*.py")
    }
    for code in re.findall(r"`([\w./]+)`", prose):
        if re.match(r"(?:benchmarks|flows|hw|sim|tests|docs)/", code):
            assert (REPOSITORY / code).exists(), code
        elif code.endswith(".py"):
            assert code.rpartition("/")[2] in names, code
        elif re.match(r"(?:benchmarks|flows|hw|sim)\.", code):
            assert any(resolves(code, depth) for depth in range(3)), code


def resolves(dotted: str, attributes: int) -> bool:
    """Whether a dotted name is a module and so many attributes of it."""
    parts = dotted.split(".")
    module, rest = parts[: len(parts) - attributes], parts[len(parts) - attributes :]
    place = REPOSITORY.joinpath(*module)
    if not module or not (place.is_dir() or place.with_suffix(".py").is_file()):
        return False
    found = importlib.import_module(".".join(module))
    for name in rest:
        if not hasattr(found, name):
            return False
        found = getattr(found, name)
    return True
