"""A protected block of one's own: its register in three copies, simulated by cocotb, proved by a solver.

The block keeps the largest value that it has seen. With `PipelineRegister` one flipped flip-flop stays for ever; with
`VotedRegister`, which has the same ports, none is ever seen, and the proof says so for all states and inputs.
"""

from collections.abc import Callable
from pathlib import Path

import cocotb
from amaranth.hdl import Module, Mux
from amaranth.lib.wiring import Component, In, Out
from cocotb.triggers import Timer

import liquidcal
from liquidcal import PipelineRegister, VotedRegister


class Largest(Component):
    """The largest value so far, at the output one clock later.

    Parameters
    ----------
    register : class of Component
        `PipelineRegister` or one with its ports.
    """

    clocked = True
    latency = 1

    def __init__(self, *, register: Callable[..., Component] = PipelineRegister):
        self._register = register
        super().__init__({"value": In(8), "largest": Out(8)})

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.kept = kept = self._register(width=8)
        m.d.comb += [kept.i.eq(Mux(self.value > kept.o, self.value, kept.o)), self.largest.eq(kept.o)]
        return m


@cocotb.test()
async def grows_only(dut) -> None:
    """The bench, which cocotb finds in this file."""
    dut.clk.value, dut.rst.value, dut.value.value = 0, 1, 99
    await Timer(5, "ns")
    dut.rst.value = 0
    seen = 0
    for value in (0, 3, 200, 17, 201, 5, 255, 1):
        dut.value.value = value
        await Timer(5, "ns")
        dut.clk.value = 1
        await Timer(5, "ns")
        dut.clk.value = 0
        seen = max(seen, value)
        assert dut.largest.value == seen, f"after {value}: expected {seen}, got {int(dut.largest.value)}"


def main(folder: Path) -> list[str]:
    """Verilog, bench, proofs: what becomes of "no single flip is seen" without and with protection."""
    folder.mkdir(exist_ok=True)
    verilog = liquidcal.to_verilog(Largest(register=VotedRegister), "keep_largest")
    (folder / "keep_largest.v").write_text(verilog)
    bench = liquidcal.run_bench(verilog, "keep_largest", Path(__file__).stem, folder)
    if bench.failures or not bench.tests:
        raise SystemExit(f"the bench failed: {bench.messages}")
    outcomes = []
    for register in (PipelineRegister, VotedRegister):
        proof = liquidcal.prove_single_flips(Largest(register=register), "keep_largest")
        print(f"{register.__name__}: {proof.statement}: {proof.status}")
        outcomes.append(str(proof.status))
    return outcomes


if __name__ == "__main__":
    main(Path("protected_block"))
