"""Photos packed into the cache: decoded and checked once, then mapped."""

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facelab.checks import whole
from facelab.data.cache import cache_dir, made_once
from facelab.data.decoding import Decoded, decode_all

VERSION = 2  # of the packed pixels: raise it when the same files should give others
MOST_SIDE = 4096  # pixels of a packed image
TRIES = 3  # others may delete what has just been packed, when files change between


@dataclass(frozen=True)
class Photos:
    """Photos to pack: the folder of all, each one's name, its file, and if all have one size.

    What is packed replaces what was packed under the same `key`, by default the folder. `checksums`
    are the CRC-32 that the files are known to have, if any; `side` is of `decode`.
    """

    folder: Path
    names: list[str]
    files: list[str]
    one_size: bool = False
    key: str = ""
    checksums: np.ndarray | None = None
    side: int | None = None


def check_sizes(image_size: int, crop: int | None, side: int | None = None) -> None:
    """Raise a ValueError unless these are sizes of images in pixels."""
    whole("image_size", image_size, 1, MOST_SIDE)
    whole("side", 1 if side is None else side, 1, MOST_SIDE)
    whole("crop", 1 if crop is None else crop, 1, side or MOST_SIDE)


def name_apart(name: str, key: str) -> str:
    """Return a name for what is made of a folder: its own, and what tells `key` from others."""
    place = hashlib.sha256(_encode([key])).hexdigest()[:8]
    plain = re.sub(r"[^\w-]+", "_", name)[:60]
    return f"{plain}-{place}"


def pack(
    photos: Photos, image_size: int, crop: int | None, progress: bool
) -> tuple[np.ndarray, str]:
    """Map the pixels of `photos`; decode and pack them if the cache does not hold them.

    Returned are they, uint8 of (n, 3, image_size, image_size), and SHA-256 of them and the names.
    They are packed anew when a file's place, size or times have changed, or the cache is not as it
    was written. Photos that are missing, unreadable or wrong are one ValueError that lists all.
    What leaves no trace in these, as a disk that forgets, is not noticed, and damage inside a JPEG
    that still decodes only where its checksum is known: in the deep-funneled LFW.
    """
    of_side = f"of{photos.side}" if crop and photos.side else ""
    text = [f"{VERSION} {image_size} {crop}{of_side}", *photos.names, *photos.files]
    stamp = hashlib.sha256(_encode(text) + states_of(photos.files).tobytes()).hexdigest()
    key = photos.key or os.path.realpath(photos.folder)
    stem = f"{name_apart(photos.folder.name, key)}-{image_size}-{crop or 'whole'}{of_side}"
    path = cache_dir() / "packed" / f"{stem}-{stamp[:16]}"

    def make(folder):
        fingerprint = _write(photos, image_size, crop, progress, folder / "images.npy")
        written = states_of([folder / "images.npy"])[0, :2].tolist()
        note = {"fingerprint": fingerprint, "written": written}
        (folder / "note.json").write_text(json.dumps(note, indent=1))
        for old in path.parent.glob(f"{stem}-*"):
            shutil.rmtree(old, ignore_errors=True)

    for _ in range(TRIES):
        packed = _open(made_once(path, make))
        if packed is not None:
            return packed
        shutil.rmtree(path, ignore_errors=True)
    raise OSError(f"{path}: expected what was packed, got something else; delete it")


def check(
    photos: Photos, decoded: Iterable[Decoded], write: Callable[[np.ndarray], object] | None = None
) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Go through `decoded` photos, and give the pixels of each to `write`.

    Returns the (width, height) of each that could be read, and what is wrong, both by name.
    """
    sizes, wrong, checksums = {}, {}, {}
    for name, photo in zip(photos.names, decoded, strict=True):
        if photo.size:
            sizes[name] = photo.size
        if photo.wrong:
            wrong[name] = photo.wrong
            continue
        checksums[name] = photo.checksum
        if write:
            write(photo.pixels)
    if photos.one_size and sizes:
        ((width, height), _), *_ = Counter(sizes.values()).most_common(1)
        for name, (w, h) in sizes.items():
            if (w, h) != (width, height):
                reason = f"expected {width} x {height} pixels like the others, got {w} x {h}"
                wrong.setdefault(name, reason)
    if photos.checksums is not None:
        known = zip(photos.names, photos.checksums.tolist(), strict=True)
        others = [name for name, crc in known if checksums.get(name, crc) != crc]
        if len(others) < len(photos.names) / 2:  # else it is another edition, stored anew
            wrong |= dict.fromkeys(others, "damaged: not the file that all other copies have")
    return sizes, wrong


def _write(photos: Photos, image_size: int, crop, progress: bool, path: Path) -> str:
    """Write the pixels into a file, and return their fingerprint."""
    digest = hashlib.sha256()
    shape = (len(photos.files), 3, int(image_size), int(image_size))
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with open(path, "wb") as file:  # not mapped: a full disk would kill the process
        np.lib.format.write_array_header_1_0(file, header)

        def write(pixels):
            file.write(pixels)
            digest.update(pixels)

        title = photos.folder.name
        decoded = decode_all(photos.files, image_size, crop, title, progress, photos.side)
        _, wrong = check(photos, decoded, write)
    refuse_unusable(photos, wrong)
    digest.update(_encode(photos.names))
    return digest.hexdigest()


def _open(folder: Path) -> tuple[np.ndarray, str] | None:
    """Map what was packed; None if it is not what was written."""
    path = folder / "images.npy"
    try:
        note = json.loads((folder / "note.json").read_text())
        if note["written"] != states_of([path])[0, :2].tolist():
            return None
        return np.load(path, mmap_mode="r", allow_pickle=False), note["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def states_of(files: list[str | Path]) -> np.ndarray:
    """Return size and times of each file, int64 of (n, 3); zeros for one that is missing."""
    state = np.zeros((len(files), 3), np.int64)
    for row, file in enumerate(files):
        with suppress(OSError):
            stat = os.stat(file)
            state[row] = stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
    return state


def _encode(lines: list[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def refuse_unusable(photos: Photos, wrong: dict[str, str]) -> None:
    """Raise a ValueError that says how many photos are `wrong`, and lists each with its reason."""
    if not wrong:
        return
    n = len(photos.names)
    message = f"{photos.folder}: {len(wrong):,} of {n:,} images are unusable"
    if cache_dir() in photos.folder.parents:
        message += f" (unpacked; delete {photos.folder} to have it made again)"
    if n > 1 and len(wrong) == n and len(set(wrong.values())) == 1:  # another set, a wrong crop
        file, reason = next(iter(wrong.items()))
        raise ValueError(f"{message}: each, such as {file}: {reason}")
    raise ValueError(message + "".join(f"\n  {file}: {why}" for file, why in wrong.items()))
