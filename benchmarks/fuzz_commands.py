"""Every command with arguments that nothing can mean: ``python -m benchmarks.fuzz_commands [COMMAND ...]``.

An argument list is drawn from what a command itself says that it takes: its arguments and options, good values for
some, and one to three bad ones: text for a number, a number beyond any machine's, files that are missing, damaged
(`benchmarks.fuzz`) or folders, names that do not exist, a value that is left out, an option that there is not. The
program then has to end with 2 (or 1, where a gate failed) and one line on standard error, and to leave no file behind.
Anything else is counted: a traceback, a fault of liquidcal (3), more than one line or a long one, a crash, more than
120 s, more than 1 GiB, a file; and a list that is accepted with a value that nothing can mean.

A list may be good by luck, or its bad value be one that the command does not need: then work would begin. It is ended
when the first program starts, or after 3 s of processor time, and counted by itself.

Each list runs in a fork of a process that has imported all commands. Method as `benchmarks.fuzz`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import multiprocessing.util
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.fuzz import READERS, Tried, confine, damaged, forked
from benchmarks.measured import RESULTS, kept, record
from flows.cli import MOST_LETTERS, main
from flows.commands.lazy import COMMANDS, load
from flows.common.metrics import write_metrics

__all__ = ["OUTCOMES", "call", "command_lines", "tried"]

COMMAND = "python -m benchmarks.fuzz_commands"
RESULT = RESULTS / "fuzz_commands.json"
SECONDS, CPU_SECONDS = 120.0, 3
OUTCOMES = ("refused", "begun", "crash", "traceback", "lines", "hang", "memory", "left", "accepted")
"""Refused in one line; work began; and faults: the last is a list with a value that nothing can mean, and exit code 0.
"""
FAULTS = OUTCOMES[2:]
_BEGUN = 77
"""Exit code of a fork that was about to start a program."""
_NUMBERS = ("x", "", "1e999", "nan", "9" * 400, "0x10", "1,5", "--", "\u0663\u0663", "1 2", "None")
_TEXTS = ("no_such_name", "", "x" * 5000, "a\nb", "\u2603", "/", "=", ",", "area,", "a=1:2", "../..", "ECON_T.toml")
_MISSING = ("missing", "missing/file.csv", "", "no\nname", "x" * 300, "inputs", "/dev/null", "\u2603.csv")
_NEVER = {"x", "1e999", "nan", "9" * 400, "0x10", "1,5", "1 2", "None", "no_such_name", "missing", "missing/file.csv"}
"""Bad values that no command may accept where it asks for a number, a choice or a file to read."""
_OUTPUTS = {"out", "to", "table", "tensorboard"}
"""Parameters that name what is written."""


# ---- lists -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Line:
    """An argument list.

    Attributes
    ----------
    words : tuple of str
        Behind ``liquidcal``.
    never : bool
        Whether it has a value that nothing can mean.
    """

    words: tuple[str, ...]
    never: bool


def command_lines() -> dict[str, tuple[tuple[str, ...], Any]]:
    """Words and click's description of every command and sub-command, by its name with blanks."""
    found = {}
    for name in COMMANDS:
        command = load(name)
        if any(
            parameter.name != "help" for parameter in command.params
        ):  # else a name for sub-commands, which shows help
            found[name] = ((name,), command)
        for sub, inner in getattr(command, "commands", {}).items():
            found[f"{name} {sub}"] = ((name, sub), inner)
    return found


def _inputs(folder: Path) -> dict[str, list[str]]:
    """Good values by the name of a parameter; the files are made."""
    made = {}
    for reader in ("words_csv", "settings_yaml", "weights_npz", "charges_csv", "spec_encoder", "spec_crossbar"):
        place = folder / reader
        place.mkdir()
        made[reader] = str(READERS[reader].samples[0](place))
    return {
        "words": [made["words_csv"]], "settings": [made["settings_yaml"]], "charges": [made["charges_csv"]],
        "weights": [made["weights_npz"]], "out": ["out"], "model": ["econ_t_5elinks", made["weights_npz"]],
        "preset": ["ECON_T", "N_MNIST", "NALSM_216", "JET_TAGGER", made["spec_encoder"], made["spec_crossbar"]],
        "process": ["minbias"], "axis": ["reuse=1,2"], "measure": ["area"],
    }  # fmt: skip


def _kind(parameter: Any) -> Any:
    annotation = parameter.type_descriptor.annotation
    arguments = getattr(annotation, "__args__", ())
    return next((a for a in arguments if a is not type(None)), annotation)


def _good(parameter: Any, inputs: dict[str, list[str]], rng: random.Random) -> str:
    kind = _kind(parameter)
    if parameter.name in inputs:
        return rng.choice(inputs[parameter.name])
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str(rng.choice(list(kind)).value)
    return str(parameter.min or 2) if kind in (int, float) else "2"


def _bad(parameter: Any, folder: Path, rng: random.Random) -> tuple[str, bool]:
    """A bad value, and whether nothing can mean it."""
    kind = _kind(parameter)
    if kind in (int, float):
        value = rng.choice((*_NUMBERS, "-1", str(10**12)))
        return value, value in _NEVER and not (kind is float and value in ("1e999", "nan"))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return (value := rng.choice(_TEXTS)), value in _NEVER
    if kind is Path and parameter.name in _OUTPUTS:
        return rng.choice(("inputs/words_csv/w.csv", "missing/deep/out", "", "/proc/self/o", "/dev/null/o")), False
    if kind is Path and rng.random() < 0.6:
        reader = READERS[rng.choice([n for n in READERS if n not in ("recording_aedat4", "charges_root")])]
        place = folder / f"damaged{rng.randrange(1 << 30)}"
        place.mkdir()
        return str(damaged(reader, rng.randrange(1 << 20), 1, place)), False
    value = rng.choice(_MISSING if kind is Path else _TEXTS)
    return value, value in _NEVER and kind is Path


def _option(parameter: Any, value: str) -> list[str]:
    return [value] if parameter.opts[0] == parameter.name else [parameter.opts[0], value]


def draw(words: Sequence[str], command: Any, inputs: dict[str, list[str]], folder: Path, rng: random.Random) -> Line:
    """An argument list of a command with one to three bad values; damaged files go into `folder`."""
    parameters = [p for p in command.params if p.name not in ("help", "as_json") and not getattr(p, "is_flag", False)]
    spoiled = rng.sample(parameters, min(len(parameters), rng.choice((1, 1, 2, 3))))
    argued: list[str] = [*words]
    never = False
    for parameter in parameters:
        if parameter in spoiled:
            value, wrong = _bad(parameter, folder, rng)
            never |= wrong
            argued += _option(parameter, value)
        elif parameter.required or parameter.name == "preset" or rng.random() < 0.15:
            argued += _option(parameter, _good(parameter, inputs, rng))
    chance = rng.random()
    if chance < 0.05:
        argued.insert(rng.randrange(1, len(argued) + 1), "--no-such-option")
    elif chance < 0.1:
        argued.append(rng.choice([p.opts[0] for p in parameters if p.opts[0].startswith("-")] or ["--out"]))
    elif chance < 0.15:
        argued.append("one-more")
    if rng.random() < 0.2:
        argued.append("--json")
    return Line(words=tuple(word.replace("\0", "") for word in argued), never=never)


# ---- trying ----------------------------------------------------------------------------------------------------------


def _child(words: Sequence[str], folder: Path, run: Callable[[], object]) -> NoReturn:
    """Run the program in this fork, which ends before any other program starts."""

    def begun(*_: object, **__: object) -> NoReturn:
        os._exit(_BEGUN)

    code = 70
    try:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            descriptor = os.open(folder.parent / name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(descriptor, number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
        confine()
        signal.signal(signal.SIGXCPU, begun)
        subprocess.Popen.__init__ = begun  # type: ignore[method-assign, assignment]
        os.fork = begun
        multiprocessing.util.spawnv_passfds = begun  # type: ignore[attr-defined]
        sys.argv = ["liquidcal", *words]
        run()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0
    except MemoryError:
        code = 71
    except BaseException as error:
        print(f"Traceback: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def call(line: Line, folder: Path, run: Callable[[], object] = main) -> tuple[str, str]:
    """What the program makes of an argument list, and what was seen if that is a fault.

    Parameters
    ----------
    line : Line
    folder : Path
        Where it runs; what stands there before is kept.
    run : callable, optional
        The program.
    """
    before = {path.name for path in folder.iterdir()}
    child = forked()
    if not child:
        _child(line.words, folder, run)
    end = time.monotonic() + SECONDS
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hang", ""
        time.sleep(0.005)
    code = os.waitstatus_to_exitcode(ended[1])
    error = (folder.parent / "stderr").read_text(errors="replace")
    left = {path.name for path in folder.iterdir()} - before
    said = [text for text in error.splitlines() if not text.startswith(("liquidcal: warning: ", "  "))]
    if "Traceback" in error or code in (3, 70):
        return "traceback", error[-500:]
    if code == _BEGUN:
        return "begun", ""
    if code == 71 or "not enough memory" in error:
        return "memory", error[-300:]
    if code == 0:
        return ("accepted", error[-300:]) if line.never else ("begun", "")
    if code not in (1, 2):
        return "crash", f"exit code {code}: {error[-300:]}"
    if code == 2 and (len(said) != 1 or not said[0].startswith("liquidcal: ") or len(said[0]) > MOST_LETTERS + 100):
        return "lines", error[-500:]
    if code == 2 and left:
        return "left", f"{', '.join(sorted(left))} after {said[0]}"
    return "refused", ""


@contextlib.contextmanager
def _place() -> Iterator[tuple[Path, dict[str, list[str]]]]:
    """A folder to run in, with good inputs below it."""
    with tempfile.TemporaryDirectory(prefix="liquidcal-fuzz-") as name:
        folder = Path(name, "here")
        (folder / "inputs").mkdir(parents=True)
        yield folder, _inputs(folder / "inputs")


def tried(name: str, count: int, seed: int) -> Tried:
    """Call one command with `count` argument lists."""
    words, command = command_lines()[name]
    result = Tried()
    with _place() as (folder, inputs):
        rest = folder.parent / "damaged"
        rest.mkdir()
        there = {path.name for path in folder.iterdir()}
        for number in range(count):
            rng = random.Random(f"{name}/{seed}/{number}")
            line = draw(words, command, inputs, rest, rng)
            what, seen = call(line, folder)
            result.counts[what] += 1
            if what in FAULTS:
                result.faults.append((" ".join(map(repr, line.words))[:600], what, seen))
            for path in folder.iterdir():
                if path.name not in there:
                    subprocess.run(["rm", "-rf", path], check=True)
    return result


def _preload() -> None:
    """What commands import late, so that a fork need not."""
    for name in (
        "flows.designs.catalogue", "flows.steps.chain", "flows.learning.encoder", "flows.learning.recordings",
        "flows.steps.verification", "flows.steps.campaign", "flows.steps.sweep", "flows.report.write",
        "sim.hgcal_encoder.encoder", "sim.hgcal_encoder.files.keras_files", "flows.power.any_netlist",
    ):  # fmt: skip
        importlib.import_module(name)


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("commands", nargs="*", help="all if left out")
    parser.add_argument("--count", type=int, default=30, help="argument lists of a command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-result", action="store_true", help="print only")
    options = parser.parse_args()
    _preload()
    for name in options.commands or command_lines():
        began = time.monotonic()
        found = tried(name, options.count, options.seed)
        print(f"{name}: {dict(found.counts)} in {time.monotonic() - began:.0f} s", flush=True)
        for text, what, seen in found.faults[:8]:
            print(f"  {what}: {text}\n    {seen}", flush=True)
        case = name.replace(" ", "_")
        rows = [
            record(
                f"{what}__case:{case}", options.count if what == "lists" else found.counts[what], "",
                f"liquidcal {name}: seed {options.seed}", command=COMMAND,
            )
            for what in ("lists", *OUTCOMES)
        ]  # fmt: skip
        if not options.no_result:
            others = kept(RESULT, lambda metric, case=case: metric.name.endswith(f"__case:{case}"))
            write_metrics(RESULT, [*others, *rows])


if __name__ == "__main__":
    run()
