"""A drawn figure as the bytes of a file, the same in a notebook, a folder and a report."""

import io
import warnings
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from scipy.spatial import KDTree


class Picture(NamedTuple):
    """An encoded figure: the bytes of a file, and what its name ends in."""

    data: bytes
    suffix: str


def encode(drawn) -> Picture:
    """Encode a figure, or that of axes, once, and close it: photos as JPEG, others as PNG.

    A PNG has 256 colours: of lines, bands and words exact ones, along their edges near ones.
    """
    figure = np.ravel(drawn)[0].figure
    encoded = io.BytesIO()
    image = _saved(figure)
    plt.close(figure)
    if any(ax.images for ax in figure.axes):
        image.convert("RGB").save(encoded, "jpeg", quality=72)
        return Picture(encoded.getvalue(), ".jpg")
    _with_few_colours(image).save(encoded, "png", optimize=True)
    return Picture(encoded.getvalue(), ".png")


def _saved(figure) -> PIL.Image.Image:
    """Draw a figure; letters that no font here can write are named in one line."""
    pixels = io.BytesIO()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        figure.savefig(pixels, dpi=100, bbox_inches="tight")
    missing = ""
    for one in told:
        words = str(one.message).split()
        if words[0] != "Glyph":
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        elif (letter := chr(int(words[1]))) not in missing:
            missing += letter
    if missing:
        advice = "install one, such as Noto Sans CJK for Chinese"
        warnings.warn(f"expected a font that can write {missing}, got none; {advice}", stacklevel=3)
    return PIL.Image.open(pixels)


def _with_few_colours(image):
    """Return the image in 256 colours, the 64 most frequent exact; Pillow's would move them."""
    pixels = np.asarray(image.convert("RGBA")).view("<u4")[..., 0]  # one integer a colour
    found, place, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    colours = found.view(np.uint8).reshape(-1, 4)[:, :3]
    flat, mixed = np.split(np.argsort(-counts, kind="stable"), [64])
    palette = colours[flat]
    if len(mixed):  # along edges: averages
        edges = PIL.Image.fromarray(np.repeat(colours[mixed], counts[mixed], axis=0)[None])
        averages = edges.quantize(192, method=PIL.Image.Quantize.FASTOCTREE).getpalette()
        palette = np.concatenate([palette, np.reshape(averages, (-1, 3))]).astype(np.uint8)
    nearest = KDTree(palette).query(colours)[1].astype(np.uint8)
    few = PIL.Image.fromarray(nearest[place])
    few.putpalette(palette.tobytes())
    return few
