"""The whole concentrator in native simulation: every published vector, random settings, link resets, what does not
toggle. One build serves all."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from flows.simulation.concentrator import ConcentratorBench, ConcentratorVerilog, concentrator_verilog, stream
from flows.verification.concentrator import check_volume
from sim.hgcal_encoder.algorithms.concentrator_model import (
    ConcentratorModel,
    ConcentratorSettings,
    load_concentrator_settings,
)
from sim.hgcal_encoder.algorithms.output_buffer import BufferThresholds
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, AlgorithmNumber
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.words import pack
from tests.specs import OTHER_RULES

pytestmark = pytest.mark.timeout(1800)
SPEC = ECON_T_PRODUCTION
PROBES = {
    "cell_codes": ("core.cell_codes.charges", 1056, {0, 2, 3}),
    "threshold_sum": ("core.threshold_sum.charges", 1056, {0}),
    "super_trigger_cells": ("core.super_trigger_cells.charges", 1056, {1}),
    "best_choice": ("core.best_choice.dropped", 864, {2}),
    "sorter_behind_cut": ("core.best_choice.merge_exchange.ordered", 864, {2}),
    "cell_packer": ("core.formatter.cell_packer.codes", 336, {0, 2}),
    "normalise": ("core.autoencoder.charges", 1056, {4}),
    "convolution": ("core.autoencoder.convolution.pixels", 384, {4}),
    "dense": ("core.autoencoder.dense.activations", 1024, {4}),
}
"""Inputs of the logic of each algorithm: net, bits, and the algorithms that use it."""
SETS = sorted(
    (f"{kind}{name}", kind)
    for kind, names in {
        "": ("AE", "BC_13eTx", "BC_1eTx", "BC_5eTx", "BC_8eTx_FullSum", "RPT_13eTx", "STC_type0_eTx4",
             "STC_type1_eTx2", "STC_type2_eTx3", "STC_type3_eTx3", "TS_Thr47_13eTx", "TS_Thr47_2eTx_MRL",
             "TS_Thr47_5eTx_MRL", "TS_Thr47_9eTx_MRL"),
        "alignment/": ("BC_5eTx",),
        "counterPatternInTC_MRLBuf/": ("TS_Thr5_HDM_1eTx_MRL12_T124_noT2T3", "TS_Thr5_HDM_7eTx_MRL12_T1168_noT2T3"),
        "counterPatternInTC_by2/": ("RPT_CAL_555", "RPT_LDM", "RPT_MUX_7"),
        "randomPatternExpInTC/": ("BC_5eTx", "TS_Thr10"),
    }.items()
    for name in names
)  # fmt: skip
"""All shared sets, each with the folder of its words. None of their frames is faulty."""


@pytest.fixture(scope="module")
def bench() -> ConcentratorBench:
    """The chip with a port for each probe."""
    design = concentrator_verilog(SPEC)
    head = re.search(rf"^module {SPEC.name}\(", design.verilog, re.M)
    assert head is not None
    ports = "".join(f"probe_{name}, " for name in PROBES)
    text = "".join(
        f"  output [{bits - 1}:0] probe_{name};\n  assign probe_{name} = {net};\n"
        for name, (net, bits, _) in PROBES.items()
    )
    end = design.verilog.index(");\n", head.end()) + 3
    verilog = design.verilog[: head.end()] + ports + design.verilog[head.end() : end] + text + design.verilog[end:]
    return ConcentratorBench(replace(design, verilog=verilog))


@pytest.mark.parametrize(("name", "words"), SETS)
def test_every_published_frame(name: str, words: str, bench: ConcentratorBench, econt_vectors: Path) -> None:
    folder = econt_vectors / name
    given = read_words(econt_vectors / words / "testInput_bx0000-1781.csv")
    expected = read_frames(folder / "testOutput_bx0000-1781.csv")
    assert expected.shape == (1782, 13)
    settings = load_concentrator_settings(folder / "init.yaml", SPEC)
    assert_array_equal(bench.frames(given, settings.registers(SPEC)), expected)
    assert_array_equal(ConcentratorModel(SPEC, settings).frames(given), expected)


def test_every_set_is_in_the_list(econt_vectors: Path) -> None:
    found = {str(path.parent.relative_to(econt_vectors)) for path in econt_vectors.rglob("init.yaml")}
    assert {name for name, _ in SETS} == found


def test_random_settings(bench: ConcentratorBench) -> None:
    check = check_volume(bench, 7, 30 * 512)
    assert check.passed, check.detail


def test_link_reset_words_are_those_that_users_look_for(bench: ConcentratorBench, econt_vectors: Path) -> None:
    """f922f922 at crossing 0, then 0922 with the counter of the crossing, on all active links: as LinkAligner.cc of
    cmantill/econt_sw expects them. With T1 = 24 n they come once the packets that waited have left."""
    settings = load_concentrator_settings(econt_vectors / "TS_Thr47_5eTx_MRL" / "init.yaml", SPEC)
    words = read_words(econt_vectors / "testInput_bx0000-1781.csv")[:400]
    bx = (3564 - 60 + np.arange(400)) % 3564
    reset = (np.arange(400) >= 100) & (np.arange(400) < 356)
    with bench.model() as model:
        bench.load(model, settings.registers(SPEC))
        frames = stream(model, bench.design.latencies[0], words, bx, link_reset=reset)
    # 12 crossings at most wait in front; then 10 words of each crossing, which may be sent in two
    sent = frames[113:356, :5]
    halves = np.stack([sent >> 16, sent & 0xFFFF], axis=2).reshape(-1)
    assert (halves & 0x7FF == 0x122).all()
    starts = np.flatnonzero(np.diff(halves)) + 1
    assert (np.diff(starts) == 10).all()
    counters = np.where(bx == 0, 31, bx % 16)
    assert any((halves[starts] >> 11 == counters[row : row + len(starts)]).all() for row in range(100, 114))
    assert (frames[:, 5:] == 0).all()
    settings = load_concentrator_settings(econt_vectors / "BC_5eTx" / "init.yaml", SPEC)
    with bench.model() as model:
        bench.load(model, settings.registers(SPEC))
        frames = stream(model, bench.design.latencies[2], words, bx, link_reset=np.ones(400, bool))
    assert (frames[60, :5] == 0xF922F922).all()
    assert (frames[61, :5] == 0x09220922).all()


def test_an_algorithm_that_is_not_selected_does_not_toggle(bench: ConcentratorBench, econt_vectors: Path) -> None:
    """Toggles at the inputs of the logic of each algorithm while another one is selected: none."""
    words = np.random.default_rng(3).integers(0, 1 << 28, (300, 12))
    settings = load_concentrator_settings(econt_vectors / "AE" / "init.yaml", SPEC)
    for number in AlgorithmNumber:
        with bench.model() as model:
            bench.load(model, replace(settings, alg_type=int(number)).registers(SPEC))
            model.run({"words": words, "bx": np.arange(300), "run": 1})
            seen = model.run({"words": words[::-1], "bx": np.arange(300), "run": 1})
        for name, (_, _, users) in PROBES.items():
            rows = np.asarray(seen[f"probe_{name}"], np.int64).reshape(300, -1)
            toggles = sum(int(word).bit_count() for word in (rows[1:] ^ rows[:-1]).ravel())
            assert (toggles > 1000) == (number in users), f"{number.label}: {toggles} toggles at {name}"
            assert number in users or toggles == 0


@pytest.fixture(scope="module")
def other() -> ConcentratorVerilog:
    """A chip with two of the algorithms, by other rules than the presets."""
    return concentrator_verilog(OTHER_RULES)


def test_every_rule_the_other_way(other: ConcentratorVerilog) -> None:
    """A chip by the second rule of each field: as its golden model, as the rule says, and not as by the first one."""
    bench = ConcentratorBench(other)
    check = check_volume(bench, 5, 12 * 512)
    assert check.passed, check.detail
    words = pack(np.random.default_rng(4).integers(0, 128, (40, 48)), OTHER_RULES.word_order)
    equal = pack(np.full((40, 48), 77), OTHER_RULES.word_order)
    chosen = ConcentratorSettings(
        settings=Settings(word_order=OTHER_RULES.word_order), alg_type=3, active_etxs=0b1111, stc_type=3,
        buffer=BufferThresholds(t1=96, t2=511, t3=0), idle_pattern=0x5AA,
    )  # fmt: skip

    def by_rule(field: str, given: np.ndarray, **changes: Any) -> np.ndarray:
        settings = replace(chosen, **changes)
        got = bench.frames(given, settings.registers(OTHER_RULES))
        assert_array_equal(got, ConcentratorModel(OTHER_RULES, settings).frames(given))
        first = replace(OTHER_RULES, **{field: getattr(SPEC, field)})
        assert (got != ConcentratorModel(first, settings).frames(given)).any(axis=1).all()
        return got

    # words of links 0 and 2, which stand in gaps, are lost
    gaps = by_rule("mask_gaps", words, active_etxs=0b1010)
    everything = bench.frames(words, chosen.registers(OTHER_RULES))
    assert_array_equal(gaps, np.where(np.isin(np.arange(13), [1, 3]), everything, 0))
    # two links, of whose four words T1 admits three: one word of type 110, three idle ones
    counter = np.array([31, *range(1, 16), *range(16), *range(8)])
    idle = counter << 11 | 0x5AA
    marked = by_rule("truncated_fixed", words, active_etxs=0b11, buffer=replace(chosen.buffer, t1=3))
    assert_array_equal(marked[:, :2], np.stack([counter << 27 | 0b110 << 24 | idle, idle << 16 | idle], 1))
    assert not by_rule("spare_alg_types", words, alg_type=6).any()
    # behind four bits of counter the positions of twelve super trigger cells
    lowest = by_rule("equal_largest", equal, alg_type=1)
    assert (lowest[:, 0] & 0x0FFF_FFF0 == 0).all()


def test_a_chip_lacks_what_its_spec_lacks(other: ConcentratorVerilog) -> None:
    text = other.verilog
    assert "module OTHER_RULES_super_trigger_cells" in text
    for absent in (
        "threshold_sum",
        "best_choice",
        "merge_exchange",
        "cell_packer",
        "autoencoder",
        "convolution",
        "frame",
    ):
        assert f"module OTHER_RULES_{absent}" not in text
    assert "threshold" not in re.findall(r"^module OTHER_RULES_concentrator_core\w*\((.*?)\);", text, re.M | re.S)[0]
