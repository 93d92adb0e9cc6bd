"""Run the notebooks as a batch: what with, which of them are done, and what went wrong."""

import ast
import difflib
import json
import os
import shlex
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import nbformat
import yaml

from facelab.study.execute import execute
from facelab.study.record import SCHEMA, write_json
from facelab.study.report import build_report

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
    found, there = [], sorted(folder.glob("*.ipynb"))
    for name in map(str, names):
        fits = [Path(name)] if name.endswith(".ipynb") and Path(name).is_file() else []
        fits = fits or [p for p in there if name in (p.stem, p.name)]
        fits = fits or [p for p in there if p.stem.startswith(name)]
        if len(fits) != 1:
            raise (ValueError if fits else FileNotFoundError)(
                f"expected one notebook named {name}, got {_words(p.stem for p in fits)}; "
                f"in {folder} there are {_words(p.stem for p in there)}"
            )
        found += fits
    found = list(dict.fromkeys(found or chapters(folder)))
    if not found:
        raise FileNotFoundError(f"expected notebooks named like 00_topic.ipynb in {folder}")
    return found


def notebook_parameters(path: Path) -> dict[str, object]:
    """Return names and default values from the cell tagged ``parameters``, the batch's own too.

    Raises
    ------
    ValueError
        If there is no such cell, it lacks the batch's own, or holds anything but literals.
    """
    cells = nbformat.read(path, as_version=4).cells
    tagged = [c.source for c in cells if "parameters" in c.metadata.get("tags", ())]
    found = {}
    for line in ast.parse(tagged[0]).body if tagged else ():
        try:
            found |= {target.id: ast.literal_eval(line.value) for target in line.targets}
        except (AttributeError, ValueError):
            raise ValueError(
                f"{path.stem}: expected NAME = literal in its parameters cell, "
                f"got {ast.unparse(line)!r}"
            ) from None
    if not found.keys() >= RESERVED:
        raise ValueError(
            f"{path.stem}: expected a cell tagged 'parameters' that sets OUT and PROFILE, "
            f"got {_words(found)}"
        )
    return found


def read_profile(name: str) -> dict[str, object]:
    """Read a profile by name, if it ships with the package, or by the path of a YAML file.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such profile, or it is not a flat mapping of UPPER_CASE names.
    """
    shipped = {p.stem: p for p in sorted((HERE / "profiles").glob("*.yaml"))}
    path = shipped.get(name, Path(name))
    if not path.is_file():
        raise FileNotFoundError(
            f"expected a profile ({_words(shipped)}) or a YAML file, got {name!r}"
        )
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
    kind, got = type(default), value
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
    notebooks : iterable of Path
        What to run.
    profile : mapping of str to object
        For the notebooks that have the parameter; unknown to all of them is an error.
    overrides : mapping of str to object
        Win over the profile; unknown to one of `notebooks` is an error.
    others : iterable of Path
        Further notebooks that the profile may speak of.

    Returns
    -------
    dict of Path to dict
        All parameters of every notebook, but for ``OUT`` and ``PROFILE``.

    Raises
    ------
    FileNotFoundError, ValueError
        If a parameter is unknown or of the wrong type, or the data are not there.
    """
    notebooks = list(notebooks)
    known = {path: notebook_parameters(path) for path in dict.fromkeys([*notebooks, *others])}
    known = {p: {k: v for k, v in d.items() if k not in RESERVED} for p, d in known.items()}
    for key in profile:
        if not any(key in defaults for defaults in known.values()):
            raise _unknown(key, "any notebook, as the profile has it", set().union(*known.values()))
    for key, path in ((key, path) for key in overrides for path in notebooks):
        if key not in known[path]:
            raise _unknown(key, path.stem, known[path])
    plans = {}
    for path in notebooks:
        given = {k: v for k, v in {**profile, **overrides}.items() if k in known[path]}
        given = {k: convert(k, v, known[path][k]) for k, v in given.items()}
        plans[path] = known[path] | given
        if "DATA" in plans[path]:
            plans[path]["DATA"] = _find_data(plans[path]["DATA"])
    return plans


def _unknown(key: str, where: str, names: Iterable[str]) -> ValueError:
    close = difflib.get_close_matches(key.upper(), names, 1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return ValueError(
        f"expected a parameter of {where}, got {key}{hint}; there are {_words(sorted(names))}"
    )


def _words(names: Iterable[str]) -> str:
    return ", ".join(map(str, names)) or "none"


def _find_data(data: str) -> str:
    """Check that DATA is there, and return it without an absolute path: it gets into records."""
    folder = os.environ.get("FACELAB_LFW", "") if data == "lfw" else data
    if not folder:
        raise ValueError(
            "expected FACELAB_LFW to name the folder of LFW, but it is not set; "
            "'make study LFW=/path/to/lfw' sets it, 'facelab data fetch' downloads LFW"
        )
    if data != "synthetic" and not Path(folder).expanduser().exists():
        raise FileNotFoundError(f"expected LFW for DATA = {data!r}, but there is no {folder}")
    return data if data in ("lfw", "synthetic") else os.path.relpath(Path(folder).expanduser())


def run_study(
    notebooks: Iterable[str] = (),
    profile: str = "smoke",
    parameters: Mapping[str, object] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> dict[str, str]:
    """Execute notebooks one after the other, and write ``report.html``.

    Parameters
    ----------
    notebooks, profile : iterable of str, str
        See `find_notebooks` and `read_profile`.
    parameters : mapping of str to object, optional
        Win over the profile; text is read as the type of the notebook's own value.
    out : path, optional
        Default: ``outputs/PROFILE``.
    resume : bool
        Skip what is done with the same parameters; let the rest go on from its checkpoints.

    Returns
    -------
    dict of str to str
        Cell and cause for every notebook that failed; empty if none did.

    Raises
    ------
    FileNotFoundError, ValueError
        Before anything is run; see `plan`.
    """
    folder, label, parameters = notebooks_folder(), Path(profile).stem, parameters or {}
    selected = find_notebooks(notebooks, folder)
    plans = plan(selected, read_profile(profile), parameters, chapters(folder))
    # Relative to where the kernels start, which is here: absolute paths stay out of records.
    out = Path(os.path.relpath(out or Path("outputs") / label))
    options = ["--profile", profile if profile == label else os.path.relpath(profile)]
    for name in parameters:
        value = plans[selected[0]][name]
        options += ["-p", name, value if isinstance(value, str) else json.dumps(value)]
    print(f"profile {label}, {_words(p.stem for p in selected)}: into {out}", flush=True)
    failed = {}
    for number, (path, values) in enumerate(plans.items(), 1):
        command = shlex.join(["facelab", "run", path.stem, *options])
        title = f"[{number}/{len(plans)}] {path.stem}"
        values = {**values, "PROFILE": label}
        if cause := _run(path, values, out / path.stem, command, resume, title):
            failed[path.stem] = cause
    print(f"report: {build_report(out, [p.stem for p in chapters(folder)])}", flush=True)
    return failed


def _run(path, values, folder: Path, command: str, resume: bool, title: str) -> str:
    """Run one notebook unless that is done; return the cause of a failure, or nothing."""
    record, started = folder / "run.json", folder / "started.json"
    before = next((json.loads(f.read_text("utf-8")) for f in (record, started) if f.exists()), {})
    recorded = before.get("parameters", {})
    resume = resume and all(k in recorded and recorded[k] == v for k, v in values.items())
    if resume and before["status"] == "done":
        print(f"{title}  skipped: done with the same parameters", flush=True)
        return ""
    # A checkpoint of other parameters must not be continued, nor an old figure be shown.
    patterns = ["run.json"] if resume else ["run.json", "*.pt*", "*.npz", "*.png", "*.jpg"]
    for stale in [path for pattern in patterns for path in folder.glob(pattern)]:
        stale.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    resumed = any(folder.glob("*.pt"))
    entry = {"schema": SCHEMA, "notebook": path.stem, "status": "started", "parameters": values}
    write_json(started, entry)  # after a kill -9 this tells what the checkpoint belongs to
    start = time.monotonic()
    cause = execute(path, values | {"OUT": folder.as_posix()}, folder / path.name, title)
    if not cause and not record.exists():
        cause = "it wrote no run.json: the last cell should be run.finish()"
    if record.exists():
        entry = json.loads(record.read_text("utf-8"))
    entry |= {"profile": values["PROFILE"], "command": command, "resumed": resumed}
    entry |= {"status": "failed", "cause": cause} if cause else {}
    write_json(record, entry)
    started.unlink()
    print(f"{title}  {'FAILED' if cause else 'done'} after {time.monotonic() - start:.0f} s")
    print(f"  {cause}" if cause else f"  {folder / path.name}", flush=True)
    return cause
