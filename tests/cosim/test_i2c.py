"""The I2C target on a simulated bus, in cocotb on Verilator: see tests/cosim/bench_i2c.py."""

from pathlib import Path

import pytest

from flows.tools.verilog import read_ports
from hw.common.export import ports, to_verilog
from hw.common.i2c_target import I2cTargetLogic
from hw.common.registered import Registered, described
from tests.cosim.i2c_bus import I2cBench, decode
from tests.cosim.runner import run_bench

TESTS = 16
"""Tests of bench_i2c, parametrised ones counted by case."""


@pytest.mark.timeout(600)
def test_i2c_target(tmp_path: Path) -> None:
    verilog = to_verilog(I2cBench(), "i2c_bench")
    results = run_bench(verilog, "i2c_bench", read_ports(verilog, "i2c_bench"), "tests.cosim.bench_i2c", {}, tmp_path)
    assert results.failures == 0, results.messages
    assert (results.tests, results.skipped) == (TESTS, 0)


def test_the_clock_is_never_stretched() -> None:
    """There is no output that could hold SCL."""
    outputs = {
        name for name, direction, _ in ports(described(Registered, logic=I2cTargetLogic)) if direction == "output"
    }
    assert outputs == {"sda_low", "address", "write_data", "write_enable", "read_enable"}


def test_the_reference_decoder_reads_the_example_of_the_specification() -> None:
    """A transfer written out by hand: two registers, a repeated START, and a byte that breaks off."""
    text = f"S{0x40:08b}0{0x05:08b}0{0x38:08b}0{0x12:08b}0{0x34:08b}0S{0x41:08b}0{0xFF:08b}1PS{0x40:08b}0{1:08b}0101P"
    assert decode(text) == [(0x0538, 0x12), (0x0539, 0x34)]


@pytest.mark.parametrize("address", [-1, 0, 7, 0x78, 0x80])
def test_reserved_device_addresses_are_refused(address: int) -> None:
    with pytest.raises(ValueError, match="0x08 to 0x77"):
        I2cTargetLogic(device_address=address)
