"""Verifiers from before deep learning, the bar that a network has to clear.

Raw pixels, eigenfaces, and histograms of what is at each pixel, projected onto the directions in
which people differ most: local binary patterns, how a ring of eight neighbours compares with it,
or the signs of what a few filters answer there.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.lib.stride_tricks import sliding_window_view
from skimage.feature import local_binary_pattern
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA, FastICA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline, make_pipeline
from torch.nn import functional

from facelab.checks import expect, kinds, numbers, whole
from facelab.faces import Faces
from facelab.verification import auc, distances

PATTERNS = 59  # of eight neighbours: 58 with at most two changes along the ring, and all others
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

    Neighbours lie `radii` pixels away in the luminance image or, if `mirrored`, its mirror image.
    Returned are the roots of the patterns' shares in each of `cells` a side, float32 of shape
    (n_images, len(radii) * cells * cells * 59): their distance is Hellinger's, in which rare
    patterns count.
    """
    cell = _cell_of_pixels(faces, cells)
    radii = np.atleast_1d(numbers("radii", radii, 1))
    expect(len(radii), "a radius or more", "none")
    pad = int(np.ceil(max(radii)))  # for all radii: the last bits of a code tell its row
    out = np.empty((len(faces), len(radii), cells**2 * PATTERNS), np.float32)
    for some, grey in _grey(faces, mirrored, pad):
        strip = grey.reshape(-1, grey.shape[2])  # the padding keeps neighbours apart
        for k, radius in enumerate(radii):
            codes = local_binary_pattern(strip, 8, radius, "nri_uniform").astype(np.int64)
            codes = codes.reshape(grey.shape)[:, pad:-pad, pad:-pad]  # (n, height, width)
            out[some, k] = _histograms(codes, cell, PATTERNS)
    return out.reshape(len(faces), -1)


@kinds
def filter_histograms(
    faces: Faces, filters: np.ndarray, cells: int = 8, mirrored: bool = False
) -> np.ndarray:
    """Count the signs of what filters answer, as `lbp_histograms` counts its patterns.

    Of k `filters`, (k, size, size) with an odd size, each gives a bit of a pixel's code: whether
    its answer is above zero. Returned are roots of shares, (n_images, cells * cells * 2**k).
    """
    filters = numbers("filters", filters)
    is_stack = filters.ndim == 3 and filters.shape[1] == filters.shape[2]
    is_odd = is_stack and filters.shape[1] % 2
    shape = f"shape {filters.shape}"
    expect(is_odd and 1 <= len(filters) <= 12, "1 to 12 filters of an odd size", shape)
    k, size, _ = filters.shape
    cell = _cell_of_pixels(faces, cells)
    weights = torch.from_numpy(filters).float()[:, None]  # (k, 1, size, size)
    out = np.empty((len(faces), cells**2 * 2**k), np.float32)
    for some, grey in _grey(faces, mirrored, size // 2):
        answers = functional.conv2d(torch.from_numpy(grey).float()[:, None], weights)
        bits = (answers > 0).numpy()  # (n, k, height, width)
        codes = np.einsum("nkhw,k->nhw", bits, 2 ** np.arange(k))
        out[some] = _histograms(codes, cell, 2**k)
    return out


def lpq_filters(size: int = 9) -> np.ndarray:
    """Return the filters of local phase quantisation, (8, size, size), float64.

    Real and imaginary parts of the four lowest frequencies of a window, whose phase a symmetric
    blur leaves as it is (Ojansivu, Heikkilä, ICISP 2008).
    """
    expect(whole("size", size, 3, 63) % 2, "an odd size", size)
    half = size // 2
    wave = np.exp(-2j * np.pi * np.arange(-half, half + 1) / (2 * half + 1))  # (size,)
    still = np.ones_like(wave)
    pairs = [(still, wave), (wave, still), (wave, wave), (wave, wave.conj())]
    waves = [np.outer(down, across) for down, across in pairs]
    return np.stack([part for wave in waves for part in (wave.real, wave.imag)])


@kinds
def bsif_filters(faces: Faces, size: int = 9, n_patches: int = 50_000) -> np.ndarray:
    """Learn filters for binarised statistical image features, (8, size, size), float64.

    The independent components of patches of the luminance of training images (Kannala, Rahtu, ICPR
    2012), always the same of the same faces.
    """
    size = whole("size", size, 3, min(faces.packed.shape[2:]))
    n_patches = whole("n_patches", n_patches, 100)
    grey = np.concatenate([some for _, some in _grey(faces, False, 0)])  # (n_images, height, width)
    windows = sliding_window_view(grey, (size, size), axis=(1, 2))
    rng = np.random.default_rng(0)
    image, top, left = (rng.integers(n, size=n_patches) for n in windows.shape[:3])
    patches = windows[image, top, left].reshape(n_patches, -1).astype(np.float64)
    patches -= patches.mean(axis=1, keepdims=True)
    ica = FastICA(8, random_state=0, max_iter=500, tol=1e-3)
    with warnings.catch_warnings():  # nearly independent components make filters as well
        warnings.simplefilter("ignore", ConvergenceWarning)
        return ica.fit(patches).components_.reshape(8, size, size)


def _cell_of_pixels(faces, cells):
    """Return the cell of each pixel, (height, width)."""
    height, width = faces.packed.shape[2:]
    cells = whole("cells", cells, 1, min(height, width))
    rows = np.arange(height) * cells // height
    columns = np.arange(width) * cells // width
    return rows[:, None] * cells + columns


def luminance(images: np.ndarray) -> np.ndarray:
    """Weigh red, green and blue as ITU-R BT.601 does: (n, 3, H, W) to float32 (n, H, W)."""
    return np.einsum("nchw,c->nhw", images, np.array([0.299, 0.587, 0.114], np.float32))


def _grey(faces, mirrored, pad):
    """Yield slices of images and their luminance, uint8, gone on with beyond its edges."""
    for start in range(0, len(faces), _TOGETHER):
        some = slice(start, start + _TOGETHER)
        images = faces.batch(some)
        if mirrored:
            images = images[..., ::-1]
        grey = np.rint(luminance(images)).astype(np.uint8)
        yield some, np.pad(grey, ((0, 0), (pad, pad), (pad, pad)), "edge")


def _histograms(codes, cell, n_codes):
    """Roots of the shares of each code in each cell, (n, n_cells * n_codes)."""
    pixels = np.bincount(cell.ravel())[:, None]  # (n_cells, 1)
    where = np.arange(len(codes))[:, None, None] * len(pixels) + cell  # (n, height, width)
    bins = where * n_codes + codes
    counts = np.bincount(bins.ravel(), minlength=len(codes) * len(pixels) * n_codes)
    shares = counts.reshape(len(codes), len(pixels), n_codes) / pixels
    return np.sqrt(shares).reshape(len(codes), -1)


def whitened_pca(n_values: int = 128) -> PCA:
    """Return a PCA that scales its directions to variance one; fit it on training images.

    Without the scaling the few directions of light and pose would decide every distance (Turk,
    Pentland, "Eigenfaces for Recognition", Journal of Cognitive Neuroscience 3(1), 1991).
    """
    n_values = whole("n_values", n_values, 1)
    return PCA(n_values, whiten=True, svd_solver="randomized", iterated_power=3, random_state=0)


def pca_lda(n_pca: int = 300, n_lda: int | None = 128) -> Pipeline:
    """Return a PCA followed by a linear discriminant analysis; fit it on training people.

    It looks for directions in which people lie far apart and the images of one person close
    together (Belhumeur, Hespanha, Kriegman, PAMI 19(7), 1997). `n_pca` and `n_lda` are the values
    after each of the two; `n_lda` is at most `n_pca` and less than the people, or all there are.
    """
    n_pca = whole("n_pca", n_pca, 1)
    n_lda = n_lda if n_lda is None else whole("n_lda", n_lda, 1, n_pca)
    pca = PCA(n_pca, svd_solver="randomized", iterated_power=2, random_state=0)
    return make_pipeline(pca, LinearDiscriminantAnalysis(n_components=n_lda))


@kinds
def embed_histograms(
    estimator: BaseEstimator, histograms: Callable, faces: Faces, flip: bool = False
) -> np.ndarray:
    """Project ``histograms(faces)`` by an estimator fitted on such: (n_images, n_values), float32.

    With `flip`, that of ``histograms(faces, mirrored=True)`` is added, as `facelab.embed` does.
    """
    out = estimator.transform(histograms(faces))
    if flip:
        out = out + estimator.transform(histograms(faces, mirrored=True))
    return out.astype(np.float32)


@kinds
def search_pca_lda(
    train: Faces,
    dev: Faces,
    histograms: Callable,
    cells: list[int],
    n_pca: list[int],
    n_lda: list[int],
) -> pd.DataFrame:
    """Fit every combination on `train` and measure it on the pairs of `dev`, the best first.

    ``histograms(faces, cells=cells)`` is `lbp_histograms` or `filter_histograms`. Columns:
    ``cells``, ``n_pca``, ``n_lda``, ``dev_auc``. One PCA per grid and one discriminant analysis
    per PCA size serve all smaller ones; combinations that training people are too few for go.
    """
    n_pca = [whole("n_pca", n, 1) for n in n_pca]
    n_lda = [whole("n_lda", n, 1) for n in n_lda]
    shared = set(train.names) & set(dev.names)
    expect(not shared, "dev people who are not in train", f"{len(shared)} who are")
    trials = []
    for side in cells:
        seen = histograms(train, cells=side)
        unseen = histograms(dev, cells=side)
        most = min(max(n_pca, default=0), *seen.shape)
        pca, lda = pca_lda(most, None)
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
    got = f"n_pca {n_pca} and n_lda {n_lda}"
    expect(trials, f"sizes that the images of {train} allow", got)
    table = pd.DataFrame(trials, columns=["cells", "n_pca", "n_lda", "dev_auc"])
    return table.sort_values("dev_auc", ascending=False, kind="stable", ignore_index=True)
