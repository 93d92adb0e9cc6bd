"""Resample people, not pairs: pairs that share a person are not independent."""

from collections.abc import Iterator

import numpy as np


def resampled_weights(report, n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each pair of a report counts in each of `n` resamples of its people.

    Where person p is drawn w_p times with replacement, a same pair of p counts w_p times, and a
    different pair of p and q w_p * w_q times.

    Yields
    ------
    ndarray of shape (some of n, n_pairs), int32

    References
    ----------
    .. [1] Bolle, Ratha, Pankanti, "Error analysis of pattern recognition systems: the subsets
       bootstrap", CVIU 93, 2004.
    .. [2] Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007.
    """
    person = np.unique(report.people, return_inverse=True)[1]
    people, ends = np.unique(person[[report.left, report.right]], return_inverse=True)
    left, right = ends.reshape(2, -1)
    k = len(people)
    rng = np.random.default_rng(seed)
    step = max(1, 250_000 // len(report))  # arrays of this many pairs stay in the processor cache
    for start in range(0, n, step):
        m = min(step, n - start)
        drawn = rng.integers(k, size=(m, k))
        drawn += k * np.arange(m)[:, None]  # each resample counts in places of its own
        times = np.bincount(drawn.ravel(), minlength=m * k)
        times = times.reshape(m, k).astype(np.int32)
        of_left = times.take(left, axis=1)
        of_right = times.take(right, axis=1)
        yield of_left * np.where(report.same, 1, of_right)


def resampled_rates(reports, n: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Rates of reports on the same pairs (see `Report.rates`), the same people drawn for all.

    Returns
    -------
    list of dict
        Per report: metric and its value in every resample, of shape (n,).
    """
    parts = [[] for _ in reports]
    for weights in resampled_weights(reports[0], n, seed):
        for report, own in zip(reports, parts, strict=True):
            own.append(report.rates(weights))
    return [_joined(own) for own in parts]


def _joined(parts):
    """One dict of long arrays from several of short ones."""
    return {metric: np.concatenate([part[metric] for part in parts]) for metric in parts[0]}


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of those values that are defined."""
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
