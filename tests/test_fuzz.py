"""Every parser, on damaged and on made-up input: a right value, or one line of what is wrong.

`make test` tries hundreds of cases and always the same ones; `make fuzz` thousands of new ones.
"""

import io
import json
import os
import pickle
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from functools import cache, reduce
from operator import getitem
from pathlib import Path

import numpy as np
import pytest
import test_formats as formats
import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image
from records import add_number, add_report, add_training, make_record, make_report, write_record

import facelab as fl
from facelab.data.archives import unpack
from facelab.data.decoding import decode
from facelab.data.protocol_text import FILES, read, texts, write
from facelab.explorer.shown import Film
from facelab.explorer.widget import uploaded
from facelab.files import loaded
from facelab.study.reading import inside, read_record
from facelab.study.report import build_report
from facelab.study.settings import (
    Parameter,
    convert,
    described_parameters,
    limits,
    plan,
    read_profile,
)
from facelab.verification import Report

LONG = b"9" * 5000
NASTY = [b"", b"0", b"-1", b"nan", b"1e999", b"true", LONG, b"9" * 25, b"\0", b"\n", b"\r\n"]
NASTY += [b"\t", b",", b" "]
NASTY += [b"\xff\xff\xff\xff", b"../", b"/", b"\\", b"a\xcc\x88", "²".encode(), "٣".encode()]
NASTY += ["\u2028".encode(), b"\x85", b"\xef\xbb\xbf", b"{", b"[", b'"']


@st.composite
def damaged(draw, data: bytes, most: int = 3):
    """Bytes like `data`, of which up to `most` pieces are replaced, cut out or repeated."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, most))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.integers(0, 8) | st.integers(0, len(data)))
        again = bytes(data[start:end]) * 2
        data[start:end] = draw(st.sampled_from([*NASTY, again]) | st.binary(max_size=8))
    return bytes(data)


@contextmanager
def refused(*names, lines=20):
    """Let pass what is refused as it should be: in few short lines that name a file, if any."""
    try:
        yield
    except (ValueError, OSError) as error:
        said = str(error)
        assert len(said.splitlines()) <= lines and len(said) < 1000 * lines, said[:2000]
        assert not names or any(name in said for name in names), said[:2000]


def refused_in_one_line(*names):
    return refused(*names, lines=1)


# Lists and tables


@given(data=st.data())
def test_a_protocol_is_read_as_it_stands_or_refused(tmp_path, small_protocol, data):
    write(small_protocol, tmp_path)
    file = data.draw(st.sampled_from(FILES))
    path = tmp_path / file
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    with refused_in_one_line(*FILES):
        protocol = read(tmp_path)
        again = texts(protocol)
        write(protocol, tmp_path)
        assert texts(read(tmp_path)) == again


def write_ytf(root):
    formats.write_ytf(root)
    return root / "splits.txt"


def write_iqiyi(root):
    for video in ("V_1", "V_2"):
        formats.write_picture(root / "frames" / video / "0.png", 10)
    (root / "list.txt").write_text("V_1.mp4 5\nV_2.mp4 6\n")


def write_images(root):
    for name in ("A/1.png", "A/2.png", "B/1.png"):
        formats.write_picture(root / "images" / name, 10)
    (root / "list.txt").write_text("A/1.png\nA/2.png\nB/1.png\n")


def write_table(root):
    write_images(root)
    (root / "table.csv").write_text("path,person\nimages/A/1.png,A\nimages/B/1.png,B\n")


TABLES = {
    "CPLFW": (
        lambda root: formats.write_cplfw(root, formats.CPLFW),
        "pairs_CPLFW.txt",
        lambda root: fl.load_pair_list(root / "pairs_CPLFW.txt", root / "images", 8),
    ),
    "CFP list": (formats.write_cfp, "Protocol/Pair_list_F.txt", lambda r: fl.load_cfp(r, "FP", 8)),
    "CFP pairs": (
        formats.write_cfp,
        "Protocol/Split/FP/01/same.txt",
        lambda root: fl.load_cfp(root, "FP", 8),
    ),
    "images": (
        write_images,
        "list.txt",
        lambda root: fl.load_image_list(root / "list.txt", root / "images", image_size=8),
    ),
    "IJB templates": (
        formats.write_ijb,
        "meta/ijbc_face_tid_mid.txt",
        lambda root: fl.load_ijb(root, 8).faces,
    ),
    "IJB pairs": (
        formats.write_ijb,
        "meta/ijbc_template_pair_label.txt",
        lambda root: fl.load_ijb(root, 8).faces,
    ),
    "YTF": (write_ytf, "splits.txt", lambda root: fl.load_ytf(root, image_size=8).faces),
    "iQIYI": (
        write_iqiyi,
        "list.txt",
        lambda root: fl.load_iqiyi(root / "list.txt", root / "frames", 8).faces,
    ),
}


NAMED = ("list.txt", "CPLFW", "CFP", "IJBC", "YTF", "iQIYI")  # files, or the sets they are of


@pytest.mark.parametrize("name", TABLES)
@given(data=st.data())
def test_a_list_gives_faces_or_is_refused(tmp_path_factory, name, data):
    make, file, load = TABLES[name]
    root = tmp_path_factory.getbasetemp() / f"list {name}"
    if not root.exists():
        root.mkdir()
        make(root)
        (root / "whole").write_bytes((root / file).read_bytes())
    (root / file).write_bytes(data.draw(damaged((root / "whole").read_bytes())))
    with refused_in_one_line(str(root), *NAMED):
        faces = load(root)
        assert faces.labels.max() < len(faces.names)
        assert len(faces.image_ids) == len(faces.labels)


@given(data=st.data())
def test_a_table_of_photos_gives_faces_or_is_refused(tmp_path, data):
    write_table(tmp_path)
    table = tmp_path / "table.csv"
    table.write_bytes(data.draw(damaged(table.read_bytes())))
    with refused(str(tmp_path)):  # in lines: one for each photo that is not as it should be
        faces = fl.load_faces(table, image_size=8, progress=False)
        assert len(faces.image_ids) == len(set(faces.image_ids)) == len(faces.images)


# Binary files


@given(data=st.data())
def test_a_rec_gives_people_and_pictures_or_is_refused(tmp_path, data):
    folder = formats.write_rec(tmp_path / "set", formats.small_rec())
    path = folder / data.draw(st.sampled_from(["train.rec", "train.idx", "property"]))
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    with refused_in_one_line("train.rec", "train.idx", "property"):
        faces = fl.load_rec(folder, image_size=8, progress=False)
        assert all(0 <= int(name) < 10**8 for name in faces.names)
        assert faces.images.shape == (len(faces), 3, 8, 8)


WHOLE_BINS = [pickle.dumps((formats.IMAGES, formats.SAME), protocol) for protocol in range(6)]


@given(st.sampled_from(WHOLE_BINS).flatmap(damaged))
def test_a_bin_gives_pairs_of_pictures_or_is_refused(tmp_path, content):
    path = formats.write_bin(tmp_path / "x.bin", content)
    with refused_in_one_line("x.bin"):
        faces = fl.load_bin(path, image_size=8)
        assert len(faces) == 2 * len(faces.pairs) > 0
        assert faces.images.shape == (len(faces), 3, 8, 8)


OPCODES = b"()]}.0123KMJNIFSTUVXcgijhlopqrstue\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8c\x8e\x93\x94R"


@given(st.lists(st.sampled_from([bytes([code]) for code in OPCODES]) | st.binary(max_size=6)))
def test_opcodes_in_any_order_are_no_set_of_pairs(tmp_path, codes):
    path = formats.write_bin(tmp_path / "x.bin", b"\x80\x02" + b"".join(codes) + b".")
    with pytest.raises(ValueError, match=r"x\.bin") as error:
        fl.load_bin(path)
    assert len(str(error.value).splitlines()) == 1


def archives():
    """The content of a small copy, and archives that hold it."""
    rng = np.random.default_rng(0)
    files = {f"lfw/A_{k}/A_{k}_0001.jpg": rng.bytes(200) for k in range(3)}
    files["lfw/pairs.txt"] = b"10\t300\n" * 9
    tarred, zipped = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return files, tarred.getvalue(), zipped.getvalue()


FILES_PACKED, TARRED, ZIPPED = archives()


def contents(folder):
    files = [path for path in Path(folder).rglob("*") if not path.is_dir()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@given(st.sampled_from([TARRED, ZIPPED]).flatmap(lambda whole: damaged(whole, 1)))
def test_a_damaged_archive_never_gives_other_files(tmp_path_factory, content):
    place = tmp_path_factory.mktemp("archive")
    (place / "lfw.tgz").write_bytes(content)
    (place / "out").mkdir()
    with refused_in_one_line("lfw.tgz"):
        unpack(place / "lfw.tgz", place / "out", ("lfw",), FILES)
        assert contents(place / "out") in ({}, FILES_PACKED)


parts = st.sampled_from(["..", ".", "", "lfw", "A_1", "A_1_0001.jpg", "._x.jpg", "C:", "a\\b.jpg"])
member_names = st.lists(parts | st.text(max_size=4), min_size=1, max_size=5).map("/".join)
kinds = st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])


@given(st.lists(st.tuples(member_names, kinds, member_names), max_size=6))
@example([("lfw/A/x.jpg", tarfile.SYMTYPE, "/etc"), ("lfw/A/x.jpg/y.jpg", tarfile.REGTYPE, "")])
def test_nothing_of_an_archive_lands_outside_its_folder(tmp_path_factory, members):
    place = tmp_path_factory.mktemp("archive")
    with tarfile.open(place / "lfw.tar", "w") as tar:
        for name, kind, target in members:
            member = tarfile.TarInfo(name.encode(errors="replace").decode())
            member.type, member.linkname = kind, target.encode(errors="replace").decode()
            member.size = 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"abc"))
    (place / "a" / "out").mkdir(parents=True)
    with refused_in_one_line("lfw.tar", str(place)):
        unpack(place / "lfw.tar", place / "a" / "out", ("lfw",), FILES)
    there = {path for path in place.rglob("*") if path.is_symlink() or not path.is_dir()}
    kept = {path for path in there if (place / "a" / "out") in path.parents}
    assert there - kept == {place / "lfw.tar"}
    assert all(path.read_bytes() == b"abc" and not path.is_symlink() for path in kept)


def encoded(kind, **how):
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    Image.fromarray(pixels).save(out, kind, **how)
    return out.getvalue()


PICTURES = [encoded("JPEG"), encoded("PNG"), encoded("WEBP", lossless=True), encoded("GIF")]


@given(st.sampled_from(PICTURES).flatmap(damaged) | st.binary(max_size=64))
def test_a_picture_is_decoded_or_refused_with_a_reason(content):
    for decoded, source in ((decode, io.BytesIO(content)), (uploaded, content)):
        with refused_in_one_line():
            pixels = decoded(source, 8, None)
            assert pixels.shape == (3, 8, 8) and pixels.dtype == np.uint8


@given(damaged(encoded("PNG"), 1))
def test_a_damaged_png_never_gives_other_pixels(content):
    try:
        pixels = decode(io.BytesIO(content), 8)
    except ValueError:
        return
    assert np.array_equal(pixels, decode(io.BytesIO(encoded("PNG")), 8))


@cache
def kept_files():
    """Return the content of what a run keeps, by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        splits = {"dev": (np.full((2, 3), 0.5), np.array([True, False, True]))}
        Film(np.arange(2), "drawn", True, splits).save(folder / "film.npz")
        network = {"name": "siamese_cnn", "embedding_size": 2, "image_size": 16, "channels": [2]}
        model = fl.siamese_cnn(2, 16, channels=[2])
        settings = {"image_size": 16, "crop": None, "threshold": 1.0}
        fl.save_network(folder / "network.safetensors", model, network, **settings)
        write_record(folder, whole_record(folder))
        return contents(folder)


READERS = {
    "0.npz": lambda path: loaded(Report.load, path, "a report"),
    "film.npz": lambda path: loaded(Film.load, path, "a film"),
    "network.safetensors": fl.load_network,
    "run.json": lambda path: json.dumps(read_record(path), allow_nan=False),
}


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_a_kept_file_is_read_or_named(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data.draw(damaged(kept_files()[name])))
    with refused_in_one_line(name):
        assert READERS[name](path) is not None


# Records


def whole_record(folder):
    record = make_record("01_x")
    add_report(record, folder, "a", make_report(n=24), 0.9)
    add_training(record, "a")
    add_number(record, "plateau", 0.5, 0.4, 0.6)
    claim = {"sentence": "A claim", "value": 0.5, "low": 0.4, "high": 0.6, "holds": True}
    record["claims"].append(claim | {"format": ".3f"})
    record["figures"].append({"file": "a.png", "caption": "A figure"})
    Image.new("RGB", (2, 2)).save(folder / "a.png")
    record["notes"].append("A note")
    return record


words = st.sampled_from(
    ["", "../../etc/passwd", "/etc/passwd", "a\nb", "x" * 9999, "\ud800", "nan"]
)
plain = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5)
values = st.recursive(
    plain, lambda v: st.lists(v, max_size=3) | st.dictionaries(words, v), max_leaves=4
)


def places(value, path=()):
    """Yield the path of every value within a record."""
    yield path
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*path, key))


@given(data=st.data())
def test_a_changed_record_is_read_or_named_and_the_others_are_reported(tmp_path, monkeypatch, data):
    monkeypatch.setattr("facelab.explorer.payload.resampled", lambda shown: None)  # takes long
    for name in ("00_good", "01_x"):
        (tmp_path / name).mkdir(exist_ok=True)
    write_record(tmp_path / "00_good", make_record("00_good"))
    for name, content in kept_files().items():
        (tmp_path / "01_x" / name).write_bytes(content)
    record = json.loads(kept_files()["run.json"])
    for _ in range(data.draw(st.integers(1, 2))):
        *path, last = data.draw(st.sampled_from([path for path in places(record) if path]))
        owner = reduce(getitem, path, record)
        if data.draw(st.booleans()):
            owner[last] = data.draw(values)
        else:
            del owner[last]
    write_record(tmp_path / "01_x", record)
    with refused_in_one_line("01_x"):
        read_record(tmp_path / "01_x" / "run.json")
    with refused_in_one_line("one run a notebook"):  # the changed one took the other's name
        assert "Good" in build_report(tmp_path).read_text("utf-8")
    fl.load_results(tmp_path)
    assert all(one.report or one.film or one.problem for one in fl.load_shown(tmp_path))


# Parameters


defaults = st.sampled_from([1, 0.5, True, "lfw", None, [1], [0.5], ["a"], [True]])
literals = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["9" * 5000, "1e999", "nan", "[" * 300, "[1, 2]", "[0.5, 1]", "__import__('os')"]
    ),
    values.map(repr),
)


@given(literals | values, defaults)
def test_a_value_has_the_type_of_the_default_or_is_refused(value, default):
    with refused_in_one_line("NAME"):
        got = convert("NAME", value, default)
        assert default is None or type(got) is type(default)
        if isinstance(default, list):
            assert got and {type(one) for one in got} == {type(default[0])}
        flat = got if isinstance(got, list) else [got]
        assert all(np.isfinite(one) for one in flat if isinstance(one, float))


numbers = st.integers(-50, 50) | st.floats(-50, 50).map(lambda x: round(x, 3))


@given(numbers, numbers, st.sampled_from(["[]", "[)", "(]", "()"]), st.integers(0, 5), numbers)
def test_limits_are_kept_as_they_are_written(least, most, ends, step, value):
    comment = f"pixels {ends[0]}{least}, {most}{ends[1]}" + (f" step {step}" if step else "")
    assume("e" not in comment.removeprefix("pixels").removesuffix(f" step {step}"))
    text, allows = limits(comment)
    assert text and comment.endswith(text)
    inside = least <= value <= most
    inside &= not (ends[0] == "(" and value == least) and not (ends[1] == ")" and value == most)
    inside &= not (step and (value - least) % step)
    assert allows(value) == inside
    with refused_in_one_line("SIZE"):
        assert Parameter(type(value)(0), comment).checked("SIZE", value) == value and inside


CELL = 'DATA = "synthetic"\nEPOCHS = 2  # passes [1, 9]\nOUT = ""\nPROFILE = ""\n'


@given(damaged(CELL.encode()), st.dictionaries(st.sampled_from(["EPOCHS", "DATA"]), literals))
def test_any_cell_of_parameters_gives_a_plan_or_is_refused(tmp_path, source, overrides):
    source = source.decode("utf-8", "replace")
    cell = new_code_cell(source, metadata={"tags": ["parameters"]})
    path = tmp_path / "00_x.ipynb"
    path.write_text(json.dumps(new_notebook(cells=[cell])))
    with refused_in_one_line("00_x", *overrides, "LFW", "FACELAB_LFW", "archive", "copy"):
        described = described_parameters(path)
        (planned,) = plan([path], {}, overrides).values()
        assert planned.keys() == described.keys() - {"OUT", "PROFILE"}


PROFILE = "EPOCHS: 3\nMARGIN: 2.0  # a comment\nNAME: lfw\nMORE: [1, 2]\n"


@given(damaged(PROFILE.encode()) | values.map(lambda value: yaml.dump(value).encode()))
def test_any_profile_is_flat_or_refused(tmp_path, content):
    path = tmp_path / "own.yaml"
    path.write_bytes(content)
    with refused_in_one_line("own.yaml"):
        found = read_profile(str(path))
        assert all(key.isupper() for key in found)
        parts = [value if isinstance(value, list) else [value] for value in found.values()]
        assert not any(isinstance(part, list | dict) for value in parts for part in value)


@given(st.text(max_size=40))
def test_no_name_of_a_file_leads_out_of_a_run(tmp_path, name):
    with refused_in_one_line(str(tmp_path)):
        path = inside(tmp_path, name)
        assert os.path.realpath(path).startswith(str(tmp_path.resolve()) + os.sep)
