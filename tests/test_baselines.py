from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from facelab.baselines import (
    bsif_filters,
    embed_histograms,
    filter_histograms,
    lbp_histograms,
    lpq_filters,
    pca_lda,
    raw_pixels,
    search_pca_lda,
    whitened_pca,
)
from facelab.faces import Faces, draw_pairs
from facelab.verification import auc, distances

ONE_RING = partial(lbp_histograms, radii=(1,))
OF_FOUR = partial(ONE_RING, cells=4)


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
    estimator = pca_lda(30, 10).fit(lbp_histograms(train, 4, (1,)), train.labels)
    for flip in (True, False):
        a, b = (embed_histograms(estimator, OF_FOUR, f, flip) for f in (test, mirrored(test)))
        assert np.allclose(a, b, atol=1e-4) == flip


def test_cells_without_a_pixel_are_refused(train):
    with pytest.raises(ValueError, match="expected cells a whole number from 1 to 16, got 17"):
        lbp_histograms(train, 17)


def test_discriminant_analysis_separates_strangers_better_than_the_histograms(train, test):
    estimator = pca_lda(40, 16).fit(lbp_histograms(train, 4, (1,)), train.labels)
    projected = embed_histograms(estimator, OF_FOUR, test)
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
    table = search_pca_lda(train, dev, ONE_RING, [2, 4], [20, 40], [5, 10])
    assert len(table) == 8
    assert table.dev_auc.is_monotonic_decreasing
    for trial in table.itertuples():
        estimator = pca_lda(trial.n_pca, trial.n_lda)
        estimator.fit(lbp_histograms(train, trial.cells, (1,)), train.labels)
        histograms = partial(lbp_histograms, cells=trial.cells, radii=(1,))
        apart = distances(embed_histograms(estimator, histograms, dev), dev.pairs)
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
        search_pca_lda(train, unseen, ONE_RING, [4], [20], [5])
    assert fitted.keys() == {PCA, LinearDiscriminantAnalysis}
    np.testing.assert_array_equal(fitted[PCA][0], lbp_histograms(train, 4, (1,)))
    for first, second in fitted.values():  # the people it is measured on change nothing
        np.testing.assert_array_equal(first, second)


def test_a_search_on_training_people_is_refused(train, dev):
    shared = replace(dev, names=(train.names[0], *dev.names[1:]))
    with pytest.raises(ValueError, match="expected dev people who are not in train, got 1 who"):
        search_pca_lda(train, shared, ONE_RING, [4], [20], [5])


def test_a_search_for_more_directions_than_people_allow_is_refused(train, dev):
    with pytest.raises(ValueError, match="expected sizes that the images of .*24 people"):
        search_pca_lda(train, dev, ONE_RING, [4], [20], [24])
    for sizes in (([-5], [5]), ([20], [0])):
        with pytest.raises(ValueError, match="expected n_(pca|lda) a whole number of 1 or more"):
            search_pca_lda(train, dev, ONE_RING, [4], *sizes)


# Filters whose signs are counted


def test_codes_of_filters_are_counted_as_loops_would(train):
    rng = np.random.default_rng(0)
    one = {"labels": np.zeros(2, int), "names": ("A",), "numbers": np.array([1, 2]), "pairs": None}
    faces = replace(train, rows=train.rows[:2], **one)
    filters = rng.normal(size=(3, 3, 3))
    grey = faces.images.mean(axis=1)  # these images are grey
    expected = np.zeros((2, 4, 8))
    for n, image in enumerate(np.pad(grey, ((0, 0), (1, 1), (1, 1)), "edge")):
        for row in range(16):
            for column in range(16):
                window = image[row : row + 3, column : column + 3]
                bits = [(window * one).sum() > 0 for one in filters]
                code = sum(2**k for k, bit in enumerate(bits) if bit)
                expected[n, row // 8 * 2 + column // 8, code] += 1 / 64
    found = filter_histograms(faces, filters, cells=2)
    np.testing.assert_allclose(found, np.sqrt(expected).reshape(2, -1), atol=1e-6)


def test_the_phase_of_a_wave_is_its_code():
    filters = lpq_filters(5)
    assert filters.shape == (8, 5, 5)
    np.testing.assert_allclose(filters.sum(axis=(1, 2)), 0, atol=1e-12)  # light changes nothing
    wave = np.cos(2 * np.pi * np.arange(-2, 3) / 5)
    across = np.outer(np.ones(5), wave)
    answers = (filters * across).sum(axis=(1, 2))
    assert answers[0] == pytest.approx(12.5) and abs(answers[1:]).max() < 1e-9


def test_an_even_size_of_filters_is_refused():
    with pytest.raises(ValueError, match="expected an odd size, got 8"):
        lpq_filters(8)


def test_learned_filters_find_the_independent_parts_of_patches(train):
    filters = bsif_filters(train, 5, n_patches=4000)
    np.testing.assert_array_equal(filters, bsif_filters(train, 5, n_patches=4000))
    assert filters.shape == (8, 5, 5)
    np.testing.assert_allclose(filters.sum(axis=(1, 2)), 0, atol=1e-6)  # light changes nothing


def test_patterns_of_filters_separate_strangers(train, test):
    histograms = partial(filter_histograms, filters=lpq_filters(5), cells=4)
    estimator = pca_lda(40, 16).fit(histograms(train), train.labels)
    projected = embed_histograms(estimator, histograms, test, flip=True)
    assert auc(distances(projected, test.pairs), test.pairs.same) > 0.8


@pytest.mark.parametrize("shape", [(3, 3), (1, 4, 4), (13, 3, 3), (1, 3, 5)])
def test_filters_of_another_shape_are_refused(train, shape):
    with pytest.raises(ValueError, match="expected 1 to 12 filters of an odd size, got shape"):
        filter_histograms(train, np.zeros(shape))
