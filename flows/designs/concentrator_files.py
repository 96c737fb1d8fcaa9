"""Generation step: everything a chip integrator needs of one concentrator, in one folder."""

from __future__ import annotations

import json
from pathlib import Path

from flows.common.folder import fresh_folder
from flows.designs.generated import Generated
from flows.designs.tables import write_ports, write_registers, write_writes
from hw.common.export import ports, to_verilog
from hw.hgcal_encoder.concentrator import Concentrator
from hw.hgcal_encoder.concentrator_chip import ConcentratorChip
from hw.hgcal_encoder.register_view import CORE_SETTINGS
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorSettings
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_fields, concentrator_writes
from sim.hgcal_encoder.configuration.register_maps import Chip, RegisterValues, register_bytes, register_fields

__all__ = ["generate", "setting_values"]

_BLOCK_BYTES, _PART_BYTES = 134, 16
"""Bytes of weights in a block of the map, and in a field of it."""


def setting_values(settings: ConcentratorSettings, spec: ConcentratorSpec) -> RegisterValues:
    """Registers of the production chip that hold a concentrator's settings."""
    found: RegisterValues = {}
    registers = settings.registers(spec)
    widths = {(f.name, f.index): f.width for f in register_fields(Chip.PRODUCTION)}
    for name, group in CORE_SETTINGS.items():
        if name in registers and name != "weights":
            value, width = registers[name], widths[group, 0]
            elements = sum(key[0] == group for key in widths)
            for index in range(elements):
                found[group, index] = value >> width * index & ((1 << width) - 1)
    if "weights" in registers:
        image = registers["weights"].to_bytes(-(-spec.settings["weights"] // 8), "little")
        for block in range(-(-len(image) // _BLOCK_BYTES)):
            own = image[_BLOCK_BYTES * block : _BLOCK_BYTES * (block + 1)]
            for part in range(0, len(own), _PART_BYTES):
                found[f"encoder_weights_byte{part}", block] = int.from_bytes(own[part : part + _PART_BYTES], "little")
    return found


def generate(
    spec: ConcentratorSpec,
    out_dir: Path,
    settings: ConcentratorSettings | None = None,
    *,
    component: Concentrator | None = None,
    whole: ConcentratorChip | None = None,
    chip: Chip = Chip.PRODUCTION,
) -> Generated:
    """Write Verilog, ports, register map and, with settings, the register writes that load them.

    Parameters
    ----------
    spec : ConcentratorSpec
    out_dir : Path
        Appears when everything is complete; an earlier result of this step is replaced.
    settings : ConcentratorSettings, optional
    component : Concentrator, optional
        A protected one of this spec; the plain one if left out.
    whole : ConcentratorChip, optional
        The whole chip around it, as well: ``<name>_CHIP.v``, and ``chip_ports.csv``, ``chip_registers.csv``,
        ``chip_writes.csv`` (over I2C).
    chip : Chip
        Register map of the whole chip. Writes are for that of production.

    Raises
    ------
    FileExistsError
        If `out_dir` holds something else.
    """
    component = component or Concentrator(spec=spec)
    pins = ports(component)
    verilog = to_verilog(component, spec.name)
    design = {
        "name": spec.name,
        "latency_clocks": {number.label: component.latency_of(number) for number in spec.numbers},
        "throughput": "one bunch crossing per clock",
        "clock_period_ns": 25.0,
        "buffer_words": spec.buffer_words,
        "setting_bits": sum(spec.settings.values()),
    }
    with fresh_folder(out_dir, marker="design.json") as work:
        (work / f"{spec.name}.v").write_text(verilog)
        (work / "spec.toml").write_text(spec.to_toml())
        write_ports(work, pins)
        write_registers(work, concentrator_fields(spec))
        if settings is not None:
            write_writes(work, concentrator_writes(spec, settings.registers(spec)), digits=4)
        if whole is not None:
            top = f"{spec.name}_CHIP"
            pins = ports(whole)
            (work / f"{top}.v").write_text(to_verilog(whole, top))
            write_ports(work, pins, stem="chip_ports")
            write_registers(work, register_fields(chip), stem="chip_registers")
            if settings is not None and chip is Chip.PRODUCTION:
                loaded = register_bytes(chip, setting_values(settings, spec))
                write_writes(work, loaded.items(), digits=4, stem="chip_writes")
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    return Generated(
        directory=out_dir, files=tuple(sorted(out_dir.iterdir())), latency=component.latency,
        lines=verilog.count("\n"),
    )  # fmt: skip
