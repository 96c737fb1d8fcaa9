"""Generation step: everything a chip integrator, or an FPGA, needs of one association chip, in one folder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from flows.common.folder import fresh_folder
from flows.designs.generated import Generated
from flows.designs.macro_image import macro_image
from flows.designs.tables import write_ports, write_registers, write_writes
from hw.common.export import load_memory, ports, rtlil_to_verilog, to_rtlil, to_verilog
from hw.common.hierarchy import Library
from hw.lsm_crossbar.association import Association, macro_modules
from sim.lsm_crossbar.association.projection import Projection
from sim.lsm_crossbar.association.registers import Part, association_registers, part_width, projection_writes
from sim.lsm_crossbar.association.spec import MODALITIES, AssociationSpec
from sim.lsm_crossbar.association.timing import match_clocks
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.registers import register_map
from sim.register_map import Field

__all__ = ["generate", "registers"]

_WIRE = re.compile(r"^  wire width (\d+) (input|output) \d+ \\(\w+)$", re.MULTILINE)


def registers(spec: AssociationSpec) -> tuple[Field, ...]:
    """All settings of the chip at their addresses: those of both liquids, then its own."""
    fields = []
    for part, modality in enumerate(MODALITIES):
        for field in register_map(spec.crossbars[part]):
            fields.append(_moved(field, part, f"{modality}_{field.name}", spec))
    return (*fields, *(_moved(field, Part.SETTINGS, field.name, spec) for field in association_registers(spec)))


def _moved(field: Field, part: int, name: str, spec: AssociationSpec) -> Field:
    return Field(
        name=name, index=field.index, address=(part << part_width(spec)) + field.address, lsb=field.lsb,
        width=field.width, reset=field.reset,
    )  # fmt: skip


def generate(
    spec: AssociationSpec,
    out_dir: Path,
    conductances: Sequence[Conductances],
    projections: Sequence[Projection] | None = None,
) -> Generated:
    """Write Verilog in both variants, ports, register map, conductance files and, with projections, their writes.

    ``<name>.v`` has macros that load the conductance files with ``$readmemh``; ``<name>_asic.v`` instantiates macros
    and memories as black boxes, whose ports are in ``<name>_asic_black_boxes.v``.

    Parameters
    ----------
    spec : AssociationSpec
    out_dir : Path
        Appears when everything is complete; an earlier result of this step is replaced.
    conductances : sequence of Conductances
        Of vision and of audio.
    projections : sequence of Projection, optional
        They go into ``writes.csv``; entries of the embedding memory are written by whoever has them.

    Raises
    ------
    FileExistsError
        If `out_dir` holds something else.
    ValueError
        If the conductances are not for `spec`.
    """
    checked = [image.check(crossbar) for image, crossbar in zip(conductances, spec.crossbars, strict=True)]
    vision, audio = (macro_image(image) for image in checked)
    component = Association(spec=spec, images=(vision, audio))
    pins = ports(component)
    verilog = to_verilog(component, spec.name)
    if spec.vision == spec.audio and vision == audio:
        raise ValueError(f"{spec.name}: both macros have one spec and equal ADCs; name the crossbars differently")
    for modules, image in zip(macro_modules(spec, spec.name), checked, strict=True):
        for module in modules:
            verilog = load_memory(verilog, module, image.file_name)
    top = f"{spec.name}_asic"
    library = Library(top)
    asic = rtlil_to_verilog(to_rtlil(Association(spec=spec), top, library))
    boxes = []
    for name in library.black_boxes:
        lines = ",\n".join(
            f"  {way} {f'[{int(width) - 1}:0] ' if int(width) > 1 else ''}{pin}"
            for width, way, pin in _WIRE.findall(library.modules[name])
        )
        boxes.append(f"(* blackbox *)\nmodule {name} (\n{lines}\n);\nendmodule\n")
    design = {
        "name": spec.name,
        "conductances": [image.file_name for image in checked],
        "seeds": [image.seed for image in checked],
        "clock_period_ns": spec.clock_period_ns,
        "match_clocks": match_clocks(spec, spec.entries),
        "projection_memory_bits": [c.features * c.outputs * c.readout_weight_bits for c in spec.crossbars],
        "embedding_memory_bits": spec.memory_depth * spec.word_bits,
    }
    with fresh_folder(out_dir, marker="design.json") as work:
        (work / f"{spec.name}.v").write_text(verilog)
        (work / f"{top}.v").write_text(asic)
        (work / f"{top}_black_boxes.v").write_text("\n".join(boxes))
        (work / "spec.toml").write_text(spec.to_toml())
        for image in checked:
            image.write(work)
        write_ports(work, pins)
        write_registers(work, registers(spec))
        if projections is not None:
            writes = [w for modality in range(2) for w in projection_writes(spec, modality, projections[modality])]
            write_writes(work, writes, digits=5)
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    return Generated(
        directory=out_dir, files=tuple(sorted(out_dir.iterdir())), latency=0, lines=verilog.count("\n"),
    )  # fmt: skip
