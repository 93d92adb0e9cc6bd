"""Verifiers from before deep learning: the bar that a network has to clear.

Raw pixels; eigenfaces; and histograms of local binary patterns, which say how each pixel's ring of
eight neighbours compares with it, projected onto the directions in which people differ more than
their photos do. Arrays go in and out; what is fitted are scikit-learn's own estimators.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from skimage.feature import local_binary_pattern
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline

from facelab.faces import Faces
from facelab.verification import auc, distances

PATTERNS = 59  # of eight neighbours: 58 with at most two changes along the ring, and all others
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_TOGETHER = 256  # images in one strip


def raw_pixels(faces: Faces) -> np.ndarray:
    """Take an image's own pixels, less their mean, for its embedding.

    The distance of two of them is sqrt(2 - 2 c), with c the correlation of the two images.

    Returns
    -------
    ndarray of shape (n_images, 3 * height * width), float32
        Not normalised.
    """
    x = faces.images.reshape(len(faces), -1).astype(np.float32)  # (n_images, n_values)
    return x - x.mean(axis=1, keepdims=True)


def lbp_histograms(
    faces: Faces, cells: int = 8, radii: Sequence[float] = (1, 2), mirrored: bool = False
) -> np.ndarray:
    """Count uniform local binary patterns in a grid of cells.

    Counts are divided by the pixels of the cell and their square root is taken: the Euclidean
    distance of two such histograms is the Hellinger distance, in which rare patterns count.
    Beyond its edge an image goes on as it ends.

    Parameters
    ----------
    faces : Faces
        The images, of any size; only their luminance is used.
    cells : int
        Cells along each side.
    radii : sequence of float
        Distances of the neighbours in pixels, one after the other.
    mirrored : bool
        Of the images' mirror images.

    Returns
    -------
    ndarray of shape (n_images, len(radii) * cells * cells * 59), float32
        Values in [0, 1].

    Raises
    ------
    ValueError
        If a cell would have no pixel.

    References
    ----------
    Ahonen, Hadid, Pietikäinen, "Face Description with Local Binary Patterns", PAMI 28(12), 2006.
    """
    height, width = faces.packed.shape[2:]
    if not 1 <= cells <= min(height, width):
        raise ValueError(
            f"expected 1 to {min(height, width)} cells a side for images of {height}x{width} px, "
            f"got {cells}"
        )
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


def _histograms(grey: np.ndarray, cell: np.ndarray, radius: float, pad: int) -> np.ndarray:
    """Return the roots of the shares of each pattern in each cell, (n, n_cells * PATTERNS)."""
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

    Without the scaling the few directions of light and pose would decide every distance.

    References
    ----------
    Turk, Pentland, "Eigenfaces for Recognition", Journal of Cognitive Neuroscience 3(1), 1991.
    """
    return PCA(n_values, whiten=True, svd_solver="randomized", iterated_power=3, random_state=0)


def lbp_lda(n_pca: int = 300, n_lda: int = 128) -> Pipeline:
    """Return a PCA followed by a linear discriminant analysis; fit it on training people.

    The discriminant analysis looks for directions in which people lie far apart and the images of
    one person close together. It needs people with two images or more.

    Parameters
    ----------
    n_pca, n_lda : int
        Values after each of the two; `n_lda` is at most `n_pca` and less than the people.

    References
    ----------
    Belhumeur, Hespanha, Kriegman, "Eigenfaces vs. Fisherfaces", PAMI 19(7), 1997.
    """
    pca = PCA(n_pca, svd_solver="randomized", iterated_power=2, random_state=0)
    return make_pipeline(pca, LinearDiscriminantAnalysis(n_components=n_lda))


def embed_lbp(
    estimator, faces: Faces, cells: int, radii: Sequence[float], flip: bool = False
) -> np.ndarray:
    """Project the pattern histograms of every image with a fitted estimator.

    Parameters
    ----------
    estimator : estimator of scikit-learn
        Fitted on histograms with the same `cells` and `radii`.
    faces, cells, radii : Faces, int, sequence of float
        See `lbp_histograms`.
    flip : bool
        Add the projection of the mirrored image, as `facelab.embed` does.

    Returns
    -------
    ndarray of shape (n_images, n_values), float32
        Not normalised.
    """
    out = estimator.transform(lbp_histograms(faces, cells, radii))
    if flip:
        out = out + estimator.transform(lbp_histograms(faces, cells, radii, mirrored=True))
    return out.astype(np.float32)


def search_lbp_lda(
    train: Faces,
    dev: Faces,
    cells: Sequence[int],
    n_pca: Sequence[int],
    n_lda: Sequence[int],
    radii: Sequence[float] = (1, 2),
) -> pd.DataFrame:
    """Fit every combination on `train` and measure it on the pairs of `dev`.

    Directions come in order of importance, so one PCA per grid and one discriminant analysis per
    PCA size serve all smaller ones.

    Returns
    -------
    DataFrame
        One row per combination: ``cells``, ``n_pca``, ``n_lda``, ``dev_auc``; the best first.
        Combinations that the training people are too few for are left out.

    Raises
    ------
    ValueError
        If `train` and `dev` share people, or no combination is possible.
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
        for values in n_pca:
            if values > most:
                continue
            lda = clone(lda).fit(seen[:, :values], train.labels)
            projected = lda.transform(unseen[:, :values])  # (n_dev_images, n_directions)
            for kept in n_lda:
                if kept <= projected.shape[1]:
                    apart = distances(projected[:, :kept], dev.pairs)
                    trials.append((side, values, kept, auc(apart, dev.pairs.same)))
    if not trials:
        raise ValueError(
            f"expected sizes for {len(train):,} images of {len(train.names):,} people, got "
            f"n_pca {list(n_pca)} and n_lda {list(n_lda)}"
        )
    table = pd.DataFrame(trials, columns=["cells", "n_pca", "n_lda", "dev_auc"])
    return table.sort_values("dev_auc", ascending=False, kind="stable", ignore_index=True)
