"""Photos for the explorer: those of a report, by name, and those that a reader brings.

A request names an image. Only names that are in the report are answered; no path is made of
anything else. A reader's photo stays in memory and is framed as a run frames its own.
"""

import io

import numpy as np
from PIL import Image

from facelab.data.copies import Copy, find
from facelab.data.decoding import decode
from facelab.explorer.shown import Shown
from facelab.faces import Faces

MOST_BYTES = 20_000_000  # of an uploaded photo
MOST_PIXELS = 25_000_000
FORMATS = ("JPEG", "PNG")  # that an upload may have: what the page sends


class Photos:
    """The photos of one report.

    Parameters
    ----------
    shown : Shown
        With a report; its ``data`` says where the photos are.
    faces : Faces, optional
        Holds them where ``data`` is empty.
    """

    def __init__(self, shown: Shown, faces: Faces | None = None):
        report = shown.report
        self.shown, self.faces = shown, faces
        self._person = dict(zip(report.image_ids.tolist(), report.people.tolist(), strict=True))
        self._row = {}
        if faces is not None:
            self._row = {image: row for row, image in enumerate(faces.image_ids.tolist())}
        self._copy: Copy | None = None
        self._unpacked: dict[str, bytes] = {}

    def pixels(self, image: str, size: int) -> np.ndarray:
        """Return an image of the report as the run saw it, uint8 of shape (3, size, size).

        Raises
        ------
        ValueError, OSError
            If the report has no such image, or it is not at hand.
        """
        if image not in self._person:
            raise ValueError(f"expected an image of {self.shown.name}, got {image!r}")
        if self.shown.data:
            return _decoded(self._file(image), size, self.shown.crop, image)
        if image not in self._row:
            raise ValueError("these faces are not at hand: pass faces=... to fl.explore")
        return self.faces.batch([self._row[image]])[0]

    def _file(self, image):
        """Return what Pillow can open of an image of the report."""
        if self._copy is None:
            self._copy = find(self.shown.data)
            if self._copy.path.is_file():
                self._unpack()
        name = self._name(image)
        if not self._unpacked:
            return self._copy.path / name
        if name not in self._unpacked:
            raise ValueError(f"expected {name} in {self._copy.path}, got nothing")
        return io.BytesIO(self._unpacked[name])

    def _unpack(self):
        """Keep the report's own photos of an archive, which is read from end to end."""
        wanted = {self._name(image) for image in self._person}
        for name, file in self._copy.files():
            if name in wanted:
                self._unpacked[name] = file.getvalue()

    def _name(self, image):
        return f"{self._person[image]}/{image}.jpg"


def uploaded(photo: bytes, size: int, crop: int | None) -> np.ndarray:
    """Decode a reader's photo as a run's own, uint8 of shape (3, size, size).

    Parameters
    ----------
    photo : bytes
        A JPEG or PNG file, framed like the run's photos: 250 pixels a side for LFW's.
    size : int
        Pixels of a side of what the network takes.
    crop : int, optional
        Central pixels that it sees; None: all.

    Raises
    ------
    ValueError
        If the photo is too large or not readable.
    """
    if len(photo) > MOST_BYTES:
        raise ValueError(f"expected a photo of {MOST_BYTES:,} bytes or fewer, got {len(photo):,}")
    try:
        with Image.open(io.BytesIO(photo), formats=FORMATS) as image:
            width, height = image.size  # of the header: nothing is decoded yet
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"expected a photo as JPEG or PNG, got {error}") from error
    if width * height > MOST_PIXELS:
        raise ValueError(f"expected {MOST_PIXELS:,} pixels or fewer, got {width} x {height}")
    return _decoded(io.BytesIO(photo), size, crop, "the uploaded photo")


def jpeg(pixels: np.ndarray) -> bytes:
    """Encode an image of shape (3, height, width)."""
    encoded = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(encoded, "jpeg", quality=90)
    return encoded.getvalue()


def _decoded(file, size, crop, name):
    try:
        return decode(file, size, crop)
    except ValueError as reason:
        raise ValueError(f"{name}: {reason}") from reason
