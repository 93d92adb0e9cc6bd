"""What the explorer hands to the browser is what verification says, and what it refuses."""

import io
import json
import os
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import torch

from facelab import plots
from facelab.data import alignment
from facelab.data.decoding import shrink
from facelab.data.lfw import load_lfw
from facelab.embedding import embed
from facelab.explorer import page, payload, widget
from facelab.explorer.shown import Film, Shown
from facelab.explorer.widget import Explorer, explore
from facelab.faces import Faces
from facelab.models import siamese_cnn
from facelab.study.execute import WIDGET, strip
from facelab.train import Training
from facelab.verification import Report, calibrate_report

ROOT = Path(__file__).parents[1]


def a_report(n=400, people=60, seed=0, threshold=0.9, **more):
    """Pairs of `people` with two images each; distances are rounded, so that there are ties."""
    rng = np.random.default_rng(seed)
    left = rng.integers(people, size=n)
    same = rng.random(n) < 0.5
    other = (left + rng.integers(1, people, size=n)) % people
    right = np.where(same, left, other) + people
    names = [f"Person_{k}" for k in range(people)]
    ids = [f"{name}_{i:04d}" for i in (1, 2) for name in names]
    d = np.where(same, rng.normal(0.8, 0.25, n), rng.normal(1.1, 0.2, n)).clip(0, 2).round(2)
    fields = {
        "f1_threshold": threshold + 0.05,
        "threshold_from": "best accuracy and best F1 on dev",
        "rule": "accuracy and f1",
        "name": "View 1 test",
        "role": "test",
    }
    fields |= more
    return Report(d, same, np.zeros(n), left, right, ids, names * 2, threshold, **fields)


@pytest.fixture(scope="module")
def report():
    return a_report()


def decoded(meta, buffers):
    """Undo `payload.pack`, as the browser does."""
    if isinstance(meta, list):
        return [decoded(v, buffers) for v in meta]
    if not isinstance(meta, dict):
        return meta
    if "$" in meta:
        return np.frombuffer(buffers[meta["$"]], meta["type"]).reshape(meta["shape"])
    return {k: decoded(v, buffers) for k, v in meta.items()}


def test_the_browser_gets_every_pair_exactly(report):
    meta, buffers = payload.payload([Shown("a", report)])
    data = decoded(json.loads(json.dumps(meta)), buffers)
    run, pairs = data["runs"][0], data["sets"][data["runs"][0]["set"]]
    assert np.array_equal(run["distances"], report.distances)
    assert np.array_equal(pairs["same"], report.same)
    images = np.array(pairs["images"])
    assert np.array_equal(images[pairs["left"]], report.left_ids)
    assert np.array_equal(images[pairs["right"]], report.right_ids)
    assert np.array_equal(np.array(pairs["people"])[pairs["person"]], report.people)
    assert run["threshold"] == report.threshold
    assert run["f1_threshold"] == report.f1_threshold


def test_facts_are_fields_whatever_the_texts_say():
    report = a_report(source="photographs, not synthetic", synthetic=False, role="dev", seen="x")
    drawn = Film(np.array([1]), "faces", True, {"dev": (np.ones((1, 2)), np.array([True, False]))})
    given = {"category": "label-free outside data", "outside_data": "ImageNet", "crop": 100}
    meta, _ = payload.payload([Shown("a", report, drawn, **given)])
    (run,), (film,) = meta["runs"], meta["films"]
    assert {k: run[k] for k in given} == given
    assert (run["synthetic"], run["role"], run["seen"], run["rule"]) == (
        False,
        "dev",
        "x",
        "accuracy and f1",
    )
    assert film["synthetic"] is True


def test_reports_on_the_same_pairs_share_them(report):
    others = [a_report(threshold=1.0), a_report(seed=1)]
    shown = [Shown(str(k), report) for k, report in enumerate([report, *others])]
    meta, _ = payload.payload(shown)
    assert [run["set"] for run in meta["runs"]] == [0, 0, 1]


def test_two_results_of_one_name_are_refused(report):
    with pytest.raises(ValueError, match="expected names that differ"):
        payload.payload([Shown("a", report), Shown("a", report)])


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


def test_intervals_are_those_of_the_report_at_its_thresholds(report):
    got, expected = payload.intervals(report), report.intervals()
    at_f1 = ("f1", "precision", "recall")
    for row, metric in enumerate(payload.METRICS):
        threshold = report.f1_threshold if metric in at_f1 else report.threshold
        k = list(got["thresholds"]).index(threshold)
        ends = (got["low"][row, k], got["high"][row, k])
        assert ends == pytest.approx(expected[metric], abs=1e-6)


def test_intervals_of_few_people_or_without_a_mistake_are_those_of_the_report():
    few = a_report(n=36, people=6)
    right = replace(few, distances=np.where(few.same, 0.5, 1.2))
    for report in (few, right):
        got, expected = payload.intervals(report), report.intervals()
        k = list(got["thresholds"]).index(report.threshold)
        for metric in ("accuracy", "far", "frr"):
            row = payload.METRICS.index(metric)
            assert (got["low"][row, k], got["high"][row, k]) == pytest.approx(expected[metric])
            assert got["low"][row, k] < got["high"][row, k]


def test_intervals_hold_every_button(report):
    got = payload.intervals(report)
    chosen = [value for value, _ in payload.buttons(report).values()]
    assert set(chosen) <= set(got["thresholds"])


def test_what_a_distance_says_is_the_networks_calibration_else_one_of_the_runs_pairs(report):
    own = calibrate_report(report, n=100)
    got = payload.resampled(Shown("a run", report))["calibration"]
    np.testing.assert_array_equal(got["log_lr"], np.float32(own.log_lr))
    np.testing.assert_array_equal(got["low"], np.float32(own.low))
    assert got["on"].startswith("the tested pairs themselves")
    kept = replace(own, log_lr=own.log_lr + 1)
    got = payload.resampled(Shown("a run", report, calibration=kept))["calibration"]
    np.testing.assert_array_equal(got["log_lr"], np.float32(kept.log_lr))
    assert "dev people" in got["on"]
    of_few = payload.resampled(Shown("few", a_report(n=12, people=3)))
    assert of_few["calibration"] is None and of_few["n"]


def test_many_pairs_get_fewer_resamples():
    few = payload.intervals(a_report(n=200_000, people=500))
    assert few["n"] == 200


@pytest.mark.parametrize("same", [True, False])
def test_one_kind_of_pairs_is_no_error(report, same):
    kept = report.same == same
    per_pair = ("distances", "same", "fold", "left", "right", "known_errors")
    arrays = {k: getattr(report, k)[kept] for k in per_pair}
    lone = replace(report, **arrays)
    meta, _ = payload.payload([Shown("lone", lone)])
    assert all(value is None for value, _ in meta["runs"][0]["buttons"].values())
    assert meta["runs"][0]["auc"] is None


def test_a_million_pairs_need_few_bytes_each():
    _, buffers = payload.payload([Shown("a", a_report(n=100_000))], with_intervals=False)
    assert sum(map(len, buffers)) < 10 * 100_000


def test_a_film_counts_every_watched_pair_in_every_epoch():
    rng = np.random.default_rng(0)
    same = rng.random(300) < 0.5
    d = np.float16(rng.random((4, 300)) * 2)
    (split,) = Film(np.arange(1, 5), "faces", False, {"dev": (d, same)}).counted()["splits"]
    assert split["auc"].shape == (4,)
    for kind, chosen in (("same", same), ("different", ~same)):
        assert (split[kind]["counts"].sum(axis=1) == chosen.sum()).all()
        assert split[kind]["n"] == chosen.sum()
        means = d[:, chosen].astype(np.float32).mean(axis=1)
        assert split[kind]["mean"] == pytest.approx(means, abs=1e-3)


@pytest.fixture(scope="module")
def training():
    """Three epochs, watched on dev and train people of drawn faces."""
    rng = np.random.default_rng(0)
    same = rng.random(40) < 0.5
    tables = []
    for epoch in (1, 2, 3):
        for split in ("train", "dev"):
            fields = {"epoch": epoch, "split": split, "role": split, "source": "faces"}
            d = np.float16(rng.random(40) * 2)
            tables.append(pd.DataFrame(fields | {"synthetic": True, "distance": d, "same": same}))
    history = pd.DataFrame({"epoch": [1, 2, 3]})
    return Training(history, pd.concat(tables, ignore_index=True), {})


def test_a_training_makes_the_same_film_as_what_a_run_keeps_of_it(tmp_path, training):
    film = Film.of(training)
    film.save(tmp_path / "film.npz")
    kept = Film.load(tmp_path / "film.npz", "faces", True)
    assert list(kept.splits) == ["train", "dev"]
    expected = payload.pack(film.counted())
    assert payload.pack(kept.counted()) == expected
    assert payload.pack(Film.of(training.distances).counted()) == expected


NO_FILM = "film.npz: expected a film of a training, got"
GOOD_FILM = {"epoch": np.arange(2), "dev_same": np.array([True, False, True])}
GOOD_FILM |= {"dev_distance": np.ones((2, 3))}


def test_a_film_that_is_damaged_or_of_another_kind_is_named(tmp_path, training):
    path = tmp_path / "film.npz"
    Film.of(training).save(path)
    whole = path.read_bytes()
    for data in (b"", b"no film", whole[:500], whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=f"{NO_FILM}.*; delete it"):
            Film.load(path)
    for arrays in (
        {},
        {"dev_same": np.ones(3, bool)},
        {"epoch": np.ones(2), "dev_same": np.ones(3)},
        GOOD_FILM | {"dev_distance": np.full((2, 3), np.nan)},
        GOOD_FILM | {"dev_same": np.array(["yes", "no", "no"])},
        GOOD_FILM | {"epoch": np.array(["first", "last"])},
        GOOD_FILM | {"dev_distance": np.ones((2, 4))},
        GOOD_FILM | {"dev_same": np.ones(0, bool), "dev_distance": np.ones((2, 0))},
        GOOD_FILM | {"dev_distance": np.full((2, 3), 1e300)},
        {"epoch": np.ones((2, 3)), "dev_same": np.array(True), "dev_distance": np.ones((2, 3))},
        {"epoch": np.ones(2)},
    ):
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=f"{NO_FILM}.*; delete it"):
            Film.load(path)
    np.savez(path, **GOOD_FILM)
    Film.load(path).counted()


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


def the_widget(*shown, faces=None):
    return Explorer(list(shown), faces)


def by_colour(faces):
    """Embed an image as its mean colour."""
    return faces.images.mean(axis=(2, 3))


def apart(a, b):
    """Distance between two embeddings on the unit sphere."""
    return np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b))


def test_the_widget_keeps_no_pairs_in_its_state(report):
    explorer = the_widget(Shown("a", report))
    state = {k: v for k, v in explorer.get_state().items() if k not in ("_esm", "_css")}
    assert len(str(state)) < 1000
    answer, buffers = ask(explorer, kind="ready")
    assert len(decoded(answer["meta"], buffers)["runs"][0]["distances"]) == len(report)
    answer, buffers = ask(explorer, kind="intervals", run="a")
    assert decoded(answer["meta"], buffers)["n"] == 2000


@pytest.fixture(scope="module")
def faces(report):
    rng = np.random.default_rng(0)
    n = len(report.image_ids)
    return Faces(
        rng.integers(0, 256, (n, 3, 16, 16), np.uint8),
        np.arange(n),
        np.tile(np.arange(n // 2), 2),
        tuple(report.people[: n // 2]),
        np.repeat([1, 2], n // 2),
    )


def test_photos_are_the_pairs_own(report, faces):
    image = report.left_ids[0]
    answer, (jpeg,) = ask(
        the_widget(Shown("a", report), faces=faces), kind="photos", run="a", images=[image]
    )
    assert answer["images"] == [image]
    assert PIL.Image.open(io.BytesIO(jpeg)).size == (16, 16)


def test_without_photos_it_says_how_to_get_them(report, monkeypatch):
    monkeypatch.delenv("FACELAB_LFW", raising=False)
    explorer = the_widget(Shown("a", report, data="lfw"), Shown("b", report))
    for run, why in (("a", "FACELAB_LFW"), ("b", "faces=...")):
        answer, buffers = ask(explorer, kind="photos", run=run, images=[report.left_ids[0]])
        assert answer["images"] == buffers == []
        assert why in answer["why"]


def of_copy(root, small_protocol, **more):
    """Show one pair of the copy that `write_copy` wrote."""
    people = [name for name, n in small_protocol.counts.items() if n > 1][:2]
    ids = [f"{name}_{i:04d}" for name in people for i in (1, 2)]
    report = Report([0.5], [False], [0], [0], [2], ids, np.repeat(people, 2), 0.6)
    return Shown("a", report, data=str(root), crop=20, image_size=16, **more)


def packed(path, root):
    """Pack the folder of a copy, as the mirror does."""
    with tarfile.open(path, "w:gz") as tar:
        tar.add(root / "lfw", "lfw")
    return path


@pytest.mark.parametrize("archive", [False, True])
def test_photos_come_from_a_folder_and_from_an_archive(
    tmp_path, write_copy, small_protocol, archive
):
    root = write_copy(tmp_path, "lfw")
    if archive:
        root = packed(tmp_path / "lfw.tgz", root)
    shown = of_copy(root, small_protocol)
    image = shown.report.left_ids[0]
    answer, out = ask(the_widget(shown), kind="photos", run="a", images=[image])
    assert (answer["images"], answer["why"]) == ([image], "")
    assert PIL.Image.open(io.BytesIO(out[0])).size == (128, 128)
    expected = load_lfw(tmp_path / "lfw", image_size=16, crop=20, progress=False)
    row = list(expected.image_ids).index(image)
    assert np.array_equal(widget.pixels(shown, image, 16), expected.images[row])


@pytest.mark.parametrize("kind", ["photos", "measure"])
def test_only_images_of_the_report_are_answered_and_no_path_is_made_of_others(
    tmp_path, write_copy, small_protocol, monkeypatch, kind
):
    root = write_copy(tmp_path / "copy", "lfw")
    shown = of_copy(root, small_protocol, embed=by_colour)
    inside = shown.report.left_ids[0]
    unlisted = [f"{name}_0001" for name in small_protocol.counts][-1]
    outside = tmp_path / "IMG_1234.jpg"
    PIL.Image.new("RGB", (200, 200)).save(outside)
    asked = [str(outside), str(outside.with_suffix("")), "../../IMG_1234", unlisted]
    asked += [f"../lfw/{inside}", f"{inside}/", "", "\0", inside.lower(), [inside], None, 0]
    explorer = the_widget(shown)
    monkeypatch.setattr(widget, "find", lambda _: pytest.fail("a path was made"))
    for image in asked:
        message = {"images": [image]}
        if kind == "measure":
            message = {"photos": [{"image": image}, {"image": image}]}
        answer, out = ask(explorer, kind=kind, run="a", **message)
        assert out == []
        assert not answer.get("images") and "distance" not in answer
        assert answer["why"].startswith("expected an image of a, got")
        assert "\n" not in answer["why"]


def test_a_run_that_is_not_there_and_a_request_that_makes_no_sense_are_refused(report, faces):
    explorer = the_widget(Shown("a", report, embed=by_colour), faces=faces)
    for message in (
        {"kind": "photos", "run": "b", "images": []},
        {"kind": "intervals", "run": "b"},
    ):
        assert "expected a run of this explorer, got 'b'" in ask(explorer, **message)[0]["error"]
    assert "error" in ask(explorer, kind="nothing")[0]
    answer, _ = ask(explorer, kind="measure", run="a", photos=[{"upload": True}] * 2)
    assert "not an image" in answer["error"]
    one = [{"image": report.left_ids[0]}]
    assert (
        "expected two photos, got 1"
        in ask(explorer, kind="measure", run="a", photos=one)[0]["error"]
    )


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"kind": ["ready"]},
        {"kind": "n" * 10_000_000},
        {"kind": "photos"},
        {"kind": "photos", "run": ["a"]},
        {"kind": "photos", "run": "a", "images": 3},
        {"kind": "photos", "run": "a", "images": ["x\n" * 5_000_000]},
        {"kind": "measure", "run": "a", "photos": None},
        {"kind": "measure", "run": "a", "photos": [1, 2]},
        {"kind": "measure", "run": "a", "photos": [{"image": "y" * 10_000_000}, {}]},
        {"kind": "intervals", "run": {}},
    ],
)
def test_whatever_is_asked_the_answer_is_one_short_line(report, faces, message):
    explorer = the_widget(Shown("a", report, embed=by_colour, image_size=16), faces=faces)
    answer, out = ask(explorer, **message)
    assert (answer["ask"], out) == ("1", [])
    assert 0 < len(answer["why"]) < 350
    assert "\n" not in answer["why"]


def test_a_message_that_is_no_dict_and_a_network_that_fails_are_answered(report):
    def fails(faces):
        raise RuntimeError("shapes\ndo not fit")

    explorer, sent = the_widget(Shown("a", report, embed=fails, image_size=16)), []
    explorer.send = lambda content, buffers=None: sent.append(content)
    explorer._answer(None, ["ready"], [])
    assert "expected a request for ready, intervals, photos, measure" in sent[0]["error"]
    message = {"kind": "measure", "run": "a", "photos": [{"upload": True}] * 2}
    files = [as_file(np.zeros((16, 16, 3), np.uint8))] * 2
    answer, _ = ask(explorer, **message, buffers=files)
    assert answer["error"] == "RuntimeError: shapes do not fit"


def test_no_name_of_a_report_leads_out_of_the_photos(tmp_path, write_copy, small_protocol):
    root = write_copy(tmp_path / "copy", "lfw")
    for folder in (tmp_path, root):
        PIL.Image.new("RGB", (200, 200)).save(folder / "secret.jpg")
    shown = of_copy(root, small_protocol)
    inside = shown.report.image_ids[0]
    for person, image in (
        ("../../..", "secret"),
        ("..", "secret"),
        (".", "secret"),
        (str(tmp_path), "secret"),
        (shown.report.people[0], "../../../secret"),
        (shown.report.people[0], str(tmp_path / "secret")),
        (f"{shown.report.people[0]}/.", inside),
    ):
        ids, people = [image, *shown.report.image_ids[1:]], [person, *shown.report.people[1:]]
        people[1] = person
        foreign = replace(shown.report, image_ids=np.array(ids), people=np.array(people))
        explorer = the_widget(replace(shown, report=foreign))
        answer, out = ask(explorer, kind="photos", run="a", images=[image])
        assert out == []
        assert "expected names without folders" in answer["why"]


def test_photos_of_ones_own_come_from_faces(faces, report):
    ids = [f"{person}/{k}.png" for k, person in enumerate(report.people)]
    own, mine = replace(report, image_ids=np.array(ids)), replace(faces, ids=np.array(ids))
    shown = Shown("a", own, data="mine")  # as a record of `load_faces` says
    answer, _ = ask(the_widget(shown), kind="photos", run="a", images=ids[:1])
    assert answer["why"] == "these faces are not at hand: pass faces=... to fl.explore"
    answer, _ = ask(the_widget(shown, faces=mine), kind="photos", run="a", images=ids[:1])
    assert (answer["images"], answer["why"]) == (ids[:1], "")


def as_file(pixels, form="png"):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def test_a_photo_that_is_too_large_or_of_another_kind_is_refused():
    wide = as_file(np.zeros((8001, 8001), np.uint8))
    assert len(wide) < 100_000
    with pytest.raises(ValueError, match="expected at most 64,000,000 pixels, got 8001 x 8001"):
        widget.uploaded(wide, 16, None)
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'></svg>"
    for other in (b"", b"no photo", svg, as_file(np.zeros((9, 9), np.uint8), "gif")):
        with pytest.raises(ValueError, match="not an image that Pillow can read as JPEG, PNG"):
            widget.uploaded(other, 16, None)
    with pytest.raises(ValueError, match="expected a photo of 10,000,000 bytes or fewer, got 10,0"):
        widget.uploaded(bytes(10_000_001), 16, None)
    moving = io.BytesIO()
    frames = [PIL.Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    frames[0].save(moving, "png", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="expected one picture, got an animation of 2"):
        widget.uploaded(moving.getvalue(), 16, None)
    whole = as_file(np.random.default_rng(0).integers(0, 256, (99, 99, 3), np.uint8), "jpeg")
    with pytest.raises(ValueError, match="."):
        widget.uploaded(whole[: len(whole) // 2], 16, None)
    with pytest.raises(ValueError, match="expected at least 128 x 128 pixels, got 99 x 99"):
        widget.uploaded(whole, 16, 128)
    assert np.array_equal(widget.uploaded(whole, 16, 250, 250), widget.uploaded(whole, 16, None))


def test_two_photos_are_measured_as_the_model_embeds_them(report, faces):
    explorer = the_widget(Shown("a", report, embed=by_colour, image_size=16), faces=faces)
    upload = as_file(faces.batch([7])[0].transpose(1, 2, 0))
    asked = [{"image": str(faces.image_ids[0])}, {"upload": True}]
    answer, _ = ask(explorer, kind="measure", run="a", photos=asked, buffers=[upload])
    a, b = by_colour(faces)[[0, 7]]
    assert answer["distance"] == pytest.approx(apart(a, b), abs=1e-6)


def test_a_network_of_aligned_photos_gets_them_aligned(report, faces, searched, monkeypatch):
    one = Shown("a", report, embed=by_colour, image_size=16, crop=112, side=250, aligned=True)
    photo = PIL.Image.effect_mandelbrot((200, 160), (-2, -1, 1, 1), 9).convert("RGB")
    message = {"kind": "measure", "run": "a", "photos": [{"upload": True}] * 2}
    explorer, files = the_widget(one), [as_file(np.asarray(photo)), as_file(faces.images[0].T)]
    answer, _ = ask(explorer, **message, buffers=files[:1] * 2)
    assert (answer["distance"], searched) == (0, [(200, 160)] * 2)
    upright = photo.crop((0, 0, 112, 112))  # the landmarks are the template's own
    seen = widget.uploaded(files[0], 16, 112, 250, True)
    assert np.abs(seen - shrink(upright, 16, None).astype(int)).max() < 3
    answer, _ = ask(explorer, **message, buffers=files)  # the second is too small for a face
    assert answer["error"] == "expected a face, found none"
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    alignment._detector.cache_clear()
    answer, _ = ask(explorer, **message, buffers=files)
    assert answer["error"].startswith("expected the detector of facelab[align], got ")


def test_a_network_measures_two_uploaded_photos(report, faces):
    torch.manual_seed(0)
    model = siamese_cnn(8, 16).eval()
    one = Shown("a", report, embed=lambda faces: embed(model, faces), image_size=16)
    files = [as_file(faces.batch([row])[0].transpose(1, 2, 0)) for row in (0, 7)]
    message = {"kind": "measure", "run": "a", "photos": [{"upload": True}] * 2}
    answer, _ = ask(the_widget(one), **message, buffers=files)
    a, b = embed(model, faces, np.array([0, 7]))
    assert answer["distance"] == pytest.approx(np.linalg.norm(a - b), abs=1e-5)


@pytest.mark.parametrize("crop", [None, 20, 40])
def test_the_very_file_of_a_photo_lies_at_distance_zero(tmp_path, write_copy, small_protocol, crop):
    def pixels(faces):
        return faces.images.reshape(2, -1).astype(np.float64)

    root = write_copy(tmp_path, "lfw")
    shown = replace(of_copy(root, small_protocol, embed=pixels), crop=crop)
    image, person = shown.report.left_ids[0], shown.report.people[0]
    path = root / "lfw" / person / f"{image}.jpg"
    faces = load_lfw(root / "lfw", image_size=16, crop=crop, progress=False)
    message = {"kind": "measure", "run": "a", "photos": [{"image": image}, {"upload": True}]}
    as_png = as_file(np.asarray(PIL.Image.open(path)))
    for explorer in (the_widget(shown), the_widget(replace(shown, data=""), faces=faces)):
        for upload in (path.read_bytes(), as_png):
            answer, _ = ask(explorer, **message, buffers=[upload])
            assert answer["distance"] == 0


def test_a_photo_of_a_run_of_aligned_photos_is_aligned_as_its_file_is(
    tmp_path, write_copy, small_protocol, searched
):
    root = write_copy(tmp_path, "lfw", size=200)
    shown = replace(of_copy(root, small_protocol, embed=by_colour), crop=112, aligned=True)
    image, person = shown.report.left_ids[0], shown.report.people[0]
    upload = (root / "lfw" / person / f"{image}.jpg").read_bytes()
    message = {"kind": "measure", "run": "a", "photos": [{"image": image}, {"upload": True}]}
    answer, _ = ask(the_widget(shown), **message, buffers=[upload])
    assert (answer["distance"], len(searched)) == (0, 2)


def test_without_a_network_it_says_so(report):
    message = {"kind": "measure", "run": "a", "photos": [{"upload": True}] * 2}
    answer, _ = ask(the_widget(Shown("a", report)), **message)
    assert "its network is not at hand" in answer["error"]


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def test_explore_draws_the_first_state_as_a_figure(report, displayed):
    explorer = explore(report)
    (image,) = displayed
    assert image.data.startswith(b"\x89PNG")
    assert [one.name for one in explorer.shown] == ["faces, View 1 test"]


def test_an_executed_notebook_keeps_the_figure_and_drops_the_widget(tmp_path):
    display = {"output_type": "display_data", "metadata": {}}
    outputs = [display | {"data": {kind: "x", "text/plain": "y"}} for kind in ("image/png", WIDGET)]
    cell = nbformat.v4.new_code_cell("fl.explore()", outputs=list(map(nbformat.from_dict, outputs)))
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {"state": {}}})
    nbformat.write(notebook, tmp_path / "a.ipynb")
    strip(tmp_path / "a.ipynb", tmp_path / "a.ipynb")
    kept = nbformat.read(tmp_path / "a.ipynb", 4)
    assert "widgets" not in kept.metadata
    assert [list(output.data) for output in kept.cells[0].outputs] == [["image/png", "text/plain"]]


def test_explore_puts_what_belongs_to_a_name_together(report, faces, training, displayed):
    reports = {"a": report, "b": a_report(seed=1)}
    films = {"b": training, "c": training.distances}
    explorer = explore(reports, films, replace(faces, crop=12), {"b": by_colour})
    a, b, c = explorer.shown
    assert (a.report, a.film, a.embed) == (report, None, None)
    assert (b.report, b.embed, b.image_size, b.crop) == (reports["b"], by_colour, 16, 12)
    assert list(b.film.splits) == ["train", "dev"]
    assert (c.name, c.report) == ("c", None)
    (a,) = explore(report, training, faces, by_colour).shown
    assert a.film.synthetic
    assert (a.embed, a.crop) == (by_colour, None)


def test_explore_opens_on_the_best_one_and_draws_it(report, displayed, monkeypatch):
    best = a_report(seed=1)
    drawn, plot = [], plots.plot_distances
    monkeypatch.setattr(plots, "plot_distances", lambda one: drawn.append(one) or plot(one))
    shown = [Shown("film"), Shown("a", report, group="01"), Shown("b", best, is_best=True)]
    meta, _ = payload.payload(explore(shown).shown)
    assert drawn == [best]
    assert meta["first"] == 1
    assert [run["group"] for run in meta["runs"]] == ["01", ""]
    assert payload.payload(shown[:2])[0]["first"] == 0


def test_explore_takes_what_study_found(report, displayed):
    shown = [Shown("a", report), Shown("b", film=None, report=a_report(seed=1))]
    assert explore(shown).shown == shown


def test_explore_says_what_is_missing(report, displayed):
    with pytest.raises(ValueError, match="expected a report or more"):
        explore({})
    for nothing in ([], [Shown("a", problem="is empty")]):  # the page says what to do
        answer, buffers = ask(explore(nothing), kind="ready")
        assert decoded(answer["meta"], buffers)["runs"] == []
    assert answer["meta"]["problems"] == [{"name": "a", "why": "is empty"}]
    assert displayed == []
    with pytest.raises(ValueError, match="expected faces=... beside model=..."):
        explore(report, model=by_colour)

    with pytest.raises(ValueError, match="expected reports by name beside .* model=.*, got a list"):
        explore([Shown("a", report)], model=by_colour)


def test_the_front_end_brings_everything_and_searches_no_text():
    script, style = payload.front_end()
    assert "function mountPage(" in script
    for sign in ("http:", "https:", "import ", "@import", "url(h"):
        assert sign not in (script + style).replace("http://www.w3.org/2000/svg", "")
    for sign in ("source.includes", "lastIndexOf", 'startsWith("pixels'):
        assert sign not in script


def test_the_page_is_for_this_machine_and_for_who_has_the_token(monkeypatch, tmp_path):
    started = []
    monkeypatch.setattr("voila.app.Voila.launch_instance", lambda *args, **of: started.append(of))
    monkeypatch.setenv("JUPYTER_PATH", "own")
    monkeypatch.setenv("FACELAB_LFW", "photos")
    monkeypatch.chdir(tmp_path)
    page.serve(["explore.ipynb"])
    server, shown = (started[0]["config"][name] for name in ("Voila", "VoilaConfiguration"))
    assert (server.ip, server.auto_token) == ("127.0.0.1", True)
    assert server.tornado_settings["allow_remote_access"] is False
    assert "default-src 'self'" in server.tornado_settings["headers"]["Content-Security-Policy"]
    assert shown.file_allowlist == []
    assert os.environ["JUPYTER_PATH"] == os.pathsep.join([str(payload.WEB), "own"])
    assert os.environ["FACELAB_LFW"] == str(tmp_path / "photos")  # the kernel works elsewhere


def test_the_explorer_does_without_study():
    for path in (ROOT / "facelab/explorer").glob("*.py"):
        assert "facelab.study" not in path.read_text(), path


def test_only_the_map_knows_the_widget():
    for path in (ROOT / "facelab").rglob("*.py"):
        if path.name not in ("widget.py", "__init__.py"):
            assert "explorer.widget" not in path.read_text(), path
            assert "anywidget" not in path.read_text(), path
