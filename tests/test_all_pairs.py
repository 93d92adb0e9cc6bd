import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from facelab.faces import Pairs
from facelab.field.all_pairs import AllPairs, all_pairs, figures
from facelab.verification import Sweep, best, distances, eer, rates

ROOT = Path(__file__).parent.parent


def brute_distances(embeddings):
    """Every pair's distance, from Python's integers, one pair at a time."""
    x = np.asarray(embeddings)
    unit = x / np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))[:, None]
    rows = [[round(v * 2**25) for v in row] for row in unit.tolist()]
    out = []
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            squared = sum((a - b) ** 2 for a, b in zip(rows[i], rows[j], strict=True))
            out.append(min(round(math.sqrt(squared) / 4), 2**24) / 2**23)
    assert (np.float32(out) == out).all()
    return np.float32(out)


def brute_figures(d, same):
    """Threshold, F1, AUC and EER of pairs in memory."""
    sweep = Sweep(d, same)
    tp, fp = sweep.accepted()
    f1 = rates(tp, fp, tp[-1], fp[-1])["f1"]
    near, far = np.sort(d[same]), np.sort(d[~same])
    twice = sum(np.searchsorted(near, far, side).sum() for side in ("left", "right"))
    auc = float(Fraction(int(twice), 2 * len(near) * len(far)))
    return best(sweep, "f1"), f1.max(), auc, eer(tp, fp)


def check(embeddings, labels, **more):
    """Hold `all_pairs` against the brute force, exactly."""
    d = brute_distances(embeddings)
    upper = np.triu_indices(len(labels), 1)
    same = (labels[:, None] == labels)[upper]
    found = all_pairs(embeddings, labels, **more)
    assert (found.n_same, found.n_different) == (same.sum(), (~same).sum())
    assert (found.threshold, found.f1, found.auc, found.eer) == brute_figures(d, same)
    edges = np.linspace(0, 2, len(found.histogram) + 1)
    for column, kind in enumerate((~same, same)):
        assert (found.histogram[:, column] == np.histogram(d[kind], edges)[0]).all()
    return found


def same_as(a, b):
    return a[:-1] == b[:-1] and (a.histogram == b.histogram).all()


coordinates = st.integers(-2, 2).map(float) | st.floats(-1, 1, width=32)  # grids tie, floats do not
tables = hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=14).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(np.float32, shape, elements=coordinates).filter(
            lambda x: (np.linalg.norm(x.astype(float), axis=1) > 1e-3).all()
        ),
        hnp.arrays(np.int64, shape[0], elements=st.integers(0, 3)).filter(
            lambda k: 1 < len(set(k.tolist())) < len(k)
        ),
    )
)


@given(tables, st.integers(1, 20), st.sampled_from([1, 2, 64, 2**12]))
def test_all_pairs_equal_pairs_in_memory_exactly(table, block, n_bins):
    check(*table, block=block, n_bins=n_bins)


def clustered(n=150, size=16, spread=1.0):
    rng = np.random.default_rng(0)
    labels = rng.integers(n // 4, size=n)
    x = rng.normal(size=(n // 4, size))[labels] + spread * rng.normal(size=(n, size))
    return x.astype(np.float32), labels


@pytest.mark.parametrize("spread", [0.01, 0.7, 3.0])
def test_clustered_embeddings_of_many_people(spread):
    found = check(*clustered(spread=spread))
    assert found.auc > 0.5
    assert found.f1 == 1.0 or spread > 0.01


def test_collapsed_embeddings_say_nothing():
    labels = np.repeat(np.arange(5), 4)
    found = check(np.tile([[3.0, -1.0, 0.1]], (20, 1)), labels)
    assert (found.auc, found.eer) == (0.5, 0.5)
    assert found.threshold == np.nextafter(0, 1)  # all distances are 0; it accepts everything
    assert found.f1 == 2 * 30 / (2 * 30 + 160)


def test_copies_and_opposites_have_distance_zero_and_two():
    x, labels = clustered(40)
    found = check(np.concatenate([x, 4 * x]), np.concatenate([labels, labels]))
    assert found.histogram[0, 1] >= 40
    found = check(np.array([[0.6, 0.8], [-0.6, -0.8], [0.6, 0.8]]), np.array([0, 1, 0]))
    assert (found.histogram[-1].tolist(), found.threshold) == ([2, 0], 1.0)


def test_no_figure_depends_on_the_blocks_or_the_order_of_the_images():
    x, labels = clustered(300, 33)
    expected = all_pairs(x, labels)
    for block in (1, 7, 100, 299, 300, 1000):
        assert same_as(all_pairs(x, labels, block=block), expected)
    order = np.random.default_rng(1).permutation(300)
    names = np.array([f"P{k}" for k in labels])
    assert same_as(all_pairs(x[order], names[order]), expected)


def test_the_distances_are_those_of_verification_up_to_rounding():
    x, _ = clustered(120, 128)
    i, j = np.triu_indices(120, 1)
    np.testing.assert_allclose(brute_distances(x), distances(x, Pairs(i, j, i == j)), atol=2.5e-7)


@given(st.data())
def test_figures_do_not_depend_on_how_the_counts_are_cut(data):
    # Distances beside the borders of the pieces of 2**20 in which counts are gone through.
    near_borders = st.builds(lambda k, e: k * 2**20 + e, st.integers(0, 15), st.integers(0, 2))
    pairs = data.draw(st.lists(st.tuples(near_borders, st.booleans()), min_size=2, max_size=12))
    steps, same = np.array([k for k, _ in pairs]), np.array([s for _, s in pairs])
    same[:2] = [True, False]
    counts = np.zeros((2, 2**24 + 1), np.int64)
    np.add.at(counts, (same.astype(int), steps), 1)
    d = np.float32(steps / 2**23)
    assert figures(counts, int(same.sum()), int((~same).sum())) == brute_figures(d, same)


def test_the_area_is_exact_beyond_64_bits():
    steps, different, same = [7, 2**20 + 1, 2**23], [3, 9 * 10**9, 11 * 10**9], [2, 5 * 10**9, 1]
    counts = np.zeros((2, 2**24 + 1), np.int64)
    counts[:, steps] = different, same
    below = [Fraction(s, 2) + sum(same[:k]) for k, s in enumerate(same)]
    twice = sum(2 * d * b for d, b in zip(different, below, strict=True))
    assert twice > 2**63
    expected = float(twice / (2 * sum(same) * sum(different)))
    assert figures(counts, sum(same), sum(different))[2] == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": np.ones(3)}, r"a table of numbers, got float64 of shape \(3,\)"),
        ({"embeddings": np.zeros((3, 2))}, "length above 0, got 0.0 in row 0"),
        ({"labels": np.zeros(2)}, r"expected labels of shape \(3,\), got shape \(2,\)"),
        ({"labels": np.zeros(3)}, "expected both kinds, got 3 same, 0 different"),
        ({"labels": np.arange(3)}, "expected both kinds, got 0 same, 3 different"),
        ({"n_bins": 3}, r"power of two from 1 to 2\*\*24, got 3"),
        ({"n_bins": 0}, "got 0"),
        ({"block": 0}, "expected block a whole number of 1 or more, got 0"),
    ],
)
def test_all_pairs_refuses_what_does_not_fit(change, message):
    fits = {"embeddings": np.eye(3), "labels": np.array([0, 0, 1])}
    with pytest.raises(ValueError, match=message):
        all_pairs(**(fits | change))


def test_the_result_names_its_figures():
    found = all_pairs(np.eye(3), np.array([0, 0, 1]))
    assert isinstance(found, AllPairs)
    assert found._fields[:4] == ("n_same", "n_different", "threshold", "f1")
    assert found.histogram.shape == (512, 2)


@pytest.mark.skipif(os.name == "nt", reason="reads what POSIX counts")
def test_memory_does_not_grow_with_the_pairs():
    code = """
import resource, sys
import numpy as np
from facelab.field.all_pairs import all_pairs
n = int(sys.argv[1])
rng = np.random.default_rng(0)
x, labels = rng.normal(size=(n, 8)), np.arange(n) // 4
all_pairs(x, labels)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak // (1024 * 1024 if sys.platform == "darwin" else 1024))
"""
    few, many = (
        int(subprocess.check_output([sys.executable, "-c", code, n], cwd=ROOT, text=True))
        for n in ("4500", "9000")
    )
    # MiB. Distances and kinds of 30 million more pairs would take 150; that it grows at all is
    # that more of the pages of the 256 MiB of counts are touched.
    assert many - few < 60
