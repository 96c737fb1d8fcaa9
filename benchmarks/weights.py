"""Earth Mover's Distance of every shipped model: ``python -m benchmarks.weights [NAME=FILE ...]``.

Medians by occupancy, and means weighted by module energy, in exact chip arithmetic: charges are sent to the chip in
words, and what is decoded is compared with them. Those of whole files stand in the model cards; here busy modules of
simulated pile-up 200 are added, events of their own with the shower library of the training, and the spread between
trainings with different seeds where a card states it. On a part of each file `ECON_T`, and `TNS_2021` on 5 links,
are decoded by search, too (`sim.hgcal_encoder.learning.search`); `--search` measures those of `ECON_T` alone anew and
keeps the others.
Writes ``benchmarks/results/weights.json``, and
``benchmarks/results/emd_from_words.json``, where the other algorithms on as many links stand in the same rows.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measured import RESULTS, record, written_by
from flows.common.metrics import Metric, now, package_version, read_metrics, write_metrics
from flows.learning.encoder import evaluate_model
from sim.files import replacing
from sim.hgcal_encoder.detector.generator import Generator, ModuleImages
from sim.hgcal_encoder.detector.particles import BunchCrossings, PileUp, TopPairs
from sim.hgcal_encoder.files.readers import ChargeTable, read_charge_table
from sim.hgcal_encoder.learning.decoder import TrainedModel, shipped_models, shipped_name
from sim.hgcal_encoder.learning.metric import BINS, occupancy
from sim.hgcal_encoder.learning.search import Search
from sim.hgcal_encoder.spec import CELLS, ECON_T

RESULT = RESULTS / "weights.json"
BUSY_SEED, BUSY_CROSSINGS = 20_261_129, 2
"""Of `busy_sample`; no training uses the seed."""
PER_BIN = 300
"""Modules of each occupancy bin on which algorithms are compared."""
COLUMNS = (
    "ECON_T", "ECON_T_search", "TNS_2021", "TNS_2021_search", "best_choice", "best_choice_rest", "threshold_sum",
    "super_trigger_cells", "repeater",
)  # fmt: skip
"""Algorithms in the order of the table."""
_CARD = re.compile(r"^\| (\w+) \| (\d+)-(\d+) \| \d+ \| ([\d.]+) \| [\d.]+ \| [\d.]+ \| ([\d.]+) \|", re.MULTILINE)
_SPREAD = re.compile(r"^\| (\w+) \| (\d+)-(\d+) \|.* ([\d.]+) \|$", re.MULTILINE)


def card_spread(card: str) -> float | None:
    """Largest spread of a median in the three wide bins of a model card; None if it states none."""
    if "| spread |" not in card:
        return None
    rows = _SPREAD.findall(card)
    return max(float(spread) for _, low, high, spread in rows if (int(low), int(high)) in BINS)


def busy_sample() -> ChargeTable:
    """Modules of top pairs in pile-up 200, before encoding, `thinned`."""
    source = BunchCrossings(sources=(TopPairs(), PileUp(mean=200)))
    generator = Generator(source=source, seed=BUSY_SEED, background=PileUp(mean=200))
    images = ModuleImages.join(list(generator.stream(BUSY_CROSSINGS)))
    return thinned(ChargeTable(charges=images.unencoded.astype(np.int64), etas=images.eta))


def thinned(table: ChargeTable) -> ChargeTable:
    """At most `PER_BIN` modules of each occupancy bin, drawn at random."""
    hits = occupancy(table.charges)
    rng = np.random.default_rng(BUSY_SEED)
    parts = [rng.permutation(np.flatnonzero((hits >= low) & (hits <= high)))[:PER_BIN] for low, high in BINS]
    rows = np.sort(np.concatenate(parts))
    return ChargeTable(charges=table.charges[rows], etas=None if table.etas is None else table.etas[rows])


def comparison_tables(results: list[dict[str, Any]], command: str) -> dict[str, Any]:
    """Words, networks and other algorithms in the same rows: median EMD, in brackets the mean weighted by energy."""
    tables = []
    for name in (data["name"] for data in results[0]["data"]):
        rows = []
        for links in sorted({result["elinks"] for result in results}):
            here = [result for result in results if result["elinks"] == links]
            found = {result["preset"]: _data(result, name)["bins"] for result in here}
            others = {
                entry["name"]: entry["bins"] for result in here for entry in _data(result, name).get("baselines", [])
            }
            for number, (low, high) in enumerate(BINS):
                cells = {preset: bins[number]["emd"] for preset, bins in found.items()}
                cells |= {
                    f"{result['preset']}_search": _data(result, name)["search"]["bins"][number]["emd"]
                    for result in here
                    if "search" in _data(result, name)
                }
                cells |= {key: others[key][number]["emd"] for key in ("best_choice", "best_choice_rest")}
                cells["threshold_sum"] = others["threshold_sum"][number]["emd"]
                stc = [bins[number]["emd"] for key, bins in others.items() if key.startswith(("stc", "ctc"))]
                if stc:
                    cells["super_trigger_cells"] = min(stc, key=lambda emd: emd["median"])
                cells["repeater"] = others["repeater"][number]["emd"]
                best = min(cells, key=lambda key: cells[key]["median"])
                shown = [_shown(cells.get(key)) for key in COLUMNS]
                rows.append(
                    [
                        str(links),
                        f"{low}-{high}",
                        _shown(others["words"][number]["emd"]),
                        *shown,
                        best.replace("_", " "),
                    ]
                )
        columns = ["links", "cells", "words", *(key.replace("_", " ") for key in COLUMNS), "best"]
        tables.append({"title": name, "columns": columns, "rows": rows})
    note = (
        f"Median EMD in low-density cells, in brackets its mean weighted by module energy; at most {PER_BIN:,} modules "
        "of each occupancy. `words`: what the words themselves keep, code 0 read as no charge. `search`: decoded by "
        "search, which takes milliseconds a module. `best`: least median."
    )
    return written_by(command) | {"tables": tables, "notes": [note]}


def _data(result: dict[str, Any], name: str) -> dict[str, Any]:
    """What was found on one set of images."""
    (data,) = (data for data in result["data"] if data["name"] == name)
    return dict(data)


def _shown(emd: dict[str, float] | None) -> str:
    return "" if emd is None else f"{emd['median']:.3f} ({emd['weighted_mean']:.3f})"


def card_figures(card: str) -> dict[tuple[str, int, int], tuple[float, float]]:
    """Median and weighted mean by data and occupancy in a model card, which tests hold to the model on all rows."""
    return {
        (name, int(low), int(high)): (float(median), float(weighted))
        for name, low, high, median, weighted in _CARD.findall(card)
        if (int(low), int(high)) in BINS
    }


def evaluated(name: str, model: TrainedModel, samples: dict[str, ChargeTable], parts: Path | None) -> dict[str, Any]:
    """A model on all samples, with the other algorithms on as many links, or what the folder of parts has of it."""
    part = None if parts is None else parts / f"{name}.json"
    if part is not None and part.is_file():
        return dict(json.loads(part.read_text()))
    # the other algorithms do not depend on the network: once for each number of links; the search takes minutes
    current = name == shipped_name(model.spec, model.elinks)
    searched = current and (model.spec == ECON_T or model.elinks == 5)
    result = evaluate_model(
        model, samples, baselines=current and model.spec == ECON_T, search=Search() if searched else None
    )
    if part is not None:
        part.parent.mkdir(parents=True, exist_ok=True)
        with replacing(part) as file:
            json.dump(result, file)
    return result


def search_again(links: int, samples: dict[str, ChargeTable], cells: str | None) -> None:
    """Replace what the results have of the search of `ECON_T` on so many links, and the best of each row.

    `cells`: of these modules alone, as in ``8-48``. What is written is what the whole command gives.
    """
    name = shipped_name(ECON_T, links)
    assert name is not None
    model, path = TrainedModel.load(name), RESULTS / "emd_from_words.json"
    found = json.loads(path.read_text())
    rows = read_metrics(RESULT)
    for data, sample in samples.items():
        low, high = map(int, (cells or f"0-{CELLS}").split("-"))
        hits = occupancy(sample.charges)
        inside = ChargeTable(charges=sample.charges[(hits >= low) & (hits <= high)], etas=None)
        (entry,) = evaluate_model(model, {data: inside}, search=Search())["data"]
        (table,) = (table for table in found["tables"] if table["title"] == data)
        columns = table["columns"]
        for measured in entry["search"]["bins"]:
            if not measured["images"]:
                continue
            low, high = measured["occupancy"]
            rows = [
                replace(row, value=round(measured["emd"]["median"], 5), date=now())
                if row.name == f"{data}_search__cells:{low}-{high}__case:{name}"
                else row
                for row in rows
            ]
            (line,) = (line for line in table["rows"] if line[:2] == [str(links), f"{low}-{high}"])
            line[columns.index("ECON T search")] = _shown(measured["emd"])
            medians = {
                column: float(cell.split()[0])
                for column, cell in zip(columns, line, strict=True)
                if column.replace(" ", "_") in COLUMNS and cell
            }
            line[columns.index("best")] = min(medians, key=medians.__getitem__)
    write_metrics(RESULT, rows)
    with replacing(path) as file:
        json.dump(found | {"date": now()}, file, indent=1)
        file.write("\n")


def main() -> None:
    """Evaluate all shipped models and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.weights", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="*", metavar="NAME=FILE", help="charges, beside the busy sample")
    parser.add_argument("--parts", type=Path, help="folder that keeps what was found for each model; found ones stay")
    parser.add_argument("--only", action="append", help="evaluate these models into --parts, and write nothing else")
    parser.add_argument("--search", type=int, action="append", help="search on so many links alone, in the results")
    parser.add_argument("--cells", choices=[f"{low}-{high}" for low, high in BINS], help="only these, with --search")
    parser.add_argument("--no-busy", action="store_true", help="without the busy sample, with --search")
    options = parser.parse_args()
    words, parts = options.files, options.parts
    if options.only and parts is None:
        parser.error("--only needs --parts")
    samples: dict[str, ChargeTable] = {}
    found = parts is not None and all((parts / f"{name}.json").is_file() for name in options.only or shipped_models())
    if options.search or not found:
        samples = {name: thinned(read_charge_table(path)) for name, _, path in (word.partition("=") for word in words)}
        if not options.no_busy:
            samples["busy"] = busy_sample()
    command = " ".join(["python -m benchmarks.weights", *(f"{w.partition('=')[0]}={Path(w).name}" for w in words)])
    tool = f"liquidcal (numpy {package_version('numpy')}, POT {package_version('POT')})"
    results: list[dict[str, Any]] = []

    def metrics() -> Iterator[Metric]:
        for name, path in sorted(shipped_models().items()):
            model, card = TrainedModel.load(name), path.with_suffix(".md").read_text()
            result = evaluated(name, model, samples, parts)
            if name == shipped_name(model.spec, model.elinks):
                results.append(result)
            print(name, flush=True)

            def metric(quantity: str, value: float, method: str, case: str = name) -> Metric:
                return record(f"{quantity}__case:{case}", round(value, 5), "", method, command=command, tool=tool)

            yield metric("bits_per_latent", int(result["kept_bits"]), "bits of each latent that are sent")
            figures = card_figures(card)
            for entry in _data(result, "busy")["bins"]:
                low, high = entry["occupancy"]
                figures["busy", low, high] = entry["emd"]["median"], entry["emd"]["weighted_mean"]
            for (data, low, high), (median, weighted) in figures.items():
                where = "in low-density cells, from words, exact chip arithmetic"
                where += "" if data == "busy" else ", from the model card"
                yield metric(f"{data}__cells:{low}-{high}", median, f"median Earth Mover's Distance {where}")
                method = f"mean Earth Mover's Distance weighted by module energy, {where}"
                yield metric(f"{data}_weighted__cells:{low}-{high}", weighted, method)
            for data in result["data"]:
                for entry in data.get("search", {"bins": []})["bins"]:
                    low, high = entry["occupancy"]
                    where = f"decoded by search, up to {PER_BIN} modules"
                    value, cells = entry["emd"]["median"], f"cells:{low}-{high}"
                    yield metric(f"{data['name']}_search__{cells}", value, f"median Earth Mover's Distance, {where}")
            spread = card_spread(card)
            if spread is not None:
                method = "largest difference of a median between trainings with different seeds, from the model card"
                yield metric("spread", spread, method)

    if options.search:
        for links in options.search:
            search_again(links, samples, options.cells)
        return
    if options.only:
        for name in options.only:
            evaluated(name, TrainedModel.load(name), samples, parts)
        return
    write_metrics(RESULT, list(metrics()))
    with replacing(RESULTS / "emd_from_words.json") as file:
        json.dump(comparison_tables(results, command), file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
