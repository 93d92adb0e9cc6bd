"""A drawn figure as the bytes of a file, the same in a notebook, a folder and a report."""

import io
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import PIL.Image
from scipy.spatial import KDTree

N_COLOURS, N_FLAT = 256, 64


class Picture(NamedTuple):
    """An encoded figure: the bytes of a file, and what its name ends in."""

    data: bytes
    suffix: str


def encode(drawn) -> Picture:
    """Encode a figure once, and close it: photos as JPEG, everything else as PNG.

    Parameters
    ----------
    drawn : Axes, sequence of Axes, Figure or seaborn grid
        What was drawn.

    Returns
    -------
    Picture
        A PNG has at most 256 colours. Those of lines, bands and words are exact; only the mixed
        colours along their edges move.
    """
    if isinstance(drawn, (np.ndarray, list, tuple)):
        drawn = np.ravel(drawn)[0]
    figure = drawn.figure
    pixels, encoded = io.BytesIO(), io.BytesIO()
    figure.savefig(pixels, dpi=100, bbox_inches="tight")
    plt.close(figure)
    image = PIL.Image.open(pixels).convert("RGB")
    if any(ax.images for ax in figure.axes):
        image.save(encoded, "jpeg", quality=72)
        return Picture(encoded.getvalue(), ".jpg")
    _with_few_colours(image).save(encoded, "png", optimize=True)
    return Picture(encoded.getvalue(), ".png")


def _with_few_colours(image):
    """Return the image with a palette in which the most frequent colours are exact.

    Pillow's own quantizers average neighbouring colours, and so move a pale band by up to 13.
    """
    pixels = np.asarray(image) @ [1 << 16, 1 << 8, 1]  # (height, width): one integer a colour
    found, place, counts = np.unique(pixels, return_inverse=True, return_counts=True)
    colours = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8)
    palette = colours
    if len(colours) > N_COLOURS:
        order = np.argsort(-counts, kind="stable")
        flat, mixed = np.split(order, [N_FLAT])
        edges = PIL.Image.fromarray(np.repeat(colours[mixed], counts[mixed], axis=0)[None])
        octree = PIL.Image.Quantize.FASTOCTREE
        averages = edges.quantize(N_COLOURS - N_FLAT, method=octree).getpalette()
        palette = np.concatenate([colours[flat], np.reshape(averages, (-1, 3))]).astype(np.uint8)
    nearest = KDTree(palette).query(colours)[1].astype(np.uint8)
    few = PIL.Image.fromarray(nearest[place].reshape(pixels.shape), "P")
    few.putpalette(palette.tobytes())
    return few
