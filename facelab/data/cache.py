"""The cache of what can be made again, made once by whoever comes first."""

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch


def cache_dir() -> Path:
    """Return the folder for what can be made again: ``FACELAB_CACHE``, or the user's cache."""
    return Path(os.environ.get("FACELAB_CACHE") or pooch.os_cache("facelab"))


def made_once(path: Path, make: Callable[[Path], object]) -> Path:
    """Return the folder `path` after ``make(folder)`` has filled it, now or on an earlier call.

    Several processes may call this at once: the first to finish moves its folder into place.
    """
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", dir=path.parent) as temporary:
        folder = Path(temporary) / path.name
        folder.mkdir()
        make(folder)
        try:
            os.replace(folder, path)
        except OSError:
            if not path.exists():
                raise
    return path
