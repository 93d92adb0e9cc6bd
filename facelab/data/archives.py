"""Archives of a data set: only what belongs to one is kept, and all is read to its checksums."""

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from facelab.data.decoding import MOST_BYTES, SUFFIXES

ENDINGS = (".tgz", ".tar.gz", ".zip")
MOST_TIMES = 20  # photos are compressed already: what grows more was made to harm
AT_LEAST = 100_000_000  # bytes that every archive may hold
PIECE = 1 << 20  # bytes


def unpack(archive: Path, folder: Path, variants, texts) -> None:
    """Unpack an archive, .tar, .tgz or .zip, as ``VARIANT/NAME/FILE`` and lists into `folder`.

    Kept are photos in a person's folder below one of `variants`, however deep that lies, and files
    named as one of `texts`; no links, no hidden files, nothing else. A ValueError if the archive
    is cut off or damaged, has two members for one place, or unpacks to far more than photos do.
    """
    for place, data in _contents(archive, variants, texts):
        path = folder / place
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(data)
        except (FileExistsError, NotADirectoryError):
            expected = f"expected one member for {place.as_posix()!r}, got two"
            raise ValueError(f"{archive}: {expected}") from None


def _contents(archive: Path, variants, texts) -> Iterator[tuple[PurePosixPath, bytes]]:
    try:
        members = _zip_members if zipfile.is_zipfile(archive) else _tar_members
        most = max(MOST_TIMES * archive.stat().st_size, AT_LEAST)
        for name, read in members(archive, most):
            place = _place(name, variants, texts)
            if place:
                yield place, read()
    except Exception as e:  # tarfile, zipfile and zlib each raise errors of their own
        raise ValueError(f"{archive}: expected a whole archive of LFW, got {e!r}") from e


def _place(name: str, variants, texts) -> PurePosixPath | None:
    """Return where a member belongs, None for nowhere."""
    path = PurePosixPath(name.lstrip("/"))
    *_, above, folder, file = "", "", "", *path.parts
    hidden = [part for part in path.parts if part.startswith(".") or set(part) & set("\\:\0")]
    if hidden or not file:
        return None
    if file in texts:
        return PurePosixPath(folder, file) if folder in variants else PurePosixPath(file)
    is_photo = above in variants and path.suffix.lower() in SUFFIXES
    return PurePosixPath(above, folder, file) if is_photo else None


def _tar_members(archive: Path, most: int):
    """Yield the name of each file and a function that reads it, and read all to the end."""
    with open(archive, "rb") as raw:
        opened = _Gzip if raw.read(2) == b"\x1f\x8b" else open
    with opened(archive, "rb") as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
        begun = -1
        while member := tar.next():
            if member.size < 0 or member.offset <= begun:  # it would be read again and again
                raise tarfile.ReadError(f"a member of {member.size:,} bytes")
            begun = member.offset
            tar.members.clear()  # millions of empty ones would fill the memory
            _check_size(member.offset_data + member.size, most)
            is_file = member.isreg() and not member.issparse()  # its holes cost nothing
            if is_file and member.size <= MOST_BYTES:
                yield member.name, lambda member=member: tar.extractfile(member).read()
        while stream.read(PIECE):  # to the checksum, which comes last
            _check_size(stream.tell(), most)


def _zip_members(archive: Path, most: int):
    with zipfile.ZipFile(archive) as packed:
        members = packed.infolist()
        _check_size(sum(member.file_size for member in members), most)
        for member in members:
            packed.open(member).close()  # its name stands twice, and is in no checksum
            is_link = stat.S_ISLNK(member.external_attr >> 16)
            is_file = not is_link and not member.filename.endswith("/")
            if is_file and member.file_size <= MOST_BYTES:
                yield member.filename, lambda member=member: packed.read(member)


class _Gzip(gzip.GzipFile):
    """Refuses to read at once what no photo needs: the names of members may be made to harm."""

    def read(self, size=-1):
        if not 0 <= size <= MOST_BYTES:
            raise tarfile.ReadError(f"a member's header of {size:,} bytes")
        return super().read(size)


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"more than {most:,} bytes, as no photos have")
