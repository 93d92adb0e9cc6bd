"""Write files whole or not at all, and name them after what they hold."""

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def slug(title: str) -> str:
    """Turn a title into a file name.

    Examples
    --------
    >>> slug("triplet + semi-hard, 100 epochs")
    'triplet-semi-hard-100-epochs'
    """
    return "-".join(re.findall(r"[a-z0-9.]+", title.lower())) or "untitled"


def write_text(path: Path, text: str) -> None:
    """Write a text file; others see the whole file or the one before."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


def write_json(path: Path, value) -> None:
    """Write strict JSON: numbers that are not finite become null."""
    text = json.dumps(_strict(value), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _strict(value):
    if isinstance(value, Mapping):
        return {key: _strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    unknown = isinstance(value, float) and not math.isfinite(value)
    return None if unknown else value
