"""Run the notebooks as a batch: which of them are done, and what went wrong."""

import json
import os
import shlex
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from facelab.study.execute import execute
from facelab.study.files import write_json
from facelab.study.record import SCHEMA
from facelab.study.report import build_report
from facelab.study.settings import chapters, find_notebooks, notebooks_folder, plan, read_profile

# A checkpoint of other parameters must not be continued, nor an old figure be shown.
STALE = ("*.pt*", "*.npz", "*.safetensors", "*.png", "*.jpg")


def run_study(
    notebooks: Iterable[str] = (),
    profile: str = "smoke",
    parameters: Mapping[str, object] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> dict[str, str]:
    """Execute notebooks, write ``report.html``, and return cell and cause of those that failed.

    What is wrong with a name, a profile or a parameter is an error before anything is run.

    Parameters
    ----------
    notebooks, profile, parameters
        See `find_notebooks`, `read_profile` and, for what wins over the profile, `convert`.
    out : path, optional
        Default: ``outputs/PROFILE``.
    resume : bool
        Skip what is done with the same parameters; let the rest go on from its checkpoints.
    """
    folder = notebooks_folder()
    label = Path(profile).stem
    parameters = parameters or {}
    selected = find_notebooks(notebooks, folder)
    plans = plan(selected, read_profile(profile), parameters, chapters(folder))
    # Relative to where the kernels start, which is here: absolute paths stay out of records.
    out = Path(os.path.relpath(out or Path("outputs") / label))
    options = ["--profile", profile if profile == label else os.path.relpath(profile)]
    for name in parameters:
        options += ["-p", name, str(plans[selected[0]][name])]
    failed = {}
    for number, (path, values) in enumerate(plans.items(), 1):
        title = f"[{number}/{len(plans)}] {path.stem}"
        command = shlex.join(["facelab", "run", path.stem, *options])
        values = values | {"PROFILE": label}
        cause = run_notebook(path, values, out / path.stem, command, resume, title)
        if cause:
            failed[path.stem] = cause
    print(f"report: {build_report(out, [path.stem for path in chapters(folder)])}", flush=True)
    return failed


def run_notebook(
    path: Path, parameters: dict, folder: Path, command: str, resume: bool, title: str
) -> str:
    """Run a notebook into `folder` unless that is done; return why it failed, or nothing."""
    file = folder / "run.json"
    folder.mkdir(parents=True, exist_ok=True)
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    recorded = before.get("parameters", {})
    resume = resume and before.get("schema") == SCHEMA and parameters.items() <= recorded.items()
    if resume and before["status"] == "done":
        print(f"{title}  skipped: done with the same parameters", flush=True)
        return ""
    for pattern in () if resume else STALE:
        for stale in folder.glob(pattern):
            stale.unlink()
    resumed = any(folder.glob("*.pt"))
    entry = {"schema": SCHEMA, "notebook": path.stem, "status": "started", "data": {}}
    entry |= {"parameters": parameters, "results": [], "trainings": [], "reports": []}
    write_json(file, entry)  # after a kill -9 this tells what the checkpoint belongs to
    start = time.monotonic()
    cause = execute(path, parameters | {"OUT": folder.as_posix()}, folder / path.name, title)
    entry = json.loads(file.read_text(encoding="utf-8"))
    if not cause and entry["status"] == "started":
        cause = "it wrote no run.json: the last cell should be run.finish()"
    entry |= {"profile": parameters["PROFILE"], "command": command, "resumed": resumed}
    if cause:
        entry |= {"status": "failed", "cause": cause}
    write_json(file, entry)
    print(f"{title}  {'FAILED' if cause else 'done'} after {time.monotonic() - start:.0f} s")
    print(f"  {cause or folder / path.name}", flush=True)
    return cause
