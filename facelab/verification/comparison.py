"""Compare networks: on the same pairs by resampled people, and over seeds by Student's t."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from facelab.checks import expect, kinds, numbers, one_each
from facelab.verification.intervals import FEWEST
from facelab.verification.report import OF_PAIRS, Report, resampled_rates


@kinds
class Estimate(NamedTuple):
    """A value, its 95 % interval and standard error, and of how many seeds or resamples.

    Low, high and error are nan where nothing says how sure the value is: one seed.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    error: float = np.nan
    n: int = 1


@kinds
def mean_of(values: np.ndarray) -> Estimate:
    """Estimate a mean over seeds, of values (n_seeds,), by Student's t (Biometrika 6(1), 1908).

    A rate that is undefined, nan, for every seed has an undefined mean; for some, a ValueError.
    """
    values = np.asarray(values)
    n = values.size
    got = f"shape {values.shape}"
    expect(values.ndim == 1 and n, "one value per seed, at least 1", got)
    if values.dtype.kind != "f" or not np.isnan(values).all():
        values = numbers("values, one per seed", values)
    mean = float(values.mean())
    if n == 1:
        return Estimate(mean)
    error = float(values.std(ddof=1) / np.sqrt(n))
    half = float(stats.t.ppf(0.975, n - 1)) * error
    return Estimate(mean, mean - half, mean + half, error, n)


@kinds
def difference_of(a: np.ndarray | pd.Series, b: np.ndarray | pd.Series) -> Estimate:
    """Estimate the mean of a - b over seeds, paired by seed.

    Of two Series indexed by seed, the seeds that both have count; arrays of one length,
    (n_seeds,), are paired by place. Anything else is a ValueError.
    """
    values = numbers("a", a), numbers("b", b)
    if not (isinstance(a, pd.Series) and isinstance(b, pd.Series)):
        return mean_of(values[0] - one_each("b", values[1], values[0].size))
    seeds = a.index.intersection(b.index)
    is_paired = len(seeds) and a.index.is_unique and b.index.is_unique
    expect(is_paired, "common seeds, each seed once", f"{[*a.index]} and {[*b.index]}")
    return mean_of(a[seeds].astype(float) - b[seeds].astype(float))


def holm(p) -> np.ndarray:
    """Correct p values for their number (Holm, Scandinavian Journal of Statistics 6(2), 1979)."""
    p = np.asarray(p, float)
    is_list = p.ndim == 1 and not ((p < 0) | (p > 1)).any()
    expect(is_list, "p values from 0 to 1", p.tolist())
    ascending = pd.Series(p).sort_values(kind="stable")
    steps = ascending * np.arange(len(ascending), 0, -1)
    return steps.cummax().clip(upper=1).sort_index().to_numpy()


class Folds(NamedTuple):
    """Mean accuracy over folds, its standard error, and a table with a row per fold."""

    mean: float
    standard_error: float
    table: pd.DataFrame


@kinds
def over_folds(reports: list[Report]) -> Folds:
    """Average the accuracy of View 2's folds, one fold in each report, at its own threshold.

    The standard error is std(ddof=1) / sqrt(n_folds), as LFW asks (see `view1`, section III).
    """
    folds = [np.unique(report.fold).tolist() for report in reports]
    found = [fold for of_report in folds for fold in of_report]
    is_one_each = 2 <= len(reports) == len(found) == len(set(found))
    expect(is_one_each, "two reports or more, of one fold each", f"folds {folds}")
    _check_one_rule(reports)
    rows = []
    for (fold,), report in zip(folds, reports, strict=True):
        chosen = {"threshold": report.threshold, "f1_threshold": report.f1_threshold}
        rows.append({"fold": fold} | chosen | report.metrics())
    table = pd.DataFrame(rows)
    estimate = mean_of(table["accuracy"])
    return Folds(estimate.value, estimate.error, table)


@kinds
def pool_folds(reports: list[Report], name: str = "View 2 test") -> Report:
    """Return one report of all folds' pairs, for curves and lists of mistakes.

    Every fold has a network of its own, so its distances are stretched until its threshold, chosen
    by one rule for all, falls on the mean one; which pairs are accepted does not change.
    """
    thresholds = np.array([report.threshold for report in reports])
    can_be_scaled = len(reports) and thresholds.min() > 0
    expect(can_be_scaled, "reports with thresholds above 0", thresholds.tolist())
    _check_one_rule(reports)
    threshold = thresholds.mean()
    scales = threshold / thresholds
    f1 = scales * [report.f1_threshold for report in reports]
    starts = np.cumsum([0] + [len(report.image_ids) for report in reports[:-1]])
    arrays = (*OF_PAIRS, "image_ids", "people")
    joined = {array: np.concatenate([getattr(r, array) for r in reports]) for array in arrays}
    n_pairs = [len(report) for report in reports]
    stretched = np.float32(joined["distances"] * np.repeat(scales, n_pairs))
    first = np.float32(threshold)  # the smallest distance that is not accepted
    first = first if first >= threshold else np.nextafter(first, np.float32(np.inf))
    accepted = np.concatenate([report.accepted for report in reports])
    inside = np.minimum(stretched, np.nextafter(first, np.float32(0)))  # where rounding crosses it
    joined["distances"] = np.where(accepted, inside, np.maximum(stretched, first))
    for side in ("left", "right"):  # positions among the images of all folds
        joined[side] += np.repeat(starts, n_pairs)
    each = " / ".join(sorted({report.threshold_from for report in reports}))
    chosen = f"{each}, mean of {len(reports)} folds"
    joined |= {"threshold": threshold, "f1_threshold": f1.mean(), "threshold_from": chosen}
    return replace(reports[0], **joined, name=name)


def _check_one_rule(reports):
    rules = {report.rule for report in reports}
    expect(len(rules) == 1, "reports whose thresholds one rule chose", sorted(rules))


class Comparison(NamedTuple):
    """A row per metric: a, b, difference = b - a, its 95 % interval (low, high), p, error and n.

    The error is the standard error of the difference; n counts the resamples that define it; the
    note says why they are nan: fewer than ten independent pairs.
    """

    table: pd.DataFrame

    def estimate(self, metric: str) -> Estimate:
        """Return the difference b - a of one metric."""
        row = self.table.set_index("metric").loc[metric]
        return Estimate(row["difference"], row["low"], row["high"], row["error"], int(row["n"]))


@kinds
def compare(a: Report, b: Report, n: int = 2000, seed: int = 0) -> Comparison:
    """Compare two reports on the same pairs in the same order, each at its own thresholds.

    Both are resampled with the same people (see `Report.intervals`), so what makes a pair hard
    for both cancels. p is two-sided: twice the share of resampled differences on the other side
    of zero. McNemar's test would take pairs that share a person for independent.
    """
    drawn_a, drawn_b = resampled_rates([a, b], n, seed)
    return _comparison(a, b, drawn_b - drawn_a)


@kinds
def compare_all(
    reference: Report, reports: dict[str, Report], metric: str = "auc", seed: int = 0
) -> pd.DataFrame:
    """Compare many reports with one reference, and correct for their number.

    A row per report: method, difference = report - reference, low, high and p (see `compare`) and
    p_holm. People are resampled so often that the smallest p stays below 0.005 when corrected.
    """
    expect(reports, "at least one report to compare", "none")
    metrics = list(reference.rates())
    expect(metric in metrics, f"a metric of {metrics}", repr(metric))
    n = max(2000, 400 * len(reports))  # the smallest p is 2 / (1 + n)
    drawn_reference, *drawn = resampled_rates([reference, *reports.values()], n, seed)
    rows = []
    for (method, report), of_report in zip(reports.items(), drawn, strict=True):
        table = _comparison(reference, report, of_report - drawn_reference).table
        rows.append(table[table["metric"] == metric].assign(method=method))
    table = pd.concat(rows, ignore_index=True)
    table["p_holm"] = holm(table["p"])
    return table[["method", "difference", "low", "high", "p", "p_holm"]]


def _comparison(a, b, drawn):
    """Compare two reports by resampled differences, (n, n_metrics)."""
    counts = pd.DataFrame([a.n_independent(), b.n_independent()]).min()
    few = counts < FEWEST
    drawn = drawn.mask(few, axis=1)
    n = drawn.count()  # of defined ones
    beyond = np.minimum((drawn <= 0).sum(), (drawn >= 0).sum())
    p = 2 * (1 + beyond) / (1 + n)
    table = pd.DataFrame({"a": a.metrics(), "b": b.metrics()}, drawn.columns)
    table["difference"] = table["b"] - table["a"]
    table["low"], table["high"] = drawn.quantile([0.025, 0.975]).to_numpy()
    table["p"] = p.clip(upper=1).where(n > 0)
    table["error"] = drawn.std()
    table["n"] = n
    needs = f"needs {FEWEST} independent pairs, got " + counts.astype(str)
    table["note"] = needs.where(few, "")
    return Comparison(table.rename_axis("metric").reset_index())
