"""Compare networks on the same pairs."""

from typing import NamedTuple

import numpy as np

from facelab.verification.estimates import Estimate, holm
from facelab.verification.people import percentiles, resampled_rates
from facelab.verification.report import Report


class Comparison(NamedTuple):
    """What `compare` found.

    Parameters
    ----------
    table : DataFrame
        A row per metric: a, b, difference = b - a, its 95 % interval (low, high), p, the standard
        error of the difference, and n, the resamples in which it is defined.
    only_a, only_b : int
        Pairs that only a or only b decides rightly at its threshold.
    """

    table: object
    only_a: int
    only_b: int

    def estimate(self, metric: str) -> Estimate:
        """Return the difference b - a of one metric."""
        row = self.table.set_index("metric").loc[metric]
        return Estimate(row["difference"], row["low"], row["high"], row["error"], int(row["n"]))


def compare(a: Report, b: Report, n: int = 2000, seed: int = 0) -> Comparison:
    """Compare two reports on the same pairs, each at its own thresholds.

    Both are resampled with the same people (see `Report.intervals`), so what makes a pair hard
    for both cancels. p is two-sided: twice the share of resampled differences on the other side
    of zero. McNemar's test on ``only_a`` and ``only_b`` would take pairs that share a person for
    independent, and is not used.

    Raises
    ------
    ValueError
        If the reports do not hold the same pairs in the same order.
    """
    import pandas as pd

    _check_pairs(a, b)
    value_a, value_b = a.metrics(), b.metrics()
    drawn_a, drawn_b = resampled_rates([a, b], n, seed)
    rows = []
    for metric in drawn_a:
        row = {"metric": metric, "a": value_a[metric], "b": value_b[metric]}
        row["difference"] = row["b"] - row["a"]
        rows.append(row | _tested(drawn_b[metric] - drawn_a[metric]))
    right_a, right_b = a.accepted == a.same, b.accepted == b.same
    only_a = int((right_a & ~right_b).sum())
    only_b = int((right_b & ~right_a).sum())
    return Comparison(pd.DataFrame(rows), only_a, only_b)


def compare_all(reference: Report, reports: dict[str, Report], metric: str = "auc", seed: int = 0):
    """Compare many reports with one reference, and correct for their number.

    The same people are resampled for all, at least 2,000 times and so often that the smallest p
    that can come out stays below 0.005 after Holm's correction.

    Returns
    -------
    DataFrame
        A row per report: method, difference = report - reference, its 95 % interval (low, high),
        p (see `compare`) and p_holm.

    Raises
    ------
    ValueError
        If there is no report, or one does not hold the pairs of the reference.
    """
    import pandas as pd

    if not reports:
        raise ValueError("expected at least one report to compare, got none")
    for report in reports.values():
        _check_pairs(reference, report)
    n = max(2000, 400 * len(reports))  # the smallest p is 2 / (1 + n)
    of_reference, *drawn = resampled_rates([reference, *reports.values()], n, seed)
    value = reference.metrics()[metric]
    rows = []
    for (method, report), own in zip(reports.items(), drawn, strict=True):
        row = {"method": method, "difference": report.metrics()[metric] - value}
        rows.append(row | _tested(own[metric] - of_reference[metric]))
    table = pd.DataFrame(rows)
    table["p_holm"] = holm(table["p"])
    return table[["method", "difference", "low", "high", "p", "p_holm"]]


def same_result(a: Report, b: Report) -> bool:
    """Whether two reports are of one network: equal distances on equal pairs."""
    return not _differing(a, b).any() and np.array_equal(a.distances, b.distances)


def _tested(differences):
    """Interval, p, standard error and number of resampled differences, as a row's columns."""
    low, high = percentiles(differences)
    d = differences[~np.isnan(differences)]
    beyond = min((d <= 0).sum(), (d >= 0).sum())
    p = min(1.0, 2 * (1 + beyond) / (1 + len(d))) if len(d) else np.nan
    error = float(d.std(ddof=1)) if len(d) > 1 else np.nan
    return {"low": low, "high": high, "p": p, "error": error, "n": len(d)}


def _differing(a, b):
    """Which pairs are not the same in both reports, bool; all if their numbers differ."""
    if len(a) != len(b):
        return np.ones(len(a), bool)
    return (a.left_ids != b.left_ids) | (a.right_ids != b.right_ids) | (a.same != b.same)


def _check_pairs(a, b):
    if len(a) != len(b):
        raise ValueError(f"expected the same pairs, got {len(a):,} and {len(b):,}")
    differ = _differing(a, b)
    if differ.any():
        raise ValueError(
            f"expected the same pairs in the same order, but {differ.sum():,} of {len(a):,} "
            f"differ, pair {np.argmax(differ)} first"
        )
