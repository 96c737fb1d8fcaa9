"""Examples run, as scripts that know nothing of the tests."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY

EXAMPLES = REPOSITORY / "examples"


@pytest.fixture(autouse=True)
def own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Results in a folder of the test's; benches find the examples."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))


def example(name: str) -> ModuleType:
    return importlib.import_module(name)


def test_a_network_of_ones_own() -> None:
    """Three rings of equal number: guessing gives a third. The RTL was compared, or it would have ended."""
    assert example("own_network").main(Path("own_network")) > 0.9
    assert Path("own_network/rtl/RINGS.v").is_file()


def test_a_liquid_of_ones_own() -> None:
    spikes = example("own_liquid").main(Path("own_liquid"))
    assert 500 < spikes < 200 * 16 * 6 / 2


def test_a_protected_block_of_ones_own() -> None:
    """Its unprotected form keeps a flip for ever, so the same proof has to refute it."""
    assert example("protected_block").main(Path("protected_block")) == ["refuted", "proved"]


def test_a_network_behind_a_serial_line() -> None:
    """Two results of six samples, as the golden model says; it would have ended otherwise."""
    assert example("uart_network").main(Path("uart_network")) == 12
    text = Path("uart_network/UART_NETWORK.v").read_text()
    ports = {"clk", "rst", "rx", "tx"}
    assert all(f"({port}" in text or f", {port}" in text for port in ports)
    assert all(f'LOCATE COMP "{port}"' in Path("uart_network/ulx3s.lpf").read_text() for port in ports)


def test_every_example_is_here_and_in_the_list() -> None:
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    text = Path(__file__).read_text()
    assert all(f'example("{script}")' in text for script in scripts)
    assert all(f"`{script}.py`" in (EXAMPLES / "README.md").read_text() for script in scripts)
