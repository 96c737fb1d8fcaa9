"""Projects for place-and-route flows: LibreLane and OpenROAD-flow-scripts, for those who have them.

`export_librelane` and `export_openroad` write a folder that the flow takes as it is: configuration, constraints (SDC),
the mapped netlist where it fits the kit, else the RTL, and the order of pins around the core. What they write is
checked against the variables that both flows publish, by name and type (`LIBRELANE_VARIABLES`, `OPENROAD_VARIABLES`),
before a file exists.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.common.folder import fresh_folder
from flows.physical.timing import ClockPlan

Ports = Mapping[str, tuple[str, int]]
"""Direction (``input``, ``output``) and width by port."""

__all__ = [
    "LIBRELANE_VARIABLES",
    "OPENROAD_VARIABLES",
    "Project",
    "check_librelane",
    "check_openroad",
    "export_librelane",
    "export_openroad",
    "sdc",
]

_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]+")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _path(value: object) -> bool:
    # one path: GNU make splits a list at spaces, but not inside a function
    return isinstance(value, str) and re.fullmatch(r"(\$\(dir \$\(DESIGN_CONFIG\)\))?[^\s$]+", value) is not None


Kind = tuple[str, Callable[[object], bool]]
"""What is expected, in words, and whether a value is it."""

_STRING: Kind = ("a string", lambda value: isinstance(value, str))
_NAME: Kind = ("an identifier", lambda value: isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None)
_BOOL: Kind = ("true or false", lambda value: isinstance(value, bool))
_DECIMAL: Kind = ("a number above 0", lambda value: _number(value) and float(str(value)) > 0)
_PATH: Kind = ("a path", _path)
_PATHS: Kind = ("a list of paths", lambda value: isinstance(value, list) and bool(value) and all(map(_path, value)))
_NAMES: Kind = (
    "a port or a list of ports",
    lambda value: isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value)),
)

LIBRELANE_VARIABLES: Mapping[str, Kind] = {
    "DESIGN_NAME": _NAME,
    "PDK": _STRING,
    "STD_CELL_LIBRARY": _STRING,
    "VERILOG_FILES": _PATHS,
    "CLOCK_PORT": _NAMES,
    "CLOCK_PERIOD": _DECIMAL,
    "PNR_SDC_FILE": _PATH,
    "SIGNOFF_SDC_FILE": _PATH,
    "IO_PIN_ORDER_CFG": _PATH,
    "FP_SIZING": ("absolute or relative", lambda value: value in ("absolute", "relative")),
    "FP_CORE_UTIL": _DECIMAL,
    "FP_ASPECT_RATIO": _DECIMAL,
    "SYNTH_ELABORATE_ONLY": _BOOL,
}
"""Variables of LibreLane that a project uses, with their types: those of the steps of its flow Classic and of
``librelane/config/flow.py`` in version 3.0.17 (Apache-2.0), where a path, a decimal and a literal are types, too.
``DESIGN_NAME`` has to be an identifier of C (its description there)."""

_SWITCH: Kind = ("0 or 1", lambda value: value in ("0", "1"))
_PERCENT: Kind = ("a number from 0 to 100", lambda value: _decimal_text(value) and 0 <= float(str(value)) <= 100)

OPENROAD_VARIABLES: Mapping[str, Kind] = {
    "DESIGN_NAME": _NAME,
    "PLATFORM": _STRING,
    "VERILOG_FILES": _PATH,
    "SYNTH_NETLIST_FILES": _PATH,
    "SYNTH_HIERARCHICAL": _SWITCH,
    "SDC_FILE": _PATH,
    "CORE_UTILIZATION": _PERCENT,
    "CORE_ASPECT_RATIO": (
        "a number above 0",
        lambda value: _decimal_text(value) and float(str(value)) > 0,
    ),
    "IO_CONSTRAINTS": _PATH,
}
"""Variables of OpenROAD-flow-scripts that a design uses: names and meanings of ``flow/scripts/variables.yaml`` of
The-OpenROAD-Project/OpenROAD-flow-scripts, which writes all values as text; utilisation is in percent there."""

_OPENROAD_REQUIRED = ("DESIGN_NAME", "PLATFORM", "VERILOG_FILES", "SDC_FILE")
"""``required: true`` in that file."""
_LIBRELANE_REQUIRED = ("DESIGN_NAME", "VERILOG_FILES", "CLOCK_PORT", "CLOCK_PERIOD")


def _decimal_text(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value) is not None


def _check_variables(
    values: Mapping[str, object], known: Mapping[str, Kind], required: Sequence[str], flow: str
) -> None:
    for name in required:
        if name not in values:
            raise ValueError(f"{flow}: {name} is missing")
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{flow} has no variable {name}")
        expected, fits = known[name]
        if not fits(value):
            raise ValueError(f"{flow}: {name} expects {expected}, got {value!r}")


def check_librelane(config: Mapping[str, object]) -> None:
    """Check a configuration against LibreLane's variables.

    Raises
    ------
    ValueError
        A variable that LibreLane does not have, a value of another type, or one that is missing.
    """
    if config.get("meta") != {"version": 2, "flow": "Classic"}:
        raise ValueError(f"LibreLane: expected meta of version 2 for the flow Classic, got {config.get('meta')!r}")
    values = {name: value for name, value in config.items() if name != "meta"}
    _check_variables(values, LIBRELANE_VARIABLES, _LIBRELANE_REQUIRED, "LibreLane")


def check_openroad(values: Mapping[str, str]) -> None:
    """Check variables of a design against those of OpenROAD-flow-scripts; raises as `check_librelane`."""
    _check_variables(values, OPENROAD_VARIABLES, _OPENROAD_REQUIRED, "OpenROAD-flow-scripts")


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


def static_cells(stages: Sequence[str]) -> str:
    """Patterns of the cells inside some children of the top module, before a flow flattens the netlist and after.

    Flattened names join the levels by a dot; without flattening a star stays on its level.
    """
    return " ".join(f"{stage}/* {stage}/*/* {stage}.*" for stage in stages)


def sdc(ports: Ports, plan: ClockPlan, *, static_pattern: str = "") -> str:
    """Timing constraints of a design with a hierarchical netlist.

    Parameters
    ----------
    ports : Ports
    plan : ClockPlan
    static_pattern : str
        Patterns of the quasi-static registers' instances, as `static_cells` gives them; none where empty.
    """
    lines = []
    # in phase and synchronous: no set_clock_groups, paths between both are checked
    for name, share in ((plan.clock, 1), (plan.internal_clock, plan.multiple)):
        if name is None:
            continue
        if name not in ports:
            raise ValueError(f"no clock port {name!r}; ports: {', '.join(ports)}")
        period_ns = plan.period_ns / share
        lines += [
            f"create_clock -name {name} -period {period_ns:g}{plan.waveform(name, period_ns)} [get_ports {name}]",
            f"set_clock_uncertainty -setup {plan.uncertainty_ns / share:g} [get_clocks {name}]",
            f"set_clock_uncertainty -hold {plan.hold_uncertainty_ns / share:g} [get_clocks {name}]",
        ]
    outside = plan.io_share * plan.period_ns
    for name, (direction, width) in ports.items():
        if name in (plan.clock, plan.internal_clock):
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
            f"set_multicycle_path {plan.static_clocks} -setup -from [get_cells -quiet {{{static_pattern}}}]",
            f"set_multicycle_path {plan.static_clocks - 1} -hold -from [get_cells -quiet {{{static_pattern}}}]",
        ]
    return "\n".join([*lines, ""])


def _sides(ports: Ports, plan: ClockPlan) -> dict[str, list[str]]:
    """Ports by side: clocks, resets and narrow inputs west, wide inputs north, outputs south."""
    first = (plan.clock, plan.internal_clock, *plan.resets)
    west = [name for name in ports if name in first or name.startswith("write_")]
    inputs = [name for name, (direction, _) in ports.items() if direction == "input" and name not in west]
    outputs = [name for name, (direction, _) in ports.items() if direction != "input"]
    return {"N": inputs, "S": outputs, "W": west, "E": []}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A design that is to be placed and routed.

    Attributes
    ----------
    design : str
        Top module.
    library : str
        Kit, as `flows.library` names it.
    verilog : str
        Text of the netlist, or of the RTL.
    mapped : bool
        True if `verilog` is a netlist of that kit's cells: the flow then does not synthesise it.
    ports : Ports
    plan : ClockPlan
    utilisation, aspect : float
        Cell area over core area; height over width. Out of range they raise ValueError.
    static_pattern : str
        See `sdc`.
    """

    design: str
    library: str
    verilog: str
    mapped: bool
    ports: Ports
    plan: ClockPlan
    utilisation: float = 0.5
    aspect: float = 1.0
    static_pattern: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.utilisation < 1:
            raise ValueError(f"utilisation: expected above 0 and below 1, got {self.utilisation}")
        if not self.aspect > 0:
            raise ValueError(f"aspect: expected above 0, got {self.aspect}")

    @property
    def source(self) -> str:
        """File of the Verilog in the folder of the project."""
        return f"src/{self.design}.v"

    @property
    def constraints(self) -> str:
        """Text of ``constraints.sdc``."""
        return sdc(self.ports, self.plan, static_pattern=self.static_pattern)


def export_librelane(out_dir: Path, project: Project) -> Path:
    """Write a LibreLane project.

    Parameters
    ----------
    out_dir : Path
        Absent, empty, or an earlier export.
    project : Project
        Of the kit ``sky130``, ``gf180mcu`` or ``sg13g2``.

    Returns
    -------
    Path
        The configuration: ``librelane config.json`` runs it.

    Raises
    ------
    ValueError
        A kit that LibreLane does not have.
    """
    if project.library not in _LIBRELANE_KITS:
        raise ValueError(f"LibreLane has no kit for {project.library!r}: expected one of {', '.join(_LIBRELANE_KITS)}")
    kit, cells = _LIBRELANE_KITS[project.library]
    ports, plan = project.ports, project.plan
    config: dict[str, object] = {
        "meta": {"version": 2, "flow": "Classic"},
        "DESIGN_NAME": project.design,
        "PDK": kit,
        "STD_CELL_LIBRARY": cells,
        "VERILOG_FILES": [f"dir::{project.source}"],
        "CLOCK_PORT": plan.clock if plan.internal_clock is None else [plan.clock, plan.internal_clock],
        "CLOCK_PERIOD": plan.period_ns,
        "PNR_SDC_FILE": "dir::constraints.sdc",
        "SIGNOFF_SDC_FILE": "dir::constraints.sdc",
        "IO_PIN_ORDER_CFG": "dir::pin_order.cfg",
        "FP_SIZING": "relative",
        "FP_CORE_UTIL": round(100 * project.utilisation, 1),
        "FP_ASPECT_RATIO": project.aspect,
        "SYNTH_ELABORATE_ONLY": project.mapped,
    }
    check_librelane(config)
    order = []
    for side, names in _sides(ports, plan).items():
        # regular expressions of whole pin names: those of a bus alone, not of another port that begins like it
        bits = [name + (r"\[\d+\]" if ports[name][1] > 1 else "") for name in names]
        order += [f"#{side}", *bits, ""]
    return _write(out_dir, "config.json", {
        "config.json": json.dumps(config, indent=1) + "\n",
        project.source: project.verilog,
        "constraints.sdc": project.constraints,
        "pin_order.cfg": "\n".join(order),
    })  # fmt: skip


def export_openroad(out_dir: Path, project: Project) -> Path:
    """Write a design of OpenROAD-flow-scripts; as `export_librelane`, also of ``asap7`` and ``nangate45``.

    Returns
    -------
    Path
        The configuration: ``make DESIGN_CONFIG=.../config.mk`` runs it.
    """
    if project.library not in _OPENROAD_PLATFORMS:
        raise ValueError(
            f"OpenROAD-flow-scripts has no platform for {project.library!r}:"
            f" expected one of {', '.join(_OPENROAD_PLATFORMS)}"
        )
    ports = project.ports
    # the folder of the configuration itself, wherever it is put
    here = "$(dir $(DESIGN_CONFIG))"
    values = {
        "DESIGN_NAME": project.design,
        "PLATFORM": _OPENROAD_PLATFORMS[project.library],
        "VERILOG_FILES": f"{here}{project.source}",
        **({"SYNTH_NETLIST_FILES": f"{here}{project.source}"} if project.mapped else {"SYNTH_HIERARCHICAL": "1"}),
        "SDC_FILE": f"{here}constraints.sdc",
        "CORE_UTILIZATION": f"{100 * project.utilisation:g}",
        "CORE_ASPECT_RATIO": f"{project.aspect:g}",
        "IO_CONSTRAINTS": f"{here}io.tcl",
    }
    check_openroad(values)
    region = {"N": "top:*", "S": "bottom:*", "W": "left:*", "E": "right:*"}
    lines = []
    for side, names in _sides(ports, project.plan).items():
        bits = [f"{n}[{k}]" if ports[n][1] > 1 else n for n in names for k in range(ports[n][1])]
        if bits:
            lines.append(f"set_io_pin_constraint -region {region[side]} -pin_names {{{' '.join(bits)}}}")
    return _write(out_dir, "config.mk", {
        "config.mk": "".join(f"export {name} = {value}\n" for name, value in values.items()),
        project.source: project.verilog,
        "constraints.sdc": project.constraints,
        "io.tcl": "\n".join([*lines, ""]),
    })  # fmt: skip


def _write(out_dir: Path, configuration: str, files: Mapping[str, str]) -> Path:
    """A project, complete or not at all; the path of its configuration."""
    with fresh_folder(out_dir, marker=configuration) as work:
        (work / "src").mkdir()
        for name, text in files.items():
            (work / name).write_text(text)
    return out_dir / configuration
