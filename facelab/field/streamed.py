"""Pictures that are decoded when a batch asks for them, so that any number of them can be used."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.checks import expect_in
from facelab.data.decoding import decode
from facelab.data.packing import check_sizes
from facelab.faces import Faces, Pairs
from facelab.progress import MANY, Progress


class Streamed:
    """What `Faces` needs of an array of `n` images; decodes what is indexed and keeps nothing.

    ``picture(row)`` returns what `decode` takes, ``place(row)`` says in an error where it is.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, n: int, picture: Callable, place: Callable, image_size: int, crop: int | None = None
    ):
        check_sizes(image_size, crop)
        self.shape = (n, 3, image_size, image_size)
        self.picture, self.place, self.crop = picture, place, crop

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Decode the pictures of `rows`, (B,): uint8 of shape (B, 3, image_size, image_size)."""
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)

        def read(k):
            try:
                images[k] = decode(self.picture(rows[k]), self.shape[-1], self.crop)
            except ValueError as e:
                place = self.place(rows[k])
                raise ValueError(f"{place}: expected a whole picture, got this: {e}") from e

        with ThreadPoolExecutor() as pool:  # Pillow decodes without the GIL
            list(pool.map(read, range(len(rows))))
        return images


def files_as_faces(
    files: Sequence[Path],
    people: Iterable,
    numbers: Sequence[int] | None,
    source: str,
    image_size: int,
    crop: int | None,
) -> Faces:
    """Return pictures in files as streamed `Faces`; `numbers` by default count each one's.

    Missing files are a ValueError. The fingerprint is of the files' names and lengths.
    """
    digest = hashlib.sha256(f"{image_size} {crop}".encode())
    missing = []
    for file in Progress(files, source, disable=len(files) < MANY):
        if os.path.isfile(file):
            digest.update(f"\n{file.parent.name}/{file.name} {file.stat().st_size}".encode())
        else:
            missing.append(str(file))
    got = f"{len(missing):,} missing: {', '.join(missing[:5])}"
    expect_in(source, not missing, f"{len(files):,} pictures", got)
    labels, names = pd.factorize(np.array(list(people), str))
    return Faces(
        packed=Streamed(len(files), files.__getitem__, files.__getitem__, image_size, crop),
        rows=np.arange(len(files)),
        labels=labels,
        names=tuple(names.tolist()),
        numbers=numbers,
        source=source,
        fingerprint=digest.hexdigest(),
        root=source,
        crop=crop,
    )


def paired(faces: Faces, left, right, same, fold, name: str) -> Faces:
    """Return faces with the test pairs of a list; what contradicts them names the set."""
    try:
        return faces.with_pairs(Pairs(left, right, same, fold, name=name, role="test"))
    except ValueError as e:
        raise ValueError(f"{name}: {e}") from e


def tenths(same: np.ndarray) -> np.ndarray:
    """Return ten folds, (n_pairs,): a tenth of the same and of the different pairs each."""
    folds = np.zeros(len(same), np.int64)
    for kind in (same, ~same):
        n = kind.sum()
        folds[kind] = np.arange(n) * 10 // max(n, 1)
    return folds
