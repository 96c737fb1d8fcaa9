"""Read port of driven values against the published places of fields, byte by byte, in Amaranth's simulator."""

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from hw.common.status_reader import StatusReader
from sim.hgcal_encoder.configuration.chip_registers import Access
from sim.hgcal_encoder.configuration.register_maps import Built, Chip, groups, register_fields


def test_every_read_only_byte_of_production_is_where_its_map_says() -> None:
    """Random values of all groups; every address, mapped or not, against bytes made from the fields alone."""
    fields = tuple(f for f in register_fields(Chip.PRODUCTION) if f.access is Access.READ_ONLY)
    constant = tuple({field.name for field in fields if field.built is Built.NO})
    reader = StatusReader(fields=fields, constant=constant)
    rng = np.random.default_rng(3)
    values, memory = {}, {}
    for name, group in groups(fields).items():
        low = 0
        width = sum(field.width for field in group)
        total = int.from_bytes(rng.bytes(-(-width // 8)), "little") & ((1 << width) - 1)
        if name not in constant:
            values[name] = total
        for field in group:
            own = field.reset if name in constant else total >> low & ((1 << field.width) - 1)
            for byte, bits in enumerate((own << field.lsb).to_bytes(field.size, "little")):
                memory[field.address + byte] = memory.get(field.address + byte, 0) | bits
            low += field.width
    m = Module()
    m.submodules.reader = reader
    addresses = [*memory, *(a for a in range(0xCF0) if a not in memory and a % 7 == 0), 0xFFFF]

    async def bench(ctx: object) -> None:
        for name, value in values.items():
            ctx.set(getattr(reader, name), value)  # type: ignore[attr-defined]
        for address in addresses:
            ctx.set(reader.address, address)  # type: ignore[attr-defined]
            assert ctx.get(reader.read_data) == memory.get(address, 0), hex(address)  # type: ignore[attr-defined]
            assert ctx.get(reader.mapped) == (address in memory)  # type: ignore[attr-defined]

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(memory) > 430


def test_groups_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="expected fields, and constant groups among them"):
        StatusReader(fields=())
