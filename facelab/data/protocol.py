"""LFW's protocol as data: who is in which part, and which pairs are verified.

Seven text files hold it. `official` is the protocol of LFW itself, which ships with the package
as one small file of facts; `write` rebuilds the text files, and `protocol_text.read` parses them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from facelab.faces import Faces, Pairs

FILES = (
    "lfw-names.txt",
    "people.txt",
    "peopleDevTrain.txt",
    "peopleDevTest.txt",
    "pairs.txt",
    "pairsDevTrain.txt",
    "pairsDevTest.txt",
)


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
        kinds = (str, int, str, int, int)
        return cls(*(np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)))

    def __len__(self) -> int:
        return len(self.fold)

    def __iter__(self):
        columns = (self.names_left, self.numbers_left, self.names_right, self.numbers_right)
        return zip(*(c.tolist() for c in (*columns, self.fold)), strict=True)

    @property
    def same(self) -> np.ndarray:
        """True where both images show one person, bool of shape (n_pairs,)."""
        return self.names_left == self.names_right

    def where(self, keep: Iterable[bool]) -> "NamedPairs":
        """Return the pairs whose entry in `keep` is true."""
        return NamedPairs.of(p for p, k in zip(self, keep, strict=True) if k)

    def among(self, people: Iterable[str]) -> "NamedPairs":
        """Return the pairs whose two people are both among `people`."""
        people = set(people)
        return self.where(p[0] in people and p[2] in people for p in self)

    def rows(self, faces: Faces, name: str, role: str = "") -> Pairs:
        """Find every pair's two images in `faces`.

        Raises
        ------
        ValueError
            If `faces` lacks an image. A pair is never skipped: that would shift the folds.
        """
        row = {image_id: r for r, image_id in enumerate(faces.image_ids.tolist())}
        ids = [(f"{a}_{i:04d}", f"{b}_{j:04d}") for a, i, b, j, _ in self]
        missing = sorted({i for pair in ids for i in pair} - set(row))
        if missing:
            raise ValueError(
                f"expected every image of the {name} pairs in {faces}, but {len(missing)} are not "
                f"there: {', '.join(missing[:10])}"
            )
        left, right = np.array([(row[a], row[b]) for a, b in ids], np.int64).reshape(-1, 2).T
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
            people = [name for part in parts for name in part]
            if unknown := sorted(set(people) - set(self.counts)):
                raise ValueError(f"{view}: expected people of lfw-names.txt, got {unknown[:10]}")
            if len(set(people)) < len(people):
                twice = sorted(n for n in set(people) if people.count(n) > 1)
                raise ValueError(f"{view}: expected each person in one part, twice: {twice[:10]}")


def _people_lines(counts: dict[str, int], people: Iterable[str]) -> list[str]:
    return [f"{name}\t{counts[name]}" for name in people]


def _pair_lines(pairs: NamedPairs, n_folds: int, file: str) -> list[str]:
    n = len(pairs) // (2 * n_folds)
    order = np.tile(np.repeat([True, False], n), n_folds)
    fold = np.repeat(np.arange(n_folds), 2 * n)
    if not (np.array_equal(pairs.same, order) and np.array_equal(pairs.fold, fold)):
        raise ValueError(
            f"{file}: expected {n_folds} folds of equally many same, then as many different pairs, "
            f"got {pairs.same.sum()} same of {len(pairs)} in another order"
        )
    return [f"{a}\t{i}\t{j}" if a == b else f"{a}\t{i}\t{b}\t{j}" for a, i, b, j, _ in pairs]


def texts(protocol: Protocol) -> dict[str, str]:
    """Return the content of the seven text files, by file name.

    Raises
    ------
    ValueError
        If the files cannot say it: each fold must list its same pairs, then as many different
        ones, and all folds must be of one size.
    """
    p, n_folds = protocol, len(protocol.folds)
    people = [str(n_folds)]
    for fold in p.folds:
        people += [str(len(fold)), *_people_lines(p.counts, fold)]
    lines = {"lfw-names.txt": _people_lines(p.counts, p.counts), "people.txt": people}
    lines["pairs.txt"] = [
        f"{n_folds}\t{len(p.pairs) // (2 * n_folds)}",
        *_pair_lines(p.pairs, n_folds, "pairs.txt"),
    ]
    for part, names, pairs in (
        ("Train", p.dev_train, p.pairs_dev_train),
        ("Test", p.dev_test, p.pairs_dev_test),
    ):
        lines[f"peopleDev{part}.txt"] = [str(len(names)), *_people_lines(p.counts, names)]
        file = f"pairsDev{part}.txt"
        lines[file] = [str(len(pairs) // 2), *_pair_lines(pairs, 1, file)]
    return {file: "\n".join(lines[file]) + "\n" for file in FILES}


def write(protocol: Protocol, folder: str | Path) -> None:
    """Write the seven text files into `folder`; for LFW, byte for byte the official ones."""
    for file, text in texts(protocol).items():
        (Path(folder) / file).write_bytes(text.encode())


def pack(protocol: Protocol, path: str | Path) -> None:
    """Store a protocol as one compressed ``.npz`` of a list of names and small integers.

    The shipped facts were made from a folder with the seven official files by
    ``pack(protocol_text.parse({file: folder / file for file in FILES}), "lfw_protocol.npz")``.
    """
    number = {name: k for k, name in enumerate(protocol.counts)}
    parts = (protocol.dev_train, protocol.dev_test, *protocol.folds)
    pairs = (protocol.pairs_dev_train, protocol.pairs_dev_test, protocol.pairs)
    np.savez_compressed(
        path,
        names=np.frombuffer("\n".join(number).encode(), np.uint8),
        counts=np.array(list(protocol.counts.values()), np.uint16),
        parts=np.array([number[name] for part in parts for name in part], np.uint16),
        part_sizes=np.array([len(part) for part in parts], np.uint16),
        pairs=np.array(
            [(number[a], i, number[b], j, f) for some in pairs for a, i, b, j, f in some],
            np.uint16,
        ).reshape(-1, 5),
        pair_sizes=np.array([len(some) for some in pairs], np.uint16),
    )


def unpack(path: str | Path) -> Protocol:
    """Load a protocol that `pack` stored."""
    with np.load(path, allow_pickle=False) as facts:
        names = facts["names"].tobytes().decode().split("\n")
        array = np.array(names)
        ends = np.cumsum(facts["part_sizes"])[:-1]
        parts = [tuple(names[k] for k in part.tolist()) for part in np.split(facts["parts"], ends)]
        columns, sizes = facts["pairs"].T.astype(np.int64), facts["pair_sizes"]
        pairs = [
            NamedPairs(array[a], i, array[b], j, fold)
            for a, i, b, j, fold in np.split(columns, np.cumsum(sizes)[:-1], axis=1)
        ]
        counts = dict(zip(names, facts["counts"].tolist(), strict=True))
    return Protocol(counts, parts[0], parts[1], tuple(parts[2:]), *pairs)


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
    return unpack(Path(__file__).with_name("lfw_protocol.npz"))
