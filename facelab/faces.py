"""Faces, pairs of faces, and splits in which nobody is on both sides.

Nothing here knows where the images come from or what is done with them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

ROLES = ("train", "dev", "test", "")


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images: two row numbers into a `Faces`, and whether they show one person.

    Parameters
    ----------
    left, right : ndarray of shape (n_pairs,), int64
        Rows of the two images in the `Faces` that these pairs belong to.
    same : ndarray of shape (n_pairs,), bool
        True where both show one person (a genuine pair), False elsewhere (an impostor pair).
    fold : ndarray of shape (n_pairs,), int64, optional
        Fold of each pair, 0 to 9 in View 2; all 0 elsewhere.
    name : str
        What the pairs are, for example ``"View 1 test"``.
    role : {"train", "dev", "test", ""}
        What the people of the pairs are to a network; empty if that is not settled.
    weights : ndarray of shape (n_pairs,), float64, optional
        How much each pair counts when a threshold is chosen; default: all alike.

    Raises
    ------
    ValueError
        If lengths differ, `same` is not bool, or there is no such role or weight.
    """

    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    fold: np.ndarray | None = None
    name: str = "pairs"
    role: str = ""
    weights: np.ndarray | None = None

    def __post_init__(self):
        if np.asarray(self.same).dtype != bool:
            raise ValueError(f"expected bool in `same`, got {np.asarray(self.same).dtype}")
        if self.role not in ROLES:
            raise ValueError(f"expected a role of {ROLES}, got {self.role!r}")
        columns = {"left": int, "right": int, "same": bool, "fold": int, "weights": float}
        arrays = {"fold": np.zeros(len(self.left), int)}
        for field, kind in columns.items():
            if getattr(self, field) is not None:
                arrays[field] = np.asarray(getattr(self, field), kind)
        shapes = [array.shape for array in arrays.values()]
        if set(shapes) != {(len(self.left),)}:
            raise ValueError(f"expected arrays of one length, got shapes {shapes}")
        for field, array in arrays.items():
            object.__setattr__(self, field, array)
        if self.weights is not None:
            wrong = self.weights[~np.isfinite(self.weights) | (self.weights < 0)]
            if len(wrong):
                raise ValueError(f"expected finite weights of 0 or more, got {wrong[0]}")

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, index) -> "Pairs":
        """Return the pairs at `index` (a slice, a mask or an array of pair numbers)."""
        return replace(
            self,
            left=self.left[index],
            right=self.right[index],
            same=self.same[index],
            fold=self.fold[index],
            weights=None if self.weights is None else self.weights[index],
        )


@dataclass(frozen=True, eq=False)
class Faces:
    """Face images of labelled people, read from one packed array.

    Selections share `packed`; only `rows` differs, so a split costs no memory.

    Parameters
    ----------
    packed : ndarray of shape (n_packed, 3, height, width), uint8
        RGB images, usually a read-only memory map of the cache file.
    rows, labels, numbers : ndarray of shape (n_images,), int64
        Of each image: its place in `packed`, its person as an integer 0..K-1, and its number
        among that person's, from 1, as in the file name.
    names : tuple of K str
        The person behind each label.
    source : str
        What the images are, for captions, for example ``"LFW deep-funneled"``.
    synthetic : bool
        Whether the faces are drawn, not photographed.
    pairs : Pairs, optional
        Pairs of these images that are used to verify.
    protocol : Protocol, optional
        The lists of people and pairs that came with the images.
    fingerprint : str
        SHA-256 of the packed pixels, names and numbers that the images were read from.
    root, crop : str, int, optional
        What the images were loaded from, and the central pixels that were kept of each file.

    Raises
    ------
    ValueError
        If shapes disagree, there is no such label or row, or `pairs` contradict the labels.
    """

    packed: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    numbers: np.ndarray
    source: str = "faces"
    synthetic: bool = False
    pairs: Pairs | None = None
    protocol: object | None = None
    fingerprint: str = ""
    root: str = ""
    crop: int | None = None

    def __post_init__(self):
        packed = self.packed
        if packed.ndim != 4 or packed.shape[1] != 3 or packed.dtype != np.uint8:
            raise ValueError(
                "expected uint8 images of shape (n, 3, height, width), "
                f"got {packed.dtype} of shape {packed.shape}"
            )
        lengths = len(self.rows), len(self.labels), len(self.numbers)
        if lengths != (len(self),) * 3:
            raise ValueError(f"expected as many rows, labels and numbers, got {lengths}")
        _check_range(self.labels, len(self.names), "labels")
        if self.pairs is not None:
            self._check_pairs(self.pairs)

    def _check_pairs(self, pairs: Pairs) -> None:
        _check_range(np.concatenate([pairs.left, pairs.right]), len(self), "rows in pairs")
        left = self.labels[pairs.left]
        right = self.labels[pairs.right]
        wrong = np.flatnonzero((left == right) != pairs.same)
        if len(wrong):
            first = wrong[0]
            raise ValueError(
                f"expected `same` as the labels have it, got {len(wrong)} other pairs; pair "
                f"{first} is marked same={pairs.same[first]} but shows "
                f"{self.names[left[first]]} and {self.names[right[first]]}"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        pairs = "" if self.pairs is None else f", {len(self.pairs):,} pairs ({self.pairs.name})"
        return (
            f"Faces({self.source}: {len(self.names):,} people, {len(self):,} images of "
            f"{self.packed.shape[2]}x{self.packed.shape[3]} px{pairs})"
        )

    def batch(self, index) -> np.ndarray:
        """Return the images at `index`, uint8 of shape (len(index), 3, height, width)."""
        return self.packed[self.rows[index]]

    @property
    def images(self) -> np.ndarray:
        """All images, uint8 of shape (n_images, 3, height, width), copied out of the cache."""
        return self.batch(slice(None))

    @property
    def counts(self) -> np.ndarray:
        """Images per person, int64 of shape (K,)."""
        return np.bincount(self.labels, minlength=len(self.names))

    def rows_by_person(self) -> list[np.ndarray]:
        """Return the row numbers of every person's images, K arrays."""
        order = np.argsort(self.labels, kind="stable")
        return np.split(order, np.cumsum(self.counts)[:-1])

    @property
    def image_ids(self) -> np.ndarray:
        """``NAME_0001`` for every image, str of shape (n_images,): the file name's stem."""
        images = zip(self.labels, self.numbers, strict=True)
        return np.array([f"{self.names[label]}_{number:04d}" for label, number in images])

    def select(self, people: Iterable[str]) -> "Faces":
        """Keep only `people` (names), relabelled 0..K-1 in this object's order, without pairs.

        Raises
        ------
        ValueError
            If a name is not among `names`.
        """
        people = set(people)
        unknown = sorted(people - set(self.names))
        if unknown:
            few = ", ".join(unknown[:10])
            raise ValueError(f"expected names in {self}, got {len(unknown)} others: {few}")
        kept = np.array([name in people for name in self.names], bool)  # (K,)
        new_label = np.cumsum(kept) - 1
        keep = kept[self.labels]  # (n_images,)
        return replace(
            self,
            rows=self.rows[keep],
            labels=new_label[self.labels[keep]],
            names=tuple(name for name in self.names if name in people),
            numbers=self.numbers[keep],
            pairs=None,
        )

    def at_least(self, n_images: int) -> "Faces":
        """Keep only people with `n_images` images or more, relabelled."""
        many = np.flatnonzero(self.counts >= n_images)
        return self.select(self.names[k] for k in many)

    def with_pairs(self, pairs: Pairs | None) -> "Faces":
        """Return the same images with `pairs` to verify on."""
        return replace(self, pairs=pairs)


@dataclass(frozen=True, eq=False)
class Split:
    """Train, dev and test images of one protocol; unpacks as ``train, dev, test``.

    Parameters
    ----------
    train, dev, test : Faces
        `dev` and `test` carry the pairs they are verified on.
    name : str
        The protocol, for example ``"View 1"``; part of every caption.
    leaking : str
        Empty, or in words who is on both sides. A split that leaks has to say so here.

    Raises
    ------
    ValueError
        If two of the parts share people and `leaking` does not say so.
    """

    train: Faces
    dev: Faces
    test: Faces
    name: str
    leaking: str = ""

    def __post_init__(self):
        if self.leaking:
            return
        for (a, b), n in self.shared_people().items():
            if n:
                raise ValueError(f"expected disjoint people, got {n} in {a} and {b} of {self.name}")

    def __iter__(self) -> Iterator[Faces]:
        return iter((self.train, self.dev, self.test))

    def shared_people(self) -> dict[tuple[str, str], int]:
        """Count the people that each two of train, dev and test have in common."""
        people = {part: set(getattr(self, part).names) for part in ("train", "dev", "test")}
        return {(a, b): len(people[a] & people[b]) for a, b in combinations(people, 2)}

    def table(self) -> pd.DataFrame:
        """Count people, images and pairs in each part."""
        rows = []
        for faces in self:
            same = np.zeros(0, bool) if faces.pairs is None else faces.pairs.same
            row = {
                "people": len(faces.names),
                "with 2+ images": int((faces.counts >= 2).sum()),
                "images": len(faces),
                "same pairs": int(same.sum()),
                "different pairs": int((~same).sum()),
            }
            rows.append(row)
        return pd.DataFrame(rows, index=["train", "dev", "test"])


def draw_people(faces: Faces, n_people: int, seed: int) -> tuple[str, ...]:
    """Draw `n_people` names at random, in label order; the same for the same seed."""
    n = len(faces.names)
    if not 0 < n_people < n:
        raise ValueError(f"expected to draw between 1 and {n - 1} of {n} people, got {n_people}")
    drawn = np.random.default_rng(seed).choice(n, n_people, replace=False)
    return tuple(faces.names[k] for k in np.sort(drawn))


def draw_pairs(
    faces: Faces, n_same: int, n_different: int, seed: int, name: str, role: str = ""
) -> Pairs:
    """Draw distinct pairs as LFW drew its own: a person (or two) first, then the images.

    Each same pair takes a person with two images or more, uniformly, then two of that person's
    images; each different pair takes two people, uniformly, then an image of each.

    Returns
    -------
    Pairs
        `n_same` same pairs followed by `n_different` different ones, no pair twice.

    Raises
    ------
    ValueError
        If the images do not offer that many distinct pairs.
    """
    counts = faces.counts
    possible_same = int((counts * (counts - 1) // 2).sum())
    possible_different = len(faces) * (len(faces) - 1) // 2 - possible_same
    if n_same > possible_same or n_different > possible_different:
        raise ValueError(
            f"expected at most {possible_same} same and {possible_different} different pairs of "
            f"these images, got a request for {n_same} and {n_different}"
        )
    rng = np.random.default_rng(seed)
    rows_of = faces.rows_by_person()
    many = np.flatnonzero(counts >= 2)

    def same_pair():
        person = rng.choice(many)
        return rng.choice(rows_of[person], 2, replace=False)

    def different_pair():
        a, b = rng.choice(len(counts), 2, replace=False)
        return rng.choice(rows_of[a]), rng.choice(rows_of[b])

    pairs = _draw_distinct(same_pair, n_same) + _draw_distinct(different_pair, n_different)
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T
    same = np.arange(len(pairs)) < n_same
    return Pairs(left, right, same, name=name, role=role)


def _draw_distinct(draw: Callable, n: int) -> list[tuple[int, int]]:
    """Draw until there are `n` pairs, each with its smaller row first."""
    drawn = {}  # keeps the order in which they were drawn
    misses = 0
    while len(drawn) < n:
        pair = tuple(sorted(map(int, draw())))
        misses = misses + 1 if pair in drawn else 0
        if misses > 10_000:
            raise ValueError(f"expected {n} distinct pairs, got {len(drawn)} after 10,000 misses")
        drawn[pair] = True
    return list(drawn)


def _check_range(values: np.ndarray, n: int, what: str) -> None:
    if len(values) and (values.min() < 0 or values.max() >= n):
        raise ValueError(f"expected {what} in 0..{n - 1}, got {values.min()}..{values.max()}")
