"""A tuned liquid in the crossbar: its frozen weights are written once into the cells of a macro, or of a tile of them.

What ``liquidcal transfer`` does. The neurons of the two chips differ, and the map between them is this:

- A step is a step. Sources of the liquid are word lines, inputs first; neuron j is column pair j. Input spikes are
  those of the liquid's input neurons, which rest after a spike.
- A weight w is the difference of a pair: ``w / weight_max`` of the largest conductance in the plus cell, or its
  magnitude in the minus cell. Where there is no synapse, both cells stay pristine.
- A current of the liquid fades by 5/8 a step, so that a spike brings ``8/5 w`` in all; the crossbar has no current, a
  spike moves the potential at once. The threshold is ``spike_threshold * 5/8`` in ADC codes of one weight, times a
  factor that validation chooses, as for any liquid. Leak and steps of rest are the liquid's.
- A liquid of more than 256 neurons, or of more than 512 inputs and neurons, takes a tile of macros of 512 x 512 cells:
  its neurons are split over macros beside each other, its sources over macros below each other, whose codes are added
  in the neurons (`sim.lsm_crossbar.spec.CrossbarSpec.macro_rows`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flows.common.journal import Journal
from flows.stimulus.astrocyte_samples import SampleFiles, learned_set, scored_set
from sim.astrocyte_liquid.learning.model import TrainedLiquid
from sim.astrocyte_liquid.network import Network
from sim.astrocyte_liquid.neuron import input_spikes
from sim.astrocyte_liquid.spec import CURRENT_DECAY, AstrocyteSpec
from sim.fixed_point import IntArray
from sim.lsm_crossbar.learning.readout_training import TrainedReadout, accuracy, train
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import noise_scale, quantise, written_conductances_us
from sim.lsm_crossbar.spec import CrossbarSpec, DeviceParameters

__all__ = [
    "FACTORS", "Samples", "Transfer", "chip_spec", "digit_samples", "scored", "target_conductances_us", "transfer",
    "written",
]  # fmt: skip

FACTORS = (0.5, 0.8, 1.25, 2.0, 3.2)
"""Of the threshold, tried on validation."""
PENALTIES = (1e-2, 3e-2, 1e-1, 3e-1)
BLOCK = 250
MACRO = 512
"""Rows and columns of a macro."""


def chip_spec(
    liquid: AstrocyteSpec, device: DeviceParameters | None = None, *, read_noise: float | None = None
) -> CrossbarSpec:
    """The crossbar for a liquid: one macro of 512 x 512 cells, or as many as it takes.

    Parameters
    ----------
    liquid : AstrocyteSpec
    device : DeviceParameters, optional
        Programming error, drift and the rest; cells without any of them where left out.
    read_noise : float, optional
        Of a cell, relative.

    Raises
    ------
    ValueError
        If the liquid takes more than 8 macros below or beside each other.
    """
    rows, columns = -(-(liquid.inputs + liquid.neurons) // MACRO) * MACRO, -(-2 * liquid.neurons // MACRO) * MACRO
    spec = CrossbarSpec(
        name=f"{liquid.name}_{'MACRO' if rows == columns == MACRO else 'TILE'}", rows=rows, columns=columns,
        macro_rows=MACRO if rows > MACRO else None,
        macro_columns=MACRO if columns > MACRO else None, inputs=liquid.inputs, neurons=liquid.neurons,
        steps=liquid.steps, outputs=liquid.outputs, threshold=1, leak=(-liquid.leak_shift,),
        refractory_steps=liquid.refractory_steps, device=device or DeviceParameters(pristine_resistance_mohm=None),
    )  # fmt: skip
    numerator, shift = CURRENT_DECAY
    remains = 1 - numerator / (1 << shift)
    codes = liquid.spike_threshold / liquid.weight_max * spec.code_max * remains / (1 << spec.adc_shift)
    return replace(spec, threshold=round(codes), noise_scale=noise_scale(spec, read_noise))


def target_conductances_us(
    network: Network, weights: npt.NDArray[np.integer], spec: CrossbarSpec
) -> npt.NDArray[np.float64]:
    """What the cells are to be programmed to, uS; shape (rows, columns).

    Parameters
    ----------
    network : Network
    weights : ndarray of int, shape (synapses,)
        Codes of the liquid's chip.
    spec : CrossbarSpec
    """
    liquid = network.spec
    unused = liquid.first_neuron - liquid.inputs
    row = np.where(network.source < liquid.first_neuron, network.source, network.source - unused)
    found = np.zeros((spec.rows, spec.columns))
    share = np.abs(weights) / liquid.weight_code_max
    found[row, 2 * network.target + (weights < 0)] = share * spec.g_max_us
    return found


def written(targets_us: npt.NDArray[np.float64], spec: CrossbarSpec, seed: int) -> Conductances:
    """The macro after it was programmed, with the errors of a seed."""
    return Conductances.of(spec, quantise(written_conductances_us(targets_us, spec, seed), spec), seed=seed)


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Input spikes and labels of three parts: training, validation, test."""

    spikes: tuple[npt.NDArray[np.bool_], ...]
    labels: tuple[IntArray, ...]


def digit_samples(
    liquid: AstrocyteSpec,
    sizes: tuple[int, int, int],
    seed: int,
    digits: Path | None = None,
    scale: float | None = None,
) -> Samples:
    """Digits as spikes of the liquid's input neurons; test digits are those that `evaluate_liquid` scores.

    Parameters
    ----------
    liquid : AstrocyteSpec
    sizes : (int, int, int)
        Of training, validation and test.
    seed : int
        Of order and spikes.
    digits : Path, optional
        As of `sim.digits.read_digits`.
    scale : float, optional
        Of `sim.astrocyte_liquid.learning.images.probabilities`; that of the training part where left out.
    """
    given = SampleFiles(digits=digits)
    learned, test = learned_set(liquid, given), scored_set(liquid, given)
    if sizes[0] + sizes[1] > len(learned) or sizes[2] > len(test):
        raise ValueError(f"expected at most {len(learned):,} + {len(test):,} digits, got {sum(sizes):,}")
    order = np.random.default_rng([seed, 0x7AF]).permutation(len(learned))
    rows = np.split(order[: sizes[0] + sizes[1]], [sizes[0]])
    parts = (learned.take(rows[0]), learned.take(rows[1]), test.take(np.arange(sizes[2])))
    spikes = []
    for number, part in enumerate(parts):
        stimuli, scale = replace(part, numbers=(number << 28) + np.arange(len(part))).shown(liquid, scale)
        fired = np.empty((len(part), liquid.steps, liquid.inputs), bool)
        for first in range(0, len(part), BLOCK):
            block = np.arange(first, min(first + BLOCK, len(part)))
            fired[block] = [input_spikes(one, liquid) for one in stimuli.samples(block, liquid.steps, seed)]
        spikes.append(fired)
    return Samples(spikes=tuple(spikes), labels=tuple(part.labels for part in parts))


@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer:
    """A liquid on a macro.

    Attributes
    ----------
    spec : CrossbarSpec
        With the threshold that validation chose.
    conductances : Conductances
    readout : TrainedReadout
    accuracy : float
        On the test part.
    rate : float
        Spikes of a neuron and step in training.
    """

    spec: CrossbarSpec
    conductances: Conductances
    readout: TrainedReadout
    accuracy: float
    rate: float


def scored(
    spec: CrossbarSpec, make: Callable[[CrossbarSpec], Conductances], samples: Samples,
    factors: tuple[float, ...] = FACTORS,
) -> Transfer:  # fmt: skip
    """Choose threshold and readout of a macro on validation, and score it once.

    Parameters
    ----------
    spec : CrossbarSpec
        Its threshold times each of `factors` is tried.
    make : callable
        The macro for a spec.
    samples : Samples
    factors : tuple of float
    """
    best: tuple[float, CrossbarSpec, TrainedReadout, float] | None = None
    for factor in factors:
        tried = replace(spec, threshold=max(1, round(factor * spec.threshold)))
        liquid = Liquid(tried, make(tried))
        learned = liquid.counts(samples.spikes[0])
        readout = train(
            tried, learned, samples.labels[0], liquid.counts(samples.spikes[1], len(learned)), samples.labels[1],
            methods=("ridge",), ridge_penalties=PENALTIES,
        )  # fmt: skip
        if best is None or readout.chosen.validation_accuracy > best[0]:
            rate = float(learned.sum() / (len(learned) * tried.steps * tried.neurons))
            best = (readout.chosen.validation_accuracy, tried, readout, rate)
    if best is None:
        raise ValueError("expected at least one factor of the threshold")
    _, chosen, readout, rate = best
    image = make(chosen)
    counts = Liquid(chosen, image).counts(samples.spikes[2], sum(map(len, samples.spikes[:2])))
    right = accuracy(readout.readout, counts, samples.labels[2])
    return Transfer(spec=chosen, conductances=image, readout=readout, accuracy=right, rate=rate)


def transfer(
    model: TrainedLiquid, device: DeviceParameters, journal: Journal, *, seed: int = 0, read_noise: float | None = None,
    digits: Path | None = None, sizes: tuple[int, int, int] = (1_500, 500, 1_000),
) -> Transfer:  # fmt: skip
    """Write a tuned liquid into a macro or a tile, train the readout there, and score it.

    Parameters
    ----------
    model : TrainedLiquid
    device : DeviceParameters
    journal : Journal
    seed : int
        Of what goes wrong in the macro, and of order and spikes of the digits.
    read_noise : float, optional
    digits : Path, optional
    sizes : (int, int, int)

    Raises
    ------
    ValueError
        As of `chip_spec`, or there are too few digits.
    """
    spec = chip_spec(model.spec, device, read_noise=read_noise)
    targets = target_conductances_us(model.network, model.weights, spec)
    with journal.step(f"{sum(sizes):,} digits as spikes"):
        samples = digit_samples(model.spec, sizes, seed, digits, model.scale)
    with journal.step(f"{spec.name}: threshold and readout on validation"):
        return scored(spec, lambda chosen: written(targets, chosen, seed), samples)
