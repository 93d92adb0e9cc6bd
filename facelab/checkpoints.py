"""What a training is in plain values, and its state on disk, for the same training alone."""

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torch import nn

from facelab.checks import expect
from facelab.files import loaded, write_whole
from facelab.structure import NOTED, PLAIN, Structure

EXPECTED = "a checkpoint of this training"
TO_DO = "delete it, or name another one"
KINDS = {"parts": dict, "changed": dict, "structure": dict, "rows": list, "watched": list}


def describe(part):
    """Return anything that makes up a training as JSON takes it.

    Plain values, lists and dicts stay. All else is a dict: ``name`` of the class or function, and
    what it is made of but weights, None and what changes in use.
    """
    if isinstance(part, np.generic):  # first, since np.float64 is a float too
        return part.item()
    if part is None or isinstance(part, PLAIN):
        return part
    if isinstance(part, (tuple, list)):
        return [describe(inner) for inner in part]
    if isinstance(part, dict):
        return {getattr(key, "__name__", str(key)): describe(inner) for key, inner in part.items()}
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


def difference(asked: dict, got: dict, changed: Iterable[str] = ()) -> tuple | None:
    """Return the first setting that differs: ``"loss.distance.p"``, what was asked, what is.

    What lies in attributes that training has `changed` is no difference.
    """
    for path in asked | got:
        one, other = asked.get(path), got.get(path)
        if one != other and not any(_is_in(attribute, path) for attribute in changed):
            return path, one, other
    return None


class Checkpoint:
    """State of one training in a file, written after every epoch and taken up again.

    `parts` have a `state_dict` each, and `made_of` is all that has to be that of the file, see
    `Structure`; both by name. Without a path nothing is written.
    """

    def __init__(self, path, parts: dict, made_of: dict):
        self.path = path
        self.parts = parts
        self.made_of = made_of
        self.asked = self._structure().values if path else {}

    def resume(self, epochs: int, device) -> tuple[list[dict], list[tuple]]:
        """Load the file into the parts, if there is one, and return its rows and distances."""
        if not self.path:
            return [], []
        folder = Path(self.path).parent
        folder.mkdir(parents=True, exist_ok=True)  # or say now that this cannot be
        expect(os.access(folder, os.W_OK), "a checkpoint's folder that can be written", folder)
        if not Path(self.path).exists():
            return [], []
        state = loaded(_read, self.path, EXPECTED, TO_DO)
        if differs := difference(self.asked, state["structure"], state["changed"]):
            name, asked, got = differs
            said = f"with {name} {asked!r:.200}, got {got!r:.200}"
            raise ValueError(f"expected {EXPECTED}, {said} in {self.path}; {TO_DO}")
        n = len(state["rows"])
        expected = f"{EXPECTED} of at most {epochs} epochs"
        expect(n <= epochs, expected, f"{n} in {self.path}; {TO_DO}")
        loaded(lambda _: self._take_up(state, device), self.path, EXPECTED, TO_DO)
        return state["rows"], state["watched"]

    def _take_up(self, state: dict, device) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self._structure().set_state(state["changed"], device)
        self.asked = state["structure"]

    def save(self, rows: list[dict], watched: list[tuple]) -> None:
        """Write states, settings, history and watched distances; all of it or nothing."""
        state = {
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "changed": self._changed(),
            "structure": self.asked,
            "rows": rows,
            "watched": watched,
        }
        write_whole(Path(self.path), partial(torch.save, state))

    def _changed(self) -> dict[str, object]:
        """Return the attributes that training has changed and no `state_dict` holds, by path."""
        now = self._structure()
        state = now.state()
        changed = {a for a in state if a.rpartition(".")[2] in NOTED and a not in now.values}
        for path in self.asked | now.values:
            if now.values.get(path) == self.asked.get(path):
                continue
            attribute = next((a for a in state if _is_in(a, path)), None)
            to_do = "make it a buffer or a plain attribute, or train without checkpoint"
            got = f"{path}, which training changes; {to_do}"
            expect(attribute is not None, "parts whose state a checkpoint can keep", got)
            changed.add(attribute)
        return {attribute: state[attribute] for attribute in sorted(changed)}

    def _structure(self) -> Structure:
        modules = [part for part in self.parts.values() if isinstance(part, nn.Module)]
        return Structure(self.made_of, [w for module in modules for w in module.parameters()])


def _read(path) -> dict:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # what follows advises to run what is in it
        raise ValueError(str(error).split(". ")[0]) from None
    if not isinstance(state, dict) or {key: type(value) for key, value in state.items()} != KINDS:
        raise ValueError("another file")
    state["rows"] = [dict(row) for row in state["rows"]]
    state["watched"] = [(epoch, name, distance) for epoch, name, distance in state["watched"]]
    return state


def _is_in(attribute: str, path: str) -> bool:
    return path == attribute or path.startswith(f"{attribute}.")
