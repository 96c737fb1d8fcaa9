"""A network on a board: weights and samples come over a serial line, results go back. No system on chip, no library.

The network of `own_network.py` is small; this is what stands around any network whose sample and results are a few
bytes. Protocol, all bytes as they come: ``W`` address (high byte, low byte) and data writes a byte of the weights;
``X`` and the bytes of a sample, first code in the lowest bits, gives the bytes of its results, before which no other
sample may be sent.

``python uart_network.py`` loads weights and sends samples in simulation, compares every result with the golden model,
and writes Verilog and pins for a ULX3S board (ECP5, 25 MHz, pins of its FTDI chip as in emard/ulx3s,
doc/constraints/ulx3s_v20.lpf): ``yosys -p "synth_ecp5 -json top.json" UART_NETWORK.v``, then
``nextpnr-ecp5 --85k --package CABGA381 --json top.json --lpf ulx3s.lpf --textcfg top.cfg``. It was simulated, not run
on a board.
"""

from pathlib import Path

import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out
from amaranth.sim import Simulator

import liquidcal
from liquidcal import Dense, FixedPoint, NetworkSpec, NetworkWeights, Store

CODE = FixedPoint(width=4, fraction=2, signed=True)
FEATURE = FixedPoint(width=4, fraction=2, signed=False, overflow="SAT")
SUM = FixedPoint(width=10, fraction=4, signed=True)
SPEC = NetworkSpec(
    name="SMALL", input_shape=(2,), input=CODE, outputs=("score",),
    nodes={
        "hidden": Dense(inputs=("input",), units=3, weight=CODE, bias=CODE, accumulator=SUM, result=SUM),
        "feature": Store(inputs=("hidden",), result=FEATURE, relu=True),
        "score": Dense(inputs=("feature",), units=2, weight=CODE, bias=CODE, accumulator=SUM, result=SUM),
    },
)  # fmt: skip
PINS = """\
LOCATE COMP "clk" SITE "G2";
LOCATE COMP "rst" SITE "R1";
LOCATE COMP "rx" SITE "M1";
LOCATE COMP "tx" SITE "L4";
IOBUF PORT "clk" IO_TYPE=LVCMOS33;
IOBUF PORT "rst" PULLMODE=DOWN IO_TYPE=LVCMOS33;
IOBUF PORT "rx" PULLMODE=UP IO_TYPE=LVCMOS33;
IOBUF PORT "tx" IO_TYPE=LVCMOS33;
FREQUENCY PORT "clk" 25 MHZ;
"""
"""Clock, button 1 as reset, and the serial line."""


class Receiver(Component):
    """Bytes of a serial line, 8N1: `valid` is 1 for the clock in which `data` is a new byte."""

    clocked = True

    def __init__(self, *, clocks_per_bit: int) -> None:
        self._clocks = clocks_per_bit
        super().__init__({"rx": In(1, init=1), "data": Out(8), "valid": Out(1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        lines, bits, left = Signal(2, init=3), Signal(range(11)), Signal(range(2 * self._clocks))
        m.d.sync += [lines.eq(Cat(self.rx, lines[0])), self.valid.eq(0)]
        with m.If(bits == 0), m.If(~lines[1]):  # the middle of the first data bit is one and a half bits away
            m.d.sync += [bits.eq(9), left.eq(self._clocks + self._clocks // 2 - 1)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.Else():
            m.d.sync += [bits.eq(bits - 1), left.eq(self._clocks - 1)]
            with m.If(bits == 1):
                m.d.sync += self.valid.eq(lines[1])  # a stop bit
            with m.Else():
                m.d.sync += self.data.eq(Cat(self.data[1:], lines[1]))
        return m


class Transmitter(Component):
    """Bytes onto a serial line, 8N1: `data` is taken in a clock with `valid` and `ready`."""

    clocked = True

    def __init__(self, *, clocks_per_bit: int) -> None:
        self._clocks = clocks_per_bit
        super().__init__({"data": In(8), "valid": In(1), "ready": Out(1), "tx": Out(1, init=1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        word, left = Signal(10), Signal(range(10 * self._clocks + 1))
        count = Signal(range(self._clocks))
        m.d.comb += [self.ready.eq(left == 0), self.tx.eq(self.ready | word[0])]
        with m.If(self.ready), m.If(self.valid):
            m.d.sync += [word.eq(Cat(0, self.data, 1)), left.eq(10 * self._clocks), count.eq(self._clocks - 1)]
        with m.Else():
            m.d.sync += [left.eq(left - 1), count.eq(count - 1)]
            with m.If(count == 0):
                m.d.sync += [word.eq(word >> 1), count.eq(self._clocks - 1)]
        return m


class UartNetwork(Component):
    """A network between a receiver and a transmitter.

    Parameters
    ----------
    spec : NetworkSpec
        With one output.
    clocks_per_bit : int
        At least 4; 217 for 115,200 baud at 25 MHz.
    """

    clocked = True

    def __init__(self, *, spec: NetworkSpec, clocks_per_bit: int) -> None:
        self._spec, self._clocks = spec, clocks_per_bit
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.receiver = receiver = Receiver(clocks_per_bit=self._clocks)
        m.submodules.transmitter = transmitter = Transmitter(clocks_per_bit=self._clocks)
        m.submodules.network = network = liquidcal.NetworkHardware(spec=self._spec)
        x, y = network.x.as_value(), network.y.as_value()
        sample, results = Signal(-(-len(x) // 8) * 8), Signal(-(-len(y) // 8) * 8)
        missing, waiting = Signal(range(max(4, len(sample) // 8 + 1))), Signal(range(network.latency + 2))
        to_send, is_write = Signal(range(len(results) // 8 + 1)), Signal()
        address = Signal(16)
        m.d.comb += [
            receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), x.eq(sample), network.write_data.eq(receiver.data),
            network.write_address.eq(address), transmitter.data.eq(results[:8]), transmitter.valid.eq(to_send != 0),
        ]  # fmt: skip
        with m.If(receiver.valid):
            with m.If(missing == 0), m.Switch(receiver.data):
                with m.Case(ord("W")):
                    m.d.sync += [missing.eq(3), is_write.eq(1)]
                with m.Case(ord("X")):
                    m.d.sync += [missing.eq(len(sample) // 8), is_write.eq(0)]
            with m.Else():
                m.d.sync += missing.eq(missing - 1)
                with m.If(~is_write):
                    m.d.sync += sample.eq(Cat(sample, receiver.data)[8:])
                    with m.If(missing == 1):
                        m.d.sync += waiting.eq(network.latency + 1)
                with m.Elif(missing == 1):
                    m.d.comb += network.write_enable.eq(1)
                with m.Else():
                    m.d.sync += address.eq(Cat(receiver.data, address[:8]))
        with m.If(waiting != 0):
            m.d.sync += waiting.eq(waiting - 1)
            with m.If(waiting == 1):
                m.d.sync += [results.eq(y), to_send.eq(len(results) // 8)]
        with m.If(transmitter.valid & transmitter.ready):
            m.d.sync += [results.eq(results >> 8), to_send.eq(to_send - 1)]
        return m


def talk(spec: NetworkSpec, requests: list[tuple[bytes, int]], clocks_per_bit: int) -> bytes:
    """Bytes that come back over the line, in simulation; a request goes out when the last one was answered.

    Parameters
    ----------
    spec : NetworkSpec
    requests : list of (bytes, int)
        Bytes to send, and how many come back for them.
    clocks_per_bit : int
    """
    board = UartNetwork(spec=spec, clocks_per_bit=clocks_per_bit)
    got = bytearray()

    async def host(context: object) -> None:
        for sent, answers in requests:
            for byte in sent:
                for bit in (0, *(byte >> place & 1 for place in range(8)), 1):
                    context.set(board.rx, bit)
                    await context.tick().repeat(clocks_per_bit)
            for _ in range(answers):
                while context.get(board.tx):
                    await context.tick()
                await context.tick().repeat(clocks_per_bit // 2)
                byte = 0
                for place in range(8):
                    await context.tick().repeat(clocks_per_bit)
                    byte |= context.get(board.tx) << place
                await context.tick().repeat(clocks_per_bit)  # in the stop bit
                got.append(byte)

    simulator = Simulator(board)
    simulator.add_clock(1e-6)
    simulator.add_testbench(host)
    simulator.run()
    return bytes(got)


def main(folder: Path) -> int:
    """Load, send samples, compare; the number of codes that were compared."""
    rng = np.random.default_rng(1)
    weights = NetworkWeights.random(SPEC, rng)
    samples = rng.integers(CODE.min_code, CODE.max_code + 1, (6, 2))
    size = 3  # two results of ten bits
    requests = [(bytes([ord("W"), address >> 8, address & 255, data]), 0) for address, data in weights.writes()]
    requests += [(b"X" + bytes([(int(a) & 15) | (int(b) & 15) << 4]), size) for a, b in samples]
    answer = talk(SPEC, requests, clocks_per_bit=4)
    expected = liquidcal.Network(weights).codes(samples)
    for number, row in enumerate(expected):
        word = int.from_bytes(answer[size * number : size * (number + 1)], "little")
        wanted = sum((int(code) & 1023) << (10 * place) for place, code in enumerate(row))
        if word != wanted:
            raise SystemExit(f"sample {number}: expected {wanted:x}, got {word:x}")
    sent = sum(len(request) for request, _ in requests)
    print(f"{sent} bytes sent, {expected.size} codes came back as the golden model says")
    folder.mkdir(exist_ok=True)
    board = UartNetwork(spec=SPEC, clocks_per_bit=217)
    (folder / "UART_NETWORK.v").write_text(liquidcal.to_verilog(board, "UART_NETWORK"))
    (folder / "ulx3s.lpf").write_text(PINS)
    return int(expected.size)


if __name__ == "__main__":
    main(Path("uart_network"))
