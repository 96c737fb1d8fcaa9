"""The association chip in the native harness against its golden model, its proofs, and whether mutants are killed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.common.journal import Journal
from flows.common.metrics import write_metrics
from flows.formal.association import loaded_stages, proof_count, prove_association, prove_stage_loaded
from flows.formal.solver import Status
from flows.simulation.association import AssociationBench, chip_words
from flows.verification.association import (
    check_mutants,
    check_volume,
    difference,
    directed,
    make_segment,
    make_stimulus,
    small_conductances,
)
from flows.verification.result import verification_metrics
from sim.lsm_crossbar.association.example_specs import small_binary, small_chip
from sim.lsm_crossbar.association.spec import AssociationSpec
from tests.conftest import long

SEED = 1


@pytest.fixture(scope="module", params=[small_chip(), small_binary()], ids=lambda spec: spec.name)
def bench(request: pytest.FixtureRequest) -> AssociationBench:
    spec: AssociationSpec = request.param
    return AssociationBench(spec, small_conductances(spec, SEED))


def test_loads_reset_status_and_order_of_matches(bench: AssociationBench) -> None:
    with bench.model() as model:
        text = directed(bench.spec, make_stimulus(bench.spec, small_conductances(bench.spec, SEED), SEED, 3), model)
    assert not text


def test_random_projections_and_entries(bench: AssociationBench, tmp_path: Path) -> None:
    check = check_volume(bench, small_conductances(bench.spec, SEED), SEED, 60)
    assert check.passed, check.detail
    assert check.compared >= 60
    journal = Journal()
    journal.check(check)
    # `liquidcal verify` writes its checks as metrics, which refuse units that they do not know
    write_metrics(tmp_path / "metrics.json", verification_metrics(journal, "verify"))


def test_a_wrong_model_is_detected(bench: AssociationBench) -> None:
    """What is compared depends on embeddings, entries, their number, and the clock of every match."""
    spec, most = bench.spec, bench.spec.entries
    segment = make_segment(
        spec, small_conductances(spec, SEED), np.random.default_rng(3), "x", queries=4, used=(most, most)
    )
    got = bench.run(segment.writes, segment.words, segment.samples, segment.used)
    assert difference(got, segment, spec) == (0, "")
    other = replace(
        segment, want=(segment.want[0], replace(segment.want[1], embeddings=segment.want[1].embeddings ^ 1))
    )
    assert "audio query" in difference(got, other, spec)[1]
    other = replace(
        segment, want=(replace(segment.want[0], similarities=segment.want[0].similarities + 2), segment.want[1])
    )
    assert "expected the similarities" in difference(got, other, spec)[1]
    wrong = (segment.want[0].entries + 1) % most
    other = replace(segment, want=(replace(segment.want[0], entries=wrong), segment.want[1]))
    assert "expected entry" in difference(got, other, spec)[1]
    late = replace(got, match_clocks=got.match_clocks + 1)
    assert "matches as (modality, clock)" in difference(late, segment, spec)[1]
    assert difference(got, replace(segment, used=(most, 1)), spec)[0]


@pytest.mark.parametrize("spec", [small_chip(), small_binary()], ids=lambda spec: spec.name)
def test_proofs(spec: AssociationSpec) -> None:
    proofs = list(prove_association(spec))
    assert len(proofs) == proof_count(spec) == 4
    assert [proof.status for proof in proofs] == [Status.PROVED] * 4


def test_reset_values_of_what_is_loaded_first_do_not_matter() -> None:
    spec = small_chip()
    for stage in loaded_stages(spec):
        proof = prove_stage_loaded(spec, stage)
        assert proof.status is Status.PROVED, f"{proof.name}: {proof.counterexample}"
    assert not loaded_stages(small_binary())


@long
def test_mutants_are_killed() -> None:
    check, _ = check_mutants(small_chip(), SEED, 80)
    assert check.passed, check.detail


def test_words_refuse_spikes_of_another_width() -> None:
    spec = small_chip()
    with pytest.raises(ValueError, match=r"expected the shape \(steps, 7\)"):
        chip_words(spec, [(1, np.zeros((6, 20), bool))])
