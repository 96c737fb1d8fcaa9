"""The liquid against a scalar definition of the contract, its engines against each other, and its bounds."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from sim.lsm_crossbar import noise
from sim.lsm_crossbar.homeostat import Homeostat
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.neuron import fire, leak
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.row_driver import batches
from sim.lsm_crossbar.spec import FULL_MACRO, N_MNIST, PRESETS, CrossbarSpec, HomeostatParameters
from tests.crossbars import SMALL_CROSSBAR, random_crossbar, random_image, scalar_run

ONE_MACRO = [spec for spec in PRESETS.values() if spec.macros == 1]


@pytest.mark.parametrize("seed", range(40))
def test_engines_are_the_scalar_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = random_crossbar(rng)
    image = random_image(spec, rng)
    inputs = rng.random((3, spec.steps, spec.inputs)) < rng.choice([0.1, 0.5, 1.0])
    noise_seed = int(rng.integers(0, 2**31))
    runs = [scalar_run(spec, image, sample.tolist(), noise_seed, 5 + i) for i, sample in enumerate(inputs)]
    for engine in ("numpy", "numba"):
        found = Liquid(spec, image, engine, noise_seed=noise_seed).run(inputs, first_sample=5)
        assert found.spikes.tolist() == [run.spikes for run in runs]
        assert found.counts.tolist() == [run.counts for run in runs]
        assert found.reads.tolist() == [len(run.reads) for run in runs]
        for sample, run in enumerate(runs):
            rows = [row for _, batch, _ in run.reads for row in batch]
            assert found.row_activations[sample].tolist() == np.bincount(rows, minlength=spec.rows).tolist()
    trace = Liquid(spec, image, noise_seed=noise_seed).trace(inputs[1], sample=6)
    assert trace.read_step.tolist() == [step for step, _, _ in runs[1].reads]
    assert [rows.tolist() for rows in trace.read_rows] == [batch for _, batch, _ in runs[1].reads]
    assert trace.codes.tolist() == [codes for _, _, codes in runs[1].reads]
    assert trace.spikes.tolist() == runs[1].spikes
    assert trace.counts.tolist() == runs[1].counts


def test_random_specs_reach_everything() -> None:
    """The comparison above means something: spikes, refractory neurons, several reads, noise, limits, cut codes."""
    seen: dict[str, int] = {}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        spec = random_crossbar(rng)
        image = random_image(spec, rng)
        inputs = rng.random((3, spec.steps, spec.inputs)) < rng.choice([0.1, 0.5, 1.0])
        trace = Liquid(spec, image).trace(inputs[0])
        for name, hit in (
            ("spikes", trace.spikes.any()),
            ("silence", not trace.spikes.all()),
            ("several reads in a step", len(trace.read_step) > len(set(trace.read_step.tolist()))),
            ("refractory", spec.refractory_steps and trace.refractory.any()),
            ("noise", trace.noise.any()),
            ("current limit", spec.column_limit is not None and (trace.sums > spec.column_limit).any()),
            ("full scale", (trace.codes == (1 << spec.adc_bits) - 1).any()),
            ("recurrent rows", any((rows >= spec.inputs).any() for rows in trace.read_rows)),
            ("spare rows", spec.rows > spec.used_rows),
            ("spare lanes", spec.active_lanes < spec.lanes),
            ("negative membrane", (trace.stored < 0).any()),
        ):
            seen[name] = seen.get(name, 0) + bool(hit)
    assert min(seen.values()) >= 3, seen


@pytest.mark.parametrize("spec", ONE_MACRO, ids=lambda spec: spec.name)
def test_engines_agree_on_presets_with_all_effects(spec: CrossbarSpec) -> None:
    spec = replace(spec, noise_scale=12, refractory_steps=1, column_current_limit_ua=12.0)
    rng = np.random.default_rng(1)
    image = random_image(spec, rng, ideal=False)
    image = Conductances.of(
        spec, image.codes, adc_gain=rng.integers(58, 71, spec.adcs), adc_offset=rng.integers(-300, 300, spec.adcs)
    )
    inputs = rng.random((4, spec.steps, spec.inputs)) < 0.1
    slow, fast = (Liquid(spec, image, engine, noise_seed=77).run(inputs, 3) for engine in ("numpy", "numba"))
    assert slow.counts.sum() > 100
    for field in ("spikes", "counts", "reads", "row_activations"):
        assert np.array_equal(getattr(slow, field), getattr(fast, field)), field


@pytest.mark.parametrize("rows_per_read", [6, 16])
@pytest.mark.parametrize("spec", ONE_MACRO, ids=lambda spec: spec.name)
def test_engines_agree_on_presets_with_ideal_converters(spec: CrossbarSpec, rows_per_read: int) -> None:
    """Ideal ADCs take a path of their own in the compiled engine: more samples than a block of it, and a last part."""
    spec = replace(spec, rows_per_read=rows_per_read)
    rng = np.random.default_rng(5)
    image = random_image(spec, rng)
    inputs = rng.random((37, spec.steps, spec.inputs)) < 0.06
    slow, fast = (Liquid(spec, image, engine).run(inputs) for engine in ("numpy", "numba"))
    assert slow.counts.sum() > 1000
    for field in ("spikes", "counts", "reads", "row_activations"):
        assert np.array_equal(getattr(slow, field), getattr(fast, field)), field


@pytest.mark.parametrize("density", [0.0, 0.06, 1.0])
@pytest.mark.parametrize("changes", [{}, {"noise_scale": 9}, {"adc_bits": 8, "conductance_bits": 8}])
def test_reads_of_sixteen_rows_are_listed_without_gaps(density: float, changes: dict[str, int]) -> None:
    """The engine writes rows where they are read if a read has 16; odd sizes, all rows active, and none."""
    spec = replace(N_MNIST, inputs=251, neurons=197, steps=5, **changes)
    assert spec.rows_per_read == 16
    rng = np.random.default_rng(3)
    image = random_image(spec, rng)
    inputs = rng.random((5, spec.steps, spec.inputs)) < density
    plain, fast = (Liquid(spec, image, engine, threshold=3) for engine in ("numpy", "numba"))
    # a second call finds the tables of the first
    for first in (0, 2):
        want, got = plain.run(inputs[first:], first), fast.run(inputs[first:], first)
        for name in ("spikes", "counts", "reads", "row_activations"):
            assert np.array_equal(getattr(want, name), getattr(got, name)), name
    assert want.reads.any() == (density > 0)


def test_silence_costs_no_read_and_draws_no_noise() -> None:
    spec = replace(SMALL_CROSSBAR, noise_scale=200)
    image = random_image(spec, np.random.default_rng(0))
    late = np.zeros((1, spec.steps, spec.inputs), bool)
    late[0, 5, 2] = True
    early = np.roll(late, -5, axis=1)
    for engine in ("numpy", "numba"):
        liquid = Liquid(spec, image, engine)
        assert liquid.run(np.zeros_like(late)).reads.tolist() == [0]
        # the noise of the first read is the same whenever it happens
        assert np.array_equal(liquid.trace(late[0]).codes[0], liquid.trace(early[0]).codes[0])
    assert not Liquid(spec, image).run(np.zeros_like(late)).spikes.any()


def test_samples_are_independent_and_numbered() -> None:
    spec = replace(SMALL_CROSSBAR, noise_scale=100)
    rng = np.random.default_rng(3)
    image = random_image(spec, rng)
    inputs = rng.random((6, spec.steps, spec.inputs)) < 0.5
    liquid = Liquid(spec, image, noise_seed=9)
    whole = liquid.run(inputs).spikes
    parts = np.concatenate([liquid.run(inputs[i : i + 1], first_sample=i).spikes for i in range(6)])
    assert np.array_equal(whole, parts)
    assert not np.array_equal(whole, liquid.run(inputs, first_sample=1).spikes)
    assert not np.array_equal(whole, Liquid(spec, image, noise_seed=10).run(inputs).spikes)
    quiet = Liquid(replace(spec, noise_scale=None), image).run(inputs).spikes
    assert np.array_equal(Liquid(spec, image, noise_seed=None).run(inputs).spikes, quiet)


def test_one_neuron_by_hand() -> None:
    """Two rows of code 8 on the plus column: 2 ADC steps each; u = 4, leak to 3, u = 7 > 6: spike, reset, u = 4."""
    spec = replace(SMALL_CROSSBAR, threshold=6, windows=1)
    codes = np.zeros((spec.rows, spec.columns), int)
    codes[0, 0] = codes[1, 0] = 8
    inputs = np.zeros((spec.steps, spec.inputs), bool)
    inputs[:3, :2] = True
    trace = Liquid(spec, Conductances.of(spec, codes)).trace(inputs)
    assert trace.sums[0, :3].tolist() == [16, 0, 0]
    assert trace.membrane[:5, 0].tolist() == [4, 7, 4, 3, 3]
    assert trace.stored[:5, 0].tolist() == [3, 0, 3, 3, 3]
    assert trace.spikes[:, 0].tolist() == [False, True, *[False] * 6]
    assert trace.counts[0].tolist() == [1, 0, 0, 0, 0, 0]


def test_shifts_of_the_leak_round_down() -> None:
    values = np.array([-17, -16, -1, 0, 1, 15, 16, 31])
    assert leak(values, (-4,)).tolist() == [-15, -15, 0, 0, 1, 15, 15, 30]
    assert leak(values, (-2, 3)).tolist() == [
        u - int(np.floor(Fraction(u, 4))) + int(np.floor(Fraction(u, 8))) for u in values.tolist()
    ]


def test_refractory_neurons_integrate() -> None:
    spec = replace(SMALL_CROSSBAR, refractory_steps=2)
    fired = fire(np.array([9, 9, 9]), np.array([0, 2, 1]), 5, replace(spec, neurons=3))
    assert fired.spikes.tolist() == [True, False, False]
    assert fired.membrane.tolist() == [0, 7, 7]
    assert fired.refractory.tolist() == [2, 1, 0]


def test_batches_keep_order() -> None:
    rows, spec = np.array([1, 4, 5, 9, 10]), replace(SMALL_CROSSBAR, rows_per_read=2)
    assert [batch.tolist() for batch in batches(rows, spec)] == [[1, 4], [5, 9], [10]]
    assert batches(rows[:0], spec) == []
    tile = replace(spec, macro_rows=4)
    assert [batch.tolist() for batch in batches(rows, tile)] == [[1], [4, 5], [9, 10]]
    assert tile.tile_rows == (4, 4, 3)
    assert (spec.batches_per_step, tile.batches_per_step) == (6, 6)
    assert replace(tile, rows_per_read=3).batches_per_step == 5


@pytest.mark.parametrize("noise_scale", [None, 9])
def test_read_noise_of_a_tile(noise_scale: int | None) -> None:
    """A conversion of any macro draws the next number of its column's generator, as the scalar definition does."""
    rng = np.random.default_rng(7)
    spec = replace(SMALL_CROSSBAR, inputs=13, rows=20, rows_per_read=4, macro_rows=5, steps=8, noise_scale=noise_scale)
    image, inputs = random_image(spec, rng, ideal=True), rng.random((5, spec.steps, spec.inputs)) < 0.5
    runs = [scalar_run(spec, image, sample.tolist(), 11, number) for number, sample in enumerate(inputs)]
    quiet = Liquid(replace(spec, noise_scale=None), image).run(inputs)
    for engine in ("numpy", "numba"):
        found = Liquid(spec, image, engine, noise_seed=11).run(inputs)
        assert found.spikes.tolist() == [run.spikes for run in runs]
        assert (found.spikes != quiet.spikes).any() == (noise_scale is not None)


def test_a_homeostat_of_a_tile_follows_its_spikes() -> None:
    """It moves the threshold as that of one macro does: it is told of the same spikes."""
    rng = np.random.default_rng(8)
    spec = replace(
        SMALL_CROSSBAR, inputs=13, rows=20, rows_per_read=4, macro_rows=5, steps=8,
        homeostat=HomeostatParameters(samples=2, ratio=20, band=1),
    )  # fmt: skip
    image, inputs = random_image(spec, rng, ideal=True), rng.random((12, spec.steps, spec.inputs)) < 0.5
    activity, thresholds = Liquid(spec, image).regulated(inputs, Homeostat(spec))
    assert len(np.unique(thresholds)) > 2
    alone = [Liquid(spec, image, threshold=int(t)).run(one[None]) for one, t in zip(inputs, thresholds, strict=True)]
    assert activity.spikes.tolist() == np.concatenate([one.spikes for one in alone]).tolist()
    told = Homeostat(spec)
    for pair in range(0, 12, 2):
        assert (thresholds[pair : pair + 2] == told.threshold).all()
        told.after(int(activity.spikes[pair : pair + 2].sum()), int(inputs[pair : pair + 2].sum()), 2)


@pytest.mark.parametrize("ideal", [True, False])
def test_a_tile_reads_each_of_its_macros_by_itself(ideal: bool) -> None:
    """Engines are the scalar definition; and the tile is its macros, whose codes are added."""
    rng = np.random.default_rng(6)
    spec = replace(SMALL_CROSSBAR, inputs=13, rows=20, rows_per_read=4, macro_rows=5, steps=8)
    if not ideal:
        spec = replace(spec, column_current_limit_ua=2.5)
    image = random_image(spec, rng, ideal=True)
    inputs = rng.random((5, spec.steps, spec.inputs)) < 0.5
    runs = [scalar_run(spec, image, sample.tolist(), None, 0) for sample in inputs]
    assert max(len(rows) for run in runs for _, rows, _ in run.reads) == 4
    for engine in ("numpy", "numba"):
        found = Liquid(spec, image, engine).run(inputs)
        assert found.spikes.tolist() == [run.spikes for run in runs]
        assert found.reads.tolist() == [len(run.reads) for run in runs]
    with pytest.raises(ValueError, match="expected ideal ADCs in a tile of macros"):
        Liquid(spec, random_image(spec, rng, ideal=False))
    one = Liquid(replace(spec, macro_rows=None), image).run(inputs)
    assert (one.spikes != found.spikes).any()
    assert (one.reads < found.reads).any()
    trace = Liquid(spec, image).trace(inputs[0])
    for step in range(spec.steps):
        reads = [rows for rows, of in zip(trace.read_rows, trace.read_step, strict=True) if of == step]
        added = np.zeros(spec.columns, np.int64)
        for first in range(0, spec.rows, 5):
            own = np.concatenate([r for r in reads if first <= r[0] < first + 5] or [np.zeros(0, int)])
            for start in range(0, len(own), 4):
                sums = image.codes[own[start : start + 4]].sum(axis=0).astype(np.int64)
                limit = spec.column_limit
                added += np.minimum((sums if limit is None else np.minimum(sums, limit)) >> 2, 15)
        wanted = (added[0::2] - added[1::2])[: spec.neurons]
        assert (trace.differential[trace.read_step == step].sum(axis=0) == wanted).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"macro_rows": 7}, "macro_rows: expected a part of the 12 rows, at least rows_per_read 3, got 7"),
        ({"macro_rows": 2}, "macro_rows: expected a part of the 12 rows, at least rows_per_read 3, got 2"),
        ({"macro_rows": 6, "gain_spread": 0.1}, "gain_spread: expected none in a tile of macros"),
        ({"macro_rows": 6, "macros": 2}, "macros: expected 1 in a tile of macros, got 2"),
        ({"macro_columns": 8, "macros": 2}, "macros: expected 1 in a tile of macros, got 2"),
        ({"macro_rows": 12, "macros": 2}, "macros: expected 1 in a tile of macros, got 2"),
        ({"macro_columns": 4}, "macro_columns: expected a part of the 16 columns with whole lanes of 8, got 4"),
        ({"macro_columns": 12}, "macro_columns: expected a part of the 16 columns with whole lanes of 8, got 12"),
        ({"macro_columns": 32}, "macro_columns: expected 1 to 16, got 32"),
    ],
)
def test_a_tile_that_cannot_be_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL_CROSSBAR, **change)
    tile = replace(SMALL_CROSSBAR, macro_rows=6, macro_columns=8)
    assert (tile.macro_shape, SMALL_CROSSBAR.macro_shape) == ((6, 8), (12, 16))
    assert CrossbarSpec.from_toml(tile.to_toml()) == tile
    assert "macro_rows" not in SMALL_CROSSBAR.to_toml()
    # each macro below another has ADCs of its own: 8 column pairs, 4 to a pair of ADCs
    assert (SMALL_CROSSBAR.all_adcs, tile.all_adcs) == (4, 8)


@pytest.mark.parametrize("seed", range(12))
def test_membrane_bounds_hold_for_the_worst_image(seed: int) -> None:
    """Plus columns at full conductance, minus at none, gains at their largest, threshold never passed.

    The bound is inductive; how close the potential comes to it depends on rounding only.
    """
    rng = np.random.default_rng(100 + seed)
    spec = random_crossbar(rng, noise_scale=255 if seed % 2 else None)
    spec = replace(spec, steps=spec.windows * 40, threshold=spec.threshold_max)
    codes = np.zeros((spec.rows, spec.columns), int)
    codes[:, seed % 2 :: 2] = spec.code_max
    image = Conductances.of(
        spec, codes, adc_gain=np.full(spec.adcs, spec.gain_max), adc_offset=np.full(spec.adcs, spec.offset_max)
    )
    run = scalar_run(spec, image, [[1] * spec.inputs] * spec.steps, 1, 0)
    assert run.stored <= spec.membrane_rest_max
    assert run.largest <= spec.membrane_max < 1 << (spec.membrane_width - 1)


def test_membrane_bound_is_inductive_and_tight() -> None:
    """For all potentials within the bound, exhaustively; and no smaller bound of the same kind would do."""
    for seed in range(20):
        spec = random_crossbar(np.random.default_rng(seed))
        rest, step = spec.membrane_rest_max, spec.step_input_max
        if rest > 20000:
            continue
        everything = np.arange(-rest - step, rest + step + 1)
        assert np.abs(leak(everything, spec.leak)).max() <= rest
        terms = max(sum(s < 0 for s in spec.leak), sum(s > 0 for s in spec.leak))
        assert spec.decay * (rest - 1 + step) + terms > rest - 1


def test_counts_reach_their_width() -> None:
    spec = replace(SMALL_CROSSBAR, threshold=0, windows=1, refractory_steps=2)
    codes = np.zeros((spec.rows, spec.columns), int)
    codes[:, 0::2] = spec.code_max
    counts = Liquid(spec, Conductances.of(spec, codes)).counts(np.ones((1, spec.steps, spec.inputs), bool))
    assert counts.max() == spec.count_max == 3
    assert spec.count_width == 2


def test_noise_register_has_the_full_period_and_the_stated_spread() -> None:
    # x^31 + x^28 + 1 is primitive: 2^31 - 1 is prime, so it suffices that x^(2^31) = x modulo the polynomial
    def square(a: int) -> int:
        wide = sum(1 << (2 * i) for i in range(31) if a >> i & 1)
        for power in range(61, 30, -1):
            if wide >> power & 1:
                wide ^= (1 << power) ^ (1 << (power - 3)) ^ (1 << (power - 31))
        return wide

    x = 2
    for _ in range(31):
        x = square(x)
    assert x == 2
    states = noise.start_states(12345, np.arange(50), 64)
    assert len(np.unique(states)) > 0.999 * states.size
    drawn = []
    for _ in range(40):
        states = noise.advance(states)
        drawn.append(noise.draw(states, 64))
    values = np.stack(drawn)
    assert abs(values.mean()) < 4 * 9.22 / np.sqrt(values.size)
    assert abs(values.std() / 9.2195 - 1) < 0.01
    assert -30 <= values.min() < -25
    assert 25 < values.max() <= 30
    # neither successive draws nor neighbouring ADCs follow each other
    for left, right in (
        (values[:-1], values[1:]),
        (values[..., :-1], values[..., 1:]),
        (values[:, :-1], values[:, 1:]),
    ):
        # registers of two ADCs differ by a fixed sequence, which leaves a few hundredths by chance
        assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 0.03
    with pytest.raises(ValueError, match="noise seed"):
        noise.start_states(2**31, 0, 4)


def test_readout_is_the_sum() -> None:
    rng = np.random.default_rng(0)
    spec = replace(SMALL_CROSSBAR, windows=2, outputs=4, readout_weight_bits=5)
    weights = rng.integers(-16, 16, (4, 2, 6))
    bias = rng.integers(-50, 50, 4)
    counts = rng.integers(0, spec.count_max + 1, (7, 2, 6))
    readout = Readout(spec, weights, bias)
    expected = [
        [int(bias[o]) + sum(int(n[w, j]) * int(weights[o, w, j]) for w in range(2) for j in range(6)) for o in range(4)]
        for n in counts
    ]
    assert readout.scores(counts).tolist() == expected
    assert readout.classify(counts).tolist() == [row.index(max(row)) for row in expected]
    tie = Readout(spec, np.zeros_like(weights), [3, 7, 7, 0])
    assert tie.classify(counts[:1]).tolist() == [1]


def test_readout_width_holds_the_worst_weights() -> None:
    for spec in (N_MNIST, SMALL_CROSSBAR, replace(FULL_MACRO, windows=5, readout_weight_bits=12)):
        low = -spec.readout_weight_max - 1
        weights = np.full((spec.outputs, spec.windows, spec.neurons), low)
        worst = Readout(spec, weights, np.full(spec.outputs, -spec.bias_max - 1))
        counts = np.full((1, spec.windows, spec.neurons), spec.count_max)
        half = 1 << (spec.score_width - 1)
        assert -half <= worst.scores(counts).min()
        assert worst.scores(counts).min() < -half // 4


def test_bad_input_is_refused() -> None:
    image = random_image(SMALL_CROSSBAR, np.random.default_rng(0))
    liquid = Liquid(SMALL_CROSSBAR, image)
    with pytest.raises(ValueError, match=r"expected the shape \(n, 8, 5\), got \(2, 8, 4\)"):
        liquid.run(np.zeros((2, 8, 4), bool))
    bad = np.zeros((2, 8, 5), int)
    bad[1, 3, 4] = 2
    with pytest.raises(ValueError, match=r"expected 0 or 1, got 2 at index \(1, 3, 4\)"):
        liquid.run(bad)
    with pytest.raises(TypeError, match="float64"):
        liquid.run(np.zeros((2, 8, 5)))
    with pytest.raises(ValueError, match="threshold: expected 0 to"):
        Liquid(SMALL_CROSSBAR, image, threshold=1 << 30)
    with pytest.raises(ValueError, match="not one for N_MNIST: rows is 12, expected 512"):
        Liquid(N_MNIST, image)
    spec = SMALL_CROSSBAR
    with pytest.raises(ValueError, match=r"readout weight: expected -128 to 127, got 128 at index \(0, 0, 0\)"):
        Readout(spec, np.full((3, 2, 6), 128), [0, 0, 0])
    with pytest.raises(ValueError, match=r"readout weights: expected the shape \(3, 2, 6\)"):
        Readout(spec, np.zeros((3, 6), int), [0, 0, 0])
    with pytest.raises(ValueError, match="spike count"):
        Readout(spec, np.zeros((3, 2, 6), int), [0, 0, 0]).scores(np.full((1, 2, 6), 5))
    assert liquid.run(np.zeros((0, 8, 5), bool)).counts.shape == (0, 2, 6)
