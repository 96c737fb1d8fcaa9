"""Golden model of a concentrator: what the chip adds to its algorithms. Vectors: tests/flows/simulation."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from sim.hgcal_encoder.algorithms.concentrator_model import (
    ConcentratorModel,
    ConcentratorSettings,
    load_concentrator_settings,
)
from sim.hgcal_encoder.algorithms.output_buffer import BufferThresholds
from sim.hgcal_encoder.algorithms.super_trigger_cell import SuperTriggerCells, SuperTriggerCellType
from sim.hgcal_encoder.concentrator_spec import ECON_T_PRODUCTION, AlgorithmNumber
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import WordOrder
from sim.hgcal_encoder.words import pack

SPEC = ECON_T_PRODUCTION


def _settings(number: int, **other) -> ConcentratorSettings:
    front = Settings(word_order=WordOrder.PRODUCTION)
    return ConcentratorSettings(settings=front, alg_type=number, **other)


def _words(rows: int, seed: int = 1) -> np.ndarray:
    return pack(np.random.default_rng(seed).integers(0, 128, (rows, 48)), WordOrder.PRODUCTION)


@pytest.mark.parametrize("number", range(8))
def test_a_link_reset_is_behind_what_waits(number: int) -> None:
    """2 n words of counter and pattern for each crossing, first in, first out."""
    words, reset = _words(40), (np.arange(40) >= 4) & (np.arange(40) < 24)
    settings = _settings(number, active_etxs=0b111, buffer=BufferThresholds(t1=200, t2=511, t3=0), drop_lsb=1)
    model = ConcentratorModel(SPEC, settings)
    frames = model.frames(words, link_reset=reset)
    plain = model.frames(words)
    assert_array_equal(frames[:4], plain[:4])
    stream = [int(half) for row in frames[:, :3] for word in row for half in (word >> 16, word & 0xFFFF)]
    # six words for every crossing of the reset, in one piece, with the counters of those crossings
    expected = [(crossing % 16) << 11 | 0x122 for crossing in range(4, 24) for _ in range(6)]
    starts = [at for at in range(len(stream)) if stream[at : at + len(expected)] == expected]
    # all cells reach a threshold of 0: four packets of 25 words stand in front
    assert starts == [100 if number == AlgorithmNumber.THRESHOLD_SUM else 24]


def test_a_truncated_crossing_of_a_fixed_format_is_one_zero_word() -> None:
    settings = _settings(2, active_etxs=0b11, buffer=BufferThresholds(t1=3, t2=511, t3=0), idle_pattern=0x5AA)
    frames = ConcentratorModel(SPEC, settings).frames(_words(20))
    idle = np.array([31, *range(1, 16), *range(4)]) << 11 | 0x5AA
    assert_array_equal(frames[:, 0], idle)
    assert_array_equal(frames[:, 1], idle << 16 | idle)
    assert (frames[:, 2:] == 0).all()


def test_active_links_carry_the_words_in_order() -> None:
    words = _words(30)
    together = ConcentratorModel(SPEC, _settings(3, active_etxs=0b111)).frames(words)
    apart = ConcentratorModel(SPEC, _settings(3, active_etxs=0b1_0010_0000_0100)).frames(words)
    assert_array_equal(apart[:, [2, 9, 12]], together[:, :3])
    assert (apart[:, [0, 1, *range(3, 9), 10, 11]] == 0).all()
    few = ConcentratorModel(replace(SPEC, etx_links=2), _settings(3, active_etxs=0b110)).frames(words)
    assert_array_equal(few[:, 1], ConcentratorModel(SPEC, _settings(3, active_etxs=0b1)).frames(words)[:, 0])
    assert (ConcentratorModel(SPEC, _settings(0, active_etxs=0)).frames(words) == 0).all()


def test_numbers_that_name_no_algorithm() -> None:
    words = _words(10)
    repeated = ConcentratorModel(SPEC, _settings(3, active_etxs=0x1FFF)).frames(words)
    for number in (5, 6, 7):
        assert_array_equal(ConcentratorModel(SPEC, _settings(number, active_etxs=0x1FFF)).frames(words), repeated)
    lacking = replace(SPEC, algorithms=("best_choice",))
    assert (ConcentratorModel(lacking, _settings(5)).frames(words) == 0).all()
    for kind in (5, 6, 7):
        assert (ConcentratorModel(SPEC, _settings(1, stc_type=kind)).frames(words) == 0).all()


@pytest.mark.parametrize("links", [1, 2, 3, 4, 5])
def test_super_trigger_cells_of_type_4(links: int) -> None:
    """CTC4B: 9 bits of 5E4M for 3, 6, 10 or 12 sums of four cells, no position; on more than 4 links zeros."""
    charges = np.random.default_rng(links).integers(0, 1 << 20, (5, 48))
    frames = SuperTriggerCells(kind=SuperTriggerCellType.CTC4_5E4M, etx_count=links, drop=3).frames(
        charges, np.arange(1, 6)
    )
    for row in range(5):
        text = "".join(f"{word:032b}" for word in frames[row])
        if links == 5:
            assert "1" not in text
            continue
        expected = f"{row + 1:04b}"
        for group in range((3, 6, 10, 12)[links - 1]):
            total = int(charges[row, 4 * group : 4 * group + 4].sum())
            digits = f"{total:b}"
            assert len(digits) > 5
            expected += f"{len(digits) - 4:05b}{digits[1:5]}"
        assert text == expected.ljust(416, "0")


def test_depth_of_the_buffer_bounds_t1() -> None:
    words = _words(60)
    deep = _settings(0, active_etxs=0b1, buffer=BufferThresholds(t1=511, t2=511, t3=0))
    short = replace(SPEC, etx_links=2, buffer_words=64)
    bounded = replace(deep, buffer=BufferThresholds(t1=64, t2=511, t3=0))
    assert_array_equal(ConcentratorModel(short, deep).frames(words), ConcentratorModel(SPEC, bounded).frames(words))


def test_settings_files_of_either_chip(tmp_path, econt_vectors) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(
        "Algorithm: {select: 0, density: 1}\nFormatterBuffer: {eporttx_numen: 4, buff_t1: 96, tx_sync_word: 0x70f,"
        " use_sum: 0, stc_type: 3}\n"
    )
    first = load_concentrator_settings(path, SPEC)
    assert (first.idle_pattern, first.link_reset_pattern, first.active_etxs) == (0x70F, 0x70F, 0b1111)
    path.write_text("ConfigAlgo: {alg_type: 3}\nFormatterBuffer: {active_etxs: 7, idle_pattern: 0x155}\n")
    second = load_concentrator_settings(path, SPEC)
    assert (second.idle_pattern, second.link_reset_pattern, second.use_sum, second.stc_type) == (0x155, 0x122, True, 1)
    values = second.registers(SPEC)
    assert (values["alg_type"], values["active_etxs"], values["buff_t1"]) == (3, 7, 72)
    path.write_text("ConfigAlgo: {alg_type: 1}\nFormatterBuffer: {stc_type: 9}\n")
    with pytest.raises(ValueError, match=r"settings.yaml: stc_type: expected 0 to 7, got 9"):
        load_concentrator_settings(path, SPEC)
