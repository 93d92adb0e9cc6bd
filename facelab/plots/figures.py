"""One function per figure: a report, a table or faces in, axes out.

Blue is the same person, vermilion different people, in every figure. Below each title stands
what the data are; built-in faces are marked so that nobody takes them for real ones.
"""

import re
from itertools import cycle
from statistics import NormalDist
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

# Okabe and Ito's colours: told apart with every common colour vision.
SAME, DIFFERENT = "#0072B2", "#D55E00"
COLOURS = (SAME, DIFFERENT, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK, GREY = "#222222", "#6B6B6B"
TITLE, TEXT, SMALL = 14.5, 12.5, 11.5  # points: read from the back of a room


def set_style() -> None:
    """Set the look of a notebook's own figures to that of these."""
    sizes = {"font.size": TEXT, "axes.titlesize": TITLE, "axes.labelsize": TEXT}
    sizes |= {f"{part}.labelsize": SMALL for part in ("xtick", "ytick")}
    look = {"axes.titleweight": "bold", "axes.titlelocation": "left", "legend.frameon": False}
    look |= {"axes.spines.top": False, "axes.spines.right": False, "text.color": INK}
    size = {"figure.figsize": (9, 5.2), "figure.constrained_layout.use": True}
    sns.set_theme(style="ticks", palette=COLOURS, rc=sizes | look | size)


def describe(ax, title, caption, xlabel="", ylabel=""):
    """Set title, data label, axis labels and type sizes, the same on every figure.

    Parameters
    ----------
    title : str
        What is seen.
    caption : str
        What data it is; synthetic data stands out.
    xlabel, ylabel : str
        Quantity and unit.
    """
    title = fill(title, int(_width(ax) / 7.6))
    caption = fill(caption, int(_width(ax) / 5.6))
    synthetic = "synthetic" in caption
    box = dict(boxstyle="round,pad=0.3", fc="#FBE9C6", ec="none") if synthetic else None
    style = dict(fontsize=SMALL, color="#6B4500" if synthetic else GREY, bbox=box, gid="data")
    place = dict(xytext=(4 if synthetic else 0, 9), textcoords="offset points", va="bottom")
    ax.annotate(caption, (0, 1), xycoords="axes fraction", **place, **style)
    pad = 20 + 14 * (1 + caption.count("\n"))
    ax.set_title(title, loc="left", fontsize=TITLE, weight="bold", color=INK, pad=pad)
    ax.set_xlabel(xlabel, fontsize=TEXT, color=INK)
    ax.set_ylabel(ylabel, fontsize=TEXT, color=INK)
    ax.tick_params(labelsize=SMALL, labelcolor=INK, color=GREY)
    sns.despine(ax=ax)
    return ax


def plot_history(history, columns=("loss",), reference=None, ax=None):
    """Draw what training recorded, epoch by epoch.

    Parameters
    ----------
    history : DataFrame
        One row per epoch: ``epoch``, the columns to draw, and ``source`` for the caption.
    columns : sequence of str
        What to draw on one axis; epochs in which a column is missing (nan) are left out.
    reference : dict of str to float, optional
        Horizontal lines to compare with, by their label.
    """
    ax = ax or _axes()
    columns = [columns] if isinstance(columns, str) else list(columns)
    colours = {"same_distance": SAME, "different_distance": DIFFERENT}
    ends = []
    for column, colour in zip(columns, cycle(COLOURS), strict=False):
        colour = colours.get(column, colour)
        kept = history.dropna(subset=[column])
        few = "o" if len(kept) <= 30 else None
        ax.plot(kept["epoch"], kept[column], color=colour, lw=2.5, marker=few, label=column)
        if len(kept):
            ends.append((kept[column].iloc[-1], _words(column), colour))
    for label, value in (reference or {}).items():
        ax.axhline(value, color=GREY, lw=1.5, ls="--")
        ends.append((value, label, GREY))
    ax.xaxis.get_major_locator().set_params(integer=True)
    name = " and ".join(map(_words, columns))
    title = f"{name[:1].upper()}{name[1:]} over {len(history):,} epochs"
    if len(columns) == len(ends) == 1:
        values = history[columns[0]].dropna()
        title = f"{title}: from {values.iloc[0]:#.3g} to {values.iloc[-1]:#.3g}"
    sources = history["source"].dropna().unique() if "source" in history else []
    describe(ax, title, " and ".join(sources) or "source not recorded", "epoch", name)
    if len(ends) > 1:
        _end_labels(ax, ends)
    return ax


def plot_training(histories, column="dev_auc", by="method", ax=None):
    """Draw one column of several trainings, epoch by epoch: mean and standard error over seeds.

    Parameters
    ----------
    histories : DataFrame
        Histories of `fit`, one below the other, with a further column `by`.
    column, by : str
        What is drawn, and what the lines are.
    ax : Axes, optional
        Where to draw.
    """
    ax = _axes() if ax is None else ax
    sns.lineplot(histories, x="epoch", y=column, hue=by, style=by, errorbar="se", lw=2.2, ax=ax)
    place = dict(loc="upper left", bbox_to_anchor=(1, 1))  # beside the lines, never on them
    ax.legend(frameon=False, fontsize=SMALL, title=None, **place)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    caption = f"{histories['source'].iloc[0]} · band: one standard error over seeds"
    return describe(ax, f"{_words(column)} by epoch", caption, "epoch", _words(column))


def plot_effects(effects, seeds=None, strong=(), axes=None):
    """Draw what changes bring, as a forest plot: a row for each change, a panel for each measure.

    A bar is the interval: blue above zero, vermilion below, grey where it holds zero.

    Parameters
    ----------
    effects : DataFrame
        In the order of the rows: ``change``, ``measure`` (the panel's title), ``source`` (its
        caption), ``gain``, ``low`` and ``high``; without a gain (nan) the row says so.
    seeds : DataFrame, optional
        ``change``, ``measure``, ``gain`` of single trainings, drawn as small rings.
    strong : collection of str
        Changes whose names are set in bold.
    axes : sequence of Axes, optional
        One for each measure.
    """
    changes, measures = (list(dict.fromkeys(effects[k])) for k in ("change", "measure"))
    if axes is None:
        size = (3.4 + 4.4 * len(measures), 1.7 + 0.4 * len(changes))
        shared = dict(sharex=True, sharey=True, squeeze=False)
        figure, ((*axes,),) = plt.subplots(1, len(measures), figsize=size, **shared)
        figure.set_layout_engine("constrained", wspace=0.06)
    for ax, measure in zip(axes, measures, strict=True):
        ax.axvline(0, color=INK, lw=1.2, zorder=0)
        of_measure = effects[effects["measure"] == measure]
        for row in of_measure.itertuples():
            y = changes.index(row.change)
            if y % 2:
                ax.axhspan(y - 0.5, y + 0.5, color=GREY, alpha=0.07, lw=0, zorder=0)
            if np.isnan(row.gain):
                place = dict(xycoords=ax.get_yaxis_transform(), ha="center", va="center")
                style = dict(color=GREY, fontsize=SMALL, style="italic", bbox=_VEIL)
                ax.annotate("not measured yet", (0.5, y), **place, **style)
                continue
            colour = SAME if row.low > 0 else DIFFERENT if row.high < 0 else GREY
            ax.plot([row.low, row.high], [y, y], color=colour, lw=5, alpha=0.4)
            ax.plot(row.gain, y, "D", color=colour, ms=9, mec="white", mew=1, zorder=3)
        if seeds is not None:
            single = seeds[seeds["measure"] == measure]
            ys = [changes.index(change) for change in single["change"]]
            ax.plot(single["gain"], ys, "o", ms=5, mfc="none", mec=INK, alpha=0.7, zorder=4)
        ax.set(ylim=(len(changes) - 0.5, -0.5))
        ax.set_yticks(range(len(changes)), changes)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_formatter(
            FuncFormatter(lambda v, _: f"{v:+.3g}".replace("-", "−") if v else "0")
        )
        describe(ax, measure, of_measure["source"].iloc[0], "AUC gained", "")
        sns.despine(ax=ax, left=True)
        ax.tick_params(axis="y", length=0)
        for label in ax.get_yticklabels():
            label.set_weight("bold" if label.get_text() in strong else "normal")
    return axes


def plot_mined(mined, everything, source, axes=None):
    """Draw which negatives miners pick: their distances, against all negatives of the batches.

    Parameters
    ----------
    mined : dict of str to ndarray of shape (n_picked,)
        Distances of the negatives that each miner picked, by the miner's name.
    everything : ndarray of shape (n_negatives,)
        Distances of all negatives of the same batches, in [0, 2].
    source : str
        What the images are.
    axes : sequence of Axes, optional
        One for each miner.

    References
    ----------
    Wu et al., "Sampling Matters in Deep Embedding Learning", ICCV 2017, figures 2 and 3.
    """
    if axes is None:
        columns = min(3, len(mined))
        rows = -(-len(mined) // columns)
        size = dict(figsize=(4.6 * columns, 3.4 * rows), layout="constrained")
        grid = plt.subplots(rows, columns, sharex=True, sharey=True, squeeze=False, **size)[1]
        axes = grid.ravel()
        for ax in axes[len(mined) :]:
            ax.set_visible(False)
    bins = np.linspace(0, 2, 61)
    for ax, (name, picked) in zip(axes, mined.items(), strict=False):
        ax.hist(everything, bins, density=True, color=GREY, alpha=0.45, label="all negatives")
        if len(picked):
            ax.hist(picked, bins, density=True, color=DIFFERENT, histtype="step", lw=2.2)
        share = f"{len(picked):,} picked of {len(everything):,}"
        describe(ax, name, f"{source} · {share}", "distance of a negative", "density")
    return axes


def plot_distances(report, ax=None):
    """Draw the distances of same and of different pairs, and the errors at the threshold.

    Each kind's histogram has area 1. The threshold is an edge of their common bins, so the
    strong areas are exactly the false accepts and the false rejects.
    """
    ax = ax or _axes()
    d, threshold = report.distances, report.threshold
    low, high = float(d.min()), float(d.max())
    width = (high - low) / np.clip(len(d) ** 0.5, 12, 80)
    width = max(width, 1e-4) if high > low else 0.02  # even where all distances have collapsed
    first, last = np.floor((low - threshold) / width), np.ceil((high - threshold) / width) + 1
    edges = threshold + width * np.arange(first, last + 1)
    left, right = [("accepted", INK)], [("rejected", INK)]
    for kind, same, colour in (("same", True, SAME), ("different", False, DIFFERENT)):
        of_kind = d[report.same == same]
        n, counts = len(of_kind), np.histogram(of_kind, edges)[0]
        if not n:
            continue
        density = counts / (n * width)
        wrong = (edges[:-1] >= threshold) == same
        ax.stairs(density, edges, fill=True, color=colour, alpha=0.22)
        ax.stairs(density * wrong, edges, fill=True, color=colour, alpha=0.75)
        ax.stairs(density, edges, color=colour, lw=1.8, label=kind)
        accepted = int((report.accepted & (report.same == same)).sum())
        for lines, k, rate in ((left, accepted, "FAR "), (right, n - accepted, "FRR ")):
            rate = rate if same == (lines is right) else ""  # the errors are named
            lines.append((f"{k:,} {kind} ({rate}{100 * k / n:.1f} %)", colour))
    ax.set_ylim(0, 1.5 * ax.dataLim.ymax)
    ax.margins(x=0.03)
    _mark_threshold(ax, report)
    size = TEXT * np.clip(_width(ax) / 400, 0.65, 1)  # two columns of text fit a narrow figure
    for x, align, lines in ((0.01, "left", left), (0.99, "right", right)):
        for i, (text, colour) in enumerate(lines):
            weight = "bold" if "FAR" in text or "FRR" in text else "normal"
            place = dict(xytext=(0, -1.4 * size * i), textcoords="offset points", ha=align)
            style = dict(va="top", color=colour, weight=weight, fontsize=size, bbox=_VEIL)
            ax.annotate(text, (x, 0.91), xycoords="axes fraction", **place, **style)
    wrong = int((report.accepted != report.same).sum())
    title = f"{wrong:,} of {len(d):,} pairs fall on the wrong side of the threshold"
    label = "distance between unit-length embeddings"
    return describe(ax, title, _caption(report), label, "density (area 1 each)")


def plot_watched(distances, column="distance", reference=None, axes=None):
    """Draw how the watched pairs move apart, epoch by epoch: one panel for each split.

    Parameters
    ----------
    distances : DataFrame
        The watched pairs of `fit`: ``epoch``, ``split``, ``same``, ``source`` and `column`.
    column : str
        What is averaged over same and over different pairs.
    reference : dict of str to float, optional
        Horizontal lines, by name.
    axes : sequence of Axes, optional
        One for each split.
    """
    splits = list(dict.fromkeys(distances["split"]))
    if axes is None:
        size = dict(figsize=(5.4 * len(splits), 4.8), layout="constrained")
        axes = plt.subplots(1, len(splits), sharey=True, squeeze=False, **size)[1][0]
    for ax, split in zip(axes, splits, strict=True):
        of_split = distances[distances["split"] == split]
        means = of_split.groupby(["same", "epoch"])[column].mean()
        for name, same, colour in (("same", True, SAME), ("different", False, DIFFERENT)):
            ax.plot(means[same], color=colour, lw=2.5, marker="o" if len(means) < 5 else None)
            style = dict(color=colour, weight="bold", fontsize=TEXT, va="center")
            end = (means[same].index[-1], means[same].iloc[-1])
            ax.annotate(name, end, xytext=(8, 0), textcoords="offset points", **style)
        for name, value in (reference or {}).items():
            ax.axhline(value, color=GREY, lw=1.2, ls="--", zorder=0)
            place = dict(xytext=(0, 3), textcoords="offset points", va="bottom", bbox=_VEIL)
            ax.annotate(name, (of_split["epoch"].min(), value), fontsize=SMALL, color=GREY, **place)
        caption = f"{of_split['source'].iloc[0]} · {split} pairs"
        describe(ax, f"Pairs of {split} people", caption, "epoch", f"mean {column} of a pair")
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[0].set_ylim(0, 1.1 * max(ax.dataLim.ymax for ax in axes))
    return axes


def plot_roc(reports, log=False, ax=None):
    """Draw the share of same pairs accepted against that of different pairs accepted.

    Parameters
    ----------
    reports : Report or dict of str to Report
        One, or several by name.
    log : bool
        Logarithmic false accept rate, where the rates of practical use can be seen. Marks the
        true accept rate at a false accept rate of 1 %.
    """
    reports = _named(reports)
    ax = ax or _axes(_square(reports))
    n = max(int((~r.same).sum()) for r in reports.values())
    smallest = 10.0 ** np.floor(np.log10(0.9 / n)) if log else 0
    chance = np.geomspace(smallest, 1, 200) if log else [0, 1]
    ax.plot(chance, chance, color=GREY, lw=1.2, ls=":")
    for (name, report), style in zip(reports.items(), _styles(), strict=False):
        m, roc = report.metrics(), _thin(report.roc())
        text, tar = f"AUC {m['auc']:.3f}", m["tar_at_far_1%"]
        if log and not np.isnan(tar):
            text = f"TAR {100 * tar:.1f} % at FAR 1 %"
            _mark(ax, 0.01, tar, "" if name else text, style["color"], down=16)
        ax.plot(roc["far"], roc["tar"], lw=2.5, label=_entry(name, text), **style)
    if log:
        ax.set(xscale="log", xlim=(smallest, 1))
        ax.axvline(0.01, color=GREY, lw=1, ls="--", zorder=0)
        ax.xaxis.set(major_locator=LogLocator(10), minor_locator=NullLocator())
    title = "True accepts against false accepts"
    if not name:
        title = f"Same pairs are nearer {100 * m['auc']:.1f} % of the time (AUC)"
    ax.xaxis.set_major_formatter(_percent)
    ax.yaxis.set_major_formatter(_percent)
    ax.set(ylim=(-0.01, 1.01), box_aspect=1)
    far, tar = "different pairs accepted (FAR)", "same pairs accepted (TAR)"
    _legend(ax)
    return describe(ax, title, _caption(*reports.values()), far, tar)


def plot_det(reports, ax=None):
    """Draw the two kinds of error against one another, on normal-deviate axes.

    Where distances are normally distributed a network is a straight line; the nearer to the
    lower left corner, the better.

    References
    ----------
    .. [1] Martin, Doddington, Kamm, Ordowski, Przybocki, "The DET curve in assessment of
       detection task performance", Eurospeech 1997.
    """
    reports = _named(reports)
    ax = ax or _axes(_square(reports))
    eers = [report.metrics()["eer"] for report in reports.values()]
    fewest = min(min(r.same.sum(), (~r.same).sum()) for r in reports.values())
    low, normal = np.clip(0.5 / fewest, 0.0002, 0.02), NormalDist()
    high, ticks = 0.6, [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6]
    if max(eers) > 0.45:
        high, ticks = 1 - low, [0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999]

    def deviate(p):
        return np.vectorize(normal.inv_cdf, otypes=[float])(np.clip(p, 1e-7, 1 - 1e-7))

    scale = dict(functions=(deviate, np.vectorize(normal.cdf, otypes=[float])))
    ax.set_xscale("function", **scale)
    ax.set_yscale("function", **scale)
    ax.plot([low, high], [low, high], color=GREY, lw=1.2, ls=":")
    for (name, report), eer, style in zip(reports.items(), eers, _styles(), strict=False):
        text, roc = f"EER {100 * eer:.1f} %", _thin(report.roc())
        ax.plot(roc["far"], 1 - roc["tar"], lw=2.5, label=_entry(name, text), **style)
        at = np.clip(eer, low, high)  # with no errors at all, in the corner
        _mark(ax, at, at, "" if name else text, style["color"])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks([t for t in ticks if low <= t <= high])
        axis.set(major_formatter=_percent, minor_locator=NullLocator())
    ax.set(xlim=(low, high), ylim=(low, high), box_aspect=1)
    far, frr = "different pairs accepted (FAR)", "same pairs rejected (FRR)"
    title = "The two errors against each other"
    _legend(ax)
    return describe(ax, title, _caption(*reports.values()), far, frr)


def plot_thresholds(report, ax=None):
    """Draw precision, recall, F1 and accuracy over all thresholds, and the chosen one."""
    _named(report)
    ax = ax or _axes()
    chosen, roc = report.metrics(), report.roc()
    best, distinct = roc["f1"].max(), np.unique(report.distances.astype(float))
    low, high = min(distinct[0], report.threshold), max(distinct[-1], report.threshold)
    pad = 0.04 * (high - low) or 0.02
    roc, ends = _thin(roc.assign(above=np.append(low - pad, distinct))), []
    styles = {"f1": ("#000000", "-", 3), "accuracy": ("#CC79A7", "-", 2.2)}
    styles |= {"precision": ("#009E73", "--", 2.2), "recall": (SAME, "-.", 2.2)}
    for metric, (colour, dashes, width) in styles.items():
        # Between two neighbouring distances a rate is constant: steps, not slopes.
        x, y = np.append(roc["above"], high + pad), np.append(roc[metric], roc[metric].iloc[-1])
        ax.step(x, y, where="post", color=colour, ls=dashes, lw=width, label=metric)
        ax.plot(report.threshold, chosen[metric], "o", ms=8, color=colour, zorder=3)
        name = "F1" if metric == "f1" else metric
        ends.append((y[-1], f"{name} ● {chosen[metric]:.3f}", colour))
    ax.set(xlim=(low - pad, high + pad), ylim=(0, 1.12))
    _mark_threshold(ax, report)
    title = f"F1 is {chosen['f1']:.3f} at the threshold; the best on these pairs is {best:.3f}"
    describe(ax, title, _caption(report), "threshold: accept when distance is below", "")
    _end_labels(ax, ends)
    return ax


def plot_faces(faces, people=5, images=8, rows=None, ax=None):
    """Show faces: a row of images for each person, or the given rows in a grid.

    Parameters
    ----------
    faces : Faces
        Where they are taken from.
    people : int or sequence of str
        How many people, those with the most images first, or their names.
    images : int
        Images per row of the grid.
    rows : sequence of int, optional
        Rows of `faces` to show instead, each with its person's name.
    """
    if rows is not None:
        grid = [rows[i : i + images] for i in range(0, len(rows), images)]
        title = f"{len(rows):,} of {len(faces):,} images"
    else:
        if isinstance(people, int):
            people = [faces.names[k] for k in np.argsort(-faces.counts, kind="stable")[:people]]
        labels = [faces.names.index(name) for name in people]
        grid = [np.flatnonzero(faces.labels == k)[:images] for k in labels]
        title = f"{len(grid):,} of {len(faces.names):,} people"
    widest, tall = max(map(len, grid)), 1.42 if rows is not None else 1.04
    ax = ax or _axes((1.3 * widest + 0.4 + 1.5 * (rows is None), 1.3 * tall * len(grid) + 0.9))
    for y, line in enumerate(grid):
        for x, row in enumerate(line):
            _show(ax, faces, row, 1.04 * x, tall * y)
            if rows is not None:
                _name(ax, faces.names[faces.labels[row]], 1.04 * x + 0.5, tall * y + 1.03)
        if rows is None:
            name = fill(people[y].replace("_", " "), 16)
            ax.text(-0.1, tall * y + 0.5, name, ha="right", va="center", fontsize=TEXT)
    return _gallery(ax, 1.04 * widest, tall * len(grid), title, faces.source)


def plot_mistakes(report, faces, n=5, ax=None):
    """Show the worst mistakes: the nearest different pairs and the farthest same pairs.

    Parameters
    ----------
    report : Report
        What was decided.
    faces : Faces
        Holds the images of the report.
    n : int
        How many of each kind, five to a line.
    """
    mistakes, row_of = report.mistakes(n), {i: row for row, i in enumerate(faces.image_ids)}
    missing = set(mistakes["left_id"]) | set(mistakes["right_id"])
    if missing := sorted(missing - set(row_of)):
        raise ValueError(f"expected the faces of the report, got none of {', '.join(missing)}")
    across = min(n, 5)
    heads = {"false accept": ("Taken for the same person", DIFFERENT)}
    heads |= {"false reject": ("Taken for different people", SAME)}
    lines = {kind: -(-(mistakes["kind"] == kind).sum() // across) for kind in heads}
    height = sum(0.55 + 1.5 * n_lines for n_lines in lines.values())
    ax, y = ax or _axes((2.5 * across + 0.2, 1.14 * height + 0.8)), 0.0
    for kind, (head, colour) in heads.items():
        text = head if lines[kind] else f"{head}: none"
        ax.text(0, y + 0.3, text, color=colour, weight="bold", fontsize=TEXT, va="center")
        for p, pair in enumerate(mistakes[mistakes["kind"] == kind].itertuples()):
            x, top = 2.25 * (p % across), y + 0.55 + 1.5 * (p // across)
            ids = pair.left_id, pair.right_id
            for dx, image in zip((0, 1.02), ids, strict=True):
                _show(ax, faces, row_of[image], x + dx, top)
            names = dict.fromkeys(image.rpartition("_")[0] for image in ids)
            for name, dx in zip(names, (0.5, 1.52) if len(names) == 2 else (1.01,), strict=True):
                _name(ax, name, x + dx, top + 1.05, 11 if len(names) == 2 else 24)
            box = dict(boxstyle="round,pad=0.25", fc="white", ec=colour)
            style = dict(ha="center", va="center", color=colour, weight="bold", fontsize=SMALL)
            ax.text(x + 1.01, top + 0.9, f"{pair.distance:.2f}", bbox=box, **style)
        y += 0.55 + 1.5 * lines[kind]
    title = f"The worst mistakes at threshold {report.threshold:.3f}"
    return _gallery(ax, 2.25 * across - 0.23, y, title, _caption(report))


def plot_images_per_person(faces, ax=None):
    """Draw how many people have how many images, on logarithmic axes."""
    ax = ax or _axes()
    images, people = np.unique(faces.counts, return_counts=True)
    ax.vlines(images, 0.7, people, color=SAME, lw=1.5, alpha=0.4)
    ax.plot(images, people, "o", color=SAME, ms=7)
    ax.set(xscale="log", yscale="log", ylim=(0.7, 2 * people.max()))
    ax.margins(x=0.06)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set(major_formatter=FuncFormatter(lambda v, _: f"{v:,.0f}"))
        axis.set(major_locator=LogLocator(10, (1, 2, 5)), minor_locator=NullLocator())
    most = int(np.argmax(faces.counts))
    name = faces.names[most].replace("_", " ")
    place = dict(xytext=(0, 10), textcoords="offset points", ha="right", fontsize=TEXT)
    ax.annotate(name, (images[-1], people[-1]), color=GREY, **place)
    n, single = len(faces.names), int((faces.counts == 1).sum())
    title = f"{single:,} of {n:,} people have a single image; {images[-1]:,} is the most"
    return describe(ax, title, faces.source, "images per person", "people")


def plot_results(results, rate="auc", bar=None, ax=None):
    """Draw one rate of every method with its 95 % interval, the best on top.

    Parameters
    ----------
    results : DataFrame
        As `facelab.load_results` returns it, of one source and the same pairs.
    rate : str
        Which rate.
    bar : str, optional
        Title of the method that the others are held against; its interval becomes a band.
    ax : Axes, optional
        Where to draw.
    """
    results = results.sort_values(rate, kind="stable", ignore_index=True)
    ax = ax or _axes((11, 1.7 + 0.36 * len(results)))
    chapters = sorted(set(results["chapter"]))
    colours = dict(zip(chapters, cycle(COLOURS)))
    for y, row in results.iterrows():
        low, high, colour = row[f"{rate}_low"], row[f"{rate}_high"], colours[row["chapter"]]
        ax.plot([low, high], [y, y], color=colour, lw=2.5, solid_capstyle="round")
        ax.plot(row[rate], y, "o", ms=8, color=colour)
        if row["title"] == bar:
            ax.axvspan(low, high, color=GREY, alpha=0.16, lw=0)
            ax.axvline(row[rate], color=GREY, lw=1.5, ls="--", zorder=0)
    ax.set_yticks(range(len(results)), [fill(t, 44, max_lines=1) for t in results["title"]])
    ax.set_ylim(-0.7, len(results) - 0.3)
    ax.margins(x=0.04)
    handles = [ax.plot([], [], "o-", lw=2.5, color=colours[c])[0] for c in chapters]
    names = [f"{c[:2]} {c[3:].replace('_', ' ')}" for c in chapters]
    place = dict(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=SMALL)
    ax.legend(handles, names, title="chapter", title_fontsize=SMALL, alignment="left", **place)
    words = _words(rate)
    caption = f"{results['source'].iloc[0]} · {results['pairs'].iloc[0]}"
    title = f"{words} of {len(results)} methods on strangers, with 95 % intervals"
    return describe(ax, title, caption, words, "")


def plot_map(maps, people, source, axes=None):
    """Draw maps of embeddings, a colour and a name for every person.

    Parameters
    ----------
    maps : dict of str to ndarray of shape (n_images, 2)
        Positions of the same images in each map, by the map's name.
    people : ndarray of shape (n_images,), str
        Who each image shows.
    source : str
        What the images are.
    axes : sequence of Axes, optional
        One for each map.
    """
    if axes is None:
        size = dict(figsize=(7.6 * len(maps), 7), layout="constrained")
        axes = plt.subplots(1, len(maps), squeeze=False, **size)[1][0]
    names = list(dict.fromkeys(people))
    for ax, (name, places) in zip(axes, maps.items(), strict=True):
        marked = []
        for person, style in zip(names, _points(), strict=False):
            of_person = places[people == person]
            ax.scatter(*of_person.T, s=42, lw=0.5, edgecolor="white", alpha=0.7, **style)
            middle = np.median(of_person, axis=0)
            nearest = of_person[np.argmin(((of_person - middle) ** 2).sum(1))]
            marked.append((nearest, person.replace("_", " "), style["color"]))
        ax.set(xticks=[], yticks=[])
        ax.margins(0.08)
        describe(ax, name, f"{source} · {len(people)} images of {len(names)} people")
        sns.despine(ax=ax, left=True, bottom=True)
        _apart(ax, marked, places)
    return axes


def _points():
    for marker in cycle("os^D"):
        for colour in COLOURS[:6]:
            yield {"color": colour, "marker": marker}


def _apart(ax, marked, places):
    """Name places in a map, each name near its place, clear of other names and of most points."""
    ax.figure.canvas.draw()
    points, boxes = ax.transData.transform(places), []
    angles, radii = np.meshgrid(np.arange(16) * np.pi / 8, np.arange(10))
    steps = np.stack([2 * radii * np.cos(angles), radii * np.sin(angles)], -1).reshape(-1, 2)
    style = dict(ha="center", va="center", fontsize=TEXT, weight="bold", bbox=_VEIL)
    for place, name, colour in marked:
        text = ax.text(*place, name, color=colour, **style)
        box, best = text.get_window_extent().padded(3), np.inf
        for dx, dy in steps * box.height:
            moved = box.translated(dx, dy)
            covered = (points > moved.min).all(1) & (points < moved.max).all(1)
            cost = covered.sum() + 0.5 * np.hypot(dx, dy) / box.height
            cost += 1000 * sum(moved.overlaps(other) for other in boxes)
            if cost < best:
                best, chosen = cost, moved
        boxes.append(chosen)
        middle = (chosen.min + chosen.max) / 2
        text.set_position(ax.transData.inverted().transform(middle))
        line = zip(place, text.get_position(), strict=True)
        ax.plot(*line, color=colour, lw=1.2, alpha=0.7, zorder=1)


def _words(column):
    for name in ("auc", "eer", "tar", "far"):
        column = re.sub(rf"\b{name}\b", name.upper(), column.replace("_", " "))
    return column


_percent = FuncFormatter(lambda v, _: f"{100 * v:g} %")
_VEIL = dict(boxstyle="square,pad=0.1", fc="white", ec="none", alpha=0.85)


def _axes(size=(9, 5.2)):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # inches
    return ax


def _width(ax):
    """Width of the axes in points."""
    return 72 * ax.get_position().width * ax.get_figure().get_figwidth()


def _gallery(ax, width, height, title, caption):
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    describe(ax, title, caption, "", "")
    sns.despine(ax=ax, left=True, bottom=True)
    return ax


def _show(ax, faces, row, x, y):
    image = faces.batch([row])[0].transpose(1, 2, 0)
    ax.imshow(image, extent=(x, x + 1, y + 1, y), interpolation="bilinear", aspect="equal")


def _name(ax, name, x, y, width=13):
    name = name.replace("_", " ")
    name = fill(name, width, max_lines=2, placeholder=" …", break_on_hyphens=False)
    ax.text(x, y, name, ha="center", va="top", fontsize=SMALL, color=INK)


def _caption(*reports):
    return " and ".join(dict.fromkeys(f"{r.source} · {r.name}" for r in reports))


def _named(reports):
    """Return reports by name, each with both kinds of pairs."""
    reports = reports if isinstance(reports, dict) else {"": reports}
    for name, report in reports.items():
        n = int(report.same.sum())
        if n in (0, len(report)):
            raise ValueError(
                f"{name or report.name}: expected same and different pairs, "
                f"got {n} and {len(report) - n}"
            )
    return reports


def _square(reports):
    return (7 if "" in reports else 10), 6.6  # names in a legend at the right need room


def _styles():
    for dashes in cycle(("-", "--", "-.", ":")):
        for colour in COLOURS:
            yield {"color": colour, "ls": dashes}


def _thin(roc):
    """Leave out rows of a long table that no figure could tell from the one before."""
    if len(roc) < 10_000:
        return roc
    far, tar = roc["far"], roc["tar"]
    shown = [1500 * roc["threshold"], 1500 * far, 1500 * tar]
    shown += [300 * np.log(rate + 1e-6) for rate in (far, 1 - tar)]
    moved = (np.diff(np.round(np.stack(shown)), axis=1) != 0).any(axis=0)
    return roc[np.append(True, moved) | (np.arange(len(roc)) == len(roc) - 1)]


def _entry(name, text):
    """Return a curve's legend: nothing for a single report, whose values stand in the figure."""
    return f"{fill(str(name), 26)}\n{text}" if name else None


def _legend(ax):
    if ax.get_legend_handles_labels()[1]:
        place = dict(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False)
        ax.legend(fontsize=TEXT, labelcolor="linecolor", labelspacing=1, **place)


def _mark(ax, x, y, text, colour, down=0):
    ax.plot(x, y, "o", ms=9, color=colour, zorder=3, clip_on=False)
    place = dict(xytext=(14, -down), textcoords="offset points", va="center", fontsize=TEXT)
    ax.annotate(text, (x, y), color=colour, weight="bold", bbox=_VEIL, **place)


def _mark_threshold(ax, report):
    """Draw the threshold, its label on the side where there is room."""
    ax.axvline(report.threshold, color=INK, lw=1.8, ymax=0.94)
    low, high = ax.get_xlim()
    at = (report.threshold - low) / (high - low)
    side = "left" if at < 0.3 else "right" if at > 0.7 else "center"
    text = f"threshold {report.threshold:.3f} ({report.threshold_from})"
    place = dict(xycoords=ax.get_xaxis_transform(), ha=side, va="center", fontsize=SMALL)
    ax.annotate(text, (report.threshold, 0.97), color=INK, **place)


def _end_labels(ax, ends):
    """Name lines at the right edge, beside their last value but never on one another."""
    low, high = ax.get_ylim()
    gap, previous = 0.062 * (high - low), -np.inf
    for value, text, colour in sorted(ends, key=lambda end: end[0]):
        previous = max(value, previous + gap)
        place = dict(xycoords=ax.get_yaxis_transform(), xytext=(8, 0), textcoords="offset points")
        style = dict(va="center", color=colour, fontsize=TEXT, weight="bold", annotation_clip=False)
        ax.annotate(text, (1, previous), **place, **style)
