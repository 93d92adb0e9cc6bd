"""What a training is in plain values, and its state on disk, for the same training alone."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

# What modules note about their own use. Those of pytorch-metric-learning list in
# `_record_these_stats` what they were asked to note when they were made, and note these anyway.
_NOTED = {"training", "collect_stats", "queue_idx", "has_been_filled", "losses_size", "divisor"}
_NOTED |= {"num_triplets", "num_pos_pairs", "num_neg_pairs"}
_NOTED |= {"num_past_filter", "num_above_low", "num_above_high"}


def describe(part) -> dict | None:
    """Name a part of a training, its settings, and the parts that it is made of in turn.

    Parameters
    ----------
    part : class, function, functools.partial, torch.nn.Module or None
        A loss, a miner, a sampler, an optimizer and so on.

    Returns
    -------
    dict or None
        ``name`` of the class or function; its plain values, or the keyword arguments of a
        partial; and a dict like this one for every part of a module, by attribute. Weights,
        addresses, None and what changes in use are left out.

    Examples
    --------
    >>> describe(partial(sorted, reverse=True))
    {'name': 'sorted', 'reverse': True}
    """
    if part is None:
        return None
    if isinstance(part, partial):
        args = {"args": plain(part.args)} if part.args else {}
        return describe(part.func) | args | plain(part.keywords)
    if hasattr(part, "__name__"):
        return {"name": part.__name__}
    told = {"name": type(part).__name__}
    noted = _NOTED | set(getattr(part, "_record_these_stats", ()))
    for key, value in getattr(part, "__dict__", {}).items():
        is_setting = not key.startswith("_") and key not in noted and value is not None
        if is_setting and _is_plain(value):
            told[key] = plain(value)
    if isinstance(part, nn.Module):
        for key, child in part.named_children():
            told[key] = describe(child)
    return told


def _is_plain(value) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, np.generic))


def plain(value):
    """Return `value` as JSON takes it; functions and modules as `describe` tells them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(inner) for inner in value]
    return value if _is_plain(value) else describe(value)


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
    state["settings"] = settings
    state["rows"] = rows
    state["watched"] = [(epoch, name, torch.from_numpy(d)) for epoch, name, d in watched]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, f"{path}.tmp")
    os.replace(f"{path}.tmp", path)


def resume(path, parts: dict, settings: dict, epochs: int) -> tuple[list[dict], list[tuple]]:
    """Load a checkpoint into `parts`, if there is one, and return its rows and distances.

    Raises
    ------
    ValueError
        If it was written with other settings, or after more epochs.
    """
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
    watched = [(epoch, name, d.numpy()) for epoch, name, d in state["watched"]]
    return state["rows"], watched
