"""The crossbar's spec and its conductance file: round trips, widths, and errors that say what is wrong."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.lsm_crossbar.macro_model.conductance_file import Conductances, parse_conductances, read_conductances
from sim.lsm_crossbar.spec import FULL_MACRO, N_MNIST, N_TIDIGITS, PRESETS, CrossbarSpec, DeviceParameters, load_spec
from tests.crossbars import SMALL_CROSSBAR, random_crossbar, random_image


@pytest.mark.parametrize("spec", [*PRESETS.values(), SMALL_CROSSBAR], ids=lambda spec: spec.name)
def test_spec_survives_toml(spec: CrossbarSpec, tmp_path: Path) -> None:
    spec = replace(spec, device=replace(spec.device, pristine_resistance_mohm=None, stuck_on=0.01))
    if spec.macros == 1:
        spec = replace(spec, noise_scale=7)
    path = tmp_path / "spec.toml"
    path.write_text(spec.to_toml())
    assert load_spec(str(path)) == spec
    assert load_spec("N_MNIST") is N_MNIST


def test_presets_are_those_of_the_paper() -> None:
    """Lin et al., Nat. Comput. Sci. 5 (2025) 37: channels, reservoir, steps, decay."""
    assert (N_MNIST.inputs, N_MNIST.neurons, N_MNIST.steps, N_MNIST.outputs) == (256, 200, 50, 10)
    assert (N_TIDIGITS.inputs, N_TIDIGITS.neurons, N_TIDIGITS.steps, N_TIDIGITS.outputs) == (64, 200, 129, 11)
    assert (FULL_MACRO.inputs, FULL_MACRO.neurons, FULL_MACRO.used_rows) == (256, 256, 512)
    assert abs(float(N_MNIST.decay) - 0.9) < 0.01
    assert abs(float(N_TIDIGITS.decay) - 0.97) < 0.01


def test_widths_by_hand() -> None:
    """SMALL_CROSSBAR on paper."""
    spec = SMALL_CROSSBAR
    assert (spec.column_sum_max, spec.column_sum_width) == (45, 6)
    assert spec.batches_per_step == 4
    # the largest gain is 127/64 and the largest offset 2047/64 codes: (45 * 127 + 2047) >> 8 = 30, cut at 15
    assert spec.adc_max == 15
    assert spec.step_input_max == 4 * 15
    # one subtracted term, decay 3/4: (3/4 * 60 + 1) / (1/4)
    assert spec.membrane_rest_max == 184
    assert spec.membrane_max == 184 + 60
    assert spec.membrane_width == 9
    assert spec.threshold_max == 255
    assert (spec.count_max, spec.count_width) == (4, 3)
    assert spec.bias_width == (12 * 4 * 128).bit_length() + 1
    assert spec.read_clocks == 1 + 4 * 8
    assert (spec.lanes, spec.adcs, spec.active_lanes) == (2, 4, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a b"}, "name must be an identifier"),
        ({"inputs": 0}, "inputs: expected 1 to"),
        ({"inputs": 7}, "do not fit the 12 rows"),
        ({"inputs": 5.0}, "inputs: expected an integer, got 5.0"),
        ({"neurons": 9, "rows": 20}, "9 neurons need as many column pairs"),
        ({"columns": 15}, r"\(odd\)"),
        ({"columns_per_adc": 3}, "3 does not divide the 8 column pairs"),
        ({"windows": 3}, "3 does not divide the 8 steps"),
        ({"leak": ()}, "at least one term"),
        ({"leak": (-1, -1, -2)}, "expected 0 to below 1"),
        ({"leak": (3,)}, "expected 0 to below 1"),
        ({"leak": (0,)}, "shifts must be 1 to 16"),
        ({"threshold": 256}, "threshold: expected 0 to 255"),
        ({"noise_scale": 256}, "noise_scale: expected 1 to 255"),
        ({"gain_spread": -0.1}, "gain_spread"),
        ({"column_current_limit_ua": 1e-4}, "below one conductance code"),
        (
            {"leak": (-16,), "inputs": 500, "rows": 512, "rows_per_read": 1, "conductance_bits": 8, "adc_shift": 0}
            | {"adc_bits": 12},
            "membrane_width would be 36 bits; at most 31 are supported",
        ),
        ({"rows_per_read": 13}, "at most the 12 rows"),
        ({"g_max_us": 0.0}, "g_max_us: expected a positive number"),
    ],
)
def test_illegal_specs_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL_CROSSBAR, **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stuck_on": 1.5}, "device.stuck_on: expected a fraction"),
        ({"stuck_on": 0.6, "stuck_off": 0.6}, "exceed all cells"),
        ({"log_sigma": 0.0}, "device.log_sigma: expected a positive"),
        ({"bit_line_ohm": 0.0}, "device.bit_line_ohm: expected a positive"),
        ({"programming_error": -1.0}, "at least 0"),
        ({"drift_exponent_sigma": 0.1}, "needs a drift_exponent"),
    ],
)
def test_illegal_devices_are_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DeviceParameters(**fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not a TOML file"),
        (SMALL_CROSSBAR.to_toml() + "stuck = 1\n", "unknown fields device.stuck"),
        ("colour = 1\n" + SMALL_CROSSBAR.to_toml(), "unknown fields colour"),
        (SMALL_CROSSBAR.to_toml().replace("inputs = 5\n", ""), "missing 1 required keyword-only argument: 'inputs'"),
        ("device = 3\n", r"expected a table \[device\]"),
        (SMALL_CROSSBAR.to_toml().replace("inputs = 5", 'inputs = "5"'), "inputs: expected an integer"),
    ],
)
def test_bad_toml_is_explained(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"bad.toml: .*{message}"):
        load_spec(str(path))
    with pytest.raises(ValueError, match="no preset and no TOML file named 'nothing'"):
        load_spec("nothing")


@pytest.mark.parametrize("seed", range(15))
def test_image_survives_its_file(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    spec = random_crossbar(rng)
    image = replace_device(random_image(spec, rng), {"g_max_us": 20.0, "note": "x"})
    path = image.write(tmp_path)
    read = read_conductances(path)
    assert np.array_equal(read.codes, image.codes)
    assert np.array_equal(read.adc_gain, image.adc_gain)
    assert np.array_equal(read.adc_offset, image.adc_offset)
    assert (read.spec, read.seed, read.device, read.sha256) == (spec.name, 0, image.device, image.sha256)
    assert read.check(spec) is read


def replace_device(image: Conductances, device: dict[str, object]) -> Conductances:
    return replace(image, device=device)


def test_file_is_what_its_description_says(tmp_path: Path) -> None:
    """Read with nothing but the text of the data sheet: hash, name, and codes as $readmemh would load them."""
    rng = np.random.default_rng(5)
    image = random_image(SMALL_CROSSBAR, rng, ideal=False)
    path = image.write(tmp_path)
    lines = path.read_text().split("\n")
    assert lines.pop() == ""
    stated = [line for line in lines if line.startswith("// sha256: ")]
    rest = "\n".join(line for line in lines if not line.startswith("// sha256: ")) + "\n"
    assert stated == [f"// sha256: {hashlib.sha256(rest.encode()).hexdigest()}"]
    assert path.name == f"SMALL_CROSSBAR-seed0-{hashlib.sha256(rest.encode()).hexdigest()[:16]}.mem"
    words = [int(line, 16) for line in lines if not line.startswith("//")]
    assert len(words) == 12
    for row, word in enumerate(words):
        for column in range(16):
            assert word >> 4 * column & 15 == image.codes[row, column]
        assert word >> 64 == 0
    assert tuple(words) == image.row_words


def test_damage_is_located(tmp_path: Path) -> None:
    text = random_image(SMALL_CROSSBAR, np.random.default_rng(1)).write(tmp_path).read_text()
    lines = text.split("\n")

    def damaged(number: int, line: str) -> str:
        return "\n".join([*lines[: number - 1], line, *lines[number:]])

    for bad, message in (
        ("", "line 1: expected '// liquidcal conductance image 1', got ''"),
        (damaged(2, "// seed: 1"), "line 2: expected '// spec: ...'"),
        (damaged(4, "// shape: rows=12"), "line 4: expected rows=N columns=N"),
        (damaged(10, lines[9][:-1]), "line 10: expected 16 hexadecimal digits, got 15 characters"),
        (damaged(10, lines[9][:-1] + "G"), "line 10, column 16: expected a lower-case hexadecimal digit, got 'G'"),
        (damaged(10, lines[9][:-1] + ("0" if lines[9][-1] != "0" else "1")), "the file was changed"),
        (damaged(3, "// seed: 2"), "the file was changed"),
        ("\n".join(lines[:15]), "expected 12 rows after the header, got 7"),
        (text + "00\n", "expected 12 rows after the header, got 13"),
        ("\n".join(lines[:4]), "line 5: expected '// device: ...', got ''"),
    ):
        with pytest.raises(ValueError, match="(?s)" + message.replace("(", r"\(")):
            parse_conductances(bad)
    with pytest.raises(FileNotFoundError, match="no conductance file"):
        read_conductances(tmp_path / "none.mem")
    binary = tmp_path / "binary.mem"
    binary.write_bytes(b"// \xff")
    with pytest.raises(ValueError, match="byte 3 is not ASCII"):
        read_conductances(binary)


def signed(head: list[str], rows: list[str]) -> str:
    """A file whose hash is right, whatever it says."""
    digest = hashlib.sha256(("\n".join([*head, *rows]) + "\n").encode()).hexdigest()
    return "\n".join([*head, f"// sha256: {digest}", *rows]) + "\n"


def test_wrong_content_with_the_right_hash_is_refused(tmp_path: Path) -> None:
    lines = random_image(SMALL_CROSSBAR, np.random.default_rng(1)).write(tmp_path).read_text().splitlines()
    head, rows = lines[:7], lines[8:]
    assert parse_conductances(signed(head, rows)).rows == 12
    for number, line, message in (
        (2, "// seed: -1", "line 3: expected a seed"),
        (4, "// device: [1]", "line 5: expected a JSON object"),
        (4, "// device: {", "line 5: not JSON"),
        (5, "// adc_gain: 64 64 64", r"adc_gain: expected the shape \(4,\)"),
        (5, "// adc_gain: 64 64 0 64", "ADC gain: expected 1 to 127, got 0 at index"),
        (6, "// adc_offset: 0 0 0 5000", "ADC offset: expected -2048 to 2047, got 5000"),
        (6, "// adc_offset: 0 0  0 1", "line 8: expected integers apart by one space"),
        (1, "// spec: a b", "spec: expected a name"),
        (3, head[3].replace("columns_per_adc=4", "columns_per_adc=5"), "do not divide"),
        (3, head[3].replace("conductance_bits=4", "conductance_bits=9"), "no macro has the shape"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_conductances(signed([*head[:number], line, *head[number + 1 :]], rows))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_passes_or_crashes(data: st.DataObject) -> None:
    """Any change of any characters is either refused with a ValueError or gives the same image."""
    image = random_image(SMALL_CROSSBAR, np.random.default_rng(2), ideal=True)
    head, words = image._text()
    text = "\n".join([*head, f"// sha256: {image.sha256}", *words]) + "\n"
    place = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 30))
    changed = text[:place] + data.draw(st.text(max_size=20)) + text[place + length :]
    try:
        read = parse_conductances(changed)
    except ValueError:
        assert changed not in (text, text[:-1])
    else:
        assert read.sha256 == image.sha256


def test_image_of_another_macro_is_refused() -> None:
    image = random_image(SMALL_CROSSBAR, np.random.default_rng(0))
    with pytest.raises(ValueError, match="columns_per_adc is 4, expected 2"):
        image.check(replace(SMALL_CROSSBAR, columns_per_adc=2))
    with pytest.raises(ValueError, match=r"conductance code: expected 0 to 15, got 16 at index \(0, 0\)"):
        Conductances.of(SMALL_CROSSBAR, np.full((12, 16), 16))
    with pytest.raises(ValueError, match=r"codes: expected the shape \(12, 16\)"):
        Conductances.of(SMALL_CROSSBAR, np.zeros((16, 12), int))
    with pytest.raises(ValueError, match="seed"):
        Conductances.of(SMALL_CROSSBAR, np.zeros((12, 16), int), seed=-1)
    with pytest.raises(ValueError, match="read-only"):
        image.codes[0, 0] = 1
