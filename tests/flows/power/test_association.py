"""A small mapped association chip between its macros and memories, against the golden model, by sight and by sound."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.designs.catalogue import design
from flows.netlist.gate_simulation import GateSimulator
from flows.physical.mapped import Mapped
from flows.power.association import load_settings, match_due, queried
from flows.power.measure import measure_power
from flows.power.run import PowerOptions
from flows.stimulus.queries import QueryStimulus, query_stimulus
from flows.synthesis.synthesise import synthesise
from hw.common.export import to_rtlil
from sim.lsm_crossbar.association.example_specs import small_chip
from sim.lsm_crossbar.association.spec import MODALITIES
from sim.lsm_crossbar.association.timing import match_clocks
from tests.flows.conftest import library_or_skip

SPEC = small_chip()


@pytest.fixture(scope="module")
def mapped(tmp_path_factory: pytest.TempPathFactory) -> Mapped:
    folder = tmp_path_factory.mktemp("report") / SPEC.name
    folder.mkdir()
    library = library_or_skip("nangate45")
    rtlil = to_rtlil(design(SPEC).component(), SPEC.name)
    synthesise(rtlil, top=SPEC.name, library=library, out_dir=folder / "synthesis")
    return Mapped(folder=folder)


def loaded(mapped: Mapped, stimulus: QueryStimulus) -> GateSimulator:
    simulator = GateSimulator(mapped.netlist, mapped.library, words=1)
    load_settings(simulator, stimulus)
    return simulator


def test_power_by_modality(mapped: Mapped) -> None:
    """Every value agrees; the liquid that is asked toggles, the other does not; both sum to the whole."""
    switching = {}
    for modality in MODALITIES:
        options = PowerOptions(modality=modality, recordings=5, glitch_clocks=0)
        summary, result, _ = measure_power(mapped, design(SPEC), options, into=f"power_{modality}")
        # of each stream at least one query: its components, similarities and entry
        assert result["words_compared"] >= 5 * (SPEC.dimensions + SPEC.entries + 1)
        assert result["clocks_per_inference"] > match_clocks(SPEC, SPEC.entries)
        assert result["energy_per_inference_pj"] == pytest.approx(
            sum(sum(kinds.values()) for kinds in result["stages_uw"].values()) * 1e-3
            * result["period_ns"] * result["clocks_per_inference"]
            + result["power_uw"]["clock_tree"] * 1e-3 * result["period_ns"] * result["clocks_per_inference"]
        )  # fmt: skip
        switching[modality] = {
            own: sum(row["switching"] for name, row in summary.stages.items() if name.startswith(f"{own}."))
            for own in MODALITIES
        }
        assert (mapped.folder / f"power_{modality}" / "power.json").is_file()
    for modality, other in (MODALITIES, MODALITIES[::-1]):
        assert switching[modality][modality] > 10 * switching[modality][other]
    with pytest.raises(ValueError, match="expected vision or audio"):
        measure_power(mapped, design(SPEC), PowerOptions(modality="touch"))


def test_a_wrong_entry_of_the_memory_is_detected(mapped: Mapped) -> None:
    stimulus = query_stimulus(SPEC, 1, queries=3)
    simulator = loaded(mapped, stimulus)
    other = replace(stimulus, entries=(stimulus.entries[0][::-1], stimulus.entries[1]))
    assert (stimulus.golden.similarities != other.golden.similarities).any()
    other.__dict__["golden"] = stimulus.golden
    with pytest.raises(ValueError, match=r"similarities \d+, clock \d+: the netlist gives"):
        queried(simulator, other)


def test_the_clock_of_a_match_depends_on_the_entries() -> None:
    """Half of the entries: as many clocks less as the model of timing says."""
    stimulus = query_stimulus(SPEC, 0, queries=2)
    few = replace(stimulus, entries=(stimulus.entries[0], stimulus.entries[1][:3]))
    saved = match_due(stimulus) - match_due(few)
    assert np.all(saved == match_clocks(SPEC, SPEC.entries) - match_clocks(SPEC, 3))


def test_a_model_of_another_chip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such model file"):
        query_stimulus(SPEC, 0, queries=1, weights=tmp_path / "none.npz")
