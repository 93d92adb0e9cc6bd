"""LFW, and any folder in its layout, as `Faces`."""

import os
import warnings
from pathlib import Path

import numpy as np

from facelab.checks import kinds
from facelab.data.copies import Copy, find, own_source
from facelab.data.packing import Photos, check_sizes, pack
from facelab.data.protocol import Protocol, official
from facelab.data.protocol_text import read
from facelab.faces import Faces

CHECKSUMS = Path(__file__).with_name("lfw_checksums.npz")
CROP = 128  # central pixels of LFW's 250 a side that hold the face


@kinds
def load_lfw(
    root: str | Path, image_size: int = 64, crop: int | None = CROP, progress: bool = True
) -> Faces:
    """Load every image of a copy of LFW, or of any folder in its layout, without pairs.

    The first call checks all files and packs them into one file in the user's cache, about 160 MB
    for LFW at 64 px; the next ones map that file, until an image changes, goes or comes back.
    Images are decoded as `decode` says; those that are missing, unreadable or of another size than
    the others are one ValueError that lists each, files that the protocol does not know a warning.
    Other people than LFW's need all seven of its lists, and `Faces.source` is then the folder's
    name; `load_faces` needs none.

    Parameters
    ----------
    root : str or Path
        ``"synthetic"``: the built-in drawn faces. ``"lfw"``: the folder that the environment
        variable ``FACELAB_LFW`` names. Else a folder ``lfw``, ``lfw_funneled``,
        ``lfw-deepfunneled``, ``lfw-aligned`` or ``lfw-synthetic``, one that holds one, or an
        archive of one, .tgz or .zip.
    image_size, crop : int
        Pixels a side of the loaded images, and the central ones of each file that are kept before
        resizing; None keeps all. LFW's files have 250 a side, and their central 128 hold the face.
    """
    check_sizes(image_size, crop)
    copy = find(root)
    protocol = read(*copy.lists)
    photos, unknown = photos_of(copy, protocol)
    packed, fingerprint = pack(photos, image_size, crop, progress)
    if unknown:
        few = ", ".join(unknown[:5])
        message = f"{copy.path}: the protocol does not know {len(unknown):,} of the files: {few}"
        warnings.warn(message, stacklevel=3)  # through `kinds`
    counts = list(protocol.counts.values())
    return Faces(
        packed=packed,
        rows=np.arange(len(packed)),
        labels=np.repeat(np.arange(len(counts)), counts),
        names=tuple(protocol.counts),
        source=source_of(copy, protocol),
        synthetic=copy.synthetic,
        protocol=protocol,
        fingerprint=fingerprint,
        root=name_of(root),
        crop=crop,
    )


def photos_of(copy: Copy, protocol: Protocol) -> tuple[Photos, list[str]]:
    """Return the images that a protocol wants of a copy, and the files that it does not know."""
    files, unknown = copy.match(protocol.files)
    checksums = None
    if protocol is official():
        with np.load(CHECKSUMS, allow_pickle=False) as known:  # CRC-32 of the files, by variant
            checksums = known.get(copy.path.name)
    return Photos(copy.path, protocol.files, files, True, checksums=checksums), unknown


def source_of(copy: Copy, protocol: Protocol) -> str:
    """Say in words what the images are; only LFW's own people are LFW."""
    is_lfw = copy.synthetic or protocol is official()
    return copy.source if is_lfw else own_source(copy.path)


def name_of(root: str | Path) -> str:
    """Return `root` as records may hold it: neither absolute nor climbing out of its folder."""
    name = Path(os.path.normpath(root))
    return name.name if name.is_absolute() or ".." in name.parts else name.as_posix()
