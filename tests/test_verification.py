import subprocess
import sys
from dataclasses import fields, replace
from itertools import combinations, pairwise
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from facelab import files
from facelab.faces import Faces, Pairs
from facelab.verification import (
    FARS,
    Report,
    Sweep,
    area,
    auc,
    best,
    compare,
    compare_all,
    difference_of,
    distances,
    eer,
    every_pair,
    exact,
    fit_threshold,
    holm,
    mean_of,
    over_folds,
    pool_folds,
    rates,
    resampled_rates,
    resampled_weights,
    same_result,
    verify,
)

ROOT = Path(__file__).parent.parent


def make_faces(n_people, per_person, pairs=None, first="A", source="made-up faces"):
    """Blank images of people named A0, A1, ...; image i belongs to person i // per_person."""
    n = n_people * per_person
    return Faces(
        packed=np.zeros((n, 3, 2, 2), np.uint8),
        rows=np.arange(n),
        labels=np.arange(n) // per_person,
        names=tuple(f"{first}_{k}" for k in range(n_people)),
        numbers=np.arange(n) % per_person + 1,
        source=source,
        pairs=pairs,
    )


def make_report(d, same, threshold=1.0, **more):
    """Report of pairs in which nobody occurs twice."""
    d, n = np.asarray(d), len(d)
    ids = [f"L{p}_0001" for p in range(n)]
    ids += [f"L{p}_0002" if s else f"R{p}_0001" for p, s in enumerate(same)]
    people = [i[:-5] for i in ids]
    ends = np.arange(n), n + np.arange(n)
    return Report(d, same, np.zeros(n), *ends, ids, people, threshold, **more)


def random_report(seed, n_people=12, n_pairs=120, levels=None, shift=0.3):
    """Dependent pairs of few people; with `levels`, distances take that many values."""
    rng = np.random.default_rng(seed)
    same = rng.random(n_pairs) < 0.5
    left = rng.integers(n_people, size=n_pairs)
    right = np.where(same, left, (left + rng.integers(1, n_people, size=n_pairs)) % n_people)
    hard = rng.normal(0, 0.2, n_people)
    d = 1 - shift * same + hard[left] + hard[right] + rng.normal(0, 0.2, n_pairs)
    if levels:
        d = np.round(np.clip(d, 0, 2) * levels / 2) * 2 / levels
    people = [f"P_{k}" for k in range(n_people)]
    ids = [f"{name}_{i:04d}" for i in (1, 2) for name in people]
    d, fold = np.clip(d, 0, 2), np.zeros(n_pairs)
    return Report(d, same, fold, left, n_people + right, ids, 2 * people, 0.85)


tied = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=25).map(
    lambda pairs: (np.float32([d for d, _ in pairs]) / 4, np.array([s for _, s in pairs]))
)
both_kinds = tied.filter(lambda pairs: 0 < pairs[1].sum() < len(pairs[1]))


def brute_curve(d, same):
    """(threshold, tp, fp) of every candidate, one comparison at a time."""
    values = sorted({float(x) for x in d})
    candidates = [values[0] - 1e-9]
    candidates += [(a + b) / 2 for a, b in pairwise(values)]
    candidates += [values[-1] + 1e-9]
    return [
        (
            t,
            sum(s and float(x) < t for x, s in zip(d, same, strict=True)),
            sum(not s and float(x) < t for x, s in zip(d, same, strict=True)),
        )
        for t in candidates
    ]


def brute_auc(d, same):
    pairs = [(a, b) for a in d[same] for b in d[~same]]
    return np.mean([1.0 if a < b else 0.5 if a == b else 0.0 for a, b in pairs])


# Distances


def test_distance_on_the_unit_circle_is_twice_the_sine_of_half_the_angle():
    degrees = np.array([0, 1e-3, 10, 60, 90, 120, 179, 180])
    a = np.radians(degrees)
    embeddings = np.stack([np.cos(a), np.sin(a)], 1) * np.arange(1, 9)[:, None]
    pairs = Pairs(np.zeros(8), np.arange(8), np.ones(8, bool))
    measured = distances(embeddings, pairs)
    assert measured.dtype == np.float32
    np.testing.assert_allclose(measured, 2 * np.sin(a / 2), rtol=1e-6, atol=1e-12)


def test_distances_of_many_pairs_are_those_of_unit_vectors():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    left, right = rng.integers(50, size=(2, 140_000))
    got = distances(x, Pairs(left, right, left == right))
    unit = x / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(got, np.linalg.norm(unit[left] - unit[right], axis=1), atol=2e-7)
    assert (got[left == right] == 0).all()


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (np.ones(4), r"expected a table of numbers, got float64 of shape \(4,\)"),
        (np.array([["a", "b"], ["c", "d"]]), "expected a table of numbers, got <U1"),
        ([[1, 0], [0, np.nan]], "finite length above 0, got nan in row 1"),
        ([[np.inf, 0], [0, 1]], "finite length above 0, got inf in row 0"),
        ([[1, 0], [0, 0]], "finite length above 0, got 0.0 in row 1"),
    ],
)
def test_distances_refuse_what_has_no_direction(embeddings, message):
    with pytest.raises(ValueError, match=message):
        distances(embeddings, Pairs([0], [1], [False]))


def test_distances_refuse_a_row_that_is_not_there():
    with pytest.raises(IndexError):
        distances([[1, 0], [0, 1]], Pairs([2], [1], [False]))


# The sweep


@given(tied)
def test_every_candidate_threshold_counts_as_a_loop_does(pairs):
    d, same = pairs
    roc = make_report(d, same).roc()
    expected = brute_curve(d, same)
    assert len(roc) == len(expected)
    n_same, n_different = same.sum(), (~same).sum()
    for row, (t, tp, fp) in zip(roc.itertuples(), expected, strict=True):
        assert row.threshold == pytest.approx(t, abs=1e-8)
        tn, fn = n_different - fp, n_same - tp
        assert row.accuracy == (tp + tn) / len(d)
        assert row.f1 == (2 * tp / (2 * tp + fp + fn) if tp else 0)
        assert row.precision == tp / (tp + fp) if tp + fp else np.isnan(row.precision)
        assert row.tar == row.recall == tp / n_same if n_same else np.isnan(row.tar)
        assert row.far == fp / n_different if n_different else np.isnan(row.far)


@given(both_kinds, st.floats(-0.5, 2))
def test_metrics_at_a_threshold_agree_with_sklearn(pairs, threshold):
    d, same = pairs
    got = make_report(d, same, threshold).metrics()
    accepted = d.astype(float) < threshold
    tn, fp, fn, tp = sk.confusion_matrix(same, accepted, labels=[False, True]).ravel()
    assert (got["tn"], got["fp"], got["fn"], got["tp"]) == (tn, fp, fn, tp)
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(same, accepted))
    assert got["f1"] == pytest.approx(sk.f1_score(same, accepted, zero_division=0))
    assert got["recall"] == pytest.approx(sk.recall_score(same, accepted))
    assert got["far"] == pytest.approx(fp / (fp + tn))
    assert got["frr"] == pytest.approx(fn / (fn + tp))
    precision = sk.precision_score(same, accepted, zero_division=np.nan)
    assert got["precision"] == pytest.approx(precision, nan_ok=True)


@given(both_kinds)
def test_auc_gives_ties_one_half_and_agrees_with_sklearn(pairs):
    d, same = pairs
    assert make_report(d, same).metrics()["auc"] == auc(d, same)
    assert auc(d, same) == pytest.approx(brute_auc(d, same), abs=1e-12)
    assert auc(d, same) == pytest.approx(sk.roc_auc_score(same, -d), abs=1e-12)


@given(both_kinds)
def test_eer_is_where_the_roc_polyline_meets_the_line_of_equal_errors(pairs):
    d, same = pairs
    far, tar, _ = sk.roc_curve(same, -d, drop_intermediate=False)
    far, frr = np.append(far, 1), 1 - np.append(tar, 1)
    # Along the polyline far - frr rises, so far read off at far - frr = 0 is the EER.
    gap, first = np.unique(np.round(far - frr, 12), return_index=True)
    assert make_report(d, same).metrics()["eer"] == pytest.approx(
        np.interp(0, gap, far[first]), abs=1e-9
    )


def test_eer_is_the_error_rate_of_a_threshold_with_equal_errors():
    rng = np.random.default_rng(3)
    same = rng.permutation(np.repeat([True, False], 300))
    d = np.float32(rng.normal(np.where(same, 0.9, 1.2), 0.2))  # equally many: errors can be equal
    far, tar, _ = sk.roc_curve(same, -d, drop_intermediate=False)
    (equal,) = np.flatnonzero(np.isclose(far, 1 - tar))
    assert make_report(d, same).metrics()["eer"] == pytest.approx(far[equal], abs=1e-6)


def test_precision_and_recall_over_thresholds_agree_with_sklearn():
    report = random_report(0, levels=16)
    precision, recall, _ = sk.precision_recall_curve(report.same, -report.distances)
    roc = report.roc()
    # sklearn starts at "accepts nothing" with precision 1 by definition; here that is undefined.
    ours = roc[["precision", "recall"]].to_numpy()[1:]
    np.testing.assert_allclose(ours, np.stack([precision, recall], 1)[-2::-1])
    assert np.isnan(roc["precision"][0])


@given(both_kinds, st.sampled_from([0.05, 0.1, 0.25, 1 / 3, 0.5, 1.0]))
def test_tar_at_far_is_the_greatest_that_any_threshold_reaches(pairs, far):
    d, same = pairs
    report = make_report(d, same)
    n_same, n_different = int(same.sum()), int((~same).sum())
    if n_different * far < 1:
        with pytest.raises(ValueError, match=f"different pairs or more, got {n_different}"):
            report.tar_at_far(far)
    else:
        curve = brute_curve(d, same)
        best = max(tp / n_same for _, tp, fp in curve if fp / n_different <= far)
        assert report.tar_at_far(far) == best


def test_tar_is_refused_with_the_reason_where_one_false_accept_is_too_many():
    same = np.repeat([True, False], [5, 999])
    report = make_report(np.linspace(0, 2, 1004), same)
    with pytest.raises(ValueError, match=r"FAR 0.1 % needs 1,000 different pairs or more, got 999"):
        report.tar_at_far(0.001)
    table = report.table(n=20).set_index("metric")
    assert np.isnan(report.metrics()["tar_at_far_0.1%"])
    assert table.loc["tar_at_far_0.1%", ["value", "low", "high"]].isna().all()
    assert "of 1,000 needed" in table.loc["tar_at_far_0.1%", "note"]
    assert table.loc["tar_at_far_1%", "value"] == 1
    one_more = make_report(np.linspace(0, 2, 1005), np.repeat([True, False], [5, 1000]))
    assert one_more.tar_at_far(0.001) == one_more.metrics()["tar_at_far_0.1%"] == 1


@pytest.mark.parametrize(
    ("d_same", "d_different", "area", "equal", "accuracy"),
    [(0.5, 1.5, 1.0, 0.0, 1.0), (1.5, 0.5, 0.0, 1.0, 0.0), (0.7, 0.7, 0.5, 0.5, 0.5)],
    ids=["perfect", "inverted", "constant"],
)
def test_oracles_score_what_they_must(d_same, d_different, area, equal, accuracy):
    same = np.repeat([True, False], 150)
    m = make_report(np.where(same, d_same, d_different), same, threshold=1.0).metrics()
    assert (m["auc"], m["eer"], m["accuracy"]) == (area, equal, accuracy)
    assert m["tar_at_far_1%"] == (1.0 if area == 1 else 0.0)


def test_one_kind_of_pairs_leaves_the_other_kinds_rates_undefined():
    only_same = make_report([0.5, 1.5], [True, True]).metrics()
    only_different = make_report([0.5, 1.5], [False, False]).metrics()
    assert only_same["recall"] == only_same["accuracy"] == 0.5
    assert only_different["far"] == 0.5
    for undefined in ("auc", "eer", *FARS):
        assert np.isnan(only_same[undefined])
        assert np.isnan(only_different[undefined])
    assert make_report([0.5], [True]).table(n=10)["note"].str.contains("needed").sum() == 2


def test_a_threshold_between_neighbouring_float32_distances_separates_them():
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(2))
    report = make_report([low, high], [True, False])
    middle = report.roc()["threshold"][1]
    assert float(low) < middle < float(high)
    held = replace(report, threshold=float(middle))
    assert held.accepted.tolist() == (held.distances < held.threshold).tolist() == [True, False]
    assert held.metrics()["accuracy"] == 1.0


weighted = tied.flatmap(
    lambda pairs: st.tuples(
        st.just(pairs),
        st.lists(
            st.floats(0, 3) | st.integers(0, 3).map(float),
            min_size=len(pairs[0]),
            max_size=len(pairs[0]),
        ).map(np.array),
    )
)


def has_weight(case):
    (_, same), weights = case
    return weights[same].sum() > 1e-3 and weights[~same].sum() > 1e-3


@given(weighted)
def test_accepted_weights_are_those_of_a_loop(case):
    (d, same), weights = case
    sweep = Sweep(d, same)
    got_same, got_different = sweep.accepted(weights)
    assert len(sweep.thresholds) == len(set(d.tolist())) + 1
    for t, of_same, of_different in zip(sweep.thresholds, got_same, got_different, strict=True):
        below = d.astype(float) < t
        assert of_same == pytest.approx(weights[below & same].sum())
        assert of_different == pytest.approx(weights[below & ~same].sum())


@given(weighted.filter(has_weight))
def test_weighted_curve_agrees_with_sklearn(case):
    (d, same), weights = case
    far, tpr, _ = sk.roc_curve(same, -d, sample_weight=weights, drop_intermediate=False)
    sweep = Sweep(d, same)
    tp, fp = sweep.accepted(weights)
    got = rates(tp, fp, tp[-1], fp[-1])
    # sklearn has no candidate at distances at which every pair weighs 0.
    kept = sweep.at(np.unique(d[weights > 0])) + 1
    np.testing.assert_allclose(got["far"][kept], far[1:], atol=1e-9)
    np.testing.assert_allclose(got["recall"][kept], tpr[1:], atol=1e-9)
    expected = sk.roc_auc_score(same, -d, sample_weight=weights)
    assert area(tp, fp) == pytest.approx(expected, abs=1e-9)
    gap, first = np.unique(np.round(far - 1 + tpr, 12), return_index=True)
    assert eer(tp, fp) == pytest.approx(np.interp(0, gap, far[first]), abs=1e-6)


@given(weighted, st.data())
def test_chosen_candidates_count_as_all_do(case, data):
    (d, same), weights = case
    sweep = Sweep(d, same)
    n = len(sweep.thresholds)
    at = np.array(data.draw(st.lists(st.integers(-n, n - 1), min_size=1)))
    many = np.stack([weights, weights[::-1], np.ones(len(d))])
    for chosen, every in zip(sweep.accepted(many, at=at), sweep.accepted(many), strict=True):
        np.testing.assert_array_equal(chosen, every[:, at])
    repeats = np.random.default_rng(0).integers(0, 4, size=(5, len(d)), dtype=np.int8)
    for kind in (np.int8, np.int32, np.float64):
        counts = sweep.accepted(repeats.astype(kind))
        for row, w in enumerate(repeats):
            np.testing.assert_array_equal([c[row] for c in counts], sweep.accepted(w))


@given(tied, st.floats(-0.5, 2))
def test_any_threshold_is_found_among_the_candidates(pairs, threshold):
    d, same = pairs
    sweep = Sweep(d, same)
    for t in (threshold, *d.tolist(), *sweep.thresholds):
        total = sum(counts[sweep.at(t)] for counts in sweep.accepted())
        assert total == (d.astype(float) < t).sum()
    np.testing.assert_array_equal(sweep.at(sweep.thresholds), np.arange(len(sweep.thresholds)))


@given(tied, st.sampled_from([np.float16, np.float32, np.float64]), st.booleans())
def test_neighbouring_floats_of_any_kind_are_told_apart(pairs, kind, above):
    d, same = pairs
    d = np.nextafter(d, np.float32(9)) if above else np.where(d == 0, np.float32(-0.0), d)
    d = d.astype(kind)
    sweep = Sweep(d, same)
    for t, below in zip(sweep.thresholds, sum(sweep.accepted()), strict=True):
        assert (d.astype(float) < t).sum() == below


@given(weighted.filter(has_weight), st.sampled_from(["accuracy", "f1"]))
def test_the_best_weighted_threshold_is_the_strictest_of_a_loop(case, by):
    (d, same), weights = case
    threshold = best(Sweep(d, same), by, weights)

    def score(t):
        below = d.astype(float) < t
        tp, fp = weights[below & same].sum(), weights[below & ~same].sum()
        if by == "f1":
            return 2 * tp / (tp + fp + weights[same].sum())
        return (tp + weights[~same].sum() - fp) / weights.sum()

    scores = [(score(t), t) for t, _, _ in brute_curve(d, same)]
    top = max(value for value, _ in scores)
    assert score(threshold) == pytest.approx(top, abs=1e-11)
    assert all(value < top for value, t in scores if t < threshold - 1e-6)


def test_rounding_of_weights_does_not_decide_between_equally_good_thresholds():
    # Accepting none, or one same and one different pair that weigh 0.1 + 0.2 and 0.3.
    d, same = np.array([0.2, 0.2, 0.3, 1.0]), np.array([True, True, False, True])
    assert best(Sweep(d, same), "accuracy", np.array([0.1, 0.2, 0.3, 0.1])) < 0.3
    d, same = np.array([0.1, 0.2, 0.3, 0.4]), np.array([False, True, True, False])
    weights = np.array([0.3, 0.1, 0.2, 1.0])
    assert best(Sweep(d, same), "accuracy", weights) < 0.1


@pytest.mark.parametrize(
    ("d", "same", "message"),
    [
        ([0.5, -0.5], [True, False], "expected finite distances of 0 or more, got -0.5"),
        ([0.5, np.nan], [True, False], "expected finite distances of 0 or more, got nan"),
        ([0.5, 0.6], [1, 0], "expected bool in `same`, got int64"),
        ([0.5, 0.6], ["no", "yes"], "expected bool in `same`, got <U3"),
        ([0.5], [True, False], r"one length, at least 1, got shapes \(1,\) and \(2,\)"),
        ([], [], "at least 1, got shapes"),
    ],
)
def test_a_sweep_refuses_what_it_cannot_sort(d, same, message):
    with pytest.raises(ValueError, match=message):
        auc(np.array(d), np.array(same))


# Choosing a threshold


def on_circle(d):
    """Embeddings whose pair p, rows 2p and 2p + 1, lies `d[p]` apart."""
    angle = 2 * np.arcsin(np.asarray(d, float) / 2)
    angles = np.stack([np.zeros_like(angle), angle], 1).ravel()
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def faces_of_pairs(same, first="A", name="dev"):
    """Two images per pair; those of a same pair show one person, of a different pair two."""
    same = np.asarray(same, bool)
    labels = np.cumsum(np.stack([np.ones(len(same), int), ~same], 1)) - 1
    rows = np.arange(2 * len(same))
    numbers = np.stack([np.ones(len(same), int), 1 + same], 1).ravel()
    names = tuple(f"{first}_{k}" for k in range(labels[-1] + 1))
    pairs = Pairs(rows[::2], rows[1::2], same, name=name, role=name)
    packed = np.zeros((len(rows), 3, 1, 1), np.uint8)
    return Faces(packed, rows, labels, names, numbers, "made-up faces", pairs=pairs)


@given(both_kinds)
def test_both_thresholds_are_the_first_best_candidates_of_a_loop(pairs):
    levels, same = pairs
    embeddings, faces = on_circle(levels), faces_of_pairs(same)
    d = distances(embeddings, faces.pairs)
    scores = {"value": [], "f1": []}
    for t, tp, fp in brute_curve(d, same):
        fn, tn = same.sum() - tp, (~same).sum() - fp
        scores["f1"].append((2 * tp / (2 * tp + fp + fn), t))
        scores["value"].append(((tp + tn) / len(d), t))
    threshold = fit_threshold(embeddings, faces, faces.pairs)
    for field, found in scores.items():
        top = max(score for score, _ in found)
        strictest = min(t for score, t in found if score == top)
        assert getattr(threshold, field) == pytest.approx(strictest, abs=1e-8)
    assert (threshold.n_same, threshold.n_different) == (same.sum(), (~same).sum())
    assert threshold.name == "dev"


@given(both_kinds, st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_thresholds_at_a_far_and_at_the_eer_are_those_of_a_loop(pairs, far):
    levels, same = pairs
    embeddings, faces = on_circle(levels), faces_of_pairs(same)
    d = distances(embeddings, faces.pairs)
    n_same, n_different = same.sum(), (~same).sum()
    curve = [(fp / n_different, tp / n_same, t) for t, tp, fp in brute_curve(d, same)]
    nearest = min(abs(of_far - 1 + tar) for of_far, tar, _ in curve)
    expected = min(t for of_far, tar, t in curve if abs(of_far - 1 + tar) <= nearest + 1e-12)
    found = fit_threshold(embeddings, faces, faces.pairs, by="eer")
    assert found.value == pytest.approx(expected, abs=1e-8)
    if n_different * far < 1:
        with pytest.raises(ValueError, match=f"dev: FAR .* needs .*, got {n_different}"):
            fit_threshold(embeddings, faces, faces.pairs, by="far", far=far)
        return
    most = max(tar for of_far, tar, _ in curve if of_far <= far)
    expected = min(t for of_far, tar, t in curve if of_far <= far and tar == most)
    found = fit_threshold(embeddings, faces, faces.pairs, by="far", far=far)
    assert found.value == pytest.approx(expected, abs=1e-8)
    assert found.f1 == fit_threshold(embeddings, faces, faces.pairs).f1


def test_a_report_says_which_rule_chose_its_threshold_and_the_far_that_strangers_reached():
    x, dev = on_circle(np.linspace(0.1, 1.9, 40)), faces_of_pairs(np.arange(40) % 3 < 2, "A")
    test = faces_of_pairs(np.arange(40) % 3 < 2, "B", "test")
    said = {
        "far": ("far 0.2 and f1", "FAR of at most 20 % and best F1 on dev"),
        "eer": ("eer and f1", "FAR nearest to FRR and best F1 on dev"),
        "f1": ("f1", "best F1 on dev"),
    }
    for by, (rule, words) in said.items():
        threshold = fit_threshold(x, dev, by=by, far=0.2 if by == "far" else None)
        report = verify(x, test, threshold)
        assert (report.rule, report.threshold_from) == (rule, words)
        assert (report.threshold, report.f1_threshold) == (threshold.value, threshold.f1)
        row = report.table(n=100).set_index("metric").loc["far"]
        assert row["value"] == np.mean(report.accepted[~report.same])
        assert row["low"] <= row["value"] <= row["high"]
        assert row["low"] < row["high"]
    assert threshold.value == threshold.f1


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"by": "auc"}, "expected by in .*, got by='auc' and far=None"),
        ({"by": "far"}, "`far` with 'far' alone, got by='far' and far=None"),
        ({"by": "eer", "far": 0.01}, "`far` with 'far' alone, got by='eer' and far=0.01"),
        ({"by": "far", "far": 0.01}, "FAR 1 % needs 100 different pairs or more, got 5"),
        ({"by": "far", "far": np.nan}, "expected far a finite number from .*, got nan"),
        ({"by": "far", "far": 2}, "expected far a finite number from .*, got 2"),
        ({"by": "far", "far": "1%"}, "expected far a finite number from .*, got '1%'"),
    ],
)
def test_a_threshold_is_not_chosen_by_what_is_no_rule(choice, message):
    with pytest.raises(ValueError, match=message):
        fit_threshold(on_circle([0.5, 1.5]), faces_of_pairs([True, False]), **choice)


def test_pairs_that_weigh_nothing_choose_no_threshold():
    faces = faces_of_pairs([True, False])
    pairs = replace(faces.pairs, weights=np.array([1.0, 0.0]))
    with pytest.raises(ValueError, match="1 same, 1 different that weigh 1 and 0"):
        fit_threshold(on_circle([0.5, 1.5]), faces, pairs)


def test_weights_of_pairs_move_both_thresholds():
    d, same = [0.2, 0.6, 1.0, 1.4], [True, False, True, False]
    faces = faces_of_pairs(same)
    plain = fit_threshold(on_circle(d), faces, faces.pairs)
    assert plain.value == pytest.approx(0.4)
    assert plain.f1 == pytest.approx(1.2)
    heavy = replace(faces.pairs, weights=np.array([1, 9, 1, 9.0]))
    assert fit_threshold(on_circle(d), faces, heavy).f1 == pytest.approx(0.4)
    far = replace(faces.pairs, weights=np.array([1, 1, 9, 1.0]))
    assert fit_threshold(on_circle(d), faces, far).value == pytest.approx(1.2)


def test_among_equally_good_thresholds_the_strictest_wins():
    # Accepting one same pair, or that and a different and a same pair: 2 of 3 right either way.
    faces = faces_of_pairs([True, False, True])
    threshold = fit_threshold(on_circle([0.2, 0.6, 1.0]), faces, faces.pairs)
    assert threshold.value == pytest.approx(0.4)
    assert threshold.f1 > 1.0


def test_a_hopeless_network_gets_the_threshold_that_accepts_nothing_by_accuracy():
    faces = faces_of_pairs([False, True])
    threshold = fit_threshold(on_circle([0.5, 1.5]), faces, faces.pairs)
    assert 0.49 < threshold.value < distances(on_circle([0.5, 1.5]), faces.pairs)[0]


def test_threshold_never_sees_tested_people():
    dev, test = faces_of_pairs([True, False], "A"), faces_of_pairs([True, False], "B", "test")
    x = on_circle([0.5, 1.5])
    threshold = fit_threshold(x, dev)
    assert threshold.people == {"A_0", "A_1", "A_2"}
    assert "1 same and 5 different pairs of 3 people" in repr(threshold)
    report = verify(x, test, threshold)
    assert report.threshold_from == "best accuracy and best F1 on dev"
    assert (report.rule, report.name, report.role) == ("accuracy and f1", "test", "test")
    with pytest.raises(ValueError, match="got 3 of the people tested: A_0, A_1"):
        verify(x, dev, threshold)
    one_shared = replace(test, names=("B_0", "A_2", "B_2"))
    with pytest.raises(ValueError, match="got 1 of the people tested: A_2$"):
        verify(x, one_shared, threshold)


def test_each_rate_is_taken_at_the_threshold_that_was_chosen_for_it():
    dev = faces_of_pairs([True, False, True, False], "A")
    test = replace(faces_of_pairs([True, False, True, False], "B", "test"), synthetic=True)
    x = on_circle([0.2, 0.6, 1.0, 1.4])
    threshold = fit_threshold(x, dev, dev.pairs)
    report = verify(x, test, threshold)
    assert (report.threshold, report.f1_threshold) == (threshold.value, threshold.f1)
    assert threshold.value < threshold.f1
    m = report.metrics()
    assert (m["tp"], m["fp"], m["tn"], m["fn"]) == (1, 0, 2, 1)
    assert (m["accuracy"], m["far"], m["frr"]) == (0.75, 0, 0.5)
    assert (m["f1"], m["precision"], m["recall"]) == (0.8, 2 / 3, 1)
    assert report.accepted.tolist() == [True, False, False, False]
    assert report.synthetic is True


def test_a_report_on_seen_people_says_so_in_a_field():
    dev = faces_of_pairs([True, False])
    x = on_circle([0.5, 1.5])
    report = verify(x, dev, fit_threshold(x, dev), seen="people it was trained on")
    assert report.source == "made-up faces"
    assert report.seen == "people it was trained on"
    assert "people it was trained on" in repr(report)


# Every pair


def faces_of_counts(counts, pairs=None):
    """Blank images of people of so many images, in mixed order."""
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    names = tuple(f"P_{k}" for k in range(len(counts)))
    n = len(labels)
    blank = np.zeros((1, 3, 1, 1), np.uint8)
    return Faces(blank, np.zeros(n, int), labels, names, np.arange(n), pairs=pairs)


def keys_of(pairs):
    return {frozenset(ends) for ends in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)}


@example([10] * 14)  # 9,100 different pairs and 630 same ones: 10,000 between them
@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_few_images_give_every_pair_once(counts):
    faces = faces_of_counts(counts)
    pairs = every_pair(faces)
    faces.with_pairs(pairs)  # checks rows and same
    expected = {frozenset(ends) for ends in combinations(range(len(faces)), 2)}
    assert keys_of(pairs) == expected
    assert len(pairs) == len(expected)
    assert (np.diff(pairs.same.astype(int)) <= 0).all()


@given(st.lists(st.integers(1, 6), min_size=2, max_size=8).filter(lambda counts: max(counts) > 1))
def test_kinds_weigh_one_half_and_each_person_alike(counts):
    faces = faces_of_counts(counts)
    pairs = every_pair(faces)
    assert pairs.weights[pairs.same].sum() == pytest.approx(0.5)
    assert pairs.weights[~pairs.same].sum() == pytest.approx(0.5)
    assert len(np.unique(pairs.weights[~pairs.same])) == 1
    shares = np.bincount(faces.labels[pairs.left[pairs.same]], pairs.weights[pairs.same])
    shares = shares[shares > 0]
    assert len(shares) == sum(n > 1 for n in counts)
    np.testing.assert_allclose(shares, 0.5 / len(shares))


def test_different_pairs_are_distinct_and_drawn_person_first():
    counts = [400] + [2] * 40 + [1] * 159
    faces = faces_of_counts(counts)
    pairs = every_pair(faces)
    faces.with_pairs(pairs)
    assert (~pairs.same).sum() == 10_000
    assert len(keys_of(pairs)) == len(pairs)
    of_person = np.bincount(
        faces.labels[np.append(pairs.left, pairs.right)[np.tile(~pairs.same, 2)]]
    )
    # Uniform over images, the first person would stand in 400 / 639 of the pairs' ends.
    # Rarely drawn twice, it stands in a little more than its share of 100 among 200 people.
    assert 80 < of_person[0] < 260
    again = every_pair(faces)
    for field in ("left", "right", "same", "weights"):
        np.testing.assert_array_equal(getattr(pairs, field), getattr(again, field))


@pytest.mark.parametrize("n_people", [141, 142])
def test_all_different_pairs_are_there_until_there_are_more_than_ten_thousand(n_people):
    pairs = every_pair(faces_of_counts([1] * n_people))
    assert len(keys_of(pairs)) == len(pairs) == min(n_people * (n_people - 1) // 2, 10_000)


def test_every_pair_takes_name_and_role_of_the_pairs_that_are_there():
    faces = faces_of_counts([2, 2])
    assert (every_pair(faces).name, every_pair(faces).role) == ("every pair", "")
    faces = faces.with_pairs(
        Pairs([0], [1], [faces.labels[0] == faces.labels[1]], None, "dev", "dev")
    )
    assert (every_pair(faces).name, every_pair(faces).role) == ("dev", "dev")


def test_every_pair_of_many_people_is_drawn_without_a_loop_over_pairs():
    faces = faces_of_counts([30] * 20 + [2] * 220 + [1] * 360)  # 600 people, 1,400 images
    assert len(faces) == 1400
    start = process_time()  # of this process alone, whatever else the machine does
    every_pair(faces)
    assert process_time() - start < 1


def test_a_threshold_is_chosen_on_every_pair_unless_others_are_given():
    rng = np.random.default_rng(0)
    faces = faces_of_counts([12, 2, 2, 2, 1])
    x = rng.normal(size=(5, 4))[faces.labels] + 0.7 * rng.normal(size=(len(faces), 4))
    pairs = every_pair(faces)
    threshold = fit_threshold(x, faces)
    assert threshold == fit_threshold(x, faces, pairs)
    d = distances(x, pairs).astype(float)

    def accuracy(t):
        return pairs.weights[(d < t) == pairs.same].sum()

    candidates = Sweep(d, pairs.same).thresholds
    assert accuracy(threshold.value) == pytest.approx(max(map(accuracy, candidates)))
    assert threshold != fit_threshold(x, faces, replace(pairs, weights=None))


def test_people_outside_the_pairs_do_not_count_as_tested():
    faces = make_faces(3, 2, Pairs([0, 0], [1, 2], [True, False]))
    x = np.random.default_rng(0).normal(size=(6, 4))
    threshold = fit_threshold(x, faces, faces.pairs)
    assert threshold.people == {"A_0", "A_1"}
    others = faces.with_pairs(Pairs([4], [5], [True], name="test"))
    report = verify(x, others, threshold)
    assert report.image_ids.tolist() == ["A_2_0001", "A_2_0002"]


def test_verify_keeps_pairs_folds_and_ids_in_order():
    pairs = Pairs([5, 0, 3], [0, 1, 2], [False, True, True], [2, 1, 1], name="View 2")
    faces = make_faces(3, 2, pairs)
    x = np.random.default_rng(0).normal(size=(6, 4))
    report = verify(x, faces, 0.9)
    assert report.left_ids.tolist() == ["A_2_0002", "A_0_0001", "A_1_0002"]
    assert report.right_ids.tolist() == ["A_0_0001", "A_0_0002", "A_1_0001"]
    assert report.fold.tolist() == [2, 1, 1]
    assert report.threshold_from == report.rule == "given"
    assert report.threshold == report.f1_threshold == 0.9
    assert report.people.tolist() == [i[:-5] for i in report.image_ids]
    assert report.source == "made-up faces"
    np.testing.assert_array_equal(report.distances, distances(x, pairs))


def test_fitting_refuses_one_kind_of_pairs_no_pairs_and_other_images():
    x, faces = on_circle([0.5, 1.5]), faces_of_pairs([True, False])
    only_same = faces_of_pairs([True, True])
    with pytest.raises(ValueError, match="both kinds of pairs in dev, got 2 same, 0 different"):
        fit_threshold(x, only_same, only_same.pairs)
    with pytest.raises(
        ValueError, match="both kinds of pairs in every pair, got 0 same, 3 different"
    ):
        fit_threshold(np.eye(3), faces_of_counts([1, 1, 1]))
    with pytest.raises(ValueError, match="expected faces with pairs, got none"):
        fit_threshold(np.eye(1), faces_of_counts([1]))
    with pytest.raises(ValueError, match="expected faces with pairs, got none"):
        verify(x, faces.with_pairs(None), 1.0)
    with pytest.raises(ValueError, match="one embedding for each of 4 images, got shape .3, 2."):
        verify(x[:3], faces, 1.0)
    with pytest.raises(ValueError, match="expected `same` as the labels"):
        fit_threshold(x, faces, Pairs([0, 0], [1, 2], [False, True]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": [0.5, np.nan]}, "finite distances"),
        ({"distances": [0.5, -0.1]}, "finite distances"),
        ({"same": [True]}, "one length"),
        ({"threshold": np.nan}, "threshold a finite number, got nan"),
        ({"f1_threshold": np.inf}, "f1_threshold a finite number, got inf"),
        ({"threshold": "0.5"}, "threshold of kind float, got '0.5'"),
        ({"distances": ["0.5", "1"]}, "expected numbers in distances, got <U3"),
        ({"same": [1, 0]}, "expected bool in `same`, got int64"),
        ({"same": ["no", "yes"]}, "expected bool in `same`, got <U3"),
        ({"left": [0, 4]}, "expected left whole numbers from 0 to 3, got 4"),
        ({"right": [-1, 3]}, "expected right whole numbers from 0 to 3, got -1"),
        ({"left": [0.5, 1]}, "expected left whole numbers from 0 to 3, got 0.5"),
        ({"people": ["L0"]}, r"a person for each image, got shapes \(1,\) for \(4,\)"),
        ({"rule": "far of all"}, "expected a rule in .*, got 'far of all'"),
        ({"rule": "dev"}, "expected a rule in .*, got 'dev'"),
        ({"people": ["L0", "L1", "X", "R1"]}, "agree with same, got 1 other pairs, pair 0 first"),
        ({"people": ["L0", "L1", "L0", "L1"]}, "agree with same, got 1 other pairs, pair 1 first"),
    ],
)
def test_a_report_refuses_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message) as error:
        replace(make_report([0.5, 1.5], [True, False]), **change)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="at least 1"):
        make_report([], [])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.intervals(n=0), "expected n a whole number from 1 to 1,000,000, got 0"),
        (lambda r: r.intervals(n=2.5), "expected n a whole number from 1 to 1,000,000, got 2.5"),
        (lambda r: r.intervals(seed=-1), "expected seed a whole number of 0 or more, got -1"),
        (lambda r: r.mistakes(-1), "expected n a whole number of 0 or more, got -1"),
        (lambda r: r.tar_at_far(0), "expected far a finite number from 1e-09 to 1, got 0"),
        (lambda r: r.tar_at_far(np.nan), "expected far a finite number .*, got nan"),
        (lambda r: r.rates(np.full(120, -1)), "a weight of 0 or more for each pair, got -1"),
        (lambda r: r.rates(np.full(120, np.nan)), "a weight of 0 or more .*, got nan"),
        (lambda r: r.rates(np.ones(3)), r"a weight of 0 or more .* in shape \(3,\)"),
        (lambda r: compare(r, 0.5), "expected b of kind Report, got 0.5"),
        (lambda r: compare_all(r, {"a": r}, "tpr"), r"a metric of \['accuracy'.*, got 'tpr'"),
        (lambda r: holm([0.5, 1.5]), r"expected p values from 0 to 1, got \[0.5, 1.5\]"),
        (lambda r: mean_of(["a"]), "expected numbers in values, one per seed, got <U1"),
        (lambda r: mean_of([np.nan, 1]), "expected finite values, one per seed, got nan"),
        (lambda r: difference_of(*2 * [pd.Series(["x"])]), "numbers in a, got (str|object)"),
        (lambda r: replace(r, synthetic="no"), "expected synthetic of kind bool, got 'no'"),
        (lambda r: pool_folds([]), r"expected reports with thresholds above 0, got \[\]"),
        (lambda r: pool_folds([replace(r, threshold=0)]), r"thresholds above 0, got \[0.0"),
        (lambda r: pool_folds([r, replace(r, rule="f1")]), r"one rule chose, got \['f1', 'given'"),
        (lambda r: every_pair("faces"), "expected faces of kind Faces, got 'faces'"),
        (lambda r: verify(np.eye(2), r, 0.5), "expected faces of kind Faces, got Report"),
    ],
)
def test_verification_refuses_what_it_cannot_work_with(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call(random_report(0))
    assert "\n" not in str(error.value)


def test_folds_pooled_on_one_scale_accept_the_pairs_that_each_accepted():
    folds = [replace(random_report(k), threshold=0.5 + 0.2 * k, f1_threshold=0.6) for k in range(3)]
    together = pool_folds(folds)
    assert len(together) == sum(map(len, folds)) and together.name == "View 2 test"
    assert together.threshold == pytest.approx(0.7)
    accepted = np.concatenate([fold.accepted for fold in folds])
    assert 0 < accepted.sum() < len(accepted)
    assert (together.accepted == accepted).all()
    for side in ("left_ids", "right_ids"):
        ids = [image for fold in folds for image in getattr(fold, side)]
        assert list(getattr(together, side)) == ids


def test_folds_pooled_say_by_what_rule_their_thresholds_were_chosen():
    by_eer = {"threshold_from": "FAR nearest to FRR and best F1 on dev", "rule": "eer and f1"}
    folds = [replace(random_report(k), **by_eer) for k in range(2)]
    together = pool_folds(folds)
    assert together.rule == "eer and f1"
    assert together.threshold_from == "FAR nearest to FRR and best F1 on dev, mean of 2 folds"
    other = replace(folds[1], threshold_from="read from a table on page 2")
    words = pool_folds([folds[0], other, folds[0]]).threshold_from
    assert words == f"{folds[0].threshold_from} / {other.threshold_from}, mean of 3 folds"
    assert pool_folds([random_report(0)]).threshold_from == "given, mean of 1 folds"


@pytest.mark.parametrize("seed", range(20))
def test_distances_on_a_threshold_stay_on_their_side_when_folds_are_pooled(seed):
    folds = []
    for threshold in np.random.default_rng(seed).uniform(0.5, 1.5, 2).round(2):
        first = np.float32(threshold)
        near = [np.nextafter(first, np.float32(0)), first, np.nextafter(first, np.float32(2))]
        d = np.tile(near, 40)
        folds.append(replace(random_report(0), distances=d, threshold=threshold))
    accepted = np.concatenate([fold.accepted for fold in folds])
    assert (pool_folds(folds).accepted == accepted).all()


def test_a_mask_of_pairs_weighs_them():
    report = random_report(0)
    mask = np.arange(len(report)) % 3 == 0
    for metric, rate in report.rates(mask).items():
        np.testing.assert_equal(rate, report.rates(mask.astype(int))[metric])


def test_a_tensor_of_embeddings_is_measured_as_its_array():
    x = np.random.default_rng(0).normal(size=(4, 3))
    pairs = Pairs([0, 1], [2, 3], [True, False])
    assert (distances(torch.from_numpy(x), pairs) == distances(x, pairs)).all()


def test_counts_without_a_sign_differ_as_numbers_do():
    a, b = (pd.Series(values, dtype="uint8") for values in ([1, 2], [3, 4]))
    assert difference_of(a, b).value == -2


@pytest.mark.parametrize("n", [49, 98, 103])
def test_a_far_of_one_in_n_needs_n_different_pairs(n):
    same = np.arange(n + 1) == 0
    ids = [f"P_{k:04d}" for k in range(n + 2)]
    people = ["P", "P", *ids[2:]]
    d = np.linspace(0.1, 1, n + 1)
    ends = np.zeros(n + 1), np.arange(n + 1) + 1
    report = Report(d, same, np.zeros(n + 1), *ends, ids, people, 0.5)
    assert report.tar_at_far(1 / n) == 1
    assert report.refusal(0.99 / n)


# Intervals


def naive_people_bootstrap(report, n, seed):
    """Write out every resample as a list of pairs and measure it with sklearn."""
    people = sorted({i[:-5] for i in [*report.left_ids, *report.right_ids]})
    rng = np.random.default_rng(seed)
    out = {"auc": [], "accuracy": [], "far": []}
    for _ in range(n):
        drawn = [people[k] for k in rng.integers(len(people), size=len(people))]
        kept = []
        for p, (a, b) in enumerate(zip(report.left_ids, report.right_ids, strict=True)):
            times = drawn.count(a[:-5])
            times *= 1 if report.same[p] else drawn.count(b[:-5])
            kept += [p] * times
        same, d = report.same[kept], report.distances[kept]
        both = 0 < same.sum() < len(same)
        out["auc"].append(sk.roc_auc_score(same, -d) if both else np.nan)
        out["accuracy"].append(np.mean((d < report.threshold) == same) if kept else np.nan)
        out["far"].append(np.mean(d[~same] < report.threshold) if (~same).any() else np.nan)
    return {k: tuple(np.nanpercentile(v, [2.5, 97.5])) for k, v in out.items()}


@pytest.mark.parametrize("levels", [None, 6])
def test_intervals_equal_resamples_written_out_pair_by_pair(levels):
    report = random_report(1, n_people=30, n_pairs=90, levels=levels)
    expected = naive_people_bootstrap(report, n=300, seed=5)
    got = report.intervals(n=300, seed=5)
    for metric, interval in expected.items():
        assert got[metric] == pytest.approx(interval, abs=1e-12)


def test_every_rate_of_a_weighted_resample_equals_that_of_its_repeated_pairs():
    report = random_report(2, levels=12)
    weights = np.random.default_rng(0).integers(0, 4, size=(20, len(report))).astype(np.int32)
    got = report.rates(weights)
    for r, w in enumerate(weights):
        per_pair = ("distances", "same", "fold", "left", "right", "known_errors")
        repeated = {k: np.repeat(getattr(report, k), w) for k in per_pair}
        expected = replace(report, **repeated).metrics()
        for metric, values in got.items():
            if metric not in FARS:  # refused for so few pairs
                assert values[r] == pytest.approx(expected[metric], abs=1e-12)


def test_tar_intervals_equal_those_of_repeated_pairs():
    report = random_report(3, n_pairs=600)
    weights = np.random.default_rng(0).integers(0, 3, size=(10, 600)).astype(np.int32)
    got = report.rates(weights)["tar_at_far_1%"]
    for value, w in zip(got, weights, strict=True):
        d, same = np.repeat(report.distances, w), np.repeat(report.same, w)
        far, tar, _ = sk.roc_curve(same, -d, drop_intermediate=False)
        assert value == pytest.approx(tar[far <= 0.01].max(), abs=1e-12)


def test_people_bootstrap_is_wider_than_pairs_bootstrap_on_dependent_pairs():
    report = random_report(4, n_people=25, n_pairs=800)
    low, high = report.intervals(n=400)["auc"]
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(report), size=(400, len(report)))
    aucs = [sk.roc_auc_score(report.same[i], -report.distances[i]) for i in drawn]
    pairs_low, pairs_high = np.percentile(aucs, [2.5, 97.5])
    assert high - low > 1.2 * (pairs_high - pairs_low)


def test_people_intervals_hold_the_truth_about_as_often_as_they_say():
    # The AUC of very many such people, then the intervals of small samples of them.
    truth = np.mean([random_report(s, 200, 4000).metrics()["auc"] for s in range(100, 120)])
    inside = 0
    for seed in range(100):
        low, high = random_report(seed, n_people=40, n_pairs=200).intervals(n=200)["auc"]
        inside += low <= truth <= high
    assert inside >= 88


def test_resamples_come_from_the_seed_and_not_from_how_they_are_chunked():
    report = random_report(5)  # 120 pairs: chunks of 2,083 resamples
    assert [len(w) for w in resampled_weights(report, 2_100, 1)] == [2_083, 17]
    (short,), (long,) = resampled_rates([report], 2_100, 1), resampled_rates([report], 4_000, 1)
    np.testing.assert_array_equal(short["auc"], long["auc"][:2_100])
    np.testing.assert_equal(report.intervals(n=50, seed=1), report.intervals(n=50, seed=1))
    assert report.intervals(n=50, seed=1) != report.intervals(n=50, seed=2)


def test_table_holds_metrics_and_intervals():
    report = make_report([0.4, 0.5, 1.5, 1.6], [True, True, False, False])
    table = report.table(n=200, seed=3)
    assert list(table.columns) == ["metric", "value", "low", "high", "note"]
    intervals = report.intervals(n=200, seed=3)
    for row in table.itertuples():
        assert row.value == pytest.approx(report.metrics()[row.metric], nan_ok=True)
        assert (row.low, row.high) == pytest.approx(intervals[row.metric], nan_ok=True)
    low, high, note = table.set_index("metric").loc["auc", ["low", "high", "note"]]
    assert (low, high) == (pytest.approx(np.sqrt(0.025)), 1)  # two same and two different pairs
    assert note == "only 2 independent pairs"


@pytest.mark.parametrize(("n_same", "n_different"), [(4, 4), (600, 999), (0, 1200)])
def test_the_table_shows_every_column_in_a_terminal_of_80(n_same, n_different):
    same = np.repeat([True, False], [n_same, n_different])
    table = make_report(np.linspace(0.3, 1.7, len(same)), same).table(n=20)
    assert table["note"].str.len().max() > 10
    with pd.option_context("display.width", 80, "display.max_columns", 0):  # of a terminal
        shown = repr(table)
    assert "..." not in shown and max(map(len, shown.splitlines())) < 80
    refused = table["metric"].eq("tar_at_far_0.1%") & table["value"].isna()
    lacks = "no same pairs" if not n_same else f"too few: {n_different} of 1,000 needed"
    assert table.loc[refused, "note"].tolist() == [lacks]


@given(st.integers(0, 40), st.integers(0, 40))
def test_exact_intervals_are_clopper_and_pearsons(hits, misses):
    n = hits + misses
    rate = hits / n if n else 0.0
    expected = stats.binomtest(hits, n).proportion_ci(0.95, "exact") if n else (0, 1)
    assert exact("far", rate, n) == pytest.approx(tuple(expected), abs=1e-9)
    j = np.array(expected)
    f1 = exact("f1", 2 * rate / (1 + rate), n)
    assert f1 == pytest.approx(tuple(2 * j / (1 + j)), abs=1e-9)


def test_no_errors_among_n_people_are_no_certainty():
    report = make_report(np.repeat([0.5, 1.5], [30, 20]), np.repeat([True, False], [30, 20]))
    got = report.intervals(n=50)
    assert got["frr"] == (0, pytest.approx(1 - 0.025 ** (1 / 30)))
    assert got["far"] == (0, pytest.approx(1 - 0.025 ** (1 / 20)))
    assert got["accuracy"] == (pytest.approx(0.025 ** (1 / 50)), 1)
    assert got["auc"] == (pytest.approx(0.025 ** (1 / 20)), 1)
    for metric, (low, high) in got.items():
        value = report.metrics()[metric]
        assert np.isnan(value) or (low <= value <= high and high - low > 0.05)


def test_pairs_of_the_same_people_are_one_trial():
    # Twenty pairs of one person and thirty of two others: one independent pair of each kind.
    same = np.repeat([True, False], [20, 30])
    left = np.repeat([0, 1], [20, 30])
    right = np.where(same, 0, 2)
    d = np.where(np.arange(50) % 2, 0.5, 1.5)
    report = Report(d, same, np.zeros(50), left, right, ["a", "b", "c"], ["a", "b", "c"], 1.0)
    assert report.n_independent() | {"precision": 0} == {
        "accuracy": 2,
        "f1": 1,
        "precision": 0,
        "recall": 1,
        "far": 1,
        "frr": 1,
        "auc": 1,
        "eer": 1,
        "tar_at_far_1%": 1,
        "tar_at_far_0.1%": 1,
    }
    low, high = report.intervals(n=100)["frr"]  # a bootstrap of one person has no width
    assert high - low > 0.9


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
def test_independent_pairs_share_nobody_and_no_more_can_be_added(ends):
    left, right = np.array(ends).T
    same, n = left == right, len(left)
    people = [f"P{k}" for k in range(10)]
    report = Report(np.ones(n), same, np.zeros(n), left, right, people, people, 1.0)
    for kind in (same, ~same):
        met = [{a, b} for a, b in zip(left[kind], right[kind], strict=True)]
        chosen = report.independent[kind]
        used = [person for pair, is_in in zip(met, chosen, strict=True) if is_in for person in pair]
        assert len(used) == len(set(used))
        assert all(pair & set(used) for pair in met)


@pytest.mark.parametrize("names", ["alice{}", "a/{}.jpg", "{}"])
def test_intervals_rest_on_people_and_not_on_how_images_are_called(names):
    report = random_report(1, n_people=40, n_pairs=200)
    called = [names.format(k) for k in range(len(report.image_ids))]
    other = replace(report, image_ids=called)
    assert other.table(n=60).equals(report.table(n=60))
    with pytest.raises(ValueError, match="expected people who agree with same, got"):
        replace(report, people=called)


@pytest.mark.parametrize("n", [1, 2, 9])
def test_a_few_pairs_do_not_tell_two_networks_apart(n):
    same = np.tile([True, False], n)
    worse = make_report(np.where(same, 1.2, 0.8), same)
    better = make_report(np.where(same, 0.5, 1.5), same)
    rows = compare(worse, better, n=100).table.set_index("metric")
    assert rows.loc["auc", "difference"] == 1
    assert rows.loc["auc", ["low", "high", "p", "error"]].isna().all()
    assert rows.loc["auc", "note"] == f"needs 10 independent pairs, got {n}"


# Mistakes, files, folds, comparison


def test_mistakes_lists_the_nearest_different_and_the_farthest_same_pairs():
    d = [0.2, 0.9, 0.3, 0.4, 1.5, 1.2, 1.9, 1.3]
    same = np.array([True, True, False, False, True, True, False, True])
    mistakes = make_report(d, same, threshold=1.0).mistakes(2)
    assert mistakes["kind"].tolist() == ["false accept"] * 2 + ["false reject"] * 2
    assert mistakes["pair"].tolist() == [2, 3, 4, 7]
    assert mistakes["left_id"].tolist() == ["L2_0001", "L3_0001", "L4_0001", "L7_0001"]
    assert mistakes["right_id"].tolist() == ["R2_0001", "R3_0001", "L4_0002", "L7_0002"]
    assert make_report([0.5, 1.5], [True, False]).mistakes(5).empty


def test_files_are_named_where_they_lie_as_in_lfw_and_else_the_ids_stay():
    report = make_report([0.2, 1.5], [False, True], source="a set of my own")
    assert report.mistakes()["right_file"].tolist() == ["R0/R0_0001.jpg", "L1/L1_0002.jpg"]
    others = ["a/x.png", "L1_x_0001", "R0_1", "c/c_0001"]  # of load_faces, or called otherwise
    assert replace(report, image_ids=others).files.tolist() == others


def test_a_saved_report_comes_back_whole_without_pickle(tmp_path):
    report = replace(
        random_report(6),
        name="View 1 test",
        role="test",
        source="gesichter é",
        threshold=1 / 3,
        f1_threshold=2 / 3,
        rule="accuracy and f1",
        synthetic=True,
        seen="people it was trained on",
    )
    report.save(tmp_path / "report")  # and by no other name
    (tmp_path / "report").rename(tmp_path / "report.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["report.npz"]
    back = Report.load(tmp_path / "report.npz")
    with np.load(tmp_path / "report.npz") as file:
        assert set(file.files) == {field.name for field in fields(Report)}
    for field in Report.__dataclass_fields__:
        before, after = getattr(report, field), getattr(back, field)
        np.testing.assert_array_equal(before, after)
        assert type(before) is type(after)
        assert np.asarray(before).dtype.kind == np.asarray(after).dtype.kind != "O"
    assert back.metrics() == pytest.approx(report.metrics(), nan_ok=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"synthetic": np.array([True, False])}, "expected synthetic of kind bool, got"),
        ({"source": None}, "expected source of kind str, got None"),
        ({"rule": np.array(["f1"])}, "expected rule of kind str"),
        ({"distances": np.full(6, 1e300)}, "expected finite distances from 0 to 3.4.*, got 1e"),
        ({"image_ids": np.full((24, 2), "a"), "people": np.full((24, 2), "a")}, "for each image"),
    ],
)
def test_a_report_refuses_fields_of_another_kind(change, message):
    with pytest.raises(ValueError, match=message):
        replace(random_report(6), **change)


def test_a_file_that_is_no_report_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    no_report = "other.npz: expected a report of tested pairs, got .*; delete it"
    random_report(6).save(path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 3] ^= 255
    for content in (b"", whole[:500], whole[:-9], bytes(flipped), b"distances"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=no_report):
            Report.load(path)
    np.savez(path, distances=np.ones(3))
    with pytest.raises(ValueError, match=r"expected \['distances', 'f1_threshold'"):
        Report.load(path)
    path.write_bytes(b"no zip")
    with pytest.raises(ValueError, match="got ValueError.'expected an .npz file, got another'"):
        Report.load(path)  # and no advice to load it as a pickle
    np.save(tmp_path / "other.npy", np.ones(3))
    (tmp_path / "other.npy").rename(path)
    with pytest.raises(ValueError, match=no_report):
        Report.load(path)
    with pytest.raises(FileNotFoundError, match="none.npz"):
        Report.load(tmp_path / "none.npz")


def test_a_file_that_unpacks_to_far_more_than_itself_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "AT_LEAST", 1_000_000)
    np.savez_compressed(tmp_path / "bomb.npz", distances=np.zeros(10_000_000, np.uint8))
    with pytest.raises(ValueError, match="expected arrays of at most 1,000,000 bytes, got 10,000,"):
        Report.load(tmp_path / "bomb.npz")


def test_view_2_is_the_mean_over_folds_with_its_standard_error():
    reports = [
        replace(random_report(f), fold=np.full(120, f), threshold=0.8 + f / 100) for f in range(10)
    ]
    mean, error, table = over_folds(reports)
    accuracy = [((r.distances < r.threshold) == r.same).mean() for r in reports]
    assert mean == pytest.approx(np.mean(accuracy))
    assert error == pytest.approx(np.sqrt(np.var(accuracy) * 10 / 9 / 10))
    assert table["fold"].tolist() == list(range(10))
    assert table["threshold"].tolist() == [r.threshold for r in reports]
    assert table["accuracy"].tolist() == accuracy
    with pytest.raises(ValueError, match=r"got folds \[\[0\], \[0\]\]"):
        over_folds([reports[0], reports[0]])
    with pytest.raises(ValueError, match=r"got folds \[\[0\]\]"):
        over_folds(reports[:1])
    with pytest.raises(ValueError, match="one fold each"):
        over_folds([replace(reports[0], fold=np.arange(120) % 2), reports[2]])
    with pytest.raises(ValueError, match=r"one rule chose, got \['f1', 'given'\]"):
        over_folds([reports[0], replace(reports[1], rule="f1")])


def test_a_report_compared_with_itself_differs_in_nothing():
    report = random_report(7, n_people=40, n_pairs=200)
    table = compare(report, report, n=100).table
    defined = table[table["metric"] != "tar_at_far_0.1%"].dropna()
    assert len(defined) == 9
    assert (defined[["difference", "low", "high"]] == 0).all(axis=None)
    assert (defined["p"] == 1).all()
    refused = table.set_index("metric").loc["tar_at_far_0.1%"]
    assert refused["n"] == 0
    assert refused.drop(["n", "note"]).isna().all()


def test_compare_sees_a_better_network_and_its_interval_is_narrower_than_unpaired():
    worse = random_report(8, n_people=40, n_pairs=600)
    better = replace(worse, distances=np.maximum(worse.distances - 0.25 * worse.same, 0))
    rows = compare(worse, better, n=400, seed=1).table.set_index("metric")
    assert rows.loc["auc", "difference"] == pytest.approx(
        better.metrics()["auc"] - worse.metrics()["auc"]
    )
    assert rows.loc["auc", "low"] > 0
    assert rows.loc["auc", "p"] == pytest.approx(2 / 401)
    alone = [r.intervals(n=400, seed=1)["auc"] for r in (worse, better)]
    unpaired = np.hypot(*[high - low for low, high in alone])
    assert rows.loc["auc", "high"] - rows.loc["auc", "low"] < 0.9 * unpaired
    back = compare(better, worse, n=400, seed=1).table.set_index("metric")
    assert back.loc["auc", "low"] == pytest.approx(-rows.loc["auc", "high"])
    assert back.loc["auc", "p"] == rows.loc["auc", "p"]
    first, default = compare(worse, better, 400, 0).table, compare(worse, better, 400).table
    pd.testing.assert_frame_equal(first, default)  # numbers in prose are those of seed 0


def test_compare_refuses_other_pairs():
    report = random_report(9)
    swapped = replace(report, left=report.right, right=report.left)
    with pytest.raises(ValueError, match="expected the same pairs in the same order"):
        compare(report, swapped)
    with pytest.raises(ValueError, match="expected the same pairs .* 120 pairs, .* 2 pairs"):
        compare(report, make_report([0.5, 1.5], [True, False]))


def test_an_estimate_of_a_comparison_is_its_row():
    a, b = random_report(10, 40, 200), random_report(10, 40, 200, shift=0.6)
    found = compare(a, b, n=200, seed=4)
    estimate = found.estimate("auc")
    drawn_a, drawn_b = resampled_rates([a, b], 200, 4)
    drawn = drawn_b["auc"] - drawn_a["auc"]
    assert estimate.value == b.metrics()["auc"] - a.metrics()["auc"]
    assert [estimate.low, estimate.high] == np.percentile(drawn, [2.5, 97.5]).tolist()
    assert estimate.error == pytest.approx(drawn.std(ddof=1))
    assert estimate.n == 200
    with pytest.raises(KeyError):
        found.estimate("tpr")


def test_comparing_many_corrects_for_their_number_and_draws_often_enough():
    reference = random_report(11, n_people=40, n_pairs=200)
    better = replace(reference, distances=np.maximum(reference.distances - 0.6 * reference.same, 0))
    reports = {f"equal {k}": reference for k in range(6)} | {"better": better}
    table = compare_all(reference, reports)
    assert table.columns.tolist() == ["method", "difference", "low", "high", "p", "p_holm"]
    rows = table.set_index("method")
    # Seven comparisons: 2,800 resamples, so that the smallest p stays below 0.005 after Holm.
    assert rows.loc["better", "p"] == 2 / 2801
    assert rows.loc["better", "p_holm"] == 7 * 2 / 2801 < 0.005
    assert (rows.drop("better")[["p", "p_holm"]] == 1).all(axis=None)
    pair = compare(reference, better, n=2800).table.set_index("metric").loc["auc"]
    for column in ("difference", "low", "high", "p"):
        assert rows.loc["better", column] == pair[column]
    one = compare_all(reference, {"better": better}, metric="accuracy", seed=3)
    pair = compare(reference, better, n=2000, seed=3).table.set_index("metric")
    assert one["low"][0] == pair.loc["accuracy", "low"]
    with pytest.raises(ValueError, match="at least one report"):
        compare_all(reference, {})
    with pytest.raises(ValueError, match="expected the same pairs .* 200 pairs, .* 2 pairs"):
        compare_all(reference, {"other": make_report([0.5, 1.5], [True, False])})


def test_equal_distances_on_equal_pairs_are_the_same_result():
    report = random_report(12)
    assert same_result(report, replace(report, threshold=0.1, name="other"))
    nearer = np.nextafter(report.distances, np.float32(0))
    assert not same_result(report, replace(report, distances=nearer))
    assert not same_result(report, replace(report, left=report.right, right=report.left))
    assert not same_result(report, make_report([0.5, 1.5], [True, False]))


# Estimates over seeds


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=10))
def test_a_mean_over_seeds_has_the_interval_of_students_t(values):
    estimate = mean_of(values)
    n = len(values)
    error = np.sqrt(sum((v - np.mean(values)) ** 2 for v in values) / (n - 1) / n)
    assert estimate.value == pytest.approx(np.mean(values))
    assert estimate.error == pytest.approx(error, abs=1e-12)
    assert estimate.high - estimate.value == pytest.approx(
        stats.t.ppf(0.975, n - 1) * error, abs=1e-9
    )
    assert estimate.value - estimate.low == pytest.approx(estimate.high - estimate.value, abs=1e-9)
    assert estimate.n == n


def test_differences_are_paired_by_seed_as_in_the_paired_t_test():
    a, b = np.array([0.81, 0.84, 0.79, 0.86]), np.array([0.80, 0.82, 0.79, 0.83])
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    estimate = difference_of(a, b)
    assert estimate.value == pytest.approx(np.mean(a - b))
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high))
    by_seed = pd.Series(a, [0, 1, 2, 3])
    mixed = pd.Series([*b[::-1], 9.0], [3, 2, 1, 0, 7])
    assert difference_of(by_seed, mixed) == pytest.approx(estimate)
    assert difference_of(mixed, by_seed).value == pytest.approx(-estimate.value)


def test_a_rate_that_is_undefined_for_every_seed_has_an_undefined_mean():
    assert np.isnan(mean_of([np.nan, np.nan])[:4]).all()


def test_one_seed_says_nothing_of_how_sure_it_is():
    for estimate in (mean_of([0.5]), difference_of([0.75], [0.25])):
        assert (estimate.value, estimate.n) == (0.5, 1)
        assert np.isnan([estimate.low, estimate.high, estimate.error]).all()


def test_estimates_refuse_what_cannot_be_paired():
    with pytest.raises(ValueError, match=r"at least 1, got shape \(0,\)"):
        mean_of([])
    with pytest.raises(ValueError, match="expected b of shape \\(1,\\), got shape \\(2,\\)"):
        difference_of([0.5], [0.5, 0.6])
    with pytest.raises(ValueError, match=r"common seeds, each seed once, got \[0\] and \[1\]"):
        difference_of(pd.Series([0.5], [0]), pd.Series([0.5], [1]))
    with pytest.raises(ValueError, match=r"each seed once, got \[0, 0\]"):
        difference_of(pd.Series([0.5, 0.6], [0, 0]), pd.Series([0.5], [0]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_steps_down_from_the_smallest_p(p):
    got = holm(p)
    largest = 0.0
    for rank, k in enumerate(sorted(range(len(p)), key=lambda k: p[k])):
        largest = max(largest, (len(p) - rank) * p[k])
        assert got[k] == pytest.approx(min(1, largest))


def test_verification_needs_no_network_and_no_figure():
    code = """
import sys, types
package = types.ModuleType("facelab"); package.__path__ = ["facelab"]
sys.modules["facelab"] = package  # without its __init__, which brings everything
from facelab.verification import Report
ids, people = ["A_0001", "A_0002", "B_0001"], ["A", "A", "B"]
report = Report([.5, 1.5], [True, False], [0, 0], [0, 0], [1, 2], ids, people, 1)
report.metrics(), report.intervals(10), repr(report)
print(sorted({"torch", "sklearn", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
