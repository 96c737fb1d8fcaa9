"""Either chip by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.designs import PRESETS, load_design
from sim.hgcal_encoder.spec import ECON_T
from sim.lsm_crossbar.spec import N_MNIST


def test_presets_of_both_chips_are_told_apart_by_name() -> None:
    assert load_design("ECON_T") is ECON_T
    assert load_design("N_MNIST") is N_MNIST
    assert {"TNS_2021", "FULL_MACRO"} < set(PRESETS)


@pytest.mark.parametrize("spec", [replace(ECON_T, name="MINE"), replace(N_MNIST, name="MINE", threshold=30)])
def test_files_of_both_chips_are_told_apart_by_content(spec: object, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(spec.to_toml())  # type: ignore[attr-defined]
    assert load_design(str(path)) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters = 3", "kernel (an encoder) or threshold (a crossbar)"),
        ("kernel = [3, 3]", "not an encoder spec"),
        ("threshold = 3", "not a crossbar spec"),
        ("=", "not a TOML file"),
    ],
)
def test_other_files_are_refused_by_name(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="mine.toml") as caught:
        load_design(str(path))
    assert message in str(caught.value)


def test_an_unknown_name_lists_the_presets() -> None:
    with pytest.raises(ValueError, match="ECON_T, .*N_MNIST"):
        load_design("ECONT")
