"""A drawn figure as the bytes of a file, the same in a notebook, a folder and a report."""

import io
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
    """Encode a figure once, and close it: photos as JPEG, everything else as PNG.

    A PNG has at most 256 colours. Those of lines, bands and words are exact; only the mixed
    colours along their edges move.

    Parameters
    ----------
    drawn : Axes, sequence of Axes, or Figure
        What was drawn.
    """
    if isinstance(drawn, (np.ndarray, list, tuple)):
        drawn = np.ravel(drawn)[0]
    figure = drawn.figure
    pixels, encoded = io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, dpi=100, bbox_inches="tight")
    plt.close(figure)
    image = PIL.Image.open(pixels)
    if any(ax.images for ax in figure.axes):
        image.convert("RGB").save(encoded, "jpeg", quality=72)
        return Picture(encoded.getvalue(), ".jpg")
    _with_few_colours(image).save(encoded, "png", optimize=True)
    return Picture(encoded.getvalue(), ".png")


def _with_few_colours(image):
    """Return the image in its 256 most frequent colours; Pillow's quantizers average them."""
    pixels = np.asarray(image.convert("RGBA")).view("<u4")[..., 0]  # one integer a colour
    found, place, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    colours = found.view(np.uint8).reshape(-1, 4)[:, :3]
    palette = colours[np.argsort(-counts, kind="stable")[:256]]
    nearest = KDTree(palette).query(colours)[1].astype(np.uint8)
    few = PIL.Image.fromarray(nearest[place])
    few.putpalette(palette.tobytes())
    return few
