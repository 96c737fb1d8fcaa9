"""Frames of the compiled encoder against the golden model and the published vectors."""

from dataclasses import replace

import numpy as np
import pytest

from flows.simulation.encoder import EncoderBench, encoder_verilog
from flows.simulation.native import build_native
from hw.common.export import to_verilog
from hw.hgcal_encoder.encoder import STAGES, Encoder
from sim.hgcal_encoder.configuration.registers import reset_settings
from sim.hgcal_encoder.encoder import Encoder as GoldenEncoder
from sim.hgcal_encoder.files.settings_files import load_settings
from sim.hgcal_encoder.files.vectors import read_frames, read_words
from sim.hgcal_encoder.settings import Settings
from sim.hgcal_encoder.spec import ECON_T
from sim.hgcal_encoder.weights import Weights
from sim.hgcal_encoder.words import pack
from tests.hw.driving import ODD
from tests.specs import SMALL


@pytest.fixture(scope="module")
def small():
    return EncoderBench(encoder_verilog(SMALL))


@pytest.mark.parametrize("seed", range(4))
def test_small_encoder_follows_the_model(small, seed):
    words, settings, weights = stimulus(SMALL, np.random.default_rng(seed), 400)
    got = small.frames(words, settings, weights, first_bx=int(seed))
    assert np.array_equal(got, GoldenEncoder(SMALL, weights, settings).frames(words, first_bx=int(seed)))


@pytest.mark.parametrize(("spec", "isolation"), [(ODD, False), (ODD, True), (replace(SMALL, reuse=4), True)])
def test_encoder_with_odd_rules_or_latches_follows_the_model(spec, isolation):
    """Latches are open in the low half of the clock of the multipliers behind them."""
    words, settings, weights = stimulus(spec, np.random.default_rng(9), 400)
    design = encoder_verilog(spec, isolation=isolation)
    assert ("if (!clk)" in design.verilog) == isolation
    assert ("fast_clk" in design.verilog) == (spec.reuse > 1)
    got = EncoderBench(design).frames(words, settings, weights)
    assert np.array_equal(got, GoldenEncoder(spec, weights, settings).frames(words))


@pytest.mark.parametrize("header", [0x9, 0xA])
def test_first_crossing_after_reset_is_number_zero(small, header):
    """Settings as after reset, nothing written; the pins show zeros in reset."""
    rng = np.random.default_rng(3)
    words = rng.integers(0, 1 << 28, (40, 12)) | 0xA << 28
    words[0, 0] = words[0, 0] & 0x0FFF_FFFF | header << 28
    latency = small.design.latency
    with small.model(seed=77) as model:
        in_reset = model.run({"rst": [1] * 3, "words": words[:3]})["frames"]
        assert not in_reset[1:].any()
        tail = np.concatenate([words, np.zeros((latency, 12), np.int64)])
        frames = model.run({"words": tail})["frames"][latency:]
    weights = Weights.from_codes(np.zeros(SMALL.parameters, np.int64), SMALL)
    assert np.array_equal(frames, GoldenEncoder(SMALL, weights, reset_settings(SMALL)).frames(words))
    assert frames[0, 0] >> 27 == 31


def test_reset_reaches_everything_at_any_time(small):
    """Two models that ran different data with different settings are equal after a reset."""
    words, _, _ = stimulus(SMALL, np.random.default_rng(4), 30)
    seen = []
    for seed in (1, 2):
        with small.model(seed=seed) as model:
            if seed == 2:
                addresses = np.arange(0x3A0, 0x1000)
                model.run({"write_address": addresses, "write_data": 0xFF, "write_enable": 1})
                model.run({"words": words ^ 0x5555})
            model.run({"rst": [1]})
            seen.append(model.run({"words": words})["frames"])
    assert np.array_equal(*seen)
    assert seen[0].any()


def test_registers_may_stand_behind_every_stage():
    """Another pipeline, the same frames, later by its latency."""
    words, settings, weights = stimulus(SMALL, np.random.default_rng(6), 100)
    component = Encoder(spec=SMALL, registers_after=STAGES)
    bench = EncoderBench.__new__(EncoderBench)
    bench.design = type("Design", (), {"spec": SMALL, "latency": component.latency})()
    bench.library, bench.ports = build_native(to_verilog(component, "deep"), "deep", clock="clk", optimise="-O0")
    got = bench.frames(words, settings, weights)
    assert np.array_equal(got, GoldenEncoder(SMALL, weights, settings).frames(words))


def test_published_vectors_pass(econt_vectors):
    """The chip as published: 64 bunch crossings around the start of an orbit, every eTx word."""
    folder = econt_vectors / "AE"
    settings, weights = load_settings(next(folder.glob("*.yaml")))
    words = read_words(next(econt_vectors.glob("testInput*.csv")))[:64]
    frames = read_frames(next(folder.glob("testOutput*.csv")))[:64]
    got = EncoderBench(encoder_verilog(ECON_T)).frames(words, settings, weights)
    assert np.array_equal(got, frames)


def stimulus(spec, rng, rows):
    codes = rng.integers(0, 128, (rows, 48)) >> rng.integers(0, 7, (rows, 1))
    words = pack(codes, spec.word_order, first_bx=3564 - rows // 3).astype(np.int64)
    settings = Settings(
        spec=spec,
        select=rng.permutation(48),
        factors=rng.integers(0, 4096, 48),
        high_density=bool(rng.integers(2)),
        etx_count=int(rng.integers(1, 14)),
        keep_mask=int.from_bytes(rng.bytes(32), "little") % (1 << spec.keep_bits),
        word_order=spec.word_order,
    )
    return words, settings, Weights.random(spec, rng)
