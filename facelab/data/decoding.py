"""Pictures in, pixels out: one, or every image of a copy with a list of what is wrong."""

import io
from collections import Counter
from itertools import islice
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from facelab.data.copies import Copy


def decode(source: str | Path | io.BytesIO, image_size: int, crop: int | None = None) -> np.ndarray:
    """Read a picture into pixels, as packed images are.

    Parameters
    ----------
    source : str, Path or io.BytesIO
        A file, or the bytes of one.
    image_size : int
        Height and width of the result, in pixels.
    crop : int, optional
        Central pixels that are kept, before resizing; None keeps all.

    Returns
    -------
    ndarray of shape (3, image_size, image_size), uint8
        RGB.

    Raises
    ------
    ValueError
        If the picture cannot be read, was cut off or is smaller than `crop`; the message is the
        reason alone, without a name.
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
    rgb = image if image.mode == "RGB" else image.convert("RGB")  # which copies
    box = (left, top, left + w, top + h)
    small = rgb.resize((image_size, image_size), Image.Resampling.LANCZOS, box)
    return np.asarray(small).transpose(2, 0, 1)


def decode_all(
    copy: Copy,
    expected: list[str] | None,
    crop: int | None = None,
    progress: bool = True,
    out: np.ndarray | None = None,
) -> tuple[dict[str, tuple[int, int]], dict[str, str], list[str]]:
    """Decode every image of a copy, shrunk into the rows of `out` if that is given.

    Parameters
    ----------
    copy : Copy
        Where the images are.
    expected : list of str, optional
        The files ``NAME/NAME_0001.jpg`` that must be there, in the order of `out`; None stands
        for whatever is there.
    crop, progress
        As in `load_lfw`.
    out : ndarray of shape (n_expected, 3, image_size, image_size), uint8, optional
        Filled with the images.

    Returns
    -------
    sizes : dict of str to (width, height)
        Of every file that could be read.
    wrong : dict of str to str
        What is wrong, by file.
    unknown : list of str
        Files that are not expected.
    """
    row = {file: k for k, file in enumerate(expected or ())}
    sizes, wrong, unknown = {}, {}, []

    def read(entry):
        file, source = entry
        size = None
        try:
            image = _open(source)
            size = image.size
            if out is not None:
                out[row[file]] = _shrink(image, out.shape[-1], crop)
        except ValueError as e:
            return file, size, str(e)
        return file, size, ""

    entries = copy.files()
    bar = tqdm(total=expected and len(expected), desc=copy.variant.folder, disable=not progress)
    with ThreadPool() as pool, bar:  # Pillow decodes without the GIL
        while chunk := list(islice(entries, 1024)):  # an archive need not fit into memory
            if expected is not None:
                unknown += [file for file, _ in chunk if file not in row]
                chunk = [(file, source) for file, source in chunk if file in row]
            for file, size, reason in pool.imap(read, chunk, chunksize=16):
                if size:
                    sizes[file] = size
                if reason:
                    wrong[file] = reason
                bar.update()
    usual = Counter(sizes.values()).most_common(1)
    for file, (w, h) in sizes.items():
        (width, height), _ = usual[0]
        if (w, h) != (width, height):
            reason = f"expected {width} x {height} pixels like the others, got {w} x {h}"
            wrong.setdefault(file, reason)
    missing = [file for file in row if file not in sizes and file not in wrong]
    return sizes, wrong | dict.fromkeys(missing, "missing"), unknown
