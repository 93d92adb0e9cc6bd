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
    """Encode a figure, or that of axes, once, and close it: photos as JPEG, others as PNG.

    A PNG has 256 colours: of lines, bands and words exact ones, along their edges near ones.
    """
    figure = np.ravel(drawn)[0].figure
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
