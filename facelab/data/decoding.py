"""Pictures in, pixels out, in one way wherever a picture comes from."""

import io
import os
import stat
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from facelab.checks import expect
from facelab.progress import Progress

FORMATS = ("JPEG", "PNG", "WEBP")  # of photos; others start programs or open whole libraries
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")  # of their files, in any case
MOST_BYTES = 100_000_000  # of a file
MOST_PIXELS = 64_000_000  # of a picture
BIT_DEPTH = 24  # where a PNG says it
SMALL = f"at most {MOST_PIXELS:,} pixels"
AT_ONCE = 4096  # pictures that wait for their turn


class Decoded(NamedTuple):
    """A picture's (width, height) as one sees it, its pixels, what is wrong, and its file's CRC."""

    size: tuple[int, int] | None = None
    pixels: np.ndarray | None = None
    wrong: str = ""
    checksum: int = 0


def decode(
    source: str | Path | io.BytesIO,
    image_size: int,
    crop: int | None = None,
    side: int | None = None,
) -> np.ndarray:
    """Read a picture as packed images are: uint8 of shape (3, image_size, image_size), RGB.

    It is turned upright as its EXIF data say, 16 bits become 8, transparency becomes white. Keeps
    the central `crop` pixels a side; None keeps the largest central square. With `side`, `crop`
    counts in photos of so many pixels a side, and is scaled to this one.

    Raises a ValueError of the reason alone if the picture is no JPEG, PNG or WebP, is animated,
    was cut off, is smaller than `crop` or has more than 64 million pixels. A PNG's checksums are
    compared. A JPEG holds none: damage inside it that still decodes cannot be noticed here.
    """
    return shrink(open_picture(source), image_size, crop, side)


def decode_all(
    paths: list[str],
    image_size: int,
    crop: int | None,
    title: str,
    progress: bool = True,
    side: int | None = None,
) -> Iterator[Decoded]:
    """Decode every file in turn, as `decode` does."""

    def read(path):
        if not os.path.exists(path):
            return Decoded(wrong="missing")
        size = None
        try:
            data = _bytes(path)
            image = _open(data)
            size = image.size
            pixels = shrink(image, image_size, crop, side)
        except ValueError as e:
            return Decoded(size, wrong=str(e))
        return Decoded(size, pixels, checksum=zlib.crc32(data))

    pool = ThreadPoolExecutor()  # Pillow decodes without the GIL
    starts = range(0, len(paths), AT_ONCE)
    decoded = chain.from_iterable(pool.map(read, paths[k : k + AT_ONCE]) for k in starts)
    try:
        yield from Progress(decoded, title, len(paths), disable=not progress)
    finally:
        pool.shutdown(cancel_futures=True)


def open_picture(source: str | Path | io.BytesIO) -> Image.Image:
    """Read a whole picture, upright and as RGB, or say why not, as `decode` does."""
    return _open(_bytes(source))


def _open(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size  # of the header: nothing is decoded yet
        expect(width * height <= MOST_PIXELS, SMALL, f"{width} x {height}")
        n_frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: a phone's
        expect(n_frames <= 1, "one picture", f"an animation of {n_frames}")
        if image.format == "PNG":
            Image.open(io.BytesIO(data), formats=FORMATS).verify()
        is_deep = image.format == "PNG" and data[BIT_DEPTH] == 16
        return _as_rgb(ImageOps.exif_transpose(image), is_deep)  # a JPEG cut off says so only here
    except UnidentifiedImageError:
        raise ValueError("not an image that Pillow can read as JPEG, PNG or WebP") from None
    except Image.DecompressionBombError:
        raise ValueError(f"expected {SMALL}, got more") from None
    except ValueError:
        raise
    except Exception as e:  # whatever a broken file makes Pillow raise, it belongs on the list
        raise ValueError(f"unreadable: {e}") from e


def _bytes(source) -> bytes:
    """Read a file that is one: no device, no pipe, nothing without an end."""
    try:
        if isinstance(source, io.BytesIO):
            data = source.getvalue()
        else:
            is_file = stat.S_ISREG(os.stat(source).st_mode)
            expect(is_file, "a file", "a folder, a pipe or a device")
            with open(source, "rb") as file:
                data = file.read(MOST_BYTES + 1)
    except OSError as e:
        raise ValueError(f"unreadable: {e}") from e
    expect(len(data) <= MOST_BYTES, f"at most {MOST_BYTES:,} bytes", "more")
    return data


def _as_rgb(image: Image.Image, is_deep: bool) -> Image.Image:
    if image.mode.startswith("I;16"):
        values = np.asarray(image, np.uint32)
        eight = (values + 128) // 257  # 65,535 becomes 255
        eight[values == image.info.get("transparency", -1)] = 255
        return Image.fromarray(eight.astype(np.uint8)).convert("RGB")
    got = f"32 (Pillow's mode {image.mode})"
    expect(image.mode not in ("I", "F"), "8 or 16 bits a channel", got)
    if image.has_transparency_data:
        if is_deep and image.mode == "RGB":  # of which Pillow keeps the high bytes
            clear = image.info["transparency"]
            image.info["transparency"] = tuple(value >> 8 for value in clear)
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")  # which copies


def shrink(
    image: Image.Image, image_size: int, crop: int | None, side: int | None = None
) -> np.ndarray:
    """Return the central square of an RGB picture as `decode` does."""
    width, height = image.size
    shorter = min(width, height)
    kept = crop or shorter
    if crop and side:
        kept = crop * shorter / side
    expect(kept <= shorter, f"at least {crop} x {crop} pixels", f"{width} x {height}")
    left = (width - kept) / 2
    top = (height - kept) / 2
    box = (left, top, left + kept, top + kept)
    small = image.resize((image_size, image_size), Image.Resampling.LANCZOS, box)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))
