"""Report step: one self-contained HTML page from what the other steps left in a design's result folder."""

from __future__ import annotations

import json
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from flows import drawing
from flows.cells import cell_library
from flows.metrics import now
from flows.synthesis import SynthesisResult, load_result
from sim.files import replacing
from sim.hgcal_encoder.metric import BINS
from sim.hgcal_encoder.spec import EncoderSpec

PICTURES = 5
"""Events shown in the report."""
PICTURE_ROWS = {"true": "charges", "decoded": "decoded", "difference": "difference"}
"""Kinds of module pictures, with their titles."""


def write_report(folder: Path, spec: EncoderSpec) -> Path:
    """Render ``index.html`` of a result folder, and ``events.svg`` where the demo left events.

    Parameters
    ----------
    folder : Path
        Holds some of ``journal.json`` and ``events.npz`` (demo), ``verification.json`` (verify) and ``synthesis``
        (synth); what is missing is left out of the page.
    spec : EncoderSpec

    Returns
    -------
    Path
        The page.

    Raises
    ------
    FileNotFoundError
        If the folder holds no result at all.
    """
    journal = _json(folder / "journal.json")
    verification = _json(folder / "verification.json")
    synthesis = load_result(folder / "synthesis") if (folder / "synthesis" / "metrics.json").is_file() else None
    events = dict(np.load(folder / "events.npz")) if (folder / "events.npz").is_file() else None
    if not (journal or verification or synthesis or events):
        raise FileNotFoundError(f"{folder} holds no results; run liquidcal demo, verify or synth first")
    checks = journal.get("checks", []) + verification.get("checks", [])
    context: dict[str, Any] = {
        "spec": spec,
        "version": metadata.version("liquidcal"),
        "date": now(),
        "style": Markup(drawing.STYLE),
        "data_path": drawing.data_path_svg(spec),
        "checks": checks,
        "steps": journal.get("steps", []) + verification.get("steps", []),
        "metrics": [],
        "tiles": [],
    }
    failed = [check["name"] for check in checks if not check["passed"]]
    context["passed"] = bool(checks) and not failed
    if not checks:
        context["verdict"] = "NOT CHECKED: run liquidcal verify"
    elif failed:
        context["verdict"] = f"FAIL: {'; '.join(failed)}"
    else:
        context["verdict"] = (
            f"PASS: {len(checks)} checks, {sum(c['compared'] for c in checks):,} comparisons, no difference"
        )
    if events is not None:
        context |= _events(events, spec)
        columns = [
            (f"BX {e['bx']}, {e['occupancy']} cells, EMD {e['emd']:.2f}", [e[f"{kind}_svg"] for kind in PICTURE_ROWS])
            for e in context["events"]
        ]
        with replacing(folder / "events.svg") as file:
            file.write(drawing.standalone(drawing.events_svg(columns, tuple(PICTURE_ROWS.values()))))
    if synthesis is not None:
        context |= _area(synthesis, context["tiles"])
    template = resources.files("flows").joinpath("templates", "report.html.j2").read_text()
    # autoescape everything but the pictures, which are built here
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    context = {key: _safe(value) for key, value in context.items()}
    defaults = dict.fromkeys(("events", "stages", "library_hash"), None)
    page = environment.from_string(template).render(**(defaults | context))
    with replacing(folder / "index.html") as file:
        file.write(page)
    return folder / "index.html"


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _safe(value: Any) -> Any:
    """Mark SVG text, alone or inside rows, as safe to embed."""
    if isinstance(value, str) and value.startswith("<svg"):
        return Markup(value)
    if isinstance(value, list):
        return [{k: _safe(v) for k, v in row.items()} if isinstance(row, dict) else row for row in value]
    return value


def _events(data: dict[str, Any], spec: EncoderSpec) -> dict[str, Any]:
    occupancy, charges, decoded = data["occupancy"], data["charges"], data["decoded"]
    usable = np.flatnonzero(np.isfinite(data["emd"]))
    by_occupancy = usable[np.argsort(occupancy[usable], kind="stable")]
    chosen = by_occupancy[(np.linspace(0.1, 1.0, PICTURES) * (len(by_occupancy) - 1)).astype(int)]
    events = []
    for row in chosen.tolist():
        top = float(charges[row].max())
        events.append(
            {
                "bx": row,
                "occupancy": int(occupancy[row]),
                "emd": float(data["emd"][row]),
                "true_svg": drawing.module_svg(charges[row], top),
                "decoded_svg": drawing.module_svg(decoded[row], top),
                "difference_svg": drawing.module_svg(decoded[row] - charges[row], top, signed=True),
            }
        )
    bins = []
    for low, high in BINS:
        inside = data["emd"][usable][(occupancy[usable] >= low) & (occupancy[usable] <= high)]
        bins.append(
            {
                "name": f"{low} to {high}",
                "count": len(inside),
                "median": f"{np.median(inside):.3f}" if len(inside) else "",
                "mean": f"{inside.mean():.3f}" if len(inside) else "",
            }
        )
    etx_count = int(data["etx_count"])
    shown = int(chosen[-1])
    return {
        "events": events,
        "scale": drawing.colour_bar_svg(float(charges[shown].max()), "calibrated counts (rightmost event)"),
        "emd_bins": bins,
        "crossings": len(charges),
        "pile_up": int(data["pile_up"]),
        "layer": int(data["layer"]),
        "eta": float(data["eta"]),
        "etx_count": etx_count,
        "frame_bx": shown,
        "frame_sum": int(data["sums"][shown]),
        "frame": drawing.frame_svg(
            data["frames"][shown].tolist(), spec, etx_count, int(data["kept_bits"]) * spec.latents
        ),
    }


def _area(result: SynthesisResult, tiles: list[dict[str, str]]) -> dict[str, Any]:
    values = result.values
    first = result.metrics[0]
    library = cell_library(first.library)
    stages: list[dict[str, Any]] = [
        {
            "name": stage.module.removeprefix(f"{result.top}_") if stage.instances else "top level",
            "instances": len(stage.instances) or 1,
            "area_um2": stage.area_um2,
            "gate_equivalents": stage.gate_equivalents,
            "flip_flops": stage.flip_flops,
            "cells": stage.cells,
        }
        for stage in result.stages
    ]
    tiles += [
        {"value": f"{result.area_um2 / 1e6:.3f} mm²", "label": f"cell area, {first.library}"},
        {"value": f"{result.gate_equivalents / 1000:,.0f} kGE", "label": "gate equivalents"},
        {"value": f"{result.flip_flops:,}", "label": "flip-flops"},
    ]
    shown = ("design__instance__area", "design__instance__count", "design__combinational_loop__count", "flow__")
    return {
        "stages": stages,
        "area_bars": drawing.bars_svg([(s["name"], s["area_um2"], f"{s['area_um2']:,.0f} µm²") for s in stages]),
        "area_um2": result.area_um2,
        "gate_equivalents": result.gate_equivalents,
        "flip_flops": result.flip_flops,
        "cells": int(values["design__instance__count"]),
        "library": library.name,
        "library_note": library.description
        + (" A predictive kit, not a manufacturable process." if library.predictive else ""),
        "library_hash": first.library_sha256,
        "command": first.command,
        "peak_memory": f"{float(values['flow__memory__peak']) / 2**30:.1f} GiB",
        "synthesis_seconds": f"{float(values['flow__runtime__total']):.0f}",
        "metrics": [m for m in result.metrics if m.name.startswith(shown) and "__module:" not in m.name],
    }
