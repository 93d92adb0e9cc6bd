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
    packed, fingerprint, unknown = pack(copy, protocol.files, image_size, crop, progress)
    if unknown:
        warnings.warn(
            f"{copy.path}: the protocol does not know {len(unknown):,} of the files: "
            f"{', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}",
            stacklevel=2,
        )
    counts = np.array(list(protocol.counts.values()))
    rows = np.arange(len(packed))
    first_row = np.repeat(np.cumsum(counts) - counts, counts)
    return Faces(
        packed=packed,
        rows=rows,
        labels=np.repeat(np.arange(len(counts)), counts),
        names=tuple(protocol.counts),
        numbers=rows - first_row + 1,
        source=copy.variant.source,
        synthetic=copy.variant.synthetic,
        protocol=protocol,
        fingerprint=fingerprint,
        root=_portable(root),
        crop=crop,
    )


def _portable(root: str | Path) -> str:
    """Name what was loaded without an absolute path, since it gets into records."""
    path = Path(root)
    return path.name if path.is_absolute() else path.as_posix()
