"""What a batch runs: the notebooks, and the parameters of each; mistakes are ValueErrors."""

import ast
import difflib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import nbformat
import yaml

from facelab.data.copies import find

HERE = Path(__file__).parent
RESERVED = {"OUT", "PROFILE"}  # parameters that the batch itself sets


def notebooks_folder() -> Path:
    """Return ``notebooks`` in the working folder, or else beside the package."""
    here = Path("notebooks")
    return here if here.is_dir() else HERE.parents[1] / "notebooks"


def chapters(folder: Path) -> list[Path]:
    """Return the notebooks ``00_...`` to ``99_...``, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def _words(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def find_notebooks(names: Iterable[str], folder: Path) -> list[Path]:
    """Find notebooks by path, name or unique beginning (``01``); no names: all chapters."""
    found = [] if names else chapters(folder)
    for name in names:
        path = Path(name)
        fits = [path] if path.is_file() else sorted(folder.glob(f"{name}*.ipynb"))
        if len(fits) != 1:
            got = _words(path.stem for path in fits)
            there = _words(path.stem for path in sorted(folder.glob("*.ipynb")))
            raise ValueError(f"expected one notebook named {name}, got {got}; there are {there}")
        found += fits
    if not found:
        raise ValueError(f"expected notebooks named like 00_topic.ipynb in {folder}, got none")
    return list(dict.fromkeys(found))


def notebook_parameters(path: Path) -> dict[str, object]:
    """Return names and default values from the cell tagged ``parameters``, the batch's own too."""
    cells = nbformat.read(path, as_version=4).cells
    tagged = [cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    expected = f"{path.stem}: expected a cell tagged 'parameters' with NAME = literal"
    values = {}
    for line in ast.parse("\n".join(tagged)).body:
        try:
            (target,) = line.targets
            values[target.id] = ast.literal_eval(line.value)
        except (AttributeError, ValueError):
            raise ValueError(f"{expected} alone, got {ast.unparse(line)}") from None
    if not values.keys() >= RESERVED:
        raise ValueError(f"{expected} for OUT, PROFILE and others, got {_words(values)}")
    return values


def read_profile(name: str) -> dict[str, object]:
    """Read a profile by name, if it ships with the package, or by the path of a YAML file."""
    shipped = {path.stem: path for path in sorted((HERE / "profiles").glob("*.yaml"))}
    path = shipped.get(name, Path(name))
    if not path.is_file():
        raise ValueError(f"expected a profile ({_words(shipped)}) or a YAML file, got {name!r}")
    expected = f"profile {name}: expected lines NAME: plain value"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        items = values.items()
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        why = " ".join(str(error).split())  # on one line
        raise ValueError(f"{expected}, got {why}") from None
    for key, value in items:
        if not str(key).isupper() or isinstance(value, dict | list):
            raise ValueError(f"{expected}, got {key}: {value}")
    return values


def convert(name: str, value: object, default: object) -> object:
    """Return `value`, maybe a literal as text, in the type of the notebook's own `default`.

    A default of None takes anything, float takes int; all else that differs is refused.

    Examples
    --------
    >>> convert("LR", "1e-3", 0.1), convert("EPOCHS", "20", 100), convert("DATA", "2024", "lfw")
    (0.001, 20, '2024')
    """
    got = value
    if isinstance(value, str) and not isinstance(default, str):
        value = {"true": "True", "false": "False"}.get(value.lower(), value)
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value)
    if type(value) is int and type(default) is float:
        value = float(value)
    if default is not None and type(value) is not type(default):
        kind = type(default).__name__
        raise ValueError(f"{name}: expected {kind}, like {default!r}, got {got!r}")
    return value


def plan(notebooks, profile: dict, overrides: dict, others=()) -> dict[Path, dict]:
    """Decide all that each notebook is run with; what can be wrong beforehand is wrong here.

    Of `profile`, which may speak of `others` too, each takes what it has; `overrides` win, and
    all of `notebooks` must have them.
    """
    defaults = {}
    for path in [*notebooks, *others]:
        own = notebook_parameters(path)
        defaults[path] = {key: own[key] for key in own if key not in RESERVED}
    _check_known(profile, set().union(*defaults.values()), "any notebook, as the profile has it")
    given = profile | overrides
    plans = {}
    for path in notebooks:
        _check_known(overrides, defaults[path], path.stem)
        plans[path] = values = {}
        for key, default in defaults[path].items():
            values[key] = convert(key, given.get(key, default), default)
        if "DATA" in values:
            values["DATA"] = _find_data(values["DATA"])
    return plans


def _check_known(keys: Iterable[str], names: Iterable[str], where: str) -> None:
    for key in keys:
        if key in names:
            continue
        close = difflib.get_close_matches(key.upper(), names, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        there = _words(sorted(names))
        raise ValueError(f"expected a parameter of {where}, got {key}{hint}; there are {there}")


def _find_data(data: str) -> str:
    """Check that DATA is there, and return it without an absolute path: it gets into records."""
    if data != "synthetic":
        find(data)
    return data if data in ("lfw", "synthetic") else os.path.relpath(Path(data).expanduser())
