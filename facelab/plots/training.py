"""What training did, epoch by epoch, and what its miners picked."""

from itertools import cycle
from textwrap import fill

import numpy as np
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from facelab.plots.style import (
    DASHES,
    DIFFERENT,
    GREY,
    KINDS,
    SMALL,
    data_of,
    describe,
    legend,
    looks,
    new_axes,
    new_panels,
    number,
    words,
)

FEW = 30  # epochs up to which each is marked
ROLES = {
    "train": "people it is trained on",
    "dev": "people who set the threshold",
    "test": "strangers",
}


def plot_epochs(history, columns="loss", by=None, reference=None, log=False, ax=None):
    """Draw lines over epochs; where several trainings share a line, their mean.

    Parameters
    ----------
    history : DataFrame
        Of `fit`, or several below one another: ``epoch``, ``source``, ``synthetic``, `columns`.
        Epochs in which a column is missing (nan) are left out.
    columns : str or sequence of str
        What to draw.
    by : str, optional
        A column, for example ``"method"``: a line for each of its values. Around a mean over
        seeds lies a band of one standard error.
    reference : dict of str to float, optional
        Horizontal lines to compare with, by name.
    log : bool
        Logarithmic values.
    ax : Axes, optional
        Where to draw.
    """
    columns = [columns] if isinstance(columns, str) else list(columns)
    lines = _lines(history, columns, by)
    ax = ax or new_axes()
    ax.set_yscale("log" if log else "linear")
    ends = _draw(ax, lines, reference or {})
    what = " and ".join(words(column) for column in columns)
    title = f"{what[:1].upper()}{what[1:]} by epoch"
    if len(columns) == 1 and len(ends) == 1:
        first = lines["drawn"].iloc[0]
        title = f"{title}: from {number(first)} to {number(ends.iloc[0])}"
    if len(columns) == 1 and len(ends) > 1:
        title = f"{title}: {number(ends.min())} to {number(ends.max())} at the end"
    averaged = lines.duplicated(["line", "epoch"]).any()
    note = "band: one standard error over seeds" if averaged else ""
    return describe(ax, title, data_of(history), "epoch", what, note)


def plot_watched(distances, column="distance", reference=None, axes=None):
    """Draw how the watched pairs move apart, epoch by epoch: one panel for each split.

    Parameters
    ----------
    distances : DataFrame
        The watched pairs of `fit`: ``epoch``, ``split``, ``role``, ``same``, ``source``,
        ``synthetic`` and `column`.
    column : str
        What is averaged over same and over different pairs.
    reference : dict of str to float, optional
        Horizontal lines, by name.
    axes : sequence of Axes, optional
        One for each split.
    """
    splits = distances.groupby("split", sort=False)
    if axes is None:
        axes = new_panels(len(splits), 2, 7, 4.6, sharey=True)
    for ax, (split, of_split) in zip(axes, splits, strict=True):
        means = of_split.pivot_table(index="epoch", columns="same", values=column)
        means = means.rename(columns={same: name for name, same, _ in KINDS}).reset_index()
        kinds = [name for name, *_ in KINDS if name in means]
        plot_epochs(means, kinds, reference=reference, ax=ax)
        last = means.iloc[-1]
        ends = ", ".join(f"{kind} {number(last[kind])}" for kind in kinds)
        note = f"{split} pairs: {ROLES.get(of_split['role'].iloc[0], 'people')}"
        describe(
            ax, f"{split[:1].upper()}{split[1:]}: {ends}", data_of(of_split), "epoch", column, note
        )
        ax.set_ylabel(f"mean {column} of a pair")
        ax.tick_params(labelleft=True)
    top = max(ax.dataLim.ymax for ax in axes)
    axes[0].set_ylim(0, 1.08 * top)
    return axes


def plot_mined(mined, everything, of, axes=None):
    """Draw which negatives miners pick: their distances, against all negatives of the batches.

    Both are counted on a logarithmic axis, so that a few picked ones are seen beside many. Where
    most distances have collapsed towards zero, the axis of distances is logarithmic too.

    Parameters
    ----------
    mined : dict of str to ndarray of shape (n_picked,)
        Distances of the negatives that each miner picked, by the miner's name.
    everything : ndarray of shape (n_negatives,)
        Distances of all negatives of the same batches, in [0, 2].
    of : Faces
        What the images are.
    axes : sequence of Axes, optional
        One for each miner.

    References
    ----------
    Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, figures 2 and 3.
    """
    if axes is None:
        axes = new_panels(len(mined), 3, 5.2, 3.9, sharex=True, sharey=True)
    bins, scale = _bins(np.concatenate([everything, *mined.values()]))
    for ax, (name, picked) in zip(axes, mined.items(), strict=True):
        ax.hist(everything, bins, color=GREY, alpha=0.4, label="all negatives")
        ax.set(xscale=scale, yscale="log", xlim=(bins[0], bins[-1]))
        ax.tick_params(labelbottom=True, labelleft=True)
        share = "none"
        if len(picked):
            share = f"{number(100 * len(picked) / len(everything))}\u00a0%"
            style = dict(color=DIFFERENT, histtype="step", lw=2.2, label="picked")
            ax.hist(picked, bins, **style)
            _mark_median(ax, np.median(picked))
        title = f"{name}: {share}"
        note = f"{len(picked):,} picked of {len(everything):,}"
        describe(ax, title, of, "distance of a negative", "negatives", note)
    axes[0].set_ylim(0.7, 8 * max(ax.dataLim.ymax for ax in axes))  # room for the median's name
    legend(axes[-1])
    return axes


def _lines(history, columns, by):
    """One row for each drawn value: its line's name, its epoch, and the value."""
    keys = ["epoch"] if by is None else ["epoch", by]
    kept = history[[*keys, *columns]]
    lines = kept.melt(keys, columns, "column", "drawn").dropna(subset="drawn")
    names = lines["column"].map(words)
    if by is not None:
        groups = lines[by].astype(str)
        names = groups if len(columns) == 1 else groups + ", " + names
    return lines.assign(line=names)


def _draw(ax, lines, reference):
    """Draw lines and what they are compared with; return the last value of each line."""
    names = lines["line"].unique()
    means = lines.groupby(["line", "epoch"])["drawn"].mean()
    ends = means.groupby("line").last().reindex(names)
    colours, dashes = looks(names)
    colours |= {f"{kind} distance": colour for kind, _, colour in KINDS}
    colours |= {kind: colour for kind, _, colour in KINDS}
    marker = "o" if lines["epoch"].nunique() <= FEW else ""
    named = {}
    for name, line in lines.groupby("line", sort=False):
        label = fill(f"{name}  {number(ends[name])}", 32)
        named[label] = ends[name]
        look = dict(color=colours[name], linestyle=dashes[name], marker=marker, lw=2.4)
        sns.lineplot(
            line, x="epoch", y="drawn", errorbar="se", label=label, legend=False, ax=ax, **look
        )
    for (name, value), dash in zip(reference.items(), cycle(DASHES[1:])):
        label = f"{name}  {number(value)}"
        named[label] = value
        ax.axhline(value, color=GREY, lw=1.6, ls=dash, label=label, zorder=0)
    if len(named) > 1:
        legend(ax, named)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    return ends


def _bins(values):
    """60 bins from the nearest to the farthest, and the scale on which the middle is seen."""
    low, middle, high = np.quantile(values, [0, 0.5, 1])
    if middle < 0.05 * high:
        return np.geomspace(max(low, 1e-6 * high), high, 61), "log"
    room = 0.02 * (high - low) or 0.01
    return np.linspace(max(low - room, 0), high + room, 61), "linear"


def _mark_median(ax, median):
    """Draw the median of what is picked, its name on the side where there is room."""
    ax.axvline(median, color=DIFFERENT, lw=1.5, ls="--")
    at = ax.transAxes.inverted().transform(ax.transData.transform((median, 1)))[0]
    ax.annotate(
        f" median {number(median)} ",
        (median, 0.97),
        xycoords=ax.get_xaxis_transform(),
        ha="left" if at < 0.5 else "right",
        va="top",
        fontsize=SMALL,
        color=DIFFERENT,
        weight="bold",
    )
