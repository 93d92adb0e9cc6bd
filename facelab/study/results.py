"""What the runs of a folder recorded, read back: results, trainings, and what to explore."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain, count
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from facelab.baselines import raw_pixels
from facelab.checks import expect_in, kinds
from facelab.data.copies import is_aligned, side_of
from facelab.embedding import averaged, embed
from facelab.explorer.payload import MOST_PAIRS
from facelab.explorer.shown import Film, Shown
from facelab.files import sha256_of
from facelab.models import load_network, network_settings
from facelab.study.reading import opened, read_runs
from facelab.study.record import CATEGORIES, Run
from facelab.study.settings import heading
from facelab.study.writing import numbered
from facelab.verification import Calibration, Report, auc, same_result

RATES = ("auc", "accuracy", "f1", "eer", "tar_at_far_1%")
OF_REPORT = ["method", "split", "rule", "seen", "category", "outside_data"]
OF_RUN = ["chapter", "profile", "source", "synthetic"]
BUDGET = ["epochs", "images", "seconds", "images_per_second", "weights"]
OF_SEED = {"value": "", "low": "_low", "high": "_high"}  # what of a row a column of a rate holds
OF_MEAN = {"value": "_mean", "low": "_mean_low", "high": "_mean_high", "error": "_error", "n": "_n"}
ENDS = [*OF_SEED.values(), *OF_MEAN.values()]
NUMBERS = ["threshold", "dev_auc", *BUDGET, *(f"{rate}{end}" for rate in RATES for end in ENDS)]
NOT_SETTINGS = ["chapter", "method", "seed", "seconds", "images_per_second", "film", "watched"]


@kinds
def load_results(folder: str | Path) -> pd.DataFrame:
    """Read what every finished run below `folder` verified on test pairs, one row a method.

    Columns are `OF_REPORT`, `OF_RUN` and `NUMBERS`, nan where none was recorded, and ``report``,
    the `Report`. Rates are of the first seed, each with ``_low, _high`` (95 %, people resampled)
    and, over seeds, ``_mean, _mean_low, _mean_high`` (95 %, Student's t), ``_error, _n``.
    """
    return results_in(read_runs(folder))


def results_in(runs: Mapping[Path, dict]) -> pd.DataFrame:
    """Return the rows of `load_results` for records that were read."""
    rows = []
    for place, record in runs.items():
        if record["status"] == "done":
            rows += _rows(record, partial(_report, place))
    return _table(rows)


def _report(place: Path, entry: dict, problems: list | None = None) -> Report | None:
    """Return the report that an entry of a record names; None if it is gone, or is another."""

    def load(path):
        report = Report.load(path)
        if (report.name, report.role) != (entry["split"], entry["role"]):
            raise ValueError(f"one on {report.name}")
        return report

    return opened(load, place / entry["file"], f"a report on {entry['split']}", problems)


@kinds
def results_of(run: Run) -> pd.DataFrame:
    """Return the rows of `load_results` for a run that is not finished yet."""
    return _table(_rows(run.record(), lambda entry: run.reports[entry["method"], entry["split"]]))


def _table(rows: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=[*OF_REPORT, *OF_RUN, *NUMBERS, "report"])
    return table.astype(dict.fromkeys(NUMBERS, float))


def _rows(record: dict, report_of: Callable[[dict], Report | None]) -> list[dict]:
    numbers = {(r["method"], r["seed"], r["split"], r["metric"]): r for r in record["results"]}
    trained = {(t["method"], t["seed"]): t for t in record["trainings"]}
    of_run = {"chapter": record["notebook"]} | record["data"] | record
    rows = []
    for entry in record["reports"]:
        if entry["role"] != "test":
            continue
        method, seed, split = entry["method"], entry["seed"], entry["split"]
        training = trained.get((entry["training"], seed), {})
        row = {name: training.get(name) for name in BUDGET}
        row |= {name: of_run[name] for name in OF_RUN}
        row |= {name: entry[name] for name in OF_REPORT}
        row["report"] = report_of(entry)
        row["threshold"] = numbers[method, seed, split, "threshold"]["value"]
        keys = [(method, of, "dev", name) for name in ("auc", "watched_auc") for of in (seed, None)]
        on_dev = [numbers[key]["value"] for key in keys if key in numbers and entry["training"]]
        row["dev_auc"] = on_dev[0] if on_dev else None
        for rate in RATES:
            of_seed = numbers.get((method, seed, split, rate), {})
            mean = numbers.get((method, None, split, rate), {})
            row |= {f"{rate}{end}": of_seed.get(name) for name, end in OF_SEED.items()}
            row |= {f"{rate}{end}": mean.get(name) for name, end in OF_MEAN.items()}
        rows.append(row)
    return rows


@kinds
def comparable(results: pd.DataFrame, any_images: bool = False) -> pd.DataFrame:
    """Keep the largest group of results on the very same pairs of strangers, each network once.

    Rates on different pairs, or on people that a network was trained on, do not belong into one
    ranking; accuracies and F1 compare only where ``rule`` agrees too. What several chapters
    verified alike is kept once, from the first of them; ``also`` lists its other names. With
    `any_images`, pairs are the same too where their photos were prepared otherwise, as aligned ones
    are; their ``category`` tells them apart.
    """
    held = results[results["report"].notna() & (results["seen"] == "")]
    asked = []
    for report in held["report"]:
        images = report.synthetic if any_images else report.source
        pairs = (report.left_ids.tolist(), report.right_ids.tolist(), report.same.tolist())
        asked.append(joblib.hash((images, report.name, *pairs)))
    questions = pd.Series(asked, held.index, dtype=str)
    kept = []
    for row in held[questions.isin(questions.mode()[:1])].to_dict("records"):
        twins = [one for one in kept if same_result(one["report"], row["report"])]
        if twins:
            twins[0]["also"].append(row["method"])
        else:
            kept.append(row | {"also": []})
    return pd.DataFrame(kept, columns=[*results.columns, "also"])


@kinds
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
    name = setting.get("name", "")
    return f"{name}({', '.join(own)})" if own else name


@kinds
def differing(trainings: pd.DataFrame) -> list[str]:
    """Name the settings of `trainings` in which they differ, but for the seed."""
    settings = trainings.columns.difference(NOT_SETTINGS, sort=False)
    return [name for name in settings if trainings[name].astype(str).nunique() > 1]


@kinds
def load_shown(folder: str | Path = "outputs") -> list[Shown]:
    """Read what the explorer can show of the finished runs below `folder`; see `shown_in`."""
    return shown_in(read_runs(folder)) if Path(folder).is_dir() else []


def shown_in(records: Mapping[Path, dict]) -> list[Shown]:
    """Return what the explorer can show of records that were read.

    Runs of one study, the folder above them, stand together, the run that finished last first;
    names of several studies end with the folder's. Marked is the best AUC of strangers in real
    photos, without outside data if there is such a run. What is damaged or foreign is named, with
    the reason, and left out.
    """
    unreadable = [run for run in records.items() if run[1]["status"] == "unreadable"]
    done = [run for run in records.items() if run[1]["status"] == "done"]
    newest = {}
    for place, record in done:
        study = place.parent.resolve()
        newest[study] = max(record["finished"], newest.get(study, ""))

    def when(run):
        study, finished = run[0].parent.resolve(), run[1]["finished"]
        return newest[study], study, finished == newest[study]

    shown, problems = [], [(place, record["cause"]) for place, record in unreadable]
    for place, record in sorted(done, key=when, reverse=True):
        shown += _shown_of(place, record, len(newest) > 1, problems)
    for place, why in problems:
        shown.append(Shown(f"{place.parent.name}/{place.name}", problem=why[:300]))
    return _marked(shown)


def _marked(shown: list[Shown]) -> list[Shown]:
    """Mark the best, and number those of one name: two studies in folders of one name have such."""

    def rank(one: Shown):
        report = one.report
        if report is None or report.seen or report.role != "test":
            return 0, 0, 0
        is_own = one.category == CATEGORIES[0]
        return 2 - report.synthetic, is_own, np.nan_to_num(auc(report.distances, report.same))

    best = max(shown, key=rank, default=None)
    marked = {}
    for one in shown:
        names = (f"{one.name} ({n})" for n in count(2))
        name = next(name for name in chain([one.name], names) if name not in marked)
        marked[name] = replace(one, name=name, is_best=one is best)
    return list(marked.values())


def _shown_of(place: Path, record: dict, several: bool, problems: list) -> list[Shown]:
    number, words = numbered(record["notebook"])
    chapter = number or words
    study = f" · {place.parent.resolve().name}" if several else ""
    group = heading(place / f"{record['notebook']}.ipynb") + study
    data = record["data"]
    films = {}
    for training in record["trainings"]:
        if training["film"]:
            file = place / training["film"]
            load = partial(Film.load, source=data["source"], synthetic=data["synthetic"])
            films[training["method"]] = opened(load, file, "the film of a training", problems)
    times = Counter(entry["method"] for entry in record["reports"])
    shown = []
    for entry in record["reports"]:
        report = _report(place, entry, problems)
        if report is None:
            continue
        if len(report) > MOST_PAIRS:
            problems.append((place / entry["file"], f"more than {MOST_PAIRS:,} pairs"))
            continue
        method = entry["method"]
        pairs = f", {entry['split']}" if times[method] > 1 else ""
        network = _network_of(entry, place, problems)
        one = Shown(
            name=f"{chapter} · {method}{pairs}{study}",
            report=report,
            film=films.pop(method, None),
            category=entry["category"],
            outside_data=entry["outside_data"],
            data=data["root"],
            crop=entry.get("crop"),
            side=side_of(data["source"]),
            aligned=bool(network.pop("aligned", False)) or is_aligned(report.source),
            image_size=entry.get("image_size") or data["image_size"][0],
            group=group,
            **network,
        )
        shown.append(one)
    for method, film in films.items():
        if film:
            shown.append(Shown(f"{chapter} · {method}{study}", film=film, group=group))
    return shown


def _network_of(entry: dict, place: Path, problems: list) -> dict[str, object]:
    """Return how a report's `Shown` measures: by raw pixels, or by the network that was kept.

    What it says of a distance is the calibration of the network, else that of the report, if any.
    """

    def read(path):
        settings = network_settings(path)
        plain = settings.get("calibration")
        return settings | {"calibration": Calibration.of_plain(plain) if plain else None}

    plain = entry.get("calibration")
    load, expected = lambda _: Calibration.of_plain(plain), "a calibration"
    known = opened(load, place / "run.json", expected, problems) if plain else None
    if entry.get("embedding") == "raw_pixels":
        return {"embed": raw_pixels, "calibration": known}
    kept = entry["network"]
    if not kept or not (place / kept["file"]).is_file():
        return {"calibration": known}
    path = place / kept["file"]
    settings = opened(read, path, "the network that was kept", problems) or {}
    said = {"calibration": settings.get("calibration") or known}
    said["aligned"] = settings.get("aligned")
    return {"embed": partial(_embed_with, path, kept["sha256"])} | said


def _embed_with(path: Path, sha256: str, faces):
    digest = sha256_of(path)
    expect_in(path, digest == sha256, f"the network with SHA-256 {sha256}", digest)
    model, settings = load_network(path)
    return embed(model, faces, **averaged(settings))
