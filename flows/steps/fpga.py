"""Step: a design on an FPGA, behind shift chains, since no package has enough pins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from flows.common.journal import Check, Journal
from flows.common.metrics import Metric
from flows.designs.design import Design
from flows.physical.fpga import DEVICES, place_and_route
from hw.common.export import to_rtlil
from hw.common.serial_boundary import SerialBoundary

__all__ = ["FpgaOptions", "place_on_fpga"]


@dataclass(frozen=True, kw_only=True)
class FpgaOptions:
    """Where a design goes.

    Attributes
    ----------
    device : str
        Of `flows.physical.fpga.DEVICES`.
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
        if self.device not in DEVICES:
            raise ValueError(f"no FPGA named {self.device!r}; there are {', '.join(DEVICES)}")


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
    device, clocks = DEVICES[options.device], design.internal_clocks
    part = design.emulation(options.macro_seed)
    chosen = f"--device {options.device} --clock-mhz {options.clock_mhz:g} --seed {options.seed}"
    macro = "" if options.macro_seed is None else f"--macro-seed {options.macro_seed}"
    with journal.step(f"{design.name} on {device.description}: yosys, nextpnr"):
        result = place_and_route(
            to_rtlil(SerialBoundary(component=part, clocks=clocks), design.name), top=design.name, device=device,
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
