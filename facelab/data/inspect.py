"""What is in a copy of LFW, in words, and everything that is wrong with it."""

from collections import Counter
from pathlib import Path, PurePosixPath

from facelab.data.copies import find
from facelab.data.decoding import decode_all
from facelab.data.lfw import CROP, photos_of, source_of
from facelab.data.packing import Photos, check, check_sizes
from facelab.data.protocol import official
from facelab.data.protocol_text import FILES, read


def info(root: str | Path, crop: int | None = CROP, progress: bool = True) -> tuple[str, bool]:
    """Describe a copy of LFW in lines for a terminal; say whether `load_lfw` would accept it.

    Decodes every image; unlike `load_lfw`, never raises for what it finds.
    """
    check_sizes(1, crop)
    try:
        copy = find(root)
    except (OSError, ValueError) as e:
        return f"wrong: {e}", False
    lines = {"path": copy.path, "images are": copy.source}
    faults, unknown = [], []
    try:
        protocol = read(*copy.lists)
    except (OSError, ValueError) as e:
        faults.append(str(e))
        files = copy.files()
        photos = Photos(copy.path, files, [f"{copy.path}/{file}" for file in files], one_size=True)
    else:
        lines["images are"] = source_of(copy, protocol)
        here = [file for file in FILES if any((folder / file).is_file() for folder in copy.lists)]
        whose = "LFW's own" if protocol is official() else "this data set's own"
        lines["lists"] = f"{whose}; here: {', '.join(here) or 'none, facelab ships them'}"
        photos, unknown = photos_of(copy, protocol)
    decoded = decode_all(photos.files, 1, crop, copy.path.name, progress)
    sizes, wrong = check(photos, decoded)
    counts = Counter(PurePosixPath(name).parent.name for name in sizes)
    many = sum(n > 1 for n in counts.values())
    lines["people"] = f"{len(counts):,}, of whom {many:,} with 2+"
    for name, n in counts.most_common(1):
        lines["people"] += f" (most: {name}, {n})"
    lines["images"] = f"{len(sizes):,}"
    by_size = Counter(sizes.values()).most_common()
    lines["pixels"] = ", ".join(f"{w} x {h} ({n:,} images)" for (w, h), n in by_size)
    faults += [f"{name}: {reason}" for name, reason in wrong.items()]
    lines["wrong"] = "".join(f"\n  {fault}" for fault in faults) or "nothing"
    if unknown:
        lines["unknown to the lists"] = "".join(f"\n  {file}" for file in unknown)
    return "\n".join(f"{key:<20} {value}" for key, value in lines.items()), not faults
