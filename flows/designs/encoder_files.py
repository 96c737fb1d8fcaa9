"""Generation step: everything a chip integrator needs of one encoder, in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flows.common.folder import fresh_folder
from flows.designs.generated import Generated
from flows.designs.register_documents import c_header, register_table
from flows.designs.tables import write_ports, write_registers, write_writes
from hw.common.export import ports, to_verilog
from hw.common.scheme import Scheme
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.configuration.chip_registers import Loading, chip_fields, image_bytes
from sim.hgcal_encoder.configuration.image_file import save_image
from sim.hgcal_encoder.configuration.production_registers import BLOCK_BITS, production_map, production_writes
from sim.hgcal_encoder.configuration.registers import register_map, register_writes
from sim.hgcal_encoder.files.settings_files import save_settings
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import EncoderSpec, WordOrder
from sim.hgcal_encoder.weights import BLOCKS, Weights


def generate(
    spec: EncoderSpec,
    out_dir: Path,
    weights: Weights | None = None,
    settings: Settings | None = None,
    *,
    scheme: Scheme | None = None,
    loading: Loading = Loading.DIRECT,
    production: Mapping[str, int] | None = None,
) -> Generated:
    """Write Verilog, ports, register map and, with weights, the image and the register writes that load it.

    Parameters
    ----------
    spec : EncoderSpec
    out_dir : Path
        Appears when everything is complete; an earlier result of this step is replaced.
    weights : Weights, optional
    settings : Settings, optional
        Go into ``writes.csv`` beside the weights.
    scheme : Scheme, optional
        Write the chip as well: encoder, I2C, control and store, protected so.
    loading : Loading
        Of the chip and of its register map.
    production : mapping of str to int, optional
        Write also what loads a production ECON-T: values of its further registers by name
        (`sim.hgcal_encoder.configuration.production_registers`). The Verilog is at the addresses of first silicon.

    Raises
    ------
    FileExistsError
        If `out_dir` holds something else.
    ValueError
        If the network is not of the size of the production chip, for which writes are asked.
    """
    ours = settings or Settings(spec=spec)
    loads = production_writes(ours, weights, others=production) if production is not None else None
    component = Encoder(spec=spec)
    design: dict[str, Any] = {
        "name": spec.name,
        "latency_clocks": component.latency,
        "network_latency_clocks": component.network_latency,
        "throughput": "one bunch crossing per clock",
        "clock_period_ns": 25.0,
        "parameters": spec.parameters,
        "weight_bits": spec.weight_bits,
        "multiplies": spec.multiplies,
    }
    if spec.reuse > 1:
        design["internal_clock"] = {
            "port": "fast_clk", "period_ns": 25.0 / spec.reuse, "network_latency_clocks": component.internal_latency,
        }  # fmt: skip
    pins = ports(component)
    verilog = to_verilog(component, spec.name)
    top = f"{spec.name}_CHIP"
    chip = to_verilog(Chip(spec=spec, scheme=scheme, loading=loading), top) if scheme is not None else ""
    with fresh_folder(out_dir, marker="design.json") as work:
        (work / f"{spec.name}.v").write_text(verilog)
        (work / "spec.toml").write_text(spec.to_toml())
        write_ports(work, pins)
        write_registers(work, register_map(spec))
        (work / "registers.md").write_text(register_table(chip_fields(spec, loading)))
        (work / "registers.h").write_text(c_header(spec.name, chip_fields(spec, loading), loading))
        if chip:
            (work / f"{top}.v").write_text(chip)
        if weights is not None and settings is not None:
            save_image(work / "image.txt", spec, image_bytes(spec, settings, weights))
        if weights is not None:
            weights.save(work / "weights.hex")
            write_writes(work, register_writes(spec, settings, weights), digits=4)
        if weights is not None and (spec.weight_bits, spec.keep_bits) == (BLOCKS * BLOCK_BITS, 144):
            for order in WordOrder:
                save_settings(work / f"settings_{order.lower()}.yaml", ours, weights, order)
        if loads is not None:
            write_registers(work, production_map(), stem="production_registers")
            write_writes(work, loads, digits=4, stem="production_writes")
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    return Generated(
        directory=out_dir,
        files=tuple(sorted(out_dir.iterdir())),
        latency=int(component.latency),
        lines=verilog.count("\n"),
    )
