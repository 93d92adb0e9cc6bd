"""Pictures in, pixels out: one, or every image of a copy with a list of what is wrong."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm.contrib.concurrent import thread_map

from facelab.data.copies import Copy


def decode(source: str | Path | io.BytesIO, image_size: int, crop: int | None = None) -> np.ndarray:
    """Read a picture as packed images are: uint8 of shape (3, image_size, image_size), RGB.

    Keeps the central `crop` pixels a side, or all if None. Raises a ValueError of the reason alone
    if the picture cannot be read, was cut off or is smaller than `crop`.
    """
    return _shrink(_open(source), image_size, crop)


def _open(source) -> Image.Image:
    try:
        data = source if isinstance(source, io.BytesIO) else io.BytesIO(Path(source).read_bytes())
        image = Image.open(data)
        image.load()  # a JPEG that was cut off says so only here
        return image
    except UnidentifiedImageError:
        raise ValueError("not an image that Pillow can read") from None
    except Exception as e:  # whatever a broken file makes Pillow raise, it belongs on the list
        raise ValueError(f"unreadable: {e}") from e


def _shrink(image: Image.Image, image_size: int, crop: int | None) -> np.ndarray:
    width, height = image.size
    w, h = (crop, crop) if crop else image.size
    if width < w or height < h:
        raise ValueError(f"expected at least {w} x {h} pixels, got {width} x {height}")
    left = (width - w) / 2
    top = (height - h) / 2
    box = (left, top, left + w, top + h)
    rgb = image if image.mode == "RGB" else image.convert("RGB")  # which copies
    small = rgb.resize((image_size, image_size), Image.Resampling.LANCZOS, box)
    return np.asarray(small).transpose(2, 0, 1)


def decode_all(
    copy: Copy, files: list[str], crop: int | None, progress: bool, out: np.ndarray | None = None
) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Decode `files`, into the rows of `out` if it is given.

    Returns the (width, height) of each that could be read, and what is wrong, both by file.
    """

    def read(row):
        path = copy.path / files[row]
        if not path.exists():
            return None, "missing"
        size = None
        try:
            image = _open(path)
            size = image.size
            if out is not None:
                out[row] = _shrink(image, out.shape[-1], crop)
        except ValueError as e:
            return size, str(e)
        return size, ""

    rows = range(len(files))  # in threads: Pillow decodes without the GIL
    found = thread_map(read, rows, desc=copy.path.name, disable=not progress)
    sizes = {file: size for file, (size, _) in zip(files, found, strict=True) if size}
    wrong = {file: reason for file, (_, reason) in zip(files, found, strict=True) if reason}
    for (width, height), _ in Counter(sizes.values()).most_common(1):
        for file, (w, h) in sizes.items():
            if (w, h) != (width, height):
                reason = f"expected {width} x {height} pixels like the others, got {w} x {h}"
                wrong.setdefault(file, reason)
    return sizes, wrong
