"""What the runs of a folder recorded, read back: results side by side, and trainings."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from facelab.study.record import SCHEMA, Run
from facelab.verification import Report, same_result

RATES = ("auc", "accuracy", "f1", "eer", "tar_at_far_1%")
ENDS = ("", "_low", "_high", "_mean", "_mean_low", "_mean_high", "_error", "_n")
BUDGET = ("epochs", "images", "seconds", "images_per_second", "weights")
NUMBERS = ["threshold", "dev_auc", *BUDGET]
NUMBERS += [f"{rate}{end}" for rate in RATES for end in ENDS]
OF_REPORT = ["method", "split", "rule", "seen", "category", "outside_data"]
OF_RUN = ["chapter", "profile", "source", "synthetic"]
NOT_SETTINGS = ["chapter", "method", "seed", "seconds", "images_per_second", "film"]


def read_runs(folder: str | Path) -> dict[Path, dict]:
    """Read every ``run.json`` below `folder`: the record of each run by its folder, in order.

    A file that is no record of this version is a ValueError that names it.
    """
    records = {}
    for path in sorted(Path(folder).rglob("run.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            schema = record["schema"]
        except (ValueError, LookupError, TypeError):
            schema = "none"
        if schema != SCHEMA:
            raise ValueError(
                f"{path}: expected a record of schema {SCHEMA}, got {schema}; run the chapter again"
            )
        records[path.parent] = record
    return records


def load_results(folder: str | Path) -> pd.DataFrame:
    """Read what every finished run below `folder` verified on test pairs, one row a method.

    Columns are `OF_REPORT`, `OF_RUN` and `NUMBERS`, nan where none was recorded, and ``report``,
    the `Report`. Rates are of the first seed, each with ``_low, _high`` (95 %, people resampled)
    and, over seeds, ``_mean, _mean_low, _mean_high`` (95 %, Student's t), ``_error, _n``.
    """
    rows = []
    for place, record in read_runs(folder).items():
        if record["status"] == "done":
            files = {_key(entry): place / entry["file"] for entry in record["reports"]}
            kept = {key: Report.load(file) for key, file in files.items() if file.exists()}
            rows += _rows(record, kept.get)
    return _table(rows)


def results_of(run: Run) -> pd.DataFrame:
    """Return the rows of `load_results` for a run that is not finished yet."""
    return _table(_rows(run.record(), run.reports.get))


def _table(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*OF_REPORT, *OF_RUN, *NUMBERS, "report"])
    return table.astype(dict.fromkeys(NUMBERS, float))


def _key(entry: dict) -> tuple[str, str]:
    return entry["method"], entry["split"]


def _rows(record: dict, report_of: Callable[[tuple[str, str]], Report | None]) -> list[dict]:
    """Gather a row for each report on test pairs; `report_of` finds it by method and split."""
    numbers = {(r["method"], r["seed"], r["split"], r["metric"]): r for r in record["results"]}
    budgets = {(t["method"], t["seed"]): t for t in record["trainings"]}
    of_run = {"chapter": record["notebook"], "profile": record["profile"]}
    of_run |= {name: record["data"][name] for name in ("source", "synthetic")}
    rows = []
    for entry in record["reports"]:
        if entry["role"] != "test":
            continue
        method, seed, split = entry["method"], entry["seed"], entry["split"]
        row = of_run | {name: entry[name] for name in OF_REPORT}
        row |= budgets.get((entry["training"], seed), {}) | {"report": report_of(_key(entry))}
        row["method"] = method
        row["threshold"] = numbers[method, seed, split, "threshold"]["value"]
        on_dev = [(method, of, "dev", "auc") for of in (seed, None)]
        on_dev += [(method, of, "dev", "watched_auc") for of in (seed, None)]
        if not entry["training"]:  # such as folds put together, each with dev people of its own
            on_dev = []
        row["dev_auc"] = next((numbers[key]["value"] for key in on_dev if key in numbers), None)
        for rate in RATES:
            own = numbers.get((method, seed, split, rate), {})
            mean = numbers.get((method, None, split, rate), {})
            found = [own.get(name) for name in ("value", "low", "high")]
            found += [mean.get(name) for name in ("value", "low", "high", "error", "n")]
            row |= {f"{rate}{end}": number for end, number in zip(ENDS, found, strict=True)}
        rows.append(row)
    return rows


def comparable(results: pd.DataFrame) -> pd.DataFrame:
    """Keep the largest group of results on the very same pairs of strangers, each network once.

    Rates on different pairs, or on people that a network was trained on, do not belong into one
    ranking; accuracies and F1 compare only where ``rule`` agrees too. What several chapters
    verified alike is kept once, from the first of them; ``also`` lists its other names.
    """
    held = results[results["report"].notna() & (results["seen"] == "")]
    questions = held["report"].map(_question)
    kept = []
    for row in held[questions.isin(questions.mode()[:1])].to_dict("records"):
        twins = [one for one in kept if same_result(one["report"], row["report"])]
        if twins:
            twins[0]["also"].append(row["method"])
        else:
            kept.append(row | {"also": []})
    return pd.DataFrame(kept, columns=[*results.columns, "also"])


def _question(report: Report) -> str:
    pairs = hashlib.sha256(repr((report.source, report.name)).encode())
    for array in (report.left_ids, report.right_ids, report.same):
        pairs.update(array.tobytes())
    return pairs.hexdigest()


def trainings(folder: str | Path) -> pd.DataFrame:
    """Read every recorded training, one row each: chapter, method, seed, trial and settings.

    Columns are named as in ``run.json``; ``images`` were seen in all, ``people_images`` are those
    of the people trained on; loss, miner and the like are in words.
    """
    rows = []
    for record in read_runs(folder).values():
        for training in record["trainings"]:
            row = {"chapter": record["notebook"]} | training
            rows.append({name: _words(setting) for name, setting in row.items()})
    return pd.DataFrame(rows)


def _words(setting):
    """Write a recorded part, such as a loss, as its name and its settings."""
    if not isinstance(setting, dict):
        return setting
    own = [f"{name}={_words(value)}" for name, value in setting.items() if name != "name"]
    return f"{setting['name']}({', '.join(own)})" if own else setting["name"]


def differing(trainings: pd.DataFrame) -> list[str]:
    """Name the settings of `trainings` in which they differ, but for the seed."""
    settings = trainings.columns.difference(NOT_SETTINGS, sort=False)
    return [name for name in settings if trainings[name].astype(str).nunique() > 1]
