"""Records and the files beside them, read back: what is no whole record is named and left out."""

import json
import logging
import math
import os
from collections.abc import Callable
from functools import cache
from operator import itemgetter
from pathlib import Path

import fastjsonschema

from facelab.checks import expect, one_line
from facelab.files import loaded
from facelab.study.writing import strict_json

SCHEMA = 2
LISTS = ("results", "trainings", "reports", "figures", "claims", "notes")
NOTHING = {"profile": "", "seconds": 0, "test_looks": 0, "finished": "", "data": {}, "cause": ""}
NOTHING |= {name: [] for name in LISTS}
TO_DO = "run the chapter again, or delete the file"
log = logging.getLogger(__name__)
_FORM = json.loads(Path(__file__).with_name("record.schema.json").read_text(encoding="utf-8"))
_check_form = fastjsonschema.compile(_FORM, use_default=False)


def inside(folder: str | Path, file: str) -> Path:
    """Return the path of a run's `file`; one that is not inside the run's `folder` is a ValueError.

    Links count as what they lead to.
    """
    path = Path(folder) / file
    whole = Path(os.path.realpath(folder))
    is_inside = "\0" not in file and whole in Path(os.path.realpath(path)).parents
    expect(is_inside, f"a file inside {folder}", one_line(file, 100))
    return path


def read_record(path: Path) -> dict:
    """Read a ``run.json``; what is no whole record of this version is a ValueError that names it.

    Its form is that of ``record.schema.json``. What was not recorded yet is as in `NOTHING`, but
    reports and films say on what data.
    """
    expected = f"{path}: expected a record of schema {SCHEMA}, got"
    if not path.is_file():
        raise ValueError(f"{expected} no file")
    try:
        record = json.loads(path.read_bytes(), parse_constant=_finite, parse_float=_finite)
        json.dumps(record, ensure_ascii=False).encode()  # refuses half a character
        version = record.get("schema") if isinstance(record, dict) else None
        if version != SCHEMA:
            raise ValueError(version)
        _check_form(record)
        record = NOTHING | record
        _check(record, path.parent)
    except (ValueError, RecursionError) as e:
        raise ValueError(one_line(f"{expected} {e}; {TO_DO}")) from None
    return record


def check_part(of: str, part) -> None:
    """Refuse what cannot be in the list `of` of a record, one of `LISTS`; a ValueError."""
    try:
        _form_of(of)(json.loads(strict_json(part)))
    except (TypeError, ValueError) as e:
        said = str(e).replace("data", of.removesuffix("s"), 1)
        raise ValueError(one_line(f"expected what a record can hold, got {said}")) from None


@cache
def _form_of(of: str) -> Callable:
    form = _FORM["properties"][of]["items"] | {"definitions": _FORM["definitions"]}
    return fastjsonschema.compile(form, use_default=False)


def _finite(text: str) -> float | None:
    """Return a number, or None as `write_json` does, where it is not finite."""
    value = float(text)
    return value if math.isfinite(value) else None


def _check(record: dict, folder: Path) -> None:
    """Check what a form cannot say: files, data and metrics of what was reported."""
    reports = record["reports"]
    films = [training["film"] for training in record["trainings"] if training["film"]]
    if (reports or films) and not record["data"]:
        raise ValueError("reports or films, and nothing of their data")
    networks = [report["network"] for report in reports if report["network"]]
    files = [named["file"] for named in [*record["figures"], *reports, *networks]]
    for file in files + films:
        inside(folder, file)
    key = itemgetter("method", "seed", "split")
    measured = {key(row) for row in record["results"] if row["metric"] == "threshold"}
    for entry in reports:
        if key(entry) not in measured:
            raise ValueError(f"no metrics of {entry['method']} on {entry['split']}")


def read_runs(folder: str | Path) -> dict[Path, dict]:
    """Read every ``run.json`` below `folder`: the record of each run by its folder, in order.

    One that is no record, see `read_record`, is named in one line and stands as a run whose status
    is ``unreadable``; if all are so, it is a ValueError. No such folder is a FileNotFoundError.
    """
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"expected a run.json in a folder below {folder}, found none")
    records, unreadable = {}, []
    found = [*Path(folder).rglob("run.json"), *Path(folder).glob("*/run.json")]  # linked ones too
    of_places = {os.path.realpath(path): path for path in reversed(found)}
    for path in sorted(of_places.values()):
        try:
            records[path.parent] = read_record(path)
        except (ValueError, OSError) as e:
            cause = one_line(str(e))
            unreadable.append(cause)
            of_it = {"notebook": path.parent.name, "status": "unreadable", "cause": cause}
            records[path.parent] = NOTHING | of_it
    if records and len(unreadable) == len(records):
        more = f" (and {len(unreadable) - 1} more)" if unreadable[1:] else ""
        raise ValueError(unreadable[0] + more)
    for cause in unreadable:
        log.warning(cause)
    return records


def opened(load: Callable, path: Path, expected: str, problems: list | None = None):
    """Return what `load` makes of a run's file; None if it is not there, or is another.

    Then there is a warning, and path and reason are added to `problems`.
    """
    try:
        return loaded(load, path, expected, TO_DO) if path.is_file() else None
    except (ValueError, OSError) as e:
        log.warning(str(e))
        if problems is not None:
            problems.append((path, str(e)))
        return None
