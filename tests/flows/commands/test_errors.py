"""Whatever goes wrong is one line and an exit code: places checked first, no traceback, no value at full length."""

import errno
import os
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import yaml
from amaranth.hdl import UnusedElaboratable

from flows.cli import one_line
from flows.commands.lazy import COMMANDS
from sim.files import replacing
from sim.hgcal_encoder.files import vectors
from sim.hgcal_encoder.spec import ECON_T, WordOrder
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import pack
from tests.conftest import need
from tests.flows.command_line import program
from tests.sim.hgcal_encoder.files.tables import production_table


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    vectors.write_words(tmp_path / "words.csv", pack(rng.integers(0, 128, (20, 48)), WordOrder.PRODUCTION))
    table = production_table(Weights.random(ECON_T, rng))
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(table))
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The one line of a command that is refused."""
    code, printed, error = program(capsys, *arguments)
    assert (code, printed) == (2, ""), error
    (line,) = error.splitlines()
    assert line.startswith("liquidcal: ")
    assert len(line) < 1100
    return line.removeprefix("liquidcal: ")


def settings_texts(good: str) -> dict[str, tuple[str, str]]:
    """Name of a settings file: its text, and what the line says of it."""
    bomb = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 8)]
    return {
        "deep.yaml": ("[" * 5000 + "]" * 5000, "nested deeper than 50 levels"),
        "bomb.yaml": ("\n".join([*bomb, "Mux: {0: *a7}", "ConfigAlgo: {}"]), "unknown section 'a0'"),
        "value.yaml": (
            good.replace("alg_high_density: 0", f"alg_high_density: {'x' * 5000}"),
            "expected an integer, got",
        ),
        "twice.yaml": (good + "\nCal: {0: 1}\n", "'Cal' occurs twice in one table"),
        "key.yaml": (good.replace("alg_type", "alg_tpye"), "ConfigAlgo: unknown 'alg_tpye'; expected alg_high_density"),
        "huge.yaml": (
            good.replace("alg_high_density: 0", f"alg_high_density: {'9' * 5000}"),
            "expected an integer that fits",
        ),
        "wide.yaml": (
            good.replace("keep_auto_encoder_bits: 255", f"keep_auto_encoder_bits: {1 << 150}"),
            "keep_mask: expected",
        ),
    }


def test_settings_files_that_are_wrong(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = settings_texts((inputs / "s.yaml").read_text())
    for name, (text, message) in texts.items():
        (inputs / name).write_text(text)
        out = inputs / "o.csv"
        line = refused(capsys, "encode", "--words", inputs / "words.csv", "--settings", inputs / name, "--out", out)
        assert line.startswith(f"{inputs / name}: "), line
        assert message in line
        assert len(line) < 600
        assert not out.exists()


def test_marks_of_spreadsheets_are_read(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A UTF-8 byte order mark and Windows line ends change nothing."""
    text = (inputs / "words.csv").read_text()
    (inputs / "bom.csv").write_bytes(("\ufeff" + text).replace("\n", "\r\n").encode())
    for name in ("words", "bom"):
        options = ["--words", inputs / f"{name}.csv", "--settings", inputs / "s.yaml", "--out", inputs / f"{name}.out"]
        assert program(capsys, "encode", *options)[0] == 0
    assert (inputs / "words.out").read_bytes() == (inputs / "bom.out").read_bytes()


def test_an_output_is_never_an_input(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inputs / "link.csv").symlink_to(inputs / "words.csv")
    before = {path.name: path.read_bytes() for path in inputs.iterdir()}
    options = ["encode", "--words", inputs / "words.csv", "--settings", inputs / "s.yaml", "--out"]
    for name in ("words.csv", "s.yaml", "link.csv"):
        assert refused(capsys, *options, inputs / name).startswith(f"{inputs / name} is an input of this command")
    (inputs / "m.h5").write_bytes(b"\x89HDF")
    assert "is an input" in refused(capsys, "convert", inputs / "m.h5", "--out", inputs / "m.h5")
    (inputs / "m.h5").unlink()
    assert {path.name: path.read_bytes() for path in inputs.iterdir()} == before


def test_places_are_checked_before_work(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder, a folder in place of a file, a file in place of a folder: said at once, in the user's name of it."""
    monkeypatch.chdir(inputs)
    words = ["encode", "--words", "words.csv", "--settings", "s.yaml", "--out"]
    assert refused(capsys, *words, "nodir/o.csv") == "nodir/o.csv: there is no folder nodir"
    assert refused(capsys, *words, ".") == ". is a folder; name a file to write"
    assert refused(capsys, *words, "s.yaml/o.csv") == "s.yaml/o.csv: s.yaml is no folder"
    # inputs that are not there are not looked for: the place comes first
    assert refused(capsys, "convert", "no.h5", "--out", "nodir/x.npz") == "nodir/x.npz: there is no folder nodir"
    assert "there is no folder nodir" in refused(capsys, "pools", "minbias", "--out", "nodir/pool.npz")
    for command in (
        ["generate", "ECON_T"], ["train", "--charges", "no.csv"], ["synth", "ECON_T"], ["verify", "ECON_T"],
        ["freeze", "ECON_T", "econ_t_5elinks"], ["flow", "ECON_T"], ["demo"], ["sensitivity"],
    ):  # fmt: skip
        assert refused(capsys, *command, "--out", "s.yaml") == "s.yaml is no folder"
    assert refused(capsys, "export", "ECON_T", "--to", "s.yaml") == "s.yaml is no folder"
    assert sorted(os.listdir()) == ["s.yaml", "words.csv"]


def test_a_design_is_named_alike_everywhere(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--preset NAME`` for every command that works on a design; by place where the design is what it works on."""
    expected = "no preset and no TOML file named 'ECON_X'"
    for command in (["synth"], ["place"], ["time"], ["cost"], ["campaign", "--scheme", "none"], ["report"], ["power"]):
        for name in (["--preset", "ECON_X"], ["--preset=ECON_X"], ["ECON_X"]):
            assert refused(capsys, *command, *name, "--out", inputs / "r").startswith(expected), command
    assert refused(capsys, "encode", "--preset", "ECON_X", "--out", inputs / "o.csv").startswith(expected)
    assert refused(capsys, "synth", "--preset").startswith("--preset: expected a design after it")
    assert refused(capsys, "synth", "ECON_T", "--preset", "ECON_X").startswith("Got unexpected extra argument")
    with_long = refused(capsys, "synth", "ECON_T", "--scheme", "x" * 5000)
    assert "x..." in with_long
    assert len(with_long) < 400


def test_a_folder_that_cannot_be_written_to(inputs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need(os.geteuid() != 0 or not os.access("/proc/self", os.W_OK), "a folder that nobody may write to")
    line = refused(
        capsys, "encode", "--words", inputs / "words.csv", "--settings", inputs / "s.yaml", "--out", "/proc/self/o.csv"
    )
    assert line == "/proc/self/o.csv: no permission to write into /proc/self"


def test_a_full_disk_is_said_as_such(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full is a disk without room: what is written through `replacing` names the file, not its temporary one."""
    out = inputs / "o.csv"
    full = os.open("/dev/full", os.O_WRONLY)

    def onto_full_disk(descriptor: int, *_: object, **__: object) -> object:
        os.dup2(full, descriptor)
        return real(descriptor, "w", encoding="utf-8")

    real = os.fdopen
    monkeypatch.setattr("sim.files.os.fdopen", onto_full_disk)
    line = refused(capsys, "encode", "--words", inputs / "words.csv", "--settings", inputs / "s.yaml", "--out", out)
    assert line == f"{out}: the disk is full"
    assert sorted(path.name for path in inputs.iterdir()) == ["s.yaml", "words.csv"]
    os.close(full)


def test_replacing_names_the_file_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error, replacing(tmp_path / "none" / "x.csv"):
        pass
    assert error.value.filename == str(tmp_path / "none" / "x.csv")
    assert one_line(error.value) == f"{tmp_path / 'none' / 'x.csv'}: no such file or directory"
    assert one_line(OSError(errno.ENOSPC, "No space left on device")) == "the disk is full"
    assert len(one_line(ValueError("x" * 5000))) == 1000
    assert one_line(ValueError("two\nlines")) == "two lines"


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["encode"], "Missing option '--out'. (liquidcal encode --help)"),
        (["encode", "--out", "x", "--engine", "abacus"], "Invalid value for '--engine'"),
        (["no-such-command"], "No such command 'no-such-command'"),
        (["evaluate", "hgcal_encoder", "--elinks", "14"], "(liquidcal evaluate hgcal_encoder --help)"),
        (["evaluate", "hgcal_encoder", "--search", "9", "--ideal-charges"], "--search needs words or charges sent as"),
    ):
        assert message in refused(capsys, *words)


def test_hardware_that_an_interrupted_run_left_unused_is_no_news(capsys: pytest.CaptureFixture[str]) -> None:
    """Amaranth warns of it when Python drops it, which is after the command has ended."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.warn("a part", UnusedElaboratable, stacklevel=1)
        program(capsys, "--version")
        warnings.warn("a part", UnusedElaboratable, stacklevel=1)
    assert len(seen) == 1


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert program(capsys, "--version") == (0, f"liquidcal {metadata.version('liquidcal')}\n", "")
    code, printed, error = program(capsys)
    assert code == 2
    assert "encode" in printed + error
    code, printed, _ = program(capsys, "--help")
    assert code == 0
    for option in ("--version", "--debug"):
        assert option in printed


@pytest.mark.parametrize(
    ("line", "at", "offered"), [("liquidcal sy", 1, "synth"), ("liquidcal synth --clock-g", 2, "--clock-gating")]
)
def test_shell_completion(line: str, at: int, offered: str) -> None:
    """What the script that --install-completion installs asks, and gets."""
    asked = {"_LIQUIDCAL_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(at)}
    answer = subprocess.run(
        [sys.executable, "-c", "from flows.cli import main; main()"], env=os.environ | asked, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert offered in answer.stdout.split(), answer.stderr


def test_help_imports_no_command() -> None:
    """Nor the libraries of hardware and models, which take most of a second."""
    code = (
        "import sys; sys.argv = ['liquidcal', '--help']\n"
        "from flows.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'numpy', 'amaranth', 'flows.commands.synth'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_debug_shows_where(inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An expected error stays short without it; a fault of the program itself has its own exit code."""
    words = ["encode", "--words", inputs / "no.csv", "--settings", inputs / "s.yaml", "--out", inputs / "o.csv"]
    assert refused(capsys, *words) == f"no file at {inputs / 'no.csv'}"
    code, _, error = program(capsys, "--debug", *words)
    assert code == 2
    assert "Traceback (most recent call last)" in error
    assert error.splitlines()[-1] == f"liquidcal: no file at {inputs / 'no.csv'}"

    def fault(_: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(vectors, "read_words", fault)
    words[2] = inputs / "words.csv"
    code, _, error = program(capsys, *words)
    assert code == 3
    (line,) = error.splitlines()
    assert (
        line == "liquidcal: a fault of liquidcal, please report it: KeyError: 'lost'; liquidcal --debug ... shows where"
    )
    code, _, error = program(capsys, "--debug", *words)
    assert code == 3
    assert "in fault" in error


def test_out_of_memory_and_interrupts(
    inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["encode", "--words", inputs / "words.csv", "--settings", inputs / "s.yaml", "--out", inputs / "o.csv"]
    for error, code, line in ((MemoryError(), 2, "liquidcal: not enough memory\n"), (KeyboardInterrupt(), 130, "")):

        def stop(_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(vectors, "read_words", stop)
        assert program(capsys, *words) == (code, "", line)


def test_every_command_is_the_same_program(capsys: pytest.CaptureFixture[str]) -> None:
    """A design that is not there is one line in whichever command."""
    assert len(COMMANDS) >= 20
    for name in COMMANDS:
        words = {"export": ["--to", "x"], "sweep": ["--axis", "seed=1", "--measure", "area"]}.get(name, [])
        if name in ("demo", "pools", "train", "encode", "convert", "evaluate", "nir"):
            continue
        words = [
            *words,
            *(
                {"freeze": ["econ_t_5elinks"], "campaign": ["--scheme", "none"], "transfer": ["--out", "x"]}.get(
                    name, []
                )
            ),
        ]
        assert "NO_SUCH" in refused(capsys, name, "NO_SUCH", *words)
