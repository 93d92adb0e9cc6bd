"""Download LFW from scikit-learn's mirror, going on where an earlier download was cut off."""

import os
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

MIRROR = "https://ndownloader.figshare.com/files"

_ARCHIVES = {
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
_PAIRS = (
    (
        "pairs.txt",
        "5976006",
        "ea42330c62c92989f9d7c03237ed5d591365e89b3e649747777b70e692dc1592",
    ),
    (
        "pairsDevTrain.txt",
        "5976012",
        "1d454dada7dfeca0e7eab6f65dc4e97a6312d44cf142207be28d688be92aabfa",
    ),
    (
        "pairsDevTest.txt",
        "5976009",
        "7cb06600ea8b2814ac26e946201cdb304296262aad67d046a16a7ec85d0ff87c",
    ),
)


class DownloadError(OSError):
    """The mirror could not be reached or broke off; one line that names the alternatives."""


def _resume_into(part: Path):
    """Return a pooch downloader that keeps what it has in `part` when it is cut off."""

    def download(url, output_file, _):
        have = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=30) as answer:
            if answer.status_code != 416:  # 416: nothing is left to send, `part` is complete
                answer.raise_for_status()
                if answer.status_code != 206:  # the server cannot resume: from the start
                    have = 0
                total = have + int(answer.headers.get("Content-Length", 0))
                bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem)
                with open(part, "ab" if have else "wb") as file, bar:
                    for chunk in answer.iter_content(1 << 18):
                        file.write(chunk)
                        bar.update(len(chunk))
        os.replace(part, output_file)

    return download


def fetch(out: str | Path, variant: str = "funneled", base_url: str = MIRROR) -> Path:
    """Download LFW's archive and lists of pairs into `out`; `load_lfw` reads them as they are.

    Files that are there and whole are not downloaded again, and a download that was cut off goes
    on where it stopped.

    Parameters
    ----------
    out : str or Path
        Folder for the files, made if need be.
    variant : str
        ``"funneled"`` (faces upright and aligned, about 240 MB) or ``"original"`` (about 180 MB).
    base_url : str
        The mirror; each file is at ``base_url/ID``.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    DownloadError
        If the mirror cannot be reached or breaks off, in one line that names the alternatives.
    ValueError
        If `variant` is unknown, or a file's SHA-256 is not the known one; that file is deleted.
    """
    if variant not in _ARCHIVES:
        raise ValueError(f"expected variant 'funneled' or 'original', got {variant!r}")
    pooch.get_logger().setLevel("WARNING")  # the progress bar says the same
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for file, number, sha256 in (*_PAIRS, _ARCHIVES[variant]):
        url, part = f"{base_url}/{number}", out / f"{file}.part"
        try:
            pooch.retrieve(url, sha256, file, out, downloader=_resume_into(part))
        except requests.RequestException as e:
            kept = "; what came is kept, the next call goes on from there" if part.exists() else ""
            raise DownloadError(
                f"cannot download {file} from {url} ({type(e).__name__}){kept}; alternatives: save "
                f"that URL as {out / file} with a browser, take jessicali9530/lfw-dataset of "
                "Kaggle, name a copy you have in FACELAB_LFW, or draw faces with 'facelab data "
                "synthesize OUT'"
            ) from e
    return out
