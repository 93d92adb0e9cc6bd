"""Files that are whole or not there."""

import os
from collections.abc import Callable
from pathlib import Path


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
