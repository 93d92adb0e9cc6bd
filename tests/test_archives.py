import gzip
import io
import os
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from facelab.data.copies import find
from facelab.data.inspect import info
from facelab.data.lfw import load_lfw

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def copy(write_copy, tmp_path):
    return write_copy(tmp_path / "data", "lfw_funneled")


def load(root):
    return load_lfw(root, image_size=8, crop=20, progress=False)


def tgz(path, folder, name, more=(), mode="w:gz"):
    """Pack `folder` as `name`, and files of some content."""
    with tarfile.open(path, mode) as archive:
        archive.add(folder, name)
        for member, content in dict(more).items():
            header = tarfile.TarInfo(member)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return path


def zipped(path, folder, name):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{name}/{file.relative_to(folder)}")
    return path


def packings(copy, out):
    """Pack a copy in all the ways that people do."""
    lists = list(copy.glob("*.txt"))
    folder = copy / "lfw_funneled"
    mac = {"lfw_funneled/Person_Aa/._Person_Aa_0001.jpg": b"x", "._lfw_funneled": b"x"}
    places = {way: out / way for way in ("plain", "dot", "mac", "zip", "kaggle", "tar", "deep")}
    for place in places.values():
        place.mkdir(parents=True)
        for path in lists:
            shutil.copy(path, place)
    yield tgz(places["plain"] / "lfw-funneled.tgz", folder, "lfw_funneled")
    yield tgz(places["dot"] / "lfw.tar.gz", folder, "./lfw_funneled")
    yield tgz(places["mac"] / "lfw.tgz", folder, "lfw_funneled", mac)
    yield zipped(places["zip"] / "lfw.zip", folder, "lfw_funneled")
    yield zipped(places["kaggle"] / "archive.zip", folder, "lfw_funneled/lfw_funneled")
    yield tgz(places["tar"] / "all.tar", folder, "lfw_funneled", mode="w")
    yield tgz(places["deep"] / "lfw.tgz", copy, "downloads/faces")  # with its lists


def test_an_archive_loads_as_the_folder_it_was_made_of(copy, tmp_path):
    folder = load(copy)
    for path in packings(copy, tmp_path / "packed"):
        for where in (path, path.parent) if path.name.startswith("lfw") else (path,):
            faces = load(where)
            assert faces.fingerprint == folder.fingerprint, where
            assert np.array_equal(faces.images, folder.images)
            assert faces.source == "own faces in lfw_funneled"
        assert info(path, crop=20, progress=False)[1]


def test_an_archive_brings_its_lists(copy, tmp_path):
    path = tgz(tmp_path / "lfw.tgz", copy, "faces")
    assert load(path).fingerprint == load(copy).fingerprint


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_an_archive_that_was_cut_off_is_an_error_that_names_it(copy, tmp_path, cache, part):
    for path in packings(copy, tmp_path / "packed"):
        if path.suffix != ".tar":
            os.truncate(path, int(path.stat().st_size * part))
            with pytest.raises(ValueError, match=rf"{path.name}: expected a whole archive of LFW"):
                load(path)
    assert not cache.exists() or list(cache.iterdir()) == []


def test_an_archive_with_any_bit_flipped_is_refused(copy, tmp_path):
    """Or loads the very same pixels: a header's time is no pixel."""
    good = load(copy).fingerprint
    for k, path in enumerate((tmp_path / "lfw.tgz", tmp_path / "lfw.zip")):
        pack = zipped if k else tgz
        whole = pack(path, copy / "lfw_funneled", "lfw_funneled").read_bytes()
        for file in copy.glob("*.txt"):
            shutil.copy(file, tmp_path)
        refused = 0
        for place in np.random.default_rng(k).integers(0, len(whole), 12):
            spoilt = bytearray(whole)
            spoilt[place] ^= 16
            path.write_bytes(spoilt)
            try:
                assert load(path).fingerprint == good
            except ValueError:
                refused += 1
        assert refused > 9


@pytest.mark.parametrize("letter", [b"x", b"\0"])
def test_a_name_in_a_zip_that_is_damaged_loses_no_photo(copy, tmp_path, letter):
    path = zipped(tmp_path / "lfw.zip", copy / "lfw_funneled", "lfw_funneled")
    whole = path.read_bytes()
    place = whole.rindex(b"lfw_funneled/Person_Ac/Person_Ac_0002.jpg")  # in the list at the end
    path.write_bytes(whole[:place] + letter + whole[place + 1 :])
    with pytest.raises(ValueError, match=r"lfw\.zip: expected a whole archive .* differ"):
        load(path)


def test_what_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "lfw.tgz"
    for content in (b"<html>", b"", gzip.compress(b"<html>" * 1000), b"PK\3\4" + b"x" * 600):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"lfw\.tgz: expected (a whole archive|one copy)"):
            load(path)


def test_members_that_nobody_expects_are_not_written(copy, tmp_path, cache):
    more = {
        "../../evil.jpg": b"x",
        "/lfw_funneled/../Person_Aa/evil.jpg": b"x",
        "lfw_funneled/Person_Aa/evil.exe": b"x",
        "lfw_funneled/evil.jpg": b"x",
        "evil.jpg": b"x",
        "lfw_funneled/Person_Aa/C:evil.jpg": b"x",
    }
    path = tgz(tmp_path / "lfw.tgz", copy / "lfw_funneled", "lfw_funneled", more)
    with tarfile.open(path, "r:gz") as archive:
        assert len(archive.getmembers()) > 100
    inside = find(path).path
    assert len(list(inside.rglob("*.jpg"))) == 100
    assert not list(tmp_path.rglob("*evil*"))


def test_links_in_an_archive_lead_nowhere(copy, tmp_path):
    path = tmp_path / "lfw.tgz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(copy / "lfw_funneled", "lfw_funneled")
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            link = tarfile.TarInfo(f"lfw_funneled/Person_Aa/link{kind.decode()}.jpg")
            link.type, link.linkname = kind, "/etc/hostname"
            archive.addfile(link)
    assert len(list(find(path).path.rglob("*.jpg"))) == 100


class Zeros(io.RawIOBase):
    """As many zeros as are asked for."""

    def read(self, size=-1):
        return bytes(size)


def bomb(path, name, size):
    with tarfile.open(path, "w:gz") as archive:
        header = tarfile.TarInfo(name)
        header.size = size
        archive.addfile(header, Zeros())
    return path


@pytest.mark.parametrize("name", ["lfw/A/A_0001.jpg", "elsewhere.bin"])
def test_an_archive_that_grows_without_end_is_refused(tmp_path, name, cache):
    path = bomb(tmp_path / "lfw.tgz", name, 300_000_000)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=r"lfw\.tgz: expected .*more than 100,000,000"):
        load(path)
    assert list(cache.iterdir()) == []


def test_a_name_that_fills_the_memory_is_refused(tmp_path):
    path = tmp_path / "lfw.tgz"
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 3 * 10**9
    path.write_bytes(gzip.compress(header.tobuf() + bytes(10_000)))
    with pytest.raises(ValueError, match=r"a member's header of 3,000,000,\d+ bytes"):
        load(path)


def with_size(size):
    """A tar whose second member has a size in a header of its own."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for k, headers in enumerate(({}, {"size": str(size)})):
            member = tarfile.TarInfo(f"lfw/A/A_000{k + 1}.jpg")
            member.pax_headers = headers
            archive.addfile(member)
    return out.getvalue()


@pytest.mark.parametrize("content", [with_size(-1536), gzip.compress(with_size(-1536))])
def test_a_member_that_leads_back_is_refused(tmp_path, content):
    (tmp_path / "lfw.tgz").write_bytes(content)
    with pytest.raises(ValueError, match=r"lfw\.tgz: expected a whole archive .* of -1,536 bytes"):
        load(tmp_path / "lfw.tgz")


def test_words_where_a_tar_has_numbers_are_refused(tmp_path):
    path = tmp_path / "lfw.tgz"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("lfw/A/A_0001.jpg")
        member.pax_headers = {"GNU.sparse.map": "a,b"}
        archive.addfile(member)
    with pytest.raises(ValueError, match=r"lfw\.tgz: expected a whole archive"):
        load(path)


def test_a_sparse_member_of_holes_alone_is_not_unpacked(tmp_path, cache):
    member = tarfile.TarInfo("lfw/A/A_0001.jpg")
    member.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    hole = b"%011o\0" % 90_000_000
    header[386:410] = hole + b"%011o\0" % 0  # one piece of no bytes, at its end
    header[483:495] = hole
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    (tmp_path / "lfw.tgz").write_bytes(gzip.compress(bytes(header) + bytes(1024)))
    with pytest.raises(ValueError, match="expected one copy, .* got none"):
        load(tmp_path / "lfw.tgz")
    assert sum(file.stat().st_size for file in cache.rglob("*.jpg")) == 0


@pytest.mark.parametrize("packed", [tarfile, zipfile])
@pytest.mark.parametrize(
    "names",
    [
        ("lfw/A/A_0001.jpg", "x/lfw/A/A_0001.jpg"),
        ("lfw/pairs.txt", "lfw/pairs.txt/a.jpg"),
        ("lfw/pairs.txt/a.jpg", "lfw/pairs.txt"),
    ],
)
def test_two_members_for_one_place_are_refused(tmp_path, cache, packed, names):
    path = tmp_path / "lfw.tgz"
    if packed is tarfile:
        (tmp_path / "empty").mkdir()
        tgz(path, tmp_path / "empty", "lfw", dict.fromkeys(names, b"x"))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
    with pytest.raises(ValueError, match=r"lfw\.tgz: expected one member for 'lfw/.*', got two"):
        load(path)
    assert list(cache.iterdir()) == []


def test_a_zip_that_grows_without_end_is_refused(tmp_path):
    path = tmp_path / "lfw.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(3):
            archive.writestr(f"lfw/A/A_{k:04d}.jpg", bytes(50_000_000))
    with pytest.raises(ValueError, match=r"lfw\.zip: expected .*more than 100,000,000"):
        load(path)
