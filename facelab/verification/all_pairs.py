"""Verify on every pair of images at once: LFW's 13,233 images make 87,549,528 pairs.

Embeddings of unit length are rounded to multiples of 2**-25: squared distances are then integers
below 2**53 (in units of 2**-50), exact in float64 in any order of summation. Distances are rounded
to multiples of 2**-23: of these there are so few that pairs are counted per distance.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from facelab.verification.sweep import area, eer, unit_length

STEPS = 2**23  # per unit of distance
LARGEST = 2 * STEPS


class AllPairs(NamedTuple):
    """Numbers of pairs; the strictest threshold of the best F1, and that F1; AUC and EER."""

    n_same: int
    n_different: int
    threshold: float
    f1: float
    auc: float
    eer: float


def all_pairs(embeddings: np.ndarray, labels: np.ndarray) -> AllPairs:
    """Choose the best-F1 threshold on all n (n - 1) / 2 pairs of images, and rate them.

    The best F1 on all pairs is far from that on balanced pairs: of LFW's pairs 0.28 % are same.
    Embeddings, (n_images, embedding_size), are normalised here; labels, (n_images,), say whom
    each image shows. One kind of pairs alone is a ValueError. Takes 1 to 2 GB of memory, however
    many pairs there are.
    """
    x = unit_length(embeddings)
    labels = np.asarray(labels)
    if labels.shape != (len(x),):
        raise ValueError(f"expected labels of shape ({len(x)},), got {labels.shape}")
    counts = np.zeros((2, LARGEST + 1), np.int64)  # of different pairs, of same pairs
    for keys in pair_keys(np.rint(x * 2**25), labels):
        np.add.at(counts.reshape(-1), keys, 1)
    n_different, n_same = map(int, counts.sum(axis=1))
    if not n_same or not n_different:
        raise ValueError(f"expected both kinds, got {n_same} same, {n_different} different")
    steps = np.flatnonzero(counts.any(axis=0))  # distances that occur
    fp, tp = np.pad(counts[:, steps].cumsum(axis=1), ((0, 0), (1, 0)))  # (n_candidates,)
    f1 = 2 * tp / (tp + fp + n_same)
    k = np.argmax(f1)  # of equals the smallest; 0 accepts nothing
    d = np.append(steps / STEPS, np.nextafter(steps[-1] / STEPS, np.inf))
    threshold = (d[k - 1] + d[k]) / 2 if k < len(steps) else d[-1]
    figures = threshold, f1[k], area(tp, fp), eer(tp, fp)
    return AllPairs(n_same, n_different, *map(float, figures))


def pair_keys(x: np.ndarray, labels: np.ndarray, block: int = 512) -> Iterator[np.ndarray]:
    """Yield each pair's place in flat counts of shape (2, LARGEST + 1), int64, block by block.

    `x` holds unit embeddings in whole units of 2**-25.
    """
    person = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    squared = np.einsum("nd,nd->n", x, x)
    for i in range(0, len(x), block):
        rows = slice(i, i + block)
        for j in range(i, len(x), block):
            columns = slice(j, j + block)
            d = squared[rows, None] + squared[columns] - 2 * (x[rows] @ x[columns].T)
            steps = np.minimum(np.rint(np.sqrt(d) / 4), LARGEST).astype(np.int64)
            same = person[rows, None] == person[columns]
            keys = steps + same * (LARGEST + 1)
            yield keys[np.triu_indices(len(keys), 1)] if i == j else keys.ravel()
