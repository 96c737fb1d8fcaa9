"""Steps that are not repeated: a result stays while everything that it was made from is the same.

Beside the results of a design, ``.steps/NAME.json`` keeps the key of a step's inputs (`flows.common.content_cache`),
the hashes of what it left, and its times and checks. A step runs again if its key or one of these files has changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from flows.common.content_cache import file_sha256
from flows.common.journal import Check, Journal, Step
from flows.common.metrics import now
from sim.files import replacing

__all__ = ["StepCache", "file_hash"]


def file_hash(path: Path) -> str:
    """SHA-256 of a file; empty if there is none."""
    return file_sha256(path) if path.is_file() else ""


class StepCache:
    """Runs the steps of one design, or finds that there is nothing to do.

    Parameters
    ----------
    folder : Path
        Result folder of the design.
    journal : Journal
        Receives steps and checks, of kept results too.
    """

    def __init__(self, folder: Path, journal: Journal):
        self._folder = folder
        self._journal = journal

    def run(self, name: str, *, key: str, outputs: Sequence[str], work: Callable[[], Any]) -> bool:
        """Run a step unless its result is there.

        Parameters
        ----------
        name : str
        key : str
            `content_key` of all its inputs.
        outputs : sequence of str
            Files below the folder that are its result; ``*`` allowed.
        work : callable
            The step; records its own steps and checks in the journal.

        Returns
        -------
        bool
            Whether it ran. A result is kept only if all its checks passed and its outputs are there.
        """
        path = self._folder / ".steps" / f"{name}.json"
        kept = self._kept(path, key, outputs)
        if kept is not None:
            steps = [replace(Step(**step), kept=kept["date"]) for step in kept["steps"]]
            checks = [Check(**check) for check in kept["checks"]]
            self._journal.steps += steps
            self._journal.checks += checks
            seconds = sum(step.seconds for step in steps)
            self._journal.console.print(
                f"  [green]kept[/]  {name}: inputs unchanged since {kept['date']} [dim](took {seconds:.1f} s then)[/]"
            )
            return False
        steps_before, checks_before = len(self._journal.steps), len(self._journal.checks)
        work()
        checks = self._journal.checks[checks_before:]
        hashes = self._hashes(outputs)
        if all(check.passed for check in checks) and all(hashes.values()):
            content = {
                "key": key,
                "date": now(),
                "outputs": hashes,
                "steps": [asdict(step) for step in self._journal.steps[steps_before:]],
                "checks": [asdict(check) for check in checks],
            }
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                json.dump(content, file, indent=1)
                file.write("\n")
        return True

    def _kept(self, path: Path, key: str, outputs: Sequence[str]) -> dict[str, Any] | None:
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        if not isinstance(content, dict) or content.get("key") != key:
            return None
        hashes = self._hashes(outputs)
        return content if all(hashes.values()) and content.get("outputs") == hashes else None

    def _hashes(self, outputs: Sequence[str]) -> dict[str, str]:
        """Hash of every file that is there; of a pattern without any file the empty text."""
        found: dict[str, str] = {}
        for output in outputs:
            files = sorted(self._folder.glob(output))
            found |= {str(path.relative_to(self._folder)): file_hash(path) for path in files} or {output: ""}
        return found
