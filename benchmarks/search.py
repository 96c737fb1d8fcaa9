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
import numpy.typing as npt

from benchmarks.measured import RESULTS, record
from flows.common.metrics import Metric, write_metrics
from flows.learning.encoder import evaluation_sample, seen_table, sent_words
from sim.fixed_point import IntArray
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_name
from sim.hgcal_encoder.learning.metric import earth_movers_distance, occupancy
from sim.hgcal_encoder.learning.search import Found, Search, search
from sim.hgcal_encoder.learning.training import sent_latents
from sim.hgcal_encoder.normalise import sum_code
from sim.hgcal_encoder.spec import ECON_T

Floats = npt.NDArray[np.float64]

COMMAND = "python -m benchmarks.search"
BINS = ((1, 3), (4, 7), (8, 11), (12, 15), (16, 23), (24, 48))
LINKS = (3, 5)
SEED = 7


def figure(name: str, value: float, method: str) -> Metric:
    """A figure of this benchmark."""
    return record(name, round(float(value), 4), "", method, command=COMMAND)


def searched(
    model: TrainedModel, seen: IntArray, known: Floats, levels: IntArray, odds: Floats
) -> tuple[Found, Floats]:  # fmt: skip
    """What a search with these odds finds for charges (n, 48) that the chip sees, and the shares it answers with."""
    how = Search()
    found = search(
        sent_latents(model, seen), sum_code(seen.sum(axis=1)), known, levels, weights=model.weights,
        kept_bits=model.kept_bits, multiplexer=model.multiplexer, odds=odds, how=how,
    )  # fmt: skip
    trust = how.trust(found.misfits, found.cells, model.kept_bits * model.spec.latents)
    return found, found.shares(known, trust)


def figures(modules: int) -> Iterator[Metric]:
    """Medians by links and occupancy."""
    table = seen_table(evaluation_sample())
    assert table.levels is not None
    hits = occupancy(table.charges)
    for links in LINKS:
        model = TrainedModel.load(str(shipped_name(ECON_T, links)))
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
            found, shares = searched(model, seen, known, table.levels, model.search_odds)
            yield figure(f"search__case:{case}", median(shares), "median EMD, search")
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
