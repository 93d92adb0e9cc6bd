"""Hold tested pairs against thresholds that other people chose, and say how sure the rates are."""

import zipfile
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from facelab.faces import Faces
from facelab.verification.measure import check_rows, distances_of, people_of
from facelab.verification.people import percentiles, resampled_rates
from facelab.verification.sweep import FARS, Sweep, area, eer, rates, tar
from facelab.verification.threshold import Threshold

RULES = ("accuracy and f1", "f1", "given")


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Distances of tested pairs, the thresholds they are held against, and what follows.

    Parameters
    ----------
    distances : ndarray of shape (n_pairs,), float32
        Euclidean distance between unit-length embeddings, in [0, 2].
    same : ndarray of shape (n_pairs,), bool
        True where both images show the same person.
    fold, left, right : ndarray of shape (n_pairs,), int64
        Fold of each pair, and its two images as positions in `image_ids`.
    image_ids, people : ndarray of shape (n_images,), str
        Each image's name, for example ``"NAME_0001"``, and the person whom it shows.
    threshold : float
        A pair is accepted as the same person when its distance is below.
    f1_threshold : float, optional
        The threshold at which F1, precision and recall are reported; default: `threshold`.
    threshold_from : str
        How they were chosen: ``"given"``, or ``"best accuracy and best F1 on dev"``.
    rule : {"accuracy and f1", "f1", "given"}
        By what the two thresholds were chosen; results of different rules are not compared.
    name, role, source : str
        What the pairs are, for example ``"View 1 test"``; what their people are to a network
        (``"train"``, ``"dev"``, ``"test"`` or empty); what the images are, ``"LFW funneled"``.
    synthetic : bool
        Whether the faces are drawn.
    seen : str
        In words, why the people of the pairs are no strangers; empty for strangers.

    Raises
    ------
    ValueError
        If there is no pair, the arrays do not fit one another, `people` contradict `same`, a
        distance is negative or not finite, a threshold is not finite, or the rule is another.
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
        # Against a float64 NumPy compares float32 distances in float64. It rounds a Python float
        # to float32 first, where the midpoint of two neighbours becomes one of them.
        kinds = {
            "distances": np.float32,
            "same": bool,
            "fold": np.int64,
            "left": np.int64,
            "right": np.int64,
            "image_ids": str,
            "people": str,
            "threshold": np.float64,
            "f1_threshold": np.float64,
        }
        for name, kind in kinds.items():
            object.__setattr__(self, name, np.asarray(getattr(self, name), kind)[()])
        shapes = [a.shape for a in (self.distances, self.same, self.fold, self.left, self.right)]
        if set(shapes) != {(self.distances.size,)} or not self.distances.size:
            raise ValueError(f"expected five arrays of one length, at least 1, got {shapes}")
        if not (np.isfinite(self.distances).all() and self.distances.min() >= 0):
            raise ValueError("expected finite distances of 0 or more, got others")
        for threshold in (self.threshold, self.f1_threshold):
            if not np.isfinite(threshold):
                raise ValueError(f"expected a finite threshold, got {threshold}")
        if self.rule not in RULES:
            raise ValueError(f"expected a rule in {RULES}, got {self.rule!r}")
        if len(self.people) != len(self.image_ids):
            raise ValueError(
                f"expected people of as many images as ids, {len(self.image_ids)}, "
                f"got {len(self.people)}"
            )
        check_rows(self.left, self.right, len(self.image_ids))
        wrong = (self.people[self.left] == self.people[self.right]) != self.same
        if wrong.any():
            raise ValueError(
                f"expected people who agree with same, got {wrong.sum()} pairs in which they do "
                f"not, pair {np.argmax(wrong)} first"
            )

    def __len__(self) -> int:
        return len(self.distances)

    def __repr__(self) -> str:
        m = self.metrics()
        n_same = self.same.sum()
        source = f"{self.source}, {self.seen}" if self.seen else self.source
        return (
            f"Report({source}, {self.name}: {n_same:,} same and {len(self) - n_same:,} "
            f"different pairs, accuracy {m['accuracy']:.3f} at threshold {self.threshold:.3f} "
            f"({self.threshold_from}), AUC {m['auc']:.3f})"
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
        """Return counts and rates at the thresholds, and what no threshold decides.

        Returns
        -------
        dict
            ``tp, fp, tn, fn``: pairs at `threshold`, and the rates of `rates`.
        """
        accepted = np.bincount(2 * self.accepted + self.same, minlength=4)
        counts = dict(zip(("tn", "fn", "fp", "tp"), map(int, accepted), strict=True))
        return counts | {metric: float(value) for metric, value in self.rates().items()}

    def rates(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return every rate, for pairs that count by weights of shape (..., n_pairs).

        Returns
        -------
        dict of ndarray of shape (...)
            ``accuracy, far, frr`` at `threshold`; ``f1, precision, recall`` at `f1_threshold`;
            ``auc``: the chance that a same pair is nearer than a different one, ties one half;
            ``eer``: the rate at which the ROC polyline has far = frr; ``tar_at_far_1%,
            tar_at_far_0.1%``: see `tar_at_far`, nan where that refuses. Undefined rates are nan.
        """
        tp, fp = self.sweep.accepted(weights)
        n_same, n_different = tp[..., -1], fp[..., -1]
        k, k_f1 = self.sweep.at(np.array([self.threshold, self.f1_threshold]))
        found = rates(tp[..., k], fp[..., k], n_same, n_different)
        at_f1 = rates(tp[..., k_f1], fp[..., k_f1], n_same, n_different)
        for metric in ("f1", "precision", "recall"):
            found[metric] = at_f1[metric]
        found["auc"] = area(tp, fp)
        found["eer"] = eer(tp, fp)
        for metric, far in FARS.items():
            found[metric] = tar(tp, fp, far) * (np.nan if self.refusal(far) else 1)
        return found

    def tar_at_far(self, far: float) -> float:
        """Return the greatest true accept rate of all candidate thresholds with FAR <= `far`.

        Raises
        ------
        ValueError
            If `far` is not in (0, 1], there are no same pairs, or fewer than 1 / `far` different
            ones, so that a single false accept would exceed `far`.
        """
        if not 0 < far <= 1:
            raise ValueError(f"expected a far above 0 and at most 1, got {far}")
        if refusal := self.refusal(far):
            raise ValueError(refusal)
        return float(tar(*self.sweep.accepted(), far))

    def refusal(self, far: float) -> str:
        """Say why `tar_at_far` has no answer on these pairs; empty where it has one."""
        n = int((~self.same).sum())
        if n * far < 1:
            needed = np.ceil(1 / far)
            return f"FAR {100 * far:g} % needs {needed:,.0f} different pairs or more, got {n:,}"
        return "" if self.same.any() else "a TAR needs same pairs, got none"

    def roc(self):
        """Return a DataFrame of the rates at every candidate threshold, the strictest first."""
        import pandas as pd

        tp, fp = self.sweep.accepted()
        table = pd.DataFrame({"threshold": self.sweep.thresholds} | rates(tp, fp, tp[-1], fp[-1]))
        table["tar"] = table["recall"]
        return table[["threshold", "far", "tar", "precision", "recall", "f1", "accuracy"]]

    def intervals(self, n: int = 2000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals (low, high) of every rate, from `n` resamples of the people.

        Low and high are the 2.5th and 97.5th percentile of the resamples (see
        `resampled_weights`) in which the rate is defined. The thresholds stay.
        """
        (drawn,) = resampled_rates([self], n, seed)
        return {metric: percentiles(values) for metric, values in drawn.items()}

    def table(self, n: int = 2000, seed: int = 0):
        """Return a DataFrame: metric, value, low, high (95 %, see `intervals`), note."""
        import pandas as pd

        values = self.metrics()
        (drawn,) = resampled_rates([self], n, seed)
        rows = []
        for metric, resampled in drawn.items():
            undefined = int(np.isnan(resampled).sum())
            note = f"undefined in {undefined:,} of {n:,} resamples" if undefined else ""
            if metric in FARS:
                note = self.refusal(FARS[metric]) or note
            rows.append((metric, values[metric], *percentiles(resampled), note))
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "note"])

    def mistakes(self, n: int = 10):
        """Return a DataFrame of the nearest `n` false accepts and the farthest `n` false rejects.

        Columns: kind, pair (its number in the report), distance, left_id, right_id.
        """
        import pandas as pd

        order = np.argsort(self.distances, kind="stable")
        wrong = order[self.accepted[order] != self.same[order]]
        false_accepts = wrong[~self.same[wrong]]
        false_rejects = wrong[self.same[wrong]][::-1]
        pair = np.concatenate([false_accepts[:n], false_rejects[:n]])
        return pd.DataFrame(
            {
                "kind": np.where(self.same[pair], "false reject", "false accept"),
                "pair": pair,
                "distance": self.distances[pair],
                "left_id": self.left_ids[pair],
                "right_id": self.right_ids[pair],
            }
        )

    def save(self, path) -> None:
        """Write every field to one ``.npz`` file that `load` reads back, without pickle."""
        with Path(path).open("wb") as file:
            np.savez_compressed(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path) -> "Report":
        """Read a report that `save` wrote.

        Raises
        ------
        ValueError
            If the file holds anything else.
        """
        with Path(path).open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError(f"{path}: expected the .npz file of a report, got another kind")
        with np.load(path, allow_pickle=False) as file:
            expected = sorted(field.name for field in fields(cls))
            if sorted(file.files) != expected:
                raise ValueError(f"{path}: expected {expected}, got {sorted(file.files)}")
            return cls(**{k: v if v.ndim else v.item() for k, v in file.items()})


def verify(
    embeddings: np.ndarray, faces: Faces, threshold: Threshold | float, *, seen: str = ""
) -> Report:
    """Hold the pairs of `faces` against thresholds that other people chose.

    Parameters
    ----------
    embeddings : ndarray of shape (n_images, embedding_size)
        One row per image of `faces`.
    faces : Faces
        With the pairs to test.
    threshold : Threshold or float
        From `fit_threshold`; a number serves as both thresholds and is recorded as given.
    seen : str
        In words, why the tested people are not strangers, for example ``"people it was trained
        on"``.

    Raises
    ------
    ValueError
        If the threshold was chosen on people that are tested here and `seen` does not say so.
    """
    apart = distances_of(embeddings, faces)
    chosen = {"threshold": threshold, "threshold_from": "given", "rule": "given"}
    if isinstance(threshold, Threshold):
        _refuse_shared(threshold.people, people_of(faces), seen)
        chosen = {
            "threshold": threshold.value,
            "f1_threshold": threshold.f1,
            "threshold_from": f"best accuracy and best F1 on {threshold.name}",
            "rule": "accuracy and f1",
        }
    pairs = faces.pairs
    rows, ends = np.unique([pairs.left, pairs.right], return_inverse=True)
    left, right = ends.reshape(2, -1)
    return Report(
        distances=apart,
        same=pairs.same,
        fold=pairs.fold,
        left=left,
        right=right,
        image_ids=faces.image_ids[rows],
        people=np.array(faces.names)[faces.labels[rows]],
        name=pairs.name,
        role=pairs.role,
        source=faces.source,
        synthetic=faces.synthetic,
        seen=seen,
        **chosen,
    )


def _refuse_shared(chose, tested, seen):
    shared = sorted(chose & tested)
    if shared and not seen:
        raise ValueError(
            f"expected a threshold from other people, but {len(shared)} of the {len(tested)} "
            f"people tested chose it, {shared[0]} first; fit it on dev people, or say in seen=... "
            "why this is meant"
        )
