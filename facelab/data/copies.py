"""A copy of LFW on disk: where it is, and whether every image of it decodes whole."""

import io
import os
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing.pool import ThreadPool
from operator import attrgetter
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

SOURCES = {
    "lfw": "LFW",
    "lfw_funneled": "LFW funneled",
    "lfw-deepfunneled": "LFW deep-funneled",
    "lfw-synthetic": "synthetic faces",
}


@dataclass(frozen=True)
class Copy:
    """The images of one copy.

    Parameters
    ----------
    path : Path
        The folder of people, or an archive of it.
    variant : str
        The name under which the images unpack, a key of `SOURCES`.
    lists : tuple of Path
        Folders that may hold the protocol's text files, nearest first.
    """

    path: Path
    variant: str
    lists: tuple[Path, ...]

    def stat(self, files: Iterable[str]) -> bytes:
        """Sizes and modification times of `files`, or of the archive; empty if one is missing."""
        path = str(self.path)
        paths = [f"{path}/{file}" for file in files] if self.path.is_dir() else [path]
        try:
            stats = map(os.stat, paths)  # the files alone: to list 5,749 folders takes longer
            state = map(attrgetter("st_size", "st_mtime_ns"), stats)
            return np.fromiter(chain.from_iterable(state), np.int64).tobytes()
        except OSError:
            return b""

    def files(self) -> Iterator[tuple[str, str | io.BytesIO]]:
        """Yield ``NAME/FILE`` and what Pillow can open, for every file."""
        if self.path.is_dir():
            for folder, folders, names in os.walk(self.path):
                folders[:] = sorted(name for name in folders if not _ignored(name))
                inside = folder[len(str(self.path)) + 1 :].replace(os.sep, "/")
                for name in sorted(name for name in names if not _ignored(name)):
                    yield f"{inside}/{name}".lstrip("/"), os.path.join(folder, name)
            return
        try:
            with tarfile.open(self.path) as archive:
                for member in archive:
                    file = "/".join(PurePosixPath(member.name).parts[1:])
                    if member.isfile() and not _ignored(PurePosixPath(file).name):
                        yield file, io.BytesIO(archive.extractfile(member).read())
        except (tarfile.TarError, EOFError, zlib.error, OSError) as e:
            raise ValueError(f"{self.path}: expected a whole archive of LFW, got {e!r}") from e


def _ignored(name: str) -> bool:
    """Whether a file is a list or the file manager's, and so no stray image."""
    return name.startswith(".") or name.endswith((".txt", ".csv"))


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
    root = Path(os.path.abspath(Path(root).expanduser()))
    if not root.exists():
        raise FileNotFoundError(f"expected a folder or an archive of LFW at {root}, got nothing")
    found = [root] if root.is_file() or root.name in SOURCES else []
    if root.is_dir():
        folders = [root / variant for variant in SOURCES if (root / variant).is_dir()]
        found = folders or sorted(root.glob("lfw*.tgz")) or found
    if len(found) != 1:
        raise ValueError(
            f"{root}: expected one of the folders {', '.join(SOURCES)}, or one archive lfw*.tgz, "
            f"got {' and '.join(p.name for p in found) or 'neither'}"
            + ("; name the one you mean" if found else "")
        )
    path = found[0]
    if (path / path.name).is_dir():  # Kaggle's download unpacks to lfw-deepfunneled twice
        path = path / path.name
    variant = _top_folder(path) if path.is_file() else path.name
    if variant not in SOURCES:
        raise ValueError(f"{path}: expected one of {', '.join(SOURCES)} in it, got {variant!r}")
    lists = dict.fromkeys((path, path.parent, root))
    return Copy(path, variant, tuple(folder for folder in lists if folder.is_dir()))


def _top_folder(archive: Path) -> str:
    try:
        with tarfile.open(archive) as tar:
            member = tar.next()
            return PurePosixPath(member.name).parts[0] if member else ""
    except (tarfile.TarError, EOFError, zlib.error) as e:
        raise ValueError(f"{archive}: expected an archive of LFW, got {e!r}") from e


def _decode(file, image_size: int | None, crop: int | None):
    """Return pixels (3, image_size, image_size), the size on disk, and what is wrong.

    Without an `image_size` there are no pixels: the file is only seen to be whole.
    """
    try:
        source = file if isinstance(file, io.BytesIO) else io.BytesIO(Path(file).read_bytes())
        with Image.open(source) as image:
            image.load()  # a JPEG that was cut off says so only here
            width, height = image.size
            w, h = (crop, crop) if crop else image.size
            if width < w or height < h:
                wrong = f"expected at least {w} x {h} pixels, got {width} x {height}"
                return None, image.size, wrong
            if image_size is None:
                return None, image.size, ""
            left, top = (width - w) / 2, (height - h) / 2
            rgb = image if image.mode == "RGB" else image.convert("RGB")  # which copies
            small = rgb.resize(
                (image_size, image_size),
                Image.Resampling.LANCZOS,
                box=(left, top, left + w, top + h),
            )
            return np.asarray(small).transpose(2, 0, 1), image.size, ""
    except UnidentifiedImageError:
        return None, None, "not an image that Pillow can read"
    except Exception as e:  # whatever a broken file makes Pillow raise, it belongs on the list
        return None, None, f"unreadable: {e}"


def check(
    copy: Copy,
    expected: Iterable[str] | None,
    crop: int | None = None,
    progress: bool = True,
    out: np.ndarray | None = None,
) -> tuple[dict[str, tuple[int, int]], dict[str, str], list[str]]:
    """Decode every image of a copy, shrunk into the rows of `out` if that is given.

    Parameters
    ----------
    copy : Copy
        Where the images are.
    expected : iterable of str, or None
        The files ``NAME/NAME_0001.jpg`` that must be there, in the order of `out`; None stands
        for whatever is there.
    crop : int, optional
        Central pixels to keep of each image; None: all.
    progress : bool
        Show a progress bar.
    out : ndarray of shape (n_expected, 3, image_size, image_size), uint8, optional
        Filled with the images.

    Returns
    -------
    sizes : dict of str to (width, height)
        Of every file that could be read.
    wrong : dict of str to str
        What is wrong, by file.
    unknown : list of str
        Files that nobody expects.
    """
    row = None if expected is None else {file: k for k, file in enumerate(expected)}
    sizes, wrong, unknown = {}, {}, []
    files = copy.files()
    image_size = None if out is None else out.shape[-1]

    def decode(entry):
        file, source = entry
        pixels, size, reason = _decode(source, image_size, crop)
        if pixels is not None:
            out[row[file]] = pixels
        return file, size, reason

    bar = tqdm(
        total=row and len(row), desc=copy.variant, unit="img", mininterval=1, disable=not progress
    )
    with ThreadPool() as pool, bar:  # Pillow decodes without the GIL
        while chunk := list(islice(files, 1024)):  # an archive need not fit into memory
            unknown += [file for file, _ in chunk if row is not None and file not in row]
            chunk = [(file, source) for file, source in chunk if row is None or file in row]
            for file, size, reason in pool.imap(decode, chunk, chunksize=16):
                if size:
                    sizes[file] = size
                if reason:
                    wrong[file] = reason
                bar.update()
    usual = Counter(sizes.values()).most_common(1)
    for file, size in sizes.items():
        if size != usual[0][0]:
            (w, h), (width, height) = usual[0][0], size
            reason = f"expected {w} x {h} pixels like the others, got {width} x {height}"
            wrong.setdefault(file, reason)
    wrong |= {file: "missing" for file in row or () if file not in sizes and file not in wrong}
    return sizes, wrong, unknown
