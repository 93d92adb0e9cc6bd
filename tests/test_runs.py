"""`Run` writes what was run, on what and with what result; `load_runs` reads it."""

import getpass
import json
import math
import os
import socket
import subprocess
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns

from facelab import runs
from facelab.faces import draw_pairs
from facelab.study.record import Run, load_runs, parameters
from facelab.verification import Report, verify

plt.switch_backend("agg")


@pytest.fixture
def faces(small_faces):
    named = replace(small_faces, source="synthetic faces", fingerprint="f" * 64)
    return named.with_pairs(draw_pairs(named, 10, 10, 0, "View 1 test"))


def strict_json(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def test_parameters_are_the_upper_case_literals():
    namespace = {
        "EPOCHS": 3,
        "LR": 1e-3,
        "DATA": "synthetic",
        "AUGMENT": True,
        "WEIGHTS": None,
        "SIZES": [32, 64],
        "_HIDDEN": 1,
        "Mixed": 1,
        "lower": 1,
        "MODULE": math,
        "ARRAY": np.zeros(2),
        "NESTED": [{}],
        "FLOAT32": np.float32(1),
    }
    assert list(parameters(namespace)) == ["EPOCHS", "LR", "DATA", "AUGMENT", "WEIGHTS", "SIZES"]


def test_without_out_everything_works_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run("01_test", parameters={"SEED": 0, "OUT": ""})
    run.metrics(auc=0.9)
    run.claim("it works", 1.0, holds=True)
    run.figure(plt.figure(), "loss")
    run.finish()
    assert run.path("checkpoint.pt") is None
    assert len(run.claims()) == 1
    assert list(tmp_path.iterdir()) == []


def test_run_json_says_what_was_run_on_what_with_what_result(tmp_path, faces):
    given = {"SEED": 7, "PROFILE": "smoke", "OUT": str(tmp_path), "LR": 0.1, "SIZES": [1]}
    run = Run("01_test", tmp_path, given, faces, protocol="View 1", precision="32-true")
    run.metrics(test_auc=(np.float32(0.5), 0.25, 0.75), eer=float("nan"), steps=np.int64(3))
    run.claim("half", np.float64(0.5), (0.25, math.inf), holds=np.True_, form=".1%")
    run.note("a remark")
    run.looked_at_test()
    run.finish()
    record = strict_json(tmp_path / "run.json")
    assert record["schema"] == 1
    assert record["notebook"] == "01_test"
    assert record["status"] == "done"
    assert record["profile"] == "smoke"
    assert record["seed"] == 7
    assert record["parameters"] == {"SEED": 7, "PROFILE": "smoke", "LR": 0.1, "SIZES": [1]}
    assert record["data"] == {
        "source": "synthetic faces",
        "protocol": "View 1",
        "people": 40,
        "images": 100,
        "image_size": [4, 4],
        "fingerprint": "f" * 64,
    }
    assert record["metrics"] == {
        "test_auc": 0.5,
        "test_auc_low": 0.25,
        "test_auc_high": 0.75,
        "eer": None,
        "steps": 3.0,
    }
    claim = {"sentence": "half", "value": 0.5, "low": 0.25, "high": None, "holds": True}
    assert record["claims"] == [claim | {"format": ".1%", "unit": ""}]
    assert record["notes"] == ["a remark"]
    assert record["test_looks"] == 1
    assert record["command"] == "facelab run 01_test --profile smoke"
    assert {"python", "torch", "torchvision", "facelab"} < record["versions"].keys()
    assert record["device"].keys() == {
        "processor",
        "cores",
        "threads",
        "gpu",
        "precision",
        "malloc",
    }
    assert record["started"] <= record["finished"]
    assert record["finished"].endswith("+00:00")
    assert record["seconds"] >= 0


def test_run_json_holds_the_memory_settings(tmp_path, faces, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    Run("01_test", tmp_path, {}, faces).finish()
    malloc = json.loads((tmp_path / "run.json").read_text("utf-8"))["device"]["malloc"]
    assert malloc["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert malloc["MALLOC_TRIM_THRESHOLD_"] == "7"


def test_run_json_holds_no_absolute_path_no_host_and_no_user(tmp_path, faces):
    given = {"DATA": str(tmp_path / "lfw-deepfunneled"), "OUT": str(tmp_path)}
    run = Run("01_test", tmp_path, given, faces)
    run.figure(plt.figure(), "loss")
    run.finish()
    text = (tmp_path / "run.json").read_text("utf-8")
    assert json.loads(text)["parameters"] == {"DATA": "lfw-deepfunneled"}
    assert str(tmp_path) not in text
    assert f'"{os.sep}' not in text
    assert socket.gethostname() not in text
    assert f"{os.sep}{getpass.getuser()}" not in text


def test_a_failure_while_writing_leaves_the_old_run_json_whole(tmp_path, monkeypatch):
    run = Run("01_test", tmp_path, {"SEED": 1})
    run.finish()
    before = (tmp_path / "run.json").read_bytes()
    run.note("later")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk is full")))
    with pytest.raises(OSError, match="disk is full"):
        run.finish()
    assert (tmp_path / "run.json").read_bytes() == before


def test_photos_become_a_small_jpeg(tmp_path):
    run = Run("01_test", tmp_path)
    fig, ax = plt.subplots()
    ax.imshow(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    run.figure(ax, "photos")
    run.finish()
    assert strict_json(tmp_path / "run.json")["figures"][0]["file"] == "photos.jpg"
    assert (tmp_path / "photos.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert not plt.fignum_exists(fig.number)


def test_whatever_was_drawn_becomes_a_png_that_is_the_same_every_time(tmp_path):
    run = Run("01_test", tmp_path)
    table = pd.DataFrame({"x": [0, 1], "y": [1, 2]})
    grid = sns.relplot(table, x="x", y="y")
    fig, axes = plt.subplots(1, 2)
    for name, drawn in {"a": axes, "b": axes[0], "c": fig, "d": grid}.items():
        run.figure(drawn, name, f"figure {name}")
    run.finish()
    figures = strict_json(tmp_path / "run.json")["figures"]
    assert [f["file"] for f in figures] == ["a.png", "b.png", "c.png", "d.png"]
    assert figures[3]["caption"] == "figure d"
    images = {name: (tmp_path / f"{name}.png").read_bytes() for name in "abcd"}
    assert images["a"] == images["b"] == images["c"] != images["d"]
    assert b"atplotlib" not in images["a"]
    plt.close("all")


def test_a_metric_takes_a_number_or_a_number_with_its_interval():
    run = Run("01_test")
    with pytest.raises(ValueError, match="auc: expected a number or"):
        run.metrics(auc=(0.5, 0.4))


def test_claims_are_a_table_whose_broken_claims_are_red():
    run = Run("01_test")
    run.claim(
        "Unseen people are told apart by a network that was trained",
        0.8734,
        (0.85, 0.9),
        holds=True,
        form=".1%",
    )
    run.claim("It takes less than a minute", 75.2, holds=False, form=".0f", unit=" s")
    claims = run.claims()
    assert list(claims.columns) == ["claim", "measured", "95 % interval", "holds"]
    assert claims.iloc[0].tolist()[1:] == ["87.3%", "85.0% to 90.0%", "yes"]
    assert claims.iloc[1].tolist() == ["It takes less than a minute", "75 s", "–", "no"]
    assert "told apart by a network that was trained" in repr(claims)
    html = claims._repr_html_()
    assert html.count("color: #c62828") == 1
    assert html == run.claims()._repr_html_()


def test_a_claim_with_a_format_that_does_not_fit_is_refused_at_once():
    with pytest.raises(ValueError):
        Run("01_test").claim("half", 0.5, holds=True, form=".3d")


def test_a_verification_report_is_recorded_and_counts_as_a_look_at_test_pairs(tmp_path, faces):
    rng = np.random.default_rng(0)
    dev = faces.with_pairs(replace(faces.pairs, name="View 1 dev"))
    report, on_dev = (verify(rng.normal(size=(100, 4)), part, 1.0) for part in (faces, dev))
    run = Run("01_test", tmp_path, faces=faces)
    run.verified("test", report)
    run.verified("dev", on_dev)
    run.finish()
    record = strict_json(tmp_path / "run.json")
    assert record["test_looks"] == 1
    assert record["metrics"]["test_auc"] == report.metrics()["auc"]
    assert record["metrics"]["test_threshold"] == 1.0
    low, high = report.intervals()["auc"]
    assert record["metrics"]["test_auc_low"] == low
    assert record["metrics"]["test_auc_high"] == high
    assert "dev_accuracy" in record["metrics"]
    assert [r["pairs"] for r in record["reports"]] == [report.name, "View 1 dev"]
    kept = Report.load(tmp_path / record["reports"][0]["file"])
    assert (kept.distances == report.distances).all()


def test_the_distances_of_a_training_are_kept_epoch_by_epoch(tmp_path):
    columns = {"epoch": [1, 2], "seconds": 3.0, "images": 15, "images_per_second": 5.0}
    history = pd.DataFrame(columns)
    history.attrs["settings"] = {"images": "f: 15 of 4 people", "numbers": "lr=0.1"}
    rows = [(e, "dev", 0.5 * e + i / 4, bool(i % 2)) for e in (1, 2) for i in range(3)]
    distances = pd.DataFrame(rows, columns=["epoch", "split", "distance", "same"])
    run = Run("01_test", tmp_path)
    run.trained("net", (history, distances))
    run.trained("again", (history, distances), film=False)
    run.finish()
    record = strict_json(tmp_path / "run.json")
    assert record["metrics"]["net_training_seconds"] == 6.0
    about = {"epochs": 2, "images": 30, "seconds": 6.0, "images_per_second": 5.0}
    about |= {"trained_on": "f: 15 of 4 people", "numbers": "lr=0.1"}
    assert record["trainings"][0] == {"prefix": "net", "title": "net", **about}
    assert [film["prefix"] for film in record["films"]] == ["net"]
    with np.load(tmp_path / record["films"][0]["file"]) as film:
        assert film["dev_distance"].tolist() == [[0.5, 0.75, 1.0], [1.0, 1.25, 1.5]]
        assert film["dev_same"].tolist() == [False, True, False]
        assert film["epoch"].tolist() == [1, 2]


def test_embeddings_are_kept_with_the_names_of_their_images(tmp_path, faces):
    run = Run("01_test", tmp_path)
    run.embedded("net", np.eye(len(faces), 4), faces)
    run.finish()
    kept = strict_json(tmp_path / "run.json")["embeddings"]
    assert kept == [{"file": "net_embeddings.npz", "prefix": "net", "title": "net"}]
    with np.load(tmp_path / "net_embeddings.npz") as file:
        assert file["embeddings"].tolist() == np.eye(len(faces), 4).tolist()
        assert file["image_ids"].tolist() == faces.image_ids.tolist()


def test_the_commit_is_that_of_the_checkout_and_changes_are_told(tmp_path, monkeypatch):
    def git(*arguments):
        author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(runs, "__file__", str(tmp_path / "facelab" / "runs.py"))
    git("init")
    (tmp_path / "facelab").mkdir()
    (tmp_path / "facelab" / "runs.py").write_text("")
    assert runs.commit() == {"commit": "unknown", "changed": None}
    git("add", ".")
    git("commit", "-m", "first")
    assert runs.commit() == {"commit": git("rev-parse", "HEAD"), "changed": False}
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "run.json").write_text("{}")
    assert not runs.commit()["changed"]
    (tmp_path / "facelab" / "new.py").write_text("")
    assert runs.commit()["changed"]


def test_runs_are_read_back_as_one_row_each(tmp_path):
    for seed in (1, 2):
        run = Run("01_test", tmp_path / f"run{seed}", {"SEED": seed})
        run.metrics(test_auc=seed / 10)
        run.finish()
    table = load_runs(tmp_path)
    assert table["parameters.SEED"].tolist() == [1, 2]
    assert table["metrics.test_auc"].tolist() == [0.1, 0.2]
    assert table["status"].tolist() == ["done", "done"]
