"""Stages that take turns, each in a process of its own; one table of them, printed and kept."""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from functools import partial
from importlib import metadata
from pathlib import Path

import numpy as np

OUT = Path(__file__).parents[2] / "outputs" / "bench"
PACKAGES = ("numpy", "scikit-learn", "torch", "torchvision", "pytorch-metric-learning")


def seconds(run: Callable, repeats: int = 1) -> dict:
    """Return the median time of some calls, that of the processor too, and the last result."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        result = run()
        taken.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    wall, processor = np.median(taken, axis=0).tolist()
    return {"seconds": wall, "processor": processor, "result": np.ravel(result).tolist()}


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    names = [k for k in info.read_text().splitlines() if "model name" in k] if info.exists() else []
    return names[0].split(":")[1].strip() if names else platform.processor()


def _stage(run: Callable) -> None:
    """Print the figures of one stage and its peak memory, as the only line that is an object."""
    try:
        figures = run()
    except ImportError as e:
        figures = {"skipped": str(e)}
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    print("\n" + json.dumps(figures | {"peak_mib": peak}), flush=True)


def _spread(values: np.ndarray) -> str:
    """Write median, least and most."""
    return "".join(f"{n:10.4g}" for n in (np.median(values), values.min(), values.max()))


def bench(
    file: str,
    stages: dict[str, tuple[Callable, dict]],
    ratios: dict[str, tuple[str, str]] | None = None,
    long: Collection[str] = (),
    runs: int = 3,
    options: dict[str, float] | None = None,
) -> dict | None:
    """Run every stage `runs` times by turns, or, in a process of `bench`, the one that it names.

    Parameters
    ----------
    file : str
        The script, ``bench_NAME.py``; the table is kept in ``outputs/bench/NAME.json``.
    stages : dict of str to (callable, dict)
        By name: a function that returns figures, the first of which is shown, and environment
        variables of its process (None: not set). A stage that lacks a package is skipped. Figures
        with a text ``missed`` have no value to show, and the text is shown.
    ratios : dict of str to (str, str), optional
        By name: two stages; the figure of the first over that of the second, round by round.
    long : collection of str
        Stages that run only when they are named.
    runs : int
        Rounds, unless ``--rounds`` says otherwise.
    options : dict of str to float, optional
        By name: what stages are called with, unless ``--NAME`` says otherwise.

    Returns
    -------
    dict, or None in the process of a stage
        What was kept of each stage and ratio of this call.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", help="parts of the names of the rows to run")
    parser.add_argument("--rounds", type=int, default=runs)
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    for name, value in (options or {}).items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    given = parser.parse_args()
    asked = {name: getattr(given, name) for name in options or {}}
    if given.stage:
        return _stage(partial(stages[given.stage][0], **asked))
    named = [s for s in stages if any(part in s for part in given.parts)]
    chosen = named if given.parts else [s for s in stages if s not in long]
    taken = {stage: [] for stage in chosen}
    for _ in range(given.rounds):
        for stage, done in taken.items():
            env = {k: v for k, v in (os.environ | stages[stage][1]).items() if v is not None}
            command = [sys.executable, file, "--stage", stage]
            command += [f"--{name}={value}" for name, value in asked.items()]
            said = subprocess.run(command, env=env, text=True, capture_output=True)
            if said.returncode:
                sys.exit(f"{stage}: {said.stderr}")
            lines = said.stdout.splitlines()  # another package's bar may end after ours
            done.append(json.loads([line for line in lines if line.startswith("{")][-1]))
            name, value = next(iter(done[-1].items()))
            print(f"{stage}: {name} {value}", file=sys.stderr, flush=True)
    rows, figures = {}, {}
    print(f"{'':56}{'median':>10}{'least':>10}{'most':>10}{'peak MiB':>10}")
    for stage, done in taken.items():
        if reason := done[0].get("skipped"):
            print(f"{stage:56} skipped: {reason}")
            continue
        name = next(iter(done[0]))
        if missed := [d["missed"] for d in done if "missed" in d]:
            print(f"{stage:56} {len(missed)} of {len(done)}: {missed[0]}", flush=True)
            rows[stage] = {"median": None, "figure": name, "runs": done}
            continue
        value = figures[stage] = np.array([d[name] for d in done])
        peak = max(d["peak_mib"] for d in done)
        unit = "s" if name == "seconds" else name
        print(f"{stage:56}{_spread(value)}{peak:10.0f}  {unit}", flush=True)
        rows[stage] = {"median": float(np.median(value)), "figure": name, "runs": done}
    for name, (a, b) in (ratios or {}).items():
        if {a, b} <= figures.keys():
            value = figures[a] / figures[b]
            print(f"{name:56}{_spread(value)}", flush=True)
            rows[name] = {"median": float(np.median(value)), "ratio": value.tolist()}
    machine = {"processor": processor(), "cores": os.cpu_count()}
    if hasattr(os, "getloadavg"):
        machine["load"] = os.getloadavg()[0]
    versions = {p: metadata.version(p) for p in PACKAGES} | {"python": platform.python_version()}
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / (Path(file).stem.removeprefix("bench_") + ".json")
    before = json.loads(path.read_text())["stages"] if path.exists() and given.parts else {}
    entry = {"machine": machine, "versions": versions, "stages": before | rows}
    path.write_text(json.dumps(entry, indent=1) + "\n")
    return rows
