"""Stored results are what the code gives today, wherever that is cheap to find out.

The area of all of ECON_T takes a minute or two: it is measured again when anything has changed that it is made from,
which `MEASURED` says. A stage of it is measured every time.
`python -m benchmarks.comparison --measure` runs everything again.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.comparison import PUBLISHED_VECTORS
from flows.common.content_cache import code_hash, content_key, module_file, tool_versions
from flows.common.metrics import find, read_metrics
from flows.designs import mapping
from flows.designs.catalogue import design
from flows.designs.mapping import map_design
from flows.formal import crossbar as crossbar_proofs
from flows.formal import encoder as encoder_proofs
from flows.synthesis.synthesise import synthesise
from hw.common.export import to_rtlil
from hw.hgcal_encoder.encoder import Encoder
from hw.hgcal_encoder.schedule import Schedule
from hw.hgcal_encoder.words import Words
from sim.hgcal_encoder.files.vectors import read_frames
from sim.hgcal_encoder.spec import ECON_T
from sim.lsm_crossbar.spec import N_MNIST
from tests.conftest import REPOSITORY, long
from tests.flows.conftest import library_or_skip
from tests.flows.shared_netlists import asked

AREA = "design__instance__area"
COUNTS = ("design__instance__count", "design__instance__count__class:flip_flop")
MEASURED = "771a1bf25b8683d26c01cc695f43bf69172ac1de2c79969933a47a8a9679d793"
"""What `area_ECON_T.json` was measured on, and its figures: hardware, library, recipe, code and tools, by content.

With any other key the whole encoder is synthesised, which takes CI two minutes more until the new key stands here."""
RESULTS = REPOSITORY / "benchmarks" / "results"


def stored(file: str, name: str) -> float:
    value = find(read_metrics(RESULTS / f"{file}.json"), name).value
    assert not isinstance(value, str)
    return value


@pytest.mark.parametrize("reuse", [1, 4, 8, 16])
def test_latency_and_multipliers_by_reuse(reuse: int) -> None:
    spec = replace(ECON_T, reuse=reuse)
    assert Encoder(spec=spec).latency == stored("reuse", f"design__latency__case:reuse_{reuse}")
    multipliers = Schedule(spec=spec).multipliers if reuse > 1 else spec.multiplies
    assert multipliers == stored("reuse", f"design__multiplier__count__case:reuse_{reuse}")


def test_proofs_that_are_counted() -> None:
    name = "verification__compared__check:proofs__spec:"
    assert encoder_proofs.proof_count(ECON_T) == stored("verification", f"{name}ECON_T")
    assert crossbar_proofs.proof_count(N_MNIST) == stored("verification_N_MNIST", f"{name}N_MNIST")


def test_weight_bits() -> None:
    assert ECON_T.weight_bits == stored("sensitivity", "weight__bits")


def test_published_crossings_that_are_counted(econt_vectors: Path) -> None:
    """All that are published; that the model reproduces them is shown in tests/sim."""
    frames = read_frames(econt_vectors / "AE" / "testOutput_bx0000-1781.csv")
    assert len(frames) == stored("verification", PUBLISHED_VECTORS)


def test_area_of_a_stage(tmp_path: Path) -> None:
    """The smallest stage, synthesised alone; larger ones gain from what surrounds them in the whole encoder."""
    name = "ECON_T_words"
    result = synthesise(
        to_rtlil(Words(spec=ECON_T), name), top=name, library=library_or_skip("nangate45"), out_dir=tmp_path
    )
    assert result.area_um2 == pytest.approx(stored("area_ECON_T", f"design__instance__area__module:{name}"), rel=1e-9)


@long
@pytest.mark.timeout(900)
def test_area_of_the_whole_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the recipe and at the clock of the design, as `liquidcal synth` maps it."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(mapping, "synthesise", lambda source, **options: calls.append({"source": source} | options))
    map_design(design(ECON_T), library_or_skip("nangate45"), tmp_path)
    (call,) = calls
    key = content_key(
        asked=asked(**call), code=code_hash(module_file("flows.synthesis.synthesise")),
        tools=tool_versions("amaranth", "lln-libparse", "pyosys"),
        figures={name: stored("area_ECON_T", name) for name in (*COUNTS, AREA)},
    )  # fmt: skip
    if key == MEASURED:
        return
    result = synthesise(**call)
    for name in COUNTS:
        assert result.values[name] == stored("area_ECON_T", name), name
    assert result.area_um2 == pytest.approx(stored("area_ECON_T", AREA), rel=1e-9)
    warnings.warn(f"the area of ECON_T was measured and is the stored one: MEASURED is {key} now", stacklevel=1)
