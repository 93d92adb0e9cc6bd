"""A copy of LFW on disk: where it is, and what its images are."""

import os
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from facelab.checks import expect, expect_in
from facelab.data.archives import ENDINGS, unpack
from facelab.data.cache import cache_dir, made_once
from facelab.data.drawn.people import MARK, synthetic_lfw
from facelab.data.packing import name_apart
from facelab.data.protocol_text import FILES

ALIGNED = "lfw-aligned"
SIDE = 250  # pixels of LFW's photos, where they are not aligned by landmarks
VARIANTS = {  # what the images are, by the folder that they unpack to
    "lfw": "LFW",
    "lfw_funneled": "LFW funneled",
    "lfw-deepfunneled": "LFW deep-funneled",
    ALIGNED: "LFW aligned by landmarks",
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
        files = []
        for person in visible(self.path):
            if os.path.isdir(person):  # unlike is_dir(), of a link to itself too
                files += [f"{person.name}/{file.name}" for file in visible(person.path)]
        return sorted(files)

    def match(self, wanted: list[str]) -> tuple[list[str], list[str]]:
        """Find the file of each of `wanted`, ``NAME/NAME_0001.jpg``; and the files that are none.

        A name may be written in another Unicode form, and end in another form of ``.jpg``. A file
        that is not there gets the path that it should have.
        """
        left = {}  # the first of two that mean the same
        others = []
        for file in self.files():
            if left.setdefault(plain(file), file) != file:
                others.append(file)
        found = [f"{self.path}/{left.pop(plain(file), file)}" for file in wanted]
        return found, sorted([*others, *left.values()])


def plain(file: str) -> str:
    """Return a file's name in one Unicode form, ending in ``.jpg`` if that is what it means."""
    stem, dot, ending = unicodedata.normalize("NFC", file).rpartition(".")
    return f"{stem}{dot}{'jpg' if ending.lower() in ('jpg', 'jpeg') else ending}"


def own_source(path: Path) -> str:
    """Return what the images of other people than LFW's are called: their folder, never LFW."""
    is_plain = path.name and not path.name.lower().startswith("lfw")
    return path.name if is_plain else f"own faces in {path.name or path}"


def side_of(source: str) -> int | None:
    """Return the pixels a side of the photos that are called so; None if that is not known."""
    return SIDE if source in set(VARIANTS.values()) - {VARIANTS[ALIGNED]} else None


def is_aligned(source: str) -> bool:
    """Say whether the photos that are called so were aligned by landmarks."""
    return source == VARIANTS[ALIGNED]


def is_drawn(folder: Path) -> bool:
    """Say whether a folder holds drawn faces, even under another name than they were given."""
    return folder.name == "lfw-synthetic" or (folder / MARK).exists()


def find(root: str | Path) -> Copy:
    """Find the one copy of the images that `root`, as in `load_lfw`, means; unpack an archive.

    An aligned copy beside another is meant only when it is named itself. FileNotFoundError if
    there is nothing at `root`; ValueError if there is no copy, several, or a damaged archive.
    """
    root = _folder_of(root)
    if not root.exists():
        raise FileNotFoundError(f"expected a folder or an archive of LFW at {root}, got nothing")
    found = copies_at(root)
    expected = f"one copy, a folder {', '.join(VARIANTS)} or an archive lfw*.tgz or lfw*.zip"
    got = " and ".join(path.name for path in found) or "none"
    hint = "fl.load_faces loads other people's faces"
    expect_in(root, len(found) == 1, expected, f"{got}; {hint}")
    (path,) = found
    if path.is_file():
        stat = path.stat()
        state = f"2 {path} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
        place = cache_dir() / name_apart(path.stem, state)
        made_once(place, lambda folder: unpack(path, folder, VARIANTS, (*FILES, MARK)))
        inside = find(place)
        return replace(inside, lists=(*inside.lists, path.parent))
    if (path / path.name).is_dir():  # Kaggle's download unpacks to lfw-deepfunneled twice
        path = path / path.name
    drawn = is_drawn(path)
    source = VARIANTS["lfw-synthetic" if drawn else path.name]
    return Copy(path, source, drawn, (path, path.parent, root))


def copies_at(root: str | Path) -> list[Path]:
    """List the folders and archives that `root`, as in `find`, may mean: none for other things."""
    root = _folder_of(root)
    folders = [root / folder for folder in VARIANTS if (root / folder).is_dir()]
    if len(folders) > 1:
        folders = [folder for folder in folders if folder.name != ALIGNED]
    archives = [path for end in ENDINGS for path in root.glob(f"lfw*{end}")]
    archives = sorted(filter(Path.is_file, archives))  # one may be unpacked into such a folder
    itself = [root] if root.is_file() or root.name in VARIANTS else []
    return folders or archives or itself


def visible(folder: str | Path) -> list[os.DirEntry]:
    """List what is in a folder, but for what is hidden, by name."""
    with os.scandir(folder) as entries:
        shown = [entry for entry in entries if not entry.name.startswith(".")]
    return sorted(shown, key=lambda entry: entry.name)


def _folder_of(root: str | Path) -> Path:
    if str(root) == "synthetic":
        root = synthetic_lfw()
    elif str(root) == "lfw":
        root = os.environ.get("FACELAB_LFW")
        expected = "the environment variable FACELAB_LFW to name a folder with LFW"
        expect(root, expected, "nothing; 'facelab data fetch' downloads a copy")
    return Path(os.path.abspath(os.path.expanduser(root)))
