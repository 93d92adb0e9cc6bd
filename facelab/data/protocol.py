"""LFW's protocol: who is in which part, and which pairs are verified.

`official` is LFW's own, which ships with the package; `protocol_text` reads and writes others.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from facelab.checks import expect, expect_in
from facelab.data.facts import known_errors
from facelab.faces import Faces, Pairs


@dataclass(frozen=True, eq=False)
class NamedPairs:
    """Pairs of images by person and image number (from 1), in the order of their text file.

    All arrays have the shape (n_pairs,); the fold is 0 to 9 in View 2, 0 elsewhere.
    """

    names_left: np.ndarray
    numbers_left: np.ndarray
    names_right: np.ndarray
    numbers_right: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, int, str, int, int]]) -> "NamedPairs":
        """Build from tuples ``(left name, left number, right name, right number, fold)``."""
        columns = list(zip(*pairs, strict=True)) or [()] * 5
        kinds = (str, np.int64, str, np.int64, np.int64)
        return cls(*map(np.array, columns, kinds))

    def __len__(self) -> int:
        return len(self.fold)

    def __iter__(self):
        return zip(*(column.tolist() for column in vars(self).values()), strict=True)

    @property
    def same(self) -> np.ndarray:
        """True where both images show one person, bool of shape (n_pairs,)."""
        return self.names_left == self.names_right

    def where(self, keep: np.ndarray) -> "NamedPairs":
        """Return the pairs whose entry in `keep`, bool of shape (n_pairs,), is true."""
        return NamedPairs(*(column[keep] for column in vars(self).values()))

    def among(self, people: Iterable[str]) -> "NamedPairs":
        """Return the pairs whose two people are both among `people`."""
        are_in = np.isin([self.names_left, self.names_right], list(people))  # (2, n_pairs)
        return self.where(are_in.all(axis=0))

    def rows(self, faces: Faces, name: str, role: str = "") -> Pairs:
        """Find the pairs in `faces`, as `Pairs` of that name and role, LFW's known errors marked.

        A pair is never skipped, which would shift the folds: a missing image is a ValueError.
        """
        left = [f"{person}_{number:04d}" for person, number, *_ in self]
        right = [f"{person}_{number:04d}" for _, _, person, number, _ in self]
        images = pd.Index(faces.image_ids)
        missing = sorted({*left, *right} - set(images))
        few = ", ".join(missing[:10])
        expect(not missing, f"every image of the {name} pairs in {faces}", f"none of {few}")
        known = set(map(frozenset, known_errors()[["left", "right"]].to_numpy()))
        is_known = [frozenset(pair) in known for pair in zip(left, right, strict=True)]
        left, right = images.get_indexer(left), images.get_indexer(right)
        about = {"name": name, "role": role, "known_errors": np.array(is_known, bool)}
        return Pairs(left, right, self.same, self.fold, **about)


@dataclass(frozen=True, eq=False)
class Protocol:
    """The people, parts and pairs of a data set in LFW's layout.

    `counts` are the images of each person, in the order of ``lfw-names.txt``. `dev_train` and
    `dev_test` are the people of View 1, `folds` those of View 2; none is in two parts of a view.
    """

    counts: dict[str, int]
    dev_train: tuple[str, ...]
    dev_test: tuple[str, ...]
    folds: tuple[tuple[str, ...], ...]
    pairs_dev_train: NamedPairs
    pairs_dev_test: NamedPairs
    pairs: NamedPairs

    def __post_init__(self):
        for view, parts in (("View 1", (self.dev_train, self.dev_test)), ("View 2", self.folds)):
            n_parts = Counter(chain.from_iterable(parts))
            wrong = sorted(name for name, n in n_parts.items() if n > 1 or name not in self.counts)
            expect_in(view, not wrong, "known people, each in one part", wrong)

    @property
    def files(self) -> list[str]:
        """``NAME/NAME_0001.jpg`` for every image, in the order of `counts`."""
        counts = self.counts.items()
        return [f"{name}/{name}_{i:04d}.jpg" for name, n in counts for i in range(1, n + 1)]


@cache
def official() -> Protocol:
    """Return LFW's own protocol (Huang et al., UMass Amherst TR 07-49, 2007, section IV).

    >>> lfw = official()
    >>> len(lfw.counts), sum(lfw.counts.values()), len(lfw.dev_test), len(lfw.pairs)
    (5749, 13233, 1711, 6000)
    """
    with np.load(Path(__file__).with_name("lfw_protocol.npz"), allow_pickle=False) as facts:
        names = np.array(facts["names"].tobytes().decode().split("\n"))
        counts = dict(zip(names.tolist(), facts["counts"].tolist(), strict=True))
        people = np.split(names[facts["parts"]], np.cumsum(facts["part_sizes"])[:-1])
        pairs = np.split(facts["pairs"].astype(np.int64), np.cumsum(facts["pair_sizes"])[:-1])
    dev_train, dev_test, *folds = (tuple(part.tolist()) for part in people)
    columns = (some.T for some in pairs)
    lists = [NamedPairs(names[a], i, names[b], j, fold) for a, i, b, j, fold in columns]
    return Protocol(counts, dev_train, dev_test, tuple(folds), *lists)
