"""Identification, 1:N: find a probe's person in a gallery, among any number of distractors.

Nothing here holds more than a block of the matrix of similarities, so a gallery may be a memory
map. Similarities are in float32: entries whose cosines differ by less than 1e-6 count as equally
near, and against the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from facelab.checks import expect, kinds, one_each, real, whole
from facelab.progress import Progress
from facelab.verification.sweep import LEAST_FAR, too_few, unit_length

GALLERY_BLOCK = 16_384  # entries, and probes, whose similarities are held at once: 64 MiB
PROBE_BLOCK = 1_024
ROUNDING = 1e-6  # of a cosine


@kinds
@dataclass(frozen=True, eq=False)
class Identification:
    """Where probes found their people among the `n_gallery` entries that were searched.

    `rank`, int64 of shape (n,), is 1 + the entries of other people that are as near as the nearest
    of the probe's own person, or nearer; 0 for a probe whose person is not in the gallery; `most`
    is the greatest rank that is exact, all further ones are one more. `mate` and `nearest`, float32
    of shape (n,), are the distances, in [0, 2], to the nearest entry of the probe's own person, nan
    without any, and to the nearest of all.
    """

    rank: np.ndarray
    mate: np.ndarray
    nearest: np.ndarray
    n_gallery: int
    most: int | None = None

    @property
    def mated(self) -> np.ndarray:
        """Which probes have their person in the gallery, bool of shape (n,)."""
        return self.rank > 0

    def cmc(self, n_ranks: int = 20) -> np.ndarray:
        """Return the share of mated probes found at rank 1, 1 to 2, ... 1 to `n_ranks`.

        The first is the rank-1 identification rate. No mated probes, and ranks beyond `most`, are
        a ValueError.
        """
        expect(self.mated.any(), "probes whose people are in the gallery", "none")
        most = self.most or np.inf
        expect(1 <= whole("n_ranks", n_ranks) <= most, f"1 to {self.most or 'any'} ranks", n_ranks)
        ranks = np.arange(1, n_ranks + 1)
        return np.searchsorted(np.sort(self.rank[self.mated]), ranks, "right") / self.mated.sum()

    def dir_at_far(self, far: float) -> tuple[float, float]:
        """Return the open-set detection and identification rate, DIR, and its threshold.

        Of the probes whose people are not in the gallery at most the share `far` lies nearer than
        the threshold to some entry; DIR is the share of mated probes that are at rank 1 and nearer
        than it to their own person: 1 - FNIR of Grother, Ngan, NIST IR 8009, 2014. Too few probes
        of either kind are a ValueError.
        """
        far = real("far", far, LEAST_FAR, 1)
        others = np.sort(self.nearest[~self.mated])
        is_few = too_few(far, len(others))
        if is_few or not self.mated.any():
            needed = f"mated probes and {np.ceil(1 / far):,.0f} others for FAR {far:.4g}"
            raise ValueError(f"expected {needed}, got {self.mated.sum():,} and {len(others):,}")
        allowed = int(np.floor(far * len(others) * (1 + 1e-12)))
        threshold = float(others[allowed]) if allowed < len(others) else np.inf
        found = (self.rank == 1) & (self.mate < threshold)
        return float(found.sum() / self.mated.sum()), threshold


@kinds
def search(probes: np.ndarray, gallery: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Find the `k` nearest entries of each probe: distances and rows, both (n_probes, k).

    Embeddings, (n, D), are normalised here. The distances, float32 in [0, 2], are exact, nearest
    first. The gallery is gone through once, in blocks.
    """
    n_gallery = _fitting(probes, gallery)
    expect(1 <= whole("k", k) <= n_gallery, f"k of 1 to {n_gallery} entries", k)
    best = np.full((len(probes), k), -np.inf, np.float32)
    rows = np.zeros((len(probes), k), np.int64)
    for start, some, cosines in _cosines(probes, gallery):
        seen = torch.from_numpy(np.concatenate([best[some], cosines], axis=1))
        best[some], at = (found.numpy() for found in seen.topk(k))
        before = np.take_along_axis(rows[some], at.clip(max=k - 1), 1)
        rows[some] = np.where(at < k, before, start + at - k)
    pairs = np.repeat(np.arange(len(probes)), k), rows.ravel()
    distance = _distances(probes, gallery, *pairs).reshape(rows.shape)
    order = np.lexsort((rows, distance))
    return np.take_along_axis(distance, order, 1), np.take_along_axis(rows, order, 1)


@kinds
def identify(
    probes: np.ndarray, probe_people: np.ndarray, gallery: np.ndarray, gallery_people: np.ndarray
) -> Identification:
    """Look for the person of each probe in a gallery.

    Embeddings, (n, D), are normalised here; people, (n,), are names or numbers. Entries of people
    who are no probes are distractors; probes whom the gallery lacks make the search open-set.
    """
    n_gallery = _fitting(probes, gallery)
    probe_people = one_each("probe_people", probe_people, len(probes))
    gallery_people = one_each("gallery_people", gallery_people, n_gallery)
    probe, entry = _own(probe_people, gallery_people)
    own = _distances(probes, gallery, probe, entry)  # of each probe to each entry of its person
    mate = np.full(len(probes), np.inf, np.float32)
    np.minimum.at(mate, probe, own)
    mated = np.isfinite(mate)
    # a cosine of 1 - d * d / 2; nothing reaches inf
    limit = np.where(mated, 1 - mate.astype(float) ** 2 / 2 - ROUNDING, np.inf).astype(np.float32)
    before = np.zeros(len(probes), np.int64)
    for start, some, cosines in _cosines(probes, gallery):
        inside = (probe >= some.start) & (probe < some.stop)
        inside &= (entry >= start) & (entry < start + cosines.shape[1])
        cosines[probe[inside] - some.start, entry[inside] - start] = -np.inf
        before[some] += (cosines >= limit[some, None]).sum(axis=1)
    mate[~mated] = np.nan
    nearest, _ = search(probes, gallery)
    return Identification(np.where(mated, 1 + before, 0), mate, nearest[:, 0], n_gallery)


@kinds
def with_distractors(
    probes: np.ndarray, people: np.ndarray, distractors: np.ndarray, n_ranks: int = 20
) -> Identification:
    """Look for each probe's person among distractors, as MegaFace does.

    Each ordered pair of a person's probes is one search, for the second among the distractors:
    the result has an entry for each, in the order of the first. Ranks are exact up to `n_ranks`.
    """
    whole("n_ranks", n_ranks, 1)
    n_distractors = _fitting(probes, distractors)
    people = one_each("people", people, len(probes))
    left, right = _own(people, people)
    left, right = left[left != right], right[left != right]
    expect(len(left), "people with two probes or more", "none")
    k = min(n_ranks, n_distractors)
    found, _ = search(probes, distractors, k)  # (n_probes, k)
    mate = _distances(probes, probes, left, right)
    found = found[left].astype(float)
    before = (found**2 <= mate[:, None].astype(float) ** 2 + 2 * ROUNDING).sum(axis=1)
    nearest = np.minimum(mate, found[:, 0].astype(np.float32))
    most = None if k == n_distractors else k
    return Identification(1 + before, mate, nearest, n_distractors + 1, most)


def _fitting(probes: np.ndarray, gallery: np.ndarray) -> int:
    """Return the number of entries, after a look at the shapes."""
    shapes = np.shape(probes), np.shape(gallery)
    widths = {shape[1:] for shape in shapes}
    is_fit = len(widths) == 1 and len(shapes[0]) == 2 and 0 not in (*shapes[0], *shapes[1])
    expect(is_fit, "two tables of embeddings of one size", f"shapes {shapes}")
    return len(gallery)


def _cosines(probes: np.ndarray, gallery: np.ndarray) -> Iterator[tuple]:
    """Yield blocks: first entry, slice of probes, and cosines, float32 (n_probes, n_entries)."""
    x = unit_length(probes).astype(np.float32)
    for start in Progress(range(0, len(gallery), GALLERY_BLOCK), "gallery", delay=5):
        y = unit_length(gallery[start : start + GALLERY_BLOCK]).astype(np.float32)
        for first in range(0, len(x), PROBE_BLOCK):
            some = slice(first, min(first + PROBE_BLOCK, len(x)))
            yield start, some, x[some] @ y.T


def _distances(probes, gallery, probe: np.ndarray, entry: np.ndarray) -> np.ndarray:
    """Measure pairs of a probe and an entry, (n_pairs,) each: float32 in [0, 2]."""
    out = np.empty(len(probe), np.float32)
    for start in range(0, len(probe), GALLERY_BLOCK):
        some = slice(start, start + GALLERY_BLOCK)
        between = unit_length(probes[probe[some]]) - unit_length(gallery[entry[some]])
        out[some] = np.linalg.norm(between, axis=1)
    return out


def _own(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs (i, j) with ``left[i] == right[j]``, in the order of i."""
    for people in (left, right):  # pandas takes all who are missing for one person
        expect(not pd.isna(people).any(), "names or numbers of people", "nan")
    probes = pd.DataFrame({"person": left, "i": np.arange(len(left))})
    entries = pd.DataFrame({"person": right, "j": np.arange(len(right))})
    pairs = probes.merge(entries, on="person")
    return pairs["i"].to_numpy(), pairs["j"].to_numpy()
