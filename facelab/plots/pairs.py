"""What a threshold does to pairs: distances, operating curves, and all thresholds at once."""

from textwrap import fill

import numpy as np
from matplotlib.ticker import NullLocator
from scipy.special import ndtr, ndtri

from facelab.plots.palette import COLOURS, GREY, INK, KINDS, LETTER, SMALL, TEXT, VEIL
from facelab.plots.style import data_of_all, describe, legend, looks, new_axes, percent, width_of

FAR = "different pairs accepted (FAR)"
FRR = "same pairs rejected (FRR)"
TAR = "same pairs accepted (TAR)"
RATES = {"f1": COLOURS[6], "accuracy": COLOURS[3], "precision": COLOURS[2], "recall": COLOURS[0]}


def plot_distances(report, ax=None):
    """Draw the distances of same and of different pairs, and the errors at the threshold.

    Each kind's histogram has area 1. The threshold is an edge of their common bins, so the
    strong areas are exactly the false accepts and the false rejects.
    """
    ax = ax or new_axes()
    edges = _edges(report)
    for kind, same, colour in KINDS:
        of_kind = report.distances[report.same == same]
        if not len(of_kind):
            continue
        density = np.histogram(of_kind, edges)[0] / (len(of_kind) * np.diff(edges))
        wrong = (edges[:-1] >= report.threshold) == same
        ax.stairs(density, edges, fill=True, color=colour, alpha=0.22)
        ax.stairs(density * wrong, edges, fill=True, color=colour, zorder=2)
        ax.stairs(density, edges, color=colour, lw=1.8, label=kind, zorder=3)
    ax.set_ylim(0, 1.5 * ax.dataLim.ymax)  # room for the counts
    ax.margins(x=0.03)
    _mark_threshold(ax, report.threshold, "threshold")
    _write_counts(ax, report, True)
    _write_counts(ax, report, False)
    errors = int((report.accepted != report.same).sum())
    title = f"{errors:,} of {len(report):,} pairs fall on the wrong side of the threshold"
    distance = "distance between unit-length embeddings"
    return describe(ax, title, report, distance, "density (area 1 each)", _chosen(report))


def plot_roc(reports, log=False, ax=None):
    """Draw the share of same pairs accepted against that of different pairs accepted.

    Parameters
    ----------
    reports : Report or dict of str to Report
        One, or several by name.
    log : bool
        Logarithmic false accept rate, where the rates of practical use can be seen. Marks the
        true accept rate at a false accept rate of 1 %.
    ax : Axes, optional
        Where to draw.
    """
    reports = _named(reports)
    ax = ax or _square_axes(reports)
    n_different = max((~report.same).sum() for report in reports.values())
    lowest = 10.0 ** np.floor(np.log10(0.9 / n_different)) if log else 0
    chance = np.linspace(lowest, 1, 1000)
    ax.plot(chance, chance, color=GREY, lw=1.2, ls=":")
    colours, dashes = looks(reports)
    values = {}
    for name, report in reports.items():
        roc, rates = report.roc(), report.metrics()
        value = rates["tar_at_far_1%"] if log else rates["auc"]
        text = f"TAR {_share(value)} at FAR 1 %" if log else f"AUC {value:.3f}"
        label = _label(name, text)
        values[label] = value
        look = dict(color=colours[name], ls=dashes[name], lw=2.5)
        ax.plot(roc["far"], roc["tar"], label=label, **look)
        if log and not np.isnan(value):
            _mark(ax, 0.01, value, "" if name else text, colours[name])
    if log:
        ax.set(xscale="log", xlim=(lowest, 1))
        ax.axvline(0.01, color=GREY, lw=1, ls="--", zorder=0)
        title = "True accepts against false accepts"
        if not np.isnan(list(values.values())).any():
            title = f"{_spread(values)} of same pairs accepted at 1 % false accepts"
    else:
        title = f"Same pairs are nearer {_spread(values)} of the time (AUC)"
    ax.set(ylim=(-0.01, 1.01), box_aspect=1)
    if "" not in reports:
        legend(ax, values, labelcolor="linecolor", labelspacing=0.9)
    describe(ax, title, data_of_all(reports.values()), FAR, TAR)
    ax.xaxis.set_major_formatter(percent)
    ax.yaxis.set_major_formatter(percent)
    return ax


def plot_det(reports, ax=None):
    """Draw the two kinds of error against one another, on normal-deviate axes.

    Where distances are normally distributed a network is a straight line; the nearer to the
    lower left corner, the better. The dots are the equal error rates.

    Parameters
    ----------
    reports : Report or dict of str to Report
        One, or several by name.
    ax : Axes, optional
        Where to draw.

    References
    ----------
    .. [1] Martin, Doddington, Kamm, Ordowski, Przybocki, "The DET curve in assessment of
       detection task performance", Eurospeech 1997.
    """
    reports = _named(reports)
    ax = ax or _square_axes(reports)
    eers = {name: report.metrics()["eer"] for name, report in reports.items()}
    fewest = min(min(r.same.sum(), (~r.same).sum()) for r in reports.values())
    low, high = np.clip(0.5 / fewest, 0.0002, 0.02), 0.6
    ticks = [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6]
    if max(eers.values()) > 0.45:  # worse than chance: the whole square
        high = 1 - low
        ticks = [0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999]
    ax.set_xscale("function", functions=(_deviate, ndtr))
    ax.set_yscale("function", functions=(_deviate, ndtr))
    ax.plot([low, high], [low, high], color=GREY, lw=1.2, ls=":")
    colours, dashes = looks(reports)
    values = {}
    for name, report in reports.items():
        roc, eer = report.roc(), eers[name]
        text = f"EER {_share(eer)}"
        label = _label(name, text)
        values[label] = eer
        look = dict(color=colours[name], ls=dashes[name], lw=2.5)
        ax.plot(roc["far"], 1 - roc["tar"], label=label, **look)
        at = np.clip(eer, low, high)  # with no errors at all, in the corner
        _mark(ax, at, at, "" if name else text, colours[name], up=14)
    ax.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([tick for tick in ticks if low <= tick <= high])
        axis.set_major_formatter(percent)
        axis.set_minor_locator(NullLocator())
    if "" not in reports:
        legend(ax, values, labelcolor="linecolor", labelspacing=0.9)
    title = f"Both errors are equal at {_spread(values)} (EER)"
    return describe(ax, title, data_of_all(reports.values()), FAR, FRR)


def plot_thresholds(report, ax=None):
    """Draw precision, recall, F1 and accuracy over all thresholds, and the chosen ones.

    Accuracy is read at the threshold of best accuracy, the other three at that of best F1.
    """
    _named(report)
    ax = ax or new_axes()
    roc = report.roc()
    distinct = np.unique(report.distances.astype(float))
    chosen = {metric: report.f1_threshold for metric in RATES}
    chosen["accuracy"] = report.threshold
    marks = sorted(set(chosen.values()))
    low = min(distinct[0], marks[0])
    high = max(distinct[-1], marks[-1])
    room = 0.04 * (high - low) or 0.02
    # Between two neighbouring distances a rate is constant: steps, not slopes.
    starts = np.concatenate([[low - room], distinct, [high + room]])
    for metric, colour in RATES.items():
        values = roc[metric].to_numpy()
        value = values[np.searchsorted(distinct, chosen[metric])]
        label = f"{metric.replace('f1', 'F1')}  {value:.3f}"
        style = dict(color=colour, ls="-" if metric in ("f1", "accuracy") else "--", lw=2.3)
        ax.step(starts, np.append(values, values[-1]), where="post", label=label, **style)
        ax.plot(chosen[metric], value, "o", ms=8, color=colour, zorder=3)
    ax.set(xlim=(low - room, high + room), ylim=(0, 1.12))
    if len(marks) == 1:
        _mark_threshold(ax, marks[0], "threshold")
    else:  # names lie outside the two lines
        for rate, value in (("accuracy", report.threshold), ("F1", report.f1_threshold)):
            side = "right" if value == marks[0] else "left"
            _mark_threshold(ax, value, f"for {rate}", side)
    legend(ax, labelcolor="linecolor")
    reached, best = report.metrics()["accuracy"], roc["accuracy"].max()
    title = f"Accuracy {reached:.3f} at the threshold; the best on these pairs is {best:.3f}"
    threshold = "threshold: accept when distance is below"
    return describe(ax, title, report, threshold, "rate", _chosen(report))


def _named(reports):
    """Return reports by name, each with both kinds of pairs."""
    reports = reports if isinstance(reports, dict) else {"": reports}
    for name, report in reports.items():
        n_same = int(report.same.sum())
        n_different = len(report) - n_same
        if not n_same or not n_different:
            raise ValueError(
                f"{name or report.name}: expected same and different pairs, "
                f"got {n_same} and {n_different}"
            )
    return reports


def _chosen(report):
    return f"threshold: {report.threshold_from}"


def _edges(report):
    """Edges of bins that hold all distances; the threshold is one of them."""
    low, high = float(report.distances.min()), float(report.distances.max())
    n_bins = np.clip(len(report) ** 0.5, 12, 80)
    width = max((high - low) / n_bins, 1e-4)
    if low == high:  # all distances have collapsed
        width = 0.02
    first = np.floor((low - report.threshold) / width)
    last = np.ceil((high - report.threshold) / width) + 1
    return report.threshold + width * np.arange(first, last + 1)


def _write_counts(ax, report, accepted):
    """Say how many pairs are accepted, or rejected, and in bold which of them are errors."""
    lines = [("accepted" if accepted else "rejected", INK, "normal")]
    for kind, same, colour in KINDS:
        here = report.accepted[report.same == same] == accepted
        if not len(here):
            continue
        rate, weight = "", "normal"
        if same != accepted:
            rate, weight = "FAR " if accepted else "FRR ", "bold"
        lines.append((f"{here.sum():,} {kind} ({rate}{_share(here.mean())})", colour, weight))
    size = min(TEXT, width_of(ax) / (56 * LETTER))  # two columns of 28 letters fit
    for k, (text, colour, weight) in enumerate(lines):
        ax.annotate(
            text,
            (0.01 if accepted else 0.99, 0.91),
            xycoords="axes fraction",
            xytext=(0, -1.4 * size * k),
            textcoords="offset points",
            ha="left" if accepted else "right",
            va="top",
            color=colour,
            weight=weight,
            fontsize=size,
            bbox=VEIL,
        )


def _mark_threshold(ax, threshold, name, side=None):
    """Draw a threshold, its name on the side where there is room."""
    ax.axvline(threshold, color=INK, lw=1.8, ymax=0.94)
    low, high = ax.get_xlim()
    at = (threshold - low) / (high - low)
    if side is None:
        side = "left" if at < 0.3 else "right" if at > 0.7 else "center"
    place = dict(xycoords=ax.get_xaxis_transform(), ha=side, va="center")
    text = f" {name} {threshold:.3f} "
    ax.annotate(text, (threshold, 0.97), color=INK, fontsize=SMALL, **place)


def _square_axes(reports):
    return new_axes(7 if "" in reports else 10, 6.6)  # names at the right need room


def _share(value):
    return f"{100 * value:.1f} %"


def _spread(values):
    """One rate, or the lowest and the highest of several."""
    shares = [_share(value) for value in sorted(values.values())]
    return " to ".join(dict.fromkeys([shares[0], shares[-1]]))


def _label(name, text):
    return fill(str(name), 26) + "\n" + text


def _mark(ax, x, y, text, colour, up=-14):
    ax.plot(x, y, "o", ms=9, color=colour, zorder=3, clip_on=False)
    style = dict(color=colour, weight="bold", fontsize=TEXT, bbox=VEIL)
    ax.annotate(text, (x, y), xytext=(14, up), textcoords="offset points", va="center", **style)


def _deviate(rate):
    return ndtri(np.clip(rate, 1e-7, 1 - 1e-7))
