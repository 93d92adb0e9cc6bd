"""Write files whole or not at all, and name them after what they hold."""

import json
import os
import re
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
    loose = json.dumps(value, default=np.generic.item)
    strict = json.loads(loose, parse_constant=lambda not_finite: None)
    write_text(path, json.dumps(strict, indent=1, ensure_ascii=False) + "\n")
