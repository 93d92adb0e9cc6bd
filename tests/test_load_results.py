"""Results, budgets and comparisons read from runs; `test_results` is about the committed ones."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from test_plots import make_report as draw_report

from facelab.study.commands import main
from facelab.study.record import Run
from facelab.study.report import BEGIN, END, results_tables, write_results
from facelab.study.results import budgets, comparable, differing, holm, load_results, result_row

SETTINGS = {"images": "abc: 100 of 20 people", "weights": 5000, "parts": "ContrastiveLoss({})"}


def make_report(gap=0.3, seed=0, name="View 1 test", source="LFW deep-funneled", n=200):
    texts = dict(threshold=1.05, threshold_from="given", name=name, source=source)
    return draw_report(n, seed, gap, **texts)


def make_training(batch_size=32, lr=0.001, seed=0, images=128, epochs=2):
    history = pd.DataFrame({"epoch": range(1, epochs + 1), "images": images // epochs})
    history = history.assign(seconds=2.0, images_per_second=32.0)
    numbers = f"batch_size={batch_size}, lr={lr}, loss_lr=None, weight_decay=0.0, seed={seed}"
    history.attrs["settings"] = SETTINGS | {"numbers": numbers}
    return history, pd.DataFrame({"split": [], "distance": [], "same": []})


class RealFaces:
    source, fingerprint, names = "LFW deep-funneled", "abc", ("A", "B")
    packed = np.zeros((0, 3, 8, 8), np.uint8)

    def __len__(self):
        return 4


def write_run(folder, name, reports, trainings=(), **metrics):
    run = Run(name, folder / name, {"PROFILE": "lfw-cpu"}, RealFaces(), protocol="View 1")
    for prefix, report in reports.items():
        run.verified(prefix, report, f"method {prefix}")
    for prefix, training in trainings:
        run.trained(prefix, training)
    run.metrics(**metrics)
    run.finish()


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "outputs" / "lfw-cpu"
    trainings = [("net", make_training()), ("net_seed_1", make_training(seed=1))]
    means = {"net_mean_auc": 0.8, "net_mean_auc_se": 0.01, "net_dev_auc": 0.85}
    write_run(folder, "02_networks", {"net": make_report(0.3)}, trainings, **means)
    others = {"pixels": make_report(0.1, 1), "on_dev": make_report(0.3, 2, "dev")}
    write_run(folder, "03_others", others)
    (folder / "04_broken").mkdir()
    (folder / "04_broken" / "run.json").write_text('{"status": "failed", "notebook": "04_broken"}')
    (tmp_path / "notebooks").mkdir()
    for name in ("02_networks", "03_others", "04_broken"):
        (tmp_path / "notebooks" / f"{name}.ipynb").touch()
    return folder


def test_every_report_on_test_pairs_of_a_finished_run_is_a_row(runs):
    results = load_results(runs)
    assert results.title.tolist() == ["method net", "method pixels"]
    assert results.chapter.tolist() == ["02_networks", "03_others"]
    net, report = results.iloc[0], make_report(0.3)
    assert net.auc == pytest.approx(report.metrics()["auc"])
    assert (net.auc_low, net.auc_high) == pytest.approx(report.intervals()["auc"])
    assert (net.auc_mean, net.auc_se, net.dev_auc) == (0.8, 0.01, 0.85)
    assert (net.epochs, net.images, net.seconds, net.weights) == (2, 128, 4.0, 5000)
    assert results.iloc[1][["epochs", "images", "seconds", "dev_auc"]].isna().all()
    np.testing.assert_array_equal(net.report.distances, report.distances)


def test_outside_data_is_named_in_the_title(tmp_path):
    run = Run("05_more", tmp_path / "05_more", {"PROFILE": "lfw-cpu"}, RealFaces())
    run.verified("net", make_report(), "ResNet-50", outside_data="ImageNet")
    run.finish()
    row = load_results(tmp_path).iloc[0]
    assert row[["title", "outside_data"]].tolist() == ["ResNet-50 (outside data)", "ImageNet"]


def test_the_first_records_get_titles_that_say_what_they_are(tmp_path):
    run = Run("01_siamese_baseline", tmp_path / "01", {"MARGIN": 2.0, "EPOCHS": 9}, RealFaces())
    run.verified("test", make_report())
    run.verified("pixels_test", make_report(0.1), "pixels {as they are}")
    run.finish()
    titles = load_results(tmp_path).title.tolist()
    assert titles == ["Siamese CNN, margin 2, 9 epochs", "pixels {as they are}"]


def test_a_folder_without_runs_gives_a_table_without_rows(tmp_path):
    results = load_results(tmp_path)
    assert results.empty
    assert "auc_low" in results
    assert comparable(results).empty


def test_a_row_made_of_a_report_says_what_the_recorded_row_says(runs):
    recorded = load_results(runs).iloc[0]
    row = result_row(make_report(0.3), "method net", "02_networks", prefix="net")
    assert set(row) <= set(recorded.index)
    for key in ("title", "chapter", "pairs", "source", "threshold", "auc", "eer_low"):
        assert row[key] == recorded[key]


def test_dev_auc_is_that_of_the_last_epoch_of_the_film(runs):
    with (runs / "03_others" / "pixels_film.npz").open("wb") as file:
        film = np.array([[1.0, 0.5, 0.5, 1.0], [0.5, 1.0, 0.75, 0.7]], np.float16)
        np.savez(file, dev_distance=film, dev_same=np.array([True, False, True, False]))
    assert load_results(runs).dev_auc.tolist() == [0.85, 0.75]


def test_only_the_same_pairs_of_strangers_are_compared(runs):
    rows = [
        result_row(make_report(0.3), "a", "02"),
        result_row(make_report(0.2, 1), "b", "03"),
        result_row(make_report(0.2, 1, source="synthetic faces"), "other faces", "03"),
        result_row(make_report(0.2, 1, n=150), "other pairs", "03"),
        result_row(make_report(source="LFW, people it was trained on"), "seen", "04"),
        result_row(make_report(source="LFW, after training on 5 of these people"), "seen", "07"),
        result_row(make_report(0.3), "a", "06"),
        result_row(make_report(0.3), "as good as a", "06"),
    ]
    kept = comparable(pd.DataFrame(rows))
    assert kept.title.tolist() == ["b", "a", "as good as a"]
    assert kept.chapter.tolist() == ["03", "06", "06"]


def test_budgets_are_read_from_what_the_trainings_recorded(runs):
    table = budgets(runs)
    assert table.prefix.tolist() == ["net", "net_seed_1"]
    first = table.iloc[0]
    assert (first.people, first.people_images, first.images) == (20, 100, 128)
    assert (first.batch_size, first.lr, first.weights) == (32, 0.001, 5000)
    assert differing(table) == []
    for change in ({"batch_size": 64}, {"lr": 0.01}, {"images": 256}, {"epochs": 4}):
        write_run(runs, "05_more", {}, [("net", make_training()), ("b", make_training(**change))])
        more = budgets(runs)
        assert differing(more[more.chapter == "05_more"]) == list(change)


def test_holm_corrects_as_by_hand_and_never_changes_the_order():
    np.testing.assert_allclose(holm([0.02, 0.01, 0.5]), [0.04, 0.03, 0.5])
    np.testing.assert_allclose(holm([0.6, 0.7]), [1, 1])
    p = np.random.default_rng(0).random(30) ** 3
    corrected = holm(p)
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, 30 * p) + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p)]) >= 0).all()


def test_the_readme_tables_hold_the_numbers_and_name_what_is_missing(runs, tmp_path):
    write_run(runs, "05_more", {"cure_flip": make_report(0.2, 5)})
    view2 = {"network_view2_accuracy": 0.812, "network_view2_accuracy_se": 0.0061}
    write_run(runs, "07_view2", {}, **view2)
    text = results_tables([runs], tmp_path)
    m = make_report(0.3).metrics()
    low, high = make_report(0.3).intervals()["accuracy"]
    link = "[02](outputs/lfw-cpu/02_networks/02_networks.ipynb)"
    row = next(line for line in text.splitlines() if "method net" in line)
    assert row.startswith(f"| method net | {link} | {m['accuracy']:.1%} ({low:.1%}–{high:.1%}) | ")
    assert row.endswith(" | no |")
    assert "| 0.800 ± 0.010 |" in row
    assert text.index("method net") < text.index("method pixels")
    assert "| ArcFace, cure: method cure_flip |" in text
    assert "View 1" in text
    assert "81.2% ± 0.6%" in text[text.index("**View 2**") :]
    assert text.endswith("Not run yet in `outputs/lfw-cpu`: 04 Broken.")


def test_synthetic_results_do_not_get_into_the_readme(runs, tmp_path):
    path = runs / "03_others" / "run.json"
    record = json.loads(path.read_text())
    record["data"]["source"] = "synthetic faces"
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="expected runs of real faces, got synthetic ones"):
        results_tables([runs], tmp_path)


def test_only_what_stands_between_the_marks_is_written(runs, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Study\n\n{BEGIN}\nwhat was here before\n{END}\n\nthe rest\n")
    write_results(readme, [runs])
    once = readme.read_text()
    assert once.startswith(f"# Study\n\n{BEGIN}\n**View 1**")
    assert once.endswith(f"{END}\n\nthe rest\n")
    assert "what was here before" not in once
    write_results(readme, [runs])
    assert readme.read_text() == once


def test_the_command_writes_report_and_readme(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (runs / "04_broken" / "run.json").unlink()
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    arguments = ["report", "outputs/lfw-cpu", "--readme", "README.md"]
    result = CliRunner().invoke(main, arguments)
    assert result.output == "outputs/lfw-cpu/report.html\nREADME.md\n"
    assert readme.read_text() == f"{BEGIN}\n{results_tables([runs], tmp_path)}\n{END}\n"


@pytest.mark.parametrize("text", ["no marks", f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"])
def test_a_readme_without_the_marks_is_refused(runs, tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(ValueError, match="once each"):
        write_results(tmp_path / "README.md", [runs])
    assert (tmp_path / "README.md").read_text() == text
