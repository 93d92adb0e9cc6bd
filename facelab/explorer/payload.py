"""What the explorer in a browser needs of reports and trainings: plain values and arrays.

The browser counts by binary search in the distances themselves, so its numbers at any threshold
are those of `facelab.verification`. What takes resampling is computed here beforehand, at chosen
thresholds.
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
FAR = 0.01  # of the button that accepts as much as this error allows
MOST_PAIRS = 2**22  # the browser sorts a distance and its pair's number as one float64
N_GRID = 129  # thresholds at which intervals are computed


def payload(shown: list[Shown], with_intervals: bool = True) -> tuple[dict, list[bytes]]:
    """Turn results into what both hosts of the explorer hand to it.

    Parameters
    ----------
    shown : list of Shown
        The first one with a report is the one that the explorer opens on.
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
        If two names are alike, or a report has more than 4,194,304 pairs.
    """
    names = [one.name for one in shown]
    if len(set(names)) < len(names):
        raise ValueError(f"expected names that differ, got {', '.join(names)}")
    runs, films, sets = [], [], []
    for one in shown:
        if one.report is not None:
            runs.append(_run(one, sets, with_intervals))
        if one.film is not None:
            films.append({"name": one.name} | one.film.counted())
    return pack({"runs": runs, "sets": sets, "films": films, "bins": BINS})


def _run(shown: Shown, sets: list[dict], with_intervals: bool) -> dict:
    report = shown.report
    if len(report) > MOST_PAIRS:
        got = f"{len(report):,}"
        raise ValueError(f"{shown.name}: expected {MOST_PAIRS:,} pairs or fewer, got {got}")
    metrics = report.metrics()
    return {
        "name": shown.name,
        "chapter": shown.chapter,
        "category": shown.category,
        "outside_data": shown.outside_data,
        "crop": shown.crop,
        "source": report.source,
        "synthetic": report.synthetic,
        "pairs": report.name,
        "role": report.role,
        "seen": report.seen,
        "set": _set_number(report, sets),
        "distances": report.distances,
        "threshold": report.threshold,
        "f1_threshold": report.f1_threshold,
        "threshold_from": report.threshold_from,
        "rule": report.rule,
        "buttons": buttons(report),
        "auc": metrics["auc"],
        "eer": metrics["eer"],
        "intervals": intervals(report) if with_intervals else None,
    }


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
    """Return thresholds that are best in some way on the report's own pairs.

    Returns
    -------
    dict
        ``f1, accuracy, eer, far``: threshold and remark. ``eer``: the candidate at which FAR and
        FRR are nearest; ``far``: the one with the greatest TAR whose FAR is at most 1 %. Among
        equally good candidates the smallest. None with the reason where it is undefined.
    """
    sweep = report.sweep
    tp, fp = sweep.accepted()
    n_same, n_different = tp[-1], fp[-1]
    if not (n_same and n_different):
        why = f"needs same and different pairs, got {n_same:,} and {n_different:,}"
        return dict.fromkeys(("f1", "accuracy", "eer", "far"), (None, why))
    gap = np.abs(fp / n_different + tp / n_same - 1)
    nearest = float(sweep.thresholds[np.argmin(gap)])
    eer = report.metrics()["eer"]
    between = f"between two candidates they are equal at {eer:.1%}"
    found = {
        "f1": (float(best(sweep, "f1")), "the largest F1 on these pairs"),
        "accuracy": (float(best(sweep, "accuracy")), "the largest accuracy on these pairs"),
        "eer": (nearest, f"the candidate at which FAR and FRR are nearest; {between}"),
    }
    if refusal := report.refusal(FAR):
        return found | {"far": (None, refusal)}
    reached = tp / n_same == report.tar_at_far(FAR)
    strictest = float(sweep.thresholds[np.argmax(reached)])
    return found | {"far": (strictest, "the most same pairs accepted while FAR is at most 1 %")}


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
    if n is None:
        n = int(np.clip(40_000_000 / len(report), 200, 2000))
    bands = _bands(report)
    thresholds = _thresholds(report, bands)
    at = report.sweep.at(thresholds)
    band = np.searchsorted(thresholds, bands)
    drawn, shares = [], []
    for weights in resampled_weights(report, n, seed):
        tp, fp = report.sweep.accepted(weights, at)  # (n_resamples, n_thresholds)
        n_same = tp[:, -1:]  # the last threshold accepts every pair
        n_different = fp[:, -1:]
        of_each = rates(tp, fp, n_same, n_different)
        drawn.append([of_each[metric] for metric in METRICS])
        with np.errstate(invalid="ignore"):  # 0 / 0 is undefined: nan
            of_same = np.diff(tp[:, band]) / n_same
            of_different = np.diff(fp[:, band]) / n_different
            shares.append(of_same / (of_same + of_different))
    low, high = _ends(np.concatenate(drawn, axis=1))
    share_low, share_high = _ends(np.concatenate(shares))
    return {
        "n": n,
        "thresholds": thresholds,
        "low": low,
        "high": high,
        "bands": bands,
        "share_low": share_low,
        "share_high": share_high,
    }


def _bands(report):
    """Cut the distances into bands of about 40 pairs or more, at most 16."""
    n = int(np.clip(len(report) // 40, 1, 16))
    quantiles = _evenly(np.sort(report.distances), n + 1)
    candidates = report.sweep.thresholds
    inner = candidates[np.searchsorted(candidates, quantiles[1:-1])]
    return np.unique([candidates[0], *inner, candidates[-1]])


def _thresholds(report, bands):
    """Where intervals are computed: evenly among the candidates, and wherever a reader jumps."""
    chosen = [report.threshold, report.f1_threshold]
    for value, _ in buttons(report).values():
        if value is not None:
            chosen.append(value)
    grid = _evenly(report.sweep.thresholds, N_GRID)
    return np.unique([*grid, *bands, *chosen])


def _evenly(values, n):
    places = np.linspace(0, len(values) - 1, n)
    return values[places.round().astype(int)]


def _ends(drawn):
    """95 % interval of each column: from (..., n, n_columns) to two arrays (..., n_columns)."""
    ends = np.apply_along_axis(percentiles, -2, drawn)  # (..., 2, n_columns)
    low, high = np.moveaxis(np.float32(ends), -2, 0)
    return low, high


def pack(value) -> tuple[object, list[bytes]]:
    """Take the arrays out of nested dicts and lists; see `payload`."""
    buffers = []

    def plain(value):
        if isinstance(value, np.ndarray) and value.ndim:
            array = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
            buffers.append(array.tobytes())
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
    parts = {"meta": meta, "buffers": texts}
    text = json.dumps(parts, ensure_ascii=False, allow_nan=False)
    for sign in "<\u2028\u2029":  # could end the element, or a line of the script
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def front_end() -> tuple[str, str]:
    """Return the explorer's JavaScript module and its style sheet."""
    folder = Path(__file__).parent / "web"
    scripts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    style = (folder / "explorer.css").read_text(encoding="utf-8")
    return "\n".join(scripts), style
