"""Samplers: functions ``sampler(faces, batch_size, rng)`` that yield the batches of one epoch.

What else one takes is set with `functools.partial`. All draw from `rng` alone. A batch is a
`Batch`, or an array of rows alone.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import BatchSampler, Sampler

from facelab.checks import expect, kinds, places, whole
from facelab.faces import Faces


@kinds
class Batch(NamedTuple):
    """Images of one step: int64 rows of the `Faces`, of shape (B,), and perhaps pairs of them.

    Pairs are positions in the batch (anchor, positive, anchor, negative); None: all, or a miner's.
    """

    rows: np.ndarray
    pairs: tuple[np.ndarray, ...] | None = None


@kinds
def shuffled(faces: Faces, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield every image once in random order; a last, smaller batch is left out."""
    batch_size = whole("batch_size", batch_size, 1)
    expect(len(faces) >= batch_size, f"at least {batch_size} images", len(faces))
    order = rng.permutation(len(faces))
    for start in range(0, len(order) - batch_size + 1, batch_size):
        yield Batch(order[start : start + batch_size])


@kinds
def balanced_pairs(faces: Faces, batch_size: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield random pairs, as many same as different ones.

    A same pair is two images of a random person, a different one an image each of two random
    people. `batch_size` counts images, a multiple of 4; every image is in one pair only.
    """
    is_fit = whole("batch_size", batch_size) > 0 and batch_size % 4 == 0
    expect(is_fit, "a batch_size divisible by 4", batch_size)
    by_person = [rows for rows in faces.rows_by_person() if len(rows)]
    n_people = len(by_person)
    many = np.flatnonzero([len(rows) >= 2 for rows in by_person])
    got = f"{n_people}, {len(many)} with two"
    expect(len(many) and n_people >= 2, "two people, one with two images", got)
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


@kinds
def people_by_images(
    faces: Faces, batch_size: int, rng: np.random.Generator, images_per_person: int = 4
) -> Iterator[Batch]:
    """Yield P x K batches: random people with up to `images_per_person` distinct images each.

    People with two images or more are drawn without replacement until `batch_size` images are
    together. Unlike pytorch-metric-learning's MPerClassSampler, no image stands twice in a batch,
    where it would be its own positive.
    """
    batch_size = whole("batch_size", batch_size, 1)
    images_per_person = whole("images_per_person", images_per_person, 1)
    by_person = [rows for rows in faces.rows_by_person() if len(rows) >= 2]
    available = sum(min(len(rows), images_per_person) for rows in by_person)
    got = f"{len(by_person)} people with {available} images at {images_per_person} each"
    expect(available >= batch_size, f"people to fill a batch of {batch_size}", got)
    for _ in range(len(faces) // batch_size):
        chosen = []
        for k in rng.permutation(len(by_person)):
            rows = by_person[k]
            take = min(len(rows), images_per_person, batch_size - len(chosen))
            chosen.extend(rng.choice(rows, take, replace=False))
            if len(chosen) == batch_size:
                break
        yield Batch(np.array(chosen))


def draw(sampler: Callable | Sampler, faces: Faces, batch_size: int, rng) -> list[Batch]:
    """Return the checked batches of one epoch, of a function or of a sampler of PyTorch.

    PyTorch's, as pytorch-metric-learning's MPerClassSampler, name rows one by one, or in lists, and
    draw from the global generators of PyTorch and of Python, which `facelab.fit` seeds, and of
    NumPy, which is seeded here and put back.
    """
    if isinstance(sampler, Sampler):
        before = np.random.get_state()  # noqa: NPY002
        np.random.seed(rng.integers(2**32))  # noqa: NPY002
        try:
            drawn = list(sampler)
        finally:
            np.random.set_state(before)  # noqa: NPY002
        if drawn and np.ndim(drawn[0]) == 0:
            drawn = BatchSampler(drawn, batch_size, drop_last=True)
    else:
        drawn = sampler(faces, batch_size, rng)
    expected = f"a sampler that yields batches of {batch_size} images"
    expect(isinstance(drawn, Iterable), expected, type(drawn).__name__)
    batches = [_checked(one, len(faces)) for one in drawn]
    expect(batches, expected, "none")
    return batches


def _checked(batch, n_images: int) -> Batch:
    rows, pairs = batch if isinstance(batch, Batch) else (batch, None)
    rows = places("rows of a batch", rows, n_images)
    expect(rows.ndim == 1 and len(rows), "a batch of rows", f"shape {rows.shape}")
    if pairs is not None:
        pairs = tuple(places("ends of pairs", ends, len(rows)) for ends in pairs)
        lengths = [len(ends) for ends in pairs]
        is_whole = len(pairs) == 4 and lengths[::2] == lengths[1::2]
        expect(is_whole, "pairs (anchor, positive, anchor, negative)", lengths)
    return Batch(rows, pairs)
