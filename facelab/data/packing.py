"""The cache: all images of a copy, checked whole and packed once into one mapped file."""

import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import pooch

from facelab.data.copies import Copy
from facelab.data.decoding import decode_all

VERSION = 1  # part of the stamp: raise it when the same files should give other pixels


def cache_dir() -> Path:
    """Return the folder for packed images: ``FACELAB_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("FACELAB_CACHE") or pooch.os_cache("facelab"))


def pack(
    copy: Copy, files: list[str], image_size: int, crop: int | None, progress: bool = True
) -> tuple[np.ndarray, str, list[str]]:
    """Return all images of a copy from the cache; pack them first if need be.

    Parameters
    ----------
    copy : Copy
        Where the images are.
    files : list of str
        The files ``NAME/NAME_0001.jpg`` that must be there.
    image_size, crop, progress
        As in `load_lfw`.

    Returns
    -------
    packed : ndarray of shape (n_files, 3, image_size, image_size), uint8
        A read-only map of the cache file, which processes share.
    fingerprint : str
        SHA-256 of the pixels and the names of the files.
    unknown : list of str
        Files of the copy that are not among `files`.

    Raises
    ------
    ValueError
        If images are missing, unreadable, cut off or of another size than the others; the message
        lists each of them.
    """
    place = hashlib.sha256(str(copy.path.resolve()).encode()).hexdigest()[:8]
    stem = f"{copy.variant.folder}-{place}-{image_size}-{crop or 'whole'}"
    path = cache_dir() / "packed" / f"{stem}.npy"
    stamp = _stamp(copy, files, image_size, crop)
    note = _fresh_note(path, stamp)
    if note is None:
        note = _write(path, stamp, copy, files, image_size, crop, progress)
    packed = np.load(path, mmap_mode="r", allow_pickle=False)
    return packed, note["fingerprint"], note["unknown"]


def _stamp(copy: Copy, files: list[str], image_size: int, crop: int | None) -> str:
    """Tell apart what would be packed otherwise."""
    sizes = f"{VERSION} {image_size} {crop}".encode()
    state = [sizes, "\n".join(files).encode(), copy.stat(files)]
    return hashlib.sha256(b"\n".join(state)).hexdigest()


def _fresh_note(path: Path, stamp: str) -> dict | None:
    """Return the note beside the packed file, if both are whole and still true."""
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        stat = path.stat()
    except (FileNotFoundError, ValueError):
        return None
    return note if note.get("fresh") == [stamp, stat.st_size, stat.st_mtime_ns] else None


def _write(path: Path, stamp: str, copy: Copy, files, image_size, crop, progress) -> dict:
    """Write all images to `path` and a note beside it; others see the whole file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(f"{path.stem}.*.tmp"):  # of a process that was killed
        if time.time() - left_over.stat().st_mtime > 3600:
            left_over.unlink(missing_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    shape = (len(files), 3, image_size, image_size)
    try:
        packed = np.lib.format.open_memmap(temporary, "w+", np.uint8, shape)
        _, wrong, unknown = decode_all(copy, files, crop, progress, np.asarray(packed))
        if wrong:
            raise ValueError(_unusable(copy, wrong, len(files)))
        digest = hashlib.sha256(packed)
        digest.update("\n".join(files).encode())
        packed.flush()
        stat = temporary.stat()
        os.replace(temporary, path)
        note = {
            "path": str(copy.path),
            "unknown": unknown,
            "fingerprint": digest.hexdigest(),
            "fresh": [stamp, stat.st_size, stat.st_mtime_ns],
        }
        temporary.write_text(json.dumps(note, indent=1))
        os.replace(temporary, path.with_suffix(".json"))
        return note
    finally:
        temporary.unlink(missing_ok=True)


def _unusable(copy: Copy, wrong: dict[str, str], n_expected: int) -> str:
    message = f"{copy.path}: {len(wrong):,} of {n_expected:,} images are unusable"
    if len(wrong) == n_expected and len(set(wrong.values())) == 1:  # another set, a wrong crop
        file, reason = next(iter(wrong.items()))
        return f"{message}: each, such as {file}: {reason}"
    return message + "".join(f"\n  {file}: {reason}" for file, reason in wrong.items())
