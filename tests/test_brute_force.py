"""All of verification once more in loops: one pair, one threshold and one resample at a time."""

import math
from collections import Counter
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from facelab.faces import Faces
from facelab.verification import (
    FARS,
    Report,
    compare,
    every_pair,
    fit_threshold,
    over_folds,
    verify,
)

NAN = float("nan")
RESAMPLES = 12


@st.composite
def reports(draw):
    """Reports on pairs of few or many people, in which people and distances occur again."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_people, n_pairs = draw(st.integers(2, 40)), draw(st.integers(1, 80))
    levels = draw(st.sampled_from([2, 5, 1000]))
    left, right = rng.integers(2 * n_people, size=(2, n_pairs))
    people = [f"P{k}" for k in range(n_people)] * 2
    same = left % n_people == right % n_people
    d = np.clip(rng.normal(1 - 0.3 * same, 0.3), 0, 2)
    d = np.round(d * levels) / levels
    thresholds = draw(st.lists(st.floats(0, 2), min_size=2, max_size=2))
    ids = [f"{name}_{k}" for k, name in enumerate(people)]
    return Report(d, same, np.zeros(n_pairs), left, right, ids, people, *thresholds)


def ratio(a, b):
    return a / b if b else NAN


def candidates(report):
    """One threshold below all distances, one between any two neighbours, one above all."""
    values = sorted(set(report.distances.tolist()))
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    return [values[0] - 1, *middles, values[-1] + 1]


def counted(report, threshold, weights):
    """Weights of accepted same and different pairs, and of all of both kinds."""
    found = [0, 0, 0, 0]
    for d, same, weight in zip(report.distances.tolist(), report.same, weights, strict=True):
        found[0 if same else 1] += weight * (d < threshold)
        found[2 if same else 3] += weight
    return found


def loop_rates(report, weights=None):
    weights = [1] * len(report) if weights is None else weights
    tp, fp, n_same, n_different = counted(report, report.threshold, weights)
    found = {"accuracy": ratio(tp + n_different - fp, n_same + n_different)}
    found |= {"far": ratio(fp, n_different), "frr": ratio(n_same - tp, n_same)}
    tp, fp, *_ = counted(report, report.f1_threshold, weights)
    found["f1"] = 2 * tp / (tp + fp + n_same) if tp else 0.0
    found |= {"precision": ratio(tp, tp + fp), "recall": ratio(tp, n_same)}
    curve = [counted(report, t, weights)[:2] for t in candidates(report)]
    wins = 0
    pairs = list(zip(report.distances.tolist(), report.same, weights, strict=True))
    for d, same, weight in pairs:
        for other, also_same, other_weight in pairs:
            if same and not also_same:
                wins += weight * other_weight * (1 if d < other else 0.5 if d == other else 0)
    found["auc"] = ratio(wins, n_same * n_different)
    found["eer"] = loop_eer(curve, n_same, n_different)
    for metric, far in FARS.items():
        allowed = [tp for tp, fp in curve if n_different and fp / n_different <= far]
        enough = (~report.same).sum() * far >= 1
        found[metric] = ratio(max(allowed, default=0), n_same) if allowed and enough else NAN
    return found


def loop_eer(curve, n_same, n_different):
    """Walk along the ROC polyline until false accepts outweigh false rejects."""
    if not n_same or not n_different:
        return NAN
    points = [(fp / n_different, 1 - tp / n_same) for tp, fp in curve]
    for (far, frr), (next_far, next_frr) in pairwise(points):
        if next_far >= next_frr:
            part = (frr - far) / ((next_far - next_frr) - (far - frr))
            return far + part * (next_far - far)
    raise AssertionError("the last candidate accepts every pair")


def loop_weights(report):
    """How often each pair counts, for each resample of people."""
    people = sorted({str(report.people[k]) for k in (*report.left, *report.right)})
    drawn = np.random.default_rng(0).integers(len(people), size=(RESAMPLES, len(people)))
    for numbers in drawn.tolist():
        times = Counter(people[k] for k in numbers)
        ends = zip(report.people[report.left], report.people[report.right], strict=True)
        yield [times[a] if a == b else times[a] * times[b] for a, b in ends]


def loop_independent(report):
    """Take each pair whose people no earlier pair of its kind has taken."""
    taken = {True: set(), False: set()}
    chosen = []
    ends = zip(report.people[report.left], report.people[report.right], strict=True)
    for same, (a, b) in zip(report.same.tolist(), ends, strict=True):
        chosen.append(not {a, b} & taken[same])
        if chosen[-1]:
            taken[same] |= {a, b}
    return chosen


def loop_trials(report):
    """Of how many independent pairs each rate is a share."""
    chosen = loop_independent(report)
    _, _, n_same, n_different = counted(report, 0, chosen)
    tp, fp, *_ = counted(report, report.f1_threshold, chosen)
    trials = {"accuracy": n_same + n_different, "f1": n_same + fp, "precision": tp + fp}
    trials |= dict.fromkeys(("recall", "frr", *FARS), n_same) | {"far": n_different}
    return trials | dict.fromkeys(("auc", "eer"), min(n_same, n_different))


def percentile(values, share):
    """Interpolate between the sorted values."""
    values = sorted(value for value in values if not math.isnan(value))
    if not values:
        return NAN
    at = share * (len(values) - 1)
    below = values[math.floor(at)]
    return below + (at - math.floor(at)) * (values[math.ceil(at)] - below)


def loop_exact(metric, rate, n):
    """Clopper and Pearson's ends, as quantiles of the beta distribution."""
    share = rate / (2 - rate) if metric == "f1" else rate
    hits = share * n
    low = stats.beta.ppf(0.025, hits, n - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return [2 * end / (1 + end) for end in (low, high)] if metric == "f1" else [low, high]


@given(reports())
def test_a_report_says_what_loops_say(report):
    expected = loop_rates(report)
    got = report.metrics()
    for metric, value in expected.items():
        assert got[metric] == pytest.approx(value, abs=1e-9, nan_ok=True), metric
    assert report.independent.tolist() == loop_independent(report)
    trials = loop_trials(report)
    assert report.n_independent() == trials
    drawn = [loop_rates(report, weights) for weights in loop_weights(report)]
    for metric, ends in report.intervals(RESAMPLES).items():
        values = [rates[metric] for rates in drawn]
        low, high = percentile(values, 0.025), percentile(values, 0.975)
        is_defined, n = not math.isnan(expected[metric]), trials[metric]
        if is_defined and (n < 10 or not high - low > 1e-12):
            low, high = loop_exact(metric, expected[metric], n)
        assert ends == pytest.approx((low, high), abs=1e-7, nan_ok=True), metric


@given(reports(), st.integers(0, 2**32))
def test_a_comparison_says_what_loops_say(a, seed):
    moved = a.distances + np.random.default_rng(seed).choice([-0.25, 0, 0.25], len(a))
    b = replace(a, distances=np.clip(moved, 0, 2), threshold=a.f1_threshold)
    table = compare(a, b, RESAMPLES).table.set_index("metric")
    trials = loop_trials(a), loop_trials(b)
    drawn = [(loop_rates(a, w), loop_rates(b, w)) for w in loop_weights(a)]
    for metric, row in table.iterrows():
        differences = [of_b[metric] - of_a[metric] for of_a, of_b in drawn]
        differences = [value for value in differences if not math.isnan(value)]
        if min(trials[0][metric], trials[1][metric]) < 10:
            assert row[["low", "high", "p", "error"]].isna().all() and "needs 10" in row["note"]
            continue
        ends = percentile(differences, 0.025), percentile(differences, 0.975)
        assert (row["low"], row["high"]) == pytest.approx(ends, abs=1e-9, nan_ok=True)
        beyond = [sum(sign * d <= 1e-12 for d in differences) for sign in (1, -1)]
        p = min(1, 2 * (1 + min(beyond)) / (1 + len(differences)))
        assert row["n"] == len(differences)
        if not any(0 < abs(d) < 1e-9 for d in differences):  # which rounding puts on either side
            assert row["p"] == (
                pytest.approx(p) if differences else pytest.approx(NAN, nan_ok=True)
            )


@st.composite
def embedded(draw):
    """Faces of a few people, and embeddings on a circle."""
    labels = draw(st.lists(st.integers(0, 4), min_size=3, max_size=14))
    people, labels = np.unique(labels, return_inverse=True)
    n = len(labels)
    angle = np.array(draw(st.lists(st.integers(0, 90), min_size=n, max_size=n))) * np.pi / 90
    names = tuple(f"P{k}" for k in people)
    blank = np.zeros((1, 3, 1, 1), np.uint8)
    faces = Faces(blank, np.zeros(n, int), labels, names, np.arange(1, n + 1))
    lengths = draw(st.floats(0.1, 10))
    return faces, lengths * np.stack([np.cos(angle), np.sin(angle)], axis=1), angle


@given(embedded().filter(lambda case: 1 < len(case[0].names) < len(case[0])))
def test_a_threshold_is_the_one_that_loops_find(case):
    faces, embeddings, angle = case
    labels = faces.labels.tolist()
    every = list(combinations(range(len(faces)), 2))
    same = [labels[i] == labels[j] for i, j in every]
    of_person = Counter(labels[i] for (i, _), is_same in zip(every, same, strict=True) if is_same)
    weights = []  # half for either kind; of the same pairs, as much for each person
    for (i, _), is_same in zip(every, same, strict=True):
        share = len(of_person) * of_person[labels[i]] if is_same else same.count(False)
        weights.append(0.5 / share)
    held = faces.with_pairs(every_pair(faces))
    report = verify(embeddings, held, 1.0)
    for d, i, j in zip(report.distances, held.pairs.left, held.pairs.right, strict=True):
        assert d == pytest.approx(2 * math.sin(abs(angle[i] - angle[j]) / 2), abs=1e-6)
    key = {frozenset(ends): weight for ends, weight in zip(every, weights, strict=True)}
    ends = zip(held.pairs.left.tolist(), held.pairs.right.tolist(), strict=True)
    weights = [key[frozenset(pair)] for pair in ends]
    best = {"value": (-1, 0), "f1": (-1, 0)}
    for t in candidates(report):
        tp, fp, n_same, n_different = counted(report, t, weights)
        scores = {"value": tp + n_different - fp, "f1": 2 * tp / (tp + fp + n_same)}
        for field, score in scores.items():
            if score > best[field][0] + 1e-9:  # of equally good ones the strictest
                best[field] = score, t
    threshold = fit_threshold(embeddings, faces)
    for field, (_, t) in best.items():
        accepted = report.distances < np.float64(getattr(threshold, field))
        assert accepted.tolist() == (report.distances < np.float64(t)).tolist()


@given(st.lists(reports(), min_size=2, max_size=6))
def test_folds_are_averaged_as_loops_do(folds):
    folds = [replace(report, fold=np.full(len(report), k)) for k, report in enumerate(folds)]
    accuracies = [loop_rates(report)["accuracy"] for report in folds]
    mean = sum(accuracies) / len(folds)
    error = math.sqrt(sum((a - mean) ** 2 for a in accuracies) / (len(folds) - 1) / len(folds))
    assert over_folds(folds)[:2] == pytest.approx((mean, error), abs=1e-9)
