import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pooch
import pytest

from facelab.data.cache import cache_dir, made_once
from facelab.data.lfw import load_lfw

posix = pytest.mark.skipif(os.name == "nt", reason="as POSIX has it")


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def copy(write_copy, tmp_path):
    return write_copy(tmp_path / "copy")


def load(root, **sizes):
    return load_lfw(root, **{"image_size": 8, "crop": 20, "progress": False} | sizes)


def test_the_cache_is_the_users_unless_the_environment_names_another(monkeypatch):
    monkeypatch.setenv("FACELAB_CACHE", "elsewhere")
    assert cache_dir() == Path("elsewhere")
    monkeypatch.delenv("FACELAB_CACHE")
    assert cache_dir() == pooch.os_cache("facelab")


def test_a_tilde_means_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME" if os.name != "nt" else "USERPROFILE", str(tmp_path))
    monkeypatch.setenv("FACELAB_CACHE", "~/faces")
    assert cache_dir() == tmp_path / "faces"


@posix
def test_the_home_of_nobody_is_refused(monkeypatch):
    monkeypatch.setenv("FACELAB_CACHE", "~nobody-of-that-name/faces")
    with pytest.raises(ValueError, match="expected FACELAB_CACHE to name a folder, got ~nobody"):
        cache_dir()


def test_a_cache_that_cannot_be_written_is_to_blame_not_the_data(copy, cache):
    cache.write_text("a file")
    with pytest.raises(OSError, match="expected a cache that can be written, .*FACELAB_CACHE") as e:
        load(copy)
    assert "\n" not in str(e.value)


def test_an_error_of_the_data_is_not_blamed_on_the_cache(cache, tmp_path):
    def make(folder):
        (tmp_path / "nowhere").read_bytes()

    with pytest.raises(FileNotFoundError, match="nowhere"):
        made_once(cache / "x", make)
    assert list(cache.iterdir()) == []


@posix
def test_a_full_disk_is_one_error_and_leaves_nothing(copy, cache):
    code = """
import resource, sys
from facelab.data.lfw import load_lfw
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # a write beyond it fails
load_lfw(sys.argv[1], image_size=64, crop=20, progress=False)
"""
    done = subprocess.run([sys.executable, "-c", code, copy], capture_output=True, text=True)
    *_, last = done.stderr.strip().split("\n")
    assert last.startswith("OSError: expected a cache that can be written, got File too large")
    assert "FACELAB_CACHE" in last
    assert list((cache / "packed").iterdir()) == []


KILLED = """
import os, signal, sys
from facelab.data import packing

def decode_all(*_):
    open(sys.argv[2], "w").close()
    signal.pause()

packing.decode_all = decode_all
from facelab.data.lfw import load_lfw
load_lfw(sys.argv[1], image_size=int(sys.argv[3]), crop=20, progress=False)
"""


@posix
def test_what_a_killed_packing_left_is_swept_and_what_a_living_one_makes_is_not(
    copy, cache, tmp_path
):
    code = [sys.executable, "-c", KILLED, str(copy)]
    sizes = {"killed": "8", "living": "16"}
    both = [subprocess.Popen([*code, str(tmp_path / name), sizes[name]]) for name in sizes]
    try:
        while not ((tmp_path / "killed").exists() and (tmp_path / "living").exists()):
            time.sleep(0.05)
            assert [process.poll() for process in both] == [None, None]
        assert len([path for path in (cache / "packed").iterdir() if path.is_dir()]) == 2
        both[0].kill()
        both[0].wait()
        load(copy)
        left = [path for path in (cache / "packed").iterdir() if path.name.startswith(".")]
        assert len(left) == 3  # a folder and its locks, of the one that lives
    finally:
        for process in both:
            process.kill()
            process.wait()
    os.utime(next(copy.rglob("*_0001.jpg")), (1, 1))
    load(copy)
    assert len(list((cache / "packed").iterdir())) == 1


def test_the_lock_of_a_maker_that_was_killed_before_or_after_its_work_is_swept(cache):
    for name in ("new", "there already"):
        lock = cache / ".making-0123abcd.lock"
        cache.mkdir(exist_ok=True)
        lock.touch()
        (cache / "there already").mkdir(exist_ok=True)
        assert made_once(cache / name, lambda folder: None).is_dir()
        assert {path.name for path in cache.iterdir()} <= {"new", "there already"}


def test_of_many_at_once_one_makes_and_the_others_wait(cache):
    made = []

    def make(folder):
        time.sleep(0.3)
        made.append(folder)

    with ThreadPoolExecutor(4) as pool:
        four = list(pool.map(made_once, [cache / "x"] * 4, [make] * 4))
    assert four == [cache / "x"] * 4 and len(made) == 1
    assert [path.name for path in cache.iterdir()] == ["x"]


def test_who_waited_for_one_that_failed_makes_it(cache):
    begun = threading.Event()

    def fail(folder):
        begun.set()
        time.sleep(0.3)
        raise KeyError("no")

    with ThreadPoolExecutor(1) as pool:
        failed = pool.submit(made_once, cache / "x", fail)
        begun.wait()
        assert made_once(cache / "x", lambda folder: None).is_dir()
        with pytest.raises(KeyError):
            failed.result()


def test_threads_that_pack_at_once_get_the_same(copy, cache):
    with ThreadPoolExecutor(4) as pool:
        four = list(pool.map(load, [copy] * 4))
    assert len({faces.fingerprint for faces in four}) == 1
    assert all(np.array_equal(faces.images, four[0].images) for faces in four)
    assert len(list((cache / "packed").iterdir())) == 1


def test_processes_that_pack_at_once_get_the_same(copy, cache):
    code = """
import sys
from facelab.data.lfw import load_lfw
faces = load_lfw(sys.argv[1], image_size=8, crop=20, progress=False)
print(faces.fingerprint, faces.images.sum())
"""
    command = [sys.executable, "-c", code, str(copy)]
    three = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate()[0] for process in three}
    assert len(said) == 1 and said != {""}
    assert len(list((cache / "packed").iterdir())) == 1


def spoil_pixels(folder):
    images = np.load(folder / "images.npy")
    np.save(folder / "images.npy", 255 - images)


def cut(folder):
    path = folder / "images.npy"
    os.truncate(path, path.stat().st_size - 10)


def other_shape(folder):
    np.save(folder / "images.npy", np.zeros((3, 3, 8, 8), np.uint8))


SPOILT = {
    "other pixels": spoil_pixels,
    "cut off": cut,
    "another shape": other_shape,
    "an array of objects": lambda folder: np.save(folder / "images.npy", [{}], allow_pickle=True),
    "no note": lambda folder: (folder / "note.json").unlink(),
    "an empty note": lambda folder: (folder / "note.json").write_text(""),
    "another's note": lambda folder: (folder / "note.json").write_text('{"stamp": "x"}'),
    "a note that is a list": lambda folder: (folder / "note.json").write_text("[]"),
    "nothing at all": lambda folder: [path.unlink() for path in folder.iterdir()],
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_cache_that_is_not_as_it_was_written_is_packed_anew(copy, cache, spoil):
    before = load(copy)
    images = before.images
    (folder,) = (cache / "packed").iterdir()
    del before
    spoil(folder)
    after = load(copy)
    assert np.array_equal(after.images, images)


@posix
def test_a_photo_changed_behind_its_size_and_time_is_noticed(copy):
    path = copy / "lfw-synthetic" / "Person_Aa" / "Person_Aa_0001.jpg"
    before = load(copy)
    stat = path.stat()
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"\xff\xdb") + 5] += 40  # a step of the brightness
    path.write_bytes(damaged)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = path.stat()
    assert (again.st_size, again.st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert load(copy).fingerprint != before.fingerprint
