"""What a batch runs: the notebooks, and the parameters of each."""

import ast
import difflib
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import nbformat
import papermill
import yaml

HERE = Path(__file__).parent
RESERVED = {"OUT", "PROFILE"}  # parameters that the batch itself sets


def notebooks_folder() -> Path:
    """Return ``notebooks`` in the working folder, or else beside the package."""
    here = Path("notebooks")
    return here if here.is_dir() else HERE.parents[1] / "notebooks"


def chapters(folder: Path) -> list[Path]:
    """Return the notebooks ``00_...`` to ``99_...``, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def find_notebooks(names: Iterable[str], folder: Path) -> list[Path]:
    """Find notebooks by path, name or unique beginning (``01``); no names: all chapters.

    Raises
    ------
    FileNotFoundError, ValueError
        If a name fits no notebook, or several.
    """
    found = [_find(str(name), sorted(folder.glob("*.ipynb"))) for name in names]
    found = found or chapters(folder)
    if not found:
        raise FileNotFoundError(f"expected notebooks named like 00_topic.ipynb in {folder}")
    return list(dict.fromkeys(found))


def _find(name: str, there: list[Path]) -> Path:
    if name.endswith(".ipynb") and Path(name).is_file():
        return Path(name)
    fits = [path for path in there if name in (path.stem, path.name)]
    fits = fits or [path for path in there if path.stem.startswith(name)]
    if len(fits) == 1:
        return fits[0]
    kind = ValueError if fits else FileNotFoundError
    got = words(path.stem for path in fits)
    others = words(path.stem for path in there)
    raise kind(f"expected one notebook named {name}, got {got}; there are {others}")


def notebook_parameters(path: Path) -> dict[str, object]:
    """Return names and default values from the cell tagged ``parameters``, the batch's own too.

    Raises
    ------
    ValueError
        If there is no such cell, it lacks the batch's own, or holds anything but literals.
    """
    tagged = [
        cell.source
        for cell in nbformat.read(path, as_version=4).cells
        if "parameters" in cell.metadata.get("tags", ())
    ]
    found = papermill.inspect_notebook(path) if tagged else {}
    expected = f"{path.stem}: expected NAME = literal, and no other =, in its parameters cell"
    for line in "".join(tagged[:1]).splitlines():
        name = re.match(r"\w*", line)[0]
        if name and name not in found:  # papermill has left it out
            raise ValueError(f"{expected}, got {line!r}")
    values = {}
    for name, parameter in found.items():
        try:
            values[name] = ast.literal_eval(parameter["default"])
        except (ValueError, SyntaxError):
            raise ValueError(f"{expected}, got {name} = {parameter['default']}") from None
    if not values.keys() >= RESERVED:
        raise ValueError(
            f"{path.stem}: expected a cell tagged 'parameters' that sets OUT and PROFILE, "
            f"got {words(values)}"
        )
    return values


def read_profile(name: str) -> dict[str, object]:
    """Read a profile by name, if it ships with the package, or by the path of a YAML file.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such profile, or it is not a flat mapping of UPPER_CASE names.
    """
    shipped = {path.stem: path for path in sorted((HERE / "profiles").glob("*.yaml"))}
    path = shipped.get(name, Path(name))
    if not path.is_file():
        there = words(shipped)
        raise FileNotFoundError(f"expected a profile ({there}) or a YAML file, got {name!r}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise ValueError(f"profile {name}: expected YAML, got {' '.join(str(e).split())}") from e
    if not isinstance(values, dict):
        raise ValueError(f"profile {name}: expected lines NAME: value, got {values!r}")
    for key, value in values.items():
        if not str(key).isupper() or isinstance(value, (dict, list)):
            raise ValueError(
                f"profile {name}: expected UPPER_CASE names and plain values, got {key}: {value!r}"
            )
    return values


def convert(name: str, value: object, default: object) -> object:
    """Return `value`, which may be text, in the type of the notebook's own `default`.

    Raises
    ------
    ValueError
        If it is of another type. A default of None takes anything, float takes int.

    Examples
    --------
    >>> convert("LR", "1e-3", 0.1), convert("EPOCHS", "20", 100), convert("DATA", "2024", "lfw")
    (0.001, 20, '2024')
    """
    kind = type(default)
    got = value
    if isinstance(value, str) and kind is not str:
        with suppress(ValueError, yaml.YAMLError):  # YAML takes 1e-3 for text, and 010 for 8
            value = kind(value) if kind in (int, float) else yaml.safe_load(value)
    if kind is float and type(value) is int:
        value = float(value)
    if default is not None and type(value) is not kind:
        raise ValueError(f"{name}: expected {kind.__name__}, like {default!r}, got {got!r}")
    return value


def plan(
    notebooks: Iterable[Path],
    profile: Mapping[str, object],
    overrides: Mapping[str, object],
    others: Iterable[Path] = (),
) -> dict[Path, dict[str, object]]:
    """Decide what every notebook is run with; what can be wrong beforehand is wrong here.

    Parameters
    ----------
    notebooks, others : iterable of Path
        What to run, and further notebooks that the profile may speak of.
    profile, overrides : mapping of str to object
        Of the profile each notebook takes what it has; `overrides` win, and all must have them.

    Returns
    -------
    dict of Path to dict
        All parameters of every notebook of `notebooks`, but for ``OUT`` and ``PROFILE``.

    Raises
    ------
    FileNotFoundError, ValueError
        If a parameter is unknown or of the wrong type, or the data are not there.
    """
    known = {}
    for path in [*notebooks, *others]:
        defaults = notebook_parameters(path)
        known[path] = {key: defaults[key] for key in defaults if key not in RESERVED}
    anywhere = set().union(*known.values())
    for key in profile:
        _check_known(key, anywhere, "any notebook, as the profile has it")
    plans = {}
    for path in notebooks:
        values = known[path]
        for key in overrides:
            _check_known(key, values, path.stem)
        given = {**profile, **overrides}
        plans[path] = {key: convert(key, given.get(key, own), own) for key, own in values.items()}
        if "DATA" in values:
            plans[path]["DATA"] = _find_data(plans[path]["DATA"])
    return plans


def _check_known(key: str, names: Iterable[str], where: str) -> None:
    if key not in names:
        close = difflib.get_close_matches(key.upper(), names, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        there = words(sorted(names))
        raise ValueError(f"expected a parameter of {where}, got {key}{hint}; there are {there}")


def words(names: Iterable[str]) -> str:
    """Join names by commas; none: say so."""
    return ", ".join(names) or "none"


def _find_data(data: str) -> str:
    """Check that DATA is there, and return it without an absolute path: it gets into records."""
    folder = os.environ.get("FACELAB_LFW", "") if data == "lfw" else data
    if not folder:
        raise ValueError(
            "expected FACELAB_LFW to name the folder of LFW, but it is not set; "
            "'make study LFW=/path/to/lfw' sets it, 'facelab data fetch' downloads LFW"
        )
    if data == "synthetic":
        return data
    if not Path(folder).expanduser().exists():
        raise FileNotFoundError(f"expected LFW for DATA = {data!r}, but there is no {folder}")
    return data if data == "lfw" else os.path.relpath(Path(folder).expanduser())
