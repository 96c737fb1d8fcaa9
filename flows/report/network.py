"""What the report shows of a network beside the sections that every chip has: its layers."""

from __future__ import annotations

from pathlib import Path

from flows.designs.network import NetworkDesign
from flows.report.document import Report, Section, collect, table
from flows.report.sections import implementation_sections
from hw.network.plan import plan
from sim.network.spec import NetworkSpec

__all__ = ["chip_report"]


def chip_report(folder: Path, design: NetworkDesign) -> Report:
    """Report of a network."""
    spec = design.spec
    how = "folded into the logic" if design.frozen else "loaded through a write port"
    lead = (
        f"Network of {len(spec.nodes)} nodes: {spec.multiplies:,} multiplications, {spec.weight_bits:,} bits of "
        f"weights {how}; a sample every {spec.clock_period_ns:g} ns, results after {design.latency} clocks of "
        f"{design.period_ns:g} ns."
    )
    return collect(folder, design.name, lead, [_layers(spec, design.factor), *implementation_sections(folder)])


def _layers(spec: NetworkSpec, reuse: int) -> Section:
    rows = []
    for layer in plan(spec, reuse).layers:
        sums = spec.layers.get(layer.name)
        multiplies = sum(map(len, sums.taps(spec.size_into(layer.name)))) if sums else 0
        tensor = spec.tensors[layer.result]
        shown = f"{multiplies:,}" if sums else ""
        rows.append((layer.name, layer.node.kind, tensor.size, str(tensor.form), shown, layer.stage))
    return Section(
        title="Layers",
        lead="A register stands behind each layer; formats are sign, integer and fraction bits, rounding, overflow.",
        tables=(table(("layer", "kind", ">outputs", "format", ">multiplications", ">clock"), rows),),
        notes=(
            "Clock: the one in which the result of the layer is in its register; the sample is at the pins in clock 0.",
        ),
    )
