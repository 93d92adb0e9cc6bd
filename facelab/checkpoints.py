"""What a training is in plain values, and its state on disk, for the same training alone."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

PLAIN = (bool, int, float, str)

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


def save(path, parts: dict, settings: dict, rows: list[dict], watched: list[tuple]) -> None:
    """Write states of `parts`, settings, history and watched distances; all of it or nothing."""
    state = {name: part.state_dict() for name, part in parts.items()}
    state |= {"settings": settings, "rows": rows, "watched": watched}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, f"{path}.tmp")
    os.replace(f"{path}.tmp", path)


def resume(path, parts: dict, settings: dict, epochs: int) -> tuple[list[dict], list[tuple]]:
    """Load a checkpoint into `parts`, if there is one, and return its rows and distances."""
    if not path or not Path(path).exists():
        return [], []
    state = torch.load(path, map_location="cpu", weights_only=True)
    differs = difference(settings, state.get("settings", {}))
    if differs:
        name, asked, got = differs
        raise ValueError(
            f"expected a checkpoint of this training, with {name} {asked!r}, got {got!r} in "
            f"{path}; delete it, or name another one"
        )
    done = len(state["rows"])
    if done > epochs:
        raise ValueError(f"expected a checkpoint of at most {epochs} epochs, got {done} in {path}")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["rows"], state["watched"]
