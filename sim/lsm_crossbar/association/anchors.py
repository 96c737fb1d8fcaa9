"""How well new words are found from a few examples: a curve over the number of labelled pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sim.lsm_crossbar.association.spec import Activation, AssociationSpec
from sim.lsm_crossbar.association.training import Samples, Scatter, anchored_retrieval, fit_words

__all__ = ["ANCHORS", "anchor_curve", "words_spec"]

ANCHORS = (1, 2, 5, 10)
"""Labelled pairs of each word."""
DRAWS = 5
"""Draws of the pairs that are averaged."""


def words_spec(spec: AssociationSpec) -> AssociationSpec:
    """The chip whose projections `fit_words` makes: the same without activation."""
    return (
        spec
        if spec.activation is Activation.LINEAR
        else replace(spec, name=f"{spec.name}_LINEAR", activation=Activation.LINEAR)
    )


def anchor_curve(
    spec: AssociationSpec, training: Samples, test: Samples, classes: Sequence[int]
) -> list[dict[str, float]]:
    """Retrieval of pairs of words that projections never saw, by the number of labelled pairs.

    Neighbouring classes are held out two by two; projections are learnt in closed form from the others (`fit_words`).
    Candidates are the test samples of both words, so that guessing finds half.

    Parameters
    ----------
    spec : AssociationSpec
    training, test : Samples
    classes : sequence of int
        All that both have.

    Returns
    -------
    list of dict
        ``k``, ``audio_to_image`` and ``image_to_audio``; for every k of `ANCHORS` of which each word has that many
        training samples, none where fewer than four classes leave no two to learn from.
    """
    chip = words_spec(spec)
    pairs = [tuple(classes[i : i + 2]) for i in range(0, len(classes) - 1, 2)] if len(classes) >= 4 else []
    pairs = [pair for pair in pairs if all(np.isin(pair, labels).all() for labels in test.labels)]
    most = min((int((labels == c).sum()) for pair in pairs for c in pair for labels in training.labels), default=0)
    scatters = [Scatter(counts, labels) for counts, labels in zip(training.counts, training.labels, strict=True)]
    projections = [
        fit_words(chip, training, [c for c in classes if c not in pair], scatters=(scatters[0], scatters[1]))
        for pair in pairs
    ]
    curve = []
    for k in (k for k in ANCHORS if k <= most):
        ways = [
            anchored_retrieval(chip, own, training.of(pair), test.of(pair), k, DRAWS)
            for pair, own in zip(pairs, projections, strict=True)
        ]
        one, two = np.mean(ways, axis=0)
        curve.append({"k": k, "audio_to_image": float(one), "image_to_audio": float(two)})
    return curve
