from dataclasses import replace

import numpy as np
import pytest

from facelab.baselines import (
    embed_lbp,
    lbp_histograms,
    lbp_lda,
    raw_pixels,
    search_lbp_lda,
    whitened_pca,
)
from facelab.faces import Faces, draw_pairs
from facelab.verification import auc, distances


def make_faces(n_people, per_person, seed, first=0, size=16):
    """Draw a coarse pattern for each person, the same in every image but for noise and light."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_people), per_person)
    person = np.kron(rng.integers(0, 100, (n_people, size // 4, size // 4)), np.ones((4, 4)))
    images = person[labels] + rng.integers(0, 60, (len(labels), size, size))
    images = images + rng.integers(0, 60, (len(labels), 1, 1))
    packed = np.repeat(images.astype(np.uint8)[:, None], 3, axis=1)
    names = tuple(f"Person_{first + k}" for k in range(n_people))
    numbers = np.tile(np.arange(1, per_person + 1), n_people)
    faces = Faces(packed, np.arange(len(labels)), labels, names, numbers)
    return faces.with_pairs(draw_pairs(faces, 60, 60, 0, "pairs"))


@pytest.fixture(scope="module")
def train():
    return make_faces(24, 5, seed=1)


@pytest.fixture(scope="module")
def dev():
    return make_faces(20, 5, seed=2, first=24)


@pytest.fixture(scope="module")
def test():
    return make_faces(20, 5, seed=3, first=44)


def mirrored(faces):
    return replace(faces, packed=faces.packed[..., ::-1])


def ring_by_hand(grey, y, x):
    """Compare a pixel with eight points around it, one pixel away, between four pixels each."""
    ring = []
    for angle in np.arange(8) * np.pi / 4:
        up, right = (round(f(angle), 5) for f in (np.sin, np.cos))
        top, left = int(np.floor(y - up)), int(np.floor(x + right))
        ty, tx = y - up - top, x + right - left
        (a, b), (c, d) = grey[top : top + 2, left : left + 2]
        value = (1 - ty) * ((1 - tx) * a + tx * b) + ty * ((1 - tx) * c + tx * d)
        ring.append(bool(value >= grey[y, x]))
    return tuple(ring)


def is_uniform(ring):
    return sum(a != b for a, b in zip(ring, (*ring[1:], ring[0]), strict=True)) <= 2


def test_histograms_equal_a_count_by_hand():
    grey = np.random.default_rng(3).integers(0, 256, (9, 9))
    image = np.repeat(grey.astype(np.uint8)[None, None], 3, axis=1)
    faces = Faces(image, np.arange(1), np.zeros(1, int), ("A",), np.ones(1, int))
    counted = lbp_histograms(faces, cells=3, radii=(1,)).reshape(3, 3, 59) ** 2 * 9
    padded = np.pad(grey, ((1, 2), (1, 2)), "edge").astype(float)
    seen = {}
    for row, column in np.ndindex(3, 3):
        rings = [
            ring_by_hand(padded, y + 1, x + 1)
            for y in range(3 * row, 3 * row + 3)
            for x in range(3 * column, 3 * column + 3)
        ]
        expected = {ring: rings.count(ring) for ring in rings if is_uniform(ring)}
        found = counted[row, column]
        assert found[58] == pytest.approx(9 - sum(expected.values()), abs=1e-5)
        counts = np.sort(found[:58])[-len(expected) :]
        np.testing.assert_allclose(counts, sorted(expected.values()), rtol=1e-5)
        for ring, n in expected.items():  # a pattern has the same bin in every cell
            seen.setdefault(ring, set(range(58)))
            seen[ring] &= set(np.flatnonzero(np.isclose(found, n)).tolist())
    assert all(seen.values())


def test_histograms_of_many_images_are_those_of_each_alone(train):
    together = lbp_histograms(train, 4, (1, 2))
    assert together.shape == (len(train), 2 * 16 * 59)
    for row in (0, 57, len(train) - 1):
        one = dict(labels=np.zeros(1, int), names=("A",), numbers=np.ones(1, int), pairs=None)
        alone = replace(train, rows=train.rows[[row]], **one)
        np.testing.assert_array_equal(lbp_histograms(alone, 4, (1, 2))[0], together[row])


def test_a_brighter_image_has_the_same_patterns(train):
    brighter = replace(train, packed=train.packed + np.uint8(20))
    np.testing.assert_array_equal(lbp_histograms(brighter, 4), lbp_histograms(train, 4))


def test_the_mirrored_histogram_is_that_of_the_mirror_image(train):
    of_mirror = lbp_histograms(mirrored(train), 4)
    np.testing.assert_array_equal(lbp_histograms(train, 4, mirrored=True), of_mirror)
    assert (of_mirror != lbp_histograms(train, 4)).any()


def test_a_flip_averaged_embedding_is_the_same_for_the_mirror_image(train, test):
    estimator = lbp_lda(30, 10).fit(lbp_histograms(train, 4, (1,)), train.labels)
    for flip in (True, False):
        a, b = (embed_lbp(estimator, f, 4, (1,), flip) for f in (test, mirrored(test)))
        assert np.allclose(a, b, atol=1e-4) == flip


def test_cells_without_a_pixel_are_refused(train):
    with pytest.raises(ValueError, match="expected 1 to 16 cells a side, got 17"):
        lbp_histograms(train, 17)


def test_discriminant_analysis_separates_strangers_better_than_the_histograms(train, test):
    estimator = lbp_lda(40, 16).fit(lbp_histograms(train, 4, (1,)), train.labels)
    projected = embed_lbp(estimator, test, 4, (1,))
    assert projected.shape == (len(test), 16)
    learned, before = (
        auc(distances(x, test.pairs), test.pairs.same)
        for x in (projected, lbp_histograms(test, 4, (1,)))
    )
    assert learned > 0.8
    assert learned > before + 0.05


def test_the_distance_of_raw_pixels_tells_the_correlation_of_two_images(test):
    apart = distances(raw_pixels(test), test.pairs)
    flat = test.images.reshape(len(test), -1)
    for k in (0, 70):
        left, right = flat[test.pairs.left[k]], flat[test.pairs.right[k]]
        c = np.corrcoef(left, right)[0, 1]
        assert apart[k] == pytest.approx(np.sqrt(2 - 2 * c), abs=1e-5)


def test_whitened_directions_have_variance_one_on_the_training_images(train):
    projected = whitened_pca(8).fit(raw_pixels(train)).transform(raw_pixels(train))
    np.testing.assert_allclose(np.cov(projected.T), np.eye(8), atol=1e-3)


def test_the_search_finds_what_each_combination_gives_by_itself(train, dev):
    table = search_lbp_lda(train, dev, [2, 4], [20, 40], [5, 10], radii=(1,))
    assert len(table) == 8
    assert table.dev_auc.is_monotonic_decreasing
    for trial in table.itertuples():
        estimator = lbp_lda(trial.n_pca, trial.n_lda)
        estimator.fit(lbp_histograms(train, trial.cells, (1,)), train.labels)
        apart = distances(embed_lbp(estimator, dev, trial.cells, (1,)), dev.pairs)
        # the randomised PCA of 20 directions is not exactly the first half of that of 40
        tolerance = 0.002 if trial.n_pca == 40 else 0.05
        assert trial.dev_auc == pytest.approx(auc(apart, dev.pairs.same), abs=tolerance)


def test_the_search_fits_on_training_people_alone(train, dev, test, monkeypatch):
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    fitted = {}

    def spy(kind):
        original = kind.fit

        def fit(self, x, y=None):
            fitted.setdefault(kind, []).append(np.array(x))
            return original(self, x, y)

        monkeypatch.setattr(kind, "fit", fit)

    spy(PCA)
    spy(LinearDiscriminantAnalysis)
    for unseen in (dev, test):
        search_lbp_lda(train, unseen, [4], [20], [5], radii=(1,))
    assert fitted.keys() == {PCA, LinearDiscriminantAnalysis}
    np.testing.assert_array_equal(fitted[PCA][0], lbp_histograms(train, 4, (1,)))
    for first, second in fitted.values():  # the people it is measured on change nothing
        np.testing.assert_array_equal(first, second)


def test_a_search_on_training_people_is_refused(train, dev):
    shared = replace(dev, names=(train.names[0], *dev.names[1:]))
    with pytest.raises(ValueError, match="expected dev people who are not in train, got 1 who"):
        search_lbp_lda(train, shared, [4], [20], [5])


def test_a_search_for_more_directions_than_people_allow_is_refused(train, dev):
    with pytest.raises(ValueError, match="expected sizes that the images of .*24 people"):
        search_lbp_lda(train, dev, [4], [20], [24], radii=(1,))
