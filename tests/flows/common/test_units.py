"""Units of foreign files against powers of ten written out, in exact rationals."""

from fractions import Fraction

import pytest

from flows.common.units import capacitance_ff, scaled, time_ns

POWERS = {"": 1, "m": 10**3, "u": 10**6, "n": 10**9, "p": 10**12, "f": 10**15}
"""Units of a kind in one of its SI unit (BIPM, The International System of Units, table 7)."""


@pytest.mark.parametrize("prefix", list(POWERS))
@pytest.mark.parametrize("upper", [False, True])
def test_every_prefix_of_every_quantity(prefix: str, upper: bool) -> None:
    per = POWERS[prefix]
    spelt = str.upper if upper else str
    assert time_ns("25", spelt(f"{prefix}s")) == float(Fraction(25 * 10**9, per))
    assert capacitance_ff("25", spelt(f"{prefix}F")) == float(Fraction(25 * 10**15, per))
    assert scaled("25", spelt(f"{prefix}V"), "V", 0) == float(Fraction(25, per))
    assert scaled("25", spelt(f"{prefix}W"), "W", -9) == float(Fraction(25 * 10**9, per))
    assert scaled("25", spelt(f"{prefix}A"), "A", -6) == float(Fraction(25 * 10**6, per))


@pytest.mark.parametrize(
    ("number", "value"),
    [("1", 1000), ("1.", 1000), (".5", 500), ("1.5", 1500), ("2e3", 2e6), ("2E-3", 2), ("2e+1", 20000), ("10", 10000)],
)
def test_numbers_as_the_formats_write_them(number: str, value: float) -> None:
    assert capacitance_ff(number, "pF") == value


def test_the_smallest_and_the_largest_that_count() -> None:
    assert time_ns("1e-300", "s") == pytest.approx(1e-291)
    assert time_ns("1e299", "s") == pytest.approx(1e308)
    for number in ("1e300", "1e-400", "0", "0.0"):
        with pytest.raises(ValueError, match="expected a number above 0 with the unit s"):
            time_ns(number, "s")


@pytest.mark.parametrize("number", ["", "-1", "nan", "inf", "1e", "0x10", "1_0", "one", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_what_is_no_number(number: str) -> None:
    with pytest.raises(ValueError, match="expected a number above 0"):
        capacitance_ff(number, "pF")


@pytest.mark.parametrize("unit", ["", "V", "kF", "GF", "pFs", "Fp", "p", "ppF", "sF", "s"])
def test_what_is_no_unit(unit: str) -> None:
    with pytest.raises(ValueError, match="expected a unit out of F, mF, uF, nF, pF, fF, got"):
        capacitance_ff("1", unit)
