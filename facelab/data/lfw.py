"""LFW, and any folder in its layout: checked whole, then packed once into one mapped file."""

import hashlib
import json
import os
import re
import time
import warnings
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

from facelab.data.copies import SOURCES, Copy, check, find
from facelab.data.protocol import FILES, Protocol, official
from facelab.data.protocol_text import read
from facelab.faces import Faces, cache_dir

_PACKING = 1  # part of the stamp: raise it when the same files should give other pixels


def _files(protocol: Protocol) -> list[str]:
    counts = protocol.counts.items()
    return [f"{name}/{name}_{i:04d}.jpg" for name, n in counts for i in range(1, n + 1)]


def _error(copy: Copy, wrong: dict[str, str], n_expected: int) -> ValueError:
    if len(wrong) == n_expected and len(set(wrong.values())) == 1:  # another set, a wrong crop
        file, reason = next(iter(wrong.items()))
        lines = f": each, such as {file}: {reason}"
    else:
        lines = "".join(f"\n  {file}: {reason}" for file, reason in wrong.items())
    return ValueError(f"{copy.path}: {len(wrong):,} of {n_expected:,} images are unusable{lines}")


def _is_fresh(path: Path, stamp: str) -> dict | None:
    """Return what `_pack` noted beside the packed file, if that is whole and still true."""
    try:
        note = json.loads(path.with_suffix(".json").read_text())
        stat = path.stat()
    except (FileNotFoundError, ValueError):
        return None
    fresh = [stamp, stat.st_size, stat.st_mtime_ns]
    return note if note.get("fresh") == fresh else None


def _stamp(copy: Copy, files: list[str], image_size: int, crop: int | None) -> str:
    """Tell apart what would be packed otherwise."""
    state = [f"{_PACKING} {image_size} {crop}".encode(), "\n".join(files).encode()]
    return hashlib.sha256(b"\n".join([*state, copy.stat(files)])).hexdigest()


def _pack(copy: Copy, expected: list[str], image_size, crop, progress, path: Path, stamp) -> dict:
    """Write all images to `path` and a note beside it; others see the whole file or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left_over in path.parent.glob(f"{path.stem}.*.tmp"):  # of a process that was killed
        if time.time() - left_over.stat().st_mtime > 3600:
            left_over.unlink(missing_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        packed = np.lib.format.open_memmap(
            temporary, "w+", np.uint8, (len(expected), 3, image_size, image_size)
        )
        _, wrong, unknown = check(copy, expected, crop, progress, np.asarray(packed))
        if wrong:
            raise _error(copy, wrong, len(expected))
        digest = hashlib.sha256(packed)
        digest.update("\n".join(expected).encode())
        packed.flush()
        stat = temporary.stat()
        os.replace(temporary, path)
        note = {
            "source": SOURCES[copy.variant],
            "path": str(copy.path),
            "images": len(expected),
            "unknown": unknown,
            "fingerprint": digest.hexdigest(),
            "fresh": [stamp, stat.st_size, stat.st_mtime_ns],
        }
        temporary.write_text(json.dumps(note, indent=1))
        os.replace(temporary, path.with_suffix(".json"))
        return note
    finally:
        temporary.unlink(missing_ok=True)


def load_lfw(
    root: str | Path, image_size: int = 64, crop: int | None = 128, progress: bool = True
) -> Faces:
    """Load every image of a copy of LFW, or of any folder in its layout.

    The first call decodes and checks all files and packs them into one file in the user's cache
    (`cache_dir`), about 160 MB for LFW at 64 px; the next ones map that file, which processes
    share. It is packed anew when an image has changed, gone or come back, as told by the size and
    the modification time of each file (or of the archive). Not noticed: an image that was changed
    without either, and new files that the protocol does not know.

    Parameters
    ----------
    root : str or Path
        ``"synthetic"``: the built-in drawn faces. ``"lfw"``: the folder that the environment
        variable ``FACELAB_LFW`` names. Else a folder: ``lfw``, ``lfw_funneled``,
        ``lfw-deepfunneled`` or ``lfw-synthetic`` itself, one that holds one of these (also
        doubled, as Kaggle's), or one that holds the mirror's archive; or that archive.
    image_size : int
        Height and width of the loaded images, in pixels.
    crop : int, optional
        Central pixels of each file that are kept, before resizing; None keeps all. LFW's files
        are 250 x 250 and their central 128 hold the face.
    progress : bool
        Show a progress bar while packing.

    Returns
    -------
    Faces
        All images of the protocol, in its order, with `protocol` set and no pairs.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `root`.
    ValueError
        If `root` holds no copy or several, a list is broken, or images are missing, unreadable,
        cut off or of another size than the others; the message lists each of them.

    Warns
    -----
    UserWarning
        If the copy has files that the protocol does not know.
    """
    if image_size < 1 or (crop is not None and crop < 1):
        raise ValueError(f"expected positive sizes, got image_size={image_size}, crop={crop}")
    copy = find(root)
    protocol = read(*copy.lists)
    files = _files(protocol)
    stamp = _stamp(copy, files, image_size, crop)
    place = hashlib.sha256(str(copy.path.resolve()).encode()).hexdigest()[:8]
    stem = f"{copy.variant}-{place}-{image_size}-{crop or 'whole'}"
    path = cache_dir() / "packed" / f"{stem}.npy"
    note = _is_fresh(path, stamp)
    if note is None:
        note = _pack(copy, files, image_size, crop, progress, path, stamp)
    if unknown := note["unknown"]:
        warnings.warn(
            f"{copy.path}: the protocol does not know {len(unknown):,} of the files: "
            f"{', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}",
            stacklevel=2,
        )
    counts = np.array(list(protocol.counts.values()))
    first = np.cumsum(counts) - counts
    return Faces(
        packed=np.load(path, mmap_mode="r", allow_pickle=False),
        rows=np.arange(len(files)),
        labels=np.repeat(np.arange(len(counts)), counts),
        names=tuple(protocol.counts),
        numbers=np.arange(len(files)) - np.repeat(first, counts) + 1,
        source=SOURCES[copy.variant],
        synthetic=copy.variant == "lfw-synthetic",
        protocol=protocol,
        fingerprint=note["fingerprint"],
        root=portable_root(root),
        crop=crop,
    )


def portable_root(root: str | Path) -> str:
    """Name what was loaded without an absolute path, since it gets into records."""
    path = Path(root)
    return path.name if path.is_absolute() else path.as_posix()


def info(root: str | Path, progress: bool = True) -> tuple[str, bool]:
    """Describe a copy of LFW in words, and list everything that is wrong with it.

    Decodes every image; unlike `load_lfw`, never raises for what it finds.

    Returns
    -------
    text : str
        A line per fact, for a terminal.
    ok : bool
        Whether `load_lfw` would accept the copy.
    """
    faults, sizes, wrong, unknown, protocol = [], {}, {}, [], None
    lines: dict[str, str] = {}
    try:
        copy = find(root)
        lines = {"path": str(copy.path), "images are": SOURCES[copy.variant]}
        lists = [f for f in FILES if any((folder / f).is_file() for folder in copy.lists)]
        try:
            protocol = read(*copy.lists)
            whose = "LFW's own" if protocol is official() else "this data set's own"
            lines["lists"] = f"{whose}; here: {', '.join(lists) or 'none, facelab ships them'}"
        except ValueError as e:
            faults.append(str(e))
        sizes, wrong, unknown = check(copy, protocol and _files(protocol), progress=progress)
    except (OSError, ValueError) as e:
        faults.append(str(e))
    readable = [re.fullmatch(r"(.+)/\1_\d{4}\.jpg", file) for file in sizes]
    counts = Counter(match[1] for match in readable if match)
    lines["people"] = f"{len(counts):,}, of whom {sum(n > 1 for n in counts.values()):,} with 2+"
    lines["images"] = f"{sum(counts.values()):,}"
    if counts:
        edges = (1, 2, 3, 6, 11, 21, 51, 10**9)
        bins = [
            f"{a if b - a == 1 else f'{a}-{b - 1}' if b < 10**9 else f'{a}+'}: "
            f"{sum(a <= n < b for n in counts.values()):,}"
            for a, b in pairwise(edges)
        ]
        name, most = counts.most_common(1)[0]
        lines["people by images"] = f"{'  '.join(bins)}  (most: {name}, {most})"
        by_size = Counter(sizes.values()).most_common()
        lines["pixels"] = ", ".join(f"{w} x {h} ({n:,} images)" for (w, h), n in by_size)
    faults += [f"{file}: {reason}" for file, reason in wrong.items()]
    lines["wrong"] = "".join(f"\n  {fault}" for fault in faults) or "nothing"
    if unknown:
        lines["unknown to the lists"] = "".join(f"\n  {file}" for file in unknown)
    return "\n".join(f"{key:<20} {value}" for key, value in lines.items()), not faults
