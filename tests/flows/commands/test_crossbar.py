"""`liquidcal generate`, `verify` and `synth` on a crossbar chip: files, exit codes, one-line errors."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from flows.designs.encoder_files import Generated
from sim.lsm_crossbar.example_specs import campaign_spec
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.macro_model.measured_file import write_measured
from sim.lsm_crossbar.spec import CrossbarSpec
from tests.flows.command_line import liquidcal, program
from tests.flows.conftest import library_or_skip

SPEC = campaign_spec()


@pytest.fixture(scope="module")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "campaign.toml"
    path.write_text(SPEC.to_toml())
    return path


def test_generate_writes_both_variants_and_the_conductances(spec_file: Path, tmp_path: Path) -> None:
    done = liquidcal("generate", spec_file, "--out", tmp_path, "--seed", "3", "--json")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / SPEC.name
    assert json.loads(done.stdout)["files"] == sorted(path.name for path in folder.iterdir())
    (image,) = folder.glob("*.mem")
    assert read_conductances(image).sha256 == draw(SPEC, 3).sha256
    text = (folder / f"{SPEC.name}.v").read_text()
    assert f'$readmemh("{image.name}"' in text
    asic = (folder / f"{SPEC.name}_asic.v").read_text()
    boxes = (folder / f"{SPEC.name}_asic_black_boxes.v").read_text()
    for box in ("macro_box", "weight_memory_box"):
        assert f"{SPEC.name}_asic_{box} " in asic
        assert f"module {SPEC.name}_asic_{box} (" in boxes
    assert CrossbarSpec.from_toml((folder / "spec.toml").read_text()) == SPEC
    with (folder / "ports.csv").open(newline="") as file:
        ports = {row["name"]: int(row["width"]) for row in csv.DictReader(file)}
    assert ports["spikes"] == SPEC.neurons
    assert ports["i_events__payload"] == SPEC.row_bits + 1
    assert json.loads((folder / "design.json").read_text())["seed"] == 3


def test_generate_writes_measured_conductances(
    spec_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The codes of the Verilog's memory are those of the file; what has a seed beside it is refused."""
    measured = np.random.default_rng(2).uniform(0, SPEC.g_max_us, (SPEC.rows, SPEC.columns))
    write_measured(tmp_path / "chip.csv", measured)
    command = ("generate", spec_file, "--out", tmp_path, "--conductances", tmp_path / "chip.csv")
    code, _, error = program(capsys, *command)
    assert code == 0, error
    folder = tmp_path / SPEC.name
    (image,) = folder.glob("*.mem")
    assert json.loads((folder / "design.json").read_text())["seed"] is None
    assert f'$readmemh("{image.name}"' in (folder / f"{SPEC.name}.v").read_text()
    step = SPEC.g_max_us / ((1 << SPEC.conductance_bits) - 1)
    assert (read_conductances(image).codes == np.rint(measured / step)).all()
    code, _, error = program(capsys, *command, "--seed", "1")
    assert (code, "expected neither --seed nor --weights" in error) == (2, True)
    code, _, error = program(capsys, "generate", "ECON_T", "--out", tmp_path, "--conductances", tmp_path / "chip.csv")
    assert (code, "ECON_T takes none" in error) == (2, True)


def test_seed_changes_conductances_and_nothing_else_in_the_digital_part(tmp_path: Path) -> None:
    from flows.designs.crossbar_files import generate

    first, second = (generate(SPEC, tmp_path / str(seed), draw(SPEC, seed)) for seed in (1, 2))
    assert isinstance(first, Generated)
    names = [{path.name for path in made.files} for made in (first, second)]
    assert {name for name in names[0] ^ names[1] if not name.endswith(".mem")} == set()
    assert len(names[0] - names[1]) == 1
    stem = f"{SPEC.name}_asic.v"
    assert (first.directory / stem).read_text() == (second.directory / stem).read_text()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("generate", "N_MNIST", "--settings", "x.yaml"), "--settings are those of ECON_T"),
        (("generate", "ECON_T", "--seed", "1"), "an encoder has none"),
        (("verify", "N_MNIST", *(f"--{name}=x" for name in ("words", "settings", "frames"))), "are for an encoder"),
        (("verify", "ECON_T", "--words", "x.csv"), "published vectors need all of --words"),
        (("verify", "ECON_T", "--recordings", "x"), "are for a crossbar"),
        (("verify", "ECON_T", "--scheme", "secded"), "ECON_T_secded_direct has no bench of its own here"),
        (("verify", "SMART_PIXEL", "--loading", "direct", "--reuse", "2"), "expected 1 for a network behind I2C"),
        (("verify", "N_MNIST", "--recordings", "no_such_folder"), "no_such_folder"),
        (("fpga", "ECON_T", "--macro-seed", "1"), "ECON_T: no macro is emulated on an FPGA"),
        (("flow", "N_MNIST", "--seed=-1"), "seed: expected a number of at least 0, got -1"),
        (("synth", "NOTHING"), "no preset and no TOML file named 'NOTHING'"),
    ],
)
def test_bad_input_ends_with_2(
    arguments: tuple[str, ...], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, error = program(capsys, *arguments, "--out", tmp_path)
    assert code == 2, out + error
    assert text in " ".join(error.split())
    assert "Traceback" not in error


def test_verify_reports_every_check(spec_file: Path, tmp_path: Path) -> None:
    done = liquidcal(
        "verify", spec_file, "--out", tmp_path, "--crossings", "300", "--mutants", "0", "--random-specs", "0",
        "--no-proofs", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["passed"]
    assert [check["unit"] for check in result["checks"]] == ["steps", "steps"]
    assert min(check["compared"] for check in result["checks"]) >= 200
    assert (tmp_path / SPEC.name / "verification_metrics.json").is_file()


def test_synthesis_counts_the_digital_part(spec_file: Path, tmp_path: Path) -> None:
    library_or_skip("osu018")
    done = liquidcal("synth", spec_file, "--out", tmp_path, "--library", "osu018", "--json")
    assert done.returncode == 0, done.stderr
    metrics = {metric["name"]: metric for metric in json.loads(done.stdout)["metrics"]}
    assert metrics["design__black_box__count"]["value"] == 2
    assert "macro_box" in metrics["design__black_box__count"]["method"]
    assert metrics["design__instance_unmapped__count"]["value"] == 0
    # by the specification: potentials, refractory counters, counts and spikes of the neurons, rows, collected events
    state = SPEC.neurons * (SPEC.membrane_width + SPEC.refractory_width + SPEC.count_width + 1)
    state += SPEC.used_rows + SPEC.inputs + SPEC.outputs * SPEC.score_width
    assert metrics["design__instance__count__class:flip_flop"]["value"] > state
    assert metrics["design__flip_flop__count__module:CAMPAIGN_counter"]["value"] == SPEC.neurons * SPEC.count_width


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("g_max_us", "inf", "g_max_us: expected a positive number, 1e-15 to 1e+15, got inf"),
        ("g_max_us", '"20"', "g_max_us: expected a positive number, 1e-15 to 1e+15, got '20'"),
        ("name", "5", "name must be an identifier (it names files and modules), got 5"),
        ("name", '"module"', "name: module is a word of Verilog and cannot name a module"),
        ("log_mean", '"2.5"', "device.log_mean: expected the logarithm of a conductance in uS, -30 to 30, got '2.5'"),
        ("log_mean", "nan", "device.log_mean: expected the logarithm of a conductance in uS, -30 to 30, got nan"),
        ("stuck_on", "true", "device.stuck_on: expected a fraction of cells, 0 to 1, got True"),
    ],
)
def test_a_wrong_spec_is_one_line_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], field: str, value: str, message: str
) -> None:
    text = re.sub(rf"^{field} = .*$", f"{field} = {value}", SPEC.to_toml(), flags=re.MULTILINE)
    (tmp_path / "s.toml").write_text(text)
    code, out, error = program(capsys, "generate", tmp_path / "s.toml", "--out", tmp_path / "out")
    assert (code, out, error) == (2, "", f"liquidcal: {tmp_path / 's.toml'}: {message}\n")
    assert not (tmp_path / "out").exists()


def test_options_of_an_association_chip_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["power", "N_MNIST", "--modality", "vision"], "--modality: N_MNIST is not asked by sight or by sound"),
        (["flow", "N_MNIST", "--clips", str(tmp_path)], "those of a chip that learns; N_MNIST does not"),
        (["flow", "DIGITS_8BIT", "--conductances", "x.csv"], "--conductances are those of the macro of a crossbar"),
    ):
        code, _, err = program(capsys, *arguments, "--out", str(tmp_path / "out"))
        assert code == 2
        assert message in err
    assert not (tmp_path / "out").exists()
