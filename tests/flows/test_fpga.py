"""Place and route of small designs; what cannot be placed says why."""

from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component, In, Out

from flows.fpga import DEVICES, FpgaError, place_and_route
from flows.metrics import read_metrics
from hw.common.export import to_rtlil
from hw.common.serial_boundary import SerialBoundary


class Accumulator(Component):
    """Sum of what came: `width` flip-flops in one carry chain."""

    def __init__(self, width: int) -> None:
        self._width = width
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        total = Signal(self._width)
        m.d.sync += total.eq(total + self.i)
        m.d.comb += self.o.eq(total)
        return m


def design(width: int) -> str:
    return to_rtlil(SerialBoundary(component=Accumulator(width)), "TOP")


@pytest.mark.parametrize(("device", "flip_flops"), [("ice40-hx8k", "ICESTORM_LC"), ("ecp5-25k", "TRELLIS_FF")])
def test_an_accumulator_is_placed_and_routed(device: str, flip_flops: str, tmp_path: Path) -> None:
    width = 12
    result = place_and_route(
        design(width), top="TOP", device=DEVICES[device], out_dir=tmp_path / "o", command="test", target_mhz=40
    )
    # three chains and the sum; an iCE40 logic cell holds flip-flop and table together, carries may need cells alone
    assert 4 * width <= result.used[flip_flops] <= 6 * width
    assert 40 < result.fmax_mhz < 1000
    assert result.bitstream.stat().st_size > 1000
    assert {metric.name for metric in read_metrics(tmp_path / "o" / "metrics.json")} >= {"timing__fmax"}


def test_a_design_that_is_too_large_names_the_resource(tmp_path: Path) -> None:
    small = replace(DEVICES["ice40-hx8k"], arguments=("--lp384", "--package", "qn32", "--pcf-allow-unconstrained"))
    with pytest.raises(FpgaError, match="ERROR"):
        place_and_route(design(150), top="TOP", device=small, out_dir=tmp_path / "o", command="test")
    assert not (tmp_path / "o").exists()


def test_a_missing_tool_names_what_to_install(tmp_path: Path) -> None:
    missing = replace(DEVICES["ice40-hx8k"], nextpnr="nextpnr-none")
    with pytest.raises(FpgaError, match="extra fpga"):
        place_and_route(design(2), top="TOP", device=missing, out_dir=tmp_path / "o", command="test")


def test_a_clock_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="positive"):
        place_and_route("", top="TOP", device=DEVICES["ice40-hx8k"], out_dir=tmp_path, target_mhz=0, command="test")
