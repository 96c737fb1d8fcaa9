"""What positions that see nothing but padding add to the latents: sums of a walk against exact rationals."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from amaranth.sim import Simulator

from hw.hgcal_encoder.coded_words import WordMap
from hw.hgcal_encoder.folded_sums import FoldedSums
from hw.hgcal_encoder.schedule import Schedule
from sim.fixed_point import Rounding
from sim.hgcal_encoder.spec import ECON_T, EncoderSpec
from sim.hgcal_encoder.weights import Weights
from tests.specs import SMALL, scalar_round, scalar_store, scalar_wrap

HALF = replace(SMALL, name="HALF", cell_map=(*range(8), *[-1] * 8), reuse=2)
"""Two of four positions see nothing."""


def expected(spec: EncoderSpec, weights: Weights) -> list[int]:
    unit, scale = Fraction(1, 2**spec.weight.fraction), 2**spec.dense_product_fraction
    activations = [scalar_store(int(bias) * unit, spec.activation) for bias in weights.kernel_bias]
    found = []
    for latent in range(spec.latents):
        total = int(weights.dense_bias[latent]) * unit
        for position, taps in enumerate(spec.taps):
            for filter_, activation in enumerate(activations):
                weight = int(weights.dense[position * spec.filters + filter_, latent])
                if not taps:
                    exact = weight * unit * activation / 2**spec.activation.fraction
                    total += Fraction(scalar_round(exact * scale, spec.dense_product_rounding), scale)
        found.append(int(scalar_wrap(total, spec.dense_product_fraction, spec.dense_sum_width) * scale))
    return found


SPECS = [
    HALF,
    replace(HALF, name="EVEN", dense_product_rounding=Rounding.RND_CONV, filters=3),
    replace(HALF, name="NARROW", dense_sum_width=9, filters=8, cell_map=(*range(4), *[-1] * 12), grid=(8, 2, 1)),
    replace(ECON_T, reuse=3),
]


@pytest.mark.parametrize("spec", SPECS, ids=[spec.name for spec in SPECS])
def test_sums_of_a_walk(spec: EncoderSpec) -> None:
    """Twice, with other weights: a sum changes when the last word of its latent has been reached, and not before."""
    words = WordMap(spec=spec)
    left_out = words.dense.schedule.left_out
    assert left_out == tuple(position for position, taps in enumerate(spec.taps) if not taps) != ()
    first, rng = words.first_folded, np.random.default_rng(7)
    each = len(words.dense.folded)
    part = FoldedSums(spec=spec)

    async def bench(ctx) -> None:
        before = [0] * spec.latents
        for _ in range(2):
            weights = Weights.random(spec, rng)
            image = int.from_bytes(weights.to_image(), "little")
            start = words.field_bits["weights"][0]
            ctx.set(part.kernel_bias, [int(bias) for bias in weights.kernel_bias])
            ctx.set(part.bias, [int(bias) for bias in weights.dense_bias])
            wanted = expected(spec, weights)
            for number, word in enumerate(words.words):
                held = [image >> bit - start & 1 if bit >= start else 0 for bit in word.image_bits]
                ctx.set(part.word, number)
                ctx.set(part.data, sum(value << place for place, value in zip(word.used, held, strict=True)))
                await ctx.tick()
                done = max(0, number + 1 - first) // each
                now = [ctx.get(part.sums[latent]) for latent in range(spec.latents)]
                assert now == [*wanted[:done], *before[done:]]
            before = wanted

    simulator = Simulator(part)
    simulator.add_clock(25e-9)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("reuse", [2, 3, 4])
def test_slots_of_a_folded_schedule_hold_the_other_positions(reuse: int) -> None:
    """12 of ECON_T's 16 positions see pixels: three slots of four units, or four of three."""
    whole, folded = (Schedule(spec=replace(ECON_T, reuse=reuse), folded=folded) for folded in (False, True))
    assert folded.left_out == (10, 11, 14, 15)
    positions = [position for unit in folded.units for position in unit]
    assert sorted(positions) == [position for position, taps in enumerate(ECON_T.taps) if taps]
    assert whole.left_out == ()
    assert (len(whole.units), len(folded.units)) == (-(-16 // reuse), 12 // reuse)
