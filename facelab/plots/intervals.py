"""The forest plot: values with their intervals, a row for each."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd

from facelab.checks import expect, has_columns, kinds
from facelab.plots.palette import COLOURS, DIFFERENT, GREY, INK, SAME
from facelab.plots.style import about, describe, legend, new_panels


@kinds
def plot_intervals(
    table: pd.DataFrame,
    bar: str | None = None,
    seeds: pd.DataFrame | None = None,
    strong: Sequence[str] = (),
):
    """Draw values with their intervals, as a forest plot.

    `table` has ``label, value, low, high, source, synthetic``; a value without ends is that of one
    seed, drawn open; where it is missing, ``instead`` or "not measured" stands in its place.
    Optional are ``panel``, with axes of its own; ``group``, which gives the colour, by default that
    of the side of zero; ``metric``, the name of the axis; and ``pairs``. The interval of the label
    `bar` becomes a band. `seeds`, with ``label``, ``value`` and any ``panel``, are single
    trainings: small rings. Labels in `strong` are bold. Returns axes, an array if there are panels.
    """
    has_columns("table", table, ("label", "value", "low", "high", "source", "synthetic"))
    expect(len(table), "values to draw", "none")
    groups = {}
    if "group" in table:
        groups = dict(zip(table["group"].unique(), cycle(COLOURS), strict=False))
        colour = table["group"].map(groups)
    else:
        sides = [table["low"].isna(), table["low"] > 0, table["high"] < 0]
        colour = np.select(sides, [INK, SAME, DIFFERENT], GREY)
    table = table.assign(colour=colour)
    panels = table.groupby("panel", sort=False) if "panel" in table else [("", table)]
    labels = table["label"].unique()
    width = 5.5 + 0.1 * max(map(len, labels)) / len(panels)
    height = 1.8 + 0.4 * len(labels)
    axes = new_panels(len(panels), width, height, sharex=True, sharey=True)
    axes[0].set_ylim(len(labels) - 0.5, -0.5)  # the first on top
    for ax, (panel, rows) in zip(axes, panels, strict=True):
        _draw_rows(ax, rows)
        if seeds is not None:
            own = seeds[seeds["panel"] == panel] if panel else seeds
            ax.plot(own["value"], own["label"], "o", ms=5, mfc="none", mec=INK, zorder=4)
        for row in rows[rows["label"] == bar].itertuples():
            ax.axvspan(row.low, row.high, color=GREY, alpha=0.18, lw=0, zorder=0)
            ax.axvline(row.value, color=GREY, lw=1.5, ls="--", zorder=0)
        for label in ax.get_yticklabels():
            label.set_weight("bold" if label.get_text() in strong else "normal")
            label.set_parse_math(False)
        _describe(ax, rows, panel, bar)
    for group, colour in groups.items():
        axes[-1].plot([], [], "D-", color=colour, label=group)
    legend(axes[-1])
    return axes if "panel" in table else axes[0]


def _draw_rows(ax, rows):
    ax.grid(axis="y", alpha=0.5)
    ax.hlines(rows["label"], rows["low"], rows["high"], color=rows["colour"], lw=5, alpha=0.4)
    inside = rows["colour"].mask(rows["low"].isna(), "white")
    look = {"s": 70, "marker": "D", "zorder": 3}
    ax.scatter(rows["value"], rows["label"], c=inside, ec=rows["colour"], **look)
    place = {"transform": ax.get_yaxis_transform(), "ha": "center", "va": "center"}
    place["parse_math"] = False
    for row in rows[rows["value"].isna()].itertuples():
        words = getattr(row, "instead", "not measured")
        ax.text(0.5, row.label, words, color=GREY, backgroundcolor="white", **place)


def _describe(ax, rows, panel, bar):
    values = rows.set_index("label")["value"].dropna()
    title = f"{np.sum(rows['low'] > 0)} above zero, {np.sum(rows['high'] < 0)} below"
    if bar in values and values.index.is_unique:  # else each group has one of its own
        title = f"{np.sum(values > values[bar])} of {len(values) - 1} lie above {bar}"
    elif values.empty:
        title = "nothing measured"
    elif "group" in rows:
        title = f"{values.idxmax()} is highest: {values.max():.3f}"
    title = f"{panel}: {title}" if panel else title
    metric = rows["metric"].iloc[0] if "metric" in rows else "value"
    pairs = f"{rows['pairs'].iloc[0]} · " if "pairs" in rows else ""
    open_ones = "; open: one seed" if (rows["low"].isna() & rows["value"].notna()).any() else ""
    describe(ax, title, about(rows), metric, note=f"{pairs}95% intervals{open_ones}")
    if "group" not in rows:
        ax.axvline(0, color=INK, lw=1.2, zorder=0)
        ax.xaxis.set_major_formatter(lambda x, _: f"{x:+.3g}" if x else "0")
