"""Anybody's faces: a folder for each person, or a table of photos and people."""

import csv
import os
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np

from facelab.checks import expect, expect_in, kinds
from facelab.data.copies import is_drawn, own_source, visible
from facelab.data.decoding import SUFFIXES
from facelab.data.drawn.people import MARK
from facelab.data.lfw import name_of
from facelab.data.packing import Photos, check_sizes, pack
from facelab.faces import Faces

FEW = 5  # of those that a message names
MADE = (MARK, "landmarks.csv", "contact_sheet.jpg")  # by the project itself, beside the people
UNLISTED = ".facelab"  # in a folder that the project wrote, whose pictures are nobody's photos
CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # kinds of letters that break lines or cannot be written


class Photo(NamedTuple):
    """A person's photo: its id is the person and the name of the file below the person's folder."""

    person: str
    id: str
    file: str


@dataclass
class Album:
    """Photos below a folder, and what is none, with why; the table that lists them, if one does."""

    folder: Path
    photos: list[Photo] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    table: Path | None = None

    @property
    def path(self) -> Path:
        """What `find_photos` was given."""
        return self.table or self.folder

    @property
    def synthetic(self) -> bool:
        """Whether one of the photos lies in a folder of drawn people, however deep."""
        below = {Path(os.path.dirname(photo.file)) for photo in self.photos}
        return any(map(is_drawn, {above for one in below for above in (one, *one.parents)}))

    def add(self, person: str, name: str, file: str) -> None:
        """Add a photo, in one Unicode form."""
        person, name = (unicodedata.normalize("NFC", word) for word in (person, name))
        self.photos.append(Photo(person, f"{person}/{name}", file))

    def name_strays(self) -> None:
        """Warn of what is no photo."""
        if self.strays:
            few = ", ".join(self.strays[:FEW])
            got = f"{len(self.strays):,} files or folders are no photos to load: {few}"
            warnings.warn(f"{self.folder}: {got}", stacklevel=4)  # through `kinds`


@kinds
def load_faces(
    folder: str | Path,
    image_size: int = 64,
    crop: int | None = None,
    progress: bool = True,
    side: int | None = None,
) -> Faces:
    """Load the photos in a folder that holds one folder per person, as `load_lfw` loads LFW's.

    Names may be any; a person's photos may lie in folders of folders, or be links. Photos are
    ``.jpg .jpeg .png .webp`` files of any size, decoded as `decode` says. They are packed into the
    cache as LFW's are. Each image's id, ``PERSON/FILE``, says where the photo is. Photos that
    cannot be read or belong to two people are a ValueError that lists each, other files, and hidden
    folders that hold photos, a warning that names them; hidden files, such as ``.DS_Store``, are
    left out unnamed. `split_people` makes train, dev and test people of the result.

    Parameters
    ----------
    folder : str or Path
        Or a table of photos: a CSV file, in UTF-8, with the columns ``path``, from the folder of
        the table, and ``person``.
    image_size, crop : int
        Pixels a side of the loaded images, and the central ones of each photo that are kept before
        resizing; None keeps the largest central square.
    side : int, optional
        `crop` counts in photos of so many pixels a side, LFW's have 250, and is scaled to each.
    """
    check_sizes(image_size, crop, side)
    album = find_photos(folder)
    faces = faces_of(album, image_size, crop, progress, side)
    album.name_strays()
    return replace(faces, root=name_of(folder))


def faces_of(
    album: Album, image_size: int, crop: int | None, progress: bool = True, side: int | None = None
) -> Faces:
    """Pack the photos of an album, as `load_faces` does."""
    people, ids, files = map(list, zip(*sorted(album.photos), strict=True))
    photos = Photos(album.folder, ids, files, key=f"faces in {album.path}", side=side)
    packed, fingerprint = pack(photos, image_size, crop, progress)
    names, labels = np.unique(people, return_inverse=True)
    return Faces(
        packed=packed,
        rows=np.arange(len(ids)),
        labels=labels,
        names=tuple(names.tolist()),
        ids=np.array(ids),
        source=own_source(album.table.with_suffix("") if album.table else album.folder),
        synthetic=album.synthetic,
        fingerprint=fingerprint,
        root=name_of(album.path),
        crop=crop,
    )


def find_photos(folder: str | Path) -> Album:
    """List the photos in a folder or a table, as `load_faces` takes it, without opening them."""
    path = Path(os.path.abspath(os.path.expanduser(folder)))
    if not path.exists():
        raise FileNotFoundError(f"expected a folder of people or a CSV at {path}, got nothing")
    is_table = path.is_file() and path.suffix.lower() == ".csv"
    expect(is_table or path.is_dir(), "a folder of people or a file *.csv", path)
    album = _of_table(path) if is_table else _of_folder(path)
    expected = f"a folder for each person, with {' '.join(SUFFIXES)} files"
    expect_in(path, album.photos, expected, "; ".join(album.strays[:FEW]) or "nothing")
    _check(album)
    return album


def _of_folder(root: Path) -> Album:
    album = Album(root)
    album.strays += _hidden(root)
    for person in visible(root):
        if os.path.isdir(person.path):
            before = len(album.photos)
            _read(album, person.name, "", {os.path.realpath(root)})
            if len(album.photos) == before:
                album.strays.append(f"{person.name} (a folder without a photo)")
        elif person.name not in MADE:
            album.strays.append(person.name)
    return album


def _read(album: Album, person: str, below: str, seen: set[str]) -> None:
    """Add the photos in the folder `below` a person's, and those in its folders, each once."""
    folder = album.folder / person / below
    if (folder / UNLISTED).exists():
        return
    real = os.path.realpath(folder)
    if real in seen:
        album.strays.append(f"{person}/{below} (leads back to a folder that was read)")
        return
    seen.add(real)
    album.strays += [f"{person}/{below}{name}" for name in _hidden(folder)]
    for entry in visible(folder):
        name = f"{below}{entry.name}"
        if os.path.isdir(entry.path):
            _read(album, person, f"{name}/", seen)
        elif Path(entry.name).suffix.lower() in SUFFIXES:
            album.add(person, name, entry.path)
        else:
            album.strays.append(f"{person}/{name}")


def _hidden(folder: Path) -> list[str]:
    """Name the hidden folders in a folder that hold photos, however deep, and are not read."""
    hidden = [path for path in sorted(folder.glob(".*/")) if not (path / UNLISTED).exists()]
    return [f"{path.name} (a hidden folder)" for path in hidden if _holds_photos(path)]


def _holds_photos(folder: Path) -> bool:
    files = (file for *_, files in os.walk(folder) for file in files if not file.startswith("."))
    return any(Path(file).suffix.lower() in SUFFIXES for file in files)


def _of_table(path: Path) -> Album:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(path, csv.DictReader(file, strict=True)))
    except (UnicodeDecodeError, csv.Error) as e:
        raise ValueError(f"{path}: expected a table in UTF-8, got {e}") from e
    files = [os.path.abspath(path.parent / name) for _, name in rows]
    album = Album(path.parent, table=path)
    if not all(Path(file).is_relative_to(path.parent) for file in files):
        try:
            album.folder = Path(os.path.commonpath(list(map(os.path.dirname, files))))
        except ValueError as e:  # of drives, which Windows has
            raise ValueError(f"{path}: expected photos on one drive, got {e}") from e
    for (person, _), file in zip(rows, files, strict=True):
        name = Path(file).relative_to(album.folder).as_posix()
        album.add(person, name.removeprefix(f"{person}/"), file)
    return album


def _rows(path: Path, table: csv.DictReader) -> Iterator[tuple[str, str]]:
    """Yield person and path of each row of a table."""
    header = table.fieldnames or []
    got = ",".join(header)[:100] or "nothing"
    is_right = {"path", "person"} <= set(header)
    expect_in(f"{path}, line 1", is_right, "the columns path,person", got)
    for row in table:
        place = f"{path}, line {table.line_num}"
        name, person = ((row[key] or "").strip() for key in ("path", "person"))
        if not name or not person or "\0" in name or None in row:  # None: without a column
            raise ValueError(f"{place}: expected {len(header)} fields, a path and a person in them")
        is_name = PureWindowsPath(person).name == person and not person.startswith(".")
        expect_in(place, is_name, "a person's name without / \\ and a dot in front", repr(person))
        yield person, name


def _check(album: Album) -> None:
    """Leave out what is a person's own photo again; refuse what would be two people's."""
    wrong, kept = [], []
    first = {}  # photo of each file, under whatever name
    for photo in album.photos:
        if CONTROL & set(map(unicodedata.category, photo.id)):
            wrong.append(f"{photo.id!r}: expected a name in UTF-8 on one line")
        other = first.setdefault(os.path.realpath(photo.file), photo)
        if other is photo:
            kept.append(photo)
        elif other.person == photo.person:
            album.strays.append(f"{photo.id} (the file of {other.id})")
        else:
            wrong.append(f"{photo.id}: expected a photo of one person, got that of {other.id}")
    album.photos = kept
    n_of = Counter(photo.id for photo in kept)
    wrong += [f"{image}: expected each id once, got {n}" for image, n in n_of.items() if n > 1]
    if wrong:
        lines = "".join(f"\n  {line}" for line in wrong)
        raise ValueError(f"{album.folder}: {len(wrong):,} photos cannot be told apart{lines}")
