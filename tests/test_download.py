import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from facelab.data import download
from facelab.data.download import DownloadError, fetch
from facelab.data.protocol import official
from facelab.data.protocol_text import texts

ARCHIVE = np.random.default_rng(0).bytes(1 << 21)
CONTENT = {"/4": ARCHIVE}


class Mirror(ThreadingHTTPServer):
    """Serves CONTENT; can break off, and can be unable to resume."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked, self.break_at, self.resumes = [], None, True
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body, start = CONTENT[self.path], 0
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        if wanted and self.server.resumes:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : self.server.break_at])

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror(monkeypatch):
    known = ("lfw-funneled.tgz", "4", hashlib.sha256(ARCHIVE).hexdigest())
    monkeypatch.setattr(download, "ARCHIVES", {"funneled": known})
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Mirror() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def test_a_fetch_brings_the_archive_and_the_official_lists(mirror, tmp_path):
    assert fetch(tmp_path / "new" / "lfw", base_url=mirror.url) == tmp_path / "new" / "lfw"
    got = {path.name: path.read_bytes() for path in (tmp_path / "new" / "lfw").iterdir()}
    assert got.pop("lfw-funneled.tgz") == ARCHIVE
    assert {file: text.decode() for file, text in got.items()} == texts(official())


def test_another_list_is_not_written_over(mirror, tmp_path):
    own = tmp_path / "pairs.txt"
    own.write_text("mine\n")
    with pytest.raises(ValueError, match=r"LFW's own lists in `out`, or none, got another .*pairs"):
        fetch(tmp_path, base_url=mirror.url)
    assert own.read_text() == "mine\n"
    assert mirror.asked == []


def test_lists_of_lfw_with_line_ends_of_windows_are_its_own(mirror, tmp_path):
    own = tmp_path / "pairs.txt"
    text = texts(official())["pairs.txt"].encode()
    own.write_bytes(text.replace(b"\n", b"\r\n"))
    fetch(tmp_path, base_url=mirror.url)
    assert own.read_bytes() == text


def test_a_second_call_downloads_nothing(mirror, tmp_path):
    fetch(tmp_path, base_url=mirror.url)
    mirror.asked.clear()
    fetch(tmp_path, base_url=mirror.url)
    assert mirror.asked == []


def test_a_download_that_broke_off_goes_on_where_it_stopped(mirror, tmp_path):
    mirror.break_at = 1_500_000
    with pytest.raises(DownloadError, match=r"lfw-funneled\.tgz .*next call goes on from there"):
        fetch(tmp_path, base_url=mirror.url)
    have = (tmp_path / "lfw-funneled.tgz.part").stat().st_size
    assert have > 1_000_000
    assert not (tmp_path / "lfw-funneled.tgz").exists()
    mirror.break_at = None
    mirror.asked.clear()
    fetch(tmp_path, base_url=mirror.url)
    assert mirror.asked == [("/4", f"bytes={have}-")]
    assert (tmp_path / "lfw-funneled.tgz").read_bytes() == ARCHIVE
    assert not list(tmp_path.glob("*.part"))


def test_a_mirror_that_cannot_resume_is_read_from_the_start(mirror, tmp_path):
    (tmp_path / "lfw-funneled.tgz.part").write_bytes(ARCHIVE[:1000])
    mirror.resumes = False
    fetch(tmp_path, base_url=mirror.url)
    assert (tmp_path / "lfw-funneled.tgz").read_bytes() == ARCHIVE


def test_a_complete_part_is_taken_as_it_is(mirror, tmp_path):
    (tmp_path / "lfw-funneled.tgz.part").write_bytes(ARCHIVE)
    fetch(tmp_path, base_url=mirror.url)
    assert (tmp_path / "lfw-funneled.tgz").read_bytes() == ARCHIVE


@pytest.mark.parametrize("part", [b"", b"spoilt" * 1000])
def test_a_wrong_hash_is_an_error_and_the_file_is_deleted(mirror, tmp_path, monkeypatch, part):
    if part:
        (tmp_path / "lfw-funneled.tgz.part").write_bytes(part)
    else:
        monkeypatch.setitem(CONTENT, "/4", b"something else")
    with pytest.raises(ValueError, match="does not match the known hash"):
        fetch(tmp_path, base_url=mirror.url)
    assert not list(tmp_path.glob("lfw-funneled*"))


def test_without_network_one_line_names_the_alternatives(mirror, tmp_path):
    closed = mirror.url
    mirror.shutdown()
    mirror.server_close()
    with pytest.raises(OSError) as error:
        fetch(tmp_path, base_url=closed)
    message = str(error.value)
    assert "\n" not in message
    for word in (f"{closed}/4", "jessicali9530/lfw-dataset", "FACELAB_LFW", "facelab data synth"):
        assert word in message


def test_an_error_page_is_not_kept(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", lambda self: self.send_error(404))
    with pytest.raises(DownloadError, match="HTTPError"):
        fetch(tmp_path, base_url=mirror.url)
    assert not list(tmp_path.iterdir())


def test_an_unknown_variant_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'funneled' or 'original', got 'deep'"):
        fetch(tmp_path, variant="deep")
