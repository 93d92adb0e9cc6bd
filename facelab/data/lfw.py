"""LFW, and any folder in its layout, as `Faces`: checked whole and packed once into the cache."""

import hashlib
import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np

from facelab.data.cache import cache_dir, made_once
from facelab.data.copies import Copy, find
from facelab.data.decoding import decode_all
from facelab.data.protocol_text import read
from facelab.faces import Faces

VERSION = 1  # of the packed pixels: raise it when the same files should give others


def load_lfw(
    root: str | Path, image_size: int = 64, crop: int | None = 128, progress: bool = True
) -> Faces:
    """Load every image of a copy of LFW, or of any folder in its layout, without pairs.

    The first call checks all files and packs them into one file in the user's cache, about 160 MB
    for LFW at 64 px; the next ones map that file, until an image changes, goes or comes back.

    Parameters
    ----------
    root : str or Path
        ``"synthetic"``: the built-in drawn faces. ``"lfw"``: the folder that the environment
        variable ``FACELAB_LFW`` names. Else a folder ``lfw``, ``lfw_funneled``,
        ``lfw-deepfunneled`` or ``lfw-synthetic``, one that holds one, or the mirror's archive.
    image_size, crop : int
        Pixels a side of the loaded images, and the central ones of each file that are kept before
        resizing; None keeps all. LFW's files have 250 a side, and their central 128 hold the face.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is nothing at `root`, no copy or several, a list is broken, or images are missing,
        unreadable or of another size than the others; the message lists each of them. Files that
        the protocol does not know are a warning.
    """
    if image_size < 1 or (crop is not None and crop < 1):
        raise ValueError(f"expected positive sizes, got image_size={image_size}, crop={crop}")
    copy = find(root)
    protocol = read(*copy.lists)
    folder = _packed(copy, protocol.files, image_size, crop, progress)
    packed = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    note = json.loads((folder / "note.json").read_text())
    if unknown := note["unknown"]:
        few = ", ".join(unknown[:5])
        message = f"{copy.path}: the protocol does not know {len(unknown):,} of the files: {few}"
        warnings.warn(message, stacklevel=2)
    counts = list(protocol.counts.values())
    name = Path(root)  # without an absolute path, since it gets into records
    return Faces(
        packed=packed,
        rows=np.arange(len(packed)),
        labels=np.repeat(np.arange(len(counts)), counts),
        names=tuple(protocol.counts),
        numbers=np.concatenate([np.arange(1, n + 1) for n in counts]),
        source=copy.source,
        synthetic=copy.synthetic,
        protocol=protocol,
        fingerprint=note["fingerprint"],
        root=name.name if name.is_absolute() else name.as_posix(),
        crop=crop,
    )


def _packed(copy: Copy, files: list[str], image_size: int, crop: int | None, progress) -> Path:
    """Return the cache's folder with the pixels of `files` and a note; make it if need be."""
    names = "\n".join(files).encode()
    sizes = f"{VERSION} {image_size} {crop}".encode()
    stamp = hashlib.sha256(b"\n".join([sizes, names, _state(copy, files)])).hexdigest()
    place = hashlib.sha256(str(copy.path.resolve()).encode()).hexdigest()[:8]
    stem = f"{copy.path.name}-{place}-{image_size}-{crop or 'whole'}"

    def pack(folder):
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

    return made_once(cache_dir() / "packed" / f"{stem}-{stamp[:16]}", pack)


def _state(copy: Copy, files: list[str]) -> bytes:
    """Sizes and modification times of `files`; empty if one is missing."""
    try:  # the files alone: to list 5,749 folders takes longer
        stats = [os.stat(f"{copy.path}/{file}") for file in files]
    except OSError:
        return b""
    return np.array([(s.st_size, s.st_mtime_ns) for s in stats], np.int64).tobytes()


def _unusable(copy: Copy, wrong: dict[str, str], n_expected: int) -> str:
    message = f"{copy.path}: {len(wrong):,} of {n_expected:,} images are unusable"
    if len(wrong) == n_expected and len(set(wrong.values())) == 1:  # another set, a wrong crop
        file, reason = next(iter(wrong.items()))
        return f"{message}: each, such as {file}: {reason}"
    return message + "".join(f"\n  {file}: {reason}" for file, reason in wrong.items())
