"""``liquidcal fpga``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import AsJson, LoadingOption, Out, Preset, Reuse, SchemeOption, finish, result_folder
from flows.commands.tables import print_table
from flows.physical.fpga import DEVICES


def fpga(
    preset: Preset,
    device: Annotated[
        str, typer.Option(help=f"FPGA: {', '.join(DEVICES)}; auto: the smallest ECP5 with room.")
    ] = "ecp5-85k",
    size: Annotated[
        bool,
        typer.Option(
            "--size", help="Only say how many logic cells and memory blocks it takes, and which devices have room."
        ),
    ] = False,
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
    from dataclasses import asdict

    from rich.table import Table

    from flows.common.journal import Journal
    from flows.designs.catalogue import design
    from flows.steps.fpga import FpgaOptions, place_on_fpga, size_on_fpga

    chosen = design(preset, reuse=reuse, scheme=scheme, loading=loading)
    options = FpgaOptions(device=device, clock_mhz=clock_mhz, seed=seed, macro_seed=macro_seed, timeout_s=timeout)
    journal = Journal()
    if size:
        found_size = size_on_fpga(chosen, journal, options)
        if not as_json:
            sizes = Table("device", "logic cells", "taken", "room")
            for name, cells in sorted(found_size.family.items(), key=lambda row: row[1]):
                share = f"{100 * found_size.logic_cells / cells:.0f} %"
                sizes.add_row(name, f"{cells:,}", share, "yes" if name in found_size.with_room else "no")
            print_table(sizes)
        finish(journal, asdict(found_size), as_json, None)
        return
    with result_folder(out, chosen) as folder:
        metrics = place_on_fpga(chosen, folder, journal, options)
    if not as_json:
        found = json.loads((folder / f"fpga-{device}" / "fpga.json").read_text())
        table = Table("resource", "used", "available", "share")
        for name, count in found["used"].items():
            of = found["available"][name]
            table.add_row(name, f"{count:,}", f"{of:,}", f"{100 * count / of:.1f} %")
        print_table(table)
    finish(journal, {"metrics": [metric.to_dict() for metric in metrics]}, as_json, folder / f"fpga-{device}")
