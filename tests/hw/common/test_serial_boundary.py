"""Shift chains around a component: bit order, loading, capture."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.serial_boundary import SerialBoundary
from tests.hw.driving import run


class Mixer(Component):
    """Outputs that tell every input bit apart."""

    def __init__(self) -> None:
        super().__init__({"a": In(3), "b": In(2), "total": Out(4), "bits": Out(5)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.d.comb += [self.total.eq(self.a + self.b), self.bits.eq(self.a ^ (self.b << 3))]
        return m


def test_words_through_the_chains_equal_the_component() -> None:
    rng = np.random.default_rng(0)
    rows: list[dict[str, int]] = []
    read: list[tuple[int, int, int]] = []
    for _ in range(20):
        a, b = int(rng.integers(8)), int(rng.integers(4))
        rows += [{"shift": 1, "serial_in": (a | b << 3) >> i & 1} for i in range(5)]
        rows += [{"load": 1}, {"capture": 1}]
        read.append((len(rows), a, b))
        rows += [{"shift": 1} for _ in range(9)]
    names = ("shift", "load", "capture", "serial_in")
    inputs = {name: [row.get(name, 0) for row in rows] for name in names}
    seen = run(SerialBoundary(component=Mixer()), inputs, clocked=True)["serial_out"]
    for start, a, b in read:
        bits = sum(bit << i for i, bit in enumerate(seen[start : start + 9]))
        assert bits & 15 == a + b
        assert bits >> 4 == a ^ b << 3


def test_lengths_of_the_chains() -> None:
    boundary = SerialBoundary(component=Mixer())
    assert (boundary.input_bits, boundary.output_bits) == (5, 9)


def test_a_clock_is_a_port_of_its_own() -> None:
    class Toggle(Component):
        def __init__(self) -> None:
            super().__init__({"fast_clk": In(1), "enable": In(1), "o": Out(1)})

        def elaborate(self, _platform: object) -> Module:
            m = Module()
            m.d.comb += self.o.eq(self.fast_clk & self.enable)
            return m

    boundary = SerialBoundary(component=Toggle(), clocks=("fast_clk",))
    assert (boundary.input_bits, boundary.output_bits) == (1, 1)
    rows = [{"serial_in": 1, "shift": 1}, {"load": 1}, {"capture": 1, "fast_clk": 1}, {"capture": 1}, {}]
    names = ("shift", "load", "capture", "serial_in", "fast_clk")
    seen = run(boundary, {name: [row.get(name, 0) for row in rows] for name in names}, clocked=True)["serial_out"]
    assert list(seen) == [0, 0, 0, 1, 0]
    with pytest.raises(ValueError, match="no input slow_clk"):
        SerialBoundary(component=Toggle(), clocks=("slow_clk",))


def test_a_component_without_inputs_is_refused() -> None:
    class Source(Component):
        def __init__(self) -> None:
            super().__init__({"o": Out(1)})

        def elaborate(self, _platform: object) -> Module:
            return Module()

    with pytest.raises(ValueError, match="got 0 and 1"):
        SerialBoundary(component=Source())
