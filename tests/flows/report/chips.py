"""Result folders of whole chips, as the steps leave them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from flows.common.metrics import Metric, write_metrics
from flows.designs.catalogue import design
from flows.designs.design import Design
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec

KINDS = {"leakage": 10.0, "internal": 8.0, "switching": 6.0, "glitches": 7.0, "clock_pins": 5.0, "clock_tree": 4.0}
"""Of 40 pJ."""


def metric(name: str, value: float, unit: str, command: str, date: str) -> Metric:
    """A metric of a tool that does not matter."""
    return Metric(
        name=name, value=value, unit=unit, tool="t", tool_version="1", library="l", library_sha256="0", method="m",
        command=command, date=date,
    )  # fmt: skip


def chip(scheme: str, loading: str = "direct", *, spec: EncoderSpec = ECON_T, **variant: Any) -> Design:
    """A whole chip of a scheme."""
    return design(spec, scheme=scheme, loading=loading, **variant)


def leave_chip(
    out: Path, of: Design, *, area: float, energy: float | None, power_date: str = "2026-01-02T00:00:00Z"
) -> None:
    """Results of a chip as ``synth`` and ``power`` write them, of which half is store and a tenth control."""
    folder = out / of.name
    of.save(folder)
    shares = {
        "X_register_file_16": (["registers"], 0.3), "X_register_file_shadow_16": (["shadow"], 0.2),
        "X_registered_0": (["control"], 0.1), "X_voted_register_9": (["a_register", "b_register"], 0.05),
        "X_dense": (["dense"], 0.3), "X": ([], 0.05),
    }  # fmt: skip
    stages = [
        {"module": module, "instances": children, "area_um2": share * area, "gate_equivalents": 1.0, "flip_flops": 1,
         "cells": 1}
        for module, (children, share) in shares.items()
    ]  # fmt: skip
    synthesis = folder / "synthesis"
    synthesis.mkdir(parents=True)
    (synthesis / "modules.json").write_text(json.dumps({"top": "X", "modules": [], "stages": stages}))
    date = "2026-01-01T00:00:00Z"
    names = {
        "design__instance__area": (area, "um2"), "design__instance__area__gate_equivalent": (area / 0.8, "GE"),
        "design__instance__count__class:flip_flop": (7, ""), "design__instance__count": (9, ""),
        "flow__memory__peak": (1, "B"), "flow__runtime__total": (1.0, "s"),
    }  # fmt: skip
    write_metrics(
        synthesis / "metrics.json",
        [
            replace(metric(name, value, unit, "liquidcal synth", date), library="nangate45")
            for name, (value, unit) in names.items()
        ],
    )
    if energy is not None:
        (folder / "power").mkdir()
        rows = [metric("energy__per_inference", energy, "pJ", "liquidcal power", power_date)]
        rows += [
            metric(f"energy__per_inference__kind:{kind}", part * energy / 40, "pJ", "liquidcal power", power_date)
            for kind, part in KINDS.items()
        ]
        write_metrics(folder / "power" / "metrics.json", rows)
