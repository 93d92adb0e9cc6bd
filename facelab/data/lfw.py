"""LFW, and any folder in its layout, as `Faces`."""

import warnings
from pathlib import Path

import numpy as np

from facelab.data.copies import find
from facelab.data.packing import pack
from facelab.data.protocol_text import read
from facelab.faces import Faces


def load_lfw(
    root: str | Path, image_size: int = 64, crop: int | None = 128, progress: bool = True
) -> Faces:
    """Load every image of a copy of LFW, or of any folder in its layout, without pairs.

    The first call checks all files and packs them into one file in the user's cache, about 160 MB
    for LFW at 64 px; the next ones map that file, which processes share. It is packed anew when
    the size or the modification time of an image has changed, or one has gone or come back.

    Parameters
    ----------
    root : str or Path
        ``"synthetic"``: the built-in drawn faces. ``"lfw"``: the folder that the environment
        variable ``FACELAB_LFW`` names. Else a folder: ``lfw``, ``lfw_funneled``,
        ``lfw-deepfunneled`` or ``lfw-synthetic`` itself, one that holds one of these (also
        doubled, as Kaggle's), or one that holds the mirror's archive; or that archive.
    image_size, crop : int
        Pixels a side of the loaded images, and the central ones of each file that are kept before
        resizing; None keeps all. LFW's files have 250 a side, and their central 128 hold the face.
    progress : bool
        Show a progress bar while packing.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is nothing at `root`, no copy or several, a list is broken, or images are missing,
        unreadable, cut off or of another size than the others; the message lists each of them.

    Warns
    -----
    UserWarning
        If the copy has files that the protocol does not know.
    """
    if image_size < 1 or (crop is not None and crop < 1):
        raise ValueError(f"expected positive sizes, got image_size={image_size}, crop={crop}")
    copy = find(root)
    protocol = read(*copy.lists)
    packed, fingerprint, unknown = pack(copy, protocol.files, image_size, crop, progress)
    if unknown:
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
        fingerprint=fingerprint,
        root=name.name if name.is_absolute() else name.as_posix(),
        crop=crop,
    )
