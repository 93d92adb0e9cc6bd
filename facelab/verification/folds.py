"""Join the reports of View 2's folds, each with thresholds of its own."""

from dataclasses import replace

import numpy as np

from facelab.checks import kinds
from facelab.verification.report import OF_PAIRS, Report


@kinds
def pool_folds(reports: list[Report], name: str = "View 2 test") -> Report:
    """Return one report of all folds' pairs, for curves and lists of mistakes.

    Every fold has a network of its own, so its distances are stretched until its threshold of
    best accuracy falls on the mean one; which pairs are accepted does not change.
    """
    lowest = min((report.threshold for report in reports), default=None)
    if lowest is None or lowest <= 0:
        raise ValueError(f"expected reports with thresholds above 0, got {lowest}")
    threshold = np.mean([report.threshold for report in reports])
    scales = [threshold / report.threshold for report in reports]
    f1 = [k * report.f1_threshold for k, report in zip(scales, reports, strict=True)]
    starts = np.cumsum([0] + [len(report.image_ids) for report in reports[:-1]])
    arrays = (*OF_PAIRS, "image_ids", "people")
    joined = {array: np.concatenate([getattr(r, array) for r in reports]) for array in arrays}
    n_pairs = [len(report) for report in reports]
    joined["distances"] = joined["distances"] * np.repeat(scales, n_pairs)
    for side in ("left", "right"):  # positions among the images of all folds
        joined[side] += np.repeat(starts, n_pairs)
    chosen = "best accuracy and best F1 on each fold's dev people, mean"
    thresholds = {"threshold": threshold, "f1_threshold": np.mean(f1), "threshold_from": chosen}
    return replace(reports[0], **joined, **thresholds, name=name)
