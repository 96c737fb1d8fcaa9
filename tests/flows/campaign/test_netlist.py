"""The netlist engine on a small chip: single upsets are corrected, broken variants are found, double flips show."""

import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from flows.campaign import campaign, netlist
from flows.campaign.campaign import Job
from flows.campaign.engine import RESET, EngineError
from flows.campaign.faults import Fault, Kind, double_flips, single_flips, transients
from flows.campaign.netlist import ChipNetlist, NetlistEngine, map_chip
from flows.campaign.outcome import Effect, Outcome, uncorrected
from flows.campaign.workload import Workload, make_workload
from flows.common.journal import Journal
from flows.designs.encoder import EncoderDesign
from flows.designs.storage_bits import StorageBit, Stratum, chip_bits
from flows.netlist.netlist import CellGroup, Netlist
from flows.physical.mapped import Mapped
from flows.steps.synthesis import synthesise_design
from flows.synthesis.recipe import Recipe
from hw.common.scheme import Scheme
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.spec import ECON_T
from tests.flows.conftest import library_or_skip
from tests.specs import MINI

SPEC = replace(ECON_T, name="TINY", filters=1, latents=1)
"""All 48 cells with their settings, and 27 weights."""
DESIGN = EncoderDesign(spec=SPEC, scheme=Scheme.TMR_MODULE, loading=Loading.DIRECT)
QUICK = Recipe(name="quick", abc=("strash", "&get -n", "&nf", "&put"))
CROSSINGS = 420
"""Of the workload: three walks of the scrubber."""


@pytest.fixture(scope="module")
def workload() -> Workload:
    whole = make_workload(SPEC, Loading.DIRECT, seed=3)
    part = slice(0, CROSSINGS)
    return replace(
        whole, words=whole.words[part], scl=whole.scl[part], sda=whole.sda[part], frames=whole.frames[part],
        reads=(), acknowledged=whole.acknowledged[whole.acknowledged < CROSSINGS],
    )  # fmt: skip


@pytest.fixture(scope="module")
def bits() -> tuple[StorageBit, ...]:
    return chip_bits(SPEC, Scheme.TMR_MODULE, Loading.DIRECT)


@pytest.fixture(scope="module")
def chip() -> ChipNetlist:
    library = library_or_skip("nangate45")
    return ChipNetlist.load(map_chip(DESIGN, library, recipe=QUICK))


@pytest.fixture(scope="module")
def engine(workload: Workload, chip: ChipNetlist, bits: tuple[StorageBit, ...]) -> NetlistEngine:
    return NetlistEngine(workload, Scheme.TMR_MODULE, chip=chip, bits=bits, words=4, keep_frames=True)


def flips(bits: Sequence[StorageBit], prefix: str, clock: int, stratum: str = "") -> list[Fault]:
    """A flip of every bit below a path."""
    return [
        Fault(kind=Kind.FLIP, targets=((bit.path, bit.bit),), stratum=stratum or str(bit.stratum), clock=clock)
        for bit in bits
        if bit.path.startswith(prefix)
    ]


@pytest.mark.usefixtures("shared_netlists")
@pytest.mark.parametrize("reuse", [1, 2])
def test_a_campaign_has_the_netlist_that_synthesis_makes(reuse: int, tmp_path: Path) -> None:
    """Whatever the design's recipe and clock: area, timing and power are of the netlist that gets the faults.

    Both ask for the same synthesis, word by word, or get netlists of their own, which would differ.
    """
    library = library_or_skip("nangate45")
    design = EncoderDesign(spec=replace(MINI, reuse=reuse), scheme=Scheme.NONE, loading=Loading.DIRECT)
    synthesise_design(design, tmp_path, Journal(console=Console(file=io.StringIO())))
    mapped = Mapped(folder=tmp_path)
    assert ChipNetlist.load(map_chip(design, library)).digest == mapped.netlist_sha256
    recipe = json.loads((tmp_path / "synthesis" / "modules.json").read_text())["recipe"]
    assert recipe["name"] == design.recipe.name == ("area" if reuse == 1 else "buffered")
    with pytest.raises(ValueError, match="MINI is no whole chip"):
        map_chip(EncoderDesign(spec=MINI), library)


def test_every_flip_flop_has_its_name(chip: ChipNetlist, bits: tuple[StorageBit, ...]) -> None:
    cells = [chip.names[bit.path, bit.bit] for bit in bits]
    assert len(set(cells)) == len(bits) == len(set(chip.names.values()))


def test_single_flips_are_corrected(engine: NetlistEngine, bits: tuple[StorageBit, ...]) -> None:
    counts: dict[Stratum, int | None] = {
        Stratum.WEIGHT: 150, Stratum.SETTING: 200, Stratum.DATA_PATH: 200, Stratum.CONTROL: 100, Stratum.COUNTER: 40
    }  # fmt: skip
    faults = single_flips(bits, engine.schedule, seed=1, counts=counts)
    outcomes = engine.run(faults)
    assert [o.number for o in outcomes] == list(range(len(faults)))
    assert uncorrected(outcomes) == []
    by_stratum = Counter((f.stratum, o.effect) for f, o in zip(faults, outcomes, strict=True))
    # every flip is counted: copies are compared at every clock, or when the scrubber comes by
    assert by_stratum == {(str(s), Effect.CORRECTED): n for s, n in counts.items()}
    for fault, outcome in zip(faults, outcomes, strict=True):
        row = engine.schedule.scrubbed(fault.targets[0][0])
        # gone at the clock in which its row is scrubbed, or at once
        expected = 1 if row is None else (row - fault.clock) % engine.schedule.rows + 1
        assert outcome.watched == expected


def test_two_copies_at_once_win_the_vote(engine: NetlistEngine, bits: tuple[StorageBit, ...]) -> None:
    faults = double_flips(bits, engine.schedule, seed=2, count=200)
    outcomes = engine.run(faults)
    assert all(o.persistent for f, o in zip(faults, outcomes, strict=True) if f.stratum == Stratum.WEIGHT)
    assert Counter(o.effect for o in outcomes)[Effect.CORRUPTED] > 10


def test_a_corrupted_weight_gives_the_frames_of_the_flipped_image(
    engine: NetlistEngine, bits: tuple[StorageBit, ...]
) -> None:
    """Two copies of the sign of a dense bias: the netlist now computes with another weight, and so does the model."""
    width, clock = SPEC.weight.width, 40
    place = SPEC.weight_bits - 1
    block_bytes = math.ceil(math.ceil(SPEC.weight_bits / 8) / 12)
    block, byte = divmod(place // 8, block_bytes)
    address = 0x0538 + 143 * block + byte
    paths = [f"registers_{copy}.byte_{address:04x}.raw" for copy in (0, 1)]
    assert {bit.path for bit in bits} >= set(paths)
    fault = Fault(
        kind=Kind.DOUBLE, targets=tuple((path, place % 8) for path in paths), stratum="weight", clock=clock, gap=0
    )  # fmt: skip
    (outcome,) = engine.run([fault])
    codes = engine.workload.weights.to_codes()
    codes[-1] = SPEC.weight.fit(np.array([codes[-1] ^ 1 << (width - 1)]))[0]
    other = type(engine.workload.weights).from_codes(codes, SPEC)
    frames = Encoder(SPEC, other, engine.workload.settings).frames(engine.workload.words)
    wrong = np.flatnonzero((frames != engine.workload.frames).any(axis=1))
    seen = wrong[(wrong >= outcome.first_wrong) & (wrong <= outcome.last_wrong)]
    assert outcome.effect is Effect.CORRUPTED
    assert outcome.persistent
    assert outcome.wrong_crossings == len(seen) > 5
    # the crossing in which it was injected still was before the dense layer
    assert clock - engine.latency <= outcome.first_wrong <= clock
    assert outcome.frames is not None
    np.testing.assert_array_equal(outcome.frames, frames[seen])


def test_transients_and_reset(engine: NetlistEngine) -> None:
    kinds = engine.transient_nets
    assert {"inputs", "control outputs", "voters", "control logic", "store logic", "data path"} <= kinds.keys()
    voters = transients(kinds["voters"][:40], engine.schedule, seed=4, stratum="voters", repeats=1)
    outputs = transients(kinds["control outputs"], engine.schedule, seed=4, stratum="control outputs", repeats=1)
    path = transients(kinds["data path"][::400], engine.schedule, seed=4, stratum="data path", repeats=1)
    (reset,) = transients([RESET], engine.schedule, seed=4, stratum="reset", repeats=1)
    outcomes = engine.run([*voters, *outputs, *path, reset])
    # one tree of reset: everything is cleared, frames stop
    assert outcomes[-1].effect is Effect.HANG
    assert outcomes[-1].persistent
    # control is there three times: what one copy puts out for a clock stays in its file
    result = zip(outputs, outcomes[len(voters) :], strict=False)
    assert uncorrected(o for fault, o in result if "run" not in fault.targets[0][0]) == []
    # logic of the data path is there once: wrong frames of the crossings inside, and nothing stays
    inside = outcomes[len(voters) + len(outputs) : -1]
    assert any(o.effect is Effect.CORRUPTED for o in inside)
    for outcome in (o for o in inside if o.persistent or o.wrong_crossings > 2):
        # the crossing counter goes on from a wrong value until the next orbit: its logic is there once, nothing else is
        assert outcome.frames is not None
        golden = engine.workload.frames[outcome.first_wrong : outcome.last_wrong + 1]
        change = outcome.frames ^ golden
        assert not change[:, 1:].any()
        assert not (change[:, 0] & np.uint32(0x07FF_FFFF)).any()


def rewired(netlist: Netlist, changes: Mapping[int, int]) -> Netlist:
    """A netlist in which every cell that reads one net reads another: a chip that is broken on purpose.

    Parameters
    ----------
    netlist : Netlist
    changes : mapping of int to int
        Net that is read instead, by net; 0 and 1 are the constants.
    """
    other = np.arange(netlist.nets, dtype=np.int32)
    for net, instead in changes.items():
        other[net] = instead
    outputs = {"Q", "QN", "Z", "ZN", "CO", "S"}
    groups = {}
    for name, group in netlist.groups.items():
        nets = group.nets.copy()
        for column, pin in enumerate(group.pins):
            # S is an output of adders and the select input of multiplexers
            drives = pin in outputs and not (pin == "S" and name.startswith("MUX"))
            if not drives:
                used = nets[:, column] >= 0
                nets[used, column] = other[nets[used, column]]
        groups[name] = CellGroup(type=group.type, pins=group.pins, cells=group.cells, nets=nets)
    return replace(netlist, groups=groups)


def broken(chip: ChipNetlist, changes: Mapping[int, int]) -> ChipNetlist:
    """The chip with nets read in place of others: see `rewired`."""
    return ChipNetlist(rewired(chip.netlist, changes), chip.library, chip.names)


def net(chip: ChipNetlist, path: str) -> np.ndarray:
    """Nets of a signal by its path in the hierarchy."""
    scope, _, name = path.rpartition(".")
    (instance,) = (i for i in chip.netlist.instances if ".".join(i.path) == scope)
    return instance.names[name]


def outcomes_of(chip: ChipNetlist, engine: NetlistEngine, faults: Sequence[Fault]) -> Sequence[Outcome]:
    """Of a broken chip: without fault it works as every other."""
    other = NetlistEngine(engine.workload, Scheme.TMR_MODULE, chip=chip, bits=engine.bits, words=4)
    return other.run(faults)


def test_a_removed_voter_is_found(engine: NetlistEngine, chip: ChipNetlist) -> None:
    name = "dense_latents_register"
    voted, copy = net(chip, f"{name}.o"), net(chip, f"{name}.replica_0.o")
    faults = flips(engine.bits, f"{name}.replica_0", 50)
    assert uncorrected(engine.run(faults)) == []
    without = broken(chip, dict(zip(voted.tolist(), copy.tolist(), strict=True)))
    found = uncorrected(outcomes_of(without, engine, faults))
    assert len(found) == len(faults) > 5


def test_merged_replicas_are_found(engine: NetlistEngine, chip: ChipNetlist) -> None:
    first = net(chip, "registers_0.raw").tolist()
    merged = {
        other: one
        for copy in (1, 2)
        for one, other in zip(first, net(chip, f"registers_{copy}.raw").tolist(), strict=True)
    }
    faults = flips(engine.bits, "registers_0.byte_053", 50)
    found = uncorrected(outcomes_of(broken(chip, merged), engine, faults))
    assert len(found) == len(faults) > 10
    assert all(o.persistent for o in found)


def test_a_scrubber_that_is_off_is_found(engine: NetlistEngine, chip: ChipNetlist) -> None:
    still = {number: 0 for copy in range(3) for number in net(chip, f"control_{copy}.scrub_row").tolist()}
    faults = flips(engine.bits, "registers_1.byte_053", 50)
    found = uncorrected(outcomes_of(broken(chip, still), engine, faults))
    assert len(found) == len(faults) > 10
    assert all(o.persistent and o.effect is not Effect.CORRUPTED for o in found)


def test_a_chip_that_is_wrong_without_fault_judges_nothing(engine: NetlistEngine, chip: ChipNetlist) -> None:
    frames = chip.netlist.ports["frames"].nets
    latent = net(chip, "dense_latents_register.o")
    assert len(frames) > len(latent)
    with pytest.raises(EngineError, match="differs from the golden model"):
        outcomes_of(broken(chip, {int(latent[0]): 1}), engine, [])


def test_bad_targets_are_named(engine: NetlistEngine) -> None:
    bad = Fault(kind=Kind.FLIP, targets=(("registers_0.byte_ffff.raw", 1),), stratum="weight", clock=10)
    with pytest.raises(ValueError, match="fault 0: the netlist has no flip-flop 'registers_0.byte_ffff.raw', bit 1"):
        engine.run([bad])
    with pytest.raises(ValueError, match="no net 'nothing'"):
        engine.run([Fault(kind=Kind.TRANSIENT, targets=(("nothing", 0),), stratum="control", clock=10)])
    late = replace(bad, targets=((engine.bits[0].path, engine.bits[0].bit),), clock=CROSSINGS)
    with pytest.raises(ValueError, match=f"injected at crossing {CROSSINGS}, the workload has {CROSSINGS}"):
        engine.run([late])


def test_few_lanes_and_many_come_to_the_same(engine: NetlistEngine, workload: Workload) -> None:
    """Many are narrowed to one word when the last faults are watched; one word never is."""
    faults = double_flips(engine.bits, engine.schedule, seed=4, count=120)
    nets = engine.transient_nets
    for kind in ("control logic", "data path", "voters"):
        faults += transients(nets[kind][::200], engine.schedule, seed=4, stratum=kind, repeats=1)
    narrow = NetlistEngine(workload, engine.scheme, chip=engine.chip, bits=engine.bits, words=1)
    found = engine.run(faults)
    assert sum(outcome.persistent for outcome in found) > 20
    for many, few in zip(found, narrow.run(faults), strict=True):
        assert vars(replace(many, frames=None)) == vars(few)


GATED = {Scheme.SECDED: "registers.byte_0538.replica", Scheme.TMR_REGISTERS: "registers.byte_0538.replica_1"}
"""Schemes whose stores are clocked when they change, and flip-flops of a byte of weights with one clock gate."""


@pytest.fixture(scope="module", params=GATED, ids=str)
def gated(request: pytest.FixtureRequest, workload: Workload) -> NetlistEngine:
    """A chip whose flip-flops with an enable have clock gates; one of them has latches in front of its layers, too."""
    library = library_or_skip("nangate45")
    isolation = request.param is Scheme.SECDED
    design = replace(DESIGN, scheme=request.param, clock_gating=True, isolation=isolation)
    folder = map_chip(design, library, recipe=QUICK)
    return NetlistEngine(workload, request.param, chip=ChipNetlist.load(folder), words=4)


@pytest.mark.timeout(600)
def test_flips_after_clock_gates_are_corrected(gated: NetlistEngine) -> None:
    """A gate opens for the correction: in the clock of the flip, or when the scrubber comes."""
    counts: dict[Stratum, int | None] = {Stratum.WEIGHT: 100, Stratum.SETTING: 200, Stratum.DATA_PATH: 100}
    faults = single_flips(gated.bits, gated.schedule, seed=1, counts=counts)
    outcomes = gated.run(faults)
    assert {o.effect for o in outcomes} == {Effect.CORRECTED}
    for fault, outcome in zip(faults, outcomes, strict=True):
        row = gated.schedule.scrubbed(fault.targets[0][0])
        assert outcome.watched == (1 if row is None else (row - fault.clock) % gated.schedule.rows + 1)
        assert not outcome.persistent


def test_a_campaign_runs_on_the_netlist_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Asked:
        def __init__(self, *_: object, clock_gating: bool, **__: object) -> None:
            asked.append(clock_gating)

        def close(self) -> None: ...

    campaign.close_engines()
    monkeypatch.setattr(netlist, "NetlistEngine", Asked)
    for clock_gating in (False, True):
        job = Job(
            spec=SPEC, scheme=Scheme.SECDED, loading=Loading.DIRECT, engine="netlist", clock_gating=clock_gating
        )  # fmt: skip
        campaign.open_engine(job)
    campaign.close_engines()
    assert asked == [False, True]


def test_a_clock_too_many_changes_nothing(gated: NetlistEngine) -> None:
    """Nothing is written or wrong: a gate that opens stores what is stored."""
    gates = gated.transient_nets["clock gates"]
    cells = library_or_skip("nangate45").cells
    count = dict.fromkeys(("latch", "clock_gate"), 0)
    for group in gated.chip.netlist.groups.values():
        if (kind := cells[group.type].kind) in count:
            count[kind] += len(group.cells)
    assert (count["latch"] > 0) == (gated.scheme is Scheme.SECDED)
    # gates of one byte in three copies share an enable
    assert count["clock_gate"] // 3 <= len(gates) <= count["clock_gate"]
    assert {target[0].partition(".")[0] for target in gates} <= {"registers", "control"}
    chosen = gates[:: max(1, len(gates) // 60)]
    outcomes = gated.run(transients(chosen, gated.schedule, seed=6, stratum="clock gates", repeats=1))
    assert {(o.effect, o.persistent, o.watched) for o in outcomes} == {(Effect.MASKED, False, 1)}


def test_a_gate_that_stays_shut_is_found(gated: NetlistEngine) -> None:
    path = GATED[gated.scheme]
    (enable,) = net(gated.chip, f"{path}.enable").tolist()
    faults = flips(gated.bits, f"{path}.", 50)
    assert uncorrected(gated.run(faults)) == []
    shut = broken(gated.chip, {enable: 0})
    outcomes = NetlistEngine(gated.workload, gated.scheme, chip=shut, bits=gated.bits, words=4).run(faults)
    assert len(outcomes) == {Scheme.SECDED: 13, Scheme.TMR_REGISTERS: 8}[gated.scheme]
    assert all(o.persistent for o in outcomes)
