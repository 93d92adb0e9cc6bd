"""Say how sure a distance is: a calibrated likelihood ratio and P(same), with intervals."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from facelab.checks import expect, kinds, numbers, one_each, real, truths, whole
from facelab.faces import Faces, Pairs
from facelab.verification.intervals import supported
from facelab.verification.report import Report, resampled_weights
from facelab.verification.sweep import Sweep, best
from facelab.verification.thresholds import every_pair, verify

GRID = np.linspace(0, 2, 801)  # distances at which likelihood ratios are kept
FEWEST_PEOPLE = 4  # with two images or more: two are held out, two are left to learn from
MOST_FOLDS = 5
METHODS = ("before", "logistic", "isotonic")  # of which the first calibrates nothing
PLAIN = ("method", "threshold", "cllr", "name")
OPEN = {"low": -np.inf, "high": np.inf}  # ends of intervals that JSON has as null
CURVES = ("log_lr", *OPEN)  # on `GRID`


@kinds
@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """What a distance says: natural logarithms of likelihood ratios at the distances of `GRID`.

    Parameters
    ----------
    log_lr, low, high : ndarray of shape (801,)
        P(distance | same) / P(distance | different), and its 95 % interval over resampled people.
    method : str
        ``"logistic"`` or ``"isotonic"``, whichever has the smaller Cllr on held-out people.
    threshold : float
        That of best accuracy. Uncalibrated, threshold - distance is itself taken for the log.
    cllr : dict of str to float
        On held-out people: ``before`` (uncalibrated), ``logistic`` and ``isotonic``.
    name, n_people : str, int
        Of the pairs that calibrated, and how many people are in them.
    people : frozenset of str
        Who they are; empty if that is not known any more.
    """

    log_lr: np.ndarray
    low: np.ndarray
    high: np.ndarray
    method: str
    threshold: float
    cllr: dict[str, float]
    name: str
    n_people: int
    people: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        about = f"{self.method}; {self.name} of {self.n_people:,} people"
        cllrs = f"held out {self.cllr['before']:.3f} before, {self.cllr[self.method]:.3f} after"
        return f"Calibration({about}; Cllr {cllrs})"

    def as_plain(self) -> dict[str, object]:
        """Return what `of_plain` reads, as JSON takes it; an open end is None."""
        plain = vars(self) | {"people": self.n_people}
        del plain["n_people"]
        for end in CURVES:
            rounded = getattr(self, end).round(4).tolist()
            plain[end] = [value if np.isfinite(value) else None for value in rounded]
        return plain

    @classmethod
    def of_plain(cls, plain: dict) -> "Calibration":
        """Return the calibration that `as_plain` described, without the names of its people."""
        expected = [*PLAIN, *CURVES, "people"]
        expect(set(plain) == set(expected), f"a calibration with {expected}", list(plain))
        about = {name: plain[name] for name in PLAIN}
        real("threshold", about["threshold"])
        for end in CURVES:
            values = [OPEN[end] if v is None and end in OPEN else real(end, v) for v in plain[end]]
            about[end] = one_each(end, values, len(GRID))
        made = cls(**about, n_people=whole("people", plain["people"], 1))
        for name in METHODS:
            real(name, made.cllr.get(name), 0)
        expect(made.method in METHODS[1:], f"a method of {METHODS[1:]}", repr(made.method))
        return made

    def log_ratio(self, distances) -> np.ndarray:
        """Natural logarithm of the likelihood ratio of each distance."""
        return np.interp(numbers("distances", distances, low=0), GRID, self.log_lr)

    def how_sure(self, distances, prior: float = 0.5) -> pd.DataFrame:
        """Return a row per distance: distance, lr, lr_low, lr_high, p_same, p_low, p_high.

        `prior` is P(same) before the distance is known, in (0, 1). Intervals are 95 % over
        resampled people; that of a ratio at its bound is open.
        """
        prior = real("prior", prior, 1e-12, 1 - 1e-12)
        distances = np.atleast_1d(numbers("distances", distances, low=0))
        nearest = _nearest(distances)
        log = self.log_ratio(distances)
        logs = {"": log, "_low": np.minimum(self.low[nearest], log)}
        logs["_high"] = np.maximum(self.high[nearest], log)
        log_odds = np.log(prior / (1 - prior))
        ratios = {f"lr{end}": np.exp(log) for end, log in logs.items()}
        chances = {f"p{end or '_same'}": probability(log + log_odds) for end, log in logs.items()}
        return pd.DataFrame({"distance": distances} | ratios | chances)

    @kinds
    def cllr_on(self, report: Report) -> tuple[float, float]:
        """Return the Cllr, before and after, of a report on other people; see `cllr`."""
        weights = self._weights_on(report)
        logs = (self.threshold - report.distances, self.log_ratio(report.distances))
        return tuple(cllr(log, report.same, weights) for log in logs)

    @kinds
    def reliability(self, report: Report, n_bins: int = 10, n: int = 500) -> pd.DataFrame:
        """Hold P(same) at prior 0.5 against the share of same pairs of a report on other people.

        A row for each of `n_bins` bins of about as many pairs: predicted, observed, low, high (95 %
        over `n` resamples of people, see `Report.intervals`) and pairs. Same and different pairs
        weigh one half each.
        """
        weights = self._weights_on(report)
        n_bins = whole("n_bins", n_bins, 1, len(report))
        predicted = probability(self.log_ratio(report.distances))
        edges = np.unique(np.quantile(predicted, np.linspace(0, 1, n_bins + 1)[1:-1]))
        member = np.digitize(predicted, edges)[:, None] == np.arange(len(edges) + 1)
        member = member[:, member.any(axis=0)].astype(float)  # (n_pairs, n_bins)

        def share(times):  # of same pairs in each bin, where pairs count `times`
            balanced = halves(times * weights, report.same)
            of_same, of_all = (balanced * report.same) @ member, balanced @ member
            with np.errstate(invalid="ignore"):  # an empty bin is undefined: nan
                return of_same / of_all

        shares = [share(times) for times in resampled_weights(report, n, seed=0)]
        ends = pd.DataFrame(np.concatenate(shares)).quantile([0.025, 0.975]).to_numpy()
        observed = share(np.ones(len(report)))
        independent = report.independent @ member
        low, high = supported("share", *ends, observed, independent)
        of_all = weights @ member
        table = {"predicted": (weights * predicted) @ member / of_all, "observed": observed}
        return pd.DataFrame(table | {"low": low, "high": high, "pairs": member.sum(axis=0)})

    def _weights_on(self, report):
        shared = sorted(self.people & set(report.people.tolist()))
        got = f"{len(shared)} of the people who calibrated: {', '.join(shared[:3])}"
        expect(report.seen or not shared, "a report on other people", got)
        _check_both(report.same)
        return halves(np.ones(len(report)), report.same)


@kinds
def calibrate(
    embeddings: np.ndarray, faces: Faces, pairs: Pairs | None = None, *, n: int = 200, seed: int = 0
) -> Calibration:
    """Learn from dev people what a distance says, as a likelihood ratio with an interval.

    Embeddings have the shape (n_images, embedding_size). Pairs, by default `every_pair`, count by
    their ``weights``; see `calibrate_report`.
    """
    faces = faces.with_pairs(every_pair(faces) if pairs is None else pairs)
    report = verify(embeddings, faces, 1.0)
    return calibrate_report(report, faces.pairs.weights, n=n, seed=seed)


@kinds
def calibrate_report(
    report: Report, weights: np.ndarray | None = None, *, n: int = 200, seed: int = 0
) -> Calibration:
    """Learn from the pairs of a report what a distance says.

    Pairs count by `weights`, (n_pairs,), same and different ones one half each, so that fitted odds
    are likelihood ratios. Logistic regression of the distance and isotonic regression are each held
    against people whom they did not see: people are dealt into folds, a fold is predicted from
    pairs of which both people are in the others, and pairs across folds are left out. The one with
    the smaller Cllr is fitted to all pairs, and to those of `n` resamples of people.

    An event never seen in k independent trials has a chance of about 1 / (k + 1) (Laplace's rule of
    succession), so that ratios lie between 1 / (k_same + 1) and k_different + 1, of the pairs of
    `Report.independent`. Fewer than four people with two images or more are a ValueError.
    """
    n = whole("n", n, 20, 100_000)
    seed = whole("seed", seed, 0)
    same = report.same
    weights = _weights(weights, len(report))
    n_same = len(np.unique(report.people[report.left[same & (weights > 0)]]))
    got = f"{n_same} people and {np.count_nonzero(~same):,} different pairs in {report.name}"
    expected = f"same pairs of {FEWEST_PEOPLE} people or more, and different pairs"
    expect(n_same >= FEWEST_PEOPLE and weights[~same].any(), expected, got)
    cllrs = _held_out(report, weights, n_same, seed)
    method = min(METHODS[1:], key=cllrs.get)
    bounds = _bounds(report)
    log_lr = _fitted(method, report.distances, same, weights, bounds)
    drawn = []
    for times in resampled_weights(report, n, seed):
        for w in times * weights:
            if w[same].any() and w[~same].any():
                drawn.append(_fitted(method, report.distances, same, w, bounds))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    low, high = np.minimum(low, log_lr), np.maximum(high, log_lr)
    low = np.where(low <= bounds[0], -np.inf, low)
    high = np.where(high >= bounds[1], np.inf, high)
    threshold = float(best(Sweep(report.distances, same), "accuracy", weights))
    people = frozenset(report.people.tolist())
    curves = (log_lr, low, high)
    return Calibration(*curves, method, threshold, cllrs, report.name, len(people), people)


@kinds
def cllr(log_lr: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Return the cost of natural logarithms of likelihood ratios, (n_pairs,), in bits.

    The mean of log2(1 + 1 / LR) over same pairs and of log2(1 + LR) over different ones (Brümmer
    and du Preez, Computer Speech and Language 20, 2006, equation 17): 0 for sure and right, 1 for
    saying nothing, more for worse than that.

    >>> round(cllr(np.log([3.0, 1.0]), np.array([True, False])), 4)
    0.7075
    """
    log_lr, same = numbers("log_lr", log_lr), truths("same", same)
    one_each("log_lr", log_lr, same.size)
    weights = _weights(weights, same.size)
    _check_both(same)
    cost = np.logaddexp(0, np.where(same, -log_lr, log_lr)) / np.log(2)
    return float(halves(weights, same) @ cost)


def halves(weights: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Scale weights, (..., n_pairs), so that same and different pairs add up to one half each."""
    of_same = (weights * same).sum(axis=-1, keepdims=True)
    of_different = (weights * ~same).sum(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):  # a kind that weighs nothing: nan
        return 0.5 * weights / np.where(same, of_same, of_different)


def _weights(weights, n):
    """Return one weight for each of `n` pairs, by default 1; a ValueError for all else."""
    weights = np.ones(n) if weights is None else numbers("weights", weights, 0)
    return one_each("weights", weights, n)


def _check_both(same):
    n_same = np.count_nonzero(same)
    n_different = same.size - n_same
    expect(n_same and n_different, "pairs of both kinds", f"{n_same} same, {n_different} different")


def probability(log_odds: np.ndarray) -> np.ndarray:
    """Turn natural logarithms of odds into probabilities, infinite ones too."""
    return np.exp(-np.logaddexp(0, -np.asarray(log_odds, float)))


def _held_out(report, weights, n_same, seed):
    """Cllr of each method on people who are not learned from, every pair within its own fold."""
    same = report.same
    fold_of = _deal(report, min(MOST_FOLDS, n_same // 2), seed)
    left, right = fold_of[report.left], fold_of[report.right]
    logs = {name: np.full(len(report), np.nan) for name in METHODS}
    for fold in np.unique(left[left == right]):
        inside = (left == fold) & (right == fold)
        others = (left != fold) & (right != fold)
        d, kind, w = report.distances[others], same[others], weights[others]
        if not (w[kind].any() and w[~kind].any()):
            continue
        held = report.distances[inside]
        logs["before"][inside] = best(Sweep(d, kind), "accuracy", w) - held
        bounds = _bounds(report, others)
        for method in METHODS[1:]:
            fitted = _fitted(method, d, kind, w, bounds)
            logs[method][inside] = np.interp(held, GRID, fitted)
    known = ~np.isnan(logs["before"])
    has_both = weights[known & same].any() and weights[known & ~same].any()
    expect(has_both, "pairs of both kinds in each fold", f"too few in {report.name}")
    return {name: cllr(log[known], same[known], weights[known]) for name, log in logs.items()}


def _deal(report, n_folds, seed):
    """Deal people into folds, those with same pairs evenly; return each image's fold."""
    people, person = np.unique(report.people, return_inverse=True)
    has_same = np.isin(np.arange(len(people)), person[report.left[report.same]])
    mixed = np.random.default_rng(seed).permutation(len(people))
    order = mixed[np.argsort(~has_same[mixed], kind="stable")]
    fold_of = np.empty(len(people), int)
    fold_of[order] = np.arange(len(people)) % n_folds
    return fold_of[person]


def _bounds(report, among=slice(None)):
    """Natural logarithms of the smallest and the largest ratio that so many people support."""
    independent, same = report.independent[among], report.same[among]
    k_same, k_different = (independent & same).sum(), (independent & ~same).sum()
    return -np.log(k_same + 1), np.log(k_different + 1)


def _nearest(distances):
    return np.rint(np.interp(distances, GRID, np.arange(len(GRID)))).astype(int)


def _fitted(method, distances, same, weights, bounds):
    """Fit a method to pairs counted on `GRID`; return log ratios there, within `bounds`."""
    from sklearn import config_context
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    place = _nearest(distances)
    kinds = [np.bincount(place, weights * kind, len(GRID)) for kind in (same, ~same)]
    weights = np.concatenate([0.5 * kind / kind.sum() for kind in kinds])
    used = weights > 0
    d = np.tile(GRID, 2)[used]
    same = np.repeat([True, False], len(GRID))[used]
    weights = weights[used]
    with config_context(assume_finite=True, skip_parameter_validation=True):  # of 100 fits a report
        if method == "logistic":
            model = LogisticRegression(C=1e6, solver="newton-cholesky")
            model.fit(d[:, None], same, weights)
            log_lr = model.coef_[0] * GRID + model.intercept_
        else:
            model = IsotonicRegression(increasing=False, out_of_bounds="clip")
            share = model.fit(d, same, weights).predict(GRID)
            with np.errstate(divide="ignore"):
                log_lr = np.log(share) - np.log1p(-share)
    return np.clip(log_lr, *bounds)
