"""What the parts of a training do and remember, by path; no addresses."""

import dis
import os
import pickle
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from functools import cache, partial
from logging import Logger
from pathlib import Path
from random import Random
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from zlib import crc32

import numpy as np
import pandas as pd
import torch
from pytorch_metric_learning.utils.module_with_records import ModuleWithRecords
from torch import nn

from facelab.faces import Faces

PLAIN = (bool, int, float, str)
# Wherever packages lie: beside this Python, in a user's own folder, or in that of the system.
PACKAGES = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
LIBRARIES = (sysconfig.get_path("stdlib"), str(Path(torch.__file__).parents[1]), *PACKAGES)
OF_MODULES = set(vars(nn.Module()))  # weights, buffers, parts and hooks
# Objects whose attributes say nothing, or too much.
WHOLE = (Random, np.ufunc, Logger, type(os.environ))
EMPTY = CellType()  # what a function's closure holds of a variable that is not set yet

# What modules note about their own use. Those of pytorch-metric-learning list in
# `_record_these_stats` what they were asked to note when they were made, and note these anyway.
NOTED = {"training", "collect_stats", "queue_idx", "has_been_filled", "losses_size", "divisor"}
NOTED |= {"num_triplets", "num_pos_pairs", "num_neg_pairs"}
NOTED |= {"num_past_filter", "num_above_low", "num_above_high"}


class Structure:
    """All that decides what parts do: settings, code, closures and arrays.

    ``values`` maps a path such as ``"loss.distance.p"`` to a plain value: for a function a checksum
    of its code, for an array one of its bytes. ``owners`` maps the path of an object to the object,
    whose attributes may be state that no `state_dict` holds.

    Weights to start from are the caller's: of those among ``learned`` the shape counts.
    """

    def __init__(self, parts: dict, learned: Iterable[nn.Parameter] = ()):
        self.learned = set(map(id, learned))
        self.values = {}
        self.owners = {}
        self.seen = {}
        self._add_all("", parts)

    def _add_all(self, path, parts):
        for place, (key, part) in enumerate(parts.items()):
            if key is not None and not isinstance(key, PLAIN):  # its str may be an address
                self._add(f"{path}.{place}.key", key)
                key = place
            self._add(f"{path}.{key}" if path else str(key), part)

    def _add(self, path, part):
        if isinstance(part, np.generic):
            part = part.item()
        if isinstance(part, np.ndarray) and part.dtype == object:  # whose bytes are addresses
            part = part.tolist()
        if isinstance(part, (pd.Series, pd.DataFrame)):
            part = [part.to_numpy(), *(axis.to_numpy() for axis in part.axes)]
        if part is None or isinstance(part, PLAIN):
            self.values[path] = part if part == part else "nan"  # which is not equal to itself
        elif isinstance(part, (ModuleType, FunctionType, type)):
            self.values[path] = part.__name__
            if id(part) not in self.seen and not isinstance(part, ModuleType):
                self.seen[id(part)] = part
                add = self._add_class if isinstance(part, type) else self._add_function
                add(path, part)
        elif isinstance(part, MethodType):
            self._add_all(path, {"function": part.__func__, "of": part.__self__})
        elif isinstance(part, partial):
            given = dict(enumerate(part.args)) | part.keywords
            self._add_all(path, {"function": part.func} | given)
        elif isinstance(part, Mapping) and not isinstance(part, WHOLE):
            self._add_all(path, part)
        elif isinstance(part, (tuple, list)):
            self._add_all(path, dict(enumerate(part)))
        elif isinstance(part, (set, frozenset)):  # their order differs between processes
            self.values[path] = sorted(map(_pickled, part))
        elif isinstance(part, Faces):
            told = {"fingerprint": part.fingerprint or _pixels(part), "rows": part.rows}
            self._add_all(path, told | {"labels": part.labels, "pairs": part.pairs})
        elif isinstance(part, (torch.Tensor, np.ndarray)):
            self.values[path] = _checksum(part)
        elif isinstance(part, torch.Generator):
            self.values[path] = _checksum(part.get_state())
        elif not hasattr(part, "__dict__") or isinstance(part, WHOLE):
            self.values[path] = _pickled(part)
        elif id(part) not in self.seen:  # else it is within itself
            self.seen[id(part)] = part
            self._add_object(path, part)
            del self.seen[id(part)]

    def _add_object(self, path, part):
        self.owners[path] = part
        self._add(f"{path}.class", type(part))
        noted = set()
        if isinstance(part, ModuleWithRecords):
            noted = NOTED | set(getattr(part, "_record_these_stats", ()))
        if isinstance(part, nn.Module):
            for name, weight in part.named_parameters(recurse=False):
                is_learned = id(weight) in self.learned
                about = [*weight.shape] if is_learned else [_checksum(weight)]
                self.values[f"{path}.{name}"] = [*about, weight.requires_grad]
            self._add_all(path, dict(part.named_children()))
        self._add_all(path, {k: v for k, v in _attributes(part).items() if k not in noted})

    def _add_function(self, path, function):
        self.owners[path] = function
        code = function.__code__
        self.values[f"{path}.code"] = _code(code)
        self._add_all(f"{path}.defaults", dict(enumerate(function.__defaults__ or ())))
        self._add_all(f"{path}.defaults", function.__kwdefaults__ or {})
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        self._add_all(path, {name: cell.cell_contents for name, cell in cells if cell != EMPTY})
        self._add_all(path, vars(function))
        if code.co_filename.startswith(LIBRARIES):
            return
        held = function.__globals__
        for name, *attributes in sorted(read for read in _reads(code) if read[0] in held):
            value, inner = held[name], f"{path}.{name}"
            while attributes and isinstance(value, ModuleType) and not _is_library(value):
                name = attributes.pop(0)
                value, inner = getattr(value, name, None), f"{inner}.{name}"
            if not isinstance(value, ModuleType):
                self._add(inner, value)

    def _add_class(self, path, kind):
        for one in kind.__mro__[:-1]:
            members = vars(one).items()  # with the functions of class methods and properties
            members = {k: getattr(m, "__func__", getattr(m, "fget", m)) for k, m in members}
            functions = {k: m for k, m in members.items() if isinstance(m, FunctionType)}
            files = [f.__code__.co_filename for f in functions.values()]
            inner = f"{path}.{one.__name__}"
            self.values[inner] = one.__name__
            if not files or not all(file.startswith((*LIBRARIES, "<")) for file in files):
                self._add_all(inner, functions | _attributes(one))

    def state(self) -> dict[str, object]:
        """Return the attributes outside any `state_dict` that a checkpoint can keep, by path."""
        return {
            f"{path}.{name}": _plain(value)
            for path, owner in self.owners.items()
            for name, value in _attributes(owner).items()
            if _can_be_kept(value)
        }

    def set_state(self, state: dict[str, object], device) -> None:
        """Give owners the attributes that `state` returned."""
        for attribute, value in state.items():
            path, _, name = attribute.rpartition(".")
            owner = self.owners[path]
            before = getattr(owner, name, None)
            if torch.is_tensor(value):
                value = value.to(getattr(before, "device", device))
                is_alike = value.shape == getattr(before, "shape", None)
                if is_alike and name in getattr(owner, "_buffers", ()):
                    value = before.copy_(value)  # in place: DDP holds it
            setattr(owner, name, value)


def _attributes(owner) -> dict:
    """Return what an object, a function or a class holds, but weights and parts of modules."""
    held = {name: value for name, value in vars(owner).items() if name != "__doc__"}
    if isinstance(owner, nn.Module):
        held = {name: value for name, value in held.items() if name not in OF_MODULES}
        held |= dict(owner.named_buffers(recurse=False))
    if isinstance(owner, type):
        settings = {k: v for k, v in held.items() if not k.startswith("__")}
        held = {k: v for k, v in settings.items() if not hasattr(v, "__get__")}  # no methods
    return held


def _can_be_kept(value) -> bool:
    if type(value) in (list, tuple):
        return all(map(_can_be_kept, value))
    if type(value) is dict:
        return all(isinstance(key, PLAIN) and _can_be_kept(v) for key, v in value.items())
    if type(value) is torch.Tensor:
        return not value.requires_grad
    return type(value) in (type(None), *PLAIN) or isinstance(value, np.generic)


def _plain(value):
    if isinstance(value, np.generic):  # NumPy's would not load again
        return value.item()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return type(value)(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def _checksum(array) -> str:
    kind = f"{array.dtype} {list(array.shape)}"
    if torch.is_tensor(array):
        array = array.detach().cpu().to_dense().contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{kind} {crc32(np.ascontiguousarray(array).tobytes()):08x}"


def _pixels(faces: Faces) -> str:
    checksum = 0
    for rows in np.array_split(np.arange(len(faces)), 1 + len(faces) // 1000):
        checksum = crc32(faces.batch(rows).tobytes(), checksum)
    return f"{checksum:08x}"


def _pickled(part) -> str:
    try:
        return f"{type(part).__name__} {crc32(pickle.dumps(part)):08x}"
    except Exception:  # whatever objects of others raise
        return type(part).__name__


@cache
def _code(code: CodeType) -> str:
    """Return a checksum of what code does, without its file, its lines and its docstrings.

    No step loads a docstring, so it is not among the constants of the steps.
    """
    steps = []
    for step in dis.get_instructions(code):
        is_constant = step.opcode in dis.hasconst
        steps.append((step.opname, _constant(step.argval) if is_constant else step.arg))
    does = (steps, code.co_names, code.co_varnames, code.co_freevars)
    return f"{crc32(repr(does).encode()):08x}"


def _constant(constant) -> str:
    if isinstance(constant, CodeType):
        return _code(constant)
    if isinstance(constant, frozenset):  # its order differs between processes
        return repr(sorted(map(repr, constant)))
    return repr(constant)


@cache
def _reads(code: CodeType) -> set[tuple[str, ...]]:
    """Return the globals that code reads, with what is read of them: ``("np", "linalg")``."""
    inner = [_reads(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    found = []
    is_of_global = False
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            found.append((step.argval,))
            is_of_global = True
        elif is_of_global and step.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            found[-1] += (step.argval,)
        elif step.opname != "EXTENDED_ARG":
            is_of_global = False
    return set(found).union(*inner)


def _is_library(module: ModuleType) -> bool:
    folders = getattr(module, "__path__", [""])  # of a package without a file of its own
    place = getattr(module, "__file__", None) or next(iter(folders), "")
    return place.startswith(LIBRARIES) or module.__name__ in sys.stdlib_module_names
