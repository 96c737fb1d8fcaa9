"""Generation step: everything a chip integrator, or an FPGA, needs of one astrocyte liquid, in one folder."""

from __future__ import annotations

import json
from pathlib import Path

from flows.common.folder import fresh_folder
from flows.designs.generated import Generated
from flows.designs.tables import write_ports, write_registers, write_writes
from hw.astrocyte_liquid.astrocyte_liquid import AstrocyteLiquid, shared_memories
from hw.astrocyte_liquid.lane import memories
from hw.astrocyte_liquid.memory import MemoryBox
from hw.common.export import ports, rtlil_to_verilog, to_rtlil, to_verilog
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.liquid import Liquid
from sim.astrocyte_liquid.network import draw
from sim.astrocyte_liquid.registers import address_width, network_writes, readout_writes, register_map
from sim.astrocyte_liquid.spec import AstrocyteSpec

__all__ = ["asic_name", "black_boxes", "generate", "memory_bits"]


def asic_name(spec: AstrocyteSpec) -> str:
    """Top module of the variant whose memories are black boxes."""
    return f"{spec.name}_asic"


def all_memories(spec: AstrocyteSpec) -> dict[str, tuple[int, int, int]]:
    """Memories of a chip by name: how many there are, bits of a word, words."""
    found = {name: (spec.lanes, width, depth) for name, (width, depth) in memories(spec).items()}
    return found | {name: (1, width, depth) for name, (width, depth) in shared_memories(spec).items()}


def memory_bits(spec: AstrocyteSpec) -> int:
    """Bits of all memories of a chip."""
    return sum(count * width * depth for count, width, depth in all_memories(spec).values())


def black_boxes(spec: AstrocyteSpec) -> str:
    """Verilog modules with the ports of the memories, one for each size, and nothing inside."""
    texts = []
    for width, depth in sorted({(width, depth) for _, width, depth in all_memories(spec).values()}):
        pins = ",\n".join(
            f"  {way} {f'[{size - 1}:0] ' if size > 1 else ''}{pin}"
            for pin, way, size in ports(MemoryBox(width=width, depth=depth))
        )
        texts.append(f"(* blackbox *)\nmodule {asic_name(spec)}_memory_box_{width}_{depth} (\n{pins}\n);\nendmodule\n")
    return "\n".join(texts)


def generate(
    spec: AstrocyteSpec, out_dir: Path, *, model: TrainedLiquid | None = None, seed: int | None = None
) -> Generated:
    """Write Verilog in both variants, ports, register map and, with a model or a seed, the words that load the chip.

    ``<name>.v`` has memories that the host loads: for simulation and FPGA. ``<name>_asic.v`` instantiates them as black
    boxes, whose ports are in ``<name>_asic_black_boxes.v``.

    Parameters
    ----------
    spec : AstrocyteSpec
    out_dir : Path
        Appears when everything is complete; an earlier result of this step is replaced.
    model : TrainedLiquid, optional
        Its network, weights and readout go into ``writes.csv``.
    seed : int, optional
        Without a model: the network of this seed, weights as before any learning.

    Raises
    ------
    FileExistsError
        If `out_dir` holds something else.
    """
    component = AstrocyteLiquid(spec=spec, boxes=False)
    pins = ports(component)
    verilog = to_verilog(component, spec.name)
    asic = rtlil_to_verilog(to_rtlil(AstrocyteLiquid(spec=spec), asic_name(spec)))
    writes = []
    if model is not None or seed is not None:
        network = draw(spec, seed or 0) if model is None else model.network
        weights = Liquid(network).weights if model is None else model.weights
        parts = [network_writes(network, weights), *([] if model is None else [readout_writes(model.readout)])]
        writes = [pair for part in parts for pair in zip(part.address.tolist(), part.data.tolist(), strict=True)]
    design = {
        "name": spec.name,
        "seed": seed if model is None else model.seed,
        "clock_period_ns": spec.clock_period_ns,
        "lanes": spec.lanes,
        "memories": {
            name: {"count": count, "bits": width, "words": depth}
            for name, (count, width, depth) in all_memories(spec).items()
        },
        "memory_bits": memory_bits(spec),
    }
    with fresh_folder(out_dir, marker="design.json") as work:
        (work / f"{spec.name}.v").write_text(verilog)
        (work / f"{asic_name(spec)}.v").write_text(asic)
        (work / f"{asic_name(spec)}_black_boxes.v").write_text(black_boxes(spec))
        (work / "spec.toml").write_text(spec.to_toml())
        write_ports(work, pins)
        write_registers(work, register_map(spec))
        if writes:
            write_writes(work, writes, digits=-(-address_width(spec) // 4))
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    return Generated(
        directory=out_dir, files=tuple(sorted(out_dir.iterdir())), latency=0, lines=verilog.count("\n"),
    )  # fmt: skip
