"""Generation step: everything a chip integrator needs of one concentrator, in one folder."""

from __future__ import annotations

import json
from pathlib import Path

from flows.common.folder import fresh_folder
from flows.designs.generated import Generated
from flows.designs.tables import write_ports, write_registers, write_writes
from hw.common.export import ports, to_verilog
from hw.hgcal_encoder.concentrator import Concentrator
from sim.hgcal_encoder.algorithms.concentrator_model import ConcentratorSettings
from sim.hgcal_encoder.concentrator_spec import ConcentratorSpec
from sim.hgcal_encoder.configuration.concentrator_registers import concentrator_fields, concentrator_writes

__all__ = ["generate"]


def generate(
    spec: ConcentratorSpec,
    out_dir: Path,
    settings: ConcentratorSettings | None = None,
    *,
    component: Concentrator | None = None,
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
        (work / "design.json").write_text(json.dumps(design, indent=1) + "\n")
    return Generated(
        directory=out_dir, files=tuple(sorted(out_dir.iterdir())), latency=component.latency,
        lines=verilog.count("\n"),
    )  # fmt: skip
