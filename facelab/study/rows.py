"""The numbers of a run, one row each, and what several seeds say together."""

import math
from collections import namedtuple

import pandas as pd

from facelab.checks import expect
from facelab.study.reading import check_part
from facelab.verification import Estimate, difference_of, mean_of

Key = namedtuple("Key", "method seed split role metric")  # what a number is, and on which pairs


def estimated(value: float | Estimate) -> Estimate:
    """Return an estimate as it is, and a number as one without an interval."""
    return value if isinstance(value, Estimate) else Estimate(float(value))


class Rows:
    """Estimates by `Key`: value, 95 % interval, and over seeds standard error and n."""

    def __init__(self):
        self.rows: dict[Key, Estimate] = {}

    def result(self, metric, value, *, method="", seed=None, split="", role="") -> None:
        """Record a number, or an `Estimate` with its interval.

        `method` and `seed` say what was measured, `split` and `role` on which pairs. Another number
        of the same is a ValueError; the same number again, as of a cell that is run twice, is not.
        """
        key = Key(method, seed, split, role, metric)
        estimate = estimated(value)
        check_part("results", key._asdict() | estimate._asdict())
        known = self.rows.setdefault(key, estimate)
        told = f"another for {key}; run the notebook from its start"
        expect(repr(known) == repr(estimate), "one number for each key", told)

    def over_seeds(self, metric: str, split: str = "View 1 test") -> pd.DataFrame:
        """Average over seeds, a row per method: mean, error, low, high (Student's t), n (seeds).

        Of a rate that is undefined for a seed, so is the mean.
        """
        means = {}
        for method, of in self._by_method(metric, split).items():
            is_defined = of.notna().all()
            means[method] = mean_of(of) if is_defined else Estimate(math.nan, n=len(of))
        columns = ["mean", "low", "high", "error", "n"]  # of an `Estimate`
        table = pd.DataFrame.from_dict(means, orient="index", columns=columns)
        return table[["mean", "error", "low", "high", "n"]]

    def difference(self, better, worse, metric="auc", split="View 1 test") -> Estimate:
        """Return by how much one method exceeds another, paired by seed, with Student's interval.

        It is a ValueError if the two have no seed in common.
        """
        found = self._by_method(metric, split)
        for method in (better, worse):
            expect(method in found, f"{metric} on {split} of {method!r}", [*found])
        return difference_of(found[better], found[worse])

    def _by_method(self, metric: str, split: str) -> dict[str, pd.Series]:
        found = {}
        for key, row in self.rows.items():
            if (key.metric, key.split) == (metric, split) and key.seed is not None:
                found.setdefault(key.method, {})[key.seed] = row.value
        return {method: pd.Series(values, dtype=float) for method, values in found.items()}

    def recorded(self) -> list[dict]:
        """Return all rows as ``run.json`` holds them; means over seeds have no seed.

        A rate that is undefined for a seed has no mean.
        """
        rows = self.rows.copy()
        seeds = {}
        for key, row in self.rows.items():
            if key.seed is not None:
                seeds.setdefault(key._replace(seed=None), []).append(row.value)
        for key, values in seeds.items():
            if len(values) > 1 and all(map(math.isfinite, values)):
                rows.setdefault(key, mean_of(values))
        return [key._asdict() | row._asdict() for key, row in rows.items()]
