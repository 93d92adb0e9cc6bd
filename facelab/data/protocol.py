"""LFW's protocol as data: who is in which part, and which pairs are verified.

`official` is the protocol of LFW itself, which ships with the package as one small file of facts.
`protocol_text` reads and writes the seven text files that hold a protocol on disk.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np

from facelab.faces import Faces, Pairs


@dataclass(frozen=True, eq=False)
class NamedPairs:
    """Pairs of images by person and image number, in the order of their text file.

    Parameters
    ----------
    names_left, names_right : ndarray of shape (n_pairs,), str
        The two people.
    numbers_left, numbers_right : ndarray of shape (n_pairs,), int64
        The number of each image among its person's, from 1.
    fold : ndarray of shape (n_pairs,), int64
        Fold of each pair, 0 to 9 in View 2; all 0 elsewhere.
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
        people = list(people)
        return self.where(np.isin(self.names_left, people) & np.isin(self.names_right, people))

    def rows(self, faces: Faces, name: str, role: str = "") -> Pairs:
        """Find every pair's two images in `faces`.

        `name` and `role` (what the people of the pairs are to a network) are those of `Pairs`.

        Raises
        ------
        ValueError
            If `faces` lacks an image. A pair is never skipped: that would shift the folds.
        """
        row = {image_id: r for r, image_id in enumerate(faces.image_ids.tolist())}
        left = [f"{person}_{number:04d}" for person, number, *_ in self]
        right = [f"{person}_{number:04d}" for _, _, person, number, _ in self]
        missing = sorted({*left, *right} - set(row))
        if missing:
            raise ValueError(
                f"expected every image of the {name} pairs in {faces}, but {len(missing)} are not "
                f"there: {', '.join(missing[:10])}"
            )
        left = [row[image_id] for image_id in left]
        right = [row[image_id] for image_id in right]
        return Pairs(left, right, self.same, self.fold, name, role)


@dataclass(frozen=True, eq=False)
class Protocol:
    """The people, parts and pairs of a data set in LFW's layout.

    Parameters
    ----------
    counts : dict of str to int
        Number of images of every person, in the order of ``lfw-names.txt``.
    dev_train, dev_test : tuple of str
        View 1: the people to train on and to test on.
    folds : tuple of tuples of str
        View 2: the people of each fold (ten in LFW).
    pairs_dev_train, pairs_dev_test, pairs : NamedPairs
        View 1's two lists of pairs, and View 2's with their folds.

    Raises
    ------
    ValueError
        If a part holds an unknown person, or two parts of a view share one.
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
            if unknown := sorted(set(n_parts) - set(self.counts)):
                raise ValueError(f"{view}: expected people of lfw-names.txt, got {unknown[:10]}")
            if twice := sorted(name for name, n in n_parts.items() if n > 1):
                raise ValueError(f"{view}: expected each person in one part, twice: {twice[:10]}")

    @property
    def files(self) -> list[str]:
        """``NAME/NAME_0001.jpg`` for every image, in the order of `counts`."""
        counts = self.counts.items()
        return [f"{name}/{name}_{i:04d}.jpg" for name, n in counts for i in range(1, n + 1)]


@cache
def official() -> Protocol:
    """Return LFW's own protocol, from the facts that ship with the package.

    References
    ----------
    Huang, Ramesh, Berg, Learned-Miller, "Labeled Faces in the Wild: A Database for Studying Face
    Recognition in Unconstrained Environments", UMass Amherst TR 07-49, 2007, section IV.

    Examples
    --------
    >>> lfw = official()
    >>> len(lfw.counts), sum(lfw.counts.values()), len(lfw.dev_test), len(lfw.pairs)
    (5749, 13233, 1711, 6000)
    """
    with np.load(Path(__file__).with_name("lfw_protocol.npz"), allow_pickle=False) as facts:
        names = np.array(facts["names"].tobytes().decode().split("\n"))
        counts = dict(zip(names.tolist(), facts["counts"].tolist(), strict=True))
        part_ends = np.cumsum(facts["part_sizes"])[:-1]
        people = np.split(names[facts["parts"]], part_ends)
        pair_ends = np.cumsum(facts["pair_sizes"])[:-1]
        pairs = []
        for some in np.split(facts["pairs"].astype(np.int64), pair_ends):
            a, i, b, j, fold = some.T
            pairs.append(NamedPairs(names[a], i, names[b], j, fold))
    dev_train, dev_test, *folds = (tuple(part.tolist()) for part in people)
    return Protocol(counts, dev_train, dev_test, tuple(folds), *pairs)
