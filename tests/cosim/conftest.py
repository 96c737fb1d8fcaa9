"""Settings of the benches."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # components that are refused, or only asked for their ports, are never elaborated
    config.addinivalue_line("filterwarnings", "ignore::amaranth.hdl.UnusedElaboratable")
