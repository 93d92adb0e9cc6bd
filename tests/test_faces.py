from dataclasses import replace

import numpy as np
import pytest

from facelab.faces import Faces, Pairs, Split, draw_pairs
from facelab.samplers import balanced_pairs
from facelab.verification import every_pair


def test_selecting_people_relabels_them_in_order_and_keeps_their_images(small_faces):
    people = small_faces.names[7], small_faces.names[2]
    chosen = small_faces.select(people)
    assert chosen.names == (small_faces.names[2], small_faces.names[7])
    assert chosen.counts.tolist() == [3, 4]
    assert chosen.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    of_these = np.isin(small_faces.labels, [2, 7])
    assert np.array_equal(chosen.images, small_faces.images[of_these])
    assert chosen.image_ids.tolist() == small_faces.image_ids[of_these].tolist()


def test_a_selection_shares_the_packed_images(small_faces):
    assert small_faces.select(small_faces.names[:3]).packed is small_faces.packed


def test_selecting_twice_equals_selecting_once(small_faces):
    twice = small_faces.select(small_faces.names[5:30]).select(small_faces.names[10:12])
    once = small_faces.select(small_faces.names[10:12])
    assert np.array_equal(twice.rows, once.rows)
    assert np.array_equal(twice.labels, once.labels)


def test_selecting_a_stranger_names_them(small_faces):
    with pytest.raises(ValueError, match="1 others: Nobody"):
        small_faces.select(["Nobody", small_faces.names[0]])


def test_at_least_keeps_people_with_enough_images(small_faces):
    kept = small_faces.at_least(3)
    assert kept.counts.min() == 3
    assert len(kept.names) == (small_faces.counts >= 3).sum()


def test_batch_gives_the_images_at_an_index(small_faces):
    chosen = small_faces.select(small_faces.names[10:])
    assert chosen.batch([3, 0]).shape == (2, 3, 4, 4)
    assert chosen.batch([3, 0])[:, 0, 0, 0].tolist() == chosen.rows[[3, 0]].tolist()


def test_image_ids_are_file_stems(small_faces):
    assert small_faces.image_ids[:3].tolist() == [
        "Person_Aa_0001",
        "Person_Ab_0001",
        "Person_Ab_0002",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packed": np.zeros((5, 4, 4, 3), np.uint8)}, r"got uint8 of shape \(5, 4, 4, 3\)"),
        ({"packed": np.zeros((5, 3, 4, 4), np.float32)}, "got float32"),
        ({"labels": np.zeros(3, int)}, r"got \(100, 3, 100\)"),
        ({"packed": [[[[0]]]]}, "expected uint8 images of shape .*, got list"),
        ({"pairs": Pairs([0], [10_000], [False])}, "right whole numbers from 0 to 99, got 10000"),
        ({"rows": np.arange(1, 101)}, "expected rows whole numbers from 0 to 99, got 100"),
        ({"rows": np.arange(100) - 1}, "expected rows whole numbers from 0 to 99, got -1"),
        ({"rows": np.arange(100) + 0.5}, "expected rows whole numbers .*, got 0.5"),
        ({"rows": np.full(100, np.nan)}, "expected rows whole numbers .*, got nan"),
        ({"labels": np.full(100, 40)}, "expected labels whole numbers from 0 to 39, got 40"),
        ({"labels": np.full(100, "0")}, "expected labels whole numbers from 0 to 39, got <U1"),
        ({"names": ("A", "B") * 20}, "expected names that differ, got 'A' 20 times"),
        ({"synthetic": "no"}, "expected synthetic of kind bool, got 'no'"),
        ({"crop": -5}, "expected crop a whole number of 1 or more, got -5"),
        ({"ids": [*"xy", *range(99)]}, r"expected ids of shape \(100,\), got shape \(101,\)"),
        ({"ids": ["x"] * 100}, "expected ids that differ, got 'x' 100 times"),
    ],
)
def test_faces_refuse_arrays_that_do_not_fit(small_faces, change, message):
    with pytest.raises(ValueError, match=message) as error:
        replace(small_faces, **change)
    assert "\n" not in str(error.value)


def test_faces_take_plain_lists(small_faces):
    few = Faces(small_faces.packed, [0, 1], [0, 1], ("a", "b"), [1, 1])
    assert few.counts.tolist() == [1, 1]
    assert few.select(["b"]).image_ids.tolist() == ["b_0001"]
    with pytest.raises(ValueError, match="expected names in Faces.*, got one word: 'a'"):
        few.select("a")


def test_faces_refuse_pairs_that_contradict_the_labels(small_faces):
    pairs = Pairs([0, 1, 1], [3, 2, 3], [False, True, True])
    with pytest.raises(ValueError, match=r"got 1 others: pair 2 of .*_Ab and .*_Ac"):
        small_faces.with_pairs(pairs)


def test_pairs_refuse_arrays_of_different_lengths():
    with pytest.raises(ValueError, match=r"expected right of shape|expected same of shape"):
        Pairs([0, 1], [1, 2], [True])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"same": ["no", "yes"]}, "expected bool in `same`, got <U3"),
        ({"same": [0, 1]}, "expected bool in `same`, got int64"),
        ({"role": "dev people"}, r"role of \('train', 'dev', 'test', ''\), got 'dev people'"),
        ({"weights": [1.0]}, r"weights of shape \(2,\), got shape \(1,\)"),
        ({"weights": [1.0, np.nan]}, "expected finite weights of 0 or more, got nan"),
        ({"weights": [1.0, -2.0]}, "expected finite weights of 0 or more, got -2.0"),
        ({"weights": ["1", "2"]}, "expected numbers in weights, got <U1"),
        ({"same": np.array([True, None])}, "expected bool in `same`, got object"),
        ({"same": [0.0, np.nan]}, "expected bool in `same`, got float64"),
        ({"left": [0, -1]}, "expected left whole numbers of 0 or more, got -1"),
        ({"right": [0.5, 1]}, "expected right whole numbers of 0 or more, got 0.5"),
        ({"fold": [np.nan, 1]}, "expected fold whole numbers of 0 or more, got nan"),
    ],
)
def test_pairs_refuse_what_is_no_answer_no_role_and_no_weight_for_each(change, message):
    with pytest.raises(ValueError, match=message) as error:
        replace(Pairs([0, 1], [1, 2], [True, False]), **change)
    assert "\n" not in str(error.value)


def test_pairs_are_indexed_together():
    same = [True, False, True]
    pairs = Pairs([0, 1, 2], [3, 4, 5], same, [0, 1, 1], "some", "dev", [1, 2, 3])
    later = pairs[pairs.fold == 1]
    assert (later.left.tolist(), later.right.tolist()) == ([1, 2], [4, 5])
    assert (later.same.tolist(), later.name, later.role) == ([False, True], "some", "dev")
    assert later.weights.dtype == np.float64
    assert later.weights.tolist() == [2, 3]


def test_a_selection_of_drawn_faces_is_of_drawn_faces(small_faces):
    drawn = replace(small_faces, synthetic=True)
    assert drawn.select(small_faces.names[:3]).synthetic
    assert not small_faces.at_least(2).synthetic


def test_rows_by_person_are_each_persons_images(small_faces):
    rows = small_faces.rows_by_person()
    assert [len(r) for r in rows] == small_faces.counts.tolist()
    assert all(set(small_faces.labels[r]) == {k} for k, r in enumerate(rows))


def test_a_split_of_disjoint_people_unpacks_and_counts(small_faces):
    names = small_faces.names
    split = Split(*(small_faces.select(names[k : k + 10]) for k in (0, 10, 20)), "thirds")
    train, dev, test = split
    assert not set(train.names) & set(dev.names) | set(dev.names) & set(test.names)
    assert split.table().loc["dev", "people"] == 10
    assert split.table()["images"].sum() == 73


def test_a_split_that_shares_people_must_say_so(small_faces):
    a, b = small_faces.select(small_faces.names[:10]), small_faces.select(small_faces.names[9:20])
    c = small_faces.select(small_faces.names[20:])
    with pytest.raises(ValueError, match="disjoint people, got 1 in train and dev of odd"):
        Split(a, b, c, "odd")
    assert Split(a, b, c, "odd", leaking="one person").shared_people()["train", "dev"] == 1


def test_drawn_pairs_are_distinct_true_and_repeatable(small_faces):
    pairs = draw_pairs(small_faces, 60, 90, seed=1, name="drawn")
    assert len({frozenset(p) for p in zip(pairs.left, pairs.right, strict=True)}) == 150
    assert pairs.same.tolist() == [True] * 60 + [False] * 90
    small_faces.with_pairs(pairs)  # would refuse a pair that contradicts its labels
    again = draw_pairs(small_faces, 60, 90, seed=1, name="drawn")
    assert np.array_equal(pairs.left, again.left)
    assert np.array_equal(pairs.right, again.right)


def test_every_pair_there_is_can_be_drawn_and_no_more(small_faces):
    few = small_faces.select(small_faces.names[:8])  # 1, 2, 3, 4, 1, 2, 3, 4 images
    pairs = draw_pairs(few, 20, 170, seed=0, name="all")
    every = {(i, j) for j in range(20) for i in range(j)}
    assert set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True)) == every
    with pytest.raises(ValueError, match=r"at most 20 same and 170 different .* request for 21"):
        draw_pairs(few, 21, 0, seed=0, name="too many")


def test_people_without_an_image_are_not_drawn(small_faces, monkeypatch):
    monkeypatch.setattr("facelab.verification.thresholds.MOST_DIFFERENT", 100)
    names = ("Nobody", *small_faces.names, "No One")
    faces = replace(small_faces, names=names, labels=small_faces.labels + 1, pairs=None)
    for draw in (draw_pairs, every_pair):
        arguments = (8, 50, 0, "some") if draw is draw_pairs else ()
        found, expected = draw(faces, *arguments), draw(small_faces, *arguments)
        assert np.array_equal(found.left, expected.left)
        assert np.array_equal(found.right, expected.right)
    rng = np.random.default_rng(0)
    assert len(list(balanced_pairs(faces, 8, rng))) == len(faces) // 8


def test_people_are_drawn_for_pairs_whatever_their_number_of_images(small_faces):
    two = small_faces.select([small_faces.names[1], small_faces.names[3]])  # 2 and 4 images
    first = [draw_pairs(two, 1, 0, seed, "one").left[0] for seed in range(200)]
    share = np.mean(two.labels[first] == 0)
    assert 0.35 < share < 0.65  # drawing among the 7 pairs would give 1/7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_same": 1.5}, "expected n_same a whole number of 0 or more, got 1.5"),
        ({"n_same": -1}, "expected n_same a whole number of 0 or more, got -1"),
        ({"n_different": "9"}, "expected n_different a whole number of 0 or more, got '9'"),
        ({"n_different": np.nan}, "expected n_different a whole number of 0 or more, got nan"),
        ({"seed": -1}, "expected seed a whole number of 0 or more, got -1"),
        ({"n_same": 10**9}, "expected at most .* got a request for 1000000000"),
    ],
)
def test_drawing_refuses_what_is_no_number_of_pairs(small_faces, change, message):
    request = {"n_same": 1, "n_different": 1, "seed": 0, "name": "drawn"}
    with pytest.raises(ValueError, match=message) as error:
        draw_pairs(small_faces, **(request | change))
    assert len(str(error.value)) < 300
