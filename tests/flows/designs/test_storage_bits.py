"""Storage bits by name, and the gate on replicas in the mapped netlist."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import Component, In, Out

from flows.common.metrics import GateError, Metric, read_metrics
from flows.designs.storage_bits import StorageBit, Stratum, gate_replicas, storage_bits, unprotected_bits
from flows.formal.state import cut_state
from flows.library.library import CellLibrary
from flows.synthesis.synthesise import synthesise
from hw.common.export import to_rtlil
from hw.common.hierarchy import place
from hw.common.i2c_target import I2cTargetLogic
from hw.common.register_file import RegisterFile
from hw.common.registered_replica import RegisteredReplica
from hw.common.replica import KEPT
from hw.common.scheme import Scheme
from hw.common.scrubber import ScrubberLogic
from hw.common.secded_cell import SecdedCell
from hw.common.triplicated_cell import TriplicatedCell
from hw.common.voted_cell import VotedCell
from hw.common.voted_register import VotedRegister
from hw.hgcal_encoder.chip import CELLS
from hw.hgcal_encoder.coded_words import WordMap
from sim.hgcal_encoder.configuration.chip_registers import Loading, image_masks
from sim.hgcal_encoder.spec import ECON_T
from sim.register_map import Field
from tests.broken_chips import Merged
from tests.conftest import REPOSITORY
from tests.flows.conftest import library_or_skip
from tests.specs import SMALL

FIELDS = (
    Field(name="a", address=0x10, width=8, reset=0xA5),
    Field(name="a", index=1, address=0x12, width=3),
    Field(name="b", address=0x21, width=1, reset=1),
)
BITS = 12


class Design(Component):
    """A store of three bytes and a pipeline register; where the store is in triplicate, a scrubber as well."""

    clocked = True

    def __init__(self, cell: type[Component]) -> None:
        self._cell = cell
        super().__init__({
            "write_address": In(8), "write_data": In(8), "write_enable": In(1), "i": In(4), "o": Out(4), "a": Out(11),
            "b": Out(1), "errors": Out(1),
        })  # fmt: skip

    def elaborate(self, platform: object) -> Module:
        m = Module()
        triple = self._cell is TriplicatedCell
        register = place(m, platform, "register", VotedRegister, width=4)
        files = [
            place(
                m, platform, f"file_{k}", RegisterFile, label="replica" if triple else "", fields=FIELDS,
                address_width=8, cell=self._cell,
            )
            for k in range(3 if triple else 1)
        ]  # fmt: skip
        walkers = []
        if triple:
            walkers = [
                place(m, platform, f"walk_{k}", RegisteredReplica, logic=ScrubberLogic, first=1, last=2, width=4)
                for k in range(3)
            ]
        for group in (files if triple else [], walkers):
            for k, copy in enumerate(group):
                m.d.comb += copy.peers.eq(Cat(group[(k + 1) % 3].raw, group[(k + 2) % 3].raw))
        for k, file in enumerate(files):
            m.d.comb += [
                file.write_address.eq(self.write_address),
                file.write_data.eq(self.write_data),
                file.write_enable.eq(self.write_enable),
            ]
            if walkers:
                m.d.comb += file.scrub_row.eq(walkers[k].row)
            elif self._cell is SecdedCell:
                m.d.comb += file.scrub_row.eq(self.write_address[4:])
        m.d.comb += [register.i.eq(self.i), self.o.eq(register.o), self.a.eq(files[0].a), self.b.eq(files[0].b)]
        m.d.comb += self.errors.eq(Cat(*(file.errors for file in files), register.error).any())
        return m


def synthesised(cell: type[Component], library: CellLibrary, folder: Path, flat: bool = False):
    return synthesise(
        to_rtlil(Design(cell), "design"), top="design", library=library, out_dir=folder / "out",
        keep=() if flat else (KEPT,), flatten=("*",) if flat else (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cell", "expected"),
    [(VotedCell, 3 * (BITS + 4)), (TriplicatedCell, 3 * (BITS + 4 + 4)), (SecdedCell, 13 + 7 + 4 + 3 * 4)],
)
def test_every_copy_is_in_the_netlist(tmp_path: Path, cell: type[Component], expected: int) -> None:
    """3 flip-flops a bit; code words of 8 + 5, 3 + 4 and 1 + 3 bits."""
    library = library_or_skip("osu018")
    result = synthesised(cell, library, tmp_path)
    assert result.flip_flops == expected == len(cut_state(Design(cell), "design").bits)


@pytest.mark.parametrize("cell", [VotedCell, TriplicatedCell])
def test_flattened_replicas_merge_and_the_gate_says_so(tmp_path: Path, cell: type[Component]) -> None:
    """The trap: without their boundaries three equal registers are one."""
    library = library_or_skip("osu018")
    result = synthesised(cell, library, tmp_path, flat=True)
    expected = len(cut_state(Design(cell), "design").bits)
    assert result.flip_flops < expected
    bits = [
        StorageBit(path=f"bit{i}", bit=0, stratum=Stratum.SETTING, copy=0, protected=f"bit{i}") for i in range(expected)
    ]
    with pytest.raises(GateError, match=f"expected {expected}, got {result.flip_flops}"):
        gate_replicas(result.metrics, bits)


def test_one_flip_flop_fewer_fails(tmp_path: Path) -> None:
    """A cell whose copies were merged by hand: two sets of flip-flops where three are asked for."""
    library = library_or_skip("osu018")
    result = synthesised(Merged, library, tmp_path)
    expected = 3 * (BITS + 4)
    assert result.flip_flops == expected - BITS
    bits = [
        StorageBit(path=f"bit{i}", bit=0, stratum=Stratum.SETTING, copy=0, protected=f"bit{i}")
        for i in range(result.flip_flops)
    ]
    gate_replicas(result.metrics, bits)
    more = StorageBit(path="one", bit=0, stratum=Stratum.SETTING, copy=0, protected="one")
    with pytest.raises(GateError, match=f"expected {len(bits) + 1}, got {len(bits)}"):
        gate_replicas(result.metrics, [*bits, more])
    pair = [StorageBit(path=f"replica_{k}", bit=0, stratum=Stratum.SETTING, copy=k, protected="pair") for k in range(2)]
    with pytest.raises(GateError, match="neither one nor three copies, the first is pair"):
        gate_replicas(result.metrics, [*bits[:-2], *pair])


def by_stratum(scheme: Scheme, loading: Loading) -> tuple[list[StorageBit], Counter[Stratum]]:
    bits = list(storage_bits(SMALL, scheme, loading))
    return bits, Counter(bit.stratum for bit in bits)


IMAGE = sum(mask.bit_count() for mask in image_masks(SMALL).values())
WEIGHTS = SMALL.parameters * 6


def test_storage_bits_of_the_plain_chip() -> None:
    bits, count = by_stratum(Scheme.NONE, Loading.GUARDED)
    assert count[Stratum.WEIGHT] == WEIGHTS
    assert count[Stratum.SETTING] == IMAGE - WEIGHTS
    # a parity bit for each byte
    assert count[Stratum.SHADOW] == IMAGE + len(image_masks(SMALL))
    # state of the target, run and clear, read_shadow and checksum, state of the loader
    assert count[Stratum.CONTROL] == I2cTargetLogic.STATE.size + 2 + 33 + 60
    assert count[Stratum.COUNTER] == 0
    assert len({(bit.path, bit.bit) for bit in bits}) == len(bits)
    assert {bit.copy for bit in bits} == {0}
    weight = next(bit for bit in bits if bit.stratum is Stratum.WEIGHT)
    assert weight.path.startswith("registers.byte_05")


def test_storage_bits_of_whole_modules_in_triplicate() -> None:
    plain = by_stratum(Scheme.NONE, Loading.DIRECT)[1]
    bits, count = by_stratum(Scheme.TMR_MODULE, Loading.DIRECT)
    for stratum in (Stratum.WEIGHT, Stratum.SETTING, Stratum.DATA_PATH):
        assert count[stratum] == 3 * plain[stratum]
    # the walk of the scrubber comes to it; six counters of eight bits
    assert count[Stratum.CONTROL] == 3 * (plain[Stratum.CONTROL] + 12)
    assert count[Stratum.COUNTER] == 3 * 48
    assert not unprotected_bits(bits)
    assert Counter(bit.copy for bit in bits) == dict.fromkeys(range(3), len(bits) // 3)


def test_storage_bits_of_long_code_words() -> None:
    """One flip-flop for each bit of the image and eight check bits a word; three for everything else."""
    spec = replace(SMALL, reuse=2)
    bits = list(storage_bits(spec, Scheme.SECDED_WORDS, Loading.DIRECT))
    count = Counter(bit.stratum for bit in bits)
    words = {bit.protected: 0 for bit in bits if bit.path.startswith("registers.word_")}
    assert len(words) == len(WordMap(spec=spec).words)
    assert count[Stratum.WEIGHT] + count[Stratum.SETTING] == IMAGE + 8 * len(words)
    weights = sum(name.startswith("registers.word_weights") for name in words)
    assert count[Stratum.WEIGHT] == WEIGHTS + 8 * weights
    assert not unprotected_bits(bits)
    for stratum in (Stratum.CONTROL, Stratum.COUNTER, Stratum.DATA_PATH):
        copies = Counter(bit.copy for bit in bits if bit.stratum is stratum)
        assert copies == dict.fromkeys(range(3), count[stratum] // 3)


def test_committed_costs_are_of_designs_with_all_copies() -> None:
    """Flip-flops of the cost table by arithmetic: three times the plain chip, counters and scrubber added."""
    metrics = read_metrics(REPOSITORY / "benchmarks" / "results" / "protection.json")
    cases = [f"{scheme}_{loading}" for scheme in CELLS for loading in Loading]
    count = {case: value_of(metrics, "design__flip_flop__count", case) for case in cases}
    area = {case: value_of(metrics, "design__instance__area", case) for case in cases}
    plain = count["none_direct"]
    assert count["tmr_registers_direct"] == 3 * (plain + 6 * 8)
    assert count["tmr_module_direct"] == 3 * (plain + 6 * 8 + 12)
    for scheme in CELLS:
        assert area[f"{scheme}_guarded"] > area[f"{scheme}_direct"] >= area["none_direct"]
    assert plain < count["secded_direct"] < count["tmr_registers_direct"]


def test_committed_cost_of_long_code_words() -> None:
    """13,888 bits of the image and 8 check bits for each of 149 words; everything else three times."""
    metrics = read_metrics(REPOSITORY / "benchmarks" / "results" / "protection.json")
    bits = sum(mask.bit_count() for mask in image_masks(ECON_T).values())
    case = "secded_words_direct_reuse_4"
    others = value_of(metrics, "design__flip_flop__count", case) - bits - 149 * 8
    assert others > 0
    assert others % 3 == 0
    area = value_of(metrics, "design__instance__area", case)
    parts = ("store__area", "control__area", "pipeline_registers__area")
    assert 0 < sum(value_of(metrics, part, case) for part in parts) < area
    assert area < value_of(metrics, "design__instance__area", "none_direct")


def value_of(metrics: Sequence[Metric], name: str, case: str) -> float:
    (metric,) = (metric for metric in metrics if metric.name == f"{name}__case:{case}")
    return float(metric.value)
