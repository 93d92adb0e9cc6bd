"""Who and which photos stand in two sets of faces: by name, and by sight."""

import unicodedata
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from facelab.baselines import luminance
from facelab.checks import expect, kinds, real
from facelab.faces import Faces, Split
from facelab.progress import Progress
from facelab.views import hold_out

SIDE = 8  # cells along each side of what two images are compared by
ALIKE = 0.99  # correlation: on LFW five photos under two names, three of them on its own list
ACCENTS = 10  # least class of combining marks that may be left out; others make another letter
PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "ı": "i"})
_TOGETHER = 2048  # images in one product


def normal_name(name: str) -> str:
    """Return a name without case, accents, order of its words and whatever is no letter or digit.

    A name without a single letter or digit stays.

    >>> normal_name("Müller, Søren") == normal_name("soren_muller")
    True
    >>> normal_name("सीता") == normal_name("सात")
    False
    """
    plain = ""
    for c in unicodedata.normalize("NFKD", name):
        if unicodedata.combining(c) < ACCENTS:
            is_letter = unicodedata.category(c)[0] in "LNM"  # letter, number or mark
            plain += c if is_letter else " "
    words = plain.casefold().translate(PLAIN).split()
    return " ".join(sorted(words)) or name


@kinds
def overlap(train: Faces, test: Faces, alike: float = ALIKE) -> pd.DataFrame:
    """List the people and the photos of `train` that `test` has too.

    Two people are one where `normal_name` says so. Two photos are near duplicates where their
    luminance, averaged in 8 x 8 cells, is correlated by more than `alike`. A photo that is cropped
    anew, turned or mirrored is not found. The columns are ``by``, name or photo; ``person``, of
    train; ``train`` and ``test``, the names or the image ids; ``correlation``, nan for names.
    ``train.select(set(train.names) - set(table.person))`` leaves them out.
    """
    alike = real("alike", alike, 0, 1)
    expect(0 < alike < 1, "a correlation between 0 and 1", alike)
    in_test = defaultdict(list)
    for name in test.names:
        in_test[normal_name(name)].append(name)
    rows = []
    for name in train.names:
        rows += [("name", name, name, other, np.nan) for other in in_test[normal_name(name)]]
    seen, shown = _cells(train), _cells(test)
    seen_ids, shown_ids = train.image_ids, test.image_ids
    for start in range(0, len(seen), _TOGETHER):
        likeness = seen[start : start + _TOGETHER] @ shown.T  # (some, n_test)
        for i, j in zip(*np.nonzero(likeness > alike), strict=True):
            person = train.names[train.labels[start + i]]
            pair = (seen_ids[start + i], shown_ids[j])
            rows.append(("photo", person, *pair, float(likeness[i, j])))
    return pd.DataFrame(rows, columns=["by", "person", "train", "test", "correlation"])


@kinds
def across(
    train: Faces, test: Faces, remove: bool = False, dev_people: float = 0.15, seed: int = 0
) -> Split:
    """Split to learn from one set of faces and to test on another, which has pairs.

    The share `dev_people` of train's people is held out as dev, as in `view1`. Whom `overlap`
    finds in both sets, by name or by a photo, is a ValueError; with `remove` they leave train. So
    Wu et al., "Sampling Matters", ICCV 2017, trained on CASIA-WebFace and tested on LFW.
    """
    has_pairs = test.pairs is not None and len(test.pairs)
    expect(has_pairs, "faces with pairs to test on", f"none in {test}")
    both = overlap(train, test)
    people = both["person"].unique()
    if len(people) and not remove:
        found = both.iloc[0]
        got = f"{len(people)} of train in test too, {found.train} by {found.by} first"
        raise ValueError(f"expected disjoint people, or remove=True, got {got}")
    pool = train.select(set(train.names) - set(people))
    train, dev = hold_out(pool, dev_people, seed)
    pairs = replace(test.pairs, role="test")
    return Split(train, dev, test.with_pairs(pairs), f"{train.source} to {test.source}")


def _cells(faces: Faces) -> np.ndarray:
    """Luminance in 8 x 8 cells, less its mean and of length one: (n_images, 64) float32."""
    cells = []
    for start in Progress(range(0, len(faces), _TOGETHER), "overlap", delay=5):
        images = faces.batch(slice(start, start + _TOGETHER))
        grey = torch.from_numpy(luminance(images))
        cells.append(functional.adaptive_avg_pool2d(grey, SIDE).flatten(1))
    x = torch.cat(cells)
    x = x - x.mean(dim=1, keepdim=True)
    return functional.normalize(x, eps=1e-3).numpy()  # an even image is like none
