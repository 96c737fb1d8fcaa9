"""The fault campaign finds what is broken and nothing else, resumes, and tells how sure it is."""

import contextlib
import gc
import json
import re
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import distributed
import numpy as np
import pytest
from amaranth.lib.wiring import Component

from flows.campaign import campaign as module
from flows.campaign import rtl
from flows.campaign.campaign import Job, make_plan, run_campaign, summarise, write_outcomes
from flows.campaign.engine import RESET, EngineError
from flows.campaign.faults import (
    Fault,
    Kind,
    Schedule,
    Target,
    beam_windows,
    double_flips,
    flips_meet,
    populations,
    single_flips,
    transients,
)
from flows.campaign.ledger import LedgerError
from flows.campaign.outcome import Effect, Outcome, uncorrected
from flows.campaign.rtl import RtlEngine, add_hooks, chip_verilog
from flows.campaign.store import reset_image, stored_values
from flows.campaign.workload import Workload, make_workload
from flows.common import cluster
from flows.common.content_cache import imported
from flows.designs import storage_bits as storage
from flows.designs.storage_bits import StorageBit, Stratum, chip_shell, storage_bits
from flows.simulation import native
from flows.tools.rtlil import parse_rtlil
from flows.tools.yosys import run_yosys
from hw.common.export import to_rtlil, to_verilog
from hw.common.scheme import Scheme
from hw.common.storage_cell import StorageCell
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.spec import EncoderSpec
from tests.broken_chips import Merged, Uncorrected, Unscrubbed, Unvoted
from tests.specs import SMALL

TOP = "SMALL_CHIP"
UNVOTED, MERGED, UNCORRECTED, SOUND = "byte_0538", "byte_0539", "byte_03c4", "byte_03c5"
"""Weights and a selection of the multiplexer whose cells are broken, each in its own way, and one that is not."""


@pytest.fixture(scope="module")
def workload() -> Workload:
    return make_workload(SMALL, Loading.DIRECT)


def with_cell(verilog: str, byte: str, cell: type[Component], name: str) -> str:
    """The chip with another cell as one byte of its store."""
    found = re.search(rf"^  (\S+) {byte} \($", verilog, re.MULTILINE)
    assert found is not None
    width = int(re.search(r"_(\d)_0$", found[1])[1])  # type: ignore[index]
    if f"module {name}(" not in verilog:
        verilog += to_verilog(cell(width=width, reset=0), name)
    return verilog.replace(found[0], f"  {name} {byte} (")


@pytest.fixture(scope="module")
def broken(workload: Workload) -> Iterator[RtlEngine]:
    """Voted registers, three bytes of them broken: voter removed, copies merged, vote not stored again."""
    verilog = chip_verilog(SMALL, Scheme.TMR_REGISTERS, Loading.DIRECT)
    for byte, cell in ((UNVOTED, Unvoted), (MERGED, Merged), (UNCORRECTED, Uncorrected)):
        verilog = with_cell(verilog, byte, cell, f"{TOP}_{cell.__name__}")
    bits = storage_bits(SMALL, Scheme.TMR_REGISTERS, Loading.DIRECT)
    kept = [bit for bit in bits if not (MERGED in bit.path and bit.copy == 2)]
    with RtlEngine(workload, Scheme.TMR_REGISTERS, verilog=verilog, bits=kept, optimise="-O0") as engine:
        yield engine


@pytest.fixture(scope="module")
def unscrubbed(workload: Workload) -> Iterator[RtlEngine]:
    """Whole modules in triplicate; one byte is not scrubbed."""
    verilog = chip_verilog(SMALL, Scheme.TMR_MODULE, Loading.DIRECT)
    verilog = with_cell(verilog, UNCORRECTED, Unscrubbed, f"{TOP}_unscrubbed")
    with RtlEngine(workload, Scheme.TMR_MODULE, verilog=verilog, optimise="-O0") as engine:
        yield engine


def upset(engine: RtlEngine, bits: Sequence[StorageBit], seed: int = 5) -> dict[StorageBit, Outcome]:
    faults = single_flips(bits, engine.schedule, seed=seed, counts=dict.fromkeys(Stratum))
    ordered = [bit for population in populations(bits).values() for bit in population]
    return dict(zip(ordered, engine.run(faults), strict=True))


@pytest.mark.timeout(900)
def test_every_upset_of_a_broken_byte_is_found_and_no_other(broken: RtlEngine) -> None:
    """One copy without voter, the copy that stands for two, all copies that keep their own: just these stay wrong."""
    chosen = [
        bit for bit in broken.bits
        if bit.stratum in (Stratum.WEIGHT, Stratum.CONTROL, Stratum.COUNTER) or bit.bit == 0 or UNCORRECTED in bit.path
    ]  # fmt: skip
    outcomes = upset(broken, chosen)
    found = {bit for bit, outcome in outcomes.items() if uncorrected([outcome])}
    expected = {
        bit
        for bit in chosen
        if (UNVOTED in bit.path and bit.copy == 0) or (MERGED in bit.path and bit.copy == 1) or UNCORRECTED in bit.path
    }
    assert len(expected) == 8 + 8 + 3 * 6
    assert found == expected
    assert {outcome.effect for bit, outcome in outcomes.items() if bit not in expected} == {Effect.CORRECTED}
    assert any(outcomes[bit].effect is Effect.CORRUPTED for bit in expected)
    # an upset that keeps its own copy only is no wrong value yet
    assert all(outcomes[bit].wrong_crossings == 0 for bit in expected if UNCORRECTED in bit.path)


def test_upsets_pile_up_where_the_vote_is_not_stored_again(broken: RtlEngine) -> None:
    """The same bit in two copies, fifty crossings apart: harmless in a sound byte, wrong in one that keeps upsets."""
    corrupted = {}
    for byte in (SOUND, UNCORRECTED):
        faults = [
            Fault(
                kind=Kind.DOUBLE,
                targets=tuple((f"registers.{byte}.replica_{copy}.value", bit) for copy in (0, 2)),
                stratum="weight",
                clock=100 + bit,
                gap=50,
            )
            for bit in range(6)
        ]
        outcomes = broken.run(faults)
        corrupted[byte] = sum(outcome.effect is Effect.CORRUPTED for outcome in outcomes)
        assert {outcome.persistent for outcome in outcomes} == {byte == UNCORRECTED}
    assert corrupted[SOUND] == 0 < corrupted[UNCORRECTED]


@pytest.mark.timeout(900)
def test_a_byte_that_is_not_scrubbed_is_found(unscrubbed: RtlEngine) -> None:
    chosen = [
        bit for bit in unscrubbed.bits if bit.stratum is Stratum.WEIGHT or bit.bit == 1 or UNCORRECTED in bit.path
    ]
    outcomes = upset(unscrubbed, chosen)
    found = {bit for bit, outcome in outcomes.items() if uncorrected([outcome])}
    assert found == {bit for bit in chosen if UNCORRECTED in bit.path}
    assert len(found) == 3 * 6
    assert all(outcome.wrong_crossings == 0 for outcome in outcomes.values())


def test_an_upset_lasts_until_the_scrubber_comes(unscrubbed: RtlEngine) -> None:
    """The time from upset to correction is the way of the scrubber to the row, by the definition of its walk."""
    schedule = unscrubbed.schedule
    path = f"registers_1.{SOUND}.raw"
    row = 0x03C5 // 16 - 0x03B0 // 16
    for ahead in (0, 1, 5):
        clock = 5 * schedule.rows + row - ahead
        (outcome,) = unscrubbed.run(
            [Fault(kind=Kind.FLIP, targets=((path, 3),), stratum=str(Stratum.WEIGHT), clock=clock)]
        )
        assert (outcome.effect, outcome.persistent, outcome.watched) == (Effect.CORRECTED, False, ahead + 1)


@pytest.mark.timeout(900)
def test_in_beam_only_flips_that_meet_in_a_word_show(unscrubbed: RtlEngine) -> None:
    """Poisson arrivals over the whole chip in triplicate: corrected unless two meet, or the broken byte is upset."""
    protected = {(bit.path, bit.bit): bit.protected for bit in unscrubbed.bits}
    faults = beam_windows(unscrubbed.bits, unscrubbed.schedule, seed=7, windows=80, crossings=300, flips=120.0)
    outcomes = unscrubbed.run(faults)
    upset = [any(UNCORRECTED in path for path, _ in fault.targets) for fault in faults]
    meet = [flips_meet(fault, unscrubbed.schedule, protected) for fault in faults]
    shown = [bool(uncorrected([outcome])) for outcome in outcomes]
    apart = [s for s, m, b in zip(shown, meet, upset, strict=True) if not m and not b]
    assert len(apart) > 5
    assert not any(apart)
    # both ways to fail are there, and are found
    assert all(s for s, b in zip(shown, upset, strict=True) if b)
    assert any(upset)
    assert any(s for s, m, b in zip(shown, meet, upset, strict=True) if m and not b)


def test_arrivals_in_beam_are_poisson() -> None:
    bits = storage_bits(SMALL, Scheme.TMR_MODULE, Loading.GUARDED)
    schedule = Schedule(first=6, last=1505, rows=30, first_row=0x3B)
    faults = beam_windows(bits, schedule, seed=2, windows=3000, crossings=200, flips=1.5)
    counts = np.array([len(fault.targets) for fault in faults])
    # windows without a flip are left out: exp(-1.5) of them
    assert len(faults) == pytest.approx(3000 * (1 - np.exp(-1.5)), abs=4 * np.sqrt(3000 * 0.223 * 0.777))
    assert counts.sum() == pytest.approx(4500, abs=4 * np.sqrt(4500))
    assert (counts == 3).sum() == pytest.approx(3000 * np.exp(-1.5) * 1.5**3 / 6, abs=4 * np.sqrt(376))
    assert min(fault.clock for fault in faults) >= 6
    assert max(fault.clock + fault.arrivals[-1] for fault in faults) <= 1505
    gaps = np.concatenate([np.diff(fault.arrivals) for fault in faults if len(fault.targets) == 2])
    # distance of two uniform points: a third of the length
    assert gaps.mean() == pytest.approx(200 / 3, rel=0.1)
    shadow = {(bit.path, bit.bit) for bit in bits if bit.stratum is Stratum.SHADOW}
    assert shadow
    assert not shadow & {target for fault in faults for target in fault.targets}


def test_flips_meet_in_a_word_until_it_is_corrected() -> None:
    schedule = Schedule(first=6, last=1505, rows=30, first_row=0x3B)
    path = "registers_0.byte_03c4.stored", "registers_1.byte_03c4.stored"
    # row 0x3c is the second one: scrubbed in crossings 1, 31, 61, ...
    protected = {(p, bit): f"byte_03c4.{bit}" for p in path for bit in range(6)}
    protected |= {("pipe.replica_0.o", 0): "pipe.0", ("pipe.replica_1.o", 0): "pipe.0"}

    def meet(clock: int, later: int, first: Target, second: Target) -> bool:
        fault = Fault(kind=Kind.BEAM, targets=(first, second), stratum="all", clock=clock, arrivals=(0, later))
        return flips_meet(fault, schedule, protected)

    assert meet(40, 21, (path[0], 2), (path[1], 2))
    assert not meet(40, 22, (path[0], 2), (path[1], 2))
    assert not meet(40, 1, (path[0], 2), (path[1], 3))
    assert meet(40, 0, ("pipe.replica_0.o", 0), ("pipe.replica_1.o", 0))
    assert not meet(40, 1, ("pipe.replica_0.o", 0), ("pipe.replica_1.o", 0))
    assert meet(40, 0, ("control.state.replica_0.o", 3), ("control.state.replica_2.o", 9))
    assert not meet(40, 1, ("control.state.replica_0.o", 3), ("control.state.replica_2.o", 9))
    with pytest.raises(ValueError, match="an arrival for each of 2 targets"):
        Fault(kind=Kind.BEAM, targets=((path[0], 2), (path[1], 2)), stratum="all", clock=40, arrivals=(0,))
    with pytest.raises(ValueError, match="arrivals are those of a beam"):
        Fault(kind=Kind.FLIP, targets=((path[0], 2),), stratum="all", clock=40, arrivals=(0,))
    with pytest.raises(ValueError, match="flips above 0"):
        beam_windows([], schedule, seed=1, windows=1, crossings=10, flips=0.0)


def test_outcomes_do_not_depend_on_company(broken: RtlEngine) -> None:
    """Each fault is injected into a fresh chip: alone, in another order, and twice, it comes to the same."""
    faults = single_flips(broken.bits, broken.schedule, seed=2, counts=dict.fromkeys(Stratum, 20))
    faults += transients(broken.nets, broken.schedule, seed=2, stratum="control", repeats=2)
    together = [result(outcome) for outcome in broken.run(faults)]
    backwards = [result(outcome) for outcome in broken.run(faults[::-1])]
    assert backwards[::-1] == together
    for number in (0, 33, len(faults) - 1):
        assert result(broken.run([faults[number]])[0]) == together[number]


def result(outcome: Outcome) -> tuple[object, ...]:
    return (outcome.effect, outcome.wrong_crossings, outcome.first_wrong, outcome.persistent, outcome.watched)


def test_reset_for_one_crossing_stops_the_chip(broken: RtlEngine) -> None:
    """`run` is 0 after reset: no frame comes any more, up to the last crossing that is watched."""
    (outcome,) = broken.run([Fault(kind=Kind.TRANSIENT, targets=(RESET,), stratum="control", clock=1000)])
    assert outcome.effect is Effect.HANG
    assert outcome.wrong_crossings == outcome.watched
    assert outcome.persistent


def test_impossible_faults_are_refused(broken: RtlEngine) -> None:
    good = Fault(kind=Kind.FLIP, targets=(("begun.replica_0.o", 0),), stratum="data_path", clock=50)
    with pytest.raises(ValueError, match=r"fault 1: the chip has no signal 'nowhere\.o'"):
        broken.run([good, replace(good, targets=(("nowhere.o", 0),))])
    with pytest.raises(ValueError, match="fault 0: injected at crossing 99999"):
        broken.run([replace(good, clock=99999)])
    with pytest.raises(ValueError, match=r"double: expected 2 target\(s\), got 1"):
        replace(good, kind=Kind.DOUBLE)
    with pytest.raises(ValueError, match="crossing 1 or later"):
        replace(good, clock=0)


def test_a_chip_that_is_wrong_without_any_fault_is_refused(workload: Workload, broken: RtlEngine) -> None:
    frames = workload.frames.copy()
    frames[700, 1] ^= 4
    kept = broken.workload
    broken.workload = replace(workload, frames=frames)
    with pytest.raises(EngineError, match="differ from the golden model, the first at crossing 700"):
        broken.check()
    broken.workload = kept
    broken.restart()
    broken.check()


def always(engine: RtlEngine) -> list[str]:
    """As names of a write enable: a stored byte with several ones, and a hook that is 0; they differ at all times."""
    image = engine.workload.image
    path = next(
        bit.path
        for bit in engine.bits
        if (found := re.search(r"byte_([0-9a-f]{4})", bit.path)) and image[int(found[1], 16)].bit_count() >= 4
    )
    scope, _, signal = path.rpartition(".")
    unused = next(name for name in engine.hooks if name.endswith("__run"))
    return [f"TOP.harness.dut.{scope} {signal}_held", f"TOP.harness.dut {unused}"]


def test_a_store_with_its_own_clock_comes_to_the_same_as_one_that_always_ticks(
    broken: RtlEngine, unscrubbed: RtlEngine
) -> None:
    """Fault for fault the outcome of a simulation in which every clock ticks for every flip-flop."""
    for engine in (broken, unscrubbed):
        counts: dict[Stratum, int | None] = dict.fromkeys(Stratum, 15)
        faults = single_flips(engine.bits, engine.schedule, seed=7, counts=counts)
        faults += double_flips(engine.bits, engine.schedule, seed=7, count=40)
        faults += transients(engine.nets, engine.schedule, seed=7, stratum="control", repeats=2)
        found = [result(outcome) for outcome in engine.run(faults)]
        try:
            engine.tick_store_with(always(engine))
            assert [result(outcome) for outcome in engine.run(faults)] == found
        finally:
            engine.tick_store_with(engine.enables)


@pytest.mark.timeout(900)
def test_code_words_behind_reused_multipliers_are_corrected_and_two_flips_are_not() -> None:
    """A chip with an internal clock; each flip of a word lasts until the scrubber comes to the word."""
    spec = replace(SMALL, reuse=2)
    with RtlEngine(make_workload(spec, Loading.DIRECT), Scheme.SECDED_WORDS, optimise="-O0") as engine:
        assert engine.schedule.rows == len(engine.schedule.words) > 2
        faults = single_flips(engine.bits, engine.schedule, seed=3, counts=dict.fromkeys(Stratum, 40))
        outcomes = engine.run(faults)
        assert uncorrected(outcomes) == []
        assert {o.effect for o in outcomes} == {Effect.CORRECTED}
        pairs = [
            f for f in double_flips(engine.bits, engine.schedule, seed=3, count=200) if f.stratum == Stratum.WEIGHT
        ]
        assert pairs
        assert len(uncorrected(engine.run(pairs))) == len(pairs)


def test_hooks_miss_no_flip_flop() -> None:
    text = chip_verilog(SMALL, Scheme.NONE, Loading.GUARDED)
    hooked = add_hooks(text, TOP)
    assert hooked.count("_flip /*verilator public_flat_rw*/") == text.count("always @(posedge")
    with pytest.raises(ValueError, match="1 processes at a clock edge, 0 of the form expected"):
        add_hooks("module SMALL_CHIP(clk);\n  input clk;\n  reg q;\n  always @(posedge clk) q <= ~q;\nendmodule\n", TOP)


class FakeEngine:
    """Outcomes that follow from the fault alone."""

    name = "rtl"

    def __init__(self, workload: Workload, bits: Sequence[StorageBit]) -> None:
        self.workload, self.bits = workload, bits
        self.schedule = Schedule(first=6, last=4000)
        self.nets = (RESET,)
        self.samples: dict[str, tuple[Target, ...]] = {}
        self.ran = 0

    def run(self, faults: Sequence[Fault]) -> list[Outcome]:
        self.ran += len(faults)
        return [
            Outcome(
                number=number,
                effect=Effect.CORRUPTED if fault.clock % 7 == 0 else Effect.MASKED,
                wrong_crossings=fault.clock % 3,
            )
            for number, fault in enumerate(faults)
        ]


@pytest.fixture
def fake(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    engine = FakeEngine(workload, storage_bits(SMALL, Scheme.NONE, Loading.DIRECT))
    monkeypatch.setattr(module, "open_engine", lambda job: engine)
    monkeypatch.setitem(module.CHUNKS, "rtl", 200)
    return engine


JOB = Job(spec=SMALL, scheme=Scheme.NONE, loading=Loading.DIRECT)


def test_an_interrupted_campaign_goes_on_and_comes_to_the_same(
    tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_campaign(JOB, tmp_path / "whole", workers=1, limit=900)
    assert len(whole.outcomes) == fake.ran <= 900
    normal, count = fake.run, 0

    def interrupted(faults: Sequence[Fault]) -> list[Outcome]:
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return normal(faults)

    monkeypatch.setattr(fake, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(JOB, tmp_path / "parts", workers=1, limit=900)
    monkeypatch.setattr(fake, "run", normal)
    done: list[int] = []
    again = run_campaign(JOB, tmp_path / "parts", workers=1, limit=900, begin=lambda total: done.append)
    chunks = [len(chunk) for chunk in whole.plan.chunks("rtl")]
    assert max(chunks) <= 200
    assert max(chunks) - min(chunks) < len(chunks)
    assert again.resumed == done[0] in {a + b for a, b in combinations(chunks, 2)}
    assert sum(done) == len(whole.outcomes)
    assert [result(o) for o in again.outcomes] == [result(o) for o in whole.outcomes]
    assert summarise(again) == {**summarise(whole), "resumed": again.resumed}


def test_another_campaign_or_a_damaged_ledger_is_refused(tmp_path: Path, fake: FakeEngine) -> None:
    folder = tmp_path / "c"
    second = len(run_campaign(JOB, folder, workers=1, limit=500).plan.chunks("rtl")[1])
    with pytest.raises(LedgerError, match="holds another campaign: expected the hash"):
        run_campaign(JOB, folder, workers=1, limit=400)
    with pytest.raises(LedgerError, match="holds another campaign"):
        run_campaign(replace(JOB, seed=2), folder, workers=1, limit=500)
    chunk = folder / "chunk_00001.npz"
    kept = chunk.read_bytes()
    chunk.write_bytes(kept[:200])
    with pytest.raises(LedgerError, match=rf"chunk_00001\.npz: damaged; delete it to have its {second} faults run"):
        run_campaign(JOB, folder, workers=1, limit=500)
    chunk.write_bytes((folder / "chunk_00000.npz").read_bytes())
    with pytest.raises(LedgerError, match="belongs to chunk 0"):
        run_campaign(JOB, folder, workers=1, limit=500)
    with np.load(folder / "chunk_00000.npz") as stored:
        columns = {**dict(stored), "chunk": 1}
    columns["wrong_crossings"] = columns["wrong_crossings"] + 1
    np.savez(chunk, **columns)
    with pytest.raises(LedgerError, match="do not have its own hash"):
        run_campaign(JOB, folder, workers=1, limit=500)
    chunk.unlink()
    assert run_campaign(JOB, folder, workers=1, limit=500).resumed > 0
    (folder / "ledger.json").write_text("{")
    with pytest.raises(LedgerError, match=r"ledger\.json: damaged"):
        run_campaign(JOB, folder, workers=1, limit=500)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note.txt").write_text("keep")
    with pytest.raises(LedgerError, match="is no ledger of a campaign"):
        run_campaign(JOB, tmp_path / "mine", workers=1, limit=500)


def test_a_ledger_of_other_code_tools_or_cells_is_refused(
    tmp_path: Path, fake: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/fault_campaign.md promises: outcomes of code that has changed since are no outcomes of this code."""
    netlist = replace(JOB, engine="netlist")
    cells = SimpleNamespace(sha256="cells")
    monkeypatch.setattr(module, "cell_library", lambda name: cells)
    for job in (JOB, netlist):
        folder = tmp_path / job.engine
        done = run_campaign(job, folder, workers=1, limit=50)
        assert run_campaign(job, folder, workers=1, limit=50).resumed == len(done.outcomes)
        for name in ("code_hash", "tool_versions"):
            with monkeypatch.context() as patch:
                patch.setattr(module, name, lambda *_: "other")
                with pytest.raises(LedgerError, match="holds another campaign: .* code differ"):
                    run_campaign(job, folder, workers=1, limit=50)
    cells.sha256 = "other"
    assert run_campaign(JOB, tmp_path / "rtl", workers=1, limit=50).resumed > 0
    with pytest.raises(LedgerError, match="holds another campaign"):
        run_campaign(netlist, tmp_path / "netlist", workers=1, limit=50)


@pytest.mark.parametrize(
    ("engine", "files"),
    [
        ("rtl", ("flows/campaign/faults.cpp", "flows/simulation/native.py", "flows/tools/verilog.py")),
        ("netlist", ("flows/netlist/gate_simulation.py", "flows/synthesis/techmap.py", "flows/tools/_yosys_child.py")),
    ],
)
def test_the_code_of_a_campaign_is_all_that_its_engine_imports(engine: str, files: tuple[str, ...]) -> None:
    """An edit of any of these files makes a ledger stale: none of them stands in a list of the campaign's own."""
    both = ("hw/hgcal_encoder/chip.py", "hw/common/secded_cell.py", "sim/hgcal_encoder/encoder.py",
            "flows/campaign/store.py", "flows/campaign/outcome.py", "flows/designs/storage_bits.py")  # fmt: skip
    assert {*files, *both} <= set(imported(*replace(JOB, engine=engine).modules))


def test_the_workload_is_made_while_the_simulator_is_compiled(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = threading.Event()

    def build(spec: EncoderSpec, hooked: str) -> rtl.Built:
        assert made.wait(60)
        return rtl.Built(verilog=hooked, library=Path("model.so"), ports=())

    def make(*_: object, **__: object) -> Workload:
        made.set()
        return workload

    opened: dict[str, object] = {}

    class Engine:
        def __init__(self, workload: Workload, scheme: Scheme, **rest: object) -> None:
            opened.update(workload=workload, scheme=scheme, **rest)

        def close(self) -> None:
            opened["closed"] = True

    monkeypatch.setattr(native, "prepare_native", lambda: None)
    monkeypatch.setattr(rtl, "hooked_chip", lambda *_: "hooked")
    monkeypatch.setattr(rtl, "build_chip", build)
    monkeypatch.setattr(rtl, "RtlEngine", Engine)
    monkeypatch.setattr(module, "make_workload", make)
    module.open_engine(JOB)
    module.close_engines()
    assert opened["workload"] is workload
    assert opened["built"] == rtl.Built(verilog="hooked", library=Path("model.so"), ports=())
    assert opened["closed"]


def test_a_chip_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="a reuse factor of at least 2, got 1"):
        Job(spec=SMALL, scheme=Scheme.SECDED_WORDS, loading=Loading.DIRECT)
    with pytest.raises(ValueError, match="expected direct loading, got guarded"):
        Job(spec=replace(SMALL, reuse=2), scheme=Scheme.SECDED_WORDS, loading=Loading.GUARDED)
    with pytest.raises(ValueError, match="expected engine netlist, got 'rtl'"):
        Job(spec=SMALL, scheme=Scheme.NONE, loading=Loading.DIRECT, clock_gating=True)
    with pytest.raises(ValueError, match="without clock gates only, got reuse 2"):
        Job(
            spec=replace(SMALL, reuse=2), scheme=Scheme.NONE, loading=Loading.DIRECT, engine="netlist",
            clock_gating=True,
        )  # fmt: skip


def test_a_chip_that_is_refused_leaves_no_warning() -> None:
    to_rtlil(StorageCell(width=1, reset=0), "cell")  # from now on Amaranth tells of components that nobody used
    with warnings.catch_warnings(record=True) as result:
        warnings.simplefilter("always")
        with contextlib.suppress(ValueError):
            Job(spec=SMALL, scheme=Scheme.SECDED_WORDS, loading=Loading.DIRECT)
        gc.collect()
    assert [str(warning.message) for warning in result] == []


@pytest.mark.parametrize(
    ("scheme", "loading", "reuse"),
    [(Scheme.SECDED, Loading.GUARDED, 1), (Scheme.SECDED_WORDS, Loading.DIRECT, 2)],
)
def test_stored_values_of_the_reset_image_are_what_reset_leaves(scheme: Scheme, loading: Loading, reuse: int) -> None:
    """Against the reset value of every flip-flop in the generated design, check bits and parity too."""
    spec = replace(SMALL, reuse=reuse)
    shell = chip_shell(spec, scheme, loading, TOP)
    bits = storage_bits(spec, scheme, loading, shell)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "chip.il").write_text(shell)
        run_yosys(f"read_rtlil chip.il\nhierarchy -top {TOP}\nproc\nwrite_rtlil out.il\n", directory=Path(folder))
        modules = parse_rtlil((Path(folder) / "out.il").read_text())
    resets = {}

    def walk(module: str, path: tuple[str, ...]) -> None:
        for cell in modules[module].cells:
            if (inner := cell.type.removeprefix("\\")) in modules:
                walk(inner, (*path, cell.name.removeprefix("\\")))
            elif "dff" in cell.type:
                stored, values = (
                    modules[module].bits(text) for text in (cell.connections["Q"], cell.parameters["ARST_VALUE"])
                )
                for bit, value in zip(stored, values, strict=True):
                    signal, _, number = bit.removeprefix("\\").partition(" [")
                    resets[".".join((*path, signal)), int(number.rstrip("]"))] = value == "1"

    walk(TOP, ())
    stored = stored_values(spec, scheme, loading, reset_image(spec), bits)
    strata = (Stratum.WEIGHT, Stratum.SETTING, Stratum.SHADOW)
    assert stored.keys() == {(bit.path, bit.bit) for bit in bits if bit.stratum in strata}
    assert stored == {target: resets[target] for target in stored}
    assert {False, True} == set(stored.values())


def test_flip_flops_are_found_in_the_chip_that_is_written_anyway(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All of them, in the order of the shell, which has them without the logic between."""
    expected = storage_bits(SMALL, Scheme.SECDED, Loading.DIRECT)
    monkeypatch.setenv("LIQUIDCAL_CACHE", str(tmp_path))
    monkeypatch.delattr(storage, "chip_shell")
    text = rtl.hooked_chip(SMALL, Scheme.SECDED, Loading.DIRECT)
    assert text == rtl.add_hooks(chip_verilog(SMALL, Scheme.SECDED, Loading.DIRECT), TOP, store_clock=True)
    monkeypatch.delattr(storage, "storage_bits")
    assert storage.chip_bits(SMALL, Scheme.SECDED, Loading.DIRECT) == expected


def test_plans_are_exhaustive_where_they_say_so_and_repeat(fake: FakeEngine) -> None:
    plan = make_plan(fake.bits, fake.schedule, fake.nets, seed=3)
    singles = {f.targets[0] for f in plan.faults if f.kind is Kind.FLIP}
    everything = {
        (bit.path, bit.bit) for bit in fake.bits if bit.stratum in (Stratum.WEIGHT, Stratum.SETTING, Stratum.CONTROL)
    }
    assert everything <= singles
    assert plan == make_plan(fake.bits, fake.schedule, fake.nets, seed=3)
    assert plan.digest() != make_plan(fake.bits, fake.schedule, fake.nets, seed=4).digest()
    for limit in (1, 17, 1000):
        assert len(make_plan(fake.bits, fake.schedule, fake.nets, seed=3, limit=limit).faults) <= limit
    nets: dict[str, tuple[Target, ...]] = {"voters": tuple((f"v{i}", 0) for i in range(1500)), "inputs": (("w", 0),)}
    drawn = [
        f for f in make_plan(fake.bits, fake.schedule, fake.nets, samples=nets, seed=3).faults if f.stratum in nets
    ]
    assert {f.kind for f in drawn} == {Kind.TRANSIENT}
    assert len({f.targets for f in drawn if f.stratum == "voters"}) == 1000
    assert [f.targets[0] for f in drawn if f.stratum == "inputs"] == [("w", 0)]
    for limit in (1, 17, 1000):
        assert len(make_plan(fake.bits, fake.schedule, fake.nets, samples=nets, seed=3, limit=limit).faults) <= limit
    with pytest.raises(ValueError, match="at least 1 fault, got 0"):
        make_plan(fake.bits, fake.schedule, fake.nets, seed=3, limit=0)


def test_flips_of_scrubbed_bytes_come_before_their_row_and_doubles_within_one_walk() -> None:
    bits = storage_bits(SMALL, Scheme.TMR_MODULE, Loading.DIRECT)
    schedule = Schedule(first=6, last=3000, rows=30, first_row=0x3B)
    distances = []
    for fault in single_flips(bits, schedule, seed=1):
        assert 6 <= fault.clock <= 3000
        if (row := schedule.scrubbed(fault.targets[0][0])) is not None:
            distances.append((row - fault.clock) % 30)
    assert np.mean(np.array(distances) < 8) > 0.95
    assert max(distances) == 29
    pairs = double_flips(bits, schedule, seed=1, count=400)
    assert len(pairs) == 400
    for fault in pairs:
        (first, bit), (second, other) = fault.targets
        assert first != second
        assert bit == other
        row = schedule.scrubbed(first)
        assert fault.gap <= (0 if row is None else (row - fault.clock) % 30)
    assert double_flips(storage_bits(SMALL, Scheme.NONE, Loading.DIRECT), schedule, seed=1, count=9) == []


@pytest.mark.timeout(900)
def test_the_command_runs_a_campaign_and_its_exit_code_tells(tmp_path: Path) -> None:
    """Unprotected: upsets show, and every fault has an outcome; the second run finds all of them in its ledger."""
    (tmp_path / "small.toml").write_text(SMALL.to_toml())

    def command(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from flows.cli import main; main()", "campaign", str(tmp_path / "small.toml"),
             "--scheme", "none", "--limit", "300", "--workers", "1", "--out", str(tmp_path / "out"), *more],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = command("--json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["campaigns"]
    rows = {row["stratum"]: row for row in result["rows"] if row["kind"] == "flip"}
    assert rows["weight"]["persistent"] == rows["weight"]["faults"]
    assert rows["setting"]["corrupted"] > 0
    assert rows["setting"]["shown_low"] < rows["setting"]["shown"] < rows["setting"]["shown_high"]
    with np.load(tmp_path / "out" / "SMALL" / "campaign-rtl-none-direct-300.npz") as arrays:
        assert len(arrays["effect"]) == result["faults"]
    again = json.loads(command("--json").stdout)["campaigns"][0]
    # when it was made is told, too
    assert again.pop("origin").startswith("liquidcal ")
    assert again == {**{k: v for k, v in result.items() if k != "origin"}, "resumed": result["faults"]}
    for arguments in (("--engine", "keras"), ("--clock-gating",)):
        wrong = command(*arguments)
        assert wrong.returncode == 2
        assert "Traceback" not in wrong.stderr
        assert "netlist" in wrong.stderr


@pytest.mark.timeout(900)
def test_a_cluster_comes_to_the_same_as_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler's workers build engines of their own; the chip is that of the command's test."""
    monkeypatch.setitem(module.CHUNKS, "rtl", 150)
    alone = run_campaign(JOB, tmp_path / "alone", workers=1, limit=400)
    assert len(alone.plan.chunks("rtl")) == 3
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=40
    ) as cluster:
        spread = run_campaign(JOB, tmp_path / "spread", scheduler=cluster.scheduler_address, limit=400)
    assert [result(o) for o in spread.outcomes] == [result(o) for o in alone.outcomes]
    assert {o.effect for o in alone.outcomes} == {Effect.MASKED, Effect.CORRUPTED, Effect.HANG}


def test_a_scheduler_that_does_not_answer_is_told_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "open_engine", lambda _: pytest.fail("built"))
    monkeypatch.setattr(cluster, "ANSWER_TIMEOUT_S", 1)
    with pytest.raises(OSError, match="tcp://127.0.0.1:9"):
        run_campaign(
            Job(spec=SMALL, scheme=Scheme.NONE, loading=Loading.DIRECT), tmp_path, scheduler="tcp://127.0.0.1:9"
        )


def test_a_protected_chip_with_an_upset_that_stays_fails(tmp_path: Path, fake: FakeEngine) -> None:
    found = run_campaign(replace(JOB, scheme=Scheme.TMR_MODULE), tmp_path / "c", workers=1, limit=300)
    assert summarise(found)["uncorrected_single"] > 0
    write_outcomes(found, tmp_path / "o.npz")
    with np.load(tmp_path / "o.npz") as arrays:
        assert (arrays["effect"] == "corrupted").sum() == sum(o.effect is Effect.CORRUPTED for o in found.outcomes)
