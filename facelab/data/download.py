"""Download LFW from scikit-learn's mirror, going on where an earlier download was cut off."""

import os
from functools import partial
from pathlib import Path

import pooch
import requests

from facelab.checks import expect
from facelab.data.protocol import official
from facelab.data.protocol_text import texts, write
from facelab.progress import Progress

MIRROR = "https://ndownloader.figshare.com/files"
ARCHIVES = {  # by variant: file, number at the mirror, SHA-256
    "funneled": (
        "lfw-funneled.tgz",
        "5976015",
        "b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
    ),
    "original": (
        "lfw.tgz",
        "5976018",
        "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
    ),
}


class DownloadError(OSError):
    """The mirror could not be reached or broke off; one line that names the alternatives."""


def _resume(part: Path, url: str, output_file: str, _) -> None:
    """Download as pooch wants it, but keep what came in `part` when it is cut off."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
        if answer.status_code != 416:  # 416: nothing is left to send, `part` is complete
            answer.raise_for_status()
            if answer.status_code != 206:  # the server cannot resume: from the start
                have = 0
            total = have + int(answer.headers.get("Content-Length", 0))
            bar = Progress(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
            with open(part, "ab" if have else "wb") as file, bar:
                for chunk in answer.iter_content(1 << 18):
                    file.write(chunk)
                    bar.update(len(chunk))
    os.replace(part, output_file)


def fetch(out: str | Path, variant: str = "funneled", base_url: str = MIRROR) -> Path:
    """Download LFW's archive into the folder `out`, with its lists beside it; return `out`.

    `variant` is ``"funneled"`` (faces upright and aligned, about 240 MB) or ``"original"`` (about
    180 MB). An archive that is there and whole is not downloaded again, and a download that was
    cut off goes on where it stopped. DownloadError if the mirror breaks off; ValueError if
    `variant` is unknown, if another list of such a name is there, or if a file's SHA-256 is not the
    known one, and that file is deleted.
    """
    expect(variant in ARCHIVES, "variant 'funneled' or 'original'", repr(variant))
    pooch.get_logger().setLevel("WARNING")  # the progress bar says the same
    out = Path(out)
    for name, text in texts(official()).items():
        there = out / name
        lines = text.encode().splitlines()  # however they end
        is_own = not there.exists() or there.read_bytes().splitlines() == lines
        expect(is_own, "LFW's own lists in `out`, or none", f"another {there}")
    file, number, sha256 = ARCHIVES[variant]
    url = f"{base_url}/{number}"
    part = out / f"{file}.part"
    try:
        pooch.retrieve(url, sha256, file, out, downloader=partial(_resume, part))
    except requests.RequestException as e:
        kept = "; what came is kept, the next call goes on from there" if part.exists() else ""
        raise DownloadError(
            f"cannot download {file} from {url} ({type(e).__name__}){kept}; alternatives: save "
            f"that URL as {out / file} with a browser, take jessicali9530/lfw-dataset of "
            "Kaggle, name a copy you have in FACELAB_LFW, or draw faces with 'facelab data "
            "synthesize OUT'"
        ) from e
    write(official(), out)
    return out
