"""Every verified method of every run, side by side, read from the ``run.json`` files."""

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.study.record import read_runs
from facelab.verification import Report, are_test_pairs, auc

RATES = ("accuracy", "auc", "eer", "tar_at_far_1%")
BUDGET = ("epochs", "images", "seconds", "images_per_second", "weights")
COLUMNS = ["title", "chapter", "prefix", "pairs", "source", "outside_data", "profile", "threshold"]
COLUMNS += [f"{rate}{end}" for rate in RATES for end in ("", "_low", "_high", "_mean", "_se")]
COLUMNS += ["dev_auc", *BUDGET, "report"]
# Chapters 00 and 01 call what they verify by the place it has there, which says nothing elsewhere.
_TITLES = {
    ("00_faces_and_pairs", "test"): "raw pixels",
    ("01_siamese_baseline", "test"): "Siamese CNN, margin {MARGIN:g}, {EPOCHS} epochs",
    ("01_siamese_baseline", "short_test"): "Siamese CNN, margin by dev, {SHORT_EPOCHS} epochs",
}


def load_results(folder: str | Path) -> pd.DataFrame:
    """Read every finished run below `folder`, one row for each report on test pairs.

    Returns
    -------
    DataFrame
        ``title, chapter, prefix, pairs, source`` (which says so if the people were seen in
        training), ``outside_data, profile``; ``accuracy, auc, eer, tar_at_far_1%``, each with
        ``_low, _high`` (95 %) and, where the run recorded several seeds, ``_mean, _se``;
        ``threshold``; ``dev_auc`` (nan if it was not kept); the budget, ``epochs, images,
        seconds, images_per_second, weights``, as far as recorded; ``report``, the `Report`.
    """
    rows = []
    for place, record in read_runs(folder).items():
        if record["status"] == "done":
            rows += _rows(record, place)
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(record: dict, folder: Path) -> list[dict]:
    metrics, rows = record["metrics"], []
    budgets = {training["prefix"]: training for training in record.get("trainings", ())}
    for kept in record.get("reports", ()):
        if not are_test_pairs(kept["pairs"]):
            continue
        prefix, path = kept["prefix"], folder / kept["file"]
        report = Report.load(path) if path.exists() else None
        title = _TITLES.get((record["notebook"], prefix))
        title = title.format(**record["parameters"]) if title else kept["title"]
        if prefix.startswith("cure_") and prefix != "cure_base":  # one change to chapter 04's loss
            title = f"ArcFace, cure: {title}"
        if kept["outside_data"] and "outside data" not in title:
            title = f"{title} (outside data)"
        row = {"title": title, "chapter": record["notebook"], "prefix": prefix}
        row |= {"pairs": kept["pairs"], "outside_data": kept["outside_data"]}
        row |= {"source": report.source if report else record["data"]["source"]}
        row |= {"profile": record["profile"], "threshold": metrics[f"{prefix}_threshold"]}
        for rate in RATES:
            for end in ("", "_low", "_high"):
                row[f"{rate}{end}"] = _number(metrics[f"{prefix}_{rate}{end}"])
            row |= _over_seeds(metrics, prefix, rate)
        row["dev_auc"] = _dev_auc(metrics, prefix, folder)
        budget = {"seconds": metrics.get(f"{prefix}_training_seconds")} | budgets.get(prefix, {})
        rows.append(row | {k: _number(budget.get(k)) for k in BUDGET} | {"report": report})
    return rows


def _number(value) -> float:
    """Return a number, nan for none; the first records had words where images were counted."""
    return value if isinstance(value, int | float) else np.nan


def _over_seeds(metrics: dict, prefix: str, rate: str) -> dict[str, float]:
    """Return mean and standard error over seeds, where the run has them."""
    number = prefix.removeprefix("method_")
    for mean in (f"{prefix}_mean_{rate}", f"mean_{rate}_{number}"):
        if f"{mean}_se" in metrics:
            values = metrics[mean], metrics[f"{mean}_se"]
            return dict(zip((f"{rate}_mean", f"{rate}_se"), map(_number, values), strict=True))
    return {f"{rate}_mean": np.nan, f"{rate}_se": np.nan}


def _dev_auc(metrics: dict, prefix: str, folder: Path) -> float:
    """AUC on dev people at the end of the training, as recorded or from its film."""
    if f"{prefix}_dev_auc" in metrics:
        return _number(metrics[f"{prefix}_dev_auc"])
    if not (film := folder / f"{prefix}_film.npz").exists():
        return np.nan
    with np.load(film) as kept:
        if "dev_distance" not in kept:
            return np.nan
        return auc(kept["dev_distance"][-1].astype(np.float32), kept["dev_same"])


def result_row(report: Report, title: str, chapter: str, **more) -> dict:
    """Return a row like those of `load_results` for a report that is not on disk."""
    table = report.table().set_index("metric")
    row = {"title": title, "chapter": chapter, "pairs": report.name, "source": report.source}
    row |= {"outside_data": "", "threshold": float(report.threshold), "report": report}
    for rate in RATES:
        for end, column in (("", "value"), ("_low", "low"), ("_high", "high")):
            row[f"{rate}{end}"] = table.loc[rate, column]
        row |= {f"{rate}_mean": np.nan, f"{rate}_se": np.nan}
    return row | dict.fromkeys(("dev_auc", *BUDGET), np.nan) | more


def comparable(results: pd.DataFrame) -> pd.DataFrame:
    """Keep the largest group of results whose reports hold the very same pairs of strangers.

    Rates on different pairs, or on people that a network was trained on, answer different
    questions; they do not belong into one ranking. What several chapters verified alike, raw
    pixels above all, is kept once, from the last of them.
    """
    seen = results.source.str.contains("train", na=False)  # "people it was trained on" and others
    held = results[results.report.notna() & ~seen]
    if held.empty:
        return held
    pairs = held.report.map(
        lambda r: hash((r.source, r.name, r.same.tobytes(), *r.left_ids, *r.right_ids))
    )
    held = held[pairs == pairs.mode().iloc[0]]
    same = ["title", "threshold", *RATES]
    return held.drop_duplicates(same, keep="last", ignore_index=True)


def budgets(folder: str | Path) -> pd.DataFrame:
    """Read what every recorded training was: network, data, steps and settings.

    Returns
    -------
    DataFrame
        One row per training: ``chapter, prefix, title, weights`` (of the network), ``people,
        people_images`` (trained on), ``epochs, images`` (seen in all), ``batch_size, lr,
        loss_lr, weight_decay, seed``, ``parts`` (loss, miner, sampler, optimiser and so on).
    """
    rows = []
    for record in read_runs(folder).values():
        for training in record.get("trainings", ()):
            numbers = dict(re.findall(r"(\w+)=([^,]+)", training["numbers"]))
            trained_on = training.get("trained_on") or training["images"]
            images, people = re.findall(r"(\d+) of (\d+) people$", trained_on)[0]
            row = {k: training[k] for k in ("prefix", "title", "weights", "epochs", "images")}
            row["images"] = _number(row["images"])
            row |= {"chapter": record["notebook"], "parts": training["parts"]}
            row |= {"people": int(people), "people_images": int(images)}
            row |= {k: None if v == "None" else float(v) for k, v in numbers.items()}
            rows.append(row)
    return pd.DataFrame(rows)


def differing(trainings: pd.DataFrame) -> list[str]:
    """Name the columns of `budgets` in which trainings differ, but for seed and names."""
    columns = trainings.columns.difference(["chapter", "prefix", "title", "seed"], sort=False)
    return [c for c in columns if trainings[c].nunique(dropna=False) > 1]


def holm(p: Iterable[float]) -> np.ndarray:
    """Correct p values for their number, so that all hold together.

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6(2), 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty(len(p))
    out[order] = np.minimum(steps, 1)
    return out
