"""Electrons of many cells on few links, where best choice leads: ``python -m benchmarks.electrons [NAME=FILE ...]``.

Modules of at least 8 cells, of simulated single electrons that no model was trained on and of the given files: median
EMD of best choice, of the network of `ECON_T`, of the search, and of a search that knows beforehand that all modules
are of electrons, whose odds are counted on electrons alone. Where that gains nothing the frame itself does not hold
more. Beside them the share of a module's charge in the cells that best choice sends. Writes
``benchmarks/results/electrons.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from benchmarks.measured import RESULTS, record
from benchmarks.search import searched
from flows.common.metrics import Metric, write_metrics
from flows.learning.encoder import SeenTable, seen_table
from sim.hgcal_encoder.algorithms.comparison import reconstruct_baselines
from sim.hgcal_encoder.detector.generator import Generator, ModuleImages
from sim.hgcal_encoder.detector.particles import ELECTROMAGNETIC, SingleParticles
from sim.hgcal_encoder.files.readers import ChargeTable, read_charge_table
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_name
from sim.hgcal_encoder.learning.metric import earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.search_prior import odds
from sim.hgcal_encoder.spec import ECON_T

COMMAND = "python -m benchmarks.electrons"
LINKS = (2, 3)
LEAST_CELLS, MODULES = 8, 300
CROSSINGS, SEED = 24, 20_264
"""Of simulated electrons; as many again, with the next seed, for the odds."""


def electrons(seed: int) -> SeenTable:
    """Modules of single electrons, sent as charges of a file are."""
    source = SingleParticles(kind=ELECTROMAGNETIC, pt_gev=(2.0, 100.0), multiplicity=12)
    images = ModuleImages.join(list(Generator(source=source, seed=seed).stream(CROSSINGS)))
    charges = images.unencoded.astype(np.int64)
    return seen_table(ChargeTable(charges=charges[occupancy(charges) > 0], etas=None))


def figures(samples: dict[str, SeenTable]) -> Iterator[Metric]:
    """Medians by links and sample."""
    learned = electrons(SEED + 1)
    assert learned.levels is not None
    for links in LINKS:
        model = TrainedModel.load(str(shipped_name(ECON_T, links)))
        known = model.reconstruct(learned.seen, learned.pedestals)
        informed = odds(known, learned.charges.astype(np.float64), learned.levels[None])
        for name, sample in samples.items():
            case = f"{name}_{links}_links"
            rows = np.random.default_rng(SEED).permutation(np.flatnonzero(occupancy(sample.charges) >= LEAST_CELLS))
            truth, seen = sample.charges[rows[:MODULES]], sample.seen[rows[:MODULES]]

            def figure(what: str, value: float, method: str, case: str = case) -> Metric:
                return record(f"{what}__case:{case}", round(float(value), 4), "", method, command=COMMAND)

            (best,) = (
                found.charges
                for found in reconstruct_baselines(seen, links, pedestals=sample.pedestals)
                if found.name == "best_choice"
            )
            sent = int((best > 0).sum(axis=1).max())
            share = np.sort(truth, axis=1)[:, -sent:].sum(axis=1) / truth.sum(axis=1)
            yield figure("largest", np.median(share), "median share of the charge in the cells that best choice sends")
            known = model.reconstruct(seen, sample.pedestals)
            assert sample.levels is not None
            for what, decoded, method in (
                ("best_choice", best, "best choice"),
                ("network", known, "decoder network"),
                ("search", searched(model, seen, known, sample.levels, model.search_odds)[1], "search"),
                ("informed", searched(model, seen, known, sample.levels, informed)[1], "search that expects electrons"),
            ):
                yield figure(what, np.median(earth_movers_distance(truth, decoded)), f"median EMD, {method}")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="*", metavar="NAME=FILE", help="charges of electrons, beside simulated ones")
    files = dict(word.split("=", 1) for word in parser.parse_args().files)
    samples = {"simulated": electrons(SEED)} | {
        name: seen_table(read_charge_table(path)) for name, path in files.items()
    }
    write_metrics(RESULTS / "electrons.json", list(figures(samples)))


if __name__ == "__main__":
    main()
