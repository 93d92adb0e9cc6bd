"""Faces are moved so that their landmarks lie on the template."""

import importlib.util
import io
from threading import Barrier, Thread

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw

import facelab as fl
from facelab.data.alignment import COORDINATES, TEMPLATE, align, framed
from facelab.data.drawn.people import mark_as_drawn
from facelab.files import alone_in

needs_detector = pytest.mark.skipif(
    importlib.util.find_spec("facenet_pytorch") is None, reason="facelab[align] is not installed"
)


def write_photo(path, colour="grey", size=(90, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


def colour_of(path):
    return np.asarray(Image.open(path).convert("RGB").resize((1, 1)))[0, 0].argmax()


def turned(points, scale, degrees, shift):
    """Points of the template after a similarity transform."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return points @ turn.T + shift


def write_copy(root, faces):
    """Write a copy of LFW's layout, grey images with a red dot on each landmark, and the dots."""
    rows = []
    for name, points in faces.items():
        image = Image.new("RGB", (250, 250), "grey")
        for x, y in () if points is None else points:
            ImageDraw.Draw(image).ellipse((x - 2, y - 2, x + 2, y + 2), fill="red")
        path = root / "lfw" / name / f"{name}_0001.jpg"
        path.parent.mkdir(parents=True)
        image.save(path, quality=95)
        missing = np.full(10, np.nan)
        points = missing if points is None else points.ravel().round(2)
        rows.append([f"{name}/{name}_0001.jpg", int(not np.isnan(points).any()), *points])
    return pd.DataFrame(rows, columns=["file", "faces", *COORDINATES])


@pytest.mark.parametrize("margin", [0, 16])
def test_landmarks_come_to_lie_on_the_template(tmp_path, margin):
    faces = {"Anna": turned(TEMPLATE, 1.3, 20, (70, 10)), "Bert": turned(TEMPLATE, 0.8, -15, 60)}
    landmarks = write_copy(tmp_path, faces)
    out = tmp_path / "aligned"
    out.mkdir()
    landmarks.to_csv(out / "landmarks.csv", index=False)
    align(tmp_path / "lfw", out, margin=margin, progress=False)
    for name in faces:
        image = np.asarray(Image.open(out / name / f"{name}_0001.jpg"), int)
        assert image.shape == (112 + 2 * margin, 112 + 2 * margin, 3)
        red = image[..., 0] - image[..., 1]
        for x, y in (TEMPLATE + margin).round().astype(int):
            assert red[y, x] > 60, (name, x, y)
        assert (red > 60).mean() < 0.02
    with Image.open(out / "contact_sheet.jpg") as sheet:
        assert sheet.size == (2 * 112, 2 * 112)


def test_another_margin_is_written_anew_and_a_stopped_call_leaves_no_half_a_photo(
    tmp_path, monkeypatch
):
    out = tmp_path / "aligned"
    out.mkdir()
    landmarks = write_copy(tmp_path, {"Anna": turned(TEMPLATE, 1.3, 20, (70, 10))})
    landmarks.to_csv(out / "landmarks.csv", index=False)
    photo = out / "Anna" / "Anna_0001.jpg"

    def half(image, path, **_):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", half)
        with pytest.raises(KeyboardInterrupt):
            align(tmp_path / "lfw", out, progress=False)
    assert not list(photo.parent.iterdir())
    for margin in (0, 16):
        align(tmp_path / "lfw", out, margin=margin, progress=False)
        with Image.open(photo) as image:
            assert image.size == (112 + 2 * margin, 112 + 2 * margin)


def test_an_image_without_a_face_keeps_its_centre(tmp_path):
    landmarks = write_copy(tmp_path, {"Nobody": None})
    path = tmp_path / "lfw" / "Nobody" / "Nobody_0001.jpg"
    image = Image.new("RGB", (250, 250), "black")
    ImageDraw.Draw(image).rectangle((105, 105, 144, 144), fill="white")
    image.save(path, quality=95)
    out = tmp_path / "aligned"
    out.mkdir()
    landmarks.to_csv(out / "landmarks.csv", index=False)
    table = align(tmp_path / "lfw", out, progress=False)
    assert table["faces"].tolist() == [0]
    kept = np.asarray(Image.open(out / "Nobody" / "Nobody_0001.jpg").convert("L"), int)
    assert kept.shape == (112, 112)
    assert kept[49:62, 49:62].min() > 200 and kept[:40].max() < 60


def test_a_folder_of_people_is_aligned_and_loaded_again(tmp_path):
    rows = []
    for person, file in (("Zoë", "IMG 1.png"), ("Zoë", "2020/b.JPG"), ("42", "a.webp")):
        path = tmp_path / "mine" / person / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 200), "grey").save(path)
        name = f"{person}/{file}"
        name = name if name.endswith("JPG") else f"{name}.jpg"
        rows.append([name, 1, *turned(TEMPLATE, 1, 0, 20).ravel()])
    out = tmp_path / "out"
    out.mkdir()
    table = pd.DataFrame(rows, columns=["file", "faces", *COORDINATES])
    table.to_csv(out / "landmarks.csv", index=False)
    found = fl.align(tmp_path / "mine", out, progress=False)
    assert sorted(found["file"]) == sorted(table["file"])
    faces = fl.load_faces(out, image_size=32, progress=False)
    assert faces.names == ("42", "Zoë")
    assert len(faces) == 3


def test_drawn_people_stay_drawn_under_another_name(tmp_path, searched):
    write_photo(tmp_path / "friends" / "A" / "a.jpg")
    mark_as_drawn(tmp_path / "friends")
    fl.align(tmp_path / "friends", tmp_path / "out", progress=False)
    assert fl.load_faces(tmp_path / "out", image_size=8, progress=False).synthetic


def test_photos_that_cannot_be_read_are_all_listed_before_any_is_searched(tmp_path, monkeypatch):
    monkeypatch.setattr("facelab.data.alignment._detector", object)
    searched = "facelab.data.alignment._nearest_face"
    monkeypatch.setattr(searched, lambda *_: pytest.fail("searched"))
    for person in ("A", "B"):
        (tmp_path / "mine" / person).mkdir(parents=True)
        Image.new("RGB", (90, 90)).save(tmp_path / "mine" / person / "IMG_1.JPG")
        (tmp_path / "mine" / person / "IMG_2.JPG").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(ValueError, match="mine: 2 of 4 images are unusable") as error:
        fl.align(tmp_path / "mine", tmp_path / "out", progress=False)
    lines = str(error.value).splitlines()[1:]
    assert [line.split(":")[0].strip() for line in lines] == ["A/IMG_2.JPG", "B/IMG_2.JPG"]
    with pytest.raises(FileNotFoundError, match="expected a folder of people or a CSV at .*none"):
        fl.align(tmp_path / "none", tmp_path / "out")


def test_several_copies_of_lfw_or_a_damaged_one_are_no_people(tmp_path, searched, monkeypatch):
    for variant in ("lfw", "lfw_funneled"):
        write_photo(tmp_path / "two" / variant / "Anna" / "Anna_0001.jpg")
    (tmp_path / "lfw.tar.gz").write_bytes(b"\x1f\x8bcut off")
    monkeypatch.delenv("FACELAB_LFW", raising=False)
    refusals = {
        tmp_path / "two": "expected one copy, .* got lfw and lfw_funneled",
        tmp_path / "lfw.tar.gz": "lfw.tar.gz: expected a whole archive of LFW, got",
        tmp_path: "lfw.tar.gz: expected a whole archive of LFW, got",
        "lfw": "expected the environment variable FACELAB_LFW",
    }
    for source, refusal in refusals.items():
        with pytest.raises(ValueError, match=refusal):
            fl.align(source, tmp_path / "out", progress=False)
    assert not searched and not (tmp_path / "out").exists()


def test_what_was_searched_before_a_stop_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("facelab.data.alignment.SAVE_AFTER", 0)
    monkeypatch.setattr("facelab.data.alignment._detector", object)
    counted = []

    def search(_):
        counted.append(len(counted))
        if len(counted) == 3:
            raise KeyboardInterrupt
        return 1, turned(TEMPLATE, 1, 0, 20)

    monkeypatch.setattr("facelab.data.alignment._nearest_face", search)
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        write_photo(tmp_path / "mine" / "A" / name, "red")
    with pytest.raises(KeyboardInterrupt):
        fl.align(tmp_path / "mine", tmp_path / "out", progress=False)
    known = pd.read_csv(tmp_path / "out" / "landmarks.csv")
    assert known["file"].tolist() == ["A/a.jpg", "A/b.jpg"]
    fl.align(tmp_path / "mine", tmp_path / "out", progress=False)
    assert len(counted) == 4  # the third again, and no other


@pytest.fixture
def two_threads():
    """PyTorch may take two threads, in this test alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def threads_of_new_threads():
    found = []
    thread = Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return [torch.get_num_threads(), *found]


@pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
def test_two_photos_are_searched_at_once_each_in_one_thread(
    tmp_path, monkeypatch, two_threads, failure
):
    monkeypatch.setattr("facelab.data.alignment._detector", object)
    both, threads, named = Barrier(2, timeout=60), [], {}

    def search(image):
        threads.append(torch.get_num_threads())
        both.wait()  # for the search of the other photo
        if failure and image.size == (94, 80):
            raise failure
        return 1, turned(TEMPLATE, 1, 0, image.size[0])

    monkeypatch.setattr("facelab.data.alignment._nearest_face", search)
    for width in range(90, 96):
        write_photo(tmp_path / "mine" / "A" / f"{width}.jpg", size=(width, 80))
        named[f"A/{width}.jpg"] = width
    if failure:
        with pytest.raises(failure):
            fl.align(tmp_path / "mine", tmp_path / "out", progress=False)
    else:
        fl.align(tmp_path / "mine", tmp_path / "out", progress=False)
        known = pd.read_csv(tmp_path / "out" / "landmarks.csv")
        assert known["file"].tolist() == list(named)  # in order, each with its own landmarks
        expected = [turned(TEMPLATE, 1, 0, width)[0, 0] for width in named.values()]
        np.testing.assert_allclose(known["left_eye_x"], expected, atol=0.01)
    assert threads == [1] * 6
    assert threads_of_new_threads() == [2, 2]


def test_a_photo_that_has_changed_is_searched_and_written_again_and_the_others_are_not(
    tmp_path, searched
):
    out = tmp_path / "out"
    for name, colour in (("a.png", "red"), ("b.png", "red")):
        write_photo(tmp_path / "mine" / "A" / name, colour)
    first = fl.align(tmp_path / "mine", out, progress=False)
    assert first.columns.tolist() == ["file", "faces", *COORDINATES] and len(searched) == 2
    write_photo(tmp_path / "mine" / "A" / "b.png", "blue", (91, 80))
    fl.align(tmp_path / "mine", out, progress=False)
    assert searched[2:] == [(91, 80)]
    assert [colour_of(out / "A" / f"{name}.png.jpg") for name in "ab"] == [0, 2]
    write_photo(tmp_path / "theirs" / "A" / "a.png", "blue", (92, 80))
    fl.align(tmp_path / "theirs", out, progress=False)
    assert searched[3:] == [(92, 80)] and colour_of(out / "A" / "a.png.jpg") == 2
    known = pd.read_csv(out / "landmarks.csv").drop(columns="photo")
    assert known["file"].tolist() == ["A/a.png.jpg"]
    known.to_csv(out / "landmarks.csv", index=False)  # taken for any photo, then for these
    write_photo(tmp_path / "theirs" / "A" / "a.png", "red", (93, 80))
    fl.align(tmp_path / "theirs", out, progress=False)
    assert len(searched) == 4
    write_photo(tmp_path / "theirs" / "A" / "a.png", "red", (94, 80))
    fl.align(tmp_path / "theirs", out, progress=False)
    assert searched[4:] == [(94, 80)] and colour_of(out / "A" / "a.png.jpg") == 0


@pytest.mark.parametrize("out", ["mine", "mine/out", "mine/A", "."])
def test_originals_are_never_written_over_nor_joined(tmp_path, searched, out):
    for name in ("mine/A/a.jpg", "mine/mine/A/b.jpg"):  # whose face would be mine/A/b.jpg in "."
        write_photo(tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    with pytest.raises(ValueError, match="expected a folder outside of .*mine, got"):
        fl.align(tmp_path / "mine", tmp_path / out, progress=False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before
    (tmp_path / "t.csv").write_text("path,person\nmine/A/a.jpg,mine\n")
    with pytest.raises(ValueError, match="expected a folder outside of the photos, got"):
        fl.align(tmp_path / "t.csv", tmp_path, progress=False)


def test_photos_that_it_has_not_written_are_no_place_to_write(tmp_path, searched):
    for name in ("mine/A/a.jpg", "backup/A/a.jpg"):
        write_photo(tmp_path / name)
    before = (tmp_path / "backup/A/a.jpg").read_bytes()
    with pytest.raises(ValueError, match="backup: expected an empty folder, .* got A/a.jpg with"):
        fl.align(tmp_path / "mine", tmp_path / "backup", progress=False)
    assert (tmp_path / "backup/A/a.jpg").read_bytes() == before


def test_a_mark_above_the_people_marks_no_folder_among_them(tmp_path, searched):
    write_photo(tmp_path / "mine/A/a.jpg")
    (tmp_path / ".facelab").touch()
    with pytest.raises(ValueError, match="expected a folder outside of .*mine, got"):
        fl.align(tmp_path / "mine", tmp_path / "mine/out", progress=False)


def test_photos_of_names_that_would_be_one_get_two(tmp_path, searched):
    write_photo(tmp_path / "mine" / "P" / "a.png", "red")
    write_photo(tmp_path / "mine" / "P" / "a.png.jpg", "blue")
    found = fl.align(tmp_path / "mine", tmp_path / "out", progress=False)
    assert found["file"].tolist() == ["P/a.png.jpg.jpg", "P/a.png.jpg"]
    assert [colour_of(tmp_path / "out" / file) for file in found["file"]] == [0, 2]


def test_a_photo_smaller_than_any_face_is_one_without(tmp_path, searched):
    write_photo(tmp_path / "mine" / "A" / "small.jpg", size=(59, 200))
    write_photo(tmp_path / "mine" / "A" / "large.jpg", size=(60, 200))
    found = fl.align(tmp_path / "mine", tmp_path / "out", progress=False)
    assert found.set_index("file")["faces"].to_dict() == {"A/small.jpg": 0, "A/large.jpg": 1}
    assert searched == [(60, 200)]
    with Image.open(tmp_path / "out" / "A" / "small.jpg") as image:
        assert image.size == (112, 112)


def test_what_is_damaged_in_the_folder_is_named_or_made_again(tmp_path, searched):
    out = tmp_path / "out"
    write_photo(tmp_path / "mine" / "A" / "a.jpg", "red")
    fl.align(tmp_path / "mine", out, progress=False)
    photo = out / "A" / "a.jpg"
    whole = photo.read_bytes()
    for damaged in (b"", whole[:-100]):
        photo.write_bytes(damaged)
        fl.align(tmp_path / "mine", out, progress=False)
        assert photo.read_bytes() == whole
    assert len(searched) == 1
    header = ",".join(["file", "faces", *COORDINATES])
    row = f"\nA/a.jpg,1{',5' * 10}"
    lines = ("", "a,b\n1,2\n", f"{header}\na,1{',x' * 10}\n", header + row + row)
    for text in (*lines, header + row.replace("5", "inf", 1)):
        (out / "landmarks.csv").write_text(text)
        with pytest.raises(ValueError, match="landmarks.csv: expected a table of landmarks, got"):
            fl.align(tmp_path / "mine", out, progress=False)
    (out / "landmarks.csv").write_text(header + row)  # all at one place
    photo.unlink()
    with pytest.raises(ValueError, match="expected landmarks of a face, got"):
        fl.align(tmp_path / "mine", out, progress=False)
    with alone_in(out), pytest.raises(ValueError, match="expected a folder of its own"):
        fl.align(tmp_path / "mine", out, progress=False)


@pytest.mark.parametrize("margin", [-1, -60, 2.5, 100_000, "3", True])
def test_a_margin_that_is_none_is_refused_before_any_photo_is_searched(tmp_path, searched, margin):
    write_photo(tmp_path / "mine" / "A" / "a.jpg")
    with pytest.raises(ValueError, match="expected margin a whole number from 0 to 1,992, got"):
        fl.align(tmp_path / "mine", tmp_path / "out", margin=margin, progress=False)
    assert not searched and not (tmp_path / "out").exists()


@needs_detector
def test_a_drawn_face_is_found_or_counted_and_a_second_call_searches_no_more(tmp_path, monkeypatch):
    faces = {"Anna": TEMPLATE + 69, "Bert": TEMPLATE + 69}
    write_copy(tmp_path, faces)
    table = align(tmp_path / "lfw", tmp_path / "out", progress=False)
    assert table["file"].tolist() == ["Anna/Anna_0001.jpg", "Bert/Bert_0001.jpg"]
    assert (table["faces"] == 0).all() and table[COORDINATES].isna().all(axis=None)
    monkeypatch.setattr("facelab.data.alignment._detector", lambda: pytest.fail("searched again"))
    again = align(tmp_path / "lfw", tmp_path / "out", progress=False)
    pd.testing.assert_frame_equal(table, again, check_dtype=False)


def test_a_photo_framed_for_a_network_is_searched_in_one_thread_too(monkeypatch, two_threads):
    threads = []

    def search(_):
        threads.append(torch.get_num_threads())
        return 0, None

    monkeypatch.setattr("facelab.data.alignment._nearest_face", search)
    photo = io.BytesIO()
    Image.new("RGB", (90, 90)).save(photo, "png")
    with pytest.raises(ValueError, match="expected a face, found none"):
        framed(photo, 16, None, is_aligned=True)
    assert threads == [1] and threads_of_new_threads() == [2, 2]


@needs_detector
def test_on_lfw_the_face_nearest_the_centre_is_found(lfw_root, tmp_path):
    copy = tmp_path / "lfw-deepfunneled"
    for name in ("Aaron_Peirsol", "George_W_Bush"):
        source = lfw_root / "lfw-deepfunneled" / name / f"{name}_0001.jpg"
        (copy / name).mkdir(parents=True)
        (copy / name / source.name).write_bytes(source.read_bytes())
    table = fl.align(copy, tmp_path / "lfw-aligned", progress=False)
    assert (table["faces"] >= 1).all()
    middle = table[COORDINATES].to_numpy().reshape(-1, 5, 2).mean(axis=1)
    assert (np.abs(middle - 125) < 30).all()
