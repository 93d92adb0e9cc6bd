"""A copy of LFW on disk: where it is, which variant, and its files."""

import io
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np


@dataclass(frozen=True)
class Variant:
    """The folder that images unpack to, what they are for captions, and whether they are drawn."""

    folder: str
    source: str
    synthetic: bool = False


VARIANTS = {
    variant.folder: variant
    for variant in (
        Variant("lfw", "LFW"),
        Variant("lfw_funneled", "LFW funneled"),
        Variant("lfw-deepfunneled", "LFW deep-funneled"),
        Variant("lfw-synthetic", "synthetic faces", synthetic=True),
    )
}


@dataclass(frozen=True)
class Copy:
    """The images of one copy.

    Parameters
    ----------
    path : Path
        The folder of people, or an archive of it.
    variant : Variant
        What they are.
    lists : tuple of Path
        Folders that may hold the protocol's text files, nearest first.
    """

    path: Path
    variant: Variant
    lists: tuple[Path, ...]

    def stat(self, files: Iterable[str]) -> bytes:
        """Sizes and modification times of `files`, or of the archive; empty if one is missing."""
        path = str(self.path)
        paths = [f"{path}/{file}" for file in files] if self.path.is_dir() else [path]
        try:  # the files alone: to list 5,749 folders takes longer
            stats = [os.stat(path) for path in paths]
        except OSError:
            return b""
        return np.array([(s.st_size, s.st_mtime_ns) for s in stats], np.int64).tobytes()

    def files(self) -> Iterator[tuple[str, Path | io.BytesIO]]:
        """Yield ``NAME/FILE`` and where its bytes are, for every file.

        Raises
        ------
        ValueError
            If the archive is cut off.
        """
        if self.path.is_dir():
            for path in sorted(self.path.rglob("*")):
                file = path.relative_to(self.path)
                if not _ignored(file) and path.is_file():
                    yield file.as_posix(), path
            return
        try:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    file = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                    if member.isfile() and not _ignored(file):
                        yield file.as_posix(), io.BytesIO(archive.extractfile(member).read())
        except (tarfile.TarError, EOFError, zlib.error, OSError) as e:
            raise ValueError(f"{self.path}: expected a whole archive of LFW, got {e!r}") from e


def _ignored(file: PurePosixPath) -> bool:
    """Whether a file is a list or the file manager's, and so no stray image."""
    return file.suffix in (".txt", ".csv") or any(part.startswith(".") for part in file.parts)


def find(root: str | Path) -> Copy:
    """Find the one copy of the images that `root` means.

    Parameters
    ----------
    root : str or Path
        ``"synthetic"``: the built-in drawn faces. ``"lfw"``: the folder that the environment
        variable ``FACELAB_LFW`` names. Else a folder of people, a folder that holds one such
        folder or one of the mirror's archives, or such an archive.

    Raises
    ------
    FileNotFoundError
        If there is nothing at `root`.
    ValueError
        If `root` holds no copy, or more than one.
    """
    root = _folder_of(root)
    if not root.exists():
        raise FileNotFoundError(f"expected a folder or an archive of LFW at {root}, got nothing")
    folders = [root / folder for folder in VARIANTS if (root / folder).is_dir()]
    itself = [root] if root.is_file() or root.name in VARIANTS else []
    found = folders or sorted(root.glob("lfw*.tgz")) or itself
    if len(found) != 1:
        raise ValueError(
            f"{root}: expected one of the folders {', '.join(VARIANTS)}, or one archive lfw*.tgz, "
            f"got {' and '.join(path.name for path in found) or 'neither'}"
            + ("; name the one you mean" if found else "")
        )
    (path,) = found
    if (path / path.name).is_dir():  # Kaggle's download unpacks to lfw-deepfunneled twice
        path = path / path.name
    folder = _top_folder(path) if path.is_file() else path.name
    if folder not in VARIANTS:
        raise ValueError(f"{path}: expected one of {', '.join(VARIANTS)} in it, got {folder!r}")
    lists = dict.fromkeys((path, path.parent, root))
    return Copy(path, VARIANTS[folder], tuple(where for where in lists if where.is_dir()))


def _folder_of(root: str | Path) -> Path:
    if str(root) == "synthetic":
        from facelab.data.drawn.people import synthetic_lfw

        root = synthetic_lfw()
    elif str(root) == "lfw":
        root = os.environ.get("FACELAB_LFW")
        if not root:
            raise ValueError(
                "expected the environment variable FACELAB_LFW to name a folder with LFW, but it "
                "is not set; 'facelab data fetch' downloads a copy"
            )
    return Path(os.path.abspath(Path(root).expanduser()))


def _top_folder(archive: Path) -> str:
    try:
        with tarfile.open(archive) as tar:
            member = tar.next()
    except (tarfile.TarError, EOFError, zlib.error) as e:
        raise ValueError(f"{archive}: expected an archive of LFW, got {e!r}") from e
    return PurePosixPath(member.name).parts[0] if member else ""
