"""Do the tests detect faults of the kinds that they once missed? ``python -m benchmarks.planted``.

Nineteen faults were once planted by hand, and eight were not detected. ``planted.toml`` has these eight and others
of the same kinds, each as a text of a module and what takes its place. Each is put into a copy of what git tracks, the
tests named there run: the first that fails has detected it. Without a fault they all have to pass.

`benchmarks.mutation` plants many small faults without asking what they mean; these here mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measured import RESULTS, written_by
from benchmarks.mutation import copied
from sim.files import replacing

__all__ = ["Planted", "planted"]

COMMAND = "python -m benchmarks.planted"
RESULT = RESULTS / "planted.json"
FAULTS = Path(__file__).with_name("planted.toml")


@dataclass(frozen=True, kw_only=True)
class Planted:
    """A fault.

    Attributes
    ----------
    kind : str
        What it is an example of.
    what : str
        What the fault is, in a line.
    module : str
        File below the repository.
    was, now : str
        The text there, once, and what takes its place.
    tests : tuple of str
        Tests that are to detect it, as pytest names them.
    """

    kind: str
    what: str
    module: str
    was: str
    now: str
    tests: tuple[str, ...]

    @property
    def text(self) -> str:
        """Kind and fault."""
        return f"{self.kind}: {self.what}"

    def apply(self, source: str) -> str:
        """The module with the fault.

        Raises
        ------
        ValueError
            If the text is not there, or more than once.
        """
        if (count := source.count(self.was)) != 1:
            raise ValueError(f"{self.module}: expected {self.was!r} once, found it {count} times")
        return source.replace(self.was, self.now)


def planted(path: Path = FAULTS) -> list[Planted]:
    """All faults of a file."""
    rows = tomllib.loads(path.read_text())["planted"]
    return [Planted(**row | {"tests": tuple(row["tests"])}) for row in rows]


def first_failed(folder: Path, tests: Sequence[str]) -> str:
    """The first of these tests that fails in a copy of the repository, without its parameters; empty if all pass.

    Raises
    ------
    RuntimeError
        If they cannot be run.
    """
    environment = os.environ | {"PYTHONPATH": str(folder), "LIQUIDCAL_CACHE": str(folder / "build" / "cache")}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-rfE", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    if found := re.search(r"^(?:FAILED|ERROR) ([^\s\[]+)", done.stdout, re.MULTILINE):
        return found[1]
    raise RuntimeError(f"pytest ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "words", nargs="*", help="only faults in whose kind or text one of these stands; all if left out"
    )
    parser.add_argument("--no-result", action="store_true", help="print only")
    options = parser.parse_args()
    faults = [fault for fault in planted() if not options.words or any(word in fault.text for word in options.words)]
    with tempfile.TemporaryDirectory(prefix="liquidcal-planted-") as name:
        folder = Path(name)
        copied(folder)
        if failed := first_failed(folder, sorted({test for fault in faults for test in fault.tests})):
            parser.error(f"{failed} fails without any fault")
        rows = []
        for fault in faults:
            module = folder / fault.module
            source = module.read_text()
            module.write_text(fault.apply(source))
            detected = first_failed(folder, fault.tests)
            module.write_text(source)
            print(f"{fault.what}: {detected or 'NOT DETECTED'}", flush=True)
            rows.append([fault.kind, fault.what, f"`{fault.module}`", f"`{detected}`" if detected else "none"])
    if not options.no_result:
        write(rows)
    sys.exit(1 if any(row[-1] == "none" for row in rows) else 0)


def write(rows: Sequence[Sequence[str]]) -> None:
    """Write results; those of an earlier run stay where a fault was not tried again."""
    found = {tuple(row[:3]): list(row) for row in rows}
    if RESULT.is_file():
        (earlier,) = json.loads(RESULT.read_text())["tables"]
        found = {tuple(row[:3]): row for row in earlier["rows"]} | found
    kept = [found[key] for fault in planted() if (key := (fault.kind, fault.what, f"`{fault.module}`")) in found]
    detected = sum(row[-1] != "none" for row in kept)
    table = {
        "title": f"{len(kept)} planted faults, {detected} detected",
        "columns": ["kind", "fault", "module", "first test that fails"], "rows": kept,
    }  # fmt: skip
    with replacing(RESULT) as file:
        file.write(json.dumps(written_by(COMMAND) | {"tables": [table], "notes": []}, indent=1) + "\n")


if __name__ == "__main__":
    main()
