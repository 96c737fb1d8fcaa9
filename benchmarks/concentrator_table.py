"""What each algorithm of a concentrator costs and gives, in one table: ``python -m benchmarks.concentrator_table``.

Measures nothing: takes area, energy, payload, distance and response from the committed results of the programs that
measured them, and latency from the hardware, into ``concentrator_table.json``. Run it after those.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.measured import RESULTS, Rows
from flows.common.metrics import Metric, read_metrics, write_metrics
from flows.stimulus.concentrator import LINKS
from hw.hgcal_encoder.concentrator_core import algorithm_latency
from sim.hgcal_encoder.concentrator_spec import AlgorithmNumber

_A = AlgorithmNumber
_BLOCKS = {
    _A.THRESHOLD_SUM: ("threshold_sum",), _A.SUPER_TRIGGER_CELL: ("super_trigger_cells",),
    _A.BEST_CHOICE: ("best_choice",), _A.REPEATER: (), _A.AUTOENCODER: ("frame",),
}  # fmt: skip
_NETWORK = ("dense", "convolution", "normalise")
_NAMES = {
    _A.THRESHOLD_SUM: ("threshold_sum", "threshold_sum"),
    _A.SUPER_TRIGGER_CELL: ("super_trigger_cell_type_3", "super_trigger_cells"),
    _A.BEST_CHOICE: ("best_choice", "best_choice"), _A.REPEATER: ("repeater", "repeater"),
    _A.AUTOENCODER: ("autoencoder", "autoencoder"),
}  # fmt: skip
"""Names in the results of payload, and of distance."""
_OCCUPANCIES = ("4-7", "8-12", "20-29")
_RESPONSE = "8-12"
_MOST_LINKS = 5
"""Of distance and response; the repeater needs eleven to send all cells."""
_SCHEME = "tmr_registers"


class _Results:
    """Committed figures by file and name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, dict[str, Metric]] = {}

    def find(self, file: str, name: str) -> Metric | None:
        """A figure, None if there is none of that name or no such file."""
        if file not in self._files:
            path = self._folder / f"{file}.json"
            self._files[file] = {metric.name: metric for metric in read_metrics(path)} if path.is_file() else {}
        return self._files[file].get(name)


def collect(folder: Path) -> Rows:
    """Rows of all algorithms from the results in a folder."""
    results, rows = _Results(folder), Rows("python -m benchmarks.concentrator_table")
    for number in AlgorithmNumber:
        case, links = number.label, LINKS[number]
        payload, distance = _NAMES[number]
        blocks = [("concentrator_area", f"area__case:{block}") for block in _BLOCKS[number]]
        if number is _A.AUTOENCODER:
            blocks += [("area_ECON_T", f"design__instance__area__module:ECON_T_{block}") for block in _NETWORK]
        areas = [found for file, name in blocks if (found := results.find(file, name)) is not None]
        if len(areas) != len(blocks):
            raise SystemExit(f"{case}: areas of {len(areas)} blocks measured, expected {len(blocks)}")
        rows.add(f"area__case:{case}", round(sum(float(area.value) for area in areas)), "um2",
                 "blocks that no other algorithm has, each synthesised alone on nangate45")  # fmt: skip
        protected = _protected(results, number, areas)
        if protected is not None:
            rows.add(f"area_protected__case:{case}", round(protected), "um2",
                     "the same with the registers inside in three copies")  # fmt: skip
        rows.add(f"latency__case:{case}", algorithm_latency(number), "clocks",
                 "from words to the eTx words sent in their crossing")  # fmt: skip
        rows.add(f"links__case:{case}", links, "", "of energy and payload")
        wanted = {
            "per_crossing": ("concentrator_energy", f"per_crossing__case:{case}"),
            "per_crossing_protected": ("concentrator_energy", f"per_crossing__case:{case}_{_SCHEME}"),
            "bits_mean": ("concentrator_bits", f"bits__mean__case:{payload}_{links}_links"),
            "bits_worst": ("concentrator_bits", f"bits__worst__case:{payload}_{links}_links"),
            "truncated": ("concentrator_bits", f"truncated__share__case:{payload}_{links}_links"),
        }
        _copy(results, rows, case, wanted | _seen(distance, links))
    _copy(results, rows, f"{_A.THRESHOLD_SUM.label}_tuned", _seen("threshold_sum_tuned", LINKS[_A.THRESHOLD_SUM]))
    return rows


def _protected(results: _Results, number: AlgorithmNumber, areas: list[Metric]) -> float | None:
    """Area of an algorithm's blocks with their registers in three copies; None if that was not measured."""
    registered = {_A.BEST_CHOICE: "best_choice", _A.AUTOENCODER: "autoencoder"}.get(number)
    if registered is None:
        return sum(float(area.value) for area in areas)
    found = results.find("concentrator_area", f"area__case:{registered}_{_SCHEME}")
    if found is None:
        return None
    frame = float(areas[0].value) if number is _A.AUTOENCODER else 0.0
    return float(found.value) + frame


def _seen(name: str, links: int) -> dict[str, tuple[str, str]]:
    """Where distance and response of a receiver are, by column."""
    on = f"pu200_{min(links, _MOST_LINKS)}_links_cells"
    return {
        **{f"emd_{cells.replace('-', '_to_')}_cells": ("emd_versus_bits", f"{name}__case:{on}_{cells}")
           for cells in _OCCUPANCIES},
        "response": ("energy_by_bits", f"{name}_response__case:{on}_{_RESPONSE}"),
    }  # fmt: skip


def _copy(results: _Results, rows: Rows, case: str, wanted: dict[str, tuple[str, str]]) -> None:
    """Rows of a case from where they were measured; what was not measured is left out."""
    for column, (file, name) in wanted.items():
        if (found := results.find(file, name)) is not None:
            rows.add(f"{column}__case:{case}", float(found.value), found.unit,
                     f"{found.method}; {file}.json, measured by {found.command} on {found.date[:10]}")  # fmt: skip


def main() -> None:
    """Collect and write."""
    write_metrics(RESULTS / "concentrator_table.json", collect(RESULTS))


if __name__ == "__main__":
    main()
