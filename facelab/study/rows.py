"""The numbers of a run, one row each, and what several seeds say together."""

import math
from typing import NamedTuple

import pandas as pd

from facelab.verification import Estimate, difference_of, mean_of


class Key(NamedTuple):
    """What a number is: of which method and seed, on which pairs, and its metric."""

    method: str
    seed: int | None
    split: str
    role: str
    metric: str


def numbers(value: float | Estimate) -> dict[str, float | None]:
    """Return an estimate as columns of a row; what is not known or not finite is None."""
    estimate = value if isinstance(value, Estimate) else Estimate(value)
    columns = {}
    for name, number in estimate._asdict().items():
        known = number is not None and math.isfinite(number)
        columns[name] = float(number) if known else None
    return columns | {"n": int(estimate.n)}


class Rows:
    """Numbers by `Key`: ``value, low, high`` (95 %), and over seeds ``error`` and ``n``."""

    def __init__(self):
        self.rows: dict[Key, dict[str, float | None]] = {}

    def result(
        self, metric: str, value: float | Estimate, *, method="", seed=None, split="", role=""
    ) -> None:
        """Record a number, or an `Estimate` with its interval; twice the same is a ValueError.

        `method` and `seed` say what was measured, `split` and `role` on which pairs.
        """
        key = Key(method, seed, split, role, metric)
        if key in self.rows:
            raise ValueError(f"expected one number for each key, got a second for {key}")
        self.rows[key] = numbers(value)

    def over_seeds(self, metric: str, split: str = "View 1 test") -> pd.DataFrame:
        """Average over seeds, a row per method: mean, error, low, high (Student's t), n (seeds)."""
        means = {method: mean_of(of) for method, of in self._by_method(metric, split).items()}
        table = pd.DataFrame.from_dict(means, orient="index", columns=Estimate._fields)
        return table.rename(columns={"value": "mean"})[["mean", "error", "low", "high", "n"]]

    def difference(
        self, better: str, worse: str, metric: str = "auc", split: str = "View 1 test"
    ) -> Estimate:
        """Return by how much one method exceeds another, paired by seed, with Student's interval.

        It is a ValueError if the two have no seed in common.
        """
        found = self._by_method(metric, split)
        for method in (better, worse):
            if method not in found:
                raise ValueError(f"expected {metric} on {split} of {method!r}, got {[*found]}")
        return difference_of(found[better], found[worse])

    def _by_method(self, metric: str, split: str) -> dict[str, pd.Series]:
        found = {}
        for key, row in self.rows.items():
            if (key.metric, key.split) == (metric, split) and key.seed is not None:
                found.setdefault(key.method, {})[key.seed] = row["value"]
        return {method: pd.Series(values, dtype=float) for method, values in found.items()}

    def recorded(self) -> list[dict]:
        """Return all rows as ``run.json`` holds them; means over seeds have no seed."""
        rows = [key._asdict() | row for key, row in self.rows.items()]
        seeds = {}
        for key, row in self.rows.items():
            if key.seed is not None and row["value"] is not None:
                seeds.setdefault(key._replace(seed=None), []).append(row["value"])
        for key, values in seeds.items():
            if len(values) > 1 and key not in self.rows:
                rows.append(key._asdict() | numbers(mean_of(values)))
        return rows
