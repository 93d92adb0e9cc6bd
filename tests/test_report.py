"""The report and the tables of the README, built from records made by hand."""

import base64
import json
import re
import shutil
from dataclasses import replace
from urllib.parse import unquote

import nbformat
import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner
from records import add_number, add_report, add_training, make_record, make_report, write_record
from safetensors.numpy import save_file

from facelab.study.commands import main
from facelab.study.report import build_report, headlines, spent
from facelab.study.results import comparable, load_results, load_shown
from facelab.study.tables import BEGIN, END, results_tables, write_results

SEMIHARD = "triplet + semi-hard | mine"
OF_F1 = "everything at the dev threshold of best F1"


def chapter(folder, name, reports=(), **entries):
    """Write a chapter that verified ``(method, report, dev_auc)``."""
    record = make_record(name, **entries)
    place = folder / name
    place.mkdir(parents=True)
    for method, report, dev_auc in reports:
        add_report(record, place, method, report, dev_auc)
    return record


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Three chapters with results on View 1, one with View 2, one that failed."""
    root = tmp_path_factory.mktemp("written")
    folder = root / "outputs" / "lfw-cpu"
    strong, weak, pixels = make_report(0.3), make_report(0.2, 1), make_report(0.05, 2)
    old = make_report(0.25, 3, rule="f1")
    dev = make_report(0.4, 4, name="dev", role="dev")
    seen = make_report(0.4, 5, seen="trained on these people")
    reports = [(SEMIHARD, strong, 0.8), ("lucky on test", make_report(0.35, 6), 0.7)]
    record = chapter(folder, "02_networks", [*reports, ("on dev", dev, 0.99), ("known", seen, 0.9)])
    about = {"method": SEMIHARD, "seed": None, "split": "View 1 test", "role": "test"}
    add_number(record, "auc", 0.81, 0.7, 0.9, **about | {"error": 0.011, "n": 3})
    write_record(folder / "02_networks", record)
    reports = [("raw pixels", pixels, None), ("patterns", weak, None), ("the same", strong, None)]
    write_record(folder / "03_others", chapter(folder, "03_others", reports))
    record = chapter(folder, "04_older", [("ArcFace", old, 0.6)])
    write_record(folder / "04_older", record)
    folds = make_report(0.3, 7, name="View 2 test")
    more = {"category": "label-free outside data", "outside_data": "ImageNet"}
    record = make_record("07_view2")
    (folder / "07_view2").mkdir()
    add_report(record, folder / "07_view2", "ten times", folds, 0.85, **more)
    weak = make_report(0.1, 8, name="View 2 test")
    add_report(record, folder / "07_view2", "by hand", weak)
    add_report(record, folder / "07_view2", "ten times", make_report(0.2, 9), 0.9)
    about = {"method": "ten times", "seed": None, "split": "View 2 test", "n": 10}
    add_number(record, "accuracy", 0.812, 0.798, 0.826, **about | {"error": 0.0061})
    add_number(record, "auc", 0.9012, 0.889, 0.913, **about | {"error": 0.0054})
    write_record(folder / "07_view2", record)
    write_record(folder / "08_broken", make_record("08_broken", status="failed", cause="no bread"))
    (root / "notebooks").mkdir()
    for name in ("02_networks", "09_missing"):
        (root / "notebooks" / f"{name}.ipynb").touch()
    return root


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    """Let what the explorer shows, which test_explore looks at, be drawn from fewer people."""
    monkeypatch.setattr("facelab.explorer.payload.N_CALIBRATED", 20)


@pytest.fixture
def runs(written, tmp_path):
    """Return a copy of them, of the test's own."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path / "outputs" / "lfw-cpu"


def table_rows(text, method):
    return [line for line in text.splitlines() if line.startswith(f"| {method} |")]


# The report


def test_each_chapter_shows_its_best_by_dev_auc_and_view_2_comes_first(runs):
    shown = [
        (card["chapter"], card["method"], card["split"]) for card in headlines(load_results(runs))
    ]
    assert shown == [
        ("07_view2", "ten times", "View 2 test"),
        ("07_view2", "by hand", "View 2 test"),  # of another category
        ("02_networks", SEMIHARD, "View 1 test"),
        ("03_others", "the same", "View 1 test"),
        ("04_older", "ArcFace", "View 1 test"),
    ]
    rows = headlines(load_results(runs))
    view2, _, view1, *_ = rows
    assert view2["category"] == "label-free outside data"
    assert (view2["auc"], view2["accuracy"]) == (0.9012, 0.812)
    assert (view2["auc_low"], view2["auc_high"]) == (0.889, 0.913)  # over folds, as recorded
    assert view1["auc"] == pytest.approx(make_report(0.3).metrics()["auc"])


def test_the_report_opens_with_results_their_intervals_and_category(runs):
    html = build_report(runs).read_text("utf-8")
    table = re.search(r'<table class="results">.*?</table>', html, re.DOTALL)[0]
    listed = re.findall(r"<tr><td>.*?</tr>", table, re.DOTALL)
    assert len(listed) == 5
    assert "ten times" in listed[0] and "07 · View 2" in listed[0]
    assert "<td>View 2</td>" in listed[0]
    assert "0.901" in listed[0] and "0.889 to 0.913" in listed[0]
    assert "81.2%" in listed[0] and "79.8% to 82.6%" in listed[0]
    assert ">label-free</span>" in listed[0]
    assert "by hand" in listed[1] and ">none</span>" in listed[1]


def test_the_report_tells_the_findings_first_and_leads_to_the_executed_notebooks(runs):
    claim = {"sentence": "Bread", "value": 3, "low": 1, "high": 4, "format": ".1f", "holds": False}
    figures = [{"file": "a.png", "caption": "a"}]
    for name, synthetic in (("00_drawn", True), ("01_real", False)):
        record = make_record(name, claims=[claim], figures=figures)
        record["data"]["synthetic"] = synthetic
        write_record(runs / name / name, record)
        PIL.Image.new("RGB", (6, 4)).save(runs / name / name / "a.png")
    (runs / "00_drawn" / "00_drawn" / "00_drawn.ipynb").touch()
    drawn = build_report(runs / "00_drawn").read_text("utf-8")
    assert drawn.index(">Findings<") < drawn.index("Bread") < drawn.index("<figure")
    assert "does not hold on drawn faces is no failure" in drawn
    assert 'href="00_drawn/00_drawn.ipynb"' in drawn
    assert 'id="top"' in drawn and 'href="#top"' in drawn
    real = build_report(runs / "01_real").read_text("utf-8")
    assert "is a finding, too" in real and "drawn faces" not in real
    assert ".ipynb" not in real


def test_a_study_without_results_has_no_table_of_them(tmp_path):
    write_record(tmp_path / "00_x", make_record())
    assert headlines(load_results(tmp_path)) == []
    assert 'class="results"' not in build_report(tmp_path).read_text("utf-8")


def test_figures_are_the_very_bytes_on_disk(tmp_path):
    figures = [{"file": "loss.png", "caption": "The loss <falls>"}]
    figures.append({"file": "faces.jpg", "caption": "Faces"})
    record = make_record("00_x", figures=figures)
    write_record(tmp_path / "00_x", record)
    PIL.Image.new("RGB", (6, 4), (200, 10, 30)).save(tmp_path / "00_x" / "loss.png")
    PIL.Image.new("RGB", (900, 4), (20, 10, 30)).save(tmp_path / "00_x" / "faces.jpg")
    html = build_report(tmp_path).read_text("utf-8")
    shown = re.findall(r'<img src="data:image/(\w+);base64,([^"]*)', html)
    assert [kind for kind, _ in shown] == ["png", "jpeg"]
    for (_, data), figure in zip(shown, figures, strict=True):
        assert base64.b64decode(data) == (tmp_path / "00_x" / figure["file"]).read_bytes()
    assert 'alt="The loss &lt;falls&gt;"' in html
    assert 'width="6" height="4"' in html
    assert html.count('<figure class="wide">') == 1


def test_the_report_is_one_file_with_every_claim_number_and_failure(runs):
    record = json.loads((runs / "03_others" / "run.json").read_text())
    claim = {"sentence": "Bread & butter", "value": 3, "low": 1, "high": 4, "format": ".1f"}
    record["claims"] = [claim | {"holds": False}]
    record["notes"] = ["Remarkable."]
    write_record(runs / "03_others", record)
    html = build_report(runs).read_text("utf-8")
    assert "Bread &amp; butter" in html
    assert "1.0 to 4.0" in html
    assert html.count("✗ no") == 1
    assert "Remarkable." in html
    assert "no bread" in html
    assert record["command"] in html and record["commit"] in html
    assert "mean of 3" in html and "0.81 ± 0.011" in html
    outside = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.findall(r"https?://|<link|@import|url\(", outside)
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)', outside))


@pytest.mark.parametrize(
    ("data", "expected", "not_expected"),
    [
        ({"synthetic": True}, "Every face here was drawn", "Real faces</strong>"),
        ({"synthetic": False}, "LFW deep-funneled</div>", "Synthetic faces</strong>"),
        ({"synthetic": False, "source": "synthetic?"}, "Real faces</strong>", "was drawn"),
    ],
)
def test_the_report_says_aloud_whether_the_faces_are_real(tmp_path, data, expected, not_expected):
    record = make_record()
    record["data"] |= data
    write_record(tmp_path / "00_x", record)
    other = make_record("01_y")  # of the same photos, which are named once
    other["data"] |= data | {"protocol": "View 2"}
    write_record(tmp_path / "01_y", other)
    html = build_report(tmp_path).read_text("utf-8")
    assert expected in html
    assert not_expected not in html


def test_the_time_is_that_of_the_trainings_where_a_run_went_on_from_checkpoints(tmp_path):
    resumed, whole = make_record("00_x", seconds=20.0), make_record("01_y", seconds=60.0)
    add_training(resumed, "a", seconds=4000.0)
    add_training(resumed, "b", seconds=3200.0)
    add_training(whole, "a", seconds=30.0)
    assert spent(resumed) == (7200.0, "of trainings")
    assert spent(whole) == (60.0, "")
    write_record(tmp_path / "00_x", resumed)
    write_record(tmp_path / "01_y", whole)
    html = build_report(tmp_path).read_text("utf-8")
    assert "2 h 1 min of trainings and runs" in html
    assert re.search(r"2 h 0 min\s+of trainings\s+on a CPU", html)
    assert re.search(r"· 1 min 0 s\s+on a CPU", html)


def test_the_report_lists_what_is_missing_or_was_not_finished(tmp_path):
    write_record(tmp_path / "00_x", make_record(status="failed", cause="?", data={}))
    started = {"schema": 2, "notebook": "01_y", "status": "started", "parameters": {}}
    started |= {"data": {}, "results": [], "trainings": [], "reports": []}
    write_record(tmp_path / "01_y", started)
    html = build_report(tmp_path, ["01_y", "02_z"]).read_text("utf-8")
    assert "did not come to its end" in html
    assert re.search(r"02 Z.*Not run yet", html, re.DOTALL)


def test_a_chapter_that_was_not_run_has_its_notebooks_own_title(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    for name, title in (("00_x", "Zero"), ("01_y", "One <or> two"), ("02_z", "Three")):
        cells = [nbformat.v4.new_markdown_cell(f"# {name[:2]} · {title}\n\nText.")]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / f"notebooks/{name}.ipynb")
    monkeypatch.chdir(tmp_path)
    write_record("out/00_x", make_record(status="failed", cause="?", data={}))
    html = build_report("out", ["01_y", "02_z", "03_own"]).read_text("utf-8")
    headings = re.findall("<h2>(.+?)</h2>", html)
    assert headings == ["00 · Zero", "01 · One &lt;or&gt; two", "02 · Three", "03 Own"]


def test_a_claim_of_one_seed_is_said_to_be_one_that_cannot_be_told(tmp_path):
    claim = {"sentence": "Bread", "value": 3, "low": None, "high": None, "holds": False}
    claim["format"] = ".1f"
    write_record(tmp_path / "00_x", make_record(claims=[claim, claim | {"n": 1}]))
    html = build_report(tmp_path).read_text("utf-8")
    assert html.count("✗ no<") == 1
    assert html.count(">cannot tell: one seed has no interval<") == 1
    assert "0 of 2 claims hold, 1 cannot be told" in html


def test_a_bad_record_and_a_bad_picture_are_named_and_the_others_are_shown(runs, caplog):
    (runs / "04_older" / "run.json").write_text('{"schema": 2')
    record = json.loads((runs / "02_networks" / "run.json").read_text())
    record["figures"] = [{"file": f"{name}.png", "caption": name} for name in ("good", "bad")]
    write_record(runs / "02_networks", record)
    PIL.Image.new("RGB", (6, 4)).save(runs / "02_networks" / "good.png")
    PIL.Image.new("RGB", (6, 4)).save(runs / "02_networks" / "bad.png", "GIF")
    html = build_report(runs).read_text("utf-8")
    said = sorted(message.partition(": expected")[0] for message in caplog.messages)
    assert said == [f"{runs}/02_networks/bad.png", f"{runs}/04_older/run.json"]
    assert "✗ Not readable." in html and "04_older/run.json: expected a record" in html
    assert html.count("<figure") == 1 and "ten times" in html


def spoil_film(place, record):
    add_training(record, "a")
    record["trainings"][0]["film"] = "film.npz"
    same = np.array([True, False])
    np.savez(place / "film.npz", epoch=[1], dev_same=same, dev_distance=[[0.5, np.nan]])


def spoil_report(place, record):
    with np.load(place / "0.npz") as file:
        np.savez(place / "0.npz", **{**file, "synthetic": np.array([True, False])})


def spoil_names(place, record):
    """Give a report names of half a letter, and the notebook such a heading; both are shown."""
    report = make_report()
    ids = [f"\udcff{image}" for image in report.image_ids.tolist()]
    replace(report, image_ids=np.array(ids)).save(place / "0.npz")
    cell = {"cell_type": "markdown", "source": "# \ud800", "metadata": {}}
    (place / "01_bad.ipynb").write_text(json.dumps({"cells": [cell]}))
    (place / "bad.png").write_bytes(b"")
    record["figures"] = [{"file": "bad.png", "caption": ""}]
    spoil_film(place, record)


def spoil_category(place, record):
    record["reports"][0]["category"] = "bogus"


def spoil_calibration(calibration):
    """Keep a network with what is no calibration."""

    def spoil(place, record):
        said = {"settings": json.dumps({"calibration": calibration})}
        save_file({"weights": np.zeros(1)}, place / "net.safetensors", said)
        record["reports"][0]["network"] = {"file": "net.safetensors", "sha256": ""}

    return spoil


SPOILT = {
    "film": ("film.npz: expected the film", spoil_film),
    "report": ("0.npz: expected a report", spoil_report),
    "list": ("net.safetensors: expected the network", spoil_calibration([1, 2])),
    "empty": ("net.safetensors: expected the network", spoil_calibration({"log_lr": [1]})),
    "data": ("run.json: expected a record", lambda place, record: record.update(data={})),
    "names": ("bad.png: expected a PNG or JPEG", spoil_names),
    "category": ("run.json: expected a record", spoil_category),
}


@pytest.mark.parametrize(("named", "spoil"), SPOILT.values(), ids=SPOILT)
def test_one_bad_run_is_named_and_the_report_of_the_others_is_written(
    tmp_path, caplog, named, spoil
):
    for name in ("00_good", "01_bad"):
        record = chapter(tmp_path, name, [("a", make_report(), 0.8)])
        if name == "01_bad":
            spoil(tmp_path / name, record)
        write_record(tmp_path / name, record)
    html = build_report(tmp_path).read_text("utf-8")
    assert "00 Good" in html and "00 · a" in html
    assert any(f"01_bad/{named}" in said for said in caplog.messages)
    assert any(one.problem for one in load_shown(tmp_path))


def test_a_picture_elsewhere_is_not_embedded(runs, tmp_path):
    PIL.Image.new("RGB", (6, 4)).save(tmp_path / "private.png")
    for file in ("../../../private.png", str(tmp_path / "private.png")):
        record = make_record("05_curious", figures=[{"file": file, "caption": "c"}])
        write_record(runs / "05_curious", record)
        html = build_report(runs).read_text("utf-8")
        assert "<figure" not in html and "expected a file inside" in html


def test_a_parent_folder_or_one_run_makes_a_report_two_studies_do_not(tmp_path):
    record = make_record("00_x", figures=[{"file": "a.png", "caption": "c"}])
    write_record(tmp_path / "smoke" / "00_x", record)
    PIL.Image.new("RGB", (6, 4)).save(tmp_path / "smoke" / "00_x" / "a.png")
    for folder in (tmp_path, tmp_path / "smoke", tmp_path / "smoke" / "00_x"):
        assert "<figure" in build_report(folder).read_text("utf-8")
    write_record(tmp_path / "lfw" / "00_x", record)
    with pytest.raises(ValueError, match="one run a notebook, got .*lfw/00_x and .*smoke/00_x"):
        build_report(tmp_path)


def test_all_numbers_say_what_outside_data_a_method_had(runs):
    html = build_report(runs).read_text("utf-8")
    view2 = html.partition('id="07_view2"')[2]
    assert "<td>ten times</td><td>label-free</td>" in view2
    assert "<td>by hand</td><td>none</td>" in view2
    assert f"<td>{SEMIHARD}</td><td>none</td>" in html


def test_links_lead_to_notebooks_of_any_name_and_run_nothing(tmp_path):
    for folder, name in (("javascript:alert(1)", "my own #1"), ("b", "50%41 (x)")):
        place = tmp_path / "study" / folder / name
        write_record(place, make_record(name))
        (place / f"{name}.ipynb").write_text("{}")
    html = build_report(tmp_path / "study").read_text("utf-8")
    links = re.findall(r'<a href="([^#"][^"]*)"', html)
    assert sorted(map(unquote, links)) == [
        "b/50%41 (x)/50%41 (x).ipynb",
        "javascript:alert(1)/my own #1/my own #1.ipynb",
    ]
    assert not set("#?: ") & set("".join(links))


def test_methods_that_differ_in_case_alone_are_two(tmp_path):
    record = make_record("00_x")
    for method in ("Net", "net"):
        add_number(record, "auc", 0.5, method=method)
    write_record(tmp_path / "00_x", record)
    html = build_report(tmp_path).read_text("utf-8")
    assert "<td>Net</td>" in html and "<td>net</td>" in html


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a run\.json in a folder below"):
        build_report(tmp_path)


# The tables of the README


def test_the_best_of_each_chapter_come_first_and_all_are_folded(runs, tmp_path):
    text = results_tables([runs], tmp_path)
    first, _, folded = text.partition("<details>")
    assert folded.endswith("</details>") and folded.count("</details>") == 1
    title = SEMIHARD.replace("|", r"\|")
    (row,) = table_rows(first, title)
    m, intervals = make_report(0.3).metrics(), make_report(0.3).intervals()
    low, high = intervals["auc"]
    link = "[02](outputs/lfw-cpu/02_networks/02_networks.ipynb)"
    auc = f"{m['auc']:.3f} ({low:.3f}–{high:.3f})"
    assert row == f"| {title} | {link} | {auc} | {m['accuracy']:.1%} | none |"
    (whole,) = table_rows(folded, title)
    low, high = intervals["accuracy"]
    accuracy = f"{m['accuracy']:.1%} ({low:.1%}–{high:.1%})"
    seeds = f"| {link} | {auc} | 0.810 ± 0.011 (3) | {accuracy} | {m['f1']:.3f} | "
    assert seeds in whole and whole.endswith("| none |")
    assert len(table_rows(first, "patterns")) == 1
    for method in ("lucky on test", "raw pixels"):
        assert not table_rows(first, method) and len(table_rows(folded, method)) == 1
    assert "on dev" not in text and "known" not in text


def test_the_same_pairs_prepared_otherwise_share_a_table_in_the_order_of_categories(runs, tmp_path):
    moved = replace(make_report(0.6, 11), source="real faces, aligned")
    record = make_record("05_aligned")
    (runs / "05_aligned").mkdir()
    category = {"category": "label-free outside data", "outside_data": "a detector"}
    add_report(record, runs / "05_aligned", "aligned", moved, 0.9, **category)
    write_record(runs / "05_aligned", record)
    first, _, folded = results_tables([runs], tmp_path).partition("<details>")
    view1 = folded.partition("**View 2**")[0]
    assert f"**View 1**, {make_report(0.6).source} or real faces, aligned, profile" in view1
    for table in (first, view1.partition(OF_F1)[0]):
        (row,) = table_rows(table, "aligned")
        assert row.endswith("| label-free |")
        assert table.index(row) > table.index("| patterns |")  # whose AUC is lower
    assert comparable(load_results(runs))["method"].tolist().count("aligned") == 0


def test_one_network_under_two_titles_appears_once(runs, tmp_path):
    assert not table_rows(results_tables([runs], tmp_path), "the same")


def test_results_of_two_rules_never_share_a_table(runs, tmp_path):
    text = results_tables([runs], tmp_path)
    new, old = text.split(OF_F1)
    assert "accuracy and F1, each at the dev threshold best for it" in new
    assert not table_rows(new, "ArcFace")
    old = old.partition("**View 2**")[0]
    assert len(table_rows(old, "ArcFace")) == 1
    assert old.count("| method |") == 1 and not table_rows(old, "patterns")


@pytest.mark.parametrize("rule", ["eer and f1", "far 0.01 and f1"])
def test_results_of_every_rule_get_into_the_readme(tmp_path, rule):
    record = chapter(tmp_path, "02_x", [("a", make_report(rule=rule), 0.8)])
    write_record(tmp_path / "02_x", record)
    assert f"pairs of strangers; at dev thresholds of {rule}." in results_tables(
        [tmp_path], tmp_path
    )


def test_a_record_may_lack_what_its_form_does_not_require(tmp_path):
    record = chapter(tmp_path, "02_x", status="failed")
    for name in ("threads", "precision", "malloc"):
        del record["device"][name]
    write_record(tmp_path / "02_x", record)
    assert "cause unknown" in build_report(tmp_path).read_text("utf-8")
    write_record(tmp_path / "02_x", record | {"status": "done"})
    assert "a CPU, 2 cores</dd>" in build_report(tmp_path).read_text("utf-8")


def test_the_first_table_has_eight_rows_at_most(tmp_path):
    folder = tmp_path / "outputs"
    for k in range(12):
        name = f"{k:02d}_x"
        reports = [(f"method {k}", make_report(0.1 + k / 50, k), 0.8)]
        write_record(folder / name, chapter(folder, name, reports))
    first, _, folded = results_tables([folder], tmp_path).partition("<details>")
    shown = re.findall(r"\| method \d+ \| \[\d+\]\S+ \| ([\d.]+)", first)
    assert len(shown) == 8
    everything = re.findall(r"\| method \d+ \| \[\d+\]\S+ \| ([\d.]+)", folded)
    assert len(everything) == 12
    assert shown == sorted(everything, reverse=True)[:8]


def test_view_2_is_the_mean_over_folds_with_its_error(runs, tmp_path):
    text = results_tables([runs], tmp_path)
    view2 = text[text.index("**View 2**") :]
    assert "Mean over 10 folds" in view2
    (row,) = table_rows(view2, "ten times")
    assert "| 0.901 ± 0.005 | 81.2% ± 0.6% | – | – | – | label-free |" in row


def test_synthetic_results_do_not_get_into_the_readme(runs, tmp_path):
    record = json.loads((runs / "03_others" / "run.json").read_text())
    record["data"]["synthetic"] = True
    write_record(runs / "03_others", record)
    with pytest.raises(ValueError, match="expected runs of real faces, got .* ones: 03_others"):
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
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    arguments = ["report", "outputs/lfw-cpu", "--readme", "README.md"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, repr(result.exception)
    assert result.output == "outputs/lfw-cpu/report.html\nREADME.md\n"
    assert readme.read_text() == f"{BEGIN}\n{results_tables([runs], tmp_path)}\n{END}\n"


def test_a_readme_may_lie_beside_the_results(runs, tmp_path):
    shutil.move(runs, tmp_path / "my runs")
    readme = tmp_path / "docs" / "README.md"
    readme.parent.mkdir()
    readme.write_text(f"{BEGIN}\n{END}\n")
    write_results(readme, [tmp_path / "my runs"])
    assert "[02](../my%20runs/02_networks/02_networks.ipynb)" in readme.read_text()


def test_a_readme_that_is_not_in_utf_8_is_named(runs, tmp_path):
    (tmp_path / "README.md").write_bytes(b"\xff" + f"{BEGIN}\n{END}".encode())
    with pytest.raises(ValueError, match="README.md: expected text in UTF-8, got 'utf-8' codec"):
        write_results(tmp_path / "README.md", [runs])


@pytest.mark.parametrize("text", ["no marks", f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"])
def test_a_readme_without_the_marks_is_refused(runs, tmp_path, text):
    (tmp_path / "README.md").write_text(text)
    with pytest.raises(ValueError, match="once each"):
        write_results(tmp_path / "README.md", [runs])
    assert (tmp_path / "README.md").read_text() == text
