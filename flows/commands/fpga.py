"""``liquidcal fpga``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from flows.commands.options import AsJson, LoadingOption, Out, Preset, Reuse, SchemeOption, finish, result_folder
from flows.common.journal import Check, Journal
from flows.designs.design import component, design
from flows.physical.fpga import DEVICES, place_and_route
from sim.hgcal_encoder.spec import EncoderSpec


def fpga(
    preset: Preset,
    device: Annotated[str, typer.Option(help=f"FPGA: {', '.join(DEVICES)}.")] = "ecp5-85k",
    clock_mhz: Annotated[float, typer.Option(min=1.0, help="Clock that place and route work towards.")] = 40.0,
    seed: Annotated[int, typer.Option(help="Seed of the placer.")] = 1,
    macro_seed: Annotated[
        int | None, typer.Option(min=0, help="Crossbar: seed of the conductances in its memory, 0 if left out.")
    ] = None,
    timeout: Annotated[float, typer.Option(min=1.0, help="Limit of each tool in seconds.")] = 3600.0,
    reuse: Reuse = None,
    scheme: SchemeOption = None,
    loading: LoadingOption = None,
    out: Out = Path("report"),
    as_json: AsJson = False,
) -> None:
    """Place and route a design on an FPGA: utilisation, clock frequency, bitstream.

    Ports stand behind shift chains, since no package has enough pins. With --scheme the whole encoder chip with I2C,
    whose copies of registers stay apart. An encoder that reuses multipliers has its internal clock as a second port.
    """
    from hw.common.export import to_rtlil
    from hw.common.serial_boundary import SerialBoundary

    if device not in DEVICES:
        raise typer.BadParameter(f"no FPGA named {device!r}; there are {', '.join(DEVICES)}")
    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading)
    clocks = chosen.internal_clocks
    if macro_seed is not None and isinstance(chosen.spec, EncoderSpec):
        raise typer.BadParameter("--macro-seed is for a crossbar")
    # the macro of a crossbar is emulated in block RAM here
    part = component(chosen.spec, macro_seed=macro_seed or 0) if chosen.scheme is None else chosen.component()
    journal = Journal()
    folder = result_folder(out, chosen.name)
    with journal.step(f"{chosen.name} on {DEVICES[device].description}: yosys, nextpnr"):
        result = place_and_route(
            to_rtlil(SerialBoundary(component=part, clocks=clocks), chosen.name),
            top=chosen.name,
            device=DEVICES[device],
            out_dir=folder / f"fpga-{device}",
            clocks=clocks,
            # an encoder is made of equal neurons
            flatten=not isinstance(chosen.spec, EncoderSpec),
            target_mhz=clock_mhz,
            seed=seed,
            command=f"liquidcal fpga {preset} --device {device} --clock-mhz {clock_mhz:g} --seed {seed}"
            + chosen.options
            + ("" if macro_seed is None else f" --macro-seed {macro_seed}"),
            timeout_s=timeout,
        )
    journal.check(
        Check(
            name=f"placed and routed on {device} at {clock_mhz:g} MHz",
            passed=result.fmax_mhz >= clock_mhz,
            compared=sum(result.used.values()),
            unit="resources",
            detail=f"maximum clock {result.fmax_mhz:.1f} MHz",
        )
    )
    if not as_json:
        table = Table("resource", "used", "available", "share")
        for name, count in result.used.items():
            share = f"{100 * count / result.available[name]:.1f} %"
            table.add_row(name, f"{count:,}", f"{result.available[name]:,}", share)
        Console().print(table)
    finish(journal, {"metrics": [metric.to_dict() for metric in result.metrics]}, as_json)
