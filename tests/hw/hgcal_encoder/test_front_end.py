"""Words, counter, multiplexer, decode, calibration, normalisation: hardware against the golden model."""

import numpy as np
import pytest

from hw.hgcal_encoder.calibrate import Calibrate, CalibrateCell
from hw.hgcal_encoder.counter import Counter
from hw.hgcal_encoder.decode import Decode, DecodeCell
from hw.hgcal_encoder.multiplex import Multiplex, MultiplexCell
from hw.hgcal_encoder.normalise import ModuleSum, Normalise, NormaliseCell, SumCode
from hw.hgcal_encoder.words import Words
from sim.hgcal_encoder.calibrate import calibrate
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.frame import counter
from sim.hgcal_encoder.multiplex import multiplex
from sim.hgcal_encoder.normalise import leading_one, normalise, sum_code
from sim.hgcal_encoder.spec import CELLS, ECON_T
from sim.hgcal_encoder.words import bunch_crossings, unpack
from tests.hw.driving import ODD, PADDED, charges, evaluate, pack, run
from tests.hw.driving import unpack as elements


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260726)


@pytest.mark.parametrize("spec", [ECON_T, ODD], ids=lambda spec: spec.word_order)
def test_words_are_split_as_in_the_model(spec, rng):
    words = rng.integers(0, 1 << 32, (64, 12))
    words[:16, 0] = (words[:16, 0] & 0x0FFF_FFFF) | np.arange(16) << 28
    got = evaluate(Words(spec=spec), words=pack(words, 32))
    headers, codes = unpack(words, spec.word_order)
    assert got["orbit_start"] == list(headers[:, 0] == 9)
    assert sum(got["orbit_start"]) > 0
    assert np.array_equal(elements(got["codes"], 7, CELLS), codes)


def test_counter_numbers_crossings_from_the_last_orbit_start():
    headers = np.full(200, 0xA)
    headers[[0, 3, 50, 51]] = 0x9
    got = run(Counter(), {"orbit_start": headers == 0x9}, clocked=True)["counter"]
    assert got == list(counter(bunch_crossings(headers)))


def test_one_multiplexer_output_takes_every_input(rng):
    codes = rng.integers(0, 128, (64 * 4, CELLS))
    select = np.tile(np.arange(64), 4)
    got = evaluate(MultiplexCell(), codes=pack(codes, 7), select=select)["code"]
    named = np.where(select < CELLS, codes[np.arange(len(codes)), np.minimum(select, CELLS - 1)], 0)
    assert got == list(named), "selections 48 to 63 name no input and give 0"


def test_multiplexer_follows_the_model(rng):
    codes = rng.integers(0, 128, (6, CELLS))
    select = np.stack([rng.permutation(CELLS) for _ in range(5)] + [rng.integers(0, CELLS, CELLS)])
    got = elements(evaluate(Multiplex(), codes=pack(codes, 7), select=pack(select, 6))["cells"], 7, CELLS)
    for row in range(len(codes)):
        assert np.array_equal(got[row], multiplex(codes[row : row + 1], select[row])[0])


@pytest.mark.parametrize("high_density", [False, True])
def test_every_code_decodes_as_in_the_model(high_density):
    got = evaluate(DecodeCell(), code=np.arange(128), high_density=[high_density] * 128)
    assert max(got["shift"]) <= 16
    value = [(2 * m + 1) << (16 - s) for m, s in zip(got["mantissa"], got["shift"], strict=True)]
    assert value == list(decode(np.arange(128), high_density))


def test_decode_of_all_cells(rng):
    codes = rng.integers(0, 128, (4, CELLS))
    got = evaluate(Decode(), codes=pack(codes, 7), high_density=[1] * 4)
    mantissas, shifts = elements(got["mantissas"], 4, CELLS), elements(got["shifts"], 5, CELLS)
    assert np.array_equal((2 * mantissas + 1) << (16 - shifts), decode(codes, True))


def test_calibration_of_one_cell(rng):
    factors = np.concatenate([rng.integers(0, 4096, 40), [0, 1, 2047, 2048, 4095]])
    rows = 4000
    mantissa, shift = rng.integers(0, 16, rows), rng.integers(0, 17, rows)
    factor = rng.choice(factors, rows)
    got = evaluate(CalibrateCell(), mantissa=mantissa, shift=shift, factor=factor)["charge"]
    assert got == list((((2 * mantissa + 1) << (16 - shift)) * factor) >> 11)


def test_decode_and_calibration_follow_the_model(rng):
    codes, factors = rng.integers(0, 128, (6, CELLS)), rng.integers(0, 4096, (6, CELLS))
    decoded = evaluate(Decode(), codes=pack(codes, 7), high_density=[0, 1] * 3)
    got = evaluate(Calibrate(), mantissas=decoded["mantissas"], shifts=decoded["shifts"], factors=pack(factors, 12))[
        "charges"
    ]
    for row, line in enumerate(elements(got, 22, CELLS)):
        assert np.array_equal(line, calibrate(decode(codes[row : row + 1], bool(row % 2)), factors[row])[0])


def test_module_sum_is_exact(rng):
    values = charges(rng, 40)
    assert evaluate(ModuleSum(), charges=pack(values, 22))["module_sum"] == list(values.sum(axis=1))


def test_sum_code_and_shift_at_every_power_of_two(rng):
    powers = [max(0, (1 << bit) + step) for bit in range(28) for step in (-1, 0, 1)]
    sums = np.array(
        [*powers, *range(70), CELLS * ((1 << 22) - 1), *(rng.integers(0, 1 << 28, 500) >> rng.integers(0, 28, 500))]
    )
    got = evaluate(SumCode(), module_sum=sums)
    assert got["sum_code"] == list(sum_code(sums))
    assert got["shift"] == list(np.minimum(leading_one(sums), 21))


@pytest.mark.parametrize("fraction", [0, 3, 7, 21])
def test_one_normalised_cell(fraction, rng):
    shift = rng.integers(0, 22, 500)
    charge = rng.integers(0, 1 << 22, 500) & ((2 << shift) - 1)
    got = evaluate(NormaliseCell(fraction=fraction), charge=charge, shift=shift)["pixel"]
    assert got == list((charge << fraction) >> shift)


@pytest.mark.parametrize("spec", [ECON_T, ODD, PADDED], ids=lambda spec: spec.name)
def test_normalisation_follows_the_model(spec, rng):
    values = charges(rng, 60)
    got = evaluate(Normalise(spec=spec), charges=pack(values, 22))
    sums, pixels = normalise(values, spec.pixel)
    assert got["module_sum"] == list(sums)
    assert got["sum_code"] == list(sum_code(sums))
    assert np.array_equal(elements(got["pixels"], spec.pixel.width, CELLS), pixels)
