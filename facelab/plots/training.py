"""What training did, epoch by epoch, and what its miners picked."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from facelab.checks import expect, has_columns, kinds, numbers
from facelab.plots.palette import CYCLE, DIFFERENT, GREY
from facelab.plots.style import Sourced, about, describe, legend, new_axes, new_panels, number, span


@kinds
def plot_epochs(
    history: pd.DataFrame,
    columns: str | list[str] = "loss",
    by: str | None = None,
    reference: dict | None = None,
    log: bool = False,
    title: str = "",
    ax: Axes | None = None,
):
    """Draw lines over epochs; where several trainings share a line, their mean.

    `history` is that of `fit`, or several below one another: ``epoch, source, synthetic`` and the
    `columns`, one or several. A column `by`, for example ``"method"``, gets a line of the one
    `columns` for each of its values. `reference`, values by name, are horizontal lines. The `title`
    is by default what the lines end at.
    """
    columns = [columns] if isinstance(columns, str) else columns
    expect(not by or len(columns) == 1, f"one column of values by {by}", columns)
    keys = ["epoch", by] if by else ["epoch"]
    has_columns("history", history, [*keys, *columns, "source", "synthetic"])
    expect(len(history) and columns, "values to draw", "none")
    ax = ax or new_axes()
    lines = history.melt(keys, columns, "column").dropna(subset="value")
    lines["line"] = lines[by] if by else lines["column"].map(_words)
    means = lines.groupby(["line", "epoch"], sort=False)["value"].mean()
    ends = means.groupby("line", sort=False).last()
    marker = "o" if lines["epoch"].nunique() <= 30 else None
    for (name, line), look in zip(lines.groupby("line", sort=False), CYCLE(), strict=False):
        label = fill(f"{name} {number(ends[name])}", 32)
        look |= {"label": label, "marker": marker, "errorbar": "se"}
        sns.lineplot(line, x="epoch", y="value", ax=ax, **look)
    for (name, value), dashes in zip((reference or {}).items(), ("--", ":", "-."), strict=False):
        label = f"{name} {number(value)}"
        ax.axhline(value, color=GREY, lw=1.6, ls=dashes, label=label, zorder=0)
    legend(ax)
    ax.set_yscale("log" if log else "linear")
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    what = " and ".join(map(_words, columns))
    title = title or f"{what[:1].upper()}{what[1:]} at the end: {span(ends)}"
    note = "band: one standard error over seeds" if len(means) < len(lines) else ""
    return describe(ax, title, about(history), "epoch", what, note)


@kinds
def plot_watched(distances: pd.DataFrame, column: str = "distance", reference: dict | None = None):
    """Draw the mean of a column over same and over different watched pairs, a panel per split.

    `distances` are the watched pairs of `fit`: ``epoch, split, same, source, synthetic`` and
    `column`; `reference` is as in `plot_epochs`.
    """
    keys = ["split", "source", "synthetic", "epoch", "same"]
    has_columns("distances", distances, [*keys, column])
    means = distances.groupby(keys, sort=False, as_index=False)[column].mean()
    means["pairs"] = means["same"].map({True: "same", False: "different"})
    means = means.sort_values("same", ascending=False, kind="stable")  # the first line is blue
    splits = means.groupby("split", sort=False)
    axes = new_panels(len(splits), 6, 5, sharey=True)
    for ax, (split, of_split) in zip(axes, splits, strict=True):
        name = f"{split} {column}"
        plot_epochs(of_split.rename(columns={column: name}), name, "pairs", reference, ax=ax)
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel(f"mean {_words(column)}")
    return axes


@kinds
def plot_mined(mined: Mapping[str, np.ndarray], everything: np.ndarray, of: Sourced | None):
    """Draw the distances of the negatives that miners pick, against all of the same batches.

    `mined` holds those of each miner by its name, (n_picked,), and `everything` those of all
    negatives, (n_negatives,), of the faces `of` (compare Wu et al., ICCV 2017, figures 2 and 3).
    """
    expect(len(everything), "distances of negatives", "none")
    axes = new_panels(len(mined), 5.6, 4, sharex=True, sharey=True)
    bins = np.histogram_bin_edges(numbers("everything", everything), 60)
    for ax, (name, picked) in zip(axes, mined.items(), strict=True):
        ax.hist(everything, bins, color=GREY, alpha=0.4, label="all negatives")
        title = f"{name}: {len(picked) / len(everything):.1%} picked"
        if len(picked):
            median = np.median(picked)
            title = f"{title}, median {number(median)}"
            ax.hist(picked, bins, color=DIFFERENT, histtype="step", lw=2.2, label="picked")
            ax.axvline(median, color=DIFFERENT, ls="--", label="median of picked")
        ax.set(yscale="log", ylim=(0.7, None))
        ax.tick_params(labelbottom=True, labelleft=True)
        note = f"{len(picked):,} picked of {len(everything):,}"
        describe(ax, title, of, "distance of a negative", "negatives", note)
    axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return axes


def _words(column):
    return column.replace("_", " ").replace("auc", "AUC")
