"""Proofs of protection, loading and I2C: they close, and each breaks when what it is about is broken."""

from dataclasses import replace

import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component

from flows.designs.register_documents import register_table
from flows.formal.all import protection_proofs
from flows.formal.code_words import prove_word_access, prove_word_corrector, prove_word_selector, prove_word_store
from flows.formal.dot_product import dot_products
from flows.formal.frozen import prove_folded_neuron
from flows.formal.loading import prove_i2c_writes, prove_loader, prove_scrubber, prove_swap
from flows.formal.protection import StoredByte, prove_cell, prove_gates, prove_machine, prove_register
from flows.formal.solver import Status
from flows.formal.state import cut_state
from hw.common import loader, registered_replica, secded_cell
from hw.common.i2c_target import I2cTargetLogic
from hw.common.registered import described
from hw.common.scheme import Scheme
from hw.common.scrubber import ScrubberLogic
from hw.common.secded_cell import check_bits, check_columns
from hw.common.voted_register import VotedRegister
from hw.common.word_access import WordAccessLogic
from hw.common.word_code import WordCode
from hw.common.word_store import WordStore
from hw.hgcal_encoder import word_selector
from hw.hgcal_encoder.chip import Chip
from hw.hgcal_encoder.coded_words import WordMap
from sim.hgcal_encoder.configuration.chip_registers import Loading, chip_fields, image_masks
from sim.hgcal_encoder.spec import ECON_T
from tests.broken_chips import (
    Asleep,
    Blind,
    Eager,
    Merged,
    OneCopy,
    OneGate,
    Passing,
    Promiscuous,
    Short,
    Stuck,
    Unchecked,
    Uncorrected,
    Unvoted,
    detecting,
    unscrubbed,
)
from tests.conftest import REPOSITORY
from tests.specs import SMALL


@pytest.mark.timeout(300)
def test_all_statements_are_proved() -> None:
    proofs = list(protection_proofs(ECON_T))
    assert {proof.name: proof.status for proof in proofs} == {proof.name: Status.PROVED for proof in proofs}
    assert len(proofs) == 40
    assert all(proof.input_bits > 6 for proof in proofs)


@pytest.mark.parametrize("broken", [Unvoted, Merged, Uncorrected, Asleep])
def test_a_broken_voted_cell_is_refuted(broken: type[Component]) -> None:
    assert prove_cell("broken", broken, whole_copies=True).status is Status.REFUTED


def test_copies_behind_one_clock_gate_are_refuted() -> None:
    assert prove_gates("broken", OneGate, whole_copies=True).status is Status.REFUTED


def test_a_code_word_that_a_clock_too_many_overwrites_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flip-flops see the write port, also while nothing is written."""
    monkeypatch.setattr(secded_cell, "Mux", lambda _enable, new, _corrected: new)
    assert prove_gates("broken", StoredByte, whole_copies=False).status is Status.REFUTED


def test_gates_of_flip_flops_without_enable_are_refused() -> None:
    with pytest.raises(ValueError, match=r"registers: no enable of replica_0\.o \[0\]"):
        cut_state(VotedRegister(width=8), "registers", gates=True)


def test_a_triplicated_cell_that_is_not_scrubbed_is_refuted() -> None:
    assert prove_cell("broken", unscrubbed, whole_copies=True).status is Status.REFUTED


def test_a_code_word_with_a_wrong_output_is_refuted() -> None:
    assert prove_cell("broken", detecting, whole_copies=False).status is Status.REFUTED


def test_a_code_corrects_no_whole_copies() -> None:
    """Two flips at once are beyond the code: the statement for copies cannot even be set up, as there are none."""
    design = cut_state(StoredByte(width=8, reset=0), "word")
    assert len(design.bits) == 13
    with pytest.raises(ValueError, match="belongs to no copy"):
        design.copies()


def test_a_register_without_voter_is_refuted() -> None:
    assert prove_register("broken", OneCopy).status is Status.REFUTED


def test_state_machines_without_voters_are_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered_replica, "majority", lambda a, _b, _c: a)
    assert prove_machine("broken", ScrubberLogic, first=2, last=9, width=4).status is Status.REFUTED


@pytest.mark.parametrize("code", [Blind, Unchecked])
def test_a_store_that_does_not_correct_or_encode_is_refuted(code: type[WordCode]) -> None:
    class Broken(WordStore):
        def __init__(self, **parameters: object) -> None:
            super().__init__(**parameters)
            self._code = code(width=self._code.width)

    assert prove_word_store(store=Broken).status is Status.REFUTED


def test_words_without_corrector_are_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prove_word_corrector(10, corrector=Passing).status is Status.REFUTED
    monkeypatch.setattr(word_selector, "WordCorrector", Passing)
    assert prove_word_selector(replace(ECON_T, filters=1, reuse=8)).status is Status.REFUTED


@pytest.mark.parametrize("broken", [Short, Eager])
def test_a_walk_that_skips_a_word_or_writes_unasked_is_refuted(broken: type[Component]) -> None:
    assert prove_word_access(20, access=broken).status is Status.REFUTED


def test_the_bound_is_that_of_the_chip() -> None:
    """149 words, one a clock."""
    chip = described(Chip, spec=replace(ECON_T, reuse=4), scheme=Scheme.SECDED_WORDS, loading=Loading.DIRECT)
    words = chip.control_parameters()["words"]
    assert words == len(WordMap(spec=chip.spec).words) == described(WordAccessLogic, words=words).period == 149


def test_a_scrubber_that_stops_is_refuted() -> None:
    assert prove_scrubber(3, 12, scrubber=Stuck).status is Status.REFUTED


def test_a_loader_that_waits_for_ever_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk stands still while no byte is mapped."""

    def walk(self: loader.LoaderLogic, m: Module, byte: object, then: loader.LoadPhase) -> None:
        s, n = self.state, self.next_state
        with m.If(~self.pause & self.mapped):
            m.d.comb += n.address.eq(s.address + 1)
            with m.If(s.address >= self._last):
                m.d.comb += n.phase.eq(then)

    monkeypatch.setattr(loader.LoaderLogic, "_walk", walk)
    assert prove_loader(16, 40, 3).status is Status.REFUTED


def test_a_loader_that_swaps_anything_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    original = loader.LoaderLogic._walk

    def careless(self: loader.LoaderLogic, m: Module, byte: object, then: loader.LoadPhase) -> None:
        original(self, m, byte, loader.LoadPhase.SWAP if then is loader.LoadPhase.JUDGE else then)

    monkeypatch.setattr(loader.LoaderLogic, "_walk", careless)
    assert prove_swap(16, 40, 3).status is Status.REFUTED


def test_a_target_that_answers_to_all_is_refuted() -> None:
    assert prove_i2c_writes(logic=Promiscuous).status is Status.REFUTED


def test_a_target_that_ignores_conditions_is_refuted() -> None:
    class Deaf(I2cTargetLogic):
        """Goes on with what it was doing when a START or STOP comes."""

        def elaborate(self, platform: object) -> Module:
            m = super().elaborate(platform)
            with m.If(self.state.settle == 1):
                m.d.comb += self.next_state.phase.eq(self.state.phase)
            return m

    assert prove_i2c_writes(logic=Deaf).status is Status.REFUTED


@pytest.mark.parametrize("width", range(1, 12))
def test_columns_of_the_code_by_its_theorem(width: int) -> None:
    """Different columns of odd weight give distance 4: every sum of up to three columns is different from 0."""
    columns = [*check_columns(width), *(1 << row for row in range(check_bits(width)))]
    assert len(set(columns)) == len(columns)
    assert all(column.bit_count() % 2 for column in columns)
    words = {0}
    for value in range(1, 1 << width):
        check = 0
        for bit, column in enumerate(check_columns(width)):
            check ^= column if value >> bit & 1 else 0
        words.add(value.bit_count() + check.bit_count())
    assert min(words - {0}) >= 4


def test_a_byte_takes_five_check_bits() -> None:
    assert (check_bits(8), check_bits(4), check_bits(1)) == (5, 4, 3)


def test_a_constant_neuron_is_the_loaded_one() -> None:
    f = dot_products(SMALL)["conv_4_taps"]
    weights, bias = [-32, 31, 5, -1], -7
    assert prove_folded_neuron("neuron", f, weights, bias).status is Status.PROVED
    assert prove_folded_neuron("neuron", f, weights, bias, folded=([-32, 31, 4, -1], bias)).status is Status.REFUTED
    assert prove_folded_neuron("neuron", f, weights, bias, folded=(weights, -8)).status is Status.REFUTED
    with pytest.raises(ValueError, match="weights: expected 4, got 3"):
        prove_folded_neuron("neuron", f, weights[:3], bias)
    with pytest.raises(ValueError, match="weight: expected 6 bits, got 32"):
        prove_folded_neuron("neuron", f, [32, 0, 0, 0], bias)


def test_documented_bounds() -> None:
    """Bounds in docs/method/radiation.md, register map in docs/chips/registers.md: those of the generator."""
    page = (REPOSITORY / "docs" / "method" / "radiation.md").read_text()
    addresses = list(image_masks(ECON_T))
    chip = described(Chip, spec=ECON_T)
    logic = described(loader.LoaderLogic, first=addresses[0], last=addresses[-1], steps=max(chip.parts) + 1)
    rows = described(ScrubberLogic, first=addresses[0] >> 4, last=addresses[-1] >> 4, width=12)
    assert f"within {logic.clocks:,} clocks of a commit" in page
    assert f"N = {rows.period} clocks (ECON_T)" in page
    assert f"{logic.clocks:,} clocks of 25 ns" in (REPOSITORY / "docs" / "chips" / "registers.md").read_text()
    assert (
        register_table(chip_fields(ECON_T, Loading.GUARDED))
        in (REPOSITORY / "docs" / "chips" / "registers.md").read_text()
    )
    assert (addresses[0], addresses[-1]) == (0x03B0, 0x0BE2)
    assert max(chip.parts) + 1 == 4
