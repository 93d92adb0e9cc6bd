"""Colours and sizes that all figures share."""

# Okabe and Ito's colours: told apart with every common colour vision.
SAME, DIFFERENT = "#0072B2", "#D55E00"
COLOURS = (SAME, DIFFERENT, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
INK, GREY = "#222222", "#6B6B6B"
KINDS = (("same", True, SAME), ("different", False, DIFFERENT))
TITLE, TEXT, SMALL = 14.5, 12.5, 11.5  # points: read from the back of a room
NARROW = 370  # points: beside names, less would be left for the lines
LETTER = 0.54  # mean width of a letter of DejaVu Sans, in parts of its size
BOLD = 0.57  # the same in bold
VEIL = dict(boxstyle="square,pad=0.1", fc="white", ec="none", alpha=0.85)
