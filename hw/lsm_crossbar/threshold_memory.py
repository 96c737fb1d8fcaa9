"""Memory of the homeostat: ratio and offset of every neuron's threshold."""

from typing import Any

from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.black_box import BlackBox
from hw.lsm_crossbar.weight_memory import loaded_memory
from sim.lsm_crossbar.registers import RATIO_BYTES
from sim.lsm_crossbar.spec import OFFSET_FRACTION, CrossbarSpec

__all__ = ["ThresholdMemory", "ThresholdMemoryBox", "offset_bytes", "threshold_word_bytes"]


def offset_bytes(spec: CrossbarSpec) -> int:
    """Bytes of an offset in a word."""
    return -(-(spec.offset_width + OFFSET_FRACTION) // 8)


def threshold_word_bytes(spec: CrossbarSpec) -> int:
    """Bytes of a word: the offset lowest, then the ratio."""
    return offset_bytes(spec) + RATIO_BYTES


def _pins(spec: CrossbarSpec) -> dict[str, Any]:
    address, bytes_ = max((spec.neurons - 1).bit_length(), 1), threshold_word_bytes(spec)
    return {
        "read_address": In(address),
        "read_enable": In(1),
        "read_data": Out(8 * bytes_),
        "write_address": In(address),
        "write_offset": In(8 * offset_bytes(spec)),
        "write_data": In(8),
        "write_bytes": In(bytes_),
    }


class ThresholdMemory(Component):
    """One port to read whole words, one to write bytes; no reset.

    Throughput one read and one write per clock, latency of a read 1.

    Parameters
    ----------
    spec : CrossbarSpec
        One with a threshold of each neuron.

    Members
    -------
    read_address : In(bits of spec.neurons)
    read_enable : In(1)
        `read_data` changes in the next clock.
    read_data : Out(bytes of a word)
    write_address : In(bits of spec.neurons)
    write_offset : In(bytes of an offset)
    write_data : In(8)
    write_bytes : In(number of bytes of a word)
        Bytes that change at the next clock edge: those of the offset take theirs of `write_offset`, those of the ratio
        take `write_data`.
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(_pins(spec))

    def elaborate(self, _platform: object) -> Module:
        return loaded_memory(
            self, bytes_=threshold_word_bytes(self._spec), depth=self._spec.neurons,
            data=Cat(self.write_offset, self.write_data.replicate(RATIO_BYTES)),
        )  # fmt: skip


class ThresholdMemoryBox(BlackBox):
    """The same pins for a memory of an ASIC's memory compiler: two ports, byte write enables, contents undefined at
    power-up. Timing as `ThresholdMemory`; `rst` may be left unconnected inside.

    Parameters
    ----------
    spec : CrossbarSpec

    Members
    -------
    read_address, read_enable, read_data, write_address, write_offset, write_data, write_bytes
        As `ThresholdMemory`.
    """

    def __init__(self, *, spec: CrossbarSpec):
        self._spec = spec
        super().__init__(_pins(spec))
