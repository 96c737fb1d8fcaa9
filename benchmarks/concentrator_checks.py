"""What a concentrator was checked with: ``python -m benchmarks.concentrator_checks serial`` and ``mutants``.

`serial`: the whole chip with all five algorithms from serial bits to serial bits, on every published set below
``LIQUIDCAL_DATA``, each on a fresh chip behind links of random length, and how fast it runs. `mutants`: kill rate of
the random crossings. Both write ``concentrator_checks.json``; what the other one found stays.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows, kept
from flows.common.metrics import write_metrics
from flows.designs.concentrator_files import setting_values
from flows.simulation.serial_chip import SerialBench
from flows.tools.verilator import verilator_version
from flows.verification.concentrator import check_mutants
from flows.verification.concentrator_stimulus import CAMPAIGN
from flows.verification.mutation import Outcome
from flows.verification.serial import check_serial_traffic, random_delays
from sim.hgcal_encoder.algorithms.concentrator_model import load_concentrator_settings
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, ConcentratorSpec
from sim.hgcal_encoder.files.vectors import read_frames, read_words

COMMAND = "python -m benchmarks.concentrator_checks"
SEED = 1
REPEATS = 8
"""Times that the words of a set are sent for a speed."""
TRAFFIC = 5000
"""Crossings of traffic with commands, errors and slips."""


FOUR = replace(ECON_T_PRODUCTION, name="FOUR_ALGORITHMS", algorithms=ECON_T_PRODUCTION.algorithms[:-1])
"""Without the network: a chip that compiles in a third of the time."""


def serial(rows: Rows, spec: ConcentratorSpec) -> None:
    """All published sets of the algorithms of a chip, traffic, and speeds."""
    folder = Path(os.environ["LIQUIDCAL_DATA"]) / "hgcal" / "econt_vectors"
    bench = SerialBench(spec)
    built = resource.getrusage(resource.RUSAGE_CHILDREN)
    if built.ru_utime:
        rows.add("build__memory", round(built.ru_maxrss / 1024), "MB", "largest compiler process of the simulation")
    chosen = {path.parent: load_concentrator_settings(path, ECON_T_PRODUCTION) for path in folder.rglob("init.yaml")}
    sets = sorted(path for path, settings in chosen.items() if settings.alg_type < len(spec.numbers))
    wrong = compared = 0
    fastest: dict[str, float] = {}
    for number, found in enumerate(sets):
        settings = chosen[found]
        words = read_words(found.parent / "testInput_bx0000-1781.csv")
        delays = random_delays(np.random.default_rng((SEED, number))).tolist()
        expected = read_frames(found / "testOutput_bx0000-1781.csv")
        got = bench.frames(words, settings, delays=delays, seed=1 + number)
        different = int((got != expected).any(axis=1).sum())
        print(f"{found.relative_to(folder)}: {different} of {len(got)} crossings wrong", flush=True)
        wrong, compared = wrong + different, compared + len(got)
        label = spec.numbers[settings.alg_type].label
        if label not in fastest:
            with bench.chip(delays) as chip:
                chip.load(setting_values(settings, spec))
                chip.align(ask=False)
                raw, commands = chip.line.carry(REPEATS * len(words), np.tile(words, (REPEATS, 1)), {})
                start = time.process_time()
                chip.model.run({"raw": raw, "command_samples": commands, "scl": 1, "sda": 1})
                fastest[label] = 60 * len(raw) / (time.process_time() - start)
    rows.add(
        "sets__count", len(sets), "", f"{spec.name}: published sets, each on a fresh chip, loaded over I2C, aligned"
    )
    rows.add("crossings__compared", compared, "", "crossings of these sets, all transmitters")
    rows.add("crossings__wrong", wrong, "", "of them with a bit that differs from the published one")
    for label, rate in fastest.items():
        rows.add(
            f"speed__case:{label}", int(rate), "1/min",
            f"crossings of the whole chip, serial bits in and out, in a minute of processor time of one core; "
            f"{REPEATS} times the words of a set",
        )  # fmt: skip
    check = check_serial_traffic(bench, SEED, TRAFFIC)
    rows.add("traffic__compared", check.compared, "", check.name)
    rows.add("traffic__passed", int(check.passed), "", check.detail or "no difference")


def mutants(rows: Rows, count: int) -> None:
    """Kill rate by part of the core."""
    _, result = check_mutants(SEED, count)
    how = f"{len(result.mutants)} mutants of {CAMPAIGN.name}, seed {SEED}"
    rows.add("mutants__kill_rate", round(100 * result.kill_rate, 1), "%", f"{how}; proved equivalents left out")
    for part, counts in result.table(lambda mutant: mutant.stage).items():
        for outcome in Outcome:
            rows.add(f"mutants_{outcome}__case:{part}", counts[outcome], "", how)
    for survivor in result.survivors:
        print(f"survived: {survivor}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("what", choices=("serial", "mutants"))
    parser.add_argument("--count", type=int, default=200, help="mutants")
    parser.add_argument("--without-network", action="store_true", help="the chip without its autoencoder")
    options = parser.parse_args()
    rows = Rows(f"{COMMAND} {options.what}", version=f"{LIQUIDCAL}, Verilator {verilator_version()}")
    if options.what == "serial":
        serial(rows, FOUR if options.without_network else ECON_T_PRODUCTION)
    else:
        mutants(rows, options.count)
    path = RESULTS / "concentrator_checks.json"
    old = kept(path, lambda metric: metric.name.startswith("mutants") == (options.what == "mutants"))
    write_metrics(path, [*old, *rows])


if __name__ == "__main__":
    main()
