"""Node translation against numbers worked out by hand from the published tables."""

import pytest

from flows.estimates.translation import NODES, area_range, energy_range, node_of


@pytest.mark.parametrize(
    ("source", "volt", "target", "at", "ratio"),
    [
        # 3.755 * 1.44 - 4.398 * 1.2 + 1.975 = 2.1046 over 1.018 * 1.21 - 0.3107 * 1.1 + 0.1539 = 1.0439
        ("45nm HP", 1.1, "65nm LP", 1.2, 2.02),
        ("45nm LP", 1.1, "65nm LP", 1.2, 1.74),
        ("180nm", 1.8, "65nm LP", 1.2, 0.080),
    ],
)
def test_energy_ratios(source: str, volt: float, target: str, at: float, ratio: float) -> None:
    found = NODES[target].energy_factor(at) / NODES[source].energy_factor(volt)
    assert found == pytest.approx(ratio, rel=0.005)


def test_area_by_both_methods() -> None:
    # 833,035 GE of NanGate 45 at 0.70: 833035 * 1.44 / 0.7 um2; and 0.95 mm2 * 1.5
    found = area_range(library="nangate45", area_um2=0.95e6, gate_equivalents=833_035, utilisation=0.7)
    assert found.by("gate_density").value == pytest.approx(1.7137, rel=1e-3)
    assert found.by("stillmaker_baas").value == pytest.approx(1.425)
    assert (found.low, found.high) == (pytest.approx(1.425), pytest.approx(1.7137, rel=1e-3))
    assert str(found).endswith("to 1.71 mm2 in 65nm LP")


def test_energy_is_a_range_where_the_library_is_predictive() -> None:
    found = energy_range(library="nangate45", voltage_v=1.1, dynamic_pj=100.0)
    # Stillmaker-Baas 1.74 and 2.02; constant field 65 / 45 * (1.2 / 1.1)^2 = 1.719
    assert (found.low, found.high) == (pytest.approx(171.9, rel=0.001), pytest.approx(201.6, rel=0.005))
    ends = ["stillmaker_baas_45nm_HP_to_65nm_LP", "stillmaker_baas_45nm_LP_to_65nm_LP", "constant_field"]
    assert [estimate.name for estimate in found.estimates] == ends
    old = energy_range(library="osu018", voltage_v=1.8, dynamic_pj=100.0)
    # 0.0798; 65 / 180 * (1.2 / 1.8)^2 = 0.1605
    assert (old.low, old.high) == (pytest.approx(7.98, rel=0.01), pytest.approx(16.05, rel=0.001))


def test_forty_nanometres_lie_between_the_neighbours() -> None:
    found = energy_range(library="nangate45", voltage_v=1.1, dynamic_pj=100.0, node="40nm LP")
    assert len(found.estimates) == 5
    assert found.low < found.high
    density = area_range(library="nangate45", area_um2=1e6, gate_equivalents=1e6, utilisation=0.5, node="40nm LP")
    assert density.high == pytest.approx(1.42)


def test_twenty_eight_nanometres_as_the_nearest_node() -> None:
    found = energy_range(library="nangate45", voltage_v=1.1, dynamic_pj=100.0, node="28nm")
    # 0.9559 * 0.81 - 0.7823 * 0.9 + 0.471 = 0.5412 over 1.0439 and over 1.103 * 1.21 - 0.362 * 1.1 + 0.2767 = 1.2131;
    # constant field 28 / 45 * (0.9 / 1.1)^2 = 0.4165
    assert [one.value for one in found.estimates] == pytest.approx([51.84, 44.61, 41.65], rel=1e-3)
    lower = energy_range(library="nangate45", voltage_v=1.1, dynamic_pj=100.0, node="28nm", target_voltage_v=0.55)
    assert lower.by("constant_field").value == pytest.approx(100 * 28 / 45 / 4)


def test_libraries_by_family() -> None:
    assert [node.name for node in node_of("sky130_fd_sc_hd")] == ["130nm"]
    assert [node.name for node in node_of("gf180mcu_fd_sc_mcu7t5v0")] == ["180nm"]


def test_what_has_no_data_is_refused() -> None:
    with pytest.raises(ValueError, match="'asap7' is of no node"):
        node_of("asap7")
    with pytest.raises(ValueError, match="no meaning at 0.7 V"):
        NODES["180nm"].energy_factor(0.7)
    with pytest.raises(ValueError, match="expected one of 65nm LP, 40nm LP"):
        area_range(library="nangate45", area_um2=1, gate_equivalents=1, utilisation=1, node="28nm")
    with pytest.raises(ValueError, match="expected one of"):
        energy_range(library="nangate45", voltage_v=1.1, dynamic_pj=1, node="20nm")
    with pytest.raises(ValueError, match="utilisation"):
        area_range(library="nangate45", area_um2=1, gate_equivalents=1, utilisation=0)
    with pytest.raises(ValueError, match="dynamic_pj"):
        energy_range(library="nangate45", voltage_v=1.1, dynamic_pj=-1)
