"""From embeddings to distances, and from distances to counts and rates at every threshold.

A pair is accepted when distance < threshold. Among equally good candidate thresholds the smallest,
the strictest, wins. Undefined rates are nan.
"""

from functools import cached_property

import numpy as np

from facelab.checks import expect, kinds, numbers, real, truths
from facelab.faces import Pairs

PIECE = 2**16  # pairs that are measured at once
LEAST_FAR = 1e-9
FARS = {"tar_at_far_1%": 0.01, "tar_at_far_0.1%": 0.001}
FARTHEST = 2  # the greatest distance of two points on the unit sphere


def unit_length(embeddings: np.ndarray) -> np.ndarray:
    """Divide embeddings, (n_images, embedding_size), by their lengths; float64."""
    x = np.asarray(embeddings)
    is_table = x.ndim == 2 and x.dtype.kind in "fiu"
    expect(is_table, "a table of numbers", f"{x.dtype} of shape {x.shape}")
    length = np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))
    good = np.isfinite(length) & (length > 0)
    if not good.all():
        got = f"{length[~good][0]} in row {np.argmin(good)}"
        raise ValueError(f"expected embeddings of finite length above 0, got {got}")
    return x / length[:, None]


@kinds
def distances(embeddings: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Measure how far apart the two images of each pair lie on the unit sphere, in [0, 2].

    Embeddings, (n_images, embedding_size), are normalised here; one without a direction is a
    ValueError. A masked row of a masked array is an image that could not be embedded: its pairs
    are `FARTHEST` apart, so they count as rejected and are not dropped.
    """
    embeddings = np.asanyarray(embeddings)  # masked, or a tensor
    x = unit_length(np.ma.filled(embeddings, 1))
    apart = np.empty(len(pairs.left), np.float32)
    for start in range(0, len(apart), PIECE):  # IJB-C has 15.7 million pairs
        some = slice(start, start + PIECE)
        between = x[pairs.left[some]] - x[pairs.right[some]]  # (PIECE, embedding_size)
        apart[some] = np.linalg.norm(between, axis=1)
    failed = np.ma.getmaskarray(embeddings).any(axis=1)  # (n_images,)
    apart[failed[pairs.left] | failed[pairs.right]] = FARTHEST
    return apart


class Sweep:
    """Pairs sorted by distance once, to be counted under any weights.

    Distances are 0 or more; same, bool, is whether both images show one person; (n_pairs,) each.

    >>> sweep = Sweep([0.5, 1.5, 0.5], [True, True, False])
    >>> sweep.thresholds.round(3).tolist()
    [0.5, 1.0, 1.5]
    >>> [counts.tolist() for counts in sweep.accepted()]
    [[0.0, 1.0, 2.0], [0.0, 1.0, 1.0]]
    """

    def __init__(self, distances: np.ndarray, same: np.ndarray):
        distances, same = np.asarray(distances), truths("same", same)
        got = f"shapes {distances.shape} and {same.shape}"
        is_alike = distances.shape == same.shape and len(same)
        expect(is_alike, "two arrays of one length, at least 1", got)
        numbers("distances", distances, low=0)
        self._order = np.argsort(distances, kind="stable")
        self._same = same[self._order]
        self._distinct, times = np.unique(distances[self._order], return_counts=True)
        self._n_accepted = np.append(0, times.cumsum())  # (n_candidates,)

    @cached_property
    def thresholds(self) -> np.ndarray:
        """Candidates, (n_candidates,): midpoints of neighbours, one below all and one above."""
        d = self._distinct.astype(np.float64)  # keeps midpoints strictly between
        below = np.nextafter(d[0], -np.inf)
        above = np.nextafter(d[-1], np.inf)
        return np.concatenate([[below], (d[1:] + d[:-1]) / 2, [above]])

    def at(self, threshold: float | np.ndarray) -> int | np.ndarray:
        """Return the index of the candidate that accepts the same pairs as `threshold`."""
        return np.searchsorted(self._distinct, np.float64(threshold))

    def accepted(self, weights: np.ndarray | None = None, at: np.ndarray | None = None):
        """Add up the weights of the accepted same and different pairs, (..., n_candidates) each.

        Weights have the shape (..., n_pairs), default 1; `at` are indices of candidates, default
        all. The last candidate accepts all pairs.
        """
        if weights is None:
            weights = np.ones(len(self._same), np.int64)
        shape = np.shape(weights)
        least = np.min(weights)
        is_fit = shape[-1:] == self._order.shape and least >= 0
        expect(is_fit, "a weight of 0 or more for each pair", f"{least:g} in shape {shape}")
        weights = np.take(weights, self._order, axis=-1)
        kind = np.result_type(weights, np.int32)
        ends = self._n_accepted if at is None else self._n_accepted[at]

        def total(part):
            sums = part.cumsum(axis=-1, dtype=kind)
            return np.where(ends > 0, sums.take(ends - 1, axis=-1), 0.0)

        return total(weights * self._same), total(weights * ~self._same)


def best(
    sweep: Sweep, by: str, weights: np.ndarray | None = None, far: float | None = None
) -> float:
    """Return the strictest of the best candidates, under weights of shape (n_pairs,).

    `by` is the name of a rate in `rates`, which is to be greatest; ``"eer"``, where FAR and FRR
    are to be nearest; or ``"tar"``, which is to be greatest while FAR is at most `far`. Weighted
    rates count as equal within 1e-12, the rounding of sums of fractions.
    """
    same, different = sweep.accepted(weights)
    found = rates(same, different, same[-1], different[-1])
    slack = 0 if weights is None else 1e-12
    if by == "eer":
        rate = -np.abs(found["far"] - found["frr"])
    elif by == "tar":
        rate = np.where(found["far"] <= far + slack, found["recall"], -1)
    else:
        rate = found[by]
    return sweep.thresholds[np.argmax(rate >= rate.max() - slack)]


def too_few(far: float, n_different: int) -> str:
    """Say why no threshold can be held to a FAR of `far` by so few pairs; empty where one can."""
    far = real("far", far, LEAST_FAR, 1)
    if n_different and 1 / n_different <= far:  # else a single false accept would exceed `far`
        return ""
    needed = np.ceil(1 / far)
    return f"FAR {100 * far:g} % needs {needed:,.0f} different pairs or more, got {n_different:,}"


def rates(tp, fp, n_same, n_different) -> dict[str, np.ndarray]:
    """Turn accepted same (tp) and different (fp) pairs into rates; arrays broadcast.

    ``far`` is the share of different pairs accepted, ``frr`` that of same pairs rejected. With
    nothing accepted F1 is 0 and precision undefined.
    """
    total = tp + fp + n_same
    return {
        "accuracy": _ratio(tp + n_different - fp, n_same + n_different),
        "f1": 2 * tp / np.where(total > 0, total, 1),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, n_same),
        "far": _ratio(fp, n_different),
        "frr": _ratio(n_same - tp, n_same),
    }


def area(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Area under the ROC polyline of counts (..., n_candidates): AUC, ties one half."""
    return _ratio(np.trapezoid(tp, fp, axis=-1), tp[..., -1] * fp[..., -1])


def eer(tp: np.ndarray, fp: np.ndarray) -> np.ndarray:
    """Rate at which the ROC polyline of counts (..., n_candidates) has far = frr."""
    far = _ratio(fp, fp[..., -1:])
    gap = far + _ratio(tp, tp[..., -1:]) - 1  # far - frr, rises from -1 to 1
    after = np.argmax(gap >= 0, axis=-1)
    low, high = _pick(far, after - 1), _pick(far, after)
    gap_low, gap_high = _pick(gap, after - 1), _pick(gap, after)
    return low + (high - low) * _ratio(-gap_low, gap_high - gap_low)


def tar(tp: np.ndarray, fp: np.ndarray, far: float) -> np.ndarray:
    """Greatest true accept rate with FAR <= `far`, of counts (..., n_candidates)."""
    last = np.sum(_ratio(fp, fp[..., -1:]) <= far, axis=-1) - 1
    return np.where(fp[..., -1] > 0, _ratio(_pick(tp, last), tp[..., -1]), np.nan)


@kinds
def auc(distances: np.ndarray, same: np.ndarray) -> float:
    """Return the chance that a same pair is nearer than a different one, ties one half."""
    return float(area(*Sweep(distances, same).accepted()))


def _ratio(a, b):
    with np.errstate(invalid="ignore"):  # 0 / 0 is undefined: nan
        return np.true_divide(a, b)


def _pick(values, index):  # one value of each row
    return np.take_along_axis(values, index[..., None], axis=-1)[..., 0]
