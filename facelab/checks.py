"""Refuse what a function cannot work with, in one line: what was expected, and what came."""

import importlib
import reprlib
import sys
from numbers import Integral, Real

import numpy as np


def real(name: str, value, low: float = -np.inf, high: float = np.inf) -> float:
    """Return a finite number from `low` to `high`; a ValueError for all else."""
    is_number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not (is_number and abs(value) <= sys.float_info.max and low <= value <= high):
        raise _refused(f"{name} a finite number{_between(low, high)}", value)
    return float(value)


def whole(name: str, value, low: float = -np.inf, high: float = np.inf) -> int:
    """Return an integer from `low` to `high`; a ValueError for all else, 2.0 and True included."""
    is_integer = isinstance(value, Integral) and not isinstance(value, (bool, np.bool_))
    if not (is_integer and low <= value <= high):
        raise _refused(f"{name} a whole number{_between(low, high)}", value)
    return int(value)


def places(name: str, values, n: float = np.inf) -> np.ndarray:
    """Return an int64 array of whole numbers from 0 to `n` - 1; a ValueError for all else."""
    array = np.asarray(values)
    good = array.dtype.kind in "iuf" or not array.size
    if array.size and good:
        good = array.min() >= 0 and array.max() < n and (array == np.floor(array)).all()
    if not good:
        raise _refused(f"{name} whole numbers{_between(0, n - 1)}", _first_wrong(array, n))
    return array.astype(np.int64, copy=False)


def truths(name: str, values) -> np.ndarray:
    """Return a bool array; a ValueError for all else, words and 0 or 1 included."""
    array = np.asarray(values)
    if array.dtype != bool and array.size:
        raise _refused(f"bool in `{name}`", array.dtype)
    return array.astype(bool)


def numbers(name: str, values, low: float = -np.inf) -> np.ndarray:
    """Return a float64 array of finite numbers of `low` or more; a ValueError for all else."""
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" and array.size:
        raise _refused(f"numbers in {name}", array.dtype)
    array = array.astype(np.float64)
    good = np.isfinite(array) & (array >= low)
    if not good.all():
        raise _refused(f"finite {name}{_between(low, np.inf)}", array[~good].flat[0])
    return array


def of_kind(name: str, value, kind: type):
    """Return a value that is a `kind`; a ValueError for all else."""
    if not isinstance(value, kind):
        raise _refused(f"{name} a {kind.__name__}", type(value).__name__)
    return value


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


def _first_wrong(array, n):
    if array.dtype.kind not in "iuf":
        return array.dtype
    good = (array >= 0) & (array < n) & (array == np.floor(array))
    return array[~good].flat[0]


def _refused(expected, got):
    got = str(got) if isinstance(got, np.generic | np.dtype) else reprlib.repr(got)
    return ValueError(f"expected {expected}, got {' '.join(got.split())}")
