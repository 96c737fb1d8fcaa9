"""Whole encoders with reused multipliers: frames, latency, published vectors."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import Component

from hw.common.export import ports, to_rtlil
from hw.common.pipeline_register import PipelineRegister
from hw.hgcal_encoder.encoder import STAGES, Encoder, place_data_path, swap_parts
from sim.hgcal_encoder.encoder import Encoder as Model
from sim.hgcal_encoder.spec import ECON_T
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL


def test_reuse_costs_no_bunch_crossing() -> None:
    def encoder(reuse: int, **options: object) -> Encoder:
        component = Encoder(spec=replace(ECON_T, reuse=reuse), **options)
        component._MustUse__silence = True
        return component

    plain = encoder(1)
    assert (plain.latency, plain.network_latency, plain.internal_latency) == (5, 2, 0)
    assert ("fast_clk", "input", 1) not in ports(plain)
    for reuse in range(2, 17):
        component = encoder(reuse)
        assert component.latency == plain.latency
        # the chip adds 50 ns, and so does this
        assert component.network_latency == 2
        assert 0 < component.internal_latency < 2 * reuse
        assert ("fast_clk", "input", 1) in ports(component)
        assert encoder(reuse, registers_after=("words", "normalise", "frame")).latency == 4
        assert encoder(reuse, registers_after=STAGES).latency == 8


def test_every_internal_flip_flop_is_on_the_internal_clock() -> None:
    rtlil = to_rtlil(Encoder(spec=replace(SMALL, reuse=5)), "E")
    top = rtlil[rtlil.index("module \\E\n") :]
    network = top[top.index("cell \\E_serial_network") :].split("\n  end\n")[0]
    assert "connect \\clk \\fast_clk" in network
    assert "connect \\rst \\rst" in network
    assert top.count("\\fast_clk") >= 1


def test_dense_weights_are_exchanged_in_the_clock_that_reads_them() -> None:
    spec = replace(ECON_T, reuse=8)
    parts = swap_parts(spec, ("words", "normalise", "convolution", "dense", "frame"))
    kernel = 80 * 6
    assert parts["weights"][:kernel] == [1] * kernel
    dense = np.array(parts["weights"][kernel : kernel + 2048 * 6]).reshape(16, 128, 6)
    # three registers on the way: the last three of eight slots are multiplied behind the next edge
    assert (dense == dense[:1, :, :1]).all()
    assert np.bincount(dense[0, :, 0]).tolist() == [0, 80, 48]
    assert set(parts["keep_mask"]) == {3}
    assert (
        parts["keep_mask"] == swap_parts(ECON_T, ("words", "normalise", "convolution", "dense", "frame"))["keep_mask"]
    )


def test_what_cannot_be_is_refused() -> None:
    spec = replace(SMALL, reuse=3)

    class Bare(Component):
        def __init__(self) -> None:
            super().__init__({})

        def elaborate(self, platform: object) -> Module:
            from amaranth.lib.data import ArrayLayout

            m = Module()
            words = Signal(ArrayLayout(32, 12))
            settings = type("Settings", (), {})()
            for name, width in {
                "weights": spec.weight_bits, "select": 288, "high_density": 1, "factors": 576,
                "keep_mask": spec.keep_bits, "etx_count": 4,
            }.items():  # fmt: skip
                setattr(settings, name, Signal(width))
            place_data_path(
                m, platform, spec=spec, registers_after=STAGES, register=PipelineRegister, words=words,
                settings=settings,
            )  # fmt: skip
            return m

    with pytest.raises(ValueError, match="SMALL reuses multipliers 3 times and needs the internal clock"):
        to_rtlil(Bare(), "B")


def test_the_factor_changes_no_result() -> None:
    rng = np.random.default_rng(1)
    charges = rng.integers(0, 4000, (50, 48))
    fast = replace(ECON_T, reuse=16)
    weights = Weights.random(ECON_T, rng)
    same = Weights.from_codes(weights.to_codes(), fast)
    for engine in ("numpy", "numba"):
        assert np.array_equal(
            Model(fast, same, engine=engine).latents(charges), Model(ECON_T, weights, engine=engine).latents(charges)
        )
