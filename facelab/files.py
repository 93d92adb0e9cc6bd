"""Files that are whole or not there, named when they are not, in folders of one writer."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
import numpy as np

from facelab.checks import expect, expect_in, one_line

MOST_TIMES = 20  # its own size that an .npz file may unpack to, or
AT_LEAST = 2**30  # so many bytes


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write(part)`` write a file beside `path`, then put it there.

    Others see the whole file or the one before, whatever stops the writing.
    """
    part = path.with_name(f"{path.name}.tmp")
    try:
        write(part)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)  # half a file on a full disk
        raise


def loaded(load: Callable, path: str | Path, expected: str, to_do: str = "delete it"):
    """Return ``load(path)``; a ValueError, on one line, names a file that is not as `expected`.

    One that is not there, or cannot be opened, stays an OSError, which names it too.
    """
    try:
        return load(path)
    except Exception as e:  # zipfile, zlib, NumPy and Pillow each raise errors of their own
        if isinstance(e, OSError) and e.filename is not None:
            raise
        got = e.__cause__ or e  # what `load` has named itself is named once
        said = str(got) if isinstance(got, UnicodeError) else repr(got)  # which holds its bytes
        raise ValueError(one_line(f"{path}: expected {expected}, got {said}; {to_do}")) from got


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read an ``.npz`` file without pickle; what unpacks to far more than itself is refused."""
    with open(path, "rb") as file:  # which NumPy would leave open
        expect(file.read(2) == b"PK", "an .npz file", "another")  # NumPy would take it for a pickle
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            n_bytes = sum(member.file_size for member in arrays.zip.infolist())
            most = max(MOST_TIMES * os.path.getsize(path), AT_LEAST)
            expect(n_bytes <= most, f"arrays of at most {most:,} bytes", f"{n_bytes:,}")
            return dict(arrays)


def check_folder(folder: str | Path) -> None:
    """Refuse a folder to write into that cannot be one: it, or one above it, is a file."""
    for place in (Path(folder), *Path(folder).parents):
        is_free = place.is_dir() or not place.exists()
        expect_in(folder, is_free, "a folder to write into", f"the file {place}")


@contextmanager
def alone_in(folder: str | Path) -> Iterator[None]:
    """Hold a folder for this caller alone; the system lets go of it when the process ends."""
    check_folder(folder)
    Path(folder).mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(Path(folder) / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        got = "one that another run writes into"
        raise ValueError(f"expected a folder of its own, got {got}: {folder}") from None
