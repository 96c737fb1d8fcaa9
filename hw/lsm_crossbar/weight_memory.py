"""Memory of the readout weights: one word per feature with the weights of all outputs."""

from typing import Any

from amaranth.hdl import Module, Value
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from hw.common.black_box import BlackBox
from sim.lsm_crossbar.registers import weight_bytes
from sim.lsm_crossbar.spec import CrossbarSpec

__all__ = ["WeightMemory", "WeightMemoryBox", "loaded_memory", "weight_pins"]


def weight_pins(spec: CrossbarSpec) -> dict[str, Any]:
    """Pins of the memory beside clock and reset; documented in `WeightMemory`."""
    address = max((spec.features - 1).bit_length(), 1)
    return {
        "read_address": In(address),
        "read_enable": In(1),
        "read_data": Out(spec.outputs * spec.readout_weight_bits),
        "write_address": In(address),
        "write_data": In(8),
        "write_bytes": In(weight_bytes(spec)),
    }


class WeightMemory(Component):
    """One port to read whole words, one to write single bytes; infers a block memory on an FPGA.

    The weights are loaded through the write port: the memory has no reset. A byte that is written while its word is
    read may come out old or new.

    Throughput one read and one write per clock, latency of a read 1.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    read_address : In(bits of spec.features)
    read_enable : In(1)
        `read_data` changes in the next clock.
    read_data : Out(spec.outputs * spec.readout_weight_bits)
        Output o in bits o * readout_weight_bits and up.
    write_address : In(bits of spec.features)
    write_data : In(8)
    write_bytes : In(bytes of a word)
        One-hot: the byte that takes `write_data` at the next clock edge; none if 0.
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(weight_pins(spec))

    def elaborate(self, _platform: object) -> Module:
        return loaded_memory(self, bytes_=weight_bytes(self._spec), depth=self._spec.features)


def loaded_memory(pins: Any, *, bytes_: int, depth: int, data: Value | None = None) -> Module:
    """Inside of a memory with the pins of `WeightMemory`, for `depth` words of `bytes_` bytes.

    What a write offers to all bytes is `data`, or ``write_data`` to each of them.
    """
    m = Module()
    m.submodules.memory = memory = Memory(shape=8 * bytes_, depth=depth, init=[])
    write, read = memory.write_port(granularity=8), memory.read_port()
    m.d.comb += [
        read.addr.eq(pins.read_address),
        read.en.eq(pins.read_enable),
        pins.read_data.eq(read.data),
        write.addr.eq(pins.write_address),
        write.data.eq(pins.write_data.replicate(bytes_) if data is None else data),
        write.en.eq(pins.write_bytes),
    ]
    return m


class WeightMemoryBox(BlackBox):
    """The same pins for a memory of an ASIC's memory compiler: two ports, byte write enables, contents undefined at
    power-up. Timing as `WeightMemory`; `rst` may be left unconnected inside.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    read_address, read_enable, read_data, write_address, write_data, write_bytes
        As `WeightMemory`.
    """

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(weight_pins(spec))
