"""Time what decides about pairs against plain NumPy; see README.md beside this file.

``python tests/benchmarks/bench_verification.py [PART OF A ROW'S NAME]...`` prints a table and
writes ``outputs/bench/verification.json``. Every run is a process of its own, on one thread.
"""

from functools import partial

import numpy as np
from harness import bench, seconds

from facelab.field.identification import search
from facelab.verification import Report, Sweep, best

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def million():
    rng = np.random.default_rng(0)
    same = rng.random(1_000_000) < 0.5
    d = rng.normal(np.where(same, 0.9, 1.2), 0.2).clip(0, 2)
    return d.astype(np.float32), same


def sort_alone():
    d, _ = million()
    return lambda: np.sort(d)[0]


def best_f1():
    d, same = million()
    return lambda: best(Sweep(d, same), "f1")


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
    "2,000 resamples of 6,000 pairs": (bootstrap, 1),
    "search of 100,000 entries": (partial(searched, 100_000), 1),
    "product and argsort of 100,000": (partial(sorted_whole, 100_000), 1),
    "search of 1,000,000 entries": (partial(searched, 1_000_000), 1),
    "product and argsort of 1,000,000": (partial(sorted_whole, 1_000_000), 1),
}
LONG = [
    "search of 1,000,000 entries",
    "product and argsort of 1,000,000",  # which takes 13 GB
]
RATIOS = {
    "best F1 / np.sort": ("best F1 of 1e6 pairs", "np.sort of 1e6 float32"),
    "argsort / search": ("product and argsort of 100,000", "search of 100,000 entries"),
    "argsort / search, 1e6": ("product and argsort of 1,000,000", "search of 1,000,000 entries"),
}


def stage(setup, repeats):
    """Set up, and time what that returns."""
    return seconds(setup(), repeats)


if __name__ == "__main__":
    stages = {name: (partial(stage, *how), ONE_THREAD) for name, how in STAGES.items()}
    bench(__file__, stages, RATIOS, long=LONG)
