"""What flips of ECON_T's weights do, which to protect, what a beam makes of it: ``python -m benchmarks.sensitivity``.

Sensitivity of every weight bit on 512 modules, ranking by the Hessian, area against corruption, rates in beam. Writes
``benchmarks/results/sensitivity*.json`` and the pictures of ``docs/method/fault_campaign.md``. ``--kept FILE`` takes
the sensitivities that ``liquidcal sensitivity`` left instead of a minute of computing.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS, record
from flows.campaign.conclusions import TOPS, conclusions
from flows.campaign.hessian import hessian_ranking
from flows.campaign.physics import Sensitivity, physics_sample, weight_sensitivity
from flows.common.metrics import Metric, read_metrics, write_metrics
from flows.report import drawing
from flows.report.campaign_plots import lines_svg, sensitivity_svg
from sim.files import replacing
from sim.hgcal_encoder.learning.decoder import TrainedModel

ROOT = Path(__file__).resolve().parent
IMAGES = ROOT.parent / "docs" / "images"
MODEL = "econ_t_5elinks"
ORDERS = ("measured", "hessian_times_place", "hessian_msb_first", "second_order")
"""Orders of bits as `conclusions` lists them."""


def metric(name: str, value: float | str, unit: str, method: str) -> Metric:
    """A figure of this benchmark."""
    return record(name, value, unit, method, command="python -m benchmarks.sensitivity")


def main() -> None:
    """Compute and write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sensitivity", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--kept", type=Path, help="sensitivities of the same model and sample")
    options = parser.parse_args()
    model, sample = TrainedModel.load(MODEL), physics_sample()
    found = Sensitivity.load(options.kept) if options.kept else weight_sensitivity(model, sample)
    if (found.spec, found.elinks, len(found.emd)) != (model.spec, model.elinks, len(sample.charges)):
        raise SystemExit(f"{options.kept} is of another model or sample")
    result = conclusions(found, hessian_ranking(model, sample), read_metrics(RESULTS / "protection.json"))
    write_metrics(RESULTS / "sensitivity.json", weight_metrics(result))
    write_metrics(RESULTS / "sensitivity_rankings.json", ranking_metrics(result))
    write_metrics(RESULTS / "sensitivity_beam.json", beam_metrics(result))
    for name, picture in (("sensitivity_ECON_T", sensitivity_svg(found)), ("selective_ECON_T", pareto_svg(result))):
        with replacing(IMAGES / f"{name}.svg") as file:
            file.write(drawing.standalone(picture))


def weight_metrics(result: Mapping[str, Any]) -> list[Metric]:
    """What the worst flip does, and the mean one of each bit of a weight."""
    assert result["energy_change"] < 1e-12
    listed = [
        metric("weight__bits", result["bits"], "", "weight bits"),
        metric("weight__bits_idle", result["idle_bits"], "", "bits whose flip changes no frame of the sample"),
        metric("emd__median", round(result["emd_median"], 4), "", "median EMD without upset, low-density cells"),
        metric("emd__shift_largest", round(result["largest_shift"], 4), "", "largest mean EMD change by one bit"),
        metric(
            "energy__displaced_largest", round(100 * result["largest_displaced"], 2), "%",
            "largest mean part of the energy that one bit moves to other trigger cells",
        ),
        metric("energy__change_largest", 0, "", "change of the decoded module sum by any weight bit, rounding apart"),
        metric(
            "corruption__convolution", round(100 * result["kernel"], 2), "%", "share of the convolution's 480 bits"
        ),
        metric(
            "corruption__latent_biases", round(100 * result["latent_biases"], 2), "%",
            "share of the latent biases' 96 bits"
        ),
    ]  # fmt: skip
    width = len(result["places"])
    for place in range(width - 1, -1, -1):
        what = f"mean change of the EMD by a flip, {'sign' if place == width - 1 else f'bit {place}'}"
        listed.append(metric(f"emd__shift_bit{place}", round(result["places"][place], 5), "", what))
    return listed


def ranking_metrics(result: Mapping[str, Any]) -> list[Metric]:
    """How well each order of bits finds the corruption, and what protecting bits in that order costs."""
    ranked = []
    for case, row in zip(ORDERS, result["rankings"], strict=True):
        ranked.append(metric(f"spearman__case:{case}", round(row["spearman"], 3), "x", "with the measured change"))
        for top, part in zip(TOPS, row["covered"], strict=True):
            name = f"top_{100 * top:g}_percent__case:{case}"
            ranked.append(metric(name, round(100 * part, 1), "%", "corruption that these bits hold"))
        for percent in (90, 99):
            bits = row[f"bits_for_{percent}"]
            ranked.append(metric(f"bits_for_{percent}_percent__case:{case}", bits, "", "bits in this order"))
            area = bits * result["bit_cost_um2"]
            ranked.append(metric(f"area_for_{percent}_percent__case:{case}", area, "um2", "bits times cost of a bit"))
    return ranked


def beam_metrics(result: Mapping[str, Any]) -> list[Metric]:
    """Upsets of weights and corrupted crossings in a day, by scheme."""
    rates = []
    for row in result["beam"]:
        case = row["scheme"]
        upsets = round(row["upsets_per_day"], 1)
        rates.append(metric(f"weight_upsets_per_day__case:{case}", upsets, "", "rate times flip-flops"))
        for end, value in zip(("", "_low", "_high"), row["corrupted_per_day"], strict=True):
            name = f"corrupted_crossings_per_day{end}__case:{case}"
            rates.append(metric(name, float(f"{value:.3g}"), "", "closed formula, image loaded every 10 h"))
    return rates


def pareto_svg(result: Mapping[str, Any]) -> str:
    """Corruption that is left against the area that protects the bits which each order puts first."""
    lines = {
        name: ([area / 1e3 for area in points["area_um2"]], [100 * part for part in points["left"]])
        for name, points in result["pareto"].items()
    }
    return lines_svg(
        lines, x_label="area added by triplicating the highest-ranked bits, 10³ µm²", y_label="corruption left, %",
        x_top=max(max(x) for x, _ in lines.values()), y_top=100.0, form="{:.0f}",
    )  # fmt: skip


if __name__ == "__main__":
    main()
