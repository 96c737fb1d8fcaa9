"""Earth Mover's Distance against output bits, autoencoder and baselines: ``python -m benchmarks.baselines_bits``.

Same images, same links, every algorithm bit-exact, from what the chip has of eRx words, compared with the charges
before encoding: shipped autoencoders through their decoder, `ECON_T` by search, too, for which no trigger has the time;
best choice with and without the sum of the rest spread
over the cells it dropped; threshold sum at 1.35 transverse MIP through its output buffer, and with each chip's
threshold as low as its links allow (at most 1 % of its crossings truncated); super trigger cells of every type that
carries the whole module, the better of sum on the largest cell and sum spread; the repeater; and the words themselves,
which no algorithm can beat. Samples: top pairs in pile-up 200 of the shower generator (other seed than any training),
each module with its own density and calibration, with pseudorapidity; and, where the shared data is at hand, the public
CMS-simulation rows, which nothing was trained on, sent at low density with calibration 1.

Writes benchmarks/results/{emd_versus_bits,emd_by_eta,energy_by_bits,conservation,algorithm_map}.json and
docs/images/emd_versus_bits.svg.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measured import record, written_by
from benchmarks.style import figure, save
from flows.common.metrics import Metric, write_metrics
from flows.learning.encoder import seen_by_chip
from sim.files import replacing
from sim.hgcal_encoder.algorithms.comparison import reconstruct_baselines
from sim.hgcal_encoder.algorithms.output_buffer import Admission
from sim.hgcal_encoder.algorithms.threshold_sum import ThresholdSum
from sim.hgcal_encoder.calibrate import calibrate
from sim.hgcal_encoder.decode import decode
from sim.hgcal_encoder.detector.detector import Detector
from sim.hgcal_encoder.detector.generator import Generator, ModuleImages
from sim.hgcal_encoder.detector.particles import BunchCrossings, PileUp, TopPairs
from sim.hgcal_encoder.files.readers import read_charges
from sim.hgcal_encoder.float_code import CELL
from sim.hgcal_encoder.front_end import by_trigger_cell, levels
from sim.hgcal_encoder.learning.conservation import conserve, relative_covariance
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_name
from sim.hgcal_encoder.learning.features import sum_of_code
from sim.hgcal_encoder.learning.metric import ETA_BINS, Comparison, compare, occupancy, summarise
from sim.hgcal_encoder.learning.training_images import PLAIN
from sim.hgcal_encoder.normalise import sum_code
from sim.hgcal_encoder.spec import CELLS, ECON_T, TNS_2021

REPOSITORY = Path(__file__).resolve().parent.parent
COMMAND = "python -m benchmarks.baselines_bits"
LINKS = (2, 3, 4, 5)
SEED = 20_261_123
BUSY = (13, 48)
"""More than 12 cells."""
THRESHOLDS = (2, 4, 8, 12, 18, 26, 35, 47, 70, 140, 1 << 21)
"""Counts of CALQ that a chip's threshold may take when it is tuned; 35 are one transverse MIP."""
MAY_TRUNCATE = 0.01
LEAST_IMAGES = 20
"""Modules that a median is taken of, at least."""
SIMULATED_BINS = ((1, 3), (4, 7), (8, 12), (13, 19), (20, 29), (30, 48))
PUBLIC_BINS = ((1, 3), (4, 7), (8, 12), (13, 48))
COLOURS = {
    "autoencoder": "#c0392b",
    "autoencoder_search": "#641e16",
    "autoencoder_4x4x3": "#e59866",
    "best_choice": "#1f618d",
    "best_choice_rest": "#5dade2",
    "threshold_sum": "#27ae60",
    "threshold_sum_tuned": "#82c99d",
    "super_trigger_cells": "#7d3c98",
    "repeater": "#7f8c8d",
    "words": "#17202a",
}
SLOW = "autoencoder_search"
"""Takes milliseconds a module: in analysis, not in a trigger."""
FIXED_LATENCY = (
    "autoencoder",
    "autoencoder_4x4x3",
    "best_choice",
    "best_choice_rest",
    "super_trigger_cells",
    "repeater",
)
"""Algorithms that send a crossing of any module in its own frame."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Images to compare on.

    Attributes
    ----------
    charges : ndarray of int64, shape (n, 48)
        What the chips see: all rows, in the order in which they reach the output buffers.
    truth : ndarray of float64, shape (n, 48)
        The same before encoding.
    pedestals : ndarray, shape (n, 48)
        What `charges` have where nothing was sent.
    chips : ndarray of int64, shape (n,)
        Chip of each row; each has equally many rows, which are its crossings in order.
    settle : int
        Crossings of a chip that only fill its buffer.
    rows : ndarray of int64
        Rows that are compared: up to a number per occupancy bin.
    levels : ndarray of int64, shape (48, 128) or (rows, 48, 128)
        Charge of each 4E3M code on the chips of these rows.
    """

    name: str
    title: str
    charges: NDArray[np.int64]
    truth: NDArray[np.float64]
    pedestals: NDArray[np.int64]
    high_density: NDArray[np.bool_]
    chips: NDArray[np.int64]
    settle: int
    etas: NDArray[np.float64] | None
    bins: tuple[tuple[int, int], ...]
    rows: NDArray[np.int64]
    levels: NDArray[np.int64]


def choose(
    truth: NDArray[np.float64], bins: tuple[tuple[int, int], ...], per_bin: int, first: int = 0
) -> NDArray[np.int64]:
    """Up to `per_bin` rows of every occupancy bin, from row `first` on."""
    rng = np.random.default_rng(SEED)
    hits = occupancy(truth)
    hits[:first] = 0
    parts = [rng.permutation(np.flatnonzero((hits >= low) & (hits <= high)))[:per_bin] for low, high in bins]
    return np.sort(np.concatenate(parts))


def simulated(crossings: int, settle: int, per_bin: int) -> Sample:
    """Top pairs in pile-up 200; the first crossings only fill the output buffers."""
    source = BunchCrossings(sources=(TopPairs(), PileUp(mean=200)))
    generator = Generator(source=source, seed=SEED, background=PileUp(mean=200))
    images = ModuleImages.join(list(generator.stream(crossings)))
    truth = images.unencoded.astype(np.float64)
    rows = choose(truth, SIMULATED_BINS, per_bin, int(np.searchsorted(images.bx, settle)))
    return Sample(
        name="pu200",
        title="simulated top pairs in pile-up 200",
        charges=images.charges,
        truth=truth,
        pedestals=images.pedestals.astype(np.int64),
        high_density=images.high_density,
        chips=images.site,
        settle=settle,
        etas=images.eta,
        bins=SIMULATED_BINS,
        rows=rows,
        levels=chip_levels(generator.detector, images.site[rows]),
    )


def chip_levels(detector: Detector, sites: NDArray[np.int64]) -> NDArray[np.int64]:
    """Charge of each 4E3M code on the chips of these sites, shape (sites, 48, 128)."""
    dense = detector.site_high_density[sites]
    out = np.empty((len(sites), CELLS, CELL.max_code + 1), np.int64)
    for high_density in (False, True):
        here = dense == high_density
        decoded = decode(np.arange(CELL.max_code + 1), high_density)
        out[here] = calibrate(decoded[None, None], detector.calibration[sites[here]][:, :, None])
    return out


def public(per_bin: int) -> Sample | None:
    """CMS-simulation rows, if they are at hand, dealt to a hundred chips: no row is empty, so buffers fare worse."""
    folder = Path(os.environ.get("LIQUIDCAL_DATA", REPOSITORY.parent / "shared" / "data"))
    path = folder / "hgcal" / "ttbar_0PU.csv"
    if not path.is_file():
        return None
    truth = read_charges(path)
    truth = truth[: len(truth) // 100 * 100]
    charges, pedestals = seen_by_chip(truth, PLAIN)
    return Sample(
        name="cms",
        title="public CMS simulation, top pairs without pile-up",
        charges=charges,
        truth=truth.astype(np.float64),
        pedestals=np.broadcast_to(pedestals, charges.shape),
        high_density=np.zeros(len(charges), np.bool_),
        chips=np.arange(len(charges)) % 100,
        settle=16,
        etas=None,
        bins=PUBLIC_BINS,
        rows=choose(truth.astype(np.float64), PUBLIC_BINS, per_bin, 16 * 100),
        levels=by_trigger_cell(levels(PLAIN), PLAIN).T,
    )


def comparisons(sample: Sample, links: int, known: dict[str, Comparison]) -> dict[str, Comparison]:
    """Every algorithm on the chosen rows. `known` keeps what does not depend on the links."""
    truth, seen, pedestals = sample.truth[sample.rows], sample.charges[sample.rows], sample.pedestals[sample.rows]
    etas = None if sample.etas is None else sample.etas[sample.rows]
    found: dict[str, Comparison] = {}
    for spec, name in ((ECON_T, "autoencoder"), (TNS_2021, "autoencoder_4x4x3")):
        if shipped := shipped_name(spec, links):
            model = TrainedModel.load(shipped)
            found[name] = compare(truth, model.reconstruct(seen, pedestals), etas=etas)
            if spec is ECON_T:
                found[SLOW] = compare(truth, model.reconstruct_by_search(seen, sample.levels), etas=etas)
    if "words" not in known:
        known["words"] = compare(truth, np.where(seen > pedestals, seen, 0), etas=etas)
    found["words"] = known["words"]
    for baseline in reconstruct_baselines(
        sample.charges,
        links,
        high_density=sample.high_density,
        chips=sample.chips,
        rows=sample.rows,
        pedestals=sample.pedestals,
    ):
        if baseline.name.startswith(("stc", "ctc")):
            if baseline.name not in known:
                known[baseline.name] = compare(truth, baseline.charges, etas=etas)
            found[baseline.name] = known[baseline.name]
        else:
            found[baseline.name] = compare(truth, baseline.charges, etas=etas)
        print(
            f"  {links} links {baseline.name}: {baseline.bits:.0f} bits, {100 * baseline.truncated:.1f} % truncated",
            flush=True,
        )
    charges, bits, truncated = tuned_threshold_sum(sample, links)
    found["threshold_sum_tuned"] = compare(truth, charges, etas=etas)
    print(f"  {links} links threshold_sum_tuned: {bits:.0f} bits, {100 * truncated:.1f} % truncated", flush=True)
    return found


def tuned_threshold_sum(sample: Sample, links: int) -> tuple[NDArray[np.float64], float, float]:
    """Threshold sum, the lowest threshold for every chip that its links bear: charges, mean bits, share truncated."""
    order = np.argsort(sample.chips, kind="stable").reshape(sample.chips.max() + 1, -1).T  # (crossings, chips)
    best = np.full(order.shape[1], -1)
    admissions = np.zeros(len(sample.charges), np.int64)
    for number, threshold in enumerate(THRESHOLDS):
        model = ThresholdSum(etx_count=links, thresholds=np.full(48, threshold))
        taken = model.admit(model.words(sample.charges)[order])
        fits = (taken[sample.settle :] != Admission.FULL).mean(axis=0) <= MAY_TRUNCATE
        new = fits & (best < 0)
        best[new] = number
        admissions[order[:, new]] = taken[:, new]
    out = np.zeros((len(sample.rows), 48))
    bits = np.zeros(len(sample.rows))
    for number, threshold in enumerate(THRESHOLDS):
        for drop, dense in ((1, False), (3, True)):
            here = (best[sample.chips[sample.rows]] == number) & (sample.high_density[sample.rows] == dense)
            if here.any():
                model = ThresholdSum(etx_count=links, thresholds=np.full(48, threshold), drop=drop)
                part = sample.charges[sample.rows[here]]
                taken = admissions[sample.rows[here]]
                image = model.reconstruct(part, taken)
                alone = model.sent(part) & (taken == Admission.FULL)[:, None]
                out[here] = np.where(alone, image, np.maximum(image - sample.pedestals[sample.rows[here]], 0.0))
                size = model.packet_bits(model.sent(part).sum(axis=1))
                bits[here] = np.where(taken == Admission.FULL, size, 16)
    return out, float(bits.mean()), float((admissions[sample.rows] != Admission.FULL).mean())


def families(medians: dict[str, float]) -> dict[str, float]:
    """One figure per algorithm: the best variant of super trigger cells."""
    cells = [value for name, value in medians.items() if name.startswith(("stc", "ctc"))]
    return {name: medians[name] for name in COLOURS if name in medians} | (
        {"super_trigger_cells": min(cells)} if cells else {}
    )


def metric(name: str, value: float, unit: str, method: str) -> Metric:
    """A figure of this benchmark."""
    return record(name, round(float(value), 4), unit, method, command=COMMAND)


def label(low: int, high: int) -> str:
    """Occupancy in words."""
    return f"{low}-{high}" if high < 48 else f"{low}_and_more"


def tables(sample: Sample, found: dict[int, dict[str, Comparison]]) -> dict[str, list[Metric]]:
    """Metrics by results file."""
    out: dict[str, list[Metric]] = {"emd_versus_bits": [], "emd_by_eta": [], "energy_by_bits": []}
    for links, algorithms in found.items():
        for low, high in sample.bins:
            parts = {
                n: summarise(c.emd, c.occupancies, [(low, high)], weights=c.energies)[0] for n, c in algorithms.items()
            }
            case = f"{sample.name}_{links}_links_cells_{label(low, high)}"
            medians = families({n: part.median for n, part in parts.items()})
            for name, value in medians.items():
                method = f"median EMD in low-density cells, {sample.title}"
                out["emd_versus_bits"].append(metric(f"{name}__case:{case}", value, "", method))
            for name, value in families({n: part.weighted_mean for n, part in parts.items()}).items():
                method = f"mean EMD weighted by module energy, {sample.title}"
                out["emd_versus_bits"].append(metric(f"{name}_weighted__case:{case}", value, "", method))
            best = min((name for name in medians if name not in ("words", SLOW)), key=medians.__getitem__)
            method = f"algorithm of the least median EMD that a trigger has the time for, {sample.title}"
            row = record(f"best__case:{case}", best.replace("_", " "), "", method, command=COMMAND)
            out["emd_versus_bits"].append(row)
        if sample.etas is not None:
            for number, (low, high) in enumerate(ETA_BINS):
                medians = {}
                for name, c in algorithms.items():
                    part = summarise(c.emd, c.occupancies, [BUSY], etas=c.etas)[number]
                    if part.count >= LEAST_IMAGES:
                        medians[name] = part.median
                case = f"{sample.name}_{links}_links_eta_{low}-{high}"
                for name, value in families(medians).items():
                    method = f"median EMD of modules with more than 12 cells, {sample.title}"
                    out["emd_by_eta"].append(metric(f"{name}__case:{case}", value, "", method))
        for low, high in ((1, 7), (8, 12), BUSY):
            case = f"{sample.name}_{links}_links_cells_{label(low, high)}"
            for name in ("autoencoder", "best_choice", "best_choice_rest", "threshold_sum_tuned"):
                if name in algorithms:
                    c = algorithms[name]
                    response = summarise(c.response, c.occupancies, [(low, high)])[0]
                    method = f"decoded over true module sum, {sample.title}"
                    out["energy_by_bits"] += [
                        metric(f"{name}_response__case:{case}", response.median, "", f"median of {method}"),
                        metric(f"{name}_resolution__case:{case}", response.width, "", f"width (68 %) of {method}"),
                    ]
    return out


def algorithm_map(sample: Sample, found: dict[int, dict[str, Comparison]]) -> dict[str, Any]:
    """Which algorithm for which module, as text: by links, occupancy and pseudorapidity."""
    columns = ["links", "cells", *(f"eta {low}-{high}" for low, high in ETA_BINS)]
    titles = {
        "every algorithm": tuple(name for name in COLOURS if name != SLOW),
        "fixed latency": FIXED_LATENCY,
        "in analysis, the autoencoder decoded by search": tuple(COLOURS),
    }
    out = []
    for title, allowed in titles.items():
        rows = []
        for links, algorithms in found.items():
            for low, high in sample.bins:
                cells = []
                for number in range(len(ETA_BINS)):
                    medians = {}
                    for name, c in algorithms.items():
                        part = summarise(c.emd, c.occupancies, [(low, high)], etas=c.etas)[number]
                        if part.count >= LEAST_IMAGES:
                            medians[name] = part.median
                    kept = {n: v for n, v in families(medians).items() if n in allowed and n != "words"}
                    cells.append(_winner(kept))
                rows.append([str(links), label(low, high).replace("_", " "), *cells])
        out.append({"title": title, "columns": columns, "rows": rows})
    note = (
        f"Least median EMD, {sample.title}, from words; in brackets that of the better autoencoder where another "
        f"algorithm has less; - has fewer than {LEAST_IMAGES} modules. Threshold sum's latency varies with its buffer."
    )
    return written_by(COMMAND) | {"tables": out, "notes": [note]}


def _winner(medians: dict[str, float]) -> str:
    """Best algorithm and its EMD, in bold where it is an autoencoder."""
    if not medians:
        return "-"
    best = min(medians, key=medians.__getitem__)
    text = f"{best.replace('_', ' ')} {medians[best]:.2f}"
    ours = min(value for name, value in medians.items() if name.startswith("autoencoder"))
    return f"**{text}**" if best.startswith("autoencoder") else f"{text} ({ours:.2f})"


def draw(results: list[tuple[Sample, dict[int, dict[str, Comparison]]]], path: Path) -> None:
    """One row of panels per sample, one panel per occupancy bin: median EMD over bits of the links."""
    shown = {"pu200": ((4, 7), (8, 12), (13, 19), (20, 48)), "cms": PUBLIC_BINS}
    sheet, axes = figure(len(results), 4, width=11, height=3.1 * len(results))
    for row, (sample, found) in enumerate(results):
        for column, (low, high) in enumerate(shown[sample.name]):
            axis = axes[row][column]
            lines: dict[str, list[tuple[int, float, float]]] = {}
            for links, algorithms in found.items():
                parts = {n: summarise(c.emd, c.occupancies, [(low, high)])[0] for n, c in algorithms.items()}
                best = families({n: p.median for n, p in parts.items()})
                for name, value in best.items():
                    error = parts[name].median_error if name in parts else 0.0
                    lines.setdefault(name, []).append((32 * links, value, error))
            for name, points in lines.items():
                x, y, error = zip(*points, strict=True)
                text = name.replace("_", " ").replace("best choice rest", "best choice, rest spread")
                axis.errorbar(x, y, error, color=COLOURS[name], marker="o", markersize=4, label=text)
            axis.set_xticks([32 * links for links in LINKS])
            axis.set_ylim(0, None)
            axis.set_title(f"{low} to {high} cells" if high < 48 else f"{low} and more cells")
            if row == len(results) - 1:
                axis.set_xlabel("output bits per crossing")
        axes[row][0].set_ylabel(f"{sample.title.split(',')[0]}\nmedian EMD")
    handles = {}
    for axis in np.ravel(axes):
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    sheet.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
    save(sheet, path)


def conservation(sample: Sample, links: int = 3) -> list[Metric]:
    """EMD and energy with and without the update onto the module sum, some trigger cells dead."""
    rng = np.random.default_rng(SEED)
    rows = sample.rows[rng.permutation(len(sample.rows))]
    half = len(rows) // 2
    model = TrainedModel.load(str(shipped_name(ECON_T, links)))
    learn, test = rows[:half], rows[half:]
    known = model.reconstruct(sample.charges[learn], sample.pedestals[learn])
    learned = relative_covariance(sample.truth[learn], known)
    truth, seen, empty = sample.truth[test], sample.charges[test], sample.pedestals[test]
    dense = sample.high_density[test]
    out: list[Metric] = []

    def add(case: str, images: NDArray[np.float64], ways: dict[str, NDArray[np.float64]]) -> None:
        for way, decoded in ways.items():
            c = compare(images, decoded)
            kept = np.isfinite(c.emd)
            response = summarise(c.response[kept], np.full(kept.sum(), 1))[0]
            for name, value, unit in (
                ("emd", float(np.median(c.emd[kept])), ""),
                ("response", response.median, ""),
                ("resolution", response.width, ""),
            ):
                method = f"{name}, {way.replace('_', ' ')}, {sample.title}"
                out.append(metric(f"{name}_{way}__case:{case}", value, unit, method))

    for dead_cells in (0, 2, 6):
        dead = np.zeros(truth.shape, np.bool_)
        for row in range(len(dead)):
            dead[row, rng.choice(48, dead_cells, replace=False)] = True
        left = np.where(dead, 0, truth).any(axis=1)
        images, masks = np.where(dead, 0, truth)[left], dead[left]
        decoded = model.reconstruct(np.where(dead, empty, seen)[left], empty[left])
        sums = decoded.sum(axis=1)
        cleared = np.where(masks, 0.0, decoded)
        ways = {
            "without": cleared,
            "with": conserve(decoded, sums, masked=masks),
            "with_covariance": conserve(decoded, sums, masked=masks, covariance=learned),
        }
        add(f"autoencoder_{links}_links_{dead_cells or 'no'}_dead_cells", images, ways)
    for spread in ("best_choice", "super_trigger_cells"):
        baselines = {r.name: r for r in reconstruct_baselines(seen, links, high_density=dense, pedestals=empty)}
        decoded = baselines["best_choice" if spread == "best_choice" else "ctc4_4e3m_even"].charges
        sums = np.maximum(sum_of_code(sum_code(seen.sum(axis=1))) - empty.sum(axis=1), 1.0)
        ways = {"without": decoded}
        if spread == "best_choice":  # the cells sent are known, the others are not
            ways["with"] = conserve(decoded, sums, variances=(decoded == 0).astype(float))
        else:
            ways["with"] = conserve(decoded, sums)
        add(f"{spread}_{links}_links", truth, ways)
    return out


def main() -> None:
    """Compare, write results, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--per-bin", type=int, default=150, help="images per occupancy bin")
    parser.add_argument("--crossings", type=int, default=24, help="simulated crossings")
    parser.add_argument("--out", type=Path, default=REPOSITORY)
    options = parser.parse_args()
    settle = min(16, options.crossings // 2)
    samples = [simulated(options.crossings, settle, options.per_bin), public(options.per_bin)]
    results: list[tuple[Sample, dict[int, dict[str, Comparison]]]] = []
    files: dict[str, list[Metric]] = {}
    for sample in samples:
        if sample is None:
            print("public CMS rows are not at hand: left out")
            continue
        print(f"{sample.title}: {len(sample.rows):,} of {len(sample.charges):,} images", flush=True)
        known: dict[str, Comparison] = {}
        found = {links: comparisons(sample, links, known) for links in LINKS}
        results.append((sample, found))
        for name, metrics in tables(sample, found).items():
            files.setdefault(name, []).extend(metrics)
    files["conservation"] = conservation(results[0][0])
    chart = algorithm_map(*results[0])
    folder = options.out / "benchmarks" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    for name, metrics in files.items():
        write_metrics(folder / f"{name}.json", metrics)
    with replacing(folder / "algorithm_map.json") as file:
        json.dump(chart, file, indent=1, ensure_ascii=False)
        file.write("\n")
    draw(results, options.out / "docs" / "images" / "emd_versus_bits.svg")


if __name__ == "__main__":
    main()
