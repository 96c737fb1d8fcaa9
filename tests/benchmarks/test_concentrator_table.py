"""The table of a concentrator's algorithms: figures are those of the committed results, under one name."""

from pathlib import Path

import pytest

from benchmarks.concentrator_table import collect
from benchmarks.measured import RESULTS, record
from flows.common.metrics import read_metrics, write_metrics


def test_every_figure_stands_in_the_results_that_it_names() -> None:
    rows = {metric.name: float(metric.value) for metric in collect(RESULTS)}

    def value(file: str, name: str) -> float:
        return float({metric.name: metric.value for metric in read_metrics(RESULTS / f"{file}.json")}[name])

    for name, found in {
        "per_crossing__case:best_choice": value("concentrator_energy", "per_crossing__case:best_choice"),
        "bits_worst__case:threshold_sum": value("concentrator_bits", "bits__worst__case:threshold_sum_5_links"),
        "emd_20_to_29_cells__case:super_trigger_cell": value(
            "emd_versus_bits", "super_trigger_cells__case:pu200_4_links_cells_20-29"
        ),
        "emd_8_to_12_cells__case:threshold_sum_tuned": value(
            "emd_versus_bits", "threshold_sum_tuned__case:pu200_5_links_cells_8-12"
        ),
        "response__case:autoencoder": value("energy_by_bits", "autoencoder_response__case:pu200_5_links_cells_8-12"),
        # the frame, 341 bits of 48 codes, and the latencies of the data sheet
        "bits_mean__case:repeater": 5 + 48 * 7,
        "latency__case:threshold_sum": 6,
        "latency__case:best_choice": 7,
        "latency__case:autoencoder": 8,
    }.items():
        assert rows[name] == found, name
    stages = ("dense", "convolution", "normalise")
    network = sum(value("area_ECON_T", f"design__instance__area__module:ECON_T_{stage}") for stage in stages)
    assert rows["area__case:autoencoder"] == round(network + value("concentrator_area", "area__case:frame"))


def test_a_block_without_area_is_an_error(tmp_path: Path) -> None:
    write_metrics(tmp_path / "concentrator_area.json", [record("area__case:frame", 1, "um2", "", command="none")])
    with pytest.raises(SystemExit, match="threshold_sum: areas of 0 blocks measured, expected 1"):
        collect(tmp_path)
