"""The cache: all images of a copy, checked whole and packed once into one mapped file."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np

from facelab.data.cache import cache_dir, made_once
from facelab.data.copies import Copy
from facelab.data.decoding import decode_all

VERSION = 1  # part of the stamp: raise it when the same files should give other pixels


def pack(
    copy: Copy, files: list[str], image_size: int, crop: int | None, progress: bool = True
) -> tuple[np.ndarray, str, list[str]]:
    """Return all images of a copy from the cache; pack them first if need be.

    Parameters
    ----------
    copy, files : Copy, list of str
        Where the images are, and the files ``NAME/NAME_0001.jpg`` that must be there.
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
        If images are unusable; the message lists each of them.
    """
    names = "\n".join(files).encode()
    sizes = f"{VERSION} {image_size} {crop}".encode()
    stamp = hashlib.sha256(b"\n".join([sizes, names, copy.stat(files)])).hexdigest()
    place = hashlib.sha256(str(copy.path.resolve()).encode()).hexdigest()[:8]
    stem = f"{copy.path.name}-{place}-{image_size}-{crop or 'whole'}"

    def write(folder: Path) -> None:
        shape = (len(files), 3, image_size, image_size)
        packed = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
        _, wrong = decode_all(copy, files, crop, progress, np.asarray(packed))
        if wrong:
            raise ValueError(_unusable(copy, wrong, len(files)))
        packed.flush()
        digest = hashlib.sha256(packed)
        digest.update(names)
        unknown = sorted(set(copy.files()) - set(files))
        note = {"path": str(copy.path), "unknown": unknown, "fingerprint": digest.hexdigest()}
        (folder / "note.json").write_text(json.dumps(note, indent=1))
        for old in cache_dir().glob(f"packed/{stem}-*"):
            shutil.rmtree(old, ignore_errors=True)

    folder = made_once(cache_dir() / "packed" / f"{stem}-{stamp[:16]}", write)
    packed = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    note = json.loads((folder / "note.json").read_text())
    return packed, note["fingerprint"], note["unknown"]


def _unusable(copy: Copy, wrong: dict[str, str], n_expected: int) -> str:
    message = f"{copy.path}: {len(wrong):,} of {n_expected:,} images are unusable"
    if len(wrong) == n_expected and len(set(wrong.values())) == 1:  # another set, a wrong crop
        file, reason = next(iter(wrong.items()))
        return f"{message}: each, such as {file}: {reason}"
    return message + "".join(f"\n  {file}: {reason}" for file, reason in wrong.items())
