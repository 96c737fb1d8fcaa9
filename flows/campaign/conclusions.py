"""What follows from the sensitivities of weight bits: rankings compared, selective protection, rates in beam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from flows.campaign.beam import CROSSING_S, CROSSINGS_PER_DAY, FILL_S, Beam, Store, corrupted_fraction, shift_rate
from flows.campaign.hessian import HessianRanking, coverage
from flows.campaign.physics import Sensitivity
from flows.campaign.selective import bit_cost_um2, bits_for, pareto
from flows.common.metrics import Metric, find
from hw.common.scheme import Scheme
from hw.hgcal_encoder.coded_words import WordMap
from sim.hgcal_encoder.configuration.chip_registers import image_masks
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["TOPS", "beam_table", "conclusions", "charged"]

TOPS = (0.05, 0.1, 0.25, 0.5)
"""Parts of the bits whose share of the corruption is reported."""
WORDS_REUSE = 4
"""Multiplications of a multiplier in a crossing for `Scheme.SECDED_WORDS`, which takes some, where the spec has one."""
RANKINGS = {
    "by_power": "Hessian, times 2^place (FKeras)",
    "by_place": "Hessian, most significant bits first (FKeras)",
    "taylor": "second-order estimate of the loss",
}


def beam_table(sensitivity: Sensitivity, beam: Beam, reload_s: float = FILL_S) -> list[dict[str, Any]]:
    """Corrupted crossings of a chip per day by upsets of its weights, at the value and the ends of the cross-section.

    Returns
    -------
    list of dict
        ``scheme``, one row each, `Scheme.SECDED_WORDS` at `WORDS_REUSE`; ``upsets_per_day`` of the flip-flops that
        hold weights; ``corrupted_per_day`` [value, low, high] and ``fraction``, the part of all crossings;
        ``emd_shift``, the mean change of the EMD of a crossing by lost weights, where few are lost at a time.
    """
    spec, harm = sensitivity.spec, sensitivity.changed
    rows = sorted({address >> 4 for address in image_masks(spec)})
    scrub_s = (rows[-1] - rows[0] + 1) * CROSSING_S
    # a code word is a byte: it does the harm of its worst bit at least, and at most that of all
    padded = np.pad(harm, (0, -len(harm) % 8)).reshape(-1, 8)
    schemes = {
        Scheme.NONE: [Store(harm=harm)],
        Scheme.TMR_REGISTERS: [Store(harm=harm, flip_flops=3, corrects=1, scrub_s=CROSSING_S)],
        Scheme.TMR_MODULE: [Store(harm=harm, flip_flops=3, corrects=1, scrub_s=scrub_s)],
        Scheme.SECDED: [Store(harm=np.minimum(padded.sum(axis=1), 1.0), flip_flops=13, corrects=1, scrub_s=scrub_s)],
        Scheme.SECDED_WORDS: _word_stores(spec, harm),
    }
    found = []
    for scheme, stores in schemes.items():
        fractions = [corrupted_fraction(stores, rate, reload_s) for rate in beam.rates_hz]
        row: dict[str, Any] = {
            "scheme": str(scheme),
            "upsets_per_day": beam.rates_hz[0] * sum(len(s.harm) * s.flip_flops for s in stores) * 86400,
            "corrupted_per_day": [CROSSINGS_PER_DAY * fraction for fraction in fractions],
            "fraction": fractions[0],
        }
        if scheme is Scheme.NONE:
            row["emd_shift"] = shift_rate(sensitivity.emd_shift, beam.rates_hz[0], reload_s)
        found.append(row)
    return found


def _word_stores(spec: EncoderSpec, harm: npt.NDArray[np.float64]) -> list[Store]:
    """Weights in code words, each of which is reached once in as many crossings as there are words."""
    words = WordMap(spec=spec if spec.reuse > 1 else replace(spec, reuse=WORDS_REUSE))
    weight = {bit: number for number, bit in enumerate(words.field_bits["weights"])}
    by_size: dict[int, list[float]] = {}
    for word in words.words:
        if mine := [weight[bit] for bit in word.image_bits if bit in weight]:
            size = len(word.used) + words.dense.code.check_bits
            by_size.setdefault(size, []).append(min(float(harm[mine].sum()), 1.0))
    scrub_s = len(words.words) * CROSSING_S
    return [Store(harm=np.array(mine), flip_flops=size, corrects=1, scrub_s=scrub_s) for size, mine in by_size.items()]


def charged(spec: EncoderSpec, costs: Sequence[Metric]) -> tuple[float, float]:
    """Area that protects one bit, and area of the unprotected chip, in square micrometres.

    Raises
    ------
    GateError
        If one of the chips that it takes is not among the costs.
    """
    base = find(list(costs), "design__instance__area__case:none_direct").value
    return bit_cost_um2(spec, costs), float(base)


def conclusions(
    sensitivity: Sensitivity, ranking: HessianRanking, costs: Sequence[Metric] | None, beam: Beam | None = None
) -> dict[str, Any]:
    """Everything that the report shows beside the map.

    Parameters
    ----------
    sensitivity : Sensitivity
    ranking : HessianRanking
        Of the same network.
    costs : sequence of Metric, optional
        Of `flows.report.protection_cost.costs`; without them no areas are reported.
    beam : Beam, optional

    Returns
    -------
    dict
        Ready for JSON: ``sample``, ``elinks``, ``emd_median``, ``emd_mean``; ``bits``, ``idle_bits`` (no frame of the
        sample changes), ``largest_shift``, ``energy_change`` (largest), ``places`` (mean shift by place, least
        significant first), ``biases`` and ``kernel`` (share of the corruption); ``rankings`` with ``spearman`` and
        ``covered`` at `TOPS`; ``pareto`` by ranking; ``costs``, the metrics themselves; ``beam``.
    """
    spec, shift = sensitivity.spec, sensitivity.emd_shift
    width = spec.weight.width
    orders: dict[str, npt.NDArray[np.float64]] = {"measured change of the EMD": shift}
    orders |= {title: getattr(ranking, name) for name, title in RANKINGS.items()}
    tops = [round(part * len(shift)) for part in TOPS]
    table = [
        {
            "name": name,
            "spearman": float(spearmanr(scores, shift)[0]),
            "covered": [float(part) for part in coverage(shift, scores, tops)],
            "bits_for_90": bits_for(shift, scores, 0.9),
            "bits_for_99": bits_for(shift, scores, 0.99),
        }
        for name, scores in orders.items()
    ]
    taps = width * spec.kernel_taps * spec.filters
    by_parameter = shift.reshape(-1, width)
    result: dict[str, Any] = {
        "sample": sensitivity.source,
        "elinks": sensitivity.elinks,
        "emd_median": float(np.median(sensitivity.emd)),
        "emd_mean": float(sensitivity.emd.mean()),
        "bits": len(shift),
        "idle_bits": int((sensitivity.changed == 0).sum()),
        "largest_shift": float(shift.max()),
        "largest_displaced": float(sensitivity.displaced.max()),
        "energy_change": float(sensitivity.energy_change.max()),
        "places": [float(value) for value in by_parameter.mean(axis=0)],
        "kernel": float(shift[: taps + width * spec.filters].sum() / shift.sum()),
        "latent_biases": float(shift[-width * spec.latents :].sum() / shift.sum()),
        "eigenvalues": [float(value) for value in ranking.eigenvalues],
        "trace": ranking.trace,
        "rankings": table,
        "beam": beam_table(sensitivity, beam or Beam()),
    }
    if costs is not None:
        cost, base = charged(spec, costs)
        result["bit_cost_um2"] = cost
        result["base_area_um2"] = base
        result["pareto"] = {
            name: {"area_um2": points.area_um2.tolist(), "left": points.left.tolist()}
            for name, scores in orders.items()
            for points in [pareto(shift, scores, cost)]
        }
        result["costs"] = [metric.to_dict() for metric in costs]
    return result
