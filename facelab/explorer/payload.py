"""What the explorer in a browser needs of reports and trainings: plain values and arrays.

The explorer counts by binary search in the distances themselves, so its numbers at any threshold
are those of `facelab.verification`. What takes resampling is computed here beforehand, at chosen
thresholds.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from facelab.study.record import read_runs
from facelab.verification.report import (
    FARS,
    Report,
    _best,
    _counts,
    _pair_weights,
    _percentiles,
    _rates,
    _ratio,
    _thresholds,
    are_test_pairs,
    auc,
)

SCRIPTS = ("numbers.js", "plots.js", "panels.js", "two_photos.js", "explorer.js")
METRICS = ("precision", "recall", "f1", "accuracy", "far", "frr")
MOST_PAIRS = 2**22  # the browser sorts a distance and its pair's number as one float64
N_GRID = 129  # thresholds at which intervals are computed
BINS = np.linspace(0, 2, 41)  # of a film's histograms


def front_end() -> tuple[str, str]:
    """Return the explorer's JavaScript module and its style sheet."""
    folder = Path(__file__).parent / "web"
    script = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return script, (folder / "explorer.css").read_text(encoding="utf-8")


def buttons(report: Report) -> dict[str, tuple[float | None, str]]:
    """Return thresholds that are best in some way on the report's own pairs.

    Returns
    -------
    dict
        ``f1, accuracy, eer, far``: threshold and remark. ``eer``: the candidate at which FAR and
        FRR are nearest; ``far``: the one with the greatest TAR whose FAR is at most 1 %. Among
        equally good candidates the smallest. None with the reason where it is undefined.
    """
    d, same = report.distances, report.same
    n_same, n_different = int(same.sum()), int((~same).sum())
    if not (n_same and n_different):
        why = f"needs same and different pairs, got {n_same:,} and {n_different:,}"
        return dict.fromkeys(("f1", "accuracy", "eer", "far"), (None, why))
    distinct, tp, fp = _counts(d, same)
    candidates = _thresholds(distinct)
    gap = np.abs(fp / n_different + tp / n_same - 1)
    found = {
        "f1": (float(_best(d, same, "f1")), "the largest F1 on these pairs"),
        "accuracy": (float(_best(d, same, "accuracy")), "the largest accuracy on these pairs"),
        "eer": (
            float(candidates[np.argmin(gap)]),
            "the candidate at which FAR and FRR are nearest; between two candidates they are "
            f"equal at {report.metrics()['eer']:.1%}",
        ),
    }
    far = FARS["tar_at_far_1%"]
    if refusal := report._refusal(far):
        return found | {"far": (None, refusal)}
    most = tp[np.flatnonzero(fp / n_different <= far)[-1]]
    value = float(candidates[np.argmax(tp == most)])
    return found | {"far": (value, "the most same pairs accepted while FAR is at most 1 %")}


def intervals(report: Report, n: int | None = None, seed: int = 0) -> dict[str, object]:
    """Resample people as `Report.intervals` does, at many thresholds at once.

    Parameters
    ----------
    n : int, optional
        Resamples: by default 2,000, fewer for more than 20,000 pairs, at least 200.

    Returns
    -------
    dict
        ``n``; ``thresholds`` of shape (n_thresholds,), the report's own and those of `buttons`
        among them; ``low, high`` of shape (6, n_thresholds), float32, 95 % intervals of `METRICS`;
        ``bands`` of shape (n_bands + 1,), distances; ``share_low, share_high`` of shape
        (n_bands,), float32: the share of same pairs among all pairs in each band, if there were
        as many same as different ones in all.
    """
    n = n or int(np.clip(40_000_000 / len(report), 200, 2000))
    order = np.argsort(report.distances, kind="stable")
    arrays = ("distances", "same", "fold", "left", "right")
    by_distance = replace(report, **{name: getattr(report, name)[order] for name in arrays})
    d = by_distance.distances
    distinct = d[np.append(True, d[1:] > d[:-1])]
    candidates = _thresholds(distinct)
    every = candidates[np.unique(np.linspace(0, len(candidates) - 1, N_GRID).round().astype(int))]
    bands = _bands(d, candidates)
    chosen = [value for value, _ in buttons(report).values() if value is not None]
    thresholds = np.unique(np.concatenate([every, bands, chosen, [report.threshold]]))
    accepted = np.searchsorted(d, thresholds)  # pairs nearer than each threshold
    ends, column = np.unique(np.append(0, accepted), return_inverse=True)
    starts, column = ends[ends < len(d)], column[1:]
    drawn = {metric: [] for metric in METRICS} | {"share": []}
    band = np.searchsorted(thresholds, bands)
    for weights in _pair_weights(by_distance, n, seed):
        sums = np.zeros((2, len(weights), len(starts) + 1), np.int64)
        for total, of_kind in zip(sums, (by_distance.same, ~by_distance.same), strict=True):
            parts = np.add.reduceat(weights * of_kind, starts, axis=1, dtype=np.int64)
            total[:, 1:] = parts.cumsum(axis=1)
        n_same, n_different = sums[:, :, -1:]
        tp, fp = sums[:, :, column]
        rates = _rates(tp, fp, n_same, n_different)
        for metric in METRICS:
            drawn[metric].append(rates[metric])
        of_same, of_different = (
            _ratio(np.diff(x[:, band], axis=1), total)
            for x, total in ((tp, n_same), (fp, n_different))
        )
        drawn["share"].append(_ratio(of_same, of_same + of_different))
    ends = {
        key: np.float32([_percentiles(column) for column in np.concatenate(rows).T]).T
        for key, rows in drawn.items()
    }
    low, high = np.stack([ends[metric] for metric in METRICS], axis=1)
    share_low, share_high = ends["share"]
    return {"n": n, "thresholds": thresholds, "low": low, "high": high, "bands": bands} | {
        "share_low": share_low,
        "share_high": share_high,
    }


def _bands(d, candidates):
    """Cut the sorted distances `d` into bands of about 40 pairs or more, at most 16."""
    n = int(np.clip(len(d) // 40, 1, 16))
    inner = d[np.linspace(0, len(d) - 1, n + 1).round().astype(int)[1:-1]]
    inner = candidates[np.searchsorted(candidates, inner)]
    return np.unique(np.concatenate([candidates[:1], inner, candidates[-1:]]))


def read_film(path) -> dict[str, dict[str, np.ndarray]]:
    """Read what `Run.trained` kept: epochs, and by split distances (n_epochs, n_pairs) and same."""
    with np.load(path, allow_pickle=False) as file:
        splits = [k.removesuffix("_same") for k in file.files if k.endswith("_same")]
        return {"epoch": file["epoch"], "source": ""} | {
            split: {"distances": file[f"{split}_distance"], "same": file[f"{split}_same"]}
            for split in splits
        }


def film(training, source: str = "") -> dict[str, object]:
    """Count the watched distances of a training in `BINS`, epoch by epoch.

    Parameters
    ----------
    training : Training, DataFrame or dict
        From `facelab.fit`, its ``distances`` alone, or from `read_film`.
    source : str
        What the images are.

    Returns
    -------
    dict
        ``epoch``, ``source``, and ``splits``: for each ``name``, ``auc`` of shape (n_epochs,),
        and by kind of pairs the counts, uint32 of shape (n_epochs, n_bins), their number, and
        their mean distances.
    """
    if not isinstance(training, Mapping):
        table = getattr(training, "distances", training)
        epochs = np.unique(table["epoch"])
        source = source or (table["source"].iloc[0] if len(table) else "")
        training = {"epoch": epochs} | {
            split: {
                "distances": rows["distance"].to_numpy().reshape(len(epochs), -1),
                "same": rows["same"].to_numpy(bool)[: len(rows) // len(epochs)],
            }
            for split, rows in table.groupby("split", sort=False)
        }
    splits, source = [], source or training.get("source", "")
    for name, watched in training.items():
        if name in ("epoch", "source"):
            continue
        d, same = np.float32(watched["distances"]), np.asarray(watched["same"], bool)
        entry = {"name": name, "auc": np.float32([auc(row, same) for row in d])}
        for kind, of_kind in (("same", d[:, same]), ("different", d[:, ~same])):
            counts = [np.histogram(row.clip(0, 2), BINS)[0] for row in of_kind]
            entry |= {kind: np.uint32(counts), f"n_{kind}": of_kind.shape[1]}
            entry[f"mean_{kind}"] = np.float32([row.mean() if len(row) else 2 for row in of_kind])
        splits.append(entry)
    return {"epoch": np.int32(training["epoch"]), "source": source, "splits": splits}


def payload(
    reports: Mapping[str, Report],
    films: Mapping[str, object] = (),
    about: Mapping = (),
    with_intervals: bool = True,
) -> tuple[dict, list[bytes]]:
    """Turn reports and films into what both hosts of the explorer hand to it.

    Parameters
    ----------
    reports : dict of str to Report
        By the name that is shown.
    films : dict of str to Training or dict, optional
        See `film`; under the name of a report, or under one of their own.
    about : dict of str to dict, optional
        More about the report of that name: ``outside_data`` that its network learned from.
    with_intervals : bool
        Whether to resample now; the notebook's explorer asks for `intervals` later.

    Returns
    -------
    meta : dict
        What JSON can hold; an array is ``{"$": number of its buffer, "type": .., "shape": ..}``.
    buffers : list of bytes
        The arrays, little-endian.

    Raises
    ------
    ValueError
        If a report has more than 4,194,304 pairs.
    """
    films, about, sets, runs = dict(films or {}), dict(about or {}), {}, []
    for name, report in reports.items():
        if len(report) > MOST_PAIRS:
            raise ValueError(f"{name}: expected {MOST_PAIRS:,} pairs or fewer, got {len(report):,}")
        index = np.uint16 if len(report.image_ids) <= 2**16 else np.uint32
        arrays = {"left": index(report.left), "right": index(report.right)}
        arrays |= {"same": np.uint8(report.same), "images": report.image_ids.tolist()}
        key = hashlib.sha256("\n".join(arrays["images"]).encode())
        for array in ("left", "right", "same"):
            key.update(arrays[array].tobytes())
        set_number = sets.setdefault(key.digest(), (len(sets), arrays))[0]
        m = report.metrics()
        names = {image.rpartition("_")[0] for image in report.image_ids.tolist()}
        runs.append(
            {
                "name": name,
                "source": report.source,
                "pairs": report.name,
                "test": are_test_pairs(report.name),
                "set": set_number,
                "people": len(names),
                "distances": report.distances,
                "threshold": float(report.threshold),
                "threshold_from": report.threshold_from,
                "buttons": buttons(report),
                "auc": m["auc"],
                "eer": m["eer"],
                "intervals": intervals(report) if with_intervals else None,
            }
            | {"outside_data": about.get(name, {}).get("outside_data", "")}
        )
    shown = [{"name": name, **film(training)} for name, training in films.items()]
    return encode(
        {
            "runs": runs,
            "sets": [arrays for _, arrays in sets.values()],
            "films": shown,
            "bins": BINS,
        }
    )


def encode(value) -> tuple[object, list[bytes]]:
    """Take the arrays out of nested dicts and lists; see `payload`."""
    buffers = []

    def plain(value):
        if isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            buffers.append(array.tobytes())
            place = {"$": len(buffers) - 1, "type": value.dtype.name}
            return place | {"shape": list(value.shape)}
        if isinstance(value, Mapping):
            return {key: plain(v) for key, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        value = value.item() if isinstance(value, np.generic) else value
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return plain(value), buffers


def inline(meta: dict, buffers: list[bytes]) -> str:
    """Write a payload as JSON that may stand in a script element of a page."""
    text = json.dumps(
        {"meta": meta, "buffers": [base64.b64encode(b).decode() for b in buffers]},
        ensure_ascii=False,
        allow_nan=False,
    )
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def saved(folder) -> tuple[dict[str, Report], dict[str, dict], dict[str, dict]]:
    """Read the reports and films of all finished runs below `folder`, those of real faces first.

    Returns
    -------
    reports : dict of str to Report
        By chapter and title, and the profile where there are several.
    films : dict of str to dict
        See `read_film`; under the name of the report of the same training, if there is one.
    about : dict of str to dict
        By the same names: what ``run.json`` says of the report (``prefix``, ``outside_data``),
        ``folder`` and the run's ``parameters``.
    """

    def synthetic(run) -> bool:
        return "synthetic" in run[1].get("data", {}).get("source", "")

    runs = sorted(read_runs(folder).items(), key=synthetic)
    profiles = {record.get("profile") for _, record in runs if record.get("reports")}
    reports, films, about = {}, {}, {}
    for place, record in runs:
        number, rest = record["notebook"].partition("_")[::2]
        chapter = number if number.isdigit() else f"{number} {rest}".replace("_", " ").strip()
        profile = f" · {record.get('profile')}" if len(profiles) > 1 else ""
        name_of = {}
        for entry in record.get("reports", ()):
            if (place / entry["file"]).is_file():
                name = f"{chapter} · {entry['title']}{profile}"
                name = name if name not in reports else f"{name} · {entry['prefix']}"
                name_of[entry["prefix"]] = name
                reports[name] = Report.load(place / entry["file"])
                about[name] = entry | {"folder": place, "parameters": record["parameters"]}
        for entry in record.get("films", ()):
            if (place / entry["file"]).is_file():
                name = name_of.get(entry["prefix"], f"{chapter} · {entry['title']}{profile}")
                source = record.get("data", {}).get("source", "")
                films[name] = read_film(place / entry["file"]) | {"source": source}
    return reports, films, about
