"""Results, trainings and what to explore, read back from records that `Run` wrote."""

import json
import math
import os
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from pytorch_metric_learning import losses
from records import add_report, add_training, make_record, make_report, write_record

import facelab as fl
from facelab.faces import draw_pairs
from facelab.study import results
from facelab.study.reading import read_runs
from facelab.study.record import Run


@pytest.fixture(scope="module")
def faces(small_faces):
    packed = np.random.default_rng(0).integers(0, 256, small_faces.packed.shape, np.uint8)
    about = {"source": "LFW deep-funneled", "fingerprint": "f" * 64, "root": "lfw"}
    return replace(small_faces, packed=packed, **about)


@pytest.fixture(scope="module")
def split(faces):
    """Nine dev people, and the others with test pairs."""
    others = faces.select(faces.names[9:])
    pairs = draw_pairs(others, 15, 15, 0, "View 1 test", "test")
    return faces.select(faces.names[:9]), others.with_pairs(pairs)


def noisy(part, noise, seed=0):
    """Embed a person's images near one another, the more noise the less."""
    rng = np.random.default_rng(seed)
    people = np.random.default_rng(9).normal(size=(40, 8))
    number = np.array([sum(map(ord, name)) % 40 for name in part.names])
    return people[number[part.labels]] + noise * rng.normal(size=(len(part), 8))


@pytest.fixture(scope="module")
def written(tmp_path_factory, faces, split):
    """Two finished chapters and one that failed."""
    root = tmp_path_factory.mktemp("written")
    dev, test = split
    run = Run("02_networks", {"OUT": str(root / "02_networks"), "PROFILE": "lfw-cpu"})
    run.uses(faces, "View 1")
    for seed in (0, 1):
        objective = partial(losses.TripletMarginLoss, 0.2)
        network = partial(fl.siamese_cnn, 8, 4, channels=(2, 2))
        settings = {"epochs": 2, "batch_size": 8, "watch": {"dev": dev_pairs(dev)}}
        run.train("a network", seed, network, faces, objective, **settings)
        run.verify("a network", seed, partial(noisy, noise=0.5, seed=seed), dev, test)
    run.finish()
    run = Run("03_others", {"OUT": str(root / "03_others"), "PROFILE": "lfw-cpu"})
    run.uses(faces, "View 1")
    run.verify("pixels", 0, fl.raw_pixels, dev, test)
    run.verify("another name", 0, partial(noisy, noise=0.5, seed=0), dev, test)
    run.report("on dev", 0, fl.verify(noisy(dev, 1), dev_pairs(dev), 1.0))
    seen = fl.verify(noisy(test, 0.1), test, 1.0, seen="people it was trained on")
    run.report("leaking", 0, seen)
    run.result("auc", 0.7, method="pixels", seed=0, split="dev", role="dev")
    run.finish()
    failed = json.loads((root / "03_others" / "run.json").read_text())
    (root / "04_broken").mkdir()
    text = json.dumps(failed | {"notebook": "04_broken", "status": "failed", "reports": []})
    (root / "04_broken" / "run.json").write_text(text)
    return root


@pytest.fixture
def folder(written, tmp_path):
    """Return a copy of them, of the test's own."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path


def dev_pairs(dev):
    return dev.with_pairs(draw_pairs(dev, 6, 6, 0, "dev", "dev"))


def test_every_method_on_test_pairs_of_a_finished_run_is_a_row(folder, split):
    results = fl.load_results(folder)
    assert results["method"].tolist() == ["a network", "pixels", "another name", "leaking"]
    assert results["chapter"].tolist() == ["02_networks"] + ["03_others"] * 3
    dev, test = split
    row = results.iloc[0]
    report = fl.verify(noisy(test, 0.5), test, fl.fit_threshold(noisy(dev, 0.5), dev))
    assert row["auc"] == report.metrics()["auc"]
    assert (row["auc_low"], row["auc_high"]) == report.intervals()["auc"]
    assert (row["split"], row["rule"], row["profile"]) == (
        "View 1 test",
        "accuracy and f1",
        "lfw-cpu",
    )
    assert (row["source"], row["synthetic"], row["seen"]) == ("LFW deep-funneled", False, "")
    assert (row["category"], row["outside_data"]) == ("no outside data", "")
    assert row["auc_n"] == 2
    other = fl.verify(noisy(test, 0.5, 1), test, 1.0).metrics()["auc"]
    assert row["auc_mean"] == pytest.approx((row["auc"] + other) / 2)
    assert row["weights"] == sum(p.numel() for p in fl.siamese_cnn(8, 4, 0, (2, 2)).parameters())
    assert (row["epochs"], row["images"]) == (2, 2 * 96)
    assert np.isfinite(row["dev_auc"])
    np.testing.assert_array_equal(row["report"].distances, report.distances)
    pixels = results.iloc[1]
    assert pixels[["epochs", "images", "seconds", "weights", "auc_mean"]].isna().all()
    assert pixels["dev_auc"] == 0.7
    assert results.iloc[3]["seen"] == "people it was trained on"


def test_a_result_may_name_the_training_of_another_method_or_none(tmp_path, faces, split):
    run = Run("05_more", {"OUT": str(tmp_path / "05_more"), "PROFILE": "lfw-cpu"})
    run.uses(faces, "View 1")
    network = partial(fl.siamese_cnn, 8, 4, channels=(2, 2))
    objective = partial(losses.TripletMarginLoss, 0.2)
    run.train("last", 0, network, faces, objective, epochs=2, batch_size=8)
    dev, test = dev_pairs(split[0]), split[1]
    run.verify("best", 0, partial(noisy, noise=0.3), dev, test, training="last")
    pooled = replace(fl.verify(noisy(test, 0.4), test, 1.0), name="View 2 test")
    run.report("best", 0, pooled, training="")
    run.finish()
    results = fl.load_results(tmp_path)
    assert results["split"].tolist() == ["View 1 test", "View 2 test"]
    assert results["epochs"].tolist()[0] == 2 and np.isnan(results["epochs"][1])
    assert results["dev_auc"].notna().tolist() == [True, False]


def test_results_of_a_run_that_goes_on_are_those_it_will_record(tmp_path, faces, split):
    run = Run("05_more", {"OUT": str(tmp_path / "05_more"), "PROFILE": "lfw-cpu"})
    run.uses(faces, "View 1")
    run.verify("mine", 0, partial(noisy, noise=0.3), *split)
    now = fl.results_of(run).drop(columns="report")
    run.finish()
    assert now.equals(fl.load_results(tmp_path).drop(columns="report"))


def test_a_folder_without_runs_gives_tables_without_rows(tmp_path):
    results = fl.load_results(tmp_path)
    assert results.empty
    assert fl.comparable(results).empty
    assert fl.trainings(tmp_path).empty
    assert fl.load_shown(tmp_path) == []


def test_only_strangers_on_the_same_pairs_are_compared_each_network_once(folder, tmp_path, faces):
    few = faces.select(faces.names[9:30])
    run = Run("06_fewer", {"OUT": str(tmp_path / "06_fewer"), "PROFILE": "lfw-cpu"})
    run.uses(faces, "View 1")
    pairs = draw_pairs(few, 8, 8, 1, "View 1 test", "test")
    run.report("other pairs", 0, fl.verify(noisy(few, 1), few.with_pairs(pairs), 1.0))
    run.finish()
    kept = fl.comparable(fl.load_results(folder))
    assert kept["method"].tolist() == ["a network", "pixels"]
    assert kept["also"].tolist() == [["another name"], []]


def test_results_of_synthetic_and_real_faces_are_not_compared(folder, faces, split):
    run = Run("06_drawn", {"OUT": str(folder / "06_drawn"), "PROFILE": "lfw-cpu"})
    dev, test = (replace(part, source="drawn", synthetic=True) for part in split)
    run.uses(replace(faces, synthetic=True), "View 1")
    run.verify("drawn", 0, fl.raw_pixels, dev, test)
    run.finish()
    assert "drawn" not in fl.comparable(fl.load_results(folder))["method"].tolist()


def test_trainings_say_what_was_trained_and_in_what_they_differ(folder, faces):
    table = fl.trainings(folder)
    assert table["method"].tolist() == ["a network", "a network"]
    first = table.iloc[0]
    assert (first["people"], first["people_images"], first["batch_size"]) == (40, 100, 8)
    assert first["loss"].startswith("TripletMarginLoss(") and "margin=0.2" in first["loss"]
    assert fl.differing(table) == []
    run = Run("05_more", {"OUT": str(folder / "05_more")})
    run.uses(faces)
    network = partial(fl.siamese_cnn, 8, 4, channels=(2, 2))
    for title, margin, more in (
        ("a", 0.2, {}),
        ("b", 0.1, {}),
        ("c", 0.2, {"batch_size": 16, "lr": 0.01}),
    ):
        settings = {"epochs": 1, "batch_size": 8} | more
        run.train(title, 0, network, faces, partial(losses.TripletMarginLoss, margin), **settings)
    run.finish()
    table = fl.trainings(folder)
    ours = table[table["chapter"] == "05_more"]
    assert fl.differing(ours.iloc[:2]) == ["loss"]
    assert set(fl.differing(ours.iloc[[0, 2]])) == {"batch_size", "lr"}


@pytest.mark.parametrize("text", ['{"schema": 1, "notebook": "01"}', "[1]", '{"notebook": "01"}'])
def test_a_record_of_another_schema_is_refused_by_name(tmp_path, text):
    path = tmp_path / "01" / "run.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ValueError, match=r"01/run.json: expected a record of schema 2, got"):
        fl.load_results(tmp_path)


def bad(record, **changes):
    return json.dumps(record | changes)


BAD = {
    "cut off": lambda record: bad(record)[:100],
    "empty": lambda record: "",
    "of another tool": lambda record: '{"runs": [1, 2]}',
    "another schema": lambda record: bad(record, schema=3),
    "not finite": lambda record: bad(record, seconds=math.nan),
    "too large": lambda record: bad(record).replace('"seconds": 6', '"seconds": 1e999, "x": 6'),
    "nested": lambda record: "[" * 100_000,
    "half a character": lambda record: bad(record, command="\ud800"),
    "without metrics": lambda record: bad(record, results=[]),
    "without claims": lambda record: bad({k: record[k] for k in record if k != "claims"}),
    "other types": lambda record: bad(record, results={"auc": 0.9}),
    "status": lambda record: bad(record, status="perfect"),
    "a name that is a path": lambda record: bad(record, notebook="../../x"),
    "an absolute figure": lambda record: bad(record, figures=[FIGURE | {"file": "/etc/x.png"}]),
    "a figure above": lambda record: bad(record, figures=[FIGURE | {"file": "../../x.png"}]),
    "the folder": lambda record: bad(record, figures=[FIGURE | {"file": "."}]),
    "an absolute root": lambda record: bad(record, data=record["data"] | {"root": "/etc"}),
    "a root above": lambda record: bad(record, data=record["data"] | {"root": "a/../../x"}),
    "a root above in another line": lambda record: bad(
        record, data=record["data"] | {"root": "x\n/../../../../tmp/far"}
    ),
    "a report of unknown data": lambda record: bad(record, data={}),
    "a film of unknown data": lambda record: bad(
        record, data={}, reports=[], trainings=[TRAINING | {"film": "a.npz"}]
    ),
    "a format that fills memory": lambda record: bad(
        record, claims=[CLAIM | {"format": ".999999999f"}]
    ),
    "a long line": lambda record: "x" * 10_000_000,
}
FIGURE = {"caption": "c"}
TRAINING = {"method": "a", "seed": 0, "epochs": 1, "images": 1, "seconds": 1}
TRAINING |= {"images_per_second": 1}
CLAIM = {"sentence": "s", "value": 1.0, "low": None, "high": None, "holds": True}


@pytest.mark.parametrize("spoil", BAD.values(), ids=BAD)
def test_a_bad_record_is_named_in_one_line_and_the_others_are_read(tmp_path, caplog, spoil):
    good = make_record("00_x")
    add_report(good, tmp_path, "a", make_report())
    write_record(tmp_path / "00_x", good)
    (tmp_path / "0.npz").rename(tmp_path / "00_x" / "0.npz")
    (tmp_path / "01_bad").mkdir()
    (tmp_path / "01_bad" / "run.json").write_text(spoil(good | {"notebook": "01_bad"}))
    assert fl.load_results(tmp_path)["method"].tolist() == ["a"]
    (said,) = caplog.messages
    assert "01_bad/run.json: expected a record of schema 2, got" in said
    assert "\n" not in said and len(said) <= 500
    assert fl.trainings(tmp_path).empty
    assert [one.name for one in fl.load_shown(tmp_path) if not one.problem] == ["00 · a"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_file_that_leads_out_of_the_runs_folder_by_a_link_is_refused(tmp_path):
    (tmp_path / "secret.png").touch()
    write_record(tmp_path / "00_x", make_record("00_x", figures=[FIGURE | {"file": "a.png"}]))
    assert fl.load_results(tmp_path).empty
    (tmp_path / "00_x" / "a.png").symlink_to("../secret.png")
    with pytest.raises(ValueError, match="expected a file inside"):
        fl.load_results(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_run_that_is_a_link_is_read_once(tmp_path):
    study = tmp_path / "study"
    for place in (study / "00_here", tmp_path / "01_elsewhere"):
        write_record(place, make_record(place.name))
    (study / "01_elsewhere").symlink_to(tmp_path / "01_elsewhere")
    (study / "00_latest").symlink_to(study / "00_here")
    assert [folder.name for folder in read_runs(study)] == ["00_here", "01_elsewhere"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"no zip", "film", "other"])
def test_a_report_or_film_that_is_none_is_named_and_left_out(folder, caplog, content):
    place = folder / "02_networks"
    report, film = (next(place.glob(f"*{end}.npz")) for end in ("_view-1-test", "_film"))
    if content == "film":
        report.write_bytes(film.read_bytes())
    elif content == "other":
        make_report(name="another split").save(report)
        np.savez(film, epoch=[1], dev_same=[True], dev_distance=[[0.5, 0.5]])
    else:
        for file in (report, film):
            file.write_bytes(content)
    row = fl.load_results(folder).iloc[0]
    assert row["report"] is None and np.isfinite(row["auc"])
    fl.load_shown(folder)
    named = {message.partition(": expected")[0] for message in caplog.messages}
    assert named == {str(report)} if content == "film" else {str(report), str(film)}
    assert all("run the chapter again, or delete" in said for said in caplog.messages)
    assert not any("\n" in said for said in caplog.messages)


def test_what_can_be_explored_comes_with_its_film_and_its_network(folder, faces, split):
    own = folder / "mine" / "01_drawn"
    run = Run("01_drawn", {"OUT": str(own), "PROFILE": "lfw-cpu"})
    test = replace(split[1], source="drawn", synthetic=True)
    run.uses(replace(faces, source="drawn", synthetic=True, root="synthetic"), "View 1")
    model = fl.siamese_cnn(8, 4, channels=(2, 2))
    about = {"name": "siamese_cnn", "embedding_size": 8, "image_size": 4, "channels": [2, 2]}
    run.report("net", 0, fl.verify(fl.embed(model, test, flip=True), test, 1.0))
    run.keep_network("net", "View 1 test", model, about, flip=True, threshold=1.0)
    run.finish()
    for file in folder.rglob("run.json"):
        finished = "2999" if file.parent.name == "01_drawn" else "2026"
        record = json.loads(file.read_text()) | {"finished": finished}
        file.write_text(json.dumps(record))
    cell = {"cell_type": "markdown", "metadata": {}, "source": ["# 02 · Of networks\n", "Text"]}
    (folder / "02_networks" / "02_networks.ipynb").write_text(json.dumps({"cells": [cell]}))
    shown = {one.name: one for one in fl.load_shown(folder)}
    names = ["a network", "pixels", "another name", "on dev", "leaking"]
    numbers = ["02"] + ["03"] * 4
    study = folder.name
    expected = [f"{n} · {m} · {study}" for n, m in zip(numbers, names, strict=True)]
    assert next(iter(shown)) == "01 · net · mine"  # the run just made
    assert sorted(shown) == sorted([*expected, "01 · net · mine"])
    assert [name for name, one in shown.items() if one.is_best] == [f"02 · a network · {study}"]
    network = shown[f"02 · a network · {study}"]
    assert network.film is not None and network.embed is None
    assert network.data == "lfw"
    assert network.group == f"02 · Of networks · {study}"  # as the chapter calls itself
    assert shown[f"03 · pixels · {study}"].group == f"03 Others · {study}"
    assert shown[f"03 · pixels · {study}"].embed is fl.raw_pixels
    drawn = shown["01 · net · mine"]
    assert drawn.report.synthetic and drawn.data == "synthetic"
    np.testing.assert_allclose(drawn.embed(test), fl.embed(model, test, flip=True), atol=0.01)
    file = own / "net.safetensors"
    fl.save_network(file, fl.siamese_cnn(8, 4, channels=(2, 2)), about, threshold=1.0)
    again = fl.load_shown(folder)[0]
    with pytest.raises(ValueError, match="expected the network with SHA-256"):
        again.embed(test)


def test_the_explorer_opens_on_the_best_without_outside_data(tmp_path, faces, split):
    run = Run("09_elsewhere", {"OUT": str(tmp_path / "09_elsewhere"), "PROFILE": "lfw-cpu"})
    run.uses(faces, "View 1")
    outside = {"category": "labelled outside data", "outside_data": "other photos"}
    for method, noise, more in (("worse", 2, {}), ("own", 1, {}), ("other", 0.1, outside)):
        report = fl.verify(noisy(split[1], noise), split[1], 1.0)
        run.report(method, 0, report, training="", **more)
    run.finish()
    shown = fl.load_shown(tmp_path)
    assert [one.name for one in shown if one.is_best] == ["09 · own"]


def test_what_is_damaged_or_foreign_is_named_and_the_rest_is_shown(folder):
    good = [one.name for one in fl.load_shown(folder)]
    report = next((folder / "03_others").glob("pixels*.npz"))
    report.write_bytes(b"no report")
    film = next((folder / "02_networks").glob("*_film.npz"))
    film.write_bytes(b"")
    foreign = {
        "a_empty": "",
        "b_list": "[]",
        "c_half": '{"schema": 2, "note',
        "d_old": '{"schema": 1}',
    }
    foreign["e_tool"] = '{"version": "1.0", "runs": []}'
    foreign["f_bare"] = '{"schema": 2, "status": "done", "notebook": 7}'
    foreign["g_long"] = '{"schema": "' + "x" * 1_000_000 + '"}'
    for name, text in foreign.items():
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(text)
    shown = fl.load_shown(folder)
    problems = {one.name: one.problem for one in shown if one.problem}
    assert [one.name for one in shown if not one.problem] == [n for n in good if "pixels" not in n]
    named = [f"{folder.name}/{name}" for name in foreign]
    assert set(problems) == {*named, f"03_others/{report.name}", f"02_networks/{film.name}"}
    for why in problems.values():
        assert 0 < len(why) <= 300 and "\n" not in why
    assert "expected a record of schema 2, got 1" in problems[f"{folder.name}/d_old"]


def test_the_same_results_in_two_folders_get_names_that_differ(folder):
    once = fl.load_shown(folder)
    shutil.copytree(folder / "03_others", folder / "copy" / "03_others")
    twice = fl.load_shown(folder)
    assert len({one.name for one in twice}) == len(twice) == 2 * len(once) - 1
    assert sum(one.name == "03 · pixels · copy" for one in twice) == 1
    shutil.copytree(folder / "copy", folder / "other" / "copy")
    thrice = [one.name for one in fl.load_shown(folder)]
    assert thrice.count("03 · pixels · copy (2)") == 1 and len(set(thrice)) == len(thrice)
    shutil.rmtree(folder / "other")
    assert sum(one.is_best for one in twice) == 1
    for place in (folder, folder / "copy"):  # what is damaged twice is named twice
        next((place / "03_others").glob("pixels*.npz")).write_bytes(b"no report")
    damaged = [one.name for one in fl.load_shown(folder) if one.problem]
    assert len(set(damaged)) == len(damaged) == 2


def test_a_method_may_be_called_as_another_is_where_two_have_its_name(tmp_path):
    for place, methods in {"a": ["m", "m (2)"], "b": ["m"]}.items():
        record = make_record("00_x")
        (tmp_path / place).mkdir()
        for seed, method in enumerate(methods):
            add_report(record, tmp_path / place, method, make_report(seed=seed))
        write_record(tmp_path / place, record)
    shown = fl.load_shown(tmp_path)
    assert [one.name for one in shown] == ["00 · m", "00 · m (2)", "00 · m (3)"]


def test_pairs_too_many_for_a_page_do_not_stop_it(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "MOST_PAIRS", 300)
    record = make_record("00_x")
    for method, n in {"few": 200, "many": 400}.items():
        add_report(record, tmp_path, method, make_report(n=n))
    write_record(tmp_path, record)
    few, many = fl.load_shown(tmp_path)
    assert few.report and not few.problem
    assert many.problem == "more than 300 pairs" and many.report is None


@pytest.mark.parametrize("read", [fl.load_results, fl.trainings])
def test_a_folder_that_is_not_there_is_refused(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r"expected a run\.json in a folder below .*none"):
        read(tmp_path / "none")


def test_trainings_without_data_and_without_a_film_have_nothing_to_show(tmp_path):
    record = make_record("00_x", data={})
    add_training(record, "a")
    write_record(tmp_path / "00_x", record)
    assert fl.load_shown(tmp_path) == []


def test_an_empty_folder_has_nothing_to_show(tmp_path):
    assert fl.load_shown(tmp_path) == fl.load_shown(tmp_path / "none") == []
