"""Encoders and chips whose multipliers are reused: frames, guarded loads, proofs, generated files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flows.designs.encoder_files import generate
from flows.formal.dot_product import dot_products, prove_dot_product
from flows.formal.solver import Status
from flows.simulation.chip import ChipBench
from flows.simulation.encoder import EncoderBench, EncoderVerilog, encoder_verilog
from flows.verification.encoder import check_vectors, check_volume
from flows.verification.encoder_stimulus import random_settings, random_words
from hw.common.export import to_verilog
from hw.common.scheme import Scheme
from hw.hgcal_encoder.encoder import Encoder
from sim.hgcal_encoder.configuration.chip_registers import Loading
from sim.hgcal_encoder.configuration.driver import ChipDriver
from sim.hgcal_encoder.encoder import Encoder as Model
from sim.hgcal_encoder.spec import ECON_T
from sim.hgcal_encoder.weights import Weights
from tests.conftest import long
from tests.specs import SMALL


def test_frames_of_random_crossings() -> None:
    """Settings and weights through the write port, orbits, masks, links: everything as with parallel multipliers."""
    spec = replace(SMALL, name="SMALL_REUSE", reuse=7)
    check = check_volume(EncoderBench(encoder_verilog(spec)), 7, 3000)
    assert check.passed, check.detail
    assert check.compared >= 3000


@pytest.mark.timeout(1200)
@long
def test_published_vectors_at_320_mhz(econt_vectors: Path) -> None:
    spec = replace(ECON_T, name="ECON_T_REUSE_8", reuse=8)
    bench = EncoderBench(encoder_verilog(spec))
    frames = econt_vectors / "AE" / "testOutput_bx0000-1781.csv"
    words, settings = econt_vectors / "testInput_bx0000-1781.csv", econt_vectors / "AE" / "init.yaml"
    check = check_vectors(bench, words, settings, frames)
    assert check.passed, check.detail
    assert check.compared == 1782


def test_without_register_behind_the_dense_layer() -> None:
    """The latents are kept by the neurons: a crossing less, at the cost of time for the frame."""
    spec = replace(SMALL, name="SMALL_SHORT", reuse=2)
    component = Encoder(spec=spec, registers_after=("words", "normalise", "frame"))
    assert component.latency == 4
    design = EncoderVerilog(spec=spec, verilog=to_verilog(component, spec.name), top=spec.name, latency=4)
    check = check_volume(EncoderBench(design), 2, 2000)
    assert check.passed, check.detail


@pytest.mark.parametrize("reuse", [3, pytest.param(5, marks=long)])
def test_every_frame_during_a_guarded_load_of_a_chip_is_old_or_new(reuse: int) -> None:
    """Crossings stream at every clock while new weights arrive over I2C; one switch happens, between two of them.

    At 3 the products of the last slot fall into the next crossing's clock, at 5 those of three slots, and the kernel
    follows through its own register.
    """
    spec = replace(SMALL, name=f"SMALL_CHIP_{reuse}", reuse=reuse)
    rng = np.random.default_rng(29)
    settings = random_settings(spec, rng)
    old, new = Weights.random(spec, rng), Weights.random(spec, rng)
    block = random_words(rng, 512, settings).astype(np.uint32)
    block[:, 0] = block[:, 0] & 0x0FFF_FFFF | 0xA << 28
    first = block.copy()
    first[0, 0] = first[0, 0] & 0x0FFF_FFFF | 0x9 << 28
    position = 0

    def crossings(clocks: int) -> np.ndarray:
        nonlocal position
        rows = position + np.arange(clocks)
        position += clocks
        return np.where((rows < len(block))[:, None], first[rows % len(block)], block[rows % len(block)])

    with ChipBench(spec, Scheme.NONE, Loading.GUARDED).model() as chip:
        driver = ChipDriver(chip, spec, Loading.GUARDED)
        driver.load(settings, old)
        chip.sent.clear()
        chip.frames.clear()
        chip.feed = crossings
        chip.idle(10)
        driver.load(settings, new)
        chip.idle(10)
        _, frames = chip.streamed()
    rows = np.arange(len(frames))
    rows = np.where(rows < len(block), rows, len(block) + rows % len(block))
    is_old, is_new = (
        (frames == Model(spec, weights, settings).frames(np.concatenate([first, block]))[rows]).all(axis=1)
        for weights in (old, new)
    )
    assert (is_old | is_new).all()
    switch = int(np.argmax(~is_old))
    assert 0 < switch < len(is_old)
    assert is_old[:switch].all()
    assert is_new[switch:].all()
    assert (is_old & is_new).mean() < 0.2, "old and new weights give different frames, or the test shows nothing"


def test_dot_products_of_a_slot_are_proved() -> None:
    """For every activation, weight and bias; the sum of earlier slots is one more row of the same tree."""
    spec = replace(SMALL, reuse=3)
    formats = dot_products(spec)
    assert list(formats) == ["conv_4_taps", "dense_4_taps"]
    assert formats["dense_4_taps"].accumulated == spec.activations
    proof = prove_dot_product("dense_slot", formats["dense_4_taps"])
    assert proof.status is Status.PROVED, proof.counterexample


def test_generated_files_name_the_internal_clock(tmp_path: Path) -> None:
    generate(replace(SMALL, reuse=8), tmp_path / "out")
    design = json.loads((tmp_path / "out" / "design.json").read_text())
    assert design["internal_clock"] == {"port": "fast_clk", "period_ns": 3.125, "network_latency_clocks": 12}
    assert "fast_clk,input,1" in (tmp_path / "out" / "ports.csv").read_text()
