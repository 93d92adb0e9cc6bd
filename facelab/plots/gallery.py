"""Faces: of people, of mistakes, how many there are of whom, and where they lie in a map."""

from itertools import cycle
from textwrap import fill

import numpy as np
import seaborn as sns
from scipy.spatial import KDTree

from facelab.plots.palette import COLOURS, DIFFERENT, GREY, INK, SAME, SMALL, TEXT
from facelab.plots.style import describe, legend, new_axes, new_panels

MARKERS = "os^D"
STEP = 1.04  # from one image to the next; an image is 1 wide
PAIR = (2.25, 1.5)  # width and height of two images with their names
HEAD = 0.55  # height of a line of words above pairs


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
    ax : Axes, optional
        Where to draw.
    """
    by_person = rows is None
    if by_person:
        if isinstance(people, int):
            people = [faces.names[k] for k in np.argsort(-faces.counts, kind="stable")[:people]]
        labels = [faces.names.index(name) for name in people]
        lines = [np.flatnonzero(faces.labels == label)[:images] for label in labels]
        title = f"{len(lines):,} of {len(faces.names):,} people"
    else:
        lines = [rows[start : start + images] for start in range(0, len(rows), images)]
        title = f"{len(rows):,} of {len(faces):,} images"
    tall = STEP if by_person else 1.42  # below single images stand names
    widest = max(len(line) for line in lines)
    ax = ax or new_axes(1.3 * widest + (1.9 if by_person else 0.4), 1.3 * tall * len(lines) + 0.9)
    for k, line in enumerate(lines):
        for x, row in enumerate(line):
            _show(ax, faces, row, STEP * x, tall * k)
            if not by_person:
                name = faces.names[faces.labels[row]]
                _name(ax, name, STEP * x + 0.5, tall * k + 1.03)
        if by_person:
            name = fill(people[k].replace("_", " "), 16)
            ax.text(-0.1, tall * k + 0.5, name, ha="right", va="center", fontsize=TEXT)
    return _gallery(ax, STEP * widest, tall * len(lines), title, faces)


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
    ax : Axes, optional
        Where to draw.

    Raises
    ------
    ValueError
        If images of the report are missing from `faces`.
    """
    mistakes = report.mistakes(n)
    row_of = {image: row for row, image in enumerate(faces.image_ids)}
    for image in [*mistakes["left_id"], *mistakes["right_id"]]:
        if image not in row_of:
            raise ValueError(f"expected the faces of the report, got none of {image}")
    counts = report.metrics()
    parts = (
        ("false accept", counts["fp"], "taken for the same person", DIFFERENT),
        ("false reject", counts["fn"], "taken for different people", SAME),
    )
    across = min(n, 5)
    n_lines = sum(-(-min(n, count) // across) for _, count, *_ in parts)
    height = len(parts) * HEAD + n_lines * PAIR[1]
    ax = ax or new_axes(1.14 * PAIR[0] * across, 1.14 * height + 0.8)
    top = 0.0
    for kind, count, words, colour in parts:
        text = f"{count:,} {words}" if count else f"None {words}"
        ax.text(0, top + 0.3, text, color=colour, weight="bold", fontsize=TEXT, va="center")
        top += HEAD
        pairs = mistakes[mistakes["kind"] == kind]
        for k, pair in enumerate(pairs.itertuples()):
            line, column = divmod(k, across)
            rows = row_of[pair.left_id], row_of[pair.right_id]
            place = (PAIR[0] * column, top + PAIR[1] * line)
            _show_pair(ax, faces, rows, place, f"{pair.distance:.2f}", colour)
        top += PAIR[1] * -(-len(pairs) // across)
    n_wrong = counts["fp"] + counts["fn"]
    title = f"{n_wrong:,} mistakes at threshold {report.threshold:.3f}"
    note = f"threshold: {report.threshold_from}"
    return _gallery(ax, PAIR[0] * across - 0.2, top, title, report, note)


def plot_images_per_person(faces, ax=None):
    """Draw how many people have how many images, on logarithmic axes."""
    ax = ax or new_axes()
    images, people = np.unique(faces.counts, return_counts=True)
    ax.vlines(images, 0.7, people, color=SAME, lw=1.5, alpha=0.4)
    ax.plot(images, people, "o", color=SAME, ms=7)
    ax.set(xscale="log", yscale="log", ylim=(0.7, 2 * people.max()))
    ax.margins(x=0.06)
    most = faces.names[np.argmax(faces.counts)].replace("_", " ")
    place = dict(xytext=(0, 10), textcoords="offset points", ha="right")
    ax.annotate(most, (images[-1], people[-1]), color=GREY, fontsize=TEXT, **place)
    n, single = len(faces.names), int((faces.counts == 1).sum())
    title = f"{single:,} of {n:,} people have a single image; {images[-1]:,} is the most"
    return describe(ax, title, faces, "images per person", "people")


def plot_map(maps, people, of, axes=None):
    """Draw maps of embeddings, a colour and a marker for every person.

    Parameters
    ----------
    maps : dict of str to ndarray of shape (n_images, 2)
        Positions of the same images in each map, by the map's name.
    people : ndarray of shape (n_images,), str
        Who each image shows.
    of : Faces
        What the images are.
    axes : sequence of Axes, optional
        One for each map.
    """
    if axes is None:
        axes = new_panels(len(maps), 2, 7.2, 6.4)
    people = np.asarray(people)
    shown = np.char.replace(people, "_", " ")
    names = list(dict.fromkeys(shown))
    colours = dict(zip(names, cycle(COLOURS)))
    markers = {name: MARKERS[k // len(COLOURS) % len(MARKERS)] for k, name in enumerate(names)}
    look = dict(hue=shown, hue_order=names, palette=colours, style=shown, markers=markers)
    for ax, (name, places) in zip(axes, maps.items(), strict=True):
        x, y = places.T
        sns.scatterplot(x=x, y=y, s=50, alpha=0.75, legend=ax is axes[-1], ax=ax, **look)
        ax.set(xticks=[], yticks=[])
        ax.margins(0.05)
        nearest = KDTree(places).query(places, k=2)[1][:, 1]
        alike = 100 * (people == people[nearest]).mean()
        title = f"{name}: {alike:.0f} % lie beside the same person"
        describe(ax, title, of, note=f"{len(people)} images of {len(names)} people")
        sns.despine(ax=ax, left=True, bottom=True)
    legend(axes[-1])
    return axes


def _gallery(ax, width, height, title, of, note=""):
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    describe(ax, title, of, note=note)
    sns.despine(ax=ax, left=True, bottom=True)
    return ax


def _show(ax, faces, row, x, y):
    image = faces.batch([row])[0].transpose(1, 2, 0)  # (height, width, 3)
    ax.imshow(image, extent=(x, x + 1, y + 1, y), interpolation="bilinear", aspect="equal")


def _show_pair(ax, faces, rows, place, distance, colour):
    """Two images side by side, their distance between them, and below whom they show."""
    x, y = place
    names = [faces.names[faces.labels[row]] for row in rows]
    for k, row in enumerate(rows):
        _show(ax, faces, row, x + k * 1.02, y)
        if names[0] != names[1]:
            _name(ax, names[k], x + k * 1.02 + 0.5, y + 1.05, 11)
    if names[0] == names[1]:
        _name(ax, names[0], x + 1.01, y + 1.05, 24)
    box = dict(boxstyle="round,pad=0.25", fc="white", ec=colour)
    style = dict(color=colour, weight="bold", fontsize=SMALL, bbox=box)
    ax.text(x + 1.01, y + 0.9, distance, ha="center", va="center", **style)


def _name(ax, name, x, y, width=13):
    words = name.replace("_", " ")
    words = fill(words, width, max_lines=2, placeholder=" …", break_on_hyphens=False)
    ax.text(x, y, words, ha="center", va="top", fontsize=SMALL, color=INK)
