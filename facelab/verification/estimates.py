"""A number and how sure it is: means over seeds, differences, and p values of several tests."""

from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A value, its 95 % interval and standard error, and of how many seeds or resamples.

    Parameters
    ----------
    value, low, high, error : float
        Low, high and error are nan where nothing says how sure the value is: one seed.
    n : int
        Seeds, or resamples of people, that the interval comes from.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    error: float = np.nan
    n: int = 1


def mean_of(values) -> Estimate:
    """Estimate a mean over seeds by Student's t.

    Parameters
    ----------
    values : array_like of shape (n_seeds,)

    Raises
    ------
    ValueError
        If there is no value.

    References
    ----------
    .. [1] Student, "The probable error of a mean", Biometrika 6(1), 1908.

    Examples
    --------
    >>> [round(x, 3) for x in mean_of([0.8, 0.9, 1.0])]
    [0.9, 0.652, 1.148, 0.058, 3]
    """
    from scipy import stats

    values = np.asarray(values, float)
    n = values.size
    if values.ndim != 1 or not n:
        raise ValueError(f"expected one value per seed, at least 1, got shape {values.shape}")
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean, np.nan, np.nan, np.nan, 1)
    error = float(values.std(ddof=1) / np.sqrt(n))
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Estimate(mean, mean - half, mean + half, error, n)


def difference_of(a, b) -> Estimate:
    """Estimate the mean of a - b over seeds, paired by seed.

    Parameters
    ----------
    a, b : Series indexed by seed, or array_like of shape (n_seeds,)
        Of two Series, the seeds that both have count; arrays are paired by place.

    Raises
    ------
    ValueError
        If there is no common seed, a seed stands twice, or arrays differ in length.

    Examples
    --------
    >>> round(difference_of([0.8, 0.9], [0.7, 0.7]).value, 3)
    0.15
    """
    import pandas as pd

    by_seed = isinstance(a, pd.Series) and isinstance(b, pd.Series)
    if not by_seed and len(a) != len(b):
        raise ValueError(f"expected as many values of a as of b, got {len(a)} and {len(b)}")
    if not by_seed:
        return mean_of(np.asarray(a, float) - np.asarray(b, float))
    if not (a.index.is_unique and b.index.is_unique):
        raise ValueError(f"expected each seed once, got {[*a.index]} and {[*b.index]}")
    seeds = a.index.intersection(b.index)
    if seeds.empty:
        raise ValueError(f"expected common seeds, got {[*a.index]} and {[*b.index]}")
    return mean_of(a[seeds] - b[seeds])


class Folds(NamedTuple):
    """Mean accuracy over folds, its standard error, and a DataFrame with a row per fold."""

    mean: float
    standard_error: float
    table: object


def over_folds(reports: list) -> Folds:
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
    one_each = all(len(fold) == 1 for fold in folds)
    if len(folds) < 2 or not one_each or len(np.unique(folds)) < len(folds):
        raise ValueError(f"expected two reports or more, of one fold each, got folds {folds}")
    rows = []
    for report in reports:
        of_fold = {"fold": int(report.fold[0]), "threshold": report.threshold}
        rows.append(of_fold | {"f1_threshold": report.f1_threshold} | report.metrics())
    table = pd.DataFrame(rows)
    accuracy = table["accuracy"]
    error = float(accuracy.std(ddof=1) / len(rows) ** 0.5)
    return Folds(float(accuracy.mean()), error, table)


def holm(p) -> np.ndarray:
    """Correct p values for their number, so that all hold together.

    References
    ----------
    .. [1] Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal
       of Statistics 6(2), 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1)
    return corrected
