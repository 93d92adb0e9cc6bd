"""The forest plot: values with their intervals, a row for each."""

import numpy as np
import seaborn as sns
from matplotlib.ticker import MaxNLocator

from facelab.plots.palette import BOLD, DIFFERENT, GREY, INK, SAME, SMALL, TITLE, VEIL
from facelab.plots.style import data_of, describe, legend, looks, new_panels, number, wrapped

PANEL = 5  # inches of a panel beside its labels


def plot_intervals(table, bar=None, seeds=None, strong=(), axes=None):
    """Draw values with their intervals, as a forest plot.

    Without groups the colour tells the side of zero: blue above, vermilion below, grey where the
    interval holds zero.

    Parameters
    ----------
    table : DataFrame
        In the order of the rows: ``label, value, low, high``. A missing value is said; a value
        without ends is that of one seed, drawn open. Optional columns: ``panel``, a title and
        axes of its own for each; ``group``, which gives the colour; ``metric``, the name of the
        axis; ``pairs``, ``source`` and ``synthetic``, what the data are.
    bar : str, optional
        The label that the others are held against; its interval becomes a band.
    seeds : DataFrame, optional
        ``label``, ``value`` and, with panels, ``panel`` of single trainings: small rings.
    strong : collection of str
        Labels in bold.
    axes : Axes or sequence of Axes, optional
        One for each panel.

    Returns
    -------
    Axes or sequence of Axes
        A sequence if there are panels.
    """
    labels = list(dict.fromkeys(table["label"]))
    panels = [("", table)]
    if "panel" in table:
        panels = list(table.groupby("panel", sort=False))
    colours = None
    if "group" in table:
        colours, _ = looks(table["group"].unique())
    drawn = axes
    if axes is None:  # inches: a panel, its labels, and lines of one height
        width = (PANEL if colours is None else PANEL + 2) + 0.09 * max(
            len(label) for label in labels
        )
        height = 1.8 + 0.38 * len(labels)
        drawn = new_panels(len(panels), len(panels), width, height, sharex=True, sharey=True)
    drawn = np.ravel(drawn)
    for ax, (panel, rows) in zip(drawn, panels, strict=True):
        own = seeds
        if seeds is not None and panel:
            own = seeds[seeds["panel"] == panel]
        _draw_rows(ax, rows, labels, colours)
        if own is not None:
            heights = [labels.index(label) for label in own["label"]]
            ax.plot(own["value"], heights, "o", ms=5, mfc="none", mec=INK, alpha=0.7, zorder=4)
        for row in rows[rows["label"] == bar].itertuples():
            ax.axvspan(row.low, row.high, color=GREY, alpha=0.18, lw=0, zorder=0)
            ax.axvline(row.value, color=GREY, lw=1.5, ls="--", zorder=0)
        for label in ax.get_yticklabels():
            label.set_weight("bold" if label.get_text() in strong else "normal")
        _describe(ax, rows, panel, bar, signed=colours is None)
    if colours is not None:
        for group, colour in colours.items():
            drawn[-1].plot([], [], "D-", lw=2.5, color=colour, label=group)
        legend(drawn[-1])
    return drawn if "panel" in table else drawn[0]


def _draw_rows(ax, rows, labels, colours):
    """Draw every value of a panel with its interval, if it has one."""
    for y in range(1, len(labels), 2):
        ax.axhspan(y - 0.5, y + 0.5, color=GREY, alpha=0.07, lw=0, zorder=0)
    if colours is None:
        ax.axvline(0, color=INK, lw=1.2, zorder=0)
    middle = (rows["value"].min() + rows["value"].max()) / 2
    for row in rows.itertuples():
        y = labels.index(row.label)
        if np.isnan(row.value):
            _say(ax, "not measured yet", 0.5, y, ax.get_yaxis_transform(), "center")
            continue
        colour = _side_of_zero(row) if colours is None else colours[row.group]
        diamond = dict(marker="D", ms=9, mew=1.4, mfc=colour, mec="white")
        if np.isnan(row.low):
            diamond |= dict(mfc="white", mec=colour)
            side = "left" if row.value < middle else "right"
            _say(ax, "     one seed     ", row.value, y, ax.transData, side)
        ax.plot([row.low, row.high], [y, y], color=colour, lw=5, alpha=0.4)
        ax.plot(row.value, y, color=colour, zorder=3, **diamond)
    ax.set_ylim(len(labels) - 0.5, -0.5)  # the first on top
    ax.set_yticks(range(len(labels)), labels)


def _side_of_zero(row):
    if np.isnan(row.low):
        return INK
    if row.low > 0:
        return SAME
    return DIFFERENT if row.high < 0 else GREY


def _say(ax, text, x, y, where, side):
    box = VEIL if side == "center" else None  # over the line at zero
    style = dict(color=GREY, fontsize=SMALL, style="italic", bbox=box)
    ax.annotate(text, (x, y), xycoords=where, ha=side, va="center", **style)


def _describe(ax, rows, panel, bar, signed):
    values = rows.set_index("label")["value"].dropna()
    if signed:
        above, below = (rows["low"] > 0).sum(), (rows["high"] < 0).sum()
        title = f"{above} above zero, {below} below"
        ax.xaxis.set_major_formatter(_signed)
    elif bar in values:
        above = (values > values[bar]).sum()
        title = f"{above} of {len(values) - 1} lie above {bar}"
    else:
        title = f"{values.idxmax()} is highest: {number(values.max())}"
    note = "bar: 95 % interval"
    if "pairs" in rows:
        note = " · ".join([*rows["pairs"].unique(), note])
    metric = rows["metric"].iloc[0] if "metric" in rows else "value"
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    title = wrapped(f"{panel}: {title}" if panel else title, PANEL * 72, BOLD * TITLE)
    describe(ax, title, data_of(rows), metric, "", note)
    sns.despine(ax=ax, left=True)
    ax.tick_params(axis="y", length=0)


def _signed(value, _):
    return f"{value:+.3g}".replace("-", "−") if value else "0"
