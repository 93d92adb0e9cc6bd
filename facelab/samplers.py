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


def shuffled(faces: Faces, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield every image once in random order; a last, smaller batch is left out."""
    if len(faces) < batch_size:
        raise ValueError(f"expected at least {batch_size} images, got {len(faces)}")
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
    if batch_size <= 0 or batch_size % 4:
        raise ValueError(f"expected a batch_size divisible by 4, got {batch_size}")
    by_person = faces.rows_by_person()
    n_people = len(by_person)
    many = np.flatnonzero(faces.counts >= 2)
    if not len(many) or n_people < 2:
        raise ValueError(
            f"expected two people, one with two images, got {n_people}, {len(many)} with two"
        )
    quarter = batch_size // 4
    left = np.arange(0, batch_size, 2)
    right = left + 1
    pairs = (left[:quarter], right[:quarter], left[quarter:], right[quarter:])
    for _ in range(max(1, len(faces) // batch_size)):
        rows = []
        for person in rng.choice(many, quarter):
            rows.extend(rng.choice(by_person[person], 2, replace=False))
        first = rng.integers(n_people, size=quarter)
        second = (first + rng.integers(1, n_people, size=quarter)) % n_people
        for person in np.stack([first, second], axis=1).ravel():
            rows.append(rng.choice(by_person[person]))
        yield Batch(np.array(rows), pairs)


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
    by_person = [rows for rows in faces.rows_by_person() if len(rows) >= 2]
    available = sum(min(len(rows), images_per_person) for rows in by_person)
    if available < batch_size:
        raise ValueError(
            f"expected people with two images or more that fill a batch of {batch_size}, got "
            f"{len(by_person)} people with {available} images at {images_per_person} each"
        )
    for _ in range(max(1, len(faces) // batch_size)):
        chosen = []
        for k in rng.permutation(len(by_person)):
            rows = by_person[k]
            take = min(len(rows), images_per_person, batch_size - len(chosen))
            chosen.extend(rng.choice(rows, take, replace=False))
            if len(chosen) == batch_size:
                break
        yield Batch(np.array(chosen))
