"""What a training is in plain values, and its state on disk, for the same training alone."""

from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import nn

from facelab.checks import one_line
from facelab.faces import Faces
from facelab.files import write_whole
from facelab.structure import NOTED, PLAIN, Structure, fingerprint


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
        return {_key(key): describe(inner) for key, inner in part.items()}
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


def _key(key):
    if key is None or isinstance(key, PLAIN):
        return key
    return getattr(key, "__name__", None) or str(describe(key))


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


def learned_from(faces: Faces) -> dict[str, object]:
    """Return what training reads of the images that it learns from."""
    return {
        "fingerprint": fingerprint(faces),
        "images_checksum": crc32(faces.rows.tobytes()),
        "labels_checksum": crc32(faces.labels.tobytes()),
    }


def watched_in(faces: Faces) -> dict[str, object]:
    """Return what training reads of images that are watched."""
    ends = faces.rows[[faces.pairs.left, faces.pairs.right]]  # (2, n_pairs)
    return {
        "fingerprint": fingerprint(faces),
        "pairs": len(faces.pairs),
        "checksum": crc32(ends.tobytes()),
        "same_checksum": crc32(faces.pairs.same.tobytes()),
    }


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
        self.asked = self._structure().values if path else {}

    def resume(self, epochs: int, device) -> tuple[list[dict], list[tuple]]:
        """Load the file into the parts, if there is one, and return its rows and distances."""
        if not self.path or not Path(self.path).exists():
            return [], []
        state = self._load()
        try:
            differs = self._difference(state)
            rows = [dict(row) for row in state["rows"]]
            watched = [(epoch, name, distance) for epoch, name, distance in state["watched"]]
            if not differs and len(rows) <= epochs:
                self._take_up(state, device)
        except Exception as error:  # each kind of damage raises another one
            raise self._refused(one_line(error, 200)) from error
        if differs:
            name, asked, got = differs
            raise ValueError(
                f"expected a checkpoint of this training, with {name} {asked!r:.200}, got "
                f"{got!r:.200} in {self.path}; delete it, or name another one"
            )
        if len(rows) > epochs:
            raise ValueError(
                f"expected a checkpoint of at most {epochs} epochs, got {len(rows)} in "
                f"{self.path}; delete it, or name another one"
            )
        return rows, watched

    def _difference(self, state: dict) -> tuple | None:
        asked = _without(state["changed"], self.asked)
        got = _without(state["changed"], state["structure"])
        return difference(self.settings, state["settings"]) or difference(asked, got)

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
            "settings": self.settings,
            "rows": rows,
            "watched": watched,
        }
        path = Path(self.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, partial(torch.save, state))

    def _changed(self) -> dict[str, object]:
        """Return the attributes that training has changed and no `state_dict` holds, by path."""
        now = self._structure()
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
        expected = dict.fromkeys(["parts", "changed", "structure", "settings"], dict)
        expected |= {"rows": list, "watched": list}
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            got = "another file"
        except Exception as error:  # each kind of damage raises another one
            state = None
            got = one_line(error, 200).split(". ")[0]  # what follows advises to run what is in it
        if not isinstance(state, dict) or {k: type(v) for k, v in state.items()} != expected:
            raise self._refused(got)
        return state

    def _refused(self, got: str) -> ValueError:
        return ValueError(
            f"expected a checkpoint of this training, got {self.path}, cut, empty or of another "
            f"kind ({got}); delete it, or name another one"
        )

    def _structure(self) -> Structure:
        modules = [part for part in self.parts.values() if isinstance(part, nn.Module)]
        return Structure(self.made_of, [w for module in modules for w in module.parameters()])


def _is_in(attribute: str, path: str) -> bool:
    return path == attribute or path.startswith(f"{attribute}.")


def _without(changed: dict, values: dict) -> dict:
    """Leave out what lies in attributes that training changes."""
    inside = {path for path in values for attribute in changed if _is_in(attribute, path)}
    return {path: value for path, value in values.items() if path not in inside}
