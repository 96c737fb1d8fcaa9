"""Projects for place-and-route flows: LibreLane and OpenROAD-flow-scripts, for those who have them.

`export_librelane` and `export_openroad` write a folder that the flow takes as it is: configuration, constraints (SDC),
the mapped netlist where it fits the kit, else the RTL, and the order of pins around the core. Keys of the
configurations are those that LibreLane 3.0.17 and OpenROAD-flow-scripts (flow/scripts/variables.yaml) publish;
`LIBRELANE_KEYS` and `OPENROAD_KEYS` list the ones used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from flows.folder import fresh_folder
from flows.timing import ClockPlan

Ports = Mapping[str, tuple[str, int]]
"""Direction (``input``, ``output``) and width by port."""

__all__ = ["LIBRELANE_KEYS", "OPENROAD_KEYS", "export_librelane", "export_openroad", "sdc"]

LIBRELANE_KEYS = frozenset({
    "meta", "DESIGN_NAME", "PDK", "STD_CELL_LIBRARY", "VERILOG_FILES", "CLOCK_PORT", "CLOCK_PERIOD", "PNR_SDC_FILE",
    "SIGNOFF_SDC_FILE", "IO_PIN_ORDER_CFG", "FP_SIZING", "FP_CORE_UTIL", "FP_ASPECT_RATIO", "SYNTH_ELABORATE_ONLY",
})  # fmt: skip
"""Keys of LibreLane 3.0.17 that a project uses."""

OPENROAD_KEYS = frozenset({
    "DESIGN_NAME", "PLATFORM", "VERILOG_FILES", "SYNTH_NETLIST_FILES", "SDC_FILE", "CORE_UTILIZATION",
    "CORE_ASPECT_RATIO", "IO_CONSTRAINTS", "SYNTH_HIERARCHICAL",
})  # fmt: skip
"""Variables of OpenROAD-flow-scripts that a design uses."""

_LIBRELANE_KITS = {
    "sky130": ("sky130A", "sky130_fd_sc_hd"),
    "gf180mcu": ("gf180mcuD", "gf180mcu_fd_sc_mcu7t5v0"),
    "sg13g2": ("ihp-sg13g2", "sg13g2_stdcell"),
}
_OPENROAD_PLATFORMS = {
    "sky130": "sky130hd",
    "gf180mcu": "gf180",
    "sg13g2": "ihp-sg13g2",
    "asap7": "asap7",
    "nangate45": "nangate45",
}


def sdc(ports: Ports, plan: ClockPlan, *, static_pattern: str = "") -> str:
    """Timing constraints of a design with a hierarchical netlist.

    Parameters
    ----------
    ports : Ports
    plan : ClockPlan
    static_pattern : str
        Pattern of the quasi-static registers' instances, e.g. ``registers*``; none where empty.
    """
    if plan.clock not in ports:
        raise ValueError(f"no clock port {plan.clock!r}; ports: {', '.join(ports)}")
    lines = [
        f"create_clock -name {plan.clock} -period {plan.period_ns:g} [get_ports {plan.clock}]",
        f"set_clock_uncertainty -setup {plan.uncertainty_ns:g} [get_clocks {plan.clock}]",
        f"set_clock_uncertainty -hold {plan.hold_uncertainty_ns:g} [get_clocks {plan.clock}]",
    ]
    outside = plan.io_share * plan.period_ns
    for name, (direction, width) in ports.items():
        if name == plan.clock:
            continue
        wanted = f"[get_ports {{{name}[*]}}]" if width > 1 else f"[get_ports {name}]"
        if name in plan.resets:
            lines.append(f"set_false_path -from {wanted}")
        elif direction == "input":
            lines.append(f"set_input_delay {outside:g} -clock {plan.clock} {wanted}")
        else:
            lines.append(f"set_output_delay {outside:g} -clock {plan.clock} {wanted}")
    if static_pattern:
        lines += [
            f"set_multicycle_path {plan.static_clocks} -setup -from [get_cells {{{static_pattern}}}]",
            f"set_multicycle_path {plan.static_clocks - 1} -hold -from [get_cells {{{static_pattern}}}]",
        ]
    return "\n".join([*lines, ""])


def _sides(ports: Ports, clock: str, resets: Sequence[str]) -> dict[str, list[str]]:
    """Ports by side: clock, resets and narrow inputs west, wide inputs north, outputs south."""
    west = [name for name in ports if name == clock or name in resets or name.startswith("write_")]
    inputs = [name for name, (direction, _) in ports.items() if direction == "input" and name not in west]
    outputs = [name for name, (direction, _) in ports.items() if direction != "input"]
    return {"N": inputs, "S": outputs, "W": west, "E": []}


def export_librelane(
    out_dir: Path,
    *,
    design: str,
    library: str,
    verilog: str,
    mapped: bool,
    ports: Ports,
    plan: ClockPlan,
    utilisation: float = 0.5,
    aspect: float = 1.0,
    static_pattern: str = "",
) -> Path:
    """Write a LibreLane project.

    Parameters
    ----------
    out_dir : Path
        Absent, empty, or an earlier export.
    design : str
        Top module.
    library : str
        Kit: ``sky130``, ``gf180mcu``, ``sg13g2``.
    verilog : str
        Text of the netlist, or of the RTL.
    mapped : bool
        True if `verilog` is a netlist of that kit's cells: LibreLane then only elaborates it.
    ports : Ports
    plan : ClockPlan
    utilisation, aspect : float
        Cell area over core area; height over width.
    static_pattern : str
        See `sdc`.

    Returns
    -------
    Path
        The configuration: ``librelane config.json`` runs it.

    Raises
    ------
    ValueError
        A kit that LibreLane does not have, or a parameter out of range.
    """
    if library not in _LIBRELANE_KITS:
        raise ValueError(f"LibreLane has no kit for {library!r}: expected one of {', '.join(_LIBRELANE_KITS)}")
    _check(utilisation, aspect)
    kit, cells = _LIBRELANE_KITS[library]
    config: dict[str, object] = {
        "meta": {"version": 2, "flow": "Classic"},
        "DESIGN_NAME": design,
        "PDK": kit,
        "STD_CELL_LIBRARY": cells,
        "VERILOG_FILES": ["dir::src/" + f"{design}.v"],
        "CLOCK_PORT": plan.clock,
        "CLOCK_PERIOD": plan.period_ns,
        "PNR_SDC_FILE": "dir::constraints.sdc",
        "SIGNOFF_SDC_FILE": "dir::constraints.sdc",
        "IO_PIN_ORDER_CFG": "dir::pin_order.cfg",
        "FP_SIZING": "relative",
        "FP_CORE_UTIL": round(100 * utilisation, 1),
        "FP_ASPECT_RATIO": aspect,
        "SYNTH_ELABORATE_ONLY": mapped,
    }
    order = []
    for side, names in _sides(ports, plan.clock, plan.resets).items():
        order += [f"#{side}", *(f"{name}.*" if ports[name][1] > 1 else name for name in names), ""]
    with fresh_folder(out_dir, marker="config.json") as work:
        (work / "src").mkdir()
        (work / "src" / f"{design}.v").write_text(verilog)
        (work / "constraints.sdc").write_text(sdc(ports, plan, static_pattern=static_pattern))
        (work / "pin_order.cfg").write_text("\n".join(order))
        (work / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    return out_dir / "config.json"


def export_openroad(
    out_dir: Path,
    *,
    design: str,
    library: str,
    verilog: str,
    mapped: bool,
    ports: Ports,
    plan: ClockPlan,
    utilisation: float = 0.5,
    aspect: float = 1.0,
    static_pattern: str = "",
) -> Path:
    """Write a design of OpenROAD-flow-scripts; parameters and errors as `export_librelane`.

    Returns
    -------
    Path
        The configuration: ``make DESIGN_CONFIG=.../config.mk`` runs it.
    """
    if library not in _OPENROAD_PLATFORMS:
        raise ValueError(
            f"OpenROAD-flow-scripts has no platform for {library!r}: expected one of {', '.join(_OPENROAD_PLATFORMS)}"
        )
    _check(utilisation, aspect)
    # the folder of the configuration itself, wherever it is put
    here = "$(dir $(DESIGN_CONFIG))"
    values = {
        "DESIGN_NAME": design,
        "PLATFORM": _OPENROAD_PLATFORMS[library],
        "VERILOG_FILES": f"{here}src/{design}.v",
        **({"SYNTH_NETLIST_FILES": f"{here}src/{design}.v"} if mapped else {"SYNTH_HIERARCHICAL": "1"}),
        "SDC_FILE": f"{here}constraints.sdc",
        "CORE_UTILIZATION": f"{100 * utilisation:g}",
        "CORE_ASPECT_RATIO": f"{aspect:g}",
        "IO_CONSTRAINTS": f"{here}io.tcl",
    }
    region = {"N": "top:*", "S": "bottom:*", "W": "left:*", "E": "right:*"}
    lines = []
    for side, names in _sides(ports, plan.clock, plan.resets).items():
        bits = [f"{n}[{k}]" if ports[n][1] > 1 else n for n in names for k in range(ports[n][1])]
        if bits:
            lines.append(f"set_io_pin_constraint -region {region[side]} -pin_names {{{' '.join(bits)}}}")
    with fresh_folder(out_dir, marker="config.mk") as work:
        (work / "src").mkdir()
        (work / "src" / f"{design}.v").write_text(verilog)
        (work / "constraints.sdc").write_text(sdc(ports, plan, static_pattern=static_pattern))
        (work / "io.tcl").write_text("\n".join([*lines, ""]))
        (work / "config.mk").write_text("".join(f"export {name} = {value}\n" for name, value in values.items()))
    return out_dir / "config.mk"


def _check(utilisation: float, aspect: float) -> None:
    if not 0 < utilisation < 1:
        raise ValueError(f"utilisation: expected above 0 and below 1, got {utilisation}")
    if not aspect > 0:
        raise ValueError(f"aspect: expected above 0, got {aspect}")
