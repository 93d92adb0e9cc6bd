"""A copy of LFW on disk: where it is, and what its images are."""

import hashlib
import os
import tarfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from facelab.data.cache import cache_dir, made_once
from facelab.data.drawn.people import synthetic_lfw

VARIANTS = {  # what the images are, by the folder that they unpack to
    "lfw": "LFW",
    "lfw_funneled": "LFW funneled",
    "lfw-deepfunneled": "LFW deep-funneled",
    "lfw-aligned": "LFW aligned by landmarks",
    "lfw-synthetic": "synthetic faces",
}


@dataclass(frozen=True)
class Copy:
    """The images of one copy: the folder of people, what they are, and whether they are drawn.

    `lists` are the folders that may hold the protocol's text files, nearest first.
    """

    path: Path
    source: str
    synthetic: bool
    lists: tuple[Path, ...]

    def files(self) -> list[str]:
        """Return ``NAME/FILE`` of every file that is there, but for hidden ones."""
        paths = self.path.glob("[!.]*/[!.]*")
        return sorted(path.relative_to(self.path).as_posix() for path in paths)


def find(root: str | Path) -> Copy:
    """Find the one copy of the images that `root`, as in `load_lfw`, means; unpack an archive.

    FileNotFoundError if there is nothing at `root`; ValueError if there is no copy, several, or an
    archive that was cut off.
    """
    root = _folder_of(root)
    if not root.exists():
        raise FileNotFoundError(f"expected a folder or an archive of LFW at {root}, got nothing")
    folders = [root / folder for folder in VARIANTS if (root / folder).is_dir()]
    itself = [root] if root.is_file() or root.name in VARIANTS else []
    found = folders or sorted(root.glob("lfw*.tgz")) or itself
    if len(found) != 1:
        raise ValueError(
            f"{root}: expected one copy, a folder {', '.join(VARIANTS)} or an archive lfw*.tgz, "
            f"got {' and '.join(path.name for path in found) or 'none'}"
        )
    path = found[0]
    if path.is_file():
        inside = find(_unpacked(path))
        return replace(inside, lists=(*inside.lists, path.parent))
    if (path / path.name).is_dir():  # Kaggle's download unpacks to lfw-deepfunneled twice
        path = path / path.name
    is_synthetic = path.name == "lfw-synthetic"
    return Copy(path, VARIANTS[path.name], is_synthetic, (path, path.parent, root))


def _folder_of(root: str | Path) -> Path:
    if str(root) == "synthetic":
        root = synthetic_lfw()
    elif str(root) == "lfw":
        root = os.environ.get("FACELAB_LFW")
        if not root:
            raise ValueError(
                "expected the environment variable FACELAB_LFW to name a folder with LFW, got "
                "nothing; 'facelab data fetch' downloads a copy"
            )
    return Path(os.path.abspath(Path(root).expanduser()))


def _unpacked(archive: Path) -> Path:
    stat = archive.stat()
    state = f"{archive} {stat.st_size} {stat.st_mtime_ns}"
    digest = hashlib.sha256(state.encode()).hexdigest()[:8]

    def unpack(folder):
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, zlib.error, OSError) as e:
            raise ValueError(f"{archive}: expected a whole archive of LFW, got {e!r}") from e

    return made_once(cache_dir() / f"{archive.stem}-{digest}", unpack)
