"""A folder of people and two photos, verified with a kept network from the command line."""

import importlib.util
import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from records import make_record, write_record
from test_onnx import flat

import facelab as fl
from facelab.data.alignment import framed
from facelab.data.copies import side_of
from facelab.data.decoding import decode
from facelab.explorer.payload import resampled
from facelab.explorer.widget import uploaded
from facelab.files import alone_in
from facelab.study.chosen import FIELDS
from facelab.study.commands import main
from facelab.study.photos import (
    NETWORK,
    UNCALIBRATED,
    compare_photos,
    values_of,
    verify_folder,
)
from facelab.study.results import load_shown
from facelab.verification import Calibration

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxruntime", "onnxscript")),
    reason="facelab[onnx] is not installed",
)
needs_detector = pytest.mark.skipif(
    importlib.util.find_spec("facenet_pytorch") is None, reason="facelab[align] is not installed"
)


@pytest.fixture
def network(tmp_path):
    """An untrained network of framed photos, with a calibration of its own."""
    return save_network(tmp_path / "own.safetensors")


def save_network(path, **settings):
    torch.manual_seed(0)
    about = {"name": "siamese_cnn", "embedding_size": 8, "image_size": 16, "channels": (8, 8)}
    model = fl.siamese_cnn(8, 16, channels=(8, 8))
    known = {"image_size": 16, "crop": None, "flip": False, "threshold": 0.5}
    fl.save_network(path, model, about, **known | settings)
    return path


@pytest.fixture
def photos(tmp_path):
    """Twelve people, five photos each: a colour with noise."""
    return write_photos(tmp_path / "mine")


def write_photos(root, n=12, seed=0):
    rng = np.random.default_rng(seed)
    for person in range(n):
        colour = rng.integers(40, 215, 3)
        folder = root / f"Person {person}"
        folder.mkdir(parents=True)
        for number in range(5):
            pixels = np.clip(colour + rng.normal(0, 12, (40, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).resize((80, 80)).save(folder / f"IMG_{number}.JPG")
    return root


def test_a_folder_of_people_becomes_a_report(photos, network, tmp_path):
    report, page, missing, sure = verify_folder(photos, network, tmp_path / "out")
    assert report.role == "test" and len(np.unique(report.people)) == 6
    assert report.source == "faces in mine" and not report.synthetic and missing is None
    assert "faces in mine" in page.read_text(encoding="utf-8")
    record = json.loads((tmp_path / "out" / "photos" / "run.json").read_text())
    assert record["command"] == "facelab verify mine --model own.safetensors --out out"
    assert record["reports"][0]["category"] == "labelled outside data"
    assert {figure["file"] for figure in record["figures"]} >= {"distances.png", "calibration.png"}
    (shown,) = load_shown(tmp_path / "out")
    assert shown.calibration.as_plain() == sure.as_plain() and sure.n_people == 6
    assert resampled(shown)["calibration"]["on"].startswith("dev people")
    record["reports"][0]["calibration"]["low"] = [1]
    write_record(tmp_path / "out" / "photos", record)
    shown, problem = load_shown(tmp_path / "out")
    assert shown.calibration is None and "run.json: expected a calibration" in problem.problem


def test_the_command_prints_a_table_or_json_and_where_the_report_is(photos, network, tmp_path):
    command = ["verify", str(photos), "--model", str(network), "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(main, command)
    assert said.exit_code == 0 and "accuracy" in said.output and "report.html" in said.output
    assert "best accuracy" in said.output
    told = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert {row["metric"] for row in told["rates"]} >= {"accuracy", "far", "frr", "auc"}
    assert told["without_a_face"] is None and told["report"].endswith("report.html")
    assert f"threshold {told['threshold']:.3f}: " in said.output
    cost = told["cllr"]
    assert (cost["people"], cost["calibrated_on"]) == (6, 6) and 0 <= cost["after"] < cost["before"]
    words = f"Cllr {cost['before']:.3f} before, {cost['after']:.3f} after calibration, on the 6 "
    assert f"{words}tested people; calibrated on 6 dev people\n" in said.output


def test_two_photos_are_decided_at_the_networks_own_threshold(photos, network):
    a, b = (photos / "Person 1" / f"IMG_{k}.JPG" for k in (0, 1))
    found = compare_photos(a, b, network)
    assert found["same"] == (found["distance"] < 0.5) and "p_same" not in found
    assert compare_photos(a, a, network)["distance"] == pytest.approx(0, abs=1e-6)
    said = CliRunner().invoke(main, ["verify", str(a), str(b), "--model", str(network)])
    assert "threshold 0.500" in said.output
    assert said.output.splitlines()[1] == f"P(same) unknown: {UNCALIBRATED}"


@needs_onnx
def test_an_onnx_file_takes_the_place_of_the_network_that_it_came_from(photos, network, tmp_path):
    exported = tmp_path / "own.onnx"
    about = {"flip": True, "training": "my own photos"}
    fl.export_onnx(network, exported, **about)
    a, b = (photos / "Person 1" / f"IMG_{k}.JPG" for k in (0, 1))
    found = compare_photos(a, b, exported)
    model, _ = fl.load_network(network)
    pixels = np.stack([decode(photo, 16) for photo in (a, b)])
    rows = np.arange(2)
    faces = fl.Faces(pixels, rows, rows, ("a", "b"), rows)
    left, right = fl.embed(model, faces, flip=True)
    assert found["distance"] == pytest.approx(np.linalg.norm(left - right), abs=1e-5)
    report, *_ = verify_folder(photos, exported, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "photos" / "run.json").read_text())
    (entry,) = record["reports"]
    assert entry["outside_data"] == "my own photos" and entry["model"]["file"] == "own.onnx"
    assert len(np.unique(report.people)) == 6


def test_a_network_that_says_too_little_is_one_line(photos, tmp_path):
    about = {"name": "siamese_cnn", "embedding_size": 8, "image_size": 16, "channels": (8, 8)}
    bare = tmp_path / "bare.safetensors"
    photo = photos / "Person 1" / "IMG_0.JPG"
    for settings, missing in (({}, "image_size"), ({"image_size": 16}, "threshold")):
        fl.save_network(bare, fl.siamese_cnn(8, 16, channels=(8, 8)), about, **settings)
        with pytest.raises(ValueError, match=f"expected a network with its {missing}, got"):
            compare_photos(photo, photo, bare)


def test_a_photo_that_cannot_be_read_is_named(photos, network, tmp_path):
    good, bad = photos / "Person 1" / "IMG_0.JPG", tmp_path / "bad.jpg"
    bad.write_bytes(b"no photo")
    said = CliRunner().invoke(main, ["verify", str(good), str(bad), "--model", str(network)])
    assert said.exit_code == 2
    assert said.stderr.startswith(f"facelab: {bad}: not an image") and said.stderr.count("\n") == 1


def test_a_prior_that_is_none_is_refused_without_a_calibration_too(photos, network):
    photo = photos / "Person 1" / "IMG_0.JPG"
    with pytest.raises(ValueError, match="expected prior a finite number from 0 to 1, got 7"):
        compare_photos(photo, photo, network, prior=7)


def test_a_second_writer_into_one_folder_is_refused(photos, network, tmp_path):
    out = tmp_path / "out"
    with alone_in(out), pytest.raises(ValueError, match="expected a folder of its own, got one"):
        verify_folder(photos, network, out)


def test_a_ratio_without_an_end_is_null_in_json(network, monkeypatch):
    found = {"distance": 0.2, "lr_high": float("inf")}
    monkeypatch.setattr("facelab.study.photos.compare_photos", lambda *_: found)
    said = CliRunner().invoke(main, ["verify", "a.jpg", "b.jpg", "--json"])
    assert json.loads(said.stdout, parse_constant=None) == {"distance": 0.2, "lr_high": None}


@pytest.mark.parametrize(
    ("photos_given", "message"),
    [(["a", "b", "c"], "expected a folder or two photos, got 3 names"), (["nothing"], "nothing")],
)
def test_what_cannot_be_verified_is_one_line(photos_given, message, network, tmp_path):
    command = ["verify", *photos_given, "--model", str(network), "--out", str(tmp_path)]
    said = CliRunner().invoke(main, command)
    assert said.exit_code == 2 and message in said.output
    assert said.output.count("\n") == 1


def test_a_calibration_survives_the_way_through_a_file():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(30), 4)
    x = np.eye(30)[labels] + rng.normal(0, 0.2, (120, 30))
    faces = fl.Faces(
        packed=np.zeros((120, 3, 2, 2), np.uint8),
        rows=np.arange(120),
        labels=labels,
        names=tuple(f"P{k:02}" for k in range(30)),
        numbers=np.tile(np.arange(1, 5), 30),
    )
    known = fl.calibrate(x, faces, n=20)
    again = Calibration.of_plain(json.loads(json.dumps(known.as_plain())))
    assert again.n_people == known.n_people == 30 and not again.people
    assert again.as_plain() == known.as_plain() and "30 people" in repr(again)
    before, after = (one.how_sure([0.4, 0.9, 1.4]) for one in (known, again))
    np.testing.assert_allclose(before, after, rtol=1e-3)
    with pytest.raises(ValueError, match="expected low of shape .801,., got shape .2,."):
        Calibration.of_plain(known.as_plain() | {"low": [1, 2]})


def test_the_network_out_of_the_box_is_the_records_own():
    model, settings = fl.load_network(NETWORK)
    folder = NETWORK.parents[2] / "outputs" / "lfw" / "10_best_recipe"
    kept, of_record = fl.load_network(folder / "the-recipe-aligned.safetensors")
    for name, weights in kept.state_dict().items():
        assert torch.equal(weights, model.state_dict()[name])
    assert settings["threshold"] == of_record["threshold"] and settings["aligned"]
    sure = Calibration.of_plain(settings["calibration"]).how_sure([0.6, settings["threshold"], 1.5])
    assert sure["p_same"].is_monotonic_decreasing
    assert (sure["p_low"] <= sure["p_same"]).all() and (sure["p_same"] <= sure["p_high"]).all()


def verified(folder, network, out, **options):
    """Verify a folder; return how many people the record has, and its entries."""
    verify_folder(folder, network, out, **options)
    record = json.loads((out / "photos" / "run.json").read_text())
    return record["data"]["people"], record


def test_each_folder_is_aligned_apart_and_only_what_is_in_it_is_loaded(photos, tmp_path, searched):
    network, out = save_network(tmp_path / "aligned.safetensors", aligned=True), tmp_path / "out"
    n_people, mine = verified(photos, network, out)
    assert n_people == 12 and mine["data"]["source"] == "faces in mine, aligned"
    other = write_photos(tmp_path / "theirs", n=9, seed=1)
    n_people, theirs = verified(other, network, out)
    assert n_people == 9 and theirs["data"]["images"] == len(searched) - 60 == 45
    (photos / "Person 0" / "IMG_0.JPG").unlink()
    again = verified(photos, network, out)[1]
    assert again["data"]["images"] == 59 and len(searched) == 105
    roots = [record["data"]["root"] for record in (mine, theirs, again)]
    assert roots[0] == roots[2] != roots[1]


@pytest.mark.parametrize("is_aligned", [False, True])
def test_what_is_written_among_the_people_is_nobody(
    photos, tmp_path, monkeypatch, searched, is_aligned
):
    network = save_network(tmp_path / "network.safetensors", aligned=is_aligned)
    monkeypatch.chdir(photos)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*outputs .a folder without a photo")
        for _ in range(2):
            n_people, record = verified(".", network, Path("outputs/photos"))
            assert n_people == 12 and record["data"]["source"].startswith("faces in mine")
    with pytest.raises(ValueError, match="expected out another folder than that of the people"):
        verify_folder(photos, network, photos)


def test_nobodys_folder_is_no_persons(photos, network, tmp_path):
    with pytest.raises(ValueError, match="expected out another folder than that of the people"):
        verify_folder(photos, network, photos / "Person 0")
    assert not list(tmp_path.rglob(".facelab"))


def test_a_folder_above_two_studies_is_refused_before_anything_is_verified(
    photos, network, tmp_path
):
    for study in ("lfw", "smoke"):
        write_record(tmp_path / "outputs" / study / "00_x", make_record("00_x"))
    with pytest.raises(ValueError, match="expected a study's own folder, one run a notebook, got"):
        verify_folder(photos, network, tmp_path / "outputs")
    assert not (tmp_path / "outputs" / "photos").exists()


def test_a_threshold_is_chosen_by_what_was_asked_for(photos, network, tmp_path):
    command = ["verify", str(photos), "--model", str(network), "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(main, [*command, "--far", "0.05"])
    assert said.exit_code == 0, said.output
    record = json.loads((tmp_path / "out" / "photos" / "run.json").read_text())
    assert record["reports"][0]["rule"] == "far 0.05 and f1"
    assert record["command"].endswith("own.safetensors --by far --far 0.05 --out out")
    _, record = verified(photos, network, tmp_path / "eer", by="eer")
    assert record["reports"][0]["rule"] == "eer and f1"
    photo = str(photos / "Person 1" / "IMG_0.JPG")
    wrong = {
        "far=None": ([str(photos)], "--by", "far"),
        "got by='nonsense'": ([str(photos)], "--by", "nonsense"),
        "far a finite number": ([str(photos)], "--far", "7"),
        "expected a folder with --by": ([photo, photo], "--by", "eer"),
        "expected a folder with --by, --far and --out": ([photo, photo], "--out", "x"),
        "expected two photos with --prior": ([str(photos)], "--prior", "0.1"),
        "expected two photos with --from": ([str(photos)], "--from", "x"),
        f"{network}: expected a folder to write": ([str(photos)], "--out", str(network)),
        f"got the file {network}": ([str(photos)], "--out", str(network / "deeper")),
        "expected mean with an ONNX": ([photo, photo], "-p", "mean", "0"),
    }
    for message, (named, *options) in wrong.items():
        said = CliRunner().invoke(main, ["verify", *named, "--model", str(network), *options])
        assert said.exit_code == 2 and message in said.stderr and said.stderr.count("\n") == 1


def test_embeddings_of_a_folder_take_the_place_of_a_network(photos, network, tmp_path):
    faces = fl.load_faces(photos, 16, progress=False)
    embeddings = fl.embed(fl.load_network(network)[0], faces)
    expected, *_ = verify_folder(photos, network, tmp_path / "network")
    np.savez(tmp_path / "a.npz", embeddings=embeddings, image_ids=faces.image_ids)
    np.save(tmp_path / "a.npy", embeddings)
    (tmp_path / "a.txt").write_text("\n".join(faces.image_ids), "utf-8")
    for file in (tmp_path / "a.npz", tmp_path / "a.npy"):
        report, *_ = verify_folder(photos, file, tmp_path / "out")
        np.testing.assert_allclose(report.distances, expected.distances, atol=1e-6)
    photo = photos / "Person 1" / "IMG_0.JPG"
    with pytest.raises(ValueError, match="expected a network with its threshold, got none"):
        compare_photos(photo, photo, file)


@needs_onnx
def test_an_onnx_file_from_elsewhere_is_told_its_preprocessing(photos, tmp_path):
    file = flat(tmp_path / "flat.onnx", ("B", 3, 8, 8))
    command = ["verify", str(photos), "--model", str(file), "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(main, command)
    assert said.exit_code == 2 and said.stderr.endswith("name another size as image_size\n")
    more = ["-p", "image_size", "8", "-p", "colours", "BGR", "-p", "mean", "[1, 2, 3]"]
    photo = str(photos / "Person 1" / "IMG_0.JPG")
    said = CliRunner().invoke(main, ["verify", photo, photo, "--model", str(file), *more])
    assert "expected a network with its threshold, got none" in said.stderr
    onnx_model = fl.onnx_model(file, **values_of([more[1:3], more[4:6], more[7:9]]))
    assert (onnx_model.about["image_size"], onnx_model.about["mean"]) == (8, [1, 2, 3])


def two_photos(photos, network, *options):
    """Compare two photos of one person on the command line."""
    two = [str(photos / "Person 1" / f"IMG_{k}.JPG") for k in (0, 1)]
    return CliRunner().invoke(main, ["verify", *two, "--model", str(network), *options])


def test_two_photos_are_decided_by_what_a_folder_chose_for_the_network(photos, network, tmp_path):
    report, _, _, sure = verify_folder(photos, network, tmp_path / "out", by="eer")
    said = two_photos(photos, network, "--from", str(tmp_path / "out"), "--json")
    found = json.loads(said.stdout)
    assert report.threshold != 0.5 and found["threshold"] == report.threshold
    assert found["same"] == (found["distance"] < report.threshold)
    expected = sure.how_sure(found["distance"])["p_same"].item()
    assert found["p_same"] == pytest.approx(expected, abs=1e-3)
    said = two_photos(photos, network, "--from", str(tmp_path / "out")).stdout.splitlines()
    assert said[0].endswith(f"threshold {report.threshold:.3f}: {report.threshold_from}")
    assert said[1].endswith("if it was 50% before; calibrated on dev people")


@needs_onnx
def test_a_network_from_elsewhere_keeps_threshold_and_preprocessing(photos, tmp_path, searched):
    file, out = flat(tmp_path / "flat.onnx", ("B", 3, 8, 8)), tmp_path / "out"
    refused = two_photos(photos, file, "-p", "image_size", "8").stderr
    assert f"verify FOLDER --model {file} --out DIR chooses one, --from DIR reads it" in refused
    given = {"image_size": 8, "colours": "BGR", "mean": (1, 2, 3)}
    report, *_ = verify_folder(photos, file, out, preprocessing=given)
    found = json.loads(two_photos(photos, file, "--from", str(out), "--json").stdout)
    two = [photos / "Person 1" / f"IMG_{k}.JPG" for k in (0, 1)]
    pixels, rows = np.stack([framed(photo, 8, None, 250, True) for photo in two]), np.arange(2)
    embeddings = fl.onnx_model(file, **given)(fl.Faces(pixels, rows, rows, ("a", "b"), rows))
    left, right = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert found["distance"] == pytest.approx(np.linalg.norm(left - right), abs=1e-5)
    assert found["threshold"] == report.threshold and 0 < found["p_same"] < 1
    refused = two_photos(photos, file, "--from", str(out), "-p", "colours", "RGB").stderr
    assert refused == f"facelab: {out / 'threshold.json'}: expected colours BGR, got colours RGB\n"


def test_what_is_no_threshold_of_this_network_is_one_line_with_its_file(photos, network, tmp_path):
    out = tmp_path / "out"
    kept = out / "threshold.json"

    def refused(model=network):
        said = two_photos(photos, model, "--from", str(out))
        assert said.exit_code == 2 and said.stderr.count("\n") == 1
        assert said.stderr.startswith(f"facelab: {kept}: expected a threshold of ")
        return said.stderr

    assert "no such file" in refused()
    verify_folder(photos, network, out)
    whole = kept.read_text("utf-8")
    good = json.loads(whole)
    assert set(good) == set(FIELDS) and str(tmp_path) not in whole
    other = save_network(tmp_path / "other.safetensors", training="elsewhere")
    assert "other.safetensors" in refused(other) and "got one of own.safetensors" in refused(other)
    seen = good["preprocessing"]
    spoilt = [good | {name: value} for name in FIELDS for value in (None, [], {"a": 1})]
    spoilt += [good | {"threshold": float("nan")}, good | {"more": 1}, {}, 1, list(FIELDS)]
    spoilt += [good | {"preprocessing": seen | {"image_size": "8"}}]
    wrong = {"mean": ["a"]}, {"scale": [1, 2]}, {"colours": "red"}, {"colours": {}}
    spoilt += [good | {"preprocessing": seen | one} for one in wrong]
    spoilt += [good | {"calibration": good["calibration"] | {"log_lr": [0]}}]
    texts = [json.dumps(one).encode() for one in spoilt]
    for text in (*texts, whole[:1000].encode(), b"", b"\xff", b"[" * 100_000):
        kept.write_bytes(text)
        assert "verify the folder again" in refused()


def test_photos_that_cannot_be_read_are_told_apart_in_one_line(photos, network, tmp_path):
    bad = ["Person 3/IMG_1.JPG", "Person 7/IMG_2.JPG"]
    for file in bad:
        (photos / file).write_bytes(b"no photo")
    command = ["verify", str(photos), "--model", str(network), "--out", str(tmp_path / "out")]
    *_, said = CliRunner().invoke(main, command).stderr.splitlines()
    assert f"unusable; {bad[0]}: not an image" in said and f"; {bad[1]}: not an image" in said


@pytest.mark.parametrize("size", [(2000, 1500), (125, 125)])
def test_an_unaligned_network_sees_of_any_photo_what_it_saw_of_lfws(tmp_path, size):
    network = save_network(tmp_path / "crop.safetensors", crop=128)
    rng = np.random.default_rng(0)
    whole = Image.fromarray(rng.integers(0, 256, (10, 10, 3), np.uint8))
    whole = whole.resize((250, 250), Image.Resampling.BICUBIC)
    whole.save(tmp_path / "lfw.png")
    wide = Image.new("RGB", size)
    square = whole.resize((min(size), min(size)), Image.Resampling.BICUBIC)
    wide.paste(square, ((size[0] - min(size)) // 2, 0))
    wide.save(tmp_path / "phone.png")
    found = compare_photos(tmp_path / "lfw.png", tmp_path / "phone.png", network)
    assert found["distance"] < 0.02
    for number, name in enumerate(["lfw", "phone"] * 8):
        folder = tmp_path / "mine" / f"Person {number // 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").write_bytes((tmp_path / f"{name}.png").read_bytes())
    report, *_ = verify_folder(tmp_path / "mine", network, tmp_path / "out")
    assert report.distances[report.same] == pytest.approx(found["distance"], abs=1e-5)
    sent = (tmp_path / "phone.png").read_bytes()
    framed = uploaded(sent, 16, 128, side_of("LFW deep-funneled"))
    assert np.array_equal(framed, decode(tmp_path / "phone.png", 16, 128, 250))


@needs_detector
def test_two_photos_of_lfw_by_the_network_out_of_the_box(lfw_root, tmp_path):
    bush = lfw_root / "lfw-deepfunneled" / "George_W_Bush"
    blair = lfw_root / "lfw-deepfunneled" / "Tony_Blair" / "Tony_Blair_0010.jpg"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = compare_photos(
            bush / "George_W_Bush_0001.jpg", bush / "George_W_Bush_0010.jpg", NETWORK
        )
        other = compare_photos(bush / "George_W_Bush_0001.jpg", blair, NETWORK)
    assert same["same"] and same["p_same"] > 0.9
    assert not other["same"] and other["p_same"] < 0.5
    Image.new("RGB", (200, 200), "grey").save(tmp_path / "grey.png")
    with pytest.raises(ValueError, match="expected a face, found none"):
        compare_photos(tmp_path / "grey.png", blair, NETWORK)


def test_photos_without_a_face_are_listed_in_text_json_and_report(photos, tmp_path, searched):
    network, out = save_network(tmp_path / "aligned.safetensors", aligned=True), tmp_path / "out"
    none = ["Person 3/IMG_1.JPG", "Person 7/IMG_2.JPG"]
    for file in none:  # too small for a face
        Image.open(photos / file).resize((40, 40)).save(photos / file)
    said = "photos without a face, kept as they are: 2\n  Person 3/IMG_1.JPG\n  Person 7/IMG_2.JPG"
    command = ["verify", str(photos), "--model", str(network), "--out", str(out)]
    assert f"\n{said}\n" in CliRunner().invoke(main, command).stdout
    told = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert told["without_a_face"] == none
    assert said in (out / "report.html").read_text(encoding="utf-8")
    assert said in CliRunner().invoke(main, ["align", str(photos), str(tmp_path / "a")]).stdout
    two = [str(photos / file) for file in none]
    said = CliRunner().invoke(main, ["verify", *two, "--model", str(network)])
    why = "expected a face, found none"
    assert said.stderr == f"facelab: {two[0]}: {why}; {two[1]}: {why}\n"


def test_too_few_people_are_refused_before_their_photos_are_aligned(photos, tmp_path):
    for person in range(7, 12):
        for photo in sorted((photos / f"Person {person}").iterdir())[1:]:
            photo.unlink()
    with pytest.raises(ValueError, match="8 people with two photos or more.* got 7"):
        verify_folder(photos, NETWORK, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_pairs_for_a_far_are_refused_before_their_photos_are_aligned(
    photos, network, tmp_path
):
    command = ["verify", str(photos), "--out", str(tmp_path / "out"), "--by", "far", "--far"]
    said = CliRunner().invoke(main, [*command, "0.002"])
    needs = "FAR 0.2 % needs 500 different pairs or more, got 375 of the 6 people who choose the"
    assert said.exit_code == 2 and f"mine: {needs} threshold\n" in said.stderr
    assert not (tmp_path / "out").exists()
    said = CliRunner().invoke(main, [*command, "0.0027", "--model", str(network)])  # 1 of 375
    assert said.exit_code == 0, said.stderr


def test_the_command_names_stray_files_in_one_line(photos, network, tmp_path):
    (photos / "Person 0" / "notes.txt").write_text("?")
    words = ["verify", str(photos), "--model", str(network), "--out", str(tmp_path / "out")]
    done = subprocess.run([sys.executable, "-m", "facelab", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (told,) = [line for line in done.stderr.splitlines() if "notes.txt" in line]
    assert "Warning" not in told and "warnings.warn" not in done.stderr
