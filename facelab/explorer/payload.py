"""What the explorer in a browser needs of reports and trainings: plain values and arrays.

The browser counts by binary search in the distances themselves, so its numbers at any threshold
are those of `facelab.verification`. What takes resampling is computed here, at chosen thresholds.
"""

import base64
import json
from pathlib import Path

import joblib
import numpy as np

from facelab.explorer.shown import BINS, Shown
from facelab.verification import Report, percentiles, rates, resampled_weights, supported, units

WEB = Path(__file__).parent / "web"
SCRIPTS = ("numbers.js", "plots.js", "panels.js", "two_photos.js", "explorer.js")
METRICS = ("precision", "recall", "f1", "accuracy", "far", "frr")
OF_SHOWN = ("name", "group", "category", "outside_data", "crop")
OF_REPORT = ("source", "synthetic", "role", "seen", "rule", "distances", "threshold")
OF_REPORT += ("f1_threshold", "threshold_from")
FAR = 0.01  # of the button that accepts as much as this error allows
MOST_PAIRS = 2**22  # the browser sorts a distance and its pair's number as one float64
N_GRID = 129  # thresholds at which intervals are computed


def payload(shown: list[Shown], with_intervals: bool = True) -> tuple[dict, list[bytes]]:
    """Turn results into what both hosts of the explorer hand to it, as `pack` packs it.

    The explorer opens on the first report, or on the one that `is_best`. The notebook's explorer
    asks for `intervals` later. Refuses names that are alike, and more than 4,194,304 pairs.
    """
    names = [one.name for one in shown]
    if len(set(names)) < len(names):
        raise ValueError(f"expected names that differ, got {', '.join(names)}")
    runs, films = [], []
    sets = {}  # of pairs, by what they are; reports on the same pairs share them
    for one in shown:
        if one.film is not None:
            films.append({"name": one.name} | one.film.counted())
        if one.report is None:
            continue
        pairs = _pairs(one.report)
        key = joblib.hash(pairs)
        sets.setdefault(key, pairs)
        run = _run(one) | {"set": list(sets).index(key)}
        run["intervals"] = intervals(one.report) if with_intervals else None
        runs.append(run)
    problems = [{"name": one.name, "why": one.problem} for one in shown if one.problem]
    data = {"runs": runs, "sets": list(sets.values()), "films": films, "bins": BINS}
    return pack(data | {"problems": problems, "first": opening(shown)})


def opening(shown: list[Shown]) -> int:
    """Return the position, among those with a report, of the one that the explorer opens on."""
    best = [one.is_best for one in shown if one.report is not None]
    return best.index(True) if any(best) else 0


def _run(shown: Shown) -> dict:
    report = shown.report
    if len(report) > MOST_PAIRS:
        got = f"{len(report):,}"
        raise ValueError(f"{shown.name}: expected {MOST_PAIRS:,} pairs or fewer, got {got}")
    metrics = report.metrics()
    run = {name: getattr(shown, name) for name in OF_SHOWN}
    run |= {name: getattr(report, name) for name in OF_REPORT}
    run |= {name: metrics[name] for name in ("auc", "eer")}
    run["can_measure"] = shown.embed is not None
    known = shown.calibration
    ends = ("log_lr", "low", "high")
    run["calibration"] = known and {end: np.float32(getattr(known, end)) for end in ends}
    return run | {"pairs": report.name, "buttons": buttons(report)}


def _pairs(report: Report) -> dict:
    people, person = np.unique(report.people, return_inverse=True)
    index = np.uint16 if len(report.image_ids) <= 2**16 else np.uint32
    return {
        "left": index(report.left),
        "right": index(report.right),
        "same": np.uint8(report.same),
        "known_errors": np.flatnonzero(report.known_errors).tolist(),
        "images": report.image_ids.tolist(),
        "people": people.tolist(),
        "person": index(person),  # of each image, a position in people
    }


def buttons(report: Report) -> dict[str, tuple[float | None, str]]:
    """Return thresholds that are best in some way on the report's own pairs, each with a remark.

    Of equally good candidates the smallest; None with the reason where it is undefined.
    """
    n_same = int(report.same.sum())
    n_different = len(report) - n_same
    if not (n_same and n_different):
        why = f"needs same and different pairs, got {n_same:,} and {n_different:,}"
        return dict.fromkeys(("f1", "accuracy", "eer", "far"), (None, why))
    roc = report.roc().set_index("threshold")
    gap = (roc["far"] + roc["tar"] - 1).abs()
    refusal = report.refusal(FAR)
    strictest = None if refusal else (roc["tar"] == report.tar_at_far(FAR)).idxmax()
    eer = f"between two candidates they are equal at {report.metrics()['eer']:.1%}"
    return {
        "f1": (roc["f1"].idxmax(), "the largest F1 on these pairs"),
        "accuracy": (roc["accuracy"].idxmax(), "the largest accuracy on these pairs"),
        "eer": (gap.idxmin(), f"the candidate at which FAR and FRR are nearest; {eer}"),
        "far": (strictest, refusal or "the most same pairs accepted while FAR is at most 1 %"),
    }


def intervals(report: Report, n: int | None = None) -> dict[str, object]:
    """Resample people `n` times as `Report.intervals` does, at many thresholds at once.

    By default 2,000 times, fewer for more than 20,000 pairs, at least 200.

    Returns
    -------
    dict
        ``n``; ``thresholds`` (n_thresholds,), the report's own and those of `buttons` among them;
        ``low, high`` (6, n_thresholds), 95 % intervals of `METRICS`, the report's own where it has
        them; ``bands`` (n_bands + 1,), distances; ``share_low, share_high`` (n_bands,), of the
        share of same pairs in each band if there were as many same as different ones in all.
    """
    n = n or int(np.clip(40_000_000 / len(report), 200, 2000))
    sweep = report.sweep
    candidates = sweep.thresholds
    n_bands = int(np.clip(len(report) // 40, 1, 16))  # of about 40 pairs or more
    inner = _evenly(np.sort(report.distances), n_bands + 1)[1:-1]
    inner = candidates[np.searchsorted(candidates, inner)]
    bands = np.unique([candidates[0], *inner, candidates[-1]])
    chosen = [value for value, _ in buttons(report).values() if value is not None]
    chosen += [report.threshold, report.f1_threshold]
    thresholds = np.unique([*_evenly(candidates, N_GRID), *bands, *chosen])
    at = sweep.at(thresholds)
    band = np.searchsorted(thresholds, bands)
    drawn, shares = [], []
    for weights in resampled_weights(report, n, seed=0):
        tp, fp = sweep.accepted(weights, at)  # (n_resamples, n_thresholds)
        n_same, n_different = tp[:, -1:], fp[:, -1:]  # the last threshold accepts every pair
        of_each = rates(tp, fp, n_same, n_different)
        drawn.append([of_each[metric] for metric in METRICS])
        with np.errstate(invalid="ignore"):  # 0 / 0 is undefined: nan
            of_same = np.diff(tp[:, band]) / n_same
            of_different = np.diff(fp[:, band]) / n_different
            shares.append(of_same / (of_same + of_different))
    found = {"n": n, "thresholds": thresholds, "bands": bands}
    tp, fp = sweep.accepted(at=at)
    values = rates(tp, fp, tp[-1], fp[-1])
    tp, fp = sweep.accepted(report.independent.astype(int), at)
    counts = units(tp, fp, tp[-1], fp[-1])
    ends = zip(METRICS, *_ends(np.concatenate(drawn, axis=1)), strict=True)
    ends = [supported(name, low, high, values[name], counts[name]) for name, low, high in ends]
    found["low"], found["high"] = np.float32(ends).swapaxes(0, 1)
    found["share_low"], found["share_high"] = _ends(np.concatenate(shares))
    return found


def _evenly(values, n):
    places = np.linspace(0, len(values) - 1, n)
    return values[places.round().astype(int)]


def _ends(drawn):
    """95 % interval of each column: from (..., n, n_columns) to two arrays (..., n_columns)."""
    ends = np.apply_along_axis(percentiles, -2, drawn)  # (..., 2, n_columns)
    return np.moveaxis(np.float32(ends), -2, 0)


def pack(value) -> tuple[object, list[bytes]]:
    """Take the arrays out of nested dicts and lists; what is left are values of strict JSON.

    An array becomes ``{"$": number of its buffer, "type": .., "shape": ..}``, little-endian;
    a number that is not finite becomes None.
    """
    buffers = []

    def plain(part):
        if isinstance(part, np.generic):
            return part.item()
        little_endian = np.ascontiguousarray(part, part.dtype.newbyteorder("<"))
        buffers.append(little_endian.tobytes())
        return {"$": len(buffers) - 1, "type": part.dtype.name, "shape": part.shape}

    text = json.dumps(value, default=plain)
    return json.loads(text, parse_constant=lambda not_finite: None), buffers


def inline(meta: dict, buffers: list[bytes]) -> str:
    """Write a payload as JSON that may stand in a script element of a page."""
    texts = [base64.b64encode(buffer).decode() for buffer in buffers]
    text = json.dumps({"meta": meta, "buffers": texts}, ensure_ascii=False)
    for sign in "<\u2028\u2029":  # could end the element, or a line of the script
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def front_end() -> tuple[str, str]:
    """Return the explorer's JavaScript module and its style sheet."""
    scripts = [(WEB / name).read_text("utf-8") for name in SCRIPTS]
    return "\n".join(scripts), (WEB / "explorer.css").read_text("utf-8")
