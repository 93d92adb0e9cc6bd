"""Time what decides about pairs against plain NumPy and sklearn; see README.md beside this file.

``python tests/benchmarks/bench_verification.py [runs]`` prints a table and writes
``outputs/bench/verification.json``. Every run is a process of its own and the rivals take turns.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np

from facelab.allpairs import _LARGEST, _STEPS, _keys, all_pairs
from facelab.verification import Report, _best, _unit

OUT = Path("outputs/bench/verification.json")


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
    for keys in _keys(np.rint(_unit(x) * 2**25), labels, 512):
        piece = slice(at, at := at + len(keys))
        same[piece] = keys > _LARGEST
        d[piece] = (keys % (_LARGEST + 1)) / _STEPS
    return d, same


def sort_alone():
    d, _ = million()
    return lambda: np.sort(d)[0]


def best_f1():
    d, same = million()
    return lambda: _best(d, same, "f1")


def ours():
    x, labels = images()
    return lambda: all_pairs(x, labels)[:-1]


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
    ids = [f"P{k}_{i:04d}" for i in (1, 2) for k in range(1680)]
    d = rng.normal(np.where(same, 0.9, 1.2), 0.2).clip(0, 2)
    report = Report(d, same, np.zeros(n), left, 1680 + right, ids, 1.05)
    return lambda: report.intervals(2000)["auc"]


STAGES = {
    "np.sort of 1e6 float32": sort_alone,
    "best F1 of 1e6 pairs": best_f1,
    "all_pairs of 13,233 images": ours,
    "the same, NumPy: two sorts": two_sorts,
    "the same, sklearn": sklearn,
    "2,000 resamples of 6,000 pairs": bootstrap,
}


def measure(stage):
    """Print seconds of a stage (median of 15 for the short ones), peak memory and its result."""
    run = STAGES[stage]()
    seconds = []
    for _ in range(15 if "1e6" in stage else 1):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    result = np.ravel(result).tolist()
    print(json.dumps({"seconds": float(np.median(seconds)), "peak": peak, "result": result}))


def processor():
    info = Path("/proc/cpuinfo")
    names = [k for k in info.read_text().splitlines() if "model name" in k] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor()


def main(runs=3):
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    taken = {stage: [] for stage in STAGES}
    for _ in range(runs):
        for stage, done in taken.items():
            command = [sys.executable, __file__, "--stage", stage]
            done.append(json.loads(subprocess.check_output(command, env=env)))
    rows = {}
    print(f"{'':32}{'seconds':>9}{'least':>9}{'most':>9}{'peak MiB':>10}")
    for stage, done in taken.items():
        s, peak = [d["seconds"] for d in done], max(d["peak"] for d in done)
        rows[stage] = {"median": float(np.median(s)), "seconds": s, "peak_mib": peak}
        rows[stage]["result"] = done[0]["result"]
        print(f"{stage:32}{np.median(s):9.3f}{min(s):9.3f}{max(s):9.3f}{peak:10.0f}")
    machine = {"processor": processor(), "cores": os.cpu_count(), "threads": 1}
    if hasattr(os, "getloadavg"):
        machine["load"] = os.getloadavg()[0]
    versions = {p: metadata.version(p) for p in ("numpy", "scikit-learn")}
    versions["python"] = platform.python_version()
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(
        json.dumps({"machine": machine, "versions": versions, "stages": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--stage"]:
        measure(sys.argv[2])
    else:
        main(*map(int, sys.argv[1:]))
