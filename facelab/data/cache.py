"""The cache of what can be made again, made once by whoever comes first."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import pooch
from filelock import FileLock, Timeout

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)  # by a disk, when it is written


def cache_dir() -> Path:
    """Return the folder for what can be made again: ``FACELAB_CACHE``, or the user's cache."""
    name = os.environ.get("FACELAB_CACHE") or str(pooch.os_cache("facelab"))
    path = os.path.expanduser(name)
    if path.startswith("~"):
        raise ValueError(f"expected FACELAB_CACHE to name a folder, got {name}, nobody's home")
    return Path(path)


def made_once(path: Path, make: Callable[[Path], object]) -> Path:
    """Return the folder `path` after ``make(folder)`` has filled it, now or on an earlier call.

    Threads, processes and machines may call this at once: one makes it, and the others wait. On a
    disk without locks each makes a folder of its own, and the first to finish moves it into place.
    What a killed call has left behind is deleted. A cache that cannot be written, or is full, is an
    OSError that names ``FACELAB_CACHE``.
    """
    with suppress(OSError):  # of a cache that may only be read
        _sweep(path.parent)
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent / f".making-{path.name}.lock"):
            if not path.exists():
                _make(path, make)
    except OSError as e:
        if not _is_of_cache(e, path):
            raise
        raise OSError(
            f"expected a cache that can be written, got {e.strerror or e} in {cache_dir()}; "
            "name a folder with more room in the environment variable FACELAB_CACHE"
        ) from e
    return path


def _make(path: Path, make: Callable[[Path], object]) -> None:
    place = path.parent / f".making-{uuid4().hex}"
    with _locked(place.with_suffix(".lock")):
        try:
            folder = place / path.name
            folder.mkdir(parents=True)
            make(folder)
            try:
                os.replace(folder, path)
            except OSError:
                if not path.exists():
                    raise
        finally:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    lock = FileLock(file)
    with suppress(NotImplementedError):  # a disk without locks, where nothing is swept either
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # who waits for it has it open; Windows then lets it stay
            file.unlink()


def _sweep(parent: Path) -> None:
    """Delete what makers left behind that have ended: the system has freed their locks."""
    for file in parent.glob(".making-*.lock"):
        place = file.with_suffix("")
        with suppress(Timeout, NotImplementedError):
            with FileLock(file, timeout=0):
                shutil.rmtree(place, ignore_errors=True)
            if not place.exists():
                file.unlink(missing_ok=True)


def _is_of_cache(error: OSError, path: Path) -> bool:
    """Say whether it was the cache that failed, not a file that was read to fill it."""
    if error.errno in REFUSED or error.filename is None:
        return True
    place = os.fsdecode(error.filename)
    return Path(place).is_relative_to(path.parent) or path.is_relative_to(place)
