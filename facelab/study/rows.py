"""The numbers of a run, one row each, and what several seeds say together."""

import math
from typing import NamedTuple

import pandas as pd

from facelab.verification import Estimate, difference_of, mean_of


class Key(NamedTuple):
    """What a number is: which method and seed, on which pairs, and the name of the metric."""

    method: str
    seed: int | None
    split: str
    role: str
    metric: str


def numbers(value: float | Estimate) -> dict[str, float | None]:
    """Return an estimate as columns of a row; what is not known or not finite is None."""
    estimate = value if isinstance(value, Estimate) else Estimate(value)
    columns: dict[str, float | None] = {}
    for name, number in estimate._asdict().items():
        if number is None or not math.isfinite(number):
            columns[name] = None
        else:
            columns[name] = int(number) if name == "n" else float(number)
    return columns


class Rows:
    """Numbers by `Key`: ``value, low, high`` (95 %), and over seeds ``error`` and ``n``."""

    def __init__(self):
        self._rows: dict[Key, dict[str, float | None]] = {}

    def add(self, key: Key, value: float | Estimate) -> None:
        """Add a number.

        Raises
        ------
        ValueError
            If there is one for this key.
        """
        if key in self._rows:
            raise ValueError(f"expected one number for each key, got a second for {key}")
        self._rows[key] = numbers(value)

    def over_seeds(self, metric: str, split: str) -> pd.DataFrame:
        """Average a metric over the seeds of each method.

        Returns
        -------
        DataFrame
            A row per method: ``mean``, ``error`` (standard error), ``low`` and ``high`` (95 %,
            Student's t; nan for a single seed), ``n`` (seeds).
        """
        table = {}
        for method, by_seed in self._by_method(metric, split).items():
            mean = mean_of(list(by_seed.values()))
            table[method] = [mean.value, mean.error, mean.low, mean.high, mean.n]
        columns = ["mean", "error", "low", "high", "n"]
        return pd.DataFrame.from_dict(table, orient="index", columns=columns)

    def difference(self, better: str, worse: str, metric: str, split: str) -> Estimate:
        """Return by how much one method exceeds another, paired by seed, with Student's t interval.

        Raises
        ------
        ValueError
            If the two have no seed in common.
        """
        found = self._by_method(metric, split)
        ours = found.get(better, {})
        theirs = found.get(worse, {})
        seeds = [seed for seed in ours if seed in theirs]
        if not seeds:
            raise ValueError(
                f"expected {metric} on {split} of {better!r} and {worse!r} with a seed in common, "
                f"got {len(ours)} and {len(theirs)} numbers"
            )
        return difference_of([ours[seed] for seed in seeds], [theirs[seed] for seed in seeds])

    def _by_method(self, metric: str, split: str) -> dict[str, dict[int, float]]:
        found: dict[str, dict[int, float]] = {}
        for key, row in self._rows.items():
            if (key.metric, key.split) == (metric, split) and key.seed is not None:
                found.setdefault(key.method, {})[key.seed] = row["value"]
        return found

    def recorded(self) -> list[dict]:
        """Return all rows as ``run.json`` holds them; means over seeds have no seed."""
        rows = [key._asdict() | row for key, row in self._rows.items()]
        over_seeds: dict[Key, list[float]] = {}
        for key, row in self._rows.items():
            if key.seed is not None and row["value"] is not None:
                over_seeds.setdefault(key._replace(seed=None), []).append(row["value"])
        for key, values in over_seeds.items():
            if len(values) > 1 and key not in self._rows:
                rows.append(key._asdict() | numbers(mean_of(values)))
        return rows
