"""Either chip by name, and variants."""

from dataclasses import replace
from pathlib import Path

import pytest

from flows.designs.design import PRESETS, Design, design, load_design
from flows.synthesis.recipe import AREA, BUFFERED
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
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


def test_variants_of_an_encoder_are_named_after_what_makes_them() -> None:
    assert design("ECON_T").name == "ECON_T"
    assert design("ECON_T").options == ""
    four = design("ECON_T", reuse=4, scheme=Scheme.TMR_REGISTERS, clock_gating=True)
    assert four.name == "ECON_T_reuse4_tmr_registers_direct_gated"
    assert four.options == " --reuse 4 --scheme tmr_registers --loading direct --clock-gating"
    assert (four.reuse, four.spec) == (4, replace(ECON_T, reuse=4))
    part = four.component()
    part._MustUse__silence = True
    assert type(part).__name__ == "Chip"
    assert design("ECON_T", loading=Loading.GUARDED).name == "ECON_T_none_guarded"
    assert design("N_MNIST").reuse == 1


def test_variants_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="multipliers are reused in an encoder; N_MNIST is none"):
        design("N_MNIST", reuse=2)
    with pytest.raises(ValueError, match="schemes of protection are those of an encoder"):
        design("N_MNIST", scheme=Scheme.SECDED)
    with pytest.raises(ValueError, match="expected 1 to 16, got 99"):
        design("ECON_T", reuse=99)
    with pytest.raises(ValueError, match="a scheme and a loading"):
        Design(spec=ECON_T, scheme=Scheme.NONE)


def test_clock_is_the_crossings_or_the_crossbars_own() -> None:
    assert design("ECON_T", reuse=4).period_ns == 25.0
    assert design("N_MNIST", clock_gating=True).period_ns == N_MNIST.clock_period_ns == 10.0


def test_a_design_says_how_it_is_mapped() -> None:
    """One netlist per design: smallest area at one clock, buffered for an internal clock."""
    assert (design("ECON_T").recipe, design("ECON_T").clock_period_ns) == (AREA, 25.0)
    assert (design("ECON_T", reuse=4).recipe, design("ECON_T", reuse=4).clock_period_ns) == (BUFFERED, 6.25)
    assert (design("N_MNIST").recipe, design("N_MNIST").clock_period_ns) == (AREA, 10.0)
