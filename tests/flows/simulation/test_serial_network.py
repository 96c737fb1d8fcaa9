"""Convolution and dense layer on reused multipliers, compiled, against the golden model."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.data import ArrayLayout
from amaranth.lib.wiring import Component, In, Out

from flows.simulation.native import FastClock, NativeModel, build_native
from hw.common.export import to_verilog
from hw.common.hierarchy import place
from hw.common.pipeline_register import PipelineRegister
from hw.hgcal_encoder.schedule import Schedule
from hw.hgcal_encoder.serial_network import place_serial_network
from sim.fixed_point import Overflow, Rounding
from sim.hgcal_encoder.convolution import convolve
from sim.hgcal_encoder.dense import dense
from sim.hgcal_encoder.example_specs import random_spec
from sim.hgcal_encoder.grid import to_grid
from sim.hgcal_encoder.spec import CELLS, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL

NETWORK_CLOCKS = 1
"""Edges of the crossing clock behind that of the pixels, after which the latents are there."""


class Crossing(Component):
    """Pixel register of the crossing clock in front of the network."""

    clocked = True

    def __init__(self, *, spec: EncoderSpec):
        self._spec = spec
        weight = spec.weight.width
        super().__init__(
            {
                "fast_clk": In(1),
                "pixels": In(ArrayLayout(spec.pixel.width, CELLS)),
                "kernel": In(ArrayLayout(ArrayLayout(weight, spec.filters), spec.kernel_taps)),
                "kernel_bias": In(ArrayLayout(weight, spec.filters)),
                "weights": In(ArrayLayout(ArrayLayout(weight, spec.activations), spec.latents)),
                "bias": In(ArrayLayout(weight, spec.latents)),
                "latents": Out(ArrayLayout(spec.latent.width, spec.latents)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        network = place_serial_network(m, platform, spec=self._spec, register=PipelineRegister, fast_clk=self.fast_clk)
        pixels = place(m, platform, "pixels_register", PipelineRegister, width=CELLS * self._spec.pixel.width)
        m.d.comb += [
            pixels.i.eq(self.pixels),
            network.pixels.eq(pixels.o),
            network.kernel.eq(self.kernel),
            network.kernel_bias.eq(self.kernel_bias),
            network.weights.eq(self.weights),
            network.bias.eq(self.bias),
            self.latents.eq(network.latents),
        ]
        return m


def words(fields: np.ndarray, width: int, rows: int) -> np.ndarray:
    """Fields of a port as 32-bit words, one row for all where there is one."""
    bits = (fields[:, :, None] >> np.arange(width)) & 1
    flat = np.pad(bits.reshape(len(fields), -1), ((0, 0), (0, -bits[0].size % 32))).astype(np.uint8)
    packed = np.packbits(flat, axis=1, bitorder="little").view("<u4").astype(np.int64)
    return np.broadcast_to(packed, (rows, packed.shape[1])) if len(fields) == 1 else packed


def check(spec: EncoderSpec, images: int, seed: int) -> int:
    """Latents of back-to-back crossings; how many different codes there were."""
    rng = np.random.default_rng(seed)
    weights = Weights.random(spec, rng)
    pixels = rng.integers(0, spec.pixel.max_code + 1, (images, CELLS))
    pixels[::3] *= rng.random(pixels[::3].shape) < 0.15
    pixels[1::3] = rng.choice([0, 1, spec.pixel.max_code], pixels[1::3].shape)
    image = to_grid(pixels, spec)
    activations = convolve(image, weights.kernel, weights.kernel_bias, spec).reshape(images, -1)
    expected = dense(activations, weights.dense, weights.dense_bias, spec)

    top = f"{spec.name}_crossing"
    fast = FastClock(port="fast_clk", ratio=spec.reuse)
    library, ports = build_native(to_verilog(Crossing(spec=spec), top), top, clock="clk", fast=fast)
    delay = 1 + NETWORK_CLOCKS
    rows = images + delay
    stimulus = {
        "pixels": words(np.pad(pixels, ((0, delay), (0, 0))), spec.pixel.width, rows),
        "kernel": words(weights.kernel.reshape(1, -1), spec.weight.width, rows),
        "kernel_bias": words(weights.kernel_bias[None], spec.weight.width, rows),
        "weights": words(weights.dense.T.reshape(1, -1), spec.weight.width, rows),
        "bias": words(weights.dense_bias[None], spec.weight.width, rows),
    }
    with NativeModel(library, ports, "clk") as model:
        model.run({"rst": [1, 1, 1]})
        found = model.unpack(model.run_rows(model.pack(stimulus, rows)))["latents"]
    value = found.astype(object)
    if found.ndim == 2:
        value = sum(value[:, word] << (32 * word) for word in range(found.shape[1]))
    mask = spec.latent.max_code
    latents = np.array([[v >> (spec.latent.width * i) & mask for i in range(spec.latents)] for v in value], int)
    wrong = np.argwhere(latents[delay:] != expected)
    assert len(wrong) == 0, f"{len(wrong)} latents of {spec.name} differ, first at (image, latent) {wrong[0]}"
    return len(np.unique(expected))


@pytest.mark.parametrize("reuse", [2, 3, 4, 5, 16])
def test_every_factor_is_exact(reuse: int) -> None:
    assert check(replace(SMALL, name=f"SERIAL_{reuse}", reuse=reuse), 600, reuse) > 100


def test_overlapping_windows_padding_and_other_rules_are_exact() -> None:
    """Units of different size, slots without a position, positions that see padding, results that wrap."""
    spec = replace(
        SMALL,
        name="SERIAL_PADDED",
        cell_map=(*range(10), *[-1] * 6),
        kernel=(3, 3),
        padding=(0, 1, 0, 1),
        stride=1,
        dense_product_rounding=Rounding.RND,
        conv_product_rounding=Rounding.RND_CONV,
        latent=replace(SMALL.latent, rounding=Rounding.RND_CONV, overflow=Overflow.WRAP),
        activation=replace(SMALL.activation, rounding=Rounding.RND),
        reuse=6,
    )
    schedule = Schedule(spec=spec)
    assert None in schedule.units[-1]
    assert len({len(taps) for taps in schedule.unit_taps}) > 1
    assert check(spec, 400, 7) > 100


def test_narrow_sums_wrap_as_the_model_says() -> None:
    assert check(replace(SMALL, name="SERIAL_NARROW", reuse=3, conv_sum_width=8, dense_sum_width=9), 400, 3) > 50


@pytest.mark.parametrize("seed", [3, 8])
def test_random_specs_are_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = random_spec(rng)
    check(replace(spec, name=f"SERIAL_RANDOM_{seed}", reuse=int(rng.integers(2, 17))), 200, seed)
