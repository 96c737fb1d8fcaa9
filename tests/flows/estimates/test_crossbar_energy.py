"""Energy and area of a whole crossbar chip against sums made by hand."""

import json
from pathlib import Path

import pytest

from flows.estimates.crossbar_energy import (
    area_terms,
    digital_terms,
    energy_document,
    macro_terms,
    memory_area_mm2,
    split,
    with_digital_part,
)
from flows.steps.crossbar_demo import add_energy, measured_power
from sim.lsm_crossbar.energy import Estimate, InferenceEnergy, adc_area_um2
from sim.lsm_crossbar.spec import N_MNIST

KINDS = ("leakage", "internal", "clock_pins", "switching", "glitches")

TOLD = {
    "design": "N_MNIST", "library": "nangate45", "voltage_v": 1.1, "period_ns": 10.0, "clocks_per_inference": 2000.0,
    "activity": "test", "wires": "test",
    "stages_uw": {
        "neuron": dict(zip(KINDS, (10.0, 1.0, 2.0, 3.0, 4.0), strict=True)),
        "sequencer": dict(zip(KINDS, (5.0, 1.0, 0.0, 0.0, 0.0), strict=True)),
        "N_MNIST": dict(zip(KINDS, (0.0, 0.0, 0.0, 1.0, 0.0), strict=True)),
    },
    "power_uw": {"total": 37.0, "clock_tree": 10.0},
    "uncertainty": [{"low_uw": 33.3, "high_uw": 37.0}, {"low_uw": 37.0, "high_uw": 44.4}],
}  # fmt: skip
MACRO = InferenceEnergy(
    cells_pj=Estimate(low=1, nominal=2, high=3), word_lines_pj=Estimate(low=4, nominal=5, high=6),
    adcs_pj=Estimate(low=10, nominal=20, high=40), reads=7, row_activations=50, conversions=100,
    synaptic_operations=10_000,
)  # fmt: skip


def test_digital_part_by_hand() -> None:
    """1 uW for 2000 clocks of 10 ns is 20 pJ; constant-field scaling from 45 to 40 nm at 1.1 V is 40/45.

    Stillmaker and Baas at 1.1 V and 1.0 V, by hand: 45 nm HP 1.04391, 45 nm LP 1.21313, 32 nm LP 0.6446.
    """
    terms = {term.name: term.estimate for term in digital_terms(TOLD)}
    assert set(terms) == {"neurons", "control", "clock tree", "leakage"}
    assert terms["neurons"].nominal == pytest.approx(10 * 20 * 40 / 45)
    assert terms["control"].nominal == pytest.approx(2 * 20 * 40 / 45)
    assert terms["clock tree"].nominal == pytest.approx(10 * 20 * 40 / 45)
    # 10 % less and 20 % more by the estimate of power itself
    assert terms["neurons"].low == pytest.approx(200 * 0.6446 / 1.21313 * 0.9, rel=1e-4)
    assert terms["neurons"].high == pytest.approx(200 * 1.21313 / 1.04391 * 1.2, rel=1e-4)
    assert terms["leakage"] == Estimate(low=0.0, nominal=15 * 20.0, high=15 * 20.0)


def test_weight_memory_by_hand() -> None:
    """1000 words of 80 bits: 12.5 pJ a read; 146 F^2 of 40 nm are 0.2336 um2 a bit."""
    assert (N_MNIST.features, N_MNIST.outputs * N_MNIST.readout_weight_bits) == (1000, 80)
    memory = next(term for term in macro_terms(N_MNIST, MACRO) if term.name == "readout weight memory")
    assert memory.estimate == Estimate(low=6250.0, nominal=12500.0, high=25000.0)
    area = memory_area_mm2(N_MNIST)
    assert area.nominal == pytest.approx(80_000 * 0.2336e-6 / 0.5)
    assert area.low < area.nominal < area.high


def test_five_parts_are_the_whole() -> None:
    terms = macro_terms(N_MNIST, MACRO) + digital_terms(TOLD)
    parts = split(terms)
    assert parts["array"] == Estimate(low=5, nominal=7, high=9)
    assert parts["ADCs"] == MACRO.adcs_pj
    assert parts["readout"].nominal == 12500
    for end in ("low", "nominal", "high"):
        assert sum(getattr(part, end) for part in parts.values()) == pytest.approx(
            sum(getattr(term.estimate, end) for term in terms)
        )
    assert parts["rest"].nominal == pytest.approx(12 * 20 * 40 / 45 + 300)


def test_area_by_hand() -> None:
    """1000 gates of 0.71 um2 at 70 % are 0.00101 mm2; 512 x 512 cells of 54 F^2 are 0.02265 mm2."""
    terms = {
        term.name: term.estimate
        for term in area_terms(
            N_MNIST,
            library="nangate45",
            stages_um2={"neuron": 798.0, "status": 79.8, "sequencer": 79.8},
            gate_um2=0.798,
        )
    }
    assert terms["neurons"].nominal == pytest.approx(1000 * 0.71 / 0.7 * 1e-6)
    assert terms["neurons"].high == pytest.approx(798 / 0.7 * 1e-6)
    assert terms["control"].nominal == pytest.approx(200 * 0.71 / 0.7 * 1e-6)
    assert terms["cells"].nominal == pytest.approx(0.02265, abs=1e-5)
    assert terms["ADCs"].nominal == pytest.approx(adc_area_um2(N_MNIST) * 1e-6)


def test_report_says_what_is_missing() -> None:
    without = energy_document(N_MNIST, MACRO)
    whole = with_digital_part(without, TOLD)
    assert [term["name"] for term in without["terms"]] == ["cells", "word lines", "ADCs", "readout weight memory"]
    assert any("Without the digital part" in note for note in without["notes"])
    assert {"neurons", "clock tree"} <= {term["name"] for term in whole["terms"]}
    assert not any("Without" in note for note in whole["notes"])
    assert len(without["terms"]) == 4


def test_energy_takes_the_digital_part_of_its_own_draw_only(tmp_path: Path) -> None:
    result = TOLD | {"conductances": "N_MNIST-seed1-aa.mem"}
    assert measured_power(tmp_path, "N_MNIST-seed1-aa.mem") is None
    (tmp_path / "power").mkdir()
    path = tmp_path / "power" / "power.json"
    path.write_text(json.dumps(result))
    assert measured_power(tmp_path, "N_MNIST-seed1-aa.mem") == result
    assert measured_power(tmp_path, "N_MNIST-seed2-bb.mem") is None
    path.write_text(json.dumps(TOLD))
    assert measured_power(tmp_path, "N_MNIST-seed1-aa.mem") is None

    macro = energy_document(N_MNIST, MACRO) | {"conductances": "N_MNIST-seed1-aa.mem"}
    (tmp_path / "macro_energy.json").write_text(json.dumps(macro))
    add_energy(tmp_path)
    assert len(json.loads((tmp_path / "energy.json").read_text())["terms"]) == 4
    path.write_text(json.dumps(result))
    for _ in range(2):  # once more changes nothing
        add_energy(tmp_path)
        names = [term["name"] for term in json.loads((tmp_path / "energy.json").read_text())["terms"]]
        assert names.count("neurons") == names.count("cells") == 1
