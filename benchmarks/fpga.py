"""The chips and smaller ones on FPGAs: ``python -m benchmarks.fpga``.

Every case is placed and routed as ``liquidcal fpga`` does it, one after the other, and its row is written as soon as it
is known; cases that are not asked for keep theirs. What does not fit says which resource is short.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.measured import RESULTS
from flows.common.metrics import now, package_version
from flows.designs.catalogue import design
from flows.physical.fpga import DEVICES, FpgaError, SizeError, place_and_route
from flows.tools.yosys import yosys_version
from hw.common.export import to_rtlil
from hw.common.serial_boundary import SerialBoundary
from hw.hgcal_encoder.serial_network import SerialNetwork
from sim.astrocyte_liquid.spec import NALSM_1000_SEEDED, AstrocyteSpec
from sim.files import replacing
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec
from sim.lsm_crossbar.spec import FULL_MACRO, N_MNIST, N_TIDIGITS, CrossbarSpec

RESULT = RESULTS / "fpga.json"
CROSSBAR_16 = replace(
    N_MNIST, name="CROSSBAR_16", rows=32, columns=32, inputs=16, neurons=16, outputs=4, rows_per_read=16
)
"""A crossbar for small devices."""
ENCODER_2_4 = replace(ECON_T, name="ENCODER_2_4", filters=2, latents=4, reuse=8)
"""ECON_T with 2 filters and 4 latents in place of 8 and 16: everything in front of the network is whole."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A design on a device.

    Attributes
    ----------
    spec : EncoderSpec, CrossbarSpec or AstrocyteSpec
    device : str
        Of `flows.physical.fpga.DEVICES`.
    network : bool
        Of an encoder that reuses multipliers the network alone, weights at its inputs; ``clk`` is its internal clock.
    """

    spec: EncoderSpec | CrossbarSpec | AstrocyteSpec
    device: str
    network: bool = False

    @property
    def design(self) -> str:
        """Name of the design."""
        return design(self.spec).name + "_network" * self.network

    @property
    def clocks(self) -> dict[str, int]:
        """Clocks beside ``clk``."""
        return {} if self.network else design(self.spec).internal_clocks

    def boundary(self) -> SerialBoundary:
        """The design behind its shift chains."""
        if self.network:
            assert isinstance(self.spec, EncoderSpec)
            return SerialBoundary(component=SerialNetwork(spec=self.spec))
        return SerialBoundary(component=design(self.spec).emulation(), clocks=self.clocks)


CASES = {
    f"{case.design}:{case.device}": case
    for case in (
        Case(spec=N_MNIST, device="ecp5-85k"),
        Case(spec=N_TIDIGITS, device="ecp5-85k"),
        Case(spec=FULL_MACRO, device="ecp5-85k"),
        Case(spec=CROSSBAR_16, device="ecp5-25k"),
        Case(spec=CROSSBAR_16, device="ice40-hx8k"),
        Case(spec=CROSSBAR_16, device="gw2a-18"),
        Case(spec=NALSM_1000_SEEDED, device="ecp5-85k"),
        Case(spec=ECON_T, device="ecp5-85k"),
        Case(spec=replace(ECON_T, reuse=8), device="ecp5-85k"),
        Case(spec=replace(ECON_T, reuse=16), device="ecp5-85k"),
        Case(spec=ENCODER_2_4, device="ecp5-85k"),
        Case(spec=ENCODER_2_4, device="ecp5-25k"),
        Case(spec=ENCODER_2_4, device="ecp5-25k", network=True),
        Case(spec=ENCODER_2_4, device="gw2a-18", network=True),
        Case(spec=ENCODER_2_4, device="ice40-hx8k", network=True),
    )
}
FLIP_FLOPS = {"TRELLIS_FF", "DFF"}
MEMORIES = {"DP16KD", "ICESTORM_RAM", "BSRAM"}
MULTIPLIERS = {"MULT18X18D", "ICESTORM_DSP", "MULT9X9", "MULT12X12", "MULTADDALU12X12", "MULT18X18", "MULT36X36"}
COLUMNS = [
    "chip", "FPGA", "logic cells", "of", "flip-flops", "memory blocks", "multipliers", "maximum clock, MHz",
    "run time, s", "result",
]  # fmt: skip
PART_COLUMNS = ["part", "logic cells", "equal ones", "logic cells of one"]
SPLIT = "ENCODER_2_4_reuse8:ecp5-85k"
"""The case whose parts are told."""


def row(case: Case, out: Path, collect: bool) -> list[str]:
    """Place and route one case, or tell why that cannot be."""
    chosen, name = DEVICES[case.device], case.design
    folder = out / name / f"fpga-{case.device}"
    try:
        if not collect:
            place_and_route(
                to_rtlil(case.boundary(), name),
                top=name,
                device=chosen,
                out_dir=folder,
                clocks=case.clocks,
                flatten=case.network or not design(case.spec).made_of_equal_parts,
                command="python -m benchmarks.fpga",
            )
    except SizeError as error:
        sizes = [f"{error.needed:,}", f"{error.available:,}"]
        return [name, chosen.description, *sizes, *[""] * 5, "does not fit"]
    except FpgaError as error:
        return [
            name,
            chosen.description,
            *[""] * 7,
            str(error).partition("ERROR: ")[2] or str(error).partition(": ")[2],
        ]
    summary = json.loads((folder / "fpga.json").read_text())
    used, available = summary["used"], summary["available"]

    def count(names: set[str]) -> str:
        return f"{sum(number for name, number in used.items() if name in names):,}"

    # an iCE40 logic cell holds table and flip-flop
    flip_flops = "in the cells" if chosen.logic == "ICESTORM_LC" else count(FLIP_FLOPS)
    return [
        name, chosen.description, count({chosen.logic}), f"{available[chosen.logic]:,}", flip_flops,
        count(MEMORIES), count(MULTIPLIERS), f"{summary['fmax_mhz']:.1f}", f"{summary['seconds']:.0f}", "bitstream",
    ]  # fmt: skip


def parts(stat: dict[str, Any], design: str, weights: Mapping[str, int]) -> list[list[str]]:
    """Logic cells of the parts of an encoder, from yosys' ``stat -json`` of a design that was not flattened.

    Parameters
    ----------
    stat : dict
    design : str
        Name that the parts have in front.
    weights : mapping of str to int
        Logic cells of each primitive, as `flows.physical.fpga.Device.cells`.

    Returns
    -------
    list of list of str
        Part, logic cells, and of a part with many equal ones in it how many there are, and the logic cells of one.
    """
    modules = {name.removeprefix("\\"): module["num_cells_by_type"] for name, module in stat["modules"].items()}

    @cache
    def cells(name: str) -> int:
        own = modules[name].items()
        return sum(count * (cells(kind) if kind in modules else weights.get(kind, 0)) for kind, count in own)

    encoder = f"{design}_part" if f"{design}_part" in modules else design
    found = []
    for name in sorted(modules[encoder], key=lambda name: -cells(name) if name in modules else 0):
        if name not in modules or not cells(name):
            continue
        equal = [
            (count, kind) for kind, count in modules[name].items() if kind in modules and count > 1 and cells(kind)
        ]
        count, kind = max(equal, default=(0, ""))
        title = name.removeprefix(f"{design}_").replace("_", " ")
        found.append([title, f"{cells(name):,}", *([f"{count}", f"{cells(kind):,}"] if count else ["", ""])])
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CHIP:FPGA", help=f"of {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--collect", action="store_true", help="take what `liquidcal fpga` left below --out")
    options = parser.parse_args()
    for case in options.cases or CASES:
        found = row(CASES[case], options.out, options.collect)
        # read behind the measurement: cases may run side by side
        table, *split = json.loads(RESULT.read_text())["tables"] if RESULT.exists() else [{"cases": [], "rows": []}]
        rows = dict(zip(table["cases"], table["rows"], strict=True)) | {case: found}
        if case == SPLIT and found[-1] == "bitstream":
            device, name = DEVICES[CASES[case].device], CASES[case].design
            stat = json.loads((options.out / name / f"fpga-{device.name}" / "stat.json").read_text())
            title = f"Parts of {name} on the {device.description.partition(',')[0]}"
            split = [{"title": title, "columns": PART_COLUMNS, "rows": parts(stat, name, device.cells)}]
        print(*rows[case], sep=" | ", flush=True)
        kept = [name for name in CASES if name in rows]
        wheels = sorted({DEVICES[CASES[name].device].distribution for name in kept})
        tools = ", ".join(f"{wheel} {package_version(wheel)}" for wheel in wheels)
        note = (
            f"yosys {yosys_version()}, {tools}; placed and routed for 40 MHz, ports behind shift chains, which are "
            f"counted; `python -m benchmarks.fpga`, {now()[:10]}, {os.cpu_count()} cores. The macro of a crossbar is "
            "emulated in block RAM. Logic cells of what does not fit are those of yosys' netlist: tables and carries "
            "alone. `_network`: without the front end, its clock the internal one, 8 times that of the crossings."
        )
        content = {
            "tables": [
                {"title": "FPGA", "columns": COLUMNS, "cases": kept, "rows": [rows[name] for name in kept]},
                *split,
            ],
            "notes": [note],
        }
        with replacing(RESULT) as file:
            file.write(json.dumps(content, indent=1) + "\n")
    print(f"wrote {os.path.relpath(RESULT)}")


if __name__ == "__main__":
    main()
