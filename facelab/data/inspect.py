"""What is in a copy of LFW, in words, and everything that is wrong with it."""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from facelab.data.copies import find
from facelab.data.decoding import decode_all
from facelab.data.protocol import official
from facelab.data.protocol_text import FILES, read


def info(root: str | Path, progress: bool = True) -> tuple[str, bool]:
    """Describe a copy of LFW in words, and list everything that is wrong with it.

    Decodes every image; unlike `load_lfw`, never raises for what it finds.

    Returns
    -------
    text : str
        A line per fact, for a terminal.
    ok : bool
        Whether `load_lfw` would accept the copy.
    """
    faults, lines = [], {}
    sizes, wrong, unknown, protocol = {}, {}, [], None
    try:
        copy = find(root)
        lines |= {"path": str(copy.path), "images are": copy.variant.source}
        try:
            protocol = read(*copy.lists)
        except ValueError as e:
            faults.append(str(e))
        else:
            lists = [f for f in FILES if any((folder / f).is_file() for folder in copy.lists)]
            whose = "LFW's own" if protocol is official() else "this data set's own"
            lines["lists"] = f"{whose}; here: {', '.join(lists) or 'none, facelab ships them'}"
        sizes, wrong, unknown = decode_all(copy, protocol and protocol.files, progress=progress)
    except (OSError, ValueError) as e:
        faults.append(str(e))
    readable = [re.fullmatch(r"(.+)/\1_\d{4}\.jpg", file) for file in sizes]
    counts = Counter(match[1] for match in readable if match)
    lines["people"] = f"{len(counts):,}, of whom {sum(n > 1 for n in counts.values()):,} with 2+"
    lines["images"] = f"{sum(counts.values()):,}"
    if counts:
        name, most = counts.most_common(1)[0]
        lines["people by images"] = f"{_histogram(counts)}  (most: {name}, {most})"
        by_size = Counter(sizes.values()).most_common()
        lines["pixels"] = ", ".join(f"{w} x {h} ({n:,} images)" for (w, h), n in by_size)
    faults += [f"{file}: {reason}" for file, reason in wrong.items()]
    lines["wrong"] = "".join(f"\n  {fault}" for fault in faults) or "nothing"
    if unknown:
        lines["unknown to the lists"] = "".join(f"\n  {file}" for file in unknown)
    return "\n".join(f"{key:<20} {value}" for key, value in lines.items()), not faults


def _histogram(counts: Counter) -> str:
    """How many people have how many images, in words."""
    bins = {"1": 1, "2": 2, "3-5": 3, "6-10": 6, "11-20": 11, "21-50": 21, "51+": 51}
    people, _ = np.histogram(list(counts.values()), [*bins.values(), np.inf])
    return "  ".join(f"{images}: {n:,}" for images, n in zip(bins, people, strict=True))
