"""One function per figure: a report, a table or faces in, axes out."""

from facelab.plots.figures import *  # noqa: F403
