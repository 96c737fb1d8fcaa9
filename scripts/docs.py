"""Builds the documentation as a site: every page of the repository, the API reference, search: ``make docs``.

Pages link to each other as files of the repository do, so the site is built of a copy of all Markdown pages at their
places, with whatever else they link to. Nothing is fetched; a broken link, an unknown name or a malformed docstring of
the public API is an error. Usage: ``python scripts/docs.py [--out build/docs]``.
"""

from __future__ import annotations

import argparse
import re
import shutil
from importlib.metadata import version
from pathlib import Path

import liquidcal

ROOT = Path(__file__).resolve().parent.parent
TOPS = ("docs", "examples", "flows", "hw", "sim")
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
CONFIGURATION = """
import sys
sys.path.insert(0, {root!r})
project = "liquidcal"
html_title = "liquidcal {version}"
html_theme = "furo"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 6
myst_enable_extensions = ["html_image"]
# `x` in docstrings is a name or a piece of code, as in numpydoc
default_role = "code"
napoleon_google_docstring = False
napoleon_custom_sections = [("Members", "params_style")]
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
html_copy_source = False
exclude_patterns = []
"""


def pages() -> list[Path]:
    """All Markdown pages, relative to the repository."""
    found = [Path(name) for name in PAGES]
    return found + [path.relative_to(ROOT) for top in TOPS for path in sorted((ROOT / top).rglob("*.md"))]


def stage(page: Path, source: Path) -> None:
    """Copy a page, and what it links to that is no page; links to folders become links to their README."""

    def target(match: re.Match[str]) -> str:
        if "://" in match[2] or match[2].startswith("mailto:"):
            return match[0]
        place = (ROOT / page).parent / match[2]
        if place.is_dir():
            inner = place / "README.md"
            return f"{match[1]}{match[2].rstrip('/')}/README.md{match[3]}" if inner.is_file() else match[2]
        relative = place.resolve().relative_to(ROOT)
        if relative.suffix != ".md" and place.is_file():
            (source / relative).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(place, source / relative)
        return match[0]

    (source / page).parent.mkdir(parents=True, exist_ok=True)
    (source / page).write_text(LINK.sub(target, (ROOT / page).read_text()))


def contents(staged: list[Path]) -> dict[str, str]:
    """The first page and the API reference, as reStructuredText by file name."""

    def tree(title: str, *names: str) -> str:
        return f".. toctree::\n   :caption: {title}\n   :maxdepth: 1\n\n" + "".join(f"   {name}\n" for name in names)

    def of(prefix: str) -> list[str]:
        return [str(page.with_suffix("")) for page in staged if str(page).startswith(prefix)]

    rooms = [str(page.with_suffix("")) for page in staged if page.parts[0] in ("flows", "hw", "sim")]
    index = "liquidcal\n=========\n\n" + "\n".join([
        tree("Overview", "README", "docs/index", "docs/glossary", "CHANGELOG"),
        tree("Getting started", *of("docs/getting_started/")),
        tree("Guide", *of("docs/guide/"), *of("examples/")),
        tree("Reference", "api", *of("docs/chips/")),
        tree("Method", *of("docs/method/")),
        tree("Results", *of("docs/results/")),
        tree("Inside", "CONTRIBUTING", *of("docs/decisions/"), *rooms),
    ])  # fmt: skip
    names = sorted(name for name in liquidcal.__all__ if not name.isupper())
    kinds = {name: "autoclass" if isinstance(getattr(liquidcal, name), type) else "autofunction" for name in names}
    options = {"autoclass": "   :members:\n   :show-inheritance:\n", "autofunction": ""}
    api = "API reference\n=============\n\n.. automodule:: liquidcal\n   :no-members:\n\n"
    api += "".join(f".. {kind}:: liquidcal.{name}\n{options[kind]}\n" for name, kind in kinds.items())
    return {"index.rst": index, "api.rst": api}


def build(out: Path, builder: str = "html") -> int:
    """Build the site; the exit code of Sphinx."""
    source = out.parent / f"{out.name}-source"
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
    staged = pages()
    for page in staged:
        stage(page, source)
    for name, text in contents(staged).items():
        (source / name).write_text(text)
    (source / "conf.py").write_text(CONFIGURATION.format(root=str(ROOT), version=version("liquidcal")))
    from sphinx.cmd.build import build_main

    code = build_main(["-q", "-W", "--keep-going", "-b", builder, str(source), str(out)])
    shutil.copytree(ROOT / "docs" / "images", out / "docs" / "images", dirs_exist_ok=True)  # pages show some as HTML
    shutil.rmtree(source)
    return code


def main() -> None:
    """Build, and say where the first page is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "docs")
    parser.add_argument("--builder", default="html", help="of Sphinx; dummy only checks")
    options = parser.parse_args()
    if code := build(options.out.resolve(), options.builder):
        raise SystemExit(code)
    print(f"file://{options.out.resolve() / 'index.html'}")


if __name__ == "__main__":
    main()
