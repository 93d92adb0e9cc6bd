"""What the runs of a folder recorded, read back: results side by side, and trainings."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.study.record import SCHEMA, Run
from facelab.verification import Report, same_result

RATES = ("auc", "accuracy", "f1", "eer", "tar_at_far_1%")
BUDGET = ("epochs", "images", "seconds", "images_per_second", "weights")


def read_runs(folder: str | Path) -> dict[Path, dict]:
    """Read every ``run.json`` below `folder`: the record of each run by its folder, in order.

    Raises
    ------
    ValueError
        If one is no record of this version; the message names the file.
    """
    records = {}
    for path in sorted(Path(folder).rglob("run.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: expected a record of a run, got no JSON ({error})") from None
        schema = record.get("schema") if isinstance(record, dict) else None
        if schema != SCHEMA:
            raise ValueError(
                f"{path}: expected a record of schema {SCHEMA}, got {schema}; run the chapter again"
            )
        records[path.parent] = record
    return records


def load_runs(folder: str | Path) -> pd.DataFrame:
    """Read every ``run.json`` below `folder`, one row each.

    Returns
    -------
    DataFrame
        Nested entries are columns with a dot: ``parameters.SEED``, ``data.source``. Failed runs
        are in it too: see ``status``.
    """
    return pd.json_normalize(list(read_runs(folder).values()))


def load_results(folder: str | Path) -> pd.DataFrame:
    """Read what every finished run below `folder` verified on test pairs, one row a method.

    Returns
    -------
    DataFrame
        ``method, chapter, split, rule, source, synthetic, seen, category, outside_data,
        profile``; ``threshold``; ``auc, accuracy, f1, eer, tar_at_far_1%`` of the first seed,
        each with ``_low, _high`` (95 %, people resampled) and, over seeds, ``_mean, _error,
        _n``; ``dev_auc`` (nan if it was not recorded); the budget, ``epochs, images, seconds,
        images_per_second, weights`` (nan without a training); ``report``, the `Report`.
    """
    rows = []
    for place, record in read_runs(folder).items():
        if record["status"] != "done":
            continue
        numbers = Numbers(record)
        for entry in _test_reports(record):
            path = place / entry["file"]
            report = Report.load(path) if path.exists() else None
            rows.append(_result(entry, record, numbers, report))
    return pd.DataFrame(rows)


def results_of(run: Run) -> pd.DataFrame:
    """Return the rows of `load_results` for a run that is not finished yet."""
    record = run.record()
    numbers = Numbers(record)
    rows = []
    for entry in _test_reports(record):
        report = run.reports[entry["method"], entry["split"]]
        rows.append(_result(entry, record, numbers, report))
    return pd.DataFrame(rows)


def _test_reports(record: dict) -> Iterator[dict]:
    return (entry for entry in record["reports"] if entry["role"] == "test")


def _result(entry: dict, record: dict, found: "Numbers", report: Report | None) -> dict:
    """Gather the row of one verified method."""
    method, seed, split = entry["method"], entry["seed"], entry["split"]
    row = {
        "method": method,
        "chapter": record["notebook"],
        "split": split,
        "rule": entry["rule"],
        "source": record["data"]["source"],
        "synthetic": record["data"]["synthetic"],
        "seen": entry["seen"],
        "category": entry["category"],
        "outside_data": entry["outside_data"],
        "profile": record["profile"],
        "threshold": found.of(method, seed, split, "threshold")["value"],
    }
    for rate in RATES:
        own = found.of(method, seed, split, rate)
        mean = found.of(method, None, split, rate)
        row |= {rate: own["value"], f"{rate}_low": own["low"], f"{rate}_high": own["high"]}
        row |= {f"{rate}_mean": mean["value"], f"{rate}_error": mean["error"]}
        row[f"{rate}_n"] = mean["n"]
    row["dev_auc"] = found.dev_auc(method, seed)
    training = found.training(method, seed)
    for column in BUDGET:
        row[column] = _number(training.get(column))
    row["report"] = report
    return row


class Numbers:
    """The rows of one record, by what they are."""

    def __init__(self, record: dict):
        self._rows = {}
        self._dev = {}
        self._trainings = {}
        for row in record["results"]:
            numbers = {
                name: _number(row.get(name)) for name in ("value", "low", "high", "error", "n")
            }
            self._rows[row["method"], row["seed"], row["split"], row["metric"]] = numbers
            if row["role"] == "dev":
                self._dev[row["method"], row["seed"], row["metric"]] = numbers["value"]
        for training in record["trainings"]:
            self._trainings[training["method"], training["seed"]] = training

    def of(self, method: str, seed: int | None, split: str, metric: str) -> dict[str, float]:
        """Return ``value, low, high, error, n`` of a metric; nan for what was not recorded."""
        nothing = dict.fromkeys(("value", "low", "high", "error", "n"), np.nan)
        return self._rows.get((method, seed, split, metric), nothing)

    def dev_auc(self, method: str, seed: int) -> float:
        """Return the AUC on dev people, as measured or else as watched in training."""
        for metric in ("auc", "watched_auc"):
            for of_seed in (seed, None):
                if (method, of_seed, metric) in self._dev:
                    return self._dev[method, of_seed, metric]
        return np.nan

    def training(self, method: str, seed: int) -> dict:
        """Return the recorded training of a method, or nothing."""
        return self._trainings.get((method, seed), {})


def _number(value) -> float:
    return np.nan if value is None else value


def comparable(results: pd.DataFrame) -> pd.DataFrame:
    """Keep the largest group of results on the very same pairs of strangers, each network once.

    Rates on different pairs, or on people that a network was trained on, answer different
    questions; they do not belong into one ranking. Accuracies and F1 compare only where ``rule``,
    by which thresholds were chosen, agrees too. What several chapters verified alike, raw pixels
    above all, is kept once, from the first of them; ``also`` lists the other names that it has.
    """
    held = results[results["report"].notna() & (results["seen"] == "")]
    if held.empty:
        return held.assign(also=[])
    questions = [_question(row) for row in held.itertuples()]
    most = max(set(questions), key=questions.count)
    held = held[[question == most for question in questions]]
    kept: list[int] = []
    also: list[list[str]] = []
    for k, report in enumerate(held["report"]):
        twin = [j for j, of in enumerate(kept) if same_result(held["report"].iloc[of], report)]
        if twin:
            also[twin[0]].append(held["method"].iloc[k])
        else:
            kept.append(k)
            also.append([])
    return held.iloc[kept].assign(also=also).reset_index(drop=True)


def _question(row) -> tuple:
    report = row.report
    pairs = hashlib.sha256()
    for array in (report.left_ids, report.right_ids, report.same):
        pairs.update(np.ascontiguousarray(array).tobytes())
    return report.source, report.name, pairs.hexdigest()


def trainings(folder: str | Path) -> pd.DataFrame:
    """Read every recorded training: network, data, steps and settings, one row each.

    Returns
    -------
    DataFrame
        ``chapter, method, seed, trial, epochs, images`` (seen in all), ``people, people_images``
        (trained on), ``weights, batch_size, lr, loss_lr, weight_decay, threads, precision`` and,
        in words, ``loss, miner, sampler, optimizer, scheduler, augment``.
    """
    rows = []
    for record in read_runs(folder).values():
        for training in record["trainings"]:
            row = {"chapter": record["notebook"]}
            for name, setting in training.items():
                row[name] = _words(setting) if isinstance(setting, dict) else setting
            rows.append(row)
    return pd.DataFrame(rows)


def _words(part: dict) -> str:
    """Write a recorded part, such as a loss, as its name and its settings."""
    settings = [
        f"{name}={_words(value) if isinstance(value, dict) else value}"
        for name, value in part.items()
        if name != "name"
    ]
    return f"{part['name']}({', '.join(settings)})" if settings else part["name"]


NOT_SETTINGS = ["chapter", "method", "seed", "seconds", "images_per_second", "film"]


def differing(trainings: pd.DataFrame) -> list[str]:
    """Name the settings of `trainings` in which they differ, but for the seed."""
    settings = trainings.columns.difference(NOT_SETTINGS, sort=False)
    return [name for name in settings if trainings[name].astype(str).nunique() > 1]
