"""Step: a design on an FPGA, behind shift chains, since no package has enough pins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.common.journal import Check, Journal
from flows.common.metrics import Metric
from flows.designs.design import Design
from flows.physical.fpga import DEVICES, Device, netlist_size, place_and_route, with_room
from hw.common.export import to_rtlil
from hw.common.serial_boundary import SerialBoundary

__all__ = ["AUTO", "FpgaOptions", "FpgaSize", "place_on_fpga", "size_on_fpga"]

AUTO = "auto"
_ECP5 = tuple(device for device in DEVICES.values() if device.synth == "synth_ecp5")


@dataclass(frozen=True, kw_only=True)
class FpgaOptions:
    """Where a design goes.

    Attributes
    ----------
    device : str
        Of `flows.physical.fpga.DEVICES`, or ``auto``: the smallest ECP5 with room.
    clock_mhz : float
        Clock that place and route work towards.
    seed : int
        Of the placer.
    macro_seed : int or None
        Crossbar: of the conductances in its memory; None: 0.
    timeout_s : float
        Limit of each tool.

    Raises
    ------
    ValueError
        An unknown device.
    """

    device: str = "ecp5-85k"
    clock_mhz: float = 40.0
    seed: int = 1
    macro_seed: int | None = None
    timeout_s: float = 3600.0

    def __post_init__(self) -> None:
        if self.device not in (AUTO, *DEVICES):
            raise ValueError(f"no FPGA named {self.device!r}; there are {', '.join((AUTO, *DEVICES))}")

    @property
    def devices(self) -> tuple[Device, ...]:
        """Those that may be taken."""
        return _ECP5 if self.device == AUTO else (DEVICES[self.device],)


def place_on_fpga(
    design: Design, folder: Path, journal: Journal, options: FpgaOptions | None = None
) -> tuple[Metric, ...]:
    """Utilisation, clock frequency and bitstream in ``fpga-DEVICE/``; what was used is in its ``fpga.json``.

    Raises
    ------
    FpgaError
        A tool fails, or the design does not fit.
    ValueError
        A seed for a design that emulates nothing.
    """
    options = options or FpgaOptions()
    clocks, devices = design.internal_clocks, options.devices
    part = design.emulation(options.macro_seed)
    chosen = f"--device {options.device} --clock-mhz {options.clock_mhz:g} --seed {options.seed}"
    macro = "" if options.macro_seed is None else f"--macro-seed {options.macro_seed}"
    where = devices[0].description if len(devices) == 1 else "the smallest ECP5 with room"
    with journal.step(f"{design.name} on {where}: yosys, nextpnr"):
        result = place_and_route(
            to_rtlil(SerialBoundary(component=part, clocks=clocks), design.name), top=design.name, device=devices,
            out_dir=folder / f"fpga-{options.device}", clocks=clocks, flatten=not design.made_of_equal_parts,
            target_mhz=options.clock_mhz, seed=options.seed, command=design.command("fpga", chosen, macro),
            timeout_s=options.timeout_s,
        )  # fmt: skip
    journal.check(
        Check(
            name=f"placed and routed on {options.device} at {options.clock_mhz:g} MHz",
            passed=result.fmax_mhz >= options.clock_mhz, compared=sum(result.used.values()), unit="resources",
            detail=f"maximum clock {result.fmax_mhz:.1f} MHz",
        )
    )  # fmt: skip
    return result.metrics


@dataclass(frozen=True, kw_only=True)
class FpgaSize:
    """What a design takes of a family of FPGAs.

    Attributes
    ----------
    logic_cells : int
        Of yosys' netlist with shift chains: tables and carries, the least that placing takes.
    memory_blocks : int
        Of the same.
    family : dict of str to int
        Logic cells by device.
    with_room : tuple of str
        Devices that it fits with room for routing, the smallest first.
    """

    logic_cells: int
    memory_blocks: int
    family: dict[str, int]
    with_room: tuple[str, ...]


def size_on_fpga(design: Design, journal: Journal, options: FpgaOptions | None = None) -> FpgaSize:
    """Map a design and say which devices have room, without placing it: minutes in place of up to an hour.

    Raises
    ------
    YosysError
        If yosys fails.
    ValueError
        A seed for a design that emulates nothing.
    """
    options = options or FpgaOptions()
    device = options.devices[0]
    part = design.emulation(options.macro_seed)
    with journal.step(f"{design.name}: yosys, {device.synth}"):
        text = to_rtlil(SerialBoundary(component=part, clocks=design.internal_clocks), design.name)
        needed, blocks = netlist_size(
            text, top=design.name, device=device, flatten=not design.made_of_equal_parts, timeout_s=options.timeout_s
        )
    family = {other.name: other.logic_cells for other in DEVICES.values() if other.synth == device.synth}
    found = tuple(other.name for other in with_room(needed, device, blocks))
    journal.check(
        Check(
            name=f"{design.name} has room on an FPGA of the family", passed=bool(found), compared=len(family),
            unit="devices",
            detail=f"{needed:,} logic cells, {blocks:,} memory blocks; "
            + (f"smallest: {found[0]}" if found else "none has"),
        )
    )  # fmt: skip
    return FpgaSize(logic_cells=needed, memory_blocks=blocks, family=family, with_room=found)
