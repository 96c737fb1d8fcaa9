"""The public package: every name of it is there, and is the one of its room."""

import subprocess
import sys

import pytest

import liquidcal
from tests.conftest import REPOSITORY


@pytest.mark.parametrize("name", liquidcal.__all__)
def test_every_name_is_there(name: str) -> None:
    found = getattr(liquidcal, name)
    assert found is not None
    assert name in (liquidcal.__doc__ or "")


def test_unknown_names_are_refused_with_those_that_exist() -> None:
    with pytest.raises(AttributeError, match=r"module 'liquidcal' has no attribute 'nothing'; it has PLACEMENT"):
        liquidcal.nothing  # noqa: B018


def test_importing_it_costs_nothing() -> None:
    """No NumPy, no Amaranth: names come with their first use."""
    heavy = ("numpy", "amaranth", "sim", "hw", "flows")
    code = f"import sys, liquidcal; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


def test_names_are_the_objects_of_their_rooms() -> None:
    from hw.network.network import Network
    from sim.network.spec import NetworkSpec

    assert liquidcal.NetworkSpec is NetworkSpec
    assert liquidcal.NetworkHardware is Network
