import os
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelab.data.decoding import decode
from facelab.data.drawn.people import mark_as_drawn
from facelab.data.own import load_faces
from facelab.views import split_people


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELAB_CACHE", str(tmp_path / "cache"))


PHOTOS = {
    "Zoë Müller": ["IMG_0001.JPG", "IMG_0002.jpeg", "holiday/2024/a b.PNG"],
    "O'Neill, Tom": ["1.webp", "2.jpg"],
    "007": ["x.jpg", "y.jpg"],
    "王小明": ["照片.jpg", "照片2.jpg"],
}


def photo(path, seed=0, size=(40, 30), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, **options)


@pytest.fixture
def album(tmp_path):
    root = tmp_path / "my friends"
    for k, (person, files) in enumerate(PHOTOS.items()):
        for i, file in enumerate(files):
            photo(root / person / file, seed=10 * k + i, size=(40 + 10 * i, 30 + 7 * k))
    return root


def load(root, **sizes):
    return load_faces(root, **{"image_size": 8, "progress": False} | sizes)


def test_each_folder_is_a_person_and_each_id_leads_to_the_photo(album):
    faces = load(album)
    assert faces.names == tuple(sorted(PHOTOS))
    ids = [f"{person}/{file}" for person in sorted(PHOTOS) for file in sorted(PHOTOS[person])]
    assert faces.image_ids.tolist() == ids
    for row, image in enumerate(ids):
        assert faces.names[faces.labels[row]] == image.split("/")[0]
        assert np.array_equal(faces.images[row], decode(album / image, 8))
    assert faces.source == faces.root == "my friends"
    assert not faces.synthetic
    assert (faces.crop, faces.protocol) == (None, None)
    assert faces.select(["007"]).image_ids.tolist() == ["007/x.jpg", "007/y.jpg"]


def test_the_largest_central_square_is_kept_and_nothing_is_squeezed(tmp_path):
    picture = np.zeros((20, 60, 3), np.uint8)
    picture[:, 20:40] = 255
    (tmp_path / "faces" / "a").mkdir(parents=True)
    Image.fromarray(picture).save(tmp_path / "faces" / "a" / "1.png")
    for crop in (None, 20):  # its filter also sees a little of the black beside it
        assert load(tmp_path / "faces", crop=crop).images.min() > 230
    with pytest.raises(ValueError, match="a/1.png: expected at least 21 x 21 pixels, got 60 x 20"):
        load(tmp_path / "faces", crop=21)
    of_all = load(tmp_path / "faces", crop=250, side=250)
    assert np.array_equal(of_all.images, load(tmp_path / "faces").images)
    half = load(tmp_path / "faces", crop=125, side=250)
    assert np.array_equal(half.images, load(tmp_path / "faces", crop=10).images)
    assert half.crop == 125 and half.fingerprint != of_all.fingerprint
    with pytest.raises(ValueError, match="expected crop a whole number from 1 to 250, got 251"):
        load(tmp_path / "faces", crop=251, side=250)


def test_the_second_call_maps_what_the_first_has_packed(album):
    first = load(album)
    (path,) = (album.parent / "cache" / "packed").glob("*/images.npy")
    before = path.stat()
    second = load(album)
    assert path.stat() == before
    assert isinstance(second.packed, np.memmap)
    assert second.fingerprint == first.fingerprint != load(album, image_size=9).fingerprint


@pytest.mark.parametrize("name", ["lfw", "LFW", "lfw-deepfunneled", "lfw_funneled"])
def test_the_source_is_never_lfw(album, name):
    faces = load(album.rename(album.parent / name))
    assert faces.source == f"own faces in {name}"


def test_a_name_is_the_same_in_every_unicode_form(tmp_path):
    names = [unicodedata.normalize(form, "Zoë") for form in ("NFC", "NFD")]
    for k, name in enumerate(names):
        photo(tmp_path / "faces" / name / f"{k}.jpg", k)
    faces = load(tmp_path / "faces")
    assert faces.names == (names[0],)
    assert faces.image_ids.tolist() == [f"{names[0]}/0.jpg", f"{names[0]}/1.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_linked_folders_are_read_once_and_loops_are_noticed(album, tmp_path):
    shutil.move(album / "007", tmp_path / "elsewhere")
    (album / "007").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(album / "007")
    (tmp_path / "elsewhere" / "up").symlink_to(album)
    (tmp_path / "elsewhere" / "cover.jpg").symlink_to("x.jpg")
    with pytest.warns(UserWarning, match="leads back") as warned:
        faces = load(album)
    (message,) = [str(one.message) for one in warned]
    assert "3 files or folders are no photos to load" in message
    for part in ("007/again/ (leads", "007/up/ (leads", "007/x.jpg (the file of 007/cover.jpg)"):
        assert part in message
    assert faces.select(["007"]).image_ids.tolist() == ["007/cover.jpg", "007/y.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_photo_of_two_people_is_refused(album):
    (album / "007" / "friend.jpg").symlink_to(album / "O'Neill, Tom" / "2.jpg")
    with pytest.raises(ValueError, match=r"1 photos .*\n.*photo of one person, got that of 007/fr"):
        load(album)


def test_all_that_cannot_be_read_is_in_one_error(album):
    (album / "007" / "x.jpg").write_bytes(b"")
    (album / "007" / "z.png").write_text("<html>")
    path = album / "王小明" / "照片.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError) as error:
        load(album)
    first, *lines = str(error.value).split("\n")
    assert first == f"{album}: 3 of 10 images are unusable"
    assert [line.split(":")[0].strip() for line in lines] == [
        "007/x.jpg",
        "007/z.png",
        "王小明/照片.jpg",
    ]
    assert not list((album.parent / "cache" / "packed").iterdir())


def test_stray_files_are_named_and_hidden_ones_are_not(album):
    (album / "notes.txt").write_text("")
    (album / "007" / "clip.mov").write_text("")
    (album / "007" / "._x.jpg").write_text("")
    (album / ".DS_Store").write_text("")
    (album / "Nobody").mkdir()
    photo(album / ".old" / "2023" / "x.jpg")
    photo(album / "007" / ".trash" / "x.jpg")
    photo(album / ".made" / "x.jpg")
    (album / ".made" / ".facelab").touch()
    (album / ".cache").mkdir()
    (album / ".cache" / "notes.txt").write_text("")
    with pytest.warns(UserWarning, match="5 files or folders are no photos") as warned:
        assert len(load(album)) == 9
    assert warned[0].filename == __file__  # whose line it was
    hidden = ".old (a hidden folder)", "007/.trash (a hidden folder)"
    for part in ("notes.txt", "007/clip.mov", "Nobody (a folder without a photo)", *hidden):
        assert part in str(warned[0].message)


def write_table(path, rows, encoding="utf-8", header="path,person"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding)
    return path


def test_a_table_says_who_is_in_which_photo(album):
    rows = ["007/x.jpg,Bond", "007/y.jpg,Bond", '王小明/照片.jpg,"Wang, X"']
    for encoding in ("utf-8", "utf-8-sig"):
        table = write_table(album / "agents.csv", rows, encoding)
        faces = load(table)
        assert faces.names == ("Bond", "Wang, X")
        ids = ["Bond/007/x.jpg", "Bond/007/y.jpg", "Wang, X/王小明/照片.jpg"]
        assert faces.image_ids.tolist() == ids
        assert faces.source == "agents"
        assert np.array_equal(faces.images[2], decode(album / "王小明" / "照片.jpg", 8))


def test_ids_of_photos_outside_the_tables_folder_hold_no_absolute_path(album, tmp_path):
    (tmp_path / "deep").mkdir()
    rows = [f"{album / '007' / file},Bond" for file in ("x.jpg", "y.jpg")]
    table = write_table(tmp_path / "deep" / "t.csv", rows)
    faces = load(table)
    assert faces.image_ids.tolist() == ["Bond/x.jpg", "Bond/y.jpg"]
    assert faces.root == "t.csv"


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a,b"], "file,name", "line 1: expected the columns path,person, got file,name"),
        (["a;b"], "path;person", "line 1: expected the columns path,person, got path;person"),
        (["007/x.jpg,Bond", "007/y.jpg"], "path,person", "line 3: expected 2 fields"),
        (["007/x.jpg,Bond, James"], "path,person", "line 2: expected 2 fields"),
        (["007/x.jpg, "], "path,person", "line 2: expected 2 fields"),
        ([], "path,person", "expected a folder for each person"),
        (["007/x.jpg,A", "007/x.jpg,B"], "path,person", "B/007/x.jpg: expected a photo of one"),
        (["007/x.jpg,../../A"], "path,person", r"line 2: expected a person's name .*\.\./A"),
        (["007/x.jpg,/tmp/A"], "path,person", "line 2: expected a person's name without /"),
        (["007/x.jpg,A\\B"], "path,person", "line 2: expected a person's name without /"),
        (["007/x.jpg,."], "path,person", "line 2: expected a person's name without /"),
        (["007/none.jpg,A"], "path,person", "A/007/none.jpg: missing"),
        (['"007/x.jpg,A'], "path,person", "expected a table in UTF-8, got"),
        ([f"{'x' * 200_000},A"], "path,person", "expected a table in UTF-8, got field larger"),
    ],
)
def test_a_table_that_is_none_is_an_error_that_names_it(album, rows, header, message):
    table = write_table(album / "agents.csv", rows, header=header)
    with pytest.raises(ValueError, match=message) as error:
        load(table)
    assert len(str(error.value)) < 1000


def test_a_folder_that_the_project_wrote_is_nobody(album):
    photo(album / "outputs" / "photos" / "aligned" / "007" / "x.jpg", 9)
    (album / "outputs" / "photos" / ".facelab").touch()
    with pytest.warns(UserWarning, match=r"outputs \(a folder without a photo\)"):
        assert load(album).names == tuple(sorted(PHOTOS))


def test_a_table_in_another_encoding_is_refused(album):
    table = write_table(album / "agents.csv", ["007/x.jpg,Zoë"], "latin-1")
    with pytest.raises(ValueError, match=r"agents\.csv: expected a table in UTF-8"):
        load(table)


def test_what_is_no_folder_of_people_is_refused(album, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a folder of people or a CSV at"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"expected a folder of people or a file \*\.csv, got"):
        load(album / "007" / "x.jpg")
    with pytest.raises(ValueError, match=r"expected a folder for each person, .* got x\.jpg; y\."):
        load(album / "007")


@pytest.mark.skipif(sys.platform != "linux", reason="names are Unicode there")
def test_a_name_that_is_no_text_is_refused(album):
    os.mkdir(os.fsencode(album) + b"/\xff")
    photo(Path(os.fsdecode(os.fsencode(album) + b"/\xff")) / "1.jpg")
    (album / "two\nlines").mkdir()
    photo(album / "two\nlines" / "1.jpg", 5)
    with pytest.raises(ValueError, match=r"2 photos cannot be told apart") as error:
        load(album)
    assert r"'\udcff/1.jpg': expected a name in UTF-8" in str(error.value)
    assert len(str(error.value).split("\n")) == 3


def test_drawn_people_stay_drawn_under_any_name(album):
    mark_as_drawn(album)
    assert load(album).synthetic
    assert load(write_table(album.parent / "t.csv", ["my friends/007/x.jpg,Bond"])).synthetic
    for person in PHOTOS:  # their photos in folders of folders
        (album / person).rename(album / "moved")
        (album / person).mkdir()
        (album / "moved").rename(album / person / "trip")
    assert load(album).synthetic


@pytest.mark.parametrize("size", [0, -1, 1.5, "8", True, None, 10**6, float("nan")])
def test_sizes_are_whole_and_not_too_large(album, size):
    with pytest.raises(ValueError, match="expected image_size a whole number from 1 to 4,096, got"):
        load(album, image_size=size)


def test_twelve_people_come_from_a_folder_to_a_split(tmp_path):
    for k in range(12):
        for i in range(3):
            photo(tmp_path / "faces" / f"Person {k}" / f"IMG_{i}.jpg", 3 * k + i)
    split = split_people(load(tmp_path / "faces"))
    assert [len(part.names) for part in split] == [6, 3, 3]
    assert split.test.image_ids[split.test.pairs.left[0]].split("/")[0] in split.test.names
