"""What a threshold does to pairs: distances, operating curves, and all thresholds at once."""

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy.special import ndtr, ndtri

from facelab.checks import expect, kinds
from facelab.plots.palette import COLOURS, DIFFERENT, GREY, INK, SAME
from facelab.plots.style import about, caption_of, describe, legend, new_axes, span
from facelab.verification import Calibration, Report

RATES = {"f1": COLOURS[6], "accuracy": COLOURS[3], "precision": COLOURS[2], "recall": COLOURS[0]}
DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5)
N_BINS = 10  # of pairs, by how probable same was said to be; of fewer pairs, one each
DOT = {"marker": "o", "mfc": "white", "mec": INK, "ls": "", "zorder": 3}


@kinds
def plot_distances(report: Report, ax: Axes | None = None):
    """Draw the distances of same and of different pairs; the strong areas are the errors.

    Each kind's histogram has area 1. The threshold is an edge of their common bins.
    """
    ax = ax or new_axes()
    low, high = report.distances.min(), report.distances.max()
    width = max((high - low) / 40, 1e-6)
    first = np.floor((low - report.threshold) / width)
    last = np.ceil((high - report.threshold) / width) + 1
    bins = report.threshold + width * np.arange(first, last + 1)
    _draw_kind(ax, bins, report, True, "same: {:,} of {:,} rejected, FRR {:.1%}", SAME)
    _draw_kind(ax, bins, report, False, "different: {:,} of {:,} accepted, FAR {:.1%}", DIFFERENT)
    top = ax.dataLim.ymax
    label = f"threshold {report.threshold:.3g}"
    ax.vlines(report.threshold, 0, 1.04 * top, color=INK, lw=2.2, label=label)
    ax.set_ylim(0, 1.45 * top)  # room for the legend
    ax.legend(loc="upper left")
    n_wrong = np.sum(report.accepted != report.same)
    title = f"{n_wrong:,} of {len(report):,} pairs fall on the wrong side of the threshold"
    note = f"threshold: {report.threshold_from}"
    return describe(ax, title, report, "distance", "density (area 1 each)", note)


@kinds
def plot_roc(reports: Report | dict[str, Report], log: bool = False, ax: Axes | None = None):
    """Draw the ROC of one report, or of several by name: same against different pairs accepted.

    With `log` on a logarithmic axis, and with the true accept rate at a false accept rate of 1 %.
    """
    reports = _named(reports)
    ax = ax or new_axes(10, 6.6)
    if log:
        n_different = max(np.sum(~report.same) for report in reports.values())
        ax.set(xscale="log", xlim=(min(0.5, 1 / n_different), 1))
        title = "{} of same pairs accepted at 1% false accepts"
        refusals = [report.refusal(0.01) for report in reports.values()]
        title = refusals[0] if all(refusals) else title
        label = "TAR {:.1%} at FAR 1%"
        tars = _draw_curves(ax, reports, "tar", "tar_at_far_1%", label, title)
        ax.plot(np.full(len(tars), 0.01), tars, **DOT)
        ax.axvline(0.01, color=GREY, lw=1, ls="--", zorder=0)
    else:
        title = "Same pairs are nearer {} of the time (AUC)"
        _draw_curves(ax, reports, "tar", "auc", "AUC {:.3f}", title)
    ax.set(ylim=(-0.01, 1.01), ylabel="same pairs accepted (TAR)")
    return ax


@kinds
def plot_det(reports: Report | dict[str, Report], ax: Axes | None = None):
    """Draw the two kinds of error of one report, or of several by name, against one another.

    On normal-deviate axes; the dots are the equal error rates (Martin et al., "The DET curve in
    assessment of detection task performance", 1997).
    """
    reports = _named(reports)
    ax = ax or new_axes(10, 6.6)
    deviates = (lambda rate: ndtri(np.clip(rate, 1e-7, 1 - 1e-7)), ndtr)
    ax.set_xscale("function", functions=deviates)
    ax.set_yscale("function", functions=deviates)
    title = "Both errors are equal at {} (EER)"
    eers = _draw_curves(ax, reports, "frr", "eer", "EER {:.1%}", title)
    ax.set(xticks=DET_TICKS, yticks=DET_TICKS, ylabel="same pairs rejected (FRR)")
    ax.set(xlim=(0.001, 0.6), ylim=(0.001, 0.6))
    dots = eers.clip(0.001, 0.6)  # with no errors at all, in the corner
    ax.plot(dots, dots, clip_on=False, **DOT)
    return ax


@kinds
def plot_thresholds(report: Report, ax: Axes | None = None):
    """Draw precision, recall, F1 and accuracy over all thresholds, and the chosen ones.

    Accuracy is read at the threshold of best accuracy, the other three at that of best F1.
    """
    _check_both(report)
    ax = ax or new_axes()
    roc = report.roc()
    edges = np.unique(report.distances)  # between two neighbours nothing changes
    edges = np.concatenate([roc["threshold"][:1], edges, roc["threshold"][-1:]])
    reached = report.metrics()
    for metric, colour in RATES.items():
        chosen = report.threshold if metric == "accuracy" else report.f1_threshold
        label = f"{metric.replace('f1', 'F1')} {reached[metric]:.3f}"
        ax.stairs(roc[metric], edges, baseline=None, color=colour, lw=2.4, label=label)
        ax.plot(chosen, reached[metric], "o", color=colour)
    chosen = {"accuracy": report.threshold, "F1": report.f1_threshold}
    for (name, value), dashes in zip(chosen.items(), ("-", "--"), strict=True):
        ax.axvline(value, color=INK, lw=1.6, ls=dashes, label=f"for {name} {value:.3f}", zorder=0)
    legend(ax)
    title = f"Accuracy {reached['accuracy']:.3f}; at best, on these pairs, {roc.accuracy.max():.3f}"
    note = f"threshold: {report.threshold_from}"
    return describe(ax, title, report, "threshold: accept when distance is below", "rate", note)


@kinds
def plot_calibration(calibration: Calibration, report: Report, ax: Axes | None = None):
    """Draw how often pairs are same against how probable that was said to be, in bins of pairs.

    The reliability diagram of a `Calibration` on the report of other people, see
    `Calibration.reliability`; lines are 95 % intervals.
    """
    _check_both(report)
    ax = ax or new_axes(10, 6.6)
    table = calibration.reliability(report, min(N_BINS, len(report)))
    before, after = calibration.cllr_on(report)
    inside = table["predicted"].between(table["low"], table["high"])
    ax.plot([0, 1], [0, 1], color=GREY, lw=1.2, ls=":", label="as often as said")
    ax.vlines(table["predicted"], table["low"], table["high"], color=SAME, lw=5, alpha=0.4)
    ax.plot(table["predicted"], table["observed"], color=SAME, marker="o", label="these pairs")
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_box_aspect(1)
    legend(ax)
    title = f"P(same) lies in the interval of what came true in {inside.sum()} of {len(table)} bins"
    note = f"Cllr {before:.3f} before, {after:.3f} after {calibration.method} regression"
    describe(ax, title, report, "P(same), at even odds before", "share of same pairs", note)
    return _in_percent(ax)


def _named(reports):
    """Return reports by name, each with both kinds of pairs."""
    reports = reports if isinstance(reports, dict) else {"": reports}
    expect(reports, "reports to draw", "none")
    for report in reports.values():
        _check_both(report)
    return reports


def _check_both(report):
    n_same = np.sum(report.same)
    got = f"{n_same} and {len(report) - n_same} in {report.name}"
    expect(0 < n_same < len(report), "same and different pairs", got)


def _draw_kind(ax, bins, report, same, words, colour):
    distances = report.distances[report.same == same]
    if not len(distances):
        return
    weights = np.full(len(distances), 1 / (len(distances) * (bins[1] - bins[0])))
    wrong = (distances < report.threshold) != same
    label = words.format(wrong.sum(), len(wrong), wrong.mean())
    look = {"histtype": "stepfilled", "fc": (colour, 0.22), "ec": colour, "lw": 1.8}
    ax.hist(distances, bins, weights=weights, label=label, **look)
    ax.hist(distances[wrong], bins, weights=weights[wrong], color=colour, zorder=2)


def _draw_curves(ax, reports, rate, metric, label, title):
    """Draw `rate` against FAR, a line for each report; return their metrics, which name them."""
    values = pd.Series({name: report.metrics()[metric] for name, report in reports.items()})
    for name, report in reports.items():
        roc = report.roc().eval("frr = 1 - tar")
        value = label.format(values[name]).replace("nan%", "unknown")
        value = value.replace(" ", "\xa0")  # stays on one line
        words = fill(f"{name}: {value}" if name else value, 34)
        ax.plot(roc["far"], roc[rate], label=words)
    chance = np.linspace(0, 1, 1000)
    ax.plot(chance, chance, color=GREY, lw=1.2, ls=":")
    legend(ax, labelcolor="linecolor", fontsize="small")
    ax.set_box_aspect(1)
    captions = [(caption_of(report), report.synthetic) for report in reports.values()]
    data = about(pd.DataFrame(captions, columns=["source", "synthetic"]))
    title = title.format(span(values, "{:.1%}".format))
    describe(ax, title, data, "different pairs accepted (FAR)")
    _in_percent(ax)
    return values


def _in_percent(ax):
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    return ax
