"""Verify on every pair of images at once: LFW's 13,233 images make 87,549,528 pairs.

Distances are fixed-point numbers, so that no order of summation, block or number of threads
changes one. Embeddings of unit length are rounded to multiples of 2**-25: their squared distances
are integers below 2**53, in units of 2**-50, which float64 holds exactly. Distances are rounded to
multiples of 2**-23, so few that pairs can be counted per distance instead of being kept.
"""

from typing import NamedTuple

import numpy as np

from facelab.checks import expect, one_each, whole
from facelab.verification.sweep import eer, unit_length

STEPS = 2**23  # per unit of distance
LARGEST = 2 * STEPS
PIECE = 2**16  # steps that are gone through at once


class AllPairs(NamedTuple):
    """What all pairs of images say, each figure exact.

    The threshold is the smallest of those with the largest F1. The histogram, (n_bins, 2), counts
    different (column 0) and same pairs (column 1) in bins of equal width over [0, 2]; a distance
    on the border of two bins is in the upper one, 2 itself in the last.
    """

    n_same: int
    n_different: int
    threshold: float
    f1: float
    auc: float
    eer: float
    histogram: np.ndarray


def all_pairs(
    embeddings: np.ndarray, labels: np.ndarray, *, n_bins: int = 512, block: int = 512
) -> AllPairs:
    """Choose the best-F1 threshold on all n (n - 1) / 2 pairs of images, and rate them.

    The best F1 on all pairs is far from that on balanced pairs: of LFW's pairs 0.28 % are same.
    Embeddings, (n_images, embedding_size), are normalised here; labels, (n_images,), say whom each
    image shows; pairs of one kind alone are a ValueError. `n_bins` of the histogram are a power of
    two up to 2**24. `block`, images on a block's side, decides only about time and memory, which is
    at most 256 MiB of counts and a few blocks, however many pairs there are.

    >>> found = all_pairs(np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), np.array([7, 7, 8]))
    >>> found.n_same, found.n_different, round(found.threshold, 4), found.f1, found.auc, found.eer
    (1, 2, 0.7071, 1.0, 1.0, 0.0)
    """
    x = unit_length(embeddings)
    labels = one_each("labels", labels, len(x))
    is_nan = labels != labels  # nan: one person to NumPy
    expect(not is_nan.any(), "labels that say whom each image shows", "nan")
    n_bins = whole("n_bins", n_bins, 1, LARGEST)
    block = whole("block", block, 1)
    expect(n_bins.bit_count() == 1, "n_bins a power of two from 1 to 2**24", n_bins)
    person = np.unique(labels, return_inverse=True)[1]
    counts = np.zeros((2, LARGEST + 1), np.int64)  # of different pairs, of same pairs
    for keys in pair_keys(np.rint(x * 2**25), person, block):
        np.add.at(counts.reshape(-1), keys, 1)
    n_different, n_same = map(int, counts.sum(axis=1))
    expect(n_same and n_different, "both kinds", f"{n_same} same, {n_different} different")
    histogram = counts[:, :-1].reshape(2, n_bins, -1).sum(axis=2).T
    histogram[-1] += counts[:, -1]
    return AllPairs(n_same, n_different, *figures(counts, n_same, n_different), histogram)


def pair_keys(x: np.ndarray, person: np.ndarray, block: int):
    """Yield each pair's place in flat counts of shape (2, LARGEST + 1), int64, block by block.

    `x` holds unit embeddings in whole units of 2**-25, `person` an integer for each.
    """
    squared = np.einsum("nd,nd->n", x, x)
    for i in range(0, len(x), block):
        rows = slice(i, i + block)
        for j in range(i, len(x), block):
            columns = slice(j, j + block)
            d = x[rows] @ x[columns].T  # (block, block)
            d = squared[rows, None] + squared[columns] - 2 * d
            d = np.rint(np.sqrt(d) / 4)  # in steps
            same = person[rows, None] == person[columns]
            keys = np.minimum(d, LARGEST).astype(np.int64) + same * (LARGEST + 1)
            yield keys[np.triu_indices(len(keys), 1)] if i == j else keys.ravel()


def figures(counts: np.ndarray, n_same: int, n_different: int) -> tuple[float, ...]:
    """Best-F1 threshold, its F1, AUC and EER of counts of shape (2, LARGEST + 1)."""
    best_f1, at, rate = 0.0, 0, None
    twice_area = 0  # a Python integer: may exceed 64 bits
    fp = tp = 0  # of all steps below the piece
    for start in range(0, LARGEST + 1, PIECE):
        piece = counts[:, start : start + PIECE]
        if not piece.any():
            continue
        fps, tps = np.cumsum(piece, axis=1)
        fps = np.append(fp, fp + fps)
        tps = np.append(tp, tp + tps)
        f1 = 2 * tps / (tps + fps + n_same)
        first = int(np.argmax(f1))
        if f1[first] > best_f1:  # of equals the smaller stays
            best_f1 = float(f1[first])
            at = start + first - 1
        widths = np.diff(fps)
        high, low = np.divmod(tps[1:] + tps[:-1], 2**20)  # whole products may exceed int64
        twice_area += (int(high @ widths) << 20) + int(low @ widths)
        gap = fps / n_different + tps / n_same - 1
        if rate is None and gap[-1] >= 0:
            after = np.argmax(gap >= 0)  # the curve's corners beside the EER, and its ends
            tp_near = np.array([0, tps[after - 1], tps[after], n_same])
            fp_near = np.array([0, fps[after - 1], fps[after], n_different])
            rate = float(eer(tp_near, fp_near))
        fp, tp = fps[-1], tps[-1]
    low = at / STEPS
    above = counts[:, at + 1 :].any(axis=0)  # steps with pairs
    further = at + 1 + np.argmax(above) if above.any() else None
    threshold = np.nextafter(low, np.inf) if further is None else (low + further / STEPS) / 2
    return float(threshold), best_f1, twice_area / (2 * n_same * n_different), rate
