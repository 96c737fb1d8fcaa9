"""Training of the two projections: images and clips of one class come together in a common space.

Each modality has one linear map from its liquid's spike counts to the space, and the activation that the hardware has.
The loss is contrastive and knows the classes: with normalised embeddings u of images and w of clips, similarities
``L = w u^T / temperature``, and targets ``T_ij = [class of clip i = class of image j]``, it is the mean of the
cross-entropies of the rows of L with the rows of T over their sums, and of the columns likewise. Pairs are drawn anew
for every batch. The liquids are fixed.

Sources: A. Radford et al., "Learning transferable visual models from natural language supervision", ICML 2021
(symmetric contrastive loss); P. Khosla et al., "Supervised contrastive learning", NeurIPS 2020 (classes as targets);
D. P. Kingma and J. Ba, "Adam", ICLR 2015; S. Wang et al., Nat. Comput. Sci. 5 (2025) 37 (the task, one projection per
modality).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from sim.fixed_point import IntArray
from sim.lsm_crossbar.association.match import anchored_entries, as_entries, best, similarities
from sim.lsm_crossbar.association.projection import Projection, quantise_projection
from sim.lsm_crossbar.association.spec import Activation, AssociationSpec

__all__ = [
    "ProjectionWeights", "Samples", "Scatter", "TrainedProjections", "TrainingOptions", "anchored_retrieval",
    "balanced_batch", "both_ways",
    "contrastive_loss", "fit", "fit_words", "retrieval", "train_projections",
]  # fmt: skip

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How projections are trained.

    Attributes
    ----------
    temperature : float
    weight_decay : float
        Added to the gradient, per weight of standardised counts.
    batch, epochs : int
        Pairs of a batch; passes over as many pairs as the larger training set has samples.
    learning_rate : float
        Of Adam at the start; falls to 0 along half a cosine.
    patience : int
        Epochs between two looks at validation.
    seed : int
        Of initial weights and pairs.
    """

    temperature: float = 0.1
    weight_decay: float = 1e-3
    batch: int = 256
    epochs: int = 40
    learning_rate: float = 3e-3
    patience: int = 5
    seed: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class ProjectionWeights:
    """A projection before quantisation: ``bias + weights @ counts``, then the activation.

    Attributes
    ----------
    weights : ndarray of float64, shape (dimensions, features)
    bias : ndarray of float64, shape (dimensions,)
    """

    weights: Float64
    bias: Float64


def balanced_batch(
    rng: np.random.Generator, image_labels: IntArray, clip_labels: IntArray, size: int
) -> tuple[IntArray, IntArray]:
    """Rows of images and of clips of the same classes, drawn with equal chances for every class."""
    classes = np.intersect1d(image_labels, clip_labels)
    drawn = rng.choice(classes, size)
    images, clips = np.empty(size, np.int64), np.empty(size, np.int64)
    for label in classes:
        at = np.flatnonzero(drawn == label)
        images[at] = rng.choice(np.flatnonzero(image_labels == label), len(at))
        clips[at] = rng.choice(np.flatnonzero(clip_labels == label), len(at))
    return images, clips


def contrastive_loss(
    images: Float64, clips: Float64, image_labels: IntArray, clip_labels: IntArray, temperature: float
) -> tuple[float, Float64, Float64]:
    """The loss of embeddings before normalisation, and its gradients.

    Parameters
    ----------
    images, clips : ndarray of float64, shape (n, dimensions)
    image_labels, clip_labels : ndarray of int, shape (n,)
    temperature : float

    Returns
    -------
    float, ndarray, ndarray
        Loss, gradient by images, gradient by clips.
    """
    lengths = [np.sqrt((e**2).sum(1, keepdims=True)) + 1e-9 for e in (images, clips)]
    u, w = images / lengths[0], clips / lengths[1]
    similar = w @ u.T / temperature
    same = (clip_labels[:, None] == image_labels[None]).astype(np.float64)
    loss, slope = 0.0, np.zeros_like(similar)
    for axis in (0, 1):
        target = same / np.maximum(same.sum(axis, keepdims=True), 1)
        shifted = similar - similar.max(axis, keepdims=True)
        total = np.exp(shifted).sum(axis, keepdims=True)
        n = similar.shape[1 - axis]
        loss += -float((target * (shifted - np.log(total))).sum()) / n / 2
        # a row without a partner has no target and no part in the loss
        slope += (np.exp(shifted) / total * target.sum(axis, keepdims=True) - target) / n / 2
    slope /= temperature
    towards_u, towards_w = slope.T @ w, slope @ u
    return (
        loss,
        (towards_u - u * (towards_u * u).sum(1, keepdims=True)) / lengths[0],
        (towards_w - w * (towards_w * w).sum(1, keepdims=True)) / lengths[1],
    )


class _Standardised:
    """Counts of one modality, centred and over their root mean square, and the map on them."""

    def __init__(self, counts: IntArray, dimensions: int, activation: Activation, rng: np.random.Generator) -> None:
        flat = counts.reshape(len(counts), -1).astype(np.float64)
        self.mean = flat.mean(0)
        flat -= self.mean
        self.scale = max(float(np.sqrt(np.mean(flat**2))), np.finfo(float).tiny)
        self.inputs = (flat / self.scale).astype(np.float32)
        self.activation = activation
        self.parameters = np.concatenate(
            [rng.normal(size=(flat.shape[1], dimensions)) / np.sqrt(flat.shape[1]), np.zeros((1, dimensions))]
        ).astype(np.float32)
        self._first = np.zeros_like(self.parameters)
        self._second = np.zeros_like(self.parameters)

    def forward(self, rows: IntArray) -> Float64:
        self._rows = rows
        before = self.inputs[rows] @ self.parameters[:-1] + self.parameters[-1]
        self._slope = self.activation.slope(before)
        return np.asarray(self.activation.exact(before), np.float64)

    def step(self, gradient: Float64, decay: float, rate: float, number: int) -> None:
        """One step of Adam for the rows of the last `forward`."""
        inner = (gradient * self._slope).astype(np.float32)
        slope = np.concatenate([self.inputs[self._rows].T @ inner, inner.sum(0, keepdims=True)])
        slope[:-1] += np.float32(decay) * self.parameters[:-1]
        self._first += np.float32(0.1) * (slope - self._first)
        self._second += np.float32(0.001) * (slope**2 - self._second)
        corrected = self._first / (1 - 0.9**number)
        spread = np.sqrt(self._second / (1 - 0.999**number)) + 1e-8
        self.parameters -= (rate * corrected / spread).astype(np.float32)

    def weights(self) -> ProjectionWeights:
        """The map on counts as they are."""
        weights = self.parameters[:-1].T.astype(np.float64) / self.scale
        return ProjectionWeights(weights=weights, bias=self.parameters[-1].astype(np.float64) - weights @ self.mean)


Judge = Callable[[ProjectionWeights, ProjectionWeights], float]


def train_projections(
    image_counts: IntArray,
    image_labels: IntArray,
    clip_counts: IntArray,
    clip_labels: IntArray,
    *,
    dimensions: int,
    activation: Activation,
    options: TrainingOptions | None = None,
    judge: Judge | None = None,
    advance: Callable[[int], None] | None = None,
) -> tuple[ProjectionWeights, ProjectionWeights]:
    """Projections of images and of clips.

    Parameters
    ----------
    image_counts, clip_counts : ndarray of int, shape (n, windows, neurons)
        Spike counts of either liquid; numbers of samples may differ.
    image_labels, clip_labels : ndarray of int, shape (n,)
    dimensions : int
        Of the common space.
    activation : Activation
    options : TrainingOptions, optional
    judge : callable, optional
        Gets both projections every `TrainingOptions.patience` epochs; those with the largest value are returned. It
        must look at a validation set. None: those after the last epoch.
    advance : callable, optional
        Gets 1 after every epoch.

    Raises
    ------
    ValueError
        Samples without a label, or no class that both modalities have.
    """
    chosen = options or TrainingOptions()
    for name, counts, labels in (("images", image_counts, image_labels), ("clips", clip_counts, clip_labels)):
        if len(counts) != len(labels) or not len(labels):
            raise ValueError(f"{name}: expected a label for each of at least one, got {len(labels)} for {len(counts)}")
    if not np.intersect1d(image_labels, clip_labels).size:
        raise ValueError("expected at least one class that images and clips have in common")
    rng = np.random.default_rng(chosen.seed)
    images = _Standardised(image_counts, dimensions, activation, rng)
    clips = _Standardised(clip_counts, dimensions, activation, rng)
    steps = max(1, -(-max(len(image_labels), len(clip_labels)) // chosen.batch))
    best: tuple[float, ProjectionWeights, ProjectionWeights] | None = None
    for epoch in range(chosen.epochs):
        for step in range(steps):
            number = epoch * steps + step
            rate = chosen.learning_rate * 0.5 * (1 + np.cos(np.pi * number / (chosen.epochs * steps)))
            rows = balanced_batch(rng, image_labels, clip_labels, chosen.batch)
            _, towards_images, towards_clips = contrastive_loss(
                images.forward(rows[0]), clips.forward(rows[1]), image_labels[rows[0]], clip_labels[rows[1]],
                chosen.temperature,
            )  # fmt: skip
            images.step(towards_images, chosen.weight_decay, rate, number + 1)
            clips.step(towards_clips, chosen.weight_decay, rate, number + 1)
        if judge is not None and ((epoch + 1) % chosen.patience == 0 or epoch + 1 == chosen.epochs):
            found = images.weights(), clips.weights()
            value = judge(*found)
            if best is None or value > best[0]:
                best = (value, *found)
        if advance is not None:
            advance(1)
    return best[1:] if best is not None else (images.weights(), clips.weights())


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Counts of both modalities with labels; numbers of samples may differ.

    Attributes
    ----------
    counts : tuple of ndarray of int, shape (n, windows, neurons)
        Of vision, of audio.
    labels : tuple of ndarray of int, shape (n,)
    """

    counts: tuple[IntArray, IntArray]
    labels: tuple[IntArray, IntArray]

    def of(self, classes: Sequence[int]) -> Samples:
        """Those of some classes."""
        rows = [np.isin(labels, np.asarray(classes)) for labels in self.labels]
        return Samples(
            counts=(self.counts[0][rows[0]], self.counts[1][rows[1]]),
            labels=(self.labels[0][rows[0]], self.labels[1][rows[1]]),
        )


def retrieval(
    spec: AssociationSpec,
    queries: IntArray,
    query_labels: IntArray,
    entries: IntArray,
    entry_labels: IntArray,
) -> float:
    """Share of queries whose most similar entry has their label, in the chip's integers.

    Parameters
    ----------
    queries : ndarray of int, shape (n, dimensions)
        Embeddings.
    entries : ndarray of int, shape (m, dimensions)
        As stored: see `sim.lsm_crossbar.association.match.as_entries`.
    query_labels, entry_labels : ndarray of int
    """
    return float(np.mean(entry_labels[best(similarities(queries, entries, spec))] == query_labels))


def both_ways(
    spec: AssociationSpec, projections: tuple[Projection, Projection], samples: Samples
) -> tuple[float, float]:
    """`retrieval` of images by clips, and of clips by images, among all samples of the other modality."""
    images, clips = (p.embed(c) for p, c in zip(projections, samples.counts, strict=True))
    seen, heard = samples.labels
    return (
        retrieval(spec, clips, heard, as_entries(images, spec), seen),
        retrieval(spec, images, seen, as_entries(clips, spec), heard),
    )


WEIGHT_CLIPS = (1.0, 0.6, 0.4)
"""Shares of the largest weight that validation chooses from where weights have few bits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedProjections:
    """What `fit` chose.

    Attributes
    ----------
    projections : tuple of Projection
        In the chip's integers.
    validation : tuple of float
        Retrieval of images by clips and of clips by images on validation.
    """

    projections: tuple[Projection, Projection]
    validation: tuple[float, float]


def fit(
    spec: AssociationSpec,
    training: Samples,
    validation: Samples,
    options: TrainingOptions | None = None,
    *,
    advance: Callable[[int], None] | None = None,
    look: Callable[[tuple[Projection, Projection]], None] | None = None,
) -> TrainedProjections:
    """Train both projections and quantise them; epoch and clip of the weights are chosen on validation.

    Every look at validation is in the chip's integers. A test set never enters this function.

    Parameters
    ----------
    spec : AssociationSpec
    training, validation : Samples
    options : TrainingOptions, optional
    advance : callable, optional
        Gets 1 after every epoch.
    look : callable, optional
        Gets the projections of every epoch that validation looks at, for protocols that choose on test.
    """
    found: dict[int, TrainedProjections] = {}
    clips = (1.0,) if min(c.readout_weight_bits for c in spec.crossbars) > 6 else WEIGHT_CLIPS

    def judge(*linear: ProjectionWeights) -> float:
        for clip in clips:
            one, two = (
                quantise_projection(w.weights, w.bias, counts, modality, spec, clip=clip)
                for modality, (w, counts) in enumerate(zip(linear, training.counts, strict=True))
            )
            found[len(found)] = TrainedProjections(
                projections=(one, two), validation=both_ways(spec, (one, two), validation)
            )
        if look is not None:
            look(found[len(found) - 1].projections)
        return max(sum(trained.validation) for trained in found.values())

    train_projections(
        training.counts[0], training.labels[0], training.counts[1], training.labels[1], dimensions=spec.dimensions,
        activation=spec.activation, options=options, judge=judge, advance=advance,
    )  # fmt: skip
    return max(found.values(), key=lambda trained: sum(trained.validation))


WITHIN_PENALTY = 0.1
"""Added to the scatter within classes by `fit_words`, in units of a count's mean variance."""


class Scatter:
    """Sums of the counts of one modality by class, from which scatters of any choice of classes follow.

    Parameters
    ----------
    counts : ndarray of int, shape (n, windows, neurons)
    labels : ndarray of int, shape (n,)
    """

    def __init__(self, counts: IntArray, labels: IntArray) -> None:
        self._sums = {}
        for label in np.unique(labels):
            flat = counts[labels == label].reshape(-1, counts.shape[1] * counts.shape[2]).astype(np.float64)
            self._sums[int(label)] = len(flat), flat.sum(axis=0), flat.T @ flat

    def of(self, classes: Sequence[int]) -> tuple[Float64, Float64, Float64]:
        """Mean, scatter of all samples, and scatter within the classes."""
        chosen = [self._sums[label] for label in classes]
        number = sum(n for n, _, _ in chosen)
        mean = sum(total for _, total, _ in chosen) / number
        moment = sum(square for _, _, square in chosen) / number
        means = np.array([total / n for n, total, _ in chosen])
        shares = np.array([n / number for n, _, _ in chosen])
        return mean, moment - np.outer(mean, mean), moment - (means.T * shares) @ means


def fit_words(
    spec: AssociationSpec,
    training: Samples,
    classes: Sequence[int],
    *,
    scatters: tuple[Scatter, Scatter] | None = None,
    penalty: float = WITHIN_PENALTY,
) -> tuple[Projection, Projection]:
    """Projections for words that training never saw, in closed form: directions in which things differ, not takes.

    Of each modality the generalised eigenvectors of the scatter of all samples over that within classes, largest
    first, scaled to unit scatter within: what varies between examples of one class says little about a new word. The
    space of images is not that of clips; anchors connect them (`sim.lsm_crossbar.association.match`).

    Source: S. Ioffe, "Probabilistic linear discriminant analysis", ECCV 2006.

    Parameters
    ----------
    spec : AssociationSpec
        With linear activation.
    training : Samples
    classes : sequence of int
        Those to learn from, two or more.
    scatters : tuple of Scatter, optional
        Of the same samples, where many choices of classes are learnt from.
    penalty : float, optional

    Raises
    ------
    ValueError
        Another activation, fewer than two classes, or more dimensions than counts.
    """
    if spec.activation is not Activation.LINEAR:
        raise ValueError(f"activation: expected linear, got {spec.activation}")
    if len(classes) < 2:
        raise ValueError(f"classes: expected two or more, got {len(classes)}")
    found = []
    for modality, (counts, labels) in enumerate(zip(training.counts, training.labels, strict=True)):
        features = spec.crossbars[modality].features
        if spec.dimensions > features:
            raise ValueError(f"outputs: expected at most the {features} counts of a liquid, got {spec.dimensions}")
        mean, scatter, within = (scatters[modality] if scatters else Scatter(counts, labels)).of(classes)
        within = within + penalty * max(float(np.trace(scatter)) / features, 1e-9) * np.eye(features)
        _, directions = eigh(scatter, within, subset_by_index=[features - spec.dimensions, features - 1])
        weights = directions[:, ::-1].T
        learnt = counts[np.isin(labels, np.asarray(classes))]
        found.append(quantise_projection(weights, -weights @ mean, learnt, modality, spec))
    return found[0], found[1]


def anchored_retrieval(
    spec: AssociationSpec,
    projections: tuple[Projection, Projection],
    pools: Samples,
    test: Samples,
    k: int,
    draws: int,
    seed: int = 7,
) -> tuple[float, float]:
    """`both_ways` of words that k labelled pairs alone make known; mean over draws of these pairs.

    Parameters
    ----------
    spec : AssociationSpec
    projections : tuple of Projection
    pools : Samples
        Labelled examples to draw from.
    test : Samples
        Queries and candidates, of the same classes.
    k, draws : int
    seed : int
        Of the pairs.
    """
    rng = np.random.default_rng(seed)
    own = [p.embed(c).astype(np.float64) for p, c in zip(projections, pools.counts, strict=True)]
    found = [p.embed(c) for p, c in zip(projections, test.counts, strict=True)]
    classes = np.unique(test.labels[0])
    results = []
    for _ in range(draws):
        anchors = []
        for embeddings, labels in zip(own, pools.labels, strict=True):
            length = np.linalg.norm(embeddings, axis=1, keepdims=True)
            unit = embeddings / np.where(length > 0, length, 1)
            anchors.append(
                np.stack(
                    [unit[rng.choice(np.flatnonzero(labels == c), k, replace=False)].mean(axis=0) for c in classes]
                )
            )
        results.append([
            retrieval(spec, found[1], test.labels[1],
                      anchored_entries(found[0], anchors[0], anchors[1], spec), test.labels[0]),
            retrieval(spec, found[0], test.labels[0],
                      anchored_entries(found[1], anchors[1], anchors[0], spec), test.labels[1]),
        ])  # fmt: skip
    one, two = np.mean(results, axis=0)
    return float(one), float(two)
