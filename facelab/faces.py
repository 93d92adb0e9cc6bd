"""Faces, pairs of faces, and splits in which nobody is on both sides.

Nothing here knows where the images come from or what is done with them.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import platformdirs


def cache_dir() -> Path:
    """Return the folder for packed images: ``FACELAB_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("FACELAB_CACHE") or platformdirs.user_cache_dir("facelab"))


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of images: two row numbers into a `Faces`, and whether they show one person.

    Parameters
    ----------
    left, right : ndarray of shape (n_pairs,), int64
        Rows of the two images in the `Faces` that these pairs belong to.
    same : ndarray of shape (n_pairs,), bool
        True where both images show the same person (a genuine pair), False where they show
        two people (an impostor pair).
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
        If the arrays differ in length.
    """

    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    fold: np.ndarray | None = None
    name: str = "pairs"
    role: str = ""
    weights: np.ndarray | None = None

    def __post_init__(self):
        set_ = object.__setattr__
        set_(self, "left", np.asarray(self.left, np.int64))
        set_(self, "right", np.asarray(self.right, np.int64))
        set_(self, "same", np.asarray(self.same, bool))
        fold = np.zeros(len(self.left)) if self.fold is None else self.fold
        set_(self, "fold", np.asarray(fold, np.int64))
        shapes = {f: getattr(self, f).shape for f in ("left", "right", "same", "fold")}
        if set(shapes.values()) != {(len(self.left),)}:
            raise ValueError(f"expected four arrays of one length, got shapes {shapes}")

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, index) -> "Pairs":
        """Return the pairs at `index` (a slice, a mask or an array of pair numbers)."""
        arrays = (a[index] for a in (self.left, self.right, self.same, self.fold))
        weights = None if self.weights is None else self.weights[index]
        return Pairs(*arrays, name=self.name, role=self.role, weights=weights)


@dataclass(frozen=True, eq=False)
class Faces:
    """Face images of labelled people, read from one packed array.

    Selections share `packed`; only `rows` differs, so a split costs no memory.

    Parameters
    ----------
    packed : ndarray of shape (n_packed, 3, height, width), uint8
        RGB images, usually a read-only memory map of the cache file.
    rows : ndarray of shape (n_images,), int64
        Where each image of this selection lies in `packed`.
    labels : ndarray of shape (n_images,), int64
        Identity of each image, an integer 0..K-1.
    names : tuple of K str
        The person behind each label.
    numbers : ndarray of shape (n_images,), int64
        Number of each image among its person's, from 1, as in the file name.
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
        If shapes disagree, a label lies outside 0..K-1, or a pair's rows or its ``same`` do not
        fit the images.
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
        if self.packed.ndim != 4 or self.packed.shape[1] != 3 or self.packed.dtype != np.uint8:
            raise ValueError(
                "expected uint8 images of shape (n, 3, height, width), "
                f"got {self.packed.dtype} of shape {self.packed.shape}"
            )
        n = len(self.rows)
        if len(self.labels) != n or len(self.numbers) != n:
            raise ValueError(
                f"expected a label and a number for each of {n} rows, "
                f"got {len(self.labels)} labels and {len(self.numbers)} numbers"
            )
        k = len(self.names)
        if n and not (self.labels.min() >= 0 and self.labels.max() < k):
            raise ValueError(
                f"expected labels in 0..{k - 1} for {k} names, "
                f"got {self.labels.min()}..{self.labels.max()}"
            )
        if self.pairs is not None and len(self.pairs):
            ends = np.concatenate([self.pairs.left, self.pairs.right])
            if ends.min() < 0 or ends.max() >= n:
                raise ValueError(
                    f"expected pairs of rows in 0..{n - 1}, got rows {ends.min()}..{ends.max()}"
                )
            truth = self.labels[self.pairs.left] == self.labels[self.pairs.right]
            wrong = np.flatnonzero(truth != self.pairs.same)
            if len(wrong):
                p = wrong[0]
                raise ValueError(
                    f"{len(wrong)} pairs contradict their labels; the first, pair {p}, is marked "
                    f"same={bool(self.pairs.same[p])} but shows "
                    f"{self.names[self.labels[self.pairs.left[p]]]} and "
                    f"{self.names[self.labels[self.pairs.right[p]]]}"
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

    @property
    def image_ids(self) -> np.ndarray:
        """``NAME_0001`` for every image, str of shape (n_images,): the file name's stem."""
        return np.array(
            [f"{self.names[k]}_{i:04d}" for k, i in zip(self.labels, self.numbers, strict=True)]
        )

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
            raise ValueError(
                f"expected names of these {len(self.names)} people, got {len(unknown)} "
                f"others: {', '.join(unknown[:10])}"
            )
        kept = np.array([name in people for name in self.names], bool)
        new_label = np.cumsum(kept) - 1
        keep = kept[self.labels]
        return replace(
            self,
            rows=self.rows[keep],
            labels=new_label[self.labels[keep]],
            names=tuple(n for n, k in zip(self.names, kept, strict=True) if k),
            numbers=self.numbers[keep],
            pairs=None,
        )

    def at_least(self, n_images: int) -> "Faces":
        """Keep only people with `n_images` images or more, relabelled."""
        return self.select(n for n, c in zip(self.names, self.counts, strict=True) if c >= n_images)

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
        shared = {f"{a} and {b}": n for (a, b), n in self.shared_people().items() if n}
        if shared and not self.leaking:
            raise ValueError(f"{self.name}: expected disjoint people, but they share {shared}")

    def __iter__(self) -> Iterator[Faces]:
        return iter((self.train, self.dev, self.test))

    def shared_people(self) -> dict[tuple[str, str], int]:
        """Count the people that each two of train, dev and test have in common."""
        return {
            (a, b): len(set(getattr(self, a).names) & set(getattr(self, b).names))
            for a, b in (("train", "dev"), ("train", "test"), ("dev", "test"))
        }

    def table(self):
        """Return a DataFrame of people, images and pairs in each part."""
        import pandas as pd

        rows = {}
        for part in ("train", "dev", "test"):
            faces = getattr(self, part)
            same = faces.pairs.same if faces.pairs is not None else np.zeros(0, bool)
            rows[part] = {
                "people": len(faces.names),
                "with 2+ images": int((faces.counts >= 2).sum()),
                "images": len(faces),
                "same pairs": int(same.sum()),
                "different pairs": int((~same).sum()),
            }
        return pd.DataFrame.from_dict(rows, orient="index")


def draw_people(faces: Faces, n_people: int, seed: int) -> tuple[str, ...]:
    """Draw `n_people` names at random, in label order; the same for the same seed."""
    if not 0 < n_people < len(faces.names):
        raise ValueError(
            f"expected to draw between 1 and {len(faces.names) - 1} of {len(faces.names)} "
            f"people, got {n_people}"
        )
    drawn = np.random.default_rng(seed).choice(len(faces.names), n_people, replace=False)
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
    rng = np.random.default_rng(seed)
    counts = faces.counts
    rows_of = np.split(np.argsort(faces.labels, kind="stable"), np.cumsum(counts)[:-1])
    many = np.flatnonzero(counts >= 2)
    possible_same = int((counts * (counts - 1) // 2).sum())
    possible_different = len(faces) * (len(faces) - 1) // 2 - possible_same
    if n_same > possible_same or n_different > possible_different:
        raise ValueError(
            f"expected at most {possible_same} same and {possible_different} different pairs of "
            f"these images, got a request for {n_same} and {n_different}"
        )
    drawn: dict[tuple[int, int], bool] = {}
    for same, n in ((True, n_same), (False, n_different)):
        target, misses = len(drawn) + n, 0
        while len(drawn) < target:
            if same:
                pair = rng.choice(rows_of[rng.choice(many)], 2, replace=False)
            else:
                a, b = rng.choice(len(counts), 2, replace=False)
                pair = rng.choice(rows_of[a]), rng.choice(rows_of[b])
            key = (int(min(pair)), int(max(pair)))
            misses = misses + 1 if key in drawn else 0
            if misses > 10_000:
                raise ValueError(f"could not draw {n} distinct pairs; found {len(drawn)}")
            drawn[key] = same
    left, right = np.array(list(drawn), np.int64).reshape(-1, 2).T
    return Pairs(left, right, np.array(list(drawn.values()), bool), name=name, role=role)
