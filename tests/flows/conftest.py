"""Cell libraries, journals and shared netlists for tests of the flow."""

import io
from functools import partial

import pytest
from rich.console import Console

from flows.common.journal import Journal
from flows.designs import mapping
from flows.library.catalogue import cell_library
from flows.library.liberty_file import LibraryMissingError
from flows.library.library import CellLibrary
from tests.conftest import need
from tests.flows.shared_netlists import folder_of_the_run, synthesise_once


def quiet() -> Journal:
    """A journal that shows nothing."""
    return Journal(console=Console(file=io.StringIO()))


def library_or_skip(name: str) -> CellLibrary:
    """A library by name; where it cannot be fetched, a visible skip, and in CI a failure.

    A library that is there but cannot be read is an error.
    """
    try:
        return cell_library(name)
    except LibraryMissingError as error:
        # Debian 13 has no package of osu018
        need(False, f"cell library {name} ({error})", optional="Unable to locate package" in str(error))
        raise


@pytest.fixture
def shared_netlists(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Designs are mapped once a run, whichever test asks first: see `tests.flows.shared_netlists`."""
    monkeypatch.setattr(mapping, "synthesise", partial(synthesise_once, folder_of_the_run(tmp_path_factory)))
