"""Twenty kills at random moments: what goes on afterwards ends as if nobody had been killed."""

import json
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_notebook
from pytorch_metric_learning.losses import TripletMarginLoss
from records import add_number, add_report, make_record, make_report, write_record

from facelab.augmentation import augment
from facelab.data.lfw import load_lfw
from facelab.faces import Faces
from facelab.samplers import people_by_images
from facelab.study.batch import run_study
from facelab.study.report import build_report
from facelab.train import fit

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
SIGNALS = ["SIGKILL", "SIGTERM", "SIGINT"]
PATIENCE = 300  # seconds, for what takes one
IMPORTED = ["pytest", "pytorch_metric_learning.losses", "facelab.train", "facelab.study.batch"]


@pytest.fixture(scope="module")
def processes():
    """Start processes from one that has imported what takes long."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    return context


def begin(begun, work, place):
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    begun.set()
    work(place)


def started(processes, work, place):
    begun = processes.Event()
    process = processes.Process(target=begin, args=(begun, work, place))
    process.start()
    assert begun.wait(PATIENCE)
    return process


def finish(processes, work, place):
    """Let it come to its end; return how many seconds it took."""
    process = started(processes, work, place)
    start = time.monotonic()
    process.join(PATIENCE)
    assert process.exitcode == 0
    return time.monotonic() - start


def disturb(processes, kills, prepare, work, ends, seed, kill=None):
    """Kill `work` in fresh places, each once at a random moment, and let it go on there.

    `prepare` makes a place, `ends` says what came of the work in it. What ends before it is killed
    does not count.
    """
    whole = prepare()
    took = finish(processes, work, whole)
    expected = ends(whole)
    rng = np.random.default_rng(seed)
    for _ in range(20 * kills):
        place = prepare()
        process = started(processes, work, place)
        process.join(rng.uniform(0, 0.9) * took)
        if process.exitcode is None:
            name = SIGNALS[kills % 3]
            kill(place) if kill else os.kill(process.pid, getattr(signal, name))
            process.join(PATIENCE)
            kills -= process.exitcode != 0
        finish(processes, work, place)
        assert ends(place) == expected
        if not kills:
            return
    raise AssertionError(f"expected to hit the work before it ends, missed it {kills} times")


@pytest.fixture
def fresh(tmp_path):
    """Make folders, each a new one."""
    numbers = iter(range(1000))

    def make():
        place = tmp_path / str(next(numbers))
        place.mkdir()
        return place

    return make


def pack(place):
    os.environ["FACELAB_CACHE"] = str(place / "cache")
    load_lfw(place.parent / "copy", image_size=64, crop=200, progress=False)


def packed(place):
    (kept,) = (place / "cache" / "packed").iterdir()  # and nothing half made
    return kept.name, (kept / "images.npy").read_bytes()


def test_packing(processes, fresh, write_copy, tmp_path):
    write_copy(tmp_path / "copy", size=220)
    disturb(processes, 6, fresh, pack, packed, seed=1)


def train(place):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.2), torch.nn.Linear(768, 8))
    rng = np.random.default_rng(0)
    person, number = np.divmod(np.arange(96), 8)
    pictures = rng.integers(0, 256, (96, 3, 16, 16), np.uint8)
    faces = Faces(pictures, np.arange(96), person, tuple("ABCDEFGHIJKL"), 1 + number)
    settings = {"epochs": 30, "batch_size": 16, "sampler": people_by_images, "augment": augment}
    training = fit(model, faces, TripletMarginLoss(), checkpoint=place / "c.pt", **settings)
    torch.save(model.state_dict(), place / "weights")
    training.history.drop(columns=["seconds", "images_per_second"]).to_json(place / "history")


def trained(place):
    weights = torch.load(place / "weights")
    return [w.numpy().tobytes() for w in weights.values()], (place / "history").read_text("utf-8")


def test_training(processes, fresh):
    disturb(processes, 6, fresh, train, trained, seed=2)


PARAMETERS = 'OUT = ""\nPROFILE = ""\nSEED = 0\nEPOCHS = 2'
STEPS = """import json, os, time
from pathlib import Path
Path(OUT, "pid").write_text(str(os.getpid()))
checkpoint = Path(OUT, "state.pt")
steps = json.loads(checkpoint.read_text()) if checkpoint.exists() else [SEED]
while len(steps) < EPOCHS:
    steps.append((1103515245 * steps[-1] + 12345) % 2**31)
    Path(OUT, "new").write_text(json.dumps(steps))
    os.replace(Path(OUT, "new"), checkpoint)
    time.sleep(0.02)
print(steps[-1])"""
RECORD = """record = json.loads(Path("record.json").read_text())
record["notes"], record["status"] = [str(steps)], "started"
record["parameters"] = {"SEED": SEED, "EPOCHS": EPOCHS, "PROFILE": PROFILE}
written = Path(OUT, "run.json").write_text(json.dumps(record))"""


def run(place):
    os.chdir(place)
    failed = run_study(["00"], "tiny.yaml", resume=True)
    sys.exit(bool(failed))


def ran(place):
    folder = place / "outputs" / "tiny" / "00_first"
    record = json.loads((folder / "run.json").read_text("utf-8"))
    notebook = nbformat.read(folder / "00_first.ipynb", as_version=4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert (folder.parent / "report.html").exists()
    return record | {"resumed": None}, outputs


@pytest.fixture
def study(fresh):
    def make():
        place = fresh()
        (place / "notebooks").mkdir()
        cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
        cells += [new_code_cell(STEPS), new_code_cell(RECORD)]
        nbformat.write(new_notebook(cells=cells), place / "notebooks" / "00_first.ipynb")
        (place / "tiny.yaml").write_text("EPOCHS: 40\n")
        (place / "record.json").write_text(json.dumps(make_record("00_first")))
        return place

    return make


def test_batch(processes, study):
    disturb(processes, 3, study, run, ran, seed=3)


def kill_kernel(place):
    pid = place / "outputs" / "tiny" / "00_first" / "pid"
    while not pid.exists() or not pid.read_text():
        time.sleep(0.01)
    with suppress(ProcessLookupError):  # it has ended
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_batch_whose_kernel_dies(processes, study):
    disturb(processes, 2, study, run, ran, seed=4, kill=kill_kernel)


def report(place):
    build_report(place)


def reported(place):
    assert not list(place.glob("*.tmp"))
    return (place / "report.html").read_bytes()


def test_report(processes, fresh):
    def make():
        place = fresh()
        for k in range(3):
            record = make_record(f"{k:02}_x")
            add_number(record, "loss", 0.9)
            (place / f"{k:02}_x").mkdir()
            add_report(record, place / f"{k:02}_x", "a", make_report(seed=k))
            write_record(place / f"{k:02}_x", record)
        return place

    disturb(processes, 3, make, report, reported, seed=5)
