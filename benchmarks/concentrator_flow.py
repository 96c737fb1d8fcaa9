"""Processor time and memory of a concentrator's steps: ``python -m benchmarks.concentrator_flow STEP=LOG ...``.

Takes what GNU time wrote about the commands, ``/usr/bin/time -v liquidcal STEP ECON_T_PRODUCTION 2> LOG``, and writes
``concentrator_flow.json``; rows of other steps stay.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from benchmarks.measured import RESULTS, Rows, kept
from flows.common.metrics import write_metrics

_LINES = {
    "user": r"User time \(seconds\): ([\d.]+)",
    "system": r"System time \(seconds\): ([\d.]+)",
    "memory": r"Maximum resident set size \(kbytes\): (\d+)",
    "command": r'Command being timed: "(.+)"',
}


def read_log(path: Path) -> dict[str, str]:
    """What GNU time says, by the names of `_LINES`."""
    text = path.read_text()
    found = {name: re.search(pattern, text) for name, pattern in _LINES.items()}
    if missing := [name for name, match in found.items() if match is None]:
        raise SystemExit(f"{path}: expected the output of /usr/bin/time -v, found no {missing[0]}")
    return {name: match[1] for name, match in found.items() if match}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("logs", nargs="+", help="STEP=LOG")
    rows = Rows("/usr/bin/time -v liquidcal STEP ECON_T_PRODUCTION", tool="GNU time", version="1.9")
    for argument in parser.parse_args().logs:
        step, _, path = argument.partition("=")
        said = read_log(Path(path))
        how = f"liquidcal {said['command'].partition('flows.cli ')[2].partition(' --out')[0]}"
        rows.add(f"cpu__case:{step}", round(float(said["user"]) + float(said["system"])), "s", f"{how}; processor time")
        rows.add(f"memory__case:{step}", round(int(said["memory"]) / 1024), "MB", f"{how}; largest process")
    path = RESULTS / "concentrator_flow.json"
    names = {metric.name for metric in rows}
    write_metrics(path, [*kept(path, lambda metric: metric.name in names), *rows])


if __name__ == "__main__":
    main()
