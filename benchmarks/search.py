"""What frames hold: decoding by search against the decoder network, ``python -m benchmarks.search``.

Simulated modules that no model was trained on, by occupancy: median EMD of the words themselves, of the network,
of the search, whose two halves `Search.trust` mixes, and of either half: sampling in the linear model, annealing in
exact arithmetic, with the misfit of annealing's states. Where states fit the latents and
still lie far from the truth, the encoder answers alike to unlike modules, and no decoder can tell them apart.
Writes ``benchmarks/results/search.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from benchmarks.measured import RESULTS, record
from flows.common.metrics import Metric, write_metrics
from flows.learning.encoder import evaluation_sample, seen_table, sent_words
from sim.hgcal_encoder.learning.decoder import TrainedModel
from sim.hgcal_encoder.learning.metric import earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.search import Search, search
from sim.hgcal_encoder.learning.training import sent_latents
from sim.hgcal_encoder.normalise import sum_code

COMMAND = "python -m benchmarks.search"
BINS = ((1, 3), (4, 7), (8, 11), (12, 15), (16, 23), (24, 48))
LINKS = (3, 5)
SEED = 7


def figure(name: str, value: float, method: str) -> Metric:
    """A figure of this benchmark."""
    return record(name, round(float(value), 4), "", method, command=COMMAND)


def figures(modules: int) -> Iterator[Metric]:
    """Medians by links and occupancy."""
    table = seen_table(evaluation_sample())
    assert table.levels is not None
    hits, how = occupancy(table.charges), Search()
    for links in LINKS:
        model = TrainedModel.load(f"econ_t_{links}elinks")
        for low, high in BINS:
            inside = np.flatnonzero((hits >= low) & (hits <= high))
            rows = np.random.default_rng(SEED).permutation(inside)[:modules]
            truth, seen = table.charges[rows], table.seen[rows]

            def median(decoded: np.ndarray, truth: np.ndarray = truth) -> float:
                return float(np.median(earth_movers_distance(truth, decoded)))

            case = f"{links}_links_cells_{low}-{high}"
            yield figure(f"words__case:{case}", median(sent_words(table)[rows]), "median EMD of the words themselves")
            known = model.reconstruct(seen, table.pedestals)
            yield figure(f"network__case:{case}", median(known), "median EMD, decoder network")
            found = search(
                sent_latents(model, seen), sum_code(seen.sum(axis=1)), known, table.levels, weights=model.weights,
                kept_bits=model.kept_bits, multiplexer=model.multiplexer, odds=model.search_odds, how=how,
            )  # fmt: skip
            trust = how.trust(found.misfits, found.cells, model.kept_bits * model.spec.latents)
            yield figure(f"search__case:{case}", median(found.shares(known, trust)), "median EMD, search")
            for half, charges in (("sampling", found.sampled), ("annealing", found.annealed)):
                alone = np.where(charges.any(axis=1, keepdims=True), charges, known)
                yield figure(f"{half}__case:{case}", median(alone), f"median EMD of {half} alone")
            misfit = np.median(found.misfits)
            yield figure(f"misfit__case:{case}", misfit, "median misfit of annealing's states, steps of a latent")
            yield figure(f"occupied__case:{case}", np.median(found.cells), "median of their occupied cells")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--modules", type=int, default=24, help="modules of each occupancy")
    write_metrics(RESULTS / "search.json", list(figures(parser.parse_args().modules)))


if __name__ == "__main__":
    main()
