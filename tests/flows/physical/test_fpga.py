"""Place and route of small designs; what cannot be placed says why."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib.wiring import Component, In, Out

from flows.common.metrics import read_metrics
from flows.physical.fpga import DEVICES, FpgaError, SizeError, netlist_size, place_and_route, with_room
from hw.astrocyte_liquid.memory import Memory
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


@pytest.mark.parametrize(("device", "flip_flops"), [("ice40-hx8k", "ICESTORM_LC"), ("ecp5-45k", "TRELLIS_FF")])
def test_an_accumulator_is_placed_and_routed(device: str, flip_flops: str, tmp_path: Path) -> None:
    """Of several devices on the smallest with room: a full one is left out, and nextpnr agrees on the size."""
    width, chosen = 12, DEVICES[device]
    result = place_and_route(
        design(width), top="TOP", device=(replace(chosen, name="full", logic_cells=20), chosen),
        out_dir=tmp_path / "o", command="test", target_mhz=40,
    )  # fmt: skip
    assert json.loads((tmp_path / "o" / "fpga.json").read_text())["device"] == device
    assert result.available[chosen.logic] == chosen.logic_cells
    # three chains and the sum; an iCE40 logic cell holds flip-flop and table together, carries may need cells alone
    assert 4 * width <= result.used[flip_flops] <= 6 * width
    assert 40 < result.fmax_mhz < 1000
    assert result.bitstream.stat().st_size > 1000
    assert {metric.name for metric in read_metrics(tmp_path / "o" / "metrics.json")} >= {"timing__fmax"}


class Domains(Component):
    """A counter of the internal clock, read by a flip-flop of the other one through an adder."""

    def __init__(self, width: int) -> None:
        self._width = width
        super().__init__({"fast_clk": In(1), "i": In(width), "o": Out(width)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.domains.fast = ClockDomain(async_reset=True)
        count = Signal(self._width)
        m.d.comb += [ClockSignal("fast").eq(self.fast_clk), ResetSignal("fast").eq(ResetSignal())]
        m.d.fast += count.eq(count + 1)
        m.d.sync += self.o.eq(count + self.i)
        return m


def test_two_clocks_are_one_figure(tmp_path: Path) -> None:
    text = to_rtlil(SerialBoundary(component=Domains(12), clocks=("fast_clk",)), "TOP")
    found = {}
    for factor in (1, 8):
        result = place_and_route(
            text, top="TOP", device=DEVICES["ice40-hx8k"], out_dir=tmp_path / str(factor), command="test",
            clocks={"fast_clk": factor}, target_mhz=20,
        )  # fmt: skip
        found[factor] = result.fmax_mhz
    report = json.loads((tmp_path / "8" / "report.json").read_text())
    achieved = {net: clock["achieved"] for net, clock in report["fmax"].items()}
    fast = next(mhz for net, mhz in achieved.items() if "fast_clk" in net)
    # a path between the clocks has one internal period, as has one within the internal clock
    assert found[8] <= fast / 8 < min(mhz for net, mhz in achieved.items() if "fast_clk" not in net)
    crossing = [p for p in report["critical_paths"] if "fast_clk" in p["from"] and "fast_clk" not in p["to"]]
    assert any(p["to"].startswith("posedge") for p in crossing)
    assert found[8] == pytest.approx(
        min(fast / 8, *(125 / sum(step["delay"] for step in p["path"]) for p in crossing if p["to"] != "<async>"))
    )
    assert found[1] > 4 * found[8]


def test_a_netlist_without_room_is_refused_before_it_is_placed(tmp_path: Path) -> None:
    tiny = replace(DEVICES["ecp5-25k"], logic_cells=20, arguments=("--no-such-option",))
    # 12 bits of carry chain are six cells of two
    with pytest.raises(SizeError, match=r"does not fit ecp5-25k: \d+ of 20 logic cells") as caught:
        place_and_route(design(12), top="TOP", device=tiny, out_dir=tmp_path / "o", command="test")
    assert caught.value.needed > 20
    assert not (tmp_path / "o").exists()


def test_the_smallest_device_with_room() -> None:
    """Nine tenths of 24,288 are 21,859, of 83,640 are 75,276."""
    names = {
        needed: [device.name for device in with_room(needed, DEVICES["ecp5-85k"])]
        for needed in (21_859, 21_860, 75_276, 75_277)
    }
    assert names == {
        21_859: ["ecp5-25k", "ecp5-45k", "ecp5-85k"], 21_860: ["ecp5-45k", "ecp5-85k"], 75_276: ["ecp5-85k"],
        75_277: [],
    }  # fmt: skip
    blocks = {count: [device.name for device in with_room(100, DEVICES["ecp5-85k"], count)] for count in (56, 57, 209)}
    assert blocks == {56: ["ecp5-25k", "ecp5-45k", "ecp5-85k"], 57: ["ecp5-45k", "ecp5-85k"], 209: []}


def test_the_size_is_known_without_placing() -> None:
    """A carry chain of 12 bits is six cells of two; each bit of the chain behind it chooses in a table."""
    device = replace(DEVICES["ecp5-25k"], nextpnr="nextpnr-none")
    found = netlist_size(design(12), top="TOP", device=device)
    assert 12 + 12 <= found.logic_cells <= 30
    assert found.memory_blocks == 0


def test_small_memories_of_a_liquid_are_tables() -> None:
    """Less than a quarter of a block, which has 1,024 words of 18 bits."""
    device = DEVICES["ecp5-85k"]
    for depth, width, blocks in ((227, 18, 0), (228, 18, 1)):
        part = to_rtlil(Memory(width=width, depth=depth), "TOP")
        assert netlist_size(part, top="TOP", device=device).memory_blocks == blocks, (depth, width)


def test_a_design_that_is_too_large_names_the_resource(tmp_path: Path) -> None:
    small = replace(DEVICES["ice40-hx8k"], arguments=("--lp384", "--package", "qn32", "--pcf-allow-unconstrained"))
    with pytest.raises(FpgaError, match="ice40-hx8k: does not fit, all ICESTORM_LC are taken"):
        place_and_route(design(150), top="TOP", device=small, out_dir=tmp_path / "o", command="test")
    assert not (tmp_path / "o").exists()


def test_a_missing_tool_names_what_to_install(tmp_path: Path) -> None:
    missing = replace(DEVICES["ice40-hx8k"], nextpnr="nextpnr-none")
    with pytest.raises(FpgaError, match="extra fpga"):
        place_and_route(design(2), top="TOP", device=missing, out_dir=tmp_path / "o", command="test")


def test_a_clock_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="positive"):
        place_and_route("", top="TOP", device=DEVICES["ice40-hx8k"], out_dir=tmp_path, target_mhz=0, command="test")
