"""Run the notebooks as a batch: which of them are done, and what went wrong."""

import hashlib
import logging
import shlex
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from facelab.checks import expect, one_line
from facelab.files import alone_in
from facelab.study.cluster import run_on
from facelab.study.execute import execute
from facelab.study.layout import notebooks_folder, shipped
from facelab.study.provenance import tracked
from facelab.study.reading import SCHEMA, read_record
from facelab.study.report import build_report, spent
from facelab.study.settings import cells_of, chapters, find_notebooks, plan, read_profile
from facelab.study.writing import (
    portable,
    portable_path,
    relative,
    remove_checkpoints,
    without_places,
    write_json,
)

log = logging.getLogger(__name__)
OF_A_RUN = ("*.npz", "*.safetensors", "*.png", "*.jpg")  # an old figure must not be shown


class Job(NamedTuple):
    """What is to be done with one notebook."""

    path: Path
    title: str  # for the terminal
    parameters: dict[str, object]
    folder: Path
    command: str  # that repeats it
    text: str  # SHA-256 of the notebook's cells
    todo: str  # "skip", "go on", "renew": go on with what has another text; "begin"
    waits: bool  # for the notebooks before it, whose runs it reads
    keeps: bool  # its checkpoints, when it is done


def run_study(
    notebooks=(),
    profile="smoke",
    parameters=None,
    out=None,
    resume=False,
    force=False,
    scheduler=None,
    keep_checkpoints=False,
) -> dict:
    """Execute notebooks, write ``report.html``, and return the cause of each failure by name.

    See `find_notebooks`, `read_profile` and, for `parameters`, which win over the profile,
    `convert`: what is wrong is an error before anything is run, and so are, unless `force` is
    true, results in `out` that git tracks or that are of other parameters, and with `resume`
    checkpoints of other parameters. `out` is by default ``outputs/PROFILE``. `resume` skips
    what is done with the same parameters and the same text, and lets the rest go on from its
    checkpoints, which go when a notebook is done, unless `keep_checkpoints` is true. With a
    `scheduler`, as in `run_on`, workers run them beside each other; else they run one after
    another.
    """
    label = Path(profile).stem
    known = chapters(notebooks_folder())
    selected = find_notebooks(notebooks, notebooks_folder())
    plans = plan(selected, read_profile(profile), parameters or {}, known)
    options = ["--profile", portable_path(profile)]
    for name in parameters or {}:
        options += ["-p", name, str(portable(plans[selected[0]][name]))]
    # Relative to where the kernels start, which is here: absolute paths stay out of records.
    folder = relative(out or Path("outputs") / label)
    if out:
        options += ["--out", portable_path(out)]
    _check_out(folder, selected)
    jobs = []
    for number, (path, values) in enumerate(plans.items(), 1):
        values["PROFILE"] = label
        name = path.stem if path in known else portable_path(path)
        text = _text_of(path, values)
        job = Job(
            path,
            title=f"[{number}/{len(plans)}] {path.stem}",
            parameters=values,
            folder=folder / path.stem,
            command=shlex.join(["facelab", "run", name, *options]),
            text=text,
            todo=_todo(folder / path.stem, text, values, resume, force),
            waits="RUNS" in values,
            keeps=keep_checkpoints,
        )
        jobs.append(job)
    failed = {}
    rest = _recorded_seconds(jobs)
    done = []  # seconds recorded before, 0 without a record, and seconds taken now
    with alone_in(folder):
        if rest:
            log.info(f"  {_time_left(rest, done)}")
        runs = run_on(scheduler, attempt, jobs) if scheduler else map(attempt, jobs)
        last = time.monotonic()
        for name, said, cause in runs:
            log.info(said)
            now = time.monotonic()
            before = rest.pop(name, None)  # None: skipped
            if cause:
                failed[name] = cause
            elif before is not None:
                done.append((before, now - last))
            last = now
            if rest:
                log.info(f"  {_time_left(rest, done)}")
        log.info(f"report: {build_report(folder, [path.stem for path in known])}")
    return failed


def _recorded_seconds(jobs: list[Job]) -> dict[str, float]:
    """Return the seconds that each notebook that is to run took the last time with its profile.

    From its record here or the committed one; 0 without either.
    """
    seconds = {}
    for job in jobs:
        if job.todo != "skip":
            committed = shipped("outputs") / job.parameters["PROFILE"] / job.path.stem
            records = map(_record_before, (committed, job.folder))
            took = [spent(record)[0] for record in records if record["status"] == "done"]
            seconds[job.path.stem] = took[-1] if took else 0.0
    return seconds


def _time_left(rest: dict[str, float], done: list[tuple[float, float]]) -> str:
    """Say how long the `rest` takes, from recorded seconds, 0 without, and what is `done`.

    Recorded seconds count at the pace of what is done and was recorded before, others as the mean
    of what is done.
    """
    recorded = sum(before for before, _ in done)
    pace = sum(took for before, took in done if before) / recorded if recorded else 1
    usual = fmean(took for _, took in done) if done else 0
    known = [seconds for seconds in rest.values() if seconds]
    n_unknown = len(rest) - len(known)
    n_told = len(rest) if usual else len(known)
    said = []
    if n_told:
        left = timedelta(seconds=round(pace * sum(known) + usual * n_unknown))
        said.append(f"about {left} left for {n_told} more")
    if n_unknown and usual:
        said.append(f"{n_unknown} of them, never recorded, counted as the mean of those done")
    elif n_unknown:
        said.append(f"time not known for {n_unknown}, never recorded with this profile")
    return "; ".join(said)


def _record_before(folder: Path) -> dict:
    try:
        return read_record(folder / "run.json")
    except (ValueError, OSError):
        return {"parameters": {}, "status": ""}


def _check_out(out: Path, selected: list[Path]) -> None:
    """Refuse a folder above or within a study, whose report would mix or miss runs."""
    runs = [folder for folder in (out, out.parent) if (folder / "run.json").exists()]
    why = [f"{folder} is that of one run" for folder in runs]
    why += [f"{out.parent} is that of a study"] if any(out.parent.glob("*/run.json")) else []
    nested = sorted(out.glob("*/*/**/run.json"))
    why += [f"{file.parent} lies deeper in it" for file in nested]
    expect(not why, "a folder for a study", f"{out}: {' and '.join(why[:2])}")
    for path in selected:
        executed = out / path.stem / path.name
        is_itself = executed.exists() and executed.samefile(path)
        expect(not is_itself, "an --out in which nothing is written over", path)
    (name, n), *_ = Counter(path.stem for path in selected).most_common(1)
    expect(n == 1, "notebooks of different names", f"two named {name}")


def _todo(folder: Path, text: str, parameters: dict, resume: bool, force: bool) -> str:
    """Decide what is to be done; what would be lost without `force` is a ValueError."""
    recorded = portable(parameters)
    before = _record_before(folder)
    different = [name for name in recorded if before["parameters"].get(name) != recorded[name]]
    same_text = before.get("text") in (None, text)  # older records have none
    done = before["status"] == "done"
    todo = "begin"
    if resume and not different:
        todo = "renew" if not same_text else "skip" if done else "go on"
    if todo == "skip" or force:
        return todo
    expected = "choose another --out, or --force it"
    if tracked(folder):
        raise ValueError(f"{folder} holds results that git tracks: {expected}")
    begun = resume and before["status"] and any(folder.glob("*.pt"))  # hours of work, maybe
    if (done or begun) and different:
        got = one_line(repr(before["parameters"].get(different[0])), 60)
        what = "results" if done else "checkpoints"
        held = f"{what} of other parameters ({different[0]}: {got})"
        raise ValueError(f"{folder} holds {held}: {expected}")
    return todo


def _text_of(path: Path, parameters: dict) -> str:
    """Return the SHA-256 of a notebook's cells, and of paths that records do not hold."""
    text = repr([(kind, source) for kind, source, _ in cells_of(path)])
    text += repr([value for value in parameters.values() if portable(value) != value])
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def attempt(job: Job) -> tuple[str, str, str]:
    """Run a notebook unless that is done; return its name, what to say, and why it failed."""
    name = job.path.stem
    if job.todo == "skip":
        return name, f"{job.title}  skipped: done with the same parameters", ""
    start = time.monotonic()
    try:
        cause = run_notebook(job)
    except OSError as e:  # a full disk, say; the next one may fit
        cause = one_line(without_places(f"writing its results: {e}"))
    said = f"{job.title}  {'FAILED' if cause else 'done'} after {time.monotonic() - start:.0f} s"
    if job.todo == "renew":
        said += "; its text had changed, and checkpoints that fit were used"
    return name, f"{said}\n  {cause or job.folder / job.path.name}", cause


def run_notebook(job: Job) -> str:
    """Run a notebook and record how it ended; return why it failed, or nothing."""
    folder = job.folder
    folder.mkdir(parents=True, exist_ok=True)
    if job.todo == "begin":  # a checkpoint of other parameters must not be continued
        remove_checkpoints(folder)
    if job.todo in ("begin", "renew"):
        for file in [file for pattern in OF_A_RUN for file in folder.glob(pattern)]:
            file.unlink()
    resumed = any(folder.glob("*.pt"))
    about = {"profile": job.parameters["PROFILE"], "command": job.command, "text": job.text}
    begun = {"schema": SCHEMA, "notebook": job.path.stem, "status": "started", **about}
    begun["parameters"] = portable(job.parameters)
    file = folder / "run.json"
    write_json(file, begun)  # what a checkpoint is of, after a kill -9
    parameters = job.parameters | {"OUT": folder.as_posix()}
    cause = execute(job.path, parameters, folder / job.path.name, job.title)
    try:
        record = read_record(file)
        if not cause and not record["finished"]:
            cause = "it wrote no run.json: the last cell should be run.finish()"
    except ValueError as e:
        record, cause = begun, cause or str(e)
    # Nothing else says that a run is done, and nothing is written after it.
    ended = {"status": "failed", "cause": without_places(cause)} if cause else {"status": "done"}
    write_json(file, record | about | {"resumed": resumed} | ended)
    if not cause and not job.keeps:
        remove_checkpoints(folder)
    return cause
