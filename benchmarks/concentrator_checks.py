"""What a concentrator was checked with: ``python -m benchmarks.concentrator_checks serial``, and so on.

`serial`: the whole chip with all five algorithms from serial bits to serial bits, on every published set below
``LIQUIDCAL_DATA``, each on a fresh chip behind links of random length, and how fast it runs. `alone`: the same with
best choice, the slowest one to simulate, alone in a chip of first silicon, as ``encode --level serial`` builds it.
`traffic`: the whole chip with commands, bit errors, wrong headers and slips. `words`: the data path from words to
words on the published sets. `mutants`: kill rate of the random crossings. All write ``concentrator_checks.json``; what
the others found stays.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.measured import LIQUIDCAL, RESULTS, Rows, kept
from flows.common.metrics import write_metrics
from flows.designs.concentrator_files import setting_values
from flows.simulation.concentrator import ConcentratorBench, concentrator_verilog
from flows.simulation.serial_chip import SerialBench
from flows.tools.verilator import verilator_version
from flows.verification.concentrator import check_mutants
from flows.verification.concentrator_stimulus import CAMPAIGN
from flows.verification.mutation import Outcome
from flows.verification.serial import check_serial_traffic, random_delays
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorSettings, load_concentrator_settings
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, AlgorithmNumber, ConcentratorSpec
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.spec import WordOrder
from sim.hgcal_encoder.words import ORBIT_LENGTH

COMMAND = "python -m benchmarks.concentrator_checks"
SEED = 1
REPEATS = 8
"""Times that the words of a set are sent for a speed."""
TRAFFIC = 5000
"""Crossings of traffic with commands, errors and slips."""


FOUR = replace(ECON_T_PRODUCTION, name="FOUR_ALGORITHMS", algorithms=ECON_T_PRODUCTION.algorithms[:-1])
"""Without the network: a chip that compiles in a third of the time."""


ALONE = ConcentratorSpec(name="ONLY_best_choice", algorithms=("best_choice",), word_order=WordOrder.P1)


@dataclass(frozen=True, kw_only=True)
class _Set:
    """A published set: what goes in, and what has to come out."""

    name: str
    settings: ConcentratorSettings
    words: npt.NDArray[np.int64]
    frames: npt.NDArray[np.uint32]

    @property
    def repeated(self) -> npt.NDArray[np.int64]:
        """The words so often that a run of them takes seconds."""
        return np.tile(self.words, (REPEATS, 1))


def published(spec: ConcentratorSpec) -> Iterator[_Set]:
    """Published sets of the algorithms of a chip."""
    root = Path(os.environ["LIQUIDCAL_DATA"]) / "hgcal" / "econt_vectors"
    for path in sorted(root.rglob("init.yaml")):
        settings = load_concentrator_settings(path, ECON_T_PRODUCTION)
        if settings.alg_type in spec.numbers:
            yield _Set(
                name=str(path.parent.relative_to(root)), settings=settings,
                words=read_words(path.parent.parent / "testInput_bx0000-1781.csv"),
                frames=read_frames(path.parent / "testOutput_bx0000-1781.csv").astype(np.uint32),
            )  # fmt: skip


def level_of(name: str) -> str:
    """Which part of this program writes a row."""
    return next((part for part in ("traffic", "words", "mutants", "alone") if name.startswith(part)), "serial")


class _Count:
    """Sets, their crossings, and those with a wrong bit; speeds by algorithm."""

    def __init__(self) -> None:
        self.sets = self.compared = self.wrong = 0
        self.fastest: dict[str, int] = {}

    def add(self, one: _Set, got: npt.NDArray[np.uint32]) -> None:
        """Compare a set."""
        different = int((got != one.frames).any(axis=1).sum())
        print(f"{one.name}: {different} of {len(got)} crossings wrong", flush=True)
        self.sets, self.compared, self.wrong = self.sets + 1, self.compared + len(got), self.wrong + different

    def write(self, rows: Rows, prefix: str, sets: str, speed: str) -> None:
        """Rows of a level; what stands in front of their names, what was done with each set, what was timed."""
        rows.add(f"{prefix}sets__count", self.sets, "", sets)
        rows.add(f"{prefix}crossings__compared", self.compared, "", "crossings of these sets, all transmitters")
        rows.add(f"{prefix}crossings__wrong", self.wrong, "", "of them with a bit that differs from the published one")
        for label, rate in self.fastest.items():
            rows.add(f"{prefix}speed__case:{label}", rate, "1/min",
                     f"crossings of {speed}, in a minute of processor time of one core; {REPEATS} times the words of a "
                     "set")  # fmt: skip


def add_build(rows: Rows, prefix: str, library: Path, started: float) -> None:
    """Memory of the build, if there was one since then."""
    if library.stat().st_mtime >= started:
        built = resource.getrusage(resource.RUSAGE_CHILDREN)
        rows.add(f"{prefix}build__memory", round(built.ru_maxrss / 1024), "MB", "largest process of the build")
        rows.add(f"{prefix}build__cpu", round(built.ru_utime + built.ru_stime), "s", "processor time of the build")


def serial(rows: Rows, spec: ConcentratorSpec, prefix: str = "") -> None:
    """All published sets of the algorithms of a chip, and speeds, serial to serial."""
    started = time.time()
    bench = SerialBench(spec)
    add_build(rows, prefix, bench.library, started)
    count = _Count()
    for number, one in enumerate(published(spec)):
        delays = random_delays(np.random.default_rng((SEED, number))).tolist()
        count.add(one, bench.frames(one.words, one.settings, delays=delays, seed=1 + number))
        label = AlgorithmNumber(one.settings.alg_type).label
        if label not in count.fastest:
            with bench.chip(delays) as chip:
                chip.load(setting_values(one.settings, spec))
                chip.align(ask=False)
                raw, commands = chip.line.carry(REPEATS * len(one.words), one.repeated, {})
                start = time.process_time()
                chip.model.run({"raw": raw, "command_samples": commands, "scl": 1, "sda": 1})
                count.fastest[label] = int(60 * len(raw) / (time.process_time() - start))
    count.write(
        rows, prefix, f"{spec.name}: published sets, each on a fresh chip, loaded over I2C, aligned",
        "the whole chip, serial bits in and out",
    )  # fmt: skip


def traffic(rows: Rows, spec: ConcentratorSpec) -> None:
    """Commands, errors and slips, for every algorithm of a chip."""
    check = check_serial_traffic(SerialBench(spec), SEED, TRAFFIC)
    rows.add("traffic__compared", check.compared, "", check.name)
    rows.add("traffic__passed", int(check.passed), "", check.detail or "no difference")


def words(rows: Rows, spec: ConcentratorSpec) -> None:
    """All published sets of the algorithms of a chip, and speeds, from words to words."""
    started = time.time()
    bench = ConcentratorBench(concentrator_verilog(spec))
    add_build(rows, "words_", bench.library, started)
    count = _Count()
    for one in published(spec):
        registers = one.settings.registers(spec)
        count.add(one, bench.frames(one.words, registers))
        label = AlgorithmNumber(one.settings.alg_type).label
        if label not in count.fastest:
            with bench.model() as model:
                bench.load(model, registers)
                given = one.repeated
                number = np.arange(len(given)) % ORBIT_LENGTH
                start = time.process_time()
                model.run({"words": given, "bx": number, "run": 1})
                count.fastest[label] = int(60 * len(given) / (time.process_time() - start))
    count.write(
        rows, "words_", f"{spec.name}: published sets, each on a fresh data path, loaded through its write port",
        "the data path, words in and out",
    )  # fmt: skip


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
    parser.add_argument("what", choices=("serial", "alone", "traffic", "words", "mutants"))
    parser.add_argument("--count", type=int, default=200, help="mutants")
    parser.add_argument("--without-network", action="store_true", help="the chip without its autoencoder")
    options = parser.parse_args()
    rows = Rows(f"{COMMAND} {options.what}", version=f"{LIQUIDCAL}, Verilator {verilator_version()}")
    spec = FOUR if options.without_network else ECON_T_PRODUCTION
    if options.what == "serial":
        serial(rows, spec)
    elif options.what == "alone":
        serial(rows, ALONE, "alone_")
    elif options.what == "traffic":
        traffic(rows, spec)
    elif options.what == "words":
        words(rows, spec)
    else:
        mutants(rows, options.count)
    path = RESULTS / "concentrator_checks.json"
    old = kept(path, lambda metric: level_of(metric.name) == options.what)
    write_metrics(path, [*old, *rows])


if __name__ == "__main__":
    main()
