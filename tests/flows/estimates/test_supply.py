"""Lower supplies against the published polynomials, evaluated by hand."""

from itertools import pairwise

import pytest

from flows.estimates.supply import at_supply, delay_ratio, lowest_supply


@pytest.mark.parametrize(
    ("node", "volt", "delay", "energy"),
    [
        # 65 nm at 1.2 V: 17.62 of delay, 2.1046 of energy; at 0.8 V: 31.65 and 0.8598
        ("65nm LP", 0.8, 31.65 / 17.62, 0.8598 / 2.1046),
        ("65nm LP", 1.2, 1.0, 1.0),
        # 45 nm HP at 1.1 V: 13.68 and 1.0439; at 0.6 V: 50.47 and 0.3340
        ("45nm HP", 0.6, 50.47 / 13.68, 0.3340 / 1.0439),
        # its least delay is below 1.1 V: no gain is claimed from that
        ("45nm HP", 1.0, 1.0, 0.8612 / 1.0439),
    ],
)
def test_ratios_by_hand(node: str, volt: float, delay: float, energy: float) -> None:
    found = at_supply(node, volt)
    assert found.delay == pytest.approx(delay, rel=0.01)
    assert found.energy == pytest.approx(energy, rel=0.001)
    assert found.leakage == pytest.approx(volt / found.nominal_v)


def test_the_lowest_supply_is_where_the_clock_just_fits() -> None:
    found = lowest_supply("65nm LP", least_period_ns=8.0)
    assert found is not None
    most = 25.0 / (8.0 * 1.5 * 1.2)
    assert found.delay <= most < at_supply("65nm LP", found.supply_v - 0.01).delay
    # with nothing to spare it stays at its nominal supply, or does not keep the clock at all
    assert lowest_supply("65nm LP", least_period_ns=25.0 / 1.81).supply_v == 1.2  # type: ignore[union-attr]
    assert lowest_supply("65nm LP", least_period_ns=25.0 / 1.79) is None
    # all the time there is: the end of the polynomial's range
    assert lowest_supply("65nm LP", least_period_ns=0.1).supply_v == 0.6  # type: ignore[union-attr]


def test_delays_and_energies_go_one_way() -> None:
    for node in ("130nm", "65nm LP", "45nm HP", "45nm LP", "32nm LP"):
        nominal = at_supply(node, 1.0).nominal_v
        rows = [at_supply(node, round(0.8 + 0.01 * k, 2)) for k in range(round((nominal - 0.8) / 0.01) + 1)]
        assert all(a.delay >= b.delay for a, b in pairwise(rows))
        assert all(a.energy < b.energy for a, b in pairwise(rows))


def test_what_has_no_data_is_refused() -> None:
    with pytest.raises(ValueError, match="supply of 65nm LP: expected 0.6 to 1.3 V, got 0.4"):
        at_supply("65nm LP", 0.4)
    with pytest.raises(ValueError, match="node '7nm'"):
        at_supply("7nm", 0.7)
    with pytest.raises(ValueError, match="least_period_ns"):
        lowest_supply("65nm LP", least_period_ns=0.0)


def test_delays_between_nodes() -> None:
    # 65 nm at 1.2 V: 17.62; 45 nm HP and LP at 1.1 V: 13.68 and 43.20
    assert delay_ratio("45nm HP", 1.1, "65nm LP") == pytest.approx(17.62 / 13.68, rel=0.01)
    assert delay_ratio("45nm LP", 1.1, "65nm LP") == pytest.approx(17.62 / 43.20, rel=0.01)
    assert delay_ratio("45nm LP", 1.1, "45nm LP", 1.1) == 1
