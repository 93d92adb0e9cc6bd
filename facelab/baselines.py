"""Verifiers from before deep learning, the bar that a network has to clear.

Raw pixels, eigenfaces, and histograms of local binary patterns (how each pixel's ring of eight
neighbours compares with it) projected onto the directions in which people differ most.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from skimage.feature import local_binary_pattern
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline

from facelab.checks import kinds, numbers, whole
from facelab.faces import Faces
from facelab.verification import auc, distances

PATTERNS = 59  # of eight neighbours: 58 with at most two changes along the ring, and all others
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_TOGETHER = 256  # images in one strip


@kinds
def raw_pixels(faces: Faces) -> np.ndarray:
    """Take an image's own pixels, less their mean, for its embedding: (n_images, n_values) float32.

    The distance of two of them is sqrt(2 - 2 c), with c the correlation of the two images.
    """
    x = faces.images.reshape(len(faces), -1).astype(np.float32)  # (n_images, n_values)
    return x - x.mean(axis=1, keepdims=True)


@kinds
def lbp_histograms(
    faces: Faces, cells: int = 8, radii: Sequence[float] = (1, 2), mirrored: bool = False
) -> np.ndarray:
    """Count uniform local binary patterns (Ahonen, Hadid, Pietikäinen, PAMI 28(12), 2006).

    Neighbours lie `radii` pixels away in the luminance image or, if `mirrored`, its mirror image,
    which goes on beyond its edge as it ends. There are `cells` a side, of at least one pixel each.
    Returned are the roots of the patterns' shares, in [0, 1], float32 of shape (n_images,
    len(radii) * cells * cells * 59). The Euclidean distance of two such embeddings is the Hellinger
    distance, in which rare patterns count.
    """
    height, width = faces.packed.shape[2:]
    most = min(height, width)
    if not 1 <= whole("cells", cells) <= most:
        raise ValueError(f"expected 1 to {most} cells a side, got {cells}")
    radii = np.atleast_1d(numbers("radii", radii, 1))
    if not len(radii):
        raise ValueError("expected a radius or more, got none")
    rows = np.arange(height) * cells // height
    columns = np.arange(width) * cells // width
    cell = rows[:, None] * cells + columns  # (height, width): the cell of each pixel
    pad = int(np.ceil(max(radii)))  # for all radii: the last bits of a code tell its row
    out = np.empty((len(faces), len(radii), cells**2 * PATTERNS), np.float32)
    for start in range(0, len(faces), _TOGETHER):
        images = faces.batch(slice(start, start + _TOGETHER))
        if mirrored:
            images = images[..., ::-1]
        grey = np.rint(np.einsum("nchw,c->nhw", images, _LUMINANCE)).astype(np.uint8)
        grey = np.pad(grey, ((0, 0), (pad, pad), (pad, pad)), "edge")
        for k, radius in enumerate(radii):
            out[start : start + len(grey), k] = _histograms(grey, cell, radius, pad)
    return out.reshape(len(faces), -1)


def _histograms(grey, cell, radius, pad):
    """Roots of the shares of each pattern in each cell, (n, n_cells * PATTERNS)."""
    n = len(grey)
    strip = grey.reshape(-1, grey.shape[2])  # the padding keeps neighbours apart
    codes = local_binary_pattern(strip, 8, radius, "nri_uniform").astype(np.int64)
    codes = codes.reshape(grey.shape)[:, pad:-pad, pad:-pad]  # (n, height, width)
    pixels = np.bincount(cell.ravel())[:, None]  # (n_cells, 1)
    where = np.arange(n)[:, None, None] * len(pixels) + cell  # (n, height, width)
    bins = where * PATTERNS + codes
    counts = np.bincount(bins.ravel(), minlength=n * len(pixels) * PATTERNS)
    shares = counts.reshape(n, len(pixels), PATTERNS) / pixels
    return np.sqrt(shares).reshape(n, -1)


def whitened_pca(n_values: int = 128) -> PCA:
    """Return a PCA that scales its directions to variance one; fit it on training images.

    Without the scaling the few directions of light and pose would decide every distance (Turk,
    Pentland, "Eigenfaces for Recognition", Journal of Cognitive Neuroscience 3(1), 1991).
    """
    n_values = whole("n_values", n_values, 1)
    return PCA(n_values, whiten=True, svd_solver="randomized", iterated_power=3, random_state=0)


def lbp_lda(n_pca: int = 300, n_lda: int = 128) -> Pipeline:
    """Return a PCA followed by a linear discriminant analysis; fit it on training people.

    It looks for directions in which people lie far apart and the images of one person close
    together (Belhumeur, Hespanha, Kriegman, PAMI 19(7), 1997). `n_pca` and `n_lda` are the values
    after each of the two; `n_lda` is at most `n_pca` and less than the people.
    """
    n_pca = whole("n_pca", n_pca, 1)
    n_lda = n_lda if n_lda is None else whole("n_lda", n_lda, 1, n_pca)
    pca = PCA(n_pca, svd_solver="randomized", iterated_power=2, random_state=0)
    return make_pipeline(pca, LinearDiscriminantAnalysis(n_components=n_lda))


@kinds
def embed_lbp(
    estimator, faces: Faces, cells: int, radii: Sequence[float], flip: bool = False
) -> np.ndarray:
    """Project the pattern histograms of every image: (n_images, n_values), float32.

    The estimator of scikit-learn is fitted on histograms with the same `cells` and `radii`. With
    `flip`, the projection of the mirrored image is added, as `facelab.embed` does.
    """
    out = estimator.transform(lbp_histograms(faces, cells, radii))
    if flip:
        out = out + estimator.transform(lbp_histograms(faces, cells, radii, mirrored=True))
    return out.astype(np.float32)


@kinds
def search_lbp_lda(
    train: Faces, dev: Faces, cells: list[int], n_pca: list[int], n_lda: list[int], radii=(1, 2)
) -> pd.DataFrame:
    """Fit every combination on `train` and measure it on the pairs of `dev`, the best first.

    Columns: ``cells``, ``n_pca``, ``n_lda``, ``dev_auc``. One PCA per grid and one discriminant
    analysis per PCA size serve all smaller ones: directions come in order of importance.
    Combinations that the training people are too few for are left out.
    """
    shared = set(train.names) & set(dev.names)
    if shared:
        raise ValueError(f"expected dev people who are not in train, got {len(shared)} who are")
    trials = []
    for side in cells:
        seen = lbp_histograms(train, side, radii)
        unseen = lbp_histograms(dev, side, radii)
        most = min(max(n_pca), *seen.shape)
        pca, lda = lbp_lda(most, None)
        pca.fit(seen)
        seen = pca.transform(seen)
        unseen = pca.transform(unseen)
        for values in [n for n in n_pca if n <= most]:
            lda = clone(lda).fit(seen[:, :values], train.labels)
            projected = lda.transform(unseen[:, :values])  # (n_dev_images, n_directions)
            for kept in n_lda:
                if kept <= projected.shape[1]:
                    apart = distances(projected[:, :kept], dev.pairs)
                    trials.append((side, values, kept, auc(apart, dev.pairs.same)))
    if not trials:
        got = f"n_pca {list(n_pca)} and n_lda {list(n_lda)}"
        raise ValueError(f"expected sizes that the images of {train} allow, got {got}")
    table = pd.DataFrame(trials, columns=["cells", "n_pca", "n_lda", "dev_auc"])
    return table.sort_values("dev_auc", ascending=False, kind="stable", ignore_index=True)
