"""Hold tested pairs against thresholds that other people chose, and say how sure the rates are."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pandas as pd

from facelab.faces import Faces
from facelab.verification.sweep import FARS, Sweep, area, eer, rates, tar
from facelab.verification.thresholds import Threshold, distances_of, people_of

RULES = ("accuracy and f1", "f1", "given")


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Distances of tested pairs, the thresholds they are held against, and what follows.

    Parameters
    ----------
    distances, same, fold : ndarray of shape (n_pairs,), float32, bool and int64
        Distance between unit-length embeddings, in [0, 2]; whether both images show one person.
    left, right : ndarray of shape (n_pairs,), int64
        The two images of each pair, as positions in `image_ids`.
    image_ids, people : ndarray of shape (n_images,), str
        Each image's name, for example ``"NAME_0001"``, and the person whom it shows.
    threshold, f1_threshold : float
        A pair is accepted as the same person when its distance is below the first; F1, precision
        and recall are those at the second, by default the same.
    threshold_from, rule : str
        How they were chosen: in words, and one of `RULES`, which are not to be compared.
    name, role, source, synthetic, seen
        Of the pairs, see `Pairs`, and of their images, see `Faces`; `seen` says in words why the
        people are no strangers, empty for strangers.

    Arrays that do not fit, `people` that contradict `same` and no such rule are a ValueError.
    """

    distances: np.ndarray
    same: np.ndarray
    fold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    image_ids: np.ndarray
    people: np.ndarray
    threshold: float
    f1_threshold: float | None = None
    threshold_from: str = "given"
    rule: str = "given"
    name: str = "pairs"
    role: str = ""
    source: str = "faces"
    synthetic: bool = False
    seen: str = ""

    def __post_init__(self):
        if self.f1_threshold is None:
            object.__setattr__(self, "f1_threshold", self.threshold)
        kinds = dict(distances=np.float32, same=bool, fold=int, left=int, right=int)
        kinds |= dict(image_ids=str, people=str)
        # Against a float64 NumPy compares float32 distances in float64. It rounds a Python float
        # to float32 first, where the midpoint of two neighbours becomes one of them.
        kinds |= dict(threshold=np.float64, f1_threshold=np.float64)
        for name, kind in kinds.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind)[()])
        shapes = [a.shape for a in (self.distances, self.same, self.fold, self.left, self.right)]
        if set(shapes) != {(self.distances.size,)} or not self.distances.size:
            raise ValueError(f"expected five arrays of one length, at least 1, got {shapes}")
        if not (np.isfinite(self.distances).all() and self.distances.min() >= 0):
            raise ValueError(f"expected finite distances of 0 or more, got {self.distances.min()}")
        if not np.isfinite([self.threshold, self.f1_threshold]).all():
            got = f"{self.threshold} and {self.f1_threshold}"
            raise ValueError(f"expected finite thresholds, got {got}")
        if self.rule not in RULES:
            raise ValueError(f"expected a rule in {RULES}, got {self.rule!r}")
        wrong = (self.people[self.left] == self.people[self.right]) != self.same
        if wrong.any():
            got = f"{wrong.sum()} other pairs, pair {np.argmax(wrong)} first"
            raise ValueError(f"expected people who agree with same, got {got}")

    def __len__(self) -> int:
        return len(self.distances)

    def __repr__(self) -> str:
        m = self.metrics()
        who = f"{self.source}, {self.seen}" if self.seen else self.source
        return (
            f"Report({who}, {self.name}: {len(self):,} pairs, accuracy {m['accuracy']:.3f} at "
            f"threshold {self.threshold:.3f} ({self.threshold_from}), AUC {m['auc']:.3f})"
        )

    @cached_property
    def sweep(self) -> Sweep:
        """The pairs, sorted once."""
        return Sweep(self.distances, self.same)

    @property
    def accepted(self) -> np.ndarray:
        """Which pairs are accepted at `threshold` as the same person, bool of shape (n_pairs,)."""
        return self.distances < self.threshold

    @property
    def left_ids(self) -> np.ndarray:
        """``NAME_0001`` of each pair's left image, str of shape (n_pairs,)."""
        return self.image_ids[self.left]

    @property
    def right_ids(self) -> np.ndarray:
        """``NAME_0001`` of each pair's right image, str of shape (n_pairs,)."""
        return self.image_ids[self.right]

    def metrics(self) -> dict[str, float]:
        """Return ``tp, fp, tn, fn``, pairs at `threshold`, and the rates of `rates`."""
        tn, fn, fp, tp = np.bincount(2 * self.accepted + self.same, minlength=4).tolist()
        counts = {"tn": tn, "fn": fn, "fp": fp, "tp": tp}
        return counts | {metric: float(value) for metric, value in self.rates().items()}

    def rates(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return every rate, for pairs that count by weights of shape (..., n_pairs).

        ``accuracy, far, frr`` at `threshold`; ``f1, precision, recall`` at `f1_threshold`;
        ``auc``, ``eer``: see the functions of these names; ``tar_at_far_1%, tar_at_far_0.1%``: see
        `tar_at_far`, nan where that refuses. Undefined rates are nan.
        """
        tp, fp = self.sweep.accepted(weights)
        n_same, n_different = tp[..., -1], fp[..., -1]
        k, k_f1 = self.sweep.at(np.array([self.threshold, self.f1_threshold]))
        found = rates(tp[..., k], fp[..., k], n_same, n_different)
        at_f1 = rates(tp[..., k_f1], fp[..., k_f1], n_same, n_different)
        found |= {metric: at_f1[metric] for metric in ("f1", "precision", "recall")}
        found |= {"auc": area(tp, fp), "eer": eer(tp, fp)}
        for metric, far in FARS.items():
            found[metric] = tar(tp, fp, far) * (np.nan if self.refusal(far) else 1)
        return found

    def tar_at_far(self, far: float) -> float:
        """Return the greatest true accept rate with FAR <= `far`; a ValueError with `refusal`."""
        if refusal := self.refusal(far):
            raise ValueError(refusal)
        return float(tar(*self.sweep.accepted(), far))

    def refusal(self, far: float) -> str:
        """Say why `tar_at_far` has no answer on these pairs; empty where it has one."""
        n = int((~self.same).sum())
        if n * far < 1:  # a single false accept would exceed `far`
            needed = np.ceil(1 / far)
            return f"FAR {100 * far:g} % needs {needed:,.0f} different pairs or more, got {n:,}"
        return "" if self.same.any() else "a TAR needs same pairs, got none"

    def roc(self) -> pd.DataFrame:
        """Return the rates at every candidate threshold, the strictest first."""
        tp, fp = self.sweep.accepted()
        table = pd.DataFrame({"threshold": self.sweep.thresholds} | rates(tp, fp, tp[-1], fp[-1]))
        table["tar"] = table["recall"]
        return table[["threshold", "far", "tar", "precision", "recall", "f1", "accuracy"]]

    def intervals(self, n: int = 2000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return the 95 % interval (low, high) of every rate, from `n` resamples of the people.

        See `resampled_weights`; those count in which the rate is defined. The thresholds stay.
        """
        (drawn,) = resampled_rates([self], n, seed)
        return {metric: percentiles(values) for metric, values in drawn.items()}

    def table(self, n: int = 2000, seed: int = 0) -> pd.DataFrame:
        """Return a row per rate: metric, value, low, high (95 %, see `intervals`), note."""
        values = self.metrics()
        rows = []
        for metric, ends in self.intervals(n, seed).items():
            note = self.refusal(FARS[metric]) if metric in FARS else ""
            rows.append((metric, values[metric], *ends, note))
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "note"])

    def mistakes(self, n: int = 10) -> pd.DataFrame:
        """Return the nearest `n` false accepts and the farthest `n` false rejects.

        Columns: kind, pair (its number in the report), distance, left_id, right_id.
        """
        order = np.argsort(self.distances, kind="stable")
        wrong = order[self.accepted[order] != self.same[order]]
        false_accepts = wrong[~self.same[wrong]]
        false_rejects = wrong[self.same[wrong]][::-1]
        pair = np.concatenate([false_accepts[:n], false_rejects[:n]])
        kind = np.where(self.same[pair], "false reject", "false accept")
        table = pd.DataFrame({"kind": kind, "pair": pair, "distance": self.distances[pair]})
        return table.assign(left_id=self.left_ids[pair], right_id=self.right_ids[pair])

    def save(self, path) -> None:
        """Write every field to one ``.npz`` file that `load` reads back, without pickle."""
        np.savez_compressed(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path) -> "Report":
        """Read a report that `save` wrote; a ValueError if the file holds anything else."""
        with np.load(path, allow_pickle=False) as file:
            expected = sorted(field.name for field in fields(cls))
            if sorted(file.files) != expected:
                raise ValueError(f"{path}: expected {expected}, got {sorted(file.files)}")
            return cls(**{k: v if v.ndim else v.item() for k, v in file.items()})


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
        if shared and not seen:
            got = f"{len(shared)} of the people tested, {shared[0]} first"
            raise ValueError(f"expected a threshold from other people, or `seen`, got {got}")
        chosen = {"threshold": threshold.value, "f1_threshold": threshold.f1}
        chosen["threshold_from"] = f"best accuracy and best F1 on {threshold.name}"
        chosen["rule"] = "accuracy and f1"
    rows, ends = np.unique([pairs.left, pairs.right], return_inverse=True)
    left, right = ends.reshape(2, -1)
    images = {
        "image_ids": faces.image_ids[rows],
        "people": np.array(faces.names)[faces.labels[rows]],
    }
    about = {"name": pairs.name, "role": pairs.role, "seen": seen}
    about |= {"source": faces.source, "synthetic": faces.synthetic}
    return Report(apart, pairs.same, pairs.fold, left, right, **images, **chosen, **about)


def resampled_weights(report: Report, n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each pair counts in each of `n` resamples of its people, (m, n_pairs) int32.

    Pairs that share a person are not independent, so people are resampled: where person p is drawn
    w_p times with replacement, a same pair of p counts w_p times, and a different pair of p and q
    w_p * w_q times (Bolle, Ratha, Pankanti, CVIU 93, 2004: the subsets bootstrap; Owen, Annals of
    Applied Statistics 1(2), 2007: the pigeonhole bootstrap).
    """
    names = report.people[[report.left, report.right]]  # (2, n_pairs)
    people, ends = np.unique(names, return_inverse=True)
    left, right = ends.reshape(2, -1)
    k = len(people)
    rng = np.random.default_rng(seed)
    step = max(1, 250_000 // len(report))  # arrays of this many pairs stay in the processor cache
    for start in range(0, n, step):
        m = min(step, n - start)
        drawn = rng.integers(k, size=(m, k))
        drawn += k * np.arange(m)[:, None]  # each resample counts in places of its own
        times = np.bincount(drawn.ravel(), minlength=m * k).astype(np.int32).reshape(m, k)
        of_left = times.take(left, axis=1)
        of_right = times.take(right, axis=1)
        yield of_left * np.where(report.same, 1, of_right)


def resampled_rates(reports: list[Report], n: int, seed: int) -> list[pd.DataFrame]:
    """Return the rates of each report in the same `n` resamples of people, a row for each.

    The reports have to be on the same pairs in the same order; else it is a ValueError.
    """
    first = reports[0]
    for report in reports:
        if not same_pairs(first, report):
            got = f"{first!r} and {report!r}"
            raise ValueError(f"expected the same pairs in the same order, got {got}")
    drawn = [[] for _ in reports]
    for weights in resampled_weights(first, n, seed):
        for report, parts in zip(reports, drawn, strict=True):
            parts.append(pd.DataFrame(report.rates(weights)))
    return [pd.concat(parts, ignore_index=True) for parts in drawn]


def same_pairs(a: Report, b: Report) -> bool:
    """Say whether two reports are on the same pairs of images in the same order."""
    fields = ("left_ids", "right_ids", "same")
    return all(np.array_equal(getattr(a, field), getattr(b, field)) for field in fields)


def same_result(a: Report, b: Report) -> bool:
    """Say whether two reports are of one network: equal distances on equal pairs."""
    return same_pairs(a, b) and np.array_equal(a.distances, b.distances)


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """Return the 2.5th and 97.5th percentile of those values that are defined."""
    values = values[~np.isnan(values)]
    if not len(values):
        return np.nan, np.nan
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
