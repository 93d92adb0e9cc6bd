"""What the explorer in a browser needs of reports and trainings: plain values and arrays.

The browser counts by binary search in the distances themselves, so its numbers at any threshold
are those of `facelab.verification`. What takes resampling is computed here, at chosen thresholds.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from facelab.explorer.shown import BINS, Shown
from facelab.verification import Report, best, percentiles, rates, resampled_weights

SCRIPTS = ("numbers.js", "plots.js", "panels.js", "two_photos.js", "explorer.js")
METRICS = ("precision", "recall", "f1", "accuracy", "far", "frr")
OF_SHOWN = ("name", "chapter", "category", "outside_data", "crop")
OF_REPORT = ("source", "synthetic", "role", "seen", "rule", "distances", "threshold")
OF_REPORT += ("f1_threshold", "threshold_from")
FAR = 0.01  # of the button that accepts as much as this error allows
MOST_PAIRS = 2**22  # the browser sorts a distance and its pair's number as one float64
N_GRID = 129  # thresholds at which intervals are computed


def payload(shown: list[Shown], with_intervals: bool = True) -> tuple[dict, list[bytes]]:
    """Turn results into what both hosts of the explorer hand to it, as `pack` packs it.

    The first one with a report is the one that the explorer opens on. The notebook's explorer
    asks for `intervals` later. Refuses names that are alike, and more than 4,194,304 pairs.
    """
    names = [one.name for one in shown]
    if len(set(names)) < len(names):
        raise ValueError(f"expected names that differ, got {', '.join(names)}")
    sets = []
    runs = [_run(one, sets, with_intervals) for one in shown if one.report is not None]
    films = [{"name": one.name} | one.film.counted() for one in shown if one.film is not None]
    return pack({"runs": runs, "sets": sets, "films": films, "bins": BINS})


def _run(shown: Shown, sets: list[dict], with_intervals: bool) -> dict:
    report = shown.report
    if len(report) > MOST_PAIRS:
        got = f"{len(report):,}"
        raise ValueError(f"{shown.name}: expected {MOST_PAIRS:,} pairs or fewer, got {got}")
    run = {name: getattr(shown, name) for name in OF_SHOWN}
    run |= {name: getattr(report, name) for name in OF_REPORT}
    metrics = report.metrics()
    run |= {name: metrics[name] for name in ("auc", "eer")}
    run |= {"pairs": report.name, "set": _set_number(report, sets), "buttons": buttons(report)}
    return run | {"intervals": intervals(report) if with_intervals else None}


def _set_number(report: Report, sets: list[dict]) -> int:
    """Where the report's pairs stand in `sets`; reports on the same pairs share them."""
    people, person = np.unique(report.people, return_inverse=True)
    index = np.uint16 if len(report.image_ids) <= 2**16 else np.uint32
    pairs = {
        "left": index(report.left),
        "right": index(report.right),
        "same": np.uint8(report.same),
        "images": report.image_ids.tolist(),
        "people": people.tolist(),
        "person": index(person),  # of each image, a position in people
    }
    for number, known in enumerate(sets):
        if all(np.array_equal(known[name], pairs[name]) for name in pairs):
            return number
    sets.append(pairs)
    return len(sets) - 1


def buttons(report: Report) -> dict[str, tuple[float | None, str]]:
    """Return thresholds that are best in some way on the report's own pairs, each with a remark.

    Of equally good candidates the smallest; None with the reason where it is undefined.
    """
    sweep = report.sweep
    tp, fp = sweep.accepted()
    n_same, n_different = tp[-1], fp[-1]
    if not (n_same and n_different):
        why = f"needs same and different pairs, got {n_same:,} and {n_different:,}"
        return dict.fromkeys(("f1", "accuracy", "eer", "far"), (None, why))
    gap = np.abs(fp / n_different + tp / n_same - 1)
    nearest = float(sweep.thresholds[np.argmin(gap)])
    eer = f"between two candidates they are equal at {report.metrics()['eer']:.1%}"
    if why := report.refusal(FAR):
        far = None, why
    else:
        reached = tp / n_same == report.tar_at_far(FAR)
        strictest = float(sweep.thresholds[np.argmax(reached)])
        far = strictest, "the most same pairs accepted while FAR is at most 1 %"
    return {
        "f1": (float(best(sweep, "f1")), "the largest F1 on these pairs"),
        "accuracy": (float(best(sweep, "accuracy")), "the largest accuracy on these pairs"),
        "eer": (nearest, f"the candidate at which FAR and FRR are nearest; {eer}"),
        "far": far,
    }


def intervals(report: Report, n: int | None = None, seed: int = 0) -> dict[str, object]:
    """Resample people `n` times as `Report.intervals` does, at many thresholds at once.

    By default 2,000 times, fewer for more than 20,000 pairs, at least 200.

    Returns
    -------
    dict
        ``n``; ``thresholds`` of shape (n_thresholds,), the report's own and those of `buttons`
        among them; ``low, high`` of shape (6, n_thresholds), 95 % intervals of `METRICS`;
        ``bands`` of shape (n_bands + 1,), distances; ``share_low, share_high`` of shape
        (n_bands,): the share of same pairs among all pairs in each band, if there were as many
        same as different ones in all.
    """
    n = n or int(np.clip(40_000_000 / len(report), 200, 2000))
    candidates = report.sweep.thresholds
    n_bands = int(np.clip(len(report) // 40, 1, 16))  # of about 40 pairs or more
    inner = _evenly(np.sort(report.distances), n_bands + 1)[1:-1]
    inner = candidates[np.searchsorted(candidates, inner)]
    bands = np.unique([candidates[0], *inner, candidates[-1]])
    chosen = [value for value, _ in buttons(report).values() if value is not None]
    chosen += [report.threshold, report.f1_threshold]
    thresholds = np.unique([*_evenly(candidates, N_GRID), *bands, *chosen])
    at = report.sweep.at(thresholds)
    band = np.searchsorted(thresholds, bands)
    drawn, shares = [], []
    for weights in resampled_weights(report, n, seed):
        tp, fp = report.sweep.accepted(weights, at)  # (n_resamples, n_thresholds)
        n_same, n_different = tp[:, -1:], fp[:, -1:]  # the last threshold accepts every pair
        of_each = rates(tp, fp, n_same, n_different)
        drawn.append([of_each[metric] for metric in METRICS])
        with np.errstate(invalid="ignore"):  # 0 / 0 is undefined: nan
            of_same = np.diff(tp[:, band]) / n_same
            of_different = np.diff(fp[:, band]) / n_different
            shares.append(of_same / (of_same + of_different))
    low, high = _ends(np.concatenate(drawn, axis=1))
    share_low, share_high = _ends(np.concatenate(shares))
    shares = {"bands": bands, "share_low": share_low, "share_high": share_high}
    return {"n": n, "thresholds": thresholds, "low": low, "high": high} | shares


def _evenly(values, n):
    places = np.linspace(0, len(values) - 1, n)
    return values[places.round().astype(int)]


def _ends(drawn):
    """95 % interval of each column: from (..., n, n_columns) to two arrays (..., n_columns)."""
    ends = np.apply_along_axis(percentiles, -2, drawn)  # (..., 2, n_columns)
    return np.moveaxis(np.float32(ends), -2, 0)


def pack(value) -> tuple[object, list[bytes]]:
    """Take the arrays out of nested dicts and lists, so that JSON can hold the rest.

    An array is ``{"$": number of its buffer, "type": .., "shape": ..}``, little-endian.
    """
    buffers = []

    def plain(value):
        if isinstance(value, np.ndarray) and value.ndim:
            buffers.append(np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes())
            number = len(buffers) - 1
            return {"$": number, "type": value.dtype.name, "shape": list(value.shape)}
        if isinstance(value, Mapping):
            return {key: plain(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(part) for part in value]
        if isinstance(value, np.generic):
            value = value.item()
        undefined = isinstance(value, float) and not np.isfinite(value)
        return None if undefined else value

    return plain(value), buffers


def inline(meta: dict, buffers: list[bytes]) -> str:
    """Write a payload as JSON that may stand in a script element of a page."""
    texts = [base64.b64encode(buffer).decode() for buffer in buffers]
    text = json.dumps({"meta": meta, "buffers": texts}, ensure_ascii=False, allow_nan=False)
    for sign in "<\u2028\u2029":  # could end the element, or a line of the script
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def front_end() -> tuple[str, str]:
    """Return the explorer's JavaScript module and its style sheet."""
    folder = Path(__file__).parent / "web"
    scripts = [(folder / name).read_text("utf-8") for name in SCRIPTS]
    return "\n".join(scripts), (folder / "explorer.css").read_text("utf-8")
