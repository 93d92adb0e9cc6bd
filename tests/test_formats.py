"""Loaders of the field's formats, on files written byte by byte from their specification."""

import codecs
import functools
import io
import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import facelab as fl
from facelab.study.batch import run_study

MAGIC = 0xCED7230A


def picture(shade, size=8, kind="PNG"):
    """A picture of one grey, encoded."""
    out = io.BytesIO()
    Image.new("RGB", (size, size), (shade, shade, shade)).save(out, kind)
    return out.getvalue()


def write_picture(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(shade))


def shades(faces):
    return faces.images[:, 0, 0, 0].tolist()


# --- .rec ---


def part(data, flag=0):
    return struct.pack("<II", MAGIC, flag << 29 | len(data)) + data + bytes(-len(data) % 4)


def head(label, more=()):
    return struct.pack("<IfQQ", len(more), label, 0, 0) + struct.pack(f"<{len(more)}f", *more)


def write_rec(folder, records, people=3):
    """Write `records`, by key, as ``train.rec`` with its index and property."""
    folder.mkdir(exist_ok=True)
    data, lines = b"", []
    for key, record in records.items():
        lines.append(f"{key}\t{len(data)}\n")
        data += record
    (folder / "train.rec").write_bytes(data)
    (folder / "train.idx").write_text("".join(lines))
    (folder / "property").write_text(f"{people},112,112")
    return folder


def small_rec():
    """Four images of the people 2, 0, 2 and 1, and the records of three people behind them."""
    records = {0: part(head(0, (5, 8)))}
    for key, (label, shade) in enumerate([(2, 10), (0, 20), (2, 30), (1, 40)], 1):
        records[key] = part(head(label) + picture(shade))
    records[3] = part(head(0, (2, 7)) + picture(30))  # labels after the head
    for key in (5, 6, 7):
        records[key] = part(head(0, (1, 2)))
    return records


def test_one_command_trains_on_a_rec_and_tests_on_another_set(tmp_path, monkeypatch):
    n = 160
    records = {0: part(head(0, (n + 1, n + 1)))}
    rng = np.random.default_rng(0)
    for k in range(n):
        out = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(out, "JPEG")
        records[k + 1] = part(head(k // 4) + out.getvalue())
    write_rec(tmp_path / "casia", records, people=40)
    monkeypatch.chdir(tmp_path)
    given = {"DATA": "synthetic", "IMAGE_SIZE": "32", "BATCH_SIZE": "64", "CROSS_EPOCHS": "1"}
    with pytest.raises(ValueError, match=r"TRAIN_DATA: expected .* got nothing at nowhere\.rec"):
        run_study(["09"], "across", given | {"TRAIN_DATA": "nowhere.rec"})
    assert run_study(["09"], "across", given | {"TRAIN_DATA": "casia/train.rec"}) == {}
    record = json.loads(Path("outputs/across/09_trained_elsewhere/run.json").read_text())
    crossed = next(one for one in record["reports"] if one["method"].startswith("contrastive"))
    assert crossed["method"] == "contrastive, casia, 1 epochs"
    assert crossed["outside_data"] == "casia" and crossed["split"] == "View 1 test"


def test_a_rec_gives_pictures_people_and_numbers(tmp_path):
    faces = fl.load_rec(write_rec(tmp_path / "casia", small_rec()), image_size=8)
    assert faces.names == ("0", "1", "2")
    assert faces.labels.tolist() == [2, 0, 2, 1]
    assert faces.image_ids.tolist() == ["2_0001", "0_0001", "2_0002", "1_0001"]
    assert shades(faces) == [10, 20, 30, 40]
    assert faces.source == faces.root == "casia"
    chosen = faces.select(["2"])
    assert shades(chosen) == [10, 30]
    assert faces.batch(np.array([3, 1])).shape == (2, 3, 8, 8)


def test_a_rec_whose_key_0_has_no_flag_is_all_images(tmp_path):
    records = {k: part(head(k) + picture(10 * k)) for k in range(3)}
    assert shades(fl.load_rec(write_rec(tmp_path, records), image_size=8)) == [0, 10, 20]


def test_the_parts_of_a_record_are_joined_with_the_magic_number(tmp_path):
    whole = head(1) + picture(50) + b"before" + struct.pack("<I", MAGIC) + b"after"
    one, two = whole.split(struct.pack("<I", MAGIC))
    three = b"and a third"
    records = small_rec()
    records[2] = part(one, 1) + part(two, 2) + part(three, 3)
    folder = write_rec(tmp_path, records)
    faces = fl.load_rec(folder, image_size=8)
    assert faces.names == ("1", "2") and faces.labels.tolist() == [1, 0, 1, 0]
    assert shades(faces)[1] == 50
    data = faces.packed.picture(1).getvalue()
    assert data == whole[24:] + struct.pack("<I", MAGIC) + three


def test_an_index_in_any_order_and_its_offsets_are_followed(tmp_path):
    folder = write_rec(tmp_path, dict(reversed(small_rec().items())))
    assert shades(fl.load_rec(folder, image_size=8)) == [10, 20, 30, 40]


def test_the_mark_that_windows_puts_first_is_passed_over_in_lists(tmp_path):
    folder = write_rec(tmp_path / "set", small_rec())
    path, images = write_cplfw(tmp_path, CPLFW)
    for file in (folder / "train.idx", folder / "property", path):
        file.write_bytes(codecs.BOM_UTF8 + file.read_bytes())
    assert shades(fl.load_rec(folder, image_size=8)) == [10, 20, 30, 40]
    assert fl.load_pair_list(path, images).names == ("Ann_Lee", "Bo")


def test_nothing_of_a_rec_is_decoded_before_a_batch_asks(tmp_path, monkeypatch):
    from facelab.field import streamed

    decoded = []
    decode = streamed.decode
    monkeypatch.setattr(streamed, "decode", lambda *a: decoded.append(a) or decode(*a))
    faces = fl.load_rec(write_rec(tmp_path, small_rec()), image_size=8)
    assert not decoded
    faces.batch(np.array([1]))
    assert len(decoded) == 1


def test_networks_learn_from_a_rec_and_embed_it(tmp_path):
    from pytorch_metric_learning.losses import TripletMarginLoss

    records = {0: part(head(0, (17, 21)))}
    for key in range(1, 17):
        records[key] = part(head(key % 4) + picture(60 * (key % 4) + key, 32))
    faces = fl.load_rec(write_rec(tmp_path, records, people=4), image_size=32)
    torch.manual_seed(0)
    model = fl.siamese_cnn(embedding_size=4, image_size=32)
    training = fl.fit(model, faces, TripletMarginLoss(), epochs=1, batch_size=8)
    assert training.history["images"].tolist() == [16]
    embeddings = fl.embed(model, faces)
    assert embeddings.shape == (16, 4)
    some = fl.embed(model, faces, np.array([3, 9]))
    np.testing.assert_allclose(embeddings[[3, 9]], some, atol=1e-5)


def breakages():
    """Of a sound .rec: what is done to it, and what the error has to say."""

    def cut(folder):
        file = folder / "train.rec"
        file.write_bytes(file.read_bytes()[:-1])

    def put(key, record):
        def change(folder):
            write_rec(folder, small_rec() | {key: record})

        return change

    def text(name, content):
        return lambda folder: (folder / name).write_text(content)

    def emptied(folder):
        (folder / "train.rec").write_bytes(b"")

    def cut_into_image(folder):
        records = small_rec()
        size = sum(map(len, records.values()))
        del records[5], records[6], records[7]
        write_rec(folder, records)
        file = folder / "train.rec"
        file.write_bytes(file.read_bytes()[:-1])
        assert size > file.stat().st_size

    yield "an image cut off", cut_into_image, ["train.rec, key 4 at byte", "expected", "got a file"]
    yield "empty", emptied, ["train.rec, key 0 at byte 0", "end of the file at 0"]
    yield "property", text("property", "many,112,112"), ["property", "number of people", "'many'"]
    yield "line", text("train.idx", "0\t0\n1 52\n"), ["train.idx, line 2", "KEY<tab>OFFSET"]
    yield "twice", text("train.idx", "0\t0\n1\t52\n1\t52\n"), ["train.idx", "key 1 twice"]
    yield "no key 0", text("train.idx", "1\t0\n"), ["train.idx", "without key 0"]
    yield "no key 3", text("train.idx", "0\t0\n1\t40\n2\t40\n4\t40\n"), ["train.idx", "no key 3"]
    yield "offset", text("train.idx", "0\t0\n1\t9999\n2\t1\n3\t1\n4\t1\n"), ["key 1 at byte 9999"]
    magic = b"\0\0\0\0" + small_rec()[2][4:]
    yield "magic", put(2, magic), ["key 2 at byte", "0xced7230a", "got 0x0"]
    yield "label", put(2, part(head(3) + picture(1))), ["key 2", "from 0 to 2", "got 3.0"]
    yield "half", put(2, part(head(0.5) + picture(1))), ["key 2", "got 0.5"]
    yield "nan", put(2, part(head(np.nan) + picture(1))), ["key 2", "got nan"]
    yield "head", put(2, part(b"short")), ["key 2", "a head of 24 bytes", "5 bytes"]
    yield "labels", put(2, part(struct.pack("<IfQQ", 2**30, 0, 0, 0))), ["key 2", "a head of"]
    yield "no picture", put(2, part(head(1))), ["key 2", "a picture", "empty"]
    yield "first", put(2, part(head(1) + picture(1), 2)), ["key 2", "part 1", "flag 2"]
    again = part(head(1) + picture(1), 1) * 2
    yield "second", put(2, again), ["key 2", "part 2", "flag 1"]
    yield "key 0", put(0, part(head(0, (np.inf, 8)))), ["key 0 at byte 0", "got inf"]

    def large(folder):  # so large that flag and length, read as one number, could be a length
        put(2, part(head(1) + picture(1), 1))(folder)
        os.truncate(folder / "train.rec", 2**29 + 2**20)

    yield "part of a large file", large, ["key 2", "part 2 of a record", "flag 0"]


@pytest.mark.parametrize(("change", "said"), [pytest.param(*b[1:], id=b[0]) for b in breakages()])
def test_what_is_broken_in_a_rec_is_one_line_that_says_where(tmp_path, change, said):
    folder = write_rec(tmp_path / "set", small_rec())
    fl.load_rec(folder, image_size=8)
    change(folder)
    with pytest.raises((ValueError, OSError)) as error:
        fl.load_rec(folder, image_size=8)
    message = str(error.value)
    assert "\n" not in message and "expected" in message and "got" in message
    for words in said:
        assert words in message


def test_a_file_of_a_rec_that_is_not_there_is_named(tmp_path):
    for name in ("train.rec", "train.idx", "property"):
        folder = write_rec(tmp_path / "set", small_rec())
        (folder / name).unlink()
        with pytest.raises(FileNotFoundError, match=name):
            fl.load_rec(folder)


def test_a_broken_picture_of_a_rec_names_its_key(tmp_path):
    records = small_rec() | {2: part(head(1) + picture(1)[:40])}
    faces = fl.load_rec(write_rec(tmp_path, records), image_size=8)
    faces.batch(np.array([0]))
    with pytest.raises(ValueError, match=r"train\.rec, key 2 at byte \d+: expected a whole pic"):
        faces.batch(np.array([0, 1]))


# --- .bin ---


def write_bin(path, content, **how):
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, **how))
    return path


IMAGES = [picture(shade) for shade in (0, 50, 100, 150)]
SAME = [True, False]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["lists", "tuples", "arrays", "scalars", "bytearrays"])
def test_a_bin_of_any_protocol_gives_pictures_and_pairs(tmp_path, protocol, kind):
    if kind == "bytearrays" and protocol < 5:
        pytest.skip("written with a name that is not admitted")
    content = {
        "lists": (IMAGES, SAME),
        "tuples": [tuple(IMAGES), tuple(SAME)],
        "arrays": ([np.frombuffer(i, np.uint8).copy() for i in IMAGES], np.array(SAME)),
        "scalars": (IMAGES, [np.True_, np.False_]),
        "bytearrays": (list(map(bytearray, IMAGES)), SAME),
    }[kind]
    faces = fl.load_bin(write_bin(tmp_path / "lfw.bin", content, protocol=protocol), image_size=8)
    assert shades(faces) == [0, 50, 100, 150]
    assert faces.pairs.left.tolist() == [0, 2] and faces.pairs.right.tolist() == [1, 3]
    assert faces.pairs.same.tolist() == SAME
    assert faces.image_ids.tolist() == ["pair0a_0001", "pair0a_0002", "pair1a_0001", "pair1b_0002"]
    assert faces.source == faces.pairs.name == "lfw" and faces.pairs.role == "test"


def test_a_bin_that_python_2_wrote_is_read(tmp_path):
    """Protocol 2 of Python 2: its str, which holds the images, is a BINSTRING."""

    def string(data):
        return b"T" + struct.pack("<i", len(data)) + data

    images = b"".join(map(string, IMAGES))
    array = (  # what NumPy 1 wrote for array([True, False])
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01bt"
        b"R(K\x01K\x02\x85cnumpy\ndtype\n(U\x02b1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x00tb"
    )
    for same in (b"](\x88\x89e", b"](I01\nI00\ne", array):
        data = b"\x80\x02](" + images + b"e" + same + b"\x86."
        faces = fl.load_bin(write_bin(tmp_path / "old.bin", data), image_size=8)
        assert shades(faces) == [0, 50, 100, 150]
        assert faces.pairs.same.tolist() == SAME


def test_folds_of_a_bin_have_a_tenth_of_both_kinds_each(tmp_path):
    same = [True] * 20 + [False] * 20
    faces = fl.load_bin(write_bin(tmp_path / "x.bin", (IMAGES[:1] * 80, same)), image_size=8)
    for kind in (True, False):
        folds = faces.pairs.fold[faces.pairs.same == kind]
        assert np.bincount(folds).tolist() == [2] * 10


def test_a_bin_is_embedded_and_verified(tmp_path):
    faces = fl.load_bin(write_bin(tmp_path / "x.bin", (IMAGES, SAME)), image_size=32)
    torch.manual_seed(0)
    model = fl.siamese_cnn(embedding_size=4, image_size=32)
    report = fl.verify(fl.embed(model, faces), faces, 1.0)
    assert len(report) == 2


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments, state=None):
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.call

    def __call__(self):
        """Only what can be called may stand in for a function in a pickle."""


def attacks(mark):
    """Contents that would make the file `mark`, or else do what a file must not."""
    touch = f"touch {mark}"
    write = f"open({str(mark)!r}, 'w')"
    inner = pickle.dumps(Call(os.system, touch))
    objects = np.array([Call(os.system, touch), None], object)
    yield "os.system", Call(os.system, touch)
    yield "eval", Call(eval, write)
    yield "exec", Call(exec, write)
    yield "import", Call(__import__, "antigravity")
    yield "nested getattr", Call(Call(getattr, Call(__import__, "os"), "system"), touch)
    yield "getattr of an admitted name", Call(getattr, np.ndarray, "tofile")
    yield "partial", Call(functools.partial, os.system, touch)
    yield "pickle in a pickle", Call(pickle.loads, inner)
    yield "np.load", Call(np.load, str(mark))
    yield "np.fromfile", Call(np.fromfile, __file__)
    yield "np.save", Call(np.save, str(mark), 1)
    yield "object array", objects
    yield "object dtype", Call(np.dtype, "O")
    yield "structured dtype", np.zeros(2, [("a", "u1")])
    yield "dtype with metadata", np.zeros(2, np.dtype("u1", metadata={"a": Call(os.system, touch)}))
    yield "codec", Call(codecs.decode, b"x", "hex")
    yield "file", Call(open, str(mark), "w")
    yield "path", Path(mark)
    yield "dict", {"a": 1}
    yield "set", {1}
    yield "instance", Call(io.BytesIO, b"x")
    yield "str subclass", np.str_("x")


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", [name for name, _ in attacks("mark")])
def test_a_malicious_bin_runs_nothing(tmp_path, name, protocol):
    mark = tmp_path / "mark"
    attack = dict(attacks(mark))[name]
    for content in [([attack, *IMAGES[1:]], SAME), (IMAGES, [attack, False]), attack]:
        path = write_bin(tmp_path / "evil.bin", content, protocol=protocol)
        with pytest.raises(ValueError, match=r"evil\.bin.*expected") as error:
            fl.load_bin(path)
        assert "\n" not in str(error.value)
        assert not mark.exists()


def test_opcodes_that_reach_past_the_admitted_names_are_refused(tmp_path):
    system = b"(S'true'\nios\nsystem\n."  # INST
    persistent = b"Psomething\n."
    extension = b"\x82\x01."
    obj = b"(cos\nsystem\nS'true'\no."  # OBJ
    new = b"\x80\x02cos\nsystem\nU\x04true\x85\x81."  # NEWOBJ
    hidden = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R."  # STACK_GLOBAL
    for data in (system, persistent, extension, obj, new, hidden):
        with pytest.raises(ValueError, match=r"bools and NumPy arrays alone, got"):
            fl.load_bin(write_bin(tmp_path / "x.bin", data))


def test_state_cannot_change_what_the_admitted_names_do(tmp_path):
    dtype = b"cnumpy\ndtype\n"
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\n"
    for stack in (dtype + b"N", reconstruct + b"N", reconstruct + b"(NNt"):
        with pytest.raises(ValueError, match=r"x\.bin.*expected"):
            fl.load_bin(write_bin(tmp_path / "x.bin", b"\x80\x02" + stack + b"b."))
    content = (np.frombuffer(IMAGES[0], np.uint8), True)
    data = pickle.dumps(([content[0]] * 2, [True]), protocol=2)
    assert len(fl.load_bin(write_bin(tmp_path / "x.bin", data), image_size=8)) == 2


def test_a_small_bin_cannot_ask_for_much_memory(tmp_path, monkeypatch):
    from facelab.field import bins

    memo = b"\x80\x02]r\xff\xff\xff\x7f."  # a memo for two thousand million objects
    text = b"X" + struct.pack("<i", 1000) + b"x" * 1000
    call = b"h\x00h\x01X\x06\x00\x00\x00latin1\x86R0"  # encode the same text again and again
    many = b"\x80\x02c_codecs\nencode\nq\x00" + text + b"q\x01" + call * 100 + b"."
    claim = b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"x."
    shape = pickle.dumps(([], np.zeros(8, np.uint8)), 4).replace(b"K\x08\x85", b"K\x09\x85")
    for data, said in [(memo, "at most"), (many, "no more bytes"), (claim, "x.bin"), (shape, "8")]:
        with pytest.raises(ValueError, match=said):
            fl.load_bin(write_bin(tmp_path / "x.bin", data))
    dtype = b"cnumpy\ndtype\nC\x02u1K\x00K\x01\x87R"
    nested = b"\x80\x02)q\x00" + b"".join(b"0h%ch%c\x86q%c" % (k, k, k + 1) for k in range(60))
    order = b"(K\x03h\x3cNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb."
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R"
    shape = array + b"(K\x01h\x3c" + dtype + b"\x89C\x01atb."
    for end, said in [(dtype + order, "another"), (shape, "row of 1 numbers")]:
        with pytest.raises(ValueError, match=said):  # 2 ** 60 tuples, were they written out
            fl.load_bin(write_bin(tmp_path / "x.bin", nested + end))
    monkeypatch.setattr(bins, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match=r"x\.bin: expected at most 10 bytes, got \d+"):
        fl.load_bin(write_bin(tmp_path / "x.bin", (IMAGES, SAME)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ((IMAGES[:3], SAME), "for each pair, got list of length 3 and list of length 2"),
        (([], []), "two images for each pair, got list of length 0"),
        ((IMAGES, SAME, SAME), "images and whether same, got tuple of length 3"),
        (pickle.dumps(IMAGES[0]), "images and whether same, got bytes"),
        ((IMAGES, True), "got list of length 4 and bool"),
        (([b"", *IMAGES[1:]], SAME), "image 0: expected encoded bytes, got bytes of length 0"),
        ((["text", *IMAGES[1:]], SAME), "image 0: expected encoded bytes, got str of length 4"),
        (([np.zeros((2, 2), np.uint8), *IMAGES[1:]], SAME), "expected a row of 4 numbers"),
        (([np.zeros(3), *IMAGES[1:]], SAME), "image 0: expected encoded bytes, got ndarray"),
        ((IMAGES, [True, 2]), "pair 1: expected True or False, got int"),
        ((IMAGES, [None, True]), "pair 0: expected True or False, got NoneType"),
        ((IMAGES, np.ones((2, 2), bool)), "expected a row of 4 numbers"),
        (b"", "expected a pickle"),
        (b"no pickle at all", "expected a pickle"),
    ],
)
def test_a_bin_of_anything_else_is_one_line(tmp_path, content, said):
    with pytest.raises(ValueError, match="expected") as error:
        fl.load_bin(write_bin(tmp_path / "x.bin", content))
    assert said in str(error.value)
    assert "x.bin" in str(error.value) and "\n" not in str(error.value)


def test_a_truncated_bin_is_one_line_wherever_it_ends(tmp_path):
    data = pickle.dumps((IMAGES, np.array(SAME)), protocol=4)
    for n in range(0, len(data) - 1, 7):
        with pytest.raises(ValueError, match=r"x\.bin.*expected a pickle of images") as error:
            fl.load_bin(write_bin(tmp_path / "x.bin", data[:n]))
        assert "\n" not in str(error.value)


def test_a_broken_picture_of_a_bin_names_its_number(tmp_path):
    faces = fl.load_bin(write_bin(tmp_path / "x.bin", ([*IMAGES[:3], b"none"], SAME)))
    with pytest.raises(ValueError, match=r"x\.bin, image 3: expected a whole picture, got this"):
        faces.batch(np.array([3]))


# --- lists and folders ---


def write_cplfw(root, lines):
    for line in lines:
        write_picture(root / "images" / line.split()[0], 10)
    (root / "pairs_CPLFW.txt").write_text("\n".join(lines) + "\n")
    return root / "pairs_CPLFW.txt", root / "images"


CPLFW = ["Ann_Lee_1.jpg 1", "Ann_Lee_2.jpg 1", "Ann_Lee_1.jpg 0", "Bo_3.jpg 0"]


def test_cplfw_and_calfw_are_two_lines_a_pair(tmp_path):
    faces = fl.load_pair_list(*write_cplfw(tmp_path, CPLFW), image_size=8)
    ids = faces.image_ids
    left, right = ids[faces.pairs.left].tolist(), ids[faces.pairs.right].tolist()
    assert left == ["Ann_Lee_0001", "Ann_Lee_0001"] and right == ["Ann_Lee_0002", "Bo_0003"]
    assert faces.pairs.same.tolist() == [True, False]
    assert len(faces) == 3 and faces.names == ("Ann_Lee", "Bo")
    assert faces.source == "CPLFW"
    assert shades(faces) == [10, 10, 10]
    folds = [line.replace(" 1", " 7") for line in CPLFW]  # CALFW puts the fold there
    assert fl.load_pair_list(*write_cplfw(tmp_path, folds)).pairs.same.tolist() == [True, False]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (CPLFW[:3], "two lines for each pair, got 3 lines"),
        ([*CPLFW[:3], "Bo_3.jpg 1"], "pair 2: expected 0 twice or not at all"),
        ([CPLFW[0], "Bo_3.jpg 1"], "CPLFW: expected `same` as the labels"),
        ([*CPLFW[:3], "Bo_3.jpg"], "line 4: expected NAME_NUMBER.jpg LABEL, got 'Bo_3.jpg'"),
        (["", ""], "expected lines NAME_NUMBER.jpg LABEL, got none"),
    ],
)
def test_a_wrong_list_of_pairs_names_the_line(tmp_path, lines, said):
    path, images = write_cplfw(tmp_path, CPLFW)
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match="CPLFW") as error:
        fl.load_pair_list(path, images)
    assert said in str(error.value)


def test_missing_pictures_are_counted_and_named(tmp_path):
    path, images = write_cplfw(tmp_path, CPLFW)
    (images / "Bo_3.jpg").unlink()
    with pytest.raises(ValueError, match=r"expected 3 pictures, got 1 missing: .*Bo_3\.jpg"):
        fl.load_pair_list(path, images)


def write_cfp(root):
    """Two people of two frontal and one profile image, the same pairs in each fold."""
    lists = {"F": [], "P": []}
    for person in ("001", "002"):
        for pose, number in (("frontal", 1), ("frontal", 2), ("profile", 1)):
            file = f"Data/Images/{person}/{pose}/{number:02d}.jpg"
            write_picture(root / file, 100 * int(person) + 10 * number + (pose == "profile"))
            some = lists[pose[0].upper()]
            some.append(f"{len(some) + 1} ../{file}")
    for fold in range(1, 11):
        for kind, same, different in (("FP", "1,1\n3,2\n", "1,2\n"), ("FF", "1,2\n", "2,3\n")):
            folder = root / "Protocol" / "Split" / kind / f"{fold:02d}"
            folder.mkdir(parents=True)
            (folder / "same.txt").write_text(same)
            (folder / "diff.txt").write_text(different)
    for view, lines in lists.items():
        (root / "Protocol" / f"Pair_list_{view}.txt").write_text("\n".join(lines))
    return root


def test_cfp_has_frontal_profile_and_frontal_frontal_pairs(tmp_path):
    faces = fl.load_cfp(write_cfp(tmp_path), image_size=8)
    pairs = faces.pairs[faces.pairs.fold == 3]
    ids = faces.image_ids
    assert ids[pairs.left].tolist() == ["001_0001", "002_0001", "001_0001"]
    assert ids[pairs.right].tolist() == ["001_0101", "002_0101", "002_0101"]
    assert pairs.same.tolist() == [True, True, False]
    assert shades(faces)[:2] == [110, 120]
    assert len(faces) == 6 and len(faces.pairs) == 30
    both = fl.load_cfp(tmp_path, "FF")
    assert both.image_ids[both.pairs.right[:2]].tolist() == ["001_0002", "002_0001"]


def test_wrong_lists_of_cfp_are_one_line(tmp_path):
    write_cfp(tmp_path)
    same = tmp_path / "Protocol/Split/FP/04/same.txt"
    same.write_text("1,9")
    with pytest.raises(ValueError, match=r"04/same\.txt: expected numbers of Pair.*got 1,9"):
        fl.load_cfp(tmp_path)
    same.write_text("1;1")
    with pytest.raises(ValueError, match=r"04/same\.txt, line 1: expected NUMBER,NUMBER, got '1;1"):
        fl.load_cfp(tmp_path)
    images = tmp_path / "Protocol" / "Pair_list_P.txt"
    text = images.read_text()
    images.write_text(text.replace("2 ../", "1 ../"))
    with pytest.raises(ValueError, match=r"Pair_list_P\.txt: expected each number once, got 1 twi"):
        fl.load_cfp(tmp_path)
    images.write_text(text)
    same.unlink()
    with pytest.raises(FileNotFoundError, match=r"04/same\.txt"):
        fl.load_cfp(tmp_path)
    with pytest.raises(ValueError, match="expected kind FP or FF, got 'PP'"):
        fl.load_cfp(tmp_path, "PP")


def test_agedb_names_people_in_its_files(tmp_path):
    for shade, name in enumerate(["0_MariaCallas_35_f", "12_Anna_Bo_7_f", "3_MariaCallas_40_f"]):
        write_picture(tmp_path / f"{name}.jpg", shade)
    faces = fl.load_agedb(tmp_path, image_size=8)
    assert faces.image_ids.tolist() == ["MariaCallas_0000", "Anna_Bo_0012", "MariaCallas_0003"]
    assert shades(faces) == [0, 1, 2]
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ValueError, match=r"expected files NUMBER_NAME_AGE_SEX.*1 others: notes"):
        fl.load_agedb(tmp_path)


def test_megaface_has_probes_and_distractors_without_noise(tmp_path):
    probes = ["A. Bo/A. Bo_1.png", "A. Bo/A. Bo_2.png", "Cy/Cy_1.png"]
    others = ["1/11@N/1.jpg", "1/11@N/2.jpg"]
    for name, files in (("facescrub", probes), ("megaface", others)):
        (tmp_path / f"{name}_lst").write_text("\n".join(files) + "\n")
        for k, file in enumerate(files):
            write_picture(tmp_path / f"{name}_images" / file, 10 * k)
    noise = tmp_path / "facescrub_noises.txt"
    noise.write_text("# 1\nA. Bo_2.png\n")
    one = tmp_path / "facescrub_lst", tmp_path / "facescrub_images"
    faces = fl.load_image_list(*one, noise=noise, image_size=8)
    assert faces.names == ("A. Bo", "Cy") and shades(faces) == [0, 20]
    assert faces.source == "facescrub_lst without 1 wrong images"
    many = fl.load_image_list(
        tmp_path / "megaface_lst", tmp_path / "megaface_images", True, image_size=8
    )
    assert len(many.names) == 2 and shades(many) == [0, 10]
    (tmp_path / "facescrub_lst").write_text("no folder.png")
    with pytest.raises(ValueError, match=r"facescrub_lst, line 1: expected PERSON/.../FILE"):
        fl.load_image_list(*one)


# --- templates ---


def write_ijb(root):
    """Templates 7, 3 and 12: the first of a video of two frames and a still, and so on."""
    (root / "meta").mkdir(parents=True)
    lines = ["1.jpg 7 100", "2.jpg 7 100", "3.jpg 7 101", "4.jpg 3 102", "5.jpg 12 103"]
    (root / "meta" / "ijbc_face_tid_mid.txt").write_text("\n".join(lines) + "\n")
    (root / "meta" / "ijbc_template_pair_label.txt").write_text("7 3 1\n3 12 0\n7 12 0\n")
    for k in range(1, 6):
        write_picture(root / "loose_crop" / f"{k}.jpg", 10 * k)
    return root


def test_ijb_templates_carry_pairs_and_the_people_that_these_join(tmp_path):
    templates = fl.load_ijb(write_ijb(tmp_path), image_size=8)
    assert shades(templates.images) == [10, 20, 30, 40, 50]
    assert templates.template.tolist() == [1, 1, 1, 0, 2]  # in the order of their numbers
    assert shades(templates.faces) == [40, 10, 50]
    pairs = templates.faces.pairs
    assert pairs.left.tolist() == [1, 0, 1] and pairs.right.tolist() == [0, 2, 2]
    assert pairs.same.tolist() == [True, False, False]
    a, b, c = templates.faces.labels
    assert a == b != c
    assert templates.faces.source == pairs.name == "IJBC"


def test_pooling_averages_the_frames_of_a_video_and_adds_up_media(tmp_path):
    templates = fl.load_ijb(write_ijb(tmp_path), image_size=8)
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(5, 4))
    unit = embeddings / np.linalg.norm(embeddings, axis=1)[:, None]
    first = (unit[0] + unit[1]) / 2 + unit[2]
    expected = np.stack([unit[3], first / np.linalg.norm(first), unit[4]])
    pooled = templates.pool(embeddings)
    np.testing.assert_allclose(pooled, expected, atol=1e-6)
    with pytest.raises(ValueError, match="expected an embedding for each of 5 images, got 3"):
        templates.pool(embeddings[:3])
    report = fl.verify(pooled, templates.faces, 1.0)
    table = fl.tar_table(report, (0.5, 0.1))
    assert table["note"].tolist()[0] == "" and "10 different pairs" in table["note"].tolist()[1]
    assert np.isnan(table["tar"][1]) and table["tar"][0] in (0, 1)


def test_tar_at_far_agrees_with_counting():
    rng = np.random.default_rng(1)
    same = np.arange(20_000) < 200
    distances = np.where(same, rng.normal(0.8, 0.2, 20_000), rng.normal(1.3, 0.15, 20_000))
    n = len(same)
    people = np.arange(2 * n)
    people[n : n + 200] = people[:200]
    report = fl.Report(
        distances.clip(0, 2), same, np.zeros(n), np.arange(n), n + np.arange(n), people, people, 1.0
    )
    table = fl.tar_table(report)
    assert table["far"].tolist() == [1e-1, 1e-2, 1e-3, 1e-4]
    for far, tar in zip(table["far"], table["tar"], strict=True):
        impostors = np.sort(report.distances[~same])
        threshold = impostors[int(far * len(impostors))]
        assert tar == np.mean(report.distances[same] < threshold)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("ijbc_face_tid_mid.txt", "1.jpg 7\n", "tid_mid.txt, line 1: expected FILE TEMPLATE MEDIA"),
        ("ijbc_template_pair_label.txt", "7 3 1\n7 3 2\n", "lines TEMPLATE TEMPLATE 0 or 1, got"),
        ("ijbc_template_pair_label.txt", "7 3 1\n7 3\n", "lines TEMPLATE TEMPLATE 0 or 1, got"),
        ("ijbc_template_pair_label.txt", "7 3 1\n7 x 1\n", "lines TEMPLATE TEMPLATE 0 or 1, got"),
        ("ijbc_template_pair_label.txt", "", "label.txt: expected lines TEMPLATE"),
        ("ijbc_template_pair_label.txt", "7 99 1\n", "expected templates of ijbc_face_tid_mid.txt"),
        ("ijbc_template_pair_label.txt", "7 3 1\n7 3 0\n", "expected `same` as the labels"),
    ],
)
def test_wrong_lists_of_ijb_are_one_line(tmp_path, file, text, said):
    (write_ijb(tmp_path) / "meta" / file).write_text(text)
    with pytest.raises(ValueError, match="expected") as error:
        fl.load_ijb(tmp_path)
    assert said in str(error.value) and "\n" not in str(error.value)


def write_ytf(root):
    lines = ["split number, pair number, first, second, svm, is same"]
    lines += [
        "1, 1, Ann_Lee/0, Ann_Lee/3, x, 1",
        "1, 2, Ann_Lee/0, Bo/1, x, 0",
        "2, 3, Bo/1, Bo/2, 1",
    ]
    (root / "splits.txt").write_text("\n".join(lines) + "\n")
    for video, n in (("Ann_Lee/0", 2), ("Ann_Lee/3", 1), ("Bo/1", 3), ("Bo/2", 1), ("Cy/0", 1)):
        for k in range(n):
            write_picture(root / "aligned_images_DB" / video / f"{k}.jpg", 10 * n + k)
    return root


def test_ytf_videos_are_templates_in_ten_folds(tmp_path):
    templates = fl.load_ytf(write_ytf(tmp_path), image_size=8)
    assert len(templates.images) == 7 and len(templates.faces) == 4
    assert templates.faces.names == ("Ann_Lee", "Bo")
    pairs = templates.faces.pairs
    assert pairs.fold.tolist() == [0, 0, 1] and pairs.same.tolist() == [True, False, True]
    assert shades(templates.faces) == [20, 10, 30, 10]
    embeddings = np.eye(7)
    pooled = templates.pool(embeddings)
    np.testing.assert_allclose(pooled[0, :2], 0.5**0.5, rtol=1e-6)
    (tmp_path / "aligned_images_DB" / "Bo" / "2" / "0.jpg").unlink()
    with pytest.raises(ValueError, match=r"Bo/2: expected the frames of a video, got none"):
        fl.load_ytf(tmp_path)
    (tmp_path / "splits.txt").write_text("heading\n1, 1, Ann_Lee, Bo/1, 0\n")
    with pytest.raises(ValueError, match=r"splits\.txt, line 2: expected FOLD, NUMBER"):
        fl.load_ytf(tmp_path)


def test_iqiyi_videos_are_templates_of_both_lists(tmp_path):
    for video in ("V_1", "V_2", "V_3"):
        write_picture(tmp_path / "frames" / video / "0.jpg", 10)
    train = tmp_path / "train_gt.txt"
    train.write_text("V_1.mp4 5\nV_2.mp4 6\nV_3.mp4 5\n")
    validation = tmp_path / "val_gt.txt"
    validation.write_text("5 V_1.mp4 V_3.mp4\n6 V_2.mp4\n")
    for path, labels in ((train, [0, 1, 0]), (validation, [0, 0, 1])):
        templates = fl.load_iqiyi(path, tmp_path / "frames", image_size=8)
        assert templates.faces.names == ("5", "6")
        assert templates.faces.labels.tolist() == labels
        assert templates.faces.pairs is None
    validation.write_text("5 V_1.mp4\n6 V_1.mp4\n")
    with pytest.raises(ValueError, match=r"val_gt\.txt: expected one person in V_1\.mp4, got 5 an"):
        fl.load_iqiyi(validation, tmp_path / "frames")
