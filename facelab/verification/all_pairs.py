"""Verify on every pair of images at once: LFW's 13,233 images make 87,549,528 pairs.

Distances are fixed-point numbers. Embeddings of unit length are rounded to multiples of 2**-25;
their squared distances are then integers below 2**53 (in units of 2**-50), which float64 holds
exactly, so no order of summation, block, number of threads or library for matrices changes one.
Distances are rounded to multiples of 2**-23, the spacing of float32 between 1 and 2, so each is a
float32. Of these there are so few that pairs can be counted per distance instead of being kept.
"""

from typing import NamedTuple

import numpy as np

from facelab.verification.sweep import eer, unit_length

STEPS = 2**23  # per unit of distance
LARGEST = 2 * STEPS


class AllPairs(NamedTuple):
    """What all pairs of images say, each figure exact.

    Parameters
    ----------
    n_same, n_different : int
        Pairs of one person and of two.
    threshold, f1 : float
        The smallest of the thresholds with the largest F1, and that F1.
    auc, eer : float
        As in `Report.metrics`.
    histogram : ndarray of shape (n_bins, 2), int64
        Different (column 0) and same pairs (column 1) by distance, in bins of equal width over
        [0, 2]; a distance on the border of two bins is in the upper one, 2 itself in the last.
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
    Memory is at most 256 MiB of counts and a few blocks, however many pairs there are.

    Parameters
    ----------
    embeddings : ndarray of shape (n_images, embedding_size)
        Of any length but zero; normalised here.
    labels : ndarray of shape (n_images,)
        Whom each image shows.
    n_bins : int
        Bins of the histogram, a power of two up to 2**24.
    block : int
        Images on a block's side. Costs time and memory only: no figure depends on it.

    Returns
    -------
    AllPairs
        Thresholds and ties are as everywhere in `facelab.verification`.

    Raises
    ------
    ValueError
        If embeddings or labels do not fit, there are no pairs of one kind, or `n_bins` or `block`
        is out of range.

    References
    ----------
    .. [1] Huang, Ramesh, Berg, Learned-Miller, "Labeled Faces in the Wild", UMass TR 07-49, 2007:
       the images; its own protocol takes 6,000 pairs of them.
    .. [2] Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006: areas
       with ties.

    Examples
    --------
    >>> found = all_pairs(np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), np.array([7, 7, 8]))
    >>> found.n_same, found.n_different, round(found.threshold, 4), found.f1, found.auc, found.eer
    (1, 2, 0.7071, 1.0, 1.0, 0.0)
    """
    x = unit_length(embeddings)
    labels = np.asarray(labels)
    if labels.shape != (len(x),):
        raise ValueError(f"expected labels of shape ({len(x)},), got {labels.shape}")
    if not 1 <= n_bins <= LARGEST or n_bins & (n_bins - 1):
        raise ValueError(f"expected n_bins a power of two from 1 to 2**24, got {n_bins}")
    if block < 1:
        raise ValueError(f"expected a block of 1 image or more, got {block}")
    person = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    counts = np.zeros((2, LARGEST + 1), np.int64)  # of different pairs, of same pairs
    for keys in pair_keys(np.rint(x * 2**25), person, block):
        np.add.at(counts.reshape(-1), keys, 1)
    n_different, n_same = map(int, counts.sum(axis=1))
    if not n_same or not n_different:
        raise ValueError(f"expected both kinds, got {n_same} same, {n_different} different")
    histogram = counts[:, :-1].reshape(2, n_bins, -1).sum(axis=2).T
    histogram[-1] += counts[:, -1]
    return AllPairs(n_same, n_different, *figures(counts, n_same, n_different), histogram)


def pair_keys(x: np.ndarray, person: np.ndarray, block: int):
    """Yield each pair's place in flat counts of shape (2, LARGEST + 1), int64, block by block.

    `x` holds unit embeddings in whole units of 2**-25, `person` an int32 for each.
    """
    squared = np.einsum("nd,nd->n", x, x)
    for i in range(0, len(x), block):
        rows = slice(i, i + block)
        for j in range(i, len(x), block):
            columns = slice(j, j + block)
            d = x[rows] @ x[columns].T  # (block, block)
            d *= -2
            d += squared[rows, None]
            d += squared[columns]
            np.sqrt(d, out=d)  # in units of 2**-25
            d *= 2**-2
            np.rint(d, out=d)
            keys = np.minimum(d, LARGEST, out=d).astype(np.int64)
            same = person[rows, None] == person[columns]
            keys += same * (LARGEST + 1)
            yield keys[np.triu_indices(len(keys), 1)] if i == j else keys.ravel()


def figures(counts: np.ndarray, n_same: int, n_different: int) -> tuple[float, ...]:
    """Best-F1 threshold, its F1, AUC and EER of counts of shape (2, LARGEST + 1)."""
    tp = fp = 0  # all below the piece
    twice_area = 0  # a Python integer: may exceed 64 bits
    best_f1, at, rate = 0.0, 0, None
    for start in range(0, counts.shape[1], 2**20):
        piece = counts[:, start : start + 2**20]
        steps = np.flatnonzero(piece[0] | piece[1])
        if not len(steps):
            continue
        fps = np.append(fp, fp + piece[0, steps].cumsum())
        tps = np.append(tp, tp + piece[1, steps].cumsum())
        f1 = 2 * tps / (tps + fps + n_same)
        first = np.argmax(f1)
        if f1[first] > best_f1:  # of equals the earlier, so the smaller, stays
            best_f1 = float(f1[first])
            at = start + int(steps[first - 1])
        heights = tps[1:] + tps[:-1]
        widths = np.diff(fps)
        high, low = np.divmod(heights, 2**20)  # products of the whole may exceed int64
        twice_area += (int(np.dot(high, widths)) << 20) + int(np.dot(low, widths))
        gap = fps / n_different + tps / n_same - 1
        if rate is None and gap[-1] >= 0:
            after = np.argmax(gap >= 0)  # the curve's corners beside the EER, and its ends
            corners = [after - 1, after]
            tp_near = np.array([0, *tps[corners], n_same])
            fp_near = np.array([0, *fps[corners], n_different])
            rate = float(eer(tp_near, fp_near))
        tp, fp = tps[-1], fps[-1]
    above = [at + 1 + np.argmax(kind[at + 1 :] > 0) for kind in counts if kind[at + 1 :].any()]
    low = at / STEPS
    threshold = (low + min(above) / STEPS) / 2 if above else np.nextafter(low, np.inf)
    return float(threshold), best_f1, twice_area / (2 * n_same * n_different), rate
