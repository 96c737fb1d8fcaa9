"""Connectivity regenerated from a seed beside lists of synapses: ``python -m benchmarks.astrocyte_seeded``.

*Accuracy.* Liquids of either kind are tuned on the same digits that ship with the package, frozen, and scored on the
same 2,000 held-out ones, shown by the same spikes, in the chip's integers with the chip's readout: 5 draws of 216
neurons, 3 of 1,000. ``--draw N`` runs one alone and writes nothing; draws are kept in ``build/astrocyte``.
*Statistics* of the same draws: synapses, and the spread of how many enter a neuron and leave an input.
*Memories.* Bits of all memories of both chips, and blocks of 18 kbit that they take on an ECP5 by count: each memory in
the shape of a block that takes fewest; those that the hardware marks for tables of logic count none. Nothing is
placed. Writes ``benchmarks/results/astrocyte_seeded.json`` and ``astrocyte_memories.json``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measured import LIQUIDCAL, REPOSITORY, RESULTS, Rows
from flows.common.journal import Journal
from flows.common.metrics import write_metrics
from flows.designs.astrocyte_files import all_memories, memory_bits
from flows.learning.astrocyte import LiquidTraining, evaluate_liquid, train_liquid
from hw.astrocyte_liquid.memory import TABLE_BITS
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.spec import NALSM_216, NALSM_216_SEEDED, NALSM_1000, NALSM_1000_SEEDED, AstrocyteSpec
from sim.files import replacing

COMMAND = "python -m benchmarks.astrocyte_seeded"
PAIRS = {"216": (NALSM_216, NALSM_216_SEEDED), "1000": (NALSM_1000, NALSM_1000_SEEDED)}
DRAWS = {"216": range(1, 6), "1000": range(1, 4)}
TRAINING = LiquidTraining(snapshots=3_000, training=2_000, validation=400, passes=1_000)
CACHE = REPOSITORY / "build" / "astrocyte"
BLOCK_SHAPES = ((16_384, 1), (8_192, 2), (4_096, 4), (2_048, 9), (1_024, 18), (512, 36))
"""Words and bits of a block of an ECP5, one port to write and one to read."""
AVAILABLE = 208
"""Blocks of an ECP5-85k."""


def blocks(width: int, depth: int) -> int:
    """Blocks that a memory takes, in the best shape."""
    if width * depth <= TABLE_BITS:
        return 0
    return min(-(-depth // words) * -(-width // bits) for words, bits in BLOCK_SHAPES)


def chip_blocks(spec: AstrocyteSpec, without: tuple[str, ...] = ()) -> int:
    """Blocks of all memories of a chip but some."""
    return sum(
        count * blocks(width, depth)
        for name, (count, width, depth) in all_memories(spec).items()
        if name not in without
    )


def accuracy(spec: AstrocyteSpec, seed: int) -> float:
    """Share of the held-out digits that a tuned, frozen liquid gets right, %."""
    path = CACHE / f"seeded_{spec.name}_{seed}.json"
    if not path.is_file():
        model, _ = train_liquid(spec, replace(TRAINING, seed=seed), Journal())
        found = evaluate_liquid(model)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            json.dump(found, file)
    return 100 * float(json.loads(Path(path).read_text())["accuracy"])


def add_accuracies(rows: Rows) -> None:
    """Mean of both kinds, and the difference of the pairs."""
    for size, pair in PAIRS.items():
        found = np.array([[accuracy(spec, seed) for spec in pair] for seed in DRAWS[size]])
        about = f"{len(found)} draws, {TRAINING.snapshots:,} snapshots, {TRAINING.training:,} digits, 2,000 scored"
        for spec, column in zip(pair, found.T, strict=True):
            case = f"{spec.connectivity}_{size}"
            rows.add(f"accuracy__mean__case:{case}", round(float(column.mean()), 2), "%", f"mean, {about}")
            rows.add(f"accuracy__std__case:{case}", round(float(column.std(ddof=1)), 2), "%", f"over draws, {about}")
        gain = found[:, 1] - found[:, 0]
        rows.add(f"accuracy__difference__case:seeded_{size}", round(float(gain.mean()), 2), "%",
                 f"above lists, the same digits and spikes, {about}")  # fmt: skip
        error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
        rows.add(f"accuracy__difference_error__case:seeded_{size}", round(error, 2), "%",
                 f"standard error over pairs, {about}")  # fmt: skip


def add_statistics(rows: Rows) -> None:
    """Numbers of synapses and their spread."""
    for size, pair in PAIRS.items():
        for spec in pair:
            case, networks = f"{spec.connectivity}_{size}", [draw(spec, seed) for seed in DRAWS[size]]
            inputs = [n.source < spec.first_neuron for n in networks]
            entering = [np.bincount(n.target[i], minlength=spec.neurons) for n, i in zip(networks, inputs, strict=True)]
            recurrent = [
                np.bincount(n.target[~i], minlength=spec.neurons) for n, i in zip(networks, inputs, strict=True)
            ]
            leaving = [np.bincount(n.source[i], minlength=spec.inputs) for n, i in zip(networks, inputs, strict=True)]
            for name, parts in (("from_inputs", entering), ("recurrent", recurrent), ("of_an_input", leaving)):
                how = f"synapses {name.replace('_', ' ')}, mean of {len(networks)} draws"
                mean = float(np.mean([part.mean() for part in parts]))
                spread = float(np.mean([part.std() for part in parts]))
                rows.add(f"{name}__mean__case:{case}", round(mean, 1), "", how)
                rows.add(f"{name}__std__case:{case}", round(spread, 1), "", f"spread within a network, {how}")


def add_memories(rows: Rows) -> None:
    """Bits and blocks of the memories."""
    for size, pair in PAIRS.items():
        for spec in pair:
            case = f"{spec.connectivity}_{size}"
            parts = all_memories(spec)
            numbers = [name for name in ("targets", "slots", "lists", "back", "incoming") if name in parts]
            for name, chosen in (("weights", ["stored", "working"]), ("numbers", numbers), ("all", list(parts))):
                bits = sum(count * width * depth for count, width, depth in (parts[one] for one in chosen))
                rows.add(f"memory__{name}__case:{case}", round(bits * 1e-3, 1), "kbit", ", ".join(chosen))
            how = f"blocks of 18 kbit by count, of {AVAILABLE} of an ECP5-85k; {memory_bits(spec):,} bits"
            rows.add(f"memory__blocks__case:{case}", chip_blocks(spec), "", how)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--draw", type=int, help="this draw alone, and no results")
    parser.add_argument("--size", choices=PAIRS, help="this size alone, with --draw")
    options = parser.parse_args()
    if options.draw is not None:
        for size in PAIRS if options.size is None else (options.size,):
            print(size, [accuracy(spec, options.draw) for spec in PAIRS[size]], flush=True)
        return
    memories, rows = (Rows(COMMAND, "liquidcal", LIQUIDCAL) for _ in range(2))
    add_memories(memories)
    write_metrics(RESULTS / "astrocyte_memories.json", memories)
    add_accuracies(rows)
    add_statistics(rows)
    write_metrics(RESULTS / "astrocyte_seeded.json", rows)


if __name__ == "__main__":
    main()
