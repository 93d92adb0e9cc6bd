"""`Run` writes what was done, on what and with what result, as rows."""

import getpass
import json
import math
import os
import socket
import subprocess
from dataclasses import replace
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch
from pytorch_metric_learning import losses, miners
from records import make_report
from scipy import stats

import facelab as fl
from facelab.faces import draw_pairs
from facelab.study import provenance
from facelab.study.provenance import parameters
from facelab.study.reading import read_record
from facelab.study.record import Run
from facelab.study.rows import Rows
from facelab.study.writing import claim_row, without_places

plt.switch_backend("agg")


@pytest.fixture
def faces(small_faces):
    packed = np.random.default_rng(0).integers(0, 256, small_faces.packed.shape, np.uint8)
    about = {"source": "drawn", "synthetic": True, "fingerprint": "f" * 64, "crop": 9}
    named = replace(small_faces, packed=packed, **about)
    return named.with_pairs(draw_pairs(named, 10, 10, 0, "View 1 test", "test"))


def strict_json(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)


def finished(run):
    run.finish()
    return strict_json(run.path("run.json"))


def make_run(folder="", faces=None, **parameters):
    run = Run("01_test", {"OUT": str(folder), **parameters})
    if faces is not None:
        run.uses(faces)
    return run


def tiny_network():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 4))


def random_embeddings(part, seed=0):
    return np.random.default_rng(seed).normal(size=(len(part), 4))


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


def test_without_out_everything_works_and_nothing_is_written(tmp_path, monkeypatch, faces):
    monkeypatch.chdir(tmp_path)
    run = make_run(SEED=0)
    run.uses(faces, "View 1")
    run.verify("pixels", 0, fl.raw_pixels, faces.select(faces.names[:9]), on_others(faces))
    run.result("auc", 0.9)
    run.claim("it works", 1.0, holds=True)
    run.figure(plt.figure(), "loss", "a loss")
    run.finish()
    assert run.checkpoint("pixels", 0) is None
    assert len(run.claims()) == 1
    assert list(tmp_path.iterdir()) == []


def on_others(faces):
    """The last people, with pairs; nobody of them is among the first nine."""
    others = faces.select(faces.names[9:])
    return others.with_pairs(draw_pairs(others, 10, 10, 0, "View 1 test", "test"))


def test_run_json_says_what_was_run_on_what_with_what_result(tmp_path, faces):
    run = make_run(tmp_path, SEED=7, PROFILE="smoke", LR=0.1, SIZES=[1])
    run.uses(faces, "View 1")
    run.result("auc", fl.Estimate(np.float32(0.5), 0.25, 0.75), method="m", seed=1, split="s")
    run.result("eer", float("nan"))
    run.result("steps", np.int64(3))
    run.claim("half", fl.Estimate(np.float64(0.5), 0.25, math.inf), holds=np.True_, form=".1%")
    run.note("a remark")
    run.looked_at_test()
    record = finished(run)
    assert record["schema"] == 2
    assert record["notebook"] == "01_test"
    assert record["status"] == "done"
    assert record["profile"] == "smoke"
    assert record["seed"] == 7
    assert record["parameters"] == {"SEED": 7, "PROFILE": "smoke", "LR": 0.1, "SIZES": [1]}
    assert record["data"] == {
        "root": "",
        "source": "drawn",
        "synthetic": True,
        "protocol": "View 1",
        "people": 40,
        "images": 100,
        "image_size": [4, 4],
        "crop": 9,
        "fingerprint": "f" * 64,
    }
    rows = {row["metric"]: row for row in record["results"]}
    auc = {"method": "m", "seed": 1, "split": "s", "role": "", "metric": "auc"}
    numbers = {"value": 0.5, "low": 0.25, "high": 0.75, "error": None, "n": 1}
    assert rows["auc"] == auc | numbers
    assert (rows["eer"]["value"], rows["steps"]["value"]) == (None, 3.0)
    claim = {"sentence": "half", "value": 0.5, "low": 0.25, "high": None, "holds": True}
    assert record["claims"] == [claim | {"n": 1, "format": ".1%"}]
    assert record["notes"] == ["a remark"]
    assert record["test_looks"] == 1
    assert record["command"] == "facelab run 01_test --profile smoke"
    assert {"python", "torch", "torchvision", "facelab"} < record["versions"].keys()
    device = {"processor", "cores", "threads", "gpu", "precision", "malloc"}
    assert record["device"].keys() == device
    assert record["started"] <= record["finished"]
    assert record["finished"].endswith("+00:00")
    assert record["seconds"] >= 0


def test_run_json_holds_the_memory_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "7")
    malloc = finished(make_run(tmp_path))["device"]["malloc"]
    assert malloc["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    assert malloc["MALLOC_TRIM_THRESHOLD_"] == "7"


def test_run_json_holds_no_absolute_path_no_host_and_no_user(tmp_path, faces):
    run = make_run(tmp_path, DATA=str(tmp_path / "lfw-deepfunneled"))
    run.uses(faces)
    run.figure(plt.figure(), "loss", "a loss")
    run.finish()
    text = (tmp_path / "run.json").read_text("utf-8")
    assert json.loads(text)["parameters"] == {"DATA": "lfw-deepfunneled"}
    assert str(tmp_path) not in text
    assert f'"{os.sep}' not in text
    assert socket.gethostname() not in text
    assert f"{os.sep}{getpass.getuser()}" not in text


def test_a_failure_while_writing_leaves_the_old_run_json_whole(tmp_path, monkeypatch):
    run = make_run(tmp_path, SEED=1)
    run.finish()
    before = (tmp_path / "run.json").read_bytes()
    run.note("later")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk is full")))
    with pytest.raises(OSError, match="disk is full"):
        run.finish()
    assert (tmp_path / "run.json").read_bytes() == before


def test_a_figure_is_shown_and_saved_as_the_same_picture(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    run = make_run(tmp_path)
    grid = sns.relplot(pd.DataFrame({"x": [0, 1], "y": [1, 2]}), x="x", y="y")
    fig, axes = plt.subplots(1, 2)
    photo = plt.subplots()[1]
    photo.imshow(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for name, drawn in {"a": axes, "b": grid, "c": photo}.items():
        run.figure(drawn, name, f"figure {name}")
    figures = finished(run)["figures"]
    assert [figure["file"] for figure in figures] == ["a.png", "b.png", "c.jpg"]
    assert figures[1]["caption"] == "figure b"
    for figure, picture in zip(figures, shown, strict=True):
        assert (tmp_path / figure["file"]).read_bytes() == picture.data
    assert not plt.fignum_exists(fig.number)


def test_a_number_is_recorded_once():
    run = make_run()
    run.result("auc", 0.5, method="a", seed=0)
    run.result("auc", 0.5, method="a", seed=1)
    with pytest.raises(ValueError, match="expected one number for each key, got another for"):
        run.result("auc", 0.6, method="a", seed=1)


def test_cells_that_are_run_twice_leave_one_record(tmp_path, faces):
    run = make_run(tmp_path, faces)
    dev = faces.with_pairs(replace(faces.pairs, name="dev", role="dev"))
    objective = partial(losses.TripletMarginLoss, 0.2)
    settings = {"epochs": 1, "batch_size": 8, "watch": {"dev": dev}}

    def all_cells():
        run.train("net", 0, tiny_network, faces, objective, **settings)
        run.verify("pixels", 0, fl.raw_pixels, faces.select(faces.names[:9]), on_others(faces))
        run.result("auc", math.nan, method="b")
        run.figure(plt.subplots()[1], "a", "a figure")
        run.claim("it works", 0.5, holds=True)
        run.note("a remark")
        return finished(run)

    once, twice = all_cells(), all_cells()
    looks = once.pop("test_looks"), twice.pop("test_looks")
    assert looks == (1, 2)
    for part in ("results", "trainings", "reports", "figures", "claims", "notes"):
        assert once[part] == twice[part] and once[part]
    assert (tmp_path / once["trainings"][0]["film"]).exists()
    again = partial(run.train, "net", 0, tiny_network, faces, objective, **settings)
    with pytest.raises(ValueError, match="expected one training for each method and seed, got"):
        again(epochs=2)


def test_claims_are_a_table_whose_broken_claims_are_red():
    run = make_run()
    sentence = "Unseen people are told apart by a network that was trained"
    run.claim(sentence, fl.Estimate(0.8734, 0.85, 0.9), holds=True, form=".1%")
    run.claim("It takes less than a minute", 75.2, holds=False, form=".0f")
    claims = run.claims()
    assert list(claims.columns) == ["claim", "measured", "95 % interval", "holds"]
    assert claims.iloc[0].tolist()[1:] == ["87.3%", "85.0% to 90.0%", "yes"]
    assert claims.iloc[1].tolist() == ["It takes less than a minute", "75", "–", "no"]
    assert sentence in repr(claims)
    html = claims._repr_html_()
    assert html.count("color: #c62828") == 1
    assert html == run.claims()._repr_html_()


@pytest.mark.parametrize(
    ("measured", "holds", "told"),
    [
        (fl.mean_of([0.2]), False, "cannot tell: one seed has no interval"),
        (fl.mean_of([0.2]), True, "yes"),
        (fl.Estimate(0.2, n=0), False, "cannot tell: it has no interval"),  # of too few people
        (fl.mean_of([0.2, 0.3]), False, "no"),
        (fl.Estimate(0.2, 0.1, math.inf), False, "no"),
        (0.2, False, "no"),  # a number that needs no interval
    ],
)
def test_a_claim_of_one_seed_cannot_be_told(tmp_path, measured, holds, told):
    run = make_run(tmp_path)
    run.claim("half", measured, holds=holds)
    assert run.claims()["holds"].item() == told
    assert ("color: #c62828" in run.claims()._repr_html_()) is (told == "no")
    (claim,) = finished(run)["claims"]  # as the report reads it
    assert claim_row(claim)[-1] == told


@pytest.mark.parametrize("holds", [math.nan, np.nan, None, 1, "no"])
def test_a_claim_that_neither_holds_nor_does_not_is_refused(holds):
    with pytest.raises(ValueError, match="expected holds of 'half' a bool, got"):
        make_run().claim("half", 0.5, holds=holds)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (lambda run: run.note(5), "note must be string"),
        (lambda run: run.note("\ud800"), "surrogates not allowed"),
        (lambda run: run.claim(5, 0.3, holds=True), "claim.sentence must be string"),
        (lambda run: run.claim("s", 0.3, holds=True, form="9.3f"), "claim.format must match"),
        (lambda run: run.result("auc", 0.3, method="m", seed="0"), "result.seed must be integer"),
        (lambda run: run.result("auc", 1e308), "result.value must be smaller"),
        (lambda run: run.figure(plt.subplots()[1], "a", None), "figure.caption must be string"),
        (lambda run: run.looked_at_test(-1), "expected times a whole number of 0 or more"),
    ],
)
def test_what_no_reader_of_a_record_would_take_is_refused_at_once(record, told):
    run = make_run()
    with pytest.raises(ValueError, match=told) as error:
        record(run)
    assert "\n" not in str(error.value)
    assert not run.entries["notes"] and not run.entries["claims"] and not run.rows


def test_two_figures_never_share_a_file(tmp_path):
    run = make_run(tmp_path)
    run.figure(plt.subplots()[1], "a", "first")
    first = (tmp_path / "a.png").read_bytes()
    with pytest.raises(ValueError, match="expected figures of names of their own, got another a"):
        run.figure(plt.subplots(1, 2)[1], "a", "second")
    assert (tmp_path / "a.png").read_bytes() == first


@pytest.mark.parametrize("name", ["../other", "a/b", "/etc/x", "..", ""])
def test_no_file_of_a_run_gets_out_of_its_folder(tmp_path, name):
    run = make_run(tmp_path / "run")
    if name != "..":
        with pytest.raises(ValueError, match="expected a notebook's name, without its folder"):
            Run(name, {})
    for file in (f"../{name}", "/etc/x.png", "..", ""):
        with pytest.raises(ValueError, match="expected a file inside"):
            run.path(file)


def test_two_methods_never_share_a_file(tmp_path, faces):
    run = make_run(tmp_path, faces)
    run.checkpoint("ArcFace, longer", 0)
    assert run.checkpoint("ArcFace, longer", 1) == tmp_path / "arcface-longer_1.pt"
    told = "got 'ArcFace, longer' and 'ArcFace + longer', both arcface-longer"
    with pytest.raises(ValueError, match=told.replace("+", r"\+")):
        run.checkpoint("ArcFace + longer", 0)
    run.report("LBP", 0, make_report())
    with pytest.raises(ValueError, match="got 'LBP' and 'lbp', both lbp"):
        run.report("lbp", 0, make_report())


def test_a_run_in_a_batch_leaves_it_to_the_batch_to_say_that_it_is_done(tmp_path, monkeypatch):
    assert finished(make_run(tmp_path))["status"] == "done"
    monkeypatch.setenv("FACELAB_BATCH", "1")
    assert finished(make_run(tmp_path))["status"] == "started"


def test_the_file_of_a_report_says_whom_each_pair_shows(tmp_path, faces):
    run = make_run(tmp_path, faces)
    run.report("a", 0, fl.verify(random_embeddings(faces), faces, 1.0))
    (entry,) = finished(run)["reports"]
    with np.load(tmp_path / entry["file"]) as file:
        people = file["people"]
        left, right, same = (file[name] for name in ("left", "right", "same"))
    assert set(people) <= set(faces.names)
    assert ((people[left] == people[right]) == same).all()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("file:///home/me/x and file://host/home/me/x", "x and x"),
        ("DATA:/home/me/x, DATA:C:\\Users\\me\\x", "DATA:x, DATA:x"),
        ("-I/home/me/x -I../../me/x --out=/home/me/x", "-Ix -Ix --out=x"),
        ("PATH=/home/me/a:/home/you/b", "PATH=a:b"),
        (r"'\\server\share\me' '\\\\server\\share\\me' //server/share/me", "'me' 'me' me"),
        ("https://a.b:80/c/d s3://a/b 3/4 and/or", "https://a.b:80/c/d s3://a/b 3/4 and/or"),
    ],
)
def test_of_places_on_this_machine_the_last_name_is_kept(text, kept):
    assert without_places(text) == kept


def test_what_a_run_writes_has_the_form_of_records(tmp_path, faces):
    run = make_run(tmp_path / "01_test", SEED=7, DATA="../../home/me/lfw", PLACES=["/a/b"])
    run.uses(replace(faces, root="../../home/me/lfw"), "View 1")
    run.verify("pixels", 0, fl.raw_pixels, faces.select(faces.names[:9]), on_others(faces))
    run.result("nothing", math.nan)
    run.claim("half", 0.5, holds=True)
    run.figure(plt.figure(), "loss", "a loss")
    run.finish()
    record = read_record(tmp_path / "01_test" / "run.json")
    assert record["parameters"] == {"SEED": 7, "DATA": "lfw", "PLACES": ["b"]}
    assert record["data"]["root"] == "lfw"


@pytest.mark.parametrize(("value", "form"), [(0.5, ".3d"), (math.nan, ".3f"), (math.inf, ".3f")])
def test_a_claim_without_a_number_or_with_a_bad_format_is_refused_at_once(value, form):
    with pytest.raises(ValueError):
        make_run().claim("half", value, holds=True, form=form)


def test_a_training_is_recorded_with_its_settings_budget_and_film(tmp_path, faces):
    run = make_run(tmp_path, faces)
    dev = faces.with_pairs(replace(faces.pairs, name="dev", role="dev"))

    def objective():
        return losses.TripletMarginLoss(0.2), miners.TripletMarginMiner(0.2, "semihard")

    trained = run.train(
        "triplet", 3, tiny_network, faces, objective, epochs=2, batch_size=8, watch={"dev": dev}
    )
    run.train("triplet", 4, tiny_network, faces, objective, epochs=1, batch_size=8)
    run.train("margin 1", 3, tiny_network, faces, objective, epochs=1, batch_size=8, trial=True)
    record = finished(run)
    first, second, trial = record["trainings"]
    assert (first["method"], first["seed"], first["epochs"]) == ("triplet", 3, 2)
    assert (first["people"], first["people_images"], first["images"]) == (40, 100, 2 * 96)
    assert (first["batch_size"], first["lr"], first["weight_decay"]) == (8, 0.001, 0.0)
    assert (first["loss"]["name"], first["loss"]["margin"]) == ("TripletMarginLoss", 0.2)
    assert (first["miner"]["name"], first["sampler"]["name"]) == ("TripletMarginMiner", "shuffled")
    assert first["weights"] == 48 * 4 + 4
    assert (second["film"], trial["film"], trial["trial"]) == (None, None, True)
    with np.load(tmp_path / first["film"]) as film:
        kept = trained.distances["distance"].to_numpy().reshape(2, -1)
        np.testing.assert_allclose(film["dev_distance"], kept, rtol=1e-3)
        assert film["dev_same"].tolist() == faces.pairs.same.tolist()
        assert film["epoch"].tolist() == [1, 2]
    watched = [row for row in record["results"] if row["metric"] == "watched_auc"]
    assert [(row["seed"], row["split"], row["role"]) for row in watched] == [(3, "dev", "dev")]
    assert watched[0]["value"] == trained.history["dev_auc"].iloc[-1]
    assert run.checkpoint("triplet", 3).exists()


def test_a_training_starts_from_the_seed_and_goes_on_from_its_checkpoint(tmp_path, faces):
    def weights(folder, seed, epochs):
        run = make_run(folder)
        objective = partial(losses.TripletMarginLoss, 0.2)
        settings = {"epochs": epochs, "batch_size": 8}
        return run.train("net", seed, tiny_network, faces, objective, **settings).model[1].weight

    torch.manual_seed(99)
    once = weights(tmp_path / "a", 0, 2)
    weights(tmp_path / "b", 0, 1)
    resumed = weights(tmp_path / "b", 0, 2)
    assert torch.equal(once, resumed)
    assert not torch.equal(once, weights(tmp_path / "c", 1, 2))


def test_the_best_epoch_can_be_kept_beside_the_last(faces):
    objective = partial(losses.TripletMarginLoss, 0.2)
    dev = faces.with_pairs(replace(faces.pairs, name="dev", role="dev"))
    settings = {"epochs": 4, "batch_size": 8, "lr": 0.1, "watch": {"dev": dev}}
    trained = make_run("", faces).train(
        "net", 0, tiny_network, faces, objective, keep_best="dev", **settings
    )
    best = trained.history["dev_auc"].max()
    apart = fl.distances(fl.embed(trained.best, dev), dev.pairs)
    assert fl.auc(apart, dev.pairs.same) == pytest.approx(best, abs=0.02)
    best_is_last = trained.history["dev_auc"].argmax() == 3
    assert torch.equal(trained.best[1].weight, trained.model[1].weight) == best_is_last


def test_a_verified_method_is_rows_a_look_at_test_pairs_and_a_file(tmp_path, faces):
    run = make_run(tmp_path, faces)
    dev = faces.select(faces.names[:9])
    test = on_others(faces)
    report = run.verify("my method", 0, random_embeddings, dev, test, outside_data="ImageNet",
                        category="labelled outside data")  # fmt: skip
    run.verify("my method", 1, partial(random_embeddings, seed=1), dev, test)
    record = finished(run)
    assert record["test_looks"] == 2
    rows = {row["metric"]: row for row in record["results"] if row["seed"] == 0}
    assert rows["auc"]["value"] == report.metrics()["auc"]
    assert (rows["auc"]["low"], rows["auc"]["high"]) == report.intervals()["auc"]
    assert (rows["auc"]["split"], rows["auc"]["role"]) == ("View 1 test", "test")
    assert rows["threshold"]["value"] == report.threshold
    assert rows["f1_threshold"]["value"] == report.f1_threshold
    (entry,) = record["reports"]
    assert (entry["method"], entry["seed"], entry["rule"]) == ("my method", 0, "accuracy and f1")
    outside = (entry["category"], entry["outside_data"])
    assert outside == ("labelled outside data", "ImageNet")
    kept = fl.Report.load(tmp_path / entry["file"])
    assert (kept.distances == report.distances).all()
    assert run.reports["my method", "View 1 test"] is report


def test_what_is_measured_before_its_data_are_recorded_is_refused(faces):
    run, dev = make_run(), faces.select(faces.names[:9])
    settings = {"epochs": 1, "watch": {"dev": faces}}
    for measure in (
        lambda: run.report("a", 0, make_report()),
        lambda: run.verify("a", 0, None, dev, on_others(faces)),
        lambda: run.train("a", 0, None, faces, None, **settings),
    ):
        with pytest.raises(ValueError, match=r"expected run.uses\(faces\) before anything is me"):
            measure()
    assert fl.results_of(run).empty


def test_pairs_of_other_people_are_no_look_at_test_pairs(faces):
    run = make_run("", faces)
    pairs = replace(faces.pairs, name="dev", role="dev")
    run.report("a", 0, fl.verify(random_embeddings(faces), faces.with_pairs(pairs), 1.0))
    assert run.record()["test_looks"] == 0


def test_a_category_that_lfw_does_not_have_is_refused(faces):
    report = fl.verify(random_embeddings(faces), faces, 1.0)
    with pytest.raises(ValueError, match="expected a category of no outside data, label-free"):
        make_run().report("a", 0, report, category="some")


def test_a_kept_network_is_tied_to_its_report_by_file_and_sha256(tmp_path, faces):
    import hashlib

    run = make_run(tmp_path, faces)
    model = fl.siamese_cnn(4, 4, channels=(2, 2))
    about = {"name": "siamese_cnn", "embedding_size": 4, "image_size": 4, "channels": [2, 2]}
    run.report("net", 0, fl.verify(fl.embed(model, faces), faces, 1.0))
    with pytest.raises(ValueError, match="expected a recorded report of other on View 1 test"):
        run.keep_network("other", "View 1 test", model, about, threshold=1.0)
    run.keep_network("net", "View 1 test", model, about, image_size=4, crop=None, threshold=1.0)
    (entry,) = finished(run)["reports"]
    file = tmp_path / entry["network"]["file"]
    assert entry["network"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    kept, settings = fl.load_network(file)
    assert settings["threshold"] == 1.0
    np.testing.assert_allclose(fl.embed(kept, faces), fl.embed(model, faces), atol=0.01)


VALUES = {"a": [0.90, 0.92, 0.97], "b": [0.85, 0.86, 0.84], "once": [0.5]}


@pytest.fixture
def run_of_seeds(tmp_path):
    run = make_run(tmp_path)
    for method, values in VALUES.items():
        for seed, value in enumerate(values):
            run.result("auc", value, method=method, seed=seed, split="View 1 test", role="test")
    return run


def test_means_over_seeds_have_students_interval(run_of_seeds):
    table = run_of_seeds.over_seeds("auc")
    assert table.index.tolist() == ["a", "b", "once"]
    for method in ("a", "b"):
        values = VALUES[method]
        low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
        assert table.loc[method, ["low", "high"]].tolist() == pytest.approx([low, high])
        assert table.loc[method, "error"] == pytest.approx(stats.sem(values))
        assert table.loc[method, "n"] == 3
    assert table.loc["once"].isna().tolist() == [False, True, True, True, False]
    run_of_seeds.result("auc", math.nan, method="once", seed=1, split="View 1 test")
    assert run_of_seeds.over_seeds("auc").loc["once"].isna().tolist() == [True] * 4 + [False]


def test_a_difference_is_paired_by_seed(run_of_seeds):
    difference = run_of_seeds.difference("a", "b")
    t = stats.ttest_rel(VALUES["a"], VALUES["b"])
    low, high = t.confidence_interval()
    assert difference.value == pytest.approx(np.mean(VALUES["a"]) - np.mean(VALUES["b"]))
    assert (difference.low, difference.high) == pytest.approx((low, high))
    assert run_of_seeds.difference("a", "once").n == 1
    run_of_seeds.claim("a beats b", difference, holds=difference.low > 0)
    with pytest.raises(ValueError, match="expected auc on View 1 test of 'c', got .'a', 'b', 'on"):
        run_of_seeds.difference("a", "c")
    run_of_seeds.result("auc", 0.5, method="later", seed=7, split="View 1 test")
    with pytest.raises(ValueError, match="expected common seeds"):
        run_of_seeds.difference("a", "later")


def test_the_record_holds_no_mean_of_those_seeds_alone_for_which_a_rate_is_defined(run_of_seeds):
    run_of_seeds.result("auc", math.nan, method="b", seed=3, split="View 1 test", role="test")
    rows = [row for row in run_of_seeds.recorded() if row["seed"] is None]
    assert [row["method"] for row in rows] == ["a"]


def test_the_record_holds_the_means_over_seeds_as_rows_without_a_seed(run_of_seeds):
    rows = [row for row in finished(run_of_seeds)["results"] if row["seed"] is None]
    assert [(row["method"], row["n"]) for row in rows] == [("a", 3), ("b", 3)]
    low, high = stats.t.interval(0.95, 2, np.mean(VALUES["a"]), stats.sem(VALUES["a"]))
    assert (rows[0]["low"], rows[0]["high"]) == pytest.approx((low, high))


def test_a_mean_that_the_chapter_recorded_itself_is_not_recorded_twice():
    rows = Rows()
    for seed in (0, 1):
        rows.result("auc", 0.5 + seed, method="a", seed=seed, split="s")
    rows.result("auc", 7.0, method="a", split="s")
    recorded = [row["value"] for row in rows.recorded() if row["seed"] is None]
    assert recorded == [7.0]


def test_the_commit_is_that_of_the_checkout_and_changes_are_told(tmp_path, monkeypatch):
    def git(*arguments):
        author = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(tmp_path), *author, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path / "facelab" / "study" / "provenance.py"
    monkeypatch.setattr(provenance, "__file__", str(file))
    git("init")
    file.parent.mkdir(parents=True)
    file.write_text("")
    assert provenance.commit() == {"commit": "unknown", "changed": None}
    git("add", ".")
    git("commit", "-m", "first")
    assert provenance.commit() == {"commit": git("rev-parse", "HEAD"), "changed": False}
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "run.json").write_text("{}")
    assert not provenance.commit()["changed"]
    (tmp_path / "facelab" / "new.py").write_text("")
    assert provenance.commit()["changed"]
