"""Choose a threshold on the pairs of people who are not tested."""

from dataclasses import dataclass

import numpy as np

from facelab.faces import Faces, Pairs
from facelab.verification.measure import distances_of, people_of
from facelab.verification.sweep import Sweep, best

MOST_DIFFERENT = 10_000


@dataclass(frozen=True, repr=False)
class Threshold:
    """Two thresholds of the same pairs, and the people who chose them.

    Parameters
    ----------
    value, f1 : float
        Euclidean distances between unit-length embeddings, in [0, 2]: of best accuracy and of
        best F1.
    name, role : str
        What the pairs are, and what their people are to the network; see `Pairs`.
    people : frozenset of str
        Everyone in those pairs; `verify` refuses to test on any of them.
    n_same, n_different : int
        Number of those pairs.
    """

    value: float
    f1: float
    name: str
    role: str
    people: frozenset[str]
    n_same: int
    n_different: int

    def __repr__(self) -> str:
        return (
            f"Threshold({self.value:.4f} for accuracy, {self.f1:.4f} for F1, best on {self.name}: "
            f"{self.n_same:,} same and {self.n_different:,} different pairs of "
            f"{len(self.people):,} people)"
        )


def fit_threshold(embeddings: np.ndarray, faces: Faces, pairs: Pairs | None = None) -> Threshold:
    """Choose the thresholds of best accuracy and of best F1, each the smallest of the best.

    Give it dev people: the people a network was trained on lie far closer together than
    strangers, so their best threshold is too strict for anyone else.

    Parameters
    ----------
    embeddings : ndarray of shape (n_images, embedding_size)
        One row per image of `faces`.
    faces : Faces
        People who are not tested.
    pairs : Pairs, optional
        Of these images, counted by their ``weights``; default: `every_pair`.

    Raises
    ------
    ValueError
        If there are no pairs, or only same or only different ones.
    """
    faces = faces.with_pairs(every_pair(faces) if pairs is None else pairs)
    same, name = faces.pairs.same, faces.pairs.name
    n_same = int(same.sum())
    n_different = len(same) - n_same
    if len(same) and not (n_same and n_different):
        raise ValueError(f"{name}: expected both kinds, got {n_same} same, {n_different} different")
    sweep = Sweep(distances_of(embeddings, faces), same)
    return Threshold(
        value=best(sweep, "accuracy", faces.pairs.weights),
        f1=best(sweep, "f1", faces.pairs.weights),
        name=name,
        role=faces.pairs.role,
        people=people_of(faces),
        n_same=n_same,
        n_different=n_different,
    )


def every_pair(faces: Faces) -> Pairs:
    """Return all same pairs and up to 10,000 different ones, weighted for a threshold.

    The different pairs are distinct and drawn as LFW drew its own, always the same: two people
    first, then an image of each. If there are no more than 10,000, they are all there.

    Returns
    -------
    Pairs
        Same pairs first. ``weights`` add up to 1: half for the same pairs, of which each person
        has an equal share, and half for the different ones. Name and role are those of the pairs
        that `faces` carries, if it does.
    """
    carried = faces.pairs
    person, counts = np.unique(faces.labels, return_inverse=True, return_counts=True)[1:]
    of_person = np.argsort(person, kind="stable")  # images, person by person
    left, right = of_person[_places_of_same(counts)]
    n_same = len(left)
    n_different = len(person) * (len(person) - 1) // 2 - n_same
    if n_different <= MOST_DIFFERENT:
        different = np.nonzero(np.triu(person[:, None] != person))
    else:
        different = _draw_different(of_person, counts)
        n_different = MOST_DIFFERENT
    pairs_of = counts * (counts - 1) // 2  # (n_people,)
    n_people = np.count_nonzero(pairs_of)
    of_same = 0.5 / (n_people * pairs_of[person[left]])
    of_different = np.repeat(0.5, n_different) / n_different
    return Pairs(
        left=np.append(left, different[0]),
        right=np.append(right, different[1]),
        same=np.repeat([True, False], [n_same, n_different]),
        name="every pair" if carried is None else carried.name,
        role="" if carried is None else carried.role,
        weights=np.append(of_same, of_different),
    )


def _places_of_same(counts):
    """Every pair of one person's places among images in order of people, (2, n_same)."""
    place = np.arange(counts.sum())
    end = np.repeat(np.cumsum(counts), counts)  # of each place's person
    later = end - place - 1  # how many places of that person follow
    first = np.repeat(place, later)
    start = np.repeat(np.cumsum(later) - later, later)  # of each place's run of pairs
    second = first + 1 + np.arange(len(first)) - start
    return np.stack([first, second])


def _draw_different(of_person, counts):
    """Draw distinct pairs of two people's images, person first: two arrays of rows."""
    rng = np.random.default_rng(0)
    n_images = len(of_person)
    n_people = len(counts)
    starts = np.cumsum(counts) - counts
    keys = np.zeros(0, np.int64)  # one integer per pair, in the order drawn
    while len(keys) < MOST_DIFFERENT:
        a = rng.integers(n_people, size=2 * MOST_DIFFERENT)
        b = (a + rng.integers(1, n_people, size=len(a))) % n_people
        people = np.stack([a, b])  # (2, n_drawn)
        images = of_person[starts[people] + rng.integers(counts[people])]
        keys = np.append(keys, images.min(axis=0) * n_images + images.max(axis=0))
        keys = keys[np.sort(np.unique(keys, return_index=True)[1])]
    return np.divmod(keys[:MOST_DIFFERENT], n_images)
