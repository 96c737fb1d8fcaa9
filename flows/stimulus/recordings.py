"""Event recordings and random spikes as stimulus of a crossbar: words of its input port."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.engine import Engine
from sim.fixed_point import IntArray
from sim.lsm_crossbar.learning.model import TrainedCrossbar, shipped_models
from sim.lsm_crossbar.liquid import Activity as LiquidActivity
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.macro_model.device import draw
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.recordings.event_camera import EventCamera, mnist_digits
from sim.lsm_crossbar.recordings.speech import tidigits_like
from sim.lsm_crossbar.spec import CrossbarSpec
from sim.lsm_crossbar.timing import Timing, driven_rows, sample_timing

__all__ = ["CrossbarStimulus", "event_words", "quiet_spikes", "random_spikes", "recorded_stimulus"]


Bits = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class CrossbarStimulus:
    """Samples of several streams with the chip that they are meant for.

    Attributes
    ----------
    spec : CrossbarSpec
    conductances : Conductances
    readout : Readout
    spikes : ndarray of bool, shape (streams, steps, inputs)
        Stream k runs sample k first, then those after it.
    source : str
    """

    spec: CrossbarSpec
    conductances: Conductances
    readout: Readout
    spikes: Bits
    source: str

    @cached_property
    def golden(self) -> LiquidActivity:
        """What the golden model does; a real macro's noise is not in it."""
        return Liquid(self.spec, self.conductances, Engine.NUMPY, noise_seed=None).run(self.spikes)

    def timing(self, stream: int) -> Timing:
        """Clocks of a stream that runs all samples from its own on."""
        spikes, own = (np.roll(array, -stream, axis=0) for array in (self.spikes, self.golden.spikes))
        return sample_timing(self.spec, spikes.sum(axis=2), driven_rows(self.spec, spikes, own))


def recorded_stimulus(
    spec: CrossbarSpec, *, streams: int, seed: int = 1, weights: Path | None = None
) -> CrossbarStimulus:
    """N-MNIST-like recordings of a trained model of `spec`, else random spikes.

    Parameters
    ----------
    spec : CrossbarSpec
    streams : int
        Samples, at least one.
    seed : int
        Of digits and camera; without a model of macro, readout and spikes.
    weights : Path, optional
        The model; a shipped one of this spec, if there is one, where left out.

    Raises
    ------
    ValueError
        A model of another spec.
    """
    rng = np.random.default_rng(seed)
    candidates = {name: name for name in shipped_models()} if weights is None else {"": str(weights)}
    for name, file in candidates.items():
        trained = TrainedCrossbar.load(file)
        if trained.spec == spec:
            if trained.hears:
                return _spoken_stimulus(trained, name, rng, streams, seed)
            digits = mnist_digits("first_thousand").take(rng.permutation(1000)[:streams])
            return CrossbarStimulus(
                spec=spec, conductances=trained.conductances, readout=trained.readout,
                spikes=trained.spikes(EventCamera(seed=seed).record_all(digits.images)),
                source=f"model {name or f'on the {trained.macro_name}'}: {streams} N-MNIST-like recordings of"
                f" digits, seed {seed}",
            )  # fmt: skip
    if weights is not None:
        raise ValueError(f"{weights} was trained for another spec than {spec.name}")
    codes = rng.integers(0, 1 << spec.readout_weight_bits, (spec.outputs, spec.windows, spec.all_neurons))
    return CrossbarStimulus(
        spec=spec, conductances=draw(spec, seed),
        readout=Readout(spec, spec.readout_weights_of(codes), np.zeros(spec.outputs, np.int64)),
        spikes=rng.random((streams, spec.steps, spec.inputs)) < 0.05,
        source=f"{streams} samples of random spikes, 5 % of the inputs in each step, random readout, seed {seed}",
    )  # fmt: skip


def _spoken_stimulus(
    trained: TrainedCrossbar, name: str, rng: np.random.Generator, streams: int, seed: int
) -> CrossbarStimulus:
    """Clips of the shipped TIDIGITS-like set, for a model that hears."""
    spec, spoken = trained.spec, tidigits_like()
    if spoken.spikes.shape[1:] != (spec.steps, spec.inputs):
        raise ValueError(
            f"{spec.name}: the shipped clips have {spoken.spikes.shape[1]} steps of {spoken.spikes.shape[2]} channels, "
            f"the spec {spec.steps} of {spec.inputs}"
        )
    return CrossbarStimulus(
        spec=spec, conductances=trained.conductances, readout=trained.readout,
        spikes=spoken.spikes[rng.permutation(len(spoken.labels))[:streams]],
        source=f"model {name or f'on the {trained.macro_name}'}: {streams} TIDIGITS-like clips, seed {seed}",
    )  # fmt: skip


def event_words(
    spec: CrossbarSpec, spikes: npt.ArrayLike, rng: np.random.Generator | None = None
) -> tuple[IntArray, IntArray]:
    """Events of samples, as words of the input stream.

    Parameters
    ----------
    spec : CrossbarSpec
    spikes : array_like of bool, shape (n, steps, inputs)
    rng : Generator, optional
        Shuffles the events of each step and repeats some of them; without it rows come ascending, once each.

    Returns
    -------
    words : ndarray of int64, shape (events,)
        The step's rows, then a word with the bit above the row's set.
    counts : ndarray of int64, shape (n, steps)
        Events of each step without the end.
    """
    samples = np.asarray(spikes, bool).reshape(-1, spec.inputs)
    end = 1 << spec.row_bits
    parts, counts = [], []
    for step in samples:
        rows = np.flatnonzero(step)
        if rng is not None and len(rows):
            rows = rng.permutation(np.concatenate([rows, rng.choice(rows, int(rng.integers(len(rows) + 1)))]))
        # the row of an end of step means nothing
        last = end | (0 if rng is None else int(rng.integers(end)))
        parts.append(np.append(rows, last))
        counts.append(len(rows))
    return np.concatenate(parts), np.array(counts).reshape(-1, spec.steps)


BoolArray = npt.NDArray[np.bool_]


def random_spikes(spec: CrossbarSpec, rng: np.random.Generator, samples: int) -> BoolArray:
    """Input spikes, shape (samples, steps, inputs): silent steps, single rows, sparse, dense and full steps."""
    spikes = np.zeros((samples, spec.steps, spec.inputs), bool)
    for step in spikes.reshape(-1, spec.inputs):
        match int(rng.integers(6)):
            case 0:
                pass
            case 1:
                step[rng.integers(spec.inputs)] = True
            case 2:
                step[:] = rng.random(spec.inputs) < 0.1
            case 3 | 4:
                step[:] = rng.random(spec.inputs) < rng.uniform(0.2, 0.9)
            case 5:
                step[:] = True
    return spikes


def quiet_spikes(spec: CrossbarSpec, rng: np.random.Generator, samples: int) -> BoolArray:
    """Input spikes, shape (samples, steps, inputs): at most one row a step, and a silent first step in every sample.

    A neuron's potential then comes from a single read, or from a step without any.
    """
    spikes = np.zeros((samples, spec.steps, spec.inputs), bool)
    for sample in spikes:
        sample[np.arange(spec.steps), rng.integers(0, spec.inputs, spec.steps)] = rng.random(spec.steps) < 0.6
    spikes[:, 0] = False
    return spikes
