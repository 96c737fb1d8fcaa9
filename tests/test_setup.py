"""Set-up takes the right Python and asks the right package manager: tried with programs that only answer."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY

TOOLS = ("awk", "bash", "cat", "cp", "dirname", "env", "id", "mkdir", "mv", "rm", "sed", "sh", "sort", "touch")


class Machine:
    """A copy of the scripts, and a PATH on which nothing is but what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.repository, self.bin, self.home = folder / "repository", folder / "bin", folder / "home"
        self.log = folder / "log"
        for made in (self.repository / "constraints", self.bin, self.home):
            made.mkdir(parents=True)
        shutil.copytree(REPOSITORY / "scripts", self.repository / "scripts")
        for python in ("3.11", "3.12", "3.13"):
            (self.repository / "constraints" / f"{python}.txt").touch()
        (self.repository / "pyproject.toml").touch()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        for tool in ("g++", "make", "perl", "sta"):
            self.program(self.bin / tool, "exit 0")
        self.program(self.bin / "uname", "echo Linux")
        self.environment: dict[str, str] = {}
        self.path = str(self.bin)

    def program(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    def python(
        self, path: Path, version: str, *, venv: bool = True, library: bool = True, prefix: str = "/opt"
    ) -> Path:
        """An interpreter that answers what set-up asks, and notes its pip."""
        return self.program(
            path,
            f"""
case "$1 $2" in
*executable*) echo "{version} $0" ;;
*find_library*) exit {1 if library else 0} ;;
*version_info*) echo "{version}" ;;
*ensurepip*) exit {0 if venv else 1} ;;
*base_prefix*) [ {prefix} = /usr ] ;;
"-m venv") mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip") [ "$3" != show ] || exit 1; echo "{version} $*" >> "{self.log}" ;;
*) exit 9 ;;
esac""",
        )

    def apt(self, then: str = "") -> None:
        self.program(self.bin / "apt-get", f'echo "apt-get $*" >> "{self.log}"\n{then}')
        self.program(self.bin / "sudo", 'shift\nexec "$@"')

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shutil.which("bash"), *arguments],
            cwd=self.repository,
            env={"PATH": self.path, "HOME": str(self.home), **self.environment},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def setup(self, python: str = "", stage: str = "core") -> subprocess.CompletedProcess[str]:
        return self.run("scripts/setup.sh", stage, python, ".venv")

    def noted(self) -> str:
        return self.log.read_text() if self.log.exists() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def installed(machine: Machine, python: str) -> None:
    """The last pip was that of `python`, with its own constraints, and the stage is marked."""
    last = machine.noted().splitlines()[-1]
    assert last.startswith(f"{python} -m pip install ")
    assert f" --constraint constraints/{python}.txt " in last
    assert (machine.repository / ".venv" / ".core").exists()


def test_the_newest_supported_python_is_taken(machine: Machine) -> None:
    for version in ("3.11", "3.13", "3.12", "3.14"):
        machine.python(machine.bin / f"python{version}", version)
    machine.python(machine.bin / "python3", "3.14")
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert "installing liquidcal into .venv on Python 3.13 " in done.stdout
    installed(machine, "3.13")


def test_no_script_pipes_into_a_reader_that_stops_early() -> None:
    """Under pipefail the writer's SIGPIPE ends such a script, and only on some days."""
    stops = re.compile(r"\|\s*(head\b|grep\b[^|]*\s-\w*[qm]|sed\s[^|]*\d*q\b|awk\s[^|]*\bexit\b)")
    assert stops.search("pythons.sh | head -n 1")
    scripts = [path for path in (*REPOSITORY.glob("scripts/*.sh"), REPOSITORY / ".ci" / "run") if path.is_file()]
    found = [f"{path.name}: {line}" for path in scripts for line in path.read_text().splitlines() if stops.search(line)]
    assert scripts
    assert not found


def test_python3_counts_whatever_its_version(machine: Machine) -> None:
    machine.python(machine.bin / "python3", "3.12")
    assert machine.setup().returncode == 0
    installed(machine, "3.12")


def test_a_shim_without_a_python_after_it_is_passed_over(machine: Machine) -> None:
    machine.program(machine.bin / "python3.13", 'echo "pyenv: python3.13: command not found" >&2\nexit 127')
    machine.python(machine.bin / "python3.12", "3.12")
    assert machine.setup().returncode == 0
    installed(machine, "3.12")


def test_the_true_program_after_a_shim_is_found(machine: Machine, tmp_path: Path) -> None:
    machine.program(machine.bin / "python3.13", "exit 127")
    machine.python(tmp_path / "second" / "python3.13", "3.13")
    machine.path += f":{tmp_path / 'second'}"
    assert machine.setup("python3.13").returncode == 0
    installed(machine, "3.13")


def test_what_pyenv_holds_without_having_selected_it_counts(machine: Machine) -> None:
    machine.program(machine.bin / "python3.13", "exit 127")
    machine.python(machine.home / ".pyenv" / "versions" / "3.13.0" / "bin" / "python3.13", "3.13")
    assert machine.setup().returncode == 0
    installed(machine, "3.13")


def test_who_calls_chooses(machine: Machine, tmp_path: Path) -> None:
    machine.python(machine.bin / "python3.13", "3.13")
    other = machine.python(tmp_path / "a folder" / "python", "3.11")
    assert machine.setup(str(other)).returncode == 0
    installed(machine, "3.11")
    done = machine.setup("python3.13")
    assert done.returncode == 2
    assert ".venv has 3.11, PYTHON=python3.13 is 3.13: remove .venv (make clean)" in done.stderr


@pytest.mark.parametrize("asked", ["", "python3", "python3.12"])
def test_an_unsupported_python_is_told_with_what_was_expected(machine: Machine, asked: str) -> None:
    machine.python(machine.bin / "python3", "3.10")
    machine.apt()
    done = machine.setup(asked)
    assert done.returncode == 2
    found = "no Python that runs as python3.12" if asked == "python3.12" else f"3.10 ({machine.bin / 'python3'})"
    assert f"liquidcal setup: expected Python 3.11, 3.12 or 3.13, found {found}. Install one" in done.stderr
    assert machine.noted() == ""


def test_debian_is_asked_for_what_is_missing(machine: Machine) -> None:
    for tool in ("g++", "perl", "sta"):
        (machine.bin / tool).unlink()
    machine.python(machine.bin / "python3", "3.13", venv=False, prefix="/usr")
    machine.apt()
    done = machine.setup(stage="full")
    assert done.returncode == 0, done.stderr
    update, install = machine.noted().splitlines()[:2]
    assert update == "apt-get update -qq"
    assert install == "apt-get install -y -qq g++ perl opensta espeak-ng python3.13-venv"
    assert "installing Debian packages: g++ perl opensta espeak-ng python3.13-venv" in done.stdout


def test_a_bare_debian_gets_its_own_python(machine: Machine, tmp_path: Path) -> None:
    ready = machine.python(tmp_path / "ready", "3.13")
    machine.apt(f'[ "$1" != install ] || cp {ready} {machine.bin / "python3"}')
    done = machine.setup()
    assert done.returncode == 0, done.stderr
    assert "apt-get install -y -qq python3 python3-venv" in machine.noted()
    installed(machine, "3.13")


def test_debians_python_gets_its_library(machine: Machine) -> None:
    """cocotb loads it into the simulator, and Debian's python3 does without."""
    machine.python(machine.bin / "python3.13", "3.13", library=False, prefix="/usr")
    machine.apt()
    assert machine.setup().returncode == 0
    assert "apt-get install -y -qq libpython3.13" in machine.noted()
    installed(machine, "3.13")


def test_what_apt_refuses_is_told_by_name(machine: Machine) -> None:
    (machine.bin / "g++").unlink()
    machine.python(machine.bin / "python3", "3.13")
    machine.apt("exit 100")
    done = machine.setup()
    assert done.returncode == 2
    assert "could not install: g++. Install them (apt-get install g++) and run make again" in done.stderr
    assert not (machine.repository / ".venv").exists()


def test_macos_is_never_asked_for_apt(machine: Machine) -> None:
    for tool in ("g++", "sta"):
        (machine.bin / tool).unlink()
    machine.python(machine.bin / "python3.13", "3.13")
    machine.program(machine.bin / "uname", "echo Darwin")
    machine.apt()  # Fink has one
    done = machine.setup(stage="full")
    assert done.returncode == 2
    assert "missing: g++. On macOS run xcode-select --install" in done.stderr
    assert "OpenSTA (program sta) is missing" in done.stdout
    assert machine.noted() == ""
    machine.program(machine.bin / "g++", "exit 0")
    assert machine.setup(stage="full").returncode == 0
    assert "apt-get" not in machine.noted()


def test_without_apt_the_missing_tools_are_named(machine: Machine) -> None:
    (machine.bin / "perl").unlink()
    machine.python(machine.bin / "python3.13", "3.13")
    done = machine.setup()
    assert done.returncode == 2
    assert "missing: perl. There is no apt here" in done.stderr


def test_a_python_without_venv_that_is_not_debians_is_told(machine: Machine) -> None:
    machine.python(machine.bin / "python3.13", "3.13", venv=False)
    machine.apt()
    done = machine.setup()
    assert done.returncode == 2
    assert "lacks the modules ensurepip and venv: choose another with PYTHON=" in done.stderr
    assert machine.noted() == ""


# ------------------------------------------------------------------------------------------ the quick part of the gate
@pytest.mark.parametrize(
    ("there", "suite", "chosen", "ran"),
    [
        (("3.11", "3.12", "3.13"), "3.13", None, ["3.11"]),
        (("3.11", "3.12", "3.13"), "3.12", None, ["3.13", "3.11"]),
        (("3.12", "3.13"), "3.12", None, ["3.13"]),
        (("3.13",), "3.13", None, []),
        (("3.11", "3.12", "3.13"), "3.13", "", []),
        (("3.11", "3.12", "3.13"), "3.13", "python3.12", ["3.12"]),
    ],
)
def test_oldest_and_newest_are_tried_beside_the_suites_own(
    machine: Machine, there: tuple[str, ...], suite: str, chosen: str | None, ran: list[str]
) -> None:
    for version in there:
        path = machine.python(machine.bin / f"python{version}", version)
        text = path.read_text().replace(
            '"-m pip")', f'"-m pytest") echo "{version} pytest" >> "{machine.log}" ;;\n"-m pip")'
        )
        path.write_text(text)
    machine.python(machine.repository / "suite" / "python", suite)
    if chosen is not None:
        machine.environment["LIQUIDCAL_PYTHONS"] = chosen
    done = machine.run("scripts/test_pythons.sh", "suite")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in machine.noted().splitlines() if line.endswith(" pytest")] == ran
    last = done.stdout.splitlines()[-1]
    if ran:
        assert last == f"whole suite on Python {suite}, quick part on: {' '.join(ran)}"
    elif chosen == "":
        assert last == f"Python {suite} only: LIQUIDCAL_PYTHONS is empty"
    else:
        assert last == f"Python {suite} only: no second supported one was found"


def test_a_python_that_is_asked_for_must_be_there(machine: Machine) -> None:
    machine.python(machine.repository / "suite" / "python", "3.13")
    machine.environment["LIQUIDCAL_PYTHONS"] = "python3.12"
    done = machine.run("scripts/test_pythons.sh", "suite")
    assert done.returncode == 2
    assert "LIQUIDCAL_PYTHONS=python3.12 names a Python that is not supported or not there" in done.stderr


def test_the_quick_part_names_real_tests() -> None:
    text = (REPOSITORY / "scripts" / "test_pythons.sh").read_text()
    names = text.partition("\ntests='")[2].partition("'")[0].split()
    assert len(names) > 5
    for name in names:
        assert (REPOSITORY / name.partition("::")[0]).exists(), name
    for folder in ("tests/sim/", "tests/hw/", "tests/flows/"):
        assert any(name.startswith(folder) for name in names)


def test_the_check_of_the_wheel_and_the_templates_name_what_exists() -> None:
    """Tests of every chip, scripts and make targets; YAML that its services can read; no registry by name."""
    text = (REPOSITORY / "scripts" / "check_wheel.sh").read_text()
    names = text.partition("\ntests='")[2].partition("'")[0].split()
    assert all((REPOSITORY / name).is_file() for name in names)
    for chip in ("hgcal_encoder", "lsm_crossbar", "astrocyte_liquid", "network"):
        assert any(f"/{chip}/" in name for name in names)
    makefile = (REPOSITORY / "Makefile").read_text()
    for file in ("github.yml", "gitlab.yml"):
        template = (REPOSITORY / "ci" / file).read_text()
        found = yaml.safe_load(template)
        jobs = found["jobs"] if "jobs" in found else {name for name in found if name != "default"}
        assert set(jobs) == {"gate", "wheel", "documentation", "own-design"}
        assert "://" not in template
        for target in re.findall(r"make (\w+)$", template, flags=re.M):
            assert re.search(rf"^{target}:", makefile, flags=re.M), target
        for script in re.findall(r"scripts/\w+\.\w+", template):
            assert (REPOSITORY / script).is_file(), script


def test_the_wheel_needs_nothing_that_it_leaves_behind() -> None:
    """hatchling packs the named folders less what git ignores; whatever they import or open has to be among it."""
    packages = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert packages == {"packages": ["hw", "sim", "flows", "liquidcal"]}
    files = [
        path for name in packages["packages"] for path in (REPOSITORY / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]  # fmt: skip
    assert len(files) > 500
    names = "\n".join(str(path.relative_to(REPOSITORY)) for path in files)
    ignored = subprocess.run(
        ["git", "check-ignore", "--stdin"], input=names, cwd=REPOSITORY, capture_output=True, text=True
    )  # fmt: skip
    assert ignored.stdout == ""
    outside = re.compile(r"^\s*(?:from|import) (tests|benchmarks|examples|scripts)\b", re.M)
    for path in files:
        if path.suffix == ".py":
            text = path.read_text()
            assert not outside.search(text), path
            # no path from a file of ours upwards ends above the folder that holds the packages
            ups = [int(up) for up in re.findall(r"Path\(__file__\)(?:\.resolve\(\))?\.parents\[(\d+)\]", text)]
            assert max(ups, default=0) < len(path.relative_to(REPOSITORY).parts), path


def test_scripts_are_executable_and_keep_to_the_bash_of_macos() -> None:
    """Version 3.2: no associative arrays, no `mapfile`, no `${x,,}`, no `&>>`."""
    for path in (REPOSITORY / "scripts").glob("*.sh"):
        assert os.access(path, os.X_OK), path
        text = path.read_text()
        for word in ("declare -A", "mapfile", "readarray", "local -n", ",,}", "^^}", "&>>", "|&"):
            assert word not in text, f"{path}: {word}"
