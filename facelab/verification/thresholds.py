"""Choose thresholds on the pairs of some people, and hold those of others against them."""

from dataclasses import dataclass

import numpy as np

from facelab.checks import expect, kinds, real
from facelab.faces import Faces, Pairs
from facelab.verification.report import Report
from facelab.verification.sweep import LEAST_FAR, Sweep, best, distances, too_few

MOST_DIFFERENT = 10_000
CHOICES = {  # by what the first threshold is chosen, and in words
    "accuracy": "best accuracy and ",
    "f1": "",
    "far": "FAR of at most {:g} % and ",
    "eer": "FAR nearest to FRR and ",
}


@dataclass(frozen=True, repr=False)
class Threshold:
    """Two distances chosen on the same pairs, and the people who chose them.

    `value` is the best `by` one of `CHOICES`, of a FAR of at most `far`, and `f1` has the best F1;
    `name` is that of the pairs; `verify` refuses to test on any of `people`.
    """

    value: float
    f1: float
    name: str
    people: frozenset[str]
    n_same: int
    n_different: int
    by: str = "accuracy"
    far: float | None = None

    @property
    def rule(self) -> str:
        """What thresholds have in common that may be compared, for example ``"eer and f1"``."""
        return "f1" if self.by == "f1" else f"{self._first} and f1"

    @property
    def chosen(self) -> str:
        """How the two were chosen, in words."""
        first = CHOICES[self.by].format(100 * (self.far or 0))
        return f"{first}best F1 on {self.name}"

    @property
    def _first(self) -> str:
        return f"far {self.far:g}" if self.by == "far" else self.by

    def __repr__(self) -> str:
        chosen = f"{self.value:.4f} for {self._first}, {self.f1:.4f} for f1"
        pairs = f"{self.n_same:,} same and {self.n_different:,} different pairs"
        return f"Threshold({chosen}; {self.name}: {pairs} of {len(self.people):,} people)"


def check_rule(by: str, far: float | None) -> None:
    """Refuse what `fit_threshold` cannot choose by."""
    is_rule = by in CHOICES and (by == "far") == (far is not None)
    got = f"by={by!r} and far={far!r}"
    expect(is_rule, f"by in {[*CHOICES]}, and `far` with 'far' alone", got)
    if far is not None:
        real("far", far, LEAST_FAR, 1)


@kinds
def fit_threshold(
    embeddings: np.ndarray,
    faces: Faces,
    pairs: Pairs | None = None,
    *,
    by: str = "accuracy",
    far: float | None = None,
) -> Threshold:
    """Choose a threshold on dev people, the smallest of the best ones, and that of best F1.

    Give it dev people: the people a network was trained on lie far closer together than
    strangers, so their best threshold is too strict for anyone else. Embeddings have the shape
    (n_images, embedding_size). Pairs of both kinds, by default `every_pair`, count by ``weights``.

    `by` is one of ``"accuracy"``; ``"f1"``; ``"eer"``, where FAR and FRR are nearest; and
    ``"far"``, with the most same pairs accepted while FAR is at most `far`, in (0, 1]. The FAR
    that strangers reach is another one: a `Report` has it, with its interval.
    """
    check_rule(by, far)
    faces = faces.with_pairs(every_pair(faces) if pairs is None else pairs)
    pairs = faces.pairs
    apart = distances_of(embeddings, faces)
    n_same = int(pairs.same.sum())
    n_different = len(pairs) - n_same
    weigh = [pairs.weights[kind].sum() for kind in (pairs.same, ~pairs.same)]
    got = f"{n_same} same, {n_different} different that weigh {weigh[0]:g} and {weigh[1]:g}"
    expect(all(weigh), f"both kinds of pairs in {pairs.name}", got)
    if by == "far" and (refusal := too_few(far, n_different)):
        raise ValueError(f"{pairs.name}: {refusal}")
    sweep = Sweep(apart, pairs.same)
    f1 = best(sweep, "f1", pairs.weights)
    value = best(sweep, "tar" if by == "far" else by, pairs.weights, far)
    return Threshold(value, f1, pairs.name, people_of(faces), n_same, n_different, by, far)


@kinds
def verify(
    embeddings: np.ndarray, faces: Faces, threshold: Threshold | float, *, seen: str = ""
) -> Report:
    """Hold the pairs of `faces` against thresholds that other people chose.

    Embeddings have the shape (n_images, embedding_size). A number serves as both thresholds and is
    recorded as given. If people chose the threshold who are tested here, `seen` has to say in
    words why, for example ``"people it was trained on"``; else it is a ValueError.
    """
    pairs = faces.pairs
    apart = distances_of(embeddings, faces)
    chosen = {"threshold": threshold}
    if isinstance(threshold, Threshold):
        shared = sorted(threshold.people & people_of(faces))
        got = f"{len(shared)} of the people tested: {', '.join(shared[:3])}"
        expect(seen or not shared, "a threshold from other people, or `seen`", got)
        chosen = {"threshold": threshold.value, "f1_threshold": threshold.f1}
        chosen |= {"threshold_from": threshold.chosen, "rule": threshold.rule}
    rows, (left, right) = np.unique([pairs.left, pairs.right], return_inverse=True)
    return Report(
        distances=apart,
        same=pairs.same,
        fold=pairs.fold,
        left=left,
        right=right,
        image_ids=faces.image_ids[rows],
        people=np.array(faces.names)[faces.labels[rows]],
        **chosen,
        name=pairs.name,
        role=pairs.role,
        source=faces.source,
        synthetic=faces.synthetic,
        seen=seen,
        known_errors=pairs.known_errors,
    )


def distances_of(embeddings: np.ndarray, faces: Faces) -> np.ndarray:
    """Return `distances` of the pairs that `faces` carries."""
    expect(faces.pairs, "faces with pairs", f"none in {faces}")
    shape = np.shape(embeddings)
    each = f"one embedding for each of {len(faces):,} images"
    expect(shape[:1] == (len(faces),), each, f"shape {shape}")
    return distances(embeddings, faces.pairs)


def people_of(faces: Faces) -> frozenset[str]:
    """Names of everyone in the pairs of `faces`."""
    labels = np.unique(faces.labels[[faces.pairs.left, faces.pairs.right]])
    return frozenset(faces.names[k] for k in labels)


@kinds
def every_pair(faces: Faces) -> Pairs:
    """Return all same pairs and up to 10,000 different ones, weighted for a threshold.

    The different pairs are distinct and drawn as LFW drew its own, always the same. ``weights`` add
    up to 1: half for the same pairs, of which each person has an equal share, and half for the
    different ones. Name and role are those of any pairs that `faces` carries.
    """
    rows_of = faces.rows_by_person()
    of_same = [rows[np.stack(np.triu_indices(len(rows), 1))] for rows in rows_of]
    same = np.concatenate(of_same, axis=1)  # (2, n_same)
    pairs_of = np.array([part.shape[1] for part in of_same])  # (n_people,)
    n_same = pairs_of.sum()
    if len(faces) * (len(faces) - 1) // 2 - n_same <= MOST_DIFFERENT:
        different = np.nonzero(np.triu(faces.labels[:, None] != faces.labels))
    else:
        counts = faces.counts[faces.counts > 0]
        different = _draw_different(np.concatenate(rows_of), counts)
    left, right = np.append(same, different, axis=1)
    is_same = np.arange(len(left)) < n_same
    n_different = len(left) - n_same
    share = 0.5 / (np.count_nonzero(pairs_of) * pairs_of[faces.labels[same[0]]])
    weights = np.append(share, np.repeat(0.5, n_different) / n_different)
    name, role = "every pair", ""
    if faces.pairs is not None:
        name, role = faces.pairs.name, faces.pairs.role
    return Pairs(left, right, is_same, name=name, role=role, weights=weights)


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
