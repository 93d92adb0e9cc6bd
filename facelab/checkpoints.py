"""What a training is in plain values, and its state on disk, for the same training alone."""

import math
import os
import pickle
import sys
import sysconfig
from functools import cache, partial
from pathlib import Path
from random import Random
from types import CodeType, FunctionType, MethodType, ModuleType
from zlib import crc32

import numpy as np
import torch
from pytorch_metric_learning.utils.module_with_records import ModuleWithRecords
from torch import nn

from facelab.checks import one_line
from facelab.faces import Faces

PLAIN = (bool, int, float, str)
# Wherever packages lie: beside this Python, in a user's own folder, or in that of the system.
PACKAGES = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
LIBRARIES = (sysconfig.get_path("stdlib"), str(Path(torch.__file__).parents[1]), *PACKAGES)
OF_MODULES = set(vars(nn.Module()))  # weights, buffers, parts and hooks

# What modules note about their own use. Those of pytorch-metric-learning list in
# `_record_these_stats` what they were asked to note when they were made, and note these anyway.
NOTED = {"training", "collect_stats", "queue_idx", "has_been_filled", "losses_size", "divisor"}
NOTED |= {"num_triplets", "num_pos_pairs", "num_neg_pairs"}
NOTED |= {"num_past_filter", "num_above_low", "num_above_high"}


def describe(part):
    """Return anything that makes up a training as JSON takes it.

    Plain values, lists and dicts stay. All else is a dict: ``name`` of the class or function, the
    arguments of a partial, the plain attributes and the parts of a module, each described in turn.
    Weights, None and what changes in use are left out.
    """
    if isinstance(part, np.generic):  # first, since np.float64 is a float too
        return part.item()
    if part is None or isinstance(part, PLAIN):
        return part
    if isinstance(part, (tuple, list)):
        return [describe(inner) for inner in part]
    if isinstance(part, dict):
        return {key: describe(inner) for key, inner in part.items()}
    if isinstance(part, partial):
        args = {"args": describe(part.args)} if part.args else {}
        return describe(part.func) | args | describe(part.keywords)
    if hasattr(part, "__name__"):
        return {"name": part.__name__}
    told = {"name": type(part).__name__}
    noted = NOTED | set(getattr(part, "_record_these_stats", ()))
    for key, value in getattr(part, "__dict__", {}).items():
        is_setting = isinstance(value, (*PLAIN, np.generic, tuple))
        if is_setting and key not in noted and not key.startswith("_"):
            told[key] = describe(value)
    if isinstance(part, nn.Module):
        told |= describe(dict(part.named_children()))
    return told


def difference(asked, got, name: str = "") -> tuple | None:
    """Return the first setting that differs: ``"loss.distance.p"``, what was asked, what is."""
    if not isinstance(asked, dict) or not isinstance(got, dict):
        return None if asked == got else (name, asked, got)
    for key in asked | got:
        inner = f"{name}.{key}" if name else key
        found = difference(asked.get(key), got.get(key), inner)
        if found:
            return found
    return None


class Structure:
    """All that decides what parts do, by path: settings, code, closures, arrays; no addresses.

    ``values`` maps a path such as ``"loss.distance.p"`` to a plain value: for a function a checksum
    of its code, for an array one of its bytes, for a parameter its shape. ``owners`` maps the path
    of an object to the object, whose attributes may be state that no `state_dict` holds.
    """

    def __init__(self, parts: dict):
        self.values = {}
        self.owners = {}
        self.seen = {}
        self._add_all("", parts)

    def _add_all(self, path, parts):
        for key, part in parts.items():
            self._add(f"{path}.{key}" if path else str(key), part)

    def _add(self, path, part):
        if isinstance(part, np.generic):
            part = part.item()
        if isinstance(part, np.ndarray) and part.dtype == object:  # whose bytes are addresses
            part = part.tolist()
        if part is None or isinstance(part, PLAIN):
            is_nan = isinstance(part, float) and math.isnan(part)  # not equal to itself
            self.values[path] = "nan" if is_nan else part
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
        elif isinstance(part, dict):
            self._add_all(path, part)
        elif isinstance(part, (tuple, list)):
            self._add_all(path, dict(enumerate(part)))
        elif isinstance(part, Faces):
            images = part.fingerprint or _checksum(part.packed)
            self.values[path] = f"{images} {_checksum(part.rows)}"
        elif isinstance(part, (torch.Tensor, np.ndarray)):
            self.values[path] = _checksum(part)
        elif isinstance(part, torch.Generator):
            self.values[path] = _checksum(part.get_state())
        elif not hasattr(part, "__dict__") or isinstance(part, Random):
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
                self.values[f"{path}.{name}"] = [*weight.shape, weight.requires_grad]
            self._add_all(path, dict(part.named_children()))
        self._add_all(path, {k: v for k, v in _attributes(part).items() if k not in noted})

    def _add_function(self, path, function):
        self.owners[path] = function
        code = function.__code__
        self.values[f"{path}.code"] = _code(code)
        self._add_all(f"{path}.defaults", dict(enumerate(function.__defaults__ or ())))
        self._add_all(f"{path}.defaults", function.__kwdefaults__ or {})
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        self._add_all(path, {name: _content(cell) for name, cell in cells})
        self._add_all(path, vars(function))
        if code.co_filename.startswith(LIBRARIES):
            return
        kinds = (*PLAIN, FunctionType, type, partial, tuple, list, dict)
        for name in sorted(_names(code)):
            value = function.__globals__.get(name)
            if isinstance(value, kinds):
                self._add(f"{path}.{name}", value)

    def _add_class(self, path, kind):
        for one in kind.__mro__[:-1]:
            functions = {name: _function(member) for name, member in vars(one).items()}
            functions = {name: f for name, f in functions.items() if f is not None}
            files = [f.__code__.co_filename for f in functions.values()]
            inner = f"{path}.{one.__name__}"
            if files and all(file.startswith((*LIBRARIES, "<")) for file in files):
                self.values[inner] = _code_of(one)
            else:
                if files:
                    self.owners[inner] = one
                self._add_all(inner, functions | _attributes(one))

    def state(self) -> dict[str, dict]:
        """Return what owners hold outside their `state_dict` and a checkpoint can keep."""
        found = {}
        for path, owner in self.owners.items():
            kept = {k: v for k, v in _attributes(owner).items() if _can_be_kept(v)}
            if kept:
                found[path] = _plain(kept)
        return found

    def set_state(self, state: dict[str, dict], device) -> None:
        """Give owners the attributes that `state` returned."""
        for path, attributes in state.items():
            for name, value in attributes.items():
                before = getattr(self.owners[path], name, None)
                if torch.is_tensor(value):
                    value = value.to(before.device if torch.is_tensor(before) else device)
                setattr(self.owners[path], name, value)


def _attributes(owner) -> dict:
    """Return what an object, a function or a class holds that no `state_dict` does."""
    held = dict(vars(owner))
    if isinstance(owner, nn.Module):
        held = {name: value for name, value in held.items() if name not in OF_MODULES}
        held |= {name: getattr(owner, name) for name in owner._non_persistent_buffers_set}
    if isinstance(owner, type):
        settings = {k: v for k, v in held.items() if not k.startswith("__")}
        held = {k: v for k, v in settings.items() if isinstance(v, (*PLAIN, tuple, list, dict))}
    return held


def _can_be_kept(value) -> bool:
    if type(value) in (list, tuple):
        return all(map(_can_be_kept, value))
    if type(value) is dict:
        return all(isinstance(key, PLAIN) and _can_be_kept(v) for key, v in value.items())
    is_plain = type(value) in (type(None), *PLAIN) or isinstance(value, np.generic)
    return is_plain or (type(value) is torch.Tensor and not value.requires_grad)


def _plain(value):
    if isinstance(value, np.generic):  # NumPy's would not load again
        return value.item()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return type(value)(map(_plain, value)) if isinstance(value, (list, tuple)) else value


def _checksum(array) -> str:
    kind = f"{array.dtype} {list(array.shape)}"
    if torch.is_tensor(array):
        array = array.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return f"{kind} {crc32(np.ascontiguousarray(array).tobytes()):08x}"


def _pickled(part) -> str:
    try:
        return f"{type(part).__name__} {crc32(pickle.dumps(part)):08x}"
    except Exception:  # whatever objects of others raise
        return type(part).__name__


def _code(code: CodeType) -> str:
    """Return a checksum of what code does, without its file and lines."""
    constants = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constants.append(_code(constant))
        elif isinstance(constant, frozenset):  # its order differs between processes
            constants.append(sorted(map(repr, constant)))
        else:
            constants.append(repr(constant))
    does = (code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants)
    return f"{crc32(repr(does).encode()):08x}"


@cache
def _code_of(kind: type) -> str:
    functions = {name: _function(member) for name, member in sorted(vars(kind).items())}
    codes = {name: _code(f.__code__) for name, f in functions.items() if f is not None}
    return f"{crc32(repr(codes).encode()):08x}"


def _function(member) -> FunctionType | None:
    member = getattr(member, "__func__", getattr(member, "fget", member))
    return member if isinstance(member, FunctionType) else None


def _names(code: CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


class Checkpoint:
    """State of one training in a file, written after every epoch and taken up again.

    Parameters
    ----------
    path : path or None
        None: nothing is written.
    parts : dict
        What has a `state_dict`, by name.
    made_of : dict
        All that training is made of, by name; see `Structure`.
    settings : dict
        Plain values that have to be those of the file.
    """

    def __init__(self, path, parts: dict, made_of: dict, settings: dict):
        self.path = path
        self.parts = parts
        self.made_of = made_of
        self.settings = settings
        self.asked = Structure(made_of).values if path else {}
        self.in_use = []  # attributes that training changes

    def resume(self, epochs: int, device) -> tuple[list[dict], list[tuple]]:
        """Load the file into the parts, if there is one, and return its rows and distances."""
        if not self.path or not Path(self.path).exists():
            return [], []
        state = self._load()
        self.in_use = state["in_use"]
        structure = {path: v for path, v in state["structure"].items() if not self._in_use(path)}
        asked = {path: v for path, v in self.asked.items() if not self._in_use(path)}
        differs = difference(self.settings, state["settings"]) or difference(asked, structure)
        if differs:
            name, asked, got = differs
            raise ValueError(
                f"expected a checkpoint of this training, with {name} {asked!r}, got {got!r} in "
                f"{self.path}; delete it, or name another one"
            )
        done = len(state["rows"])
        if done > epochs:
            raise ValueError(
                f"expected a checkpoint of at most {epochs} epochs, got {done} in {self.path}; "
                "delete it, or name another one"
            )
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        Structure(self.made_of).set_state(state["kept"], device)
        self.asked = state["structure"]
        return state["rows"], state["watched"]

    def save(self, rows: list[dict], watched: list[tuple]) -> None:
        """Write states, settings, history and watched distances; all of it or nothing."""
        now = Structure(self.made_of)
        kept = now.state()
        self._note_use(now.values, kept)
        for path, attributes in kept.items():
            used = [name for name in attributes if f"{path}.{name}" in self.in_use or name in NOTED]
            kept[path] = {name: attributes[name] for name in used}
        state = {
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "kept": kept,
            "in_use": self.in_use,
            "structure": self.asked,
            "settings": self.settings,
            "rows": rows,
            "watched": watched,
        }
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, f"{self.path}.tmp")
        os.replace(f"{self.path}.tmp", self.path)

    def _in_use(self, path: str) -> bool:
        return any(path == used or path.startswith(f"{used}.") for used in self.in_use)

    def _note_use(self, now: dict, kept: dict) -> None:
        attributes = [f"{owner}.{name}" for owner, names in kept.items() for name in names]
        for path in self.asked | now:
            if now.get(path) == self.asked.get(path) or self._in_use(path):
                continue
            used = [a for a in attributes if path == a or path.startswith(f"{a}.")]
            if not used:
                raise ValueError(
                    f"expected parts whose state a checkpoint can keep, got {path}, which training "
                    "changes; make it a buffer or a plain attribute, or train without checkpoint"
                )
            self.in_use.append(used[0])

    def _load(self) -> dict:
        expected = ("parts", "kept", "in_use", "structure", "settings", "rows", "watched")
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            got = "another file"
        except Exception as error:  # each kind of damage raises another one
            state = None
            got = one_line(error, 200).split(". ")[0]  # what follows advises to run what is in it
        if not isinstance(state, dict) or not set(expected) <= state.keys():
            raise ValueError(
                f"expected a checkpoint of this training, got {self.path}, cut, empty or of "
                f"another kind ({got}); delete it, or name another one"
            )
        return state
