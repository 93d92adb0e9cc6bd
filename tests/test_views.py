import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from facelab.data.protocol import NamedPairs
from facelab.faces import Faces
from facelab.views import all_lfw, split_people, view1, view2


def people(split):
    return [set(part.names) for part in split]


def test_view_1_parts_share_nobody_and_cover_everyone(small_faces, small_protocol):
    train, dev, test = people(view1(small_faces, dev_people=0.25))
    assert train.isdisjoint(dev)
    assert test.isdisjoint(train | dev)
    assert train | dev == set(small_protocol.dev_train)
    assert test == set(small_protocol.dev_test)
    assert len(dev) == 6


def test_view_1_tests_on_the_official_pairs(small_faces, small_protocol):
    test = view1(small_faces).test
    ids = test.image_ids
    named = [f"{a}_{i:04d}" for a, i, *_ in small_protocol.pairs_dev_test]
    assert ids[test.pairs.left].tolist() == named
    assert np.array_equal(test.pairs.same, small_protocol.pairs_dev_test.same)


def test_train_pairs_are_the_official_ones_of_training_people(small_faces, small_protocol):
    split = view1(small_faces, dev_people=0.25)
    among = [p for p in small_protocol.pairs_dev_train if {p[0], p[2]} <= set(split.train.names)]
    assert 0 < len(among) < len(small_protocol.pairs_dev_train)
    assert len(split.train.pairs) == len(among)


def test_dev_pairs_are_balanced_and_fit_the_people(small_faces):
    dev = view1(small_faces, dev_people=0.25).dev
    n_possible = int((dev.counts * (dev.counts - 1) // 2).sum())
    assert dev.pairs.same.sum() == min(3 * (dev.counts >= 2).sum(), n_possible)
    assert (~dev.pairs.same).sum() == dev.pairs.same.sum()


def test_the_seed_decides_who_is_held_out(small_faces):
    first, again, other = (view1(small_faces, seed=s).dev.names for s in (0, 0, 1))
    assert first == again != other


def test_view_1_refuses_what_it_does_not_know(small_faces):
    with pytest.raises(ValueError, match="between 1 and 23 of 24 people, got 0"):
        view1(small_faces, dev_people=0)


def test_held_out_people_without_a_pair_are_refused(small_faces):
    ones = replace(small_faces, labels=np.arange(100), names=tuple(map(str, range(100))))
    none = NamedPairs.of([])
    people = {"dev_train": ones.names[:50], "dev_test": ones.names[50:]}
    protocol = SimpleNamespace(pairs_dev_train=none, pairs_dev_test=none, **people)
    with pytest.raises(ValueError, match="people with two images or more for dev pairs"):
        view1(replace(ones, protocol=protocol))


@pytest.mark.parametrize("fold", [0, 1])
def test_view_2_tests_on_one_fold_and_learns_from_the_others(small_faces, small_protocol, fold):
    split = view2(small_faces, fold, dev_people=0.25)
    train, dev, test = people(split)
    assert split.name == f"View 2, fold {fold + 1}"
    assert test == set(small_protocol.folds[fold])
    assert train | dev == set(small_protocol.folds[1 - fold])
    assert not train & dev
    assert split.test.pairs.fold.tolist() == [fold] * 12
    assert set(split.train.pairs.fold.tolist()) == {1 - fold}


def test_pairs_say_what_their_people_are_to_the_network(small_faces):
    roles = [part.pairs.role for part in view1(small_faces, dev_people=0.25)]
    assert roles == ["train", "dev", "test"]
    roles = [part.pairs.role for part in view2(small_faces, 1, dev_people=0.25)]
    assert roles == ["train", "dev", "test"]


def test_view_2_names_the_folds_there_are(small_faces):
    for fold in (2, -1, 0.5, "0", True):
        with pytest.raises(ValueError, match="expected fold a whole number from 0 to 1, got"):
            view2(small_faces, fold)


@pytest.mark.parametrize("share", [np.nan, -0.1, 1.5, "half", None, True])
def test_the_share_of_held_out_people_is_a_share(small_faces, share):
    with pytest.raises(ValueError, match="expected dev_people a finite number from 0 to 1, got"):
        view1(small_faces, dev_people=share)


@pytest.mark.parametrize("seed", [-1, 1.5, "0", None])
def test_views_refuse_a_seed_that_is_none(small_faces, seed):
    with pytest.raises(ValueError, match="expected seed a whole number of 0 or more, got"):
        view1(small_faces, seed=seed)


def test_views_need_the_lists_of_lfw(small_faces):
    for view in (view1, lambda faces: view2(faces, 0), all_lfw):
        with pytest.raises(ValueError, match="expected faces with LFW's lists .*, got Faces"):
            view(replace(small_faces, protocol=None))
        with pytest.raises(ValueError, match="expected faces of kind Faces, got 'lfw'"):
            view("lfw")


def test_all_lfw_trains_on_everyone_and_says_so(small_faces):
    split = all_lfw(small_faces)
    assert split.train.names == small_faces.names
    assert "everyone in dev and test is a training person" in split.leaking
    assert split.test.names == view1(small_faces).test.names
    assert split.shared_people()["dev", "test"] == 0


def any_faces(counts):
    n = sum(counts)
    return Faces(
        packed=np.zeros((1, 3, 1, 1), np.uint8),
        rows=np.zeros(n, int),
        labels=np.repeat(np.arange(len(counts)), counts),
        names=tuple(f"p{k}" for k in range(len(counts))),
        numbers=np.arange(n),
        ids=np.array([f"photo {k}" for k in range(n)]),
    )


@pytest.mark.parametrize("counts", [[2] * 6, [3] * 12, [5, 1, 1] * 20, [2] * 1000, [700] + [2] * 9])
def test_any_people_are_split_so_that_nobody_is_in_two_parts(counts):
    faces = any_faces(counts)
    split = split_people(faces)
    train, dev, test = people(split)
    assert train | dev | test == set(faces.names)
    assert len(train) + len(dev) + len(test) == len(counts)
    assert abs(len(test) - len(counts) / 4) <= 1
    for part, role in zip(split, ("train", "dev", "test"), strict=True):
        assert (part.pairs.role, part.pairs.name) == (role, f"{role} people")
        n_same = part.pairs.same.sum()
        assert 0 < n_same == (~part.pairs.same).sum() <= 500
        assert (part.counts >= 2).sum() >= 2


def test_people_with_one_image_are_shared_out_like_the_others():
    split = split_people(any_faces([5, 1] * 40), dev=0.1, test=0.5)
    assert [[(part.counts == n).sum() for n in (1, 5)] for part in split] == [
        [16, 16],
        [4, 4],
        [20, 20],
    ]


def test_the_seed_decides_who_is_in_which_part():
    parts = [split_people(any_faces([3] * 40), seed=seed).test for seed in (0, 0, 1)]
    assert parts[0].names == parts[1].names != parts[2].names
    assert parts[0].pairs.left.tolist() == parts[1].pairs.left.tolist()


@pytest.mark.parametrize("dev", [0, 1, -0.1, float("nan"), "0.2", True, 0.75])
def test_shares_that_leave_nobody_somewhere_are_refused(dev):
    with pytest.raises(
        ValueError,
        match="expected (shares of people above 0|dev a finite number from 0 to 1).*, got ",
    ) as error:
        split_people(any_faces([3] * 40), dev=dev)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("counts", "share"), [([2] * 5, 0.25), ([2, 1] * 10, 0.1), ([1] * 99, 0.25)]
)
def test_too_few_people_are_told_how_many_are_enough(counts, share):
    with pytest.raises(ValueError, match=r"10 points on each side takes 35 in test") as error:
        split_people(any_faces(counts), dev=share, test=share)
    (enough,) = re.findall(r"(\d+) such people are enough", str(error.value))
    split_people(any_faces([2] * int(enough)), dev=share, test=share)


def test_lfws_views_say_that_they_need_its_lists():
    for view in (view1, all_lfw, lambda faces: view2(faces, 0)):
        with pytest.raises(ValueError, match="expected faces with LFW's lists .*split_people"):
            view(any_faces([3] * 40))


def test_real_view_1_is_the_published_one_and_disjoint(real_faces):
    split = view1(real_faces)
    train, dev, test = people(split)
    assert train.isdisjoint(dev)
    assert test.isdisjoint(train | dev)
    assert (len(test), len(split.test)) == (1711, 3708)
    assert (len(split.test.pairs), split.test.pairs.same.sum()) == (1000, 500)
    assert (len(train), len(dev)) == (3432, 606)
    assert len(split.train) + len(split.dev) == 9525
    assert split.dev.counts.max() <= 50
    assert split.dev.pairs.same.sum() == (~split.dev.pairs.same).sum() > 450


@pytest.mark.parametrize("fold", range(10))
def test_real_view_2_folds_have_600_pairs_of_people_nobody_learns_from(real_faces, fold):
    split = view2(real_faces, fold)
    train, dev, test = people(split)
    assert train.isdisjoint(dev)
    assert test.isdisjoint(train | dev)
    assert len(train | dev | test) == 5749
    assert split.test.pairs.same.tolist() == [True] * 300 + [False] * 300
    assert set(split.test.pairs.fold.tolist()) == {fold}


def test_real_train_pairs_are_all_there(real_faces):
    pool = real_faces.select(real_faces.protocol.dev_train)
    pairs = real_faces.protocol.pairs_dev_train.rows(pool, "View 1 train")
    assert pairs.same.tolist() == [True] * 1100 + [False] * 1100
    assert (len(pool.names), len(pool)) == (4038, 9525)
