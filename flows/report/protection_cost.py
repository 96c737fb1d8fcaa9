"""Cost of each scheme of protection: area and energy of whole chips, as ``synth`` and ``power`` left them.

``python -m flows.report.protection_cost ECON_T`` collects every variant of a design below ``report/`` and writes a
table of metrics, as ``liquidcal sensitivity --costs`` reads it; the report of a design shows what lies beside it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flows.common.metrics import Metric, find, read_metrics, write_metrics
from flows.designs.design import Design, load_design
from flows.synthesis.result import SynthesisResult, load_result
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import EncoderSpec

__all__ = ["CostRow", "costs", "costs_below"]

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
    design : Design
        With scheme and loading.
    folder : Path
    """

    design: Design
    folder: Path

    @property
    def case(self) -> str:
        """Name of the row: scheme, loading and, above 1, reuse factor."""
        case = f"{self.design.scheme}_{self.design.loading}"
        return case if self.design.reuse == 1 else f"{case}_reuse_{self.design.reuse}"

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


def costs_below(out: Path, spec: EncoderSpec) -> list[CostRow]:
    """Whole chips of a design that were synthesised below a folder, in the order of schemes.

    Parameters
    ----------
    out : Path
        Folder of results, one folder per design below it.
    spec : EncoderSpec
        Chips of any reuse factor, with and without clock gates, are found.
    """
    schemes, loadings = "|".join(Scheme), "|".join(Loading)
    pattern = re.compile(rf"{re.escape(spec.name)}(?:_reuse(\d+))?_({schemes})_({loadings})(_gated)?")
    rows = []
    for path in out.iterdir() if out.is_dir() else ():
        matched = pattern.fullmatch(path.name)
        if matched is None or not (path / "synthesis" / "metrics.json").is_file():
            continue
        design = Design(
            spec=replace(spec, reuse=int(matched[1] or 1)), scheme=Scheme(matched[2]), loading=Loading(matched[3]),
            clock_gating=bool(matched[4]),
        )  # fmt: skip
        rows.append(CostRow(design=design, folder=path))
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


def main() -> None:
    """Collect the cost table; rows of chips that have no results here stay as they are."""
    parser = argparse.ArgumentParser(prog="python -m flows.report.protection_cost", description=main.__doc__)
    parser.add_argument("preset", help="preset or TOML file of an encoder")
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder of results")
    parser.add_argument("--clock-gating", action="store_true", help="chips with clock gates; else those without")
    parser.add_argument("--result", type=Path, help="table to write; else costs.json in the design's folder")
    arguments = parser.parse_args()
    try:
        spec = load_design(arguments.preset)
        if not isinstance(spec, EncoderSpec):
            raise ValueError(f"{arguments.preset} is no encoder")
        path = arguments.result or arguments.out / spec.name / "costs.json"
        rows = [row for row in costs_below(arguments.out, spec) if row.design.clock_gating == arguments.clock_gating]
        if not rows:
            raise ValueError(f"{arguments.out} holds no synthesised chip of {spec.name}: liquidcal synth --scheme")
        new = costs(rows)
        cases = {f"__case:{row.case}" for row in rows}
        known = read_metrics(path) if path.is_file() else ()
        kept = [metric for metric in known if not any(metric.name.endswith(case) for case in cases)]
        path.parent.mkdir(parents=True, exist_ok=True)
        write_metrics(path, [*kept, *new])
    except (ValueError, OSError, json.JSONDecodeError) as error:
        raise SystemExit(f"flows.report.protection_cost: {error}") from None
    measured = {m.name for m in new}
    for row in rows:
        energy = "" if f"energy__case:{row.case}" in measured else ", no energy of this netlist: run liquidcal power"
        print(f"{row.case}{energy}")
    print(path)


if __name__ == "__main__":
    main()
