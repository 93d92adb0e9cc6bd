import sys
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import facelab as fl
from facelab.field.overlapping import normal_name

EXTRA = ("dlib", "face_recognition_models")
needs_dlib = pytest.mark.skipif(
    any(find_spec(name) is None for name in EXTRA), reason="needs facelab[pretrained]"
)


def some(faces, rows):
    chosen = {name: getattr(faces, name)[rows] for name in ("rows", "labels", "numbers")}
    return replace(faces, **chosen)


@pytest.fixture(scope="module")
def plain():
    """Two even grey images, in which there is no face to be found."""
    images = np.full((2, 3, 100, 100), 128, np.uint8)
    return fl.Faces(images, np.arange(2), np.arange(2), ("A", "B"), np.ones(2, int))


@needs_dlib
def test_dlib_tells_strangers_apart_and_knows_the_same_person(lfw_root):
    from PIL import Image

    files = [
        ("Aaron_Peirsol", 1),
        ("Aaron_Peirsol", 2),
        ("Abdoulaye_Wade", 1),
        ("Abdoulaye_Wade", 2),
    ]
    root = lfw_root / "lfw-deepfunneled"
    images = [Image.open(root / a / f"{a}_{n:04d}.jpg") for a, n in files]
    packed = np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])
    labels = np.array([0, 0, 1, 1])
    faces = fl.Faces(packed, np.arange(4), labels, ("Aaron", "Abdoulaye"), np.array([1, 2, 1, 2]))
    embeddings = fl.dlib_network(progress=False)(faces)
    assert embeddings.shape == (4, 128) and not embeddings.mask.any()
    pairs = fl.Pairs([0, 2, 0, 1], [1, 3, 2, 3], [True, True, False, False])
    apart = fl.distances(embeddings, pairs)
    assert apart[:2].max() < 0.45 < apart[2:].min()


@needs_dlib
def test_a_face_not_found_is_masked_and_without_alignment_embedded(plain):
    assert fl.dlib_network(progress=False)(plain).mask.all()
    assert not fl.dlib_network(aligned=False, progress=False)(plain).mask.any()


@needs_dlib
def test_moved_copies_are_averaged_and_kept_by_themselves(plain, cache):
    noise = np.random.default_rng(0).integers(256, size=(1, 3, 100, 100), dtype=np.uint8)
    one = fl.Faces(noise, np.arange(1), np.arange(1), ("A",), np.ones(1, int))
    one = replace(one, fingerprint="noise")
    once = fl.dlib_network(aligned=False, progress=False)
    moved = fl.dlib_network(aligned=False, jitters=20, progress=False)
    assert once.about["jitters"] == 0 and moved.about["jitters"] == 20
    apart = np.linalg.norm(once(one) - moved(one))
    assert 0.01 < apart < 0.5  # dlib's own threshold for two people is 0.6
    np.testing.assert_array_equal(moved(one), moved(one))  # though the copies are random
    with pytest.raises(ValueError, match="expected jitters a whole number of 0 or more, got -1"):
        fl.dlib_network(jitters=-1)


@needs_dlib
def test_embeddings_are_kept_for_the_next_call(plain, monkeypatch):
    import dlib

    named = replace(plain, fingerprint="plain")
    embed = fl.dlib_network(aligned=False, progress=False)
    first = embed(some(named, [1]))
    both = embed(named)

    class Broken:
        def __init__(self, *_):
            pass

        def compute_face_descriptor(self, *_):
            raise AssertionError("embedded again")

    monkeypatch.setattr(dlib, "face_recognition_model_v1", Broken)
    again = fl.dlib_network(aligned=False, progress=False)(named)
    np.testing.assert_array_equal(again, both)
    np.testing.assert_array_equal(again[1:], first)


@needs_dlib
@pytest.mark.parametrize("damage", ["foreign", "cut", "empty", "lost", "archive"])
def test_kept_embeddings_that_are_damaged_are_made_anew(plain, cache, damage):
    named = replace(plain, fingerprint="plain")
    embed = fl.dlib_network(aligned=False, progress=False)
    first = np.array(embed(named))
    (file,) = cache.rglob("embeddings.npy")
    stat = file.stat()
    assert getattr(stat, "st_blocks", stat.st_size) * 512 >= first.nbytes  # all of it is on disk
    whole = file.read_bytes()
    if damage == "foreign":
        np.save(file, first[:1])
    elif damage == "archive":
        with file.open("wb") as out:
            np.savez(out, first)
    elif damage == "lost":
        file.unlink()
    else:
        file.write_bytes(whole[:-9] if damage == "cut" else b"")
    np.testing.assert_array_equal(embed(named), first)
    assert file.read_bytes() == whole


@needs_dlib
def test_a_cache_that_cannot_be_made_is_named(plain, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACELAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match="FACELAB_CACHE"):
        fl.dlib_network(progress=False)(replace(plain, fingerprint="plain"))


@needs_dlib
def test_images_too_small_for_the_detector_are_refused():
    images = np.zeros((1, 3, 64, 64), np.uint8)
    faces = fl.Faces(images, np.arange(1), np.arange(1), ("A",), np.ones(1, int))
    with pytest.raises(ValueError, match="expected images of 80 pixels a side or more, got 64"):
        fl.dlib_network(progress=False)(faces)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ImportError, match=r"pip install 'facelab\[pretrained\]'"):
        fl.dlib_network()


def test_a_masked_embedding_is_farthest_from_all_and_its_pairs_are_counted():
    embeddings = np.ma.array([[1.0, 0], [1, 0], [0, 0]], mask=[[0, 0], [0, 0], [1, 1]])
    pairs = fl.Pairs([0, 0, 2], [1, 2, 2], [True, True, True])
    assert fl.distances(embeddings, pairs).tolist() == [0, 2, 2]


def test_an_embedding_without_a_direction_is_still_refused():
    embeddings = np.ma.array([[1.0, 0], [0, 0]])
    with pytest.raises(ValueError, match="finite length above 0"):
        fl.distances(embeddings, fl.Pairs([0], [1], [True]))


def coloured(names, seed, numbers=None):
    n = len(names)
    packed = np.random.default_rng(seed).integers(256, size=(n, 3, 16, 16), dtype=np.uint8)
    people = tuple(dict.fromkeys(names))
    labels = np.array([people.index(name) for name in names])
    numbers = np.arange(1, n + 1) if numbers is None else numbers
    return fl.Faces(packed, np.arange(n), labels, people, numbers)


def test_people_in_both_sets_are_found_by_name_and_by_photo():
    train = coloured(["José_Müller", "Ann_Lee", "Ann_Lee", "Bob_Ray"], 0)
    test = coloured(["Muller Jose", "Cleo_Day"], 1)
    lighter = (train.packed[2] // 2 + 60).astype(np.uint8)  # another light, the same photo
    test = replace(test, packed=np.stack([test.packed[0], lighter]))
    table = fl.overlap(train, test)
    assert table["by"].tolist() == ["name", "photo"]
    assert table.loc[0, ["train", "test"]].tolist() == ["José_Müller", "Muller Jose"]
    assert table.loc[1, ["train", "test"]].tolist() == ["Ann_Lee_0003", "Cleo_Day_0002"]
    kept = train.select(set(train.names) - set(table.person))
    assert kept.names == ("Bob_Ray",) and fl.overlap(kept, test).empty


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Søren_Łukasz", "Lukasz Soren", True),
        ("Đorđe Strauß", "DORDE STRAUSS", True),
        ("Ælfgifu", "aelfgifu", True),
        ("Андрей", "АНДРЕИ\u0306", True),
        ("مُحَمَّد", "محمد", True),
        ("सीता", "सात", False),
        ("सीता!", "सीता", True),
        ("ดี", "ดุ", False),
        ("か", "が", False),
        ("🐱", "🐶", False),
        ("!!!", "???", False),
        ("🐱", "🐱", True),
        ("´", "¨", False),
    ],
)
def test_a_name_is_the_same_however_it_is_written_and_no_other_is(one, other, same):
    assert (normal_name(one) == normal_name(other)) == same


def test_the_photos_that_lfw_has_under_two_names_are_found(real_faces):
    known = fl.known_errors()
    known = known[known.error == "one photo under two names"]
    left, right = ([image[:-5] for image in known[side]] for side in ("left", "right"))
    table = fl.overlap(real_faces.select(left), real_faces.select(right))
    found = set(map(frozenset, table[["train", "test"]].to_numpy().tolist()))
    assert found >= set(map(frozenset, known[["left", "right"]].to_numpy().tolist()))


@pytest.fixture(scope="module")
def crowd():
    """Forty people of one to four photos, all unlike."""
    return coloured([f"Person_{k:02d}" for k in range(40) for _ in range(1 + k % 4)], 2)


def halves(crowd):
    train = crowd.select(crowd.names[:20])
    test = crowd.select(crowd.names[20:])
    return train, test.with_pairs(fl.draw_pairs(test, 5, 5, 0, "the other half"))


def test_training_on_one_set_and_testing_on_another_shares_nobody(crowd):
    train, test = halves(crowd)
    split = fl.across(train, test)
    assert not any(split.shared_people().values())
    assert split.test.pairs.role == "test" and split.dev.pairs.role == "dev"
    assert set(split.train.names) | set(split.dev.names) == set(train.names)


def test_people_in_both_sets_are_refused_unless_removed(crowd):
    train, test = halves(crowd)
    with pytest.raises(ValueError, match="expected disjoint people, or remove=True, got 20"):
        fl.across(crowd, test)
    split = fl.across(crowd, test, remove=True)
    assert not any(split.shared_people().values())
    assert set(split.train.names) | set(split.dev.names) == set(train.names)


def test_a_test_set_without_pairs_is_refused(crowd):
    with pytest.raises(ValueError, match="expected faces with pairs"):
        fl.across(crowd, crowd)
