"""Several macros side by side: each is the scalar definition of one, and one readout sees all of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.lsm_crossbar.energy import inference_energy
from sim.lsm_crossbar.learning.health import recurrent_weights
from sim.lsm_crossbar.learning.model import TrainedCrossbar
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import read_conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.macro_model.measured_file import image_of
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.events import find_encoding
from sim.lsm_crossbar.registers import register_writes
from sim.lsm_crossbar.spec import N_MNIST, N_MNIST_4_MACROS, CrossbarSpec, HomeostatParameters
from sim.lsm_crossbar.timing import driven_rows, readout_clocks, step_clocks
from tests.crossbars import SMALL_CROSSBAR, random_image, scalar_run

SPEC = replace(SMALL_CROSSBAR, name="THREE", macros=3)


def samples(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).random((count, SPEC.steps, SPEC.inputs)) < 0.5


@pytest.mark.parametrize("engine", ["numpy", "numba"])
def test_every_macro_is_the_scalar_definition(engine: str) -> None:
    image = random_image(SPEC, np.random.default_rng(2), ideal=False)
    inputs = samples(3, 3)
    found = Liquid(SPEC, image, engine).run(inputs)
    for index, sample in enumerate(inputs):
        # cut out of the arrays here, not by the model
        parts = [
            scalar_run(
                SPEC.one_macro,
                replace(
                    image, macros=1, codes=image.codes[12 * m : 12 * m + 12],
                    adc_gain=image.adc_gain[4 * m : 4 * m + 4], adc_offset=image.adc_offset[4 * m : 4 * m + 4],
                ),
                sample.tolist(), None, 0,
            )
            for m in range(3)
        ]  # fmt: skip
        assert found.spikes[index].tolist() == np.concatenate([part.spikes for part in parts], axis=1).tolist()
        assert found.counts[index].tolist() == np.concatenate([part.counts for part in parts], axis=1).tolist()
        assert found.reads[index] == sum(len(part.reads) for part in parts)
        rows = [12 * m + row for m, part in enumerate(parts) for _, batch, _ in part.reads for row in batch]
        assert found.row_activations[index].tolist() == np.bincount(rows, minlength=36).tolist()
    assert found.spikes.any()
    with pytest.raises(ValueError, match="3 macros: expected one to trace"):
        Liquid(SPEC, image).trace(inputs[0])


def test_one_image_holds_the_draws_of_all(tmp_path: Path) -> None:
    image = draw(SPEC, 5)
    for number, seed in enumerate((15, 16, 17)):
        own = draw(SPEC.one_macro, seed)
        assert np.array_equal(image.macro(number).codes, own.codes)
        assert (image.macro(number).seed, image.macro(number).sha256) == (seed, own.sha256)
    assert not np.array_equal(image.macro(0).codes, image.macro(1).codes)
    path = image.write(tmp_path)
    again = read_conductances(path)
    assert (again.sha256, again.macros) == (image.sha256, 3)
    assert np.array_equal(again.codes, image.codes)
    lines = path.read_text().splitlines()
    assert lines[3].endswith(" macros=3")
    assert len([line for line in lines if not line.startswith("//")]) == 3 * SPEC.rows
    with pytest.raises(ValueError, match="macros is 3, expected 1"):
        image.check(SPEC.one_macro)
    path.write_text(path.read_text().replace("macros=3", "macros=2"))
    with pytest.raises(ValueError, match="expected 24 rows after the header, got 36"):
        read_conductances(path)
    measured = image_of(SPEC, np.full((36, 16), 3.0), name="x")
    assert measured.macros == 3
    with pytest.raises(ValueError, match=r"expected the shape \(36, 16\), got \(12, 16\)"):
        image_of(SPEC, np.full((12, 16), 3.0), name="x")


def test_spec() -> None:
    assert CrossbarSpec.from_toml(SPEC.to_toml()) == SPEC
    # files from before there were several macros stay as they are
    assert "macros" not in N_MNIST.to_toml()
    assert (N_MNIST_4_MACROS.all_neurons, N_MNIST_4_MACROS.features) == (800, 4000)
    assert N_MNIST_4_MACROS.score_width == N_MNIST.score_width + 2
    seeds = [SPEC.macro_seed(seed, macro) for seed in range(4) for macro in range(3)]
    assert sorted(set(seeds)) == list(range(12))
    homeostats = [{"homeostat": HomeostatParameters(per=per)} for per in ("layer", "neuron")]
    for field in ({"noise_scale": 3}, *homeostats):
        with pytest.raises(ValueError, match=f"{next(iter(field))}: expected none of any kind with 3 macros"):
            replace(SPEC, **field)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="macros"):
        replace(SPEC, macros=0)


def test_readout_weighs_the_counts_of_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    weights = rng.integers(-9, 10, (SPEC.outputs, SPEC.windows, 18))
    readout = Readout(SPEC, weights, np.arange(SPEC.outputs))
    image, inputs = draw(SPEC, 1), samples(4, 2)
    counts = Liquid(SPEC, image).counts(inputs)
    want = [
        [o + sum(int(c) * int(w) for c, w in zip(sample.ravel(), weights[o].ravel(), strict=True)) for o in range(3)]
        for sample in counts
    ]
    assert readout.scores(counts).tolist() == want
    assert len(register_writes(SPEC, weights=weights)) == SPEC.features * 3
    with pytest.raises(ValueError, match="expected the shape"):
        Readout(SPEC, weights[:, :, :6], np.zeros(3, int))
    model = TrainedCrossbar.trained(
        replace(N_MNIST, macros=2, name="TWO"), draw(replace(N_MNIST, macros=2, name="TWO"), 3),
        encoding=find_encoding("centre_crop"), step_us=1,
        readout=Readout(replace(N_MNIST, macros=2, name="TWO"), np.ones((10, 5, 400), int), np.zeros(10, int)),
    )  # fmt: skip
    model.save(tmp_path / "m.npz")
    again = TrainedCrossbar.load(tmp_path / "m.npz")
    assert again.spec.macros == 2
    assert again.conductances.sha256 == model.conductances_sha256


def test_a_step_takes_as_long_as_its_busiest_macro() -> None:
    rng = np.random.default_rng(7)
    inputs, spikes = rng.random((2, 8, 5)) < 0.5, rng.random((2, 8, 18)) < 0.4
    found = driven_rows(SPEC, inputs, spikes)
    for n in range(2):
        for step in range(8):
            own = [int(spikes[n, step - 1, 6 * m : 6 * m + 6].sum()) if step else 0 for m in range(3)]
            assert found[n, step] == inputs[n, step].sum() + max(own)
    clocks = [step_clocks(SPEC, rows) for rows in range(SPEC.used_rows + 1)]
    assert clocks == sorted(clocks)
    assert readout_clocks(SPEC) - readout_clocks(SPEC.one_macro) == 12


def test_energy_is_the_sum_of_the_macros() -> None:
    image, inputs = draw(SPEC, 2), samples(5, 4)
    whole = inference_energy(SPEC, image, Liquid(SPEC, image).run(inputs))
    parts = []
    for number in range(3):
        own = image.macro(number)
        parts.append(inference_energy(SPEC.one_macro, own, Liquid(SPEC.one_macro, own).run(inputs)))
    for field in ("cells_pj", "word_lines_pj", "adcs_pj"):
        nominal = sum(getattr(part, field).nominal for part in parts)
        assert getattr(whole, field).nominal == pytest.approx(nominal), field
    assert whole.synaptic_operations == pytest.approx(sum(part.synaptic_operations for part in parts))


def test_no_neuron_sees_another_macro() -> None:
    image = draw(SPEC, 2)
    weights = recurrent_weights(SPEC, image)
    assert weights.shape == (18, 18)
    for number in range(3):
        block = slice(6 * number, 6 * number + 6)
        assert np.array_equal(weights[block, block], recurrent_weights(SPEC.one_macro, image.macro(number)))
        weights[block, block] = 0
    assert not weights.any()
