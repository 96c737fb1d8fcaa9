"""RTL of networks against the golden model, and whether that bench would notice a wrong design."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flows.designs.catalogue import design, load_design
from flows.designs.generated import FileOptions
from flows.designs.network import NetworkDesign
from flows.formal.protection import prove_single_flips
from flows.formal.solver import Status
from flows.formal.state import cut_state
from flows.simulation.network import NetworkBench, packed, unpacked
from flows.steps.proofs import ProofOptions, prove_design
from flows.steps.synthesis import SYNTHESIS
from flows.tools.verilator import verilator_environment
from flows.verification.network import check_mutants, check_volume, samples
from hw.common.scheme import Scheme
from hw.network.network import PROTECTION, Network
from sim.fixed_point import FixedPoint
from sim.network.example_specs import campaign_spec, every_kind
from sim.network.model import Network as GoldenNetwork
from sim.network.nodes import Dense
from sim.network.spec import NetworkSpec
from sim.network.weights import NetworkWeights
from tests.flows.conftest import quiet


@pytest.mark.parametrize("signed", [True, False])
def test_codes_stand_side_by_side(signed: bool) -> None:
    form = FixedPoint(width=5, fraction=2, signed=signed)
    codes = np.random.default_rng(1).integers(form.min_code, form.max_code + 1, (9, 14))
    words = packed(codes, form)
    assert words.shape == (9, 3)
    for row, line in zip(codes, words, strict=True):
        number = sum(int(word) << (32 * i) for i, word in enumerate(line))
        assert [number >> (5 * i) & 31 for i in range(14)] == [int(code) % 32 for code in row]
    assert np.array_equal(unpacked(words.astype(np.int64), form, 14), codes)


@pytest.mark.parametrize("frozen", [False, True])
def test_every_kind_of_layer_equals_the_golden_model(frozen: bool) -> None:
    spec = every_kind()
    weights = NetworkWeights.random(spec, np.random.default_rng(7))
    bench = NetworkBench(spec, weights if frozen else None)
    check = check_volume(bench, weights, 4000, seed=1)
    assert check.passed, check.detail
    assert check.compared == 4000


@pytest.mark.parametrize("late", [0, 2])
def test_multipliers_that_are_reused_equal_the_golden_model(late: int) -> None:
    """Signed and unsigned inputs, shared and own weights, taps that fill no slot; samples may come later, too."""
    spec, reuse = campaign_spec(), 3
    weights = NetworkWeights.random(spec, np.random.default_rng(7))
    bench = NetworkBench(spec, reuse=reuse)
    # by hand: input register, two layers of a register for inputs, three slots, a register for results
    assert bench.latency == 1 + 2 * (1 + reuse + 1)
    if not late:
        check = check_volume(bench, weights, 2000, seed=1)
        assert check.passed, check.detail
        return
    codes = samples(spec, 50, np.random.default_rng(2))
    words = packed(codes, spec.input)
    period = reuse + late
    with bench.model() as model:
        bench.load(model, weights)
        x = np.zeros((len(codes) * period + bench.latency, words.shape[1]), words.dtype)
        x[: len(codes) * period : period] = words
        start = np.zeros(len(x), np.int64)
        start[: len(codes) * period : period] = 1
        response = model.run({"x": x, "start": start})
    expected = GoldenNetwork(weights).codes(codes)
    valid = np.flatnonzero(response["valid"])
    assert valid.tolist() == (np.arange(len(codes)) * period + bench.latency).tolist()[: len(valid)]
    assert len(valid) >= len(codes) - 1
    for row in (0, period - 1):  # results stay until those of the next sample
        seen = response["y"][valid[:-1] + row]
        found = unpacked(np.stack([seen & 0xFFFF_FFFF, seen >> 32], axis=1), spec.tensors["fc"].form, 2)
        assert np.array_equal(found, expected[: len(found)])


def test_flip_flops_of_reused_multipliers_are_counted() -> None:
    """What a protected network must hold is what its hardware has."""
    for reuse in (1, 3):
        part = Network(spec=campaign_spec(), reuse=reuse)
        assert sum(part.stored_bits.values()) == len(cut_state(part, "CAMPAIGN").bits), reuse


def test_reuse_is_a_variant_of_the_design(tmp_path: Path) -> None:
    """The command line's option, name, period, latency; what has no multipliers refuses it."""
    spec = campaign_spec()
    chosen = design(spec, reuse=2, library="nangate45")
    assert isinstance(chosen, NetworkDesign)
    assert (chosen.name, chosen.options) == ("CAMPAIGN_reuse2", " --reuse 2")
    assert (chosen.period_ns, chosen.latency, chosen.plain.period_ns) == (12.5, 9, 25.0)
    chosen.save(tmp_path / "results")
    assert load_design(tmp_path / "results") == chosen
    with pytest.raises(ValueError, match="reuse: expected 1 to 64, got 65"):
        design(spec, reuse=65)
    NetworkWeights.random(spec, np.random.default_rng(3)).save(tmp_path / "w.npz")
    with pytest.raises(ValueError, match="reuse: expected 1 with frozen weights"):
        NetworkDesign(spec=spec, frozen=str(tmp_path / "w.npz"), factor=2)


def test_kinds_of_dot_products_are_proved_and_constant_layers(tmp_path: Path) -> None:
    """As `liquidcal prove` and ``build(prove=True)`` do; weights that are not the formula's are refuted elsewhere."""
    spec = campaign_spec()
    NetworkWeights.random(spec, np.random.default_rng(3)).save(tmp_path / "w.npz")
    for chosen, about, count in (
        (design(spec, reuse=2), "loadable", 2),  # a convolution of 4 taps and a dense layer of 4
        (NetworkDesign(spec=spec, frozen=str(tmp_path / "w.npz")), "frozen", 4 + 2),
    ):
        journal = quiet()
        prove_design(chosen, tmp_path / about, journal, ProofOptions(about=(about,)))
        assert [(check.passed, check.compared, check.unit) for check in journal.checks] == [(True, count, "proofs")]
    with pytest.raises(ValueError, match="frozen: expected a file of weights of CAMPAIGN"):
        prove_design(design(spec), tmp_path / "none", quiet(), ProofOptions(about=("frozen",)))


def test_mutants_are_killed() -> None:
    check, result = check_mutants(1, 40)
    assert check.passed, check.detail
    assert {mutant.stage.split("_")[0] for mutant in result.mutants} >= {"weighted"}


def test_generated_folder_verifies_itself(tmp_path: Path) -> None:
    """The bench in it needs cocotb and a simulator only: it runs in another process, from another folder."""
    spec = campaign_spec()
    NetworkWeights.random(spec, np.random.default_rng(3)).save(tmp_path / "trained.npz")
    (tmp_path / "campaign.toml").write_text(spec.to_toml())
    chosen = design(str(tmp_path / "campaign.toml"))
    assert isinstance(chosen, NetworkDesign)
    folder = tmp_path / "rtl"
    made = chosen.generate(folder, quiet(), FileOptions(weights=tmp_path / "trained.npz"))
    assert made.latency == json.loads((folder / "design.json").read_text())["latency_clocks"] == 3
    assert {path.name for path in made.files} == {
        "CAMPAIGN.v", "design.json", "ports.csv", "spec.toml", "test_campaign.py", "vectors.csv", "weights.npz",
        "writes.csv",
    }  # fmt: skip
    environment = verilator_environment() | {"PYTHONPATH": ""}
    environment["MAKEFLAGS"] += " OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"  # it runs for less time than it compiles
    command = [sys.executable, str(folder / "test_campaign.py")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with (folder / "vectors.csv").open() as file:
        rows = list(csv.reader(file))
    rows[100][1] = f"{int(rows[100][1], 16) ^ 1:x}"
    (folder / "vectors.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "sample 99, y: expected" in done.stdout
    with pytest.raises(ValueError, match="--seed is for other chips"):
        chosen.generate(folder, quiet(), FileOptions(seed=1))


def test_frozen_designs_know_their_weights(tmp_path: Path) -> None:
    spec = campaign_spec()
    file = tmp_path / "weights.npz"
    NetworkWeights.random(spec, np.random.default_rng(3)).save(file)
    frozen = NetworkDesign(spec=spec, frozen=str(file), library="nangate45")
    assert frozen.name == "CAMPAIGN_FROZEN"
    frozen.save(tmp_path / "results")
    assert load_design(tmp_path / "results") == frozen
    before = frozen.identity()
    NetworkWeights.random(spec, np.random.default_rng(4)).save(file)
    assert frozen.identity() != before
    os.remove(file)
    with pytest.raises(FileNotFoundError, match="frozen: expected a file of weights"):
        NetworkDesign(spec=spec, frozen=str(file))


def test_no_single_flip_of_a_protected_network_is_seen(tmp_path: Path) -> None:
    """Proved over any state and inputs, refuted without protection; every copy is a flip-flop of the netlist."""
    form = FixedPoint(width=2, fraction=0, signed=True)
    result = FixedPoint(width=3, fraction=0, signed=True)
    node = Dense(inputs=("input",), units=1, weight=form, bias=form, accumulator=result, result=result)
    spec = NetworkSpec(name="TINY", input_shape=(2,), input=form, nodes={"fc": node}, outputs=("fc",))
    stored = {"registers": 2 * 2 + 3, "weights": 3 * 2}  # two inputs, a result, two weights and a bias, by hand
    bits = 13
    for scheme, copies, status in ((Scheme.NONE, 1, Status.REFUTED), (Scheme.TMR_REGISTERS, 3, Status.PROVED)):
        part = Network(spec=spec, **PROTECTION[scheme])
        assert part.stored_bits == stored
        assert len(cut_state(part, "tiny").bits) == copies * bits
        assert prove_single_flips(Network(spec=spec, **PROTECTION[scheme]), "tiny").status is status
    protected = design(spec, scheme="tmr_registers", library="nangate45")
    assert protected.name == "TINY_tmr_registers"
    journal = quiet()
    SYNTHESIS(protected, tmp_path, journal)
    assert journal.passed
    (check,) = [check for check in journal.checks if check.unit == "flip-flops"]
    assert check.compared == 3 * bits
    assert load_design(tmp_path) == protected
    weights = NetworkWeights.random(spec, np.random.default_rng(1))
    check = check_volume(NetworkBench(spec, scheme=Scheme.TMR_REGISTERS), weights, 400, seed=1)
    assert check.passed, check.detail
    with pytest.raises(ValueError, match="scheme: expected none or tmr_registers for a network with a write port"):
        design(spec, scheme="secded")
