"""Step: a project for place and route by LibreLane or OpenROAD-flow-scripts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flows.common.journal import Journal
from flows.common.stored import read_stored
from flows.designs.design import Design
from flows.physical.export import Project, export_librelane, export_openroad, static_cells
from flows.physical.mapped import STATIC_STAGES
from flows.physical.timing import ClockPlan
from hw.common.export import ports, to_verilog

__all__ = ["ExportOptions", "export_design"]

_WRITERS = {"librelane": export_librelane, "openroad": export_openroad}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """For which flow and kit.

    Attributes
    ----------
    flow : str
        ``librelane`` or ``openroad``.
    kit : str
        ``sky130``, ``gf180mcu``, ``sg13g2``; for openroad also ``asap7``, ``nangate45``.
    utilisation : float
        Cell area over core area.
    netlists : Path or None
        Result folder of the design, whose netlist is used if it is of the kit; None: RTL.
    """

    flow: str = "librelane"
    kit: str = "sky130"
    utilisation: float = 0.5
    netlists: Path | None = None


def export_design(
    design: Design, folder: Path, journal: Journal, options: ExportOptions | None = None
) -> tuple[Path, bool]:
    """Write configuration, constraints, netlist or RTL, order of pins into a folder.

    Returns
    -------
    tuple of Path and bool
        The configuration, and whether a netlist of the kit was at hand.

    Raises
    ------
    ValueError
        Clock gates, which are cells of a kit, without a netlist of it.
    """
    options = options or ExportOptions()
    netlist = _netlist(options)
    if design.clock_gating and netlist is None:
        before = design.command("synth", f"--library {options.kit}")
        raise ValueError(f"clock gates are cells of the kit: run {before} first")
    hardware = design.component()
    pins = {name: (direction, width) for name, direction, width in ports(hardware)}
    with journal.step(f"{design.name}: {'RTL' if netlist is None else 'netlist'} for {options.flow} on {options.kit}"):
        verilog = to_verilog(hardware, design.name) if netlist is None else netlist
        period_ns = design.period_ns
        internal, multiple = next(iter(design.internal_clocks.items()), (None, 1))
        plan = ClockPlan(
            clock="clk", internal_clock=internal, multiple=multiple, period_ns=period_ns,
            uncertainty_ns=0.03 * period_ns, hold_uncertainty_ns=0.003 * period_ns,
            resets=tuple(name for name in ("rst",) if name in pins), clock_high=design.clock_high,
        )  # fmt: skip
        static = [s for s in STATIC_STAGES if netlist and re.search(rf"^\s*\S+ {s} \($", verilog, re.MULTILINE)]
        project = Project(
            design=design.name, library=options.kit, verilog=verilog, mapped=netlist is not None, ports=pins,
            plan=plan, utilisation=options.utilisation, static_pattern=static_cells(static),
        )  # fmt: skip
        config = _WRITERS[options.flow](folder, project)
    return config, netlist is not None


def _netlist(options: ExportOptions) -> str | None:
    """Verilog of the netlist, if there is one of the kit in any of its corners."""
    tables = options.netlists / "synthesis" / "modules.json" if options.netlists is not None else None
    if tables is None or not tables.is_file():
        return None
    if read_stored(tables)["library"].partition(":")[0] != options.kit:
        return None
    return unsigned((tables.parent / "netlist.v").read_text())


def unsigned(verilog: str) -> str:
    """A netlist without ``signed``, which says nothing about its cells and which OpenSTA's reader refuses."""
    return re.sub(r"^(\s*(?:input|output|inout|wire|reg))\s+signed\b", r"\1", verilog, flags=re.MULTILINE)
