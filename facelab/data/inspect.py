"""What is in a copy of LFW, in words, and everything that is wrong with it."""

from collections import Counter
from pathlib import Path, PurePosixPath

from facelab.data.copies import find
from facelab.data.decoding import decode_all
from facelab.data.protocol import official
from facelab.data.protocol_text import FILES, read


def info(root: str | Path, progress: bool = True) -> tuple[str, bool]:
    """Describe a copy of LFW in lines for a terminal; say whether `load_lfw` would accept it.

    Decodes every image; unlike `load_lfw`, never raises for what it finds.
    """
    try:
        copy = find(root)
    except (OSError, ValueError) as e:
        return f"wrong: {e}", False
    lines = {"path": copy.path, "images are": copy.source}
    faults, unknown, files = [], [], copy.files()
    try:
        protocol = read(*copy.lists)
    except ValueError as e:
        faults.append(str(e))
    else:
        here = [file for file in FILES if any((folder / file).is_file() for folder in copy.lists)]
        whose = "LFW's own" if protocol is official() else "this data set's own"
        lines["lists"] = f"{whose}; here: {', '.join(here) or 'none, facelab ships them'}"
        unknown = sorted(set(files) - set(protocol.files))
        files = protocol.files
    sizes, wrong = decode_all(copy, files, None, progress)
    counts = Counter(PurePosixPath(file).parent.name for file in sizes)
    many = sum(n > 1 for n in counts.values())
    lines["people"] = f"{len(counts):,}, of whom {many:,} with 2+"
    for name, n in counts.most_common(1):
        lines["people"] += f" (most: {name}, {n})"
    lines["images"] = f"{len(sizes):,}"
    by_size = Counter(sizes.values()).most_common()
    lines["pixels"] = ", ".join(f"{w} x {h} ({n:,} images)" for (w, h), n in by_size)
    faults += [f"{file}: {reason}" for file, reason in wrong.items()]
    lines["wrong"] = "".join(f"\n  {fault}" for fault in faults) or "nothing"
    if unknown:
        lines["unknown to the lists"] = "".join(f"\n  {file}" for file in unknown)
    return "\n".join(f"{key:<20} {value}" for key, value in lines.items()), not faults
