"""Memory of the stored embeddings of an association chip: those of images, then those of clips."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib.wiring import Component, In, Out

from hw.common.black_box import BlackBox
from hw.lsm_crossbar.weight_memory import loaded_memory
from sim.lsm_crossbar.association.registers import entry_bytes
from sim.lsm_crossbar.association.spec import AssociationSpec

__all__ = ["EmbeddingMemory", "EmbeddingMemoryBox", "embedding_pins"]


def embedding_pins(spec: AssociationSpec) -> dict[str, Any]:
    """Pins of the memory beside clock and reset; documented in `EmbeddingMemory`."""
    address = max((spec.memory_depth - 1).bit_length(), 1)
    return {
        "read_address": In(address),
        "read_enable": In(1),
        "read_data": Out(spec.word_bits),
        "write_address": In(address),
        "write_data": In(8),
        "write_bytes": In(entry_bytes(spec)),
    }


class EmbeddingMemory(Component):
    """One port to read whole words, one to write single bytes; as `hw.lsm_crossbar.weight_memory.WeightMemory`.

    What a word holds: `sim.lsm_crossbar.association.registers.entry_words`. The memory has no reset.

    Throughput one read and one write per clock, latency of a read 1.

    Parameters
    ----------
    spec : AssociationSpec

    Members
    -------
    read_address : In(bits of spec.memory_depth)
    read_enable : In(1)
        `read_data` changes in the next clock.
    read_data : Out(spec.word_bits)
    write_address : In(bits of spec.memory_depth)
    write_data : In(8)
    write_bytes : In(bytes of a word)
        One-hot: the byte that takes `write_data` at the next clock edge; none if 0.
    """

    clocked = True
    latency = 1

    def __init__(self, *, spec: AssociationSpec):
        self._spec = spec
        super().__init__(embedding_pins(spec))

    def elaborate(self, _platform: object) -> Module:
        return loaded_memory(self, bytes_=entry_bytes(self._spec), depth=self._spec.memory_depth)


class EmbeddingMemoryBox(BlackBox):
    """The same pins for a memory of an ASIC's memory compiler: two ports, byte write enables, contents undefined at
    power-up. Timing as `EmbeddingMemory`; `rst` may be left unconnected inside.

    Parameters
    ----------
    spec : AssociationSpec

    Members
    -------
    read_address, read_enable, read_data, write_address, write_data, write_bytes
        As `EmbeddingMemory`.
    """

    def __init__(self, *, spec: AssociationSpec):
        self._spec = spec
        super().__init__(embedding_pins(spec))
