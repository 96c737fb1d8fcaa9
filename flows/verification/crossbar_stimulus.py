"""Stimulus of a crossbar's verification: random specs, conductances and spikes, and what the golden model expects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from flows.simulation.crossbar import Played
from flows.stimulus.recordings import event_words, quiet_spikes, random_spikes
from sim.fixed_point import IntArray
from sim.lsm_crossbar.homeostat import Homeostat, NeuronHomeostat, balanced_ratios
from sim.lsm_crossbar.liquid import Liquid
from sim.lsm_crossbar.macro_model.conductance_file import Conductances
from sim.lsm_crossbar.readout import Readout
from sim.lsm_crossbar.registers import register_writes
from sim.lsm_crossbar.spec import OWN_RATIO_MAX, RATE_MAX, RATIO_FRACTION, RATIO_MAX, CrossbarSpec
from sim.lsm_crossbar.timing import driven_rows, sample_timing

__all__ = [
    "IMAGES",
    "Segment",
    "Stimulus",
    "expected",
    "make_segment",
    "make_stimulus",
    "random_adcs",
    "random_image",
    "random_readout",
    "random_regulation",
]


IMAGES = ("uniform", "formed", "mixed", "zero", "max", "column", "plus", "minus")
"""Kinds of conductance images: random, and corners."""


def random_adcs(spec: CrossbarSpec, rng: np.random.Generator) -> dict[str, Any]:
    """Gains and offsets around the ideal ones, as keyword arguments of `Conductances.of`; a tile has ideal ADCs."""
    if spec.macro_rows is not None:
        return {}
    ideal = 1 << spec.gain_fraction
    spread = max(1, ideal // 4)
    return {
        "adc_gain": rng.integers(ideal - spread, ideal + spread, spec.image_adcs),
        "adc_offset": rng.integers(-(1 << (spec.offset_bits - 1)), 1 << (spec.offset_bits - 1), spec.image_adcs) // 4,
    }


def random_image(
    spec: CrossbarSpec, rng: np.random.Generator, kind: str, adcs: dict[str, Any] | None = None
) -> Conductances:
    """A conductance image of a kind of `IMAGES`.

    Parameters
    ----------
    spec : CrossbarSpec
    rng : Generator
    kind : str
        ``uniform``; ``formed``: about half of the cells near the middle code; ``mixed``: rows of every kind, so that
        the choice of rows reaches the corners; ``zero``, ``max``; ``column``: one column of largest codes; ``plus``,
        ``minus``: all plus, or all minus, columns at the largest code.
    adcs : dict, optional
        Of `random_adcs`; ideal ADCs if left out.
    """
    shape, top = (spec.image_rows, spec.columns), spec.code_max
    codes = np.zeros(shape, np.int64)
    match kind:
        case "uniform":
            codes = rng.integers(0, top + 1, shape)
        case "formed":
            formed = np.clip(np.rint(rng.normal(0.62, 0.1, shape) * top), 0, top).astype(np.int64)
            codes = np.where(rng.random(shape) < 0.5, formed, 0)
        case "mixed":
            codes = rng.integers(0, top + 1, shape)
            order = rng.permutation(spec.image_rows)
            codes[order[0::4], 0::2] = top
            codes[order[0::4], 1::2] = 0
            codes[order[1::8], 1::2] = top
            codes[order[1::8], 0::2] = 0
            codes[order[2::8]] *= rng.random((len(order[2::8]), spec.columns)) < 0.3
            # alone in a read, such a row leaves the converters nothing but noise
            codes[order[6::8]] = 0
        case "zero":
            pass
        case "max":
            codes[:] = top
        case "column":
            codes[:, rng.integers(2 * spec.neurons)] = top
        case "plus":
            codes[:, 0::2] = top
        case "minus":
            codes[:, 1::2] = top
        case _:
            raise ValueError(f"kind of image: expected one of {', '.join(IMAGES)}, got {kind!r}")
    return Conductances.of(spec, codes, seed=int(rng.integers(1 << 31)), **(adcs or {}))


def random_readout(spec: CrossbarSpec, rng: np.random.Generator, kind: str = "uniform") -> Readout:
    """Readout by kind: ``uniform``; ``lowest``, ``highest``: all weights and biases there; ``equal``: ties."""
    low, high = spec.readout_weight_min, spec.readout_weight_max
    shape = (spec.outputs, spec.windows, spec.all_neurons)
    codes = 1 << spec.readout_weight_bits
    match kind:
        case "uniform":
            weights = spec.readout_weights_of(rng.integers(0, codes, shape))
            span = min(spec.bias_max, 4 * high)
            bias = rng.integers(-span - 1, span + 1, spec.outputs)
        case "lowest":
            weights, bias = np.full(shape, low), np.full(spec.outputs, -spec.bias_max - 1)
        case "highest":
            weights, bias = np.full(shape, high), np.full(spec.outputs, spec.bias_max)
        case "equal":
            one = spec.readout_weights_of(rng.integers(0, codes, shape[1:]))
            weights = np.repeat(one[None], spec.outputs, axis=0)
            bias = np.zeros(spec.outputs, np.int64)
        case _:
            raise ValueError(f"kind of readout: got {kind!r}")
    return Readout(spec, weights, bias)


Regulation = tuple[int, int] | tuple[IntArray, int]
"""Ratio and band of a homeostat, or ratios and rate where each neuron has a threshold of its own."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """Samples under one set of settings, and what the golden model expects.

    Attributes
    ----------
    name : str
    readout : Readout
    threshold : int
    noise_seed : int or None
        None: noise switched off, or a spec without noise.
    words : ndarray of int64
        Events, see `flows.stimulus.recordings.event_words`.
    played : Played
        Expected.
    first_sample : int
        Samples since the noise seed was written; the seed is left alone if there are any.
    regulation : Regulation or None
        Of the homeostat, written unless it is what a reset gives; None: off, or a spec without one.
    moved : int
        What the status bytes say of the homeostat after the last sample: the threshold of the neurons, or the sum of
        what their own have moved.
    continues : bool
        The homeostat goes on where the segment before left it: nothing is written but the ratios of neurons, again.
    """

    name: str
    readout: Readout
    threshold: int
    noise_seed: int | None
    words: IntArray
    played: Played
    first_sample: int = 0
    regulation: Regulation | None = None
    moved: int
    continues: bool = False

    @property
    def samples(self) -> int:
        """Samples of the segment."""
        return len(self.played.classes)

    def writes(self, spec: CrossbarSpec) -> list[tuple[int, int]]:
        """Register writes of the settings."""
        if self.continues:
            again = self.regulation[0] if self.regulation is not None and spec.own_thresholds else None
            return register_writes(spec, homeostat_ratio=again)
        more: dict[str, Any] = {}
        if spec.noise_scale is not None:
            more["noise_enable"] = self.noise_seed is not None
            if not self.first_sample:
                more["noise_seed"] = self.noise_seed
        if spec.homeostat is not None:
            more["homeostat_enable"] = self.regulation is not None
            if self.regulation is not None:
                more |= _settings(spec, self.regulation)
        return register_writes(
            spec, threshold=self.threshold, weights=self.readout.weights, bias=self.readout.bias, **more
        )


def _settings(spec: CrossbarSpec, regulation: Regulation) -> dict[str, Any]:
    """Registers of a homeostat that differ from their reset values, and its ratios, which have none."""
    kind = spec.homeostat
    if kind is None:
        raise ValueError(f"{spec.name} has no homeostat")
    ratio, other = regulation
    if spec.own_thresholds:
        return {"homeostat_ratio": ratio} | ({} if other == kind.rate else {"homeostat_rate": other})
    return {} if regulation == (kind.ratio, kind.band) else {"homeostat_ratio": ratio, "homeostat_band": other}


def _homeostat(spec: CrossbarSpec, threshold: int, regulation: Regulation) -> Homeostat | NeuronHomeostat:
    ratio, other = regulation
    if isinstance(ratio, int):
        return Homeostat(spec, threshold=threshold, ratio=ratio, band=other)
    return NeuronHomeostat(spec, ratio, threshold=threshold, rate=other)


def expected(
    liquid: Liquid, readout: Readout, spikes: npt.ArrayLike, events: IntArray, first_sample: int = 0,
    homeostat: Homeostat | NeuronHomeostat | None = None,
) -> Played:  # fmt: skip
    """What the golden model and the promised timing say about samples.

    Parameters
    ----------
    liquid : Liquid
    readout : Readout
    spikes : array_like of bool, shape (n, steps, inputs)
    events : ndarray of int64, shape (n, steps)
        Events of each step without the end.
    first_sample : int
        Samples since the noise seed was set.
    homeostat : Homeostat or NeuronHomeostat, optional
        Moves the threshold, and is left where it stands after the last sample.
    """
    spec = liquid.spec
    inputs = np.asarray(spikes, bool)
    if homeostat is None:
        activity = liquid.run(inputs, first_sample)
    else:
        activity, _ = liquid.regulated(inputs, homeostat, first_sample)
    timing = sample_timing(spec, events, driven_rows(spec, inputs, activity.spikes))
    return Played(
        spikes=activity.spikes.reshape(-1, spec.all_neurons), spike_clocks=timing.spikes.ravel(),
        counts=activity.counts.ravel(), scores=readout.scores(activity.counts).ravel(),
        classes=readout.classify(activity.counts), class_clocks=timing.classes, clocks=0,
    )  # fmt: skip


def make_segment(
    name: str,
    spec: CrossbarSpec,
    conductances: Conductances,
    readout: Readout,
    spikes: npt.ArrayLike,
    *,
    threshold: int | None = None,
    noise_seed: int | None = None,
    rng: np.random.Generator | None = None,
    engine: str = "numpy",
    first_sample: int = 0,
    regulation: Regulation | None = None,
    homeostat: Homeostat | NeuronHomeostat | None = None,
) -> Segment:
    """A segment from the golden model; with `rng` the events of a step are shuffled and some repeated.

    With `homeostat` it continues the segment before.
    """
    threshold = spec.threshold if threshold is None else threshold
    words, events = event_words(spec, spikes, rng)
    liquid = Liquid(spec, conductances, engine, threshold=threshold, noise_seed=noise_seed)
    continues = homeostat is not None
    if regulation is not None and homeostat is None:
        homeostat = _homeostat(spec, threshold, regulation)
    played = expected(liquid, readout, spikes, events, first_sample, homeostat)
    return Segment(
        name=name, readout=readout, threshold=threshold, noise_seed=noise_seed, words=words, played=played,
        first_sample=first_sample, regulation=regulation, moved=_moved(spec, threshold, homeostat),
        continues=continues,
    )  # fmt: skip


def _moved(spec: CrossbarSpec, threshold: int, homeostat: Homeostat | NeuronHomeostat | None) -> int:
    """The status bytes of a homeostat, 24 bits."""
    if isinstance(homeostat, NeuronHomeostat):
        return homeostat.moved & 0xFF_FFFF
    if homeostat is not None:
        return homeostat.threshold
    return threshold if spec.homeostat is not None and not spec.own_thresholds else 0


def random_regulation(
    spec: CrossbarSpec,
    conductances: Conductances,
    spikes: npt.ArrayLike,
    threshold: int,
    rng: np.random.Generator,
    *,
    noise_seed: int | None = None,
) -> Regulation | None:
    """Settings of a homeostat for samples: a step from what the first window is in balance with, or far from it.

    None for a spec without homeostat; never the registers' values after reset, which need no write.
    """
    if spec.homeostat is None:
        return None
    liquid = Liquid(spec, conductances, "numpy", threshold=threshold, noise_seed=noise_seed)
    if spec.own_thresholds:
        inputs = np.asarray(spikes, bool)[:2]
        in_balance = balanced_ratios(liquid.counts(inputs), int(inputs.sum()))
        # some neurons in balance, some pushed to an end of their range, some anywhere
        far = rng.choice([0, OWN_RATIO_MAX], spec.neurons)
        anywhere = rng.integers(0, OWN_RATIO_MAX + 1, spec.neurons)
        ratios = np.choose(rng.choice(3, spec.neurons, p=[0.5, 0.2, 0.3]), [in_balance, far, anywhere])
        rate = int(rng.integers(RATE_MAX))
        return ratios, rate + (rate >= spec.homeostat.rate)
    inputs = np.asarray(spikes, bool)[: spec.homeostat.samples]
    fired = int(liquid.run(inputs).spikes.sum())
    came = int(inputs.sum())
    balanced = min((fired << RATIO_FRACTION) // max(1, came), RATIO_MAX)
    ratio = int(rng.choice([balanced, rng.integers(RATIO_MAX + 1), RATIO_MAX]))
    # the widest band that the first window leaves, and the next one: every spike and every bit of both counts
    edge = abs((fired << RATIO_FRACTION) - ratio * came) >> RATIO_FRACTION
    band = int(rng.choice([0, edge, edge + 1, 1 << int(rng.integers(24))]))
    if (ratio, band) == (spec.homeostat.ratio, spec.homeostat.band):
        band += 1
    return ratio, band


@dataclass(frozen=True, kw_only=True, eq=False)
class Stimulus:
    """Everything that a mutant, and the design itself, is tried on: see `play`. All segments share one image.

    Those of `continued` are long, and the homeostat goes on from one to the next: small errors add up, and thresholds
    come to the ends of their range.
    """

    conductances: Conductances
    reset: Segment
    segments: Sequence[Segment]
    continued: Sequence[Segment] = ()


def make_stimulus(spec: CrossbarSpec, rng: np.random.Generator, count: int, samples: int) -> Stimulus:
    """`count` segments on one image of rows of every kind, with random ADCs; every third is quiet and 4 times as long.

    Of four segments in a row the first has noise and comes after a reset; none of the others does: the second switches
    noise off, the third starts it from a new seed, the fourth goes on where the third ended.
    """
    image = random_image(spec, rng, "mixed", random_adcs(spec, rng))
    noisy = spec.noise_scale is not None
    # after reset: settings at their reset values, biases 0; weights are not reset, so these scores mean nothing
    silent = Readout(
        spec, np.zeros((spec.outputs, spec.windows, spec.all_neurons), np.int64), np.zeros(spec.outputs, int)
    )
    reset = make_segment(
        "reset values", spec, image, silent, random_spikes(spec, rng, samples), noise_seed=0 if noisy else None
    )
    kinds = ("uniform", "uniform", "uniform", "equal", "lowest", "highest")
    thresholds = [
        spec.threshold, 0, spec.step_input_max // 2, spec.step_input_max // 16, spec.threshold, spec.threshold_max,
    ]  # fmt: skip
    segments: list[Segment] = []
    for number in range(count):
        threshold = min(spec.threshold_max, thresholds[number % len(thresholds)])
        if number >= len(thresholds):
            threshold = int(rng.integers(0, max(2, spec.step_input_max)))
        follows = noisy and number % 4 == 3
        noise = int(rng.integers(1 << 31)) if noisy and number % 4 != 1 else None
        if follows:
            noise = segments[-1].noise_seed
        if number % 3 == 1:
            spikes = quiet_spikes(spec, rng, 4 * samples)
            # 0: the least difference fires; else some codes do, and some do not
            threshold = 0 if number % 2 else spec.adc_max * (number % 4 + 1) // 4
        else:
            spikes = random_spikes(spec, rng, samples)
        threshold = min(threshold, spec.threshold_max)
        regulation = random_regulation(spec, image, spikes, threshold, rng, noise_seed=noise)
        if number % 5 == 4:
            regulation = None
        elif number % 8 == 0 and regulation is not None and spec.homeostat is not None:
            # after a reset: what the registers then hold
            kind, (ratio, _) = spec.homeostat, regulation
            regulation = (kind.ratio, kind.band) if isinstance(ratio, int) else (ratio, kind.rate)
        segments.append(
            make_segment(
                f"segment {number}", spec, image, random_readout(spec, rng, kinds[number % len(kinds)]),
                spikes, threshold=threshold, noise_seed=noise,
                rng=rng if number % 2 else None, first_sample=segments[-1].samples if follows else 0,
                regulation=regulation,
            )
        )  # fmt: skip
    return Stimulus(
        conductances=image, reset=reset, segments=segments,
        continued=[] if spec.homeostat is None else _continued(spec, image, rng, 4 * samples),
    )  # fmt: skip


_RATES = (0, 3, RATE_MAX - 1, RATE_MAX)
"""As fast as it can, with fractions, as far as the shifter goes, as slow as it can."""


def _continued(spec: CrossbarSpec, image: Conductances, rng: np.random.Generator, samples: int) -> list[Segment]:
    """Pairs of segments in which a homeostat goes on, with other settings in each pair."""
    found = []
    for number, rate in enumerate(_RATES):
        spikes = random_spikes(spec, rng, samples)
        readout = random_readout(spec, rng)
        regulation = random_regulation(spec, image, spikes, spec.threshold, rng)
        if regulation is None:
            return []
        ratio = regulation[0]
        if not isinstance(ratio, int):
            # neurons in turn: pushed up, pushed down, near balance, where fractions of a step add up
            kind = (np.arange(spec.neurons) + number) % 4
            ratio = np.choose(kind, [np.zeros_like(ratio), np.full_like(ratio, OWN_RATIO_MAX), ratio, ratio // 2])
            regulation = ratio, rate
        homeostat = _homeostat(spec, spec.threshold, regulation)
        for name in ("begins", "goes on"):
            found.append(
                make_segment(
                    f"homeostat {number} {name}", spec, image, readout, spikes, regulation=regulation,
                    homeostat=homeostat,
                )
            )  # fmt: skip
        found[-2] = replace(found[-2], continues=False)
    return found
