"""Notebooks run from top to bottom, each in a namespace and a folder of its own; they come without outputs."""

import json
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "examples" / "notebooks").glob("*.ipynb"))
PRINTED = {
    "1_number_formats": "codes -32 to 31 step 0.0625",  # six bits, two's complement, by hand
    "2_network_to_verilog": "20 multiplications, 130 bits of weights",  # 3 x 4 + 4 x 2, and 6 biases, of five bits
    "3_reuse": "reuse 8: clock 3.125 ns, results after 41 clocks, 128 ns",  # 1 + 4 x (8 + 2) clocks
    "4_upsets": "VotedRegister proved",
    "5_liquid": "spikes",
}
"""A line that each of them prints."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = json.loads(path.read_text())
    assert notebook["nbformat"] == 4
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            assert not cell["outputs"], "expected a notebook without outputs"
            exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
    assert PRINTED[path.stem] in capsys.readouterr().out


def test_there_are_five_and_all_are_listed() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(PRINTED)
    text = (REPOSITORY / "examples" / "README.md").read_text()
    assert all(f"`{path.name}`" in text for path in NOTEBOOKS)
