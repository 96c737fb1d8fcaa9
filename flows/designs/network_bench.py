"""Bench of the network in this folder: loads its weights, streams its vectors, compares every result.

Run it with ``python`` or ``pytest``: it needs cocotb and a simulator that cocotb knows, Verilator unless ``SIM`` names
another. What it drives stands beside it: ``design.json``, ``writes.csv``, ``vectors.csv``, and the Verilog.
"""

import csv
import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import Timer

FOLDER = Path(__file__).resolve().parent


def design() -> Any:
    """What was generated, and how its ports are used."""
    return json.loads((FOLDER / "design.json").read_text())


def rows(name: str) -> list[dict[str, str]]:
    """Rows of a table beside this file."""
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


async def clock(dut: Any) -> None:
    """One clock; inputs that were set before it are taken at its rising edge."""
    await Timer(1, "ns")
    dut.clk.value = 1
    await Timer(1, "ns")
    dut.clk.value = 0


@cocotb.test()  # type: ignore[untyped-decorator]
async def every_vector(dut: Any) -> None:
    """Samples as fast as they may come; their results leave the latency later."""
    vectors, latency, step = rows("vectors.csv"), design()["latency_clocks"], design()["clocks_per_sample"]
    outputs = [output["port"] for output in design()["outputs"]]
    dut.clk.value = 0
    dut.rst.value = 1
    dut.x.value = 0
    if step > 1:
        dut.start.value = 0
    await clock(dut)
    dut.rst.value = 0
    for write in rows("writes.csv"):
        dut.write_address.value, dut.write_data.value = int(write["address"], 16), int(write["data"], 16)
        dut.write_enable.value = 1
        await clock(dut)
    if design()["weights"] == "loaded":
        dut.write_enable.value = 0
    compared = 0
    for clocks in range((len(vectors) - 1) * step + latency + 1):
        number, slot = divmod(clocks, step)
        dut.x.value = int(vectors[min(number, len(vectors) - 1)]["x"], 16)
        if step > 1:
            dut.start.value = int(slot == 0 and number < len(vectors))
        await Timer(1, "ns")
        number, slot = divmod(clocks - latency, step)
        if number >= 0 and slot == 0:
            for port in outputs:
                found = int(getattr(dut, port).value)
                expected = int(vectors[number][port], 16)
                assert found == expected, f"sample {number}, {port}: expected {expected:x}, got {found:x}"
                compared += 1
        await clock(dut)
    assert compared == len(vectors) * len(outputs) > 0


def run(folder: Path) -> None:
    """Build and run in a simulator, in a folder of its own.

    Raises
    ------
    RuntimeError
        If a test failed, or none ran.
    """
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    simulator = os.environ.get("SIM", "verilator")
    runner = get_runner(simulator)
    runner.build(
        sources=[FOLDER / f"{design()['name']}.v"], hdl_toplevel=design()["name"], build_dir=folder, always=True,
        build_args=["-Wno-fatal"] if simulator == "verilator" else [], timescale=("1ns", "1ps"),
    )  # fmt: skip
    results = runner.test(
        hdl_toplevel=design()["name"], test_module=Path(__file__).stem, test_dir=FOLDER, build_dir=folder,
        results_xml=str(folder / "results.xml"),
    )  # fmt: skip
    # the runner returns whether or not a test failed
    tests, failed = get_results(results)
    if not tests or failed:
        raise RuntimeError(f"{failed} of {tests} tests failed")


def test_network() -> None:
    """For pytest."""
    run(FOLDER / "sim_build")


if __name__ == "__main__":
    run(FOLDER / "sim_build")
