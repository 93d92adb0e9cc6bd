"""What the runs of a folder recorded, read back: results side by side, and trainings."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.study.record import SCHEMA, Run
from facelab.verification import Report, same_result

RATES = ("auc", "accuracy", "f1", "eer", "tar_at_far_1%")
SAID = ("method", "split", "rule", "seen", "category", "outside_data")
BUDGET = ("epochs", "images", "seconds", "images_per_second", "weights")
NUMBERS = ["threshold", "dev_auc", *BUDGET]
NUMBERS += [
    f"{rate}{end}" for rate in RATES for end in ("", "_low", "_high", "_mean", "_error", "_n")
]


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
        if record["status"] == "done":
            rows += _results(record, partial(_load_report, place, record))
    return _table(rows)


def _table(rows: list[dict]) -> pd.DataFrame:
    """Return rows as a table in which numbers that were not recorded are nan."""
    table = pd.DataFrame(rows)
    return table.astype(dict.fromkeys(NUMBERS, float)) if rows else table


def _load_report(place: Path, record: dict, key: tuple[str, str]) -> Report | None:
    for entry in record["reports"]:
        path = place / entry["file"]
        if (entry["method"], entry["split"]) == key and path.exists():
            return Report.load(path)
    return None


def results_of(run: Run) -> pd.DataFrame:
    """Return the rows of `load_results` for a run that is not finished yet."""
    return _table(_results(run.record(), run.reports.get))


def _results(record: dict, report_of: Callable[[tuple[str, str]], Report | None]) -> list[dict]:
    """Gather a row for each report on test pairs; `report_of` finds it by method and split."""
    numbers = {(r["method"], r["seed"], r["split"], r["metric"]): r for r in record["results"]}
    budgets = {(t["method"], t["seed"]): t for t in record["trainings"]}
    rows = []
    for entry in record["reports"]:
        if entry["role"] != "test":
            continue
        method, seed, split = entry["method"], entry["seed"], entry["split"]
        row = {name: entry[name] for name in SAID} | {"chapter": record["notebook"]}
        row |= {"source": record["data"]["source"], "synthetic": record["data"]["synthetic"]}
        row |= {"profile": record["profile"]}
        row["threshold"] = numbers[method, seed, split, "threshold"]["value"]
        for rate in RATES:
            own = numbers.get((method, seed, split, rate), {})
            mean = numbers.get((method, None, split, rate), {})
            row[rate] = own.get("value")
            row |= {f"{rate}_low": own.get("low"), f"{rate}_high": own.get("high")}
            row |= {f"{rate}_mean": mean.get("value"), f"{rate}_error": mean.get("error")}
            row[f"{rate}_n"] = mean.get("n")
        row["dev_auc"] = _dev_auc(numbers, method, seed)
        training = budgets.get((method, seed), {})
        row |= {name: training.get(name) for name in BUDGET}
        row["report"] = report_of((method, split))
        rows.append(row)
    return rows


def _dev_auc(numbers: dict, method: str, seed: int) -> float | None:
    """Return the AUC on dev people, as measured or else as watched in training."""
    for metric in ("auc", "watched_auc"):
        for of_seed in (seed, None):
            row = numbers.get((method, of_seed, "dev", metric))
            if row:
                return row["value"]
    return None


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
