"""What the explorer in a browser needs of reports and trainings: plain values and arrays.

The browser counts by binary search in the distances themselves, so its numbers at any threshold
are those of `facelab.verification`. What takes resampling is computed here, at chosen thresholds.
"""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd

from facelab.checks import expect, expect_in
from facelab.explorer.shown import BINS, Shown
from facelab.verification import (
    Report,
    best,
    calibrate_report,
    rates,
    resampled_weights,
    supported,
    units,
)

WEB = Path(__file__).parent / "web"
SCRIPTS = ("numbers.js", "plots.js", "panels.js", "two_photos.js", "explorer.js")
METRICS = ("precision", "recall", "f1", "accuracy", "far", "frr")
OF_SHOWN = ("name", "group", "category", "outside_data", "crop", "side", "aligned")
OF_REPORT = ("source", "synthetic", "role", "seen", "rule", "distances", "threshold")
OF_REPORT += ("f1_threshold", "threshold_from")
FAR = 0.01  # of the button that accepts as much as this error allows
MOST_PAIRS = 2**22  # the browser sorts a distance and its pair's number as one float64
N_GRID = 129  # thresholds at which intervals are computed
N_CALIBRATED = 100  # resamples of people behind the interval of P(same)


def payload(shown: list[Shown], with_intervals: bool = True) -> tuple[dict, list[bytes]]:
    """Turn results into what both hosts of the explorer hand to it, as `pack` packs it.

    The explorer opens on the first report, or on the one that `is_best`. The notebook's explorer
    asks for `resampled` later. Refuses names that are alike, and more than 4,194,304 pairs.
    """
    names = [one.name for one in shown]
    expect(len(set(names)) == len(names), "names that differ", ", ".join(names))
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
        run["intervals"] = resampled(one) if with_intervals else None
        runs.append(run)
    problems = [{"name": one.name, "why": one.problem} for one in shown if one.problem]
    data = {"runs": runs, "sets": list(sets.values()), "films": films, "bins": BINS}
    return pack(data | {"problems": problems, "first": opening(shown)})


def opening(shown: list[Shown]) -> int:
    """Return the position, among those with a report, of the one that the explorer opens on."""
    marked = [one.is_best for one in shown if one.report is not None]
    return marked.index(True) if any(marked) else 0


def _run(shown: Shown) -> dict:
    report = shown.report
    is_few = len(report) <= MOST_PAIRS
    expect_in(shown.name, is_few, f"{MOST_PAIRS:,} pairs or fewer", f"{len(report):,}")
    metrics = report.metrics()
    run = {name: getattr(shown, name) for name in OF_SHOWN}
    run |= {name: getattr(report, name) for name in OF_REPORT}
    run |= {name: metrics[name] for name in ("auc", "eer")}
    run["can_measure"] = shown.embed is not None
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
    """Return thresholds that are best on the report's own pairs, or None, each with a remark."""
    n_same = int(report.same.sum())
    n_different = len(report) - n_same
    if not (n_same and n_different):
        why = f"needs same and different pairs, got {n_same:,} and {n_different:,}"
        return dict.fromkeys(("f1", "accuracy", "eer", "far"), (None, why))
    sweep = report.sweep
    refusal = report.refusal(FAR)
    strictest = None if refusal else best(sweep, "tar", far=FAR)
    eer = f"between two candidates they are equal at {report.metrics()['eer']:.1%}"
    return {
        "f1": (best(sweep, "f1"), "the largest F1 on these pairs"),
        "accuracy": (best(sweep, "accuracy"), "the largest accuracy on these pairs"),
        "eer": (best(sweep, "eer"), f"the candidate at which FAR and FRR are nearest; {eer}"),
        "far": (strictest, refusal or "the most same pairs accepted while FAR is at most 1 %"),
    }


def resampled(shown: Shown) -> dict[str, object]:
    """Return `intervals`, and as ``calibration`` what a distance says, None if nothing is known.

    It holds natural logarithms of likelihood ratios at distances from 0 to 2, ``log_lr, low, high``
    (801,), and in words who calibrated: dev people where their `Calibration` was kept, else the
    tested pairs themselves, if their people are enough.
    """
    known, on = shown.calibration, "dev people"
    if known is None:
        on = "the tested pairs themselves: none of dev people was kept"
        try:
            known = calibrate_report(shown.report, n=N_CALIBRATED)
        except ValueError:  # too few people, or pairs of one kind
            return intervals(shown.report) | {"calibration": None}
    ends = {end: np.float32(getattr(known, end)) for end in ("log_lr", "low", "high")}
    return intervals(shown.report) | {"calibration": ends | {"on": on}}


def intervals(report: Report) -> dict[str, object]:
    """Resample people as `Report.intervals` does, at many thresholds at once.

    Returns ``n``, how often: 2,000 times, but fewer for more than 20,000 pairs, at least 200;
    ``thresholds`` (n_thresholds,), the report's own and those of `buttons` among them; and the
    95 % intervals of `METRICS` at each, ``low, high`` (6, n_thresholds).
    """
    n = int(np.clip(40_000_000 / len(report), 200, 2000))
    sweep = report.sweep
    chosen = [value for value, _ in buttons(report).values() if value is not None]
    chosen += [report.threshold, report.f1_threshold]
    places = np.linspace(0, len(sweep.thresholds) - 1, N_GRID).round().astype(int)
    thresholds = np.unique([*sweep.thresholds[places], *chosen])
    at = sweep.at(thresholds)

    def counted(of: Callable, weights=None) -> dict[str, np.ndarray]:
        tp, fp = sweep.accepted(weights, at)  # (..., n_thresholds); the last accepts every pair
        return of(tp, fp, tp[..., -1:], fp[..., -1:])

    drawn = [counted(rates, weights) for weights in resampled_weights(report, n, seed=0)]
    values, counts = counted(rates), counted(units, report.independent.astype(int))
    ends = []
    for metric in METRICS:
        of_metric = pd.DataFrame(np.concatenate([part[metric] for part in drawn]))
        low, high = of_metric.quantile([0.025, 0.975]).to_numpy(np.float32)
        ends.append(supported(metric, low, high, values[metric], counts[metric]))
    low, high = np.float32(ends).swapaxes(0, 1)
    return {"n": n, "thresholds": thresholds, "low": low, "high": high}


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
    text = text.encode(errors="backslashreplace").decode()  # half a character as JSON writes it
    for sign in "<\u2028\u2029":  # could end the element, or a line of the script
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def page_of(shown: list[Shown]) -> dict[str, str]:
    """Return what a page that shows results embeds: ``data``, ``script`` and ``style``."""
    script, style = front_end()
    return {"data": inline(*payload(shown)), "script": script, "style": style}


def front_end() -> tuple[str, str]:
    """Return the explorer's JavaScript module and its style sheet."""
    scripts = [(WEB / name).read_text("utf-8") for name in SCRIPTS]
    return "\n".join(scripts), (WEB / "explorer.css").read_text("utf-8")
