"""Tested pairs, the thresholds that they are held against, and how sure the rates are."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pandas as pd

from facelab.checks import expect, kinds, numbers, places, real, truths, whole
from facelab.files import loaded, read_arrays
from facelab.verification.intervals import FEWEST, supported, units
from facelab.verification.sweep import FARS, Sweep, area, eer, rates, tar, too_few

RULES = "given|f1|(accuracy|eer|far [0-9.e-]+) and f1"  # a pattern
OF_PAIRS = ("distances", "same", "fold", "left", "right", "known_errors")  # arrays of a report
MOST_RESAMPLES = 1_000_000
LARGEST = float(np.finfo(np.float32).max)


@kinds
@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """Distances of tested pairs, the thresholds they are held against, and what follows.

    Parameters
    ----------
    distances, same, fold, known_errors : ndarray of shape (n_pairs,)
        Distance between unit-length embeddings, in [0, 2], which `pool_folds` may stretch; the
        others as in `Pairs`.
    left, right : ndarray of shape (n_pairs,), int64
        The two images of each pair, as positions in `image_ids`.
    image_ids, people : ndarray of shape (n_images,), str
        Each image's name, for example ``"NAME_0001"``, and the person whom it shows.
    threshold, f1_threshold : float
        A pair is accepted as the same person when its distance is below the first; F1, precision
        and recall are those at the second, by default the same.
    threshold_from, rule : str
        How they were chosen: in words, and as `Threshold.rule`; no table mixes unequal rules.
    name, role, source, synthetic, seen
        Of the pairs, see `Pairs`, and of their images, see `Faces`; `seen` says in words why the
        people are no strangers, empty for strangers.
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
    known_errors: np.ndarray | None = None

    def __post_init__(self):
        n_images = np.size(self.image_ids)
        f1 = self.threshold if self.f1_threshold is None else self.f1_threshold
        no_errors = np.zeros(np.size(self.same), bool)
        known = no_errors if self.known_errors is None else self.known_errors
        checked = {
            "distances": np.float32(numbers("distances", self.distances, 0, LARGEST)),
            "same": truths("same", self.same),
            "known_errors": truths("known_errors", known),
            "fold": places("fold", self.fold),
            "left": places("left", self.left, n_images),
            "right": places("right", self.right, n_images),
            "image_ids": np.asarray(self.image_ids, str),
            "people": np.asarray(self.people, str),
            # Against a float64 NumPy compares float32 distances in float64. It rounds a Python
            # float to float32 first, where the midpoint of two neighbours becomes one of them.
            "threshold": np.float64(real("threshold", self.threshold)),
            "f1_threshold": np.float64(real("f1_threshold", f1)),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        shapes = [getattr(self, name).shape for name in OF_PAIRS]
        n = self.distances.size
        expect(n and set(shapes) == {(n,)}, "six arrays of one length, at least 1", shapes)
        got = f"shapes {self.people.shape} for {self.image_ids.shape}"
        is_each = self.image_ids.shape == self.people.shape == (n_images,)
        expect(is_each, "a person for each image", got)
        expect(re.fullmatch(RULES, self.rule), f"a rule in {RULES}", repr(self.rule))
        wrong = (self.people[self.left] == self.people[self.right]) != self.same
        got = f"{wrong.sum()} other pairs, pair {np.argmax(wrong)} first"
        expect(not wrong.any(), "people who agree with same", got)

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

    @property
    def files(self) -> np.ndarray:
        """Where each image lies in the folder of its data set, str of shape (n_images,).

        The ids of images that are not called as in LFW stay: those of `load_faces` are paths.
        """
        files = []
        for image_id, person in zip(self.image_ids, self.people, strict=True):
            as_in_lfw = re.fullmatch(re.escape(person) + r"_\d{4}", image_id)
            files.append(f"{person}/{image_id}.jpg" if as_in_lfw else image_id)
        return np.array(files)

    @cached_property
    def independent(self) -> np.ndarray:
        """Which pairs share nobody with an earlier such pair of their kind, bool (n_pairs,).

        One same pair for each person, and different pairs of two people each.
        """
        _, ends = people_in(self)
        chosen = np.zeros(len(self), bool)
        same = np.flatnonzero(self.same)
        chosen[same[np.unique(ends[0, same], return_index=True)[1]]] = True
        met = set()
        different = np.flatnonzero(~self.same)
        for pair, a, b in zip(different, *ends[:, different].tolist(), strict=True):
            if a not in met and b not in met:
                chosen[pair] = True
                met |= {a, b}
        return chosen

    def metrics(self) -> dict[str, float]:
        """Return ``tp, fp, tn, fn``, pairs at `threshold`, and the rates of `rates`."""
        tn, fn, fp, tp = np.bincount(2 * self.accepted + self.same, minlength=4).tolist()
        counts = {"tn": tn, "fn": fn, "fp": fp, "tp": tp}
        return counts | {metric: float(value) for metric, value in self.rates().items()}

    def rates(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Return every rate, for pairs that count by weights of shape (..., n_pairs).

        ``accuracy, far, frr`` at `threshold`; ``f1, precision, recall`` at `f1_threshold`;
        ``auc, eer``; ``tar_at_far_1%, tar_at_far_0.1%``, see `tar_at_far`. Undefined rates are nan.
        """
        tp, fp = self.sweep.accepted(weights)
        found = self._at_thresholds(rates, tp, fp)
        found |= {"auc": area(tp, fp), "eer": eer(tp, fp)}
        for metric, far in FARS.items():
            found[metric] = tar(tp, fp, far)
            if self.refusal(far):
                found[metric] = np.full_like(found[metric], np.nan)
        return found

    def _at_thresholds(self, of, tp, fp):
        """Return ``of(...)``, `rates` or `units`, of counts at `threshold` and `f1_threshold`."""
        k, k_f1 = self.sweep.at(np.array([self.threshold, self.f1_threshold]))
        n_same, n_different = tp[..., -1], fp[..., -1]
        found = of(tp[..., k], fp[..., k], n_same, n_different)
        at_f1 = of(tp[..., k_f1], fp[..., k_f1], n_same, n_different)
        return found | {metric: at_f1[metric] for metric in ("f1", "precision", "recall")}

    def tar_at_far(self, far: float) -> float:
        """Return the greatest true accept rate with FAR <= `far`; a ValueError with `refusal`."""
        if refusal := self.refusal(far):
            raise ValueError(refusal)
        return float(tar(*self.sweep.accepted(), far))

    def refusal(self, far: float) -> str:
        """Say why `tar_at_far` has no answer on these pairs; empty where it has one."""
        if words := too_few(far, int((~self.same).sum())):
            return words
        return "" if self.same.any() else "a TAR needs same pairs, got none"

    def roc(self) -> pd.DataFrame:
        """Return the rates at every candidate threshold, the strictest first."""
        tp, fp = self.sweep.accepted()
        table = pd.DataFrame({"threshold": self.sweep.thresholds} | rates(tp, fp, tp[-1], fp[-1]))
        table["tar"] = table["recall"]
        return table[["threshold", "far", "tar", "precision", "recall", "f1", "accuracy"]]

    def intervals(self, n: int = 2000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Return the 95 % interval (low, high) of every rate, from `n` resamples of the people.

        See `resampled_weights` and `supported`; the thresholds stay. Resamples in which a rate is
        undefined do not count.
        """
        (drawn,) = resampled_rates([self], n, seed)
        counts, values = self.n_independent(), self.rates()
        found = {}
        for metric, ends in drawn.quantile([0.025, 0.975]).items():
            if not np.isnan(values[metric]):
                ends = supported(metric, *ends, values[metric], counts[metric])
            found[metric] = tuple(map(float, ends))
        return found

    def n_independent(self) -> dict[str, int]:
        """Count the `independent` pairs that each rate is a share of, see `units`."""
        tp, fp = self.sweep.accepted(self.independent.astype(int))
        counts = self._at_thresholds(units, tp, fp)
        return {metric: int(count) for metric, count in counts.items()}

    def table(self, n: int = 2000, seed: int = 0) -> pd.DataFrame:
        """Return a row per rate: metric, value, low, high (95 %, see `intervals`), note.

        The note is short, so that all columns fit into a terminal of 80: of how few `independent`
        pairs an interval is, or how many different pairs a TAR lacks, which `refusal` says in full.
        """
        values, counts = self.metrics(), self.n_independent()
        n_different = int((~self.same).sum())
        rows = []
        for metric, ends in self.intervals(n, seed).items():
            far = FARS.get(metric)
            note = ""
            if far and too_few(far, n_different):
                note = f"too few: {n_different} of {1 / far:,.0f} needed"
            elif far and not self.same.any():
                note = "no same pairs"
            elif counts[metric] < FEWEST:
                note = f"only {counts[metric]} independent pairs"
            rows.append((metric, values[metric], *ends, note))
        return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "note"])

    def mistakes(self, n: int = 10) -> pd.DataFrame:
        """Return the nearest `n` false accepts and the farthest `n` false rejects.

        Columns: kind, pair (its number in the report), distance, left_id, right_id, known_error,
        left_file, right_file, see `files`.
        """
        n = whole("n", n, 0)
        order = np.argsort(self.distances, kind="stable")
        wrong = order[self.accepted[order] != self.same[order]]
        false_accepts = wrong[~self.same[wrong]]
        false_rejects = wrong[self.same[wrong]][::-1]
        pair = np.concatenate([false_accepts[:n], false_rejects[:n]])
        files = self.files
        columns = {
            "kind": np.where(self.same[pair], "false reject", "false accept"),
            "pair": pair,
            "distance": self.distances[pair],
            "left_id": self.left_ids[pair],
            "right_id": self.right_ids[pair],
            "known_error": self.known_errors[pair],
            "left_file": files[self.left[pair]],
            "right_file": files[self.right[pair]],
        }
        return pd.DataFrame(columns)

    def save(self, path) -> None:
        """Write every field to one ``.npz`` file that `load` reads back, without pickle."""
        with open(path, "wb") as file:  # to whose name NumPy would add an ending
            np.savez_compressed(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path) -> "Report":
        """Read a report that `save` wrote; anything else is a ValueError that names the file."""

        def read(path):
            arrays = read_arrays(path)
            expected = sorted(field.name for field in fields(cls))
            expect(sorted(arrays) == expected, str(expected), sorted(arrays))
            return cls(**{k: v if v.ndim else v.item() for k, v in arrays.items()})

        return loaded(read, path, "a report of tested pairs")


def resampled_weights(report: Report, n: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each pair counts in each of `n` resamples of its people, (m, n_pairs) int32.

    Pairs that share a person are not independent, so people are resampled: where person p is drawn
    w_p times with replacement, a same pair of p counts w_p times, and a different pair of p and q
    w_p * w_q times (Bolle, Ratha, Pankanti, CVIU 93, 2004: the subsets bootstrap; Owen, Annals of
    Applied Statistics 1(2), 2007: the pigeonhole bootstrap).
    """
    n = whole("n", n, 1, MOST_RESAMPLES)
    rng = np.random.default_rng(whole("seed", seed, 0))
    k, (left, right) = people_in(report)
    step = max(1, 250_000 // len(report))  # arrays of this many pairs stay in the processor cache
    for start in range(0, n, step):
        m = min(step, n - start)
        drawn = rng.integers(k, size=(m, k))
        drawn += k * np.arange(m)[:, None]  # each resample counts in places of its own
        times = np.bincount(drawn.ravel(), minlength=m * k).astype(np.int32).reshape(m, k)
        of_left = times.take(left, axis=1)
        of_right = times.take(right, axis=1)
        yield of_left * np.where(report.same, 1, of_right)


def people_in(report: Report) -> tuple[int, np.ndarray]:
    """Count the people of the pairs, and number them at both ends of each, (2, n_pairs)."""
    names = report.people[[report.left, report.right]]
    people, ends = np.unique(names, return_inverse=True)
    return len(people), ends


def resampled_rates(reports: list[Report], n: int, seed: int) -> list[pd.DataFrame]:
    """Return the rates of each report in the same `n` resamples of people, a row for each.

    The reports have to be on the same pairs in the same order; else it is a ValueError.
    """
    first = reports[0]
    for report in reports:
        got = f"{first.name}: {len(first)} pairs, and {report.name}: {len(report)} pairs"
        expect(same_pairs(first, report), "the same pairs in the same order", got)
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
