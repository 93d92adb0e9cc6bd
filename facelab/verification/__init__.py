"""Decide from a distance whether two images show one person, and say how sure that is."""

from facelab.verification.all_pairs import AllPairs, all_pairs
from facelab.verification.report import (
    Report,
    Threshold,
    are_test_pairs,
    auc,
    compare,
    distances,
    fit_threshold,
    over_folds,
    verify,
)

__all__ = [
    "AllPairs",
    "Report",
    "Threshold",
    "all_pairs",
    "are_test_pairs",
    "auc",
    "compare",
    "distances",
    "fit_threshold",
    "over_folds",
    "verify",
]
