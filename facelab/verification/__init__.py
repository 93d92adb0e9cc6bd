"""Decide from a distance whether two images show one person, and say how sure that is."""

# ruff: noqa: F401, I001
from facelab.verification.calibration import Calibration, calibrate, calibrate_report, cllr
from facelab.verification.comparison import Comparison, Estimate, Folds, compare, compare_all
from facelab.verification.comparison import difference_of, holm, mean_of, over_folds, pool_folds
from facelab.verification.intervals import exact, supported, units
from facelab.verification.report import Report, resampled_rates, resampled_weights, same_result
from facelab.verification.sweep import FARS, Sweep, area, auc, best, distances, eer, rates, tar
from facelab.verification.thresholds import Threshold, check_rule, every_pair, fit_threshold
from facelab.verification.thresholds import verify
