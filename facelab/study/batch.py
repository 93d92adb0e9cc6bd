"""Run the notebooks as a batch: which of them are done, and what went wrong."""

import json
import os
import shlex
import time
from pathlib import Path

from facelab.study.execute import execute
from facelab.study.record import SCHEMA
from facelab.study.report import build_report
from facelab.study.settings import chapters, find_notebooks, notebooks_folder, plan, read_profile
from facelab.study.writing import write_json

# A checkpoint of other parameters must not be continued, nor an old figure be shown.
STALE = ("*.pt*", "*.npz", "*.safetensors", "*.png", "*.jpg")


def run_study(notebooks=(), profile="smoke", parameters=None, out=None, resume=False) -> dict:
    """Execute notebooks, write ``report.html``, and return cell and cause of those that failed.

    See `find_notebooks`, `read_profile` and, for `parameters`, which win over the profile,
    `convert`: what is wrong is an error before anything is run. `out` is by default
    ``outputs/PROFILE``. `resume` skips what is done with the same parameters, and lets the rest
    go on from its checkpoints.
    """
    label = Path(profile).stem
    parameters = parameters or {}
    known = chapters(notebooks_folder())
    selected = find_notebooks(notebooks, notebooks_folder())
    plans = plan(selected, read_profile(profile), parameters, known)
    # Relative to where the kernels start, which is here: absolute paths stay out of records.
    out = Path(os.path.relpath(out or Path("outputs") / label))
    options = ["--profile", profile if profile == label else os.path.relpath(profile)]
    for name in parameters:
        options += ["-p", name, str(plans[selected[0]][name])]
    failed = {}
    for number, (path, values) in enumerate(plans.items(), 1):
        title = f"[{number}/{len(plans)}] {path.stem}"
        command = shlex.join(["facelab", "run", path.stem, *options])
        values["PROFILE"] = label
        cause = run_notebook(path, values, out / path.stem, command, resume, title)
        if cause:
            failed[path.stem] = cause
    print(f"report: {build_report(out, [path.stem for path in known])}", flush=True)
    return failed


def run_notebook(path: Path, parameters, folder: Path, command, resume, title) -> str:
    """Run a notebook into `folder` unless that is done; return why it failed, or nothing."""
    file = folder / "run.json"
    folder.mkdir(parents=True, exist_ok=True)
    before = _read(file) if file.exists() else {}
    same = before.get("schema") == SCHEMA and parameters.items() <= before["parameters"].items()
    if resume and same and before["status"] == "done":
        print(f"{title}  skipped: done with the same parameters", flush=True)
        return ""
    if not (resume and same):
        for pattern in STALE:
            for stale in folder.glob(pattern):
                stale.unlink()
    resumed = any(folder.glob("*.pt"))
    begun = {"schema": SCHEMA, "notebook": path.stem, "parameters": parameters}
    write_json(file, begun | {"status": "started"})  # what a checkpoint is of, after a kill -9
    start = time.monotonic()
    cause = execute(path, parameters | {"OUT": folder.as_posix()}, folder / path.name, title)
    record = _read(file)
    if not cause and record["status"] == "started":
        cause = "it wrote no run.json: the last cell should be run.finish()"
    record |= {"profile": parameters["PROFILE"], "command": command, "resumed": resumed}
    if cause:
        record |= {"status": "failed", "cause": cause}
    write_json(file, record)
    print(f"{title}  {'FAILED' if cause else 'done'} after {time.monotonic() - start:.0f} s")
    print(f"  {cause or folder / path.name}", flush=True)
    return cause


def _read(file: Path) -> dict:
    return json.loads(file.read_text(encoding="utf-8"))
