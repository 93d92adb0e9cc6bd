import os
import shutil
import subprocess
import sys
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facelab.data.cache import cache_dir
from facelab.data.copies import find
from facelab.data.decoding import decode_all
from facelab.data.inspect import info
from facelab.data.lfw import load_lfw, photos_of
from facelab.data.packing import Photos, check
from facelab.data.protocol import NamedPairs, Protocol, official
from facelab.data.protocol_text import write


@pytest.fixture(autouse=True)
def _fresh_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FACELAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def copy(write_copy, tmp_path):
    return write_copy(tmp_path / "copy")


def load(root, **sizes):
    return load_lfw(root, **{"image_size": 8, "crop": 20, "progress": False} | sizes)


def image(root, name, i, variant="lfw-synthetic"):
    return Path(root) / variant / name / f"{name}_{i:04d}.jpg"


def test_all_images_come_in_the_order_of_the_protocol(copy, small_protocol):
    faces = load(copy)
    assert faces.names == tuple(small_protocol.counts)
    assert faces.counts.tolist() == list(small_protocol.counts.values())
    assert faces.images.shape == (100, 3, 8, 8)
    assert faces.image_ids[:3].tolist() == ["Person_Aa_0001", "Person_Ab_0001", "Person_Ab_0002"]
    assert faces.source == "synthetic faces"
    assert faces.synthetic
    assert list(faces.protocol.pairs) == list(small_protocol.pairs)


def test_each_image_is_the_shrunken_centre_of_its_file(copy):
    faces = load(copy)
    for row in (0, 50, 99):
        with Image.open(image(copy, faces.names[faces.labels[row]], faces.numbers[row])) as file:
            centre = file.crop((10, 10, 30, 30)).resize((8, 8), Image.Resampling.LANCZOS)
        got = faces.images[row].transpose(1, 2, 0).astype(int)
        assert np.abs(got - np.asarray(centre, int)).max() < 40  # its filter also saw the rim
        assert np.abs(got - np.asarray(centre, int)).mean() < 3


def test_without_crop_and_at_full_size_the_pixels_are_the_files(copy):
    faces = load(copy, crop=None, image_size=40)
    with Image.open(image(copy, "Person_Ad", 3)) as file:
        row = faces.image_ids.tolist().index("Person_Ad_0003")
        assert np.array_equal(faces.images[row].transpose(1, 2, 0), np.asarray(file))


def test_grey_files_become_rgb(copy):
    with Image.open(image(copy, "Person_Aa", 1)) as file:
        grey = file.convert("L")
    grey.save(image(copy, "Person_Aa", 1))
    red, green, blue = load(copy).images[0]
    assert np.array_equal(red, green)
    assert np.array_equal(red, blue)


def test_one_error_lists_every_unusable_image_before_anything_is_packed(copy):
    whole = image(copy, "Person_Ad", 1).read_bytes()
    image(copy, "Person_Ad", 1).write_bytes(whole[: len(whole) // 2])
    image(copy, "Person_Ab", 2).write_bytes(b"")
    image(copy, "Person_Ac", 1).unlink()
    image(copy, "Person_Bn", 4).write_bytes(b"<html>Not found</html>")
    Image.new("RGB", (10, 10)).save(image(copy, "Person_Ag", 1))
    Image.new("RGB", (50, 40)).save(image(copy, "Person_Ag", 2))
    with pytest.raises(ValueError) as error:
        load(copy)
    first, *lines = str(error.value).split("\n")
    assert first == f"{copy / 'lfw-synthetic'}: 6 of 100 images are unusable"
    reasons = dict(line.strip().split(": ", 1) for line in lines)
    truncated = reasons.pop("Person_Ad/Person_Ad_0001.jpg")
    assert truncated.startswith("unreadable: image file is truncated")
    assert reasons == {
        "Person_Ab/Person_Ab_0002.jpg": "not an image that Pillow can read as JPEG, PNG or WebP",
        "Person_Ac/Person_Ac_0001.jpg": "missing",
        "Person_Ag/Person_Ag_0001.jpg": "expected at least 20 x 20 pixels, got 10 x 10",
        "Person_Ag/Person_Ag_0002.jpg": "expected 40 x 40 pixels like the others, got 50 x 40",
        "Person_Bn/Person_Bn_0004.jpg": "not an image that Pillow can read as JPEG, PNG or WebP",
    }
    assert not list((cache_dir() / "packed").iterdir())


@pytest.mark.parametrize("cut", [3, 100, 300])
def test_a_jpeg_that_lost_its_last_bytes_is_noticed(copy, cut):
    path = image(copy, "Person_Ad", 1)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(
        ValueError, match=r"1 of 100 .*\n.*Person_Ad_0001\.jpg: unreadable: .*trunc"
    ):
        load(copy)


def test_a_crop_that_fits_no_image_is_one_line(copy):
    with pytest.raises(
        ValueError, match=r"100 of 100 .* expected at least 60 x 60 .* 40 x 40"
    ) as e:
        load(copy, crop=60)
    assert "\n" not in str(e.value)


def test_images_of_others_than_lfw_without_lists_are_refused(copy):
    for path in copy.glob("*.txt"):
        path.unlink()
    with pytest.raises(ValueError, match=r"13,233 of 13,233 .* such as AJ_Cook.*: missing"):
        load(copy)


def test_a_swapped_column_in_a_list_is_named_with_its_line(copy):
    text = (copy / "pairsDevTrain.txt").read_text()
    (copy / "pairsDevTrain.txt").write_text(text.replace("Person_Ac\t1\t3", "1\tPerson_Ac\t3"))
    with pytest.raises(
        ValueError,
        match=r"pairsDevTrain\.txt, line 3: expected NAME<tab>NUMBER.*got '1\\tPerson_Ac\\t3'",
    ):
        load(copy)


def test_files_that_the_protocol_does_not_know_are_warned_of_each_time(copy):
    shutil.copy(image(copy, "Person_Aa", 1), image(copy, "Person_Aa", 2))
    (copy / "lfw-synthetic" / "Person_Aa" / ".DS_Store").write_text("")
    message = "not know 1 of the files: Person_Aa/Person_Aa_0002"
    for _ in range(2):
        with pytest.warns(UserWarning, match=message) as warned:
            faces = load(copy)
        assert warned[0].filename == __file__  # whose line it was
    assert len(faces) == 100


def packed_file():
    (path,) = (cache_dir() / "packed").glob("*/images.npy")
    return path


def test_the_second_load_maps_the_same_file(copy):
    first = load(copy)
    before = packed_file().stat()
    second = load(copy)
    assert packed_file().stat() == before
    assert isinstance(second.packed, np.memmap)
    assert not second.packed.flags.writeable
    assert second.fingerprint == first.fingerprint
    assert len(first.fingerprint) == 64


def test_the_crop_is_stored_once_and_every_split_is_a_view_of_it(copy):
    faces = load(copy)
    assert 0 < packed_file().stat().st_size - 100 * 3 * 8 * 8 < 1000  # pixels and a header
    assert len(list((cache_dir() / "packed").glob("*/*"))) == 2  # and a note
    assert faces.select(faces.names[3:9]).packed is faces.packed


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_share_the_packed_images_without_copies(copy):
    code = """
import re, sys
from facelab.data.decoding import decode_all
from facelab.data.lfw import load_lfw, photos_of
from facelab.data.packing import Photos, check
from facelab.data.protocol import NamedPairs, Protocol, official
from facelab.data.protocol_text import write
faces = load_lfw(sys.argv[1], image_size=128, crop=None, progress=False)
assert faces.packed.sum()  # reads every pixel
entry = open("/proc/self/smaps").read().split("images.npy\\n")[1]
print(*(re.search(rf"{key}: +(\\d+)", entry)[1] for key in ("Rss", "Anonymous")))
"""
    load(copy, image_size=128, crop=None)
    command = [sys.executable, "-c", code, str(copy)]
    resident, anonymous = map(int, subprocess.check_output(command, text=True).split())
    assert resident >= 100 * 3 * 128 * 128 // 1024  # kB, all of it the file's own pages
    assert anonymous == 0  # no page is this process's own


def test_a_lost_image_is_noticed_after_packing(copy):
    load(copy)
    image(copy, "Person_Ab", 2).unlink()
    with pytest.raises(ValueError, match=r"1 of 100 .*\n.*Person_Ab_0002.jpg: missing"):
        load(copy)


def test_other_sizes_are_packed_beside(copy):
    fingerprints = {
        load(copy, image_size=s, crop=c).fingerprint for s in (4, 8) for c in (20, None)
    }
    assert len(fingerprints) == 4
    assert len(list((cache_dir() / "packed").glob("*/*.npy"))) == 4


def test_a_changed_image_is_packed_anew_in_place(copy):
    before = load(copy).fingerprint
    path = image(copy, "Person_Aa", 1)
    Image.new("RGB", (40, 40), "red").save(path)
    after = load(copy)
    assert after.fingerprint != before
    assert after.images[0, 0].min() > 250
    assert packed_file()


def test_an_image_spoilt_after_packing_is_noticed(copy):
    load(copy)
    path = image(copy, "Person_Aa", 1)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match="1 of 100 images are unusable"):
        load(copy)


def test_the_same_size_with_another_time_is_packed_anew(copy):
    load(copy)
    path = image(copy, "Person_Aa", 1)
    os.utime(path, (1, 1))
    before = packed_file().stat().st_mtime_ns
    load(copy)
    assert packed_file().stat().st_mtime_ns > before


def test_packing_leaves_one_folder(copy):
    load(copy)
    os.utime(image(copy, "Person_Aa", 1), (1, 1))
    load(copy)
    assert len(list((cache_dir() / "packed").iterdir())) == 1


@pytest.mark.parametrize(
    ("variant", "source"),
    [
        ("lfw", "LFW"),
        ("lfw_funneled", "LFW funneled"),
        ("lfw-deepfunneled", "LFW deep-funneled"),
    ],
)
def test_every_variant_is_found_below_itself_and_doubled(write_copy, tmp_path, variant, source):
    root = write_copy(tmp_path / "data", variant)
    below, itself = load(root), load(root / variant)
    assert find(root).source == source
    assert below.source == itself.source == f"own faces in {variant}"  # its lists are not LFW's
    assert not below.synthetic
    assert below.fingerprint == itself.fingerprint
    doubled = tmp_path / "doubled"
    shutil.move(root / variant, doubled / variant / variant)
    for path in root.glob("*.txt"):
        shutil.move(path, doubled)
    assert load(doubled).fingerprint == below.fingerprint


def test_a_container_may_be_called_lfw_too(write_copy, tmp_path):
    assert find(write_copy(tmp_path / "lfw", "lfw_funneled")).source == "LFW funneled"


def test_two_variants_are_ambiguous(write_copy, tmp_path):
    root = write_copy(tmp_path / "data", "lfw")
    (root / "lfw_funneled").mkdir()
    with pytest.raises(ValueError, match="expected one copy, .* got lfw and lfw_funneled"):
        load(root)


def test_a_folder_called_as_an_archive_is_none(tmp_path):
    (tmp_path / "lfw.zip" / "A").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"expected one copy, a folder lfw, .* got none"):
        load(tmp_path)


def test_a_folder_without_images_and_a_missing_one_say_what_was_expected(tmp_path):
    with pytest.raises(ValueError, match=r"expected one copy, a folder lfw, .* got none"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="got nothing"):
        load(tmp_path / "nowhere")


def test_the_word_lfw_means_the_folder_in_the_environment(copy, monkeypatch):
    monkeypatch.setenv("FACELAB_LFW", str(copy))
    assert load("lfw").fingerprint == load(copy).fingerprint
    monkeypatch.delenv("FACELAB_LFW")
    with pytest.raises(ValueError, match=r"FACELAB_LFW .* got nothing; 'facelab data fetch'"):
        load("lfw")


def test_sizes_must_be_positive(copy):
    with pytest.raises(ValueError, match="image_size a whole number .*, got 0"):
        load(copy, image_size=0, crop=128)


def test_an_aligned_copy_is_meant_only_when_it_is_named(write_copy, tmp_path):
    root = write_copy(tmp_path / "data", "lfw-synthetic", size=40)
    shutil.copytree(root / "lfw-synthetic", root / "lfw-aligned")
    assert find(root).path == root / "lfw-synthetic"
    assert find(root / "lfw-aligned").path == root / "lfw-aligned"
    shutil.rmtree(root / "lfw-synthetic")
    assert find(root).path == root / "lfw-aligned"  # nothing else can be meant


def renamed(copy, change):
    """Give every image file another name."""
    for path in copy.rglob("*.jpg"):
        path.rename(path.with_name(change(path.name)))


def in_form(form):
    def change(copy):
        for path in [*copy.rglob("*_00*.jpg"), *(copy / "lfw-synthetic").iterdir()]:
            path.rename(path.with_name(unicodedata.normalize(form, path.name)))

    return change


def linked(copy):
    (copy / "elsewhere").mkdir()
    for path in list((copy / "lfw-synthetic").iterdir()):
        path.rename(copy / "elsewhere" / path.name)
        path.symlink_to(copy / "elsewhere" / path.name)


def with_bom(copy):
    for path in copy.glob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


needs_links = pytest.mark.skipif(os.name == "nt", reason="links need rights there")
WAYS = {
    "folders that are links": pytest.param(linked, marks=needs_links),
    "names in composed form": in_form("NFC"),
    "names in decomposed form": in_form("NFD"),
    "capitals": lambda copy: renamed(copy, lambda name: name.replace(".jpg", ".JPG")),
    "jpeg": lambda copy: renamed(copy, lambda name: name.replace(".jpg", ".Jpeg")),
    "lists as Windows writes them": with_bom,
}


@pytest.mark.parametrize("change", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_copy_as_people_have_it_loads_as_its_original(tmp_path, form, change):
    root = people_of_any_name(tmp_path / "copy", form)
    before = load(root)
    change(root)
    after = load(root)
    assert after.fingerprint == before.fingerprint
    assert after.names == before.names == ("007", "Ana", "Bo", "Zo\u00eb")
    text, ok = info(root, crop=20, progress=False)
    assert ok and "16 images" in text and "unknown" not in text


def people_of_any_name(root, form):
    counts = {unicodedata.normalize(form, name): 4 for name in ("007", "Ana", "Bo", "Zo\u00eb")}
    names = list(counts)
    halves = names[:2], names[2:]
    pairs = [
        NamedPairs.of(
            [(a, 1, a, 2, fold), (b, 3, b, 4, fold), (a, 1, b, 1, fold), (a, 2, b, 2, fold)]
        )
        for fold, (a, b) in enumerate(halves)
    ]
    both = NamedPairs.of([*pairs[0], *pairs[1]])
    one = NamedPairs.of([(*pair[:4], 0) for pair in pairs[1]])
    parts = tuple(map(tuple, halves))
    protocol = Protocol(counts, *parts, parts, pairs[0], one, both)
    for k, name in enumerate(names):
        (root / "lfw-synthetic" / name).mkdir(parents=True)
        for i in range(1, 5):
            coarse = np.random.default_rng(10 * k + i).integers(0, 256, (5, 5, 3), np.uint8)
            image = Image.fromarray(coarse).resize((40, 40))
            image.save(root / "lfw-synthetic" / name / f"{name}_{i:04d}.jpg")
    write(protocol, root)
    return root


def spoil_size(copy):
    Image.new("RGB", (50, 40)).save(image(copy, "Person_Ag", 2))


def take_list(copy):
    (copy / "people.txt").unlink()


SPOILT = {
    "nothing": lambda copy: None,
    "a size": spoil_size,
    "a list": take_list,
    "a list that cannot be read": lambda copy: (copy / "pairs.txt").write_bytes(b"\xff\xfe"),
    "an image": lambda copy: image(copy, "Person_Ab", 2).write_bytes(b"x"),
    "a person": lambda copy: shutil.rmtree(copy / "lfw-synthetic" / "Person_Aa"),
    "all": lambda copy: shutil.rmtree(copy / "lfw-synthetic"),
    "another file": lambda copy: (copy / "lfw-synthetic" / "Person_Aa" / "x.jpg").write_text("x"),
    "a link to itself": lambda copy: (copy / "lfw-synthetic" / "loop").symlink_to("loop"),
    "a file among the people": lambda copy: (copy / "lfw-synthetic" / "x.txt").write_text("x"),
}


@pytest.mark.filterwarnings("ignore:.*does not know:UserWarning")
@pytest.mark.parametrize("crop", [20, None, 50])
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_info_and_loading_agree(copy, spoil, crop):
    spoil(copy)
    text, ok = info(copy, crop=crop, progress=False)
    if ok:
        assert len(load(copy, crop=crop)) == 100
    else:
        with pytest.raises((ValueError, OSError)) as error:
            load(copy, crop=crop)
        assert str(error.value).split(": ")[-1] in text


def test_info_describes_a_whole_copy(copy):
    text, ok = info(copy, crop=20, progress=False)
    lines = dict(line.split("  ", 1) for line in text.split("\n"))
    facts = {key.strip(): value.strip() for key, value in lines.items()}
    assert ok
    assert facts["images are"] == "synthetic faces"
    assert facts["people"] == "40, of whom 30 with 2+ (most: Person_Ad, 4)"
    assert facts["images"] == "100"
    assert facts["pixels"] == "40 x 40 (100 images)"
    assert facts["wrong"] == "nothing"


def test_info_lists_what_is_wrong_and_does_not_raise(copy, tmp_path):
    image(copy, "Person_Ab", 2).write_bytes(b"")
    image(copy, "Person_Ac", 1).unlink()
    shutil.copy(image(copy, "Person_Aa", 1), image(copy, "Person_Aa", 2))
    text, ok = info(copy, crop=20, progress=False)
    assert not ok
    assert "Person_Ab_0002.jpg: not an image" in text
    assert "Person_Ac_0001.jpg: missing" in text
    assert text.endswith("\n  Person_Aa/Person_Aa_0002.jpg")
    (copy / "pairs.txt").write_text("nonsense")
    text, ok = info(copy, crop=20, progress=False)
    assert not ok
    assert "pairs.txt, line 1: expected" in text
    assert "99" in text  # the images are counted all the same
    assert info(tmp_path / "nowhere", progress=False)[1] is False


def test_real_lfw_is_whole(real_faces):
    assert len(real_faces.names) == 5749
    assert len(real_faces) == 13233
    assert (real_faces.counts >= 2).sum() == 1680
    assert real_faces.names[real_faces.counts.argmax()] == "George_W_Bush"
    assert np.ptp(real_faces.images.reshape(len(real_faces), -1), axis=1).min() > 0  # none blank


def test_a_file_that_is_not_what_all_others_have_is_damaged(copy):
    files = [str(image(copy, "Person_Ad", i)) for i in (1, 2, 3, 4)]
    names = [Path(file).name for file in files]
    known = np.array([zlib.crc32(Path(file).read_bytes()) for file in files], np.uint32)

    def wrong(checksums):
        photos = Photos(copy, names, files, checksums=checksums)
        return check(photos, decode_all(files, 1, 20, "", progress=False))[1]

    assert wrong(known) == {}
    one = known + np.array([0, 1, 0, 0], np.uint32)
    assert list(wrong(one)) == [names[1]] and wrong(one)[names[1]].startswith("damaged: not")
    assert wrong(known + np.uint32(1)) == {}  # a copy that was stored anew


def test_the_checksums_of_real_lfw_are_those_of_its_files(lfw_root):
    copy = find(lfw_root)
    photos, _ = photos_of(copy, official())
    if copy.path.name == "lfw-deepfunneled":
        for file, known in list(zip(photos.files, photos.checksums, strict=True))[::500]:
            assert zlib.crc32(Path(file).read_bytes()) == known
    else:
        assert photos.checksums is None
