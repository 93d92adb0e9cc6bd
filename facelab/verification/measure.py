"""Measure how far apart the images of pairs lie."""

import numpy as np


def unit_length(embeddings: np.ndarray) -> np.ndarray:
    """Divide embeddings by their lengths, float64 of shape (n_images, embedding_size).

    Raises
    ------
    ValueError
        If the embeddings are not a table of finite numbers, or a row has length zero.
    """
    x = np.asarray(embeddings)
    if x.ndim != 2 or x.dtype.kind not in "fiu":
        raise ValueError(
            "expected numbers of shape (n_images, embedding_size), "
            f"got {x.dtype} of shape {x.shape}"
        )
    length = np.sqrt(np.einsum("nd,nd->n", x, x, dtype=np.float64))
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if len(bad):
        raise ValueError(
            f"expected embeddings of finite length above 0, got {len(bad)} others, "
            f"first row {bad[0]} of length {length[bad[0]]}"
        )
    return x / length[:, None]


def distances(embeddings: np.ndarray, pairs) -> np.ndarray:
    """Measure how far apart the two images of each pair lie on the unit sphere.

    Parameters
    ----------
    embeddings : ndarray of shape (n_images, embedding_size)
        Of any length but zero; normalised here.
    pairs : Pairs
        Rows of `embeddings`, in ``left`` and ``right``.

    Returns
    -------
    ndarray of shape (n_pairs,), float32
        Euclidean distance between unit-length embeddings, in [0, 2].

    Raises
    ------
    ValueError
        If the embeddings are not a table of finite numbers, a row has length zero, or a pair
        names a row that is not there.

    Examples
    --------
    >>> from facelab.faces import Pairs
    >>> embeddings = np.array([[1.0, 0.0], [0.0, 5.0], [-2.0, 0.0]])
    >>> distances(embeddings, Pairs([0, 0, 1], [0, 2, 0], [True, False, False]))
    array([0.       , 2.       , 1.4142135], dtype=float32)
    """
    x = unit_length(embeddings)
    check_rows(pairs.left, pairs.right, len(x))
    apart = np.empty(len(pairs.left), np.float32)
    for start in range(0, len(apart), 65_536):  # bounds the memory of a million pairs
        piece = slice(start, start + 65_536)
        between = x[pairs.left[piece]] - x[pairs.right[piece]]  # (B, D)
        apart[piece] = np.linalg.norm(between, axis=1)
    return apart


def distances_of(embeddings: np.ndarray, faces) -> np.ndarray:
    """`distances` of the pairs that `faces` carries, one embedding for each image."""
    if faces.pairs is None or not len(faces.pairs):
        raise ValueError(f"expected faces with pairs, got none in {faces!r}")
    if len(embeddings) != len(faces):
        raise ValueError(
            f"expected one embedding for each of {len(faces):,} images, got {len(embeddings):,}"
        )
    return distances(embeddings, faces.pairs)


def people_of(faces) -> frozenset[str]:
    """Names of everyone in the pairs of `faces`."""
    labels = np.unique(faces.labels[[faces.pairs.left, faces.pairs.right]])
    return frozenset(faces.names[k] for k in labels)


def check_rows(left: np.ndarray, right: np.ndarray, n: int) -> None:
    """Refuse pairs of rows that are not in 0..n-1."""
    ends = np.concatenate([left, right])
    if len(ends) and (ends.min() < 0 or ends.max() >= n):
        raise ValueError(f"expected pairs of rows in 0..{n - 1}, got {ends.min()}..{ends.max()}")
