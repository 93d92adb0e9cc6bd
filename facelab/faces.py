"""Faces, pairs of faces, and splits in which nobody is on both sides."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd

from facelab.checks import expect, kinds, numbers, one_each, places, truths, whole

ROLES = ("train", "dev", "test", "")
CHECKS = {"left": places, "right": places, "same": truths, "fold": places}  # of pairs
CHECKS |= {"weights": partial(numbers, low=0), "known_errors": truths}


@kinds
@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images: two row numbers into a `Faces`, and whether they show one person.

    Each array has the shape (n_pairs,). `fold` is 0 to 9 in View 2; `weights` say how much each
    pair counts when a threshold is chosen; `known_errors` are those whose label is known to be
    wrong: they count as they are labelled, and are marked where they are shown. `role`, one of
    `ROLES`, is what the people are to a network; empty if that is not settled.
    """

    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    fold: np.ndarray | None = None
    name: str = "pairs"
    role: str = ""
    weights: np.ndarray | None = None
    known_errors: np.ndarray | None = None

    def __post_init__(self):
        expect(self.role in ROLES, f"a role of {ROLES}", repr(self.role))
        n = np.size(self.left)
        defaults = {"fold": np.zeros(n), "weights": np.ones(n), "known_errors": np.zeros(n, bool)}
        for field, check in CHECKS.items():
            given = getattr(self, field)
            array = check(field, defaults[field] if given is None else given)
            object.__setattr__(self, field, one_each(field, array, n))

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, index) -> "Pairs":
        """Return the pairs at `index` (a slice, a mask or an array of pair numbers)."""
        return replace(self, **{field: getattr(self, field)[index] for field in CHECKS})


@kinds
@dataclass(frozen=True, eq=False)
class Faces:
    """Face images of labelled people, read from one packed array that all selections share.

    Parameters
    ----------
    packed : ndarray of shape (n_packed, 3, height, width), uint8
        RGB images, usually a read-only memory map of the cache file.
    rows, labels, numbers : ndarray of shape (n_images,), int64
        Of each image: place in `packed`, person 0..K-1, and number in the file name, by default
        each person's from 1.
    names : tuple of K str
        The person behind each label.
    source, synthetic, fingerprint, root, crop
        What the images are, for captions; whether the faces are drawn; SHA-256 of what `packed`
        holds; what was loaded, and the central pixels that were kept of a file.
    ids : ndarray of shape (n_images,), str, optional
        What each image is called; by default as LFW's own, by `names` and `numbers`.
    pairs, protocol : Pairs, Protocol, optional
        Pairs of these images to verify, and the lists of people and pairs that came with them.
    """

    packed: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    numbers: np.ndarray | None = None
    source: str = "faces"
    synthetic: bool = False
    pairs: Pairs | None = None
    protocol: object | None = None
    fingerprint: str = ""
    root: str = ""
    crop: int | None = None
    ids: np.ndarray | None = None

    def __post_init__(self):
        shape = getattr(self.packed, "shape", ())  # an array, or what reads images when asked
        kind = getattr(self.packed, "dtype", type(self.packed).__name__)
        is_stack = len(shape) == 4 and shape[1] == 3 and kind == np.uint8
        expected = "uint8 images of shape (n, 3, height, width)"
        expect(is_stack, expected, f"{kind} of shape {shape}")
        for field, n in {"rows": len(self.packed), "labels": len(self.names)}.items():
            object.__setattr__(self, field, places(field, getattr(self, field), n))
        numbers = self.numbers
        if numbers is None:
            numbers = pd.Series(self.labels).groupby(self.labels).cumcount() + 1
        object.__setattr__(self, "numbers", places("numbers", numbers))
        lengths = np.size(self.rows), np.size(self.labels), np.size(self.numbers)
        expect(len(set(lengths)) == 1, "as many rows, labels and numbers", lengths)
        if self.crop is not None:
            object.__setattr__(self, "crop", whole("crop", self.crop, 1))
        if self.ids is not None:
            object.__setattr__(self, "ids", one_each("ids", self.ids, len(self)))
        called = [] if self.ids is None else self.ids.tolist()
        for what, names in {"names": self.names, "ids": called}.items():
            for name, times in Counter(names).most_common(1):
                expect(times == 1, f"{what} that differ", f"{name!r} {times} times")
        if self.pairs is None:
            return
        left = self.labels[places("left", self.pairs.left, len(self))]
        right = self.labels[places("right", self.pairs.right, len(self))]
        wrong = np.flatnonzero((left == right) != self.pairs.same)
        if len(wrong):
            k = wrong[0]
            got = f"pair {k} of {self.names[left[k]]} and {self.names[right[k]]}"
            raise ValueError(f"expected `same` as the labels, got {len(wrong)} others: {got}")

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        height, width = self.packed.shape[2:]
        pairs = "" if self.pairs is None else f", {len(self.pairs):,} pairs ({self.pairs.name})"
        people = f"{len(self.names):,} people, {len(self):,} images"
        return f"Faces({self.source}: {people} of {height}x{width} px{pairs})"

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

    @property
    def image_ids(self) -> np.ndarray:
        """What every image is called, str of shape (n_images,): `ids`, or LFW's ``NAME_0001``."""
        if self.ids is not None:
            return self.ids
        images = zip(self.labels, self.numbers, strict=True)
        return np.array([f"{self.names[label]}_{number:04d}" for label, number in images])

    def rows_by_person(self) -> list[np.ndarray]:
        """Return the row numbers of every person's images, K arrays."""
        order = np.argsort(self.labels, kind="stable")
        return np.split(order, np.cumsum(self.counts)[:-1])

    def select(self, people: Iterable[str]) -> "Faces":
        """Keep only `people` (names), relabelled 0..K-1 in this object's order, without pairs."""
        expected = f"names in {self}"
        expect(not isinstance(people, str), expected, f"one word: {people!r:.99}")
        people = set(people)
        unknown = sorted(map(str, people - set(self.names)))
        expect(not unknown, expected, f"{len(unknown)} others: {', '.join(unknown[:10])}")
        kept = np.array([name in people for name in self.names], bool)  # (K,)
        new_label = np.cumsum(kept) - 1
        keep = kept[self.labels]  # (n_images,)
        return replace(
            self,
            rows=self.rows[keep],
            labels=new_label[self.labels[keep]],
            names=tuple(name for name in self.names if name in people),
            numbers=self.numbers[keep],
            ids=None if self.ids is None else self.ids[keep],
            pairs=None,
        )

    def at_least(self, n_images: int) -> "Faces":
        """Keep only people with `n_images` images or more, relabelled."""
        n_images = whole("n_images", n_images, 0)
        return self.select(np.array(self.names)[self.counts >= n_images])

    def with_pairs(self, pairs: Pairs | None) -> "Faces":
        """Return the same images with `pairs` to verify on."""
        return replace(self, pairs=pairs)


@kinds
@dataclass(frozen=True, eq=False)
class Split:
    """Train, dev and test images of one protocol; unpacks as ``train, dev, test``.

    `dev` and `test` carry the pairs they are verified on. `leaking` says in words who is on both
    sides, empty for nobody; a split that leaks and does not say so is a ValueError.
    """

    train: Faces
    dev: Faces
    test: Faces
    name: str
    leaking: str = ""

    def __post_init__(self):
        for (a, b), n in self.shared_people().items():
            got = f"{n} in {a} and {b} of {self.name}"
            expect(self.leaking or not n, "disjoint people", got)

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
            several = (faces.counts >= 2).sum()
            rows.append([len(faces.names), several, len(faces), same.sum(), (~same).sum()])
        columns = ["people", "with 2+ images", "images", "same pairs", "different pairs"]
        return pd.DataFrame(rows, ["train", "dev", "test"], columns)


@kinds
def draw_pairs(
    faces: Faces, n_same: int, n_different: int, seed: int, name: str, role: str = ""
) -> Pairs:
    """Draw distinct pairs, same ones first, as LFW drew its own: people uniformly, then images.

    Too few of either kind are a ValueError.
    """
    n_same = whole("n_same", n_same, 0)
    n_different = whole("n_different", n_different, 0)
    seed = whole("seed", seed, 0)
    counts = faces.counts
    all_same = (counts * (counts - 1) // 2).sum()
    all_different = len(faces) * (len(faces) - 1) // 2 - all_same
    most = f"at most {all_same} same and {all_different} different pairs"
    asked = f"a request for {n_same} and {n_different}"
    expect(n_same <= all_same and n_different <= all_different, most, asked)
    rng = np.random.default_rng(seed)
    rows_of = faces.rows_by_person()
    shown, many = np.flatnonzero(counts), np.flatnonzero(counts >= 2)
    drawn = {}  # keeps the order in which they were drawn
    while len(drawn) < n_same:
        pair = rng.choice(rows_of[rng.choice(many)], 2, replace=False)
        drawn[tuple(sorted(pair))] = True
    while len(drawn) < n_same + n_different:
        people = rng.choice(shown, 2, replace=False)
        pair = [rng.choice(rows_of[person]) for person in people]
        drawn[tuple(sorted(pair))] = True
    left, right = np.array(list(drawn), np.int64).reshape(-1, 2).T
    same = np.arange(len(drawn)) < n_same
    return Pairs(left, right, same, name=name, role=role)
