"""Cost of each scheme of protection: area and energy of whole chips, as ``synth`` and ``power`` left them.

``liquidcal cost ECON_T`` collects every variant of a design below ``report/`` into a table of metrics, as ``liquidcal
sensitivity --costs`` reads it; the report of a design shows what lies beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.common.metrics import Metric, find, read_metrics, write_metrics
from flows.designs.catalogue import load_design
from flows.designs.design import DESIGN_FILE
from flows.designs.encoder import EncoderDesign
from flows.synthesis.result import SynthesisResult, load_result
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading

__all__ = ["CostRow", "collect_costs", "costs", "costs_below"]

_REGISTER = re.compile(r"_(voted|pipeline)_register_\d+(_v\d+)?$")
_KINDS = {
    "leakage": ("leakage",),
    "dynamic": ("internal", "switching", "glitches", "clock_pins", "clock_tree"),
    "clocks": ("clock_pins", "clock_tree"),
    "glitches": ("glitches",),
}
"""Columns of the energy and the kinds of power that they add: the first two make the total, the others are of it."""


@dataclass(frozen=True, kw_only=True)
class CostRow:
    """A whole chip and its folder of results.

    Attributes
    ----------
    design : EncoderDesign
        With scheme and loading.
    folder : Path
    """

    design: EncoderDesign
    folder: Path

    @property
    def case(self) -> str:
        """Name of the row: scheme, loading and, above 1, reuse factor."""
        return self.design.case

    @property
    def has_energy(self) -> bool:
        """Whether power was measured of this very netlist."""
        return any(metric.name == f"energy__case:{self.case}" for metric in self.metrics())

    def metrics(self) -> list[Metric]:
        """Area by part and flip-flops; energy of an inference by kind where its power was measured.

        Raises
        ------
        GateError
            If a step left no such metric.
        """
        synthesis = load_result(self.folder / "synthesis")
        area = find(synthesis.metrics, "design__instance__area")
        flip_flops = find(synthesis.metrics, "design__instance__count__class:flip_flop")
        gates = find(synthesis.metrics, "design__instance__area__gate_equivalent")
        how = "clock gated" if self.design.clock_gating else "not clock gated"
        whole = f"whole chip, {how}, cells after synthesis"
        parts = _parts(synthesis)
        rows = [
            _renamed(area, f"design__instance__area__case:{self.case}", area.value, whole),
            _renamed(gates, f"design__instance__area__gate_equivalent__case:{self.case}", gates.value, gates.method),
            *(
                _renamed(area, f"{part}__area__case:{self.case}", um2, f"{whole}: {what}")
                for part, (um2, what) in parts.items()
            ),
            _renamed(flip_flops, f"design__flip_flop__count__case:{self.case}", flip_flops.value, "of the netlist"),
        ]
        power = self.folder / "power" / "metrics.json"
        if not power.is_file():
            return rows
        measured = read_metrics(power)
        total = find(measured, "energy__per_inference")
        if total.date < area.date:  # of a netlist that was synthesised again since
            return rows
        kinds = {
            kind: sum(float(find(measured, f"energy__per_inference__kind:{key}").value) for key in keys)
            for kind, keys in _KINDS.items()
        }
        rows.append(_renamed(total, f"energy__case:{self.case}", total.value, total.method))
        for kind, picojoules in kinds.items():
            text = f"of it: {', '.join(key.replace('_', ' ') for key in _KINDS[kind])}"
            rows.append(_renamed(total, f"energy__{kind}__case:{self.case}", picojoules, text))
        return rows


def _renamed(metric: Metric, name: str, value: float | str, method: str) -> Metric:
    """A figure with the provenance of the one that it is from."""
    return replace(metric, name=name, value=value, method=method)


def _parts(synthesis: SynthesisResult) -> dict[str, tuple[float, str]]:
    """Area of store, control and pipeline registers in square micrometres, each with what it is."""
    found = {"store": 0.0, "control": 0.0, "pipeline_registers": 0.0}
    for stage in synthesis.stages:
        child = stage.instances[0] if stage.instances else ""
        if child.startswith(("registers", "shadow")):
            found["store"] += stage.area_um2
        elif child.startswith("control"):
            found["control"] += stage.area_um2
        elif _REGISTER.search(stage.module):
            found["pipeline_registers"] += stage.area_um2
    texts = {
        "store": "settings and weights, shadow bank, their decoders and read ports",
        "control": "I2C, loader, scrubber, error counters",
        "pipeline_registers": "registers between stages; those inside a network with reused multipliers are not in it",
    }
    return {part: (um2, texts[part]) for part, um2 in found.items()}


def costs_below(out: Path, design: EncoderDesign) -> list[CostRow]:
    """Whole chips of a spec that were synthesised below a folder, in the order of schemes.

    Parameters
    ----------
    out : Path
        Folder of results, one folder per design below it; each says in ``design.toml`` what it is of.
    design : EncoderDesign
        Whose spec it is; chips of any reuse factor, with and without clock gates, are found.
    """
    rows = []
    for path in sorted(out.iterdir()) if out.is_dir() else ():
        if not (path / DESIGN_FILE).is_file() or not (path / "synthesis" / "metrics.json").is_file():
            continue
        found = load_design(path)
        if isinstance(found, EncoderDesign) and found.scheme is not None and found.plain.spec == design.plain.spec:
            rows.append(CostRow(design=found, folder=path))
    order = list(Scheme)
    return sorted(
        rows,
        key=lambda row: (
            order.index(row.design.scheme or Scheme.NONE), list(Loading).index(row.design.loading or Loading.DIRECT),
            row.design.reuse, row.design.clock_gating,
        ),
    )  # fmt: skip


def costs(rows: Sequence[CostRow]) -> list[Metric]:
    """Metrics of several chips, a case for each.

    Raises
    ------
    ValueError
        If two chips are one case: the same with and without clock gates.
    """
    cases = [row.case for row in rows]
    if twice := sorted({case for case in cases if cases.count(case) > 1}):
        raise ValueError(f"{', '.join(twice)}: with and without clock gates, expected one of them")
    return [metric for row in rows for metric in row.metrics()]


def collect_costs(design: EncoderDesign, out: Path, table: Path | None = None) -> tuple[Path, list[CostRow]]:
    """Write the cost table of a design's whole chips; rows of chips that have no results here stay as they are.

    Parameters
    ----------
    design : EncoderDesign
        Its spec, and whether chips with clock gates are meant or those without.
    out : Path
        Folder of results.
    table : Path, optional
        Table to write; ``costs.json`` in the design's folder where left out.

    Returns
    -------
    tuple of Path and list of CostRow
        The table and the chips that were found.

    Raises
    ------
    ValueError
        If there is none.
    """
    path = table or out / design.plain.name / "costs.json"
    rows = [row for row in costs_below(out, design) if row.design.clock_gating == design.clock_gating]
    if not rows:
        raise ValueError(f"{out} holds no synthesised chip of {design.spec.name}: liquidcal synth --scheme")
    new = costs(rows)
    cases = {f"__case:{row.case}" for row in rows}
    known = read_metrics(path) if path.is_file() else ()
    kept = [metric for metric in known if not any(metric.name.endswith(case) for case in cases)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_metrics(path, [*kept, *new])
    return path, rows
