"""Refuse what a function cannot work with, in one line: what was expected, and what came."""

import functools
import importlib
import inspect
import json
import re
import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from os import PathLike
from types import UnionType
from typing import get_args, get_origin, get_type_hints

import numpy as np

LARGEST = 2**63 - 1  # whole number that NumPy and torch count with
NUMBERS = {int: Integral, float: Real}


def expect(holds, expected: str, got) -> None:
    """Raise a ValueError, on one line, unless what was expected holds."""
    if not holds:
        raise ValueError(one_line(f"expected {expected}, got {got}"))


def expect_in(place, holds, expected: str, got) -> None:
    """Do as `expect` does, but name the place first, such as a file and its line."""
    if not holds:
        said = one_line(f"expected {expected}, got {got}")
        raise ValueError(f"{place}: {said}")


def real(name: str, value, low: float = -np.inf, high: float = np.inf) -> float:
    """Return a finite number from `low` to `high`; a ValueError for all else."""
    return float(_number(f"{name} a finite number", value, Real, low, high))


def whole(name: str, value, low: float = -np.inf, high: float = np.inf) -> int:
    """Return an integer from `low` to `high`; a ValueError for all else, 2.0 and True included."""
    if isinstance(value, Integral) and value > LARGEST:
        high = min(high, LARGEST)
    return int(_number(f"{name} a whole number", value, Integral, low, high))


def _number(expected, value, kind, low, high):
    if isinstance(value, np.floating):  # float32 compares in its own, smaller range
        value = float(value)
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if not (is_number and abs(value) <= sys.float_info.max and low <= value <= high):
        raise _refused(expected + _between(low, high), value)
    return value


def places(name: str, values, n: float = np.inf) -> np.ndarray:
    """Return an int64 array of whole numbers from 0 to `n` - 1; a ValueError for all else."""
    array = np.asarray(values)
    if not array.size:
        return array.astype(np.int64)
    expected = f"{name} whole numbers{_between(0, n - 1)}"
    expect(array.dtype.kind in "iuf", expected, array.dtype)
    good = (array >= 0) & (array < n) & (array == np.floor(array))
    if not good.all():
        raise _refused(expected, array[~good].flat[0])
    return array.astype(np.int64, copy=False)


def truths(name: str, values) -> np.ndarray:
    """Return a bool array; a ValueError for all else, words and 0 or 1 included."""
    array = np.asarray(values)
    expect(array.dtype == bool or not array.size, f"bool in `{name}`", array.dtype)
    return array.astype(bool)


def numbers(name: str, values, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """Return a float64 array of finite numbers from `low` to `high`; a ValueError for all else."""
    array = np.asarray(values)
    expect(array.dtype.kind in "iuf" or not array.size, f"numbers in {name}", array.dtype)
    array = array.astype(np.float64)
    good = np.isfinite(array) & (array >= low) & (array <= high)
    if not good.all():
        raise _refused(f"finite {name}{_between(low, high)}", array[~good].flat[0])
    return array


def one_each(name: str, values, n: int) -> np.ndarray:
    """Return an array of `n` values; a ValueError for all else."""
    array = np.asarray(values)
    expect(array.shape == (n,), f"{name} of shape ({n},)", f"shape {array.shape}")
    return array


def has_columns(name: str, table, wanted) -> None:
    """Refuse a table that lacks one of the `wanted` columns."""
    missing = [column for column in wanted if column not in table.columns]
    expect(not missing, f"{name} with columns {missing}", list(table.columns))


def as_json(settings: dict) -> str:
    """Return settings as JSON; a ValueError for one that JSON does not take, nan included."""
    for name, value in settings.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise _refused(f"{name} finite and as JSON takes it", value) from error
    return json.dumps(settings)


def of_kind(name: str, value, kind: type):
    """Return a value that is a `kind`; a ValueError for all else."""
    expect(_fits(value, kind), f"{name} a {kind.__name__}", repr(type(value).__name__))
    return value


def kinds(function: Callable, also_numbers: bool = False) -> Callable:
    """Refuse arguments of other kinds than a function, or a class, is annotated with; a ValueError.

    A function looks at numbers itself, and both at what an array holds.
    """
    if isinstance(function, type):
        maker = "__new__" if issubclass(function, tuple) else "__init__"
        setattr(function, maker, kinds(getattr(function, maker), also_numbers=True))
        return function
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args, **kwargs):
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            kind = _hints(function).get(name)
            if kind is not None and not _fits(value, kind, also_numbers):
                wanted = re.sub(r"\w+\.", "", inspect.formatannotation(kind))
                raise _refused(f"{name} of kind {wanted}", value)
        return function(*args, **kwargs)

    return checked


@functools.cache
def _hints(function):
    return get_type_hints(function)


def _fits(value, kind, also_numbers=False) -> bool:
    of = get_args(kind)
    base = get_origin(kind) or kind
    if base is UnionType:
        return any(_fits(value, one, also_numbers) for one in of)
    if base in NUMBERS:
        return not also_numbers or isinstance(value, NUMBERS[base])
    if not isinstance(base, type):
        return True
    if base is bool:
        return isinstance(value, bool | np.bool_)
    if base is np.ndarray:
        return _is_array(value)
    if of and base in (list, tuple, Sequence):
        is_one = _is_array(value) if base is Sequence else isinstance(value, list | tuple)
        return is_one and all(_fits(one, of[0], also_numbers=True) for one in value)
    if of and issubclass(base, Mapping):
        return isinstance(value, base) and all(_fits(one, of[1]) for one in value.values())
    return isinstance(value, PathLike if issubclass(base, PathLike) else base)


def _is_array(value) -> bool:
    if not isinstance(value, list | tuple | range):
        return bool(getattr(value, "shape", ()))  # what reads its rows when asked has one, too
    try:
        np.asarray(value)
    except ValueError:  # rows of several lengths
        return False
    return True


def one_line(said: object, most: int = 500) -> str:
    r"""Put a message, or an error with its kind, on one line: its beginning and its end.

    The line has at most `most` characters.

    Examples
    --------
    >>> one_line("expected bread,\n  got a stone"), one_line("0123456789" * 5, 20)
    ('expected bread, got a stone', '01234567 ... 3456789')
    """
    text = f"{type(said).__name__}: {said}" if isinstance(said, BaseException) else str(said)
    if len(text) > 4 * most:  # before its spaces are looked at
        text = f"{text[: 2 * most]} {text[-2 * most :]}"
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    head = (most - 4) // 2
    return f"{text[:head]} ... {text[head + 5 - most :]}"


def extra(module: str, what: str, name: str):
    """Import a module of the optional extra `name`; an ImportError says how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"expected {what} of facelab[{name}], got {error}; pip install 'facelab[{name}]'"
        ) from error


def _between(low, high):
    if np.isfinite(low) and np.isfinite(high):
        return f" from {low:,} to {high:,}"
    return f" of {low:,} or more" if np.isfinite(low) else ""


def _refused(expected, got):
    got = str(got) if isinstance(got, np.generic | np.dtype) else reprlib.repr(got)
    return ValueError(f"expected {expected}, got {one_line(got)}")
