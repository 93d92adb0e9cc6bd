"""One function per figure: a report, a table or faces in, axes out.

Blue is the same person, vermilion different people, in every figure. Below each title stands
what the data are; drawn faces are marked so that nobody takes them for real ones.
"""

from facelab.plots.gallery import plot_faces, plot_images_per_person, plot_map, plot_mistakes
from facelab.plots.intervals import plot_intervals
from facelab.plots.pairs import plot_det, plot_distances, plot_roc, plot_thresholds
from facelab.plots.palette import COLOURS, DIFFERENT, GREY, INK, SAME
from facelab.plots.picture import Picture, encode
from facelab.plots.style import describe, set_style
from facelab.plots.training import plot_epochs, plot_mined, plot_watched

__all__ = [
    "COLOURS",
    "DIFFERENT",
    "GREY",
    "INK",
    "SAME",
    "Picture",
    "describe",
    "encode",
    "plot_det",
    "plot_distances",
    "plot_epochs",
    "plot_faces",
    "plot_images_per_person",
    "plot_intervals",
    "plot_map",
    "plot_mined",
    "plot_mistakes",
    "plot_roc",
    "plot_thresholds",
    "plot_watched",
    "set_style",
]
