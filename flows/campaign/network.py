"""What upsets of the weights of a network do to the user's data, by his own measure of harm.

Every bit of the weight image is inverted in turn and stays so, as in a store that nobody corrects, and the golden model
says what becomes of the samples. Little is computed again: a flip changes the sums of the outputs that use the weight,
by the difference of two rounded products, and what follows of them. Upsets of registers on the way cost the samples
that are in flight, once, and are not counted.

A measure of harm compares results with and without the flip. Two are here by name: ``class``, the part of the samples
whose largest output is another one, and ``error``, the mean absolute change of an output.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flows.campaign.beam import FILL_S, Beam
from sim.fixed_point import IntArray, round_shift
from sim.messages import shown
from sim.network.model import Network, finished
from sim.network.weights import NetworkWeights

__all__ = ["MEASURES", "Harm", "WeightUpsets", "weight_upsets"]

Reals = npt.NDArray[np.float64]
Harm = Callable[[Reals, Reals], float]
"""Harm of results with a flip, given those without, each of shape (samples, outputs): 0 for none."""

_ROWS = 1 << 15
"""Samples that run at once, over several flips."""


def changed_class(before: Reals, after: Reals) -> float:
    """Part of the samples whose largest output is another one; of equal ones the first counts."""
    return float((before.argmax(axis=1) != after.argmax(axis=1)).mean())


def mean_error(before: Reals, after: Reals) -> float:
    """Mean absolute change of an output."""
    return float(np.abs(before - after).mean())


MEASURES: dict[str, Harm] = {"class": changed_class, "error": mean_error}
"""Measures of harm by name."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightUpsets:
    """Harm of every single flip that was tried.

    Attributes
    ----------
    layers : tuple of str
        Layer of each flip.
    numbers : ndarray of int64
        Number of the weight in its layer; of a bias the number of weights more.
    bits : ndarray of int64
        Bit of its code, 0 the lowest.
    harm : ndarray of float64
    stored : int
        Bits of the weight image, tried or not.
    """

    layers: tuple[str, ...]
    numbers: IntArray
    bits: IntArray
    harm: Reals
    stored: int

    @property
    def mean(self) -> float:
        """Mean harm of a flip."""
        return float(self.harm.mean())

    @property
    def error_of_mean(self) -> float:
        """Standard error of the mean, 0 where every bit was tried."""
        tried = len(self.harm)
        spread = float(self.harm.std(ddof=1) / tried**0.5) if tried > 1 else 0.0
        return spread * float(max(0.0, 1 - tried / self.stored) ** 0.5)

    @property
    def harmless(self) -> float:
        """Part of the flips without any harm."""
        return float((self.harm == 0).mean())

    def by_layer(self) -> dict[str, float]:
        """Mean harm of a flip, by layer."""
        names = np.array(self.layers)
        return {name: float(self.harm[names == name].mean()) for name in dict.fromkeys(self.layers)}

    def upsets_per_day(self, beam: Beam | None = None) -> float:
        """Flips of a weight bit per day, by default in the highest flux in HGCAL."""
        return self.stored * (beam or Beam()).rates_hz[0] * 86400

    def harm_in_beam(self, beam: Beam | None = None, reload_s: float = FILL_S) -> float:
        """Mean harm over time, weights being loaded every `reload_s` seconds and corrected never between.

        Half of the flips of a period have come by its middle; harms of few flips are added.
        """
        return self.stored * (beam or Beam()).rates_hz[0] * reload_s / 2 * self.mean


def weight_upsets(
    weights: NetworkWeights, data: npt.ArrayLike, measure: str | Harm = "class", *, limit: int | None = None,
    seed: int = 1,
) -> WeightUpsets:  # fmt: skip
    """Invert bits of the weights, one at a time.

    Parameters
    ----------
    weights : NetworkWeights
    data : array_like of float, shape (n, *input_shape) or (n, elements)
        The user's samples.
    measure : str or callable
        Of `MEASURES`, or a function of results without and with the flip.
    limit : int, optional
        Bits to try, drawn at random; all if left out.
    seed : int
        Of the draw.

    Raises
    ------
    ValueError
        An unknown measure, no sample, or a limit below 1.
    """
    if isinstance(measure, str) and measure not in MEASURES:
        raise ValueError(f"measure: expected {' or '.join(MEASURES)} or a function, got {shown(measure)}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit: expected at least 1 bit, got {limit}")
    harm = MEASURES[measure] if isinstance(measure, str) else measure
    network, spec = Network(weights), weights.spec
    found = network.trace(network.encode(data))
    samples = len(next(iter(found.values())))
    if not samples:
        raise ValueError("data: expected at least one sample, got none")
    flips = [
        (name, number, bit)
        for name, node in spec.layers.items()
        for number in range(sum(node.counts(spec.size_into(name))))
        for bit in range((node.weight if number < node.counts(spec.size_into(name))[0] else node.bias).width)
    ]
    if limit is not None and limit < len(flips):
        chosen = np.sort(np.random.default_rng(seed).choice(len(flips), limit, replace=False))
        stored, flips = len(flips), [flips[i] for i in chosen]
    else:
        stored = len(flips)
    scale = np.concatenate(
        [np.full(spec.tensors[name].size, spec.tensors[name].form.lsb) for name in spec.outputs]
    )  # fmt: skip
    before = np.concatenate([found[name] for name in spec.outputs], axis=1) * scale
    harms: list[float] = []
    at_once = max(1, _ROWS // samples)
    for name in spec.layers:
        layer = _Layer(network, name, found)
        mine = [(number, bit) for other, number, bit in flips if other == name]
        for first in range(0, len(mine), at_once):
            part = mine[first : first + at_once]
            codes = np.concatenate([layer.flipped(number, bit) for number, bit in part])
            results = network.after(name, codes, found).reshape(len(part), samples, -1) * scale
            harms += [float(harm(before, after)) for after in results]
    return WeightUpsets(
        layers=tuple(name for name, _, _ in flips), numbers=np.array([number for _, number, _ in flips]),
        bits=np.array([bit for _, _, bit in flips]), harm=np.array(harms), stored=stored,
    )  # fmt: skip


class _Layer:
    """A layer with its sums, from which single flips are computed."""

    def __init__(self, network: Network, name: str, found: dict[str, IntArray]) -> None:
        spec = network.spec
        self.node = spec.layers[name]
        self.x, self.form = found[self.node.inputs[0]], spec.tensors[self.node.inputs[0]].form
        self.weights, self.biases = network.weights.weights[name], network.weights.biases[name]
        self.sums, self.codes = network.sums(name, found), found[name]
        self.users: dict[int, list[tuple[int, int]]] = {}
        for output, taps in enumerate(self.node.taps(spec.size_into(name))):
            for x, weight in taps:
                self.users.setdefault(weight, []).append((output, x))
            self.users.setdefault(len(self.weights) + self.node.bias_of(output), []).append((output, -1))

    def flipped(self, number: int, bit: int) -> IntArray:
        """Codes of the layer with a bit of one weight or bias inverted; shape (samples, outputs)."""
        node, codes = self.node, self.codes.copy()
        users = self.users.get(number, [])
        if not users:
            return codes
        outputs = [output for output, _ in users]
        if number < len(self.weights):
            old = int(self.weights[number])
            seen = self.x[:, [x for _, x in users]]
            change = self._products(seen, _inverted(old, bit, node.weight.width)) - self._products(seen, old)
        else:
            old = int(self.biases[number - len(self.weights)])
            step = _inverted(old, bit, node.bias.width) - old
            change = np.array(step << (node.accumulator.fraction - node.bias.fraction))
        codes[:, outputs] = finished(node, self.sums[:, outputs] + change)
        return codes

    def _products(self, x: IntArray, weight: int) -> IntArray:
        return round_shift(x * weight, self.node.shift(self.form), self.node.accumulator.rounding)


def _inverted(code: int, bit: int, width: int) -> int:
    """A two's complement code with one bit inverted."""
    word = (code ^ (1 << bit)) & ((1 << width) - 1)
    return word - ((word >> (width - 1)) << width)
