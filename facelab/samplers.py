"""How a batch is formed. A sampler yields the batches of one epoch.

A sampler is any function ``sampler(faces, batch_size, rng)`` that yields `Batch`; what else it
takes is set with `functools.partial`. It draws from `rng` alone, so that an epoch can be repeated.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from facelab.faces import Faces


class Batch(NamedTuple):
    """Images of one step.

    Parameters
    ----------
    rows : ndarray of shape (B,), int64
        Rows of the images in the `Faces`.
    pairs : tuple of 4 ndarrays, optional
        Positions in the batch (anchor, positive, anchor, negative), as pytorch-metric-learning
        takes them. None: the loss, or a miner, chooses among all images of the batch.
    """

    rows: np.ndarray
    pairs: tuple[np.ndarray, ...] | None = None


def _rows_by_person(faces: Faces) -> list[np.ndarray]:
    order = np.argsort(faces.labels, kind="stable")
    return np.split(order, np.cumsum(faces.counts)[:-1])


def shuffled(faces: Faces, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield every image once in random order; a last, smaller batch is left out."""
    _check(len(faces) >= batch_size, f"at least {batch_size} images", f"{len(faces)}")
    order = rng.permutation(len(faces))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        yield Batch(order[start : start + batch_size])


def balanced_pairs(faces: Faces, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield random pairs, as many same as different ones.

    A same pair is a random person with two images or more and two of that person's images; a
    different pair is two random people and an image of each. An epoch has as many images as
    `faces`. `batch_size` counts images, so a batch holds half as many pairs; every image takes
    part in one pair only.

    Raises
    ------
    ValueError
        If `batch_size` is not a multiple of 4, or nobody has two images.
    """
    _check(batch_size > 0 and batch_size % 4 == 0, "a batch_size divisible by 4", f"{batch_size}")
    by_person = _rows_by_person(faces)
    many = np.flatnonzero(faces.counts >= 2)
    _check(len(many) > 0, "at least one person with two images", "none")
    _check(len(by_person) > 1, "at least two people", f"{len(by_person)}")
    quarter = batch_size // 4
    anchors = np.arange(0, batch_size, 2)
    pairs = anchors[:quarter], anchors[:quarter] + 1, anchors[quarter:], anchors[quarter:] + 1
    for _ in range(max(1, len(faces) // batch_size)):
        same = [rng.choice(by_person[k], 2, replace=False) for k in rng.choice(many, quarter)]
        first = rng.integers(len(by_person), size=quarter)
        second = (first + rng.integers(1, len(by_person), size=quarter)) % len(by_person)
        different = [
            (rng.choice(by_person[a]), rng.choice(by_person[b]))
            for a, b in zip(first, second, strict=True)
        ]
        yield Batch(np.concatenate([*same, *different]), pairs)


def people_by_images(
    faces: Faces, batch_size: int, rng: np.random.Generator, images_per_person: int = 4
) -> Iterator[Batch]:
    """Yield P x K batches: random people with up to `images_per_person` distinct images each.

    People are drawn without replacement until `batch_size` images are together; the last one may
    be cut short. Only people with two images or more are drawn. Unlike pytorch-metric-learning's
    MPerClassSampler, no image stands twice in a batch, where it would be its own positive.

    Raises
    ------
    ValueError
        If the people with two images or more cannot fill a batch.
    """
    by_person = [rows for rows in _rows_by_person(faces) if len(rows) >= 2]
    available = sum(min(len(rows), images_per_person) for rows in by_person)
    _check(
        available >= batch_size,
        f"people with two images or more that fill a batch of {batch_size}",
        f"{len(by_person)} people with {available} images at {images_per_person} each",
    )
    for _ in range(max(1, len(faces) // batch_size)):
        rows: list[int] = []
        for k in rng.permutation(len(by_person)):
            take = min(len(by_person[k]), images_per_person, batch_size - len(rows))
            rows.extend(rng.choice(by_person[k], take, replace=False))
            if len(rows) == batch_size:
                break
        yield Batch(np.array(rows))


def _check(ok: bool, expected: str, got: str) -> None:
    if not ok:
        raise ValueError(f"expected {expected}, got {got}")
