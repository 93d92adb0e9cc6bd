"""What a training is in plain values, and its state on disk, for the same training alone."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facelab.checks import one_line
from facelab.files import write_whole
from facelab.structure import NOTED, PLAIN, Structure


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

    def resume(self, epochs: int, device) -> tuple[list[dict], list[tuple]]:
        """Load the file into the parts, if there is one, and return its rows and distances."""
        if not self.path or not Path(self.path).exists():
            return [], []
        state = self._load()
        asked = _without(state["changed"], self.asked)
        structure = _without(state["changed"], state["structure"])
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
        Structure(self.made_of).set_state(state["changed"], device)
        self.asked = state["structure"]
        return state["rows"], state["watched"]

    def save(self, rows: list[dict], watched: list[tuple]) -> None:
        """Write states, settings, history and watched distances; all of it or nothing."""
        state = {
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "changed": self._changed(),
            "structure": self.asked,
            "settings": self.settings,
            "rows": rows,
            "watched": watched,
        }
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, partial(torch.save, state))

    def _changed(self) -> dict[str, object]:
        """Return the attributes that training has changed and no `state_dict` holds, by path."""
        now = Structure(self.made_of)
        state = now.state()
        changed = {a for a in state if a.rpartition(".")[2] in NOTED and a not in now.values}
        for path in self.asked | now.values:
            if now.values.get(path) == self.asked.get(path):
                continue
            attribute = next((a for a in state if _is_in(a, path)), None)
            if attribute is None:
                raise ValueError(
                    f"expected parts whose state a checkpoint can keep, got {path}, which training "
                    "changes; make it a buffer or a plain attribute, or train without checkpoint"
                )
            changed.add(attribute)
        return {attribute: state[attribute] for attribute in sorted(changed)}

    def _load(self) -> dict:
        expected = {"parts", "changed", "structure", "settings", "rows", "watched"}
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            got = "another file"
        except Exception as error:  # each kind of damage raises another one
            state = None
            got = one_line(error, 200).split(". ")[0]  # what follows advises to run what is in it
        if not isinstance(state, dict) or state.keys() != expected:
            raise ValueError(
                f"expected a checkpoint of this training, got {self.path}, cut, empty or of "
                f"another kind ({got}); delete it, or name another one"
            )
        return state


def _is_in(attribute: str, path: str) -> bool:
    return path == attribute or path.startswith(f"{attribute}.")


def _without(changed: dict, values: dict) -> dict:
    """Leave out what lies in attributes that training changes."""
    inside = {path for path in values for attribute in changed if _is_in(attribute, path)}
    return {path: value for path, value in values.items() if path not in inside}
