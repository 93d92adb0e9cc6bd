"""Decide from a distance whether two images show one person, and say how sure that is.

All figures come from one sweep. The candidate thresholds are the midpoints between neighbouring
distinct distances, one below the smallest (accepts nothing) and one above the largest (accepts
everything); a pair is accepted as the same person when distance < threshold. One tie rule: among
equally good candidates the smallest threshold, the strictest, wins. With nothing accepted F1 is
0 and precision undefined (nan).
"""

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

FARS = {"tar_at_far_1%": 0.01, "tar_at_far_0.1%": 0.001}


@dataclass(frozen=True, repr=False)
class Threshold:
    """A threshold, and the people whose pairs chose it.

    Parameters
    ----------
    value : float
        Euclidean distance between unit-length embeddings, in [0, 2].
    by : {"f1", "accuracy"}
        What it makes largest.
    pairs_name : str
        The pairs that chose it, for example ``"View 1 dev"``.
    people : frozenset of str
        Names of everyone in those pairs; `verify` refuses to test on any of them.
    n_pairs : int
        Number of those pairs.
    """

    value: float
    by: str
    pairs_name: str
    people: frozenset[str]
    n_pairs: int

    def __repr__(self) -> str:
        return (
            f"Threshold({self.value:.4f}, best {self.by.replace('f1', 'F1')} on {self.pairs_name}: "
            f"{self.n_pairs:,} pairs of {len(self.people):,} people)"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Distances of tested pairs, the threshold they are held against, and what follows.

    Parameters
    ----------
    distances : ndarray of shape (n_pairs,), float32
        Euclidean distance between unit-length embeddings, in [0, 2].
    same : ndarray of shape (n_pairs,), bool
        True where both images show the same person.
    fold, left, right : ndarray of shape (n_pairs,), int64
        Fold of each pair, and its two images as positions in `image_ids`.
    image_ids, people : ndarray of shape (n_images,), str
        Each image's name, for example ``"NAME_0001"``, and the person whom it shows.
    threshold : float
        A pair is accepted as the same person when its distance is below.
    f1_threshold : float, optional
        The threshold at which F1, precision and recall are reported; default: `threshold`.
    threshold_from : str
        How it was chosen: ``"given"``, or for example ``"best F1 on View 1 dev"``.
    rule : {"accuracy and f1", "f1", "given"}
        By what the two thresholds were chosen; results of different rules are not compared.
    name, role, source : str
        What the pairs are, for example ``"View 1 test"``; what their people are to a network
        (``"train"``, ``"dev"``, ``"test"`` or empty); what the images are, ``"LFW funneled"``.
    synthetic : bool
        Whether the faces are drawn.
    seen : str
        In words, why the people of the pairs are no strangers; empty for strangers.

    Raises
    ------
    ValueError
        If there is no pair, the arrays do not fit one another, a distance is negative or not
        finite, or the threshold is not finite.
    """

    distances: np.ndarray
    same: np.ndarray
    fold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    image_ids: np.ndarray
    people: np.ndarray
    threshold: float
    f1_threshold: float | None = None
    threshold_from: str = "given"
    rule: str = "given"
    name: str = "pairs"
    role: str = ""
    source: str = "faces"
    synthetic: bool = False
    seen: str = ""

    def __post_init__(self):
        # Against a float64 NumPy compares float32 distances in float64. It rounds a Python float
        # to float32 first, where the midpoint of two neighbours becomes one of them.
        if self.f1_threshold is None:
            object.__setattr__(self, "f1_threshold", self.threshold)
        kinds = {"distances": np.float32, "same": bool, "image_ids": str, "people": str}
        kinds |= {"threshold": np.float64, "f1_threshold": np.float64}
        for name, kind in (kinds | dict.fromkeys(("fold", "left", "right"), np.int64)).items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind)[()])
        shapes = [a.shape for a in (self.distances, self.same, self.fold, self.left, self.right)]
        if set(shapes) != {(self.distances.size,)} or not self.distances.size:
            raise ValueError(f"expected five arrays of one length, at least 1, got {shapes}")
        if not (np.isfinite(self.distances).all() and self.distances.min() >= 0):
            raise ValueError("expected finite distances of 0 or more, got others")
        if not np.isfinite(self.threshold):
            raise ValueError(f"expected a finite threshold, got {self.threshold}")
        _check_rows(self.left, self.right, len(self.image_ids))
        truth = self.people[self.left] == self.people[self.right]
        if len(self.people) != len(self.image_ids) or (truth != self.same).any():
            raise ValueError("expected people who agree with same, got others")

    def __len__(self) -> int:
        return len(self.distances)

    def __repr__(self) -> str:
        m, n_same = self.metrics(), self.same.sum()
        return (
            f"Report({self.source}, {self.name}: {n_same:,} same and {len(self) - n_same:,} "
            f"different pairs, accuracy {m['accuracy']:.3f} at threshold {self.threshold:.3f} "
            f"({self.threshold_from}), AUC {m['auc']:.3f})"
        )

    @property
    def accepted(self) -> np.ndarray:
        """Which pairs are accepted as the same person, bool of shape (n_pairs,)."""
        return self.distances < self.threshold

    @property
    def left_ids(self) -> np.ndarray:
        """``NAME_0001`` of each pair's left image, str of shape (n_pairs,)."""
        return self.image_ids[self.left]

    @property
    def right_ids(self) -> np.ndarray:
        """``NAME_0001`` of each pair's right image, str of shape (n_pairs,)."""
        return self.image_ids[self.right]

    def metrics(self) -> dict[str, float]:
        """Return counts and rates at the threshold, and what no threshold decides.

        Returns
        -------
        dict
            ``tp, fp, tn, fn``: pairs; ``accuracy, f1, precision, recall``; ``far, frr``: the
            share of different pairs accepted and of same pairs rejected; ``auc``: the chance
            that a same pair is nearer than a different one, ties one half; ``eer``: the rate at
            which the ROC polyline has far = frr; ``tar_at_far_1%, tar_at_far_0.1%``: see
            `tar_at_far`, nan where that refuses. Undefined rates are nan.
        """
        accepted = np.bincount(2 * self.accepted + self.same, minlength=4)
        counts = dict(zip(("tn", "fn", "fp", "tp"), map(int, accepted), strict=True))
        rates = _measure(np.ones(len(self), np.int64), self, _sweep(self.distances))
        return counts | {metric: float(value) for metric, value in rates.items()}

    def tar_at_far(self, far: float) -> float:
        """Return the greatest true accept rate of all candidate thresholds with FAR <= `far`.

        Raises
        ------
        ValueError
            If `far` is not in (0, 1], there are no same pairs, or fewer than 1 / `far` different
            ones, so that a single false accept would exceed `far`.
        """
        if not 0 < far <= 1:
            raise ValueError(f"expected a far above 0 and at most 1, got {far}")
        if refusal := self._refusal(far):
            raise ValueError(refusal)
        _, tp, fp = _curve(self.distances, self.same)
        return float(_tar(tp, fp, far))

    def _refusal(self, far):
        n = int((~self.same).sum())
        if n * far < 1:
            needed = np.ceil(1 / far)
            return f"FAR {100 * far:g} % needs {needed:,.0f} different pairs or more, got {n:,}"
        return "" if self.same.any() else "a TAR needs same pairs, got none"

    def roc(self):
        """Return a DataFrame of the rates at every candidate threshold, the strictest first."""
        import pandas as pd

        thresholds, tp, fp = _curve(self.distances, self.same)
        rates = _rates(tp, fp, tp[-1], fp[-1])
        columns = ["threshold", "far", "tar", "precision", "recall", "f1", "accuracy"]
        return pd.DataFrame({"threshold": thresholds, "tar": rates["recall"], **rates})[columns]

    def intervals(self, n: int = 2000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals (low, high) of every rate, from `n` resamples of the people.

        Pairs that share a person are not independent, so people are drawn with replacement, not
        pairs: where person p is drawn w_p times, a same pair of p counts w_p times and a
        different pair of p and q counts w_p * w_q times. The threshold stays. Low and high are
        the 2.5th and 97.5th percentile of the resamples in which the rate is defined.

        References
        ----------
        .. [1] Bolle, Ratha, Pankanti, "Error analysis of pattern recognition systems: the
           subsets bootstrap", CVIU 93, 2004.
        .. [2] Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007.
        """
        return {k: _percentiles(drawn) for k, drawn in _bootstrap(n, seed, self)[0].items()}

    def table(self, n: int = 2000, seed: int = 0):
        """Return a DataFrame: metric, value, low, high (95 %, see `intervals`), note."""
        import pandas as pd

        values, rows = self.metrics(), []
        for metric, drawn in _bootstrap(n, seed, self)[0].items():
            undefined = int(np.isnan(drawn).sum())
            note = f"undefined in {undefined:,} of {n:,} resamples" if undefined else ""
            note = self._refusal(FARS[metric]) or note if metric in FARS else note
            rows.append((metric, values[metric], *_percentiles(drawn), note))
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "note"])

    def mistakes(self, n: int = 10):
        """Return a DataFrame of the nearest `n` false accepts and the farthest `n` false rejects.

        Columns: kind, pair (its number in the report), distance, left_id, right_id.
        """
        import pandas as pd

        order = np.argsort(self.distances, kind="stable")
        wrong = order[self.accepted[order] != self.same[order]]
        pair = np.concatenate([wrong[~self.same[wrong]][:n], wrong[self.same[wrong]][::-1][:n]])
        kind = np.where(self.same[pair], "false reject", "false accept")
        columns = {"kind": kind, "pair": pair, "distance": self.distances[pair]}
        ends = {"left_id": self.left_ids[pair], "right_id": self.right_ids[pair]}
        return pd.DataFrame(columns | ends)

    def save(self, path) -> None:
        """Write everything to one ``.npz`` file that `load` reads back, without pickle."""
        with Path(path).open("wb") as file:
            np.savez_compressed(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path) -> "Report":
        """Read a report that `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            expected = {f.name for f in fields(cls)}
            if set(file.files) != expected:
                raise ValueError(f"{path}: expected {sorted(expected)}, got {sorted(file.files)}")
            return cls(**{k: v if v.ndim else v.item() for k, v in file.items()})


def distances(embeddings: np.ndarray, pairs) -> np.ndarray:
    """Measure how far apart the two images of each pair lie on the unit sphere.

    Parameters
    ----------
    embeddings : ndarray of shape (n_images, embedding_size)
        Of any length but zero; normalised here.
    pairs : Pairs
        Rows of `embeddings`, in ``left`` and ``right``.

    Returns
    -------
    ndarray of shape (n_pairs,), float32
        Euclidean distance between unit-length embeddings, in [0, 2].

    Raises
    ------
    ValueError
        If the embeddings are not a table of finite numbers, a row has length zero, or a pair
        names a row that is not there.

    Examples
    --------
    >>> from facelab.faces import Pairs
    >>> embeddings = np.array([[1.0, 0.0], [0.0, 5.0], [-2.0, 0.0]])
    >>> distances(embeddings, Pairs([0, 0, 1], [0, 2, 0], [True, False, False]))
    array([0.       , 2.       , 1.4142135], dtype=float32)
    """
    x, left, right = _unit(embeddings), np.asarray(pairs.left), np.asarray(pairs.right)
    _check_rows(left, right, len(x))
    out = np.empty(len(left), np.float32)
    for start in range(0, len(left), 65_536):  # bounds the memory of a million pairs
        i, j = left[start : start + 65_536], right[start : start + 65_536]
        out[start : start + 65_536] = np.linalg.norm(x[i] - x[j], axis=1)
    return out


def are_test_pairs(name: str) -> bool:
    """Whether pairs of this name are neither dev's nor train's, so that nothing may be chosen."""
    return not re.search("dev|train", name, re.IGNORECASE)


def auc(distances: np.ndarray, same: np.ndarray) -> float:
    """Return the chance that a same pair is nearer than a different one, ties one half.

    Parameters
    ----------
    distances : ndarray of shape (n_pairs,)
        How far apart the two images of each pair are.
    same : ndarray of shape (n_pairs,), bool
        True where both show one person. Without both kinds of pairs the result is nan.
    """
    _, tp, fp = _curve(distances, same)
    return float(_area(tp, fp))


def fit_threshold(embeddings: np.ndarray, faces, by: str = "f1") -> Threshold:
    """Choose the threshold that makes F1 or accuracy largest on the pairs of `faces`.

    Give it dev people: the people a network was trained on lie far closer together than
    strangers, so their best threshold is too strict for anyone else.

    Parameters
    ----------
    embeddings : ndarray of shape (n_images, embedding_size)
        One row per image of `faces`.
    faces : Faces
        With the dev pairs.
    by : {"f1", "accuracy"}
        The source study chose by F1.

    Raises
    ------
    ValueError
        If `by` is neither, there are no pairs, or only same or only different ones.
    """
    if by not in ("f1", "accuracy"):
        raise ValueError(f"expected by='f1' or by='accuracy', got {by!r}")
    apart, people = _measured(embeddings, faces)
    same, name = faces.pairs.same, faces.pairs.name
    if same.all() or not same.any():
        n = int(same.sum())
        raise ValueError(f"{name}: expected both kinds, got {n} same, {len(same) - n} different")
    return Threshold(_best(apart, same, by), by, name, people, len(apart))


def verify(
    embeddings: np.ndarray, faces, threshold: Threshold | float, *, seen: str = ""
) -> Report:
    """Hold the pairs of `faces` against a threshold that other people chose.

    Parameters
    ----------
    embeddings : ndarray of shape (n_images, embedding_size)
        One row per image of `faces`.
    faces : Faces
        With the pairs to test.
    threshold : Threshold or float
        From `fit_threshold`; a number is recorded as given.
    seen : str
        In words, why the tested people are not strangers, for example ``"people it was trained
        on"``. Becomes part of the report's source, and so of every caption.

    Raises
    ------
    ValueError
        If the threshold was chosen on people that are tested here and `seen` does not say so.
    """
    apart, people = _measured(embeddings, faces)
    value, origin, shared = threshold, "given", []
    if isinstance(threshold, Threshold):
        value, origin = (
            threshold.value,
            f"best {threshold.by.replace('f1', 'F1')} on {threshold.pairs_name}",
        )
        shared = sorted(threshold.people & people)
    if shared and not seen:
        raise ValueError(
            f"expected a threshold from other people, but {len(shared)} of the {len(people)} "
            f"people tested chose it, {shared[0]} first; fit it on dev pairs, or say in seen=... "
            "why this is meant"
        )
    pairs = faces.pairs
    rows, ends = np.unique([pairs.left, pairs.right], return_inverse=True)
    left, right = ends.reshape(2, -1)
    return Report(
        apart,
        pairs.same,
        pairs.fold,
        left,
        right,
        image_ids=faces.image_ids[rows],
        people=np.array(faces.names)[faces.labels[rows]],
        threshold=value,
        threshold_from=origin,
        name=pairs.name,
        role=pairs.role,
        source=faces.source,
        synthetic=faces.synthetic,
        seen=seen,
    )


class Folds(NamedTuple):
    """Mean accuracy over folds, its standard error, and a DataFrame with a row per fold."""

    mean: float
    standard_error: float
    table: object


def over_folds(reports: list[Report]) -> Folds:
    """Average the accuracy of View 2's folds, each at its own threshold.

    The standard error is std(ddof=1) / sqrt(n_folds), as LFW asks (Huang, Ramesh, Berg and
    Learned-Miller, "Labeled Faces in the Wild", UMass TR 07-49, 2007, section III).

    Raises
    ------
    ValueError
        If there are fewer than two reports, or they do not hold one fold each, all different.
    """
    import pandas as pd

    folds = [np.unique(report.fold).tolist() for report in reports]
    if len(folds) < 2 or any(len(f) > 1 for f in folds) or len(np.unique(folds)) < len(folds):
        raise ValueError(f"expected two reports or more, of one fold each, got folds {folds}")
    rows = [{"fold": int(r.fold[0]), "threshold": r.threshold, **r.metrics()} for r in reports]
    table = pd.DataFrame(rows)
    accuracy = table["accuracy"]
    return Folds(float(accuracy.mean()), float(accuracy.std(ddof=1) / len(rows) ** 0.5), table)


class Comparison(NamedTuple):
    """A DataFrame of differences, and how many pairs only a or only b decides rightly."""

    table: object
    only_a: int
    only_b: int


def compare(a: Report, b: Report, n: int = 2000, seed: int = 0) -> Comparison:
    """Compare two reports on the same pairs, each at its own threshold.

    Returns
    -------
    Comparison
        ``table, only_a, only_b``. The table has a row per metric: a, b, difference = b - a, its
        95 % interval (low, high), p. Both reports are resampled with the same people (see
        `Report.intervals`), so what makes a pair hard for both cancels. p is two-sided: twice
        the share of resampled differences on the other side of zero. McNemar's test on `only_a`
        and `only_b` would take pairs that share a person for independent, and is not used.

    Raises
    ------
    ValueError
        If the reports do not hold the same pairs in the same order.
    """
    import pandas as pd

    if len(a) != len(b):
        raise ValueError(f"expected the same pairs, got {len(a):,} and {len(b):,}")
    differ = (a.left_ids != b.left_ids) | (a.right_ids != b.right_ids) | (a.same != b.same)
    if differ.any():
        raise ValueError(
            f"expected the same pairs in the same order, but {differ.sum():,} of {len(a):,} "
            f"differ, pair {np.argmax(differ)} first"
        )
    of_a, of_b = a.metrics(), b.metrics()
    drawn_a, drawn_b = _bootstrap(n, seed, a, b)
    rows = []
    for metric, drawn in drawn_a.items():
        d = drawn_b[metric] - drawn
        d = d[~np.isnan(d)]
        p = min(1.0, 2 * (1 + min((d <= 0).sum(), (d >= 0).sum())) / (1 + len(d)))
        values = (of_a[metric], of_b[metric], of_b[metric] - of_a[metric])
        rows.append((metric, *values, *_percentiles(d), p if len(d) else np.nan))
    columns = ["metric", "a", "b", "difference", "low", "high", "p"]
    right_a, right_b = a.accepted == a.same, b.accepted == b.same
    only_a, only_b = (right_a & ~right_b).sum(), (right_b & ~right_a).sum()
    return Comparison(pd.DataFrame(rows, columns=columns), int(only_a), int(only_b))


def _unit(embeddings):
    """Embeddings divided by their lengths, float64 of shape (n_images, embedding_size)."""
    x = np.asarray(embeddings)
    if x.ndim != 2 or x.dtype.kind not in "fiu":
        raise ValueError(
            "expected numbers of shape (n_images, embedding_size), "
            f"got {x.dtype} of shape {x.shape}"
        )
    length = np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if len(bad):
        raise ValueError(
            f"expected embeddings of finite length above 0, got {len(bad)} others, "
            f"first row {bad[0]} of length {length[bad[0]]}"
        )
    return x / length[:, None]


def _check_rows(left, right, n):
    ends = np.concatenate([left, right])
    if len(ends) and (ends.min() < 0 or ends.max() >= n):
        raise ValueError(f"expected pairs of rows in 0..{n - 1}, got {ends.min()}..{ends.max()}")


def _measured(embeddings, faces):
    """Distances of the pairs of `faces`, and the names of everyone in them."""
    if faces.pairs is None or not len(faces.pairs):
        raise ValueError(f"expected faces with pairs, got none in {faces!r}")
    if len(embeddings) != len(faces):
        raise ValueError(
            f"expected one embedding for each of {len(faces):,} images, got {len(embeddings):,}"
        )
    labels = np.unique(faces.labels[[faces.pairs.left, faces.pairs.right]])
    return distances(embeddings, faces.pairs), frozenset(faces.names[k] for k in labels)


def _sweep(distances):
    """Order of the pairs by distance, and the last pair of each distinct distance."""
    order = np.argsort(distances, kind="stable")
    d = distances[order]
    return order, np.flatnonzero(np.append(d[1:] > d[:-1], True))


def _accepted(weights, same, order, last):
    """Weight of the same and of the different pairs that each candidate accepts.

    From weights of shape (..., n_pairs) to two arrays of shape (..., n_candidates).
    """
    weights = weights.take(order, axis=-1)
    of_same = weights * same[order]
    sums = np.zeros((2, *weights.shape[:-1], len(last) + 1))
    for total, part in zip(sums, (of_same, weights - of_same), strict=True):
        total[..., 1:] = part.cumsum(axis=-1, dtype=part.dtype)[..., last]
    return sums


def _counts(distances, same):
    """Distinct distances, ascending, and how many same and different pairs each accepts.

    Bits of floats of 0 or more are ordered as the floats are and leave the sign's place free: one
    integer holds a distance and its kind, and one sort of integers does. Accepted pairs start
    with 0, for the threshold below all distances.
    """
    d = np.asarray(distances)
    if not (d >= 0).all():
        raise ValueError("expected distances of 0 or more, got others")
    bits = np.dtype(f"u{d.itemsize}").type
    keys = d.view(bits) << bits(1)
    keys |= same
    keys.sort()
    kind = keys & bits(1)
    keys >>= bits(1)
    last = np.flatnonzero(np.append(keys[1:] != keys[:-1], True))
    tp = np.append(0, kind.cumsum(dtype=np.int64)[last])
    return keys[last].view(d.dtype), tp, np.append(0, last + 1) - tp


def _thresholds(d):
    """Every candidate threshold for distinct distances in ascending order."""
    d = d.astype(np.float64)  # keeps midpoints strictly between
    below, above = np.nextafter(d[0], -np.inf), np.nextafter(d[-1], np.inf)
    return np.concatenate([[below], (d[1:] + d[:-1]) / 2, [above]])


def _curve(distances, same):
    """Every candidate threshold, and how many same and different pairs it accepts."""
    d, tp, fp = _counts(distances, same)
    return _thresholds(d), tp, fp


def _best(distances, same, by):
    """Return the first, so the strictest, of the candidate thresholds with the greatest `by`."""
    d, tp, fp = _counts(distances, same)
    rate = {"f1": _f1, "accuracy": _accuracy}[by]
    k = np.argmax(rate(tp, fp, tp[-1], fp[-1]))
    return _thresholds(d[max(k - 1, 0) : k + 1])[min(k, 1)]


def _ratio(a, b):
    with np.errstate(invalid="ignore"):  # 0 / 0 is undefined: nan
        return np.true_divide(a, b)


def _accuracy(tp, fp, n_same, n_different):
    return _ratio(tp + n_different - fp, n_same + n_different)


def _f1(tp, fp, n_same, n_different):
    return 2 * tp / np.maximum(tp + fp + n_same, 1)


def _rates(tp, fp, n_same, n_different):
    fn = n_same - tp
    return {
        "accuracy": _accuracy(tp, fp, n_same, n_different),
        "f1": _f1(tp, fp, n_same, n_different),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, n_same),
        "far": _ratio(fp, n_different),
        "frr": _ratio(fn, n_same),
    }


def _at(values, index):
    return np.take_along_axis(values, index[..., None], axis=-1)[..., 0]


def _tar(tp, fp, far):
    index = np.sum(_ratio(fp, fp[..., -1:]) <= far, axis=-1) - 1
    return np.where(fp[..., -1] > 0, _ratio(_at(tp, index), tp[..., -1]), np.nan)


def _area(tp, fp):
    return _ratio(np.trapezoid(tp, fp, axis=-1), tp[..., -1] * fp[..., -1])


def _eer(tp, fp):
    far = _ratio(fp, fp[..., -1:])
    gap = far + _ratio(tp, tp[..., -1:]) - 1  # far - frr, rises from -1 to 1
    after = np.argmax(gap >= 0, axis=-1)
    low, high, g, h = (_at(v, i) for v in (far, gap) for i in (after - 1, after))
    return low + (high - low) * _ratio(-g, h - g)


def _measure(weights, report, sweep):
    """Every rate of a report, for pair weights of shape (..., n_pairs)."""
    order, last = sweep
    tp, fp = _accepted(weights, report.same, order, last)
    n_same, n_different = tp[..., -1], fp[..., -1]
    k = np.searchsorted(report.distances[order[last]], report.threshold)
    rates = _rates(tp[..., k], fp[..., k], n_same, n_different)
    rates["auc"] = _area(tp, fp)
    rates["eer"] = _eer(tp, fp)
    for metric, far in FARS.items():
        rates[metric] = _tar(tp, fp, far) * (np.nan if report._refusal(far) else 1)
    return rates


def _pair_weights(report, n, seed):
    """Yield how often each pair counts in each resample, int32 of shape (some of n, n_pairs)."""
    person = np.unique(report.people, return_inverse=True)[1]
    people, ends = np.unique(person[[report.left, report.right]], return_inverse=True)
    (left, right), k = ends.reshape(2, -1), len(people)
    rng = np.random.default_rng(seed)
    step = max(1, 250_000 // len(report))  # arrays of this many pairs stay in the processor cache
    for start in range(0, n, step):
        m = min(step, n - start)
        drawn = rng.integers(k, size=(m, k)) + k * np.arange(m)[:, None]
        w = np.bincount(drawn.ravel(), minlength=m * k).reshape(m, k).astype(np.int32)
        yield w.take(left, axis=1) * np.where(report.same, 1, w.take(right, axis=1))


def _bootstrap(n, seed, *reports):
    """Resample the people of reports on the same pairs; every rate has shape (n,)."""
    sweeps = [_sweep(report.distances) for report in reports]
    drawn = [
        [_measure(weights, *pair) for pair in zip(reports, sweeps, strict=True)]
        for weights in _pair_weights(reports[0], n, seed)
    ]
    per_report = zip(*drawn, strict=True)
    return [{k: np.concatenate([d[k] for d in own]) for k in own[0]} for own in per_report]


def _percentiles(values):
    values = values[~np.isnan(values)]
    return tuple(np.percentile(values, [2.5, 97.5]).tolist()) if len(values) else (np.nan,) * 2
