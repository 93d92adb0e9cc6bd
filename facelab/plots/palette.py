"""Colours that all figures share."""

from cycler import cycler

# Okabe and Ito's colours: told apart with every common colour vision.
SAME, DIFFERENT = "#0072B2", "#D55E00"
COLOURS = (SAME, DIFFERENT, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
CYCLE = cycler(linestyle=("-", "--", ":")) * cycler(color=COLOURS)
INK, GREY = "#222222", "#6B6B6B"
