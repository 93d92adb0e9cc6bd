"""Download LFW from scikit-learn's mirror; a download that was cut off starts again."""

from pathlib import Path

import pooch
import requests

from facelab.data.protocol import official
from facelab.data.protocol_text import write

MIRROR = "https://ndownloader.figshare.com/files"
ARCHIVES = {  # by variant: number at the mirror, SHA-256
    "funneled": ("5976015", "b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a"),
    "original": ("5976018", "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0"),
}


class DownloadError(OSError):
    """The mirror could not be reached or broke off; one line that names the alternatives."""


def fetch(out: str | Path, variant: str = "funneled", base_url: str = MIRROR) -> Path:
    """Download LFW's archive into `out`, with its lists beside it; `load_lfw` reads it as it is.

    Parameters
    ----------
    out : str or Path
        Folder for the files. An archive that is there and whole is not downloaded again.
    variant : str
        ``"funneled"`` (faces upright and aligned, about 240 MB) or ``"original"`` (about 180 MB).
    base_url : str
        The mirror; each file is at ``base_url/NUMBER``.

    Raises
    ------
    DownloadError, ValueError
        If the mirror cannot be reached or breaks off, or the file's SHA-256 is not the known one.
    """
    if variant not in ARCHIVES:
        raise ValueError(f"expected variant 'funneled' or 'original', got {variant!r}")
    pooch.get_logger().setLevel("WARNING")  # the progress bar says the same
    out = Path(out)
    number, sha256 = ARCHIVES[variant]
    file = f"lfw-{variant}.tgz"
    url = f"{base_url}/{number}"
    try:
        pooch.retrieve(url, sha256, file, out, downloader=pooch.HTTPDownloader(progressbar=True))
    except requests.RequestException as e:
        raise DownloadError(
            f"cannot download {file} from {url} ({type(e).__name__}); alternatives: save "
            f"that URL as {out / file} with a browser, take jessicali9530/lfw-dataset of "
            "Kaggle, name a copy you have in FACELAB_LFW, or draw faces with 'facelab data "
            "synthesize OUT'"
        ) from e
    write(official(), out)
    return out
