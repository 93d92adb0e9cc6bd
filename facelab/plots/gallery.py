"""Faces: of people, of mistakes, how many there are of whom, and where they lie in a map."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from scipy.spatial import KDTree

from facelab.checks import expect, kinds, one_each, places, whole
from facelab.faces import Faces
from facelab.plots.palette import COLOURS, DIFFERENT, SAME
from facelab.plots.style import Sourced, describe, legend, new_axes, new_panels
from facelab.verification import Report

LINE = 1.5  # from one line of images to the next; an image is 1 wide and high


@kinds
def plot_faces(
    faces: Faces,
    people: int = 5,
    images: int = 8,
    rows: np.ndarray | None = None,
    ax: Axes | None = None,
):
    """Show faces with their names: those with the most images, a line each, or given rows.

    `people` counts the lines, `images` the most to a line; `rows` are row numbers of `faces`.
    """
    people, images = whole("people", people, 1), whole("images", images, 1)
    if rows is None:
        most = np.argsort(-faces.counts, kind="stable")[:people]
        by_person = faces.rows_by_person()
        lines = [by_person[label][:images] for label in most]
        title = f"{len(lines):,} of {len(faces.names):,} people"
    else:
        rows = places("rows", rows, len(faces))
        lines = [rows[start : start + images] for start in range(0, len(rows), images)]
        title = f"{len(rows):,} of {len(faces):,} images"
    names = np.array(faces.names)[faces.labels]
    return describe(_draw_lines(ax, faces, lines, names), title, faces)


@kinds
def plot_mistakes(report: Report, faces: Faces, n: int = 5, ax: Axes | None = None):
    """Show the worst mistakes: the nearest `n` different pairs and the farthest `n` same pairs.

    Below each image stands its id, for LFW the name of its file without the ending. A pair whose
    label is known to be wrong is marked with an asterisk, and all of them are counted.
    """
    mistakes = report.mistakes(n)
    expect(len(mistakes), "mistakes to show", f"none in {report}")
    ids = mistakes[["left_id", "right_id"]].to_numpy()  # (n_mistakes, 2)
    rows = pd.Index(faces.image_ids).get_indexer(ids.ravel()).reshape(ids.shape)
    missing = ids[rows < 0][:3]
    expect(not len(missing), "the faces of the report", f"none of {', '.join(missing)}")
    accepts = mistakes["kind"] == "false accept"
    lines = [rows[accepts].ravel(), rows[~accepts].ravel()]
    ax = _draw_lines(ax, faces, lines, faces.image_ids, gap=0.15)
    for line, of_line, colour in ((0, accepts, DIFFERENT), (1, ~accepts, SAME)):
        box = {"boxstyle": "round,pad=0.25", "fc": "white", "ec": colour}
        look = {"color": colour, "size": "small", "ha": "center", "weight": "bold", "bbox": box}
        for k, mistake in enumerate(mistakes[of_line].itertuples()):
            words = f"{mistake.distance:.2f}{' *' if mistake.known_error else ''}"
            ax.text(2.23 * k + 1.02, LINE * line + 0.94, words, **look)
    counts = report.metrics()
    accepted = f"{counts['fp']:,} taken for\nthe same person"
    rejected = f"{counts['fn']:,} taken for\ndifferent people"
    ax.set_yticks([0.5, LINE + 0.5], [accepted, rejected])
    title = f"{counts['fp'] + counts['fn']:,} mistakes at threshold {report.threshold:.3f}"
    note = f"threshold: {report.threshold_from}"
    n_known = np.sum(report.known_errors & (report.accepted != report.same))
    if n_known:
        note += f" · * label known to be wrong: {n_known} of the mistakes"
    return describe(ax, title, report, note=note)


@kinds
def plot_images_per_person(faces: Faces, ax: Axes | None = None):
    """Draw how many people have how many images, on logarithmic axes."""
    ax = ax or new_axes()
    images, people = np.unique(faces.counts, return_counts=True)
    ax.vlines(images, 0.7, people, color=SAME, lw=1.5, alpha=0.4)
    ax.plot(images, people, "o", color=SAME)
    ax.set(xscale="log", yscale="log", ylim=(0.7, 2 * people.max()))
    single = np.sum(faces.counts == 1)
    title = f"{single:,} of {len(faces.names):,} people have a single image, one {images[-1]:,}"
    return describe(ax, title, faces, "images per person", "people")


@kinds
def plot_map(maps: Mapping[str, np.ndarray], people: np.ndarray, of: Sourced | None):
    """Draw maps of embeddings, a colour and a marker for every person.

    `maps` holds positions of the same images by name, (n_images, 2), `people` the name of whom
    each shows, and `of` are the faces.
    """
    axes = new_panels(len(maps), 5.2, 4.4)
    people = np.array([str(name).replace("_", " ") for name in people])
    n = len(np.unique(people))
    look = {"hue": people, "style": people, "palette": sns.color_palette(COLOURS, n)}
    for ax, (name, at) in zip(axes, maps.items(), strict=True):
        one_each(f"people and places in {name}", people, len(at))
        x, y = at.T
        sns.scatterplot(x=x, y=y, s=38, linewidth=0, legend=ax is axes[-1], ax=ax, **look)
        expect(len(at) >= 2, f"two images or more in {name}", len(at))
        first, second = KDTree(at).query(at, k=2)[1].T  # of those in one place in any order
        nearest = np.where(first == np.arange(len(at)), second, first)
        alike = np.mean(people == people[nearest])
        title = f"{name}: {alike:.0%} lie beside the same person"
        describe(ax, title, of, note=f"{len(people)} images of {n} people")
        ax.axis("off")
    legend(axes[-1])
    return axes


def _draw_lines(ax, faces, lines, words, gap=0.0):
    """Draw lines of images, the words for each below it, and a gap behind every pair of them."""
    expect(any(map(len, lines)), "images to show", f"none of {faces}")
    width = (1.04 + gap / 2) * max(map(len, lines))
    ax = ax or new_axes(1.45 * width + 0.6, 1.45 * LINE * len(lines) + 0.9)
    wrap = {"width": 12, "break_long_words": False, "max_lines": 3, "placeholder": " …"}
    for k, line in enumerate(lines):
        y = LINE * k
        for column, row in enumerate(line):
            x = 1.04 * column + gap * (column // 2)
            image = faces.batch([row])[0].transpose(1, 2, 0)  # (height, width, 3)
            ax.imshow(image, extent=(x, x + 1, y + 1, y), interpolation="bilinear")
            below = fill(words[row].replace("_", " "), **wrap)
            look = {"ha": "center", "va": "top", "size": "small", "parse_math": False}
            ax.text(x + 0.5, y + 1.03, below, **look)
    ax.set(xlim=(0, width), ylim=(LINE * len(lines), 0), xticks=[], yticks=[])
    ax.tick_params(length=0)
    sns.despine(ax=ax, left=True, bottom=True)
    return ax
