"""Both chips and smaller ones on FPGAs: ``python -m benchmarks.fpga``.

Every case is placed and routed as ``liquidcal fpga`` does it, one after the other, and its row is written as soon as it
is known; cases that are not asked for keep theirs. What does not fit says which resource is short.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path

from flows.designs import Design, component
from flows.fpga import DEVICES, FpgaError, SizeError, place_and_route
from flows.metrics import now, package_version
from flows.yosys import yosys_version
from hw.common.export import to_rtlil
from hw.common.serial_boundary import SerialBoundary
from sim.files import replacing
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec
from sim.lsm_crossbar.spec import FULL_MACRO, N_MNIST, N_TIDIGITS

RESULT = Path(__file__).resolve().parent / "results" / "fpga.json"
CROSSBAR_16 = replace(
    N_MNIST, name="CROSSBAR_16", rows=32, columns=32, inputs=16, neurons=16, outputs=4, rows_per_read=16
)
"""A crossbar for small devices."""
ENCODER_2_4 = replace(ECON_T, name="ENCODER_2_4", filters=2, latents=4)
"""ECON_T with 2 filters and 4 latents in place of 8 and 16: everything in front of the network is whole."""
CASES: dict[str, tuple[Design, str]] = {
    f"{design.name}:{device}": (design, device)
    for design, device in (
        (Design(spec=N_MNIST), "ecp5-85k"),
        (Design(spec=N_TIDIGITS), "ecp5-85k"),
        (Design(spec=FULL_MACRO), "ecp5-85k"),
        (Design(spec=CROSSBAR_16), "ecp5-25k"),
        (Design(spec=CROSSBAR_16), "ice40-hx8k"),
        (Design(spec=CROSSBAR_16), "gw2a-18"),
        (Design(spec=ECON_T), "ecp5-85k"),
        (Design(spec=replace(ECON_T, reuse=8)), "ecp5-85k"),
        (Design(spec=ENCODER_2_4), "ecp5-85k"),
        (Design(spec=replace(ENCODER_2_4, reuse=8)), "ecp5-25k"),
        (Design(spec=replace(ENCODER_2_4, reuse=8)), "ice40-hx8k"),
        (Design(spec=replace(ENCODER_2_4, reuse=8)), "gw2a-18"),
    )
}
FLIP_FLOPS = {"TRELLIS_FF", "DFF"}
MEMORIES = {"DP16KD", "ICESTORM_RAM", "BSRAM"}
MULTIPLIERS = {"MULT18X18D", "ICESTORM_DSP", "MULT9X9", "MULT12X12", "MULTADDALU12X12", "MULT18X18", "MULT36X36"}
COLUMNS = [
    "chip", "FPGA", "logic cells", "of", "flip-flops", "memory blocks", "multipliers", "maximum clock, MHz",
    "run time, s", "result",
]  # fmt: skip


def row(design: Design, device: str, out: Path, collect: bool) -> list[str]:
    """Place and route one case, or tell why that cannot be."""
    chosen, name = DEVICES[device], design.name
    folder = out / name / f"fpga-{device}"
    clocks = {"fast_clk": design.reuse} if design.reuse > 1 else {}
    part = component(design.spec) if design.scheme is None else design.component()
    try:
        if not collect:
            place_and_route(
                to_rtlil(SerialBoundary(component=part, clocks=clocks), name),
                top=name,
                device=chosen,
                out_dir=folder,
                clocks=clocks,
                flatten=not isinstance(design.spec, EncoderSpec),
                command="python -m benchmarks.fpga",
            )
    except SizeError as error:
        sizes = [f"{error.needed:,}", f"{error.available:,}"]
        return [name, chosen.description, *sizes, *[""] * 5, "does not fit"]
    except FpgaError as error:
        return [name, chosen.description, *[""] * 7, str(error).partition("ERROR: ")[2] or str(error)]
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], metavar="CHIP:FPGA", help=f"of {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, default=Path("report"))
    parser.add_argument("--collect", action="store_true", help="take what `liquidcal fpga` left below --out")
    options = parser.parse_args()
    rows: dict[str, list[str]] = {}
    if RESULT.exists():
        table = json.loads(RESULT.read_text())["tables"][0]
        rows = dict(zip(table["cases"], table["rows"], strict=True))
    for case in options.cases or CASES:
        rows[case] = row(*CASES[case], options.out, options.collect)
        print(*rows[case], sep=" | ", flush=True)
        kept = [name for name in CASES if name in rows]
        wheels = sorted({DEVICES[CASES[name][1]].distribution for name in kept})
        tools = ", ".join(f"{wheel} {package_version(wheel)}" for wheel in wheels)
        note = (
            f"yosys {yosys_version()}, {tools}; placed and routed for 40 MHz, ports behind shift chains, which are "
            f"counted; `python -m benchmarks.fpga`, {now()[:10]}, {os.cpu_count()} cores. The macro of a crossbar is "
            "emulated in block RAM."
        )
        content = {
            "tables": [
                {"title": "FPGA", "columns": COLUMNS, "cases": kept, "rows": [rows[name] for name in kept]},
            ],
            "notes": [note],
        }
        with replacing(RESULT) as file:
            file.write(json.dumps(content, indent=1) + "\n")
    print(f"wrote {os.path.relpath(RESULT)}")


if __name__ == "__main__":
    main()
