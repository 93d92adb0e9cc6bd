import hashlib
import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import facelab as fl
from facelab.study.commands import main

EXTRA = ("onnx", "onnxruntime", "onnxscript")
needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in EXTRA), reason="needs facelab[onnx]"
)


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "network.safetensors"
    architecture = {"name": "residual_cnn", "embedding_size": 16, "image_size": 16}
    architecture["channels"] = (8, 16)
    model = fl.residual_cnn(**{k: v for k, v in architecture.items() if k != "name"})
    curve = dict.fromkeys(("log_lr", "low", "high"), [0.0] * 801)
    calibration = {"method": "logistic", "threshold": 0.87, "name": "dev", "people": 31} | curve
    calibration["cllr"] = {"before": 0.9, "logistic": 0.8, "isotonic": 0.8}
    about = {"image_size": 16, "crop": 128, "threshold": 0.87, "calibration": calibration}
    fl.save_network(path, model, architecture, **about)
    return path


@pytest.fixture(scope="module")
def onnx_file(network_file):
    path = network_file.with_suffix(".onnx")
    fl.export_onnx(network_file, path)
    return path


def faces_of(images):
    n = len(images)
    names = tuple(f"Person_{k}" for k in range(n))
    return fl.Faces(images, np.arange(n), np.arange(n), names, np.ones(n, int))


@pytest.fixture(scope="module")
def some_faces():
    images = np.random.default_rng(0).integers(256, size=(70, 3, 16, 16), dtype=np.uint8)
    return faces_of(images)


def graph(path, shape, nodes, output=("B", "D"), constants=()):
    """Write an ONNX file of `nodes` from `images` to `out`."""
    import onnx
    from onnx import TensorProto, helper

    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, output)
    opset = [helper.make_opsetid("", 17)]
    made = helper.make_graph(nodes, "g", [given], [out], constants)
    onnx.save(helper.make_model(made, opset_imports=opset, ir_version=8), path)
    return path


def flat(path, shape=("B", 3, 4, 4)):
    """An ONNX file whose embedding is the image itself, in the order of its values."""
    from onnx import helper

    return graph(path, shape, [helper.make_node("Flatten", ["images"], ["out"])])


@needs_onnx
def test_an_exported_network_embeds_as_the_network_itself(network_file, onnx_file, some_faces):
    model, _ = fl.load_network(network_file)
    expected = fl.embed(model, some_faces)
    np.testing.assert_allclose(fl.onnx_model(onnx_file)(some_faces), expected, atol=1e-5)


@needs_onnx
def test_what_embed_averages_is_averaged_in_the_file(network_file, tmp_path, some_faces):
    model, _ = fl.load_network(network_file)
    averaged = {"flip": True, "shift": 1}
    fl.export_onnx(network_file, tmp_path / "n.onnx", **averaged)
    expected = fl.embed(model, some_faces, **averaged)
    np.testing.assert_allclose(fl.onnx_model(tmp_path / "n.onnx")(some_faces), expected, atol=1e-5)


@needs_onnx
def test_an_exported_network_says_how_to_use_it(onnx_file):
    import onnxruntime

    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    written = json.loads(session.get_modelmeta().custom_metadata_map["facelab"])
    assert written["threshold"] == 0.87 and written["crop"] == 128
    assert (written["mean"], written["colours"]) == (127.5, "RGB")
    about = fl.onnx_model(onnx_file).about
    assert about["sha256"] == hashlib.sha256(onnx_file.read_bytes()).hexdigest()
    assert about["threshold"] == 0.87 and about["image_size"] == 16


@needs_onnx
def test_what_a_file_says_of_itself_is_neither_its_name_nor_its_checksum(tmp_path):
    import onnx

    path = flat(tmp_path / "flat.onnx")
    model = onnx.load(path)
    said = {"image_size": 4, "file": "another", "sha256": "0"}
    onnx.helper.set_model_props(model, {"facelab": json.dumps(said)})
    onnx.save(model, path)
    about = fl.onnx_model(path).about
    assert (about["file"], about["image_size"]) == ("flat.onnx", 4)
    assert about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@needs_onnx
def test_a_module_is_exported_with_its_size_alone(tmp_path, some_faces):
    model = fl.siamese_cnn(8, 16, channels=(4,))
    with pytest.raises(ValueError, match="expected image_size"):
        fl.export_onnx(model, tmp_path / "n.onnx")
    with pytest.raises(ValueError, match="expected threshold a finite number, got nan"):
        fl.export_onnx(model, tmp_path / "n.onnx", image_size=16, threshold=np.nan)
    model.train()[0].eval()  # a part of it is frozen
    fl.export_onnx(model, tmp_path / "n.onnx", image_size=16)
    assert [part.training for part in model.modules()][:2] == [True, False]
    expected = fl.embed(model, some_faces)
    found = fl.onnx_model(tmp_path / "n.onnx")(some_faces)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@needs_onnx
def test_the_command_exports(network_file, tmp_path):
    out = tmp_path / "out.onnx"
    done = CliRunner().invoke(main, ["export", str(network_file), str(out)])
    assert done.exit_code == 0 and "threshold 0.87" in done.output
    assert "calibration of 31 people" in done.output and "out.onnx: 100%" in done.stderr
    assert fl.onnx_model(out).about["threshold"] == 0.87
    nowhere = CliRunner().invoke(main, ["export", str(network_file), str(tmp_path / "no" / "b")])
    assert nowhere.exit_code == 2 and "expected a folder that is there" in nowhere.stderr
    refused = CliRunner().invoke(main, ["export", str(out), str(tmp_path / "b.onnx")])
    assert refused.exit_code == 2 and not (tmp_path / "b.onnx").exists()
    assert refused.stderr.count("\n") == 1


@needs_onnx
@pytest.mark.parametrize("said", ["", "[1]", "null", '{"image_size": "big"}', '{"threshold": "1"}'])
def test_metadata_that_make_no_sense_are_named(tmp_path, said):
    import onnx

    model = onnx.load(flat(tmp_path / "flat.onnx"))
    entry = model.metadata_props.add()
    entry.key, entry.value = "facelab", said
    onnx.save(model, tmp_path / "flat.onnx")
    with pytest.raises(ValueError, match="flat.onnx: expected an ONNX file of facelab, got"):
        fl.onnx_model(tmp_path / "flat.onnx", image_size=4)


@needs_onnx
def test_pixels_reach_a_foreign_network_as_named(tmp_path):
    path = flat(tmp_path / "flat.onnx")
    faces = faces_of(np.arange(48, dtype=np.uint8).reshape(1, 3, 4, 4))
    rgb = fl.onnx_model(path, image_size=4)(faces)
    np.testing.assert_allclose(rgb[0], (np.arange(48) - 127.5) / 127.5, rtol=1e-6)
    bgr = fl.onnx_model(path, image_size=4, colours="BGR", mean=(1, 2, 3), scale=0.5)(faces)
    blue, green, red = bgr.reshape(3, 16)
    np.testing.assert_allclose(blue, (np.arange(32, 48) - 1) / 2)  # mean in the network's order
    np.testing.assert_allclose(green, (np.arange(16, 32) - 2) / 2)
    np.testing.assert_allclose(red, (np.arange(16) - 3) / 2)


@needs_onnx
def test_a_network_for_one_image_at_a_time_is_fed_one_at_a_time(tmp_path):
    faces = faces_of(np.arange(144, dtype=np.uint8).reshape(3, 3, 4, 4))
    many = fl.onnx_model(flat(tmp_path / "many.onnx"), image_size=4)(faces)
    one = fl.onnx_model(flat(tmp_path / "one.onnx", (1, 3, 4, 4)), image_size=4)(faces)
    np.testing.assert_array_equal(one, many)
    two = fl.onnx_model(flat(tmp_path / "two.onnx", (2, 3, 4, 4)), image_size=4)(faces)
    np.testing.assert_array_equal(two, many)  # the last batch is of one image


@needs_onnx
def test_a_network_in_half_precision_is_fed_so(tmp_path):
    import onnx

    model = onnx.load(flat(tmp_path / "flat.onnx"))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(model, tmp_path / "half.onnx")
    faces = faces_of(np.arange(144, dtype=np.uint8).reshape(3, 3, 4, 4))
    whole, half = (fl.onnx_model(tmp_path / f"{n}.onnx", image_size=4) for n in ("flat", "half"))
    assert half(faces).dtype == np.float32
    np.testing.assert_allclose(half(faces), whole(faces), atol=1e-3)


@needs_onnx
def test_weights_beside_an_onnx_file_are_not_taken_from_wherever_one_stands(tmp_path, monkeypatch):
    import onnx
    from onnx import helper, numpy_helper

    weights = numpy_helper.from_array(np.ones((48, 2), np.float32), "w")
    nodes = [helper.make_node("Flatten", ["images"], ["f"])]
    nodes.append(helper.make_node("MatMul", ["f", "w"], ["out"]))
    path = graph(tmp_path / "net.onnx", ("B", 3, 4, 4), nodes, constants=[weights])
    fl.onnx_model(path, image_size=4)
    beside = {"save_as_external_data": True, "location": "w.data", "size_threshold": 0}
    onnx.save(onnx.load(path), path, **beside)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="net.onnx: expected an ONNX file with its weights in it"):
        fl.onnx_model(path, image_size=4)


@needs_onnx
def test_wrong_onnx_files_sizes_and_numbers_are_refused_in_one_line(tmp_path):
    from onnx import helper, numpy_helper

    path = flat(tmp_path / "flat.onnx")
    faces = faces_of(np.zeros((2, 3, 4, 4), np.uint8))
    (tmp_path / "text.onnx").write_text("no network")
    shape = ("B", 3, 4, 4)
    relu = helper.make_node("Relu", ["images"], ["out"])
    same = graph(tmp_path / "same.onnx", shape, [relu], shape)
    nodes = [
        helper.make_node("Log", ["images"], ["x"]),
        helper.make_node("Flatten", ["x"], ["out"]),
    ]
    log = graph(tmp_path / "log.onnx", shape, nodes)  # of -1
    seven = numpy_helper.from_array(np.array([7, 4]), "s")
    nodes = [helper.make_node("Reshape", ["images", "s"], ["out"])]
    reshaped = graph(tmp_path / "reshaped.onnx", shape, nodes, constants=[seven])
    wrong = {
        "expected an ONNX file": lambda: fl.onnx_model(tmp_path / "text.onnx"),
        "expected one input of shape": lambda: fl.onnx_model(path, image_size=5),
        "expected colours": lambda: fl.onnx_model(path, image_size=4, colours="RGBA"),
        "expected one or three": lambda: fl.onnx_model(path, image_size=4, mean=(1, 2)),
        "got size": lambda: fl.onnx_model(path, size=4),
        "expected images of 4x4": lambda: fl.onnx_model(path, image_size=4)(
            faces_of(np.zeros((2, 3, 5, 5), np.uint8))
        ),
        "flat.onnx: expected images to embed, got none": lambda: fl.onnx_model(path, image_size=4)(
            faces.select([])
        ),
        "expected embeddings of shape": lambda: fl.onnx_model(same, image_size=4)(faces),
        "expected finite embeddings": lambda: fl.onnx_model(log, image_size=4)(faces),
        "expected a network that takes": lambda: fl.onnx_model(reshaped, image_size=4)(faces),
    }
    for message, call in wrong.items():
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)


@needs_onnx
def test_a_network_is_not_written_over_by_what_it_is_exported_to(network_file):
    before = network_file.read_bytes()
    with pytest.raises(ValueError, match="expected a file \\*.onnx to write, got .*safetensors"):
        fl.export_onnx(network_file, network_file)
    assert network_file.read_bytes() == before


@needs_onnx
def test_a_run_records_the_onnx_file_behind_a_report(tmp_path, small_faces):
    split = fl.view1(small_faces, dev_people=0.5)
    run = fl.Run("09_trained_elsewhere", {"OUT": ""})
    run.uses(small_faces)
    model = fl.onnx_model(flat(tmp_path / "flat.onnx"), image_size=4)
    with pytest.raises(ValueError, match="expected category=no outside data.* elsewhere, got none"):
        run.verify("elsewhere", 0, model, split.dev, split.test)
    run.verify("elsewhere", 0, model, split.dev, split.test, category="labelled outside data")
    (entry,) = run.entries["reports"]
    assert entry["model"]["sha256"] == model.about["sha256"]
    assert entry["category"] == "labelled outside data"


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'facelab\[onnx\]'"):
        fl.onnx_model(tmp_path / "any.onnx")


def test_stored_embeddings_are_found_by_image_id(tmp_path, some_faces):
    table = np.random.default_rng(1).normal(size=(70, 5))
    np.save(tmp_path / "table.npy", table[::-1])
    embed = fl.embeddings_of(tmp_path / "table.npy", some_faces.image_ids[::-1])
    np.testing.assert_array_equal(embed(some_faces), table)
    few = some_faces.select(some_faces.names[3:5])
    np.testing.assert_array_equal(embed(few), table[3:5])


def test_wrong_stored_embeddings_are_refused_in_one_line(tmp_path, some_faces):
    ids = list(some_faces.image_ids)
    path = tmp_path / "table.npy"

    def refused(table, ids, faces=some_faces):
        np.save(path, table)
        with pytest.raises(ValueError) as error:
            fl.embeddings_of(path, ids)(faces)
        assert "\n" not in str(error.value)
        return str(error.value)

    good = np.ones((70, 5))
    bad = good.copy()
    bad[7, 2] = np.nan
    assert "got 1 rows with nan or infinity, row 7 first" in refused(bad, ids)
    assert "expected embeddings of shape (69, size), got" in refused(good, ids[:-1])
    assert "Person_0_0001 twice" in refused(good, [*ids[:-1], ids[0]])
    assert "got none of 1: Person_69_0001" in refused(good[:-1], ids[:-1])
    assert "expected embeddings of shape (70, size), got" in refused(good[0], ids)
    assert "table.npy: expected image ids, one a line, in" in refused(good, None)
    for more in ({}, {"image_ids": np.array("x")}, {"image_ids": np.array([ids])}):
        np.savez(tmp_path / "table.npz", embeddings=good, **more)
        with pytest.raises(
            ValueError, match="table.npz: expected a .npz file of embeddings and image_ids"
        ):
            fl.embeddings_of(tmp_path / "table.npz")
    np.save(path, good)
    beside = tmp_path / "table.txt"
    beside.write_text("\ufeff" + "\n".join(ids), "utf-8")  # with the mark of Windows
    assert len(fl.embeddings_of(path)(some_faces)) == 70
    beside.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="table.txt: expected image ids in UTF-8, got"):
        fl.embeddings_of(path)
    with open(path, "wb") as file:
        np.savez(file, good)
    for content in (b"no numbers", b"", path.read_bytes()[:-9]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="table.npy: expected a .npy file.*; delete it"):
            fl.embeddings_of(path, ids)
