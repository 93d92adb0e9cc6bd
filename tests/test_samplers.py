import numpy as np
import pytest
from torch.utils.data import SequentialSampler

from facelab import samplers
from facelab.faces import Faces


def make_faces(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    n = len(labels)
    return Faces(
        packed=np.zeros((n, 3, 16, 16), np.uint8),
        rows=np.arange(n),
        labels=labels,
        names=tuple(f"P{k}" for k in range(len(counts))),
        numbers=np.concatenate([np.arange(1, c + 1) for c in counts]),
    )


FACES = make_faces([1, 1, 1, 2, 2, 3, 5, 8, 20, 1, 2, 4])


def test_shuffled_shows_every_image_at_most_once():
    rows = np.concatenate([b.rows for b in samplers.shuffled(FACES, 8, np.random.default_rng(0))])
    assert len(rows) == len(np.unique(rows)) == len(FACES) // 8 * 8


def test_every_shuffled_batch_is_full_whatever_its_size():
    for size in range(1, len(FACES) + 1):
        batches = list(samplers.shuffled(FACES, size, np.random.default_rng(0)))
        assert [len(batch.rows) for batch in batches] == len(FACES) // size * [size]


def test_two_people_are_enough_for_balanced_pairs():
    (batch,) = samplers.balanced_pairs(make_faces([2, 1]), 4, np.random.default_rng(0))
    assert len(batch.rows) == 4


def test_balanced_pairs_hold_as_many_same_as_different_pairs_and_no_image_with_itself():
    batches = list(samplers.balanced_pairs(FACES, 12, np.random.default_rng(0)))
    assert len(batches) == len(FACES) // 12
    for rows, (a, p, b, n) in batches:
        assert len(a) == len(b) == 3
        assert (FACES.labels[rows[a]] == FACES.labels[rows[p]]).all()
        assert (rows[a] != rows[p]).all()
        assert (FACES.labels[rows[b]] != FACES.labels[rows[n]]).all()
        assert sorted(np.concatenate([a, p, b, n])) == list(range(12))


def test_balanced_pairs_draw_people_evenly_however_many_images_they_have():
    faces = make_faces([2, 200, 1, 1])
    rng = np.random.default_rng(1)
    same = np.zeros(4)
    for _ in range(20):
        for rows, (a, *_) in samplers.balanced_pairs(faces, 100, rng):
            same += np.bincount(faces.labels[rows[a]], minlength=4)
    assert same[2:].sum() == 0
    assert same[0] / same.sum() == pytest.approx(0.5, abs=0.05)


def test_people_by_images_never_repeats_an_image_and_fills_every_batch():
    rng = np.random.default_rng(0)
    batches = list(samplers.people_by_images(FACES, 16, rng, images_per_person=3))
    assert len(batches) == len(FACES) // 16
    for batch in batches:
        assert len(batch.rows) == len(np.unique(batch.rows)) == 16
        counts = np.bincount(FACES.labels[batch.rows], minlength=12)
        assert counts.max() <= 3
        assert counts[FACES.counts == 1].sum() == 0


@pytest.mark.parametrize("sampler", [samplers.balanced_pairs, samplers.people_by_images])
def test_the_same_generator_state_gives_the_same_epoch(sampler):
    first, again, other = (
        [b.rows.tolist() for b in sampler(FACES, 8, np.random.default_rng(seed))]
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_batch_of_all_images_of_people_with_two_is_one_batch():
    (batch,) = samplers.people_by_images(make_faces([2, 2, 1]), 4, np.random.default_rng(0))
    assert sorted(batch.rows) == [0, 1, 2, 3]


def test_a_sampler_of_pytorch_is_seeded_by_any_generator():
    for seed in range(30):
        drawn = samplers.draw(SequentialSampler(FACES.rows), FACES, 16, np.random.default_rng(seed))
        assert np.concatenate([batch.rows for batch in drawn]).tolist() == list(range(48))


def drawn_of_ones_own(lengths):
    def own(faces, batch_size, rng):
        yield samplers.Batch(np.arange(4), tuple(np.arange(n) for n in lengths))

    return samplers.draw(own, FACES, 4, np.random.default_rng(0))


def test_ones_own_same_and_different_pairs_may_be_of_two_numbers():
    (batch,) = drawn_of_ones_own([2, 2, 1, 1])
    assert [len(ends) for ends in batch.pairs] == [2, 2, 1, 1]


@pytest.mark.parametrize("lengths", [[1] * 3, [1] * 6, [1, 1, 1, 2], [1, 2, 1, 1]])
def test_ones_own_pairs_without_an_end_are_refused(lengths):
    with pytest.raises(ValueError, match="anchor, positive, anchor, negative") as error:
        drawn_of_ones_own(lengths)
    assert str(error.value).endswith(f", got {lengths}")


def test_samplers_say_what_they_lack():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="divisible by 4, got 10"):
        next(samplers.balanced_pairs(FACES, 10, rng))
    with pytest.raises(ValueError, match="one with two images, got 3, 0 with two"):
        next(samplers.balanced_pairs(make_faces([1, 1, 1]), 4, rng))
    with pytest.raises(ValueError, match="expected two people, .*got 1, 1 with two"):
        next(samplers.balanced_pairs(make_faces([3]), 4, rng))
    with pytest.raises(ValueError, match="fill a batch of 64, got 8 people with 21 images"):
        next(samplers.people_by_images(FACES, 64, rng, images_per_person=3))
    with pytest.raises(ValueError, match="at least 999 images"):
        next(samplers.shuffled(FACES, 999, rng))
