"""The look that all figures share: axes, their numbers, and the words around them."""

import re
from textwrap import fill
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from facelab.plots.palette import (
    BOLD,
    COLOURS,
    DASHES,
    GREY,
    INK,
    LETTER,
    NARROW,
    SMALL,
    TEXT,
    TITLE,
)


class Data(NamedTuple):
    """What is drawn, where no faces or report of its own says so."""

    source: str
    synthetic: bool


def set_style() -> None:
    """Set the look of a notebook's own figures to that of these."""
    look = {
        "font.size": TEXT,
        "axes.titlesize": TITLE,
        "axes.labelsize": TEXT,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "text.color": INK,
        "figure.figsize": (9, 5.2),
        "figure.constrained_layout.use": True,
    }
    sns.set_theme(style="ticks", palette=COLOURS, rc=look)


def describe(ax, title, of=None, xlabel="", ylabel="", note=""):
    """Set title, data label, axis labels and type sizes, the same on every figure.

    Axes that are described again lose their former words. Logarithmic axes get plain numbers.

    Parameters
    ----------
    ax : Axes
        What is described, after everything is drawn.
    title : str
        What is seen.
    of : Faces, Report or anything with ``source`` and ``synthetic``, optional
        The data. A yellow box marks what is synthetic. None: no faces, but a formula.
    xlabel, ylabel : str
        Quantity and unit.
    note : str
        What else belongs into the line below the title.

    Returns
    -------
    Axes
        The same.
    """
    for text in list(ax.texts):
        if text.get_gid() == "data":
            text.remove()
    synthetic = of is not None and bool(of.synthetic)
    width = width_of(ax)
    words = wrapped(caption(of, note), width, LETTER * SMALL)
    box = dict(boxstyle="round,pad=0.3", fc="#FBE9C6", ec="none") if synthetic else None
    ax.annotate(
        words,
        (0, 1),
        xycoords="axes fraction",
        xytext=(4 if synthetic else 0, 9),
        textcoords="offset points",
        va="bottom",
        fontsize=SMALL,
        color="#6B4500" if synthetic else GREY,
        bbox=box,
        gid="data",
    )
    title = wrapped(title, width, BOLD * TITLE)
    above = 20 + 14 * (1 + words.count("\n"))  # points: the lines of the caption
    ax.set_title(title, loc="left", fontsize=TITLE, weight="bold", color=INK, pad=above)
    ax.set_xlabel(xlabel, fontsize=TEXT, color=INK)
    ax.set_ylabel(ylabel, fontsize=TEXT, color=INK)
    ax.tick_params(labelsize=SMALL, labelcolor=INK, color=GREY)
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            plain_numbers(axis)
    sns.despine(ax=ax)
    return ax


def caption(of, note="") -> str:
    """Say in one line what the data are: source, pairs, and who is no stranger."""
    pairs = getattr(of, "pairs", of)  # those of faces have the name, or a report itself
    found = (getattr(of, "source", ""), getattr(pairs, "name", ""), getattr(of, "seen", ""), note)
    return " · ".join(part for part in found if part)


def data_of(table) -> Data:
    """Read from the columns ``source`` and ``synthetic`` of a table what it is about."""
    if "source" not in table:
        return Data("source not recorded", False)
    sources = table["source"].dropna().unique()
    return Data(" and ".join(sources), bool(table["synthetic"].any()))


def data_of_all(reports) -> Data:
    """Join the captions of several reports; one synthetic report marks them all."""
    captions = dict.fromkeys(caption(report) for report in reports)
    return Data(" and ".join(captions), any(report.synthetic for report in reports))


def plain_numbers(axis) -> None:
    """Write plain numbers on a logarithmic axis, some of them however little it spans."""
    low, high = axis.get_view_interval()
    locator = LogLocator(10)
    if high < 1000 * low:
        locator = LogLocator(10, (1, 2, 5))
    if high < 15 * low:
        locator = MaxNLocator(7, steps=[1, 2, 5, 10])
    axis.set_major_locator(locator)
    axis.set_major_formatter(lambda value, _: f"{value:,.10f}".rstrip("0").rstrip("."))
    axis.set_minor_locator(NullLocator())


def percent(value, _=None) -> str:
    """Write a rate on an axis."""
    return f"{100 * value:g} %"


def number(value) -> str:
    """Write a number with three digits, or a large one as a whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def words(column: str) -> str:
    """Turn the name of a column into words, for example ``dev_auc`` into "dev AUC"."""
    rate = r"\b(auc|eer|tar|far|frr)\b"
    return re.sub(rate, lambda found: found[0].upper(), column.replace("_", " "))


def looks(names):
    """Return colours and dashes by name; after seven names the colours begin again, dashed."""
    colours, dashes = {}, {}
    for k, name in enumerate(names):
        colours[name] = COLOURS[k % len(COLOURS)]
        dashes[name] = DASHES[k // len(COLOURS) % len(DASHES)]
    return colours, dashes


def new_axes(width=9, height=5.2):
    """Return axes of a new figure, with a little air around them."""
    return new_panels(1, 1, width, height)[0]


def new_panels(n, across, width, height, **shared):
    """Return `n` axes of a new figure, at most `across` beside one another."""
    across = min(n, across)
    rows = -(-n // across)
    size = (width * across, height * rows)  # inches
    figure, grid = plt.subplots(rows, across, figsize=size, squeeze=False, **shared)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    for ax in grid.flat[n:]:
        ax.remove()
    return grid.flat[:n]


def legend(ax, values=None, **more) -> None:
    """Name what is drawn, at the right of the axes or below narrow ones: never on a line.

    With `values` by label the greatest stands on top, as it does in the figure.
    """
    handles, labels = ax.get_legend_handles_labels()
    order = np.arange(len(labels))
    if values:
        order = np.argsort([-values[label] for label in labels], kind="stable")  # nan: last
    x, y = (12, 0) if width_of(ax) > NARROW else (0, -48)  # points: below the name of the axis
    aside = ScaledTranslation(x / 72, y / 72, ax.figure.dpi_scale_trans)
    ax.legend(
        [handles[k] for k in order],
        [labels[k] for k in order],
        loc="upper left",
        bbox_to_anchor=(1, 1) if x else (0, 0),
        bbox_transform=ax.transAxes + aside,
        borderaxespad=0,
        frameon=False,
        fontsize=SMALL,
        **more,
    )


def width_of(ax) -> float:
    """Return about how wide the axes will be in points; the layout will widen them a little."""
    return 1.15 * 72 * ax.get_position().width * ax.get_figure().get_figwidth()


def wrapped(text, width, letter) -> str:
    """Break every line of a text, so that letters of `letter` points fit into `width` points."""
    most = max(8, int(width / letter))
    return "\n".join(fill(line, most) for line in text.split("\n"))
