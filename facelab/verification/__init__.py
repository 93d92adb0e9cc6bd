"""Decide from a distance whether two images show one person, and say how sure that is."""

from facelab.verification.all_pairs import AllPairs, all_pairs
from facelab.verification.comparison import Comparison, compare, compare_all, same_result
from facelab.verification.estimates import Estimate, Folds, difference_of, holm, mean_of, over_folds
from facelab.verification.measure import distances
from facelab.verification.people import percentiles, resampled_rates, resampled_weights
from facelab.verification.report import Report, verify
from facelab.verification.sweep import FARS, Sweep, area, auc, best, eer, rates, tar
from facelab.verification.threshold import Threshold, every_pair, fit_threshold

__all__ = [
    "FARS",
    "AllPairs",
    "Comparison",
    "Estimate",
    "Folds",
    "Report",
    "Sweep",
    "Threshold",
    "all_pairs",
    "area",
    "auc",
    "best",
    "compare",
    "compare_all",
    "difference_of",
    "distances",
    "eer",
    "every_pair",
    "fit_threshold",
    "holm",
    "mean_of",
    "over_folds",
    "percentiles",
    "rates",
    "resampled_rates",
    "resampled_weights",
    "same_result",
    "tar",
    "verify",
]
