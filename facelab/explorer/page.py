"""Serve a notebook with the explorer as a page: to this machine, and to who has the token."""

import os
from collections.abc import Sequence
from pathlib import Path

from traitlets.config import Config

WEB = Path(__file__).parent / "web"
ITSELF = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"
SERVER = {
    "ip": "127.0.0.1",
    "auto_token": True,
    "tornado_settings": {
        "allow_remote_access": False,  # a foreign Host header is refused
        "headers": {"Content-Security-Policy": ITSELF},  # the page asks nothing of other servers
    },
}
PAGE = {
    "template": "facelab",
    "allow_template_override": "NO",
    "file_allowlist": [],  # no file beside the page, not even a picture
}


def serve(words: Sequence[str]) -> None:
    """Run Voila with what its command line may hold, until it is stopped."""
    paths = [str(WEB), os.environ.get("JUPYTER_PATH", "")]  # the template is there
    os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, paths))
    photos = os.environ.get("FACELAB_LFW")
    if photos:  # seen from here; the kernel works in the notebook's folder
        os.environ["FACELAB_LFW"] = os.path.abspath(os.path.expanduser(photos))
    from voila.app import Voila

    config = Config({"Voila": SERVER, "VoilaConfiguration": PAGE})
    Voila.launch_instance(list(words), config=config)
