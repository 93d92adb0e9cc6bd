"""How sure a rate is: between percentiles of resamples, or exactly of so many trials."""

import numpy as np
from scipy.special import betaincinv

from facelab.verification.sweep import FARS

FEWEST = 10  # independent pairs for which percentiles of resamples are an interval


def units(tp, fp, n_same, n_different) -> dict[str, np.ndarray]:
    """Return of how many pairs each rate is a share, of counts as in `rates`; arrays broadcast.

    Counted among `Report.independent`, they are the trials of `exact`. AUC and EER compare a same
    pair with a different one: as often as there are pairs of the rarer kind.
    """
    compared = np.minimum(n_same, n_different)
    return {
        "accuracy": n_same + n_different,
        "f1": n_same + fp,
        "precision": tp + fp,
        "recall": n_same,
        "far": n_different,
        "frr": n_same,
        "auc": compared,
        "eer": compared,
        **dict.fromkeys(FARS, n_same),
    }


def exact(metric: str, rate, n) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact 95 % interval (low, high) of a rate of `n` independent trials.

    Clopper and Pearson's (Biometrika 26(4), 1934), with the trials times the rate as successes, a
    whole number or not (Korn and Graubard, Survey Methodology 24(2), 1998): of 0 in `n` it is 0
    to 1 - 0.025 ** (1 / n), and of no trial 0 to 1. F1 = 2 J / (1 + J), where J is the share of
    the true accepts among pairs that are same or accepted. AUC varies no more than a share of as
    many trials (Birnbaum and Klose, Annals of Mathematical Statistics 28(4), 1957).
    """
    rate, n = np.asarray(rate, float), np.asarray(n, float)
    share = rate / (2 - rate) if metric == "f1" else rate
    hits = share * n
    low = np.where(hits > 0, betaincinv(hits, n - hits + 1, 0.025), 0.0)
    high = np.where(hits < n, betaincinv(hits + 1, n - hits, 0.975), 1.0)
    ends = [np.where(np.isnan(rate), np.nan, end) for end in (low, high)]
    return tuple(2 * end / (1 + end) if metric == "f1" else end for end in ends)


def supported(metric: str, low, high, rate, n) -> tuple[np.ndarray, np.ndarray]:
    """Keep the percentiles `low` and `high` of resamples where they are an interval.

    Where all resamples are alike, or `n`, the independent pairs, are fewer than `FEWEST`, the
    interval is that of `exact`; arrays broadcast.
    """
    resampled = (low < high) & (n >= FEWEST)
    exact_low, exact_high = exact(metric, rate, n)
    return np.where(resampled, low, exact_low), np.where(resampled, high, exact_high)
