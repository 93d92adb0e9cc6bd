"""A method of one's own among the recorded ones: same budget, same pairs, a run of its own."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import facelab as fl
from facelab.files import alone_in
from facelab.study.commands import main
from facelab.study.own_method import CHAPTER, SHOWN, as_text, compare_method
from facelab.verification import Report

COMMITTED = Path(__file__).parents[1] / "outputs" / "lfw-cpu"
BUDGET = {
    "DATA": "faces",
    "IMAGE_SIZE": 16,
    "CROP": 32,
    "DEV_PEOPLE": 0.3,
    "NETWORK": "siamese_cnn",
}
BUDGET |= {"EMBEDDING_SIZE": 8, "BATCH_SIZE": 16, "IMAGES_PER_PERSON": 2}
BUDGET |= {"COMPARE_EPOCHS": 2, "N_SEEDS": 2, "LEARNING_RATE": 0.001, "SEED": 0, "PROFILE": "tiny"}
MINE = """
from pytorch_metric_learning import losses
from torch import nn

METHOD = "CosFace, mine"
settings = {"loss_lr": 0.01, "augment": None}


def objective(people):
    return losses.CosFaceLoss(len(people.names), 6)


def network(image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 6))
"""
PLAIN = "from pytorch_metric_learning import losses\ndef objective(people):\n"
PLAIN += "    return losses.TripletMarginLoss(0.2)"


@pytest.fixture(scope="module")
def recorded(write_copy, tmp_path_factory):
    """Chapter 03 as run on forty people, with raw pixels and something worse for its methods."""
    folder = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_copy("faces")
        run_chapter()
    return folder


@pytest.fixture
def study(recorded, tmp_path, monkeypatch):
    """A copy of it, of the test's own."""
    shutil.copytree(recorded, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    load()  # into the cache, so that no bar is drawn
    return Path("outputs/tiny")


def load():
    return fl.load_lfw("faces", image_size=16, crop=32, progress=False)


def run_chapter():
    run = fl.Run(CHAPTER, BUDGET | {"OUT": f"outputs/tiny/{CHAPTER}"})
    faces = load()
    split = fl.view1(faces, dev_people=0.3, seed=0)
    run.uses(faces, split.name)
    for seed in (0, 1):
        run.verify("pixels", seed, fl.raw_pixels, split.dev, split.test)
        run.verify(
            "dark", seed, lambda part: 1.0 + fl.raw_pixels(part) % 0.1, split.dev, split.test
        )
    run.finish()


def test_the_table_of_a_comparison_fits_a_terminal_and_says_what_is_missing():
    one = dict.fromkeys(SHOWN, np.nan) | {"label": "03 · a", "outside data": "none", "auc": 0.9}
    gain = {"gain": -0.02, "gain_low": -0.031, "gain_high": 0.0, "p_holm": 0.04}
    two = one | gain | {"label": "own · b", "auc_mean": 0.91, "auc_error": 0.004}
    _, first, second = as_text(pd.DataFrame([one, two])).splitlines()
    assert first.split() == ["03", "·", "a", "none", "0.900", "–", "–", "–"]
    assert second.endswith("0.900 0.910 ± 0.004 -0.020 (-0.031 to +0.000)    0.040")


def test_a_method_is_trained_at_the_recorded_budget_and_placed_among_the_recorded(study):
    Path("my_own.py").write_text(MINE)
    result = CliRunner().invoke(main, ["compare", "my_own.py", str(study)])
    assert result.exit_code == 0, result.output
    record = json.loads((study / "my_own" / "run.json").read_text())
    assert record["command"] == "facelab compare my_own.py outputs/tiny"
    assert record["status"] == "done" and record["notes"] == []
    assert [training["seed"] for training in record["trainings"]] == [0, 1]
    for training in record["trainings"]:
        assert (training["epochs"], training["batch_size"]) == (2, 16)
        assert (training["lr"], training["loss_lr"], training["augment"]) == (0.001, 0.01, None)
        assert training["weights"] == 6 * (3 * 16 * 16 + 1)
    assert (study / "my_own" / "my_own.py").read_text() == MINE
    assert not list(study.rglob("*.pt"))

    rows = fl.load_results(study).set_index("method")
    assert set(rows.index) == {"pixels", "dark", "CosFace, mine"}
    lines = [line for line in result.output.splitlines() if " · " in line]
    assert len(lines) == 3
    (mine,) = [line for line in lines if "my_own · CosFace, mine" in line]
    assert f" {rows.auc['CosFace, mine']:.3f} " in mine and "–" in mine
    (pixels,) = [line for line in lines if "03 · pixels" in line]
    gain = fl.compare(rows.report["pixels"], rows.report["CosFace, mine"]).estimate("auc")
    assert f" {gain.value:+.3f} " in pixels
    assert max(map(len, lines)) <= 100
    assert "Precision" not in result.output  # which PyTorch Lightning tells for each training
    (claim,) = record["claims"]
    best = rows.loc[["pixels", "dark"], "dev_auc"].idxmax()
    assert claim["sentence"] == f"CosFace, mine beats {best} on strangers (AUC)"
    assert claim["value"] == pytest.approx(rows.auc_mean["CosFace, mine"] - rows.auc_mean[best])


def test_by_default_the_network_the_sampler_and_the_settings_are_the_chapters(study):
    Path("triplets.py").write_text(PLAIN)
    table, run = compare_method("triplets.py", study)
    assert {"triplets · triplets", "03 · pixels"} < set(table["label"])
    training = run.entries["trainings"][0]
    model = fl.siamese_cnn(8, 16)
    assert training["weights"] == sum(p.numel() for p in model.parameters())
    assert training["sampler"] == {"name": "people_by_images", "images_per_person": 2}
    committed = json.loads((COMMITTED / CHAPTER / "run.json").read_text())
    ranked = [one for one in committed["trainings"] if one["method"] == "triplet + semi-hard"]
    for setting in ("augment", "optimizer", "scheduler", "weight_decay", "loss_lr"):
        assert training[setting] == ranked[0][setting], setting
    assert training["sampler"]["name"] == ranked[0]["sampler"]["name"]
    run.out.joinpath("triplets_0.pt.part").touch()
    again, _ = compare_method("triplets.py", study)  # replaces its own run
    assert len(again) == len(table)
    assert not list(study.rglob("*.pt*"))


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("a.py", "x = 1", "expected objective in a.py a Callable, got 'NoneType'"),
        (
            "a.py",
            f"{PLAIN}\nsettings = {{'epochs': 9}}",
            "a.py: expected settings of .* epochs",
        ),
        ("a.py", "def objective(:", r"objective\(people\) in a.py, got SyntaxError: .* line 1\)"),
        ("a.py", "1 / 0", r"objective\(people\) in a.py, got ZeroDivisionError: division by zero"),
        ("a.py", "raise SystemExit(3)", r"objective\(people\) in a.py, got SystemExit: 3"),
        ("a.py", f"{PLAIN}\nsettings = 5", "expected settings in a.py a dict, got 'int'"),
        ("a.py", f"{PLAIN}\nMETHOD = 5", "expected METHOD in a.py a str, got 'int'"),
        ("a.py", f"{PLAIN}\nnetwork = 5", "expected network in a.py a Callable, got 'int'"),
        (f"{CHAPTER}.py", PLAIN, "expected a name that no other run in .* has, got 03_mining"),
    ],
)
def test_what_cannot_be_compared_is_named_before_anything_is_trained(study, name, text, complaint):
    Path(name).write_text(text)
    before = sorted(study.rglob("*"))
    with pytest.raises(ValueError, match=complaint):
        compare_method(name, study)
    assert sorted(study.rglob("*")) == before
    with pytest.raises(ValueError, match="03_mining_comparison/run.json: expected a record"):
        compare_method(name, "elsewhere")
    record = json.loads((study / CHAPTER / "run.json").read_text())
    del record["parameters"]["CROP"]
    (study / CHAPTER / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="expected a finished run .* done, without CROP"):
        compare_method(name, study)


def test_the_recorded_file_is_the_one_that_ran_and_can_be_run_where_it_lies(study):
    edit = "    from pathlib import Path\n    Path('mine.py').write_text('later')\n"
    text = PLAIN.replace("    return", f"{edit}    return")
    Path("mine.py").write_text(text)
    compare_method("mine.py", study)
    kept = study / "mine" / "mine.py"
    assert kept.read_text() == text != Path("mine.py").read_text()
    compare_method(kept, study)
    assert kept.read_text() == text


def other_copy(report):
    return replace(report, source="another copy")


def other_pairs(report):
    return replace(report, left=report.right, right=report.left)


@pytest.mark.parametrize(("change", "where"), [(other_copy, CHAPTER), (other_pairs, "09_more")])
def test_a_method_is_placed_beside_its_own_pairs_however_many_others_there_are(
    study, change, where
):
    if where != CHAPTER:
        shutil.copytree(study / CHAPTER, study / where)
        record = json.loads((study / where / "run.json").read_text())
        more = [one | {"file": f"more_{one['file']}"} for one in record["reports"]]
        record["notebook"], record["reports"] = where, record["reports"] + more
        (study / where / "run.json").write_text(json.dumps(record))
        for one in more:
            report = Report.load(study / CHAPTER / one["file"].removeprefix("more_"))
            moved = replace(report, distances=report.distances / 2)
            change(moved).save(study / where / one["file"])
    for file in (study / where).glob("*_view-1-test.npz"):
        if not file.name.startswith("more_"):
            change(Report.load(file)).save(file)
    Path("mine.py").write_text(PLAIN)
    table, _ = compare_method("mine.py", study)
    assert set(table["label"]) == {"mine · mine", "03 · pixels", "03 · dark"}
    assert table.set_index("label")["gain"].isna().to_dict() == {
        "mine · mine": True,
        "03 · pixels": False,
        "03 · dark": False,
    }


def test_what_fails_in_training_is_one_line_and_a_second_writer_is_refused(study):
    Path("bad.py").write_text("def objective(people):\n    return people.nothing")
    result = CliRunner().invoke(main, ["compare", "bad.py", str(study)])
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert "expected a method that trains in bad.py, got AttributeError" in result.stderr
    Path("bad.py").write_text("def objective(people):\n    raise SystemExit")  # says nothing
    result = CliRunner().invoke(main, ["compare", "bad.py", str(study)])
    assert result.exit_code == 2 and "trains in bad.py, got SystemExit" in result.stderr
    with alone_in(study), pytest.raises(ValueError, match="expected a folder of its own"):
        compare_method("bad.py", study)
