import hashlib

import numpy as np
import pytest

import facelab as fl
from facelab.data.protocol import NamedPairs, Protocol, official
from facelab.data.protocol_text import FILES, write

# Published with torchvision's LFW dataset class.
MD5 = {
    "lfw-names.txt": "a6d0a479bd074669f656265a6e693f6d",
    "people.txt": "450f0863dd89e85e73936a6d71a3474b",
    "peopleDevTrain.txt": "54eaac34beb6d042ed3a7d883e247a21",
    "peopleDevTest.txt": "e4bf5be0a43b5dcd9dc5ccfcb8fb19c5",
    "pairs.txt": "9f1ba174e4e1c508ff7cdf10ac338a7d",
    "pairsDevTrain.txt": "4f27cbf15b2da4a85c1907eb4181ad21",
    "pairsDevTest.txt": "5132f7440eb68cf58910c8a45a2ac10b",
}


@pytest.mark.parametrize("file", FILES)
def test_shipped_facts_rebuild_the_official_file_byte_for_byte(file, tmp_path):
    write(official(), tmp_path)
    assert hashlib.md5((tmp_path / file).read_bytes()).hexdigest() == MD5[file]


def test_official_numbers_are_those_of_the_technical_report():
    lfw = official()
    assert (len(lfw.counts), sum(lfw.counts.values())) == (5749, 13233)
    assert (len(lfw.dev_train), len(lfw.dev_test)) == (4038, 1711)
    assert len(lfw.folds) == 10
    assert np.bincount(lfw.pairs.fold).tolist() == [600] * 10
    assert [p.same.sum() for p in (lfw.pairs_dev_train, lfw.pairs_dev_test)] == [1100, 500]


def test_pairs_of_a_part_are_of_its_people():
    lfw = official()
    assert len(lfw.pairs_dev_train.among(lfw.dev_train)) == 2200
    assert len(lfw.pairs_dev_test.among(lfw.dev_test)) == 1000
    for fold, people in enumerate(lfw.folds):
        assert len(lfw.pairs.where(lfw.pairs.fold == fold).among(people)) == 600


def test_rows_point_at_the_named_images(small_faces, small_protocol):
    pairs = small_protocol.pairs.rows(small_faces, "View 2", "test")
    ids = small_faces.image_ids
    for left, right, (a, i, b, j, _) in zip(
        ids[pairs.left], ids[pairs.right], small_protocol.pairs, strict=True
    ):
        assert (left, right) == (f"{a}_{i:04d}", f"{b}_{j:04d}")
    assert np.array_equal(pairs.same, small_protocol.pairs.same)
    assert np.array_equal(pairs.fold, small_protocol.pairs.fold)
    assert pairs.name == "View 2"
    assert pairs.role == "test"


def test_a_pair_with_a_missing_image_is_an_error_not_skipped(small_faces, small_protocol):
    absent = small_protocol.pairs_dev_test.names_left[0]
    faces = small_faces.select(set(small_faces.names) - {absent})
    with pytest.raises(ValueError, match=rf"got none of .*{absent}_0001"):
        small_protocol.pairs_dev_test.rows(faces, "View 1 test")


NO_PAIRS = NamedPairs.of([])


def test_among_keeps_pairs_with_both_people_inside():
    pairs = NamedPairs.of([("A", 1, "A", 2, 0), ("A", 1, "B", 1, 0), ("B", 1, "C", 1, 0)])
    assert list(pairs.among("AB")) == [("A", 1, "A", 2, 0), ("A", 1, "B", 1, 0)]
    assert len(pairs.among("C")) == 0
    assert len(NO_PAIRS.among("A")) == 0


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((("A",), ("A", "B"), (("A",), ("B",))), r"View 1: .* in one part, got \['A'\]"),
        ((("A",), ("B",), (("A", "B"), ("B",))), r"View 2: .* in one part, got \['B'\]"),
        ((("A",), ("C",), (("A",), ("B",))), r"View 1: .* got \['C'\]"),
    ],
)
def test_a_protocol_refuses_parts_that_overlap_or_hold_strangers(parts, message):
    with pytest.raises(ValueError, match=message):
        Protocol({"A": 1, "B": 1}, *parts, NO_PAIRS, NO_PAIRS, NO_PAIRS)


def test_lfws_known_errors_are_marked_in_its_pairs_and_count_as_labelled(real_faces):
    _, _, test = fl.view1(real_faces)
    ids = real_faces.image_ids
    pairs = official().pairs.rows(real_faces, "View 2 test", "test")
    known = pairs[pairs.known_errors]
    persons = [image.rsplit("_", 1)[0] for image in ids[known.left]]
    # Huang, Learned-Miller: LFW's page of errata; two pairs of Jim O'Brien
    assert sorted(persons) == [
        "Debra_Messing", "Elisabeth_Schumacher", "Janica_Kostelic", "Jim_OBrien", "Jim_OBrien",
        "Martha_Bowen", "Nora_Bendijo",
    ]  # fmt: skip
    assert known.same.all()
    assert test.pairs.known_errors.sum() == 3
    report = fl.verify(fl.raw_pixels(test), test, 0.1)  # which rejects every pair
    assert report.known_errors.sum() == 3
    assert report.mistakes(1000)["known_error"].sum() == 3
