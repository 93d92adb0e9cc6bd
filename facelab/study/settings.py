"""What a batch runs: the notebooks, and the parameters of each; mistakes are ValueErrors."""

import ast
import difflib
import json
import math
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import yaml

from facelab.checks import expect, expect_in, one_line
from facelab.files import loaded
from facelab.study.writing import label, relative

PROFILES = Path(__file__).parent / "profiles"
RESERVED = {"OUT", "PROFILE"}  # parameters that the batch itself sets


def chapters(folder: Path) -> list[Path]:
    """Return the notebooks ``00_...`` to ``99_...``, in order."""
    return sorted(folder.glob("[0-9][0-9]_*.ipynb"))


def _words(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def find_notebooks(names: Iterable[str], folder: Path) -> list[Path]:
    """Find notebooks by path, name or unique beginning (``01``); no names: all chapters."""
    found = [] if names else chapters(folder)
    there = sorted(folder.glob("*.ipynb"))
    for name in names:
        path = Path(name)
        fits = [path] if path.is_file() else [one for one in there if one.stem == name]
        fits = fits or [one for one in there if name and one.stem.startswith(name)]
        if len(fits) != 1:
            got = _words(path.stem for path in fits)
            known = _words(path.stem for path in there)
            raise ValueError(f"expected one notebook named {name}, got {got}; there are {known}")
        found += fits
    expect(found, f"notebooks named like 00_topic.ipynb in {folder}", "none")
    return list(dict.fromkeys(found))


def cells_of(path: Path) -> list[tuple[str, str, list[str]]]:
    """Return kind, source and tags of every cell; nbformat would take seconds to import."""

    def read(path):
        cells = json.loads(path.read_bytes())["cells"]
        found = []
        for cell in cells:
            source = "".join(cell["source"])
            source.encode()  # refuses half a character
            found.append((cell["cell_type"], source, list(cell["metadata"].get("tags", []))))
        return found

    return loaded(read, path, "a Jupyter notebook", "choose another")


def heading(path: Path) -> str:
    """Return a notebook's first heading; without one, its name in words."""
    with suppress(OSError, ValueError):
        text = "\n".join(source for kind, source, _ in cells_of(path) if kind == "markdown")
        if found := re.search(r"^# (.+)", text, re.MULTILINE):
            return found[1].strip()
    return label(path.stem)


class Parameter(NamedTuple):
    """A notebook's parameter: its default and the comment behind it, which may end in limits.

    Limits are written ``[1, 100]``, ``(0, inf)``, ``[16, 256] step 16``, round where the end does
    not count, ``[1, N]`` up to a parameter that stands above, ``{adam, sgd}``, or ``{TABLE}`` for
    the keys of a dict of the notebook. They hold for each element of a list.
    """

    default: object
    comment: str

    def offered(self) -> list[str]:
        """Return values to choose from: those of a closed set, or else the default."""
        text, _ = limits(self.comment)
        if text.startswith("{") and not isinstance(self.default, list):
            return text[1:-1].split(", ")
        return ["True", "False"] if isinstance(self.default, bool) else [str(self.default)]

    def checked(self, name: str, value: object, above: Mapping | None = None) -> object:
        """Return `value` in the default's type; what is out of the limits is a ValueError.

        `above` holds the values of the parameters that stand above it.
        """
        value = convert(name, value, self.default)
        text, allows = limits(self.comment, above)
        for one in value if isinstance(value, list) else [value]:
            expect_in(name, allows(one), f"a value of {text}", one_line(repr(one), 60))
        return value


_NUMBER = r"-?[0-9.]+(?:e-?[0-9]+)?"
_NAME = "[A-Z][A-Z0-9_]*"
_RANGE = re.compile(rf"([\[(])({_NUMBER}), ({_NUMBER}|inf|{_NAME})([\])])(?: step ([0-9]+))?$")
_CHOICES = re.compile(r"\{([^{}]+)\}$")
_KEYS = re.compile(rf"\{{({_NAME})\}}$")


def limits(comment: str, above: Mapping | None = None) -> tuple[str, Callable[[object], bool]]:
    """Return the limits at the end of a comment, as they are written, and what keeps to them.

    `above` holds the values of the parameters that an end may name.

    >>> text, allows = limits("pixels of each side [16, 64] step 16")
    >>> text, [size for size in (0, 16, 33, 64, 80) if allows(size)]
    ('[16, 64] step 16', [16, 64])
    """
    if found := _CHOICES.search(comment):
        return found[0], lambda value: str(value) in found[1].split(", ")
    found = _RANGE.search(comment)
    if not found:
        return "", lambda value: True
    text = found[0]
    opening, least, most, closing, step = found.groups()
    if most.isupper():
        named, most = most, (above or {}).get(most, "inf")
        text = text.replace(named, f"{named} = {most}")
    least, most, step = float(least), float(most), int(step or 0)

    def allows(value) -> bool:
        is_above = value >= least if opening == "[" else value > least
        is_below = value <= most if closing == "]" else value < most
        return is_above and is_below and not (step and (value - least) % step)

    return text, allows


def described_parameters(path: Path) -> dict[str, Parameter]:
    """Return defaults and comments from the cell tagged ``parameters``, the batch's own too."""
    cells = cells_of(path)
    source = "\n".join(source for _, source, tags in cells if "parameters" in tags)
    expected = f"{path.stem}: expected a cell tagged 'parameters' with NAME = literal"
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        raise ValueError(one_line(f"{expected} alone, got {e!r}", 300)) from None
    lines = re.split("\r\n?|\n", source)
    found = {}
    for statement in statements:
        behind = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :]
        comment = behind.decode().strip("# ")
        try:
            (target,) = statement.targets
            name, default = target.id, ast.literal_eval(statement.value)
        except (AttributeError, ValueError, TypeError):
            got = one_line(ast.unparse(statement), 100)
            raise ValueError(f"{expected} alone, got {got}") from None
        if table := _KEYS.search(comment):
            comment = comment.replace(table[1], ", ".join(_keys(table[1], path.stem, cells)))
        found[name] = Parameter(default, comment)
    if not found.keys() >= RESERVED:
        raise ValueError(f"{expected} for OUT, PROFILE and others, got {_words(found)}")
    return found


def _keys(table: str, notebook: str, cells: list[tuple[str, str, list[str]]]) -> Iterator[str]:
    """Yield the keys of a notebook's dict, in ``TABLE = {...}`` and ``TABLE |= {...}``."""
    begins = re.compile(rf"^{table} \|?= {{", re.MULTILINE)
    for source in [source for kind, source, _ in cells if kind == "code" and begins.search(source)]:
        try:
            lines = [line for line in ast.parse(source).body if begins.match(ast.unparse(line))]
            yield from [str(ast.literal_eval(key)) for line in lines for key in line.value.keys]
        except (SyntaxError, ValueError) as e:
            expected = f"{notebook}: expected {table} = {{literal: ...}} in a cell of Python alone"
            raise ValueError(one_line(f"{expected}, got {e!r}", 300)) from None


def describe(path: Path) -> str:
    """Write a notebook's title and its parameters: default, what it is, limits."""
    known = described_parameters(path)
    names = [name for name in known if name not in RESERVED]
    defaults = [f"  {name} = {known[name].default!r}" for name in names]
    comments = [known[name].comment for name in names]
    return "\n".join([f"{path.stem}: {heading(path)}", *_columns(defaults, comments)])


def titles(paths: list[Path]) -> list[str]:
    """Write the name and the title of each notebook, a line each."""
    return _columns([path.stem for path in paths], list(map(heading, paths)))


def _columns(left: list[str], right: list[str]) -> list[str]:
    width = max(map(len, left), default=0)
    return [f"{a:<{width}}  {b}" for a, b in zip(left, right, strict=True)]


def profiles() -> dict[str, Path]:
    """Return the files of the profiles that ship with the package, by name."""
    return {path.stem: path for path in sorted(PROFILES.glob("*.yaml"))}


def read_profile(name: str) -> dict[str, object]:
    """Read a profile by name, if it ships with the package, or by the path of a YAML file."""
    path = profiles().get(name, Path(name))
    expect(path.is_file(), f"a profile ({_words(profiles())}) or a YAML file", repr(name))
    expected = f"profile {name}: expected lines NAME: plain value"
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text) or {}
        items = values.items()
        lines = yaml.compose(text).value if values else []
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{expected}, got {one_line(str(error), 200)}") from None
    for key, times in Counter(key.value for key, _ in lines).most_common(1):
        expect_in(f"profile {name}", times == 1, "each NAME once", f"{key} {times} times")
    for key, value in items:
        values_of = value if isinstance(value, list) else [value]
        is_plain = all(isinstance(one, str | int | float | None) for one in values_of)
        if not (isinstance(key, str) and key.isupper() and is_plain):
            raise ValueError(one_line(f"{expected}, got {key}: {reprlib.repr(value)}", 200))
    return values


def convert(name: str, value: object, default: object) -> object:
    """Return `value`, maybe a literal as text, in the type of the notebook's own `default`.

    A default of None takes anything, float takes int; all else that differs is refused, and so are
    numbers that are not finite. In a list each element takes the type of the default's first.

    >>> convert("LR", "1e-3", 0.1), convert("EPOCHS", "20", 100), convert("DATA", "2024", "lfw")
    (0.001, 20, '2024')
    """
    got = one_line(repr(value), 60)
    if isinstance(value, str) and not isinstance(default, str):
        value = {"true": "True", "false": "False"}.get(value.lower(), value)
        with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            value = ast.literal_eval(value)
    if type(value) is int and type(default) is float:
        with suppress(OverflowError):
            value = float(value)
    is_alike = default is None or type(value) is type(default)
    is_finite = not isinstance(value, float) or math.isfinite(value)
    expect_in(name, is_alike and is_finite, f"{type(default).__name__}, like {default!r}", got)
    if isinstance(value, list) and default:
        expect_in(name, value, f"a list like {default!r}", "an empty one")
        value = [convert(f"{name}[{k}]", one, default[0]) for k, one in enumerate(value)]
    return value


def plan(notebooks, profile: dict, overrides: dict, others=()) -> dict[Path, dict]:
    """Decide all that each notebook is run with; what can be wrong beforehand is wrong here.

    Of `profile`, which may speak of `others` too, each takes what it has; `overrides` win, and
    all of `notebooks` must have them.
    """
    known = {path: described_parameters(path) for path in [*notebooks, *others]}
    for own in known.values():
        for name in RESERVED:
            del own[name]
    _check_known(profile, set().union(*known.values()), "any notebook, as the profile has it")
    given = profile | overrides
    plans = {}
    for path in notebooks:
        _check_known(overrides, known[path], path.stem)
        plans[path] = values = {}
        for key, parameter in known[path].items():
            values[key] = parameter.checked(key, given.get(key, parameter.default), values)
        if "DATA" in values:
            is_own = any("load_faces(DATA" in source for _, source, _ in cells_of(path))
            values["DATA"] = _find_data(values["DATA"], is_own)
        if values.get("ALIGNED"):
            _find_data(values["ALIGNED"], is_own=False)
        if data := values.get("TRAIN_DATA"):
            is_there = Path(data).exists()
            expect_in("TRAIN_DATA", is_there, "a .rec or a folder of people", f"nothing at {data}")
        if runs := values.get("RUNS"):
            is_there = any(Path(runs).rglob("run.json"))
            expect_in("RUNS", is_there, "a folder of runs", f"none in {runs}")
    return plans


def _check_known(keys: Iterable[str], names: Iterable[str], where: str) -> None:
    for key in keys:
        if key not in names:
            close = difflib.get_close_matches(key.upper(), names, 1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            there = _words(sorted(names))
            raise ValueError(f"expected a parameter of {where}, got {key}{hint}; there are {there}")


def _find_data(data: str, is_own: bool) -> str:
    """Check that data are there, and return them without an absolute path: it gets into records.

    `is_own` says that the notebook loads them with `load_faces`, not with `load_lfw`.
    """
    if data != "synthetic":
        from facelab.data.copies import find  # imports much, which completion has no time for
        from facelab.data.own import find_photos

        look = find_photos if is_own and data != "lfw" else find
        look(data)
    return data if data in ("lfw", "synthetic") else relative(Path(data).expanduser()).as_posix()
