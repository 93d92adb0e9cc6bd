"""Time what decides about pairs against plain NumPy and sklearn; see README.md beside this file.

``python tests/benchmarks/bench_verification.py [PART OF A ROW'S NAME]...`` prints a table and
writes ``outputs/bench/verification.json``. Every run is a process of its own, on one thread.
"""

from functools import partial

import numpy as np
from harness import bench, seconds

from facelab.field.all_pairs import LARGEST, STEPS, all_pairs, pair_keys
from facelab.field.identification import search
from facelab.verification import Report, Sweep, best
from facelab.verification.sweep import unit_length

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def million():
    rng = np.random.default_rng(0)
    same = rng.random(1_000_000) < 0.5
    d = rng.normal(np.where(same, 0.9, 1.2), 0.2).clip(0, 2)
    return d.astype(np.float32), same


def images():
    """As many images and people as LFW, 1,680 of them with two images or more, one with 530."""
    rng = np.random.default_rng(0)
    more = 2 + (528 / np.arange(1, 1681) ** 0.878).astype(int)
    more[1:11] += 1  # 13,233 in all
    labels = np.repeat(np.arange(5749), np.append(more, np.ones(4069, int)))
    return rng.normal(size=(len(labels), 128)).astype(np.float32), labels


def pairs_in_memory():
    """The distances and kinds that `all_pairs` counts, kept."""
    x, labels = images()
    n = len(labels) * (len(labels) - 1) // 2
    d, same, at = np.empty(n, np.float32), np.empty(n, bool), 0
    for keys in pair_keys(np.rint(unit_length(x) * 2**25), labels, 512):
        piece = slice(at, at := at + len(keys))
        same[piece] = keys > LARGEST
        d[piece] = (keys % (LARGEST + 1)) / STEPS
    return d, same


def sort_alone():
    d, _ = million()
    return lambda: np.sort(d)[0]


def best_f1():
    d, same = million()
    return lambda: best(Sweep(d, same), "f1")


def ours():
    x, labels = images()
    return lambda: all_pairs(x, labels)


def two_sorts():
    def run():
        d, same = pairs_in_memory()
        near, far = np.sort(d[same]), np.sort(d[~same])
        right = np.searchsorted(far, near, "right")
        twice = np.int64(np.searchsorted(far, near, "left")).sum() + right.sum()
        tp = np.searchsorted(near, near, "right")
        auc = 1 - twice / (2 * len(near) * len(far))
        return (2 * tp / (tp + right + len(near))).max(), auc

    return run


def sklearn():
    from sklearn.metrics import precision_recall_curve, roc_auc_score

    def run():
        d, same = pairs_in_memory()
        precision, recall, _ = precision_recall_curve(same, -d)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
        return f1.max(), roc_auc_score(same, -d)

    return run


def bootstrap():
    rng = np.random.default_rng(0)
    same, n = np.arange(6000) < 3000, 6000
    left = rng.integers(1680, size=n)
    right = np.where(same, left, (left + rng.integers(1, 1680, size=n)) % 1680)
    people = [f"P{k}" for k in range(1680)]
    ids = [f"{name}_{i:04d}" for i in (1, 2) for name in people]
    d = rng.normal(np.where(same, 0.9, 1.2), 0.2).clip(0, 2)
    report = Report(d, same, np.zeros(n), left, 1680 + right, ids, 2 * people, 1.05)
    return lambda: report.intervals(2000)["auc"]


def more_images(n):
    """As `ours`, with embeddings of `n` images of 8,000 people."""
    x = np.random.default_rng(0).normal(size=(n, 128)).astype(np.float32)
    return lambda: all_pairs(x, np.arange(n) % 8000)


def probes_and_gallery(n):
    """1,000 probes and a gallery of `n`, of length one: the plain product needs that."""
    x = np.random.default_rng(0).standard_normal((1000 + n, 128), np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x[:1000], x[1000:]


def searched(n):
    """The ten nearest entries of each probe; their sum tells whether two ways agree."""
    probes, gallery = probes_and_gallery(n)
    return lambda: search(probes, gallery, 10)[1].sum()


def sorted_whole(n):
    """As `searched`, by a plain matrix product and argsort."""
    probes, gallery = probes_and_gallery(n)
    return lambda: np.argsort(-probes @ gallery.T, axis=1)[:, :10].sum()


STAGES = {
    "np.sort of 1e6 float32": (sort_alone, 15),
    "best F1 of 1e6 pairs": (best_f1, 15),
    "all_pairs of 13,233 images": (ours, 1),
    "the same, NumPy: two sorts": (two_sorts, 1),
    "the same, sklearn": (sklearn, 1),
    "2,000 resamples of 6,000 pairs": (bootstrap, 1),
    "all_pairs of 26,466 images": (partial(more_images, 26_466), 1),
    "all_pairs of 52,932 images": (partial(more_images, 52_932), 1),
    "all_pairs of 200,000 images": (partial(more_images, 200_000), 1),
    "search of 100,000 entries": (partial(searched, 100_000), 1),
    "product and argsort of 100,000": (partial(sorted_whole, 100_000), 1),
    "search of 1,000,000 entries": (partial(searched, 1_000_000), 1),
    "product and argsort of 1,000,000": (partial(sorted_whole, 1_000_000), 1),
}
LONG = [
    "all_pairs of 200,000 images",
    "search of 1,000,000 entries",
    "product and argsort of 1,000,000",  # which takes 13 GB
]
RATIOS = {
    "best F1 / np.sort": ("best F1 of 1e6 pairs", "np.sort of 1e6 float32"),
    "two sorts / all_pairs": ("the same, NumPy: two sorts", "all_pairs of 13,233 images"),
    "sklearn / all_pairs": ("the same, sklearn", "all_pairs of 13,233 images"),
    "argsort / search": ("product and argsort of 100,000", "search of 100,000 entries"),
    "argsort / search, 1e6": ("product and argsort of 1,000,000", "search of 1,000,000 entries"),
}


def stage(setup, repeats):
    """Set up, and time what that returns."""
    return seconds(setup(), repeats)


if __name__ == "__main__":
    stages = {name: (partial(stage, *how), ONE_THREAD) for name, how in STAGES.items()}
    bench(__file__, stages, RATIOS, long=LONG)
