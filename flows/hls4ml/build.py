"""What ``build`` of a converted graph does, and its report: hls4ml's keys, and what only an ASIC flow knows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy.typing as npt

from flows.campaign.network import Harm, WeightUpsets, weight_upsets
from flows.common.journal import Journal
from flows.common.metrics import find, read_metrics
from flows.designs.network import NetworkDesign
from flows.physical.fpga import DEVICES
from flows.steps.fpga import FpgaOptions, place_on_fpga
from flows.steps.power import POWER, PowerOptions
from flows.steps.proofs import ProofOptions, prove_design
from flows.steps.step import Step
from flows.steps.synthesis import SYNTHESIS
from flows.steps.timing import TIMING
from flows.steps.verification import VERIFICATION, VerificationOptions
from flows.synthesis.result import load_result
from hw.common.scheme import Scheme
from sim.chip_registers import Loading
from sim.network.weights import NetworkWeights

__all__ = ["ASIC", "build"]

ASIC = "asic"
"""Folder of results below the output folder of the configuration."""


def build(
    weights: NetworkWeights,
    output_dir: Path,
    *,
    reset: bool = False,
    synth: bool = True,
    timing: bool = True,
    power: bool = True,
    verify: bool = True,
    prove: bool = False,
    frozen: bool = False,
    protect: str = "none",
    loading: str = "",
    reuse: int = 1,
    fpga: str = "",
    upsets: npt.ArrayLike | None = None,
    harm: str | Harm = "class",
    upset_bits: int | None = None,
    library: str = "auto",
    samples: int = NetworkDesign.crossings_in_flow,
    mutants: int = 0,
) -> dict[str, Any]:
    """Synthesise, time, measure and verify a network; a step whose inputs are unchanged is kept.

    Parameters
    ----------
    weights : NetworkWeights
    output_dir : Path
        ``OutputDir`` of the configuration; results are in its folder ``asic``.
    reset : bool
        Remove earlier results first.
    synth : bool
        Map to a cell library: area and flip-flops.
    timing : bool
        Slack at the clock of the configuration, by OpenSTA; with `synth` only.
    power : bool
        Power of random samples under these weights, every code compared with the golden model; with `synth` only.
    verify : bool
        RTL against the golden model on `samples` samples, a quarter of them under these weights (all, if `frozen`).
    prove : bool
        Proofs of `flows.steps.network_proofs`: of every kind of dot product, or of every output if `frozen`; of every
        kind of protected storage with `protect`.
    frozen : bool
        Fold the weights into the logic; otherwise they are loaded.
    protect : str
        Scheme of protection against upsets: ``none``, or ``tmr_registers``, three copies and a voter of every register
        and of every stored weight; with `loading` also ``secded``, code words of weights.
    loading : str
        The chip with I2C, which takes weights ``direct`` or ``guarded``; not with `frozen` or `reuse`.
    reuse : int
        Multiplications of a sample that a multiplier serves; a graph passes the ``ReuseFactor`` of its layers.
    fpga : str
        A device or ``auto``, as ``liquidcal fpga --device`` takes it: place and route there, too.
    upsets : array_like of float, shape (n, *input_shape), optional
        Samples on which every bit of the weights is inverted in turn; see `flows.campaign.network`.
    harm : str or callable
        Measure of harm: ``class``, ``error``, or a function of results without and with the flip.
    upset_bits : int, optional
        Bits to try, drawn at random; all if left out.
    library : str
        As ``liquidcal synth --library`` takes it.
    samples, mutants : int
        Of the verification.

    Returns
    -------
    dict
        ``CSynthesisReport`` with hls4ml's keys, all text, and ``AsicReport``: library, ``area_um2``, ``kge``,
        ``setup_slack_ns``, ``power_mw``, ``energy_per_sample_pj``, ``codes_compared`` on the gates,
        ``samples_compared`` on the RTL, ``proofs`` that closed, ``fpga``: device, ``logic_cells``, ``fmax_mhz``, and
        whether all checks ``passed``; ``upsets``: ``bits`` tried, ``mean_harm`` of a flip and its standard ``error``,
        part of them ``harmless``, ``by_layer``, and unprotected ``per_day`` in the highest flux in HGCAL. What was not
        asked for is not in it.

    Raises
    ------
    ValueError
        If `loading` comes with what it cannot be had with, or `protect` without it.
    LibraryError, SimulatorError and errors of other tools
        If one is missing or fails.
    """
    results = output_dir / ASIC
    if reset:
        shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True, exist_ok=True)
    file = results / "weights.npz"
    if not (file.is_file() and _same(file, weights)):
        weights.save(file)
    design = NetworkDesign(
        spec=weights.spec,
        frozen=str(file) if frozen else "",
        library=library,
        scheme=Scheme(protect),
        loading=Loading(loading) if loading else None,
        factor=reuse,
    )
    folder, journal = results / design.name, Journal()
    loaded = None if frozen else file
    steps: list[tuple[Step, Any, bool]] = [
        (SYNTHESIS, None, synth),
        (TIMING, None, synth and timing),
        (POWER, PowerOptions(streams=64, weights=loaded), synth and power),
        (VERIFICATION, VerificationOptions(crossings=samples, mutants=mutants, proofs=False, weights=loaded), verify),
    ]
    done = {step.name for step, _, wanted in steps if wanted}
    for step, options, wanted in steps:
        if wanted:
            step.keep(design, folder, journal, options)
    if prove:
        about = ("frozen" if frozen else "loadable", *(["protection"] if design.protected else []))
        prove_design(design, folder, journal, ProofOptions(about=about))
        done.add("prove")
    if fpga:
        place_on_fpga(design, folder, journal, FpgaOptions(device=fpga))
        done.add("fpga")
    asic = _asic(design, folder, done, journal, fpga)
    if upsets is not None:
        with journal.step(f"{design.name}: upsets of weights"):
            asic["upsets"] = _upsets(weight_upsets(weights, upsets, harm, limit=upset_bits))
    report = {"CSynthesisReport": _schedule(design, folder, done), "AsicReport": asic}
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    return report


def _same(file: Path, weights: NetworkWeights) -> bool:
    try:
        return NetworkWeights.load(file) == weights
    except ValueError:
        return False


def _schedule(design: NetworkDesign, folder: Path, done: set[str]) -> dict[str, str]:
    """What hls4ml's own backends report, in their keys and as text."""
    report = {"TargetClockPeriod": f"{design.period_ns:.2f}"}
    if TIMING.name in done:
        slack = json.loads((folder / "timing" / "timing.json").read_text())["setup_slack_ns"]
        report["EstimatedClockPeriod"] = f"{design.period_ns - slack:.3f}"
    report |= dict.fromkeys(("BestLatency", "WorstLatency"), str(design.latency))
    report |= dict.fromkeys(("IntervalMin", "IntervalMax"), str(design.factor))
    if SYNTHESIS.name in done:
        report["FF"] = str(load_result(folder / "synthesis").flip_flops)
    return report


def _upsets(found: WeightUpsets) -> dict[str, Any]:
    return {
        "bits": len(found.harm), "mean_harm": found.mean, "error": found.error_of_mean, "harmless": found.harmless,
        "by_layer": found.by_layer(), "per_day": found.upsets_per_day(),
    }  # fmt: skip


def _asic(design: NetworkDesign, folder: Path, done: set[str], journal: Journal, fpga: str) -> dict[str, Any]:
    report: dict[str, Any] = {
        "weights": "folded in" if design.frozen else "loaded",
        "protection": str(design.scheme or Scheme.NONE),
        "multiplies": design.spec.multiplies,
        "reuse": design.factor,
    }
    if SYNTHESIS.name in done:
        result = load_result(folder / "synthesis")
        report |= {
            "library": result.library, "area_um2": result.area_um2, "kge": result.gate_equivalents / 1000,
            "seconds_of_synthesis": find(result.metrics, "flow__runtime__total").value,
        }  # fmt: skip
    if TIMING.name in done:
        report["setup_slack_ns"] = json.loads((folder / "timing" / "timing.json").read_text())["setup_slack_ns"]
    if POWER.name in done:
        power = json.loads((folder / "power" / "power.json").read_text())
        metrics = read_metrics(folder / "power" / "metrics.json")
        report["power_mw"] = find(metrics, "power__total").value
        report["energy_per_sample_pj"] = find(metrics, "energy__per_inference").value
        report["codes_compared"] = power["codes_compared"]
    if VERIFICATION.name in done:
        report["samples_compared"] = sum(check.compared for check in journal.checks if check.unit == "samples")
    if "prove" in done:
        report["proofs"] = sum(check.compared for check in journal.checks if check.unit == "proofs")
    if "fpga" in done:
        found = json.loads((folder / f"fpga-{fpga}" / "fpga.json").read_text())
        logic = found["used"][DEVICES[found["device"]].logic]
        report["fpga"] = {"device": found["device"], "logic_cells": logic, "fmax_mhz": found["fmax_mhz"]}
    report["passed"] = journal.passed
    return report
