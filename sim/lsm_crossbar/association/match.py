"""Match of an embedding with the stored ones, and what is stored: entries of one length, anchors of unseen words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sim.fixed_point import IntArray, check_range
from sim.lsm_crossbar.association.spec import AssociationSpec

__all__ = ["anchored_entries", "as_entries", "best", "similarities"]


def similarities(queries: npt.ArrayLike, entries: npt.ArrayLike, spec: AssociationSpec) -> IntArray:
    """Similarity of every query with every entry, shape (queries, entries).

    The dot product; binary: the number of equal signs less that of different ones.

    Parameters
    ----------
    queries, entries : array_like of int, shape (n, dimensions)
        Components of `spec.embedding_bits` bits.

    Raises
    ------
    ValueError
        A component out of range, or another number of dimensions.
    """
    low, high = -spec.embedding_max - 1, spec.embedding_max
    checked = [check_range(array, low, high, name) for array, name in ((queries, "query"), (entries, "entry"))]
    for array, name in zip(checked, ("queries", "entries"), strict=True):
        if array.ndim != 2 or array.shape[1] != spec.dimensions:
            raise ValueError(f"{name}: expected the shape (n, {spec.dimensions}), got {array.shape}")
    if spec.binary:
        # 0 and -1 stand for the signs + and -
        checked = [2 * array + 1 for array in checked]
    # exact in double precision: every sum is far below 2**53
    product = checked[0].astype(np.float64) @ checked[1].T.astype(np.float64)
    return product.astype(np.int64)


def best(similar: npt.ArrayLike) -> IntArray:
    """Entry with the largest similarity for each query, the lowest of equals; shape (queries,)."""
    found: IntArray = np.argmax(np.asarray(similar), axis=1)
    return found


def as_entries(vectors: npt.ArrayLike, spec: AssociationSpec, *, equal: bool = True) -> IntArray:
    """Vectors as entries: all of about one length, so that the largest dot product is the largest cosine.

    Every vector is scaled so that its length is `spec.embedding_max` times two, and saturated: a component of more
    than half the length, which is rare in many dimensions, loses what is above. Binary: the signs.

    Parameters
    ----------
    vectors : array_like, shape (n, dimensions)
        Embeddings, or sums and differences of them.
    equal : bool, optional
        False: only the longest vector gets that length, and all keep their ratios, so that of entries that point the
        same way the longest wins.
    """
    values = np.asarray(vectors, np.float64)
    if spec.binary:
        return np.where(values < 0, -1, 0).astype(np.int64)
    length = np.sqrt((values**2).sum(axis=1, keepdims=True))
    if not equal and len(length):
        length = np.full_like(length, length.max())
    scaled = values * (2 * spec.embedding_max / np.where(length > 0, length, 1))
    return np.clip(np.rint(scaled), -spec.embedding_max - 1, spec.embedding_max).astype(np.int64)


def anchored_entries(
    candidates: npt.ArrayLike, own_anchors: npt.ArrayLike, query_anchors: npt.ArrayLike, spec: AssociationSpec
) -> IntArray:
    """Entries for candidates of words that were never trained, from a few labelled pairs: the anchors.

    A candidate is known by its similarity to the anchors of its own modality, ``s_c = <candidate, own anchor c>``
    less the mean over the words. Its entry is what a query of the other modality has to look like: the same mixture of
    the anchors of the query's modality, ``sum over c of s_c * (query anchor c - mean)``. The dot product of a query
    with it compares the similarities of both to their own anchors, word by word. The more clearly a candidate is one
    of the words, the longer its entry: the best entry is a candidate that the anchors are sure of. Nothing is trained,
    and the chip stores it as any entry.

    Parameters
    ----------
    candidates : array_like of int, shape (n, dimensions)
        Embeddings.
    own_anchors, query_anchors : array_like, shape (words, dimensions)
        Mean embedding of the labelled examples of each word, in the candidates' and in the queries' modality.
    spec : AssociationSpec

    Raises
    ------
    ValueError
        Other numbers of words in both modalities, or fewer than two.
    """
    own, other = (_unit(np.asarray(anchors, np.float64)) for anchors in (own_anchors, query_anchors))
    if own.shape != other.shape or len(own) < 2:
        raise ValueError(f"anchors: expected the same two or more words in both, got {own.shape} and {other.shape}")
    known = _unit(np.asarray(candidates, np.float64)) @ own.T
    mixed = (known - known.mean(axis=1, keepdims=True)) @ (other - other.mean(axis=0))
    return as_entries(mixed, spec, equal=False)


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    return vectors / np.where(length > 0, length, 1)
