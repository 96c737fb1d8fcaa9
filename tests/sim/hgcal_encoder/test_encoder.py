"""The golden model: published vectors, a scalar definition, both engines, bad input."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine import Engine
from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.configuration.registers import register_writes
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.decode import CHARGE_MAX, decode
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.example_specs import random_spec
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.frame import kept_positions
from sim.hgcal_encoder.front_end import by_trigger_cell, front_end, pedestals, seen_charges, sent_codes
from sim.hgcal_encoder.grid import from_grid, to_grid
from sim.hgcal_encoder.normalise import normalise, sum_code
from sim.hgcal_encoder.settings import Settings, bits_per_latent, keep_mask
from sim.hgcal_encoder.spec import ECON_T, PRESETS, TNS_2021, EncoderSpec, WordOrder, load_spec
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import bunch_crossings, pack, unpack, wrong_headers
from tests.specs import SMALL, published_variants, scalar_latents


@pytest.mark.parametrize("engine", Engine)
def test_reproduces_published_vectors(econt_vectors: Path, engine: Engine) -> None:
    loaded, weights = load_settings(econt_vectors / "AE" / "init.yaml")
    assert weights is not None
    words = read_words(econt_vectors / "testInput_bx0000-1781.csv")
    expected = read_frames(econt_vectors / "AE" / "testOutput_bx0000-1781.csv")
    assert expected.shape == (1782, 13)
    assert np.array_equal(Encoder(ECON_T, weights, loaded, engine).frames(words), expected)


def test_worked_example(econt_vectors: Path) -> None:
    """Sum, code and latents of bunch crossing 0, as published beside the vectors."""
    loaded, weights = load_settings(econt_vectors / "AE" / "init.yaml")
    assert weights is not None
    trace = Encoder(ECON_T, weights, loaded).trace(read_words(econt_vectors / "testInput_bx0000-1781.csv")[:1])
    assert (trace.sums[0], trace.sum_codes[0]) == (13800, 170)
    assert trace.latents[0].tolist() == [100, 67, 0, 97, 190, 115, 117, 2, 69, 141, 203, 214, 102, 58, 253, 161]


def test_presets_have_the_published_sizes() -> None:
    assert (ECON_T.parameters, ECON_T.weight_bits, ECON_T.multiplies) == (2144, 12864, 2728)
    assert (TNS_2021.parameters, TNS_2021.weight_bits, TNS_2021.multiplies) == (2288, 13728, 4448)
    assert [bits_per_latent(ECON_T, links) for links in range(1, 6)] == [1, 3, 5, 7, 9]
    assert [ECON_T.capacity(links) for links in (1, 2, 5, 13)] == [18, 50, 146, 146]


@pytest.mark.parametrize("seed", range(12))
def test_both_engines_equal_the_scalar_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    specs = published_variants()
    spec = specs[seed] if seed < len(specs) else random_spec(rng)
    weights = Weights.random(spec, rng)
    charges = rng.integers(0, 1 << 22, (6, 48)) >> rng.integers(0, 22, (6, 1))
    charges[0] = 0
    charges[1] = (1 << 22) - 1
    charges[2] *= rng.random(48) < 0.1
    expected = [scalar_latents(row, weights.to_codes().tolist(), spec) for row in charges.tolist()]
    for engine in Engine:
        assert Encoder(spec, weights, engine=engine).latents(charges).tolist() == expected, (engine, spec)


def test_weights_in_another_format_are_the_nearest_values() -> None:
    codes = np.arange(ECON_T.parameters) % 64 - 32
    weights = Weights.from_codes(codes, ECON_T)
    assert weights.stored_as(ECON_T) == weights
    coarse = replace(ECON_T, weight=FixedPoint(width=4, fraction=3, signed=True))
    expected = [max(-8, min(7, round(Fraction(int(code), 4)))) for code in codes]
    assert weights.stored_as(coarse).to_codes().tolist() == expected
    with pytest.raises(ValueError, match="needs shape"):
        weights.stored_as(replace(ECON_T, filters=4))


def test_sums_wrap_where_they_are_narrow_and_only_there() -> None:
    """Pixel 128 times weight 31, five bits dropped: 124; bias 31, two bits up: 124. 248 is negative in 8 bits."""
    image = np.zeros((1, 8, 8, 1), np.int64)
    image[0, 0, 0, 0] = 128
    kernel, bias = np.full((3, 3, 1, 8), 31), np.full(8, 31)
    for width, seen in ((None, 248), (9, 248), (8, 0)):
        sums = convolve(image, kernel, bias, replace(ECON_T, conv_sum_width=width))
        assert set(sums[0, 0, 0]) == {seen}
        assert set(sums[0, 1:].ravel()) == {124}


@pytest.mark.parametrize("extreme", ["min", "max"])
def test_engines_agree_on_extreme_weights(extreme: str) -> None:
    code = getattr(ECON_T.weight, f"{extreme}_code")
    weights = Weights.from_codes(np.full(ECON_T.parameters, code), ECON_T)
    charges = np.vstack([np.eye(48, dtype=np.int64) * 1000, np.full((1, 48), 100), np.full((1, 48), (1 << 22) - 1)])
    numpy, numba = (Encoder(ECON_T, weights, engine=engine).latents(charges) for engine in Engine)
    assert np.array_equal(numpy, numba)
    assert numpy.max() == (511 if extreme == "max" else 0)


def test_numba_engine_refuses_sums_it_cannot_hold() -> None:
    wide = FixedPoint(width=30, fraction=29, signed=False)
    spec = replace(ECON_T, name="WIDE", activation=wide, weight=FixedPoint(width=20, fraction=5, signed=True))
    with pytest.raises(ValueError, match="sums of .* bits exceed the 53"):
        Encoder(spec, Weights.from_codes(np.zeros(spec.parameters, int), spec), engine="numba").latents(
            np.ones((1, 48), int)
        )


def test_decode_published_corners() -> None:
    assert decode([0], True).tolist() == [4]
    assert decode([0], False).tolist() == [1]
    assert decode([127], True).tolist() == [CHARGE_MAX]


def test_decode_is_the_shifted_value_plus_half_an_lsb() -> None:
    codes = np.arange(128)
    e, m = codes >> 3, codes & 7
    for high_density, drop in ((True, 3), (False, 1)):
        value = np.where(e == 0, m, (8 + m) << np.maximum(e - 1, 0)) << drop
        half = 1 << (drop + np.maximum(e - 1, 0) - 1)
        assert np.array_equal(decode(codes, high_density), value + half)


def test_sum_code_is_a_float_with_hidden_one() -> None:
    sums = np.concatenate([np.arange(4096), (1 << np.arange(12, 28)) - 1, 1 << np.arange(12, 28)])
    for total, code in zip(sums.tolist(), sum_code(sums).tolist(), strict=True):
        exponent, mantissa = code >> 4, code & 15
        low = mantissa if exponent == 0 else (16 + mantissa) << (exponent - 1)
        step = 1 if exponent == 0 else 1 << (exponent - 1)
        assert low <= total < low + step


@given(st.lists(st.integers(0, (1 << 22) - 1), min_size=48, max_size=48))
@settings(max_examples=200)
def test_pixels_are_charges_over_a_power_of_two(charges: list[int]) -> None:
    sums, pixels = normalise([charges], ECON_T.pixel)
    assert sums[0] == sum(charges)
    assert pixels.max() <= 255
    scale = 2 ** min(max(sum(charges), 1).bit_length() - 1, 21)
    assert pixels[0].tolist() == [charge * 128 // scale for charge in charges]


def test_convolution_equals_correlation_when_nothing_is_dropped() -> None:
    from scipy.signal import correlate

    spec = replace(
        ECON_T, name="EXACT", conv_product_fraction=12, activation=replace(ECON_T.activation, width=30, fraction=12)
    )
    rng = np.random.default_rng(0)
    image, weights = rng.integers(0, 256, (2, 8, 8, 1)), Weights.random(spec, rng)
    result = convolve(image, weights.kernel, weights.kernel_bias, spec)
    padded = np.pad(image[..., 0], ((0, 0), (0, 1), (0, 1)))
    for filter_ in range(8):
        for n in range(2):
            full = correlate(padded[n], weights.kernel[:, :, 0, filter_], mode="valid")[::2, ::2]
            assert np.array_equal(result[n, ..., filter_], np.maximum(full + (weights.kernel_bias[filter_] << 7), 0))


def test_words_round_trip_in_both_orders() -> None:
    codes = np.random.default_rng(0).integers(0, 128, (5, 48))
    for order in WordOrder:
        headers, back = unpack(pack(codes, order, first_bx=3562), order)
        assert np.array_equal(back, codes)
        assert headers[:, 0].tolist() == [0xA, 0xA, 0x9, 0xA, 0xA]
    first = pack(np.arange(48)[None], WordOrder.P1)[0, 0]
    assert int(first) == 0x9 << 28 | 3 << 21 | 2 << 14 | 1 << 7


def test_bunch_crossings_restart_at_the_orbit_header() -> None:
    assert bunch_crossings([0xA, 0xA, 0x9, 0xA, 0x9], first_bx=100).tolist() == [100, 101, 0, 1, 0]


def test_settings_of_either_word_order_give_the_same_frames() -> None:
    rng = np.random.default_rng(3)
    production = Settings(select=rng.permutation(48))
    first_silicon = production.in_order(WordOrder.P1)
    weights = Weights.random(ECON_T, rng)
    codes = rng.integers(0, 128, (20, 48))
    words = pack(codes, WordOrder.PRODUCTION)
    # the same words, read with the cells of each word the other way round
    assert np.array_equal(
        Encoder(ECON_T, weights, production).frames(words), Encoder(ECON_T, weights, first_silicon).frames(words)
    )
    assert np.array_equal(first_silicon.in_order(WordOrder.PRODUCTION).select, production.select)


@pytest.mark.parametrize("links", range(1, 14))
def test_frame_layout_against_strings(links: int) -> None:
    """The frame built bit by bit as text, from the description of the format."""
    rng = np.random.default_rng(links)
    mask = int.from_bytes(rng.bytes(18), "big") if links % 2 else keep_mask(ECON_T, min(2 * links - 1, 9))
    weights = Weights.random(ECON_T, rng)
    order = list(WordOrder)[links % 2]
    loaded = Settings(
        select=rng.integers(0, 48, 48),
        factors=rng.integers(0, 4096, 48),
        high_density=bool(links % 3),
        etx_count=links,
        keep_mask=mask,
        word_order=order,
    )
    words = pack(rng.integers(0, 128, (18, 48)), order)
    trace = Encoder(ECON_T, weights, loaded).trace(words)
    assert np.array_equal(Encoder(ECON_T, weights, loaded, Engine.NUMBA).frames(words), trace.frames)
    for row in range(18):
        vector = "".join(f"{latent:09b}" for latent in trace.latents[row][::-1])
        kept = "".join(bit for bit, keep in zip(vector, f"{mask:0144b}", strict=True) if keep == "1")
        room = min(18 + 32 * (links - 1), 146)
        counter = 31 if row == 0 else row % 16
        frame = f"{counter:05b}{trace.sum_codes[row]:09b}" + kept[-room:].rjust(room, "0")
        words_out = [int(frame.ljust(13 * 32, "0")[32 * i : 32 * i + 32], 2) for i in range(13)]
        assert trace.frames[row].tolist() == words_out


def test_grid_round_trip_and_published_remap() -> None:
    cells = np.arange(1, 49)[None]
    for spec in PRESETS.values():
        assert np.array_equal(from_grid(to_grid(cells, spec), spec), cells)
    assert to_grid(cells - 1, TNS_2021).ravel()[:6].tolist() == [0, 16, 32, 1, 17, 33]
    assert not to_grid(cells, ECON_T)[0, 4:, 4:].any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (np.zeros((2, 11), int), r"expected shape \(n, 12\), got \(2, 11\)"),
        (np.full((2, 12), 1 << 32), r"expected 0 to 4294967295, got 4294967296 at index \(0, 0\)"),
        (np.full((1, 12), -1), r"got -1 at index \(0, 0\)"),
    ],
)
def test_refuses_bad_words(words: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Encoder(ECON_T, Weights.random(ECON_T, np.random.default_rng(0))).frames(words)


def test_refuses_bad_charges_settings_and_weights() -> None:
    weights = Weights.random(ECON_T, np.random.default_rng(0))
    charges = np.zeros((3, 48), int)
    charges[2, 7] = 1 << 22
    with pytest.raises(ValueError, match=r"calibrated charges: expected 0 to 4194303, got 4194304 at index \(2, 7\)"):
        Encoder(ECON_T, weights).latents(charges)
    with pytest.raises(TypeError, match="integer codes, got float64"):
        Encoder(ECON_T, weights).latents(charges / 2)
    with pytest.raises(ValueError, match="weights of ECON_T, but the encoder is TNS_2021"):
        Encoder(TNS_2021, weights)
    with pytest.raises(ValueError, match=r"factors: expected 0 to 4095, got 4096 at index \(5,\)"):
        Settings(factors=np.where(np.arange(48) == 5, 4096, 0))
    with pytest.raises(ValueError, match="etx_count: expected 1 to 13 of ECON_T, got 14"):
        Settings(etx_count=14)
    with pytest.raises(ValueError, match="keep_mask: expected at most the 144 bits of ECON_T, got 0x1000"):
        Encoder(ECON_T, weights, Settings(keep_mask=1 << 144))
    for field, value, message in (
        ("etx_count", 2.5, "expected an integer, got 2.5"),
        ("keep_mask", -1, "expected at most the 27 bits of SMALL, got -0x1"),
        ("keep_mask", "all", "expected an integer, got 'all'"),
        ("keep_mask", 1 << 100_000, r"got an integer of 100001 bits|got 0x10+\.\.\."),
        ("high_density", "yes", "expected True or False, got 'yes'"),
        ("high_density", 2, "expected True or False, got 2"),
        ("word_order", "P2", "expected P1 or production, got 'P2'"),
        ("select", np.zeros(47, int), r"expected 48 values, got shape \(47,\)"),
        ("factors", np.full(48, 0.5), "expected integer codes, got float64"),
    ):
        with pytest.raises(ValueError, match=f"^{field}: .*{message}") as caught:
            Settings(spec=SMALL, **{field: value})
        assert len(str(caught.value)) < 280
    with pytest.raises(ValueError, match=r"kernel: expected -32 to 31, got 32"):
        replace(weights, kernel=weights.kernel * 0 + 32)
    with pytest.raises(ValueError, match=r"dense: ECON_T needs shape \(128, 16\), got \(16, 128\)"):
        replace(weights, dense=weights.dense.T)


def test_a_mask_keeps_the_bits_that_it_names() -> None:
    assert kept_positions(0, SMALL).tolist() == []
    assert kept_positions(0b1001 << 23, SMALL).tolist() == [23, 26]
    assert kept_positions((1 << 27) - 1, SMALL).tolist() == list(range(27))
    for mask in (-1, 1 << 27):
        with pytest.raises(ValueError, match="keep mask: expected at most 27 bits"):
            kept_positions(mask, SMALL)


def test_settings_belong_to_the_network_that_they_are_given() -> None:
    """What is in range is the range of this network, narrower or wider than that of ECON_T."""
    wide = replace(ECON_T, name="WIDE", latents=20, word_order=WordOrder.P1)
    settings = Settings(spec=wide)
    assert settings.keep_mask == (1 << 180) - 1
    assert settings.word_order is WordOrder.P1
    assert Settings(spec=SMALL).keep_mask == (1 << 27) - 1
    assert Settings(spec=wide, keep_mask=7).of(SMALL).keep_mask == 7
    with pytest.raises(ValueError, match="keep_mask: expected at most the 27 bits of SMALL, got 0xf"):
        settings.of(SMALL)
    with pytest.raises(ValueError, match="keep_mask: expected at most the 27 bits of SMALL"):
        register_writes(SMALL, settings)
    with pytest.raises(ValueError, match="keep_mask: expected at most the 144 bits of ECON_T"):
        Encoder(ECON_T, Weights.random(ECON_T, np.random.default_rng(0)), settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "8x8"}, "name must be an identifier"),
        ({"cell_map": (0,) * 63}, "one entry per grid position: 64"),
        ({"cell_map": (48, *(0,) * 63)}, r"cell_map\[0\]: expected -1 to 47, got 48"),
        ({"stride": 0}, "stride: expected 1 to 4096, got 0"),
        ({"kernel": (9, 3), "padding": (0, 0, 0, 0)}, "leaves no output"),
        ({"padding": (3, 0, 0, 0)}, "must be smaller than the kernel"),
        ({"conv_product_fraction": 13}, "expected 5 .* to 12 .*, got 13"),
        ({"conv_sum_width": 7}, r"conv_sum_width: expected 8 \(the bias must fit\) to 48 bits, got 7"),
        ({"dense_sum_width": 49}, "dense_sum_width: expected 9 .* to 48 bits, got 49"),
        ({"weight": FixedPoint(width=6, fraction=5, signed=False)}, "weights are two's complement"),
        ({"latent": FixedPoint(width=6, fraction=5, signed=True)}, "latent is unsigned"),
        ({"pixel": FixedPoint(width=8, fraction=8, signed=False)}, "one integer bit"),
        ({"filters": 0}, "filters: expected 1 to 4096, got 0"),
    ],
)
def test_spec_refuses_what_is_no_encoder(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(ECON_T, **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(20))
def test_spec_survives_toml(seed: int) -> None:
    spec = random_spec(np.random.default_rng(seed))
    assert EncoderSpec.from_toml(spec.to_toml()) == spec


def test_load_spec_reads_presets_and_files(tmp_path: Path) -> None:
    assert load_spec("ECON_T") is ECON_T
    (tmp_path / "mine.toml").write_text(replace(TNS_2021, name="MINE").to_toml())
    assert load_spec(str(tmp_path / "mine.toml")).name == "MINE"
    with pytest.raises(ValueError, match="presets: ECON_T, TNS_2021"):
        load_spec("ECON_D")
    for text, message in (("=", "not a TOML file"), ("colour = 1", "unknown fields colour"), ("name = 'A'", "missing")):
        (tmp_path / "bad.toml").write_text(text)
        with pytest.raises(ValueError, match=f"bad.toml: .*{message}"):
            load_spec(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize(("high_density", "counts"), [(False, 1), (True, 4)])
def test_empty_cells_have_half_a_step(high_density: bool, counts: int) -> None:
    """The pedestal of every cell, in counts before calibration, and as the whole data path gives it for empty words."""
    assert pedestals(Settings(high_density=high_density)).tolist() == [counts] * 48
    rng = np.random.default_rng(5)
    settings = Settings(high_density=high_density, factors=rng.integers(0, 4096, 48), select=rng.permutation(48))
    assert pedestals(settings).tolist() == [counts * int(factor) >> 11 for factor in settings.factors]
    empty = pack(np.zeros((3, 48), int), settings.word_order)
    trace = Encoder(ECON_T, Weights.random(ECON_T, rng), settings).trace(empty)
    assert (trace.charges == pedestals(settings)).all()


def test_charges_become_the_codes_of_the_published_format() -> None:
    """4E3M written out digit by digit: drop, then a leading one and three bits below it."""

    def code(value: int, drop: int) -> int:
        value >>= drop
        if value < 8:
            return value
        shift = value.bit_length() - 4
        return min((shift + 1) << 3 | (value >> shift) & 7, 127)

    rng = np.random.default_rng(1)
    charges = np.concatenate([np.arange(48 * 20), 2 ** rng.uniform(0, 22, 48 * 40)]).astype(np.int64).reshape(-1, 48)
    for dense, drop in ((False, 1), (True, 3)):
        found = sent_codes(charges, Settings(high_density=dense))
        assert found.tolist() == [[code(value, drop) for value in row] for row in charges.tolist()]


@pytest.mark.parametrize("order", list(WordOrder))
def test_charges_of_a_file_arrive_as_their_words_do(order: WordOrder) -> None:
    """Multiplexer, density and factors: sent as words and read by the front end, cell by cell."""
    rng = np.random.default_rng(2)
    select, factors = rng.permutation(48), rng.integers(300, 4096, 48)
    factors[5] = 0
    for dense in (False, True):
        chip = Settings(select=select, factors=factors, high_density=dense, word_order=order)
        charges = rng.integers(0, 20_000, (60, 48)) * (rng.random((60, 48)) < 0.3)
        words = pack(sent_codes(charges, chip), order)
        seen = seen_charges(charges, chip)
        assert np.array_equal(seen[:, select], front_end(words, chip).charges)
        assert np.array_equal(by_trigger_cell(front_end(words, chip).charges, chip), seen)
        # within the half step of the code (1/16 of the charge), that of the sender, and the rounding to counts
        lost = select[5]
        assert not seen[:, lost].any()
        kept = np.delete(np.arange(48), lost)
        half = (
            charges[:, kept] / 16
            + by_trigger_cell(pedestals(chip), chip)[kept]
            + by_trigger_cell(factors, chip)[kept] / 2048
            + 1
        )
        assert (np.abs(seen - charges)[:, kept] <= half).all()
    with pytest.raises(ValueError, match="multiplexer: expected each trigger cell once, got 7 2 times"):
        seen_charges(charges, Settings(select=np.where(select == 3, 7, select)))


def test_headers_of_links_that_are_not_aligned() -> None:
    words = pack(np.zeros((6, 48), int), WordOrder.PRODUCTION, first_bx=3562).astype(np.int64)
    assert wrong_headers(words).tolist() == []
    assert (words[2] >> 28 == 9).all()
    words[4, 7] = words[4, 7] & 0x0FFF_FFFF | 0x3000_0000
    words[2, 11] = words[2, 11] & 0x0FFF_FFFF | 0xA000_0000
    words[5, 0] = words[5, 0] & 0x0FFF_FFFF | 0x9000_0000
    assert wrong_headers(words).tolist() == [[2, 11], [4, 7], [5, 0]]
    with pytest.raises(ValueError, match="input words: expected shape"):
        wrong_headers(words[:, :11])
