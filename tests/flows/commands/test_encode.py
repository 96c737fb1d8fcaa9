"""``liquidcal encode`` with every algorithm of the chip, on published sets and on small inputs made here."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from sim.hgcal_encoder.algorithms.concentrator import encode_words, load_chip_settings
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.files import vectors
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.learning.decoder import shipped_models
from sim.hgcal_encoder.spec import ECON_T, WordOrder
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import pack
from tests.conftest import need
from tests.flows.command_line import program
from tests.sim.hgcal_encoder.files.tables import production_table

ALGORITHMS = ("threshold sum", "super trigger cells", "best choice", "repeater", "autoencoder")


def published_sets(root: Path) -> list[tuple[Path, Path]]:
    """Folder of every set with its words, which lie beside it or above."""
    found = []
    for settings in sorted(root.rglob("init.yaml")):
        words = [folder / "testInput_bx0000-1781.csv" for folder in settings.parents]
        found.append((settings.parent, next(path for path in words if path.is_file())))
    return found


def test_every_published_set(econt_vectors: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All five algorithms, every word of every frame, through the command."""
    sets = published_sets(econt_vectors)
    need(len(sets) == 22, f"22 published sets, {econt_vectors} has {len(sets)}")
    seen = set()
    for folder, words in sets:
        out = tmp_path / "frames.csv"
        code, printed, error = program(
            capsys, "encode", "--words", words, "--settings", folder / "init.yaml", "--out", out, "--json"
        )
        assert (code, error) == (0, ""), folder
        result = json.loads(printed)
        assert (result["rows"], result["wrong_headers"]) == (1782, 0)
        seen.add(result["algorithm"])
        expected = vectors.read_frames(folder / "testOutput_bx0000-1781.csv")
        assert np.array_equal(vectors.read_frames(out), expected), folder
    assert seen == set(ALGORITHMS)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of settings for each algorithm in the production spelling, and words whose first row is mid-orbit."""
    folder = tmp_path_factory.mktemp("encode")
    rng = np.random.default_rng(4)
    weights = Weights.random(ECON_T, rng)
    weights.save(folder / "w.hex")
    for number in range(5):
        table = production_table(weights if number == 4 else None)
        table["ConfigAlgo"] = {"Global": {"alg_high_density": 0, "alg_type": number}}
        table["FormatterBuffer"] = {"Global": {"active_etxs": {1: 0x3, 3: 0x1FFF}.get(number, 0x7)}}
        (folder / f"{number}.yaml").write_text(yaml.safe_dump(table))
    words = pack(rng.integers(0, 128, (200, 48)), WordOrder.PRODUCTION, first_bx=3400)
    vectors.write_words(folder / "words.csv", words)
    return folder


@pytest.mark.parametrize("number", range(5))
def test_first_bunch_crossing(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], number: int) -> None:
    """The row that is crossing 3400 carries its counter; the orbit header in row 164 starts anew either way."""
    out = tmp_path / "o.csv"
    options = ["--words", inputs / "words.csv", "--settings", inputs / f"{number}.yaml", "--out", out]
    code, printed, error = program(capsys, "encode", *options, "--first-bx", 3400, "--json")
    assert (code, error) == (0, "")
    assert json.loads(printed)["algorithm"] == ALGORITHMS[number]
    chip, words = load_chip_settings(inputs / f"{number}.yaml"), vectors.read_words(inputs / "words.csv")
    if chip.algorithm is None:
        assert chip.weights is not None
        expected = Encoder(ECON_T, chip.weights, chip.settings).frames(words, 3400)
    else:
        expected = encode_words(chip.algorithm, chip.settings, words, 3400)
    found = vectors.read_frames(out)
    assert np.array_equal(found, expected)
    assert program(capsys, "encode", *options)[0] == 0
    uncounted = vectors.read_frames(out)
    if ALGORITHMS[number] == "autoencoder":
        # the counter is the top five bits of the first word: crossing modulo 16 ... and 31 at crossing 0 of an orbit
        assert (found[:2, 0] >> 27).tolist() == [3400 % 16, 3401 % 16]
        assert (uncounted[:2, 0] >> 27).tolist() == [31, 1]
        assert found[164, 0] >> 27 == 31
    if ALGORITHMS[number] != "repeater":
        assert (found[:160] != uncounted[:160]).any()
    if ALGORITHMS[number] != "threshold sum":
        # whose buffer is empty at the orbit's start or not, depending on the crossings before
        assert np.array_equal(found[164:], uncounted[164:])
    assert program(capsys, "encode", *options, "--first-bx", 3564)[0] == 2


def test_wrong_headers_are_reported_in_one_line(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The data path of the chip does not look at them, so the frames stay; the report names the first."""
    words, out = vectors.read_words(inputs / "words.csv"), tmp_path / "o.csv"
    options = ["--settings", inputs / "4.yaml", "--out", out, "--json"]
    program(capsys, "encode", "--words", inputs / "words.csv", *options)
    expected = vectors.read_frames(out)
    words[3, 5] = words[3, 5] & 0x0FFF_FFFF | 0x3000_0000
    words[9, 2] &= 0x0FFF_FFFF
    vectors.write_words(tmp_path / "bad.csv", words)
    code, printed, error = program(capsys, "encode", "--words", tmp_path / "bad.csv", *options)
    assert code == 0
    assert json.loads(printed)["wrong_headers"] == 2
    (line,) = error.splitlines()
    assert line.startswith(
        f"liquidcal: warning: {tmp_path / 'bad.csv'}: 2 of 2,400 words carry a header that no aligned link sends"
    )
    assert "first row 5, column RX_DATA_5: 0x3" in line
    assert np.array_equal(vectors.read_frames(out), expected)


def test_the_rtl_of_another_algorithm(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The hardware of a chip with this algorithm alone gives the frames of its model."""
    words = ["encode", "--words", inputs / "words.csv", "--settings", inputs / "3.yaml", "--first-bx", "17"]
    frames = []
    for engine in ("rtl", "numpy"):
        out = tmp_path / f"{engine}.csv"
        code, _, error = program(capsys, *words, "--engine", engine, "--out", out)
        assert code == 0, error  # the progress of a build stands there, too
        frames.append(vectors.read_frames(out))
    assert np.array_equal(*frames)
    assert frames[0].any()


def test_what_an_algorithm_does_not_have_is_refused(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, lacking = tmp_path / "o.csv", tmp_path / "lacking.toml"
    lacking.write_text(ConcentratorSpec(name="LACKING", algorithms=("repeater",)).to_toml())
    bare = tmp_path / "bare.yaml"
    table = production_table(None) | {"ConfigAlgo": {"Global": {"alg_high_density": 0, "alg_type": 4}}}
    bare.write_text(yaml.safe_dump(table))
    words = ["encode", "--words", inputs / "words.csv", "--out", out]
    for options, message in (
        (["--settings", inputs / "2.yaml", "--weights", inputs / "w.hex"], "selects best choice, which has none"),
        (["--settings", inputs / "2.yaml", "--level", "serial"], "use --words, --settings and --engine rtl"),
        (["--settings", inputs / "2.yaml", "--waves", tmp_path / "w.vcd"], "expected --level serial"),
        (["--settings", inputs / "2.yaml", "--chip", "ECON_T_PRODUCTION"], "use --words, --settings and --engine rtl"),
        (["--settings", inputs / "2.yaml", "--engine", "rtl", "--chip", "ECON_T"], "expected a concentrator"),
        (["--settings", inputs / "2.yaml", "--engine", "rtl", "--chip", lacking], "expected best_choice and words"),
        (["--settings", inputs / "4.yaml", "--engine", "rtl", "--chip", lacking], "expected autoencoder and words"),
        (["--settings", bare, "--engine", "rtl", "--level", "serial"], "carries no weights; add --weights"),
    ):
        code, printed, error = program(capsys, *words, *options)
        assert (code, printed) == (2, "")
        assert message in error
    assert not out.exists()


def test_multiplexer_of_a_model_or_of_settings(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Charges come onto the grid as a trained model carries it, or as settings say; a cut model is one line."""
    model = shipped_models()["econ_t_5elinks"]
    charges = np.random.default_rng(1).integers(0, 4000, (7, 48))
    header = ",".join(f"CALQ_{cell}" for cell in range(48))
    (tmp_path / "c.csv").write_text("\n".join([header, *(",".join(map(str, row)) for row in charges)]) + "\n")
    command = ["encode", "--charges", tmp_path / "c.csv", "--weights"]
    out = tmp_path / "o.csv"
    select = load_settings(inputs / "4.yaml", ECON_T)[0].select
    with np.load(model) as arrays:
        carried = arrays["multiplexer"]
    assert not np.array_equal(carried, select)
    for options, cells in (([], carried), (["--settings", inputs / "4.yaml"], select)):
        code, _, error = program(capsys, *command, model, *options, "--out", out)
        assert code == 0, error
        expected = Encoder(ECON_T, Weights.load(model, ECON_T)).latents(charges[:, cells])
        assert [list(map(int, line.split(","))) for line in out.read_text().splitlines()[1:]] == expected.tolist()
    out.unlink()
    cut, text = tmp_path / "cut.npz", tmp_path / "text.npz"
    cut.write_bytes(model.read_bytes()[:3000])
    text.write_text("weights\n")
    for file in (cut, text):
        for words in ([*command, file, "--out", out], ["generate", "ECON_T", "--weights", file, "--out", tmp_path]):
            code, printed, error = program(capsys, *words)
            assert (code, printed) == (2, "")
            (line,) = error.splitlines()
            assert line.startswith(f"liquidcal: {file}: ")
    assert not out.exists()
