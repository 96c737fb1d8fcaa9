"""Frame: compaction by every kind of mask, every number of links; hardware against the golden model."""

from dataclasses import replace

import numpy as np
import pytest

from hw.hgcal_encoder.frame import Frame, frame_words
from sim.fixed_point import FixedPoint
from sim.hgcal_encoder.frame import counter, frame
from sim.hgcal_encoder.settings import keep_mask
from sim.hgcal_encoder.spec import ECON_T
from tests.hw.driving import ODD, PADDED, evaluate, pack
from tests.hw.driving import unpack as elements

WIDE = replace(ECON_T, name="WIDE", latents=30, latent=FixedPoint(width=15, fraction=8, signed=False))
"""464 bits: more than 13 words hold."""


def masks(rng, spec):
    full = (1 << spec.keep_bits) - 1
    yield from (0, 1, full, full - 1, full >> 1, 1 << (spec.keep_bits - 1), full // 3, full // 3 * 2)
    yield from (keep_mask(spec, bits) for bits in range(1, spec.latent.width))
    for density in (0.1, 0.5, 0.5, 0.9, 0.97):
        yield sum(1 << int(bit) for bit in np.flatnonzero(rng.random(spec.keep_bits) < density))


@pytest.mark.parametrize("spec", [ECON_T, ODD, PADDED, WIDE], ids=lambda spec: spec.name)
def test_frames_follow_the_model(spec):
    rng = np.random.default_rng(20260728)
    few = spec is WIDE  # its parity chain of 450 gates is slow in simulation
    cases = [
        (mask, int(count))
        for mask in [*masks(rng, spec)][slice(2, None, 9) if few else slice(None)]
        for count in [*rng.permutation(13)[: 1 if few else 5] + 1, 13]
    ]
    rows = len(cases)
    bx = rng.integers(0, 3564, rows)
    bx[:3] = 0
    sums = rng.integers(0, 512, rows)
    latents = rng.integers(0, 1 << spec.latent.width, (rows, spec.latents))
    got = evaluate(
        Frame(spec=spec),
        counter=counter(bx),
        sum_code=sums,
        latents=pack(latents, spec.latent.width),
        keep_mask=[mask for mask, _ in cases],
        etx_count=[count for _, count in cases],
    )["frames"]
    words = elements(got, 32, 13)
    assert not words[:, frame_words(spec) :].any()
    for i, (mask, count) in enumerate(cases):
        want = frame(bx[i : i + 1], sums[i : i + 1], latents[i : i + 1], mask, count, spec)[0]
        assert np.array_equal(words[i], want), f"mask {mask:#x} on {count} links"


def test_counts_that_name_no_number_of_links_act_as_thirteen():
    latents = pack(np.random.default_rng(1).integers(0, 512, (1, 16)), 9) * 4
    got = evaluate(
        Frame(spec=ECON_T),
        counter=[5] * 4,
        sum_code=[170] * 4,
        latents=latents,
        keep_mask=[(1 << 144) - 1] * 4,
        etx_count=[13, 0, 14, 15],
    )["frames"]
    assert got[0] != 0
    assert got == [got[0]] * 4


def test_a_frame_has_the_words_that_its_latents_need():
    assert [frame_words(spec) for spec in (ECON_T, ODD, PADDED, WIDE)] == [5, 2, 1, 13]
