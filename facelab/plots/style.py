"""The look that all figures share: sizes, panels, legends, and the words around the axes."""

from textwrap import fill
from types import SimpleNamespace
from typing import Protocol, runtime_checkable

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.font_manager import get_font_names
from matplotlib.ticker import LogLocator, NullLocator

from facelab.checks import expect, kinds
from facelab.plots.palette import CYCLE, GREY

# For names that DejaVu Sans cannot write: one of the machine's own for each script.
FONTS = [
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans KR"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "Microsoft YaHei"),
    *("Malgun Gothic", "Hiragino Sans GB", "Apple SD Gothic Neo", "NanumGothic"),
    *("Arial Unicode MS", "Noto Sans Devanagari", "Lohit Devanagari", "Nirmala UI", "Mangal"),
    "Kohinoor Devanagari",
]


def set_style() -> None:
    """Set the look of figures, to be read from the back of a room: once, before the first."""
    known = set(get_font_names())  # matplotlib complains of each that it does not find
    look = {
        "axes.prop_cycle": CYCLE,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlepad": 9,
        "axes.titlesize": 14.5,
        "axes.titleweight": "bold",
        "figure.constrained_layout.use": True,
        "figure.figsize": (9, 5.2),
        "font.family": ["sans-serif", *(name for name in FONTS if name in known)],
        "legend.frameon": False,
        "lines.linewidth": 2.4,
        "lines.markersize": 8,
        "patch.edgecolor": "none",
    }
    sns.set_theme(style="ticks", font_scale=1.15, rc=look)


@runtime_checkable
class Sourced(Protocol):
    """What says where its data are from: Faces, a Report, or a table's `about`."""

    source: str
    synthetic: bool


@kinds
def describe(
    ax: Axes,
    title: str,
    of: Sourced | None = None,
    xlabel: str = "",
    ylabel: str = "",
    note: str = "",
):
    """Set title, data label and axis labels. Logarithmic axes get plain numbers.

    Below the title stand the data `of` (Faces, Report or anything with ``source`` and
    ``synthetic``; None for a formula), in a yellow box if synthetic, and a note.
    """
    look = {"color": GREY, "size": "small", "weight": "normal", "bbox": None}
    if of is not None and of.synthetic:
        look["color"] = "#6B4500"
        look["bbox"] = {"boxstyle": "round,pad=0.3", "fc": "#FBE9C6", "ec": "none"}
    letters = 10 * inches(ax)
    caption = fill(caption_of(of, note), int(1.3 * letters))
    room = "\n" * (1 + caption.count("\n"))  # empty lines, in which the caption stands
    plain = {"parse_math": False}  # two dollar signs in a name are no formula
    ax.set_title(fill(title, int(letters)) + room, loc="left", **plain)
    ax.set_title(caption, loc="right", x=0, ha="left", **look, **plain)
    ax.set_xlabel(xlabel, **plain)
    ax.set_ylabel(ylabel, **plain)
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            axis.set_major_locator(LogLocator(subs=(1, 3)))
            axis.set_major_formatter(lambda value, _: f"{value:,.9f}".rstrip("0").rstrip("."))
            axis.set_minor_locator(NullLocator())
    return ax


def caption_of(of, note="") -> str:
    """Say in one line what the data are: source, pairs, and who is no stranger."""
    pairs = getattr(of, "pairs", of)  # those of faces have the name, or a report itself
    found = (getattr(of, "source", ""), getattr(pairs, "name", ""), getattr(of, "seen", ""), note)
    return " · ".join(filter(None, found))


def about(table):
    """Return what a table is about, by its columns ``source`` and ``synthetic``."""
    source = " and ".join(table["source"].unique())
    return SimpleNamespace(source=source, synthetic=table["synthetic"].any())


def number(value) -> str:
    """Write a number with three digits, or a large one as a whole."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.3g}".rstrip(".")


def span(values, write=number) -> str:
    """Write one number, or the lowest and the highest of several."""
    ends = (write(values.min()), write(values.max()))
    return " to ".join(dict.fromkeys(ends))


def new_axes(width=9, height=5.2):
    """Return axes of a new figure, of a size in inches."""
    return new_panels(1, width, height)[0]


def new_panels(n, width, height, **shared):
    """Return `n` axes of a new figure, at most three beside one another."""
    expect(n, "something to draw", "none")
    shape = (-(-n // 3), min(n, 3))
    size = (width * shape[1], height * shape[0])  # inches
    figure, grid = plt.subplots(*shape, figsize=size, squeeze=False, **shared)
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.12)
    for ax in grid.flat[n:]:
        ax.remove()
    return grid.flat[:n]


def legend(ax, **look) -> None:
    """Name what is drawn, if it is several, at the right of the axes or below narrow ones."""
    if len(ax.get_legend_handles_labels()[1]) > 1:
        place = (1.02, 1) if inches(ax) > 4.5 else (0, -0.2)
        ax.legend(loc="upper left", bbox_to_anchor=place, **look)
    for text in ax.get_legend().get_texts() if ax.get_legend() else ():
        text.set_parse_math(False)


def inches(ax) -> float:
    """Return about how wide the axes will be."""
    return ax.get_position().width * ax.figure.get_figwidth()
