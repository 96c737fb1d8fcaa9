"""Storage of every scheme in Amaranth's simulator: a register file behaves as the plain one, upsets or none."""

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.sim import Simulator

from hw.common.parity_cell import ParityCell
from hw.common.register_file import RegisterFile, Role, stored_bits
from hw.common.replica import HeldReplica
from hw.common.secded_cell import SecdedCell
from hw.common.storage_cell import StorageCell
from hw.common.triplicated_cell import TriplicatedCell
from hw.common.voted_cell import VotedCell
from sim.register_map import Field
from tests.hw.driving import run

FIELDS = (
    Field(name="a", address=0x10, width=8, reset=0xA5),
    Field(name="a", index=1, address=0x12, width=12, reset=0x7FF),
    Field(name="b", address=0x13, lsb=4, width=3, reset=0b101),
    Field(name="c", address=0x35, lsb=1, width=1, reset=1),
)


def traffic(rng: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    return {
        "write_address": rng.choice([0x10, 0x11, 0x12, 0x13, 0x35, 0x36], rows),
        "write_data": rng.integers(0, 256, rows),
        "write_enable": rng.integers(0, 2, rows),
    }


@pytest.mark.parametrize("cell", [VotedCell, SecdedCell])
def test_a_protected_file_follows_the_plain_one(cell) -> None:
    rng = np.random.default_rng(3)
    inputs = traffic(rng, 300)
    plain = run(RegisterFile(fields=FIELDS, address_width=8, readable=True), inputs, clocked=True)
    if cell is SecdedCell:
        inputs["scrub_row"] = rng.integers(0, 16, 300)
    got = run(RegisterFile(fields=FIELDS, address_width=8, cell=cell, readable=True), inputs, clocked=True)
    for name in ("a", "b", "c", "read_data", "mapped"):
        assert got[name] == plain[name], name
    assert not any(got["errors"])


def test_read_data_is_the_byte_at_the_address() -> None:
    rng = np.random.default_rng(4)
    inputs = traffic(rng, 400)
    got = run(RegisterFile(fields=FIELDS, address_width=8, readable=True), inputs, clocked=True)
    memory = {0x10: 0xA5, 0x12: 0xFF, 0x13: 0x57, 0x35: 0x02}
    masks = {0x10: 0xFF, 0x12: 0xFF, 0x13: 0x7F, 0x35: 0x02}
    for row, address in enumerate(inputs["write_address"].tolist()):
        assert got["read_data"][row] == memory.get(address, 0)
        assert got["mapped"][row] == (address in memory)
        if inputs["write_enable"][row] and address in memory:
            memory[address] = int(inputs["write_data"][row]) & masks[address]


@pytest.mark.parametrize("cell", [VotedCell, SecdedCell])
def test_every_single_upset_of_a_byte_is_corrected_and_counted_once(monkeypatch, cell) -> None:
    """Each flip-flop in turn is inverted in the simulator: the value stays, the error shows for one clock."""
    made: list[HeldReplica] = []
    original = HeldReplica.__init__

    def remember(self, **parameters) -> None:
        original(self, **parameters)
        made.append(self)

    monkeypatch.setattr(HeldReplica, "__init__", remember)
    design = RegisterFile(fields=FIELDS[:1], address_width=8, cell=cell)
    errors = []

    async def bench(ctx) -> None:
        words = [replica for replica in made if len(replica.value) >= 8]
        await ctx.tick()
        if cell is SecdedCell:
            ctx.set(design.scrub_row, 1)
        for word in words:
            for bit in range(len(word.value)):
                ctx.set(word.value, ctx.get(word.value) ^ 1 << bit)
                await ctx.delay(1e-9)
                assert ctx.get(design.a) == 0xA5
                count = ctx.get(design.errors)
                await ctx.tick()
                assert ctx.get(design.a) == 0xA5
                errors.append((count, ctx.get(design.errors)))

    simulator = Simulator(design)
    simulator.add_clock(25e-9)
    simulator.add_testbench(bench)
    simulator.run()
    assert errors == [(1, 0)] * (24 if cell is VotedCell else 13)


def test_three_files_correct_each_other() -> None:
    """Copy 1 is told another write: its byte differs until its row is scrubbed, and no file ever shows it."""
    m = Module()
    files = [RegisterFile(fields=FIELDS, address_width=8, cell=TriplicatedCell) for _ in range(3)]
    for k, file in enumerate(files):
        m.submodules[f"file_{k}"] = file
        m.d.comb += file.peers.eq(Cat(files[(k + 1) % 3].raw, files[(k + 2) % 3].raw))
    seen = []

    async def bench(ctx) -> None:
        await ctx.tick()
        ctx.set(files[1].write_enable, 1)
        ctx.set(files[1].write_address, 0x10)
        ctx.set(files[1].write_data, 0x5A)
        await ctx.tick()
        ctx.set(files[1].write_enable, 0)
        for row in (0, 3, 1, 1):
            for file in files:
                ctx.set(file.scrub_row, row)
            await ctx.delay(1e-9)
            seen.append([ctx.get(files[1].errors), *(ctx.get(file.a) for file in files), ctx.get(files[1].raw) & 0xFF])
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(25e-9)
    simulator.add_testbench(bench)
    simulator.run()
    value = 0xA5 | 0x7FF << 8
    assert seen == [[0, *[value] * 3, 0x5A]] * 2 + [[1, *[value] * 3, 0x5A], [0, *[value] * 3, 0xA5]]


def test_shadow_bytes_are_bad_until_written() -> None:
    component = RegisterFile(fields=FIELDS, address_width=8, cell=ParityCell, role=Role.SHADOW)
    rows = [(0, 0, 0, 0), (0, 0, 0, 1), (0x10, 0x12, 1, 0), (0x12, 3, 1, 0), (0x13, 0xFF, 1, 0), (0x35, 0, 1, 0)]
    address, data, enable, mark = np.array([*rows, (0, 0, 0, 0)]).T
    inputs = {"write_address": address, "write_data": data, "write_enable": enable, "mark": mark}
    got = run(component, inputs, clocked=True)
    assert got["bad"] == [0, 0, 1, 1, 1, 1, 0]
    assert got["image"][-1] == 0x12 | 0x03 << 8 | 0x7F << 16


def test_parts_of_an_active_bank_load_on_their_own() -> None:
    places = stored_bits(FIELDS)
    parts = tuple(1 if place == (0x10, 3) or place[0] == 0x35 else 0 for place in places)
    component = RegisterFile(fields=FIELDS, address_width=8, role=Role.ACTIVE, parts=parts)
    ones = (1 << len(places)) - 1
    zeros = run(component, {"image": [0] * 4 + [0], "swap": [1, 2, 0, 0, 0]}, clocked=True)
    assert zeros["a"] == [0x7FFA5, 0x00000, 0x00000, 0, 0]
    component = RegisterFile(fields=FIELDS, address_width=8, role=Role.ACTIVE, parts=parts)
    got = run(component, {"image": [0, ones, ones, ones], "swap": [3, 1, 2, 0]}, clocked=True)
    assert got["a"][1:] == [0, 0xFFFF7, 0xFFFFF]
    assert got["c"][1:] == [0, 0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": (0, 1)}, "parts: expected one for each of 24 bits, got 2"),
        ({"blocks": (("a",), ("b",))}, r"blocks: expected each of \['a', 'b', 'c'\] once"),
    ],
)
def test_illegal_options_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegisterFile(fields=FIELDS, address_width=8, cell=StorageCell, **change)


@pytest.mark.parametrize("cell", [VotedCell, SecdedCell, TriplicatedCell, ParityCell])
@pytest.mark.parametrize(("width", "reset", "message"), [(0, 0, "1 to 8"), (9, 0, "1 to 8"), (3, 8, "does not fit")])
def test_illegal_cells_are_refused(cell, width: int, reset: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cell(width=width, reset=reset)
