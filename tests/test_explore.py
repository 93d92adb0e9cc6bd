"""What the explorer hands to the browser is what verification says."""

import io
import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

from facelab.explorer import payload
from facelab.explorer.widget import Explorer, explore
from facelab.faces import Faces
from facelab.models import load_network, save_network, siamese_cnn
from facelab.study.execute import WIDGET, _strip
from facelab.study.report import build_report
from facelab.train import Training, embed
from facelab.verification import Report

ROOT = Path(__file__).parents[1]


def a_report(n=400, people=60, seed=0, threshold=0.9, **more):
    """Pairs of `people` with two images each; distances are rounded, so that there are ties."""
    rng = np.random.default_rng(seed)
    left = rng.integers(people, size=n)
    same = rng.random(n) < 0.5
    other = (left + rng.integers(1, people, size=n)) % people
    right = np.where(same, left, other) + people
    ids = [f"Person_{k}_{i:04d}" for i in (1, 2) for k in range(people)]
    d = np.where(same, rng.normal(0.8, 0.25, n), rng.normal(1.1, 0.2, n)).clip(0, 2).round(2)
    fields = {"threshold_from": "best F1 on dev", "name": "View 1 test", "source": "faces"} | more
    return Report(d, same, np.zeros(n), left, right, ids, threshold, **fields)


@pytest.fixture(scope="module")
def report():
    return a_report()


def decoded(meta, buffers):
    """Undo `payload.encode`, as the browser does."""
    if isinstance(meta, list):
        return [decoded(v, buffers) for v in meta]
    if not isinstance(meta, dict):
        return meta
    if "$" in meta:
        return np.frombuffer(buffers[meta["$"]], meta["type"]).reshape(meta["shape"])
    return {k: decoded(v, buffers) for k, v in meta.items()}


def test_the_browser_gets_every_pair_exactly(report):
    meta, buffers = payload.payload({"a": report})
    data = decoded(json.loads(json.dumps(meta)), buffers)
    run, pairs = data["runs"][0], data["sets"][data["runs"][0]["set"]]
    assert np.array_equal(run["distances"], report.distances)
    assert np.array_equal(pairs["same"], report.same)
    images = np.array(pairs["images"])
    assert np.array_equal(images[pairs["left"]], report.left_ids)
    assert np.array_equal(images[pairs["right"]], report.right_ids)
    assert run["threshold"] == report.threshold


def test_reports_on_the_same_pairs_share_them(report):
    meta, _ = payload.payload({"a": report, "b": a_report(threshold=1.0), "c": a_report(seed=1)})
    assert [run["set"] for run in meta["runs"]] == [0, 0, 1]


def test_buttons_are_what_verification_computes(report):
    found = {key: value for key, (value, _) in payload.buttons(report).items()}
    roc = report.roc()
    for metric in ("f1", "accuracy"):
        assert found[metric] == roc["threshold"][roc[metric].idxmax()]
    gap = (roc["far"] + roc["tar"] - 1).abs()
    assert found["eer"] == roc["threshold"][gap.idxmin()]
    accepted = report.distances < found["far"]
    assert (accepted & ~report.same).sum() <= 0.01 * (~report.same).sum()
    tar = (accepted & report.same).sum() / report.same.sum()
    assert tar == report.tar_at_far(0.01)
    assert found["far"] == roc["threshold"][(roc["tar"] == tar).idxmax()]  # the strictest


def test_a_far_of_one_percent_is_refused_where_verification_refuses():
    value, why = payload.buttons(a_report(n=60))["far"]
    assert value is None
    assert "needs 100 different pairs" in why


def test_intervals_are_those_of_the_report_at_its_threshold(report):
    got, expected = payload.intervals(report), report.intervals()
    k = list(got["thresholds"]).index(report.threshold)
    for row, metric in enumerate(payload.METRICS):
        ends = (got["low"][row, k], got["high"][row, k])
        assert ends == pytest.approx(expected[metric], abs=1e-6)


def test_intervals_hold_every_button_and_bands_split_all_pairs(report):
    got = payload.intervals(report, n=50)
    chosen = [value for value, _ in payload.buttons(report).values()]
    assert set(chosen) <= set(got["thresholds"])
    assert got["bands"][0] < report.distances.min()
    assert got["bands"][-1] > report.distances.max()
    assert len(got["share_low"]) == len(got["bands"]) - 1
    assert (got["share_low"] <= got["share_high"]).all()


def test_the_share_of_same_pairs_in_a_band_lies_in_its_interval(report):
    got = payload.intervals(report)
    band = np.digitize(report.distances, got["bands"]) - 1
    for k in range(len(got["bands"]) - 1):
        same, different = ((band == k) & report.same, (band == k) & ~report.same)
        s, d = same.sum() / report.same.sum(), different.sum() / (~report.same).sum()
        assert got["share_low"][k] - 1e-6 <= s / (s + d) <= got["share_high"][k] + 1e-6


def test_many_pairs_get_fewer_resamples():
    few = payload.intervals(a_report(n=200_000, people=500))
    assert few["n"] == 200


@pytest.mark.parametrize("same", [True, False])
def test_one_kind_of_pairs_is_no_error(report, same):
    kept = report.same == same
    arrays = {k: getattr(report, k)[kept] for k in ("distances", "same", "fold", "left", "right")}
    lone = Report(**arrays, image_ids=report.image_ids, threshold=0.9)
    meta, _ = payload.payload({"lone": lone})
    assert all(value is None for value, _ in meta["runs"][0]["buttons"].values())
    assert meta["runs"][0]["auc"] is None


def test_a_million_pairs_need_few_bytes_each():
    _, buffers = payload.payload({"a": a_report(n=100_000)}, with_intervals=False)
    assert sum(map(len, buffers)) < 10 * 100_000


def test_a_film_counts_every_watched_pair_in_every_epoch():
    rng = np.random.default_rng(0)
    same = rng.random(300) < 0.5
    watched = {"distances": np.float16(rng.random((4, 300)) * 2), "same": same}
    shown = payload.film({"epoch": np.arange(1, 5), "dev": watched}, "faces")
    (split,) = shown["splits"]
    assert (split["same"].sum(axis=1) == same.sum()).all()
    assert (split["different"].sum(axis=1) == (~same).sum()).all()
    assert split["auc"].shape == (4,)
    means = watched["distances"][:, same].astype(np.float32).mean(axis=1)
    assert split["mean_same"] == pytest.approx(means, abs=1e-3)


def test_a_training_makes_the_same_film_as_what_a_run_keeps_of_it():
    rng = np.random.default_rng(0)
    d, same = np.float16(rng.random((3, 40)) * 2), rng.random(40) < 0.5
    tables = [
        pd.DataFrame(dict(epoch=k + 1, split="dev", source="faces", distance=row, same=same))
        for k, row in enumerate(d)
    ]
    training = Training(pd.DataFrame({"epoch": [1, 2, 3]}), pd.concat(tables, ignore_index=True))
    kept = {"epoch": np.array([1, 2, 3]), "dev": {"distances": d, "same": same}}
    expected = payload.encode(payload.film(kept, "faces"))
    assert payload.encode(payload.film(training)) == expected
    assert payload.encode(payload.film(training.distances)) == expected


def test_saved_runs_are_found_with_their_titles_real_faces_first(tmp_path, report):
    for folder, source in (("a/01_first", "synthetic faces"), ("b/01_first", "LFW")):
        place = tmp_path / folder
        place.mkdir(parents=True)
        report.save(place / "test.npz")
        entries = [{"file": "test.npz", "prefix": "test", "title": "the baseline"}]
        gone = [{"file": "gone.npz", "prefix": "gone", "title": "not there"}]
        record = {"notebook": "01_first", "profile": folder[0], "parameters": {}}
        record |= {"data": {"source": source}, "reports": entries + gone}
        (place / "run.json").write_text(json.dumps(record))
    reports, films, about = payload.saved(tmp_path)
    assert list(reports) == ["01 · the baseline · b", "01 · the baseline · a"]
    assert films == {}
    assert about["01 · the baseline · b"]["folder"] == tmp_path / "b/01_first"


def test_a_script_element_cannot_be_closed_by_a_name():
    text = payload.inline({"name": "</script><b>"}, [b"\x00"])
    assert "<" not in text
    assert json.loads(text)["meta"]["name"] == "</script><b>"


def ask(explorer, **message):
    """Send what the browser would; return the answer and its buffers."""
    sent = []
    explorer.send = lambda content, buffers=None: sent.append((content, buffers))
    explorer._answer(None, {"ask": "1", **message}, message.pop("buffers", []))
    return sent[0]


@pytest.fixture(scope="module")
def faces(report):
    rng = np.random.default_rng(0)
    n = len(report.image_ids)
    names = tuple(f"Person_{k}" for k in range(n // 2))
    return Faces(
        rng.integers(0, 256, (n, 3, 16, 16), np.uint8),
        np.arange(n),
        np.tile(np.arange(n // 2), 2),
        names,
        np.repeat([1, 2], n // 2),
    )


def test_the_widget_keeps_no_pairs_in_its_state(report):
    explorer = Explorer({"a": report}, {}, None, {}, {})
    state = {k: v for k, v in explorer.get_state().items() if k not in ("_esm", "_css")}
    assert len(str(state)) < 1000
    answer, buffers = ask(explorer, kind="ready")
    assert len(decoded(answer["meta"], buffers)["runs"][0]["distances"]) == len(report)
    answer, buffers = ask(explorer, kind="intervals", run="a")
    assert decoded(answer["meta"], buffers)["n"] == 2000


def test_photos_are_the_pairs_own(report, faces):
    image = report.left_ids[0]
    explorer = Explorer({"a": report}, {}, faces, {}, {})
    answer, (jpeg,) = ask(explorer, kind="photos", run="a", images=[image])
    assert answer["images"] == [image]
    assert PIL.Image.open(io.BytesIO(jpeg)).size == (16, 16)


def test_without_photos_it_says_how_to_get_them(report, monkeypatch):
    monkeypatch.delenv("FACELAB_LFW", raising=False)
    explorer = Explorer({"a": report}, {}, None, {}, {})
    answer, buffers = ask(explorer, kind="photos", run="a", images=[report.left_ids[0]])
    assert answer["images"] == buffers == []
    assert "FACELAB_LFW" in answer["why"]


def test_two_photos_are_measured_as_the_model_embeds_them(report, faces):
    def by_colour(faces):
        return faces.images.mean(axis=(2, 3))

    explorer = Explorer({"a": report}, {}, faces, {"a": by_colour}, {})
    pixels = [faces.batch([row])[0].transpose(1, 2, 0) for row in (0, 7)]
    png = io.BytesIO()
    PIL.Image.fromarray(pixels[1]).save(png, "png")
    photos = [{"image": str(faces.image_ids[0])}, {"upload": True}]
    message = {"kind": "measure", "run": "a", "photos": photos, "buffers": [png.getvalue()]}
    answer, _ = ask(explorer, **message)
    a, b = by_colour(faces)[[0, 7]]
    expected = np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b))
    assert answer["distance"] == pytest.approx(expected, abs=1e-6)


def test_a_kept_network_measures_two_uploaded_photos(tmp_path, report, faces):
    torch.manual_seed(0)
    model = siamese_cnn(8, 16)
    about = {"name": "siamese_cnn", "embedding_size": 8, "image_size": 16}
    settings = {"image_size": 16, "crop": None, "threshold": report.threshold}
    save_network(tmp_path / "network.safetensors", model, about, **settings)
    kept, _ = load_network(tmp_path / "network.safetensors")
    explorer = Explorer({"a": report}, {}, None, {}, {"a": {"folder": tmp_path, "parameters": {}}})
    files = [io.BytesIO(), io.BytesIO()]
    for row, file in zip((0, 7), files, strict=True):
        PIL.Image.fromarray(faces.batch([row])[0].transpose(1, 2, 0)).save(file, "png")
    message = {"kind": "measure", "run": "a", "photos": [{"upload": True}] * 2}
    answer, _ = ask(explorer, **message, buffers=[file.getvalue() for file in files])
    a, b = embed(kept, faces, np.array([0, 7]))
    assert answer["distance"] == pytest.approx(np.linalg.norm(a - b), abs=1e-5)


def test_without_a_network_it_says_so(report):
    explorer = Explorer({"a": report}, {}, None, {}, {})
    message = {"kind": "measure", "run": "a", "photos": [{"upload": True}] * 2}
    answer, _ = ask(explorer, **message)
    assert "its network is not at hand" in answer["error"]


def test_explore_draws_the_first_state_as_a_figure(report, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    explorer = explore(report)
    (image,) = shown
    assert image.data.startswith(b"\x89PNG")
    assert list(explorer.reports) == ["faces, View 1 test"]


def test_an_executed_notebook_keeps_the_figure_and_drops_the_widget(tmp_path):
    display = {"output_type": "display_data", "metadata": {}}
    outputs = [display | {"data": {kind: "x", "text/plain": "y"}} for kind in ("image/png", WIDGET)]
    cell = nbformat.v4.new_code_cell("fl.explore()", outputs=list(map(nbformat.from_dict, outputs)))
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    nbformat.write(notebook, tmp_path / "a.ipynb")
    _strip(tmp_path / "a.ipynb")
    kept = nbformat.read(tmp_path / "a.ipynb", 4)
    assert "widgets" not in kept.metadata
    assert [list(output.data) for output in kept.cells[0].outputs] == [["image/png", "text/plain"]]


def test_explore_opens_on_the_committed_results(monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda _: None)
    monkeypatch.chdir(ROOT)
    explorer = explore()
    first = next(report for name, report in explorer.reports.items() if "01 · baseline" in name)
    assert first.source == "LFW deep-funneled"
    assert len(first) == 1000


def test_explore_says_where_it_looked_when_there_is_nothing(tmp_path, monkeypatch):
    (tmp_path / "outputs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="found none"):
        explore()
    with pytest.raises(ValueError, match="expected a report"):
        explore({})


def test_the_report_holds_the_explorer_and_nothing_from_elsewhere(tmp_path):
    out = tmp_path / "lfw-cpu"
    shutil.copytree(ROOT / "outputs/lfw-cpu", out)
    path = build_report(out)
    text = path.read_text()
    assert "mountPage(" in text
    assert path.stat().st_size < 3_000_000
    for sign in ('src="http', 'href="http', "import ", "@import"):
        assert sign not in text


def test_only_the_map_knows_the_widget():
    for path in (ROOT / "facelab").rglob("*.py"):
        if path.name not in ("explore.py", "__init__.py"):
            assert "facelab.explorer.widget" not in path.read_text(), path
            assert "anywidget" not in path.read_text(), path
