"""cocotb for designs of others: three lines build and run a bench, and a failed test is an error."""

from pathlib import Path

import pytest

import liquidcal
from flows.tools.verilator import SimulatorError

COUNTER = """
module counter (input clk, input rst, output reg [3:0] count);
  always @(posedge clk) count <= rst ? 4'd0 : count + 4'd1;
endmodule
"""
BENCH = """
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

async def counted(dut, clocks):
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 1
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    for _ in range(clocks):
        await FallingEdge(dut.clk)
    return int(dut.count.value)

@cocotb.test()
async def wraps(dut):
    assert await counted(dut, 21) == 21 % 16

@cocotb.test()
async def is_wrong(dut):
    assert await counted(dut, 3) == 4, "expected to fail"
"""


def test_three_lines_run_a_bench_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counter.v").write_text(COUNTER)
    (tmp_path / "count_bench.py").write_text(BENCH)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("PATH", "MAKEFLAGS"):  # what the runner sets is forgotten afterwards
        monkeypatch.setenv(name, "/usr/bin:/bin" if name == "PATH" else "")
    runner = liquidcal.get_runner()
    runner.build(sources=["counter.v"], hdl_toplevel="counter")
    runner.test(hdl_toplevel="counter", test_module="count_bench", test_filter="wraps")
    with pytest.raises(SimulatorError, match=r"1 of 2 tests failed: is_wrong.*expected to fail"):
        runner.test(hdl_toplevel="counter", test_module="count_bench")
    with pytest.raises(SimulatorError, match="tests failed"):
        runner.test(hdl_toplevel="counter", test_module="count_bench", test_filter="nothing_of_that_name")
