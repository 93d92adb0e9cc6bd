"""How numbers, claims, names and files are written."""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath

import jinja2
import numpy as np

from facelab.checks import kinds
from facelab.files import write_whole

COLUMNS = ("claim", "measured", "95 % interval", "holds")


def written(value: float | None, form: str = ".3f") -> str:
    """Write a number as tables show it; None and numbers that are not finite as a dash.

    >>> written(0.8734, ".1%"), written(12.5, ".0f"), written(None)
    ('87.3%', '12', '–')
    """
    return format(value, form) if _is_number(value) else "–"


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def numbered(name: str) -> tuple[str, str]:
    """Return a notebook's number, empty if it has none, and its title.

    >>> numbered("01_siamese_baseline"), numbered("my_own")
    (('01', 'Siamese baseline'), ('', 'My own'))
    """
    number, _, rest = name.partition("_")
    if not number.isdigit():
        number, rest = "", name
    return number, rest.replace("_", " ").capitalize()


def label(name: str) -> str:
    """Put the name of a notebook in words: ``01 Siamese baseline``."""
    return " ".join(numbered(name)).strip()


def relative(path: str | Path, start: str | Path = ".") -> Path:
    """Return a path as seen from `start`; on another drive of Windows there is none but its own."""
    try:
        return Path(os.path.relpath(path, start))
    except ValueError:
        return Path(path)


def portable(value: object) -> object:
    """Return a recorded value; of a path that is absolute or climbs out its last name alone.

    >>> portable("/home/me/my lfw"), portable("../../me/lfw"), portable("data/lfw"), portable(3)
    ('my lfw', 'lfw', 'data/lfw', 3)
    >>> portable("file:///home/me/lfw")
    'lfw'
    """
    if isinstance(value, list):
        return [portable(one) for one in value]
    if isinstance(value, dict):
        return {name: portable(one) for name, one in value.items()}
    if not isinstance(value, str):
        return value
    for path in (PurePosixPath(value), PureWindowsPath(value)):
        if path.root or path.drive or {"..", "~"} & set(path.parts):
            return PureWindowsPath(value).name
    return without_places(value)


def portable_path(path: str | Path) -> str:
    """Return a path as a recorded command has it: from here, or if that climbs out its name alone.

    So the command repeats a run whose files lie in or below the folder that it was started in.
    """
    return portable(relative(path).as_posix())


def without_places(text: str) -> str:
    r"""Write a text so that each path that is absolute or climbs out keeps its last name alone.

    >>> without_places("no '/home/me/lfw' nor ../../home/me/a.jpg; https://a.b/c, 3/4 stay")
    "no 'lfw' nor a.jpg; https://a.b/c, 3/4 stay"
    >>> without_places(r"file:///home/me/a -I/home/me/b PATH=/me/c:/me/d \\server\me\e")
    'a -Ib PATH=c:d e'
    """
    for place in (os.getcwd(), str(Path.home())):  # whatever characters are in their names
        text = text.replace(place.rstrip(os.sep) + os.sep, "/")
    return _PLACE.sub(lambda found: PureWindowsPath(found[0]).name, text)


_NAME = r"[^\s/\\'\"`,;:()\[\]<>|=\x00-\x1f]+"
_BEFORE = r"(?<![\w:/\\.~<-])|(?<=:)(?!//)"  # a URL stays
_BEFORE += r"|(?<=\[\dm)|(?<=\[\d\dm)|(?<=^-\w)|(?<=\s-\w)"  # a terminal's colour, an option
_START = r"~|\.\.|[A-Za-z]:|(?i:file):|\w+:(?=///)"
_PLACE = re.compile(rf"(?:{_BEFORE})(?:{_START})?(?:[/\\]+{_NAME})+")


def slug(title: str) -> str:
    """Turn a title into a file name.

    >>> slug("triplet + semi-hard, 100 epochs")
    'triplet-semi-hard-100-epochs'
    """
    return "-".join(re.findall(r"[a-z0-9.]+", title.lower())) or "untitled"


@kinds
def outside(category: str) -> str:
    """Return one of LFW's categories as the column "outside data" has it.

    >>> outside("no outside data"), outside("label-free outside data")
    ('none', 'label-free')
    """
    return category.replace("no ", "none ").removesuffix(" outside data")


def verdict(claim: Mapping) -> bool | None:
    """Return whether a recorded claim holds; None where that cannot be told.

    So it is for an estimate without an interval, as of one seed, that does not hold.
    """
    is_estimate = claim.get("n") is not None  # older records do not say
    is_open = is_estimate and not _is_number(claim["low"])
    return None if is_open and not claim["holds"] else claim["holds"]


def claim_row(claim: Mapping) -> tuple[str, str, str, str]:
    """Return the `COLUMNS` of a recorded claim in words."""
    value, low, high = (written(claim[key], claim["format"]) for key in ("value", "low", "high"))
    interval = f"{low} to {high}" if _is_number(claim["low"]) else "–"
    why = "one seed has no interval" if claim.get("n") == 1 else "it has no interval"
    words = {True: "yes", False: "no", None: f"cannot tell: {why}"}
    return claim["sentence"], value, interval, words[verdict(claim)]


def render(template: str, **values) -> str:
    """Fill in a template that lies beside this file; what it asks for must be there."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=jinja2.select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    used = {function.__name__: function for function in (written, outside, claim_row, verdict)}
    environment.globals |= used
    environment.filters |= used
    return environment.get_template(template).render(values)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def strict_json(value) -> str:
    """Return strict JSON: numbers that are not finite become null, half a character is refused."""
    loose = json.dumps(value, default=np.generic.item)
    strict = json.loads(loose, parse_constant=lambda not_finite: None)
    text = json.dumps(strict, indent=1, ensure_ascii=False)
    text.encode()
    return text


def write_json(path: Path, value) -> None:
    """Write `strict_json`."""
    write_text(path, strict_json(value) + "\n")


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run, those that were not written to their end too."""
    for checkpoint in folder.glob("*.pt*"):
        checkpoint.unlink()
