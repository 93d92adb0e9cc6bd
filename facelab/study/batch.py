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
from facelab.study.settings import (
    chapters,
    find_notebooks,
    notebooks_folder,
    plan,
    read_profile,
    words,
)

# A checkpoint of other parameters must not be continued, nor an old figure be shown.
STALE = ("run.json", "*.pt*", "*.npz", "*.safetensors", "*.png", "*.jpg")


def run_study(
    notebooks: Iterable[str] = (),
    profile: str = "smoke",
    parameters: Mapping[str, object] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> dict[str, str]:
    """Execute notebooks one after the other, and write ``report.html``.

    Parameters
    ----------
    notebooks, profile : iterable of str, str
        See `find_notebooks` and `read_profile`.
    parameters : mapping of str to object, optional
        Win over the profile; text is read as the type of the notebook's own value.
    out : path, optional
        Default: ``outputs/PROFILE``.
    resume : bool
        Skip what is done with the same parameters; let the rest go on from its checkpoints.

    Returns
    -------
    dict of str to str
        Cell and cause for every notebook that failed; empty if none did.

    Raises
    ------
    FileNotFoundError, ValueError
        Before anything is run; see `plan`.
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
        value = plans[selected[0]][name]
        options += ["-p", name, value if isinstance(value, str) else json.dumps(value)]
    print(f"profile {label}, {words(path.stem for path in selected)}: into {out}", flush=True)
    failed = {}
    for number, (path, values) in enumerate(plans.items(), 1):
        values["PROFILE"] = label
        command = shlex.join(["facelab", "run", path.stem, *options])
        title = f"[{number}/{len(plans)}] {path.stem}"
        cause = run_notebook(path, values, out / path.stem, command, resume, title)
        if cause:
            failed[path.stem] = cause
    print(f"report: {build_report(out, [path.stem for path in chapters(folder)])}", flush=True)
    return failed


def run_notebook(
    path: Path, parameters: dict, folder: Path, command: str, resume: bool, title: str
) -> str:
    """Run a notebook into `folder` unless that is done; return why it failed, or nothing.

    Parameters
    ----------
    path, folder : Path
        The notebook, and what holds its record, figures and checkpoints.
    parameters : dict of str to object
        All but ``OUT``, which is `folder`.
    command, title : str
        For the record, and for the terminal.
    resume : bool
        Whether to keep what was begun with the same parameters.
    """
    record = folder / "run.json"
    started = folder / "started.json"
    folder.mkdir(parents=True, exist_ok=True)
    before = _read(record) or _read(started)
    recorded = before.get("parameters", {})
    resume = resume and before.get("schema") == SCHEMA and parameters.items() <= recorded.items()
    if resume and before["status"] == "done":
        print(f"{title}  skipped: done with the same parameters", flush=True)
        return ""
    for pattern in STALE[:1] if resume else STALE:
        for stale in folder.glob(pattern):
            stale.unlink()
    resumed = any(folder.glob("*.pt"))
    entry = {"schema": SCHEMA, "notebook": path.stem, "status": "started", "data": {}}
    entry |= {"parameters": parameters, "results": [], "trainings": [], "reports": []}
    write_json(started, entry)  # after a kill -9 this tells what the checkpoint belongs to
    start = time.monotonic()
    cause = execute(path, parameters | {"OUT": folder.as_posix()}, folder / path.name, title)
    seconds = time.monotonic() - start
    if not cause and not record.exists():
        cause = "it wrote no run.json: the last cell should be run.finish()"
    entry = _read(record) or entry
    entry["profile"] = parameters["PROFILE"]
    entry["command"] = command
    entry["resumed"] = resumed
    if cause:
        entry["status"] = "failed"
        entry["cause"] = cause
    write_json(record, entry)
    started.unlink()
    print(f"{title}  {'FAILED' if cause else 'done'} after {seconds:.0f} s")
    print(f"  {cause or folder / path.name}", flush=True)
    return cause


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
