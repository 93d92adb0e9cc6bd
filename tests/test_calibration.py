import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from facelab.faces import Faces, Pairs
from facelab.verification import Calibration, calibrate, cllr, every_pair, verify
from facelab.verification.calibration import GRID, calibrate_report
from facelab.verification.report import OF_PAIRS


def people(n, seed, first="A", per_person=3, spread=0.7):
    """Faces of `n` people and embeddings in which images of one person lie near one another."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n), per_person)
    x = rng.normal(size=(n, 6))[labels] + spread * rng.normal(size=(len(labels), 6))
    names = tuple(f"{first}_{k}" for k in range(n))
    blank = np.zeros((1, 3, 1, 1), np.uint8)
    faces = Faces(blank, np.zeros(len(labels)), labels, names, np.arange(len(labels)))
    return x, faces.with_pairs(every_pair(faces))


def of_kind(report, same):
    """The report's same, or its different pairs alone."""
    kept = report.same == same
    return replace(report, **{name: getattr(report, name)[kept] for name in OF_PAIRS})


@pytest.fixture(scope="module")
def calibration():
    return calibrate(*people(60, 0), n=60)


@pytest.fixture(scope="module")
def strangers():
    return verify(*people(80, 1, "B"), 1.0)


def test_cllr_is_that_of_a_hand_computation():
    same = np.array([True, True, False])
    by_hand = (np.log2(1 + 1 / 4) + np.log2(1 + 1 / 0.5)) / 2 / 2 + np.log2(1 + 0.25) / 2
    assert cllr(np.log([4, 0.5, 0.25]), same) == pytest.approx(by_hand)
    assert cllr(np.zeros(3), same) == 1
    assert cllr(np.array([800.0, 800, -800]), same) == 0
    weighted = cllr(np.log([4, 0.5, 0.25]), same, np.array([3, 1, 7]))
    by_hand = (3 * np.log2(1 + 1 / 4) + np.log2(1 + 1 / 0.5)) / 4 / 2 + np.log2(1 + 0.25) / 2
    assert weighted == pytest.approx(by_hand)


def test_the_ratio_of_two_gaussians_is_found():
    # Distances of 400 pairs of each kind, at the quantiles of N(0.8, 0.2) and N(1.2, 0.2).
    n = 400
    chances = np.random.default_rng(0).permutation((np.arange(n) + 0.5) / n)
    d = np.concatenate([stats.norm(centre, 0.2).ppf(chances) for centre in (0.8, 1.2)])
    angles = np.stack([np.zeros(2 * n), 2 * np.arcsin(d / 2)], 1).ravel()
    labels = np.concatenate([np.repeat(np.arange(n), 2), n + np.arange(2 * n)])
    names = tuple(f"P_{k}" for k in range(3 * n))
    rows = np.arange(4 * n)
    faces = Faces(np.zeros((1, 3, 1, 1), np.uint8), 0 * rows, labels, names, rows)
    pairs = Pairs(rows[::2], rows[1::2], np.arange(2 * n) < n, name="dev")
    x = np.stack([np.cos(angles), np.sin(angles)], 1)
    found = calibrate(x, faces, pairs, n=100)
    inside = (GRID > 0.6) & (GRID < 1.4)
    truth = (1.0 - GRID) * 0.4 / 0.2**2  # log of N(d; 0.8, 0.2) / N(d; 1.2, 0.2)
    assert found.method == "logistic"
    np.testing.assert_allclose(found.log_lr[inside], truth[inside], atol=0.35)
    assert (found.low <= truth)[inside].mean() > 0.9
    assert (found.high >= truth)[inside].mean() > 0.9
    true_cost = cllr((1.0 - d) * 10, pairs.same)
    assert found.cllr["logistic"] == pytest.approx(true_cost, abs=0.02)
    assert found.cllr["before"] > found.cllr["logistic"]


def test_a_nearer_pair_is_never_less_likely_the_same_and_intervals_hold_the_value(calibration):
    table = calibration.how_sure(np.linspace(0, 2, 333))
    assert (table["p_same"].diff().dropna() <= 0).all()
    for value, low, high in (("lr", "lr_low", "lr_high"), ("p_same", "p_low", "p_high")):
        assert (table[low] <= table[value]).all()
        assert (table[value] <= table[high]).all()
        assert (table[low] < table[high]).all()
    np.testing.assert_allclose(table["p_same"], table["lr"] / (1 + table["lr"]))


def test_a_pair_of_weight_three_counts_as_three_such_pairs():
    x, faces = people(30, 3)
    report = verify(x, faces, 1.0)
    weights = np.random.default_rng(0).integers(1, 4, len(report))
    of_pairs = ("distances", "same", "fold", "left", "right", "known_errors")
    several = {name: np.repeat(getattr(report, name), weights) for name in of_pairs}
    weighted = calibrate_report(report, weights.astype(float), n=40)
    repeated = calibrate_report(replace(report, **several), n=40)
    assert weighted.method == repeated.method
    for curve in ("log_lr", "low", "high"):
        one, other = getattr(weighted, curve), getattr(repeated, curve)
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda n: np.ones(n - 1), r"weights of shape \(\d+,\), got shape"),
        (lambda n: np.full(n, np.nan), "finite weights of 0 or more, got nan"),
        (lambda n: np.full(n, -1.0), "finite weights of 0 or more, got -1"),
        (lambda n: np.full(n, "1"), "numbers in weights"),
    ],
)
def test_weights_that_cannot_count_are_refused(weights, message):
    report = verify(*people(8, 3), 1.0)
    with pytest.raises(ValueError, match=message):
        calibrate_report(report, weights(len(report)), n=20)


def test_a_prior_moves_the_odds_and_not_the_ratio(calibration):
    even, rare = calibration.how_sure([0.7]), calibration.how_sure(0.7, prior=0.01)
    assert rare["lr"][0] == even["lr"][0]
    assert rare["p_same"][0] == pytest.approx(even["lr"][0] / (even["lr"][0] + 99))


def test_no_ratio_says_more_than_so_many_people_can_say():
    apart = calibrate(*people(20, 2, spread=0.01), n=40)  # nobody is mistaken for anybody
    table = apart.how_sure([0, 2])
    assert table["lr"].tolist() == pytest.approx([11, 1 / 21])  # of 10 and of 20 pairs
    assert (table["p_high"][0], table["p_low"][1]) == (1, 0)
    assert apart.cllr[apart.method] > 0


def test_held_out_cllr_gets_better_and_the_better_method_is_taken(calibration):
    costs = calibration.cllr
    assert costs[calibration.method] == min(costs["logistic"], costs["isotonic"])
    assert costs[calibration.method] < costs["before"] < 1  # nearer pairs are likelier the same
    assert "Cllr held out" in repr(calibration)


def test_who_is_held_out_is_learned_from_in_no_pair():
    # Four people make two folds of two people, and a pair across them is of neither.
    report = verify(*people(4, 5, per_person=4), 1.0)
    costs = calibrate_report(report, n=20).cllr
    left, right = report.people[report.left], report.people[report.right]
    unmoved = 0
    for one, other in combinations(np.unique(report.people), 2):
        between = ((left == one) & (right == other)) | ((left == other) & (right == one))
        moved = replace(report, distances=np.where(between, 0.1, report.distances))
        unmoved += calibrate_report(moved, n=20).cllr == costs
    assert unmoved == 4


def test_what_was_said_of_strangers_comes_true_as_often_as_said(calibration, strangers):
    table = calibration.reliability(strangers, n=200)
    assert table["pairs"].sum() == len(strangers)
    assert table["predicted"].is_monotonic_increasing
    assert ((table["low"] <= table["observed"]) & (table["observed"] <= table["high"])).all()
    assert table["predicted"].between(table["low"] - 0.03, table["high"] + 0.03).mean() >= 0.8
    before, after = calibration.cllr_on(strangers)
    assert after < before
    # Both are estimates, of 60 and of 80 people.
    assert after == pytest.approx(calibration.cllr[calibration.method], abs=0.2)


def test_observed_shares_are_those_of_a_loop(calibration, strangers):
    table = calibration.reliability(strangers, n_bins=4, n=20)
    p = calibration.how_sure(strangers.distances)["p_same"].to_numpy()
    order = np.quantile(p, [0.25, 0.5, 0.75])
    n_same, n_different = strangers.same.sum(), (~strangers.same).sum()
    for k, row in enumerate(table.itertuples()):
        inside = np.digitize(p, order) == k
        s = (inside & strangers.same).sum() / n_same
        d = (inside & ~strangers.same).sum() / n_different
        assert row.observed == pytest.approx(s / (s + d))


def test_nobody_is_judged_by_those_who_calibrated(calibration):
    own = verify(*people(60, 0), 1.0)
    with pytest.raises(ValueError, match="report on other people, got 60 of the people who .*A_0"):
        calibration.reliability(own)
    assert calibration.cllr_on(replace(own, seen="people who calibrated"))[1] < 1


def test_six_people_are_enough_and_three_are_not():
    few = calibrate(*people(6, 3, per_person=4), n=30)
    wide = few.how_sure(0.8)
    assert wide["p_high"][0] - wide["p_low"][0] > 0.02
    with pytest.raises(ValueError, match="same pairs of 4 people or more, .*, got 3 people and 27"):
        calibrate(*people(3, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_lr": [0.0, 1.0]}, r"expected log_lr of shape \(801,\), got shape \(2,\)"),
        ({"low": "far"}, "expected low a finite number, got 'f'"),
        ({"low": ["x"] * 801}, "expected low a finite number, got 'x'"),
        ({"log_lr": [None] * 801}, "expected log_lr a finite number, got None"),
        ({"cllr": {"before": 0.5}}, "expected logistic a finite number of 0 or more, got None"),
        ({"method": "magic"}, "expected a method of .*, got 'magic'"),
        ({"threshold": "1"}, "expected threshold a finite number, got '1'"),
        ({"people": None}, "expected people a whole number"),
        ({"more": 1}, "expected a calibration with .*, got"),
    ],
)
def test_what_is_no_calibration_is_refused(calibration, change, message):
    with pytest.raises(ValueError, match=message):
        Calibration.of_plain(calibration.as_plain() | change)


def test_a_calibration_is_a_whole_one_or_refused(calibration):
    plain = calibration.as_plain()
    assert Calibration.of_plain(plain).as_plain() == plain
    for other in ([1, 2], {}, {name: plain[name] for name in plain if name != "log_lr"}):
        with pytest.raises(ValueError, match="expected a calibration"):
            Calibration.of_plain(other)


def test_open_ends_of_intervals_come_back_from_json():
    apart = calibrate(*people(20, 2, spread=0.01), n=40)
    again = Calibration.of_plain(json.loads(json.dumps(apart.as_plain(), allow_nan=False)))
    assert np.isneginf(again.low).any() and np.isposinf(again.high).any()
    for curve in ("log_lr", "low", "high"):
        np.testing.assert_allclose(getattr(again, curve), getattr(apart, curve), atol=1e-4)


def test_a_calibration_is_that_of_seed_zero(calibration):
    assert calibrate(*people(60, 0), n=60, seed=0).as_plain() == calibration.as_plain()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, r: c.how_sure([np.nan]), "expected finite distances of 0 or more, got nan"),
        (lambda c, r: c.how_sure("near"), "expected numbers in distances, got <U4"),
        (lambda c, r: c.how_sure(1.0, prior=0), "expected prior a finite number from .*, got 0"),
        (lambda c, r: c.how_sure(1.0, prior=1), "expected prior a finite number from .*, got 1"),
        (lambda c, r: c.how_sure(1.0, prior=np.nan), "expected prior a finite number .*, got nan"),
        (lambda c, r: c.reliability(0.5), "expected report of kind Report, got 0.5"),
        (lambda c, r: c.reliability(r, n_bins=0), "expected n_bins a whole number from 1 to"),
        (lambda c, r: calibrate(*people(9, 0), n=1), "expected n a whole number from 20 to"),
        (lambda c, r: calibrate(*people(9, 0), seed=-1), "expected seed a whole number of 0"),
        (lambda c, r: cllr([np.nan], [True]), "expected finite log_lr, got nan"),
        (lambda c, r: cllr([1.0, 2], [True, True]), "pairs of both kinds, got 2 same, 0 different"),
        (lambda c, r: cllr([], []), "pairs of both kinds, got 0 same, 0 different"),
        (lambda c, r: c.cllr_on(of_kind(r, False)), "of both kinds, got 0 same, [0-9]+ different"),
        (lambda c, r: c.reliability(of_kind(r, True)), "both kinds, got [0-9]+ same, 0 different"),
    ],
)
def test_calibration_refuses_what_it_cannot_work_with(calibration, strangers, call, message):
    with pytest.raises(ValueError, match=message):
        call(calibration, strangers)
