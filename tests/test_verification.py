import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from facelab.faces import Faces, Pairs
from facelab.verification import (
    FARS,
    Report,
    compare,
    distances,
    fit_threshold,
    over_folds,
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
    return Report(d, same, np.zeros(n), np.arange(n), n + np.arange(n), ids, threshold, **more)


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
    ids = [f"P_{k}_{i:04d}" for i in (1, 2) for k in range(n_people)]
    return Report(np.clip(d, 0, 2), same, np.zeros(n_pairs), left, n_people + right, ids, 0.85)


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
    pairs = Pairs(np.zeros(8), np.arange(8), np.ones(8))
    measured = distances(embeddings, pairs)
    assert measured.dtype == np.float32
    np.testing.assert_allclose(measured, 2 * np.sin(a / 2), rtol=1e-6, atol=1e-12)


def test_distances_of_many_pairs_do_not_depend_on_the_blocks_they_are_computed_in():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 3)).astype(np.float32)
    left, right = rng.integers(50, size=(2, 140_000))
    got = distances(x, Pairs(left, right, left == right))
    unit = x / np.linalg.norm(x.astype(float), axis=1, keepdims=True)
    np.testing.assert_allclose(got, np.linalg.norm(unit[left] - unit[right], axis=1), atol=2e-7)
    assert (got[left == right] == 0).all()


@pytest.mark.parametrize(
    ("embeddings", "left", "message"),
    [
        (np.ones(4), 0, r"shape \(n_images, embedding_size\), got float64 of shape \(4,\)"),
        (np.array([["a", "b"], ["c", "d"]]), 0, "expected numbers"),
        ([[1, 0], [0, np.nan]], 0, "1 others, first row 1 of length nan"),
        ([[np.inf, 0], [0, 1]], 0, "1 others, first row 0 of length inf"),
        ([[1, 0], [0, 0]], 0, "1 others, first row 1 of length 0"),
        ([[1, 0], [0, 1]], 2, r"rows in 0..1, got 1..2"),
        ([[1, 0], [0, 1]], -1, r"rows in 0..1, got -1..1"),
    ],
)
def test_distances_refuse_what_has_no_direction_or_no_row(embeddings, left, message):
    with pytest.raises(ValueError, match=message):
        distances(embeddings, Pairs([left], [1], [False]))


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
    auc = make_report(d, same).metrics()["auc"]
    assert auc == pytest.approx(brute_auc(d, same), abs=1e-12)
    assert auc == pytest.approx(sk.roc_auc_score(same, -d), abs=1e-12)


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
    assert "needs 1,000" in table.loc["tar_at_far_0.1%", "note"]
    assert table.loc["tar_at_far_1%", "value"] == 1
    one_more = make_report(np.linspace(0, 2, 1005), np.repeat([True, False], [5, 1000]))
    assert one_more.tar_at_far(0.001) == one_more.metrics()["tar_at_far_0.1%"] == 1


@pytest.mark.parametrize("far", [0, -0.1, 1.5, np.nan])
def test_tar_refuses_a_far_that_is_no_rate(far):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        make_report([0.5, 1.5], [True, False]).tar_at_far(far)


@pytest.mark.parametrize(
    ("d_same", "d_different", "auc", "eer", "accuracy"),
    [(0.5, 1.5, 1.0, 0.0, 1.0), (1.5, 0.5, 0.0, 1.0, 0.0), (0.7, 0.7, 0.5, 0.5, 0.5)],
    ids=["perfect", "inverted", "constant"],
)
def test_oracles_score_what_they_must(d_same, d_different, auc, eer, accuracy):
    same = np.repeat([True, False], 150)
    m = make_report(np.where(same, d_same, d_different), same, threshold=1.0).metrics()
    assert (m["auc"], m["eer"], m["accuracy"]) == (auc, eer, accuracy)
    assert m["tar_at_far_1%"] == (1.0 if auc == 1 else 0.0)


def test_one_kind_of_pairs_leaves_the_other_kinds_rates_undefined():
    only_same = make_report([0.5, 1.5], [True, True]).metrics()
    only_different = make_report([0.5, 1.5], [False, False]).metrics()
    assert only_same["recall"] == only_same["accuracy"] == 0.5
    assert only_different["far"] == 0.5
    for undefined in ("auc", "eer", *FARS):
        assert np.isnan(only_same[undefined])
        assert np.isnan(only_different[undefined])
    assert make_report([0.5], [True]).table(n=10)["note"].str.contains("needs").sum() == 2


def test_a_threshold_between_neighbouring_float32_distances_separates_them():
    low = np.float32(0.7)
    high = np.nextafter(low, np.float32(2))
    report = make_report([low, high], [True, False])
    middle = report.roc()["threshold"][1]
    assert float(low) < middle < float(high)
    held = replace(report, threshold=float(middle))
    assert held.accepted.tolist() == (held.distances < held.threshold).tolist() == [True, False]
    assert held.metrics()["accuracy"] == 1.0


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
    pairs = Pairs(rows[::2], rows[1::2], same, name=name)
    packed = np.zeros((len(rows), 3, 1, 1), np.uint8)
    return Faces(packed, rows, labels, names, numbers, "made-up faces", pairs)


@given(both_kinds, st.sampled_from(["f1", "accuracy"]))
@settings(max_examples=60)
def test_fitted_threshold_is_the_first_best_candidate_of_a_loop(pairs, by):
    levels, same = pairs
    embeddings, faces = on_circle(levels), faces_of_pairs(same)
    d = distances(embeddings, faces.pairs)
    scores = []
    for t, tp, fp in brute_curve(d, same):
        fn, tn = same.sum() - tp, (~same).sum() - fp
        scores.append((2 * tp / (2 * tp + fp + fn) if by == "f1" else (tp + tn) / len(d), t))
    best = max(score for score, _ in scores)
    strictest = min(t for score, t in scores if score == best)
    threshold = fit_threshold(embeddings, faces, by)
    assert threshold.value == pytest.approx(strictest, abs=1e-8)
    assert (threshold.by, threshold.n_pairs) == (by, len(d))


def test_among_equally_good_thresholds_the_strictest_wins():
    # Accepting one same pair, or that and a different and a same pair: 2 of 3 right either way.
    faces = faces_of_pairs([True, False, True])
    threshold = fit_threshold(on_circle([0.2, 0.6, 1.0]), faces, "accuracy")
    assert threshold.value == pytest.approx(0.4)
    assert fit_threshold(on_circle([0.2, 0.6, 1.0]), faces, "f1").value > 1.0


def test_a_hopeless_network_gets_the_threshold_that_accepts_nothing_by_accuracy():
    faces = faces_of_pairs([False, True])
    threshold = fit_threshold(on_circle([0.5, 1.5]), faces, "accuracy")
    assert 0.49 < threshold.value < distances(on_circle([0.5, 1.5]), faces.pairs)[0]


def test_threshold_never_sees_tested_people():
    dev, test = faces_of_pairs([True, False], "A"), faces_of_pairs([True, False], "B", "test")
    x = on_circle([0.5, 1.5])
    threshold = fit_threshold(x, dev)
    assert threshold.people == {"A_0", "A_1", "A_2"}
    assert "0.99" < repr(threshold)[10:] < "1.01"
    assert len(repr(threshold)) < 120
    report = verify(x, test, threshold)
    assert (report.threshold_from, report.name) == ("best F1 on dev", "test")
    with pytest.raises(ValueError, match=r"3 of the 3 people tested chose it, A_0 first"):
        verify(x, dev, threshold)
    one_shared = replace(test, names=("B_0", "A_2", "B_2"))
    with pytest.raises(ValueError, match=r"1 of the 3 people tested chose it, A_2 first"):
        verify(x, one_shared, threshold)


def test_a_report_on_seen_people_says_so_in_its_source():
    dev = faces_of_pairs([True, False])
    x = on_circle([0.5, 1.5])
    report = verify(x, dev, fit_threshold(x, dev), seen="people it was trained on")
    assert report.source == "made-up faces, people it was trained on"
    assert "people it was trained on" in repr(report)


def test_people_outside_the_pairs_do_not_count_as_tested():
    faces = make_faces(3, 2, Pairs([0, 0], [1, 2], [True, False]))
    x = np.random.default_rng(0).normal(size=(6, 4))
    threshold = fit_threshold(x, faces)
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
    assert report.threshold_from == "given"
    assert report.source == "made-up faces"
    np.testing.assert_array_equal(report.distances, distances(x, pairs))


def test_fitting_refuses_one_kind_of_pairs_no_pairs_and_other_aims():
    x = on_circle([0.5, 1.5])
    with pytest.raises(ValueError, match="dev: expected both kinds, got 2 same, 0 different"):
        fit_threshold(x, faces_of_pairs([True, True]))
    with pytest.raises(ValueError, match="expected faces with pairs, got none"):
        fit_threshold(x, faces_of_pairs([True, False]).with_pairs(None))
    with pytest.raises(ValueError, match="one embedding for each of 4 images, got 3"):
        verify(x[:3], faces_of_pairs([True, False]), 1.0)
    with pytest.raises(ValueError, match="by='f1' or by='accuracy', got 'auc'"):
        fit_threshold(x, faces_of_pairs([True, False]), "auc")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distances": [0.5, np.nan]}, "finite distances"),
        ({"distances": [0.5, -0.1]}, "finite distances"),
        ({"same": [True]}, "one length"),
        ({"threshold": np.nan}, "finite threshold, got nan"),
        ({"left": [0, 4]}, r"rows in 0..3, got 0..4"),
    ],
)
def test_a_report_refuses_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        replace(make_report([0.5, 1.5], [True, False]), **change)
    with pytest.raises(ValueError, match="at least 1"):
        make_report([], [])


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
    report = random_report(1, n_people=9, n_pairs=60, levels=levels)
    expected = naive_people_bootstrap(report, n=300, seed=5)
    got = report.intervals(n=300, seed=5)
    for metric, interval in expected.items():
        assert got[metric] == pytest.approx(interval, abs=1e-12)


def test_every_rate_of_a_weighted_resample_equals_that_of_its_repeated_pairs():
    from facelab.verification import _measure, _sweep

    report = random_report(2, levels=12)
    weights = np.random.default_rng(0).integers(0, 4, size=(20, len(report))).astype(np.int32)
    got = _measure(weights, report, _sweep(report.distances))
    for r, w in enumerate(weights):
        per_pair = ("distances", "same", "fold", "left", "right")
        repeated = {k: np.repeat(getattr(report, k), w) for k in per_pair}
        expected = replace(report, **repeated).metrics()
        for metric, values in got.items():
            if metric not in FARS:  # refused for so few pairs
                assert values[r] == pytest.approx(expected[metric], abs=1e-12)


def test_tar_intervals_equal_those_of_repeated_pairs():
    from facelab.verification import _measure, _sweep

    report = random_report(3, n_pairs=600)
    weights = np.random.default_rng(0).integers(0, 3, size=(10, 600)).astype(np.int32)
    got = _measure(weights, report, _sweep(report.distances))["tar_at_far_1%"]
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
    from facelab.verification import _bootstrap

    report = random_report(5)  # 120 pairs: chunks of 2,083 resamples
    (short,), (long,) = _bootstrap(2_100, 1, report), _bootstrap(4_000, 1, report)
    np.testing.assert_array_equal(short["auc"], long["auc"][:2_100])
    assert report.intervals(n=50, seed=1) == report.intervals(n=50, seed=1)
    assert report.intervals(n=50, seed=1) != report.intervals(n=50, seed=2)


def test_table_holds_metrics_and_intervals_and_says_what_was_undefined():
    report = make_report([0.4, 0.5, 1.5, 1.6], [True, True, False, False])
    table = report.table(n=200, seed=3)
    assert list(table.columns) == ["metric", "value", "low", "high", "note"]
    intervals = report.intervals(n=200, seed=3)
    for row in table.itertuples():
        assert row.value == pytest.approx(report.metrics()[row.metric], nan_ok=True)
        assert (row.low, row.high) == pytest.approx(intervals[row.metric], nan_ok=True)
    # Two same pairs of two people among six: often none of them is drawn.
    assert "of 200 resamples" in table.set_index("metric").loc["auc", "note"]


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


def test_a_saved_report_comes_back_whole_without_pickle(tmp_path):
    report = replace(random_report(6), name="View 1 test", source="gesichter é", threshold=1 / 3)
    report.save(tmp_path / "report.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["report.npz"]
    back = Report.load(tmp_path / "report.npz")
    for field in Report.__dataclass_fields__:
        before, after = getattr(report, field), getattr(back, field)
        np.testing.assert_array_equal(before, after)
        assert type(before) is type(after)
        assert np.asarray(before).dtype.kind == np.asarray(after).dtype.kind != "O"
    assert back.metrics() == pytest.approx(report.metrics(), nan_ok=True)


def test_a_file_that_is_no_report_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", distances=np.ones(3))
    with pytest.raises(ValueError, match=r"other.npz: expected \['distances', 'fold'"):
        Report.load(tmp_path / "other.npz")


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


def test_a_report_compared_with_itself_differs_in_nothing():
    report = random_report(7)
    table, only_a, only_b = compare(report, report, n=100)
    assert (only_a, only_b) == (0, 0)
    defined = table[table["metric"] != "tar_at_far_0.1%"].dropna()
    assert (defined[["difference", "low", "high"]] == 0).all(axis=None)
    assert (defined["p"] == 1).all()
    assert table.set_index("metric").loc["tar_at_far_0.1%"].isna().all()


def test_compare_sees_a_better_network_and_its_interval_is_narrower_than_unpaired():
    worse = random_report(8, n_people=40, n_pairs=600)
    better = replace(worse, distances=np.maximum(worse.distances - 0.25 * worse.same, 0))
    table, only_a, only_b = compare(worse, better, n=400, seed=1)
    rows = table.set_index("metric")
    assert rows.loc["auc", "difference"] == pytest.approx(
        better.metrics()["auc"] - worse.metrics()["auc"]
    )
    assert rows.loc["auc", "low"] > 0
    assert rows.loc["auc", "p"] == pytest.approx(2 / 401)
    right = [(r.distances < r.threshold) == r.same for r in (worse, better)]
    assert only_a == sum(x and not y for x, y in zip(*right, strict=True)) == 0
    assert only_b == sum(y and not x for x, y in zip(*right, strict=True)) > 0
    alone = [r.intervals(n=400, seed=1)["auc"] for r in (worse, better)]
    unpaired = np.hypot(*[high - low for low, high in alone])
    assert rows.loc["auc", "high"] - rows.loc["auc", "low"] < 0.9 * unpaired
    back = compare(better, worse, n=400, seed=1).table.set_index("metric")
    assert back.loc["auc", "low"] == pytest.approx(-rows.loc["auc", "high"])
    assert back.loc["auc", "p"] == rows.loc["auc", "p"]


def test_compare_refuses_other_pairs():
    report = random_report(9)
    swapped = replace(report, left=report.right, right=report.left)
    with pytest.raises(ValueError, match="same order, but 120 of 120 differ, pair 0 first"):
        compare(report, swapped)
    with pytest.raises(ValueError, match="expected the same pairs, got 120 and 2"):
        compare(report, make_report([0.5, 1.5], [True, False]))


def test_importing_and_running_verification_needs_numpy_alone():
    code = """
import sys, types
package = types.ModuleType("facelab"); package.__path__ = ["facelab"]
sys.modules["facelab"] = package  # without its __init__, which brings everything
from facelab.verification import Report
report = Report([.5, 1.5], [True, False], [0, 0], [0, 0], [1, 2], ["A_0001", "A_0002", "B_0001"], 1)
report.metrics(), report.intervals(10), repr(report)
print(sorted({"torch", "sklearn", "pandas", "scipy", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


@given(tied, st.sampled_from([np.float16, np.float32, np.float64]), st.booleans())
def test_one_sort_of_integers_counts_as_sorted_pairs_do(pairs, kind, above):
    from facelab.verification import _accepted, _curve, _sweep

    d, same = pairs
    d = np.nextafter(d, np.float32(9)) if above else np.where(d == 0, np.float32(-0.0), d)
    d = d.astype(kind)
    thresholds, tp, fp = _curve(d, same)
    expected = _accepted(np.ones(len(d), np.int64), same, *_sweep(d))
    np.testing.assert_array_equal([tp, fp], expected)
    for t, below in zip(thresholds, tp + fp, strict=True):
        assert (d.astype(float) < t).sum() == below


def test_auc_refuses_distances_below_zero():
    from facelab.verification import auc

    with pytest.raises(ValueError, match="expected distances of 0 or more"):
        auc(np.array([0.5, -0.5]), np.array([True, False]))
