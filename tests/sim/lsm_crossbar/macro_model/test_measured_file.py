"""Measured conductances: files by hand to codes by hand, through a model file, and errors that name the place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.macro_model.measured_file import image_of, macro_of, read_measured, write_measured
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.events import ENCODINGS
from sim.lsm_crossbar.spec import N_MNIST
from tests.crossbars import SMALL_CROSSBAR

# a code is 2 uS: 15 codes above 0, up to 30 uS
SPEC = replace(
    SMALL_CROSSBAR, inputs=1, neurons=1, rows=2, columns=4, columns_per_adc=1, conductance_bits=4, g_max_us=30.0,
    rows_per_read=2, adc_shift=0,
)  # fmt: skip
TEXT = "# uS\n0, 2.9,3.1 ,30\n\n31.5,1e1,0.99,-0\n"
CODES = [[0, 1, 2, 15], [15, 5, 0, 0]]


def test_a_csv_by_hand(tmp_path: Path) -> None:
    """2.9 / 2 rounds to 1, 3.1 / 2 to 2, and 31.5 is cut at code 15, the only cell above 30 uS."""
    (tmp_path / "chip.csv").write_text(TEXT)
    image = read_measured(tmp_path / "chip.csv", SPEC)
    assert image.codes.tolist() == CODES
    assert (image.seed, image.device["measured"], image.device["cells_above_range"]) == (None, "chip.csv", 1)
    assert image.device["largest_rounding_error_us"] == 0.99
    assert image.file_name.startswith(f"{SPEC.name}-measured-")
    again = read_conductances(image.write(tmp_path))
    assert (again.seed, again.sha256, again.device) == (None, image.sha256, image.device)
    assert read_measured(tmp_path / image.file_name, SPEC).sha256 == image.sha256
    assert macro_of(SPEC, seed=5, conductances=tmp_path / "chip.csv").sha256 == image.sha256
    assert macro_of(SPEC, seed=5).sha256 == draw(SPEC, 5).sha256


def test_arrays_and_converters(tmp_path: Path) -> None:
    """Gain 1.5 and offset -2 codes of an ADC, in steps of 2**-gain_fraction and of a conversion."""
    gain, offset = np.ones(SPEC.adcs), np.zeros(SPEC.adcs)
    gain[1], offset[2] = 1.5, -2
    values = np.array(CODES) * 2.0
    write_measured(tmp_path / "chip.npz", values, gain, offset)
    write_measured(tmp_path / "chip.csv", values)
    image = read_measured(tmp_path / "chip.npz", SPEC)
    assert image.codes.tolist() == CODES == read_measured(tmp_path / "chip.csv", SPEC).codes.tolist()
    ideal = 1 << SPEC.gain_fraction
    assert image.adc_gain.tolist() == [ideal, ideal * 3 // 2, ideal, ideal]
    assert image.adc_offset.tolist() == [0, 0, -2 << SPEC.conversion_shift, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,0,0,0\n", "conductances_us: expected the shape (2, 4), got (1, 4)"),
        ("0,0,0,0\n1,2,3\n", "line 2: expected 4 numbers as above, got 3"),
        ("0,0,0,0\n1,2,x,4\n", "line 2, number 3: expected a decimal, got 'x'"),
        ("0,0,0,0\n1,2,1_0,4\n", "line 2, number 3: expected a decimal, got '1_0'"),
        ("0,0,0,0\n1,2,3,nan\n", "conductances_us[1, 3]: expected 0 to 1e+06, got nan"),
        ("0,0,0,0\n1,2,inf,4\n", "conductances_us[1, 2]: expected 0 to 1e+06, got inf"),
        ("0,0,-1,0\n1,2,3,4\n", "conductances_us[0, 2]: expected 0 to 1e+06, got -1"),
        ("1e-6,0,0,0\n0,0,0,2e-5\n", "the largest is 2e-05 uS, less than half of one code"),
        ("# nothing\n", "expected lines of conductances, found none"),
        (b"\xff\xfe0", "byte 0 is not text"),
    ],
)
def test_a_wrong_csv_names_the_place(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "chip.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"chip\.csv: ") as error:
        read_measured(path, SPEC)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"g": np.zeros((2, 4))}, "expected an array conductances_us, found g"),
        ({"conductances_us": np.zeros((2, 4), bool)}, "conductances_us: expected numbers, got bool"),
        ({"conductances_us": np.zeros((2, 4)), "seed": np.array(1)}, "found 'seed'"),
        ({"conductances_us": np.zeros((2, 4)), "adc_gain": np.zeros(4)}, "adc_gain[0]: expected 0.0"),
        ({"conductances_us": np.zeros((2, 4)), "adc_offset_codes": np.full(4, 1e9)}, "adc_offset_codes[0]: expected"),
        ({"conductances_us": np.zeros((2, 4)), "adc_gain": np.ones(3)}, "adc_gain: expected the shape (4,), got (3,)"),
    ],
)
def test_wrong_arrays_name_the_array(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "chip.npz", **arrays)
    with pytest.raises(ValueError, match="chip.npz") as error:
        read_measured(tmp_path / "chip.npz", SPEC)
    assert message in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file of conductances"):
        read_measured(tmp_path / "none.csv", SPEC)
    with pytest.raises(ValueError, match=r"expected a file \.csv, \.npz or \.mem of conductances, got '\.txt'"):
        read_measured(tmp_path / "chip.txt", SPEC)
    path = draw(SMALL_CROSSBAR, 0).write(tmp_path)
    with pytest.raises(ValueError, match="the conductance image is not one for"):
        read_measured(path, SPEC)


def test_a_model_holds_what_was_measured(tmp_path: Path) -> None:
    """The codes go through the file of the model; without a seed and without codes it is refused."""
    rng = np.random.default_rng(1)
    image = image_of(N_MNIST, rng.uniform(0, 12, (N_MNIST.rows, N_MNIST.columns)), name="array 3")
    drawn = TrainedCrossbar(
        spec=N_MNIST, seed=1, conductances_sha256=draw(N_MNIST, 1).sha256, encoding=ENCODINGS["pooled_3x3_split"],
        step_us=6200, readout=Readout(N_MNIST, rng.integers(-9, 9, (10, 5, 200)), np.zeros(10, np.int64)),
    )  # fmt: skip
    model = drawn.on(image)
    model.save(tmp_path / "model.npz")
    again = TrainedCrossbar.load(tmp_path / "model.npz")
    assert (again.seed, again.conductances.sha256, again.macro_name) == (None, image.sha256, "measured macro")
    assert again.conductances.device == image.device
    with pytest.raises(ValueError, match="not one for"):
        drawn.on(draw(SMALL_CROSSBAR, 0))
    with np.load(tmp_path / "model.npz") as stored:
        arrays = dict(stored)
    np.savez(tmp_path / "cut.npz", **{name: array for name, array in arrays.items() if name != "adc_gain"})
    with pytest.raises(ValueError, match="adc_gain missing beside codes"):
        TrainedCrossbar.load(tmp_path / "cut.npz")
    np.savez(tmp_path / "none.npz", **{name: array for name, array in arrays.items() if name != "codes"})
    with pytest.raises(ValueError, match="either a seed of the macro or its measured conductances"):
        TrainedCrossbar.load(tmp_path / "none.npz")
    arrays["codes"] = arrays["codes"].copy()
    arrays["codes"][3, 3] ^= 1
    np.savez(tmp_path / "changed.npz", **arrays)
    with pytest.raises(ValueError, match="the readout was trained on"):
        _ = TrainedCrossbar.load(tmp_path / "changed.npz").conductances
