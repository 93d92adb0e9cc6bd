"""Records of runs made by hand, as `facelab.Run` writes them."""

import json
from pathlib import Path

import numpy as np

from facelab.study.settings import described_parameters
from facelab.verification import Report


def notebook_parameters(path):
    """Names and default values of a notebook's parameters."""
    return {name: own.default for name, own in described_parameters(path).items()}


def make_record(notebook="00_x", **entries):
    """A finished run on real faces that has recorded nothing yet."""
    data = {"root": "lfw", "source": "LFW deep-funneled", "synthetic": False, "protocol": "View 1"}
    data |= {"people": 2, "images": 3, "image_size": [4, 4], "crop": 128, "fingerprint": "abc"}
    device = {"processor": "a CPU", "cores": 2, "threads": 1, "gpu": None, "malloc": {}}
    record = {
        "schema": 2,
        "notebook": notebook,
        "status": "done",
        "profile": "lfw-cpu",
        "command": f"facelab run {notebook}",
        "parameters": {"SEED": 0},
        "seed": 0,
        "data": data,
        "commit": "0123abcd",
        "changed": False,
        "versions": {"python": "3.12"},
        "device": device | {"precision": ""},
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:05:05+00:00",
        "seconds": 60.0,
        "test_looks": 0,
    }
    lists = ("results", "trainings", "reports", "figures", "claims", "notes")
    return record | {name: [] for name in lists} | entries


def add_number(record, metric, value, low=None, high=None, **more):
    row = {"method": "", "seed": 0, "split": "View 1 test", "role": "test", "metric": metric}
    row |= {"value": value, "low": low, "high": high, "error": None, "n": 1}
    record["results"].append(row | more)


def add_training(record, method, seed=0, seconds=10.0):
    training = {"method": method, "seed": seed, "trial": False, "epochs": 2, "images": 128}
    training |= {"seconds": seconds, "images_per_second": 12.8, "weights": 5000, "film": None}
    record["trainings"].append(training)


def make_report(gap=0.3, seed=0, rule="accuracy and f1", n=200, **more):
    """Half the pairs are of one person, and nearer by `gap`."""
    rng = np.random.default_rng(seed)
    same = np.arange(n) % 2 == 0
    distances = np.clip(rng.normal(1.2 - gap * same, 0.15), 0, 2)
    left = np.arange(n)
    people = [f"P{k}" for k in left] + [
        f"P{k}" if of_one else f"Q{k}" for k, of_one in enumerate(same)
    ]
    ids = [f"{person}_{1 + k // n:04d}" for k, person in enumerate(people)]
    about = dict(threshold=1.05, rule=rule, name="View 1 test", role="test")
    about |= dict(source="LFW deep-funneled")
    return Report(distances, same, np.zeros(n), left, n + left, ids, people, **(about | more))


def add_report(record, folder, method, report, dev_auc=None, seed=0, **more):
    """Record a report as a row for each rate, and keep its distances in `folder`."""
    file = f"{len(record['reports'])}.npz"
    report.save(Path(folder) / file)
    about = {"method": method, "seed": seed, "split": report.name, "role": report.role}
    entry = about | {"rule": report.rule, "seen": report.seen, "file": file, "network": None}
    entry |= {"category": "no outside data", "outside_data": "", "training": method}
    record["reports"].append(entry | more)
    for rate in report.table().itertuples():
        add_number(record, rate.metric, rate.value, rate.low, rate.high, **about)
    add_number(record, "threshold", report.threshold, **about)
    if dev_auc is not None:
        dev = about | {"split": "dev", "role": "dev"}
        add_number(record, "watched_auc", dev_auc, **dev)


def write_record(folder, record):
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "run.json").write_text(json.dumps(record), encoding="utf-8")
