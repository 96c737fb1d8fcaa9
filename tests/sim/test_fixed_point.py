"""Number formats against exact rationals, and against the ap_fixed headers that hls4ml ships."""

import importlib.util
import math
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.fixed_point import FixedPoint, Overflow, Rounding, check_range, round_shift
from tests.conftest import need

formats = st.one_of(
    st.builds(
        FixedPoint,
        width=st.integers(least, 24),
        fraction=st.integers(-4, 20),
        signed=st.booleans(),
        rounding=st.sampled_from(Rounding),
        overflow=st.sampled_from(modes),
    )
    for least, modes in ((1, [Overflow.WRAP, Overflow.SAT, Overflow.SAT_ZERO]), (2, [Overflow.SAT_SYM]))
)


def exact_round(value: Fraction, rounding: Rounding) -> int:
    """The definitions in words: floor, towards zero, nearest, and what becomes of ties."""
    below = math.floor(value)
    nearest = {value - below: below, below + 1 - value: below + 1}[min(value - below, below + 1 - value)]
    tie = value - below == Fraction(1, 2)
    match rounding:
        case Rounding.TRN:
            return below
        case Rounding.TRN_ZERO:
            return math.trunc(value)
        case Rounding.RND:
            return below + 1 if tie else nearest
        case Rounding.RND_MIN_INF:
            return below if tie else nearest
        case Rounding.RND_ZERO:
            return math.trunc(value) if tie else nearest
        case Rounding.RND_INF:
            return math.trunc(value) + (1 if value > 0 else -1) if tie else nearest
        case Rounding.RND_CONV:
            return round(value)


def exact_store(value: Fraction, form: FixedPoint) -> int:
    code = exact_round(value * Fraction(2) ** form.fraction, form.rounding)
    low = -(2 ** (form.width - 1)) if form.signed else 0
    high = low + 2**form.width - 1
    match form.overflow:
        case Overflow.SAT:
            return min(max(code, low), high)
        case Overflow.SAT_SYM:
            return min(max(code, -high if form.signed else 0), high)
        case Overflow.SAT_ZERO:
            return code if low <= code <= high else 0
        case Overflow.WRAP:
            return (code - low) % 2**form.width + low


@given(formats, st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=8), st.integers(-4, 24))
def test_requantise_equals_rationals(form: FixedPoint, codes: list[int], fraction: int) -> None:
    expected = [exact_store(Fraction(code) / Fraction(2) ** fraction, form) for code in codes]
    assert form.requantise(codes, fraction).tolist() == expected


@given(formats, st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_encode_equals_rationals(form: FixedPoint, values: list[float]) -> None:
    assert form.encode(values).tolist() == [exact_store(Fraction(value), form) for value in values]


@given(formats)
def test_every_code_survives_decode_and_encode(form: FixedPoint) -> None:
    codes = np.unique(np.linspace(form.min_code, form.max_code, 50).astype(np.int64))
    assert np.array_equal(form.encode(form.decode(codes)), codes)
    symmetric = form.signed and form.overflow is Overflow.SAT_SYM
    assert form.max_code - form.min_code + 1 == 2**form.width - symmetric


@given(st.integers(-(2**40), 2**40), st.integers(-6, 30), st.sampled_from(Rounding))
def test_round_shift_equals_rationals(code: int, shift: int, rounding: Rounding) -> None:
    assert int(round_shift(code, shift, rounding)) == exact_round(Fraction(code) / Fraction(2) ** shift, rounding)


def test_saturating_formats_clip_values_beyond_int64() -> None:
    form = FixedPoint(width=8, fraction=0, signed=True, overflow=Overflow.SAT)
    assert form.encode([1e300, -1e300]).tolist() == [127, -128]


def test_wrapping_formats_take_values_below_2_to_the_62() -> None:
    """Beyond, a float64 and an int64 no longer agree for certain."""
    form = FixedPoint(width=8, fraction=1, signed=True)
    assert form.lsb == 0.5
    largest = math.nextafter(2.0**61, 0)
    assert form.encode([largest, -largest]).tolist() == [exact_store(Fraction(v), form) for v in (largest, -largest)]
    with pytest.raises(ValueError, match=r"at index \(1,\) is too large"):
        form.encode([125.0, 2.0**61])


@pytest.mark.parametrize("rounding", Rounding)
def test_a_little_more_or_less_than_a_half(rounding: Rounding) -> None:
    """What a draw of any float hardly hits: 0.47 to 0.54 beyond a code of either sign."""
    form = FixedPoint(width=8, fraction=2, signed=True, rounding=rounding)
    values = [(code + part / 100) / 4 for code in (-7, -2, 0, 3, 6) for part in (47, 50, 51, 54)]
    assert form.encode(values).tolist() == [exact_store(Fraction(value), form) for value in values]


def test_rejects_what_no_code_can_mean() -> None:
    form = FixedPoint(width=8, fraction=7, signed=False)
    with pytest.raises(ValueError, match=r"finite values, got nan at index \(1,\)"):
        form.encode([0.0, math.nan])
    with pytest.raises(ValueError, match=r"weights: expected 0 to 255, got 256 at index \(1, 0\)"):
        form.check([[0], [256]], "weights")
    with pytest.raises(TypeError, match="integer codes, got float64"):
        check_range([0.5], 0, 1, "codes")
    with pytest.raises(TypeError, match="integer codes"):
        form.fit([0.5])
    with pytest.raises(ValueError, match="1 to 62 bits, got 0"):
        FixedPoint(width=0, fraction=0, signed=False)
    for field, value, message in (
        ("width", 63, "1 to 62 bits, got 63"), ("width", 8.0, "width of a number format must be a whole number"),
        ("width", True, "width of a number format must be a whole number"), ("fraction", 0.5, "a whole number of bits"),
        ("fraction", 1001, "at most 1000 bits"), ("fraction", -1001, "at most 1000 bits"),
        ("signed", 1, "true or false"),
        ("fraction", 10**400, "an integer of 1329 bits"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            FixedPoint(**{"width": 8, "fraction": 0, "signed": True} | {field: value})  # type: ignore[arg-type]
    for fraction in (-1000, np.int64(1000)):
        wide = FixedPoint(width=62, fraction=fraction, signed=np.True_)  # type: ignore[arg-type]
        assert wide.lsb == 2.0 ** -int(fraction)
    with pytest.raises(ValueError, match="1 bit has no symmetric range"):
        FixedPoint(width=1, fraction=0, signed=True, overflow=Overflow.SAT_SYM)
    with pytest.raises(ValueError, match="too large to wrap"):
        form.encode([1e30])


AP_FIXED = r"""
#include <cstdio>
#include "ap_fixed.h"
template <class T> void store(const char *name) {
    // every code of a 10-bit source with 6 fraction bits
    for (int code = -512; code < 512; code++) {
        ap_fixed<10, 4> source; source.range(9, 0) = code & 1023;
        T target = source;
        std::printf("%s %d %d\n", name, code, (int)target.range(T::width - 1, 0).to_int());
    }
}
int main() {
STORES
}
"""
_SHAPES = (("s", 6, 3), ("u", 5, 3), ("s", 4, 1), ("s", 12, 8))
"""Sign, width, fraction bits; the last loses nothing, and its symmetric range is the wider one's all the same."""


def test_equals_ap_fixed(tmp_path: Path) -> None:
    # found, not imported: importing it takes TensorFlow along
    package = importlib.util.find_spec("hls4ml")
    need(package is not None, "library hls4ml (extra `train`)")
    assert package is not None
    assert package.origin is not None
    headers = next(Path(package.origin).parent.rglob("ap_types/ap_fixed.h")).parent
    forms = {
        f"{sign}{width}.{fraction}.{rounding}.{overflow}": FixedPoint(
            width=width, fraction=fraction, signed=sign == "s", rounding=rounding, overflow=overflow
        )
        for sign, width, fraction in _SHAPES
        for rounding in Rounding
        for overflow in Overflow
    }
    stores = "\n".join(
        f"    store<ap_{'' if form.signed else 'u'}fixed<{form.width}, {form.integer}, AP_{form.rounding}, "
        f'AP_{form.overflow}>>("{name}");'
        for name, form in forms.items()
    )
    (tmp_path / "store.cpp").write_text(AP_FIXED.replace("STORES", stores))
    subprocess.run(
        ["g++", "-std=c++17", "-I", str(headers), "-o", str(tmp_path / "store"), str(tmp_path / "store.cpp")],
        check=True,
    )
    printed = subprocess.run([str(tmp_path / "store")], check=True, capture_output=True, text=True).stdout.split()
    found = np.array([int(word) for word in printed if word.lstrip("-").isdigit()]).reshape(len(forms), 1024, 2)
    assert printed[:: 3 * 1024] == list(forms)
    for (name, form), lines in zip(forms.items(), found, strict=True):
        mask = (1 << form.width) - 1
        wrong = (form.requantise(lines[:, 0], 6) & mask) != (lines[:, 1] & mask)
        assert not wrong.any(), f"{name}: code {lines[wrong, 0][0]}"
