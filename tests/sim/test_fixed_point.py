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

formats = st.builds(
    FixedPoint,
    width=st.integers(1, 24),
    fraction=st.integers(-4, 20),
    signed=st.booleans(),
    rounding=st.sampled_from(Rounding),
    overflow=st.sampled_from(Overflow),
)


def exact_round(value: Fraction, rounding: Rounding) -> int:
    """The definition in words: floor, nearest with ties up, nearest with ties to even."""
    if rounding is Rounding.TRN:
        return math.floor(value)
    if rounding is Rounding.RND:
        return math.floor(value + Fraction(1, 2))
    return round(value)


def exact_store(value: Fraction, form: FixedPoint) -> int:
    code = exact_round(value * Fraction(2) ** form.fraction, form.rounding)
    low = -(2 ** (form.width - 1)) if form.signed else 0
    high = low + 2**form.width - 1
    if form.overflow is Overflow.SAT:
        return min(max(code, low), high)
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
    assert form.max_code - form.min_code + 1 == 2**form.width


@given(st.integers(-(2**40), 2**40), st.integers(-6, 30), st.sampled_from(Rounding))
def test_round_shift_equals_rationals(code: int, shift: int, rounding: Rounding) -> None:
    assert int(round_shift(code, shift, rounding)) == exact_round(Fraction(code) / Fraction(2) ** shift, rounding)


def test_saturating_formats_clip_values_beyond_int64() -> None:
    form = FixedPoint(width=8, fraction=0, signed=True, overflow=Overflow.SAT)
    assert form.encode([1e300, -1e300]).tolist() == [127, -128]


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
    store<ap_fixed<6, 3, AP_TRN, AP_WRAP>>("s6.3.TRN.WRAP");
    store<ap_fixed<6, 3, AP_RND, AP_WRAP>>("s6.3.RND.WRAP");
    store<ap_fixed<6, 3, AP_RND_CONV, AP_WRAP>>("s6.3.RND_CONV.WRAP");
    store<ap_fixed<6, 3, AP_TRN, AP_SAT>>("s6.3.TRN.SAT");
    store<ap_fixed<6, 3, AP_RND, AP_SAT>>("s6.3.RND.SAT");
    store<ap_fixed<6, 3, AP_RND_CONV, AP_SAT>>("s6.3.RND_CONV.SAT");
    store<ap_ufixed<5, 2, AP_TRN, AP_WRAP>>("u5.3.TRN.WRAP");
    store<ap_ufixed<5, 2, AP_RND, AP_SAT>>("u5.3.RND.SAT");
    store<ap_ufixed<5, 2, AP_RND_CONV, AP_SAT>>("u5.3.RND_CONV.SAT");
}
"""


def test_equals_ap_fixed(tmp_path: Path) -> None:
    # found, not imported: importing it takes TensorFlow along
    package = importlib.util.find_spec("hls4ml")
    need(package is not None, "library hls4ml (extra `train`)")
    assert package is not None
    assert package.origin is not None
    headers = next(Path(package.origin).parent.rglob("ap_types/ap_fixed.h")).parent
    (tmp_path / "store.cpp").write_text(AP_FIXED)
    subprocess.run(
        ["g++", "-std=c++17", "-I", str(headers), "-o", str(tmp_path / "store"), str(tmp_path / "store.cpp")],
        check=True,
    )
    compared = 0
    for line in subprocess.run(
        [str(tmp_path / "store")], check=True, capture_output=True, text=True
    ).stdout.splitlines():
        name, code, raw = line.split()
        shape, fraction, rounding, overflow = name.split(".")
        form = FixedPoint(
            width=int(shape[1:]),
            fraction=int(fraction),
            signed=shape[0] == "s",
            rounding=Rounding(rounding),
            overflow=Overflow(overflow),
        )
        assert int(form.requantise(int(code), 6)) & ((1 << form.width) - 1) == int(raw) & ((1 << form.width) - 1), line
        compared += 1
    assert compared == 9 * 1024
